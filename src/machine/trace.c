/*
 * trace.c - one line for each exit, for people who want to see how a VM works.
 *
 * Life of a VM: only with --trace exits, or when a part of the program watches; by vCPU threads
 * after they have answered the exit, so that values read from a device are shown, too.
 */
#include "machine.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vmm/base/util.h>
#include <vmm/host/path.h>

#define BUF_BYTES 4096u

struct trace {
	uint64_t start_ns;
	FILE *file; /* stdio's own lock keeps lines whole; NULL: stderr */
	char buf[BUF_BYTES]; /* of the file: a vCPU's thread must not have to make one */
};

static int open_file(struct trace *t, const char *path, struct err *e)
{
	if (path_create(&t->file, path, e) < 0)
		return e->code;
	setvbuf(t->file, t->buf, isatty(fileno(t->file)) ? _IOLBF : _IOFBF, sizeof(t->buf));
	return 0;
}

int trace_open(struct trace **out, const char *path, uint64_t start_ns, struct err *e)
{
	struct trace *t = calloc(1, sizeof(*t));

	if (!t)
		return err_set(e, -ENOMEM, "--trace: out of memory");
	t->start_ns = start_ns;
	if (path && open_file(t, path, e) < 0) {
		free(t);
		return err_wrap(e, "--trace exits=%s", path);
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

static void see_access(struct exit_seen *x, const struct machine *m, const struct kvm_run *run)
{
	const uint8_t *data = run->mmio.data;

	if (run->exit_reason == KVM_EXIT_IO) {
		data = (const uint8_t *)run + run->io.data_offset;
		x->is_write = run->io.direction == KVM_EXIT_IO_OUT;
		x->at = run->io.port;
		x->size = run->io.size;
		x->who = bus_who(m->pio, x->at);
	} else {
		x->is_write = run->mmio.is_write;
		x->at = run->mmio.phys_addr;
		x->size = run->mmio.len;
		x->who = bus_who(m->mmio, x->at);
	}
	memcpy(&x->value, data, min_size(x->size, sizeof(x->value)));
}

/*
 * Which instruction was it? At some exits the program counter is still on it, at others already
 * behind it, and which is which is no part of KVM's interface. So the access is completed: if that
 * moves the counter, it was still there. (A string instruction that goes on is the one exception.)
 */
bool trace_watch(struct vcpu *v)
{
	const struct kvm_run *run = v->kvm.run;
	const struct vm_config *cfg = v->machine->cfg;
	struct exit_seen x = { 0 };
	uint64_t before = arch_vcpu_pc(&v->kvm);
	bool again = false;
	char what[256];

	arch_exit_describe(run, what, sizeof(what));
	x.what = what;
	x.pc = before;
	x.is_access = run->exit_reason == KVM_EXIT_IO || run->exit_reason == KVM_EXIT_MMIO;
	if (x.is_access) {
		see_access(&x, v->machine, run);
		again = vcpu_complete_exit(v) == 0;
		if (arch_vcpu_pc(&v->kvm) == before)
			x.pc = before - 1;
	}
	cfg->on_exit(cfg->on_exit_arg, &x);
	return again;
}
