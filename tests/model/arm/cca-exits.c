/* SPDX-License-Identifier: MIT */
/*
 * Exits of realms. Beside those of every guest:
 *
 *   ripas ram|empty gpa=A [size=S]  the realm changes a range: KVM_EXIT_MEMORY_FAULT with EFAULT
 *   fault private|shared gpa=A      it uses a page as what it is not
 *   psci fn=F [x1=V] [x2=V] [x3=V]  a call that the SMCCC filter hands out
 */
#include <linux/psci.h>

#include "cca.h"

#define PSCI_CPU_ON	   0xc4000003ULL
#define PSCI_AFFINITY_INFO 0xc4000004ULL

static u64 half(const struct model_vm *vm)
{
	return 1ULL << (arm_vm(vm)->ipa_bits - 1);
}

static int fill_ripas(struct model_vcpu *vcpu, const struct model_words *words, int *error)
{
	u64 gpa = model_word_number(words, "gpa", 0);
	u64 size = model_word_number(words, "size", MODEL_PAGE);
	bool ram = model_word(words, "ram");

	if (ram == model_word(words, "empty"))
		return model_script_error(words, "it becomes ram or empty");
	if (!MODEL_ALIGNED(gpa | size) || !size || gpa + size < gpa || gpa >= half(vcpu->vm))
		return model_script_error(words, "whole pages, from the protected half on");
	*error = gpa + size > half(vcpu->vm) ? -EINVAL : -EFAULT;
	if (*error == -EINVAL)
		return 0;
	vcpu->run->exit_reason = KVM_EXIT_MEMORY_FAULT;
	model_run_set(vcpu, 32, ram ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0);
	model_run_set(vcpu, 40, gpa);
	model_run_set(vcpu, 48, size);
	vcpu->preset[0] = gpa;
	vcpu->preset[1] = size;
	vcpu->preset[2] = ram;
	model_set_remove(&cca_realm(vcpu->vm)->punched, gpa, gpa + size);
	return 0;
}

/* KVM commits the change now: what it finds is what the VMM made of the range. */
static int complete_ripas(struct model_vcpu *vcpu)
{
	const struct cca_realm *realm = cca_realm(vcpu->vm);
	u64 gpa = vcpu->preset[0], size = vcpu->preset[1];
	bool ram = vcpu->preset[2];

	if (!size)
		return 0;
	if (cca_has_attributes(vcpu->vm, gpa) && !cca_are_all(vcpu->vm, gpa, size, ram))
		model_broken(0, "0x%llx at 0x%llx becomes %s: it was not made %s", size, gpa,
			     ram ? "RAM" : "empty", ram ? "private" : "shared");
	if (!ram && !model_set_has_all(&realm->punched, gpa, gpa + size))
		model_broken(0,
			     "0x%llx at 0x%llx becomes empty: the private copy was not given back",
			     size, gpa);
	return 0;
}

static int fill_fault(struct model_vcpu *vcpu, const struct model_words *words, int *error)
{
	vcpu->preset[0] = model_word_number(words, "gpa", 0);
	vcpu->preset[1] = MODEL_PAGE;
	vcpu->preset[2] = model_word(words, "private");
	return model_fill_fault(vcpu, words, error);
}

/* The guest's access is made again at once. */
static int complete_fault(struct model_vcpu *vcpu)
{
	u64 gpa = vcpu->preset[0];
	bool private = vcpu->preset[2];

	if (cca_has_attributes(vcpu->vm, gpa) && !cca_are_all(vcpu->vm, gpa, MODEL_PAGE, private))
		model_broken(0, "0x%llx is accessed as %s again: it was not converted", gpa,
			     private ? "private" : "shared");
	return 0;
}

/* api.rst, KVM_EXIT_HYPERCALL. */
static int fill_psci(struct model_vcpu *vcpu, const struct model_words *words, int *error)
{
	static const char *const names[] = { "x1", "x2", "x3" };
	u64 fn = model_word_number(words, "fn", 0);

	if (!arm_vm(vcpu->vm)->smccc_to_user)
		return model_script_error(words, "the SMCCC filter hands nothing out");
	vcpu->run->exit_reason = KVM_EXIT_HYPERCALL;
	vcpu->run->hypercall.nr = fn;
	arm_reg_put(vcpu, ARM_REG_X0, fn);
	for (u64 i = 0; i < MODEL_ARRAY(names); i++)
		arm_reg_put(vcpu, ARM_REG_X0 + 2 * (i + 1), model_word_number(words, names[i], 0));
	if (fn == PSCI_CPU_ON || fn == PSCI_AFFINITY_INFO)
		vcpu->feature_bits |= CCA_PSCI_PENDING;
	return 0;
}

/* The RMM looks at the other REC itself, which the VMM has to name. */
static int complete_psci(struct model_vcpu *vcpu)
{
	if (vcpu->feature_bits & CCA_PSCI_PENDING && cca_host.gen->psci)
		model_broken(0, "vcpu %u runs on: its PSCI call was not completed", vcpu->id);
	vcpu->feature_bits &= ~(u32)CCA_PSCI_PENDING;
	return 0;
}

const struct model_exit_kind cca_exits[] = {
	{ "ripas", fill_ripas, complete_ripas },
	{ "fault", fill_fault, complete_fault },
	{ "psci", fill_psci, complete_psci },
	ARM_EXITS,
	{ NULL, NULL, NULL },
};
