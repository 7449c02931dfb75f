/* SPDX-License-Identifier: MIT */
/* SEV-SNP: what the host offers, INIT2, and what a protected guest's VM refuses (see snp.h). */
#include "snp.h"

#include <stdio.h>
#include <stdlib.h>

#include "coco.h"
#include "kinds.h"

#define POLICY_MASK 0x1fbffffULL /* bits 0-16, 17, 19-24; 25 from firmware 1.58 */
#define PAGE_SWAP   (1ULL << 25)

#define SECURE_TSC (1ULL << 9)
#define HZ	   250

struct snp_settings snp = {
	.feature_mask = 1ULL << 5 | SECURE_TSC,
	.abi = 1 << 8 | 55,
	.smt = true,
	.rapl = true,
	.has_certs = true,
	.sockets = 1,
	.asids = 99,
	.offered = true,
	.has_dev = true,
};

struct snp_vcpu *snp_vcpu(struct model_vcpu *vcpu)
{
	if (!vcpu->kind_state) {
		vcpu->kind_state = calloc(1, sizeof(struct snp_vcpu));
		if (!vcpu->kind_state)
			abort();
	}
	return vcpu->kind_state;
}

static u32 version(const char *text)
{
	const char *dot = text ? strchr(text, '.') : NULL;
	char major[8] = "";

	if (!dot || dot - text > 6)
		model_usage("LKVM_MODEL: abi=MAJOR.MINOR");
	memcpy(major, text, (size_t)(dot - text));
	return (u32)(model_number("abi", major) << 8 | model_number("abi", dot + 1));
}

static bool on(const char *name, const char *value)
{
	if (!value || (strcmp(value, "on") && strcmp(value, "off")))
		model_usage("LKVM_MODEL: %s is on or off", name);
	return value[1] == 'n';
}

static bool cpuid_option(const char *value)
{
	static const char *const words[] = { "strict", "accept", "reject-once", "reject" };

	for (u32 i = 0; value && i < MODEL_ARRAY(words); i++) {
		if (strcmp(value, words[i]))
			continue;
		snp.cpuid = (__typeof__(snp.cpuid))i;
		return true;
	}
	return false;
}

static bool number_option(const char *name, const char *value)
{
	const struct {
		const char *name;
		u32 *to;
	} numbers[] = {
		{ "sockets", &snp.sockets },
		{ "asids", &snp.asids },
		{ "ratelimit", &snp.ratelimit_khz },
		{ "hiding-asids", &snp.hiding_asids },
	};

	for (u32 i = 0; i < MODEL_ARRAY(numbers); i++) {
		if (strcmp(name, numbers[i].name))
			continue;
		*numbers[i].to = (u32)model_number(name, value);
		return true;
	}
	return false;
}

static bool switch_option(const char *name, const char *value)
{
	const struct {
		const char *name;
		bool *to;
	} switches[] = {
		{ "smt", &snp.smt },	 { "xts", &snp.xts },	    { "cxl", &snp.cxl },
		{ "rapl", &snp.rapl },	 { "hiding", &snp.hiding }, { "sev", &snp.offered },
		{ "dev", &snp.has_dev },
	};

	for (u32 i = 0; i < MODEL_ARRAY(switches); i++) {
		if (strcmp(name, switches[i].name))
			continue;
		*switches[i].to = on(name, value);
		return true;
	}
	return false;
}

static bool snp_option(const char *name, const char *value)
{
	if (!strcmp(name, "throttle") && value && !strcmp(value, "v5")) {
		snp.throttle_v5 = true;
		snp.has_certs = false;
	} else if (!strcmp(name, "nocerts") && !value) {
		snp.has_certs = false;
	} else if (!strcmp(name, "savic") && !value) {
		snp.feature_mask |= 1ULL << 16;
	} else if (!strcmp(name, "features")) {
		snp.feature_mask = model_number(name, value);
	} else if (!strcmp(name, "policy-mask")) {
		snp.policy_mask = model_number(name, value);
	} else if (!strcmp(name, "abi")) {
		snp.abi = version(value);
	} else if (!strcmp(name, "cpuid")) {
		return cpuid_option(value);
	} else {
		return number_option(name, value) || switch_option(name, value);
	}
	return true;
}

u64 snp_policy_mask(void)
{
	if (snp.policy_mask)
		return snp.policy_mask;
	return POLICY_MASK | (snp.abi >= (1U << 8 | 58) ? PAGE_SWAP : 0);
}

/* sev_dev_get_attr */
static long get_attr(struct model_call *c)
{
	struct kvm_device_attr a;
	u64 value;

	if (model_read(&a, c->arg, sizeof(a)))
		return -EFAULT;
	if (a.group != 1)
		return -ENXIO;
	if (a.attr == 0)
		value = snp.feature_mask;
	else if (a.attr == 1)
		value = snp_policy_mask();
	else if (a.attr == 2 && snp.has_certs)
		value = 1;
	else
		return -ENXIO;
	return c->request == KVM_GET_DEVICE_ATTR ? model_write(a.addr, &value, sizeof(value)) : 0;
}

static long snp_system(struct model_call *c)
{
	if (!snp.offered)
		return c->request == KVM_CHECK_EXTENSION && c->arg == KVM_CAP_VM_TYPES ? 1
										       : MODEL_PASS;
	if (c->request == KVM_GET_DEVICE_ATTR || c->request == KVM_HAS_DEVICE_ATTR)
		return get_attr(c);
	if (model.host_kvm && c->request == KVM_GET_SUPPORTED_CPUID)
		return snp_host_cpuid(c);
	return x86_coco_system(c, SNP_VM_TYPE);
}

static long snp_create(struct model_vm *vm, u64 type)
{
	if (!type)
		return MODEL_PASS;
	if (type != SNP_VM_TYPE || !snp.offered)
		return model_refused(-EINVAL, "KVM_CREATE_VM: no VMs of type %llu", type);
	vm->kind_state = calloc(1, sizeof(struct snp_vm));
	if (!vm->kind_state)
		abort();
	/* INIT_SHARED is not for VMs with private memory. */
	vm->gmem_flags = GUEST_MEMFD_FLAG_MMAP;
	return 0;
}

/* __sev_guest_init */
static long init2(struct model_call *c, const struct snp_cmd *cmd)
{
	struct snp_vm *v = snp_vm(c->vm);
	struct snp_init init;
	long ret;

	if (model_read(&init, cmd->data, sizeof(init)))
		return model_broken(-EFAULT, "INIT2: data is not readable");
	model_note(c, "vmsa_features", "\"0x%llx\"", init.features);
	if (c->vm->nr_vcpus)
		return model_broken(-EINVAL, "INIT2 after a vcpu was made: this VM is lost");
	if (init.flags)
		return model_broken(-EINVAL, "INIT2: flags 0x%x", init.flags);
	if (init.features & ~snp.feature_mask)
		return model_refused(-EINVAL, "INIT2: vmsa_features 0x%llx, this host has 0x%llx",
				     init.features, snp.feature_mask);
	if (init.ghcb_version > 2 || init.ghcb_version == 1)
		return model_broken(-EINVAL, "INIT2: GHCB version %u", init.ghcb_version);
	ret = snp.asids ? model_fail(c) : model_refused(-EBUSY, "INIT2: no ASID is left");
	if (ret)
		return ret;
	v->inited = true;
	v->features = init.features | 1;
	return 0;
}

/* v5 of the series of May 2025, which has 103 for this */
static long set_rate(struct model_call *c, const struct snp_cmd *cmd)
{
	u32 rate[2];

	if (!snp_vm(c->vm)->inited)
		return model_broken(-ENOTTY, "the rate of requests is set before INIT2");
	if (model_read(rate, cmd->data, sizeof(rate)))
		return model_broken(-EFAULT,
				    "103 sets the rate of requests here, data is not that");
	model_note(c, "interval_ms", "%u", rate[0]);
	model_note(c, "burst", "%u", rate[1]);
	if (!((u64)rate[0] * HZ / 1000) || (u64)rate[0] * HZ / 1000 > INT32_MAX)
		return model_refused(-EINVAL, "the rate of requests: interval %u ms", rate[0]);
	if (!rate[1] || rate[1] > INT32_MAX)
		return model_refused(-EINVAL, "the rate of requests: burst %u", rate[1]);
	return 0;
}

static long command_103(struct model_call *c, const struct snp_cmd *cmd)
{
	struct snp_vm *v = snp_vm(c->vm);

	if (snp.throttle_v5)
		return set_rate(c, cmd);
	if (!snp.has_certs)
		return model_refused(-EINVAL, "command 103 is unknown here");
	if (cmd->data)
		model_broken(0, "command 103 is ENABLE_REQ_CERTS here, which has no data");
	if (c->vm->nr_vcpus || !v->inited)
		return model_broken(-EINVAL, "ENABLE_REQ_CERTS before INIT2 or after a vcpu");
	v->certs = true;
	return 0;
}

static long command(struct model_call *c, struct snp_cmd *cmd)
{
	switch (cmd->id) {
	case SNP_INIT2:
		return init2(c, cmd);
	case SNP_START:
		return snp_start(c, cmd);
	case SNP_UPDATE:
		return snp_update(c, cmd);
	case SNP_FINISH:
		return snp_finish(c, cmd);
	case SNP_103:
		return command_103(c, cmd);
	}
	return MODEL_PASS;
}

/* sev_mem_enc_ioctl: the struct comes back with the firmware's code, but for an id that is not
 * taken at all. */
static long encrypt_op(struct model_call *c)
{
	struct snp_cmd cmd;
	long ret;

	if (!c->arg)
		return 0;
	if (model_read(&cmd, c->arg, sizeof(cmd)))
		return -EFAULT;
	if (snp_vm(c->vm)->inited && cmd.id < SNP_FIRST)
		return model_broken(-EPERM, "command %u after INIT2", cmd.id);
	cmd.error = 0;
	ret = command(c, &cmd);
	if (ret == MODEL_PASS)
		return model_broken(-EINVAL, "command %u is unknown", cmd.id);
	if (cmd.error)
		model_note(c, "fw", "%u", cmd.error);
	if (cmd.id == SNP_103 && ret == -EINVAL && !snp.has_certs && !snp.throttle_v5)
		return ret;
	return model_write(c->arg, &cmd, sizeof(cmd)) ? -EFAULT : ret;
}

/* On a VM of another type: nothing was initialized, and never will be. */
static long snp_ordinary(struct model_call *c)
{
	struct snp_cmd cmd;

	if (!c->vm || c->file->type != MODEL_VM || c->request != X86_MEMORY_ENCRYPT_OP)
		return MODEL_PASS;
	if (!c->arg)
		return 0;
	if (model_read(&cmd, c->arg, sizeof(cmd)))
		return -EFAULT;
	cmd.error = 0;
	model_write(c->arg, &cmd, sizeof(cmd));
	return model_broken(cmd.id == SNP_START || cmd.id == SNP_FINISH ? -ENOTTY : -EINVAL,
			    "command %u on an ordinary VM", cmd.id);
}

static long snp_vm_call(struct model_call *c)
{
	if (c->request == X86_MEMORY_ENCRYPT_OP)
		return encrypt_op(c);
	if (c->request != KVM_SET_TSC_KHZ)
		return x86_coco_vm(c, SNP_VM_TYPE);
	if (c->vm->nr_vcpus || c->arg >= X86_MAX_TSC_KHZ)
		return model_refused(-EINVAL, "KVM_SET_TSC_KHZ: %lu after a vcpu, or too much",
				     c->arg);
	return MODEL_PASS;
}

static long snp_vcpu_call(struct model_call *c)
{
	const struct snp_vm *v = snp_vm(c->vm);
	const struct snp_vcpu *p = snp_vcpu(c->vcpu);

	if (p->protected && x86_is_protected_state(c->request))
		return model_refused(-EINVAL, "%s of a protected vcpu", c->name);
	if (c->request == KVM_SET_TSC_KHZ && v->features & SECURE_TSC)
		return model_broken(-EINVAL, "KVM_SET_TSC_KHZ of a vcpu with Secure TSC");
	if (c->request == X86_PRE_FAULT_MEMORY)
		return x86_coco_prefault(c, v->finished);
	return MODEL_PASS;
}

static long enter(struct model_vcpu *vcpu)
{
	const struct snp_vm *v = snp_vm(vcpu->vm);

	if (!v->inited)
		return model_broken(-EINVAL, "KVM_RUN before INIT2");
	if (snp_vcpu(vcpu)->ended && !vcpu->run->immediate_exit)
		model_broken(0, "KVM_RUN after the guest asked for its end");
	if (v->finished)
		return 0;
	model_broken(0, "KVM_RUN before LAUNCH_FINISH: the CPU refuses to enter");
	vcpu->run->exit_reason = KVM_EXIT_FAIL_ENTRY;
	model_run_set(vcpu, 32, ~0ULL);
	return 1;
}

/* A page that becomes shared is the host's once more. */
static void convert(struct model_vm *vm, u64 gpa, u64 size, bool private)
{
	if (!private)
		model_set_remove(&snp_vm(vm)->assigned, gpa, gpa + size);
}

static const char *name_call(const struct model_call *c)
{
	u32 id;

	if (c->request != X86_MEMORY_ENCRYPT_OP || model_read(&id, c->arg, sizeof(id)))
		return NULL;
	switch (id) {
	case SNP_INIT2:
		return "SNP_INIT2";
	case SNP_START:
		return "SNP_LAUNCH_START";
	case SNP_UPDATE:
		return "SNP_LAUNCH_UPDATE";
	case SNP_FINISH:
		return "SNP_LAUNCH_FINISH";
	case SNP_103:
		return snp.throttle_v5 ? "SNP_SET_REQUEST_THROTTLE_RATE" : "SNP_ENABLE_REQ_CERTS";
	}
	return "SNP_UNKNOWN";
}

static const char *yes(bool is)
{
	return is ? "Y\n" : "N\n";
}

static const char *file(const char *path)
{
	static const char params[] = "/sys/module/kvm_amd/parameters/";
	static const char cpus[] = "/sys/devices/system/cpu/cpu";
	static char text[64];

	if (!strcmp(path, "/dev/sev"))
		return snp.has_dev ? "sev" : "";
	if (!strcmp(path, "/sys/module/kvm_amd"))
		return "dir";
	if (!strcmp(path, "/sys/devices/system/cpu/smt/active"))
		return snp.smt ? "1\n" : "0\n";
	/* The last CPU is in the last socket. */
	if (!strncmp(path, cpus, sizeof(cpus) - 1) &&
	    strstr(path, "/topology/physical_package_id")) {
		snprintf(text, sizeof(text), "%u\n",
			 atoi(path + sizeof(cpus) - 1) ? snp.sockets - 1 : 0);
		return text;
	}
	if (!strcmp(path, "/sys/bus/cxl/devices/root0"))
		return snp.cxl ? "dir" : "";
	if (!strcmp(path, "/sys/fs/cgroup/misc.capacity")) {
		snprintf(text, sizeof(text), "sev 410\nsev_es %u\n", snp.asids);
		return text;
	}
	if (strncmp(path, params, sizeof(params) - 1))
		return NULL;
	path += sizeof(params) - 1;
	if (!strcmp(path, "sev") || !strcmp(path, "sev_es") || !strcmp(path, "sev_snp"))
		return yes(snp.offered);
	if (!strcmp(path, "ciphertext_hiding_asids"))
		snprintf(text, sizeof(text), "%u\n", snp.hiding_asids);
	else if (!strcmp(path, "sev_snp_request_ratelimit_khz") && snp.ratelimit_khz)
		snprintf(text, sizeof(text), "%u\n", snp.ratelimit_khz);
	else
		return "";
	return text;
}

static const struct model_failure failures[] = {
	{ "SNP_INIT2", { EBUSY }, false },
	{ "SNP_LAUNCH_START", { ENOTTY, EIO }, true },
	{ "SNP_LAUNCH_UPDATE", { EIO, EINTR, ENOMEM }, true },
	{ "SNP_LAUNCH_FINISH", { EIO }, true },
	{ NULL, { 0 }, false },
};

const struct model_kind model_snp = {
	.name = "snp",
	.help = "AMD SEV-SNP, Linux 7.3; throttle=v5, nocerts, savic, smt=on|off, sockets=N, "
		"abi=M.N, cpuid=strict|accept|reject-once|reject, asids=N, ...",
	.option = snp_option,
	.create = snp_create,
	.name_call = name_call,
	.system = snp_system,
	.vm = snp_vm_call,
	.vcpu = snp_vcpu_call,
	.ordinary = snp_ordinary,
	.convert = convert,
	.slot = x86_coco_slot,
	.enter = enter,
	.exits = snp_exits,
	.failures = failures,
	.file = file,
};
