/*
 * dsdt.S - the DSDT that iasl made from firmware/dsdt.asl, as bytes in the program.
 */
	.section .rodata
	.globl dsdt_aml, dsdt_aml_end
	.balign 16
dsdt_aml:
	.incbin "dsdt.aml"
dsdt_aml_end:
	.section .note.GNU-stack, "", @progbits
