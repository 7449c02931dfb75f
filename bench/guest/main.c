/* SPDX-License-Identifier: MIT */
/*
 * The bench's guest: "disk" or "net", with what else these read of the command line, or "clock".
 *
 * Under lkvm it knows its clock's frequency; where it would have to measure it, on a busy machine,
 * it is told: khz=N, which "clock" says.
 */
#include "bench.h"

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
