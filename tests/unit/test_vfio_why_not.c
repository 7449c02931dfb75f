/* SPDX-License-Identifier: MIT */
/* vfio/why-not.c: the reason and the remedy, over trees of files that stand for sysfs. */
#include "unit.h"

#include "lkvm/vfio-bind.h"
#include "vfio_tree.h"

#define NET  "0x020000\n"
#define UUID "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"

static void assert_reason(const char *device, const char *want)
{
	struct vfio_name name;
	char *why;

	assert_int_equal(vfio_name_parse(device, &name), 0);
	why = vfio_why_not(tree_root, &name);
	if (want && (!why || !strstr(why, want)))
		fail_msg("'%s' is not in '%s'", want, why ? why : "nothing");
	if (!want && why)
		fail_msg("nothing stands in the way, but: %s", why);
	if (why && strchr(why, '\n'))
		fail_msg("more than a line: %s", why);
	free(why);
}

static int begin(void **state)
{
	tree_begin();
	tree_folder("/sys/class/iommu/dmar0");
	return 0;
}

static void test_what_is_not_there(void **state)
{
	assert_reason("0000:03:00.0", "no such device; 'lkvm vfio list'");
	assert_reason(UUID, "no such mdev; 'lkvm vfio mdev list'");
}

static void test_bridge(void **state)
{
	tree_pci("0000:00:1c.0", "0x060400\n", "4", "pcieport");
	assert_reason("00:1c.0", "is a bridge");
	/* Transparent in one direction. */
	tree_pci("0000:00:1d.0", "0x060940\n", "5", "");
	assert_reason("00:1d.0", "is a bridge");
	/* A host bridge is none of those. */
	tree_pci("0000:00:00.0", "0x060000\n", "6", "");
	assert_reason("00:00.0", "no driver");
}

static void test_driver(void **state)
{
	tree_pci("0000:03:00.0", NET, "7", "e1000e");
	assert_reason("0000:03:00.0",
		      "the host's driver e1000e has it; 'lkvm vfio bind 0000:03:00.0'");
	tree_pci("0000:04:00.0", NET, "8", "");
	assert_reason("04:00.0", "no driver has it; 'lkvm vfio bind 0000:04:00.0'");
	tree_pci("0000:05:00.0", NET, "9", "vfio-pci");
	assert_reason("05:00.0", NULL);
	/* A driver of a maker's own that VFIO is a part of. */
	tree_pci("0000:06:00.0", NET, "10", "mlx5_vfio_pci");
	assert_reason("06:00.0", NULL);
}

static void test_group(void **state)
{
	struct vfio_name name;
	u32 named = 0;
	char *others;

	tree_pci("0000:03:00.0", NET, "7", "vfio-pci");
	tree_pci("0000:00:1c.0", "0x060400\n", "7", "pcieport");
	tree_pci("0000:03:00.1", NET, "7", "");
	tree_pci("0000:03:00.2", NET, "7", "pci-stub");
	assert_reason("03:00.0", NULL);
	tree_pci("0000:03:00.3", NET, "7", "snd_hda_intel");
	assert_reason("03:00.0", "IOMMU group 7: 0000:03:00.3 (snd_hda_intel); 'lkvm vfio bind "
				 "--group 0000:03:00.0'");
	for (char id[] = "0000:04:00.0"; id[11] < '8'; id[11]++)
		tree_pci(id, NET, "7", "xhci_hcd");
	assert_reason("03:00.0", " and 3 more; ");
	assert_int_equal(vfio_name_parse("03:00.0", &name), 0);
	others = vfio_group_others(tree_root, &name);
	for (const char *p = others; (p = strchr(p, '(')); p++)
		named++;
	assert_int_equal(named, 6);
	free(others);
}

static void test_no_iommu(void **state)
{
	tree_pci("0000:03:00.0", NET, "", "e1000e");
	assert_reason("03:00.0", "is in no IOMMU group");
	assert_int_equal(rmdir(tree_path("/sys/class/iommu/dmar0")), 0);
	assert_reason("03:00.0", "intel_iommu=on");
	tree_put("/proc/cmdline", "root=/dev/sda1 intel_iommu=on amd_iommu=off quiet\n");
	assert_reason("03:00.0", "booted with amd_iommu=off");
	/* This one still translates for VFIO. */
	tree_put("/proc/cmdline", "iommu=pt intel_iommu=offline\n");
	assert_reason("03:00.0", "has no IOMMU");
	/* Arm's have groups alone. */
	tree_folder("/sys/kernel/iommu_groups/1");
	assert_reason("03:00.0", "is in no IOMMU group");
}

static void test_mdev(void **state)
{
	tree_folder("/sys/bus/mdev/devices/" UUID);
	assert_reason(UUID, "no driver has it");
	tree_link("/sys/bus/mdev/devices/" UUID "/driver", "/sys/bus/mdev/drivers/mtty");
	assert_reason(UUID, NULL);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, begin, tree_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_what_is_not_there),
		CASE(test_bridge),
		CASE(test_driver),
		CASE(test_group),
		CASE(test_no_iommu),
		CASE(test_mdev),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
