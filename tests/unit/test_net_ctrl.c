/* SPDX-License-Identifier: MIT */
/* virtio/net-ctrl.c and net-filter.c: what a driver asks for by commands, and what comes of it. */
#include "net_pair.h"

#define FRAME (RIG_DATA + 0x10000)

static void test_offloads(void **state)
{
	const u64 csum = BIT_ULL(VIRTIO_NET_F_GUEST_CSUM), tso4 = BIT_ULL(VIRTIO_NET_F_GUEST_TSO4);
	const u64 tso6 = BIT_ULL(VIRTIO_NET_F_GUEST_TSO6);
	struct rig r;
	struct sock_net *s = start(&r, tso6);

	/* DRIVER_OK chose what was negotiated. */
	assert_int_equal(s->tun_f, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO_ECN);
	assert_int_equal(ctrl_number(&r, CLASS_OFFLOADS, 0, 0, 8), VIRTIO_NET_OK);
	assert_int_equal(s->tun_f, 0);
	assert_int_equal(ctrl_number(&r, CLASS_OFFLOADS, 0, csum | tso4, 8), VIRTIO_NET_OK);
	assert_int_equal(s->tun_f, TUN_F_CSUM | TUN_F_TSO4);
	assert_int_equal(ctrl_number(&r, CLASS_OFFLOADS, 0, tso4, 8), VIRTIO_NET_OK);
	assert_int_equal(s->tun_f, 0);
	/* What was not negotiated, or is no such command. */
	s->sets = 0;
	assert_int_equal(ctrl_number(&r, CLASS_OFFLOADS, 0, csum | tso6, 8), VIRTIO_NET_ERR);
	assert_int_equal(ctrl_number(&r, CLASS_OFFLOADS, 0, ~0ULL, 8), VIRTIO_NET_ERR);
	assert_int_equal(ctrl_number(&r, CLASS_OFFLOADS, 0, csum, 7), VIRTIO_NET_ERR);
	assert_int_equal(ctrl_number(&r, CLASS_OFFLOADS, 1, csum, 8), VIRTIO_NET_ERR);
	assert_int_equal(ctrl_number(&r, 6, 0, csum, 8), VIRTIO_NET_ERR);
	assert_int_equal(s->sets, 0);
	stop(&r);
}

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20
#define TUN_F_USO6 0x40
#endif
/* 5.1.3; older headers do not have them. */
#define GUEST_USO4 BIT_ULL(54)
#define GUEST_USO6 BIT_ULL(55)
#define HOST_USO   BIT_ULL(56)

/* Those of UDP: what the host has is offered, and what is agreed on is set; the kernel knows USO
 * for both versions of IP or for none. */
static void test_udp_offloads(void **state)
{
	const u64 csum = BIT_ULL(VIRTIO_NET_F_GUEST_CSUM), ufo = BIT_ULL(VIRTIO_NET_F_GUEST_UFO);
	const u64 all = ufo | BIT_ULL(VIRTIO_NET_F_HOST_UFO) | GUEST_USO4 | GUEST_USO6 | HOST_USO;
	const struct {
		u32 tun_f;
		u64 offered;
	} hosts[] = {
		{ TUN_F_CSUM, 0 },
		{ TUN_F_CSUM | TUN_F_UFO, ufo | BIT_ULL(VIRTIO_NET_F_HOST_UFO) },
		{ TUN_F_CSUM | TUN_F_UFO | TUN_F_USO4 | TUN_F_USO6, all },
	};

	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++) {
		struct virtio_device *vdev;
		struct sock_net *s;
		struct rig r;

		s = make_unlinked(&r, 1);
		s->nb.offloads = hosts[i].tun_f;
		assert_int_equal(virtio_net_new(&r.vm, &s->nb, mac, 0, &vdev), 0);
		assert_true((virtio_offered(vdev) & all) == hosts[i].offered);
		rig_start(&r, vdev, virtio_offered(vdev) & ~BIT_ULL(VIRTIO_RING_F_EVENT_IDX));
		assert_int_equal(s->tun_f, hosts[i].tun_f);
		assert_int_equal(ctrl_number(&r, CLASS_OFFLOADS, 0, csum | GUEST_USO4, 8),
				 hosts[i].offered == all ? VIRTIO_NET_OK : VIRTIO_NET_ERR);
		if (hosts[i].offered == all)
			assert_int_equal(s->tun_f, TUN_F_CSUM);
		assert_int_equal(ctrl_number(&r, CLASS_OFFLOADS, 0, csum | ufo, 8),
				 hosts[i].offered ? VIRTIO_NET_OK : VIRTIO_NET_ERR);
		if (hosts[i].offered)
			assert_int_equal(s->tun_f, TUN_F_CSUM | TUN_F_UFO);
		stop(&r);
	}
}

/* Does a frame to @to, in VLAN @vlan (-1: none), reach the driver? */
static bool gets(struct rig *r, const u8 to[6], int vlan)
{
	struct rig_buf buf = { FRAME, 2000, true };
	u8 sent[100] = { 0 }, *eth = sent + NET_HDR_LEN;
	u32 len = 0;
	bool yes;

	memcpy(eth, to, 6);
	eth[12] = 0x08;
	if (vlan >= 0) {
		eth[12] = 0x81;
		eth[13] = 0;
		eth[14] = (u8)(0xe0 | vlan >> 8);
		eth[15] = (u8)vlan;
	}
	rig_add(r, RX, &buf, 1);
	assert_int_equal(send(pair->peer, sent, sizeof(sent), 0), sizeof(sent));
	rig_notify(r, RX);
	yes = rig_used(r, RX, &len) >= 0;
	if (yes) {
		assert_int_equal(len, sizeof(sent));
		return true;
	}
	/* The buffer waits for a packet that is wanted: bring one, of a length of its own. */
	memcpy(eth, r->vdev->config, 6);
	eth[12] = 0x08;
	assert_int_equal(send(pair->peer, sent, sizeof(sent) - 1, 0), sizeof(sent) - 1);
	rig_notify(r, RX);
	assert_true(rig_used(r, RX, &len) >= 0);
	assert_int_equal(len, sizeof(sent) - 1);
	return false;
}

static const u8 broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
static const u8 other[6] = { 2, 0, 0, 9, 9, 9 };
static const u8 group[6] = { 1, 0, 0x5e, 0, 0, 1 };

static void test_modes(void **state)
{
	struct rig r;

	start(&r, 0);
	/* A device begins promiscuous. */
	assert_true(gets(&r, other, -1));
	assert_true(gets(&r, group, -1));
	assert_int_equal(ctrl_number(&r, CLASS_RX, VIRTIO_NET_CTRL_RX_PROMISC, 0, 1),
			 VIRTIO_NET_OK);
	assert_true(gets(&r, mac, -1));
	assert_true(gets(&r, broadcast, -1));
	assert_false(gets(&r, other, -1));
	assert_false(gets(&r, group, -1));
	assert_int_equal(ctrl_number(&r, CLASS_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, 1, 1),
			 VIRTIO_NET_OK);
	assert_true(gets(&r, group, -1));
	assert_int_equal(ctrl_number(&r, CLASS_RX, VIRTIO_NET_CTRL_RX_NOMULTI, 1, 1),
			 VIRTIO_NET_OK);
	assert_false(gets(&r, group, -1));
	assert_true(gets(&r, broadcast, -1));
	assert_int_equal(ctrl_number(&r, CLASS_RX, VIRTIO_NET_CTRL_RX_NOBCAST, 1, 1),
			 VIRTIO_NET_OK);
	assert_false(gets(&r, broadcast, -1));
	assert_int_equal(ctrl_number(&r, CLASS_RX, VIRTIO_NET_CTRL_RX_ALLUNI, 1, 1), VIRTIO_NET_OK);
	assert_true(gets(&r, other, -1));
	assert_int_equal(ctrl_number(&r, CLASS_RX, VIRTIO_NET_CTRL_RX_NOUNI, 1, 1), VIRTIO_NET_OK);
	assert_int_equal(ctrl_number(&r, CLASS_RX, VIRTIO_NET_CTRL_RX_PROMISC, 1, 1),
			 VIRTIO_NET_OK);
	assert_true(gets(&r, other, -1));
	/* Of no sense, or length, or number. */
	assert_int_equal(ctrl_number(&r, CLASS_RX, 6, 1, 1), VIRTIO_NET_ERR);
	assert_int_equal(ctrl_number(&r, CLASS_RX, 0, 2, 1), VIRTIO_NET_ERR);
	assert_int_equal(ctrl_number(&r, CLASS_RX, 0, 0, 2), VIRTIO_NET_ERR);
	assert_int_equal(ctrl_number(&r, CLASS_RX, 0, 0, 0), VIRTIO_NET_ERR);
	assert_true(gets(&r, other, -1));
	/* The next driver begins anew. */
	ctrl_number(&r, CLASS_RX, VIRTIO_NET_CTRL_RX_PROMISC, 0, 1);
	rig_start(&r, r.vdev, BIT_ULL(VIRTIO_NET_F_MRG_RXBUF));
	assert_true(gets(&r, other, -1));
	stop(&r);
}

static void test_mode_features(void **state)
{
	struct rig r;

	start(&r, BIT_ULL(VIRTIO_NET_F_CTRL_RX_EXTRA));
	assert_int_equal(ctrl_number(&r, CLASS_RX, VIRTIO_NET_CTRL_RX_NOUNI, 1, 1), VIRTIO_NET_ERR);
	assert_int_equal(ctrl_number(&r, CLASS_RX, VIRTIO_NET_CTRL_RX_PROMISC, 0, 1),
			 VIRTIO_NET_OK);
	rig_start(&r, r.vdev, BIT_ULL(VIRTIO_NET_F_CTRL_VQ));
	assert_int_equal(ctrl_number(&r, CLASS_RX, VIRTIO_NET_CTRL_RX_PROMISC, 0, 1),
			 VIRTIO_NET_ERR);
	assert_int_equal(ctrl_number(&r, CLASS_VLAN, 0, 1, 2), VIRTIO_NET_ERR);
	assert_int_equal(ctrl(&r, CLASS_MAC, 1, mac, 6), VIRTIO_NET_ERR);
	assert_int_equal(ctrl_number(&r, CLASS_MAC, 0, 0, 8), VIRTIO_NET_ERR);
	assert_int_equal(ctrl_number(&r, CLASS_MQ, 0, 1, 2), VIRTIO_NET_ERR);
	assert_int_equal(ctrl_number(&r, CLASS_OFFLOADS, 0, 0, 8), VIRTIO_NET_ERR);
	stop(&r);
}

/* Tables of @uni and @multi addresses, that end in their number. */
static u8 set_tables(struct rig *r, u32 uni, u32 multi, int more)
{
	u8 bytes[4096] = { 0 }, *p = bytes;

	put_le(p, 4, uni);
	p += 4;
	for (u32 i = 0; i < uni; i++, p += 6) {
		p[0] = 2;
		p[4] = (u8)(i >> 8);
		p[5] = (u8)i;
	}
	put_le(p, 4, multi);
	p += 4;
	for (u32 i = 0; i < multi; i++, p += 6) {
		p[0] = 3;
		p[5] = (u8)i;
	}
	return ctrl(r, CLASS_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, bytes, (size_t)(p - bytes + more));
}

static void test_tables(void **state)
{
	const u8 third[6] = { 2, 0, 0, 0, 0, 3 }, multi[6] = { 3, 0, 0, 0, 0, 1 };
	struct rig r;

	start(&r, 0);
	ctrl_number(&r, CLASS_RX, VIRTIO_NET_CTRL_RX_PROMISC, 0, 1);
	assert_false(gets(&r, third, -1));
	assert_int_equal(set_tables(&r, 5, 2, 0), VIRTIO_NET_OK);
	assert_true(gets(&r, third, -1));
	assert_true(gets(&r, multi, -1));
	assert_false(gets(&r, other, -1));
	assert_false(gets(&r, group, -1));
	/* Of the wrong length: the table is what it was. */
	assert_int_equal(set_tables(&r, 1, 1, 1), VIRTIO_NET_ERR);
	assert_int_equal(set_tables(&r, 1, 1, -1), VIRTIO_NET_ERR);
	assert_int_equal(ctrl_number(&r, CLASS_MAC, 0, 0xffffffff, 4), VIRTIO_NET_ERR);
	assert_int_equal(ctrl_number(&r, CLASS_MAC, 0, 0, 3), VIRTIO_NET_ERR);
	assert_int_equal(ctrl_number(&r, CLASS_MAC, 2, 0, 8), VIRTIO_NET_ERR);
	assert_true(gets(&r, third, -1));
	/* More than there is room for: all of that kind. */
	assert_int_equal(set_tables(&r, 65, 2, 0), VIRTIO_NET_OK);
	assert_true(gets(&r, other, -1));
	assert_true(gets(&r, multi, -1));
	assert_false(gets(&r, group, -1));
	assert_int_equal(set_tables(&r, 0, 65, 0), VIRTIO_NET_OK);
	assert_false(gets(&r, other, -1));
	assert_true(gets(&r, group, -1));
	stop(&r);
}

static void test_vlans(void **state)
{
	struct rig r;

	start(&r, 0);
	assert_true(gets(&r, mac, 7));
	ctrl_number(&r, CLASS_RX, VIRTIO_NET_CTRL_RX_PROMISC, 0, 1);
	assert_false(gets(&r, mac, 7));
	assert_int_equal(ctrl_number(&r, CLASS_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, 7, 2),
			 VIRTIO_NET_OK);
	assert_int_equal(ctrl_number(&r, CLASS_VLAN, VIRTIO_NET_CTRL_VLAN_ADD, 4095, 2),
			 VIRTIO_NET_OK);
	assert_true(gets(&r, mac, 7));
	assert_true(gets(&r, mac, 4095));
	assert_false(gets(&r, mac, 6));
	assert_false(gets(&r, other, 7));
	assert_int_equal(ctrl_number(&r, CLASS_VLAN, VIRTIO_NET_CTRL_VLAN_DEL, 7, 2),
			 VIRTIO_NET_OK);
	assert_false(gets(&r, mac, 7));
	assert_int_equal(ctrl_number(&r, CLASS_VLAN, 0, 4096, 2), VIRTIO_NET_ERR);
	assert_int_equal(ctrl_number(&r, CLASS_VLAN, 2, 1, 2), VIRTIO_NET_ERR);
	assert_int_equal(ctrl_number(&r, CLASS_VLAN, 0, 1, 1), VIRTIO_NET_ERR);
	/* Who does not filter VLANs gets all of them. */
	rig_start(&r, r.vdev, BIT_ULL(VIRTIO_NET_F_CTRL_VQ) | BIT_ULL(VIRTIO_NET_F_CTRL_RX));
	ctrl_number(&r, CLASS_RX, VIRTIO_NET_CTRL_RX_PROMISC, 0, 1);
	assert_true(gets(&r, mac, 7));
	stop(&r);
}

static void test_address(void **state)
{
	struct rig r;
	struct sock_net *s = start(&r, 0);
	u8 now[6];

	ctrl_number(&r, CLASS_RX, VIRTIO_NET_CTRL_RX_PROMISC, 0, 1);
	assert_int_equal(ctrl(&r, CLASS_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, other, 6),
			 VIRTIO_NET_OK);
	virtio_config_read(r.vdev, 0, now, 6);
	assert_memory_equal(now, other, 6);
	assert_memory_equal(s->mac, other, 6);
	assert_true(gets(&r, other, -1));
	assert_false(gets(&r, mac, -1));
	assert_int_equal(ctrl(&r, CLASS_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 5), VIRTIO_NET_ERR);
	s->refuse = EPERM;
	assert_int_equal(ctrl(&r, CLASS_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, mac, 6), VIRTIO_NET_ERR);
	virtio_config_read(r.vdev, 0, now, 6);
	assert_memory_equal(now, other, 6);
	s->refuse = 0;
	virtio_device_reset(r.vdev);
	virtio_config_read(r.vdev, 0, now, 6);
	assert_memory_equal(now, mac, 6);
	stop(&r);
}

/* Nobody asked the driver to announce itself. */
static void test_announce(void **state)
{
	struct rig r;

	start(&r, 0);
	assert_int_equal(ctrl(&r, CLASS_ANNOUNCE, 0, NULL, 0), VIRTIO_NET_ERR);
	stop(&r);
}

/* A command in pieces of a byte, in none, and without a place for its answer. */
static void test_shapes(void **state)
{
	const u8 promisc[] = { CLASS_RX, VIRTIO_NET_CTRL_RX_PROMISC, 0 };
	struct rig_buf out = { CMD, 3, false }, in = { CMD + 0x8000, 16, true };
	struct rig r;
	u32 len;

	start(&r, 0);
	assert_int_equal(command_in(&r, promisc, 3, 1), VIRTIO_NET_OK);
	assert_false(gets(&r, other, -1));
	assert_int_equal(command_in(&r, promisc, 1, 1), VIRTIO_NET_ERR);
	assert_int_equal(command_in(&r, promisc, 0, 1), VIRTIO_NET_ERR);
	/* Nothing is done that cannot be answered. */
	memcpy(rig_ptr(&r, CMD), "\0\0\1", 3);
	rig_add(&r, ctrl_queue(&r), &out, 1);
	rig_notify(&r, ctrl_queue(&r));
	assert_true(rig_used(&r, ctrl_queue(&r), &len) >= 0);
	assert_int_equal(len, 0);
	assert_false(gets(&r, other, -1));
	rig_add(&r, ctrl_queue(&r), &in, 1);
	rig_notify(&r, ctrl_queue(&r));
	assert_true(rig_used(&r, ctrl_queue(&r), &len) >= 0);
	assert_int_equal(len, 1);
	assert_true(rig_live(&r));
	stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_offloads), cmocka_unit_test(test_udp_offloads),
		cmocka_unit_test(test_modes),	 cmocka_unit_test(test_mode_features),
		cmocka_unit_test(test_tables),	 cmocka_unit_test(test_vlans),
		cmocka_unit_test(test_address),	 cmocka_unit_test(test_announce),
		cmocka_unit_test(test_shapes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
