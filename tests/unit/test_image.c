/*
 * test_image.c - src/boot/image.c: opening, reading, loading and telling files apart.
 */
#include "unit.h"
#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vmm/base/util.h>
#include <vmm/boot/image.h>

/* An open image with these bytes in it. */
static struct image image_of(const void *data, size_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC);
	struct image img;
	struct err e;

	ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
	ck_ok(image_from_fd(&img, fd, "a.img", &e));
	ck_assert_uint_eq(img.size, len);
	return img;
}

static enum image_kind kind_of(const void *data, size_t len)
{
	struct image img = image_of(data, len);
	enum image_kind kind;
	struct err e;

	ck_ok(image_probe(&img, &kind, &e));
	image_close(&img);
	return kind;
}

START_TEST(a_file_is_opened_by_its_path_and_closed_once)
{
	char path[] = "/tmp/vmm-test-image.XXXXXX";
	int fd = mkstemp(path);
	struct image img;
	struct err e;

	ck_assert_int_eq(write(fd, "hello", 5), 5);
	close(fd);
	ck_ok(image_open(&img, path, &e));
	ck_assert_uint_eq(img.size, 5);
	ck_assert_str_eq(img.name, path);
	image_close(&img);
	ck_assert_int_eq(img.fd, -1);
	image_close(&img);
	img = (struct image){ 0 };
	image_close(&img);
	unlink(path);
}
END_TEST

START_TEST(a_file_that_cannot_be_opened_is_named)
{
	struct image img;
	struct err e;

	ck_fails(image_open(&img, "/nonexistent/a.img", &e), -ENOENT,
		 "/nonexistent/a.img: No such");
	ck_assert_int_eq(img.fd, -1);
}
END_TEST

START_TEST(only_regular_files_are_images)
{
	char path[] = "/tmp/vmm-test-image.XXXXXX", fifo[sizeof(path) + 8];
	struct image img;
	struct err e;

	ck_assert_ptr_nonnull(mkdtemp(path));
	snprintf(fifo, sizeof(fifo), "%s/fifo", path);
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	ck_fails(image_open(&img, path, &e), ERR_IMAGE, "a directory");
	ck_fails(image_open(&img, fifo, &e), ERR_IMAGE, "a pipe");
	ck_fails(image_open(&img, "/dev/zero", &e), ERR_IMAGE, "a device");
	ck_assert_int_eq(img.fd, -1);
	unlink(fifo);
	rmdir(path);
}
END_TEST

START_TEST(a_name_is_fit_for_a_terminal_and_keeps_its_end)
{
	struct image img;
	char path[600];
	struct err e;

	memset(path, 'x', sizeof(path));
	memcpy(path + sizeof(path) - 10, "/\033[2J.img", 10);
	ck_fails(image_open(&img, path, &e), -ENAMETOOLONG, "/?[2J.img: ");
	ck_assert_uint_eq(strlen(img.name), sizeof(img.name) - 1);
	ck_assert_mem_eq(img.name, "...x", 4);
}
END_TEST

START_TEST(a_read_beyond_the_end_is_refused)
{
	static const struct {
		uint64_t off;
		size_t len;
	} bad[] = { { 0, 11 },        { 10, 1 },         { 11, 0 },
		    { 5, SIZE_MAX },  { UINT64_MAX, 1 }, { UINT64_MAX, SIZE_MAX },
		    { 1ull << 63, 4 } };
	struct image img = image_of("0123456789", 10);
	char b[16];
	struct err e;

	ck_ok(image_read(&img, 3, b, 7, &e));
	ck_assert_mem_eq(b, "3456789", 7);
	ck_ok(image_read(&img, 10, b, 0, &e));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_fails(image_read(&img, bad[i].off, b, bad[i].len, &e), ERR_IMAGE,
			 "a.img: truncated: ");
	image_close(&img);
}
END_TEST

START_TEST(a_file_that_shrinks_gives_an_error_not_a_signal)
{
	struct image img = image_of("0123456789", 10);
	enum image_kind kind;
	char b[16];
	struct err e;

	ck_assert_int_eq(ftruncate(img.fd, 4), 0);
	ck_fails(image_read(&img, 0, b, 10, &e), ERR_IMAGE, "shrank");
	ck_fails(image_probe(&img, &kind, &e), ERR_IMAGE, "shrank");
	ck_assert_str_eq(image_describe(&img), "a file that cannot be read");
	image_close(&img);
}
END_TEST

/* Two regions with nothing between them, and a hole above. */
static struct gmem *make_ram(void)
{
	struct gmem *m;
	struct err e;

	ck_ok(gmem_create(&m, &e));
	ck_ok(gmem_add_ram(m, 0x10000, 0x1000, &e));
	ck_ok(gmem_add_ram(m, 0x11000, 0x1000, &e));
	return m;
}

START_TEST(a_load_may_cross_regions_but_not_leave_ram)
{
	struct gmem *m = make_ram();
	uint8_t data[0x2001], back[0x2000];
	struct image img;
	struct err e;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 256);
	img = image_of(data, sizeof(data));
	ck_ok(image_load(&img, 1, 0x2000, m, 0x10000, &e));
	ck_assert(gmem_read(m, 0x10000, back, sizeof(back)));
	ck_assert_mem_eq(back, data + 1, sizeof(back));
	ck_ok(image_load(&img, 0, 0, m, 0x10000, &e));
	ck_fails(image_load(&img, 0, 0x2001, m, 0x10000, &e), ERR_IMAGE, "not enough RAM");
	ck_fails(image_load(&img, 0, 2, m, 0xffff, &e), ERR_IMAGE, "0xffff, where");
	ck_fails(image_load(&img, 0, 2, m, UINT64_MAX, &e), ERR_IMAGE, "not enough RAM");
	ck_fails(image_load(&img, 0, 0x2002, m, 0x10000, &e), ERR_IMAGE, "truncated");
	ck_fails(image_load(&img, 2, UINT64_MAX, m, 0x10000, &e), ERR_IMAGE, "truncated");
	ck_assert(gmem_read(m, 0x10000, back, sizeof(back)));
	ck_assert_mem_eq(back, data + 1, sizeof(back));
	image_close(&img);
	gmem_destroy(m);
}
END_TEST

#define BLOCK (64 * KIB)

/* Blocks: 'a', a hole of two, 'b', a small hole and 'c', a hole at the end. */
static struct image image_with_holes(void)
{
	struct image img = image_of("", 0);
	uint8_t b[BLOCK];

	memset(b, 'a', BLOCK);
	ck_assert_int_eq(pwrite(img.fd, b, BLOCK, 0), BLOCK);
	memset(b, 'b', BLOCK);
	ck_assert_int_eq(pwrite(img.fd, b, BLOCK, 3 * BLOCK), BLOCK);
	memset(b, 'c', BLOCK);
	ck_assert_int_eq(pwrite(img.fd, b, BLOCK / 2, 4 * BLOCK + BLOCK / 2), BLOCK / 2);
	ck_assert_int_eq(ftruncate(img.fd, 6 * BLOCK), 0);
	img.size = 6 * BLOCK;
	image_find_holes(&img);
	return img;
}

/* Bytes of RAM, which was full of 'x', after a load of [off, off + len) of the file. */
static void ck_loads(const struct image *img, uint64_t off, uint64_t len, const char *blocks)
{
	uint8_t b[BLOCK / 2], want[BLOCK / 2];
	struct gmem *m;
	struct err e;

	ck_ok(gmem_create(&m, &e));
	ck_ok(gmem_add_ram(m, 0, 6 * BLOCK, &e));
	memset(b, 'x', sizeof(b));
	for (uint64_t at = 0; at < 6 * BLOCK; at += sizeof(b))
		ck_assert(gmem_write(m, at, b, sizeof(b)));
	ck_ok(image_load(img, off, len, m, 0, &e));
	for (uint64_t at = 0; *blocks; at += sizeof(b)) {
		memset(want, *blocks == '0' ? 0 : *blocks, sizeof(want));
		ck_assert(gmem_read(m, at, b, sizeof(b)));
		ck_assert_mem_eq(b, want, sizeof(b));
		blocks++;
	}
	gmem_destroy(m);
}

START_TEST(a_load_leaves_out_the_holes_that_were_found)
{
	struct image img = image_with_holes();
	struct gmem *m = make_ram();
	struct err e;

	ck_assert_uint_eq(img.n_holes, 2);
	ck_assert_uint_eq(img.hole[0].off, BLOCK);
	ck_assert_uint_eq(img.hole[0].len, 2 * BLOCK);
	ck_assert_uint_eq(img.hole[1].off, 5 * BLOCK);
	ck_assert_uint_eq(img.hole[1].len, BLOCK);
	ck_loads(&img, 0, 6 * BLOCK, "aaxxxxbb0cxx");
	ck_loads(&img, BLOCK / 2, 2 * BLOCK, "axxxxxxxxxxx");
	ck_loads(&img, 2 * BLOCK, 2 * BLOCK, "xxbbxxxxxxxx");
	ck_loads(&img, 3 * BLOCK / 2, BLOCK / 2, "xxxxxxxxxxxx");
	ck_fails(image_load(&img, BLOCK, BLOCK, m, 0x10000, &e), ERR_IMAGE, "not enough RAM");
	img.n_holes = 0;
	ck_loads(&img, 0, 6 * BLOCK, "aa0000bb0c00");
	gmem_destroy(m);
	image_close(&img);
}
END_TEST

START_TEST(no_more_holes_are_noted_than_there_is_room_for)
{
	struct image img = image_of("", 0);
	uint64_t n = 2 * IMAGE_MAX_HOLES;

	for (uint64_t i = 1; i <= n; i++)
		ck_assert_int_eq(pwrite(img.fd, "a", 1, (off_t)(2 * i * BLOCK)), 1);
	img.size = 2 * n * BLOCK + 1;
	image_find_holes(&img);
	ck_assert_uint_eq(img.n_holes, IMAGE_MAX_HOLES);
	image_close(&img);
	image_find_holes(&img); /* it cannot be asked */
	ck_assert_uint_eq(img.n_holes, 0);
}
END_TEST

START_TEST(kinds_are_told_by_content_and_short_files_are_unknown)
{
	uint8_t b[0x300] = { 0 };

	ck_assert_int_eq(kind_of("", 0), IMAGE_UNKNOWN);
	ck_assert_int_eq(kind_of("\177EL", 3), IMAGE_UNKNOWN);
	ck_assert_int_eq(kind_of("\177ELF", 4), IMAGE_ELF);
	ck_assert_int_eq(kind_of(b, sizeof(b)), IMAGE_UNKNOWN);
	memcpy(b + 0x202, "HdrS", 4);
	ck_assert_int_eq(kind_of(b, sizeof(b)), IMAGE_BZIMAGE);
	ck_assert_int_eq(kind_of(b, 0x206), IMAGE_BZIMAGE);
	ck_assert_int_eq(kind_of(b, 0x205), IMAGE_UNKNOWN);
}
END_TEST

START_TEST(an_unknown_file_is_described_in_plain_words)
{
	static const struct {
		size_t at;
		const char *magic;
		size_t magic_len, len;
		const char *what;
	} rows[] = {
		{ 0, "", 0, 0, "an empty file" },
		{ 0, "#include <stdio.h>\n", 19, 19, "text" },
		{ 0, "#!/bin/sh\n", 10, 10, "a script" },
		{ 0, "gr\xc3\xbc\xc3\x9f", 6, 6, "text" },
		{ 0, "\x01\x02\x03", 3, 3, "data of no known format" },
		{ 0, "", 0, 4096, "nothing but zeroes" },
		{ 0, "\x1f\x8b\x08", 3, 100, "a gzip file" },
		{ 0, "\3757zXZ\0", 6, 100, "an xz file" },
		{ 0, "\x28\xb5\x2f\xfd", 4, 4, "a zstd file" },
		{ 0, "070701", 6, 110, "a cpio archive (an initramfs?)" },
		{ 0, "QFI\xfb", 4, 512, "a qcow2 disk image" },
		{ 0x38, "ARM\x64", 4, 64, "a Linux image for arm64" },
		{ 0x8001, "CD001", 5, 0x9000, "a CD image (ISO 9660)" },
		{ 0x8001, "CD001", 5, 0x8006, "a CD image (ISO 9660)" },
		{ 0x1fe, "\x55\xaa", 2, 512, "a disk image with a boot sector" },
		{ 0x200, "EFI PART", 8, 4096, "a disk image with a GPT" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint8_t b[0x9000] = { 0 };
		struct image img;

		memcpy(b + rows[i].at, rows[i].magic, rows[i].magic_len);
		img = image_of(b, rows[i].len);
		ck_assert_str_eq(image_describe(&img), rows[i].what);
		image_close(&img);
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("image");

	UNIT_TEST(s, a_file_is_opened_by_its_path_and_closed_once);
	UNIT_TEST(s, a_file_that_cannot_be_opened_is_named);
	UNIT_TEST(s, only_regular_files_are_images);
	UNIT_TEST(s, a_name_is_fit_for_a_terminal_and_keeps_its_end);
	UNIT_TEST(s, a_read_beyond_the_end_is_refused);
	UNIT_TEST(s, a_file_that_shrinks_gives_an_error_not_a_signal);
	UNIT_TEST(s, a_load_may_cross_regions_but_not_leave_ram);
	UNIT_TEST(s, a_load_leaves_out_the_holes_that_were_found);
	UNIT_TEST(s, no_more_holes_are_noted_than_there_is_room_for);
	UNIT_TEST(s, kinds_are_told_by_content_and_short_files_are_unknown);
	UNIT_TEST(s, an_unknown_file_is_described_in_plain_words);
	return s;
}

UNIT_MAIN("image", make_suite)
