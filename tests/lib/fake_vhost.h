/* SPDX-License-Identifier: MIT */
/*
 * A kernel that has vhost, for one program: open, close and ioctl are replaced as far as
 * /dev/vhost-net and /dev/vhost-vsock go, and a thread serves the rings as the kernel does, split
 * ones without event indices or indirect descriptors: packets between rings and a tap (or whatever
 * descriptor is given for one), and what a guest sends on vsock comes back. It refuses what the
 * kernel refuses.
 */
#ifndef LKVM_TESTS_FAKE_VHOST_H
#define LKVM_TESTS_FAKE_VHOST_H

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <linux/virtio_net.h>
#include <linux/virtio_ring.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define FAKE_DEVICES 8
#define FAKE_REGIONS 8
#define FAKE_SEGS    64

struct fake_ring {
	unsigned int num, last;
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	int kick, call, err, backend; /* -1: none */
	bool runs;
};

struct fake_device {
	int fd; /* -1: closed */
	bool vsock, owner;
	uint64_t features, cid;
	unsigned int nr_regions;
	struct vhost_memory_region regions[FAKE_REGIONS];
	struct fake_ring ring[2];
};

static struct {
	pthread_mutex_t lock;
	bool started;
	int epoll;
	unsigned int nr, tables;
	uint64_t features;
	int no_device;	      /* what open says, or 0 */
	unsigned long refuse; /* this request, by @error */
	int error;
	struct fake_device dev[FAKE_DEVICES];
} fake = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.features = 1ULL << VIRTIO_F_VERSION_1 | 1ULL << VIRTIO_NET_F_MRG_RXBUF | 1ULL << 40 |
		    1ULL << VHOST_F_LOG_ALL | 1ULL << VHOST_NET_F_VIRTIO_NET_HDR,
};

/* Serving, under the lock */

static void *fake_ptr(const struct fake_device *d, uint64_t gpa, uint64_t len)
{
	for (unsigned int i = 0; i < d->nr_regions; i++) {
		const struct vhost_memory_region *r = &d->regions[i];

		if (gpa >= r->guest_phys_addr && len <= r->memory_size &&
		    gpa - r->guest_phys_addr <= r->memory_size - len)
			return (void *)(uintptr_t)(r->userspace_addr + gpa - r->guest_phys_addr);
	}
	return NULL;
}

static void fake_signal(int fd)
{
	uint64_t one = 1;

	if (fd >= 0 && write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
		abort();
}

/* The next chain: its iovecs. 0: none; -1: it is broken, which was said. */
static int fake_next(struct fake_device *d, struct fake_ring *r, struct iovec *iov)
{
	unsigned int at, n = 0;

	if (!r->runs || __atomic_load_n(&r->avail->idx, __ATOMIC_ACQUIRE) == (uint16_t)r->last)
		return 0;
	at = r->avail->ring[r->last % r->num];
	for (;;) {
		const struct vring_desc *desc = &r->desc[at];

		if (at >= r->num || n == FAKE_SEGS)
			goto broken;
		iov[n].iov_len = desc->len;
		iov[n].iov_base = fake_ptr(d, desc->addr, desc->len);
		if (!iov[n++].iov_base)
			goto broken;
		if (!(desc->flags & VRING_DESC_F_NEXT))
			return (int)n;
		at = desc->next;
	}
broken:
	fake_signal(r->err);
	return -1;
}

static void fake_done(struct fake_ring *r, uint32_t len)
{
	struct vring_used_elem *e = &r->used->ring[r->used->idx % r->num];

	e->id = r->avail->ring[r->last++ % r->num];
	e->len = len;
	__atomic_store_n(&r->used->idx, (uint16_t)(r->used->idx + 1), __ATOMIC_RELEASE);
	if (!(r->avail->flags & VRING_AVAIL_F_NO_INTERRUPT))
		fake_signal(r->call);
}

static void fake_net(struct fake_device *d)
{
	struct iovec iov[FAKE_SEGS];
	ssize_t len;
	int n;

	while ((n = fake_next(d, &d->ring[1], iov)) > 0) {
		if (writev(d->ring[1].backend, iov, n) < 0 && errno == EAGAIN)
			break;
		fake_done(&d->ring[1], 0);
	}
	while ((n = fake_next(d, &d->ring[0], iov)) > 0) {
		len = readv(d->ring[0].backend, iov, n);
		if (len <= 0)
			break;
		((uint8_t *)iov[0].iov_base)[10] = 1; /* num_buffers */
		fake_done(&d->ring[0], (uint32_t)len);
	}
}

static void fake_vsock(struct fake_device *d)
{
	struct iovec out[FAKE_SEGS], in[FAKE_SEGS];

	while (fake_next(d, &d->ring[0], in) > 0 && fake_next(d, &d->ring[1], out) > 0) {
		uint32_t len = (uint32_t)out[0].iov_len;

		if (len > in[0].iov_len)
			len = (uint32_t)in[0].iov_len;
		memcpy(in[0].iov_base, out[0].iov_base, len);
		fake_done(&d->ring[1], 0);
		fake_done(&d->ring[0], len);
	}
}

static void fake_serve(void)
{
	for (unsigned int i = 0; i < fake.nr; i++) {
		if (fake.dev[i].fd >= 0 && fake.dev[i].vsock)
			fake_vsock(&fake.dev[i]);
		else if (fake.dev[i].fd >= 0)
			fake_net(&fake.dev[i]);
	}
}

static void *fake_thread(void *arg)
{
	struct epoll_event ev;

	for (;;) {
		/* Nobody reads what was written to a kick, as in the kernel: each write is an
		 * event. */
		if (epoll_wait(fake.epoll, &ev, 1, -1) < 0 && errno != EINTR)
			abort();
		pthread_mutex_lock(&fake.lock);
		fake_serve();
		pthread_mutex_unlock(&fake.lock);
	}
	return arg;
}

static void fake_watch(int *now, int fd)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET };

	if (*now >= 0)
		epoll_ctl(fake.epoll, EPOLL_CTL_DEL, *now, NULL);
	if (fd >= 0)
		epoll_ctl(fake.epoll, EPOLL_CTL_ADD, fd, &ev);
	*now = fd;
}

/* The requests, under the lock; 0 or an errno */

static int fake_set_table(struct fake_device *d, const struct vhost_memory *table)
{
	if (table->nregions > FAKE_REGIONS)
		return E2BIG;
	d->nr_regions = table->nregions;
	memcpy(d->regions, table->regions, table->nregions * sizeof(d->regions[0]));
	fake.tables++;
	return 0;
}

static int fake_set_addr(struct fake_device *d, const struct vhost_vring_addr *a)
{
	struct fake_ring *r = &d->ring[a->index];

	if (a->flags || a->avail_user_addr % 2 || a->used_user_addr % 4 || a->log_guest_addr % 4)
		return EINVAL;
	r->desc = (struct vring_desc *)(uintptr_t)a->desc_user_addr;
	r->avail = (struct vring_avail *)(uintptr_t)a->avail_user_addr;
	r->used = (struct vring_used *)(uintptr_t)a->used_user_addr;
	return 0;
}

static int fake_run(struct fake_device *d, unsigned int i, bool on)
{
	if (on && (!d->owner || !d->nr_regions || !d->ring[i].used || d->ring[i].kick < 0))
		return EFAULT;
	d->ring[i].runs = on;
	return 0;
}

static int fake_set_backend(struct fake_device *d, unsigned int i, int fd)
{
	if (d->vsock)
		return ENOTTY;
	if (!i)
		fake_watch(&d->ring[i].backend, fd);
	d->ring[i].backend = fd;
	return fake_run(d, i, fd >= 0);
}

static int fake_set_running(struct fake_device *d, bool on)
{
	int ret = fake_run(d, 0, on);

	return ret ? ret : fake_run(d, 1, on);
}

static int fake_set_cid(struct fake_device *d, uint64_t cid)
{
	for (unsigned int i = 0; i < fake.nr; i++)
		if (fake.dev[i].fd >= 0 && &fake.dev[i] != d && fake.dev[i].cid == cid)
			return EADDRINUSE;
	d->cid = cid;
	return 0;
}

static int fake_ring_request(struct fake_device *d, unsigned long request, void *arg)
{
	struct vhost_vring_state *s = arg;
	struct vhost_vring_file *f = arg;
	struct fake_ring *r = &d->ring[s->index & 1];

	if (s->index > 1)
		return ENOBUFS;
	switch (request) {
	case VHOST_SET_VRING_NUM:
		r->num = s->num;
		return r->runs ? EBUSY : 0;
	case VHOST_SET_VRING_BASE:
		r->last = s->num;
		return r->runs ? EBUSY : s->num > 0xffff ? EINVAL : 0;
	case VHOST_GET_VRING_BASE:
		s->num = (uint16_t)r->last;
		return 0;
	case VHOST_SET_VRING_KICK:
		fake_watch(&r->kick, f->fd);
		return 0;
	case VHOST_SET_VRING_CALL:
		r->call = f->fd;
		return 0;
	case VHOST_SET_VRING_ERR:
		r->err = f->fd;
		return 0;
	case VHOST_NET_SET_BACKEND:
		return fake_set_backend(d, f->index, f->fd);
	default:
		return ENOTTY;
	}
}

static int fake_request(struct fake_device *d, unsigned long request, void *arg)
{
	if (request == fake.refuse)
		return fake.error;
	if (!d->owner && request != VHOST_SET_OWNER && request != VHOST_GET_FEATURES)
		return EPERM;
	switch (request) {
	case VHOST_SET_OWNER:
		if (d->owner)
			return EBUSY;
		d->owner = true;
		return 0;
	case VHOST_GET_FEATURES:
		*(uint64_t *)arg = fake.features | (d->vsock ? 1ULL << 1 : 0);
		return 0;
	case VHOST_SET_FEATURES:
		d->features = *(uint64_t *)arg;
		return d->features & ~(fake.features | 2) ? EOPNOTSUPP : 0;
	case VHOST_SET_MEM_TABLE:
		return fake_set_table(d, arg);
	case VHOST_SET_VRING_ADDR:
		return fake_set_addr(d, arg);
	case VHOST_VSOCK_SET_GUEST_CID:
		return fake_set_cid(d, *(uint64_t *)arg);
	case VHOST_VSOCK_SET_RUNNING:
		return fake_set_running(d, *(int *)arg);
	default:
		return fake_ring_request(d, request, arg);
	}
}

/* In place of the C library's */

static int fake_open(const char *path)
{
	struct fake_device *d = NULL;
	pthread_t thread;

	if (fake.no_device) {
		errno = fake.no_device;
		return -1;
	}
	pthread_mutex_lock(&fake.lock);
	if (!fake.started) {
		fake.started = true;
		fake.epoll = epoll_create1(EPOLL_CLOEXEC);
		if (pthread_create(&thread, NULL, fake_thread, NULL))
			abort();
		pthread_detach(thread);
	}
	for (unsigned int i = 0; i < fake.nr && !d; i++)
		if (fake.dev[i].fd < 0)
			d = &fake.dev[i];
	if (!d && fake.nr == FAKE_DEVICES)
		abort();
	d = d ? d : &fake.dev[fake.nr++];
	memset(d, 0, sizeof(*d));
	d->fd = eventfd(0, EFD_CLOEXEC);
	d->vsock = strstr(path, "vsock");
	for (int i = 0; i < 2; i++)
		d->ring[i] = (struct fake_ring){ .kick = -1, .call = -1, .err = -1, .backend = -1 };
	pthread_mutex_unlock(&fake.lock);
	return d->fd;
}

static struct fake_device *fake_find(int fd)
{
	for (unsigned int i = 0; i < fake.nr; i++)
		if (fd >= 0 && fake.dev[i].fd == fd)
			return &fake.dev[i];
	return NULL;
}

int open(const char *path, int flags, ...)
{
	va_list ap;
	int mode;

	va_start(ap, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, int) : 0;
	va_end(ap);
	if (!strncmp(path, "/dev/vhost-", 11))
		return fake_open(path);
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

/* <sys/ioctl.h> has names of tests. */
int ioctl(int fd, unsigned long request, ...);
int ioctl(int fd, unsigned long request, ...)
{
	struct fake_device *d;
	va_list ap;
	void *arg;
	int ret;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	/* Their letter is theirs alone, here. */
	if (_IOC_TYPE(request) != VHOST_VIRTIO)
		return (int)syscall(SYS_ioctl, fd, request, arg);
	pthread_mutex_lock(&fake.lock);
	d = fake_find(fd);
	ret = d ? fake_request(d, request, arg) : EBADF;
	fake_serve();
	pthread_mutex_unlock(&fake.lock);
	errno = ret;
	return ret ? -1 : 0;
}

int close(int fd)
{
	struct fake_device *d;

	pthread_mutex_lock(&fake.lock);
	d = fake_find(fd);
	if (d) {
		for (int i = 0; i < 2; i++) {
			fake_watch(&d->ring[i].kick, -1);
			if (!i)
				fake_watch(&d->ring[i].backend, -1);
		}
		d->fd = -1;
	}
	pthread_mutex_unlock(&fake.lock);
	return (int)syscall(SYS_close, fd);
}

#endif
