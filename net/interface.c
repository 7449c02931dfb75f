/* SPDX-License-Identifier: MIT */
/* What an interface of this network namespace is, and setting it up (netdevice(7)). */
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/scan.h"
#include "lkvm/util.h"
#include "tun.h"

/* One request about interface @name; the other members of @ifr are the caller's. */
static int request(const char *name, unsigned long number, struct ifreq *ifr)
{
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int ret = 0;

	if (sock < 0)
		return -errno;
	memcpy(ifr->ifr_name, name, strnlen(name, IFNAMSIZ - 1) + 1);
	if (ioctl(sock, number, ifr) < 0)
		ret = -errno;
	close(sock);
	return ret;
}

long interface_number(const char *name, const char *what)
{
	char path[96];
	s64 number;

	snprintf(path, sizeof(path), "/sys/class/net/%s/%s", name, what);
	return read_number(path, &number) ? -1 : (long)number;
}

/* VIRTIO 1.3, 5.1.4.1: not below 68. */
u16 interface_mtu(const char *name)
{
	struct ifreq ifr = { 0 };

	if (request(name, SIOCGIFMTU, &ifr) || ifr.ifr_mtu < 68 || ifr.ifr_mtu > 65535)
		return 0;
	return (u16)ifr.ifr_mtu;
}

bool interface_is_down(const char *name)
{
	struct ifreq ifr = { 0 };

	return !request(name, SIOCGIFFLAGS, &ifr) && !(ifr.ifr_flags & IFF_UP);
}

bool interface_mac(const char *name, u8 mac[6])
{
	struct ifreq ifr = { 0 };

	if (request(name, SIOCGIFHWADDR, &ifr))
		return false;
	memcpy(mac, ifr.ifr_hwaddr.sa_data, 6);
	return true;
}

static int set_address(const char *name, unsigned long number, u32 address)
{
	struct ifreq ifr = { 0 };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(address) };

	memcpy(&ifr.ifr_addr, &in, sizeof(in));
	return request(name, number, &ifr);
}

static int set_up(const char *name)
{
	struct ifreq ifr = { 0 };
	int ret = request(name, SIOCGIFFLAGS, &ifr);

	ifr.ifr_flags |= IFF_UP;
	return ret ? ret : request(name, SIOCSIFFLAGS, &ifr);
}

int interface_set_up(const char *name, const struct net_config *cfg, bool made)
{
	struct ifreq ifr = { .ifr_mtu = cfg->mtu };
	int ret;

	if (made && cfg->mtu) {
		ret = request(name, SIOCSIFMTU, &ifr);
		if (ret) {
			err("--network mtu=%u: the tap does not take it: %s", cfg->mtu,
			    strerror(-ret));
			return ret;
		}
	}
	if (!cfg->host_ip)
		return 0;
	ret = set_address(name, SIOCSIFADDR, cfg->host_ip);
	if (!ret)
		ret = set_address(name, SIOCSIFNETMASK, (u32)(~0ULL << (32 - cfg->host_prefix)));
	if (!ret)
		ret = set_up(name);
	if (ret)
		err("--network host_ip=%u.%u.%u.%u: cannot give it to '%s': %s%s",
		    cfg->host_ip >> 24, cfg->host_ip >> 16 & 0xff, cfg->host_ip >> 8 & 0xff,
		    cfg->host_ip & 0xff, name, strerror(-ret),
		    ret == -EPERM ? "; it needs CAP_NET_ADMIN, or use ip(8) beforehand" : "");
	return ret;
}
