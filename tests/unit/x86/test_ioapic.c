/* SPDX-License-Identifier: MIT */
/* The split irqchip's IOAPIC over a chip that records the messages and routes that reach it. */
#include "unit.h"

#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "../../../x86/platform.h"
#include "../../../x86/x86.h"
#include "lkvm/bus.h"
#include "lkvm/config.h"
#include "lkvm/device.h"
#include "lkvm/irq.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

#define PIN_EDGE  4
#define PIN_LEVEL 10

struct fixture {
	struct vm vm;
	struct arch_vm arch;
	struct event_loop loop;
	int msis, tables;
	u64 addr;
	u32 data;
	u32 nr_routes;
	struct kvm_irq_routing_entry routes[64];
};

static void set_level(void *opaque, u32 gsi, bool level)
{
	struct fixture *f = opaque;

	x86_ioapic_set_level(f->arch.ioapic, gsi, level);
}

static void send_msi(void *opaque, u64 addr, u32 data, u32 devid)
{
	struct fixture *f = opaque;

	f->msis++;
	f->addr = addr;
	f->data = data;
}

static int bind_irqfd(void *opaque, int fd, u32 gsi, bool assign)
{
	return gsi < 24 ? -ENOTSUP : 0;
}

static int set_routes(void *opaque, struct kvm_irq_routing *table)
{
	struct fixture *f = opaque;

	assert_true(table->nr <= ARRAY_SIZE(f->routes));
	memcpy(f->routes, table->entries, table->nr * sizeof(f->routes[0]));
	f->nr_routes = table->nr;
	f->tables++;
	return 0;
}

static int bind_resample(void *opaque, int fd, int resample_fd, u32 gsi, bool assign)
{
	struct fixture *f = opaque;

	return x86_ioapic_bind_resample(f->arch.ioapic, fd, resample_fd, gsi, assign);
}

static const struct irq_chip_ops chip = {
	.set_level = set_level,
	.send_msi = send_msi,
	.bind_irqfd = bind_irqfd,
	.set_routes = set_routes,
	.bind_resample = bind_resample,
};

static int setup(void **state)
{
	struct kvm_irq_routing_entry table[24] = { 0 };
	struct fixture *f = calloc(1, sizeof(*f));

	f->vm.arch = &f->arch;
	f->vm.devices_tail = &f->vm.devices;
	assert_int_equal(bus_init(&f->vm.mmio, "mmio", ~0ULL), 0);
	assert_int_equal(irq_init(&f->vm.irqs, &chip, f), 0);
	assert_int_equal(event_loop_init(&f->loop, "test"), 0);
	irq_set_loop(&f->vm.irqs, &f->loop);
	for (u32 i = 0; i < 24; i++) {
		table[i].gsi = i;
		table[i].type = KVM_IRQ_ROUTING_MSI;
	}
	assert_int_equal(irq_set_fixed_routes(&f->vm.irqs, table, 24, 24), 0);
	assert_int_equal(x86_ioapic_create(&f->vm, &f->arch.ioapic), 0);
	f->tables = 0;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	f->vm.devices->ops->destroy(f->vm.devices);
	irq_destroy(&f->vm.irqs);
	event_loop_destroy(&f->loop);
	bus_destroy(&f->vm.mmio);
	free(f);
	return 0;
}

/* Register access as a driver does it */

static u32 rd(struct fixture *f, u8 index)
{
	u32 v = index;

	assert_true(bus_write(&f->vm.mmio, X86_IOAPIC, &v, 4));
	assert_true(bus_read(&f->vm.mmio, X86_IOAPIC + 0x10, &v, 4));
	return v;
}

static void wr(struct fixture *f, u8 index, u32 value)
{
	u32 v = index;

	assert_true(bus_write(&f->vm.mmio, X86_IOAPIC, &v, 4));
	assert_true(bus_write(&f->vm.mmio, X86_IOAPIC + 0x10, &value, 4));
}

static void program(struct fixture *f, u32 pin, u32 low, u32 high)
{
	wr(f, (u8)(0x11 + 2 * pin), high);
	wr(f, (u8)(0x10 + 2 * pin), low);
}

static void test_registers(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(rd(f, 1), 0x00170020);
	wr(f, 0, 0xffffffff);
	assert_int_equal(rd(f, 0), 0x0f000000);
	assert_int_equal(rd(f, 2), 0x0f000000);
	wr(f, 1, 0); /* read-only */
	assert_int_equal(rd(f, 1), 0x00170020);
	for (u32 pin = 0; pin < 24; pin++) {
		assert_int_equal(rd(f, (u8)(0x10 + 2 * pin)), 0x10000);
		assert_int_equal(rd(f, (u8)(0x11 + 2 * pin)), 0);
	}
	/* Delivery status and remote IRR are read-only. */
	program(f, 0, 0x1f0ff, 0xaa000000);
	assert_int_equal(rd(f, 0x10), 0x1a0ff);
	assert_int_equal(rd(f, 0x11), 0xaa000000);
	/* Beyond the pins there is nothing. */
	wr(f, 0x40, 0x30);
	wr(f, 0xff, 0x30);
	assert_int_equal(rd(f, 0x40), 0);
	assert_int_equal(rd(f, 0xff), 0);
	assert_int_equal(rd(f, 0x05), 0);
}

static void test_edge(void **state)
{
	struct fixture *f = *state;
	struct irq_line line;

	assert_int_equal(irq_line_init(&line, &f->vm.irqs, PIN_EDGE, true), 0);
	/* Masked: lost, also when the mask goes. */
	program(f, PIN_EDGE, 0x10041, 0x05000000);
	irq_line_pulse(&line);
	program(f, PIN_EDGE, 0x41, 0x05000000);
	assert_int_equal(f->msis, 0);
	irq_line_pulse(&line);
	irq_line_pulse(&line);
	assert_int_equal(f->msis, 2);
	assert_int_equal(f->addr, 0xfee05000);
	assert_int_equal(f->data, 0x41);
	/* KVM need not watch it. */
	assert_int_equal(f->tables, 0);
	assert_int_equal(rd(f, 0x10 + 2 * PIN_EDGE), 0x41);
	irq_line_destroy(&line);
}

static void test_level(void **state)
{
	struct fixture *f = *state;
	struct irq_line line;

	assert_int_equal(irq_line_init(&line, &f->vm.irqs, PIN_LEVEL, false), 0);
	irq_line_set(&line, true);
	assert_int_equal(f->msis, 0);
	/* Asserted while masked: delivered when unmasked. Logical destination, lowest priority. */
	program(f, PIN_LEVEL, 0x8951, 0x03000000);
	assert_int_equal(f->msis, 1);
	assert_int_equal(f->addr, 0xfee03004);
	assert_int_equal(f->data, 0xc151);
	assert_int_equal(rd(f, 0x10 + 2 * PIN_LEVEL), 0xc951);
	/* KVM watches its vector, with the same message. */
	assert_int_equal(f->tables, 1);
	assert_int_equal(f->nr_routes, 24);
	assert_int_equal(f->routes[PIN_LEVEL].gsi, PIN_LEVEL);
	assert_int_equal(f->routes[PIN_LEVEL].type, KVM_IRQ_ROUTING_MSI);
	assert_int_equal(f->routes[PIN_LEVEL].u.msi.address_lo, 0xfee03004);
	assert_int_equal(f->routes[PIN_LEVEL].u.msi.data, 0xc151);
	/* Nothing more until its end; still asserted then: again. */
	irq_line_set(&line, false);
	irq_line_set(&line, true);
	assert_int_equal(f->msis, 1);
	x86_ioapic_eoi(f->arch.ioapic, 0x50);
	assert_int_equal(f->msis, 1);
	x86_ioapic_eoi(f->arch.ioapic, 0x51);
	assert_int_equal(f->msis, 2);
	irq_line_set(&line, false);
	x86_ioapic_eoi(f->arch.ioapic, 0x51);
	assert_int_equal(f->msis, 2);
	assert_int_equal(rd(f, 0x10 + 2 * PIN_LEVEL), 0x8951);
	/* A mask change is no news to KVM. */
	program(f, PIN_LEVEL, 0x18951, 0x03000000);
	irq_line_set(&line, true);
	assert_int_equal(f->msis, 2);
	program(f, PIN_LEVEL, 0x8951, 0x03000000);
	assert_int_equal(f->msis, 3);
	assert_int_equal(f->tables, 1);
	irq_line_destroy(&line);
}

/* The EOI register, and the moment of edge mode by which drivers do without one. */
/* In a trust domain nobody tells of the end of an interrupt: a level is sent as it is said, as an
 * edge, and KVM is not asked to look for its end. */
static void test_no_eoi(void **state)
{
	struct fixture *f = *state;
	struct vm_config cfg = { .x86.tdx.on = true };

	f->vm.devices->ops->destroy(f->vm.devices);
	f->vm.devices = NULL;
	f->vm.devices_tail = &f->vm.devices;
	f->vm.cfg = &cfg;
	assert_int_equal(x86_ioapic_create(&f->vm, &f->arch.ioapic), 0);
	f->tables = 0;
	program(f, PIN_LEVEL, 0x8000 | 0x41, 0);
	assert_int_equal(f->tables, 0);
	x86_ioapic_set_level(f->arch.ioapic, PIN_LEVEL, true);
	assert_int_equal(f->msis, 1);
	assert_int_equal(f->data, 0x41);
	assert_int_equal(rd(f, 0x10 + 2 * PIN_LEVEL), 0x8041); /* no remote IRR */
	x86_ioapic_set_level(f->arch.ioapic, PIN_LEVEL, false);
	assert_int_equal(f->msis, 1);
	x86_ioapic_set_level(f->arch.ioapic, PIN_LEVEL, true);
	assert_int_equal(f->msis, 2);
	/* Another device on the same pin. */
	x86_ioapic_set_level(f->arch.ioapic, PIN_LEVEL, true);
	assert_int_equal(f->msis, 3);
	/* What came while it was masked comes then. */
	/* Nor of INTx of the host's devices, which would stay masked for ever. */
	assert_int_equal(x86_ioapic_bind_resample(f->arch.ioapic, 0, 0, PIN_LEVEL, true), -ENOTSUP);
	x86_ioapic_set_level(f->arch.ioapic, PIN_LEVEL, false);
	program(f, PIN_LEVEL, 0x18000 | 0x41, 0);
	x86_ioapic_set_level(f->arch.ioapic, PIN_LEVEL, true);
	assert_int_equal(f->msis, 3);
	program(f, PIN_LEVEL, 0x8000 | 0x41, 0);
	assert_int_equal(f->msis, 4);
	f->vm.cfg = NULL;
}

static void test_other_eois(void **state)
{
	struct fixture *f = *state;
	u32 vector = 0x51;

	program(f, PIN_LEVEL, 0x8051, 0);
	x86_ioapic_set_level(f->arch.ioapic, PIN_LEVEL, true);
	assert_int_equal(f->msis, 1);
	assert_true(bus_write(&f->vm.mmio, X86_IOAPIC + 0x40, &vector, 4));
	assert_int_equal(f->msis, 2);
	wr(f, 0x10 + 2 * PIN_LEVEL, 0x10051);
	assert_int_equal(rd(f, 0x10 + 2 * PIN_LEVEL), 0x10051);
	wr(f, 0x10 + 2 * PIN_LEVEL, 0x8051);
	assert_int_equal(f->msis, 3);
}

static void test_destinations(void **state)
{
	struct fixture *f = *state;

	/* Destination 0x1234: bits 8 to 14 of it in bits 49 to 55. */
	program(f, PIN_EDGE, 0x41, 0x34 << 24 | 0x12 << 17);
	x86_ioapic_set_level(f->arch.ioapic, PIN_EDGE, true);
	assert_int_equal(f->addr, 0xfee34000 | 0x12 << 5);
	/* As KVM wants it, the upper part in the upper half; what is there already stays. */
	assert_true(x86_kvm_msi_address(f->addr) == 0x1200fee34000);
	assert_true(x86_kvm_msi_address(0xfee05004) == 0xfee05004);
	assert_true(x86_kvm_msi_address(0x100fee34240) == 0x100fee34240);
}

/* What VFIO's INTx is: two fds of a device that looks again when it is asked to. */
struct intx {
	struct irq_line line;
	int resample_fd;
};

static void intx_init(struct fixture *f, struct intx *x)
{
	x->resample_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	assert_true(x->resample_fd >= 0);
	assert_int_equal(irq_line_init(&x->line, &f->vm.irqs, PIN_LEVEL, false), 0);
	assert_int_equal(irq_line_set_resample(&x->line, x->resample_fd), 0);
}

static void intx_fini(struct intx *x)
{
	irq_line_destroy(&x->line);
	close(x->resample_fd);
}

static void intx_raise(struct fixture *f, struct intx *x)
{
	eventfd_raise(irq_line_fd(&x->line));
	while (event_loop_drain(&f->loop))
		;
}

static bool asked_again(struct intx *x)
{
	u64 n;

	return read(x->resample_fd, &n, sizeof(n)) == sizeof(n);
}

static void test_resample(void **state)
{
	struct fixture *f = *state;
	struct intx x;

	intx_init(f, &x);
	program(f, PIN_LEVEL, 0x8051, 0);
	intx_raise(f, &x);
	assert_int_equal(f->msis, 1);
	/* While it lasts nothing is sent, and nobody asked. */
	intx_raise(f, &x);
	x86_ioapic_eoi(f->arch.ioapic, 0x52);
	assert_int_equal(f->msis, 1);
	assert_false(asked_again(&x));
	/* The level falls at its end; a device that still asserts raises it again. */
	x86_ioapic_eoi(f->arch.ioapic, 0x51);
	assert_int_equal(f->msis, 1);
	assert_true(asked_again(&x));
	intx_raise(f, &x);
	assert_int_equal(f->msis, 2);
	/* The moment of edge mode is an end too. */
	wr(f, 0x10 + 2 * PIN_LEVEL, 0x10051);
	assert_true(asked_again(&x));
	/* Masked: it waits. */
	intx_raise(f, &x);
	wr(f, 0x10 + 2 * PIN_LEVEL, 0x18051);
	assert_int_equal(f->msis, 2);
	wr(f, 0x10 + 2 * PIN_LEVEL, 0x8051);
	assert_int_equal(f->msis, 3);
	/* Reset: whoever was sent it will not end it. */
	assert_false(asked_again(&x));
	f->vm.devices->ops->reset(f->vm.devices);
	assert_true(asked_again(&x));
	program(f, PIN_LEVEL, 0x8051, 0);
	assert_int_equal(f->msis, 3);
	intx_raise(f, &x);
	assert_int_equal(f->msis, 4);
	/* A state that is loaded knows nothing of the host's device. */
	assert_int_equal(f->vm.devices->ops->state->load(f->arch.ioapic), 0);
	assert_true(asked_again(&x));
	intx_fini(&x);
}

/* Devices here and two of the host's on one pin. */
static void test_shared_pin(void **state)
{
	struct fixture *f = *state;
	struct irq_line line;
	struct intx x, y;

	assert_int_equal(irq_line_init(&line, &f->vm.irqs, PIN_LEVEL, false), 0);
	intx_init(f, &x);
	intx_init(f, &y);
	program(f, PIN_LEVEL, 0x8051, 0);
	intx_raise(f, &x);
	intx_raise(f, &y);
	irq_line_set(&line, true);
	assert_int_equal(f->msis, 1);
	/* The line falls, the others hold the pin. */
	irq_line_set(&line, false);
	program(f, PIN_LEVEL, 0x18051, 0);
	/* Both look again at the end, and one asserts. */
	x86_ioapic_eoi(f->arch.ioapic, 0x51);
	assert_true(asked_again(&x) && asked_again(&y));
	intx_raise(f, &y);
	program(f, PIN_LEVEL, 0x8051, 0);
	assert_int_equal(f->msis, 2);
	/* At its end the line is high, which no end lets fall. */
	irq_line_set(&line, true);
	x86_ioapic_eoi(f->arch.ioapic, 0x51);
	assert_false(asked_again(&x));
	assert_true(asked_again(&y));
	assert_int_equal(f->msis, 3);
	irq_line_set(&line, false);
	x86_ioapic_eoi(f->arch.ioapic, 0x51);
	assert_int_equal(f->msis, 3);
	/* One goes: what it held goes with it. */
	program(f, PIN_LEVEL, 0x18051, 0);
	intx_raise(f, &x);
	intx_fini(&x);
	program(f, PIN_LEVEL, 0x8051, 0);
	assert_int_equal(f->msis, 3);
	intx_raise(f, &y);
	assert_int_equal(f->msis, 4);
	intx_fini(&y);
	irq_line_destroy(&line);
}

static void test_no_resample(void **state)
{
	struct fixture *f = *state;
	struct x86_ioapic *ioapic = f->arch.ioapic;
	struct irq_line line;

	assert_int_equal(x86_ioapic_bind_resample(ioapic, 0, 0, 24, true), -EINVAL);
	assert_int_equal(x86_ioapic_bind_resample(ioapic, 0, 0, PIN_LEVEL, false), -ENOENT);
	irq_set_loop(&f->vm.irqs, NULL);
	assert_int_equal(irq_line_init(&line, &f->vm.irqs, PIN_LEVEL, false), 0);
	assert_int_equal(irq_line_set_resample(&line, 0), -ENOTSUP);
	irq_line_destroy(&line);
}

/* Odd entries: illegal vectors send nothing, NMI has no level, pins beyond the last are ignored. */
static void test_hostile(void **state)
{
	struct fixture *f = *state;

	program(f, 5, 0x0f, 0);
	x86_ioapic_set_level(f->arch.ioapic, 5, true);
	program(f, 6, 0x8000, 0);
	x86_ioapic_set_level(f->arch.ioapic, 6, true);
	assert_int_equal(f->msis, 0);
	x86_ioapic_eoi(f->arch.ioapic, 0);
	assert_int_equal(f->msis, 0);

	program(f, 7, 0x8400, 0);
	x86_ioapic_set_level(f->arch.ioapic, 7, true);
	assert_int_equal(f->msis, 1);
	assert_int_equal(f->data, 0x400);
	assert_int_equal(rd(f, 0x10 + 14), 0x8400);
	x86_ioapic_set_level(f->arch.ioapic, 24, true);
	x86_ioapic_set_level(f->arch.ioapic, ~0U, true);
	assert_int_equal(f->msis, 1);
}

/* Any width at any place inside the window, and then the registers still work. */
static void test_random(void **state)
{
	struct fixture *f = *state;

	srandom(1);
	for (int i = 0; i < 20000; i++) {
		u64 data = (u64)random() << 32 ^ (u64)random();
		u32 len = 1U << (random() & 3);
		u64 offset = (u64)random() % (0x100 - len + 1);

		if (random() & 1)
			offset &= 0x50;
		if (random() & 1)
			assert_true(bus_write(&f->vm.mmio, X86_IOAPIC + offset, &data, len));
		else
			assert_true(bus_read(&f->vm.mmio, X86_IOAPIC + offset, &data, len));
		x86_ioapic_set_level(f->arch.ioapic, (u32)random() % 26, random() & 1);
		x86_ioapic_eoi(f->arch.ioapic, (u8)random());
	}
	f->vm.devices->ops->reset(f->vm.devices);
	f->msis = 0;
	for (u32 pin = 0; pin < 24; pin++)
		x86_ioapic_set_level(f->arch.ioapic, pin, false);
	program(f, PIN_EDGE, 0x41, 0);
	x86_ioapic_set_level(f->arch.ioapic, PIN_EDGE, true);
	assert_int_equal(f->msis, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_registers), TEST(test_edge),	     TEST(test_level),
		TEST(test_no_eoi),    TEST(test_other_eois), TEST(test_destinations),
		TEST(test_resample),  TEST(test_shared_pin), TEST(test_no_resample),
		TEST(test_hostile),   TEST(test_random),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
