/* SPDX-License-Identifier: MIT */
/*
 * qcow2 images and what is done with them. The input: flags, how many operations, the operations,
 * then the image. It lies in memory, and no name in it is looked at: what it stands on is a raw
 * disk of the flags' choice.
 */
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../disk/qcow2.h"
#include "../../disk/raw.h"
#include "fuzz.h"
#include "lkvm/config.h"
#include "lkvm/util.h"

enum { READONLY = 1, BACKING = 2 };
#define MAX_OPS 48
#define BUFFER	(256 * KiB)

struct run {
	struct disk *disk;
	void *room;
	u8 *buf;
};

/* The same two files for each run. */
static int file_of(int *fd, const u8 *bytes, size_t len)
{
	if (!*fd)
		*fd = memfd_create("fuzz", MFD_CLOEXEC);
	fz_check(*fd > 0 && !ftruncate(*fd, 0));
	fz_check(!pwrite_full(*fd, bytes, len, 0));
	return dup(*fd);
}

static int serve(struct run *r, enum disk_op op, u32 flags, u64 offset, u64 len, u8 *p)
{
	struct iovec iov[2] = { { p, (size_t)len / 3 }, { p + len / 3, (size_t)(len - len / 3) } };
	struct disk_request req = {
		.op = op, .flags = flags, .offset = offset, .len = len, .iov = iov, .iovcnt = 2
	};
	int ret = q2_serve_now(r->disk, &req);

	return op != DISK_READ || ret ? q2_serve(r->disk, r->room, &req) : ret;
}

static bool has_entry(const struct q2_root *root, u64 offset)
{
	for (u32 i = 0; i < root->used; i++)
		if ((q2_root_get(root, i) & Q2_OFFSET) == offset)
			return true;
	return false;
}

/*
 * Clusters of a bad image may lie in the same place, and one in a table's: of one alone, and a
 * place that no table has, it is known what it holds.
 */
static bool is_sure(const struct run *r, u64 offset, u64 len)
{
	struct q2_image *img = to_qcow2(r->disk)->layers[0].image;
	struct q2_extent ext;
	u64 host;

	if (offset / img->cluster != (offset + len - 1) / img->cluster ||
	    q2_lookup(img, offset, len, &ext, NULL))
		return false;
	host = ext.host & ~(img->cluster - 1ULL);
	return ext.kind != Q2_DATA || (!has_entry(&img->l1, host) && !has_entry(&img->rt, host));
}

/* What was written is read, if the image is good for both. */
static void write_and_read(struct run *r, u32 flags, u64 offset, u64 len)
{
	u8 *back = r->buf + BUFFER;

	for (u64 i = 0; i < len; i++)
		r->buf[i] = (u8)(i * 7 + offset);
	if (serve(r, DISK_WRITE, flags, offset, len, r->buf))
		return;
	if (!serve(r, DISK_READ, 0, offset, len, back) && is_sure(r, offset, len))
		fz_check(!memcmp(back, r->buf, len));
}

static void zero_and_read(struct run *r, u32 flags, u64 offset, u64 len)
{
	memset(r->buf, 1, len);
	if (serve(r, DISK_WRITE_ZEROES, flags, offset, len, r->buf) ||
	    serve(r, DISK_READ, 0, offset, len, r->buf) || !is_sure(r, offset, len))
		return;
	for (u64 i = 0; i < len; i++)
		fz_check(!r->buf[i]);
}

static void one_op(struct run *r, struct fz *f)
{
	u8 what = fz_u8(f);
	u64 sectors = r->disk->size / 512, at = fz_u16(f) % sectors;
	u64 nr = MIN((u64)(1 + fz_u8(f) % (what & 0x80 ? 256 : 9)), sectors - at);
	u32 flags = what >> 3 & 3;

	/* The far end of a large disk, too. */
	if (what & 0x40)
		at = sectors - nr - MIN(at, sectors - nr);
	if (r->disk->readonly)
		what = 0;
	switch (what & 7) {
	default:
		serve(r, DISK_READ, 0, at * 512, nr * 512, r->buf);
		break;
	case 3:
	case 4:
		write_and_read(r, flags & DISK_FUA, at * 512, nr * 512);
		break;
	case 5:
		zero_and_read(r, flags, at * 512, nr * 512);
		break;
	case 6:
		serve(r, DISK_DISCARD, 0, at * 512, nr * 512, r->buf);
		break;
	case 7:
		serve(r, DISK_FLUSH, 0, 0, 0, r->buf);
		break;
	}
}

static struct disk *open_image(struct fz *f, u8 flags, const u8 *image, size_t len)
{
	static int image_fd, below_fd;
	struct disk_config cfg = { .path = (char *)"fuzz", .readonly = flags & READONLY };
	struct disk_file file = { .path = "fuzz", .shown = "fuzz", .readonly = cfg.readonly };
	static struct q2_header h;
	struct q2_layer layers[2] = { { 0 } };
	struct disk *raw, *disk;
	unsigned int nr = 1;

	file.fd = file_of(&image_fd, image, len);
	file.size = len;
	fz_check(file.fd > 0 && !fstat(file.fd, &file.st));
	if (q2_header_read(file.fd, &file, &h) || raw_file_create(&cfg, file.fd, &file.st, &raw)) {
		close(file.fd);
		return NULL;
	}
	if (q2_image_open(&file, &h, file.fd, false, raw, &layers[0].image)) {
		disk_close(raw);
		return NULL;
	}
	layers[0].size = h.size;
	if (flags & BACKING) {
		file.fd = file_of(&below_fd, image, len & ~511UL);
		fz_check(file.fd > 0 && !fstat(file.fd, &file.st));
		cfg.readonly = true;
		fz_check(!raw_disk_create(&cfg, file.fd, &file.st, &layers[1].file));
		layers[1].size = layers[1].file->size;
		nr = 2;
	}
	fz_check(!qcow2_disk_create("fuzz", flags & READONLY, layers, nr, &disk));
	return disk;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static u8 *buf;
	struct fz f = fz_begin(data, size), ops;
	u8 flags = fz_u8(&f);
	size_t len, nr = fz_u8(&f) % MAX_OPS;
	struct run r = { 0 };
	const u8 *image;

	if (!buf)
		buf = malloc(2 * BUFFER);
	r.buf = buf;
	ops = f;
	fz_bytes(&f, nr * 4, &len);
	ops.end = ops.p + len;
	image = fz_bytes(&f, MiB, &len);
	if (len < 1024)
		return 0;
	r.disk = open_image(&f, flags, image, len);
	if (!r.disk)
		return 0;
	fz_check(!q2_room_create(r.disk, &r.room));
	while (fz_more(&ops))
		one_op(&r, &ops);
	q2_room_destroy(r.room);
	disk_close(r.disk);
	return 0;
}
