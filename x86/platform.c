/* SPDX-License-Identifier: MIT */
/* The x86 platform as data, and what is checked before there is a VM. */
#include "platform.h"
#include "cpu.h"
#include "layout.h"
#include "lkvm/arch.h"
#include "lkvm/config.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/options.h"
#include "lkvm/pci.h"
#include "lkvm/vm.h"
#include "nested.h"
#include "snp.h"
#include "tdx.h"
#include "tuning.h"

/* kvmtool's places, in its order. */
static const char *const kernel_search[] = {
	"./bzImage",	    "arch/x86/boot/bzImage", "../../arch/x86/boot/bzImage",
	"/boot/vmlinuz-%r", "/boot/bzImage-%r",	     NULL,
};

const struct arch_platform arch_platform = {
	.name = "x86-64",
	.option_mask = OPT_ARCH_X86,
	.kernel_search = kernel_search,
	.default_console = "ttyS0",
	.serial = {
		.pio = true,
		.base = X86_PORT_COM1,
		.size = 8,
		.gsi = X86_GSI_COM1,
		.edge = true,
	},
	.pvpanic = { .pio = true, .base = X86_PORT_PVPANIC, .size = 1 },
	.debug_exit = { .pio = true, .base = X86_PORT_DEBUG_EXIT, .size = 4 },
	.boot_mark = { .pio = true, .base = X86_PORT_BOOT_MARK, .size = 1 },
	.boot_timers = { { .base = X86_BOOT_TIMER, .size = 4 }, { .base = X86_BOOT_TIMER_OLD, .size = 4 } },
	.pci = {
		.ecam_base = X86_ECAM_BASE,
		.ecam_size = X86_ECAM_SIZE,
		.mem32_base = X86_PCI_MEM32_BASE,
		.mem32_size = X86_PCI_MEM32_SIZE,
		.mem64_size = X86_PCI_MEM64_SIZE,
		.io_base = X86_PCI_IO_BASE,
		.io_size = X86_PCI_IO_SIZE,
		.config_ports = true,
		.intx_gsi = { X86_GSI_INTX, X86_GSI_INTX + 1, X86_GSI_INTX + 2, X86_GSI_INTX + 3 },
	},
	.virtio_mmio_base = X86_VIRTIO_MMIO,
	.virtio_mmio_stride = X86_VIRTIO_STRIDE,
	.virtio_mmio_max = X86_IOAPIC_PINS - X86_GSI_VIRTIO_MMIO,
	.virtio_mmio_gsi = X86_GSI_VIRTIO_MMIO,
};

/* What two options say of the same: no CPU has both. */
static int check_words(const struct vm_config *cfg, const struct x86_cpu_model *model)
{
	static const char *const kinds[] = { "vmx", "svm" };
	const struct x86_cpu_word *word = x86_cpu_model_named(model, "pmu-version");
	bool counts = word ? word->value : model->base == X86_CPU_HOST;

	if (cfg->x86.tuning.pmu == X86_PMU_ON && !counts) {
		err("--pmu on: the CPU of --cpu %s has no performance counters; omit one of them",
		    cfg->x86.cpu);
		return -EINVAL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		word = x86_cpu_model_named(model, kinds[i]);
		if (!word || !word->value || cfg->x86.nested != X86_NESTED_SWITCH_OFF)
			continue;
		err("--nested off and --cpu +%s: contradict each other; omit one of them",
		    kinds[i]);
		return -EINVAL;
	}
	return 0;
}

static int check_cpu_model(const struct vm_config *cfg)
{
	struct x86_topology topology;
	struct x86_cpu_model model;
	int ret = x86_cpu_model_parse(cfg->x86.cpu, &model);

	if (!ret)
		ret = x86_topology_init(&topology, &model, cfg->cpus);
	if (!ret)
		ret = check_words(cfg, &model);
	x86_cpu_model_destroy(&model);
	return ret;
}

int arch_config_complete(struct vm_config *cfg)
{
	int ret;

	if (cfg->cpus > X86_MAX_VCPUS) {
		err("--cpus %u: the maximum on x86 is %u vcpus", cfg->cpus, X86_MAX_VCPUS);
		return -EINVAL;
	}
	if (check_cpu_model(cfg))
		return -EINVAL;
	if (x86_tdx_complete(cfg))
		return -EINVAL;
	if (cfg->x86.irqchip == X86_IRQCHIP_FULL && x86_nr_apic_ids(cfg) > X86_XAPIC_MAX_VCPUS) {
		err("--cpus %u: the full irqchip serves at most %u vcpus; use --irqchip split",
		    cfg->cpus, X86_XAPIC_MAX_VCPUS);
		return -EINVAL;
	}
	ret = x86_snp_check(cfg);
	/* What --svm offers it cannot be had. */
	if (cfg->x86.snp.on)
		cfg->x86.nested = X86_NESTED_SWITCH_OFF;
	if (!ret)
		ret = x86_nested_check(cfg);
	return ret ? ret : x86_tuning_check(cfg);
}

/* SNP firmware has its hash, and those of what belongs to it, in its memory (snp-firmware.c). */
bool arch_firmware_takes_kernel(const struct vm_config *cfg)
{
	return cfg->x86.snp.on;
}

u32 arch_pci_bridge_id(const struct vm *vm)
{
	bool cloud = vm->cfg && vm->cfg->x86.host_bridge == X86_BRIDGE_CLOUD_HYPERVISOR;

	return cloud ? 0x0d578086 : PCI_BRIDGE_GENERIC;
}

void arch_pci_make_room(const struct vm *vm, struct arch_pci_layout *l)
{
	if (!vm->cfg->x86.testdev)
		return;
	l->io_size -= X86_TEST_IO_BASE - l->io_base;
	l->io_base = X86_TEST_IO_BASE;
}

int arch_check_host(const struct kvm *kvm)
{
	static const struct kvm_need needed[] = {
		{ KVM_CAP_USER_MEMORY, "USER_MEMORY", "the guest's memory" },
		{ KVM_CAP_SET_TSS_ADDR, "SET_TSS_ADDR", "real mode" },
		{ KVM_CAP_SET_IDENTITY_MAP_ADDR, "SET_IDENTITY_MAP_ADDR", "real mode" },
		{ KVM_CAP_EXT_CPUID, "EXT_CPUID", "the guest's CPUID" },
		{ KVM_CAP_IRQCHIP, "IRQCHIP", "interrupts" },
		{ KVM_CAP_IRQ_ROUTING, "IRQ_ROUTING", "interrupt routes" },
		{ KVM_CAP_SIGNAL_MSI, "SIGNAL_MSI", "message interrupts" },
		{ KVM_CAP_IRQFD, "IRQFD", "interrupts of devices" },
		{ KVM_CAP_IOEVENTFD, "IOEVENTFD", "notifications to devices" },
		{ KVM_CAP_MP_STATE, "MP_STATE", "starting and resetting vcpus" },
		{ KVM_CAP_VCPU_EVENTS, "VCPU_EVENTS", "resetting vcpus" },
		{ KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT", "stopping vcpus" },
	};

	return kvm_require(kvm, needed, ARRAY_SIZE(needed));
}

const struct coco_ops *arch_coco(const struct vm_config *cfg)
{
	return cfg->x86.tdx.on ? x86_tdx_ops(cfg) : x86_snp_ops(cfg);
}

int arch_vm_type(const struct kvm *kvm, const struct vm_config *cfg, u64 pmem, u64 *type)
{
	*type = 0;
	return 0;
}
