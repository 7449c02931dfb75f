/* SPDX-License-Identifier: MIT */
/*
 * What a start asks of the host: system calls are counted (ptrace(2)) from main's first to the
 * first KVM_RUN, and none comes back that most runs never need. Calls by which the C library gets
 * memory or waits for a thread do not count.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lkvm/types.h"

/* Linux 5.3; the C library's header and the kernel's exclude each other. */
#define GET_SYSCALL_INFO 0x420e
#define OP_ENTRY	 1
struct syscall_info {
	u8 op, pad[3];
	u32 arch;
	u64 ip, sp, nr, args[6];
};

/* A hang is all that it is for. */
#define LIMIT_SECONDS 600
#define MAX_CAPS      512

struct counts {
	bool begun, loops;
	unsigned int all, kvm, opens;
	unsigned int run, vcpu_reads, routes, lists, vms;
	unsigned int caps[2][MAX_CAPS]; /* KVM_CHECK_EXTENSION: before there is a VM, of it */
};

static unsigned int points;
static bool failed;

static void point(bool ok, const char *name)
{
	printf("%sok %u - %s\n", ok ? "" : "not ", ++points, name);
	failed |= !ok;
}

static void count_kvm(struct counts *c, const struct syscall_info *info)
{
	c->kvm++;
	switch (info->args[1]) {
	case KVM_RUN:
		c->run++;
		break;
	case KVM_CREATE_VM:
		c->vms++;
		break;
	case KVM_CHECK_EXTENSION:
		c->caps[c->vms ? 1 : 0][MIN(info->args[2], (u64)MAX_CAPS - 1)]++;
		break;
	case KVM_SET_GSI_ROUTING:
		c->routes++;
		break;
#ifdef __x86_64__
	case KVM_GET_MSR_INDEX_LIST:
		c->lists++;
		break;
	case KVM_GET_REGS:
	case KVM_GET_SREGS:
	case KVM_GET_LAPIC:
	case KVM_GET_XSAVE2:
	case KVM_GET_VCPU_EVENTS:
	case KVM_GET_MP_STATE:
	case KVM_GET_IRQCHIP:
	case KVM_GET_PIT2:
		c->vcpu_reads++;
		break;
#endif
	}
}

static bool of_the_library(u64 nr)
{
	switch (nr) {
	case SYS_brk:
	case SYS_mmap:
	case SYS_munmap:
	case SYS_mremap:
	case SYS_mprotect:
	case SYS_madvise:
	case SYS_futex:
	case SYS_getrandom:
	case SYS_sched_yield:
	case SYS_rseq:
	case SYS_set_robust_list:
	case SYS_rt_sigprocmask:
		return true;
	}
	return false;
}

/* main looks at the standard descriptors before all else. */
static bool begins(const struct syscall_info *info)
{
	return info->nr == SYS_fcntl && info->args[0] == 0 && info->args[1] == F_GETFD;
}

/* The main loop: what happens there meanwhile is no part of the start. */
static bool waits(const struct syscall_info *info)
{
#ifdef SYS_epoll_wait
	if (info->nr == SYS_epoll_wait)
		return true;
#endif
	return info->nr == SYS_epoll_pwait;
}

static void note(struct counts *c, const struct syscall_info *info, bool main_thread)
{
	c->begun |= begins(info);
	c->loops |= main_thread && waits(info);
	if (!c->begun || (main_thread && c->loops) || of_the_library(info->nr))
		return;
	c->all++;
	c->opens += info->nr == SYS_openat;
	if (info->nr == SYS_ioctl && _IOC_TYPE(info->args[1]) == KVMIO)
		count_kvm(c, info);
}

/* False: it cannot be traced. The process is gone afterwards. */
static bool trace(pid_t pid, struct counts *c)
{
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL;
	struct syscall_info info;
	bool ok;
	int status, sig;
	pid_t tid;

	ok = waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) &&
	     !ptrace(PTRACE_SETOPTIONS, pid, NULL, options);
	tid = pid;
	while (ok && !c->run) {
		sig = WSTOPSIG(status);
		if (sig == (SIGTRAP | 0x80)) {
			ok = ptrace(GET_SYSCALL_INFO, tid, (void *)sizeof(info), &info) > 0;
			if (ok && info.op == OP_ENTRY)
				note(c, &info, tid == pid);
			sig = 0;
		} else if (sig == SIGTRAP || sig == SIGSTOP) {
			sig = 0;
		}
		if (c->run)
			break;
		ptrace(PTRACE_SYSCALL, tid, NULL, (long)sig);
		do {
			tid = waitpid(-1, &status, __WALL);
		} while (tid > 0 && tid != pid && !WIFSTOPPED(status));
		ok &= tid > 0 && WIFSTOPPED(status);
	}
	kill(pid, SIGKILL);
	while (waitpid(-1, &status, __WALL) > 0) {
	}
	return ok;
}

static bool start(const char *const argv[], struct counts *c)
{
	pid_t pid;

	memset(c, 0, sizeof(*c));
	fflush(stdout);
	pid = fork();
	if (!pid) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		/* Nothing is inherited, whatever started this test. */
		syscall(SYS_close_range, STDERR_FILENO + 1, ~0U, 0);
		if (!ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			execv(argv[0], (char *const *)argv);
		_exit(127);
	}
	return pid > 0 && trace(pid, c);
}

static bool twice(const struct counts *c)
{
	bool any = false;

	for (u32 i = 0; i < 2 * MAX_CAPS; i++) {
		unsigned int n = c->caps[i / MAX_CAPS][i % MAX_CAPS];

		if (n > 1)
			printf("# capability %u is asked %u times\n", i % MAX_CAPS, n);
		any |= n > 1;
	}
	return any;
}

static void small(const char *lkvm, const char *guest, const char *irqchip)
{
	/* clang-format off */
	const char *argv[] = {
		lkvm, "run", "-c", "1", "-k", guest, "--kernel-format", "flat", "-m", "32",
		"--nodefaults", "--irqchip", irqchip, "--loglevel", "error", NULL
	};
	/* clang-format on */
	struct counts one, two, four;
	unsigned int more;

	printf("# --irqchip %s\n", irqchip);
	if (!start(argv, &one)) {
		point(true, "a start is counted # SKIP ptrace is not allowed, or too old");
		return;
	}
	printf("# one vcpu: %u system calls, %u of KVM, %u files\n", one.all, one.kvm, one.opens);
	point(!twice(&one), "a capability is asked for once, of KVM and of the VM");
	point(!one.vcpu_reads && !one.lists && one.vms == 1,
	      "nothing is read for a reset that may never come");
	point(!one.routes, "routes that KVM begins with are not set again");
	/*
	 * 12 capabilities that every machine needs and 2 that say how, 11 to make the VM and its
	 * chips, 7 for a vcpu with its CPUID, MSRs and registers, 2 interrupts, 1 to run it: 35.
	 * An older KVM is asked for one thing in two ways.
	 */
	point(one.kvm <= 36, "KVM is asked for what the machine is");
	/*
	 * Those and: signals, the event loop, the image, the console, a thread. What is opened
	 * depends on the host (its control groups): opened, looked at, read, closed. And 11 for the
	 * control socket: its folder is locked, the socket made, its name noted, signals caught.
	 */
	point(one.all - 4 * one.opens <= 78 + 11, "a start has few system calls");
	/* Of more than one KVM is asked whether it has them; more than it recommends are not told
	 * here. */
	argv[3] = "2";
	if (!start(argv, &two))
		return;
	argv[3] = "4";
	if (!start(argv, &four))
		return;
	more = (four.all - two.all + 1) / 2;
	printf("# each further vcpu: %u system calls\n", more);
	/* Make it, map it, CPUID, MSRs, and a thread with its name. */
	if (getenv("LKVM_RELEASE_ALL"))
		point(true, "and a further vcpu few more # SKIP a sanitizer calls, too");
	else
		point(more <= 9, "and a further vcpu few more");
}

int main(int argc, char **argv)
{
	char guest[4096];

	if (argc != 3) {
		fprintf(stderr, "usage: calls LKVM DIRECTORY-OF-GUESTS\n");
		return 2;
	}
	alarm(LIMIT_SECONDS);
	snprintf(guest, sizeof(guest), "%s/exit.flat", argv[2]);
	small(argv[1], guest, "full");
	small(argv[1], guest, "split");
	printf("1..%u\n", points);
	return failed;
}
