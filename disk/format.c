/* SPDX-License-Identifier: MIT */
/*
 * Refuses disk images in a format of their own: raw is the only one here, and a guest that repairs
 * what it finds destroys such a file. Nothing of them is parsed but the few bytes that name the
 * format. A guest can write those to a raw disk; then the next start is refused, until the user
 * says format=raw.
 */
#include "format.h"

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/magic.h"

int disk_check_format(const struct disk_config *cfg, int fd, u64 size)
{
	const struct file_magic *m = cfg->raw ? NULL : magic_find_fd(fd, size);

	if (!m || (m->kind != MAGIC_DISK && m->kind != MAGIC_PACKED))
		return 0;
	if (m->kind == MAGIC_PACKED)
		err("--disk %s: is compressed by %s, not a raw disk; unpack it with: %s FILE (to "
		    "use "
		    "it as it is, add ',format=raw')",
		    cfg->path, m->name, m->tool);
	else
		err("--disk %s: is a %s image, not a raw disk; convert it with: %s FILE NEW (to "
		    "use "
		    "it as it is, add ',format=raw')",
		    cfg->path, m->name, m->tool);
	return -EINVAL;
}
