/* SPDX-License-Identifier: MIT */
/*
 * What would be lost if a device changed its driver: file systems and swap space on its disks, a
 * network, the screen, virtual functions; and which process has it open through VFIO. Found in
 * sysfs and /proc (proc(5)); devices of a class are looked for by where their links lead, since
 * what lies between differs from driver to driver.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attr.h"
#include "lkvm/util.h"
#include "lkvm/vfio-bind.h"
#include "lkvm/vfio-host.h"

struct search {
	const char *root;
	const char *part; /* "/0000:03:00.0/" */
	char *found;	  /* what stands in the way, owned; NULL: nothing so far */
};

/* Does the link @entry in @dir lead to something below the device? */
static bool is_below(const struct search *s, const char *dir, const char *entry)
{
	char path[PATH_MAX], to[PATH_MAX];
	int len = snprintf(path, sizeof(path), "%s%s/%s", s->root, dir, entry);
	ssize_t n;

	if (len < 0 || (size_t)len >= sizeof(path))
		return false;
	n = readlink(path, to, sizeof(to) - 1);
	if (n < 0)
		return false;
	to[n] = '\0';
	return strstr(to, s->part) != NULL;
}

/* Disks */

static FILE *open_proc(const struct search *s, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/proc/%s", s->root, name);
	return fopen(path, "re");
}

/* "36 35 98:0 /root /mnt rw - ext4 /dev/sda1 rw": the mount's point, where it is of the disk with
 * number @dev or that name; the source counts too, since btrfs has a number of its own. */
static const char *mounted_at(char *line, const char *dev, const char *node)
{
	char *rest = line, *word, *at = NULL;
	bool is = false;
	u32 after = 0;

	for (u32 i = 0; (word = strsep(&rest, " ")); i++) {
		if (i == 2)
			is = !strcmp(word, dev);
		else if (i == 4)
			at = word;
		else if (after)
			after++;
		else if (i > 5 && !strcmp(word, "-"))
			after = 1;
		if (after == 3 && !strcmp(word, node))
			is = true;
	}
	return is ? at : NULL;
}

static void look_at_mounts(struct search *s, const char *disk, const char *dev)
{
	FILE *f = open_proc(s, "self/mountinfo");
	char *line = NULL, node[300];
	size_t size = 0;

	snprintf(node, sizeof(node), "/dev/%s", disk);
	while (f && !s->found && getline(&line, &size, f) > 0) {
		const char *at = *dev ? mounted_at(line, dev, node) : NULL;

		if (at)
			s->found = xasprintf("its disk %s is mounted at %s", disk, at);
	}
	free(line);
	if (f)
		fclose(f);
}

static void look_at_swaps(struct search *s, const char *disk)
{
	FILE *f = open_proc(s, "swaps");
	char *line = NULL, node[300];
	size_t size = 0;

	snprintf(node, sizeof(node), "/dev/%s", disk);
	while (f && !s->found && getline(&line, &size, f) > 0) {
		line[strcspn(line, " \t\n")] = '\0';
		if (!strcmp(line, node))
			s->found = xasprintf("its disk %s is swap space", disk);
	}
	free(line);
	if (f)
		fclose(f);
}

static int add_holder(void *opaque, const char *entry)
{
	struct search *s = opaque;

	s->found = xstrdup(entry);
	return 1;
}

/* What no list has: a volume, a RAID or a guest of another process (open(2), O_EXCL of a disk). */
static void look_at_node(struct search *s, const char *disk)
{
	char path[PATH_MAX];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/dev/%s", s->root, disk);
	if (stat(path, &st) || !S_ISBLK(st.st_mode))
		return;
	fd = open(path, O_RDONLY | O_EXCL | O_NONBLOCK | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	else if (errno == EBUSY)
		s->found = xasprintf("its disk %s is in use", disk);
}

static void look_at_disk(struct search *s, const char *disk)
{
	char dir[PATH_MAX], dev[32], *holder;

	snprintf(dir, sizeof(dir), "/sys/class/block/%s", disk);
	vfio_attr_read(s->root, dir, "dev", dev, sizeof(dev));
	look_at_mounts(s, disk, dev);
	if (!s->found)
		look_at_swaps(s, disk);
	if (s->found)
		return;
	snprintf(dir, sizeof(dir), "/sys/class/block/%s/holders", disk);
	vfio_attr_each(s->root, dir, add_holder, s);
	holder = s->found;
	if (holder)
		s->found = xasprintf("its disk %s is a part of %s", disk, holder);
	free(holder);
	if (!s->found)
		look_at_node(s, disk);
}

struct subsystem {
	const struct search *s;
	char dir[PATH_MAX];
};

static int is_controller(void *opaque, const char *entry)
{
	const struct subsystem *sub = opaque;

	return is_below(sub->s, sub->dir, entry);
}

/* A disk of an NVMe subsystem (nvme0n1) is no controller's: only its hidden paths are (nvme0c1n1).
 */
static bool is_of_subsystem(const struct search *s, const char *disk)
{
	static const char above[] = "/nvme-subsystem/";
	struct subsystem sub = { .s = s };
	char to[PATH_MAX], path[PATH_MAX];
	const char *name;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/sys/class/block/%s", s->root, disk);
	n = readlink(path, to, sizeof(to) - 1);
	to[MAX(n, 0)] = '\0';
	name = strstr(to, above);
	if (!name)
		return false;
	name += strlen(above);
	snprintf(sub.dir, sizeof(sub.dir), "/sys/class/nvme-subsystem/%.*s",
		 (int)strcspn(name, "/"), name);
	return vfio_attr_each(s->root, sub.dir, is_controller, &sub);
}

static int add_disk(void *opaque, const char *entry)
{
	struct search *s = opaque;

	if (is_below(s, "/sys/class/block", entry) || is_of_subsystem(s, entry))
		look_at_disk(s, entry);
	return s->found ? 1 : 0;
}

/* Networks */

static int add_net(void *opaque, const char *entry)
{
	struct search *s = opaque;
	char dir[PATH_MAX], master[32];

	if (!is_below(s, "/sys/class/net", entry))
		return 0;
	snprintf(dir, sizeof(dir), "/sys/class/net/%s", entry);
	if (!vfio_attr_link(s->root, dir, "master", master, sizeof(master)))
		s->found = xasprintf("its network interface %s is a part of %s", entry, master);
	else if (vfio_attr_number(s->root, dir, "flags", 0) & IFF_UP)
		s->found = xasprintf("its network interface %s is up", entry);
	return s->found ? 1 : 0;
}

char *vfio_in_use(const char *root, const struct vfio_name *name)
{
	struct search s = { .root = root };
	char *part = xasprintf("/%s/", name->id);
	u64 functions = vfio_attr_number(root, name->sysfs, "sriov_numvfs", 0);

	s.part = part;
	if (vfio_attr_number(root, name->sysfs, "boot_vga", 0) == 1)
		s.found = xstrdup("the host booted with it as its screen");
	else if (functions)
		s.found = xasprintf("it has %llu virtual functions, which would go",
				    (unsigned long long)functions);
	else if (!vfio_attr_each(root, "/sys/class/block", add_disk, &s))
		vfio_attr_each(root, "/sys/class/net", add_net, &s);
	free(part);
	return s.found;
}

/* Who has it open */

struct users {
	const char *root;
	char group[64], cdev[96]; /* its nodes; "": none */
	char self[32];
	char *found;
};

static bool has_open(const struct users *u, const char *process)
{
	char dir[PATH_MAX], path[PATH_MAX + 300], to[128];
	bool has = false;
	struct dirent *e;
	DIR *d;

	snprintf(dir, sizeof(dir), "%s/proc/%s/fd", u->root, process);
	d = opendir(dir);
	while (d && !has && (e = readdir(d))) {
		ssize_t n;

		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		n = readlink(path, to, sizeof(to) - 1);
		to[MAX(n, 0)] = '\0';
		has = n > 0 && (!strcmp(to, u->group) || !strcmp(to, u->cdev));
	}
	if (d)
		closedir(d);
	return has;
}

static int add_process(void *opaque, const char *entry)
{
	struct users *u = opaque;
	char dir[PATH_MAX], comm[32];

	if (entry[strspn(entry, "0123456789")] || !strcmp(entry, u->self) || !has_open(u, entry))
		return 0;
	snprintf(dir, sizeof(dir), "/proc/%s", entry);
	vfio_attr_read(u->root, dir, "comm", comm, sizeof(comm));
	u->found = xasprintf("process %s (%s) uses it", entry, comm);
	return 1;
}

char *vfio_user(const char *root, const struct vfio_name *name)
{
	struct users u = { .root = root };
	char cdev[32];
	u32 group;

	if (!vfio_attr_group(root, name->sysfs, &group))
		snprintf(u.group, sizeof(u.group), "/dev/vfio/%u", group);
	if (host_vfio_cdev(root, name->sysfs, cdev))
		snprintf(u.cdev, sizeof(u.cdev), "/dev/vfio/devices/%s", cdev);
	/* We may have opened it, and find only now that it is not to be had. */
	vfio_attr_link(root, "/proc", "self", u.self, sizeof(u.self));
	vfio_attr_each(root, "/proc", add_process, &u);
	return u.found;
}
