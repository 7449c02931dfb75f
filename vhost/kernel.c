/* SPDX-License-Identifier: MIT */
/*
 * The host kernel's vhost (linux/vhost.h; drivers/vhost): threads of the kernel's that serve the
 * rings of a network card between guest and tap (/dev/vhost-net), or those of sockets between host
 * and guest (/dev/vhost-vsock). A descriptor of either serves two rings; a card with several pairs
 * has one for each.
 */
#include <fcntl.h>
#include <linux/vhost.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lkvm/access.h"
#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"
#include "lkvm/vhost.h"

#define MAX_REGIONS 64 /* the kernel's, where max_mem_regions= does not say otherwise */
/* Of the feature bits the two that are not a driver's: to log what is written, and to make the
 * headers that our taps make themselves. */
#define NOT_TAKEN (BIT_ULL(VHOST_F_LOG_ALL) | BIT_ULL(VHOST_NET_F_VIRTIO_NET_HDR))

struct pair {
	int fd;
	int tap;  /* borrowed; -1: sockets */
	u8 ready; /* of sockets: a bit for each ring */
};

struct vhost_kernel {
	struct vhost v; /* fd: an eventfd for the kernel's complaints of rings */
	bool complained;
	u16 nr_pairs;
	struct pair pair[];
};

static struct vhost_kernel *to_kernel(struct vhost *v)
{
	return container_of(v, struct vhost_kernel, v);
}

static struct pair *pair_of(struct vhost *v, u16 ring)
{
	return &to_kernel(v)->pair[ring / 2];
}

/* @what: the request, without what all have in common. */
static int tell(struct vhost *v, const struct pair *p, unsigned long request, void *arg,
		const char *what)
{
	int ret;

	if (v->gone)
		return -EPIPE;
	if (!ioctl(p->fd, request, arg))
		return 0;
	ret = -errno;
	v->gone = true;
	err("%s: the kernel's vhost refuses %s: %s%s", v->what, what, strerror(-ret),
	    ret == -E2BIG ? "; its parameter max_mem_regions says how much memory it takes" : "");
	return ret;
}

#define TELL(v, p, request, arg) tell(v, p, VHOST_##request, arg, #request)

static int tell_fd(struct vhost *v, u16 ring, unsigned long request, int fd, const char *what)
{
	struct vhost_vring_file file = { .index = ring % 2, .fd = fd };

	return tell(v, pair_of(v, ring), request, &file, what);
}

#define TELL_FD(v, ring, request, fd) tell_fd(v, ring, VHOST_##request, fd, #request)

/* The table */

static int kernel_set_features(struct vhost *v, u64 features)
{
	struct vhost_kernel *k = to_kernel(v);
	int ret = 0;

	/* No ring runs: what it said was of others. */
	eventfd_drain(v->fd);
	k->complained = false;
	for (u16 i = 0; i < k->nr_pairs && !ret; i++)
		ret = TELL(v, &k->pair[i], SET_FEATURES, &features);
	return ret;
}

static int kernel_set_memory(struct vhost *v, const struct guest_memory *mem)
{
	struct vhost_kernel *k = to_kernel(v);
	union {
		struct vhost_memory head;
		u8 room[offsetof(struct vhost_memory, regions) +
			MAX_REGIONS * sizeof(struct vhost_memory_region)];
	} table = { .room = { 0 } };
	const struct memory_region *r;
	int ret = 0;

	memory_for_each(mem, r) {
		if (!memory_is_writable(r->kind))
			continue;
		if (table.head.nregions == MAX_REGIONS) {
			err("%s: cannot be given this guest's memory: it has more than %u parts",
			    v->what, MAX_REGIONS);
			v->gone = true;
			return -E2BIG;
		}
		table.head.regions[table.head.nregions++] = (struct vhost_memory_region){
			.guest_phys_addr = r->gpa,
			.memory_size = r->size,
			.userspace_addr = (uintptr_t)r->hva,
		};
	}
	for (u16 i = 0; i < k->nr_pairs && !ret; i++)
		ret = TELL(v, &k->pair[i], SET_MEM_TABLE, &table);
	return ret;
}

/* The rings of a pair run one by one where there is a tap; those of sockets run together, or
 * neither does. */
static int run(struct vhost *v, u16 ring, bool on)
{
	struct pair *p = pair_of(v, ring);
	int running;

	if (p->tap >= 0)
		return TELL_FD(v, ring, NET_SET_BACKEND, on ? p->tap : -1);
	p->ready = (u8)((p->ready & ~BIT(ring)) | (on ? BIT(ring) : 0));
	running = p->ready == 3;
	return on && !running ? 0 : TELL(v, p, VSOCK_SET_RUNNING, &running);
}

static int kernel_start_ring(struct vhost *v, const struct vhost_ring *ring)
{
	const struct pair *p = pair_of(v, ring->index);
	struct vhost_vring_state size = { .index = ring->index % 2, .num = ring->size };
	struct vhost_vring_state base = { .index = ring->index % 2, .num = ring->base };
	struct vhost_vring_addr addr = {
		.index = ring->index % 2,
		.desc_user_addr = (uintptr_t)ring->desc,
		.avail_user_addr = (uintptr_t)ring->avail,
		.used_user_addr = (uintptr_t)ring->used,
	};
	int ret = TELL(v, p, SET_VRING_NUM, &size);

	if (!ret)
		ret = TELL(v, p, SET_VRING_BASE, &base);
	if (!ret)
		ret = TELL(v, p, SET_VRING_ADDR, &addr);
	if (!ret)
		ret = TELL_FD(v, ring->index, SET_VRING_ERR, v->fd);
	if (!ret)
		ret = TELL_FD(v, ring->index, SET_VRING_CALL, ring->call);
	if (!ret)
		ret = TELL_FD(v, ring->index, SET_VRING_KICK, ring->kick);
	return ret ? ret : run(v, ring->index, true);
}

static int kernel_set_call(struct vhost *v, u16 ring, int fd)
{
	return TELL_FD(v, ring, SET_VRING_CALL, fd);
}

static int kernel_stop_ring(struct vhost *v, u16 ring, u32 *base)
{
	struct vhost_vring_state state = { .index = ring % 2 };
	int ret = run(v, ring, false);

	/* The driver's notifications are ours again. */
	if (!ret)
		ret = TELL_FD(v, ring, SET_VRING_KICK, -1);
	if (!ret)
		ret = TELL(v, pair_of(v, ring), GET_VRING_BASE, &state);
	*base = state.num;
	return ret;
}

static int kernel_get_config(struct vhost *v, void *buf, u32 len)
{
	return -ENOTSUP;
}

/* A ring that breaks the rules is served no more, until the driver resets it. */
static bool kernel_check(struct vhost *v)
{
	struct vhost_kernel *k = to_kernel(v);
	u64 count;

	if (read(v->fd, &count, sizeof(count)) < 0)
		return false;
	if (!k->complained)
		guest_warn("%s: the kernel's vhost stops: the driver breaks the rules of its rings",
			   v->what);
	k->complained = true;
	return true;
}

static void kernel_close(struct vhost *v)
{
	struct vhost_kernel *k = to_kernel(v);

	for (u16 i = 0; i < k->nr_pairs; i++)
		if (k->pair[i].fd >= 0)
			close(k->pair[i].fd);
	if (v->fd >= 0)
		close(v->fd);
	free((char *)v->what);
	free(k);
}

static const struct vhost_ops kernel_ops = {
	.set_features = kernel_set_features,
	.set_memory = kernel_set_memory,
	.start_ring = kernel_start_ring,
	.set_call = kernel_set_call,
	.stop_ring = kernel_stop_ring,
	.get_config = kernel_get_config,
	.check = kernel_check,
	.close = kernel_close,
};

/* Opening */

/* @name: "vhost-net", of which the module has an underscore. @without: what needs no such device.
 */
static int open_device(const char *what, const char *name, const char *without)
{
	char path[32], why[ACCESS_WHY_LEN];
	const char *hint = why;
	int fd, error;

	snprintf(path, sizeof(path), "/dev/%s", name);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	error = errno;
	if (error == EACCES || error == EPERM)
		hint = access_why("", NULL, path, R_OK | W_OK, error, why, sizeof(why));
	else if (error == ENOENT && access_misc_driver("", name) == 1)
		snprintf(why, sizeof(why),
			 "the kernel has the driver; give the container the device: --device %s",
			 path);
	else if (error == ENOENT || error == ENODEV || error == ENXIO)
		snprintf(why, sizeof(why), "load its driver with: modprobe vhost_%s",
			 name + strlen("vhost-"));
	else
		hint = limit_hint(error);
	hint += *hint == ';' ? strlen("; ") : 0;
	err("%s: cannot open %s: %s%s%s; or %s", what, path, strerror(error), *hint ? "; " : "",
	    hint, without);
	return -error;
}

static int begin(struct vhost *v, struct pair *p)
{
	u64 features;
	int ret = TELL(v, p, SET_OWNER, NULL);

	if (!ret)
		ret = TELL(v, p, GET_FEATURES, &features);
	if (!ret)
		v->features = features & ~NOT_TAKEN;
	return ret;
}

static int open_pairs(const char *what, const char *name, const char *without, const int *taps,
		      u16 nr, struct vhost **out)
{
	struct vhost_kernel *k = xcalloc(1, sizeof(*k) + nr * sizeof(k->pair[0]));
	int ret = 0;

	k->v.ops = &kernel_ops;
	k->v.what = xstrdup(what);
	k->v.max_queues = (u16)(2 * nr);
	k->v.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (k->v.fd < 0) {
		ret = -errno;
		err("%s: %s%s", what, strerror(-ret), limit_hint(ret));
	}
	for (u16 i = 0; i < nr && !ret; i++) {
		struct pair *p = &k->pair[i];

		p->tap = taps ? taps[i] : -1;
		p->fd = open_device(what, name, without);
		k->nr_pairs++;
		ret = p->fd < 0 ? p->fd : begin(&k->v, p);
	}
	if (ret)
		kernel_close(&k->v);
	else
		*out = &k->v;
	return ret;
}

int vhost_net_open(const char *what, const int *taps, u16 nr, struct vhost **out)
{
	return open_pairs(what, "vhost-net", "omit vhost=1", taps, nr, out);
}

int vhost_vsock_open(const char *what, u64 cid, struct vhost **out)
{
	char *without = xasprintf("use a unix socket: %s,socket=PATH", what);
	int ret = open_pairs(what, "vhost-vsock", without, NULL, 1, out);

	free(without);
	if (ret)
		return ret;
	if (!ioctl(to_kernel(*out)->pair[0].fd, VHOST_VSOCK_SET_GUEST_CID, &cid))
		return 0;
	ret = -errno;
	err("%s: %s%s", what, strerror(-ret),
	    ret == -EADDRINUSE ? "; another guest has this address: choose another one" : "");
	kernel_close(*out);
	return ret;
}
