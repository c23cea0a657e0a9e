/*
 * test_kernel_cache_faults.c - each single call into the host fails once, while a kernel is
 * unpacked and kept: by each of the libraries, with the cache empty, full of others, and with the
 * kernel in it.
 *
 * tests/fault/fault.h says how. The cache is a help, never a need: the kernel comes out whole, or
 * there is an error that says why.
 */
#include "../fault/fault.h"
#include "cached.h"
#include "fake_kvm.h"
#include "unit.h"
#include <bzlib.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <lzma.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/boot/kernel_cache.h>
#include <zlib.h>
#include <zstd.h>

#define PLAIN_LEN 70000u

static char scratch[] = "/tmp/vmm-cache-faults.XXXXXX";
static uint8_t plain[PLAIN_LEN], packed[2 * PLAIN_LEN];

static size_t pack_gzip(void)
{
	z_stream z = { .next_in = plain,
		       .avail_in = sizeof(plain),
		       .next_out = packed,
		       .avail_out = sizeof(packed) };

	ck_assert_int_eq(deflateInit2(&z, 1, Z_DEFLATED, 31, 9, Z_DEFAULT_STRATEGY), Z_OK);
	ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return z.total_out;
}

static size_t pack_bzip2(void)
{
	unsigned int n = sizeof(packed);

	ck_assert_int_eq(
		BZ2_bzBuffToBuffCompress((char *)packed, &n, (char *)plain, sizeof(plain), 1, 0, 0),
		BZ_OK);
	return n;
}

static size_t pack_xz(void)
{
	size_t n = 0;

	ck_assert_int_eq(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL, plain, sizeof(plain),
						 packed, &n, sizeof(packed)),
			 LZMA_OK);
	return n;
}

static size_t pack_lzma(void)
{
	lzma_stream z = LZMA_STREAM_INIT;
	lzma_options_lzma options;

	lzma_lzma_preset(&options, 0);
	ck_assert_int_eq(lzma_alone_encoder(&z, &options), LZMA_OK);
	z.next_in = plain;
	z.avail_in = sizeof(plain);
	z.next_out = packed;
	z.avail_out = sizeof(packed);
	ck_assert_int_eq(lzma_code(&z, LZMA_FINISH), LZMA_STREAM_END);
	lzma_end(&z);
	return z.total_out;
}

static size_t pack_zstd(void)
{
	return ZSTD_compress(packed, sizeof(packed), plain, sizeof(plain), 1);
}

static size_t (*const packers[])(void) = { pack_gzip, pack_bzip2, pack_xz, pack_lzma, pack_zstd };

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *where)
{
	(void)st, (void)type;
	return where->level > 0 ? remove(path) : 0;
}

static void empty_scratch(void)
{
	ck_assert_int_eq(nftw(scratch, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* Owned by others, as large as the cache may be: some of them have to go. */
static void fill_cache(void)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/vmm", scratch);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	for (unsigned int i = 0; i < 3; i++) {
		int fd;

		snprintf(path, sizeof(path), "%s/vmm/%064x", scratch, i);
		fd = open(path, O_WRONLY | O_CREAT, 0600);
		ck_assert(fd >= 0 && ftruncate(fd, (off_t)(KERNEL_CACHE_MAX_BYTES / 2)) == 0);
		close(fd);
	}
}

static void check_kernel(int fd)
{
	static uint8_t got[PLAIN_LEN + 1];

	ck_assert_int_eq(pread(fd, got, sizeof(got), 0), PLAIN_LEN);
	ck_assert(memcmp(got, plain, PLAIN_LEN) == 0);
	close(fd);
}

enum before { NOTHING, OTHERS, THE_KERNEL };

static void prepare(enum before before, size_t len)
{
	struct err e;
	bool hit;
	int fd;

	empty_scratch();
	if (before == OTHERS)
		fill_cache();
	if (before != THE_KERNEL)
		return;
	ck_ok(cached_get(&fd, packed, len, PLAIN_LEN, &hit, &e));
	close(fd);
}

/* false: there is no n-th call. */
static bool nth_fails(enum before before, size_t len, unsigned int n)
{
	unsigned int fds = count_fds();
	struct err e = { 0 };
	struct fault_seen seen;
	bool hit;
	int fd, rc;

	prepare(before, len);
	fault_arm(n, false);
	rc = cached_get(&fd, packed, len, PLAIN_LEN, &hit, &e);
	seen = fault_disarm();
	if (rc == 0)
		check_kernel(fd);
	else
		ck_assert_msg(seen.failed &&
				      strstr(e.text, seen.error == ENOMEM ? "memory"
									  : strerror(seen.error)),
			      "%s fails: \"%s\"", seen.failed, e.text);
	ck_assert_uint_eq(count_fds(), fds);
	return seen.failed != NULL;
}

START_TEST(the_kernel_comes_out_whole_or_there_is_a_reason)
{
	unsigned int n = 0;
	size_t len;

	log_set_level(LOG_ERROR);
	ck_assert_ptr_nonnull(mkdtemp(scratch));
	setenv("XDG_CACHE_HOME", scratch, 1);
	for (size_t i = 0; i < PLAIN_LEN; i++)
		plain[i] = (uint8_t)(i * i >> 7);
	len = packers[_i]();
	for (enum before before = NOTHING; before <= THE_KERNEL; before++) {
		for (unsigned int at = 1; nth_fails(before, len, at); at++)
			n++;
	}
	empty_scratch();
	rmdir(scratch);
	ck_assert_uint_ge(n, 30);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("kernel_cache_faults");

	UNIT_LOOP(s, the_kernel_comes_out_whole_or_there_is_a_reason, ARRAY_SIZE(packers));
	return s;
}

UNIT_MAIN("kernel_cache_faults", suite)
