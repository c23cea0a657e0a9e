/*
 * cmd_run.c - `vmm run`: options -> config -> machine -> run -> exit status.
 *
 * Life of a VM: all of it. Main thread.
 */
#include "cli.h"
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/host/evloop.h>
#include <vmm/machine/config.h>
#include <vmm/machine/machine.h>
#include <vmm/machine/outside.h>
#include <vmm/machine/timeline.h>

static int set_kernel(void *c, const char *v, struct err *e)
{
	(void)e;
	((struct vm_config *)c)->kernel = v;
	return 0;
}

static int set_initrd(void *c, const char *v, struct err *e)
{
	(void)e;
	((struct vm_config *)c)->initrd = v;
	return 0;
}

static int set_mem(void *c, const char *v, struct err *e)
{
	return opts_parse_size(v, &((struct vm_config *)c)->ram_bytes, e);
}

static int set_mem_lock(void *c, const char *v, struct err *e)
{
	(void)v, (void)e;
	((struct vm_config *)c)->mem_lock = true;
	return 0;
}

static int set_mem_merge(void *c, const char *v, struct err *e)
{
	(void)v, (void)e;
	((struct vm_config *)c)->mem_merge = true;
	return 0;
}

static int set_cpus(void *c, const char *v, struct err *e)
{
	return config_parse_cpus(c, v, e);
}

static int set_core_scheduling(void *c, const char *v, struct err *e)
{
	(void)v, (void)e;
	((struct vm_config *)c)->core_scheduling = true;
	return 0;
}

static int set_limit(void *c, const char *v, struct err *e)
{
	return cgroup_limits_parse(&((struct vm_config *)c)->limits, v, e);
}

static int set_append(void *c, const char *v, struct err *e)
{
	return config_append(c, v, e);
}

static int set_cmdline(void *c, const char *v, struct err *e)
{
	(void)e;
	((struct vm_config *)c)->cmdline = v;
	return 0;
}

static int set_boot(void *c, const char *v, struct err *e)
{
	struct vm_config *cfg = c;

	if (strcmp(v, "direct") == 0)
		cfg->boot = BOOT_DIRECT;
	else if (strcmp(v, "compressed") == 0)
		cfg->boot = BOOT_COMPRESSED;
	else
		return err_set(e, -EINVAL, "expected direct or compressed");
	return 0;
}

static int set_serial(void *c, const char *v, struct err *e)
{
	return config_parse_serial(c, v, e);
}

static int set_console(void *c, const char *v, struct err *e)
{
	return console_spec_parse_console(&((struct vm_config *)c)->console, v, e);
}

static int set_port(void *c, const char *v, struct err *e)
{
	return console_spec_parse_port(&((struct vm_config *)c)->console, v, e);
}

static int add_disk(void *c, const char *v, struct err *e)
{
	return config_add_disk(c, v, e);
}

static int add_net(void *c, const char *v, struct err *e)
{
	return config_add_net(c, v, e);
}

static int set_rng(void *c, const char *v, struct err *e)
{
	return rng_spec_parse(&((struct vm_config *)c)->rng, v, e);
}

static int set_transport(void *c, const char *v, struct err *e)
{
	return config_parse_transport(c, v, e);
}

static int set_stats(void *c, const char *v, struct err *e)
{
	(void)e;
	((struct vm_config *)c)->stats_path = v;
	return 0;
}

static int set_timeout(void *c, const char *v, struct err *e)
{
	return opts_parse_duration(v, &((struct vm_config *)c)->timeout_ns, e);
}

static int set_expect(void *c, const char *v, struct err *e)
{
	(void)e;
	((struct vm_config *)c)->expect = v;
	return 0;
}

static int set_on_reboot(void *c, const char *v, struct err *e)
{
	struct vm_config *cfg = c;

	if (strcmp(v, "restart") != 0 && strcmp(v, "exit") != 0)
		return err_set(e, -EINVAL, "expected restart or exit");
	cfg->exit_on_reboot = strcmp(v, "exit") == 0;
	return 0;
}

static int set_trace(void *c, const char *v, struct err *e)
{
	struct vm_config *cfg = c;

	if (strncmp(v, "exits", 5) != 0 || (v[5] != '\0' && (v[5] != '=' || v[6] == '\0')))
		return err_set(e, -EINVAL, "expected exits or exits=FILE");
	cfg->trace_exits = true;
	cfg->trace_path = v[5] ? v + 6 : NULL;
	return 0;
}

static int set_timeline(void *c, const char *v, struct err *e)
{
	(void)e;
	((struct vm_config *)c)->timeline_path = v;
	return 0;
}

static int set_jail(void *c, const char *v, struct err *e)
{
	if (config_parse_jail(c, v, e) < 0)
		return e->code;
	if (((struct vm_config *)c)->jail == JAIL_OFF)
		log_warn("--jail off: a guest that breaks out of its VM has all that you have");
	return 0;
}

static int set_log(void *c, const char *v, struct err *e)
{
	enum log_level level;

	(void)c;
	if (!log_level_parse(v, &level))
		return err_set(e, -EINVAL, "expected error, warn, info or debug");
	log_set_level(level);
	return 0;
}

const struct opt run_options[] = {
	{ "kernel", "FILE", "The kernel: a bzImage (as /boot/vmlinuz-*) or an ELF vmlinux.",
	  set_kernel },
	{ "initrd", "FILE", "The initial RAM disk, up to 1 GiB.", set_initrd },
	{ "mem", "SIZE", "RAM, 64M or more: 512M, 2G; a bare number is MiB. Default 512M.",
	  set_mem },
	{ "mem-lock", NULL, "The host never swaps the guest's RAM out.", set_mem_lock },
	{ "mem-merge", NULL,
	  "The host may merge pages that are equal to others' (KSM). Saves RAM where guests are\n"
	  "alike; lets one guest find out what another has: not for guests that are strangers.",
	  set_mem_merge },
	{ "cpus", "N|sockets=S,cores=C,threads=T", "CPUs. Default 1.", set_cpus },
	{ "core-scheduling", NULL,
	  "No other process runs on a hardware thread (SMT) beside one of this VM's.",
	  set_core_scheduling },
	{ "limit", "mem=SIZE,cpu=N[.N],pids=N,io=SIZE",
	  "The most that the VM may take of this host, by cgroup v2; any of them. mem: all its\n"
	  "memory, not only RAM. cpu: CPUs' worth of time. pids: processes and threads. io: bytes\n"
	  "a second, read and written, of each disk below --disk. More in the man page.",
	  set_limit },
	{ "disk", "FILE[,ro][,snapshot][,direct][,id=ID]...",
	  "A disk: a raw image or a block device. May be given more than once (vda, vdb, ...).\n"
	  "ro: read-only. snapshot: what is written vanishes at the end. More in the man page.",
	  add_disk },
	{ "net", "none|user|tap[=NAME]|unix=PATH|loop[,...]",
	  "A network interface. user: by passt, without root; publish=HOST:GUEST makes a port of\n"
	  "the guest reachable, host the host's own services. tap: an interface of this host.\n"
	  "vhost=on: the host's kernel moves its frames. unix: another VM. loop: what is sent "
	  "comes\n"
	  "back. Default none.",
	  add_net },
	{ "append", "WORDS", "Adds to the kernel's command line. May be given more than once.",
	  set_append },
	{ "cmdline", "WORDS", "Replaces the kernel's command line.", set_cmdline },
	{ "boot", "direct|compressed",
	  "direct: we unpack a bzImage, once, and cache it (default).\n"
	  "compressed: the guest unpacks it. Random addresses (KASLR) it has with either.",
	  set_boot },
	{ "serial", "stdio|pty|file=F|unix=F|null", "The other end of ttyS0. Default stdio.",
	  set_serial },
	{ "console", "stdio|pty|file=F|unix=F|null",
	  "The other end of hvc0, a virtio console: fast, but the kernel needs the driver.\n"
	  "With stdio, ttyS0 goes nowhere unless --serial says otherwise.",
	  set_console },
	{ "port", "NAME=stdio|pty|file=F|unix=F|null",
	  "One more virtio port: /dev/virtio-ports/NAME or /dev/vportNpM in the guest.", set_port },
	{ "rng", "rate=SIZE|none", "The entropy device: bytes a second. Default rate=1M.",
	  set_rng },
	{ "transport", "pci|mmio|mmio,cmdline",
	  "Where the guest finds these devices. mmio: described by ACPI, or by words on the\n"
	  "kernel's command line. Default pci.",
	  set_transport },
	{ "timeout", "TIME", "Ends the VM after that long: 30s, 1500ms, 2m.", set_timeout },
	{ "expect", "TEXT", "Ends the VM with success as soon as TEXT is on the console.",
	  set_expect },
	{ "on-reboot", "restart|exit", "What a reboot of the guest does. Default restart.",
	  set_on_reboot },
	{ "stats", "FILE",
	  "Writes what each device has counted, and CPU time, memory and faults of the process, "
	  "as\n"
	  "JSON: at the end and on SIGUSR1.",
	  set_stats },
	{ "trace", "exits[=FILE]", "Writes one line for each exit from the guest, decoded.",
	  set_trace },
	{ "timeline", "FILE.svg|FILE.json",
	  "Draws where each millisecond of a start goes, in vmm and in the guest.", set_timeline },
	{ "jail", "on|strict|log|off",
	  "What the VM's process gives up before the guest starts. on (default): all that this\n"
	  "host lets it give up. strict: all, or it is an error. log: calls that it must not make\n"
	  "are told and go on. off: nothing.",
	  set_jail },
	{ "log", "LEVEL", "error, warn (default), info or debug.", set_log },
	{ 0 },
};

/* A VM that ended in good order, though without the text that was to come. */
static int orderly(const struct vm_config *cfg, const struct vm_result *r, int status)
{
	if (!cfg->expect || r->expected)
		return status;
	log_error("the guest ended, and \"%s\" had not come", cfg->expect);
	return EXIT_UNEXPECTED;
}

static int exit_status(const struct vm_config *cfg, const struct vm_result *r)
{
	switch (r->end) {
	case END_NONE:
	case END_HOST:
		return EXIT_VMM; /* the reason has been logged */
	case END_EXPECTED:
		return 0;
	case END_POWEROFF:
	case END_REBOOT:
	case END_USER:
		return orderly(cfg, r, 0);
	case END_STATUS:
		return orderly(cfg, r, (int)r->value);
	case END_PANIC:
		log_error("the guest's kernel panicked");
		return EXIT_PANIC;
	case END_CRASH:
		return EXIT_CRASH;
	case END_TIMEOUT:
		log_error("--timeout: %" PRIu64 " ms have passed", cfg->timeout_ns / NS_PER_MS);
		return EXIT_TIMEOUT;
	case END_SIGNAL:
		return EXIT_SIGNAL_BASE + (int)r->value;
	}
	return EXIT_VMM;
}

/* In the VM's process. */
static int be_vm(const struct vm_config *cfg, struct err *e)
{
	struct vm_result result = { 0 };
	struct machine *m;
	int rc;

	if (machine_build(&m, cfg, e) < 0)
		return e->code;
	rc = machine_run(m, &result, e);
	machine_destroy(m);
	return rc < 0 ? rc : exit_status(cfg, &result);
}

/* In the other one: the VM's has said what there was to say, unless it could not. */
static int status_of(const struct broker_end *end)
{
	char call[256];

	if (WIFEXITED(end->status))
		return WEXITSTATUS(end->status);
	if (end->was_killed)
		log_error("the VM's process did not end when it was told to, and was killed");
	if (!end->was_denied && WTERMSIG(end->status) == SIGSYS) {
		log_error("jail: the VM's process made a system call that is on no list, with its "
			  "signals blocked, so that it could not be told which: the VM has been "
			  "ended");
		return EXIT_DENIED;
	}
	if (!end->was_denied && !end->was_killed) {
		log_error("the VM's process was ended by signal %d (%s)", WTERMSIG(end->status),
			  strsignal(WTERMSIG(end->status)));
		return EXIT_SIGNAL_BASE + WTERMSIG(end->status);
	}
	if (!end->was_denied)
		return EXIT_SIGNAL_BASE + WTERMSIG(end->status);
	jail_describe_call(&end->denial, call, sizeof(call));
	log_error("jail: thread %s called %s: not on its list, so the VM has been ended. If no "
		  "guest has broken out, this is a mistake of vmm: please report this line; "
		  "--jail log lets such calls through",
		  end->denial.thread, call);
	return EXIT_DENIED;
}

static int wait_for_vm(struct outside *o, const struct cli_hook *hook, struct err *e)
{
	struct broker_end end;
	int rc = 0;

	if (hook && hook->started)
		rc = hook->started(hook->arg, e);
	if (rc < 0) {
		struct err ignored;

		kill(o->broker.pid, SIGKILL);
		outside_wait(o, &end, &ignored);
		return rc;
	}
	rc = outside_wait(o, &end, e);
	return rc < 0 ? rc : status_of(&end);
}

int cli_run_vm(struct vm_config *cfg, const struct cli_hook *hook, bool *inside, struct err *e)
{
	struct outside o;
	int rc;

	*inside = false;
	if (config_check(cfg, e) < 0)
		return e->code;
	rc = outside_open(&o, cfg, e);
	*inside = o.broker.inside;
	cfg->outside = &o;
	if (rc == 0)
		rc = *inside ? be_vm(cfg, e) : wait_for_vm(&o, hook, e);
	cfg->outside = NULL;
	outside_close(&o);
	return rc;
}

int cmd_run(int argc, char *const *argv, struct err *e)
{
	struct vm_config cfg;
	bool inside;
	int rc;

	config_init(&cfg);
	cfg.start_ns = evloop_now_ns();
	rc = opts_parse(run_options, argc, argv, &cfg, e);
	config_settle(&cfg);
	if (rc == 0 && cfg.timeline_path)
		rc = timeline_open(&cfg.timeline, cfg.timeline_path, cfg.start_ns, e);
	if (rc == 0)
		rc = cli_run_vm(&cfg, NULL, &inside, e);
	timeline_close(cfg.timeline);
	config_fini(&cfg);
	return rc;
}
