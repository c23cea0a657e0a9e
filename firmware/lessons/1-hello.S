/*
 * 1-hello.S - lesson 1: hello, from 16-bit real mode.
 *
 * A PC's processor wakes up as an 8086 of 1978: registers of 16 bits, no protection, and an address
 * is segment * 16 + offset. Boot loaders change that before they start a kernel. Ours is one of
 * them: it enters a kernel in 32-bit protected mode, without paging, at the address that is in the
 * note below (Xen, docs/misc/pvh.pandoc). So this guest's first task is to go back in time.
 *
 * Real mode reaches just over 1 MiB, and that is where we are loaded: with the segment 0xffff, the
 * offsets 0x10 to 0xffff are the addresses 0x100000 to 0x10ffef.
 */
#define SEGMENT		0xffff
#define BASE		(SEGMENT * 16)	/* an offset is an address minus this */
#define COM1		0x3f8		/* the first serial port: a byte written here is sent */
#define EXIT_PORT	0xf4		/* a byte written here ends the VM with that status */
#define CODE16		8		/* places in the table at the end, in bytes */
#define DATA16		16

	.section .note.PVH, "a", @note	/* three lengths and types, the name, the entry point */
	.long 4, 4, 18			/* 18: XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long start

	.text
	.code32
	.globl start
start:
	/*
	 * Even without paging, protected mode checks each access against a descriptor, which the
	 * processor keeps inside the segment register. Real mode changes a segment's base only, so
	 * what real mode shall find, limits of 64 KiB and code of 16 bits, is loaded now.
	 */
	lgdt gdt_pointer
	mov $DATA16, %eax
	mov %eax, %ds
	ljmp $CODE16, $narrow - BASE	/* the only way to load the code segment is to jump */

	.code16
narrow:
	mov %cr0, %eax
	and $~1, %eax			/* PE, protection enable */
	mov %eax, %cr0
	ljmp $SEGMENT, $real - BASE	/* and now real mode it is */

real:
	mov $SEGMENT, %ax		/* in real mode, any number is a segment */
	mov %ax, %ds
	mov $hello - BASE, %si
	mov $COM1, %dx
	cld				/* lodsb goes upwards */
next:
	lodsb				/* al = the byte at ds:si; si = si + 1 */
	test %al, %al
	jz end
	/*
	 * The exit. A guest has no ports of its own: at this instruction the processor leaves the
	 * guest, and KVM returns from the VMM's ioctl(KVM_RUN) with the port and the byte. The
	 * VMM plays the serial port, then calls KVM_RUN again: the guest goes on at the next line.
	 * ("Exit" means one to the VMM in all lessons; what KVM answers by itself we never see.)
	 *
	 * A driver in good order asks first whether there is room for a byte: a real port holds
	 * one until its FIFO is on. Ours has sent it before the guest goes on.
	 */
	out %al, %dx
	jmp next

end:
	mov $0, %al
	out %al, $EXIT_PORT		/* no instruction ends a PC; this port is our VMM's own */

hello:
	.asciz "Hello, world!\n"

	.balign 8
gdt:					/* Intel SDM volume 3, 3.4.5 "Segment Descriptors" */
	.quad 0				/* the first one cannot be used */
	.quad 0x00009b0ffff0ffff	/* base 0xffff0, limit 0xffff, code, 16 bits */
	.quad 0x0000930ffff0ffff	/* the same, data */
gdt_pointer:
	.word . - gdt - 1
	.long gdt
