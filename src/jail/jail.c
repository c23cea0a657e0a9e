/*
 * jail.c - the order in which a VM's process gives up its power.
 *
 * Life of a VM: when everything has been opened and nothing of a stranger's has been looked at,
 * jail_enter() on the main thread; then the kernel is unpacked, the VM is made, the threads are
 * started; each of them, and the main thread last, closes its own jail by jail_close(). Then comes
 * the guest's first instruction.
 *
 * Nothing here is needed for the VM to be safe from its guest: that is what the rest of the program
 * is for. It is for the day on which a guest has found a mistake there.
 */
#include "layers.h"
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>

/* The order, and why it is this one. */
static const struct {
	int (*close)(struct jail *j);
	const char *name, *what;
} layers[JAIL_LAYERS] = {
	/* A PID namespace begins with a child: broker_fork() has done this one. */
	[LAYER_PID_NAMESPACE] = { NULL, "a PID namespace", "no other process has a number in it" },
	/* These take the power to administrate, which goes below. */
	[LAYER_MOUNT_NAMESPACE] = { enter_mount_namespace, "a mount namespace",
				    "what is mounted changes for it alone" },
	[LAYER_NET_NAMESPACE] = { enter_net_namespace, "a network namespace",
				  "no interface, no route, no abstract socket of the host's" },
	[LAYER_IPC_NAMESPACE] = { enter_ipc_namespace, "an IPC namespace",
				  "no shared memory or queue of anybody's" },
	[LAYER_UTS_NAMESPACE] = { enter_uts_namespace, "a UTS namespace",
				  "the host's name is not its to change" },
	[LAYER_CGROUP_NAMESPACE] = { enter_cgroup_namespace, "a cgroup namespace",
				     "the host's cgroups are out of sight" },
	[LAYER_EMPTY_ROOT] = { enter_empty_root, "an empty root",
			       "no file, not even /proc or /dev, and none can be made" },
	/* Root becomes nobody, groups first: nobody may not change them. */
	[LAYER_GROUPS] = { drop_groups, "no supplementary groups",
			   "no group's rights (as root; a user's have nothing left to open)" },
	[LAYER_USER] = { become_nobody, "an unprivileged user",
			 "root's VM is a number that is nobody's" },
	/* Nobody may still make a user namespace, in which no user of the host's exists. */
	[LAYER_USER_NAMESPACE] = { enter_user_namespace, "a user namespace",
				   "no user of the host's exists in it, root included" },
	/* It came with all capabilities over itself: they go, for good. */
	[LAYER_CAPABILITIES] = { drop_capabilities, "no capabilities",
				 "none now, none by any program, none by becoming root" },
	[LAYER_NO_NEW_PRIVILEGES] = { set_no_new_privileges, "no new privileges",
				      "set-user-ID programs do not work" },
	[LAYER_UNDUMPABLE] = { set_undumpable, "no core dumps, no tracing",
			       "its memory, and so the guest's, stays inside" },
	[LAYER_LIMITS] = { set_first_limits, "limits",
			   "memory and descriptors: a little more than it has" },
	/* These two take no_new_privs. Landlock's own calls are on no list, so it comes first. */
	[LAYER_LANDLOCK] = { restrict_paths, "Landlock",
			     "no path leads anywhere, should it find a root with files" },
	[LAYER_SECCOMP] = { NULL, "seccomp", "at most 35 system calls, 10 for a vCPU" },
};

#ifndef SYS_SECCOMP
#define SYS_SECCOMP 1 /* si_code: <asm-generic/siginfo.h> */
#endif

/* Of this thread, for the handler of SIGSYS, which has no other way to know. */
static __thread char thread_name[JAIL_NAME];
static int report_fd = -1; /* written before there are threads */

void jail_init(struct jail *j, enum jail_mode mode)
{
	*j = (struct jail){ .mode = mode,
			    .as_root = geteuid() == 0,
			    .number = (uint32_t)getpid(),
			    .statm_fd = -1,
			    .report_fd = -1 };
	pthread_mutex_init(&j->lock, NULL);
}

void jail_fini(struct jail *j)
{
	free(j->logs);
	j->logs = NULL;
	if (j->statm_fd >= 0)
		close(j->statm_fd);
	j->statm_fd = -1;
	pthread_mutex_destroy(&j->lock);
}

const char *jail_layer_name(enum jail_layer l)
{
	return layers[l].name;
}

const char *jail_layer_what(enum jail_layer l)
{
	return layers[l].what;
}

/* A denied call ------------------------------------------------------------------------------ */

static void copy_args(struct jail_denial *d, const ucontext_t *uc)
{
#ifdef __x86_64__
	static const int regs[] = { REG_RDI, REG_RSI, REG_RDX, REG_R10, REG_R8, REG_R9 };

	for (unsigned int i = 0; i < ARRAY_SIZE(regs); i++)
		d->args[i] = (uint64_t)uc->uc_mcontext.gregs[regs[i]];
#else
	for (unsigned int i = 0; i < ARRAY_SIZE(d->args); i++)
		d->args[i] = uc->uc_mcontext.regs[i];
#endif
}

/*
 * The call has not been made. The broker finds words for it; this process is in an unknown state,
 * and ends by a fault of its own, which takes no system call. A SIGSYS that somebody has sent is
 * like any other crash.
 */
static void on_denied(int signo, siginfo_t *info, void *context)
{
	struct jail_denial d = { .number = info->si_syscall, .arch = info->si_arch };

	(void)signo;
	if (info->si_code == SYS_SECCOMP) {
		memcpy(d.thread, thread_name, sizeof(d.thread));
		copy_args(&d, context);
		/* Nobody is left to be told of an error in telling an error. */
		(void)!write(report_fd, &d, sizeof(d));
	}
	__builtin_trap();
}

/* Crashes are told by the broker, and what must be undone is undone outside. */
void jail_watch(const struct jail *j)
{
	struct sigaction denied = { .sa_sigaction = on_denied, .sa_flags = SA_SIGINFO };
	static const int crashing[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };

	report_fd = j->report_fd;
	for (unsigned int i = 0; i < ARRAY_SIZE(crashing); i++)
		signal(crashing[i], SIG_DFL);
	sigaction(SIGSYS, &denied, NULL);
}

/* Closing ------------------------------------------------------------------------------------ */

static int note(struct jail *j, enum jail_layer l, int rc, struct err *e)
{
	if (rc < 0 || !j->failed[l])
		j->failed[l] = -rc;
	if (rc == 0 || j->mode != JAIL_STRICT)
		return 0;
	return err_set(e, rc, "--jail strict: %s: %s; --jail on does without", layers[l].name,
		       strerror(-rc));
}

/* Tokens and passwords are often there. The name of the terminal is still wanted. */
static void forget_environment(void)
{
	char **kept = environ;

	for (char **v = environ; v && *v; v++) {
		if (strncmp(*v, "TERM=", 5) == 0)
			*kept++ = *v;
		else
			explicit_bzero(*v, strlen(*v));
	}
	if (kept)
		*kept = NULL;
}

/* What needs /proc, or a path, while there still is one. */
static void prepare(struct jail *j)
{
	forget_environment();
	/* One heap for all threads: the ninth would have the C library look for the number of CPUs
	 * in /sys. */
	mallopt(M_ARENA_MAX, 1);
	j->statm_fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	jail_watch(j);
}

int jail_enter(struct jail *j, struct err *e)
{
	char byte;

	if (j->mode == JAIL_OFF)
		return 0;
	if (note(j, LAYER_PID_NAMESPACE, -j->failed[LAYER_PID_NAMESPACE], e) < 0)
		return e->code;
	prepare(j);
	for (unsigned int l = 0; l < JAIL_LAYERS; l++) {
		if (layers[l].close && note(j, (enum jail_layer)l, layers[l].close(j), e) < 0)
			return e->code;
	}
	/* Changing users has undone it: prctl(2). The broker may have died meanwhile. */
	prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
	if (j->report_fd >= 0 && recv(j->report_fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
		return err_set(e, -EPIPE, "the process that waits for the VM is gone");
	return jail_close(j, JAIL_BUILD, "main", e);
}

/* Room for one more, while there is still leave to ask for memory. */
static int make_room_locked(struct jail *j)
{
	void *more = realloc(j->logs, (j->n_logs + 1) * sizeof(*j->logs));

	if (!more)
		return -ENOMEM;
	j->logs = more;
	return 0;
}

/* The broker learns from the main thread where this thread's calls are told. */
static void note_log_locked(struct jail *j, int fd)
{
	if (fd < 0)
		return;
	j->logs[j->n_logs].fd = fd;
	memcpy(j->logs[j->n_logs++].thread, thread_name, JAIL_NAME);
}

int jail_close(struct jail *j, enum jail_role role, const char *name, struct err *e)
{
	int rc, log_fd = -1;

	if (j->mode == JAIL_OFF || (j->mode == JAIL_LOG && role == JAIL_BUILD))
		return 0;
	strncpy(thread_name, name, sizeof(thread_name) - 1);
	pthread_mutex_lock(&j->lock);
	rc = -j->failed[LAYER_SECCOMP];
	if (rc == 0 && j->mode == JAIL_LOG)
		rc = make_room_locked(j);
	if (rc == 0)
		rc = install_filter(j, role, &log_fd);
	note_log_locked(j, log_fd);
	rc = note(j, LAYER_SECCOMP, rc, e);
	pthread_mutex_unlock(&j->lock);
	return rc;
}

/* pthread_join() waits for what the kernel does at a thread's end, not for what the C library does
 * before. */
void jail_leave_thread(const struct jail *j)
{
	if (j->mode != JAIL_OFF)
		syscall(SYS_exit, 0);
}

int jail_limit(struct jail *j, struct err *e)
{
	if (j->mode == JAIL_OFF)
		return 0;
	return note(j, LAYER_LIMITS, set_last_limits(j), e);
}

void jail_tell(const struct jail *j)
{
	char text[512] = "";
	size_t n = 0;

	for (unsigned int l = 0; l < JAIL_LAYERS && n < sizeof(text); l++) {
		if (j->failed[l])
			n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s (%s)",
					      n ? ", " : "", layers[l].name,
					      strerror(j->failed[l]));
	}
	if (n > 0)
		log_warn("jail: this host forbids %s; the rest holds (vmm doctor --jail)", text);
}
