/* SPDX-License-Identifier: MIT */
/* x86/words.c: which words of Linux's command line count, and what is said of them. */
#include "capture.h"

#include "../../../x86/platform.h"
#include "lkvm/boot.h"
#include "lkvm/config.h"

static struct vm_config cfg;
static struct boot boot;

static void begin(const char *cmdline)
{
	cfg = (struct vm_config){ .cmdline = (char *)cmdline, .cpus = 1 };
	boot = (struct boot){ .is_known = true, .is_linux = true };
}

static void test_wants_pic(void **state)
{
	static const char *const yes[] = {
		"noapic",
		"ro noapic quiet",
		"nosmp",
		"maxcpus=0 quiet",
		"acpi=noirq",
		"pci=noacpi",
		"pci=conf1,noacpi",
		"quiet pci=noacpi,nomsi",
		"nolapic",
		"disableapic",
		"acpi=off",
		"\"noapic\"",
		"a=\"b c\" noapic",
		"\tnoapic\n",
	};
	static const char *const no[] = {
		"",
		"noapicx",
		"xnoapic",
		"noapic=1",
		"-- noapic",
		"quiet -- noapic",
		"a=\"x noapic y\"",
		"apic=noapic",
		"maxcpus=01",
		"maxcpus=1",
		"acpi=noirqs",
		"pci=noacpix",
		"pci=nomsi",
		"pci=off",
		"noacpi",
		"pci=",
		"pci",
		"lapic=notscdeadline",
		"reboot=k panic=1",
	};

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		begin(yes[i]);
		if (!x86_loses_ioapic(&cfg, &boot))
			fail_msg("'%s' is not seen", yes[i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(no); i++) {
		begin(no[i]);
		if (x86_loses_ioapic(&cfg, &boot))
			fail_msg("'%s' is taken for one", no[i]);
	}
	/* Words of Linux, for Linux. */
	begin("noapic");
	boot.is_linux = false;
	assert_false(x86_loses_ioapic(&cfg, &boot));
	begin(NULL);
	assert_false(x86_loses_ioapic(&cfg, &boot));
}

static const char *warned(void)
{
	capture_begin();
	x86_warn_words(&cfg, &boot, cfg.x86.irqchip != X86_IRQCHIP_SPLIT);
	return capture_end();
}

static void test_warnings(void **state)
{
	/* It gets its interrupts: nothing to say. */
	begin("noapic nosmp pci=noacpi");
	cfg.nr_disks = 2;
	assert_string_equal(warned(), "");
	cfg.x86.irqchip = X86_IRQCHIP_SPLIT;
	assert_one_line(warned());
	assert_contains(captured, "--params: 'noapic' leaves the guest without interrupts");
	assert_contains(captured, "--irqchip full");
	boot.is_linux = false;
	assert_string_equal(warned(), "");
	/* Only some pins of virtio-mmio reach an 8259. */
	begin("nosmp");
	cfg.transport = TRANSPORT_MMIO;
	cfg.nr_disks = 6;
	assert_string_equal(warned(), "");
	cfg.nr_nets = 1;
	assert_one_line(warned());
	assert_contains(captured, "'nosmp' leaves virtio devices after number 6");
	/* Without messages. */
	begin("nolapic");
	assert_string_equal(warned(), "");
	cfg.rng = true;
	assert_one_line(warned());
	assert_contains(captured, "'nolapic' leaves the virtio devices on PCI without interrupts");
	cfg.transport = TRANSPORT_MMIO;
	assert_string_equal(warned(), "");
	/* Without PCI. */
	begin("pci=off");
	assert_string_equal(warned(), "");
	cfg.console = CONSOLE_VIRTIO;
	assert_one_line(warned());
	assert_contains(captured, "'pci=off' hides the virtio devices on PCI");
	cfg.transport = TRANSPORT_MMIO;
	assert_string_equal(warned(), "");
	/* Without ACPI. */
	begin("acpi=off");
	assert_one_line(warned());
	assert_contains(captured, "'acpi=off' leaves the guest no way to power off, and");
	cfg.transport = TRANSPORT_MMIO;
	cfg.nr_disks = 1;
	assert_one_line(warned());
	assert_contains(captured, "hides its virtio devices");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_wants_pic),
		cmocka_unit_test(test_warnings),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
