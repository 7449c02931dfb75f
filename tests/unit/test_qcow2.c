/* SPDX-License-Identifier: MIT */
/*
 * qcow2 disks of every kind: random requests, several at once, against a model in memory; then
 * qemu-img finds the image without a fault and the same contents. qemu-img makes the images.
 */
#include "../../disk/qcow2.h"
#include "qcow2_bench.h"

#define BATCH 6

enum {
	DIRECT = 1,
	LEAKS = 2, /* what the image lost before is not ours to find */
};

struct kind {
	const char *name, *make; /* makes "img" */
	unsigned int rounds;
	unsigned int flags;
};

/* What is in the files that images are made from: parts of it are zeroes. */
static void make_source(const char *name, u64 size)
{
	u8 *p = calloc(1, size);
	FILE *f;

	for (u64 at = 0; at < size; at += 4096)
		for (u64 i = 0; random() % 3 && i < 4096 && at + i < size; i++)
			p[at + i] = (u8)(random() % 7 * 36);
	f = fopen(in_folder(name), "w");
	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, size, f), size);
	fclose(f);
	free(p);
}

static const struct kind kinds[] = {
	{ "version 3", "qemu-img create -f qcow2 img 9M", 300, 0 },
	{ "O_DIRECT", "qemu-img create -f qcow2 img 9M", 200, DIRECT },
	{ "version 2", "qemu-img create -f qcow2 -o compat=0.10 img 9M", 300, 0 },
	{ "clusters of 512", "qemu-img create -f qcow2 -o cluster_size=512 img 3M", 300, 0 },
	{ "clusters of 2M", "qemu-img create -f qcow2 -o cluster_size=2M img 21M", 100, 0 },
	{ "odd size", "qemu-img create -f qcow2 -o cluster_size=4k img 3000320", 200, 0 },
	{ "counts of 1 bit", "qemu-img create -f qcow2 -o refcount_bits=1,cluster_size=512 img 1M",
	  200, 0 },
	{ "counts of 2 bits", "qemu-img create -f qcow2 -o refcount_bits=2,cluster_size=1k img 2M",
	  100, 0 },
	{ "counts of 4 bits", "qemu-img create -f qcow2 -o refcount_bits=4,cluster_size=1k img 2M",
	  100, 0 },
	{ "counts of 8 bits", "qemu-img create -f qcow2 -o refcount_bits=8 img 9M", 100, 0 },
	{ "counts of 32 bits",
	  "qemu-img create -f qcow2 -o refcount_bits=32,cluster_size=512 img 2M", 200, 0 },
	{ "counts of 64 bits",
	  "qemu-img create -f qcow2 -o refcount_bits=64,cluster_size=512 img 4M", 300, 0 },
	{ "lazy refcounts", "qemu-img create -f qcow2 -o lazy_refcounts=on img 9M", 100, 0 },
	{ "room made before", "qemu-img create -f qcow2 -o preallocation=metadata img 9M", 200, 0 },
	{ "packed by zlib", "qemu-img convert -c -O qcow2 source img", 300, 0 },
	{ "packed by zlib, small clusters",
	  "qemu-img convert -c -O qcow2 -o cluster_size=4k source img", 300, 0 },
	{ "packed by zstd", "qemu-img convert -c -O qcow2 -o compression_type=zstd source img", 300,
	  0 },
	{ "packed, version 2", "qemu-img convert -c -O qcow2 -o compat=0.10 source img", 200, 0 },
	{ "on a raw file", "qemu-img create -f qcow2 -b source -F raw img 9M", 300, 0 },
	{ "on a raw file, O_DIRECT", "qemu-img create -f qcow2 -b source -F raw img 9M", 200,
	  DIRECT },
	{ "on a shorter raw file", "qemu-img create -f qcow2 -b short -F raw img 9M", 300, 0 },
	{ "version 2 on a shorter one",
	  "qemu-img create -f qcow2 -o compat=0.10 -b short -F raw img 9M", 300, 0 },
	{ "on a packed one",
	  "qemu-img convert -c -O qcow2 source base && qemu-img create -f qcow2 -b base -F qcow2 "
	  "img",
	  300, 0 },
	{ "on a longer one", "qemu-img create -f qcow2 -b source -F raw img 2M", 200, 0 },
	{ "four deep",
	  "qemu-img create -f qcow2 -b source -F raw a && qemu-io -c 'write -P 1 1M 300k' -c "
	  "'write -z 2M 300k' a && qemu-img create -f qcow2 -o cluster_size=4k -b a -F qcow2 b 4M "
	  "&& qemu-io -c 'write -P 2 3M 99k' b && qemu-img create -f qcow2 -b b -F qcow2 img 8M",
	  300, 0 },
	{ "with snapshots",
	  "qemu-img convert -O qcow2 source img && qemu-img snapshot -c one img && qemu-io -c "
	  "'write -P 9 1M 1M' img && qemu-img snapshot -c two img",
	  300, 0 },
	{ "with snapshots of packed clusters",
	  "qemu-img convert -c -O qcow2 -o cluster_size=2k source img && qemu-img snapshot -c one "
	  "img",
	  300, 0 },
	{ "with zeroes that have room",
	  "qemu-img create -f qcow2 -o preallocation=metadata img 9M && qemu-io -c 'write -P 5 0 "
	  "9M' -c 'write -z 1M 3M' img",
	  200, 0 },
	{ "with a bitmap", "qemu-img convert -O qcow2 source img && qemu-img bitmap --add img b",
	  50, LEAKS },
};

/* A piece of the disk for request @i of a batch: apart from the others, perhaps in their cluster.
 */
static void choose_piece(u64 size, unsigned int i, u64 *offset, u64 *len)
{
	u64 sectors = size / 512, share = sectors / BATCH;

	*len = 1 + (u64)random() % (random() % 5 ? MIN(share, 64ULL) : share);
	*offset = i * share + (u64)random() % (share - *len + 1);
	*offset *= 512;
	*len *= 512;
}

static void cut(struct iovec iov[3], u8 *p, u64 len)
{
	size_t first = (size_t)random() % (len + 1);

	iov[0] = (struct iovec){ p, first };
	iov[1] = (struct iovec){ p, 0 };
	iov[2] = (struct iovec){ p + first, len - first };
}

static void check_read(const struct disk_request *req, const u8 *model, const u8 *got)
{
	for (u64 i = 0; i < req->len; i++)
		if (got[i] != model[req->offset + i])
			fail_msg("byte %llu is %x, not %x", req->offset + i, got[i],
				 model[req->offset + i]);
}

/* One batch of requests; a discard leaves what was there, or zeroes: then it is read. */
static void one_round(u8 *model, u8 *bytes, u64 size)
{
	struct disk_request reqs[BATCH];
	struct iovec iov[BATCH][3];

	for (unsigned int i = 0; i < BATCH; i++) {
		static const enum disk_op ops[] = { DISK_READ,	  DISK_READ,	    DISK_WRITE,
						    DISK_WRITE,	  DISK_WRITE,	    DISK_FLUSH,
						    DISK_DISCARD, DISK_WRITE_ZEROES };
		struct disk_request *req = &reqs[i];

		*req = (struct disk_request){ .op = ops[(u64)random() % ARRAY_SIZE(ops)],
					      .iov = iov[i],
					      .iovcnt = 3 };
		choose_piece(size, i, &req->offset, &req->len);
		cut(iov[i], bytes + req->offset, req->len);
		if (req->op == DISK_WRITE)
			memset(bytes + req->offset, (int)random(), req->len);
		if (req->op == DISK_WRITE_ZEROES && random() & 1)
			req->flags = DISK_MAY_UNMAP;
		if (req->op == DISK_WRITE && !(random() % 32))
			req->flags = DISK_FUA;
	}
	assert_int_equal(bench_serve(reqs, BATCH), 0);
	for (unsigned int i = 0; i < BATCH; i++) {
		struct disk_request *req = &reqs[i];

		if (req->op == DISK_READ)
			check_read(req, model, bytes + req->offset);
		else if (req->op == DISK_WRITE)
			memcpy(model + req->offset, bytes + req->offset, req->len);
		else if (req->op == DISK_WRITE_ZEROES)
			memset(model + req->offset, 0, req->len);
		else if (req->op == DISK_DISCARD)
			assert_int_equal(
				bench_op(DISK_READ, 0, model + req->offset, req->offset, req->len),
				0);
	}
}

static void check_image(const u8 *model, u64 size, bool leaks)
{
	FILE *f = fopen(in_folder("model"), "w");

	assert_non_null(f);
	assert_int_equal(fwrite(model, 1, size, f), size);
	fclose(f);
	must("qemu-img check -f qcow2 img || [ $? = %d ]", leaks ? 3 : 0);
	must("qemu-img compare -f raw -F qcow2 model img");
}

static void run_kind(const struct kind *k, unsigned int seed)
{
	const struct q2_image *img;
	u8 *model, *bytes;
	u64 size;

	srandom(seed);
	must("rm -f img base a b && %s", k->make);
	/* What is in it, by qemu-img. */
	must("qemu-img convert -O raw img model");
	if (bench_open("img", DISK_FORMAT_QCOW2, false, k->flags & DIRECT)) {
		assert_true(k->flags & DIRECT);
		print_message("skipped: %s\n", k->name);
		return;
	}
	size = bench_disk->size;
	model = malloc(size);
	bytes = malloc(size);
	assert_int_equal(bench_op(DISK_READ, 0, model, 0, size), 0);
	{
		int fd = open(in_folder("model"), O_RDONLY | O_CLOEXEC);

		assert_int_equal(pread_full(fd, bytes, size, 0), 0);
		close(fd);
		assert_memory_equal(bytes, model, size);
	}
	img = to_qcow2(bench_disk)->layers[0].image;
	for (unsigned int i = 0; i < k->rounds; i++) {
		one_round(model, bytes, size);
		/* Nobody is left who could see what is freed. */
		assert_int_equal(img->active[0] + img->active[1], 0);
	}
	/* Twice: what was freed last is free with the second. */
	assert_int_equal(bench_op(DISK_FLUSH, 0, NULL, 0, 0), 0);
	assert_int_equal(bench_op(DISK_FLUSH, 0, NULL, 0, 0), 0);
	assert_int_equal(img->freed.nr + img->closing.nr, 0);
	bench_close();
	check_image(model, size, k->flags & LEAKS);
	/* And again what is in the file, without what was in memory. */
	assert_int_equal(bench_open("img", DISK_FORMAT_QCOW2, true, false), 0);
	assert_int_equal(bench_op(DISK_READ, 0, bytes, 0, size), 0);
	assert_memory_equal(bytes, model, size);
	bench_close();
	free(model);
	free(bytes);
}

static void test_kinds(void **state)
{
	const char *seed = getenv("SEED"), *only = getenv("KIND");

	make_source("source", 8 * MiB + 4096);
	make_source("short", 3 * MiB + 512);
	for (unsigned int i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (only && strcmp(only, kinds[i].name))
			continue;
		print_message("%s\n", kinds[i].name);
		run_kind(&kinds[i], seed ? (unsigned int)atoi(seed) : 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kinds, make_folder, drop_folder),
	};

	if (system("qemu-img --version >/dev/null 2>&1")) {
		puts("1..0 # SKIP no qemu-img");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
