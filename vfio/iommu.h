/* SPDX-License-Identifier: MIT */
/*
 * The set of a machine's VFIO devices and the IOMMU behind them. open.c finds the nodes, and makes
 * and unmakes the set; iommu-iommufd.c and iommu-type1.c are the two ways of the kernel's to bind a
 * device and to map memory; dma.c decides what is mapped, in which pieces; kvm.c tells KVM.
 */
#ifndef LKVM_VFIO_IOMMU_H
#define LKVM_VFIO_IOMMU_H

#include <signal.h>

#include "lkvm/device.h"
#include "lkvm/memory.h"
#include "lkvm/vfio.h"

/* What the set asks of the host. Tests give calls and a tree of their own. */
struct vfio_host {
	const struct vfio_calls *calls;
	void *opaque;
	const char *root; /* before "/sys" and "/proc"; "": the host's own */
	/* Bytes that this process may still lock; ~0: any number. */
	u64 (*lock_room)(void *opaque, u64 wanted);
	u64 (*clock)(void); /* ns */
};

extern const struct vfio_host vfio_this_host;

/* I/O addresses [start, last] that devices may use. */
struct vfio_window {
	u64 start, last;
};

/* Far more than any host has; the kernel's number is not believed beyond. */
#define VFIO_MAX_RANGES 2048U

struct vfio_iommu_info {
	u64 page;		    /* the smallest that it maps, a power of two */
	u32 maps;		    /* how many more it takes; ~0: any number */
	u32 nr_ranges;		    /* 0: it does not say */
	struct vfio_window *ranges; /* to be freed */
};

/* One of the kernel's two ways. All return 0 or -errno; those that get a device print. */
struct vfio_iommu_ops {
	const char *name;
	/* Once, in the open stage: everything that has a name. */
	int (*open)(struct vfio_set *set);
	void (*close)(struct vfio_set *set);
	/* Bind all devices, each then has its fd; nothing stays bound after a failure. KVM knows
	 * the files. */
	int (*bind)(struct vfio_set *set);
	void (*unbind)(struct vfio_set *set);
	/* -E2BIG: more ranges than are believed. @out is safe to free then, too. */
	int (*describe)(struct vfio_set *set, struct vfio_iommu_info *out);
	int (*map)(struct vfio_set *set, u64 iova, u64 size, void *hva, bool writable);
	/* A part of a BAR, for the other devices; NULL: as any memory, by @map. */
	int (*map_bar)(struct vfio_set *set, u64 iova, u64 size, struct vfio_device *dev,
		       u32 region, u64 offset);
	/* Whatever is mapped in there, which is not nothing; maps that begin outside must not reach
	 * in. */
	int (*unmap)(struct vfio_set *set, u64 iova, u64 size);
};

extern const struct vfio_iommu_ops vfio_iommufd_ops, vfio_type1_ops;

/* How guest memory is mapped. */
struct vfio_dma {
	struct memory_listener listener;
	bool listening;
	bool starting; /* the machine is made: the main thread maps what there is */
	bool bar_said; /* that the other devices do not reach a BAR */
	struct vfio_iommu_info info;
	u32 spare;     /* maps that are not for pieces */
	u64 piece;     /* bytes that one call maps, a power of two */
	u64 done, all; /* bytes mapped so far of those at the start */
	/* Where regions begin that devices do not reach and need not. Under guest memory's lock. */
	u32 nr_left_out;
	u64 *left_out;
};

/* A group (type 1), or a device's cdev (iommufd): what KVM is told of. */
struct vfio_file {
	int fd;	    /* -1: closed */
	u32 number; /* of the group */
	bool told;  /* KVM knows it */
	bool bound; /* it is in the container */
	u32 table;  /* page tables of its own (pasid=on); 0: none */
};

struct vfio_set {
	struct device dev; /* "vfio", of the machine */
	const struct vfio_host *host;
	const struct vfio_iommu_ops *iommu;
	int fd; /* /dev/iommu or /dev/vfio/vfio */
	u32 ioas;
	bool pins; /* a device does DMA by itself: all memory is pinned */
	u32 nr_devices, nr_files;
	struct vfio_device *devices;
	struct vfio_file *files; /* with iommufd, of the device with the same index */
	int kvm;		 /* KVM's device of type VFIO; -1: none */
	/* While there are mdevs that were made for the machine, signals wait for their turn. */
	bool holds_signals;
	sigset_t signals_before;
	struct vfio_dma dma;
};

/* open.c */
int vfio_open_on(const struct vfio_host *host, const struct vm_config *cfg,
		 struct vfio_set **out) __must_check;
/* node.c */
/* An ioctl on any of the set's files. */
int vfio_set_ioctl(struct vfio_set *set, int fd, unsigned long request, void *arg);
/* Open a node; prints why not, for @dev, and the remedy. The fd or -errno. */
int vfio_set_open_node(struct vfio_set *set, const struct vfio_device *dev, const char *path);
/* The line that it prints. */
void vfio_set_say_not_open(struct vfio_set *set, const struct vfio_device *dev, const char *path,
			   int error);
/* One line: the device's own reason (a driver that has it, no IOMMU, ...), else @plain. */
void vfio_say_why_not(const struct vfio_set *set, const struct vfio_device *dev, const char *plain);

/* Who uses @dev, "process 812 (lkvm) uses it"; else (nobody, or none that may be seen) @plain. To
 * be freed. */
char *vfio_set_user(const struct vfio_set *set, const struct vfio_device *dev,
		    const char *plain) __must_check;

/* made.c: an mdev for a device whose name is to be made, "PARENT/TYPE". Prints; -errno. And the end
 * of all that were, when nothing is open any more. */
int vfio_set_make(struct vfio_set *set, struct vfio_device *dev, const char *what) __must_check;
void vfio_set_unmake(struct vfio_set *set);
/* Is one of the signals that wait meanwhile there? Then a start that takes long ends, by -EINTR and
 * without a word: the signal ends lkvm when all is undone. */
bool vfio_set_is_to_end(const struct vfio_set *set);

/* kvm.c: tell KVM of all files, and that they go. A KVM without such a device does without. */
void vfio_kvm_add(struct vfio_set *set, int vm_fd);
void vfio_kvm_remove(struct vfio_set *set);

/* dma.c: map guest memory as long as the set is bound. Prints. */
int vfio_dma_start(struct vfio_set *set, struct guest_memory *mem) __must_check;
void vfio_dma_stop(struct vfio_set *set, struct guest_memory *mem);

/* dma-limits.c: may so much be pinned, and does memory lie where devices reach it? Print. */
int vfio_check_limits(struct vfio_set *set, const struct guest_memory *mem) __must_check;
int vfio_check_iova(struct vfio_set *set, const struct memory_region *region) __must_check;
bool vfio_iova_is_usable(const struct vfio_iommu_info *info, u64 iova, u64 size);

#endif
