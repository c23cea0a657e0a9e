/*
 * fuzz_elf.c - a vmlinux: what kind of file it is, its headers, PVH note and segments into RAM
 * (src/boot/image.c, src/boot/elf.c).
 */
#include "fuzz.h"
#include <elf.h>
#include <unistd.h>
#include <vmm/boot/elf.h>

#define RAM (4 * MIB)

/* What elf.h promises of a file that was not refused. */
static void check(const struct elf *elf, const struct image *img)
{
	FUZZ_CHECK(elf->n_segments > 0 && elf->n_segments <= ELF_MAX_SEGMENTS);
	for (unsigned int i = 0; i < elf->n_segments; i++) {
		const struct elf_segment *s = &elf->segment[i];

		FUZZ_CHECK(s->off <= img->size && s->file_len <= img->size - s->off);
		FUZZ_CHECK(s->file_len <= s->mem_len && s->mem_len > 0);
		FUZZ_CHECK(s->at >= elf->lowest && s->mem_len <= elf->end - s->at);
		FUZZ_CHECK(i == 0 || s->at - s[-1].at >= s[-1].mem_len);
	}
}

static void load(const struct elf *elf, const struct image *img)
{
	struct gmem *m;
	struct err e;

	VMM_BUG_ON(gmem_create(&m, &e) < 0 || gmem_add_ram(m, 0, RAM, &e) < 0);
	if (elf_load(elf, img, &(struct elf_quiet){ 0 }, m, 0, &e) == 0)
		FUZZ_CHECK(elf->end <= RAM);
	gmem_destroy(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum image_kind kind;
	struct image img;
	struct elf elf;
	struct err e;

	VMM_BUG_ON(image_from_fd(&img, dup(fuzz_file(data, size)), "kernel", &e) < 0);
	VMM_BUG_ON(image_probe(&img, &kind, &e) < 0);
	FUZZ_CHECK(*image_describe(&img));
	if (elf_parse(&elf, &img, EM_X86_64, &e) == 0) {
		check(&elf, &img);
		load(&elf, &img);
	} else {
		FUZZ_CHECK(e.code == ERR_IMAGE && *e.text);
	}
	image_close(&img);
	return 0;
}
