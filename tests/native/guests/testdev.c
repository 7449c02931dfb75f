/* SPDX-License-Identifier: MIT */
/*
 * A machine with --testdev, used as KVM's unit tests use it; a line for each part. Words: pic (the
 * 8259s, which nobody sets up), reboot (before that), bare (without --testdev: what is asked
 * there), storm (all CPUs use all of it at once, by the rules and against them), flushes=N (of a
 * page that is then written), wait (for ever), exit=N.
 */
#include "x86.h"

#define FW_CFG	   0x510
#define SCRATCH	   0xe0
#define FLUSH	   0xe4
#define BYTES	   0xe8
#define LINES	   0x2000
#define MEMORY	   0xff000000ULL
#define MEMORY_LEN 0x10000

#define RTE_LEVEL  (1u << 15)
#define RTE_MASKED (1u << 16)
#define PIN	   0x0e
#define VECTOR	   0x36
#define VECTOR_LOW 0x26
#define LAPIC_ISR  0x100

static u32 wrong;

static void check(const char *what, bool good)
{
	if (!good) {
		print("%s: wrong\n", what);
		wrong++;
	}
}

static u64 cfg_item(u16 key, u32 bytes)
{
	u64 value = 0;

	outw(FW_CFG, key);
	for (u32 i = 0; i < bytes; i++)
		value |= (u64)inb(FW_CFG + 1) << 8 * i;
	return value;
}

static void test_cfg(void)
{
	print("cpus %lu of %lu, ram %lu MiB\n", cfg_item(5, 2), cfg_item(15, 2),
	      cfg_item(3, 8) >> 20);
	check("an item and what follows", cfg_item(5, 8) == arch_nr_cpus());
	check("no item", !cfg_item(0, 4) && !cfg_item(0x19, 4) && !cfg_item(0xffff, 8));
}

static void repeat(bool out, const char *p, u32 count, bool down)
{
	if (down)
		__asm__ volatile("std" : : : "memory");
	if (out)
		__asm__ volatile("rep outsb" : "+S"(p), "+c"(count) : "d"(SCRATCH) : "memory");
	else
		__asm__ volatile("rep insb" : "+D"(p), "+c"(count) : "d"(SCRATCH) : "memory");
	__asm__ volatile("cld" : : : "memory");
}

static void test_scratch(void)
{
	static char text[] = "abcdefgh", back[9];

	outl(SCRATCH, 0x87654321);
	check("4 bytes", inl(SCRATCH) == 0x87654321 && inl(BYTES) == 0x87654321);
	outw(SCRATCH + 1, 0xbeef);
	check("2 bytes inside", inl(SCRATCH) == 0x87beef21 && inw(SCRATCH + 2) == 0x87be);
	outb(BYTES + 3, 0x5a);
	check("1 byte", inb(SCRATCH + 3) == 0x5a && inl(SCRATCH) == 0x5abeef21);
	outl(SCRATCH + 2, 0);
	check("over the end", inl(SCRATCH) == 0x5abeef21 && inl(SCRATCH + 2) == 0xffffffff);
	repeat(true, text, 8, false);
	check("rep outsb up", inb(SCRATCH) == 'h');
	repeat(true, text + 7, 8, true);
	check("rep outsb down", inb(SCRATCH) == 'a');
	repeat(false, back, 8, false);
	check("rep insb", !memcmp(back, "aaaaaaaa", 9));
}

static void test_memory(void)
{
	write32(MEMORY, 0x12345678);
	write8(MEMORY + 3, 0x9a);
	check("memory", read32(MEMORY) == 0x9a345678 && read16(MEMORY + 2) == 0x9a34);
	write64(MEMORY + MEMORY_LEN - 8, 0x1122334455667788ULL);
	check("its end", read64(MEMORY + MEMORY_LEN - 8) == 0x1122334455667788ULL);
	/* KVM cuts what crosses a page in two. */
	*(volatile u64 *)(MEMORY + 0xffd) = 0x0102030405060708ULL;
	check("across pages", *(volatile u64 *)(MEMORY + 0xffd) == 0x0102030405060708ULL &&
				      read32(MEMORY + 0x1000) == 0x02030405);
	check("behind it", read32(MEMORY + MEMORY_LEN) == 0xffffffff);
}

static volatile u32 hits, low_hits, low_after;

static void line(u32 pin, u8 level)
{
	outb((u16)(LINES + pin), level);
}

static void edge(u32 pin)
{
	line(pin, 1);
	line(pin, 0);
}

/*
 * While its handler runs an interrupt is in service (Intel SDM volume 3, 11.8.4): a hypervisor
 * whose local APIC does not show that may raise a level-triggered one again.
 */
static bool exact;

static void on_edge(void)
{
	hits++;
	exact = lapic_read(LAPIC_ISR + VECTOR / 32 * 0x10) >> VECTOR % 32 & 1;
}

static void on_level(void)
{
	hits++;
	line(PIN, 0);
}

static void on_level_twice(void)
{
	if (++hits == 2)
		line(PIN, 0);
}

static void on_low(void)
{
	low_hits++;
	low_after = hits;
}

/* Until the pin of the lower vector has interrupted: whatever was pending above it came before. */
static void settle(void)
{
	u32 before = low_hits;

	edge(PIN + 1);
	while (low_hits == before)
		arch_wait();
}

/* How often PIN interrupts when it is set to @first; edges are two writes. */
static u32 expect(void (*handler)(void), u32 flags, u8 first)
{
	hits = 0;
	arch_set_handler(VECTOR, handler);
	ioapic_route(PIN, VECTOR, flags);
	line(PIN, first);
	if (!(flags & RTE_LEVEL))
		line(PIN, 0);
	settle();
	return hits;
}

static bool level_hits(u32 n)
{
	return exact ? hits == n : hits >= n;
}

static void test_lines(void)
{
	lapic_enable();
	arch_set_handler(VECTOR_LOW, on_low);
	ioapic_route(PIN + 1, VECTOR_LOW, 0);
	check("edge", expect(on_edge, 0, 1) == 1);
	check("masked edge", expect(on_edge, RTE_MASKED, 1) == 0);
	check("level", expect(on_level, RTE_LEVEL, 1) && level_hits(1));
	check("level, any value but 0", expect(on_level, RTE_LEVEL, 0x80) && level_hits(1));
	check("level without rise", expect(on_level, RTE_LEVEL, 0) == 0);
	check("level that stays", expect(on_level_twice, RTE_LEVEL, 1) && level_hits(2));
	check("masked level", expect(on_level, RTE_LEVEL | RTE_MASKED, 1) == 0);
	ioapic_route(PIN, VECTOR, RTE_LEVEL);
	settle();
	check("unmasked level", level_hits(1));
	/* Two at once: the higher vector first. */
	hits = low_after = 0;
	arch_set_handler(VECTOR, on_edge);
	ioapic_route(PIN, VECTOR, 0);
	edge(PIN + 1);
	edge(PIN);
	while (!hits || !low_after)
		arch_wait();
	check("two edges", hits == 1 && low_after == 1);
	print("levels: %s\n", exact ? "counted" : "at least once");
	/* No pins: beyond the last, and more than a byte. */
	outb(LINES + 24, 1);
	outw(LINES + PIN, 0x0101);
	settle();
	check("no pins", inb(LINES) == 0xff && hits == 1);
	arch_mask_irq(PIN);
	arch_mask_irq(PIN + 1);
}

static u32 page[1024] __attribute__((aligned(4096)));

static void flush(const volatile void *p)
{
	outl(FLUSH, (u32)(u64)p);
}

/* What an interrupt needs at its delivery is flushed right before: page tables, IDT, the stack. */
static void test_flush(void)
{
	struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) idtr;
	u32 here, before = hits;

	for (u32 i = 0; i < 1024; i++)
		page[i] = i * 0x01000193;
	flush(page);
	for (u32 i = 0; i < 1024; i++)
		check("flushed page", page[i] == i * 0x01000193);
	__asm__ volatile("sidt %0" : "=m"(idtr));
	arch_set_handler(VECTOR, on_edge);
	for (u32 i = 0; i < 10; i++) {
		flush((const void *)idtr.base);
		flush(&here);
		flush(&hits);
		send_ipi(lapic_id(), VECTOR);
		while (hits == before + i)
			arch_wait();
	}
	check("interrupts through flushed pages", hits == before + 10);
	/* Where no RAM is nothing happens; nor by half an address. */
	outl(FLUSH, 0xfffff000);
	outl(FLUSH, (u32)MEMORY);
	outl(FLUSH, 0xe0000000);
	outw(FLUSH, 0x1000);
	outb(FLUSH + 3, 1);
	check("no register", inl(FLUSH) == 0xffffffff);
}

/* Vector 0x70 and 3: where a BIOS leads input 11. */
#define PIC_VECTOR 0x73
extern char on_pic[];
u32 pic_hits;
__asm__(".globl on_pic\n"
	"on_pic: incl pic_hits\n"
	"pushq %rax\n"
	"movb $0x20, %al\n"
	"outb %al, $0xa0\n"
	"outb %al, $0x20\n"
	"popq %rax\n"
	"iretq\n");

static void test_pic(void)
{
	static struct {
		u16 offset0, selector;
		u8 ist, type;
		u16 offset1;
		u32 offset2, zero;
	} idt[PIC_VECTOR + 1];
	const struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) idtr = { sizeof(idt) - 1, (u64)idt };
	u64 at = (u64)on_pic;

	/* Nothing but that vector has a gate: any other is the guest's end. */
	idt[PIC_VECTOR].offset0 = (u16)at;
	idt[PIC_VECTOR].selector = SEL_CODE64;
	idt[PIC_VECTOR].type = 0x8e;
	idt[PIC_VECTOR].offset1 = (u16)(at >> 16);
	idt[PIC_VECTOR].offset2 = (u32)(at >> 32);
	__asm__ volatile("lidt %0" : : "m"(idtr));
	for (u32 i = 0; i < 3; i++) {
		edge(11);
		while (*(volatile u32 *)&pic_hits == i)
			arch_wait();
	}
	print("pic: %u by vector 0x73, masks %x %x\n", pic_hits, inb(0x21), inb(0xa1));
}

static u32 done;

static void storm(u32 index)
{
	u64 x = 0x9e3779b97f4a7c15ULL * (index + 1);

	for (u32 i = 0; i < 3000; i++) {
		u16 port;
		u32 value;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		value = (u32)(x >> 32);
		port = x & 1 ? (u16)(SCRATCH + (x >> 8) % 13) : (u16)(LINES - 1 + (x >> 8) % 27);
		if ((x & 6) == 6)
			port = (u16)(FW_CFG - 1 + (x >> 8) % 4);
		/* Also that of this code, its stack and what other CPUs run on. */
		if ((x & 0x18) == 0x18)
			outl(FLUSH, (x & 0x20) ? value : (u32)(u64)&x + (value & 0x1ff) * 0x1000);
		else if (x & 0x40)
			arch_port_write(port, 1u << (x >> 40) % 3, value);
		else
			arch_port_read(port, 1u << (x >> 40) % 3);
		write32(MEMORY + (value & 0x1fffc), value);
	}
	atomic_add(&done, 1);
}

static void test_storm(void)
{
	u32 others;

	lapic_enable();
	for (u32 pin = 0; pin < 24; pin++)
		ioapic_route(pin, VECTOR, RTE_MASKED);
	others = arch_start_cpus(storm);
	storm(0);
	while (atomic_read(&done) < others + 1)
		arch_pause();
	print("storm: %u cpus\n", atomic_read(&done));
}

/* What a reboot leaves alone, RAM excepted: the clock's bytes (CMOS). */
#define REBOOTED 0x40

static bool is_rebooted(void)
{
	outb(0x70, REBOOTED);
	return inb(0x71) == 0x5a;
}

/* Dirty what a reset must clean. */
static void reboot(void)
{
	outb(0x71, 0x5a);
	outl(SCRATCH, 0x1234);
	line(PIN, 1);
	outb(0x21, 0xff);
	outb(0xa1, 0xff);
	outb(0x64, 0xfe);
	for (;;)
		arch_pause();
}

int guest_main(void)
{
	if (has_word("bare")) {
		u64 items = cfg_item(0, 8) & cfg_item(5, 8) & cfg_item(3, 8);

		print("bare: %s\n", items + 1 ? "something" : "all ones");
		return 0;
	}
	if (has_word("reboot")) {
		if (!is_rebooted())
			reboot();
		print("after a reboot: scratch %x, ", inl(SCRATCH));
	}
	if (has_word("pic")) {
		test_pic();
		return 0;
	}
	for (u64 n = word_value("flushes", 0); n; n--) {
		flush(page);
		(*(volatile u32 *)page)++;
	}
	if (has_word("wait")) {
		print("waiting\n");
		for (;;)
			arch_pause();
	}
	if (has_word("storm")) {
		test_storm();
		return 0;
	}
	test_cfg();
	test_scratch();
	test_memory();
	test_lines();
	test_flush();
	print("testdev: %u wrong\n", wrong);
	return wrong ? 1 : (int)word_value("exit", 0);
}
