/* SPDX-License-Identifier: MIT */
/* VFIO: INTx and MSI of a device that is passed through, resets, and what it may say of itself. */
#include <sys/resource.h>

#include "vfio_irq_rig.h"

/* INTx */

static void test_intx(void **state)
{
	(void)state;
	device();
	start();
	assert_true(is_on(INTX));
	assert_int_equal(get(PCI_INTERRUPT_PIN, 1), 1);
	assert_int_equal(chip.nr_bound, 1);
	assert_int_equal(chip.bound[0].gsi, GSI);
	assert_int_equal(chip.bound[0].fd, f.fds[INTX][0]);
	assert_true(f.unmask_fd >= 0);
	assert_int_equal(chip.bound[0].resample_fd, f.unmask_fd);
	/* Whether it is raised only the device knows. */
	assert_int_equal(get(PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, 0);
	put(PCI_STATUS, PCI_STATUS_CAP_LIST | PCI_STATUS_INTERRUPT, 2);
	assert_int_equal(get(PCI_STATUS, 2) & PCI_STATUS_INTERRUPT, PCI_STATUS_INTERRUPT);
	/* The guest's mask is the device's command register. */
	set(PCI_COMMAND, MASTER | PCI_COMMAND_INTX_DISABLE, 2);
	assert_int_equal(get_le(CONFIG + PCI_COMMAND, 2), MASTER | PCI_COMMAND_INTX_DISABLE);
	assert_true(is_on(INTX));
	stop();
}

/* As drivers of mdevs do: they know no descriptors for that. */
static int refuses_unmask_fd(struct fake_vfio *fake, unsigned long request, void *arg)
{
	const struct vfio_irq_set *s = arg;

	if (request == VFIO_DEVICE_SET_IRQS && s->flags & VFIO_IRQ_SET_ACTION_UNMASK &&
	    s->flags & VFIO_IRQ_SET_DATA_EVENTFD)
		return -ENOTTY;
	return 1;
}

static void test_intx_unmasked_by_a_call(void **state)
{
	(void)state;
	device();
	f.before = refuses_unmask_fd;
	start();
	assert_true(is_on(INTX));
	assert_int_equal(f.unmask_fd, -1);
	f.masked[INTX] = true;
	pump();
	assert_true(f.masked[INTX]);
	eventfd_raise(chip.bound[0].resample_fd);
	pump();
	assert_false(f.masked[INTX]);
	/* Off and on: it is watched again, and nothing of before counts. */
	set(MSI_AT + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE, 2);
	eventfd_raise(chip.bound[0].resample_fd);
	pump();
	set(MSI_AT + PCI_MSI_FLAGS, 0, 2);
	f.masked[INTX] = true;
	pump();
	assert_true(f.masked[INTX]);
	eventfd_raise(irqs()->intx.resample_fd);
	pump();
	assert_false(f.masked[INTX]);
	stop();
}

/* Nobody tells of the end of an interrupt: the line is held for a moment. */
static void raise_polled(void)
{
	int lows = chip.lows;

	f.masked[INTX] = true;
	eventfd_raise(f.fds[INTX][0]);
	while (chip.lows == lows)
		pump();
	assert_false(f.masked[INTX]);
}

static void test_intx_polled(void **state)
{
	(void)state;
	device();
	ops.bind_resample = NULL;
	start();
	assert_true(is_on(INTX));
	assert_int_equal(get(PCI_INTERRUPT_PIN, 1), 1);
	assert_int_equal(chip.highs, 0);
	raise_polled();
	assert_int_equal(chip.highs, 1);
	assert_int_equal(chip.last_gsi, GSI);
	raise_polled();
	assert_int_equal(chip.highs, 2);
	/* It falls when it is switched off, and comes no more. */
	eventfd_raise(f.fds[INTX][0]);
	while (chip.highs < 3)
		pump();
	set(MSI_AT + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE, 2);
	assert_int_equal(chip.lows, 3);
	stop();
}

static int realize_other(struct device *dev, struct vm *vm)
{
	return pci_device_add(vm->pci, container_of(dev, struct pci_device, dev));
}

static void destroy_other(struct device *dev)
{
	pci_device_fini(container_of(dev, struct pci_device, dev));
}

static const struct device_ops other_ops = {
	.realize = realize_other,
	.state = &no_state,
	.destroy = destroy_other,
};

static void test_intx_shared_where_levels_are_not_added(void **state)
{
	static const struct pci_ident nobody = { .vendor = 1 };
	static struct pci_device others[5];

	(void)state;
	for (u32 n = 4; n <= 5; n++) {
		device();
		ops.resample_alone = true;
		start_host();
		memset(others, 0, sizeof(others));
		for (u32 i = 0; i < n; i++) {
			others[i].dev.name = "other";
			others[i].dev.ops = &other_ops;
			others[i].no_intx = i == 0 || (i == 1 && n == 4);
			pci_device_init(&others[i], &nobody, PCI_CFG_SPACE_SIZE);
			assert_int_equal(device_add(&d.vm, &others[i].dev), 0);
		}
		assert_int_equal(fake_vfio_open(&f), 0);
		assert_int_equal(vfio_pci_add(&d.vm, &f.dev, 0), 0);
		/* Slot 5 has the line of slot 1, which has no pin; slot 6 that of slot 2. */
		assert_int_equal(chip.nr_bound, n == 4 ? 1 : 0);
		assert_true(is_on(INTX));
		stop();
	}
}

static int refuses_intx(struct fake_vfio *fake, unsigned long request, void *arg)
{
	const struct vfio_irq_set *s = arg;

	return request == VFIO_DEVICE_SET_IRQS && s->index == INTX && s->count ? -EBUSY : 1;
}

static void test_no_intx(void **state)
{
	(void)state;
	device();
	f.before = refuses_intx;
	capture_begin();
	start();
	(void)capture_end();
	assert_contains(captured, "the guest sees no INTx, since the host gives none: Device or "
				  "resource busy");
	assert_true(is_on(VFIO_NO_KIND));
	assert_int_equal(get(PCI_INTERRUPT_PIN, 1), 0);
	set(MSI_AT + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE, 2);
	assert_true(is_on(MSI));
	set(MSI_AT + PCI_MSI_FLAGS, 0, 2);
	assert_true(is_on(VFIO_NO_KIND));
	d.vm.devices->next->ops->reset(d.vm.devices->next);
	assert_int_equal(get(PCI_INTERRUPT_PIN, 1), 0);
	stop();
}

/* Nor does a chip that does not take the line keep the machine from starting. */
static void test_no_line(void **state)
{
	(void)state;
	device();
	chip.bind_error = -ENOMEM;
	capture_begin();
	start();
	(void)capture_end();
	chip.bind_error = 0;
	assert_contains(captured, "the guest sees no INTx, since the host gives none: Cannot "
				  "allocate memory");
	assert_int_equal(get(PCI_INTERRUPT_PIN, 1), 0);
	enable_msi(0);
	assert_true(is_on(MSI));
	assert_int_equal(sends(MSI, 0), 1);
	stop();
}

/* What is missing is said before the guest starts, and nothing is left of the rest. */
static void test_nothing_left(void **state)
{
	static const struct kvm_irq_routing_entry pin = { .type = KVM_IRQ_ROUTING_IRQCHIP };
	struct rlimit limit, none;
	int at;

	(void)state;
	device();
	chip.max_routes = 12;
	start_host();
	assert_int_equal(irq_set_fixed_routes(&d.vm.irqs, &pin, 1, 1), 0);
	assert_int_equal(fake_vfio_open(&f), 0);
	capture_begin();
	assert_int_equal(vfio_pci_add(&d.vm, &f.dev, 0), -ENOSPC);
	(void)capture_end();
	assert_contains(captured, "no routes are left for its 16 message interrupts");
	stop();

	device();
	start_host();
	assert_int_equal(fake_vfio_open(&f), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	capture_begin();
	at = dup(0);
	assert_true(at >= 0);
	close(at);
	none = limit;
	none.rlim_cur = (rlim_t)at + 10;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(vfio_pci_add(&d.vm, &f.dev, 0), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	(void)capture_end();
	assert_contains(captured, "cannot create an eventfd for each of its message interrupts: "
				  "Too many open files; raise 'ulimit -n'");
	stop();
}

/* MSI */

static void test_msi(void **state)
{
	(void)state;
	device();
	start();
	enable_msi(2);
	assert_true(is_on(MSI));
	assert_int_equal(f.nr_bound[MSI], 4);
	for (u32 v = 0; v < 4; v++)
		assert_int_equal(sends(MSI, v), 1);
	assert_int_equal(chip.routes[3].u.msi.data, 0x47); /* the lowest two bits are the number */
	assert_int_equal(chip.routes[0].u.msi.data, 0x44);
	/* Nothing of it reached the device's own registers. */
	assert_int_equal(get_le(CONFIG + MSI_AT + PCI_MSI_ADDRESS_LO, 4), 0);
	/* Masked: it stays bound, and the bit says what waits. */
	set(MSI_AT + PCI_MSI_MASK_64, BIT(1), 4);
	assert_true(f.fds[MSI][1] >= 0);
	assert_int_equal(sends(MSI, 1), 0);
	assert_int_equal(get(MSI_AT + PCI_MSI_PENDING_64, 4), BIT(1));
	set(MSI_AT + PCI_MSI_MASK_64, 0, 4);
	assert_int_equal(get(MSI_AT + PCI_MSI_PENDING_64, 4), 0);
	chip_settle(&chip);
	assert_int_equal(chip.by_gsi[irqs()->msi.routes[1]->gsi], 2);
	/* Another number of them. */
	enable_msi(3);
	assert_int_equal(f.nr_bound[MSI], 8);
	assert_int_equal(sends(MSI, 7), 1);
	set(MSI_AT + PCI_MSI_FLAGS, 0, 2);
	assert_true(is_on(INTX));
	assert_true(f.unmask_fd >= 0);
	stop();
}

static void test_msi_of_a_host_with_fewer(void **state)
{
	(void)state;
	device();
	f.before = has_fewer;
	start();
	host_has = 3;
	capture_begin();
	enable_msi(3);
	(void)capture_end();
	assert_contains(captured, "only 2 of the 8 MSI interrupts");
	assert_int_equal(f.nr_bound[MSI], 2);
	assert_int_equal(sends(MSI, 1), 1);
	/* None at all: nothing is on, and INTx comes back after it. */
	host_has = 0;
	set(MSI_AT + PCI_MSI_FLAGS, 0, 2);
	assert_true(is_on(INTX));
	enable_msi(0);
	assert_true(is_on(VFIO_NO_KIND));
	set(MSI_AT + PCI_MSI_FLAGS, 0, 2);
	assert_true(is_on(INTX));
	stop();
}

/* Resets */

static bool was_off;

static int looks_at_reset(struct fake_vfio *fake, unsigned long request, void *arg)
{
	if (request == VFIO_DEVICE_RESET)
		was_off = is_on(VFIO_NO_KIND);
	return 1;
}

static void test_resets(void **state)
{
	struct device *dev;

	(void)state;
	device();
	f.before = looks_at_reset;
	start();
	for (dev = d.vm.devices; dev->next; dev = dev->next)
		;
	/* INTx too: it is another one afterwards. */
	f.set_irqs = 0;
	was_off = false;
	dev->ops->reset(dev);
	assert_true(was_off && is_on(INTX));
	for (int flr = 0; flr < 2; flr++) {
		set_vector(3, 0x41, false);
		enable_msix();
		assert_true(is_on(MSIX));
		was_off = false;
		if (flr)
			set(EXP_AT + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR, 2);
		else
			dev->ops->reset(dev);
		assert_true(flr || was_off);
		assert_true(is_on(INTX));
		assert_int_equal(get(MSIX_AT + PCI_MSIX_FLAGS, 2), VECTORS - 1);
		set(PCI_BASE_ADDRESS_0, MEM32, 4);
		set(PCI_COMMAND, MASTER, 2);
		assert_int_equal(mem(TABLE + 16 * 3 + 12, 4), 1);
		enable_msix();
		assert_int_equal(f.fds[MSIX][3], -1);
		set(MSIX_AT + PCI_MSIX_FLAGS, 0, 2);
	}
	stop();
}

/* What the device says of itself */

static void lies(const char *text, u32 first, u32 second)
{
	capture_begin();
	start();
	(void)capture_end();
	assert_contains(captured, text);
	assert_int_equal(get(PCI_CAPABILITY_LIST, 1), first);
	assert_int_equal(get(first, 2) >> 8, second);
	set(MSIX_AT, ~0U, 4);
	set(MSI_AT, ~0U, 4);
	assert_true(is_on(INTX) || is_on(MSI) || is_on(MSIX));
	stop();
}

static void test_lies(void **state)
{
	(void)state;
	device();
	put(MSIX_AT + PCI_MSIX_TABLE, 0x3f80, 4);
	lies("hides MSI-X: its table is not within a BAR", MSI_AT, EXP_AT);
	device();
	put(MSIX_AT + PCI_MSIX_TABLE, 7, 4);
	lies("hides MSI-X: its table is not within a BAR", MSI_AT, EXP_AT);
	device();
	put(MSIX_AT + PCI_MSIX_PBA, 0x3ffffff8, 4);
	lies("hides MSI-X: its pending bits are not within a BAR", MSI_AT, EXP_AT);
	device();
	put(MSIX_AT + PCI_MSIX_PBA, 0x10f8, 4);
	lies("hides MSI-X: its table and its pending bits overlap", MSI_AT, EXP_AT);
	device();
	put(PCI_BASE_ADDRESS_0, PCI_BASE_ADDRESS_SPACE_IO, 4);
	lies("hides MSI-X: its table is not within a BAR", MSI_AT, EXP_AT);
	device();
	f.irqs[MSIX].count = 0;
	lies("hides MSI-X: the host has none of it", MSI_AT, EXP_AT);
	device();
	f.irqs[MSI].count = 0;
	lies("hides MSI: the host has none of it", MSIX_AT, EXP_AT);
	/* Room for 14 bytes, but not for the masks. */
	device();
	put(EXP_AT, PCI_CAP_ID_EXP | 0xf0 << 8, 2);
	put(PCI_CAPABILITY_LIST, MSIX_AT, 1);
	put(0xf0, PCI_CAP_ID_MSI, 2);
	put(0xf0 + PCI_MSI_FLAGS, PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT, 2);
	lies("hides MSI: the capability does not end", MSIX_AT, EXP_AT);
	/* The only one. */
	device();
	put(MSI_AT, PCI_CAP_ID_MSI, 2);
	f.irqs[MSI].count = 0;
	capture_begin();
	start();
	(void)capture_end();
	assert_int_equal(get(PCI_STATUS, 2) & PCI_STATUS_CAP_LIST, 0);
	stop();
	/* Fewer than the registers say: no more are shown, or used. */
	device();
	f.irqs[MSI].count = 3;
	f.irqs[MSIX].count = 2;
	start();
	assert_int_equal(get(MSI_AT + PCI_MSI_FLAGS, 2) & PCI_MSI_FLAGS_QMASK, 1 << 1);
	enable_msi(5);
	assert_int_equal(f.nr_bound[MSI], 2);
	set_vector(9, 0x41, false);
	enable_msix();
	assert_int_equal(f.nr_bound[MSIX], 2);
	stop();
}

/* The host says it again and again until it has its device. */
static void test_wanted_back(void **state)
{
	(void)state;
	device();
	f.irqs[VFIO_PCI_REQ_IRQ_INDEX] = (struct vfio_irq){ VFIO_IRQ_INFO_EVENTFD, 1 };
	start();
	assert_int_equal(f.nr_bound[VFIO_PCI_REQ_IRQ_INDEX], 1);
	d.cfg.name = (char *)"web";
	capture_begin();
	for (int i = 0; i < 3; i++) {
		eventfd_raise(f.fds[VFIO_PCI_REQ_IRQ_INDEX][0]);
		pump();
	}
	capture_end();
	assert_one_line(captured);
	assert_contains(captured, "warning: --vfio 0000:03:00.0: the host wants the device back");
	assert_contains(captured, "('lkvm stop web')");
	d.cfg.name = NULL;
	stop();
	/* Without a name. */
	device();
	f.irqs[VFIO_PCI_REQ_IRQ_INDEX] = (struct vfio_irq){ VFIO_IRQ_INFO_EVENTFD, 1 };
	start();
	capture_begin();
	eventfd_raise(f.fds[VFIO_PCI_REQ_IRQ_INDEX][0]);
	pump();
	capture_end();
	assert_contains(captured, "('lkvm list', 'lkvm stop NAME')");
	stop();
}

static void test_error_of_the_device(void **state)
{
	(void)state;
	device();
	f.irqs[VFIO_PCI_ERR_IRQ_INDEX] = (struct vfio_irq){ VFIO_IRQ_INFO_EVENTFD, 1 };
	start();
	capture_begin();
	eventfd_raise(f.fds[VFIO_PCI_ERR_IRQ_INDEX][0]);
	pump();
	capture_end();
	assert_one_line(captured);
	assert_contains(captured,
			"error: --vfio 0000:03:00.0: the device had an uncorrected error");
	/* The machine goes on, and the next one is said, too. */
	capture_begin();
	eventfd_raise(f.fds[VFIO_PCI_ERR_IRQ_INDEX][0]);
	pump();
	capture_end();
	assert_one_line(captured);
	stop();
}

static int refuses_notices(struct fake_vfio *fake, unsigned long request, void *arg)
{
	const struct vfio_irq_set *s = arg;

	return request == VFIO_DEVICE_SET_IRQS && s->index > MSIX ? -ENOTTY : 1;
}

/* An older kernel, or a driver that has none: the device works. */
static void test_no_notices(void **state)
{
	(void)state;
	device();
	f.irqs[VFIO_PCI_ERR_IRQ_INDEX].count = f.irqs[VFIO_PCI_REQ_IRQ_INDEX].count = 1;
	f.before = refuses_notices;
	capture_begin();
	start();
	capture_end();
	assert_string_equal(captured, "");
	assert_true(is_on(INTX));
	stop();
}

/* MSI's pending bits, which lie where MSI-X says its table's place: that is as it was. */
static void test_capabilities_that_overlap(void **state)
{
	const u32 at = MSIX_AT - 0x10, pending = at + PCI_MSI_PENDING_64;
	struct vfio_pci *vp;

	(void)state;
	device();
	put(PCI_CAPABILITY_LIST, at, 1);
	put(at, PCI_CAP_ID_MSI | MSIX_AT << 8, 2);
	put(at + PCI_MSI_FLAGS, PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT | 3 << 1, 2);
	start();
	vp = irqs()->vp;
	assert_int_equal(pending, MSIX_AT + PCI_MSIX_TABLE);
	assert_true(vfio_pci_msix_covers(vp, 0, 0, 4));
	set(PCI_COMMAND, PCI_COMMAND_MEMORY, 2);
	set(at + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE | 1 << 4, 2);
	assert_int_equal(sends(MSI, 1), 0);
	assert_int_equal(get(pending, 4), BIT(1));
	assert_true(vfio_pci_msix_covers(vp, 0, 0, 4));
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_intx),
		cmocka_unit_test(test_intx_unmasked_by_a_call),
		cmocka_unit_test(test_intx_polled),
		cmocka_unit_test(test_intx_shared_where_levels_are_not_added),
		cmocka_unit_test(test_no_intx),
		cmocka_unit_test(test_no_line),
		cmocka_unit_test(test_nothing_left),
		cmocka_unit_test(test_msi),
		cmocka_unit_test(test_msi_of_a_host_with_fewer),
		cmocka_unit_test(test_resets),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_wanted_back),
		cmocka_unit_test(test_error_of_the_device),
		cmocka_unit_test(test_no_notices),
		cmocka_unit_test(test_capabilities_that_overlap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
