/*
 * trace.c - one line for each exit, for people who want to see how a VM works.
 *
 * Life of a VM: only with --trace exits; written by vCPU threads after they have answered the exit,
 * so that values read from a device are shown, too.
 */
#include "machine.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <vmm/base/util.h>

struct trace {
	FILE *file; /* stdio's own lock keeps lines whole; NULL: stderr */
	uint64_t start_ns;
};

int trace_open(struct trace **out, const char *path, uint64_t start_ns, struct err *e)
{
	struct trace *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(e, -ENOMEM, "--trace: out of memory");
	t->start_ns = start_ns;
	t->file = path ? fopen(path, "we") : NULL;
	if (path && !t->file) {
		err_errno(e, "--trace exits=%s", path);
		free(t);
		return e->code;
	}
	*out = t;
	return 0;
}

void trace_close(struct trace *t)
{
	if (!t)
		return;
	if (t->file)
		fclose(t->file);
	free(t);
}

void trace_exit(struct trace *t, const struct vcpu *v)
{
	uint64_t us = (evloop_now_ns() - t->start_ns) / 1000;
	char what[256], line[sizeof(what) + 64];
	int n;

	arch_exit_describe(v->kvm.run, what, sizeof(what));
	n = snprintf(line, sizeof(line), "%6llu.%06llu vcpu%u %s%s\n",
		     (unsigned long long)(us / 1000000), (unsigned long long)(us % 1000000),
		     v->index, what, !t->file && log_is_raw() ? "\r" : "");
	if (t->file)
		fwrite(line, 1, (size_t)n, t->file);
	else
		log_write(line, (size_t)n, LOG_WAIT_MS);
}
