/*
 * exits.c - what to do when the guest leaves KVM_RUN.
 *
 * Life of a VM: on each vCPU's thread, at each exit, between two KVM_RUNs. Few reasons are left for
 * us, because the interrupt controllers and timers live in the kernel: ports, device memory, and
 * the ways in which a guest dies. Source: Linux, Documentation/virt/kvm/api.rst, section 5.
 */
#include "machine.h"
#include <stdio.h>
#include <string.h>
#include <vmm/base/util.h>

typedef enum vcpu_next (*vcpu_exit_fn)(struct vcpu *v, struct kvm_run *run);

/* A device may have ended or reset the VM; the guest must not run on as if it had not. */
static enum vcpu_next after_access(struct vcpu *v)
{
	return machine_has_event(v->machine) ? NEXT_PARK : NEXT_RUN;
}

/* io.count > 1: a string instruction, the same port each time. */
static enum vcpu_next exit_io(struct vcpu *v, struct kvm_run *run)
{
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	struct bus *pio = v->machine->pio;

	for (uint32_t i = 0; i < run->io.count; i++, data += run->io.size) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			bus_write(pio, run->io.port, data, run->io.size);
		else
			bus_read(pio, run->io.port, data, run->io.size);
	}
	return after_access(v);
}

static enum vcpu_next exit_mmio(struct vcpu *v, struct kvm_run *run)
{
	size_t len = min_size(run->mmio.len, sizeof(run->mmio.data));
	struct bus *mmio = v->machine->mmio;

	if (run->mmio.is_write)
		bus_write(mmio, run->mmio.phys_addr, run->mmio.data, len);
	else
		bus_read(mmio, run->mmio.phys_addr, run->mmio.data, len);
	return after_access(v);
}

/* KVM has been interrupted for a reason of its own, or by a debugger: nothing to do. */
static enum vcpu_next exit_again(struct vcpu *v, struct kvm_run *run)
{
	(void)v;
	(void)run;
	return NEXT_RUN;
}

/* NULL: the guest cannot go on. */
static const vcpu_exit_fn exit_table[] = {
	[KVM_EXIT_IO] = exit_io,
	[KVM_EXIT_MMIO] = exit_mmio,
	[KVM_EXIT_INTR] = exit_again,
	[KVM_EXIT_IRQ_WINDOW_OPEN] = exit_again,
};

static enum vcpu_next crash(struct vcpu *v, const char *what)
{
	char dump[1536], *line = dump, *eol;

	machine_on_crash(
		v->machine); /* first: the end must not wait for a reader of what follows */
	log_error("the guest crashed on vCPU %u: %s", v->index, what);
	arch_vcpu_dump(&v->kvm, v->machine->mem, dump, sizeof(dump));
	for (; (eol = strchr(line, '\n')); line = eol + 1) {
		*eol = '\0';
		log_error("%s", line);
	}
	return NEXT_STOP;
}

/* Once the exit is answered. true: there is another one by now. */
static bool show(struct vcpu *v)
{
	if (v->machine->trace)
		trace_exit(v->machine->trace, v);
	return v->machine->cfg->on_exit && trace_watch(v);
}

enum vcpu_next vcpu_handle_exit(struct vcpu *v, int rc)
{
	struct kvm_run *run = v->kvm.run;
	enum vcpu_next next;
	char what[256];

	if (rc < 0) {
		/* The kernel refuses to run this vCPU at all, -EFAULT on memory that it cannot get.
		 */
		char why[64];

		snprintf(what, sizeof(what), "KVM_RUN: %s", strerror_r(-rc, why, sizeof(why)));
		return crash(v, what);
	}
	do {
		if (run->exit_reason >= ARRAY_SIZE(exit_table) || !exit_table[run->exit_reason]) {
			arch_exit_describe(run, what, sizeof(what));
			show(v);
			return crash(v, what);
		}
		next = exit_table[run->exit_reason](v, run);
	} while (show(v));
	return next;
}
