/*
 * test_jail_calls.c - src/jail/calls.h and the filters that are made of it, installed in a child
 * for real.
 */
#include "../../src/jail/calls.h"
#include "unit.h"
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vmm/base/util.h>

#define MAX_CALLS 512
#ifdef __SANITIZE_THREAD__
#define INSTALLS false /* its runtime makes calls of its own, in a forked process too */
#else
#define INSTALLS true
#endif

static pid_t pid_before, tid_before; /* of the child, from before its jail closed */

/* How many different calls the roles in this mask have on their lists, declined ones not counted.
 */
static unsigned int count(unsigned int roles)
{
	bool seen[MAX_CALLS] = { false };
	unsigned int n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		ck_assert_int_lt(lines[i].call, MAX_CALLS);
		if (!(lines[i].roles & roles) || seen[lines[i].call])
			continue;
		seen[lines[i].call] = true;
		n++;
	}
	return n;
}

START_TEST(a_vcpus_thread_has_ten_calls_at_most)
{
	ck_assert_uint_gt(count(C), 0);
	ck_assert_uint_le(count(C), 10);
}
END_TEST

START_TEST(all_threads_together_have_35_calls_at_most)
{
	ck_assert_uint_gt(count(C | L | W), count(C));
	ck_assert_uint_le(count(C | L | W), 35);
}
END_TEST

START_TEST(every_line_has_a_reason)
{
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		ck_assert_uint_gt(strlen(lines[i].why), 2);
	for (size_t i = 0; i < ARRAY_SIZE(declined); i++)
		ck_assert_uint_gt(strlen(declined[i].why), 2);
}
END_TEST

START_TEST(a_call_with_many_meanings_is_allowed_by_its_argument_only)
{
	static const int many[] = {
		SYS_ioctl, SYS_fcntl,  SYS_mmap,  SYS_mprotect, SYS_clone,
		SYS_prctl, SYS_tgkill, SYS_futex, SYS_madvise,  SYS_newfstatat
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(many); k++)
			ck_assert_msg(lines[i].call != many[k] || lines[i].test != NONE ||
					      lines[i].roles == B,
				      "%s", lines[i].why);
	}
}
END_TEST

/* In a child: closes the jail of this role, then fn. Returns what wait(2) says. */
static int in_jail(enum jail_role role, int report_fd, void (*fn)(void))
{
	pid_t pid = fork();
	int status;

	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct jail j;
		struct err e;

		jail_init(&j, JAIL_STRICT);
		j.report_fd = report_fd;
		pid_before = getpid();
		tid_before = gettid();
		jail_watch(&j);
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
		    jail_close(&j, role, "tester", &e) < 0)
			_exit(99);
		fn();
		syscall(role == JAIL_LOOP ? SYS_exit_group : SYS_exit, 7);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static void does_nothing(void)
{
}

static void opens(void)
{
	syscall(SYS_openat, AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
}

static void maps_a_program(void)
{
	syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void kills_another(void)
{
	syscall(SYS_tgkill, 1, 1, 0);
}

static void makes_a_vm(void)
{
	syscall(SYS_ioctl, 0, KVM_CREATE_VM, 0);
}

static void asks_the_old_table(void)
{
#ifdef __x86_64__
	long rc = 20; /* getpid(2) of 32-bit programs */

	__asm__ volatile("int $0x80" : "+a"(rc) : : "memory");
#else
	opens();
#endif
}

static void kicks_itself(void)
{
	syscall(SYS_tgkill, pid_before, tid_before, 0);
}

static void grows_by_mremap(void)
{
	if (syscall(SYS_mremap, 0, 0, 0, 0, 0) >= 0 || errno != ENOMEM)
		syscall(SYS_exit_group, 3);
}

START_TEST(what_is_on_the_list_is_done)
{
	static const enum jail_role roles[] = { JAIL_BUILD, JAIL_VCPU, JAIL_LOOP, JAIL_WORKER };

	for (size_t i = 0; i < ARRAY_SIZE(roles); i++) {
		int status = in_jail(roles[i], -1, does_nothing);

		ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 7, "role %zu: %#x", i,
			      status);
	}
}
END_TEST

START_TEST(what_is_not_is_told_with_its_arguments_and_ends_the_process)
{
	static const struct {
		enum jail_role role;
		void (*fn)(void);
		int call;
	} tries[] = {
		{ JAIL_VCPU, opens, SYS_openat },         { JAIL_LOOP, opens, SYS_openat },
		{ JAIL_WORKER, opens, SYS_openat },       { JAIL_BUILD, opens, SYS_openat },
		{ JAIL_LOOP, maps_a_program, SYS_mmap },  { JAIL_BUILD, maps_a_program, SYS_mmap },
		{ JAIL_VCPU, makes_a_vm, SYS_ioctl },     { JAIL_LOOP, makes_a_vm, SYS_ioctl },
		{ JAIL_LOOP, kills_another, SYS_tgkill }, { JAIL_LOOP, asks_the_old_table, -1 },
	};
	struct jail_denial d;
	int pair[2], status;
	char text[256];

	for (size_t i = 0; i < ARRAY_SIZE(tries); i++) {
		ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
		status = in_jail(tries[i].role, pair[1], tries[i].fn);
		ck_assert_msg(WIFSIGNALED(status), "try %zu: %#x", i, status);
		ck_assert_int_eq(recv(pair[0], &d, sizeof(d), MSG_DONTWAIT), sizeof(d));
		ck_assert_str_eq(d.thread, "tester");
		if (tries[i].call >= 0)
			ck_assert_int_eq(d.number, tries[i].call);
		jail_describe_call(&d, text, sizeof(text));
		if (tries[i].call == SYS_openat)
			ck_assert_msg(strncmp(text, "openat(0x", 9) == 0, "%s", text);
		close(pair[0]);
		close(pair[1]);
	}
}
END_TEST

START_TEST(a_kick_of_ourselves_is_allowed)
{
	int status = in_jail(JAIL_LOOP, -1, kicks_itself);

	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 7, "%#x", status);
}
END_TEST

START_TEST(what_is_declined_fails_and_ends_nothing)
{
	int status = in_jail(JAIL_LOOP, -1, grows_by_mremap);

	ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 7, "%#x", status);
}
END_TEST

START_TEST(a_call_without_a_name_is_described_by_its_number)
{
	const struct jail_denial d = { .number = 20, .arch = 0x40000003 };
	char text[256];

	jail_describe_call(&d, text, sizeof(text));
	ck_assert_str_eq(text, "system call 20 of table 0x40000003(0, 0, 0, 0, 0, 0)");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("jail_calls");

	UNIT_TEST(s, a_vcpus_thread_has_ten_calls_at_most);
	UNIT_TEST(s, all_threads_together_have_35_calls_at_most);
	UNIT_TEST(s, every_line_has_a_reason);
	UNIT_TEST(s, a_call_with_many_meanings_is_allowed_by_its_argument_only);
	if (INSTALLS) {
		UNIT_TEST(s, what_is_on_the_list_is_done);
		UNIT_TEST(s, what_is_not_is_told_with_its_arguments_and_ends_the_process);
		UNIT_TEST(s, a_kick_of_ourselves_is_allowed);
		UNIT_TEST(s, what_is_declined_fails_and_ends_nothing);
	}
	UNIT_TEST(s, a_call_without_a_name_is_described_by_its_number);
	return s;
}

UNIT_MAIN("jail_calls", suite)
