/*
 * test_virtq.c - one virtqueue against drivers that keep the rules, and drivers that do not.
 *
 * RAM is two regions with a hole between them, as in a PC with more than 3 GiB.
 */
#include "touches.h"
#include "unit.h"
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <vmm/base/bytes.h>
#include <vmm/base/util.h>
#include <vmm/virtio/virtq.h>

#define LOW_END (1 * MIB)
#define HIGH (16 * MIB)
#define HIGH_END (HIGH + 1 * MIB)
#define SIZE 8u
#define DESC 0x1000u
#define AVAIL 0x2000u
#define USED 0x3000u
#define BUFFER 0x4000u
#define NEXT VRING_DESC_F_NEXT
#define WRITE VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT
#define ALL_FEATURES                                                                               \
	(UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC | UINT64_C(1) << VIRTIO_RING_F_EVENT_IDX)

static struct gmem *mem;
static struct virtq q;
static struct vchain c;
static uint16_t avail_idx;

static void setup(void)
{
	struct err e;

	ck_ok(gmem_create(&mem, &e));
	ck_ok(gmem_add_ram(mem, 0, LOW_END, &e));
	ck_ok(gmem_add_ram(mem, HIGH, HIGH_END - HIGH, &e));
	q = (struct virtq){ .max_size = SIZE };
	avail_idx = 0;
}

static void teardown(void)
{
	gmem_destroy(mem);
}

static bool start_at(gpa_t desc, gpa_t avail, gpa_t used, uint64_t features)
{
	virtq_reset(&q);
	q.enabled = true;
	q.desc = desc;
	q.avail = avail;
	q.used = used;
	return virtq_start(&q, mem, features);
}

static void start(uint64_t features)
{
	ck_assert(start_at(DESC, AVAIL, USED, features));
}

static void desc_at(gpa_t table, unsigned int i, gpa_t addr, uint32_t len, unsigned int flags,
		    unsigned int next)
{
	uint8_t raw[16];

	store_le64(raw, addr);
	store_le32(raw + 8, len);
	store_le16(raw + 12, (uint16_t)flags);
	store_le16(raw + 14, (uint16_t)next);
	ck_assert(gmem_write(mem, table + 16ull * i, raw, sizeof(raw)));
}

static void desc(unsigned int i, gpa_t addr, uint32_t len, unsigned int flags, unsigned int next)
{
	desc_at(DESC, i, addr, len, flags, next);
}

static void set_avail_idx(uint16_t idx)
{
	avail_idx = idx;
	ck_assert(gmem_store_le16(mem, AVAIL + 2, idx));
}

static void publish(uint16_t head)
{
	ck_assert(gmem_store_le16(mem, AVAIL + 4 + 2 * (avail_idx % SIZE), head));
	set_avail_idx((uint16_t)(avail_idx + 1));
}

static uint16_t le16_at(gpa_t at)
{
	uint16_t v;

	ck_assert(gmem_load_le16(mem, at, &v));
	return v;
}

static uint32_t le32_at(gpa_t at)
{
	uint32_t v;

	ck_assert(gmem_load_le32(mem, at, &v));
	return v;
}

/* The driver has broken the queue: it says why, and gives nothing any more. */
static void check_broken(const char *why)
{
	ck_assert(!virtq_pop(&q, &c));
	ck_assert_msg(q.broken && strstr(q.broken, why), "\"%s\" lacks \"%s\"",
		      q.broken ? q.broken : "(not broken)", why);
	ck_assert(!virtq_pop(&q, &c));
	ck_assert_uint_eq(q.n_in_flight, 0);
}

/* Good drivers ------------------------------------------------------------------------------- */

START_TEST(an_empty_queue_gives_nothing)
{
	start(0);
	ck_assert(!virtq_pop(&q, &c));
	ck_assert_ptr_null(q.broken);
}
END_TEST

START_TEST(a_chain_is_popped_with_its_segments_and_pushed_with_its_length)
{
	start(0);
	desc(3, BUFFER, 16, NEXT, 5);
	desc(5, BUFFER + 0x100, 32, NEXT | WRITE, 1);
	desc(1, BUFFER + 0x200, 64, WRITE, 7);
	publish(3);
	ck_assert(virtq_pop(&q, &c));
	ck_assert_uint_eq(c.head, 3);
	ck_assert_uint_eq(c.n_readable, 1);
	ck_assert_uint_eq(c.n_segs, 3);
	ck_assert_uint_eq(c.readable, 16);
	ck_assert_uint_eq(c.writable, 96);
	ck_assert_uint_eq(q.n_in_flight, 1);
	ck_assert(!virtq_pop(&q, &c));
	virtq_put(&q, 3, 77);
	ck_assert_uint_eq(le16_at(USED + 2), 0);
	virtq_publish(&q);
	ck_assert_uint_eq(le16_at(USED + 2), 1);
	ck_assert_uint_eq(le32_at(USED + 4), 3);
	ck_assert_uint_eq(le32_at(USED + 8), 77);
	ck_assert_uint_eq(q.n_in_flight, 0);
}
END_TEST

START_TEST(indices_wrap_around)
{
	start(0);
	desc(0, BUFFER, 1, 0, 0);
	for (unsigned int i = 0; i < 70000; i++) {
		publish(0);
		ck_assert(virtq_pop(&q, &c));
		virtq_put(&q, 0, i);
		virtq_publish(&q);
		ck_assert_uint_eq(le16_at(USED + 2), (uint16_t)(i + 1));
		ck_assert_uint_eq(le32_at(USED + 4 + 8 * (i % SIZE) + 4), i);
	}
}
END_TEST

START_TEST(a_chain_as_long_as_the_queue_is_allowed)
{
	start(0);
	for (unsigned int i = 0; i < SIZE; i++)
		desc(i, BUFFER + i, 1, i < SIZE - 1 ? NEXT : 0, i + 1);
	publish(0);
	ck_assert(virtq_pop(&q, &c));
	ck_assert_uint_eq(c.n_segs, SIZE);
}
END_TEST

START_TEST(an_indirect_table_is_a_chain)
{
	start(ALL_FEATURES);
	desc_at(BUFFER, 0, 0x8000, 8, NEXT, 2);
	desc_at(BUFFER, 2, 0x9000, 9, NEXT | WRITE, 1);
	desc_at(BUFFER, 1, 0xa000, 10, WRITE, 0);
	desc(4, BUFFER, 3 * 16, INDIRECT | WRITE, 9); /* 2.7.5.3.2: WRITE is ignored here */
	publish(4);
	ck_assert(virtq_pop(&q, &c));
	ck_assert_uint_eq(c.head, 4);
	ck_assert_uint_eq(c.readable, 8);
	ck_assert_uint_eq(c.writable, 19);
}
END_TEST

START_TEST(an_indirect_table_may_be_as_long_as_the_queue)
{
	start(ALL_FEATURES);
	for (unsigned int i = 0; i < SIZE; i++)
		desc_at(BUFFER, i, 0x8000 + i, 1, i < SIZE - 1 ? NEXT : 0, i + 1);
	desc(0, BUFFER, 16 * SIZE, INDIRECT, 0);
	publish(0);
	ck_assert(virtq_pop(&q, &c));
	ck_assert_uint_eq(c.n_segs, SIZE);
}
END_TEST

START_TEST(plain_descriptors_may_end_in_an_indirect_table)
{
	start(ALL_FEATURES);
	desc(0, 0x8000, 4, NEXT, 1);
	desc(1, BUFFER, 16, INDIRECT, 0);
	desc_at(BUFFER, 0, 0x9000, 5, WRITE, 0);
	publish(0);
	ck_assert(virtq_pop(&q, &c));
	ck_assert_uint_eq(c.readable, 4);
	ck_assert_uint_eq(c.writable, 5);
}
END_TEST

START_TEST(descriptors_of_length_0_are_no_segments)
{
	start(0);
	desc(0, 0xdead000000, 0, NEXT, 1);
	desc(1, BUFFER, 4, NEXT, 2);
	desc(2, 0, 0, WRITE, 0);
	publish(0);
	ck_assert(virtq_pop(&q, &c));
	ck_assert_uint_eq(c.n_segs, 1);
	ck_assert_uint_eq(c.readable, 4);
}
END_TEST

START_TEST(rings_may_end_with_ram)
{
	gpa_t used = HIGH_END - (6 + 8 * SIZE);

	ck_assert(start_at(HIGH_END - 16 * SIZE, AVAIL, USED, 0));
	ck_assert(start_at(DESC, HIGH_END - (6 + 2 * SIZE), USED, 0));
	ck_assert(start_at(DESC, AVAIL, align_down(used, 4), 0));
}
END_TEST

START_TEST(chains_given_back_come_again_in_order)
{
	uint16_t heads[3];

	start(0);
	for (uint16_t i = 0; i < 3; i++) {
		desc(i, BUFFER, 1, 0, 0);
		publish(i);
	}
	for (unsigned int i = 0; i < 3; i++) {
		ck_assert(virtq_pop(&q, &c));
		heads[i] = c.head;
	}
	virtq_unpop(&q, heads[2]);
	virtq_unpop(&q, heads[1]);
	ck_assert_uint_eq(q.n_in_flight, 1);
	ck_assert(virtq_pop(&q, &c));
	ck_assert_uint_eq(c.head, 1);
	ck_assert(virtq_pop(&q, &c));
	ck_assert_uint_eq(c.head, 2);
}
END_TEST

/* Interrupts and notifications --------------------------------------------------------------- */

static void use_one(void)
{
	desc(0, BUFFER, 1, 0, 0);
	publish(0);
	ck_assert(virtq_pop(&q, &c));
	virtq_put(&q, 0, 0);
	virtq_publish(&q);
}

START_TEST(without_event_idx_a_flag_turns_interrupts_off)
{
	start(0);
	ck_assert(!virtq_wants_interrupt(&q));
	use_one();
	ck_assert(virtq_wants_interrupt(&q));
	ck_assert(!virtq_wants_interrupt(&q)); /* nothing new */
	ck_assert(gmem_store_le16(mem, AVAIL, VRING_AVAIL_F_NO_INTERRUPT));
	use_one();
	ck_assert(!virtq_wants_interrupt(&q));
}
END_TEST

START_TEST(with_event_idx_an_interrupt_comes_when_used_event_is_passed)
{
	start(ALL_FEATURES);
	ck_assert(gmem_store_le16(mem, AVAIL, VRING_AVAIL_F_NO_INTERRUPT)); /* without meaning */
	ck_assert(gmem_store_le16(mem, AVAIL + 4 + 2 * SIZE, 2));
	use_one();
	ck_assert(!virtq_wants_interrupt(&q));
	use_one();
	ck_assert(!virtq_wants_interrupt(&q));
	use_one();
	ck_assert(virtq_wants_interrupt(&q));
	use_one();
	ck_assert(!virtq_wants_interrupt(&q));
}
END_TEST

START_TEST(one_interrupt_is_enough_for_several_chains)
{
	start(ALL_FEATURES);
	ck_assert(gmem_store_le16(mem, AVAIL + 4 + 2 * SIZE, 1));
	use_one();
	use_one();
	use_one();
	ck_assert(virtq_wants_interrupt(&q));
	ck_assert(!virtq_wants_interrupt(&q));
}
END_TEST

START_TEST(an_empty_queue_asks_for_the_next_notification)
{
	start(ALL_FEATURES);
	use_one();
	use_one();
	ck_assert_uint_eq(le16_at(USED + 4 + 8 * SIZE), 0);
	ck_assert(!virtq_pop(&q, &c));
	ck_assert_uint_eq(le16_at(USED + 4 + 8 * SIZE), 2);
}
END_TEST

START_TEST(a_queue_that_is_polled_asks_for_no_notification_until_it_is_not)
{
	start(ALL_FEATURES);
	q.polled = true;
	use_one();
	ck_assert(!virtq_has_more(&q) && !virtq_pop(&q, &c));
	ck_assert_uint_eq(le16_at(USED + 4 + 8 * SIZE), 0);
	desc(0, BUFFER, 1, 0, 0);
	ck_assert(gmem_store_le16(mem, AVAIL + 2, 2));
	ck_assert(virtq_has_more(&q));
	q.polled = false;
	use_one();
	ck_assert(!virtq_pop(&q, &c));
	ck_assert_uint_eq(le16_at(USED + 4 + 8 * SIZE), 2);
	ck_assert(!virtq_has_more(&q));
}
END_TEST

/* The driver makes a chain available just when we have said that we want to hear of the next one.
 */
static void publish_meanwhile(void)
{
	(void)gmem_store_le16(mem, AVAIL + 2, 1);
}

START_TEST(a_chain_that_comes_while_we_ask_for_notifications_is_seen)
{
	start(ALL_FEATURES);
	desc(0, BUFFER, 1, 0, 0); /* and head 0 */
	touches_begin(mem, USED, 4096, publish_meanwhile);
	ck_assert(virtq_pop(&q, &c));
	ck_assert_uint_eq(touches_end(), 1);
}
END_TEST

/*
 * Each side writes a word, then reads what the other one has written; only with a full barrier in
 * between does at least one of them see the other's. The race is too rare to be waited for, so this
 * looks at the instructions. The page behind AVAIL is USED.
 */
START_TEST(a_barrier_is_between_asking_for_notifications_and_the_second_look)
{
	start(ALL_FEATURES);
	touches_begin(mem, AVAIL, 2 * 4096, NULL);
	ck_assert(!virtq_pop(&q, &c));
	ck_assert_uint_eq(touches_end(), 3); /* avail.idx, avail_event, avail.idx */
	ck_assert(touches.barrier_before[2]);
}
END_TEST

START_TEST(a_barrier_is_between_an_answer_and_the_question_whether_to_interrupt)
{
	start(ALL_FEATURES);
	desc(0, BUFFER, 1, 0, 0);
	publish(0);
	ck_assert(virtq_pop(&q, &c));
	virtq_put(&q, 0, 0);
	touches_begin(mem, AVAIL, 2 * 4096, NULL);
	virtq_publish(&q);
	(void)virtq_wants_interrupt(&q);
	ck_assert_uint_eq(touches_end(), 2); /* used.idx, used_event */
	ck_assert(touches.barrier_before[1]);
}
END_TEST

/*
 * What the driver might change meanwhile is read once: each descriptor, the index, the head.
 */
START_TEST(what_the_driver_says_is_read_once)
{
	unsigned int one, word;
	uint8_t raw[16];
	uint16_t idx;

	start(ALL_FEATURES);
	desc(3, BUFFER, 16, NEXT, 5);
	desc(5, BUFFER, 32, NEXT | WRITE, 1);
	desc(1, BUFFER, 64, WRITE, 0);
	one = touches_of_one_read(mem, DESC, raw, sizeof(raw));
	ck_assert_uint_ge(one, 1);
	publish(3);
	touches_begin(mem, DESC, 4096, NULL);
	ck_assert(virtq_pop(&q, &c));
	ck_assert_uint_eq(touches_end(), 3 * one);
	virtq_put(&q, 3, 0);

	publish(3);
	touches_begin(mem, AVAIL, 4096, NULL); /* a sanitizer's atomic load may be two */
	ck_assert(gmem_load_le16(mem, AVAIL + 2, &idx));
	word = touches_end();
	touches_begin(mem, AVAIL, 4096, NULL);
	ck_assert(virtq_pop(&q, &c));
	ck_assert_uint_eq(touches_end(), 2 * word); /* index, head */
	virtq_put(&q, 3, 0);

	desc(0, BUFFER, 16, INDIRECT, 0);
	desc_at(BUFFER, 0, 0x8000, 8, 0, 0);
	publish(0);
	touches_begin(mem, BUFFER, 4096, NULL);
	ck_assert(virtq_pop(&q, &c));
	ck_assert_uint_eq(touches_end(), one);
}
END_TEST

/* Bytes of a chain --------------------------------------------------------------------------- */

START_TEST(bytes_are_copied_across_segments)
{
	uint8_t in[10] = "abcdefghi", got[16] = { 0 };
	struct iovec iov[VCHAIN_MAX_SEGS];

	start(0);
	ck_assert(gmem_write(mem, BUFFER, in, 3));
	ck_assert(gmem_write(mem, BUFFER + 0x100, in + 3, 7));
	desc(0, BUFFER, 3, NEXT, 1);
	desc(1, BUFFER + 0x100, 7, NEXT, 2);
	desc(2, BUFFER + 0x200, 2, NEXT | WRITE, 3);
	desc(3, BUFFER + 0x300, 5, WRITE, 0);
	publish(0);
	ck_assert(virtq_pop(&q, &c));
	ck_assert_uint_eq(vchain_read(&c, got, 2), 2);
	ck_assert_uint_eq(vchain_left_readable(&c), 8);
	ck_assert_int_eq(vchain_iov_readable(&c, 4, iov), 2);
	ck_assert_uint_eq(iov[0].iov_len, 1);
	ck_assert_uint_eq(iov[1].iov_len, 3);
	ck_assert_uint_eq(vchain_skip_read(&c, 1), 1);
	ck_assert_uint_eq(vchain_read(&c, got + 2, 100), 7);
	ck_assert_uint_eq(vchain_read(&c, got, 1), 0);
	ck_assert_mem_eq(got, "abdefghi", 9);
	ck_assert_uint_eq(vchain_write(&c, "12345", 5), 5);
	ck_assert_uint_eq(vchain_left_writable(&c), 2);
	ck_assert_uint_eq(vchain_skip_write(&c, 1), 1);
	ck_assert_int_eq(vchain_iov_writable(&c, 100, iov), 1);
	ck_assert_uint_eq(vchain_write(&c, "678", 3), 1);
	ck_assert(gmem_read(mem, BUFFER + 0x200, got, 2));
	ck_assert(gmem_read(mem, BUFFER + 0x300, got + 2, 5));
	ck_assert_mem_eq(got,
			 "12345\0"
			 "6",
			 7);
	ck_assert_int_eq(vchain_iov_writable(&c, 100, iov), 0);
}
END_TEST

/* Bad drivers -------------------------------------------------------------------------------- */

START_TEST(a_size_that_is_no_power_of_two_or_too_large_does_not_start)
{
	static const uint16_t bad[] = { 0, 3, 6, 7, 9, 16, 0x7fff, 0x8000, 0xffff };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		virtq_reset(&q);
		q.desc = DESC;
		q.avail = AVAIL;
		q.used = USED;
		q.size = bad[i];
		ck_assert(!virtq_start(&q, mem, 0));
		check_broken("queue size");
	}
}
END_TEST

START_TEST(misaligned_rings_do_not_start)
{
	ck_assert(!start_at(DESC + 8, AVAIL, USED, 0));
	check_broken("misaligned");
	ck_assert(!start_at(DESC, AVAIL + 1, USED, 0));
	check_broken("misaligned");
	ck_assert(!start_at(DESC, AVAIL, USED + 2, 0));
	check_broken("misaligned");
}
END_TEST

START_TEST(rings_that_are_not_all_ram_do_not_start)
{
	static const gpa_t bad[] = {
		LOW_END - 16, LOW_END,    HIGH - 16,       HIGH_END - 16,
		HIGH_END,     0xe0000000, UINT64_MAX - 15,
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		ck_assert(!start_at(bad[i], AVAIL, USED, 0));
		check_broken("outside of RAM");
		ck_assert(!start_at(DESC, bad[i], USED, 0));
		check_broken("outside of RAM");
		ck_assert(!start_at(DESC, AVAIL, bad[i], 0));
		check_broken("outside of RAM");
	}
}
END_TEST

/* 2.7.6, 2.7.8: the word behind each ring belongs to it, whether or not it is used. */
START_TEST(a_ring_whose_event_word_is_not_ram_does_not_start)
{
	ck_assert(!start_at(DESC, HIGH_END - (4 + 2 * SIZE), USED, 0));
	check_broken("outside of RAM");
	ck_assert(!start_at(DESC, AVAIL, HIGH_END - (4 + 8 * SIZE), 0));
	check_broken("outside of RAM");
}
END_TEST

START_TEST(an_available_index_that_jumps_breaks_the_queue)
{
	static const uint16_t bad[] = { SIZE + 1, 0x7fff, 0x8000, 0xffff };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		start(0);
		set_avail_idx(bad[i]);
		check_broken("jumps");
	}
}
END_TEST

START_TEST(a_head_out_of_range_breaks_the_queue)
{
	static const uint16_t bad[] = { SIZE, SIZE + 1, 0x7fff, 0x8000, 0xffff };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		start(0);
		set_avail_idx(0);
		publish(bad[i]);
		check_broken("head out of range");
	}
}
END_TEST

START_TEST(a_head_that_is_in_flight_breaks_the_queue)
{
	start(0);
	desc(2, BUFFER, 1, 0, 0);
	publish(2);
	publish(2);
	ck_assert(virtq_pop(&q, &c));
	ck_assert(!virtq_pop(&q, &c));
	ck_assert(strstr(q.broken, "in use"));
	virtq_put(&q, 2, 0); /* its completion is harmless all the same */
	ck_assert_uint_eq(q.n_in_flight, 0);
}
END_TEST

START_TEST(a_next_out_of_range_breaks_the_queue)
{
	static const uint16_t bad[] = { SIZE, SIZE + 1, 0x7fff, 0x8000, 0xffff };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		start(0);
		set_avail_idx(0);
		desc(0, BUFFER, 1, NEXT, bad[i]);
		publish(0);
		check_broken("index out of range");
	}
}
END_TEST

/* Loops of one, two and SIZE descriptors, of bytes and of nothing. */
START_TEST(a_chain_that_loops_breaks_the_queue)
{
	static const unsigned int lengths[] = { 1, 2, SIZE };

	for (unsigned int i = 0; i < ARRAY_SIZE(lengths); i++) {
		for (uint32_t len = 0; len < 2; len++) {
			start(0);
			set_avail_idx(0);
			for (unsigned int d = 0; d < lengths[i]; d++)
				desc(d, BUFFER, len, NEXT, (d + 1) % lengths[i]);
			publish(0);
			check_broken("loops");
		}
	}
}
END_TEST

START_TEST(a_readable_descriptor_behind_a_writable_one_breaks_the_queue)
{
	start(0);
	desc(0, BUFFER, 1, NEXT | WRITE, 1);
	desc(1, BUFFER, 1, 0, 0);
	publish(0);
	check_broken("behind a writable");
}
END_TEST

START_TEST(a_buffer_that_is_not_all_ram_breaks_the_queue)
{
	static const struct {
		gpa_t at;
		uint32_t len;
	} bad[] = {
		{ LOW_END - 1, 2 },
		{ LOW_END, 1 },
		{ HIGH - 1, 2 },
		{ HIGH_END - 1, 2 },
		{ LOW_END - 16, HIGH - LOW_END + 32 }, /* across the hole */
		{ 0, UINT32_MAX },
		{ 0xe0000000, 4096 },
		{ UINT64_MAX, 1 },
		{ UINT64_MAX - 3, 16 },
		{ UINT64_MAX, UINT32_MAX },
	};

	for (unsigned int i = 0; i < 2 * ARRAY_SIZE(bad); i++) {
		start(0);
		set_avail_idx(0);
		desc(0, bad[i / 2].at, bad[i / 2].len, i % 2 ? WRITE : 0, 0);
		publish(0);
		check_broken("buffer outside of RAM");
	}
}
END_TEST

START_TEST(an_indirect_table_that_was_not_negotiated_breaks_the_queue)
{
	start(0);
	desc_at(BUFFER, 0, 0x8000, 8, 0, 0);
	desc(0, BUFFER, 16, INDIRECT, 0);
	publish(0);
	check_broken("indirect");
}
END_TEST

START_TEST(an_indirect_table_of_odd_length_breaks_the_queue)
{
	static const uint32_t bad[] = { 0, 1, 8, 15, 17, 31, UINT32_MAX };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		start(ALL_FEATURES);
		set_avail_idx(0);
		desc(0, BUFFER, bad[i], INDIRECT, 0);
		publish(0);
		check_broken("odd length");
	}
}
END_TEST

START_TEST(a_nested_indirect_table_breaks_the_queue)
{
	start(ALL_FEATURES);
	desc_at(BUFFER, 0, BUFFER, 16, INDIRECT, 0);
	desc(0, BUFFER, 16, INDIRECT, 0);
	publish(0);
	check_broken("indirect");
}
END_TEST

START_TEST(an_indirect_descriptor_with_a_next_one_breaks_the_queue)
{
	start(ALL_FEATURES);
	desc_at(BUFFER, 0, 0x8000, 8, 0, 0);
	desc(0, BUFFER, 16, INDIRECT | NEXT, 1);
	desc(1, BUFFER, 16, 0, 0);
	publish(0);
	check_broken("indirect");
}
END_TEST

START_TEST(an_indirect_table_outside_of_ram_breaks_the_queue)
{
	static const gpa_t bad[] = { LOW_END,  LOW_END - 8, HIGH - 16,
				     HIGH_END, 0xfee00000,  UINT64_MAX - 7 };

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		start(ALL_FEATURES);
		set_avail_idx(0);
		desc(0, bad[i], 16, INDIRECT, 0);
		publish(0);
		check_broken("table outside of RAM");
	}
	/* Its second entry is in the hole. */
	start(ALL_FEATURES);
	set_avail_idx(0);
	desc_at(LOW_END - 16, 0, 0x8000, 1, NEXT, 1);
	desc(0, LOW_END - 16, UINT32_MAX - 15, INDIRECT, 0);
	publish(0);
	check_broken("table outside of RAM");
}
END_TEST

START_TEST(an_indirect_chain_longer_than_the_queue_breaks_it)
{
	start(ALL_FEATURES);
	for (unsigned int i = 0; i <= SIZE; i++)
		desc_at(BUFFER, i, 0x8000, 1, i < SIZE ? NEXT : 0, i + 1);
	desc(0, BUFFER, 16 * (SIZE + 1), INDIRECT, 0);
	publish(0);
	check_broken("longer than the queue");
}
END_TEST

START_TEST(a_used_ring_on_top_of_the_others_harms_nobody)
{
	ck_assert(start_at(DESC, AVAIL, AVAIL, 0));
	desc(0, BUFFER, 1, 0, 0);
	for (unsigned int i = 0; i < 100; i++) {
		publish(0);
		if (virtq_pop(&q, &c)) {
			virtq_put(&q, c.head, 0xffffffff);
			virtq_publish(&q);
			(void)virtq_wants_interrupt(&q);
		}
	}
	ck_assert_uint_eq(q.n_in_flight, 0);
}
END_TEST

START_TEST(a_queue_that_was_reset_forgets_all_but_what_is_in_flight)
{
	start(ALL_FEATURES);
	desc(1, BUFFER, 1, 0, 0);
	publish(1);
	ck_assert(virtq_pop(&q, &c));
	virtq_reset(&q);
	ck_assert_uint_eq(q.n_in_flight, 1);
	ck_assert_uint_eq(q.size, SIZE);
	ck_assert(!q.enabled && !q.desc && !q.event_idx);
	ck_assert(!virtq_pop(&q, &c));
	virtq_put(&q, 1, 1);
	virtq_publish(&q);
	ck_assert(!virtq_wants_interrupt(&q));
	ck_assert_uint_eq(q.n_in_flight, 0);
	ck_assert_uint_eq(le16_at(USED + 2), 0); /* nothing is written any more */
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("virtq");

#define T(fn) UNIT_WITH(s, fn, setup, teardown)
	T(an_empty_queue_gives_nothing);
	T(a_chain_is_popped_with_its_segments_and_pushed_with_its_length);
	T(indices_wrap_around);
	T(a_chain_as_long_as_the_queue_is_allowed);
	T(an_indirect_table_is_a_chain);
	T(an_indirect_table_may_be_as_long_as_the_queue);
	T(plain_descriptors_may_end_in_an_indirect_table);
	T(descriptors_of_length_0_are_no_segments);
	T(rings_may_end_with_ram);
	T(chains_given_back_come_again_in_order);
	T(without_event_idx_a_flag_turns_interrupts_off);
	T(with_event_idx_an_interrupt_comes_when_used_event_is_passed);
	T(one_interrupt_is_enough_for_several_chains);
	T(an_empty_queue_asks_for_the_next_notification);
	T(a_queue_that_is_polled_asks_for_no_notification_until_it_is_not);
	T(a_chain_that_comes_while_we_ask_for_notifications_is_seen);
	T(a_barrier_is_between_asking_for_notifications_and_the_second_look);
	T(a_barrier_is_between_an_answer_and_the_question_whether_to_interrupt);
	T(what_the_driver_says_is_read_once);
	T(bytes_are_copied_across_segments);
	T(a_size_that_is_no_power_of_two_or_too_large_does_not_start);
	T(misaligned_rings_do_not_start);
	T(rings_that_are_not_all_ram_do_not_start);
	T(a_ring_whose_event_word_is_not_ram_does_not_start);
	T(an_available_index_that_jumps_breaks_the_queue);
	T(a_head_out_of_range_breaks_the_queue);
	T(a_head_that_is_in_flight_breaks_the_queue);
	T(a_next_out_of_range_breaks_the_queue);
	T(a_chain_that_loops_breaks_the_queue);
	T(a_readable_descriptor_behind_a_writable_one_breaks_the_queue);
	T(a_buffer_that_is_not_all_ram_breaks_the_queue);
	T(an_indirect_table_that_was_not_negotiated_breaks_the_queue);
	T(an_indirect_table_of_odd_length_breaks_the_queue);
	T(a_nested_indirect_table_breaks_the_queue);
	T(an_indirect_descriptor_with_a_next_one_breaks_the_queue);
	T(an_indirect_table_outside_of_ram_breaks_the_queue);
	T(an_indirect_chain_longer_than_the_queue_breaks_it);
	T(a_used_ring_on_top_of_the_others_harms_nobody);
	T(a_queue_that_was_reset_forgets_all_but_what_is_in_flight);
#undef T
	return s;
}

UNIT_MAIN("virtq", suite)
