/* SPDX-License-Identifier: MIT */
/*
 * Everything that the user asked of one VM: plain data. Filled through rows of options
 * (config-options.c; an architecture's own in its room), completed and validated in one place
 * before anything is opened. What only some machines have is a structure of theirs.
 */
#ifndef LKVM_CONFIG_H
#define LKVM_CONFIG_H

#include <stdio.h>

#include "lkvm/config-arm.h"
#include "lkvm/config-fdt.h"
#include "lkvm/config-riscv.h"
#include "lkvm/config-x86.h"
#include "lkvm/options.h"
#include "lkvm/rate.h"
#include "lkvm/types.h"

enum console_kind { CONSOLE_SERIAL, CONSOLE_VIRTIO };
enum debug_exit_kind { DEBUG_EXIT_ON, DEBUG_EXIT_OFF };
enum halt_kind { HALT_WAIT, HALT_END };
enum port_kind { PORT_FILE, PORT_PIPE, PORT_TTY, PORT_PTY, PORT_SOCKET };
enum virtio_transport_kind {
	TRANSPORT_PCI,
	TRANSPORT_MMIO,
	/* From before VIRTIO 1.0. */
	TRANSPORT_PCI_LEGACY,
	TRANSPORT_MMIO_LEGACY,
};
enum net_mode {
	NET_NONE,
	NET_TAP,
	NET_USER,	/* passt */
	NET_VHOST_USER, /* a program that serves its queues */
	NET_MACVTAP,
	NET_LOOPBACK, /* what is sent comes back; of `lkvm selftest` alone */
};

/* The words of --virtio-transport, by position; NULL-terminated. */
extern const char *const virtio_transport_names[];

/* The words of format=, by position; NULL-terminated. */
enum disk_format { DISK_FORMAT_AUTO, DISK_FORMAT_RAW, DISK_FORMAT_QCOW2 };
extern const char *const disk_format_names[];
/* How a disk gives requests to the host: io_uring where that is there, else threads. */
enum disk_aio { DISK_AIO_BEST, DISK_AIO_URING, DISK_AIO_THREADS };
/* Who decides whether a write is on the medium when it ends: the driver, who can also flush; or
 * each is. */
enum disk_cache { DISK_WRITEBACK, DISK_WRITETHROUGH };

#define DISK_MAX_QUEUES 64
#define DISK_MAX_SERIAL 20 /* VIRTIO 1.3, 5.2.6 */

static inline bool transport_is_pci(enum virtio_transport_kind kind)
{
	return kind == TRANSPORT_PCI || kind == TRANSPORT_PCI_LEGACY;
}

struct disk_config {
	char *path;
	bool readonly;
	bool directory;		 /* the guest's root (struct root_config), and no disk */
	bool vhost_user;	 /* @path is a socket where somebody serves it */
	bool direct;		 /* O_DIRECT */
	enum disk_format format; /* AUTO: what the contents look like */
	enum disk_aio aio;
	enum disk_cache cache;
	u32 queues;	/* 0: one */
	u32 block_size; /* logical, 512 or 4096; 0: the host's */
	char *serial;	/* NULL: made from the disk's number */
	struct rate_config rate;
};

/* A port of the host's that is the guest's. */
struct net_forward {
	bool udp;
	char addr[46]; /* of the host, as text; empty: all */
	u16 host_port, guest_port;
};

/* Of NET_USER alone. */
struct net_user_config {
	u32 guest_ip; /* with host_ip of the card; 0: the guest has the host's own address */
	u8 host_mac[6];
	bool has_host_mac;
	struct net_forward *forwards;
	u32 nr_forwards;
};

struct net_config {
	enum net_mode mode;
	char *tapif; /* an existing interface; NULL: make one that goes with lkvm, the kernel names
			it */
	int fds[16]; /* instead: taps that whoever started us opened, one for each pair */
	u16 nr_fds;
	u16 queues;   /* pairs of them; 0: one, or as many as fds */
	bool vhost;   /* the host's kernel moves the packets */
	char *socket; /* of NET_VHOST_USER */
	u16 mtu;      /* what the guest is told; 0: the interface's */
	u8 guest_mac[6];
	bool has_guest_mac;
	u32 host_ip; /* the interface's address, to be set, or the router's; 0: as it is */
	u8 host_prefix;
	struct rate_config rx_rate, tx_rate;
	char *script, *downscript; /* programs that get the interface's name, or NULL */
	struct net_user_config user;
};

struct vsock_config {
	u64 cid;    /* the guest's address; 0: no such device */
	char *path; /* the socket of vsock/unix.c; NULL: the host kernel's vhost-vsock */
};

/* Bits of trace_config.what. */
#define TRACE_EXITS  BIT(0)
#define TRACE_VIRTIO BIT(1)
#define TRACE_IRQ    BIT(2)

struct trace_config {
	u32 what;
	char *file; /* NULL: no trace */
};

/* A port of virtio-console beside the guest's console. */
struct port_config {
	char *name;
	enum port_kind kind;
	char *path;   /* NULL: a pseudo-terminal without a name of its own */
	bool console; /* a terminal of the guest too (hvc) */
};

/* A directory of the host's, by virtio-fs. */
struct virtiofs_config {
	char *tag;
	char *socket; /* a virtiofsd that listens there; NULL: one is started, for @dir */
	char *dir;
	char *cache; /* virtiofsd's word, or NULL */
	bool readonly;
	/* By rootfs_prepare: the guest is not told what is mounted below, and virtiofsd is shut in
	 * @dir also where an ordinary user starts it. */
	bool flat, confined;
};

/* How devices reach the IOMMU: by cdev and iommufd, or by groups and a type 1 container. */
enum vfio_iommufd { VFIO_IOMMUFD_AUTO, VFIO_IOMMUFD_ON, VFIO_IOMMUFD_OFF };

/* tsm=: of calls that no kernel has settled, the numbers on this host; 0: there is none. */
struct vfio_tsm_config {
	u32 bind, unbind; /* of a device's file */
	u32 op, request;  /* of /dev/iommu */
	u32 viommu;	  /* IOMMU_VIOMMU_ALLOC's type */
	u32 arch;	  /* who is asked, as requests name it: 1 is CCA */
};

/* A device of the host's that the guest has as its own. */
struct vfio_config {
	/* As it was given: a PCI address, a path in sysfs, an mdev's UUID, or "mdev=PARENT/TYPE" of
	 * one that is made for the machine. */
	char *device;
	enum vfio_iommufd iommufd; /* the same for all */
	char *rom;		   /* a file; "off": none; NULL: the device's own */
	bool pasid;		   /* show the guest a PASID capability */
	u32 pasid_offset;	   /* where in configuration space; 0: where there is room */
	char *state_in;	 /* load the device's state from there before the guest starts; or NULL */
	char *state_out; /* and save it there at the end; or NULL */
	bool has_tsm;
	struct vfio_tsm_config tsm;
};

/* The guest sees whole ones: what Linux can have as ZONE_DEVICE memory (its SUBSECTION_SIZE). */
#define PMEM_UNIT (2 * MiB)

/* A file that the guest has as memory. */
struct pmem_config {
	char *path;
	bool readonly;
	u64 size; /* what the guest sees of it; 0: all */
};

struct share_config {
	char *path; /* a directory */
	char *tag;
	bool readonly;
};

/*
 * A directory as the guest's root, with lkvm's own init (rootfs/). It is asked for by --disk DIR or
 * a command, or is the default of a Linux kernel with nothing else to start from.
 */
struct root_config {
	/* Of --disk; made by config_complete. NULL: none was named, and it is the host's / where
	 * there is to be one. */
	char *dir;
	bool dir_readonly; /* "ro" was said of it */
	bool made;	   /* it is one that `lkvm setup` made: programs are the host's, in /host */
	bool rw;	   /* the guest writes through; else into a tmpfs over it */
	bool sandbox;	   /* nothing of the host's can be written, and there is no network */
	char *modules;	   /* the directory of the kernel's modules; NULL: it is looked for */
	/* What to run there instead of a shell, NULL-terminated; borrowed. NULL: a shell. */
	char *const *command;
	/* The command has the guest's console and no input, or nothing is run at all (`lkvm
	 * smoke`). */
	bool on_console;
	/* More entries of GUEST_INIT_CONF (lkvm/guest-init.h), "NAME=VALUE"; by
	 * config_add_init_line. */
	char **lines;
	u32 nr_lines;
	/* By rootfs_prepare: init carries the streams of a command or a shell
	 * (lkvm/guest-command.h), and nobody looks at the guest's console. */
	bool linked;
	/* The initramfs, made by rootfs_prepare; owned. NULL: none. */
	u8 *image;
	u64 image_len;
};

/* Where a debugger connects. */
struct gdb_config {
	bool on;
	char *path; /* a unix socket; NULL: TCP */
	bool ipv6;
	char addr[46];
	u16 port; /* 0: the host chooses */
};

/* Word lists are NULL-terminated arrays that grow by config_add_*; strings are owned by the
 * configuration. */
struct vm_config {
	char *name; /* NULL: guest-PID, which is not saved: two machines have no name in common */
	char *kernel;
	char **initrds;
	u32 nr_initrds;
	char *params;  /* what the user wrote (-p), or NULL */
	char *cmdline; /* the whole command line if the kernel is Linux; made by config_complete */
	char *firmware;
	u64 memory; /* bytes; 0 until config_complete */
	u32 cpus;   /* 0 until config_complete */
	char *hugetlbfs;
	char *kvm_path;

	struct disk_config *disks;
	u32 nr_disks;
	struct net_config *nets;
	u32 nr_nets;
	struct port_config *ports;
	u32 nr_ports;
	struct share_config *shares;
	u32 nr_shares;
	struct virtiofs_config *virtiofs;
	u32 nr_virtiofs;
	struct pmem_config *pmems;
	u32 nr_pmems;
	struct vfio_config *vfios;
	u32 nr_vfios;
	bool rng;
	struct rate_config rng_limit;
	struct vsock_config vsock;
	struct root_config root;
	bool balloon;
	u64 balloon_size; /* bytes that it asks for at the start */
	enum console_kind console;
	enum debug_exit_kind debug_exit;
	enum virtio_transport_kind transport;
	bool no_virtio_packed;
	bool virtio_in_order;
	bool virtio_notification_data;

	bool boot_timer; /* Firecracker's, as another boot mark */

	bool nodefaults;
	bool no_reboot;
	enum halt_kind halt; /* what to do when the guest halts for good */
	u32 halt_poll_ns;    /* of KVM, before an idle vcpu's thread sleeps */
	bool has_halt_poll;  /* else the host's own */
	struct gdb_config gdb;
	bool gdb_wait;	 /* the guest begins when a debugger says so */
	char *dump_boot; /* write what would be loaded into this directory, and start nothing */
	bool measured;	 /* for `lkvm measure`, which starts nothing: no option's */

	struct trace_config trace;
	char *vcpu_affinity; /* list of host CPUs (kvmtool's --vcpu-affinity), or NULL */

	/* What the architecture's own options ask for; the others' stay zero. */
	struct x86_config x86;
	struct arm_config arm;
	struct riscv_config riscv;
	struct fdt_config fdt;
};

/*
 * Where the options of struct vm_config come from, for the struct option_source list of a command:
 * @where is its offset in the command's structure; @which and @words are the source's @only and
 * @defaults.
 */
#define CONFIG_OPTIONS(where, which, words) CONFIG_OPTIONS_OF(where, which, words, NULL)
/* The same for a command that takes them as those of another: @command, in messages. */
#define CONFIG_OPTIONS_OF(where, which, words, command)                                          \
	CONFIG_SOURCE(config_options, where, 0, which, words, command),                          \
		CONFIG_SOURCE(x86_options, where, OPT_ARCH_X86, which, words, command),          \
		CONFIG_SOURCE(x86_tdx_options, where, OPT_ARCH_X86, which, words, command),      \
		CONFIG_SOURCE(fdt_options, where, OPT_ARCH_ARM64 | OPT_ARCH_RISCV, which, words, \
			      command),                                                          \
		CONFIG_SOURCE(arm_options, where, OPT_ARCH_ARM64, which, words, command),        \
		CONFIG_SOURCE(riscv_options, where, OPT_ARCH_RISCV, which, words, command)
#define CONFIG_SOURCE(list, where, on, which, words, command)                                 \
	{                                                                                     \
		.rows = list, .offset = where, .archs = on, .only = which, .defaults = words, \
		.whose = command                                                              \
	}

/* Flag of rows that `lkvm selftest` takes too. */
#define OPT_SELFTEST OPT_OWNER
/* Of rows each of which makes the guest one kind of confidential guest (lkvm/coco.h), and of those
 * whose launch is measured besides. */
#define OPT_CONFIDENTIAL (OPT_OWNER << 1)
#define OPT_MEASURED	 (OPT_OWNER << 2)

/* The rows that every architecture has, and all that fill a struct vm_config. */
extern const struct option_spec config_options[];
extern const struct option_set config_set;
/* config-foreign.c: other VMMs' words for `lkvm run`, and their commands. */
extern const struct foreign_word foreign_options[], foreign_commands[];
/* Of lists, each in its own file. */
extern const struct option_hooks initrd_hooks;	  /* config-initrd.c */
extern const struct option_hooks disk_hooks;	  /* config-disk.c */
extern const struct option_hooks network_hooks;	  /* config-net.c */
extern const struct option_hooks share_hooks;	  /* config-share.c */
extern const struct option_hooks virtiofs_hooks;  /* config-virtiofs.c */
extern const struct option_hooks vfio_hooks;	  /* config-vfio.c */
extern const struct option_hooks pmem_hooks;	  /* config-pmem.c */
extern const struct option_hooks port_hooks;	  /* config-port.c */
extern const struct option_hooks vsock_hooks;	  /* config-vsock.c */
extern const struct option_hooks gdb_hooks;	  /* config-gdb.c */
extern const struct option_hooks rng_limit_hooks; /* config-rng.c */
extern const struct option_hooks trace_hooks;	  /* config-trace.c */
extern const struct option_hooks halt_poll_hooks; /* config-halt-poll.c */

void config_init(struct vm_config *cfg);
void config_destroy(struct vm_config *cfg);
/* @to (which config_init prepared) gets everything that @from was asked for. */
void config_copy(struct vm_config *to, const struct vm_config *from);

void config_add_initrd(struct vm_config *cfg, const char *path);
struct disk_config *config_add_disk(struct vm_config *cfg);
struct net_config *config_add_net(struct vm_config *cfg);

/*
 * config-measure.c: the first row with OPT_CONFIDENTIAL, of those after the one called @after
 * (NULL: of all), that was given: its name, or NULL.
 */
const char *config_confidential(const struct vm_config *cfg, const char *after);
/* For config_complete: a guest is of one kind; and cfg->measured, what a measurement may not leave
 * to the host. 0, or -EINVAL (printed). */
int config_check_confidential(const struct vm_config *cfg) __must_check;
int config_check_measured(const struct vm_config *cfg) __must_check;

/* config-root.c: one more entry of the guest's init.conf. */
void config_add_init_line(struct vm_config *cfg, const char *fmt, ...) __printf(2, 3);
void config_root_destroy(struct vm_config *cfg);
/* For config_complete: a disk that is a directory is the root. 0, or -EINVAL (printed). */
int config_root_complete(struct vm_config *cfg) __must_check;
/* Was a root asked for, by a directory or a command? */
bool config_root_asked(const struct vm_config *cfg);
/* Is there nothing that a Linux kernel could have its root on? */
bool config_root_missing(const struct vm_config *cfg);
/* Take the directory out of the list of disks. */
void config_root_drop_disk(struct vm_config *cfg);
/* Where `lkvm setup NAME` makes a root: $HOME/.lkvm/NAME; the caller's. NULL: there is no $HOME. */
char *config_root_path(const char *name) __must_check;
/*
 * config-params.c: what follows @prefix ("root=") in the first of the kernel's own parameters that
 * begins so, up to a blank; NULL: there is none.
 */
const char *config_find_param(const struct vm_config *cfg, const char *prefix);
/* config-vfio.c: one more device, as option_hooks.parse. */
int config_add_vfio(const char *shown, const char *arg, void *target);
/* "PARENT/TYPE" of a device that is made for the machine; NULL: it is there already. */
const char *vfio_config_makes(const char *device);
/* For config_complete: is each device whole? 0, or -EINVAL (printed). */
int config_check_vfio(const struct vm_config *cfg) __must_check;
/* config-virtiofs.c, for config_complete: is each share whole? 0, or -EINVAL (printed). */
int config_check_virtiofs(const struct vm_config *cfg) __must_check;
/* Does somebody else serve devices, the host's kernel or other processes? If so, the option. */
const char *config_uses_vhost(const struct vm_config *cfg);
/* Do other processes serve devices, which must map the guest's memory? If so, the option. */
const char *config_shares_memory(const struct vm_config *cfg);

/* How many virtio devices it asks for. */
u64 config_virtio_devices(const struct vm_config *cfg);
/*
 * Fill in every default (memory, vcpus, kernel search, command line) and check what can be checked
 * without opening anything. Prints what is wrong; 0, or -EINVAL for wrong usage (exit status 2),
 * -ENOENT when there is no kernel (status 1).
 */
int config_complete(struct vm_config *cfg) __must_check;
/*
 * One `name: value` line for each option of this architecture and the command line that became of
 * them, deterministic (`lkvm run --dry-run`).
 */
/* Say which words of cmdline are not the user's, once it is known that they are used. */
void config_tell_added(const struct vm_config *cfg);
void config_print(const struct vm_config *cfg, FILE *out);
/*
 * The options that were given as a file that `lkvm run --config` reads. Of a complete @cfg: the
 * same machine, on any host.
 */
void config_save(const struct vm_config *cfg, FILE *out);

#endif
