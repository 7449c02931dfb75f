/* SPDX-License-Identifier: MIT */
/*
 * Everything that the user asked of one VM: plain data. Filled by the command line, completed and
 * validated in one place before anything is opened, printable.
 */
#ifndef LKVM_CONFIG_H
#define LKVM_CONFIG_H

#include <stdio.h>

#include "lkvm/types.h"

/* What every architecture has, then each one's own, counted from there. */
enum kernel_format {
	KERNEL_AUTO,
	KERNEL_ELF,  /* ELF entered at e_entry; x86: in 64-bit mode with boot_params */
	KERNEL_FLAT, /* raw image, entered at its first byte */
	/* x86 */
	KERNEL_BZIMAGE = 3, /* Linux 64-bit boot protocol */
	KERNEL_PVH,	    /* ELF entered by its PVH note */
	KERNEL_MULTIBOOT,   /* multiboot 1, as kvm-unit-tests build them */
	/* arm64, riscv64, loongarch64 */
	KERNEL_IMAGE = 3, /* Linux's Image, also as EFI zboot */
};

enum console_kind { CONSOLE_SERIAL, CONSOLE_VIRTIO };
/* Each architecture counts its own from 1. */
enum irqchip_kind {
	IRQCHIP_DEFAULT, /* the best that the host has */
	/* x86 */
	IRQCHIP_FULL = 1,
	IRQCHIP_SPLIT,
	/* arm64 */
	IRQCHIP_GICV2 = 1,
	IRQCHIP_GICV2M,
	IRQCHIP_GICV3,
	IRQCHIP_GICV3_ITS,
};
enum psci_kind { PSCI_KERNEL, PSCI_USER };
enum auto_switch { SWITCH_AUTO, SWITCH_ON, SWITCH_OFF };
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
extern const char *const irqchip_names_arm64[];
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
	enum kernel_format kernel_format;
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
	enum irqchip_kind irqchip;
	enum virtio_transport_kind transport;

	bool nodefaults;
	bool no_reboot;
	bool dry_run;

	/* The host cannot read the guest's memory; devices reach what the guest shares. */
	bool protected;

	/* The vcpus. */
	char *cpu;	     /* "host,+feat,-feat" (--cpu), or NULL: the host's */
	bool nested;	     /* the guest has the virtualization extensions */
	char *vcpu_affinity; /* list of host CPUs (kvmtool's --vcpu-affinity), or NULL */

	char *dump_boot; /* write there what the guest starts from, and start nothing */

	/* Machines with a device tree. */
	char *dump_dtb;	      /* write it there, and start nothing */
	u64 kaslr_seed;	      /* in /chosen, for the kernel's KASLR; 0: none */
	bool kaslr_random;    /* a new one at every start */
	bool rng_seed;	      /* random bytes for the kernel's random number generator */
	char *flash;	      /* image of a CFI flash, or NULL */
	u64 firmware_address; /* where the firmware goes in RAM; 0: the default */

	/* arm64 */
	bool e2h0;    /* nested without VHE */
	bool aarch32; /* EL1 runs AArch32 */
	bool pmu;
	bool no_pvtime; /* no steal time */
	bool disable_mte;
	u32 sve_max_vl;	    /* bits; 0: the host's longest vectors */
	u32 cntfrq;	    /* --override-bad-firmware-cntfrq, Hz; 0: the host's */
	u64 counter_offset; /* the guest's counters are this far behind the host's */
	bool has_counter_offset;
	enum psci_kind psci;
	enum auto_switch gicv4;
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
