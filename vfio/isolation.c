/* SPDX-License-Identifier: MIT */
/*
 * What cannot be kept apart (see include/lkvm/vfio-host.h), by the rules by which Linux makes
 * groups (drivers/iommu/iommu.c, drivers/pci): each bridge and each device of several functions is
 * asked whether it isolates; those that do not are causes, whose members belong together.
 *
 * By the older rules a port that lets requests turn round has everything below it in its group,
 * and two functions of a device are apart when either is. By the newer ones one downstream port
 * that redirects nothing makes all below its switch one group, because its requests reach the
 * others' devices; so do all functions of a device of which one has ACS that is off. A port or a
 * function without the capability is trusted there: it has no such path (PCI Express 6.0, 6.12.1).
 */
#include <linux/pci_regs.h>
#include <stdlib.h>

#include "lkvm/util.h"
#include "lkvm/vfio-host.h"
#include "pci-acs.h"

/* What isolation needs, where the device has it. */
#define ISOLATED (PCI_ACS_SV | PCI_ACS_RR | PCI_ACS_CR | PCI_ACS_UF)

u32 host_acs_missing(const struct host_pci *dev, u32 rules)
{
	u32 cap, control, type = host_pci_port_type(dev);
	u32 missing;

	if (!dev->acs)
		return ISOLATED;
	cap = host_pci_config(dev, dev->acs + PCI_ACS_CAP, 2);
	control = host_pci_config(dev, dev->acs + PCI_ACS_CTRL, 2);
	/* What a device cannot do it need not be kept from. */
	missing = ISOLATED & cap & ~control;
	if (rules != HOST_RULES_NEW || !(cap & ACS_ENHANCED))
		return missing;
	/* Memory of the ports' own, which the older bits leave alone. */
	if (type == PCI_EXP_TYPE_ROOT_PORT || type == PCI_EXP_TYPE_DOWNSTREAM)
		missing |= ACS_DSP_REDIRECT & ~control;
	if (type == PCI_EXP_TYPE_DOWNSTREAM)
		missing |= ACS_USP_REDIRECT & ~control;
	return missing;
}

/* By the older rules: does it keep apart what meets in it? */
static bool isolates(const struct host_pci *dev)
{
	switch (host_pci_port_type(dev)) {
	case HOST_PCI_NONE:
	case PCI_EXP_TYPE_PCI_BRIDGE:
	case PCI_EXP_TYPE_PCIE_BRIDGE:
	case PCI_EXP_TYPE_RC_EC:
		return false;
	case PCI_EXP_TYPE_ROOT_PORT:
	case PCI_EXP_TYPE_DOWNSTREAM:
		break;
	default:
		if (!dev->multifunction)
			return true;
	}
	return dev->acs && !host_acs_missing(dev, HOST_RULES_OLD);
}

/* By the newer ones, for a port or a function: only ACS that is off betrays a path. */
static bool betrays(const struct host_pci *dev)
{
	return dev->acs && host_acs_missing(dev, HOST_RULES_NEW);
}

static bool is_below(const struct host_pci_tree *tree, u32 device, u32 bridge)
{
	while (device != HOST_PCI_NONE && device != bridge)
		device = tree->devices[device].parent;
	return device == bridge;
}

static struct host_cause *add_cause(struct host_pci_tree *tree, enum host_cause_kind kind,
				    u32 rules, u32 at)
{
	struct host_cause *cause;

	tree->causes = xrealloc(tree->causes, (tree->nr_causes + 1) * sizeof(*tree->causes));
	cause = &tree->causes[tree->nr_causes++];
	*cause = (struct host_cause){ .kind = kind, .rules = rules, .at = at };
	cause->members = xcalloc(tree->nr, sizeof(*cause->members));
	return cause;
}

/* One alone shares with nobody. */
static void end_cause(struct host_pci_tree *tree, struct host_cause *cause)
{
	if (cause->nr_members > 1)
		return;
	free(cause->members);
	tree->nr_causes--;
}

/* Everything below @bridge, and (@with) that itself. */
static void add_below(struct host_pci_tree *tree, enum host_cause_kind kind, u32 rules, u32 at,
		      u32 bridge, bool with)
{
	struct host_cause *cause = add_cause(tree, kind, rules, at);

	for (u32 i = 0; i < tree->nr; i++)
		if ((with || i != bridge) && is_below(tree, i, bridge))
			cause->members[cause->nr_members++] = i;
	end_cause(tree, cause);
}

static enum host_cause_kind kind_of(const struct host_pci *bridge)
{
	switch (host_pci_port_type(bridge)) {
	case PCI_EXP_TYPE_ROOT_PORT:
		return HOST_CAUSE_ROOT_PORT;
	case PCI_EXP_TYPE_DOWNSTREAM:
		return HOST_CAUSE_SWITCH_PORT;
	case PCI_EXP_TYPE_PCI_BRIDGE:
		return HOST_CAUSE_PCI_BRIDGE;
	case HOST_PCI_NONE:
	case PCI_EXP_TYPE_PCIE_BRIDGE:
		return HOST_CAUSE_CONVENTIONAL;
	default:
		return HOST_CAUSE_UPSTREAM;
	}
}

/* The first downstream port of a switch that redirects too little; HOST_PCI_NONE: all do. */
static u32 leaky_port(const struct host_pci_tree *tree, u32 upstream)
{
	for (u32 i = 0; i < tree->nr; i++) {
		const struct host_pci *dev = &tree->devices[i];

		if (dev->parent == upstream && host_pci_is_known(dev) &&
		    host_pci_port_type(dev) == PCI_EXP_TYPE_DOWNSTREAM &&
		    (!dev->acs || betrays(dev)))
			return i;
	}
	return HOST_PCI_NONE;
}

static void look_at_bridge(struct host_pci_tree *tree, u32 at)
{
	const struct host_pci *dev = &tree->devices[at];
	enum host_cause_kind kind = kind_of(dev);
	u32 rules = 0, port;

	if (!isolates(dev))
		rules |= HOST_RULES_OLD;
	if (kind == HOST_CAUSE_ROOT_PORT && betrays(dev))
		rules |= HOST_RULES_NEW;
	if (rules)
		add_below(tree, kind, rules, at, at, true);
	/* There is nothing to isolate by, whatever the rules; that the bridge itself is reached by
	 * them depends on more than is seen here. */
	if (kind == HOST_CAUSE_PCI_BRIDGE || kind == HOST_CAUSE_CONVENTIONAL)
		add_below(tree, kind, HOST_RULES_NEW, at, at, false);
	if (host_pci_port_type(dev) != PCI_EXP_TYPE_UPSTREAM)
		return;
	port = leaky_port(tree, at);
	if (port != HOST_PCI_NONE)
		add_below(tree, HOST_CAUSE_SWITCH, HOST_RULES_NEW, port, at, false);
}

/* Functions of one device */

/* With ARI the device number is the upper part of the function's (PCI Express 6.0, 6.13). */
static bool has_ari(const struct host_pci_tree *tree, const struct host_pci *dev)
{
	const struct host_pci *above;

	if (dev->parent == HOST_PCI_NONE)
		return false;
	above = &tree->devices[dev->parent];
	return above->exp &&
	       (host_pci_config(above, above->exp + PCI_EXP_DEVCTL2, 2) & PCI_EXP_DEVCTL2_ARI);
}

/* Virtual functions are apart from each other and from their own, by the IOMMU's and SR-IOV's
 * rules, and their header says that they are single. */
static bool same_device(const struct host_pci_tree *tree, u32 a, u32 b)
{
	const struct host_pci *x = &tree->devices[a], *y = &tree->devices[b];

	return x->domain == y->domain && x->bus == y->bus && x->physfn == HOST_PCI_NONE &&
	       y->physfn == HOST_PCI_NONE && (x->devfn >> 3 == y->devfn >> 3 || has_ari(tree, x));
}

/* Functions of the device of @first that are @rules' business. */
static void add_functions(struct host_pci_tree *tree, u32 first, u32 rules)
{
	struct host_cause *cause = add_cause(tree, HOST_CAUSE_FUNCTIONS, rules, first);
	u32 at = HOST_PCI_NONE;

	for (u32 i = 0; i < tree->nr; i++) {
		const struct host_pci *dev = &tree->devices[i];
		bool bad = rules == HOST_RULES_OLD
				   ? !isolates(dev)
				   : host_pci_port_type(dev) != PCI_EXP_TYPE_DOWNSTREAM &&
					     betrays(dev);

		if (!same_device(tree, first, i) || !host_pci_is_known(dev))
			continue;
		if (bad && at == HOST_PCI_NONE && dev->multifunction)
			at = i;
		if (bad || rules == HOST_RULES_NEW)
			cause->members[cause->nr_members++] = i;
	}
	if (at == HOST_PCI_NONE)
		cause->nr_members = 0;
	cause->at = at;
	end_cause(tree, cause);
}

static void look_at_functions(struct host_pci_tree *tree, u32 at)
{
	u32 before = tree->nr_causes;
	const struct host_cause *old, *new;

	for (u32 i = 0; i < at; i++)
		if (same_device(tree, i, at))
			return;
	add_functions(tree, at, HOST_RULES_OLD);
	add_functions(tree, at, HOST_RULES_NEW);
	if (tree->nr_causes != before + 2)
		return;
	old = &tree->causes[before];
	new = &tree->causes[before + 1];
	if (old->nr_members != new->nr_members)
		return;
	/* Both see the same. */
	tree->causes[before].rules |= HOST_RULES_NEW;
	free(new->members);
	tree->nr_causes--;
}

void host_isolation_find(struct host_pci_tree *tree)
{
	for (u32 i = 0; i < tree->nr; i++)
		if (host_pci_is_bridge(&tree->devices[i]) && host_pci_is_known(&tree->devices[i]))
			look_at_bridge(tree, i);
	for (u32 i = 0; i < tree->nr; i++)
		look_at_functions(tree, i);
}

u32 host_cause_in_group(const struct host_pci_tree *tree, const struct host_cause *cause, u32 group)
{
	u32 nr = 0;

	for (u32 i = 0; i < cause->nr_members; i++)
		nr += tree->devices[cause->members[i]].group == group;
	return nr;
}

bool host_cause_is_split(const struct host_pci_tree *tree, const struct host_cause *cause)
{
	u32 first = HOST_PCI_NONE;

	for (u32 i = 0; i < cause->nr_members && cause->rules & HOST_RULES_NEW; i++) {
		u32 group = tree->devices[cause->members[i]].group;

		if (first == HOST_PCI_NONE)
			first = group;
		else if (group != HOST_PCI_NONE && group != first)
			return true;
	}
	return false;
}
