/*
 * bzimage.c - reads the real-mode kernel header of a Linux x86 bzImage and believes none of it.
 *
 * Life of a VM: while the machine is built; main thread. Source: Linux,
 * Documentation/arch/x86/boot.rst, sections "The Real-Mode Kernel Header" and "Details of Header
 * Fields"; the names of the offsets are the specification's. The file is: setup code (setup_sects +
 * 1 sectors), the protected-mode part, and perhaps a signature. The payload, the compressed
 * vmlinux, lies within the protected-mode part.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <vmm/arch/bzimage.h>
#include <vmm/base/bytes.h>
#include <vmm/base/checked.h>
#include <vmm/base/util.h>

#define SECTOR 512
#define HEADER_START 0x1f1 /* the first field, setup_sects */
#define HEADER_MIN_END 0x268 /* the end of handover_offset: what every protocol 2.12 header has */
#define PROTOCOL_MIN 0x020c
#define SIZE_MAX_SANE (1 * GIB) /* no kernel is larger, packed or unpacked */

enum {
	SETUP_SECTS = 0x1f1,
	SYSSIZE = 0x1f4, /* in units of 16 bytes */
	BOOT_FLAG = 0x1fe,
	JUMP = 0x200, /* eb, then its distance: the header ends where it goes */
	HEADER = 0x202,
	VERSION = 0x206,
	KERNEL_VERSION = 0x20e, /* 0, or the place of a string, less 0x200 */
	INITRD_ADDR_MAX = 0x22c,
	KERNEL_ALIGNMENT = 0x230,
	RELOCATABLE_KERNEL = 0x234,
	XLOADFLAGS = 0x236,
	CMDLINE_SIZE = 0x238,
	PAYLOAD_OFFSET = 0x248, /* from the start of the protected-mode part */
	PAYLOAD_LENGTH = 0x24c,
	PREF_ADDRESS = 0x258,
	INIT_SIZE = 0x260,
};

/* Fields, by the specification's offsets. */
static uint32_t field32(const struct bzimage *bz, unsigned int at)
{
	return load_le32(bz->header + (at - HEADER_START));
}

static uint16_t field16(const struct bzimage *bz, unsigned int at)
{
	return load_le16(bz->header + (at - HEADER_START));
}

static uint8_t field8(const struct bzimage *bz, unsigned int at)
{
	return bz->header[at - HEADER_START];
}

static int read_header(struct bzimage *bz, const struct image *img, struct err *e)
{
	unsigned int end;

	if (image_read(img, HEADER_START, bz->header, sizeof(bz->header), e) < 0)
		return e->code;
	if (field16(bz, BOOT_FLAG) != 0xaa55 ||
	    memcmp(bz->header + (HEADER - HEADER_START), "HdrS", 4) != 0)
		return err_set(e, ERR_IMAGE, "%s: not a bzImage (its signatures are missing)",
			       img->name);
	bz->version = field16(bz, VERSION);
	if (bz->version < PROTOCOL_MIN)
		return err_set(
			e, ERR_IMAGE,
			"%s: boot protocol %u.%02u is too old (expected 2.12, Linux 3.8, or later)",
			img->name, bz->version >> 8, bz->version & 0xff);
	end = HEADER + field8(bz, JUMP + 1);
	if (field8(bz, JUMP) != 0xeb || end < HEADER_MIN_END)
		return err_set(e, ERR_IMAGE, "%s: damaged: the setup header has no proper end",
			       img->name);
	bz->header_len = (uint16_t)min_size(end - HEADER_START, sizeof(bz->header));
	memset(bz->header + bz->header_len, 0, sizeof(bz->header) - bz->header_len);
	return 0;
}

/* How the file divides into setup and protected-mode part, and that it is all there. */
static int check_parts(struct bzimage *bz, const struct image *img, struct err *e)
{
	uint64_t need = (uint64_t)field32(bz, SYSSIZE) * 16;
	unsigned int sects = field8(bz, SETUP_SECTS);

	bz->setup_len = ((sects ? sects : 4) + 1ull) * SECTOR; /* boot.rst: 0 means 4 */
	need += bz->setup_len;
	if (img->size < need || img->size <= bz->setup_len)
		return err_set(e, ERR_IMAGE,
			       "%s: truncated: the file has %" PRIu64
			       " bytes, but its header tells of %" PRIu64,
			       img->name, img->size, max_u64(need, bz->setup_len + 1));
	bz->pm_len = img->size - bz->setup_len;
	return 0;
}

/*
 * The payload's last four bytes are its unpacked size: gzip ends so by itself, and for the others
 * the kernel build appends it (scripts/Makefile.lib, size_append).
 */
static int read_unpacked_len(struct bzimage *bz, const struct image *img, struct err *e)
{
	uint8_t tail[4];

	if (bz->payload_len <= sizeof(tail))
		return err_set(e, ERR_IMAGE, "%s: damaged: a payload of %" PRIu64 " bytes",
			       img->name, bz->payload_len);
	if (image_read(img, bz->payload_off + bz->payload_len - sizeof(tail), tail, sizeof(tail),
		       e) < 0)
		return e->code;
	bz->unpacked_len = load_le32(tail);
	if (bz->compression != COMPRESSION_GZIP)
		bz->payload_len -= sizeof(tail);
	if (bz->unpacked_len == 0 || bz->unpacked_len > SIZE_MAX_SANE)
		return err_set(e, ERR_IMAGE,
			       "%s: damaged: the kernel in it is said to unpack to %" PRIu64
			       " bytes",
			       img->name, bz->unpacked_len);
	return 0;
}

static int read_payload(struct bzimage *bz, const struct image *img, struct err *e)
{
	uint64_t off = field32(bz, PAYLOAD_OFFSET);
	uint8_t magic[8];
	size_t n_magic;

	bz->compression = COMPRESSION_UNKNOWN;
	bz->payload_len = field32(bz, PAYLOAD_LENGTH);
	if (bz->payload_len == 0) /* not Linux, but made to be booted like it */
		return 0;
	bz->payload_off = bz->setup_len + off;
	if (!range_inside(off, bz->payload_len, bz->pm_len))
		return err_set(e, ERR_IMAGE,
			       "%s: damaged: a payload of %" PRIu64 " bytes at offset %" PRIu64
			       " does not fit into a file of %" PRIu64,
			       img->name, bz->payload_len, bz->payload_off, img->size);
	if (bz->payload_len > SIZE_MAX_SANE)
		return err_set(e, ERR_IMAGE, "%s: damaged: a payload of %" PRIu64 " bytes",
			       img->name, bz->payload_len);
	n_magic = min_size(sizeof(magic), bz->payload_len);
	if (image_read(img, bz->payload_off, magic, n_magic, e) < 0)
		return e->code;
	bz->compression = compression_probe(magic, n_magic);
	if (bz->compression == COMPRESSION_UNKNOWN)
		return 0;
	if (bz->compression != COMPRESSION_NONE)
		return read_unpacked_len(bz, img, e);
	bz->unpacked_len = bz->payload_len;
	return 0;
}

/* Where the kernel wants to be. Whether that is RAM, the boot code sees: here only that it can be.
 */
static int read_placement(struct bzimage *bz, const struct image *img, struct err *e)
{
	uint64_t end;

	bz->init_size = field32(bz, INIT_SIZE);
	bz->kernel_alignment = field32(bz, KERNEL_ALIGNMENT);
	bz->pref_address = field32(bz, PREF_ADDRESS) | (uint64_t)field32(bz, PREF_ADDRESS + 4)
							       << 32;
	bz->cmdline_size = field32(bz, CMDLINE_SIZE);
	bz->initrd_addr_max = field32(bz, INITRD_ADDR_MAX);
	bz->xloadflags = field16(bz, XLOADFLAGS);
	bz->relocatable = field8(bz, RELOCATABLE_KERNEL) != 0;
	if (!checked_add_u64(bz->pref_address, max_u64(bz->init_size, bz->pm_len), &end))
		return err_set(e, ERR_IMAGE,
			       "%s: damaged: its address %#" PRIx64 " is out of range", img->name,
			       bz->pref_address);
	if (bz->relocatable &&
	    (bz->kernel_alignment == 0 || (bz->kernel_alignment & (bz->kernel_alignment - 1)) != 0))
		return err_set(e, ERR_IMAGE, "%s: damaged: an alignment of %#" PRIx32, img->name,
			       bz->kernel_alignment);
	return 0;
}

/* Only for people to read: a bad pointer gives an empty string, odd bytes become '?'. */
static int read_release(struct bzimage *bz, const struct image *img, struct err *e)
{
	uint64_t at = field16(bz, KERNEL_VERSION) + 0x200ull;
	size_t len;

	if (at == 0x200 || at >= bz->setup_len)
		return 0;
	len = min_size(sizeof(bz->release) - 1, bz->setup_len - at);
	if (image_read(img, at, bz->release, len, e) < 0)
		return e->code;
	for (char *p = bz->release; *p; p++) {
		if (*p < ' ' || *p > '~')
			*p = '?';
	}
	return 0;
}

int bzimage_parse(struct bzimage *bz, const struct image *img, struct err *e)
{
	memset(bz, 0, sizeof(*bz));
	if (read_header(bz, img, e) < 0 || check_parts(bz, img, e) < 0 ||
	    read_payload(bz, img, e) < 0 || read_placement(bz, img, e) < 0 ||
	    read_release(bz, img, e) < 0)
		return e->code;
	return 0;
}
