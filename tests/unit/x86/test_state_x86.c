/* SPDX-License-Identifier: MIT */
/* The devices that only a PC has: used, saved, loaded, saved again. */
#include <linux/kvm.h>

#include "../../../x86/layout.h"
#include "../../../x86/platform.h"
#include "../../../x86/x86.h"
#include "device_state.h"
#include "devvm.h"
#include "lkvm/arch.h"
#include "lkvm/log.h"

struct rig {
	struct devvm d;
	struct arch_vm arch;
	int msis, tables;
};

static void ioapic_level(void *opaque, u32 gsi, bool level)
{
	x86_ioapic_set_level(((struct rig *)opaque)->arch.ioapic, gsi, level);
}

static void count_msi(void *opaque, u64 addr, u32 data, u32 devid)
{
	((struct rig *)opaque)->msis++;
}

static int count_table(void *opaque, struct kvm_irq_routing *table)
{
	((struct rig *)opaque)->tables++;
	return 0;
}

static const struct irq_chip_ops ioapic_chip = {
	.set_level = ioapic_level,
	.send_msi = count_msi,
	.set_routes = count_table,
};

static void make(struct rig *r)
{
	struct kvm_irq_routing_entry table[X86_IOAPIC_PINS] = { 0 };

	memset(r, 0, sizeof(*r));
	devvm_init(&r->d);
	r->d.vm.arch = &r->arch;
	r->d.vm.irqs.ops = &ioapic_chip;
	r->d.vm.irqs.opaque = r;
	for (u32 i = 0; i < X86_IOAPIC_PINS; i++)
		table[i].gsi = i;
	assert_int_equal(irq_set_fixed_routes(&r->d.vm.irqs, table, X86_IOAPIC_PINS, 24), 0);
	assert_int_equal(x86_ioapic_create(&r->d.vm, &r->arch.ioapic), 0);
	assert_int_equal(x86_pm_create(&r->d.vm, &r->arch.pm), 0);
	assert_int_equal(x86_pm1_create(&r->d.vm), 0);
	assert_int_equal(x86_pit_create(&r->d.vm), 0);
	assert_int_equal(x86_pic_create(&r->d.vm), 0);
	r->arch.split_irqchip = true;
	assert_int_equal(x86_testdev_create(&r->d.vm), 0);
	assert_int_equal(x86_machine_cfg_create(&r->d.vm, true), 0);
	r->msis = r->tables = 0;
}

static void write_ioapic(struct rig *r, u32 reg, u32 value)
{
	bus_write(&r->d.vm.mmio, X86_IOAPIC, &reg, 4);
	bus_write(&r->d.vm.mmio, X86_IOAPIC + 0x10, &value, 4);
}

/* Counter 2 holds its gate closed, counter 0 interrupts, the 8259s are masked but for one. */
static const struct {
	u16 port;
	u8 value;
} legacy[] = {
	{ 0x61, 0 },	{ 0x43, 0xb0 }, { 0x42, 0x00 }, { 0x42, 0x80 },	 { 0x43, 0x34 },
	{ 0x40, 0x00 }, { 0x40, 0x10 }, { 0x21, 0xfb }, { 0x4d1, 0x0c }, { 0xe1, 0x5a },
};

static void test_state(void **state)
{
	struct rig used, fresh;
	int routes;

	make(&used);
	make(&fresh);
	write_ioapic(&used, 0x10 + 2 * 10 + 1, 3u << 24);
	write_ioapic(&used, 0x10 + 2 * 10, 0x8061); /* pin 10: level, vector 0x61 */
	x86_ioapic_set_level(used.arch.ioapic, 10, true);
	assert_int_equal(used.msis, 1);
	assert_int_equal(arch_power_button(&used.d.vm), 0);
	bus_write(&used.d.vm.pio, X86_PM1A_EVENT + 2, &(u16){ 0x120 }, 2);
	for (size_t i = 0; i < ARRAY_SIZE(legacy); i++)
		devvm_out(&used.d, legacy[i].port, legacy[i].value, 1);
	/* The test device holds pin 12, and of an item of fw_cfg the second byte is next. */
	devvm_out(&used.d, 0x2000 + 12, 1, 1);
	bus_write(&used.d.vm.mmio, X86_TEST_MEM + 0xffff, &(u8){ 0xa5 }, 1);
	used.d.cfg.cpus = fresh.d.cfg.cpus = 0x1234;
	devvm_out(&used.d, 0x510, 5, 2);
	assert_int_equal(devvm_in(&used.d, 0x511, 1), 0x34);
	routes = used.tables;
	check_state(&used.d.vm, &fresh.d.vm);
	/* KVM was told of the level pin; what had been sent was not sent again. */
	assert_int_equal(fresh.tables, routes);
	assert_int_equal(fresh.msis, 0);
	/* Its end is, since the line is still held. */
	x86_ioapic_eoi(fresh.arch.ioapic, 0x61);
	assert_int_equal(fresh.msis, 1);
	assert_int_equal(devvm_in(&fresh.d, X86_PM_EVENT, 1), 1);
	assert_int_equal(devvm_in(&fresh.d, X86_PM1A_EVENT + 2, 2), 0x120);
	for (u32 i = 0; i < 2; i++)
		assert_int_equal(devvm_in(&fresh.d, 0x42, 1), i ? 0x80 : 0x00);
	assert_int_equal(devvm_in(&fresh.d, 0x21, 1), 0xfb);
	assert_int_equal(devvm_in(&fresh.d, 0xe0, 4), 0x5a00);
	assert_int_equal(devvm_in(&fresh.d, 0x511, 1), 0x12);
	/* It can be let go. */
	devvm_out(&fresh.d, 0x2000 + 12, 0, 1);
	write_ioapic(&fresh, 0x10 + 2 * 12, 0x8063);
	assert_int_equal(fresh.msis, 1);
	check_bad_state(&used.d.vm, &fresh.d.vm);
	check_extreme_state(&used.d.vm, &fresh.d.vm, NULL);
	vm_destroy(&used.d.vm);
	vm_destroy(&fresh.d.vm);
}

/* A button that is pressed in a pause is seen after it. */
static void test_button(void **state)
{
	struct rig r;

	make(&r);
	write_ioapic(&r, 0x10 + 2 * X86_GSI_GED, 0x62); /* edge */
	vm_pause(&r.d.vm);
	assert_int_equal(arch_power_button(&r.d.vm), 0);
	assert_int_equal(r.msis, 0);
	vm_resume(&r.d.vm);
	assert_int_equal(r.msis, 1);
	assert_int_equal(devvm_in(&r.d, X86_PM_EVENT, 1), 1);
	vm_pause(&r.d.vm);
	vm_resume(&r.d.vm);
	assert_int_equal(r.msis, 1);
	vm_destroy(&r.d.vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_state),
		cmocka_unit_test(test_button),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
