/* SPDX-License-Identifier: MIT */
/*
 * What a trust domain asks of its VMM: TDG.VP.VMCALL as KVM passes it on (Linux
 * Documentation/virt/kvm/api.rst, KVM_EXIT_TDX; Intel's GHCI 1.5, 3), and its last words.
 */
#include <stdio.h>

#include "lkvm/coco.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "tdx-quote.h"
#include "tdx.h"
#include "x86.h"

static void get_info(const struct vcpu *vcpu, struct lkvm_exit_tdx *call)
{
	if (call->get_info.leaf != 1) {
		call->ret = LKVM_TDVMCALL_INVALID_OPERAND;
		return;
	}
	/* Beside what KVM does itself, and says. */
	call->get_info.r11 = vcpu->vm->arch->tdx->user_info &
			     (vcpu->vm->arch->tdx->quotes ? LKVM_TDVMCALL_INFO_EVENT_NOTIFY : 0);
	call->get_info.r12 = call->get_info.r13 = call->get_info.r14 = 0;
	call->ret = LKVM_TDVMCALL_SUCCESS;
}

static void tdvmcall(struct vcpu *vcpu)
{
	struct lkvm_exit_tdx *call = (void *)&vcpu->run->hw;
	struct x86_tdx_quotes *quotes = vcpu->vm->arch->tdx->quotes;

	switch (call->nr) {
	case LKVM_TDVMCALL_GET_INFO:
		get_info(vcpu, call);
		return;
	case LKVM_TDVMCALL_GET_QUOTE:
		if (!quotes)
			break;
		call->ret = x86_tdx_quote(quotes, call->get_quote.gpa, call->get_quote.size);
		return;
	case LKVM_TDVMCALL_SETUP_EVENT_NOTIFY:
		if (!quotes)
			break;
		call->ret = x86_tdx_quote_notify(quotes, vcpu, call->setup_event_notify.vector);
		return;
	}
	call->ret = LKVM_TDVMCALL_UNSUPPORTED;
	guest_debug("vcpu %u: the guest's TDVMCALL 0x%llx is not offered", vcpu->id, call->nr);
}

/* Registers in KVM's order: 2 is RDX, 3 RBX, 6 RSI, 7 RDI, 8 to 15 are R8 to R15. */
#define RDX 2
#define RBX 3
#define RSI 6
#define RDI 7
#define R8  8
#define R9  9
#define R12 12
#define R13 13
#define R14 14
#define R15 15

#define HAS_TEXT   BIT_ULL(63) /* of R12: R13 is the address of more text */
#define TEXT_MAX   256U
#define GPA_SHARED BIT_ULL(X86_TDX_GPA_BITS - 1)

/* What can be printed of it, up to its end. */
static void add_text(char *out, size_t room, const u8 *text, size_t len)
{
	size_t at = strlen(out);

	for (size_t i = 0; i < len && text[i] && at + 1 < room; i++)
		out[at++] = text[i] >= 0x20 && text[i] < 0x7f ? (char)text[i] : '.';
	out[at] = '\0';
}

/* GHCI 1.5, 3.4: TDG.VP.VMCALL<ReportFatalError>. */
static int fatal(struct vcpu *vcpu)
{
	static const u8 order[] = { R14, R15, RBX, RDI, RSI, R8, R9, RDX };
	const __u64 *data = (const void *)vcpu->run->system_event.data;
	char text[64 + TEXT_MAX + 1] = "";
	u8 words[8 * sizeof(order)], more[TEXT_MAX];

	for (size_t i = 0; i < sizeof(order); i++)
		put_le(words + 8 * i, 8, data[order[i]]);
	add_text(text, sizeof(text), words, sizeof(words));
	if (data[R12] & HAS_TEXT &&
	    !memory_read(&vcpu->vm->mem, data[R13] & ~GPA_SHARED, more, sizeof(more)))
		add_text(text, sizeof(text), more, sizeof(more));
	err("vcpu %u: the trust domain ends: error 0x%x%s%s", vcpu->id, (u32)data[R12],
	    *text ? ": " : "", text);
	vm_request_stop(vcpu->vm, VM_STOP_TERMINATED, 0, (s32)vcpu->id);
	return 0;
}

int x86_tdx_exit(struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_HYPERCALL:
		return coco_map_gpa(vcpu);
	case KVM_EXIT_MEMORY_FAULT:
		return coco_memory_fault(vcpu);
	case KVM_EXIT_TDX:
		tdvmcall(vcpu);
		return 0;
	case KVM_EXIT_SYSTEM_EVENT:
		if (run->system_event.type == KVM_SYSTEM_EVENT_TDX_FATAL &&
		    run->system_event.ndata == 16)
			return fatal(vcpu);
		return -ENOTSUP;
	}
	return -ENOTSUP;
}
