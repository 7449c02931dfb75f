/* SPDX-License-Identifier: MIT */
/*
 * A vhost-user back end on a thread of the test: it serves requests of two buffers by the status 0,
 * until it is told to misbehave at some message. It is in the test's own process, so it needs no
 * mapping of memory.
 */
#ifndef LKVM_TESTS_VHOST_PEER_H
#define LKVM_TESTS_VHOST_PEER_H

#include <linux/vhost_types.h>
#include <linux/virtio_blk.h>
#include <linux/virtio_ring.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit.h"

enum peer_sin {
	PEER_HONEST,
	PEER_HANGS_UP,
	PEER_LONG,    /* an answer of another size */
	PEER_OTHER,   /* the answer to something else */
	PEER_REFUSES, /* REPLY_ACK says no, numbers are all ones */
	PEER_BABBLES, /* sends what nobody asked for, at once after the answer */
	PEER_SINS,
};

struct peer_ring {
	u32 size, base;
	u16 kept; /* requests that never come back */
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	int kick, call;
};

struct peer {
	int fd, other; /* its socket, the front end's */
	pthread_t thread;
	u64 features, protocol;
	enum peer_sin sin;
	unsigned int at; /* the message with this number is the one */
	unsigned int seen;
	u64 acked;
	u32 regions, tables, added, removed;
	u64 slots;
	u64 gpa, user;	  /* of the first */
	atomic_bool deaf; /* it hears of requests, and does not serve them */
	int asks;	  /* its own connection, to ask by */
	u64 capacity;
	atomic_int wce;	  /* as it was told */
	atomic_bool keep; /* it takes the next one and does not return it */
	/* Before it gives a ring back, or says what its configuration was, it says that this
	 * changed, and waits until that is taken. */
	atomic_bool insists;
	struct peer_ring rings[4];
};

struct peer_message {
	u32 request, flags, size;
	u8 p[512];
};

static inline bool peer_read(struct peer *p, void *buf, size_t len, int *fd)
{
	char control[CMSG_SPACE(8 * sizeof(int))] __attribute__((aligned(8)));

	while (len) {
		struct iovec iov = { .iov_base = buf, .iov_len = len };
		struct msghdr msg = {
			.msg_iov = &iov,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control),
		};
		ssize_t n = recvmsg(p->fd, &msg, MSG_CMSG_CLOEXEC);
		struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;

		if (n <= 0)
			return false;
		for (size_t i = 0; c && i < (c->cmsg_len - CMSG_LEN(0)) / sizeof(int); i++) {
			if (*fd >= 0)
				close(*fd);
			memcpy(fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
		}
		buf = (u8 *)buf + n;
		len -= (size_t)n;
	}
	return true;
}

/* Is there a request? If not the driver shall say when there is (2.7.10). */
static inline bool peer_finds(struct peer *p, struct peer_ring *r)
{
	u16 *avail_event = (u16 *)&r->used->ring[r->size];

	if (!r->kept && p->acked & BIT_ULL(VIRTIO_RING_F_EVENT_IDX)) {
		__atomic_store_n(avail_event, (u16)r->base, __ATOMIC_RELAXED);
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	}
	return (u16)r->base != __atomic_load_n(&r->avail->idx, __ATOMIC_ACQUIRE);
}

static inline void peer_serve(struct peer *p, struct peer_ring *r)
{
	u64 count;

	if (read(r->kick, &count, sizeof(count)) < 0)
		return;
	while (r->used && !atomic_load(&p->deaf) && peer_finds(p, r)) {
		u16 head = r->avail->ring[r->base % r->size];
		const struct vring_desc *d = &r->desc[r->desc[head].next];
		struct vring_used_elem *e = &r->used->ring[(u16)(r->base - r->kept) % r->size];

		if (atomic_exchange(&p->keep, false)) {
			r->base = (u16)(r->base + 1);
			r->kept++;
			continue;
		}
		*(u8 *)(uintptr_t)(d->addr - p->gpa + p->user) = 0;
		e->id = head;
		e->len = d->len;
		r->base = (u16)(r->base + 1);
		__atomic_store_n(&r->used->idx, (u16)(r->base - r->kept), __ATOMIC_RELEASE);
		count = 1;
		if (write(r->call, &count, sizeof(count)) < 0)
			return;
	}
}

static inline void peer_answer(struct peer *p, struct peer_message *m, const void *data, u32 size,
			       bool sins)
{
	u8 out[12 + 512 + 4] = { 0 };
	u32 head[3] = { m->request, 5, size };

	if (sins && p->sin == PEER_LONG)
		head[2] = 0xfffffff0;
	if (sins && p->sin == PEER_OTHER)
		head[0]++;
	memcpy(out, head, sizeof(head));
	memcpy(out + 12, data, size);
	if (sins && p->sin == PEER_REFUSES)
		memset(out + 12, 0xff, size);
	size += 12 + (sins && p->sin == PEER_BABBLES ? 4 : 0);
	assert_true(send(p->fd, out, size, MSG_NOSIGNAL) >= -1);
}

static inline void peer_insist(struct peer *p)
{
	const u32 changed[3] = { 2, 9, 0 };
	u8 reply[20];

	assert_int_equal(send(p->asks, changed, sizeof(changed), MSG_NOSIGNAL), sizeof(changed));
	assert_int_equal(recv(p->asks, reply, sizeof(reply), MSG_WAITALL), sizeof(reply));
}

/* What a request changes; the size of its answer, 0: there is none of its own. */
static inline u32 peer_take(struct peer *p, struct peer_message *m, int *fd, u8 *reply)
{
	struct vhost_vring_state s;
	struct vhost_vring_addr a;
	struct peer_ring *r;
	u64 v;

	memcpy(&s, m->p, sizeof(s));
	memcpy(&v, m->p, sizeof(v));
	memcpy(&a, m->p, sizeof(a));
	r = &p->rings[s.index % 4];
	switch (m->request) {
	case 1:
		memcpy(reply, &p->features, 8);
		return 8;
	case 2:
		p->acked = v;
		break;
	case 5:
		p->regions = (u32)v;
		p->tables++;
		memcpy(&p->gpa, m->p + 8, 8);
		memcpy(&p->user, m->p + 24, 8);
		break;
	case 8:
		r->size = s.num;
		break;
	case 9:
		r->desc = (void *)(uintptr_t)a.desc_user_addr;
		r->avail = (void *)(uintptr_t)a.avail_user_addr;
		r->used = (void *)(uintptr_t)a.used_user_addr;
		break;
	case 10:
		r->base = s.num;
		break;
	case 11:
		if (atomic_exchange(&p->insists, false))
			peer_insist(p);
		s.num = r->base;
		close(r->kick);
		close(r->call);
		r->kick = r->call = -1;
		memcpy(reply, &s, 8);
		return 8;
	case 12:
	case 13:
		v = (u64)*fd;
		*fd = m->request == 12 ? r->kick : r->call;
		*(m->request == 12 ? &r->kick : &r->call) = (int)v;
		break;
	case 15:
		memcpy(reply, &p->protocol, 8);
		return 8;
	case 17:
		v = 4;
		memcpy(reply, &v, 8);
		return 8;
	case 21:
		p->asks = *fd;
		*fd = -1;
		break;
	case 36:
		memcpy(reply, &p->slots, 8);
		return 8;
	case 37:
		assert_true(*fd >= 0 && m->size == 40);
		if (!p->added++) {
			memcpy(&p->gpa, m->p + 8, 8);
			memcpy(&p->user, m->p + 24, 8);
		}
		p->regions++;
		break;
	case 38:
		assert_true(*fd < 0 && m->size == 40);
		p->removed++;
		p->regions--;
		break;
	case 25:
		/* Behind offset, size and flags. */
		if (m->p[0] == offsetof(struct virtio_blk_config, wce) && m->p[4] == 1)
			atomic_store(&p->wce, m->p[12]);
		break;
	case 24:
		memcpy(reply, m->p, m->size);
		((struct virtio_blk_config *)(reply + 12))->capacity = p->capacity;
		((struct virtio_blk_config *)(reply + 12))->wce = 1;
		if (atomic_exchange(&p->insists, false)) {
			p->capacity++;
			peer_insist(p);
		}
		return m->size;
	}
	return 0;
}

static inline bool peer_message(struct peer *p)
{
	struct peer_message m = { 0 };
	u8 reply[512] = { 0 };
	bool sins, ok;
	int fd = -1;
	u32 size;

	ok = peer_read(p, &m, 12, &fd) && m.size <= sizeof(m.p) && peer_read(p, m.p, m.size, &fd);
	sins = ok && p->sin != PEER_HONEST && p->seen++ == p->at;
	if (ok && sins && p->sin == PEER_HANGS_UP)
		ok = false;
	if (ok) {
		size = peer_take(p, &m, &fd, reply);
		if (size)
			peer_answer(p, &m, reply, size, sins);
		else if (m.flags & 8)
			peer_answer(p, &m, (u8[8]){ 0 }, 8, sins);
	}
	if (fd >= 0)
		close(fd);
	return ok;
}

static inline void *peer_thread(void *opaque)
{
	struct peer *p = opaque;
	struct pollfd fds[5];

	do {
		fds[4] = (struct pollfd){ .fd = p->fd, .events = POLLIN };
		for (int i = 0; i < 4; i++)
			fds[i] = (struct pollfd){ .fd = p->rings[i].kick, .events = POLLIN };
		poll(fds, 5, -1);
		for (int i = 0; i < 4; i++)
			if (fds[i].revents)
				peer_serve(p, &p->rings[i]);
	} while (!fds[4].revents || peer_message(p));
	close(p->fd);
	if (p->asks >= 0)
		close(p->asks);
	for (int i = 0; i < 4; i++) {
		if (p->rings[i].kick >= 0)
			close(p->rings[i].kick);
		if (p->rings[i].call >= 0)
			close(p->rings[i].call);
	}
	return NULL;
}

static inline void peer_prepare(struct peer *p, u64 features, enum peer_sin sin, unsigned int at)
{
	int fds[2];

	memset(p, 0, sizeof(*p));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
	p->fd = fds[0];
	p->other = fds[1];
	p->features = features;
	p->protocol = 0x229; /* MQ, REPLY_ACK, BACKEND_REQ, CONFIG */
	p->capacity = 1234;
	p->wce = -1;
	p->asks = -1;
	p->sin = sin;
	p->at = at;
	for (int i = 0; i < 4; i++)
		p->rings[i].kick = p->rings[i].call = -1;
}

static inline void peer_start(struct peer *p, u64 features, enum peer_sin sin, unsigned int at)
{
	peer_prepare(p, features, sin, at);
	assert_int_equal(pthread_create(&p->thread, NULL, peer_thread, p), 0);
}

static inline void peer_join(struct peer *p)
{
	pthread_join(p->thread, NULL);
}

#endif
