/* SPDX-License-Identifier: MIT */
/* Realms: what they exclude, their VM type, and the calls of coco.h in either generation of the
 * ABI. */
#include "realm.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arm.h"
#include "cpu.h"
#include "lkvm/coco.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

/* The host */

static int host_ioctl(void *opaque, int fd, unsigned long request, unsigned long arg)
{
	return xioctl_val(fd, request, arg);
}

static int host_close(void *opaque, int fd)
{
	return close(fd);
}

const struct arm_realm_host arm_realm_host = {
	.root = "",
	.ioctl = host_ioctl,
	.close = host_close,
};

/* The configuration */

static int refuse(const char *what, const char *why)
{
	return coco_refuse("--realm", what, why);
}

/* The RMM has its own list of features; of what it is told of, KVM knows the lengths of vectors and
 * the PMU's counters. */
static int check_cpu(const struct vm_config *cfg)
{
	const u32 kinds = BIT(ARM_PROP_SVE) | BIT(ARM_PROP_PMU) | BIT(ARM_PROP_PAUTH);
	struct arm_cpu_model model;
	char name[64];
	int ret = arm_cpu_model_parse(cfg, &model);

	if (ret)
		return ret;
	if (arm_cpu_model_beyond(&model, kinds, name, sizeof(name))) {
		err("--realm: the RMM alone chooses the CPUs' features but sve and pmu; omit what "
		    "asks for '%s' (of --cpu)",
		    name);
		return -EINVAL;
	}
	if (model.pmuver || model.nr_filters)
		return refuse("pmuver, pmu-allow or pmu-deny of --cpu",
			      "the RMM alone chooses what the PMU counts");
	return 0;
}

/* Words of kvmtool's that say something about a realm that nobody asked for. */
static int check_words(const struct realm_config *realm)
{
	if (realm->on || !realm->foreign)
		return 0;
	err("%s: needs --realm", realm->foreign);
	return -EINVAL;
}

static int check_version(const struct vm_config *cfg)
{
	const struct arm_realm_abi *abi = arm_realm_abi_of(cfg->arm.realm.abi);
	char why[160];

	if (!abi || !arm_realm_misfit(abi, cfg, why, sizeof(why)))
		return 0;
	err("--realm: %s", why);
	return -EINVAL;
}

int arm_realm_check(const struct vm_config *cfg)
{
	static const char not_offered[] = "KVM does not offer it to realms";

	if (!cfg->arm.realm.on)
		return check_words(&cfg->arm.realm);
	if (cfg->arm.protected)
		return refuse("--protected", "a guest is one kind of confidential guest");
	if (cfg->arm.nested)
		return refuse("--nested", not_offered);
	if (cfg->arm.aarch32)
		return refuse("--aarch32", "realms are AArch64 only");
	if (cfg->arm.has_counter_offset)
		return refuse("--counter-offset", not_offered);
	if (cfg->arm.psci == PSCI_USER)
		return refuse("--psci user", "the RMM wants the host's kernel to answer");
	if (cfg->arm.irqchip == ARM_IRQCHIP_GICV2 || cfg->arm.irqchip == ARM_IRQCHIP_GICV2M)
		return refuse("a GICv2", "use --irqchip gicv3 or gicv3-its");
	if (cfg->fdt.flash)
		return refuse("--flash", "a realm has no read-only memory");
	if (coco_check(cfg, "--realm"))
		return -EINVAL;
	if (cfg->arm.realm.tree && !cfg->arm.realm.planes) {
		err("--realm: rtt-tree: is about planes: add planes=N");
		return -EINVAL;
	}
	return check_version(cfg) ? -EINVAL : check_cpu(cfg);
}

/* The VM */

static void say_why_not(int error)
{
	const char *why = arm_realm_why_not(error);

	if (why)
		err("--realm: %s", why);
	else
		err("--realm: KVM_CREATE_VM: %s%s", strerror(-error), limit_hint(error));
}

int arm_realm_vm_type(const struct arm_realm_host *host, const struct kvm *kvm,
		      const struct vm_config *cfg, u64 *type)
{
	u32 ipa_bits = (u32)*type;
	struct arm_realm_found found;
	int ret = arm_realm_detect(host, kvm->sys_fd, &cfg->arm.realm, ipa_bits, &found);
	char why[160];

	if (ret) {
		say_why_not(ret);
		return ret;
	}
	if (arm_realm_misfit(found.abi, cfg, why, sizeof(why))) {
		err("--realm: this host cannot do what is asked: %s", why);
		return -EOPNOTSUPP;
	}
	*type = found.abi->type | ipa_bits;
	return 0;
}

int arm_realm_begin(struct vm *vm, const struct arm_realm_host *host)
{
	struct arm_realm *realm = xcalloc(1, sizeof(*realm));
	int ret;

	vm->arch->realm = realm;
	realm->host = host;
	ret = arm_realm_identify(host, vm->kvm.vm_fd, &vm->cfg->arm.realm,
				 vm->kvm.vm_type & ~0xffULL, &realm->found);
	if (ret) {
		say_why_not(ret);
		return ret;
	}
	debug("realm: the ABI of %s, capability %u", arm_realm_abi_name(realm->found.abi),
	      realm->found.cap);
	if (!realm->found.abi->implicit)
		return arm_realm_configure(vm);
	realm->buffer = mmap(NULL, ARM_REALM_CHUNK, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (realm->buffer != MAP_FAILED)
		return 0;
	ret = -errno;
	realm->buffer = NULL;
	err("--realm: no memory for pages on their way: %s%s", strerror(-ret), limit_hint(ret));
	return ret;
}

void arm_realm_end(struct vm *vm)
{
	struct arm_realm *realm = vm->arch ? vm->arch->realm : NULL;

	if (!realm)
		return;
	if (realm->buffer)
		munmap(realm->buffer, ARM_REALM_CHUNK);
	free(realm);
	vm->arch->realm = NULL;
}

/* Limits, before the realm is created */

static int one_reg(const struct vcpu *vcpu, unsigned long request, u64 id, u64 *value)
{
	const struct arm_realm_host *host = vcpu->vm->arch->realm->host;
	struct kvm_one_reg reg = { .id = id, .addr = (u64)(uintptr_t)value };
	int ret = host->ioctl(host->opaque, vcpu->fd, request, (unsigned long)&reg);

	return MIN(ret, 0);
}

/* Arm ARM, D24.2.44: the numbers less one, of breakpoints in bits 15 to 12, of watchpoints in 23 to
 * 20; of the breakpoints that know contexts, which are not more, in 31 to 28. */
u64 arm_realm_dfr0(u64 dfr0, const struct realm_config *cfg)
{
	u64 contexts = dfr0 >> 28 & 0xf;

	if (cfg->breakpoints) {
		dfr0 = (dfr0 & ~0xf000ULL) | (u64)(cfg->breakpoints - 1) << 12;
		contexts = MIN(contexts, (u64)cfg->breakpoints - 1);
		dfr0 = (dfr0 & ~0xf0000000ULL) | contexts << 28;
	}
	if (cfg->watchpoints)
		dfr0 = (dfr0 & ~0xf00000ULL) | (u64)(cfg->watchpoints - 1) << 20;
	return dfr0;
}

int arm_realm_limit_debug(struct vcpu *vcpu)
{
	const struct realm_config *cfg = &vcpu->vm->cfg->arm.realm;
	const u64 id = arm_id_reg(ARM_ID_REG(5, 0));
	u64 host, value;
	int ret;

	/* The register is the VM's. */
	if (vcpu->id || (!cfg->breakpoints && !cfg->watchpoints))
		return 0;
	ret = one_reg(vcpu, KVM_GET_ONE_REG, id, &host);
	value = arm_realm_dfr0(host, cfg);
	if (!ret && value != host)
		ret = one_reg(vcpu, KVM_SET_ONE_REG, id, &value);
	if (ret)
		err("--realm: breakpoints or watchpoints: %s: %s; the host's CPUs have %u and %u",
		    ret == -EINVAL ? "KVM or the RMM has not so many" : "KVM refuses them",
		    strerror(-ret), (u32)(host >> 12 & 0xf) + 1, (u32)(host >> 20 & 0xf) + 1);
	return ret;
}

#define PMCR_EL0     ARM64_SYS_REG(3, 3, 9, 12, 0)
#define PMCR_N_SHIFT 11
#define PMCR_N_MASK  (0x1fULL << PMCR_N_SHIFT)

/* The only way to say it that realms have, and the implicit ABI has none: there the number is what
 * the user counts on. */
int arm_realm_limit_pmu(struct vcpu *vcpu, u32 counters)
{
	u64 pmcr;
	int ret = one_reg(vcpu, KVM_GET_ONE_REG, PMCR_EL0, &pmcr);
	u32 most = ret ? 0 : (u32)(pmcr >> PMCR_N_SHIFT) & 0x1f;

	if (!ret && counters > most) {
		err("--realm: %u event counters: the host's PMU has %u", counters, most);
		return -EINVAL;
	}
	if (!ret && vcpu->vm->arch->realm->found.abi->implicit && counters < most) {
		err("--realm: %u event counters: this KVM (%s) gives a realm all of the host's, "
		    "%u",
		    counters, arm_realm_abi_name(vcpu->vm->arch->realm->found.abi), most);
		return -EOPNOTSUPP;
	}
	if (!ret && counters == most)
		return 0;
	pmcr = (pmcr & ~PMCR_N_MASK) | (u64)counters << PMCR_N_SHIFT;
	if (!ret)
		ret = one_reg(vcpu, KVM_SET_ONE_REG, PMCR_EL0, &pmcr);
	if (ret)
		err("--realm: %u event counters: vcpu %u: %s", counters, vcpu->id, strerror(-ret));
	return ret;
}

/* The launch */

int arm_realm_place(struct vm *vm, const struct boot_plan *plan, const struct boot_run *run)
{
	struct arm_realm *realm = vm->arch->realm;
	int ret;

	if (realm->found.abi->implicit)
		return arm_realm_populate_implicit(vm, plan, run);
	if (!realm->created) {
		ret = arm_realm_create(vm);
		if (ret)
			return ret;
		realm->created = true;
	}
	return arm_realm_populate(vm, plan, run);
}

int arm_realm_vcpu(struct vcpu *vcpu, const struct boot_plan *plan)
{
	return vcpu->vm->arch->realm->found.abi->implicit ? 0 : arm_realm_finalize(vcpu);
}

int arm_realm_finish(struct vm *vm)
{
	return vm->arch->realm->found.abi->implicit ? 0 : arm_realm_activate(vm);
}

static int vm_type(const struct kvm *kvm, const struct vm_config *cfg, u64 *type)
{
	return arm_realm_vm_type(&arm_realm_host, kvm, cfg, type);
}

static int memory(struct vm *vm)
{
	return arm_realm_begin(vm, &arm_realm_host);
}

static const struct coco_ops realm_ops = {
	.open = arm_realm_open,
	.close = free,
	.vm_type = vm_type,
	.memory = memory,
	.place = arm_realm_place,
	.vcpu = arm_realm_vcpu,
	.finish = arm_realm_finish,
	.exit = arm_realm_exit,
	.may_retry = arm_realm_may_retry,
	.run_failed = arm_realm_run_failed,
	.destroy = arm_realm_end,
	.private_memory = true,
	.measure = &arm_realm_measure,
};

const struct coco_ops *arm_realm_ops(const struct vm_config *cfg)
{
	return cfg->arm.realm.on ? &realm_ops : NULL;
}
