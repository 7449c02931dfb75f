/* SPDX-License-Identifier: MIT */
/*
 * Opens what a disk option names, and the backing files of a qcow2 image. A name that an image
 * contains is followed only if the user said that it is a qcow2 image: else a guest that writes a
 * header to its raw disk, or whoever sends an image, would choose files of the host.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "file.h"
#include "format.h"
#include "lkvm/config.h"
#include "lkvm/disk.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "qcow2.h"
#include "raw.h"

struct opening {
	const struct disk_config *cfg;
	unsigned int nr;
	struct q2_layer layers[Q2_MAX_LAYERS];
	struct {
		dev_t dev;
		ino_t ino;
	} files[Q2_MAX_LAYERS];
};

/* The next file to open, and what is known of it. */
struct next {
	char *path;
	enum disk_format format;
	bool trusted; /* it may name files */
};

#define INSIST_RAW     "add ',format=raw'"
#define INSIST_BACKING "say so with: qemu-img rebase -u -F raw"

static int open_raw(struct opening *o, const struct disk_file *f, bool file, struct disk **out)
{
	struct disk_config cfg = *o->cfg;

	cfg.path = (char *)f->shown;
	cfg.readonly = f->readonly;
	return file ? raw_file_create(&cfg, f->fd, &f->st, out)
		    : raw_disk_create(&cfg, f->fd, &f->st, out);
}

/* A descriptor for tables, which are not as O_DIRECT wants them: 0 or -errno. */
static int open_tables(const struct disk_file *f, int *fd)
{
	struct stat st;

	*fd = f->fd;
	if (!f->direct)
		return 0;
	*fd = open(f->path, O_CLOEXEC | O_NONBLOCK | (f->readonly ? O_RDONLY : O_RDWR));
	if (*fd >= 0 && !fstat(*fd, &st) && st.st_dev == f->st.st_dev && st.st_ino == f->st.st_ino)
		return 0;
	err("--disk %s: cannot open it a second time, for its tables: %s; omit 'direct'", f->shown,
	    *fd < 0 ? strerror(errno) : "it is another file now");
	if (*fd >= 0)
		close(*fd);
	return -EIO;
}

/* Where a relative name leads is said from the image's own folder. */
static char *beside(const char *image, const char *name)
{
	const char *slash = strrchr(image, '/');

	if (name[0] == '/' || !slash)
		return xstrdup(name);
	return xasprintf("%.*s/%s", (int)(slash - image), image, name);
}

/* What the header says of the backing file. */
static int find_backing(const struct disk_file *f, const struct q2_header *h, bool trusted,
			struct next *next)
{
	const char *name = h->backing, *colon = strchr(name, ':');

	if (!name[0])
		return 0;
	if (!trusted) {
		err("--disk %s: names a backing file, %s; add ',format=qcow2' to open it, if you "
		    "trust the image",
		    f->shown, name);
		return -EPERM;
	}
	if (!strncmp(name, "file:", 5)) {
		name += 5;
	} else if (colon && memchr(name, '/', (size_t)(colon - name)) == NULL) {
		err("--disk %s: its backing file, %s, is not named as a file; convert it with: "
		    "qemu-img convert -O qcow2 FILE NEW",
		    f->shown, name);
		return -EINVAL;
	}
	if (!strcmp(h->backing_format, "raw")) {
		next->format = DISK_FORMAT_RAW;
	} else if (!strcmp(h->backing_format, "qcow2")) {
		next->format = DISK_FORMAT_QCOW2;
	} else if (h->backing_format[0]) {
		err("--disk %s: its backing file is in the format %s; there are raw and qcow2: "
		    "convert it with: qemu-img convert -O qcow2 FILE NEW",
		    f->shown, h->backing_format);
		return -EINVAL;
	}
	next->trusted = next->format == DISK_FORMAT_QCOW2;
	next->path = beside(f->path, name);
	return 0;
}

static int open_qcow2(struct opening *o, const struct disk_file *f, bool trusted,
		      struct q2_layer *layer, struct next *next)
{
	struct q2_header *h = xcalloc(1, sizeof(*h));
	struct disk *file = NULL;
	int fd, ret = open_tables(f, &fd);

	if (ret)
		goto out;
	ret = q2_header_read(fd, f, h);
	if (!ret)
		ret = find_backing(f, h, trusted, next);
	if (!ret)
		ret = open_raw(o, f, true, &file);
	if (!ret) {
		ret = q2_image_open(f, h, fd, fd != f->fd, file, &layer->image);
		/* The raw disk has taken the descriptor. */
		if (ret) {
			disk_close(file);
			if (fd != f->fd)
				close(fd);
			free(h);
			return ret;
		}
	} else if (fd != f->fd) {
		close(fd);
	}
	layer->size = h->size;
out:
	if (ret)
		close(f->fd);
	free(h);
	return ret;
}

/* A file that is there already: a chain that ends in itself, or an image on top of the disk. */
static int check_loop(struct opening *o, const struct disk_file *f)
{
	struct stat st;

	if (stat(f->path, &st) < 0)
		return 0;
	for (unsigned int i = 0; i < o->nr; i++) {
		if (o->files[i].dev != st.st_dev || o->files[i].ino != st.st_ino)
			continue;
		err("--disk %s: is its own backing file", f->shown);
		return -ELOOP;
	}
	if (o->nr == Q2_MAX_LAYERS) {
		err("--disk %s: stands on more than %u files; make it shorter with: qemu-img "
		    "rebase",
		    o->cfg->path, Q2_MAX_LAYERS);
		return -ELOOP;
	}
	o->files[o->nr].dev = st.st_dev;
	o->files[o->nr].ino = st.st_ino;
	return 0;
}

/* One file of the chain; *next says which comes then, with a path of NULL at the end. */
static int open_layer(struct opening *o, const struct next *now, struct next *next)
{
	struct q2_layer *layer = &o->layers[o->nr];
	struct disk_file f = {
		.path = now->path,
		.shown = now->path,
		.readonly = o->cfg->readonly || o->nr,
		.direct = o->cfg->direct,
	};
	enum disk_format format;
	char *shown = NULL;
	int ret;

	if (o->nr) {
		shown = xasprintf("%s (backing file of %s)", now->path, o->cfg->path);
		f.shown = shown;
	} else {
		f.shown = o->cfg->path;
	}
	ret = check_loop(o, &f);
	if (!ret)
		ret = disk_file_open(&f);
	if (ret)
		goto out;
	ret = disk_find_format(&f, now->format, o->nr ? INSIST_BACKING : INSIST_RAW, &format);
	if (ret) {
		close(f.fd);
	} else if (format == DISK_FORMAT_QCOW2) {
		ret = open_qcow2(o, &f, now->trusted, layer, next);
		if (!ret && now->format == DISK_FORMAT_AUTO)
			info("--disk %s: is a qcow2 image", f.shown);
	} else {
		ret = open_raw(o, &f, false, &layer->file);
		if (ret)
			close(f.fd);
		else
			layer->size = layer->file->size;
	}
out:
	layer->shown = shown;
	/* What failed holds nothing but its name. */
	o->nr++;
	return ret;
}

int disk_open(const struct disk_config *cfg, struct disk **out)
{
	struct opening *o = xcalloc(1, sizeof(*o));
	struct next now = {
		.path = xstrdup(cfg->path),
		.format = cfg->format,
		.trusted = cfg->format == DISK_FORMAT_QCOW2,
	};
	int ret;

	o->cfg = cfg;
	do {
		struct next next = { 0 };

		ret = open_layer(o, &now, &next);
		free(now.path);
		now = next;
	} while (!ret && now.path);
	free(now.path);
	if (!ret && !o->layers[0].image) {
		*out = o->layers[0].file;
		(*out)->guarded = cfg->format == DISK_FORMAT_AUTO && !cfg->readonly;
	} else if (!ret) {
		ret = qcow2_disk_create(cfg->path, cfg->readonly, o->layers, o->nr, out);
	}
	for (unsigned int i = 0; ret && i < o->nr; i++)
		q2_layer_close(&o->layers[i]);
	free(o);
	return ret;
}
