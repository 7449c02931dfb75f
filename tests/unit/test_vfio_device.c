/* SPDX-License-Identifier: MIT */
/* VFIO: names of devices, and what is made of what the kernel says of regions. */
#include "unit.h"

#include "../lib/fake_vfio.h"
#include "capture.h"

static void test_names(void **state)
{
	static const struct {
		const char *text, *id;
	} good[] = {
		{ "00:02.0", "0000:00:02.0" },
		{ "0000:AF:1f.7", "0000:af:1f.7" },
		{ "10000:e1:00.0", "10000:e1:00.0" },
		{ "5:01:00.1", "0005:01:00.1" },
		{ "83B8F4F2-509f-382f-3c1e-e6bfe0fa1001", "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001" },
	};
	static const char *const bad[] = { "",
					   "eth0",
					   "00:02",
					   "00:20.0",
					   "00:02.8",
					   "0:02.0",
					   "00:02.0x",
					   ":00:02.0",
					   "g000:00:02.0",
					   "123456789:00:02.0",
					   "83b8f4f2-509f-382f-3c1e-e6bfe0fa100",
					   "83b8f4f2-509f-382f-3c1e-e6bfe0fa10011" };
	struct vfio_name name;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		assert_int_equal(vfio_name_parse(good[i].text, &name), 0);
		assert_string_equal(name.id, good[i].id);
	}
	assert_int_equal(name.bus, VFIO_BUS_MDEV);
	assert_string_equal(name.sysfs,
			    "/sys/bus/mdev/devices/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(vfio_name_parse(bad[i], &name), -EINVAL);
	assert_int_equal(vfio_name_parse("/sys/nowhere/00:02.0", &name), -ENOENT);
	assert_int_equal(vfio_name_parse("/proc/self", &name), -EINVAL);
}

#define RW (VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE)

static void test_areas_that_may_be_mapped(void **state)
{
	struct fake_vfio f;

	(void)state;
	fake_vfio_init(&f, 256);
	fake_vfio_region(&f, 0, 0x10000, RW | VFIO_REGION_INFO_FLAG_MMAP);
	/* Out of order, one in another, one beyond the end, one of half pages, an empty one. */
	f.regions[0].nr_areas = 6;
	f.regions[0].areas[0] = (struct vfio_area){ 0x4000, 0x4000 };
	f.regions[0].areas[1] = (struct vfio_area){ 0, 0x2000 };
	f.regions[0].areas[2] = (struct vfio_area){ 0x5000, 0x1000 };
	f.regions[0].areas[3] = (struct vfio_area){ 0xf000, 0x2000 };
	f.regions[0].areas[4] = (struct vfio_area){ 0xa800, 0x800 };
	f.regions[0].areas[5] = (struct vfio_area){ 0xb000, 0 };
	/* Says nothing of use: the table is trapped whether it may be mapped or not. */
	f.regions[0].msix_mappable = true;
	fake_vfio_region(&f, 2, 0x2000, RW | VFIO_REGION_INFO_FLAG_MMAP);
	fake_vfio_region(&f, 4, 0x20, RW);
	assert_int_equal(fake_vfio_open(&f), 0);
	assert_int_equal(f.dev.regions[0].nr_areas, 2);
	assert_int_equal(f.dev.regions[0].areas[0].size, 0x2000);
	assert_int_equal(f.dev.regions[0].areas[1].offset, 0x4000);
	assert_int_equal(f.dev.regions[0].areas[1].size, 0x4000);
	assert_int_equal(f.dev.regions[2].nr_areas, 1);
	assert_int_equal(f.dev.regions[2].areas[0].size, 0x2000);
	assert_int_equal(f.dev.regions[4].nr_areas, 0);
	assert_int_equal(f.dev.regions[VFIO_PCI_VGA_REGION_INDEX].size, 0);
	fake_vfio_destroy(&f);
}

/* Chains that point back, out, or between words end; what came before them counts. */
static int lie(struct fake_vfio *f, unsigned long request, void *arg)
{
	static const u32 nexts[] = { sizeof(struct vfio_region_info), 8, 41, 0xfffffff8 };
	struct vfio_region_info *info = arg;
	struct vfio_info_cap_header *cap;
	int ret;

	if (request != VFIO_DEVICE_GET_REGION_INFO || info->index != 0)
		return 1;
	ret = fake_region_info(f, info);
	if (!ret && info->cap_offset) {
		cap = (void *)((u8 *)info + info->cap_offset);
		cap->next = nexts[*(u32 *)f->opaque];
	}
	return ret;
}

static void test_lying_chains_end(void **state)
{
	struct fake_vfio f;

	(void)state;
	for (u32 i = 0; i < 4; i++) {
		fake_vfio_init(&f, 256);
		fake_vfio_region(&f, 0, 0x10000, RW | VFIO_REGION_INFO_FLAG_MMAP);
		f.regions[0].nr_areas = 1;
		f.regions[0].areas[0] = (struct vfio_area){ 0, 0x2000 };
		f.before = lie;
		f.opaque = &i;
		assert_int_equal(fake_vfio_open(&f), 0);
		assert_int_equal(f.dev.regions[0].nr_areas, 1);
		assert_int_equal(f.dev.regions[0].areas[0].size, 0x2000);
		fake_vfio_destroy(&f);
	}
}

static void test_bounds(void **state)
{
	struct fake_vfio f;
	u8 buf[16];

	(void)state;
	fake_vfio_init(&f, 256);
	assert_int_equal(fake_vfio_open(&f), 0);
	f.reads = f.writes = 0;
	assert_int_equal(vfio_device_read(&f.dev, VFIO_PCI_CONFIG_REGION_INDEX, 240, buf, 16), 0);
	assert_int_equal(vfio_device_read(&f.dev, VFIO_PCI_CONFIG_REGION_INDEX, 241, buf, 16),
			 -EINVAL);
	assert_int_equal(vfio_device_read(&f.dev, VFIO_PCI_CONFIG_REGION_INDEX, ~0ULL, buf, 16),
			 -EINVAL);
	assert_int_equal(vfio_device_write(&f.dev, 0, 0, buf, 1), -EINVAL);
	assert_int_equal(vfio_device_write(&f.dev, 77, 0, buf, 1), -EINVAL);
	assert_int_equal(f.reads, 1);
	assert_int_equal(f.writes, 0);
	fake_vfio_destroy(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_areas_that_may_be_mapped),
		cmocka_unit_test(test_lying_chains_end),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
