/* SPDX-License-Identifier: MIT */
/* VFIO: what a guest sees of a device that is passed through: configuration space, BARs, resets. */
#include "unit.h"

#include "../../vfio/iommu.h"
#include "../../vfio/pci.h"
#include "../lib/fake_vfio.h"
#include "capture.h"
#include "devvm.h"
#include "lkvm/pci.h"

#define RW     (VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE)
#define RWM    (RW | VFIO_REGION_INFO_FLAG_MMAP)
#define BDF    0x0008 /* slot 1 */
#define CONFIG (f.regions[VFIO_PCI_CONFIG_REGION_INDEX].bytes)
#define BAR0   0x4000

#define MEM32 0xc0000000ULL
#define MEM64 0x800000000ULL

static const struct arch_pci_layout layout = {
	.ecam_base = 0xe0000000ULL,
	.ecam_size = 256 * MiB,
	.mem32_base = MEM32,
	.mem32_size = MiB,
	.mem64_size = 16 * MiB,
	.io_base = 0x1000,
	.io_size = 0x1000,
	.config_ports = true,
	.intx_gsi = { 16, 17, 18, 19 },
};

static struct devvm d;
static struct fake_vfio f;

static void put(u32 offset, u32 value, u32 len)
{
	put_le(CONFIG + offset, len, value);
}

static u32 hw(u32 offset, u32 len)
{
	return (u32)get_le(CONFIG + offset, len);
}

static u32 get(u32 offset, u32 len)
{
	return pci_config_read(d.vm.pci, BDF, offset, len);
}

static void set(u32 offset, u32 value, u32 len)
{
	pci_config_write(d.vm.pci, BDF, offset, value, len);
}

/* As an NVMe controller: a 64-bit BAR, PM, MSI-X, PCIe, AER, SR-IOV first. */
static void nvme(void)
{
	fake_vfio_init(&f, 4096);
	fake_vfio_region(&f, 0, BAR0, RWM);
	fake_vfio_region(&f, VFIO_PCI_ROM_REGION_INDEX, 0x1000, VFIO_REGION_INFO_FLAG_READ);
	put(PCI_VENDOR_ID, 0x00101b36, 4);
	put(PCI_STATUS, PCI_STATUS_CAP_LIST, 2);
	put(PCI_CLASS_REVISION, 0x01080202, 4);
	put(PCI_HEADER_TYPE, 0x80, 1);
	put(PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_MEM_TYPE_64, 4);
	put(PCI_SUBSYSTEM_VENDOR_ID, 0x11001af4, 4);
	put(PCI_INTERRUPT_PIN, 2, 1);
	put(PCI_CAPABILITY_LIST, 0x40, 1);
	put(0x40, PCI_CAP_ID_PM | 0x50 << 8, 2);
	put(0x50, PCI_CAP_ID_HT | 0x80 << 8, 2);
	put(0x80, PCI_CAP_ID_EXP | 0xc0 << 8, 2);
	put(0x80 + PCI_EXP_FLAGS, 2, 2);
	put(0x80 + PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_FLR, 4);
	put(0x80 + PCI_EXP_LNKCAP, 0x00411c43, 4);
	put(0x80 + PCI_EXP_LNKCAP2, 0x1e, 4);
	put(0xc0, PCI_CAP_ID_VNDR, 2);
	put(0xc2, 0x1122, 2);
	put(0x100, PCI_EXT_CAP_ID_SRIOV | 1 << 16 | 0x150U << 20, 4);
	put(0x150, PCI_EXT_CAP_ID_ERR | 2 << 16 | 0x200U << 20, 4);
	put(0x200, PCI_EXT_CAP_ID_ARI | 1 << 16 | 0x220U << 20, 4);
	put(0x220, PCI_EXT_CAP_ID_DSN | 1 << 16, 4);
	put(0x224, 0x12345678, 4);
}

static void start_host(void)
{
	devvm_init(&d);
	assert_int_equal(pci_host_add(&d.vm, &layout, MEM64), 0);
}

static void start(void)
{
	start_host();
	assert_int_equal(fake_vfio_open(&f), 0);
	assert_int_equal(vfio_pci_add(&d.vm, &f.dev, 0), 0);
}

static void stop(void)
{
	vm_destroy(&d.vm);
	fake_vfio_destroy(&f);
}

static void test_header(void **state)
{
	(void)state;
	nvme();
	start();
	assert_int_equal(get(PCI_VENDOR_ID, 4), 0x00101b36);
	assert_int_equal(get(PCI_CLASS_REVISION, 4), 0x01080202);
	assert_int_equal(get(PCI_SUBSYSTEM_VENDOR_ID, 4), 0x11001af4);
	/* The other functions are not the guest's. */
	assert_int_equal(get(PCI_HEADER_TYPE, 1), 0);
	assert_int_equal(get(PCI_BASE_ADDRESS_0, 4) & 0xf, PCI_BASE_ADDRESS_MEM_TYPE_64);
	/* The device decodes before the guest begins. */
	assert_int_equal(hw(PCI_COMMAND, 2), PCI_COMMAND_MEMORY);
	assert_int_equal(f.resets, 1);
	/* A VF: no pin, whatever the register says. */
	assert_int_equal(get(PCI_INTERRUPT_PIN, 1), 0);
	set(PCI_BASE_ADDRESS_0, 0xffffffff, 4);
	assert_int_equal(get(PCI_BASE_ADDRESS_0, 4),
			 (u32) ~(BAR0 - 1) | PCI_BASE_ADDRESS_MEM_TYPE_64);
	assert_int_equal(hw(PCI_BASE_ADDRESS_0, 4), PCI_BASE_ADDRESS_MEM_TYPE_64);
	stop();
}

static void test_capabilities_keep_their_places(void **state)
{
	(void)state;
	nvme();
	start();
	assert_int_equal(get(PCI_CAPABILITY_LIST, 1), 0x40);
	assert_int_equal(get(0x40, 2), PCI_CAP_ID_PM | 0x80 << 8);
	assert_int_equal(get(0x80, 2), PCI_CAP_ID_EXP | 0xc0 << 8);
	assert_int_equal(get(0xc0, 2), PCI_CAP_ID_VNDR);
	/* An endpoint in the root complex, which has no link. */
	assert_int_equal(get(0x80 + PCI_EXP_FLAGS, 2), 2 | PCI_EXP_TYPE_RC_END << 4);
	assert_int_equal(get(0x80 + PCI_EXP_LNKCAP, 4), 0);
	assert_int_equal(get(0x80 + PCI_EXP_LNKCAP2, 4), 0);
	/* The device's own registers, as they are now. */
	put(0xc2, 0x3344, 2);
	assert_int_equal(get(0xc0, 4), 0x3344U << 16 | PCI_CAP_ID_VNDR);
	set(0xc0, 0x55667788, 4);
	assert_int_equal(hw(0xc0, 4), 0x55660000 | PCI_CAP_ID_VNDR);
	/* Extended: SR-IOV was the first, ARI in between. */
	assert_int_equal(get(0x100, 4), 0x150U << 20);
	assert_int_equal(get(0x150, 4), PCI_EXT_CAP_ID_ERR | 2 << 16 | 0x220U << 20);
	assert_int_equal(get(0x220, 4), PCI_EXT_CAP_ID_DSN | 1 << 16);
	assert_int_equal(get(0x224, 4), 0x12345678);
	stop();
}

static void test_broken_chains_are_cut(void **state)
{

	(void)state;
	nvme();
	put(0xc0, PCI_CAP_ID_VNDR | 0x40 << 8, 2);
	put(0x220, PCI_EXT_CAP_ID_DSN | 1 << 16 | 0x150U << 20, 4);
	capture_begin();
	start();
	(void)capture_end();
	assert_contains(captured, "capabilities end at 0x40: the chain is broken");
	assert_contains(captured, "extended capabilities end at 0x150: the chain is broken");
	assert_int_equal(get(0xc0, 2), PCI_CAP_ID_VNDR);
	assert_int_equal(get(0x220, 4), PCI_EXT_CAP_ID_DSN | 1 << 16);
	stop();

	/* Out of the capabilities' space, and one that has no room to end. */
	nvme();
	put(0x40, PCI_CAP_ID_PM | 0xf8 << 8, 2);
	put(0xf8, PCI_CAP_ID_EXP | 0x10 << 8, 2);
	put(0xf8 + PCI_EXP_FLAGS, 2, 2);
	put(0x150, PCI_EXT_CAP_ID_ERR | 2 << 16 | 0x0fcU << 20, 4);
	capture_begin();
	start();
	(void)capture_end();
	assert_contains(captured, "hides capability 0x10 at 0xf8");
	assert_int_equal(get(0x40, 2), PCI_CAP_ID_PM);
	assert_int_equal(get(0x150, 4), PCI_EXT_CAP_ID_ERR | 2 << 16);
	stop();
}

static struct vfio_pci *function(void)
{
	return to_vfio_pci(d.vm.pci->root.functions[BDF]);
}

/* At the end, but for what is there; linked behind the last, and the device hears nothing. */
static void test_a_capability_is_added(void **state)
{
	u32 at;

	(void)state;
	nvme();
	put(0xffc, 0x1, 4);
	start();
	at = vfio_pci_ext_cap_room(function(), 8);
	assert_int_equal(at, 0xff4);
	vfio_pci_ext_cap_link(function(), at, 8, PCI_EXT_CAP_ID_PASID, 1);
	assert_int_equal(get(0x220, 4), PCI_EXT_CAP_ID_DSN | 1 << 16 | 0xff4U << 20);
	assert_int_equal(get(0xff4, 4), PCI_EXT_CAP_ID_PASID | 1 << 16);
	set(0xff8, 0xffffffff, 4);
	assert_int_equal(get(0xff8, 4), 0);
	assert_int_equal(hw(0xff8, 4), 0);
	/* The next one finds another place. */
	assert_int_equal(vfio_pci_ext_cap_room(function(), 8), 0xfec);
	stop();

	/* Where there is none, the first place links to it. */
	nvme();
	put(0x100, 0, 4);
	start();
	vfio_pci_ext_cap_link(function(), 0xff8, 8, PCI_EXT_CAP_ID_PASID, 1);
	assert_int_equal(get(0x100, 4), 0xff8U << 20);
	stop();
	nvme();
	put(0x100, 0, 4);
	start();
	vfio_pci_ext_cap_link(function(), 0x100, 8, PCI_EXT_CAP_ID_PASID, 1);
	assert_int_equal(get(0x100, 4), PCI_EXT_CAP_ID_PASID | 1 << 16);
	stop();

	fake_vfio_init(&f, 256);
	put(PCI_VENDOR_ID, 0x100e8086, 4);
	start();
	assert_int_equal(vfio_pci_ext_cap_room(function(), 8), 0);
	assert_int_equal(get(0x100, 4), 0xffffffff);
	stop();
}

/* A conventional device with ports, and virtio's window (VIRTIO_PCI_CAP_PCI_CFG), which is the
 * device's: what is written there goes to it in one piece. */
static void test_ports_and_windows(void **state)
{
	u32 word = 0x11223344;

	(void)state;
	fake_vfio_init(&f, 256);
	fake_vfio_region(&f, 1, 0x40, RW);
	put(PCI_VENDOR_ID, 0x10411af4, 4);
	put(PCI_STATUS, PCI_STATUS_CAP_LIST, 2);
	put(PCI_BASE_ADDRESS_1, PCI_BASE_ADDRESS_SPACE_IO, 4);
	put(PCI_CAPABILITY_LIST, 0x84, 1);
	put(0x84, PCI_CAP_ID_VNDR | 20 << 16 | 5U << 24, 4);
	put(PCI_INTERRUPT_PIN, 2, 1);
	f.irqs[VFIO_PCI_INTX_IRQ_INDEX].count = 1;
	start();
	assert_int_equal(get(PCI_INTERRUPT_PIN, 1), 1);
	assert_int_equal(hw(PCI_COMMAND, 2), PCI_COMMAND_IO);
	assert_int_equal(get(PCI_BASE_ADDRESS_1, 4), 0x1000 | PCI_BASE_ADDRESS_SPACE_IO);
	bus_write(&d.vm.pio, 0x1004, &word, 4);
	assert_int_equal(get_le(f.regions[1].bytes + 4, 4), word);
	f.writes = 0;
	set(0x84 + 16, 0xdeadbeef, 4);
	assert_int_equal(f.writes, 1);
	assert_int_equal(hw(0x84 + 16, 4), 0xdeadbeef);
	/* What the device clears when a 1 is written, it sees as it was written. */
	put(PCI_STATUS, PCI_STATUS_CAP_LIST | PCI_STATUS_REC_MASTER_ABORT, 2);
	set(PCI_STATUS, PCI_STATUS_REC_MASTER_ABORT, 2);
	assert_int_equal(hw(PCI_STATUS, 2), PCI_STATUS_REC_MASTER_ABORT);
	assert_int_equal(get(PCI_STATUS, 2), PCI_STATUS_REC_MASTER_ABORT | PCI_STATUS_CAP_LIST);
	stop();
}

static const struct memory_region *at_bar(u64 offset)
{
	return memory_find(&d.vm.mem, MEM64 + offset);
}

static void test_bars_are_mapped_or_trapped(void **state)
{
	u64 value = 0x1122334455667788ULL;
	u32 word = 0;

	(void)state;
	nvme();
	f.regions[0].nr_areas = 1;
	f.regions[0].areas[0] = (struct vfio_area){ 0x1000, 0x2000 };
	start();
	assert_null(at_bar(0));
	assert_non_null(at_bar(0x1000));
	assert_int_equal(at_bar(0x1000)->kind, MEM_DEVICE);
	assert_int_equal(at_bar(0x1000)->size, 0x2000);
	assert_null(at_bar(0x3000));
	*(u32 *)at_bar(0x1000)->hva = 0xabcd;
	assert_int_equal(get_le(f.regions[0].bytes + 0x1000, 4), 0xabcd);
	/* No device reaches another through it. */
	assert_null(memory_ptr(&d.vm.mem, MEM64 + 0x1000, 4));
	bus_write(&d.vm.mmio, MEM64 + 8, &value, 8);
	assert_int_equal(get_le(f.regions[0].bytes + 8, 8), value);
	bus_read(&d.vm.mmio, MEM64 + 10, &word, 2);
	assert_int_equal(word, 0x5566);
	/* It moves, and goes where it is not decoded. */
	set(PCI_BASE_ADDRESS_0, (u32)(MEM64 + 0x8000), 4);
	assert_null(at_bar(0x1000));
	assert_non_null(at_bar(0x9000));
	set(PCI_COMMAND, 0, 2);
	assert_null(at_bar(0x9000));
	assert_int_equal(hw(PCI_COMMAND, 2), 0);
	set(PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 2);
	assert_non_null(at_bar(0x9000));
	assert_int_equal(hw(PCI_COMMAND, 2), PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	stop();
}

/* The device must decode whenever something is mapped: see what is mapped at each write. */
static bool check_decoded(struct fake_vfio *fake, u32 region, u64 offset, const void *buf, u32 len)
{
	if (region == VFIO_PCI_CONFIG_REGION_INDEX && offset == PCI_COMMAND && len == 2 &&
	    !(get_le(buf, 2) & PCI_COMMAND_MEMORY))
		assert_null(at_bar(0));
	if (region == VFIO_PCI_CONFIG_REGION_INDEX && offset == 0x44 && *(const u8 *)buf & 3)
		assert_null(at_bar(0));
	return false;
}

static void test_decoding_outlives_maps(void **state)
{
	(void)state;
	nvme();
	start();
	f.on_write = check_decoded;
	assert_non_null(at_bar(0));
	set(PCI_COMMAND, 0, 1);
	assert_null(at_bar(0));
	set(PCI_COMMAND, PCI_COMMAND_MEMORY, 1);
	assert_non_null(at_bar(0));
	/* D3hot and back. */
	set(0x44, 3, 2);
	assert_null(at_bar(0));
	assert_int_equal(hw(0x44, 2), 3);
	set(0x44, 0, 2);
	assert_non_null(at_bar(0));
	stop();
}

/* What guest memory keeps of maps that went. */
static u32 nr_kept(void)
{
	u32 n = 0;

	for (const struct memory_region *r = d.vm.mem.removed; r; r = r->next)
		n++;
	return n;
}

static void test_moves_are_bounded(void **state)
{
	u32 n = 0;

	(void)state;
	nvme();
	start();
	/* The main loop is slower than the guest. */
	for (u32 i = 0; i < 1100; i++) {
		set(PCI_COMMAND, 0, 1);
		set(PCI_COMMAND, PCI_COMMAND_MEMORY, 1);
	}
	assert_int_equal(nr_kept(), 1024);
	assert_null(at_bar(0));
	assert_true(bus_read(&d.vm.mmio, MEM64, &n, 4));
	assert_int_equal(n, 0);
	event_loop_drain(&d.vm.loop);
	assert_int_equal(nr_kept(), 0);
	set(PCI_COMMAND, 0, 1);
	set(PCI_COMMAND, PCI_COMMAND_MEMORY, 1);
	assert_non_null(at_bar(0));
	stop();
}

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

/* What a device may not say, and what it says then. */
static void refused(int error, const char *what)
{

	start_host();
	assert_int_equal(fake_vfio_open(&f), 0);
	capture_begin();
	assert_int_equal(vfio_pci_add(&d.vm, &f.dev, 0), error);
	(void)capture_end();
	assert_contains(captured, what);
	stop();
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

static void test_lies(void **state)
{
	u8 byte = 0;
	u64 at;

	(void)state;
	nvme();
	put(PCI_HEADER_TYPE, PCI_HEADER_TYPE_BRIDGE, 1);
	refused(-EINVAL, "is a bridge");
	nvme();
	memset(CONFIG, 0xff, 64);
	refused(-ENODEV, "cannot be read");
	nvme();
	fake_vfio_region(&f, 1, 0x1000, RW);
	refused(-EINVAL, "BAR 0: is 64 bits wide");
	nvme();
	fake_vfio_region(&f, 5, 0x1000, RW);
	put(PCI_BASE_ADDRESS_5, PCI_BASE_ADDRESS_MEM_TYPE_64, 4);
	refused(-EINVAL, "BAR 5: says");
	nvme();
	fake_vfio_region(&f, 2, 0x20000, RW);
	put(PCI_BASE_ADDRESS_2, PCI_BASE_ADDRESS_SPACE_IO, 4);
	refused(-EINVAL, "BAR 2: is larger");
	/* A GPU's, in a window that is too small for it. */
	fake_vfio_init(&f, 256);
	fake_vfio_region(&f, 0, 64 * MiB, RW);
	put(PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_MEM_TYPE_64, 4);
	refused(-ENOSPC,
		"BAR 0 needs 64M of addresses, and its window of 16M has 16M left; this machine "
		"cannot have it");
	/* Not a power of two: what is behind the end reads as ones. */
	nvme();
	fake_vfio_region(&f, 2, 0x30, RW);
	capture_begin();
	start();
	(void)capture_end();
	assert_contains(captured, "BAR 2 has 0x30 bytes; the guest sees 0x40");
	at = get(PCI_BASE_ADDRESS_2, 4);
	assert_true(bus_read(&d.vm.mmio, at + 0x2f, &byte, 1));
	assert_int_equal(byte, 0);
	assert_true(bus_read(&d.vm.mmio, at + 0x30, &byte, 1));
	assert_int_equal(byte, 0xff);
	stop();
}

/* All of a window can be used: in the order of their numbers, these would not fit. */
static void test_the_largest_bar_comes_first(void **state)
{
	static const u64 sizes[] = { MiB, 8 * MiB, 4 * MiB };

	(void)state;
	fake_vfio_init(&f, 256);
	for (u32 i = 0; i < ARRAY_SIZE(sizes); i++) {
		fake_vfio_region(&f, 2 * i, sizes[i], RW);
		put(PCI_BASE_ADDRESS_0 + 8 * i, PCI_BASE_ADDRESS_MEM_TYPE_64, 4);
	}
	start();
	assert_int_equal(get(PCI_BASE_ADDRESS_2, 4) & PCI_BASE_ADDRESS_MEM_MASK, (u32)MEM64);
	assert_int_equal(get(PCI_BASE_ADDRESS_4, 4) & PCI_BASE_ADDRESS_MEM_MASK,
			 (u32)(MEM64 + 8 * MiB));
	assert_int_equal(get(PCI_BASE_ADDRESS_0, 4) & PCI_BASE_ADDRESS_MEM_MASK,
			 (u32)(MEM64 + 12 * MiB));
	assert_int_equal(get(PCI_BASE_ADDRESS_1, 4), MEM64 >> 32);
	stop();
}

/* As the kernel's sample of a serial card, whose configuration space ends early. */
static void test_short_configuration_space(void **state)
{
	(void)state;
	fake_vfio_init(&f, 255);
	put(PCI_VENDOR_ID, 0x32534348, 4);
	put(0xfb, 0x77, 1);
	start();
	assert_int_equal(get(PCI_VENDOR_ID, 4), 0x32534348);
	assert_int_equal(get(0xf8, 4), 0x77000000);
	assert_int_equal(get(0xfc, 4), 0);
	set(0xfc, 0xffffffff, 4);
	assert_int_equal(get(0xfc, 4), 0);
	stop();
	fake_vfio_init(&f, 63);
	refused(-ENODEV, "cannot be read");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_capabilities_keep_their_places),
		cmocka_unit_test(test_broken_chains_are_cut),
		cmocka_unit_test(test_a_capability_is_added),
		cmocka_unit_test(test_ports_and_windows),
		cmocka_unit_test(test_bars_are_mapped_or_trapped),
		cmocka_unit_test(test_decoding_outlives_maps),
		cmocka_unit_test(test_moves_are_bounded),
		cmocka_unit_test(test_function_reset),
		cmocka_unit_test(test_a_bridge_stops_its_dma),
		cmocka_unit_test(test_reboot),
		cmocka_unit_test(test_reset_of_the_bus),
		cmocka_unit_test(test_reset_of_the_bus_by_groups),
		cmocka_unit_test(test_rom),
		cmocka_unit_test(test_rom_of_a_file),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_the_largest_bar_comes_first),
		cmocka_unit_test(test_short_configuration_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
