/* SPDX-License-Identifier: MIT */
/* A VM's parts: made, started, reset, destroyed (see include/lkvm/vm.h; pause.c runs and stops it).
 */
#include "lkvm/vm.h"

#include <linux/magic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lkvm/access.h"
#include "lkvm/coco.h"
#include "lkvm/config.h"
#include "lkvm/device.h"
#include "lkvm/log.h"
#include "lkvm/memslot.h"
#include "lkvm/signals.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"

int vm_init(struct vm *vm, const struct vm_config *cfg)
{
	int ret;

	memset(vm, 0, sizeof(*vm));
	vm->cfg = cfg;
	vm->start_ns = now_ns();
	vm->kvm.sys_fd = -1;
	vm->kvm.vm_fd = -1;
	vm->devices_tail = &vm->devices;
	vm->stop_vcpu = -1;
	memory_init(&vm->mem);
	pthread_mutex_init(&vm->removal_lock, NULL);
	pthread_mutex_init(&vm->lock, NULL);
	pthread_cond_init(&vm->gate, NULL);
	pthread_cond_init(&vm->parked, NULL);
	ret = event_loop_init(&vm->loop, "main");
	if (ret)
		goto fail;
	ret = bus_init(&vm->pio, "pio", VM_PIO_LIMIT);
	if (ret)
		goto fail;
	ret = bus_init(&vm->mmio, "mmio", ~0ULL);
	if (ret)
		goto fail;
	return 0;
fail:
	err("cannot set up a VM: %s%s", strerror(-ret), limit_hint(ret));
	vm_destroy(vm);
	return ret;
}

/* The size of the huge pages of the mount at @path, or -errno after saying what is wrong with it.
 */
static s64 huge_page_size(const char *path)
{
	struct statfs fs;

	if (statfs(path, &fs) < 0) {
		int ret = -errno;

		if (ret == -ENOENT)
			err("--hugetlbfs %s: %s; make the folder, then: mount -t hugetlbfs none %s",
			    path, strerror(-ret), path);
		else
			err("--hugetlbfs %s: %s", path, strerror(-ret));
		return ret;
	}
	if (fs.f_type != HUGETLBFS_MAGIC) {
		err("--hugetlbfs %s: is not on a hugetlbfs mount; make one with: mount -t "
		    "hugetlbfs none %s",
		    path, path);
		return -EINVAL;
	}
	return fs.f_bsize;
}

/* Few pages are one reason; a mount that others own is another. */
static void say_no_huge_pages(const char *text, const char *path, int ret, u64 nr, const char *page)
{
	char why[ACCESS_WHY_LEN];

	if (ret == -EACCES || ret == -EPERM)
		err("--hugetlbfs %s: cannot make a file there: %s; %s", path, strerror(-ret),
		    access_why("", NULL, path, R_OK | W_OK, -ret, why, sizeof(why)));
	else
		err("--hugetlbfs: cannot map %s of huge pages from '%s': %s; %llu pages of %s must "
		    "be free (/proc/meminfo, HugePages_Free)",
		    text, path, strerror(-ret), nr, page);
}

static bool is_space_limited(void)
{
	struct rlimit limit;

	return !getrlimit(RLIMIT_AS, &limit) && limit.rlim_cur != RLIM_INFINITY;
}

int vm_add_private(struct vm *vm, u64 gpa, u64 size, enum memory_kind kind, const char *name)
{
	int fd = kvm_create_guest_memfd(&vm->kvm, size, 0), ret;

	if (fd < 0)
		return fd;
	ret = memory_add(&vm->mem, &(struct memory_desc){
					   .gpa = gpa,
					   .size = size,
					   .kind = kind,
					   .private = true,
					   .private_fd = fd,
					   .name = name,
				   });
	close(fd);
	return ret;
}

static int add_private_ram(struct vm *vm, u64 gpa, u64 size, const char *name)
{
	char text[32];
	int ret = vm_add_private(vm, gpa, size, MEM_RAM, name);

	if (ret)
		err("--mem: cannot have %s of the guest's own (guest_memfd): %s%s",
		    format_size(size, text, sizeof(text)), strerror(-ret), limit_hint(ret));
	return ret;
}

/*
 * Huge pages are the one thing that is opened by name in the build stage (an unnamed file in the
 * mount for each region). Guests for which a VM is made anew cannot have any: see coco.h,
 * may_reset, and arm_pkvm_check.
 */
int vm_add_ram(struct vm *vm, u64 gpa, u64 size, const char *name)
{
	const char *path = vm->cfg->hugetlbfs;
	bool shared = config_shares_memory(vm->cfg);
	char text[32], page[32];
	s64 huge = 0;
	int ret;

	if (vm->coco && vm->coco->private_memory)
		return add_private_ram(vm, gpa, size, name);
	format_size(size, text, sizeof(text));
	if (path) {
		huge = huge_page_size(path);
		if (huge < 0)
			return (int)huge;
		format_size((u64)huge, page, sizeof(page));
		if (size % (u64)huge) {
			err("--mem: %s at 0x%llx is not a multiple of the huge page size of '%s' "
			    "(%s); choose another size",
			    text, gpa, path, page);
			return -EINVAL;
		}
	}
	ret = memory_add(&vm->mem, &(struct memory_desc){
					   .gpa = gpa,
					   .size = size,
					   .backing = path     ? MEM_HUGETLB
						      : shared ? MEM_MEMFD
							       : MEM_ANON,
					   .path = path,
					   .name = name,
				   });
	if (!ret)
		return 0;
	if (path)
		say_no_huge_pages(text, path, ret, (u64)size / (u64)huge, page);
	else
		err("--mem: cannot map %s: %s; decrease it%s", text, strerror(-ret),
		    is_space_limited() ? ", or raise 'ulimit -v'" : "");
	return ret;
}

/* The vcpu whose thread this is, or NULL. */
static struct vcpu *current_vcpu(const struct vm *vm)
{
	for (u32 i = 0; i < vm->nr_vcpus; i++)
		if (vm->vcpus[i]->has_thread && pthread_equal(vm->vcpus[i]->thread, pthread_self()))
			return vm->vcpus[i];
	return NULL;
}

int vm_remove_memory(struct vm *vm, u64 gpa)
{
	struct vcpu *self = current_vcpu(vm);
	bool paused, aside = event_loop_step_aside(&vm->loop);
	int ret;

	/* Two vcpus that do this at once must not wait for each other, nor one for itself. */
	if (self)
		memory_read_end(&self->reader);
	pthread_mutex_lock(&vm->removal_lock);
	/* Of a paused VM, whose vcpus are parked, the main thread alone asks this. */
	paused = vm->quiesced;
	if (!paused)
		vm_quiesce_devices(vm);
	ret = memory_remove(&vm->mem, gpa);
	if (!ret)
		memory_reclaim(&vm->mem);
	if (!paused)
		vm_resume_devices(vm);
	pthread_mutex_unlock(&vm->removal_lock);
	event_loop_step_back(&vm->loop, aside);
	if (self)
		memory_read_begin(&self->reader);
	return ret;
}

void vm_reclaim_memory(struct vm *vm)
{
	bool aside = event_loop_step_aside(&vm->loop), paused;

	pthread_mutex_lock(&vm->removal_lock);
	paused = vm->quiesced;
	if (!paused)
		vm_quiesce_devices(vm);
	memory_reclaim(&vm->mem);
	if (!paused)
		vm_resume_devices(vm);
	pthread_mutex_unlock(&vm->removal_lock);
	event_loop_step_back(&vm->loop, aside);
}

/* No process has memory there: whoever touches it crashes, instead of finding what is not. */
#define NOWHERE ((void *)(1ULL << 63))

int vm_sketch_ram(struct vm *vm, u64 gpa, u64 size, const char *name)
{
	char text[32];
	int ret = memory_add_borrowed(&vm->mem, gpa, size, NOWHERE, MEM_RAM, name);

	if (ret)
		err("memory: %s at 0x%llx: %s", format_size(size, text, sizeof(text)), gpa,
		    strerror(-ret));
	return ret;
}

void vm_destroy_vcpus(struct vm *vm)
{
	for (u32 i = 0; i < vm->nr_vcpus; i++)
		vcpu_destroy(vm->vcpus[i]);
	free(vm->vcpus);
	vm->vcpus = NULL;
	vm->nr_vcpus = 0;
}

void vm_clear(struct vm *vm)
{
	vm_destroy_devices(vm);
	vm_destroy_vcpus(vm);
	irq_destroy(&vm->irqs);
	/* Its slots go with it. */
	kvm_close_vm(&vm->kvm);
	kvm_detach_memory(&vm->kvm, &vm->mem);
	memory_destroy(&vm->mem);
	vm->ending = false;
	vm->quiesced = false;
}

void vm_destroy(struct vm *vm)
{
	vm_clear(vm);
	bus_destroy(&vm->pio);
	bus_destroy(&vm->mmio);
	event_loop_destroy(&vm->loop);
	kvm_close(&vm->kvm);
	pthread_cond_destroy(&vm->parked);
	pthread_cond_destroy(&vm->gate);
	pthread_mutex_destroy(&vm->lock);
	pthread_mutex_destroy(&vm->removal_lock);
}

int vm_start_vcpus(struct vm *vm)
{
	/* Without a handler a kick would end lkvm. */
	int ret = signals_own(THREAD_KICK_SIGNAL, true);

	if (ret)
		err("cannot start the vcpus' threads: sigaction: %s", strerror(-ret));
	for (u32 i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = vcpu_start(vm->vcpus[i]);
	if (ret)
		vm_stop_vcpus(vm);
	return ret;
}

int vm_ioeventfd(struct vm *vm, bool pio, u64 addr, u32 len, const u64 *datamatch, int fd,
		 bool assign)
{
	struct kvm_ioeventfd io = {
		.addr = addr,
		.len = len,
		.fd = fd,
		.datamatch = datamatch ? *datamatch : 0,
		.flags = (pio ? KVM_IOEVENTFD_FLAG_PIO : 0u) |
			 (datamatch ? KVM_IOEVENTFD_FLAG_DATAMATCH : 0u) |
			 (assign ? 0u : KVM_IOEVENTFD_FLAG_DEASSIGN),
	};
	int ret;

	if (vm->kvm.vm_fd < 0)
		return -ENOTSUP;
	ret = xioctl(vm->kvm.vm_fd, KVM_IOEVENTFD, &io);
	return ret < 0 ? ret : 0;
}
