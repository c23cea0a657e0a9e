/*
 * outside.c - what is decided before the VM has a process of its own, and what that one may ask of the other.
 *
 * Life of a VM: outside_open() when the options have been checked. Then the process outside waits, and does the jobs of
 * this file; the VM's goes on with machine_build().
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>
#include <vmm/arch/arch.h>
#include <vmm/base/log.h>
#include <vmm/boot/kernel_cache.h>
#include <vmm/host/emergency.h>
#include <vmm/machine/outside.h>

/* Jobs: in the process outside --------------------------------------------------------------- */

static int cache_make(void *arg, uint64_t value, int *give)
{
	struct outside *o = arg;
	struct kernel_cache *c = arch_kernel_cache(o->kernel);

	return c ? kernel_cache_do(c, KERNEL_CACHE_MAKE, value, give) : -ENOENT;
}

static int cache_keep(void *arg, uint64_t value, int *give)
{
	struct outside *o = arg;
	struct kernel_cache *c = arch_kernel_cache(o->kernel);

	(void)value;
	return c ? kernel_cache_do(c, KERNEL_CACHE_KEEP, 0, give) : -ENOENT;
}

/* Asking: in the VM's ------------------------------------------------------------------------ */

static int ask_cache(void *arg, enum kernel_cache_job job, uint64_t size, int *give)
{
	const struct outside *o = arg;

	return broker_ask(&o->broker,
			  job == KERNEL_CACHE_MAKE ? OUTSIDE_CACHE_MAKE : OUTSIDE_CACHE_KEEP, size,
			  give);
}

/* Both --------------------------------------------------------------------------------------- */

/* Is there anything that kill -9 would leave behind? */
static bool leaves_traces(const struct chardev_spec *c)
{
	return c->kind == CHARDEV_UNIX || (c->kind == CHARDEV_STDIO && isatty(STDIN_FILENO));
}

static bool needs_guard(const struct vm_config *cfg)
{
	bool needs = leaves_traces(&cfg->serial);

	for (unsigned int i = 0; i < console_spec_n_ports(&cfg->console); i++) {
		struct chardev_spec c = console_spec_chardev(&cfg->console, i);

		needs |= leaves_traces(&c);
	}
	for (unsigned int i = 0; i < cfg->n_nets; i++)
		needs |= cfg->nets[i].kind == NET_UNIX;
	return needs;
}

static int split(struct outside *o, struct err *e)
{
	if (needs_guard(o->cfg) && emergency_guard_start(e) < 0)
		return e->code;
	if (broker_fork(&o->broker, &o->jail, o->jobs, OUTSIDE_JOBS, e) < 0) {
		if (!o->broker.inside)
			emergency_guard_end();
		return e->code;
	}
	if (o->broker.inside)
		kernel_cache_let_ask(arch_kernel_cache(o->kernel), ask_cache, o);
	else
		arch_kernel_forget(o->kernel);
	return 0;
}

int outside_open(struct outside *o, const struct vm_config *cfg, struct err *e)
{
	*o = (struct outside){
		.cfg = cfg,
		.broker = { .fd = -1, .signal_fd = -1 },
		.jobs = { [OUTSIDE_CACHE_MAKE] = { cache_make, o },
			  [OUTSIDE_CACHE_KEEP] = { cache_keep, o } },
	};
	jail_init(&o->jail, cfg->jail);
	fflush(stdout); /* or it would be said twice */
	if (arch_kernel_open(&o->kernel, cfg->kernel, cfg->boot, e) < 0 || split(o, e) < 0) {
		outside_close(o);
		return e->code;
	}
	return 0;
}

int outside_wait(struct outside *o, struct broker_end *end, struct err *e)
{
	int rc = broker_serve(&o->broker, end, e);

	emergency_guard_end();
	return rc;
}

void outside_close(struct outside *o)
{
	arch_kernel_close(o->kernel);
	o->kernel = NULL;
	jail_fini(&o->jail);
	broker_fini(&o->broker);
}
