/*
 * kaslr.c - where a kernel that can run anywhere is put, and by how much its addresses are slid.
 *
 * Life of a VM: each time the kernel is copied into RAM: while the machine is built, and at each
 * reset, which draws anew. Main thread. Source: Linux, arch/x86/boot/compressed/kaslr.c: what the
 * decompressor that is left out here would have chosen, from what, and what keeps it from doing so.
 *
 * Two numbers are drawn. The slide is added to virtual addresses; it is a matter of the relocations
 * (relocs.c), and stays below 1 GiB with all of the kernel (KERNEL_IMAGE_SIZE with
 * CONFIG_RANDOMIZE_BASE; behind it are the modules). The shift is added to physical ones, and is a
 * matter of RAM. How far they are free depends on the entry, and was tried with Linux 6.1 and 6.12:
 *
 * - startup_64 computes from where it runs what the difference is (phys_base): any slide, any
 *   shift, each a multiple of 2 MiB. With KASLR_FLAG in boot_params the kernel also chooses other
 *   addresses for the direct map, vmalloc and vmemmap, and for modules.
 * - pvh_start_xen takes all of its physical addresses from the link, which the relocations change
 *   by the slide: it runs where both numbers are the same, and all of it below 1 GiB, which is what
 *   its first page tables map. Nobody gives such a kernel KASLR_FLAG: of all the addresses only
 *   those of its image are other ones, and in a panic it takes KASLR for disabled.
 *
 * So a bzImage with relocations is entered by its 64-bit entry, even if it has a PVH note
 * (kernel.c); a vmlinux that has been taken out of one, and has a note, by PVH.
 *
 * What it costs: a tenth of what loading costs, about 3 ms for the 240000 relocations of a
 * distribution's kernel, nearly all of it cache misses. What it gains besides: where there is no
 * relocation for a long way, there is nothing that a guest writes to, so such stretches of an image
 * in the cache are mapped instead of copied. A vmlinux of the user's is not ours to rely on:
 * copied.
 */
#include "x86.h"
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>
#include <vmm/arch/relocs.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>

#define KERNEL_IMAGE_SIZE GIB
#define MIN_KERNEL_ALIGN (2 * MIB) /* that of the pages which map it */

/* Linux, arch/x86/boot/cmdline.c: what separates words is all up to the space. No quotes. */
static bool is_space(char c)
{
	return (unsigned char)c <= ' ';
}

/* Is there such a word, or, if prefix, one that begins so? */
static bool has_word(const char *cmdline, const char *word, bool prefix)
{
	size_t len = strlen(word);

	for (const char *p = cmdline; (p = strstr(p, word)) != NULL; p++) {
		if ((p == cmdline || is_space(p[-1])) && (prefix || is_space(p[len])))
			return true;
	}
	return false;
}

/* The decompressor keeps the kernel out of memory that these take away. Here it stays low. */
static bool may_move(const char *cmdline)
{
	return !has_word(cmdline, "mem=", true) && !has_word(cmdline, "memmap=", true) &&
	       !has_word(cmdline, "hugepages", true);
}

/* One of the multiples of step, from 0 on, that can be added to end without leaving [0, top). */
static uint64_t draw(uint64_t end, uint64_t top, uint64_t step, uint64_t random)
{
	return end <= top ? random % ((top - end) / step + 1) * step : 0;
}

static uint64_t alignment(const struct kernel *k)
{
	return k->has_bz ? max_u64(k->bz.kernel_alignment, MIN_KERNEL_ALIGN) : MIN_KERNEL_ALIGN;
}

void kaslr_choose(struct boot_layout *l, const struct arch_boot *b, const uint64_t random[2])
{
	const struct kernel *k = b->kernel;
	uint64_t step = alignment(k), end = k->elf.end;
	bool moves = may_move(b->cmdline);

	if (k->how == KERNEL_PVH) {
		end = draw(end, min_u64(l->room_end, KERNEL_IMAGE_SIZE), step, random[0]);
		l->slide = l->shift = moves ? end : 0;
		return;
	}
	l->slide = draw(end, KERNEL_IMAGE_SIZE, step, random[0]);
	l->shift = moves ? draw(end, l->room_end, step, random[1]) : 0;
}

bool kaslr_can(const struct kernel *k)
{
	const struct image *img = arch_kernel_unpacked(k);

	return img && (!k->has_bz || k->bz.relocatable) && relocs_exist(&k->elf, img);
}

/* What is wrong is told once, and not tried again at a reset. */
static int prepare(struct relocs *r, struct boot_layout *l, struct arch_boot *b, struct err *e)
{
	const struct kernel *k = b->kernel;
	uint64_t random[2];

	/* A host that has just started may have no randomness yet; we do not wait for it. */
	if (getrandom(random, sizeof(random), GRND_NONBLOCK) != (ssize_t)sizeof(random))
		return err_errno(e, "random numbers");
	if (relocs_read(r, &k->elf, arch_kernel_unpacked(k), e) < 0)
		return e->code;
	kaslr_choose(l, b, random);
	log_info("%s: KASLR: %zu relocations by %#" PRIx64 ", %#" PRIx64 " further up in RAM",
		 k->file.name, relocs_count(r), l->slide, l->shift);
	return 0;
}

int kaslr_load(struct arch_boot *b, struct boot_layout *l, struct gmem *m, struct err *e)
{
	const struct kernel *k = b->kernel;
	struct elf_quiet quiet = { 0 };
	struct relocs r = { 0 };
	struct err why;
	int rc;

	if (!kaslr_can(k)) {
		log_debug("%s: no relocations: no KASLR", k->file.name);
	} else if (!b->no_kaslr && !has_word(b->cmdline, "nokaslr", false)) {
		l->kaslr = prepare(&r, l, b, &why) == 0;
		b->no_kaslr = !l->kaslr;
		if (b->no_kaslr)
			log_warn("%s: no KASLR, it starts where it was linked: %s", k->file.name,
				 why.text);
	}
	if (l->kaslr && arch_kernel_unpacked(k) == &k->unpacked)
		relocs_find_quiet(&r, &k->elf, &quiet);
	rc = elf_load(&k->elf, arch_kernel_unpacked(k), &quiet, m, l->shift, e);
	if (rc == 0 && l->slide != 0)
		relocs_apply(&r, &k->elf, m, l->shift, l->slide);
	relocs_free(&r);
	return rc;
}
