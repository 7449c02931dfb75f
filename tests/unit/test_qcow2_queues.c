/* SPDX-License-Identifier: MIT */
/* A qcow2 disk with several queues, each on a thread of its own, that share clusters. */
#include <pthread.h>

#include "qcow2_bench.h"

#define QUEUES	4
#define SIZE	(4 * MiB)
#define SECTORS (SIZE / 512)
#define ROUNDS	400

static u8 model[SIZE];

/* The sectors of a queue are those whose number is its own, modulo QUEUES. All have the same
 * numbers by chance, and so are in the same clusters at about the same time. */
struct client {
	pthread_t thread;
	struct event_loop loop;
	struct disk_queue *queue;
	unsigned int number;
	u64 seed;
	int ret, errors;
	struct disk_request req;
};

static u64 next(struct client *c)
{
	c->seed ^= c->seed << 13;
	c->seed ^= c->seed >> 7;
	c->seed ^= c->seed << 17;
	return c->seed;
}

static void on_done(struct disk_request *req, int ret)
{
	struct client *c = container_of(req, struct client, req);

	c->ret = ret;
	event_loop_stop(&c->loop);
}

static int serve(struct client *c, enum disk_op op, u8 *buf, u64 sector)
{
	struct iovec iov = { buf, 512 };

	/* Without flags: what lies in one piece takes the short way. */
	c->req = (struct disk_request){ .op = op, .iov = &iov, .iovcnt = 1, .done = on_done };
	if (op != DISK_FLUSH) {
		c->req.offset = sector * 512;
		c->req.len = 512;
	}
	event_loop_rearm(&c->loop);
	c->queue->may_wait = true;
	disk_submit(c->queue, &c->req);
	disk_queue_kick(c->queue);
	c->queue->may_wait = false;
	event_loop_run(&c->loop);
	return c->ret;
}

static void *run(void *opaque)
{
	struct client *c = opaque;
	u8 buf[512];

	for (unsigned int i = 0; i < ROUNDS; i++) {
		u64 sector = next(c) % (SECTORS / QUEUES) * QUEUES + c->number;
		u64 what = (next(c) + c->number * 5 + i) % 16;
		u8 *here = model + sector * 512;

		if (!what) {
			c->errors += serve(c, DISK_FLUSH, NULL, 0) != 0;
		} else if (what < 6) {
			c->errors += serve(c, DISK_READ, buf, sector) || memcmp(buf, here, 512);
		} else if (what == 6) {
			memset(here, 0, 512);
			c->errors += serve(c, DISK_WRITE_ZEROES, NULL, sector) != 0;
		} else {
			memset(here, (int)next(c), 512);
			c->errors += serve(c, DISK_WRITE, here, sector) != 0;
		}
	}
	return NULL;
}

static void compare(void)
{
	FILE *f;

	must("qemu-img check img && qemu-img convert -O raw img raw");
	f = fopen(in_folder("raw"), "re");
	assert_non_null(f);
	for (u64 at = 0; at < SIZE; at += 512) {
		u8 buf[512];

		assert_int_equal(fread(buf, 1, 512, f), 512);
		if (memcmp(buf, model + at, 512))
			fail_msg("sector %llu", at / 512);
	}
	fclose(f);
}

static void with_image(const char *make)
{
	static struct client clients[QUEUES];
	struct disk_config cfg = { .path = strdup(in_folder("img")), .format = DISK_FORMAT_QCOW2 };
	struct disk *disk;
	FILE *f;

	for (u64 i = 0; i < SIZE; i++)
		model[i] = (u8)(i / 512 * 7 + i);
	f = fopen(in_folder("source"), "we");
	assert_int_equal(fwrite(model, 1, SIZE, f), SIZE);
	fclose(f);
	must("rm -f img && %s", make);
	assert_int_equal(disk_open(&cfg, &disk), 0);
	for (unsigned int i = 0; i < QUEUES; i++) {
		struct client *c = &clients[i];

		*c = (struct client){ .number = i, .seed = 0x9e3779b97f4a7c15ULL };
		assert_int_equal(event_loop_init(&c->loop, "queue"), 0);
		assert_int_equal(disk_queue_open(disk, &c->loop, 8, &c->queue), 0);
	}
	for (unsigned int i = 0; i < QUEUES; i++)
		assert_int_equal(pthread_create(&clients[i].thread, NULL, run, &clients[i]), 0);
	for (unsigned int i = 0; i < QUEUES; i++) {
		pthread_join(clients[i].thread, NULL);
		assert_int_equal(clients[i].errors, 0);
	}
	for (unsigned int i = 0; i < QUEUES; i++) {
		disk_queue_finish(clients[i].queue);
		disk_queue_close(clients[i].queue);
		event_loop_destroy(&clients[i].loop);
	}
	disk_close(disk);
	free((void *)cfg.path);
	compare();
}

static void test_queues(void **state)
{
	with_image("qemu-img convert -O qcow2 -o cluster_size=4k source img");
	with_image("qemu-img create -f qcow2 -b source -F raw img");
	with_image("qemu-img convert -c -O qcow2 source img && qemu-img snapshot -c one img");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_queues, make_folder, drop_folder),
	};

	if (system("qemu-img --version >/dev/null 2>&1")) {
		puts("1..0 # SKIP no qemu-img");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
