/*
 * smp_ap.S - the first instructions of every CPU but the first one, for smp.c.
 *
 * Copied to 0x8000, where real mode begins after a start-up IPI with vector 8. Goes on to 32-bit
 * protected mode, reports its ids, and halts.
 */
	.section .rodata
	.globl trampoline, trampoline_end
	.code16
trampoline:
	cli
	xor %ax, %ax
	mov %ax, %ds
	lgdtl 0x8000 + gdt_pointer - trampoline
	mov %cr0, %eax
	or $1, %al
	mov %eax, %cr0
	ljmpl $8, $0x8000 + protected - trampoline

	.code32
protected:
	mov $16, %eax
	mov %eax, %ds
	mov $1, %edi
	lock xadd %edi, n_started	/* this CPU's place */
	mov $0xb, %eax
	xor %ecx, %ecx
	cpuid
	mov %edx, report(, %edi, 8)
	mov $1, %eax
	cpuid
	shr $24, %ebx
	mov %ebx, report + 4(, %edi, 8)
	lock incl n_done
1:	cli
	hlt
	jmp 1b

	.balign 8
gdt:
	.quad 0
	.quad 0x00cf9b000000ffff
	.quad 0x00cf93000000ffff
gdt_pointer:
	.word . - gdt - 1
	.long 0x8000 + gdt - trampoline
trampoline_end:
