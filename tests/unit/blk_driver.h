/*
 * blk_driver.h - the requests that a driver sends to a virtio disk, for the tests of virtio_blk.
 */
#ifndef TESTS_BLK_DRIVER_H
#define TESTS_BLK_DRIVER_H
#include "fake_driver.h"
#include "unit.h"
#include <linux/virtio_blk.h>
#include <vmm/base/bytes.h>

#define NO_STATUS 0xaa /* in the status byte until the device writes it */

struct sent { /* one request, and where its parts are */
	uint16_t head;
	gpa_t header, data, status;
	uint32_t len;
};

static inline gpa_t put_header(struct fake_driver *f, uint32_t type, uint64_t sector)
{
	uint8_t h[16] = { 0 };

	store_le32(h, type);
	store_le64(h + 8, sector);
	return fake_driver_put(f, h, sizeof(h));
}

static inline gpa_t put_status(struct fake_driver *f)
{
	const uint8_t none = NO_STATUS;

	return fake_driver_put(f, &none, 1);
}

/* Header, data of len bytes if there are any, status: three descriptors. */
static inline struct sent send_to(struct fake_driver *f, unsigned int qi, uint32_t type,
				  uint64_t sector, uint32_t len)
{
	bool from_device = type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID;
	struct sent s = { .header = put_header(f, type, sector),
			  .data = fake_driver_alloc(f, len),
			  .status = put_status(f),
			  .len = len };
	const struct fake_seg segs[] = {
		{ s.header, 16, false },
		{ s.data, len, from_device },
		{ s.status, 1, true },
	};
	const struct fake_seg no_data[] = { segs[0], segs[2] };

	s.head = len > 0 ? fake_driver_send(f, qi, segs, 3) : fake_driver_send(f, qi, no_data, 2);
	return s;
}

/* A discard or write-zeroes request with n ranges. */
struct blk_range {
	uint64_t sector;
	uint32_t n, flags;
};

static inline struct sent send_ranges(struct fake_driver *f, uint32_t type,
				      const struct blk_range *ranges, unsigned int n)
{
	struct sent s = { .header = put_header(f, type, 0), .status = put_status(f) };
	uint8_t raw[64 * 16];
	struct fake_seg segs[3];

	ck_assert_uint_le(n, 64);
	for (unsigned int i = 0; i < n; i++) {
		store_le64(raw + i * 16, ranges[i].sector);
		store_le32(raw + i * 16 + 8, ranges[i].n);
		store_le32(raw + i * 16 + 12, ranges[i].flags);
	}
	s.len = n * 16;
	s.data = fake_driver_put(f, raw, s.len);
	segs[0] = (struct fake_seg){ s.header, 16, false };
	segs[1] = (struct fake_seg){ s.data, s.len, false };
	segs[2] = (struct fake_seg){ s.status, 1, true };
	s.head = fake_driver_send(f, 0, segs, 3);
	return s;
}

static inline uint8_t status_of(struct fake_driver *f, const struct sent *s)
{
	uint8_t status;

	fake_driver_read(f, s->status, &status, 1);
	return status;
}

/* The request has come back, with this status and length. */
#define ck_answered(f, s, want_status, want_len)                                                   \
	do {                                                                                       \
		uint32_t ck_id_, ck_len_;                                                          \
		fake_driver_wait_used(f, 0, &ck_id_, &ck_len_);                                    \
		ck_assert_uint_eq(ck_id_, (s)->head);                                              \
		ck_assert_uint_eq(status_of(f, s), want_status);                                   \
		ck_assert_uint_eq(ck_len_, want_len);                                              \
	} while (0)

#endif
