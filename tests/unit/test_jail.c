/*
 * test_jail.c - src/jail: what holds once the jail is closed, by root and by an ordinary user; what
 * is said of a layer that the host forbids; who is told of a call that is denied.
 *
 * Each jail is entered in a process of its own. What a stranger could do there, tests/jail has.
 */
#include "../../src/jail/layers.h"
#include "fake_stderr.h"
#include "unit.h"
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vmm/base/util.h>

#define HELD 7 /* the exit status of a process in which all was as it should be */
#define AS_ROOT 0u
#define AS_USER 65534u
#define FIRST_UID 0x70000000u

/* A host that forbids things ---------------------------------------------------------------------
 */

/* What is forbidden here, as the kernel would. */
static enum jail_layer forbidden = JAIL_LAYERS;

/* A sanitizer's runtime calls some of these before it is ready to look at them. */
#define PLAIN __attribute__((no_sanitize("address", "thread", "undefined")))

PLAIN static bool is_forbidden(enum jail_layer l)
{
	errno = EPERM;
	return forbidden == l;
}

static long (*real_syscall)(long number, ...); /* found outside */

PLAIN long syscall(long number, ...)
{
	long a[6];
	va_list ap;

	va_start(ap, number);
	for (unsigned int i = 0; i < 6; i++)
		a[i] = va_arg(ap, long);
	va_end(ap);
	if ((number == SYS_pivot_root && is_forbidden(LAYER_EMPTY_ROOT)) ||
	    (number == SYS_capset && is_forbidden(LAYER_CAPABILITIES)) ||
	    (number == SYS_landlock_restrict_self && is_forbidden(LAYER_LANDLOCK)) ||
	    (number == SYS_seccomp && is_forbidden(LAYER_SECCOMP)) ||
	    (number == SYS_clone && a[0] & CLONE_NEWPID && is_forbidden(LAYER_PID_NAMESPACE)))
		return -1;
	if (!real_syscall)
		*(void **)&real_syscall = dlsym(RTLD_NEXT, "syscall");
	return real_syscall(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

PLAIN int unshare(int flags)
{
	static const struct {
		int flag;
		enum jail_layer layer;
	} kinds[] = {
		{ CLONE_NEWNS, LAYER_MOUNT_NAMESPACE },
		{ CLONE_NEWNET, LAYER_NET_NAMESPACE },
		{ CLONE_NEWIPC, LAYER_IPC_NAMESPACE },
		{ CLONE_NEWUTS, LAYER_UTS_NAMESPACE },
		{ CLONE_NEWCGROUP, LAYER_CGROUP_NAMESPACE },
		{ CLONE_NEWUSER, LAYER_USER_NAMESPACE },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (flags == kinds[i].flag && is_forbidden(kinds[i].layer))
			return -1;
	}
	return (int)syscall(SYS_unshare, flags);
}

PLAIN int setgroups(size_t n, const gid_t *groups)
{
	return is_forbidden(LAYER_GROUPS) ? -1 : (int)syscall(SYS_setgroups, n, groups);
}

PLAIN int setresuid(uid_t r, uid_t eff, uid_t saved)
{
	return is_forbidden(LAYER_USER) ? -1 : (int)syscall(SYS_setresuid, r, eff, saved);
}

PLAIN int setrlimit(__rlimit_resource_t what, const struct rlimit *r)
{
	return is_forbidden(LAYER_LIMITS) ? -1 : prlimit(0, what, r, NULL);
}

PLAIN int prctl(int what, ...)
{
	unsigned long a[4];
	va_list ap;

	va_start(ap, what);
	for (unsigned int i = 0; i < 4; i++)
		a[i] = va_arg(ap, unsigned long);
	va_end(ap);
	if ((what == PR_SET_NO_NEW_PRIVS && is_forbidden(LAYER_NO_NEW_PRIVILEGES)) ||
	    (what == PR_SET_DUMPABLE && is_forbidden(LAYER_UNDUMPABLE)))
		return -1;
	return (int)syscall(SYS_prctl, what, a[0], a[1], a[2], a[3]);
}

/* In jail ----------------------------------------------------------------------------------------
 */

static struct jail jail;
static struct err e;
static int told = -1; /* our end of report_fd */

#ifdef __SANITIZE_THREAD__
#define ONE_THREAD false /* there is one of TSan's: no user namespace */
#else
#define ONE_THREAD true
#endif

/* What this host forbids in any case. Asked outside, where it may be asked. */
static bool has_landlock;

static void ask_host(void)
{
	has_landlock = syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* its version */) >= 1;
}

static bool host_forbids(enum jail_layer l)
{
	return (l == LAYER_LANDLOCK && !has_landlock) || (l == LAYER_USER_NAMESPACE && !ONE_THREAD);
}

/* Sanitizers have threads and files that no jail leaves them. */
__attribute__((noreturn)) static void leave(int status)
{
	syscall(SYS_exit_group, status);
	__builtin_unreachable();
}

/* In the process that shall be jailed, or one above it. */
static int go(enum jail_mode mode, int (*fn)(void), int report)
{
	int status;
	pid_t pid;

	jail_init(&jail, mode);
	jail.report_fd = report;
	pid = fork_apart(&jail);
	if (pid == 0)
		leave(fn());
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return 99;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* fn() in a process that has been forked as broker_fork() does it, by this user. Returns its
 * status. */
static int as(uid_t user, enum jail_mode mode, int (*fn)(void))
{
	int pair[2], status;
	pid_t pid;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	pid = fork();
	if (pid == 0) {
		const gid_t others[] = { 4, 27 };

		close(pair[0]);
		if (geteuid() == 0 && (syscall(SYS_setgroups, user ? 0 : 2, others) < 0 ||
				       setresgid(user, user, user) < 0 ||
				       syscall(SYS_setresuid, user, user, user) < 0))
			leave(98);
		prctl(PR_SET_DUMPABLE, 1, 0, 0, 0); /* as a program is that this user has started */
		leave(go(mode, fn, pair[1]));
	}
	close(pair[1]);
	told = pair[0];
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* The same, and it shall end with HELD; a denied call that keeps it from that is named. */
static void holds_as(uid_t user, enum jail_mode mode, int (*fn)(void))
{
	char text[256] = "nothing was denied";
	int rc = as(user, mode, fn);
	struct jail_denial d;

	if (recv(told, &d, sizeof(d), MSG_DONTWAIT) == sizeof(d))
		jail_describe_call(&d, text, sizeof(text));
	ck_assert_msg(rc == HELD, "%d; %s", rc, text);
}

static bool may_do_without(enum jail_layer l)
{
	return l == forbidden || host_forbids(l) ||
	       (l == LAYER_EMPTY_ROOT && forbidden == LAYER_MOUNT_NAMESPACE) ||
	       (l >= LAYER_LANDLOCK && forbidden == LAYER_NO_NEW_PRIVILEGES);
}

/* Layers -----------------------------------------------------------------------------------------
 */

static bool has_capabilities(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct c[2];

	if (syscall(SYS_capget, &head, c) < 0)
		return true;
	return c[0].effective || c[0].permitted || c[0].inheritable || c[1].effective ||
	       c[1].permitted || c[1].inheritable || prctl(PR_CAPBSET_READ, 0, 0, 0, 0) == 1;
}

static bool limit_is(__rlimit_resource_t what, rlim_t most)
{
	struct rlimit r;

	return getrlimit(what, &r) == 0 && r.rlim_cur <= most && r.rlim_max <= most;
}

/* In --jail log, where calls can be made and the other layers have to refuse them. */
static int look_around(void)
{
	struct stat st;

	if (jail_enter(&jail, &e) < 0)
		return 1;
	for (unsigned int l = 0; l < JAIL_LAYERS; l++) {
		if (jail.failed[l] && !host_forbids((enum jail_layer)l))
			return 100 + (int)l;
	}
	if (getpid() != 1)
		return 2;
	if (open("/proc/self/status", O_RDONLY | O_CLOEXEC) >= 0 ||
	    open("/", O_RDONLY | O_CLOEXEC | O_DIRECTORY) >= 0 || stat("/etc", &st) == 0 ||
	    mkdir("/x", 0700) == 0 || chdir("..") < 0)
		return 3;
	if (getgroups(0, NULL) > 0 && getuid() != AS_USER)
		return 4;
	if (has_capabilities())
		return 5;
	if (setresuid(0, 0, 0) == 0 || syscall(SYS_unshare, CLONE_NEWNS) == 0)
		return 6;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1 || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		return 7;
	if (!limit_is(RLIMIT_CORE, 0) || !limit_is(RLIMIT_MSGQUEUE, 0))
		return 8;
	return HELD;
}

static int look_around_as_nobody(void)
{
	int rc = look_around();

	/* In a user namespace of his own no number is anybody's. */
	if (rc == HELD && ONE_THREAD && (getuid() != AS_USER || geteuid() != AS_USER))
		return 9;
	return rc == HELD && getuid() == 0 ? 10 : rc;
}

START_TEST(every_layer_holds_whoever_has_started_it)
{
	static const uid_t who[] = { AS_ROOT, AS_USER };

	if (!ONE_THREAD && _i == 1)
		return; /* he needs the namespace */
	holds_as(who[_i], JAIL_LOG, look_around_as_nobody);
}
END_TEST

static int have_number_of_our_own(void)
{
	forbidden = LAYER_USER_NAMESPACE; /* there, it could not be seen */
	if (jail_enter(&jail, &e) < 0)
		return 1;
	if (getuid() < FIRST_UID || getgid() != getuid() || geteuid() != getuid())
		return 2;
	return HELD;
}

START_TEST(root_becomes_a_user_of_this_vm_alone)
{
	if (geteuid() == 0)
		holds_as(AS_ROOT, JAIL_LOG, have_number_of_our_own);
}
END_TEST

static int change_nothing(void)
{
	if (jail_enter(&jail, &e) < 0 || jail_close(&jail, JAIL_VCPU, "vcpu0", &e) < 0 ||
	    jail_limit(&jail, &e) < 0)
		return 1;
	jail_leave_thread(&jail); /* returns */
	for (unsigned int l = 0; l < JAIL_LAYERS; l++) {
		if (jail.failed[l])
			return 2;
	}
	return access("/proc/self", F_OK) == 0 && getpid() != 1 ? HELD : 3;
}

START_TEST(off_changes_nothing)
{
	holds_as(geteuid(), JAIL_OFF, change_nothing);
}
END_TEST

/* What the host forbids --------------------------------------------------------------------------
 */

static int be_refused(void)
{
	char words[128];
	int rc = jail_enter(&jail, &e);

	snprintf(words, sizeof(words), "--jail strict: %s: Operation not permitted",
		 jail_layer_name(forbidden));
	if (rc >= 0 || rc != e.code)
		return 1;
	return strstr(e.text, words) && strstr(e.text, "--jail on does without") ? HELD : 2;
}

START_TEST(strict_names_the_layer_that_the_host_forbids)
{
	if (geteuid() != 0)
		return; /* not each step is taken by a user */
	forbidden = (enum jail_layer)_i;
	for (unsigned int l = 0; l < forbidden; l++) {
		if (host_forbids((enum jail_layer)l))
			return; /* that one would be named */
	}
	holds_as(AS_ROOT, JAIL_STRICT, be_refused);
}
END_TEST

static int do_without(void)
{
	char text[1024];

	stderr_capture();
	if (jail_enter(&jail, &e) < 0)
		return 1;
	jail_tell(&jail);
	stderr_text(text, sizeof(text));
	if (!strstr(text, jail_layer_name(forbidden)) || !strstr(text, "the rest holds") ||
	    strchr(text, '\n') != text + strlen(text) - 1)
		return 2;
	for (unsigned int l = 0; l < JAIL_LAYERS; l++) {
		if (jail.failed[l] && !may_do_without((enum jail_layer)l))
			return 100 + (int)l;
	}
	return jail.failed[forbidden] ? HELD : 3;
}

START_TEST(on_does_without_what_the_host_forbids_and_tells_so_in_one_line)
{
	if (geteuid() != 0)
		return;
	forbidden = (enum jail_layer)_i;
	holds_as(AS_ROOT, JAIL_ON, do_without);
}
END_TEST

static int lose_the_broker(void)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0)
		return 1;
	close(pair[0]);
	jail.report_fd = pair[1];
	return jail_enter(&jail, &e) == -EPIPE && strstr(e.text, "is gone") ? HELD : 2;
}

START_TEST(nobody_goes_to_jail_when_there_is_nobody_who_waits)
{
	holds_as(geteuid(), JAIL_ON, lose_the_broker);
}
END_TEST

/* Denied calls -----------------------------------------------------------------------------------
 */

static enum jail_role role;

static int be_denied(void)
{
	if (jail_enter(&jail, &e) < 0)
		return 1;
	if (role != JAIL_BUILD && jail_close(&jail, role, "a thread's name, cut", &e) < 0)
		return 2;
	syscall(SYS_openat, 11, 22, 33, 44, 55, 66);
	return 3;
}

START_TEST(a_denied_call_is_told_with_its_thread_and_its_arguments)
{
	struct jail_denial d;
	char text[256];

	role = (enum jail_role)_i;
	ck_assert_int_eq(as(geteuid(), JAIL_ON, be_denied), 128 + SIGILL);
	ck_assert_int_eq(recv(told, &d, sizeof(d), 0), sizeof(d));
	ck_assert_int_eq(recv(told, &d, sizeof(d), 0), 0);
	ck_assert_str_eq(d.thread, role == JAIL_BUILD ? "main" : "a thread's name");
	jail_describe_call(&d, text, sizeof(text));
	ck_assert_str_eq(text, "openat(0xb, 0x16, 0x21, 0x2c, 0x37, 0x42)");
}
END_TEST

static int be_signalled(void)
{
	if (jail_enter(&jail, &e) < 0)
		return 1;
	kill(getpid(), SIGSYS); /* denied */
	return 2;
}

START_TEST(a_call_of_another_kind_is_told_by_its_own_name)
{
	struct jail_denial d = { .number = 100000, .arch = 1 };
	char text[256];

	ck_assert_int_eq(as(geteuid(), JAIL_ON, be_signalled), 128 + SIGILL);
	ck_assert_int_eq(recv(told, &d, sizeof(d), 0), sizeof(d));
	jail_describe_call(&d, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "kill(0x1, 0x1f"));
	d = (struct jail_denial){ .number = 100000, .arch = d.arch, .args = { 1 } };
	jail_describe_call(&d, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "system call 100000"));
	d = (struct jail_denial){ .number = -1, .arch = 0x40000003 };
	jail_describe_call(&d, text, sizeof(text));
	ck_assert_ptr_nonnull(strstr(text, "of table 0x40000003"));
}
END_TEST

/* Limits -----------------------------------------------------------------------------------------
 */

static const struct {
	int inherited; /* a descriptor of that number */
	int opened; /* so many, while the VM is built */
	int allowed; /* so many more */
} descriptors[] = { { -1, 0, 64 }, { 40, 0, 63 }, { -1, 100, 64 } };
static int row; /* of them */

/* Whoever has started this test may have left any open: begin with what is known. */
static void set_descriptors(void)
{
	jail.report_fd = dup2(jail.report_fd, 3);
	for (int fd = 4; fd < 1024; fd++)
		close(fd);
	if (descriptors[row].inherited >= 0)
		dup2(0, descriptors[row].inherited);
}

/* That many, or as many as there may be. */
static int open_more(int most)
{
	int n = 0;

	while (n < most && dup(0) >= 0)
		n++;
	return n;
}

static int want_more(void)
{
	set_descriptors();
	if (jail_enter(&jail, &e) < 0)
		return 1;
	open_more(descriptors[row].opened);
	if (jail_limit(&jail, &e) < 0)
		return 1;
	if (open_more(4096) != descriptors[row].allowed)
		return 2;
	if (mmap(NULL, 128 * MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED)
		return 3;
	return mmap(NULL, 16 * MIB, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED
		       ? 4
		       : HELD;
}

START_TEST(there_is_no_more_memory_and_no_more_descriptors_than_a_vm_can_want)
{
	row = _i;
	holds_as(geteuid(), JAIL_ON, want_more);
}
END_TEST

#define LOOP(s, fn, n) unit_add_loop_with(s, #fn, fn, n, ask_host, NULL)

static Suite *suite(void)
{
	Suite *s = suite_create("jail");

	LOOP(s, every_layer_holds_whoever_has_started_it, 2);
	UNIT_WITH(s, root_becomes_a_user_of_this_vm_alone, ask_host, NULL);
	UNIT_WITH(s, off_changes_nothing, ask_host, NULL);
	LOOP(s, strict_names_the_layer_that_the_host_forbids, JAIL_LAYERS);
	LOOP(s, on_does_without_what_the_host_forbids_and_tells_so_in_one_line, JAIL_LAYERS);
	UNIT_WITH(s, nobody_goes_to_jail_when_there_is_nobody_who_waits, ask_host, NULL);
	LOOP(s, a_denied_call_is_told_with_its_thread_and_its_arguments, JAIL_ROLES);
	UNIT_WITH(s, a_call_of_another_kind_is_told_by_its_own_name, ask_host, NULL);
	LOOP(s, there_is_no_more_memory_and_no_more_descriptors_than_a_vm_can_want,
	     ARRAY_SIZE(descriptors));
	return s;
}

UNIT_MAIN("jail", suite)
