/*
 * tables.S - page tables, GDT, IDT and TSS of a tiny guest, and the way to ring 3.
 *
 * The first 4 GiB are mapped one to one, in pages of 2 MiB that ring 3 may use too. The TSS opens
 * every I/O port: a software KVM drops IOPL at the entry to ring 3.
 */
#include "tables.h"

#define TSS_BITMAP 0x68
#define TSS_LIMIT (TSS_BITMAP + 0x2000)
#define VECTORS 32

	.text
	.code64
	.globl load_tables, ring3, stop
load_tables:
	mov $KERNEL_DS, %eax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	xor %eax, %eax
	mov %eax, %fs
	mov %eax, %gs

	/* Addresses in descriptors are in pieces, which no linker can fill in. */
	mov $gdt + TSS_SELECTOR, %edi
	mov $tss, %eax
	mov %ax, 2(%rdi)
	shr $16, %eax
	mov %al, 4(%rdi)
	mov %ah, 7(%rdi)
	mov $TSS_SELECTOR, %eax
	ltr %ax

	mov $idt, %edi
	mov $stubs, %eax
	mov $VECTORS, %ecx
1:	mov %ax, (%rdi)
	movw $KERNEL_CS, 2(%rdi)
	movw $0xee00, 4(%rdi)		/* present, for ring 3 too, interrupt gate */
	mov %eax, %edx
	shr $16, %edx
	mov %dx, 6(%rdi)
	add $16, %edi
	add $16, %eax
	dec %ecx
	jnz 1b
	lidt idt_pointer

	/* Names ring 3's selectors to a software KVM. */
	mov $MSR_STAR, %ecx
	xor %eax, %eax
	mov $((USER_CS - 16) << 16 | KERNEL_CS), %edx
	wrmsr
	ret

ring3:
	pushq $USER_DS
	pushq $user_stack_top
	pushq $2			/* rflags: nothing but the bit that is always set */
	pushq $USER_CS
	push %rdi
	iretq

stop:
	cli
	hlt
	jmp stop

/* One stub of 16 bytes for each vector; those without an error code push a zero. */
	.balign 16
stubs:
	.set vector, 0
	.rept VECTORS
	.balign 16
	.if vector != 8 && (vector < 10 || vector > 14) && vector != 17
	pushq $0
	.endif
	pushq $vector
	jmp common
	.set vector, vector + 1
	.endr

common:
	pop %rdi			/* vector */
	pop %rsi			/* error code */
	mov (%rsp), %rdx		/* rip */
	call exception

	.data
	.balign 4096
	.globl pml4, pdpt, gdt, gdt_pointer, stack_top
pml4:
	.quad pdpt + 7
	.fill 511, 8, 0
pdpt:
	.quad pd + 7, pd + 0x1007, pd + 0x2007, pd + 0x3007
	.fill 508, 8, 0
pd:
	.set page, 0
	.rept 2048
	.quad page | 0x87		/* present, writable, user, large */
	.set page, page + 0x200000
	.endr

gdt:
	.quad 0, 0
	.quad 0x00af9b000000ffff	/* KERNEL_CS */
	.quad 0x00cf93000000ffff	/* KERNEL_DS */
	.quad 0x00cffb000000ffff
	.quad 0x00cff3000000ffff	/* USER_DS */
	.quad 0x00affb000000ffff	/* USER_CS */
	.quad 0
	.quad 0x0000890000000000 | TSS_LIMIT, 0
gdt_pointer:
	.word . - gdt - 1
	.quad gdt
idt_pointer:
	.word 16 * VECTORS - 1
	.quad idt

	.balign 4096
tss:
	.long 0
	.quad stack_top			/* rsp0 */
	.fill 0x66 - 12, 1, 0
	.word TSS_BITMAP
	.fill 0x2000, 1, 0
	.byte 0xff			/* ends the bitmap */

	.bss
	.balign 4096
idt:
	.skip 16 * VECTORS
	.skip 16384
stack_top:
	.skip 65536
user_stack_top:
