/* SPDX-License-Identifier: MIT */
/* config.c: defaults, validation, the kernel search, the command line, the printed form. */
#include "capture.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/utsname.h>

#include "../../config-items.h"
#include "lkvm/arch.h"
#include "lkvm/cgroup.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

static const char *const search[] = { "./img", "sub/img", "img-%r", NULL };
const struct arch_platform arch_platform = {
	.name = "test",
	.kernel_search = search,
	.default_console = "ttyT0",
	.virtio_mmio_max = 3,
	.option_mask = OPT_ARCH_ARM64,
};

static int arch_answer;
int arch_config_complete(struct vm_config *cfg)
{
	assert_non_null(cfg->cmdline);
	return arch_answer;
}

static bool takes_kernel;
bool arch_firmware_takes_kernel(const struct vm_config *c)
{
	return takes_kernel;
}

static bool is_linux;
bool arch_boots_linux(const struct vm_config *c, const struct boot *boot)
{
	assert_null(boot);
	return is_linux;
}

static struct vm_config cfg;

static int begin(void **state)
{
	config_init(&cfg);
	arch_answer = 0;
	takes_kernel = false;
	is_linux = true;
	return 0;
}

static int end(void **state)
{
	config_destroy(&cfg);
	return 0;
}

/* config_complete; an error is one line. */
static int complete(void)
{
	int ret;

	capture_begin();
	ret = config_complete(&cfg);
	capture_end();
	if (ret && !arch_answer)
		assert_one_line(captured);
	return ret;
}

static void set(char **member, const char *value)
{
	free(*member);
	*member = value ? xstrdup(value) : NULL;
}

static void test_defaults(void **state)
{
	u64 host = (u64)sysconf(_SC_PHYS_PAGES) * (u64)sysconf(_SC_PAGESIZE);
	struct cgroup_limits limits;

	cgroup_read("", CGROUP_MEMORY, &limits);
	if (limits.memory && limits.memory < host)
		host = limits.memory;
	set(&cfg.kernel, "k");
	assert_int_equal(complete(), 0);
	assert_null(cfg.name);
	assert_string_equal(cfg.kvm_path, "/dev/kvm");
	assert_in_range(cfg.cpus, 1, sysconf(_SC_NPROCESSORS_ONLN));
	assert_true(cfg.memory == 64 * MiB * (cfg.cpus + 3) || cfg.memory <= host / 5 * 4);
	/* More vcpus than memory for them: 80 % of what may be used. */
	cfg.memory = 0;
	cfg.cpus = UINT32_MAX;
	assert_int_equal(complete(), 0);
	assert_true(cfg.memory <= host / 5 * 4 && cfg.memory > host / 5 * 4 - MiB);
	cfg.memory = 0;
	cfg.cpus = 1;
	assert_int_equal(complete(), 0);
	assert_true(cfg.memory == 256 * MiB || cfg.memory > host / 2);
}

/* What the scheduler does not give us is no use to a guest. */
static void test_default_cpus(void **state)
{
	cpu_set_t all, one;
	int cpu = sched_getcpu();

	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	CPU_ZERO(&one);
	CPU_SET(cpu < 0 ? 0 : cpu, &one);
	if (sched_setaffinity(0, sizeof(one), &one))
		skip();
	set(&cfg.kernel, "k");
	assert_int_equal(complete(), 0);
	assert_int_equal(cfg.cpus, 1);
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
}

static void test_memory(void **state)
{
	set(&cfg.kernel, "k");
	cfg.memory = MiB - 1;
	assert_int_equal(complete(), -EINVAL);
	assert_contains(captured, "--mem 1048575B: is too small; the minimum is 1M");
	cfg.memory = MiB;
	assert_int_equal(complete(), 0);
	cfg.memory = MiB + 1;
	assert_int_equal(complete(), 0);
	assert_contains(captured, "rounded up");
	assert_true(cfg.memory > MiB && IS_ALIGNED(cfg.memory, (u64)sysconf(_SC_PAGESIZE)));
	cfg.memory = 1ULL << 50;
	assert_int_equal(complete(), 0);
	assert_contains(captured, "warning: --mem 1P: is more than the host's");
	cfg.memory = UINT64_MAX;
	assert_int_equal(complete(), -EINVAL);
	assert_contains(captured, "more than any host can address");
	cfg.memory = (1ULL << 52) + 1;
	assert_int_equal(complete(), -EINVAL);
}

static void test_names(void **state)
{
	static const char *const bad[] = { "",
					   ".",
					   "..",
					   "a/b",
					   "-x",
					   "a b",
					   "a\nb",
					   ("0123456789012345678901234567890123456789"
					    "0123456789012345678901234") };

	set(&cfg.kernel, "k");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		set(&cfg.name, bad[i]);
		assert_int_equal(complete(), -EINVAL);
	}
	set(&cfg.name, "web-1.example_A");
	assert_int_equal(complete(), 0);
	set(&cfg.kernel, "");
	assert_int_equal(complete(), -EINVAL);
	assert_contains(captured, "--kernel: the name is empty");
	set(&cfg.kernel, "k");
	config_add_disk(&cfg)->path = xstrdup("");
	assert_int_equal(complete(), -EINVAL);
	set(&cfg.disks[0].path, "d");
	config_add_initrd(&cfg, "");
	assert_int_equal(complete(), -EINVAL);
	set(&cfg.initrds[0], "i");
	set(&cfg.hugetlbfs, "");
	assert_int_equal(complete(), -EINVAL);
	set(&cfg.hugetlbfs, NULL);
	set(&cfg.fdt.flash, "");
	assert_int_equal(complete(), -EINVAL);
	assert_contains(captured, "--flash: the name is empty");
}

static void test_firmware(void **state)
{
	set(&cfg.firmware, "fw");
	assert_int_equal(complete(), 0);
	assert_null(cfg.kernel);
	assert_string_equal(cfg.cmdline, "");
	set(&cfg.params, "x");
	assert_int_equal(complete(), -EINVAL);
	assert_contains(captured,
			"--firmware fw: cannot be told --params on test: that is for a kernel");
	set(&cfg.params, NULL);
	config_add_initrd(&cfg, "i");
	assert_int_equal(complete(), -EINVAL);
	set(&cfg.kernel, "k");
	assert_int_equal(complete(), -EINVAL);
	assert_contains(captured, "--firmware fw and --kernel k: only one");
	/* Where the architecture has firmware that is told of both. */
	takes_kernel = true;
	assert_int_equal(complete(), 0);
	set(&cfg.kernel, NULL);
	assert_int_equal(complete(), -EINVAL);
}

/* What says more about another option is not dropped in silence. */
static void test_needs(void **state)
{
	set(&cfg.kernel, "k");
	cfg.fdt.firmware_address = 0x80200000;
	assert_int_equal(complete(), -EINVAL);
	assert_contains(captured, "--firmware-address: there is no firmware; add -f FILE, or omit");
	set(&cfg.kernel, NULL);
	set(&cfg.firmware, "fw");
	assert_int_equal(complete(), 0);
	cfg.fdt.kernel_format = FDT_KERNEL_FLAT;
	assert_int_equal(complete(), -EINVAL);
	assert_contains(captured, "--kernel-format: --firmware fw is started instead of a kernel");
	cfg.fdt.kernel_format = FDT_KERNEL_AUTO;
	cfg.gdb_wait = true;
	assert_int_equal(complete(), -EINVAL);
	assert_contains(captured, "--gdb-wait: there is nothing to wait for");
	cfg.gdb_wait = false;
	cfg.balloon_size = MiB;
	assert_int_equal(complete(), -EINVAL);
	assert_contains(captured, "--balloon-size: there is no balloon");
	cfg.balloon = true;
	cfg.memory = 64 * MiB;
	assert_int_equal(complete(), 0);
}

static void test_cmdline(void **state)
{
	static const struct {
		const char *params;
		const char *cmdline;
	} cases[] = {
		{ NULL, "console=ttyT0 root=/dev/vda rw" },
		{ "", "console=ttyT0 root=/dev/vda rw" },
		{ "quiet", "console=ttyT0 root=/dev/vda rw quiet" },
		{ "console=tty0", "root=/dev/vda rw console=tty0" },
		{ "\"console=tty0\"", "root=/dev/vda rw \"console=tty0\"" },
		{ "a root=/dev/vdb", "console=ttyT0 a root=/dev/vdb" },
		{ "console=a\troot=b", "console=a\troot=b" },
		{ "noconsole=1 netroot=2", "console=ttyT0 root=/dev/vda rw noconsole=1 netroot=2" },
		{ "x=\"a console=b\"", "console=ttyT0 root=/dev/vda rw x=\"a console=b\"" },
		{ "-- console=b root=c", "console=ttyT0 root=/dev/vda rw -- console=b root=c" },
		{ "--x console=b", "root=/dev/vda rw --x console=b" },
	};

	set(&cfg.kernel, "k");
	config_add_disk(&cfg)->path = xstrdup("d");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		set(&cfg.params, cases[i].params);
		assert_int_equal(complete(), 0);
		assert_string_equal(cfg.cmdline, cases[i].cmdline);
	}
	set(&cfg.params, "quiet");
	assert_int_equal(complete(), 0);
	/* Whether they are used is known when the kernel is open. */
	assert_string_equal(captured, "");
	capture_begin();
	config_tell_added(&cfg);
	assert_contains(capture_end(), "added 'console=ttyT0 root=/dev/vda rw'; --nodefaults");
	cfg.disks[0].readonly = true;
	cfg.console = CONSOLE_VIRTIO;
	assert_int_equal(complete(), 0);
	assert_string_equal(cfg.cmdline, "console=hvc0 root=/dev/vda ro quiet");
	config_add_initrd(&cfg, "i");
	assert_int_equal(complete(), 0);
	assert_string_equal(cfg.cmdline, "console=hvc0 quiet");
	cfg.nodefaults = true;
	assert_int_equal(complete(), 0);
	assert_string_equal(cfg.cmdline, "quiet");
	capture_begin();
	config_tell_added(&cfg);
	assert_string_equal(capture_end(), "");
	cfg.nodefaults = false;
	is_linux = false;
	assert_int_equal(complete(), 0);
	assert_string_equal(cfg.cmdline, "quiet");
}

static void test_disks_and_nets(void **state)
{
	struct net_config *n;

	set(&cfg.kernel, "k");
	config_add_disk(&cfg)->path = xstrdup("/dev/null");
	config_add_disk(&cfg)->path = xstrdup("/dev/../dev/null");
	assert_int_equal(complete(), -EINVAL);
	assert_contains(captured, "--disk /dev/../dev/null: is given twice (also as /dev/null)");
	cfg.disks[0].readonly = true;
	assert_int_equal(complete(), -EINVAL);
	cfg.disks[1].readonly = true;
	assert_int_equal(complete(), 0);
	set(&cfg.disks[1].path, "/dev/zero");
	cfg.disks[1].readonly = false;
	assert_int_equal(complete(), 0);
	for (int i = 0; i < 2; i++) {
		n = config_add_net(&cfg);
		n->mode = NET_TAP;
		n->tapif = xstrdup("tap0");
		n->has_guest_mac = true;
		n->guest_mac[5] = 1;
	}
	assert_int_equal(complete(), -EINVAL);
	assert_contains(captured, "--network tapif=tap0: is given twice");
	set(&cfg.nets[1].tapif, NULL);
	assert_int_equal(complete(), -EINVAL);
	assert_contains(captured, "same guest_mac");
	cfg.nets[1].guest_mac[5] = 2;
	cfg.ports = config_grow(cfg.ports, &cfg.nr_ports, sizeof(*cfg.ports));
	cfg.ports[0].name = xstrdup("p");
	assert_int_equal(complete(), 0);
	cfg.ports = config_grow(cfg.ports, &cfg.nr_ports, sizeof(*cfg.ports));
	cfg.ports[1].name = xstrdup("p");
	assert_int_equal(complete(), -EINVAL);
	assert_contains(captured, "--port p: is given twice");
	set(&cfg.ports[1].name, "q");
	assert_int_equal(complete(), 0);
	cfg.transport = TRANSPORT_MMIO;
	assert_int_equal(complete(), -EINVAL);
	assert_contains(captured, "has a maximum of 3 devices, but 5 are configured");
	arch_answer = -EINVAL;
	cfg.transport = TRANSPORT_PCI;
	assert_int_equal(complete(), -EINVAL);
}

static void add_share(const char *path, const char *tag)
{
	cfg.shares = realloc(cfg.shares, (cfg.nr_shares + 1) * sizeof(*cfg.shares));
	cfg.shares[cfg.nr_shares++] =
		(struct share_config){ .path = xstrdup(path), .tag = xstrdup(tag) };
}

static void test_shares(void **state)
{
	set(&cfg.kernel, "k");
	add_share("one", "tag");
	add_share("one", "other");
	assert_int_equal(complete(), 0);
	add_share("two", "tag");
	assert_int_equal(complete(), -EINVAL);
	assert_contains(captured, "--9p two,tag: the tag is given twice (also to one)");
}

static void test_kernel_search(void **state)
{
	char dir[] = "/tmp/lkvm-config-XXXXXX", release[512];
	int home = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct utsname uts;

	uname(&uts);
	snprintf(release, sizeof(release), "img-%s", uts.release);
	assert_non_null(mkdtemp(dir));
	assert_int_equal(chdir(dir), 0);
	assert_int_equal(complete(), -ENOENT);
	assert_contains(captured, "none was found (./img, sub/img, img-");
	assert_contains(captured, uts.release);
	assert_contains(captured, "name one with -k FILE");
	assert_contains(captured, "('lkvm selftest' needs none)");
	close(open(release, O_CREAT | O_WRONLY, 0600));
	/* A directory is not a kernel. */
	assert_int_equal(mkdir("img", 0700), 0);
	assert_int_equal(complete(), 0);
	assert_string_equal(cfg.kernel, release);
	assert_contains(captured, "kernel: found img-");
	rmdir("img");
	close(open("img", O_CREAT | O_WRONLY, 0600));
	set(&cfg.kernel, NULL);
	assert_int_equal(complete(), 0);
	assert_string_equal(cfg.kernel, "./img");
	/* A name that was given is taken as it is. */
	set(&cfg.kernel, "nowhere");
	assert_int_equal(complete(), 0);
	assert_string_equal(cfg.kernel, "nowhere");
	unlink("img");
	unlink(release);
	assert_int_equal(fchdir(home), 0);
	close(home);
	rmdir(dir);
}

static void test_affinity(void **state)
{
	set(&cfg.kernel, "k");
	set(&cfg.vcpu_affinity, "0-3,8");
	assert_int_equal(complete(), 0);
	set(&cfg.vcpu_affinity, "3-0");
	assert_int_equal(complete(), -EINVAL);
	assert_contains(captured, "--vcpu-affinity 3-0: is not a list of CPUs");
}

static void test_print(void **state)
{
	static char text[4096];
	FILE *out = fmemopen(text, sizeof(text), "w");
	struct disk_config *d;
	struct net_config *n;

	set(&cfg.kernel, "k");
	set(&cfg.name, "vm");
	set(&cfg.params, "quiet");
	cfg.cpus = 2;
	cfg.memory = 512 * MiB;
	d = config_add_disk(&cfg);
	d->path = xstrdup("x,1.img");
	d->readonly = d->direct = true;
	d->format = DISK_FORMAT_RAW;
	n = config_add_net(&cfg);
	n->mode = NET_TAP;
	n->tapif = xstrdup("vm0");
	n->has_guest_mac = true;
	memcpy(n->guest_mac, "\x02\x15\x15\x15\x15\xab", 6);
	cfg.fdt.kernel_format = FDT_KERNEL_IMAGE;
	cfg.fdt.kaslr_random = true;
	set(&cfg.fdt.dump_dtb, "not of the machine");
	cfg.arm.irqchip = ARM_IRQCHIP_GICV3;
	cfg.arm.nested = true;
	cfg.arm.sve_max_vl = 256;
	cfg.arm.has_counter_offset = true;
	cfg.x86.irqchip = X86_IRQCHIP_SPLIT; /* not of this architecture */
	assert_int_equal(complete(), 0);
	config_print(&cfg, out);
	fclose(out);
	assert_string_equal(
		text,
		"name: vm\ncpus: 2\nmem: 512M\nhugetlbfs: none\nvcpu-affinity: none\n"
		"halt-poll: the host's\n"
		"virtio-transport: pci\nno-virtio-packed: no\n"
		"virtio-in-order: no\nvirtio-notification-data: no\ndev: "
		"/dev/kvm\nkernel: k\ninitrd: none\n"
		"params: quiet\nfirmware: none\nnodefaults: no\nno-reboot: no\n"
		"halt: wait\ndisk: x,,1.img,ro,direct,format=raw\n"
		"rw: no\nmodules: none\npmem: none\n"
		"network: mode=tap,tapif=vm0,guest_mac=02:15:15:15:15:ab\n"
		"9p: none\nvirtiofs: none\nvfio: none\nrng: no\nrng-limit: none\nvsock: none\n"
		"balloon: no\nballoon-size: default\nconsole: serial\nport: "
		"none\nboot-timer: no\ndebug-exit: on\ntrace: none\n"
		"gdb: none\ngdb-wait: no\n"
		"kernel-format: image\n"
		"firmware-address: default\nflash: none\nkaslr-seed: random\n"
		"rng-seed: no\nirqchip: gicv3\ngicv4: auto\ncpu: host\nprotected: no\n"
		"realm: no\nnested: yes\ne2h0: no\naarch32: no\npmu: no\n"
		"pmu-counters: default\ndisable-sve: no\nsve-max-vl: 256\n"
		"disable-mte: no\nno-pvtime: no\npsci: kernel\ncounter-offset: 0\n"
		"override-bad-firmware-cntfrq: default\n"
		"cmdline: console=ttyT0 root=/dev/vda ro quiet\n");
}

/* A description is the same on every host. */
static void test_described(void **state)
{
	set(&cfg.kernel, "k");
	cfg.nodefaults = true;
	set(&cfg.dump_boot, "d");
	assert_int_equal(complete(), 0);
	assert_int_equal(cfg.cpus, 1);
	assert_true(cfg.memory == 256 * MiB);
	assert_contains(captured, "-c 1 -m 256M");
	assert_one_line(captured);
	/* More than any host that runs this has. */
	cfg.memory = (1ULL << 50) + 4 * KiB;
	assert_int_equal(complete(), 0);
	assert_string_equal(captured, "");
	cfg.fdt.rng_seed = true;
	assert_int_equal(complete(), -EINVAL);
	assert_contains(captured, "omit --rng-seed");
	cfg.fdt.rng_seed = false;
	cfg.fdt.kaslr_random = true;
	assert_int_equal(complete(), -EINVAL);
	assert_contains(captured, "omit --kaslr-seed random");
	set(&cfg.dump_boot, NULL);
	set(&cfg.fdt.dump_dtb, "d");
	assert_int_equal(complete(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_defaults, begin, end),
		cmocka_unit_test_setup_teardown(test_default_cpus, begin, end),
		cmocka_unit_test_setup_teardown(test_memory, begin, end),
		cmocka_unit_test_setup_teardown(test_names, begin, end),
		cmocka_unit_test_setup_teardown(test_described, begin, end),
		cmocka_unit_test_setup_teardown(test_firmware, begin, end),
		cmocka_unit_test_setup_teardown(test_needs, begin, end),
		cmocka_unit_test_setup_teardown(test_cmdline, begin, end),
		cmocka_unit_test_setup_teardown(test_disks_and_nets, begin, end),
		cmocka_unit_test_setup_teardown(test_shares, begin, end),
		cmocka_unit_test_setup_teardown(test_kernel_search, begin, end),
		cmocka_unit_test_setup_teardown(test_affinity, begin, end),
		cmocka_unit_test_setup_teardown(test_print, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
