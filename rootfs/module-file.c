/* SPDX-License-Identifier: MIT */
/*
 * A module's file. Only kernels with CONFIG_MODULE_DECOMPRESS take one that is packed, so it is
 * unpacked here: gzip and Zstandard by what unpacks kernels, xz by the program, where there is one.
 */
#include <stdlib.h>

#include "file.h"
#include "lkvm/boot.h"
#include "lkvm/child.h"
#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"
#include "modules.h"

#define MODULE_MAX (256 * MiB)
/* The .xz file format 1.2.1, 2.1.1.1: the header's magic bytes. */
#define XZ_MAGIC \
	"\xfd"   \
	"7zXZ"

static int failed(const char *path, const char *what, int error)
{
	err("--modules %s: %s: %s%s", path, what, strerror(-error), limit_hint(error));
	return error;
}

/* *done: it was unpacked, and *data is other memory. */
static int unpack_xz(const char *path, u8 **data, size_t *len, bool *done)
{
	char *xz = child_find("xz", NULL);
	char *argv[] = { xz, (char[]){ "-dc" }, NULL };
	u8 *packed = *data;
	int ret;

	if (!xz) {
		debug("%s: there is no xz here, the guest's kernel has to unpack it", path);
		return 0;
	}
	ret = file_read_output(argv, path, MODULE_MAX, data, len);
	free(xz);
	if (ret) {
		*data = packed;
		return failed(path, "xz cannot unpack it", ret);
	}
	free(packed);
	*done = true;
	return 0;
}

/* By boot/stream.c, whose messages begin with the same option. */
static int unpack(const char *path, u8 **data, size_t *len, bool *done)
{
	struct boot_image img;
	u64 size = 0;
	u8 *buf = NULL;
	int ret;

	boot_image_from_buffer(&img, path, *data, *len);
	ret = boot_image_decompress(&img, "modules", MODULE_MAX);
	if (!ret && img.packed) {
		ret = boot_image_measure(&img, &size);
		buf = ret ? NULL : malloc(size);
		if (!ret)
			ret = buf ? boot_image_read(&img, 0, buf, size) : -ENOMEM;
		if (ret)
			ret = boot_image_error(&img, "modules", ret, "cannot unpack: %s",
					       strerror(-ret));
	}
	boot_image_close(&img);
	if (ret || !buf) {
		free(buf);
		return ret;
	}
	free(*data);
	*data = buf;
	*len = size;
	*done = true;
	return 0;
}

/* "NN-9p.ko": nothing of two modules is called the same. */
static char *make_name(const struct module_path *p, u32 i, bool unpacked)
{
	const char *file = memrchr(p->path, '/', p->len);
	const char *end;
	int len;

	file = file ? file + 1 : p->path;
	len = (int)(p->len - (size_t)(file - p->path));
	end = unpacked ? memmem(file, (size_t)len, ".ko", 3) : NULL;
	if (end)
		len = (int)(end - file) + 3;
	return xasprintf("%02u-%.*s", i, len, file);
}

int modules_read(const struct modules *m, u32 i, char **name, u8 **data, size_t *len)
{
	const struct module_path *p = &m->seen[m->order[i]];
	char *path = xasprintf("%s/%.*s", m->dir, (int)p->len, p->path);
	bool unpacked = false;
	int ret;

	*data = NULL;
	ret = file_read(path, MODULE_MAX, data, len);
	if (ret)
		failed(path, "cannot read", ret);
	else if (*len >= 5 && !memcmp(*data, XZ_MAGIC, 5))
		ret = unpack_xz(path, data, len, &unpacked);
	else
		ret = unpack(path, data, len, &unpacked);
	if (!ret)
		*name = make_name(p, i, unpacked);
	else
		free(*data);
	free(path);
	return ret;
}
