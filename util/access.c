/* SPDX-License-Identifier: MIT */
/*
 * Why an open was refused. What the kernel asks, in this order (fs/namei.c, inode_permission): is
 * the file immutable (EPERM), do mode and owner allow it (EACCES), do the device rules of the
 * cgroup (EPERM), does the security module (EACCES).
 */
#include "lkvm/access.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/stat.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lkvm/scan.h"
#include "lkvm/util.h"

#define CAP_DAC_OVERRIDE_BIT 1 /* capabilities(7) */
/* What the kernel shows for an owner that a user namespace does not map (user_namespaces(7)). */
#define UNMAPPED 65534

struct look {
	const char *root, *path;
	const struct access_who *who;
	int want;
	struct stat st;
};

static FILE *open_below(const char *root, const char *path)
{
	char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s%s", root, path);
	return fopen(full, "re");
}

/* Modes do not count for who has CAP_DAC_OVERRIDE, which root in a container may lack. */
static bool has_override(void)
{
	u64 caps = geteuid() ? 0 : ~0ULL;
	FILE *f = fopen("/proc/self/status", "re");
	char line[256];

	while (f && fgets(line, sizeof(line), f)) {
		const char *s = line;

		if (scan_text(&s, "CapEff:") && scan_u64(&s, 16, &caps))
			break;
	}
	if (f)
		fclose(f);
	return caps >> CAP_DAC_OVERRIDE_BIT & 1;
}

/* Are there users outside whom this process has no numbers for? */
static bool in_user_namespace(void)
{
	FILE *f = fopen("/proc/self/uid_map", "re");
	char line[128];
	const char *s = line;
	bool all = true;
	u64 count;

	if (!f)
		return false;
	/* The first user inside, the first outside, how many. */
	if (fgets(line, sizeof(line), f) && scan_skip(&s, 2) && scan_u64(&s, 10, &count))
		all = count == UINT32_MAX;
	fclose(f);
	return !all;
}

static bool in_group(const struct access_who *who, gid_t gid)
{
	for (size_t i = 0; i < who->nr_groups; i++)
		if (who->groups[i] == gid)
			return true;
	return false;
}

static bool mode_allows(const struct look *l)
{
	mode_t need = (l->want & R_OK ? 4u : 0) | (l->want & W_OK ? 2u : 0);
	mode_t mode = l->st.st_mode;

	if (l->who->override && l->st.st_uid != UNMAPPED)
		return true;
	if (l->st.st_uid == l->who->uid)
		mode >>= 6;
	else if (in_group(l->who, l->st.st_gid))
		mode >>= 3;
	return (mode & need) == need;
}

/*
 * The line of @id in passwd(5) or group(5): the name, a password, the number, and so on, with
 * colons between them. @rest is what follows the number. NULL: there is none, or no memory; the
 * caller frees it.
 */
static char *find_entry(FILE *f, u64 id, char **rest)
{
	char *line = NULL;
	size_t size = 0;

	while (getline(&line, &size, f) >= 0) {
		char *s = line, *name = strsep(&s, ":");
		const char *number;
		u64 n;

		strsep(&s, ":");
		number = s;
		strsep(&s, ":");
		if (*name && number && s && scan_u64(&number, 10, &n) && !*number && n == id) {
			*rest = s;
			return line;
		}
	}
	free(line);
	return NULL;
}

/* Is @user one of the @members, which have commas between them? */
static bool is_member(char *members, const char *user)
{
	const char *word;

	while ((word = strsep(&members, ",\n")))
		if (*word && !strcmp(word, user))
			return true;
	return false;
}

/*
 * The name of group @gid in @name, and whether /etc/group has user @uid in it. From the files
 * themselves: getgrgid would load the name service's plug-ins, which a static binary cannot.
 */
static bool find_group(const struct look *l, char *name, size_t len, bool *member)
{
	FILE *groups = open_below(l->root, "/etc/group"), *users;
	char *group, *user = NULL, *members, *rest;
	bool found;

	*member = false;
	if (!groups)
		return false;
	group = find_entry(groups, l->st.st_gid, &members);
	users = group ? open_below(l->root, "/etc/passwd") : NULL;
	if (users)
		user = find_entry(users, l->who->uid, &rest);
	if (group)
		snprintf(name, len, "%s", group);
	if (user)
		*member = is_member(members, user);
	if (users)
		fclose(users);
	fclose(groups);
	found = group;
	free(user);
	free(group);
	return found;
}

static bool is_device(const struct look *l)
{
	return S_ISCHR(l->st.st_mode) || S_ISBLK(l->st.st_mode);
}

static void say_group(const struct look *l, char *buf, size_t len)
{
	char name[64];
	bool member;

	if (l->st.st_gid == UNMAPPED && in_user_namespace())
		snprintf(buf, len,
			 "its group is unknown in this container; let it keep your groups (podman: "
			 "--group-add keep-groups)");
	else if (!find_group(l, name, sizeof(name), &member))
		snprintf(buf, len, "it is for the group with the number %u; let your user be in it",
			 (u32)l->st.st_gid);
	else if (member)
		snprintf(buf, len,
			 "it is for group '%s', of which this session does not know yet; log in "
			 "again",
			 name);
	else
		snprintf(buf, len,
			 "it is for group '%s'; add yourself to it with: usermod -aG %s USER, then "
			 "log in again",
			 name, name);
}

static void say_mode(const struct look *l, char *buf, size_t len)
{
	mode_t mode = l->st.st_mode & 07777;
	mode_t need = (l->want & R_OK ? 040u : 0) | (l->want & W_OK ? 020u : 0);

	if ((mode & need) == need && l->st.st_gid && !in_group(l->who, l->st.st_gid))
		say_group(l, buf, len);
	else if ((is_device(l) || !strncmp(l->path, "/dev/", 5)) && !l->st.st_uid)
		snprintf(buf, len,
			 "only root may use it (mode %04o); be root, or give it a group and mode "
			 "0660",
			 mode);
	else
		snprintf(buf, len, "it belongs to user %u and its mode is %04o", (u32)l->st.st_uid,
			 mode);
}

/* EACCES although the mode allows it. */
static void say_beyond_mode(const struct look *l, const char *full, char *buf, size_t len)
{
	struct statvfs fs;

	if (is_device(l) && !statvfs(full, &fs) && fs.f_flag & ST_NODEV)
		snprintf(buf, len, "its file system is mounted with 'nodev'");
	else if ((l->st.st_uid == UNMAPPED || l->st.st_gid == UNMAPPED) && in_user_namespace())
		snprintf(buf, len, "its owner is unknown in this container's user namespace");
	else
		snprintf(
			buf, len,
			"its mode, %04o, allows it, but a security module (SELinux, AppArmor) or a "
			"container forbids it",
			l->st.st_mode & 07777);
}

static void say_not_permitted(const struct look *l, const char *full, char *buf, size_t len)
{
	struct statx stx = { 0 };

	if (is_device(l)) {
		snprintf(
			buf, len,
			"its mode allows it, but the device rules of this container (or cgroup) do "
			"not; give the container the device: --device %s",
			l->path);
		return;
	}
	/* Where it fails nothing is known of attributes. The C library's function may be missing.
	 */
	if (syscall(SYS_statx, AT_FDCWD, full, 0, STATX_TYPE, &stx) < 0)
		stx.stx_attributes = 0;
	if (stx.stx_attributes & STATX_ATTR_IMMUTABLE)
		snprintf(buf, len, "it is immutable: chattr -i");
	else if (stx.stx_attributes & STATX_ATTR_APPEND)
		snprintf(buf, len, "it may only be appended to: chattr -a");
	else
		snprintf(buf, len,
			 "its mode is not the reason: a security module or a filter of system "
			 "calls forbids it");
}

/* stat(2) failed: which folder on the way may not be entered? */
static void say_folder(const char *root, const char *path, char *buf, size_t len)
{
	size_t skip = strlen(root);
	char *dir = xasprintf("%s%s", root, path);

	snprintf(buf, len, "a folder on the way may not be entered");
	for (char *s = strchr(dir + skip + 1, '/'); s; s = strchr(s + 1, '/')) {
		*s = '\0';
		if (access(dir, X_OK) && errno == EACCES) {
			snprintf(buf, len, "your user may not enter the folder %s", dir + skip);
			break;
		}
		*s = '/';
	}
	free(dir);
}

static void look_closer(struct look *l, int error, char *buf, size_t len)
{
	char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s%s", l->root, l->path);
	if (stat(full, &l->st) < 0)
		say_folder(l->root, l->path, buf, len);
	else if (error == EPERM)
		say_not_permitted(l, full, buf, len);
	else if (mode_allows(l))
		say_beyond_mode(l, full, buf, len);
	else
		say_mode(l, buf, len);
}

const char *access_why(const char *root, const struct access_who *who, const char *path, int want,
		       int error, char *buf, size_t len)
{
	struct look l = { .root = root, .path = path, .who = who, .want = want };
	struct access_who self = { .uid = geteuid() };
	gid_t *groups;
	int n;

	if (who) {
		look_closer(&l, error, buf, len);
		return buf;
	}
	n = getgroups(0, NULL);
	groups = xcalloc((size_t)MAX(n, 0) + 1, sizeof(*groups));
	n = getgroups(n, groups);
	self.nr_groups = (size_t)MAX(n, 0);
	groups[self.nr_groups++] = getegid();
	self.groups = groups;
	self.override = has_override();
	l.who = &self;
	look_closer(&l, error, buf, len);
	free(groups);
	return buf;
}

int access_misc_driver(const char *root, const char *name)
{
	FILE *f = open_below(root, "/proc/misc");
	char path[PATH_MAX], line[128], word[64];
	int found = 0;
	struct stat st;

	while (f && !found && fgets(line, sizeof(line), f)) {
		const char *s = line;

		found = scan_skip(&s, 1) && scan_word(&s, word, sizeof(word)) &&
			!strcmp(word, name);
	}
	if (f) {
		fclose(f);
		return found;
	}
	snprintf(path, sizeof(path), "%s/sys/class/misc/%s", root, name);
	if (!stat(path, &st))
		return 1;
	snprintf(path, sizeof(path), "%s/sys/class/misc", root);
	return stat(path, &st) ? -ENOENT : 0;
}
