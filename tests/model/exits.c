/* SPDX-License-Identifier: MIT */
/* Exits that several kinds know, and the kind that has no others: an ordinary host. */
#include "model.h"

u64 model_run_get(const struct model_vcpu *vcpu, u32 offset)
{
	u64 value;

	memcpy(&value, (const u8 *)vcpu->run + offset, sizeof(value));
	return value;
}

void model_run_set(struct model_vcpu *vcpu, u32 offset, u64 value)
{
	memcpy((u8 *)vcpu->run + offset, &value, sizeof(value));
}

static int say_fault(struct model_vcpu *vcpu)
{
	vcpu->run->exit_reason = KVM_EXIT_MEMORY_FAULT;
	model_run_set(vcpu, 32, vcpu->fault[0]);
	model_run_set(vcpu, 40, vcpu->fault[1]);
	model_run_set(vcpu, 48, vcpu->fault[2]);
	if (++vcpu->faults == 3)
		model_broken(0, "vcpu %u: the third equal memory fault in a row, at 0x%llx",
			     vcpu->index, vcpu->fault[1]);
	return -EFAULT;
}

int model_fill_fault(struct model_vcpu *vcpu, const struct model_words *words, int *error)
{
	u64 fault[3] = { 0, model_word_number(words, "gpa", 0),
			 model_word_number(words, "size", MODEL_PAGE) };

	if (model_word(words, "private") == model_word(words, "shared"))
		return model_script_error(words, "a fault is private or shared");
	if (!MODEL_ALIGNED(fault[1] | fault[2]) || !fault[2])
		return model_script_error(words, "gpa and size are of whole pages");
	fault[0] = model_word(words, "private") ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;
	if (memcmp(fault, vcpu->fault, sizeof(fault)))
		vcpu->faults = 0;
	memcpy(vcpu->fault, fault, sizeof(fault));
	*error = say_fault(vcpu);
	if (model_word(words, "poison"))
		*error = -EHWPOISON;
	return 0;
}

/* The guest does the same access again. */
int model_complete_fault(struct model_vcpu *vcpu)
{
	const struct model_exit_kind *same = vcpu->vm->kind->exits;
	u64 gpa = vcpu->fault[1], end = gpa + vcpu->fault[2];
	const struct model_set *private = &vcpu->vm->private;
	bool done = vcpu->fault[0] ? model_set_has_all(private, gpa, end)
				   : !model_set_has_any(private, gpa, end);

	model_log("\"answer\": \"fault\", \"converted\": %s, \"kept\": %llu",
		  done ? "true" : "false", model_resident(vcpu->vm, gpa, end, !vcpu->fault[0]));
	if (vcpu->faults >= 3)
		return 0;
	if (done) {
		vcpu->faults = 0;
		return 0;
	}
	while (same->complete != model_complete_fault)
		same++;
	vcpu->exits = same;
	return say_fault(vcpu);
}

int model_fill_event(struct model_vcpu *vcpu, const struct model_words *words, int *error)
{
	vcpu->run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
	vcpu->run->system_event.type = (u32)model_word_number(words, "type", 0);
	vcpu->run->system_event.ndata = model_word(words, "data");
	model_run_set(vcpu, 40, model_word_number(words, "data", 0));
	return 0;
}

int model_fill_shutdown(struct model_vcpu *vcpu, const struct model_words *words, int *error)
{
	vcpu->run->exit_reason = KVM_EXIT_SHUTDOWN;
	return 0;
}

int model_fill_fail(struct model_vcpu *vcpu, const struct model_words *words, int *error)
{
	vcpu->run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	model_run_set(vcpu, 32, model_word_number(words, "reason", 0));
	return 0;
}

int model_fill_internal(struct model_vcpu *vcpu, const struct model_words *words, int *error)
{
	vcpu->run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
	model_run_set(vcpu, 32, model_word_number(words, "suberror", 3));
	return 0;
}

int model_fill_error(struct model_vcpu *vcpu, const struct model_words *words, int *error)
{
	*error = -(int)model_word_number(words, "err", EIO);
	vcpu->run->exit_reason = KVM_EXIT_UNKNOWN;
	return 0;
}

static const struct model_exit_kind exits[] = {
	{ "fault", model_fill_fault, NULL },
	{ "event", model_fill_event, NULL },
	{ "shutdown", model_fill_shutdown, NULL },
	{ "fail", model_fill_fail, NULL },
	{ "internal", model_fill_internal, NULL },
	{ "error", model_fill_error, NULL },
	{ NULL, NULL, NULL },
};

const struct model_kind model_plain = {
	.name = "plain",
	.help = "a host without confidential guests",
	.exits = exits,
};
