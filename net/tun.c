/* SPDX-License-Identifier: MIT */
/* What all taps have in common; see tun.h. */
#include "tun.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"
#include "lkvm/vhost.h"

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20 /* Linux 6.2 */
#define TUN_F_USO6 0x40
#endif
#ifndef TUNSETSTEERINGEBPF
#define TUNSETSTEERINGEBPF _IOR('T', 224, int) /* Linux 4.16 */
#endif

#define OFFLOADS     (TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN)
#define USO_OFFLOADS (TUN_F_USO4 | TUN_F_USO6)

static struct tun *to_tun(struct net_backend *nb)
{
	return container_of(nb, struct tun, nb);
}

static ssize_t tun_readv(struct net_queue *nq, const struct iovec *iov, int count)
{
	ssize_t n;

	do {
		n = readv(nq->poll_fd, iov, count);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static ssize_t tun_writev(struct net_queue *nq, const struct iovec *iov, int count)
{
	ssize_t n;

	do {
		n = writev(nq->poll_fd, iov, count);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int tun_set_offloads(struct net_backend *nb, u32 tun_f)
{
	return ioctl(nb->pair[0].poll_fd, TUNSETOFFLOAD, (unsigned long)tun_f) < 0 ? -errno : 0;
}

/* A number that a tun has, and each descriptor of a macvtap. */
static int set_everywhere(struct net_backend *nb, unsigned long request, int number)
{
	const u16 nr = to_tun(nb)->macvtap ? nb->nr_pairs : 1;

	for (u16 i = 0; i < nr; i++)
		if (ioctl(nb->pair[i].poll_fd, request, &number) < 0)
			return -errno;
	return 0;
}

static int tun_set_hdr_len(struct net_backend *nb, unsigned int len)
{
	return set_everywhere(nb, TUNSETVNETHDRSZ, (int)len);
}

static int set_queue(struct net_queue *nq, short flag)
{
	struct ifreq ifr = { .ifr_flags = flag };

	return ioctl(nq->poll_fd, TUNSETQUEUE, &ifr) < 0 ? -errno : 0;
}

/* From the last on, so that the kernel's numbers of those in use stay ours. */
static int tun_use_pairs(struct net_backend *nb, u16 pairs)
{
	struct tun *tun = to_tun(nb);
	int ret = 0;

	while (!ret && tun->in_use > pairs) {
		ret = set_queue(&nb->pair[tun->in_use - 1], IFF_DETACH_QUEUE);
		if (!ret)
			tun->in_use--;
	}
	while (!ret && tun->in_use < pairs) {
		ret = set_queue(&nb->pair[tun->in_use], IFF_ATTACH_QUEUE);
		if (!ret)
			tun->in_use++;
	}
	return ret;
}

static int tun_steer(struct net_backend *nb, const struct net_rss *rss, bool report)
{
	struct tun *tun = to_tun(nb);
	int program = -1;

	if (tun->hashing)
		return tun_hash_set(nb->pair[0].poll_fd, tun->hashing, rss, report);
	if (!tun->steering)
		return rss ? -EOPNOTSUPP : 0;
	if (rss) {
		rss_bpf_set(tun->steering, rss);
		program = rss_bpf_program(tun->steering);
	}
	return ioctl(nb->pair[0].poll_fd, TUNSETSTEERINGEBPF, &program) < 0 ? -errno : 0;
}

/* A macvtap takes only what is for its own address. */
static int tun_set_mac(struct net_backend *nb, const u8 mac[6])
{
	struct ifreq ifr = { .ifr_hwaddr.sa_family = 1 /* ARPHRD_ETHER */ };

	if (!to_tun(nb)->macvtap)
		return 0;
	memcpy(ifr.ifr_hwaddr.sa_data, mac, 6);
	return ioctl(nb->pair[0].poll_fd, SIOCSIFHWADDR, &ifr) < 0 ? -errno : 0;
}

static int tun_link(struct net_backend *nb)
{
	struct tun *tun = to_tun(nb);
	int ret = nb->link_fd < 0 ? -EAGAIN : news_read(nb->link_fd, tun->index);

	if (ret != -EAGAIN)
		atomic_store(&tun->up, ret);
	return atomic_load(&tun->up);
}

static void tun_finish(struct net_backend *nb)
{
	struct tun *tun = to_tun(nb);
	int ret __maybe_unused;

	if (tun->downscript)
		ret = script_run("downscript", tun->downscript, tun->name);
	free(tun->downscript);
	tun->downscript = NULL;
}

void tun_close(struct net_backend *nb)
{
	struct tun *tun = to_tun(nb);

	tun_finish(nb);
	if (nb->vhost)
		nb->vhost->ops->close(nb->vhost);
	for (u16 i = 0; i < nb->nr_pairs; i++) {
		if (nb->pair[i].room_fd >= 0)
			close(nb->pair[i].room_fd);
		if (nb->pair[i].poll_fd >= 0)
			close(nb->pair[i].poll_fd);
	}
	if (nb->link_fd >= 0)
		close(nb->link_fd);
	rss_bpf_close(tun->steering);
	free(tun->shown);
	free(tun);
}

static const struct net_backend_ops tun_ops = {
	.readv = tun_readv,
	.writev = tun_writev,
	.set_offloads = tun_set_offloads,
	.set_hdr_len = tun_set_hdr_len,
	.use_pairs = tun_use_pairs,
	.steer = tun_steer,
	.set_mac = tun_set_mac,
	.link = tun_link,
	.finish = tun_finish,
	.close = tun_close,
};

struct tun *tun_new(u16 pairs)
{
	struct tun *tun = xcalloc(1, sizeof(*tun));

	tun->nb.ops = &tun_ops;
	tun->nb.name = tun->name;
	tun->nb.nr_pairs = pairs;
	tun->nb.link_fd = -1;
	atomic_init(&tun->up, -ENOTSUP);
	for (u16 i = 0; i < pairs; i++)
		tun->nb.pair[i] = (struct net_queue){ &tun->nb, -1, -1 };
	return tun;
}

int tun_take(struct tun *tun, u16 i, int fd)
{
	struct net_queue *nq = &tun->nb.pair[i];
	int flags = fcntl(fd, F_GETFL);
	int ret;

	nq->poll_fd = fd;
	if (flags >= 0 && (flags & O_NONBLOCK || !fcntl(fd, F_SETFL, flags | O_NONBLOCK)))
		nq->room_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (nq->room_fd >= 0)
		return 0;
	ret = -errno;
	err("--network %s: %s%s", tun->shown, strerror(-ret), limit_hint(ret));
	return ret;
}

static void learn_offloads(struct net_backend *nb)
{
	static const u32 could[] = { OFFLOADS | TUN_F_UFO | USO_OFFLOADS, OFFLOADS | TUN_F_UFO,
				     OFFLOADS };

	/* Ask for them and take them back: the guest chooses. */
	for (size_t i = 0; i < ARRAY_SIZE(could) && !nb->offloads; i++)
		if (!tun_set_offloads(nb, could[i]) && !tun_set_offloads(nb, 0))
			nb->offloads = could[i];
}

static void learn_steering(struct tun *tun)
{
	if (tun->nb.nr_pairs == 1 || tun->macvtap)
		return;
	tun->hashing = tun_hash_probe(tun->nb.pair[0].poll_fd, &tun->nb.hash_types);
	tun->nb.reports = tun->hashing;
	if (tun->hashing)
		return;
	tun->steering = rss_bpf_open();
	if (tun->steering && tun_steer(&tun->nb, NULL, false)) {
		debug("net: '%s': the kernel cannot steer by a program", tun->name);
		rss_bpf_close(tun->steering);
		tun->steering = NULL;
	}
	if (tun->steering)
		tun->nb.hash_types = rss_bpf_types();
}

static int give_to_kernel(struct tun *tun)
{
	char *what = xasprintf("--network %s,vhost=1", tun->shown);
	int taps[NET_MAX_PAIRS], ret;

	for (u16 i = 0; i < tun->nb.nr_pairs; i++)
		taps[i] = tun->nb.pair[i].poll_fd;
	ret = vhost_net_open(what, taps, tun->nb.nr_pairs, &tun->nb.vhost);
	free(what);
	return ret;
}

int tun_begin(struct tun *tun, const struct net_config *cfg)
{
	struct net_backend *nb = &tun->nb;
	int ret;

	ret = tun_set_hdr_len(nb, NET_HDR_LEN);
	if (!ret)
		ret = set_everywhere(nb, TUNSETVNETLE, 1);
	if (!ret)
		ret = tun_set_offloads(nb, 0);
	if (ret) {
		err("--network %s: this kernel's tun driver is too old: %s", tun->shown,
		    strerror(-ret));
		return ret;
	}
	tun->in_use = nb->nr_pairs;
	ret = tun_use_pairs(nb, 1);
	if (ret) {
		err("--network %s: cannot use one pair of queues of several: %s", tun->shown,
		    strerror(-ret));
		return ret;
	}
	learn_offloads(nb);
	learn_steering(tun);
	nb->mtu = cfg->mtu || tun->foreign ? cfg->mtu : interface_mtu(tun->name);
	if (!tun->foreign)
		nb->link_fd = news_open(tun->name, &tun->index);
	if (!tun->foreign && interface_is_down(tun->name))
		warn("--network %s: is down, so the guest receives nothing; set it up with: "
		     "ip link set %s up",
		     tun->shown, tun->name);
	return cfg->vhost ? give_to_kernel(tun) : 0;
}
