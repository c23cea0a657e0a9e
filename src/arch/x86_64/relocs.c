/*
 * relocs.c - a Linux kernel that is linked to one virtual address becomes one that runs at another.
 *
 * Life of a VM: each time the kernel is copied into RAM, while the machine is built and at a reset.
 * Main thread. Source: Linux, arch/x86/tools/relocs.c (emit_relocs()), and handle_relocations() in
 * arch/x86/boot/compressed/misc.c.
 *
 * The table consists of words of 32 bits: the virtual addresses of what is to be changed, without
 * the upper 32 bits, which are all ones. The build appends it to the ELF:
 *
 *	0, places where 64 bits get the slide added,
 *	0, places where 32 bits get it subtracted: distances to per-CPU variables, whose addresses
 *	   are counted from 0 and stay,
 *	0, places where 32 bits get it added.
 *
 * The middle list has gone with the per-CPU variables at 0, in Linux 6.15: then there are two. The
 * decompressor is built with its kernel, knows how many there are, and reads backwards. Here the
 * table begins where the ELF ends, and no place is 0, so that the zeroes tell the lists apart.
 * relocs.c sorts each list; one that is not sorted is not by it, and not believed.
 *
 * Nothing is written before all of the table has been checked, so that a bad one leaves a kernel
 * that can run where it was linked.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <vmm/arch/relocs.h>
#include <vmm/base/bug.h>
#include <vmm/base/bytes.h>
#include <vmm/base/checked.h>
#include <vmm/base/util.h>

#define START_KERNEL_MAP 0x80000000u /* __START_KERNEL_map, its lower half: physical address 0 */
#define PLACES_END (UINT64_C(1) << 31) /* physical, and above what 32 bits can name */
#define MAX_LISTS 3
#define PAGE 4096
#define WINDOW 1024 /* of guest RAM, copied out and in for the sake of several places */

bool relocs_exist(const struct elf *elf, const struct image *img)
{
	uint32_t w[2];
	struct err e;

	if (elf->file_end >= img->size || img->size - elf->file_end < sizeof(w))
		return false;
	/* No list is empty in any kernel: zeroes alone are what some other tool has left. */
	return image_read(img, elf->file_end, w, sizeof(w), &e) == 0 && w[0] == 0 &&
	       w[1] >= START_KERNEL_MAP;
}

/* Where words of one width may lie: [low, low + span], both physical as linked. */
struct range {
	unsigned int segment; /* the one after it */
	uint64_t low, span;
	bool any;
};

/* The next segment in which `at` may be: places ascend, and so do segments. */
static bool find_segment(struct range *r, const struct elf *elf, uint64_t at, unsigned int width)
{
	while (r->segment < elf->n_segments) {
		const struct elf_segment *s = &elf->segment[r->segment++];

		r->any = s->file_len >= width;
		r->low = s->at;
		r->span = s->file_len - width;
		if (r->any && at >= r->low && at - r->low <= r->span)
			return true;
	}
	return false;
}

/* One list, from *w up to the next zero or end. Returns that place; NULL: it is bad. */
static const uint32_t *check_list(const uint32_t *w, const uint32_t *end, const struct elf *elf,
				  unsigned int width, struct err *e)
{
	struct range r = { 0 };
	uint32_t last = START_KERNEL_MAP - 1;

	for (; w < end && *w != 0; last = *w++) {
		uint64_t at = *w - START_KERNEL_MAP;

		if (*w <= last) {
			err_set(e, ERR_IMAGE,
				"its relocations are not in order, or below the kernel");
			return NULL;
		}
		if (r.any && at >= r.low && at - r.low <= r.span)
			continue;
		if (!find_segment(&r, elf, at, width)) {
			err_set(e, ERR_IMAGE,
				"a relocation of %u bytes at %#" PRIx32
				" is in none of its segments",
				width, *w);
			return NULL;
		}
	}
	return w;
}

/* The word before each list is its zero. */
static int check(struct relocs *r, size_t n_words, const struct elf *elf, struct err *e)
{
	const uint32_t *w = r->words, *end = w + n_words, *list[MAX_LISTS + 1];
	unsigned int n = 0;

	while (w < end) {
		if (n == MAX_LISTS || *w != 0)
			return err_set(e, ERR_IMAGE,
				       "its relocations are not in two or three lists");
		list[n] = w + 1;
		w = check_list(w + 1, end, elf, n == 0 ? 8 : 4, e);
		if (!w)
			return e->code;
		n++;
	}
	if (n < 2)
		return err_set(e, ERR_IMAGE, "its relocations are not in two or three lists");
	list[n] = end + 1;
	r->plus64.site = list[0];
	r->plus64.n = (size_t)(list[1] - 1 - list[0]);
	r->minus32.site = list[1];
	r->minus32.n = n == MAX_LISTS ? (size_t)(list[2] - 1 - list[1]) : 0;
	r->plus32.site = list[n - 1];
	r->plus32.n = (size_t)(list[n] - 1 - list[n - 1]);
	return 0;
}

int relocs_read(struct relocs *r, const struct elf *elf, const struct image *img, struct err *e)
{
	uint64_t len = img->size - min_u64(elf->file_end, img->size);

	*r = (struct relocs){ 0 };
	if (len == 0 || len % sizeof(*r->words) != 0 || len > RELOCS_MAX_BYTES)
		return err_set(e, ERR_IMAGE, "%" PRIu64 " bytes are no table of relocations", len);
	r->words = malloc(len);
	if (!r->words)
		return err_set(e, -ENOMEM, "out of memory for its relocations");
	if (image_read(img, elf->file_end, r->words, len, e) < 0)
		return e->code;
	return check(r, len / sizeof(*r->words), elf, e);
}

void relocs_free(struct relocs *r)
{
	free(r->words);
	*r = (struct relocs){ 0 };
}

size_t relocs_count(const struct relocs *r)
{
	return r->plus64.n + r->minus32.n + r->plus32.n;
}

/* Notes each page, counted from physical 0 as linked, in which a word of one list lies. */
static void note_pages(bool *changes, const struct reloc_list *list, unsigned int width)
{
	for (size_t i = 0; i < list->n; i++) {
		uint64_t at = list->site[i] - START_KERNEL_MAP;

		changes[at / PAGE] = changes[(at + width - 1) / PAGE] = true;
	}
}

static void add_quiet(struct elf_quiet *quiet, uint64_t from, uint64_t to)
{
	if (quiet->n < ELF_MAX_QUIET && to > from && to - from >= IMAGE_MIN_MAP)
		quiet->range[quiet->n++] = (struct elf_range){ from, to - from };
}

/* Whole pages in [from, end) that do not change. */
static void add_stretches(struct elf_quiet *quiet, const bool *changes, uint64_t from, uint64_t end)
{
	from = align_up(from, PAGE);
	for (uint64_t at = from; at + PAGE <= end; at += PAGE) {
		if (changes[at / PAGE]) {
			add_quiet(quiet, from, at);
			from = at + PAGE;
		}
	}
	add_quiet(quiet, from, align_down(end, PAGE));
}

void relocs_find_quiet(const struct relocs *r, const struct elf *elf, struct elf_quiet *quiet)
{
	const uint64_t top = min_u64(elf->end, PLACES_END); /* what is above is copied */
	/* One more, for the end of a word that begins below. */
	bool *changes = calloc(top / PAGE + 1, sizeof(*changes));

	if (!changes) /* all is copied */
		return;
	note_pages(changes, &r->plus64, 8);
	note_pages(changes, &r->minus32, 4);
	note_pages(changes, &r->plus32, 4);
	for (unsigned int i = 0; i < elf->n_segments; i++) {
		const struct elf_segment *s = &elf->segment[i];

		if (s->at < top)
			add_stretches(quiet, changes, s->at, min_u64(s->at + s->file_len, top));
	}
	free(changes);
}

/* A private copy of a piece of RAM. What is behind the last change in it is not written back. */
struct window {
	struct gmem *m;
	gpa_t at, end; /* end: of all that may be copied */
	size_t len, used;
	uint8_t bytes[WINDOW];
};

static void close_window(struct window *w)
{
	VMM_BUG_ON(!gmem_write(w->m, w->at, w->bytes, w->used));
	w->used = w->len = 0;
}

static void open_window(struct window *w, gpa_t at)
{
	close_window(w);
	w->at = at;
	w->len = min_u64(sizeof(w->bytes), w->end - at);
	VMM_BUG_ON(!gmem_read(w->m, at, w->bytes, w->len));
}

/* The place of the word, in the window. */
static uint8_t *look_at(struct window *w, gpa_t at, size_t width)
{
	uint64_t off = at - w->at; /* huge, where a list begins below the end of the last one */

	if (!range_inside(off, width, w->len)) {
		open_window(w, at);
		off = 0;
	}
	w->used = off + width;
	return w->bytes + off;
}

static void add32(struct window *w, const uint32_t *site, size_t n, uint64_t shift, uint32_t slide)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t *p = look_at(w, site[i] - START_KERNEL_MAP + shift, 4);

		store_le32(p, load_le32(p) + slide);
	}
	close_window(w);
}

static void add64(struct window *w, const uint32_t *site, size_t n, uint64_t shift, uint64_t slide)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t *p = look_at(w, site[i] - START_KERNEL_MAP + shift, 8);

		store_le64(p, load_le64(p) + slide);
	}
	close_window(w);
}

void relocs_apply(const struct relocs *r, const struct elf *elf, struct gmem *m, uint64_t shift,
		  uint64_t slide)
{
	struct window w = { .m = m, .end = elf->end + shift };

	add64(&w, r->plus64.site, r->plus64.n, shift, slide);
	add32(&w, r->minus32.site, r->minus32.n, shift, -(uint32_t)slide);
	add32(&w, r->plus32.site, r->plus32.n, shift, (uint32_t)slide);
}
