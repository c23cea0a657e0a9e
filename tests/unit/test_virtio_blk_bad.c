/*
 * test_virtio_blk_bad.c - src/virtio/virtio_blk.c and a driver that sends what no driver should.
 *
 * The backend is a double that itself checks what it is given: inside the disk, whole sectors,
 * nothing but reads on a disk that is read-only. See also test_virtq for rings and chains.
 */
#include "blk_driver.h"
#include "fake_blk.h"
#include "touches.h"
#include "unit.h"
#include <errno.h>
#include <linux/virtio_config.h>
#include <vmm/base/util.h>
#include <vmm/virtio/virtio_blk.h>

#define ALL (~UINT64_C(0))
#define SECTORS 2048u /* of the disk */

static struct fake_driver f;
static struct fake_blk *disk;
static struct disk_spec spec;
static bool destroyed;

static void init(void)
{
	log_set_level(LOG_ERROR);
	fake_driver_init(&f);
	disk = fake_blk_create(f.loop, &destroyed);
	spec = (struct disk_spec){ .path = (char *)"a.img", .queues = 1 };
}

static void start(uint64_t features)
{
	struct virtio_dev *v;
	struct err e;

	ck_ok(virtio_blk_create_on(&v, &disk->blk, &spec, "disk0", &f.env, &e));
	fake_driver_attach(&f, v);
	fake_driver_start(&f, features);
}

static void start_default(void)
{
	init();
	start(ALL);
}

/* Whatever happened before: the device works. */
static void still_works(void)
{
	struct sent s = send_to(&f, 0, VIRTIO_BLK_T_IN, 0, 512);

	ck_assert(!fake_driver_needs_reset(&f));
	ck_assert_uint_eq(disk->n_held, 1);
	fake_blk_answer(disk, 0, 0);
	ck_answered(&f, &s, VIRTIO_BLK_S_OK, 513);
}

static void stop(void)
{
	still_works();
	fake_driver_fini(&f);
	ck_assert(destroyed);
}

/* Place and length --------------------------------------------------------------------------- */

static const struct {
	uint64_t sector;
	uint32_t len;
	bool fine;
} places[] = {
	{ 0, 512, true },
	{ SECTORS - 1, 512, true },
	{ 0, SECTORS * 512, true },
	{ 1, (SECTORS - 1) * 512, true },
	{ SECTORS, 512, false },
	{ SECTORS + 1, 512, false },
	{ SECTORS - 1, 1024, false },
	{ 1, SECTORS * 512, false },
	{ 0, (SECTORS + 1) * 512, false },
	{ UINT64_MAX, 512, false },
	{ UINT64_MAX - 1, 1024, false },
	{ UINT64_MAX / 512, 512, false },
	{ UINT64_MAX / 512 + 1, 512, false }, /* as bytes: 0 */
	{ UINT64_MAX / 512 + 2, 512, false }, /* as bytes: 512 */
	{ UINT64_C(1) << 63, 512, false },
	{ UINT64_C(1) << 55, 512, false },
	{ UINT64_C(1) << 54, 512, false },
	{ UINT32_MAX, 512, false },
	{ 0, 1, false },
	{ 0, 511, false },
	{ 0, 513, false },
	{ SECTORS - 1, 511, false },
	{ 0, 4095, false },
};

START_TEST(a_request_is_inside_the_disk_and_of_whole_sectors_or_fails)
{
	static const uint32_t types[] = { VIRTIO_BLK_T_IN, VIRTIO_BLK_T_OUT };

	start_default();
	for (unsigned int t = 0; t < 2; t++) {
		bool fine = places[_i].fine;
		/* Of a read that failed nothing is promised (VIRTIO 1.2, 2.7.8.2). */
		uint32_t written = types[t] == VIRTIO_BLK_T_OUT ? 1 : fine ? places[_i].len + 1 : 0;
		struct sent s = send_to(&f, 0, types[t], places[_i].sector, places[_i].len);

		ck_assert_uint_eq(disk->n_held, fine);
		if (fine)
			fake_blk_answer(disk, 0, 0);
		ck_answered(&f, &s, fine ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR, written);
	}
	stop();
}
END_TEST

START_TEST(a_request_without_data_is_done_at_once_wherever_it_is_allowed)
{
	struct sent s;

	start_default();
	s = send_to(&f, 0, VIRTIO_BLK_T_IN, 0, 0);
	ck_answered(&f, &s, VIRTIO_BLK_S_OK, 1);
	s = send_to(&f, 0, VIRTIO_BLK_T_OUT, SECTORS, 0);
	ck_answered(&f, &s, VIRTIO_BLK_S_OK, 1);
	s = send_to(&f, 0, VIRTIO_BLK_T_OUT, SECTORS + 1, 0);
	ck_answered(&f, &s, VIRTIO_BLK_S_IOERR, 1);
	ck_assert_uint_eq(disk->n_submitted, 0);
	stop();
}
END_TEST

/* 200 descriptors of the same 16 MiB less a bit: 3 GiB in one request, all of it RAM. */
START_TEST(bytes_of_a_request_are_bounded_by_a_constant_not_by_what_it_claims)
{
	struct fake_seg segs[202];
	struct sent s;

	init();
	disk->blk.info.size = UINT64_C(1) << 40;
	start(ALL);
	s = (struct sent){ .header = put_header(&f, VIRTIO_BLK_T_OUT, 0),
			   .status = put_status(&f) };
	segs[0] = (struct fake_seg){ s.header, 16, false };
	for (unsigned int i = 1; i < 201; i++)
		segs[i] = (struct fake_seg){ 0, FAKE_DRIVER_RAM, false };
	segs[201] = (struct fake_seg){ s.status, 1, true };
	s.head = fake_driver_send(&f, 0, segs, 202);
	ck_answered(&f, &s, VIRTIO_BLK_S_IOERR, 1);
	ck_assert_uint_eq(disk->n_submitted, 0);
	stop();
}
END_TEST

START_TEST(the_largest_request_that_is_offered_passes)
{
	static struct fake_seg segs[VIRTIO_BLK_SEG_MAX + 2];
	const unsigned int n = VIRTIO_BLK_SEG_MAX + 2;
	struct sent s;

	init();
	disk->blk.info.size = UINT64_C(1) << 40;
	start(ALL);
	s = (struct sent){ .header = put_header(&f, VIRTIO_BLK_T_OUT, 0),
			   .status = put_status(&f) };
	segs[0] = (struct fake_seg){ s.header, 16, false };
	for (unsigned int i = 1; i <= VIRTIO_BLK_SEG_MAX; i++)
		segs[i] = (struct fake_seg){ i * 512, VIRTIO_BLK_SIZE_MAX, false };
	segs[n - 1] = (struct fake_seg){ s.status, 1, true };
	for (unsigned int round = 0; round < 2; round++) {
		s.head = round ? fake_driver_indirect(&f, 0, segs, n)
			       : fake_driver_chain(&f, 0, segs, n);
		fake_driver_publish(&f, 0, s.head);
		fake_driver_kick(&f, 0);
		ck_assert_uint_eq(disk->n_held, 1);
		ck_assert_uint_eq(disk->held[0]->n_iov, VIRTIO_BLK_SEG_MAX);
		fake_blk_answer(disk, 0, 0);
		ck_answered(&f, &s, VIRTIO_BLK_S_OK, 1);
	}
	stop();
}
END_TEST

/* One request of 15 MiB, by a table: that many pieces of one place in RAM. */
static struct sent send_large(void)
{
	static struct fake_seg segs[242];
	struct sent s = { .header = put_header(&f, VIRTIO_BLK_T_OUT, 0), .status = put_status(&f) };

	segs[0] = (struct fake_seg){ s.header, 16, false };
	for (unsigned int i = 1; i <= 240; i++)
		segs[i] = (struct fake_seg){ 0x800000, VIRTIO_BLK_SIZE_MAX, false };
	segs[241] = (struct fake_seg){ s.status, 1, true };
	s.head = fake_driver_indirect(&f, 0, segs, 242);
	fake_driver_publish(&f, 0, s.head);
	fake_driver_kick(&f, 0);
	return s;
}

START_TEST(only_so_many_bytes_are_at_the_host_at_once)
{
	struct sent s[4];

	init();
	disk->blk.info.size = UINT64_C(1) << 40;
	start(ALL);
	for (unsigned int i = 0; i < 4; i++)
		s[i] = send_large();
	ck_assert_uint_eq(disk->n_held, VIRTIO_BLK_MAX_IN_FLIGHT / (15 * MIB));
	for (unsigned int i = 0; i < 4; i++) {
		ck_assert_uint_ge(disk->n_held, 1);
		fake_blk_answer(disk, 0, 0);
		fake_driver_idle(&f);
		ck_answered(&f, &s[i], VIRTIO_BLK_S_OK, 1);
	}
	ck_assert_uint_eq(disk->n_held, 0);
	stop();
}
END_TEST

/* Shape -------------------------------------------------------------------------------------- */

/* Sends a chain and expects it back with this status (NO_STATUS: none was written) and length. */
static void expect_chain(const struct fake_seg *segs, unsigned int n, gpa_t status, uint8_t want)
{
	uint32_t id, len;
	uint16_t head;
	uint8_t got;

	head = fake_driver_send(&f, 0, segs, n);
	if (disk->n_held)
		fake_blk_answer(disk, 0, 0);
	fake_driver_wait_used(&f, 0, &id, &len);
	ck_assert_uint_eq(id, head);
	fake_driver_read(&f, status, &got, 1);
	ck_assert_uint_eq(got, want);
	if (want == NO_STATUS)
		ck_assert_uint_eq(len, 0);
}

START_TEST(a_request_without_a_place_for_its_status_comes_back_untouched)
{
	struct fake_seg segs[3];
	gpa_t status;

	start_default();
	status = put_status(&f);
	segs[0] = (struct fake_seg){ put_header(&f, VIRTIO_BLK_T_OUT, 0), 16, false };
	segs[1] = (struct fake_seg){ fake_driver_alloc(&f, 512), 512, false };
	segs[2] = (struct fake_seg){ status, 1, false }; /* there, but not ours to write */
	expect_chain(segs, 1, status, NO_STATUS);
	expect_chain(segs, 2, status, NO_STATUS);
	expect_chain(segs, 3, status, NO_STATUS);
	segs[2] = (struct fake_seg){ status, 0, true }; /* ours, but empty */
	expect_chain(segs, 3, status, NO_STATUS);
	expect_chain(&segs[2], 1, status, NO_STATUS);
	ck_assert_uint_eq(disk->n_submitted, 0);
	stop();
}
END_TEST

START_TEST(a_short_header_is_an_error)
{
	struct fake_seg segs[2];
	gpa_t header, status;

	start_default();
	header = put_header(&f, VIRTIO_BLK_T_FLUSH, 0);
	for (uint32_t len = 0; len < 16; len++) {
		status = put_status(&f);
		segs[0] = (struct fake_seg){ header, len, false };
		segs[1] = (struct fake_seg){ status, 1, true };
		expect_chain(segs, 2, status, VIRTIO_BLK_S_IOERR);
	}
	status = put_status(&f);
	segs[1] = (struct fake_seg){ status, 1, true };
	expect_chain(&segs[1], 1, status, VIRTIO_BLK_S_IOERR); /* nothing but a status */
	ck_assert_uint_eq(disk->n_submitted, 0);
	stop();
}
END_TEST

/* What the driver might change meanwhile is read once. */
START_TEST(a_header_is_read_once)
{
	gpa_t page, status;
	struct fake_seg segs[2];
	unsigned int one;
	uint8_t raw[16];
	uint32_t id, len;

	start_default();
	page = align_up(fake_driver_alloc(&f, 2 * 4096), 4096); /* nothing else is in it */
	store_le32(raw, VIRTIO_BLK_T_GET_ID);
	fake_driver_write(&f, page, raw, sizeof(raw));
	status = put_status(&f);
	segs[0] = (struct fake_seg){ page, sizeof(raw), false };
	segs[1] = (struct fake_seg){ status, 1, true };
	one = touches_of_one_read(f.mem, page, raw, sizeof(raw));
	touches_begin(f.mem, page, 4096, NULL);
	fake_driver_send(&f, 0, segs, 2);
	ck_assert_uint_eq(touches_end(), one);
	ck_assert(fake_driver_take_used(&f, 0, &id, &len));
	stop();
}
END_TEST

START_TEST(header_data_and_status_may_be_cut_anywhere)
{
	struct fake_seg segs[64];
	uint8_t want[512], got[512];
	gpa_t all, in;

	start_default();
	for (unsigned int i = 0; i < 512; i++)
		want[i] = (uint8_t)(i * 5);
	/* A write: 16 bytes of header and 512 of data in pieces of 1, 2, 3 ... bytes, one empty. */
	for (unsigned int step = 1; step < 30; step += 7) {
		unsigned int n = 0, left = 16 + 512, size = step;
		uint16_t head;

		all = put_header(&f, VIRTIO_BLK_T_OUT, 1);
		ck_assert_uint_eq(fake_driver_put(&f, want, 512), all + 16);
		in = put_status(&f);
		for (gpa_t at = all; left > 0; at += size, left -= size, size++) {
			size = (unsigned int)min_u64(size, left);
			segs[n++] = (struct fake_seg){ at, size, false };
		}
		segs[n++] = (struct fake_seg){ all, 0, false };
		segs[n++] = (struct fake_seg){ all, 0, true };
		segs[n++] = (struct fake_seg){ in, 1, true };
		segs[n++] = (struct fake_seg){ all, 0, true };
		head = fake_driver_send(&f, 0, segs, n);
		(void)head;
		ck_assert_uint_eq(disk->n_held, 1);
		fake_blk_fetch(disk->held[0], got, 512);
		ck_assert_mem_eq(got, want, 512);
		fake_blk_answer(disk, 0, 0);
		fake_driver_read(&f, in, got, 1);
		ck_assert_uint_eq(got[0], VIRTIO_BLK_S_OK);
		f.q[0].used_idx++;
	}
	stop();
}
END_TEST

START_TEST(data_and_status_in_one_descriptor_are_told_apart)
{
	uint8_t want[1024], got[1025];
	struct fake_seg segs[2];
	uint32_t id, len;
	gpa_t in;

	start_default();
	memset(want, 0x77, sizeof(want));
	in = fake_driver_alloc(&f, 1025);
	segs[0] = (struct fake_seg){ put_header(&f, VIRTIO_BLK_T_IN, 0), 16, false };
	segs[1] = (struct fake_seg){ in, 1025, true };
	fake_driver_send(&f, 0, segs, 2);
	fake_blk_fill(disk->held[0], want, 1024);
	fake_blk_answer(disk, 0, 0);
	fake_driver_wait_used(&f, 0, &id, &len);
	ck_assert_uint_eq(len, 1025);
	fake_driver_read(&f, in, got, 1025);
	ck_assert_mem_eq(got, want, 1024);
	ck_assert_uint_eq(got[1024], VIRTIO_BLK_S_OK);
	stop();
}
END_TEST

START_TEST(a_read_into_memory_that_is_not_writable_moves_nothing)
{
	struct fake_seg segs[3];
	gpa_t status;

	start_default();
	status = put_status(&f);
	segs[0] = (struct fake_seg){ put_header(&f, VIRTIO_BLK_T_IN, 0), 16, false };
	segs[1] = (struct fake_seg){ fake_driver_alloc(&f, 512), 512, false };
	segs[2] = (struct fake_seg){ status, 1, true };
	expect_chain(segs, 3, status, VIRTIO_BLK_S_OK); /* a read of no bytes */
	ck_assert_uint_eq(disk->n_submitted, 0);
	stop();
}
END_TEST

/* The disk writes to RAM that the header is in: what was read from it before counts. */
START_TEST(a_read_over_its_own_header_and_status_is_the_guests_own_affair)
{
	uint8_t junk[512];
	struct fake_seg segs[3];
	uint32_t id, len;
	gpa_t at;

	start_default();
	memset(junk, 0xff, sizeof(junk));
	at = align_up(fake_driver_alloc(&f, 2048), 512);
	fake_driver_write(&f, at, (uint8_t[16]){ 0 }, 16); /* IN, sector 0 */
	segs[0] = (struct fake_seg){ at, 16, false };
	segs[1] = (struct fake_seg){ at, 512, true };
	segs[2] = (struct fake_seg){ at + 100, 1, true };
	fake_driver_send(&f, 0, segs, 3);
	fake_blk_fill(disk->held[0], junk, 512);
	fake_blk_answer(disk, 0, 0);
	fake_driver_wait_used(&f, 0, &id, &len);
	fake_driver_read(&f, at + 100, junk, 1);
	ck_assert_uint_eq(junk[0], VIRTIO_BLK_S_OK);
	stop();
}
END_TEST

START_TEST(buffers_outside_of_ram_break_the_queue_and_nothing_else)
{
	struct fake_seg segs[3];

	start_default();
	segs[0] = (struct fake_seg){ put_header(&f, VIRTIO_BLK_T_IN, 0), 16, false };
	segs[1] = (struct fake_seg){ FAKE_DRIVER_RAM - 512, 1024, true };
	segs[2] = (struct fake_seg){ put_status(&f), 1, true };
	fake_driver_send(&f, 0, segs, 3);
	ck_assert(fake_driver_needs_reset(&f));
	ck_assert_uint_eq(disk->n_submitted, 0);
	fake_driver_start(&f, ALL);
	stop();
}
END_TEST

/* Types -------------------------------------------------------------------------------------- */

START_TEST(unknown_types_are_unsupported)
{
	static const uint32_t types[] = { 2,  3,          5,          6,     7,         9,
					  10, 12,         14,         15,    16,        24,
					  26, 0x80000000, 0x80000001, 0x100, 0xffffffff };

	start_default();
	for (unsigned int i = 0; i < ARRAY_SIZE(types); i++) {
		struct sent s = send_to(&f, 0, types[i], 0, 512);

		ck_answered(&f, &s, VIRTIO_BLK_S_UNSUPP, 1);
		s = send_to(&f, 0, types[i], UINT64_MAX, 0);
		ck_answered(&f, &s, VIRTIO_BLK_S_UNSUPP, 1);
	}
	ck_assert_uint_eq(disk->n_submitted, 0);
	stop();
}
END_TEST

START_TEST(what_was_not_negotiated_is_unsupported)
{
	const struct blk_range r = { 0, 8, 0 };
	struct sent s;

	init();
	start(0);
	s = send_ranges(&f, VIRTIO_BLK_T_DISCARD, &r, 1);
	ck_answered(&f, &s, VIRTIO_BLK_S_UNSUPP, 1);
	s = send_ranges(&f, VIRTIO_BLK_T_WRITE_ZEROES, &r, 1);
	ck_answered(&f, &s, VIRTIO_BLK_S_UNSUPP, 1);
	stop();
}
END_TEST

START_TEST(a_disk_that_is_read_only_takes_nothing)
{
	const struct blk_range r = { 0, 8, 0 };
	struct sent s;

	init();
	disk->blk.info.ro = true; /* a backend that lies about what else it can do */
	start(ALL);
	s = send_to(&f, 0, VIRTIO_BLK_T_OUT, 0, 512);
	ck_answered(&f, &s, VIRTIO_BLK_S_IOERR, 1);
	s = send_ranges(&f, VIRTIO_BLK_T_DISCARD, &r, 1);
	ck_answered(&f, &s, VIRTIO_BLK_S_IOERR, 1);
	s = send_ranges(&f, VIRTIO_BLK_T_WRITE_ZEROES, &r, 1);
	ck_answered(&f, &s, VIRTIO_BLK_S_IOERR, 1);
	s = send_to(&f, 0, VIRTIO_BLK_T_FLUSH, 0, 0);
	ck_answered(&f, &s, VIRTIO_BLK_S_OK, 1);
	ck_assert_uint_eq(disk->n_submitted, 0);
	stop();
}
END_TEST

START_TEST(get_id_writes_20_bytes_at_most_and_only_where_there_is_room)
{
	uint8_t got[64];
	struct sent s;

	start_default();
	s = send_to(&f, 0, VIRTIO_BLK_T_GET_ID, 0, 0);
	ck_answered(&f, &s, VIRTIO_BLK_S_OK, 1);
	s = send_to(&f, 0, VIRTIO_BLK_T_GET_ID, 0, 64);
	ck_answered(&f, &s, VIRTIO_BLK_S_OK, 20);
	fake_driver_read(&f, s.data, got, 64);
	for (unsigned int i = 20; i < 64; i++)
		ck_assert_uint_eq(got[i], 0); /* as it was */
	stop();
}
END_TEST

/* Ranges ------------------------------------------------------------------------------------- */

static const struct {
	struct blk_range r;
	uint8_t discard, zeroes;
} ranges[] = {
	{ { SECTORS, 1, 0 }, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_IOERR },
	{ { SECTORS - 1, 2, 0 }, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_IOERR },
	{ { 0, SECTORS + 1, 0 }, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_IOERR },
	{ { UINT64_MAX, 1, 0 }, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_IOERR },
	{ { UINT64_MAX, UINT32_MAX, 0 }, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_IOERR },
	{ { UINT64_MAX / 512 + 1, 1, 0 }, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_IOERR },
	{ { UINT64_C(1) << 63, 0, 0 }, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_IOERR },
	{ { 0, UINT32_MAX, 0 }, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_IOERR },
	{ { 0, VIRTIO_BLK_MAX_DISCARD_SECTORS + 1, 0 }, VIRTIO_BLK_S_IOERR, VIRTIO_BLK_S_IOERR },
	{ { 0, 8, 1 }, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_S_OK },
	{ { 0, 8, 2 }, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_S_UNSUPP },
	{ { 0, 8, 3 }, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_S_UNSUPP },
	{ { 0, 8, 0x80000000 }, VIRTIO_BLK_S_UNSUPP, VIRTIO_BLK_S_UNSUPP },
	{ { 0, 8, 0 }, VIRTIO_BLK_S_OK, VIRTIO_BLK_S_OK },
};

static void expect_range(uint32_t type, const struct blk_range *r, unsigned int n, uint8_t want)
{
	unsigned int before = disk->n_submitted;
	struct sent s = send_ranges(&f, type, r, n);

	while (disk->n_held)
		fake_blk_answer(disk, 0, 0);
	ck_answered(&f, &s, want, 1);
	ck_assert_uint_eq(disk->n_submitted - before, want == VIRTIO_BLK_S_OK ? n : 0);
}

START_TEST(a_range_is_inside_the_disk_and_its_flags_are_known_or_nothing_is_touched)
{
	const struct blk_range after_good[] = { { 0, 8, 0 }, ranges[_i].r };

	start_default();
	expect_range(VIRTIO_BLK_T_DISCARD, &ranges[_i].r, 1, ranges[_i].discard);
	expect_range(VIRTIO_BLK_T_WRITE_ZEROES, &ranges[_i].r, 1, ranges[_i].zeroes);
	expect_range(VIRTIO_BLK_T_DISCARD, after_good, 2, ranges[_i].discard);
	expect_range(VIRTIO_BLK_T_WRITE_ZEROES, after_good, 2, ranges[_i].zeroes);
	stop();
}
END_TEST

START_TEST(ranges_are_bounded_on_a_huge_disk_too)
{
	const struct blk_range discard = { 0, VIRTIO_BLK_MAX_DISCARD_SECTORS, 0 };
	const struct blk_range discard_more = { 0, VIRTIO_BLK_MAX_DISCARD_SECTORS + 1, 0 };
	const struct blk_range zero = { 0, VIRTIO_BLK_MAX_ZERO_SECTORS, 0 };
	const struct blk_range zero_more = { 0, VIRTIO_BLK_MAX_ZERO_SECTORS + 1, 0 };

	init();
	disk->blk.info.size = UINT64_C(1) << 50;
	start(ALL);
	expect_range(VIRTIO_BLK_T_DISCARD, &discard, 1, VIRTIO_BLK_S_OK);
	expect_range(VIRTIO_BLK_T_DISCARD, &discard_more, 1, VIRTIO_BLK_S_IOERR);
	expect_range(VIRTIO_BLK_T_WRITE_ZEROES, &zero, 1, VIRTIO_BLK_S_OK);
	expect_range(VIRTIO_BLK_T_WRITE_ZEROES, &zero_more, 1, VIRTIO_BLK_S_IOERR);
	stop();
}
END_TEST

START_TEST(the_number_of_ranges_is_bounded)
{
	struct blk_range many[33];

	start_default();
	for (unsigned int i = 0; i < 33; i++)
		many[i] = (struct blk_range){ i * 8, 8, 0 };
	expect_range(VIRTIO_BLK_T_DISCARD, many, 32, VIRTIO_BLK_S_OK);
	expect_range(VIRTIO_BLK_T_DISCARD, many, 33, VIRTIO_BLK_S_IOERR);
	stop();
}
END_TEST

START_TEST(a_list_of_ranges_of_odd_length_is_an_error)
{
	static const uint32_t lens[] = { 0, 1, 15, 17, 31, 33, 511, 513, 4096 };

	start_default();
	for (unsigned int i = 0; i < ARRAY_SIZE(lens); i++) {
		struct sent s = send_to(&f, 0, VIRTIO_BLK_T_DISCARD, 0, lens[i]);

		ck_answered(&f, &s, VIRTIO_BLK_S_IOERR, 1);
	}
	ck_assert_uint_eq(disk->n_submitted, 0);
	stop();
}
END_TEST

/* Storms ------------------------------------------------------------------------------------- */

static bool queue_is_full(void *arg)
{
	(void)arg;
	return disk->n_held == VIRTIO_BLK_QUEUE_SIZE;
}

START_TEST(a_storm_of_flushes_is_bounded_by_the_queue)
{
	struct fake_seg segs[2];

	start_default();
	segs[0] = (struct fake_seg){ put_header(&f, VIRTIO_BLK_T_FLUSH, 0), 16, false };
	segs[1] = (struct fake_seg){ put_status(&f), 1, true };
	for (unsigned int i = 0; i < VIRTIO_BLK_QUEUE_SIZE; i++)
		fake_driver_publish(&f, 0, fake_driver_indirect(&f, 0, segs, 2));
	fake_driver_kick(&f, 0);
	fake_driver_until(&f, queue_is_full, NULL); /* it takes more than one turn */
	/* One more would need a head that is in flight. */
	fake_driver_publish(&f, 0, 0);
	fake_driver_kick(&f, 0);
	ck_assert(fake_driver_needs_reset(&f));
	ck_assert_uint_eq(disk->n_held, VIRTIO_BLK_QUEUE_SIZE);
	fake_blk_answer_all(disk, 0);
	fake_driver_start(&f, ALL);
	stop();
}
END_TEST

START_TEST(answers_to_a_broken_queue_are_not_lost)
{
	start_default();
	for (unsigned int i = 0; i < 5; i++)
		send_to(&f, 0, VIRTIO_BLK_T_IN, i, 512);
	fake_driver_publish(&f, 0, 0xffff);
	fake_driver_kick(&f, 0);
	ck_assert(fake_driver_needs_reset(&f));
	fake_blk_answer_all(disk, 0);
	virtio_dev_set_status(f.v, 0);
	ck_assert_uint_eq(virtio_dev_status(f.v), 0);
	fake_driver_start(&f, ALL);
	stop();
}
END_TEST

/* Random chains of random requests: each comes back once, and the device works to the end. */
START_TEST(random_requests_all_come_back)
{
	static const uint32_t lens[] = { 0, 1, 15, 16, 17, 511, 512, 513, 1024, 4096, 65536 };
	unsigned int seed = 42, n_back = 0, n_sent = 0;
	uint32_t id, len;
	gpa_t data;

	start_default();
	disk->at_once = true;
	data = fake_driver_alloc(&f, 65536);
	for (unsigned int i = 0; i < 400; i++) {
		struct fake_seg segs[6];
		unsigned int n = 0, n_out;
		uint8_t h[16] = { 0 };

		seed = seed * 1103515245 + 12345;
		store_le32(h, seed >> 16 & 15);
		store_le64(h + 8, seed >> 20 & 1 ? seed % SECTORS : (uint64_t)seed << 32);
		fake_driver_write(&f, data, h, 16);
		n_out = seed >> 8 & 3;
		for (n = 0; n < 1 + (seed >> 24 & 3); n++) {
			seed = seed * 1103515245 + 12345;
			segs[n] = (struct fake_seg){ data, lens[(seed >> 16) % ARRAY_SIZE(lens)],
						     n >= n_out };
		}
		fake_driver_publish(&f, 0, fake_driver_chain(&f, 0, segs, n));
		n_sent++;
		if (i % 8 == 7)
			fake_driver_kick(&f, 0);
		while (fake_driver_take_used(&f, 0, &id, &len))
			n_back++;
		disk->result = seed >> 30 ? 0 : -EIO;
	}
	fake_driver_kick(&f, 0);
	while (fake_driver_take_used(&f, 0, &id, &len))
		n_back++;
	ck_assert_uint_eq(n_back, n_sent);
	disk->at_once = false;
	stop();
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("virtio_blk_bad");

	UNIT_LOOP(s, a_request_is_inside_the_disk_and_of_whole_sectors_or_fails,
		  ARRAY_SIZE(places));
	UNIT_TEST(s, a_request_without_data_is_done_at_once_wherever_it_is_allowed);
	UNIT_TEST(s, bytes_of_a_request_are_bounded_by_a_constant_not_by_what_it_claims);
	UNIT_TEST(s, the_largest_request_that_is_offered_passes);
	UNIT_TEST(s, only_so_many_bytes_are_at_the_host_at_once);
	UNIT_TEST(s, a_request_without_a_place_for_its_status_comes_back_untouched);
	UNIT_TEST(s, a_short_header_is_an_error);
	UNIT_TEST(s, a_header_is_read_once);
	UNIT_TEST(s, header_data_and_status_may_be_cut_anywhere);
	UNIT_TEST(s, data_and_status_in_one_descriptor_are_told_apart);
	UNIT_TEST(s, a_read_into_memory_that_is_not_writable_moves_nothing);
	UNIT_TEST(s, a_read_over_its_own_header_and_status_is_the_guests_own_affair);
	UNIT_TEST(s, buffers_outside_of_ram_break_the_queue_and_nothing_else);
	UNIT_TEST(s, unknown_types_are_unsupported);
	UNIT_TEST(s, what_was_not_negotiated_is_unsupported);
	UNIT_TEST(s, a_disk_that_is_read_only_takes_nothing);
	UNIT_TEST(s, get_id_writes_20_bytes_at_most_and_only_where_there_is_room);
	UNIT_LOOP(s, a_range_is_inside_the_disk_and_its_flags_are_known_or_nothing_is_touched,
		  ARRAY_SIZE(ranges));
	UNIT_TEST(s, ranges_are_bounded_on_a_huge_disk_too);
	UNIT_TEST(s, the_number_of_ranges_is_bounded);
	UNIT_TEST(s, a_list_of_ranges_of_odd_length_is_an_error);
	UNIT_TEST(s, a_storm_of_flushes_is_bounded_by_the_queue);
	UNIT_TEST(s, answers_to_a_broken_queue_are_not_lost);
	UNIT_TEST(s, random_requests_all_come_back);
	return s;
}

UNIT_MAIN("virtio_blk_bad", suite)
