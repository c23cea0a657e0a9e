/*
 * fuzz_decompress.c - the six decompressors (src/boot/decompress.c). The first byte says which one:
 * its magic number replaces what the input begins with. The second one: how much may come out.
 */
#include "fuzz.h"
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vmm/boot/decompress.h>

#define MOST (1 * MIB)

static const struct {
	uint8_t len;
	const char *magic;
} kinds[] = {
	{ 0, "" }, /* as it is */
	{ 2, "\x1f\x8b" },
	{ 4, "BZh9" },
	{ 6, "\3757zXZ\0" },
	{ 3, "\x5d\0\0" },
	{ 4, "\x02\x21\x4c\x18" },
	{ 4, "\x28\xb5\x2f\xfd" },
};

/* One file for all that comes out. */
static int out_fd(void)
{
	static int fd = -1;

	if (fd < 0)
		fd = memfd_create("out", MFD_CLOEXEC);
	VMM_BUG_ON(fd < 0 || ftruncate(fd, 0) < 0 || lseek(fd, 0, SEEK_SET) < 0);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, data + size };
	unsigned int kind = next_below(&in, ARRAY_SIZE(kinds)), how = next_u8(&in);
	uint64_t max = how < 0x80 ? MOST : how * 64ul, done = UINT64_MAX;
	size_t len = max_u64(left(&in), kinds[kind].len);
	uint8_t *copy = malloc(len + 1);
	int fd = out_fd();
	struct err e;

	VMM_BUG_ON(!copy);
	next_bytes(&in, copy, len);
	memcpy(copy, kinds[kind].magic, kinds[kind].len);
	if (decompress_to_fd(copy, len, fd, max, &done, &e) < 0)
		FUZZ_CHECK((e.code == ERR_IMAGE || e.code == -ENOMEM) && *e.text);
	else
		FUZZ_CHECK(lseek(fd, 0, SEEK_END) == (off_t)done);
	FUZZ_CHECK(done <= max && lseek(fd, 0, SEEK_END) <= (off_t)done);
	free(copy);
	return 0;
}
