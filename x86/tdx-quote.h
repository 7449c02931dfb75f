/* SPDX-License-Identifier: MIT */
/*
 * Quotes (GHCI 1.5, 3.3 TDG.VP.VMCALL<GetQuote>): the guest has a report of itself signed by a
 * service on the host, whose socket --tdx-quote names. The vcpu does not wait for that: the service
 * is talked to by the main loop, and the guest looks at its buffer, or is told by an interrupt.
 */
#ifndef LKVM_X86_TDX_QUOTE_H
#define LKVM_X86_TDX_QUOTE_H

#include "lkvm/types.h"

struct vcpu;
struct vm;
struct x86_tdx_quotes;

/* A device, where @vm's configuration asks for it; *out is NULL else. Prints. */
int x86_tdx_quote_create(struct vm *vm, struct x86_tdx_quotes **out) __must_check;
/* The guest's buffer is [gpa, gpa+size). On a vcpu's thread; the call's return value. */
u64 x86_tdx_quote(struct x86_tdx_quotes *quotes, u64 gpa, u64 size);
/* From now on interrupt @vector of @vcpu says that a quote is there. The same. */
u64 x86_tdx_quote_notify(struct x86_tdx_quotes *quotes, const struct vcpu *vcpu, u64 vector);

#endif
