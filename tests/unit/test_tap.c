/* SPDX-License-Identifier: MIT */
/* net/tap.c: what goes wrong, and packets through a real tap where the user may make one. */
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "capture.h"
#include "lkvm/config.h"
#include "lkvm/net.h"

static bool have_tun;

/* A network namespace of our own: nothing of the host is touched. */
static int own_namespace(void **state)
{
	have_tun = !unshare(CLONE_NEWNET) && !access("/dev/net/tun", R_OK | W_OK);
	return 0;
}

static int open_tap(const char *name, struct net_backend **nb)
{
	struct net_config cfg = { .mode = NET_TAP, .tapif = (char *)name };

	return net_backend_open(&cfg, nb);
}

static const char *open_fails(const char *name, int expect)
{
	struct net_backend *nb;
	const char *text;
	int ret;

	capture_begin();
	ret = open_tap(name, &nb);
	text = capture_end();
	assert_int_equal(ret, expect);
	assert_one_line(text);
	return text;
}

static void test_refused(void **state)
{
	assert_contains(open_fails("no-such-tap", -ENODEV), "ip tuntap add dev no-such-tap");
	assert_contains(open_fails("a-name-that-is-too-long", -EINVAL),
			"not the name of an interface");
	assert_contains(open_fails("", -EINVAL), "not the name of an interface");
	assert_contains(open_fails("../lo", -EINVAL), "not the name of an interface");
	assert_contains(open_fails("tap%d", -EINVAL), "not the name of an interface");
}

/* A tap that another program holds; @flags beside IFF_TAP. */
static int hold(const char *name, short flags, bool persist)
{
	struct ifreq ifr = { .ifr_flags = (short)(IFF_TAP | flags) };
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", name);
	assert_int_equal(ioctl(fd, TUNSETIFF, &ifr), 0);
	assert_int_equal(ioctl(fd, TUNSETPERSIST, (unsigned long)persist), 0);
	return fd;
}

static void test_busy(void **state)
{
	int fd;

	if (!have_tun)
		skip();
	assert_contains(open_fails("lo", -EINVAL), "is not a tap");
	fd = hold("tbusy", 0, false);
	assert_contains(open_fails("tbusy", -EBUSY), "in use by another program");
	close(fd);
}

/* A persistent interface, of one queue and of several, is used and stays. */
static void test_persistent(void **state)
{
	static const short flags[] = { 0, IFF_MULTI_QUEUE, IFF_VNET_HDR | IFF_NO_PI };

	if (!have_tun)
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		struct net_backend *nb;
		int fd;

		close(hold("tpers", flags[i], true));
		capture_begin();
		assert_int_equal(open_tap("tpers", &nb), 0);
		assert_contains(capture_end(), "is down");
		nb->ops->close(nb);
		assert_true(if_nametoindex("tpers"));
		fd = hold("tpers", flags[i], false);
		close(fd);
		assert_false(if_nametoindex("tpers"));
	}
}

static void bring_up(const char *name)
{
	struct ifreq ifr = { 0 };
	int sock = socket(AF_INET, SOCK_DGRAM, 0);

	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", name);
	assert_int_equal(ioctl(sock, SIOCGIFFLAGS, &ifr), 0);
	ifr.ifr_flags |= IFF_UP;
	assert_int_equal(ioctl(sock, SIOCSIFFLAGS, &ifr), 0);
	close(sock);
}

/* Skip what the kernel itself has to say to a new interface (IPv6 and the like). */
static ssize_t read_packet(struct net_backend *nb, u8 *buf, size_t len, u16 proto)
{
	struct iovec iov = { .iov_base = buf, .iov_len = len };

	for (int i = 0; i < 100 * (int)hang_seconds(); i++) {
		struct pollfd p = { .fd = nb->pair[0].poll_fd, .events = POLLIN };
		ssize_t n = nb->ops->readv(&nb->pair[0], &iov, 1);

		if (n == -EAGAIN) {
			poll(&p, 1, 10);
			continue;
		}
		if (n < 0 || (buf[NET_HDR_LEN + 12] << 8 | buf[NET_HDR_LEN + 13]) == proto)
			return n;
	}
	return -ETIMEDOUT;
}

#define PROTO 0x88b5 /* IEEE 802 local experimental */

static void test_packets(void **state)
{
	u8 frame[60] = { 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, PROTO >> 8, PROTO & 0xff, 'h', 'i' };
	u8 sent[NET_HDR_LEN + sizeof(frame)] = { 0 }, got[2048];
	struct sockaddr_ll addr = { .sll_family = AF_PACKET, .sll_protocol = htobe16(PROTO) };
	struct iovec iov = { .iov_base = sent, .iov_len = sizeof(sent) };
	struct net_backend *nb;
	int sock;

	if (!have_tun)
		skip();
	capture_begin();
	assert_int_equal(open_tap(NULL, &nb), 0);
	capture_end();
	assert_int_equal(nb->mtu, 1500);
	assert_true(nb->offloads & TUN_F_CSUM);
	bring_up(nb->name);
	sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htobe16(PROTO));
	assert_true(sock >= 0);
	addr.sll_ifindex = (int)if_nametoindex(nb->name);
	assert_int_equal(bind(sock, (struct sockaddr *)&addr, sizeof(addr)), 0);
	memcpy(sent + NET_HDR_LEN, frame, sizeof(frame));
	assert_int_equal(nb->ops->writev(&nb->pair[0], &iov, 1), sizeof(sent));
	assert_int_equal(recv(sock, got, sizeof(got), 0), sizeof(frame));
	assert_memory_equal(got, frame, sizeof(frame));
	assert_int_equal(send(sock, frame, sizeof(frame), 0), sizeof(frame));
	assert_int_equal(read_packet(nb, got, sizeof(got), PROTO), sizeof(sent));
	assert_memory_equal(got + NET_HDR_LEN, frame, sizeof(frame));
	assert_int_equal(nb->ops->set_offloads(nb, TUN_F_CSUM | TUN_F_TSO4), 0);
	close(sock);
	/* It goes with the last descriptor. */
	strcpy((char *)got, nb->name);
	nb->ops->close(nb);
	assert_int_equal(if_nametoindex((char *)got), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_busy),
		cmocka_unit_test(test_persistent),
		cmocka_unit_test(test_packets),
	};

	return cmocka_run_group_tests(tests, own_namespace, NULL);
}
