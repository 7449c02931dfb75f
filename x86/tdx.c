/* SPDX-License-Identifier: MIT */
/* Trust domains: what one cannot have, why a host has none, and the table of coco.h. See tdx.h. */
#include "tdx.h"

#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "cpu.h"
#include "lkvm/coco.h"
#include "lkvm/config.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/measure.h"
#include "lkvm/plan.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "topology.h"

#define OPTION "--tdx"

static int refuse(const char *what, const char *why)
{
	return coco_refuse(OPTION, what, why);
}

/* The configuration */

static int check_alone(const struct x86_tdx_config *tdx)
{
	const char *given = tdx->has_attributes	    ? "attributes"
			    : tdx->has_xfam	    ? "xfam"
			    : tdx->has_config_id    ? "mrconfigid"
			    : tdx->has_owner	    ? "mrowner"
			    : tdx->has_owner_config ? "mrownerconfig"
			    : tdx->quote	    ? "quote"
						    : NULL;

	if (!given)
		return 0;
	err("--tdx-%s: is for trust domains; add --tdx, or omit it", given);
	return -EINVAL;
}

static int check_cpu(const struct vm_config *cfg)
{
	/* KVM refuses them in every TD. */
	static const char *const refused[] = { "hle", "rtm", "waitpkg" };
	struct x86_cpu_model model;
	int ret = x86_cpu_model_parse(cfg->x86.cpu, &model);

	for (size_t i = 0; i < ARRAY_SIZE(refused) && !ret; i++) {
		const struct x86_cpu_word *word = x86_cpu_model_named(&model, refused[i]);
		char *what;

		if (!word || !word->value)
			continue;
		what = xasprintf("--cpu +%s", refused[i]);
		ret = refuse(what, "KVM gives it to no trust domain");
		free(what);
	}
	x86_cpu_model_destroy(&model);
	if (!ret && x86_nr_apic_ids(cfg) != cfg->cpus)
		return refuse("a topology of --cpu whose APIC ids have gaps",
			      "the TDX module only counts its vcpus; make the counts powers of "
			      "two");
	return ret;
}

/* How the guest's time is spent, counted and measured is the module's. */
static int check_tuning(const struct x86_tuning *t)
{
	static const char modules[] = "that is the TDX module's to decide";

	if (t->disable_exits)
		return refuse("--disable-exits", modules);
	if (t->pmu == X86_PMU_ON || t->pmu_filter)
		return refuse(t->pmu_filter ? "--pmu-filter" : "--pmu on",
			      "a trust domain has counters by --tdx-attributes +perfmon alone");
	if (t->bus_lock_limit)
		return refuse("--bus-lock-limit", modules);
	if (t->has_notify_window)
		return refuse("--notify-window", modules);
	if (t->apic_bus_hz && t->apic_bus_hz != X86_TDX_CRYSTAL_HZ)
		return refuse("another --apic-bus-hz than 25000000",
			      "that is a trust domain's crystal");
	if (t->tsc_khz % X86_TDX_CRYSTAL_KHZ) {
		err("--tsc-khz %u: a trust domain's is a multiple of %u; the next below is %u",
		    t->tsc_khz, X86_TDX_CRYSTAL_KHZ, t->tsc_khz - t->tsc_khz % X86_TDX_CRYSTAL_KHZ);
		return -EINVAL;
	}
	return 0;
}

static int check_machine(const struct vm_config *cfg)
{
	static const char not_offered[] = "KVM does not offer it to trust domains";

	if (cfg->x86.irqchip == X86_IRQCHIP_FULL)
		return refuse("--irqchip full", "its 8259s and IOAPIC are not for trust domains");
	if (cfg->x86.nested == X86_NESTED_SWITCH_ON)
		return refuse("--nested on", not_offered);
	if (cfg->x86.vmx || cfg->x86.svm)
		return refuse(cfg->x86.vmx ? "--vmx" : "--svm", not_offered);
	if (cfg->x86.testdev)
		return refuse("--testdev", "its images know no trust domain");
	if (cfg->x86.kernel_format == X86_KERNEL_PVH ||
	    cfg->x86.kernel_format == X86_KERNEL_MULTIBOOT)
		return refuse("--kernel-format pvh or multiboot",
			      "a trust domain's kernel is entered in 64-bit mode");
	if (cfg->halt == HALT_END)
		return refuse("--halt end", "whether its vcpus take interrupts nobody can see");
	if (coco_check(cfg, OPTION))
		return -EINVAL;
	/* KVM cannot see the end of an interrupt, which level-triggered ones wait for. */
	if (!transport_is_pci(cfg->transport))
		return refuse("--virtio-transport mmio",
			      "its interrupts are level-triggered, and a trust domain's must not "
			      "be");
	return 0;
}

int x86_tdx_complete(struct vm_config *cfg)
{
	int ret;

	if (!cfg->x86.tdx.on)
		return check_alone(&cfg->x86.tdx);
	ret = check_machine(cfg);
	if (!ret)
		ret = check_tuning(&cfg->x86.tuning);
	if (!ret)
		ret = check_cpu(cfg);
	if (ret)
		return ret;
	cfg->x86.irqchip = X86_IRQCHIP_SPLIT;
	cfg->x86.nested = X86_NESTED_SWITCH_OFF;
	return 0;
}

/* The host */

static bool is_intel(void)
{
	u32 eax, ebx, ecx, edx;

	/* "GenuineIntel" */
	return __get_cpuid(0, &eax, &ebx, &ecx, &edx) && ebx == 0x756e6547;
}

/* 'Y', 'N'; 0: it is not there. */
static char module_parameter(const char *root, const char *name)
{
	char *path = xasprintf("%s/sys/module/kvm_intel%s", root, name), value = 0;
	FILE *f = fopen(path, "re");

	if (f && fread(&value, 1, 1, f) != 1)
		value = 0;
	if (f)
		fclose(f);
	free(path);
	return value;
}

static bool has_module(const char *root)
{
	char *path = xasprintf("%s/sys/module/kvm_intel", root);
	bool found = !access(path, F_OK);

	free(path);
	return found;
}

int x86_tdx_vm_type(int types, const char *root, u64 *type)
{
	char on;

	if (types > 0 && types & (int)BIT(KVM_X86_TDX_VM)) {
		*type = KVM_X86_TDX_VM;
		return 0;
	}
	on = module_parameter(root, "/parameters/tdx");
	err(OPTION ": this host's KVM has no trust domains: %s; 'lkvm host' says more",
	    !is_intel()		? "its CPU is not one of Intel's"
	    : !has_module(root) ? "the module kvm_intel is not loaded"
	    : !on		? "kvm_intel knows none (that takes Linux 6.16 and "
				  "CONFIG_KVM_INTEL_TDX)"
	    : on == 'Y'		? "kvm_intel.tdx is on all the same; the kernel's log says why"
			: "kvm_intel.tdx is off: load the module with tdx=1; if it stays off, the "
			  "CPU or its firmware has no TDX");
	return -ENOTSUP;
}

static int vm_type(const struct kvm *kvm, const struct vm_config *cfg, u64 *type)
{
	return x86_tdx_vm_type(kvm_check_cap(kvm, KVM_CAP_VM_TYPES), "", type);
}

/* The measurement */

static int measure_begin(struct measure *m, const struct boot_plan *plan)
{
	m->state = xcalloc(1, sizeof(struct mrtd));
	mrtd_begin(m->state, m->log);
	return 0;
}

static int measure_place(struct measure *m, const struct boot_plan *plan,
			 const struct boot_run *run)
{
	u8 page[BOOT_PAGE];

	for (u64 at = 0; at < run->len; at += sizeof(page)) {
		int ret = boot_plan_read(plan, run->gpa + at, page, sizeof(page));

		if (ret)
			return ret;
		mrtd_page(m->state, run->gpa + at, page, run->measured);
	}
	return 0;
}

/* Vcpus do not enter, nor what they are told. */
static int measure_finish(struct measure *m)
{
	const struct x86_tdx_config *tdx = &m->vm->cfg->x86.tdx;
	struct measure_result *r = measure_add_result(m, NULL);
	u8 mrtd[MRTD_LEN];

	mrtd_value(m->state, mrtd);
	measure_add_bytes(r, "mrtd", mrtd, sizeof(mrtd));
	measure_add_bits(r, "attributes",
			 tdx->has_attributes ? tdx->attributes : X86_TDX_SEPT_VE_DISABLE);
	if (tdx->has_xfam)
		measure_add_bits(r, "xfam", tdx->xfam);
	measure_add_bytes(r, "mrconfigid", tdx->config_id, sizeof(tdx->config_id));
	measure_add_bytes(r, "mrowner", tdx->owner, sizeof(tdx->owner));
	measure_add_bytes(r, "mrownerconfig", tdx->owner_config, sizeof(tdx->owner_config));
	return 0;
}

static void measure_destroy(struct measure *m)
{
	free(m->state);
	m->state = NULL;
}

static const struct coco_measure tdx_measure = {
	.kind = "tdx",
	.option = OPTION,
	.begin = measure_begin,
	.place = measure_place,
	.finish = measure_finish,
	.destroy = measure_destroy,
};

/* KVM has no other word for it (Linux arch/x86/kvm/vmx/tdx.c, tdx_handle_ept_violation). */
static int run_failed(struct vcpu *vcpu, int error)
{
	if (error != EIO)
		return coco_fault_failed(vcpu, error);
	err("vcpu %u: the trust domain is lost: most likely it used private memory that it had not "
	    "accepted; the host's kernel log says more",
	    vcpu->id);
	return 0;
}

static const struct coco_ops tdx_ops = {
	.vm_type = vm_type,
	.memory = x86_tdx_init_vm,
	.place = x86_tdx_place,
	.finish = x86_tdx_finish,
	.exit = x86_tdx_exit,
	.run_failed = run_failed,
	.destroy = x86_tdx_destroy,
	.private_memory = true,
	.measure = &tdx_measure,
};

const struct coco_ops *x86_tdx_ops(const struct vm_config *cfg)
{
	return cfg->x86.tdx.on ? &tdx_ops : NULL;
}
