/*
 * test_blk_raw.c - src/block/blk_raw.c over files, by both engines.
 *
 * Each test is run for io_uring and for threads (_i 0 and 1), and with direct I/O (2 and 3) where
 * the folder for temporary files is on a file system that knows it.
 */
#include "blk_rig.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

#define SIZE (256 * KIB)
#define ALL_WAYS 4

static struct rig g;

static bool start(int way)
{
	struct blk *b;
	struct err e;

	rig_init(&g, SIZE);
	g.spec.engine = way % 2 ? DISK_ENGINE_THREADS : DISK_ENGINE_URING;
	g.spec.direct = way >= 2;
	if (way % 2 == 0 && !rig_has_uring()) {
		printf("# no io_uring on this host\n");
		rig_fini(&g);
		return false;
	}
	if (g.spec.direct && blk_open(&b, &g.spec, g.loop, RIG_DEPTH, &e) == -EINVAL) {
		printf("# no direct I/O in the folder for temporary files\n");
		ck_assert_ptr_nonnull(strstr(e.text, "leave ,direct out"));
		rig_fini(&g);
		return false;
	}
	if (g.spec.direct)
		blk_destroy(b);
	rig_open(&g);
	return true;
}

static void stop(void)
{
	rig_fini(&g);
}

static uint64_t blocks(void)
{
	struct stat st;

	ck_assert_int_eq(stat(g.path, &st), 0);
	return (uint64_t)st.st_blocks;
}

START_TEST(what_is_in_the_file_is_on_the_disk)
{
	uint8_t *want = malloc(SIZE);

	if (!start(_i))
		return free(want);
	ck_assert_uint_eq(g.blk->info.size, SIZE);
	ck_assert_uint_eq(g.blk->info.logical, 512);
	ck_assert(!g.blk->info.ro);
	for (uint64_t i = 0; i < SIZE; i++)
		want[i] = rig_byte(i);
	rig_check(&g, 0, want, SIZE);
	rig_check(&g, 512, want + 512, 512);
	rig_check(&g, SIZE - 512, want + SIZE - 512, 512);
	rig_check(&g, 3 * 512, want + 3 * 512, 17 * 512);
	free(want);
	stop();
}
END_TEST

START_TEST(random_requests_many_at_once_agree_with_a_model)
{
	static uint8_t model[SIZE];
	static uint8_t data[16][64 * 512];
	static struct rig_req q[16];
	uint64_t from[16], n[16];
	unsigned int seed = 7;

	if (!start(_i))
		return;
	for (uint64_t i = 0; i < SIZE; i++)
		model[i] = rig_byte(i);
	for (unsigned int round = 0; round < 60; round++) {
		/* Each of the 16 in a part of the disk of its own, so that order does not matter.
		 */
		for (unsigned int k = 0; k < 16; k++) {
			uint64_t at, len, piece;

			seed = seed * 1103515245 + 12345;
			at = k * 32 * 512 + (seed >> 8) % 16 * 512;
			len = (1 + (seed >> 16) % 16) * 512;
			piece = (seed >> 28 & 3) * 500; /* also odd ones */
			memset(&q[k], 0, sizeof(q[k]));
			if (seed >> 24 & 1) {
				memset(data[k], (int)(seed >> 4 & 255), len);
				memcpy(model + at, data[k], len);
				q[k].req.durable = seed >> 25 & 1;
				rig_submit(&g, &q[k], BLK_WRITE, at, data[k], len, piece);
			} else {
				rig_submit(&g, &q[k], BLK_READ, at, data[k], len, piece);
			}
			from[k] = at;
			n[k] = len;
		}
		rig_wait(&g);
		for (unsigned int k = 0; k < 16; k++) {
			ck_assert_int_eq(q[k].result, 0);
			ck_assert_mem_eq(data[k], model + from[k], n[k]);
		}
		if (round % 10 == 9)
			ck_assert_int_eq(rig_do(&g, BLK_FLUSH, 0, NULL, 0), 0);
	}
	rig_check(&g, 0, model, SIZE);
	stop();
}
END_TEST

START_TEST(memory_at_odd_addresses_serves)
{
	static uint8_t buf[8192 + 64];
	unsigned int sum;

	if (!start(_i))
		return;
	for (unsigned int off = 1; off < 64; off += 21) {
		memset(buf + off, (int)off, 8192);
		ck_assert_int_eq(rig_do(&g, BLK_WRITE, 4096, buf + off, 8192), 0);
		rig_check(&g, 4096, buf + off, 8192);
		memset(buf, 0, sizeof(buf));
		ck_assert_int_eq(rig_do(&g, BLK_READ, 4096, buf + off, 8192), 0);
		sum = 0;
		for (unsigned int i = 0; i < 8192; i++)
			sum += buf[off + i] == off;
		ck_assert_uint_eq(sum, 8192);
	}
	stop();
}
END_TEST

START_TEST(discard_gives_space_back_and_zeroes_are_zeroes)
{
	uint8_t *zero = calloc(1, SIZE);
	struct rig_req q = { .req.unmap = true };
	uint64_t before;

	if (!start(_i))
		return free(zero);
	if (g.blk->info.discard_unit == 0) {
		printf("# no holes in the folder for temporary files\n");
		free(zero);
		return stop();
	}
	ck_assert(g.blk->info.zeroes);
	before = blocks();
	ck_assert_int_eq(rig_do(&g, BLK_DISCARD, 0, NULL, 128 * KIB), 0);
	ck_assert_uint_lt(blocks(), before);
	before = blocks();
	ck_assert_int_eq(rig_do(&g, BLK_WRITE_ZEROES, 128 * KIB, NULL, 64 * KIB), 0);
	rig_check(&g, 128 * KIB, zero, 64 * KIB);
	q.req.durable = true;
	rig_submit(&g, &q, BLK_WRITE_ZEROES, 128 * KIB, NULL, 64 * KIB, 0);
	rig_wait(&g);
	ck_assert_int_eq(q.result, 0);
	rig_check(&g, 128 * KIB, zero, 64 * KIB);
	ck_assert_uint_lt(blocks(), before);
	/* Not a whole block. */
	ck_assert_int_eq(rig_do(&g, BLK_WRITE_ZEROES, SIZE - 512, NULL, 512), 0);
	rig_check(&g, SIZE - 512, zero, 512);
	ck_assert_uint_eq(blk_size(g.blk), SIZE);
	free(zero);
	stop();
}
END_TEST

START_TEST(what_the_host_cuts_off_is_an_error_and_what_it_adds_is_seen)
{
	uint8_t buf[4096];

	if (!start(_i))
		return;
	ck_assert_uint_eq(blk_size(g.blk), SIZE);
	ck_assert_int_eq(truncate(g.path, SIZE / 2), 0);
	ck_assert_uint_eq(blk_size(g.blk), SIZE / 2);
	ck_assert_int_eq(rig_do(&g, BLK_READ, SIZE / 2, buf, 4096), -EIO);
	ck_assert_int_eq(rig_do(&g, BLK_READ, SIZE / 2 - 2048, buf, 4096), -EIO); /* half of it */
	ck_assert_int_eq(rig_do(&g, BLK_READ, SIZE / 2 - 4096, buf, 4096), 0);
	ck_assert_int_eq(truncate(g.path, 2 * SIZE), 0);
	ck_assert_uint_eq(blk_size(g.blk), 2 * SIZE);
	ck_assert_int_eq(rig_do(&g, BLK_READ, 2 * SIZE - 4096, buf, 4096), 0);
	stop();
}
END_TEST

START_TEST(a_limit_of_the_host_is_an_error_and_not_the_end)
{
	const struct rlimit limit = { SIZE / 2, RLIM_INFINITY },
			    none = { RLIM_INFINITY, RLIM_INFINITY };
	uint8_t buf[4096] = { 1 };
	int behind, across, below;

	if (!start(_i))
		return;
	signal(SIGXFSZ, SIG_IGN); /* as signals_init() does */
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	behind = rig_do(&g, BLK_WRITE, SIZE / 2, buf, 4096);
	across = rig_do(&g, BLK_WRITE, SIZE / 2 - 512, buf, 4096); /* a part of it is written */
	below = rig_do(&g, BLK_WRITE, 0, buf, 4096);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &none), 0);
	ck_assert_int_eq(behind, -EFBIG);
	ck_assert_int_eq(across, -EFBIG);
	ck_assert_int_eq(below, 0);
	rig_check(&g, 0, buf, 4096);
	stop();
}
END_TEST

START_TEST(drain_returns_when_nothing_is_in_flight)
{
	static struct rig_req q[RIG_DEPTH];
	static uint8_t buf[RIG_DEPTH][4096];

	if (!start(_i))
		return;
	for (unsigned int i = 0; i < RIG_DEPTH; i++)
		rig_submit(&g, &q[i], i % 3 ? BLK_WRITE : BLK_FLUSH, 0, i % 3 ? buf[i] : NULL,
			   i % 3 ? 4096 : 0, 0);
	blk_drain(g.blk);
	ck_assert_uint_eq(g.waiting, 0);
	for (unsigned int i = 0; i < RIG_DEPTH; i++)
		ck_assert_int_eq(q[i].result, 0);
	blk_drain(g.blk);
	stop();
}
END_TEST

START_TEST(a_batch_settles_together)
{
	static struct rig_req q[RIG_DEPTH];
	static uint8_t buf[RIG_DEPTH][512];

	if (!start(_i))
		return;
	for (unsigned int i = 0; i < RIG_DEPTH; i++)
		rig_submit(&g, &q[i], BLK_READ, i * 512, buf[i], 512, 0);
	rig_wait(&g);
	ck_assert_uint_ge(g.n_settled, 1);
	ck_assert_uint_le(g.n_settled, RIG_DEPTH);
	for (unsigned int i = 0; i < RIG_DEPTH; i++)
		ck_assert_uint_eq(buf[i][5], rig_byte(i * 512 + 5));
	stop();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("blk_raw");

	UNIT_LOOP(s, what_is_in_the_file_is_on_the_disk, ALL_WAYS);
	UNIT_LOOP(s, random_requests_many_at_once_agree_with_a_model, ALL_WAYS);
	UNIT_LOOP(s, memory_at_odd_addresses_serves, ALL_WAYS);
	UNIT_LOOP(s, discard_gives_space_back_and_zeroes_are_zeroes, ALL_WAYS);
	UNIT_LOOP(s, what_the_host_cuts_off_is_an_error_and_what_it_adds_is_seen, ALL_WAYS);
	UNIT_LOOP(s, a_limit_of_the_host_is_an_error_and_not_the_end, ALL_WAYS);
	UNIT_LOOP(s, drain_returns_when_nothing_is_in_flight, ALL_WAYS);
	UNIT_LOOP(s, a_batch_settles_together, ALL_WAYS);
	return s;
}

UNIT_MAIN("blk_raw", suite)
