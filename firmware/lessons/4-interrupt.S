/*
 * 4-interrupt.S - lesson 4: an interrupt.
 *
 * A device that wants attention pulls its wire. The interrupt controller makes a number of that,
 * the vector; the processor puts its flags and its place in the program on the stack, and goes on
 * where a table says for that number. Here the serial port asks for the next byte as often as it is
 * ready for one, and meanwhile the processor sleeps.
 *
 * In real mode (the way there: lesson 1) the table is at address 0, and an entry is an offset and a
 * segment. The other modes have more to say about each entry, but nothing else is different.
 */
#define SEGMENT		0xffff
#define BASE		(SEGMENT * 16)
#define EXIT_PORT	0xf4
#define CODE16		8
#define DATA16		16

#define COM1		0x3f8
#define COM1_IER	(COM1 + 1)	/* interrupt enable; bit 1: when it is ready for a byte */
#define COM1_IIR	(COM1 + 2)	/* why it interrupts; if it is that, reading lets the wire go */
#define COM1_MCR	(COM1 + 4)	/* bit 3: output 2, which on a PC connects the wire */
#define COM1_IRQ	4		/* the wire ends at this pin of the interrupt controller */

#define PIC		0x20		/* an Intel 8259. KVM plays it; our ACPI tables do not name it */
#define FIRST_VECTOR	32		/* of its pin 0; those below are the processor's own */
#define ENTRY		((FIRST_VECTOR + COM1_IRQ) * 4)

	.section .note.PVH, "a", @note
	.long 4, 4, 18
	.asciz "Xen"
	.long start

	.text
	.code32
	.globl start
start:
	lgdt gdt_pointer
	lidt table_pointer
	movw $on_com1 - BASE, ENTRY
	movw $SEGMENT, ENTRY + 2
	mov $DATA16, %eax
	mov %eax, %ds
	ljmp $CODE16, $narrow - BASE

	.macro outb port, value		/* a macro's exits are at the line that uses it */
	mov $\port, %dx
	mov $\value, %al
	out %al, %dx
	.endm

	.code16
narrow:
	mov %cr0, %eax
	and $~1, %eax
	mov %eax, %cr0
	ljmp $SEGMENT, $real - BASE
real:
	mov $SEGMENT, %ax
	mov %ax, %ds
	xor %ax, %ax
	mov %ax, %ss
	mov $0x8000, %sp		/* an interrupt needs a stack */
	mov $hello - BASE, %si
	cld

	/* No exit at these five, nor at the one below: KVM answers, the VMM never hears of it. */
	outb PIC, 0x11			/* start over, three words follow */
	outb PIC + 1, FIRST_VECTOR
	outb PIC + 1, 0			/* there is no second controller */
	outb PIC + 1, 1			/* as on a PC */
	outb PIC + 1, ~(1 << COM1_IRQ) & 0xff /* all other pins are shut */

	outb COM1_MCR, 8
	outb COM1_IER, 2		/* it is ready already, so it pulls the wire now */
	sti				/* and from here on the processor listens */
sleep:
	hlt				/* until there is an interrupt; no exit, KVM does that, too */
	jmp sleep

on_com1:				/* the processor comes here from the hlt, deaf again */
	mov $COM1_IIR, %dx
	in %dx, %al
	mov $COM1, %dx
	lodsb
	test %al, %al
	jz end
	out %al, %dx			/* one byte on its way; the wire is pulled for the next */
	outb PIC, 0x20			/* end of interrupt: the controller may send another */
	iret				/* flags and place from the stack: back behind the hlt */
end:
	outb EXIT_PORT, 0
hello:
	.asciz "interrupt!\n"
table_pointer:
	.word 256 * 4 - 1, 0, 0		/* how long the table is, and where */
gdt:	.quad 0, 0x00009b0ffff0ffff, 0x0000930ffff0ffff
gdt_pointer:
	.word . - gdt - 1
	.long gdt
