/* SPDX-License-Identifier: MIT */
/*
 * What `ethtool -X` does with one queue (ethtool_rxfh of linux/ethtool.h): rss-table INTERFACE
 * QUEUE makes every entry of a card's indirection table that queue. Says how many there are.
 */
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int main(int argc, char **argv)
{
	struct ethtool_rxfh ask = { .cmd = ETHTOOL_GRSSH }, *set;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq ifr = { 0 };

	if (argc != 3 || fd < 0)
		return 2;
	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", argv[1]);
	ifr.ifr_data = (char *)&ask;
	if (ioctl(fd, SIOCETHTOOL, &ifr)) {
		perror("rss-table: ETHTOOL_GRSSH");
		return 1;
	}
	set = calloc(1, sizeof(*set) + ask.indir_size * sizeof(set->rss_config[0]));
	if (!set)
		return 1;
	set->cmd = ETHTOOL_SRSSH;
	set->indir_size = ask.indir_size;
	for (unsigned int i = 0; i < ask.indir_size; i++)
		set->rss_config[i] = (unsigned int)strtoul(argv[2], NULL, 0);
	ifr.ifr_data = (char *)set;
	if (ioctl(fd, SIOCETHTOOL, &ifr)) {
		perror("rss-table: ETHTOOL_SRSSH");
		return 1;
	}
	printf("%u\n", ask.indir_size);
	return 0;
}
