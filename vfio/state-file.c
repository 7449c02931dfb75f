/* SPDX-License-Identifier: MIT */
/* Files with the state of a device: see state-file.h. */
#include "state-file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "lkvm/util.h"

#define BUFFER_SIZE (256 * KiB)

static const char magic[8] = "lkvmvfio";

struct head {
	char magic[8];
	__le32 version;
	__le32 head_size; /* the driver's bytes follow it */
	__le64 length;	  /* of those */
	__le32 crc;
	__le32 reserved;
	char id[STATE_FILE_ID_LEN];
};

static u32 add_crc(u32 crc, const void *bytes, size_t len)
{
	return (u32)crc32_z(crc, bytes, len);
}

/* Writing */

int state_file_create(struct state_file *f, const char *path, const char **what)
{
	struct stat st;
	char real[PATH_MAX];
	int ret = 0;

	*f = (struct state_file){ .path = path, .fd = -1 };
	*what = "cannot create the file";
	if (!stat(path, &st) && !S_ISREG(st.st_mode)) {
		*what = "must be a file, or nothing yet";
		return -ENOTSUP;
	}
	/* In the same folder as what it replaces: a rename does not leave its file system. A link
	 * stays one. */
	f->temporary = xasprintf("%s.XXXXXX", realpath(path, real) ? real : path);
	f->fd = mkostemp(f->temporary, O_CLOEXEC);
	if (f->fd < 0) {
		ret = -errno;
		free(f->temporary);
		f->temporary = NULL;
	} else if (lseek(f->fd, sizeof(struct head), SEEK_SET) < 0) {
		ret = -errno;
		state_file_close(f);
	}
	return ret;
}

int state_file_append(struct state_file *f, const void *bytes, size_t len, const char **what)
{
	int ret = write_full(f->fd, bytes, len);

	*what = "cannot write";
	f->length += len;
	f->crc = add_crc(f->crc, bytes, len);
	return ret;
}

static int write_head(struct state_file *f, const char *id)
{
	struct head h = {
		.version = cpu_to_le32(STATE_FILE_VERSION),
		.head_size = cpu_to_le32(sizeof(h)),
		.length = cpu_to_le64(f->length),
		.crc = cpu_to_le32(f->crc),
	};

	memcpy(h.magic, magic, sizeof(magic));
	memcpy(h.id, id, MIN(strlen(id), sizeof(h.id) - 1));
	return pwrite_full(f->fd, &h, sizeof(h), 0);
}

int state_file_commit(struct state_file *f, const char *id, const char **what)
{
	char real[PATH_MAX];
	int ret = write_head(f, id);

	*what = "cannot write";
	/* What a disk has no room for may be found out here. */
	if (!ret && fsync(f->fd))
		ret = -errno;
	if (close(f->fd) && !ret)
		ret = -errno;
	f->fd = -1;
	if (!ret && rename(f->temporary, realpath(f->path, real) ? real : f->path)) {
		*what = "cannot give the file its name";
		ret = -errno;
	}
	if (!ret) {
		free(f->temporary);
		f->temporary = NULL;
	}
	state_file_close(f);
	return ret;
}

void state_file_close(struct state_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	if (f->temporary)
		unlink(f->temporary);
	free(f->temporary);
	f->temporary = NULL;
}

/* Reading */

static int check_head(const struct head *h, u64 file_size, const char **what)
{
	u64 length = le64_to_cpu(h->length);

	*what = NULL;
	if (memcmp(h->magic, magic, sizeof(magic)) != 0)
		*what = "is not a device's state as lkvm saves it";
	else if (le32_to_cpu(h->version) != STATE_FILE_VERSION ||
		 le32_to_cpu(h->head_size) != sizeof(*h))
		*what = "is in the format of another version of lkvm";
	else if (file_size - sizeof(*h) != length)
		*what = "is cut, or there is more than a state in it";
	else if (!memchr(h->id, 0, sizeof(h->id)))
		*what = "is damaged";
	return *what ? -EBADMSG : 0;
}

/* All of the driver's bytes, before it is given any of them. */
static int check_bytes(struct state_file *f, const char **what)
{
	u8 *buf = malloc(BUFFER_SIZE);
	u32 crc = 0;
	ssize_t n;

	if (!buf)
		return -ENOMEM;
	while ((n = state_file_read(f, buf, BUFFER_SIZE)) > 0)
		crc = add_crc(crc, buf, (size_t)n);
	free(buf);
	*what = "cannot read";
	if (n < 0)
		return (int)n;
	if (crc != f->crc) {
		*what = "is damaged";
		return -EBADMSG;
	}
	return lseek(f->fd, sizeof(struct head), SEEK_SET) < 0 ? -errno : 0;
}

static int open_checked(struct state_file *f, char *id, const char **what)
{
	struct stat st;
	struct head h;
	int ret;

	if (fstat(f->fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode)) {
		*what = "must be a file";
		return -EBADMSG;
	}
	*what = "cannot read";
	ret = pread_full(f->fd, &h, sizeof(h), 0);
	if (ret == -ENODATA) {
		*what = "is not a device's state as lkvm saves it";
		return -EBADMSG;
	}
	if (!ret)
		ret = check_head(&h, (u64)st.st_size, what);
	if (ret)
		return ret;
	f->length = le64_to_cpu(h.length);
	f->crc = le32_to_cpu(h.crc);
	memcpy(id, h.id, sizeof(h.id));
	*what = "cannot read";
	if (lseek(f->fd, sizeof(h), SEEK_SET) < 0)
		return -errno;
	return check_bytes(f, what);
}

int state_file_open(struct state_file *f, const char *path, char *id, const char **what)
{
	int ret;

	*f = (struct state_file){ .path = path, .fd = -1 };
	*what = "cannot open";
	/* A pipe without a writer would wait for one. */
	f->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (f->fd < 0)
		return -errno;
	ret = open_checked(f, id, what);
	if (ret)
		state_file_close(f);
	return ret;
}

ssize_t state_file_read(struct state_file *f, void *bytes, size_t len)
{
	ssize_t n;

	do
		n = read(f->fd, bytes, len);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}
