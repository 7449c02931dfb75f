/* SPDX-License-Identifier: MIT */
/* What is said of the host's devices, where sysfs is not as it should be. */
#include "unit.h"

#include "lkvm/util.h"
#include "lkvm/vfio-host.h"
#include "vfio_tree.h"

#define ID   "0000:01:00.0"
#define REAL "/sys/devices/pci0000:00/" ID

static const char *fact(const struct host_facts *facts, const char *name)
{
	for (u32 i = 0; i < facts->nr; i++)
		if (!strcmp(facts->facts[i].name, name))
			return facts->facts[i].text;
	return "";
}

static void read_facts(struct host_pci_tree *t, struct host_facts *facts)
{
	host_pci_read(tree_root, t);
	assert_int_equal(t->nr, 1);
	host_facts_read(tree_root, t, &t->devices[0], facts);
}

/* No file but the link: nothing is known, and nothing fails. */
static void test_empty(void **state)
{
	struct host_pci_tree t;
	struct host_facts facts;

	(void)state;
	tree_pci(ID, "", "", "");
	read_facts(&t, &facts);
	assert_int_equal(facts.nr, 0);
	assert_int_equal(t.devices[0].vendor, 0);
	assert_int_equal(t.devices[0].group, HOST_PCI_NONE);
	assert_true(t.blind);
	host_facts_free(&facts);
	host_pci_free(&t);
}

static void test_garbage(void **state)
{
	struct host_pci_tree t;
	struct host_facts facts;

	(void)state;
	tree_pci(ID, "zz\n", "7", "bad\033[2Jdriver");
	tree_put(REAL "/vendor", "0x123456789\n");
	tree_put(REAL "/device", "\n");
	tree_put(REAL "/numa_node", "-1\n");
	tree_put(REAL "/reset_method", "flr\033[2J\n");
	tree_put(REAL "/sriov_totalvfs", "many\n");
	tree_put(REAL "/resource", "0x1000 0x1fff 0x200\n"
				   "x y z\n"
				   "0x2000\n"
				   "0x3000 0x2fff 0x200\n"
				   "0x0 0xffffffffffffffff 0x200\n"
				   "0xe000 0xe01f 0x101\n"
				   "0xf000 0xffff 0x0\n"
				   "0x1000 0x1fff 0x200\n");
	tree_put("/sys/kernel/iommu_groups/7/reserved_regions",
		 "0x1000\n0xfee00000 0xfeefffff msi\nfrom to nowhere\n  \n");
	read_facts(&t, &facts);
	assert_string_equal(t.devices[0].driver, "bad?[2Jdriver");
	assert_int_equal(t.devices[0].vendor, 0x6789);
	assert_int_equal(t.devices[0].class, 0);
	assert_int_equal(t.devices[0].group, 7);
	assert_string_equal(fact(&facts, "reset methods"), "flr?[2J");
	assert_string_equal(fact(&facts, "NUMA node"), "");
	assert_string_equal(fact(&facts, "SR-IOV"), "");
	assert_string_equal(fact(&facts, "BAR 0"), "0x1000, 4K");
	for (char n = '1'; n <= '4'; n++) {
		char name[] = "BAR n";

		name[4] = n;
		assert_string_equal(fact(&facts, name), "");
	}
	assert_string_equal(fact(&facts, "BAR 5"), "0xe000, 32B, ports");
	assert_string_equal(fact(&facts, "ROM"), "");
	assert_string_equal(fact(&facts, "reserved addresses"), "0xfee00000-0xfeefffff msi");
	host_facts_free(&facts);
	host_pci_free(&t);
}

/* Groups' names and links that lead nowhere, entries that are no devices. */
static void test_names(void **state)
{
	struct host_pci_tree t;

	(void)state;
	tree_pci(ID, "0x020000\n", "x7", "");
	tree_folder("/sys/bus/pci/devices/nonsense");
	tree_folder("/sys/bus/pci/devices/83b8f4f2-509f-382f-3c1e-e6bfe0fa1001");
	tree_link(REAL "/physfn", "/sys/devices/0000:09:00.0");
	host_pci_read(tree_root, &t);
	assert_int_equal(t.nr, 1);
	assert_int_equal(t.devices[0].group, HOST_PCI_NONE);
	assert_int_equal(t.devices[0].physfn, HOST_PCI_NONE);
	assert_int_equal(host_pci_find(&t, ID), 0);
	assert_int_equal(host_pci_find(&t, "0000:01:00.1"), HOST_PCI_NONE);
	host_pci_free(&t);
}

/* A tree that never ends upwards. */
static void test_circle(void **state)
{
	struct host_pci_tree t;

	(void)state;
	tree_folder("/sys/devices/0000:01:00.0/0000:02:00.0");
	tree_folder("/sys/devices/0000:02:00.0/0000:01:00.0");
	tree_link("/sys/bus/pci/devices/0000:02:00.0", "/sys/devices/0000:01:00.0/0000:02:00.0");
	tree_link("/sys/bus/pci/devices/0000:01:00.0", "/sys/devices/0000:02:00.0/0000:01:00.0");
	host_pci_read(tree_root, &t);
	assert_int_equal(t.nr, 2);
	assert_true(t.devices[0].parent == HOST_PCI_NONE || t.devices[1].parent == HOST_PCI_NONE);
	host_pci_free(&t);
}

static void test_facts_are_bounded(void **state)
{
	struct host_facts facts = { 0 };

	(void)state;
	for (u32 i = 0; i < 100; i++)
		host_facts_add(&facts, "name", "text");
	assert_int_equal(facts.nr, ARRAY_SIZE(facts.facts));
	host_facts_free(&facts);
	assert_int_equal(facts.nr, 0);
}

static void test_mdevs(void **state)
{
	static const char *const uuids[] = { "f3b8f4f2-509f-382f-3c1e-e6bfe0fa1001",
					     "03b8f4f2-509f-382f-3c1e-e6bfe0fa1001",
					     "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001" };
	struct host_mdevs m;
	char path[200], to[200];

	(void)state;
	for (u32 i = 0; i < ARRAY_SIZE(uuids); i++) {
		snprintf(to, sizeof(to), "/sys/devices/virtual/mtty/mtty/%s", uuids[i]);
		tree_folder(to);
		snprintf(path, sizeof(path), "/sys/bus/mdev/devices/%s", uuids[i]);
		tree_link(path, to);
	}
	tree_folder("/sys/bus/mdev/devices/nonsense");
	tree_link("/sys/bus/mdev/devices/03b8f4f2-509f-382f-3c1e-e6bfe0fa1001/mdev_type",
		  "/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-2");
	tree_put("/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-2/name", "Two\033\n");
	tree_put("/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-2/available_instances", "3\n");
	tree_folder("/sys/class/mdev_bus/mtty/mdev_supported_types/mtty-1");
	tree_folder("/sys/class/mdev_bus/another");
	host_mdevs_read(tree_root, &m);
	assert_int_equal(m.nr, 3);
	assert_string_equal(m.mdevs[0].uuid, uuids[1]);
	assert_string_equal(m.mdevs[0].parent, "mtty");
	assert_string_equal(m.mdevs[0].type, "mtty-2");
	assert_string_equal(m.mdevs[2].uuid, uuids[0]);
	assert_string_equal(m.mdevs[2].type, "");
	assert_int_equal(m.mdevs[2].group, HOST_PCI_NONE);
	assert_int_equal(m.nr_types, 2);
	assert_string_equal(m.types[0].type, "mtty-1");
	assert_int_equal(m.types[0].available, 0);
	assert_string_equal(m.types[1].name, "Two?");
	assert_int_equal(m.types[1].available, 3);
	host_mdevs_free(&m);
}

/* pci.ids, with lines that are none, too long, or of classes. */
static void test_ids(void **state)
{
	struct host_pci_tree t;
	char *list =
		xstrdup("#\tnothing\n\t10d3  Of nobody\n8087  Another\n\t10d3  Its own\n"
			"zz86  Bad\n8086 One blank\n8086\n8086  Some Corporation\n\t\t10d3 1234  "
			"Sub\n\tz0d3  Bad\n\t10d");

	(void)state;
	tree_pci(ID, "0x020000\n", "", "");
	tree_put(REAL "/vendor", "0x8086\n");
	tree_put(REAL "/device", "0x10d3\n");
	/* A long line, whose rest looks like what is looked for. */
	xappendf(&list, "\n%0255d\t10d3  Wrong\n\t10d3  Card\033\n\t10d3  Twice\nC 00  Class\n", 0);
	xappendf(&list, "\t10d4  No\n");
	host_pci_read(tree_root, &t);
	host_pci_name(tree_root, &t);
	assert_string_equal(t.devices[0].name, "");
	tree_put("/usr/share/hwdata/pci.ids", list);
	host_pci_name(tree_root, &t);
	assert_string_equal(t.devices[0].name, "Some Corporation Card?");
	*t.devices[0].name = '\0';
	t.devices[0].device = 0x10d4;
	host_pci_name(tree_root, &t);
	assert_string_equal(t.devices[0].name, "");
	free(list);
	host_pci_free(&t);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, tree_setup, tree_teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_empty),
		CASE(test_garbage),
		CASE(test_names),
		CASE(test_circle),
		cmocka_unit_test(test_facts_are_bounded),
		CASE(test_mdevs),
		CASE(test_ids),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
