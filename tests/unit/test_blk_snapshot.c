/*
 * test_blk_snapshot.c - src/block/blk_snapshot.c: what is written is read again, the base stays as
 * it is, and nothing is left behind. By both engines (_i 0: io_uring, 1: threads).
 */
#include "blk_rig.h"
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#define SIZE (512 * KIB)
#define SECTORS (SIZE / 512)

static struct rig g;
static uint8_t model[SIZE];
static char dir[64]; /* where layers go */

static bool start(int way)
{
	snprintf(dir, sizeof(dir), "%s/vmm-unit-snap-%d",
		 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp", (int)getpid());
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	rig_init(&g, SIZE);
	setenv("TMPDIR", dir, 1);
	g.spec.engine = way ? DISK_ENGINE_THREADS : DISK_ENGINE_URING;
	g.spec.snapshot = true;
	if (!way && !rig_has_uring()) {
		printf("# no io_uring on this host\n");
		rig_fini(&g);
		return false;
	}
	rig_open(&g);
	for (uint64_t i = 0; i < SIZE; i++)
		model[i] = rig_byte(i);
	return true;
}

static unsigned int n_files(void)
{
	DIR *d = opendir(dir);
	unsigned int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void stop(void)
{
	uint8_t *now = malloc(SIZE);
	int fd = open(g.path, O_RDONLY);
	uint64_t bad = 0;

	ck_assert_uint_eq(n_files(), 0);
	ck_assert_int_eq(read(fd, now, SIZE), SIZE);
	for (uint64_t i = 0; i < SIZE; i++)
		bad += now[i] != rig_byte(i);
	ck_assert_uint_eq(bad, 0);
	close(fd);
	free(now);
	rig_fini(&g);
	rmdir(dir);
}

static void write_at(uint64_t at, uint64_t len, int byte)
{
	uint8_t *data = malloc(len);

	memset(data, byte, len);
	memset(model + at, byte, len);
	ck_assert_int_eq(rig_do(&g, BLK_WRITE, at, data, len), 0);
	free(data);
}

START_TEST(an_untouched_disk_is_its_base)
{
	if (!start(_i))
		return;
	ck_assert(!g.blk->info.ro);
	ck_assert_uint_eq(blk_size(g.blk), SIZE);
	rig_check(&g, 0, model, SIZE);
	stop();
}
END_TEST

/* Around each border of a word of the map, and of a page. */
START_TEST(what_is_written_is_read_again_sector_by_sector)
{
	static const unsigned int at[] = { 0, 1, 7, 8, 62, 63, 64, 65, 127, 128, SECTORS - 1 };

	if (!start(_i))
		return;
	for (unsigned int i = 0; i < ARRAY_SIZE(at); i++) {
		write_at(at[i] * 512, 512, (int)i + 1);
		rig_check(&g, 0, model, SIZE);
	}
	write_at(60 * 512, 8 * 512, 0x60);
	rig_check(&g, 0, model, SIZE);
	write_at(200 * 512, 200 * 512, 0x61); /* several words */
	rig_check(&g, 0, model, SIZE);
	for (unsigned int i = 0; i < 140; i++)
		rig_check(&g, i * 512, model + i * 512, 130 * 512);
	stop();
}
END_TEST

START_TEST(a_disk_like_a_chequerboard_is_read_in_one_request)
{
	if (!start(_i))
		return;
	for (unsigned int i = 0; i < SECTORS; i += 2)
		write_at(i * 512, 512, (int)i);
	rig_check(&g, 0, model, SIZE);
	stop();
}
END_TEST

START_TEST(random_requests_agree_with_a_model)
{
	static uint8_t data[8][64 * 512];
	static struct rig_req q[8];
	uint64_t from[8], n[8];
	unsigned int seed = 99;

	if (!start(_i))
		return;
	for (unsigned int round = 0; round < 150; round++) {
		for (unsigned int k = 0; k < 8; k++) {
			uint64_t piece;
			unsigned int what;

			seed = seed * 1103515245 + 12345;
			from[k] = k * 128 * 512 + (seed >> 8) % 64 * 512;
			n[k] = (1 + (seed >> 16) % 64) * 512;
			piece = (seed >> 28 & 3) * 1000;
			what = seed >> 22 & 7;
			memset(&q[k], 0, sizeof(q[k]));
			if (what < 3) {
				memset(data[k], (int)(seed >> 4 & 255), n[k]);
				memcpy(model + from[k], data[k], n[k]);
				rig_submit(&g, &q[k], BLK_WRITE, from[k], data[k], n[k], piece);
			} else if (what == 3 && g.blk->info.zeroes) {
				memset(data[k], 0, n[k]);
				memset(model + from[k], 0, n[k]);
				rig_submit(&g, &q[k], BLK_WRITE_ZEROES, from[k], NULL, n[k], 0);
			} else {
				rig_submit(&g, &q[k], BLK_READ, from[k], data[k], n[k], piece);
			}
		}
		rig_wait(&g);
		for (unsigned int k = 0; k < 8; k++) {
			ck_assert_int_eq(q[k].result, 0);
			ck_assert_mem_eq(data[k], model + from[k], n[k]);
		}
	}
	rig_check(&g, 0, model, SIZE);
	stop();
}
END_TEST

START_TEST(discard_touches_the_layer_only_and_leaves_the_rest_readable)
{
	uint8_t buf[64 * 512];

	if (!start(_i))
		return;
	write_at(16 * 512, 16 * 512, 0x33);
	if (g.blk->info.discard_unit) {
		ck_assert_int_eq(rig_do(&g, BLK_DISCARD, 0, NULL, 64 * 512), 0);
		ck_assert_int_eq(rig_do(&g, BLK_READ, 0, buf, 64 * 512), 0);
		write_at(0, 64 * 512, 0x34); /* what it reads as until then is not defined */
	}
	rig_check(&g, 0, model, SIZE);
	stop();
}
END_TEST

START_TEST(a_flush_is_answered_and_never_from_within_submit)
{
	struct rig_req q[3] = { 0 };
	uint8_t buf[512] = { 0 };

	if (!start(_i))
		return;
	ck_assert_int_eq(rig_do(&g, BLK_FLUSH, 0, NULL, 0), 0);
	rig_submit(&g, &q[0], BLK_FLUSH, 0, NULL, 0, 0);
	rig_submit(&g, &q[1], BLK_WRITE, 0, buf, 512, 0);
	rig_submit(&g, &q[2], BLK_FLUSH, 0, NULL, 0, 0);
	blk_drain(g.blk);
	ck_assert_uint_eq(g.waiting, 0);
	memset(model, 0, 512);
	rig_check(&g, 0, model, SIZE);
	stop();
}
END_TEST

/* What has been started is waited for; what has not is not started any more. */
START_TEST(drain_waits_for_what_both_files_have_begun)
{
	static struct rig_req q[RIG_DEPTH];
	static uint8_t buf[RIG_DEPTH][64 * 512];

	if (!start(_i))
		return;
	for (unsigned int i = 0; i < 64; i += 3)
		write_at(i * 512, 512, (int)i);
	for (unsigned int i = 0; i < RIG_DEPTH; i++)
		rig_submit(&g, &q[i], BLK_READ, 0, buf[i], 64 * 512, 0);
	blk_drain(g.blk);
	ck_assert_uint_eq(g.waiting, 0);
	for (unsigned int i = 0; i < RIG_DEPTH; i++) {
		ck_assert_int_eq(q[i].result, -ECANCELED);
		ck_assert_mem_eq(buf[i], model, 512);
	}
	ck_assert_int_eq(rig_do(&g, BLK_READ, 0, buf[0], 64 * 512), 0);
	ck_assert_mem_eq(buf[0], model, 64 * 512);
	stop();
}
END_TEST

START_TEST(a_write_that_fails_leaves_the_old_data)
{
	const struct rlimit limit = { SIZE / 2, RLIM_INFINITY };
	const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };
	uint8_t buf[4096];
	int result;

	if (!start(_i))
		return;
	memset(buf, 0xdd, sizeof(buf));
	signal(SIGXFSZ, SIG_IGN);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	result = rig_do(&g, BLK_WRITE, SIZE / 2 + 4096, buf, 4096);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	ck_assert_int_eq(result, -EFBIG);
	rig_check(&g, 0, model, SIZE);
	stop();
}
END_TEST

START_TEST(two_of_them_over_one_base_do_not_see_each_other)
{
	uint8_t other[512];
	struct rig h = { 0 };

	if (!start(_i))
		return;
	h.loop = g.loop;
	h.spec = g.spec;
	rig_open(&h);
	write_at(0, 4096, 0x44);
	ck_assert_int_eq(rig_do(&h, BLK_READ, 0, other, 512), 0);
	ck_assert_uint_eq(other[1], rig_byte(1));
	memset(other, 0x55, 512);
	ck_assert_int_eq(rig_do(&h, BLK_WRITE, 512, other, 512), 0);
	rig_check(&g, 0, model, SIZE);
	rig_close(&h);
	stop();
}
END_TEST

START_TEST(another_size_of_the_base_is_not_for_this_guest)
{
	if (!start(_i))
		return;
	write_at(SIZE - 4096, 4096, 0x12);
	ck_assert_int_eq(truncate(g.path, 2 * SIZE), 0);
	ck_assert_uint_eq(blk_size(g.blk), SIZE);
	ck_assert_int_eq(truncate(g.path, SIZE), 0);
	rig_check(&g, 0, model, SIZE);
	stop();
}
END_TEST

START_TEST(a_folder_that_takes_no_layer_is_named)
{
	struct blk *b;
	struct err e;

	if (!start(_i))
		return;
	setenv("TMPDIR", "/nonexistent", 1);
	ck_fails(blk_open(&b, &g.spec, g.loop, RIG_DEPTH, &e), -ENOENT,
		 "in /nonexistent (TMPDIR names another place): No such file");
	stop();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("blk_snapshot");

	UNIT_LOOP(s, an_untouched_disk_is_its_base, 2);
	UNIT_LOOP(s, what_is_written_is_read_again_sector_by_sector, 2);
	UNIT_LOOP(s, a_disk_like_a_chequerboard_is_read_in_one_request, 2);
	UNIT_LOOP(s, random_requests_agree_with_a_model, 2);
	UNIT_LOOP(s, discard_touches_the_layer_only_and_leaves_the_rest_readable, 2);
	UNIT_LOOP(s, a_flush_is_answered_and_never_from_within_submit, 2);
	UNIT_LOOP(s, drain_waits_for_what_both_files_have_begun, 2);
	UNIT_LOOP(s, a_write_that_fails_leaves_the_old_data, 2);
	UNIT_LOOP(s, two_of_them_over_one_base_do_not_see_each_other, 2);
	UNIT_LOOP(s, another_size_of_the_base_is_not_for_this_guest, 2);
	UNIT_LOOP(s, a_folder_that_takes_no_layer_is_named, 2);
	return s;
}

UNIT_MAIN("blk_snapshot", suite)
