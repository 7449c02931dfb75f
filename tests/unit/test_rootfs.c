/* SPDX-License-Identifier: MIT */
/* rootfs/: what becomes of a directory as root, for kernels with and without modules; setup. */
#include "capture.h"
#include "folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lkvm/arch.h"
#include "lkvm/boot.h"
#include "lkvm/config.h"
#include "lkvm/guest-init.h"
#include "lkvm/rootfs.h"
#include "lkvm/util.h"

const struct arch_platform arch_platform = { .name = "test", .option_mask = OPT_ARCH_X86 };
static bool is_linux;

int arch_config_complete(struct vm_config *c)
{
	return 0;
}

bool arch_firmware_takes_kernel(const struct vm_config *c)
{
	return false;
}

bool arch_boots_linux(const struct vm_config *c, const struct boot *boot)
{
	return is_linux;
}

static char dir[] = "/tmp/lkvm-rootfs-XXXXXX";
static struct vm_config cfg;

static char *in_dir(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void put(const char *name, const char *text)
{
	assert_int_equal(write_file(in_dir(name), text, strlen(text)), 0);
}

/* Entries of the archive by name, "" where there is none. */
static const char *entry(const char *name, size_t *len)
{
	const u8 *p = cfg.root.image, *end = p + cfg.root.image_len;

	while (p + 110 < end) {
		char text[9] = { 0 };
		size_t n, size;
		const char *here = (const char *)p + 110;

		memcpy(text, p + 54, 8);
		size = strtoul(text, NULL, 16);
		memcpy(text, p + 94, 8);
		n = strtoul(text, NULL, 16);
		p += ALIGN_UP(110 + n, (size_t)4);
		if (!strcmp(here, name + 1)) {
			*len = size;
			return (const char *)p;
		}
		p += ALIGN_UP(size, (size_t)4);
	}
	*len = 0;
	return "";
}

/* Has init.conf the entry @text? */
static bool is_told(const char *text)
{
	size_t len;
	const char *conf = entry(GUEST_INIT_CONF, &len);

	for (const char *p = conf; p < conf + len; p += strlen(p) + 1)
		if (!strcmp(p, text))
			return true;
	return false;
}

static void assert_modules(const char *text)
{
	size_t len;
	const char *list = entry(GUEST_INIT_MODULES, &len);

	assert_int_equal(len, strlen(text));
	assert_memory_equal(list, text, len);
}

static int prepare(void)
{
	int ret;

	capture_begin();
	ret = config_root_complete(&cfg);
	if (!ret)
		ret = rootfs_prepare(&cfg);
	capture_end();
	if (ret)
		assert_one_line(captured);
	return ret;
}

static void set(char **member, const char *value)
{
	free(*member);
	*member = value ? xstrdup(value) : NULL;
}

static int begin(void **state)
{
	config_init(&cfg);
	cfg.memory = 64 * MiB;
	is_linux = true;
	cfg.cmdline = xstrdup("console=ttyT0");
	put("kernel", "some bytes, then Linux version 6.9.9-test (me) and more");
	set(&cfg.kernel, in_dir("kernel"));
	return 0;
}

static int end(void **state)
{
	config_destroy(&cfg);
	unlink(in_dir("modules.dep"));
	unlink(in_dir("modules.builtin"));
	return 0;
}

/* The kernel's modules are nowhere. */
static void test_own_root(void **state)
{
	size_t len;

	setenv("TERM", "xterm-test", 1);
	assert_int_equal(prepare(), 0);
	assert_int_equal(cfg.nr_shares, 1);
	assert_string_equal(cfg.shares[0].path, "/");
	assert_string_equal(cfg.shares[0].tag, "lkvm-root");
	assert_true(cfg.shares[0].readonly);
	assert_true(is_told("root=9p"));
	assert_true(is_told("source=lkvm-root"));
	assert_true(is_told("mode=overlay"));
	assert_true(is_told("options=trans=virtio,version=9p2000.L,msize=512000,cache=loose"));
	assert_true(is_told("hostname=lkvm"));
	assert_true(is_told("env=TERM=xterm-test"));
	assert_modules("");
	assert_memory_equal(entry(GUEST_INIT_PATH, &len), guest_init_image, guest_init_image_len);
	assert_int_equal(len, guest_init_image_len);
	entry(GUEST_INIT_COMMAND, &len);
	assert_int_equal(len, 0);
	assert_contains(captured, "the guest's root is this host's /");
}

static void test_modules(void **state)
{
	char *command[] = { (char[]){ "a b" }, (char[]){ "" }, (char[]){ "c\n" }, NULL };
	size_t len;

	put("modules.builtin", "k/virtio_pci.ko\nk/virtio_console.ko\n");
	put("modules.dep", "9p.ko: n.ko\nn.ko:\n9pnet_virtio.ko: n.ko\noverlay.ko:\n");
	put("9p.ko", "9");
	put("n.ko", "nn");
	put("9pnet_virtio.ko", "999");
	put("overlay.ko", "over");
	set(&cfg.root.modules, dir);
	cfg.root.command = command;
	cfg.root.rw = true;
	config_add_init_line(&cfg, "link=%d", 3);
	assert_int_equal(prepare(), 0);
	assert_modules("/lkvm/00-n.ko\n/lkvm/01-9pnet_virtio.ko\n/lkvm/02-9p.ko\n");
	assert_memory_equal(entry("/lkvm/00-n.ko", &len), "nn", 2);
	assert_memory_equal(entry(GUEST_INIT_COMMAND, &len), "a b\0\0c\n\0", 8);
	assert_int_equal(len, 8);
	assert_true(is_told("mode=rw"));
	assert_true(is_told("link=3"));
	assert_true(is_told("options=trans=virtio,version=9p2000.L,msize=512000,cache=mmap"));
	assert_false(cfg.shares[0].readonly);
}

/* A kernel of clouds; and one without overlayfs. */
static void test_lacking(void **state)
{
	put("modules.builtin", "k/virtio_pci.ko\nfs/ext4.ko\n");
	put("modules.dep", "");
	set(&cfg.root.modules, dir);
	cfg.root.rw = true;
	assert_int_equal(prepare(), -ENOTSUP);
	assert_contains(captured, "Linux 6.9.9-test has no 9P");
	cfg.root.rw = false;
	put("modules.builtin", "k/virtio_pci.ko\n9p.ko\n9pnet_virtio.ko\n");
	assert_int_equal(prepare(), 0);
	assert_contains(captured, "has no overlayfs");
	assert_true(is_told("mode=ro"));
	assert_true(cfg.shares[0].readonly);
}

/* A kernel that has virtio-fs alone, and a stand-in for virtiofsd that knows the words @help. */
static int prepare_virtiofs(const char *help)
{
	char *path = xstrdup(getenv("PATH")), *with, *script;
	int ret;

	put("modules.builtin", "k/virtio_pci.ko\nvirtiofs.ko\noverlay.ko\nk/virtio_console.ko\n");
	put("modules.dep", "");
	set(&cfg.root.modules, dir);
	script = xasprintf("#!/bin/sh\necho ' %s'\n", help);
	put("virtiofsd", script);
	assert_int_equal(chmod(in_dir("virtiofsd"), 0755), 0);
	with = xasprintf("%s:%s", dir, path);
	setenv("PATH", with, 1);
	ret = prepare();
	setenv("PATH", path, 1);
	unlink(in_dir("virtiofsd"));
	free(script);
	free(with);
	free(path);
	return ret;
}

static void test_virtiofs(void **state)
{
	assert_int_equal(prepare_virtiofs("--no-announce-submounts"), 0);
	assert_int_equal(cfg.nr_shares, 0);
	assert_int_equal(cfg.nr_virtiofs, 1);
	assert_string_equal(cfg.virtiofs[0].dir, "/");
	assert_string_equal(cfg.virtiofs[0].tag, "lkvm-root");
	assert_string_equal(cfg.virtiofs[0].cache, "always");
	assert_true(cfg.virtiofs[0].readonly);
	assert_true(cfg.virtiofs[0].flat);
	assert_false(cfg.virtiofs[0].confined);
	assert_true(is_told("root=virtiofs"));
	assert_true(is_told("mode=overlay"));
	assert_contains(captured, "by virtiofsd");
}

/* One that says nothing of mounts unless it is told to has no such word. */
static void test_virtiofs_old(void **state)
{
	cfg.root.sandbox = true;
	assert_int_equal(prepare_virtiofs("--announce-submounts"), 0);
	assert_false(cfg.virtiofs[0].flat);
	assert_true(cfg.virtiofs[0].confined);
}

static void test_virtiofs_rw(void **state)
{
	cfg.root.rw = true;
	assert_int_equal(prepare_virtiofs("--no-announce-submounts"), 0);
	assert_false(cfg.virtiofs[0].readonly);
	assert_false(cfg.virtiofs[0].flat);
	assert_null(cfg.virtiofs[0].cache);
}

/* `lkvm smoke`: everything is on the console. */
static void test_on_console(void **state)
{
	char *command[] = { (char[]){ "true" }, NULL };

	cfg.root.command = command;
	cfg.root.on_console = true;
	assert_int_equal(prepare(), 0);
	assert_true(is_told("console=yes"));
	assert_false(cfg.root.linked);
	set(&cfg.params, "init=/sbin/init");
	assert_int_equal(prepare(), -EINVAL);
	assert_contains(captured, "beside init=");
}

/* Neither 9P nor virtio-fs: what a command needs is the root. */
static void test_programs(void **state)
{
	char *command[] = { in_dir("script"), NULL };
	size_t len;

	put("modules.builtin", "k/virtio_pci.ko\nk/virtio_console.ko\n");
	put("modules.dep", "");
	put("script", "#!/usr/bin/env -S\n");
	assert_int_equal(chmod(in_dir("script"), 0755), 0);
	set(&cfg.root.modules, dir);
	command[0] = xstrdup(in_dir("script"));
	cfg.root.command = command;
	assert_int_equal(prepare(), 0);
	assert_contains(captured, "has no 9P");
	assert_true(is_told("root=initramfs"));
	assert_int_equal(cfg.nr_shares, 0);
	assert_string_equal(entry(command[0], &len), "#!/usr/bin/env -S\n");
	entry("/usr/bin/env", &len);
	assert_true(len > 1000);
	/* Of a dynamic program there is a C library. */
	assert_non_null(memmem(cfg.root.image, cfg.root.image_len, "libc.", 5));
	free(cfg.root.image);
	cfg.root.image = NULL;
	free(command[0]);
	command[0] = (char[]){ "there-is-no-such-command" };
	assert_int_equal(rootfs_prepare(&cfg), -ENOENT);
}

/* Interpreters of interpreters, without end. */
static void test_programs_deep(void **state)
{
	char *command[] = { xstrdup(in_dir("script0")), NULL };

	put("modules.builtin", "k/virtio_pci.ko\nk/virtio_console.ko\n");
	put("modules.dep", "");
	for (u32 i = 0; i < 12; i++) {
		char name[16], *text;

		snprintf(name, sizeof(name), "script%u", i + 1);
		text = xasprintf("#!%s\n", in_dir(name));
		snprintf(name, sizeof(name), "script%u", i);
		put(name, text);
		assert_int_equal(chmod(in_dir(name), 0755), 0);
		free(text);
	}
	set(&cfg.root.modules, dir);
	cfg.root.command = command;
	capture_begin();
	assert_int_equal(rootfs_prepare(&cfg), -E2BIG);
	capture_end();
	assert_contains(captured, "too much is needed");
	assert_null(cfg.root.image);
	free(command[0]);
}

static void test_no_such_modules(void **state)
{
	set(&cfg.root.modules, dir);
	assert_int_equal(prepare(), -ENOENT);
	assert_contains(captured, "has neither modules.dep nor lib/modules/6.9.9-test");
}

/* Whoever has another root, or is no Linux, is left alone. */
static void test_not_wanted(void **state)
{
	config_add_initrd(&cfg, "initrd");
	assert_int_equal(prepare(), 0);
	assert_null(cfg.root.image);
	free(cfg.initrds[--cfg.nr_initrds]);
	set(&cfg.params, "root=/dev/nfs");
	assert_int_equal(prepare(), 0);
	assert_null(cfg.root.image);
	set(&cfg.params, NULL);
	cfg.nodefaults = true;
	assert_int_equal(prepare(), 0);
	assert_null(cfg.root.image);
	cfg.nodefaults = false;
	put("kernel", "something that says no version, as tests of hypervisors do not");
	assert_int_equal(prepare(), 0);
	assert_null(cfg.root.image);
	is_linux = false;
	put("kernel", "Linux version 6.9.9-test (me)");
	assert_int_equal(prepare(), 0);
	assert_null(cfg.root.image);
	cfg.root.sandbox = true;
	assert_int_equal(prepare(), -ENOEXEC);
	assert_contains(captured, "is not a Linux kernel");
}

/* --rw and --modules where no directory is the root. */
static void assert_refused(const char *text)
{
	assert_int_equal(prepare(), -EINVAL);
	assert_contains(captured, text);
	cfg.root.rw = true;
	assert_int_equal(prepare(), -EINVAL);
	assert_contains(captured, "--rw: is for a root that is a directory of this host");
	cfg.root.rw = false;
}

static void test_words(void **state)
{
	set(&cfg.root.modules, dir);
	config_add_initrd(&cfg, "initrd");
	assert_refused("--modules: is for a root that is a directory of this host, and with "
		       "--initrd there is none");
	free(cfg.initrds[--cfg.nr_initrds]);
	set(&cfg.params, "root=/dev/nfs");
	assert_refused("with the kernel parameter root= there is none");
	set(&cfg.params, NULL);
	cfg.nodefaults = true;
	assert_refused("with --nodefaults there is none");
	cfg.nodefaults = false;
	set(&cfg.dump_boot, "x");
	assert_refused("with --dump-boot there is none");
	set(&cfg.dump_boot, NULL);
	config_add_disk(&cfg)->path = xstrdup(in_dir("kernel"));
	assert_refused("with --disk, which is no directory, there is none");
	set(&cfg.disks[0].path, dir);
	cfg.disks[0].readonly = cfg.root.rw = true;
	assert_int_equal(prepare(), -EINVAL);
	assert_contains(captured, "is not to be written");
}

static void test_words_not_linux(void **state)
{
	is_linux = false;
	cfg.root.rw = true;
	assert_int_equal(prepare(), -ENOEXEC);
	assert_contains(captured, "--rw: is for Linux");
}

static void test_directory(void **state)
{
	struct disk_config *d = config_add_disk(&cfg);

	d->path = xstrdup(dir);
	config_add_disk(&cfg)->path = xstrdup(in_dir("kernel"));
	set(&cfg.params, "quiet init=/sbin/init x");
	assert_int_equal(prepare(), 0);
	assert_int_equal(cfg.nr_disks, 1);
	assert_string_equal(cfg.disks[0].path, in_dir("kernel"));
	assert_string_equal(cfg.shares[0].path, dir);
	assert_true(is_told("mode=rw"));
	assert_false(is_told("dir=/root"));
	assert_true(is_told("init=/sbin/init"));
	assert_false(cfg.shares[0].readonly);
}

/* It may be asked to be written, and is not: by the share itself. */
static void test_sandbox(void **state)
{
	config_add_disk(&cfg)->path = xstrdup(dir);
	cfg.root.sandbox = true;
	assert_int_equal(prepare(), 0);
	assert_string_equal(cfg.shares[0].path, dir);
	assert_true(cfg.shares[0].readonly);
	assert_true(is_told("mode=overlay"));
	assert_int_equal(cfg.nr_shares, 1);
	assert_int_equal(cfg.nr_nets + cfg.nr_disks + cfg.nr_ports, 0);
}

/* kvmtool's way: the parameters say all. */
static void test_directory_plain(void **state)
{
	config_add_disk(&cfg)->path = xstrdup(dir);
	set(&cfg.params, "root=/dev/root rootfstype=9p");
	assert_int_equal(prepare(), 0);
	assert_null(cfg.root.image);
	assert_int_equal(cfg.nr_disks, 0);
	assert_string_equal(cfg.shares[0].tag, "/dev/root");
}

static void test_setup(void **state)
{
	char *made = xasprintf("%s/.lkvm/box", dir), *path;
	struct stat st;

	setenv("HOME", dir, 1);
	path = config_root_path("box");
	assert_string_equal(path, made);
	umask(077);
	assert_int_equal(rootfs_setup(made, "box"), 0);
	umask(022);
	assert_int_equal(stat(in_dir(".lkvm/box/tmp"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 01777);
	assert_int_equal(lstat(in_dir(".lkvm/box/usr"), &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	capture_begin();
	assert_int_equal(rootfs_setup(made, "box"), -EEXIST);
	capture_end();
	assert_one_line(captured);

	/* By its name it is the root, with the host beside it. */
	config_add_disk(&cfg)->path = xstrdup("box");
	assert_int_equal(prepare(), 0);
	assert_string_equal(cfg.shares[0].path, made);
	assert_string_equal(cfg.shares[1].path, "/");
	assert_true(cfg.shares[1].readonly);
	assert_true(is_told("dir=/root"));
	assert_true(is_told("mount=9p hostfs "
			    "trans=virtio,version=9p2000.L,msize=512000,cache=loose /host"));

	/* Nothing half-made: a file is in the way of the directory above. */
	put("file", "");
	capture_begin();
	assert_true(rootfs_setup(in_dir("file/box"), "box") < 0);
	capture_end();
	assert_one_line(captured);
	free(path);
	free(made);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_own_root, begin, end),
		cmocka_unit_test_setup_teardown(test_modules, begin, end),
		cmocka_unit_test_setup_teardown(test_lacking, begin, end),
		cmocka_unit_test_setup_teardown(test_virtiofs, begin, end),
		cmocka_unit_test_setup_teardown(test_virtiofs_old, begin, end),
		cmocka_unit_test_setup_teardown(test_virtiofs_rw, begin, end),
		cmocka_unit_test_setup_teardown(test_on_console, begin, end),
		cmocka_unit_test_setup_teardown(test_words, begin, end),
		cmocka_unit_test_setup_teardown(test_words_not_linux, begin, end),
		cmocka_unit_test_setup_teardown(test_programs, begin, end),
		cmocka_unit_test_setup_teardown(test_programs_deep, begin, end),
		cmocka_unit_test_setup_teardown(test_no_such_modules, begin, end),
		cmocka_unit_test_setup_teardown(test_not_wanted, begin, end),
		cmocka_unit_test_setup_teardown(test_directory, begin, end),
		cmocka_unit_test_setup_teardown(test_sandbox, begin, end),
		cmocka_unit_test_setup_teardown(test_directory_plain, begin, end),
		cmocka_unit_test_setup_teardown(test_setup, begin, end),
	};
	int ret;

	assert_non_null(mkdtemp(dir));
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	return remove_folder(dir) ? 1 : ret;
}
