/* SPDX-License-Identifier: MIT */
/* For unit tests: a made-up NVMe controller of the host's, passed through into a VM without KVM. */
#ifndef TEST_VFIO_NVME_H
#define TEST_VFIO_NVME_H

#include "unit.h"

#include "../../vfio/pci.h"
#include "../lib/fake_vfio.h"
#include "capture.h"
#include "devvm.h"
#include "lkvm/pci.h"
#include "vfio_layout.h"

#define RW     (VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE)
#define RWM    (RW | VFIO_REGION_INFO_FLAG_MMAP)
#define CONFIG (f.regions[VFIO_PCI_CONFIG_REGION_INDEX].bytes)
#define BAR0   0x4000

#define MEM64 0x800000000ULL

static struct devvm d;
static struct fake_vfio f;

static inline void put(u32 offset, u32 value, u32 len)
{
	put_le(CONFIG + offset, len, value);
}

static inline u32 hw(u32 offset, u32 len)
{
	return (u32)get_le(CONFIG + offset, len);
}

static inline u32 get(u32 offset, u32 len)
{
	return pci_config_read(d.vm.pci, BDF, offset, len);
}

static inline void set(u32 offset, u32 value, u32 len)
{
	pci_config_write(d.vm.pci, BDF, offset, value, len);
}

/* As an NVMe controller: a 64-bit BAR, PM, MSI-X, PCIe, AER, SR-IOV first. */
static inline void nvme(void)
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

static inline void start_host(void)
{
	devvm_init(&d);
	assert_int_equal(pci_host_add(&d.vm, &layout, MEM64), 0);
}

static inline void start(void)
{
	start_host();
	assert_int_equal(fake_vfio_open(&f), 0);
	assert_int_equal(vfio_pci_add(&d.vm, &f.dev, 0), 0);
}

static inline void stop(void)
{
	vm_destroy(&d.vm);
	fake_vfio_destroy(&f);
}

static inline struct vfio_pci *function(void)
{
	return to_vfio_pci(d.vm.pci->root.functions[BDF]);
}

/* What a device may not say, and what it says then. */
static inline void refused(int error, const char *what)
{
	start_host();
	assert_int_equal(fake_vfio_open(&f), 0);
	capture_begin();
	assert_int_equal(vfio_pci_add(&d.vm, &f.dev, 0), error);
	(void)capture_end();
	assert_contains(captured, what);
	stop();
}

static inline const struct memory_region *at_bar(u64 offset)
{
	return memory_find(&d.vm.mem, MEM64 + offset);
}

/* The device must decode whenever something is mapped: see what is mapped at each write. */
static inline bool check_decoded(struct fake_vfio *fake, u32 region, u64 offset, const void *buf,
				 u32 len)
{
	if (region == VFIO_PCI_CONFIG_REGION_INDEX && offset == PCI_COMMAND && len == 2 &&
	    !(get_le(buf, 2) & PCI_COMMAND_MEMORY))
		assert_null(at_bar(0));
	if (region == VFIO_PCI_CONFIG_REGION_INDEX && offset == 0x44 && *(const u8 *)buf & 3)
		assert_null(at_bar(0));
	return false;
}

#endif
