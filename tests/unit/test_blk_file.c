/*
 * test_blk_file.c - src/block/blk_file.c and blk_probe.c: what is opened, what is refused, and in
 * which words; who may share a file with whom.
 */
#include "blk_rig.h"
#include "fake_stderr.h"
#include "pid_namespace.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <vmm/base/log.h>

static struct rig g;

static void init(void)
{
	rig_init(&g, 64 * KIB);
}

static int try_open(struct blk **b, struct err *e)
{
	return blk_open(b, &g.spec, g.loop, RIG_DEPTH, e);
}

static void refused(int code, const char *words)
{
	struct blk *b;
	struct err e;

	ck_fails(try_open(&b, &e), code, words);
}

static void opens(void)
{
	rig_open(&g);
	rig_close(&g);
}

static void replace_path(const char *path)
{
	unlink(g.path);
	free(g.path);
	g.path = strdup(path);
	g.spec.path = g.path;
}

/* Locks -------------------------------------------------------------------------------------- */

enum use { WRITES, READS, SNAPSHOT, N_USES };

static void set_use(enum use u)
{
	g.spec.ro = u == READS;
	g.spec.snapshot = u == SNAPSHOT;
}

/* Another process that uses the file in this way, from now until end_other(). */
static pid_t other;
static int other_stays;

static void begin_other(enum use u)
{
	int opened[2], stays[2];
	char ok;

	ck_assert_int_eq(pipe(opened), 0);
	ck_assert_int_eq(pipe(stays), 0);
	other = fork();
	if (other == 0) {
		int fd = open(g.path, u == WRITES ? O_RDWR : O_RDONLY);

		close(stays[1]);
		if (flock(fd, u == WRITES ? LOCK_EX : LOCK_SH) < 0 || write(opened[1], "x", 1) < 1)
			_exit(1);
		_exit(read(stays[0], &ok, 1) != 0);
	}
	close(opened[1]);
	close(stays[0]);
	other_stays = stays[1];
	ck_assert_int_eq(read(opened[0], &ok, 1), 1);
	close(opened[0]);
}

static void end_other(void)
{
	int status;

	close(other_stays);
	ck_assert_int_eq(waitpid(other, &status, 0), other);
	ck_assert_int_eq(status, 0);
}

START_TEST(one_writer_or_any_number_of_readers)
{
	enum use here = (enum use)(_i / N_USES), there = (enum use)(_i % N_USES);

	init();
	begin_other(there);
	set_use(here);
	if (here != WRITES && there != WRITES)
		opens();
	else
		refused(-EBUSY, "in use by ");
	end_other();
	opens(); /* the lock goes with its owner */
	rig_fini(&g);
}
END_TEST

START_TEST(who_holds_the_file_is_named_with_its_pid_and_the_remedy)
{
	char words[64], comm[32] = "";
	FILE *f;

	init();
	f = fopen("/proc/self/comm", "r");
	ck_assert_ptr_nonnull(fgets(comm, sizeof(comm), f));
	fclose(f);
	comm[strcspn(comm, "\n")] = '\0';
	begin_other(WRITES);
	snprintf(words, sizeof(words), "in use by %s (pid %d)", comm, (int)other);
	refused(-EBUSY, words);
	refused(-EBUSY, "give it ,ro or ,snapshot");
	set_use(READS);
	refused(-EBUSY, words);
	end_other();
	rig_fini(&g);
}
END_TEST

START_TEST(a_file_given_twice_is_refused_by_that_name)
{
	struct blk *second;
	struct err e;

	init();
	rig_open(&g);
	ck_fails(try_open(&second, &e), -EBUSY, "in use by this VM as another disk");
	rig_close(&g);
	set_use(SNAPSHOT);
	rig_open(&g);
	ck_ok(try_open(&second, &e));
	blk_destroy(second);
	rig_fini(&g);
}
END_TEST

START_TEST(a_program_that_we_start_does_not_inherit_the_lock)
{
	pid_t child;
	int status;

	init();
	rig_open(&g);
	child = fork();
	if (child == 0) {
		execlp("sleep", "sleep", "30", (char *)NULL);
		_exit(127);
	}
	for (unsigned int i = 0; i < 300; i++) { /* until it is no longer us */
		char path[64], comm[32] = "";
		FILE *f;

		snprintf(path, sizeof(path), "/proc/%d/comm", (int)child);
		f = fopen(path, "r");
		if (f && fgets(comm, sizeof(comm), f) && strcmp(comm, "sleep\n") == 0)
			i = 300;
		if (f)
			fclose(f);
		usleep(10000);
	}
	rig_close(&g);
	opens();
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	rig_fini(&g);
}
END_TEST

/* A lock that stays although its owner is gone: the file is open here, too. */
static int orphan_lock(void)
{
	int fd = open(g.path, O_RDWR), status;
	pid_t child = fork();

	if (child == 0)
		_exit(flock(fd, LOCK_EX));
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	return fd;
}

static void *release(void *arg)
{
	usleep(200000);
	close(*(int *)arg);
	return NULL;
}

START_TEST(what_one_that_was_killed_leaves_locked_is_waited_for)
{
	pthread_t thread;
	int fd;

	init();
	fd = orphan_lock();
	ck_assert_int_eq(pthread_create(&thread, NULL, release, &fd), 0);
	opens();
	pthread_join(thread, NULL);
	fd = orphan_lock(); /* but not for ever */
	refused(-EBUSY, "in use by ");
	close(fd);
	rig_fini(&g);
}
END_TEST

static int open_from_inside(pid_t outside)
{
	static uint8_t zeros[4096];
	struct blk *first, *second;
	char words[32], *path = fake_file(zeros, sizeof(zeros));
	struct err e;
	int rc = 0;

	(void)outside;
	snprintf(words, sizeof(words), "(pid %d)", (int)other);
	if (try_open(&second, &e) != -EBUSY || !strstr(e.text, words))
		rc = 1;
	g.spec.path = path;
	if (try_open(&first, &e) < 0)
		rc = 2;
	else if (try_open(&second, &e) != -EBUSY || !strstr(e.text, "this VM as another disk"))
		rc = 3;
	unlink(path);
	return rc;
}

START_TEST(who_holds_a_file_is_known_in_a_pid_namespace_too)
{
	init();
	begin_other(WRITES);
	in_pid_namespace(open_from_inside);
	end_other();
	rig_fini(&g);
}
END_TEST

/* Formats ------------------------------------------------------------------------------------ */

static const struct {
	const char *name;
	unsigned int at, len;
	const char *magic;
} formats[] = {
	{ "qcow2", 0, 4, "QFI\xfb" },
	{ "vmdk", 0, 4, "KDMV" },
	{ "vmdk", 0, 4, "COWD" },
	{ "vmdk", 0, 21, "# Disk DescriptorFile" },
	{ "vhdx", 0, 8, "vhdxfile" },
	{ "vpc", 0, 8, "conectix" },
	{ "vdi", 64, 4, "\x7f\x10\xda\xbe" },
	{ "qed", 0, 4, "QED" },
};

START_TEST(what_looks_like_another_format_is_refused_unless_called_raw)
{
	char words[64];
	int fd;

	init();
	fd = open(g.path, O_WRONLY);
	ck_assert_int_eq(pwrite(fd, formats[_i].magic, formats[_i].len, formats[_i].at),
			 formats[_i].len);
	close(fd);
	snprintf(words, sizeof(words), "looks like %s", formats[_i].name);
	for (int u = 0; u < N_USES; u++) {
		set_use((enum use)u);
		g.spec.raw = false;
		refused(-EINVAL, words);
		refused(-EINVAL, "qemu-img convert");
		refused(-EINVAL, ",format=raw");
		g.spec.raw = true;
		opens();
	}
	rig_fini(&g);
}
END_TEST

/* What cannot be a disk ---------------------------------------------------------------------- */

START_TEST(what_is_no_file_is_refused_without_waiting)
{
	char path[64];

	init();
	snprintf(path, sizeof(path), "/tmp/vmm-unit-%d", (int)getpid());
	replace_path(path);
	refused(-ENOENT, "open: No such file");
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	set_use(READS);
	refused(-EINVAL, "neither a file nor a block device");
	unlink(path);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	refused(-EINVAL, "neither a file nor a block device");
	set_use(WRITES);
	refused(-EISDIR, "neither a file");
	rmdir(path);
	replace_path("/dev/null");
	refused(-EINVAL, "neither a file nor a block device");
	free(g.path);
	evloop_destroy(g.loop);
}
END_TEST

START_TEST(an_empty_file_is_refused_with_the_way_to_give_it_a_size)
{
	init();
	ck_assert_int_eq(truncate(g.path, 0), 0);
	refused(-EINVAL, "truncate -s");
	ck_assert_int_eq(truncate(g.path, 511), 0);
	refused(-EINVAL, "is empty");
	ck_assert_int_eq(truncate(g.path, 512), 0);
	opens();
	rig_fini(&g);
}
END_TEST

START_TEST(bytes_behind_the_last_sector_are_told_and_left_alone)
{
	char text[512];

	init();
	stderr_capture();
	ck_assert_int_eq(truncate(g.path, 1024 + 7), 0);
	opens();
	ck_assert_ptr_nonnull(strstr(stderr_text(text, sizeof(text)), "its last 7 bytes"));
	rig_fini(&g);
}
END_TEST

/* As root nothing is forbidden, so another user tries. */
START_TEST(a_file_that_may_only_be_read_says_what_helps)
{
	int status;
	pid_t child;

	init();
	ck_assert_int_eq(chmod(g.path, 0444), 0);
	child = fork();
	if (child == 0) {
		struct blk *b;
		struct err e;

		if (geteuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
			_exit(1);
		if (try_open(&b, &e) != -EACCES || !strstr(e.text, "with ,ro or ,snapshot"))
			_exit(2);
		set_use(READS);
		_exit(try_open(&b, &e) == 0 ? 0 : 3);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	rig_fini(&g);
}
END_TEST

START_TEST(a_disk_that_is_only_read_is_not_even_open_for_writing)
{
	struct rig_req q = { 0 };
	uint8_t buf[512];

	init();
	set_use(READS);
	rig_open(&g);
	ck_assert(g.blk->info.ro);
	ck_assert_uint_eq(g.blk->info.discard_unit, 0);
	ck_assert(!g.blk->info.zeroes);
	rig_submit(&g, &q, BLK_WRITE, 0, buf, 512, 0);
	rig_wait(&g);
	ck_assert_int_eq(q.result, -EBADF);
	rig_fini(&g);
}
END_TEST

START_TEST(opening_changes_neither_size_nor_content)
{
	struct stat before, after;
	uint8_t *want = malloc(64 * KIB), *got = malloc(64 * KIB);
	int fd;

	init();
	fd = open(g.path, O_RDONLY);
	ck_assert_int_eq(read(fd, want, 64 * KIB), 64 * KIB);
	ck_assert_int_eq(fstat(fd, &before), 0);
	for (int u = 0; u < N_USES; u++) {
		set_use((enum use)u);
		opens();
	}
	ck_assert_int_eq(fstat(fd, &after), 0);
	ck_assert_int_eq(before.st_size, after.st_size);
	ck_assert_int_eq(before.st_blocks, after.st_blocks);
	ck_assert_int_eq(pread(fd, got, 64 * KIB, 0), 64 * KIB);
	ck_assert_mem_eq(got, want, 64 * KIB);
	close(fd);
	free(want);
	free(got);
	rig_fini(&g);
}
END_TEST

#define FDS 256

/* Those that are inherited by a program that we start; all of them. */
static void find_fds(bool inherited[FDS], unsigned int *n)
{
	*n = 0;
	for (int fd = 0; fd < FDS; fd++) {
		int flags = fcntl(fd, F_GETFD);

		inherited[fd] = flags >= 0 && !(flags & FD_CLOEXEC);
		*n += flags >= 0;
	}
}

START_TEST(every_descriptor_is_closed_again_and_none_is_inherited)
{
	bool before[FDS], now[FDS];
	unsigned int n_before, n;

	init();
	find_fds(before, &n_before);
	for (int u = 0; u < N_USES; u++) {
		set_use((enum use)u);
		rig_open(&g);
		find_fds(now, &n);
		ck_assert_uint_gt(n, n_before);
		ck_assert_mem_eq(now, before, sizeof(now));
		rig_close(&g);
	}
	ck_assert_int_eq(truncate(g.path, 0), 0);
	refused(-EINVAL, "is empty"); /* nothing is left of a bad attempt either */
	find_fds(now, &n);
	ck_assert_uint_eq(n, n_before);
	rig_fini(&g);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("blk_file");

	UNIT_LOOP(s, one_writer_or_any_number_of_readers, N_USES * N_USES);
	UNIT_TEST(s, who_holds_the_file_is_named_with_its_pid_and_the_remedy);
	UNIT_TEST(s, a_file_given_twice_is_refused_by_that_name);
	UNIT_TEST(s, a_program_that_we_start_does_not_inherit_the_lock);
	UNIT_TEST(s, what_one_that_was_killed_leaves_locked_is_waited_for);
	UNIT_TEST(s, who_holds_a_file_is_known_in_a_pid_namespace_too);
	UNIT_LOOP(s, what_looks_like_another_format_is_refused_unless_called_raw,
		  ARRAY_SIZE(formats));
	UNIT_TEST(s, what_is_no_file_is_refused_without_waiting);
	UNIT_TEST(s, an_empty_file_is_refused_with_the_way_to_give_it_a_size);
	UNIT_TEST(s, bytes_behind_the_last_sector_are_told_and_left_alone);
	UNIT_TEST(s, a_file_that_may_only_be_read_says_what_helps);
	UNIT_TEST(s, a_disk_that_is_only_read_is_not_even_open_for_writing);
	UNIT_TEST(s, opening_changes_neither_size_nor_content);
	UNIT_TEST(s, every_descriptor_is_closed_again_and_none_is_inherited);
	return s;
}

UNIT_MAIN("blk_file", suite)
