/* SPDX-License-Identifier: MIT */
/* --disk: a list of disks. */
#include <stdlib.h>

#include "config-items.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

#define VHOST_USER "vhost-user="
/* Of one disk; what a vhost-user back end is asked for. */
#define MAX_QUEUES 64u

struct disk_config *config_add_disk(struct vm_config *cfg)
{
	cfg->disks = config_grow(cfg->disks, &cfg->nr_disks, sizeof(*cfg->disks));
	return &cfg->disks[cfg->nr_disks - 1];
}

static int unknown_format(const char *shown, const char *format)
{
	err("%s: format=%s: raw is the only format in this build; convert the image with: "
	    "qemu-img convert -O raw FILE NEW",
	    shown, format);
	return -EINVAL;
}

/* Of a disk that another process serves: it alone knows what the disk is. */
static int vhost_item(const char *shown, struct disk_config *disk, const char *item)
{
	static const char *const known[] = { "ro", "queues=", NULL };
	u64 queues;

	if (!strcmp(item, "ro")) {
		disk->readonly = true;
	} else if (!strncmp(item, "queues=", 7)) {
		if (parse_u64(item + 7, &queues) || !queues || queues > MAX_QUEUES) {
			err("%s: %s: must be a number from 1 to %u", shown, item, MAX_QUEUES);
			return -EINVAL;
		}
		disk->queues = (u16)queues;
	} else {
		return config_unknown_item(shown, item, known);
	}
	return 0;
}

static int disk_item(const char *shown, struct disk_config *disk, const char *item)
{
	static const char *const known[] = { "ro", "rw", "direct", "format=raw", NULL };

	if (disk->vhost_user)
		return vhost_item(shown, disk, item);
	if (!strcmp(item, "ro"))
		disk->readonly = true;
	else if (!strcmp(item, "rw"))
		disk->readonly = false;
	else if (!strcmp(item, "direct"))
		disk->direct = true;
	else if (!strcmp(item, "format=raw"))
		disk->raw = true;
	else if (!strncmp(item, "format=", 7))
		return unknown_format(shown, item + 7);
	else
		return config_unknown_item(shown, item, known);
	return 0;
}

static int disk_parse(const char *shown, const char *arg, void *target)
{
	char *copy = xstrdup(arg), *list = copy;
	const char *path = config_next_item(&list), *item;
	struct disk_config *disk;
	int ret = 0;

	/* Other programs' way, --disk path=FILE and -drive file=FILE. */
	if (!strncmp(path, "path=", 5) || !strncmp(path, "file=", 5)) {
		err("%s %s: the name comes first: %s %s (a file of that name: ./%s)", shown, path,
		    shown, path + 5, path);
		ret = -EINVAL;
		goto out;
	}
	if (!strncmp(path, "scsi:", 5)) {
		err("%s %s: this build has no vhost-scsi; name a file or a block device (a file "
		    "of that name: ./%s)",
		    shown, path, path);
		ret = -EINVAL;
		goto out;
	}
	disk = config_add_disk(target);
	disk->vhost_user = !strncmp(path, VHOST_USER, sizeof(VHOST_USER) - 1);
	disk->path = xstrdup(disk->vhost_user ? path + sizeof(VHOST_USER) - 1 : path);
	while (!ret && (item = config_next_item(&list)))
		ret = disk_item(shown, disk, item);
out:
	free(copy);
	return ret;
}

static char *disk_text(const void *target, u32 i)
{
	const struct vm_config *cfg = target;
	const struct disk_config *d;
	char *path, *text;

	if (i >= cfg->nr_disks)
		return NULL;
	d = &cfg->disks[i];
	path = config_one_item(d->path);
	if (d->vhost_user) {
		text = xasprintf(d->queues ? VHOST_USER "%s%s,queues=%u" : VHOST_USER "%s%s", path,
				 d->readonly ? ",ro" : "", d->queues);
		free(path);
		return text;
	}
	text = xasprintf("%s%s%s%s", path, d->readonly ? ",ro" : "", d->direct ? ",direct" : "",
			 d->raw ? ",format=raw" : "");
	free(path);
	return text;
}

static const char *disk_path(const void *target, u32 i)
{
	const struct vm_config *cfg = target;

	return i < cfg->nr_disks ? cfg->disks[i].path : NULL;
}

static void disk_destroy(void *target)
{
	struct vm_config *cfg = target;

	for (u32 i = 0; i < cfg->nr_disks; i++)
		free(cfg->disks[i].path);
	free(cfg->disks);
	cfg->disks = NULL;
	cfg->nr_disks = 0;
}

const struct option_hooks disk_hooks = {
	.parse = disk_parse,
	.text = disk_text,
	.path = disk_path,
	.destroy = disk_destroy,
};
