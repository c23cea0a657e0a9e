/*
 * 2-modes.S - lesson 2: protected mode and long mode.
 *
 * A PC's processor has three main modes. Lesson 1 ran in the oldest one. This guest starts in
 * 32-bit protected mode, where the VMM's loader leaves it, and climbs to 64-bit long mode: the way
 * of every kernel for PCs. In both modes it sends a register's bytes to the serial port, the
 * lowest one first: four bytes from 32 bits, eight from 64.
 */
#define COM1		0x3f8
#define EXIT_PORT	0xf4
#define CODE64		8		/* a place in the table at the end, in bytes */

	.section .note.PVH, "a", @note	/* how the loader finds the entry: see lesson 1 */
	.long 4, 4, 18
	.asciz "Xen"
	.long start

	.text
	.code32
	.globl start
start:
	mov $COM1, %edx
	mov $0x0a203233, %eax		/* "32 \n", if the lowest byte is read first */
send32:
	out %al, %dx
	shr $8, %eax
	jnz send32

	/*
	 * Long mode wants paging. An address is looked up in a tree of tables, nine of its bits in
	 * each: PML4, page directory pointer table, page directory (Intel SDM volume 3, 4.5). One
	 * entry in each is enough for us. The last one maps 2 MiB at once: 0 to 0, so that the code
	 * which we are executing is still there when paging is on.
	 */
	mov $pml4, %eax
	mov %eax, %cr3			/* where the tree starts */

	mov %cr4, %eax
	or $0x20, %eax			/* PAE: entries of 64 bits */
	mov %eax, %cr4

	mov $0xc0000080, %ecx		/* EFER, a model specific register: */
	rdmsr
	or $0x100, %eax			/* LME: long mode as soon as there is paging */
	wrmsr

	mov %cr0, %eax
	or $0x80000000, %eax		/* PG: paging, and with it long mode */
	mov %eax, %cr0

	/*
	 * Still 32 bits, by a mode made for old programs: how wide code is, is a bit of the code
	 * segment's descriptor. A far jump loads that one from our table.
	 */
	lgdt gdt_pointer
	ljmp $CODE64, $long

	.code64
long:
	mov $COM1, %edx			/* the switch makes no promise about registers' upper half */
	movabs $0x0a73746962203436, %rax /* "64 bits\n" */
send64:
	out %al, %dx
	shr $8, %rax
	jnz send64

	mov $0, %al
	out %al, $EXIT_PORT

	.data
	.balign 4096
pml4:	.quad page_pointers + 3		/* bit 0: present, bit 1: writable */
	.fill 511, 8, 0
page_pointers:
	.quad page_directory + 3
	.fill 511, 8, 0
page_directory:
	.quad 0x83			/* bit 7: not another table, but a page of 2 MiB, at 0 */
	.fill 511, 8, 0

gdt:
	.quad 0
	.quad 0x00209b0000000000	/* present, code, 64 bits; base and limit no longer count */
gdt_pointer:
	.word . - gdt - 1
	.long gdt
