/*
 * msr.c - the few model-specific registers that do not start as the architecture's reset leaves
 * them.
 *
 * Life of a VM: once for each vCPU, while it is made. Main thread.
 * Source: Intel SDM volume 4; volume 3, 12.11.2.1 "IA32_MTRR_DEF_TYPE MSR".
 */
#include "x86.h"
#include <string.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>

#define MSR_IA32_MTRR_DEF_TYPE 0x2ff
#define MTRR_ENABLE (1u << 11)
#define MTRR_WRITE_BACK 6

/*
 * Firmware would have switched the MTRRs on. Without them kernels believe all memory uncached and
 * some then leave the PAT alone. A KVM that refuses has none to emulate: nothing is lost.
 */
int msr_init(struct kvm_vcpu *v, struct err *e)
{
	union {
		struct kvm_msrs head;
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} m = { .head.nmsrs = 1 };

	m.head.entries[0] = (struct kvm_msr_entry){ .index = MSR_IA32_MTRR_DEF_TYPE,
						    .data = MTRR_ENABLE | MTRR_WRITE_BACK };
	if (kvm_vcpu_set_msrs(v, &m.head, e) < 0)
		log_debug("MTRRs stay off: %s", e->text);
	return 0;
}
