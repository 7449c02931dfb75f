/* SPDX-License-Identifier: MIT */
/* virtio/pmem.c over a disk that flushes when the test lets it. */
#include <linux/virtio_pmem.h>

#include "blk_rig.h"
#include "capture.h"
#include "lkvm/pmem.h"

#define PLACE	  0x100000000ULL
#define TYPE(i)	  (RIG_DATA + 8 * (i))
#define ANSWER(i) (RIG_DATA + 0x1000 + 8 * (i))

static struct pmem pmem;

static struct mem_disk *start_pmem(struct rig *r, bool held)
{
	struct mem_disk *m = make_disk(false);
	struct virtio_device *vdev;

	m->held = held;
	m->begun = held ? 1 : 0;
	pmem = (struct pmem){
		.what = (char *)"--pmem FILE", .disk = &m->disk, .gpa = PLACE, .size = 6 * MiB
	};
	rig_init(r);
	assert_int_equal(virtio_pmem_new(&r->vm, &pmem, 0, &vdev), 0);
	rig_start(r, vdev, 0);
	return m;
}

static u16 ask(struct rig *r, u32 i, u32 type)
{
	struct rig_buf bufs[2] = { { TYPE(i), 4, false }, { ANSWER(i), 4, true } };

	*(u32 *)rig_ptr(r, TYPE(i)) = cpu_to_le32(type);
	*(u32 *)rig_ptr(r, ANSWER(i)) = 0xeeeeeeee;
	return rig_add(r, 0, bufs, 2);
}

static u32 answer(struct rig *r, u32 i)
{
	return le32_to_cpu(*(u32 *)rig_ptr(r, ANSWER(i)));
}

static void test_flush(void **state)
{
	struct virtio_pmem_config cfg;
	struct rig r;
	struct mem_disk *m = start_pmem(&r, false);
	u32 len;
	u16 head;

	virtio_config_read(r.vdev, 0, &cfg, sizeof(cfg));
	assert_int_equal(le64_to_cpu(cfg.start), PLACE);
	assert_int_equal(le64_to_cpu(cfg.size), 6 * MiB);
	head = ask(&r, 0, VIRTIO_PMEM_REQ_TYPE_FLUSH);
	rig_notify(&r, 0);
	assert_int_equal(rig_used(&r, 0, &len), head);
	assert_int_equal(len, 4);
	assert_int_equal(answer(&r, 0), 0);
	assert_int_equal(m->flushes, 1);
	m->fail = -EIO;
	ask(&r, 0, VIRTIO_PMEM_REQ_TYPE_FLUSH);
	capture_begin();
	log_set_level(LOG_WARNING);
	rig_notify(&r, 0);
	assert_int_equal(answer(&r, 0), 1);
	ask(&r, 0, VIRTIO_PMEM_REQ_TYPE_FLUSH);
	rig_notify(&r, 0);
	capture_end();
	assert_int_equal(answer(&r, 0), 1);
	assert_contains(captured, "--pmem FILE: cannot flush: Input/output error");
	assert_one_line(captured);
	stop(&r);
}

/* A flush answers what came before it began; what comes meanwhile shares the next one. */
static void test_flood(void **state)
{
	struct rig r;
	struct mem_disk *m = start_pmem(&r, true);

	for (u32 i = 0; i < 3; i++)
		ask(&r, i, 0);
	rig_notify(&r, 0);
	assert_int_equal(m->nr_kept, 1);
	for (u32 i = 3; i < 30; i++) {
		/* Each has its turn. */
		ask(&r, i, i == 20 ? 9 : 0);
		rig_notify(&r, 0);
	}
	assert_int_equal(m->nr_kept, 1);
	assert_int_equal(rig_used(&r, 0, NULL), -1);
	end_request(&r, m, 0, 0);
	assert_int_equal(r.queue_irqs[0], 1);
	for (u32 i = 0; i < 3; i++)
		assert_int_equal(rig_used(&r, 0, NULL), i * 2);
	assert_int_equal(rig_used(&r, 0, NULL), -1);
	assert_int_equal(answer(&r, 3), 0);
	assert_int_equal(*(u8 *)rig_ptr(&r, ANSWER(30)), 0);
	assert_int_equal(m->nr_kept, 1);
	end_request(&r, m, 0, 0);
	/* In their order, with one that is refused among them. */
	for (u32 i = 3; i < 30; i++) {
		assert_true(rig_used(&r, 0, NULL) >= 0);
		assert_int_equal(answer(&r, i), i == 20);
	}
	assert_int_equal(m->nr_kept, 0);
	stop(&r);
}

static void test_bad(void **state)
{
	struct rig_buf short_type[2] = { { TYPE(0), 3, false }, { ANSWER(0), 4, true } };
	struct rig_buf pieces[4] = { { TYPE(0), 1, false },
				     { TYPE(0) + 1, 3, false },
				     { ANSWER(0), 1, true },
				     { ANSWER(1), 9, true } };
	struct rig_buf no_room[2] = { { TYPE(0), 4, false }, { ANSWER(0), 3, true } };
	struct rig r;
	struct mem_disk *m = start_pmem(&r, false);
	u32 len;

	ask(&r, 0, 1);
	rig_notify(&r, 0);
	assert_true(rig_used(&r, 0, &len) >= 0);
	assert_int_equal(len, 4);
	assert_int_equal(answer(&r, 0), 1);
	*(u32 *)rig_ptr(&r, ANSWER(0)) = 0xeeeeeeee;
	rig_add(&r, 0, short_type, 2);
	rig_notify(&r, 0);
	assert_int_equal(answer(&r, 0), 1);
	assert_true(rig_used(&r, 0, NULL) >= 0);
	/* However it is cut. */
	*(u32 *)rig_ptr(&r, TYPE(0)) = 0;
	memset(rig_ptr(&r, ANSWER(0)), 0xee, 24);
	rig_add(&r, 0, pieces, 4);
	rig_notify(&r, 0);
	assert_int_equal(answer(&r, 0), 0xeeeeee00);
	assert_int_equal(answer(&r, 1), 0xee000000);
	assert_true(rig_live(&r));
	rig_add(&r, 0, no_room, 2);
	rig_notify(&r, 0);
	assert_false(rig_live(&r));
	assert_true(m->flushes > 0);
	stop(&r);
}

/* A reset waits for the host, and nothing is written to a queue that stopped. */
static void test_stop(void **state)
{
	struct rig r;
	struct mem_disk *m = start_pmem(&r, true);

	ask(&r, 0, 0);
	rig_notify(&r, 0);
	ask(&r, 1, 0);
	rig_notify(&r, 0);
	virtio_set_status(r.vdev, 0);
	assert_int_not_equal(virtio_get_status(r.vdev), 0);
	assert_int_equal(m->nr_kept, 1);
	end_request(&r, m, 0, 0);
	virtio_wait_stopped(r.vdev, false);
	assert_int_equal(virtio_get_status(r.vdev), 0);
	assert_int_equal(m->nr_kept, 0);
	/* It was made ready for an answer, which did not come. */
	assert_int_equal(answer(&r, 0), 0);
	assert_int_equal(rig_used(&r, 0, NULL), -1);
	assert_int_equal(r.queue_irqs[0], 0);
	/* And it starts again, with nothing left over. */
	m->held = false;
	rig_start(&r, r.vdev, 0);
	ask(&r, 0, 0);
	rig_notify(&r, 0);
	assert_true(rig_used(&r, 0, NULL) >= 0);
	assert_int_equal(rig_used(&r, 0, NULL), -1);
	stop(&r);
}

/* A pause: what the host has is answered, the rest goes back to the ring. @begun: 0, the host has
 * not looked at anything. */
static void quiesce(unsigned int begun)
{
	struct rig r;
	struct mem_disk *m = start_pmem(&r, true);
	struct ending e = { .m = m, .watched = &r.vdev->queues[0] };
	pthread_t helper;
	u32 nr = 0;

	m->begun = begun;
	for (u32 i = 0; i < 5; i++) {
		ask(&r, i, 0);
		if (i % 2)
			rig_notify(&r, 0);
	}
	assert_int_equal(m->nr_kept, 1);
	if (begun)
		assert_int_equal(pthread_create(&helper, NULL, end_watched, &e), 0);
	virtio_quiesce(r.vdev);
	if (begun)
		pthread_join(helper, NULL);
	assert_int_equal(m->nr_kept, 0);
	while (rig_used(&r, 0, NULL) >= 0)
		nr++;
	assert_int_equal(nr, begun ? 2 : 0);
	assert_int_equal(r.vdev->queues[0].vq.in_flight, 0);
	m->held = false;
	virtio_resume(r.vdev);
	rig_notify(&r, 0);
	while (rig_used(&r, 0, NULL) >= 0)
		nr++;
	assert_int_equal(nr, 5);
	assert_int_equal(r.quiet_irqs, 0);
	stop(&r);
}

static void test_quiesce(void **state)
{
	quiesce(0);
	quiesce(1);
}

/* Nothing can have been written. */
static void test_read_only(void **state)
{
	struct virtio_device *vdev;
	struct rig r;

	pmem = (struct pmem){ .what = (char *)"--pmem FILE", .readonly = true, .size = 2 * MiB };
	rig_init(&r);
	assert_int_equal(virtio_pmem_new(&r.vm, &pmem, 0, &vdev), 0);
	rig_start(&r, vdev, 0);
	ask(&r, 0, 0);
	ask(&r, 1, 5);
	rig_notify(&r, 0);
	assert_int_equal(answer(&r, 0), 0);
	assert_int_equal(answer(&r, 1), 1);
	rig_stop(&r);
}

/* A saved machine had its memory where this one has it. */
static void test_remembered(void **state)
{
	struct virtio_pmem_config cfg = { 0 };
	struct rig r;
	struct virtio_device saved;
	u8 config[sizeof(cfg)];
	void *bytes = aligned_alloc(64 * KiB, 128 * KiB);

	start_pmem(&r, false);
	assert_int_equal(memory_add_borrowed(&r.vm.mem, PLACE, 128 * KiB, bytes, MEM_PMEM, "p"), 0);
	saved = *r.vdev;
	saved.config = config;
	cfg.start = cpu_to_le64(PLACE);
	cfg.size = cpu_to_le64(128 * KiB);
	memcpy(config, &cfg, sizeof(cfg));
	assert_true(saved.ops->remembered_ok(&saved));
	cfg.size = cpu_to_le64(64 * KiB);
	memcpy(config, &cfg, sizeof(cfg));
	assert_false(saved.ops->remembered_ok(&saved));
	cfg.start = cpu_to_le64(RIG_BASE);
	cfg.size = cpu_to_le64(RIG_SIZE);
	memcpy(config, &cfg, sizeof(cfg));
	assert_false(saved.ops->remembered_ok(&saved));
	stop(&r);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flush),	   cmocka_unit_test(test_flood),
		cmocka_unit_test(test_bad),	   cmocka_unit_test(test_stop),
		cmocka_unit_test(test_quiesce),	   cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
