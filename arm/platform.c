/* SPDX-License-Identifier: MIT */
/* The arm64 platform as data, and what is checked before there is a VM. */
#include "arm.h"
#include "layout.h"
#include "lkvm/arch.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/options.h"
#include "pkvm.h"
#include "realm.h"

/* A GICv2 tells its CPU interfaces apart by 8 bits (Arm IHI 0048B, 4.3.12). */
#define GICV2_MAX_VCPUS 8U

/* kvmtool's places, in its order, with this architecture's names. */
static const char *const kernel_search[] = {
	"./Image",	    "arch/arm64/boot/Image", "../../arch/arm64/boot/Image",
	"/boot/vmlinuz-%r", "/boot/Image-%r",	     NULL,
};

const struct arch_platform arch_platform = {
	.name = "arm64",
	.option_mask = OPT_ARCH_ARM64,
	.kernel_search = kernel_search,
	.default_console = "ttyS0",
	.ram_base = ARM_RAM,
	.firmware_args = true,
	/* A level, since the ACPI tables that EDK2 makes of the tree say so whatever the tree says:
	 * a guest that takes an edge for a level sees the interrupt without end. */
	.serial = { .base = ARM_UART, .size = 8, .gsi = ARM_GSI_UART },
	.pvpanic_pci = true,
	.debug_exit = { .base = ARM_DEBUG_EXIT, .size = 4 },
	.flash = { .base = ARM_FLASH, .size = ARM_FLASH_MAX },
	.boot_mark = { .base = ARM_BOOT_MARK, .size = 4 },
	.boot_timers = { { .base = ARM_BOOT_TIMER, .size = 4 } },
	.pci = {
		.ecam_base = ARM_ECAM,
		.ecam_size = ARM_ECAM_SIZE,
		.mem32_base = ARM_PCI_MEM32,
		.mem32_size = ARM_PCI_MEM32_SIZE,
		.mem64_size = ARM_PCI_MEM64_SIZE,
		.io_base = 0,
		.io_size = ARM_PCI_IO_SIZE,
		.io_in_mmio = true,
		.io_mmio_base = ARM_PCI_IO,
		.intx_gsi = { ARM_GSI_INTX, ARM_GSI_INTX + 1, ARM_GSI_INTX + 2, ARM_GSI_INTX + 3 },
	},
	.virtio_mmio_base = ARM_VIRTIO_MMIO,
	.virtio_mmio_stride = ARM_VIRTIO_STRIDE,
	.virtio_mmio_max = ARM_NR_LINES - ARM_GSI_VIRTIO_MMIO,
	.virtio_mmio_gsi = ARM_GSI_VIRTIO_MMIO,
};

static bool is_gicv2(enum arm_irqchip kind)
{
	return kind == ARM_IRQCHIP_GICV2 || kind == ARM_IRQCHIP_GICV2M;
}

bool arch_firmware_takes_kernel(const struct vm_config *cfg)
{
	return false;
}

int arch_config_complete(struct vm_config *cfg)
{
	const char *chip = arm_irqchip_names[cfg->arm.irqchip];

	if (cfg->cpus > ARM_MAX_VCPUS) {
		err("--cpus %u: the maximum on arm64 is %u vcpus", cfg->cpus, ARM_MAX_VCPUS);
		return -EINVAL;
	}
	if (is_gicv2(cfg->arm.irqchip) && cfg->cpus > GICV2_MAX_VCPUS) {
		err("--cpus %u: a GICv2 serves at most %u vcpus; use --irqchip gicv3", cfg->cpus,
		    GICV2_MAX_VCPUS);
		return -EINVAL;
	}
	if (is_gicv2(cfg->arm.irqchip) && cfg->arm.nested) {
		err("--nested: needs a GICv3: use --irqchip gicv3 or gicv3-its instead of %s",
		    chip);
		return -EINVAL;
	}
	if (cfg->arm.gicv4 == SWITCH_ON && cfg->arm.irqchip != ARM_IRQCHIP_DEFAULT &&
	    cfg->arm.irqchip != ARM_IRQCHIP_GICV3_ITS) {
		err("--gicv4 on: direct injection is the ITS's: use --irqchip gicv3-its instead of "
		    "%s",
		    chip);
		return -EINVAL;
	}
	if (arm_pkvm_check(cfg) || arm_realm_check(cfg))
		return -EINVAL;
	return arm_cpu_check(cfg);
}

int arch_check_host(const struct kvm *kvm)
{
	static const struct kvm_need needed[] = {
		{ KVM_CAP_USER_MEMORY, "USER_MEMORY", "the guest's memory" },
		{ KVM_CAP_ONE_REG, "ONE_REG", "the registers of vcpus" },
		{ KVM_CAP_DEVICE_CTRL, "DEVICE_CTRL", "the interrupt controller" },
		{ KVM_CAP_IRQCHIP, "IRQCHIP", "interrupts" },
		{ KVM_CAP_IRQ_ROUTING, "IRQ_ROUTING", "interrupt routes" },
		{ KVM_CAP_IRQFD, "IRQFD", "interrupts of devices" },
		{ KVM_CAP_IOEVENTFD, "IOEVENTFD", "notifications to devices" },
		{ KVM_CAP_ARM_PSCI_0_2, "ARM_PSCI_0_2", "starting vcpus and switching off" },
		{ KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT", "stopping vcpus" },
	};

	return kvm_require(kvm, needed, ARRAY_SIZE(needed));
}
