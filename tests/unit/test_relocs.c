/*
 * test_relocs.c - src/arch/x86_64/relocs.c: the table behind a kernel, good and bad, and what it
 * does to RAM.
 *
 * The kernel has two segments with a gap between them; the second one has bytes that are in no
 * file.
 */
#include "unit.h"
#include <sys/mman.h>
#include <unistd.h>
#include <vmm/arch/relocs.h>
#include <vmm/base/bytes.h>
#include <vmm/base/util.h>

#define ELF_LEN 256 /* what is in front of the table; never looked at */
#define BASE 0x1000000u
#define MAP 0x80000000u
#define FIRST_LEN 0x2000u
#define SECOND (BASE + 0x3000u)
#define SECOND_LEN 0x1000u /* in the file */
#define SECOND_MEM 0x1800u
#define END (SECOND + SECOND_MEM)
#define RAM_LEN 0x10000u
#define AT(offset) (MAP + BASE + (offset)) /* as the table has it */
#define FILLER(i) ((uint8_t)((i)*13 + (i) / 256))
#define SLIDE UINT64_C(0x13600000)

static const struct elf elf = {
	.lowest = BASE,
	.end = END,
	.file_end = ELF_LEN,
	.n_segments = 2,
	.segment = { { 0, FIRST_LEN, BASE, FIRST_LEN }, { 0, SECOND_LEN, SECOND, SECOND_MEM } },
};

static struct image image_of(const void *table, size_t len)
{
	static const uint8_t head[ELF_LEN] = { 1 };
	int fd = memfd_create("test", MFD_CLOEXEC);
	struct image img;
	struct err e;

	ck_assert_int_eq(write(fd, head, sizeof(head)), sizeof(head));
	ck_assert_int_eq(write(fd, table, len), (ssize_t)len);
	ck_ok(image_from_fd(&img, fd, "a.elf", &e));
	return img;
}

static int read_table(struct relocs *r, const uint32_t *words, size_t n, struct err *e)
{
	struct image img = image_of(words, n * sizeof(*words));
	int rc = relocs_read(r, &elf, &img, e);

	image_close(&img);
	return rc;
}

static struct gmem *make_ram(uint8_t *copy)
{
	struct gmem *m;
	struct err e;

	for (size_t i = 0; i < RAM_LEN; i++)
		copy[i] = FILLER(i);
	ck_ok(gmem_create(&m, &e));
	ck_ok(gmem_add_ram(m, BASE, RAM_LEN, &e));
	ck_assert(gmem_write(m, BASE, copy, RAM_LEN));
	return m;
}

/* Applies the table, and holds all of RAM against what `want` says. */
static void check_applied(const uint32_t *words, size_t n, uint64_t shift, const uint8_t *want)
{
	uint8_t ram[RAM_LEN];
	struct gmem *m = make_ram(ram);
	struct relocs r;
	struct err e;

	ck_ok(read_table(&r, words, n, &e));
	relocs_apply(&r, &elf, m, shift, SLIDE);
	relocs_free(&r);
	ck_assert(gmem_read(m, BASE, ram, sizeof(ram)));
	ck_assert_mem_eq(ram, want, sizeof(ram));
	gmem_destroy(m);
}

static void fill(uint8_t *want)
{
	for (size_t i = 0; i < RAM_LEN; i++)
		want[i] = FILLER(i);
}

static void want32(uint8_t *want, uint32_t off, uint64_t by)
{
	store_le32(want + off, load_le32(want + off) + (uint32_t)by);
}

static void want64(uint8_t *want, uint32_t off, uint64_t by)
{
	store_le64(want + off, load_le64(want + off) + by);
}

START_TEST(each_list_does_what_it_is_for)
{
	static const uint32_t words[] = {
		0, AT(0x10), AT(0x18),   AT(0x3ff8), /* 64 bits, more */
		0, AT(0x21), AT(0x1ffc), /* 32 bits, less */
		0, AT(0x31), AT(0x35),   AT(0x3ffc), /* 32 bits, more */
	};
	uint32_t shift = _i * 0x2001u; /* any will do here */
	uint8_t want[RAM_LEN];

	fill(want);
	want64(want, shift + 0x10, SLIDE);
	want64(want, shift + 0x18, SLIDE);
	want64(want, shift + 0x3ff8, SLIDE);
	want32(want, shift + 0x21, -SLIDE);
	want32(want, shift + 0x1ffc, -SLIDE);
	want32(want, shift + 0x31, SLIDE);
	want32(want, shift + 0x35, SLIDE);
	want32(want, shift + 0x3ffc, SLIDE);
	check_applied(words, ARRAY_SIZE(words), shift, want);
}
END_TEST

START_TEST(where_there_are_two_lists_nothing_is_subtracted)
{
	static const uint32_t words[] = { 0, AT(0x10), 0, AT(0x21), AT(0x31) };
	static const uint32_t none[] = { 0, 0 };
	uint8_t want[RAM_LEN];

	fill(want);
	check_applied(none, ARRAY_SIZE(none), 0, want);
	want64(want, 0x10, SLIDE);
	want32(want, 0x21, SLIDE);
	want32(want, 0x31, SLIDE);
	check_applied(words, ARRAY_SIZE(words), 0, want);
}
END_TEST

/* Sites at every distance from each other, so that they lie across any border there is inside. */
START_TEST(any_number_of_places_at_any_distance_are_all_changed)
{
	uint32_t words[0x800], n = 1, off = _i, step = 4;
	uint8_t want[RAM_LEN];

	fill(want);
	words[0] = 0;
	for (; off + 8 <= FIRST_LEN; off += 8 + step++ % 7, n++) {
		words[n] = AT(off);
		want64(want, off, SLIDE);
	}
	words[n++] = 0;
	for (off = 0x3000 + _i; off + 4 <= 0x4000; off += 4 + step++ % 11, n++) {
		words[n] = AT(off);
		want32(want, off, -SLIDE);
	}
	words[n++] = 0;
	for (off = 1; off + 4 <= FIRST_LEN; off += 900 + step++ % 200, n++) {
		words[n] = AT(off);
		want32(want, off, SLIDE);
	}
	ck_assert_uint_le(n, ARRAY_SIZE(words));
	check_applied(words, n, 0, want);
}
END_TEST

START_TEST(a_list_may_begin_below_the_end_of_the_one_before)
{
	static const uint32_t first[] = { 0, AT(0x40), 0, AT(0) };
	uint32_t words[ARRAY_SIZE(first)];

	for (uint32_t off = 0; off < 0x40; off++) {
		uint8_t want[RAM_LEN];

		memcpy(words, first, sizeof(words));
		words[3] = AT(off);
		fill(want);
		want64(want, 0x40, SLIDE);
		want32(want, off, SLIDE);
		check_applied(words, ARRAY_SIZE(words), 0, want);
	}
}
END_TEST

/* RAM may end where the segments do. */
START_TEST(what_is_behind_the_kernel_is_not_even_looked_at)
{
	static const uint32_t words[] = { 0, AT(0x3ff8), 0, AT(0x3ffc) };
	struct elf short_elf = elf;
	struct relocs r;
	struct gmem *m;
	uint8_t b[12] = { 0 };
	struct err e;

	short_elf.end = SECOND + SECOND_LEN;
	ck_ok(gmem_create(&m, &e));
	ck_ok(gmem_add_ram(m, BASE, 0x4000, &e));
	ck_ok(read_table(&r, words, ARRAY_SIZE(words), &e));
	ck_assert_uint_eq(relocs_count(&r), 2);
	relocs_apply(&r, &short_elf, m, 0, SLIDE);
	ck_assert(gmem_read(m, BASE + 0x3ff4, b, sizeof(b)));
	ck_assert_uint_eq(load_le32(b), 0);
	ck_assert_uint_eq(load_le64(b + 4), SLIDE + (SLIDE << 32));
	relocs_free(&r);
	gmem_destroy(m);
}
END_TEST

START_TEST(a_bad_table_is_told)
{
	static const struct {
		uint32_t words[6];
		size_t n;
		const char *say;
	} rows[] = {
		{ { AT(0), 0 }, 2, "two or three lists" },
		{ { 0 }, 1, "two or three lists" },
		{ { 0, AT(0) }, 2, "two or three lists" },
		{ { 0, 0, 0, 0 }, 4, "two or three lists" },
		{ { 0, AT(8), AT(0), 0 }, 4, "not in order" },
		{ { 0, 0, AT(8), AT(8) }, 4, "not in order" },
		{ { 0, 0, 0, AT(8), AT(7) }, 5, "not in order" },
		{ { 0, 0, MAP - 1 }, 3, "below the kernel" },
		{ { 0, 0, BASE }, 3, "below the kernel" },
		{ { 0, 0, 1 }, 3, "below the kernel" },
		{ { 0, 0, AT(-1) }, 3, "4 bytes at 0x80ffffff is in none" },
		{ { 0, AT(-8), 0 }, 3, "8 bytes at 0x80fffff8 is in none" },
		{ { 0, AT(FIRST_LEN - 7), 0 }, 3, "8 bytes at 0x81001ff9 is in none" },
		{ { 0, 0, AT(FIRST_LEN - 3) }, 3, "4 bytes at 0x81001ffd is in none" },
		{ { 0, 0, AT(0x2fff) }, 3, "is in none" }, /* the gap, and into what is behind it */
		{ { 0, 0, AT(0x3ffd) }, 3, "is in none" }, /* bytes of no file */
		{ { 0, AT(0x3ff9), 0 }, 3, "is in none" },
		{ { 0, 0, AT(0x4000) }, 3, "is in none" },
		{ { 0, 0, AT(0), UINT32_MAX }, 4, "0xffffffff is in none" },
		{ { 0, 0, 0, UINT32_MAX - 3 }, 4, "is in none" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct relocs r;
		struct err e = { 0 };

		ck_fails(read_table(&r, rows[i].words, rows[i].n, &e), ERR_IMAGE, rows[i].say);
		relocs_free(&r);
	}
}
END_TEST

START_TEST(a_segment_that_is_smaller_than_a_word_has_no_place_for_one)
{
	static const uint32_t words[] = { 0, 0, AT(0) };
	struct image img = image_of(words, sizeof(words));
	struct elf tiny = elf;
	struct relocs r;
	struct err e;

	for (unsigned int len = 0; len < 4; len++) {
		tiny.segment[0].file_len = len;
		ck_fails(relocs_read(&r, &tiny, &img, &e), ERR_IMAGE, "is in none");
		relocs_free(&r);
	}
	image_close(&img);
}
END_TEST

START_TEST(a_table_is_of_whole_words_and_not_endless)
{
	static const uint8_t bytes[13] = { 0 };
	struct image img = image_of(bytes, sizeof(bytes));
	struct relocs r;
	struct err e;

	ck_fails(relocs_read(&r, &elf, &img, &e), ERR_IMAGE, "13 bytes are no table");
	relocs_free(&r);
	ck_assert_int_eq(ftruncate(img.fd, ELF_LEN + RELOCS_MAX_BYTES + 4), 0);
	img.size = ELF_LEN + RELOCS_MAX_BYTES + 4;
	ck_fails(relocs_read(&r, &elf, &img, &e), ERR_IMAGE, "16777220 bytes are no table");
	relocs_free(&r);
	img.size = ELF_LEN;
	ck_fails(relocs_read(&r, &elf, &img, &e), ERR_IMAGE, "0 bytes are no table");
	img.size = ELF_LEN - 1;
	ck_fails(relocs_read(&r, &elf, &img, &e), ERR_IMAGE, "0 bytes are no table");
	relocs_free(&r);
	image_close(&img);
}
END_TEST

START_TEST(there_is_a_table_if_a_zero_and_a_place_follow_the_elf)
{
	static const struct {
		uint32_t words[2];
		size_t len;
		bool is;
	} rows[] = {
		{ { 0, AT(0) }, 8, true },    { { 0, AT(0) }, 7, false },
		{ { 0, AT(0) }, 4, false },   { { 0, AT(0) }, 0, false },
		{ { AT(0), 0 }, 8, false },   { { 0, 0 }, 8, false },
		{ { 0, MAP - 1 }, 8, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct image img = image_of(rows[i].words, rows[i].len);

		ck_assert_msg(relocs_exist(&elf, &img) == rows[i].is, "row %zu", i);
		img.size = ELF_LEN - 1; /* whoever cut the file */
		ck_assert(!relocs_exist(&elf, &img));
		image_close(&img);
	}
}
END_TEST

/* The places of each list, as offsets; 0 ends it. */
static void find_quiet(struct elf_quiet *quiet, const struct elf *large,
		       const uint32_t places[3][8])
{
	uint32_t words[3][8];
	struct relocs r = { 0 };

	for (unsigned int i = 0; i < 3; i++) {
		for (unsigned int k = 0; k < 8; k++)
			words[i][k] = AT(places[i][k]);
	}
	r.plus64.site = words[0];
	r.minus32.site = words[1];
	r.plus32.site = words[2];
	while (places[0][r.plus64.n])
		r.plus64.n++;
	while (places[1][r.minus32.n])
		r.minus32.n++;
	while (places[2][r.plus32.n])
		r.plus32.n++;
	*quiet = (struct elf_quiet){ 0 };
	relocs_find_quiet(&r, large, quiet);
}

START_TEST(quiet_are_long_stretches_without_a_place_of_any_list)
{
	static const struct elf large = {
		.end = BASE + 0x1000000,
		.n_segments = 3,
		.segment = { { 0, 0x800000, BASE, 0x800000 },
			     { 0, 0x80000, BASE + 0x900000, 0x500000 }, /* small, in the file */
			     { 0, 0x100000, BASE + 0xf00000, 0x100000 } },
	};
	static const uint32_t none[3][8], some[3][8] = {
		{ 0x10, 0x2ffffc, 0xf00000 }, /* the second one is in two pages */
		{ 0x200ffc, 0x201000 },
		{ 0x14, 0x6ffffe, 0x900010 }, /* and here */
	};
	struct elf_quiet quiet;

	find_quiet(&quiet, &large, some);
	ck_assert_uint_eq(quiet.n, 2);
	ck_assert_uint_eq(quiet.range[0].at, BASE + 0x1000);
	ck_assert_uint_eq(quiet.range[0].len, 0x1ff000);
	ck_assert_uint_eq(quiet.range[1].at, BASE + 0x301000);
	ck_assert_uint_eq(quiet.range[1].len, 0x3fe000);
	find_quiet(&quiet, &large, none);
	ck_assert_uint_eq(quiet.n, 2);
	ck_assert_uint_eq(quiet.range[0].at, BASE);
	ck_assert_uint_eq(quiet.range[0].len, 0x800000);
	ck_assert_uint_eq(quiet.range[1].at, BASE + 0xf00000);
}
END_TEST

START_TEST(no_more_stretches_are_found_than_there_is_room_for)
{
	static const uint32_t none[3][8];
	struct elf many = { .end = BASE + 0x5000000, .n_segments = 40 };
	struct elf_quiet quiet;

	for (unsigned int i = 0; i < many.n_segments; i++)
		many.segment[i] =
			(struct elf_segment){ 0, 0x100000, BASE + 0x200000 * i, 0x100000 };
	find_quiet(&quiet, &many, none);
	ck_assert_uint_eq(quiet.n, ELF_MAX_QUIET);
}
END_TEST

START_TEST(nothing_is_quiet_above_what_a_place_can_name)
{
	static const uint32_t none[3][8], last[3][8] = { { 0x7efffffc } };
	struct elf far = { .end = UINT64_MAX, .n_segments = 3 };
	struct elf_quiet quiet;

	far.segment[0] = (struct elf_segment){ 0, 0x400000, 0x7fe00000, 0x400000 };
	far.segment[1] = (struct elf_segment){ 0, 0x400000, 0x90000000, 0x400000 };
	far.segment[2] = (struct elf_segment){ 0, 0x80, UINT64_MAX - 0xff, 0x80 };
	find_quiet(&quiet, &far, none);
	ck_assert_uint_eq(quiet.n, 1);
	ck_assert_uint_eq(quiet.range[0].at, 0x7fe00000);
	ck_assert_uint_eq(quiet.range[0].len, 0x200000);
	find_quiet(&quiet, &far, last);
	ck_assert_uint_eq(quiet.n, 1);
	ck_assert_uint_eq(quiet.range[0].len, 0x1ff000);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("relocs");

	UNIT_LOOP(s, each_list_does_what_it_is_for, 2);
	UNIT_TEST(s, where_there_are_two_lists_nothing_is_subtracted);
	UNIT_LOOP(s, any_number_of_places_at_any_distance_are_all_changed, 4);
	UNIT_TEST(s, a_list_may_begin_below_the_end_of_the_one_before);
	UNIT_TEST(s, what_is_behind_the_kernel_is_not_even_looked_at);
	UNIT_TEST(s, a_bad_table_is_told);
	UNIT_TEST(s, a_segment_that_is_smaller_than_a_word_has_no_place_for_one);
	UNIT_TEST(s, a_table_is_of_whole_words_and_not_endless);
	UNIT_TEST(s, there_is_a_table_if_a_zero_and_a_place_follow_the_elf);
	UNIT_TEST(s, quiet_are_long_stretches_without_a_place_of_any_list);
	UNIT_TEST(s, no_more_stretches_are_found_than_there_is_room_for);
	UNIT_TEST(s, nothing_is_quiet_above_what_a_place_can_name);
	return s;
}

UNIT_MAIN("relocs", suite)
