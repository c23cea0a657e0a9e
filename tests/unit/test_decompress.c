/*
 * test_decompress.c - src/boot/decompress.c: each format whole, cut, damaged, and lying.
 *
 * Streams are made here by the libraries' own compressors, with the kernel build's settings where
 * they matter (xz with the x86 filter and CRC32, lzma with its end mark, lz4 in legacy frames).
 */
#include "unit.h"
#include <bzlib.h>
#include <errno.h>
#include <fcntl.h>
#include <lz4.h>
#include <lzma.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vmm/base/bytes.h>
#include <vmm/base/util.h>
#include <vmm/boot/decompress.h>
#include <zlib.h>
#include <zstd.h>

#define N_FORMATS COMPRESSION_UNKNOWN
#define PLAIN_LEN (700 * KIB + 13) /* several steps, and not a whole number of them */
#define PACKED_MAX (64 * MIB)
#define LZ4_BLOCK (8 * MIB)

/* A stream under test; room to append and to damage. */
struct packed {
	uint8_t *data;
	size_t len;
};

static uint32_t random_next(uint32_t *state)
{
	*state = *state * 1664525u + 1013904223u;
	return *state >> 8;
}

/* Starts like an ELF, so that it is its own COMPRESSION_NONE; compresses about as code does. */
static uint8_t *make_plain(size_t len)
{
	uint8_t *p = calloc(1, len);
	uint32_t state = 1;

	for (size_t i = 0; i < len; i++)
		p[i] = (uint8_t)(i % 7 < 5 ? random_next(&state) % 24 : i >> 9);
	memcpy(p, "\177ELF", 4);
	return p;
}

static size_t pack_gzip(uint8_t *out, const uint8_t *in, size_t len)
{
	z_stream z = { 0 };

	ck_assert_int_eq(deflateInit2(&z, 9, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY), Z_OK);
	z.next_in = (z_const Bytef *)in;
	z.avail_in = (uInt)len;
	z.next_out = out;
	z.avail_out = (uInt)PACKED_MAX;
	ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return z.total_out;
}

static size_t pack_bzip2(uint8_t *out, const uint8_t *in, size_t len)
{
	unsigned int n = (unsigned int)PACKED_MAX;

	ck_assert_int_eq(BZ2_bzBuffToBuffCompress((char *)out, &n, (char *)(uintptr_t)in,
						  (unsigned int)len, 9, 0, 0),
			 BZ_OK);
	return n;
}

static size_t pack_xz(uint8_t *out, const uint8_t *in, size_t len)
{
	lzma_options_lzma opt;
	lzma_filter f[] = { { .id = LZMA_FILTER_X86 },
			    { .id = LZMA_FILTER_LZMA2, .options = &opt },
			    { .id = LZMA_VLI_UNKNOWN } };
	size_t n = 0;

	lzma_lzma_preset(&opt, 1);
	ck_assert_int_eq(
		lzma_stream_buffer_encode(f, LZMA_CHECK_CRC32, NULL, in, len, out, &n, PACKED_MAX),
		LZMA_OK);
	return n;
}

static size_t pack_lzma(uint8_t *out, const uint8_t *in, size_t len)
{
	lzma_stream s = LZMA_STREAM_INIT;
	lzma_options_lzma opt;

	lzma_lzma_preset(&opt, 1);
	ck_assert_int_eq(lzma_alone_encoder(&s, &opt), LZMA_OK);
	s.next_in = in;
	s.avail_in = len;
	s.next_out = out;
	s.avail_out = PACKED_MAX;
	ck_assert_int_eq(lzma_code(&s, LZMA_FINISH), LZMA_STREAM_END);
	lzma_end(&s);
	return PACKED_MAX - s.avail_out;
}

/* Blocks of `block` bytes, as many as it takes. */
static size_t pack_lz4_blocks(uint8_t *out, const uint8_t *in, size_t len, size_t block)
{
	size_t n = 4;

	store_le32(out, 0x184c2102);
	while (len > 0) {
		size_t part = min_size(len, block);
		int m = LZ4_compress_default((const char *)in, (char *)out + n + 4, (int)part,
					     LZ4_COMPRESSBOUND((int)part));

		ck_assert_int_gt(m, 0);
		store_le32(out + n, (uint32_t)m);
		n += 4 + (size_t)m;
		in += part;
		len -= part;
	}
	return n;
}

static size_t pack_lz4(uint8_t *out, const uint8_t *in, size_t len)
{
	return pack_lz4_blocks(out, in, len, LZ4_BLOCK);
}

static size_t pack_zstd(uint8_t *out, const uint8_t *in, size_t len)
{
	ZSTD_CCtx *c = ZSTD_createCCtx();
	size_t n;

	ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
	n = ZSTD_compress2(c, out, PACKED_MAX, in, len);
	ck_assert(!ZSTD_isError(n));
	ZSTD_freeCCtx(c);
	return n;
}

static size_t pack_none(uint8_t *out, const uint8_t *in, size_t len)
{
	memcpy(out, in, len);
	return len;
}

static const struct {
	size_t (*pack)(uint8_t *out, const uint8_t *in, size_t len);
	bool checksum;
	const char *name;
} packers[N_FORMATS] = {
	[COMPRESSION_NONE] = { pack_none, false, "none" },
	[COMPRESSION_GZIP] = { pack_gzip, true, "gzip" },
	[COMPRESSION_BZIP2] = { pack_bzip2, true, "bzip2" },
	[COMPRESSION_XZ] = { pack_xz, true, "xz" },
	[COMPRESSION_LZMA] = { pack_lzma, false, "lzma" },
	[COMPRESSION_LZ4] = { pack_lz4, false, "lz4" },
	[COMPRESSION_ZSTD] = { pack_zstd, true, "zstd" },
};

static struct packed pack(int format, const uint8_t *plain, size_t len)
{
	struct packed p = { .data = malloc(PACKED_MAX) };

	p.len = packers[format].pack(p.data, plain, len);
	return p;
}

/* decompress_to_fd() into a file of its own; checks the promises that hold whatever the input. */
static int unpack(struct packed p, uint64_t max_out, uint8_t **out, uint64_t *out_len,
		  struct err *e)
{
	int fd = memfd_create("test", MFD_CLOEXEC), rc;
	uint8_t *exact = malloc(p.len + 1);
	struct stat st;

	/* A copy of exactly this size: a sanitizer sees the first byte read behind it. */
	exact = realloc(exact, p.len ? p.len : 1);
	memcpy(exact, p.data, p.len);
	rc = decompress_to_fd(exact, p.len, fd, max_out, out_len, e);
	free(exact);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_uint_le((uint64_t)st.st_size, *out_len);
	ck_assert_uint_le(*out_len, max_out);
	ck_assert(rc < 0 || (uint64_t)st.st_size == *out_len);
	ck_assert(rc == 0 || rc == e->code);
	if (out) {
		*out = malloc(*out_len + 1);
		ck_assert_int_eq(pread(fd, *out, *out_len, 0), (ssize_t)*out_len);
	}
	close(fd);
	return rc;
}

START_TEST(every_format_unpacks_to_what_was_packed)
{
	uint8_t *plain = make_plain(PLAIN_LEN), *out;
	struct packed p = pack(_i, plain, PLAIN_LEN);
	uint64_t n;
	struct err e;

	ck_assert_int_eq(compression_probe(p.data, p.len), _i);
	ck_assert_str_eq(compression_name((enum compression)_i), packers[_i].name);
	ck_ok(unpack(p, PLAIN_LEN, &out, &n, &e));
	ck_assert_uint_eq(n, PLAIN_LEN);
	ck_assert_mem_eq(out, plain, PLAIN_LEN);
	free(out);
	free(p.data);
	free(plain);
}
END_TEST

/* Some zeroes, many, and many at the end: the file is of the same bytes, but not all are in it. */
START_TEST(blocks_of_zeroes_become_holes)
{
	uint8_t *plain = make_plain(PLAIN_LEN), *back = malloc(PLAIN_LEN);
	int fd = memfd_create("out", MFD_CLOEXEC);
	struct packed p;
	struct stat st;
	struct err e;
	uint64_t n;

	memset(plain + 1000, 0, 3000);
	memset(plain + 100 * KIB + 10, 0, 300 * KIB);
	memset(plain + 600 * KIB - 1, 0, PLAIN_LEN - 600 * KIB + 1);
	p = pack(_i, plain, PLAIN_LEN);
	ck_ok(decompress_to_fd(p.data, p.len, fd, PLAIN_LEN, &n, &e));
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, PLAIN_LEN);
	ck_assert_int_eq(pread(fd, back, PLAIN_LEN, 0), PLAIN_LEN);
	ck_assert_mem_eq(back, plain, PLAIN_LEN);
	ck_assert_int_eq(lseek(fd, 0, SEEK_HOLE), 104 * KIB);
	ck_assert_int_eq(lseek(fd, 104 * KIB, SEEK_DATA), 400 * KIB);
	ck_assert_int_eq(lseek(fd, 400 * KIB, SEEK_HOLE), 600 * KIB);
	close(fd);
	free(p.data);
	free(back);
	free(plain);
}
END_TEST

START_TEST(an_appended_size_is_left_alone)
{
	uint8_t *plain = make_plain(PLAIN_LEN);
	struct packed p;
	uint64_t n;
	struct err e;

	if (_i != COMPRESSION_NONE) { /* a copy has no end of its own */
		p = pack(_i, plain, PLAIN_LEN);
		store_le32(p.data + p.len, (uint32_t)PLAIN_LEN);
		p.len += 4;
		ck_ok(unpack(p, PLAIN_LEN, NULL, &n, &e));
		ck_assert_uint_eq(n, PLAIN_LEN);
		free(p.data);
	}
	free(plain);
}
END_TEST

START_TEST(a_stream_cut_anywhere_is_refused_or_seen_to_be_short)
{
	uint8_t *plain = make_plain(PLAIN_LEN);
	struct packed p = pack(_i, plain, PLAIN_LEN);
	size_t full = p.len, step;
	struct err e;
	uint64_t n;

	step = full / 61 + 1;
	for (p.len = 0; p.len < full; p.len += p.len < 40 || p.len + 40 > full ? 1 : step) {
		int rc = unpack(p, PLAIN_LEN, NULL, &n, &e);

		ck_assert_msg(rc == ERR_IMAGE || (rc == 0 && n < PLAIN_LEN), "cut at %zu: %d",
			      p.len, rc);
		if (p.len > 40 && p.len > full / 2 && _i != COMPRESSION_NONE)
			ck_assert_msg(rc == ERR_IMAGE && strstr(e.text, "truncated"), "at %zu: %s",
				      p.len, e.text);
	}
	free(p.data);
	free(plain);
}
END_TEST

START_TEST(a_damaged_stream_is_refused_where_the_format_has_a_checksum)
{
	uint8_t *plain = make_plain(PLAIN_LEN);
	struct packed p = pack(_i, plain, PLAIN_LEN);
	struct err e;
	uint64_t n;

	for (size_t at = 20; at < p.len; at += p.len / 23) {
		int rc;

		p.data[at] ^= 0x10;
		rc = unpack(p, PLAIN_LEN, NULL, &n, &e);
		if (packers[_i].checksum)
			ck_assert_msg(rc == ERR_IMAGE, "byte %zu: %d", at, rc);
		p.data[at] ^= 0x10;
	}
	free(p.data);
	free(plain);
}
END_TEST

START_TEST(no_more_than_the_header_says_is_ever_written)
{
	uint8_t *plain = make_plain(PLAIN_LEN);
	struct packed p = pack(_i, plain, PLAIN_LEN);
	static const uint64_t limits[] = { 0, 1, 4096, PLAIN_LEN / 2, PLAIN_LEN - 1 };
	struct err e;
	uint64_t n;

	for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
		ck_fails(unpack(p, limits[i], NULL, &n, &e), ERR_IMAGE, "more come out");
	free(p.data);
	free(plain);
}
END_TEST

START_TEST(a_stream_of_zeroes_without_visible_end_stops_at_the_limit)
{
	size_t len = 40 * MIB;
	uint8_t *plain = calloc(1, len);
	struct packed p;
	struct err e;
	uint64_t n;

	memcpy(plain, "\177ELF", 4);
	p = pack(_i, plain, len);
	ck_fails(unpack(p, MIB, NULL, &n, &e), ERR_IMAGE, "more come out");
	free(p.data);
	free(plain);
}
END_TEST

START_TEST(noise_behind_a_magic_number_ends)
{
	struct packed p = { .data = malloc(4096), .len = 4096 };
	uint8_t *head = make_plain(64);
	struct packed real = pack(_i, head, 64);
	uint32_t state = 99;
	struct err e;
	uint64_t n;

	for (int round = 0; round < 300; round++) {
		for (size_t i = 0; i < p.len; i++)
			p.data[i] = (uint8_t)random_next(&state);
		memcpy(p.data, real.data, 6 + (size_t)round % 32);
		unpack(p, MIB, NULL, &n, &e);
	}
	free(real.data);
	free(head);
	free(p.data);
}
END_TEST

START_TEST(what_is_in_no_known_format_is_refused)
{
	static const char *const data[] = { "", "B", "\x1f\x8b", "hello, world", "\x89LZO" };
	struct err e;
	uint64_t n;

	for (size_t i = 0; i < ARRAY_SIZE(data); i++) {
		struct packed p = { (uint8_t *)(uintptr_t)data[i], strlen(data[i]) };

		ck_assert_int_eq(compression_probe(p.data, p.len), COMPRESSION_UNKNOWN);
		ck_fails(unpack(p, MIB, NULL, &n, &e), ERR_IMAGE, "no compression");
	}
	ck_assert_str_eq(compression_name(COMPRESSION_UNKNOWN), "unknown");
}
END_TEST

START_TEST(a_full_disk_is_the_disks_fault_not_the_images)
{
	uint8_t *plain = make_plain(PLAIN_LEN);
	struct packed p = pack(COMPRESSION_GZIP, plain, PLAIN_LEN);
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	struct err e;
	uint64_t n;

	ck_fails(decompress_to_fd(p.data, p.len, fd, PLAIN_LEN, &n, &e), -ENOSPC, "No space");
	ck_assert_uint_eq(n, 0);
	close(fd);
	free(p.data);
	free(plain);
}
END_TEST

START_TEST(a_zstd_window_of_more_than_128_mib_is_refused)
{
	/* Magic, flags 0, window 2^27; one last raw block of 5 bytes. */
	uint8_t b[] = { 0x28, 0xb5, 0x2f, 0xfd, 0, 17 << 3, 0x29, 0, 0, 'h', 'e', 'l', 'l', 'o' };
	struct packed p = { b, sizeof(b) };
	struct err e;
	uint64_t n;

	ck_ok(unpack(p, 5, NULL, &n, &e));
	b[5] = 18 << 3;
	ck_fails(unpack(p, 5, NULL, &n, &e), ERR_IMAGE, "too much memory");
}
END_TEST

START_TEST(an_lzma_dictionary_of_a_gib_is_refused)
{
	uint8_t plain[64] = { 0 };
	struct packed p = pack(COMPRESSION_LZMA, plain, sizeof(plain));
	struct err e;
	uint64_t n;

	store_le32(p.data + 1, 64u << 20);
	ck_ok(unpack(p, sizeof(plain), NULL, &n, &e));
	store_le32(p.data + 1, 1u << 30);
	ck_fails(unpack(p, sizeof(plain), NULL, &n, &e), ERR_IMAGE, "too much memory");
	free(p.data);
}
END_TEST

START_TEST(lz4_blocks_and_frames_follow_one_another)
{
	uint8_t *plain = make_plain(PLAIN_LEN), *out;
	struct packed p = { .data = malloc(PACKED_MAX) };
	struct err e;
	uint64_t n;

	p.len = pack_lz4_blocks(p.data, plain, 100000, 4096);
	p.len += pack_lz4_blocks(p.data + p.len, plain + 100000, PLAIN_LEN - 100000, 99999);
	ck_ok(unpack(p, PLAIN_LEN, &out, &n, &e));
	ck_assert_uint_eq(n, PLAIN_LEN);
	ck_assert_mem_eq(out, plain, PLAIN_LEN);
	free(out);
	free(p.data);
	free(plain);
}
END_TEST

START_TEST(an_appended_size_that_equals_the_lz4_magic_is_no_frame)
{
	uint8_t *plain = make_plain(4096);
	struct packed p = pack(COMPRESSION_LZ4, plain, 4096);
	struct err e;
	uint64_t n;

	store_le32(p.data + p.len, 0x184c2102);
	p.len += 4;
	ck_ok(unpack(p, 4096, NULL, &n, &e));
	ck_assert_uint_eq(n, 4096);
	free(p.data);
	free(plain);
}
END_TEST

START_TEST(an_lz4_block_that_lies_is_refused)
{
	static const struct {
		uint32_t len;
		const char *words;
	} lies[] = { { 0, "damaged" },          { 1, "damaged" },
		     { 4000, "truncated" },     { 8u << 20, "truncated" },
		     { 0x7fffffff, "damaged" }, { 0x80000000, "damaged" },
		     { 0xffffffff, "damaged" } };
	uint8_t *plain = calloc(1, 9 * MIB);
	struct packed p = pack(COMPRESSION_LZ4, plain, 4096);
	struct err e;
	uint64_t n;

	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		store_le32(p.data + 4, lies[i].len);
		ck_fails(unpack(p, 64 * MIB, NULL, &n, &e), ERR_IMAGE, lies[i].words);
	}
	for (uint32_t beyond = 1; beyond <= 5; beyond++) {
		store_le32(p.data + 4, (uint32_t)p.len - 8 + beyond);
		ck_fails(unpack(p, 64 * MIB, NULL, &n, &e), ERR_IMAGE, "truncated");
	}
	p.len = pack_lz4_blocks(p.data, plain, 9 * MIB, 9 * MIB);
	ck_fails(unpack(p, 64 * MIB, NULL, &n, &e), ERR_IMAGE, "damaged");
	free(p.data);
	free(plain);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("decompress");

	UNIT_LOOP(s, every_format_unpacks_to_what_was_packed, N_FORMATS);
	UNIT_LOOP(s, blocks_of_zeroes_become_holes, N_FORMATS);
	UNIT_LOOP(s, an_appended_size_is_left_alone, N_FORMATS);
	UNIT_LOOP(s, a_stream_cut_anywhere_is_refused_or_seen_to_be_short, N_FORMATS);
	UNIT_LOOP(s, a_damaged_stream_is_refused_where_the_format_has_a_checksum, N_FORMATS);
	UNIT_LOOP(s, no_more_than_the_header_says_is_ever_written, N_FORMATS);
	UNIT_LOOP(s, a_stream_of_zeroes_without_visible_end_stops_at_the_limit, N_FORMATS);
	UNIT_LOOP(s, noise_behind_a_magic_number_ends, N_FORMATS);
	UNIT_TEST(s, what_is_in_no_known_format_is_refused);
	UNIT_TEST(s, a_full_disk_is_the_disks_fault_not_the_images);
	UNIT_TEST(s, a_zstd_window_of_more_than_128_mib_is_refused);
	UNIT_TEST(s, an_lzma_dictionary_of_a_gib_is_refused);
	UNIT_TEST(s, lz4_blocks_and_frames_follow_one_another);
	UNIT_TEST(s, an_appended_size_that_equals_the_lz4_magic_is_no_frame);
	UNIT_TEST(s, an_lz4_block_that_lies_is_refused);
	return s;
}

UNIT_MAIN("decompress", make_suite)
