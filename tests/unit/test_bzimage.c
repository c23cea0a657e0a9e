/*
 * test_bzimage.c - src/arch/x86_64/bzimage.c: a small bzImage, and everything that can be wrong in
 * it.
 *
 * Each test starts from make_bzimage(): 3 setup sectors, a protected-mode part of PM_LEN bytes with
 * a payload in it, and a few bytes behind that, as a signature would be.
 */
#include "unit.h"
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vmm/arch/bzimage.h>
#include <vmm/base/bytes.h>
#include <vmm/base/util.h>

#define SETUP_LEN UINT64_C(2048) /* 3 sectors and the first */
#define PM_LEN 0x8000
#define TAIL_LEN 100
#define FILE_LEN (SETUP_LEN + PM_LEN + TAIL_LEN)
#define PAYLOAD_OFF 0x300 /* in the protected-mode part */
#define PAYLOAD_LEN 0x7001
#define PAYLOAD (SETUP_LEN + PAYLOAD_OFF)
#define RELEASE_AT 0x400

static void make_bzimage(uint8_t *f)
{
	memset(f, 0, FILE_LEN);
	for (size_t i = SETUP_LEN; i < FILE_LEN; i++)
		f[i] = (uint8_t)(i * 5);
	memcpy(f, "MZ", 2);
	f[0x1f1] = 3;
	store_le32(f + 0x1f4, PM_LEN / 16);
	store_le16(f + 0x1fe, 0xaa55);
	store_le16(f + 0x200, 0x6aeb); /* jmp to 0x26c */
	memcpy(f + 0x202, "HdrS", 4);
	store_le16(f + 0x206, 0x020f);
	store_le16(f + 0x20e, RELEASE_AT - 0x200);
	store_le32(f + 0x22c, 0x7fffffff);
	store_le32(f + 0x230, 0x200000);
	f[0x234] = 1;
	store_le16(f + 0x236, 0x003f);
	store_le32(f + 0x238, 2047);
	store_le32(f + 0x248, PAYLOAD_OFF);
	store_le32(f + 0x24c, PAYLOAD_LEN);
	store_le64(f + 0x258, 0x1000000);
	store_le32(f + 0x260, 0x3000000);
	memcpy(f + 0x26c, "code", 4); /* behind the header */
	snprintf((char *)f + RELEASE_AT, 64, "6.1.0-test (me@here) #1 SMP");
	memcpy(f + PAYLOAD, "\x28\xb5\x2f\xfd", 4);
	store_le32(f + PAYLOAD + PAYLOAD_LEN - 4, 50000000);
}

static int parse_cut(struct bzimage *bz, const uint8_t *f, size_t len, struct err *e)
{
	int fd = memfd_create("test", MFD_CLOEXEC), rc;
	struct image img;

	ck_assert_int_eq(write(fd, f, len), (ssize_t)len);
	ck_assert_int_eq(image_from_fd(&img, fd, "vmlinuz", e), 0);
	rc = bzimage_parse(bz, &img, e);
	image_close(&img);
	return rc;
}

static int parse(struct bzimage *bz, const uint8_t *f, struct err *e)
{
	return parse_cut(bz, f, FILE_LEN, e);
}

START_TEST(a_good_header_is_read)
{
	uint8_t f[FILE_LEN];
	struct bzimage bz;
	struct err e;

	make_bzimage(f);
	ck_ok(parse(&bz, f, &e));
	ck_assert_uint_eq(bz.version, 0x20f);
	ck_assert_uint_eq(bz.setup_len, SETUP_LEN);
	ck_assert_uint_eq(bz.pm_len, PM_LEN + TAIL_LEN);
	ck_assert_uint_eq(bz.payload_off, PAYLOAD);
	ck_assert_uint_eq(bz.payload_len, PAYLOAD_LEN - 4);
	ck_assert_int_eq(bz.compression, COMPRESSION_ZSTD);
	ck_assert_uint_eq(bz.unpacked_len, 50000000);
	ck_assert_uint_eq(bz.init_size, 0x3000000);
	ck_assert_uint_eq(bz.kernel_alignment, 0x200000);
	ck_assert_uint_eq(bz.pref_address, 0x1000000);
	ck_assert_uint_eq(bz.cmdline_size, 2047);
	ck_assert_uint_eq(bz.initrd_addr_max, 0x7fffffff);
	ck_assert_uint_eq(bz.xloadflags, 0x3f);
	ck_assert(bz.relocatable);
	ck_assert_str_eq(bz.release, "6.1.0-test (me@here) #1 SMP");
}
END_TEST

START_TEST(the_header_ends_where_its_jump_goes_and_is_zero_behind)
{
	uint8_t f[FILE_LEN];
	struct bzimage bz;
	struct err e;

	make_bzimage(f);
	ck_ok(parse(&bz, f, &e));
	ck_assert_uint_eq(bz.header_len, 0x26c - 0x1f1);
	ck_assert_mem_eq(bz.header, f + 0x1f1, bz.header_len);
	for (size_t i = bz.header_len; i < sizeof(bz.header); i++)
		ck_assert_uint_eq(bz.header[i], 0);
	f[0x201] = 0xff;
	ck_ok(parse(&bz, f, &e));
	ck_assert_uint_eq(bz.header_len, sizeof(bz.header));
	f[0x201] = 0x66; /* 0x268: the least that protocol 2.12 has */
	ck_ok(parse(&bz, f, &e));
	f[0x201] = 0x65;
	ck_fails(parse(&bz, f, &e), ERR_IMAGE, "no proper end");
	f[0x201] = 0;
	ck_fails(parse(&bz, f, &e), ERR_IMAGE, "no proper end");
	make_bzimage(f);
	f[0x200] = 0xe9;
	ck_fails(parse(&bz, f, &e), ERR_IMAGE, "no proper end");
}
END_TEST

START_TEST(a_file_cut_anywhere_is_refused)
{
	uint8_t f[FILE_LEN];
	struct bzimage bz;
	struct err e;

	make_bzimage(f);
	for (size_t len = 0; len < SETUP_LEN + PM_LEN; len += len < SETUP_LEN + 20 ? 1 : 97)
		ck_fails(parse_cut(&bz, f, len, &e), ERR_IMAGE, "vmlinuz: truncated");
	ck_fails(parse_cut(&bz, f, SETUP_LEN + PM_LEN - 1, &e), ERR_IMAGE,
		 "the file has 34815 bytes, but its header tells of 34816");
	ck_ok(parse_cut(&bz, f, SETUP_LEN + PM_LEN, &e));
}
END_TEST

START_TEST(signatures_and_protocol_are_checked)
{
	uint8_t f[FILE_LEN];
	struct bzimage bz;
	struct err e;

	make_bzimage(f);
	f[0x1fe] = 0;
	ck_fails(parse(&bz, f, &e), ERR_IMAGE, "not a bzImage");
	make_bzimage(f);
	f[0x205] = 's';
	ck_fails(parse(&bz, f, &e), ERR_IMAGE, "not a bzImage");
	make_bzimage(f);
	store_le16(f + 0x206, 0x020b);
	ck_fails(parse(&bz, f, &e), ERR_IMAGE, "boot protocol 2.11 is too old");
	store_le16(f + 0x206, 0x020c);
	ck_ok(parse(&bz, f, &e));
}
END_TEST

START_TEST(no_setup_sectors_means_four)
{
	uint8_t f[FILE_LEN];
	struct bzimage bz;
	struct err e;

	make_bzimage(f);
	f[0x1f1] = 0;
	store_le32(f + 0x1f4, PM_LEN / 16 - 32);
	store_le32(f + 0x248, PAYLOAD_OFF - 512);
	ck_ok(parse(&bz, f, &e));
	ck_assert_uint_eq(bz.setup_len, 2560);
	ck_assert_uint_eq(bz.payload_off, PAYLOAD);
}
END_TEST

START_TEST(more_code_than_the_file_has_is_refused)
{
	static const uint32_t sizes[] = { PM_LEN / 16 + 7, 0x10000000, 0x80000000, UINT32_MAX };
	uint8_t f[FILE_LEN];
	struct bzimage bz;
	struct err e;

	make_bzimage(f);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		store_le32(f + 0x1f4, sizes[i]);
		ck_fails(parse(&bz, f, &e), ERR_IMAGE, "truncated");
	}
	make_bzimage(f);
	f[0x1f1] = 255;
	ck_fails(parse(&bz, f, &e), ERR_IMAGE, "truncated");
}
END_TEST

START_TEST(a_payload_that_leaves_the_file_is_refused)
{
	static const struct {
		uint32_t off, len;
	} bad[] = {
		{ PM_LEN + TAIL_LEN, 1 },    { PM_LEN + TAIL_LEN - PAYLOAD_LEN + 1, PAYLOAD_LEN },
		{ UINT32_MAX, 1 },           { UINT32_MAX, UINT32_MAX },
		{ PAYLOAD_OFF, UINT32_MAX }, { 0x80000000, 0x80000000 }
	};
	uint8_t f[FILE_LEN];
	struct bzimage bz;
	struct err e;

	make_bzimage(f);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		store_le32(f + 0x248, bad[i].off);
		store_le32(f + 0x24c, bad[i].len);
		ck_fails(parse(&bz, f, &e), ERR_IMAGE, "does not fit");
	}
}
END_TEST

START_TEST(a_payload_of_a_few_bytes_is_refused_or_unknown)
{
	uint8_t f[FILE_LEN];
	struct bzimage bz;
	struct err e;

	for (uint32_t len = 0; len < 8; len++) {
		make_bzimage(f);
		store_le32(f + 0x24c, len);
		store_le32(f + PAYLOAD + 4, UINT32_MAX);
		if (len >= 4) /* a magic number, and a size that overlaps it */
			ck_fails(parse(&bz, f, &e), ERR_IMAGE, "damaged");
		else
			ck_ok(parse(&bz, f, &e));
	}
}
END_TEST

START_TEST(a_payload_that_claims_nothing_or_too_much_is_refused)
{
	uint8_t f[FILE_LEN];
	struct bzimage bz;
	struct err e;

	make_bzimage(f);
	store_le32(f + PAYLOAD + PAYLOAD_LEN - 4, 0);
	ck_fails(parse(&bz, f, &e), ERR_IMAGE, "unpack to 0 bytes");
	store_le32(f + PAYLOAD + PAYLOAD_LEN - 4, (1u << 30) + 1);
	ck_fails(parse(&bz, f, &e), ERR_IMAGE, "unpack to 1073741825 bytes");
	store_le32(f + PAYLOAD + PAYLOAD_LEN - 4, UINT32_MAX);
	ck_fails(parse(&bz, f, &e), ERR_IMAGE, "damaged");
	store_le32(f + PAYLOAD + PAYLOAD_LEN - 4, 1u << 30);
	ck_ok(parse(&bz, f, &e));
}
END_TEST

START_TEST(gzip_keeps_its_own_size_and_others_lose_the_appended_one)
{
	uint8_t f[FILE_LEN];
	struct bzimage bz;
	struct err e;

	make_bzimage(f);
	memcpy(f + PAYLOAD, "\x1f\x8b\x08\x00", 4);
	ck_ok(parse(&bz, f, &e));
	ck_assert_int_eq(bz.compression, COMPRESSION_GZIP);
	ck_assert_uint_eq(bz.payload_len, PAYLOAD_LEN);
	ck_assert_uint_eq(bz.unpacked_len, 50000000);
	memcpy(f + PAYLOAD, "\3757zXZ\0", 6);
	ck_ok(parse(&bz, f, &e));
	ck_assert_int_eq(bz.compression, COMPRESSION_XZ);
	ck_assert_uint_eq(bz.payload_len, PAYLOAD_LEN - 4);
}
END_TEST

START_TEST(a_payload_that_we_cannot_unpack_is_left_to_the_boot_code)
{
	uint8_t f[FILE_LEN];
	struct bzimage bz;
	struct err e;

	make_bzimage(f);
	memcpy(f + PAYLOAD, "\x89LZO", 4);
	ck_ok(parse(&bz, f, &e));
	ck_assert_int_eq(bz.compression, COMPRESSION_UNKNOWN);
	ck_assert_uint_eq(bz.unpacked_len, 0);
	memcpy(f + PAYLOAD, "\177ELF", 4);
	ck_ok(parse(&bz, f, &e));
	ck_assert_int_eq(bz.compression, COMPRESSION_NONE);
	ck_assert_uint_eq(bz.payload_len, PAYLOAD_LEN);
	ck_assert_uint_eq(bz.unpacked_len, PAYLOAD_LEN);
	store_le32(f + 0x24c, 0);
	ck_ok(parse(&bz, f, &e));
	ck_assert_int_eq(bz.compression, COMPRESSION_UNKNOWN);
	ck_assert_uint_eq(bz.payload_len, 0);
}
END_TEST

START_TEST(a_placement_that_wraps_or_has_no_alignment_is_refused)
{
	static const uint32_t bad[] = { 0, 3, 0x200001, UINT32_MAX };
	uint8_t f[FILE_LEN];
	struct bzimage bz;
	struct err e;

	make_bzimage(f);
	store_le64(f + 0x258, UINT64_MAX - 0x3000000 + 1);
	ck_fails(parse(&bz, f, &e), ERR_IMAGE, "out of range");
	make_bzimage(f);
	store_le64(f + 0x258, UINT64_MAX - PM_LEN);
	store_le32(f + 0x260, 0);
	ck_fails(parse(&bz, f, &e), ERR_IMAGE, "out of range");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		make_bzimage(f);
		store_le32(f + 0x230, bad[i]);
		ck_fails(parse(&bz, f, &e), ERR_IMAGE, "alignment");
		f[0x234] = 0; /* not relocatable: nobody asks */
		ck_ok(parse(&bz, f, &e));
	}
}
END_TEST

START_TEST(a_release_is_text_wherever_it_points)
{
	uint8_t f[FILE_LEN];
	struct bzimage bz;
	struct err e;

	make_bzimage(f);
	memcpy(f + RELEASE_AT, "6\033[2J\xff\n", 8);
	ck_ok(parse(&bz, f, &e));
	ck_assert_str_eq(bz.release, "6?[2J??");
	memset(f + RELEASE_AT, 'x', SETUP_LEN - RELEASE_AT);
	ck_ok(parse(&bz, f, &e));
	ck_assert_uint_eq(strlen(bz.release), sizeof(bz.release) - 1);
	store_le16(f + 0x20e, SETUP_LEN - 3 - 0x200);
	ck_ok(parse(&bz, f, &e));
	ck_assert_str_eq(bz.release, "xxx");
	store_le16(f + 0x20e, SETUP_LEN - 0x200);
	ck_ok(parse(&bz, f, &e));
	ck_assert_str_eq(bz.release, "");
	memset(f + SETUP_LEN, 'y', 16);
	store_le16(f + 0x20e, SETUP_LEN + 1 - 0x200); /* the kernel's code is no text */
	ck_ok(parse(&bz, f, &e));
	ck_assert_str_eq(bz.release, "");
	store_le16(f + 0x20e, 0xffff);
	ck_ok(parse(&bz, f, &e));
	ck_assert_str_eq(bz.release, "");
	store_le16(f + 0x20e, 0);
	ck_ok(parse(&bz, f, &e));
	ck_assert_str_eq(bz.release, "");
}
END_TEST

START_TEST(headers_of_noise_keep_the_promises)
{
	uint8_t f[FILE_LEN];
	uint32_t state = 3;
	struct bzimage bz;
	struct err e;

	for (int round = 0; round < 5000; round++) {
		make_bzimage(f);
		for (int n = 0; n < 3; n++) {
			state = state * 1664525u + 1013904223u;
			f[0x1f1 + (state >> 8) % 0x80] = (uint8_t)(state >> 3);
		}
		if (parse(&bz, f, &e) < 0)
			continue;
		ck_assert_uint_le(bz.setup_len + bz.pm_len, FILE_LEN);
		ck_assert_uint_le(bz.payload_off + bz.payload_len, FILE_LEN);
		ck_assert_uint_le(bz.header_len, sizeof(bz.header));
		ck_assert_uint_le(bz.unpacked_len, 1u << 30);
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("bzimage");

	UNIT_TEST(s, a_good_header_is_read);
	UNIT_TEST(s, the_header_ends_where_its_jump_goes_and_is_zero_behind);
	UNIT_TEST(s, a_file_cut_anywhere_is_refused);
	UNIT_TEST(s, signatures_and_protocol_are_checked);
	UNIT_TEST(s, no_setup_sectors_means_four);
	UNIT_TEST(s, more_code_than_the_file_has_is_refused);
	UNIT_TEST(s, a_payload_that_leaves_the_file_is_refused);
	UNIT_TEST(s, a_payload_of_a_few_bytes_is_refused_or_unknown);
	UNIT_TEST(s, a_payload_that_claims_nothing_or_too_much_is_refused);
	UNIT_TEST(s, gzip_keeps_its_own_size_and_others_lose_the_appended_one);
	UNIT_TEST(s, a_payload_that_we_cannot_unpack_is_left_to_the_boot_code);
	UNIT_TEST(s, a_placement_that_wraps_or_has_no_alignment_is_refused);
	UNIT_TEST(s, a_release_is_text_wherever_it_points);
	UNIT_TEST(s, headers_of_noise_keep_the_promises);
	return s;
}

UNIT_MAIN("bzimage", make_suite)
