/*
 * fuzz_kernel.c - a kernel from the file into RAM, beside an initrd and a command line: bzImage
 * header, payload, entry, boot_params or PVH info, memory map (src/arch/x86_64).
 */
#include "../../src/arch/x86_64/memmap.h"
#include "../../src/arch/x86_64/x86.h"
#include "fuzz.h"
#include <unistd.h>

#define RAM (64 * MIB)
#define MOST_UNPACKED (4 * MIB) /* what a payload may say: the rest is a matter of time alone */

static bool is_too_long(void)
{
	struct image img = { .fd = -1 };
	struct bzimage bz;
	struct err e;
	bool is = image_open(&img, fuzz_file_path(), &e) == 0 &&
		  bzimage_parse(&bz, &img, &e) == 0 && bz.unpacked_len > MOST_UNPACKED;

	image_close(&img);
	return is;
}

static void load(const struct kernel *k, struct input *in)
{
	struct arch_boot b = {
		.kernel = k,
		.cmdline = "console=ttyS0",
		.topology = { 1, 2, 1 },
	};
	uint64_t ram = 1 * MIB + (next_u8(in) % 64) * MIB;
	struct image initrd = { .fd = -1 };
	uint8_t how = next_u8(in);
	char text[1024];
	struct gmem *m;
	struct err e;

	if (how & 1) {
		VMM_BUG_ON(image_open(&initrd, fuzz_file_path(), &e) < 0);
		b.initrd = &initrd;
	}
	arch_board(ram, &b.board);
	VMM_BUG_ON(gmem_create(&m, &e) < 0 || arch_add_ram(m, ram, &e) < 0);
	if (arch_load(&b, m, &e) < 0)
		FUZZ_CHECK(*e.text);
	arch_kernel_describe(k, text, sizeof(text));
	FUZZ_CHECK(*text && arch_kernel_cmdline_max(k) < MAP_CMDLINE_MAX);
	gmem_destroy(m);
	image_close(&initrd);
}

/* The last three bytes are choices, so that a file that is a kernel is an input as it is. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t n = min_size(size, 3);
	struct input in = { data + size - n, data + size };
	enum boot_mode mode = next_bool(&in) ? BOOT_COMPRESSED : BOOT_DIRECT;
	struct kernel *k;
	struct err e;

	fuzz_file(data, size);
	if (is_too_long())
		mode = BOOT_COMPRESSED;
	if (arch_kernel_open(&k, fuzz_file_path(), mode, &e) < 0) {
		FUZZ_CHECK(e.code == ERR_IMAGE && *e.text);
		return 0;
	}
	if (arch_kernel_read(k, &e) < 0)
		FUZZ_CHECK(e.code == ERR_IMAGE && *e.text);
	else
		load(k, &in);
	arch_kernel_close(k);
	return 0;
}
