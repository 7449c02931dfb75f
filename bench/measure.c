/* SPDX-License-Identifier: MIT */
/*
 * Runs a program and says, as JSON, what it took: up to its Nth KVM_RUN (--at N; the first is the
 * moment of the first guest instruction), where it is killed, or up to its end.
 *
 * A seccomp filter has KVM_RUN reported to us. So nothing is preloaded, no thread is stopped
 * before, and every program can be measured, however it is linked. CPU time is that of all its
 * threads, from exec on, exact to the nanosecond.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What the child leaves for us right before its exec. */
struct start {
	long long wall_ns, cpu_ns;
	int listener;
	int error;
};

static long long clock_ns(clockid_t clock)
{
	struct timespec t = { 0 };

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* The filter's descriptor, or -1. Only the lower half of ioctl's request counts, as in the kernel.
 */
static int report_kvm_run(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, KVM_RUN, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = sizeof(code) / sizeof(code[0]), .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return -1;
	return (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			    &program);
}

static void become(struct start *start, int filtered, int parent, char **argv)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	char go;

	start->listener = filtered ? report_kvm_run() : -1;
	start->error = filtered && start->listener < 0 ? errno : 0;
	/* The parent takes the descriptor before we go on. */
	if (write(parent, "", 1) != 1 || read(parent, &go, 1) != 1)
		_exit(127);
	close(parent);
	if (dup2(null, 0) < 0 || dup2(null, 1) < 0)
		_exit(127);
	start->cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	start->wall_ns = clock_ns(CLOCK_MONOTONIC);
	execvp(argv[0], argv);
	start->error = errno;
	_exit(127);
}

static void copy_file(pid_t pid, const char *name, const char *to)
{
	char path[64], buf[65536];
	FILE *in, *out;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	in = fopen(path, "r");
	out = fopen(to, "w");
	while (in && out && (n = fread(buf, 1, sizeof(buf), in)) > 0)
		fwrite(buf, 1, n, out);
	if (in)
		fclose(in);
	if (out)
		fclose(out);
}

/* Lets @listener's calls pass up to the @nth, at which it returns 0; -1 when the program ended
 * before. */
static int wait_for_run(int listener, long nth)
{
	struct pollfd fd = { .fd = listener, .events = POLLIN };

	for (;;) {
		struct seccomp_notif call = { 0 };
		struct seccomp_notif_resp answer = { .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };

		if (poll(&fd, 1, -1) < 0 || !(fd.revents & POLLIN))
			return -1;
		if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &call))
			continue;
		if (!--nth)
			return 0;
		answer.id = call.id;
		ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
	}
}

static int usage(void)
{
	fprintf(stderr, "usage: measure [--at N [--smaps FILE]] -- PROGRAM ARGUMENTS...\n");
	return 2;
}

int main(int argc, char **argv)
{
	struct start *start = mmap(NULL, sizeof(*start), PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	const char *smaps = NULL;
	long long wall, cpu = 0;
	int pair[2], status, listener = -1, arg = 1, late = 0;
	struct rusage usage_of;
	clockid_t clock;
	long at = 0;
	char byte;
	pid_t pid;

	for (; arg + 1 < argc && strcmp(argv[arg], "--"); arg += 2) {
		if (!strcmp(argv[arg], "--at"))
			at = atol(argv[arg + 1]);
		else if (!strcmp(argv[arg], "--smaps"))
			smaps = argv[arg + 1];
		else
			return usage();
	}
	if (arg + 1 >= argc || start == MAP_FAILED ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair))
		return usage();
	pid = fork();
	if (!pid)
		become(start, at > 0, pair[1], argv + arg + 1);
	close(pair[1]);
	if (pid < 0 || read(pair[0], &byte, 1) != 1)
		return 1;
	if (at > 0 && !start->error) {
		int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);

		listener = (int)syscall(SYS_pidfd_getfd, pidfd, start->listener, 0);
	}
	if (at > 0 && listener < 0) {
		fprintf(stderr, "measure: cannot watch a program's calls: %s\n",
			strerror(start->error ?: errno));
		return 1;
	}
	if (write(pair[0], "", 1) != 1)
		return 1;
	if (at > 0) {
		late = wait_for_run(listener, at);
		wall = clock_ns(CLOCK_MONOTONIC);
		if (!late && !clock_getcpuclockid(pid, &clock))
			cpu = clock_ns(clock);
		if (!late && smaps)
			copy_file(pid, "smaps", smaps);
		kill(pid, SIGKILL);
		wait4(pid, &status, 0, NULL);
	} else {
		wait4(pid, &status, 0, &usage_of);
		wall = clock_ns(CLOCK_MONOTONIC);
		cpu = (usage_of.ru_utime.tv_sec + usage_of.ru_stime.tv_sec) * 1000000000LL +
		      (usage_of.ru_utime.tv_usec + usage_of.ru_stime.tv_usec) * 1000LL;
	}
	if (start->error || late) {
		fprintf(stderr, "measure: %s: %s\n", argv[arg + 1],
			start->error ? strerror(start->error) : "it ended before that KVM_RUN");
		return 1;
	}
	printf("{\"wall_ns\": %lld, \"cpu_ns\": %lld, \"status\": %d}\n", wall - start->wall_ns,
	       cpu - start->cpu_ns,
	       at > 0		   ? 0
	       : WIFEXITED(status) ? WEXITSTATUS(status)
				   : 128 + WTERMSIG(status));
	return 0;
}
