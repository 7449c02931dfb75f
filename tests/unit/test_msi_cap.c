/* SPDX-License-Identifier: MIT */
/* The MSI capability: of each size, its masks and pending bits, and what guests write. */
#include "unit.h"

#include "capture.h"
#include "pci_thing.h"

#define CAP	0x40U
#define CONTROL (CAP + PCI_MSI_FLAGS)
#define ENABLE	PCI_MSI_FLAGS_ENABLE
#define MASTER	(PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER)

static struct msi_cap msi;

static void config_read(struct pci_device *pci, u32 offset, u32 len)
{
	msi_cap_config_read(&msi, offset, len);
}

static void config_written(struct pci_device *pci, u32 offset, u32 len)
{
	msi_cap_config_written(&msi, offset, len);
}

static const struct pci_ops ops = { .config_read = config_read, .config_written = config_written };

/* A function with a capability of that control word, its other bytes filled. */
static struct toy_vm *make(u32 control)
{
	struct toy_vm *v = begin();
	struct thing *t;
	u8 cap;

	assert_int_equal(thing_add(v, BIT(3), &t), 0);
	t->pci.ops = &ops;
	cap = pci_add_capability(&t->pci, PCI_CAP_ID_MSI, 24);
	assert_int_equal(cap, CAP);
	memset(t->pci.config + cap + 2, 0xff, 22);
	put_le(t->pci.config + cap + PCI_MSI_FLAGS, 2, control);
	msi_cap_init(&msi, &t->pci, cap);
	return v;
}

static struct toy_vm *start(u32 control)
{
	struct toy_vm *v = make(control);

	assert_int_equal(msi_cap_take_routes(&msi), 0);
	set_cfg(v, 1, PCI_COMMAND, 2, MASTER);
	return v;
}

static void stop(struct toy_vm *v)
{
	msi_cap_fini(&msi);
	msi_cap_fini(&msi);
	toy_vm_free(v);
}

static void notify(u32 n)
{
	msi_route_trigger(msi.routes[n]);
}

static void test_sizes(void **state)
{
	static const struct {
		u32 control, size, nr, data, mask;
	} kinds[] = {
		{ 0, 10, 1, 8, 0 },
		{ PCI_MSI_FLAGS_64BIT | 2 << 1, 14, 4, 12, 0 },
		{ PCI_MSI_FLAGS_MASKBIT | 5 << 1, 20, 32, 8, 12 },
		{ PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT | 3 << 1, 24, 8, 12, 16 },
		/* Numbers that are reserved. */
		{ PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT | 7 << 1, 24, 32, 12, 16 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct toy_vm *v = start(kinds[i].control | ENABLE | PCI_MSI_FLAGS_QSIZE);

		assert_int_equal(msi_cap_size(kinds[i].control), kinds[i].size);
		assert_int_equal(msi.nr, kinds[i].nr);
		/* As after power-on. */
		assert_int_equal(cfg(v, 1, CONTROL, 2), kinds[i].control);
		for (u32 at = 4; at < kinds[i].size; at += 2)
			assert_int_equal(cfg(v, 1, CAP + at, 2), 0);
		for (u32 at = 2; at < kinds[i].size; at += 2)
			set_cfg(v, 1, CAP + at, 2, 0xffff);
		assert_int_equal(cfg(v, 1, CONTROL, 2),
				 kinds[i].control | ENABLE | PCI_MSI_FLAGS_QSIZE);
		assert_int_equal(cfg(v, 1, CAP + PCI_MSI_ADDRESS_LO, 4), 0xfffffffc);
		assert_int_equal(cfg(v, 1, CAP + kinds[i].data, 2), 0xffff);
		if (kinds[i].mask)
			assert_int_equal(cfg(v, 1, CAP + kinds[i].mask, 4),
					 (u32)(BIT_ULL(kinds[i].nr) - 1));
		/* More than there are. */
		assert_int_equal(msi_cap_used(&msi), kinds[i].nr);
		stop(v);
	}
}

static void test_messages(void **state)
{
	struct toy_vm *v = start(PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT | 3 << 1);
	struct toy_chip *c = &v->chip;

	(void)state;
	set_cfg(v, 1, CAP + PCI_MSI_ADDRESS_LO, 4, 0xfee01000);
	set_cfg(v, 1, CAP + PCI_MSI_ADDRESS_HI, 4, 1);
	set_cfg(v, 1, CAP + PCI_MSI_DATA_64, 2, 0x4f);
	notify(0); /* not enabled: lost */
	assert_int_equal(msi_cap_used(&msi), 0);
	set_cfg(v, 1, CONTROL, 2, ENABLE | 2 << 4);
	assert_int_equal(msi_cap_used(&msi), 4);
	assert_int_equal(c->msis, 0);
	notify(2);
	assert_int_equal(c->msis, 1);
	assert_true(c->last_addr == 0x1fee01000 && c->last_data == 0x4e);
	/* Those that were not given to it. */
	notify(5);
	assert_int_equal(c->msis, 1);
	/* Masked: once, and with the message of then. */
	set_cfg(v, 1, CAP + PCI_MSI_MASK_64, 4, BIT(2));
	notify(2);
	notify(2);
	notify(3);
	assert_int_equal(c->msis, 2);
	assert_int_equal(cfg(v, 1, CAP + PCI_MSI_PENDING_64, 4), BIT(2));
	set_cfg(v, 1, CAP + PCI_MSI_PENDING_64, 4, 0);
	set_cfg(v, 1, CAP + PCI_MSI_DATA_64, 2, 0x60);
	set_cfg(v, 1, CAP + PCI_MSI_MASK_64, 4, 0);
	assert_int_equal(c->msis, 3);
	assert_int_equal(c->last_data, 0x62);
	assert_int_equal(cfg(v, 1, CAP + PCI_MSI_PENDING_64, 4), 0);
	/* A message is a memory write. */
	set_cfg(v, 1, PCI_COMMAND, 2, PCI_COMMAND_MEMORY);
	notify(1);
	assert_int_equal(c->msis, 3);
	assert_int_equal(cfg(v, 1, CAP + PCI_MSI_PENDING_64, 4), BIT(1));
	set_cfg(v, 1, PCI_COMMAND, 2, MASTER);
	assert_int_equal(c->msis, 4);
	/* What is pending goes with a reset. */
	set_cfg(v, 1, CAP + PCI_MSI_MASK_64, 4, BIT(2));
	notify(2);
	msi_cap_reset(&msi);
	assert_int_equal(cfg(v, 1, CAP + PCI_MSI_PENDING_64, 4), 0);
	notify(1);
	assert_int_equal(c->msis, 4);
	stop(v);
}

static void send_second(void *opaque)
{
	notify(1);
}

/* What is sent while it is being enabled comes. */
static void test_sent_while_enabling(void **state)
{
	struct toy_vm *v = start(PCI_MSI_FLAGS_64BIT | 1 << 1);

	(void)state;
	set_cfg(v, 1, CAP + PCI_MSI_ADDRESS_LO, 4, 0xfee01000);
	v->chip.on_table = send_second;
	set_cfg(v, 1, CONTROL, 2, ENABLE | 1 << 4);
	v->chip.on_table = NULL;
	assert_true(v->chip.tables > 0);
	assert_int_equal(v->chip.msis, 1);
	stop(v);
}

/* 32 bits of an address: what is behind them is the data. */
static void test_narrow(void **state)
{
	struct toy_vm *v = start(0);

	(void)state;
	set_cfg(v, 1, CAP + PCI_MSI_ADDRESS_LO, 4, 0xfee02000);
	set_cfg(v, 1, CAP + PCI_MSI_DATA_32, 2, 0x4321);
	set_cfg(v, 1, CONTROL, 2, ENABLE | 3 << 4);
	assert_int_equal(msi_cap_used(&msi), 1);
	notify(0);
	assert_int_equal(v->chip.msis, 1);
	assert_true(v->chip.last_addr == 0xfee02000 && v->chip.last_data == 0x4321);
	assert_int_equal(msi_cap_fd(&msi, 1), -EINVAL);
	stop(v);
}

static void test_no_room(void **state)
{
	struct toy_vm *v = make(3 << 1);

	(void)state;
	v->vm.irqs.max_routes = 4;
	capture_begin();
	assert_int_equal(msi_cap_take_routes(&msi), -ENOSPC);
	(void)capture_end();
	assert_contains(captured, "cannot make its 8 message interrupts");
	/* Nothing is half-made. */
	assert_null(msi.routes[0]);
	set_cfg(v, 1, CONTROL, 2, ENABLE);
	assert_int_equal(cfg(v, 1, CONTROL, 2), ENABLE | 3 << 1);
	stop(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_sent_while_enabling),
		cmocka_unit_test(test_narrow),
		cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
