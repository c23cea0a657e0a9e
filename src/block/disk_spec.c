/*
 * disk_spec.c - the value of --disk.
 *
 * Life of a VM: while the command line is read, on the main thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vmm/base/opts.h>
#include <vmm/base/util.h>
#include <vmm/block/disk_spec.h>

#define MAX_RATE (16 * GIB) /* what host/rate can count */

/* value is NULL for "name" alone. */
struct key {
	const char *name;
	bool takes_value;
	int (*set)(struct disk_spec *s, const char *value, struct err *e);
};

static int set_ro(struct disk_spec *s, const char *value, struct err *e)
{
	(void)value, (void)e;
	s->ro = true;
	return 0;
}

static int set_snapshot(struct disk_spec *s, const char *value, struct err *e)
{
	(void)value, (void)e;
	s->snapshot = true;
	return 0;
}

static int set_direct(struct disk_spec *s, const char *value, struct err *e)
{
	(void)value, (void)e;
	s->direct = true;
	return 0;
}

static int set_format(struct disk_spec *s, const char *value, struct err *e)
{
	if (strcmp(value, "raw") != 0)
		return err_set(e, -EINVAL,
			       "only raw is possible; qemu-img convert -O raw makes a raw file");
	s->raw = true;
	return 0;
}

static int set_id(struct disk_spec *s, const char *value, struct err *e)
{
	size_t len = strlen(value);

	if (len == 0 || len > DISK_ID_MAX)
		return err_set(e, -EINVAL, "expected 1 to %u characters", DISK_ID_MAX);
	for (size_t i = 0; i < len; i++) {
		if (value[i] <= ' ' || value[i] > '~')
			return err_set(e, -EINVAL, "only visible ASCII characters are possible");
	}
	memcpy(s->id, value, len + 1);
	return 0;
}

static int set_queues(struct disk_spec *s, const char *value, struct err *e)
{
	uint64_t n;

	if (opts_parse_uint(value, 1, DISK_MAX_QUEUES, &n, e) < 0)
		return e->code;
	s->queues = (unsigned int)n;
	return 0;
}

static int set_engine(struct disk_spec *s, const char *value, struct err *e)
{
	if (strcmp(value, "uring") == 0)
		s->engine = DISK_ENGINE_URING;
	else if (strcmp(value, "threads") == 0)
		s->engine = DISK_ENGINE_THREADS;
	else
		return err_set(e, -EINVAL, "expected uring or threads");
	return 0;
}

static int parse_bytes(uint64_t *out, const char *value, struct err *e)
{
	if (opts_parse_size(value, out, e) < 0)
		return e->code;
	if (*out == 0 || *out > MAX_RATE)
		return err_set(e, -ERANGE, "must be more than 0 and at most 16G");
	return 0;
}

static int set_bps(struct disk_spec *s, const char *value, struct err *e)
{
	return parse_bytes(&s->rate.bytes_per_s, value, e);
}

static int set_burst(struct disk_spec *s, const char *value, struct err *e)
{
	return parse_bytes(&s->rate.bytes_burst, value, e);
}

static int set_iops(struct disk_spec *s, const char *value, struct err *e)
{
	return opts_parse_uint(value, 1, UINT32_MAX, &s->rate.ops_per_s, e);
}

static int set_iops_burst(struct disk_spec *s, const char *value, struct err *e)
{
	return opts_parse_uint(value, 1, UINT32_MAX, &s->rate.ops_burst, e);
}

static const struct key keys[] = {
	{ "ro", false, set_ro },
	{ "snapshot", false, set_snapshot },
	{ "direct", false, set_direct },
	{ "format", true, set_format },
	{ "id", true, set_id },
	{ "queues", true, set_queues },
	{ "engine", true, set_engine },
	{ "bps", true, set_bps },
	{ "burst", true, set_burst },
	{ "iops", true, set_iops },
	{ "iops-burst", true, set_iops_burst },
};

/*
 * Cuts the next part off, which is changed in place: up to a single comma, with ",," become ",".
 * NULL: there is none.
 */
static char *next_part(char **rest)
{
	char *from = *rest, *to = from, *part = from;

	if (!from)
		return NULL;
	for (; *from; *to++ = *from++) {
		if (from[0] == ',' && from[1] == ',')
			from++;
		else if (from[0] == ',')
			break;
	}
	*rest = *from ? from + 1 : NULL;
	*to = '\0';
	return part;
}

static int unknown(const char *name, struct err *e)
{
	const char *names[ARRAY_SIZE(keys) + 1] = { 0 };
	const char *nearest;

	for (unsigned int i = 0; i < ARRAY_SIZE(keys); i++)
		names[i] = keys[i].name;
	nearest = opts_nearest(name, names);
	if (nearest)
		return err_set(e, -EINVAL,
			       "'%s': unknown, did you mean '%s'? A comma in a file's "
			       "name is written twice",
			       name, nearest);
	return err_set(
		e, -EINVAL,
		"'%s': unknown; there are ro, snapshot, direct, format=raw, id=, "
		"queues=, engine=, bps=, burst=, iops=, iops-burst=; a comma in a file's name "
		"is written twice",
		name);
}

static int parse_key(struct disk_spec *s, char *part, unsigned int *seen, struct err *e)
{
	char *value = strchr(part, '=');
	unsigned int i;

	if (value)
		*value++ = '\0';
	for (i = 0; i < ARRAY_SIZE(keys) && strcmp(keys[i].name, part) != 0; i++)
		;
	if (i == ARRAY_SIZE(keys))
		return unknown(part, e);
	if (*seen & 1u << i)
		return err_set(e, -EINVAL, "'%s' is given twice", part);
	*seen |= 1u << i;
	if (keys[i].takes_value != (value != NULL))
		return err_set(e, -EINVAL, "'%s' %s", part,
			       value ? "takes no value" : "needs a value");
	return keys[i].set(s, value, e) < 0 ? err_wrap(e, "%s=%s", part, value) : 0;
}

static int check(const struct disk_spec *s, struct err *e)
{
	if (s->ro && s->snapshot)
		return err_set(e, -EINVAL,
			       "either ro or snapshot: one lets the guest write, to a "
			       "layer, the other does not");
	if (s->rate.bytes_burst && !s->rate.bytes_per_s)
		return err_set(e, -EINVAL, "burst needs bps");
	if (s->rate.ops_burst && !s->rate.ops_per_s)
		return err_set(e, -EINVAL, "iops-burst needs iops");
	return 0;
}

static int parse(struct disk_spec *s, char *rest, struct err *e)
{
	const char *path = next_part(&rest);
	unsigned int seen = 0;
	char *part;

	if (!path || !*path)
		return err_set(e, -EINVAL, "expected PATH[,OPTION]...");
	s->path = strdup(path);
	if (!s->path)
		return err_set(e, -ENOMEM, "out of memory");
	while ((part = next_part(&rest))) {
		if (parse_key(s, part, &seen, e) < 0)
			return e->code;
	}
	return check(s, e);
}

int disk_spec_parse(struct disk_spec *out, const char *text, struct err *e)
{
	struct disk_spec s = { .queues = 1 };
	char *copy = strdup(text);
	int rc;

	if (!copy)
		return err_set(e, -ENOMEM, "out of memory");
	rc = parse(&s, copy, e);
	free(copy);
	if (rc < 0)
		disk_spec_fini(&s);
	else
		*out = s;
	return rc;
}

void disk_spec_fini(struct disk_spec *s)
{
	free(s->path);
	*s = (struct disk_spec){ 0 };
}
