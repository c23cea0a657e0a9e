/*
 * fuzz_relocs.c - the table of relocations behind a kernel (src/arch/x86_64/relocs.c): what is
 * believed is done as the format says, and touches nothing but what the segments have in the file.
 */
#include "fuzz.h"
#include <vmm/arch/relocs.h>

#define SEGMENTS 3
#define HEAD (5 * SEGMENTS + 1) /* bytes of choices in front of the table */
#define BASE 0x1000000u
#define MAP 0x80000000u
#define RAM 0x20000u
#define SLIDE UINT64_C(0x12345e00000)

/* Segments in order, with or without gaps, within the first half of RAM. */
static struct elf choose_elf(struct input *in)
{
	struct elf elf = { .lowest = BASE, .end = BASE, .file_end = HEAD };

	for (unsigned int i = 0; i < SEGMENTS; i++) {
		struct elf_segment *s = &elf.segment[elf.n_segments++];

		s->at = elf.end + next_u16(in) % 0x1000;
		s->file_len = next_u16(in) % 0x3000;
		s->mem_len = s->file_len + 1 + next_u8(in);
		elf.end = s->at + s->mem_len;
	}
	return elf;
}

static void check_place(const struct elf *elf, uint32_t site, unsigned int width)
{
	uint64_t at = (uint64_t)site - MAP;
	bool inside = false;

	for (unsigned int i = 0; i < elf->n_segments; i++) {
		const struct elf_segment *s = &elf->segment[i];

		inside |= at >= s->at && at + width <= s->at + s->file_len;
	}
	FUZZ_CHECK(inside);
}

static void check_places(const struct relocs *r, const struct elf *elf)
{
	for (size_t i = 0; i < r->plus64.n; i++)
		check_place(elf, r->plus64.site[i], 8);
	for (size_t i = 0; i < r->minus32.n; i++)
		check_place(elf, r->minus32.site[i], 4);
	for (size_t i = 0; i < r->plus32.n; i++)
		check_place(elf, r->plus32.site[i], 4);
}

static void add32(uint8_t *p, uint32_t by)
{
	store_le32(p, load_le32(p) + by);
}

/* One place after the other, in an array. */
static void apply_simply(uint8_t *ram, const struct relocs *r)
{
	for (size_t i = 0; i < r->plus64.n; i++) {
		uint8_t *p = ram + (r->plus64.site[i] - MAP - BASE);

		store_le64(p, load_le64(p) + SLIDE);
	}
	for (size_t i = 0; i < r->minus32.n; i++)
		add32(ram + (r->minus32.site[i] - MAP - BASE), -(uint32_t)SLIDE);
	for (size_t i = 0; i < r->plus32.n; i++)
		add32(ram + (r->plus32.site[i] - MAP - BASE), (uint32_t)SLIDE);
}

static void apply(const struct relocs *r, const struct elf *elf, uint64_t shift)
{
	static uint8_t want[RAM], got[RAM];
	struct gmem *m;
	struct err e;

	memset(want, 0xc3, sizeof(want));
	VMM_BUG_ON(gmem_create(&m, &e) < 0 || gmem_add_ram(m, BASE, RAM, &e) < 0);
	VMM_BUG_ON(!gmem_write(m, BASE, want, sizeof(want)));
	apply_simply(want + shift, r);
	relocs_apply(r, elf, m, shift, SLIDE);
	VMM_BUG_ON(!gmem_read(m, BASE, got, sizeof(got)));
	FUZZ_CHECK(memcmp(want, got, sizeof(got)) == 0);
	gmem_destroy(m);
}

static void check_apart(const struct elf_range *q, const uint32_t *site, size_t n,
			unsigned int width)
{
	for (size_t i = 0; i < n; i++) {
		uint64_t at = (uint64_t)site[i] - MAP;

		FUZZ_CHECK(at + width <= q->at || at >= q->at + q->len);
	}
}

/* The last segment is made so long that there is something quiet in it. */
static void check_quiet(const struct relocs *r, struct elf elf)
{
	struct elf_segment *last = &elf.segment[elf.n_segments - 1];
	struct elf_quiet quiet = { 0 };

	last->file_len += 3 * IMAGE_MIN_MAP;
	elf.end += 3 * IMAGE_MIN_MAP;
	relocs_find_quiet(r, &elf, &quiet);
	FUZZ_CHECK(quiet.n == 1);
	FUZZ_CHECK(quiet.range[0].at % 4096 == 0 && quiet.range[0].len % 4096 == 0);
	FUZZ_CHECK(quiet.range[0].at >= last->at);
	FUZZ_CHECK(quiet.range[0].at + quiet.range[0].len <= last->at + last->file_len);
	check_apart(&quiet.range[0], r->plus64.site, r->plus64.n, 8);
	check_apart(&quiet.range[0], r->minus32.site, r->minus32.n, 4);
	check_apart(&quiet.range[0], r->plus32.site, r->plus32.n, 4);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct image img = { .fd = -1, .size = size, .bytes = data };
	struct input in = { data, data + size };
	struct elf elf = choose_elf(&in);
	uint64_t shift = next_u8(&in) * 0x100u;
	struct relocs r;
	struct err e;
	int rc;

	rc = relocs_read(&r, &elf, &img, &e);
	if (rc == 0) {
		FUZZ_CHECK(relocs_exist(&elf, &img) == (r.plus64.n > 0));
		FUZZ_CHECK(relocs_count(&r) <= (size - HEAD) / 4 - 2);
		check_places(&r, &elf);
		apply(&r, &elf, shift);
		check_quiet(&r, elf);
	} else {
		FUZZ_CHECK(rc == ERR_IMAGE && *e.text);
	}
	relocs_free(&r);
	return 0;
}
