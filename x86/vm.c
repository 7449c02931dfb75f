/* SPDX-License-Identifier: MIT */
/*
 * The VM as x86 wants it: RAM around the hole below 4 GiB, KVM's own pages, capabilities, and the
 * devices that only a PC has (Linux Documentation/virt/kvm/api.rst).
 */
#include "lkvm/vm.h"

#include <stdlib.h>

#include "layout.h"
#include "lkvm/arch.h"
#include "lkvm/config.h"
#include "lkvm/hw.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "nested.h"
#include "platform.h"
#include "pristine.h"
#include "tdx-quote.h"
#include "tdx.h"
#include "tuning.h"
#include "vcpu-state.h"
#include "x86.h"

#define MAX_PHYS_BITS 52U /* of any x86 CPU (Intel SDM volume 3, 4.1.4) */

/* RAM, then the window for 64-bit BARs, must end within the guest's physical addresses. */
static int lay_out(struct vm *vm)
{
	struct arch_vm *arch = vm->arch;
	u64 memory = vm->cfg->memory;
	u64 hole = X86_HOLE_END - X86_HOLE_BASE;
	u64 ram_end = memory > X86_HOLE_BASE ? memory + hole : X86_HOLE_END;
	u64 top = 1ULL << MIN(arch->phys_bits, MAX_PHYS_BITS);

	arch->pmem_base = ALIGN_UP(ram_end, PMEM_ALIGN);
	arch->pci_mem64_base = ALIGN_UP((vm->pmem_size ? arch->pmem_base : ram_end) + vm->pmem_size,
					X86_PCI_MEM64_SIZE);
	if (vm->pmem_size && !range_within(arch->pci_mem64_base, X86_PCI_MEM64_SIZE, 0, top)) {
		err("--pmem: %lluG of files, and --mem, are more than a guest's %u address bits "
		    "reach "
		    "on this host; omit some",
		    vm->pmem_size / GiB, arch->phys_bits);
		return -EINVAL;
	}
	if (!range_within(arch->pci_mem64_base, X86_PCI_MEM64_SIZE, 0, top)) {
		u64 most = ALIGN_DOWN(top - X86_PCI_MEM64_SIZE, X86_PCI_MEM64_SIZE) - hole;
		char size[32], limit[32];

		err("--mem %s: is more than a guest's %u address bits reach on this host; the "
		    "maximum is %s",
		    format_size(memory, size, sizeof(size)), arch->phys_bits,
		    format_size(most, limit, sizeof(limit)));
		return -EINVAL;
	}
	return 0;
}

/* Addresses with the bit by which a trust domain shares are no others. */
static u32 limit_bits(const struct vm *vm, u32 bits)
{
	return vm->cfg->x86.tdx.on ? MIN(bits, X86_TDX_PHYS_BITS) : bits;
}

static int get_supported(void *opaque, struct kvm_cpuid2 *cpuid)
{
	const struct kvm *kvm = opaque;

	return xioctl(kvm->sys_fd, KVM_GET_SUPPORTED_CPUID, cpuid);
}

/* All that KVM supports becomes what --cpu makes of it. */
static int apply_cpu_model(struct vm *vm)
{
	bool deadline = kvm_check_cap(&vm->kvm, KVM_CAP_TSC_DEADLINE_TIMER) > 0;
	struct arch_vm *arch = vm->arch;
	struct kvm_cpuid2 *cpuid;
	int ret = x86_cpu_model_parse(vm->cfg->x86.cpu, &arch->cpu_model);

	if (ret || x86_cpu_model_is_plain(&arch->cpu_model))
		return ret;
	ret = x86_cpu_apply(&arch->cpu_model, arch->cpuid, deadline, &cpuid);
	if (ret)
		return ret;
	free(arch->cpuid);
	arch->cpuid = cpuid;
	return 0;
}

static int add_ram(struct vm *vm, int (*add)(struct vm *vm, u64 gpa, u64 size, const char *name))
{
	u64 memory = vm->cfg->memory;
	int ret = add(vm, 0, MIN(memory, X86_HOLE_BASE), "ram-low");

	if (ret || memory <= X86_HOLE_BASE)
		return ret;
	return add(vm, X86_HOLE_END, memory - X86_HOLE_BASE, "ram-high");
}

int arch_add_memory(struct vm *vm)
{
	int ret;

	vm->arch = xcalloc(1, sizeof(*vm->arch));
	vm->arch->topology = x86_topology_of(vm->cfg);
	ret = x86_cpuid_supported(get_supported, &vm->kvm, &vm->arch->cpuid);
	if (ret) {
		err("cannot read what CPUs KVM offers: KVM_GET_SUPPORTED_CPUID: %s",
		    strerror(-ret));
		return ret;
	}
	/* Of what KVM has: a model may leave less. */
	ret = x86_nested_init(vm);
	if (!ret)
		ret = apply_cpu_model(vm);
	if (ret)
		return ret;
	vm->arch->phys_bits = limit_bits(vm, x86_cpuid_phys_bits(vm->arch->cpuid));
	ret = lay_out(vm);
	if (ret)
		return ret;
	return add_ram(vm, vm_add_ram);
}

int arch_sketch(struct vm *vm, const struct boot *boot)
{
	int ret;

	vm->arch = xcalloc(1, sizeof(*vm->arch));
	vm->arch->topology = x86_topology_of(vm->cfg);
	vm->arch->phys_bits = limit_bits(vm, MAX_PHYS_BITS);
	vm->arch->split_irqchip = x86_wants_split_irqchip(vm->cfg, boot);
	ret = lay_out(vm);
	return ret ? ret : add_ram(vm, vm_sketch_ram);
}

u64 arch_pmem_base(const struct vm *vm)
{
	return vm->arch->pmem_base;
}

u64 arch_pci_mem64_base(const struct vm *vm)
{
	return vm->arch->pci_mem64_base;
}

/*
 * Improvements that a host may lack: nothing depends on them. KVM_CAP_EXIT_ON_EMULATION_FAILURE is
 * none: without it an instruction that KVM cannot emulate ends the VM only where the guest's kernel
 * runs it, and what hurts one of its programs, or its guest, is that one's #UD.
 */
static void enable_optional_caps(struct vm *vm)
{
	/* An id beyond the last vcpu's then costs KVM no memory. */
	if (kvm_enable_cap(&vm->kvm, KVM_CAP_MAX_VCPU_ID, x86_topology_nr_ids(&vm->arch->topology)))
		debug("KVM_CAP_MAX_VCPU_ID is not available");
}

/* Gaps between APIC ids count, too. Where there are none kvm_check_vcpus has the answer. */
static int check_ids(const struct vm *vm)
{
	u32 ids = x86_topology_nr_ids(&vm->arch->topology);
	int max;

	if (ids == vm->cfg->cpus)
		return 0;
	max = kvm_check_cap(&vm->kvm, KVM_CAP_MAX_VCPU_ID);
	if (max <= 0 || ids <= (u32)max)
		return 0;
	err("--cpu: this topology of %u vcpus has APIC ids up to %u, and this host's KVM only "
	    "those up to %d; make the counts powers of two",
	    vm->cfg->cpus, ids - 1, max - 1);
	return -EINVAL;
}

/* KVM's own pages, which it needs for guests in real mode on old CPUs. */
static int set_real_mode_pages(const struct vm *vm)
{
	u64 identity_map = X86_IDENTITY_MAP;
	int ret = xioctl(vm->kvm.vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &identity_map);

	if (ret < 0) {
		err("cannot set up the VM: KVM_SET_IDENTITY_MAP_ADDR: %s", strerror(-ret));
		return ret;
	}
	ret = xioctl_val(vm->kvm.vm_fd, KVM_SET_TSS_ADDR, X86_TSS);
	if (ret < 0) {
		err("cannot set up the VM: KVM_SET_TSS_ADDR: %s", strerror(-ret));
		return ret;
	}
	return 0;
}

int arch_vm_init(struct vm *vm, const struct boot *boot)
{
	bool tdx = vm->arch->tdx;
	int ret = check_ids(vm);

	if (!ret && !tdx)
		ret = set_real_mode_pages(vm);
	if (ret)
		return ret;
	enable_optional_caps(vm);
	vm->arch->multiboot = x86_is_multiboot(vm->cfg, boot);
	ret = x86_caps_check(&vm->kvm, vm->cfg, vm->arch->cpuid);
	/* A trust domain's is set when it is made. */
	if (!ret && !tdx)
		ret = x86_tsc_begin(&vm->kvm, vm->cfg);
	if (!ret)
		ret = x86_irqchip_init(vm, boot);
	if (!ret && tdx)
		x86_tdx_set_bus(vm);
	if (!ret)
		ret = x86_caps_enable(&vm->kvm, vm->cfg);
	if (!ret)
		ret = x86_pmu_set_filter(&vm->kvm, vm->cfg, vm->arch->cpuid);
	if (!ret)
		x86_limits_init(vm);
	return ret;
}

int arch_vm_late_init(struct vm *vm)
{
	return x86_tsc_end(vm);
}

/* The interrupt controllers come first: the lines of all others lead there. */
int arch_add_devices(struct vm *vm)
{
	static const struct arch_place post_port = { .pio = true,
						     .base = X86_PORT_POST,
						     .size = 1 };
	int ret;

	ret = x86_irqchip_create(vm);
	if (ret)
		return ret;
	ret = x86_clock_create(vm);
	if (ret)
		return ret;
	ret = x86_pm_create(vm, &vm->arch->pm);
	if (ret)
		return ret;
	ret = x86_pm1_create(vm);
	if (ret)
		return ret;
	ret = i8042_create(vm);
	if (!ret && !transport_is_pci(vm->cfg->transport))
		ret = reset_control_create(vm);
	if (ret)
		return ret;
	if (vm->arch->tdx)
		ret = x86_tdx_quote_create(vm, &vm->arch->tdx->quotes);
	if (!ret)
		ret = cmos_rtc_create(vm);
	if (!ret && vm->cfg->x86.post_codes)
		ret = post_code_create(vm, &post_port);
	if (!ret && vm->cfg->x86.testdev)
		ret = x86_testdev_create(vm);
	if (!ret && (vm->cfg->x86.testdev || vm->arch->multiboot))
		ret = x86_machine_cfg_create(vm, vm->cfg->x86.testdev);
	if (ret)
		return ret;
	/* Each byte costs an exit: only where somebody reads it. */
	return log_get_level() < LOG_DEBUG ? 0 : debug_port_create(vm, X86_PORT_DEBUG);
}

void arch_vm_destroy(struct vm *vm)
{
	if (!vm->arch)
		return;
	x86_pristine_destroy(vm);
	x86_state_destroy(vm);
	free(vm->arch->cpuid);
	free(vm->arch->nested);
	x86_cpu_model_destroy(&vm->arch->cpu_model);
	free(vm->arch);
	vm->arch = NULL;
}
