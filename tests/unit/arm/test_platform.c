/* SPDX-License-Identifier: MIT */
/* The arm64 machine's address space, and what its configuration may ask for. */
#include "address_map.h"

#include "../../../arm/arm.h"

static struct boot_map map_of(u64 memory, enum virtio_transport_kind transport)
{
	return map_with(arm_map_memory, memory, transport);
}

static void test_few_address_bits(void **state)
{
	struct boot_map map = map_of(512 * MiB, TRANSPORT_MMIO);

	assert_int_equal(map.ram_end, ARM_RAM + 512 * MiB);
	assert_int_equal(map.bits, 32);
	/* RAM up to 4 GiB is the last that 32 bits hold. */
	assert_int_equal(map_of(2 * GiB, TRANSPORT_MMIO).bits, 32);
	assert_int_equal(map_of(2 * GiB + 4 * KiB, TRANSPORT_MMIO).bits, 33);
	assert_int_equal(map_of(6 * GiB, TRANSPORT_MMIO).bits, 33);
	assert_int_equal(map_of(1ULL << 52, TRANSPORT_MMIO).bits, 53);
}

static void test_window_above_ram(void **state)
{
	check_window_above_ram(arm_map_memory, ARM_RAM);
	assert_int_equal(map_of(MiB, TRANSPORT_PCI).bits, 35);
	assert_int_equal(map_of(14 * GiB, TRANSPORT_PCI).bits, 35);
	assert_int_equal(map_of(14 * GiB + 4 * KiB, TRANSPORT_PCI).bits, 36);
}

/* Persistent memory lies between RAM and the window, from a GiB on. */
static void test_persistent_memory(void **state)
{
	struct vm_config cfg = { .memory = 512 * MiB, .transport = TRANSPORT_MMIO };
	struct boot_map map;

	arm_map_memory(&cfg, GiB, &map);
	assert_int_equal(map.pmem_base, ARM_RAM + GiB);
	assert_int_equal(map.bits, 32);
	arm_map_memory(&cfg, 2 * GiB, &map);
	assert_int_equal(map.bits, 33);
	cfg.transport = TRANSPORT_PCI;
	arm_map_memory(&cfg, 14 * GiB, &map);
	assert_int_equal(map.pci_mem64_base, 32 * GiB);
	assert_no_room(&cfg, 1024 * GiB, "--pmem: 1024G of files, and --mem, need 41 address bits");
}

/* Without a host that says more, a guest has 40 bits. */
static void test_memory_limit(void **state)
{
	check_memory_limit(40, 1006 * GiB, 1022 * GiB);
}

/* A realm's memory has one bit of address less. */
static void test_realm_limit(void **state)
{
	struct vm_config cfg = { .memory = 494 * GiB, .arm.realm.on = true };
	u64 type;

	assert_int_equal(arch_vm_type(&silent_kvm, &cfg, 0, &type), 0);
	cfg.memory += MiB;
	assert_contains(assert_no_room(&cfg, 0, "41 address bits"),
			"maximum is 494G, or use --virtio-transport mmio");
	cfg.memory = 510 * GiB + MiB;
	assert_lacks(assert_no_room(&cfg, 0, "maximum is 494G"), "--virtio-transport");
}

static void test_nothing_overlaps(void **state)
{
	const struct arch_platform *p = &arch_platform;
	const struct range ranges[] = {
		{ p->pci.io_mmio_base, p->pci.io_size },
		{ p->serial.base, p->serial.size },
		{ ARM_DEBUG_UART, 8 },
		{ ARM_RTC, 4 * KiB },
		{ ARM_PC_RTC, 2 },
		{ ARM_PVTIME, ARM_PVTIME_SIZE },
		{ p->debug_exit.base, p->debug_exit.size },
		{ ARM_GPIO, 4 * KiB },
		{ p->boot_mark.base, p->boot_mark.size },
		{ p->flash.base, p->flash.size },
		{ p->virtio_mmio_base, p->virtio_mmio_max * p->virtio_mmio_stride },
		/* The maximum of redistributors, and the ITS. */
		{ ARM_GIC_DIST - (ARM_MAX_VCPUS + 1) * 128 * KiB, (ARM_MAX_VCPUS + 1) * 128 * KiB },
		{ ARM_GIC_DIST, ARM_GIC_DIST_SIZE },
		{ p->pci.ecam_base, p->pci.ecam_size },
		{ p->pci.mem32_base, p->pci.mem32_size },
		{ ARM_RAM, GiB },
	};

	assert_ranges_rise(ranges, ARRAY_SIZE(ranges));
}

/* Every line is an interrupt of its own, below those of messages. */
static void test_lines(void **state)
{
	const struct arch_platform *p = &arch_platform;
	bool taken[ARM_NR_LINES] = { false };
	const u32 single[] = { p->serial.gsi,	   ARM_GSI_RTC,	       ARM_GSI_GPIO,
			       ARM_GSI_DEBUG_UART, p->pci.intx_gsi[0], p->pci.intx_gsi[1],
			       p->pci.intx_gsi[2], p->pci.intx_gsi[3] };

	for (size_t i = 0; i < ARRAY_SIZE(single); i++) {
		assert_true(single[i] < ARM_NR_LINES);
		assert_false(taken[single[i]]);
		taken[single[i]] = true;
	}
	for (u32 i = 0; i < p->virtio_mmio_max; i++) {
		assert_true(p->virtio_mmio_gsi + i < ARM_NR_LINES);
		assert_false(taken[p->virtio_mmio_gsi + i]);
	}
	/* KVM wants a multiple of 32, private ones included (devices/arm-vgic-v3.rst). */
	assert_int_equal((32 + ARM_NR_SPIS) % 32, 0);
}

static void assert_refused(struct vm_config *cfg, const char *why)
{
	capture_begin();
	assert_int_equal(arch_config_complete(cfg), -EINVAL);
	capture_end();
	assert_contains(captured, why);
}

static void test_impossible_configurations(void **state)
{
	struct vm_config cfg = { .cpus = 8, .arm.irqchip = ARM_IRQCHIP_GICV2M };

	assert_int_equal(arch_config_complete(&cfg), 0);
	cfg.cpus = 9;
	assert_refused(&cfg, "a GICv2 serves at most 8 vcpus");
	cfg.arm.irqchip = ARM_IRQCHIP_GICV3;
	assert_int_equal(arch_config_complete(&cfg), 0);
	cfg.cpus = ARM_MAX_VCPUS + 1;
	assert_refused(&cfg, "the maximum on arm64 is 4096 vcpus");
	cfg.cpus = 1;
	cfg.arm.nested = true;
	assert_int_equal(arch_config_complete(&cfg), 0);
	cfg.arm.irqchip = ARM_IRQCHIP_GICV2;
	assert_refused(&cfg, "--nested: needs a GICv3");
	cfg.arm.nested = false;
	cfg.arm.gicv4 = SWITCH_ON;
	assert_refused(&cfg, "use --irqchip gicv3-its instead of gicv2");
	cfg.arm.irqchip = ARM_IRQCHIP_DEFAULT;
	assert_int_equal(arch_config_complete(&cfg), 0);
}

/* Firmware reads /chosen, so it may be told what a kernel is; nothing is added for it. */
static void test_firmware_is_told(void **state)
{
	struct vm_config cfg;

	config_init(&cfg);
	cfg.firmware = xstrdup("fw");
	cfg.params = xstrdup("its-migration");
	cfg.memory = 64 * MiB;
	config_add_initrd(&cfg, "initrd");
	assert_int_equal(config_complete(&cfg), 0);
	assert_string_equal(cfg.cmdline, "its-migration");
	assert_int_equal(arch_platform.ram_base, ARM_RAM);
	config_destroy(&cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_few_address_bits),
		cmocka_unit_test(test_window_above_ram),
		cmocka_unit_test(test_persistent_memory),
		cmocka_unit_test(test_memory_limit),
		cmocka_unit_test(test_realm_limit),
		cmocka_unit_test(test_nothing_overlaps),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_impossible_configurations),
		cmocka_unit_test(test_firmware_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
