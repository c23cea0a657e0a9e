/*
 * kvm_state.c - all that KVM holds of a VM and its vCPUs, saved when new, put back at a reset.
 *
 * Life of a VM: saved as the last step of building the machine; put back at each reset, while the
 * vCPUs are parked. Main thread.
 *
 * Source: Linux, Documentation/virt/kvm/api.rst: 4.11 to 4.14 registers, 4.18 and 4.19 MSRs, 4.26
 * and 4.27 interrupt controllers, 4.31 and 4.32 events, 4.38 and 4.39 mp_state, 4.42 and 4.43
 * xsave, 4.57 and 4.58 local APIC, 4.114 and 4.115 nested state.
 *
 * The order of putting back matters:
 *   nested state  first: a vCPU inside a guest of the guest has two sets of registers, and what
 *                 follows is for the outer one; VMX's MSRs cannot be written before it has left
 *   events        leaves system management mode; calls off interrupts, exceptions and a shutdown
 *                 that were on their way
 *   mp_state      reading it makes KVM take an INIT or a start-up IPI that waits; only now does it
 *                 not change anything that has been put back already
 *   sregs         before all that depends on the mode: the APIC's base (is it an x2APIC?) before
 * the local APIC, EFER and CR4 before MSRs local APIC    before MSRs: whether the TSC deadline is
 * one depends on its timer's mode events, mp_state  last: what came before may have left a trace
 * there
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <vmm/base/bytes.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/kvm/kvm_state.h>

#define N_LINES 24u /* inputs of the I/O APIC; the two 8259s have the first 16 of them, too */

/* Intel SDM volume 4, table 2-2. What guests may write though KVM does not list it; KVM has eight
 * pairs of variable MTRRs and 32 banks of machine checks. */
#define MSR_TSC 0x10u
#define MSR_HYPERV 0x40000000u /* and 512 of them; Hyper-V TLFS, appendix */
#define N_HYPERV 0x200u
static const struct {
	uint32_t first, n;
} unlisted[] = {
	{ 0x1d9, 1 }, /* IA32_DEBUGCTL */
	{ 0x200, 2 * 8 }, /* IA32_MTRR_PHYSBASEn, PHYSMASKn */
	{ 0x250, 1 },      { 0x258, 2 }, { 0x268, 8 }, /* IA32_MTRR_FIX* */
	{ 0x277, 1 }, /* IA32_PAT */
	{ 0x2ff, 1 }, /* IA32_MTRR_DEF_TYPE */
	{ 0x400, 4 * 32 }, /* IA32_MCn_CTL, STATUS, ADDR, MISC */
};

#define XSTATE_BV 512u /* in an XSAVE image; le64 */
#define XSTATE_FP 1u
#define XSTATE_SSE 2u

struct kvm_vm_state {
	struct kvm_irqchip chip[3]; /* two 8259s and the I/O APIC */
	unsigned int n_chips;
	bool xsave2;
	size_t xsave_bytes; /* 0: this KVM has only the older KVM_GET_FPU */
	struct kvm_msrs *msrs; /* their indices; ever fewer, as KVM turns out not to have them */
};

struct kvm_vcpu_state {
	uint32_t has; /* a bit for each block */
	struct kvm_nested_state nested;
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp_state;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	struct kvm_xcrs xcrs;
	struct kvm_fpu fpu;
	struct kvm_debugregs debugregs;
	struct kvm_lapic_state lapic;
	struct kvm_msrs *msrs;
	uint8_t xsave[];
};

enum block { NESTED, EVENTS, MP_STATE, SREGS, REGS, XCRS, FPU, XSAVE, DEBUGREGS, LAPIC, N_BLOCKS };
#define BLOCK(x, member)                                                                           \
	.name = #x, .get = KVM_GET_##x, .set = KVM_SET_##x,                                        \
	.at = offsetof(struct kvm_vcpu_state, member)
static const struct {
	const char *name;
	unsigned long get, set;
	size_t at;
} blocks[N_BLOCKS] = {
	[NESTED] = { BLOCK(NESTED_STATE, nested) },
	[EVENTS] = { BLOCK(VCPU_EVENTS, events) },
	[MP_STATE] = { BLOCK(MP_STATE, mp_state) },
	[SREGS] = { BLOCK(SREGS, sregs) },
	[REGS] = { BLOCK(REGS, regs) },
	[XCRS] = { BLOCK(XCRS, xcrs) },
	[FPU] = { BLOCK(FPU, fpu) },
	[XSAVE] = { BLOCK(XSAVE, xsave) },
	[DEBUGREGS] = { BLOCK(DEBUGREGS, debugregs) },
	[LAPIC] = { BLOCK(LAPIC, lapic) },
};

/* A KVM says in these ways that it does not know a call. */
static bool is_missing(int code)
{
	return code == ENOTTY || code == EINVAL || code == ENXIO || code == EOPNOTSUPP ||
	       code == ENOSYS;
}

static int left_out(const char *what)
{
	log_debug("this KVM has no %s (%s): a reset leaves it alone", what, strerror(errno));
	return 0;
}

/* MSRs --------------------------------------------------------------------------------------- */

static struct kvm_msrs *msrs_alloc(uint32_t n)
{
	return calloc(1, sizeof(struct kvm_msrs) + n * sizeof(struct kvm_msr_entry));
}

static void msrs_drop(struct kvm_msrs *m, uint32_t i, const char *why)
{
	log_debug("%s: this KVM refuses MSR %#x: a reset leaves it alone", why,
		  m->entries[i].index);
	m->nmsrs--;
	memmove(&m->entries[i], &m->entries[i + 1], (m->nmsrs - i) * sizeof(m->entries[0]));
}

/* KVM says how many it has done before it came to one that it refuses. */
static int msrs_try(const struct kvm_vcpu *v, unsigned long request, const char *name,
		    struct kvm_msrs *m, struct err *e)
{
	for (;;) {
		int done = m->nmsrs ? ioctl(v->fd, request, m) : 0;

		if (done < 0)
			return err_errno(e, "%s", name);
		if ((uint32_t)done >= m->nmsrs)
			return 0;
		msrs_drop(m, (uint32_t)done, name);
	}
}

/* What can be read, and can be written as it is. The list is the shorter for the next vCPU. */
static int msrs_save(struct kvm_msrs **out, struct kvm_msrs *list, const struct kvm_vcpu *v,
		     struct err *e)
{
	struct kvm_msrs *m;

	if (msrs_try(v, KVM_GET_MSRS, "KVM_GET_MSRS", list, e) < 0 ||
	    msrs_try(v, KVM_SET_MSRS, "KVM_SET_MSRS", list, e) < 0)
		return e->code;
	m = msrs_alloc(list->nmsrs);
	if (!m)
		return err_set(e, -ENOMEM, "MSRs: out of memory");
	m->nmsrs = list->nmsrs;
	memcpy(m->entries, list->entries, m->nmsrs * sizeof(m->entries[0]));
	*out = m;
	return 0;
}

/* The header says what a 0 does. Where the guest's TSC is the host's, there is nothing to undo. */
static void tsc_restore(const struct kvm_vcpu *v)
{
	union {
		struct kvm_msrs head;
		uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} m = { .head.nmsrs = 1 };

	m.head.entries[0] = (struct kvm_msr_entry){ .index = MSR_TSC };
	if (ioctl(v->fd, KVM_SET_MSRS, &m) != 1)
		log_debug("this KVM does not let the TSC be written");
}

/*
 * No guest of ours is told of Hyper-V. KVMs that are older than this capability let it write
 * Hyper-V's MSRs all the same.
 */
static bool matters(uint32_t index, const struct kvm_sys *sys)
{
	if (index >= MSR_HYPERV && index < MSR_HYPERV + N_HYPERV)
		return kvm_sys_cap(sys, KVM_CAP_HYPERV_ENFORCE_CPUID) <= 0;
	return index != MSR_TSC;
}

static int list_msrs(struct kvm_vm_state *s, const struct kvm_sys *sys, struct err *e)
{
	struct kvm_msr_list none = { 0 }, *l;
	uint32_t n_unlisted = 0;
	int rc;

	if (ioctl(sys->fd, KVM_GET_MSR_INDEX_LIST, &none) < 0 && errno != E2BIG)
		return err_errno(e, "KVM_GET_MSR_INDEX_LIST");
	for (unsigned int i = 0; i < ARRAY_SIZE(unlisted); i++)
		n_unlisted += unlisted[i].n;
	l = calloc(1, sizeof(*l) + none.nmsrs * sizeof(l->indices[0]));
	s->msrs = msrs_alloc(none.nmsrs + n_unlisted);
	if (!l || !s->msrs) {
		free(l);
		return err_set(e, -ENOMEM, "MSRs: out of memory");
	}
	l->nmsrs = none.nmsrs;
	rc = ioctl(sys->fd, KVM_GET_MSR_INDEX_LIST, l);
	if (rc < 0)
		err_errno(e, "KVM_GET_MSR_INDEX_LIST");
	for (uint32_t i = 0; rc == 0 && i < l->nmsrs; i++) {
		if (matters(l->indices[i], sys))
			s->msrs->entries[s->msrs->nmsrs++].index = l->indices[i];
	}
	free(l);
	for (unsigned int i = 0; i < ARRAY_SIZE(unlisted); i++) {
		for (uint32_t k = 0; k < unlisted[i].n; k++)
			s->msrs->entries[s->msrs->nmsrs++].index = unlisted[i].first + k;
	}
	return rc < 0 ? e->code : 0;
}

/* The VM ------------------------------------------------------------------------------------- */

static int save_chips(struct kvm_vm_state *s, const struct kvm_vm *vm, struct err *e)
{
	static const uint32_t ids[] = { KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE,
					KVM_IRQCHIP_IOAPIC };

	for (unsigned int i = 0; i < ARRAY_SIZE(ids); i++) {
		struct kvm_irqchip *c = &s->chip[s->n_chips];

		c->chip_id = ids[i];
		if (ioctl(vm->fd, KVM_GET_IRQCHIP, c) == 0)
			s->n_chips++;
		else if (!is_missing(errno))
			return err_errno(e, "KVM_GET_IRQCHIP");
		else
			left_out("KVM_GET_IRQCHIP");
	}
	return 0;
}

/* A shutdown that is on its way is among the events then, so that it can be called off. */
static void tell_shutdowns(const struct kvm_vm *vm, const struct kvm_sys *sys)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_X86_TRIPLE_FAULT_EVENT, .args[0] = 1 };

	if (kvm_sys_cap(sys, KVM_CAP_X86_TRIPLE_FAULT_EVENT) > 0 &&
	    ioctl(vm->fd, KVM_ENABLE_CAP, &cap) < 0)
		left_out("KVM_CAP_X86_TRIPLE_FAULT_EVENT");
}

int kvm_state_save_vm(struct kvm_vm_state **out, const struct kvm_vm *vm, const struct kvm_sys *sys,
		      struct err *e)
{
	struct kvm_vm_state *s = calloc(1, sizeof(*s));
	int bytes = kvm_sys_cap(sys, KVM_CAP_XSAVE2);

	if (!s)
		return err_set(e, -ENOMEM, "the VM's first state: out of memory");
	s->xsave2 = bytes > 0;
	if (bytes > 0)
		s->xsave_bytes = max_u64((uint64_t)bytes, sizeof(struct kvm_xsave));
	else if (kvm_sys_cap(sys, KVM_CAP_XSAVE) > 0)
		s->xsave_bytes = sizeof(struct kvm_xsave);
	tell_shutdowns(vm, sys);
	if (save_chips(s, vm, e) < 0 || list_msrs(s, sys, e) < 0) {
		kvm_state_free_vm(s);
		return e->code;
	}
	*out = s;
	return 0;
}

int kvm_state_restore_vm(const struct kvm_vm_state *s, const struct kvm_vm *vm, struct err *e)
{
	/* Where a line is at is no part of a controller's state; a device has let go of it. */
	for (unsigned int gsi = 0; gsi < N_LINES; gsi++)
		kvm_vm_irq_line(vm, gsi, false);
	for (unsigned int i = 0; i < s->n_chips; i++) {
		if (ioctl(vm->fd, KVM_SET_IRQCHIP, &s->chip[i]) < 0)
			return err_errno(e, "KVM_SET_IRQCHIP");
	}
	return 0;
}

void kvm_state_free_vm(struct kvm_vm_state *s)
{
	if (s)
		free(s->msrs);
	free(s);
}

/* A vCPU ------------------------------------------------------------------------------------- */

static void *where(const struct kvm_vcpu_state *s, enum block b)
{
	return (uint8_t *)s + blocks[b].at;
}

static int save(struct kvm_vcpu_state *s, const struct kvm_vcpu *v, enum block b,
		unsigned long request, struct err *e)
{
	if (ioctl(v->fd, request, where(s, b)) == 0)
		s->has |= 1u << b;
	else if (b == SREGS || b == REGS || !is_missing(errno))
		return err_errno(e, "KVM_GET_%s", blocks[b].name);
	else
		left_out(blocks[b].name);
	return 0;
}

/*
 * XSTATE_BV, SDM volume 1, 13.4.2: a component whose bit is clear is not looked at, and put into
 * its first state; but MXCSR then stays as it is, as it is no component's (13.8.1). KVM has filled
 * in the legacy region either way.
 */
static void name_legacy_state(uint8_t *xsave)
{
	store_le64(xsave + XSTATE_BV, load_le64(xsave + XSTATE_BV) | XSTATE_FP | XSTATE_SSE);
}

static int save_blocks(struct kvm_vcpu_state *s, const struct kvm_vm_state *of,
		       const struct kvm_vcpu *v, struct err *e)
{
	enum block fpu = of->xsave_bytes ? XSAVE : FPU;

	s->nested.size = sizeof(s->nested); /* a vCPU that has not run is in no nested guest */
	for (enum block b = 0; b < N_BLOCKS; b++) {
		unsigned long request = blocks[b].get;

		if ((b == FPU || b == XSAVE) && b != fpu)
			continue;
		if (b == XSAVE && of->xsave2)
			request = KVM_GET_XSAVE2;
		if (save(s, v, b, request, e) < 0)
			return e->code;
	}
	if (s->has & 1u << XSAVE)
		name_legacy_state(s->xsave);
	return 0;
}

int kvm_state_save_vcpu(struct kvm_vcpu_state **out, struct kvm_vm_state *of,
			const struct kvm_vcpu *v, struct err *e)
{
	struct kvm_vcpu_state *s = calloc(1, sizeof(*s) + of->xsave_bytes);

	if (!s)
		return err_set(e, -ENOMEM, "its first state: out of memory");
	if (save_blocks(s, of, v, e) < 0 || msrs_save(&s->msrs, of->msrs, v, e) < 0) {
		kvm_state_free_vcpu(s);
		return e->code;
	}
	*out = s;
	return 0;
}

static int put(const struct kvm_vcpu_state *s, const struct kvm_vcpu *v, enum block b,
	       struct err *e)
{
	if (!(s->has & 1u << b) || ioctl(v->fd, blocks[b].set, where(s, b)) == 0)
		return 0;
	return err_errno(e, "KVM_SET_%s", blocks[b].name);
}

static int put_all(const struct kvm_vcpu_state *s, const struct kvm_vcpu *v, const enum block *b,
		   size_t n, struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		if (put(s, v, b[i], e) < 0)
			return e->code;
	}
	return 0;
}

/*
 * Before anything is put back: what is on its way arrives, and is forgotten. An SMI is seen by who
 * reads the events, an INIT by who reads mp_state.
 */
static int settle(const struct kvm_vcpu_state *s, const struct kvm_vcpu *v, struct err *e)
{
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp_state;

	if (put(s, v, NESTED, e) < 0)
		return e->code;
	(void)ioctl(v->fd, KVM_GET_VCPU_EVENTS, &events);
	if (put(s, v, EVENTS, e) < 0)
		return e->code;
	(void)ioctl(v->fd, KVM_GET_MP_STATE, &mp_state);
	return 0;
}

int kvm_state_restore_vcpu(const struct kvm_vcpu_state *s, const struct kvm_vcpu *v, struct err *e)
{
	static const enum block first[] = { SREGS, REGS, XCRS, FPU, XSAVE, DEBUGREGS, LAPIC };
	static const enum block last[] = { EVENTS, MP_STATE };

	if (settle(s, v, e) < 0 || put_all(s, v, first, ARRAY_SIZE(first), e) < 0)
		return e->code;
	tsc_restore(v);
	if (kvm_vcpu_set_msrs(v, s->msrs, e) < 0)
		return e->code;
	return put_all(s, v, last, ARRAY_SIZE(last), e);
}

void kvm_state_free_vcpu(struct kvm_vcpu_state *s)
{
	if (s)
		free(s->msrs);
	free(s);
}
