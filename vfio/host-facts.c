/* SPDX-License-Identifier: MIT */
/*
 * What a device can do, from its config space (PCI Express 6.0, 7.8 and 9.3) and from sysfs: what
 * somebody asks who passes it through.
 */
#include <limits.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attr.h"
#include "lkvm/util.h"
#include "lkvm/vfio-host.h"

#define MAX_LINES 32U

/* Of a line of sysfs's "resource" (Linux include/linux/ioport.h). */
#define RESOURCE_IO	  0x100ULL
#define RESOURCE_MEM	  0x200ULL
#define RESOURCE_PREFETCH 0x2000ULL
#define RESOURCE_64	  0x100000ULL

void host_facts_add(struct host_facts *facts, const char *name, const char *text)
{
	struct host_fact *fact = &facts->facts[facts->nr];

	if (facts->nr == ARRAY_SIZE(facts->facts))
		return;
	*fact = (struct host_fact){ .name = name, .text = xstrdup(text) };
	text_mask(fact->text);
	facts->nr++;
}

/* Takes @text. */
static void add(struct host_facts *facts, const char *name, char *text)
{
	host_facts_add(facts, name, text);
	free(text);
}

void host_facts_free(struct host_facts *facts)
{
	for (u32 i = 0; i < facts->nr; i++)
		free(facts->facts[i].text);
	*facts = (struct host_facts){ 0 };
}

static const char *on_off(u32 bits)
{
	return bits ? "on" : "off";
}

/* Config space */

static const char *const port_types[] = {
	[PCI_EXP_TYPE_ENDPOINT] = "endpoint",
	[PCI_EXP_TYPE_LEG_END] = "legacy endpoint",
	[PCI_EXP_TYPE_ROOT_PORT] = "root port",
	[PCI_EXP_TYPE_UPSTREAM] = "upstream port",
	[PCI_EXP_TYPE_DOWNSTREAM] = "downstream port",
	[PCI_EXP_TYPE_PCI_BRIDGE] = "PCI Express-to-PCI bridge",
	[PCI_EXP_TYPE_PCIE_BRIDGE] = "PCI-to-PCI Express bridge",
	[PCI_EXP_TYPE_RC_END] = "integrated endpoint",
	[PCI_EXP_TYPE_RC_EC] = "event collector",
};

static void add_kind(struct host_facts *facts, const struct host_pci *dev)
{
	u32 type = host_pci_port_type(dev);
	const char *text = NULL;

	if (type < ARRAY_SIZE(port_types))
		text = port_types[type];
	else if (type == HOST_PCI_NONE && host_pci_is_known(dev))
		text = "conventional PCI";
	if (text)
		add(facts, "kind",
		    xasprintf("%s%s", text, dev->multifunction ? ", several functions" : ""));
}

static void add_acs(struct host_facts *facts, const struct host_pci *dev)
{
	char *on, *can;

	if (!dev->acs)
		return;
	on = host_acs_text(host_pci_config(dev, dev->acs + PCI_ACS_CTRL, 2), true);
	can = host_acs_text(host_pci_config(dev, dev->acs + PCI_ACS_CAP, 2), false);
	add(facts, "ACS", xasprintf("%s on; has %s", on, can));
	free(on);
	free(can);
}

static void add_translation(struct host_facts *facts, const struct host_pci *dev)
{
	u32 at = host_pci_ext_cap(dev, PCI_EXT_CAP_ID_ATS), cap;

	if (at) {
		cap = host_pci_config(dev, at + PCI_ATS_CAP, 2) & 0x1f;
		add(facts, "ATS",
		    xasprintf("%s, queue of %u",
			      on_off(host_pci_config(dev, at + PCI_ATS_CTRL, 2) &
				     PCI_ATS_CTRL_ENABLE),
			      cap ? cap : 32));
	}
	at = host_pci_ext_cap(dev, PCI_EXT_CAP_ID_PRI);
	if (at)
		host_facts_add(
			facts, "PRI",
			on_off(host_pci_config(dev, at + PCI_PRI_CTRL, 2) & PCI_PRI_CTRL_ENABLE));
	at = host_pci_ext_cap(dev, PCI_EXT_CAP_ID_PASID);
	if (at) {
		cap = host_pci_config(dev, at + PCI_PASID_CAP, 2);
		add(facts, "PASID",
		    xasprintf("%s, %u bits%s%s",
			      on_off(host_pci_config(dev, at + PCI_PASID_CTRL, 2) &
				     PCI_PASID_CTRL_ENABLE),
			      cap >> 8 & 0x1f, cap & PCI_PASID_CAP_EXEC ? ", execute" : "",
			      cap & PCI_PASID_CAP_PRIV ? ", privileged" : ""));
	}
}

/* sysfs */

static void add_functions(const char *root, struct host_facts *facts,
			  const struct host_pci_tree *tree, const struct host_pci *dev)
{
	u64 total = vfio_attr_number(root, dev->sysfs, "sriov_totalvfs", 0);
	u64 made = vfio_attr_number(root, dev->sysfs, "sriov_numvfs", 0);
	char *text;

	if (dev->physfn != HOST_PCI_NONE)
		add(facts, "SR-IOV",
		    xasprintf("a virtual function of %s", tree->devices[dev->physfn].id));
	if (!total)
		return;
	text = xasprintf("%llu of %llu virtual functions", made, total);
	for (u32 i = 0, n = 0; i < tree->nr; i++)
		if (tree->devices[i].physfn == (u32)(dev - tree->devices))
			xappendf(&text, "%s%s", n++ ? ", " : ": ", tree->devices[i].id);
	add(facts, "SR-IOV", text);
}

/* The lines of a file, without empty ones. */
static u32 read_lines(const char *root, const char *dir, const char *name, char *buf, size_t size,
		      char **lines)
{
	char *path = xasprintf("%s%s/%s", root, dir, name), *rest = buf, *line;
	FILE *file = fopen(path, "re");
	size_t n = 0;
	u32 nr = 0;

	free(path);
	if (file) {
		n = fread(buf, 1, size - 1, file);
		fclose(file);
	}
	buf[n] = '\0';
	while (nr < MAX_LINES && (line = strsep(&rest, "\n")))
		if (*line)
			lines[nr++] = line;
	return nr;
}

/* "0x00000000febc0000 0x00000000febdffff 0x0000000000040200". */
static u32 split_numbers(char *line, u64 *out, u32 max)
{
	char *word;
	u32 n = 0;

	while (n < max && (word = strsep(&line, " ")))
		if (*word && parse_u64(word, &out[n++]))
			return 0;
	return n;
}

static void add_bars(const char *root, struct host_facts *facts, const struct host_pci *dev)
{
	static const char *const names[] = { "BAR 0", "BAR 1", "BAR 2", "BAR 3",
					     "BAR 4", "BAR 5", "ROM" };
	char buf[4096], *lines[MAX_LINES], size[32];
	u32 nr = read_lines(root, dev->sysfs, "resource", buf, sizeof(buf), lines);
	u64 r[3];

	for (u32 i = 0; i < nr && i < ARRAY_SIZE(names); i++) {
		if (split_numbers(lines[i], r, 3) != 3 || r[1] <= r[0] || r[1] == UINT64_MAX ||
		    !(r[2] & (RESOURCE_IO | RESOURCE_MEM)))
			continue;
		add(facts, names[i],
		    xasprintf("0x%llx, %s%s%s%s", r[0],
			      format_size(r[1] - r[0] + 1, size, sizeof(size)),
			      r[2] & RESOURCE_IO ? ", ports" : "",
			      r[2] & RESOURCE_64 ? ", 64-bit" : "",
			      r[2] & RESOURCE_PREFETCH ? ", prefetchable" : ""));
	}
}

/* Of a search for a device's cdev. */
struct cdev {
	const char *root, *folder;
	char *name; /* 32 bytes */
};

/* Linux without cdevs has the entry too, but no device number in it. */
static int is_cdev(void *opaque, const char *entry)
{
	const struct cdev *cdev = opaque;
	char number[40];

	if (strncmp(entry, "vfio", 4) || strlen(entry) >= 32)
		return 0;
	snprintf(number, sizeof(number), "%s/dev", entry);
	if (!vfio_attr_exists(cdev->root, cdev->folder, number))
		return 0;
	strcpy(cdev->name, entry);
	return 1;
}

bool host_vfio_cdev(const char *root, const char *sysfs, char *name)
{
	char *folder = xasprintf("%s/vfio-dev", sysfs);
	struct cdev cdev = { .root = root, .folder = folder, .name = name };
	bool has = vfio_attr_each(root, folder, is_cdev, &cdev);

	free(folder);
	return has;
}

static void add_nodes(const char *root, struct host_facts *facts, const struct host_pci *dev)
{
	char *text = xstrdup(""), name[32], node[48];

	if (host_vfio_cdev(root, dev->sysfs, name))
		xappendf(&text, "/dev/vfio/devices/%s", name);
	snprintf(node, sizeof(node), "/dev/vfio/%u", dev->group);
	if (dev->group != HOST_PCI_NONE && vfio_attr_exists(root, node, ""))
		xappendf(&text, "%s%s", *text ? ", " : "", node);
	if (*text)
		host_facts_add(facts, "node", text);
	free(text);
}

/* Addresses that devices of the group cannot use for memory: "0xfee00000-0xfeefffff msi". */
static void add_reserved(const char *root, struct host_facts *facts, const struct host_pci *dev)
{
	char buf[4096], *lines[MAX_LINES], dir[64], *text = xstrdup("");
	u32 nr;

	snprintf(dir, sizeof(dir), "/sys/kernel/iommu_groups/%u", dev->group);
	nr = read_lines(root, dir, "reserved_regions", buf, sizeof(buf), lines);
	for (u32 i = 0; i < nr; i++) {
		char *from = strsep(&lines[i], " "), *to = strsep(&lines[i], " ");
		u64 start, last;

		if (!to || !lines[i] || parse_u64(from, &start) || parse_u64(to, &last))
			continue;
		xappendf(&text, "%s0x%llx-0x%llx %s", *text ? ", " : "", start, last, lines[i]);
	}
	if (*text)
		host_facts_add(facts, "reserved addresses", text);
	free(text);
}

void host_facts_read(const char *root, const struct host_pci_tree *tree, const struct host_pci *dev,
		     struct host_facts *out)
{
	char line[128];
	u64 node;

	*out = (struct host_facts){ 0 };
	if (dev->config_len && !host_pci_is_known(dev))
		host_facts_add(out, "capabilities", "not readable; run as root");
	add_kind(out, dev);
	add_acs(out, dev);
	add_translation(out, dev);
	add_functions(root, out, tree, dev);
	if (!vfio_attr_read(root, dev->sysfs, "reset_method", line, sizeof(line)))
		host_facts_add(out, "reset methods", *line ? line : "none");
	/* -1: the host has no nodes. */
	node = vfio_attr_number(root, dev->sysfs, "numa_node", UINT64_MAX);
	if (node <= INT_MAX)
		add(out, "NUMA node", xasprintf("%llu", node));
	add_bars(root, out, dev);
	add_nodes(root, out, dev);
	if (dev->group != HOST_PCI_NONE)
		add_reserved(root, out, dev);
}
