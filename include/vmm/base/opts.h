/*
 * opts.h - option tables: one row says name, value, help and what to do; parser and help text
 * follow.
 *
 * Main thread, before anything else exists.
 */
#ifndef VMM_BASE_OPTS_H
#define VMM_BASE_OPTS_H
#include <stdint.h>
#include <stdio.h>
#include <vmm/base/err.h>

struct opt {
	const char *name; /* without the dashes; NULL ends the table */
	const char *value; /* what the help calls the value; NULL: the option takes none */
	const char *help; /* one or more lines, '\n' between */
	/* value is NULL for an option that takes none. Errors need not name the option. */
	int (*set)(void *target, const char *value, struct err *e);
};

/* Takes "--name value" and "--name=value". -EINVAL, naming the option, and the nearest name if
 * unknown. */
int opts_parse(const struct opt *table, int argc, char *const *argv, void *target, struct err *e);

/* The table as text, one option a paragraph. */
void opts_help(const struct opt *table, FILE *out);

/* The name that is most like this one; NULL: none is. names ends with NULL. */
const char *opts_nearest(const char *name, const char *const *names);

/* "512M", "2G", "65536K", "1T"; a bare number is MiB. Bytes; -EINVAL, -ERANGE. */
int opts_parse_size(const char *s, uint64_t *bytes, struct err *e);

/* "30s", "1500ms", "2m", "1h"; a bare number is seconds. Nanoseconds, more than 0. */
int opts_parse_duration(const char *s, uint64_t *ns, struct err *e);

/* A decimal number in [min, max]. */
int opts_parse_uint(const char *s, uint64_t min, uint64_t max, uint64_t *out, struct err *e);

#endif
