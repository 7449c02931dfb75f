/* SPDX-License-Identifier: MIT */
/*
 * What lkvm tells the stub with which an SNP guest without firmware starts (guest/x86/snp-stub.S):
 * a page of parameters, to which RBX points. For C and for assembly; nothing but numbers.
 */
#ifndef LKVM_GUEST_SNP_H
#define LKVM_GUEST_SNP_H

/* Offsets of 64-bit numbers. */
#define SNP_PARAMS_ENTRY  0x00 /* where the kernel is entered ... */
#define SNP_PARAMS_RSI	  0x08 /* ... and what it finds in RSI */
#define SNP_PARAMS_C_BIT  0x10 /* what makes a page private, in a page table entry */
#define SNP_PARAMS_TABLE  0x18 /* a page for a page directory */
#define SNP_PARAMS_WINDOW 0x20 /* the page table entry of [4 GiB, 5 GiB), which is free */
#define SNP_PARAMS_COUNT  0x28 /* of ranges */
#define SNP_PARAMS_RANGES 0x30 /* each: first address, end; of whole pages */
#define SNP_PARAMS_SIZE	  0x1000
#define SNP_PARAMS_MAX	  ((SNP_PARAMS_SIZE - SNP_PARAMS_RANGES) / 16)

/* PVALIDATE (AMD APM volume 3): in EAX, and in ECX the size. */
#define SNP_PVALIDATE_4K	    0
#define SNP_PVALIDATE_2M	    1
#define SNP_PVALIDATE_SIZE_MISMATCH 6

/* The GHCB's MSR protocol: a termination request, of Linux's set: PVALIDATE failed. */
#define SNP_MSR_GHCB	   0xc0010130
#define SNP_TERM_PVALIDATE 0x00021100

#endif
