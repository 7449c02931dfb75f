/* SPDX-License-Identifier: MIT */
/* vfio/driver.c and in-use.c: devices change their drivers, over a tree of files that a few rules
 * of the kernel's keep up. */
#include "unit.h"

#include <stdlib.h>

#include "capture.h"
#include "lkvm/util.h"
#include "lkvm/vfio-bind.h"
#include "vfio_tree.h"

#define BUS   "/sys/bus/pci"
#define NET   "0x020000\n"
#define A     "0000:03:00.0"
#define B     "0000:03:00.1"
#define C     "0000:04:00.0"
#define REAL  "/sys/devices/pci0000:00/"
#define FAILS 8

/* What the kernel would do with it */

static char *written;		 /* what was written, in order: "unbind=A " */
static const char *fails[FAILS]; /* "unbind=0000:03:00.0": that write fails */
static const char *refuses;	 /* a device that vfio-pci does not take */
static const char *greedy;	 /* one that vfio-pci takes by its ids */
static u32 loads;
static bool loadable;

static const char *home(const char *id)
{
	return !strcmp(id, A) ? "e1000e" : !strcmp(id, B) ? "snd_hda_intel" : "";
}

static void driver_is(const char *id, const char *driver)
{
	char path[300], to[300];

	snprintf(path, sizeof(path), REAL "%s/driver", id);
	snprintf(to, sizeof(to), BUS "/drivers/%s", driver);
	tree_gone(path);
	if (*driver)
		tree_link(path, to);
}

static bool has_driver(const char *id)
{
	char path[300];

	snprintf(path, sizeof(path), REAL "%s/driver", id);
	return tree_has(path);
}

static int probe(const char *id)
{
	char path[300], override[64];
	const char *driver = override;

	snprintf(path, sizeof(path), REAL "%s/driver_override", id);
	tree_get(path, override, sizeof(override));
	override[strcspn(override, "\n")] = '\0';
	if (!strcmp(override, "(null)"))
		driver = greedy && !strcmp(greedy, id) ? "vfio-pci" : home(id);
	snprintf(path, sizeof(path), BUS "/drivers/%s", driver);
	/* That no driver takes it is no error of the write's. */
	if (has_driver(id) || !tree_has(path) ||
	    (refuses && !strcmp(refuses, id) && strstr(driver, "vfio")))
		return 0;
	driver_is(id, driver);
	return 0;
}

static int write_file_of_sysfs(void *opaque, const char *path, const char *text)
{
	const char *file = strrchr(path, '/') + 1;
	char what[200], short_path[300], line[100];

	assert_memory_equal(path, tree_root, strlen(tree_root));
	snprintf(what, sizeof(what), "%s=%s", file, text);
	what[strcspn(what, "\n")] = '\0';
	xappendf(&written, "%s ", what);
	for (u32 i = 0; i < FAILS; i++)
		if (fails[i] && !strcmp(fails[i], what))
			return -EIO;
	if (!strcmp(file, "driver_override")) {
		snprintf(line, sizeof(line), "%s\n", *text == '\n' ? "(null)" : text);
		tree_put(path + strlen(tree_root), line);
		return 0;
	}
	if (!strcmp(file, "drivers_probe"))
		return probe(text);
	snprintf(short_path, sizeof(short_path), "%.*s", (int)(file - 1 - path), path);
	if (!strcmp(file, "unbind"))
		driver_is(text, "");
	else
		driver_is(text, strrchr(short_path, '/') + 1);
	return 0;
}

static int load(void *opaque, const char *module)
{
	loads++;
	if (!loadable)
		return -ENODEV;
	assert_string_equal(module, "vfio-pci");
	tree_folder(BUS "/drivers/vfio-pci");
	return 0;
}

/* The tests' words */

static char *output;

static struct vfio_binder binder = {
	.root = tree_root,
	.write = write_file_of_sysfs,
	.load = load,
};

/* @devices: ids with blanks between. What was said on standard error. */
static const char *change(int (*fn)(const struct vfio_binder *, const struct vfio_name *, u32),
			  const char *devices, int want)
{
	struct vfio_name names[8];
	char copy[200], *rest = copy, *word;
	size_t size;
	const char *said;
	u32 nr = 0;
	int ret;

	snprintf(copy, sizeof(copy), "%s", devices);
	while ((word = strsep(&rest, " ")))
		assert_int_equal(vfio_name_parse(word, &names[nr++]), 0);
	free(output);
	free(written);
	written = xstrdup("");
	binder.out = open_memstream(&output, &size);
	capture_begin();
	ret = fn(&binder, names, nr);
	said = capture_end();
	fclose(binder.out);
	if (ret != want)
		fail_msg("%d and not %d: %s", ret, want, said);
	return said;
}

static void assert_driver(const char *id, const char *want)
{
	char path[300], to[300];
	ssize_t n;

	snprintf(path, sizeof(path), REAL "%s/driver", id);
	n = readlink(tree_path(path), to, sizeof(to) - 1);
	to[n > 0 ? n : 0] = '\0';
	assert_string_equal(n > 0 ? strrchr(to, '/') + 1 : "", want);
}

static void assert_override(const char *id, const char *want)
{
	char path[300], text[64];

	snprintf(path, sizeof(path), REAL "%s/driver_override", id);
	tree_get(path, text, sizeof(text));
	text[strcspn(text, "\n")] = '\0';
	assert_string_equal(text, want);
}

static int begin(void **state)
{
	tree_begin();
	tree_folder("/sys/class/iommu/dmar0");
	tree_folder(BUS "/drivers/vfio-pci");
	tree_pci(A, NET, "7", "e1000e");
	tree_pci(B, "0x040300\n", "7", "snd_hda_intel");
	tree_pci(C, NET, "8", "");
	memset(fails, 0, sizeof(fails));
	refuses = greedy = NULL;
	binder.force = binder.group = false;
	binder.driver = NULL;
	loads = 0;
	loadable = true;
	return 0;
}

static int end(void **state)
{
	tree_end();
	free(output);
	free(written);
	output = written = NULL;
	return 0;
}

static void test_there_and_back(void **state)
{
	/* Named twice is once. */
	assert_string_equal(change(vfio_bind, C " " C, 0), "");
	assert_string_equal(output, C ": vfio-pci has it (before: no driver)\n");
	assert_string_equal(written, "driver_override=vfio-pci drivers_probe=" C " ");
	assert_driver(C, "vfio-pci");

	/* The rest of its group is not VFIO's yet. */
	assert_contains(change(vfio_bind, A, 0), "group 7: " B " (snd_hda_intel); --group");
	assert_string_equal(output, A ": vfio-pci has it (before: e1000e)\n");
	assert_string_equal(written, "driver_override=vfio-pci unbind=" A " drivers_probe=" A " ");
	assert_driver(A, "vfio-pci");
	assert_driver(B, "snd_hda_intel");
	assert_int_equal(loads, 0);

	assert_contains(change(vfio_bind, A, 0), "--group");
	assert_string_equal(output, A ": vfio-pci has it already\n");
	assert_string_equal(written, "");

	assert_string_equal(change(vfio_unbind, A " " C, 0), "");
	assert_string_equal(output, A ": e1000e has it\n" C ": no driver of the host's wants it\n");
	assert_driver(A, "e1000e");
	assert_driver(C, "");
	assert_override(A, "(null)");
	assert_override(C, "(null)");
	change(vfio_unbind, A, 0);
	assert_string_equal(output, A ": e1000e has it already\n");
	assert_string_equal(written, "");
}

static void test_group(void **state)
{
	tree_pci("0000:00:1c.0", "0x060400\n", "7", "pcieport");
	binder.group = true;
	/* Once, though both bring it. */
	assert_string_equal(change(vfio_bind, A " " B, 0), "");
	assert_driver(A, "vfio-pci");
	assert_driver(B, "vfio-pci");
	assert_driver("0000:00:1c.0", "pcieport");
	assert_string_equal(change(vfio_unbind, B, 0), "");
	assert_driver(A, "e1000e");
	assert_driver(B, "snd_hda_intel");
}

static void test_another_driver(void **state)
{
	binder.driver = "mlx5_vfio_pci";
	tree_folder(BUS "/drivers/mlx5_vfio_pci");
	change(vfio_bind, C, 0);
	assert_driver(C, "mlx5_vfio_pci");
	binder.driver = NULL;
	change(vfio_bind, C, 0);
	assert_driver(C, "vfio-pci");
	assert_string_equal(output, C ": vfio-pci has it (before: mlx5_vfio_pci)\n");
}

static void test_module(void **state)
{
	assert_int_equal(rmdir(tree_path(BUS "/drivers/vfio-pci")), 0);
	loadable = false;
	assert_contains(change(vfio_bind, C, -ENODEV), "has no driver vfio-pci");
	assert_string_equal(written, "");
	loadable = true;
	change(vfio_bind, C, 0);
	assert_driver(C, "vfio-pci");
	assert_int_equal(loads, 2);
}

/* Each write may fail: all is as it was then. */
static void test_failures(void **state)
{
	static const char *const all[] = {
		"driver_override=vfio-pci", "unbind=" A, "drivers_probe=" A, "unbind=" B,
		"drivers_probe=" B,
	};

	for (u32 i = 0; i < ARRAY_SIZE(all); i++) {
		fails[0] = all[i];
		assert_one_line(change(vfio_bind, A " " B, -EIO));
		assert_driver(A, "e1000e");
		assert_driver(B, "snd_hda_intel");
		assert_override(A, "(null)");
		assert_override(B, "(null)");
	}
	fails[0] = NULL;
	refuses = B;
	assert_contains(change(vfio_bind, A " " B, -ENODEV), B ": vfio-pci does not take it");
	assert_driver(A, "e1000e");
	assert_driver(B, "snd_hda_intel");

	refuses = NULL;
	change(vfio_bind, A " " B, 0);
	fails[0] = "unbind=" B;
	assert_one_line(change(vfio_unbind, A " " B, -EIO));
	assert_driver(A, "vfio-pci");
	assert_driver(B, "vfio-pci");
	assert_override(A, "vfio-pci");

	/* It cannot even be given back. */
	fails[1] = "bind=" A;
	assert_contains(change(vfio_unbind, A " " B, -EIO), A ": cannot give it back to vfio-pci");
}

/* An override that somebody else gave it comes back. */
static void test_old_override(void **state)
{
	tree_put(REAL A "/driver_override", "e1000e\n");
	fails[0] = "drivers_probe=" A;
	assert_one_line(change(vfio_bind, A, -EIO));
	assert_override(A, "e1000e");
	assert_driver(A, "e1000e");
}

static void test_left_override(void **state)
{
	tree_put(REAL A "/driver_override", "vfio-pci\n");
	change(vfio_unbind, A, 0);
	assert_override(A, "(null)");
	assert_driver(A, "e1000e");
	assert_string_equal(written, "driver_override= drivers_probe=" A " ");
}

static void test_taken_again(void **state)
{
	change(vfio_bind, A, 0);
	greedy = A;
	assert_contains(change(vfio_unbind, A, -EBUSY),
			"vfio-pci took it again: the module has its ids");
	assert_driver(A, "vfio-pci");
}

static void test_refused(void **state)
{
	tree_pci("0000:00:1c.0", "0x060400\n", "7", "pcieport");
	assert_contains(change(vfio_bind, C " 00:1c.0", -ENODEV), "0000:00:1c.0: is a bridge");
	assert_driver(C, "");
	assert_contains(change(vfio_bind, C " 09:00.0", -ENODEV), "0000:09:00.0: there is no such");
	assert_driver(C, "");
	assert_contains(change(vfio_bind, "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001", -EINVAL),
			"an mdev has its driver");
	tree_pci("0000:05:00.0", NET, "", "e1000e");
	assert_contains(change(vfio_bind, C " 05:00.0", -EBUSY), "is in no IOMMU group");
	assert_driver(C, "");
	if (geteuid()) {
		assert_int_equal(chmod(tree_path(REAL C "/driver_override"), 0444), 0);
		assert_contains(change(vfio_bind, C, -EACCES), "run it as root");
	}
}

static void test_kernel_waits(void **state)
{
	change(vfio_bind, C, 0);
	tree_put("/proc/812/comm", "lkvm\n");
	tree_folder("/proc/812/fd");
	assert_int_equal(symlink("/dev/vfio/8", tree_path("/proc/812/fd/9")), 0);
	assert_contains(change(vfio_unbind, C, -EBUSY), C ": process 812 (lkvm) uses it; end that");
	tree_folder(BUS "/drivers/mlx5_vfio_pci");
	binder.driver = "mlx5_vfio_pci";
	assert_contains(change(vfio_bind, C, -EBUSY), C ": process 812 (lkvm) uses it");
	binder.driver = NULL;
	tree_gone("/proc/812/fd/9");
	assert_int_equal(symlink("/dev/vfio/80", tree_path("/proc/812/fd/9")), 0);
	change(vfio_unbind, C, 0);

	change(vfio_bind, C, 0);
	tree_put(REAL C "/vfio-dev/vfio3/dev", "510:3\n");
	assert_int_equal(symlink("/dev/vfio/devices/vfio3", tree_path("/proc/812/fd/10")), 0);
	assert_contains(change(vfio_unbind, C, -EBUSY), "process 812 (lkvm)");
}

/* What the host uses */

static void assert_used(const char *want)
{
	const char *said = change(vfio_bind, A, want ? -EBUSY : 0);

	if (!want) {
		change(vfio_unbind, A, 0);
		return;
	}
	assert_contains(said, want);
	assert_contains(said, "--force");
	assert_one_line(said);
	assert_driver(A, "e1000e");
	assert_string_equal(written, "");
	binder.force = true;
	change(vfio_bind, A, 0);
	assert_driver(A, "vfio-pci");
	change(vfio_unbind, A, 0);
	binder.force = false;
}

static void test_screen_and_functions(void **state)
{
	tree_put(REAL A "/boot_vga", "0\n");
	tree_put(REAL A "/sriov_numvfs", "0\n");
	assert_used(NULL);
	tree_put(REAL A "/sriov_numvfs", "4\n");
	assert_used("it has 4 virtual functions");
	tree_put(REAL A "/boot_vga", "1\n");
	assert_used("booted with it as its screen");
}

static void test_network(void **state)
{
	tree_put(REAL A "/net/eth0/flags", "0x1002\n");
	tree_link("/sys/class/net/eth0", REAL A "/net/eth0");
	/* Of another device. */
	tree_put(REAL C "/net/eth1/flags", "0x1003\n");
	tree_link("/sys/class/net/eth1", REAL C "/net/eth1");
	assert_used(NULL);
	tree_put(REAL A "/net/eth0/flags", "0x1003\n");
	assert_used("interface eth0 is up");
	tree_link(REAL A "/net/eth0/master", "/sys/devices/virtual/net/br0");
	assert_used("interface eth0 is a part of br0");
}

static void disk(const char *name, const char *below, const char *dev)
{
	char path[300], link[100];

	snprintf(path, sizeof(path), "%s/dev", below);
	tree_put(path, dev);
	snprintf(path, sizeof(path), "%s/holders", below);
	tree_folder(path);
	snprintf(link, sizeof(link), "/sys/class/block/%s", name);
	tree_link(link, below);
}

static void test_disks(void **state)
{
	disk("sda", REAL A "/ata1/host0/block/sda", "8:0\n");
	disk("sda1", REAL A "/ata1/host0/block/sda/sda1", "8:1\n");
	disk("sdb", REAL C "/ata1/host0/block/sdb", "8:16\n");
	disk("dm-0", "/sys/devices/virtual/block/dm-0", "254:0\n");
	tree_put("/proc/self/mountinfo", "22 1 8:16 / / rw - ext4 /dev/sdb rw\n"
					 "23 1 254:0 / /var rw - ext4 /dev/sda11 rw\n");
	tree_put("/proc/swaps", "Filename Type Size Used Priority\n/dev/sdb partition 1 0 -2\n");
	assert_used(NULL);
	tree_folder("/sys/devices/pci0000:00/" A "/ata1/host0/block/sda/sda1/holders/md0");
	assert_used("disk sda1 is a part of md0");
	tree_put("/proc/swaps", "Filename Type Size Used Priority\n/dev/sda1\tpartition 1 0 -2\n");
	assert_used("disk sda1 is swap space");
	tree_put("/proc/self/mountinfo", "22 1 8:1 / /srv rw shared:1 - ext4 /dev/root rw\n");
	assert_used("disk sda1 is mounted at /srv");
	/* btrfs has a number of its own. */
	tree_put("/proc/self/mountinfo",
		 "22 1 0:24 /@ /home rw shared:1 master:2 - btrfs /dev/sda1 rw\n");
	assert_used("disk sda1 is mounted at /home");
}

static void test_nvme_subsystem(void **state)
{
	disk("nvme0n1", "/sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1", "259:0\n");
	tree_put("/proc/self/mountinfo", "22 1 259:0 / /srv rw - ext4 /dev/nvme0n1 rw\n");
	tree_link("/sys/class/nvme-subsystem/nvme-subsys0/nvme3", REAL C "/nvme/nvme3");
	assert_used(NULL);
	tree_link("/sys/class/nvme-subsystem/nvme-subsys0/nvme4", REAL A "/nvme/nvme4");
	assert_used("disk nvme0n1 is mounted at /srv");
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(test_there_and_back),
		CASE(test_group),
		CASE(test_another_driver),
		CASE(test_module),
		CASE(test_failures),
		CASE(test_old_override),
		CASE(test_left_override),
		CASE(test_taken_again),
		CASE(test_refused),
		CASE(test_kernel_waits),
		CASE(test_screen_and_functions),
		CASE(test_network),
		CASE(test_disks),
		CASE(test_nvme_subsystem),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
