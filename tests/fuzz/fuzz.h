/*
 * fuzz.h - what every fuzz target shares: the input as a stream of choices.
 *
 * A target is one file, fuzz_NAME.c, with one LLVMFuzzerTestOneInput() (libFuzzer's own name). Most
 * inputs are programs: bytes are taken from the front, each one a choice; where they end, so does
 * the program, and every further choice is 0. Nothing depends on the wall clock or on chance: time
 * is loop.c's, randomness fuzz.c's, so that an input does the same each time.
 */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <vmm/base/bug.h>
#include <vmm/base/bytes.h>
#include <vmm/base/err.h>
#include <vmm/base/util.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *at, *end;
};

static inline size_t left(const struct input *in)
{
	return (size_t)(in->end - in->at);
}

/* Up to max bytes; NULL-terminated nowhere. How many there were. */
static inline size_t next_bytes(struct input *in, void *dst, size_t max)
{
	size_t n = min_size(max, left(in));

	if (n > 0)
		memcpy(dst, in->at, n);
	in->at += n;
	return n;
}

static inline uint8_t next_u8(struct input *in)
{
	return left(in) > 0 ? *in->at++ : 0;
}

static inline uint16_t next_u16(struct input *in)
{
	uint8_t raw[2] = { 0 };

	next_bytes(in, raw, sizeof(raw));
	return load_le16(raw);
}

static inline uint32_t next_u32(struct input *in)
{
	uint8_t raw[4] = { 0 };

	next_bytes(in, raw, sizeof(raw));
	return load_le32(raw);
}

static inline uint64_t next_u64(struct input *in)
{
	uint8_t raw[8] = { 0 };

	next_bytes(in, raw, sizeof(raw));
	return load_le64(raw);
}

/* 0 to n-1; n is 1 to 256. */
static inline unsigned int next_below(struct input *in, unsigned int n)
{
	return next_u8(in) % n;
}

static inline bool next_bool(struct input *in)
{
	return next_u8(in) & 1;
}

/* A number of so many bytes (1, 2, 4, 8): often one at which something ends. */
uint64_t next_number(struct input *in, unsigned int size);

/* The file descriptor of one memfd, the same each time, which holds exactly these bytes. */
int fuzz_file(const void *data, size_t size);
/* "/proc/self/fd/N" of it: for what wants to open a file. */
const char *fuzz_file_path(void);

/* As VMM_BUG_ON(): what the code under test must never do. */
#define FUZZ_CHECK(cond) VMM_BUG_ON(!(cond))

#endif
