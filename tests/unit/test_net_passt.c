/*
 * test_net_passt.c - passt as our child: how it is started, how it fails, and that it surely ends.
 *
 * In passt's place stands a shell script in a folder of the test, which PATH begins with; or this
 * program, by that name, because a script cannot switch on a filter.
 */
#include "fake_stderr.h"
#include "pid_namespace.h"
#include "unit.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/host/child.h>
#include <vmm/net/netif.h>

static struct evloop *loop;
static struct err e;
static char folder[] = "/tmp/test_net_passt.XXXXXX", script[64], note[64];
static struct netif *n;
static unsigned int n_link;

static void on_link(void *arg)
{
	(void)arg;
	n_link++;
}

static void on_pair(void *arg, unsigned int pair)
{
	(void)arg, (void)pair;
}

static const struct netif_events events = { on_pair, on_pair, on_link };

/* body: what "passt" does; $N is a file for notes. NULL: there is no such program. */
static void setup(const char *body)
{
	char search[256];
	FILE *out;

	log_set_level(LOG_ERROR);
	ck_ok(evloop_create(&loop, &e));
	ck_assert_ptr_nonnull(mkdtemp(folder));
	snprintf(script, sizeof(script), "%s/passt", folder);
	snprintf(note, sizeof(note), "%s/note", folder);
	snprintf(search, sizeof(search), "%s:/bin", folder);
	setenv("PATH", body ? search : folder, 1);
	setenv("N", note, 1);
	if (!body)
		return;
	out = fopen(script, "we");
	fprintf(out, "#!/bin/sh\n%s\n", body);
	fclose(out);
	chmod(script, 0700);
}

/* Nothing is forbidden but this one call. */
static bool forbid(unsigned int number)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	const struct sock_fprog filter = { ARRAY_SIZE(code), code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

/* What this program does in passt's place. */
static int play_passt(void)
{
	if (!forbid(SYS_reboot))
		return 1;
	usleep(1000000);
	fprintf(stderr, "I am so tired\n");
	return 0;
}

static void setup_player(void)
{
	char self[256] = "";

	setup("");
	ck_assert_int_gt(readlink("/proc/self/exe", self, sizeof(self) - 1), 0);
	unlink(script);
	ck_assert_int_eq(symlink(self, script), 0);
}

static void teardown(void)
{
	netif_destroy(n);
	evloop_destroy(loop);
	unlink(script);
	unlink(note);
	ck_assert_int_eq(rmdir(folder), 0);
	/* No zombie, no child. */
	ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
	ck_assert_int_eq(errno, ECHILD);
}

static int start(const char *text)
{
	struct net_spec spec;
	int rc;

	ck_ok(net_spec_parse(&spec, text, &e));
	rc = netif_open(&n, &spec, "net0", loop, &e);
	net_spec_fini(&spec);
	if (rc == 0)
		n->events = &events;
	return rc;
}

static void stop_loop(void *arg)
{
	evloop_stop(arg);
}

static void run_ms(unsigned int ms)
{
	struct ev_timer t = { .fn = stop_loop, .arg = loop };

	evloop_timer_set(loop, &t, evloop_now_ns() + ms * NS_PER_MS);
	evloop_run(loop);
}

static const char *notes(void)
{
	static char text[1024];
	int fd = open(note, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	close(fd);
	text[len > 0 ? len : 0] = '\0';
	return text;
}

START_TEST(a_missing_passt_is_told_with_the_remedy)
{
	setup(NULL);
	ck_fails(start("user"), -ENOENT, "apt install passt");
	teardown();
}
END_TEST

START_TEST(its_command_line_says_what_the_user_said)
{
	setup("echo \"$@\" >$N; exit 1");
	ck_fails(start("user,mtu=9000,publish=8080:80,publish=udp:192.0.2.1:53:5353,"
		       "publish=[2001:db8::1]:22:22"),
		 -ECHILD, "without a word");
	ck_assert_str_eq(notes(),
			 "--foreground --quiet --fd 3 --mtu 9000 --no-map-gw "
			 "-t 127.0.0.1/8080:80 -u 192.0.2.1/53:5353 -t 2001:db8::1/22:22\n");
	teardown();
}
END_TEST

START_TEST(its_early_end_is_told_in_its_own_words)
{
	setup("echo \"Don't run as root. Changing to nobody...\" >&2\n"
	      "echo 'Failed to send 40 bytes to syslog' >&2; echo >&2\n"
	      "echo 'No external routable interface for IPv4' >&2\n"
	      "echo 'External interface not usable' >&2; exit 1");
	ck_fails(start("user"), -ECHILD,
		 "passt: No external routable interface for IPv4; External interface not usable "
		 "(it needs an interface with a default route");
	teardown();
}
END_TEST

START_TEST(an_end_by_a_signal_is_told)
{
	setup("kill -SEGV $$");
	ck_fails(start("user"), -ECHILD, "by signal 11");
	teardown();
}
END_TEST

START_TEST(a_taken_port_is_told)
{
	setup("echo \"Failed to bind any port for '-t 127.0.0.1/80:80', exiting\" >&2; exit 1");
	ck_fails(start("user,publish=80:80"), -ECHILD, "another program has that port");
	teardown();
}
END_TEST

START_TEST(many_words_are_cut_to_the_last_ones)
{
	setup("i=0; while [ $i -lt 2000 ]; do echo some words of no great interest >&2; "
	      "i=$((i+1)); "
	      "done; echo the reason >&2; exit 1");
	ck_fails(start("user"), -ECHILD, "some words");
	teardown();
}
END_TEST

/* The child alone, without what passt is asked for. */
static struct child child;
static bool ended;

static void on_end(void *arg)
{
	(void)arg;
	ended = true;
}

static void run_until_ended(void)
{
	for (unsigned int i = 0; i < 500 && !ended; i++)
		run_ms(10);
	ck_assert(ended);
}

static void start_child(void)
{
	static const char *const argv[] = { "passt", NULL };
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	ck_ok(child_start(&child, argv, fd, &e));
	close(fd);
	ck_ok(child_watch(&child, loop, on_end, NULL, &e));
}

START_TEST(the_end_of_a_child_is_told_once_and_it_leaves_no_zombie)
{
	setup("echo last words >&2");
	start_child();
	run_until_ended();
	ck_assert_str_eq(child.words, "last words\n");
	ck_assert(child_has_ended(&child));
	child_stop(&child);
	teardown();
}
END_TEST

START_TEST(a_child_that_does_not_want_to_end_is_ended)
{
	setup("trap '' TERM INT HUP PIPE; echo ready >$N; while :; do sleep 60; done");
	start_child();
	run_ms(300);
	ck_assert(!ended);
	ck_assert(!child_has_ended(&child));
	child_stop(&child);
	ck_assert(child_has_ended(&child));
	teardown();
}
END_TEST

START_TEST(a_child_that_talks_without_end_is_read_and_bounded)
{
	setup("while :; do echo talk talk talk talk talk talk talk >&2; done");
	start_child();
	run_ms(200);
	ck_assert(!child_has_ended(&child));
	ck_assert_uint_le(child.n_words, CHILD_WORDS);
	ck_assert_uint_gt(child.n_words, CHILD_WORDS / 2);
	child_stop(&child);
	teardown();
}
END_TEST

START_TEST(a_child_gets_its_descriptor_and_no_other_of_ours)
{
	int secret;

	setup("ls /proc/self/fd >$N");
	secret = open("/dev/null", O_RDONLY); /* without close-on-exec */
	ck_assert_int_ge(secret, 0);
	start_child();
	run_until_ended();
	/* 0 to 3; 4 is the folder that ls reads, or 1 redirected */
	ck_assert_str_eq(notes(), "0\n1\n2\n3\n4\n");
	close(secret);
	child_stop(&child);
	teardown();
}
END_TEST

START_TEST(a_child_is_in_a_session_of_its_own_with_signals_as_usual)
{
	sigset_t all;

	setup("cut -d ' ' -f 6 /proc/$$/stat >$N; echo $$ >>$N; "
	      "grep -E 'Sig(Blk|Ign)' /proc/self/status >>$N");
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	signal(SIGPIPE, SIG_IGN);
	start_child();
	run_until_ended();
	{
		char sid[16], pid[16], block[32], ignore[32];

		ck_assert_int_eq(sscanf(notes(), "%15s %15s SigBlk: %31s SigIgn: %31s", sid, pid,
					block, ignore),
				 4);
		ck_assert_str_eq(sid, pid);
		ck_assert_str_eq(block, "0000000000000000");
		/* 32 and 33 are libc's own: it lets nobody change them. */
		ck_assert_uint_eq(strtoull(ignore, NULL, 16) & ~UINT64_C(0x180000000), 0);
	}
	child_stop(&child);
	teardown();
}
END_TEST

START_TEST(its_end_takes_the_link_down_and_is_told)
{
	char text[1024];

	setup_player();
	ck_ok(start("user"));
	ck_assert(n->link_up);
	ck_assert_uint_eq(n->mtu, 65520);
	stderr_capture();
	run_ms(2500);
	ck_assert(!n->link_up);
	ck_assert_uint_eq(n_link, 1);
	ck_assert_ptr_nonnull(strstr(stderr_text(text, sizeof(text)), "I am so tired"));
	teardown();
}
END_TEST

static int start_inside(pid_t outside)
{
	(void)outside;
	if (start("user") < 0)
		return 1;
	netif_destroy(n);
	return 0;
}

START_TEST(one_that_confines_itself_is_seen_in_a_pid_namespace_too)
{
	setup_player();
	in_pid_namespace(start_inside);
	n = NULL;
	teardown();
}
END_TEST

static int start_unconfined(pid_t outside)
{
	(void)outside;
	if (start("user") != -ETIMEDOUT || !strstr(e.text, "passt has not confined itself"))
		return 1;
	return waitpid(-1, NULL, WNOHANG) == -1 ? 0 : 2; /* it has been ended */
}

/* Where its confinement could not be seen it would be taken for ready. */
START_TEST(one_that_does_not_confine_itself_is_refused)
{
	setup("exec sleep 60");
	in_pid_namespace(start_unconfined);
	teardown();
}
END_TEST

START_TEST(a_child_is_ended_where_kill_is_forbidden)
{
	setup("exec sleep 60");
	start_child();
	ck_assert(forbid(SYS_kill));
	ck_assert_int_eq(kill(child.pid, SIGKILL), -1);
	child_stop(&child);
	ck_assert(child_has_ended(&child));
	teardown();
}
END_TEST

/* As passt does for root. */
START_TEST(one_that_is_another_users_by_now_is_not_waited_for_without_end)
{
	uint64_t start_ns = evloop_now_ns();

	if (geteuid() != 0) {
		printf("# only root has children of other users\n");
		return;
	}
	setup("exec /usr/bin/setpriv --reuid=65533 --clear-groups sleep 4");
	start_child();
	run_ms(500);
	netif_destroy(n);
	unlink(script);
	ck_assert_int_eq(rmdir(folder), 0);
	ck_assert_int_eq(setgroups(0, NULL), 0);
	ck_assert_int_eq(setresuid(65534, 65534, 65534), 0);
	child_stop(&child);
	ck_assert_uint_ge(evloop_now_ns() - start_ns, 2 * NS_PER_S);
	ck_assert_uint_lt(evloop_now_ns() - start_ns, 4 * NS_PER_S);
	evloop_destroy(loop);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("net_passt");

	UNIT_TEST(s, a_missing_passt_is_told_with_the_remedy);
	UNIT_TEST(s, its_command_line_says_what_the_user_said);
	UNIT_TEST(s, its_early_end_is_told_in_its_own_words);
	UNIT_TEST(s, an_end_by_a_signal_is_told);
	UNIT_TEST(s, a_taken_port_is_told);
	UNIT_TEST(s, many_words_are_cut_to_the_last_ones);
	UNIT_TEST(s, the_end_of_a_child_is_told_once_and_it_leaves_no_zombie);
	UNIT_TEST(s, a_child_that_does_not_want_to_end_is_ended);
	UNIT_TEST(s, a_child_that_talks_without_end_is_read_and_bounded);
	UNIT_TEST(s, a_child_gets_its_descriptor_and_no_other_of_ours);
	UNIT_TEST(s, a_child_is_in_a_session_of_its_own_with_signals_as_usual);
	UNIT_TEST(s, its_end_takes_the_link_down_and_is_told);
	UNIT_TEST(s, one_that_confines_itself_is_seen_in_a_pid_namespace_too);
	UNIT_SLOW(s, one_that_does_not_confine_itself_is_refused);
	UNIT_TEST(s, a_child_is_ended_where_kill_is_forbidden);
	UNIT_TEST(s, one_that_is_another_users_by_now_is_not_waited_for_without_end);
	return s;
}

int main(int argc, char **argv)
{
	if (argc > 0 && strcmp(basename(argv[0]), "passt") == 0)
		return play_passt();
	return unit_run(suite(), "net_passt");
}
