/*
 * fuzz_disk.c - what a disk's file begins with (src/block/blk_file.c, blk_probe.c): nothing that a
 * guest has written there may make it anything but a raw disk or a refusal.
 */
#include "../../src/block/blk_file.h"
#include "fuzz.h"
#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t n = min_size(size, 1);
	struct input in = { data + size - n, data + size }; /* the last byte is a choice */
	uint8_t how = next_u8(&in);
	struct disk_spec spec = {
		.queues = 1,
		.ro = how & 1,
		.raw = how & 2,
		.snapshot = how & 4,
	};
	struct blk_file f;
	struct err e;

	fuzz_file(data, size);
	spec.path = (char *)(uintptr_t)fuzz_file_path();
	if (blk_file_open(&f, &spec, &e) < 0) {
		FUZZ_CHECK(*e.text);
		/* What the user says counts, not what the file looks like. */
		FUZZ_CHECK(!spec.raw || !strstr(e.text, "looks like"));
		return 0;
	}
	FUZZ_CHECK(f.info.size == size && f.info.logical >= 512);
	blk_file_close(&f);
	return 0;
}
