/*
 * attack.h - what code of an attacker does, once it runs in a thread of the VMM.
 *
 * Life of a VM: after the jail has closed; door.c says when, and on which thread. An attack makes
 * system calls by the instruction itself: no call of the C library comes before that which counts,
 * nothing is allocated, errno stays as it is. All that an attack needs is in `door`, or on its
 * stack.
 */
#ifndef VMM_TESTS_JAIL_ATTACK_H
#define VMM_TESTS_JAIL_ATTACK_H
#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

/*
 * What stops an attack if its system call is let through: one of these layers or more, each by
 * itself. An attack with none is for the seccomp filter alone to stop.
 */
enum {
	LAYER_FS = 1 << 0, /* an empty root, and Landlock */
	LAYER_ROOT = 1 << 1, /* an empty root alone: Landlock does not look at it */
	LAYER_NET = 1 << 2, /* a network of its own, and Landlock */
	LAYER_NETNS = 1 << 3, /* a network of its own alone */
	LAYER_PID = 1 << 4, /* processes of its own, and Landlock, or being another user */
	LAYER_PIDNS = 1 << 5, /* processes of its own alone, or being another user */
	LAYER_PRIV = 1 << 6, /* no capability */
	LAYER_LIMIT = 1 << 7, /* a resource limit */
	ALONE = 1 << 8, /* changes the process so that no other attack may follow */
	NEVER = 1 << 9, /* the kernel refuses it to everyone, jail or none; `what` says why */
};

struct attack {
	const char *name;
	const char *what; /* that is got, if it gets in */
	const char *calls; /* of which one is the first to be denied; "*": whatever the name is */
	unsigned int flags;
	long (*run)(void); /* not negative: it is in; else -errno */
	/* Without run(): one call, and errors that come only when permission was given. */
	long nr, arg[6];
	int passed[2];
};

/* Ends with a zeroed entry. One table for each kind of thing that is attacked. */
extern const struct attack attacks_on_files[], attacks_on_networks[], attacks_on_processes[],
	attacks_on_execution[], attacks_on_the_host[], attacks_on_identity[], attacks_on_memory[],
	attacks_on_descriptors[], attacks_on_kvm[], attacks_on_rings[], attacks_on_brokers[],
	attacks_by_other_tables[];

/* What the test tells, and what an attacker could find in the process's memory without a call. */
struct door {
	const char *path; /* DOOR_PATH: a file in a folder that all may write to; absolute */
	const char *climbing; /* the same as ../../../../.. and so on */
	const char *by_self, *by_init; /* by /proc/self/root, /proc/1/root */
	const char *dir; /* DOOR_DIR: that folder */
	const char *abstract; /* DOOR_ABSTRACT: a name that a process of the same user serves */
	const char *socket; /* DOOR_SOCKET: a path that it serves */
	unsigned int port; /* DOOR_PORT: on the loopback address of IPv4 and IPv6 */
	int pid; /* DOOR_PID: that process */
	struct io_uring *ring; /* the last that was made; NULL: none */
	void *ram; /* the guest's, or NULL */
	char *low; /* a page below 4 GiB, for the calls of 32 bits */
	int busy_fd; /* a vCPU that another thread runs, which KVM makes callers wait for; -1: none
		      */
};
extern struct door door;

#define MOST_FDS 256 /* descriptors of the VMM are below */

static inline __attribute__((always_inline)) long sys6(long nr, long a, long b, long c, long d,
						       long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long rc;

	__asm__ volatile("syscall"
			 : "=a"(rc)
			 : "0"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return rc;
}

/* sys(NUMBER, ARGUMENT...): the result, or -errno. */
#define SYS_PICK(nr, a, b, c, d, e, f, ...)                                                        \
	sys6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define sys(...) SYS_PICK(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

/* For the tables. An attack that is a function: */
#define TRY(called, got, denied, stopped_by, fn)                                                   \
	{                                                                                          \
		.name = (called), .what = (got), .calls = (denied), .flags = (stopped_by),         \
		.run = (fn)                                                                        \
	}
/* One that is a call, whose name is written once. */
#define ONE_CALL(call) .calls = #call, .nr = SYS_##call
#define ARGS(...) .arg = { __VA_ARGS__ }
#define PTR(p) ((long)(p))

/* The first result of fn(fd) that is not negative, over all descriptors but busy_fd; else the last
 * error that is none of "there is no such descriptor" and "it is of another kind". */
long over_fds(long (*fn)(int fd));

/* The descriptor is of no more use; returns what it was given. */
long closed(long fd);

/* In a child that ends at once: what fork() or its like has returned to the parent, reaped. */
long reap(long pid);

#endif
