/*
 * start64.S - entry of a kernel without a PVH note: long mode already, boot_params in rsi.
 *
 * Source: Linux, Documentation/arch/x86/boot.rst, "64-bit Boot Protocol".
 */
#include "tables.h"

	.text
	.code64
	.globl entry64
entry64:
	mov $stack_top, %esp
	pushfq
	pop %rax
	mov %eax, entry + 32
	cld
	mov %rsi, entry + 72
	mov %cr0, %rax
	mov %eax, entry + 36
	mov %cr4, %rax
	mov %eax, entry + 40
	mov %cs, entry + 44
	mov %ds, entry + 46
	mov %es, entry + 48
	mov %ss, entry + 54
	mov $MSR_EFER, %ecx
	rdmsr
	mov %eax, entry + 64
	mov %edx, entry + 68
	or $EFER_SCE, %eax
	wrmsr
	mov $pml4, %eax
	mov %rax, %cr3
	lgdt gdt_pointer
	pushq $KERNEL_CS
	pushq $1f
	lretq
1:	call load_tables
	call guest_main
	jmp stop
