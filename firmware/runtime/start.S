/*
 * start.S - entry by the PVH note: 32-bit protected mode without paging -> long mode -> guest_main().
 *
 * Page tables and descriptor tables are mostly made by the assembler: where KVM is software, each
 * instruction at ring 0 costs a microsecond.
 * Source: Xen, docs/misc/pvh.pandoc and public/elfnote.h (XEN_ELFNOTE_PHYS32_ENTRY is 18).
 */
#include "tables.h"

	.section .note.PVH, "a", @note
	.align 4
	.long 4, 4, 18
	.asciz "Xen"
	.long entry32

	.text
	.code32
	.globl entry32
entry32:
	mov %esp, entry + 28
	mov $stack_top, %esp
	pushf
	pop entry + 32
	cld
	mov %eax, entry
	mov %ebx, entry + 4
	mov %ecx, entry + 8
	mov %edx, entry + 12
	mov %esi, entry + 16
	mov %edi, entry + 20
	mov %ebp, entry + 24
	mov %cr0, %eax
	mov %eax, entry + 36
	mov %cr4, %eax
	mov %eax, entry + 40
	mov %cs, entry + 44
	mov %ds, entry + 46
	mov %es, entry + 48
	mov %fs, entry + 50
	mov %gs, entry + 52
	mov %ss, entry + 54
	str entry + 56
	mov $MSR_EFER, %ecx
	rdmsr
	mov %eax, entry + 64
	mov %edx, entry + 68
	sgdt entry + 80
	sidt entry + 88
	mov %cr2, %eax
	mov %eax, entry + 96
	mov %cr3, %eax
	mov %eax, entry + 100

	/* In the order of the SDM, volume 3, 10.8.5: QEMU's emulated SVM hangs in any other. */
	mov %cr4, %eax
	or $CR4_PAE, %eax
	mov %eax, %cr4
	mov $pml4, %eax
	mov %eax, %cr3
	mov $MSR_EFER, %ecx
	mov entry + 64, %eax
	mov entry + 68, %edx
	or $(EFER_LME | EFER_SCE), %eax
	wrmsr
	mov %cr0, %eax
	or $(CR0_PG | CR0_PE), %eax
	mov %eax, %cr0
	lgdt gdt_pointer
	ljmp $KERNEL_CS, $entry64

	.code64
entry64:
	call load_tables
	call guest_main
	jmp stop
