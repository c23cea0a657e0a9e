/*
 * vmm-exit.S - vmm-exit STATUS: ends the VM, with STATUS as the VMM's exit status.
 *
 * Life of a VM: the last thing that init runs when it was given a CMD. Writes the byte to I/O port 0xf4,
 * where src/dev/exitport.c listens. Many kernels, Debian's cloud kernels too, have no /dev/port for a
 * shell to write to; ioperm(2) they have. Comes back, with status 1, only if nothing listens.
 */
	.globl _start
_start:	mov	16(%rsp), %rsi		# argv[1], a decimal number
	xor	%ebx, %ebx
1:	movzbl	(%rsi), %eax
	inc	%rsi
	sub	$'0', %eax
	js	2f			# its end
	imul	$10, %ebx, %ebx
	add	%eax, %ebx
	jmp	1b
2:	mov	$173, %eax		# ioperm(0xf4, 1, 1)
	mov	$0xf4, %edi
	mov	$1, %esi
	mov	$1, %edx
	syscall
	test	%eax, %eax
	jnz	3f
	mov	%ebx, %eax
	out	%al, $0xf4		# the VM ends here
3:	mov	$60, %eax		# exit(1)
	mov	$1, %edi
	syscall
