/* SPDX-License-Identifier: MIT */
/* --network: a list of network cards. */
#include <ctype.h>
#include <limits.h>
#include <net/if.h>
#include <stdlib.h>

#include "config-items.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

struct net_config *config_add_net(struct vm_config *cfg)
{
	cfg->nets = config_grow(cfg->nets, &cfg->nr_nets, sizeof(*cfg->nets));
	return &cfg->nets[cfg->nr_nets - 1];
}

/* IFNAMSIZ and the kernel's dev_valid_name(): no slash, colon or blank, not "." or "..". */
static bool valid_ifname(const char *s)
{
	size_t len = strlen(s);

	if (!len || len >= IFNAMSIZ || !strcmp(s, ".") || !strcmp(s, ".."))
		return false;
	for (; *s; s++) {
		if (*s == '/' || *s == ':' || isspace((unsigned char)*s))
			return false;
	}
	return true;
}

static int bad_value(const char *shown, const char *key, const char *value, const char *what)
{
	err("%s %s=%s: %s", shown, key, value, what);
	return -EINVAL;
}

static int net_mode(const char *shown, struct net_config *net, const char *value)
{
	static const char *const known[] = { "tap", "macvtap", "user", "vhost-user", "none", NULL };

	/* kvmtool's first word for a card. */
	if (!strcmp(value, "virtio")) {
		err("%s virtio: every card is a virtio card; mode=tap,tapif=NAME says what it is "
		    "connected to",
		    shown);
		return -EINVAL;
	}
	if (!strcmp(value, "tap"))
		net->mode = NET_TAP;
	else if (!strcmp(value, "macvtap"))
		net->mode = NET_MACVTAP;
	else if (!strcmp(value, "user"))
		net->mode = NET_USER;
	else if (!strcmp(value, "vhost-user"))
		net->mode = NET_VHOST_USER;
	else if (!strcmp(value, "none"))
		net->mode = NET_NONE;
	else
		return config_unknown_item(shown, value, known);
	return 0;
}

static int net_tapif(const char *shown, struct net_config *net, const char *value)
{
	if (!valid_ifname(value)) {
		err("%s tapif=%s: is not the name of an interface (1 to %d characters, no '/', ':' "
		    "or blank)",
		    shown, value, IFNAMSIZ - 1);
		return -EINVAL;
	}
	free(net->tapif);
	net->tapif = xstrdup(value);
	return 0;
}

static int net_mac(const char *shown, struct net_config *net, const char *value)
{
	net->has_guest_mac = true;
	if (!config_parse_mac(value, net->guest_mac))
		return 0;
	return bad_value(shown, "guest_mac", value,
			 "is not a unicast address like 02:15:15:15:15:15");
}

/* Descriptors with colons between. */
static int net_fds(const char *shown, struct net_config *net, const char *value)
{
	const char *at = value;

	net->nr_fds = 0;
	do {
		char digits[12];
		size_t len = strcspn(at, ":");
		u64 fd;

		snprintf(digits, sizeof(digits), "%.*s", (int)MIN(len, sizeof(digits)), at);
		if (net->nr_fds == ARRAY_SIZE(net->fds))
			return bad_value(shown, "fd", value, "names more than 16 descriptors");
		if (len >= sizeof(digits) || parse_u64(digits, &fd) || fd < 3 || fd > INT_MAX)
			return bad_value(shown, "fd", value,
					 "is not a list of open descriptors (3 and up) such as 5 "
					 "or 5:6:7");
		for (u16 i = 0; i < net->nr_fds; i++)
			if (net->fds[i] == (int)fd)
				return bad_value(shown, "fd", value, "names a descriptor twice");
		net->fds[net->nr_fds++] = (int)fd;
		at += len;
	} while (*at++);
	return 0;
}

static int net_queues(const char *shown, struct net_config *net, const char *value)
{
	u64 n;

	/* kvmtool's mq=0: none of several. */
	if (parse_u64(value, &n) || n > ARRAY_SIZE(net->fds))
		return bad_value(shown, "queues", value, "is not a number of pairs from 1 to 16");
	net->queues = n ? (u16)n : 1;
	return 0;
}

static int net_vhost(const char *shown, struct net_config *net, const char *value)
{
	u64 n;

	if (parse_u64(value, &n) || n > 1)
		return bad_value(shown, "vhost", value,
				 "is not 1 (the host's kernel moves the packets) or 0 (lkvm does)");
	net->vhost = n;
	return 0;
}

static int net_socket(const char *shown, struct net_config *net, const char *value)
{
	if (!*value)
		return bad_value(shown, "socket", value, "names no socket");
	free(net->socket);
	net->socket = xstrdup(value);
	return 0;
}

static int net_mtu(const char *shown, struct net_config *net, const char *value)
{
	u64 n;

	/* VIRTIO 1.3, 5.1.4.1. */
	if (parse_u64(value, &n) || n < 68 || n > 65535)
		return bad_value(shown, "mtu", value, "is not from 68 to 65535");
	net->mtu = (u16)n;
	return 0;
}

/* A.B.C.D, and /N behind it. */
static int net_host_ip(const char *shown, struct net_config *net, const char *value)
{
	const char *at = value;
	u64 prefix = 24;
	u32 ip = 0;

	for (int i = 0; i < 4; i++) {
		char digits[4];
		size_t len = strspn(at, "0123456789");
		u64 n;

		snprintf(digits, sizeof(digits), "%.*s", (int)MIN(len, (size_t)3), at);
		if (!len || len > 3 || parse_u64(digits, &n) || n > 255 ||
		    (i < 3 && at[len] != '.'))
			goto bad;
		ip = ip << 8 | (u32)n;
		at += len + (i < 3);
	}
	if ((*at == '/' && (parse_u64(at + 1, &prefix) || !prefix || prefix > 32)) ||
	    (*at && *at != '/') || !ip)
		goto bad;
	net->host_ip = ip;
	net->host_prefix = (u8)prefix;
	return 0;
bad:
	return bad_value(shown, "host_ip", value, "is not an address such as 192.168.33.1/24");
}

static int set_program(const char *shown, const char *key, const char *value, char **program)
{
	if (!*value)
		return bad_value(shown, key, value, "names no program");
	free(*program);
	*program = strcmp(value, "none") ? xstrdup(value) : NULL;
	return 0;
}

static int net_script(const char *shown, struct net_config *net, const char *value)
{
	return set_program(shown, "script", value, &net->script);
}

static int net_downscript(const char *shown, struct net_config *net, const char *value)
{
	return set_program(shown, "downscript", value, &net->downscript);
}

static const struct {
	const char *key;
	int (*parse)(const char *shown, struct net_config *net, const char *value);
} items[] = {
	{ "mode", net_mode },	  { "tapif", net_tapif },
	{ "fd", net_fds },	  { "queues", net_queues },
	{ "mq", net_queues },	  { "mtu", net_mtu },
	{ "guest_mac", net_mac }, { "host_ip", net_host_ip },
	{ "script", net_script }, { "downscript", net_downscript },
	{ "vhost", net_vhost },	  { "socket", net_socket },
};

static const char *const net_items[] = {
	"mode=tap|macvtap|user|vhost-user|none",
	"tapif=NAME",
	"fd=N[:N...]",
	"queues=N",
	"vhost=0|1",
	"mtu=N",
	"guest_mac=MAC",
	"guest_ip=IP",
	"host_mac=MAC",
	"host_ip=IP[/N]",
	"forward=tcp:PORT:PORT",
	"socket=PATH",
	"script=FILE",
	"downscript=FILE",
	"rx-rate=SIZE[:BURST]",
	"rx-ops=N[:BURST]",
	"tx-rate=SIZE[:BURST]",
	"tx-ops=N[:BURST]",
	NULL,
};

static int net_other(const char *shown, const char *key, const char *value)
{
	/* kvmtool's. */
	if (strcmp(key, "trans"))
		return config_unknown_item(shown, key, net_items);
	err("%s trans=%s: is not supported; use --virtio-transport", shown, value);
	return -EINVAL;
}

static int net_item(const char *shown, struct net_config *net, char *item, bool first)
{
	int ret = config_rate_item(shown, &net->rx_rate, "rx-", item);
	char *value = strchr(item, '=');

	if (!ret)
		ret = config_rate_item(shown, &net->tx_rate, "tx-", item);
	if (ret)
		return MIN(ret, 0);
	if (!value) {
		if (first)
			return net_mode(shown, net, item);
		err("%s %s: needs a value: %s=...", shown, item, item);
		return -EINVAL;
	}
	*value++ = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(items); i++)
		if (!strcmp(item, items[i].key))
			return items[i].parse(shown, net, value);
	ret = config_net_user_item(shown, &net->user, item, value);
	return ret > 0 ? net_other(shown, item, value) : ret;
}

static bool has_rates(const struct net_config *net)
{
	return net->rx_rate.bytes || net->rx_rate.ops || net->tx_rate.bytes || net->tx_rate.ops;
}

/* A card that another program serves. */
static const char *check_vhost_user(const struct net_config *net)
{
	if (net->mode != NET_VHOST_USER)
		return net->socket ? "socket: is for mode=vhost-user; omit it" : NULL;
	if (!net->socket)
		return "mode=vhost-user: needs socket=PATH";
	if (net->queues > 1)
		return "mode=vhost-user: has one pair of queues; omit queues";
	if (net->tapif || net->nr_fds || net->vhost || net->host_ip || net->script ||
	    net->downscript || has_rates(net))
		return "mode=vhost-user: another program moves the packets; keep socket, guest_mac "
		       "and mtu";
	return NULL;
}

/* Do the words fit together? */
static int check_items(const char *shown, struct net_config *net)
{
	const char *why = check_vhost_user(net);

	if (why)
		;
	else if (net->mode == NET_MACVTAP && !net->tapif && !net->nr_fds)
		why = "mode=macvtap: needs tapif=NAME";
	else if (net->nr_fds && net->tapif)
		why = "tapif: a card has either tapif or fd";
	else if (net->nr_fds && net->queues && net->queues != net->nr_fds)
		why = "queues: fd= names another number of them; omit queues";
	else if ((net->script || net->downscript || net->host_ip) &&
		 (net->nr_fds || net->mode == NET_MACVTAP))
		why = "script, downscript and host_ip are for mode=tap without fd; omit them";
	else if (net->vhost && net->mode == NET_USER)
		why = "vhost: is for taps; omit it";
	else if (net->vhost && has_rates(net))
		why = "vhost: the host's kernel moves the packets, and knows no limits; omit "
		      "vhost, or rx-rate, rx-ops, tx-rate and tx-ops";
	if (!why)
		return config_net_user_check(shown, net);
	err("%s %s", shown, why);
	return -EINVAL;
}

static void free_net(struct net_config *net)
{
	free(net->tapif);
	free(net->socket);
	free(net->script);
	free(net->downscript);
	config_net_user_destroy(&net->user);
}

static int network_parse(const char *shown, const char *arg, void *target)
{
	struct net_config net = { .mode = NET_TAP };
	char *copy = xstrdup(arg), *list = copy, *item;
	bool first = true;
	int ret = 0;

	while (!ret && (item = config_next_item(&list))) {
		ret = net_item(shown, &net, item, first);
		first = false;
	}
	if (!ret)
		ret = check_items(shown, &net);
	/* mode=none asks for no card: there is nothing to note. */
	if (!ret && net.mode != NET_NONE)
		*config_add_net(target) = net;
	else
		free_net(&net);
	free(copy);
	return ret;
}

static char *network_text(const void *target, u32 i)
{
	static const char *const modes[] = { [NET_NONE] = "none",
					     [NET_TAP] = "tap",
					     [NET_MACVTAP] = "macvtap",
					     [NET_USER] = "user",
					     [NET_VHOST_USER] = "vhost-user" };
	const struct vm_config *cfg = target;
	const struct net_config *n;
	char *text;

	if (i >= cfg->nr_nets)
		return NULL;
	n = &cfg->nets[i];
	text = xasprintf("mode=%s", n->mode < ARRAY_SIZE(modes) ? modes[n->mode] : "none");
	config_add_word(&text, "tapif", n->tapif);
	config_add_word(&text, "socket", n->socket);
	for (u16 f = 0; f < n->nr_fds; f++)
		config_add_text(&text, "%s%d", f ? ":" : ",fd=", n->fds[f]);
	if (n->queues)
		config_add_text(&text, ",queues=%u", n->queues);
	if (n->vhost)
		config_add_text(&text, ",vhost=1");
	if (n->mtu)
		config_add_text(&text, ",mtu=%u", n->mtu);
	if (n->has_guest_mac)
		config_add_mac(&text, "guest_mac", n->guest_mac);
	if (n->host_ip)
		config_add_text(&text, ",host_ip=%u.%u.%u.%u/%u", n->host_ip >> 24,
				n->host_ip >> 16 & 0xff, n->host_ip >> 8 & 0xff, n->host_ip & 0xff,
				n->host_prefix);
	config_add_net_user(&text, &n->user);
	config_add_rate(&text, &n->rx_rate, "rx-");
	config_add_rate(&text, &n->tx_rate, "tx-");
	config_add_word(&text, "script", n->script);
	config_add_word(&text, "downscript", n->downscript);
	return text;
}

/* A card keeps what it was given. */
static bool network_names_fd(const void *target, int fd)
{
	const struct vm_config *cfg = target;

	for (u32 i = 0; i < cfg->nr_nets; i++)
		for (u16 f = 0; f < cfg->nets[i].nr_fds; f++)
			if (cfg->nets[i].fds[f] == fd)
				return true;
	return false;
}

static void network_destroy(void *target)
{
	struct vm_config *cfg = target;

	for (u32 i = 0; i < cfg->nr_nets; i++)
		free_net(&cfg->nets[i]);
	free(cfg->nets);
	cfg->nets = NULL;
	cfg->nr_nets = 0;
}

const struct option_hooks network_hooks = {
	.parse = network_parse,
	.text = network_text,
	.names_fd = network_names_fd,
	.destroy = network_destroy,
	.items = net_items,
};
