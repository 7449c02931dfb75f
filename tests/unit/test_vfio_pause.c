/* SPDX-License-Identifier: MIT */
/* VFIO: functions with migration, in a machine that pauses, is reset and ends. */
#include "unit.h"

#include <sys/stat.h>

#include "../../vfio/pci.h"
#include "../lib/fake_migration.h"
#include "capture.h"
#include "devvm.h"
#include "lkvm/pci.h"
#include "vfio_layout.h"

static struct devvm d;
static struct fake_migration a, b;
static char trace[FAKE_TRACE];

/* Functions A and B, as mtty is: PCI without any capability. */
static void start(void)
{
	trace[0] = '\0';
	fake_migration_init(&a, "A", FAKE_ALL_MIGRATION, trace);
	fake_migration_init(&b, "B", FAKE_ALL_MIGRATION, trace);
	devvm_init(&d);
	assert_int_equal(pci_host_add(&d.vm, &layout, 0x800000000ULL), 0);
	assert_int_equal(vfio_pci_add(&d.vm, &a.f.dev, 0), 0);
	assert_int_equal(vfio_pci_add(&d.vm, &b.f.dev, 1), 0);
}

static void stop(void)
{
	vm_destroy(&d.vm);
	assert_int_equal(a.open + b.open, 0);
	fake_vfio_destroy(&a.f);
	fake_vfio_destroy(&b.f);
}

static void expect(const char *text)
{
	assert_string_equal(trace, text);
	trace[0] = '\0';
}

static void test_pause(void **state)
{
	(void)state;
	start();
	vm_quiesce_devices(&d.vm);
	expect("B:RUNNING_P2P A:RUNNING_P2P B:STOP A:STOP ");
	vm_resume_devices(&d.vm);
	expect("A:RUNNING_P2P B:RUNNING_P2P A:RUNNING B:RUNNING ");
	/* While vcpus run only memory changes its shape. */
	atomic_store(&d.vm.running, true);
	vm_quiesce_devices(&d.vm);
	vm_resume_devices(&d.vm);
	expect("");
	stop();
}

static void test_reboot(void **state)
{
	(void)state;
	start();
	vm_quiesce_devices(&d.vm);
	trace[0] = '\0';
	vm_reset_devices(&d.vm);
	assert_int_equal(a.state, VFIO_ABI_STATE_RUNNING);
	/* They are running: nothing has to be done, and each can be stopped again. */
	vm_resume_devices(&d.vm);
	expect("");
	vm_quiesce_devices(&d.vm);
	expect("B:RUNNING_P2P A:RUNNING_P2P B:STOP A:STOP ");
	stop();
}

static void test_end(void **state)
{
	char dir[] = "/tmp/vfio-pause-XXXXXX", one[64], two[64];
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(one, sizeof(one), "%s/one", dir);
	snprintf(two, sizeof(two), "%s/two", dir);
	start();
	a.f.cfg.state_out = one;
	b.f.cfg.state_out = two;
	vm_finish_devices(&d.vm);
	expect("B:PRE_COPY B:PRE_COPY_P2P A:RUNNING_P2P A:STOP B:STOP_COPY B:STOP A:STOP_COPY "
	       "A:STOP ");
	assert_int_equal(stat(one, &st) | stat(two, &st), 0);
	stop();
	/* What A left, B begins with. */
	fake_migration_init(&b, "B", FAKE_ALL_MIGRATION, trace);
	b.f.cfg.state_in = one;
	devvm_init(&d);
	assert_int_equal(pci_host_add(&d.vm, &layout, 0x800000000ULL), 0);
	assert_int_equal(vfio_pci_add(&d.vm, &b.f.dev, 0), 0);
	assert_int_equal(b.memory[0], 'A');
	assert_int_equal(b.state, VFIO_ABI_STATE_RUNNING);
	vm_destroy(&d.vm);
	fake_vfio_destroy(&b.f);
	assert_int_equal(unlink(one) | unlink(two) | rmdir(dir), 0);
}

#define EXP_AT 0x40U

/* As the host's driver does it: the device runs. */
static bool resets(struct fake_vfio *f, u32 region, u64 offset, const void *buf, u32 len)
{
	if (region == VFIO_PCI_CONFIG_REGION_INDEX && offset == EXP_AT + PCI_EXP_DEVCTL)
		a.state = VFIO_ABI_STATE_RUNNING;
	return false;
}

/* The guest's own reset ends ERROR too. */
static void test_reset_by_the_guest(void **state)
{
	u8 *config;

	(void)state;
	trace[0] = '\0';
	fake_migration_init(&a, "A", FAKE_ALL_MIGRATION, trace);
	config = a.f.regions[VFIO_PCI_CONFIG_REGION_INDEX].bytes;
	put_le(config + PCI_STATUS, 2, PCI_STATUS_CAP_LIST);
	config[PCI_CAPABILITY_LIST] = EXP_AT;
	put_le(config + EXP_AT, 4, PCI_CAP_ID_EXP | 2 << 16);
	put_le(config + EXP_AT + PCI_EXP_DEVCAP, 4, PCI_EXP_DEVCAP_FLR);
	a.f.on_write = resets;
	devvm_init(&d);
	assert_int_equal(pci_host_add(&d.vm, &layout, 0x800000000ULL), 0);
	assert_int_equal(vfio_pci_add(&d.vm, &a.f.dev, 0), 0);
	a.fails_to = VFIO_ABI_STATE_STOP;
	capture_begin();
	vm_quiesce_devices(&d.vm);
	(void)capture_end();
	a.fails_to = FAKE_NOTHING;
	vm_resume_devices(&d.vm);
	assert_int_equal(a.state, VFIO_ABI_STATE_ERROR);
	pci_config_write(d.vm.pci, 8, EXP_AT + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR, 2);
	assert_int_equal(a.state, VFIO_ABI_STATE_RUNNING);
	trace[0] = '\0';
	vm_quiesce_devices(&d.vm);
	expect("A:RUNNING_P2P A:STOP ");
	vm_destroy(&d.vm);
	fake_vfio_destroy(&a.f);
}

/* A device that is not taken leaves nothing in the others' ring. */
static void test_refused(void **state)
{
	struct fake_migration c;

	(void)state;
	start();
	fake_migration_init(&c, "C", FAKE_ALL_MIGRATION, trace);
	c.f.cfg.state_in = (char *)"/nowhere/file";
	capture_begin();
	assert_int_equal(vfio_pci_add(&d.vm, &c.f.dev, 2), -ENOENT);
	assert_one_line(capture_end());
	fake_vfio_destroy(&c.f);
	vm_quiesce_devices(&d.vm);
	expect("B:RUNNING_P2P A:RUNNING_P2P B:STOP A:STOP ");
	stop();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pause),	cmocka_unit_test(test_reboot),
		cmocka_unit_test(test_end),	cmocka_unit_test(test_reset_by_the_guest),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
