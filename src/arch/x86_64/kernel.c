/*
 * kernel.c - from a file name to a kernel in RAM: recognise, unpack, choose the entry, place.
 *
 * Life of a VM: the file is opened first of all, while there is leave to open files; it is looked
 * at and unpacked by arch_kernel_read(), in the jail, because a stranger may have made it; it is
 * copied into RAM at each start and reset. Main thread. Source: Linux,
 * Documentation/arch/x86/boot.rst.
 *
 * A bzImage holds a small decompressor and the real kernel, compressed. Running the decompressor in
 * the guest costs 40 to 70 ms at each boot; unpacking here costs less, and nothing at all from the
 * second time on (boot/kernel_cache.c). That decompressor is also what randomises the kernel's
 * addresses: kaslr.c does it in its place.
 */
#include "memmap.h"
#include "x86.h"
#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vmm/arch/relocs.h>
#include <vmm/base/checked.h>
#include <vmm/base/log.h>
#include <vmm/boot/decompress.h>
#include <vmm/boot/kernel_cache.h>

#define XLF_KERNEL_64 1u /* boot.rst: the kernel has the 64-bit entry */
#define MAX_BZIMAGE GIB
#define LINUX_CMDLINE_MAX 2047u /* COMMAND_LINE_SIZE on x86, without the NUL */

/*
 * Not "115200n8r": flow control by the console itself costs it a third exit for each byte that the
 * kernel prints. panic=-1: a panic ends the VM now, and reboot=acpi makes that one write to a port.
 * The self-tests of the kernel's ciphers take half of its start.
 */
#define DEFAULT_CMDLINE "console=ttyS0,115200 panic=-1 reboot=acpi cryptomgr.notests"

const char *arch_default_cmdline(const struct cpu_topology *t)
{
	/* KVM's I/O APIC has 8 bits for a destination: past them, its interrupts stay on the first
	 * CPU. */
	if (topology_needs_x2apic_ids(t))
		return DEFAULT_CMDLINE " irqaffinity=0";
	return DEFAULT_CMDLINE;
}

static int read_elf(struct kernel *k, struct err *e)
{
	if (elf_parse(&k->elf, arch_kernel_unpacked(k), EM_X86_64, e) < 0)
		return e->code;
	k->how = k->elf.has_pvh ? KERNEL_PVH : KERNEL_64;
	/* By its PVH entry it would be less random: see kaslr.c. */
	if (k->has_bz && elf_has(&k->elf, k->elf.entry) && kaslr_can(k))
		k->how = KERNEL_64;
	return 0;
}

/*
 * All bytes, so that those whose hash is the name in the cache are those that will be unpacked,
 * whoever may write to the file meanwhile.
 */
static int read_bytes(struct kernel *k, struct err *e)
{
	if (k->file.size > MAX_BZIMAGE)
		return err_set(e, ERR_IMAGE, "%s: %" PRIu64 " MiB, larger than any bzImage",
			       k->file.name, k->file.size / MIB);
	k->bytes = malloc(k->file.size);
	if (!k->bytes)
		return err_set(e, -ENOMEM, "%s: out of memory", k->file.name);
	if (image_read(&k->file, 0, k->bytes, k->file.size, e) < 0)
		return e->code;
	k->file.bytes = k->bytes;
	return 0;
}

static int unpack(struct kernel *k, struct err *e)
{
	const struct bzimage *bz = &k->bz;
	struct kernel_cache_payload p;
	int fd = -1;
	bool hit;

	hit = kernel_cache_take(k->cache, bz->unpacked_len, &fd);
	if (!hit) {
		/* An entry was there, so that they were not read, but it is no good. */
		if (!k->bytes && read_bytes(k, e) < 0)
			return e->code;
		/* The file may have changed since. */
		if (!range_inside(bz->payload_off, bz->payload_len, k->file.size))
			return err_set(e, ERR_IMAGE, "%s: truncated: its payload is not all there",
				       k->file.name);
		p = (struct kernel_cache_payload){ k->bytes + bz->payload_off, bz->payload_len,
						   bz->unpacked_len };
		if (kernel_cache_make(k->cache, &fd, &p, e) < 0)
			return err_wrap(e, "%s", k->file.name);
	}
	log_info("%s: unpacked kernel %s", k->file.name, hit ? "from the cache" : "made now");
	if (image_from_fd(&k->unpacked, fd, k->file.name, e) < 0)
		return e->code;
	image_find_holes(&k->unpacked);
	return 0;
}

/* A payload that we cannot unpack is still a kernel that can unpack itself. */
static int read_payload(struct kernel *k, struct err *e)
{
	if (k->bz.compression == COMPRESSION_UNKNOWN) {
		log_info("%s: payload of an unknown kind: the guest unpacks it", k->file.name);
		k->how = KERNEL_BZIMAGE;
		return 0;
	}
	if (unpack(k, e) < 0)
		return e->code;
	return read_elf(k, e);
}

static int read_bzimage(struct kernel *k, struct err *e)
{
	if (bzimage_parse(&k->bz, &k->file, e) < 0)
		return e->code;
	k->has_bz = true;
	if (k->mode == BOOT_COMPRESSED)
		k->how = KERNEL_BZIMAGE;
	else if (read_payload(k, e) < 0)
		return e->code;
	if (k->how == KERNEL_BZIMAGE && !(k->bz.xloadflags & XLF_KERNEL_64))
		return err_set(e, ERR_IMAGE,
			       "%s: a 32-bit kernel (expected one with a 64-bit entry)",
			       k->file.name);
	return 0;
}

static int find_unpacked(struct kernel *k, struct err *e)
{
	kernel_cache_open(&k->cache, k->file.fd);
	if (kernel_cache_found(k->cache))
		return 0;
	if (read_bytes(k, e) < 0)
		return e->code;
	kernel_cache_find(k->cache, k->file.fd, k->bytes, k->file.size);
	return 0;
}

int arch_kernel_open(struct kernel **out, const char *path, enum boot_mode mode, struct err *e)
{
	struct kernel *k = calloc(1, sizeof(*k));
	int rc;

	if (!k)
		return err_set(e, -ENOMEM, "%s: out of memory", path);
	k->mode = mode;
	k->unpacked.fd = -1;
	rc = image_open(&k->file, path, e);
	if (rc == 0)
		rc = image_probe(&k->file, &k->kind, e);
	if (rc == 0 && k->kind == IMAGE_BZIMAGE && mode == BOOT_DIRECT)
		rc = find_unpacked(k, e);
	if (rc < 0)
		arch_kernel_close(k);
	else
		*out = k;
	return rc;
}

int arch_kernel_read(struct kernel *k, struct err *e)
{
	int rc;

	if (k->kind == IMAGE_BZIMAGE)
		rc = read_bzimage(k, e);
	else if (k->kind == IMAGE_ELF)
		rc = read_elf(k, e);
	else
		rc = err_set(e, ERR_IMAGE,
			     "%s: not a kernel: %s (expected a bzImage or an ELF vmlinux)",
			     k->file.name, image_describe(&k->file));
	arch_kernel_forget(k);
	return rc;
}

struct kernel_cache *arch_kernel_cache(const struct kernel *k)
{
	return k->cache;
}

void arch_kernel_forget(struct kernel *k)
{
	free(k->bytes);
	k->bytes = NULL;
	k->file.bytes = NULL;
}

void arch_kernel_close(struct kernel *k)
{
	if (!k)
		return;
	kernel_cache_close(k->cache);
	arch_kernel_forget(k);
	image_close(&k->unpacked);
	image_close(&k->file);
	free(k);
}

const struct image *arch_kernel_unpacked(const struct kernel *k)
{
	if (k->how == KERNEL_BZIMAGE)
		return NULL;
	return k->unpacked.fd >= 0 ? &k->unpacked : &k->file;
}

size_t arch_kernel_cmdline_max(const struct kernel *k)
{
	size_t max = k->has_bz && k->bz.cmdline_size ? k->bz.cmdline_size : LINUX_CMDLINE_MAX;

	return min_size(max, MAP_CMDLINE_MAX - 1);
}

static void describe_kaslr(const struct kernel *k, char *buf, size_t size)
{
	struct relocs r = { 0 };
	struct err e;

	if (k->how == KERNEL_BZIMAGE)
		snprintf(buf, size, "the kernel's own decompressor's affair");
	else if (!kaslr_can(k))
		snprintf(buf, size, "no; it has no relocations");
	else if (relocs_read(&r, &k->elf, arch_kernel_unpacked(k), &e) < 0)
		snprintf(buf, size, "no; %s", e.text);
	else
		snprintf(buf, size, "yes, by %zu relocations%s", relocs_count(&r),
			 k->how == KERNEL_PVH ? "; of its image alone" : "");
	relocs_free(&r);
}

void arch_kernel_describe(const struct kernel *k, char *buf, size_t size)
{
	static const char *const entry[] = {
		[KERNEL_PVH] = "PVH entry (32-bit, by its ELF note)",
		[KERNEL_64] = "64-bit entry of the vmlinux",
		[KERNEL_BZIMAGE] = "64-bit entry of the bzImage; it unpacks itself",
	};
	char what[384], kaslr[640];

	if (k->has_bz)
		snprintf(what, sizeof(what),
			 "bzImage, boot protocol %u.%u, Linux %s\npayload: %s, %" PRIu64
			 " KiB, %" PRIu64 " KiB unpacked; needs %u MiB to start",
			 k->bz.version >> 8, k->bz.version & 0xff, k->bz.release,
			 compression_name(k->bz.compression), k->bz.payload_len / KIB,
			 k->bz.unpacked_len / KIB, (unsigned int)(k->bz.init_size / MIB));
	else
		snprintf(what, sizeof(what), "ELF vmlinux, %u segments", k->elf.n_segments);
	describe_kaslr(k, kaslr, sizeof(kaslr));
	snprintf(buf, size, "%s\nentered by: %s\nKASLR: %s", what, entry[k->how], kaslr);
}

/* Where the kernel will live and grow: nothing else may lie in [*at, *end). */
static void kernel_extent(const struct kernel *k, uint64_t low_ram, gpa_t *at, gpa_t *end)
{
	if (k->how == KERNEL_BZIMAGE) {
		*at = k->bz.pref_address;
		if (*at + k->bz.init_size > low_ram && k->bz.relocatable)
			*at = align_up(MAP_HIGH_RAM, k->bz.kernel_alignment);
		*end = *at + max_u64(k->bz.init_size, k->bz.pm_len);
		return;
	}
	*at = k->elf.lowest;
	*end = k->elf.end; /* its .bss and .brk are in it; init_size is for unpacking in place */
}

int boot_place(struct boot_layout *l, const struct arch_boot *b, const struct gmem *m,
	       struct err *e)
{
	const struct kernel *k = b->kernel;
	uint64_t low = e820_low_ram(m), top = low;
	gpa_t end;

	*l = (struct boot_layout){ .room_end = low };
	kernel_extent(k, low, &l->kernel, &end);
	if (end > low || l->kernel < MAP_HIGH_RAM)
		return err_set(e, ERR_IMAGE,
			       "%s: the kernel wants RAM from %#" PRIx64 " to %#" PRIx64
			       ", the VM has %#llx to %#" PRIx64 ": give it more with --mem",
			       k->file.name, l->kernel, end, MAP_HIGH_RAM, low);
	if (!b->initrd)
		return 0;
	if (k->has_bz && k->bz.initrd_addr_max)
		top = min_u64(top, (uint64_t)k->bz.initrd_addr_max + 1);
	l->initrd_len = b->initrd->size;
	if (top < end || l->initrd_len > top - end)
		return err_set(e, ERR_IMAGE,
			       "%s: %" PRIu64 " MiB do not fit beside the kernel: %" PRIu64
			       " MiB are free: give the VM more RAM with --mem",
			       b->initrd->name, (l->initrd_len + MIB - 1) / MIB,
			       top < end ? 0 : (top - end) / MIB);
	l->initrd = align_down(top - l->initrd_len, 4096);
	if (l->initrd < end)
		return err_set(e, ERR_IMAGE, "%s: does not fit beside the kernel", b->initrd->name);
	l->room_end = l->initrd;
	return 0;
}
