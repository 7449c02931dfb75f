/* SPDX-License-Identifier: MIT */
/* Exits of a TD that the script may ask for, and what a VMM may answer (GHCI 2.0). */
#include "coco.h"
#include "tdx.h"

#define EXIT_TDX    40
#define GET_INFO    0x10000
#define GET_QUOTE   0x10002
#define SET_NOTIFY  0x10004
#define UNSUPPORTED 0x8000000000000003ULL
#define REPORT_LEN  1024

static void begin(struct model_vcpu *vcpu, u64 nr, u64 ret)
{
	vcpu->run->exit_reason = EXIT_TDX;
	model_run_set(vcpu, 40, nr);
	model_run_set(vcpu, 48, ret);
	vcpu->preset[0] = nr;
}

static u8 *shared_at(const struct model_vm *vm, u64 gpa, u64 size)
{
	const struct model_slot *slot = model_find_slot(vm, gpa);

	if (!slot || size > slot->size || gpa - slot->gpa > slot->size - size ||
	    model_set_has_any(&vm->private, gpa, gpa + size))
		return NULL;
	return model_pointer(slot->hva + (gpa - slot->gpa));
}

/* A request as a guest writes it: version, status, length in and out, the report. */
struct quote_head {
	u64 version, status;
	u32 in_len, out_len;
};

/* "quote" gpa=A size=S [raw]: with raw, or in private memory, the buffer stays as it is. */
static int fill_quote(struct model_vcpu *vcpu, const struct model_words *words, int *error)
{
	u64 gpa = model_word_number(words, "gpa", 0), size = model_word_number(words, "size", 8192);
	struct quote_head head = { .version = 1, .in_len = REPORT_LEN };
	u8 *buf, report[REPORT_LEN];

	if (!MODEL_ALIGNED(gpa | size) || !size)
		return model_script_error(words, "KVM takes whole pages alone");
	begin(vcpu, GET_QUOTE, UNSUPPORTED);
	model_run_set(vcpu, 56, gpa);
	model_run_set(vcpu, 64, size);
	vcpu->preset[1] = gpa;
	vcpu->preset[2] = size;
	buf = shared_at(vcpu->vm, gpa, size);
	if (!buf || model_word(words, "raw"))
		return 0;
	for (u32 i = 0; i < REPORT_LEN; i++)
		report[i] = (u8)(i * 7);
	model_write((u64)(uintptr_t)buf, &head, sizeof(head));
	model_write((u64)(uintptr_t)buf + sizeof(head), report, sizeof(report));
	return 0;
}

static int fill_info(struct model_vcpu *vcpu, const struct model_words *words, int *error)
{
	begin(vcpu, GET_INFO, 0);
	model_run_set(vcpu, 56, 1);
	return 0;
}

static int fill_notify(struct model_vcpu *vcpu, const struct model_words *words, int *error)
{
	u64 vector = model_word_number(words, "vector", 32);

	if (vector < 32 || vector > 255)
		return model_script_error(words, "a vector is 32 to 255");
	begin(vcpu, SET_NOTIFY, UNSUPPORTED);
	model_run_set(vcpu, 56, vector);
	return 0;
}

static void tell_quote(const struct model_vcpu *vcpu, u64 ret)
{
	u64 gpa = vcpu->preset[1], size = vcpu->preset[2];
	const u8 *buf = shared_at(vcpu->vm, gpa, size);
	struct quote_head head = { 0 };

	if (!ret && !buf)
		model_broken(0, "GetQuote at 0x%llx was answered 0, but it is not shared memory",
			     gpa);
	if (buf && !model_read(&head, (u64)(uintptr_t)buf, sizeof(head)) && !ret &&
	    head.out_len > size - sizeof(head))
		model_broken(0, "GetQuote: %u bytes in a buffer of %llu", head.out_len, size);
	model_log("\"answer\": \"quote\", \"ret\": \"0x%llx\", \"status\": \"0x%llx\", "
		  "\"out_len\": %u",
		  ret, head.status, head.out_len);
}

static int complete_call(struct model_vcpu *vcpu)
{
	u64 ret = model_run_get(vcpu, 48), nr = vcpu->preset[0];
	bool legal = ret <= 1 || ret == 0x8000000000000000ULL || ret == 0x8000000000000002ULL ||
		     ret == UNSUPPORTED;

	if (!legal)
		model_broken(0, "TDVMCALL 0x%llx is answered 0x%llx", nr, ret);
	if (nr == GET_QUOTE)
		tell_quote(vcpu, ret);
	else
		model_log("\"answer\": \"tdvmcall\", \"nr\": \"0x%llx\", \"ret\": \"0x%llx\"", nr,
			  ret);
	return 0;
}

/* "fatal" [code=C] [gpa=A] [text]: ReportFatalError; the registers that hold the text stand in
 * this order (GHCI 2.0, 3.4), each in KVM's place. */
static int fill_fatal(struct model_vcpu *vcpu, const struct model_words *words, int *error)
{
	static const u8 order[] = { 14, 15, 3, 7, 6, 8, 9, 2 };
	char text[64] = "";

	if (model_word(words, "text"))
		memcpy(text, "the guest's last words fill these registers, all but the end", 60);
	vcpu->run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
	vcpu->run->system_event.type = 7;
	vcpu->run->system_event.ndata = 16;
	for (u32 i = 0; i < MODEL_ARRAY(order); i++) {
		u64 word;

		memcpy(&word, text + 8 * (size_t)i, sizeof(word));
		model_run_set(vcpu, 40 + 8U * order[i], word);
	}
	model_run_set(vcpu, 40 + 8 * 12, model_word_number(words, "code", 0));
	model_run_set(vcpu, 40 + 8 * 13, model_word_number(words, "gpa", 0));
	tdx_vcpu(vcpu)->ended = true;
	return 0;
}

/* "unaccepted": the guest touched private memory that it had not accepted. */
static int fill_unaccepted(struct model_vcpu *vcpu, const struct model_words *words, int *error)
{
	tdx_vcpu(vcpu)->ended = true;
	*error = -EIO;
	return 0;
}

const struct model_exit_kind tdx_exits[] = {
	{ "psc", x86_fill_map_range, x86_complete_map_range },
	{ "fault", model_fill_fault, model_complete_fault },
	{ "quote", fill_quote, complete_call },
	{ "info", fill_info, complete_call },
	{ "notify", fill_notify, complete_call },
	{ "fatal", fill_fatal, NULL },
	{ "unaccepted", fill_unaccepted, NULL },
	{ "shutdown", model_fill_shutdown, NULL },
	{ "fail", model_fill_fail, NULL },
	{ "internal", model_fill_internal, NULL },
	{ NULL, NULL, NULL },
};
