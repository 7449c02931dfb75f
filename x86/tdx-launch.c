/* SPDX-License-Identifier: MIT */
/*
 * A trust domain's launch: KVM's commands in the order in which they are possible (Linux
 * Documentation/virt/kvm/x86/intel-tdx.rst). What the TDX module says is in a command's hw_error
 * (TDX module ABI, completion status).
 */
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>

#include "cpu.h"
#include "lkvm/arch.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/plan.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "options-tdx.h"
#include "platform.h"
#include "tdx.h"
#include "tuning.h"
#include "x86.h"

#define MAP_GPA_EXITS BIT_ULL(12) /* KVM_HC_MAP_GPA_RANGE, by its number */

#define MIN_LEAVES 64U
#define MAX_LEAVES 4096U

/* Pages that are handed over at once; no more than so many are read from a file in advance. */
#define CHUNK (2 * MiB)

/* What the module is short of comes back soon, or not at all. Counted in tries. */
#define TRIES	 1000U
#define PAUSE_NS 1000000L

/* One command; @hw_error (may be NULL) is the module's answer. Not repeated. */
static int command(int fd, u32 id, u32 flags, u64 data, u64 *hw_error)
{
	struct kvm_tdx_cmd cmd = { .id = id, .flags = flags, .data = data };
	int ret = ioctl(fd, KVM_MEMORY_ENCRYPT_OP, &cmd) < 0 ? -errno : 0;

	if (hw_error)
		*hw_error = cmd.hw_error;
	return ret;
}

/* The same until it did or failed. */
static int finish_command(int fd, u32 id, u64 data, u64 *hw_error)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	int ret;

	for (u32 i = 0; i < TRIES; i++) {
		ret = command(fd, id, 0, data, hw_error);
		if (ret != -EINTR && ret != -EAGAIN && ret != -EBUSY)
			break;
		if (ret != -EINTR)
			nanosleep(&pause, NULL);
	}
	return ret;
}

static u64 address_of(const void *p)
{
	return (u64)(uintptr_t)p;
}

/* Capabilities */

/* KVM says E2BIG for too few leaves, never how many it has. */
static int get_capabilities(const struct kvm *kvm, struct kvm_tdx_capabilities **out)
{
	int ret = -E2BIG;

	for (u32 nent = MIN_LEAVES; ret == -E2BIG && nent <= MAX_LEAVES; nent *= 2) {
		size_t size = sizeof(**out) + nent * sizeof(struct kvm_cpuid_entry2);
		struct kvm_tdx_capabilities *caps = xcalloc(1, size);

		caps->cpuid.nent = nent;
		ret = finish_command(kvm->vm_fd, KVM_TDX_CAPABILITIES, address_of(caps), NULL);
		if (!ret && caps->cpuid.nent > nent)
			ret = -EIO;
		if (!ret)
			*out = caps;
		else
			free(caps);
	}
	if (ret)
		err("--tdx: cannot read what KVM offers trust domains: KVM_TDX_CAPABILITIES: %s",
		    strerror(-ret));
	return ret;
}

static int read_capabilities(struct vm *vm)
{
	struct x86_tdx *tdx = vm->arch->tdx;
	struct kvm_tdx_capabilities *caps = NULL;
	int ret = get_capabilities(&vm->kvm, &caps);
	size_t size;

	if (ret)
		return ret;
	tdx->attributes = caps->supported_attrs;
	tdx->xfam = caps->supported_xfam;
	tdx->user_info = caps->user_tdvmcallinfo_1_r11;
	size = sizeof(caps->cpuid) + caps->cpuid.nent * sizeof(struct kvm_cpuid_entry2);
	tdx->configurable = xcalloc(1, size);
	memcpy(tdx->configurable, &caps->cpuid, size);
	free(caps);
	return 0;
}

/* INIT_VM */

/* ",name" for each bit that has one, "0xbits" for the others. */
static char *attribute_names(u64 bits)
{
	char *text = xstrdup("");

	for (const struct x86_tdx_attribute *a = x86_tdx_attributes; a->name; a++) {
		if (bits & BIT_ULL(a->bit))
			xappendf(&text, "%s%s", *text ? "," : "", a->name);
		bits &= ~BIT_ULL(a->bit);
	}
	if (bits)
		xappendf(&text, "%s0x%llx", *text ? "," : "", bits);
	return text;
}

static int check_attributes(const struct x86_tdx *tdx, u64 asked)
{
	char *lacks, *has;

	if (!(asked & ~tdx->attributes))
		return 0;
	lacks = attribute_names(asked & ~tdx->attributes);
	has = attribute_names(tdx->attributes);
	err("--tdx-attributes: this host's KVM does not offer %s; it offers %s", lacks,
	    *has ? has : "none");
	free(lacks);
	free(has);
	return -ENOTSUP;
}

static int check_xfam(const struct x86_tdx *tdx, u64 asked)
{
	if (!(asked & ~tdx->xfam))
		return 0;
	err("--tdx-xfam 0x%llx: this host's KVM does not offer 0x%llx of it; it offers 0x%llx",
	    asked, asked & ~tdx->xfam, tdx->xfam);
	return -ENOTSUP;
}

/* CPUID of one vcpu as it would be in an ordinary guest. */
static int wanted_cpuid(const struct vm *vm, u32 index, struct kvm_cpuid2 **out)
{
	const struct arch_vm *arch = vm->arch;
	/* The frequencies are the module's, in leaf 0x15. */
	const struct x86_cpuid_params params = {
		.apic_id = arch_vcpu_kvm_id(vm, index),
		.topology = arch->topology,
		.tsc_deadline = kvm_check_cap(&vm->kvm, KVM_CAP_TSC_DEADLINE_TIMER) > 0,
		.msi_ext_dest = arch->msi_ext_dest,
	};
	int ret = x86_cpuid_build(arch->cpuid, &params, out);

	if (!ret)
		x86_cpu_pin(&arch->cpu_model, *out);
	return ret;
}

static void fill_params(const struct x86_tdx_config *cfg, struct kvm_tdx_init_vm *params)
{
	memcpy(params->mrconfigid, cfg->config_id, sizeof(params->mrconfigid));
	memcpy(params->mrowner, cfg->owner, sizeof(params->mrowner));
	memcpy(params->mrownerconfig, cfg->owner_config, sizeof(params->mrownerconfig));
}

static void say_refused(int error, u64 hw_error)
{
	if (error == -ENOSPC)
		err("--tdx: no key is left for another trust domain: as many run as this host can "
		    "have; end one ('lkvm host': tdx)");
	else if (error == -EINVAL && hw_error)
		err("--tdx: the TDX module refuses this trust domain (0x%llx): look at "
		    "--tdx-attributes, --tdx-xfam and --cpu",
		    hw_error);
	else if (error == -EAGAIN)
		err("--tdx: the TDX module cannot make a key now: it is out of entropy; try again");
	else
		err("--tdx: KVM refuses this trust domain: KVM_TDX_INIT_VM: %s (0x%llx)",
		    strerror(-error), hw_error);
}

static int init_vm(struct vm *vm, const struct kvm_cpuid2 *cpuid, u64 attributes, u64 xfam)
{
	size_t leaves = cpuid->nent * sizeof(cpuid->entries[0]);
	struct kvm_tdx_init_vm *params = xcalloc(1, sizeof(*params) + leaves);
	u64 hw_error = 0;
	int ret;

	params->attributes = attributes;
	params->xfam = xfam;
	fill_params(&vm->cfg->x86.tdx, params);
	params->cpuid.nent = cpuid->nent;
	memcpy(params->cpuid.entries, cpuid->entries, leaves);
	ret = finish_command(vm->kvm.vm_fd, KVM_TDX_INIT_VM, address_of(params), &hw_error);
	if (ret)
		say_refused(ret, hw_error);
	free(params);
	return ret;
}

static int make_td(struct vm *vm)
{
	const struct x86_tdx_config *cfg = &vm->cfg->x86.tdx;
	const struct x86_tdx *tdx = vm->arch->tdx;
	u64 attributes = cfg->has_attributes ? cfg->attributes : X86_TDX_SEPT_VE_DISABLE, xfam;
	struct kvm_cpuid2 *wanted = NULL, *cpuid = NULL;
	int ret = wanted_cpuid(vm, 0, &wanted);

	if (!ret)
		ret = x86_tdx_cpuid_config(wanted, tdx->configurable, &cpuid);
	if (ret) {
		err("--tdx: cannot make the CPUID of a trust domain: %s",
		    ret == -EINVAL ? "KVM names no leaf for its address bits" : strerror(-ret));
		free(wanted);
		return ret;
	}
	xfam = cfg->has_xfam ? cfg->xfam : x86_tdx_cpuid_xfam(wanted) & tdx->xfam;
	ret = check_attributes(tdx, attributes);
	if (!ret)
		ret = check_xfam(tdx, xfam);
	if (!ret)
		ret = init_vm(vm, cpuid, attributes, xfam);
	free(cpuid);
	free(wanted);
	return ret;
}

int x86_tdx_init_vm(struct vm *vm)
{
	int ret;

	vm->arch->tdx = xcalloc(1, sizeof(*vm->arch->tdx));
	ret = kvm_enable_cap(&vm->kvm, KVM_CAP_EXIT_HYPERCALL, MAP_GPA_EXITS);
	if (ret) {
		err("--tdx: KVM does not tell which pages the guest shares: "
		    "KVM_CAP_EXIT_HYPERCALL: %s",
		    strerror(-ret));
		return ret;
	}
	ret = read_capabilities(vm);
	/* INIT_VM takes the VM's frequency over. */
	if (!ret)
		ret = x86_tsc_begin(&vm->kvm, vm->cfg);
	return ret ? ret : make_td(vm);
}

void x86_tdx_set_bus(const struct vm *vm)
{
	int ret = kvm_enable_cap(&vm->kvm, KVM_CAP_X86_APIC_BUS_CYCLES_NS,
				 1000000000U / X86_TDX_CRYSTAL_HZ);

	if (ret)
		debug("KVM_CAP_X86_APIC_BUS_CYCLES_NS: %s: a guest that counts by the local APIC's "
		      "timer has a wrong time",
		      strerror(-ret));
}

/* vcpus */

/* KVM says how many there are. */
static int get_cpuid(const struct vcpu *vcpu, struct kvm_cpuid2 **out)
{
	u32 nent = MIN_LEAVES;

	for (int tries = 0; tries < 3; tries++) {
		struct kvm_cpuid2 *cpuid =
			xcalloc(1, sizeof(*cpuid) + nent * sizeof(cpuid->entries[0]));
		int ret;

		cpuid->nent = nent;
		ret = finish_command(vcpu->fd, KVM_TDX_GET_CPUID, address_of(cpuid), NULL);
		if (!ret && cpuid->nent <= nent) {
			*out = cpuid;
			return 0;
		}
		nent = MAX(cpuid->nent, nent * 2);
		nent = MIN(nent, MAX_LEAVES);
		free(cpuid);
		if (ret && ret != -E2BIG)
			return ret;
	}
	return -E2BIG;
}

int x86_tdx_vcpu_setup(struct vcpu *vcpu)
{
	struct kvm_cpuid2 *wanted = NULL, *module = NULL, *cpuid = NULL;
	int ret = get_cpuid(vcpu, &module);

	if (ret)
		err("vcpu %u: cannot read the CPUID that the TDX module gives it: "
		    "KVM_TDX_GET_CPUID: %s",
		    vcpu->id, strerror(-ret));
	if (!ret)
		ret = wanted_cpuid(vcpu->vm, vcpu->id, &wanted);
	if (!ret)
		ret = x86_tdx_cpuid_vcpu(wanted, module, &cpuid);
	if (!ret) {
		ret = xioctl(vcpu->fd, KVM_SET_CPUID2, cpuid);
		if (ret < 0)
			err("vcpu %u: cannot set its CPUID: KVM_SET_CPUID2: %s", vcpu->id,
			    strerror(-ret));
	}
	free(cpuid);
	free(wanted);
	free(module);
	return MIN(ret, 0);
}

/* By ascending number: the module counts them, and tells each its own. */
static int init_vcpus(struct vm *vm)
{
	struct x86_tdx *tdx = vm->arch->tdx;

	for (u32 i = 0; i < vm->nr_vcpus && !tdx->has_vcpus; i++) {
		int ret = finish_command(vm->vcpus[i]->fd, KVM_TDX_INIT_VCPU, vm->arch->tdx_hob,
					 NULL);

		if (ret) {
			err("vcpu %u: the TDX module does not take it: KVM_TDX_INIT_VCPU: %s", i,
			    strerror(-ret));
			return ret;
		}
	}
	tdx->has_vcpus = true;
	return 0;
}

/* Memory */

/* Interrupted or put off, it goes on where it was: KVM advances @region. */
static int add_region(const struct vcpu *vcpu, struct kvm_tdx_init_mem_region *region,
		      bool measured)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	u32 flags = measured ? (u32)KVM_TDX_MEASURE_MEMORY_REGION : 0, stuck = 0;

	for (;;) {
		u64 left = region->nr_pages;
		int ret =
			command(vcpu->fd, KVM_TDX_INIT_MEM_REGION, flags, address_of(region), NULL);

		if (ret != -EINTR && ret != -EAGAIN)
			return ret;
		if (!region->nr_pages)
			return 0;
		stuck = region->nr_pages < left ? 0 : stuck + 1;
		if (stuck == TRIES)
			return ret;
		if (ret == -EAGAIN && stuck)
			nanosleep(&pause, NULL);
	}
}

static int place_chunk(const struct vm *vm, const struct boot_plan *plan,
		       const struct boot_run *run, u64 at, void *buf)
{
	u64 len = MIN(run->len - at, (u64)CHUNK);
	struct kvm_tdx_init_mem_region region = {
		.source_addr = address_of(buf),
		.gpa = run->gpa + at,
		.nr_pages = len / BOOT_PAGE,
	};
	int ret = boot_plan_read(plan, run->gpa + at, buf, len);

	if (ret)
		return ret;
	ret = add_region(vm->vcpus[0], &region, run->measured);
	if (ret)
		err("--tdx: cannot add the guest's page at 0x%llx (%s): KVM_TDX_INIT_MEM_REGION: "
		    "%s%s",
		    region.gpa, boot_kind_name(run->kind), strerror(-ret), limit_hint(ret));
	return ret;
}

int x86_tdx_place(struct vm *vm, const struct boot_plan *plan, const struct boot_run *run)
{
	int ret = init_vcpus(vm);
	void *buf;

	if (ret)
		return ret;
	buf = aligned_alloc(BOOT_PAGE, MIN(run->len, (u64)CHUNK));
	if (!buf) {
		err("--tdx: cannot read what the guest starts from: %s", strerror(ENOMEM));
		return -ENOMEM;
	}
	for (u64 at = 0; at < run->len && !ret; at += CHUNK)
		ret = place_chunk(vm, plan, run, at, buf);
	free(buf);
	return ret;
}

int x86_tdx_finish(struct vm *vm)
{
	u64 hw_error = 0;
	int ret = init_vcpus(vm);

	if (ret)
		return ret;
	ret = finish_command(vm->kvm.vm_fd, KVM_TDX_FINALIZE_VM, 0, &hw_error);
	if (ret)
		err("--tdx: the trust domain cannot be finished: KVM_TDX_FINALIZE_VM: %s (0x%llx)",
		    strerror(-ret), hw_error);
	return ret;
}

void x86_tdx_destroy(struct vm *vm)
{
	struct x86_tdx *tdx = vm->arch ? vm->arch->tdx : NULL;

	if (!tdx)
		return;
	free(tdx->configurable);
	free(tdx);
	vm->arch->tdx = NULL;
}
