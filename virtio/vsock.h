/* SPDX-License-Identifier: MIT */
/*
 * virtio-vsock (VIRTIO 1.3, 5.10) over a back end of stream sockets: vsock.c has the queues,
 * vsock-guest.c what comes from the guest, vsock-host.c the sockets, vsock-conn.c the connections
 * that join them. All runs on one loop, the device's own, and takes no lock.
 *
 * Bytes go from the guest's buffers into the socket and from the socket into the guest's buffers.
 * What a socket does not take now is copied into a buffer of its connection, which holds what the
 * guest was granted (VSOCK_BUF) and not a byte more; what the guest has no room for stays in the
 * socket. So who does not read stops its own connection and no other.
 *
 * Whatever is to be sent to the guest waits as a bit of its connection, which is in a list then;
 * and as one of a few strays where there is no connection. When there is no place for another one
 * no more packets are taken from the guest: nothing grows with what a guest sends.
 */
#ifndef LKVM_VIRTIO_VSOCK_H
#define LKVM_VIRTIO_VSOCK_H

#include "lkvm/event.h"
#include "lkvm/virtio.h"
#include "lkvm/vsock.h"
#include "vsock-event.h"

#define VSOCK_HDR      sizeof(struct virtio_vsock_hdr)
#define VSOCK_HOST_CID 2
#define VSOCK_BUF      (256u * 1024) /* what a guest may send ahead; as Linux grants by default */
#define VSOCK_CONNS    1024u
#define VSOCK_BUCKETS  256u
#define VSOCK_STRAYS   64u
/* Of programs of the host: from here on, so many (a power of two); as Firecracker numbers them. */
#define VSOCK_PORTS (1u << 30)
#define VSOCK_BATCH 16u /* receive buffers that one call fills */

/* How long is waited for whom, in ticks. */
#define VSOCK_TICK_NS	    100000000ULL
#define VSOCK_WAIT_LINE	    600 /* a program, maybe a person, says which port */
#define VSOCK_WAIT_RESPONSE 300 /* the guest, to take a connection */
#define VSOCK_WAIT_SERVICE  20	/* a busy service of the host, to have room; as Linux waits */
#define VSOCK_WAIT_CLOSE    80	/* the guest, to agree to the end; as Linux waits */

enum vsock_state {
	VSOCK_FREE,
	VSOCK_LINE,	  /* a program came and has not said yet where to */
	VSOCK_REQUESTED,  /* the guest was asked */
	VSOCK_CONNECTING, /* the guest asked, and the service is busy */
	VSOCK_OPEN,
	VSOCK_CLOSING, /* the host's end is gone, the guest has to agree */
	VSOCK_LINGER,  /* the guest's end is gone, the host's has not read all; not in the table */
	VSOCK_DYING,   /* only the guest has to be told; not in the table */
};

/* What is to be sent. */
#define VSOCK_SEND_REQUEST	  BIT(0)
#define VSOCK_SEND_RESPONSE	  BIT(1)
#define VSOCK_SEND_RST		  BIT(2)
#define VSOCK_SEND_SHUTDOWN	  BIT(3)
#define VSOCK_SEND_CREDIT	  BIT(4)
#define VSOCK_SEND_CREDIT_REQUEST BIT(5)

#define VSOCK_BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)

struct virtio_vsock;

struct vsock_conn {
	struct virtio_vsock *vs;
	struct event ev; /* the socket, watched for edges; fd -1: none */
	enum vsock_state state;
	u32 send; /* VSOCK_SEND_* */
	u32 host_port, guest_port;
	u32 patience; /* ticks left; 0: nothing is waited for */
	/* VIRTIO_VSOCK_SHUTDOWN_*: what each side will do no more. */
	u32 host_shut, guest_shut;
	bool readable; /* the socket, as far as is known */
	bool hung_up;  /* its other end is closed */
	bool bulk;     /* the last buffer was filled: take several at once */
	bool asked;    /* for credit, since there was some */
	/* To the guest (5.10.6.3): all counters wrap. */
	u32 sent, guest_buf, guest_fwd;
	/* From the guest: received, passed on, and what the guest knows of that. */
	u32 received, forwarded, told;
	u8 *buf; /* VSOCK_BUF bytes while something waits */
	u32 buf_at, buf_len;
	struct vsock_conn *bucket_next; /* or of the free ones */
	struct vsock_conn *next, *prev; /* of those that have something to send; NULL: not in it */
};

/* A reset for what is no connection. */
struct vsock_stray {
	u64 src_cid;
	u32 src_port, dst_port;
	u16 type;
};

struct virtio_vsock {
	struct virtio_device vdev;
	struct vsock_backend *vb;
	struct vsock_events events;
	bool tx_waits; /* for a place among the strays */
	/* Send the guest what there is to send: after anything that added to it. */
	void (*flush)(struct virtio_vsock *vs);
	bool accept_later;
	struct event listener;
	struct event_timer timer;
	bool ticking;
	u32 next_port;

	struct vsock_conn *buckets[VSOCK_BUCKETS];
	struct vsock_conn *free;
	u32 nr_conns;		/* ever used, from the beginning of @conns */
	struct vsock_conn list; /* head of the ring of those that have something to send */
	struct vsock_stray strays[VSOCK_STRAYS];
	u32 stray_at, nr_strays;

	struct iovec iov[VIRTQ_MAX_SEGS], part[VIRTQ_MAX_SEGS];
	struct virtq_request reqs[VSOCK_BATCH];
	struct vsock_conn conns[VSOCK_CONNS];
};

static inline struct virtio_vsock *vsock_of(struct virtio_device *vdev)
{
	return container_of(vdev, struct virtio_vsock, vdev);
}

/* vsock-conn.c: the connections. */

void vsock_conns_init(struct virtio_vsock *vs);
/* Close all, without a word to the guest. */
void vsock_conns_close(struct virtio_vsock *vs);
/* A connection that is new: NULL, all are in use (said in a rate-limited line). */
struct vsock_conn *vsock_conn_new(struct virtio_vsock *vs, enum vsock_state state, int fd);
/* Enter it under these ports. */
void vsock_conn_enter(struct vsock_conn *c, u32 host_port, u32 guest_port);
struct vsock_conn *vsock_conn_find(struct virtio_vsock *vs, u32 host_port, u32 guest_port);
void vsock_conn_free(struct vsock_conn *c);
/* Its socket, and what waits for that. */
void vsock_conn_close(struct vsock_conn *c);
/* Put it into the list, for @what (VSOCK_SEND_*; 0: data). */
void vsock_conn_send(struct vsock_conn *c, u32 what);
void vsock_conn_unlist(struct vsock_conn *c);
/* It ends at once, the guest is told by a reset; what the host has not read yet still reaches it.
 */
void vsock_conn_reset(struct vsock_conn *c);
void vsock_conn_fail(struct vsock_conn *c);
/* How much the guest takes now. */
u32 vsock_conn_credit(const struct vsock_conn *c);
/* The header of a packet to the guest, which is told of our credit by it. */
void vsock_conn_header(struct vsock_conn *c, u16 op, u32 flags, u32 len,
		       struct virtio_vsock_hdr *hdr);

/* vsock-host.c: their ends on the host. */

/* The guest sent @len bytes, for which it had credit. */
void vsock_host_write(struct vsock_conn *c, const struct iovec *iov, unsigned int count,
		      size_t len);
/* Read into @iov: what readv says; -EAGAIN too when nothing is to be sent but the end was seen. */
ssize_t vsock_host_read(struct vsock_conn *c, const struct iovec *iov, unsigned int count);
/* The guest does no more what its packet says. */
void vsock_host_shutdown(struct vsock_conn *c);
/* Reach for the service that the guest asked for; again on -EAGAIN. */
void vsock_host_connect(struct vsock_conn *c);
/* The guest took the connection of a program. */
void vsock_host_answer(struct vsock_conn *c);
/* Programs may come, or not. */
void vsock_host_accept(struct virtio_vsock *vs, bool on);
void vsock_host_on_listen(void *opaque, u32 events);
void vsock_host_on_tick(void *opaque);
/* Wait @ticks for something. */
void vsock_host_wait(struct vsock_conn *c, u32 ticks);

/* vsock-guest.c */

/* One packet of the guest: its header, and @len bytes in @iov. */
void vsock_packet(struct virtio_vsock *vs, const struct virtio_vsock_hdr *hdr,
		  const struct iovec *iov, unsigned int count, size_t len);
/* Answer what cannot be right, by a reset. */
void vsock_refuse(struct virtio_vsock *vs, const struct virtio_vsock_hdr *hdr);

#endif
