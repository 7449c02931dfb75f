/* SPDX-License-Identifier: MIT */
/*
 * Files below LKVM_MODEL_ROOT, to which names of /sys and /dev are led. It is made by the first
 * process and stays, so that what one binds the next one finds bound.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vfio.h"

#define PCI_BUS	   "/sys/bus/pci"
#define PARENT	   "/sys/devices/virtual/mtty/mtty"
#define TYPE	   PARENT "/mdev_supported_types/mtty-mtty-1"
#define MAX_MTTY   4U
#define FIRST_MDEV 20U /* vfio20; its group is 20 more */

static char root[PATH_MAX];

void vtree_format(char *buf, size_t len, const char *format, ...)
{
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(buf, len, format, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= len)
		model_usage("LKVM_MODEL_ROOT: its name is too long");
}

const char *vtree_path(const char *path, char *buf)
{
	static const char *const led[] = { PCI_BUS,
					   "/sys/class/block",
					   "/sys/class/net",
					   "/sys/bus/mdev",
					   "/sys/class/mdev_bus",
					   "/sys/class/iommu",
					   "/sys/class/vfio-dev",
					   "/sys/kernel/iommu_groups",
					   "/sys/devices/pci",
					   "/sys/devices/virtual/mtty",
					   "/sys/module/vfio",
					   "/dev/vfio",
					   "/dev/iommu" };

	for (u32 i = 0; *root && path && i < MODEL_ARRAY(led); i++)
		if (!strncmp(path, led[i], strlen(led[i]))) {
			vtree_format(buf, PATH_MAX, "%s%s", root, path);
			return buf;
		}
	return path;
}

const char *vtree_strip(const char *path)
{
	size_t len = strlen(root);

	return len && !strncmp(path, root, len) && path[len] == '/' ? path + len : NULL;
}

bool vtree_has(const char *path)
{
	char buf[PATH_MAX];

	return !syscall(SYS_faccessat, AT_FDCWD, vtree_path(path, buf), F_OK);
}

static void folder(const char *path)
{
	char buf[PATH_MAX];

	vtree_path(path, buf);
	for (char *p = buf + strlen(root) + 1; *p; p++)
		if (*p == '/') {
			*p = 0;
			mkdir(buf, 0755);
			*p = '/';
		}
	mkdir(buf, 0755);
}

static void put(const char *path, const void *bytes, size_t len)
{
	char buf[PATH_MAX];
	int fd = (int)syscall(SYS_openat, AT_FDCWD, vtree_path(path, buf),
			      O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (fd < 0 || (len && syscall(SYS_write, fd, bytes, len) != (long)len))
		model_usage("%s: cannot make it: %s", buf, strerror(errno));
	model_libc_close(fd);
}

static void text(const char *folder, const char *name, const char *what)
{
	char path[PATH_MAX];

	vtree_format(path, sizeof(path), "%s/%s", folder, name);
	put(path, what, strlen(what));
}

/* @to is a name of the host: the link is relative, as those of sysfs are. */
static void link_to(const char *folder, const char *name, const char *to)
{
	char path[PATH_MAX], buf[PATH_MAX], target[PATH_MAX] = "";
	u32 depth = 0;

	for (const char *p = folder + 1; *p; p++)
		depth += *p == '/';
	for (u32 i = 0; i <= depth; i++)
		strcat(target, i ? "/.." : "..");
	strncat(target, to, sizeof(target) - strlen(target) - 1);
	vtree_format(path, sizeof(path), "%s/%s", folder, name);
	vtree_path(path, buf);
	unlink(buf);
	if (symlink(target, buf))
		model_usage("%s: cannot make it: %s", buf, strerror(errno));
}

static void gone(const char *folder, const char *name)
{
	char path[PATH_MAX], buf[PATH_MAX];

	vtree_format(path, sizeof(path), "%s/%s", folder, name);
	vtree_path(path, buf);
	if (unlink(buf))
		rmdir(buf);
}

static u32 port_of(const struct vdev *d)
{
	return d->number + 1;
}

static void place(const struct vdev *d, char *path)
{
	if (d->kind->mdev)
		vtree_format(path, PATH_MAX, PARENT "/%s", d->id);
	else
		vtree_format(path, PATH_MAX, "/sys/devices/pci0000:00/0000:00:%02x.0/%s",
			     port_of(d), d->id);
}

static void make_group(u32 number, const char *id, const char *device)
{
	char path[PATH_MAX], link[PATH_MAX], reserved[64];

	vtree_format(path, sizeof(path), "/sys/kernel/iommu_groups/%u/devices", number);
	folder(path);
	link_to(path, id, device);
	vtree_format(path, sizeof(path), "/sys/kernel/iommu_groups/%u", number);
	vtree_format(link, sizeof(link), "%s", path);
	text(path, "type", "DMA\n");
	vtree_format(reserved, sizeof(reserved), "0x%016llx 0x%016llx msi\n",
		     (unsigned long long)vfio_settings.msi,
		     (unsigned long long)(vfio_settings.msi + VDEV_MSI_SIZE - 1));
	text(path, "reserved_regions", reserved);
	link_to(device, "iommu_group", link);
}

/* The cdev and the group's file, as far as the driver makes them. */
static void update_nodes(const struct vdev *d, bool vfio)
{
	char at[PATH_MAX], path[PATH_MAX], name[32];

	place(d, at);
	vtree_format(name, sizeof(name), "vfio%u", d->number);
	vtree_format(path, sizeof(path), "%s/vfio-dev", at);
	gone("/dev/vfio/devices", name);
	vtree_format(path, sizeof(path), "%s/vfio-dev/%s", at, name);
	gone(path, "dev");
	gone(path, "uevent");
	vtree_format(path, sizeof(path), "%s/vfio-dev", at);
	gone(path, name);
	gone(at, "vfio-dev");
	/* Without CONFIG_VFIO_DEVICE_CDEV the folder is there too. */
	if (vfio) {
		vtree_format(path, sizeof(path), "%s/vfio-dev/%s", at, name);
		folder(path);
		text(path, "uevent", "");
	}
	if (vfio && !vfio_settings.no_cdev) {
		folder("/dev/vfio/devices");
		text("/dev/vfio/devices", name, "");
		text(path, "dev", "510:0\n");
	}
	vtree_format(name, sizeof(name), "%u", d->group);
	if (vfio && (d->kind->mdev || !vfio_settings.no_iommu))
		text("/dev/vfio", name, "");
	else if (!vfio_settings.together)
		gone("/dev/vfio", name);
}

bool vtree_driver(const char *id, char *name, size_t len)
{
	char path[PATH_MAX], buf[PATH_MAX], target[PATH_MAX];
	ssize_t n;

	vtree_format(path, sizeof(path), PCI_BUS "/devices/%s/driver", id);
	n = syscall(SYS_readlinkat, AT_FDCWD, vtree_path(path, buf), target, sizeof(target) - 1);
	if (n <= 0)
		return false;
	target[n] = 0;
	vtree_format(name, len, "%s", strrchr(target, '/') + 1);
	return true;
}

static void set_driver(const struct vdev *d, const char *driver)
{
	char at[PATH_MAX], path[PATH_MAX], old[64];

	place(d, at);
	if (vtree_driver(d->id, old, sizeof(old))) {
		vtree_format(path, sizeof(path), PCI_BUS "/drivers/%s", old);
		gone(path, d->id);
		gone(at, "driver");
	}
	if (driver) {
		vtree_format(path, sizeof(path), PCI_BUS "/drivers/%s", driver);
		link_to(at, "driver", path);
		link_to(path, d->id, at);
	}
	update_nodes(d, driver && !strcmp(driver, "vfio-pci"));
}

static void make_driver(const char *name)
{
	char path[PATH_MAX];

	vtree_format(path, sizeof(path), PCI_BUS "/drivers/%s", name);
	folder(path);
	text(path, "bind", "");
	text(path, "unbind", "");
	text(path, "new_id", "");
}

static void resources(const struct vdev *d, const char *at)
{
	char lines[1024] = "";

	for (u32 i = 0; i < 7; i++) {
		u64 start = 0x80000000ULL + d->number * 0x1000000ULL + i * 0x200000ULL;
		u64 size = d->regions[i].size;
		u32 flags = i < 6 && d->config[0x10 + 4 * i] & 4 ? 0x140204 : 0x40200;
		char *end = lines + strlen(lines);

		snprintf(end, sizeof(lines) - (size_t)(end - lines),
			 "0x%016llx 0x%016llx 0x%016llx\n", (unsigned long long)(size ? start : 0),
			 (unsigned long long)(size ? start + size - 1 : 0),
			 (unsigned long long)(size ? flags : 0));
	}
	text(at, "resource", lines);
}

static void ids(const u8 *config, const char *at)
{
	static const struct {
		const char *name;
		u32 offset, len;
	} files[] = { { "vendor", 0, 2 },
		      { "device", 2, 2 },
		      { "class", 9, 3 },
		      { "subsystem_vendor", 0x2c, 2 },
		      { "subsystem_device", 0x2e, 2 },
		      { "revision", 8, 1 } };
	char line[32];

	for (u32 i = 0; i < MODEL_ARRAY(files); i++) {
		u32 value = 0;

		memcpy(&value, config + files[i].offset, files[i].len);
		vtree_format(line, sizeof(line), "0x%0*x\n", (int)files[i].len * 2, value);
		text(at, files[i].name, line);
	}
}

static void make_port(const struct vdev *d)
{
	u8 config[4096] = { 0x86, 0x80, 0x0c, 0x00, 0x07, 0, 0x10, 0, 0, 0, 0x04, 0x06, 0, 0, 1 };
	char at[PATH_MAX], path[PATH_MAX], id[32];

	vtree_format(id, sizeof(id), "0000:00:%02x.0", port_of(d));
	vtree_format(at, sizeof(at), "/sys/devices/pci0000:00/%s", id);
	folder(at);
	config[0x19] = config[0x1a] = (u8)port_of(d); /* secondary, subordinate */
	config[0x34] = 0x40;
	config[0x40] = 0x10; /* a root port */
	config[0x42] = 0x42;
	/* ACS: source validation, redirection of requests and completions, upstream forwarding. */
	memcpy(config + 0x100, "\x0d\x00\x01\x00\x1d\x00\x1d\x00", 8);
	vtree_format(path, sizeof(path), "%s/config", at);
	put(path, config, sizeof(config));
	ids(config, at);
	text(at, "driver_override", "(null)\n");
	link_to(PCI_BUS "/devices", id, at);
	link_to(at, "driver", PCI_BUS "/drivers/pcieport");
	link_to(at, "subsystem", PCI_BUS);
	if (!vfio_settings.no_iommu)
		make_group(port_of(d), id, at);
}

static void make_pci(struct vdev *d)
{
	char at[PATH_MAX], path[PATH_MAX];

	make_port(d);
	place(d, at);
	folder(at);
	vtree_format(path, sizeof(path), "%s/config", at);
	put(path, d->config, sizeof(d->config));
	ids(d->config, at);
	resources(d, at);
	text(at, "driver_override", "(null)\n");
	text(at, "reset_method", "flr bus\n");
	text(at, "reset", "");
	text(at, "numa_node", "-1\n");
	text(at, "enable", "0\n");
	link_to(at, "subsystem", PCI_BUS);
	link_to(PCI_BUS "/devices", d->id, at);
	if (!vfio_settings.no_iommu)
		make_group(d->group, d->id, at);
	make_driver(d->kind->driver);
	/* Without a group VFIO takes none. */
	if (vfio_in_list(vfio_settings.loose, d->kind->name) ||
	    (vfio_settings.no_iommu && !vfio_in_list(vfio_settings.host, d->kind->name)))
		set_driver(d, NULL);
	else
		set_driver(d, vfio_in_list(vfio_settings.host, d->kind->name) ? d->kind->driver
									      : "vfio-pci");
}

static void count_mdevs(const char *uuid, u32 number);
static u32 nr_mdevs, next_mdev;

static void count_mdevs(const char *uuid, u32 number)
{
	nr_mdevs++;
	if (number >= next_mdev)
		next_mdev = number + 1;
}

static void tell_available(void)
{
	char line[16];

	nr_mdevs = 0;
	next_mdev = FIRST_MDEV;
	vtree_scan_mdevs(count_mdevs);
	vtree_format(line, sizeof(line), "%u\n", MAX_MTTY - nr_mdevs);
	text(TYPE, "available_instances", line);
}

static void mdev_of(struct vdev *d, const char *uuid, u32 number)
{
	const struct vdev_kind *k = vdev_kinds;

	while (!k->mdev)
		k++;
	*d = (struct vdev){ .kind = k, .number = number, .group = number + 20 };
	snprintf(d->id, sizeof(d->id), "%s", uuid);
}

static long create_mdev(const char *uuid)
{
	char at[PATH_MAX], path[PATH_MAX], line[16];
	static struct vdev d;

	for (u32 i = 0; i < 36; i++)
		if (i == 8 || i == 13 || i == 18 || i == 23
			    ? uuid[i] != '-'
			    : !strchr("0123456789abcdefABCDEF", uuid[i]) || !uuid[i])
			return -EINVAL;
	if (uuid[36])
		return -EINVAL;
	vtree_format(path, sizeof(path), "/sys/bus/mdev/devices/%s", uuid);
	if (vtree_has(path))
		return -EEXIST;
	tell_available();
	if (nr_mdevs == MAX_MTTY)
		return -EUSERS;
	mdev_of(&d, uuid, next_mdev);
	place(&d, at);
	folder(at);
	text(at, "remove", "");
	vtree_format(line, sizeof(line), "%u", d.number);
	text(at, ".number", line);
	link_to(at, "mdev_type", TYPE);
	link_to(at, "subsystem", "/sys/bus/mdev");
	link_to(at, "driver", "/sys/bus/mdev/drivers/vfio_mdev");
	link_to("/sys/bus/mdev/devices", uuid, at);
	make_group(d.group, uuid, at);
	update_nodes(&d, true);
	tell_available();
	return 0;
}

static void find_number(const char *uuid, u32 *number)
{
	char path[PATH_MAX], buf[PATH_MAX], line[16] = "";
	int fd;

	vtree_format(path, sizeof(path), PARENT "/%s/.number", uuid);
	fd = (int)syscall(SYS_openat, AT_FDCWD, vtree_path(path, buf), O_RDONLY | O_CLOEXEC);
	*number = 0;
	if (fd < 0)
		return;
	if (syscall(SYS_read, fd, line, sizeof(line) - 1) > 0)
		*number = (u32)strtoul(line, NULL, 10);
	model_libc_close(fd);
}

static long remove_mdev(const char *uuid)
{
	static const char *const names[] = { "remove", ".number",   "mdev_type",
					     "driver", "subsystem", "iommu_group" };
	char at[PATH_MAX], path[PATH_MAX], number[16];
	static struct vdev d;
	u32 n;

	find_number(uuid, &n);
	mdev_of(&d, uuid, n);
	place(&d, at);
	update_nodes(&d, false);
	for (u32 i = 0; i < MODEL_ARRAY(names); i++)
		gone(at, names[i]);
	gone(PARENT, uuid);
	gone("/sys/bus/mdev/devices", uuid);
	vtree_format(path, sizeof(path), "/sys/kernel/iommu_groups/%u/devices", d.group);
	gone(path, uuid);
	vtree_format(path, sizeof(path), "/sys/kernel/iommu_groups/%u", d.group);
	gone(path, "devices");
	gone(path, "type");
	vtree_format(number, sizeof(number), "%u", d.group);
	gone("/sys/kernel/iommu_groups", number);
	tell_available();
	return 0;
}

void vtree_scan_mdevs(void (*found)(const char *uuid, u32 number))
{
	char buf[PATH_MAX];
	DIR *(*opens)(const char *) = opendir;
	DIR *dir = opens(vtree_path("/sys/bus/mdev/devices", buf));
	struct dirent *e;
	u32 number;

	while (dir && (e = readdir(dir)))
		if (e->d_name[0] != '.') {
			find_number(e->d_name, &number);
			found(e->d_name, number);
		}
	if (dir)
		closedir(dir);
}

static void make_mdev_parent(void)
{
	folder(TYPE);
	text(TYPE, "create", "");
	text(TYPE, "available_instances", "4\n");
	text(TYPE, "device_api", "vfio-pci\n");
	text(TYPE, "name", "Single port serial\n");
	folder("/sys/class/mdev_bus");
	folder("/sys/bus/mdev/devices");
	folder("/sys/bus/mdev/drivers/vfio_mdev");
	link_to("/sys/class/mdev_bus", "mtty", PARENT);
}

void vtree_make(void)
{
	const char *name = getenv("LKVM_MODEL_ROOT");
	struct vdev *d;

	if (!name || !realpath(name, root))
		model_usage("LKVM_MODEL_ROOT must name a folder, for what --vfio finds below /sys "
			    "and /dev");
	if (vtree_has(PCI_BUS))
		return;
	folder(PCI_BUS "/devices");
	folder("/sys/kernel/iommu_groups");
	folder("/dev/vfio");
	text(PCI_BUS, "drivers_probe", "");
	make_driver("vfio-pci");
	make_driver("pcieport");
	folder("/sys/module/vfio_pci/parameters");
	text("/dev/vfio", "vfio", "");
	if (!vfio_settings.no_iommufd)
		text("/dev", "iommu", "");
	if (!vfio_settings.no_iommu)
		folder("/sys/class/iommu/dmar0");
	for (u32 i = 0; (d = vdev_nth(i)); i++)
		if (!d->kind->mdev)
			make_pci(d);
	if (vfio_in_list(vfio_settings.devices, "mtty")) {
		make_mdev_parent();
		create_mdev("83b8f4f2-509f-382f-3c1e-e6bfe0fa1001");
	}
}

static void read_override(const struct vdev *d, char *name, size_t len)
{
	char at[PATH_MAX], path[PATH_MAX], buf[PATH_MAX];
	ssize_t n = -1;
	int fd;

	place(d, at);
	vtree_format(path, sizeof(path), "%s/driver_override", at);
	fd = (int)syscall(SYS_openat, AT_FDCWD, vtree_path(path, buf), O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = syscall(SYS_read, fd, name, len - 1);
		model_libc_close(fd);
	}
	name[n > 0 ? n : 0] = 0;
	name[strcspn(name, "\n")] = 0;
	if (!strcmp(name, "(null)"))
		*name = 0;
}

/* Linux pci_match_device: with an override only that driver, else whose table has it. */
static bool matches(const struct vdev *d, const char *driver)
{
	char name[64];

	read_override(d, name, sizeof(name));
	return !strcmp(*name ? name : d->kind->driver, driver);
}

static long bind(const char *driver, struct vdev *d, bool on)
{
	char old[64], path[PATH_MAX];
	bool has = vtree_driver(d->id, old, sizeof(old));

	vtree_format(path, sizeof(path), PCI_BUS "/drivers/%s", driver);
	if (!vtree_has(path) || (on ? has || !matches(d, driver) : !has || strcmp(old, driver)))
		return -ENODEV;
	if (on && vfio_settings.no_iommu && !strcmp(driver, "vfio-pci"))
		return -EINVAL;
	set_driver(d, on ? driver : NULL);
	return 0;
}

static long probe(struct vdev *d)
{
	char name[64], old[64];

	if (vtree_driver(d->id, old, sizeof(old)))
		return 0;
	read_override(d, name, sizeof(name));
	bind(*name ? name : d->kind->driver, d, true);
	return 0;
}

static long set_override(const char *path, const char *word)
{
	char line[80];

	vtree_format(line, sizeof(line), "%s\n", *word ? word : "(null)");
	put(path, line, strlen(line));
	return 0;
}

long vtree_write(const char *path, const char *given)
{
	char word[64], copy[PATH_MAX], *name, *folder_name;
	struct vdev *d;

	vtree_format(copy, sizeof(copy), "%s", path);
	name = strrchr(copy, '/');
	*name++ = 0;
	folder_name = strrchr(copy, '/') + 1;
	snprintf(word, sizeof(word), "%s", given);
	word[strcspn(word, "\n")] = 0;
	model_log("\"wrote\": \"%s\", \"text\": \"%s\"", path, word);
	if (!strcmp(name, "driver_override"))
		return set_override(path, word);
	if (!strcmp(name, "create"))
		return create_mdev(word);
	if (!strcmp(name, "remove"))
		return remove_mdev(folder_name);
	if (strcmp(name, "bind") && strcmp(name, "unbind") && strcmp(name, "drivers_probe"))
		return 0;
	d = vdev_find(word);
	if (!d || d->kind->mdev)
		return -ENODEV;
	return *name == 'd' ? probe(d) : bind(folder_name, d, *name == 'b');
}
