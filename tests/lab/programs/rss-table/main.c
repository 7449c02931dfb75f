/* SPDX-License-Identifier: MIT */
/*
 * What `ethtool -X` does: rss-table INTERFACE QUEUES makes the entries of a card's indirection
 * table those digits, over and over. Says how many entries there are.
 */
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int ask_card(const char *name, void *question, const char *what)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0), ret;
	struct ifreq ifr = { 0 };

	snprintf(ifr.ifr_name, sizeof(ifr.ifr_name), "%s", name);
	ifr.ifr_data = question;
	ret = ioctl(fd, SIOCETHTOOL, &ifr);
	if (ret)
		fprintf(stderr, "rss-table: %s: %m\n", what);
	return ret;
}

int main(int argc, char **argv)
{
	struct ethtool_rxfh_indir size = { .cmd = ETHTOOL_GRXFHINDIR }, *set;

	if (argc != 3 || !*argv[2])
		return 2;
	if (ask_card(argv[1], &size, "ETHTOOL_GRXFHINDIR"))
		return 1;
	set = calloc(1, sizeof(*set) + size.size * sizeof(set->ring_index[0]));
	if (!set)
		return 1;
	set->cmd = ETHTOOL_SRXFHINDIR;
	set->size = size.size;
	for (unsigned int i = 0; i < size.size; i++)
		set->ring_index[i] = (unsigned int)(argv[2][i % strlen(argv[2])] - '0');
	if (ask_card(argv[1], set, "ETHTOOL_SRXFHINDIR"))
		return 1;
	printf("%u\n", size.size);
	return 0;
}
