/* SPDX-License-Identifier: MIT */
/* Opens what a disk option names, and decides what it is. */
#include <unistd.h>

#include "file.h"
#include "format.h"
#include "lkvm/config.h"
#include "lkvm/disk.h"
#include "raw.h"

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
	if (ret)
		close(file.fd);
	return ret;
}
