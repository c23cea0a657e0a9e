/*
 * cgroup_limits.c - the value of --limit.
 *
 * Life of a VM: while the command line is read, on the main thread.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <vmm/base/opts.h>
#include <vmm/base/util.h>
#include <vmm/jail/cgroup.h>

#define TEXT_MAX 128u
#define MAX_PIDS (UINT64_C(1) << 22) /* Linux has no more process ids: PID_MAX_LIMIT */

static int set_size(uint64_t *bytes, const char *value, struct err *e)
{
	uint64_t n;

	if (opts_parse_size(value, &n, e) < 0)
		return e->code;
	if (n == 0)
		return err_set(e, -EINVAL, "must be more than 0");
	*bytes = n;
	return 0;
}

static int set_mem(struct cgroup_limits *l, const char *value, struct err *e)
{
	return set_size(&l->mem_bytes, value, e);
}

static int set_io(struct cgroup_limits *l, const char *value, struct err *e)
{
	return set_size(&l->io_bytes_per_s, value, e);
}

static int set_pids(struct cgroup_limits *l, const char *value, struct err *e)
{
	return opts_parse_uint(value, 1, MAX_PIDS, &l->pids, e);
}

/* Thousandths: what is behind the point, as three digits. */
static int parse_fraction(const char *digits, unsigned int *milli, struct err *e)
{
	size_t n = strspn(digits, "0123456789");

	if (n == 0 || n > 3 || digits[n])
		return err_set(e, -EINVAL, "expected one to three digits behind the point");
	*milli = 0;
	for (unsigned int i = 0; i < 3; i++)
		*milli = *milli * 10 + (i < n ? (unsigned int)(digits[i] - '0') : 0);
	return 0;
}

static int set_cpu(struct cgroup_limits *l, const char *value, struct err *e)
{
	char whole[TEXT_MAX];
	const char *point = strchr(value, '.');
	unsigned int milli = 0;
	uint64_t n;

	snprintf(whole, sizeof(whole), "%.*s", (int)strcspn(value, "."), value);
	if (opts_parse_uint(whole, 0, CGROUP_MAX_CPU, &n, e) < 0)
		return e->code;
	if (point && parse_fraction(point + 1, &milli, e) < 0)
		return e->code;
	milli += (unsigned int)n * 1000;
	if (milli < CGROUP_MIN_MILLI_CPU)
		return err_set(e, -ERANGE, "the least is 0.01");
	l->milli_cpu = milli;
	return 0;
}

static const struct {
	const char *name;
	int (*set)(struct cgroup_limits *l, const char *value, struct err *e);
} keys[] = {
	{ "mem", set_mem },
	{ "cpu", set_cpu },
	{ "pids", set_pids },
	{ "io", set_io },
};

static int parse_part(struct cgroup_limits *l, char *part, struct err *e)
{
	char *value = strchr(part, '=');

	if (value)
		*value++ = '\0';
	for (unsigned int i = 0; i < ARRAY_SIZE(keys); i++) {
		if (!value || strcmp(part, keys[i].name) != 0)
			continue;
		return keys[i].set(l, value, e) < 0 ? err_wrap(e, "%s=%s", part, value) : 0;
	}
	return err_set(e, -EINVAL, "'%s': expected mem=SIZE, cpu=N, pids=N or io=SIZE", part);
}

int cgroup_limits_parse(struct cgroup_limits *l, const char *text, struct err *e)
{
	struct cgroup_limits new = *l;
	char copy[TEXT_MAX], *rest = copy, *part;

	if (strlen(text) >= sizeof(copy))
		return err_set(e, -EINVAL, "too long");
	memcpy(copy, text, strlen(text) + 1);
	while ((part = strsep(&rest, ","))) {
		if (parse_part(&new, part, e) < 0)
			return e->code;
	}
	*l = new;
	return 0;
}

bool cgroup_limits_any(const struct cgroup_limits *l)
{
	return l->mem_bytes || l->milli_cpu || l->pids || l->io_bytes_per_s;
}

void cgroup_size_text(char buf[CGROUP_SIZE_TEXT], uint64_t bytes)
{
	if (bytes % MIB)
		snprintf(buf, CGROUP_SIZE_TEXT, "%" PRIu64 "K", bytes / KIB);
	else
		snprintf(buf, CGROUP_SIZE_TEXT, "%" PRIu64 "M", bytes / MIB);
}
