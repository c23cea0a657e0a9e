/*
 * test_base.c - the small parts of src/base: err, log, match, bug, and the helpers in headers.
 */
#include "fake_stderr.h"
#include "unit.h"
#include <errno.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>
#include <vmm/base/bug.h>
#include <vmm/base/bytes.h>
#include <vmm/base/checked.h>
#include <vmm/base/log.h>
#include <vmm/base/match.h>
#include <vmm/base/util.h>

/* err -------------------------------------------------------------------------------------------
 */

START_TEST(an_error_tells_what_was_done_from_the_outside_in)
{
	struct err e;

	ck_assert_int_eq(err_set(&e, -EINVAL, "sector %d", 7), -EINVAL);
	ck_assert_int_eq(err_wrap(&e, "disk%d", 0), -EINVAL);
	ck_assert_int_eq(err_wrap(&e, "--disk"), -EINVAL);
	ck_assert_str_eq(e.text, "--disk: disk0: sector 7");
	ck_assert_int_eq(e.code, -EINVAL);
	errno = ENOENT;
	ck_assert_int_eq(err_errno(&e, "open %s", "a.img"), -ENOENT);
	ck_assert_str_eq(e.text, "open a.img: No such file or directory");
}
END_TEST

START_TEST(an_error_that_is_too_long_is_cut)
{
	char longer[2000];
	struct err e;

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	err_set(&e, -1, "%s", longer);
	ck_assert_uint_eq(strlen(e.text), sizeof(e.text) - 1);
	ck_assert_int_eq(err_wrap(&e, "outside"), -1);
	ck_assert_uint_eq(strlen(e.text), sizeof(e.text) - 1);
	ck_assert(strncmp(e.text, "outside: xxx", 12) == 0);
	ck_assert_int_eq(err_wrap(&e, "%s", longer), -1);
	ck_assert_uint_eq(strlen(e.text), sizeof(e.text) - 1);
	errno = EIO;
	err_errno(&e, "%s", longer);
	ck_assert_uint_eq(strlen(e.text), sizeof(e.text) - 1);
}
END_TEST

/* log -------------------------------------------------------------------------------------------
 */

static void check_log(const char *want)
{
	char text[8192];

	ck_assert_str_eq(stderr_text(text, sizeof(text)), want);
}

START_TEST(each_level_says_what_is_at_least_as_grave)
{
	static const char *const want[] = {
		"vmm: e 1\n",
		"vmm: e 1\nvmm: warning: w 2\nvmm: guest: g\n",
		"vmm: e 1\nvmm: warning: w 2\nvmm: i 3\nvmm: guest: g\n",
		"vmm: e 1\nvmm: warning: w 2\nvmm: i 3\nvmm: d 4\nvmm: guest: g\n",
	};
	struct log_limit l = { 0 };

	stderr_capture();
	log_set_level((enum log_level)_i);
	log_error("e %d", 1);
	log_warn("w %d", 2);
	log_info("i %d", 3);
	log_debug("d %d", 4);
	log_guest(&l, "g");
	check_log(want[_i]);
}
END_TEST

START_TEST(levels_have_names)
{
	enum log_level level = LOG_DEBUG;

	ck_assert(log_level_parse("error", &level) && level == LOG_ERROR);
	ck_assert(log_level_parse("warn", &level) && level == LOG_WARN);
	ck_assert(log_level_parse("info", &level) && level == LOG_INFO);
	ck_assert(log_level_parse("debug", &level) && level == LOG_DEBUG);
	ck_assert(!log_level_parse("warning", &level) && !log_level_parse("", &level));
}
END_TEST

START_TEST(on_a_raw_terminal_lines_end_in_cr_lf)
{
	stderr_capture();
	log_set_raw(true);
	ck_assert(log_is_raw());
	log_error("raw");
	log_set_raw(false);
	log_error("cooked");
	check_log("vmm: raw\r\nvmm: cooked\n");
}
END_TEST

START_TEST(a_line_that_is_too_long_is_cut_and_ends)
{
	char longer[3000], text[4096];

	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	stderr_capture();
	log_set_raw(true);
	log_error("%s", longer);
	stderr_text(text, sizeof(text));
	ck_assert_uint_le(strlen(text), 1024);
	ck_assert_uint_ge(strlen(text), 1000);
	ck_assert_str_eq(text + strlen(text) - 3, "x\r\n");
}
END_TEST

START_TEST(a_guest_says_five_lines_a_second_and_then_a_count)
{
	const struct timespec a_second = { .tv_sec = 1, .tv_nsec = 20000000 };
	struct log_limit l = { 0 }, other = { 0 };

	stderr_capture();
	for (unsigned int i = 0; i < 1000; i++)
		log_guest(&l, "line %u", i);
	log_guest(&other, "another source");
	nanosleep(&a_second, NULL);
	log_guest(&l, "later");
	check_log("vmm: guest: line 0\nvmm: guest: line 1\nvmm: guest: line 2\n"
		  "vmm: guest: line 3\nvmm: guest: line 4\nvmm: guest: another source\n"
		  "vmm: guest: 995 more lines like the last\nvmm: guest: later\n");
}
END_TEST

START_TEST(a_log_without_stderr_does_no_harm)
{
	close(STDERR_FILENO);
	log_error("nobody hears this");
}
END_TEST

/* match -----------------------------------------------------------------------------------------
 */

/* Ends of `text` in `stream`, the obvious way. */
static bool ends_here(const char *text, const uint8_t *stream, size_t end)
{
	size_t len = strlen(text);

	return end >= len && memcmp(stream + end - len, text, len) == 0;
}

static void compare(const char *text, const uint8_t *stream, size_t len)
{
	struct match m;
	bool wrong = false;

	match_init(&m, text);
	for (size_t i = 0; i < len; i++)
		wrong |= match_feed(&m, stream[i]) != ends_here(text, stream, i + 1);
	ck_assert_msg(!wrong, "\"%s\" in \"%.*s\"", text, (int)len, (const char *)stream);
}

START_TEST(texts_are_found_also_where_they_overlap)
{
	static const char *const texts[] = { "a", "aa", "aab", "abab", "aabaaab", "login: " };
	static const char *const streams[] = {
		"aaaa", "aaab", "abababab", "aabaaabaaab", "lologin: login: ", ""
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(texts); i++) {
		for (unsigned int j = 0; j < ARRAY_SIZE(streams); j++)
			compare(texts[i], (const uint8_t *)streams[j], strlen(streams[j]));
	}
}
END_TEST

START_TEST(random_texts_are_found_as_by_a_naive_search)
{
	uint8_t stream[400];
	char text[9];
	unsigned int seed = 1;

	for (unsigned int round = 0; round < 3000; round++) {
		unsigned int letters = 1 + round % 3, n = 1 + (unsigned int)rand_r(&seed) % 8;

		for (unsigned int i = 0; i < n; i++)
			text[i] = (char)('a' + (unsigned int)rand_r(&seed) % letters);
		text[n] = '\0';
		for (unsigned int i = 0; i < sizeof(stream); i++)
			stream[i] = (uint8_t)('a' + (unsigned int)rand_r(&seed) % letters);
		compare(text, stream, sizeof(stream));
	}
}
END_TEST

START_TEST(the_longest_text_and_all_bytes_are_found)
{
	uint8_t stream[600];
	char text[MATCH_MAX + 1];

	memset(text, 'a', MATCH_MAX);
	text[MATCH_MAX] = '\0';
	memset(stream, 'a', sizeof(stream));
	stream[270] = 'b';
	compare(text, stream, sizeof(stream));
	for (unsigned int i = 0; i < 255; i++)
		text[i] = (char)(255 - i);
	text[255] = '\0';
	for (unsigned int i = 0; i < sizeof(stream); i++)
		stream[i] = (uint8_t)(255 - (i - 20) % 255);
	compare(text, stream, sizeof(stream));
}
END_TEST

/* bug, and arithmetic ---------------------------------------------------------------------------
 */

START_TEST(a_bug_of_ours_aborts)
{
	stderr_capture();
	VMM_BUG_ON(_i == 1);
	raise(SIGILL); /* as for a condition that does not hold */
}
END_TEST

START_TEST(numbers_in_bytes_are_little_endian_at_any_alignment)
{
	uint8_t b[16] = { 0, 0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11 }, out[16] = { 0 };

	ck_assert_uint_eq(load_le16(b + 1), 0x7788);
	ck_assert_uint_eq(load_le32(b + 1), 0x55667788);
	ck_assert_uint_eq(load_le64(b + 1), 0x1122334455667788);
	store_le64(out + 1, 0x1122334455667788);
	ck_assert(memcmp(b, out, sizeof(b)) == 0);
	store_le32(out + 1, 0xffffffff);
	ck_assert_uint_eq(load_le64(out + 1), 0x11223344ffffffff);
	store_le16(out + 1, 0);
	ck_assert_uint_eq(load_le32(out + 1), 0xffff0000);
}
END_TEST

START_TEST(arithmetic_that_overflows_says_so)
{
	uint64_t out;

	ck_assert(checked_add_u64(UINT64_MAX - 1, 1, &out) && out == UINT64_MAX);
	ck_assert(!checked_add_u64(UINT64_MAX, 1, &out));
	ck_assert(checked_mul_u64(UINT64_C(1) << 32, (UINT64_C(1) << 32) - 1, &out));
	ck_assert(!checked_mul_u64(UINT64_C(1) << 32, UINT64_C(1) << 32, &out));
	ck_assert(range_inside(0, 0, 0) && range_inside(5, 5, 10) && range_inside(10, 0, 10));
	ck_assert(!range_inside(5, 6, 10) && !range_inside(11, 0, 10));
	ck_assert(!range_inside(1, UINT64_MAX, 10) && !range_inside(UINT64_MAX, 1, 10));
	ck_assert(range_inside(0, UINT64_MAX, UINT64_MAX));
}
END_TEST

START_TEST(helpers_round_and_choose)
{
	ck_assert_uint_eq(align_up(0, 4096), 0);
	ck_assert_uint_eq(align_up(1, 4096), 4096);
	ck_assert_uint_eq(align_up(4096, 4096), 4096);
	ck_assert_uint_eq(align_down(4095, 4096), 0);
	ck_assert_uint_eq(align_down(UINT64_MAX, 4096), UINT64_MAX - 4095);
	ck_assert_uint_eq(min_size(1, 2) + min_u64(2, 1) + max_u64(1, 2), 4);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("base");
	TCase *tc = tcase_create("a_bug_of_ours_aborts");

	UNIT_TEST(s, an_error_tells_what_was_done_from_the_outside_in);
	UNIT_TEST(s, an_error_that_is_too_long_is_cut);
	UNIT_LOOP(s, each_level_says_what_is_at_least_as_grave, 4);
	UNIT_TEST(s, levels_have_names);
	UNIT_TEST(s, on_a_raw_terminal_lines_end_in_cr_lf);
	UNIT_TEST(s, a_line_that_is_too_long_is_cut_and_ends);
	UNIT_TEST(s, a_guest_says_five_lines_a_second_and_then_a_count);
	UNIT_TEST(s, a_log_without_stderr_does_no_harm);
	UNIT_TEST(s, texts_are_found_also_where_they_overlap);
	UNIT_TEST(s, random_texts_are_found_as_by_a_naive_search);
	UNIT_TEST(s, the_longest_text_and_all_bytes_are_found);
	tcase_add_loop_test_raise_signal(tc, a_bug_of_ours_aborts, SIGILL, 0, 2);
	suite_add_tcase(s, tc);
	UNIT_TEST(s, numbers_in_bytes_are_little_endian_at_any_alignment);
	UNIT_TEST(s, arithmetic_that_overflows_says_so);
	UNIT_TEST(s, helpers_round_and_choose);
	return s;
}

UNIT_MAIN("base", suite)
