/* SPDX-License-Identifier: MIT */
/*
 * Every way to end, chosen by a word of the command line: poweroff, reset, vector (reset), kbd
 * (reset), cf9 (reset), triple, panic, ud (an exception that is caught), int3, hang, halt, idle;
 * exit=N otherwise. ask: keys choose, f: write to every page before that. write=7: a status, mark:
 * a boot mark before that.
 */
#include "x86.h"

/* Among the stacks of CPUs that are not there, in another 2 MiB than the rest of the image. */
#define UNUSED_STACK 0x300000

/* ACPI 6.5, 5.2.9: generic address structures in the FADT. */
static u16 fadt_port(u32 offset)
{
	const u8 *fadt = acpi_find("FACP");

	if (!fadt || fadt[offset] != 1)
		return 0;
	return *(const u16 *)(fadt + offset + 4);
}

/* The SLP_TYP of \_S5 in the DSDT: Name (_S5, Package () {type, ...}). */
static u8 s5_type(void)
{
	const u8 *fadt = acpi_find("FACP"), *p, *end;

	p = (const u8 *)*(const u64 *)(fadt + 140);
	end = p + *(const u32 *)(p + 4);
	for (; p + 10 < end; p++)
		if (!memcmp(p, "_S5_\x12", 5))
			return p[7] == 0x0a ? p[8] : p[7]; /* BytePrefix, or ZeroOp, OneOp */
	return 0xff;
}

static void power_off(void)
{
	u16 port = fadt_port(244);
	u8 type = s5_type();

	print("sleep control at port %x, S5 is type %x\n", port, type);
	if (port)
		outb(port, (u8)(1 << 5 | type << 2));
}

static void reset(void)
{
	const u8 *fadt = acpi_find("FACP");

	print("reset register at port %x, value %x\n", fadt_port(116), fadt[128]);
	outb(fadt_port(116), fadt[128]);
}

/* A jump to the PC's reset vector in real mode, by the second CPU: it starts in that mode. */
static void reset_vector(void)
{
	static const u8 ljmp[] = { 0xea, 0xf0, 0xff, 0x00, 0xf0 }; /* ljmp $0xf000, $0xfff0 */

	memcpy((void *)AP_START, ljmp, sizeof(ljmp));
	lapic_enable();
	send_ipi(1, 0x4500);
	send_ipi(1, 0x4600 | AP_START >> 12);
}

static void triple_fault(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) idtr = { 0, 0 };

	__asm__ volatile("lidt %0; ud2" : : "m"(idtr));
}

static bool woken;

static void wake(void)
{
	woken = true;
}

/* Three seconds with interrupts on, but no CPU time; the local APIC's clock has 1 GHz in KVM. */
static void sleep_and_exit(void)
{
	arch_set_handler(0x30, wake);
	lapic_enable();
	lapic_write(LAPIC_TDCR, 0xb); /* undivided */
	lapic_write(LAPIC_LVTT, 0x30);
	lapic_write(LAPIC_TMICT, 3000000000);
	while (!woken)
		arch_wait();
	arch_exit(7);
}

static void act(const char *word)
{
	switch (word[0] | word[1] << 8) {
	case 'p' | 'o' << 8:
		power_off();
		break;
	case 'r' | 'e' << 8:
		reset();
		break;
	case 'v' | 'e' << 8:
		reset_vector();
		break;
	case 'k' | 'b' << 8:
		outb(0x64, 0xfe);
		break;
	case 'c' | 'f' << 8:
		outb(0xcf9, 2);
		outb(0xcf9, 6);
		break;
	case 't' | 'r' << 8:
		triple_fault();
		break;
	case 'p' | 'a' << 8:
		outb(PVPANIC, 1);
		break;
	case 'u' | 'd' << 8:
		__asm__ volatile("ud2");
		break;
	case 'i' | 'n' << 8:
		__asm__ volatile("int3");
		break;
	case 'h' | 'a' << 8:
		for (;;)
			__asm__ volatile("cli; hlt");
	case 'i' | 'd' << 8:
		sleep_and_exit();
		break;
	case 'h' | 'n' << 8:
		for (;;)
			arch_pause();
	}
}

static void fill(void)
{
	for (u32 i = 0; i < boot.nr_ranges; i++) {
		const struct guest_range *r = &boot.map[i];

		for (u64 p = r->base; r->type == GUEST_RAM && p < r->base + r->size; p += 4096)
			if (p >= boot.keep_end)
				*(volatile u64 *)p = p;
	}
	print("filled\n");
}

static void ask(void)
{
	int c;

	for (;;) {
		c = arch_getc();
		if (c == 'r')
			reset();
		else if (c == 'f')
			fill();
		else if (c == 'k')
			act("kb");
		else if (c == 'p')
			power_off();
		else if (c == 'q')
			arch_exit(42);
		arch_pause();
	}
}

/* Tries to choose a status, and goes on where it cannot. */
static void write_status(void)
{
	outb(DEBUG_EXIT, (u8)word_value("write", 0));
	print("no debug exit\n");
}

int guest_main(void)
{
	static const char *const words[] = { "poweroff", "reset",  "vector", "kbd",
					     "cf9",	 "triple", "panic",  "ud",
					     "int3",	 "hang",   "halt",   "idle" };

	if (has_word("ask"))
		*(volatile u8 *)UNUSED_STACK = 1;
	print("boot\n");
	if (has_word("mark"))
		outb(BOOT_MARK, 7);
	if (has_word("write=7"))
		write_status();
	if (has_word("ask"))
		ask();
	for (u32 i = 0; i < ARRAY_SIZE(words); i++) {
		if (!has_word(words[i]))
			continue;
		act(has_word("hang") ? "hn" : words[i]);
		print("still here\n");
		for (;;)
			arch_pause();
	}
	return (int)word_value("exit", 0);
}
