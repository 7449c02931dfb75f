/* SPDX-License-Identifier: MIT */
/* What the control groups of this process let it use, of both versions and in containers. */
#ifndef LKVM_CGROUP_H
#define LKVM_CGROUP_H

#include "lkvm/types.h"

struct cgroup_limits {
	u64 memory;	       /* bytes; 0: no limit */
	char memory_file[256]; /* what says so */
	u32 cpus;	       /* as many can be busy all the time, rounded up; 0: no limit */
};

enum { CGROUP_MEMORY = 1, CGROUP_CPUS = 2 };

/*
 * The smallest limits of the groups that this process is in and of those above them, as far as they
 * can be seen from here; only of @what (CGROUP_*, or'ed), since each file costs. Files are looked
 * for below @root ("" for the host itself).
 */
void cgroup_read(const char *root, unsigned int what, struct cgroup_limits *limits);

#endif
