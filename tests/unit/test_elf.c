/*
 * test_elf.c - src/boot/elf.c: one good kernel, and every way in which it can be bad.
 *
 * Each test starts from make_kernel(), changes what its name says, and parses.
 */
#include "unit.h"
#include <elf.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vmm/base/bytes.h>
#include <vmm/base/util.h>
#include <vmm/boot/elf.h>

#define NOTES_AT 0x800
#define DATA_AT 0x1000
#define FILE_LEN 0x3000
#define BASE 0x100000

static const struct elf_quiet none;

struct kernel { /* the file, as it lies on disk; the parts below it point into it */
	union {
		uint8_t file[FILE_LEN];
		struct {
			Elf64_Ehdr h;
			Elf64_Phdr ph[8];
		};
	};
};

static void set_segment(Elf64_Phdr *p, uint64_t off, uint64_t file_len, uint64_t at,
			uint64_t mem_len)
{
	*p = (Elf64_Phdr){ .p_type = PT_LOAD,
			   .p_offset = off,
			   .p_filesz = file_len,
			   .p_paddr = at,
			   .p_vaddr = at | 0xffffffff80000000,
			   .p_memsz = mem_len };
}

/* Two segments, out of order; notes last, empty. */
static void make_kernel(struct kernel *k)
{
	memset(k, 0, sizeof(*k));
	memcpy(k->h.e_ident, ELFMAG, SELFMAG);
	k->h.e_ident[EI_CLASS] = ELFCLASS64;
	k->h.e_ident[EI_DATA] = ELFDATA2LSB;
	k->h.e_ident[EI_VERSION] = EV_CURRENT;
	k->h.e_type = ET_EXEC;
	k->h.e_machine = EM_X86_64;
	k->h.e_version = EV_CURRENT;
	k->h.e_entry = BASE + 0x10;
	k->h.e_phoff = sizeof(k->h);
	k->h.e_ehsize = sizeof(k->h);
	k->h.e_phentsize = sizeof(k->ph[0]);
	k->h.e_phnum = 3;
	set_segment(&k->ph[0], DATA_AT + 0x1000, 0x800, BASE + 0x2000, 0x1800);
	set_segment(&k->ph[1], DATA_AT, 0x1000, BASE, 0x1000);
	k->ph[2] = (Elf64_Phdr){ .p_type = PT_NOTE, .p_offset = NOTES_AT, .p_align = 4 };
	for (size_t i = DATA_AT; i < FILE_LEN; i++)
		k->file[i] = (uint8_t)(i * 3 + i / 256);
}

/* Appends a note, with its padding; grows the PT_NOTE. */
static void add_note(struct kernel *k, const char *name, uint32_t type, const void *desc,
		     uint32_t len)
{
	Elf64_Phdr *p = &k->ph[2];
	uint8_t *n = k->file + p->p_offset + p->p_filesz;
	uint32_t name_len = (uint32_t)strlen(name) + 1;
	uint64_t desc_at = align_up(12 + name_len, p->p_align);

	store_le32(n, name_len);
	store_le32(n + 4, len);
	store_le32(n + 8, type);
	memcpy(n + 12, name, name_len);
	memcpy(n + desc_at, desc, len);
	p->p_filesz += align_up(desc_at + len, p->p_align);
}

static void add_pvh(struct kernel *k, uint32_t entry)
{
	add_note(k, "Xen", 18, &entry, 4);
}

static struct image image_of(const void *data, size_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	struct image img;
	struct err e;

	ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
	ck_ok(image_from_fd(&img, fd, "a.elf", &e));
	return img;
}

static int parse_cut(struct elf *elf, const struct kernel *k, size_t len, struct err *e)
{
	struct image img = image_of(k, len);
	int rc = elf_parse(elf, &img, EM_X86_64, e);

	image_close(&img);
	return rc;
}

static int parse(struct elf *elf, const struct kernel *k, struct err *e)
{
	return parse_cut(elf, k, sizeof(*k), e);
}

START_TEST(a_good_kernel_is_read_and_its_segments_sorted)
{
	struct kernel k;
	struct elf elf;
	struct err e;

	make_kernel(&k);
	ck_ok(parse(&elf, &k, &e));
	ck_assert_uint_eq(elf.entry, BASE + 0x10);
	ck_assert(!elf.has_pvh);
	ck_assert_uint_eq(elf.n_segments, 2);
	ck_assert_uint_eq(elf.lowest, BASE);
	ck_assert_uint_eq(elf.end, BASE + 0x3800);
	ck_assert_uint_eq(elf.segment[0].at, BASE);
	ck_assert_uint_eq(elf.segment[0].off, DATA_AT);
	ck_assert_uint_eq(elf.segment[1].mem_len, 0x1800);
	ck_assert_uint_eq(elf.segment[1].file_len, 0x800);
	k.h.e_type = ET_DYN;
	ck_ok(parse(&elf, &k, &e));
}
END_TEST

START_TEST(what_is_no_64_bit_little_endian_executable_for_us_is_refused)
{
	static const struct {
		size_t at;
		uint16_t val;
		const char *words;
	} rows[] = {
		{ 0, 'X', "not an ELF" },
		{ EI_CLASS, ELFCLASS32 | ELFDATA2LSB << 8, "a 32-bit ELF" },
		{ EI_CLASS, 3 | ELFDATA2LSB << 8, "ELF class 3" },
		{ EI_CLASS, ELFCLASS64 | ELFDATA2MSB << 8, "big-endian" },
		{ EI_VERSION, 2, "ELF version 2" },
		{ offsetof(Elf64_Ehdr, e_machine), EM_AARCH64,
		  "for aarch64 (machine 183; expected x86-64)" },
		{ offsetof(Elf64_Ehdr, e_machine), EM_386, "for i386" },
		{ offsetof(Elf64_Ehdr, e_machine), 0x4242, "another architecture" },
		{ offsetof(Elf64_Ehdr, e_type), ET_REL, "kernel module" },
		{ offsetof(Elf64_Ehdr, e_type), ET_CORE, "core dump" },
		{ offsetof(Elf64_Ehdr, e_type), 0xfeed, "no executable" },
		{ offsetof(Elf64_Ehdr, e_phentsize), 32, "program headers of 32 bytes" },
		{ offsetof(Elf64_Ehdr, e_phentsize), 0, "program headers of 0 bytes" },
		{ offsetof(Elf64_Ehdr, e_phnum), 0, "0 program headers" },
		{ offsetof(Elf64_Ehdr, e_phnum), 0xffff, "65535 program headers" },
		{ offsetof(Elf64_Ehdr, e_phnum), 2 * ELF_MAX_SEGMENTS + 1, "expected 1 to" },
	};
	struct kernel k;
	struct elf elf;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		make_kernel(&k);
		store_le16(k.file + rows[i].at, rows[i].val);
		ck_fails(parse(&elf, &k, &e), ERR_IMAGE, rows[i].words);
		ck_assert_ptr_eq(strstr(e.text, "a.elf: "), e.text);
	}
}
END_TEST

START_TEST(a_file_cut_anywhere_is_refused)
{
	struct kernel k;
	struct elf elf;
	struct err e;

	make_kernel(&k);
	add_pvh(&k, BASE);
	for (size_t len = 0; len < DATA_AT + 0x1800; len += len < DATA_AT ? 1 : 61)
		ck_fails(parse_cut(&elf, &k, len, &e), ERR_IMAGE, "truncated");
	ck_ok(parse_cut(&elf, &k, DATA_AT + 0x1800, &e));
}
END_TEST

START_TEST(program_headers_beyond_the_file_are_refused)
{
	static const uint64_t offs[] = { FILE_LEN, FILE_LEN - 167, 1ull << 63, UINT64_MAX,
					 UINT64_MAX - 167 };
	struct kernel k;
	struct elf elf;
	struct err e;

	make_kernel(&k);
	for (size_t i = 0; i < ARRAY_SIZE(offs); i++) {
		k.h.e_phoff = offs[i];
		ck_fails(parse(&elf, &k, &e), ERR_IMAGE, "truncated");
	}
}
END_TEST

START_TEST(a_segment_beyond_the_file_is_refused)
{
	static const struct {
		uint64_t off, len;
	} rows[] = { { FILE_LEN, 1 },
		     { FILE_LEN - 0xfff, 0x1000 },
		     { UINT64_MAX, 0x1000 },
		     { 1ull << 63, 0x1000 },
		     { UINT64_MAX - 0xfff, 0x1000 } };
	struct kernel k;
	struct elf elf;
	struct err e;

	make_kernel(&k);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		set_segment(&k.ph[1], rows[i].off, rows[i].len, BASE, 0x1000);
		ck_fails(parse(&elf, &k, &e), ERR_IMAGE, "truncated: a segment");
	}
	set_segment(&k.ph[1], DATA_AT, 0x1001, BASE, 0x1000);
	ck_fails(parse(&elf, &k, &e), ERR_IMAGE, "more bytes in the file than in memory");
}
END_TEST

START_TEST(a_segment_that_wraps_the_address_space_is_refused)
{
	static const struct {
		uint64_t at, len;
	} rows[] = { { UINT64_MAX, 1 },
		     { UINT64_MAX - 0xffe, 0x1000 },
		     { BASE, UINT64_MAX },
		     { 1ull << 63, 1ull << 63 } };
	struct kernel k;
	struct elf elf;
	struct err e;

	make_kernel(&k);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		set_segment(&k.ph[1], DATA_AT, 1, rows[i].at, rows[i].len);
		ck_fails(parse(&elf, &k, &e), ERR_IMAGE, "wraps");
	}
}
END_TEST

START_TEST(segments_that_overlap_are_refused)
{
	static const struct {
		uint64_t at, len;
		bool ok;
	} rows[] = { { BASE + 0x2000, 0x1800, false }, { BASE + 0x37ff, 1, false },
		     { BASE + 0x1fff, 2, false },      { BASE + 0x1000, 0x4000, false },
		     { BASE + 0x2100, 0x10, false },   { 0, 1ull << 40, false },
		     { BASE + 0x3800, 1, true },       { BASE + 0x1fff, 1, true } };
	struct kernel k;
	struct elf elf;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		make_kernel(&k);
		set_segment(&k.ph[1], 0, 0, rows[i].at, rows[i].len);
		k.h.e_entry = BASE + 0x2000;
		if (rows[i].ok)
			ck_ok(parse(&elf, &k, &e));
		else
			ck_fails(parse(&elf, &k, &e), ERR_IMAGE, "overlap");
	}
}
END_TEST

START_TEST(an_entry_outside_every_segment_is_refused)
{
	static const uint64_t bad[] = { 0, BASE - 1, BASE + 0x1000, BASE + 0x3800, UINT64_MAX };
	struct kernel k;
	struct elf elf;
	struct err e;

	make_kernel(&k);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		k.h.e_entry = bad[i];
		ck_fails(parse(&elf, &k, &e), ERR_IMAGE, "entry point");
	}
	k.h.e_entry = BASE + 0x37ff;
	ck_ok(parse(&elf, &k, &e));
}
END_TEST

START_TEST(an_elf_without_segments_is_refused)
{
	struct kernel k;
	struct elf elf;
	struct err e;

	make_kernel(&k);
	set_segment(&k.ph[0], DATA_AT, 0, BASE, 0);
	k.ph[1].p_type = PT_NULL;
	ck_fails(parse(&elf, &k, &e), ERR_IMAGE, "nothing to load");
}
END_TEST

START_TEST(more_segments_than_we_keep_are_refused)
{
	static uint8_t file[0x4000];
	struct kernel k;
	struct image img;
	struct elf elf;
	struct err e;

	make_kernel(&k);
	memcpy(file, &k, sizeof(k.h));
	((Elf64_Ehdr *)(void *)file)->e_phnum = ELF_MAX_SEGMENTS + 1;
	for (unsigned int i = 0; i <= ELF_MAX_SEGMENTS; i++) /* downwards: the worst for sorting */
		set_segment((Elf64_Phdr *)(void *)(file + sizeof(k.h)) + i, 0, 0,
			    BASE + (ELF_MAX_SEGMENTS - i) * 0x1000ull, 0x1000);
	img = image_of(file, sizeof(file));
	ck_fails(elf_parse(&elf, &img, EM_X86_64, &e), ERR_IMAGE, "more than 64 segments");
	image_close(&img);
	((Elf64_Ehdr *)(void *)file)->e_phnum = ELF_MAX_SEGMENTS;
	((Elf64_Ehdr *)(void *)file)->e_entry = BASE + 0x1000;
	img = image_of(file, sizeof(file));
	ck_ok(elf_parse(&elf, &img, EM_X86_64, &e));
	for (unsigned int i = 1; i < elf.n_segments; i++)
		ck_assert_uint_gt(elf.segment[i].at, elf.segment[i - 1].at);
	image_close(&img);
}
END_TEST

START_TEST(the_pvh_note_is_found_among_others_at_either_alignment)
{
	struct kernel k;
	struct elf elf;
	struct err e;

	make_kernel(&k);
	k.ph[2].p_align = _i ? 8 : 4;
	k.h.e_entry = 0xffffffff81000000; /* virtual, as a BSD has it */
	add_note(&k, "GNU", 3, "0123456789abcdefghi", 19);
	add_note(&k, "Linux", 18, "\1\2\3\4", 4);
	add_note(&k, "", 0, "", 0);
	add_pvh(&k, BASE + 0x20);
	add_note(&k, "stapsdt", 3, "x", 1);
	ck_ok(parse(&elf, &k, &e));
	ck_assert(elf.has_pvh);
	ck_assert_uint_eq(elf.pvh_entry, BASE + 0x20);
}
END_TEST

START_TEST(a_pvh_entry_may_be_64_bits_wide_but_not_large)
{
	struct kernel k;
	struct elf elf;
	uint64_t entry = BASE + 0x30;
	struct err e;

	make_kernel(&k);
	add_note(&k, "Xen", 18, &entry, 8);
	ck_ok(parse(&elf, &k, &e));
	ck_assert_uint_eq(elf.pvh_entry, BASE + 0x30);
	entry |= 1ull << 32;
	make_kernel(&k);
	add_note(&k, "Xen", 18, &entry, 8);
	ck_fails(parse(&elf, &k, &e), ERR_IMAGE, "above 4 GiB");
	make_kernel(&k);
	add_note(&k, "Xen", 18, &entry, 2);
	ck_fails(parse(&elf, &k, &e), ERR_IMAGE, "a PVH entry of 2 bytes");
	make_kernel(&k);
	add_pvh(&k, BASE + 0x1800);
	ck_fails(parse(&elf, &k, &e), ERR_IMAGE, "entry point");
}
END_TEST

START_TEST(a_note_longer_than_its_segment_is_refused)
{
	static const uint32_t sizes[] = { 21,         0x1000,     0x7fffffff, 0x80000000,
					  0xfffffff0, 0xfffffffc, 0xffffffff };
	struct kernel k;
	struct elf elf;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		for (unsigned int field = 0; field <= 4; field += 4) { /* n_namesz, n_descsz */
			make_kernel(&k);
			add_pvh(&k, BASE);
			store_le32(k.file + NOTES_AT + field, sizes[i]);
			ck_fails(parse(&elf, &k, &e), ERR_IMAGE, "longer than");
			store_le32(k.file + NOTES_AT + 4 - field, 0); /* the other one */
			ck_fails(parse(&elf, &k, &e), ERR_IMAGE, "longer than");
		}
	}
}
END_TEST

START_TEST(notes_cut_anywhere_are_refused)
{
	struct kernel k;
	struct elf elf;
	struct err e;

	make_kernel(&k);
	add_pvh(&k, BASE);
	for (k.ph[2].p_filesz = 1; k.ph[2].p_filesz < 20; k.ph[2].p_filesz++)
		ck_fails(parse(&elf, &k, &e), ERR_IMAGE, "note");
	ck_ok(parse(&elf, &k, &e));
}
END_TEST

START_TEST(notes_of_no_length_come_to_an_end)
{
	struct kernel k;
	struct elf elf;
	struct err e;

	make_kernel(&k);
	k.ph[2].p_offset = NOTES_AT; /* zeroes: one empty note after the other */
	k.ph[2].p_filesz = 0x7f8 - 0x7f8 % 12;
	ck_ok(parse(&elf, &k, &e));
	ck_assert(!elf.has_pvh);
}
END_TEST

START_TEST(notes_beyond_the_file_or_without_measure_are_refused)
{
	struct kernel k;
	struct image img;
	struct elf elf;
	struct err e;

	make_kernel(&k);
	k.ph[2].p_offset = UINT64_MAX - 4;
	k.ph[2].p_filesz = 64;
	ck_fails(parse(&elf, &k, &e), ERR_IMAGE, "truncated: notes");
	k.ph[2].p_offset = FILE_LEN - 63;
	ck_fails(parse(&elf, &k, &e), ERR_IMAGE, "truncated: notes");
	k.ph[2].p_offset = NOTES_AT;
	k.ph[2].p_filesz = 1 << 20;
	img = image_of(&k, sizeof(k));
	ck_assert_int_eq(ftruncate(img.fd, 2 << 20), 0);
	img.size = 2 << 20;
	ck_fails(elf_parse(&elf, &img, EM_X86_64, &e), ERR_IMAGE, "of notes");
	image_close(&img);
}
END_TEST

START_TEST(loading_fills_the_segments_and_nothing_else)
{
	uint8_t ram[0x4000], want[0x4000] = { 0 };
	struct gmem *m;
	struct kernel k;
	struct image img;
	struct elf elf;
	struct err e;

	make_kernel(&k);
	img = image_of(&k, sizeof(k));
	ck_ok(gmem_create(&m, &e));
	ck_ok(gmem_add_ram(m, BASE, sizeof(ram), &e));
	ck_ok(elf_parse(&elf, &img, EM_X86_64, &e));
	ck_ok(elf_load(&elf, &img, &none, m, 0, &e));
	memcpy(want, k.file + DATA_AT, 0x1000);
	memcpy(want + 0x2000, k.file + DATA_AT + 0x1000, 0x800);
	ck_assert(gmem_read(m, BASE, ram, sizeof(ram)));
	ck_assert_mem_eq(ram, want, sizeof(ram));
	ck_ok(gmem_clear(m, &e));
	ck_ok(elf_load(&elf, &img, &none, m, 0x800, &e)); /* as much as there is room */
	ck_assert(gmem_read(m, BASE, ram, sizeof(ram)));
	ck_assert_mem_eq(ram + 0x800, want, sizeof(ram) - 0x800);
	ck_fails(elf_load(&elf, &img, &none, m, 0x801, &e), ERR_IMAGE, "not all in guest RAM");
	ck_fails(elf_load(&elf, &img, &none, m, -(uint64_t)BASE, &e), ERR_IMAGE, "not all in");
	image_close(&img);
	gmem_destroy(m);
}
END_TEST

#define QUIET_LEN (2 * IMAGE_MIN_MAP)

/* How much of this process is mapped from files of that name. */
static uint64_t mapped_from(const char *name)
{
	FILE *f = fopen("/proc/self/maps", "r");
	unsigned long from, to;
	uint64_t sum = 0;
	char line[512];

	ck_assert_ptr_nonnull(f);
	while (fgets(line, sizeof(line), f)) {
		if (strstr(line, name) && sscanf(line, "%lx-%lx ", &from, &to) == 2)
			sum += to - from;
	}
	fclose(f);
	return sum;
}

#define PAGE 0x1000u

/* Each word of the file is its own offset. */
static void fill_page(uint64_t page[PAGE / 8], uint64_t off)
{
	for (size_t i = 0; i < PAGE / 8; i++)
		page[i] = off + i * 8;
}

/* A segment of so much, from the second page of the file on. */
static struct image large_image(struct elf *elf)
{
	int fd = memfd_create("large-image", MFD_CLOEXEC);
	uint64_t len = QUIET_LEN + 0x4000, page[PAGE / 8];
	struct image img;
	struct err e;

	for (uint64_t at = 0; at < len; at += PAGE) {
		fill_page(page, at);
		ck_assert_int_eq(write(fd, page, PAGE), PAGE);
	}
	ck_ok(image_from_fd(&img, fd, "a.elf", &e));
	*elf = (struct elf){ .n_segments = 1, .segment = { { 0x1000, len - 0x1000, BASE, len } } };
	return img;
}

START_TEST(what_is_quiet_is_the_files_own_pages)
{
	static const struct {
		struct elf_range range; /* relative to the segment */
		uint64_t mapped;
	} rows[] = {
		{ { 0x1000, QUIET_LEN }, 0x101000 }, /* in the first large page it is too little */
		{ { 0, IMAGE_MIN_MAP }, IMAGE_MIN_MAP },
		{ { 0x3000, QUIET_LEN }, 0x103000 }, /* up to the segment's end */
		{ { 0x1000, IMAGE_MIN_MAP - 0x1000 }, 0 }, /* too little */
		{ { 0x80000, IMAGE_MIN_MAP + 0x7f000 }, 0 }, /* in neither large page enough */
		{ { 0x1800, QUIET_LEN }, 0 }, /* not in pages */
		{ { 0x3001, QUIET_LEN }, 0 }, /* beyond the segment: another one's */
		{ { -(uint64_t)0x1000, QUIET_LEN }, 0 },
		{ { 0x1000, UINT64_MAX }, 0 },
	};
	uint64_t ram_len = QUIET_LEN + 0x5000, page[PAGE / 8], want[PAGE / 8];
	struct gmem *m;
	struct elf elf;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct elf_quiet quiet = { 1, { rows[i].range } };
		struct image img = large_image(&elf);

		quiet.range[0].at += BASE;
		ck_ok(gmem_create(&m, &e));
		ck_ok(gmem_add_ram(m, BASE, ram_len, &e));
		ck_ok(elf_load(&elf, &img, &quiet, m, 0, &e));
		ck_assert_uint_eq(mapped_from("large-image"), rows[i].mapped);
		for (uint64_t at = 0; at < ram_len; at += PAGE) {
			memset(want, 0, sizeof(want));
			if (at < elf.segment[0].file_len)
				fill_page(want, at + PAGE);
			ck_assert(gmem_read(m, BASE + at, page, PAGE));
			ck_assert(memcmp(page, want, PAGE) == 0);
		}
		gmem_destroy(m);
		image_close(&img);
	}
}
END_TEST

START_TEST(a_hole_in_what_is_quiet_stays_ram)
{
	struct elf_quiet quiet = { 1, { { BASE, QUIET_LEN } } };
	struct elf elf;
	struct image img = large_image(&elf);
	struct gmem *m;
	struct err e;

	img.n_holes = 1;
	img.hole[0] = (struct image_hole){ 0x1000 + IMAGE_MIN_MAP, QUIET_LEN };
	ck_ok(gmem_create(&m, &e));
	ck_ok(gmem_add_ram(m, BASE, QUIET_LEN + 0x5000, &e));
	ck_ok(elf_load(&elf, &img, &quiet, m, 0, &e));
	ck_assert_uint_eq(mapped_from("large-image"), IMAGE_MIN_MAP);
	gmem_destroy(m);
	image_close(&img);
}
END_TEST

START_TEST(a_segment_outside_ram_is_refused)
{
	static const struct {
		uint64_t at, len;
	} rows[] = { { BASE + 0x4000, 1 }, { BASE + 0x3fff, 2 }, { BASE - 1, 1 }, { 0, 1 },
		     { 1ull << 62, 1 },    { UINT64_MAX - 1, 1 } };
	struct gmem *m;
	struct kernel k;
	struct image img;
	struct elf elf;
	struct err e;

	ck_ok(gmem_create(&m, &e));
	ck_ok(gmem_add_ram(m, BASE, 0x4000, &e));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		make_kernel(&k);
		/* Its last bytes are zero-filled, so that only the check can find them. */
		set_segment(&k.ph[0], DATA_AT, 0, rows[i].at, rows[i].len);
		img = image_of(&k, sizeof(k));
		ck_ok(elf_parse(&elf, &img, EM_X86_64, &e));
		ck_fails(elf_load(&elf, &img, &none, m, 0, &e), ERR_IMAGE, "not all in guest RAM");
		image_close(&img);
	}
	gmem_destroy(m);
}
END_TEST

START_TEST(the_elf_ends_with_its_section_headers_or_its_last_segment)
{
	static const struct {
		uint64_t off;
		uint16_t n;
		uint64_t end;
	} rows[] = {
		{ 0, 0, FILE_LEN - 0x800 },
		{ FILE_LEN - 0x400, 5, FILE_LEN - 0x400 + 5 * 64 },
		{ 0x100, 3, FILE_LEN - 0x800 },
		{ FILE_LEN - 64, 1, FILE_LEN },
		/* Not all there, or nowhere: nothing is behind them. */
		{ FILE_LEN - 63, 1, FILE_LEN },
		{ UINT64_MAX - 1, 1, FILE_LEN },
		{ 0, 0xffff, FILE_LEN },
	};
	struct kernel k;
	struct elf elf;
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		make_kernel(&k);
		k.h.e_shentsize = sizeof(Elf64_Shdr);
		k.h.e_shoff = rows[i].off;
		k.h.e_shnum = rows[i].n;
		ck_ok(parse(&elf, &k, &e));
		ck_assert_uint_eq(elf.file_end, rows[i].end);
	}
}
END_TEST

START_TEST(headers_of_noise_never_crash)
{
	uint32_t state = 7;
	struct kernel k;
	struct elf elf;
	struct err e;

	for (int round = 0; round < 3000; round++) {
		make_kernel(&k);
		add_pvh(&k, BASE);
		for (int n = 0; n < 4; n++) {
			state = state * 1664525u + 1013904223u;
			k.file[(state >> 8) % (n < 3 ? 240 : 24) + (n < 3 ? 16 : NOTES_AT)] =
				(uint8_t)(state >> 3);
		}
		parse(&elf, &k, &e);
	}
}
END_TEST

START_TEST(a_program_with_an_interpreter_is_no_kernel)
{
	struct image img;
	struct elf elf;
	struct err e;

	ck_ok(image_open(&img, "/bin/sh", &e));
	ck_fails(elf_parse(&elf, &img, EM_X86_64, &e), ERR_IMAGE,
		 "a program for an operating system");
	image_close(&img);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("elf");

	UNIT_TEST(s, a_program_with_an_interpreter_is_no_kernel);
	UNIT_TEST(s, a_good_kernel_is_read_and_its_segments_sorted);
	UNIT_TEST(s, what_is_no_64_bit_little_endian_executable_for_us_is_refused);
	UNIT_TEST(s, a_file_cut_anywhere_is_refused);
	UNIT_TEST(s, program_headers_beyond_the_file_are_refused);
	UNIT_TEST(s, a_segment_beyond_the_file_is_refused);
	UNIT_TEST(s, a_segment_that_wraps_the_address_space_is_refused);
	UNIT_TEST(s, segments_that_overlap_are_refused);
	UNIT_TEST(s, an_entry_outside_every_segment_is_refused);
	UNIT_TEST(s, an_elf_without_segments_is_refused);
	UNIT_TEST(s, more_segments_than_we_keep_are_refused);
	UNIT_LOOP(s, the_pvh_note_is_found_among_others_at_either_alignment, 2);
	UNIT_TEST(s, a_pvh_entry_may_be_64_bits_wide_but_not_large);
	UNIT_TEST(s, a_note_longer_than_its_segment_is_refused);
	UNIT_TEST(s, notes_cut_anywhere_are_refused);
	UNIT_TEST(s, notes_of_no_length_come_to_an_end);
	UNIT_TEST(s, notes_beyond_the_file_or_without_measure_are_refused);
	UNIT_TEST(s, loading_fills_the_segments_and_nothing_else);
	UNIT_TEST(s, what_is_quiet_is_the_files_own_pages);
	UNIT_TEST(s, a_hole_in_what_is_quiet_stays_ram);
	UNIT_TEST(s, a_segment_outside_ram_is_refused);
	UNIT_TEST(s, the_elf_ends_with_its_section_headers_or_its_last_segment);
	UNIT_TEST(s, headers_of_noise_never_crash);
	return s;
}

UNIT_MAIN("elf", make_suite)
