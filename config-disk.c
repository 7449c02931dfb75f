/* SPDX-License-Identifier: MIT */
/* --disk: a list of disks. */
#include <stdio.h>
#include <stdlib.h>

#include "config-items.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

#define VHOST_USER "vhost-user="

struct disk_config *config_add_disk(struct vm_config *cfg)
{
	cfg->disks = config_grow(cfg->disks, &cfg->nr_disks, sizeof(*cfg->disks));
	return &cfg->disks[cfg->nr_disks - 1];
}

/* "auto" is what it is without the word; it is not one of them. */
const char *const disk_format_names[] = { "auto", "raw", "qcow2", NULL };

static int parse_format(const char *shown, const char *word, enum disk_format *format)
{
	for (unsigned int i = DISK_FORMAT_RAW; disk_format_names[i]; i++) {
		if (!strcmp(word, disk_format_names[i])) {
			*format = (enum disk_format)i;
			return 0;
		}
	}
	err("%s: format=%s: is not one of raw, qcow2; convert the image with: qemu-img convert -O "
	    "qcow2 FILE NEW",
	    shown, word);
	return -EINVAL;
}

static const char *const aio_words[] = { "auto", "io_uring", "threads", NULL };
static const char *const cache_words[] = { "writeback", "writethrough", NULL };

/* The number of @value among @words, or -EINVAL (printed). */
static int one_of(const char *shown, const char *key, const char *value, const char *const *words)
{
	char name[64];

	for (int i = 0; words[i]; i++)
		if (!strcmp(value, words[i]))
			return i;
	snprintf(name, sizeof(name), "%s %s", shown, key);
	return config_unknown_item(name, value, words);
}

static int disk_aio(const char *shown, struct disk_config *disk, const char *value)
{
	int n = one_of(shown, "aio=", value, aio_words);

	if (n >= 0)
		disk->aio = (enum disk_aio)n;
	return MIN(n, 0);
}

static int disk_cache(const char *shown, struct disk_config *disk, const char *value)
{
	int n;

	/* QEMU's word for O_DIRECT and a write cache. */
	if (!strcmp(value, "none")) {
		disk->direct = true;
		disk->cache = DISK_WRITEBACK;
		return 0;
	}
	n = one_of(shown, "cache=", value, cache_words);
	if (n >= 0)
		disk->cache = (enum disk_cache)n;
	return MIN(n, 0);
}

static int disk_queues(const char *shown, struct disk_config *disk, const char *value)
{
	u64 n;

	if (!parse_u64(value, &n) && n >= 1 && n <= DISK_MAX_QUEUES) {
		disk->queues = (u32)n;
		return 0;
	}
	err("%s: queues=%s: must be a number from 1 to %d", shown, value, DISK_MAX_QUEUES);
	return -EINVAL;
}

static int disk_block_size(const char *shown, struct disk_config *disk, const char *value)
{
	u64 n;

	if (!parse_size(value, 1, &n) && (n == 512 || n == 4096)) {
		disk->block_size = (u32)n;
		return 0;
	}
	err("%s: block-size=%s: must be 512 or 4096", shown, value);
	return -EINVAL;
}

/* VIRTIO 1.3, 5.2.6: at most 20 bytes. The guest's udev and others make file names of it. */
static int disk_serial(const char *shown, struct disk_config *disk, const char *value)
{
	size_t len = strlen(value);
	bool good = len >= 1 && len <= DISK_MAX_SERIAL;

	for (size_t i = 0; i < len; i++)
		good = good && value[i] > ' ' && value[i] < 0x7f && value[i] != '/';
	if (!good) {
		err("%s: serial=%s: must be 1 to %d printable ASCII characters without blank or "
		    "'/'",
		    shown, value, DISK_MAX_SERIAL);
		return -EINVAL;
	}
	free(disk->serial);
	disk->serial = xstrdup(value);
	return 0;
}

/* All words; of a disk that another process serves. */
static const char *const disk_items[] = {
	"ro",
	"rw",
	"direct",
	"format=raw|qcow2",
	"aio=io_uring|threads",
	"cache=writeback|writethrough|none",
	"queues=N",
	"block-size=512|4096",
	"serial=NAME",
	"rate=SIZE[:BURST]",
	"ops=N[:BURST]",
	NULL,
};
static const char *const vhost_items[] = { "ro", "queues=N", NULL };

/* Words with a value. 1: it is none of them. */
static int disk_value(const char *shown, struct disk_config *disk, const char *item)
{
	static const struct {
		const char *key;
		int (*set)(const char *shown, struct disk_config *disk, const char *value);
	} keys[] = {
		{ "aio=", disk_aio },	    { "cache=", disk_cache },
		{ "queues=", disk_queues }, { "block-size=", disk_block_size },
		{ "serial=", disk_serial },
	};
	int ret;

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		size_t len = strlen(keys[i].key);

		if (!strncmp(item, keys[i].key, len))
			return keys[i].set(shown, disk, item + len);
	}
	ret = config_rate_item(shown, &disk->rate, "", item);
	return ret < 0 ? ret : !ret;
}

/* Of a disk that another process serves: it alone knows what the disk is. */
static int vhost_item(const char *shown, struct disk_config *disk, const char *item)
{
	if (!strncmp(item, "queues=", 7))
		return disk_queues(shown, disk, item + 7);
	if (strcmp(item, "ro") != 0)
		return config_unknown_item(shown, item, vhost_items);
	disk->readonly = true;
	return 0;
}

static int disk_item(const char *shown, struct disk_config *disk, const char *item)
{
	int ret;

	if (disk->vhost_user)
		return vhost_item(shown, disk, item);
	if (!strcmp(item, "ro"))
		disk->readonly = true;
	else if (!strcmp(item, "rw"))
		disk->readonly = false;
	else if (!strcmp(item, "direct"))
		disk->direct = true;
	else if (!strncmp(item, "format=", 7))
		return parse_format(shown, item + 7, &disk->format);
	else {
		ret = disk_value(shown, disk, item);
		return ret > 0 ? config_unknown_item(shown, item, disk_items) : ret;
	}
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
	text = xasprintf("%s%s%s", d->vhost_user ? VHOST_USER : "", path, d->readonly ? ",ro" : "");
	free(path);
	if (d->direct)
		config_add_text(&text, ",direct");
	if (d->format)
		config_add_text(&text, ",format=%s", disk_format_names[d->format]);
	if (d->aio)
		config_add_text(&text, ",aio=%s", aio_words[d->aio]);
	if (d->cache)
		config_add_text(&text, ",cache=writethrough");
	if (d->queues)
		config_add_text(&text, ",queues=%u", d->queues);
	if (d->block_size)
		config_add_text(&text, ",block-size=%u", d->block_size);
	config_add_word(&text, "serial", d->serial);
	config_add_rate(&text, &d->rate, "");
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

	for (u32 i = 0; i < cfg->nr_disks; i++) {
		free(cfg->disks[i].path);
		free(cfg->disks[i].serial);
	}
	free(cfg->disks);
	cfg->disks = NULL;
	cfg->nr_disks = 0;
}

const struct option_hooks disk_hooks = {
	.parse = disk_parse,
	.text = disk_text,
	.path = disk_path,
	.destroy = disk_destroy,
	.items = disk_items,
};
