/*
 * second.S - the second CPU from its start-up IPI to ring 3: real mode at 0x8000, protected mode,
 * long mode with the first CPU's tables, then second_fn on a stack of its own.
 */
#include "tables.h"

#define AT 0x8000

	.section .rodata
	.globl second_begin, second_end
	.code16
second_begin:
	cli
	xor %ax, %ax
	mov %ax, %ds
	lgdtl AT + small_gdt_pointer - second_begin
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmpl $8, $second_32

	.balign 8
small_gdt:
	.quad 0
	.quad 0x00cf9b000000ffff
	.quad 0x00cf93000000ffff
small_gdt_pointer:
	.word . - small_gdt - 1
	.long AT + small_gdt - second_begin
second_end:

	.text
	.code32
second_32:
	mov $16, %eax
	mov %eax, %ds
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
	or $(CR0_PG | CR0_PE), %eax
	mov %eax, %cr0
	lgdt gdt_pointer
	ljmp $KERNEL_CS, $second_64

	.code64
second_64:
	mov $KERNEL_DS, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov $second_stack_top, %esp
	/* Names ring 3's selectors to a software KVM, as in tables.S. */
	mov $MSR_STAR, %ecx
	xor %eax, %eax
	mov $((USER_CS - 16) << 16 | KERNEL_CS), %edx
	wrmsr
	pushq $USER_DS
	pushq $second_stack_top
	pushq $2
	pushq $USER_CS
	pushq second_fn
	iretq

	.bss
	.balign 16
	.skip 4096
second_stack_top:
