/* SPDX-License-Identifier: MIT */
/*
 * Network over a tap interface of the host (Linux Documentation/networking/tuntap.rst): one
 * that exists, or one that goes with us. A persistent interface that belongs to the user needs
 * no privileges.
 */
#include <fcntl.h>
#include <limits.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lkvm/access.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"
#include "tun.h"

#define TUN_PATH "/dev/net/tun"

#define MAKE_TAP_MQ \
	"sudo ip tuntap add dev %s mode tap multi_queue user $USER && sudo ip link set %s up"
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

/* tun's tun_not_capable: who has no CAP_NET_ADMIN must be its owner and in its group, where it has
 * them. */
static void say_not_ours(const char *name)
{
	long owner = interface_number(name, "owner"), group = interface_number(name, "group");
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

static int set_interface(int fd, struct ifreq *ifr, u16 pairs)
{
	short flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;

	ifr->ifr_flags = (short)(flags | (pairs > 1 ? IFF_MULTI_QUEUE : 0));
	if (!ioctl(fd, TUNSETIFF, ifr))
		return 0;
	/* One made for several queues takes a single one as well, if it is asked so. */
	ifr->ifr_flags = (short)(flags | IFF_MULTI_QUEUE);
	if (errno == EINVAL && pairs == 1 && !ioctl(fd, TUNSETIFF, ifr))
		return 0;
	return -errno;
}

/* It does not take several queues: does it take one? */
static bool has_one_queue(int fd, const char *name)
{
	struct ifreq ifr = { 0 };
	int ret;

	memcpy(ifr.ifr_name, name, IFNAMSIZ);
	ret = set_interface(fd, &ifr, 1);
	return !ret || ret == -EBUSY;
}

/* One queue more of it. */
static int attach(struct tun *tun, u16 i, int fd)
{
	struct ifreq ifr = { 0 };
	int ret;

	memcpy(ifr.ifr_name, tun->name, IFNAMSIZ);
	ret = set_interface(fd, &ifr, tun->nb.nr_pairs);
	if (ret == -EINVAL && tun->nb.nr_pairs > 1 && has_one_queue(fd, tun->name))
		err("--network tapif=%s: has one queue, but queues=%u asks for more; create it "
		    "with: " MAKE_TAP_MQ,
		    tun->name, tun->nb.nr_pairs, tun->name, tun->name);
	else if (ret == -E2BIG)
		err("--network queues=%u: the host's taps have no more than %u", tun->nb.nr_pairs,
		    i);
	else if (ret)
		say_attach_failed(tun->name, -ret);
	if (ret)
		return ret;
	if (!*tun->name)
		info("--network: created tap interface '%s'; it is removed when lkvm exits",
		     ifr.ifr_name);
	memcpy(tun->name, ifr.ifr_name, IFNAMSIZ);
	tun->name[IFNAMSIZ - 1] = '\0';
	return 0;
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

static int open_pairs(struct tun *tun)
{
	int ret = 0;

	for (u16 i = 0; i < tun->nb.nr_pairs && !ret; i++) {
		int fd = open(TUN_PATH, O_RDWR | O_NONBLOCK | O_CLOEXEC);

		if (fd < 0) {
			ret = -errno;
			say_open_failed(-ret);
			return ret;
		}
		ret = tun_take(tun, i, fd);
		if (!ret)
			ret = attach(tun, i, fd);
	}
	return ret;
}

/* The user's own programs, and addresses: the interface is there. */
static int set_up(struct tun *tun, const struct net_config *cfg)
{
	int ret = cfg->script ? script_run("script", cfg->script, tun->name) : 0;

	if (ret)
		return ret;
	if (cfg->downscript)
		tun->downscript = xstrdup(cfg->downscript);
	return interface_set_up(tun->name, cfg, !cfg->tapif);
}

/* The driver itself says 10 where nobody set anything (drivers/net/tun.c). */
static u32 speed_of(const char *name)
{
	long speed = interface_number(name, "speed");

	return speed > 0 && speed != 10 && speed <= INT_MAX ? (u32)speed : 0;
}

int tap_open(const struct net_config *cfg, struct net_backend **out)
{
	struct tun *tun;
	int ret;

	if (cfg->tapif) {
		ret = check_existing(cfg->tapif);
		if (ret)
			return ret;
	}
	tun = tun_new(MAX(cfg->queues, 1));
	if (cfg->tapif)
		strncpy(tun->name, cfg->tapif, IFNAMSIZ - 1);
	tun->shown = cfg->tapif ? xasprintf("tapif=%s", cfg->tapif) : xstrdup("mode=tap");
	ret = open_pairs(tun);
	if (!ret)
		ret = set_up(tun, cfg);
	if (!ret)
		ret = tun_begin(tun, cfg);
	if (ret) {
		tun_close(&tun->nb);
		return ret;
	}
	tun->nb.speed = speed_of(tun->name);
	*out = &tun->nb;
	return 0;
}
