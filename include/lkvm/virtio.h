/* SPDX-License-Identifier: MIT */
/*
 * A virtio device (VIRTIO 1.3) between its transport and its own code. A device file knows no
 * transport; a transport file knows no device.
 *
 * Threads: registers are written by vcpu threads, queues are served on @loop's thread. vdev->lock
 * is held around every call of an op, so an op needs no lock of its own; work that starts from
 * elsewhere (a packet arrives) takes it with virtio_lock.
 */
#ifndef LKVM_VIRTIO_H
#define LKVM_VIRTIO_H

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <pthread.h>

#include "lkvm/device.h"
#include "lkvm/event.h"
#include "lkvm/types.h"
#include "lkvm/virtqueue.h"

struct vm;
struct virtio_device;

#define VIRTIO_MAX_QUEUES 64

struct virtio_ops {
	u32 id;	       /* VIRTIO_ID_* */
	u32 pci_class; /* class code << 8 | subclass << 0, as pci_class 0x0180 for storage */
	/* The device's configuration space: @buf holds exactly what is asked, inside config_len.
	 * Writes may be NULL. */
	u32 config_len;
	void (*config_read)(struct virtio_device *vdev, u32 offset, void *buf, u32 len);
	void (*config_write)(struct virtio_device *vdev, u32 offset, const void *buf, u32 len);
	/* The driver is ready (DRIVER_OK); vdev->features is final. May be NULL. */
	void (*activate)(struct virtio_device *vdev);
	/* The driver made buffers available in queue @q. On the loop's thread. */
	void (*notify)(struct virtio_device *vdev, u16 q);
	/*
	 * Stop: no queue is touched after it returns. Also called when the device was never
	 * activated. What waits for @loop's thread here deadlocks: that thread may be waiting for
	 * the lock. May be NULL.
	 */
	void (*reset)(struct virtio_device *vdev);
	/* Free the device's own parts (backend, memory that holds vdev). */
	void (*destroy)(struct virtio_device *vdev);
};

struct virtio_transport_ops {
	/* Queue @q has used buffers (or -1: the configuration changed). Any thread. */
	void (*interrupt)(struct virtio_device *vdev, int q);
	/* The device became active (DRIVER_OK) or ceased to be: bind or unbind ioeventfds. Under
	 * the lock. */
	void (*set_active)(struct virtio_device *vdev, bool active);
};

struct virtio_queue {
	struct virtqueue vq;
	struct event notify; /* an eventfd: the ioeventfd of this queue */
	struct virtio_device *vdev;
};

struct virtio_device {
	const struct virtio_ops *ops;
	const char *name; /* "virtio-blk0"; owned */
	struct vm *vm;
	struct event_loop *loop;
	bool owns_loop; /* a thread of its own, started at activation, ended with the device */
	pthread_mutex_t lock; /* recursive: notify may be called from activate */

	u64 host_features; /* offered */
	u64 features;	   /* accepted, of those offered */
	bool bad_features; /* the driver also asked for what is not offered */
	u8 status;	   /* VIRTIO_CONFIG_S_* */
	bool active;	   /* DRIVER_OK was reached and the queues are served */
	bool paused;	   /* the transport holds DMA back (PCI bus mastering is off) */
	u32 config_generation;

	u16 nr_queues;
	struct virtio_queue *queues;

	const struct virtio_transport_ops *transport;
	void *transport_data;
};

/*
 * For device files: fill @vdev (the first member of the caller's structure or any other).
 * @host_features has the device's own bits; VERSION_1, EVENT_IDX, INDIRECT_DESC are added, and
 * ACCESS_PLATFORM where the guest is protected (a driver must accept that one then). @loop
 * NULL: an I/O thread of its own. The name is made of @kind ("virtio-blk") and @index. 0, -EINVAL
 * (more queues or entries than there may be, a size that is no power of two) or an errno of
 * eventfd and epoll; prints.
 */
int virtio_init(struct virtio_device *vdev, struct vm *vm, const struct virtio_ops *ops,
		const char *kind, u32 index, u64 host_features, u16 nr_queues, u16 queue_size,
		struct event_loop *loop) __must_check;
/*
 * Give it the transport that the configuration asks for and add it to the machine. From here on the
 * VM owns it (ops->destroy at the end); on failure the caller still does.
 */
int virtio_attach(struct virtio_device *vdev) __must_check;
/* Undo virtio_init; called by the core after ops->reset and before ops->destroy when the VM owned
 * the device, else by the caller. */
void virtio_fini(struct virtio_device *vdev);

static inline bool virtio_has(const struct virtio_device *vdev, unsigned int bit)
{
	return vdev->features & BIT_ULL(bit);
}

void virtio_lock(struct virtio_device *vdev);
void virtio_unlock(struct virtio_device *vdev);
/* DRIVER_OK, not broken, and allowed to touch memory. Meaningful under the lock only. */
bool virtio_live(const struct virtio_device *vdev);
/* Pop, and on a broken ring set NEEDS_RESET and tell the driver: 1 filled, 0 nothing. */
int virtio_pop(struct virtio_device *vdev, u16 q, struct virtq_chain *chain) __must_check;
void virtio_push(struct virtio_device *vdev, u16 q, u16 head, u32 len);
/* Interrupt the driver if it wants one for what was pushed. */
void virtio_signal(struct virtio_device *vdev, u16 q);
/* The device's configuration changed: generation and interrupt. */
void virtio_config_changed(struct virtio_device *vdev);
/* The driver broke a rule that only the device can see: log once per window, NEEDS_RESET. */
void virtio_broken(struct virtio_device *vdev, const char *why);

/* For transports: the state machine of 3.1 behind the registers. All take the lock themselves. */
void virtio_set_status(struct virtio_device *vdev, u8 status);
u64 virtio_offered(const struct virtio_device *vdev);
void virtio_accept_features(struct virtio_device *vdev, u32 word,
			    u32 value); /* 32 bits at a time */
/* What the driver set in queues[q].vq becomes effective; refused before FEATURES_OK and once
 * active.
 */
void virtio_enable_queue(struct virtio_device *vdev, u16 q);
/* Stop serving one queue (MMIO's QueueReady 0). */
void virtio_disable_queue(struct virtio_device *vdev, u16 q);
/* A notification that took the way through the transport's registers. Any @q. */
void virtio_kick(struct virtio_device *vdev, u32 q);
/* Hold back, or let go on, every access to guest memory. */
void virtio_set_paused(struct virtio_device *vdev, bool paused);
/* Any offset and length: bytes beyond config_len read as zero, writes that reach beyond are
 * dropped.
 */
void virtio_config_read(struct virtio_device *vdev, u32 offset, void *buf, u32 len);
void virtio_config_write(struct virtio_device *vdev, u32 offset, const void *buf, u32 len);
void virtio_device_reset(struct virtio_device *vdev);

/* The transports: each wraps @vdev in a struct device and adds it. */
int virtio_pci_attach(struct virtio_device *vdev) __must_check;
int virtio_mmio_attach(struct virtio_device *vdev) __must_check;

/* The devices, over back ends that they borrow: whoever opened one closes it after the device is
 * gone. Each prints what is wrong, and leaves nothing behind on failure. */
struct console;
struct disk;
struct net_backend;
int virtio_blk_create(struct vm *vm, struct disk *disk, u32 index) __must_check;
int virtio_net_create(struct vm *vm, struct net_backend *nb, const u8 mac[6],
		      u32 index) __must_check;
int virtio_console_create(struct vm *vm, struct console *con) __must_check;
int virtio_rng_create(struct vm *vm) __must_check;
/* The same without a transport: what the functions above do before virtio_attach, and what unit
 * tests use. */
int virtio_blk_new(struct vm *vm, struct disk *disk, u32 index,
		   struct virtio_device **out) __must_check;
int virtio_net_new(struct vm *vm, struct net_backend *nb, const u8 mac[6], u32 index,
		   struct virtio_device **out) __must_check;
int virtio_console_new(struct vm *vm, struct console *con, struct virtio_device **out) __must_check;
int virtio_rng_new(struct vm *vm, struct virtio_device **out) __must_check;

#endif
