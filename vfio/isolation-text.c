/* SPDX-License-Identifier: MIT */
/* Groups, ACS and classes in words. */
#include <linux/pci_regs.h>
#include <stdlib.h>

#include "lkvm/util.h"
#include "lkvm/vfio-host.h"
#include "pci-acs.h"

struct bit_name {
	u32 bit;
	const char *name;
};

/* PCI Express 6.0, 7.7.11.2 and 7.7.11.3, with the specification's letters. */
static const struct bit_name acs_bits[] = {
	{ PCI_ACS_SV, "SV" }, { PCI_ACS_TB, "TB" }, { PCI_ACS_RR, "RR" }, { PCI_ACS_CR, "CR" },
	{ PCI_ACS_UF, "UF" }, { PCI_ACS_EC, "EC" }, { PCI_ACS_DT, "DT" }, { 0 },
};
static const struct bit_name acs_cap_bits[] = { { ACS_ENHANCED, "enhanced" }, { 0 } };
static const struct bit_name acs_control_bits[] = {
	{ ACS_IO_BLOCK, "IB" },
	{ ACS_DSP_BLOCK, "DSP-block" },
	{ ACS_DSP_REDIRECT, "DSP-redirect" },
	{ ACS_USP_BLOCK, "USP-block" },
	{ ACS_USP_REDIRECT, "USP-redirect" },
	{ ACS_UNCLAIMED, "USR" },
	{ 0 },
};

static void add_names(char **text, const struct bit_name *names, u32 bits)
{
	for (; names->name; names++)
		if (bits & names->bit)
			xappendf(text, "%s%s", **text ? " " : "", names->name);
}

char *host_acs_text(u32 bits, bool control)
{
	char *text = xstrdup("");

	add_names(&text, acs_bits, bits);
	add_names(&text, control ? acs_control_bits : acs_cap_bits, bits);
	if (!*text)
		xappendf(&text, "-");
	return text;
}

/* " without ACS", or which bits are off. */
static void add_acs(char **text, const struct host_pci *dev, u32 rules)
{
	char *bits;

	if (!dev->acs) {
		xappendf(text, " without ACS");
		return;
	}
	bits = host_acs_text(
		host_acs_missing(dev, rules & HOST_RULES_OLD ? HOST_RULES_OLD : HOST_RULES_NEW),
		true);
	xappendf(text, " whose ACS is off (%s)", bits);
	free(bits);
}

static const char *const cause_words[] = {
	[HOST_CAUSE_ROOT_PORT] = "root-port-acs",
	[HOST_CAUSE_SWITCH_PORT] = "downstream-port-acs",
	[HOST_CAUSE_SWITCH] = "switch-acs",
	[HOST_CAUSE_UPSTREAM] = "upstream-port-acs",
	[HOST_CAUSE_PCI_BRIDGE] = "pcie-to-pci-bridge",
	[HOST_CAUSE_CONVENTIONAL] = "conventional-pci",
	[HOST_CAUSE_FUNCTIONS] = "multi-function-acs",
};

const char *host_cause_word(enum host_cause_kind kind)
{
	return cause_words[kind];
}

char *host_cause_text(const struct host_pci_tree *tree, const struct host_cause *cause)
{
	const struct host_pci *dev = &tree->devices[cause->at];
	u32 secondary = host_pci_config(dev, PCI_SECONDARY_BUS, 1);
	char *text = xstrdup(dev->id);

	switch (cause->kind) {
	case HOST_CAUSE_ROOT_PORT:
		xappendf(&text, " is a root port");
		add_acs(&text, dev, cause->rules);
		xappendf(&text, ": what is below it may reach it and each other");
		break;
	case HOST_CAUSE_SWITCH_PORT:
		xappendf(&text, " is a switch's downstream port");
		add_acs(&text, dev, cause->rules);
		xappendf(&text, ": what is below it may reach it and each other");
		break;
	case HOST_CAUSE_SWITCH:
		xappendf(&text, " is a switch's downstream port");
		add_acs(&text, dev, cause->rules);
		xappendf(&text, ": what is below it may reach all that is below the switch");
		break;
	case HOST_CAUSE_UPSTREAM:
		xappendf(&text, " is an upstream port and one of several functions,");
		add_acs(&text, dev, cause->rules);
		break;
	case HOST_CAUSE_PCI_BRIDGE:
		xappendf(&text,
			 " is a PCI Express-to-PCI bridge: requests from behind it come as "
			 "%04x:%02x:00.0's, and nothing keeps devices of a PCI bus apart",
			 dev->domain, secondary);
		break;
	case HOST_CAUSE_CONVENTIONAL:
		xappendf(&text, " is a conventional PCI bridge: requests from behind it come as "
				"its own, and nothing keeps devices of a PCI bus apart");
		break;
	case HOST_CAUSE_FUNCTIONS:
		xappendf(&text, " is a function");
		if (dev->exp)
			add_acs(&text, dev, cause->rules);
		else
			xappendf(&text, " without PCI Express, so without ACS");
		xappendf(&text, ": it may reach the other functions of its device");
		break;
	}
	return text;
}

/* Base class and subclass (PCI Code and ID Assignment Specification 1.11, 1); a subclass of 0xff
 * stands for the rest of its class. */
static const struct {
	u16 class;
	const char *text;
} classes[] = {
	{ 0x0001, "old VGA" },
	{ 0x0100, "SCSI controller" },
	{ 0x0101, "IDE controller" },
	{ 0x0104, "RAID controller" },
	{ 0x0106, "SATA controller" },
	{ 0x0107, "SAS controller" },
	{ 0x0108, "NVMe controller" },
	{ 0x01ff, "storage controller" },
	{ 0x0200, "Ethernet controller" },
	{ 0x0207, "InfiniBand controller" },
	{ 0x02ff, "network controller" },
	{ 0x0300, "VGA controller" },
	{ 0x0302, "3D controller" },
	{ 0x03ff, "display controller" },
	{ 0x0401, "audio device" },
	{ 0x0403, "audio device" },
	{ 0x04ff, "multimedia device" },
	{ 0x05ff, "memory controller" },
	{ 0x0600, "host bridge" },
	{ 0x0601, "ISA bridge" },
	{ 0x0604, "PCI bridge" },
	{ 0x0607, "CardBus bridge" },
	{ 0x06ff, "bridge" },
	{ 0x0700, "serial port" },
	{ 0x07ff, "communication controller" },
	{ 0x0806, "IOMMU" },
	{ 0x08ff, "system peripheral" },
	{ 0x09ff, "input device" },
	{ 0x0bff, "processor" },
	{ 0x0c03, "USB controller" },
	{ 0x0c05, "SMBus controller" },
	{ 0x0cff, "serial bus controller" },
	{ 0x0dff, "wireless controller" },
	{ 0x10ff, "encryption controller" },
	{ 0x11ff, "signal processor" },
	{ 0x12ff, "accelerator" },
};

const char *host_class_text(u32 class)
{
	u32 known = class >> 8;

	for (size_t i = 0; i < ARRAY_SIZE(classes); i++)
		if (classes[i].class == known || classes[i].class == (known | 0xff))
			return classes[i].text;
	return "device";
}
