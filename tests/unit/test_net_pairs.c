/* SPDX-License-Identifier: MIT */
/* virtio-net with several pairs of queues: which are served, and how packets are steered. */
#include "net_pair.h"

#define FRAME (RIG_DATA + 0x20000)

static u8 set_pairs(struct rig *r, u16 pairs)
{
	return ctrl_number(r, CLASS_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, pairs, 2);
}

static void offer(struct rig *r, u16 p)
{
	struct rig_buf buf = { FRAME + p * 0x1000u, 2000, true };

	rig_add(r, (u16)(2 * p), &buf, 1);
	rig_notify(r, (u16)(2 * p));
}

static void come(u16 p, size_t len)
{
	u8 sent[200] = { 0 };

	assert_int_equal(send(pair->peers[p], sent, len, 0), len);
}

static void test_pairs(void **state)
{
	struct rig_buf out = { FRAME, 100, false };
	struct virtio_net_config cfg;
	u8 got[200];
	struct rig r;
	struct sock_net *s = start_pairs(&r, 3, 0);
	u32 len;

	virtio_config_read(r.vdev, 0, &cfg, sizeof(cfg));
	assert_int_equal(le16_to_cpu(cfg.max_virtqueue_pairs), 3);
	assert_int_equal(s->pairs, 1);
	/* A pair is served once it was asked for. */
	for (u16 p = 0; p < 3; p++) {
		offer(&r, p);
		come(p, 100u + p);
		rig_add(&r, (u16)(2 * p + 1), &out, 1);
		rig_notify(&r, (u16)(2 * p));
		rig_notify(&r, (u16)(2 * p + 1));
		settle(&r, (u16)(2 * p));
		assert_int_equal(rig_used(&r, (u16)(2 * p), &len) >= 0, !p);
		assert_int_equal(rig_used(&r, (u16)(2 * p + 1), &len) >= 0, !p);
	}
	assert_int_equal(set_pairs(&r, 3), VIRTIO_NET_OK);
	assert_int_equal(s->pairs, 3);
	for (u16 p = 1; p < 3; p++) {
		wait_used(&r, (u16)(2 * p), &len);
		assert_int_equal(len, 100 + p);
		wait_used(&r, (u16)(2 * p + 1), &len);
		assert_int_equal(recv(s->peers[p], got, sizeof(got), 0), 100);
	}
	assert_int_equal(set_pairs(&r, 0), VIRTIO_NET_ERR);
	assert_int_equal(set_pairs(&r, 4), VIRTIO_NET_ERR);
	assert_int_equal(set_pairs(&r, 0x8001), VIRTIO_NET_ERR);
	assert_int_equal(ctrl_number(&r, CLASS_MQ, 0, 2, 1), VIRTIO_NET_ERR);
	assert_int_equal(ctrl_number(&r, CLASS_MQ, 3, 2, 2), VIRTIO_NET_ERR);
	assert_int_equal(s->pairs, 3);
	/* And not any more once that was taken back. */
	assert_int_equal(set_pairs(&r, 2), VIRTIO_NET_OK);
	assert_int_equal(s->pairs, 2);
	offer(&r, 1);
	offer(&r, 2);
	come(2, 100);
	come(1, 100);
	rig_notify(&r, 2);
	rig_notify(&r, 4);
	wait_used(&r, 2, &len);
	settle(&r, 4);
	assert_int_equal(rig_used(&r, 4, &len), -1);
	stop(&r);
}

/* The host says no: nothing changes. */
static void test_refused(void **state)
{
	struct rig r;
	struct sock_net *s = start_pairs(&r, 2, 0);

	s->refuse = EBADFD;
	assert_int_equal(set_pairs(&r, 2), VIRTIO_NET_ERR);
	s->refuse = 0;
	assert_int_equal(s->pairs, 1);
	offer(&r, 1);
	come(1, 100);
	rig_notify(&r, 2);
	settle(&r, 2);
	assert_int_equal(rig_used(&r, 2, NULL), -1);
	stop(&r);
}

/* A driver that knows one pair finds the control queue behind it. */
static void test_without_pairs(void **state)
{
	struct rig r;

	start_pairs(&r, 3, BIT_ULL(VIRTIO_NET_F_MQ) | BIT_ULL(VIRTIO_NET_F_RSS));
	assert_int_equal(ctrl_queue(&r), 2);
	assert_int_equal(ctrl_number(&r, CLASS_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1, 1),
			 VIRTIO_NET_OK);
	assert_int_equal(set_pairs(&r, 1), VIRTIO_NET_ERR);
	stop(&r);
}

/* A pair without packets reports that its other end is gone; the card is not. */
static void test_idle_pair_hangs_up(void **state)
{
	struct virtio_net_config cfg;
	struct rig r;
	struct sock_net *s = start_pairs(&r, 2, 0);

	close(s->peers[1]);
	s->peers[1] = dup(s->peer);
	settle(&r, 2);
	settle(&r, 3);
	virtio_config_read(r.vdev, 0, &cfg, sizeof(cfg));
	assert_int_equal(le16_to_cpu(cfg.status), VIRTIO_NET_S_LINK_UP);
	stop(&r);
}

struct rss_cmd {
	u32 types;
	u16 mask, unclassified, table[NET_RSS_TABLE + 1], senders;
	u8 key_len, key[64];
};

static u8 set_rss(struct rig *r, const struct rss_cmd *c, int more)
{
	u8 bytes[512] = { 0 }, *p = bytes;

	put_le(p, 4, c->types);
	put_le(p + 4, 2, c->mask);
	put_le(p + 6, 2, c->unclassified);
	p += 8;
	for (u32 i = 0; i <= MIN((u32)c->mask, (u32)NET_RSS_TABLE); i++, p += 2)
		put_le(p, 2, c->table[i]);
	put_le(p, 2, c->senders);
	p[2] = c->key_len;
	memcpy(p + 3, c->key, c->key_len);
	p += 3 + c->key_len;
	return ctrl(r, CLASS_MQ, VIRTIO_NET_CTRL_MQ_RSS_CONFIG, bytes, (size_t)(p - bytes + more));
}

static void test_rss(void **state)
{
	const struct rss_cmd good = {
		.types = 0x3f,
		.mask = 3,
		.unclassified = 1,
		.table = { 0, 1, 2, 1 },
		.senders = 1,
		.key_len = 40,
		.key = { 1, 2, 3 },
	};
	struct rss_cmd bad[8];
	struct virtio_net_config cfg;
	struct rig r;
	struct sock_net *s = start_pairs(&r, 3, 0);

	virtio_config_read(r.vdev, 0, &cfg, sizeof(cfg));
	assert_int_equal(cfg.rss_max_key_size, 40);
	assert_int_equal(le16_to_cpu(cfg.rss_max_indirection_table_length), 128);
	assert_int_equal(le32_to_cpu(cfg.supported_hash_types), 0x3f);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		bad[i] = good;
	bad[0].types = 0x40;
	bad[1].mask = 2;
	bad[2].mask = 0xff;
	bad[3].unclassified = 3;
	bad[4].table[2] = 3;
	bad[5].senders = 4;
	bad[6].key_len = 41;
	bad[7].senders = 0;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(set_rss(&r, &bad[i], 0), VIRTIO_NET_ERR);
	assert_int_equal(set_rss(&r, &good, -1), VIRTIO_NET_ERR);
	assert_false(s->steers);
	assert_int_equal(s->pairs, 1);
	/* Linux has a structure whose size is even. */
	assert_int_equal(set_rss(&r, &good, 1), VIRTIO_NET_OK);
	assert_int_equal(set_rss(&r, &good, 0), VIRTIO_NET_OK);
	assert_true(s->steers);
	assert_int_equal(s->pairs, 3);
	assert_int_equal(s->rss.types, 0x3f);
	assert_int_equal(s->rss.mask, 3);
	assert_int_equal(s->rss.unclassified, 1);
	assert_memory_equal(s->rss.table, good.table, 8);
	assert_memory_equal(s->rss.key, good.key, 40);
	/* 5.1.6.5.5: a number of pairs ends it. */
	assert_int_equal(set_pairs(&r, 2), VIRTIO_NET_OK);
	assert_false(s->steers);
	assert_int_equal(s->pairs, 2);
	assert_int_equal(set_rss(&r, &good, 0), VIRTIO_NET_OK);
	rig_start(&r, r.vdev, 0);
	assert_false(s->steers);
	assert_int_equal(s->pairs, 1);
	stop(&r);
}

/* 5.1.6.4.4: the hash is in the header, by the first published vector. */
static void test_report(void **state)
{
	static const u8 key[NET_RSS_KEY] = {
		0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
		0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
		0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
	};
	static const u8 ip[] = { 0x45, 0, 0,   40,  0,	 0,   0,   0,  9,    6,	   0,	 0,
				 66,   9, 149, 187, 161, 142, 100, 80, 0x0a, 0xea, 0x06, 0xe6 };
	struct rig_buf buf = { FRAME, 2000, true };
	u8 sent[100] = { 0 }, bytes[4 + 8 + 1 + 40] = { 0x3f }, *got;
	struct virtio_device *vdev;
	struct rig r;

	make_pairs(&r, 2, &vdev);
	rig_start(&r, vdev, virtio_offered(vdev) & ~BIT_ULL(VIRTIO_RING_F_EVENT_IDX));
	assert_int_equal(pair->hdr_len, NET_HDR_LEN_HASH);
	got = rig_ptr(&r, FRAME);
	sent[20 + 12] = 8;
	memcpy(sent + 20 + 14, ip, sizeof(ip));
	for (int hashing = 0; hashing < 2; hashing++) {
		memset(got, 0xee, 2000);
		rig_add(&r, RX, &buf, 1);
		assert_int_equal(send(pair->peer, sent, sizeof(sent), 0), sizeof(sent));
		rig_notify(&r, RX);
		wait_used(&r, RX, NULL);
		assert_int_equal(get_le(got + 10, 2), 1);
		assert_int_equal(get_le(got + 12, 4), hashing ? 0x51ccc178 : 0);
		assert_int_equal(get_le(got + 16, 4), hashing ? VIRTIO_NET_HASH_REPORT_TCPv4
							      : VIRTIO_NET_HASH_REPORT_NONE);
		bytes[12] = sizeof(key);
		memcpy(bytes + 13, key, sizeof(key));
		assert_int_equal(
			ctrl(&r, CLASS_MQ, VIRTIO_NET_CTRL_MQ_HASH_CONFIG, bytes, sizeof(bytes)),
			VIRTIO_NET_OK);
	}
	assert_int_equal(ctrl(&r, CLASS_MQ, VIRTIO_NET_CTRL_MQ_HASH_CONFIG, bytes, 52),
			 VIRTIO_NET_ERR);
	bytes[1] = 2;
	assert_int_equal(ctrl(&r, CLASS_MQ, VIRTIO_NET_CTRL_MQ_HASH_CONFIG, bytes, sizeof(bytes)),
			 VIRTIO_NET_ERR);
	stop(&r);
}

/* A back end that steers by hashes and reports them: what it wrote stays, while it steers. */
static void test_reported(void **state)
{
	const struct rss_cmd rss = { .types = 0x3f, .senders = 1, .key_len = 40, .key = { 1 } };
	struct rig_buf buf = { FRAME, 2000, true };
	u8 sent[100] = { 0 }, *got;
	struct virtio_device *vdev;
	struct rig r;

	make_pairs(&r, 2, &vdev);
	pair->nb.reports = true;
	rig_start(&r, vdev, virtio_offered(vdev) & ~BIT_ULL(VIRTIO_RING_F_EVENT_IDX));
	got = rig_ptr(&r, FRAME);
	put_le(sent + 12, 4, 0x12345678);
	put_le(sent + 16, 4, VIRTIO_NET_HASH_REPORT_UDPv6);
	for (int steers = 1; steers >= 0; steers--) {
		assert_int_equal(steers ? set_rss(&r, &rss, 0) : set_pairs(&r, 1), VIRTIO_NET_OK);
		assert_int_equal(pair->steers, steers);
		assert_true(pair->reports);
		rig_add(&r, RX, &buf, 1);
		assert_int_equal(send(pair->peer, sent, sizeof(sent), 0), sizeof(sent));
		rig_notify(&r, RX);
		wait_used(&r, RX, NULL);
		/* The frame is none that has a hash. */
		assert_int_equal(get_le(got + 12, 4), steers ? 0x12345678 : 0);
		assert_int_equal(get_le(got + 16, 4), steers ? VIRTIO_NET_HASH_REPORT_UDPv6
							     : VIRTIO_NET_HASH_REPORT_NONE);
	}
	stop(&r);
}

/* Packets over a limit wait for their time, and a reset waits for none of them. */
static void test_limits(void **state)
{
	struct rig_buf out = { FRAME + 0x8000, 112, false };
	struct virtio_device *vdev;
	struct rig r;
	u32 len;

	make_unlinked(&r, 1);
	pair->nb.rx_rate = (struct rate_config){ .ops = 20, .ops_burst = 1 };
	pair->nb.tx_rate = (struct rate_config){ .bytes = 1000, .bytes_burst = 100 };
	assert_int_equal(virtio_net_new(&r.vm, &pair->nb, mac, 0, &vdev), 0);
	for (int round = 0; round < 2; round++) {
		u64 start;

		rig_start(&r, vdev, 0);
		start = now_ns();
		for (int i = 0; i < 4; i++) {
			offer(&r, 0);
			come(0, 100);
		}
		for (int i = 0; i < 10; i++)
			rig_add(&r, TX, &out, 1);
		rig_notify(&r, RX);
		rig_notify(&r, TX);
		if (!round)
			continue;
		for (int i = 0; i < 4; i++)
			wait_used(&r, RX, &len);
		/* The first is there, three wait for a twentieth of a second each. */
		assert_true(now_ns() - start >= 100000000);
		/* 1120 bytes, of which the first and a burst are there. */
		for (int i = 0; i < 10; i++)
			wait_used(&r, TX, &len);
		assert_true(now_ns() - start >= 850000000);
	}
	stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pairs),	      cmocka_unit_test(test_refused),
		cmocka_unit_test(test_without_pairs), cmocka_unit_test(test_idle_pair_hangs_up),
		cmocka_unit_test(test_rss),	      cmocka_unit_test(test_report),
		cmocka_unit_test(test_reported),      cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
