/* SPDX-License-Identifier: MIT */
/*
 * A macvtap (Linux drivers/net/macvtap.c, tap.c): an address of its own on an interface of the
 * host, without a bridge. Its packets are at /dev/tapN, N being the interface's index; each open of
 * it is a queue.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lkvm/access.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"
#include "tun.h"

#define MAKE_MACVTAP \
	"sudo ip link add link eth0 name %s type macvtap mode bridge && sudo ip link set %s up"

/* tap.c's device is a child of the interface. */
static bool has_tap(const char *name, unsigned int index)
{
	char path[96];

	snprintf(path, sizeof(path), "/sys/class/net/%s/tap%u", name, index);
	return !access(path, F_OK);
}

bool macvtap_is(const char *name)
{
	unsigned int index = if_nametoindex(name);

	return index && has_tap(name, index);
}

static int check(const char *name)
{
	unsigned int index = if_nametoindex(name);

	if (!index) {
		err("--network tapif=%s: no such interface; create it with: " MAKE_MACVTAP, name,
		    name, name);
		return -ENODEV;
	}
	if (!has_tap(name, index)) {
		err("--network tapif=%s: is not a macvtap; create one with: " MAKE_MACVTAP, name,
		    "macvtap0", "macvtap0");
		return -EINVAL;
	}
	return 0;
}

static void say_open_failed(const char *shown, const char *path, int error)
{
	char why[ACCESS_WHY_LEN];
	const char *hint = limit_hint(-error);

	if (error == EACCES || error == EPERM)
		hint = access_why("", NULL, path, R_OK | W_OK, error, why, sizeof(why));
	else if (error == ENOENT)
		hint = "udev makes it; in a container: --device";
	else if (error == EBUSY)
		hint = "is it in use by another program?";
	else if (*hint)
		hint += strlen("; ");
	err("--network %s: cannot open %s: %s%s%s", shown, path, strerror(error), *hint ? "; " : "",
	    hint);
}

static int open_pairs(struct tun *tun)
{
	char path[32];
	int ret = 0;

	snprintf(path, sizeof(path), "/dev/tap%u", if_nametoindex(tun->name));
	for (u16 i = 0; i < tun->nb.nr_pairs && !ret; i++) {
		int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);

		if (fd < 0) {
			ret = -errno;
			say_open_failed(tun->shown, path, -ret);
		} else {
			ret = tun_take(tun, i, fd);
		}
	}
	return ret;
}

int macvtap_open(const struct net_config *cfg, struct net_backend **out)
{
	struct tun *tun;
	int ret;

	ret = check(cfg->tapif);
	if (ret)
		return ret;
	tun = tun_new(MAX(cfg->queues, 1));
	tun->macvtap = true;
	snprintf(tun->name, sizeof(tun->name), "%s", cfg->tapif);
	tun->shown = xasprintf("tapif=%s", tun->name);
	ret = open_pairs(tun);
	if (!ret)
		ret = tun_begin(tun, cfg);
	if (ret) {
		tun_close(&tun->nb);
		return ret;
	}
	/* What comes for another address does not arrive. */
	tun->nb.has_mac = interface_mac(tun->name, tun->nb.mac);
	*out = &tun->nb;
	return 0;
}
