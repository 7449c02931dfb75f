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
#include <sys/sysmacros.h>
#include <unistd.h>

#include "capture.h"
#include "lkvm/access.h"
#include "lkvm/json.h"
#include "lkvm/kvm.h"
#include "lkvm/probe.h"
#include "lkvm/util.h"

enum { FD_KVM = 1000, FD_VM, FD_GUEST_MEMFD, FD_TUN, FD_ARCH };

struct fake;
/* What an architecture adds: struct fake_arch, and the answers that only its KVM has. */
#include "fake_arch.h"
static void fake_arch_setup(struct fake *f);
static int fake_arch_ioctl(struct fake *f, int fd, unsigned long request, unsigned long arg);

struct fake {
	struct probe_sys sys;
	char root[64];
	struct probe host;
	int open_kvm; /* 0 or -errno */
	int api;
	int create_vm;
	int sys_caps[320], vm_caps[320];
	int in_place; /* what KVM_SET_MEMORY_ATTRIBUTES2 of a guest_memfd says */
	int tun_hash;
	struct fake_arch arch;
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

	assert_in_range(fd, FD_KVM, FD_ARCH + 2);
	f->closed++;
	return 0;
}

static inline int kvm_ioctl(struct fake *f, unsigned long request, unsigned long arg)
{
	switch (request) {
	case KVM_GET_API_VERSION:
		return f->api;
	case KVM_CREATE_VM:
		/* Bits that no ordinary VM has. */
		if (arg & (1UL << 8 | 1UL << 30))
			return fake_arch_ioctl(f, FD_KVM, request, arg);
		f->arch.vm_type = arg;
		f->opened += f->create_vm >= 0;
		return f->create_vm;
	case KVM_CHECK_EXTENSION:
		return f->sys_caps[arg];
	default:
		return fake_arch_ioctl(f, FD_KVM, request, arg);
	}
}

static inline int vm_ioctl(struct fake *f, unsigned long request, unsigned long arg)
{
	switch (request) {
	case KVM_CHECK_EXTENSION:
		return f->vm_caps[arg];
	case KVM_CREATE_GUEST_MEMFD:
		f->opened++;
		return FD_GUEST_MEMFD;
	default:
		return fake_arch_ioctl(f, FD_VM, request, arg);
	}
}

static inline int fake_ioctl(void *opaque, int fd, unsigned long request, unsigned long arg)
{
	struct fake *f = opaque;

	if (fd == FD_KVM)
		return kvm_ioctl(f, request, arg);
	if (fd == FD_VM)
		return vm_ioctl(f, request, arg);
	if (fd >= FD_ARCH)
		return fake_arch_ioctl(f, fd, request, arg);
	if (fd == FD_GUEST_MEMFD) {
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
	static const gid_t groups[] = { 64242 };
	static const struct access_who user = { 64242, groups, 1, false };
	struct fake *f = calloc(1, sizeof(*f));

	strcpy(f->root, "/tmp/lkvm-test-host-XXXXXX");
	assert_non_null(mkdtemp(f->root));
	f->sys = (struct probe_sys){ f->root,	 f,	     &user,	  fake_open,
				     fake_close, fake_ioctl, fake_access, fake_syscall };
	f->api = 12;
	f->create_vm = FD_VM;
	f->in_place = -ENOTTY;
	f->tun_hash = -EINVAL;
	f->io_uring = -EFAULT;
	f->landlock = 4;
	put(f, "/proc/sys/kernel/osrelease", "6.8.12-test\n");
	put(f, "/proc/cpuinfo",
	    "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Some CPU\n"
	    "flags\t\t: fpu vmx\n\nprocessor\t: 1\nflags\t: svm\n");
	put(f, "/dev/kvm", "");
	put(f, "/sys/class/misc/kvm/dev", "10:232\n");
	fake_arch_setup(f);
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fake *f = *state;

	probe_destroy(&f->host);
	nftw(f->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(f);
	return 0;
}

static inline void probe(struct fake *f)
{
	probe_destroy(&f->host);
	f->opened = f->closed = 0;
	probe_run(&f->host, &f->sys, "/dev/kvm");
	/* Whatever was opened is closed again. */
	assert_int_equal(f->opened, f->closed);
}

static const struct probe_row *row(const struct fake *f, enum probe_section section,
				   const char *name)
{
	const struct probe_row *r = probe_find(&f->host, section, name);

	if (!r)
		fail_msg("no row '%s'", name);
	return r;
}

static inline void expect_no(const struct fake *f, enum probe_section s, const char *name,
			     const char *why)
{
	const struct probe_row *r = row(f, s, name);

	assert_int_equal(r->answer, PROBE_NO);
	assert_contains(r->why, why);
}

static inline void expect_yes(const struct fake *f, enum probe_section s, const char *name)
{
	const struct probe_row *r = row(f, s, name);

	if (r->answer != PROBE_YES)
		fail_msg("%s: %s", name, r->why);
}

static inline void expect_text(const struct fake *f, enum probe_section s, const char *name,
			       const char *text)
{
	expect_yes(f, s, name);
	assert_non_null(row(f, s, name)->text);
	assert_string_equal(row(f, s, name)->text, text);
}

static inline void expect_number(const struct fake *f, enum probe_section s, const char *name,
				 u64 n)
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

/* Nothing serves /dev/kvm. */
static inline void remove_kvm(struct fake *f)
{
	f->open_kvm = -ENOENT;
	unlink_in(f, "/dev/kvm");
	unlink_in(f, "/sys/class/misc/kvm");
}

/* The object of @name in what --cpu of `lkvm host` prints. */
static inline void expect_json(struct fake *f, const char *name, const char *text)
{
	for (u32 i = 0; i < probe_arch_nr_cpu(); i++) {
		struct json_out out = { .max = 1024 };
		bool found;

		json_open(&out, NULL, '{');
		probe_arch_put_cpu(&f->host, i, &out);
		json_close(&out, '}');
		json_put_bytes(&out, "", 1);
		found = strstr(out.buf, name);
		if (found)
			assert_contains(out.buf, text);
		json_out_free(&out);
		if (found)
			return;
	}
	fail_msg("no %s", name);
}

#include "fake_arch_kvm.h"

#define PROBE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

#endif
