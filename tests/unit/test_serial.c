/* SPDX-License-Identifier: MIT */
/* The 16550A: Linux's probes, interrupts, FIFOs, loopback, input and output. */
#include "devvm.h"

#include <stdlib.h>

#include "lkvm/console.h"
#include "lkvm/hw.h"

#define PORT 0x3f8
#define IRQ  4

enum { RBR = 0, THR = 0, IER = 1, IIR = 2, FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };
enum { RDI = 1, THRI = 2, RLSI = 4, MSI = 8 };
enum { DR = 1, OE = 2, BI = 0x10, THRE = 0x20, TEMT = 0x40 };
enum { RTS = 2, OUT1 = 4, OUT2 = 8, LOOP = 0x10 };

static struct devvm d;

/* A console that notes what happens to it. */
static struct {
	struct console con;
	struct console_client client;
	bool connected;
	char out[8192];
	size_t len;
	u32 readies;
} fake;

static void fake_write(struct console *con, const u8 *buf, size_t len)
{
	assert_true(fake.len + len <= sizeof(fake.out));
	memcpy(fake.out + fake.len, buf, len);
	fake.len += len;
	/* The device must not hold its lock: a slow console would block the main loop. */
	fake.client.room(fake.client.opaque);
}

static void fake_set_client(struct console *con, const struct console_client *client)
{
	fake.connected = client;
	if (client)
		fake.client = *client;
}

static void fake_input_ready(struct console *con)
{
	fake.readies++;
	fake.client.room(fake.client.opaque);
}

static const struct console_ops fake_ops = {
	.write = fake_write,
	.set_client = fake_set_client,
	.input_ready = fake_input_ready,
};

static const struct arch_place com1 = {
	.pio = true, .base = PORT, .size = 8, .gsi = IRQ, .edge = true
};

static int setup(void **state)
{
	memset(&fake, 0, sizeof(fake));
	fake.con.ops = &fake_ops;
	devvm_init(&d);
	assert_int_equal(serial_create(&d.vm, &com1, 0, &fake.con), 0);
	assert_true(fake.connected);
	return 0;
}

static int teardown(void **state)
{
	vm_destroy(&d.vm);
	assert_false(fake.connected);
	return 0;
}

static u8 in(u16 reg)
{
	return (u8)devvm_in(&d, (u16)(PORT + reg), 1);
}

static void out(u16 reg, u8 value)
{
	devvm_out(&d, (u16)(PORT + reg), value, 1);
}

static size_t room(void)
{
	return fake.client.room(fake.client.opaque);
}

static void type(const char *s)
{
	fake.client.input(fake.client.opaque, (const u8 *)s, strlen(s));
}

/* As an open port: FIFOs on with trigger 8, interrupts through the gate. */
static void open_port(void)
{
	out(FCR, 0x87);
	out(LCR, 3);
	out(MCR, 0x0b);
	out(IER, RDI | RLSI);
}

/* drivers/tty/serial/8250: existence by IER and loopback, kind by IIR, relatives by their habits */
static void linux_finds_a_16550a(void **state)
{
	out(IER, 0);
	assert_int_equal(in(IER)&0xf, 0);
	out(IER, 0xf);
	assert_int_equal(in(IER), 0xf);
	out(IER, 0);
	out(MCR, LOOP | OUT2 | RTS);
	assert_int_equal(in(MSR)&0xf0, 0x90);
	out(MCR, 0);
	out(LCR, 0xbf);
	out(FCR, 0);
	out(LCR, 0);
	out(FCR, 1);
	assert_int_equal(in(IIR) >> 6, 3);
	/* No EFR in either bank. */
	out(LCR, 0x80);
	assert_int_not_equal(in(IIR), 0);
	out(LCR, 0xbf);
	assert_int_not_equal(in(IIR), 0);
	/* No National SuperIO: bank 2 does not mirror MCR. */
	out(LCR, 0xe0);
	assert_int_equal(in(2) & LOOP, 0);
	out(LCR, 0);
	out(MCR, LOOP);
	out(LCR, 0xe0);
	assert_int_equal(in(2) & LOOP, 0);
	out(LCR, 0);
	out(MCR, 0);
	/* No 64-byte FIFO, with DLAB or without. */
	out(FCR, 0x21);
	assert_int_equal(in(IIR)&0xe0, 0xc0);
	out(LCR, 0x80);
	out(FCR, 0x21);
	assert_int_equal(in(IIR)&0xe0, 0xc0);
	out(LCR, 0);
	/* No XScale. */
	out(IER, 0x40);
	assert_int_equal(in(IER), 0);
	assert_int_not_equal(in(LSR), 0xff);
}

static void linux_measures_the_fifo(void **state)
{
	int count = 0;

	out(FCR, 7);
	out(MCR, LOOP);
	out(LCR, 0x80);
	out(0, 1);
	out(1, 0);
	out(LCR, 3);
	for (int i = 0; i < 256; i++)
		out(THR, (u8)i);
	while (in(LSR)&DR && count < 256)
		assert_int_equal(in(RBR), count++);
	assert_int_equal(count, 16);
	assert_int_equal(fake.len, 0);
}

static void linux_trusts_the_transmit_interrupt(void **state)
{
	/* "THRE test": it must come again when enabled again. */
	out(IER, THRI);
	assert_int_equal(in(IIR)&0xf, 2);
	out(IER, 0);
	assert_int_equal(in(IIR)&0xf, 1);
	out(IER, THRI);
	assert_int_equal(in(IIR)&0xf, 2);
	out(IER, 0);
	/* Without the gate none of this reached the interrupt controller. */
	assert_int_equal(d.rises[IRQ], 0);
	/* "TXEN test" */
	out(MCR, 0x0b);
	out(IER, THRI);
	assert_int_equal(d.rises[IRQ], 1);
	assert_int_equal(in(LSR)&TEMT, TEMT);
	assert_int_equal(in(IIR)&1, 0);
}

static void transmit_interrupt(void **state)
{
	out(MCR, OUT2);
	out(IER, THRI);
	assert_int_equal(d.rises[IRQ], 1);
	assert_int_equal(in(IIR), 2); /* acknowledges */
	assert_int_equal(in(IIR), 1);
	out(THR, 'a');
	assert_int_equal(d.rises[IRQ], 2);
	/* A handler that never looks at IIR: writing acknowledges too. */
	out(THR, 'b');
	assert_int_equal(d.rises[IRQ], 3);
	assert_int_equal(in(LSR), THRE | TEMT);
	assert_int_equal(in(IIR), 2);
	/* Enabled already: no new interrupt. */
	out(IER, THRI);
	assert_int_equal(in(IIR), 1);
	assert_memory_equal(fake.out, "ab", 2);
}

static void out2_is_the_gate(void **state)
{
	out(IER, THRI);
	assert_int_equal(d.rises[IRQ], 0);
	out(MCR, OUT2);
	assert_int_equal(d.rises[IRQ], 1);
	out(MCR, 0);
	out(MCR, OUT2);
	assert_int_equal(d.rises[IRQ], 2);
}

static void receive_by_trigger_and_timeout(void **state)
{
	open_port();
	assert_int_equal(room(), 16);
	type("abc");
	assert_int_equal(d.rises[IRQ], 1);
	assert_int_equal(in(IIR), 0xcc); /* below the trigger: time-out */
	type("defgh");
	assert_int_equal(in(IIR), 0xc4);
	assert_int_equal(d.rises[IRQ], 1); /* the line is still up */
	assert_int_equal(room(), 8);
	for (int i = 0; i < 8; i++) {
		assert_int_equal(in(LSR), THRE | TEMT | DR);
		assert_int_equal(in(RBR), 'a' + i);
	}
	assert_int_equal(in(LSR), THRE | TEMT);
	assert_int_equal(in(IIR), 0xc1);
	type("z");
	assert_int_equal(d.rises[IRQ], 2);
	assert_int_equal(in(RBR), 'z');
	assert_int_equal(in(RBR), 0);
}

static void trigger_levels(void **state)
{
	static const u8 levels[] = { 1, 4, 8, 14 };

	open_port();
	for (u8 i = 0; i < 4; i++) {
		out(FCR, (u8)(i << 6 | 3));
		for (int n = 1; n <= 16; n++) {
			type("x");
			assert_int_equal(in(IIR), n < levels[i] ? 0xcc : 0xc4);
		}
	}
}

static void without_fifo_one_byte(void **state)
{
	out(IER, RDI);
	assert_int_equal(room(), 1);
	type("a");
	assert_int_equal(room(), 0);
	assert_int_equal(in(IIR), 4);
	assert_int_equal(in(RBR), 'a');
	assert_int_equal(room(), 1);
}

/* What the console has to give, as far as the port takes it. */
static size_t feed(const char *s)
{
	size_t n = MIN(room(), strlen(s));

	fake.client.input(fake.client.opaque, (const u8 *)s, n);
	return n;
}

/* All registers once, to clear what they remember: what is read means nothing. */
static void clear_registers(void)
{
	in(LSR);
	in(RBR);
	in(IIR);
	in(MSR);
}

/* The kernel prints, and sets up the port, which clears the FIFOs and reads RBR: nothing of what
 * was piped in may be lost. As Linux does it (drivers/tty/serial/8250), with input at every step.
 */
static void input_survives_the_setup(void **state)
{
	static const char text[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	size_t given = 0, got = 0;

	assert_int_equal(room(), 0);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(in(LSR)&THRE, THRE);
		out(THR, 'x');
		given += feed(text + given);
	}
	out(FCR, 1);
	out(FCR, 7);
	out(FCR, 0);
	given += feed(text + given);
	clear_registers();
	given += feed(text + given);
	in(LSR);
	out(LCR, 3);
	out(MCR, OUT2);
	out(IER, THRI);
	given += feed(text + given);
	in(LSR);
	in(IIR);
	out(IER, 0);
	given += feed(text + given);
	clear_registers();
	given += feed(text + given);
	out(IER, RDI | RLSI);
	given += feed(text + given);
	out(LCR, 0x83);
	out(LCR, 3);
	out(FCR, 1);
	out(FCR, 0x81);
	out(MCR, 0x0b);
	while (text[got]) {
		given += feed(text + given);
		assert_int_equal(in(LSR)&DR, DR);
		assert_int_equal(in(RBR), text[got++]);
	}
	assert_int_equal(in(LSR)&DR, 0);
}

static void interrupts_off_for_a_moment(void **state)
{
	u32 readies;

	open_port();
	assert_int_equal(fake.readies, 1);
	assert_int_equal(room(), 16);
	type("ab");
	out(IER, 0);
	assert_int_equal(room(), 0);
	assert_int_equal(in(IIR), 0xc1);
	readies = fake.readies;
	out(IER, RDI);
	assert_int_equal(fake.readies, readies + 1);
	assert_int_equal(room(), 14);
	assert_int_equal(in(IIR), 0xcc);
	assert_int_equal(in(RBR), 'a');
	assert_int_equal(in(RBR), 'b');
}

static void a_polling_guest_listens(void **state)
{
	in(LSR);
	assert_int_equal(fake.readies, 1);
	assert_int_equal(feed("k"), 1);
	assert_int_equal(in(LSR)&DR, DR);
	assert_int_equal(in(RBR), 'k');
	assert_int_equal(room(), 1);
	assert_int_equal(in(LSR)&DR, 0);
	/* The next program sets the port up for itself. */
	out(FCR, 7);
	assert_int_equal(room(), 0);
	in(LSR);
	assert_int_equal(feed("0123456789abcdefg"), 16);
	for (int i = 0; i < 16; i++) {
		assert_int_equal(in(LSR)&DR, DR);
		/* With flow control it stops the line before it takes what it saw. */
		out(MCR, i & 1 ? RTS : 0);
		assert_int_equal(in(RBR), "0123456789abcdef"[i]);
	}
	assert_int_equal(in(LSR)&DR, 0);
}

/* A spinner: each look comes after a byte that was sent. */
static void a_guest_that_sends_between_its_looks_listens(void **state)
{
	char got[8] = "";
	u32 n = 0;

	for (int i = 0; i < 10; i++) {
		out(THR, '.');
		if (in(LSR)&DR)
			got[n++] = (char)in(RBR);
		feed(&"xyz"[MIN(n, 3U)]);
	}
	assert_string_equal(got, "xyz");
}

/* A reset of the machine takes nothing from the host's input but what was read. */
static void what_was_not_read_is_the_next_systems(void **state)
{
	open_port();
	type("abc");
	assert_int_equal(in(RBR), 'a');
	d.vm.devices->ops->reset(d.vm.devices);
	assert_int_equal(in(LSR)&DR, 0);
	open_port();
	assert_int_equal(room(), 14);
	assert_int_equal(in(RBR), 'b');
	assert_int_equal(in(RBR), 'c');
}

static void drained_means_ready(void **state)
{
	u32 before;

	open_port();
	type("0123456789abcdef");
	assert_int_equal(room(), 0);
	before = fake.readies;
	in(RBR);
	assert_int_equal(fake.readies, before + 1); /* there was no room, now there is */
	for (int i = 0; i < 14; i++)
		in(RBR);
	assert_int_equal(fake.readies, before + 1);
	in(RBR);
	assert_int_equal(fake.readies, before + 2);
	type("x");
	out(FCR, 3);
	assert_int_equal(fake.readies, before + 3);
	assert_int_equal(in(LSR)&DR, 0);
}

static void loopback_holds_input_back(void **state)
{
	u32 before;

	open_port();
	out(MCR, LOOP | OUT2);
	assert_int_equal(room(), 0);
	out(THR, 'q');
	assert_int_equal(fake.len, 0);
	assert_int_equal(in(LSR)&DR, DR);
	assert_int_equal(in(RBR), 'q');
	before = fake.readies;
	out(MCR, OUT2);
	assert_int_equal(fake.readies, before + 1);
	assert_int_equal(room(), 16);
}

static void overrun(void **state)
{
	open_port();
	type("0123456789abcdefX");
	assert_int_equal(d.rises[IRQ], 1);
	assert_int_equal(in(IIR), 0xc6);
	assert_int_equal(in(LSR), THRE | TEMT | DR | OE);
	assert_int_equal(in(LSR), THRE | TEMT | DR);
	assert_int_equal(in(IIR), 0xc4);
	for (int i = 0; i < 16; i++)
		assert_int_equal(in(RBR), "0123456789abcdef"[i]);
	assert_int_equal(in(LSR)&DR, 0);
}

static void break_in_loopback(void **state)
{
	open_port();
	out(MCR, LOOP);
	out(LCR, 0x43);
	assert_int_equal(in(LSR), THRE | TEMT | DR | BI);
	assert_int_equal(in(RBR), 0);
	assert_int_equal(in(LSR), THRE | TEMT);
	out(LCR, 3);
	out(MCR, OUT2);
	out(LCR, 0x43);
	assert_int_equal(in(LSR), THRE | TEMT);
}

static void modem_status(void **state)
{
	assert_int_equal(in(MSR), 0xb0);
	out(MCR, LOOP);
	assert_int_equal(in(MSR), 0x0b); /* CTS, DSR, DCD fell */
	assert_int_equal(in(MSR), 0);
	for (u8 v = 0; v < 16; v++) {
		u8 lines;

		out(MCR, LOOP | v);
		lines = (u8)((v & 1) << 5 | (v & 2) << 3 | (v & 4) << 4 | (v & 8) << 4);
		assert_int_equal(in(MSR)&0xf0, lines);
	}
	out(MCR, LOOP | OUT1);
	in(MSR);
	out(MCR, LOOP);
	assert_int_equal(in(MSR), 0x04); /* the trailing edge of RI alone */
	out(MCR, LOOP | OUT1);
	assert_int_equal(in(MSR), 0x40);
	out(MCR, LOOP | OUT2);
	in(MSR);
	out(IER, MSI);
	out(MCR, LOOP | OUT2 | RTS);
	assert_int_equal(in(IIR), 0);
	assert_int_equal(d.rises[IRQ], 1);
	in(MSR);
	assert_int_equal(in(IIR), 1);
}

static void priorities(void **state)
{
	out(FCR, 1);
	out(MCR, LOOP | OUT2);
	for (int i = 0; i < 17; i++)
		out(THR, 'x');
	out(IER, 0xf);
	assert_int_equal(in(IIR), 0xc6);
	in(LSR);
	assert_int_equal(in(IIR), 0xc4);
	out(FCR, 3);
	assert_int_equal(in(IIR), 0xc2);
	assert_int_equal(in(IIR), 0xc0);
	in(MSR);
	assert_int_equal(in(IIR), 0xc1);
}

static void fifo_control(void **state)
{
	/* Without bit 0 no other bit counts. */
	out(IER, RDI);
	out(FCR, 0xc6);
	assert_int_equal(in(IIR), 1);
	type("a");
	assert_int_equal(in(IIR), 4);
	out(FCR, 0xc2);
	assert_int_equal(in(LSR)&DR, DR);
	/* A change of it clears, but what the host sent comes again. */
	out(FCR, 1);
	assert_int_equal(in(RBR), 'a');
	assert_int_equal(in(LSR)&DR, 0);
	out(MCR, LOOP);
	out(THR, 'q');
	assert_int_equal(in(LSR)&DR, DR);
	out(FCR, 0);
	assert_int_equal(in(LSR)&DR, 0);
}

static void registers_hold(void **state)
{
	out(SCR, 0xa5);
	assert_int_equal(in(SCR), 0xa5);
	out(LCR, 0x83);
	assert_int_equal(in(LCR), 0x83);
	out(0, 0x34);
	out(1, 0x12);
	assert_int_equal(in(0), 0x34);
	assert_int_equal(in(1), 0x12);
	out(LCR, 3);
	assert_int_equal(in(IER), 0);
	assert_int_equal(fake.len, 0);
	out(MCR, 0xff);
	assert_int_equal(in(MCR), 0x1f);
	out(MCR, 0);
	out(LSR, 0xff);
	out(MSR, 0xff);
	assert_int_equal(in(LSR), THRE | TEMT);
	assert_int_equal(in(MSR)&0xf0, 0xb0);
}

static void wide_accesses_are_many(void **state)
{
	devvm_out(&d, PORT, RDI << 8 | 'w', 2);
	assert_memory_equal(fake.out, "w", 1);
	assert_int_equal(in(IER), RDI);
	assert_int_equal(devvm_in(&d, PORT + LSR, 2), 0xb060);
	assert_int_equal(devvm_in(&d, PORT + 7, 2), 0xffff);
}

static void reset_is_power_on(void **state)
{
	open_port();
	type("abc");
	out(SCR, 1);
	vm_reset_devices(&d.vm);
	assert_int_equal(in(IER), 0);
	assert_int_equal(in(MCR), 0);
	assert_int_equal(in(LCR), 0);
	assert_int_equal(in(IIR), 1);
	assert_int_equal(in(LSR), THRE | TEMT);
	assert_int_equal(room(), 0);
}

static void level_triggered_mmio(void **state)
{
	const struct arch_place place = { .base = 0x9000000, .size = 0x1000, .gsi = 7 };
	u8 word[4];
	u64 v;

	assert_int_equal(serial_create(&d.vm, &place, 2, NULL), 0);
	v = THRI;
	assert_true(bus_write(&d.vm.mmio, 0x9000000 + (IER << 2), &v, 4));
	/* No gate outside a PC; the line follows the condition. */
	assert_true(d.level[7]);
	assert_true(bus_read(&d.vm.mmio, 0x9000000 + (IIR << 2), word, 4));
	assert_int_equal(get_le(word, 4), 2);
	assert_false(d.level[7]);
	v = 'x';
	bus_write(&d.vm.mmio, 0x9000000, &v, 1);
	assert_true(d.level[7]);
	assert_int_equal(d.rises[7], 2);
	vm_reset_devices(&d.vm);
	assert_false(d.level[7]);
	/* Between and after the registers. */
	assert_true(bus_read(&d.vm.mmio, 0x9000000 + (LSR << 2) + 1, word, 1));
	assert_int_equal(word[0], 0);
	assert_true(bus_read(&d.vm.mmio, 0x9000000 + (8 << 2), word, 4));
	assert_int_equal(get_le(word, 4), 0);
	assert_true(bus_read(&d.vm.mmio, 0x9000ffc, word, 4));
	devvm_batter(&d, &d.vm.mmio, 0x9000000, 0x9000fff, 100000);
	devvm_batter(&d, &d.vm.mmio, 0x9000000, 0x900003f, 100000);
}

static void hostile(void **state)
{
	for (int i = 0; i < 100; i++) {
		devvm_batter(&d, &d.vm.pio, PORT - 2, PORT + 9, 2000);
		type("0123456789abcdefghijkl");
		assert_in_range(room(), 0, 16);
		fake.len = 0;
		vm_reset_devices(&d.vm);
	}
}

static void at_most_four(void **state)
{
	struct arch_place place = com1;
	int made = 1;

	for (u16 i = 0; i < 4; i++) {
		place.base = 0x2000u + 8u * i;
		made += !serial_create(&d.vm, &place, 0, NULL);
	}
	assert_int_equal(made, 4);
	assert_int_equal(serial_create(&d.vm, &com1, 0, NULL), -ENOSPC);
}

static void taken_ports_are_an_error(void **state)
{
	assert_int_equal(serial_create(&d.vm, &com1, 0, NULL), -EEXIST);
}

static void described(void **state)
{
	static const u8 io[] = { 0x47, 1, 0xf8, 3, 0xf8, 3, 1, 8 };
	static const u8 pnp0501[] = { 0x0c, 0x41, 0xd0, 0x05, 0x01 };
	/* Extended interrupt: consumer, edge, active high, exclusive. */
	static const u8 irq[] = { 0x89, 6, 0, 3, 1, IRQ, 0, 0, 0 };

	assert_true(devvm_aml_has(&d, "COM1", 4));
	assert_true(devvm_aml_has(&d, pnp0501, sizeof(pnp0501)));
	assert_true(devvm_aml_has(&d, io, sizeof(io)));
	assert_true(devvm_aml_has(&d, irq, sizeof(irq)));
}

static int sysrq(u8 key)
{
	return d.vm.sysrq.send(d.vm.sysrq.opaque, key);
}

/* drivers/tty/serial/8250: the break is told with the NUL that it is received as, then the key. */
static void a_break_and_a_key(void **state)
{
	assert_int_equal(sysrq('h'), -EAGAIN); /* nobody listens */
	open_port();
	assert_int_equal(sysrq('h'), 0);
	assert_int_equal(in(IIR)&0x0f, 6);
	assert_int_equal(in(LSR), THRE | TEMT | BI | DR);
	assert_int_equal(in(RBR), 0);
	assert_int_equal(in(LSR), THRE | TEMT | DR);
	assert_int_equal(in(RBR), 'h');
	assert_int_equal(in(LSR), THRE | TEMT);
	/* What is there already would be taken for the break. */
	type("x");
	assert_int_equal(sysrq('h'), -EAGAIN);
	assert_int_equal(in(RBR), 'x');
	assert_int_equal(sysrq('h'), 0);
	assert_int_equal(sysrq('h'), -EAGAIN);
	in(LSR);
	in(RBR);
	assert_int_equal(in(RBR), 'h');
	/* Without FIFOs the key comes when there is room. */
	out(FCR, 0);
	assert_int_equal(sysrq('k'), 0);
	assert_int_equal(in(LSR) & (BI | DR), BI | DR);
	assert_int_equal(in(RBR), 0);
	assert_int_equal(in(RBR), 'k');
	out(MCR, LOOP);
	assert_int_equal(sysrq('h'), -EAGAIN);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_break_and_a_key),
		T(linux_finds_a_16550a),
		T(linux_measures_the_fifo),
		T(linux_trusts_the_transmit_interrupt),
		T(transmit_interrupt),
		T(out2_is_the_gate),
		T(receive_by_trigger_and_timeout),
		T(trigger_levels),
		T(without_fifo_one_byte),
		T(input_survives_the_setup),
		T(interrupts_off_for_a_moment),
		T(a_polling_guest_listens),
		T(a_guest_that_sends_between_its_looks_listens),
		T(what_was_not_read_is_the_next_systems),
		T(drained_means_ready),
		T(loopback_holds_input_back),
		T(overrun),
		T(break_in_loopback),
		T(modem_status),
		T(priorities),
		T(fifo_control),
		T(registers_hold),
		T(wide_accesses_are_many),
		T(reset_is_power_on),
		T(level_triggered_mmio),
		T(hostile),
		T(at_most_four),
		T(taken_ports_are_an_error),
		T(described),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
