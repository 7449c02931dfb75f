/* SPDX-License-Identifier: MIT */
/*
 * virtio-balloon (VIRTIO 1.3, 5.5): what the guest hands over, or reports as free, goes back to the
 * host at once; it reads as zeroes when the guest uses it again. Statistics wait in a buffer of the
 * driver's until somebody asks for fresh ones.
 */
#include "lkvm/balloon.h"

#include <linux/virtio_balloon.h>
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/virtio.h"
#include "lkvm/vm.h"

#ifndef VIRTIO_BALLOON_F_PAGE_POISON
#define VIRTIO_BALLOON_F_PAGE_POISON 4 /* 5.5.3, not in older headers */
#endif
#ifndef VIRTIO_BALLOON_F_REPORTING
#define VIRTIO_BALLOON_F_REPORTING 5
#endif

/* 5.5.4: num_pages, actual, free_page_hint_cmd_id, poison_val. */
#define CONFIG_NUM_PAGES 0
#define CONFIG_ACTUAL	 4
#define CONFIG_POISON	 12
#define CONFIG_LEN	 16

/*
 * 5.5.2. Drivers do not agree about the number of the last one: Linux leaves out those that it did
 * not negotiate, so that it may have any of the three; we offer no hints, whose queue is 3.
 */
enum { INFLATE, DEFLATE, STATS, HINT, REPORT, NR_QUEUES };

#define QUEUE_SIZE 128
/* Page numbers of one request; Linux sends 256. */
#define MAX_PFNS  4096u
#define SOME_PFNS 256u

#define FEATURES                                                                         \
	(BIT_ULL(VIRTIO_BALLOON_F_STATS_VQ) | BIT_ULL(VIRTIO_BALLOON_F_DEFLATE_ON_OOM) | \
	 BIT_ULL(VIRTIO_BALLOON_F_PAGE_POISON) | BIT_ULL(VIRTIO_BALLOON_F_REPORTING))

struct virtio_balloon {
	struct virtio_device vdev;
	struct iovec iov[VIRTQ_MAX_SEGS];
	/* The buffer that the driver left for the next question; the loop's. */
	struct virtq_request asked;
	bool has_buffer;
	struct event_post ask;
	pthread_mutex_t lock;
	struct balloon_stats stats; /* under lock */
};

static struct virtio_balloon *to_balloon(struct virtio_device *vdev)
{
	return container_of(vdev, struct virtio_balloon, vdev);
}

/* Pages that are handed over */

/* Neighbours go back in one piece, in whichever direction the guest counts. */
struct run {
	u64 first, end; /* page numbers; empty: the same */
};

static void give_back(struct virtio_balloon *b, const struct run *run)
{
	struct guest_memory *mem = &b->vdev.vm->mem;
	u64 size = 1ULL << VIRTIO_BALLOON_PFN_SHIFT;
	u64 gpa = run->first * size, len = (run->end - run->first) * size;

	if (!len || !memory_give_back(mem, memory_ptr(mem, gpa, len), len))
		return;
	/* Over the end of a region, or nowhere: page by page. */
	for (u64 at = gpa; at < gpa + len; at += size)
		if (memory_give_back(mem, memory_ptr(mem, at, size), size))
			guest_warn("%s: the page at 0x%llx is not in RAM", b->vdev.name, at);
}

static void add_page(struct virtio_balloon *b, struct run *run, u64 pfn)
{
	if (run->first != run->end && pfn == run->end) {
		run->end++;
	} else if (run->first != run->end && pfn + 1 == run->first) {
		run->first--;
	} else {
		give_back(b, run);
		*run = (struct run){ pfn, pfn + 1 };
	}
}

static void inflate(struct virtio_balloon *b, const struct virtq_request *req)
{
	u32 total = (u32)MIN(req->out_len / 4, (size_t)MAX_PFNS);
	__le32 pfns[SOME_PFNS];
	struct run run = { 0 };

	if (req->out_len / 4 > MAX_PFNS)
		guest_warn("%s: took the first %u pages of a request", b->vdev.name, MAX_PFNS);
	for (u32 done = 0; done < total;) {
		u32 n = MIN(total - done, SOME_PFNS);

		iov_to_buf(virtq_out(req), req->nr_out, 4 * (size_t)done, pfns, 4 * (size_t)n);
		for (u32 i = 0; i < n; i++)
			add_page(b, &run, le32_to_cpu(pfns[i]));
		done += n;
	}
	give_back(b, &run);
}

/* Reported ranges are the buffers themselves (5.5.6.7). With a poison value that is not 0 the
 * driver wants to find it again, and zeroes are what the host would give. */
static void report(struct virtio_balloon *b, const struct virtq_request *req)
{
	struct guest_memory *mem = &b->vdev.vm->mem;
	u8 poison = 0;

	for (u32 i = 0; i < 4 && virtio_has(&b->vdev, VIRTIO_BALLOON_F_PAGE_POISON); i++)
		poison |= virtio_config_byte(&b->vdev, CONFIG_POISON + i);
	for (u16 i = 0; i < req->nr_in && !poison; i++)
		if (memory_give_back(mem, virtq_in(req)[i].iov_base, virtq_in(req)[i].iov_len))
			guest_warn("%s: a reported range cannot be given back", b->vdev.name);
}

/* Statistics */

static void read_stats(struct virtio_balloon *b, const struct virtq_request *req)
{
	struct balloon_stats stats = { 0 };
	struct virtio_balloon_stat s;

	for (u32 i = 0; i < 2 * BALLOON_NR_STATS; i++) {
		u16 tag;

		if (iov_to_buf(virtq_out(req), req->nr_out, i * sizeof(s), &s, sizeof(s)) !=
		    sizeof(s))
			break;
		tag = le16_to_cpu((__le16)s.tag);
		if (tag >= BALLOON_NR_STATS)
			continue;
		stats.known |= BIT(tag);
		stats.values[tag] = le64_to_cpu((__le64)s.val);
	}
	pthread_mutex_lock(&b->lock);
	stats.sequence = b->stats.sequence + 1;
	b->stats = stats;
	pthread_mutex_unlock(&b->lock);
}

static void return_stats(struct virtio_balloon *b)
{
	if (!b->has_buffer)
		return;
	b->has_buffer = false;
	virtio_push(&b->vdev, STATS, &b->asked, 0);
}

static void stats_run(struct virtio_balloon *b)
{
	struct virtq_request req;

	while (virtio_pop(&b->vdev, STATS, &req, b->iov, ARRAY_SIZE(b->iov)) == 1) {
		/* There is one such buffer (5.5.6.3); who offers more has the first back. */
		return_stats(b);
		read_stats(b, &req);
		b->asked = req;
		b->has_buffer = true;
	}
}

static void on_ask(void *opaque)
{
	struct virtio_balloon *b = opaque;

	if (!b->has_buffer || !virtio_queue_live(&b->vdev, STATS))
		return;
	return_stats(b);
	virtio_signal(&b->vdev, STATS);
}

/* The device */

static bool is_stats(const struct virtio_device *vdev, u16 q)
{
	return q == STATS && virtio_has(vdev, VIRTIO_BALLOON_F_STATS_VQ);
}

static bool balloon_run(struct virtio_device *vdev, u16 q)
{
	struct virtio_balloon *b = to_balloon(vdev);
	struct virtq_request req;

	if (is_stats(vdev, q)) {
		stats_run(b);
		return true;
	}
	while (virtio_pop(vdev, q, &req, b->iov, ARRAY_SIZE(b->iov)) == 1) {
		if (q == INFLATE)
			inflate(b, &req);
		else if (q != DEFLATE && virtio_has(vdev, VIRTIO_BALLOON_F_REPORTING))
			report(b, &req);
		virtio_push(vdev, q, &req, 0);
	}
	return true;
}

static bool balloon_stopped(struct virtio_device *vdev, u16 q)
{
	struct virtio_balloon *b = to_balloon(vdev);

	if (is_stats(vdev, q))
		b->has_buffer = false;
	return true;
}

static bool balloon_held(struct virtio_device *vdev, u16 q)
{
	struct virtio_balloon *b = to_balloon(vdev);

	if (is_stats(vdev, q) && b->has_buffer) {
		b->has_buffer = false;
		virtio_unpop(vdev, q, &b->asked);
	}
	return true;
}

static void put_config(struct virtio_balloon *b, u32 offset, u32 value)
{
	put_le(b->vdev.config + offset, 4, value);
}

static u32 pages(u64 bytes)
{
	return (u32)MIN(bytes >> VIRTIO_BALLOON_PFN_SHIFT, 0xffffffffULL);
}

/* A new driver has handed nothing over. The target stays. */
static void balloon_reset(struct virtio_device *vdev)
{
	struct virtio_balloon *b = to_balloon(vdev);

	put_config(b, CONFIG_ACTUAL, 0);
	put_config(b, CONFIG_POISON, 0);
	pthread_mutex_lock(&b->lock);
	memset(&b->stats, 0, sizeof(b->stats));
	pthread_mutex_unlock(&b->lock);
}

static void balloon_destroy(struct virtio_device *vdev)
{
	struct virtio_balloon *b = to_balloon(vdev);

	if (vdev->vm->balloon == vdev)
		vdev->vm->balloon = NULL;
	pthread_mutex_destroy(&b->lock);
	free(b);
}

static const u8 config_mask[CONFIG_LEN] = {
	[CONFIG_ACTUAL] = 0xff,	    [CONFIG_ACTUAL + 1] = 0xff, [CONFIG_ACTUAL + 2] = 0xff,
	[CONFIG_ACTUAL + 3] = 0xff, [CONFIG_POISON] = 0xff,	[CONFIG_POISON + 1] = 0xff,
	[CONFIG_POISON + 2] = 0xff, [CONFIG_POISON + 3] = 0xff,
};

static const struct virtio_ops balloon_ops = {
	.id = VIRTIO_ID_BALLOON,
	.pci_class = 0x00ff, /* unclassified, other */
	.nr_loops = 1,
	.blocks = true,
	.config_len = CONFIG_LEN,
	.config_mask = config_mask,
	.queue_run = balloon_run,
	.queue_stopped = balloon_stopped,
	.queue_held = balloon_held,
	.reset = balloon_reset,
	.destroy = balloon_destroy,
};

/* With devices of the host's all memory stays (see include/lkvm/memory.h, @pinned): the balloon is
 * there for its statistics. */
int virtio_balloon_new(struct vm *vm, u64 target, struct virtio_device **out)
{
	struct virtio_balloon *b = xcalloc(1, sizeof(*b));
	u64 features = FEATURES;
	int ret;

	if (vm->cfg->nr_vfios)
		features &= ~BIT_ULL(VIRTIO_BALLOON_F_REPORTING);
	pthread_mutex_init(&b->lock, NULL);
	b->ask = (struct event_post){ .fn = on_ask, .opaque = b };
	ret = virtio_init(&b->vdev, vm, &balloon_ops, "virtio-balloon", 0, features, NR_QUEUES,
			  QUEUE_SIZE, NULL);
	if (ret) {
		pthread_mutex_destroy(&b->lock);
		free(b);
		return ret;
	}
	put_config(b, CONFIG_NUM_PAGES, pages(target));
	*out = &b->vdev;
	return 0;
}

int virtio_balloon_create(struct vm *vm, u64 target)
{
	struct virtio_device *vdev;
	int ret;

	ret = virtio_balloon_new(vm, target, &vdev);
	if (ret)
		return ret;
	if (vm->cfg->nr_vfios)
		info("--balloon: gives nothing back to the host, since devices of --vfio may use "
		     "all guest memory");
	ret = virtio_attach_or_destroy(vdev);
	if (!ret)
		vm->balloon = vdev;
	return ret;
}

/* For who controls the machine */

void balloon_set_target(struct virtio_device *balloon, u64 bytes)
{
	__le32 n = cpu_to_le32(pages(bytes));

	virtio_config_set(balloon, CONFIG_NUM_PAGES, &n, sizeof(n));
}

static u64 get_config(struct virtio_device *balloon, u32 offset)
{
	u8 value[4];

	virtio_config_read(balloon, offset, value, sizeof(value));
	return get_le(value, sizeof(value)) << VIRTIO_BALLOON_PFN_SHIFT;
}

u64 balloon_target(struct virtio_device *balloon)
{
	return get_config(balloon, CONFIG_NUM_PAGES);
}

u64 balloon_actual(struct virtio_device *balloon)
{
	return get_config(balloon, CONFIG_ACTUAL);
}

bool balloon_ask_stats(struct virtio_device *balloon)
{
	struct virtio_balloon *b = to_balloon(balloon);
	bool has;

	virtio_lock(balloon);
	has = balloon->active && virtio_has(balloon, VIRTIO_BALLOON_F_STATS_VQ) &&
	      balloon->queues[STATS].vq.enabled;
	virtio_unlock(balloon);
	if (has)
		event_loop_post(balloon->queues[STATS].loop, &b->ask);
	return has;
}

void balloon_get_stats(struct virtio_device *balloon, struct balloon_stats *stats)
{
	struct virtio_balloon *b = to_balloon(balloon);

	pthread_mutex_lock(&b->lock);
	*stats = b->stats;
	pthread_mutex_unlock(&b->lock);
}
