/* SPDX-License-Identifier: MIT */
/* VFIO: guest memory for the DMA of devices: pieces, limits, reserved addresses, BARs. */
#include "unit.h"

#include "../lib/fake_iommu_host.h"
#include "capture.h"
#include "devvm.h"

#define NIC  "0000:01:00.0"
#define DISK "0000:02:00.0"
#define RWM  (VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE | VFIO_REGION_INFO_FLAG_MMAP)
#define HIGH (4 * GiB)
#define MS   1000000ULL

static struct devvm d;
static struct fake_iommu f;
static struct vfio_set *set;
static struct vfio_config vfios[2] = {
	{ .device = (char *)NIC },
	{ .device = (char *)DISK },
};

static void host(bool iommufd, u32 devices)
{
	fake_iommu_init(&f);
	fake_iommu_add(&f, NIC, 16, iommufd);
	fake_iommu_add(&f, DISK, 17, iommufd);
	devvm_init(&d);
	d.vm.kvm.vm_fd = FAKE_VM_FD;
	d.cfg.vfios = vfios;
	d.cfg.nr_vfios = devices;
	set = NULL;
}

static void ram(u64 gpa, u64 size)
{
	assert_int_equal(
		memory_add(&d.vm.mem,
			   &(struct memory_desc){ .gpa = gpa, .size = size, .name = "RAM" }),
		0);
}

static int start(void)
{
	int ret = vfio_open_on(&f.host, &d.cfg, &set);

	return ret ? ret : vfio_set_add(&d.vm, set);
}

static void end(void)
{
	d.vm.kvm.vm_fd = -1;
	vm_destroy(&d.vm);
	vfio_close(set);
	assert_null(strstr(f.log, "WRONG"));
	assert_true(fake_iommu_is_clean(&f));
	fake_iommu_destroy(&f);
}

static void refused(int error, const char *text)
{
	int ret;

	capture_begin();
	ret = start();
	capture_end();
	assert_int_equal(ret, error);
	assert_contains(captured, text);
	assert_one_line(captured);
	assert_int_equal(f.nr_maps, 0);
	end();
}

/* Every byte of [gpa, gpa+size) is mapped, where the guest has it. */
static void is_mapped(u64 gpa, u64 size)
{
	const u8 *hva = memory_find(&d.vm.mem, gpa)->hva;

	for (u64 at = gpa; at < gpa + size;) {
		const struct fake_map *map = NULL;

		for (u32 i = 0; i < f.nr_maps; i++)
			if (f.maps[i].iova == at)
				map = &f.maps[i];
		assert_non_null(map);
		assert_int_equal(map->va, (uintptr_t)hva + (at - gpa));
		assert_true(map->writable && map->iova + map->size <= gpa + size);
		at += map->size;
	}
}

static u64 largest_map(void)
{
	u64 size = 0;

	for (u32 i = 0; i < f.nr_maps; i++)
		size = MAX(size, f.maps[i].size);
	return size;
}

static void test_pieces(void **state)
{
	(void)state;
	host(true, 1);
	/* Within what is wanted: the first size stays. */
	f.ns_per_mib = 60 * MS / 512;
	ram(0, 3 * GiB);
	ram(HIGH + 256 * MiB, 2 * GiB);
	assert_int_equal(start(), 0);
	is_mapped(0, 3 * GiB);
	is_mapped(HIGH + 256 * MiB, 2 * GiB);
	assert_int_equal(largest_map(), 512 * MiB);
	/* They begin at multiples of their size: six, half of one, three, and half of one. */
	assert_int_equal(f.nr_maps, 11);
	end();
}

static void test_slow_pieces(void **state)
{
	(void)state;
	host(true, 1);
	/* The first takes two seconds; those after it a tenth of one at most. */
	f.ns_per_mib = 4 * MS;
	ram(0, 2 * GiB);
	assert_int_equal(start(), 0);
	is_mapped(0, 2 * GiB);
	for (u32 i = 0; i < f.nr_maps; i++)
		assert_true(f.maps[i].iova < 512 * MiB || f.maps[i].size <= 16 * MiB);
	assert_true(f.nr_maps > 90);
	end();
	/* However slow: no less than a huge page. */
	host(true, 1);
	f.ns_per_mib = 4000 * MS;
	ram(0, GiB);
	assert_int_equal(start(), 0);
	is_mapped(0, GiB);
	assert_int_equal(f.nr_maps, 1 + 256);
	end();
}

static void test_fast_pieces(void **state)
{
	(void)state;
	host(true, 1);
	ram(0, 64 * GiB);
	assert_int_equal(start(), 0);
	is_mapped(0, 64 * GiB);
	assert_int_equal(largest_map(), 32 * GiB);
	end();
}

/* A container takes so many maps: pieces grow, however long they take. */
static void test_few_maps(void **state)
{
	(void)state;
	host(false, 1);
	f.max_maps = 200;
	f.ns_per_mib = 400 * MS;
	ram(0, 3 * GiB);
	ram(HIGH, 5 * GiB);
	assert_int_equal(start(), 0);
	is_mapped(0, 3 * GiB);
	is_mapped(HIGH, 5 * GiB);
	/* BARs have room. */
	assert_true(f.nr_maps <= 200 - 64);
	end();
	host(false, 1);
	f.max_maps = 1;
	ram(0, GiB);
	ram(HIGH, GiB);
	refused(-ENOSPC, "--vfio " NIC ": the IOMMU driver takes no more maps; raise the module "
			 "parameter vfio_iommu_type1.dma_entry_limit");
}

static void test_a_map_that_fails(void **state)
{
	(void)state;
	host(true, 1);
	f.ns_per_mib = 60 * MS / 512;
	ram(0, 2 * GiB);
	/* open, open, CREATE_DEVICE, FILE_ADD, IOAS_ALLOC, BIND, ATTACH, GET_INFO, IOVA_RANGES,
	 * and the third piece */
	f.fail_at = 12;
	f.fail_with = -ENOMEM;
	capture_begin();
	assert_int_equal(start(), -ENOMEM);
	capture_end();
	assert_string_equal(f.failed, "MAP");
	assert_contains(captured, "--vfio " NIC ": cannot map 2G of guest memory at 0x0 for DMA: "
				  "Cannot allocate memory");
	assert_contains(captured, "LimitMEMLOCK=");
	assert_one_line(captured);
	assert_int_equal(f.nr_maps, 0);
	end();
}

static void test_a_file_that_devices_may_not_write(void **state)
{
	u8 *file = aligned_alloc(64 * KiB, 64 * KiB);

	(void)state;
	host(false, 1);
	ram(0, MiB);
	assert_int_equal(memory_add_borrowed(&d.vm.mem, HIGH, 64 * KiB, file, MEM_PMEM, "pmem"), 0);
	/* open, GROUP_GET_STATUS, open, GET_API_VERSION, CHECK_EXTENSION, CREATE_DEVICE, FILE_ADD,
	 * SET_CONTAINER, SET_IOMMU, GET_DEVICE_FD, GET_INFO, IOMMU_GET_INFO twice, MAP_DMA twice */
	f.fail_at = 15;
	f.fail_with = -EFAULT;
	refused(-EFAULT, "cannot map 64K of guest memory at 0x100000000 for DMA: Bad address; the "
			 "file system of --pmem's file does not let devices write");
	free(file);
}

/* Limits */

static void test_locked_memory(void **state)
{
	(void)state;
	host(true, 1);
	f.lock_room = 8 * MiB;
	ram(0, 3 * GiB);
	ram(HIGH, GiB);
	refused(-ENOMEM, "--vfio " NIC ": needs 4G of locked memory, the limit is 8M: raise it "
			 "(ulimit -l 4194304, LimitMEMLOCK= of systemd) or give the guest less "
			 "(--mem)");
	host(true, 1);
	f.lock_room = 4 * GiB;
	ram(0, 3 * GiB);
	ram(HIGH, GiB);
	assert_int_equal(start(), 0);
	end();
}

static void test_memory_of_the_host(void **state)
{
	(void)state;
	host(false, 1);
	fake_iommu_put(&f, "/proc/meminfo", NULL,
		       "MemTotal:       16000000 kB\nMemAvailable:    2097152 kB\n");
	ram(0, 2 * GiB);
	ram(HIGH, GiB);
	refused(-ENOMEM,
		"--vfio " NIC ": all guest memory is pinned, 3072M, and the host has 2048M "
		"left");
	host(false, 1);
	fake_iommu_put(&f, "/proc/meminfo", NULL, "MemAvailable:    2097152 kB\n");
	ram(0, 2 * GiB);
	assert_int_equal(start(), 0);
	end();
	/* A host that says nothing one can read. */
	host(false, 1);
	fake_iommu_put(&f, "/proc/meminfo", NULL, "MemAvailable: much\nMemAvailableX: 1 kB\n");
	ram(0, 2 * GiB);
	assert_int_equal(start(), 0);
	end();
}

/* Reserved addresses */

static void ranges(u64 end_of_first, u64 start_of_second, u64 last)
{
	f.nr_ranges = 2;
	f.ranges[0][1] = end_of_first - 1;
	f.ranges[1][0] = start_of_second;
	f.ranges[1][1] = last;
}

static void test_windows(void **state)
{
	(void)state;
	for (int iommufd = 0; iommufd < 2; iommufd++) {
		host(iommufd, 1);
		/* x86's interrupts, and memory around them. */
		ranges(0xfee00000, 0xfef00000, BIT_ULL(39) - 1);
		ram(0, 3 * GiB);
		ram(HIGH, 2 * GiB);
		assert_int_equal(start(), 0);
		end();
		host(iommufd, 1);
		ranges(0x08000000, 0x08100000, BIT_ULL(48) - 1);
		ram(0, GiB);
		fake_iommu_put(&f, "/sys/kernel/iommu_groups/16/reserved_regions", NULL,
			       "0x0000000000000000 0x0000000000000fff direct\n"
			       "nonsense\n"
			       "0x0000000008000000 0x00000000080fffff msi\n");
		refused(-ERANGE, "--vfio " NIC ": guest memory at 0x0-0x3fffffff includes "
				 "0x8000000-0x80fffff, which the IOMMU reserves for interrupts; "
				 "give the guest so little that it ends below (--mem)");
		host(iommufd, 1);
		ranges(0xfee00000, 0xfef00000, BIT_ULL(33) - 1);
		ram(0, GiB);
		ram(HIGH, 5 * GiB);
		refused(-ERANGE, "--vfio " NIC ": guest memory reaches up to 0x23fffffff, the "
				 "IOMMU only to 0x1ffffffff");
	}
}

/* Ranges that touch are one; order and nonsense do not matter. */
static void test_odd_ranges(void **state)
{
	struct vfio_iommu_info info = {
		.nr_ranges = 4,
		.ranges = (struct vfio_window[]){ { 0x3000, 0x4fff },
						  { 0x9000, 0x1000 },
						  { 0, 0x2fff },
						  { 0xfffffffffffff000, ~0ULL } },
	};

	(void)state;
	assert_true(vfio_iova_is_usable(&info, 0, 0x5000));
	assert_true(vfio_iova_is_usable(&info, 0x1000, 0x3000));
	assert_false(vfio_iova_is_usable(&info, 0x1000, 0x5000));
	assert_false(vfio_iova_is_usable(&info, 0x5000, 0x1000));
	assert_true(vfio_iova_is_usable(&info, 0xfffffffffffff000, 0x1000));
	assert_false(vfio_iova_is_usable(&info, 0xffffffffffffe000, 0x2000));
	info.nr_ranges = 0;
	assert_true(vfio_iova_is_usable(&info, 0x5000, 0x1000));
}

/* Some hosts have hundreds; one that says millions is not believed. */
static void test_many_ranges(void **state)
{
	(void)state;
	for (int iommufd = 0; iommufd < 2; iommufd++) {
		/* The last of them holds guest memory. */
		host(iommufd, 1);
		f.nr_ranges = FAKE_RANGES;
		for (u32 i = 0; i < FAKE_RANGES; i++) {
			f.ranges[i][0] = (i + 1) * HIGH;
			f.ranges[i][1] = (i + 1) * HIGH + MiB - 1;
		}
		f.ranges[FAKE_RANGES - 1][0] = 0;
		f.ranges[FAKE_RANGES - 1][1] = HIGH - 1;
		ram(0, GiB);
		assert_int_equal(start(), 0);
		assert_int_equal(set->dma.info.nr_ranges, FAKE_RANGES);
		end();
		host(iommufd, 1);
		f.nr_ranges = 1000000;
		ram(0, GiB);
		refused(-E2BIG, "cannot ask the IOMMU driver what it maps: Argument list too long");
	}
}

/* What comes and goes */

static void test_regions_later(void **state)
{
	u8 *rom = aligned_alloc(64 * KiB, 64 * KiB);

	(void)state;
	for (int iommufd = 0; iommufd < 2; iommufd++) {
		host(iommufd, 1);
		ranges(0xfee00000, 0xfef00000, BIT_ULL(39) - 1);
		ram(0, 16 * MiB);
		assert_int_equal(start(), 0);
		ram(32 * MiB, 16 * MiB);
		is_mapped(32 * MiB, 16 * MiB);
		/* Read alone, and where devices cannot read, nothing. */
		assert_int_equal(
			memory_add_borrowed(&d.vm.mem, 64 * MiB, 64 * KiB, rom, MEM_ROM, "ROM"), 0);
		assert_int_equal(f.nr_maps, 3);
		assert_false(f.maps[2].writable);
		assert_int_equal(
			memory_add_borrowed(&d.vm.mem, 0xfee00000, 64 * KiB, rom, MEM_ROM, "ROM"),
			0);
		assert_int_equal(f.nr_maps, 3);
		f.log[0] = '\0';
		assert_int_equal(memory_remove(&d.vm.mem, 0xfee00000), 0);
		assert_string_equal(f.log, "");
		assert_int_equal(memory_remove(&d.vm.mem, 64 * MiB), 0);
		assert_int_equal(memory_remove(&d.vm.mem, 32 * MiB), 0);
		assert_int_equal(f.nr_maps, 1);
		/* Memory that devices cannot reach is none. */
		capture_begin();
		assert_int_equal(memory_add(&d.vm.mem, &(struct memory_desc){ .gpa = BIT_ULL(39),
									      .size = MiB,
									      .name = "RAM" }),
				 -ERANGE);
		capture_end();
		assert_one_line(captured);
		memory_reclaim(&d.vm.mem);
		end();
	}
	free(rom);
}

/* What a device may still reach does not go. */
static void test_an_unmap_that_fails(void **state)
{
	(void)state;
	host(true, 1);
	ram(0, 16 * MiB);
	ram(32 * MiB, 16 * MiB);
	assert_int_equal(start(), 0);
	f.fail_at = f.calls + 1;
	f.fail_with = -ENOENT;
	capture_begin();
	assert_int_equal(memory_remove(&d.vm.mem, 32 * MiB), -ENOENT);
	capture_end();
	assert_contains(captured, "devices may still reach what was at 0x2000000");
	assert_non_null(memory_ptr(&d.vm.mem, 32 * MiB, 1));
	end();
}

/* BARs */

#define BAR0 0x4000
#define AT   0x800000000ULL

static u8 *map_bar(u32 device)
{
	u8 *p = vfio_device_map(vfio_set_device(set, device), 0, 0x1000, 0x3000);

	assert_non_null(p);
	return p;
}

static void host_with_bars(bool iommufd, u32 devices)
{
	host(iommufd, devices);
	fake_vfio_region(&f.devices[0].vfio, 0, BAR0, RWM);
	fake_vfio_region(&f.devices[1].vfio, 0, BAR0, RWM);
	ram(0, 16 * MiB);
	assert_int_equal(start(), 0);
	assert_int_equal(f.nr_maps, 1);
	f.log[0] = '\0';
}

static void add_bar(u8 *p)
{
	assert_int_equal(memory_add_borrowed(&d.vm.mem, AT, 0x2000, p + 0x1000, MEM_DEVICE, "BAR"),
			 0);
}

static void remove_bar(void)
{
	assert_int_equal(memory_remove(&d.vm.mem, AT), 0);
	memory_reclaim(&d.vm.mem);
	assert_int_equal(f.nr_maps, 1);
}

static void test_bars(void **state)
{
	u8 *p;

	(void)state;
	host_with_bars(true, 2);
	f.dmabufs = true;
	p = map_bar(1);
	for (int i = 0; i < 2; i++) {
		add_bar(p);
		assert_int_equal(f.nr_maps, 2);
		assert_true(f.maps[1].file && f.maps[1].writable);
		assert_int_equal(f.maps[1].iova, AT);
		assert_int_equal(f.maps[1].size, 0x2000);
		/* From the map's place in the BAR on. */
		assert_int_equal(f.exported_region, 0);
		assert_int_equal(f.exported_range.offset, 0x2000);
		assert_int_equal(f.exported_range.length, 0x2000);
		/* The map has it: no descriptor stays. */
		assert_null(fake_find(&f, FAKE_DMABUF));
		remove_bar();
	}
	assert_string_equal(f.log, "DMA_BUF\nMAP_FILE\nUNMAP\nDMA_BUF\nMAP_FILE\nUNMAP\n");
	vfio_device_unmap(vfio_set_device(set, 1), p, 0x3000);
	end();
	host_with_bars(false, 2);
	p = map_bar(1);
	add_bar(p);
	assert_int_equal(f.nr_maps, 2);
	assert_int_equal(f.maps[1].va, (uintptr_t)p + 0x1000);
	remove_bar();
	vfio_device_unmap(vfio_set_device(set, 1), p, 0x3000);
	end();
}

/* Said once, and what was not mapped is not unmapped. */
static void test_bars_that_cannot_be_reached(void **state)
{
	u8 *p;

	(void)state;
	host_with_bars(true, 2);
	p = map_bar(1);
	capture_begin();
	add_bar(p);
	capture_end();
	assert_contains(captured, "--vfio " DISK ": the other devices do not reach its BAR 0: the "
				  "kernel gives no dma-buf of it (CONFIG_VFIO_PCI_DMABUF)");
	assert_one_line(captured);
	remove_bar();
	capture_begin();
	add_bar(p);
	remove_bar();
	assert_string_equal(capture_end(), "");
	assert_string_equal(f.log, "DMA_BUF\nDMA_BUF\n");
	/* An iommufd that takes none, though the device gives it. */
	f.dmabufs = true;
	f.log[0] = '\0';
	f.fail_at = f.calls + 2;
	f.fail_with = -EOPNOTSUPP;
	add_bar(p);
	assert_string_equal(f.failed, "MAP_FILE");
	assert_null(fake_find(&f, FAKE_DMABUF));
	remove_bar();
	assert_string_equal(f.log, "DMA_BUF\nMAP_FILE\n");
	vfio_device_unmap(vfio_set_device(set, 1), p, 0x3000);
	end();
}

/* Nobody else is there who would reach it. */
static void test_bars_of_one_device(void **state)
{
	u8 *p;

	(void)state;
	for (int iommufd = 0; iommufd < 2; iommufd++) {
		host_with_bars(iommufd, 1);
		p = map_bar(0);
		capture_begin();
		add_bar(p);
		remove_bar();
		assert_string_equal(capture_end(), "");
		assert_string_equal(f.log, "");
		vfio_device_unmap(vfio_set_device(set, 0), p, 0x3000);
		end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_slow_pieces),
		cmocka_unit_test(test_fast_pieces),
		cmocka_unit_test(test_few_maps),
		cmocka_unit_test(test_a_map_that_fails),
		cmocka_unit_test(test_a_file_that_devices_may_not_write),
		cmocka_unit_test(test_locked_memory),
		cmocka_unit_test(test_memory_of_the_host),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_odd_ranges),
		cmocka_unit_test(test_many_ranges),
		cmocka_unit_test(test_regions_later),
		cmocka_unit_test(test_an_unmap_that_fails),
		cmocka_unit_test(test_bars),
		cmocka_unit_test(test_bars_that_cannot_be_reached),
		cmocka_unit_test(test_bars_of_one_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
