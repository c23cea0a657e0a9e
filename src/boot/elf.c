/*
 * elf.c - a 64-bit ELF executable as a kernel: headers checked once, then segments into guest RAM.
 *
 * Life of a VM: while the machine is built, and loaded at a reset; main thread. Sources: ELF-64
 * Object File Format 1.5; Xen, docs/misc/pvh.pandoc and xen/include/public/elfnote.h for the note
 * with the PVH entry point.
 *
 * After elf_parse() every number in struct elf is proved against the file's size and the others;
 * elf_load() has only RAM left to ask. All loops are bounded: by the number of headers, which is
 * capped, and by the length of the notes, which is capped, with at least 12 bytes for each note.
 */
#include <elf.h>
#include <endian.h>
#include <inttypes.h>
#include <string.h>
#include <vmm/base/bytes.h>
#include <vmm/base/checked.h>
#include <vmm/base/util.h>
#include <vmm/boot/elf.h>

/* The structs of <elf.h> are read as they lie in the file. */
_Static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "needs a little-endian host");

#define MAX_HEADERS (2u * ELF_MAX_SEGMENTS)
#define MAX_NOTES_BYTES (64 * KIB) /* of one PT_NOTE; Linux has a few hundred */
#define XEN_ELFNOTE_PHYS32_ENTRY 18

static const char *machine_name(uint16_t machine)
{
	switch (machine) {
	case EM_386:
		return "i386";
	case EM_X86_64:
		return "x86-64";
	case EM_ARM:
		return "arm";
	case EM_AARCH64:
		return "aarch64";
	case EM_RISCV:
		return "RISC-V";
	case EM_PPC64:
		return "ppc64";
	case EM_S390:
		return "s390";
	default:
		return "another architecture";
	}
}

static const char *type_name(uint16_t type)
{
	switch (type) {
	case ET_REL:
		return "an object file or kernel module";
	case ET_CORE:
		return "a core dump";
	default:
		return "no executable";
	}
}

static int check_ident(const Elf64_Ehdr *h, const char *name, struct err *e)
{
	const unsigned char *id = h->e_ident;

	if (memcmp(id, ELFMAG, SELFMAG) != 0)
		return err_set(e, ERR_IMAGE, "%s: not an ELF file", name);
	if (id[EI_CLASS] == ELFCLASS32)
		return err_set(e, ERR_IMAGE, "%s: a 32-bit ELF (expected a 64-bit one)", name);
	if (id[EI_CLASS] != ELFCLASS64)
		return err_set(e, ERR_IMAGE, "%s: ELF class %u (expected 2, 64-bit)", name,
			       id[EI_CLASS]);
	if (id[EI_DATA] != ELFDATA2LSB)
		return err_set(e, ERR_IMAGE, "%s: a big-endian ELF (expected a little-endian one)",
			       name);
	if (id[EI_VERSION] != EV_CURRENT)
		return err_set(e, ERR_IMAGE, "%s: ELF version %u (expected 1)", name,
			       id[EI_VERSION]);
	return 0;
}

static int check_header(const Elf64_Ehdr *h, const char *name, uint16_t machine, struct err *e)
{
	if (check_ident(h, name, e) < 0)
		return e->code;
	if (h->e_machine != machine)
		return err_set(e, ERR_IMAGE, "%s: an ELF for %s (machine %u; expected %s)", name,
			       machine_name(h->e_machine), h->e_machine, machine_name(machine));
	if (h->e_type != ET_EXEC && h->e_type != ET_DYN)
		return err_set(e, ERR_IMAGE, "%s: an ELF, but %s (expected an executable)", name,
			       type_name(h->e_type));
	if (h->e_phentsize != sizeof(Elf64_Phdr))
		return err_set(e, ERR_IMAGE,
			       "%s: damaged: program headers of %u bytes (expected %zu)", name,
			       h->e_phentsize, sizeof(Elf64_Phdr));
	if (h->e_phnum == 0 || h->e_phnum > MAX_HEADERS)
		return err_set(e, ERR_IMAGE, "%s: %u program headers (expected 1 to %u)", name,
			       h->e_phnum, MAX_HEADERS);
	return 0;
}

static bool segments_overlap(const struct elf_segment *a, const struct elf_segment *b)
{
	return a->at < b->at + b->mem_len && b->at < a->at + a->mem_len;
}

/* Puts s, already checked by itself, in its place among the others. */
static int insert_segment(struct elf *elf, const struct elf_segment *s, const char *name,
			  struct err *e)
{
	unsigned int i;

	if (elf->n_segments == ELF_MAX_SEGMENTS)
		return err_set(e, ERR_IMAGE, "%s: more than %u segments", name, ELF_MAX_SEGMENTS);
	for (i = 0; i < elf->n_segments; i++) {
		if (segments_overlap(s, &elf->segment[i]))
			return err_set(e, ERR_IMAGE,
				       "%s: damaged: segments at %#" PRIx64 " and %#" PRIx64
				       " overlap",
				       name, s->at, elf->segment[i].at);
	}
	for (i = elf->n_segments++; i > 0 && elf->segment[i - 1].at > s->at; i--)
		elf->segment[i] = elf->segment[i - 1];
	elf->segment[i] = *s;
	return 0;
}

static int add_segment(struct elf *elf, const struct image *img, const Elf64_Phdr *p, struct err *e)
{
	struct elf_segment s = { p->p_offset, p->p_filesz, p->p_paddr, p->p_memsz };
	gpa_t end;

	if (s.mem_len == 0)
		return 0;
	if (s.file_len > s.mem_len)
		return err_set(e, ERR_IMAGE,
			       "%s: damaged: the segment at %#" PRIx64
			       " has more bytes in the file than in memory",
			       img->name, s.at);
	if (!checked_add_u64(s.at, s.mem_len, &end))
		return err_set(e, ERR_IMAGE,
			       "%s: damaged: the segment at %#" PRIx64 ", %#" PRIx64
			       " bytes, wraps around the address space",
			       img->name, s.at, s.mem_len);
	if (s.file_len == 0)
		s.off = 0; /* all zero: the offset means nothing */
	if (!range_inside(s.off, s.file_len, img->size))
		return err_set(e, ERR_IMAGE,
			       "%s: truncated: a segment of %" PRIu64 " bytes at offset %" PRIu64
			       ", but the file ends at %" PRIu64,
			       img->name, s.file_len, s.off, img->size);
	return insert_segment(elf, &s, img->name, e);
}

struct note {
	uint64_t name_at, desc_at, next; /* in the file */
	uint32_t name_len, desc_len, type;
};

/* One note of those in [at, end), which is inside the file. All sums are in 64 bits, of 32. */
static int read_note(struct note *n, const struct image *img, uint64_t at, uint64_t end,
		     uint64_t align, struct err *e)
{
	Elf64_Nhdr h;

	if (end - at < sizeof(h))
		return err_set(e, ERR_IMAGE, "%s: damaged: a truncated ELF note", img->name);
	if (image_read(img, at, &h, sizeof(h), e) < 0)
		return e->code;
	n->name_at = at + sizeof(h);
	n->name_len = h.n_namesz;
	n->desc_at = at + align_up(sizeof(h) + (uint64_t)h.n_namesz, align);
	n->desc_len = h.n_descsz;
	n->type = h.n_type;
	if (n->name_at + n->name_len > end || (n->desc_len > 0 && n->desc_at + n->desc_len > end))
		return err_set(e, ERR_IMAGE,
			       "%s: damaged: an ELF note of %" PRIu32 "+%" PRIu32
			       " bytes that is longer than what holds it",
			       img->name, n->name_len, n->desc_len);
	n->next = min_u64(end, n->desc_at + align_up(n->desc_len, align));
	return 0;
}

/* Takes the PVH entry point, if that is what the note is. 32 or 64 bits wide; the address fits 32.
 */
static int take_pvh_note(struct elf *elf, const struct image *img, const struct note *n,
			 struct err *e)
{
	uint8_t name[4], desc[8] = { 0 };

	if (n->type != XEN_ELFNOTE_PHYS32_ENTRY || n->name_len != sizeof(name))
		return 0;
	if (image_read(img, n->name_at, name, sizeof(name), e) < 0)
		return e->code;
	if (memcmp(name, "Xen", sizeof(name)) != 0)
		return 0;
	if (n->desc_len != 4 && n->desc_len != 8)
		return err_set(e, ERR_IMAGE,
			       "%s: damaged: a PVH entry of %" PRIu32 " bytes (expected 4 or 8)",
			       img->name, n->desc_len);
	if (image_read(img, n->desc_at, desc, n->desc_len, e) < 0)
		return e->code;
	if (load_le32(desc + 4) != 0)
		return err_set(e, ERR_IMAGE, "%s: damaged: a PVH entry above 4 GiB (%#" PRIx64 ")",
			       img->name, load_le64(desc));
	elf->has_pvh = true;
	elf->pvh_entry = load_le32(desc);
	return 0;
}

static int scan_notes(struct elf *elf, const struct image *img, const Elf64_Phdr *p, struct err *e)
{
	/* Only 4 and 8 occur; everything else has always been written as 4. */
	uint64_t align = p->p_align == 8 ? 8 : 4, at = p->p_offset, end;
	struct note n = { 0 };

	if (p->p_filesz == 0)
		return 0;
	if (!range_inside(p->p_offset, p->p_filesz, img->size))
		return err_set(e, ERR_IMAGE,
			       "%s: truncated: notes of %" PRIu64 " bytes at offset %" PRIu64
			       ", but the file ends at %" PRIu64,
			       img->name, p->p_filesz, p->p_offset, img->size);
	if (p->p_filesz > MAX_NOTES_BYTES)
		return err_set(e, ERR_IMAGE,
			       "%s: damaged: %" PRIu64 " bytes of notes (expected at most %" PRIu64
			       ")",
			       img->name, p->p_filesz, (uint64_t)MAX_NOTES_BYTES);
	end = at + p->p_filesz;
	for (; at < end; at = n.next) {
		if (read_note(&n, img, at, end, align, e) < 0 || take_pvh_note(elf, img, &n, e) < 0)
			return e->code;
	}
	return 0;
}

bool elf_has(const struct elf *elf, uint64_t addr)
{
	for (unsigned int i = 0; i < elf->n_segments; i++) {
		if (addr >= elf->segment[i].at &&
		    addr - elf->segment[i].at < elf->segment[i].mem_len)
			return true;
	}
	return false;
}

/*
 * With a PVH entry, e_entry may be anything (a BSD kernel's is virtual), so it is not checked: who
 * enters there asks for a kernel that is known to be Linux.
 */
static int check_entry(const struct elf *elf, const char *name, struct err *e)
{
	uint64_t entry = elf->has_pvh ? elf->pvh_entry : elf->entry;

	if (elf_has(elf, entry))
		return 0;
	return err_set(e, ERR_IMAGE,
		       "%s: its entry point %#" PRIx64 " is in none of its segments (%#" PRIx64
		       "-%#" PRIx64 ", physical)",
		       name, entry, elf->lowest, elf->end);
}

/* Section headers come last. They are not needed: where they are not all there, what is counts. */
static uint64_t file_end(const struct elf *elf, const Elf64_Ehdr *h, uint64_t size)
{
	uint64_t end = h->e_shoff, len = (uint64_t)h->e_shnum * h->e_shentsize;

	end = range_inside(end, len, size) ? end + len : size;
	for (unsigned int i = 0; i < elf->n_segments; i++)
		end = max_u64(end, elf->segment[i].off + elf->segment[i].file_len);
	return end;
}

int elf_parse(struct elf *elf, const struct image *img, uint16_t machine, struct err *e)
{
	Elf64_Phdr ph[MAX_HEADERS];
	const struct elf_segment *last;
	Elf64_Ehdr h;

	memset(elf, 0, sizeof(*elf));
	if (image_read(img, 0, &h, sizeof(h), e) < 0 ||
	    check_header(&h, img->name, machine, e) < 0 ||
	    image_read(img, h.e_phoff, ph, h.e_phnum * sizeof(ph[0]), e) < 0)
		return e->code;
	elf->entry = h.e_entry;
	for (unsigned int i = 0; i < h.e_phnum; i++) {
		if (ph[i].p_type == PT_INTERP)
			return err_set(
				e, ERR_IMAGE,
				"%s: a program for an operating system (expected a bzImage or an "
				"ELF vmlinux)",
				img->name);
		if ((ph[i].p_type == PT_LOAD && add_segment(elf, img, &ph[i], e) < 0) ||
		    (ph[i].p_type == PT_NOTE && scan_notes(elf, img, &ph[i], e) < 0))
			return e->code;
	}
	if (elf->n_segments == 0)
		return err_set(e, ERR_IMAGE, "%s: an ELF with nothing to load", img->name);
	last = &elf->segment[elf->n_segments - 1];
	elf->lowest = elf->segment[0].at;
	elf->end = last->at + last->mem_len;
	elf->file_end = file_end(elf, &h, img->size);
	return check_entry(elf, img->name, e);
}

static int load_segment(const struct elf_segment *s, const struct image *img,
			const struct elf_quiet *quiet, struct gmem *m, gpa_t at, struct err *e)
{
	uint64_t done = 0;

	for (unsigned int i = 0; i < quiet->n; i++) {
		const struct elf_range *r = &quiet->range[i];
		uint64_t from = r->at - s->at;

		if (r->at < s->at || from < done || !range_inside(from, r->len, s->file_len))
			continue; /* another segment's */
		if (image_load(img, s->off + done, from - done, m, at + done, e) < 0 ||
		    image_map(img, s->off + from, r->len, m, at + from, e) < 0)
			return e->code;
		done = from + r->len;
	}
	return image_load(img, s->off + done, s->file_len - done, m, at + done, e);
}

int elf_load(const struct elf *elf, const struct image *img, const struct elf_quiet *quiet,
	     struct gmem *m, uint64_t shift, struct err *e)
{
	for (unsigned int i = 0; i < elf->n_segments; i++) {
		const struct elf_segment *s = &elf->segment[i];
		struct iovec v[GMEM_MAX_REGIONS];
		gpa_t at;

		if (!checked_add_u64(s->at, shift, &at) ||
		    gmem_iov(m, at, s->mem_len, v, GMEM_MAX_REGIONS) < 0)
			return err_set(e, ERR_IMAGE,
				       "%s: its segment at %#" PRIx64 ", %" PRIu64
				       " KiB, is not all in guest RAM (more memory?)",
				       img->name, at, (uint64_t)(s->mem_len / KIB));
		if (load_segment(s, img, quiet, m, at, e) < 0)
			return e->code;
	}
	return 0;
}
