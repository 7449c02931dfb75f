/* SPDX-License-Identifier: MIT */
/* Which back end a card of the configuration has. */
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "tun.h"

static int open_kind(const struct net_config *cfg, struct net_backend **out)
{
	switch (cfg->mode) {
	case NET_TAP:
		if (cfg->nr_fds)
			return inherited_open(cfg, out);
		if (cfg->tapif && macvtap_is(cfg->tapif))
			return macvtap_open(cfg, out);
		return tap_open(cfg, out);
	case NET_MACVTAP:
		return macvtap_open(cfg, out);
	case NET_LOOPBACK:
		return net_loopback_open(out);
	default:
		err("--network: this mode has no backend");
		return -EINVAL;
	}
}

int net_backend_open(const struct net_config *cfg, struct net_backend **out)
{
	int ret = open_kind(cfg, out);

	if (ret)
		return ret;
	(*out)->rx_rate = cfg->rx_rate;
	(*out)->tx_rate = cfg->tx_rate;
	return 0;
}
