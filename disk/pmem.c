/* SPDX-License-Identifier: MIT */
/* Files that a guest has as memory (see include/lkvm/pmem.h): opened and locked as disks are, whose
 * workers flush them. */
#include "lkvm/pmem.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "file.h"
#include "lkvm/config.h"
#include "lkvm/disk.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "raw.h"

/* Of any guest's (AMD64 Architecture Programmer's Manual volume 2, 5.1; Arm ARM, FEAT_LPA). */
#define SIZE_MAX_BITS 52

static int too_short(const struct pmem *p, u64 want, u64 have)
{
	char size[32];

	err("%s: size=%s: it has only %llu bytes; make it longer or decrease the size", p->what,
	    format_size(want, size, sizeof(size)), have);
	return -EINVAL;
}

static int not_whole(const struct pmem *p, const char *path, u64 unit, u64 have, bool file)
{
	char size[32], less[32];
	u64 down = ALIGN_DOWN(have, unit);

	format_size(unit, size, sizeof(size));
	format_size(down, less, sizeof(less));
	if (file)
		err("%s: its %llu bytes are not a multiple of %s; make it longer with: truncate -s "
		    "%%%s %s",
		    p->what, have, size, size, path);
	else
		err("%s: its %llu bytes are not a multiple of %s; add ',size=%s'", p->what, have,
		    size, down ? less : "SIZE");
	return -EINVAL;
}

/*
 * A writable file has all that the guest sees, else what it writes behind the end would be lost.
 * Behind the end of a read-only one are zeroes, as an image of a file system may have any length.
 */
static int choose_size(const struct pmem_config *cfg, struct pmem *p, u64 have, bool file)
{
	u64 unit = MAX(PMEM_UNIT, p->page);
	u64 room = p->readonly ? ALIGN_UP(have, unit) : have;

	if (!have) {
		err("%s: is empty; give it a size with: truncate -s 1G FILE", p->what);
		return -EINVAL;
	}
	if (cfg->size > room)
		return too_short(p, cfg->size, have);
	p->size = cfg->size ? cfg->size : room;
	if (p->size % unit)
		return not_whole(p, cfg->path, unit, p->size, file);
	if (p->size >> SIZE_MAX_BITS) {
		err("%s: is more than any guest can address; add ',size=SIZE'", p->what);
		return -EINVAL;
	}
	p->file_len = MIN(have, p->size);
	return 0;
}

static void prepare(const struct pmem_config *cfg, struct pmem *p)
{
	*p = (struct pmem){
		.what = xasprintf("--pmem %s", cfg->path),
		.fd = -1,
		.readonly = cfg->readonly,
	};
}

/* Takes @f->fd. */
static int take_file(const struct pmem_config *cfg, struct pmem *p, const struct disk_file *f)
{
	const struct disk_config dc = { .path = cfg->path,
					.readonly = cfg->readonly,
					.aio = DISK_AIO_THREADS };
	struct statfs fs;
	int ret;

	if (!fstatfs(f->fd, &fs) && fs.f_type == HUGETLBFS_MAGIC)
		p->page = (u64)fs.f_bsize;
	ret = choose_size(cfg, p, f->size, S_ISREG(f->st.st_mode));
	if (!ret && !p->readonly)
		ret = raw_file_create(&dc, f->fd, &f->st, &p->disk);
	if (ret)
		close(f->fd);
	else
		p->fd = f->fd;
	return ret;
}

int pmem_open(const struct pmem_config *cfg, struct pmem *p)
{
	struct disk_file f = {
		.path = cfg->path,
		.option = "--pmem",
		.shown = cfg->path,
		.readonly = cfg->readonly,
	};
	int ret;

	prepare(cfg, p);
	ret = disk_file_open(&f);
	if (!ret)
		ret = take_file(cfg, p, &f);
	if (ret)
		pmem_close(p);
	return ret;
}

int pmem_measure(const struct pmem_config *cfg, struct pmem *p)
{
	struct stat st = { 0 };
	off_t have = (off_t)cfg->size;
	int fd = -1, ret = 0;

	prepare(cfg, p);
	if (!have) {
		fd = open(cfg->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		have = fd < 0 || fstat(fd, &st) < 0 ? -1 : lseek(fd, 0, SEEK_END);
	}
	if (have < 0) {
		ret = -errno;
		err("%s: cannot look at its size: %s; add ',size=SIZE'", p->what, strerror(-ret));
	}
	if (!ret)
		ret = choose_size(cfg, p, (u64)have, S_ISREG(st.st_mode));
	if (fd >= 0)
		close(fd);
	if (ret)
		pmem_close(p);
	return ret;
}

void pmem_close(struct pmem *p)
{
	if (p->disk)
		disk_close(p->disk);
	else if (p->fd >= 0)
		close(p->fd);
	free(p->what);
	*p = (struct pmem){ .fd = -1 };
}
