/* SPDX-License-Identifier: MIT */
/* Which features of virtio-net need which others: the specification's list against ours. */
#include "unit.h"

#include "../../virtio/net.h"
#include "toy_device.h"

/* VIRTIO 1.3, 5.1.3.1, by the numbers of 5.1.3: a bit, and those of which it needs one. */
static const struct {
	u8 bit, needs[2];
} listed[] = {
	{ 7, { 1 } },	    /* GUEST_TSO4: GUEST_CSUM */
	{ 8, { 1 } },	    /* GUEST_TSO6 */
	{ 9, { 7, 8 } },    /* GUEST_ECN: GUEST_TSO4, GUEST_TSO6 */
	{ 10, { 1 } },	    /* GUEST_UFO */
	{ 54, { 1 } },	    /* GUEST_USO4 */
	{ 55, { 1 } },	    /* GUEST_USO6 */
	{ 11, { 0 } },	    /* HOST_TSO4: CSUM */
	{ 12, { 0 } },	    /* HOST_TSO6 */
	{ 13, { 11, 12 } }, /* HOST_ECN: HOST_TSO4, HOST_TSO6 */
	{ 14, { 0 } },	    /* HOST_UFO */
	{ 56, { 0 } },	    /* HOST_USO */
	{ 18, { 17 } },	    /* CTRL_RX: CTRL_VQ */
	{ 19, { 17 } },	    /* CTRL_VLAN */
	{ 21, { 17 } },	    /* GUEST_ANNOUNCE */
	{ 22, { 17 } },	    /* MQ */
	{ 23, { 17 } },	    /* CTRL_MAC_ADDR */
	{ 53, { 17 } },	    /* NOTF_COAL */
	{ 52, { 17 } },	    /* VQ_NOTF_COAL */
	{ 61, { 11, 12 } }, /* RSC_EXT */
	{ 60, { 17 } },	    /* RSS */
	{ 57, { 17 } },	    /* HASH_REPORT */
};

/* Does the device take these bits? */
static bool accepts(struct virtio_device *vdev, u64 features)
{
	features |= BIT_ULL(VIRTIO_F_VERSION_1);
	virtio_set_status(vdev, 0);
	virtio_set_status(vdev, S_ACK | S_DRIVER);
	virtio_accept_features(vdev, 0, (u32)features);
	virtio_accept_features(vdev, 1, (u32)(features >> 32));
	virtio_set_status(vdev, S_ACK | S_DRIVER | S_FEATURES_OK);
	return vdev->status & S_FEATURES_OK;
}

/* What a bit itself needs to be taken, so that only the one rule is looked at. */
static u64 with_needs(u8 bit)
{
	u64 bits = BIT_ULL(bit);

	for (u32 i = 0; i < ARRAY_SIZE(listed); i++)
		if (listed[i].bit == bit)
			bits |= with_needs(listed[i].needs[0]);
	return bits;
}

static void test_each(void **state)
{
	struct virtio_ops ops = toy_ops;
	struct virtio_device *vdev;
	struct toy_vm *v = toy_vm_new(TRANSPORT_MMIO);
	u32 n = 0;

	ops.rules = net_rules;
	vdev = &toy_new_ops(v, false, &ops)->vdev;
	vdev->host_features = ~0ULL & ~BIT_ULL(VIRTIO_F_ACCESS_PLATFORM);
	assert_true(accepts(vdev, 0));
	for (u32 i = 0; i < ARRAY_SIZE(listed); i++) {
		u8 second = listed[i].needs[1];

		if (accepts(vdev, BIT_ULL(listed[i].bit)))
			fail_msg("feature %u is taken alone", listed[i].bit);
		if (!accepts(vdev, with_needs(listed[i].bit)))
			fail_msg("feature %u is not taken with what it needs", listed[i].bit);
		if (second && !accepts(vdev, BIT_ULL(listed[i].bit) | with_needs(second)))
			fail_msg("feature %u is not taken with %u", listed[i].bit, second);
	}
	while (net_rules[n].needs)
		n++;
	assert_int_equal(n, ARRAY_SIZE(listed));
	toy_free(v->toy);
	toy_vm_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests_name("net_rules", tests, NULL, NULL);
}
