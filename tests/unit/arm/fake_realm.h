/* SPDX-License-Identifier: MIT */
/*
 * A KVM with realms of any version, played by its rules: in which state a call is taken, what it
 * refuses, in which order pages and RECs come. And a machine of two vcpus over it.
 */
#ifndef FAKE_REALM_H
#define FAKE_REALM_H

#include "unit.h"

#include <kvm-realm.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../../../arm/arm.h"
#include "../../../arm/cpu.h"
#include "../../../arm/realm.h"
#include "capture.h"
#include "lkvm/arch.h"
#include "lkvm/boot.h"
#include "lkvm/coco.h"
#include "lkvm/config.h"
#include "lkvm/kvm.h"
#include "lkvm/plan.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

enum { FAKE_SYS = 500, FAKE_VM, FAKE_VCPU };
#define FAKE_RAM_SIZE (8 * MiB)
#define FAKE_PAGE     4096ULL

static struct {
	/* The host. */
	unsigned long type; /* of realms; 0: no KVM of realms */
	u32 cap;
	int rmm;     /* 0, or what KVM_CREATE_VM says without one */
	u32 max_ipa; /* of the RMM; 0: any */
	u32 max_planes;
	bool sha512, attributes;
	u64 dfr0, pmcr;
	u64 pages_per_call; /* implicit: 0: all */
	u32 interrupts;	    /* so many calls are interrupted before a page */
	bool counts;	    /* implicit: the positive answer of v11 */
	bool stuck, overdone, halves;
	int rmi_status;
	const char *fail; /* the step that fails with @error */
	int error;
	/* The realm. */
	enum { NONE, NEW, ACTIVE } state;
	u32 nr_vms; /* open */
	u32 recs;
	u64 ripas_base, ripas_end, next_page;
	u8 *memory; /* of the realm, by address from ARM_RAM on */
	u8 rpv[64];
	char told[1024]; /* what was asked, in order */
} kvm;

__printf(1, 2) static void tell(const char *fmt, ...)
{
	size_t len = strlen(kvm.told);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(kvm.told + len, sizeof(kvm.told) - len, fmt, ap);
	va_end(ap);
}

static struct vm vm;
static struct vm_config cfg;
static struct vcpu vcpus[2], *list[2] = { &vcpus[0], &vcpus[1] };
static struct boot_plan plan;

static int fails(const char *step)
{
	return kvm.fail && !strcmp(kvm.fail, step) ? kvm.error : 0;
}

static int fake_config(struct realm_rme_config *config)
{
	if (kvm.state != NONE)
		return -EBUSY;
	switch (config->cfg) {
	case REALM_RME_CFG_RPV:
		memcpy(kvm.rpv, config->rpv, sizeof(kvm.rpv));
		/* Of zeroes: to see whether it is taken. */
		if (!config->rpv[0])
			return 0;
		tell("rpv ");
		return fails("rpv");
	case REALM_RME_CFG_HASH:
		tell("hash=%u ", config->hash);
		return config->hash > 1 || (config->hash && !kvm.sha512) ? -EINVAL : 0;
	case REALM_RME_CFG_PLANES:
		tell("planes=%u ", config->planes);
		if (fails("question"))
			config->planes++;
		return config->planes > kvm.max_planes ? -EINVAL : 0;
	case REALM_RME_CFG_TREE_PP:
		tell("pp=%u ", config->tree_pp);
		return fails("pp");
	}
	return -EINVAL;
}

static int fake_ripas(const struct realm_rme_ripas *ripas)
{
	if (kvm.state != NEW)
		return -EPERM;
	assert_true(!kvm.ripas_end && !kvm.next_page);
	assert_true(!ripas->reserved[0] && !ripas->reserved[1]);
	kvm.ripas_base = ripas->base;
	kvm.ripas_end = ripas->base + ripas->size;
	tell("ripas@%llx+%llx ", ripas->base, ripas->size);
	return fails("ripas");
}

/* Ascending, and each page once. */
static void take_pages(u64 base, u64 size, const void *from, u32 flags)
{
	assert_true(base >= kvm.next_page && size);
	assert_true(IS_ALIGNED(base | size, FAKE_PAGE));
	assert_true(range_within(base, size, ARM_RAM, FAKE_RAM_SIZE));
	assert_int_equal(flags & ~1U, 0);
	memcpy(kvm.memory + (base - ARM_RAM), from, size);
	kvm.next_page = base + size;
	tell("page@%llx+%llx%s ", base, size, flags ? "" : "-");
}

static int fake_populate(const struct realm_rme_populate *p)
{
	const struct memory_region *r = memory_find(&vm.mem, p->base);

	if (kvm.state != NEW)
		return -EPERM;
	assert_true(range_within(p->base, p->size, kvm.ripas_base, kvm.ripas_end - kvm.ripas_base));
	assert_false(kvm.recs);
	if (fails("populate"))
		return kvm.error;
	take_pages(p->base, p->size, (u8 *)r->hva + (p->base - r->gpa), p->flags);
	return 0;
}

static int fake_enable_cap(const struct kvm_enable_cap *cap)
{
	void *arg = (void *)(uintptr_t)cap->args[1];

	if (cap->cap != kvm.cap)
		return -EINVAL;
	assert_int_equal(cap->flags, 0);
	switch (cap->args[0]) {
	case REALM_RME_CONFIG:
		return fake_config(arg);
	case REALM_RME_CREATE:
		assert_int_equal(kvm.state, NONE);
		tell("create ");
		kvm.state = NEW;
		return fails("create");
	case REALM_RME_INIT_RIPAS:
		return fake_ripas(arg);
	case REALM_RME_POPULATE:
		return fake_populate(arg);
	case REALM_RME_ACTIVATE:
		assert_int_equal(kvm.state, NEW);
		assert_int_equal(kvm.recs, 2);
		kvm.state = ACTIVE;
		tell("activate ");
		return fails("activate");
	}
	return -EINVAL;
}

static int fake_rmi_populate(struct realm_rmi_populate *p)
{
	u64 size = kvm.pages_per_call ? MIN(p->size, kvm.pages_per_call * FAKE_PAGE) : p->size;

	assert_int_equal(p->reserved, 0);
	assert_true(IS_ALIGNED(p->source_uaddr, FAKE_PAGE));
	if (fails("populate"))
		return kvm.error;
	if (kvm.interrupts) {
		kvm.interrupts--;
		return -EINTR;
	}
	if (kvm.rmi_status)
		return kvm.rmi_status;
	if (kvm.stuck)
		return 0;
	if (kvm.overdone || kvm.halves)
		size = kvm.overdone ? p->size + FAKE_PAGE : FAKE_PAGE / 2;
	else
		take_pages(p->base, size, (void *)(uintptr_t)p->source_uaddr, p->flags);
	kvm.state = NEW;
	if (kvm.counts)
		return (int)size;
	p->base += size;
	p->size -= size;
	p->source_uaddr += size;
	return 0;
}

static int fake_vm(unsigned long request, unsigned long arg)
{
	switch (request) {
	case KVM_CHECK_EXTENSION:
		if (arg == REALM_CAP_GMEM_ATTRIBUTES)
			return kvm.attributes ? 8 : 0;
		/* What 7.3 has there, for every guest. */
		return arg == kvm.cap || arg == 244 || arg == 243;
	case KVM_ENABLE_CAP:
		return fake_enable_cap((const struct kvm_enable_cap *)arg);
	case REALM_RMI_POPULATE:
		assert_false(kvm.counts);
		return fake_rmi_populate((struct realm_rmi_populate *)arg);
	case REALM_RMI_POPULATE_V11:
		assert_true(kvm.counts);
		return fake_rmi_populate((struct realm_rmi_populate *)arg);
	}
	fail_msg("the VM was asked 0x%lx", request);
	return -ENOTTY;
}

static int fake_vcpu(u32 id, unsigned long request, unsigned long arg)
{
	const struct kvm_one_reg *reg = (const struct kvm_one_reg *)arg;
	u64 *value, *own;

	if (request == KVM_ARM_VCPU_FINALIZE) {
		assert_int_equal(*(int *)arg, kvm.cap <= 240 || kvm.cap == 300 ? 8 : 9);
		assert_int_equal(kvm.state, NEW);
		assert_int_equal(id, kvm.recs++);
		tell("rec%u ", id);
		return fails("rec");
	}
	assert_true(request == KVM_GET_ONE_REG || request == KVM_SET_ONE_REG);
	assert_int_equal(kvm.state, NONE);
	value = (u64 *)(uintptr_t)reg->addr;
	if (reg->id == arm_id_reg(ARM_ID_REG(5, 0))) {
		own = &kvm.dfr0;
	} else {
		assert_true(reg->id == ARM64_SYS_REG(3, 3, 9, 12, 0));
		own = &kvm.pmcr;
	}
	if (request == KVM_GET_ONE_REG) {
		*value = *own;
		return 0;
	}
	tell("reg%u=%llx ", id, *value);
	if (fails("reg"))
		return kvm.error;
	*own = *value;
	return 0;
}

static int fake_ioctl(void *opaque, int fd, unsigned long request, unsigned long arg)
{
	assert_ptr_equal(opaque, &kvm);
	if (fd >= FAKE_VCPU)
		return fake_vcpu((u32)(fd - FAKE_VCPU), request, arg);
	if (fd == FAKE_VM)
		return fake_vm(request, arg);
	assert_int_equal(fd, FAKE_SYS);
	assert_int_equal(request, KVM_CREATE_VM);
	if ((arg & ~0xffUL) != kvm.type)
		return -EINVAL;
	if (kvm.rmm)
		return kvm.rmm;
	if (kvm.max_ipa && (arg & 0xff) > kvm.max_ipa)
		return -EINVAL;
	kvm.nr_vms++;
	return FAKE_VM;
}

static int fake_close(void *opaque, int fd)
{
	assert_int_equal(fd, FAKE_VM);
	kvm.nr_vms--;
	return 0;
}

static const struct arm_realm_host fake_host = {
	.opaque = &kvm,
	.root = "/nonexistent",
	.ioctl = fake_ioctl,
	.close = fake_close,
};

/* A host of that version with all that its RMM could have. */
static inline void fake_version(const char *name)
{
	static const struct {
		const char *name;
		unsigned long type;
		u32 cap;
		bool counts;
	} versions[] = {
		{ "v7", 1UL << 8, 300, false },	  { "v8", 1UL << 8, 240, false },
		{ "v9", 1UL << 8, 243, false },	  { "v10", 1UL << 8, 244, false },
		{ "v11", 1UL << 8, 247, true },	  { "v12", 1UL << 8, 247, true },
		{ "v13", 1UL << 8, 248, false },  { "v14", 1UL << 30, 249, false },
		{ "v15", 1UL << 30, 251, false },
	};

	free(kvm.memory);
	memset(&kvm, 0, sizeof(kvm));
	kvm.memory = calloc(1, FAKE_RAM_SIZE);
	kvm.sha512 = kvm.attributes = true;
	kvm.max_planes = 3;
	kvm.dfr0 = 0x30305000;
	kvm.pmcr = 6 << 11;
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		if (strcmp(versions[i].name, name) != 0)
			continue;
		kvm.type = versions[i].type;
		kvm.cap = versions[i].cap;
		kvm.counts = versions[i].counts;
	}
}

/* A kernel of more than two blocks of 2 MiB that begins in the middle of one, and a tree. */
#define FAKE_KERNEL_AT	(ARM_RAM + 0x1ff000)
#define FAKE_KERNEL_LEN (0x401000 + 5)
#define FAKE_FDT_AT	(ARM_RAM + 0x700000)

static inline void fake_plan(void)
{
	u8 *bytes = malloc(FAKE_KERNEL_LEN);

	for (u32 i = 0; i < FAKE_KERNEL_LEN; i++)
		bytes[i] = (u8)(i * 7 + (i >> 12));
	boot_plan_init(&plan);
	boot_plan_add(&plan, BOOT_TABLES, BOOT_FDT, FAKE_FDT_AT, bytes, 0x2000);
	boot_plan_add(&plan, BOOT_KERNEL, "kernel", FAKE_KERNEL_AT, bytes, FAKE_KERNEL_LEN);
	boot_plan_add_reg(&plan, "pc", FAKE_KERNEL_AT);
	boot_plan_add_reg(&plan, "x0", FAKE_FDT_AT);
	assert_int_equal(boot_plan_check(&plan, &vm.mem), 0);
	free(bytes);
}

static void fake_add_ram(void)
{
	int fd = memfd_create("private", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, FAKE_RAM_SIZE), 0);
	assert_int_equal(memory_add(&vm.mem, &(struct memory_desc){ .gpa = ARM_RAM,
								    .size = FAKE_RAM_SIZE,
								    .private = true,
								    .private_fd = fd,
								    .name = "ram" }),
			 0);
	close(fd);
}

/* Up to the creation of vcpus; what arm_realm_begin says. */
static inline int fake_begin(void)
{
	assert_int_equal(vm_init(&vm, &cfg), 0);
	vm.kvm.vm_fd = FAKE_VM;
	vm.kvm.vm_type = kvm.type | 33;
	vm.arch = calloc(1, sizeof(*vm.arch));
	vm.arch->ipa_bits = 33;
	vm.coco = arm_realm_ops(&cfg);
	fake_add_ram();
	for (u32 i = 0; i < 2; i++)
		vcpus[i] = (struct vcpu){ .vm = &vm, .id = i, .fd = FAKE_VCPU + (int)i };
	vm.vcpus = list;
	vm.nr_vcpus = 2;
	return arm_realm_begin(&vm, &fake_host);
}

static inline void fake_end(void)
{
	arm_realm_end(&vm);
	assert_null(vm.arch->realm);
	arm_realm_end(&vm);
	free(vm.arch);
	vm.arch = NULL;
	vm.vcpus = NULL;
	vm.nr_vcpus = 0;
	vm.kvm.vm_fd = -1;
	boot_plan_free(&plan);
	vm_destroy(&vm);
}

#endif
