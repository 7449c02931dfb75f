/* SPDX-License-Identifier: MIT */
/* Protected guests: what they exclude, their VM type, locked memory and the pool that they share.
 */
#include "pkvm.h"

#include <linux/capability.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arm.h"
#include "cpu.h"
#include "lkvm/coco.h"
#include "lkvm/console.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/memory.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

/* The host */

/* Made only to see whether it can be. */
static int create_vm(const struct kvm *kvm, u64 type)
{
	int fd = xioctl_val(kvm->sys_fd, KVM_CREATE_VM, (unsigned long)type);

	if (fd < 0)
		return fd;
	close(fd);
	return 0;
}

static int get_limit(struct rlimit *limit)
{
	return getrlimit(RLIMIT_MEMLOCK, limit) < 0 ? -errno : 0;
}

static int set_limit(const struct rlimit *limit)
{
	return setrlimit(RLIMIT_MEMLOCK, limit) < 0 ? -errno : 0;
}

static bool may_lock(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	return !syscall(SYS_capget, &header, data) && data[0].effective & BIT(CAP_IPC_LOCK);
}

const struct arm_pkvm_host arm_pkvm_host = {
	.create_vm = create_vm,
	.get_limit = get_limit,
	.set_limit = set_limit,
	.may_lock = may_lock,
};

/* The configuration */

static int refuse(const char *what, const char *why)
{
	return coco_refuse("--protected", what, why);
}

/* The hypervisor has its own list of features, and what is beyond it is not there (Linux
 * arch/arm64/include/asm/kvm_pkvm.h, kvm_pkvm_ext_allowed). */
static int check_cpu(const struct vm_config *cfg)
{
	struct arm_cpu_model model;
	char name[64];
	int ret = arm_cpu_model_parse(cfg, &model);

	if (ret)
		return ret;
	if (!arm_cpu_model_beyond(&model, BIT(ARM_PROP_PAUTH), name, sizeof(name)))
		return 0;
	err("--protected: the hypervisor alone chooses the CPUs' features; omit what asks for '%s' "
	    "(of --cpu, --pmu or --sve-max-vl)",
	    name);
	return -EINVAL;
}

int arm_pkvm_check(const struct vm_config *cfg)
{
	static const char not_offered[] = "KVM does not offer it to protected guests";
	char size[32], pool[32];

	if (!cfg->arm.protected)
		return 0;
	if (cfg->arm.nested)
		return refuse("--nested", not_offered);
	if (cfg->arm.aarch32)
		return refuse("--aarch32", not_offered);
	if (cfg->arm.has_counter_offset)
		return refuse("--counter-offset", not_offered);
	if (cfg->arm.psci == PSCI_USER)
		return refuse("--psci user", not_offered);
	if (cfg->arm.irqchip == ARM_IRQCHIP_GICV2 || cfg->arm.irqchip == ARM_IRQCHIP_GICV2M)
		return refuse("a GICv2", "use --irqchip gicv3 or gicv3-its");
	if (cfg->fdt.flash)
		return refuse("--flash", "a protected guest has no read-only memory");
	if (coco_check(cfg, "--protected"))
		return -EINVAL;
	if (cfg->memory <= ARM_DMA_POOL_SIZE) {
		err("--protected: %s of memory is not enough: the pool that the guest shares with "
		    "its devices takes %s; increase --mem",
		    format_size(cfg->memory, size, sizeof(size)),
		    format_size(ARM_DMA_POOL_SIZE, pool, sizeof(pool)));
		return -EINVAL;
	}
	return check_cpu(cfg);
}

/* The VM */

int arm_pkvm_vm_type(const struct arm_pkvm_host *host, const struct kvm *kvm, u64 *type)
{
	u64 protected = *type | KVM_VM_TYPE_ARM_PROTECTED;
	int ret = host->create_vm(kvm, protected);

	if (ret == -EINVAL)
		err("--protected: this host's KVM has no protected guests; they need Linux 7.1, "
		    "booted with kvm-arm.mode=protected; `lkvm host` says more");
	else if (ret < 0)
		err("--protected: cannot create a VM: %s", strerror(-ret));
	if (ret < 0)
		return ret;
	*type = protected;
	return 0;
}

int arm_pkvm_lock_limit(const struct arm_pkvm_host *host, u64 size)
{
	struct rlimit now, wanted;
	char need[32], have[32];
	int ret = host->get_limit(&now);

	if (ret || now.rlim_cur == RLIM_INFINITY || now.rlim_cur >= size)
		return ret;
	wanted = (struct rlimit){ .rlim_cur = size, .rlim_max = MAX(now.rlim_max, (rlim_t)size) };
	/* Above the hard limit takes CAP_SYS_RESOURCE. */
	ret = host->set_limit(&wanted);
	if (!ret || host->may_lock())
		return 0;
	err("--protected: all of the guest's memory is locked, %s, and lkvm may lock %s: raise the "
	    "limit (ulimit -l %llu, LimitMEMLOCK= of systemd) or grant CAP_IPC_LOCK",
	    format_size(size, need, sizeof(need)), format_size(now.rlim_max, have, sizeof(have)),
	    ALIGN_UP(size, KiB) / KiB);
	return ret;
}

/* What the guest does not share */

/*
 * A signal has one handler for the process, which holds any number of VMs: it finds by the address
 * whose memory that is. Only pages of these ranges are replaced, so that another crash stays one.
 */
struct guard {
	const struct guest_memory *mem;
	uintptr_t start, end;
	struct guard *_Atomic next;
};

static struct guard *_Atomic guards;
static pthread_mutex_t guards_lock = PTHREAD_MUTEX_INITIALIZER; /* whoever changes the list */
static atomic_uint guards_readers;				/* handlers that are walking it */

static bool is_guarded(uintptr_t addr)
{
	bool found = false;

	atomic_fetch_add(&guards_readers, 1);
	for (struct guard *g = atomic_load(&guards); g && !found; g = atomic_load(&g->next))
		found = addr >= g->start && addr < g->end;
	atomic_fetch_sub(&guards_readers, 1);
	return found;
}

static bool put_zeroes(uintptr_t addr)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	void *start = (void *)(addr & ~(page - 1));

	return mmap(start, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
		    -1, 0) == start;
}

/*
 * Raised by an access of our own to guest memory, which the C library does not make while it holds
 * a lock: what is called here need not be safe in any signal handler.
 */
static void on_fault(int sig, siginfo_t *info, void *context)
{
	uintptr_t addr = (uintptr_t)info->si_addr;
	int saved_errno = errno;

	if (info->si_code > 0 && is_guarded(addr) && put_zeroes(addr)) {
		guest_warn("a driver gave a device memory that the guest does not share; the "
			   "device finds zeroes there");
	} else {
		/* A crash like any: the same access raises it again. */
		term_restore();
		signal(sig, SIG_DFL);
	}
	errno = saved_errno;
}

void arm_pkvm_guard(const struct guest_memory *mem)
{
	struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	const struct memory_region *r;

	sigemptyset(&action.sa_mask);
	pthread_mutex_lock(&guards_lock);
	memory_for_each(mem, r) {
		struct guard *g = xcalloc(1, sizeof(*g));

		g->mem = mem;
		g->start = (uintptr_t)r->hva;
		g->end = g->start + r->size;
		atomic_store(&g->next, atomic_load(&guards));
		atomic_store(&guards, g);
	}
	sigaction(SIGSEGV, &action, NULL);
	pthread_mutex_unlock(&guards_lock);
}

/* Whoever raises the count afterwards does not find what was taken out before. */
void arm_pkvm_unguard(const struct guest_memory *mem)
{
	struct guard *gone = NULL, *g;

	pthread_mutex_lock(&guards_lock);
	for (struct guard *_Atomic *at = &guards; (g = atomic_load(at));) {
		if (g->mem != mem) {
			at = &g->next;
			continue;
		}
		atomic_store(at, atomic_load(&g->next));
		while (atomic_load(&guards_readers))
			sched_yield();
		atomic_store(&g->next, gone);
		gone = g;
	}
	pthread_mutex_unlock(&guards_lock);
	while ((g = gone)) {
		gone = atomic_load(&g->next);
		free(g);
	}
}

static int vm_type(const struct kvm *kvm, const struct vm_config *cfg, u64 *type)
{
	return arm_pkvm_vm_type(&arm_pkvm_host, kvm, type);
}

static int memory(struct vm *vm)
{
	arm_pkvm_guard(&vm->mem);
	return arm_pkvm_lock_limit(&arm_pkvm_host, vm->cfg->memory);
}

/* Linux arch/arm64/kvm/mmu.c, pkvm_mem_abort; pkvm.rst: a page that the host used is taken back,
 * emptied, and lost to the guest. */
static int run_failed(struct vcpu *vcpu, int error)
{
	if (error != EFAULT && error != EIO)
		return -ENOTSUP;
	err("vcpu %u: KVM_RUN failed: %s: %s", vcpu->id, strerror(error),
	    error == EIO ? "the guest's memory must be anonymous"
			 : "the host took a page of the guest's back, or cannot back one; is it "
			   "out of memory?");
	return 0;
}

static void destroy(struct vm *vm)
{
	arm_pkvm_unguard(&vm->mem);
}

/* The host's pages are the guest's until it first runs: what it starts from is copied there. */
static const struct coco_ops pkvm_ops = {
	.vm_type = vm_type,
	.memory = memory,
	.run_failed = run_failed,
	.destroy = destroy,
	.shared_pool = ARM_DMA_POOL_SIZE,
};

const struct coco_ops *arm_pkvm_ops(const struct vm_config *cfg)
{
	return cfg->arm.protected ? &pkvm_ops : NULL;
}
