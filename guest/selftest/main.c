/* SPDX-License-Identifier: MIT */
/*
 * The built-in guest's story. Words of its command line: "exits" measures, "probe" tries a
 * hypercall; otherwise it checks the machine, reboots, and is told of that by "boot=2".
 */
#include "selftest.h"

static void end(void (*leave)(void), const char *how)
{
	const u64 start = arch_cycles();

	leave();
	while (!arch_hangs(start))
		arch_pause();
	print("not ok - the %s does nothing\n", how);
	arch_exit(1);
}

static void first_boot(void)
{
	u32 n = run_checks(machine_checks, nr_machine_checks);

	n += run_checks(arch_checks, arch_nr_checks);
	n += check_timers();
	n += run_checks(cpu_checks, nr_cpu_checks);
	n += run_checks(virtio_checks, nr_virtio_checks);
	print("@points %u\n", n);
	end(arch_reset, "reboot");
}

static void second_boot(void)
{
	static const struct check check = { "virtio-blk: what was written is there after a reboot",
					    check_disk_survives };

	print("@points %u\n", run_checks(&check, 1));
	end(arch_power_off, "power-off");
}

int guest_main(void)
{
	if (has_word("probe"))
		probe_hypercall();
	else if (has_word("exits"))
		measure_exits();
	else if (word_value("boot", 1) == 1)
		first_boot();
	else
		second_boot();
	return 0;
}
