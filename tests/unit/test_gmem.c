/*
 * test_gmem.c - src/mem/gmem.c: what is RAM is copied, and nothing else ever is.
 */
#include "unit.h"
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>
#include <vmm/base/util.h>
#include <vmm/mem/gmem.h>

#define LOW_LEN (2 * MIB)
#define TOP (UINT64_MAX - 0xfff) /* the last page; it cannot be RAM: its end would be 2^64 */
#define HIGH_AT (4 * GIB)
#define HIGH_LEN (1 * MIB)

static struct gmem *m;

/* Two regions with a hole between them. */
static void start(void)
{
	struct err e = { 0 };

	ck_ok(gmem_create(&m, &e));
	ck_ok(gmem_add_ram(m, 0, LOW_LEN, &e));
	ck_ok(gmem_add_ram(m, HIGH_AT, HIGH_LEN, &e));
}

START_TEST(an_access_inside_ram_copies)
{
	uint8_t in[64], out[64];

	start();
	for (unsigned int i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i + 1);
	ck_assert(gmem_write(m, 0, in, sizeof(in)));
	ck_assert(gmem_write(m, LOW_LEN - sizeof(in), in, sizeof(in)));
	ck_assert(gmem_write(m, HIGH_AT + HIGH_LEN - sizeof(in), in, sizeof(in)));
	ck_assert(gmem_read(m, LOW_LEN - sizeof(in), out, sizeof(out)));
	ck_assert(memcmp(in, out, sizeof(in)) == 0);
	ck_assert(gmem_read(m, HIGH_AT + HIGH_LEN - sizeof(in), out, sizeof(out)));
	ck_assert(memcmp(in, out, sizeof(in)) == 0);
	ck_assert(gmem_read(m, 4096, out, sizeof(out)));
	ck_assert(out[0] == 0 && memcmp(out, out + 1, sizeof(out) - 1) == 0); /* fresh: zero */
	gmem_destroy(m);
}
END_TEST

START_TEST(an_access_that_leaves_ram_copies_nothing)
{
	static const struct {
		gpa_t at;
		size_t len;
	} cases[] = {
		{ LOW_LEN - 1, 2 },
		{ LOW_LEN, 1 },
		{ LOW_LEN - 4096, 4097 },
		{ HIGH_AT - 1, 1 },
		{ HIGH_AT - 1, 2 }, /* from the hole into RAM */
		{ HIGH_AT + HIGH_LEN - 1, 2 },
		{ HIGH_AT + HIGH_LEN, 1 },
		{ 3 * GIB, 8 },
		{ UINT64_MAX, 1 },
		{ UINT64_MAX, 2 }, /* around the end of the address space, into RAM at 0 */
		{ UINT64_MAX - 7, 16 },
		{ 0, SIZE_MAX }, /* sums that wrap */
		{ 1, SIZE_MAX },
		{ LOW_LEN - 1, SIZE_MAX },
		{ HIGH_AT, SIZE_MAX - HIGH_AT + 1 },
		{ UINT64_MAX, SIZE_MAX },
	};
	/* The buffers are short: only a wrong copy would notice. */
	uint8_t buf[8192], before[8192];
	struct iovec v[GMEM_MAX_REGIONS];

	start();
	memset(buf, 0xa5, sizeof(buf));
	memcpy(before, buf, sizeof(buf));
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		ck_assert_msg(!gmem_read(m, cases[i].at, buf, cases[i].len), "case %u", i);
		ck_assert_msg(!gmem_write(m, cases[i].at, buf, cases[i].len), "case %u", i);
		ck_assert_int_eq(gmem_iov(m, cases[i].at, cases[i].len, v, GMEM_MAX_REGIONS), -1);
	}
	ck_assert(memcmp(buf, before, sizeof(buf)) == 0);
	ck_assert(gmem_read(m, LOW_LEN - 4096, buf, 4096));
	ck_assert(buf[0] == 0 && memcmp(buf, buf + 1, 4095) == 0);
	gmem_destroy(m);
}
END_TEST

START_TEST(an_empty_access_is_fine_anywhere)
{
	struct iovec v;

	start();
	ck_assert(gmem_read(m, 3 * GIB, NULL, 0));
	ck_assert(gmem_write(m, UINT64_MAX, "", 0));
	ck_assert(gmem_read(m, LOW_LEN, NULL, 0));
	ck_assert_int_eq(gmem_iov(m, UINT64_MAX, 0, &v, 0), 0);
	gmem_destroy(m);
}
END_TEST

START_TEST(an_access_may_span_regions_that_touch)
{
	struct iovec v[4];
	struct err e = { 0 };
	uint8_t in[8192], out[8192];

	ck_ok(gmem_create(&m, &e));
	ck_ok(gmem_add_ram(m, 0x3000, 0x1000, &e)); /* in any order */
	ck_ok(gmem_add_ram(m, 0x1000, 0x1000, &e));
	ck_ok(gmem_add_ram(m, 0x2000, 0x1000, &e));
	for (unsigned int i = 0; i < sizeof(in); i++)
		in[i] = (uint8_t)(i * 13);
	ck_assert(gmem_write(m, 0x1800, in, sizeof(in)));
	ck_assert(gmem_read(m, 0x1800, out, sizeof(out)));
	ck_assert(memcmp(in, out, sizeof(in)) == 0);
	ck_assert_int_eq(gmem_iov(m, 0x1800, sizeof(in), v, 4), 3);
	ck_assert_uint_eq(v[0].iov_len, 0x800);
	ck_assert_uint_eq(v[1].iov_len, 0x1000);
	ck_assert_uint_eq(v[2].iov_len, 0x800);
	ck_assert(memcmp(v[2].iov_base, in + 0x1800, 0x800) == 0);
	ck_assert_int_eq(gmem_iov(m, 0x1800, sizeof(in), v, 3), 3);
	ck_assert_int_eq(gmem_iov(m, 0x1800, sizeof(in), v, 2), -1);
	ck_assert_int_eq(gmem_iov(m, 0x1800, 1, v, 0), -1);
	gmem_destroy(m);
}
END_TEST

START_TEST(bad_ranges_of_ram_are_refused)
{
	static const struct {
		gpa_t base;
		uint64_t len;
	} cases[] = {
		{ GIB, 0 },
		{ GIB + 1, 4096 },
		{ GIB, 4097 },
		{ 0, 4096 }, /* overlaps: the same start, the end, all of it, inside */
		{ LOW_LEN - 4096, 8192 },
		{ HIGH_AT - 4096, HIGH_LEN + 8192 },
		{ HIGH_AT + 4096, 4096 },
		{ HIGH_AT - 4096, 8192 },
		{ TOP, 4096 }, /* its end is not a number */
		{ TOP, 8192 },
		{ 4096, UINT64_MAX - 4095 },
	};
	struct err e = { 0 };

	start();
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++)
		ck_fails(gmem_add_ram(m, cases[i].base, cases[i].len, &e), -EINVAL, "bad range");
	ck_ok(gmem_add_ram(m, LOW_LEN, 4096, &e)); /* touching is fine */
	ck_ok(gmem_add_ram(m, HIGH_AT - 4096, 4096, &e));
	gmem_destroy(m);
	gmem_destroy(NULL);
}
END_TEST

START_TEST(more_regions_than_there_is_room_for_are_refused)
{
	struct err e = { 0 };

	ck_ok(gmem_create(&m, &e));
	for (uint64_t i = 0; i < GMEM_MAX_REGIONS; i++)
		ck_ok(gmem_add_ram(m, i * 8192, 4096, &e));
	ck_fails(gmem_add_ram(m, GIB, 4096, &e), -EINVAL, "bad range");
	gmem_destroy(m);
}
END_TEST

START_TEST(more_than_an_address_space_is_an_error_of_the_host)
{
	struct err e = { 0 };

	ck_ok(gmem_create(&m, &e));
	ck_fails(gmem_add_ram(m, 0, UINT64_MAX - 4095, &e), -ENOMEM, "guest RAM");
	ck_fails(gmem_add_ram(m, 0, UINT64_C(1) << 60, &e), -ENOMEM, "MiB of guest RAM");
	gmem_destroy(m);
}
END_TEST

START_TEST(clearing_makes_every_byte_zero)
{
	uint8_t buf[4096], zero[4096] = { 0 };
	struct err e;

	start();
	memset(buf, 0xff, sizeof(buf));
	for (gpa_t at = 0; at < LOW_LEN; at += sizeof(buf))
		ck_assert(gmem_write(m, at, buf, sizeof(buf)));
	ck_assert(gmem_write(m, HIGH_AT + HIGH_LEN - sizeof(buf), buf, sizeof(buf)));
	ck_ok(gmem_clear(m, &e));
	for (gpa_t at = 0; at < LOW_LEN; at += sizeof(buf)) {
		ck_assert(gmem_read(m, at, buf, sizeof(buf)));
		ck_assert(memcmp(buf, zero, sizeof(zero)) == 0);
	}
	ck_assert(gmem_read(m, HIGH_AT + HIGH_LEN - sizeof(buf), buf, sizeof(buf)));
	ck_assert(memcmp(buf, zero, sizeof(zero)) == 0);
	gmem_destroy(m);
}
END_TEST

static int a_file(uint64_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	for (uint64_t at = 0; at < len; at += sizeof(at))
		ck_assert_int_eq(write(fd, &at, sizeof(at)), sizeof(at));
	return fd;
}

static uint64_t word_at(gpa_t at)
{
	uint64_t word;

	ck_assert(gmem_load_le64(m, at, &word));
	return word;
}

START_TEST(a_file_can_be_in_ram_until_it_is_cleared)
{
	int fd = a_file(0x4000);
	struct err e;

	start();
	ck_assert(gmem_map_file(m, 0x5000, 0x2000, fd, 0x1000, &e));
	ck_assert_uint_eq(word_at(0x4ff8), 0);
	ck_assert_uint_eq(word_at(0x5000), 0x1000);
	ck_assert_uint_eq(word_at(0x6ff8), 0x2ff8);
	ck_assert_uint_eq(word_at(0x7000), 0);
	ck_assert(gmem_store_le64(m, 0x5000, 1));
	ck_ok(gmem_clear(m, &e));
	ck_assert_uint_eq(word_at(0x5000), 0);
	ck_assert_uint_eq(word_at(0x6ff8), 0);
	ck_assert(gmem_map_file(m, 0x5000, 0x1000, fd, 0x1000, &e));
	ck_assert_uint_eq(word_at(0x5000), 0x1000); /* the file has not seen the store */
	gmem_destroy(m);
	close(fd);
}
END_TEST

START_TEST(what_cannot_be_a_file_is_to_be_copied)
{
	static const struct {
		gpa_t at;
		uint64_t len, off;
	} bad[] = { { 0x5001, 0x1000, 0 },
		    { 0x5000, 0x1001, 0 },
		    { 0x5000, 0x1000, 1 },
		    { 0x5000, 0, 0 },
		    { LOW_LEN - 0x1000, 0x2000, 0 },
		    { LOW_LEN, 0x1000, 0 },
		    { HIGH_AT + HIGH_LEN, 0x1000, 0 },
		    { TOP, 0x1000, 0 },
		    { 0x5000, UINT64_MAX - 0xfff, 0 } };
	struct err e = { .code = -1 };
	int fd = a_file(0x1000);
	unsigned int n = 0;

	start();
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert(!gmem_map_file(m, bad[i].at, bad[i].len, fd, bad[i].off, &e));
		ck_assert_int_eq(e.code, 0);
	}
	while (n < 100 && gmem_map_file(m, n * 0x1000, 0x1000, fd, 0, &e))
		n++;
	ck_assert_uint_eq(n, 16);
	ck_assert_uint_eq(word_at(n * 0x1000 + 8), 0);
	gmem_destroy(m);
	close(fd);
}
END_TEST

START_TEST(locked_or_merged_ram_has_no_file_in_it)
{
	struct err e = { 0 };
	int fd = a_file(0x1000);

	start();
	(void)(_i == 0 ? gmem_lock(m, &e) : gmem_merge(m, &e));
	ck_assert(!gmem_map_file(m, 0, 0x1000, fd, 0, &e));
	ck_assert_int_eq(e.code, 0);
	gmem_destroy(m);
	close(fd);
}
END_TEST

static int count_region(void *arg, unsigned int index, gpa_t base, uint64_t len, void *host)
{
	unsigned int *n = arg;

	ck_assert_uint_eq(index, *n);
	ck_assert_uint_eq(base, index ? HIGH_AT : 0);
	ck_assert_uint_eq(len, index ? HIGH_LEN : LOW_LEN);
	ck_assert_ptr_nonnull(host);
	++*n;
	return 0;
}

static int refuse_region(void *arg, unsigned int index, gpa_t base, uint64_t len, void *host)
{
	(void)index, (void)base, (void)len, (void)host;
	++*(unsigned int *)arg;
	return -7;
}

/* How many mappings of this process have this flag: proc(5), /proc/PID/smaps, VmFlags. */
static unsigned int n_mappings(const char *flag)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	char line[512];
	unsigned int n = 0;

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f))
		n += strncmp(line, "VmFlags:", 8) == 0 && strstr(line, flag);
	fclose(f);
	return n;
}

START_TEST(all_ram_is_locked_or_merged_or_neither)
{
	struct rlimit limit = { LOW_LEN + HIGH_LEN, LOW_LEN + HIGH_LEN };
	struct err e = { 0 };
	uint64_t word;

	setrlimit(RLIMIT_MEMLOCK, &limit); /* refused: it may be as it is, or not at all */
	start();
	ck_assert_uint_eq(n_mappings(" lo "), 0);
	ck_assert_uint_eq(n_mappings(" mg "), 0);
	ck_ok(gmem_lock(m, &e));
	ck_assert_uint_eq(n_mappings(" lo "), 2);
	if (access("/sys/kernel/mm/ksm", F_OK) == 0) {
		ck_ok(gmem_merge(m, &e));
		ck_assert_uint_eq(n_mappings(" mg "), 2);
	}
	ck_assert(gmem_store_le64(m, HIGH_AT, 1));
	ck_ok(gmem_clear(m, &e));
	ck_assert(gmem_load_le64(m, HIGH_AT, &word) && word == 0);
	ck_assert_uint_eq(n_mappings(" lo "), 2);
	gmem_destroy(m);
}
END_TEST

START_TEST(each_region_is_shown_once_until_somebody_objects)
{
	unsigned int n = 0;

	start();
	ck_assert_int_eq(gmem_each_region(m, count_region, &n), 0);
	ck_assert_uint_eq(n, 2);
	ck_assert_int_eq(gmem_each_region(m, refuse_region, &n), -7);
	ck_assert_uint_eq(n, 3);
	gmem_destroy(m);
}
END_TEST

/* Against a model: one flat array of bytes, and one that says which of them are RAM. */
#define MODEL_LEN 0x10000u
static uint8_t model[MODEL_LEN];
static bool is_ram[MODEL_LEN];
static uint64_t seed = 1;

static uint32_t rnd(uint32_t below)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % below;
}

static bool model_covers(uint32_t at, uint32_t len)
{
	for (uint32_t i = at; i < at + len; i++) {
		if (i >= MODEL_LEN || !is_ram[i])
			return false;
	}
	return true;
}

static void model_build(void)
{
	struct err e = { 0 };

	ck_ok(gmem_create(&m, &e));
	memset(model, 0, sizeof(model));
	memset(is_ram, 0, sizeof(is_ram));
	for (unsigned int i = 0; i < 8; i++) {
		uint32_t at = rnd(16) * 4096, len = (1 + rnd(3)) * 4096;
		bool overlap = false;

		for (uint32_t j = at; j < at + len && j < MODEL_LEN; j++)
			overlap |= is_ram[j];
		if (at + len > MODEL_LEN)
			continue;
		ck_assert_int_eq(gmem_add_ram(m, at, len, &e), overlap ? -EINVAL : 0);
		if (!overlap)
			memset(is_ram + at, 1, len);
	}
}

static void model_step(void)
{
	static uint8_t buf[MODEL_LEN], was[MODEL_LEN];
	uint32_t at = rnd(4) ? rnd(MODEL_LEN) : (1 + rnd(15)) * 4096 - rnd(3);
	uint32_t len = rnd(8) ? rnd(300) : rnd(20000);
	bool covered = model_covers(at, len);

	if (rnd(2)) {
		for (uint32_t i = 0; i < len; i++)
			buf[i] = (uint8_t)rnd(256);
		ck_assert(gmem_write(m, at, buf, len) == covered);
		if (covered)
			memcpy(model + at, buf, len);
		return;
	}
	memset(buf, 0x5a, len);
	memcpy(was, buf, len);
	ck_assert(gmem_read(m, at, buf, len) == covered);
	ck_assert(memcmp(buf, covered ? model + at : was, len) == 0);
}

START_TEST(random_accesses_agree_with_a_flat_array)
{
	for (unsigned int round = 0; round < 40; round++) {
		seed = round * 7919 + 1;
		model_build();
		for (unsigned int i = 0; i < 500; i++)
			model_step();
		gmem_destroy(m);
	}
}
END_TEST

START_TEST(a_word_is_little_endian_and_aligned)
{
	struct err e;
	uint8_t raw[8] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	uint64_t v64 = 0;
	uint32_t v32 = 0;
	uint16_t v16 = 0;

	ck_ok(gmem_create(&m, &e));
	ck_ok(gmem_add_ram(m, 0, 8192, &e));
	ck_assert(gmem_write(m, 8184, raw, 8));
	ck_assert(gmem_load_le16(m, 8190, &v16) && v16 == 0x0807);
	ck_assert(gmem_load_le32(m, 8188, &v32) && v32 == 0x08070605);
	ck_assert(gmem_load_le64(m, 8184, &v64) && v64 == 0x0807060504030201);
	ck_assert(gmem_store_le16(m, 0, 0x1234) && gmem_store_le32(m, 4, 0x12345678));
	ck_assert(gmem_read(m, 0, raw, 8));
	ck_assert_mem_eq(raw, "\x34\x12\0\0\x78\x56\x34\x12", 8);
	ck_assert(!gmem_load_le16(m, 1, &v16) && !gmem_load_le16(m, 8192, &v16));
	ck_assert(!gmem_load_le32(m, 8190, &v32) && !gmem_load_le64(m, 8188, &v64));
	ck_assert(!gmem_load_le64(m, UINT64_MAX - 7, &v64) && !gmem_store_le64(m, 8192, 1));
	ck_assert(!gmem_store_le32(m, 2, 1) && !gmem_store_le16(m, UINT64_MAX, 1));
	gmem_destroy(m);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("gmem");

	UNIT_TEST(s, a_word_is_little_endian_and_aligned);

	UNIT_TEST(s, an_access_inside_ram_copies);
	UNIT_TEST(s, an_access_that_leaves_ram_copies_nothing);
	UNIT_TEST(s, an_empty_access_is_fine_anywhere);
	UNIT_TEST(s, an_access_may_span_regions_that_touch);
	UNIT_TEST(s, bad_ranges_of_ram_are_refused);
	UNIT_TEST(s, more_regions_than_there_is_room_for_are_refused);
	UNIT_TEST(s, more_than_an_address_space_is_an_error_of_the_host);
	UNIT_TEST(s, clearing_makes_every_byte_zero);
	UNIT_TEST(s, a_file_can_be_in_ram_until_it_is_cleared);
	UNIT_TEST(s, what_cannot_be_a_file_is_to_be_copied);
	UNIT_LOOP(s, locked_or_merged_ram_has_no_file_in_it, 2);
	UNIT_TEST(s, all_ram_is_locked_or_merged_or_neither);
	UNIT_TEST(s, each_region_is_shown_once_until_somebody_objects);
	UNIT_TEST(s, random_accesses_agree_with_a_flat_array);
	return s;
}

UNIT_MAIN("gmem", suite)
