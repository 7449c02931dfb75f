/* SPDX-License-Identifier: MIT */
/* VFIO: resets of a device that is passed through, what stops its DMA, and its ROM. */
#include "unit.h"

#include "../../vfio/iommu.h"
#include "vfio_nvme.h"

static u32 on_master;

static bool count_master(struct fake_vfio *fake, u32 region, u64 offset, const void *buf, u32 len)
{
	if (region == VFIO_PCI_CONFIG_REGION_INDEX && offset == PCI_COMMAND &&
	    get_le(buf, len) & PCI_COMMAND_MASTER)
		on_master++;
	return false;
}

static void test_function_reset(void **state)
{
	(void)state;
	nvme();
	start();
	f.on_write = check_decoded;
	set(0x80 + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR, 2);
	assert_int_equal(hw(0x80 + PCI_EXP_DEVCTL, 2), PCI_EXP_DEVCTL_BCR_FLR);
	assert_int_equal(get(PCI_COMMAND, 2), 0);
	assert_int_equal(get(PCI_BASE_ADDRESS_0, 4), PCI_BASE_ADDRESS_MEM_TYPE_64);
	assert_int_equal(get(PCI_BASE_ADDRESS_1, 4), 0);
	assert_null(at_bar(0));
	set(PCI_BASE_ADDRESS_1, MEM64 >> 32, 4);
	set(PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	assert_non_null(at_bar(0));
	stop();
}

static void test_reboot(void **state)
{
	struct device *dev;

	(void)state;
	nvme();
	start();
	set(PCI_COMMAND, PCI_COMMAND_MASTER, 2);
	set(0x44, 3, 2);
	for (dev = d.vm.devices; dev; dev = dev->next)
		if (dev->ops->reset)
			dev->ops->reset(dev);
	assert_int_equal(f.resets, 2);
	assert_int_equal(hw(PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
	assert_non_null(at_bar(0));
	vm_destroy(&d.vm);
	assert_int_equal(f.resets, 3);
	fake_vfio_destroy(&f);
}

/* What a bridge lets through is the device's to follow, since its DMA does not pass there. */
static void test_a_bridge_stops_its_dma(void **state)
{
	u8 config[64] = { 0 };
	struct pci_device bridge = { .config = config };

	(void)state;
	nvme();
	start();
	set(PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	assert_int_equal(hw(PCI_COMMAND, 2), PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	d.vm.pci->root.bridge = &bridge;
	pci_follow_bridge(&function()->pci);
	assert_int_equal(hw(PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
	assert_int_equal(get(PCI_COMMAND, 2), PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	/* Nor can the guest go around it. */
	on_master = 0;
	f.on_write = count_master;
	set(PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_SERR, 2);
	assert_int_equal(on_master, 0);
	put_le(config + PCI_COMMAND, 2, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	pci_follow_bridge(&function()->pci);
	assert_true(hw(PCI_COMMAND, 2) & PCI_COMMAND_MASTER);
	d.vm.pci->root.bridge = NULL;
	f.on_write = NULL;
	stop();
}

/* A bus with three functions, reached by iommufd (all ours, or not) or by groups 1, 2 and 1. */
static u32 hot_resets, hot_flags, hot_groups;
static s32 hot_fds[3];
static struct vfio_set *hot_set;

static int answer_hot_reset(struct fake_vfio *fake, unsigned long request, void *arg)
{
	struct vfio_pci_hot_reset_info *info = arg;
	const struct vfio_pci_hot_reset *reset = arg;

	if (request == VFIO_DEVICE_PCI_HOT_RESET) {
		assert_int_equal(reset->flags, 0);
		assert_true(reset->count <= ARRAY_SIZE(hot_fds));
		assert_int_equal(reset->argsz, sizeof(*reset) + 4 * reset->count);
		hot_groups = reset->count;
		memcpy(hot_fds, reset->group_fds, 4 * reset->count);
		hot_resets++;
		return 0;
	}
	if (request != VFIO_DEVICE_GET_PCI_HOT_RESET_INFO)
		return 1;
	if (hot_flags == ~0U)
		return -ENODEV;
	assert_true(info->argsz >= sizeof(*info) + 3 * sizeof(info->devices[0]));
	info->flags = hot_flags;
	info->count = 3;
	for (u32 i = 0; i < info->count; i++)
		info->devices[i] = (struct vfio_pci_dependent_device){ .group_id = 1 + i % 2,
								       .bus = 3,
								       .devfn = (u8)i };
	if (hot_flags == VFIO_PCI_HOT_RESET_FLAG_DEV_ID)
		info->devices[1].group_id = ~0U;
	return 0;
}

static void reset_by_bus(u32 flags)
{
	nvme();
	f.flags &= ~(u32)VFIO_DEVICE_FLAGS_RESET;
	f.before = answer_hot_reset;
	f.dev.set = hot_set;
	hot_flags = flags;
	hot_resets = 0;
	capture_begin();
	start();
	stop();
	(void)capture_end();
}

static void test_reset_of_the_bus(void **state)
{
	(void)state;
	reset_by_bus(VFIO_PCI_HOT_RESET_FLAG_DEV_ID | VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED);
	assert_int_equal(hot_resets, 2);
	assert_int_equal(hot_groups, 0);
	assert_string_equal(captured, "");
	reset_by_bus(VFIO_PCI_HOT_RESET_FLAG_DEV_ID);
	assert_int_equal(hot_resets, 0);
	assert_contains(captured, "and with it 0000:03:00.1; pass these");
	assert_one_line(captured);
	reset_by_bus(0);
	assert_int_equal(hot_resets, 0);
	assert_contains(captured, "and with it 0000:03:00.0 0000:03:00.1 0000:03:00.2; pass these");
	reset_by_bus(~0U);
	assert_contains(captured, "no reset of its own");
	assert_one_line(captured);
}

/* By groups, whose files are the proof that all is ours: each once. */
static void test_reset_of_the_bus_by_groups(void **state)
{
	struct vfio_file files[] = { { .fd = 50, .number = 9 },
				     { .fd = 51, .number = 1 },
				     { .fd = 52, .number = 2 } };
	struct vfio_set all = { .files = files, .nr_files = 3 };

	(void)state;
	hot_set = &all;
	reset_by_bus(0);
	assert_int_equal(hot_resets, 2);
	assert_int_equal(hot_groups, 2);
	assert_int_equal(hot_fds[0], 51);
	assert_int_equal(hot_fds[1], 52);
	assert_string_equal(captured, "");
	/* One of the groups is another's. */
	all.nr_files = 2;
	reset_by_bus(0);
	assert_int_equal(hot_resets, 0);
	assert_contains(captured, "and with it 0000:03:00.1; pass these");
	hot_set = NULL;
}

static void test_rom(void **state)
{
	u32 word = 0;

	(void)state;
	nvme();
	put_le(f.regions[VFIO_PCI_ROM_REGION_INDEX].bytes, 4, 0x1234aa55);
	start();
	assert_int_equal(get(PCI_ROM_ADDRESS, 4) & 0x7ff, 0);
	set(PCI_ROM_ADDRESS, 0xffffffff, 4);
	assert_int_equal(get(PCI_ROM_ADDRESS, 4), 0xfffff001);
	set(PCI_ROM_ADDRESS, MEM32 + 0x1000, 4);
	assert_false(bus_read(&d.vm.mmio, MEM32 + 0x1000, &word, 4));
	set(PCI_ROM_ADDRESS, (MEM32 + 0x1000) | PCI_ROM_ADDRESS_ENABLE, 4);
	assert_true(bus_read(&d.vm.mmio, MEM32 + 0x1000, &word, 4));
	assert_int_equal(word, 0x1234aa55);
	assert_int_equal(hw(PCI_ROM_ADDRESS, 4), 0);
	stop();

	nvme();
	f.cfg.rom = (char *)"off";
	start();
	set(PCI_ROM_ADDRESS, 0xffffffff, 4);
	assert_int_equal(get(PCI_ROM_ADDRESS, 4), 0);
	stop();

	/* A software device's that lies. */
	nvme();
	f.regions[VFIO_PCI_ROM_REGION_INDEX].size = 1;
	start();
	set(PCI_ROM_ADDRESS, 0xffffffff, 4);
	assert_int_equal(get(PCI_ROM_ADDRESS, 4), 0);
	stop();

	nvme();
	f.cfg.rom = (char *)"/dev/null";
	start_host();
	assert_int_equal(fake_vfio_open(&f), 0);
	capture_begin();
	assert_int_equal(vfio_pci_add(&d.vm, &f.dev, 0), -EINVAL);
	(void)capture_end();
	assert_contains(captured, "rom=/dev/null: is not a file");
	stop();
}

static void test_rom_of_a_file(void **state)
{
	static const u8 good[] = { 0x55, 0xaa, 0x77 };
	char path[32];
	u32 word = 0;
	int fd = memfd_create("rom", MFD_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	nvme();
	f.cfg.rom = path;
	refused(-EINVAL, "is empty");
	assert_int_equal(ftruncate(fd, 16 * MiB + 1), 0);
	nvme();
	f.cfg.rom = path;
	refused(-EFBIG, "is larger than 16 MiB");
	assert_int_equal(ftruncate(fd, sizeof(good)), 0);
	nvme();
	f.cfg.rom = path;
	capture_begin();
	start();
	assert_contains(capture_end(), "does not begin with 55 AA");
	stop();
	assert_int_equal(pwrite(fd, good, sizeof(good), 0), sizeof(good));
	nvme();
	f.cfg.rom = path;
	capture_begin();
	start();
	assert_string_equal(capture_end(), "");
	set(PCI_ROM_ADDRESS, (MEM32 + 0x1000) | PCI_ROM_ADDRESS_ENABLE, 4);
	assert_true(bus_read(&d.vm.mmio, MEM32 + 0x1000, &word, 2));
	assert_int_equal(word, 0xaa55);
	assert_true(bus_read(&d.vm.mmio, MEM32 + 0x1002, &word, 2));
	assert_int_equal(word, 0xff77);
	/* Nobody writes it. */
	word = 0;
	bus_write(&d.vm.mmio, MEM32 + 0x1000, &word, 1);
	bus_read(&d.vm.mmio, MEM32 + 0x1000, &word, 1);
	assert_int_equal(word & 0xff, 0x55);
	stop();
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_function_reset),
		cmocka_unit_test(test_a_bridge_stops_its_dma),
		cmocka_unit_test(test_reboot),
		cmocka_unit_test(test_reset_of_the_bus),
		cmocka_unit_test(test_reset_of_the_bus_by_groups),
		cmocka_unit_test(test_rom),
		cmocka_unit_test(test_rom_of_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
