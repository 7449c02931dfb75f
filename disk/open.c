/* SPDX-License-Identifier: MIT */
/* Opens what a disk option names, and decides what it is. */
#include <unistd.h>

#include "file.h"
#include "format.h"
#include "lkvm/config.h"
#include "lkvm/disk.h"
#include "lkvm/log.h"
#include "raw.h"

/* What the device shows, whatever the format. */
static int describe(const struct disk_config *cfg, struct disk *disk)
{
	u64 odd = cfg->block_size ? disk->size % cfg->block_size : 0;

	disk->writethrough = cfg->cache == DISK_WRITETHROUGH;
	disk->queues = (u16)cfg->queues;
	disk->serial = cfg->serial;
	rate_init(&disk->limit, &cfg->rate);
	if (!cfg->block_size)
		return 0;
	if (odd) {
		err("--disk %s: block-size=%u: its %llu bytes are not whole blocks; make it longer "
		    "or omit block-size",
		    cfg->path, cfg->block_size, disk->size);
		return -EINVAL;
	}
	disk->block_size = cfg->block_size;
	disk->phys_block = MAX(disk->phys_block, disk->block_size);
	return 0;
}

int disk_open(const struct disk_config *cfg, struct disk **out)
{
	struct disk_file file = {
		.path = cfg->path,
		.shown = cfg->path,
		.readonly = cfg->readonly,
		.direct = cfg->direct,
	};
	int ret = disk_file_open(&file);

	if (ret)
		return ret;
	ret = disk_check_format(cfg, file.fd, file.size);
	if (!ret)
		ret = raw_disk_create(cfg, file.fd, &file.st, out);
	if (ret) {
		close(file.fd);
		return ret;
	}
	ret = describe(cfg, *out);
	if (ret)
		disk_close(*out);
	return ret;
}
