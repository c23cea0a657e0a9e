/*
 * fake_kvm.c - see fake_kvm.h.
 */
#include "fake_kvm.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <vmm/base/bug.h>
#include <vmm/base/util.h>
#include <vmm/kvm/kvm_state.h>

struct fake_kvm fake_kvm;

struct fake_vcpu {
	union { /* first: kvm_vcpu.run points here */
		struct kvm_run run;
		uint8_t page[FAKE_KVM_RUN_SIZE];
	};
	unsigned int id, boot, step;
};

const struct kvm_cap kvm_caps[] = { { 0 } };

/* Every call that the kernel may refuse comes by here. */
static bool refused(void)
{
	if (__atomic_add_fetch(&fake_kvm.n_calls, 1, __ATOMIC_RELAXED) != fake_kvm.fail_at)
		return false;
	fake_kvm.failed = true;
	errno = EIO;
	return true;
}

#define TRY(e, what)                                                                               \
	do {                                                                                       \
		if (refused())                                                                     \
			return err_errno(e, what);                                                 \
	} while (0)

static int open_something(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	VMM_BUG_ON(fd < 0);
	return fd;
}

/* The whole ---------------------------------------------------------------------------------- */

static int halts(unsigned int id, unsigned int boot, unsigned int step, struct kvm_run *run)
{
	(void)id, (void)boot, (void)step, (void)run;
	return FAKE_GUEST_HALTS;
}

void fake_kvm_init(void)
{
	fake_kvm = (struct fake_kvm){
		.guest = halts,
		.lacks = -1,
		.max_vcpus = 1024,
		.max_vcpu_id = 4096,
		.tsc_khz = 2000000,
		.max_routes = 4096,
	};
	fake_kvm_be_intel();
}

void fake_kvm_fini(void)
{
	for (unsigned int i = 0; i < FAKE_KVM_CPUS; i++) {
		free(fake_kvm.cpu[i].cpuid);
		fake_kvm.cpu[i].cpuid = NULL;
	}
}

static void leaf(uint32_t function, uint32_t index, uint32_t eax, uint32_t ebx, uint32_t ecx,
		 uint32_t edx)
{
	fake_kvm.cpuid[fake_kvm.n_cpuid++] = (struct kvm_cpuid_entry2){
		.function = function,
		.index = index,
		.eax = eax,
		.ebx = ebx,
		.ecx = ecx,
		.edx = edx,
	};
}

/* Values of a host with 8 cores of 2 threads, to be seen to change. */
void fake_kvm_be_intel(void)
{
	fake_kvm.n_cpuid = 0;
	leaf(0, 0, 0x16, 0x756e6547, 0x6c65746e, 0x49656e69);
	leaf(1, 0, 0x000906ea, 0x0f100800, 0x77faf3ff, 0xbfebfbff);
	leaf(4, 0, 0x1c004121, 0x01c0003f, 0x3f, 0); /* L1 data */
	leaf(4, 1, 0x1c004122, 0x01c0003f, 0x3f, 0);
	leaf(4, 2, 0x1c004143, 0x00c0003f, 0x3ff, 0);
	leaf(4, 3, 0x1c03c163, 0x03c0003f, 0x2fff, 6);
	leaf(4, 4, 0, 0, 0, 0);
	leaf(0xb, 0, 1, 2, 0x100, 15);
	leaf(0xb, 1, 4, 16, 0x201, 15);
	leaf(0x1f, 0, 1, 2, 0x100, 15);
	leaf(0x40000000, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d);
	leaf(0x40000001, 0, 0x01007efb, 0, 0, 0);
	leaf(0x80000000, 0, 0x80000008, 0, 0, 0);
	leaf(0x80000008, 0, 0x3027, 0, 0, 0);
}

void fake_kvm_be_amd(void)
{
	fake_kvm.n_cpuid = 0;
	leaf(0, 0, 0x10, 0x68747541, 0x444d4163, 0x69746e65);
	leaf(1, 0, 0x00a20f10, 0x0f100800, 0x7ed8320b, 0x178bfbff);
	leaf(0xb, 0, 1, 2, 0x100, 15);
	leaf(0x40000000, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d);
	leaf(0x40000001, 0, 0x01007efb, 0, 0, 0);
	leaf(0x80000000, 0, 0x80000026, 0x68747541, 0x444d4163, 0x69746e65);
	leaf(0x80000001, 0, 0x00a20f10, 0x20000000, 0x75c237ff, 0x2fd3fbff);
	leaf(0x80000008, 0, 0x3030, 0x111ef657, 0x400f, 0x10000);
	leaf(0x8000001d, 0, 0x00004121, 0x01c0003f, 0x3f, 0);
	leaf(0x8000001d, 2, 0x00004143, 0x01c0003f, 0x3ff, 2);
	leaf(0x8000001d, 3, 0x0003c163, 0x03c0003f, 0x7fff, 1);
	leaf(0x8000001d, 4, 0, 0, 0, 0);
	leaf(0x8000001e, 0, 15, 0x107, 0, 0);
	leaf(0x80000026, 0, 1, 2, 0x100, 15);
}

const struct kvm_cpuid_entry2 *fake_kvm_leaf(unsigned int id, uint32_t function, uint32_t index)
{
	const struct kvm_cpuid2 *c = fake_kvm.cpu[id].cpuid;

	for (uint32_t i = 0; c && i < c->nent; i++) {
		if (c->entries[i].function == function && c->entries[i].index == index)
			return &c->entries[i];
	}
	return NULL;
}

/* kvm_sys.h ---------------------------------------------------------------------------------- */

int kvm_sys_open_any(struct kvm_sys *k, struct err *e)
{
	TRY(e, "fake: open");
	*k = (struct kvm_sys){
		.fd = open_something(),
		.run_size = FAKE_KVM_RUN_SIZE,
		.max_vcpus = fake_kvm.max_vcpus,
		.max_vcpu_id = fake_kvm.max_vcpu_id,
	};
	return 0;
}

int kvm_sys_open(struct kvm_sys *k, struct err *e)
{
	return kvm_sys_open_any(k, e);
}

void kvm_sys_close(struct kvm_sys *k)
{
	if (k->fd >= 0)
		close(k->fd);
	k->fd = -1;
}

int kvm_sys_cap(const struct kvm_sys *k, int number)
{
	(void)k;
	if (number == fake_kvm.lacks)
		return 0;
	switch (number) {
	case KVM_CAP_IRQFD:
		return !fake_kvm.no_irqfd;
	case KVM_CAP_IOEVENTFD:
		return !fake_kvm.no_ioeventfd;
	case KVM_CAP_IOEVENTFD_ANY_LENGTH:
		return !fake_kvm.no_any_length;
	case KVM_CAP_SIGNAL_MSI:
		return !fake_kvm.no_signal_msi;
	case KVM_CAP_IRQ_ROUTING:
		return fake_kvm.no_routing ? 0 : (int)fake_kvm.max_routes;
	default:
		return 1;
	}
}

int kvm_sys_supported_cpuid(const struct kvm_sys *k, struct kvm_cpuid2 **out, struct err *e)
{
	struct kvm_cpuid2 *c;

	(void)k;
	TRY(e, "fake: supported cpuid");
	c = calloc(1, sizeof(*c) + FAKE_KVM_CPUID_ENTRIES * sizeof(c->entries[0]));
	VMM_BUG_ON(!c);
	c->nent = fake_kvm.n_cpuid;
	memcpy(c->entries, fake_kvm.cpuid, fake_kvm.n_cpuid * sizeof(c->entries[0]));
	*out = c;
	return 0;
}

/* kvm_vm.h ----------------------------------------------------------------------------------- */

int kvm_vm_create(struct kvm_vm *vm, const struct kvm_sys *sys, struct err *e)
{
	vm->sys = sys;
	TRY(e, "fake: create VM");
	vm->fd = open_something();
	fake_kvm.n_boots++;
	fake_kvm.n_made++;
	fake_kvm.n_vms++;
	fake_kvm.n_slots = 0;
	fake_kvm.has_irqchip = false;
	fake_kvm_forget_irqs();
	kvm_vm_probe(sys, &vm->caps);
	return 0;
}

void kvm_vm_destroy(struct kvm_vm *vm)
{
	if (vm->fd < 0)
		return;
	close(vm->fd);
	vm->fd = -1;
	fake_kvm.n_vms--;
	fake_kvm_forget_irqs();
}

int kvm_vm_add_memory(struct kvm_vm *vm, unsigned int slot, uint64_t gpa, uint64_t len, void *host,
		      struct err *e)
{
	(void)vm;
	TRY(e, "fake: memory slot");
	VMM_BUG_ON(slot != fake_kvm.n_slots || slot >= ARRAY_SIZE(fake_kvm.slot) || !host);
	fake_kvm.slot[slot].gpa = gpa;
	fake_kvm.slot[slot].len = len;
	fake_kvm.n_slots++;
	return 0;
}

int kvm_vm_create_irqchip(struct kvm_vm *vm, struct err *e)
{
	(void)vm;
	TRY(e, "fake: irqchip");
	VMM_BUG_ON(fake_kvm.n_vcpus > 0); /* KVM wants it before the first vCPU */
	fake_kvm.has_irqchip = true;
	return 0;
}

int kvm_vm_set_tss(struct kvm_vm *vm, uint32_t tss_gpa, uint64_t identity_map_gpa, struct err *e)
{
	(void)vm, (void)tss_gpa, (void)identity_map_gpa;
	TRY(e, "fake: tss");
	VMM_BUG_ON(fake_kvm.n_vcpus > 0);
	return 0;
}

int kvm_vm_enable_x2apic_ids(struct kvm_vm *vm, struct err *e)
{
	(void)vm;
	TRY(e, "fake: x2apic ids");
	fake_kvm.x2apic_ids = true;
	return 0;
}

void kvm_vm_irq_line(const struct kvm_vm *vm, unsigned int gsi, bool level)
{
	VMM_BUG_ON(vm->fd < 0);
	if (!level)
		return;
	__atomic_add_fetch(&fake_kvm.n_irq_edges, 1, __ATOMIC_RELAXED);
	fake_kvm_line_raised(gsi);
}

/* kvm_vcpu.h --------------------------------------------------------------------------------- */

static struct fake_vcpu *vcpu_of(const struct kvm_vcpu *v)
{
	return (struct fake_vcpu *)(void *)v->run;
}

/* Only the vCPU's own thread comes here once there is one. */
static struct fake_kvm_cpu *cpu_of(const struct kvm_vcpu *v)
{
	static struct fake_kvm_cpu others;
	unsigned int id = vcpu_of(v)->id;

	return id < FAKE_KVM_CPUS ? &fake_kvm.cpu[id] : &others;
}

int kvm_vcpu_create(struct kvm_vcpu *v, const struct kvm_vm *vm, unsigned int id, struct err *e)
{
	struct fake_vcpu *f;

	*v = (struct kvm_vcpu){ .fd = -1, .run_size = vm->sys->run_size };
	TRY(e, "fake: create vCPU");
	f = calloc(1, sizeof(*f));
	VMM_BUG_ON(!f || !fake_kvm.has_irqchip);
	f->id = id;
	f->boot = fake_kvm.n_boots - 1;
	v->fd = open_something();
	v->run = &f->run;
	fake_kvm.n_made++;
	fake_kvm.n_vcpus++;
	cpu_of(v)->pending = false;
	return 0;
}

void kvm_vcpu_destroy(struct kvm_vcpu *v)
{
	if (v->fd < 0)
		return;
	close(v->fd);
	free(vcpu_of(v));
	*v = (struct kvm_vcpu){ .fd = -1 };
	fake_kvm.n_vcpus--;
}

/* What KVM does first: the second half of the last exit's instruction. */
static void complete(struct kvm_vcpu *v)
{
	struct fake_kvm_cpu *cpu = cpu_of(v);
	const struct kvm_run *run = v->run;

	if (!__atomic_load_n(&cpu->pending, __ATOMIC_RELAXED))
		return;
	cpu->completed = 0;
	if (run->exit_reason == KVM_EXIT_IO)
		memcpy(&cpu->completed, (const uint8_t *)run + run->io.data_offset, run->io.size);
	else
		memcpy(&cpu->completed, run->mmio.data, run->mmio.len);
	cpu->regs.rip += cpu->insn_len;
	__atomic_add_fetch(&cpu->n_completed, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&cpu->pending, false, __ATOMIC_RELAXED);
}

static bool must_leave(const struct kvm_vcpu *v)
{
	return __atomic_load_n(&v->run->immediate_exit, __ATOMIC_SEQ_CST);
}

/* Signals are let in only while the vCPU is in the guest, as a thread inside ioctl(2) sees them. */
static int sit_in_guest(struct kvm_vcpu *v)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	if (!must_leave(v))
		ppoll(NULL, 0, NULL, &before);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -EINTR;
}

int kvm_vcpu_run(struct kvm_vcpu *v)
{
	struct fake_vcpu *f = vcpu_of(v);
	struct kvm_run *run = v->run;
	int rc;

	complete(v);
	if (must_leave(v)) {
		run->exit_reason = KVM_EXIT_INTR;
		return -EINTR;
	}
	rc = fake_kvm.guest(f->id, f->boot, f->step++, run);
	if (rc == FAKE_GUEST_HALTS)
		return sit_in_guest(v);
	if (rc < 0)
		return rc;
	__atomic_store_n(&cpu_of(v)->pending,
			 (run->exit_reason == KVM_EXIT_IO && run->io.direction == KVM_EXIT_IO_IN) ||
				 (run->exit_reason == KVM_EXIT_MMIO && !run->mmio.is_write),
			 __ATOMIC_RELAXED);
	return 0;
}

void kvm_vcpu_set_immediate_exit(struct kvm_vcpu *v, bool on)
{
	__atomic_store_n(&v->run->immediate_exit, on, __ATOMIC_SEQ_CST);
}

int kvm_vcpu_set_cpuid(struct kvm_vcpu *v, const struct kvm_cpuid2 *c, struct err *e)
{
	struct fake_kvm_cpu *cpu = cpu_of(v);
	size_t size = sizeof(*c) + c->nent * sizeof(c->entries[0]);

	TRY(e, "fake: set cpuid");
	VMM_BUG_ON(c->nent > FAKE_KVM_CPUID_ENTRIES);
	if (vcpu_of(v)->id >= FAKE_KVM_CPUS)
		return 0;
	free(cpu->cpuid);
	cpu->cpuid = malloc(size);
	VMM_BUG_ON(!cpu->cpuid);
	memcpy(cpu->cpuid, c, size);
	return 0;
}

int kvm_vcpu_set_msrs(const struct kvm_vcpu *v, const struct kvm_msrs *msrs, struct err *e)
{
	(void)v, (void)msrs;
	TRY(e, "fake: set msrs");
	return 0;
}

int kvm_vcpu_get_regs(const struct kvm_vcpu *v, struct kvm_regs *r)
{
	if (refused())
		return -1;
	*r = cpu_of(v)->regs;
	return 0;
}

int kvm_vcpu_set_regs(struct kvm_vcpu *v, const struct kvm_regs *r, struct err *e)
{
	TRY(e, "fake: set regs");
	cpu_of(v)->regs = *r;
	return 0;
}

int kvm_vcpu_get_sregs(const struct kvm_vcpu *v, struct kvm_sregs *s)
{
	if (refused())
		return -1;
	*s = cpu_of(v)->sregs;
	return 0;
}

int kvm_vcpu_set_sregs(struct kvm_vcpu *v, const struct kvm_sregs *s, struct err *e)
{
	TRY(e, "fake: set sregs");
	cpu_of(v)->sregs = *s;
	return 0;
}

int kvm_vcpu_translate(const struct kvm_vcpu *v, uint64_t gva, uint64_t *gpa)
{
	(void)v;
	if (gva >= 4 * GIB)
		return -1;
	*gpa = gva;
	return 0;
}

uint32_t kvm_vcpu_tsc_khz(const struct kvm_vcpu *v)
{
	(void)v;
	return fake_kvm.tsc_khz;
}

/* kvm_state.h -------------------------------------------------------------------------------- */

struct kvm_vm_state {
	int nothing;
};

struct kvm_vcpu_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
};

int kvm_state_save_vm(struct kvm_vm_state **out, const struct kvm_vm *vm, const struct kvm_sys *sys,
		      struct err *e)
{
	VMM_BUG_ON(vm->fd < 0 || sys->fd < 0);
	TRY(e, "fake: save VM");
	*out = calloc(1, sizeof(**out));
	VMM_BUG_ON(!*out);
	return 0;
}

int kvm_state_restore_vm(const struct kvm_vm_state *s, const struct kvm_vm *vm, struct err *e)
{
	VMM_BUG_ON(!s || vm->fd < 0);
	TRY(e, "fake: restore VM");
	fake_kvm_check_irqs_are_reset();
	fake_kvm.n_boots++;
	return 0;
}

void kvm_state_free_vm(struct kvm_vm_state *s)
{
	free(s);
}

int kvm_state_save_vcpu(struct kvm_vcpu_state **out, struct kvm_vm_state *of,
			const struct kvm_vcpu *v, struct err *e)
{
	struct kvm_vcpu_state *s;

	VMM_BUG_ON(!of || vcpu_of(v)->step > 0);
	TRY(e, "fake: save vCPU");
	s = calloc(1, sizeof(*s));
	VMM_BUG_ON(!s);
	s->regs = cpu_of(v)->regs;
	s->sregs = cpu_of(v)->sregs;
	*out = s;
	return 0;
}

int kvm_state_restore_vcpu(const struct kvm_vcpu_state *s, const struct kvm_vcpu *v, struct err *e)
{
	struct fake_vcpu *f = vcpu_of(v);

	VMM_BUG_ON(__atomic_load_n(&cpu_of(v)->pending, __ATOMIC_RELAXED)); /* it must be parked */
	TRY(e, "fake: restore vCPU");
	cpu_of(v)->regs = s->regs;
	cpu_of(v)->sregs = s->sregs;
	f->boot = fake_kvm.n_boots - 1;
	f->step = 0;
	return 0;
}

void kvm_state_free_vcpu(struct kvm_vcpu_state *s)
{
	free(s);
}

/* Exits -------------------------------------------------------------------------------------- */

static int io(struct kvm_run *run, uint16_t port, uint8_t direction, const void *data, uint32_t n)
{
	run->exit_reason = KVM_EXIT_IO;
	run->io.direction = direction;
	run->io.size = 1;
	run->io.port = port;
	run->io.count = n;
	run->io.data_offset = 4096;
	VMM_BUG_ON(n > 4096);
	memcpy((uint8_t *)run + 4096, data, n);
	return 0;
}

int guest_out(struct kvm_run *run, uint16_t port, uint8_t val)
{
	return io(run, port, KVM_EXIT_IO_OUT, &val, 1);
}

int guest_in(struct kvm_run *run, uint16_t port)
{
	return io(run, port, KVM_EXIT_IO_IN, "", 1);
}

int guest_print(struct kvm_run *run, const char *text)
{
	return io(run, 0x3f8, KVM_EXIT_IO_OUT, text, (uint32_t)strlen(text));
}

int guest_mmio(struct kvm_run *run, uint64_t at, bool write, uint64_t val, uint32_t len)
{
	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = at;
	run->mmio.is_write = write;
	run->mmio.len = len;
	memcpy(run->mmio.data, &val, sizeof(val));
	return 0;
}

int guest_exit(struct kvm_run *run, uint32_t reason)
{
	run->exit_reason = reason;
	return 0;
}

/* This process ------------------------------------------------------------------------------- */

static unsigned int count_entries(const char *path)
{
	DIR *d = opendir(path);
	unsigned int n = 0;

	VMM_BUG_ON(!d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

unsigned int count_threads(void)
{
	return count_entries("/proc/self/task");
}

unsigned int count_fds(void)
{
	return count_entries("/proc/self/fd");
}
