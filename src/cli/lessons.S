/*
 * lessons.S - the guests of `vmm lesson` (firmware/lessons): of each the guest, the table that leads
 * from addresses to lines, and the source. struct lesson_data of cmd_lesson.c, in the order there.
 */
	.macro lesson name, suffix
	.section .rodata
	.balign 16
1:	.incbin "lessons/\name\().elf"
2:
	.balign 4
3:	.include "lessons/\name\().lines"
4:	.incbin "firmware/lessons/\name\().\suffix"
5:	.section .data.rel.ro, "aw"
	.quad 1b, 2b, 3b, 4b, 4b, 5b
	.endm

	.section .data.rel.ro, "aw"
	.globl lesson_data
	.balign 8
lesson_data:
	lesson 1-hello, S
	lesson 2-modes, S
	lesson 3-exits, c
	lesson 4-interrupt, S
	lesson 5-virtqueue, c
	.section .note.GNU-stack, "", @progbits
