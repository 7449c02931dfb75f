/* SPDX-License-Identifier: MIT */
/* io_uring, Landlock, seccomp: asked with arguments that cannot succeed in changing anything. */
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/syscall.h>

#include "lkvm/probe.h"

/* Those of Linux's generic table (asm-generic/unistd.h): the same on all architectures of lkvm. */
#ifndef __NR_io_uring_setup
#define __NR_io_uring_setup 425
#endif
#ifndef __NR_landlock_create_ruleset
#define __NR_landlock_create_ruleset 444
#endif

static long ask(const struct probe *h, long number, long a, long b, long c)
{
	return h->sys->syscall(h->sys->opaque, number, a, b, c);
}

static void io_uring_row(struct probe *h)
{
	static const char sysctl[] = "/proc/sys/kernel/io_uring_disabled";
	struct probe_row *row = probe_row(h, PROBE_SEC_SERVICES, "io-uring", "block I/O");
	u64 disabled = 0;
	long ret;

	row->since = "5.1";
	probe_read_number(h, sysctl, &disabled);
	/* No entries, no parameters: EFAULT or EINVAL where it is allowed. */
	ret = ask(h, __NR_io_uring_setup, 0, 0, 0);
	if (ret == -ENOSYS)
		probe_no(row, "not in this kernel (CONFIG_IO_URING)");
	else if (ret != -EPERM)
		probe_yes(row);
	else if (disabled == 1)
		probe_no(row, "%s is 1: only for root and the group in io_uring_group", sysctl);
	else if (disabled)
		probe_no(row, "%s is %llu: write 0 to it", sysctl, disabled);
	else
		probe_no(row, "forbidden: a seccomp filter (a container's?) or a security module");
}

static void landlock_row(struct probe *h)
{
	struct probe_row *row = probe_row(h, PROBE_SEC_SERVICES, "landlock",
					  "lkvm restricts its own access to files (ABI version)");
	long ret = ask(h, __NR_landlock_create_ruleset, 0, 0, LANDLOCK_CREATE_RULESET_VERSION);

	row->since = "5.13";
	if (ret >= 0)
		probe_number(row, (u64)ret);
	else if (ret == -EOPNOTSUPP)
		probe_no(row, "switched off at boot: kernel parameter lsm= lacks landlock");
	else if (ret == -ENOSYS)
		probe_no(row, "not in this kernel (CONFIG_SECURITY_LANDLOCK)");
	else
		probe_no(row, "%s", strerror((int)-ret));
}

static void seccomp_row(struct probe *h)
{
	struct probe_row *row =
		probe_row(h, PROBE_SEC_SERVICES, "seccomp", "lkvm restricts its own system calls");
	unsigned int action = SECCOMP_RET_KILL_PROCESS;
	long ret = ask(h, __NR_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, (long)&action);

	row->since = "4.14";
	if (!ret)
		probe_yes(row);
	else if (ret == -EOPNOTSUPP)
		probe_no(row, "this kernel is too old to kill a process by filter");
	else
		probe_no(row, "not in this kernel (CONFIG_SECCOMP_FILTER): %s",
			 strerror((int)-ret));
}

void probe_service_rows(struct probe *h)
{
	io_uring_row(h);
	landlock_row(h);
	seccomp_row(h);
}
