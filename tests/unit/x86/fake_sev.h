/* SPDX-License-Identifier: MIT */
/* For tests of x86/snp-*.c: a VM over a KVM that is played, with an AMD firmware behind it that
 * answers as told. In place of libc's ioctl. */
#ifndef TEST_FAKE_SEV_H
#define TEST_FAKE_SEV_H

#include "capture.h"
#include "fake_ioctl.h"

#include <kvm-snp.h>
#include <signal.h>
#include <stdlib.h>

#include "../../../x86/snp.h"
#include "../../../x86/x86.h"
#include "lkvm/coco.h"
#include "lkvm/config-snp.h"
#include "lkvm/config.h"
#include "lkvm/plan.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

#define SYS_FD	1000
#define VM_FD	1001
#define VCPU_FD 1002
#define SEV_FD	77

struct sev_call {
	u32 id;
	union {
		struct lkvm_sev_init init;
		struct lkvm_sev_snp_launch_start start;
		struct lkvm_sev_snp_launch_update update;
		struct lkvm_sev_snp_launch_finish finish;
		struct lkvm_sev_snp_throttle throttle;
	} u; /* as it was given */
	bool has_data;
	u8 first; /* byte of the first page of an update */
};

static struct {
	int caps[512];
	s64 attr[3]; /* -1: not there */
	u64 hypercalls;
	/* Commands. */
	struct sev_call calls[64];
	u32 nr_calls;
	u32 fail_id, fail_times; /* so often it fails with the next two */
	int fail_error;
	u32 fail_fw;
	u64 chunk; /* bytes that one update takes; 0: all */
	bool correct_cpuid;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	/* KVM_RUN, of a certificates request that goes on. */
	u32 runs;
	void (*on_run)(void);
} fake;

static struct vm vm;
static struct vm_config cfg;
static struct arch_vm arch;
static struct x86_snp_files files;
static struct vcpu vcpu, *vcpus[1] = { &vcpu };
static struct kvm_run run;

static u64 data_size(u32 id)
{
	switch (id) {
	case LKVM_SEV_INIT2:
		return sizeof(struct lkvm_sev_init);
	case LKVM_SEV_SNP_LAUNCH_START:
		return sizeof(struct lkvm_sev_snp_launch_start);
	case LKVM_SEV_SNP_LAUNCH_UPDATE:
		return sizeof(struct lkvm_sev_snp_launch_update);
	case LKVM_SEV_SNP_LAUNCH_FINISH:
		return sizeof(struct lkvm_sev_snp_launch_finish);
	}
	return sizeof(struct lkvm_sev_snp_throttle);
}

/* As KVM: as far as it came is written back. */
static void advance(struct lkvm_sev_snp_launch_update *u)
{
	u64 done = fake.chunk ? MIN(u->len, fake.chunk) : u->len;

	u->gfn_start += done / 4096;
	u->len -= done;
	if (u->type != SNP_PAGE_ZERO)
		u->uaddr += done;
}

static int sev_command(struct lkvm_sev_cmd *cmd)
{
	struct sev_call *call = &fake.calls[fake.nr_calls++];
	struct lkvm_sev_snp_launch_update *update = (void *)(uintptr_t)cmd->data;
	sigset_t mask;

	assert_true(fake.nr_calls < ARRAY_SIZE(fake.calls));
	assert_int_equal(cmd->sev_fd, SEV_FD);
	call->id = cmd->id;
	call->has_data = cmd->data;
	if (cmd->data)
		memcpy(&call->u, (void *)(uintptr_t)cmd->data, data_size(cmd->id));
	if (cmd->id == LKVM_SEV_SNP_LAUNCH_UPDATE) {
		pthread_sigmask(SIG_BLOCK, NULL, &mask);
		assert_true(sigismember(&mask, SIGUSR1));
		assert_true(update->uaddr || update->type == SNP_PAGE_ZERO);
		assert_true(IS_ALIGNED(update->uaddr | update->len, 4096ULL) && update->len);
		if (update->uaddr)
			call->first = *(const u8 *)(uintptr_t)update->uaddr;
	}
	cmd->error = 0xffffffff;
	if (fake.fail_id == cmd->id && fake.fail_times) {
		fake.fail_times--;
		cmd->error = fake.fail_fw;
		if (fake.correct_cpuid && update->type == SNP_PAGE_CPUID)
			((struct snp_cpuid_page *)(uintptr_t)update->uaddr)->fn[0].ecx ^= 0x100;
		return fake.fail_error;
	}
	if (cmd->id == LKVM_SEV_SNP_LAUNCH_UPDATE)
		advance(update);
	cmd->error = 0;
	return 0;
}

static int sev_attr(const struct kvm_device_attr *attr)
{
	assert_int_equal(attr->group, KVM_X86_GRP_SEV);
	assert_in_range(attr->attr, 0, 2);
	if (fake.attr[attr->attr] < 0)
		return -ENXIO;
	*(u64 *)(uintptr_t)attr->addr = (u64)fake.attr[attr->attr];
	return 0;
}

static int answer(int fd, unsigned long request, unsigned long arg)
{
	const struct kvm_enable_cap *cap = (void *)arg;

	switch (request) {
	case KVM_CHECK_EXTENSION:
		return fake.caps[arg];
	case KVM_GET_DEVICE_ATTR:
		assert_int_equal(fd, SYS_FD);
		return sev_attr((void *)arg);
	case KVM_ENABLE_CAP:
		assert_int_equal(cap->cap, KVM_CAP_EXIT_HYPERCALL);
		fake.hypercalls = cap->args[0];
		return 0;
	case KVM_MEMORY_ENCRYPT_OP:
		assert_int_equal(fd, VM_FD);
		return sev_command((void *)arg);
	case KVM_SET_SREGS:
		fake.sregs = *(struct kvm_sregs *)arg;
		return 0;
	case KVM_SET_REGS:
		fake.regs = *(struct kvm_regs *)arg;
		return 0;
	case KVM_RUN:
		fake.runs++;
		assert_int_equal(run.immediate_exit, 1);
		if (fake.on_run)
			fake.on_run();
		return -EINTR;
	}
	fail_msg("file %d was asked 0x%lx", fd, request);
	return -ENOTTY;
}

static int kernel_ioctl(int fd, unsigned long request, void *arg)
{
	int ret = answer(fd, request, (unsigned long)arg);

	errno = ret < 0 ? -ret : 0;
	return ret < 0 ? -1 : ret;
}

static inline void add_leaf(u32 function, u32 index, u32 eax, u32 ebx, u32 ecx, u32 edx)
{
	arch.cpuid->entries[arch.cpuid->nent++] = (struct kvm_cpuid_entry2){
		.function = function,
		.index = index,
		.flags = function == 0xd || function == 7 ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
		.eax = eax,
		.ebx = ebx,
		.ecx = ecx,
		.edx = edx,
	};
}

static inline int fake_setup(void **state)
{
	memset(&fake, 0, sizeof(fake));
	memset(&vm, 0, sizeof(vm));
	memset(&cfg, 0, sizeof(cfg));
	memset(&arch, 0, sizeof(arch));
	memset(&vcpu, 0, sizeof(vcpu));
	memset(&run, 0, sizeof(run));
	files = (struct x86_snp_files){ .sev_fd = SEV_FD, .certs_fd = -1 };
	memset(fake.attr, -1, sizeof(fake.attr));
	fake.caps[KVM_CAP_SYS_ATTRIBUTES] = 1;
	cfg.x86.snp.on = true;
	cfg.x86.snp.policy = SNP_POLICY_DEFAULT;
	cfg.cpus = 1;
	arch.topology = x86_topology_of(&cfg);
	arch.cpuid = calloc(1, sizeof(*arch.cpuid) + 100 * sizeof(arch.cpuid->entries[0]));
	vm.cfg = &cfg;
	vm.arch = &arch;
	vm.coco_opened = &files;
	vm.kvm.sys_fd = SYS_FD;
	vm.kvm.vm_fd = VM_FD;
	vm.vcpus = vcpus;
	vm.nr_vcpus = 1;
	vcpu.vm = &vm;
	vcpu.fd = VCPU_FD;
	vcpu.run = &run;
	memory_init(&vm.mem);
	return 0;
}

static inline int fake_teardown(void **state)
{
	const struct coco_ops *ops = x86_snp_ops(&cfg);

	ops->destroy(&vm);
	free(arch.cpuid);
	memory_destroy(&vm.mem);
	return 0;
}

#endif
