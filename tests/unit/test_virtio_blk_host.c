/*
 * test_virtio_blk_host.c - a virtio disk over a real file, from the ring to the file and back.
 */
#include "blk_driver.h"
#include "fake_kernel.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/block/disk_spec.h>
#include <vmm/virtio/virtio_blk.h>

#define ALL (~UINT64_C(0))
#define SIZE (4 * MIB)

static struct fake_driver f;
static struct disk_spec spec;
static char *path;

/* _i: 0 as the host likes it, 1 threads, 2 snapshot */
static void start(int way)
{
	struct virtio_dev *v;
	struct err e;

	log_set_level(LOG_ERROR);
	fake_driver_init(&f);
	path = fake_file("", 0);
	ck_assert_int_eq(truncate(path, SIZE), 0);
	spec = (struct disk_spec){ .path = path,
				   .queues = 2,
				   .engine = way == 1 ? DISK_ENGINE_THREADS : DISK_ENGINE_AUTO,
				   .snapshot = way == 2 };
	ck_ok(virtio_blk_create(&v, &spec, "disk0", &f.env, &e));
	fake_driver_attach(&f, v);
	fake_driver_start(&f, ALL);
}

static void stop(void)
{
	fake_driver_fini(&f);
	unlink(path);
	free(path);
}

static void check_file(uint64_t at, uint8_t byte, size_t len)
{
	uint8_t *got = malloc(len);
	int fd = open(path, O_RDONLY);

	ck_assert_int_eq(pread(fd, got, len, (off_t)at), len);
	for (size_t i = 0; i < len; i++) {
		if (got[i] != byte)
			ck_abort_msg("byte %zu is %#x", i, got[i]);
	}
	close(fd);
	free(got);
}

START_TEST(what_one_request_writes_the_next_one_reads)
{
	uint8_t want[8192], got[8192];
	struct sent s;
	gpa_t data;

	start(_i);
	memset(want, 0x9c, sizeof(want));
	data = f.next_free + 16;
	fake_driver_write(&f, data, want, sizeof(want));
	s = send_to(&f, 0, VIRTIO_BLK_T_OUT, 16, sizeof(want));
	ck_assert_uint_eq(s.data, data);
	ck_answered(&f, &s, VIRTIO_BLK_S_OK, 1);
	s = send_to(&f, 0, VIRTIO_BLK_T_FLUSH, 0, 0);
	ck_answered(&f, &s, VIRTIO_BLK_S_OK, 1);
	s = send_to(&f, 0, VIRTIO_BLK_T_IN, 16, sizeof(got));
	ck_answered(&f, &s, VIRTIO_BLK_S_OK, sizeof(got) + 1);
	fake_driver_read(&f, s.data, got, sizeof(got));
	ck_assert_mem_eq(got, want, sizeof(want));
	check_file(16 * 512, _i == 2 ? 0 : 0x9c, sizeof(want));
	stop();
}
END_TEST

START_TEST(write_zeroes_and_discard_reach_the_file)
{
	const struct blk_range r = { 16, 16, 1 }, d = { 0, SIZE / 512, 0 };
	uint8_t want[8192];
	struct sent s;

	start(_i);
	memset(want, 0x9c, sizeof(want));
	fake_driver_write(&f, f.next_free + 16, want, sizeof(want));
	s = send_to(&f, 0, VIRTIO_BLK_T_OUT, 16, sizeof(want));
	ck_answered(&f, &s, VIRTIO_BLK_S_OK, 1);
	s = send_ranges(&f, VIRTIO_BLK_T_WRITE_ZEROES, &r, 1);
	ck_answered(&f, &s, VIRTIO_BLK_S_OK, 1);
	s = send_to(&f, 0, VIRTIO_BLK_T_IN, 16, sizeof(want));
	ck_answered(&f, &s, VIRTIO_BLK_S_OK, sizeof(want) + 1);
	fake_driver_read(&f, s.data, want, sizeof(want));
	for (unsigned int i = 0; i < sizeof(want); i++)
		want[0] |= want[i];
	ck_assert_uint_eq(want[0], 0);
	s = send_ranges(&f, VIRTIO_BLK_T_DISCARD, &d, 1);
	ck_answered(&f, &s, VIRTIO_BLK_S_OK, 1);
	check_file(0, 0, SIZE);
	stop();
}
END_TEST

static bool told(void *arg)
{
	(void)arg;
	return f.n_config_interrupts > 0;
}

START_TEST(a_file_that_grows_is_a_disk_that_grows)
{
	uint64_t capacity;
	struct sent s;

	start(_i);
	ck_assert_int_eq(truncate(path, 2 * SIZE), 0);
	if (_i == 2) { /* but not under a snapshot */
		s = send_to(&f, 0, VIRTIO_BLK_T_IN, SIZE / 512, 512);
		ck_answered(&f, &s, VIRTIO_BLK_S_IOERR, 0);
		return stop();
	}
	fake_driver_until(&f, told, NULL);
	virtio_dev_config_read(f.v, 0, &capacity, 8);
	ck_assert_uint_eq(le64toh(capacity), 2 * SIZE / 512);
	s = send_to(&f, 0, VIRTIO_BLK_T_IN, 2 * SIZE / 512 - 1, 512);
	ck_answered(&f, &s, VIRTIO_BLK_S_OK, 513);
	stop();
}
END_TEST

/* 200 requests at once; then a reset, while they are at the host. */
START_TEST(a_reset_in_the_middle_of_everything_ends_well)
{
	static struct fake_seg segs[3];
	gpa_t data;

	start(_i);
	data = fake_driver_alloc(&f, 65536);
	for (unsigned int round = 0; round < 10; round++) {
		segs[1] = (struct fake_seg){ data, 65536, false };
		for (unsigned int i = 0; i < 80; i++) {
			segs[0] = (struct fake_seg){ put_header(&f, VIRTIO_BLK_T_OUT, i % 64 * 128),
						     16, false };
			segs[2] = (struct fake_seg){ put_status(&f), 1, true };
			fake_driver_publish(&f, i % 2, fake_driver_chain(&f, i % 2, segs, 3));
		}
		fake_driver_kick(&f, 0);
		virtio_dev_kick(f.v, 1);
		if (round % 2)
			virtio_dev_set_status(f.v, 0);
		virtio_dev_reset(f.v);
		ck_assert_uint_eq(virtio_dev_status(f.v), 0);
		fake_driver_start(&f, ALL);
	}
	stop();
}
END_TEST

START_TEST(what_cannot_be_opened_is_an_error_that_names_the_file)
{
	struct device_env env = { 0 };
	struct virtio_dev *v;
	struct err e;

	spec = (struct disk_spec){ .path = (char *)"/nonexistent/a.img", .queues = 1 };
	ck_fails(virtio_blk_create(&v, &spec, "disk0", &env, &e), -ENOENT,
		 "disk /nonexistent/a.img: open: No such file");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("virtio_blk_host");

	UNIT_LOOP(s, what_one_request_writes_the_next_one_reads, 3);
	UNIT_LOOP(s, write_zeroes_and_discard_reach_the_file, 3);
	UNIT_LOOP(s, a_file_that_grows_is_a_disk_that_grows, 3);
	UNIT_LOOP(s, a_reset_in_the_middle_of_everything_ends_well, 3);
	UNIT_TEST(s, what_cannot_be_opened_is_an_error_that_names_the_file);
	return s;
}

UNIT_MAIN("virtio_blk_host", suite)
