/* SPDX-License-Identifier: MIT */
/*
 * The header of a qcow2 image (QEMU's docs/interop/qcow2.txt). Nothing in it is believed: each
 * number has bounds, tables lie in the file and apart, and a feature that is not known is refused
 * by its name.
 */
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/util.h"
#include "qcow2.h"

#define V2_LENGTH 72
#define V3_LENGTH 104
/* What QEMU allows as well. */
#define MAX_L1_BYTES (32 * MiB)
#define MAX_RT_BYTES (8 * MiB)

/* Header extensions. */
#define EXT_END		   0
#define EXT_BACKING_FORMAT 0xe2792acaU
#define EXT_FEATURES	   0x6803f857U
#define FEATURE_LEN	   48

static u64 get_be(const u8 *p, unsigned int size)
{
	u64 v = 0;

	while (size--)
		v = v << 8 | *p++;
	return v;
}

static int refuse(const struct disk_file *f, const char *why)
{
	err("--disk %s: is not a proper qcow2 image: it %s; look at it with: qemu-img check (a raw "
	    "disk: add ',format=raw')",
	    f->shown, why);
	return -EINVAL;
}

static void parse(const u8 *p, struct q2_header *h)
{
	h->version = (u32)get_be(p + 4, 4);
	h->cluster_bits = (u32)get_be(p + 20, 4);
	h->size = get_be(p + 24, 8);
	h->l1_size = (u32)get_be(p + 36, 4);
	h->l1_offset = get_be(p + 40, 8);
	h->rt_offset = get_be(p + 48, 8);
	h->rt_clusters = (u32)get_be(p + 56, 4);
	h->nr_snapshots = (u32)get_be(p + 60, 4);
	h->snapshots_offset = get_be(p + 64, 8);
	h->refcount_order = 4;
	h->length = V2_LENGTH;
	if (h->version < 3)
		return;
	h->incompatible = get_be(p + 72, 8);
	h->autoclear = get_be(p + 88, 8);
	h->refcount_order = (u32)get_be(p + 96, 4);
	h->length = (u32)get_be(p + 100, 4);
	h->compression = h->length > V3_LENGTH ? p[V3_LENGTH] : 0;
}

static int check_version(const struct disk_file *f, const u8 *p, const struct q2_header *h)
{
	if (h->version != 2 && h->version != 3) {
		err("--disk %s: is a qcow image of version %u; there are 2 and 3 here: convert it "
		    "with: qemu-img convert -O qcow2 FILE NEW",
		    f->shown, h->version);
		return -EINVAL;
	}
	if (get_be(p + 32, 4)) {
		err("--disk %s: is encrypted by qcow2, which is not supported; decrypt it with: "
		    "qemu-img convert",
		    f->shown);
		return -EINVAL;
	}
	return 0;
}

/* The name of a feature from the image's own table, or NULL. */
static const u8 *feature_name(const u8 *table, u64 len, unsigned int bit)
{
	for (; len >= FEATURE_LEN; table += FEATURE_LEN, len -= FEATURE_LEN)
		if (!table[0] && table[1] == bit)
			return table + 2;
	return NULL;
}

static int check_features(const struct disk_file *f, const struct q2_header *h, const u8 *table,
			  u64 len)
{
	u64 bad = h->incompatible & ~(Q2_DIRTY | Q2_CORRUPT | Q2_COMPRESSION);
	unsigned int bit = bad ? (unsigned int)__builtin_ctzll(bad) : 0;
	const u8 *name = feature_name(table, len, bit);
	static const char *const known[] = {
		[2] = "external data file", [4] = "extended L2 entries"
	};

	if (!bad)
		return 0;
	if (bit < ARRAY_SIZE(known) && known[bit])
		name = (const u8 *)known[bit];
	if (name)
		err("--disk %s: needs the qcow2 feature '%.46s', which is not supported; convert "
		    "it with: qemu-img convert -O qcow2 FILE NEW",
		    f->shown, name);
	else
		err("--disk %s: needs the unknown qcow2 feature %u; convert it with the program "
		    "that made it",
		    f->shown, bit);
	return -EINVAL;
}

/* What an image that something happened to may be used for. */
static int check_state(const struct disk_file *f, const struct q2_header *h)
{
	if (f->readonly)
		return 0;
	if (h->incompatible & Q2_CORRUPT) {
		err("--disk %s: is marked as corrupt; repair it with: qemu-img check -r all FILE "
		    "(or add ',ro' to read what is there)",
		    f->shown);
		return -EINVAL;
	}
	if (h->incompatible & Q2_DIRTY) {
		err("--disk %s: was not closed, and its reference counts are out of date; repair "
		    "it with: qemu-img check -r all FILE (or add ',ro')",
		    f->shown);
		return -EINVAL;
	}
	return 0;
}

static int check_numbers(const struct disk_file *f, const struct q2_header *h)
{
	u64 cluster = 1ULL << (h->cluster_bits & 63);

	if (h->cluster_bits < 9 || h->cluster_bits > 21)
		return refuse(f, "has clusters that are not of 512 bytes to 2 MiB");
	if (h->version == 3 && (h->length < V3_LENGTH || h->length % 8 || h->length > cluster))
		return refuse(f, "has a header of an impossible length");
	if (h->refcount_order > 6)
		return refuse(f, "has reference counts of more than 64 bits");
	if (f->direct && cluster < 4096) {
		err("--disk %s: has clusters of less than 4 KiB, which O_DIRECT cannot serve; omit "
		    "'direct'",
		    f->shown);
		return -EINVAL;
	}
	if (!(h->incompatible & Q2_COMPRESSION) != !h->compression)
		return refuse(f, "contradicts itself on its compression");
	if (h->compression > Q2_ZSTD) {
		err("--disk %s: is compressed in an unknown way (%u); convert it with: qemu-img "
		    "convert -O qcow2 FILE NEW",
		    f->shown, h->compression);
		return -EINVAL;
	}
	return 0;
}

static bool table_fits(const struct disk_file *f, u64 offset, u64 len, u64 cluster)
{
	return offset && !(offset % cluster) && range_within(offset, len, 0, f->size);
}

static int check_tables(const struct disk_file *f, const struct q2_header *h)
{
	u64 cluster = 1ULL << h->cluster_bits, per_l2 = cluster / 8;
	u64 rt = (u64)h->rt_clusters << h->cluster_bits, l1 = (u64)h->l1_size * 8;
	u64 clusters;

	if (h->size < 512 || h->size > INT64_MAX - cluster)
		return refuse(f, h->size < 512 ? "is empty" : "claims an impossible size");
	clusters = (h->size + cluster - 1) / cluster;
	if (l1 > MAX_L1_BYTES || (clusters + per_l2 - 1) / per_l2 > h->l1_size)
		return refuse(f, "has an L1 table that does not match its size");
	if (!table_fits(f, h->l1_offset, l1, cluster))
		return refuse(f, "has an L1 table that is not in the file");
	if (!rt || rt > MAX_RT_BYTES)
		return refuse(f, "has a refcount table of an impossible size");
	/* Its last bytes may be a hole that nobody has written. */
	if (!table_fits(f, h->rt_offset, 8, cluster))
		return refuse(f, "has a refcount table that is not in the file");
	if (h->rt_offset > Q2_OFFSET || ranges_overlap(h->l1_offset, l1, h->rt_offset, rt))
		return refuse(f, "has tables that lie over each other");
	if (h->nr_snapshots && !table_fits(f, h->snapshots_offset, 1, cluster))
		return refuse(f, "has a table of snapshots that is not in the file");
	return 0;
}

struct extensions {
	const u8 *features;
	u64 features_len;
};

/* Between the header and the backing file's name, or the end of the first cluster. */
static int read_extensions(const struct disk_file *f, const u8 *p, u64 end, struct q2_header *h,
			   struct extensions *ext)
{
	u64 at = h->length;

	while (at + 8 <= end) {
		u32 type = (u32)get_be(p + at, 4);
		u64 len = get_be(p + at + 4, 4);

		at += 8;
		if (type == EXT_END)
			break;
		if (len > end - at)
			return refuse(f, "has a header extension that is too long");
		if (type == EXT_FEATURES) {
			ext->features = p + at;
			ext->features_len = len;
		} else if (type == EXT_BACKING_FORMAT) {
			if (len >= sizeof(h->backing_format))
				return refuse(f, "names a format that is too long");
			memcpy(h->backing_format, p + at, len);
		}
		at = ALIGN_UP(at + len, 8ULL);
	}
	return 0;
}

static int read_backing(const struct disk_file *f, const u8 *p, u64 have, struct q2_header *h)
{
	u64 offset = get_be(p + 8, 8), len = get_be(p + 16, 4);

	if (!offset)
		return 0;
	if (!len || len >= sizeof(h->backing) || !range_within(offset, len, h->length, have) ||
	    !range_within(offset, len, 0, have) || memchr(p + offset, 0, len))
		return refuse(f, "has no proper name of its backing file");
	memcpy(h->backing, p + offset, len);
	return 0;
}

/* A header's cluster, of up to 2 MiB; all that counts is at its beginning. */
#define HEADER_ROOM 65536

int q2_header_read(int fd, const struct disk_file *f, struct q2_header *h)
{
	u64 have = MIN((u64)HEADER_ROOM, f->size), offset;
	struct extensions ext = { 0 };
	u8 *p = malloc(HEADER_ROOM);
	int ret;

	memset(h, 0, sizeof(*h));
	if (!p)
		return -ENOMEM;
	memset(p, 0, HEADER_ROOM);
	ret = pread_full(fd, p, (size_t)have, 0);
	if (ret) {
		err("--disk %s: cannot read its header: %s", f->shown, strerror(-ret));
		goto out;
	}
	parse(p, h);
	ret = have < V3_LENGTH + 8 ? refuse(f, "is too short for a qcow2 image")
				   : check_version(f, p, h);
	if (!ret)
		ret = check_numbers(f, h);
	if (ret)
		goto out;
	have = MIN(have, 1ULL << h->cluster_bits);
	offset = get_be(p + 8, 8);
	ret = read_extensions(f, p, offset && offset < have ? offset : have, h, &ext);
	if (!ret)
		ret = check_features(f, h, ext.features, ext.features_len);
	if (!ret)
		ret = check_state(f, h);
	if (!ret)
		ret = check_tables(f, h);
	if (!ret)
		ret = read_backing(f, p, have, h);
	if (!ret)
		ret = q2_can_unpack(f->shown, h->compression);
out:
	free(p);
	return ret;
}
