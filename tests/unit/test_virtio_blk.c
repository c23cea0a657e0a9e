/*
 * test_virtio_blk.c - src/virtio/virtio_blk.c over a disk that the test plays: what a driver that
 * keeps the rules gets.
 */
#include "blk_driver.h"
#include "fake_blk.h"
#include "unit.h"
#include <errno.h>
#include <linux/virtio_config.h>
#include <vmm/base/util.h>
#include <vmm/virtio/virtio_blk.h>

#define BIT(n) (UINT64_C(1) << (n))
#define ALL (~UINT64_C(0))
#define CONFIG_WCE_AT ((uint32_t)offsetof(struct virtio_blk_config, wce))

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
	start(ALL & ~BIT(VIRTIO_BLK_F_RO));
}

static void stop(void)
{
	fake_driver_fini(&f);
	ck_assert(destroyed);
}

static uint64_t offered(void)
{
	return virtio_dev_offered_features(f.v, 0) | (uint64_t)virtio_dev_offered_features(f.v, 1)
							     << 32;
}

static struct virtio_blk_config config(void)
{
	struct virtio_blk_config c = { 0 };

	virtio_dev_config_read(f.v, 0, &c,
			       offsetof(struct virtio_blk_config, max_secure_erase_sectors));
	return c;
}

struct wanted {
	const char *name;
	uint64_t value;
};

static void note_counter(void *arg, const char *name, uint64_t value)
{
	struct wanted *w = arg;

	if (strcmp(name, w->name) == 0)
		w->value = value;
}

static uint64_t counter(const char *name)
{
	struct wanted w = { name, UINT64_MAX };

	virtio_dev_lock(f.v);
	f.v->ops->counters(f.v, note_counter, &w);
	virtio_dev_unlock(f.v);
	return w.value;
}

/* Requests ----------------------------------------------------------------------------------- */

START_TEST(a_read_fills_the_drivers_own_memory)
{
	uint8_t want[1536], got[1536];
	struct sent s;

	start_default();
	for (unsigned int i = 0; i < sizeof(want); i++)
		want[i] = (uint8_t)(i * 7);
	s = send_to(&f, 0, VIRTIO_BLK_T_IN, 5, sizeof(want));
	ck_assert_uint_eq(disk->n_held, 1);
	ck_assert_uint_gt(disk->n_kicks, 0);
	ck_assert_int_eq(disk->held[0]->op, BLK_READ);
	ck_assert_uint_eq(disk->held[0]->at, 5 * 512);
	ck_assert_uint_eq(fake_driver_n_used(&f, 0), 0);
	ck_assert_uint_eq(status_of(&f, &s), NO_STATUS);
	fake_blk_fill(disk->held[0], want, sizeof(want));
	fake_blk_answer(disk, 0, 0);
	ck_answered(&f, &s, VIRTIO_BLK_S_OK, sizeof(want) + 1);
	fake_driver_read(&f, s.data, got, sizeof(got));
	ck_assert_mem_eq(got, want, sizeof(want));
	ck_assert_uint_eq(f.q[0].n_interrupts, 1);
	ck_assert_uint_eq(counter("reads"), 1);
	ck_assert_uint_eq(counter("read_bytes"), sizeof(want));
	stop();
}
END_TEST

START_TEST(a_write_is_taken_from_the_drivers_own_memory)
{
	uint8_t want[1024], got[1024];
	struct sent s;
	gpa_t data;

	start_default();
	memset(want, 0x5a, sizeof(want));
	data = f.next_free + 16; /* behind the header */
	fake_driver_write(&f, data, want, sizeof(want));
	s = send_to(&f, 0, VIRTIO_BLK_T_OUT, 2046, sizeof(want));
	ck_assert_uint_eq(s.data, data);
	ck_assert_int_eq(disk->held[0]->op, BLK_WRITE);
	ck_assert_uint_eq(disk->held[0]->at, 2046 * 512);
	fake_blk_fetch(disk->held[0], got, sizeof(got));
	ck_assert_mem_eq(got, want, sizeof(want));
	fake_blk_answer(disk, 0, 0);
	ck_answered(&f, &s, VIRTIO_BLK_S_OK, 1);
	ck_assert_uint_eq(counter("writes"), 1);
	ck_assert_uint_eq(counter("write_bytes"), sizeof(want));
	stop();
}
END_TEST

START_TEST(answers_may_come_in_any_order_and_share_an_interrupt)
{
	struct sent s[8];

	start_default();
	for (unsigned int i = 0; i < 8; i++)
		s[i] = send_to(&f, 0, VIRTIO_BLK_T_IN, i, 512);
	ck_assert_uint_eq(disk->n_held, 8);
	fake_blk_answer(disk, 5, 0);
	ck_answered(&f, &s[5], VIRTIO_BLK_S_OK, 513);
	ck_assert_uint_eq(f.q[0].n_interrupts, 1);
	ck_assert_uint_eq(status_of(&f, &s[0]), NO_STATUS);
	fake_blk_answer_all(disk, 0);
	for (unsigned int i = 0; i < 8; i++) {
		if (i != 5)
			ck_answered(&f, &s[i], VIRTIO_BLK_S_OK, 513);
	}
	ck_assert_uint_le(f.q[0].n_interrupts, 2);
	stop();
}
END_TEST

START_TEST(get_id_gives_the_serial_number)
{
	char id[20];
	struct sent s;

	init();
	strcpy(spec.id, "root-1");
	start(ALL);
	s = send_to(&f, 0, VIRTIO_BLK_T_GET_ID, 0, 20);
	ck_answered(&f, &s, VIRTIO_BLK_S_OK, 21);
	fake_driver_read(&f, s.data, id, 20);
	ck_assert_mem_eq(id, "root-1\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
	s = send_to(&f, 0, VIRTIO_BLK_T_GET_ID, 99999999, 4); /* a short buffer gets what fits */
	ck_answered(&f, &s, VIRTIO_BLK_S_OK, 5);
	fake_driver_read(&f, s.data, id, 4);
	ck_assert_mem_eq(id, "root", 4);
	ck_assert_uint_eq(disk->n_submitted, 0);
	stop();
	init();
	strcpy(spec.id, "12345678901234567890");
	start(ALL);
	s = send_to(&f, 0, VIRTIO_BLK_T_GET_ID, 0, 20);
	ck_answered(&f, &s, VIRTIO_BLK_S_OK, 21);
	fake_driver_read(&f, s.data, id, 20);
	ck_assert_mem_eq(id, "12345678901234567890", 20);
	stop();
}
END_TEST

START_TEST(without_an_id_the_devices_name_is_the_serial_number)
{
	struct sent s;
	char id[20];

	start_default();
	s = send_to(&f, 0, VIRTIO_BLK_T_GET_ID, 0, 20);
	ck_answered(&f, &s, VIRTIO_BLK_S_OK, 21);
	fake_driver_read(&f, s.data, id, 20);
	ck_assert_str_eq(id, "disk0");
	stop();
}
END_TEST

START_TEST(discard_and_write_zeroes_are_done_range_by_range)
{
	const struct blk_range ranges[] = { { 8, 16, 0 }, { 100, 0, 0 }, { 2047, 1, 0 } };
	const struct blk_range zeroes[] = { { 0, 2048, 1 }, { 3, 1, 0 } };
	struct sent s;

	start_default();
	s = send_ranges(&f, VIRTIO_BLK_T_DISCARD, ranges, 3);
	ck_assert_uint_eq(disk->n_held, 1);
	ck_assert_int_eq(disk->held[0]->op, BLK_DISCARD);
	ck_assert_uint_eq(disk->held[0]->at, 8 * 512);
	ck_assert_uint_eq(disk->held[0]->len, 16 * 512);
	fake_blk_answer(disk, 0, 0);
	ck_assert_uint_eq(fake_driver_n_used(&f, 0), 0);
	ck_assert_uint_eq(disk->held[0]->at, 2047 * 512); /* the empty one is left out */
	fake_blk_answer(disk, 0, 0);
	ck_answered(&f, &s, VIRTIO_BLK_S_OK, 1);
	ck_assert_uint_eq(counter("discards"), 1);

	s = send_ranges(&f, VIRTIO_BLK_T_WRITE_ZEROES, zeroes, 2);
	ck_assert_int_eq(disk->held[0]->op, BLK_WRITE_ZEROES);
	ck_assert(disk->held[0]->unmap);
	ck_assert_uint_eq(disk->held[0]->len, MIB);
	fake_blk_answer(disk, 0, 0);
	ck_assert(!disk->held[0]->unmap);
	fake_blk_answer(disk, 0, 0);
	ck_answered(&f, &s, VIRTIO_BLK_S_OK, 1);
	ck_assert_uint_eq(counter("write_zeroes"), 1);
	stop();
}
END_TEST

START_TEST(the_first_range_that_fails_ends_the_request)
{
	const struct blk_range ranges[] = { { 8, 16, 0 }, { 100, 8, 0 } };
	struct sent s;

	start_default();
	s = send_ranges(&f, VIRTIO_BLK_T_DISCARD, ranges, 2);
	fake_blk_answer(disk, 0, -EIO);
	ck_answered(&f, &s, VIRTIO_BLK_S_IOERR, 1);
	ck_assert_uint_eq(disk->n_held, 0);
	s = send_ranges(&f, VIRTIO_BLK_T_DISCARD, ranges, 2);
	fake_blk_answer(disk, 0, -EOPNOTSUPP);
	ck_answered(&f, &s, VIRTIO_BLK_S_UNSUPP, 1);
	ck_assert_uint_eq(counter("errors"), 2);
	stop();
}
END_TEST

START_TEST(ranges_without_sectors_are_done_at_once)
{
	const struct blk_range ranges[] = { { 8, 0, 0 }, { 2048, 0, 0 } };
	struct sent s;

	start_default();
	s = send_ranges(&f, VIRTIO_BLK_T_DISCARD, ranges, 2);
	ck_answered(&f, &s, VIRTIO_BLK_S_OK, 1);
	ck_assert_uint_eq(disk->n_submitted, 0);
	stop();
}
END_TEST

/* Durability --------------------------------------------------------------------------------- */

static bool write_is_durable(void)
{
	struct sent s = send_to(&f, 0, VIRTIO_BLK_T_OUT, 0, 512);
	bool durable = disk->held[0]->durable;

	fake_blk_answer(disk, 0, 0);
	ck_answered(&f, &s, VIRTIO_BLK_S_OK, 1);
	return durable;
}

START_TEST(with_a_cache_writes_are_not_durable_and_a_flush_is_a_flush)
{
	struct sent s;

	start_default();
	ck_assert(!write_is_durable());
	s = send_to(&f, 0, VIRTIO_BLK_T_FLUSH, 0, 0);
	ck_assert_int_eq(disk->held[0]->op, BLK_FLUSH);
	ck_assert_uint_eq(fake_driver_n_used(&f, 0), 0);
	fake_blk_answer(disk, 0, 0);
	ck_answered(&f, &s, VIRTIO_BLK_S_OK, 1);
	ck_assert_uint_eq(counter("flushes"), 1);
	s = send_to(&f, 0, VIRTIO_BLK_T_FLUSH, 0, 0);
	fake_blk_answer(disk, 0, -EIO);
	ck_answered(&f, &s, VIRTIO_BLK_S_IOERR, 1);
	stop();
}
END_TEST

START_TEST(a_driver_that_does_not_know_flush_gets_durable_writes)
{
	const struct blk_range r = { 0, 8, 0 };

	init();
	start(ALL & ~BIT(VIRTIO_BLK_F_FLUSH) & ~BIT(VIRTIO_BLK_F_CONFIG_WCE));
	ck_assert(write_is_durable());
	send_ranges(&f, VIRTIO_BLK_T_WRITE_ZEROES, &r, 1);
	ck_assert(disk->held[0]->durable);
	fake_blk_answer_all(disk, 0);
	stop();
}
END_TEST

START_TEST(the_driver_switches_the_cache_off_and_on)
{
	const uint8_t off = 0, on = 1, odd = 0x80;

	start_default();
	ck_assert_uint_eq(config().wce, 1);
	virtio_dev_config_write(f.v, CONFIG_WCE_AT, &off, 1);
	ck_assert_uint_eq(config().wce, 0);
	ck_assert(write_is_durable());
	virtio_dev_config_write(f.v, CONFIG_WCE_AT, &on, 1);
	ck_assert(!write_is_durable());
	virtio_dev_config_write(f.v, CONFIG_WCE_AT, &off, 1);
	virtio_dev_config_write(f.v, CONFIG_WCE_AT, &odd, 1);
	ck_assert_uint_eq(config().wce, 1);
	virtio_dev_config_write(f.v, CONFIG_WCE_AT, &off, 1);
	virtio_dev_set_status(f.v, 0);
	ck_assert_uint_eq(config().wce, 1); /* as after power-on */
	stop();
}
END_TEST

START_TEST(without_the_feature_the_cache_cannot_be_switched)
{
	const uint8_t off = 0;

	init();
	start(ALL & ~BIT(VIRTIO_BLK_F_CONFIG_WCE));
	virtio_dev_config_write(f.v, CONFIG_WCE_AT, &off, 1);
	ck_assert(!write_is_durable());
	stop();
	init();
	start(ALL & ~BIT(VIRTIO_BLK_F_FLUSH)); /* CONFIG_WCE without FLUSH: 5.2.5.2 */
	ck_assert_uint_eq(config().wce, 0);
	ck_assert(write_is_durable());
	stop();
}
END_TEST

START_TEST(nothing_else_in_the_configuration_can_be_written)
{
	struct virtio_blk_config before, after;
	uint8_t junk[60];

	start_default();
	before = config();
	memset(junk, 0xff, sizeof(junk));
	for (uint32_t at = 0; at < sizeof(junk); at++) {
		for (uint32_t len = 1; len <= 8 && at + len <= sizeof(junk); len++) {
			if (at != CONFIG_WCE_AT || len != 1)
				virtio_dev_config_write(f.v, at, junk, len);
		}
	}
	after = config();
	ck_assert_mem_eq(&before, &after, sizeof(before));
	stop();
}
END_TEST

/* What the driver is told -------------------------------------------------------------------- */

START_TEST(features_follow_from_what_the_host_can)
{
	const uint64_t always = BIT(VIRTIO_BLK_F_SIZE_MAX) | BIT(VIRTIO_BLK_F_SEG_MAX) |
				BIT(VIRTIO_BLK_F_BLK_SIZE) | BIT(VIRTIO_BLK_F_TOPOLOGY) |
				BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_CONFIG_WCE);
	const uint64_t mine = BIT(24) - 1;

	start_default();
	ck_assert_uint_eq(offered() & mine,
			  always | BIT(VIRTIO_BLK_F_DISCARD) | BIT(VIRTIO_BLK_F_WRITE_ZEROES));
	stop();
	init();
	disk->blk.info.discard_unit = 0;
	disk->blk.info.zeroes = false;
	start(ALL);
	ck_assert_uint_eq(offered() & mine, always);
	stop();
	init();
	disk->blk.info.discard_unit = 0;
	disk->blk.info.zeroes = false;
	disk->blk.info.ro = true;
	spec.queues = 3;
	start(ALL);
	ck_assert_uint_eq(offered() & mine, always | BIT(VIRTIO_BLK_F_RO) | BIT(VIRTIO_BLK_F_MQ));
	ck_assert_uint_eq(le16toh(config().num_queues), 3);
	stop();
}
END_TEST

START_TEST(size_and_geometry_are_those_of_the_host)
{
	struct virtio_blk_config c;

	init();
	disk->blk.info = (struct blk_info){
		.size = 3 * MIB + 511, /* the last bytes are no sector */
		.logical = 4096,
		.physical = 16384,
		.offset = 8192,
		.best_min = 16384,
		.best = MIB,
		.discard_unit = 65536,
		.zeroes = true,
	};
	start(ALL);
	c = config();
	ck_assert_uint_eq(le64toh(c.capacity), 6 * 1024);
	ck_assert_uint_eq(le32toh(c.size_max), VIRTIO_BLK_SIZE_MAX);
	ck_assert_uint_eq(le32toh(c.seg_max), VIRTIO_BLK_SEG_MAX);
	ck_assert_uint_eq(le32toh(c.blk_size), 4096);
	ck_assert_uint_eq(c.physical_block_exp, 2);
	ck_assert_uint_eq(c.alignment_offset, 2);
	ck_assert_uint_eq(le16toh(c.min_io_size), 4);
	ck_assert_uint_eq(le32toh(c.opt_io_size), 256);
	ck_assert_uint_eq(le32toh(c.max_discard_sectors), 2 << 20);
	ck_assert_uint_eq(le32toh(c.max_discard_seg), 32);
	ck_assert_uint_eq(le32toh(c.discard_sector_alignment), 128);
	ck_assert_uint_eq(c.write_zeroes_may_unmap, 1);
	stop();
}
END_TEST

static bool has_new_size(void *arg)
{
	(void)arg;
	return f.n_config_interrupts > 0;
}

START_TEST(another_size_is_noticed_and_told)
{
	struct sent s;

	start_default();
	disk->size_now = 2 * MIB;
	disk->blk.info.size = 2 * MIB; /* for the double's own check */
	s = send_to(&f, 0, VIRTIO_BLK_T_IN, 2048, 512);
	ck_answered(&f, &s, VIRTIO_BLK_S_IOERR, 0);
	fake_driver_until(&f, has_new_size, NULL);
	ck_assert_uint_eq(le64toh(config().capacity), 4096);
	s = send_to(&f, 0, VIRTIO_BLK_T_IN, 2048, 512);
	fake_blk_answer(disk, 0, 0);
	ck_answered(&f, &s, VIRTIO_BLK_S_OK, 513);

	disk->size_now = 8192;
	f.n_config_interrupts = 0;
	fake_driver_until(&f, has_new_size, NULL);
	ck_assert_uint_eq(le64toh(config().capacity), 16);
	s = send_to(&f, 0, VIRTIO_BLK_T_IN, 16, 512);
	ck_answered(&f, &s, VIRTIO_BLK_S_IOERR, 0);
	stop();
}
END_TEST

/* Several queues ----------------------------------------------------------------------------- */

START_TEST(each_queue_gets_its_own_answers)
{
	struct sent s[3];
	uint32_t id, len;

	init();
	spec.queues = 3;
	start(ALL);
	for (unsigned int i = 0; i < 3; i++)
		s[i] = send_to(&f, i, VIRTIO_BLK_T_IN, i, 512);
	ck_assert_uint_eq(disk->n_held, 3);
	for (unsigned int i = 3; i-- > 0;) {
		fake_blk_answer(disk, i, 0);
		for (unsigned int k = 0; k < 3; k++)
			ck_assert_uint_eq(fake_driver_n_used(&f, k), k == i);
		ck_assert(fake_driver_take_used(&f, i, &id, &len));
		ck_assert_uint_eq(id, s[i].head);
		ck_assert_uint_eq(f.q[i].n_interrupts, 1);
	}
	stop();
}
END_TEST

/* Failures of the host ----------------------------------------------------------------------- */

START_TEST(an_error_of_the_host_is_an_error_of_the_disk_and_counted)
{
	static const int errors[] = { -EIO, -ENOSPC, -ENOMEM, -EFBIG };
	struct sent s;

	start_default();
	for (unsigned int i = 0; i < ARRAY_SIZE(errors); i++) {
		s = send_to(&f, 0, VIRTIO_BLK_T_OUT, 0, 4096);
		fake_blk_answer(disk, 0, errors[i]);
		ck_answered(&f, &s, VIRTIO_BLK_S_IOERR, 1);
		ck_assert_uint_eq(counter("errors"), i + 1);
	}
	s = send_to(&f, 0, VIRTIO_BLK_T_IN, 0, 4096);
	fake_blk_answer(disk, 0, -EIO);
	ck_answered(&f, &s, VIRTIO_BLK_S_IOERR, 0);
	s = send_to(&f, 0, VIRTIO_BLK_T_OUT, 0, 4096); /* and then there is room again */
	fake_blk_answer(disk, 0, 0);
	ck_answered(&f, &s, VIRTIO_BLK_S_OK, 1);
	ck_assert_uint_eq(counter("writes"), 1);
	ck_assert(!fake_driver_needs_reset(&f));
	stop();
}
END_TEST

/* Reset -------------------------------------------------------------------------------------- */

START_TEST(a_reset_waits_for_the_host_and_leaves_the_ring_alone)
{
	struct sent s[4];
	uint16_t used;

	start_default();
	for (unsigned int i = 0; i < 4; i++)
		s[i] = send_to(&f, 0, VIRTIO_BLK_T_IN, i, 512);
	virtio_dev_set_status(f.v, 0);
	ck_assert_uint_ne(virtio_dev_status(f.v), 0);
	fake_driver_kick(&f, 0);
	for (unsigned int i = 0; i < 4; i++) {
		ck_assert_uint_ne(virtio_dev_status(f.v), 0);
		fake_blk_answer(disk, 0, i % 2 ? 0 : -EIO);
	}
	ck_assert_uint_eq(virtio_dev_status(f.v), 0);
	fake_driver_read(&f, f.q[0].used + 2, &used, 2);
	ck_assert_uint_eq(used, 0);
	for (unsigned int i = 0; i < 4; i++)
		ck_assert_uint_eq(status_of(&f, &s[i]), NO_STATUS);
	ck_assert_uint_eq(f.q[0].n_interrupts, 0);
	fake_driver_start(&f, ALL); /* and from the beginning */
	s[0] = send_to(&f, 0, VIRTIO_BLK_T_IN, 0, 512);
	fake_blk_answer(disk, 0, 0);
	ck_answered(&f, &s[0], VIRTIO_BLK_S_OK, 513);
	stop();
}
END_TEST

START_TEST(a_reset_ends_a_discard_after_the_range_it_is_at)
{
	const struct blk_range ranges[] = { { 0, 8, 0 }, { 8, 8, 0 }, { 16, 8, 0 } };

	start_default();
	send_ranges(&f, VIRTIO_BLK_T_DISCARD, ranges, 3);
	virtio_dev_set_status(f.v, 0);
	fake_blk_answer(disk, 0, 0);
	ck_assert_uint_eq(disk->n_held, 0);
	ck_assert_uint_eq(virtio_dev_status(f.v), 0);
	stop();
}
END_TEST

START_TEST(a_power_cycle_drains)
{
	start_default();
	for (unsigned int i = 0; i < 100; i++)
		send_to(&f, 0, VIRTIO_BLK_T_OUT, i, 512);
	virtio_dev_reset(f.v);
	ck_assert_uint_eq(virtio_dev_status(f.v), 0);
	ck_assert_uint_gt(disk->n_drains, 0);
	ck_assert_uint_eq(disk->n_held, 0);
	stop();
}
END_TEST

START_TEST(the_end_drains)
{
	start_default();
	for (unsigned int i = 0; i < 50; i++)
		send_to(&f, 0, VIRTIO_BLK_T_IN, i, 512);
	stop();
}
END_TEST

START_TEST(resets_in_a_row_with_requests_in_flight_lose_nothing)
{
	start_default();
	disk->at_once = true;
	for (unsigned int i = 0; i < 50; i++) {
		for (unsigned int k = 0; k <= i % 5; k++)
			send_to(&f, 0, VIRTIO_BLK_T_OUT, k, 512);
		disk->at_once = i % 2;
		if (i % 3 == 0)
			virtio_dev_set_status(f.v, 0);
		virtio_dev_set_status(f.v, 0);
		fake_blk_answer_all(disk, 0);
		ck_assert_uint_eq(virtio_dev_status(f.v), 0);
		fake_driver_start(&f, ALL);
	}
	stop();
}
END_TEST

/* Limits ------------------------------------------------------------------------------------- */

static bool has_two_more(void *arg)
{
	(void)arg;
	return disk->n_submitted == 4;
}

START_TEST(what_may_not_pass_yet_waits_in_the_ring_in_order)
{
	uint64_t from;

	init();
	spec.rate = (struct rate_spec){ .ops_per_s = 5, .ops_burst = 2 };
	start(ALL);
	from = evloop_now_ns();
	for (unsigned int i = 0; i < 4; i++)
		send_to(&f, 0, VIRTIO_BLK_T_IN, i, 512);
	ck_assert_uint_eq(disk->n_submitted, 2);
	fake_driver_until(&f, has_two_more, NULL);
	ck_assert_uint_ge(evloop_now_ns() - from, 399 * NS_PER_MS);
	for (unsigned int i = 0; i < 4; i++)
		ck_assert_uint_eq(disk->held[i]->at, i * 512);
	ck_assert_uint_ge(counter("rate_waits"), 2);
	fake_blk_answer_all(disk, 0);
	ck_assert_uint_eq(fake_driver_n_used(&f, 0), 4);
	stop();
}
END_TEST

START_TEST(bytes_are_limited_too_and_a_reset_meanwhile_is_fine)
{
	init();
	spec.rate = (struct rate_spec){ .bytes_per_s = 10000, .bytes_burst = 4096 };
	start(ALL);
	send_to(&f, 0, VIRTIO_BLK_T_OUT, 0, 4096);
	send_to(&f, 0, VIRTIO_BLK_T_OUT, 0, 4096);
	ck_assert_uint_eq(disk->n_submitted, 1);
	fake_blk_answer_all(disk, 0);
	virtio_dev_set_status(f.v, 0);
	ck_assert_uint_eq(virtio_dev_status(f.v), 0); /* what waits is not at the host */
	fake_driver_start(&f, ALL);
	disk->n_submitted = 3;
	send_to(&f, 0, VIRTIO_BLK_T_OUT, 0, 512);
	fake_driver_until(&f, has_two_more, NULL);
	fake_blk_answer_all(disk, 0);
	send_to(&f, 0, VIRTIO_BLK_T_OUT, 0, 4096);
	stop(); /* with one that waits */
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("virtio_blk");

	UNIT_TEST(s, a_read_fills_the_drivers_own_memory);
	UNIT_TEST(s, a_write_is_taken_from_the_drivers_own_memory);
	UNIT_TEST(s, answers_may_come_in_any_order_and_share_an_interrupt);
	UNIT_TEST(s, get_id_gives_the_serial_number);
	UNIT_TEST(s, without_an_id_the_devices_name_is_the_serial_number);
	UNIT_TEST(s, discard_and_write_zeroes_are_done_range_by_range);
	UNIT_TEST(s, the_first_range_that_fails_ends_the_request);
	UNIT_TEST(s, ranges_without_sectors_are_done_at_once);
	UNIT_TEST(s, with_a_cache_writes_are_not_durable_and_a_flush_is_a_flush);
	UNIT_TEST(s, a_driver_that_does_not_know_flush_gets_durable_writes);
	UNIT_TEST(s, the_driver_switches_the_cache_off_and_on);
	UNIT_TEST(s, without_the_feature_the_cache_cannot_be_switched);
	UNIT_TEST(s, nothing_else_in_the_configuration_can_be_written);
	UNIT_TEST(s, features_follow_from_what_the_host_can);
	UNIT_TEST(s, size_and_geometry_are_those_of_the_host);
	UNIT_TEST(s, another_size_is_noticed_and_told);
	UNIT_TEST(s, each_queue_gets_its_own_answers);
	UNIT_TEST(s, an_error_of_the_host_is_an_error_of_the_disk_and_counted);
	UNIT_TEST(s, a_reset_waits_for_the_host_and_leaves_the_ring_alone);
	UNIT_TEST(s, a_reset_ends_a_discard_after_the_range_it_is_at);
	UNIT_TEST(s, a_power_cycle_drains);
	UNIT_TEST(s, the_end_drains);
	UNIT_TEST(s, resets_in_a_row_with_requests_in_flight_lose_nothing);
	UNIT_TEST(s, what_may_not_pass_yet_waits_in_the_ring_in_order);
	UNIT_TEST(s, bytes_are_limited_too_and_a_reset_meanwhile_is_fine);
	return s;
}

UNIT_MAIN("virtio_blk", suite)
