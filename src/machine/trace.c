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
	FILE *file; /* stdio's own lock keeps lines whole */
	bool to_stderr;
	uint64_t start_ns;
};

int trace_open(struct trace **out, const char *path, uint64_t start_ns, struct err *e)
{
	struct trace *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(e, -ENOMEM, "--trace: out of memory");
	*t = (struct trace){ .to_stderr = !path, .start_ns = start_ns };
	t->file = path ? fopen(path, "we") : stderr;
	if (!t->file) {
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
	if (!t->to_stderr)
		fclose(t->file);
	free(t);
}

void trace_exit(struct trace *t, const struct vcpu *v)
{
	uint64_t us = (evloop_now_ns() - t->start_ns) / 1000;
	char what[256];

	arch_exit_describe(v->kvm.run, what, sizeof(what));
	fprintf(t->file, "%6llu.%06llu vcpu%u %s%s\n", (unsigned long long)(us / 1000000),
		(unsigned long long)(us % 1000000), v->index, what,
		log_is_raw() && t->to_stderr ? "\r" : "");
}
