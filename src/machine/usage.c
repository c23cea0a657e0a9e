/*
 * usage.c - what the VM costs its host: CPU time of each thread, memory, page faults.
 *
 * Life of a VM: read on the loop thread, whenever somebody asks for statistics and once at the end;
 * a vCPU's thread closes its account as its last act. Nothing is opened for any of this: it works
 * in a process that has no /proc.
 */
#include "machine.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <vmm/base/util.h>

int usage_create(struct machine *m, struct err *e)
{
	m->vcpu_ns = calloc(cpu_topology_total(&m->cfg->cpus), sizeof(*m->vcpu_ns));
	return m->vcpu_ns ? 0 : err_set(e, -ENOMEM, "accounts of vCPUs: out of memory");
}

static uint64_t cpu_ns(clockid_t clock)
{
	struct timespec ts;

	if (clock_gettime(clock, &ts) < 0)
		return 0; /* a thread that is no more */
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

void usage_close_vcpu(struct vcpu *v)
{
	v->machine->vcpu_ns[v->index] += cpu_ns(CLOCK_THREAD_CPUTIME_ID);
}

static uint64_t vcpu_ns(const struct machine *m, unsigned int index)
{
	struct vcpu *v = index < m->n_vcpus ? &m->vcpus[index] : NULL;
	uint64_t ns = 0;
	clockid_t clock;

	if (!v || !v->has_thread)
		return m->vcpu_ns[index];
	pthread_mutex_lock(&v->lock); /* with it held the thread cannot end */
	if (v->state != VCPU_STOPPED && pthread_getcpuclockid(v->thread, &clock) == 0)
		ns = cpu_ns(clock);
	ns += m->vcpu_ns[index];
	pthread_mutex_unlock(&v->lock);
	return ns;
}

uint64_t usage_vcpu_ms(const struct machine *m, unsigned int index)
{
	return vcpu_ns(m, index) / NS_PER_MS;
}

static uint64_t ms(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * 1000 + (uint64_t)t->tv_usec / 1000;
}

void usage_get(const struct machine *m, struct usage *u)
{
	struct rusage r = { 0 };
	uint64_t loop = cpu_ns(CLOCK_THREAD_CPUTIME_ID), known = loop, all;

	for (unsigned int i = 0; i < cpu_topology_total(&m->cfg->cpus); i++)
		known += vcpu_ns(m, i);
	all = cpu_ns(CLOCK_PROCESS_CPUTIME_ID);
	getrusage(RUSAGE_SELF, &r);
	*u = (struct usage){
		.loop_ms = loop / NS_PER_MS,
		.worker_ms = (all - min_u64(all, known)) / NS_PER_MS,
		.user_ms = ms(&r.ru_utime),
		.system_ms = ms(&r.ru_stime),
		.max_rss_kib = (uint64_t)r.ru_maxrss,
		.minor_faults = (uint64_t)r.ru_minflt,
		.major_faults = (uint64_t)r.ru_majflt,
		.blocks_read = (uint64_t)r.ru_inblock,
		.blocks_written = (uint64_t)r.ru_oublock,
		.voluntary_switches = (uint64_t)r.ru_nvcsw,
		.involuntary_switches = (uint64_t)r.ru_nivcsw,
	};
}
