/* SPDX-License-Identifier: MIT */
/* util/access.c: what stands in the way, over a folder as the root of a host. */
#include "capture.h"

#include <fcntl.h>
#include <ftw.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lkvm/access.h"
#include "lkvm/util.h"

#define BOTH (R_OK | W_OK)

static char root[64];
static char why[ACCESS_WHY_LEN];

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

static void mode(const char *path, uid_t uid, gid_t gid, mode_t bits)
{
	char *full = xasprintf("%s%s", root, path);

	if (!geteuid())
		assert_int_equal(chown(full, uid, gid), 0);
	assert_int_equal(chmod(full, bits), 0);
	free(full);
}

static int begin(void **state)
{
	strcpy(root, "/tmp/lkvm-test-access-XXXXXX");
	assert_non_null(mkdtemp(root));
	put("/etc/group", "root:x:0:\nkvm:x:108:eve,someone\nme:x:1000:\n");
	put("/etc/passwd", "root:x:0:0::/:/bin/sh\nsomeone:x:1000:1000::/:/bin/sh\n");
	put("/x", "");
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

static const gid_t groups[] = { 1000, 27 };
static const struct access_who someone = { 1000, groups, 2, false };
static const struct access_who other = { 1001, groups + 1, 1, false };
static const struct access_who admin = { 0, groups + 1, 1, true };

static const char *ask(const struct access_who *who, const char *path, int want, int error)
{
	return access_why(root, who, path, want, error, why, sizeof(why));
}

/* Files as they are need an owner that is not ours. */
static void test_modes(void **state)
{
	if (geteuid())
		skip();
	mode("/x", 0, 108, 0660);
	assert_contains(ask(&other, "/x", BOTH, EACCES), "usermod -aG kvm USER");
	/* Already done, but only the next session will know. */
	assert_contains(ask(&someone, "/x", BOTH, EACCES), "log in again");
	assert_lacks(why, "usermod");
	mode("/x", 0, 109, 0660);
	assert_contains(ask(&someone, "/x", BOTH, EACCES), "the group with the number 109");
	mode("/x", 0, 0, 0600);
	assert_contains(ask(&someone, "/x", BOTH, EACCES), "user 0 and its mode is 0600");
	/* The group may read alone. */
	mode("/x", 0, 108, 0640);
	assert_contains(ask(&someone, "/x", BOTH, EACCES), "user 0 and its mode is 0640");
	assert_contains(ask(&someone, "/x", R_OK, EACCES), "group 'kvm'");
	/* Owner's bits count for the owner, whatever others may. */
	mode("/x", 1000, 0, 0466);
	assert_contains(ask(&someone, "/x", BOTH, EACCES), "mode is 0466");
	/* The mode allows it: for others, for the owner, for the group, for root. */
	mode("/x", 0, 0, 0606);
	assert_contains(ask(&someone, "/x", BOTH, EACCES), "security module");
	mode("/x", 1000, 0, 0600);
	assert_contains(ask(&someone, "/x", BOTH, EACCES), "security module");
	mode("/x", 0, 27, 0060);
	assert_contains(ask(&other, "/x", BOTH, EACCES), "security module");
	mode("/x", 0, 0, 0);
	assert_contains(ask(&admin, "/x", BOTH, EACCES), "its mode, 0000, allows it");
	/* Root without its capability is a user as any other. */
	mode("/x", 5, 0, 0600);
	assert_contains(ask(&(struct access_who){ 0, NULL, 0, false }, "/x", BOTH, EACCES),
			"user 5 and its mode is 0600");
}

/* EPERM comes after the mode was found good. */
static void test_not_permitted(void **state)
{
	struct access_who nobody = { 65533, NULL, 0, false };

	assert_contains(access_why("", &admin, "/dev/null", BOTH, EPERM, why, sizeof(why)),
			"device rules of this container");
	assert_contains(why, "--device /dev/null");
	assert_contains(access_why("", &nobody, "/dev/null", BOTH, EACCES, why, sizeof(why)),
			"security module");
	assert_contains(ask(&someone, "/x", BOTH, EPERM), "filter of system calls");
}

static void test_immutable(void **state)
{
	char *full = xasprintf("%s/x", root);
	int fd = open(full, O_RDONLY | O_CLOEXEC), flags = FS_IMMUTABLE_FL, none = 0;

	free(full);
	if (ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0) {
		close(fd);
		skip();
	}
	ask(&admin, "/x", BOTH, EPERM);
	assert_int_equal(ioctl(fd, FS_IOC_SETFLAGS, &none), 0);
	close(fd);
	assert_contains(why, "immutable: chattr -i");
}

/* A folder that may not be entered; asked as a process that modes count for. */
static void test_folder(void **state)
{
	char *dir = xasprintf("%s/in/no", root);

	put("/in/no/further/x", "");
	mode("/in/no", 0, 0, 0600);
	assert_int_equal(chmod(root, 0755), 0);
	if (!geteuid())
		assert_int_equal(seteuid(65533), 0);
	ask(NULL, "/in/no/further/x", BOTH, EACCES);
	if (!getuid())
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(chmod(dir, 0700), 0);
	free(dir);
	/* access(2) asks for the real user, which may be root. */
	assert_contains(why, getuid() ? "the folder /in/no" : "folder");
}

static void test_misc_driver(void **state)
{
	assert_int_equal(access_misc_driver(root, "kvm"), -ENOENT);
	put("/sys/class/misc/tun/dev", "10:200\n");
	assert_int_equal(access_misc_driver(root, "kvm"), 0);
	assert_int_equal(access_misc_driver(root, "tun"), 1);
	put("/proc/misc", "232 kvm\n200 tuna\n");
	assert_int_equal(access_misc_driver(root, "kvm"), 1);
	assert_int_equal(access_misc_driver(root, "tun"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_modes),  TEST(test_not_permitted), TEST(test_immutable),
		TEST(test_folder), TEST(test_misc_driver),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
