/* SPDX-License-Identifier: MIT */
/* The words of --network mode=user: kvmtool's for addresses, and forwarded ports. */
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>

#include "config-items.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

/* kvmtool's defaults. */
#define HOST_IP	 0xc0a82101U /* 192.168.33.1 */
#define GUEST_IP 0xc0a8210fU /* 192.168.33.15 */
#define PREFIX	 24

/* Bounded, since the command line of passt is. */
#define FORWARDS_MAX 16

static int parse_ip(const char *shown, const char *key, const char *value, u32 *ip)
{
	struct in_addr addr;

	if (inet_pton(AF_INET, value, &addr) == 1 && addr.s_addr) {
		*ip = ntohl(addr.s_addr);
		return 0;
	}
	err("%s %s=%s: is not an IPv4 address like 192.168.33.15", shown, key, value);
	return -EINVAL;
}

static bool parse_port(const char *s, u16 *port)
{
	u64 value;

	if (parse_u64(s, &value) || !value || value > 65535)
		return false;
	*port = (u16)value;
	return true;
}

/* "127.0.0.1" or "[::1]". */
static bool parse_host(char *host, char addr[46])
{
	u8 raw[16];
	size_t len = strlen(host);
	int family = AF_INET;

	if (*host == '[' && len > 2 && host[len - 1] == ']') {
		host[len - 1] = '\0';
		host++;
		family = AF_INET6;
	}
	if (strlen(host) >= 46 || inet_pton(family, host, raw) != 1)
		return false;
	strcpy(addr, host);
	return true;
}

/* PROTOCOL:[ADDRESS:]PORT:PORT. Cuts @text. */
static bool parse_forward(char *text, struct net_forward *f)
{
	char *host = strchr(text, ':'), *guest = strrchr(text, ':'), *port;

	if (!host || host == guest)
		return false;
	*host++ = '\0';
	*guest++ = '\0';
	f->udp = !strcmp(text, "udp");
	port = strrchr(host, ':');
	if (port)
		*port++ = '\0';
	return (f->udp || !strcmp(text, "tcp")) && parse_port(guest, &f->guest_port) &&
	       parse_port(port ? port : host, &f->host_port) &&
	       (!port || parse_host(host, f->addr));
}

static int add_forward(const char *shown, struct net_user_config *user, const char *value)
{
	struct net_forward f = { 0 }, *to;
	char *copy = xstrdup(value);
	bool ok = parse_forward(copy, &f);

	free(copy);
	if (!ok) {
		err("%s forward=%s: must be tcp:PORT:PORT or udp:PORT:PORT, the host's port and "
		    "the guest's, with an address of the host's before them if wanted: "
		    "tcp:127.0.0.1:8080:80",
		    shown, value);
		return -EINVAL;
	}
	if (user->nr_forwards == FORWARDS_MAX) {
		err("%s forward=%s: is one too many; the maximum is %d for a card", shown, value,
		    FORWARDS_MAX);
		return -EINVAL;
	}
	user->forwards = config_grow(user->forwards, &user->nr_forwards, sizeof(*user->forwards));
	to = &user->forwards[user->nr_forwards - 1];
	*to = f;
	return 0;
}

int config_net_user_item(const char *shown, struct net_user_config *user, const char *key,
			 const char *value)
{
	if (!strcmp(key, "guest_ip"))
		return parse_ip(shown, key, value, &user->guest_ip);
	if (!strcmp(key, "forward"))
		return add_forward(shown, user, value);
	if (strcmp(key, "host_mac"))
		return 1;
	user->has_host_mac = true;
	if (!config_parse_mac(value, user->host_mac))
		return 0;
	err("%s host_mac=%s: is not a unicast address like 02:01:01:01:01:01", shown, value);
	return -EINVAL;
}

/* Of another mode: kvmtool takes addresses there and does nothing with the guest's. */
static int check_other(const char *shown, struct net_user_config *user)
{
	if (user->nr_forwards) {
		err("%s forward=...: is for mode=user; a tap's guest has an address of its own, "
		    "which programs reach",
		    shown);
		return -EINVAL;
	}
	if (user->guest_ip)
		warn("%s guest_ip=...: has no effect without mode=user", shown);
	if (user->has_host_mac)
		warn("%s host_mac=...: has no effect without mode=user", shown);
	config_net_user_destroy(user);
	return 0;
}

/* An address of a machine: not of a group or the host itself, not that of the network or of all in
 * it. */
static bool is_machine(u32 ip, u32 mask)
{
	return ip >> 24 && ip >> 28 < 0xe && ip >> 24 != 127 && ip & ~mask && (ip & ~mask) != ~mask;
}

static int check_addresses(const char *shown, struct net_config *net)
{
	struct net_user_config *user = &net->user;
	u32 mask;

	if (!user->guest_ip && !net->host_ip)
		return 0;
	if (!net->host_ip) {
		net->host_ip = HOST_IP;
		net->host_prefix = PREFIX;
	}
	if (!user->guest_ip)
		user->guest_ip = GUEST_IP;
	mask = ~0U << (32 - net->host_prefix);
	if (is_machine(user->guest_ip, mask) && is_machine(net->host_ip, mask) &&
	    !((user->guest_ip ^ net->host_ip) & mask) && user->guest_ip != net->host_ip)
		return 0;
	err("%s guest_ip and host_ip: must be addresses of two machines in one network; give both, "
	    "like guest_ip=10.0.0.2,host_ip=10.0.0.1/24",
	    shown);
	return -EINVAL;
}

int config_net_user_check(const char *shown, struct net_config *net)
{
	if (net->mode != NET_USER)
		return check_other(shown, &net->user);
	if (net->tapif || net->nr_fds || net->queues > 1 || net->script || net->downscript) {
		err("%s mode=user: has no tapif, fd, queues, script or downscript; omit them, or "
		    "use mode=tap",
		    shown);
		return -EINVAL;
	}
	return check_addresses(shown, net);
}

void config_add_net_user(char **text, const struct net_user_config *user)
{
	const u32 ip = user->guest_ip;

	if (ip)
		xappendf(text, ",guest_ip=%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255,
			 ip & 255);
	if (user->has_host_mac)
		config_add_mac(text, "host_mac", user->host_mac);
	for (u32 i = 0; i < user->nr_forwards; i++) {
		const struct net_forward *f = &user->forwards[i];
		const bool v6 = strchr(f->addr, ':');

		xappendf(text, ",forward=%s:%s%s%s%s%u:%u", f->udp ? "udp" : "tcp", v6 ? "[" : "",
			 f->addr, v6 ? "]" : "", *f->addr ? ":" : "", f->host_port, f->guest_port);
	}
}

void config_net_user_destroy(struct net_user_config *user)
{
	free(user->forwards);
	memset(user, 0, sizeof(*user));
}
