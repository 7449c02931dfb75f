/* SPDX-License-Identifier: MIT */
/*
 * The flag PVCLOCK_GUEST_STOPPED of kvmclock (Linux Documentation/virt/kvm/x86/msr.rst,
 * MSR_KVM_SYSTEM_TIME_NEW): "told" whenever it is seen, which clears it. exits: wait with an access
 * of the serial port in each round, which ends on the host. A key ends it.
 */
#include "x86.h"

#define KVM_FEATURES	 0x40000001
#define FEATURE_CLOCK	 (1 << 3)
#define MSR_SYSTEM_TIME	 0x4b564d01
#define PVCLOCK_STOPPED	 2
#define COM1_LINE_STATUS 0x3fd

static volatile struct {
	u32 version, pad;
	u64 tsc, system_time;
	u32 mul;
	signed char shift;
	u8 flags, pad2[2];
} clock __attribute__((aligned(64)));

static u32 features(void)
{
	u32 a = KVM_FEATURES, b, c = 0, d;

	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return a;
}

int guest_main(void)
{
	u64 at = (u64)(uintptr_t)&clock | 1;
	bool exits = has_word("exits");

	if (!(features() & FEATURE_CLOCK)) {
		print("no clock\n");
		return 0;
	}
	__asm__ volatile("wrmsr" : : "c"(MSR_SYSTEM_TIME), "a"((u32)at), "d"((u32)(at >> 32)));
	print("ready\n");
	for (;;) {
		if (clock.flags & PVCLOCK_STOPPED) {
			clock.flags &= (u8)~PVCLOCK_STOPPED;
			print("told\n");
		}
		for (u32 i = 0; i < 5000; i++)
			if (exits)
				inb(COM1_LINE_STATUS);
			else
				arch_pause();
		if (arch_getc() >= 0)
			return 7;
	}
}
