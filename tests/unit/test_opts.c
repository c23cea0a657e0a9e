/*
 * test_opts.c - src/base/opts.c: option tables, sizes and durations.
 */
#include "unit.h"
#include <errno.h>
#include <vmm/base/opts.h>
#include <vmm/base/util.h>

static struct err e;

struct values {
	const char *kernel;
	uint64_t mem;
	unsigned int quiet;
};

static int set_kernel(void *target, const char *value, struct err *err)
{
	(void)err;
	((struct values *)target)->kernel = value;
	return 0;
}

static int set_mem(void *target, const char *value, struct err *err)
{
	return opts_parse_size(value, &((struct values *)target)->mem, err);
}

static int set_quiet(void *target, const char *value, struct err *err)
{
	ck_assert_ptr_null(value);
	if (++((struct values *)target)->quiet == 3)
		return err_set(err, -EINVAL, "quiet enough");
	return 0;
}

static const struct opt table[] = {
	{ "kernel", "FILE", "The kernel.", set_kernel },
	{ "mem", "SIZE", "RAM.\nTwo lines.", set_mem },
	{ "quiet", NULL, "Says less.", set_quiet },
	{ 0 },
};

#define PARSE(v, ...)                                                                              \
	({                                                                                         \
		char *argv_[] = { __VA_ARGS__ };                                                   \
		*(v) = (struct values){ 0 };                                                       \
		opts_parse(table, (int)ARRAY_SIZE(argv_), argv_, v, &e);                           \
	})

START_TEST(values_come_in_the_next_word_or_behind_an_equals_sign)
{
	struct values v;

	ck_ok(PARSE(&v, "--kernel", "a=b", "--mem=1G", "--quiet"));
	ck_assert_str_eq(v.kernel, "a=b");
	ck_assert_uint_eq(v.mem, GIB);
	ck_assert_uint_eq(v.quiet, 1);
	ck_ok(PARSE(&v, "--kernel=", "--kernel=--mem"));
	ck_assert_str_eq(v.kernel, "--mem");
	ck_ok(PARSE(&v, "--kernel", "--quiet")); /* a value may look like an option */
	ck_assert_str_eq(v.kernel, "--quiet");
	ck_ok(opts_parse(table, 0, NULL, &v, &e));
}
END_TEST

START_TEST(each_mistake_is_named)
{
	struct values v;

	ck_fails(PARSE(&v, "kernel"), -EINVAL, "kernel: not an option; options start with --");
	ck_fails(PARSE(&v, "-k"), -EINVAL, "-k: not an option");
	ck_fails(PARSE(&v, "--kernel"), -EINVAL, "--kernel needs a value: --kernel FILE");
	ck_fails(PARSE(&v, "--quiet=1"), -EINVAL, "--quiet takes no value");
	ck_fails(PARSE(&v, "--quiet", "--quiet", "--quiet"), -EINVAL, "--quiet: quiet enough");
	ck_fails(PARSE(&v, "--mem", "lots"), -EINVAL, "--mem lots: not a number");
	ck_fails(PARSE(&v, "--kernal", "x"), -EINVAL,
		 "unknown option --kernal; did you mean --kernel?");
	ck_fails(PARSE(&v, "--kernal=x"), -EINVAL, "did you mean --kernel?");
	ck_fails(PARSE(&v, "--meme=1"), -EINVAL, "did you mean --mem?");
	ck_fails(PARSE(&v, "--network"), -EINVAL,
		 "unknown option --network; 'vmm help COMMAND' lists");
	ck_fails(PARSE(&v, "--"), -EINVAL, "unknown option --;");
	ck_fails(PARSE(&v, "--an-option-that-is-longer-than-any-that-there-is"), -EINVAL,
		 "unknown option --an-option");
}
END_TEST

START_TEST(the_nearest_name_is_at_most_two_changes_away)
{
	static const char *const names[] = { "kernel", "initrd", "mem", "cpus", NULL };
	static const char *const none[] = { NULL };

	ck_assert_str_eq(opts_nearest("kernle", names), "kernel");
	ck_assert_str_eq(opts_nearest("krnel", names), "kernel");
	ck_assert_str_eq(opts_nearest("initramfs", names) ? "found" : "none", "none");
	ck_assert_str_eq(opts_nearest("cpu", names), "cpus");
	ck_assert_ptr_null(opts_nearest("xy", names));
	ck_assert_ptr_null(opts_nearest("", names));
	ck_assert_ptr_null(opts_nearest("kernel", none));
}
END_TEST

START_TEST(the_help_has_every_option_and_every_line)
{
	char text[512] = "";
	FILE *f = fmemopen(text, sizeof(text), "w");

	opts_help(table, f);
	fclose(f);
	ck_assert_str_eq(text, "  --kernel FILE\n        The kernel.\n"
			       "  --mem SIZE\n        RAM.\n        Two lines.\n"
			       "  --quiet\n        Says less.\n");
}
END_TEST

START_TEST(a_size_is_a_number_and_a_unit)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 },
		{ "512", 512 * MIB }, /* bare: MiB */
		{ "65536K", 64 * MIB },
		{ "64M", 64 * MIB },
		{ "64m", 64 * MIB },
		{ "2G", 2 * GIB },
		{ "3T", 3072 * GIB },
		{ "16777215T", 16777215 * (1024 * GIB) },
		{ "007M", 7 * MIB },
	};
	static const struct {
		const char *text;
		int code;
	} bad[] = {
		{ "", -EINVAL },
		{ "M", -EINVAL },
		{ "-1", -EINVAL },
		{ "+1", -EINVAL },
		{ " 1", -EINVAL },
		{ "1 M", -EINVAL },
		{ "1MB", -EINVAL },
		{ "1.5G", -EINVAL },
		{ "0x10", -EINVAL },
		{ "1P", -EINVAL },
		{ "16777216T", -ERANGE },
		{ "18446744073709551615K", -ERANGE },
		{ "18446744073709551616K", -ERANGE },
		{ "99999999999999999999999", -ERANGE },
	};
	uint64_t bytes;

	for (unsigned int i = 0; i < ARRAY_SIZE(good); i++) {
		ck_ok(opts_parse_size(good[i].text, &bytes, &e));
		ck_assert_uint_eq(bytes, good[i].bytes);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		ck_fails(opts_parse_size(bad[i].text, &bytes, &e), bad[i].code, "");
}
END_TEST

START_TEST(a_duration_is_a_number_and_a_unit_and_more_than_nothing)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} good[] = {
		{ "30", 30 * NS_PER_S },
		{ "30s", 30 * NS_PER_S },
		{ "1500ms", 1500 * NS_PER_MS },
		{ "2m", 120 * NS_PER_S },
		{ "1h", 3600 * NS_PER_S },
		{ "1MS", NS_PER_MS },
		{ "18446744073s", 18446744073 * NS_PER_S },
	};
	uint64_t ns;

	for (unsigned int i = 0; i < ARRAY_SIZE(good); i++) {
		ck_ok(opts_parse_duration(good[i].text, &ns, &e));
		ck_assert_uint_eq(ns, good[i].ns);
	}
	ck_fails(opts_parse_duration("0", &ns, &e), -EINVAL, "must be more than 0");
	ck_fails(opts_parse_duration("0ms", &ns, &e), -EINVAL, "must be more than 0");
	ck_fails(opts_parse_duration("18446744074s", &ns, &e), -ERANGE, "too large");
	ck_fails(opts_parse_duration("5124096h", &ns, &e), -ERANGE, "too large");
	ck_fails(opts_parse_duration("1us", &ns, &e), -EINVAL, "unknown unit 'us'");
	ck_fails(opts_parse_duration("soon", &ns, &e), -EINVAL, "not a number");
}
END_TEST

START_TEST(a_number_has_limits)
{
	uint64_t n;

	ck_ok(opts_parse_uint("5", 5, 7, &n, &e));
	ck_ok(opts_parse_uint("7", 5, 7, &n, &e));
	ck_assert_uint_eq(n, 7);
	ck_ok(opts_parse_uint("18446744073709551615", 0, UINT64_MAX, &n, &e));
	ck_fails(opts_parse_uint("4", 5, 7, &n, &e), -ERANGE, "must be 5 to 7");
	ck_fails(opts_parse_uint("8", 5, 7, &n, &e), -ERANGE, "must be 5 to 7");
	ck_fails(opts_parse_uint("18446744073709551616", 0, UINT64_MAX, &n, &e), -ERANGE, "large");
	ck_fails(opts_parse_uint("5K", 5, 7, &n, &e), -EINVAL, "unknown unit 'K'");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("opts");

	UNIT_TEST(s, values_come_in_the_next_word_or_behind_an_equals_sign);
	UNIT_TEST(s, each_mistake_is_named);
	UNIT_TEST(s, the_nearest_name_is_at_most_two_changes_away);
	UNIT_TEST(s, the_help_has_every_option_and_every_line);
	UNIT_TEST(s, a_size_is_a_number_and_a_unit);
	UNIT_TEST(s, a_duration_is_a_number_and_a_unit_and_more_than_nothing);
	UNIT_TEST(s, a_number_has_limits);
	return s;
}

UNIT_MAIN("opts", suite)
