/* SPDX-License-Identifier: MIT */
/*
 * The host's PCI devices as sysfs has them, and which of them share an IOMMU group, with the
 * reason (Linux Documentation/ABI/testing/sysfs-bus-pci, sysfs-kernel-iommu_groups).
 *
 * A group is what the IOMMU cannot keep apart: a device that may reach another one without the
 * IOMMU, or whose requests look like another's. What keeps devices apart are Access Control
 * Services (ACS; PCI Express 6.0, 6.12 and 7.7.11) of ports, and of functions of one device. What
 * Linux reports is what counts; here the reasons are found again, from config space.
 *
 * Devices and firmware may lie about everything, so nothing here trusts a number from them.
 */
#ifndef LKVM_VFIO_HOST_H
#define LKVM_VFIO_HOST_H

#include "lkvm/types.h"

struct vfio_calls;

#define HOST_PCI_NONE	UINT32_MAX
#define HOST_PCI_CONFIG 4096U

struct host_pci {
	char id[16];	 /* "0000:03:00.0" */
	char sysfs[48];	 /* "/sys/bus/pci/devices/0000:03:00.0" */
	char driver[40]; /* "": none */
	char name[160];	 /* "": nobody knows it */
	u32 domain, bus, devfn;
	u32 vendor, device, class; /* class: 24 bits */
	u32 group;		   /* HOST_PCI_NONE: it is in none */
	u32 parent;		   /* the bridge above it, by index; HOST_PCI_NONE: on a root bus */
	u32 physfn;		   /* of a virtual function, by index; else HOST_PCI_NONE */
	u32 config_len;		   /* bytes that could be read; 64 by those who are not root */
	u8 *config;
	/* Of config, once. Offsets are 0 where there is none. */
	bool multifunction;
	u32 exp; /* PCI Express capability */
	u32 acs; /* extended capability */
};

/* Linux has two sets of rules: the older ones look at the path from a device up to the root; the
 * newer ones at each bus, and at every function of a device with every other. */
#define HOST_RULES_OLD BIT(0)
#define HOST_RULES_NEW BIT(1)

enum host_cause_kind {
	HOST_CAUSE_ROOT_PORT,	 /* without ACS, or with it off */
	HOST_CAUSE_SWITCH_PORT,	 /* what is below it may reach it */
	HOST_CAUSE_SWITCH,	 /* a downstream port redirects nothing: all below the switch */
	HOST_CAUSE_UPSTREAM,	 /* a function of a multi-function device without ACS */
	HOST_CAUSE_PCI_BRIDGE,	 /* PCI Express to PCI: requests have the bus's name */
	HOST_CAUSE_CONVENTIONAL, /* PCI: everybody on the bus, and requests have the bridge's */
	HOST_CAUSE_FUNCTIONS,	 /* of one device, without ACS between them */
};

/* Why devices belong together. */
struct host_cause {
	enum host_cause_kind kind;
	u32 rules; /* HOST_RULES_*, those which see it so */
	u32 at;	   /* the device that is to blame, by index */
	u32 nr_members;
	u32 *members; /* indices, ordered */
};

struct host_pci_tree {
	u32 nr;
	struct host_pci *devices; /* ordered by address */
	u32 nr_causes;
	struct host_cause *causes;
	bool blind; /* of some, only 64 bytes could be read: causes are missing */
};

/* vfio/host-pci.c: read all devices below @root ("" for the host itself), for host_pci_free. A host
 * without PCI has none. Files that are missing make a device say less, not an error. */
void host_pci_read(const char *root, struct host_pci_tree *out);
void host_pci_free(struct host_pci_tree *tree);
/* By its address, "0000:03:00.0"; HOST_PCI_NONE: there is none. */
u32 host_pci_find(const struct host_pci_tree *tree, const char *id);

/* vfio/pci-ids.c: give devices the names that the host's list has. */
void host_pci_name(const char *root, struct host_pci_tree *tree);

/* vfio/config-dump.c: @len (1 to 4) bytes of config space, zeroes where none could be read. */
u32 host_pci_config(const struct host_pci *dev, u32 at, u32 len);
/* Where a capability, an extended one, is; 0: there is none. Chains may loop and lead out. */
u32 host_pci_cap(const struct host_pci *dev, u8 id);
u32 host_pci_ext_cap(const struct host_pci *dev, u16 id);
/* PCI_EXP_TYPE_*; HOST_PCI_NONE: it is no PCI Express device. */
u32 host_pci_port_type(const struct host_pci *dev);
bool host_pci_is_bridge(const struct host_pci *dev);
/* Is all of config space there that is needed to tell what it is? */
bool host_pci_is_known(const struct host_pci *dev);

/* vfio/isolation.c: find the causes. Called by host_pci_read. */
void host_isolation_find(struct host_pci_tree *tree);
/* The bits of PCI_ACS_CTRL that isolation needs by @rules and @dev has not set; without the
 * capability all of them. */
u32 host_acs_missing(const struct host_pci *dev, u32 rules);
/* How many devices of group @group are members. */
u32 host_cause_in_group(const struct host_pci_tree *tree, const struct host_cause *cause,
			u32 group);
/* Are members in several groups, by the newer rules? The group is too small then, unless the kernel
 * knows better. */
bool host_cause_is_split(const struct host_pci_tree *tree, const struct host_cause *cause);

/* vfio/isolation-text.c: in words, to be freed; without an end of line. */
char *host_cause_text(const struct host_pci_tree *tree, const struct host_cause *cause);
const char *host_cause_word(enum host_cause_kind kind); /* for programs */
/* The set bits of ACS registers by their names, "SV RR CR UF"; "-" for none; to be freed. Of a
 * capability register, or (@control) a control register. */
char *host_acs_text(u32 bits, bool control);
/* What class a device is of, in a few words. */
const char *host_class_text(u32 class);

/* vfio/host-facts.c: what else there is to say of a device, a text each. */
struct host_fact {
	const char *name; /* "reset methods"; ordered as they are to be shown */
	char *text;	  /* one line; printable */
};
struct host_facts {
	u32 nr;
	struct host_fact facts[32];
};
/* For host_facts_free. What the device has not is left out. */
void host_facts_read(const char *root, const struct host_pci_tree *tree, const struct host_pci *dev,
		     struct host_facts *out);
/* The name of its cdev, "vfio3", in @name (32 bytes). */
bool host_vfio_cdev(const char *root, const char *sysfs, char *name);
void host_facts_add(struct host_facts *facts, const char *name, const char *text);
void host_facts_free(struct host_facts *facts);

/* vfio/host-probe.c: what only an open device tells, when it has a cdev. It is opened for that,
 * which the kernel may answer with a reset; one that is in use stays as it is. @sysfs as in struct
 * host_pci. */
void host_facts_probe(const char *root, const struct vfio_calls *calls, void *opaque,
		      const char *sysfs, struct host_facts *out);

/* vfio/host-mdev.c: devices that drivers make (mdev), and what can be made. */
struct host_mdev {
	char sysfs[96];
	char uuid[40], parent[64], type[64], driver[40]; /* "": unknown */
	u32 group;					 /* or HOST_PCI_NONE */
};
struct host_mdev_type {
	char parent[64], type[64], name[64], api[32];
	u32 available; /* how many more can be made */
};
struct host_mdevs {
	u32 nr, nr_types;
	struct host_mdev *mdevs;      /* ordered by UUID */
	struct host_mdev_type *types; /* by parent and name */
};
/* All below @root, for host_mdevs_free. */
void host_mdevs_read(const char *root, struct host_mdevs *out);
void host_mdevs_free(struct host_mdevs *mdevs);

#endif
