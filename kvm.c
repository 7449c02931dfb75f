/* SPDX-License-Identifier: MIT */
/* KVM's file descriptors and capabilities (Linux Documentation/virt/kvm/api.rst). */
#include "lkvm/kvm.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lkvm/access.h"
#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"

/* Numbers of capabilities beyond are asked each time: Linux 6.18 has 246. */
#define KEPT_CAPS 320U

int xioctl(int fd, unsigned long request, void *arg)
{
	return xioctl_val(fd, request, (unsigned long)arg);
}

int xioctl_val(int fd, unsigned long request, unsigned long arg)
{
	int ret;

	do {
		ret = ioctl(fd, request, arg);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : ret;
}

#define NO_DRIVER                                                                                 \
	"load the KVM module of this CPU (modprobe kvm_intel or kvm_amd on x86), and check that " \
	"virtualization is enabled in the firmware; 'lkvm host' says more"

static void explain_open(const char *path, int error)
{
	bool usual = !strcmp(path, "/dev/kvm");
	char why[ACCESS_WHY_LEN];

	switch (error) {
	case EACCES:
	case EPERM:
		err("%s: permission denied: %s", path,
		    access_why("", NULL, path, R_OK | W_OK, error, why, sizeof(why)));
		break;
	case ENOENT:
		if (!usual)
			err("%s: no such file; omit --dev for /dev/kvm", path);
		else if (access_misc_driver("", "kvm") == 1)
			err("%s: no such device, though this kernel has KVM; give the container "
			    "the device: --device %s; elsewhere: mknod %s c 10 232",
			    path, path, path);
		else
			err("%s: no such device; " NO_DRIVER, path);
		break;
	case ENODEV:
	case ENXIO:
		err("%s: no KVM is behind it; " NO_DRIVER, path);
		break;
	case EBUSY:
		err("%s: busy: another hypervisor holds the CPU's virtualization extension; stop "
		    "it first",
		    path);
		break;
	default:
		err("%s: cannot open: %s%s", path, strerror(error), limit_hint(error));
	}
}

int kvm_open(struct kvm *kvm, const char *path)
{
	int version, ret;

	memset(kvm, 0, sizeof(*kvm));
	kvm->vm_fd = -1;
	kvm->sys_fd = open(path, O_RDWR | O_CLOEXEC);
	if (kvm->sys_fd < 0) {
		ret = -errno;
		explain_open(path, -ret);
		return ret;
	}
	version = xioctl_val(kvm->sys_fd, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION) {
		if (version < 0)
			err("%s: is not KVM (%s); name the device with --dev", path,
			    strerror(-version));
		else
			err("%s: speaks KVM API %d, lkvm needs %d", path, version, KVM_API_VERSION);
		ret = -ENODEV;
		goto fail;
	}
	ret = xioctl_val(kvm->sys_fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (ret < (int)sizeof(struct kvm_run)) {
		err("%s: cannot be used: KVM_GET_VCPU_MMAP_SIZE: %s", path,
		    ret < 0 ? strerror(-ret) : "too small");
		ret = ret < 0 ? ret : -EPROTO;
		goto fail;
	}
	kvm->run_size = (u32)ret;
	kvm->caps = xcalloc(KEPT_CAPS, sizeof(kvm->caps[0]));
	return 0;
fail:
	kvm_close(kvm);
	return ret;
}

/* A VM may have less than its KVM, or more than the one before. */
static void forget_caps(struct kvm *kvm)
{
	for (u32 i = 0; kvm->caps && i < KEPT_CAPS; i++)
		atomic_store_explicit(&kvm->caps[i], 0, memory_order_relaxed);
}

int kvm_create_vm(struct kvm *kvm, u64 type)
{
	int fd = xioctl_val(kvm->sys_fd, KVM_CREATE_VM, (unsigned long)type);

	if (fd < 0) {
		if (fd == -EBUSY)
			err("cannot create a VM: KVM is busy: another hypervisor holds the CPU's "
			    "virtualization extension; stop it first");
		else if (fd == -EINVAL && type)
			err("cannot create a VM of type 0x%llx: this host's KVM does not offer it",
			    type);
		else
			err("cannot create a VM: KVM_CREATE_VM: %s%s", strerror(-fd),
			    limit_hint(fd));
		return fd;
	}
	kvm->vm_fd = fd;
	kvm->vm_type = type;
	forget_caps(kvm);
	return 0;
}

static int ask_cap(const struct kvm *kvm, u32 cap)
{
	int ret = xioctl_val(kvm->vm_fd >= 0 ? kvm->vm_fd : kvm->sys_fd, KVM_CHECK_EXTENSION, cap);

	/* Old kernels answer on the system fd alone. */
	if (ret < 0 && kvm->vm_fd >= 0)
		ret = xioctl_val(kvm->sys_fd, KVM_CHECK_EXTENSION, cap);
	return ret < 0 ? 0 : ret;
}

int kvm_check_cap(const struct kvm *kvm, u32 cap)
{
	atomic_int *kept = kvm->caps && cap < KEPT_CAPS ? &kvm->caps[cap] : NULL;
	int n = kept ? atomic_load_explicit(kept, memory_order_relaxed) : 0;

	if (n)
		return n - 1;
	n = ask_cap(kvm, cap);
	if (kept && n < INT_MAX)
		atomic_store_explicit(kept, n + 1, memory_order_relaxed);
	return n;
}

u32 kvm_cap_or(const struct kvm *kvm, u32 cap, u32 fallback)
{
	int n = kvm_check_cap(kvm, cap);

	return n > 0 ? (u32)n : fallback;
}

/* Without an answer KVM has four (api.rst, 4.7 KVM_CREATE_VCPU). */
static u32 recommended_vcpus(const struct kvm *kvm)
{
	return kvm_cap_or(kvm, KVM_CAP_NR_VCPUS, 4);
}

int kvm_check_vcpus(const struct kvm *kvm, u32 cpus)
{
	u32 max, ids;

	/* One is never too many: the usual machine is asked nothing. */
	if (cpus == 1)
		return 0;
	max = kvm_cap_or(kvm, KVM_CAP_MAX_VCPUS, 0);
	if (!max)
		max = recommended_vcpus(kvm);
	if (cpus > max) {
		err("--cpus %u: this host's KVM supports at most %u vcpus in one VM", cpus, max);
		return -EINVAL;
	}
	ids = kvm_cap_or(kvm, KVM_CAP_MAX_VCPU_ID, max);
	if (cpus > ids) {
		err("--cpus %u: this host's KVM has ids for at most %u vcpus in one VM", cpus, ids);
		return -EINVAL;
	}
	return 0;
}

void kvm_advise_vcpus(const struct kvm *kvm, u32 cpus)
{
	u32 recommended = cpus == 1 ? 1 : recommended_vcpus(kvm);

	if (cpus > recommended)
		warn("--cpus %u: is more than the %u vcpus that KVM recommends on this host, whose "
		     "CPUs they share; the guest may be slow",
		     cpus, recommended);
}

int kvm_require(const struct kvm *kvm, const struct kvm_need *needs, size_t n)
{
	int ret = 0;

	for (size_t i = 0; i < n; i++) {
		if (kvm_check_cap(kvm, needs[i].cap) > 0)
			continue;
		err("this host's KVM has no KVM_CAP_%s, needed for %s; use a newer kernel",
		    needs[i].name, needs[i].why);
		ret = -ENOTSUP;
	}
	return ret;
}

int kvm_create_device(const struct kvm *kvm, u32 type, u32 flags, int *fd)
{
	struct kvm_create_device dev = { .type = type, .flags = flags };
	int ret = xioctl(kvm->vm_fd, KVM_CREATE_DEVICE, &dev);

	if (ret < 0)
		return ret;
	if (fd)
		*fd = (int)dev.fd;
	return 0;
}

int kvm_enable_cap(const struct kvm *kvm, u32 cap, u64 arg0)
{
	struct kvm_enable_cap enable = { .cap = cap, .args = { arg0 } };
	int ret = xioctl(kvm->vm_fd, KVM_ENABLE_CAP, &enable);

	return ret < 0 ? ret : 0;
}

int kvm_set_halt_poll(const struct kvm *kvm, u32 ns)
{
	int ret;

	if (kvm_check_cap(kvm, KVM_CAP_HALT_POLL) <= 0) {
		err("--halt-poll %u: this host's KVM has no KVM_CAP_HALT_POLL, new in Linux 5.8; "
		    "omit it for the module parameter kvm.halt_poll_ns",
		    ns);
		return -EOPNOTSUPP;
	}
	ret = kvm_enable_cap(kvm, KVM_CAP_HALT_POLL, ns);
	if (ret)
		err("--halt-poll %u: KVM_CAP_HALT_POLL: %s", ns, strerror(-ret));
	return ret;
}

int kvm_create_guest_memfd(const struct kvm *kvm, u64 size, u64 flags)
{
	struct kvm_create_guest_memfd create = { .size = size, .flags = flags };

	return xioctl(kvm->vm_fd, KVM_CREATE_GUEST_MEMFD, &create);
}

void kvm_close_vm(struct kvm *kvm)
{
	if (kvm->vm_fd >= 0)
		close(kvm->vm_fd);
	kvm->vm_fd = -1;
	forget_caps(kvm);
}

void kvm_close(struct kvm *kvm)
{
	kvm_close_vm(kvm);
	if (kvm->sys_fd >= 0)
		close(kvm->sys_fd);
	kvm->sys_fd = -1;
	free(kvm->caps);
	kvm->caps = NULL;
}
