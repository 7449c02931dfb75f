/* SPDX-License-Identifier: MIT */
/* For unit tests of machines with a device tree: what their address spaces have in common. */
#ifndef TEST_ADDRESS_MAP_H
#define TEST_ADDRESS_MAP_H

#include "unit.h"

#include <stdio.h>

#include "capture.h"
#include "lkvm/arch.h"
#include "lkvm/boot-fdt.h"
#include "lkvm/config.h"
#include "lkvm/kvm.h"
#include "lkvm/util.h"

struct range {
	u64 base, size;
};

/* They lie one above the other. */
static inline void assert_ranges_rise(const struct range *ranges, size_t nr)
{
	for (size_t i = 1; i < nr; i++)
		if (ranges[i - 1].base + ranges[i - 1].size > ranges[i].base)
			fail_msg("%#llx reaches up to %#llx", ranges[i - 1].base, ranges[i].base);
}

typedef void map_memory_fn(const struct vm_config *cfg, u64 pmem, struct boot_map *map);

static inline struct boot_map map_with(map_memory_fn *fn, u64 memory,
				       enum virtio_transport_kind transport)
{
	struct vm_config cfg = { .memory = memory, .transport = transport };
	struct boot_map map;

	fn(&cfg, 0, &map);
	return map;
}

/* RAM may touch the window, not reach into it. */
static inline void check_window_above_ram(map_memory_fn *fn, u64 ram)
{
	u64 most = 16 * GiB - ram;

	assert_int_equal(map_with(fn, MiB, TRANSPORT_PCI).pci_mem64_base, 16 * GiB);
	assert_int_equal(map_with(fn, most, TRANSPORT_PCI).pci_mem64_base, 16 * GiB);
	assert_int_equal(map_with(fn, most + 4 * KiB, TRANSPORT_PCI).pci_mem64_base, 32 * GiB);
}

/* The KVM of a host that says nothing. */
static const struct kvm silent_kvm = { .sys_fd = -1, .vm_fd = -1 };

/* There it cannot be: one line, which is returned, has @why. */
static inline const char *assert_no_room(const struct vm_config *cfg, u64 pmem, const char *why)
{
	u64 type;

	capture_begin();
	assert_int_equal(arch_vm_type(&silent_kvm, cfg, pmem, &type), -EINVAL);
	capture_end();
	assert_one_line(captured);
	assert_contains(captured, why);
	return captured;
}

/* There a guest has @bits of address: room for @pci of memory, without PCI for @mmio. */
static inline void check_memory_limit(u32 bits, u64 pci, u64 mmio)
{
	struct vm_config cfg = { .memory = pci, .transport = TRANSPORT_PCI };
	char why[96];
	u64 type = 1;

	assert_int_equal(arch_vm_type(&silent_kvm, &cfg, 0, &type), 0);
	assert_int_equal(type, 0);
	cfg.memory = pci + MiB;
	snprintf(why, sizeof(why), "%u address bits with the devices, but a guest has %u", bits + 1,
		 bits);
	assert_no_room(&cfg, 0, why);
	snprintf(why, sizeof(why), "maximum is %lluG, or use --virtio-transport mmio", pci / GiB);
	assert_contains(captured, why);
	cfg.transport = TRANSPORT_MMIO;
	assert_int_equal(arch_vm_type(&silent_kvm, &cfg, 0, &type), 0);
	cfg.memory = mmio + MiB;
	snprintf(why, sizeof(why), "maximum is %lluG", mmio / GiB);
	assert_lacks(assert_no_room(&cfg, 0, why), "--virtio-transport");
}

#endif
