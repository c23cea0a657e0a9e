/*
 * exits.c - an exit from the guest, told to a human.
 *
 * Life of a VM: for --trace exits on each exit, and once more when the guest ends badly. vCPU
 * threads. Source: Linux, Documentation/virt/kvm/api.rst, section 5 "The kvm_run structure".
 */
#include "x86.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <vmm/base/util.h>

#define CODE_BYTES 16

static const struct {
	uint32_t reason;
	const char *name;
} reasons[] = {
	{ KVM_EXIT_UNKNOWN, "unknown" },
	{ KVM_EXIT_EXCEPTION, "exception" },
	{ KVM_EXIT_IO, "io" },
	{ KVM_EXIT_HYPERCALL, "hypercall" },
	{ KVM_EXIT_DEBUG, "debug" },
	{ KVM_EXIT_HLT, "hlt" },
	{ KVM_EXIT_MMIO, "mmio" },
	{ KVM_EXIT_IRQ_WINDOW_OPEN, "irq window open" },
	{ KVM_EXIT_SHUTDOWN, "shutdown (triple fault)" },
	{ KVM_EXIT_FAIL_ENTRY, "fail entry" },
	{ KVM_EXIT_INTR, "intr" },
	{ KVM_EXIT_NMI, "nmi" },
	{ KVM_EXIT_INTERNAL_ERROR, "internal error" },
	{ KVM_EXIT_SYSTEM_EVENT, "system event" },
	{ KVM_EXIT_X86_RDMSR, "rdmsr" },
	{ KVM_EXIT_X86_WRMSR, "wrmsr" },
};

static const char *reason_name(uint32_t reason)
{
	for (size_t i = 0; i < ARRAY_SIZE(reasons); i++) {
		if (reasons[i].reason == reason)
			return reasons[i].name;
	}
	return "exit";
}

/* Little-endian bytes as the number that the guest's instruction moved. */
static uint64_t value_of(const uint8_t *data, uint32_t len)
{
	uint64_t v = 0;

	memcpy(&v, data, min_size(len, sizeof(v)));
	return v;
}

/* Once the exit is answered, the value of a read is there, too. Of a string access, the first one.
 */
static void describe_io(const struct kvm_run *run, char *buf, size_t size)
{
	const uint8_t *data = (const uint8_t *)run + run->io.data_offset;
	const char *out = run->io.direction == KVM_EXIT_IO_OUT ? "out" : "in";

	snprintf(buf, size, "io %s port %#x size %u count %u value 0x%" PRIx64 "%s", out,
		 run->io.port, run->io.size, run->io.count, value_of(data, run->io.size),
		 run->io.count > 1 ? " (first of several)" : "");
}

static void describe_mmio(const struct kvm_run *run, char *buf, size_t size)
{
	snprintf(buf, size, "mmio %s at %#llx size %u value 0x%" PRIx64,
		 run->mmio.is_write ? "write" : "read", run->mmio.phys_addr, run->mmio.len,
		 value_of(run->mmio.data, run->mmio.len));
}

static void describe_internal_error(const struct kvm_run *run, char *buf, size_t size)
{
	static const char *const what[] = {
		[0] = "",
		[KVM_INTERNAL_ERROR_EMULATION] =
			": KVM could not emulate an instruction (in device memory, or unknown)",
		[KVM_INTERNAL_ERROR_SIMUL_EX] = ": two exceptions at once",
		[KVM_INTERNAL_ERROR_DELIVERY_EV] = ": an event could not be delivered",
	};
	uint32_t sub = run->internal.suberror;

	snprintf(buf, size, "internal error %u%s", sub, sub < ARRAY_SIZE(what) ? what[sub] : "");
}

void arch_exit_describe(const struct kvm_run *run, char *buf, size_t size)
{
	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		describe_io(run, buf, size);
		break;
	case KVM_EXIT_MMIO:
		describe_mmio(run, buf, size);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		snprintf(buf, size,
			 "fail entry: the CPU refused the guest's state, hardware reason %#llx",
			 run->fail_entry.hardware_entry_failure_reason);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		describe_internal_error(run, buf, size);
		break;
	default:
		snprintf(buf, size, "%s (KVM_EXIT %u)", reason_name(run->exit_reason),
			 run->exit_reason);
		break;
	}
}

/* Appends to what is in buf already; never beyond size. */
__attribute__((format(printf, 3, 4))) static void append(char *buf, size_t size, const char *fmt,
							 ...)
{
	size_t n = strlen(buf);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf + n, size - n, fmt, ap);
	va_end(ap);
}

static void dump_code(const struct kvm_vcpu *v, const struct gmem *m, uint64_t at, char *buf,
		      size_t size)
{
	uint8_t code[CODE_BYTES];
	uint64_t gpa;

	append(buf, size, "code at rip:");
	if (kvm_vcpu_translate(v, at, &gpa) < 0 || !gmem_read(m, gpa, code, sizeof(code))) {
		append(buf, size, " not in RAM\n");
		return;
	}
	for (size_t i = 0; i < sizeof(code); i++)
		append(buf, size, " %02x", code[i]);
	append(buf, size, "\n");
}

uint64_t arch_vcpu_pc(const struct kvm_vcpu *v)
{
	struct kvm_sregs s;
	struct kvm_regs r;

	if (kvm_vcpu_get_regs(v, &r) < 0 || kvm_vcpu_get_sregs(v, &s) < 0)
		return 0;
	return s.cs.base + r.rip;
}

void arch_vcpu_dump(const struct kvm_vcpu *v, const struct gmem *m, char *buf, size_t size)
{
	struct kvm_sregs s;
	struct kvm_regs r;

	buf[0] = '\0';
	if (kvm_vcpu_get_regs(v, &r) < 0 || kvm_vcpu_get_sregs(v, &s) < 0) {
		append(buf, size, "registers cannot be read\n");
		return;
	}
	append(buf, size, "rip %016llx rflags %08llx\n", r.rip, r.rflags);
	append(buf, size, "rax %016llx rbx %016llx rcx %016llx rdx %016llx\n", r.rax, r.rbx, r.rcx,
	       r.rdx);
	append(buf, size, "rsi %016llx rdi %016llx rbp %016llx rsp %016llx\n", r.rsi, r.rdi, r.rbp,
	       r.rsp);
	append(buf, size, "r8  %016llx r9  %016llx r10 %016llx r11 %016llx\n", r.r8, r.r9, r.r10,
	       r.r11);
	append(buf, size, "r12 %016llx r13 %016llx r14 %016llx r15 %016llx\n", r.r12, r.r13, r.r14,
	       r.r15);
	append(buf, size, "cr0 %08llx cr2 %016llx cr3 %016llx cr4 %08llx efer %llx\n", s.cr0, s.cr2,
	       s.cr3, s.cr4, s.efer);
	append(buf, size, "cs %04x base %llx ss %04x ds %04x gdt %llx idt %llx\n", s.cs.selector,
	       s.cs.base, s.ss.selector, s.ds.selector, s.gdt.base, s.idt.base);
	dump_code(v, m, s.cs.base + r.rip, buf, size);
}
