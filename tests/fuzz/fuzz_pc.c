/* SPDX-License-Identifier: MIT */
/*
 * The small devices of a PC: clock, keyboard controller, ACPI's registers, reset control, pvpanic,
 * debug exit and debug port; ports read and written at every width. The clock of the host is the
 * input's.
 */
#include <time.h>

#include "fuzz_vm.h"

/* The device's source with a clock of ours: real time would make runs differ. */
static struct timespec host_time;
static int fake_clock(clockid_t clock, struct timespec *now)
{
	*now = host_time;
	return 0;
}
#define clock_gettime fake_clock
#include "../../hw/cmos.c"
#undef clock_gettime

#include "../../x86/platform.h"
#include "../../x86/x86.h"

#define MAX_OPS 1024

static struct fz_vm v;

/* Registers, and what lies beside them. */
static const u16 ports[] = { 0x70,  0x71,  0x60,  0x64,	 0x92,	0xf4,  0x505,
			     0x600, 0x601, 0x602, 0x603, 0xf5,	0x5f,  0x5ff,
			     0x604, 0x605, 0x608, 0x60c, 0x60e, 0xcf9, 0x402 };

static void check_event(void)
{
	const struct vm *vm = &v.vm;

	fz_check(vm->stop == VM_STOP_NONE || vm->stop == VM_STOP_POWEROFF ||
		 vm->stop == VM_STOP_RESET || vm->stop == VM_STOP_PANIC ||
		 vm->stop == VM_STOP_DEBUG_EXIT);
	fz_check(vm->stop != VM_STOP_DEBUG_EXIT ||
		 (vm->stop_status >= 0 && vm->stop_status <= 255));
}

static void step(struct fz *f)
{
	u8 op = fz_u8(f);
	u16 port = ports[(op >> 2) % ARRAY_SIZE(ports)];
	u32 len = op & 0x80 ? fz_width(f) : 1;

	switch (op & 3) {
	case 0:
		fz_read(&v.vm.pio, port, len);
		break;
	case 1:
		fz_write(&v.vm.pio, port, len, fz_le(f, len));
		break;
	case 2:
		/* Index and data of the clock at once, as its driver does. */
		fz_write(&v.vm.pio, 0x70, 1, fz_u8(f));
		if (op & 0x40)
			fz_write(&v.vm.pio, 0x71, 1, fz_u8(f));
		else
			fz_read(&v.vm.pio, 0x71, 1);
		break;
	case 3:
		if (op & 0x40) {
			host_time.tv_nsec = fz_u32(f) % NSEC;
			/* Up to 2106: in 2262 nanoseconds leave their 63 bits. */
			host_time.tv_sec = (u32)(host_time.tv_sec + fz_u32(f));
		} else if (op & 0x20) {
			vm_reset_devices(&v.vm);
		} else if (op & 0x10) {
			vm_clear_stop(&v.vm, v.vm.stop);
		} else {
			fz_check(!arch_power_button(&v.vm));
		}
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);
	struct arch_vm arch = { 0 };

	host_time = (struct timespec){ .tv_sec = (time_t)fz_u32(&f) };
	fz_vm_init(&v);
	fz_vm_add_ram(&v);
	v.vm.arch = &arch;
	fz_check(!cmos_rtc_create(&v.vm));
	fz_check(!i8042_create(&v.vm));
	fz_check(!x86_pm_create(&v.vm, &arch.pm));
	v.cfg.x86.host_bridge =
		host_time.tv_sec & 1 ? X86_BRIDGE_CLOUD_HYPERVISOR : X86_BRIDGE_GENERIC;
	fz_check(!x86_pm1_create(&v.vm));
	fz_check(!reset_control_create(&v.vm));
	fz_check(!debug_port_create(&v.vm, X86_PORT_DEBUG));
	fz_check(!pvpanic_create(&v.vm, &arch_platform.pvpanic));
	fz_check(!debug_exit_create(&v.vm, &arch_platform.debug_exit));
	for (int i = 0; i < MAX_OPS && fz_more(&f); i++) {
		step(&f);
		check_event();
	}
	fz_vm_destroy(&v);
	return 0;
}
