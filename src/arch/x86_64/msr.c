/*
 * msr.c - the few model-specific registers that firmware would have set before a kernel starts.
 *
 * Life of a VM: once for each vCPU, while it is made. Main thread.
 * Source: Intel SDM volume 4, table 2-2; volume 3, 12.11.2.1 "IA32_MTRR_DEF_TYPE MSR".
 */
#include "x86.h"
#include <string.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>

static const struct {
	uint32_t index;
	uint64_t value;
	const char *name;
} initial[] = {
	/* Fast strings on, or Linux on Intel copies slowly; no branch trace store, no PEBS. */
	{ 0x1a0, 1u << 0 | 1u << 11 | 1u << 12, "IA32_MISC_ENABLE" },
	/*
	 * MTRRs on, default type write-back. Without them kernels believe all memory uncached, and
	 * some then leave the PAT alone.
	 */
	{ 0x2ff, 1u << 11 | 6, "IA32_MTRR_DEF_TYPE" },
};

/* A KVM that refuses one does not emulate it: then its guest will not miss it. */
int msr_init(struct kvm_vcpu *v, struct err *e)
{
	union {
		struct kvm_msrs head;
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} m;

	for (size_t i = 0; i < ARRAY_SIZE(initial); i++) {
		memset(&m, 0, sizeof(m));
		m.head.nmsrs = 1;
		m.head.entries[0] = (struct kvm_msr_entry){ .index = initial[i].index,
							    .data = initial[i].value };
		if (kvm_vcpu_set_msrs(v, &m.head, e) < 0)
			log_debug("%s keeps its reset value: %s", initial[i].name, e->text);
	}
	return 0;
}
