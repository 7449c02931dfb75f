/* SPDX-License-Identifier: MIT */
/* Where PCI is in the machines of tests about functions that are passed through. */
#ifndef TESTS_UNIT_VFIO_LAYOUT_H
#define TESTS_UNIT_VFIO_LAYOUT_H

#include "lkvm/pci.h"
#include "lkvm/util.h"

#define BDF   0x0008 /* slot 1 */
#define MEM32 0xc0000000ULL

static const struct arch_pci_layout layout = {
	.ecam_base = 0xe0000000ULL,
	.ecam_size = 256 * MiB,
	.mem32_base = MEM32,
	.mem32_size = MiB,
	.mem64_size = 16 * MiB,
	.io_base = 0x1000,
	.io_size = 0x8000,
	.config_ports = true,
	.intx_gsi = { 16, 17, 18, 19 },
};

#endif
