/* SPDX-License-Identifier: MIT */
/*
 * What a device of VFIO's remembers: stopped and started with the machine, saved into a file and
 * loaded from one (Linux include/uapi/linux/vfio.h, "migration protocol v2").
 *
 * Several devices of a machine may talk to each other (peer to peer), so none of them stops before
 * all have ceased to begin anything (RUNNING_P2P), and none begins before all answer again. So the
 * devices of a set know each other (a ring), and the first that is told to stop or to go on does it
 * for all.
 *
 * All calls are the main thread's, but was_reset: a guest resets its device under the lock of its
 * bus, while the machine runs. A device without the protocol has a struct vfio_migration all the
 * same, and nothing happens to it.
 */
#ifndef LKVM_VFIO_MIGRATION_H
#define LKVM_VFIO_MIGRATION_H

#include "lkvm/types.h"

struct vfio_device;

struct vfio_migration {
	struct vfio_device *dev;
	struct vfio_migration *next, *prev; /* a ring */
	u64 flags;  /* VFIO_ABI_MIG_*: what the device can do; 0: it has no migration */
	u32 state;  /* VFIO_ABI_STATE_*, as the device said last */
	int data;   /* the stream, while it is saved or loaded; else -1 */
	bool saved; /* to state-out=, or that was tried */
};

/* vfio/migration.c: states */

/*
 * Ask what @dev can do. @peer: one of the devices of the same machine, or NULL. Prints (as --vfio
 * NAME) when the command line wants a state saved or loaded and the device has no migration; 0 or
 * -errno. vfio_migration_destroy takes it out of the ring again, and is safe on a zeroed one.
 */
int vfio_migration_init(struct vfio_migration *m, struct vfio_device *dev,
			struct vfio_migration *peer) __must_check;
void vfio_migration_destroy(struct vfio_migration *m);
/*
 * For device_ops.quiesce and resume: @m and all its peers stop, and go on. What fails is printed; a
 * device that then is in ERROR stays there until it is reset.
 */
void vfio_migration_quiesce(struct vfio_migration *m);
void vfio_migration_resume(struct vfio_migration *m);
/* The same as quiesce, for who needs to know: 0, or the first -errno, which is printed. */
int vfio_migration_stop(struct vfio_migration *m) __must_check;
/* The device was reset (VFIO_DEVICE_RESET or a hot reset, of which peers may be part too): ask
 * where it is, running as a rule. Nothing on a zeroed one. */
void vfio_migration_was_reset(struct vfio_migration *m);
/*
 * Bring the device to @state (VFIO_ABI_STATE_*), through the states in between; a stream that comes
 * with it is then @m->data. 0 or -errno, with the state that the device is in afterwards. Prints
 * nothing.
 */
int vfio_migration_set(struct vfio_migration *m, u32 state) __must_check;
/* Close the stream, if there is one: when the state that it came with is over. */
void vfio_migration_close(struct vfio_migration *m);
/* Its name: "RUNNING_P2P". */
const char *vfio_migration_state_name(u32 state);

/* vfio/migration-file.c: a state in a file */

/*
 * Save the state into @path, which appears whole or not at all; the device is stopped then, and so
 * are its peers. vfio_migration_load gives such a file to the device, which runs then: call it
 * after the reset, before the guest starts. Both print, as --vfio NAME; 0 or -errno. After an error
 * in between the device is reset.
 */
int vfio_migration_save(struct vfio_migration *m, const char *path) __must_check;
int vfio_migration_load(struct vfio_migration *m, const char *path) __must_check;
/*
 * The same as the command line says: state-in= at the start, state-out= for device_ops.finish
 * (once; after an error, which is printed, the state is lost). Nothing where they are not given.
 */
int vfio_migration_begin(struct vfio_migration *m) __must_check;
int vfio_migration_finish(struct vfio_migration *m) __must_check;

/* vfio/migration-dirty.c: which memory a device wrote */

struct vfio_range {
	u64 iova, length;
};

/* Begin to note what the device writes in @ranges (@nr of them), in units of @page bytes (a power
 * of two; the device may choose another, which is put into *@page); 0 or -errno. */
int vfio_dirty_start(struct vfio_device *dev, const struct vfio_range *ranges, u32 nr,
		     u64 *page) __must_check;
/* Set the bits of @bitmap for what was written of a range since it was asked last; the bitmap has a
 * bit for each @page bytes, in words of 64 bits. 0 or -errno. */
int vfio_dirty_report(struct vfio_device *dev, u64 iova, u64 length, u64 page,
		      u64 *bitmap) __must_check;
int vfio_dirty_stop(struct vfio_device *dev) __must_check;

#endif
