/* SPDX-License-Identifier: MIT */
/* Floating-point and vector registers, whatever the compiler may use otherwise. */
	.text
	.macro	each_fp what
	.irp	n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
	\what	f\n, 8 * \n(a0)
	.endr
	.endm

	.globl	fp_load
fp_load:
	each_fp	fld
	ret

	.globl	fp_store
fp_store:
	each_fp	fsd
	ret

	.globl	vector_bytes
vector_bytes:
	csrr	a0, vlenb
	ret

	/* Eight whole registers at a time (RISC-V "V" 1.0, 7.9). */
	.globl	vector_load
vector_load:
	csrr	t0, vlenb
	slli	t0, t0, 3
	.irp	n, 0, 8, 16, 24
	vl8re8.v	v\n, (a0)
	add	a0, a0, t0
	.endr
	ret

	.globl	vector_store
vector_store:
	csrr	t0, vlenb
	slli	t0, t0, 3
	.irp	n, 0, 8, 16, 24
	vs8r.v	v\n, (a0)
	add	a0, a0, t0
	.endr
	ret

	.section .note.GNU-stack, "", %progbits
