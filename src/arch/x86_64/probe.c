/*
 * probe.c - a VM of one page that counts down: is this KVM hardware's, or an interpreter?
 *
 * Life of a VM: not part of one: `vmm doctor` asks. Main thread.
 *
 * Some clouds offer a /dev/kvm without VT-x or SVM beneath. It interprets ring 0, where kernels
 * live, at about a millionth of a second for each instruction. CPU flags do not tell: a guest of a
 * hypervisor with nested virtualisation has them and a host with a software KVM may have them as
 * well. A loop does.
 */
#include "x86.h"
#include <errno.h>
#include <string.h>
#include <vmm/arch/probe.h>
#include <vmm/base/bytes.h>
#include <vmm/base/util.h>
#include <vmm/host/evloop.h>

#define LOOPS 20000u /* an interpreter takes some 30 ms, hardware some 20 us */
#define CODE_AT 0x1000u
#define RAM_LEN 0x10000u

/* mov $LOOPS, %ecx; 1: dec %ecx; jnz 1b; out %al, $0x80 - in 32-bit code */
static const uint8_t code[] = { 0xb9, 0, 0, 0, 0, 0x49, 0x75, 0xfd, 0xe6, 0x80 };

static int add_slot(void *vm, unsigned int index, gpa_t base, uint64_t len, void *host)
{
	struct err e;

	return kvm_vm_add_memory(vm, index, base, len, host, &e);
}

static int load(struct kvm_vm *vm, struct gmem *m, struct err *e)
{
	uint8_t copy[sizeof(code)];

	memcpy(copy, code, sizeof(copy));
	store_le32(copy + 1, LOOPS);
	if (gmem_add_ram(m, 0, RAM_LEN, e) < 0)
		return e->code;
	if (!gmem_write(m, CODE_AT, copy, sizeof(copy)) || gmem_each_region(m, add_slot, vm) < 0)
		return err_set(e, -EFAULT, "no memory for a test VM");
	return 0;
}

static int run(struct probe *p, const struct kvm_vm *vm, struct err *e)
{
	struct arch_boot start = { .entry = CODE_AT, .topology = { 1, 1, 1 } };
	struct kvm_vcpu v;
	uint64_t began;
	int rc;

	if (kvm_vcpu_create(&v, vm, 0, e) < 0)
		return e->code;
	rc = regs_init_pvh(&v, &start, e); /* flat 32-bit ring 0 is what this needs, too */
	if (rc == 0) {
		began = evloop_now_ns();
		rc = kvm_vcpu_run(&v);
		p->instructions_per_s =
			LOOPS * (2 * NS_PER_S) / max_u64(evloop_now_ns() - began, 1);
		if (rc < 0 || v.run->exit_reason != KVM_EXIT_IO)
			rc = err_set(e, -EIO, "a test VM did not run: exit %u, %s",
				     v.run->exit_reason, strerror(-rc));
	}
	kvm_vcpu_destroy(&v);
	return rc;
}

int probe_run(struct probe *p, const struct kvm_sys *sys, struct err *e)
{
	struct gmem *m = NULL;
	struct kvm_vm vm = { .fd = -1 };
	uint64_t began = evloop_now_ns();
	int rc;

	rc = kvm_vm_create(&vm, sys, e);
	p->create_vm_ns = evloop_now_ns() - began;
	if (rc == 0)
		rc = gmem_create(&m, e);
	if (rc == 0)
		rc = load(&vm, m, e);
	if (rc == 0)
		rc = run(p, &vm, e);
	kvm_vm_destroy(&vm);
	gmem_destroy(m);
	return rc;
}
