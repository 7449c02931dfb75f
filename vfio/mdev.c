/* SPDX-License-Identifier: MIT */
/*
 * Mediated devices: a driver's device (the parent) that makes others out of itself, of types that
 * it has (Linux Documentation/driver-api/vfio-mediated-device.rst). One is made by its UUID,
 * written to the type's "create", and goes by its own "remove".
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "attr.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vfio-bind.h"

#define PARENTS "/sys/class/mdev_bus"
#define DEVICES "/sys/bus/mdev/devices"
#define TYPES	"mdev_supported_types"

/* Names */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_name(void *opaque, const char *entry)
{
	struct vfio_words *w = opaque;

	w->words = xrealloc(w->words, (w->nr + 2) * sizeof(*w->words));
	w->words[w->nr++] = xstrdup(entry);
	w->words[w->nr] = NULL;
	return 0;
}

void vfio_words_free(struct vfio_words *w)
{
	for (u32 i = 0; i < w->nr; i++)
		free(w->words[i]);
	free(w->words);
	*w = (struct vfio_words){ 0 };
}

static void list(const char *root, const char *dir, struct vfio_words *out)
{
	*out = (struct vfio_words){ .words = xcalloc(1, sizeof(*out->words)) };
	vfio_attr_each(root, dir, add_name, out);
	qsort(out->words, out->nr, sizeof(*out->words), by_name);
}

void vfio_mdev_parents(const char *root, struct vfio_words *out)
{
	list(root, PARENTS, out);
}

void vfio_mdev_types(const char *root, const char *parent, struct vfio_words *out)
{
	char dir[PATH_MAX];

	snprintf(dir, sizeof(dir), PARENTS "/%s/" TYPES, parent);
	list(root, dir, out);
}

struct of_type {
	const char *root, *parent, *type;
	struct vfio_words *out;
};

static int add_of_type(void *opaque, const char *entry)
{
	struct of_type *o = opaque;
	char dir[PATH_MAX], type[NAME_MAX + 1], parent[NAME_MAX + 1];

	snprintf(dir, sizeof(dir), DEVICES "/%s", entry);
	vfio_attr_link(o->root, dir, "mdev_type", type, sizeof(type));
	/* The device lies in its parent's directory. */
	vfio_attr_above(o->root, DEVICES, entry, parent, sizeof(parent));
	if (!strcmp(type, o->type) && !strcmp(parent, o->parent))
		add_name(o->out, entry);
	return 0;
}

void vfio_mdev_devices(const char *root, const char *parent, const char *type,
		       struct vfio_words *out)
{
	struct of_type o = { .root = root, .parent = parent, .type = type, .out = out };

	*out = (struct vfio_words){ .words = xcalloc(1, sizeof(*out->words)) };
	vfio_attr_each(root, DEVICES, add_of_type, &o);
	qsort(out->words, out->nr, sizeof(*out->words), by_name);
}

void vfio_mdev_text(const char *root, const char *parent, const char *type, const char *name,
		    char *buf, size_t size)
{
	char dir[PATH_MAX];

	snprintf(dir, sizeof(dir), PARENTS "/%s/" TYPES "/%s", parent, type);
	vfio_attr_read(root, dir, name, buf, size);
	text_mask(buf);
}

/* Which parent and type */

static char *joined(const struct vfio_words *w)
{
	char *text = xstrdup("");

	for (u32 i = 0; i < w->nr; i++)
		xappendf(&text, "%s%s", i ? ", " : "", w->words[i]);
	return text;
}

/* A name of the class, a PCI address in any form, or a path to either. */
static int find_parent(const struct vfio_writer *w, const char *what, const char *text, char *out,
		       size_t size)
{
	const char *slash = strrchr(text, '/');
	struct vfio_words all;
	struct vfio_name name;
	char *names;

	snprintf(out, size, "%s", slash ? slash + 1 : text);
	if (!vfio_name_parse(out, &name) && name.bus == VFIO_BUS_PCI)
		snprintf(out, size, "%s", name.id);
	if (*out && *out != '.' && vfio_attr_exists(w->root, PARENTS, out))
		return 0;
	vfio_mdev_parents(w->root, &all);
	names = joined(&all);
	if (all.nr)
		err("%s: '%s' makes no mdevs; what does: %s", what, text, names);
	else
		err("%s: nothing on this host makes mdevs; load the driver of a device that does "
		    "(" PARENTS " is empty)",
		    what);
	free(names);
	vfio_words_free(&all);
	return -ENOENT;
}

static int find_type(const struct vfio_writer *w, const char *what, const char *parent,
		     const char *type)
{
	struct vfio_words all;
	const char *near;
	char *names;
	int ret = -ENOENT;

	vfio_mdev_types(w->root, parent, &all);
	for (u32 i = 0; i < all.nr; i++)
		if (!strcmp(all.words[i], type))
			ret = 0;
	if (ret) {
		names = joined(&all);
		near = nearest_word(type, (const char *const *)all.words);
		if (near)
			err("%s: %s has no type '%s'; did you mean '%s'?", what, parent, type,
			    near);
		else
			err("%s: %s has no type '%s'; it has: %s", what, parent, type, names);
		free(names);
	}
	vfio_words_free(&all);
	return ret;
}

/* Making one */

/* RFC 9562, 5.4: random, version 4. */
static int make_uuid(char *out, size_t size)
{
	u8 b[16];

	if (getrandom(b, sizeof(b), 0) != sizeof(b))
		return -EIO;
	b[6] = (u8)((b[6] & 0x0f) | 0x40);
	b[8] = (u8)((b[8] & 0x3f) | 0x80);
	snprintf(out, size, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
		 b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12],
		 b[13], b[14], b[15]);
	return 0;
}

static int put(const struct vfio_writer *w, const char *path, const char *text)
{
	char *full = xasprintf("%s%s", w->root, path);
	int ret = w->write(w->opaque, full, text);

	free(full);
	return ret;
}

/* -EINVAL is for what the user wrote; a driver that answers with it failed as by any other. */
static int refused(int error)
{
	return error == -EINVAL ? -EIO : error;
}

static const char *hint(int error)
{
	switch (error) {
	case -EACCES:
	case -EPERM:
		return "; root may do that";
	case -EROFS:
		return "; sysfs is read-only here, as in a container: do it on the host";
	case -EUSERS:
	case -ENOSPC:
		return "; remove one that is not needed ('lkvm vfio mdev list')";
	case -EEXIST:
		return "; an mdev has that UUID already";
	default:
		return "";
	}
}

int vfio_mdev_create(const struct vfio_writer *w, const char *what, const char *parent,
		     const char *type, const char *uuid, struct vfio_name *out)
{
	char found[NAME_MAX + 1], line[32], id[40], path[PATH_MAX];
	int ret = find_parent(w, what, parent, found, sizeof(found));

	if (!ret)
		ret = find_type(w, what, found, type);
	if (ret)
		return ret;
	vfio_mdev_text(w->root, found, type, "available_instances", line, sizeof(line));
	if (!strcmp(line, "0")) {
		err("%s: %s has no more of type %s; remove one that is not needed ('lkvm vfio mdev "
		    "list')",
		    what, found, type);
		return -ENOSPC;
	}
	ret = uuid ? 0 : make_uuid(id, sizeof(id));
	if (!ret)
		ret = vfio_name_parse(uuid ? uuid : id, out);
	if (ret || out->bus != VFIO_BUS_MDEV) {
		err("%s: '%s' is not a UUID", what, uuid ? uuid : "");
		return -EINVAL;
	}
	snprintf(path, sizeof(path), PARENTS "/%s/" TYPES "/%s/create", found, type);
	ret = put(w, path, out->id);
	if (ret)
		err("%s: cannot make one of type %s: %s%s", what, type, strerror(-ret), hint(ret));
	return refused(ret);
}

int vfio_mdev_remove(const struct vfio_writer *w, const char *what, const struct vfio_name *name)
{
	char *user, *path;
	int ret;

	if (!vfio_attr_exists(w->root, name->sysfs, "")) {
		err("%s: there is no mdev %s; 'lkvm vfio mdev list' shows those that there are",
		    what, name->id);
		return -ENOENT;
	}
	/* The kernel waits for whoever has it open, and so would we. */
	user = vfio_user(w->root, name);
	if (user) {
		err("%s: mdev %s: %s; end that first", what, name->id, user);
		free(user);
		return -EBUSY;
	}
	path = xasprintf("%s/remove", name->sysfs);
	ret = put(w, path, "1");
	free(path);
	if (ret)
		err("%s: cannot remove the mdev %s: %s%s", what, name->id, strerror(-ret),
		    hint(ret));
	return refused(ret);
}
