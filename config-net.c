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

static int net_mode(const char *shown, const char *value, struct net_config *net, bool *none)
{
	static const char *const known[] = { "tap", "user", "none", NULL };

	/* kvmtool's first word for a card. */
	if (!strcmp(value, "virtio")) {
		err("%s virtio: every card is a virtio card; mode=tap,tapif=NAME says what it is "
		    "connected to",
		    shown);
		return -EINVAL;
	}
	*none = !strcmp(value, "none");
	net->mode = strcmp(value, "user") ? NET_TAP : NET_USER;
	return *none || !strcmp(value, "tap") || !strcmp(value, "user")
		       ? 0
		       : config_unknown_item(shown, value, known);
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
		{ "fd", "", "name an existing tap with tapif=" },
		{ "trans", "", "use --virtio-transport" },
	};
	static const char *const known[] = { "mode", "tapif", "guest_mac", "forward", NULL };
	char word[16];

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
	int ret;

	if (!value) {
		if (first)
			return net_mode(shown, item, net, none);
		err("%s %s: needs a value: %s=...", shown, item, item);
		return -EINVAL;
	}
	*value++ = '\0';
	if (!strcmp(item, "mode"))
		return net_mode(shown, value, net, none);
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
		if (!config_parse_mac(value, net->guest_mac))
			return 0;
		err("%s guest_mac=%s: is not a unicast address like 02:15:15:15:15:15", shown,
		    value);
		return -EINVAL;
	}
	ret = config_net_user_item(shown, &net->user, item, value);
	return ret > 0 ? net_other(shown, item, value) : ret;
}

static void destroy_net(struct net_config *net)
{
	free(net->tapif);
	config_net_user_destroy(&net->user);
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
	if (!ret)
		ret = config_net_user_check(shown, &net);
	/* mode=none asks for no card: there is nothing to note. */
	if (!ret && !none)
		*config_add_net(target) = net;
	else
		destroy_net(&net);
	free(copy);
	return ret;
}

static char *network_text(const void *target, u32 i)
{
	const struct vm_config *cfg = target;
	static const char *const modes[] = {
		[NET_NONE] = "none", [NET_TAP] = "tap", [NET_USER] = "user", [NET_LOOPBACK] = "none"
	};
	char mac[40] = "", *tapif = NULL, *user, *text;
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
	user = config_net_user_text(&n->user);
	text = xasprintf("mode=%s%s%s%s%s", modes[n->mode], tapif ? ",tapif=" : "",
			 tapif ? tapif : "", mac, user);
	free(user);
	free(tapif);
	return text;
}

static void network_destroy(void *target)
{
	struct vm_config *cfg = target;

	for (u32 i = 0; i < cfg->nr_nets; i++)
		destroy_net(&cfg->nets[i]);
	free(cfg->nets);
	cfg->nets = NULL;
	cfg->nr_nets = 0;
}

const struct option_hooks network_hooks = {
	.parse = network_parse,
	.text = network_text,
	.destroy = network_destroy,
};
