/*
 * image.c - the file that the user wants to boot: opened, read by position, told by its content.
 *
 * Life of a VM: while the machine is built, and at a reset; main thread. The file belongs to
 * somebody else and may change or shrink at any time, so every number is checked against what a
 * read gave, each time. Only a file of ours, in the cache, is also mapped.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vmm/base/bytes.h>
#include <vmm/base/checked.h>
#include <vmm/base/util.h>
#include <vmm/boot/image.h>
#include <vmm/host/fd_stat.h>
#include <vmm/host/path.h>

#define MIN_HOLE ((off_t)(64 * KIB)) /* less is not worth a read of its own */
#define LARGE_PAGE (2 * MIB)
#define MAX_SEEKS 1024 /* an image may be all small holes */
#define HDRS_AT 0x202 /* boot.rst, "header": the signature of a Linux x86 kernel */

/* Messages go to a terminal: no control characters; the end of a path says more than its start. */
static void set_name(struct image *img, const char *name)
{
	size_t len = strlen(name), max = sizeof(img->name) - 1;

	if (len <= max)
		snprintf(img->name, sizeof(img->name), "%s", name);
	else
		snprintf(img->name, sizeof(img->name), "...%s", name + len - (max - 3));
	for (char *p = img->name; *p; p++) {
		if (iscntrl((unsigned char)*p))
			*p = '?';
	}
}

static const char *file_type(mode_t mode)
{
	if (S_ISDIR(mode))
		return "a directory";
	if (S_ISFIFO(mode))
		return "a pipe";
	if (S_ISBLK(mode) || S_ISCHR(mode))
		return "a device";
	return "not a regular file";
}

int image_from_fd(struct image *img, int fd, const char *name, struct err *e)
{
	struct stat st;

	*img = (struct image){ .fd = fd };
	set_name(img, name);
	if (fd_stat(fd, &st) < 0)
		err_errno(e, "%s", img->name);
	else if (!S_ISREG(st.st_mode))
		err_set(e, ERR_IMAGE, "%s: %s (expected a regular file)", img->name,
			file_type(st.st_mode));
	else {
		img->size = (uint64_t)st.st_size;
		return 0;
	}
	image_close(img);
	return e->code;
}

int image_open(struct image *img, const char *path, struct err *e)
{
	/* O_NONBLOCK: a pipe without a writer is refused like any other, not waited for. */
	int fd = path_open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0, e);

	if (fd >= 0)
		return image_from_fd(img, fd, path, e);
	*img = (struct image){ .fd = -1 };
	set_name(img, path);
	return err_wrap(e, "%s", img->name);
}

void image_close(struct image *img)
{
	if (img->fd > 0)
		close(img->fd);
	img->fd = -1;
}

static int truncated(const struct image *img, uint64_t off, uint64_t len, struct err *e)
{
	return err_set(e, ERR_IMAGE,
		       "%s: truncated: %" PRIu64 " bytes expected at offset %" PRIu64
		       ", but the file ends at %" PRIu64,
		       img->name, len, off, img->size);
}

/* What a read gave when it did not give everything: goes on (0) or fails. */
static int check_read(const struct image *img, ssize_t got, struct err *e)
{
	if (got > 0 || (got < 0 && errno == EINTR))
		return 0;
	if (got < 0)
		return err_errno(e, "%s: read", img->name);
	return err_set(e, ERR_IMAGE, "%s: truncated: the file shrank while it was being read",
		       img->name);
}

int image_read(const struct image *img, uint64_t off, void *dst, size_t len, struct err *e)
{
	uint8_t *to = dst;

	if (!range_inside(off, len, img->size))
		return truncated(img, off, len, e);
	if (img->bytes) {
		memcpy(dst, img->bytes + off, len);
		return 0;
	}
	while (len > 0) {
		struct iovec v = { to, len };
		ssize_t got = preadv2(img->fd, &v, 1, (off_t)off, 0);

		if (check_read(img, got, e) < 0)
			return e->code;
		if (got > 0) {
			to += got;
			off += (uint64_t)got;
			len -= (size_t)got;
		}
	}
	return 0;
}

void image_find_holes(struct image *img)
{
	off_t hole, data = 0, end = (off_t)img->size;

	img->n_holes = 0;
	for (int i = 0; i < MAX_SEEKS && img->n_holes < IMAGE_MAX_HOLES; i++) {
		hole = lseek(img->fd, data, SEEK_HOLE);
		if (hole < data || hole >= end)
			return;
		data = lseek(img->fd, hole, SEEK_DATA);
		if (data < 0 && errno != ENXIO)
			return;
		if (data < 0 || data > end)
			data = end; /* there is no more */
		if (data - hole >= MIN_HOLE)
			img->hole[img->n_holes++] =
				(struct image_hole){ (uint64_t)hole, (uint64_t)(data - hole) };
	}
}

/* How many bytes from off on are all in a hole, or all in none. */
static uint64_t piece(const struct image *img, uint64_t off, bool *in_hole)
{
	*in_hole = false;
	for (unsigned int i = 0; i < img->n_holes; i++) {
		const struct image_hole *h = &img->hole[i];

		if (off < h->off)
			return h->off - off;
		*in_hole = off - h->off < h->len;
		if (*in_hole)
			return h->len - (off - h->off);
	}
	return img->size - off;
}

/* Up to len bytes from off on, to `at`. Returns how many; 0: try again; negative: it failed. */
static int64_t load_piece(const struct image *img, uint64_t off, uint64_t len, struct gmem *m,
			  gpa_t at, struct err *e)
{
	struct iovec v[GMEM_MAX_REGIONS];
	bool in_hole;
	ssize_t got;
	int n;

	if (gmem_iov(m, at, len, v, GMEM_MAX_REGIONS) < 0)
		return err_set(e, ERR_IMAGE,
			       "%s: bytes %#" PRIx64 "+%#" PRIx64
			       " of the file belong at guest address %#" PRIx64
			       ", where there is not enough RAM",
			       img->name, off, len, at);
	len = min_u64(len, piece(img, off, &in_hole));
	if (in_hole || len == 0)
		return (int64_t)len;
	n = gmem_iov(m, at, len, v, GMEM_MAX_REGIONS);
	got = preadv2(img->fd, v, n, (off_t)off, 0);
	if (check_read(img, got, e) < 0)
		return e->code;
	return got < 0 ? 0 : got;
}

int image_load(const struct image *img, uint64_t off, uint64_t len, struct gmem *m, gpa_t at,
	       struct err *e)
{
	if (!range_inside(off, len, img->size))
		return truncated(img, off, len, e);
	do {
		int64_t n = load_piece(img, off, len, m, at, e);

		if (n < 0)
			return e->code;
		at += (uint64_t)n;
		off += (uint64_t)n;
		len -= (uint64_t)n;
	} while (len > 0);
	return 0;
}

/* Of [at, at + len), what is to be mapped: the large pages that it fills by half and more. */
static void trim(gpa_t at, uint64_t len, gpa_t *from, gpa_t *to)
{
	gpa_t end = at + len;

	*from = align_up(at, LARGE_PAGE);
	if (*from - at >= IMAGE_MIN_MAP)
		*from = at;
	*to = align_down(end, LARGE_PAGE);
	if (end - *to >= IMAGE_MIN_MAP)
		*to = end;
}

/* All of this is no hole. */
static int map_piece(const struct image *img, uint64_t off, uint64_t len, struct gmem *m, gpa_t at,
		     struct err *e)
{
	gpa_t from, to, end = at + len;
	bool map;

	trim(at, len, &from, &to);
	map = from < to && to - from >= IMAGE_MIN_MAP;
	if (map && !gmem_map_file(m, from, to - from, img->fd, off + (from - at), e)) {
		if (e->code)
			return err_wrap(e, "%s", img->name);
		map = false;
	}
	if (!map)
		from = to = at;
	if (image_load(img, off, from - at, m, at, e) < 0)
		return e->code;
	return image_load(img, off + (to - at), end - to, m, to, e);
}

int image_map(const struct image *img, uint64_t off, uint64_t len, struct gmem *m, gpa_t at,
	      struct err *e)
{
	if (!range_inside(off, len, img->size))
		return truncated(img, off, len, e);
	while (len > 0) {
		bool in_hole;
		uint64_t n = min_u64(len, piece(img, off, &in_hole));

		if ((in_hole ? image_load : map_piece)(img, off, n, m, at, e) < 0)
			return e->code;
		at += n;
		off += n;
		len -= n;
	}
	return 0;
}

int image_probe(const struct image *img, enum image_kind *kind, struct err *e)
{
	uint8_t b[HDRS_AT + 4];
	size_t len = min_size(sizeof(b), img->size);

	*kind = IMAGE_UNKNOWN;
	if (image_read(img, 0, b, len, e) < 0)
		return e->code;
	if (len >= 4 && memcmp(b, "\177ELF", 4) == 0)
		*kind = IMAGE_ELF;
	else if (len == sizeof(b) && memcmp(b + HDRS_AT, "HdrS", 4) == 0)
		*kind = IMAGE_BZIMAGE;
	return 0;
}

/* What people hand to a hypervisor when it is not a kernel. The first row that fits is taken. */
static const struct {
	uint16_t at;
	uint8_t len;
	const char *magic;
	const char *what;
} known[] = {
	{ 0, 4, "\177ELF", "an ELF file" },
	{ 0x202, 4, "HdrS", "a bzImage" },
	{ 0x38, 4, "ARM\x64", "a Linux image for arm64" },
	{ 0x30, 4, "RISC", "a Linux image for RISC-V" },
	{ 4, 4, "zimg", "an EFI zboot kernel" },
	{ 0, 2, "\x1f\x8b", "a gzip file" },
	{ 0, 3, "BZh", "a bzip2 file" },
	{ 0, 6, "\3757zXZ\0", "an xz file" },
	{ 0, 3, "\x5d\0\0", "an lzma file" },
	{ 0, 4, "\x02\x21\x4c\x18", "an lz4 file" },
	{ 0, 4, "\x04\x22\x4d\x18", "an lz4 file" },
	{ 0, 4, "\x28\xb5\x2f\xfd", "a zstd file" },
	{ 0, 4, "\x89LZO", "an lzop file" },
	{ 0, 5, "07070", "a cpio archive (an initramfs?)" },
	{ 0, 4, "\x27\x05\x19\x56", "a U-Boot image" },
	{ 0, 4, "\xd0\x0d\xfe\xed", "a device tree or FIT image" },
	{ 0, 8, "ANDROID!", "an Android boot image" },
	{ 0, 4, "QFI\xfb", "a qcow2 disk image" },
	{ 0, 8, "vhdxfile", "a VHDX disk image" },
	{ 0, 4, "KDMV", "a VMDK disk image" },
	{ 0, 4, "hsqs", "a squashfs image" },
	{ 0x8001, 5, "CD001", "a CD image (ISO 9660)" },
	{ 0, 2, "PK", "a zip file" },
	{ 0x101, 5, "ustar", "a tar archive" },
	{ 0x200, 8, "EFI PART", "a disk image with a GPT" },
	{ 0, 2, "MZ", "an EFI or Windows program" },
	{ 0x438, 2, "\x53\xef", "an ext4 file system" },
	{ 0, 2, "#!", "a script" },
	{ 0x1fe, 2, "\x55\xaa", "a disk image with a boot sector" },
};

/* ASCII and UTF-8 alike: no control characters but those of plain text. */
static bool is_text(const uint8_t *b, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (b[i] == 0x7f || (b[i] < 0x20 && !memchr("\t\n\v\f\r\033", b[i], 6)))
			return false;
	}
	return true;
}

const char *image_describe(const struct image *img)
{
	uint8_t b[0x8006]; /* the last byte that a row of known[] looks at */
	size_t len = min_size(sizeof(b), img->size);
	struct err e;

	if (image_read(img, 0, b, len, &e) < 0)
		return "a file that cannot be read";
	if (len == 0)
		return "an empty file";
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (range_inside(known[i].at, known[i].len, len) &&
		    memcmp(b + known[i].at, known[i].magic, known[i].len) == 0)
			return known[i].what;
	}
	if (is_text(b, len))
		return "text";
	return bytes_are_zero(b, len) ? "nothing but zeroes" : "data of no known format";
}
