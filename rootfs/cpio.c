/* SPDX-License-Identifier: MIT */
/* The initramfs: entries one after the other, each a header of hexadecimal numbers, a name, and
 * what is in it. */
#include "cpio.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define HEADER_LEN 110
#define TRAILER	   "TRAILER!!!"

/* Room for @len more bytes, zeroed. NULL: there is none. */
static u8 *extend(struct cpio *c, size_t len)
{
	u8 *p;

	if (c->error)
		return NULL;
	if (len > c->room - c->len) {
		size_t room = c->len + len + c->len / 2 + 4096;
		u8 *data = realloc(c->data, room);

		if (!data) {
			c->error = -ENOMEM;
			return NULL;
		}
		c->data = data;
		c->room = room;
	}
	p = c->data + c->len;
	memset(p, 0, len);
	c->len += len;
	return p;
}

static void entry(struct cpio *c, const char *name, u32 mode, const void *data, size_t len,
		  u32 major, u32 minor)
{
	size_t name_len = strlen(name) + 1;
	char header[HEADER_LEN + 1];
	u8 *p;

	if (len > UINT32_MAX || name_len > PATH_MAX) {
		if (!c->error)
			c->error = -EFBIG;
		return;
	}
	/* magic ino mode uid gid nlink mtime filesize maj min rmaj rmin namesize check */
	snprintf(header, sizeof(header),
		 "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", ++c->entries, mode,
		 0, 0, S_ISDIR(mode) ? 2 : 1, 0, (u32)len, 0, 0, major, minor, (u32)name_len, 0);
	p = extend(c, ALIGN_UP(HEADER_LEN + name_len, 4));
	if (!p)
		return;
	memcpy(p, header, HEADER_LEN);
	memcpy(p + HEADER_LEN, name, name_len);
	p = extend(c, ALIGN_UP(len, (size_t)4));
	if (p && len)
		memcpy(p, data, len);
}

/* Names in the archive have no '/' in front. */
static const char *inside(const char *path)
{
	return path + (*path == '/');
}

void cpio_dir(struct cpio *c, const char *path, u32 mode)
{
	entry(c, inside(path), S_IFDIR | mode, NULL, 0, 0, 0);
}

void cpio_file(struct cpio *c, const char *path, u32 mode, const void *data, size_t len)
{
	entry(c, inside(path), S_IFREG | mode, data, len, 0, 0);
}

void cpio_symlink(struct cpio *c, const char *path, const char *target)
{
	entry(c, inside(path), S_IFLNK | 0777, target, strlen(target), 0, 0);
}

void cpio_device(struct cpio *c, const char *path, u32 mode, u32 major, u32 minor)
{
	entry(c, inside(path), S_IFCHR | mode, NULL, 0, major, minor);
}

int cpio_end(struct cpio *c)
{
	entry(c, TRAILER, 0, NULL, 0, 0, 0);
	return c->error;
}
