/* SPDX-License-Identifier: MIT */
/*
 * The bench's guest: "disk" or "net", with what else these read of the command line, or "clock".
 *
 * Under lkvm it knows its clock's frequency; where it would have to measure it, on a busy machine,
 * it is told: khz=N, which "clock" says. "stay": what is measured begins some time after "@go", and
 * the guest waits to be ended.
 */
#include "bench.h"

#define PAUSE_US 50000 /* for somebody who reads "@go" and then some files */

volatile u32 interrupts;
static struct virtio *interrupting;

static void on_interrupt(void)
{
	if (!interrupting->line || virtio_ack(interrupting))
		interrupts++;
}

void count_interrupts(struct virtio *device)
{
	interrupting = device;
	for (u32 q = 0; q < VQ_MAX; q++)
		arch_set_handler(VQ_VECTOR + q, on_interrupt);
}

static u64 clock_khz(void)
{
	u64 khz = word_value("khz", 0);

	return khz ? khz : arch_cycles_khz();
}

u64 microseconds_since(u64 start)
{
	return (arch_cycles() - start) * 1000 / clock_khz();
}

static void on_timer(void) {}

void begin_measure(void)
{
	const struct arch_timer *timer = arch_timers;
	u64 start = arch_cycles();

	if (!has_word("stay"))
		return;
	while (timer->missing && timer->missing() && timer < &arch_timers[arch_nr_timers - 1])
		timer++;
	arch_set_handler(TIMER_VECTOR, on_timer);
	print("@go\n");
	/* Asleep: of a CPU that runs, the host's kernel knows only later what it took. */
	while (microseconds_since(start) < PAUSE_US) {
		timer->arm(1000000);
		arch_wait();
	}
	timer->disarm();
}

void end_measure(void)
{
	while (has_word("stay"))
		arch_wait();
	arch_exit(0);
}

void give_up(const char *why)
{
	print("@failed %s\n", why);
	arch_exit(1);
}

int guest_main(void)
{
	if (!clock_khz())
		give_up("the clock's frequency is not known");
	if (has_word("clock")) {
		print("@clock %lu\n", clock_khz());
		return 0;
	}
	if (has_word("disk"))
		measure_disk();
	else
		measure_net();
}
