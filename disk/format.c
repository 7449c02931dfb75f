/* SPDX-License-Identifier: MIT */
/*
 * Decides on the format of a disk image. Images in formats that are not supported are refused: a
 * guest that repairs what it takes for a raw disk destroys them. Nothing is parsed here but the few
 * bytes that name the format. What was found out this way stays so: disk/guard.c.
 */
#include "format.h"

#include "lkvm/log.h"
#include "lkvm/magic.h"

static int refuse(const struct disk_file *f, const struct file_magic *m, const char *insist)
{
	if (m->kind == MAGIC_PACKED)
		err("--disk %s: is compressed by %s, not a disk; unpack it with: %s FILE (to use "
		    "it as it is, %s)",
		    f->shown, m->name, m->tool, insist);
	else
		err("--disk %s: is a %s image, not a raw or qcow2 one; convert it with: %s FILE "
		    "NEW (to use it as it is, %s)",
		    f->shown, m->name, m->tool, insist);
	return -EINVAL;
}

int disk_find_format(const struct disk_file *f, enum disk_format said, const char *insist,
		     enum disk_format *out)
{
	const struct file_magic *m;

	*out = said;
	if (said == DISK_FORMAT_RAW)
		return 0;
	m = magic_find_fd(f->fd, f->size);
	if (m && m->kind == MAGIC_DISK && !strcmp(m->name, "qcow2")) {
		*out = DISK_FORMAT_QCOW2;
		return 0;
	}
	if (said == DISK_FORMAT_QCOW2) {
		err("--disk %s: is not a qcow2 image, but %s", f->shown,
		    m ? m->name : "perhaps a raw one");
		return -EINVAL;
	}
	*out = DISK_FORMAT_RAW;
	if (m && (m->kind == MAGIC_DISK || m->kind == MAGIC_PACKED))
		return refuse(f, m, insist);
	return 0;
}
