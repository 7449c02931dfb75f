/* SPDX-License-Identifier: MIT */
/*
 * How the guest's root is reached goes by what its kernel has, built in or as modules: 9P, which is
 * served by lkvm itself; else virtio-fs, by virtiofsd. A kernel whose modules are nowhere is taken
 * to have all built in.
 */
#include "lkvm/rootfs.h"

#include <stdlib.h>
#include <unistd.h>

#include "../config-items.h"
#include "closure.h"
#include "conf.h"
#include "cpio.h"
#include "file.h"
#include "find.h"
#include "lkvm/arch.h"
#include "lkvm/boot.h"
#include "lkvm/config.h"
#include "lkvm/guest-init.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vhost.h"
#include "modules.h"

#define HELP_MAX (64 * KiB)
#define TAG	 "lkvm-root"
#define HOST_TAG "hostfs" /* kvmtool's */
/* 125 pages of 4 KiB: what Linux's client can have at most. */
#define P9_OPTIONS "trans=virtio,version=9p2000.L,msize=512000,cache="

enum way { WAY_9P, WAY_VIRTIOFS, WAY_INITRAMFS };

struct rootfs {
	struct vm_config *cfg;
	char release[BOOT_RELEASE_LEN]; /* empty: not known */
	struct modules modules;
	enum way way;
	const char *mode; /* INIT_CONF_MODE */
};

/* The kernel */

/* 1: it is Linux; 0: it is not, or does not show it; or -errno. */
static int look_at_kernel(const struct vm_config *cfg, char release[BOOT_RELEASE_LEN])
{
	struct boot boot = { .kernel.fd = -1, .firmware.fd = -1 };
	const char *path = cfg->kernel;
	int ret = boot_image_open(&boot.kernel, path, "kernel");

	if (!ret)
		ret = boot_image_decompress(&boot.kernel, "kernel", cfg->memory);
	if (!ret)
		ret = boot_image_unzboot(&boot.kernel, "kernel", cfg->memory);
	if (ret)
		goto out;
	if (arch_boots_linux(cfg, &boot))
		ret = 1;
	if (ret && boot_linux_release(&boot.kernel, release))
		*release = '\0';
out:
	boot_close(&boot);
	return ret;
}

static int want_modules(struct rootfs *r)
{
	const struct vm_config *cfg = r->cfg;
	const struct {
		const char *name;
		bool wanted;
	} list[] = {
		{ "virtio_pci", transport_is_pci(cfg->transport) },
		{ "virtio_mmio", !transport_is_pci(cfg->transport) },
		{ "9pnet_virtio", r->way == WAY_9P || cfg->nr_shares },
		{ "9p", r->way == WAY_9P || cfg->nr_shares },
		{ "virtiofs", r->way == WAY_VIRTIOFS || cfg->nr_virtiofs },
		{ "overlay", !strcmp(r->mode, "overlay") },
		{ "virtio_console",
		  cfg->root.linked || cfg->console == CONSOLE_VIRTIO || cfg->nr_ports },
		{ "virtio_blk", cfg->nr_disks },
		{ "virtio_net", cfg->nr_nets },
		{ "virtio_rng", cfg->rng },
		{ "virtio_balloon", cfg->balloon },
		{ "vmw_vsock_virtio_transport", cfg->vsock.cid },
		{ "nd_pmem", cfg->nr_pmems },
		{ "virtio_pmem", cfg->nr_pmems },
	};
	int ret = 0;

	for (size_t i = 0; i < ARRAY_SIZE(list) && !ret; i++)
		if (list[i].wanted)
			ret = modules_want(&r->modules, list[i].name);
	return ret;
}

/* How to reach the root, and what then becomes of what the guest writes */

static bool has_virtiofsd(void)
{
	char *path = virtiofsd_find();
	bool found = path;

	free(path);
	return found;
}

/* The last resort: nothing is shared. */
static int choose_initramfs(struct rootfs *r, const char *lacks, bool virtiofs)
{
	const struct root_config *root = &r->cfg->root;
	const char *remedy = virtiofs ? "it has virtiofs: install virtiofsd" : "use another kernel";

	if (root->dir || root->rw) {
		err("--kernel %s: Linux %s has no %s, by its modules in %s: its root cannot be a "
		    "directory of this host; %s",
		    r->cfg->kernel, r->release, lacks, r->modules.dir, remedy);
		return -ENOTSUP;
	}
	warn("Linux %s has no %s, by its modules in %s: the guest gets %s and what that needs, and "
	     "nothing else of this host; for more %s",
	     r->release, lacks, r->modules.dir, root->command ? root->command[0] : "a shell",
	     remedy);
	r->way = WAY_INITRAMFS;
	return 0;
}

static int choose_way(struct rootfs *r)
{
	const struct modules *m = &r->modules;
	const char *transport = transport_is_pci(r->cfg->transport) ? "virtio_pci" : "virtio_mmio";
	bool virtio = modules_have(m, transport);

	if (virtio && modules_have(m, "9p") && modules_have(m, "9pnet_virtio")) {
		r->way = WAY_9P;
		return 0;
	}
	if (virtio && modules_have(m, "virtiofs") && has_virtiofsd()) {
		r->way = WAY_VIRTIOFS;
		return 0;
	}
	return choose_initramfs(r, virtio ? "9P (9p and 9pnet_virtio)" : transport,
				virtio && modules_have(m, "virtiofs"));
}

static void choose_mode(struct rootfs *r)
{
	const struct root_config *root = &r->cfg->root;
	/* kvmtool's users expect to write to a directory that they name. */
	bool through = root->rw || (root->dir && !root->dir_readonly && !root->sandbox);

	r->mode = through || r->way == WAY_INITRAMFS ? "rw" : "overlay";
	if (!strcmp(r->mode, "rw") || modules_have(&r->modules, "overlay"))
		return;
	warn("Linux %s has no overlayfs, by its modules in %s: the guest's root is read-only",
	     r->release, r->modules.dir);
	r->mode = "ro";
}

/* What is below an overlay must not change anyway, so the guest may keep all that it has seen. */
static const char *p9_options(const char *mode)
{
	return !strcmp(mode, "overlay") ? P9_OPTIONS "loose" : P9_OPTIONS "mmap";
}

/* Without a port for the streams a shell can have the console; the root's own init has it anyway.
 */
static int choose_link(struct rootfs *r)
{
	struct root_config *root = &r->cfg->root;
	bool init = config_find_param(r->cfg, "init=");

	if (init && root->command) {
		err("the command '%s': cannot be run beside init= in --params; omit one of them",
		    root->command[0]);
		return -EINVAL;
	}
	root->linked = !init && !root->on_console && modules_have(&r->modules, "virtio_console");
	if (root->linked || root->on_console || !root->command)
		return 0;
	err("--kernel %s: Linux %s has no virtio_console, by its modules in %s: it cannot run the "
	    "command '%s'; use another kernel",
	    r->cfg->kernel, r->release, r->modules.dir, root->command[0]);
	return -ENOTSUP;
}

/*
 * What the kernel says is seen when the machine ends as it should not, and a panic is such an end.
 * The user's words come after these.
 */
static void add_words(struct vm_config *cfg)
{
	char *before = cfg->cmdline;

	if (!cfg->root.linked || cfg->nodefaults)
		return;
	cfg->cmdline = xasprintf("quiet panic=-1%s%s", *before ? " " : "", before);
	free(before);
}

/* The share */

static void add_9p(struct vm_config *cfg, const char *dir, const char *tag, bool readonly)
{
	struct share_config *share;

	cfg->shares = config_grow(cfg->shares, &cfg->nr_shares, sizeof(*cfg->shares));
	share = &cfg->shares[cfg->nr_shares - 1];
	share->path = xstrdup(dir);
	share->tag = xstrdup(tag);
	share->readonly = readonly;
}

/*
 * Overlayfs refuses to enter what FUSE mounts by itself (ovl_dentry_weird: EREMOTE), so the guest
 * must not be told of mounts there. Before virtiofsd told of them by default it had no such word.
 */
static bool can_be_flat(void)
{
	char *path = virtiofsd_find();
	char *argv[] = { path, (char[]){ "--help" }, NULL };
	size_t len;
	u8 *help;
	bool can = false;

	if (path && !file_read_output(argv, "/dev/null", HELP_MAX, &help, &len)) {
		can = strstr((char *)help, "--no-announce-submounts");
		free(help);
	}
	free(path);
	return can;
}

static void add_virtiofs(struct vm_config *cfg, const char *dir, const char *tag, bool readonly,
			 bool overlaid)
{
	struct virtiofs_config *fs;

	cfg->virtiofs = config_grow(cfg->virtiofs, &cfg->nr_virtiofs, sizeof(*cfg->virtiofs));
	fs = &cfg->virtiofs[cfg->nr_virtiofs - 1];
	fs->dir = xstrdup(dir);
	fs->tag = xstrdup(tag);
	fs->readonly = readonly;
	fs->confined = cfg->root.sandbox;
	if (!overlaid)
		return;
	/* As with 9P. */
	fs->cache = xstrdup("always");
	fs->flat = can_be_flat();
}

static void add_share(struct rootfs *r, const char *dir, const char *tag, bool readonly)
{
	if (r->way == WAY_9P)
		add_9p(r->cfg, dir, tag, readonly);
	else
		add_virtiofs(r->cfg, dir, tag, readonly, !strcmp(r->mode, "overlay"));
}

/* The initramfs */

/* For a kernel that has not what was assumed. */
static void add_hint(const struct rootfs *r, struct conf *c)
{
	const char *dir = r->modules.dir;
	char *text = dir ? xasprintf("%s has no list modules.builtin, so lkvm took what is missing "
				     "there as built in",
				     dir)
			 : xasprintf("lkvm found no modules of Linux %s; name their directory with "
				     "--modules, or build 9P over virtio and overlayfs into it",
				     *r->release ? r->release : "(of an unknown release)");

	conf_add(c, INIT_CONF_HINT, text);
	free(text);
}

static void add_conf(struct rootfs *r, struct conf *c)
{
	const struct root_config *root = &r->cfg->root;
	static const char *const types[] = { "9p", "virtiofs", "initramfs" };
	const char *type = types[r->way];
	char *text;

	conf_add(c, INIT_CONF_ROOT, type);
	conf_add(c, INIT_CONF_SOURCE, TAG);
	conf_add(c, INIT_CONF_OPTIONS, r->way == WAY_9P ? p9_options(r->mode) : "");
	conf_add(c, INIT_CONF_MODE, r->mode);
	if (!modules_know(&r->modules))
		add_hint(r, c);
	if (root->on_console)
		conf_add(c, INIT_CONF_CONSOLE, "yes");
	if (root->made) {
		text = xasprintf("%s %s %s /host", type, HOST_TAG,
				 r->way == WAY_9P ? P9_OPTIONS "loose" : "");
		conf_add(c, INIT_CONF_MOUNT, text);
		free(text);
	}
	if (!root->linked)
		conf_add(c, INIT_CONF_STREAMS, "console");
	conf_add_session(c, r->cfg);
}

static int add_modules(struct rootfs *r, struct cpio *c)
{
	char *names = xstrdup("");
	int ret = 0;

	for (u32 i = 0; i < r->modules.nr_order && !ret; i++) {
		char *name, *path;
		size_t len;
		u8 *data;

		ret = modules_read(&r->modules, i, &name, &data, &len);
		if (ret)
			break;
		path = xasprintf(GUEST_INIT_DIR "/%s", name);
		cpio_file(c, path, 0644, data, len);
		xappendf(&names, "%s\n", path);
		free(path);
		free(name);
		free(data);
	}
	cpio_file(c, GUEST_INIT_MODULES, 0644, names, strlen(names));
	free(names);
	return ret;
}

static void add_command(struct cpio *c, char *const *command)
{
	struct conf words = { 0 };

	for (; command && *command; command++)
		conf_add_entry(&words, *command);
	if (words.len)
		cpio_file(c, GUEST_INIT_COMMAND, 0644, words.text, words.len);
	free(words.text);
}

/* What is the root itself, if nothing else is. */
static int add_programs(struct rootfs *r, struct cpio *c)
{
	static const char *const dirs[] = { "/proc", "/sys", "/run", "/tmp", "/etc", NULL };
	char *const *command = r->cfg->root.command;
	struct closure cl = { .cpio = c };
	char *cwd;
	int ret;

	if (r->way != WAY_INITRAMFS)
		return 0;
	for (size_t i = 0; dirs[i]; i++)
		closure_add_dir(&cl, dirs[i]);
	cwd = getcwd(NULL, 0);
	if (cwd && *cwd == '/')
		closure_add_dir(&cl, cwd);
	free(cwd);
	ret = command ? closure_add_program(&cl, command[0]) : closure_add_shell(&cl);
	closure_free(&cl);
	return ret;
}

static int make_initramfs(struct rootfs *r)
{
	struct root_config *root = &r->cfg->root;
	struct conf conf = { 0 };
	struct cpio c = { 0 };
	int ret, end;

	cpio_dir(&c, "/dev", 0755);
	/* The kernel opens it for init. */
	cpio_device(&c, "/dev/console", 0600, 5, 1);
	cpio_file(&c, GUEST_INIT_PATH, 0755, guest_init_image, guest_init_image_len);
	cpio_dir(&c, GUEST_INIT_DIR, 0755);
	add_conf(r, &conf);
	cpio_file(&c, GUEST_INIT_CONF, 0644, conf.text, conf.len);
	free(conf.text);
	add_command(&c, root->command);
	ret = add_modules(r, &c);
	if (!ret)
		ret = add_programs(r, &c);
	end = cpio_end(&c);
	if (end && !ret) {
		err("cannot make the guest's initramfs: %s", strerror(-end));
		ret = end;
	}
	if (ret) {
		free(c.data);
		return ret;
	}
	root->image = c.data;
	root->image_len = c.len;
	return 0;
}

static void tell(const struct rootfs *r)
{
	const struct root_config *root = &r->cfg->root;
	bool through = !strcmp(r->mode, "rw");

	if (root->command)
		return;
	info("the guest's root is %s%s; %s", root->dir ? root->dir : "this host's /",
	     r->way == WAY_9P ? "" : ", by virtiofsd",
	     through	       ? "what it writes there stays"
	     : *r->mode == 'o' ? "what it writes is gone when it ends (--rw writes to the host)"
			       : "it cannot write there");
}

static int prepare(struct rootfs *r)
{
	struct vm_config *cfg = r->cfg;
	const char *dir = cfg->root.dir ? cfg->root.dir : "/";
	char *modules;
	int ret = find_modules(cfg, r->release, &modules);

	if (ret)
		return ret;
	ret = modules_open(&r->modules, modules);
	free(modules);
	if (!ret)
		ret = choose_way(r);
	if (ret)
		return ret;
	choose_mode(r);
	ret = choose_link(r);
	if (!ret)
		ret = want_modules(r);
	if (!ret)
		ret = make_initramfs(r);
	if (ret)
		return ret;
	add_words(cfg);
	config_root_drop_disk(cfg);
	if (r->way == WAY_INITRAMFS)
		return 0;
	add_share(r, dir, TAG, strcmp(r->mode, "rw") != 0);
	if (cfg->root.made)
		add_share(r, "/", HOST_TAG, true);
	tell(r);
	return 0;
}

/* kvmtool's: a directory, and the kernel's parameters say the rest. */
static int prepare_plain(struct vm_config *cfg)
{
	config_root_drop_disk(cfg);
	add_9p(cfg, cfg->root.dir, "/dev/root", cfg->root.dir_readonly);
	return 0;
}

static int not_linux(const struct vm_config *cfg)
{
	if (cfg->root.command)
		err("the command '%s': only Linux runs one, and --kernel %s is not a Linux kernel",
		    cfg->root.command[0], cfg->kernel);
	else if (cfg->root.dir)
		err("--disk %s: is a directory, which only Linux can have as its root, and "
		    "--kernel %s is not a Linux kernel; name a disk image",
		    cfg->root.dir, cfg->kernel);
	else if (cfg->root.rw || cfg->root.modules)
		err("%s: is for Linux, whose root is this host's then, and --kernel %s is not a "
		    "Linux kernel; omit it",
		    cfg->root.rw ? "--rw" : "--modules", cfg->kernel);
	else
		err("sandbox: is for Linux, and --kernel %s is not a Linux kernel", cfg->kernel);
	return -ENOEXEC;
}

int rootfs_wanted(const struct vm_config *cfg)
{
	char release[BOOT_RELEASE_LEN] = "";
	int ret;

	if (config_root_asked(cfg))
		return 1;
	if (!config_root_missing(cfg))
		return 0;
	ret = look_at_kernel(cfg, release);
	return ret <= 0 ? ret : *release != '\0';
}

int rootfs_prepare(struct vm_config *cfg)
{
	struct rootfs r = { .cfg = cfg };
	bool asked = config_root_asked(cfg) || cfg->root.rw || cfg->root.modules;
	int ret;

	if (!asked && !config_root_missing(cfg))
		return 0;
	if (cfg->root.dir && config_find_param(cfg, "root="))
		return prepare_plain(cfg);
	ret = look_at_kernel(cfg, r.release);
	if (ret < 0)
		return ret;
	if (!asked && (!ret || !*r.release))
		return 0;
	if (!ret)
		return not_linux(cfg);
	ret = prepare(&r);
	modules_close(&r.modules);
	return ret;
}
