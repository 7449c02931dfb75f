/* SPDX-License-Identifier: MIT */
/* For unit tests: a kernel that refuses a system call, by seccomp(2), in a process of its own. */
#ifndef TEST_REFUSE_H
#define TEST_REFUSE_H

#include "unit.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lkvm/types.h"

#define REFUSE_ANY  UINT32_MAX
#define REFUSE_SKIP 77

/* System call @number gives @error; with @arg1 only when that is its second argument's low half. */
struct refusal {
	u32 number, arg1;
	int error;
};

/* From here on, in this process. False: this kernel (or qemu-user) has no filters. */
static inline bool refuse(const struct refusal *r, unsigned int n)
{
	struct sock_filter code[64];
	struct sock_fprog prog = { .filter = code };

	assert_true(n * 5 + 1 <= ARRAY_SIZE(code));
	for (; n; n--, r++) {
		struct sock_filter *c = code + prog.len;
		u32 arg = offsetof(struct seccomp_data, args[1]);

		c[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						    offsetof(struct seccomp_data, nr));
		if (r->arg1 == REFUSE_ANY) {
			c[1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, r->number, 0,
							    1);
			c[2] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
							    SECCOMP_RET_ERRNO | (u32)r->error);
			prog.len += 3;
			continue;
		}
		c[1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, r->number, 0, 3);
		c[2] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, arg);
		c[3] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, r->arg1, 0, 1);
		c[4] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
						    SECCOMP_RET_ERRNO | (u32)r->error);
		prog.len += 5;
	}
	code[prog.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog, 0, 0);
}

/* Run fn(@opaque) under the refusals in a child; it returns true when all is right. */
static inline void assert_refused(const struct refusal *r, unsigned int n, bool (*fn)(void *opaque),
				  void *opaque)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid)
		_exit(!refuse(r, n) ? REFUSE_SKIP : fn(opaque) ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == REFUSE_SKIP)
		skip();
	assert_int_equal(status, 0);
}

#endif
