/*
 * cmd_selftest.c - `vmm selftest`: runs the guest that is built in (firmware/selftest), which
 * checks every device that we emulate, once for each transport.
 *
 * Life of a VM: all of it, for each transport from its configuration to its end. A thread plays the
 * outside world: it reads the serial port, where the guest says what it has found, and sends back
 * whatever comes out of the virtio console. The disk is in memory, the network's cable leads back
 * to the guest. So nothing is needed of the host but /dev/kvm, and nothing is left behind.
 */
#include "cli.h"
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/host/evloop.h>
#include <vmm/machine/config.h>

#define DISK_BYTES MIB
#define TIMEOUT_NS (120 * NS_PER_S)
#define FUZZ_ACCESS_NS (5 * NS_PER_MS) /* at most; about 50 us where nothing else runs */
#define FUZZ_COUNT 20000u
#define LINE_MAX_BYTES 200u
#define CPUS_MAX 64u /* firmware/selftest/cpu.h */

extern const uint8_t selftest_elf[], selftest_elf_end[];

static const struct {
	const char *name;
	enum transport transport;
	bool by_default;
} transports[] = {
	{ "pci", TRANSPORT_PCI, true },
	{ "mmio", TRANSPORT_MMIO, true },
	{ "mmio,cmdline", TRANSPORT_MMIO_CMDLINE, false },
};

struct selftest { /* what the user wants, and what has come of it */
	const char *transport; /* NULL: those that run by default */
	const char *cpus;
	uint64_t ram_bytes;
	const char *jail; /* NULL: as it is by default */
	bool verbose;
	bool fuzz;
	uint64_t seed, count;
	unsigned int n_passed, n_failed;
	bool inside; /* this is a VM's process, which has nothing to sum up */
};

/* The outside world --------------------------------------------------------------------------- */

enum { SERIAL, CONSOLE, N_CABLES };

struct world {
	const char *transport;
	bool verbose, fuzz;
	bool inside; /* this is the VM's process, and not the world */
	uint64_t start_ns;
	int guest[N_CABLES]; /* the machine's ends, and ours */
	int ours[N_CABLES];
	pthread_t threads[N_CABLES];
	unsigned int n_threads;

	/* hear_guest()'s until it has been joined. */
	unsigned int n_passed, n_failed; /* lines that say so */
	bool summed_up; /* the guest has counted the same, in its last line */
	char line[LINE_MAX_BYTES];
	size_t len;
};

static bool begins(const char *line, const char *with)
{
	return strncmp(line, with, strlen(with)) == 0;
}

/* "ok NAME" or "FAIL NAME: why" */
static void take_check(struct world *w, bool ok)
{
	w->n_passed += ok;
	w->n_failed += !ok;
	printf("%s %s: %s", ok ? "ok" : "FAIL", w->transport, strchr(w->line, ' ') + 1);
	if (w->verbose)
		printf("  (%" PRIu64 " ms)", (evloop_now_ns() - w->start_ns) / NS_PER_MS);
	printf("\n");
}

/* Random accesses hit the serial port, too: of what comes then, only what is meant is shown. */
static void take_line(struct world *w)
{
	unsigned int passed, failed;

	if (begins(w->line, "ok ") || begins(w->line, "FAIL "))
		take_check(w, w->line[0] == 'o');
	else if (sscanf(w->line, "%u passed, %u failed", &passed, &failed) == 2)
		w->summed_up = passed == w->n_passed && failed == w->n_failed;
	else if (!w->fuzz || begins(w->line, "fuzz: ") || begins(w->line, "EXCEPTION "))
		printf("%s\n", w->line);
	fflush(stdout);
}

static void take_text(struct world *w, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] != '\n' && w->len < LINE_MAX_BYTES - 1) {
			w->line[w->len++] = text[i];
			continue;
		}
		w->line[w->len] = '\0';
		w->len = 0;
		take_line(w);
		if (text[i] != '\n') /* too long a line goes on in the next one */
			w->line[w->len++] = text[i];
	}
}

static void send_back(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n < 0)
			return; /* the machine has ended */
		text += n;
		len -= (size_t)n;
	}
}

/* Both threads: until the machine has closed its end. They are two, because whoever reads our
 * output may be slow. */
static void *hear_guest(void *arg)
{
	struct world *w = arg;
	char text[4096];
	ssize_t n;

	while ((n = recv(w->ours[SERIAL], text, sizeof(text), 0)) > 0)
		take_text(w, text, (size_t)n);
	return NULL;
}

static void *echo_console(void *arg)
{
	struct world *w = arg;
	char text[4096];
	ssize_t n;

	while ((n = recv(w->ours[CONSOLE], text, sizeof(text), 0)) > 0)
		send_back(w->ours[CONSOLE], text, (size_t)n);
	return NULL;
}

static void close_all(const int fds[N_CABLES])
{
	for (unsigned int i = 0; i < N_CABLES; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
	}
}

static int open_cables(struct world *w, struct err *e)
{
	for (unsigned int i = 0; i < N_CABLES; i++)
		w->guest[i] = w->ours[i] = -1;
	for (unsigned int i = 0; i < N_CABLES; i++) {
		int pair[2];

		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
			return err_errno(e, "socketpair");
		w->guest[i] = pair[0];
		w->ours[i] = pair[1];
	}
	return 0;
}

/* The machine is gone, or there was none. */
static void end_world(struct world *w)
{
	close_all(w->guest);
	for (unsigned int i = 0; i < w->n_threads; i++)
		pthread_join(w->threads[i], NULL);
	close_all(w->ours);
	if (w->len > 0)
		take_text(w, "\n", 1);
}

/* Outside of the VM's process, once that is there. Signals are the main thread's. */
static int start_world(void *arg, struct err *e)
{
	void *(*const parts[N_CABLES])(void *) = { hear_guest, echo_console };
	struct world *w = arg;
	sigset_t all, before;
	int rc = 0;

	close_all(w->guest);
	for (unsigned int i = 0; i < N_CABLES; i++)
		w->guest[i] = -1;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (unsigned int i = 0; i < N_CABLES && rc == 0; i++) {
		rc = pthread_create(&w->threads[i], NULL, parts[i], w);
		w->n_threads += rc == 0;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = rc;
	return rc ? err_errno(e, "thread") : 0;
}

/* A machine ------------------------------------------------------------------------------------ */

/* Words for the guest: firmware/selftest/main.c says what they mean. */
static void make_cmdline(char *buf, size_t size, const struct selftest *t, enum transport transport,
			 const struct vm_config *cfg)
{
	int n = snprintf(buf, size, "cpus=%u mmio=%d verbose=%d end=%d",
			 cfg->cpus.sockets * cfg->cpus.cores * cfg->cpus.threads,
			 transport != TRANSPORT_PCI, t->verbose, (int)transport);

	if (t->fuzz)
		snprintf(buf + n, size - (size_t)n, " fuzz=%" PRIu64 " fuzz_count=%" PRIu64,
			 t->seed, t->count);
}

static int configure(struct vm_config *cfg, const struct selftest *t, const struct world *w,
		     const char *disk, struct err *e)
{
	char words[CLI_PATH_MAX + 32];

	cfg->start_ns = evloop_now_ns();
	cfg->timeout_ns = TIMEOUT_NS + (t->fuzz ? t->count * FUZZ_ACCESS_NS : 0);
	cfg->exit_on_reboot = true;
	cfg->ram_bytes = t->ram_bytes;
	cfg->serial = (struct chardev_spec){ .kind = CHARDEV_SOCKET, .fd = w->guest[SERIAL] };
	cfg->console.has_console = true;
	cfg->console.console = (struct chardev_spec){
		.kind = CHARDEV_SOCKET,
		.fd = w->guest[CONSOLE],
		.name = "hvc0",
	};
	snprintf(words, sizeof(words), "%s,id=selftest", disk);
	if (config_parse_cpus(cfg, t->cpus, e) < 0)
		return err_wrap(e, "--cpus");
	if (t->jail && config_parse_jail(cfg, t->jail, e) < 0)
		return err_wrap(e, "--jail");
	if (config_add_disk(cfg, words, e) < 0 || config_add_net(cfg, "loop", e) < 0)
		return e->code;
	return 0;
}

/* The exit status of the machine, <0: it never ran. */
static int run_machine(const struct selftest *t, struct world *w, enum transport transport,
		       struct err *e)
{
	char kernel[CLI_PATH_MAX], disk[CLI_PATH_MAX], cmdline[256];
	/* cppcheck-suppress comparePointers ; the two ends of one object, in selftest_elf.S */
	size_t len = (size_t)(selftest_elf_end - selftest_elf);
	int kernel_fd, disk_fd = -1, rc;
	struct vm_config cfg;

	config_init(&cfg);
	kernel_fd = rc = cli_memfd(kernel, "selftest guest", selftest_elf, len, len, e);
	if (rc >= 0)
		disk_fd = rc = cli_memfd(disk, "selftest disk", NULL, 0, DISK_BYTES, e);
	if (rc >= 0)
		rc = configure(&cfg, t, w, disk, e);
	if (rc >= 0) {
		cfg.kernel = kernel;
		cfg.transport = transport;
		cfg.cmdline = cmdline;
		make_cmdline(cmdline, sizeof(cmdline), t, transport, &cfg);
		rc = cli_run_vm(&cfg, &(struct cli_hook){ start_world, w }, &w->inside, e);
	}
	config_fini(&cfg);
	if (kernel_fd >= 0)
		close(kernel_fd);
	if (disk_fd >= 0)
		close(disk_fd);
	return rc;
}

static void count(struct selftest *t, const struct world *w, int status)
{
	t->n_passed += w->n_passed;
	t->n_failed += w->n_failed;
	if (status == (w->n_failed > 0) && w->summed_up && w->n_passed + w->n_failed > 0)
		return;
	t->n_failed++;
	if (status == EXIT_TIMEOUT)
		printf("FAIL %s: the guest hangs behind the last line\n", w->transport);
	else if (status != (w->n_failed > 0))
		printf("FAIL %s: the guest ended with status %d\n", w->transport, status);
	else
		printf("FAIL %s: lines got lost\n", w->transport);
}

/* The exit status of the machine if that is the end of it all, 0 to go on, <0: an error. */
static int test_transport(struct selftest *t, unsigned int i, struct err *e)
{
	struct world w = {
		.transport = transports[i].name,
		.verbose = t->verbose,
		.fuzz = t->fuzz,
		.start_ns = evloop_now_ns(),
	};
	int status;

	status = open_cables(&w, e);
	if (status == 0)
		status = run_machine(t, &w, transports[i].transport, e);
	t->inside = w.inside;
	if (w.inside)
		return status;
	if (status >
	    EXIT_SIGNAL_BASE) /* at once, however slow the reader of our output is: signals.c */
		raise(status - EXIT_SIGNAL_BASE);
	end_world(&w);
	if (status < 0 || status > EXIT_SIGNAL_BASE || status == EXIT_VMM)
		return status;
	if (t->verbose)
		printf("  %s: %" PRIu64 " ms\n", w.transport,
		       (evloop_now_ns() - w.start_ns) / NS_PER_MS);
	if (!t->fuzz) {
		count(t, &w, status);
		return 0;
	}
	/* The guest leaves alone what ends a machine: it has to get to its own end. */
	printf("%s %s: fuzz: seed %" PRIu64 ", %" PRIu64
	       " accesses: the guest ended with status %d\n",
	       status == 0 ? "ok" : "FAIL", w.transport, t->seed, t->count, status);
	t->n_failed += status != 0;
	return 0;
}

/* Options ------------------------------------------------------------------------------------- */

static int set_transport(void *target, const char *v, struct err *e)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(transports); i++) {
		if (strcmp(transports[i].name, v) == 0) {
			((struct selftest *)target)->transport = v;
			return 0;
		}
	}
	return err_set(e, -EINVAL, "expected pci, mmio or mmio,cmdline");
}

static int set_cpus(void *target, const char *v, struct err *e)
{
	uint64_t n;

	((struct selftest *)target)->cpus = v;
	return opts_parse_uint(v, 1, CPUS_MAX, &n, e);
}

static int set_mem(void *target, const char *v, struct err *e)
{
	return opts_parse_size(v, &((struct selftest *)target)->ram_bytes, e);
}

static int set_jail(void *target, const char *v, struct err *e)
{
	(void)e;
	((struct selftest *)target)->jail = v;
	return 0;
}

static int set_verbose(void *target, const char *v, struct err *e)
{
	(void)v, (void)e;
	((struct selftest *)target)->verbose = true;
	return 0;
}

static int set_fuzz(void *target, const char *v, struct err *e)
{
	struct selftest *t = target;
	const char *comma = strchr(v, ',');
	char seed[32];

	if (comma && opts_parse_uint(comma + 1, 1, UINT32_MAX, &t->count, e) < 0)
		return e->code;
	snprintf(seed, sizeof(seed), "%.*s", (int)strcspn(v, ","), v);
	t->fuzz = true;
	return opts_parse_uint(seed, 0, UINT64_MAX - 1, &t->seed, e);
}

const struct opt selftest_options[] = {
	{ "transport", "pci|mmio|mmio,cmdline",
	  "How the guest finds its virtio devices. Default: pci, then mmio.", set_transport },
	{ "cpus", "N", "CPUs, 1 to 64. Default 2.", set_cpus },
	{ "mem", "SIZE", "RAM. Default 64M.", set_mem },
	{ "jail", "on|strict|log|off", "What the VM's process gives up, as that of a run.",
	  set_jail },
	{ "verbose", NULL, "Tells numbers, times, and what the devices complain about.",
	  set_verbose },
	{ "fuzz", "SEED[,N]",
	  "Instead of the checks, N random accesses (default 20000) to ports, memory and MSRs.\n"
	  "The same seed makes the same ones.",
	  set_fuzz },
	{ 0 },
};

int cmd_selftest(int argc, char *const *argv, struct err *e)
{
	struct selftest t = { .cpus = "2", .ram_bytes = CONFIG_MIN_RAM, .count = FUZZ_COUNT };

	if (opts_parse(selftest_options, argc, argv, &t, e) < 0)
		return e->code;
	/* The guest does what a good driver does not, on purpose. */
	if (!t.verbose)
		log_set_level(LOG_ERROR);
	for (unsigned int i = 0; i < ARRAY_SIZE(transports); i++) {
		bool wanted = t.transport ? strcmp(t.transport, transports[i].name) == 0
					  : transports[i].by_default;
		int rc = wanted ? test_transport(&t, i, e) : 0;

		if (rc != 0 || t.inside)
			return rc;
	}
	if (!t.fuzz)
		printf("%u passed, %u failed\n", t.n_passed, t.n_failed);
	return t.n_failed > 0 ? 1 : 0;
}
