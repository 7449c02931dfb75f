/* SPDX-License-Identifier: MIT */
/*
 * Protected guests of a host that was booted with kvm-arm.mode=protected (Linux 7.3,
 * arch/arm64/kvm/pkvm.c, mmu.c; Documentation/virt/kvm/arm/pkvm.rst). No guest runs here: which
 * pages it takes and shares is scripted.
 *
 *   touch gpa=A [size=S]    it accesses pages: they are pinned, charged, and not the host's any
 * more share, unshare gpa=A    MEM_SHARE and MEM_UNSHARE of such pages
 */
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arm.h"

#define IPA_MASK      0xffULL
#define PSCI	      ARM_FEATURE(KVM_ARM_VCPU_PSCI_0_2)
#define PAUTH_ADDRESS ARM_FEATURE(KVM_ARM_VCPU_PTRAUTH_ADDRESS)
#define PAUTH_GENERIC ARM_FEATURE(KVM_ARM_VCPU_PTRAUTH_GENERIC)
#define ALLOWED_FEATURES \
	(ARM_FEATURE(KVM_ARM_VCPU_POWER_OFF) | PSCI | PAUTH_ADDRESS | PAUTH_GENERIC)
#define KVM_ARM_COPY_TAGS 0x8018aeb4UL /* KVM_ARM_MTE_COPY_TAGS */

/* model_vm.kind_state */
struct pkvm {
	struct model_set taken; /* guest addresses that are the guest's alone */
	u64 charged;
};

static u32 max_vms = 255, nr_vms;

static struct pkvm *pkvm(const struct model_vm *vm)
{
	return vm->kind_state;
}

static bool option(const char *name, const char *value)
{
	if (strcmp(name, "vms"))
		return arm_option(name, value);
	max_vms = (u32)model_number(name, value);
	return true;
}

/* Of any VM of such a host. */
static long host_cap(u32 cap)
{
	switch (cap) {
	case KVM_CAP_ARM_MTE:
	case KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE:
	case KVM_CAP_ARM_SUPPORTED_BLOCK_SIZES:
		return 0;
	}
	return MODEL_PASS;
}

static bool select_host(const char *word)
{
	if (strcmp(word, "pkvm"))
		return false;
	arm_host.cap = host_cap;
	return true;
}

/* The address bits that were asked for do not count. */
static long create(struct model_vm *vm, u64 type)
{
	if (type & ~(KVM_VM_TYPE_ARM_PROTECTED | IPA_MASK))
		return model_refused(-EINVAL, "KVM_CREATE_VM: type 0x%llx", type);
	if (!(type & KVM_VM_TYPE_ARM_PROTECTED))
		return MODEL_PASS;
	if (nr_vms >= max_vms)
		return model_refused(-ENOMEM, "KVM_CREATE_VM: there are %u protected VMs", nr_vms);
	vm->type = KVM_VM_TYPE_ARM_PROTECTED | arm_host.ipa_bits;
	vm->no_attributes = true;
	vm->kind_state = calloc(1, sizeof(struct pkvm));
	if (!vm->kind_state)
		abort();
	nr_vms++;
	return 0;
}

/* asm/kvm_pkvm.h, kvm_pkvm_ext_allowed */
static bool is_shown(u32 cap)
{
	return arm_is_common_cap(cap) || cap == KVM_CAP_GUEST_MEMFD_FLAGS;
}

static long vm_call(struct model_call *c)
{
	struct kvm_enable_cap cap;

	switch (c->request) {
	case KVM_CHECK_EXTENSION:
		model_note(c, "cap", "%lu", c->arg);
		return is_shown((u32)c->arg) ? arm_cap((u32)c->arg) : 0;
	case KVM_ENABLE_CAP:
		if (!model_read(&cap, c->arg, sizeof(cap)) && !is_shown(cap.cap))
			return model_refused(-EINVAL, "KVM_ENABLE_CAP: %u of a protected VM",
					     cap.cap);
		return MODEL_PASS;
	case KVM_SET_DEVICE_ATTR:
	case KVM_GET_DEVICE_ATTR:
	case KVM_HAS_DEVICE_ATTR:
	case KVM_ARM_SET_DEVICE_ADDR:
	case KVM_ARM_SET_COUNTER_OFFSET:
	case KVM_ARM_GET_REG_WRITABLE_MASKS:
	case KVM_ARM_COPY_TAGS:
		return model_refused(-EINVAL, "%s: not of a protected VM", c->name);
	}
	return MODEL_PASS;
}

/* What the hypervisor does not know it drops without a word: the VMM took its guest for another. */
static long vcpu_call(struct model_call *c)
{
	struct kvm_vcpu_init init;

	if (c->request != KVM_ARM_VCPU_INIT || model_read(&init, c->arg, sizeof(init)))
		return MODEL_PASS;
	if (init.features[0] & ~ALLOWED_FEATURES)
		model_broken(0, "KVM_ARM_VCPU_INIT: features 0x%x are dropped without a word",
			     init.features[0] & ~ALLOWED_FEATURES);
	return MODEL_PASS;
}

/* kvm_arch_prepare_memory_region: a slot that is there stays once the VM has run. */
static int set_slot(struct model_vm *vm, const struct model_slot *slot)
{
	bool there = !slot->size;

	for (size_t i = 0; i < vm->nr_slots; i++)
		there |= vm->slots[i].id == slot->id;
	if (there && vm->has_run && !vm->gone)
		return (int)model_broken(-EPERM, "slot %u: it is changed after a vcpu has run",
					 slot->id);
	if (slot->flags & (KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY))
		return (int)model_broken(-EPERM, "slot %u: flags 0x%x", slot->id, slot->flags);
	return 0;
}

static long enter(struct model_vcpu *vcpu)
{
	long ret = arm_enter(vcpu);

	if (ret || vcpu->vm->nr_slots)
		return ret;
	return model_broken(-ENOMEM, "KVM_RUN: a protected VM without memory");
}

static bool may_lock(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	return !syscall(SYS_capget, &header, data) && data[0].effective & 1U << CAP_IPC_LOCK;
}

static bool has_room(const struct model_vm *vm, u64 size)
{
	struct rlimit limit;

	return may_lock() || getrlimit(RLIMIT_MEMLOCK, &limit) || limit.rlim_cur == RLIM_INFINITY ||
	       pkvm(vm)->charged + size <= limit.rlim_cur;
}

/* What the kernel can pin and take: 0; no page, or not writable: EFAULT; of a file: EIO. */
static int look_at_page(u64 hva)
{
	FILE *f = fopen("/proc/self/maps", "re");
	char line[512], perms[8], path[256];
	unsigned long start, end, inode;
	int ret = -EFAULT;

	while (f && ret == -EFAULT && fgets(line, sizeof(line), f)) {
		path[0] = 0;
		if (sscanf(line, "%lx-%lx %7s %*s %*s %lu %255s", &start, &end, perms, &inode,
			   path) < 4 ||
		    hva < start || hva >= end)
			continue;
		if (perms[1] != 'w')
			break;
		ret = !inode || !strncmp(path, "/memfd:", 7) || !strncmp(path, "/dev/zero", 9)
			      ? 0
			      : -EIO;
	}
	if (f)
		fclose(f);
	return ret;
}

static int range_of(const struct model_vcpu *vcpu, const struct model_words *words, u64 *gpa,
		    u64 *size, void **hva)
{
	const struct model_slot *slot;

	*gpa = model_word_number(words, "gpa", 0);
	*size = model_word_number(words, "size", MODEL_PAGE);
	slot = model_find_slot(vcpu->vm, *gpa);
	if (!MODEL_ALIGNED(*gpa | *size) || !*size || !slot ||
	    *size > slot->size - (*gpa - slot->gpa))
		return model_script_error(words, "whole pages of one memory slot");
	*hva = model_pointer(slot->hva + (*gpa - slot->gpa));
	return 0;
}

/* The guest goes on; a signal is what brings the vcpu back. */
static void go_on(struct model_vcpu *vcpu, int *error)
{
	vcpu->run->exit_reason = KVM_EXIT_INTR;
	*error = -EINTR;
}

/* pkvm_mem_abort */
static int fill_touch(struct model_vcpu *vcpu, const struct model_words *words, int *error)
{
	struct pkvm *p = pkvm(vcpu->vm);
	u64 gpa, size;
	void *hva;
	int ret = range_of(vcpu, words, &gpa, &size, &hva);

	if (ret)
		return ret;
	if (model_set_has_any(&p->taken, gpa, gpa + size))
		return model_script_error(words, "the guest has some of it already");
	vcpu->run->exit_reason = KVM_EXIT_UNKNOWN;
	if (!has_room(vcpu->vm, size)) {
		*error = (int)model_refused(-ENOMEM, "KVM_RUN: RLIMIT_MEMLOCK, 0x%llx are charged",
					    p->charged);
		return 0;
	}
	ret = look_at_page((u64)(uintptr_t)hva);
	if (ret) {
		*error = (int)model_broken(ret, "KVM_RUN: the page at 0x%llx cannot be a guest's",
					   gpa);
		return 0;
	}
	p->charged += size;
	model_set_add(&p->taken, gpa, gpa + size);
	if (mprotect(hva, size, PROT_NONE))
		return model_script_error(words, "mprotect: %s", strerror(errno));
	go_on(vcpu, error);
	return 0;
}

static int toggle(struct model_vcpu *vcpu, const struct model_words *words, int prot, int *error)
{
	u64 gpa, size;
	void *hva;
	int ret = range_of(vcpu, words, &gpa, &size, &hva);

	if (ret)
		return ret;
	if (!model_set_has_all(&pkvm(vcpu->vm)->taken, gpa, gpa + size))
		return model_script_error(words, "the guest has touched it before");
	if (mprotect(hva, size, prot))
		return model_script_error(words, "mprotect: %s", strerror(errno));
	go_on(vcpu, error);
	return 0;
}

static int fill_share(struct model_vcpu *vcpu, const struct model_words *words, int *error)
{
	return toggle(vcpu, words, PROT_READ | PROT_WRITE, error);
}

static int fill_unshare(struct model_vcpu *vcpu, const struct model_words *words, int *error)
{
	return toggle(vcpu, words, PROT_NONE, error);
}

static void destroy(struct model_vm *vm)
{
	model_set_free(&pkvm(vm)->taken);
	nr_vms--;
}

/* /proc/cmdline is what `lkvm host` looks at. */
static const char *file(const char *path)
{
	return strcmp(path, "/proc/cmdline") ? arm_file(path) : "kvm-arm.mode=protected\n";
}

static const struct model_exit_kind exits[] = {
	{ "touch", fill_touch, NULL },
	{ "share", fill_share, NULL },
	{ "unshare", fill_unshare, NULL },
	ARM_EXITS,
	{ NULL, NULL, NULL },
};

const struct model_kind model_pkvm = {
	.name = "pkvm",
	.help = "arm64: protected guests, whose memory KVM's hypervisor takes from the host",
	.select = select_host,
	.option = option,
	.create = create,
	.vm = vm_call,
	.vcpu = vcpu_call,
	.slot = set_slot,
	.enter = enter,
	.destroy = destroy,
	.exits = exits,
	.file = file,
};
