/*
 * cpu.S - interrupt handlers, the gate to ring 0, the way to ring 3, and the first steps of every
 * CPU but the boot CPU.
 *
 * Where KVM is software each instruction at ring 0 costs a microsecond, so that a handler counts in
 * memory, says end of interrupt, and is done.
 * Source: Intel SDM volume 3: 6.14 handlers in 64-bit mode, 9.4.4 the start of other processors, 10.8.5
 * the way to long mode.
 */
#include "tables.h"

#define LAPIC_ID 0xfee00020
#define LAPIC_EOI 0xfee000b0
#define LAPIC_SVR 0xfee000f0
#define FIRST_VECTOR 32
#define N_VECTORS 64
#define VECTOR_IPI 33
#define TRAMPOLINE 0x8000
#define AP_STACK 1024
#define MAX_CPUS 64

	.text
	.code64

/* One handler of 16 bytes for each vector from 32 on. */
	.globl interrupt_handlers
	.balign 16
interrupt_handlers:
	.set vector, FIRST_VECTOR
	.rept N_VECTORS - FIRST_VECTOR
	.balign 16
	lock incl interrupts + 4 * vector
	.if vector == VECTOR_IPI
	jmp count_ipi
	.else
	jmp end_of_interrupt
	.endif
	.set vector, vector + 1
	.endr

count_ipi:
	push %rax
	mov $LAPIC_ID, %eax
	mov (%rax), %eax
	shr $24, %eax
	lock incl ipis(, %rax, 4)
	pop %rax
end_of_interrupt:
	push %rax
	mov $LAPIC_EOI, %eax
	movl $0, (%rax)
	pop %rax
	iretq

	.globl cpu_enter_ring3
cpu_enter_ring3:
	pushq $USER_DS
	pushq $ring3_stack_top
	pushq $0x202			/* rflags: interrupts on */
	pushq $USER_CS
	push %rdi
	iretq

/* The gate: #UD at this very instruction calls what rax points to. */
	.globl ring0, on_undefined
ring0:
	mov %rdi, %rax
	mov %rsi, %rdi
	mov %rdx, %rsi
gate:	ud2
	ret
on_undefined:
	cmpq $gate, (%rsp)
	jne 1f
	addq $2, (%rsp)
	sub $8, %rsp			/* a multiple of 16 at the call */
	call *%rax
	add $8, %rsp
	iretq
1:	jmp *exception_undefined

/* MSRs that may not be there: #GP at these two instructions makes the answer 0. */
	.globl try_rdmsr, try_wrmsr, on_protection
try_rdmsr:
	mov %edi, %ecx
read:	rdmsr
	mov %eax, (%rsi)
	mov %edx, 4(%rsi)
	mov $1, %eax
	ret
try_wrmsr:
	mov %edi, %ecx
	mov (%rsi), %eax
	mov 4(%rsi), %edx
write:	wrmsr
	mov $1, %eax
	ret
refused:
	xor %eax, %eax
	ret
on_protection:				/* the error code is on top */
	cmpq $read, 8(%rsp)
	je 1f
	cmpq $write, 8(%rsp)
	jne 2f
1:	add $8, %rsp
	movq $refused, (%rsp)
	iretq
2:	jmp *exception_protection

/* Where a CPU begins that has been started: copied to TRAMPOLINE, in real mode. */
	.section .rodata
	.globl trampoline, trampoline_end
	.code16
trampoline:
	cli
	xor %ax, %ax
	mov %ax, %ds
	lgdtl TRAMPOLINE + start_gdt_pointer - trampoline
	mov %cr0, %eax
	or $CR0_PE, %al
	mov %eax, %cr0
	ljmpl $8, $TRAMPOLINE + protected - trampoline

	.code32
protected:
	mov $KERNEL_DS, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov %cr4, %eax
	or $CR4_PAE, %eax
	mov %eax, %cr4
	mov $pml4, %eax
	mov %eax, %cr3
	mov $MSR_EFER, %ecx
	rdmsr
	or $(EFER_LME | EFER_SCE), %eax
	wrmsr
	mov %cr0, %eax
	or $CR0_PG, %eax
	mov %eax, %cr0
	ljmp $KERNEL_CS, $other_cpu

	.balign 8
start_gdt:
	.quad 0
	.quad 0x00cf9b000000ffff	/* 32-bit code */
	.quad 0x00af9b000000ffff	/* KERNEL_CS */
	.quad 0x00cf93000000ffff	/* KERNEL_DS */
start_gdt_pointer:
	.word . - start_gdt - 1
	.long TRAMPOLINE + start_gdt - trampoline
trampoline_end:

	.text
	.code64
other_cpu:
	lgdt gdt_pointer		/* the same selectors, at a place that stays */
	lidt idt_pointer64
	mov $AP_STACK, %eax
	lock xadd %eax, stack_used
	lea other_stacks + AP_STACK(%rax), %rsp
	mov $LAPIC_SVR, %eax
	movl $0x1ff, (%rax)
	lock incl cpus_started
	sti
1:	hlt
	jmp 1b

	.bss
	.balign 16
stack_used:
	.skip 16
other_stacks:
	.skip AP_STACK * MAX_CPUS
	.skip 65536
ring3_stack_top:
