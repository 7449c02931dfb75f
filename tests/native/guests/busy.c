/* SPDX-License-Identifier: MIT */
/*
 * Never idle: every other CPU counts, timers interrupt, a disk and a network card (words disk and
 * net) are driven. In each of rounds=N the guest offers requests, says "round N", and goes on only
 * when everything moved. With the word "kick" somebody else has to notify the disk and to send a
 * packet in each round, and no device has anything to do when it says "ready N", before it offers
 * the request: both that and a receive buffer wait at "round N". With the word
 * "deadline" timers are those that wait for a value of the clock, where the CPU has them.
 */
#include "virtio.h"
#ifdef __x86_64__
#include "x86.h"
#endif

#define TIMER_VECTOR 0x21
#define PIT_VECTOR   0x22
/* Intel SDM volume 3, 11.5.4 and 11.5.4.1 */
#define LVTT_PERIODIC	 (1 << 17)
#define LVTT_DEADLINE	 (2 << 17)
#define MSR_TSC_DEADLINE 0x6e0
#define TICK		 5000000
#define FAR_OFF		 (1ULL << 43) /* the better part of an hour; KVM multiplies it by a million */
#define HDR		 12

static u32 beats, quit;
static volatile u32 timers, pits;
static struct virtio disk, net;
static struct {
	u32 type, ioprio;
	u64 sector;
} request;
static u32 out[128], in[128];
static volatile u8 status;
static u8 tx[HDR + 64], rx[HDR + 1514];

#ifdef __x86_64__
static bool has_deadline(void)
{
	u32 r[4];

	cpuid(1, r);
	return has_word("deadline") && (r[2] >> 24 & 1);
}

static void arm_deadline(u64 cycles)
{
	u32 low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	wrmsr(MSR_TSC_DEADLINE, (low | (u64)high << 32) + cycles);
}

static void deadline_mode(void)
{
	lapic_write(LAPIC_LVTT, TIMER_VECTOR | LVTT_DEADLINE);
	__asm__ volatile("mfence" : : : "memory"); /* 11.5.4.1: before the MSR */
}

static void on_timer(void)
{
	timers++;
	if (has_deadline())
		arm_deadline(TICK);
}

/* One that is always armed, whenever somebody looks. */
static void start_far_timer(void)
{
	if (!has_deadline())
		return;
	deadline_mode();
	arm_deadline(FAR_OFF);
}

static void on_pit(void)
{
	pits++;
}

static void start_timers(void)
{
	lapic_enable();
	arch_set_handler(TIMER_VECTOR, on_timer);
	if (has_deadline()) {
		deadline_mode();
		arm_deadline(TICK);
	} else {
		lapic_write(LAPIC_TDCR, 0xb); /* divide by 1 */
		lapic_write(LAPIC_LVTT, TIMER_VECTOR | LVTT_PERIODIC);
		lapic_write(LAPIC_TMICT, TICK);
	}
	if (!has_word("pit"))
		return;
	arch_set_handler(PIT_VECTOR, on_pit);
	ioapic_route(0, PIT_VECTOR, 0);
	outb(0x43, 0x34); /* channel 0, mode 2 */
	outb(0x40, 0x00);
	outb(0x40, 0x40); /* 14 ms */
}

static void wait_for_timers(void)
{
	u32 before = timers, pit = pits;

	while (timers == before || (has_word("pit") && pits == pit))
		arch_wait();
}
#else
static void start_far_timer(void) {}
static void start_timers(void) {}
static void wait_for_timers(void) {}
#endif

static void count(u32 index)
{
	start_far_timer();
	while (!atomic_read(&quit))
		atomic_add(&beats, 1);
}

static bool open_disk(void)
{
	return virtio_open(&disk, VIRTIO_BLK, 0) && virtio_negotiate(&disk, 0) &&
	       virtio_queue(&disk, 0, false);
}

static void offer_receive(void)
{
	vq_add(&net, 0, &(struct vq_buf){ rx, sizeof(rx), true }, 1);
	vq_kick(&net, 0);
}

static bool open_net(void)
{
	bool ok = virtio_open(&net, VIRTIO_NET, 0);

	net.ring = 1;
	ok = ok && virtio_negotiate(&net, 0) && virtio_queue(&net, 0, false) &&
	     virtio_queue(&net, 1, false);
	if (ok) {
		virtio_driver_ok(&net);
		offer_receive();
	}
	return ok;
}

static void offer_disk(u32 type, u32 *data)
{
	struct vq_buf bufs[3] = { { &request, 16, false },
				  { data, sizeof(out), !type },
				  { &status, 1, true } };

	request.type = type;
	request.sector = 3;
	status = 0xee;
	vq_add(&disk, 0, bufs, 3);
}

static bool await(struct virtio *v, u32 q)
{
	while (vq_used(v, q, NULL) < 0)
		arch_pause();
	return true;
}

/* The write is offered before the round is told, the read after it. */
static bool end_disk(void)
{
	if (!has_word("kick"))
		vq_notify(&disk, 0);
	await(&disk, 0);
	offer_disk(0, in);
	vq_notify(&disk, 0);
	await(&disk, 0);
	return !status && !memcmp(in, out, sizeof(in));
}

/* What comes back first may be somebody else's, of which there is one in each round ("kick"). */
static bool end_net(u32 n)
{
	memset(tx, 0, sizeof(tx));
	memset(tx + HDR, 0x5a, 14);
	tx[HDR + 14] = (u8)n;
	vq_add(&net, 1, &(struct vq_buf){ tx, sizeof(tx), false }, 1);
	vq_notify(&net, 1);
	await(&net, 1);
	for (bool mine = false, other = !has_word("kick"); !mine || !other;) {
		await(&net, 0);
		if (rx[HDR] == 0x5a && rx[HDR + 14] == (u8)n)
			mine = true;
		else
			other = true;
		offer_receive();
	}
	return true;
}

static bool play(u32 n, bool with_disk, bool with_net)
{
	u32 before;

	for (u32 i = 0; i < ARRAY_SIZE(out); i++)
		out[i] = n * 1000 + i;
	if (has_word("kick"))
		print("ready %u\n", n);
	if (with_disk)
		offer_disk(1, out);
	before = atomic_read(&beats);
	print("round %u\n", n);
	wait_for_timers();
	while (arch_nr_cpus() > 1 && atomic_read(&beats) == before)
		arch_pause();
	return (!with_disk || end_disk()) && (!with_net || end_net(n));
}

int guest_main(void)
{
	bool with_disk = has_word("disk"), with_net = has_word("net");
	u32 rounds = (u32)word_value("rounds", 10);

	if ((with_disk && !open_disk()) || (with_net && !open_net())) {
		print("a device is missing\n");
		return 1;
	}
	if (with_disk)
		virtio_driver_ok(&disk);
	start_timers();
	arch_start_cpus(count);
	for (u32 n = 0; n < rounds; n++) {
		if (!play(n, with_disk, with_net)) {
			print("round %u failed\n", n);
			return 1;
		}
	}
	atomic_add(&quit, 1);
	print("done\n");
	return 0;
}
