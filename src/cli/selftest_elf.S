/*
 * selftest_elf.S - the guest of `vmm selftest` (firmware/selftest), as bytes in the program.
 */
	.section .rodata
	.globl selftest_elf, selftest_elf_end
	.balign 16
selftest_elf:
	.incbin "selftest.elf"
selftest_elf_end:
	.section .note.GNU-stack, "", @progbits
