/* SPDX-License-Identifier: MIT */
/*
 * A boot image: a file that is read in place, bytes in memory, or what is packed in these. Guest
 * RAM is filled by pread straight from the file, or by the decoder: no copy in between.
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
#include "stream.h"

/* Whoever finds out what a file is looks at its beginning, again and again. */
#define WINDOW (8 * KiB)
/* Between them it is told how far a file is read. */
#define READ_CHUNK (16 * MiB)

struct boot_window {
	int host_error; /* once a read failed, which boot_image_error tells */
	u32 wanted;	/* how much of the file this is */
	u32 len;	/* 0: it was not read */
	u8 bytes[WINDOW];
};

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
		img->window = xcalloc(1, sizeof(*img->window));
		img->window->wanted = (u32)MIN(img->size, (u64)WINDOW);
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
	stream_free(img->stream);
	if (img->file)
		boot_image_close(img->file);
	free(img->file);
	free(img->path_owned);
	free(img->window);
	*img = (struct boot_image){ .fd = -1 };
}

void boot_image_rest(struct boot_image *img)
{
	if (img->window)
		img->window->len = 0;
	if (!img->stream)
		return;
	stream_rest(img->stream);
	/* A part of the contents (boot/zboot.c) has its size from elsewhere. */
	if (!img->start)
		img->size = STREAM_LONG;
	boot_image_rest(img->file);
}

void boot_image_from_buffer(struct boot_image *img, const char *path, u8 *buf, u64 len)
{
	*img = (struct boot_image){ .path = path, .fd = -1, .blob = buf, .size = len };
}

static int read_file(const struct boot_image *img, u64 at, void *buf, u64 len)
{
	int ret = 0;

	for (u64 done = 0, n; done < len && !ret; done += n) {
		n = MIN(len - done, READ_CHUNK);
		ret = pread_full(img->fd, (u8 *)buf + done, n, (off_t)(at + done));
		log_progress("reading", img->path, at + done + n, img->size);
	}
	/* An end that comes early is for the reader to tell. */
	if (ret && ret != -ENODATA)
		img->window->host_error = ret;
	return ret;
}

static int look(const struct boot_image *img, u64 at, void *buf, u64 len)
{
	struct boot_window *w = img->window;
	int ret;

	if (!range_within(at, len, 0, w->wanted))
		return read_file(img, at, buf, len);
	ret = w->len ? 0 : read_file(img, 0, w->bytes, w->wanted);
	if (ret)
		return ret;
	w->len = w->wanted;
	memcpy(buf, w->bytes + at, len);
	return 0;
}

/* @read: how a file is read. */
static int read_range(const struct boot_image *img, u64 offset, void *buf, u64 len,
		      int (*read)(const struct boot_image *img, u64 at, void *buf, u64 len))
{
	if (!range_within(offset, len, 0, img->size))
		return -ENODATA;
	if (!len)
		return 0;
	if (img->stream)
		return stream_read(img->stream, img->start + offset, buf, len);
	if (img->fd >= 0)
		return read(img, img->start + offset, buf, len);
	memcpy(buf, img->blob + img->start + offset, len);
	return 0;
}

int boot_image_read(const struct boot_image *img, u64 offset, void *buf, u64 len)
{
	return read_range(img, offset, buf, len, look);
}

void boot_image_aim(const struct boot_image *img, u64 offset, u64 len, struct guest_memory *mem,
		    u64 gpa)
{
	void *to = mem && memory_is_ram(mem, gpa, len) ? memory_ptr(mem, gpa, len) : NULL;

	if (!img->stream || img->start || (mem && !to))
		return;
	if (mem)
		memory_expect(mem, gpa, len);
	stream_aim(img->stream, offset, len, to, gpa);
}

int boot_image_measure(const struct boot_image *img, u64 *size)
{
	*size = img->size;
	/* A part of the contents says its size itself. */
	return img->stream && img->size == STREAM_LONG ? stream_measure(img->stream, size) : 0;
}

int boot_image_broken(const struct boot_image *img)
{
	if (img->stream)
		return stream_error(img->stream);
	return img->window ? img->window->host_error : 0;
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
		int ret = hva ? read_range(img, offset, hva, run, read_file) : -EFAULT;

		if (ret)
			return ret;
		offset += run;
		gpa += run;
		len -= run;
	}
	return 0;
}

/* Why packed contents cannot be read. */
static int stream_failed(const struct boot_image *img, const char *what)
{
	const struct codec *c = stream_codec(img->stream);
	int error = stream_error(img->stream);
	char size[32];

	if (error == -EFBIG)
		err("--%s %s: unpacked by %s it is larger than the guest's memory (%s); increase "
		    "--mem",
		    what, img->path, c->name,
		    format_size(stream_max(img->stream), size, sizeof(size)));
	else if (error == -EBADMSG)
		err("--%s %s: its %s data is damaged", what, img->path, c->name);
	else if (error == -ENODATA && stream_starved(img->stream) && !img->file->stream)
		err("--%s %s: " BOOT_IMAGE_SHORTER, what, img->path);
	else if (error == -ENODATA)
		err("--%s %s: its %s data ends too early (truncated file?)", what, img->path,
		    c->name);
	else if (error == -ENOTSUP)
		err("--%s %s: its %s data needs a window of more than 128M; unpack it with %s "
		    "--long=31 first",
		    what, img->path, c->name, c->tool);
	else
		err("--%s %s: cannot decompress: %s", what, img->path, strerror(-error));
	return error;
}

int boot_image_error(const struct boot_image *img, const char *what, int error, const char *fmt,
		     ...)
{
	char text[512];
	va_list ap;

	/* What cannot be read has no shape either. */
	if (img->stream && stream_error(img->stream))
		return stream_failed(img, what);
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (img->window && img->window->host_error) {
		error = img->window->host_error;
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
