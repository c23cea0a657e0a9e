/*
 * test_disk_spec.c - src/block/disk_spec.c: the value of --disk, good and bad.
 */
#include "unit.h"
#include <errno.h>
#include <vmm/base/util.h>
#include <vmm/block/disk_spec.h>

START_TEST(a_path_alone_is_a_writable_raw_disk_with_one_queue)
{
	struct disk_spec s;
	struct err e;

	ck_ok(disk_spec_parse(&s, "a.img", &e));
	ck_assert_str_eq(s.path, "a.img");
	ck_assert_str_eq(s.id, "");
	ck_assert(!s.ro && !s.snapshot && !s.direct && !s.raw);
	ck_assert_uint_eq(s.queues, 1);
	ck_assert_int_eq(s.engine, DISK_ENGINE_AUTO);
	ck_assert_uint_eq(
		s.rate.bytes_per_s + s.rate.bytes_burst + s.rate.ops_per_s + s.rate.ops_burst, 0);
	disk_spec_fini(&s);
	ck_assert_ptr_null(s.path);
	disk_spec_fini(&s);
}
END_TEST

START_TEST(every_option_arrives)
{
	struct disk_spec s;
	struct err e;

	ck_ok(disk_spec_parse(
		&s,
		"/dev/sdb,direct,snapshot,format=raw,id=root-1,queues=4,engine=threads,"
		"bps=10M,burst=512K,iops=100,iops-burst=7",
		&e));
	ck_assert_str_eq(s.path, "/dev/sdb");
	ck_assert_str_eq(s.id, "root-1");
	ck_assert(s.direct && s.snapshot && s.raw && !s.ro);
	ck_assert_uint_eq(s.queues, 4);
	ck_assert_int_eq(s.engine, DISK_ENGINE_THREADS);
	ck_assert_uint_eq(s.rate.bytes_per_s, 10 * MIB);
	ck_assert_uint_eq(s.rate.bytes_burst, 512 * KIB);
	ck_assert_uint_eq(s.rate.ops_per_s, 100);
	ck_assert_uint_eq(s.rate.ops_burst, 7);
	disk_spec_fini(&s);
	ck_ok(disk_spec_parse(&s, "x,engine=uring,ro,id=12345678901234567890", &e));
	ck_assert(s.ro && s.engine == DISK_ENGINE_URING);
	ck_assert_str_eq(s.id, "12345678901234567890");
	disk_spec_fini(&s);
}
END_TEST

static const struct {
	const char *text, *path;
	bool ro;
} paths[] = {
	{ "a,,b.img", "a,b.img", false },
	{ "a,,b.img,ro", "a,b.img", true },
	{ ",,", ",", false },
	{ ",,,,", ",,", false },
	{ "a,,,ro", "a,", true },
	{ "a,,ro", "a,ro", false },
	{ "a=b,ro", "a=b", true },
	{ "ro", "ro", false },
	{ "with space,ro", "with space", true },
};

START_TEST(a_comma_of_the_path_is_written_twice)
{
	struct disk_spec s;
	struct err e;

	ck_ok(disk_spec_parse(&s, paths[_i].text, &e));
	ck_assert_str_eq(s.path, paths[_i].path);
	ck_assert_int_eq(s.ro, paths[_i].ro);
	disk_spec_fini(&s);
}
END_TEST

static const struct {
	const char *text, *words;
	int code;
} bad[] = {
	{ "", "expected PATH", -EINVAL },
	{ ",ro", "expected PATH", -EINVAL },
	{ "a,", "'': unknown", -EINVAL },
	{ "a,ro,", "'': unknown", -EINVAL },
	{ "a,r0", "did you mean 'ro'", -EINVAL },
	{ "a,snapshots", "did you mean 'snapshot'", -EINVAL },
	{ "a,b.img", "written twice", -EINVAL },
	{ "a,RO", "unknown", -EINVAL },
	{ "a,ro=1", "'ro' takes no value", -EINVAL },
	{ "a,ro=", "'ro' takes no value", -EINVAL },
	{ "a,id", "'id' needs a value", -EINVAL },
	{ "a,ro,ro", "'ro' is given twice", -EINVAL },
	{ "a,ro,snapshot", "either ro or snapshot", -EINVAL },
	{ "a,format=qcow2", "format=qcow2: only raw", -EINVAL },
	{ "a,format=", "only raw", -EINVAL },
	{ "a,format=qcow2", "qemu-img convert", -EINVAL },
	{ "a,id=", "1 to 20 characters", -EINVAL },
	{ "a,id=123456789012345678901", "1 to 20 characters", -EINVAL },
	{ "a,id=a b", "visible ASCII", -EINVAL },
	{ "a,id=\xc3\xa4", "visible ASCII", -EINVAL },
	{ "a,queues=0", "queues=0: must be 1 to 16", -ERANGE },
	{ "a,queues=17", "must be 1 to 16", -ERANGE },
	{ "a,queues=-1", "not a number", -EINVAL },
	{ "a,queues=1x", "unknown unit", -EINVAL },
	{ "a,queues=99999999999999999999", "too large", -ERANGE },
	{ "a,engine=aio", "expected uring or threads", -EINVAL },
	{ "a,bps=0", "more than 0", -ERANGE },
	{ "a,bps=17G", "at most 16G", -ERANGE },
	{ "a,bps=fast", "not a number", -EINVAL },
	{ "a,iops=0", "must be 1 to", -ERANGE },
	{ "a,burst=1M", "burst needs bps", -EINVAL },
	{ "a,iops-burst=1", "iops-burst needs iops", -EINVAL },
	{ "a,bps=1M,iops-burst=1", "iops-burst needs iops", -EINVAL },
};

START_TEST(what_is_wrong_is_refused_by_name_and_nothing_is_kept)
{
	struct disk_spec s;
	struct err e;

	ck_fails(disk_spec_parse(&s, bad[_i].text, &e), bad[_i].code, bad[_i].words);
}
END_TEST

/* Any text is either a spec or an error; sanitizers watch. */
START_TEST(random_texts_do_no_harm)
{
	static const char *const bits[] = { ",",      ",,", "=",   "a", "ro", "id",
					    "queues", "9",  "bps", "M", "" };
	unsigned int seed = 1;

	for (unsigned int i = 0; i < 50000; i++) {
		char text[64] = "";
		struct disk_spec s;
		struct err e;

		for (unsigned int n = 0; n < 8; n++) {
			seed = seed * 1103515245 + 12345;
			strcat(text, bits[seed / 65536 % ARRAY_SIZE(bits)]);
		}
		if (disk_spec_parse(&s, text, &e) == 0)
			disk_spec_fini(&s);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("disk_spec");

	UNIT_TEST(s, a_path_alone_is_a_writable_raw_disk_with_one_queue);
	UNIT_TEST(s, every_option_arrives);
	UNIT_LOOP(s, a_comma_of_the_path_is_written_twice, ARRAY_SIZE(paths));
	UNIT_LOOP(s, what_is_wrong_is_refused_by_name_and_nothing_is_kept, ARRAY_SIZE(bad));
	UNIT_TEST(s, random_texts_do_no_harm);
	return s;
}

UNIT_MAIN("disk_spec", suite)
