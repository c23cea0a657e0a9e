/*
 * decompress.h - the six compressions that Linux images come in, each by its own library.
 *
 * Source: Linux, Documentation/arch/x86/boot.rst, "payload_offset": the payload is told by its
 * magic number: gzip, bzip2, xz, lzma, lz4 (legacy frames), zstd. Main thread, while the machine is
 * built.
 */
#ifndef VMM_BOOT_DECOMPRESS_H
#define VMM_BOOT_DECOMPRESS_H
#include <stddef.h>
#include <stdint.h>
#include <vmm/base/err.h>

enum compression {
	COMPRESSION_NONE, /* an ELF as it is */
	COMPRESSION_GZIP,
	COMPRESSION_BZIP2,
	COMPRESSION_XZ,
	COMPRESSION_LZMA,
	COMPRESSION_LZ4,
	COMPRESSION_ZSTD,
	COMPRESSION_UNKNOWN,
};

/* By the first bytes. */
enum compression compression_probe(const uint8_t *data, size_t len);
const char *compression_name(enum compression c); /* "gzip", ...; "none", "unknown" */

/*
 * Tells the compression of the one stream that starts at data[0] (none: a plain copy), unpacks it
 * and writes it to fd, an empty file, in which blocks of zeroes become holes. Bytes behind the
 * stream's end are left alone; lz4 frames have no end, so that for them data must end where the
 * frame does (or 4 bytes later: the size that the kernel build appends is told apart).
 *
 * max_out is what the image's header says comes out: never more than that is written. ERR_IMAGE
 * where more comes out, and for every damaged or truncated stream as far as the format can tell
 * (lzma and lz4 have no checksum: compare *out_len); -ENOMEM; otherwise what write(2) or lseek(2)
 * gave. *out_len: bytes that came out, also on failure. Memory used is bounded: the libraries'
 * windows, capped at 256 MiB.
 */
int decompress_to_fd(const uint8_t *data, size_t len, int fd, uint64_t max_out, uint64_t *out_len,
		     struct err *e);

#endif
