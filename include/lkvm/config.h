/* SPDX-License-Identifier: MIT */
/*
 * Everything that the user asked of one VM: plain data. Filled by the command line, completed and
 * validated in one place before anything is opened, printable. What only some machines have is a
 * structure of theirs.
 */
#ifndef LKVM_CONFIG_H
#define LKVM_CONFIG_H

#include <stdio.h>

#include "lkvm/config-arm.h"
#include "lkvm/config-fdt.h"
#include "lkvm/config-x86.h"
#include "lkvm/types.h"

enum console_kind { CONSOLE_SERIAL, CONSOLE_VIRTIO };
enum virtio_transport_kind { TRANSPORT_PCI, TRANSPORT_MMIO };
enum net_mode {
	NET_NONE,
	NET_TAP,
	NET_LOOPBACK, /* what is sent comes back; of `lkvm selftest` alone */
};

/* Their names on the command line, by position; NULL-terminated. */
extern const char *const kernel_format_names_x86[];
extern const char *const kernel_format_names_image[];
extern const char *const console_kind_names[];
extern const char *const irqchip_names_x86[];
extern const char *const arm_irqchip_names[];
extern const char *const psci_kind_names[];
extern const char *const auto_switch_names[];
extern const char *const virtio_transport_names[];

struct disk_config {
	char *path;
	bool readonly;
	bool direct; /* O_DIRECT */
};

struct net_config {
	enum net_mode mode;
	char *tapif; /* an existing interface; NULL: make one that goes with lkvm, the kernel names
			it */
	u8 guest_mac[6];
	bool has_guest_mac;
};

/* Word lists are NULL-terminated arrays that grow by config_add_*; strings are owned by the
 * configuration. */
struct vm_config {
	char *name;
	char *kernel;
	char **initrds;
	u32 nr_initrds;
	char *params;  /* what the user wrote (-p), or NULL */
	char *cmdline; /* the guest's whole command line; made by config_complete */
	char *firmware;
	u64 memory; /* bytes; 0 until config_complete */
	u32 cpus;   /* 0 until config_complete */
	char *hugetlbfs;
	char *kvm_path;

	struct disk_config *disks;
	u32 nr_disks;
	struct net_config *nets;
	u32 nr_nets;
	bool rng;
	enum console_kind console;
	enum virtio_transport_kind transport;

	bool nodefaults;
	bool no_reboot;
	bool dry_run;

	/* The host cannot read the guest's memory; devices reach what the guest shares. */
	bool protected;

	char *vcpu_affinity; /* list of host CPUs (kvmtool's --vcpu-affinity), or NULL */

	/* What the architecture's own options ask for; the others' stay zero. */
	struct x86_config x86;
	struct arm_config arm;
	struct fdt_config fdt;
};

void config_init(struct vm_config *cfg);
void config_destroy(struct vm_config *cfg);

void config_add_initrd(struct vm_config *cfg, const char *path);
struct disk_config *config_add_disk(struct vm_config *cfg);
struct net_config *config_add_net(struct vm_config *cfg);

/*
 * Fill in every default (memory, vcpus, kernel search, command line) and check what can be checked
 * without opening anything. Prints what is wrong; 0, or -EINVAL for wrong usage (exit status 2),
 * -ENOENT when there is no kernel (status 1).
 */
int config_complete(struct vm_config *cfg) __must_check;
/* One `name: value` line for each member, deterministic (`lkvm run --dry-run`). */
void config_print(const struct vm_config *cfg, FILE *out);

#endif
