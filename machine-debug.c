/* SPDX-License-Identifier: MIT */
/* What a machine can be asked for to see where its guest hangs: registers, NMI, SysRq. */
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/arch.h"
#include "lkvm/vcpu.h"
#include "machine-control.h"

/* How long a guest has to read what came before a SysRq key. */
#define SYSRQ_MS 5000

/* The vcpu that the argument "cpu" names in *first, and how many: all without it. */
static int take_cpus(struct control_call *call, const struct machine *m, u32 *first, u32 *nr)
{
	const struct json *cpu = control_arg(call, "cpu");

	*first = 0;
	*nr = m->vm.nr_vcpus;
	if (!cpu)
		return 0;
	if (cpu->number >= m->vm.nr_vcpus)
		return control_fail(call, "bad-argument",
				    "there is no vcpu %llu; the last one is %u", cpu->number,
				    m->vm.nr_vcpus - 1);
	*first = (u32)cpu->number;
	*nr = 1;
	return 0;
}

const struct control_arg machine_registers_args[] = {
	{ "cpu", JSON_NUMBER, false, "the vcpu; all without it" },
	{ 0 },
};

static void put_vcpu(struct json_out *out, struct vcpu *vcpu)
{
	char *text = NULL;
	size_t len = 0;
	FILE *file = open_memstream(&text, &len);

	if (file) {
		arch_vcpu_dump(vcpu, file);
		fclose(file);
	}
	json_open(out, NULL, '{');
	json_put_u64(out, "cpu", vcpu->id);
	json_put_text(out, "text", text ? text : "");
	json_close(out, '}');
	free(text);
}

int machine_run_registers(struct control_call *call, void *opaque)
{
	struct machine *m = opaque;
	u32 first, nr;
	int ret = take_cpus(call, m, &first, &nr);

	if (ret)
		return ret;
	/* vcpus are parked while they are looked at. Who holds the machine keeps it. */
	vm_pause(&m->vm);
	json_open(call->result, "vcpus", '[');
	for (u32 i = first; i < first + nr; i++)
		put_vcpu(call->result, m->vm.vcpus[i]);
	json_close(call->result, ']');
	vm_resume(&m->vm);
	return 0;
}

const struct control_arg machine_nmi_args[] = {
	{ "cpu", JSON_NUMBER, true, "the vcpu" },
	{ 0 },
};

int machine_run_nmi(struct control_call *call, void *opaque)
{
	struct machine *m = opaque;
	u32 first, nr;
	int ret = take_cpus(call, m, &first, &nr);

	if (ret)
		return ret;
	vm_pause(&m->vm);
	ret = arch_vcpu_nmi(m->vm.vcpus[first]);
	vm_resume(&m->vm);
	if (ret == -ENOTSUP)
		return control_fail(call, "unsupported", "%s has no non-maskable interrupt",
				    arch_platform.name);
	if (ret < 0)
		return control_fail(call, "failed", "KVM gives no NMI: %s", strerror(-ret));
	return 0;
}

const struct control_arg machine_sysrq_args[] = {
	{ "key", JSON_STRING, true, "a letter or digit; Linux lists them for 'h'" },
	{ 0 },
};

static int sysrq_again(struct machine_wait *w, bool last)
{
	const struct vm_sysrq *sysrq = &w->m->vm.sysrq;
	int ret = sysrq->send ? sysrq->send(sysrq->opaque, (u8)w->data) : -ENOTSUP;

	if (ret == -ENOTSUP)
		return control_fail(w->call, "unsupported", "no console of this machine has SysRq");
	if (ret && last)
		return control_fail(w->call, "failed",
				    "the guest does not read its console, which the key goes to");
	return ret;
}

int machine_run_sysrq(struct control_call *call, void *opaque)
{
	struct machine *m = opaque;
	const char *key = json_text(control_arg(call, "key"), "");
	bool ok = *key && !key[1] &&
		  ((*key >= '0' && *key <= '9') || (*key >= 'a' && *key <= 'z') ||
		   (*key >= 'A' && *key <= 'Z'));

	if (!ok)
		return control_fail(call, "bad-argument",
				    "sysrq: 'key' must be a letter or a digit");
	if (vm_holders(&m->vm))
		return control_fail(call, "paused", "the machine is %s; let it go on first",
				    machine_state(m));
	return machine_wait(m, call, sysrq_again, (u8)*key, SYSRQ_MS);
}
