/* SPDX-License-Identifier: MIT */
/*
 * What a guest's CPUs ask of arm/: PSCI calls of three of them in any order, and walks through
 * translation tables of any contents. An input of operations.
 */
#include <linux/psci.h>

#include "../../../arm/arm.h"
#include "../../../arm/psci.h"
#include "../fuzz_vm.h"
#include "lkvm/vcpu.h"

#define NR	 3
#define MAX_OPS	 256
#define TABLES	 ARM_RAM
#define RAM_SIZE 0x10000u

static struct fz_vm v;
static struct arch_vm arch;
static struct vcpu vcpus[NR];
static struct arch_vcpu arch_vcpus[NR];
static struct kvm_run runs[NR];
static u64 args[3];

static int get_args(struct vcpu *vcpu, u64 out[3])
{
	memcpy(out, args, sizeof(args));
	return 0;
}

static int set_result(struct vcpu *vcpu, u64 x0)
{
	return 0;
}

static int set_mp_state(struct vcpu *vcpu, u32 mp)
{
	return 0;
}

static int start(struct vcpu *vcpu, u64 entry, u64 context, bool stale)
{
	/* A 32-bit call has 32-bit arguments. */
	fz_check(vcpu->id < NR && (u32)entry == (u32)args[1] && (u32)context == (u32)args[2]);
	return 0;
}

static const struct arm_psci_ops ops = { get_args, set_result, set_mp_state, start };

static void call(struct fz *f)
{
	static const u32 functions[] = { PSCI_0_2_FN_CPU_ON,	  PSCI_0_2_FN64_CPU_ON,
					 PSCI_0_2_FN_CPU_OFF,	  PSCI_0_2_FN_AFFINITY_INFO,
					 PSCI_0_2_FN_CPU_SUSPEND, PSCI_1_0_FN_PSCI_FEATURES,
					 PSCI_0_2_FN_SYSTEM_OFF,  PSCI_0_2_FN_SYSTEM_RESET };
	u8 how = fz_u8(f);
	struct vcpu *vcpu = &vcpus[how % NR];

	args[0] = how & 0x80 ? fz_u64(f) : arch_vcpus[fz_u8(f) % NR].mpidr & 0xffffff;
	args[1] = fz_u64(f);
	args[2] = fz_u64(f);
	vcpu->run->hypercall.nr = how & 0x40 ? fz_u32(f) : functions[how >> 3 & 7];
	(void)!arm_psci_call(vcpu);
	vm_clear_stop(&v.vm, v.vm.stop);
}

static void walk(struct fz *f)
{
	u8 how = fz_u8(f);
	struct arm_mmu mmu = { .on = true, .two_halves = how & 1, .wide = how & 2 };
	u64 pa;

	mmu.tcr = fz_u64(f);
	mmu.ttbr[0] = how & 4 ? fz_u64(f) : TABLES + (fz_u16(f) & 0xf000);
	mmu.ttbr[1] = how & 8 ? fz_u64(f) : TABLES + (fz_u16(f) & 0xf000);
	(void)!arm_translate(&mmu, &v.vm.mem, fz_u64(f), &pa);
}

static void put(struct fz *f)
{
	u32 at = fz_u16(f) & ~7u;

	put_le(v.ram + at, 8, fz_u8(f) & 1 ? fz_u64(f) : (TABLES + (fz_u16(f) & 0xf000)) | 3);
}

static void begin(void)
{
	static struct vcpu *list[NR];
	static u8 *ram;

	fz_vm_init(&v);
	v.ram = fz_buffer(&ram, RAM_SIZE, 0);
	fz_check(!memory_add_borrowed(&v.vm.mem, ARM_RAM, RAM_SIZE, v.ram, MEM_RAM, "ram"));
	memset(&arch, 0, sizeof(arch));
	v.vm.arch = &arch;
	for (u32 i = 0; i < NR; i++) {
		arch_vcpus[i].mpidr = 0x80000000u | (i == 2 ? 0x100 : i);
		vcpus[i] = (struct vcpu){
			.vm = &v.vm, .id = i, .run = &runs[i], .arch = &arch_vcpus[i]
		};
		list[i] = &vcpus[i];
	}
	v.vm.vcpus = list;
	v.vm.nr_vcpus = NR;
	arch.psci = arm_psci_new(NR, &ops);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);

	begin();
	for (int i = 0; i < MAX_OPS && fz_more(&f); i++) {
		switch (fz_u8(&f) % 4) {
		case 0 ... 1:
			call(&f);
			break;
		case 2:
			put(&f);
			break;
		default:
			walk(&f);
		}
	}
	arm_psci_destroy(&v.vm);
	v.vm.nr_vcpus = 0;
	v.vm.vcpus = NULL;
	v.vm.arch = NULL;
	v.rom = NULL;
	fz_vm_destroy(&v);
	return 0;
}
