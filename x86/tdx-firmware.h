/* SPDX-License-Identifier: MIT */
/*
 * What firmware for trust domains says of itself (Intel's TDX virtual firmware design guide,
 * "TDVF metadata"; td-shim's specification): which parts of the file, and which other memory, are
 * the TD's from the start.
 */
#ifndef LKVM_X86_TDX_FIRMWARE_H
#define LKVM_X86_TDX_FIRMWARE_H

#include "lkvm/types.h"

struct boot_image;

enum tdvf_type {
	TDVF_BFV, /* code */
	TDVF_CFV, /* variables */
	TDVF_TD_HOB,
	TDVF_TEMP_MEM,
	TDVF_PERM_MEM,
	TDVF_PAYLOAD,	    /* a kernel */
	TDVF_PAYLOAD_PARAM, /* its command line */
	TDVF_TD_INFO,	    /* for tools */
	TDVF_TD_PARAMS,
	TDVF_NR_TYPES,
};
#define TDVF_EXTEND BIT(0) /* its bytes count in MRTD */
#define TDVF_AUG    BIT(1) /* it is not added: the guest accepts it */

struct tdvf_section {
	u32 offset, raw; /* in the file; what memory has beyond is zero */
	u64 gpa, size;
	u32 type;
	u32 attributes;
};

#define TDVF_MAX_SECTIONS 64U
struct tdvf {
	struct tdvf_section sections[TDVF_MAX_SECTIONS];
	u32 count;
};

/*
 * The sections of @img, each within the file, in whole pages of the first 4 GiB, of a known type;
 * one of them is the TD HOB's. 0; -ENOENT: the image has no metadata; -EBADMSG: they are wrong, or
 * -errno of reading: *why says how, for a message. Prints nothing.
 */
int tdvf_parse(const struct boot_image *img, struct tdvf *out, const char **why) __must_check;

#endif
