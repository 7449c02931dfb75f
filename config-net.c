/* SPDX-License-Identifier: MIT */
/* --network: a list of network cards. */
#include <ctype.h>
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

/* Six pairs of hexadecimal digits with colons between; of one station, not a group. */
static int parse_mac(const char *s, u8 mac[6])
{
	u8 any = 0;

	for (int i = 0; i < 6; i++, s += 3) {
		char digits[3] = { s[0], s[0] ? s[1] : '\0', '\0' };

		if (!isxdigit((unsigned char)digits[0]) || !isxdigit((unsigned char)digits[1]) ||
		    s[2] != (i < 5 ? ':' : '\0'))
			return -EINVAL;
		mac[i] = (u8)strtoul(digits, NULL, 16);
		any |= mac[i];
	}
	return !any || (mac[0] & 1) ? -EINVAL : 0;
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

static int net_mode(const char *shown, const char *value, bool *none)
{
	static const char *const known[] = { "tap", "none", NULL };

	if (!strcmp(value, "user")) {
		err("%s mode=user: this build has no user-mode network yet; use "
		    "mode=tap,tapif=NAME or mode=none",
		    shown);
		return -EINVAL;
	}
	/* kvmtool's first word for a card. */
	if (!strcmp(value, "virtio")) {
		err("%s virtio: every card is a virtio card; mode=tap,tapif=NAME says what it is "
		    "connected to",
		    shown);
		return -EINVAL;
	}
	*none = !strcmp(value, "none");
	return *none || !strcmp(value, "tap") ? 0 : config_unknown_item(shown, value, known);
}

/* kvmtool's other words: what lkvm does not do is refused unless it asks for nothing. */
static int net_other(const char *shown, const char *key, const char *value)
{
	static const struct {
		const char *key;
		const char *harmless; /* values that ask for nothing, each followed by a blank */
		const char *instead;
	} others[] = {
		{ "vhost", "0 ", "omit it: lkvm itself moves the packets" },
		{ "mq", "0 1 ", "omit it: a card has one pair of queues" },
		{ "script", "none ", "set up the tap beforehand with ip(8)" },
		{ "downscript", "none ", "take the tap down afterwards with ip(8)" },
		{ "host_ip", "", "give the tap its address with ip(8)" },
		{ "fd", "", "name an existing tap with tapif=" },
		{ "trans", "", "use --virtio-transport" },
	};
	static const char *const known[] = { "mode", "tapif", "guest_mac", NULL };
	char word[16];

	/* For kvmtool's user-mode network alone. */
	if (!strcmp(key, "host_mac") || !strcmp(key, "guest_ip")) {
		warn("%s %s=%s: has no effect with mode=tap", shown, key, value);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		if (strcmp(key, others[i].key))
			continue;
		if (strlen(value) < sizeof(word) - 1 && *value) {
			snprintf(word, sizeof(word), "%s ", value);
			if (strstr(others[i].harmless, word))
				return 0;
		}
		err("%s %s=%s: is not supported; %s", shown, key, value, others[i].instead);
		return -EINVAL;
	}
	return config_unknown_item(shown, key, known);
}

static int net_item(const char *shown, struct net_config *net, char *item, bool first, bool *none)
{
	char *value = strchr(item, '=');

	if (!value) {
		if (first)
			return net_mode(shown, item, none);
		err("%s %s: needs a value: %s=...", shown, item, item);
		return -EINVAL;
	}
	*value++ = '\0';
	if (!strcmp(item, "mode"))
		return net_mode(shown, value, none);
	if (!strcmp(item, "tapif")) {
		if (!valid_ifname(value)) {
			err("%s tapif=%s: is not the name of an interface (1 to %d characters, no "
			    "'/', ':' or blank)",
			    shown, value, IFNAMSIZ - 1);
			return -EINVAL;
		}
		free(net->tapif);
		net->tapif = xstrdup(value);
		return 0;
	}
	if (!strcmp(item, "guest_mac")) {
		net->has_guest_mac = true;
		if (!parse_mac(value, net->guest_mac))
			return 0;
		err("%s guest_mac=%s: is not a unicast address like 02:15:15:15:15:15", shown,
		    value);
		return -EINVAL;
	}
	return net_other(shown, item, value);
}

static int network_parse(const char *shown, const char *arg, void *target)
{
	struct net_config net = { .mode = NET_TAP };
	char *copy = xstrdup(arg), *list = copy, *item;
	bool first = true, none = false;
	int ret = 0;

	while (!ret && (item = config_next_item(&list))) {
		ret = net_item(shown, &net, item, first, &none);
		first = false;
	}
	/* mode=none asks for no card: there is nothing to note. */
	if (!ret && !none)
		*config_add_net(target) = net;
	else
		free(net.tapif);
	free(copy);
	return ret;
}

static char *network_text(const void *target, u32 i)
{
	const struct vm_config *cfg = target;
	char mac[40] = "", *tapif = NULL, *text;
	const struct net_config *n;
	const u8 *m;

	if (i >= cfg->nr_nets)
		return NULL;
	n = &cfg->nets[i];
	m = n->guest_mac;
	if (n->has_guest_mac)
		snprintf(mac, sizeof(mac), ",guest_mac=%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1],
			 m[2], m[3], m[4], m[5]);
	if (n->tapif)
		tapif = config_one_item(n->tapif);
	text = xasprintf("mode=%s%s%s%s", n->mode == NET_TAP ? "tap" : "none",
			 tapif ? ",tapif=" : "", tapif ? tapif : "", mac);
	free(tapif);
	return text;
}

static void network_destroy(void *target)
{
	struct vm_config *cfg = target;

	for (u32 i = 0; i < cfg->nr_nets; i++)
		free(cfg->nets[i].tapif);
	free(cfg->nets);
	cfg->nets = NULL;
	cfg->nr_nets = 0;
}

const struct option_hooks network_hooks = {
	.parse = network_parse,
	.text = network_text,
	.destroy = network_destroy,
};
