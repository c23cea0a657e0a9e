/*
 * bzimage.h - the header of a Linux x86 bzImage, read once and checked.
 *
 * Source: Linux, Documentation/arch/x86/boot.rst. Main thread, while the machine is built.
 */
#ifndef VMM_ARCH_BZIMAGE_H
#define VMM_ARCH_BZIMAGE_H
#include <stdbool.h>
#include <vmm/boot/decompress.h>
#include <vmm/boot/image.h>

struct bzimage {
	uint16_t version; /* boot protocol, e.g. 0x020f; at least 0x020c here (xloadflags) */
	uint64_t setup_len; /* bytes: (setup_sects + 1) * 512 */
	uint64_t pm_len; /* bytes of the protected-mode part that follows: what the file has */
	uint64_t payload_off; /* in the file */
	uint64_t payload_len; /* without the appended size where there is one; 0: has no payload */
	enum compression compression; /* of the payload; UNKNOWN also where there is none */
	uint64_t unpacked_len; /* what the payload says it decompresses to; bytes; 0 if UNKNOWN */
	uint32_t init_size, kernel_alignment; /* bytes */
	uint64_t pref_address;
	uint32_t cmdline_size; /* longest command line, without the NUL */
	uint32_t initrd_addr_max;
	uint16_t xloadflags; /* XLF_KERNEL_64 is required for --boot compressed */
	bool relocatable;
	char release[128]; /* "6.1.0-56-cloud-amd64 (debian-kernel@...) #1 SMP ..."; only ASCII */
	uint8_t header[0x290 - 0x1f1]; /* the setup header, for boot_params; zero past its end */
	uint16_t header_len;
};

/*
 * Reads and checks. ERR_IMAGE for a file cut anywhere, an old protocol, a lying size. A kernel
 * whose payload is missing or in an unknown compression is none of these: only its own code can
 * boot it.
 */
int bzimage_parse(struct bzimage *bz, const struct image *img, struct err *e);

#endif
