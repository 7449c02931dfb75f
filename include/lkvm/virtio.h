/* SPDX-License-Identifier: MIT */
/*
 * A virtio device (VIRTIO 1.3) between its transport and its own code. A device file knows no
 * transport; a transport file knows no device.
 *
 * Threads. A queue owns the loop that serves it: everything that touches a ring or a buffer runs
 * there, without a lock, and nowhere else. vdev->lock is a plain mutex around registers and status.
 * It is held for microseconds: never while the host's storage or network works, never while anyone
 * waits for a loop. Interrupts are raised under it: an eventfd, or a call into KVM for a line. So
 * registers, configuration and interrupts answer at once, whatever a back end does.
 *
 * Stopping. A queue that is to stop (reset, queue reset, QueueReady 0) gives no more requests and
 * takes no more replies from the moment on that this was asked; then its loop tells the device
 * (queue_stopped: drop every chain) and the ring is forgotten. After that the device cannot write
 * to it: what it pushes has no effect, what it pops is nothing. A device with requests under way
 * with the host says "not yet" and calls virtio_queue_idle when the last came back. Until then a
 * reset is not complete: PCI shows that in device_status and queue_reset (4.1.4.3), MMIO, whose
 * drivers do not look, lets the vcpu wait for it. A held queue (bus mastering is off) pops nothing,
 * and replies, with their status bytes, wait in the core until it is let go. The vcpu that switched
 * bus mastering off waits until the host is through with what it had begun (virtio_wait_held):
 * after that no byte comes into the driver's buffers.
 */
#ifndef LKVM_VIRTIO_H
#define LKVM_VIRTIO_H

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <pthread.h>
#include <stdatomic.h>

#include "lkvm/device.h"
#include "lkvm/event.h"
#include "lkvm/types.h"
#include "lkvm/virtqueue.h"

#ifndef VIRTIO_F_RING_RESET
#define VIRTIO_F_RING_RESET 40 /* 6, not in older headers */
#endif

struct vm;
struct virtio_device;

#ifndef VIRTIO_F_NOTIFICATION_DATA
#define VIRTIO_F_NOTIFICATION_DATA 38 /* 6 */
#endif

#define VIRTIO_MAX_QUEUES 64

/* A feature bit that a driver may accept only with one of @needs at least: a set that breaks a rule
 * is not kept (2.2.2). */
struct virtio_feature_rule {
	u8 bit;
	u64 needs;
};

/* "Loop" below: on the loop of the queue, with no lock held. Everything but id, pci_class,
 * queue_run and destroy may be 0 or NULL. */
struct virtio_ops {
	u32 id;					 /* VIRTIO_ID_* */
	const struct virtio_feature_rule *rules; /* ends with one that needs nothing */
	u32 pci_class; /* class code << 8 | subclass << 0, as pci_class 0x0180 for storage */
	/* Replies come in the order of requests anyway, or soon: it is offered to drivers. Whatever
	 * comes in another order the core holds back. */
	bool in_order;
	/* Queue i is served by loop i % nr_loops; 0: each by one of its own. */
	u16 nr_loops;
	/* queue_run, queue_started or what else runs on a loop may wait for the host's storage: who
	 * changes registers does not wait for a loop that is at work. */
	bool blocks;
	/* The device's configuration space: bytes that the core owns (vdev->config), and the bits
	 * of them that a driver may write (NULL: none). */
	u32 config_len;
	const u8 *config_mask;
	/* Bytes were written. On a vcpu, no lock held: leave what takes long to a loop. */
	void (*config_written)(struct virtio_device *vdev, u32 offset, u32 len);
	/* Loop: the queue begins to be served (DRIVER_OK, or again after its reset);
	 * vdev->features is final. The driver's write waits for it. */
	void (*queue_started)(struct virtio_device *vdev, u16 q);
	/*
	 * Loop: pop requests until there are none and serve them. True: none is left, ask the
	 * driver for a notification of the next. False: something else is waited for, and
	 * virtio_serve will be called when that came. Signalling, notifications and turns of other
	 * events are the core's.
	 */
	bool (*queue_run)(struct virtio_device *vdev, u16 q);
	/*
	 * Loop: drop every chain of the queue that is held, without a reply. True: done. False:
	 * some are under way with the host: virtio_queue_idle follows. May be called again.
	 */
	bool (*queue_stopped)(struct virtio_device *vdev, u16 q);
	/*
	 * Loop: guest memory is about to change, or to be saved. Give every chain back that was
	 * not begun (virtio_unpop). True: done. False: some are under way; virtio_queue_idle
	 * follows when the last was pushed. The queue goes on by a queue_run.
	 */
	bool (*queue_held)(struct virtio_device *vdev, u16 q);
	/* All queues are stopped: configuration bytes and the like to their first state. Under
	 * the lock, on any thread; also when the device was never active. */
	void (*reset)(struct virtio_device *vdev);
	/* Watch the device's own fds in the loops of its queues, or (!@on) nowhere: the loops
	 * change (virtio_use_loop). 0 or -errno. On any thread, no lock held; no queue is started.
	 */
	int (*watch)(struct virtio_device *vdev, bool on);
	/* The device is to be saved, and is quiesced: is there something that cannot be? Prints; 0
	 * or -errno. */
	int (*may_save)(struct virtio_device *vdev);
	/* What transport_ops.interrupt_fd says may have changed. Under the lock or without. NULL:
	 * of no interest. */
	void (*interrupts_changed)(struct virtio_device *vdev);
	/* As device_ops.finish; on the main loop's thread, while that loop does not run. */
	void (*finish)(struct virtio_device *vdev);
	/* vdev->remembered was loaded: does it fit the device, and itself? */
	bool (*remembered_ok)(const struct virtio_device *vdev);
	/* For good: all queues are stopped, their loops still run. Take what is yours from them.
	 * On any thread, no lock held; also after a virtio_init that failed. */
	void (*detach)(struct virtio_device *vdev);
	/* Free the device's own parts (memory that holds vdev); back ends are borrowed. */
	void (*destroy)(struct virtio_device *vdev);
};

struct virtio_transport_ops {
	/* The word of --virtio-transport for drivers from before VIRTIO 1.0. */
	const char *legacy_name;
	/* Queue @q has used buffers (or -1: the configuration changed). Any thread, under
	 * vdev->lock, so that no transport goes meanwhile. */
	void (*interrupt)(struct virtio_device *vdev, int q);
	/* An eventfd whose write does the same for queue @q, for somebody outside; -errno: there is
	 * none. May be NULL. Any thread, also under vdev->lock. */
	int (*interrupt_fd)(struct virtio_device *vdev, u16 q);
	/* A reset is complete: its registers to their first state. Any thread, under vdev->lock. */
	void (*reset)(struct virtio_device *vdev);
	/* Queues were started or stopped: virtio_queue_started says for which ioeventfds are of
	 * use now. On the thread that wrote the register, no lock held. */
	void (*queues_changed)(struct virtio_device *vdev);
};

/* A reply that waits while its queue is held. */
struct virtio_reply {
	u16 head;
	bool last; /* of those that the driver must see together */
	bool has_status;
	u8 status;
	u32 len;
	u64 status_gpa; /* not a host address: memory may come and go meanwhile */
};

struct virtio_queue {
	/* The registers are in here until it is enabled; then it is the loop's. enabled is changed
	 * under vdev->lock. */
	struct virtqueue vq;
	struct virtio_device *vdev;
	struct event_loop *loop;
	struct event notify; /* an eventfd: the ioeventfd of this queue; in @loop for good */
	/* What the loop may do now; changed under vdev->lock. */
	atomic_bool may_pop, may_push;
	/* Under vdev->lock. */
	bool started;  /* the loop serves it, or did and has not stopped yet */
	bool stopping; /* asked to stop */
	bool busy;     /* the loop is in queue_run */
	bool quiet;    /* quiesced, and nothing is under way */
	bool signal_missed;
	/* Bytes of the next request that the device is through with already, from before it was
	 * given back. The loop's. */
	u64 consumed;
	struct event_post stop_post, drop_post, hold_post;
	/* The loop's own. */
	bool serving, exhausted;
	unsigned int budget; /* requests and bytes of this turn */
	size_t budget_bytes;
	u64 signal_ns; /* when the driver last heard of replies */
	struct virtio_reply *replies;
	u16 nr_replies;
};

struct virtio_device {
	const struct virtio_ops *ops;
	const char *name; /* "virtio-blk0"; owned */
	struct vm *vm;
	struct event_loop *loops; /* of its own, each with a thread; NULL: served by another's */
	u16 nr_loops;
	/* One status change at a time; held while the loops start and stop, never while the host
	 * works. Taken before @lock. */
	pthread_mutex_t control;
	pthread_mutex_t lock;
	pthread_cond_t changed; /* a queue stopped or became quiet; a reset is complete */

	u64 host_features; /* offered */
	u64 features; /* accepted, of those offered; does not change while a queue is started */
	bool bad_features; /* the driver also asked for what is not offered */
	u8 status;	   /* VIRTIO_CONFIG_S_* */
	bool active;	   /* DRIVER_OK was reached */
	bool resetting;	   /* asked for, and some queue has not stopped yet */
	bool legacy;	   /* its driver is one from before VIRTIO 1.0; set before it comes */
	bool told_legacy;  /* virtio_tell_legacy has said it */
	bool held;	   /* the transport holds DMA back (PCI bus mastering is off) */
	bool quiesced;
	u32 config_generation;
	u8 *config; /* config_len bytes */
	/* What the device's own code has to remember beyond that, of the loop that changes it;
	 * saved and loaded with the rest, 0 after a reset. */
	u64 own;
	/* The same of a device that has more: bytes in its own structure, which its reset clears.
	 * Set before anything runs; changed by its loops. */
	u8 *remembered;
	u32 remembered_len;

	u16 nr_queues;
	struct virtio_queue *queues;

	const struct virtio_transport_ops *transport;
	void *transport_data;
};

/*
 * For device files: fill @vdev (the first member of the caller's structure or any other).
 * @host_features has the device's own bits; VERSION_1, EVENT_IDX, INDIRECT_DESC, RING_RESET and
 * RING_PACKED are added, IN_ORDER by ops->in_order, and ACCESS_PLATFORM where the guest is
 * protected (a driver must accept that one then).
 * @loop: serves all queues; NULL: loops of its own by ops->nr_loops, whose threads run when this
 * returns. The name is made of @kind ("virtio-blk") and @index. vdev->config is zeroes: the caller
 * fills it. 0, -EINVAL (more queues or entries than there may be, a size that is not a power of
 * two) or an errno of eventfd, epoll and threads; prints.
 */
int virtio_init(struct virtio_device *vdev, struct vm *vm, const struct virtio_ops *ops,
		const char *kind, u32 index, u64 host_features, u16 nr_queues, u16 queue_size,
		struct event_loop *loop) __must_check;
/*
 * Give it the transport that the configuration asks for and add it to the machine. From here on the
 * VM owns it (ops->destroy at the end); on failure the caller still does.
 */
int virtio_attach(struct virtio_device *vdev) __must_check;
/* The same, and on failure the device is no more: what functions that make devices end with. */
int virtio_attach_or_destroy(struct virtio_device *vdev) __must_check;
/* Undo virtio_init: wait until every queue has stopped, end the threads. Called by the core before
 * ops->destroy when the VM owned the device, else by the caller. */
void virtio_fini(struct virtio_device *vdev);
/* Before anything runs: serve all queues by @loop instead. For tests and fuzzers on one thread. 0
 * or what epoll says. */
int virtio_use_loop(struct virtio_device *vdev, struct event_loop *loop) __must_check;

static inline bool virtio_has(const struct virtio_device *vdev, unsigned int bit)
{
	return vdev->features & BIT_ULL(bit);
}

/* Its driver is from before VIRTIO 1.0, with that one's headers and none of its rules. */
static inline bool virtio_is_legacy(const struct virtio_device *vdev)
{
	return vdev->legacy;
}

/* For registers and configuration bytes. */
void virtio_lock(struct virtio_device *vdev);
void virtio_unlock(struct virtio_device *vdev);

/* On the queue's loop. */

/* May the queue be used now? For what begins elsewhere than in queue_run. */
bool virtio_queue_live(struct virtio_device *vdev, u16 q);
/*
 * Pop, and on a broken ring set NEEDS_RESET and tell the driver: 1 filled, 0 nothing now (none
 * waits, the queue stops or is held, or this turn is over: more comes by another queue_run).
 * -E2BIG: not taken, see virtq_pop; only where @max is below VIRTQ_MAX_SEGS.
 */
int virtio_pop(struct virtio_device *vdev, u16 q, struct virtq_request *req, struct iovec *iov,
	       unsigned int max) __must_check;
void virtio_unpop(struct virtio_device *vdev, u16 q, const struct virtq_request *req);
/* Reply. Inside queue_run the driver is told by the core, at once of what took long; elsewhere
 * virtio_signal has to follow. */
void virtio_push(struct virtio_device *vdev, u16 q, const struct virtq_request *req, u32 len);
/* The same, and the byte @where of the request's buffers becomes @status when the reply goes out.
 */
void virtio_push_status(struct virtio_device *vdev, u16 q, const struct virtq_request *req, u32 len,
			u8 *where, u8 status);
void virtio_push_later(struct virtio_device *vdev, u16 q, const struct virtq_request *req, u32 len);
/* Interrupt the driver if it wants one for what was pushed. */
void virtio_signal(struct virtio_device *vdev, u16 q);
/* Run the queue as if the driver had notified: what was waited for is there. */
void virtio_serve(struct virtio_device *vdev, u16 q);
/*
 * What queue_stopped or queue_held waited for is over: all was pushed and signalled, and the caller
 * touches neither ring nor buffers any more. Guest memory may go, be saved or be replaced while
 * this runs.
 */
void virtio_queue_idle(struct virtio_device *vdev, u16 q);

/* Any thread. */

/* Change bytes of the configuration space: generation and interrupt. */
void virtio_config_set(struct virtio_device *vdev, u32 offset, const void *buf, u32 len);
u8 virtio_config_byte(struct virtio_device *vdev, u32 offset);
/* The driver broke a rule that only the device can see: log once per window, NEEDS_RESET. */
void virtio_broken(struct virtio_device *vdev, const char *why);

/* For transports: the state machine of 3.1 behind the registers. All take the lock themselves. */

/* 0 begins a reset. */
void virtio_set_status(struct virtio_device *vdev, u8 status);
u8 virtio_get_status(struct virtio_device *vdev);
u64 virtio_offered(const struct virtio_device *vdev);
void virtio_accept_features(struct virtio_device *vdev, u32 word,
			    u32 value); /* 32 bits at a time */
/* What the driver set in queues[q].vq becomes effective; refused before FEATURES_OK and, without
 * RING_RESET, once active. */
void virtio_enable_queue(struct virtio_device *vdev, u16 q);
/* Begin to stop one queue: QueueReady 0, and queue_reset, which needs RING_RESET. Any @q. */
void virtio_disable_queue(struct virtio_device *vdev, u16 q);
void virtio_reset_queue(struct virtio_device *vdev, u16 q);
/* Is queue @q still on its way to a stop that was asked for? Under the lock. */
bool virtio_queue_stopping(const struct virtio_device *vdev, u16 q);
/* Is it served, so that the driver's notifications must reach it? Takes the lock. */
bool virtio_queue_started(struct virtio_device *vdev, u16 q);
/*
 * Wait until no reset and no stop is under way. @guest: a vcpu waits, and gives up when the VM
 * leaves its running state. Without a lock.
 */
void virtio_wait_stopped(struct virtio_device *vdev, bool guest);
/* The driver did what only those from before VIRTIO 1.0 do: tell the user, once. Takes the lock. */
void virtio_tell_legacy(struct virtio_device *vdev);
/* A notification that took the way through the transport's registers. Any @q. (What
 * NOTIFICATION_DATA tells with it is in the ring too.) */
void virtio_kick(struct virtio_device *vdev, u32 q);
/* Hold back, or let go on, every access to guest memory. */
void virtio_set_held(struct virtio_device *vdev, bool held);
/*
 * Of a held device: wait until the host has come back with the requests that it had begun; what it
 * had not begun goes back to the ring. A vcpu waits, and gives up when the VM leaves its running
 * state. Without a lock that the device's loops may want.
 */
void virtio_wait_held(struct virtio_device *vdev);
/* Any offset and length: bytes beyond config_len read as zero, writes that reach beyond are
 * dropped. */
void virtio_config_read(struct virtio_device *vdev, u32 offset, void *buf, u32 len);
void virtio_config_write(struct virtio_device *vdev, u32 offset, const void *buf, u32 len);
/* Reset and wait until it is complete: the machine's reset, and its end. */
void virtio_device_reset(struct virtio_device *vdev);
/* The device's part of device_ops.quiesce and resume. */
void virtio_quiesce(struct virtio_device *vdev);
void virtio_resume(struct virtio_device *vdev);
/* The same of device_ops.finish. */
void virtio_finish(struct virtio_device *vdev);
/*
 * virtio/state.c: a transport's state has virtio_state as a part; its save hook calls virtio_save,
 * its forget hook virtio_device_reset, and its load hook virtio_load once its own registers are
 * back (the queues start). Save and load print; of a paused device.
 */
extern const struct device_state virtio_state;
int virtio_save(struct virtio_device *vdev) __must_check;
int virtio_load(struct virtio_device *vdev) __must_check;

/* The transports: each wraps @vdev in a struct device and adds it. */
int virtio_pci_attach(struct virtio_device *vdev) __must_check;
int virtio_mmio_attach(struct virtio_device *vdev) __must_check;
int virtio_pci_legacy_attach(struct virtio_device *vdev) __must_check;
int virtio_mmio_legacy_attach(struct virtio_device *vdev) __must_check;

/* The devices. Each borrows its back end, which has to outlive it, prints what is wrong, and leaves
 * nothing behind on failure. */
struct disk;
struct net_backend;
struct console;
struct vsock_backend;
struct share;
struct pmem;
struct vhost;
int virtio_blk_create(struct vm *vm, struct disk *disk, u32 index) __must_check;
int virtio_net_create(struct vm *vm, struct net_backend *nb, const u8 mac[6],
		      u32 index) __must_check;
/* @ports[0] is the one that a driver without ports has. What is in the array is copied, names and
 * consoles outlive the device. */
struct virtio_console_port {
	struct console *con;
	const char *name; /* NULL: none; of a single port: the driver need not know ports */
	bool is_console;  /* a terminal for the guest (hvc), not just bytes */
};
int virtio_console_create(struct vm *vm, const struct virtio_console_port *ports,
			  u32 nr_ports) __must_check;
int virtio_rng_create(struct vm *vm) __must_check;
int virtio_vsock_create(struct vm *vm, struct vsock_backend *vb, u64 cid) __must_check;
int virtio_9p_create(struct vm *vm, struct share *share, u32 index) __must_check;
/* @pmem->gpa says where it has been mapped. */
int virtio_pmem_create(struct vm *vm, struct pmem *pmem, u32 index) __must_check;
int virtio_pmem_new(struct vm *vm, struct pmem *pmem, u32 index,
		    struct virtio_device **out) __must_check;
/* virtio/vhost-blk.c: @readonly is what the user expects. @queues: 0 means one. */
int virtio_vhost_blk_create(struct vm *vm, struct vhost *vhost, bool readonly, u16 queues,
			    u32 index) __must_check;
int virtio_vhost_blk_new(struct vm *vm, struct vhost *vhost, bool readonly, u16 queues, u32 index,
			 struct virtio_device **out) __must_check;
/* virtio/vhost-user-net.c: a card with the address @mac. @mtu: what the guest is told; 0: nothing.
 */
int virtio_vhost_net_create(struct vm *vm, struct vhost *vhost, const u8 mac[6], u16 mtu,
			    u32 index) __must_check;
int virtio_vhost_net_new(struct vm *vm, struct vhost *vhost, const u8 mac[6], u16 mtu, u32 index,
			 struct virtio_device **out) __must_check;
/* virtio/vhost-fs.c: a directory that a guest mounts by @tag (up to 36 bytes). */
int virtio_vhost_fs_create(struct vm *vm, struct vhost *vhost, const char *tag,
			   u32 index) __must_check;
int virtio_vhost_fs_new(struct vm *vm, struct vhost *vhost, const char *tag, u32 index,
			struct virtio_device **out) __must_check;
/* virtio/vhost-vsock.c */
int virtio_vhost_vsock_create(struct vm *vm, struct vhost *vhost, u64 cid) __must_check;
int virtio_vhost_vsock_new(struct vm *vm, struct vhost *vhost, u64 cid,
			   struct virtio_device **out) __must_check;
/* The same without a transport: what the functions above do before virtio_attach, and what unit
 * tests use. */
int virtio_blk_new(struct vm *vm, struct disk *disk, u32 index,
		   struct virtio_device **out) __must_check;
int virtio_net_new(struct vm *vm, struct net_backend *nb, const u8 mac[6], u32 index,
		   struct virtio_device **out) __must_check;
int virtio_console_new(struct vm *vm, const struct virtio_console_port *ports, u32 nr_ports,
		       struct virtio_device **out) __must_check;
int virtio_rng_new(struct vm *vm, struct virtio_device **out) __must_check;
int virtio_vsock_new(struct vm *vm, struct vsock_backend *vb, u64 cid,
		     struct virtio_device **out) __must_check;
/* @workers: see p9_open. */
int virtio_9p_new(struct vm *vm, struct share *share, u32 index, unsigned int workers,
		  struct virtio_device **out) __must_check;

#endif
