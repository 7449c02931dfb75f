/* SPDX-License-Identifier: MIT */
/*
 * A boot image: a file that is read in place, or bytes in memory. Guest RAM is filled by pread
 * straight from the file: no copy in between.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lkvm/access.h"
#include "lkvm/boot.h"
#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"

/* Test runners look for this very line. */
static int open_failed(const char *what, const char *path, const char *why, int error)
{
	err("Fatal: Unable to open %s %s: %s", what, path, why);
	return error;
}

static void explain(const char *path, int error, char *buf, size_t len)
{
	char why[ACCESS_WHY_LEN];

	if (error == -EACCES || error == -EPERM)
		snprintf(buf, len, "%s; %s", strerror(-error),
			 access_why("", NULL, path, R_OK, -error, why, sizeof(why)));
	else
		snprintf(buf, len, "%s%s", strerror(-error), limit_hint(error));
}

int boot_image_open(struct boot_image *img, const char *path, const char *what)
{
	struct stat st;
	char why[ACCESS_WHY_LEN + 64];
	int ret;

	*img = (struct boot_image){ .path = path, .fd = -1 };
	/* O_NONBLOCK: a FIFO is refused below instead of waited for. */
	img->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (img->fd < 0 || fstat(img->fd, &st) < 0) {
		ret = -errno;
		explain(path, ret, why, sizeof(why));
		open_failed(what, path, why, ret);
	} else if (S_ISDIR(st.st_mode)) {
		ret = open_failed(what, path, "it is a directory; name the image in it", -EISDIR);
	} else if (!S_ISREG(st.st_mode)) {
		ret = open_failed(what, path, "not a regular file", -EINVAL);
	} else if (st.st_size == 0) {
		ret = open_failed(what, path, "the file is empty", -ENODATA);
	} else {
		img->size = (u64)st.st_size;
		img->host_error = xcalloc(1, sizeof(*img->host_error));
		return 0;
	}
	boot_image_close(img);
	return ret;
}

void boot_image_close(struct boot_image *img)
{
	/* A zeroed image has no path, and its fd 0 is not ours. */
	if (img->path && img->fd >= 0)
		close(img->fd);
	if (img->blob_owned)
		free(img->blob);
	free(img->path_owned);
	free(img->host_error);
	*img = (struct boot_image){ .fd = -1 };
}

void boot_image_from_buffer(struct boot_image *img, const char *path, u8 *buf, u64 len)
{
	*img = (struct boot_image){ .path = path, .fd = -1, .blob = buf, .size = len };
}

int boot_image_read(const struct boot_image *img, u64 offset, void *buf, u64 len)
{
	int ret;

	if (!range_within(offset, len, 0, img->size))
		return -ENODATA;
	if (!len)
		return 0;
	if (img->fd < 0) {
		memcpy(buf, img->blob + img->start + offset, len);
		return 0;
	}
	ret = pread_full(img->fd, buf, len, (off_t)(img->start + offset));
	/* An end that comes early is for the reader to tell. */
	if (ret && ret != -ENODATA)
		*img->host_error = ret;
	return ret;
}

/* How many bytes from @gpa on are in one RAM region; @gpa is RAM. */
static u64 ram_run(const struct guest_memory *mem, u64 gpa)
{
	const struct memory_region *r = memory_find(mem, gpa);

	return r ? r->size - (gpa - r->gpa) : 0;
}

int boot_image_load(const struct boot_image *img, u64 offset, struct guest_memory *mem, u64 gpa,
		    u64 len)
{
	if (!range_within(offset, len, 0, img->size))
		return -ENODATA;
	if (!memory_is_ram(mem, gpa, len))
		return -EFAULT;
	while (len) {
		u64 run = MIN(ram_run(mem, gpa), len);
		void *hva = memory_ptr(mem, gpa, run);
		int ret = hva ? boot_image_read(img, offset, hva, run) : -EFAULT;

		if (ret)
			return ret;
		offset += run;
		gpa += run;
		len -= run;
	}
	return 0;
}

int boot_image_error(const struct boot_image *img, const char *what, int error, const char *fmt,
		     ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	/* What cannot be read has no shape either. */
	if (img->host_error && *img->host_error) {
		error = *img->host_error;
		snprintf(text, sizeof(text), "cannot read: %s", strerror(-error));
	}
	err("--%s %s%s%s: %s", what, img->path, img->packed ? ", unpacked by " : "",
	    img->packed ? img->packed : "", text);
	return error;
}

const struct boot_image *boot_first_image(const struct boot *boot, const char **what)
{
	bool firmware = boot->firmware.path;

	*what = firmware ? "firmware" : "kernel";
	if (firmware)
		return &boot->firmware;
	if (boot->kernel.path)
		return &boot->kernel;
	err("nothing to start: name a kernel with -k or firmware with -f");
	return NULL;
}
