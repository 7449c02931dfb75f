/* SPDX-License-Identifier: MIT */
/*
 * Giving devices to VFIO and back to the host: the name of a driver in driver_override, taking the
 * device from the one that has it, and asking the bus whose it is (Linux Documentation/ABI/testing/
 * sysfs-bus-pci). The ids of vfio-pci's own table (new_id) are never used: they would take every
 * device of that kind. All devices are looked at before the first is changed, and what was changed
 * is changed back where one fails.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attr.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vfio-bind.h"

#define MAX_DEVICES 64
#define PCI_BUS	    "/sys/bus/pci"
#define NO_OVERRIDE "(null)" /* as the kernel prints it */

struct target {
	struct vfio_name name;
	char driver[64]; /* that has it at first; "": none */
	char override[64];
	bool changed;
};

struct targets {
	const struct vfio_binder *b;
	const char *what; /* "vfio bind" */
	u32 nr;
	struct target list[MAX_DEVICES];
};

static void say(const struct targets *t, const struct target *d, const char *text)
{
	err("%s: %s: %s", t->what, d->name.id, text);
}

/* Which devices */

static int add(struct targets *t, const struct vfio_name *name)
{
	for (u32 i = 0; i < t->nr; i++)
		if (!strcmp(t->list[i].name.id, name->id))
			return 0;
	if (t->nr == MAX_DEVICES) {
		err("%s: at most %d devices at once", t->what, MAX_DEVICES);
		return -E2BIG;
	}
	t->list[t->nr++] = (struct target){ .name = *name };
	return 0;
}

static int add_of_group(void *opaque, const char *entry)
{
	struct targets *t = opaque;
	struct vfio_name name;

	if (vfio_name_parse(entry, &name) || name.bus != VFIO_BUS_PCI ||
	    vfio_is_bridge(t->b->root, name.sysfs))
		return 0;
	return add(t, &name);
}

static int collect(struct targets *t, const struct vfio_name *names, u32 nr)
{
	char group[32], dir[96];
	int ret = 0;

	for (u32 i = 0; i < nr && !ret; i++) {
		ret = add(t, &names[i]);
		if (ret || !t->b->group ||
		    vfio_attr_link(t->b->root, names[i].sysfs, "iommu_group", group, sizeof(group)))
			continue;
		snprintf(dir, sizeof(dir), "/sys/kernel/iommu_groups/%s/devices", group);
		ret = vfio_attr_each(t->b->root, dir, add_of_group, t);
	}
	return ret;
}

/* What all need */

static int check_access(const struct targets *t, const struct target *d)
{
	char path[PATH_MAX];
	int error;

	snprintf(path, sizeof(path), "%s%s/driver_override", t->b->root, d->name.sysfs);
	if (!access(path, W_OK))
		return 0;
	error = errno;
	err("%s: %s: cannot write %s/driver_override: %s%s", t->what, d->name.id, d->name.sysfs,
	    strerror(error),
	    error == EACCES  ? "; run it as root"
	    : error == EROFS ? "; sysfs is read-only here, as in a container: run it on the host"
			     : "");
	return -error;
}

static int look(const struct targets *t, struct target *d)
{
	const char *root = t->b->root;
	char *why = NULL;

	if (d->name.bus != VFIO_BUS_PCI) {
		say(t, d,
		    "an mdev has its driver from the start; 'lkvm run --vfio' takes it as it "
		    "is");
		return -EINVAL;
	}
	if (!vfio_attr_exists(root, d->name.sysfs, "") || vfio_is_bridge(root, d->name.sysfs))
		why = vfio_why_not(root, &d->name);
	if (why)
		say(t, d, why);
	free(why);
	if (why)
		return -ENODEV;
	vfio_attr_link(root, d->name.sysfs, "driver", d->driver, sizeof(d->driver));
	vfio_attr_read(root, d->name.sysfs, "driver_override", d->override, sizeof(d->override));
	return check_access(t, d);
}

static void driver_now(const struct targets *t, const struct target *d, char *driver, size_t size)
{
	vfio_attr_link(t->b->root, d->name.sysfs, "driver", driver, size);
}

/* The steps */

static int put(const struct targets *t, const char *path, const char *text)
{
	char *full = xasprintf("%s%s", t->b->root, path);
	int ret = t->b->write(t->b->opaque, full, text);

	free(full);
	if (ret)
		debug("%s: cannot write '%s': %s", path, text, strerror(-ret));
	return ret;
}

/* "" or "(null)": any driver may have it. */
static int override(const struct targets *t, const struct target *d, const char *driver)
{
	char *path = xasprintf("%s/driver_override", d->name.sysfs);
	int ret = put(t, path, *driver && strcmp(driver, NO_OVERRIDE) != 0 ? driver : "\n");

	free(path);
	return ret;
}

static int take_from(const struct targets *t, const struct target *d, const char *driver)
{
	char *path = xasprintf(PCI_BUS "/drivers/%s/unbind", driver);
	int ret = *driver ? put(t, path, d->name.id) : 0;

	free(path);
	return ret;
}

static int probe(const struct targets *t, const struct target *d)
{
	return put(t, PCI_BUS "/drivers_probe", d->name.id);
}

/* To what it was before; as far as that is possible. */
static void change_back(const struct targets *t, struct target *d)
{
	char driver[64], *path;
	int ret = override(t, d, d->override);

	driver_now(t, d, driver, sizeof(driver));
	if (!ret && strcmp(driver, d->driver) != 0) {
		ret = take_from(t, d, driver);
		path = xasprintf(PCI_BUS "/drivers/%s/bind", d->driver);
		if (!ret && *d->driver)
			ret = put(t, path, d->name.id);
		free(path);
	}
	d->changed = false;
	driver_now(t, d, driver, sizeof(driver));
	if (ret || strcmp(driver, d->driver) != 0)
		warn("%s: %s: cannot give it back to %s", t->what, d->name.id,
		     *d->driver ? d->driver : "nobody");
}

static int change(struct targets *t, struct target *d, const char *driver)
{
	const char *step = "driver_override";
	int ret = override(t, d, driver);

	d->changed = !ret;
	/* Where the host's driver has it already the name alone was left. */
	if (!ret && *d->driver && (*driver || vfio_is_vfio_driver(d->driver))) {
		step = "unbind";
		ret = take_from(t, d, d->driver);
	}
	if (!ret) {
		step = "drivers_probe";
		ret = probe(t, d);
	}
	if (ret)
		err("%s: %s: %s: %s", t->what, d->name.id, step, strerror(-ret));
	return ret;
}

static int change_all(struct targets *t, int (*fn)(struct targets *t, struct target *d))
{
	int ret = 0;

	for (u32 i = 0; i < t->nr && !ret; i++)
		ret = fn(t, &t->list[i]);
	for (u32 i = t->nr; ret && i-- > 0;)
		if (t->list[i].changed)
			change_back(t, &t->list[i]);
	return ret;
}

/* To VFIO */

static const char *wanted(const struct targets *t)
{
	return t->b->driver ? t->b->driver : "vfio-pci";
}

static int may_bind(const struct targets *t, const struct target *d)
{
	char *why = NULL, *in_use;

	if (!strcmp(d->driver, wanted(t)))
		return 0;
	if (!vfio_attr_exists(t->b->root, d->name.sysfs, "iommu_group"))
		why = vfio_no_iommu(t->b->root);
	else if (vfio_is_vfio_driver(d->driver))
		why = vfio_user(t->b->root, &d->name);
	in_use = why || t->b->force || !*d->driver ? NULL : vfio_in_use(t->b->root, &d->name);
	if (in_use)
		why = xasprintf("%s; --force takes it from the host nonetheless", in_use);
	if (why)
		say(t, d, why);
	free(in_use);
	free(why);
	return why ? -EBUSY : 0;
}

static bool driver_is_there(const struct targets *t)
{
	char *dir = xasprintf(PCI_BUS "/drivers/%s", wanted(t));
	bool is = vfio_attr_exists(t->b->root, dir, "");

	free(dir);
	return is;
}

static int need_driver(const struct targets *t)
{
	int ret;

	if (driver_is_there(t))
		return 0;
	ret = t->b->load(t->b->opaque, wanted(t));
	if (driver_is_there(t))
		return 0;
	if (ret == -ENOENT)
		err("%s: the kernel's module %s is not loaded, and there is no modprobe to load "
		    "it",
		    t->what, wanted(t));
	else
		err("%s: the kernel has no driver %s: modprobe cannot load it; it is built with "
		    "%s",
		    t->what, wanted(t),
		    strcmp(wanted(t), "vfio-pci") != 0 ? "the option of that name"
						       : "CONFIG_VFIO_PCI");
	return -ENODEV;
}

static int bind_one(struct targets *t, struct target *d)
{
	char driver[64];
	int ret;

	if (!strcmp(d->driver, wanted(t))) {
		fprintf(t->b->out, "%s: %s has it already\n", d->name.id, d->driver);
		return 0;
	}
	ret = change(t, d, wanted(t));
	if (ret)
		return ret;
	driver_now(t, d, driver, sizeof(driver));
	if (!strcmp(driver, wanted(t))) {
		fprintf(t->b->out, "%s: %s has it (before: %s)\n", d->name.id, driver,
			*d->driver ? d->driver : "no driver");
		return 0;
	}
	err("%s: %s: %s does not take it; the kernel's log (dmesg) says why", t->what, d->name.id,
	    wanted(t));
	return -ENODEV;
}

/* Each group once. */
static void warn_of_groups(const struct targets *t)
{
	char said[32] = "", group[32];

	for (u32 i = 0; i < t->nr; i++) {
		const struct vfio_name *name = &t->list[i].name;
		char *others = vfio_group_others(t->b->root, name);

		vfio_attr_link(t->b->root, name->sysfs, "iommu_group", group, sizeof(group));
		if (others && strcmp(group, said) != 0)
			warn("%s: %s: is not ready yet: drivers of the host have others of its "
			     "IOMMU group %s: %s; --group binds all of it",
			     t->what, name->id, group, others);
		snprintf(said, sizeof(said), "%s", group);
		free(others);
	}
}

static int start(struct targets *t, const struct vfio_name *names, u32 nr,
		 int (*may)(const struct targets *t, const struct target *d))
{
	int ret = collect(t, names, nr);

	for (u32 i = 0; i < t->nr && !ret; i++)
		ret = look(t, &t->list[i]);
	for (u32 i = 0; i < t->nr && !ret; i++)
		ret = may(t, &t->list[i]);
	return ret;
}

int vfio_bind(const struct vfio_binder *b, const struct vfio_name *names, u32 nr)
{
	struct targets *t = xcalloc(1, sizeof(*t));
	int ret;

	t->b = b;
	t->what = "vfio bind";
	ret = start(t, names, nr, may_bind);
	if (!ret)
		ret = need_driver(t);
	if (!ret)
		ret = change_all(t, bind_one);
	if (!ret)
		warn_of_groups(t);
	free(t);
	return ret;
}

/* Back to the host */

/* The kernel waits for whoever has it open, and so would we. */
static int may_unbind(const struct targets *t, const struct target *d)
{
	char *user = vfio_is_vfio_driver(d->driver) ? vfio_user(t->b->root, &d->name) : NULL;

	if (!user)
		return 0;
	err("%s: %s: %s; end that first", t->what, d->name.id, user);
	free(user);
	return -EBUSY;
}

static int unbind_one(struct targets *t, struct target *d)
{
	bool kept = vfio_is_vfio_driver(d->override);
	char driver[64];
	int ret;

	if (*d->driver && !vfio_is_vfio_driver(d->driver) && !kept) {
		fprintf(t->b->out, "%s: %s has it already\n", d->name.id, d->driver);
		return 0;
	}
	/* What somebody else's rule gives to one driver is not ours. */
	if (kept || !*d->override || !strcmp(d->override, NO_OVERRIDE))
		ret = change(t, d, "");
	else
		ret = change(t, d, d->override);
	if (ret)
		return ret;
	driver_now(t, d, driver, sizeof(driver));
	if (vfio_is_vfio_driver(driver)) {
		err("%s: %s: %s took it again: the module has its ids (ids= in /etc/modprobe.d or "
		    "on the kernel's command line)",
		    t->what, d->name.id, driver);
		return -EBUSY;
	}
	if (*driver)
		fprintf(t->b->out, "%s: %s has it\n", d->name.id, driver);
	else
		fprintf(t->b->out, "%s: no driver of the host's wants it\n", d->name.id);
	return 0;
}

int vfio_unbind(const struct vfio_binder *b, const struct vfio_name *names, u32 nr)
{
	struct targets *t = xcalloc(1, sizeof(*t));
	int ret;

	t->b = b;
	t->what = "vfio unbind";
	ret = start(t, names, nr, may_unbind);
	if (!ret)
		ret = change_all(t, unbind_one);
	free(t);
	return ret;
}
