/* SPDX-License-Identifier: MIT */
/* Which devices cannot be kept apart, over trees of config space in folders. */
#include "unit.h"

#include <linux/pci_regs.h>

#include "lkvm/util.h"
#include "lkvm/vfio-host.h"
#include "vfio_tree.h"

#define ALL 0x1f /* SV TB RR CR UF */

/* Where things are in the config space that put() makes. */
#define EXP_AT	0x40
#define ACS_AT	0x148
#define NO_CAP	0xff /* for type: no PCI Express */
#define NO_ACS	-1
#define NO_TYPE NO_CAP

struct function {
	const char *path; /* the bridges above it and itself, by address, with '/' between */
	u8 type;
	bool multi;
	int acs, control;
	const char *group;
};

static u8 made[4096];

static void make(const struct function *f, bool bridge)
{
	memset(made, 0, sizeof(made));
	put_le(made, 4, 0x12348086);
	made[PCI_HEADER_TYPE] = (u8)((bridge ? 1 : 0) | (f->multi ? 0x80 : 0));
	made[PCI_CLASS_REVISION + 3] = bridge ? 6 : 2;
	made[PCI_CLASS_REVISION + 2] = bridge ? 4 : 0;
	if (bridge)
		made[PCI_SECONDARY_BUS] = 5;
	if (f->type == NO_CAP)
		return;
	made[PCI_STATUS] = PCI_STATUS_CAP_LIST;
	made[PCI_CAPABILITY_LIST] = EXP_AT;
	made[EXP_AT] = PCI_CAP_ID_EXP;
	put_le(made + EXP_AT + PCI_EXP_FLAGS, 2, 2u | (u32)f->type << 4);
	put_le(made + 0x100, 4, PCI_EXT_CAP_ID_ERR | 1 << 16 | (f->acs >= 0 ? ACS_AT << 20 : 0));
	if (f->acs < 0)
		return;
	put_le(made + ACS_AT, 4, PCI_EXT_CAP_ID_ACS | 1 << 16);
	put_le(made + ACS_AT + PCI_ACS_CAP, 2, (u32)f->acs);
	put_le(made + ACS_AT + PCI_ACS_CTRL, 2, (u32)f->control);
}

static void put_made(const struct function *f, size_t len)
{
	const char *id = strrchr(f->path, '/') ? strrchr(f->path, '/') + 1 : f->path;
	char *real = xasprintf("/sys/devices/pci0000:00/%s", f->path);
	char *link = xasprintf("/sys/bus/pci/devices/%s", id);
	char *config = xasprintf("%s/config", real), *group = xasprintf("%s/iommu_group", real);
	char *to = xasprintf("/sys/kernel/iommu_groups/%s", f->group ? f->group : "");
	FILE *file;

	tree_folder(real);
	tree_link(link, real);
	file = fopen(tree_path(config), "w");
	assert_non_null(file);
	assert_int_equal(fwrite(made, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
	if (f->group)
		tree_link(group, to);
	free(real);
	free(link);
	free(config);
	free(group);
	free(to);
}

static void put(const struct function *f, u32 nr)
{
	for (u32 i = 0; i < nr; i++) {
		bool bridge = false;

		/* What has something below it. */
		for (u32 j = 0; j < nr; j++)
			bridge |= strlen(f[j].path) > strlen(f[i].path) &&
				  !strncmp(f[j].path, f[i].path, strlen(f[i].path)) &&
				  f[j].path[strlen(f[i].path)] == '/';
		make(&f[i], bridge);
		put_made(&f[i], sizeof(made));
	}
}

#define PUT(list) put(list, ARRAY_SIZE(list))

/* "KIND RULES AT: MEMBER MEMBER...", a line each; bus numbers and on are enough. */
static char *causes(const struct host_pci_tree *t)
{
	char *text = xstrdup("");

	for (u32 i = 0; i < t->nr_causes; i++) {
		const struct host_cause *c = &t->causes[i];

		xappendf(&text, "%s%s %s%s %s:", i ? "\n" : "", host_cause_word(c->kind),
			 c->rules & HOST_RULES_OLD ? "o" : "", c->rules & HOST_RULES_NEW ? "n" : "",
			 t->devices[c->at].id + 5);
		for (u32 j = 0; j < c->nr_members; j++)
			xappendf(&text, " %s", t->devices[c->members[j]].id + 5);
	}
	return text;
}

static void expect(const char *what)
{
	struct host_pci_tree t;
	char *found;

	host_pci_read(tree_root, &t);
	found = causes(&t);
	assert_string_equal(found, what);
	free(found);
	host_pci_free(&t);
}

/* Root ports */

static struct function root_port[] = {
	{ "0000:00:1c.0", PCI_EXP_TYPE_ROOT_PORT, false, ALL, ALL, "1" },
	{ "0000:00:1c.0/0000:01:00.0", PCI_EXP_TYPE_ENDPOINT, false, NO_ACS, 0, "2" },
};

static void test_root_port(void **state)
{
	struct host_pci_tree t;

	(void)state;
	PUT(root_port);
	expect("");
	host_pci_read(tree_root, &t);
	assert_int_equal(t.nr, 2);
	assert_false(t.blind);
	assert_int_equal(t.devices[1].parent, 0);
	assert_int_equal(t.devices[1].group, 2);
	assert_int_equal(t.devices[1].vendor, 0x8086);
	assert_int_equal(t.devices[1].device, 0x1234);
	assert_string_equal(host_class_text(t.devices[1].class), "Ethernet controller");
	host_pci_free(&t);
}

static void test_root_port_without(void **state)
{
	struct function f[] = { root_port[0], root_port[1] };

	(void)state;
	f[0].acs = NO_ACS;
	PUT(f);
	/* The newer rules trust it. */
	expect("root-port-acs o 00:1c.0: 00:1c.0 01:00.0");
}

static void test_root_port_off(void **state)
{
	struct function f[] = { root_port[0], root_port[1] };
	struct host_pci_tree t;
	char *text;

	(void)state;
	f[0].control = PCI_ACS_SV | PCI_ACS_UF;
	PUT(f);
	expect("root-port-acs on 00:1c.0: 00:1c.0 01:00.0");
	host_pci_read(tree_root, &t);
	text = host_cause_text(&t, &t.causes[0]);
	assert_non_null(strstr(text, "0000:00:1c.0 is a root port whose ACS is off (RR CR)"));
	free(text);
	assert_true(host_cause_is_split(&t, &t.causes[0]));
	assert_int_equal(host_cause_in_group(&t, &t.causes[0], 2), 1);
	host_pci_free(&t);
	/* What it cannot do need not be on. */
	f[0].acs = PCI_ACS_SV | PCI_ACS_UF;
	PUT(f);
	expect("");
}

static void test_root_port_enhanced(void **state)
{
	struct function f[] = { root_port[0], root_port[1] };

	(void)state;
	f[0].acs = ALL | 0x80;
	PUT(f);
	expect("root-port-acs n 00:1c.0: 00:1c.0 01:00.0");
	f[0].control = ALL | 0x200;
	PUT(f);
	expect("");
}

/* Switches */

#define UP "0000:00:1c.0/0000:01:00.0"
static struct function a_switch[] = {
	{ "0000:00:1c.0", PCI_EXP_TYPE_ROOT_PORT, false, ALL, ALL, "1" },
	{ UP, PCI_EXP_TYPE_UPSTREAM, false, NO_ACS, 0, "2" },
	{ UP "/0000:02:00.0", PCI_EXP_TYPE_DOWNSTREAM, false, ALL, ALL, "3" },
	{ UP "/0000:02:01.0", PCI_EXP_TYPE_DOWNSTREAM, false, ALL, ALL, "4" },
	{ UP "/0000:02:00.0/0000:03:00.0", PCI_EXP_TYPE_ENDPOINT, false, NO_ACS, 0, "5" },
	{ UP "/0000:02:01.0/0000:04:00.0", PCI_EXP_TYPE_ENDPOINT, false, NO_ACS, 0, "6" },
};

static void test_switch(void **state)
{
	(void)state;
	PUT(a_switch);
	expect("");
}

static void test_switch_leaks(void **state)
{
	struct function f[ARRAY_SIZE(a_switch)];
	struct host_pci_tree t;

	(void)state;
	memcpy(f, a_switch, sizeof(f));
	f[3].control = 0;
	PUT(f);
	expect("switch-acs n 02:01.0: 02:00.0 02:01.0 03:00.0 04:00.0\n"
	       "downstream-port-acs o 02:01.0: 02:01.0 04:00.0");
	f[3].acs = NO_ACS;
	/* As an older kernel reports it. */
	f[5].group = "4";
	PUT(f);
	/* Its requests reach the other port's device. */
	expect("switch-acs n 02:01.0: 02:00.0 02:01.0 03:00.0 04:00.0\n"
	       "downstream-port-acs o 02:01.0: 02:01.0 04:00.0");
	host_pci_read(tree_root, &t);
	assert_true(host_cause_is_split(&t, &t.causes[0]));
	assert_false(host_cause_is_split(&t, &t.causes[1]));
	host_pci_free(&t);
	/* One that is in no group is in no wrong one. */
	for (u32 i = 2; i < ARRAY_SIZE(f); i++)
		f[i].group = "3";
	PUT(f);
	tree_gone("/sys/devices/pci0000:00/" UP "/0000:02:01.0/0000:04:00.0/iommu_group");
	host_pci_read(tree_root, &t);
	assert_false(host_cause_is_split(&t, &t.causes[0]));
	host_pci_free(&t);
}

/* Memory of the ports' own, and of the upstream one's, is reached beside the older bits. */
static void test_switch_enhanced(void **state)
{
	static const char leaks[] = "switch-acs n 02:01.0: 02:00.0 02:01.0 03:00.0 04:00.0";
	struct function f[ARRAY_SIZE(a_switch)];

	(void)state;
	memcpy(f, a_switch, sizeof(f));
	f[3].acs = ALL | 0x80;
	f[3].control = ALL | 0x200;
	PUT(f);
	expect(leaks);
	f[3].control = ALL | 0x800;
	PUT(f);
	expect(leaks);
	f[3].control = ALL | 0xa00;
	PUT(f);
	expect("");
}

/* What is above them lets requests turn round, however good the switch. */
static void test_switch_below(void **state)
{
	struct function f[ARRAY_SIZE(a_switch)];

	(void)state;
	memcpy(f, a_switch, sizeof(f));
	f[0].control = 0;
	PUT(f);
	expect("root-port-acs on 00:1c.0: 00:1c.0 01:00.0 02:00.0 02:01.0 03:00.0 04:00.0");
}

static void test_upstream_functions(void **state)
{
	struct function f[] = {
		a_switch[0],
		a_switch[1],
		{ "0000:00:1c.0/0000:01:00.1", PCI_EXP_TYPE_ENDPOINT, true, NO_ACS, 0, "2" },
		a_switch[2],
	};

	(void)state;
	f[1].multi = true;
	PUT(f);
	expect("upstream-port-acs o 01:00.0: 01:00.0 02:00.0\n"
	       "multi-function-acs o 01:00.0: 01:00.0 01:00.1");
}

/* PCI */

static void test_pci_bridge(void **state)
{
	struct function f[] = {
		root_port[0],
		{ UP, PCI_EXP_TYPE_PCI_BRIDGE, false, NO_ACS, 0, "2" },
		{ UP "/0000:05:00.0", NO_TYPE, false, NO_ACS, 0, "2" },
		{ UP "/0000:05:01.0", NO_TYPE, false, NO_ACS, 0, "2" },
	};
	struct host_pci_tree t;
	char *text;

	(void)state;
	PUT(f);
	expect("pcie-to-pci-bridge o 01:00.0: 01:00.0 05:00.0 05:01.0\n"
	       "pcie-to-pci-bridge n 01:00.0: 05:00.0 05:01.0");
	host_pci_read(tree_root, &t);
	text = host_cause_text(&t, &t.causes[0]);
	assert_non_null(strstr(text, "come as 0000:05:00.0's"));
	free(text);
	assert_false(host_cause_is_split(&t, &t.causes[0]));
	host_pci_free(&t);
}

static void test_conventional(void **state)
{
	struct function f[] = {
		{ "0000:00:1e.0", NO_TYPE, false, NO_ACS, 0, "1" },
		{ "0000:00:1e.0/0000:05:00.0", NO_TYPE, false, NO_ACS, 0, "1" },
		/* On the root bus, which counts as one that isolates. */
		{ "0000:00:02.0", NO_TYPE, false, NO_ACS, 0, "2" },
	};

	(void)state;
	PUT(f);
	expect("conventional-pci o 00:1e.0: 00:1e.0 05:00.0");
}

/* Devices of several functions */

static struct function functions[] = {
	{ "0000:00:1c.0", PCI_EXP_TYPE_ROOT_PORT, false, ALL, ALL, "1" },
	{ "0000:00:1c.0/0000:01:00.0", PCI_EXP_TYPE_ENDPOINT, true, ALL, ALL, "2" },
	{ "0000:00:1c.0/0000:01:00.1", PCI_EXP_TYPE_ENDPOINT, true, ALL, ALL, "3" },
	{ "0000:00:1c.0/0000:01:00.2", PCI_EXP_TYPE_ENDPOINT, true, ALL, ALL, "4" },
};

static void test_functions(void **state)
{
	struct function f[ARRAY_SIZE(functions)];

	(void)state;
	PUT(functions);
	expect("");
	memcpy(f, functions, sizeof(f));
	/* Without the capability: trusted by the newer rules. */
	f[1].acs = f[2].acs = NO_ACS;
	PUT(f);
	expect("multi-function-acs o 01:00.0: 01:00.0 01:00.1");
	/* One with it, but off, reaches all. */
	memcpy(f, functions, sizeof(f));
	f[2].control = 0;
	PUT(f);
	expect("multi-function-acs n 01:00.1: 01:00.0 01:00.1 01:00.2");
	f[1].control = f[3].control = 0;
	PUT(f);
	expect("multi-function-acs on 01:00.0: 01:00.0 01:00.1 01:00.2");
}

static void test_integrated(void **state)
{
	struct function f[] = {
		{ "0000:00:02.0", PCI_EXP_TYPE_RC_END, false, NO_ACS, 0, "1" },
		{ "0000:00:1f.0", NO_TYPE, true, NO_ACS, 0, "2" },
		{ "0000:00:1f.3", PCI_EXP_TYPE_RC_END, true, NO_ACS, 0, "2" },
	};

	(void)state;
	PUT(f);
	expect("multi-function-acs o 00:1f.0: 00:1f.0 00:1f.3");
}

/* With ARI eight functions are not all; a virtual one is apart from its own. */
static void test_ari(void **state)
{
	struct function f[] = {
		functions[0],
		functions[1],
		{ "0000:00:1c.0/0000:01:01.0", PCI_EXP_TYPE_ENDPOINT, true, NO_ACS, 0, "2" },
		{ "0000:00:1c.0/0000:01:00.4", PCI_EXP_TYPE_ENDPOINT, false, NO_ACS, 0, "9" },
	};

	(void)state;
	f[1].acs = NO_ACS;
	PUT(f);
	tree_link("/sys/devices/pci0000:00/0000:00:1c.0/0000:01:00.4/physfn",
		  "/sys/devices/pci0000:00/0000:00:1c.0/0000:01:00.0");
	expect("");
	make(&f[0], true);
	put_le(made + EXP_AT + PCI_EXP_DEVCTL2, 2, PCI_EXP_DEVCTL2_ARI);
	put_made(&f[0], sizeof(made));
	expect("multi-function-acs o 01:00.0: 01:00.0 01:01.0");
}

/* Config space that lies, or is not there */

static void test_loops(void **state)
{
	struct host_pci_tree t;

	(void)state;
	make(&root_port[1], false);
	/* Both chains lead back, and never to what is looked for. */
	made[EXP_AT] = PCI_CAP_ID_PM;
	made[EXP_AT + 1] = EXP_AT;
	put_le(made + 0x100, 4, PCI_EXT_CAP_ID_ERR | 1 << 16 | 0x100 << 20);
	put_made(&root_port[1], sizeof(made));
	host_pci_read(tree_root, &t);
	assert_int_equal(t.nr, 1);
	assert_int_equal(t.devices[0].exp, 0);
	assert_int_equal(t.devices[0].acs, 0);
	assert_int_equal(t.devices[0].parent, HOST_PCI_NONE);
	host_pci_free(&t);
}

/* The chain goes on where nothing could be read. */
static void test_truncated(void **state)
{
	static const size_t lens[] = { 0, 1, 15, 63, 64, 65, 255, 256, 257, 0x14c };
	struct host_pci_tree t;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lens); i++) {
		make(&functions[1], false);
		put_made(&functions[1], lens[i]);
		host_pci_read(tree_root, &t);
		assert_int_equal(t.devices[0].config_len, lens[i]);
		assert_int_equal(t.blind, lens[i] < 256);
		assert_int_equal(t.devices[0].exp, lens[i] >= EXP_AT + 4 ? EXP_AT : 0);
		/* The header of the capability alone. */
		if (lens[i] == 0x14c)
			assert_int_equal(t.devices[0].acs, ACS_AT);
		host_pci_free(&t);
	}
}

/* Not root: nothing is claimed of what could not be seen. */
static void test_blind(void **state)
{
	struct function f[] = { root_port[0], root_port[1] };

	(void)state;
	for (u32 i = 0; i < 2; i++) {
		make(&f[i], !i);
		put_made(&f[i], 64);
	}
	for (u32 i = 1; i < ARRAY_SIZE(functions); i++) {
		make(&functions[i], false);
		put_made(&functions[i], 64);
	}
	expect("");
}

static void test_words(void **state)
{
	char *text;

	(void)state;
	text = host_acs_text(0x7f | 0x80, false);
	assert_string_equal(text, "SV TB RR CR UF EC DT enhanced");
	free(text);
	text = host_acs_text(0x1d | 0x80 | 0x200 | 0x800 | 0x1000, true);
	assert_string_equal(text, "SV RR CR UF IB DSP-redirect USP-redirect USR");
	free(text);
	text = host_acs_text(0, true);
	assert_string_equal(text, "-");
	free(text);
	assert_string_equal(host_class_text(0x010802), "NVMe controller");
	assert_string_equal(host_class_text(0x018000), "storage controller");
	assert_string_equal(host_class_text(0xff0000), "device");
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, tree_setup, tree_teardown)
	const struct CMUnitTest tests[] = {
		CASE(test_root_port),
		CASE(test_root_port_without),
		CASE(test_root_port_off),
		CASE(test_root_port_enhanced),
		CASE(test_switch),
		CASE(test_switch_leaks),
		CASE(test_switch_enhanced),
		CASE(test_switch_below),
		CASE(test_upstream_functions),
		CASE(test_pci_bridge),
		CASE(test_conventional),
		CASE(test_functions),
		CASE(test_integrated),
		CASE(test_ari),
		CASE(test_loops),
		CASE(test_truncated),
		CASE(test_blind),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
