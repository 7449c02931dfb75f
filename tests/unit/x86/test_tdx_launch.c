/* SPDX-License-Identifier: MIT */
/* x86/tdx-launch.c over a KVM that is played: the order of calls, what each is given, and what is
 * made of every refusal. In place of the C library's ioctl and nanosleep. */
#include "capture.h"
#include "devvm.h"
#include "fake_ioctl.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "../../../x86/tdx.h"
#include "../../../x86/x86.h"
#include "lkvm/plan.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"

#define VM_FD	 100
#define VCPU_FD	 200
#define NR_VCPUS 2
#define LEAVES	 70 /* more than are asked for at first */
#define HOB	 0x12340000ULL

static struct devvm d;
static struct vcpu vcpus[NR_VCPUS], *list[NR_VCPUS];
static struct boot_plan plan;

static struct {
	char log[4096];
	/* The @nth time (from 1) that command @id comes it says @error, after @pages of it. */
	struct {
		u32 id, nth, pages;
		int error;
		u64 hw_error;
	} fail;
	u32 seen[8], pauses;
	u64 attributes, xfam;
	bool always; /* from @nth on */
	u32 init_nent, cpuid_nent[NR_VCPUS];
	u8 first[8]; /* of each page that was added */
	u32 nr_pages;
	struct kvm_tdx_init_vm init; /* the last: it ends with a list */
} kvm;

static void note(const char *fmt, ...) __printf(1, 2);
static void note(const char *fmt, ...)
{
	size_t at = strlen(kvm.log);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(kvm.log + at, sizeof(kvm.log) - at, fmt, ap);
	va_end(ap);
}

static int fill_leaves(struct kvm_cpuid2 *cpuid, bool tells)
{
	if (cpuid->nent < LEAVES) {
		if (tells)
			cpuid->nent = LEAVES;
		return -E2BIG;
	}
	cpuid->nent = LEAVES;
	memset(cpuid->entries, 0, LEAVES * sizeof(cpuid->entries[0]));
	for (u32 i = 0; i < LEAVES; i++)
		cpuid->entries[i].function = 0x100 + i;
	cpuid->entries[0].function = 0x80000008;
	cpuid->entries[0].eax = 0xff0000;
	return 0;
}

static int add_pages(struct kvm_tdx_init_mem_region *r, u32 flags, u32 limit)
{
	assert_int_equal(r->source_addr % 4096, 0);
	assert_int_not_equal(r->nr_pages, 0);
	note(" mem %llx+%llu%s", r->gpa, r->nr_pages, flags ? " measured" : "");
	for (; r->nr_pages && limit; limit--) {
		if (kvm.nr_pages < sizeof(kvm.first))
			kvm.first[kvm.nr_pages] = *(u8 *)(uintptr_t)r->source_addr;
		kvm.nr_pages++;
		r->source_addr += 4096;
		r->gpa += 4096;
		r->nr_pages--;
	}
	return 0;
}

static int run_command(int fd, struct kvm_tdx_cmd *cmd, bool failing)
{
	void *data = (void *)(uintptr_t)cmd->data;
	struct kvm_tdx_capabilities *caps = data;

	switch (cmd->id) {
	case KVM_TDX_CAPABILITIES:
		note(" caps");
		caps->supported_attrs = kvm.attributes;
		caps->supported_xfam = kvm.xfam;
		caps->user_tdvmcallinfo_1_r11 = 2;
		return fill_leaves(&caps->cpuid, false);
	case KVM_TDX_INIT_VM:
		note(" init-vm");
		kvm.init = *(struct kvm_tdx_init_vm *)data;
		kvm.init_nent = kvm.init.cpuid.nent;
		return 0;
	case KVM_TDX_GET_CPUID:
		note(" get-cpuid%u", fd - VCPU_FD);
		return fill_leaves(data, true);
	case KVM_TDX_INIT_VCPU:
		note(" init-vcpu%u %llx", fd - VCPU_FD, cmd->data);
		return 0;
	case KVM_TDX_INIT_MEM_REGION:
		assert_int_equal(fd, VCPU_FD);
		return add_pages(data, cmd->flags, failing ? kvm.fail.pages : ~0U);
	case KVM_TDX_FINALIZE_VM:
		note(" finalize");
		return 0;
	}
	fail_msg("command %u", cmd->id);
	return 0;
}

static int encrypt_op(int fd, struct kvm_tdx_cmd *cmd)
{
	bool failing;
	int ret;

	/* What comes back in it must not go in again. */
	assert_int_equal(cmd->hw_error, 0);
	assert_true(cmd->id < ARRAY_SIZE(kvm.seen));
	kvm.seen[cmd->id]++;
	failing = kvm.fail.error && cmd->id == kvm.fail.id &&
		  (kvm.always ? kvm.seen[cmd->id] >= kvm.fail.nth
			      : kvm.seen[cmd->id] == kvm.fail.nth);
	if (failing && cmd->id != KVM_TDX_INIT_MEM_REGION) {
		cmd->hw_error = kvm.fail.hw_error;
		note(" refused%u", cmd->id);
		return -kvm.fail.error;
	}
	ret = run_command(fd, cmd, failing);
	return failing ? -kvm.fail.error : ret;
}

static int kernel_ioctl(int fd, unsigned long request, void *arg)
{
	int ret = -EBADF;

	switch (request) {
	case KVM_MEMORY_ENCRYPT_OP:
		ret = encrypt_op(fd, arg);
		break;
	case KVM_CHECK_EXTENSION:
		ret = (uintptr_t)arg == KVM_CAP_VM_TSC_CONTROL ||
		      (uintptr_t)arg == KVM_CAP_TSC_CONTROL;
		break;
	case KVM_ENABLE_CAP:
		note(" cap%u=%llx", ((struct kvm_enable_cap *)arg)->cap,
		     ((struct kvm_enable_cap *)arg)->args[0]);
		ret = 0;
		break;
	case KVM_GET_TSC_KHZ:
		ret = 2000000;
		break;
	case KVM_SET_TSC_KHZ:
		note(" tsc%lu", (unsigned long)(uintptr_t)arg);
		ret = 0;
		break;
	case KVM_SET_CPUID2:
		note(" set-cpuid%u", fd - VCPU_FD);
		kvm.cpuid_nent[fd - VCPU_FD] = ((struct kvm_cpuid2 *)arg)->nent;
		ret = 0;
		break;
	default:
		fail_msg("ioctl 0x%lx", request);
	}
	errno = ret < 0 ? -ret : 0;
	return ret < 0 ? -1 : ret;
}

int nanosleep(const struct timespec *time, struct timespec *left)
{
	kvm.pauses++;
	return 0;
}

static void add_cpuid(void)
{
	struct kvm_cpuid2 *cpuid = xcalloc(1, sizeof(*cpuid) + 2 * sizeof(cpuid->entries[0]));

	cpuid->nent = 2;
	cpuid->entries[0] = (struct kvm_cpuid_entry2){ .function = 1, .ecx = BIT(21) };
	cpuid->entries[1] = (struct kvm_cpuid_entry2){
		.function = 0xd,
		.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		.eax = 0x2e7,
	};
	d.vm.arch->cpuid = cpuid;
}

static int setup(void **state)
{
	memset(&kvm, 0, sizeof(kvm));
	kvm.attributes = X86_TDX_SEPT_VE_DISABLE;
	kvm.xfam = 0xe7;
	devvm_init(&d);
	d.cfg.cpus = NR_VCPUS;
	d.cfg.x86.tdx.on = true;
	d.vm.kvm.vm_fd = VM_FD;
	d.vm.arch = xcalloc(1, sizeof(*d.vm.arch));
	d.vm.arch->topology = x86_topology_of(&d.cfg);
	d.vm.arch->tdx_hob = HOB;
	add_cpuid();
	for (u32 i = 0; i < NR_VCPUS; i++) {
		vcpus[i] = (struct vcpu){ .vm = &d.vm, .id = i, .fd = VCPU_FD + (int)i };
		list[i] = &vcpus[i];
	}
	d.vm.vcpus = list;
	d.vm.nr_vcpus = NR_VCPUS;
	boot_plan_init(&plan);
	return 0;
}

static int teardown(void **state)
{
	boot_plan_free(&plan);
	x86_tdx_destroy(&d.vm);
	x86_tdx_destroy(&d.vm); /* again is safe */
	free(d.vm.arch->cpuid);
	free(d.vm.arch);
	d.vm.arch = NULL;
	d.vm.vcpus = NULL;
	d.vm.nr_vcpus = 0;
	d.vm.kvm.vm_fd = -1;
	vm_destroy(&d.vm);
	return 0;
}

/* @pages at @gpa, the first byte of each its number. */
static void add(u64 gpa, u32 pages, bool measured)
{
	u8 *bytes = xcalloc(pages, 4096);

	for (u32 i = 0; i < pages; i++)
		bytes[i * 4096ULL] = (u8)(i + 1);
	boot_plan_add_entry(&plan, &(struct boot_entry){ .gpa = gpa,
							 .len = pages * 4096ULL,
							 .kind = BOOT_KERNEL,
							 .measured = measured,
							 .rom = true,
							 .what = "kernel",
							 .bytes = bytes });
}

static int place_all(void)
{
	struct boot_run run = { 0 };
	int ret = boot_plan_check(&plan, &d.vm.mem);

	while (!ret && boot_plan_next(&plan, &run))
		ret = x86_tdx_place(&d.vm, &plan, &run);
	return ret;
}

static int launch(void)
{
	int ret = x86_tdx_init_vm(&d.vm);

	for (u32 i = 0; i < NR_VCPUS && !ret; i++)
		ret = x86_tdx_vcpu_setup(&vcpus[i]);
	if (!ret)
		ret = place_all();
	return ret ? ret : x86_tdx_finish(&d.vm);
}

static void assert_launch(int ret)
{
	capture_begin();
	assert_int_equal(launch(), ret);
	capture_end();
}

static void test_order(void **state)
{
	struct x86_tdx_config *cfg = &d.cfg.x86.tdx;

	memset(cfg->config_id, 1, 48);
	memset(cfg->owner, 2, 48);
	memset(cfg->owner_config, 3, 48);
	d.cfg.x86.tuning.tsc_khz = 2400000;
	add(0x1000, 2, true);
	add(0x9000, 1, false);
	assert_launch(0);
	assert_string_equal(captured, "");
	assert_string_equal(
		kvm.log,
		" cap201=1000 caps caps tsc2400000 init-vm get-cpuid0 get-cpuid0 set-cpuid0 "
		"get-cpuid1 get-cpuid1 set-cpuid1 init-vcpu0 12340000 init-vcpu1 12340000 "
		"mem 1000+2 measured mem 9000+1 finalize");
	assert_memory_equal(kvm.first, "\1\2\1", 3);
	assert_int_equal(kvm.init.attributes, X86_TDX_SEPT_VE_DISABLE);
	assert_int_equal(kvm.init.xfam, 0xe7); /* of 0x2e7 what KVM offers */
	assert_int_equal(kvm.init_nent, LEAVES);
	for (u32 i = 0; i < 6; i++) {
		assert_int_equal(kvm.init.mrconfigid[i], 0x0101010101010101);
		assert_int_equal(kvm.init.mrowner[i], 0x0202020202020202);
		assert_int_equal(kvm.init.mrownerconfig[i], 0x0303030303030303);
	}
	for (u32 i = 0; i < 12; i++)
		assert_int_equal(kvm.init.reserved[i], 0);
	assert_true(kvm.cpuid_nent[0] > LEAVES);
	assert_int_equal(d.vm.arch->tdx->user_info, 2);
}

/* A TD without pages is made all the same, in the same order. */
static void test_no_pages(void **state)
{
	assert_launch(0);
	assert_non_null(strstr(kvm.log, "init-vcpu1 12340000 finalize"));
}

static void test_asked(void **state)
{
	d.cfg.x86.tdx.has_attributes = d.cfg.x86.tdx.has_xfam = true;
	d.cfg.x86.tdx.xfam = 3;
	d.cfg.x86.tdx.attributes = 0;
	assert_launch(0);
	assert_int_equal(kvm.init.attributes, 0);
	assert_int_equal(kvm.init.xfam, 3);
}

static void assert_refused(int ret, const char *part)
{
	assert_launch(ret);
	assert_one_line(captured);
	assert_contains(captured, part);
}

static void test_not_offered(void **state)
{
	d.cfg.x86.tdx.has_attributes = true;
	d.cfg.x86.tdx.attributes = BIT_ULL(0) | BIT_ULL(28) | BIT_ULL(40);
	assert_refused(-ENOTSUP, "does not offer debug,0x10000000000; it offers sept-ve-disable");
	assert_null(strstr(kvm.log, "init-vm"));
	teardown(NULL);
	setup(NULL);
	d.cfg.x86.tdx.has_xfam = true;
	d.cfg.x86.tdx.xfam = 0x207;
	assert_refused(-ENOTSUP, "does not offer 0x200 of it; it offers 0xe7");
	assert_null(strstr(kvm.log, "init-vm"));
}

static void again(u32 id, int error, u64 hw_error, bool always)
{
	teardown(NULL);
	setup(NULL);
	kvm.fail.id = id;
	kvm.fail.nth = 1;
	kvm.fail.error = error;
	kvm.fail.hw_error = hw_error;
	kvm.always = always;
	add(0x1000, 4, true);
}

static void test_failures(void **state)
{
	again(KVM_TDX_CAPABILITIES, ENOTTY, 0, false);
	assert_refused(-ENOTTY, "KVM_TDX_CAPABILITIES");
	again(KVM_TDX_INIT_VM, EINVAL, 0xc000010000000000, false);
	assert_refused(-EINVAL, "the TDX module refuses this trust domain (0xc000010000000000)");
	again(KVM_TDX_INIT_VM, EINVAL, 0, false);
	assert_refused(-EINVAL, "KVM refuses this trust domain");
	again(KVM_TDX_INIT_VM, ENOSPC, 0, false);
	assert_refused(-ENOSPC, "no key is left");
	again(KVM_TDX_GET_CPUID, EINVAL, 0, false);
	assert_refused(-EINVAL, "vcpu 0: cannot read the CPUID");
	again(KVM_TDX_INIT_VCPU, EINVAL, 0, false);
	kvm.fail.nth = 2;
	assert_refused(-EINVAL, "vcpu 1: the TDX module does not take it");
	assert_null(strstr(kvm.log, "mem"));
	again(KVM_TDX_INIT_MEM_REGION, EIO, 0, false);
	kvm.fail.pages = 2;
	assert_refused(-EIO, "the guest's page at 0x3000 (kernel)");
	assert_null(strstr(kvm.log, "finalize"));
	again(KVM_TDX_FINALIZE_VM, EINVAL, 0x77, false);
	assert_refused(-EINVAL, "KVM_TDX_FINALIZE_VM: Invalid argument (0x77)");
}

/* What passes is tried again, and not for ever. */
static void test_retries(void **state)
{
	again(KVM_TDX_INIT_VM, EAGAIN, 0x55, false);
	assert_launch(0);
	again(KVM_TDX_FINALIZE_VM, EBUSY, 0x55, false);
	assert_launch(0);
	assert_int_equal(kvm.pauses, 1);
	again(KVM_TDX_INIT_VM, EINTR, 0, false);
	assert_launch(0);
	again(KVM_TDX_INIT_VM, EAGAIN, 0, true);
	assert_refused(-EAGAIN, "out of entropy");
	assert_int_equal(kvm.seen[KVM_TDX_INIT_VM], 1000);
	again(KVM_TDX_FINALIZE_VM, EBUSY, 0, true);
	assert_refused(-EBUSY, "KVM_TDX_FINALIZE_VM");
}

/* Interrupted in the middle, it goes on where it was; no page twice, none left out. */
static void test_progress(void **state)
{
	static const int errors[] = { EINTR, EAGAIN };

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		again(KVM_TDX_INIT_MEM_REGION, errors[i], 0, false);
		kvm.fail.pages = 3;
		assert_launch(0);
		assert_non_null(strstr(kvm.log, " mem 1000+4 measured mem 4000+1 measured final"));
		assert_memory_equal(kvm.first, "\1\2\3\4", 4);
		assert_int_equal(kvm.nr_pages, 4);
		/* All were done when it was interrupted. */
		again(KVM_TDX_INIT_MEM_REGION, errors[i], 0, false);
		kvm.fail.pages = 4;
		assert_launch(0);
		assert_int_equal(kvm.seen[KVM_TDX_INIT_MEM_REGION], 1);
		/* As long as there is progress. */
		again(KVM_TDX_INIT_MEM_REGION, errors[i], 0, true);
		kvm.fail.pages = 1;
		assert_launch(0);
		assert_int_equal(kvm.nr_pages, 4);
		again(KVM_TDX_INIT_MEM_REGION, errors[i], 0, true);
		assert_refused(-errors[i], "page at 0x1000");
		assert_int_equal(kvm.seen[KVM_TDX_INIT_MEM_REGION], 1000);
	}
}

/* 25 MHz: cycles of 40 ns. */
static void test_bus(void **state)
{
	x86_tdx_set_bus(&d.vm);
	assert_string_equal(kvm.log, " cap237=28");
}

/* No more is read in advance than 2 MiB. */
static void test_large(void **state)
{
	add(0x100000, 1000, true);
	assert_launch(0);
	assert_non_null(strstr(kvm.log, " mem 100000+512 measured mem 300000+488 measured final"));
	assert_int_equal(kvm.nr_pages, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_pages, setup, teardown),
		cmocka_unit_test_setup_teardown(test_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_offered, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
		cmocka_unit_test_setup_teardown(test_retries, setup, teardown),
		cmocka_unit_test_setup_teardown(test_progress, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bus, setup, teardown),
		cmocka_unit_test_setup_teardown(test_large, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
