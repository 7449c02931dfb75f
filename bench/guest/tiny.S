/* SPDX-License-Identifier: MIT */
/*
 * The smallest guests: one that ends at once, and with -DWAIT one that says "@up" on COM1 and halts for ever. As a PVH
 * image, or with -DBZIMAGE as a bzImage, which kvmtool takes. The bytes are the same instructions in real, protected and
 * long mode, so every entry has them.
 */
	.macro	body
#ifdef WAIT
	.byte	0xb2, 0xf8		/* mov $0xf8, %dl */
	.byte	0xb6, 0x03		/* mov $0x03, %dh */
	.irp	c, '@', 'u', 'p', '\n'
	.byte	0xb0, \c		/* mov $c, %al */
	.byte	0xee			/* out %al, %dx */
	.endr
#else
	.byte	0xb0, 0x00		/* mov $0, %al */
	.byte	0xe6, 0xf4		/* out %al, $0xf4: isa-debug-exit, which all but kvmtool have */
	.byte	0xb0, 0xfe		/* mov $0xfe, %al */
	.byte	0xe6, 0x64		/* out %al, $0x64: the keyboard controller's reset ends kvmtool */
#endif
	.byte	0xfa			/* cli */
	.byte	0xf4			/* hlt */
	.byte	0xeb, 0xfd		/* jmp to the hlt */
	.endm

#ifdef BZIMAGE	/* Linux Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header" */
	.org	0x1f1
	.byte	7			/* setup_sects */
	.org	0x1f4
	.long	0x40			/* syssize */
	.org	0x1fe
	.word	0xaa55
	.byte	0xeb, real_mode - 1f	/* jmp */
1:	.ascii	"HdrS"
	.word	0x020c
	.org	0x211
	.byte	1			/* loadflags: LOADED_HIGH */
	.org	0x214
	.long	0x100000		/* code32_start */
	.org	0x22c
	.long	0x37ffffff		/* initrd_addr_max */
	.long	0x1000			/* kernel_alignment */
	.org	0x236
	.word	1			/* xloadflags: XLF_KERNEL_64 */
	.long	255			/* cmdline_size */
	.org	0x258
	.quad	0x100000		/* pref_address */
	.long	0x1000			/* init_size */
	.long	0
real_mode:
	body
	.org	0x1000			/* the 32-bit entry, and 0x200 from it the 64-bit one */
	body
	.org	0x1200
	body
	.org	0x1400
#else
	.section .note.Xen, "a", @note
	.balign	4
	.long	4, 4, 18		/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	_start

	.text
	.globl	_start
_start:
	body
#endif
