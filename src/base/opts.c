/*
 * opts.c - from argv to values, with errors that name the option and say what would do.
 *
 * Life of a VM: the first thing that happens to a command line. Main thread.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <vmm/base/checked.h>
#include <vmm/base/opts.h>
#include <vmm/base/util.h>

#define NAME_MAX_LEN 32u

/* Levenshtein's distance; names are short, so the whole row fits on the stack. */
static unsigned int distance(const char *a, const char *b)
{
	unsigned int row[NAME_MAX_LEN + 1], n = (unsigned int)strlen(b);

	if (n > NAME_MAX_LEN || strlen(a) > NAME_MAX_LEN)
		return UINT32_MAX;
	for (unsigned int j = 0; j <= n; j++)
		row[j] = j;
	for (unsigned int i = 1; a[i - 1]; i++) {
		unsigned int diagonal = row[0];

		row[0] = i;
		for (unsigned int j = 1; j <= n; j++) {
			unsigned int change = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			row[j] = (unsigned int)min_u64(change, min_u64(row[j], row[j - 1]) + 1);
		}
	}
	return row[n];
}

const char *opts_nearest(const char *name, const char *const *names)
{
	unsigned int best =
		3; /* further away than two changes, or half the name, is another word */
	const char *found = NULL;

	for (; *names; names++) {
		unsigned int d = distance(name, *names);

		if (d < best && 2ul * d <= strlen(*names)) {
			best = d;
			found = *names;
		}
	}
	return found;
}

static int unknown(const struct opt *table, const char *name, struct err *e)
{
	const char *names[64], *near;
	size_t n = 0;

	for (; n < ARRAY_SIZE(names) - 1 && table[n].name; n++)
		names[n] = table[n].name;
	names[n] = NULL;
	near = opts_nearest(name, names);
	if (near)
		return err_set(e, -EINVAL, "unknown option --%s; did you mean --%s?", name, near);
	return err_set(e, -EINVAL, "unknown option --%s; 'vmm help COMMAND' lists the options",
		       name);
}

/* Splits "--name=value". name has room for what any option is called; too long a name is unknown.
 */
static const char *split(const char *arg, char *name, size_t size)
{
	const char *eq = strchr(arg, '=');
	size_t len = eq ? (size_t)(eq - arg) : strlen(arg);

	len = min_size(len, size - 1);
	memcpy(name, arg, len);
	name[len] = '\0';
	return eq ? eq + 1 : NULL;
}

static int take(const struct opt *o, const char *value, void *target, struct err *e)
{
	if (!o->value && value)
		return err_set(e, -EINVAL, "--%s takes no value", o->name);
	if (o->value && !value)
		return err_set(e, -EINVAL, "--%s needs a value: --%s %s", o->name, o->name,
			       o->value);
	if (o->set(target, value, e) < 0)
		return err_wrap(e, "--%s%s%s", o->name, value ? " " : "", value ? value : "");
	return 0;
}

int opts_parse(const struct opt *table, int argc, char *const *argv, void *target, struct err *e)
{
	for (int i = 0; i < argc; i++) {
		char name[NAME_MAX_LEN + 2];
		const char *value;
		const struct opt *o;

		if (strncmp(argv[i], "--", 2) != 0)
			return err_set(e, -EINVAL, "%s: not an option; options start with --",
				       argv[i]);
		value = split(argv[i] + 2, name, sizeof(name));
		for (o = table; o->name && strcmp(o->name, name) != 0; o++)
			;
		if (!o->name)
			return unknown(table, name, e);
		if (o->value && !value && i + 1 < argc)
			value = argv[++i];
		if (take(o, value, target, e) < 0)
			return e->code;
	}
	return 0;
}

void opts_help(const struct opt *table, FILE *out)
{
	for (const struct opt *o = table; o->name; o++) {
		fprintf(out, "  --%s%s%s\n", o->name, o->value ? " " : "",
			o->value ? o->value : "");
		for (const char *p = o->help; *p;) {
			size_t len = strcspn(p, "\n");

			fprintf(out, "        %.*s\n", (int)len, p);
			p += len + (p[len] == '\n');
		}
	}
}

/* Digits, then a unit out of the table; the empty unit is what a bare number means. */
struct unit {
	const char *name;
	uint64_t factor;
};

static int parse_with_unit(const char *s, const struct unit *units, uint64_t *out, struct err *e)
{
	uint64_t n;
	char *end;

	errno = 0;
	n = strtoull(s, &end, 10);
	if (end == s || *s < '0' || *s > '9')
		return err_set(e, -EINVAL, "not a number");
	for (; units->name && strcasecmp(units->name, end) != 0; units++)
		;
	if (!units->name)
		return err_set(e, -EINVAL, "unknown unit '%s'", end);
	if (errno == ERANGE || !checked_mul_u64(n, units->factor, out))
		return err_set(e, -ERANGE, "too large a number");
	return 0;
}

int opts_parse_size(const char *s, uint64_t *bytes, struct err *e)
{
	static const struct unit units[] = {
		{ "", MIB }, { "K", KIB }, { "M", MIB }, { "G", GIB }, { "T", 1024 * GIB }, { 0 },
	};

	return parse_with_unit(s, units, bytes, e);
}

int opts_parse_duration(const char *s, uint64_t *ns, struct err *e)
{
	static const struct unit units[] = {
		{ "", NS_PER_S },       { "ms", NS_PER_MS },      { "s", NS_PER_S },
		{ "m", 60 * NS_PER_S }, { "h", 3600 * NS_PER_S }, { 0 },
	};

	if (parse_with_unit(s, units, ns, e) < 0)
		return e->code;
	return *ns > 0 ? 0 : err_set(e, -EINVAL, "must be more than 0");
}

int opts_parse_uint(const char *s, uint64_t min, uint64_t max, uint64_t *out, struct err *e)
{
	static const struct unit units[] = { { "", 1 }, { 0 } };

	if (parse_with_unit(s, units, out, e) < 0)
		return e->code;
	if (*out < min || *out > max)
		return err_set(e, -ERANGE, "must be %llu to %llu", (unsigned long long)min,
			       (unsigned long long)max);
	return 0;
}
