/* SPDX-License-Identifier: MIT */
/*
 * A guest that is never idle (two vcpus, timers, a disk, a network card) is paused from its main
 * loop, again and again. While it is paused the disk is notified of a request that waits, a packet
 * comes for a buffer that waits, timers expire: and no byte of guest memory changes. It goes on,
 * and ends well.
 */
#include "machine.h"

#include "lkvm/disk.h"
#include "lkvm/event.h"
#include "lkvm/net.h"
#include "lkvm/virtio.h"

/* For what should not happen: who writes to memory does it sooner than that. */
#define WATCH_NS 50000000ULL
#define ROUNDS	 10

struct test {
	struct test_machine t;
	struct disk *disk;
	struct net_backend *nb;
	struct virtio_device *blk, *net;
	struct event_timer timer;
	u8 *copy;
	unsigned int pauses, changed, disk_waited, packet_waited, rooms;
	bool done;
};

/* Requests that the driver offered and the device has not taken. */
static u16 waiting(const struct virtio_device *vdev, u16 q)
{
	const struct virtqueue *vq = &vdev->queues[q].vq;
	__le16 idx = 0;

	if (!vq->enabled || memory_read(&vdev->vm->mem, vq->avail_gpa + 2, &idx, sizeof(idx)))
		return 0;
	return (u16)(le16_to_cpu(idx) - vq->last_avail);
}

static void send_packet(struct net_backend *nb)
{
	u8 packet[NET_HDR_LEN + 64] = { 0 };
	const struct iovec iov = { packet, sizeof(packet) };

	memset(packet + NET_HDR_LEN, 0x77, 64);
	if (nb->ops->writev(&nb->pair[0], &iov, 1) < 0)
		printf("# the packet was not taken\n");
}

static void note_change(const u8 *before, const u8 *now, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (before[i] == now[i])
			continue;
		printf("# byte 0x%zx was %02x and is %02x\n", i, before[i], now[i]);
		return;
	}
}

static void pause_over(void *opaque)
{
	struct test *test = opaque;
	struct vm *vm = &test->t.m.vm;
	const u8 *ram = guest_ram(vm);

	if (memcmp(test->copy, ram, vm->cfg->memory)) {
		test->changed++;
		note_change(test->copy, ram, vm->cfg->memory);
	}
	vm_resume(vm);
}

static void pause_in_loop(void *opaque)
{
	struct test *test = opaque;
	struct vm *vm = &test->t.m.vm;

	vm_pause(vm);
	test->pauses++;
	test->disk_waited += waiting(test->blk, 0) > 0;
	test->packet_waited += waiting(test->net, 0) > 0;
	test->rooms += test->t.client.room(test->t.client.opaque) > 0;
	memcpy(test->copy, guest_ram(vm), vm->cfg->memory);
	eventfd_raise(test->blk->queues[0].notify.fd);
	send_packet(test->nb);
	/* The loop goes on meanwhile. */
	event_timer_set(&test->timer, WATCH_NS);
}

static void nothing(void *opaque) {}

/*
 * The disk looks into its ring once more after it answered: it must not find the request that is
 * offered next, before anybody tells of it. A notification that is under way is in the loop's next
 * turn at the latest, beside the second of these calls, perhaps after it.
 */
static void let_disk_finish(struct test *test)
{
	for (int i = 0; i < 3; i++)
		event_call_sync(test->blk->queues[0].loop, nothing, NULL);
}

/* The guest goes on when this returns. */
static void on_line(struct test_machine *t, const char *line)
{
	struct test *test = container_of(t, struct test, t);

	if (!strncmp(line, "ready ", 6))
		let_disk_finish(test);
	if (!strncmp(line, "round ", 6) && !strstr(line, "failed"))
		post_and_wait(t);
	test->done |= !strcmp(line, "done");
}

static bool add_devices(struct test *test, const char *image)
{
	static const u8 mac[6] = { 2, 0, 0, 0, 0, 1 };
	const struct disk_config config = { .path = (char *)image };
	struct vm *vm = &test->t.m.vm;

	event_timer_init(&test->timer, &vm->loop, pause_over, test);
	return !disk_open(&config, &test->disk) && !net_loopback_open(&test->nb) &&
	       !virtio_blk_new(vm, test->disk, 0, &test->blk) && !virtio_attach(test->blk) &&
	       !virtio_net_new(vm, test->nb, mac, 0, &test->net) && !virtio_attach(test->net) &&
	       !machine_restart(&test->t.m); /* with these devices in its description */
}

static void run(const char *guest, const char *image, enum virtio_transport_kind transport)
{
	struct test *test = xcalloc(1, sizeof(*test));
	int status, signal;

	test->t.on_line = on_line;
	test->t.post = (struct event_post){ .fn = pause_in_loop, .opaque = test };
	make_machine(&test->t, guest, "rounds=10 disk net kick", 2, 0, transport);
	test->copy = malloc(test->t.cfg.memory);
	if (!test->copy || !add_devices(test, image)) {
		printf("Bail out! cannot make the devices\n");
		exit(1);
	}
	status = machine_run(&test->t.m, &signal);
	printf("# %u pauses, in %u of them a request of the disk waited, in %u a receive buffer\n",
	       test->pauses, test->disk_waited, test->packet_waited);
	point(test->pauses == ROUNDS, "a busy guest is paused");
	point(test->disk_waited == ROUNDS && test->packet_waited == ROUNDS,
	      "there was work for it meanwhile, each time");
	point(!test->changed, "no byte of its memory changed");
	point(!test->rooms, "its serial port took no input");
	point(!status && test->done, "it went on, and ended well");
	event_timer_destroy(&test->timer);
	end_machine(&test->t);
	test->nb->ops->close(test->nb);
	test->disk->ops->close(test->disk);
	free(test->copy);
	free(test);
}

int main(int argc, char **argv)
{
	char image[] = "/tmp/lkvm-pause.XXXXXX";
	char *guest;
	int fd;

	if (argc != 2) {
		fprintf(stderr, "usage: pause DIRECTORY-OF-GUESTS\n");
		return 2;
	}
	alarm(LIMIT_SECONDS);
	fd = mkstemp(image);
	if (fd < 0 || ftruncate(fd, MiB) < 0) {
		printf("Bail out! no disk image\n");
		return 1;
	}
	close(fd);
	guest = xasprintf("%s/busy.flat", argv[1]);
	run(guest, image, TRANSPORT_PCI);
	run(guest, image, TRANSPORT_MMIO);
	unlink(image);
	free(guest);
	return tap_end();
}
