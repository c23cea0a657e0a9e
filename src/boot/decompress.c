/*
 * decompress.c - one compressed stream in memory, unpacked into a file descriptor.
 *
 * Life of a VM: while the machine is built; main thread. Sources: Linux,
 * Documentation/arch/x86/boot.rst
 * ("payload_offset") and lib/decompress.c for the magic numbers; lib/decompress_unlz4.c for the lz4
 * "legacy" frame, which has no end mark and no checksum.
 *
 * Every library is driven by the same loop, unpack(), one bounded step at a time. What keeps a
 * hostile stream from running for ever is in that loop and nowhere else: each step must take input
 * or give output, input is finite, and output ends at max_out.
 */
#include <bzlib.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <lz4.h>
#include <lzma.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vmm/base/bug.h>
#include <vmm/base/bytes.h>
#include <vmm/base/util.h>
#include <vmm/boot/decompress.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

/* The kernel's own build uses windows of up to 128 MiB (zstd --ultra -22) and 64 MiB (lzma -9). */
#define LZMA_MEMORY_MAX (256 * MIB)
#define ZSTD_WINDOW_LOG_MAX 27

#define STREAM_CHUNK (256 * KIB) /* unpacked per step: fits a second-level cache */
#define BLOCK 4096u /* of most file systems, and a page */
#define LZ4_LEGACY_MAGIC 0x184c2102u
#define LZ4_BLOCK_MAX                                                                              \
	(8 * MIB) /* unpacked; lib/decompress_unlz4.c, LZ4_DEFAULT_UNCOMPRESSED_CHUNK_SIZE */

enum step { STEP_MORE, STEP_END, STEP_SHORT, STEP_BAD, STEP_TOO_LARGE, STEP_NO_MEMORY };

/* What is left to read, and the room for this step's output. A step moves all four on. */
struct io {
	const uint8_t *in;
	size_t n_in;
	uint8_t *out;
	size_t n_out;
};

struct codec { /* the libraries' own state; only the row's functions know which member */
	union {
		z_stream z;
		bz_stream bz;
		lzma_stream lzma;
		ZSTD_DStream *zstd;
		bool lz4_in_frame;
	};
};

struct format {
	const char *name;
	const char *magic;
	size_t magic_len;
	size_t chunk; /* most that one step may give */
	enum step (*init)(struct codec *c); /* STEP_MORE: ready. NULL: nothing to do */
	enum step (*step)(struct codec *c, struct io *io);
	void (*fini)(struct codec *c); /* only after a good init. NULL: nothing to do */
};

static void moved(struct io *io, size_t taken, size_t given)
{
	io->in += taken;
	io->n_in -= taken;
	io->out += given;
	io->n_out -= given;
}

/* An ELF as it is: copied. */

static enum step copy_step(struct codec *c, struct io *io)
{
	size_t n = min_size(io->n_in, io->n_out);

	(void)c;
	memcpy(io->out, io->in, n);
	moved(io, n, n);
	return io->n_in == 0 ? STEP_END : STEP_MORE;
}

/* gzip: zlib, which checks CRC and length of the one member. */

static enum step gzip_init(struct codec *c)
{
	int rc;

	c->z = (z_stream){ 0 };
	rc = inflateInit2(&c->z, 16 + MAX_WBITS); /* 16: a gzip header and trailer, no other */
	return rc == Z_OK ? STEP_MORE : STEP_NO_MEMORY;
}

static enum step gzip_step(struct codec *c, struct io *io)
{
	uInt n_in = (uInt)min_size(io->n_in, UINT_MAX), n_out = (uInt)io->n_out;
	int rc;

	c->z.next_in = (z_const Bytef *)io->in;
	c->z.avail_in = n_in;
	c->z.next_out = io->out;
	c->z.avail_out = n_out;
	rc = inflate(&c->z, Z_NO_FLUSH);
	moved(io, n_in - c->z.avail_in, n_out - c->z.avail_out);
	switch (rc) {
	case Z_STREAM_END:
		return STEP_END;
	case Z_OK:
	case Z_BUF_ERROR: /* no progress: unpack() sees it */
		return STEP_MORE;
	case Z_MEM_ERROR:
		return STEP_NO_MEMORY;
	default:
		return STEP_BAD;
	}
}

static void gzip_fini(struct codec *c)
{
	inflateEnd(&c->z);
}

/* bzip2: checks a CRC for each block. */

static enum step bzip2_init(struct codec *c)
{
	c->bz = (bz_stream){ 0 };
	return BZ2_bzDecompressInit(&c->bz, 0, 0) == BZ_OK ? STEP_MORE : STEP_NO_MEMORY;
}

static enum step bzip2_step(struct codec *c, struct io *io)
{
	unsigned int n_in = (unsigned int)min_size(io->n_in, UINT_MAX);
	unsigned int n_out = (unsigned int)io->n_out;
	int rc;

	c->bz.next_in = (char *)(uintptr_t)io->in; /* not written to; the library knows no const */
	c->bz.avail_in = n_in;
	c->bz.next_out = (char *)io->out;
	c->bz.avail_out = n_out;
	rc = BZ2_bzDecompress(&c->bz);
	moved(io, n_in - c->bz.avail_in, n_out - c->bz.avail_out);
	switch (rc) {
	case BZ_STREAM_END:
		return STEP_END;
	case BZ_OK:
		return STEP_MORE;
	case BZ_MEM_ERROR:
		return STEP_NO_MEMORY;
	default:
		return STEP_BAD;
	}
}

static void bzip2_fini(struct codec *c)
{
	BZ2_bzDecompressEnd(&c->bz);
}

/* xz (with the kernel's x86 filter and CRC32) and the older lzma, which has no checksum: liblzma.
 */

static enum step xz_init(struct codec *c)
{
	c->lzma = (lzma_stream)LZMA_STREAM_INIT;
	return lzma_stream_decoder(&c->lzma, LZMA_MEMORY_MAX, 0) == LZMA_OK ? STEP_MORE
									    : STEP_NO_MEMORY;
}

static enum step lzma_init(struct codec *c)
{
	c->lzma = (lzma_stream)LZMA_STREAM_INIT;
	return lzma_alone_decoder(&c->lzma, LZMA_MEMORY_MAX) == LZMA_OK ? STEP_MORE
									: STEP_NO_MEMORY;
}

static enum step lzma_step(struct codec *c, struct io *io)
{
	lzma_ret rc;

	c->lzma.next_in = io->in;
	c->lzma.avail_in = io->n_in;
	c->lzma.next_out = io->out;
	c->lzma.avail_out = io->n_out;
	rc = lzma_code(&c->lzma, LZMA_RUN);
	moved(io, io->n_in - c->lzma.avail_in, io->n_out - c->lzma.avail_out);
	if (rc == LZMA_STREAM_END)
		return STEP_END;
	if (rc == LZMA_OK || rc == LZMA_BUF_ERROR) /* no progress: unpack() sees it */
		return STEP_MORE;
	if (rc == LZMA_MEMLIMIT_ERROR)
		return STEP_TOO_LARGE;
	return rc == LZMA_MEM_ERROR ? STEP_NO_MEMORY : STEP_BAD;
}

static void lzma_fini(struct codec *c)
{
	lzma_end(&c->lzma);
}

/* lz4, legacy frame: magic, then blocks: le32 length, data. It ends where the data ends. */

static enum step lz4_init(struct codec *c)
{
	c->lz4_in_frame = false;
	return STEP_MORE;
}

static enum step lz4_step(struct codec *c, struct io *io)
{
	uint32_t len;
	int given;

	/* Four bytes cannot hold a block: they are the size that the kernel build appends. */
	if (c->lz4_in_frame && (io->n_in == 0 || io->n_in == 4))
		return STEP_END;
	if (io->n_in < 4)
		return STEP_SHORT;
	len = load_le32(io->in);
	if (len == LZ4_LEGACY_MAGIC) { /* frames may follow one another */
		c->lz4_in_frame = true;
		moved(io, 4, 0);
		return STEP_MORE;
	}
	if (!c->lz4_in_frame || len > LZ4_COMPRESSBOUND(LZ4_BLOCK_MAX))
		return STEP_BAD;
	if (len > io->n_in - 4)
		return STEP_SHORT;
	given = LZ4_decompress_safe((const char *)io->in + 4, (char *)io->out, (int)len,
				    (int)io->n_out);
	if (given < 0)
		return STEP_BAD;
	moved(io, 4 + (size_t)len, (size_t)given);
	return STEP_MORE;
}

/* zstd: checks its checksum where the frame has one. */

static enum step zstd_init(struct codec *c)
{
	c->zstd = ZSTD_createDStream();
	if (!c->zstd)
		return STEP_NO_MEMORY;
	VMM_BUG_ON(ZSTD_isError(
		ZSTD_DCtx_setParameter(c->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG_MAX)));
	return STEP_MORE;
}

static enum step zstd_step(struct codec *c, struct io *io)
{
	ZSTD_inBuffer in = { .src = io->in, .size = io->n_in };
	ZSTD_outBuffer out = { .dst = io->out, .size = io->n_out };
	size_t rc = ZSTD_decompressStream(c->zstd, &out, &in);

	moved(io, in.pos, out.pos);
	if (!ZSTD_isError(rc))
		return rc == 0 ? STEP_END : STEP_MORE;
	if (ZSTD_getErrorCode(rc) == ZSTD_error_frameParameter_windowTooLarge)
		return STEP_TOO_LARGE;
	return ZSTD_getErrorCode(rc) == ZSTD_error_memory_allocation ? STEP_NO_MEMORY : STEP_BAD;
}

static void zstd_fini(struct codec *c)
{
	ZSTD_freeDStream(c->zstd);
}

#define MAGIC(s) .magic = (s), .magic_len = sizeof(s) - 1

static const struct format formats[] = {
	[COMPRESSION_NONE] = { "none", MAGIC("\177ELF"), STREAM_CHUNK, NULL, copy_step, NULL },
	[COMPRESSION_GZIP] = { "gzip", MAGIC("\x1f\x8b\x08"), STREAM_CHUNK, gzip_init, gzip_step,
			       gzip_fini },
	[COMPRESSION_BZIP2] = { "bzip2", MAGIC("BZh"), STREAM_CHUNK, bzip2_init, bzip2_step,
				bzip2_fini },
	[COMPRESSION_XZ] = { "xz", MAGIC("\3757zXZ\0"), STREAM_CHUNK, xz_init, lzma_step,
			     lzma_fini },
	[COMPRESSION_LZMA] = { "lzma", MAGIC("\x5d\0\0"), STREAM_CHUNK, lzma_init, lzma_step,
			       lzma_fini },
	[COMPRESSION_LZ4] = { "lz4", MAGIC("\x02\x21\x4c\x18"), LZ4_BLOCK_MAX, lz4_init, lz4_step,
			      NULL },
	[COMPRESSION_ZSTD] = { "zstd", MAGIC("\x28\xb5\x2f\xfd"), STREAM_CHUNK, zstd_init,
			       zstd_step, zstd_fini },
};

enum compression compression_probe(const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		if (len >= formats[i].magic_len &&
		    memcmp(data, formats[i].magic, formats[i].magic_len) == 0)
			return (enum compression)i;
	}
	return COMPRESSION_UNKNOWN;
}

const char *compression_name(enum compression c)
{
	return c < ARRAY_SIZE(formats) ? formats[c].name : "unknown";
}

static int write_all(int fd, const uint8_t *data, size_t len, struct err *e)
{
	while (len > 0) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno != EINTR)
			return err_errno(e, "writing the unpacked kernel");
		if (n > 0) {
			data += n;
			len -= (size_t)n;
		}
	}
	return 0;
}

struct sink { /* where the output goes, and how much of it may come */
	int fd;
	uint8_t *buf; /* one step's output */
	uint64_t total, max; /* bytes */
	bool in_hole; /* at its end */
};

/*
 * How many of len bytes, which go to `at` in the file, are to be a hole, or are to be none. Blocks
 * of zeroes are: a third of a kernel, which no one then has to read and copy (image_find_holes()).
 */
static size_t stretch(const uint8_t *p, size_t len, uint64_t at, bool *hole)
{
	size_t n = 0;

	while (n < len) {
		size_t block = min_size(len - n, BLOCK - (at + n) % BLOCK);
		bool zero = block == BLOCK && bytes_are_zero(p + n, BLOCK);

		if (n > 0 && zero != *hole)
			break;
		*hole = zero;
		n += block;
	}
	return n;
}

static int skip(int fd, int64_t len, struct err *e)
{
	return lseek(fd, len, SEEK_CUR) < 0 ? err_errno(e, "writing the unpacked kernel") : 0;
}

static int sink_put(struct sink *s, size_t len, struct err *e)
{
	const uint8_t *p = s->buf;

	if (len > s->max - s->total)
		return err_set(e, ERR_IMAGE,
			       "its header says it unpacks to %" PRIu64 " bytes, but more come out",
			       s->max);
	while (len > 0) {
		bool hole = false;
		size_t n = stretch(p, len, s->total, &hole);
		int rc = hole ? skip(s->fd, (int64_t)n, e) : write_all(s->fd, p, n, e);

		if (rc < 0)
			return rc;
		s->in_hole = hole;
		s->total += n;
		p += n;
		len -= n;
	}
	return 0;
}

/* The file is as long as what has come out. */
static int sink_end(struct sink *s, struct err *e)
{
	if (!s->in_hole)
		return 0;
	return skip(s->fd, -1, e) < 0 ? e->code : write_all(s->fd, (const uint8_t[]){ 0 }, 1, e);
}

static int stream_error(const struct format *f, enum step why, struct err *e)
{
	if (why == STEP_NO_MEMORY)
		return err_set(e, -ENOMEM, "unpacking %s data: out of memory", f->name);
	if (why == STEP_TOO_LARGE)
		return err_set(e, ERR_IMAGE, "its %s data needs too much memory to unpack",
			       f->name);
	return err_set(e, ERR_IMAGE, "its %s data is %s", f->name,
		       why == STEP_SHORT ? "truncated" : "damaged");
}

/* The one loop. Each turn takes input, gives output, or is the last. */
static int unpack(const struct format *f, struct codec *c, const uint8_t *data, size_t len,
		  struct sink *sink, struct err *e)
{
	for (;;) {
		struct io io = { data, len, sink->buf, f->chunk };
		enum step s = f->step(c, &io);
		size_t given = f->chunk - io.n_out;

		if (s == STEP_MORE && given == 0 && io.n_in == len)
			s = len == 0 ? STEP_SHORT : STEP_BAD;
		if (s != STEP_MORE && s != STEP_END)
			return stream_error(f, s, e);
		if (sink_put(sink, given, e) < 0)
			return e->code;
		if (s == STEP_END)
			return 0;
		data = io.in;
		len = io.n_in;
	}
}

int decompress_to_fd(const uint8_t *data, size_t len, int fd, uint64_t max_out, uint64_t *out_len,
		     struct err *e)
{
	struct sink sink = { .fd = fd, .max = max_out };
	enum compression c = compression_probe(data, len);
	const struct format *f;
	struct codec codec;
	int rc;

	*out_len = 0;
	if (c >= ARRAY_SIZE(formats))
		return err_set(e, ERR_IMAGE, "its payload is in no compression that is known here");
	f = &formats[c];
	sink.buf = malloc(f->chunk);
	if (!sink.buf || (f->init && f->init(&codec) != STEP_MORE)) {
		rc = stream_error(f, STEP_NO_MEMORY, e);
	} else {
		rc = unpack(f, &codec, data, len, &sink, e);
		if (rc == 0)
			rc = sink_end(&sink, e);
		if (f->fini)
			f->fini(&codec);
	}
	free(sink.buf);
	*out_len = sink.total;
	return rc;
}
