/*
 * bytes.h - little-endian numbers in byte buffers, for file headers and tables; bytes of zero.
 *
 * Any alignment, any host byte order; the caller has checked the bounds.
 */
#ifndef VMM_BASE_BYTES_H
#define VMM_BASE_BYTES_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint16_t load_le16(const void *p)
{
	const uint8_t *b = p;

	return (uint16_t)(b[0] | b[1] << 8);
}

static inline uint32_t load_le32(const void *p)
{
	const uint8_t *b = p;

	return load_le16(b) | (uint32_t)load_le16(b + 2) << 16;
}

static inline uint64_t load_le64(const void *p)
{
	const uint8_t *b = p;

	return load_le32(b) | (uint64_t)load_le32(b + 4) << 32;
}

static inline void store_le16(void *p, uint16_t v)
{
	uint8_t *b = p;

	b[0] = (uint8_t)v;
	b[1] = (uint8_t)(v >> 8);
}

static inline void store_le32(void *p, uint32_t v)
{
	store_le16(p, (uint16_t)v);
	store_le16((uint8_t *)p + 2, (uint16_t)(v >> 16));
}

static inline void store_le64(void *p, uint64_t v)
{
	store_le32(p, (uint32_t)v);
	store_le32((uint8_t *)p + 4, (uint32_t)(v >> 32));
}

/* All of len bytes, of which there is at least one. */
static inline bool bytes_are_zero(const void *p, size_t len)
{
	const uint8_t *b = p;

	return b[0] == 0 && memcmp(b, b + 1, len - 1) == 0;
}

#endif
