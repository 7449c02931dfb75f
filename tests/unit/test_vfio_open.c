/* SPDX-License-Identifier: MIT */
/* VFIO: how devices are reached, what is told to KVM and when, and what stays when a call fails. */
#include "unit.h"

#include "../lib/fake_iommu_host.h"
#include "capture.h"
#include "devvm.h"

#define NIC    "0000:01:00.0"
#define DISK   "0000:02:00.0"
#define SERIAL "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001"
#define RAM    (4 * MiB)

static struct devvm d;
static struct fake_iommu f;
static struct vfio_set *set;
static struct vfio_config vfios[3];

static void ask(u32 i, const char *device, enum vfio_iommufd way)
{
	vfios[i] = (struct vfio_config){ .device = (char *)device, .iommufd = way };
	d.cfg.vfios = vfios;
	d.cfg.nr_vfios = i + 1;
}

static void make_machine(u32 nr_vfios)
{
	devvm_init(&d);
	d.vm.kvm.vm_fd = FAKE_VM_FD;
	d.cfg.vfios = vfios;
	d.cfg.nr_vfios = nr_vfios;
	assert_int_equal(memory_add(&d.vm.mem, &(struct memory_desc){ .size = RAM, .name = "RAM" }),
			 0);
}

static int setup(void **state)
{
	(void)state;
	fake_iommu_init(&f);
	memset(vfios, 0, sizeof(vfios));
	set = NULL;
	make_machine(0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	d.vm.kvm.vm_fd = -1;
	vm_destroy(&d.vm);
	fake_iommu_destroy(&f);
	return 0;
}

/* Two functions, with all that a host of today has. */
static void modern(void)
{
	fake_iommu_add(&f, NIC, 16, true);
	fake_iommu_add(&f, DISK, 17, true);
	ask(0, NIC, VFIO_IOMMUFD_AUTO);
	ask(1, DISK, VFIO_IOMMUFD_AUTO);
}

static void old(u32 first, u32 second)
{
	fake_iommu_add(&f, NIC, first, false);
	fake_iommu_add(&f, DISK, second, false);
	ask(0, NIC, VFIO_IOMMUFD_AUTO);
	ask(1, DISK, VFIO_IOMMUFD_AUTO);
}

/* Opened and in the machine; returns the first error. */
static int start(void)
{
	int ret = vfio_open_on(&f.host, &d.cfg, &set);

	if (ret)
		return ret;
	ret = vfio_set_add(&d.vm, set);
	if (ret) {
		vfio_close(set);
		set = NULL;
	}
	return ret;
}

/* Another one is there then. */
static void leave_machine(void)
{
	u32 nr_vfios = d.cfg.nr_vfios;

	d.vm.kvm.vm_fd = -1;
	vm_destroy(&d.vm);
	make_machine(nr_vfios);
}

static void is_log(const char *want)
{
	if (strcmp(f.log, want))
		fail_msg("calls:\n%sinstead of:\n%s", f.log, want);
}

/* Refused with one line that has @text, and nothing stays. */
static void refused(int error, const char *text)
{
	int ret;

	capture_begin();
	ret = start();
	capture_end();
	assert_int_equal(ret, error);
	assert_contains(captured, text);
	assert_one_line(captured);
	assert_true(fake_iommu_is_clean(&f));
	assert_null(strstr(f.log, "WRONG"));
	assert_false(atomic_load(&d.vm.mem.pinned));
}

static void test_iommufd(void **state)
{
	(void)state;
	modern();
	assert_int_equal(vfio_open_on(&f.host, &d.cfg, &set), 0);
	is_log("open /dev/iommu\n"
	       "open /dev/vfio/devices/vfio0\n"
	       "open /dev/vfio/devices/vfio1\n");
	f.log[0] = '\0';
	assert_int_equal(vfio_set_add(&d.vm, set), 0);
	is_log("CREATE_DEVICE\nFILE_ADD\nFILE_ADD\n"
	       "IOAS_ALLOC\nBIND\nATTACH\nBIND\nATTACH\n"
	       "GET_INFO\nGET_INFO\nIOVA_RANGES\nMAP\n");
	assert_int_equal(vfio_set_device(set, 0)->devid, 1000);
	assert_int_equal(vfio_set_device(set, 1)->devid, 1001);
	assert_true(vfio_set_device(set, 1)->nr_regions > 0);
	assert_string_equal(vfio_set_device(set, 1)->name.id, DISK);
	assert_true(atomic_load(&d.vm.mem.pinned));
	f.log[0] = '\0';
	leave_machine();
	is_log("UNMAP\nDETACH\nDETACH\nDESTROY\nFILE_DEL\nFILE_DEL\n");
	vfio_close(set);
	assert_true(fake_iommu_is_clean(&f));
}

/* A machine that is made anew finds its cdevs bound, which is done once for each open. */
static void test_iommufd_again(void **state)
{
	(void)state;
	modern();
	assert_int_equal(start(), 0);
	leave_machine();
	f.log[0] = '\0';
	assert_int_equal(vfio_set_add(&d.vm, set), 0);
	is_log("CREATE_DEVICE\nFILE_ADD\nFILE_ADD\n"
	       "IOAS_ALLOC\nATTACH\nATTACH\n"
	       "GET_INFO\nGET_INFO\nIOVA_RANGES\nMAP\n");
	leave_machine();
	vfio_close(set);
	assert_true(fake_iommu_is_clean(&f));
}

static void test_groups(void **state)
{
	(void)state;
	old(16, 17);
	assert_int_equal(vfio_open_on(&f.host, &d.cfg, &set), 0);
	is_log("open /dev/vfio/16\nGROUP_GET_STATUS\n"
	       "open /dev/vfio/17\nGROUP_GET_STATUS\n"
	       "open /dev/vfio/vfio\nGET_API_VERSION\nCHECK_EXTENSION\n");
	f.log[0] = '\0';
	assert_int_equal(vfio_set_add(&d.vm, set), 0);
	is_log("CREATE_DEVICE\nFILE_ADD\nFILE_ADD\n"
	       "SET_CONTAINER\nSET_IOMMU\nSET_CONTAINER\nGET_DEVICE_FD\nGET_DEVICE_FD\n"
	       "GET_INFO\nGET_INFO\nIOMMU_GET_INFO\nIOMMU_GET_INFO\nMAP_DMA\n");
	assert_int_equal(vfio_set_device(set, 0)->devid, 0);
	f.log[0] = '\0';
	leave_machine();
	is_log("UNMAP_DMA\nUNSET_CONTAINER\nUNSET_CONTAINER\nFILE_DEL\nFILE_DEL\n");
	/* And again. */
	assert_int_equal(vfio_set_add(&d.vm, set), 0);
	leave_machine();
	vfio_close(set);
	assert_true(fake_iommu_is_clean(&f));
}

static void test_one_group(void **state)
{
	(void)state;
	old(16, 16);
	assert_int_equal(start(), 0);
	is_log("open /dev/vfio/16\nGROUP_GET_STATUS\n"
	       "open /dev/vfio/vfio\nGET_API_VERSION\nCHECK_EXTENSION\n"
	       "CREATE_DEVICE\nFILE_ADD\n"
	       "SET_CONTAINER\nSET_IOMMU\nGET_DEVICE_FD\nGET_DEVICE_FD\n"
	       "GET_INFO\nGET_INFO\nIOMMU_GET_INFO\nIOMMU_GET_INFO\nMAP_DMA\n");
	leave_machine();
	vfio_close(set);
	assert_true(fake_iommu_is_clean(&f));
}

/* One without a cdev, or a kernel without iommufd: all go by groups. */
static void test_auto(void **state)
{
	(void)state;
	fake_iommu_add(&f, NIC, 16, true);
	fake_iommu_add(&f, DISK, 17, false);
	ask(0, NIC, VFIO_IOMMUFD_AUTO);
	ask(1, DISK, VFIO_IOMMUFD_AUTO);
	assert_int_equal(vfio_open_on(&f.host, &d.cfg, &set), 0);
	assert_non_null(strstr(f.log, "open /dev/vfio/16\n"));
	assert_null(strstr(f.log, "open /dev/iommu\n"));
	vfio_close(set);
	ask(0, NIC, VFIO_IOMMUFD_AUTO);
	f.no_iommufd = true;
	assert_int_equal(vfio_open_on(&f.host, &d.cfg, &set), 0);
	assert_non_null(strstr(f.log, "open /dev/iommu\nopen /dev/vfio/16\n"));
	vfio_close(set);
	/* And when it is asked for. */
	f.no_iommufd = false;
	ask(0, NIC, VFIO_IOMMUFD_OFF);
	f.log[0] = '\0';
	assert_int_equal(vfio_open_on(&f.host, &d.cfg, &set), 0);
	assert_null(strstr(f.log, "open /dev/iommu\n"));
	vfio_close(set);
	assert_true(fake_iommu_is_clean(&f));
}

static void test_iommufd_on(void **state)
{
	(void)state;
	fake_iommu_add(&f, NIC, 16, false);
	ask(0, NIC, VFIO_IOMMUFD_ON);
	refused(-ENODEV, "--vfio " NIC ": iommufd=on: it has no character device");
	fake_iommu_add(&f, DISK, 17, true);
	ask(0, DISK, VFIO_IOMMUFD_ON);
	f.no_iommufd = true;
	refused(-ENOENT, "--vfio " DISK ": iommufd=on: there is no /dev/iommu: load the module "
			 "iommufd");
}

/* What the kernel says when it does not bind, and what that means. */
static void test_binding_is_refused(void **state)
{
	static const struct {
		int error;
		const char *text;
	} cases[] = {
		{ -EBUSY, "cannot bind it to iommufd: Device or resource busy; another process" },
		{ -EINVAL, "cannot bind it to iommufd: Invalid argument; another process may" },
		{ -EPERM, "iommufd.allow_unsafe_interrupts" },
		{ -ENOMEM, "LimitMEMLOCK=" },
	};

	(void)state;
	modern();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		f.calls = 0;
		/* open, open, open, CREATE_DEVICE, FILE_ADD, FILE_ADD, IOAS_ALLOC, BIND */
		f.fail_at = 8;
		f.fail_with = cases[i].error;
		refused(cases[i].error, cases[i].text);
		assert_string_equal(f.failed, "BIND");
		f.failed[0] = '\0';
	}
}

/* Who has it is named, as far as that may be seen; lkvm's own descriptors do not count. */
static void test_who_has_it(void **state)
{
	static const struct {
		bool iommufd;
		u32 at; /* the call that fails */
		int error;
		const char *call;
	} cases[] = {
		/* open, open, open, CREATE_DEVICE, FILE_ADD, FILE_ADD, IOAS_ALLOC, BIND */
		{ true, 8, -EBUSY, "BIND" },
		{ true, 8, -EINVAL, "BIND" },
		{ true, 2, -EBUSY, "open /dev/vfio/devices/vfio0" },
		/* open, GROUP_GET_STATUS */
		{ false, 1, -EBUSY, "open /dev/vfio/16" },
		/* and again, open, GET_API_VERSION, CHECK_EXTENSION, CREATE_DEVICE, FILE_ADD,
		 * FILE_ADD, SET_CONTAINER, SET_IOMMU, SET_CONTAINER, GET_DEVICE_FD */
		{ false, 14, -EBUSY, "GET_DEVICE_FD" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		teardown(NULL);
		setup(NULL);
		if (cases[i].iommufd)
			modern();
		else
			old(16, 17);
		for (int other = 0; other < 2; other++) {
			const char *fd = other ? "/proc/812/fd/9" : "/proc/77/fd/9";

			fake_iommu_put(&f, other ? "/proc/812/comm" : "/proc/self",
				       other ? NULL : "77", other ? "web\n" : NULL);
			fake_iommu_put(&f, fd,
				       cases[i].iommufd ? "/dev/vfio/devices/vfio0"
							: "/dev/vfio/16",
				       NULL);
			f.calls = 0;
			f.fail_at = cases[i].at;
			f.fail_with = cases[i].error;
			f.failed[0] = '\0';
			refused(cases[i].error,
				other ? "; process 812 (web) uses it" : "; another process ");
			assert_string_equal(f.failed, cases[i].call);
		}
	}
}

/* What an mdev's driver does is software: nothing is pinned, so no limit counts. */
static void test_mdev(void **state)
{
	(void)state;
	fake_iommu_add(&f, SERIAL, 18, true);
	ask(0, SERIAL, VFIO_IOMMUFD_AUTO);
	f.lock_room = 0;
	assert_int_equal(start(), 0);
	/* Drivers pin what they like: no page may go. */
	assert_true(atomic_load(&d.vm.mem.pinned));
	assert_int_equal(f.nr_maps, 1);
	leave_machine();
	vfio_close(set);
	assert_true(fake_iommu_is_clean(&f));
}

static void test_without_kvm_device(void **state)
{
	(void)state;
	modern();
	f.no_kvm = true;
	assert_int_equal(start(), 0);
	assert_null(strstr(f.log, "FILE_ADD"));
	leave_machine();
	assert_null(strstr(f.log, "FILE_DEL"));
	vfio_close(set);
	assert_true(fake_iommu_is_clean(&f));
}

static void test_names(void **state)
{
	(void)state;
	fake_iommu_add(&f, NIC, 16, true);
	ask(0, "eth0", VFIO_IOMMUFD_AUTO);
	refused(-EINVAL, "--vfio 'eth0': is not a PCI address");
	ask(0, "/sys/nowhere/eth0", VFIO_IOMMUFD_AUTO);
	refused(-ENOENT, "--vfio '/sys/nowhere/eth0': No such file or directory");
	ask(0, NIC, VFIO_IOMMUFD_AUTO);
	ask(1, "01:00.0", VFIO_IOMMUFD_AUTO);
	refused(-EINVAL, "--vfio 01:00.0: is the same device as --vfio " NIC);
}

static void test_no_group(void **state)
{
	(void)state;
	fake_iommu_add(&f, DISK, 19, false);
	fake_iommu_add(&f, NIC, 0, false);
	ask(0, NIC, VFIO_IOMMUFD_AUTO);
	refused(-ENOENT, "in no IOMMU group");
	fake_iommu_put(&f, "/sys/kernel/iommu_groups/19/name", NULL, "vfio-noiommu\n");
	ask(0, DISK, VFIO_IOMMUFD_AUTO);
	refused(-EPERM, "--vfio " DISK ": no IOMMU stands between it and the host's memory");
}

static void test_nodes(void **state)
{
	(void)state;
	fake_iommu_add(&f, NIC, 16, false);
	ask(0, NIC, VFIO_IOMMUFD_AUTO);
	f.open_error = -ENOENT;
	refused(-ENOENT, "there is no /dev/vfio/16, though VFIO has the device");
	f.open_error = -EBUSY;
	refused(-EBUSY,
		"cannot open /dev/vfio/16: Device or resource busy; another process uses it");
	f.open_error = -EACCES;
	refused(-EACCES, "cannot open /dev/vfio/16: Permission denied; ");
	f.open_error = 0;
	f.not_viable = true;
	refused(-EPERM, "group 16");
	f.not_viable = false;
	f.api = 7;
	refused(-ENOTSUP, "version 7 of VFIO");
}

static bool is_dispensable(const char *call)
{
	return !strcmp(call, "CREATE_DEVICE") || !strcmp(call, "FILE_ADD") ||
	       (f.fail_with == -EPERM && !strcmp(call, "open /dev/iommu"));
}

/* Each call in turn fails: one line or none, and nothing stays behind. */
static void fail_each(int error)
{
	u32 n = 1;

	for (;; n++) {
		int ret;

		f.log[0] = '\0';
		f.calls = 0;
		f.fail_at = n;
		f.fail_with = error;
		f.failed[0] = '\0';
		capture_begin();
		ret = start();
		capture_end();
		f.fail_at = 0;
		if (!f.failed[0])
			break;
		if (ret)
			assert_one_line(captured);
		else if (!is_dispensable(f.failed))
			fail_msg("%s may not fail", f.failed);
		if (set) {
			leave_machine();
			vfio_close(set);
		}
		set = NULL;
		if (!fake_iommu_is_clean(&f) || strstr(f.log, "WRONG"))
			fail_msg("after %s:\n%s", f.failed, f.log);
		assert_false(atomic_load(&d.vm.mem.pinned));
	}
	/* That was all. */
	assert_true(n > 10);
	assert_non_null(set);
	leave_machine();
	vfio_close(set);
	set = NULL;
	assert_true(fake_iommu_is_clean(&f));
}

static void test_each_call_fails(void **state)
{
	(void)state;
	modern();
	fail_each(-ENOMEM);
	fail_each(-EPERM);
}

static void test_each_call_of_groups_fails(void **state)
{
	(void)state;
	old(16, 17);
	fail_each(-ENOMEM);
	fail_each(-EPERM);
	fail_each(-EINVAL);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_iommufd),
		T(test_iommufd_again),
		T(test_groups),
		T(test_one_group),
		T(test_auto),
		T(test_iommufd_on),
		T(test_binding_is_refused),
		T(test_who_has_it),
		T(test_mdev),
		T(test_without_kvm_device),
		T(test_names),
		T(test_no_group),
		T(test_nodes),
		T(test_each_call_fails),
		T(test_each_call_of_groups_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
