/*
 * topology.c - APIC ids: which bits name the socket, the core and the thread.
 *
 * Life of a VM: while options are checked, and while vCPUs and ACPI tables are made. Main thread.
 * Source: Intel SDM volume 3, 9.9.1 "Hierarchical Mapping of Shared Resources"; AMD APM volume 3,
 * appendix E.4. Each level's field is as wide as it must be, so ids have gaps unless the counts are
 * powers of two.
 */
#include "x86.h"
#include <errno.h>
#include <vmm/base/util.h>

static unsigned int bits_for(unsigned int n)
{
	unsigned int bits = 0;

	while ((1u << bits) < n)
		bits++;
	return bits;
}

unsigned int topology_thread_bits(const struct cpu_topology *t)
{
	return bits_for(t->threads);
}

unsigned int topology_core_bits(const struct cpu_topology *t)
{
	return bits_for(t->cores);
}

unsigned int arch_vcpu_id(const struct cpu_topology *t, unsigned int index)
{
	unsigned int thread = index % t->threads, core = index / t->threads % t->cores;
	unsigned int socket = index / t->threads / t->cores;

	return ((socket << topology_core_bits(t)) | core) << topology_thread_bits(t) | thread;
}

bool topology_needs_x2apic_ids(const struct cpu_topology *t)
{
	return arch_vcpu_id(t, cpu_topology_total(t) - 1) > 254;
}

int arch_check_topology(const struct cpu_topology *t, const struct kvm_sys *sys, struct err *e)
{
	unsigned int n = cpu_topology_total(t), last = arch_vcpu_id(t, n - 1);

	if (n > sys->max_vcpus)
		return err_set(e, -EINVAL, "--cpus: %u CPUs: this host's KVM allows at most %u", n,
			       sys->max_vcpus);
	if (last >= sys->max_vcpu_id)
		return err_set(
			e, -EINVAL,
			"--cpus: sockets=%u,cores=%u,threads=%u needs the APIC id %u: this host's "
			"KVM allows at most %u; powers of two leave no gaps",
			t->sockets, t->cores, t->threads, last, sys->max_vcpu_id - 1);
	if (topology_needs_x2apic_ids(t) && kvm_sys_cap(sys, KVM_CAP_X2APIC_API) <= 0)
		return err_set(e, -EINVAL,
			       "--cpus: %u CPUs: this host's KVM lacks KVM_CAP_X2APIC_API, "
			       "needed for more than 255",
			       n);
	return 0;
}
