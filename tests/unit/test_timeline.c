/*
 * test_timeline.c - src/machine/timeline.c, timeline_svg.c: what took how long, in numbers and as a
 * picture.
 */
#include "unit.h"
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>
#include <vmm/base/util.h>
#include <vmm/host/evloop.h>
#include <vmm/machine/timeline.h>

#define NOTES 2048 /* of the guest, kept; one of them is its start */

static char dir[64], json[96], svg[96];
static struct err e;
static struct timeline *t;

static void start(void)
{
	snprintf(dir, sizeof(dir), "/tmp/vmm-unit-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(json, sizeof(json), "%s/t.json", dir);
	snprintf(svg, sizeof(svg), "%s/t.svg", dir);
}

static void stop(void)
{
	timeline_close(t);
	unlink(json);
	unlink(svg);
	ck_assert_int_eq(rmdir(dir), 0);
}

static void begin(const char *path)
{
	ck_ok(timeline_open(&t, path, evloop_now_ns(), &e));
	timeline_phase(t, "make the thing");
	timeline_phase(t, "wake it");
	timeline_guest_starts(t);
}

static void say(const char *s)
{
	timeline_output(t, (const uint8_t *)s, strlen(s));
}

static void finish(void)
{
	timeline_guest_ends(t);
	ck_ok(timeline_write(t, &e));
}

static json_t *numbers(void)
{
	json_error_t why;
	json_t *o = json_load_file(json, 0, &why);

	ck_assert_msg(o != NULL, "%s", why.text);
	return o;
}

static const char *what(const json_t *rows, size_t i)
{
	return json_string_value(json_object_get(json_array_get(rows, i), "what"));
}

static json_int_t us(const json_t *rows, size_t i, const char *key)
{
	return json_integer_value(json_object_get(json_array_get(rows, i), key));
}

static char *picture(void)
{
	static char text[1 << 20];
	FILE *f = fopen(svg, "r");

	ck_assert_ptr_nonnull(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	return text;
}

static unsigned int count(const char *text, const char *word)
{
	unsigned int n = 0;

	for (; (text = strstr(text, word)); text += strlen(word))
		n++;
	return n;
}

START_TEST(each_phase_ends_where_the_next_one_begins)
{
	static const char *const names[] = { "load the program", "read the options",
					     "make the thing", "wake it",
					     "stop, and write out what the guest has said" };
	json_t *o, *rows;

	begin(json);
	usleep(20000);
	finish();
	o = numbers();
	rows = json_object_get(o, "vmm");
	ck_assert_uint_eq(json_array_size(rows), ARRAY_SIZE(names));
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		ck_assert_str_eq(what(rows, i), names[i]);
	for (size_t i = 0; i < 3; i++)
		ck_assert_int_le(
			llabs(us(rows, i, "at_us") + us(rows, i, "us") - us(rows, i + 1, "at_us")),
			1);
	/* The last one before the guest ends there, and not when the guest does. */
	ck_assert_int_lt(us(rows, 3, "us"), 20000);
	ck_assert_int_ge(us(rows, 4, "at_us") - us(rows, 3, "at_us"), 20000);
	json_decref(o);
}
END_TEST

START_TEST(a_line_lasts_until_the_next_one)
{
	json_t *o, *rows;

	begin(json);
	say("one");
	say(" and a half\r\n\n");
	usleep(20000);
	say("two\nthree");
	timeline_event(t, "something", evloop_now_ns());
	finish();
	o = numbers();
	rows = json_object_get(o, "guest");
	ck_assert_uint_eq(json_array_size(rows), 5);
	ck_assert_str_eq(what(rows, 0), "(its first instruction)");
	ck_assert_str_eq(what(rows, 1), "one and a half");
	ck_assert_int_ge(us(rows, 1, "us"), 20000);
	ck_assert_str_eq(what(rows, 2), "two");
	ck_assert_str_eq(what(rows, 3), "three");
	ck_assert_str_eq(what(rows, 4), "something");
	ck_assert_int_eq(us(rows, 4, "us"), 0);
	json_decref(o);
}
END_TEST

START_TEST(a_guest_that_prints_for_ever_adds_a_number)
{
	static char line[300];
	json_t *o, *rows;

	begin(json);
	memset(line, 'x', sizeof(line) - 2);
	line[sizeof(line) - 2] = '\n';
	for (unsigned int i = 0; i < 3 * NOTES; i++)
		say(line);
	timeline_event(t, "too late", evloop_now_ns());
	finish();
	o = numbers();
	rows = json_object_get(o, "guest");
	ck_assert_uint_eq(json_array_size(rows), NOTES);
	ck_assert_uint_lt(strlen(what(rows, 1)), 64);
	ck_assert_int_ge(json_integer_value(json_object_get(o, "lost")), 2 * NOTES);
	json_decref(o);
}
END_TEST

START_TEST(what_the_guest_prints_stays_text_in_the_picture)
{
	char *text;

	begin(svg);
	say("</text><script>&\x1b[31m\x80\xff\n");
	finish();
	text = picture();
	ck_assert_ptr_nonnull(strstr(text, "&lt;/text&gt;&lt;script&gt;&amp;[31m<"));
	ck_assert_ptr_null(strstr(text, "<script"));
	ck_assert_int_eq(strncmp(text, "<svg ", 5), 0);
	ck_assert_ptr_nonnull(strstr(text, "</svg>"));
}
END_TEST

START_TEST(the_picture_has_the_longest_lines_and_says_how_many_more)
{
	char line[16], *text;

	begin(svg);
	for (unsigned int i = 0; i < 200; i++) {
		snprintf(line, sizeof(line), "line %u.\n", i);
		say(line);
		if (i == 77)
			usleep(20000);
	}
	timeline_event(t, "an event", evloop_now_ns());
	finish();
	text = picture();
	ck_assert_ptr_nonnull(strstr(text, "line 77."));
	ck_assert_ptr_nonnull(strstr(text, "an event"));
	ck_assert_uint_ge(count(text, "class=\"l\""), 2);
	ck_assert_uint_le(count(text, "class=\"l\""), 48 + 1);
	ck_assert_ptr_nonnull(strstr(text, "lines after which less happened"));
}
END_TEST

START_TEST(a_guest_that_never_ran_has_a_picture_too)
{
	ck_ok(timeline_open(&t, svg, evloop_now_ns(), &e));
	finish();
	ck_assert_ptr_nonnull(strstr(picture(), "read the options"));
}
END_TEST

START_TEST(a_file_of_another_kind_is_refused_and_not_made)
{
	char path[96];

	snprintf(path, sizeof(path), "%s/t.png", dir);
	ck_fails(timeline_open(&t, path, 0, &e), -EINVAL, ".svg or .json");
	ck_assert_int_eq(access(path, F_OK), -1);
	snprintf(path, sizeof(path), "%s/nowhere/t.svg", dir);
	ck_fails(timeline_open(&t, path, 0, &e), -ENOENT, path);
}
END_TEST

START_TEST(a_full_disk_is_told)
{
	begin(json);
	timeline_close(t);
	unlink(json);
	ck_assert_int_eq(symlink("/dev/full", json), 0);
	begin(json);
	timeline_guest_ends(t);
	ck_fails(timeline_write(t, &e), -ENOSPC, "No space");
}
END_TEST

START_TEST(what_nobody_wants_is_not_noted)
{
	timeline_phase(NULL, "x");
	timeline_guest_starts(NULL);
	timeline_output(NULL, (const uint8_t *)"x", 1);
	timeline_event(NULL, "x", 1);
	timeline_guest_ends(NULL);
	ck_ok(timeline_write(NULL, &e));
	timeline_close(NULL);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("timeline");

	UNIT_WITH(s, each_phase_ends_where_the_next_one_begins, start, stop);
	UNIT_WITH(s, a_line_lasts_until_the_next_one, start, stop);
	UNIT_WITH(s, a_guest_that_prints_for_ever_adds_a_number, start, stop);
	UNIT_WITH(s, what_the_guest_prints_stays_text_in_the_picture, start, stop);
	UNIT_WITH(s, the_picture_has_the_longest_lines_and_says_how_many_more, start, stop);
	UNIT_WITH(s, a_guest_that_never_ran_has_a_picture_too, start, stop);
	UNIT_WITH(s, a_file_of_another_kind_is_refused_and_not_made, start, stop);
	UNIT_WITH(s, a_full_disk_is_told, start, stop);
	UNIT_TEST(s, what_nobody_wants_is_not_noted);
	return s;
}

UNIT_MAIN("timeline", suite)
