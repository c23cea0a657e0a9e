/*
 * test_seccomp.c - src/jail/seccomp.c: the filters, read as the kernel reads them. How many calls
 * each kind of thread may make, and that an argument decides where it has to.
 */
#include "../../src/jail/layers.h"
#include "unit.h"
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <linux/vhost.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vmm/base/util.h>

#define MAX_CALL 600u /* beyond Linux's last, 2026 */
#ifdef __x86_64__
#define ARCH AUDIT_ARCH_X86_64
#else
#define ARCH AUDIT_ARCH_AARCH64
#endif

struct filter {
	struct sock_filter insn[BPF_MAXINSNS];
	unsigned int len;
};
static struct filter filters[JAIL_ROLES];

static void take_filters(void)
{
	struct jail jail;

	jail_init(&jail, JAIL_ON);
	for (unsigned int role = 0; role < JAIL_ROLES; role++)
		filters[role].len =
			filter_of(&jail, (enum jail_role)role, filters[role].insn, BPF_MAXINSNS);
	jail_fini(&jail);
}

/* A machine for filters -------------------------------------------------------------------------
 */

#define ARGS_AT offsetof(struct seccomp_data, args)

struct run {
	const struct filter *f;
	const struct seccomp_data *d;
	bool any_args; /* each test of an argument goes both ways */
	bool been[BPF_MAXINSNS]; /* with an argument in the accumulator */
};

static bool jumps(const struct sock_filter *i, uint32_t acc)
{
	switch (BPF_OP(i->code)) {
	case BPF_JEQ:
		return acc == i->k;
	case BPF_JGT:
		return acc > i->k;
	case BPF_JGE:
		return acc >= i->k;
	case BPF_JSET:
		return acc & i->k;
	default:
		ck_abort_msg("jump %#x", i->code);
	}
	return false;
}

/* Is there a way from instruction `at` to SECCOMP_RET_ALLOW? */
static bool allows_from(struct run *r, unsigned int at, uint32_t acc, bool is_arg)
{
	for (;; at++) {
		const struct sock_filter *i = &r->f->insn[at];

		ck_assert_uint_lt(at, r->f->len);
		if (i->code == (BPF_LD | BPF_W | BPF_ABS)) {
			memcpy(&acc, (const char *)r->d + i->k, sizeof(acc));
			is_arg = i->k >= ARGS_AT;
		} else if (i->code == (BPF_ALU | BPF_AND | BPF_K)) {
			acc &= i->k;
		} else if (i->code == (BPF_JMP | BPF_JA)) {
			at += i->k;
		} else if (BPF_CLASS(i->code) == BPF_JMP && is_arg && r->any_args) {
			if (r->been[at])
				return false;
			r->been[at] = true;
			if (allows_from(r, at + 1 + i->jt, acc, true))
				return true;
			at += i->jf;
		} else if (BPF_CLASS(i->code) == BPF_JMP) {
			at += jumps(i, acc) ? i->jt : i->jf;
		} else {
			ck_assert_uint_eq(i->code, BPF_RET | BPF_K);
			return i->k == SECCOMP_RET_ALLOW;
		}
	}
}

static bool allows(enum jail_role role, int call, uint64_t a0, uint64_t a1, uint64_t a2,
		   uint64_t a3)
{
	const struct seccomp_data d = { .nr = call, .arch = ARCH, .args = { a0, a1, a2, a3 } };
	struct run r = { .f = &filters[role], .d = &d };

	return allows_from(&r, 0, 0, false);
}

static bool allows_somehow(enum jail_role role, int call)
{
	const struct seccomp_data d = { .nr = call, .arch = ARCH };
	struct run r = { .f = &filters[role], .d = &d, .any_args = true };

	return allows_from(&r, 0, 0, false);
}

/* Rules ------------------------------------------------------------------------------------------
 */

START_TEST(a_vcpu_thread_makes_at_most_10_calls_and_all_threads_35)
{
	unsigned int n_vcpu = 0, n_all = 0;

	for (unsigned int call = 0; call < MAX_CALL; call++) {
		bool vcpu = allows_somehow(JAIL_VCPU, (int)call);

		n_vcpu += vcpu;
		n_all += vcpu || allows_somehow(JAIL_LOOP, (int)call) ||
			 allows_somehow(JAIL_WORKER, (int)call);
	}
	ck_assert_uint_gt(n_vcpu, 5);
	ck_assert_uint_le(n_vcpu, 10);
	ck_assert_uint_gt(n_all, 20);
	ck_assert_uint_le(n_all, 35);
}
END_TEST

/* What the main thread has on top of all lists is the building's; a thread has that filter, too. */
START_TEST(the_rest_of_the_building_may_make_every_call_of_the_threads)
{
	for (unsigned int call = 0; call < MAX_CALL; call++) {
		for (unsigned int role = JAIL_VCPU; role < JAIL_ROLES; role++)
			ck_assert_msg(allows_somehow(JAIL_BUILD, (int)call) ||
					      !allows_somehow((enum jail_role)role, (int)call),
				      "call %u of role %u", call, role);
	}
}
END_TEST

START_TEST(nothing_is_opened_connected_started_or_traced)
{
	static const int never[] = {
		SYS_openat,
		SYS_openat2,
		SYS_socket,
		SYS_socketpair,
		SYS_connect,
		SYS_bind,
		SYS_listen,
		SYS_execve,
		SYS_execveat,
		SYS_clone3,
		SYS_unshare,
		SYS_setns,
		SYS_ptrace,
		SYS_process_vm_readv,
		SYS_process_vm_writev,
		SYS_bpf,
		SYS_perf_event_open,
		SYS_userfaultfd,
		SYS_io_uring_setup,
		SYS_io_uring_register,
		SYS_pidfd_open,
		SYS_pidfd_getfd,
		SYS_kill,
		SYS_tkill,
		SYS_mount,
		SYS_pivot_root,
		SYS_chroot,
		SYS_keyctl,
		SYS_add_key,
		SYS_setresuid,
		SYS_capset,
		SYS_memfd_secret,
		SYS_mremap,
		SYS_getdents64,
		SYS_unlinkat,
		SYS_renameat2,
		SYS_linkat,
		SYS_open_by_handle_at,
	};

	for (unsigned int role = 0; role < JAIL_ROLES; role++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(never); i++)
			ck_assert_msg(!allows_somehow((enum jail_role)role, never[i]),
				      "call %d of role %u", never[i], role);
	}
#ifdef __x86_64__
	static const int old[] = { SYS_open, SYS_creat, SYS_fork, SYS_vfork, SYS_stat, SYS_unlink };

	for (unsigned int role = 0; role < JAIL_ROLES; role++) {
		for (unsigned int i = 0; i < ARRAY_SIZE(old); i++)
			ck_assert(!allows_somehow((enum jail_role)role, old[i]));
	}
#endif
}
END_TEST

START_TEST(threads_start_no_threads_and_make_no_machines)
{
	for (unsigned int role = JAIL_VCPU; role < JAIL_ROLES; role++) {
		const enum jail_role r = (enum jail_role)role;

		ck_assert(!allows_somehow(r, SYS_clone));
		ck_assert(!allows_somehow(r, SYS_mprotect));
		ck_assert(!allows_somehow(r, SYS_memfd_create));
		ck_assert(!allows_somehow(r, SYS_seccomp));
		ck_assert(!allows_somehow(r, SYS_prctl));
		ck_assert(!allows(r, SYS_ioctl, 3, KVM_CREATE_VM, 0, 0));
		ck_assert(!allows(r, SYS_ioctl, 3, KVM_CREATE_VCPU, 0, 0));
		ck_assert(!allows(r, SYS_ioctl, 3, KVM_SET_USER_MEMORY_REGION, 0, 0));
		ck_assert(!allows(r, SYS_ioctl, 3, TUNSETIFF, 0, 0));
		ck_assert(!allows(r, SYS_ioctl, 3, TIOCSTI, 0, 0));
	}
	ck_assert(allows(JAIL_BUILD, SYS_ioctl, 3, KVM_CREATE_VM, 0, 0));
	ck_assert(allows(JAIL_VCPU, SYS_ioctl, 3, KVM_RUN, 0, 0));
	ck_assert(!allows(JAIL_LOOP, SYS_ioctl, 3, KVM_RUN, 0, 0));
	ck_assert(!allows(JAIL_VCPU, SYS_ioctl, 3, KVM_SET_SREGS, 0, 0));
}
END_TEST

/* A vCPU's thread may take a ring away from the kernel, but not say where another one is. */
START_TEST(vhost_is_given_rings_by_the_loop_and_memory_by_nobody)
{
	ck_assert(allows(JAIL_VCPU, SYS_ioctl, 3, VHOST_NET_SET_BACKEND, 0, 0));
	ck_assert(allows(JAIL_LOOP, SYS_ioctl, 3, VHOST_SET_VRING_ADDR, 0, 0));
	ck_assert(!allows(JAIL_VCPU, SYS_ioctl, 3, VHOST_SET_VRING_ADDR, 0, 0));
	ck_assert(!allows(JAIL_VCPU, SYS_ioctl, 3, VHOST_SET_VRING_KICK, 0, 0));
	ck_assert(!allows(JAIL_WORKER, SYS_ioctl, 3, VHOST_NET_SET_BACKEND, 0, 0));
	for (unsigned int role = JAIL_VCPU; role < JAIL_ROLES; role++) {
		const enum jail_role r = (enum jail_role)role;

		ck_assert(!allows(r, SYS_ioctl, 3, VHOST_SET_OWNER, 0, 0));
		ck_assert(!allows(r, SYS_ioctl, 3, VHOST_RESET_OWNER, 0, 0));
		ck_assert(!allows(r, SYS_ioctl, 3, VHOST_SET_MEM_TABLE, 0, 0));
		ck_assert(!allows(r, SYS_ioctl, 3, VHOST_SET_LOG_BASE, 0, 0));
	}
}
END_TEST

/* The kernel looks at 32 bits of it, libseccomp at 64. */
START_TEST(an_ioctl_is_its_number_and_nothing_above)
{
	ck_assert(!allows(JAIL_VCPU, SYS_ioctl, 3, KVM_CREATE_VM | UINT64_C(1) << 32, 0, 0));
	ck_assert(!allows(JAIL_VCPU, SYS_ioctl, 3, 0, 0, 0));
	ck_assert(!allows(JAIL_VCPU, SYS_ioctl, 3, UINT64_MAX, 0, 0));
}
END_TEST

START_TEST(a_thread_is_a_thread_and_no_process)
{
	const uint64_t thread = CLONE_VM | CLONE_THREAD | CLONE_SIGHAND | CLONE_FS | CLONE_FILES;

	ck_assert(allows(JAIL_BUILD, SYS_clone, thread, 0, 0, 0));
	ck_assert(!allows(JAIL_BUILD, SYS_clone, 17 /* SIGCHLD */, 0, 0, 0));
	ck_assert(!allows(JAIL_BUILD, SYS_clone, CLONE_VM | CLONE_SIGHAND, 0, 0, 0));
	ck_assert(!allows(JAIL_BUILD, SYS_clone, CLONE_NEWUSER, 0, 0, 0));
}
END_TEST

START_TEST(no_memory_becomes_a_program)
{
	for (unsigned int role = 0; role < JAIL_ROLES; role++) {
		const enum jail_role r = (enum jail_role)role;

		ck_assert(!allows(r, SYS_mmap, 0, 4096, PROT_EXEC, MAP_ANONYMOUS));
		ck_assert(!allows(r, SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, 0));
		ck_assert(!allows(r, SYS_mprotect, 0, 4096, PROT_READ | PROT_EXEC, 0));
	}
	ck_assert(allows(JAIL_LOOP, SYS_mmap, 0, 4096, PROT_READ | PROT_WRITE, MAP_ANONYMOUS));
	ck_assert(!allows_somehow(JAIL_VCPU, SYS_mmap));
	ck_assert(!allows_somehow(JAIL_WORKER, SYS_mmap));
	ck_assert(!allows(JAIL_LOOP, SYS_madvise, 0, 4096, MADV_DOFORK, 0));
	ck_assert(!allows(JAIL_LOOP, SYS_madvise, 0, 4096, MADV_DODUMP, 0));
}
END_TEST

START_TEST(what_reaches_others_reaches_only_ourselves)
{
	const uint64_t me = (uint64_t)getpid();

	ck_assert(allows(JAIL_LOOP, SYS_tgkill, me, me, 23, 0));
	ck_assert(!allows(JAIL_LOOP, SYS_tgkill, me + 1, me, 23, 0));
	ck_assert(!allows(JAIL_LOOP, SYS_tgkill, UINT64_MAX, me, 23, 0));
	ck_assert(!allows(JAIL_VCPU, SYS_tgkill, me, me, 23, 0));
	ck_assert(allows(JAIL_LOOP, SYS_fcntl, 3, F_DUPFD_CLOEXEC, 0, 0));
	ck_assert(!allows(JAIL_LOOP, SYS_fcntl, 3, F_SETOWN, me, 0));
	ck_assert(!allows(JAIL_LOOP, SYS_fcntl, 3, F_SETFL, 0, 0));
	ck_assert(!allows(JAIL_LOOP, SYS_flock, 3, 2 /* LOCK_EX */, 0, 0));
}
END_TEST

START_TEST(the_loop_may_yield_to_others_and_order_nobody_about)
{
	const uint64_t other = 1234;

	ck_assert(allows(JAIL_LOOP, SYS_sched_setscheduler, 0, SCHED_BATCH, 0, 0));
	ck_assert(allows(JAIL_LOOP, SYS_sched_setscheduler, 0, SCHED_OTHER, 0, 0));
	ck_assert(!allows(JAIL_LOOP, SYS_sched_setscheduler, 0, SCHED_RR, 0, 0));
	ck_assert(!allows(JAIL_LOOP, SYS_sched_setscheduler, 0, SCHED_FIFO, 0, 0));
	ck_assert(!allows(JAIL_LOOP, SYS_sched_setscheduler, other, SCHED_OTHER, 0, 0));
	ck_assert(!allows_somehow(JAIL_VCPU, SYS_sched_setscheduler));
	ck_assert(!allows_somehow(JAIL_WORKER, SYS_sched_setscheduler));
}
END_TEST

START_TEST(a_file_is_looked_at_by_descriptor_and_not_by_path)
{
	ck_assert(allows(JAIL_LOOP, SYS_fstat, 3, 0, 0, 0));
	for (unsigned int role = 0; role < JAIL_ROLES; role++) /* it takes a path even so */
		ck_assert(!allows((enum jail_role)role, SYS_newfstatat, 3, 0, 0, AT_EMPTY_PATH));
	ck_assert(!allows_somehow(JAIL_VCPU, SYS_fstat));
}
END_TEST

START_TEST(a_lock_waits_and_wakes_and_does_nothing_else)
{
	for (unsigned int role = JAIL_VCPU; role < JAIL_ROLES; role++) {
		const enum jail_role r = (enum jail_role)role;

		ck_assert(allows(r, SYS_futex, 0, FUTEX_WAIT_PRIVATE, 0, 0));
		ck_assert(allows(r, SYS_futex, 0, FUTEX_WAKE_PRIVATE, 0, 0));
		ck_assert(!allows(r, SYS_futex, 0, FUTEX_CMP_REQUEUE_PI, 0, 0));
		ck_assert(!allows(r, SYS_futex, 0, FUTEX_LOCK_PI, 0, 0));
		ck_assert(!allows(r, SYS_futex, 0, FUTEX_REQUEUE, 0, 0));
	}
}
END_TEST

/* Numbers of another table mean other calls: 32-bit x86, x32. */
START_TEST(other_tables_of_calls_are_closed)
{
	for (unsigned int role = 0; role < JAIL_ROLES; role++) {
		for (unsigned int call = 0; call < MAX_CALL; call++) {
			struct seccomp_data d = { .nr = (int)call, .arch = AUDIT_ARCH_I386 };
			struct run r = { .f = &filters[role], .d = &d, .any_args = true };

			ck_assert(!allows_from(&r, 0, 0, false));
			d = (struct seccomp_data){ .nr = (int)(call | 0x40000000u), .arch = ARCH };
			memset(r.been, 0, sizeof(r.been));
			ck_assert(!allows_from(&r, 0, 0, false));
		}
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("seccomp");

	UNIT_WITH(s, a_vcpu_thread_makes_at_most_10_calls_and_all_threads_35, take_filters, NULL);
	UNIT_WITH(s, the_rest_of_the_building_may_make_every_call_of_the_threads, take_filters,
		  NULL);
	UNIT_WITH(s, nothing_is_opened_connected_started_or_traced, take_filters, NULL);
	UNIT_WITH(s, threads_start_no_threads_and_make_no_machines, take_filters, NULL);
	UNIT_WITH(s, vhost_is_given_rings_by_the_loop_and_memory_by_nobody, take_filters, NULL);
	UNIT_WITH(s, an_ioctl_is_its_number_and_nothing_above, take_filters, NULL);
	UNIT_WITH(s, a_thread_is_a_thread_and_no_process, take_filters, NULL);
	UNIT_WITH(s, no_memory_becomes_a_program, take_filters, NULL);
	UNIT_WITH(s, what_reaches_others_reaches_only_ourselves, take_filters, NULL);
	UNIT_WITH(s, the_loop_may_yield_to_others_and_order_nobody_about, take_filters, NULL);
	UNIT_WITH(s, a_file_is_looked_at_by_descriptor_and_not_by_path, take_filters, NULL);
	UNIT_WITH(s, a_lock_waits_and_wakes_and_does_nothing_else, take_filters, NULL);
	UNIT_WITH(s, other_tables_of_calls_are_closed, take_filters, NULL);
	return s;
}

UNIT_MAIN("seccomp", suite)
