/*
 * fuzz.c - what all targets are linked with: the process as they want it.
 *
 * Check's failures, as the doubles of tests/fake call them, are crashes here. The clock of the
 * day and getrandom(2) are replaced at link time (--wrap, see fuzz.mk): an input must do the same
 * each time.
 */
#include "fuzz.h"
#include <check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include <vmm/base/log.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
time_t __wrap_time(time_t *out);
ssize_t __wrap_getrandom(void *buf, size_t len, unsigned int flags);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	log_set_level(LOG_ERROR);
	/* Guest RAM asks for huge pages; zeroing one for each input would be most of the time. */
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	/* No place to cache kernels in. */
	unsetenv("XDG_CACHE_HOME");
	unsetenv("HOME");
	return 0;
}

void _mark_point(const char *file, int line)
{
	(void)file, (void)line;
}

void _ck_assert_failed(const char *file, int line, const char *expr, const char *msg, ...)
{
	va_list ap;

	fprintf(stderr, "%s:%d: %s: ", file, line, expr);
	va_start(ap, msg);
	if (msg)
		vfprintf(stderr, msg, ap);
	va_end(ap);
	fputc('\n', stderr);
	abort();
}

time_t __wrap_time(time_t *out)
{
	const time_t now = 1800000000;

	if (out)
		*out = now;
	return now;
}

ssize_t __wrap_getrandom(void *buf, size_t len, unsigned int flags)
{
	(void)flags;
	memset(buf, 0x5a, len);
	return (ssize_t)len;
}

uint64_t next_number(struct input *in, unsigned int size)
{
	static const uint64_t edges[] = {
		0,
		1,
		2,
		3,
		7,
		15,
		16,
		64,
		255,
		256,
		257,
		511,
		512,
		4095,
		4096,
		0x7fff,
		0x8000,
		0xffff,
		0x10000,
		0xfffff,
		0x7fffffff,
		0x80000000,
		0xfffffff0,
		0xffffffff,
		UINT64_C(1) << 32,
		INT64_MAX,
		UINT64_C(1) << 63,
		UINT64_MAX - 15,
		UINT64_MAX,
	};
	uint8_t how = next_u8(in);
	uint64_t val = 0;

	if (how < 0x80)
		return how;
	if (how < 0xc0)
		val = edges[how % ARRAY_SIZE(edges)];
	else if (how < 0xe0)
		val = UINT64_C(1) << (2 * (how & 0x1f) + (next_u8(in) & 1));
	else
		next_bytes(in, &val, size);
	return size == 8 ? val : val & ((UINT64_C(1) << 8 * size) - 1);
}

static int file = -1;

int fuzz_file(const void *data, size_t size)
{
	if (file < 0)
		file = memfd_create("fuzz", MFD_CLOEXEC);
	VMM_BUG_ON(file < 0 || ftruncate(file, 0) < 0 ||
		   pwrite(file, data, size, 0) != (ssize_t)size);
	return file;
}

const char *fuzz_file_path(void)
{
	static char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	return path;
}
