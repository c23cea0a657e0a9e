/*
 * watch.c - runs a VMM, and says when what happened: `watch [OPTION]... -- COMMAND...`.
 *
 * Run by the scripts of tests/bench for each single measurement, in whatever place that is. The
 * clock starts right before the fork. What COMMAND writes to its standard output is read here; what
 * is found goes to ours, one "NAME VALUE" a line, times in nanoseconds:
 *   text       when its output had TEXT (-x)
 *   end        when it had ended; status: how (256 + signal, -1: it was killed after -t seconds)
 *   create_vm, create_vm_took, first_run   of KVM's ioctls, by clocks.c, a library to preload (-p)
 *   kvm.NAME   -k: KVM's own counters of the new VMs when TEXT came, which is when they are stopped
 *   file ...   -k: the lines of FILE (-c) at the same time
 *   hangs      -h: next to no interrupt reached the guest for HANG_NS: it is killed
 * -e: it is ended when TEXT has come, and so "end" says nothing. -o FILE gets the output.
 * It leaves nothing behind: COMMAND has a process group of its own, which is killed at our end, and
 * it is killed if we are.
 */
#include "clocks.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define KVM_DIR "/sys/kernel/debug/kvm"
#define MAX_VMS 64
#define MAX_FILES 4
#define GRACE_NS 1000000000u /* for a VMM that has been told to end */
#define MAX_OUTPUT (1u << 20)

/* A processor at work gets 250 interrupts a second from its timer, and a start is mostly work. */
#define HANG_NS 1000000000u
#define HANG_LOOK_NS 100000000u
#define HANG_INTERRUPTS 40
#define HANG_BEGIN 20 /* interrupts: before, the timer may not run yet */

static struct {
	const char *text, *output, *library, *files[MAX_FILES];
	int n_files;
	int seconds;
	bool counters, end_at_text, hangs;
} options = { .seconds = 120 };

static volatile pid_t child;

static void fail(const char *what)
{
	perror(what);
	if (child > 0)
		kill(-child, SIGKILL);
	exit(99);
}

static void on_signal(int number)
{
	if (child > 0)
		kill(-child, SIGKILL);
	_exit(128 + number);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void report(const char *name, uint64_t at, uint64_t start)
{
	printf("%s %llu\n", name, (unsigned long long)(at - start));
}

/* KVM's counters ------------------------------------------------------------------------------ */

/* The VMs that were there before are somebody else's. */
static char others[MAX_VMS][64];
static int n_others;

static bool is_others(const char *name)
{
	for (int i = 0; i < n_others; i++)
		if (strcmp(name, others[i]) == 0)
			return true;
	return false;
}

static void each_vm(void (*fn)(const char *name))
{
	DIR *dir = opendir(KVM_DIR);

	for (struct dirent *e; dir && (e = readdir(dir));)
		if (e->d_type == DT_DIR && e->d_name[0] >= '1' && e->d_name[0] <= '9')
			fn(e->d_name);
	if (dir)
		closedir(dir);
}

static void remember(const char *name)
{
	if (n_others < MAX_VMS)
		snprintf(others[n_others++], sizeof(others[0]), "%.63s", name);
}

/* The vCPUs' threads belong to the process that the directory is named after. */
static void freeze(const char *name)
{
	if (!is_others(name))
		kill(atoi(name), SIGSTOP);
}

static void thaw(const char *name)
{
	if (!is_others(name))
		kill(atoi(name), SIGCONT);
}

static void print_counters(const char *name)
{
	char path[512], value[64];
	DIR *dir;

	if (is_others(name))
		return;
	snprintf(path, sizeof(path), KVM_DIR "/%s", name);
	dir = opendir(path);
	for (struct dirent *e; dir && (e = readdir(dir));) {
		ssize_t n;
		int fd;

		if (e->d_type != DT_REG)
			continue;
		snprintf(path, sizeof(path), KVM_DIR "/%s/%s", name, e->d_name);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd < 0 ? -1 : read(fd, value, sizeof(value) - 1);
		if (n > 0 && value[0] >= '0' && value[0] <= '9')
			printf("kvm.%s %lld\n", e->d_name, atoll(value));
		if (fd >= 0)
			close(fd);
	}
	if (dir)
		closedir(dir);
}

static long long interrupts;

static void add_interrupts(const char *name)
{
	char path[512];
	long long n;
	FILE *f;

	if (is_others(name))
		return;
	snprintf(path, sizeof(path), KVM_DIR "/%s/irq_injections", name);
	f = fopen(path, "re");
	if (f && fscanf(f, "%lld", &n) == 1)
		interrupts += n;
	if (f)
		fclose(f);
}

/* Asked now and then: has the guest had next to no interrupts for HANG_NS, up to the time T? */
static bool hangs(uint64_t t)
{
	static uint64_t looked, since;
	static long long had;

	if (!options.hangs || t - looked < HANG_LOOK_NS)
		return false;
	looked = t;
	interrupts = 0;
	each_vm(add_interrupts);
	if (interrupts < HANG_BEGIN || interrupts - had >= HANG_INTERRUPTS) {
		since = t;
		had = interrupts;
	}
	return t - since >= HANG_NS;
}

static void print_file(const char *path)
{
	char line[4096];
	FILE *f = fopen(path, "re");

	while (f && fgets(line, sizeof(line), f))
		printf("file %s", line);
	if (f)
		fclose(f);
}

/* The program --------------------------------------------------------------------------------- */

static struct clocks *share_clocks(int fd)
{
	struct clocks *c;

	if (ftruncate(fd, sizeof(*c)) < 0)
		fail("clocks");
	c = mmap(NULL, sizeof(*c), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (c == MAP_FAILED)
		fail("clocks");
	return c;
}

static void become(char **command, int out, const char *clocks)
{
	int in = open("/dev/null", O_RDWR | O_CLOEXEC);

	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	dup2(in, 0);
	dup2(out, 1);
	if (options.library) {
		setenv(CLOCKS_VARIABLE, clocks, 1);
		setenv("LD_PRELOAD", options.library, 1);
	}
	execvp(command[0], command);
	perror(command[0]);
	_exit(127);
}

/* Waits for output until the deadline, or until the guest hangs. */
static bool wait_for_output(int in, uint64_t deadline)
{
	struct pollfd p = { .fd = in, .events = POLLIN };
	uint64_t t, wait;

	while ((t = now()) < deadline) {
		if (hangs(t)) {
			printf("hangs 1\n");
			kill(-child, SIGKILL);
			return false;
		}
		wait = deadline - t;
		if (options.hangs && wait > HANG_LOOK_NS)
			wait = HANG_LOOK_NS;
		if (poll(&p, 1, (int)(wait / 1000000u) + 1) > 0)
			return true;
	}
	return false;
}

/* Reads until TEXT (true), the end of the output, or the deadline. */
static bool read_until_text(int in, int out, uint64_t deadline)
{
	static char all[MAX_OUTPUT];
	size_t n = 0, length = options.text ? strlen(options.text) : 0;

	for (;;) {
		ssize_t got;
		size_t from;

		if (!wait_for_output(in, deadline))
			return false;
		if (n == sizeof(all)) /* nobody waits for that much */
			n = 0;
		got = read(in, all + n, sizeof(all) - n);
		if (got <= 0)
			return false;
		if (out >= 0 && write(out, all + n, (size_t)got) < 0)
			fail(options.output);
		from = n > length ? n - length : 0;
		n += (size_t)got;
		if (length && memmem(all + from, n - from, options.text, length))
			return true;
	}
}

static void at_text(uint64_t at, uint64_t start)
{
	if (options.counters)
		each_vm(freeze);
	report("text", at, start);
	if (options.counters) {
		each_vm(print_counters);
		for (int i = 0; i < options.n_files; i++)
			print_file(options.files[i]);
		each_vm(thaw);
	}
}

static int wait_for_end(uint64_t deadline, uint64_t *at)
{
	int status;

	while (waitpid(child, &status, WNOHANG) == 0) {
		if (now() > deadline) {
			kill(-child, SIGKILL);
			waitpid(child, &status, 0);
			return -1;
		}
		usleep(200);
	}
	*at = now();
	return WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status);
}

static void watch(char **command)
{
	int fd = memfd_create("clocks", 0), pipe_ends[2], out = -1, status;
	struct clocks *clocks = share_clocks(fd);
	uint64_t start, deadline, end = 0;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", getpid(), fd);
	if (options.output)
		out = open(options.output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (pipe2(pipe_ends, O_CLOEXEC) < 0)
		fail("pipe");
	each_vm(remember);
	start = now();
	deadline = start + (uint64_t)options.seconds * 1000000000u;
	child = fork();
	if (child < 0)
		fail("fork");
	if (child == 0)
		become(command, pipe_ends[1], path);
	close(pipe_ends[1]);
	if (read_until_text(pipe_ends[0], out, deadline)) {
		at_text(now(), start);
		if (options.end_at_text) {
			kill(child, SIGTERM);
			deadline = now() + GRACE_NS;
		}
		options.text = NULL;
		read_until_text(pipe_ends[0], out, deadline);
	}
	status = wait_for_end(deadline, &end);
	kill(-child, SIGKILL);
	if (clocks->first_run) {
		report("create_vm", clocks->create_vm, start);
		report("create_vm_took", clocks->create_vm_end, clocks->create_vm);
		report("first_run", clocks->first_run, start);
	}
	if (status >= 0 && !options.end_at_text)
		report("end", end, start);
	printf("status %d\n", status);
}

int main(int argc, char **argv)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
	int option;

	while ((option = getopt(argc, argv, "+x:o:p:c:t:keh")) != -1) {
		switch (option) {
		case 'x':
			options.text = optarg;
			break;
		case 'o':
			options.output = optarg;
			break;
		case 'p':
			options.library = optarg;
			break;
		case 'c':
			if (options.n_files < MAX_FILES)
				options.files[options.n_files++] = optarg;
			break;
		case 't':
			options.seconds = atoi(optarg);
			break;
		case 'k':
			options.counters = true;
			break;
		case 'e':
			options.end_at_text = true;
			break;
		case 'h':
			options.hangs = true;
			break;
		default:
			return 99;
		}
	}
	if (optind == argc)
		return 99;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		signal(signals[i], on_signal);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	watch(argv + optind);
	return 0;
}
