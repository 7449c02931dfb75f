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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "capture.h"
#include "lkvm/config.h"
#include "lkvm/flow.h"
#include "lkvm/net.h"

static bool have_tun, netlink_forbidden;

/* As a container or a filter of system calls may have it. */
int socket(int domain, int type, int protocol)
{
	if (domain == AF_NETLINK && netlink_forbidden) {
		errno = EPERM;
		return -1;
	}
	return (int)syscall(SYS_socket, domain, type, protocol);
}

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

static void set_flag(const char *name, bool up)
{
	struct ifreq ifr = { 0 };
	int sock = socket(AF_INET, SOCK_DGRAM, 0);

	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", name);
	assert_int_equal(ioctl(sock, SIOCGIFFLAGS, &ifr), 0);
	ifr.ifr_flags = (short)(up ? ifr.ifr_flags | IFF_UP : ifr.ifr_flags & ~IFF_UP);
	assert_int_equal(ioctl(sock, SIOCSIFFLAGS, &ifr), 0);
	close(sock);
}

static void bring_up(const char *name)
{
	set_flag(name, true);
}

static bool has_news(const struct net_backend *nb)
{
	struct pollfd p = { .fd = nb->link_fd, .events = POLLIN };

	return poll(&p, 1, 0) > 0;
}

/* The kernel tells of the interface's link, and of no other's. */
static void test_link(void **state)
{
	struct net_backend *nb, *other;
	int fd, second;

	if (!have_tun)
		skip();
	fd = hold("tlink", IFF_VNET_HDR | IFF_NO_PI, true);
	close(fd);
	capture_begin();
	assert_int_equal(open_tap("tlink", &nb), 0);
	capture_end();
	assert_true(nb->link_fd >= 0);
	assert_int_equal(nb->ops->link(nb), 0);
	assert_false(has_news(nb));
	assert_int_equal(nb->ops->link(nb), 0);
	bring_up("tlink");
	assert_true(has_news(nb));
	assert_int_equal(nb->ops->link(nb), 1);
	second = hold("tsecond", IFF_VNET_HDR | IFF_NO_PI, false);
	while (has_news(nb))
		assert_int_equal(nb->ops->link(nb), 1);
	bring_up("tsecond");
	set_flag("tsecond", false);
	assert_false(has_news(nb));
	close(second);
	assert_false(has_news(nb));
	/* More than the socket holds. */
	for (int i = 0; i < 3000; i++)
		set_flag("tlink", i % 2);
	assert_int_equal(nb->ops->link(nb), 1);
	set_flag("tlink", false);
	assert_int_equal(nb->ops->link(nb), 0);
	assert_false(has_news(nb));
	nb->ops->close(nb);
	/* Without a socket for it nothing is known, and all else works. */
	capture_begin();
	other = NULL;
	netlink_forbidden = true;
	assert_int_equal(open_tap("tlink", &other), 0);
	netlink_forbidden = false;
	capture_end();
	assert_true(other->link_fd < 0);
	assert_true(other->ops->link(other) < 0);
	other->ops->close(other);
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

static struct net_backend *open_ok(const struct net_config *cfg)
{
	struct net_backend *nb;

	capture_begin();
	assert_int_equal(net_backend_open(cfg, &nb), 0);
	capture_end();
	return nb;
}

/* A UDP packet from @port. */
static size_t udp_frame(u8 *frame, u16 port)
{
	static const u8 head[] = { 2,  0, 0, 0, 0, 1, 2,  0, 0, 0,  0, 2, 8, 0,	 0x45, 0, 0,
				   46, 0, 0, 0, 0, 9, 17, 0, 0, 10, 0, 0, 1, 10, 0,    0, 2 };

	memset(frame, 0, 60);
	memcpy(frame, head, sizeof(head));
	frame[34] = (u8)(port >> 8);
	frame[35] = (u8)port;
	return 60;
}

static int raw_socket(const char *name)
{
	struct sockaddr_ll addr = { .sll_family = AF_PACKET, .sll_protocol = htobe16(ETH_P_ALL) };
	int sock = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

	assert_true(sock >= 0);
	addr.sll_ifindex = (int)if_nametoindex(name);
	assert_int_equal(bind(sock, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return sock;
}

/* Does pair @p have the UDP packet from @port? Others' packets are passed over. */
static bool has_packet(struct net_backend *nb, u16 p, u16 port)
{
	u8 buf[2048];
	struct iovec iov = { .iov_base = buf, .iov_len = sizeof(buf) };

	while (nb->ops->readv(&nb->pair[p], &iov, 1) > 0)
		if (buf[NET_HDR_LEN + 12] == 8 && buf[NET_HDR_LEN + 23] == 17 &&
		    (buf[NET_HDR_LEN + 34] << 8 | buf[NET_HDR_LEN + 35]) == port)
			return true;
	return false;
}

static u16 pick(const struct net_rss *rss, const u8 *frame)
{
	struct net_flow flow;
	struct toeplitz t;

	toeplitz_prepare(&t, rss->key);
	net_flow_of(frame, 60, rss->types, &flow);
	return rss->table[toeplitz_hash(&t, flow.input, flow.len) & rss->mask];
}

/* Packets come to the pairs that are in use, and where RSS is on to those that it says. */
static void test_pairs(void **state)
{
	const struct net_config cfg = { .mode = NET_TAP, .queues = 3 };
	struct net_rss rss = { .types = 0x3f, .mask = 7, .table = { 2, 0, 1, 2, 1, 0, 2, 1 } };
	struct net_backend *nb;
	u32 seen = 0;
	u8 frame[60];
	int sock;

	if (!have_tun)
		skip();
	nb = open_ok(&cfg);
	assert_int_equal(nb->nr_pairs, 3);
	bring_up(nb->name);
	sock = raw_socket(nb->name);
	for (u16 port = 1000; port < 1020; port++) {
		assert_int_equal(send(sock, frame, udp_frame(frame, port), 0), 60);
		assert_true(has_packet(nb, 0, port));
	}
	for (size_t i = 0; i < sizeof(rss.key); i++)
		rss.key[i] = (u8)(i * 37 + 11);
	assert_int_equal(nb->ops->use_pairs(nb, 3), 0);
	if (!nb->hash_types) {
		assert_int_equal(nb->ops->steer(nb, &rss, false), -EOPNOTSUPP);
		print_message("no BPF here\n");
	} else {
		assert_int_equal(nb->ops->steer(nb, &rss, false), 0);
		for (u16 port = 2000; port < 2100; port++) {
			assert_int_equal(send(sock, frame, udp_frame(frame, port), 0), 60);
			assert_true(has_packet(nb, pick(&rss, frame), port));
			seen |= BIT(pick(&rss, frame));
		}
		assert_int_equal(seen, 7);
		assert_int_equal(nb->ops->steer(nb, NULL, false), 0);
	}
	/* Those that are given back have none any more. */
	assert_int_equal(nb->ops->use_pairs(nb, 1), 0);
	for (u16 port = 3000; port < 3020; port++) {
		assert_int_equal(send(sock, frame, udp_frame(frame, port), 0), 60);
		assert_true(has_packet(nb, 0, port));
	}
	assert_int_equal(nb->ops->use_pairs(nb, 2), 0);
	assert_int_equal(nb->ops->use_pairs(nb, 1), 0);
	assert_int_equal(nb->ops->set_hdr_len(nb, NET_HDR_LEN_HASH), 0);
	close(sock);
	nb->ops->close(nb);
}

static void test_one_queue(void **state)
{
	const struct net_config cfg = { .mode = NET_TAP, .queues = 2, .tapif = (char *)"tone" };
	struct net_backend *nb;
	const char *text;

	if (!have_tun)
		skip();
	close(hold("tone", 0, true));
	capture_begin();
	assert_int_equal(net_backend_open(&cfg, &nb), -EINVAL);
	text = capture_end();
	assert_one_line(text);
	assert_contains(text,
			"tapif=tone: has one queue, but queues=2 asks for more; create it with: ");
	assert_contains(text, "multi_queue");
	close(hold("tone", 0, false));
}

static const char *fds_fail(int fd, int expect)
{
	const struct net_config cfg = { .mode = NET_TAP, .nr_fds = 1, .fds = { fd } };
	struct net_backend *nb;
	const char *text;

	capture_begin();
	assert_int_equal(net_backend_open(&cfg, &nb), expect);
	text = capture_end();
	assert_one_line(text);
	return text;
}

/* Taps that were opened elsewhere. */
static void test_inherited(void **state)
{
	const short good = IFF_VNET_HDR | IFF_NO_PI | IFF_MULTI_QUEUE;
	struct net_config cfg = { .mode = NET_TAP, .nr_fds = 2 };
	struct net_backend *nb;
	u8 frame[60];
	int fd, sock;

	assert_contains(fds_fail(500, -EBADF), "fd=500: is not open");
	fd = open("/dev/null", O_RDWR);
	assert_contains(fds_fail(fd, -EINVAL), "is not a tap");
	close(fd);
	if (!have_tun)
		skip();
	fd = hold("tplain", 0, false);
	assert_contains(fds_fail(fd, -EINVAL), "is a tap without virtio's headers");
	close(fd);
	cfg.fds[0] = hold("tgiven", good, false);
	cfg.fds[1] = hold("tother", good, false);
	capture_begin();
	assert_int_equal(net_backend_open(&cfg, &nb), -EINVAL);
	assert_contains(capture_end(), "belongs to another interface than the first");
	close(cfg.fds[1]);
	cfg.fds[1] = hold("tgiven", good, false);
	bring_up("tgiven");
	nb = open_ok(&cfg);
	assert_string_equal(nb->name, "tgiven");
	assert_int_equal(nb->nr_pairs, 2);
	sock = raw_socket("tgiven");
	assert_int_equal(send(sock, frame, udp_frame(frame, 77), 0), 60);
	assert_true(has_packet(nb, 0, 77));
	close(sock);
	nb->ops->close(nb);
	/* Whoever opened them closes them. */
	assert_true(if_nametoindex("tgiven"));
	close(cfg.fds[0]);
	close(cfg.fds[1]);
}

/* One of another namespace: what has its name here is another. */
static void test_foreign(void **state)
{
	struct net_config cfg = { .mode = NET_TAP, .nr_fds = 1 };
	struct net_backend *nb;
	int namesake;

	if (!have_tun)
		skip();
	cfg.fds[0] = hold("tgiven", IFF_VNET_HDR | IFF_NO_PI, false);
	nb = open_ok(&cfg);
	assert_int_equal(nb->mtu, 1500);
	assert_true(nb->link_fd >= 0);
	nb->ops->close(nb);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	namesake = hold("tgiven", IFF_VNET_HDR | IFF_NO_PI, false);
	nb = open_ok(&cfg);
	assert_int_equal(nb->mtu, 0);
	assert_true(nb->ops->link(nb) < 0);
	nb->ops->close(nb);
	close(namesake);
	close(cfg.fds[0]);
}

/* An address, an MTU, and programs that learn the interface's name. */
static void test_set_up(void **state)
{
	char up[] = "/tmp/net-up-XXXXXX", down[] = "/tmp/net-down-XXXXXX", text[64] = "";
	struct net_config cfg = {
		.mode = NET_TAP, .mtu = 2000, .host_ip = 0x0a090807, .host_prefix = 20
	};
	static const char script[] = "#!/bin/sh\necho $1 >$0.said\n";
	char said[32];
	struct ifreq ifr = { 0 };
	struct net_backend *nb;
	int sock, fd;

	if (!have_tun)
		skip();
	for (int i = 0; i < 2; i++) {
		fd = mkostemp(i ? down : up, O_CLOEXEC);
		assert_int_equal(write(fd, script, sizeof(script) - 1), sizeof(script) - 1);
		assert_int_equal(fchmod(fd, 0700), 0);
		close(fd);
	}
	cfg.script = up;
	cfg.downscript = down;
	nb = open_ok(&cfg);
	assert_int_equal(nb->mtu, 2000);
	snprintf(said, sizeof(said), "%s.said", up);
	fd = open(said, O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(fd, text, sizeof(text) - 1), strlen(nb->name) + 1);
	assert_memory_equal(text, nb->name, strlen(nb->name));
	close(fd);
	unlink(said);
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	snprintf(ifr.ifr_name, IFNAMSIZ, "%s", nb->name);
	assert_int_equal(ioctl(sock, SIOCGIFADDR, &ifr), 0);
	assert_memory_equal(ifr.ifr_addr.sa_data + 2, "\x0a\x09\x08\x07", 4);
	assert_int_equal(ioctl(sock, SIOCGIFNETMASK, &ifr), 0);
	assert_memory_equal(ifr.ifr_addr.sa_data + 2, "\xff\xff\xf0\x00", 4);
	assert_int_equal(ioctl(sock, SIOCGIFMTU, &ifr), 0);
	assert_int_equal(ifr.ifr_mtu, 2000);
	assert_int_equal(ioctl(sock, SIOCGIFFLAGS, &ifr), 0);
	assert_true(ifr.ifr_flags & IFF_UP);
	close(sock);
	snprintf(said, sizeof(said), "%s.said", down);
	assert_int_equal(access(said, F_OK), -1);
	/* The end of the machine, and that of the back end: once. */
	nb->ops->finish(nb);
	assert_int_equal(unlink(said), 0);
	nb->ops->close(nb);
	assert_int_equal(access(said, F_OK), -1);
	unlink(up);
	unlink(down);
	cfg.script = (char *)"/bin/false";
	cfg.downscript = NULL;
	capture_begin();
	assert_int_equal(net_backend_open(&cfg, &nb), -ECANCELED);
	assert_contains(capture_end(), "--network script=/bin/false: failed with status 1");
	cfg.script = (char *)"/no/such";
	capture_begin();
	assert_int_equal(net_backend_open(&cfg, &nb), -ENOENT);
	assert_contains(capture_end(), "--network script=/no/such: cannot run it: No such file");
}

static void test_macvtap(void **state)
{
	struct net_config cfg = { .mode = NET_MACVTAP, .tapif = (char *)"lo" };
	struct net_backend *nb;

	capture_begin();
	assert_int_equal(net_backend_open(&cfg, &nb), -EINVAL);
	assert_contains(capture_end(), "tapif=lo: is not a macvtap; create one with: ");
	cfg.tapif = (char *)"nowhere";
	capture_begin();
	assert_int_equal(net_backend_open(&cfg, &nb), -ENODEV);
	assert_contains(capture_end(), "tapif=nowhere: no such interface");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),	   cmocka_unit_test(test_busy),
		cmocka_unit_test(test_persistent), cmocka_unit_test(test_link),
		cmocka_unit_test(test_packets),	   cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_one_queue),  cmocka_unit_test(test_inherited),
		cmocka_unit_test(test_foreign),	   cmocka_unit_test(test_set_up),
		cmocka_unit_test(test_macvtap),
	};

	return cmocka_run_group_tests(tests, own_namespace, NULL);
}
