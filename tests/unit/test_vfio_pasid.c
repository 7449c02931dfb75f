/* SPDX-License-Identifier: MIT */
/* VFIO: PASIDs, of the host's IOMMU and as the guest sees them. */
#include "unit.h"

#include "../../vfio/iommu.h"
#include "../../vfio/pci.h"
#include "../lib/fake_vfio.h"
#include "capture.h"
#include "devvm.h"
#include "lkvm/pci.h"
#include "lkvm/vfio-pasid.h"
#include "vfio_layout.h"

#define CONFIG	 (f.regions[VFIO_PCI_CONFIG_REGION_INDEX].bytes)
#define IOMMU_FD (FAKE_VFIO_FD + 1)
#define DEVID	 7
#define IOAS	 5
#define TABLE	 11

static struct devvm d;
static struct fake_vfio f;

/* /dev/iommu, and a device that it has: what was asked, in words, and what is answered. */
static char story[512];
static u32 hw_bits;
static u64 hw_caps;
static int table_error, attach_error;

#define tell(...) snprintf(story + strlen(story), sizeof(story) - strlen(story), __VA_ARGS__)

static int hw_info(struct iommu_abi_hw_info *info)
{
	assert_int_equal(info->size, 40);
	assert_int_equal(info->dev_id, DEVID);
	assert_int_equal(info->flags | info->data_len, 0);
	info->out_max_pasid_log2 = (u8)hw_bits;
	info->out_capabilities = hw_caps;
	return 0;
}

static int make_table(struct iommu_abi_hwpt_alloc *alloc)
{
	assert_int_equal(alloc->size, 48);
	assert_int_equal(alloc->flags, IOMMU_ABI_HWPT_PASID);
	assert_int_equal(alloc->dev_id, DEVID);
	tell("table of %u; ", alloc->pt_id);
	alloc->out_hwpt_id = TABLE;
	return table_error;
}

static int answer(struct fake_vfio *fake, unsigned long request, void *arg)
{
	struct vfio_abi_attach_pt *attach = arg;
	struct vfio_abi_detach_pt *detach = arg;

	switch (request) {
	case VFIO_ABI_ATTACH_IOMMUFD_PT:
		assert_int_equal(attach->argsz, 16);
		assert_int_equal(attach->flags, 1);
		tell("%u to %u; ", attach->pasid, attach->pt_id);
		return attach_error;
	case VFIO_ABI_DETACH_IOMMUFD_PT:
		assert_int_equal(detach->argsz, 12);
		assert_int_equal(detach->flags, 1);
		tell("not %u; ", detach->pasid);
		return 0;
	default:
		return 1;
	}
}

static int host_ioctl(void *opaque, int fd, unsigned long request, void *arg)
{
	if (fd != IOMMU_FD)
		return fake_vfio_ioctl(opaque, fd, request, arg);
	if (request == IOMMU_ABI_GET_HW_INFO)
		return hw_info(arg);
	if (request == IOMMU_ABI_HWPT_ALLOC)
		return make_table(arg);
	assert_int_equal(request, IOMMU_ABI_DESTROY);
	tell("destroy %u; ", ((struct iommu_abi_destroy *)arg)->id);
	return 0;
}

static struct vfio_calls calls;
static struct vfio_host host;
static struct vfio_set set;

static void put(u32 offset, u32 value, u32 len)
{
	put_le(CONFIG + offset, len, value);
}

static u32 get(u32 offset, u32 len)
{
	return pci_config_read(d.vm.pci, BDF, offset, len);
}

/* A device with AER at 0x100 and a serial number at 0xfe0. */
static void device(u32 config_size)
{
	fake_vfio_init(&f, config_size);
	put(PCI_VENDOR_ID, 0x00101b36, 4);
	put(PCI_STATUS, PCI_STATUS_CAP_LIST, 2);
	put(PCI_CAPABILITY_LIST, 0x40, 1);
	put(0x40, PCI_CAP_ID_EXP, 2);
	put(0x40 + PCI_EXP_FLAGS, 2, 2);
	put(0x40 + PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_FLR, 4);
	if (config_size > 256) {
		put(0x100, PCI_EXT_CAP_ID_ERR | 2 << 16 | 0xfe0U << 20, 4);
		put(0xfe0, PCI_EXT_CAP_ID_DSN | 1 << 16, 4);
	}
	calls = fake_vfio_calls;
	calls.ioctl = host_ioctl;
	host = (struct vfio_host){ .calls = &calls, .opaque = &f, .root = "" };
	set = (struct vfio_set){ .host = &host, .fd = IOMMU_FD };
	f.before = answer;
	f.cfg.pasid = true;
	f.dev.calls = &calls;
	f.dev.set = &set;
	f.dev.devid = DEVID;
	hw_bits = 16;
	hw_caps = IOMMU_ABI_HW_PASID_EXEC;
	table_error = attach_error = 0;
	story[0] = '\0';
	assert_int_equal(fake_vfio_open(&f), 0);
}

static const char *start(int error)
{
	devvm_init(&d);
	assert_int_equal(pci_host_add(&d.vm, &layout, 0x800000000ULL), 0);
	capture_begin();
	assert_int_equal(vfio_pci_add(&d.vm, &f.dev, 0), error);
	return capture_end();
}

static void stop(void)
{
	vm_destroy(&d.vm);
	fake_vfio_destroy(&f);
}

static void test_what_the_host_has(void **state)
{
	struct vfio_pasids pasids;

	(void)state;
	device(4096);
	assert_int_equal(vfio_pasid_describe(&f.dev, &pasids), 0);
	assert_int_equal(pasids.bits, 16);
	assert_true(pasids.exec);
	assert_false(pasids.priv);
	/* No more than there can be. */
	hw_bits = 255;
	hw_caps = IOMMU_ABI_HW_PASID_PRIV | IOMMU_ABI_HW_NO_ATS;
	assert_int_equal(vfio_pasid_describe(&f.dev, &pasids), 0);
	assert_int_equal(pasids.bits, 20);
	assert_false(pasids.exec);
	assert_true(pasids.priv);
	/* By a group. */
	f.dev.devid = 0;
	assert_int_equal(vfio_pasid_describe(&f.dev, &pasids), -ENOTTY);
	assert_int_equal(pasids.bits, 0);
	f.dev.set = NULL;
	assert_int_equal(vfio_pasid_describe(&f.dev, &pasids), -ENOTTY);
	fake_vfio_destroy(&f);
}

static void test_attach(void **state)
{
	u32 table = 0;

	(void)state;
	device(4096);
	assert_int_equal(vfio_pasid_make_table(&f.dev, IOAS, &table), 0);
	assert_int_equal(table, TABLE);
	assert_int_equal(vfio_pasid_attach(&f.dev, 3, table), 0);
	assert_int_equal(vfio_pasid_attach(&f.dev, 3, 12), 0);
	assert_int_equal(vfio_pasid_detach(&f.dev, 3), 0);
	vfio_pasid_free_table(&f.dev, table);
	assert_string_equal(story, "table of 5; 3 to 11; 3 to 12; not 3; destroy 11; ");
	table_error = -ENOMEM;
	assert_int_equal(vfio_pasid_make_table(&f.dev, IOAS, &table), -ENOMEM);
	assert_int_equal(table, 0);
	attach_error = -EBUSY;
	assert_int_equal(vfio_pasid_attach(&f.dev, 3, 12), -EBUSY);
	fake_vfio_destroy(&f);
}

/* What is said when @error is had of vfio_pasid_prepare. */
static void prepares(int error, const char *text)
{
	u32 table;

	capture_begin();
	assert_int_equal(vfio_pasid_prepare(&f.dev, IOAS, &table), error);
	assert_contains(capture_end(), text);
	assert_one_line(captured);
	assert_int_equal(table, 0);
}

static void probes(int error, const char *text)
{
	attach_error = error;
	capture_begin();
	assert_int_equal(vfio_pasid_probe(&f.dev, TABLE), error);
	assert_contains(capture_end(), text);
	assert_one_line(captured);
}

static void test_prepare(void **state)
{
	u32 table;

	(void)state;
	device(4096);
	assert_int_equal(vfio_pasid_prepare(&f.dev, IOAS, &table), 0);
	assert_int_equal(table, TABLE);
	assert_int_equal(vfio_pasid_probe(&f.dev, table), 0);
	assert_string_equal(story, "table of 5; 1 to 11; not 1; ");
	probes(-EINVAL, "pasid=on: the host's kernel attaches no PASIDs");
	probes(-ENOMEM, "pasid=on: Cannot allocate memory");
	table_error = -EOPNOTSUPP;
	prepares(-EOPNOTSUPP, "makes no page tables for PASIDs");
	table_error = -ENOMEM;
	prepares(-ENOMEM, "Cannot allocate memory");
	hw_bits = 0;
	prepares(-EOPNOTSUPP, "has no PASIDs; omit it");
	f.dev.name.bus = VFIO_BUS_MDEV;
	prepares(-EOPNOTSUPP, "a software device has no IOMMU");
	fake_vfio_destroy(&f);
}

static void test_capability(void **state)
{
	(void)state;
	device(4096);
	assert_contains(start(0), "PASIDs of 16 bits (capability at 0xff8), but can use none");
	assert_int_equal(get(0xfe0, 4), PCI_EXT_CAP_ID_DSN | 1 << 16 | 0xff8U << 20);
	assert_int_equal(get(0xff8, 4), PCI_EXT_CAP_ID_PASID | 1 << 16);
	assert_int_equal(get(0xffc, 4), 16 << 8 | PCI_PASID_CAP_EXEC);
	/* The guest's writes stay with the guest, and only what is offered can be enabled. */
	pci_config_write(d.vm.pci, BDF, 0xff8, 0xffffffff, 4);
	pci_config_write(d.vm.pci, BDF, 0xffc, 0xffffffff, 4);
	assert_int_equal(get(0xff8, 4), PCI_EXT_CAP_ID_PASID | 1 << 16);
	assert_int_equal(get(0xffc, 4), 16 << 8 | PCI_PASID_CAP_EXEC |
						(PCI_PASID_CTRL_ENABLE | PCI_PASID_CTRL_EXEC)
							<< 16);
	assert_int_equal(get_le(CONFIG + 0xff8, 8), 0);
	/* A reset of the function, and a reboot, disable it. */
	pci_config_write(d.vm.pci, BDF, 0x40 + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR, 2);
	assert_int_equal(get(0xffe, 2), 0);
	pci_config_write(d.vm.pci, BDF, 0xffe, 1, 2);
	assert_int_equal(get(0xffe, 2), 1);
	vm_reset_devices(&d.vm);
	assert_int_equal(get(0xffe, 2), 0);
	stop();
	/* It is not there unless it is asked for. */
	device(4096);
	f.cfg.pasid = false;
	assert_string_equal(start(0), "");
	assert_int_equal(get(0xfe0, 4), PCI_EXT_CAP_ID_DSN | 1 << 16);
	stop();
}

static void test_its_place(void **state)
{
	(void)state;
	/* Something is at the end: registers, or those of a capability that read as zeroes. */
	device(4096);
	put(0xff8, 1, 1);
	assert_contains(start(0), "(capability at 0xff0)");
	stop();
	device(4096);
	put(0xfe0, PCI_EXT_CAP_ID_VNDR | 1 << 16, 4);
	put(0xfe4, 0x01c00000, 4);
	assert_contains(start(0), "(capability at 0xfd8)");
	assert_int_equal(get(0xfe0, 4) >> 20, 0xfd8);
	stop();
	/* The user's choice, whatever is there; but not of what the guest sees. */
	device(4096);
	put(0x400, 0x77, 4);
	f.cfg.pasid_offset = 0x400;
	assert_contains(start(0), "(capability at 0x400)");
	assert_int_equal(get(0x400, 4), PCI_EXT_CAP_ID_PASID | 1 << 16);
	stop();
	device(4096);
	f.cfg.pasid_offset = 0x144;
	assert_contains(start(-ENOSPC), "pasid-offset=0x144: another capability is there");
	assert_one_line(captured);
	stop();
	device(4096);
	f.cfg.pasid_offset = 0xfdc;
	assert_contains(start(-ENOSPC), "another capability is there");
	stop();
	/* One that says it has no length has its header. */
	device(4096);
	put(0xfe0, PCI_EXT_CAP_ID_VNDR | 1 << 16, 4);
	f.cfg.pasid_offset = 0xfe0;
	assert_contains(start(-ENOSPC), "another capability is there");
	stop();
	/* A place whose own capability is hidden keeps its link. */
	device(4096);
	put(0x100, PCI_EXT_CAP_ID_SRIOV | 1 << 16 | 0xfe0U << 20, 4);
	f.cfg.pasid_offset = 0x100;
	assert_contains(start(0), "(capability at 0x100)");
	assert_int_equal(get(0x100, 4), PCI_EXT_CAP_ID_PASID | 1 << 16 | 0xfe0U << 20);
	stop();
}

static void test_no_place(void **state)
{
	(void)state;
	device(4096);
	memset(CONFIG + 0x148, 0x55, 0xfe0 - 0x148);
	memset(CONFIG + 0xfec, 0x55, 0x1000 - 0xfec);
	assert_contains(start(-ENOSPC), "there is no room for its capability");
	assert_one_line(captured);
	stop();
	device(256);
	assert_contains(start(-ENOSPC), "no extended configuration space");
	stop();
	device(4096);
	hw_bits = 0;
	assert_contains(start(-EOPNOTSUPP), "has no PASIDs");
	stop();
	device(4096);
	f.dev.devid = 0;
	assert_contains(start(-ENOTTY), "needs iommufd");
	assert_one_line(captured);
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_the_host_has), cmocka_unit_test(test_attach),
		cmocka_unit_test(test_prepare),		  cmocka_unit_test(test_capability),
		cmocka_unit_test(test_its_place),	  cmocka_unit_test(test_no_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
