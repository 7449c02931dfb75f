/* SPDX-License-Identifier: MIT */
/* Exits of every arm64 guest (Linux api.rst, 5). */
#include <poll.h>

#include "arm.h"

/* mmio gpa=A len=N [write] [data=D]: an access to what is no memory. */
int arm_exit_mmio(struct model_vcpu *vcpu, const struct model_words *words, int *error)
{
	struct kvm_run *run = vcpu->run;
	u64 len = model_word_number(words, "len", 4), gpa = model_word_number(words, "gpa", 0);

	if (len != 1 && len != 2 && len != 4 && len != 8)
		return model_script_error(words, "len is 1, 2, 4 or 8");
	if (model_find_slot(vcpu->vm, gpa))
		return model_script_error(words, "0x%llx is memory", gpa);
	run->exit_reason = KVM_EXIT_MMIO;
	run->mmio.phys_addr = gpa;
	run->mmio.len = (u32)len;
	run->mmio.is_write = model_word(words, "write");
	put_le(run->mmio.data, 8, model_word_number(words, "data", 0));
	return 0;
}

static int event(struct model_vcpu *vcpu, u32 type)
{
	vcpu->run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
	vcpu->run->system_event.type = type;
	return 0;
}

int arm_exit_off(struct model_vcpu *vcpu, const struct model_words *words, int *error)
{
	return event(vcpu, KVM_SYSTEM_EVENT_SHUTDOWN);
}

int arm_exit_reset(struct model_vcpu *vcpu, const struct model_words *words, int *error)
{
	return event(vcpu, KVM_SYSTEM_EVENT_RESET);
}

/* The guest sleeps until lkvm wants this vcpu back: for a test that asks something meanwhile. */
int arm_exit_wait(struct model_vcpu *vcpu, const struct model_words *words, int *error)
{
	model_log("\"waits\": true, \"vm\": %u, \"vcpu\": %u", vcpu->vm->number, vcpu->index);
	pthread_mutex_unlock(&model_lock);
	while (!__atomic_load_n(&vcpu->run->immediate_exit, __ATOMIC_SEQ_CST))
		if (poll(NULL, 0, 10) < 0)
			break;
	pthread_mutex_lock(&model_lock);
	vcpu->run->exit_reason = KVM_EXIT_INTR;
	*error = -EINTR;
	return 0;
}

/* What no word can cause on arm64 has no number: a reason that KVM never gave. */
int arm_exit_unknown(struct model_vcpu *vcpu, const struct model_words *words, int *error)
{
	vcpu->run->exit_reason = KVM_EXIT_UNKNOWN;
	return 0;
}

const char *arm_file(const char *path)
{
	return strcmp(path, ARM_OSRELEASE) ? NULL : "7.3.0\n";
}

static const struct model_exit_kind exits[] = {
	ARM_EXITS,
	{ NULL, NULL, NULL },
};

const struct model_kind model_arm64 = {
	.name = "arm64",
	.help = "an ordinary host of Linux 7.3 without confidential guests",
	.option = arm_option,
	.exits = exits,
	.file = arm_file,
};
