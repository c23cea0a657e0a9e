/*
 * door.c - a door in the VMM's wall: what an attacker who has taken over a thread would do there.
 *
 * Life of a VM: linked into the program vmm-door, which is vmm in all else. The environment's DOOR
 * is read before main(); then each role has one place, which it comes to only after its thread's
 * jail has closed. There the attacks are run, once:
 *
 *	vcpu	the second time that a vCPU's thread enters KVM_RUN
 *	loop	the main thread, back from epoll_wait() when a vCPU has run
 *	worker	a thread that is about to read or write a disk for the guest
 *
 * What DOOR says:
 *
 *	list			print the table, and end
 *	ROLE:NAME[,NAME...]	run these attacks
 *	ROLE:all[-F][+G]	run those with no flag of F, and one of G (numbers, attack.h)
 *	ROLE:nr=N		make the system call N, with zeros
 *	ROLE:numbers		make all of them, with zeros. Here alone something of the program
 *				is not as it is: what it does about SIGSYS. That the filter has
 *				said no is noted, and life goes on.
 *
 * Each attack tells how it went on stderr, in one line:
 *
 *	attack NAME: got in: WHAT
 *	attack NAME: refused: EPERM
 *	attack numbers: passed: 0 1 ...
 *
 * DOOR_EXIT, not empty: the process ends after that; otherwise the VM goes on. DOOR_OPEN_RING, not
 * empty: the disk's ring is not restricted, so that attacks by it can be seen to be real.
 */
#include "attack.h"
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <unistd.h>
#include <vmm/base/err.h>
#include <vmm/kvm/kvm_vcpu.h>

enum role { NOBODY, VCPU, LOOP, WORKER };

struct door door;

static const struct attack *const tables[] = {
	attacks_on_files,    attacks_on_networks, attacks_on_processes, attacks_on_execution,
	attacks_on_the_host, attacks_on_identity, attacks_on_memory,    attacks_on_descriptors,
	attacks_on_kvm,      attacks_on_rings,    attacks_on_brokers,   attacks_by_other_tables,
};
#define N_TABLES (sizeof(tables) / sizeof(tables[0]))

static struct {
	enum role role;
	const char *names; /* what DOOR says behind the colon */
	unsigned int with, without; /* flags, for "all" */
	bool ends, numbers, open_ring;
	pthread_t main;
	bool vcpu_ran, opened, closed; /* atomic access */
} plan;

/* What happened
 * ------------------------------------------------------------------------------- */

static void put(char **at, const char *s)
{
	while (*s)
		*(*at)++ = *s++;
}

static void put_number(char **at, unsigned long n)
{
	char digits[20];
	int i = 0;

	do
		digits[i++] = (char)('0' + n % 10);
	while (n /= 10);
	while (i > 0)
		*(*at)++ = digits[--i];
}

static const char *error_name(int error)
{
	const char *name = strerrorname_np(error);

	return name ? name : "an error";
}

/* In one write: other threads print, too. */
static void tell(const char *name, long rc, const char *what)
{
	char line[512], *at = line;

	put(&at, "attack ");
	put(&at, name);
	if (rc < 0) {
		put(&at, ": refused: ");
		put(&at, error_name((int)-rc));
	} else {
		put(&at, ": got in: ");
		put(&at, what);
	}
	put(&at, "\n");
	sys(SYS_write, STDERR_FILENO, line, at - line);
}

/* Doing it
 * ------------------------------------------------------------------------------------ */

static bool gives_descriptor(long nr)
{
	return nr == SYS_openat || nr == SYS_socket || nr == SYS_userfaultfd ||
	       nr == SYS_fanotify_init || nr == SYS_inotify_init1 || nr == SYS_memfd_secret;
}

static void try_one(const struct attack *a)
{
	long rc = a->run ? a->run()
			 : sys6(a->nr, a->arg[0], a->arg[1], a->arg[2], a->arg[3], a->arg[4],
				a->arg[5]);

	for (unsigned int i = 0; i < 2; i++) {
		if (a->passed[i] && rc == -a->passed[i])
			rc = 0;
	}
	if (!a->run && gives_descriptor(a->nr))
		closed(rc);
	tell(a->name, rc, a->what);
}

/* Whether the word stands in the list, between commas. */
static bool names_it(const char *list, const char *word)
{
	for (const char *s = list;; s++) {
		const char *w = word;

		while (*w && *s == *w)
			s++, w++;
		if (!*w && (!*s || *s == ','))
			return true;
		while (*s && *s != ',')
			s++;
		if (!*s)
			return false;
	}
}

static bool is_planned(const struct attack *a)
{
	if (!plan.names)
		return (a->flags & plan.with || !plan.with) && !(a->flags & plan.without);
	return names_it(plan.names, a->name);
}

static void try_number(const char *digits)
{
	long nr = 0;

	for (; *digits; digits++)
		nr = nr * 10 + (*digits - '0');
	tell("nr", sys(nr), "a call that no list has");
}

static jmp_buf before_call;

/* Not back to the call by rt_sigreturn(), which is on no worker's list. */
static void on_denied(int signo)
{
	(void)signo;
	longjmp(before_call, 1);
}

/* A filter may also refuse by an error, as if the call were not there: with one that the kernel has
 * no reason to give for zeros. */
static bool is_error_of_filter(long nr, long rc)
{
	return (nr == SYS_clone3 && rc == -ENOSYS) || (nr == SYS_mremap && rc == -ENOMEM);
}

static bool lets_through(long nr)
{
	if (_setjmp(before_call))
		return false;
	return !is_error_of_filter(nr, sys(nr));
}

/* Ends the process, or its thread, or blocks, or makes two of one: to be tried by nr= alone. */
static bool is_one_way(long nr)
{
	return nr == SYS_rt_sigreturn || nr == SYS_pause || nr == SYS_exit ||
	       nr == SYS_exit_group || nr == SYS_fork || nr == SYS_vfork || nr == SYS_clone ||
	       nr == SYS_rt_sigsuspend;
}

/* Linux lets these two through any filter: what a debugger has put into a program calls them, and
 * elsewhere they do nothing good. */
static bool is_exempt(long nr)
{
	return nr == 335 /* uretprobe */ || nr == 336 /* uprobe */;
}

#define MOST_NUMBERS 600 /* Linux has fewer */

static void try_numbers(void)
{
	char line[8 * MOST_NUMBERS], *at = line;

	put(&at, "attack numbers: passed:");
	for (long nr = 0; nr <= MOST_NUMBERS; nr++) {
		if (is_one_way(nr) || is_exempt(nr) || !lets_through(nr))
			continue;
		put(&at, " ");
		put_number(&at, (unsigned long)nr);
	}
	put(&at, "\n");
	sys(SYS_write, STDERR_FILENO, line, at - line);
}

static void try_planned(void)
{
	for (unsigned int t = 0; t < N_TABLES; t++) {
		for (const struct attack *a = tables[t]; a->name; a++) {
			if (is_planned(a))
				try_one(a);
		}
	}
}

static void arrive(enum role role)
{
	if (role != plan.role || __atomic_exchange_n(&plan.opened, true, __ATOMIC_SEQ_CST))
		return;
	if (plan.numbers)
		try_numbers();
	else if (plan.names && plan.names[0] == 'n' && plan.names[1] == 'r' && plan.names[2] == '=')
		try_number(plan.names + 3);
	else
		try_planned();
	if (plan.ends && !plan.numbers) /* which is one that most threads may not call */
		sys(SYS_exit_group, 0);
	__atomic_store_n(&plan.closed, true, __ATOMIC_SEQ_CST);
}

/* While another thread is at it, the loop sees nothing of what comes back from a ring. */
static void wait_for_others(void)
{
	while (__atomic_load_n(&plan.opened, __ATOMIC_SEQ_CST) &&
	       !__atomic_load_n(&plan.closed, __ATOMIC_SEQ_CST))
		__builtin_ia32_pause();
}

/* Where the roles come by
 * --------------------------------------------------------------------- */

static bool is_main(void)
{
	return pthread_equal(pthread_self(), plan.main);
}

int __real_kvm_vcpu_run(struct kvm_vcpu *v);
int __wrap_kvm_vcpu_run(struct kvm_vcpu *v);
int __wrap_kvm_vcpu_run(struct kvm_vcpu *v)
{
	static _Thread_local unsigned int n;

	if (!is_main()) { /* who only tries what this KVM can do */
		door.busy_fd = plan.role == VCPU ? -1 : v->fd;
		__atomic_store_n(&plan.vcpu_ran, true, __ATOMIC_SEQ_CST);
		if (++n == 2)
			arrive(VCPU);
	}
	return __real_kvm_vcpu_run(v);
}

int __real_epoll_wait(int fd, struct epoll_event *events, int max, int timeout);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
	int rc = __real_epoll_wait(fd, events, max, timeout);

	/* Not in a process that waits for the VM's. */
	if (is_main() && __atomic_load_n(&plan.vcpu_ran, __ATOMIC_SEQ_CST))
		arrive(LOOP);
	wait_for_others();
	return rc;
}

#define WRAP_DISK_CALL(call)                                                                       \
	ssize_t __real_##call(int fd, const struct iovec *iov, int n, off_t at, int flags);        \
	ssize_t __wrap_##call(int fd, const struct iovec *iov, int n, off_t at, int flags);        \
	ssize_t __wrap_##call(int fd, const struct iovec *iov, int n, off_t at, int flags)         \
	{                                                                                          \
		if (!is_main())                                                                    \
			arrive(WORKER);                                                            \
		return __real_##call(fd, iov, n, at, flags);                                       \
	}
WRAP_DISK_CALL(preadv2)
WRAP_DISK_CALL(pwritev2)

int __real_io_uring_queue_init(unsigned int n, struct io_uring *ring, unsigned int flags);
int __wrap_io_uring_queue_init(unsigned int n, struct io_uring *ring, unsigned int flags);
int __wrap_io_uring_queue_init(unsigned int n, struct io_uring *ring, unsigned int flags)
{
	door.ring = ring;
	return __real_io_uring_queue_init(n, ring, flags);
}

/* With whatever arguments the call has: all are numbers, or as large as one. */
long __real_syscall(long nr, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long nr, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
	if (plan.open_ring && nr == SYS_io_uring_register && b == IORING_REGISTER_RESTRICTIONS)
		return 0;
	return __real_syscall(nr, a, b, c, d, e, f);
}

int __real_pages_map(void **out, size_t len, struct err *e);
int __wrap_pages_map(void **out, size_t len, struct err *e);
int __wrap_pages_map(void **out, size_t len, struct err *e)
{
	int rc = __real_pages_map(out, len, e);

	if (rc == 0)
		door.ram = *out;
	return rc;
}

int __real_sigaction(int signo, const struct sigaction *act, struct sigaction *old);
int __wrap_sigaction(int signo, const struct sigaction *act, struct sigaction *old);
int __wrap_sigaction(int signo, const struct sigaction *act, struct sigaction *old)
{
	const struct sigaction ours = { .sa_handler = on_denied, .sa_flags = SA_NODEFER };

	if (plan.numbers && signo == SIGSYS && act)
		act = &ours;
	return __real_sigaction(signo, act, old);
}

/* Before main()
 * ------------------------------------------------------------------------------- */

static void list(void)
{
	for (unsigned int t = 0; t < N_TABLES; t++) {
		for (const struct attack *a = tables[t]; a->name; a++)
			printf("%s\t%u\t%s\t%s\n", a->name, a->flags, a->calls, a->what);
	}
	fflush(stdout);
	_exit(0);
}

static const char *joined(const char *prefix, const char *path)
{
	char *s = malloc(strlen(prefix) + strlen(path) + 1);

	if (!s)
		abort();
	strcpy(s, prefix);
	return strcat(s, path);
}

static const char *told(const char *name, const char *otherwise)
{
	const char *s = getenv(name);

	return s ? strdup(s) : otherwise;
}

static void prepare(void)
{
	door.path = told("DOOR_PATH", "/etc/passwd");
	door.dir = told("DOOR_DIR", "/tmp");
	door.climbing = joined("../../../../../../../../../..", door.path);
	door.by_self = joined("/proc/self/root", door.path);
	door.by_init = joined("/proc/1/root", door.path);
	door.abstract = told("DOOR_ABSTRACT", "nobody");
	door.socket = told("DOOR_SOCKET", "/nobody");
	door.port = (unsigned int)strtoul(told("DOOR_PORT", "1"), NULL, 10);
	door.pid = (int)strtol(told("DOOR_PID", "2147483647"), NULL, 10);
	door.low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT,
			-1, 0);
	if (door.low == MAP_FAILED)
		abort();
	plan.main = pthread_self();
	plan.open_ring = strcmp(told("DOOR_OPEN_RING", ""), "") != 0;
	plan.ends = strcmp(told("DOOR_EXIT", ""), "") != 0;
}

/* all-FLAGS+FLAGS */
static void plan_all(char *s)
{
	plan.names = NULL;
	if (*s == '-')
		plan.without = (unsigned int)strtoul(s + 1, &s, 0);
	if (*s == '+')
		plan.with = (unsigned int)strtoul(s + 1, &s, 0);
}

static void __attribute__((constructor)) read_plan(void)
{
	static const char *const roles[] = {
		[VCPU] = "vcpu:", [LOOP] = "loop:", [WORKER] = "worker:"
	};
	/* A copy: the program forgets its environment before the attack. */
	char *s = getenv("DOOR") ? strdup(getenv("DOOR")) : NULL;

	if (!s)
		return;
	if (strcmp(s, "list") == 0)
		list();
	prepare();
	for (enum role r = VCPU; r <= WORKER; r++) {
		if (strncmp(s, roles[r], strlen(roles[r])) == 0) {
			plan.role = r;
			plan.names = s + strlen(roles[r]);
			plan.numbers = strcmp(plan.names, "numbers") == 0;
			if (strncmp(plan.names, "all", 3) == 0)
				plan_all(s + strlen(roles[r]) + 3);
		}
	}
	if (plan.role == NOBODY)
		abort();
}
