/* SPDX-License-Identifier: MIT */
/*
 * fd=N: taps that somebody else opened, with more rights or in another network namespace, and that
 * we inherited: one descriptor for each pair of queues.
 */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "tun.h"

static int refuse(int fd, int error, const char *why)
{
	err("--network fd=%d: %s", fd, why);
	return -error;
}

/* Is it a tap with virtio's headers? Its interface in @name. */
static int check(int fd, char name[IFNAMSIZ])
{
	struct ifreq ifr = { 0 };

	if (fcntl(fd, F_GETFD) < 0)
		return refuse(fd, EBADF,
			      "is not open; whoever starts lkvm opens it: fd=5 5<>/dev/tap7");
	if (ioctl(fd, TUNGETIFF, &ifr) < 0)
		return refuse(fd, EINVAL, "is not a tap that was attached to an interface");
	if (!(ifr.ifr_flags & IFF_TAP))
		return refuse(fd, EINVAL, "is a tun, which has no Ethernet; it must be a tap");
	if (!(ifr.ifr_flags & IFF_VNET_HDR) || !(ifr.ifr_flags & IFF_NO_PI))
		return refuse(fd, EINVAL,
			      "is a tap without virtio's headers; open it with IFF_VNET_HDR and "
			      "IFF_NO_PI");
	memcpy(name, ifr.ifr_name, IFNAMSIZ);
	name[IFNAMSIZ - 1] = '\0';
	return 0;
}

static int check_all(struct tun *tun, const struct net_config *cfg)
{
	for (u16 i = 0; i < cfg->nr_fds; i++) {
		char name[IFNAMSIZ];
		int ret = check(cfg->fds[i], name);

		if (ret)
			return ret;
		if (!i)
			memcpy(tun->name, name, IFNAMSIZ);
		if (strcmp(tun->name, name))
			return refuse(cfg->fds[i], EINVAL,
				      "belongs to another interface than the first");
	}
	return 0;
}

/* One of the same name may be here; it has another address. */
static bool is_foreign(const char *name, int fd)
{
	struct ifreq ifr = { 0 };
	u8 mac[6];

	return ioctl(fd, SIOCGIFHWADDR, &ifr) || !interface_mac(name, mac) ||
	       memcmp(mac, ifr.ifr_hwaddr.sa_data, sizeof(mac)) != 0;
}

/* Each VM that is made of the configuration closes its own. */
static int take_all(struct tun *tun, const struct net_config *cfg)
{
	int ret = 0;

	for (u16 i = 0; i < cfg->nr_fds && !ret; i++) {
		int fd = fcntl(cfg->fds[i], F_DUPFD_CLOEXEC, 0);

		ret = fd < 0 ? refuse(cfg->fds[i], errno, strerror(errno)) : tun_take(tun, i, fd);
	}
	return ret;
}

int inherited_open(const struct net_config *cfg, struct net_backend **out)
{
	struct tun *tun = tun_new(cfg->nr_fds);
	int ret;

	tun->shown = xasprintf("fd=%d", cfg->fds[0]);
	ret = check_all(tun, cfg);
	if (!ret)
		ret = take_all(tun, cfg);
	tun->foreign = !ret && is_foreign(tun->name, cfg->fds[0]);
	tun->macvtap = !ret && macvtap_is(tun->name);
	if (!ret)
		ret = tun_begin(tun, cfg);
	if (ret) {
		tun_close(&tun->nb);
		return ret;
	}
	if (tun->macvtap)
		tun->nb.has_mac = interface_mac(tun->name, tun->nb.mac);
	*out = &tun->nb;
	return 0;
}
