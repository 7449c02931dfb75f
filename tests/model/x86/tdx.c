/* SPDX-License-Identifier: MIT */
/* TDX: what the host offers, INIT_VM, and what a TD's VM and vcpus refuse (see tdx.h). */
#include "tdx.h"

#include <stdlib.h>

#include "coco.h"
#include "kinds.h"

#define SEPT_VE_DISABLE (1ULL << 28)
#define X2APIC		(1U << 21)

struct tdx_settings tdx = {
	.attrs = SEPT_VE_DISABLE,
	.xfam = 0x602e7,
	.keys = 31,
	.cpus = 16,
	.offered = true,
	.five_levels = true,
};

struct tdx_vcpu *tdx_vcpu(struct model_vcpu *vcpu)
{
	if (!vcpu->kind_state) {
		vcpu->kind_state = calloc(1, sizeof(struct tdx_vcpu));
		if (!vcpu->kind_state)
			abort();
	}
	return vcpu->kind_state;
}

static bool is_off(const char *name, const char *value)
{
	if (!value || (strcmp(value, "on") && strcmp(value, "off")))
		model_usage("LKVM_MODEL: %s is on or off", name);
	return value[1] == 'f';
}

static bool tdx_option(const char *name, const char *value)
{
	if (!strcmp(name, "attributes"))
		tdx.attrs = model_number(name, value);
	else if (!strcmp(name, "xfam"))
		tdx.xfam = model_number(name, value);
	else if (!strcmp(name, "keys"))
		tdx.keys = (u32)model_number(name, value);
	else if (!strcmp(name, "cpus"))
		tdx.cpus = (u32)model_number(name, value);
	else if (!strcmp(name, "tdx"))
		tdx.offered = !is_off(name, value);
	else if (!strcmp(name, "ept5"))
		tdx.five_levels = !is_off(name, value);
	else if (!strcmp(name, "lax") && !value)
		tdx.lax = true;
	else
		return false;
	return true;
}

static long tdx_system(struct model_call *c)
{
	if (tdx.offered)
		return x86_coco_system(c, TDX_VM_TYPE);
	return c->request == KVM_CHECK_EXTENSION && c->arg == KVM_CAP_VM_TYPES ? 1 : MODEL_PASS;
}

static long tdx_create(struct model_vm *vm, u64 type)
{
	struct tdx_vm *td;

	if (!type)
		return MODEL_PASS;
	if (type != TDX_VM_TYPE || !tdx.offered)
		return model_refused(-EINVAL, "KVM_CREATE_VM: no VMs of type %llu", type);
	td = calloc(1, sizeof(*td));
	if (!td)
		abort();
	model_sha_start(&td->mrtd, 384);
	vm->kind_state = td;
	vm->gmem_flags = GUEST_MEMFD_FLAG_MMAP;
	return 0;
}

static long capabilities(struct model_call *c, const struct tdx_cmd *cmd)
{
	struct tdx_caps caps = { .attrs = tdx.attrs, .xfam = tdx.xfam, .user_r11 = 2 };
	long ret;

	if (cmd->flags)
		return model_broken(-EINVAL, "TDX_CAPABILITIES: flags 0x%x", cmd->flags);
	ret = tdx_write_caps(cmd->data, sizeof(caps));
	return ret ? ret : model_write(cmd->data, &caps, sizeof(caps));
}

static long check_params(const struct model_vm *vm, const struct tdx_params *p,
			 const struct kvm_cpuid2 *head)
{
	for (u32 i = 0; i < MODEL_ARRAY(p->reserved); i++)
		if (p->reserved[i])
			return model_broken(-EINVAL, "INIT_VM: reserved[%u] is not 0", i);
	if (head->padding)
		return model_broken(-EINVAL, "INIT_VM: cpuid.padding is not 0");
	if (vm->nr_vcpus)
		return model_broken(-EBUSY, "INIT_VM after a vcpu was made");
	if (p->attributes & ~tdx.attrs)
		return model_refused(-EINVAL, "INIT_VM: attributes 0x%llx, this host has 0x%llx",
				     p->attributes, tdx.attrs);
	if (p->xfam & ~tdx.xfam)
		return model_refused(-EINVAL, "INIT_VM: xfam 0x%llx, this host has 0x%llx", p->xfam,
				     tdx.xfam);
	return 0;
}

static long take_cpuid(struct tdx_vm *td, u64 at, u32 n, u64 *hw_error)
{
	struct kvm_cpuid_entry2 *all = calloc(n + 1U, sizeof(*all));
	long ret = -EFAULT;

	if (!all)
		abort();
	if (!model_read(all, at, n * sizeof(*all)))
		ret = tdx_take_cpuid(td, all, n, hw_error);
	free(all);
	return ret;
}

static long init_vm(struct model_call *c, struct tdx_cmd *cmd)
{
	struct tdx_vm *td = tdx_vm(c->vm);
	struct tdx_params p;
	struct kvm_cpuid2 head;
	long ret;

	if (td->state != TD_UNINITIALIZED)
		return model_broken(-EINVAL, "INIT_VM again");
	if (cmd->flags)
		return model_broken(-EINVAL, "INIT_VM: flags 0x%x", cmd->flags);
	if (model_read(&p, cmd->data, sizeof(p)) ||
	    model_read(&head, cmd->data + sizeof(p), sizeof(head)))
		return model_broken(-EFAULT, "INIT_VM: data is not readable");
	model_note(c, "attributes", "\"0x%llx\"", p.attributes);
	model_note(c, "xfam", "\"0x%llx\"", p.xfam);
	model_note(c, "leaves", "%u", head.nent);
	if (head.nent > TDX_MAX_CPUIDS)
		return model_broken(-E2BIG, "INIT_VM: %u leaves of CPUID", head.nent);
	ret = check_params(c->vm, &p, &head);
	if (!ret)
		ret = take_cpuid(td, cmd->data + sizeof(p) + sizeof(head), head.nent,
				 &cmd->hw_error);
	if (ret)
		return ret;
	if (c->fault.err) {
		cmd->hw_error = c->fault.fw;
		return model_fail(c);
	}
	if (!tdx.keys)
		return model_refused(-ENOSPC, "INIT_VM: no key id is left");
	td->params = p;
	td->tsc_25mhz =
		(u32)((x86_vm(c->vm)->tsc_khz ? x86_vm(c->vm)->tsc_khz : X86_TSC_KHZ) / 25000);
	td->state = TD_INITIALIZED;
	model_note(c, "tsc_25mhz", "%u", td->tsc_25mhz);
	return 0;
}

static long vm_command(struct model_call *c, struct tdx_cmd *cmd)
{
	switch (cmd->id) {
	case TDX_INIT_VM:
		return init_vm(c, cmd);
	case TDX_FINALIZE_VM:
		return tdx_finalize(c);
	}
	return MODEL_PASS;
}

static long read_cmd(const struct model_call *c, struct tdx_cmd *cmd)
{
	if (model_read(cmd, c->arg, sizeof(*cmd)))
		return -EFAULT;
	if (cmd->hw_error)
		return model_broken(-EINVAL, "TDX command %u: hw_error is not 0", cmd->id);
	return 0;
}

/* tdx_vm_ioctl: what the caller gave comes back with hw_error, also on failure. */
static long vm_op(struct model_call *c)
{
	struct tdx_cmd cmd;
	long ret = read_cmd(c, &cmd);

	if (ret)
		return ret;
	if (cmd.id == TDX_CAPABILITIES)
		return capabilities(c, &cmd);
	ret = vm_command(c, &cmd);
	if (ret == MODEL_PASS)
		return model_broken(-EINVAL, "TDX command %u of the VM is unknown", cmd.id);
	return model_write(c->arg, &cmd, sizeof(cmd)) ? -EFAULT : ret;
}

static long create_vcpu(const struct model_call *c)
{
	if (tdx_vm(c->vm)->state != TD_INITIALIZED)
		return model_broken(-EIO, "KVM_CREATE_VCPU before INIT_VM or after FINALIZE_VM");
	if (!c->vm->split_irqchip)
		return model_broken(-EINVAL, "KVM_CREATE_VCPU without a split irqchip");
	if (c->vm->nr_vcpus >= tdx.cpus)
		return model_refused(-EINVAL, "KVM_CREATE_VCPU: at most %u vcpus", tdx.cpus);
	return MODEL_PASS;
}

static long tdx_vm_call(struct model_call *c)
{
	switch (c->request) {
	case X86_MEMORY_ENCRYPT_OP:
		return vm_op(c);
	case KVM_CREATE_IRQCHIP:
		return model_broken(-ENOTTY, "KVM_CREATE_IRQCHIP: a TD has a split one");
	case KVM_CREATE_VCPU:
		return create_vcpu(c);
	case KVM_CHECK_EXTENSION:
		if (c->arg == KVM_CAP_MAX_VCPUS)
			return tdx.cpus;
	}
	return x86_coco_vm(c, TDX_VM_TYPE);
}

static long init_vcpu(struct model_call *c, const struct tdx_cmd *cmd)
{
	struct tdx_vcpu *v = tdx_vcpu(c->vcpu);
	const struct kvm_cpuid_entry2 *features = x86_cpuid_entry(x86_state(c->vcpu), 1, 0);

	if (tdx_vm(c->vm)->state != TD_INITIALIZED)
		return model_broken(-EINVAL, "INIT_VCPU before INIT_VM or after FINALIZE_VM");
	if (cmd->flags)
		return model_broken(-EINVAL, "INIT_VCPU: flags 0x%x", cmd->flags);
	if (v->ready)
		return model_broken(-EINVAL, "INIT_VCPU again");
	if (!features || !(features->ecx & X2APIC))
		return model_broken(-EINVAL, "INIT_VCPU: the vcpu's CPUID has no x2APIC");
	model_note(c, "rcx", "\"0x%llx\"", cmd->data);
	v->ready = true;
	v->rcx = cmd->data;
	x86_state(c->vcpu)->mp_state = KVM_MP_STATE_RUNNABLE;
	return 0;
}

static long get_cpuid(const struct model_call *c, const struct tdx_cmd *cmd)
{
	if (tdx_vm(c->vm)->state != TD_INITIALIZED)
		return model_broken(-EINVAL, "GET_CPUID before INIT_VM or after FINALIZE_VM");
	return tdx_get_cpuid(tdx_vm(c->vm), cmd->data);
}

/* Nothing is written back. */
static long vcpu_op(struct model_call *c)
{
	struct tdx_cmd cmd;
	long ret = read_cmd(c, &cmd);

	if (ret)
		return ret;
	switch (cmd.id) {
	case TDX_INIT_VCPU:
		return init_vcpu(c, &cmd);
	case TDX_INIT_MEM_REGION:
		return tdx_init_mem_region(c, &cmd);
	case TDX_GET_CPUID:
		return get_cpuid(c, &cmd);
	}
	return model_broken(-EINVAL, "TDX command %u of a vcpu is unknown", cmd.id);
}

/* tdx_has_emulated_msr: the module has the others. */
static bool has_msr(u32 i)
{
	static const u32 known[] = { 0x1b,  0x3a, 0x8b,	 0xfe,	0x10a, 0x140, 0x179, 0x17a,
				     0x17b, 0xce, 0x1a0, 0x1fc, 0x277, 0x2ff, 0x6e0, 0xc0000080 };

	for (u32 k = 0; k < MODEL_ARRAY(known); k++)
		if (known[k] == i)
			return true;
	return (i >= 0x200 && i < 0x210) || (i >= 0x250 && i < 0x270) ||
	       (i >= 0x4b564d00 && i < 0x4b564d08);
}

static long tdx_vcpu_call(struct model_call *c)
{
	x86_state(c->vcpu)->has_msr = has_msr;
	if (x86_is_protected_state(c->request))
		return model_refused(-EINVAL, "%s of a protected vcpu", c->name);
	switch (c->request) {
	case X86_MEMORY_ENCRYPT_OP:
		return vcpu_op(c);
	case KVM_SET_TSC_KHZ:
		return model_broken(-EINVAL, "KVM_SET_TSC_KHZ of a TD's vcpu");
	case X86_PRE_FAULT_MEMORY:
		return x86_coco_prefault(c, tdx_vm(c->vm)->state == TD_RUNNABLE);
	}
	return MODEL_PASS;
}

static long enter(struct model_vcpu *vcpu)
{
	const struct tdx_vm *td = tdx_vm(vcpu->vm);

	if (!tdx_vcpu(vcpu)->ready || td->state != TD_RUNNABLE)
		return model_broken(-EINVAL, "KVM_RUN before INIT_VCPU or FINALIZE_VM");
	if (tdx_vcpu(vcpu)->ended && !vcpu->run->immediate_exit)
		model_broken(0, "KVM_RUN of a TD that came to its end");
	return 0;
}

static void convert(struct model_vm *vm, u64 gpa, u64 size, bool private)
{
	if (!private)
		model_set_remove(&tdx_vm(vm)->added, gpa, gpa + size);
}

static const char *name_call(const struct model_call *c)
{
	static const char *const names[] = { "TDX_CAPABILITIES", "TDX_INIT_VM",
					     "TDX_INIT_VCPU",	 "TDX_INIT_MEM_REGION",
					     "TDX_FINALIZE_VM",	 "TDX_GET_CPUID" };
	u32 id;

	if (c->request != X86_MEMORY_ENCRYPT_OP || model_read(&id, c->arg, sizeof(id)))
		return NULL;
	return id < MODEL_ARRAY(names) ? names[id] : "TDX_UNKNOWN";
}

static const char *file(const char *path)
{
	if (!strcmp(path, "/dev/sev"))
		return "";
	if (!strcmp(path, "/sys/module/kvm_intel"))
		return "dir";
	if (!strcmp(path, "/sys/module/kvm_intel/parameters/tdx"))
		return tdx.offered ? "Y\n" : "N\n";
	if (!strcmp(path, "/sys/fs/cgroup/misc.capacity"))
		return "tdx 31\n";
	return NULL;
}

static const struct model_failure failures[] = {
	{ "TDX_INIT_VM", { EINVAL, ENOSPC, EAGAIN }, true },
	{ "TDX_INIT_MEM_REGION", { EINTR, EAGAIN, ENOMEM, EIO }, false },
	{ "TDX_FINALIZE_VM", { EBUSY }, false },
	{ NULL, { 0 }, false },
};

const struct model_kind model_tdx = {
	.name = "tdx",
	.help = "Intel TDX, Linux 7.3; attributes=MASK, xfam=MASK, keys=N, cpus=N, ept5=on|off, "
		"lax",
	.option = tdx_option,
	.create = tdx_create,
	.name_call = name_call,
	.system = tdx_system,
	.vm = tdx_vm_call,
	.vcpu = tdx_vcpu_call,
	.convert = convert,
	.slot = x86_coco_slot,
	.enter = enter,
	.exits = tdx_exits,
	.failures = failures,
	.file = file,
};
