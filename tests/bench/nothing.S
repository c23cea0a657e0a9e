/*
 * nothing.S - a guest that ends the machine that it is on, whichever that is: for tests/bench/rate.sh.
 *
 * Two forms: an ELF file with a PVH note, which is entered in 32-bit protected mode (Xen,
 * docs/misc/pvh.pandoc; XEN_ELFNOTE_PHYS32_ENTRY is 18); with FLAT, bytes that are entered in real mode.
 *   port 0x600  ACPI's sleep control register of vmm and Cloud Hypervisor: S5, sleep
 *   port 0x64   the keyboard controller resets the machine: kvmtool, Firecracker, QEMU (-no-reboot)
 *   0xfea00200  the same register as at 0x600, of QEMU's microvm (ELF only)
 *   then        an interrupt with no table for it: a triple fault
 */
#ifdef FLAT
	.text
	.code16
#else
	.section .note.PVH, "a", @note
	.align 4
	.long 4, 4, 18
	.asciz "Xen"
	.long begin

	.text
	.code32
#endif
	.globl begin
begin:
	mov $0x600, %dx
	mov $0x34, %al
	out %al, (%dx)
	mov $0xfe, %al
	out %al, $0x64
#ifndef FLAT
	movb $0x34, 0xfea00200
#endif
	mov $1000, %cx /* they do it a moment later */
again:	in $0x80, %al
	dec %cx
	jnz again
	lidt none
	int3
none:	.zero 6
