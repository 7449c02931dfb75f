/* SPDX-License-Identifier: MIT */
/* util/cgroup.c over folders as hosts: both versions, nested groups, containers. */
#include "unit.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lkvm/cgroup.h"
#include "lkvm/util.h"

#define V2	  "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"
#define V1_MEMORY "35 31 0:32 / /cg/memory rw - cgroup cgroup rw,memory\n"
#define V1_CPU	  "32 31 0:29 / /cg/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
#define UNLIMITED "9223372036854771712\n"

static char root[64];
static struct cgroup_limits limits;

static void put(const char *path, const char *text)
{
	char *full = xasprintf("%s%s", root, path);

	for (char *s = strchr(full + strlen(root) + 1, '/'); s; s = strchr(s + 1, '/')) {
		*s = '\0';
		assert_true(!mkdir(full, 0755) || errno == EEXIST);
		*s = '/';
	}
	assert_int_equal(write_file(full, text, strlen(text)), 0);
	free(full);
}

static int begin(void **state)
{
	strcpy(root, "/tmp/lkvm-test-cgroup-XXXXXX");
	assert_non_null(mkdtemp(root));
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int end(void **state)
{
	return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void in(const char *groups, const char *mounts)
{
	put("/proc/self/cgroup", groups);
	put("/proc/self/mountinfo", mounts);
}

static void expect(u64 memory, const char *file, u32 cpus)
{
	memset(&limits, 0xff, sizeof(limits));
	cgroup_read(root, CGROUP_MEMORY | CGROUP_CPUS, &limits);
	assert_int_equal(limits.memory, memory);
	assert_string_equal(limits.memory_file, file);
	assert_int_equal(limits.cpus, cpus);
}

static void test_none(void **state)
{
	expect(0, "", 0);
	in("", "");
	expect(0, "", 0);
	in("0::/\n", V2);
	expect(0, "", 0);
	in("x\n0:\n0::\n", "x\n - cgroup2\n1 2 3 / - cgroup2 x rw\n");
	expect(0, "", 0);
}

static void test_version_2(void **state)
{
	in("0::/user.slice/vm.scope\n", V2);
	put("/sys/fs/cgroup/user.slice/vm.scope/memory.max", "max\n");
	put("/sys/fs/cgroup/user.slice/vm.scope/cpu.max", "max 100000\n");
	expect(0, "", 0);
	put("/sys/fs/cgroup/user.slice/vm.scope/memory.max", "1073741824\n");
	put("/sys/fs/cgroup/user.slice/vm.scope/cpu.max", "250000 100000\n");
	expect(GiB, "/sys/fs/cgroup/user.slice/vm.scope/memory.max", 3);
	/* The one above is smaller. */
	put("/sys/fs/cgroup/user.slice/memory.max", "536870912\n");
	put("/sys/fs/cgroup/user.slice/cpu.max", "10000 100000\n");
	expect(512 * MiB, "/sys/fs/cgroup/user.slice/memory.max", 1);
	put("/sys/fs/cgroup/user.slice/memory.max", "5368709120\n");
	put("/sys/fs/cgroup/user.slice/memory.high", "268435456\n");
	expect(256 * MiB, "/sys/fs/cgroup/user.slice/memory.high", 1);
	/* A neighbour is none of our business. */
	put("/sys/fs/cgroup/user/memory.max", "4096\n");
	put("/sys/fs/cgroup/user.slice/other/memory.max", "4096\n");
	expect(256 * MiB, "/sys/fs/cgroup/user.slice/memory.high", 1);
}

static void test_version_1(void **state)
{
	in("7:name=systemd:/x\n4:memory:/a/b\n1:cpu,cpuacct:/a\n0::/\n", V1_MEMORY V1_CPU);
	put("/cg/memory/a/b/memory.limit_in_bytes", UNLIMITED);
	put("/cg/memory/memory.limit_in_bytes", UNLIMITED);
	put("/cg/cpu,cpuacct/a/cpu.cfs_quota_us", "-1\n");
	put("/cg/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
	expect(0, "", 0);
	put("/cg/memory/a/memory.limit_in_bytes", "67108864\n");
	put("/cg/cpu,cpuacct/cpu.cfs_quota_us", "400000\n");
	put("/cg/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
	expect(64 * MiB, "/cg/memory/a/memory.limit_in_bytes", 4);
	/* Above what is mounted there are others. */
	put("/cg/memory/a/b/memory.stat", "cache 1\nhierarchical_memory_limit 33554432\n");
	expect(32 * MiB, "/cg/memory/a/b/memory.stat", 4);
}

/* The group's own folder is what is mounted, under its name or under "/". */
static void test_container(void **state)
{
	put("/sys/fs/cgroup/memory.max", "1048576\n");
	in("0::/\n", V2);
	expect(MiB, "/sys/fs/cgroup/memory.max", 0);
	in("0::/docker/1234/sub\n",
	   "30 23 0:26 /docker/1234 /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n");
	put("/sys/fs/cgroup/sub/memory.max", "524288\n");
	expect(MiB / 2, "/sys/fs/cgroup/sub/memory.max", 0);
	/* A name that only begins alike. */
	in("0::/docker/12345/sub\n",
	   "30 23 0:26 /docker/1234 /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n");
	expect(MiB, "/sys/fs/cgroup/memory.max", 0);
	/* Outside of what the namespace shows. */
	put("/sys/sub/memory.max", "4096\n");
	in("0::/../../sub\n", V2);
	expect(MiB, "/sys/fs/cgroup/memory.max", 0);
	in("0::/sub\n", "30 23 0:26 /../.. /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n");
	expect(MiB, "/sys/fs/cgroup/memory.max", 0);
	/* Mounted at a place with a blank. */
	put("/my groups/sub/memory.max", "8192\n");
	in("0::/sub\n", "30 23 0:26 / /my\\040groups rw - cgroup2 cgroup2 rw\n");
	expect(8192, "/my groups/sub/memory.max", 0);
}

/* In the usual places nobody looks at the mounts; and only what is asked for is read. */
static void test_usual(void **state)
{
	in("0::/a/b\n", "");
	put("/sys/fs/cgroup/a/b/cgroup.controllers", "");
	put("/sys/fs/cgroup/a/b/memory.max", "max\n");
	put("/sys/fs/cgroup/a/memory.max", "8192\n");
	put("/sys/fs/cgroup/a/cpu.max", "200000 100000\n");
	expect(8192, "/sys/fs/cgroup/a/memory.max", 2);
	cgroup_read(root, CGROUP_CPUS, &limits);
	assert_int_equal(limits.memory, 0);
	assert_int_equal(limits.cpus, 2);
	cgroup_read(root, CGROUP_MEMORY, &limits);
	assert_int_equal(limits.memory, 8192);
	assert_int_equal(limits.cpus, 0);
	/* A controller is in one hierarchy alone. */
	in("4:memory:/c\n3:cpu,cpuacct:/\n0::/a/b\n", "");
	put("/sys/fs/cgroup/memory/c/memory.stat", "hierarchical_memory_limit 16384\n");
	put("/sys/fs/cgroup/memory/c/memory.limit_in_bytes", "16384\n");
	put("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "300000\n");
	put("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
	expect(16384, "/sys/fs/cgroup/memory/c/memory.limit_in_bytes", 3);
	/* What is above is in the hierarchical limit: it is not read. */
	put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "4096\n");
	expect(16384, "/sys/fs/cgroup/memory/c/memory.limit_in_bytes", 3);
	put("/sys/fs/cgroup/memory/c/memory.stat", "hierarchical_memory_limit " UNLIMITED);
	expect(0, "", 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_none),      TEST(test_version_2), TEST(test_version_1),
		TEST(test_container), TEST(test_usual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
