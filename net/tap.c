/* SPDX-License-Identifier: MIT */
/*
 * Network over a tap interface of the host (Linux Documentation/networking/tuntap.rst): packets
 * with a 12-byte virtio_net_hdr_v1 in front. A persistent interface that belongs to the user needs
 * no privileges.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lkvm/access.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/net.h"
#include "lkvm/scan.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"

#define TUN_PATH "/dev/net/tun"
#define OFFLOADS (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)

struct tap {
	struct net_backend nb;
	char name[IFNAMSIZ];
};

static struct tap *to_tap(struct net_backend *nb)
{
	return container_of(nb, struct tap, nb);
}

static ssize_t tap_readv(struct net_queue *nq, const struct iovec *iov, int count)
{
	ssize_t n;

	do {
		n = readv(nq->poll_fd, iov, count);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static ssize_t tap_writev(struct net_queue *nq, const struct iovec *iov, int count)
{
	ssize_t n;

	do {
		n = writev(nq->poll_fd, iov, count);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int tap_set_offloads(struct net_backend *nb, u32 tun_f)
{
	return ioctl(nb->pair[0].poll_fd, TUNSETOFFLOAD, (unsigned long)tun_f) < 0 ? -errno : 0;
}

static void tap_close(struct net_backend *nb)
{
	struct tap *tap = to_tap(nb);

	if (nb->pair[0].room_fd >= 0)
		close(nb->pair[0].room_fd);
	close(nb->pair[0].poll_fd);
	free(tap);
}

static const struct net_backend_ops tap_ops = {
	.readv = tap_readv,
	.writev = tap_writev,
	.set_offloads = tap_set_offloads,
	.close = tap_close,
};

#define MAKE_TAP "sudo ip tuntap add dev %s mode tap user $USER && sudo ip link set %s up"

/* An interface that is given must be there: a mistyped name would else become a network without
 * anyone at its other end. */
static int check_existing(const char *name)
{
	if (!*name || strlen(name) >= IFNAMSIZ || strchr(name, '/') || strchr(name, '%')) {
		err("--network tapif=%s: is not the name of an interface (1 to %d characters, "
		    "without '/' and '%%')",
		    name, IFNAMSIZ - 1);
		return -EINVAL;
	}
	if (!if_nametoindex(name)) {
		err("--network tapif=%s: no such interface; create it with: " MAKE_TAP, name, name,
		    name);
		return -ENODEV;
	}
	return 0;
}

/* A number that sysfs has for interface @name; -1: none, or not known. */
static long sysfs_number(const char *name, const char *what)
{
	char path[96];
	s64 number;

	snprintf(path, sizeof(path), "/sys/class/net/%s/%s", name, what);
	return read_number(path, &number) ? -1 : (long)number;
}

/* tun's tun_not_capable: who has no CAP_NET_ADMIN must be its owner and in its group, where it has
 * them. */
static void say_not_ours(const char *name)
{
	long owner = sysfs_number(name, "owner"), group = sysfs_number(name, "group");
	char why[64];

	if (owner >= 0 && owner != (long)geteuid())
		snprintf(why, sizeof(why), "it belongs to another user, %ld", owner);
	else if (group >= 0)
		snprintf(why, sizeof(why), "it is for group %ld alone", group);
	else
		snprintf(why, sizeof(why), "a security module or a container forbids it");
	err("--network tapif=%s: not permitted: %s; create one of your own with: " MAKE_TAP
	    ", or be root with CAP_NET_ADMIN (in a container: --cap-add NET_ADMIN)",
	    name, why, "tap0", "tap0");
}

static void say_attach_failed(const char *name, int error)
{
	if (!*name && error == EPERM && !geteuid())
		err("--network: cannot create a tap interface: %s; root needs CAP_NET_ADMIN for "
		    "it; give it to the container: --cap-add NET_ADMIN",
		    strerror(error));
	else if (!*name)
		err("--network: cannot create a tap interface: %s; create one with: " MAKE_TAP
		    ", and pass tapif=tap0",
		    strerror(error), "tap0", "tap0");
	else if (error == EBUSY)
		err("--network tapif=%s: is in use by another program; each VM needs one of its "
		    "own",
		    name);
	else if (error == EPERM)
		say_not_ours(name);
	else if (error == EINVAL)
		err("--network tapif=%s: is not a tap; create one with: " MAKE_TAP, name, "tap0",
		    "tap0");
	else
		err("--network tapif=%s: cannot use it: %s", name, strerror(error));
}

static int set_interface(int fd, struct ifreq *ifr)
{
	short flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;

	ifr->ifr_flags = flags;
	if (!ioctl(fd, TUNSETIFF, ifr))
		return 0;
	/* One made for several queues takes a single one as well, if it is asked so. */
	ifr->ifr_flags = (short)(flags | IFF_MULTI_QUEUE);
	if (errno == EINVAL && !ioctl(fd, TUNSETIFF, ifr))
		return 0;
	return -errno;
}

static int attach(struct tap *tap)
{
	int fd = tap->nb.pair[0].poll_fd, hdr_len = NET_HDR_LEN, little = 1, ret;
	struct ifreq ifr = { 0 };

	memcpy(ifr.ifr_name, tap->name, IFNAMSIZ);
	ret = set_interface(fd, &ifr);
	if (ret) {
		say_attach_failed(tap->name, -ret);
		return ret;
	}
	if (!*tap->name)
		info("--network: created tap interface '%s'; it is removed when lkvm exits",
		     ifr.ifr_name);
	memcpy(tap->name, ifr.ifr_name, IFNAMSIZ);
	tap->name[IFNAMSIZ - 1] = '\0';
	if (ioctl(fd, TUNSETVNETHDRSZ, &hdr_len) < 0 || ioctl(fd, TUNSETVNETLE, &little) < 0 ||
	    ioctl(fd, TUNSETOFFLOAD, 0UL) < 0) {
		ret = -errno;
		err("--network tapif=%s: this kernel's tun driver is too old: %s", tap->name,
		    strerror(-ret));
		return ret;
	}
	return 0;
}

static void learn(struct tap *tap)
{
	struct ifreq ifr = { 0 };
	int sock;

	/* Ask for the offloads and take them back: the guest chooses. */
	if (!tap_set_offloads(&tap->nb, OFFLOADS) && !tap_set_offloads(&tap->nb, 0))
		tap->nb.offloads = OFFLOADS;
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (sock < 0)
		return;
	memcpy(ifr.ifr_name, tap->name, IFNAMSIZ);
	if (!ioctl(sock, SIOCGIFMTU, &ifr) && ifr.ifr_mtu >= 68 && ifr.ifr_mtu <= 65535)
		tap->nb.mtu = (u16)ifr.ifr_mtu;
	if (!ioctl(sock, SIOCGIFFLAGS, &ifr) && !(ifr.ifr_flags & IFF_UP))
		warn("--network tapif=%s: is down, so the guest receives nothing; set it up with: "
		     "ip link set %s up",
		     tap->name, tap->name);
	close(sock);
}

static void say_open_failed(int error)
{
	char why[ACCESS_WHY_LEN];
	const char *hint = limit_hint(error);

	if (error == EACCES || error == EPERM)
		hint = access_why("", NULL, TUN_PATH, R_OK | W_OK, error, why, sizeof(why));
	else if (error == ENOENT && access_misc_driver("", "tun") == 1)
		hint = "the kernel has the driver; give the container the device: "
		       "--device " TUN_PATH;
	else if (error == ENOENT || error == ENODEV || error == ENXIO)
		hint = "load its driver with: modprobe tun";
	else if (*hint)
		hint += strlen("; ");
	err("--network: cannot open " TUN_PATH ": %s%s%s", strerror(error), *hint ? "; " : "",
	    hint);
}

static int tap_open(const struct net_config *cfg, struct net_backend **out)
{
	struct tap *tap;
	int ret;

	if (cfg->tapif) {
		ret = check_existing(cfg->tapif);
		if (ret)
			return ret;
	}
	tap = xcalloc(1, sizeof(*tap));
	if (cfg->tapif)
		strncpy(tap->name, cfg->tapif, IFNAMSIZ - 1);
	tap->nb.ops = &tap_ops;
	tap->nb.nr_pairs = 1;
	tap->nb.pair[0].nb = &tap->nb;
	tap->nb.name = tap->name;
	tap->nb.pair[0].poll_fd = open(TUN_PATH, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	if (tap->nb.pair[0].poll_fd < 0) {
		ret = -errno;
		say_open_failed(-ret);
		free(tap);
		return ret;
	}
	ret = attach(tap);
	tap->nb.pair[0].room_fd = ret ? -1 : fcntl(tap->nb.pair[0].poll_fd, F_DUPFD_CLOEXEC, 0);
	if (!ret && tap->nb.pair[0].room_fd < 0) {
		ret = -errno;
		err("net: tap '%s': %s%s", tap->name, strerror(-ret), limit_hint(ret));
	}
	if (ret) {
		tap_close(&tap->nb);
		return ret;
	}
	learn(tap);
	*out = &tap->nb;
	return 0;
}

int net_backend_open(const struct net_config *cfg, struct net_backend **out)
{
	switch (cfg->mode) {
	case NET_TAP:
		return tap_open(cfg, out);
	case NET_LOOPBACK:
		return net_loopback_open(out);
	default:
		err("--network: this mode has no backend");
		return -EINVAL;
	}
}
