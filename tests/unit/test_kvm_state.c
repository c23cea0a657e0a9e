/*
 * test_kvm_state.c - src/kvm/kvm_state.c on a KVM that is a few arrays: this file's ioctl() stands
 * in for the kernel's.
 */
#include "unit.h"
#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <vmm/base/log.h>
#include <vmm/base/util.h>
#include <vmm/kvm/kvm_state.h>

#define SYS_FD 1000
#define VM_FD 1001
#define VCPU_FD 1002
#define XSAVE_BYTES 5000
#define TSC 0x10u
#define PAT 0x277u
#define LSTAR 0xc0000082u
#define HYPERCALL 0x40000001u /* of Hyper-V */
#define VM_CR 0xc0010114u

/* The KVM -------------------------------------------------------------------------------------- */

struct part {
	unsigned long get, set;
	size_t len;
	uint8_t now[2][XSAVE_BYTES + 1]; /* of each vCPU */
};
enum { NESTED, EVENTS, MP_STATE, SREGS, REGS, XCRS, FPU, XSAVE, DEBUGREGS, LAPIC, N_PARTS };
static struct part parts[N_PARTS] = {
	[NESTED] = { KVM_GET_NESTED_STATE,
		     KVM_SET_NESTED_STATE,
		     sizeof(struct kvm_nested_state),
		     { { 0 } } },
	[EVENTS] = { KVM_GET_VCPU_EVENTS,
		     KVM_SET_VCPU_EVENTS,
		     sizeof(struct kvm_vcpu_events),
		     { { 0 } } },
	[MP_STATE] = { KVM_GET_MP_STATE, KVM_SET_MP_STATE, sizeof(struct kvm_mp_state), { { 0 } } },
	[SREGS] = { KVM_GET_SREGS, KVM_SET_SREGS, sizeof(struct kvm_sregs), { { 0 } } },
	[REGS] = { KVM_GET_REGS, KVM_SET_REGS, sizeof(struct kvm_regs), { { 0 } } },
	[XCRS] = { KVM_GET_XCRS, KVM_SET_XCRS, sizeof(struct kvm_xcrs), { { 0 } } },
	[FPU] = { KVM_GET_FPU, KVM_SET_FPU, sizeof(struct kvm_fpu), { { 0 } } },
	[XSAVE] = { KVM_GET_XSAVE2, KVM_SET_XSAVE, XSAVE_BYTES, { { 0 } } },
	[DEBUGREGS] = { KVM_GET_DEBUGREGS,
			KVM_SET_DEBUGREGS,
			sizeof(struct kvm_debugregs),
			{ { 0 } } },
	[LAPIC] = { KVM_GET_LAPIC, KVM_SET_LAPIC, sizeof(struct kvm_lapic_state), { { 0 } } },
};

static struct {
	uint32_t index;
	uint64_t value[2]; /* of each vCPU */
	bool unlisted, unreadable, read_only;
} msrs[] = {
	{ .index = TSC },
	{ .index = LSTAR },
	{ .index = HYPERCALL },
	{ .index = 0x3b },
	{ .index = 0x6e0 },
	{ .index = 0x4b564d01 },
	{ .index = 0x11, .unreadable = true },
	{ .index = 0x12, .read_only = true },
	{ .index = PAT, .unlisted = true },
	{ .index = 0x200, .unlisted = true },
	{ .index = 0x2ff, .unlisted = true },
	{ .index = 0x403, .unlisted = true },
	{ .index = VM_CR, .unlisted = true }, /* which nobody looks for */
};
#define N_MSRS ARRAY_SIZE(msrs)

static struct kvm_irqchip chips[3];
static unsigned int lines; /* a bit for each that is up */

/* The test's. */
static unsigned long refused[3]; /* requests that fail */
static int refusal; /* and how */
static unsigned int fail_at; /* the n-th request fails, with EIO; 0: none */
static int lacks[2]; /* KVM_CAP_* */

static unsigned long asked[1000];
static unsigned int n_asked;

static unsigned int vcpu_of(int fd)
{
	ck_assert(fd == VCPU_FD || fd == VCPU_FD + 1);
	return (unsigned int)(fd - VCPU_FD);
}

static int find_msr(uint32_t index)
{
	for (unsigned int i = 0; i < N_MSRS; i++) {
		if (msrs[i].index == index)
			return (int)i;
	}
	return -1;
}

static int get_msrs(unsigned int cpu, struct kvm_msrs *m)
{
	for (uint32_t i = 0; i < m->nmsrs; i++) {
		int at = find_msr(m->entries[i].index);

		if (at < 0 || msrs[at].unreadable)
			return (int)i;
		m->entries[i].data = msrs[at].value[cpu];
	}
	return (int)m->nmsrs;
}

static int set_msrs(unsigned int cpu, const struct kvm_msrs *m)
{
	for (uint32_t i = 0; i < m->nmsrs; i++) {
		int at = find_msr(m->entries[i].index);

		if (at < 0 || msrs[at].unreadable || msrs[at].read_only)
			return (int)i;
		msrs[at].value[cpu] = m->entries[i].data;
	}
	return (int)m->nmsrs;
}

static int list_msrs(struct kvm_msr_list *l)
{
	uint32_t room = l->nmsrs;

	l->nmsrs = 0;
	for (unsigned int i = 0; i < N_MSRS; i++) {
		if (msrs[i].unlisted)
			continue;
		if (l->nmsrs < room)
			l->indices[l->nmsrs] = msrs[i].index;
		l->nmsrs++;
	}
	errno = E2BIG;
	return l->nmsrs > room ? -1 : 0;
}

static int part_ioctl(int fd, unsigned long request, void *arg)
{
	for (unsigned int i = 0; i < N_PARTS; i++) {
		if (request == parts[i].get)
			memcpy(arg, parts[i].now[vcpu_of(fd)], parts[i].len);
		else if (request == parts[i].set)
			memcpy(parts[i].now[vcpu_of(fd)], arg, parts[i].len);
		else
			continue;
		return 0;
	}
	ck_abort_msg("a call that nobody knows: %#lx", request);
	return -1;
}

static int vm_ioctl(unsigned long request, void *arg)
{
	struct kvm_irqchip *c = arg;
	const struct kvm_irq_level *l = arg;

	switch (request) {
	case KVM_ENABLE_CAP:
		ck_assert_uint_eq(((struct kvm_enable_cap *)arg)->cap,
				  KVM_CAP_X86_TRIPLE_FAULT_EVENT);
		return 0;
	case KVM_GET_IRQCHIP:
		*c = chips[c->chip_id];
		return 0;
	case KVM_SET_IRQCHIP:
		ck_assert_uint_eq(lines, 0); /* KVM would see an edge at the next change */
		chips[c->chip_id] = *c;
		return 0;
	case KVM_IRQ_LINE:
		lines &= ~(1u << l->irq);
		lines |= l->level << l->irq;
		return 0;
	default:
		ck_abort_msg("a call that nobody knows: %#lx", request);
		return -1;
	}
}

static bool is_refused(unsigned long request)
{
	asked[n_asked++ % ARRAY_SIZE(asked)] = request;
	errno = refusal ? refusal : EIO;
	for (unsigned int i = 0; i < ARRAY_SIZE(refused); i++) {
		if (refused[i] == request)
			return true;
	}
	errno = EIO;
	return n_asked == fail_at;
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (request == KVM_CHECK_EXTENSION) {
		if ((int)(uintptr_t)arg == lacks[0] || (int)(uintptr_t)arg == lacks[1])
			return 0;
		return (uintptr_t)arg == KVM_CAP_XSAVE2 ? XSAVE_BYTES : 1;
	}
	if (is_refused(request))
		return -1;
	if (request == KVM_GET_MSR_INDEX_LIST)
		return list_msrs(arg);
	if (request == KVM_GET_MSRS)
		return get_msrs(vcpu_of(fd), arg);
	if (request == KVM_SET_MSRS)
		return set_msrs(vcpu_of(fd), arg);
	return fd == VM_FD ? vm_ioctl(request, arg) : part_ioctl(fd, request, arg);
}

/* What the tests share ------------------------------------------------------------------------- */

static const struct kvm_sys sys = { .fd = SYS_FD };
static const struct kvm_vm vm = { .fd = VM_FD };
static const struct kvm_vcpu vcpus[2] = { { .fd = VCPU_FD }, { .fd = VCPU_FD + 1 } };
static struct kvm_vm_state *vm_state;
static struct kvm_vcpu_state *states[2];

/* Whatever a guest can change, it has changed. */
static void fill(uint8_t seed)
{
	for (unsigned int cpu = 0; cpu < 2; cpu++) {
		for (unsigned int i = 0; i < N_PARTS; i++)
			memset(parts[i].now[cpu], seed + 16 * (int)cpu + (int)i, parts[i].len);
		for (unsigned int i = 0; i < N_MSRS; i++)
			msrs[i].value[cpu] = (uint64_t)seed << 32 | cpu << 16 | i;
	}
	for (uint32_t i = 0; i < 3; i++) {
		memset(&chips[i], seed + (int)i, sizeof(chips[i]));
		chips[i].chip_id = i;
	}
	lines = seed;
}

static int save(struct err *e)
{
	int rc = kvm_state_save_vm(&vm_state, &vm, &sys, e);

	for (unsigned int i = 0; i < 2 && rc == 0; i++)
		rc = kvm_state_save_vcpu(&states[i], vm_state, &vcpus[i], e);
	return rc;
}

static int restore(struct err *e)
{
	int rc = kvm_state_restore_vm(vm_state, &vm, e);

	for (unsigned int i = 0; i < 2 && rc == 0; i++)
		rc = kvm_state_restore_vcpu(states[i], &vcpus[i], e);
	return rc;
}

static void forget(void)
{
	for (unsigned int i = 0; i < 2; i++) {
		kvm_state_free_vcpu(states[i]);
		states[i] = NULL;
	}
	kvm_state_free_vm(vm_state);
	vm_state = NULL;
}

static void check_part(unsigned int i, uint8_t seed)
{
	for (unsigned int cpu = 0; cpu < 2; cpu++) {
		uint8_t want[XSAVE_BYTES];

		memset(want, seed + 16 * (int)cpu + (int)i, parts[i].len);
		if (i == XSAVE && seed == 1) /* MXCSR is put back only with its own bit set */
			want[512] |= 3;
		ck_assert_msg(memcmp(parts[i].now[cpu], want, parts[i].len) == 0,
			      "vCPU %u: part %u is another", cpu, i);
	}
}

static uint64_t msr(unsigned int cpu, uint32_t index)
{
	return msrs[find_msr(index)].value[cpu];
}

static bool was_asked(unsigned long request)
{
	for (unsigned int i = 0; i < n_asked; i++) {
		if (asked[i] == request)
			return true;
	}
	return false;
}

/* When it was asked for the n-th time, from 1 on; 0: it was not. */
static unsigned int when(unsigned long request, unsigned int n)
{
	for (unsigned int i = 0; i < n_asked; i++) {
		if (asked[i] == request && --n == 0)
			return i + 1;
	}
	return 0;
}

/* The rules ------------------------------------------------------------------------------------ */

START_TEST(what_the_guest_has_changed_is_as_it_was)
{
	struct err e;

	fill(1);
	ck_ok(save(&e));
	fill(100);
	ck_ok(restore(&e));
	for (unsigned int i = 0; i < N_PARTS; i++)
		check_part(i, i == FPU ? 100 : 1); /* which is inside of XSAVE */
	for (unsigned int i = 0; i < N_MSRS; i++) {
		uint32_t index = msrs[i].index;
		bool is_let = index != TSC && index != HYPERCALL && index != VM_CR &&
			      !msrs[i].unreadable && !msrs[i].read_only;

		for (uint64_t cpu = 0; is_let && cpu < 2; cpu++)
			ck_assert_uint_eq(msrs[i].value[cpu], UINT64_C(1) << 32 | cpu << 16 | i);
	}
	for (uint32_t i = 0; i < 3; i++) {
		ck_assert_uint_eq(chips[i].chip_id, i);
		ck_assert_uint_eq(chips[i].chip.dummy[0], 1 + i);
	}
	ck_assert_uint_eq(lines, 0);
	forget();
}
END_TEST

/* The header says why. */
START_TEST(the_tsc_is_told_to_be_in_step_and_is_left_alone_before)
{
	struct err e;

	fill(1);
	ck_ok(save(&e));
	ck_assert_uint_eq(msr(0, TSC), UINT64_C(1) << 32);
	ck_ok(restore(&e));
	ck_assert_uint_eq(msr(0, TSC), 0);
	ck_assert_uint_eq(msr(1, TSC), 0);
	forget();
	msrs[find_msr(TSC)].read_only = true; /* a KVM whose guests have the host's */
	fill(1);
	ck_ok(save(&e));
	ck_ok(restore(&e));
	forget();
}
END_TEST

START_TEST(an_older_kvm_may_have_less)
{
	static const int caps[] = { KVM_CAP_XSAVE2, KVM_CAP_HYPERV_ENFORCE_CPUID,
				    KVM_CAP_X86_TRIPLE_FAULT_EVENT };
	struct err e;

	lacks[0] = caps[_i];
	if (lacks[0] == KVM_CAP_XSAVE2) {
		parts[XSAVE].len = sizeof(struct kvm_xsave);
		parts[XSAVE].get = KVM_GET_XSAVE;
	}
	fill(1);
	ck_ok(save(&e));
	fill(100);
	n_asked = 0;
	ck_ok(restore(&e));
	check_part(XSAVE, 1);
	check_part(LAPIC, 1);
	/* Its guests can write Hyper-V's MSRs without being told of them. */
	ck_assert_uint_eq(msr(0, HYPERCALL) >> 32,
			  lacks[0] == KVM_CAP_HYPERV_ENFORCE_CPUID ? 1 : 100);
	forget();
}
END_TEST

START_TEST(one_without_xsave_has_the_fpu)
{
	struct err e;

	fill(1);
	ck_ok(save(&e));
	ck_assert(!was_asked(KVM_GET_FPU));
	forget();
	n_asked = 0;
	lacks[0] = KVM_CAP_XSAVE2;
	lacks[1] = KVM_CAP_XSAVE;
	ck_ok(save(&e));
	fill(100);
	ck_ok(restore(&e));
	check_part(FPU, 1);
	ck_assert(!was_asked(KVM_GET_XSAVE2) && !was_asked(KVM_SET_XSAVE));
	forget();
}
END_TEST

START_TEST(what_this_kvm_lacks_is_left_out_from_the_start)
{
	static const struct {
		unsigned int part;
		int how;
	} cases[] = { { NESTED, EINVAL }, { EVENTS, ENOTTY }, { MP_STATE, EINVAL },
		      { XCRS, EINVAL },   { XSAVE, ENOTTY },  { DEBUGREGS, EOPNOTSUPP },
		      { LAPIC, ENXIO },   { N_PARTS, EINVAL } };
	unsigned int part = cases[_i].part;
	struct err e;

	refused[0] = part == N_PARTS ? KVM_GET_IRQCHIP : parts[part].get;
	refused[1] = part == N_PARTS ? KVM_SET_IRQCHIP : parts[part].set;
	refusal = cases[_i].how;
	fill(1);
	ck_ok(save(&e));
	fill(100);
	n_asked = 0;
	ck_ok(restore(&e));
	ck_assert(!was_asked(refused[1]));
	check_part(SREGS, 1);
	forget();
}
END_TEST

START_TEST(registers_are_never_left_out)
{
	struct err e;

	refused[0] = parts[_i ? SREGS : REGS].get;
	refusal = EINVAL;
	ck_fails(save(&e), -EINVAL, _i ? "KVM_GET_SREGS: Invalid" : "KVM_GET_REGS: Invalid");
	forget();
}
END_TEST

START_TEST(msrs_that_kvm_does_not_give_or_take_are_left_out)
{
	unsigned int n = 0;
	struct err e;

	fill(1);
	ck_ok(save(&e));
	fill(100);
	n_asked = 0;
	ck_ok(restore(&e));
	ck_assert_uint_eq(msr(0, 0x11) >> 32, 100);
	ck_assert_uint_eq(msr(0, 0x12) >> 32, 100);
	for (unsigned int i = 0; i < n_asked; i++)
		n += asked[i] == KVM_SET_MSRS;
	ck_assert_uint_eq(n, 4); /* the TSC and all others, of each vCPU */
	forget();
}
END_TEST

/* One that is refused later is no lack: the guest's value would stay. */
START_TEST(an_msr_that_is_refused_at_a_reset_is_an_error)
{
	struct err e;

	fill(1);
	ck_ok(save(&e));
	msrs[find_msr(LSTAR)].read_only = true;
	ck_fails(restore(&e), -ENOTSUP, "refuses MSR 0xc0000082");
	forget();
}
END_TEST

START_TEST(what_depends_on_another_comes_after_it)
{
	static const struct {
		unsigned long first, then;
		unsigned int nth_first, nth_then;
	} rules[] = {
		{ KVM_IRQ_LINE, KVM_SET_IRQCHIP, 24, 1 },
		{ KVM_SET_IRQCHIP, KVM_SET_LAPIC, 3, 1 }, /* nothing more is sent to them */
		{ KVM_SET_NESTED_STATE, KVM_SET_VCPU_EVENTS, 1, 1 },
		{ KVM_GET_VCPU_EVENTS, KVM_SET_VCPU_EVENTS, 1, 1 }, /* takes an SMI */
		{ KVM_SET_VCPU_EVENTS, KVM_GET_MP_STATE, 1, 1 }, /* takes an INIT */
		{ KVM_GET_MP_STATE, KVM_SET_SREGS, 1, 1 },
		{ KVM_SET_SREGS, KVM_SET_LAPIC, 1, 1 },
		{ KVM_SET_SREGS, KVM_SET_MSRS, 1, 1 },
		{ KVM_SET_LAPIC, KVM_SET_MSRS, 1, 1 },
		{ KVM_SET_XCRS, KVM_SET_XSAVE, 1, 1 },
		{ KVM_SET_MSRS, KVM_SET_VCPU_EVENTS, 2, 2 },
		{ KVM_SET_DEBUGREGS, KVM_SET_VCPU_EVENTS, 1, 2 },
		{ KVM_SET_VCPU_EVENTS, KVM_SET_MP_STATE, 2, 1 },
	};
	struct err e;

	ck_ok(save(&e));
	n_asked = 0;
	ck_ok(restore(&e));
	for (unsigned int i = 0; i < ARRAY_SIZE(rules); i++) {
		unsigned int a = when(rules[i].first, rules[i].nth_first);
		unsigned int b = when(rules[i].then, rules[i].nth_then);

		ck_assert_msg(a > 0 && a < b, "rule %u: %u is not before %u", i, a, b);
	}
	forget();
}
END_TEST

START_TEST(a_shutdown_on_its_way_can_be_called_off)
{
	struct err e;

	ck_ok(save(&e));
	ck_assert(was_asked(KVM_ENABLE_CAP));
	ck_assert_uint_lt(when(KVM_ENABLE_CAP, 1), when(KVM_GET_VCPU_EVENTS, 1));
	forget();
	n_asked = 0;
	lacks[0] = KVM_CAP_X86_TRIPLE_FAULT_EVENT;
	ck_ok(save(&e));
	ck_assert(!was_asked(KVM_ENABLE_CAP));
	forget();
}
END_TEST

START_TEST(restoring_takes_no_memory)
{
	struct mallinfo2 before, after;
	struct err e;

	ck_ok(save(&e));
	ck_ok(restore(&e)); /* strerror() and its like may take some once */
	before = mallinfo2();
	ck_ok(restore(&e));
	after = mallinfo2();
	ck_assert_uint_eq(after.uordblks, before.uordblks);
	ck_assert_uint_eq(after.arena, before.arena);
	forget();
}
END_TEST

/* But for what KVM may do without, which is asked for first. */
START_TEST(each_call_that_fails_is_an_error_with_its_name)
{
	unsigned int n_errors = 0;
	struct err e = { 0 };

	for (unsigned int n = 1;; n++) {
		int rc;

		n_asked = 0;
		fail_at = n;
		rc = save(&e);
		if (rc == 0) {
			n_asked = n_asked > n ? n : n_asked;
			rc = restore(&e);
		}
		forget();
		if (rc < 0) {
			ck_assert_int_eq(rc, -EIO);
			ck_assert_msg(strstr(e.text, "KVM_") && strstr(e.text, ": Input/output"),
				      "%s", e.text);
			n_errors++;
		}
		if (n_asked < n)
			break;
	}
	ck_assert_uint_ge(n_errors, 40);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("kvm_state");

	UNIT_TEST(s, what_the_guest_has_changed_is_as_it_was);
	UNIT_TEST(s, the_tsc_is_told_to_be_in_step_and_is_left_alone_before);
	UNIT_LOOP(s, an_older_kvm_may_have_less, 3);
	UNIT_TEST(s, one_without_xsave_has_the_fpu);
	UNIT_LOOP(s, what_this_kvm_lacks_is_left_out_from_the_start, 8);
	UNIT_LOOP(s, registers_are_never_left_out, 2);
	UNIT_TEST(s, msrs_that_kvm_does_not_give_or_take_are_left_out);
	UNIT_TEST(s, an_msr_that_is_refused_at_a_reset_is_an_error);
	UNIT_TEST(s, what_depends_on_another_comes_after_it);
	UNIT_TEST(s, a_shutdown_on_its_way_can_be_called_off);
	UNIT_TEST(s, restoring_takes_no_memory);
	UNIT_TEST(s, each_call_that_fails_is_an_error_with_its_name);
	return s;
}

UNIT_MAIN("kvm_state", suite)
