/* SPDX-License-Identifier: MIT */
/* `lkvm host` over hosts that do not exist: every answer, every reason, both forms of print. */
#include "fake_host.h"

static void test_versions(void **state)
{
	assert_int_equal(probe_version("6.8"), 6 << 16 | 8);
	assert_int_equal(probe_version("6.18.4-rc1+"), 6 << 16 | 18);
	assert_true(probe_version("6.10") > probe_version("6.9.99"));
	assert_true(probe_version("7.0-rc1") > probe_version("6.99"));
	assert_int_equal(probe_version("six"), 0);
	assert_int_equal(probe_version(""), 0);
}

static void test_words(void **state)
{
	struct fake *f = *state;

	probe(f);
	put(f, "/w", "flags\t: svm_lock svm2\nother: svm\nflags: svm\n");
	/* Whole words, and of the first such line alone. */
	assert_false(probe_file_has_word(&f->host, "/w", "flags", "svm"));
	assert_true(probe_file_has_word(&f->host, "/w", "flags", "svm2"));
	assert_true(probe_file_has_word(&f->host, "/w", NULL, "svm"));
	assert_false(probe_file_has_word(&f->host, "/nosuch", NULL, "svm"));
}

static void test_usable(void **state)
{
	struct fake *f = *state;

	put(f, "/sys/module/kvm/holders/kvm_intel", "");
	probe(f);
	assert_true(f->host.usable);
	expect_text(f, PROBE_SEC_HOST, "kernel", "Linux 6.8.12-test");
	expect_text(f, PROBE_SEC_HOST, "cpu", "Some CPU");
	expect_text(f, PROBE_SEC_KVM, "device", "/dev/kvm");
	expect_text(f, PROBE_SEC_KVM, "module", "kvm_intel");
	expect_number(f, PROBE_SEC_KVM, "api", 12);

	f->create_vm = -EBUSY;
	probe(f);
	assert_false(f->host.usable);
	expect_no(f, PROBE_SEC_KVM, "vm", "another hypervisor");
	f->api = 13;
	probe(f);
	assert_false(f->host.usable);
	expect_no(f, PROBE_SEC_KVM, "api", "it is 13, lkvm speaks 12");
	f->api = -ENOTTY;
	probe(f);
	expect_no(f, PROBE_SEC_KVM, "device", "is not KVM");
}

static void test_no_kvm(void **state)
{
	struct fake *f = *state;

	/* The driver without its node. */
	f->open_kvm = -ENOENT;
	unlink_in(f, "/dev/kvm");
	probe(f);
	assert_false(f->host.usable);
	expect_no(f, PROBE_SEC_KVM, "device", "in a container, pass it in");
	assert_true(row(f, PROBE_SEC_MEMORY, "dirty-ring")->unasked);
	assert_int_equal(row(f, PROBE_SEC_CPU, "vendor")->answer, PROBE_UNKNOWN);
	/* The rest is told all the same. */
	expect_number(f, PROBE_SEC_SERVICES, "landlock", 4);

	/* Nothing of it: the module that this CPU needs, as far as one can see. */
	unlink_in(f, "/sys/class/misc/kvm");
	probe(f);
	expect_no(f, PROBE_SEC_KVM, "device", "modprobe kvm_intel, if this kernel has it");
	put(f, "/lib/modules/6.8.12-test/modules.builtin", "kernel/fs/ext4/ext4.ko\n");
	put(f, "/lib/modules/6.8.12-test/modules.dep", "kernel/arch/x86/kvm/kvm-amd.ko: x\n");
	probe(f);
	expect_no(f, PROBE_SEC_KVM, "device", "no module kvm_intel (CONFIG_KVM_INTEL)");
	put(f, "/lib/modules/6.8.12-test/modules.dep",
	    "kernel/fs/xfs/xfs.ko.zst:\nkernel/arch/x86/kvm/kvm-intel.ko.zst: kernel/kvm.ko\n");
	probe(f);
	expect_no(f, PROBE_SEC_KVM, "device", "not loaded: modprobe kvm_intel");
	put(f, "/lib/modules/6.8.12-test/modules.builtin", "kernel/arch/x86/kvm/kvm-intel.ko\n");
	probe(f);
	expect_no(f, PROBE_SEC_KVM, "device", "see the kernel's log");
	put(f, "/proc/cpuinfo", "flags : fpu\n");
	probe(f);
	expect_no(f, PROBE_SEC_KVM, "device", "neither vmx nor svm");
	put(f, "/proc/cpuinfo", "flags : svm\n");
	probe(f);
	expect_no(f, PROBE_SEC_KVM, "device", "kvm_amd");
}

/* A node that systemd made ahead of the driver: to open it would load a module. */
static void test_loads_nothing(void **state)
{
	struct fake *f = *state;

	put(f, "/sys/class/misc/x/dev", "");
	unlink_in(f, "/sys/class/misc/kvm");
	put(f, "/dev/net/tun", "");
	probe(f);
	assert_int_equal(f->opened, 0);
	expect_no(f, PROBE_SEC_KVM, "device", "modprobe kvm_intel");
	expect_yes(f, PROBE_SEC_DEVICES, "tun");
	assert_contains(row(f, PROBE_SEC_DEVICES, "tun")->note, "module tun is loaded when");
	expect_no(f, PROBE_SEC_DEVICES, "tun-features", "needs tun");

	/* Without sysfs there is no telling: KVM was asked for. */
	unlink_in(f, "/sys");
	probe(f);
	assert_true(f->host.usable);
}

static void test_permission(void **state)
{
	struct fake *f = *state;
	char *kvm = xasprintf("%s/dev/kvm", f->root), *group;
	struct stat st;

	f->open_kvm = -EACCES;
	assert_int_equal(chmod(kvm, 0600), 0);
	probe(f);
	expect_no(f, PROBE_SEC_KVM, "device",
		  geteuid() ? "its mode is 0600" : "only root may use it (mode 0600)");
	assert_int_equal(chmod(kvm, 0666), 0);
	assert_int_equal(chown(kvm, (uid_t)-1, getgid()), 0);
	/* The group's own advice needs a group that is not root's; root can make one. */
	if (!getgid())
		assert_int_equal(chown(kvm, (uid_t)-1, 108), 0);
	assert_int_equal(chmod(kvm, 0660), 0);
	assert_int_equal(stat(kvm, &st), 0);
	group = xasprintf("root:x:0:\nkvm:x:%u:someone\n", st.st_gid);
	put(f, "/etc/group", group);
	probe(f);
	expect_no(f, PROBE_SEC_KVM, "device", "usermod -aG kvm USER");
	assert_int_equal(chmod(kvm, 0606), 0);
	probe(f);
	expect_no(f, PROBE_SEC_KVM, "device",
		  "a security module (SELinux, AppArmor) or a container");
	free(kvm);
	/* What only a container's device rules say, of a node that its mode lets anybody use. */
	f->open_kvm = -EPERM;
	unlink_in(f, "/dev/kvm");
	kvm = xasprintf("%s/dev/kvm", f->root);
	if (!mknod(kvm, S_IFCHR | 0666, makedev(10, 232))) {
		probe(f);
		expect_no(f, PROBE_SEC_KVM, "device", "--device /dev/kvm");
	}
	free(group);
	free(kvm);
}

static void test_caps(void **state)
{
	struct fake *f = *state;

	f->vm_caps[KVM_CAP_NR_MEMSLOTS] = 32764;
	f->sys_caps[KVM_CAP_NR_MEMSLOTS] = 1;
	f->sys_caps[KVM_CAP_GUEST_MEMFD] = 1;
	f->vm_caps[KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2] = 3;
	f->vm_caps[KVM_CAP_X2APIC_API] = 1 | 8 | 32;
	f->vm_caps[KVM_CAP_EXIT_HYPERCALL] = 1 << 12;
	put(f, "/sys/module/kvm/parameters/enable_pmu", "N\n");
	probe(f);
	/* What the VM says counts; what only the device knows is for other types. */
	expect_number(f, PROBE_SEC_LIMITS, "memory-slots", 32764);
	assert_null(row(f, PROBE_SEC_LIMITS, "memory-slots")->note);
	expect_yes(f, PROBE_SEC_MEMORY, "guest-memfd");
	assert_string_equal(row(f, PROBE_SEC_MEMORY, "guest-memfd")->note, "not for ordinary VMs");
	expect_text(f, PROBE_SEC_MEMORY, "dirty-log-manual", "manual-protect initially-set");
	expect_text(f, PROBE_SEC_INTERRUPTS, "x2apic-api", "32bit-ids eoi-suppression-off bit5");
	expect_text(f, PROBE_SEC_EXECUTION, "hypercall-exit", "map-gpa-range");
	/* Reasons: the kernel, a parameter, the usual one, none in particular. */
	expect_no(f, PROBE_SEC_MEMORY, "pre-fault", "Linux 6.11 brought it, this is 6.8.12-test");
	expect_no(f, PROBE_SEC_CPU, "pmu-switch", "module parameter kvm.enable_pmu is off (/sys/");
	expect_no(f, PROBE_SEC_CPU, "hyperv", "CONFIG_KVM_HYPERV");
	expect_no(f, PROBE_SEC_MEMORY, "user-memory2", "but this KVM does not offer it: not on");
	put(f, "/sys/module/kvm/parameters/enable_pmu", "Y\n");
	probe(f);
	expect_no(f, PROBE_SEC_CPU, "pmu-switch", "no virtual PMU");
	put(f, "/proc/sys/kernel/osrelease", "custom\n");
	probe(f);
	expect_no(f, PROBE_SEC_MEMORY, "user-memory2", "does not offer it; Linux 6.8 brought it");
}

static void test_in_place(void **state)
{
	struct fake *f = *state;

	probe(f);
	expect_no(f, PROBE_SEC_MEMORY, "guest-memfd-in-place", "needs guest-memfd");
	f->vm_caps[KVM_CAP_GUEST_MEMFD] = 1;
	probe(f);
	expect_no(f, PROBE_SEC_MEMORY, "guest-memfd-in-place", "not in this kernel");
	f->in_place = -EINVAL;
	probe(f);
	expect_yes(f, PROBE_SEC_MEMORY, "guest-memfd-in-place");
	f->in_place = 0;
	probe(f);
	assert_int_equal(row(f, PROBE_SEC_MEMORY, "guest-memfd-in-place")->answer, PROBE_UNKNOWN);
}

#define VHOST_NET PROBE_SEC_DEVICES, "vhost-net"
static void test_devices(void **state)
{
	struct fake *f = *state;

	put(f, "/lib/modules/6.8.12-test/modules.dep", "kernel/drivers/vhost/vhost_net.ko.xz:\n");
	put(f, "/lib/modules/6.8.12-test/modules.builtin", "kernel/drivers/net/tun.ko\n");
	probe(f);
	expect_no(f, VHOST_NET, "modprobe vhost_net");
	/* Names that only begin alike are others. */
	put(f, "/lib/modules/6.8.12-test/modules.dep", "k/vhost.ko:\nk/vhost_net_x.ko:\n");
	probe(f);
	expect_no(f, VHOST_NET, "no module vhost_net (CONFIG_VHOST_NET)");
	put(f, "/lib/modules/6.8.12-test/modules.dep", "kernel/drivers/vhost/vhost_net.ko.xz:\n");
	probe(f);
	expect_no(f, VHOST_NET, "modprobe vhost_net");
	expect_no(f, PROBE_SEC_DEVICES, "vhost-vsock",
		  "no module vhost_vsock (CONFIG_VHOST_VSOCK)");
	expect_no(f, PROBE_SEC_DEVICES, "iommu-groups", "intel_iommu=on");
	expect_no(f, PROBE_SEC_DEVICES, "kvm-vfio", "CONFIG_KVM_VFIO");
	expect_no(f, PROBE_SEC_DEVICES, "vfio-cdev", "bind a device");
	put(f, "/sys/class/misc/vhost-net/dev", "");
	probe(f);
	expect_no(f, VHOST_NET, "in a container, pass it in");
	put(f, "/dev/vhost-net", "");
	probe(f);
	expect_text(f, VHOST_NET, "/dev/vhost-net");
	assert_null(row(f, VHOST_NET)->note);
	f->denied = "/dev/vhost-net";
	probe(f);
	expect_no(f, VHOST_NET, "permission denied");

	/* A node that a container kept, of a module that this kernel does not have. */
	put(f, "/dev/vhost-scsi", "");
	put(f, "/proc/cmdline", "quiet intel_iommu=off\n");
	put(f, "/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "N\n");
	probe(f);
	expect_no(f, PROBE_SEC_DEVICES, "vhost-scsi", "no module vhost_scsi");
	expect_no(f, PROBE_SEC_DEVICES, "iommu-groups", "remove intel_iommu=off");
	expect_no(f, PROBE_SEC_DEVICES, "vfio-noiommu", "is off (/sys/module/vfio");
	put_dir(f, "/sys/kernel/iommu_groups/0");
	put_dir(f, "/sys/kernel/iommu_groups/1");
	put(f, "/dev/vfio/devices/vfio0", "");
	probe(f);
	expect_number(f, PROBE_SEC_DEVICES, "iommu-groups", 2);
	expect_number(f, PROBE_SEC_DEVICES, "vfio-cdev", 1);
}

static void test_tun(void **state)
{
	struct fake *f = *state;

	put(f, "/dev/net/tun", "");
	put(f, "/sys/class/misc/tun/dev", "");
	probe(f);
	expect_text(f, PROBE_SEC_DEVICES, "tun-features", "tap vnet-hdr bit20");
	expect_no(f, PROBE_SEC_DEVICES, "tun-hash", "not in this kernel");
	f->tun_hash = 0;
	probe(f);
	expect_yes(f, PROBE_SEC_DEVICES, "tun-hash");
}

static void test_memory(void **state)
{
	static const char pool[] = "/sys/kernel/mm/hugepages/hugepages-2048kB/";
	struct fake *f = *state;
	char path[128];

	probe(f);
	expect_no(f, PROBE_SEC_MEMORY, "hugetlb", "CONFIG_HUGETLBFS");
	expect_no(f, PROBE_SEC_MEMORY, "hugetlbfs", "mount -t hugetlbfs");
	expect_no(f, PROBE_SEC_MEMORY, "transparent-huge-pages", "CONFIG_TRANSPARENT_HUGEPAGE");
	put(f, "/proc/mounts",
	    "none /huge\\040pages hugetlbfs rw 0 0\nx /hugetlbfs tmpfs rw 0 0\nbroken\n"
	    "none /h1 hugetlbfs rw,pagesize=1G 0 0\n");
	put(f, "/sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]\n");
	snprintf(path, sizeof(path), "%snr_hugepages", pool);
	put(f, path, "0\n");
	probe(f);
	expect_text(f, PROBE_SEC_MEMORY, "hugetlbfs", "/huge\\040pages /h1");
	expect_no(f, PROBE_SEC_MEMORY, "transparent-huge-pages", "echo madvise > /sys");
	expect_no(f, PROBE_SEC_MEMORY, "hugetlb-2M", "echo N > /sys/kernel/mm/hugepages/");
	put(f, path, "8\n");
	probe(f);
	expect_no(f, PROBE_SEC_MEMORY, "hugetlb-2M", "all 8 pages are in use");
	snprintf(path, sizeof(path), "%sfree_hugepages", pool);
	put(f, path, "5\n");
	put(f, "/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
	probe(f);
	expect_text(f, PROBE_SEC_MEMORY, "hugetlb-2M", "5 of 8 pages are free");
	expect_text(f, PROBE_SEC_MEMORY, "transparent-huge-pages", "madvise");
}

static void test_services(void **state)
{
	struct fake *f = *state;

	probe(f);
	expect_yes(f, PROBE_SEC_SERVICES, "io-uring");
	expect_yes(f, PROBE_SEC_SERVICES, "seccomp");
	f->io_uring = -EPERM;
	f->landlock = -EOPNOTSUPP;
	f->seccomp = -EINVAL;
	probe(f);
	expect_no(f, PROBE_SEC_SERVICES, "io-uring", "seccomp filter");
	expect_no(f, PROBE_SEC_SERVICES, "landlock", "lsm=");
	expect_no(f, PROBE_SEC_SERVICES, "seccomp", "CONFIG_SECCOMP_FILTER");
	put(f, "/proc/sys/kernel/io_uring_disabled", "1\n");
	probe(f);
	expect_no(f, PROBE_SEC_SERVICES, "io-uring", "io_uring_group");
	/* Root may set it up where it is 1, nobody where it is 2. */
	f->io_uring = -EFAULT;
	probe(f);
	expect_yes(f, PROBE_SEC_SERVICES, "io-uring");
	f->io_uring = -EPERM;
	put(f, "/proc/sys/kernel/io_uring_disabled", "2\n");
	f->landlock = -ENOSYS;
	probe(f);
	expect_no(f, PROBE_SEC_SERVICES, "io-uring", "is 2: write 0");
	expect_no(f, PROBE_SEC_SERVICES, "landlock", "CONFIG_SECURITY_LANDLOCK");
	f->io_uring = -ENOSYS;
	probe(f);
	expect_no(f, PROBE_SEC_SERVICES, "io-uring", "CONFIG_IO_URING");
}

/* A key that came twice would hide the first of its values in JSON. */
static void test_keys(void **state)
{
	struct fake *f = *state;

	probe(f);
	assert_true(f->host.nr_rows > 200);
	for (size_t i = 0; i < f->host.nr_rows; i++) {
		const struct probe_row *r = f->host.rows[i];

		assert_ptr_equal(probe_find(&f->host, r->section, r->name), r);
		assert_int_equal(strspn(r->name, "abcdefghijklmnopqrstuvwxyz0123456789.-M"),
				 strlen(r->name));
		/* No answer but yes comes without its reason. */
		assert_true(r->answer == PROBE_YES || (r->why && *r->why));
		assert_true(!r->since || probe_version(r->since));
	}
}

static char *printed(struct fake *f, bool json, bool verbose)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (json)
		probe_print_json(&f->host, out);
	else
		probe_print_table(&f->host, verbose, out);
	fclose(out);
	return text;
}

static void test_print(void **state)
{
	struct fake *f = *state;
	char *text;

	f->vm_caps[KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2] = 3;
	f->vm_caps[KVM_CAP_NR_VCPUS] = 7;
	put(f, "/proc/cpuinfo",
	    "model name : a\"b\\c\x1b[31m\xc3\xa9\xff\xed\xa0\x80\x7f\nflags: fpu\n");
	probe(f);
	text = printed(f, true, false);
	assert_contains(text, "\"format\": 1,");
	assert_contains(text, "\"usable\": true,");
	assert_contains(text, "\"value\": \"a\\\"b\\\\c\\u001b[31m\xc3\xa9"
			      "\\ufffd\\ufffd\\ufffd\\ufffd\\u007f\"");
	assert_contains(text, "\"value\": [\"manual-protect\", \"initially-set\"], ");
	assert_contains(text, "\"vcpus-recommended\": {\"available\": true, \"value\": 7, ");
	assert_contains(text, "\"tsm-bind\": {\"available\": null, \"why\": ");
	assert_contains(text, "\"capability\": 168, \"since\": \"5.2\"}");
	free(text);
	text = printed(f, false, false);
	assert_contains(text, "\nKVM\n  device                   yes  /dev/kvm\n");
	assert_contains(text, "a\"b\\c?[31m");
	assert_lacks(text, "\x1b");
	assert_lacks(text, "KVM_CAP");
	free(text);
	text = printed(f, false, true);
	assert_contains(text, "KVM_CAP 168; since Linux 5.2)");
	free(text);

	f->open_kvm = -ENOENT;
	probe(f);
	text = printed(f, true, false);
	assert_contains(text, "\"usable\": false,");
	assert_contains(text, "\"vcpus\": {\"available\": null, \"why\": \"KVM cannot be asked\"");
	free(text);
	text = printed(f, false, false);
	assert_contains(text, "Limits of a VM\n  (5 more that KVM would have to be asked for)\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions), PROBE_TEST(test_words),
		PROBE_TEST(test_usable),	 PROBE_TEST(test_no_kvm),
		PROBE_TEST(test_loads_nothing),	 PROBE_TEST(test_permission),
		PROBE_TEST(test_caps),		 PROBE_TEST(test_in_place),
		PROBE_TEST(test_devices),	 PROBE_TEST(test_tun),
		PROBE_TEST(test_memory),	 PROBE_TEST(test_services),
		PROBE_TEST(test_keys),		 PROBE_TEST(test_print),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
