/* SPDX-License-Identifier: MIT */
/*
 * The interval timer of the split irqchip and port 0x61: registers at every width, pauses, resets,
 * states that no guest makes. The time is the input's, and so is when the main loop comes.
 */
#include "fuzz_vm.h"
#include "lkvm/state.h"
#include "lkvm/util.h"

/* The device's source with a clock and a timer of ours. */
static u64 fake_now, wait_ns;
static u64 fake_now_ns(void)
{
	return fake_now;
}

static void fake_timer_set(struct event_timer *t, u64 ns)
{
	wait_ns = ns;
}
#define now_ns		fake_now_ns
#define event_timer_set fake_timer_set
#include "../../x86/pit.c"
#undef now_ns
#undef event_timer_set

#define MAX_OPS 1024

static struct fz_vm v;

static const u16 all_ports[] = { 0x40, 0x41, 0x42, 0x43, 0x61, 0x42, 0x43, 0x40 };

/* What a load takes, while the VM is paused. */
static void load(struct x86_pit *pit, struct fz *f)
{
	for (u32 i = 0; i < COUNTERS; i++) {
		struct counter *c = &pit->counters[i];
		u8 flags = fz_u8(f);

		c->control = fz_u8(f) & STATUS_CONTROL;
		c->loaded = flags & BIT(0);
		c->gate = flags & BIT(1);
		c->latched = flags & BIT(2);
		c->initial = fz_u32(f);
		c->start_ns = fz_le(f, 8);
		c->held_ns = fz_le(f, 8);
	}
	pit->one_shot = fz_u8(f) & 1;
	pit->clock.elapsed_ns = fz_le(f, 8);
	fz_check(!pit_load(pit));
}

static void turn_loop(struct x86_pit *pit)
{
	wait_ns = 0;
	on_timer(pit);
	/* No guest keeps the main loop busy, and nothing runs in a pause. */
	fz_check(!wait_ns || !is_periodic(&pit->counters[0]) || wait_ns >= MIN_PERIOD_NS);
	fz_check(!wait_ns || !pit->clock.stopped);
}

static void step(struct x86_pit *pit, struct fz *f)
{
	u8 op = fz_u8(f);
	u16 port = all_ports[(op >> 2) % ARRAY_SIZE(all_ports)];
	u32 len = op & 0x80 ? fz_width(f) : 1;

	switch (op & 3) {
	case 0:
		fz_read(&v.vm.pio, port, len);
		break;
	case 1:
		fz_write(&v.vm.pio, port, len, fz_le(f, len));
		break;
	case 2:
		fake_now += op & 0x40 ? fz_le(f, 8) : fz_u32(f) & 0xffffff;
		break;
	case 3:
		if (op & 0x40) {
			vm_reset_devices(&v.vm);
		} else if (op & 0x20) {
			vm_quiesce_devices(&v.vm);
			if (op & 0x10)
				load(pit, f);
		} else if (op & 0x10) {
			vm_resume_devices(&v.vm);
		} else {
			turn_loop(pit);
		}
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);
	struct x86_pit *pit;

	fake_now = fz_u32(&f);
	fz_vm_init(&v);
	fz_check(!x86_pit_create(&v.vm));
	pit = container_of(v.vm.devices, struct x86_pit, dev);
	for (int i = 0; i < MAX_OPS && fz_more(&f); i++)
		step(pit, &f);
	fz_vm_destroy(&v);
	return 0;
}
