/* SPDX-License-Identifier: MIT */
/* The riscv64 machine's address space, and how much memory a host allows. */
#include "capture.h"
#include "unit.h"

#include "../../../riscv/riscv.h"
#include "lkvm/arch.h"
#include "lkvm/kvm.h"
#include "lkvm/util.h"

static struct riscv_map map_of(u64 memory, enum virtio_transport_kind transport)
{
	struct vm_config cfg = { .memory = memory, .transport = transport };
	struct riscv_map map;

	riscv_map_memory(&cfg, 0, &map);
	return map;
}

/* Three levels of tables (Sv39x4) as long as all is within them, then four (Sv48x4). */
static void test_few_address_bits(void **state)
{
	assert_int_equal(map_of(512 * MiB, TRANSPORT_MMIO).gpa_bits, 41);
	assert_int_equal(map_of(512 * MiB, TRANSPORT_MMIO).ram_end, RISCV_RAM + 512 * MiB);
	assert_int_equal(map_of(2046 * GiB, TRANSPORT_MMIO).gpa_bits, 41);
	assert_int_equal(map_of(2046 * GiB + 4 * KiB, TRANSPORT_MMIO).gpa_bits, 42);
	assert_int_equal(map_of(2030 * GiB, TRANSPORT_PCI).gpa_bits, 41);
	assert_int_equal(map_of(2030 * GiB + 4 * KiB, TRANSPORT_PCI).gpa_bits, 42);
	assert_int_equal(map_of(1ULL << 50, TRANSPORT_MMIO).gpa_bits, 51);
}

static void test_window_above_ram(void **state)
{
	assert_int_equal(map_of(MiB, TRANSPORT_PCI).pci_mem64_base, 16 * GiB);
	/* RAM may touch the window, not reach into it. */
	assert_int_equal(map_of(14 * GiB, TRANSPORT_PCI).pci_mem64_base, 16 * GiB);
	assert_int_equal(map_of(14 * GiB + 4 * KiB, TRANSPORT_PCI).pci_mem64_base, 32 * GiB);
}

/* Persistent memory lies between RAM and the window, from a GiB on. */
static void test_persistent_memory(void **state)
{
	struct vm_config cfg = { .memory = 512 * MiB, .transport = TRANSPORT_PCI };
	const struct kvm kvm = { .sys_fd = -1, .vm_fd = -1 };
	struct riscv_map map;
	u64 type;

	riscv_map_memory(&cfg, 14 * GiB, &map);
	assert_int_equal(map.pmem_base, RISCV_RAM + GiB);
	assert_int_equal(map.pmem_end, 17 * GiB);
	assert_int_equal(map.pci_mem64_base, 32 * GiB);
	capture_begin();
	assert_int_equal(arch_vm_type(&kvm, &cfg, 2048 * GiB, &type), -EINVAL);
	capture_end();
	assert_contains(captured, "--pmem: 2048G of files, and --mem, need 42 address bits");
	assert_one_line(captured);
}

/* A host that does not say has three levels. */
static void test_memory_limit(void **state)
{
	const struct kvm kvm = { .sys_fd = -1, .vm_fd = -1 };
	struct vm_config cfg = { .memory = 2030 * GiB, .transport = TRANSPORT_PCI };
	u64 type = 1;

	assert_int_equal(arch_vm_type(&kvm, &cfg, 0, &type), 0);
	assert_int_equal(type, 0);
	cfg.memory += MiB;
	capture_begin();
	assert_int_equal(arch_vm_type(&kvm, &cfg, 0, &type), -EINVAL);
	capture_end();
	assert_contains(captured, "42 address bits with the devices, but a guest has 41");
	assert_contains(captured, "maximum is 2030G, or use --virtio-transport mmio");
	assert_one_line(captured);
	cfg.transport = TRANSPORT_MMIO;
	assert_int_equal(arch_vm_type(&kvm, &cfg, 0, &type), 0);
	cfg.memory = 2046 * GiB + MiB;
	capture_begin();
	assert_int_equal(arch_vm_type(&kvm, &cfg, 0, &type), -EINVAL);
	capture_end();
	assert_contains(captured, "maximum is 2046G");
	assert_null(strstr(captured, "--virtio-transport"));
}

struct range {
	u64 base, size;
};

static void test_nothing_overlaps(void **state)
{
	const struct arch_platform *p = &arch_platform;
	const struct range ranges[] = {
		{ p->pci.io_mmio_base, p->pci.io_size },
		{ RISCV_IRQCHIP, RISCV_IRQCHIP_SIZE },
		{ p->serial.base, p->serial.size },
		{ RISCV_RTC, 4 * KiB },
		{ p->debug_exit.base, p->debug_exit.size },
		{ p->boot_mark.base, p->boot_mark.size },
		{ RISCV_SYSCON, 4 * KiB },
		{ p->virtio_mmio_base, p->virtio_mmio_stride * p->virtio_mmio_max },
		{ RISCV_ROM, RISCV_ROM_SIZE },
		{ p->flash.base, p->flash.size },
		{ p->pci.ecam_base, p->pci.ecam_size },
		{ p->pci.mem32_base, p->pci.mem32_size },
		{ RISCV_RAM, 1ULL << 40 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(ranges); i++)
		for (size_t j = 0; j < i; j++)
			assert_false(ranges_overlap(ranges[i].base, ranges[i].size, ranges[j].base,
						    ranges[j].size));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_few_address_bits),  cmocka_unit_test(test_window_above_ram),
		cmocka_unit_test(test_persistent_memory), cmocka_unit_test(test_memory_limit),
		cmocka_unit_test(test_nothing_overlaps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
