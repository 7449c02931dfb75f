/* SPDX-License-Identifier: MIT */
/* Names of what a trust domain is made with, for options and for messages. */
#ifndef LKVM_X86_OPTIONS_TDX_H
#define LKVM_X86_OPTIONS_TDX_H

#include "lkvm/types.h"

/* In front of the path of --tdx-quote. */
#define X86_TDX_UNIX "unix:"

/* A bit of ATTRIBUTES (TDX module ABI); the list ends with NULL. */
struct x86_tdx_attribute {
	const char *name;
	u8 bit;
};
extern const struct x86_tdx_attribute x86_tdx_attributes[];

#endif
