/* SPDX-License-Identifier: MIT */
/* virtio/rng.c behind each transport (the first byte of the input: fuzz_transport.h). */
#include <sys/random.h>

#include "fuzz_virtio.h"

/* Random numbers that are none: the same input must always do the same. */
ssize_t getrandom(void *buf, size_t len, unsigned int flags)
{
	memset(buf, 0xa5, len);
	return (ssize_t)len;
}

static void own(struct fv *d, struct fz *f)
{
	struct fv_buf buf = fv_random_buf(f);

	buf.in = true;
	fv_offer(d, 0, &buf, 1);
	fv_kick(d, 0);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);
	struct virtio_device *vdev;
	static struct fv d;

	fv_begin(&d, fz_u8(&f));
	fz_check(!virtio_rng_new(&d.v.vm, &vdev));
	fv_run(&d, vdev, &f, own);
	return 0;
}
