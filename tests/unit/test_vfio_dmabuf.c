/* SPDX-License-Identifier: MIT */
/* VFIO: parts of BARs as dma-bufs. */
#include "unit.h"

#include <fcntl.h>

#include "../lib/fake_vfio.h"
#include "lkvm/vfio-dmabuf.h"

#define RW (VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE)

/* What was asked last, and the answer. */
struct asked {
	u32 nr, flags, open_flags, region, nr_ranges;
	u64 offset, length;
	int answer;
};

static int answer(struct fake_vfio *f, unsigned long request, void *arg)
{
	struct asked *asked = f->opaque;
	const struct vfio_device_feature *feature = arg;
	const struct vfio_abi_dma_buf *buf = (const void *)feature->data;

	if (request != VFIO_DEVICE_FEATURE)
		return 1;
	asked->nr++;
	assert_int_equal(feature->argsz, sizeof(*feature) + sizeof(*buf) + sizeof(buf->ranges[0]));
	asked->flags = feature->flags;
	asked->open_flags = buf->open_flags;
	asked->region = buf->region_index;
	asked->nr_ranges = buf->nr_ranges;
	asked->offset = buf->ranges[0].offset;
	asked->length = buf->ranges[0].length;
	assert_int_equal(buf->flags, 0);
	return asked->answer;
}

static void test_export(void **state)
{
	struct asked asked = { .answer = 77 };
	u64 page = (u64)sysconf(_SC_PAGESIZE);
	struct fake_vfio f;

	(void)state;
	fake_vfio_init(&f, (u32)page);
	fake_vfio_region(&f, 2, 16 * page, RW | VFIO_REGION_INFO_FLAG_MMAP);
	assert_int_equal(fake_vfio_open(&f), 0);
	f.before = answer;
	f.opaque = &asked;
	assert_int_equal(vfio_dmabuf_export(&f.dev, 2, 4 * page, 2 * page), 77);
	assert_int_equal(asked.flags, VFIO_DEVICE_FEATURE_GET | 11);
	assert_int_equal(asked.open_flags, O_RDWR | O_CLOEXEC);
	assert_int_equal(asked.region, 2);
	assert_int_equal(asked.nr_ranges, 1);
	assert_int_equal(asked.offset, 4 * page);
	assert_int_equal(asked.length, 2 * page);
	/* What the kernel says of it comes back as it is. */
	asked.answer = -EOPNOTSUPP;
	assert_int_equal(vfio_dmabuf_export(&f.dev, 2, 0, 16 * page), -EOPNOTSUPP);
	assert_int_equal(asked.nr, 2);
	/* These are not asked at all. */
	assert_int_equal(vfio_dmabuf_export(&f.dev, 2, page, 16 * page), -EINVAL);
	assert_int_equal(vfio_dmabuf_export(&f.dev, 2, 0, 0), -EINVAL);
	assert_int_equal(vfio_dmabuf_export(&f.dev, 2, page / 2, page), -EINVAL);
	assert_int_equal(vfio_dmabuf_export(&f.dev, 2, 0, page / 2), -EINVAL);
	assert_int_equal(vfio_dmabuf_export(&f.dev, 2, ~0ULL & ~(page - 1), 2 * page), -EINVAL);
	assert_int_equal(vfio_dmabuf_export(&f.dev, 0, 0, page), -EINVAL);
	assert_int_equal(vfio_dmabuf_export(&f.dev, VFIO_PCI_CONFIG_REGION_INDEX, 0, page),
			 -EINVAL);
	assert_int_equal(vfio_dmabuf_export(&f.dev, ~0U, 0, page), -EINVAL);
	assert_int_equal(asked.nr, 2);
	f.before = NULL;
	fake_vfio_destroy(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_export),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
