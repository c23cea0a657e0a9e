/*
 * kvm_irq.h - interrupts that a device sends by a file descriptor (irqfd), and where they go.
 *
 * Source: Linux, Documentation/virt/kvm/api.rst: 4.52 KVM_SET_GSI_ROUTING, 4.71 KVM_SIGNAL_MSI,
 * 4.75 KVM_IRQFD.
 *
 * A source is embedded in its owner, who serialises the calls on that one source by a lock of his
 * own; calls on different sources may be made at the same time, on any thread. init() and fini()
 * are for the main thread while no vCPU runs, and need no VM in the kernel: sources are made before
 * it, and end after it. When the machine is reset, owners clear() or disconnect() theirs.
 *
 * Nothing but init() and kvm_irq_reset() fails: what this KVM cannot do or refuses is done in a
 * slower way.
 */
#ifndef VMM_KVM_KVM_IRQ_H
#define VMM_KVM_KVM_IRQ_H
#include <stdbool.h>
#include <stdint.h>
#include <vmm/base/err.h>
#include <vmm/kvm/kvm_vm.h>

#define KVM_IRQ_PINS 24u /* GSIs below are inputs of the I/O APIC (and of the 8259s below 16) */

/* Once all sources are cleared: KVM has the routes again that it began with. No vCPU runs. */
int kvm_irq_reset(const struct kvm_vm *vm, struct err *e);

/* A message-signalled interrupt: one vector of a device. */
struct kvm_irq_msi {
	struct kvm_vm *vm; /* NULL: not initialised */
	unsigned int gsi; /* KVM's name for it */
	int fd; /* an eventfd */
	bool set, routed, has_irqfd;
	bool held;
	uint64_t address;
	uint32_t data;
};

int kvm_irq_msi_init(struct kvm_irq_msi *m, struct kvm_vm *vm, struct err *e);
void kvm_irq_msi_fini(struct kvm_irq_msi *m); /* zeroed is fine */

/* From now on it sends this message. The same one as before costs nothing. */
void kvm_irq_msi_set(struct kvm_irq_msi *m, uint64_t address, uint32_t data);
/* It sends nothing any more. */
void kvm_irq_msi_clear(struct kvm_irq_msi *m);
/* Sends the message, if one is set. */
void kvm_irq_msi_fire(const struct kvm_irq_msi *m);

/*
 * For a device in the kernel (vhost), the eventfd: who writes to it sends the message, as fire()
 * does. -1: this KVM cannot, or not this message. From hold() to the next set() what is written
 * waits, and take() says whether there was something, and forgets it.
 */
int kvm_irq_msi_fd(const struct kvm_irq_msi *m);
void kvm_irq_msi_hold(struct kvm_irq_msi *m);
bool kvm_irq_msi_take(struct kvm_irq_msi *m);

/* An edge on an input of the interrupt controller. */
struct kvm_irq_pin {
	struct kvm_vm *vm; /* NULL: not initialised */
	unsigned int gsi;
	int fd;
	bool has_irqfd;
};

int kvm_irq_pin_init(struct kvm_irq_pin *p, struct kvm_vm *vm, unsigned int gsi, struct err *e);
void kvm_irq_pin_fini(struct kvm_irq_pin *p); /* zeroed is fine */
/* Makes pulses cheap, if this KVM can; they work without, too. */
void kvm_irq_pin_connect(struct kvm_irq_pin *p);
void kvm_irq_pin_disconnect(struct kvm_irq_pin *p);
/* Up and down again. */
void kvm_irq_pin_pulse(const struct kvm_irq_pin *p);

#endif
