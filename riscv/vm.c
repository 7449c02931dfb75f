/* SPDX-License-Identifier: MIT */
/*
 * The VM as riscv64 wants it: its address space, the parts that KVM must know before and after its
 * vcpus, and the devices that stand at fixed places (Linux Documentation/virt/kvm/api.rst).
 */
#include "lkvm/vm.h"

#include <stdlib.h>

#include "layout.h"
#include "lkvm/arch.h"
#include "lkvm/boot-fdt.h"
#include "lkvm/hw.h"
#include "lkvm/log.h"
#include "lkvm/pci.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "riscv.h"

/* Stage 2 of Sv39x4, which every CPU with the H extension has (The RISC-V Instruction Set Manual
 * Volume II, 18.5.1). */
#define GPA_BITS_MIN 41U

static const struct boot_map_rules map_rules = {
	.ram = RISCV_RAM,
	.pci_mem64_size = RISCV_PCI_MEM64_SIZE,
	.bits_min = GPA_BITS_MIN,
};

void riscv_map_memory(const struct vm_config *cfg, u64 pmem, struct boot_map *map)
{
	boot_map_memory(&map_rules, cfg, pmem, map);
}

const struct coco_ops *arch_coco(const struct vm_config *cfg)
{
	return NULL;
}

int arch_vm_type(const struct kvm *kvm, const struct vm_config *cfg, u64 pmem, u64 *type)
{
	int cap = kvm_check_cap(kvm, KVM_CAP_VM_GPA_BITS);
	struct boot_map map;

	*type = 0;
	riscv_map_memory(cfg, pmem, &map);
	return boot_map_check(&map_rules, cfg, pmem, &map, cap > 0 ? (u32)cap : GPA_BITS_MIN);
}

static void init_arch(struct vm *vm)
{
	struct boot_map map;

	riscv_map_memory(vm->cfg, vm->pmem_size, &map);
	vm->arch = xcalloc(1, sizeof(*vm->arch));
	pthread_mutex_init(&vm->arch->stops.lock, NULL);
	vm->arch->irqchip.fd = -1;
	vm->arch->gpa_bits = map.bits;
	vm->arch->pmem_base = map.pmem_base;
	vm->arch->pci_mem64_base = map.pci_mem64_base;
}

/*
 * Fewer bits are fewer levels for the host's CPU to walk at each miss of its TLB. From Linux 7.2
 * on; before there is memory, and without it the guest has what the host has.
 */
static void shorten_walks(const struct vm *vm)
{
	int ret = kvm_enable_cap(&vm->kvm, KVM_CAP_VM_GPA_BITS, vm->arch->gpa_bits);

	if (ret)
		debug("KVM_CAP_VM_GPA_BITS cannot be lowered to %u: %s", vm->arch->gpa_bits,
		      strerror(-ret));
}

int arch_add_memory(struct vm *vm)
{
	init_arch(vm);
	shorten_walks(vm);
	return vm_add_ram(vm, RISCV_RAM, vm->cfg->memory, "ram");
}

int arch_sketch(struct vm *vm, const struct boot *boot)
{
	int ret;

	init_arch(vm);
	ret = riscv_cpu_sketch(vm);
	if (ret)
		return ret;
	riscv_irqchip_sketch(vm);
	return vm_sketch_ram(vm, RISCV_RAM, vm->cfg->memory, "ram");
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
	int ret = riscv_cpu_init(vm);

	vm->arch->mp_state_reset = !kvm_enable_cap(&vm->kvm, KVM_CAP_RISCV_MP_STATE_RESET, 0);
	return ret ? ret : riscv_irqchip_init(vm);
}

void arch_pci_make_room(const struct vm *vm, struct arch_pci_layout *l) {}

u32 arch_pci_bridge_id(const struct vm *vm)
{
	return PCI_BRIDGE_GENERIC;
}

int arch_vm_late_init(struct vm *vm)
{
	return riscv_irqchip_finish(vm);
}

static int add_fixed_devices(struct vm *vm)
{
	static const struct arch_place rtc = { .base = RISCV_RTC,
					       .size = 4 * KiB,
					       .gsi = RISCV_GSI_RTC };
	static const struct arch_place syscon = { .base = RISCV_SYSCON, .size = 4 * KiB };
	int ret = goldfish_rtc_create(vm, &rtc, &vm->arch->rtc);

	return ret ? ret : syscon_create(vm, &syscon);
}

/* The interrupt controller comes first: the lines of all others lead there. */
int arch_add_devices(struct vm *vm)
{
	int ret = riscv_irqchip_add_devices(vm);

	return ret ? ret : add_fixed_devices(vm);
}

/* The kernels that are in use have no driver for a key here. */
int arch_power_button(struct vm *vm)
{
	return -ENOTSUP;
}

void arch_vm_destroy(struct vm *vm)
{
	if (!vm->arch)
		return;
	riscv_irqchip_destroy(vm);
	riscv_cpu_destroy(vm);
	pthread_mutex_destroy(&vm->arch->stops.lock);
	free(vm->arch->stops.list);
	free(vm->arch);
	vm->arch = NULL;
}
