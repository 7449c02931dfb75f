/* SPDX-License-Identifier: MIT */
/* The binary statistics of KVM; see include/lkvm/kvm-stats.h. They describe themselves, so nothing
 * here knows any by name. */
#include "lkvm/kvm-stats.h"

#include <kvm-compat.h>
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/kvm.h"
#include "lkvm/util.h"

/* KVM has some 60 of some words each; far more is not what we know. */
#define MAX_NAME 256
#define MAX_DESC 4096
#define MAX_DATA (256 * KiB)

int kvm_stats_open(int fd)
{
	int ret = xioctl_val(fd, KVM_GET_STATS_FD, 0);

	return ret == -ENOTTY || ret == -EINVAL ? -ENOTSUP : ret;
}

/* All of it, or -errno. */
static int read_at(int fd, void *buf, size_t len, u64 offset)
{
	ssize_t n;

	do {
		n = pread(fd, buf, len, (off_t)offset);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -EPROTO;
}

static int check_header(const struct kvm_stats_header *h)
{
	if (!h->name_size || h->name_size > MAX_NAME || h->name_size % sizeof(u64) ||
	    h->num_desc > MAX_DESC)
		return -EPROTO;
	return 0;
}

/* The bytes of values up to the end of the last one. */
static size_t data_len(const struct kvm_stats_header *h, const u8 *descs)
{
	size_t len = 0;

	for (u32 i = 0; i < h->num_desc; i++) {
		const struct kvm_stats_desc *d =
			(const void *)(descs + i * (sizeof(*d) + h->name_size));
		size_t end = (size_t)d->offset + d->size * sizeof(u64);

		len = MAX(len, end);
	}
	return len;
}

static int tell(const struct kvm_stats_header *h, u8 *descs, const u64 *data,
		void (*fn)(void *opaque, const char *name, const u64 *values, u32 nr), void *opaque)
{
	for (u32 i = 0; i < h->num_desc; i++) {
		struct kvm_stats_desc *d = (void *)(descs + i * (sizeof(*d) + h->name_size));

		if (d->offset % sizeof(u64))
			return -EPROTO;
		d->name[h->name_size - 1] = '\0';
		fn(opaque, d->name, data + d->offset / sizeof(u64), d->size);
	}
	return 0;
}

int kvm_stats_read(int fd, void (*fn)(void *opaque, const char *name, const u64 *values, u32 nr),
		   void *opaque)
{
	struct kvm_stats_header h;
	u8 *descs = NULL;
	u64 *data = NULL;
	size_t len;
	int ret = read_at(fd, &h, sizeof(h), 0);

	if (!ret)
		ret = check_header(&h);
	if (ret)
		return ret;
	len = h.num_desc * (sizeof(struct kvm_stats_desc) + h.name_size);
	descs = xcalloc(len + 1, 1);
	ret = read_at(fd, descs, len, h.desc_offset);
	len = ret ? 0 : data_len(&h, descs);
	if (len > MAX_DATA)
		ret = -EPROTO;
	if (!ret) {
		data = xcalloc(len + 1, 1);
		ret = read_at(fd, data, len, h.data_offset);
	}
	if (!ret)
		ret = tell(&h, descs, data, fn, opaque);
	free(data);
	free(descs);
	return ret;
}
