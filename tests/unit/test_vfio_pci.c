/* SPDX-License-Identifier: MIT */
/* VFIO: what a guest sees of a device that is passed through: configuration space and BARs. */
#include "unit.h"

#include "vfio_nvme.h"

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

/* A vcpu that changes configuration may have to wait for the main loop, which clears up. */
static void test_clearing_up_waits_for_no_vcpu(void **state)
{
	(void)state;
	nvme();
	start();
	for (u32 i = 0; i < 64; i++) {
		set(PCI_COMMAND, 0, 1);
		set(PCI_COMMAND, PCI_COMMAND_MEMORY, 1);
	}
	assert_int_equal(nr_kept(), 64);
	pthread_mutex_lock(&d.vm.pci->update);
	event_loop_drain(&d.vm.loop);
	pthread_mutex_unlock(&d.vm.pci->update);
	assert_int_equal(nr_kept(), 0);
	stop();
}

static bool refuses;

static int nothing_to_add(struct memory_listener *l, const struct memory_region *r)
{
	return 0;
}

static int refuse_to_remove(struct memory_listener *l, const struct memory_region *r)
{
	return refuses ? -EIO : 0;
}

/* What does not leave guest memory is not forgotten: the next move takes it away. */
static void test_a_map_that_stays(void **state)
{
	struct memory_listener l = { .add = nothing_to_add, .remove = refuse_to_remove };

	(void)state;
	nvme();
	start();
	assert_int_equal(memory_add_listener(&d.vm.mem, &l), 0);
	refuses = true;
	capture_begin();
	set(PCI_BASE_ADDRESS_0, (u32)(MEM64 + 0x8000), 4);
	assert_contains(capture_end(), "its registers at 0x8");
	assert_non_null(at_bar(0));
	assert_null(at_bar(0x8000));
	refuses = false;
	set(PCI_COMMAND, 0, 1);
	assert_null(at_bar(0));
	set(PCI_COMMAND, PCI_COMMAND_MEMORY, 1);
	assert_non_null(at_bar(0x8000));
	memory_remove_listener(&d.vm.mem, &l);
	stop();
}

/* A byte of the command register leaves the other one, of which the device has bits, alone. */
static void test_half_a_command(void **state)
{
	(void)state;
	nvme();
	start();
	set(PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_SERR, 2);
	set(PCI_COMMAND, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER, 1);
	assert_int_equal(hw(PCI_COMMAND, 2),
			 PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER | PCI_COMMAND_SERR);
	set(PCI_COMMAND + 1, 0, 1);
	assert_int_equal(hw(PCI_COMMAND, 2), PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	stop();
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
		cmocka_unit_test(test_clearing_up_waits_for_no_vcpu),
		cmocka_unit_test(test_a_map_that_stays),
		cmocka_unit_test(test_half_a_command),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_the_largest_bar_comes_first),
		cmocka_unit_test(test_short_configuration_space),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
