/* SPDX-License-Identifier: MIT */
/* The bench's guest: "disk" or "net", with what else these read of the command line. */
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

u64 microseconds_since(u64 start)
{
	return (arch_cycles() - start) * 1000 / arch_cycles_khz();
}

void give_up(const char *why)
{
	print("@failed %s\n", why);
	arch_exit(1);
}

int guest_main(void)
{
	if (!arch_cycles_khz())
		give_up("the clock's frequency is not known");
	if (has_word("disk"))
		measure_disk();
	else
		measure_net();
}
