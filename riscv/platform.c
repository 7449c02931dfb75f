/* SPDX-License-Identifier: MIT */
/* The riscv64 platform as data, and what is checked before there is a VM. */
#include "layout.h"
#include "lkvm/arch.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/options.h"
#include "riscv.h"

/* kvmtool's places, in its order, with this architecture's names. */
static const char *const kernel_search[] = {
	"./Image",	    "arch/riscv/boot/Image", "../../arch/riscv/boot/Image",
	"/boot/vmlinuz-%r", "/boot/Image-%r",	     NULL,
};

const struct arch_platform arch_platform = {
	.name = "riscv64",
	.option_mask = OPT_ARCH_RISCV,
	.kernel_search = kernel_search,
	.default_console = "ttyS0",
	.ram_base = RISCV_RAM,
	.firmware_args = true,
	.firmware_console = true,
	.serial = { .base = RISCV_UART, .size = 8, .gsi = RISCV_GSI_UART },
	.pvpanic_pci = true,
	.debug_exit = { .base = RISCV_DEBUG_EXIT, .size = 4 },
	.flash = { .base = RISCV_FLASH, .size = RISCV_FLASH_MAX },
	.boot_mark = { .base = RISCV_BOOT_MARK, .size = 4 },
	.pci = {
		.ecam_base = RISCV_ECAM,
		.ecam_size = RISCV_ECAM_SIZE,
		.mem32_base = RISCV_PCI_MEM32,
		.mem32_size = RISCV_PCI_MEM32_SIZE,
		.mem64_size = RISCV_PCI_MEM64_SIZE,
		.io_base = 0,
		.io_size = RISCV_PCI_IO_SIZE,
		.io_in_mmio = true,
		.io_mmio_base = RISCV_PCI_IO,
		.intx_gsi = { RISCV_GSI_INTX, RISCV_GSI_INTX + 1, RISCV_GSI_INTX + 2,
			      RISCV_GSI_INTX + 3 },
	},
	.virtio_mmio_base = RISCV_VIRTIO_MMIO,
	.virtio_mmio_stride = RISCV_VIRTIO_STRIDE,
	.virtio_mmio_max = RISCV_NR_LINES - RISCV_GSI_VIRTIO_MMIO,
	.virtio_mmio_gsi = RISCV_GSI_VIRTIO_MMIO,
};

bool arch_firmware_takes_kernel(const struct vm_config *cfg)
{
	return false;
}

int arch_config_complete(struct vm_config *cfg)
{
	int ret = riscv_irqchip_check(cfg);

	if (ret)
		return ret;
	if (cfg->cpus > RISCV_MAX_VCPUS) {
		err("--cpus %u: the maximum on riscv64 is %u vcpus", cfg->cpus, RISCV_MAX_VCPUS);
		return -EINVAL;
	}
	return riscv_cpu_check(cfg);
}

int arch_check_host(const struct kvm *kvm)
{
	static const struct kvm_need needed[] = {
		{ KVM_CAP_USER_MEMORY, "USER_MEMORY", "the guest's memory" },
		{ KVM_CAP_ONE_REG, "ONE_REG", "the registers of vcpus" },
		{ KVM_CAP_DEVICE_CTRL, "DEVICE_CTRL", "the interrupt controller" },
		{ KVM_CAP_IOEVENTFD, "IOEVENTFD", "notifications to devices" },
		{ KVM_CAP_MP_STATE, "MP_STATE", "starting vcpus" },
		{ KVM_CAP_IMMEDIATE_EXIT, "IMMEDIATE_EXIT", "stopping vcpus" },
	};

	return kvm_require(kvm, needed, ARRAY_SIZE(needed));
}
