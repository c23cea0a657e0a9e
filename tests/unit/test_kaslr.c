/*
 * test_kaslr.c - src/arch/x86_64/kaslr.c: which kernels are slid, by how much, and what RAM holds
 * then.
 */
#include "../../src/arch/x86_64/memmap.h"
#include "../../src/arch/x86_64/x86.h"
#include "fake_kernel.h"
#include "fake_stderr.h"
#include "unit.h"
#include <stdio.h>
#include <unistd.h>
#include <vmm/base/bytes.h>
#include <vmm/base/log.h>

#define RAM (64 * MIB)
#define AT(offset) (0x80000000u + FAKE_KERNEL_AT + (offset))

static const uint32_t good[] = { 0, AT(0x100), 0, AT(0x110), 0, AT(0x120) };
static const uint32_t bad[] = { 0, AT(0x100), 0, AT(0x110), 0, AT(FAKE_KERNEL_LEN) };

static struct kernel *kernel;
static struct arch_boot boot;
static struct gmem *m;
static char *path;

static void start(bool bz, bool pvh, const uint32_t *table)
{
	struct err e = { 0 };

	unsetenv("XDG_CACHE_HOME");
	setenv("HOME", "", 1); /* no cache */
	path = fake_linux(bz, pvh, table, table ? ARRAY_SIZE(good) : 0);
	ck_ok(arch_kernel_open(&kernel, path, BOOT_DIRECT, &e));
	ck_ok(arch_kernel_read(kernel, &e));
	boot = (struct arch_boot){ .kernel = kernel, .cmdline = "quiet", .topology = { 1, 1, 1 } };
	ck_ok(gmem_create(&m, &e));
	ck_ok(arch_add_ram(m, RAM, &e));
}

static void stop(void)
{
	gmem_destroy(m);
	arch_kernel_close(kernel);
	unlink(path);
	free(path);
}

/* Loads once more, into RAM that is all zero. */
static void load(const char *cmdline)
{
	struct err e = { 0 };

	boot.cmdline = cmdline;
	ck_ok(gmem_clear(m, &e));
	ck_ok(arch_load(&boot, m, &e));
}

static uint64_t ram64(gpa_t at)
{
	uint8_t b[8];

	ck_assert(gmem_read(m, at, b, sizeof(b)));
	return load_le64(b);
}

static uint64_t linked64(uint32_t off)
{
	uint8_t b[8];

	for (size_t i = 0; i < sizeof(b); i++)
		b[i] = FAKE_KERNEL_BYTE(off + i);
	return load_le64(b);
}

static bool has_flag(void)
{
	return ram64(MAP_BOOT_PARAMS + 0x211) & 2;
}

/* The kernel is there, moved by `shift`, with its words slid. Returns by how much. */
static uint64_t check_slid(uint64_t shift)
{
	gpa_t at = FAKE_KERNEL_AT + shift;
	uint64_t slide = ram64(at + 0x100) - linked64(0x100);

	ck_assert_uint_eq((uint32_t)ram64(at + 0x110), (uint32_t)(linked64(0x110) - slide));
	ck_assert_uint_eq((uint32_t)ram64(at + 0x120), (uint32_t)(linked64(0x120) + slide));
	ck_assert_uint_eq(ram64(at + 0x130), linked64(0x130));
	ck_assert_uint_eq(slide % (2 * MIB), 0);
	ck_assert_uint_lt(slide, GIB);
	return slide;
}

static void check_linked(uint64_t entry)
{
	ck_assert_uint_eq(boot.entry, entry);
	ck_assert_uint_eq(check_slid(0), 0);
}

/* How different they are: of so many boots hardly two are the same. */
#define BOOTS 8
struct spread {
	unsigned int n_slid, n_moved;
};

START_TEST(a_bzimage_is_slid_and_moved_anew_at_each_load)
{
	struct spread n = { 0 };

	start(true, _i, good); /* with or without a PVH note: by the 64-bit entry */
	for (int i = 0; i < BOOTS; i++) {
		load("quiet");
		ck_assert_uint_ge(boot.entry, FAKE_KERNEL_ENTRY);
		n.n_moved += boot.entry != FAKE_KERNEL_ENTRY;
		n.n_slid += check_slid(boot.entry - FAKE_KERNEL_ENTRY) != 0;
		ck_assert(has_flag());
		ck_assert_uint_eq(boot.argument, MAP_BOOT_PARAMS);
	}
	ck_assert_uint_gt(n.n_slid, BOOTS / 2);
	ck_assert_uint_gt(n.n_moved, BOOTS / 2);
	stop();
}
END_TEST

START_TEST(a_vmlinux_entered_by_pvh_is_slid_as_far_as_it_is_moved)
{
	unsigned int n_moved = 0;

	start(false, true, good);
	for (int i = 0; i < BOOTS; i++) {
		load("quiet");
		n_moved += boot.entry != FAKE_KERNEL_PVH_ENTRY;
		ck_assert_uint_eq(check_slid(boot.entry - FAKE_KERNEL_PVH_ENTRY),
				  boot.entry - FAKE_KERNEL_PVH_ENTRY);
		ck_assert_uint_eq(boot.argument, MAP_PVH_INFO);
	}
	ck_assert_uint_gt(n_moved, BOOTS / 2);
	stop();
}
END_TEST

START_TEST(nokaslr_is_a_word_of_its_own)
{
	static const struct {
		const char *cmdline;
		bool off;
	} rows[] = {
		{ "nokaslr", true },
		{ "quiet nokaslr", true },
		{ "nokaslr quiet", true },
		{ "quiet\tnokaslr\nquiet", true },
		{ "nokaslrs nokaslr", true },
		{ "CMD=\"a nokaslr b\"", true }, /* as the kernel has it */
		{ "", false },
		{ "nokaslr=1", false },
		{ "nokaslrs", false },
		{ "xnokaslr", false },
		{ "\"nokaslr\"", false },
		{ "x.nokaslr nokaslr.x", false },
	};

	start(true, false, good);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		load(rows[i].cmdline);
		ck_assert_msg(has_flag() != rows[i].off, "\"%s\"", rows[i].cmdline);
		if (rows[i].off)
			check_linked(FAKE_KERNEL_ENTRY);
	}
	stop();
}
END_TEST

START_TEST(a_kernel_without_a_table_starts_where_it_was_linked)
{
	char text[256];

	start(_i & 1, _i & 2, NULL);
	stderr_capture();
	load("quiet");
	check_linked(_i & 2 ? FAKE_KERNEL_PVH_ENTRY : FAKE_KERNEL_ENTRY);
	ck_assert_str_eq(stderr_text(text, sizeof(text)), "");
	if (!(_i & 2))
		ck_assert(!has_flag());
	stop();
}
END_TEST

START_TEST(so_does_one_with_a_bad_table_which_is_told_once)
{
	static const char *const words = "no KASLR, it starts where it was linked: a relocation";
	uint64_t entry = _i == 2 ? FAKE_KERNEL_PVH_ENTRY : FAKE_KERNEL_ENTRY;
	char text[1024];
	const char *told;

	start(_i & 1, _i & 2, bad);
	stderr_capture();
	load("quiet");
	check_linked(entry);
	load("quiet");
	check_linked(entry);
	told = strstr(stderr_text(text, sizeof(text)), words);
	ck_assert_ptr_nonnull(told);
	ck_assert_ptr_null(strstr(told + 1, words));
	if (_i != 2)
		ck_assert(!has_flag());
	stop();
}
END_TEST

START_TEST(a_bzimage_that_is_not_relocatable_is_left_alone)
{
	start(true, false, good);
	kernel->bz.relocatable = false;
	load("quiet");
	check_linked(FAKE_KERNEL_ENTRY);
	stop();
}
END_TEST

/* Where it may be --------------------------------------------------------------------------------
 */

static const uint64_t draws[][2] = {
	{ 0, 0 },
	{ 1, 1 },
	{ 22, 22 },
	{ 503, 23 },
	{ 504, 24 },
	{ UINT64_MAX, UINT64_MAX },
	{ 0x123456789abcdef, 0xfedcba9876543 },
};

START_TEST(all_of_the_kernel_stays_in_its_room)
{
	uint64_t most_slide = 0, most_shift = 0;

	start(true, false, good);
	for (uint64_t i = 0; i < 600; i++) {
		struct boot_layout l = { .room_end = RAM };
		uint64_t random[] = { i, i };

		if (i < ARRAY_SIZE(draws))
			memcpy(random, draws[i], sizeof(random));
		kaslr_choose(&l, &boot, random);
		ck_assert_uint_eq((l.slide | l.shift) % (2 * MIB), 0);
		ck_assert_uint_le(kernel->elf.end + l.slide, GIB);
		ck_assert_uint_le(kernel->elf.end + l.shift, RAM);
		most_slide = max_u64(most_slide, l.slide);
		most_shift = max_u64(most_shift, l.shift);
	}
	/* 16 MiB and a bit are taken: the last place is the last that there is. */
	ck_assert_uint_eq(most_slide, GIB - 18 * MIB);
	ck_assert_uint_eq(most_shift, RAM - 18 * MIB);
	stop();
}
END_TEST

START_TEST(by_pvh_it_stays_in_ram_and_below_1_gib)
{
	static const uint64_t room[] = { RAM, 2 * GIB };
	uint64_t most = 0;

	start(false, true, good);
	for (uint64_t i = 0; i < 600; i++) {
		struct boot_layout l = { .room_end = room[_i] };
		uint64_t random[] = { i, i * 7 };

		kaslr_choose(&l, &boot, random);
		ck_assert_uint_eq(l.slide, l.shift);
		most = max_u64(most, l.slide);
	}
	ck_assert_uint_eq(most, min_u64(room[_i], GIB) - 18 * MIB);
	stop();
}
END_TEST

START_TEST(a_kernel_with_a_larger_alignment_keeps_to_it)
{
	start(true, false, good);
	kernel->bz.kernel_alignment = 16 * MIB;
	for (size_t i = 0; i < ARRAY_SIZE(draws); i++) {
		struct boot_layout l = { .room_end = RAM };

		kaslr_choose(&l, &boot, draws[i]);
		ck_assert_uint_eq((l.slide | l.shift) % (16 * MIB), 0);
	}
	kernel->bz.kernel_alignment = 1u << 31; /* larger than all there is */
	for (size_t i = 0; i < ARRAY_SIZE(draws); i++) {
		struct boot_layout l = { .room_end = RAM };

		kaslr_choose(&l, &boot, draws[i]);
		ck_assert_uint_eq(l.slide | l.shift, 0);
	}
	stop();
}
END_TEST

START_TEST(a_kernel_that_fills_its_room_stays)
{
	struct boot_layout l = { 0 };
	const uint64_t random[] = { 99, 99 };

	start(true, false, good);
	l.room_end = kernel->elf.end;
	kernel->elf.end = 2 * GIB;
	kaslr_choose(&l, &boot, random);
	ck_assert_uint_eq(l.slide | l.shift, 0);
	stop();
}
END_TEST

/* The kernel takes that memory away from itself; where it ends is its to say. */
START_TEST(where_the_command_line_limits_memory_it_stays_low)
{
	static const char *const lines[] = { "mem=1G", "quiet memmap=1M$2G", "hugepagesz=1G",
					     "x hugepages=2" };
	static const char *const others[] = { "xmem=1G", "memx", "quiet" };
	const uint64_t random[] = { 5, 5 };

	start(_i == 0, _i != 0, good);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct boot_layout l = { .room_end = RAM };

		boot.cmdline = lines[i];
		kaslr_choose(&l, &boot, random);
		ck_assert_uint_eq(l.shift, 0);
		ck_assert_uint_eq(l.slide, _i == 0 ? 10 * MIB : 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		struct boot_layout l = { .room_end = RAM };

		boot.cmdline = others[i];
		kaslr_choose(&l, &boot, random);
		ck_assert_uint_eq(l.shift, 10 * MIB);
	}
	stop();
}
END_TEST

START_TEST(what_can_be_done_is_described)
{
	static const struct {
		bool bz;
		const uint32_t *table;
		const char *words;
	} rows[] = {
		{ true, good, "entered by: 64-bit entry of the vmlinux\nKASLR: yes, by 3 reloc" },
		{ false, good, "KASLR: yes, by 3 relocations; of its image alone" },
		{ true, bad, "KASLR: no; a relocation of 4 bytes at" },
		{ true, NULL, "PVH entry (32-bit, by its ELF note)\nKASLR: no; it has no reloc" },
	};
	char text[1280];

	start(rows[_i].bz, true, rows[_i].table);
	arch_kernel_describe(kernel, text, sizeof(text));
	ck_assert_msg(strstr(text, rows[_i].words) != NULL, "%s", text);
	stop();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("kaslr");

	UNIT_LOOP(s, a_bzimage_is_slid_and_moved_anew_at_each_load, 2);
	UNIT_TEST(s, a_vmlinux_entered_by_pvh_is_slid_as_far_as_it_is_moved);
	UNIT_TEST(s, nokaslr_is_a_word_of_its_own);
	UNIT_LOOP(s, a_kernel_without_a_table_starts_where_it_was_linked, 4);
	UNIT_LOOP(s, so_does_one_with_a_bad_table_which_is_told_once, 4);
	UNIT_TEST(s, a_bzimage_that_is_not_relocatable_is_left_alone);
	UNIT_TEST(s, all_of_the_kernel_stays_in_its_room);
	UNIT_LOOP(s, by_pvh_it_stays_in_ram_and_below_1_gib, 2);
	UNIT_TEST(s, a_kernel_with_a_larger_alignment_keeps_to_it);
	UNIT_TEST(s, a_kernel_that_fills_its_room_stays);
	UNIT_LOOP(s, where_the_command_line_limits_memory_it_stays_low, 2);
	UNIT_LOOP(s, what_can_be_done_is_described, 4);
	return s;
}

UNIT_MAIN("kaslr", suite)
