/* SPDX-License-Identifier: MIT */
/* For the tests of `lkvm host`: a host that does not exist: a directory as /, a KVM that answers as
 * told. */
#ifndef TEST_FAKE_HOST_H
#define TEST_FAKE_HOST_H

#include "unit.h"

#include <ftw.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "capture.h"
#include "lkvm/host.h"
#include "lkvm/kvm.h"
#include "lkvm/util.h"

enum { FD_KVM = 1000, FD_VM, FD_GMEM, FD_TUN };

struct fake {
	struct host_sys sys;
	char root[64];
	struct host host;
	int open_kvm; /* 0 or -errno */
	int api;
	int create_vm;
	int sys_caps[256], vm_caps[256];
	int in_place; /* what KVM_SET_MEMORY_ATTRIBUTES2 of a guest_memfd says */
	int tsc_khz;
	int tun_hash;
	s64 sev_attr[3]; /* -1: not there */
	struct kvm_cpuid_entry2 cpuid[8];
	u32 nr_cpuid;
	u64 vmx_msr;
	const char *denied; /* path that may not be accessed */
	long io_uring, landlock, seccomp;
	u32 opened, closed;
};

static inline int fake_open(void *opaque, const char *path, int flags)
{
	struct fake *f = opaque;
	bool tun = strstr(path, "/dev/net/tun");

	assert_false(strncmp(path, f->root, strlen(f->root)));
	if (!tun && f->open_kvm)
		return f->open_kvm;
	f->opened++;
	return tun ? FD_TUN : FD_KVM;
}

static inline int fake_close(void *opaque, int fd)
{
	struct fake *f = opaque;

	assert_in_range(fd, FD_KVM, FD_TUN);
	f->closed++;
	return 0;
}

static inline int get_cpuid(const struct fake *f, struct kvm_cpuid2 *cpuid)
{
	if (cpuid->nent < 200)
		return -E2BIG; /* so that a second try is needed */
	cpuid->nent = f->nr_cpuid;
	memcpy(cpuid->entries, f->cpuid, f->nr_cpuid * sizeof(f->cpuid[0]));
	return 0;
}

static inline int get_attr(const struct fake *f, const struct kvm_device_attr *attr)
{
	assert_int_equal(attr->group, 1);
	if (f->sev_attr[attr->attr] < 0)
		return -ENXIO;
	*(u64 *)(uintptr_t)attr->addr = (u64)f->sev_attr[attr->attr];
	return 0;
}

static inline int kvm_ioctl(struct fake *f, unsigned long request, unsigned long arg)
{
	struct kvm_msrs *msrs = (struct kvm_msrs *)arg;

	switch (request) {
	case KVM_GET_API_VERSION:
		return f->api;
	case KVM_CREATE_VM:
		assert_int_equal(arg, 0);
		f->opened += f->create_vm >= 0;
		return f->create_vm;
	case KVM_CHECK_EXTENSION:
		return f->sys_caps[arg];
	case KVM_GET_SUPPORTED_CPUID:
		return get_cpuid(f, (struct kvm_cpuid2 *)arg);
	case KVM_GET_DEVICE_ATTR:
		return get_attr(f, (const struct kvm_device_attr *)arg);
	case KVM_GET_MSRS:
		assert_int_equal(msrs->nmsrs, 1);
		assert_int_equal(msrs->entries[0].index, 0x48b);
		msrs->entries[0].data = f->vmx_msr;
		return 1;
	default:
		fail_msg("/dev/kvm was asked 0x%lx", request);
	}
	return -ENOTTY;
}

static inline int vm_ioctl(struct fake *f, unsigned long request, unsigned long arg)
{
	switch (request) {
	case KVM_CHECK_EXTENSION:
		return f->vm_caps[arg];
	case KVM_CREATE_GUEST_MEMFD:
		f->opened++;
		return FD_GMEM;
	case KVM_GET_TSC_KHZ:
		return f->tsc_khz;
	case KVM_CREATE_DEVICE:
		/* Nothing may be created. */
		assert_int_equal(((struct kvm_create_device *)arg)->flags, KVM_CREATE_DEVICE_TEST);
		return -ENODEV;
	default:
		fail_msg("the VM was asked 0x%lx", request);
	}
	return -ENOTTY;
}

static inline int fake_ioctl(void *opaque, int fd, unsigned long request, unsigned long arg)
{
	struct fake *f = opaque;

	if (fd == FD_KVM)
		return kvm_ioctl(f, request, arg);
	if (fd == FD_VM)
		return vm_ioctl(f, request, arg);
	if (fd == FD_GMEM) {
		static const u64 zero[16];

		assert_int_equal(request, 0xc080aed2);
		assert_memory_equal((void *)arg, zero, sizeof(zero));
		return f->in_place;
	}
	assert_int_equal(fd, FD_TUN);
	if (request == TUNGETFEATURES) {
		*(u32 *)arg = IFF_TAP | IFF_VNET_HDR | 1U << 20;
		return 0;
	}
	return request == 0x800454e4UL ? f->tun_hash : -EINVAL;
}

static inline int fake_access(void *opaque, const char *path, int mode)
{
	const struct fake *f = opaque;

	return f->denied && !strcmp(path + strlen(f->root), f->denied) ? -EACCES : 0;
}

static inline long fake_syscall(void *opaque, long number, long a, long b, long c)
{
	const struct fake *f = opaque;

	switch (number) {
	case 425: /* io_uring_setup */
		assert_int_equal(b, 0);
		return f->io_uring;
	case 444: /* landlock_create_ruleset */
		assert_int_equal(a, 0);
		return f->landlock;
	case __NR_seccomp:
		return f->seccomp;
	}
	fail_msg("system call %ld", number);
	return -ENOSYS;
}

static inline void put(struct fake *f, const char *path, const char *text)
{
	char *full = xasprintf("%s%s", f->root, path);
	FILE *out;

	for (char *s = strchr(full + strlen(f->root) + 1, '/'); s; s = strchr(s + 1, '/')) {
		*s = '\0';
		assert_true(!mkdir(full, 0755) || errno == EEXIST);
		*s = '/';
	}
	out = fopen(full, "w");
	assert_non_null(out);
	fputs(text, out);
	fclose(out);
	free(full);
}

static inline int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static inline void put_dir(struct fake *f, const char *path)
{
	char *file = xasprintf("%s/x", path), *full = xasprintf("%s%s", f->root, file);

	put(f, file, "");
	assert_int_equal(remove(full), 0);
	free(full);
	free(file);
}

/* A host of Linux 6.8 with KVM and nothing else. */
static inline int setup(void **state)
{
	struct fake *f = calloc(1, sizeof(*f));

	strcpy(f->root, "/tmp/lkvm-test-host-XXXXXX");
	assert_non_null(mkdtemp(f->root));
	f->sys = (struct host_sys){ f->root,	f,	     fake_open,	  fake_close,
				    fake_ioctl, fake_access, fake_syscall };
	f->api = 12;
	f->create_vm = FD_VM;
	f->in_place = -ENOTTY;
	f->tun_hash = -EINVAL;
	f->io_uring = -EFAULT;
	f->landlock = 4;
	for (size_t i = 0; i < ARRAY_SIZE(f->sev_attr); i++)
		f->sev_attr[i] = -1;
	put(f, "/proc/sys/kernel/osrelease", "6.8.12-test\n");
	put(f, "/proc/cpuinfo",
	    "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Some CPU\n"
	    "flags\t\t: fpu vmx\n\nprocessor\t: 1\nflags\t: svm\n");
	put(f, "/dev/kvm", "");
	put(f, "/sys/class/misc/kvm/dev", "10:232\n");
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fake *f = *state;

	host_destroy(&f->host);
	nftw(f->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

static inline void probe(struct fake *f)
{
	host_destroy(&f->host);
	f->opened = f->closed = 0;
	host_probe(&f->host, &f->sys, "/dev/kvm");
	/* Whatever was opened is closed again. */
	assert_int_equal(f->opened, f->closed);
}

static const struct host_row *row(const struct fake *f, enum host_section section, const char *name)
{
	const struct host_row *r = host_find(&f->host, section, name);

	if (!r)
		fail_msg("no row '%s'", name);
	return r;
}

static inline void expect_no(const struct fake *f, enum host_section s, const char *name,
			     const char *why)
{
	const struct host_row *r = row(f, s, name);

	assert_int_equal(r->answer, HOST_NO);
	assert_contains(r->why, why);
}

static inline void expect_yes(const struct fake *f, enum host_section s, const char *name)
{
	const struct host_row *r = row(f, s, name);

	if (r->answer != HOST_YES)
		fail_msg("%s: %s", name, r->why);
}

static inline void expect_text(const struct fake *f, enum host_section s, const char *name,
			       const char *text)
{
	expect_yes(f, s, name);
	assert_non_null(row(f, s, name)->text);
	assert_string_equal(row(f, s, name)->text, text);
}

static inline void expect_number(const struct fake *f, enum host_section s, const char *name, u64 n)
{
	expect_yes(f, s, name);
	assert_int_equal(row(f, s, name)->number, n);
}

static inline void unlink_in(struct fake *f, const char *path)
{
	char *full = xasprintf("%s%s", f->root, path);

	assert_int_equal(nftw(full, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
	free(full);
}

#define HOST_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
