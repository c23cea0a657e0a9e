/*
 * test_broker.c - src/jail/broker.c: the two processes, what they say to each other, and that the
 * one outside takes no harm from the other.
 *
 * Each test forks as `vmm run` does, the VM's process does something, and the other one, which is
 * the test's, serves it.
 */
#include "unit.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vmm/base/util.h>
#include <vmm/host/signals.h>
#include <vmm/jail/broker.h>

#define CHILD_OK 7

enum { COUNT, DOUBLE, GIVE, REFUSE, JOBS };

/* As broker.c has it: a stranger in the VM's process knows it, too. */
struct request {
	uint32_t job, is_request;
	uint64_t value;
	char thread[JAIL_NAME];
};
#define LOG_JOB UINT32_MAX

static struct jail jail;
static struct broker b;
static struct broker_end end;
static struct err e;
static unsigned int n_counted;
static uint64_t doubled;

/* Jobs -------------------------------------------------------------------------------------------
 */

static int count(void *arg, uint64_t value, int *give)
{
	(void)value, (void)give;
	++*(unsigned int *)arg;
	return 0;
}

static int twice(void *arg, uint64_t value, int *give)
{
	(void)give;
	*(uint64_t *)arg = 2 * value;
	return 0;
}

static int give_file(void *arg, uint64_t value, int *give)
{
	(void)arg;
	*give = memfd_create("given", MFD_CLOEXEC);
	return pwrite(*give, &value, sizeof(value), 0) == sizeof(value) ? 0 : -EIO;
}

static int refuse(void *arg, uint64_t value, int *give)
{
	(void)arg, (void)value, (void)give;
	return -EROFS;
}

static const struct broker_job jobs[JOBS] = {
	[COUNT] = { count, &n_counted },
	[DOUBLE] = { twice, &doubled },
	[GIVE] = { give_file, NULL },
	[REFUSE] = { refuse, NULL },
};

/* Two processes ----------------------------------------------------------------------------------
 */

/* Not by _exit(): sanitizers have nothing to say about this one. */
__attribute__((noreturn)) static void leave(int status)
{
	syscall(SYS_exit_group, status);
	__builtin_unreachable();
}

/* vm(): the exit status of the VM's process. */
static void fork_vm(enum jail_mode mode, int (*vm)(void))
{
	jail_init(&jail, mode);
	ck_ok(broker_fork(&b, &jail, jobs, JOBS, &e));
	if (b.inside)
		leave(vm());
}

static void serve(enum jail_mode mode, int (*vm)(void))
{
	fork_vm(mode, vm);
	ck_ok(broker_serve(&b, &end, &e));
}

static void ends_with(int status)
{
	ck_assert_msg(WIFEXITED(end.status), "signal %d", WTERMSIG(end.status));
	ck_assert_int_eq(WEXITSTATUS(end.status), status);
	ck_assert(!end.was_denied);
}

static void fini(void)
{
	broker_fini(&b);
	jail_fini(&jail);
}

static unsigned int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* The broker still answers. */
static bool is_well(void)
{
	return broker_ask(&b, REFUSE, 0, NULL) == -EROFS;
}

/* n_fds descriptors go along. */
static void say(const void *data, size_t len, unsigned int n_fds)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(16 * sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)data, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	int fds[16] = { 0 };

	for (unsigned int i = 0; i < n_fds; i++)
		fds[i] = STDOUT_FILENO;
	if (n_fds) {
		m.msg_control = &control;
		m.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		control.head = (struct cmsghdr){ .cmsg_len = CMSG_LEN(n_fds * sizeof(int)),
						 .cmsg_level = SOL_SOCKET,
						 .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.head), fds, n_fds * sizeof(int));
	}
	if (sendmsg(b.fd, &m, MSG_NOSIGNAL) < 0)
		leave(90);
}

/* Jobs -------------------------------------------------------------------------------------------
 */

static int ask_each(void)
{
	uint64_t value = 0;
	int fd = -1;

	if (broker_ask(&b, COUNT, 0, NULL) != 0 || broker_ask(&b, COUNT, 0, NULL) != 0)
		return 1;
	if (broker_ask(&b, DOUBLE, UINT64_C(0x123456789), NULL) != 0)
		return 2;
	if (broker_ask(&b, REFUSE, 0, &fd) != -EROFS || fd != -1)
		return 3;
	if (broker_ask(&b, GIVE, 77, &fd) != 0 || fd < 0)
		return 4;
	if (pread(fd, &value, sizeof(value), 0) != sizeof(value) || value != 77)
		return 5;
	return fcntl(fd, F_GETFD) & FD_CLOEXEC ? CHILD_OK : 6;
}

START_TEST(a_job_gets_its_value_and_gives_its_result_and_a_descriptor)
{
	const unsigned int before = count_fds();

	serve(JAIL_OFF, ask_each);
	ends_with(CHILD_OK);
	ck_assert_uint_eq(n_counted, 2);
	ck_assert_uint_eq(doubled, UINT64_C(0x2468acf12));
	fini();
	ck_assert_uint_eq(count_fds(), before);
}
END_TEST

static int ask_for_nothing_with_a_descriptor(void)
{
	unsigned int n = count_fds();

	return broker_ask(&b, GIVE, 1, NULL) == 0 && count_fds() == n ? CHILD_OK : 1;
}

START_TEST(a_descriptor_that_nobody_expected_is_closed)
{
	serve(JAIL_OFF, ask_for_nothing_with_a_descriptor);
	ends_with(CHILD_OK);
	fini();
}
END_TEST

static int ask_for_odd_jobs(void)
{
	static const unsigned int odd[] = { JOBS, JOBS + 1, 1000, INT32_MAX, UINT32_MAX - 1 };

	for (unsigned int i = 0; i < ARRAY_SIZE(odd); i++) {
		if (broker_ask(&b, odd[i], UINT64_MAX, NULL) != -EINVAL)
			return (int)i + 1;
	}
	return is_well() ? CHILD_OK : 50;
}

START_TEST(a_job_that_there_is_not_is_refused)
{
	serve(JAIL_OFF, ask_for_odd_jobs);
	ends_with(CHILD_OK);
	fini();
}
END_TEST

/* Messages of a stranger -------------------------------------------------------------------------
 */

static int say_all_sizes(void)
{
	char junk[4096];

	memset(junk, 0, sizeof(junk));
	for (size_t len = 1; len < sizeof(junk); len += len < 200 ? 1 : 97) {
		if (len != sizeof(struct request) && len != sizeof(struct jail_denial))
			say(junk, len, 0);
	}
	return is_well() && broker_ask(&b, COUNT, 0, NULL) == 0 ? CHILD_OK : 1;
}

START_TEST(a_message_of_another_size_says_nothing)
{
	serve(JAIL_OFF, say_all_sizes);
	ends_with(CHILD_OK);
	ck_assert_uint_eq(n_counted, 1);
	fini();
}
END_TEST

static int say_with_descriptors(void)
{
	struct request r = { .job = REFUSE, .is_request = 1 };
	int32_t rc = 0;
	char junk[8] = "";

	for (unsigned int n = 0; n <= 16; n++) {
		say(&r, sizeof(r), n);
		if (recv(b.fd, &rc, sizeof(rc), 0) != sizeof(rc) || rc != -EROFS)
			return (int)n + 1;
		say(junk, sizeof(junk), n);
	}
	return is_well() ? CHILD_OK : 50;
}

START_TEST(descriptors_that_come_along_do_not_stay)
{
	const unsigned int before = count_fds();

	serve(JAIL_OFF, say_with_descriptors);
	ends_with(CHILD_OK);
	fini();
	ck_assert_uint_eq(count_fds(), before);
}
END_TEST

static int give_false_logs(void)
{
	struct request r = { .job = LOG_JOB, .is_request = 1 };

	memset(r.thread, 'x', sizeof(r.thread));
	say(&r, sizeof(r), 0);
	for (unsigned int i = 0; i < 3000; i++)
		say(&r, sizeof(r), 1);
	return is_well() ? CHILD_OK : 50;
}

/* Even of a VM whose calls are logged, and then of no more than it may have threads. */
START_TEST(a_vm_fills_its_broker_with_no_descriptors)
{
	serve(_i ? JAIL_LOG : JAIL_OFF, give_false_logs);
	ends_with(CHILD_OK);
	ck_assert_uint_le(b.n_logs, _i ? BROKER_MAX_LOGS : 0);
	fini();
}
END_TEST

static int deny(void)
{
	struct jail_denial d = { .number = 59, .args = { 1, 2, 3 } };

	memset(d.thread, 'x', sizeof(d.thread));
	say(&d, sizeof(d), 0);
	raise(SIGILL);
	return 1;
}

START_TEST(a_denied_call_is_told_even_by_a_process_that_is_dead)
{
	serve(JAIL_OFF, deny);
	ck_assert(WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGILL);
	ck_assert(end.was_denied);
	ck_assert_int_eq(end.denial.number, 59);
	ck_assert_uint_eq(end.denial.args[2], 3);
	ck_assert_uint_eq(strlen(end.denial.thread), JAIL_NAME - 1); /* whatever it has sent */
	fini();
}
END_TEST

static int hang_up(void)
{
	close(b.fd);
	usleep(200000);
	return CHILD_OK;
}

/* A VM whose end of the socket is gone is still waited for, and nobody spins meanwhile. */
START_TEST(a_vm_that_hangs_up_is_waited_for)
{
	struct timespec t;

	serve(JAIL_OFF, hang_up);
	ends_with(CHILD_OK);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	ck_assert(t.tv_sec == 0 && t.tv_nsec < 150000000);
	fini();
}
END_TEST

__attribute__((noreturn)) static int sleep_for_ever(void)
{
	for (;;)
		pause();
}

static int ask_and_do_not_listen(void)
{
	struct request r = { .job = COUNT, .is_request = 1 };

	for (unsigned int i = 0; i < 5000; i++)
		say(&r, sizeof(r), 0);
	while (recv(b.fd, &r, sizeof(r), 0) > 0) /* until it is told that there is no more */
		;
	kill(getppid(), SIGTERM);
	sleep_for_ever();
}

START_TEST(a_vm_that_does_not_listen_does_not_hold_its_broker_up)
{
	signals_init();
	serve(JAIL_OFF, ask_and_do_not_listen);
	ck_assert(WIFEXITED(end.status) && WEXITSTATUS(end.status) == 128 + SIGTERM);
	ck_assert_uint_eq(n_counted, 5000);
	fini();
}
END_TEST

/* Ends, signals ----------------------------------------------------------------------------------
 */

static int signal_the_broker(void)
{
	kill(getppid(), SIGTERM);
	sleep_for_ever();
}

START_TEST(a_signal_that_would_end_the_broker_ends_the_vm)
{
	signals_init();
	serve(JAIL_OFF, signal_the_broker);
	ck_assert(WIFEXITED(end.status) && WEXITSTATUS(end.status) == 128 + SIGTERM);
	fini();
}
END_TEST

static int die(void)
{
	raise(SIGKILL);
	return 1;
}

START_TEST(how_the_vm_has_ended_is_told)
{
	serve(JAIL_OFF, die);
	ck_assert(WIFSIGNALED(end.status) && WTERMSIG(end.status) == SIGKILL);
	ck_assert(!end.was_denied);
	fini();
}
END_TEST

/* A PID namespace's first process, who has no signals but those it handles, too. */
START_TEST(a_broker_that_dies_takes_the_vm_with_it)
{
	int fds[2];
	pid_t broker;
	char byte;

	ck_assert_int_eq(pipe(fds), 0);
	broker = fork();
	if (broker == 0) {
		close(fds[0]);
		fork_vm(_i ? JAIL_ON : JAIL_OFF, sleep_for_ever);
		ck_assert_int_eq(write(fds[1], "", 1), 1);
		sleep_for_ever();
	}
	close(fds[1]);
	ck_assert_int_eq(read(fds[0], &byte, 1), 1);
	kill(broker, SIGKILL);
	waitpid(broker, NULL, 0);
	ck_assert_int_eq(read(fds[0], &byte, 1), 0); /* nobody has it any more */
	close(fds[0]);
}
END_TEST

static int see_signals(void)
{
	sigset_t set;

	sigprocmask(SIG_BLOCK, NULL, &set);
	return sigismember(&set, SIGCHLD) || sigismember(&set, SIGTERM) ? 1 : CHILD_OK;
}

START_TEST(signals_are_as_they_were_in_both)
{
	sigset_t set;

	serve(JAIL_OFF, see_signals);
	ends_with(CHILD_OK);
	fini();
	sigprocmask(SIG_BLOCK, NULL, &set);
	ck_assert(!sigismember(&set, SIGCHLD) && !sigismember(&set, SIGTERM));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("broker");

	UNIT_TEST(s, a_job_gets_its_value_and_gives_its_result_and_a_descriptor);
	UNIT_TEST(s, a_descriptor_that_nobody_expected_is_closed);
	UNIT_TEST(s, a_job_that_there_is_not_is_refused);
	UNIT_TEST(s, a_message_of_another_size_says_nothing);
	UNIT_TEST(s, descriptors_that_come_along_do_not_stay);
	UNIT_LOOP(s, a_vm_fills_its_broker_with_no_descriptors, 2);
	UNIT_TEST(s, a_denied_call_is_told_even_by_a_process_that_is_dead);
	UNIT_TEST(s, a_vm_that_hangs_up_is_waited_for);
	UNIT_TEST(s, a_vm_that_does_not_listen_does_not_hold_its_broker_up);
	UNIT_TEST(s, a_signal_that_would_end_the_broker_ends_the_vm);
	UNIT_TEST(s, how_the_vm_has_ended_is_told);
	UNIT_LOOP(s, a_broker_that_dies_takes_the_vm_with_it, 2);
	UNIT_TEST(s, signals_are_as_they_were_in_both);
	return s;
}

UNIT_MAIN("broker", suite)
