/* SPDX-License-Identifier: MIT */
/*
 * The VM as arm64 wants it: its address space, the parts that KVM must know before and after its
 * vcpus, and the devices that stand at fixed places (Linux Documentation/virt/kvm/api.rst, 4.2).
 */
#include "lkvm/vm.h"

#include <stdlib.h>

#include "arm.h"
#include "layout.h"
#include "lkvm/arch.h"
#include "lkvm/boot-fdt.h"
#include "lkvm/hw.h"
#include "lkvm/log.h"
#include "lkvm/pci.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "pkvm.h"
#include "realm.h"

/* api.rst 4.2: a KVM that cannot choose has 40 bits; one that can, takes 32 and up. */
#define IPA_BITS_FIXED 40U
#define IPA_BITS_MIN   32U

static struct boot_map_rules map_rules(const struct vm_config *cfg)
{
	return (struct boot_map_rules){
		.ram = ARM_RAM,
		.pci_mem64_size = ARM_PCI_MEM64_SIZE,
		.bits_min = IPA_BITS_MIN,
		/* The upper half of a realm's addresses is the lower one as the host sees it. */
		.bits_taken = cfg->arm.realm.on ? 1 : 0,
	};
}

void arm_map_memory(const struct vm_config *cfg, u64 pmem, struct boot_map *map)
{
	const struct boot_map_rules rules = map_rules(cfg);

	boot_map_memory(&rules, cfg, pmem, map);
}

const struct coco_ops *arch_coco(const struct vm_config *cfg)
{
	const struct coco_ops *realm = arm_realm_ops(cfg);

	return realm ? realm : arm_pkvm_ops(cfg);
}

int arch_vm_type(const struct kvm *kvm, const struct vm_config *cfg, u64 pmem, u64 *type)
{
	const struct boot_map_rules rules = map_rules(cfg);
	int cap = kvm_check_cap(kvm, KVM_CAP_ARM_VM_IPA_SIZE);
	u32 max = cap > 0 ? (u32)cap : IPA_BITS_FIXED;
	struct boot_map map;
	int ret;

	boot_map_memory(&rules, cfg, pmem, &map);
	ret = boot_map_check(&rules, cfg, pmem, &map, max);
	if (!ret)
		*type = cap > 0 ? map.bits : 0;
	return ret;
}

static void init_arch(struct vm *vm)
{
	struct boot_map map;

	arm_map_memory(vm->cfg, vm->pmem_size, &map);
	vm->arch = xcalloc(1, sizeof(*vm->arch));
	vm->arch->gic.fd = -1;
	vm->arch->gic.its_fd = -1;
	vm->arch->ipa_bits = map.bits;
	vm->arch->ram_end = map.ram_end;
	vm->arch->pmem_base = map.pmem_base;
	vm->arch->pci_mem64_base = map.pci_mem64_base;
}

int arch_add_memory(struct vm *vm)
{
	init_arch(vm);
	return vm_add_ram(vm, ARM_RAM, vm->cfg->memory, "ram");
}

int arch_sketch(struct vm *vm, const struct boot *boot)
{
	int ret;

	init_arch(vm);
	ret = arm_cpu_sketch(vm);
	if (ret)
		return ret;
	arm_gic_sketch(vm);
	return vm_sketch_ram(vm, ARM_RAM, vm->cfg->memory, "ram");
}

u64 arch_pmem_base(const struct vm *vm)
{
	return vm->arch->pmem_base;
}

u64 arch_pci_mem64_base(const struct vm *vm)
{
	return vm->arch->pci_mem64_base;
}

int arch_vm_init(struct vm *vm, const struct boot *boot)
{
	int ret;

	/* An access whose syndrome does not describe it then comes here with its address; of a
	 * realm nothing does. */
	if (!vm->arch->realm && kvm_enable_cap(&vm->kvm, KVM_CAP_ARM_NISV_TO_USER, 0))
		debug("KVM_CAP_ARM_NISV_TO_USER is not available");
	ret = arm_cpu_init(vm);
	if (!ret)
		ret = arm_gic_init(vm);
	if (!ret)
		ret = arm_psci_init(vm);
	if (!ret)
		ret = arm_pvtime_init(vm);
	return ret;
}

void arch_pci_make_room(const struct vm *vm, struct arch_pci_layout *l) {}

u32 arch_pci_bridge_id(const struct vm *vm)
{
	return PCI_BRIDGE_GENERIC;
}

int arch_vm_late_init(struct vm *vm)
{
	int ret = arm_gic_finish(vm);

	return ret ? ret : arm_cpu_late(vm);
}

/*
 * What EDK2's firmware for kvmtool asks of the tree. It takes no other clock, and Linux's driver of
 * this one is not for arm64. From the second serial port it makes the debug port of its ACPI
 * tables: when one of them cannot be made, the guest gets none, and no device tree either.
 */
static int add_firmware_devices(struct vm *vm)
{
	static const struct arch_place rtc = { .base = ARM_PC_RTC };
	static const struct arch_place uart = { .base = ARM_DEBUG_UART,
						.size = 8,
						.gsi = ARM_GSI_DEBUG_UART };
	int ret = mc146818_create(vm, &rtc);

	return ret ? ret : serial_create(vm, &uart, 0, NULL);
}

int arm_add_fixed_devices(struct vm *vm)
{
	static const struct arch_place rtc = { .base = ARM_RTC,
					       .size = 4 * KiB,
					       .gsi = ARM_GSI_RTC };
	static const struct arch_place gpio = { .base = ARM_GPIO,
						.size = 4 * KiB,
						.gsi = ARM_GSI_GPIO };
	int ret = pl031_create(vm, &rtc);

	if (!ret && vm->cfg->firmware)
		ret = add_firmware_devices(vm);
	if (!ret)
		ret = pl061_create(vm, &gpio, &vm->arch->gpio);
	return ret;
}

/* The interrupt controller comes first: the lines of all others lead there. */
int arch_add_devices(struct vm *vm)
{
	int ret = arm_gic_add_devices(vm);

	return ret ? ret : arm_add_fixed_devices(vm);
}

int arch_power_button(struct vm *vm)
{
	if (!vm->arch || !vm->arch->gpio)
		return -ENOTSUP;
	pl061_press(vm->arch->gpio);
	return 0;
}

void arch_vm_destroy(struct vm *vm)
{
	if (!vm->arch)
		return;
	arm_pvtime_destroy(vm);
	arm_psci_destroy(vm);
	arm_gic_destroy(vm);
	free(vm->arch);
	vm->arch = NULL;
}
