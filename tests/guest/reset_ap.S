/*
 * reset_ap.S - the first instructions of every CPU but the first one, for reset_clean.c.
 *
 * Copied to 0x8000, where real mode begins after a start-up IPI with vector 8. Goes on to long mode with the tables of
 * the first CPU, and to ap_main() on the stack that ap_stack names.
 */
#include "tables.h"

	.section .rodata
	.globl ap_trampoline, ap_trampoline_end
	.code16
ap_trampoline:
	cli
	xor %ax, %ax
	mov %ax, %ds
	lgdtl 0x8000 + ap_gdt_pointer - ap_trampoline
	mov %cr0, %eax
	or $CR0_PE, %al
	mov %eax, %cr0
	ljmpl $8, $0x8000 + protected - ap_trampoline

	.code32
protected:
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
	or $EFER_LME, %eax
	wrmsr
	mov %cr0, %eax
	or $CR0_PG, %eax
	mov %eax, %cr0
	lgdt gdt_pointer
	ljmp $KERNEL_CS, $ap_long

	.balign 8
ap_gdt:
	.quad 0
	.quad 0x00cf9b000000ffff
	.quad 0x00cf93000000ffff
ap_gdt_pointer:
	.word . - ap_gdt - 1
	.long 0x8000 + ap_gdt - ap_trampoline
ap_trampoline_end:

	.text
	.code64
ap_long:
	mov $KERNEL_DS, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov ap_stack, %rsp
	call ap_main
1:	cli
	hlt
	jmp 1b
