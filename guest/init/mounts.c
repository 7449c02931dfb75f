/* SPDX-License-Identifier: MIT */
/* File systems: what the kernel offers, the root that lkvm shares, and what belongs to a root. */
#include <linux/fcntl.h>
#include <linux/mount.h>
#include <linux/stat.h>

#include "init.h"
#include "lkvm/guest-init.h"

#define NEW_ROOT GUEST_INIT_DIR "/root"
#define LOWER	 GUEST_INIT_DIR "/lower"
#define TOP	 GUEST_INIT_DIR "/top"

static long make_dir(const char *path, u32 mode)
{
	long ret = sys(mkdirat, AT_FDCWD, path, mode);

	return ret == -EEXIST ? 0 : ret;
}

static long mount(const char *source, const char *dir, const char *type, unsigned long flags,
		  const char *data)
{
	return sys(mount, source, dir, type, flags, data);
}

static bool exists(const char *path)
{
	return sys(faccessat, AT_FDCWD, path, 0) == 0;
}

/* Where somebody mounted it already (a container), or the kernel itself, that one serves. */
static void begin(const char *type, const char *dir, const char *witness)
{
	long ret;

	make_dir(dir, 0755);
	ret = mount(type, dir, type, MS_NOSUID, NULL);
	if (ret < 0 && !exists(witness))
		end(STATUS_FAILED, "cannot mount %s on %s: %s", type, dir, error_text(-ret));
}

void mounts_begin(void)
{
	begin("devtmpfs", "/dev", "/dev/null");
	begin("proc", "/proc", "/proc/self");
	begin("sysfs", "/sys", "/sys/class");
}

/* The root */

static void cannot_mount_root(const char *type, const char *source, long error)
{
	const char *hint = conf_get(INIT_CONF_HINT, 0);

	end(STATUS_FAILED, "cannot mount the root (%s of type %s): %s%s%s%s", source, type,
	    error == ENODEV ? "the kernel does not know this type" : error_text(error),
	    modules_hint(), hint ? "; " : "", hint ? hint : "");
}

/* "bind" stands for another directory of the initramfs: of use where this program is tried. */
static long mount_root_on(const char *dir, const char *type, const char *source, bool readonly)
{
	const char *options = conf_get(INIT_CONF_OPTIONS, 0);
	unsigned long flags = readonly ? MS_RDONLY : 0;
	long ret;

	if (!equal(type, "bind"))
		return mount(source, dir, type, flags, options);
	ret = mount(source, dir, NULL, MS_BIND | MS_REC, NULL);
	if (!ret && readonly)
		ret = mount(NULL, dir, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL);
	return ret;
}

static void mount_overlay(void)
{
	long ret;

	make_dir(TOP, 0755);
	ret = mount("tmpfs", TOP, "tmpfs", 0, "mode=755");
	if (!ret)
		ret = make_dir(TOP "/upper", 0755);
	if (!ret)
		ret = make_dir(TOP "/work", 0755);
	if (!ret)
		ret = mount("overlay", NEW_ROOT, "overlay", 0,
			    "lowerdir=" LOWER ",upperdir=" TOP "/upper,workdir=" TOP "/work");
	if (ret)
		end(STATUS_FAILED,
		    "cannot mount a writable overlay on the root: %s%s; --rw writes to the host's "
		    "directory itself",
		    ret == -ENODEV ? "the kernel has no overlayfs" : error_text(-ret),
		    modules_hint());
}

/* @dir of the initramfs becomes the new root's. */
static void move(const char *dir)
{
	char to[64];
	long ret;

	format(to, sizeof(to), NEW_ROOT "%s", dir);
	ret = make_dir(to, 0755);
	if (!ret || exists(to))
		ret = mount(dir, to, NULL, MS_MOVE, NULL);
	if (ret)
		end(STATUS_FAILED, "cannot have %s in the root: %s; the root needs a directory %s",
		    dir, error_text(-ret), dir);
}

static void switch_root(void)
{
	long ret;

	move("/dev");
	move("/proc");
	move("/sys");
	ret = sys(chdir, NEW_ROOT);
	if (!ret)
		ret = mount(".", "/", NULL, MS_MOVE, NULL);
	if (!ret)
		ret = sys(chroot, ".");
	if (!ret)
		ret = sys(chdir, "/");
	if (ret)
		end(STATUS_FAILED, "cannot change to the new root: %s", error_text(-ret));
}

/* What belongs to one: none of it is worth an end. */

/* Does the command begin in @dir or below it? Nothing must hide that. */
static bool is_work_dir(const char *dir)
{
	const char *work = conf_get(INIT_CONF_DIR, 0);
	size_t n = strlen(dir);

	return work && begins(work, dir) && (!work[n] || work[n] == '/');
}

static void add_tmpfs(const char *dir, const char *data)
{
	if (!is_work_dir(dir))
		mount("tmpfs", dir, "tmpfs", MS_NOSUID | MS_NODEV, data);
}

static void link(const char *target, const char *name)
{
	sys(symlinkat, target, AT_FDCWD, name);
}

/* Of the host's /run nothing is of use in the guest, but for where NixOS has its programs. */
static void add_run(void)
{
	static const char nixos[] = "/run/current-system";
	char target[512];
	long n = sys(readlinkat, AT_FDCWD, nixos, target, sizeof(target) - 1);

	add_tmpfs("/run", "mode=755");
	if (n <= 0)
		return;
	target[n] = '\0';
	link(target, nixos);
}

/* "TYPE SOURCE OPTIONS DIRECTORY" */
static void add_mount(const char *entry)
{
	char words[1024], *word[4] = { words };
	u32 n = 1;
	long ret;

	format(words, sizeof(words), "%s", entry);
	for (; n < 4 && (word[n] = find_char(word[n - 1], ' ')); n++)
		*word[n]++ = '\0';
	if (n < 4)
		return;
	make_dir(word[3], 0755);
	ret = mount(word[1], word[3], word[0], 0, word[2]);
	if (ret < 0)
		say("cannot mount %s on %s: %s", word[1], word[3], error_text(-ret));
}

static void add_all(const char *mode)
{
	const char *entry;

	make_dir("/dev/pts", 0755);
	mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
	      "newinstance,mode=620,ptmxmode=666");
	make_dir("/dev/shm", 01777);
	add_tmpfs("/dev/shm", "mode=1777");
	link("/proc/self/fd", "/dev/fd");
	link("/proc/self/fd/0", "/dev/stdin");
	link("/proc/self/fd/1", "/dev/stdout");
	link("/proc/self/fd/2", "/dev/stderr");
	mount("cgroup2", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mount("debugfs", "/sys/kernel/debug", "debugfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mount("tracefs", "/sys/kernel/tracing", "tracefs", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	add_run();
	if (equal(mode, "ro")) {
		add_tmpfs("/tmp", "mode=1777");
		add_tmpfs("/var/tmp", "mode=1777");
	}
	for (u32 i = 0; (entry = conf_get(INIT_CONF_MOUNT, i)); i++)
		add_mount(entry);
}

void mounts_root(bool has_command)
{
	const char *type = conf_get(INIT_CONF_ROOT, 0), *source = conf_get(INIT_CONF_SOURCE, 0);
	const char *mode = conf_get(INIT_CONF_MODE, 0), *dir = conf_get(INIT_CONF_DIR, 0);
	bool overlay;
	long ret;

	mode = mode ? mode : "";
	overlay = equal(mode, "overlay");
	if (type && !equal(type, "initramfs")) {
		source = source ? source : "";
		make_dir(NEW_ROOT, 0755);
		make_dir(LOWER, 0755);
		ret = mount_root_on(overlay ? LOWER : NEW_ROOT, type, source, !equal(mode, "rw"));
		if (ret)
			cannot_mount_root(type, source, -ret);
		if (overlay)
			mount_overlay();
		switch_root();
	}
	add_all(mode);
	ret = dir ? sys(chdir, dir) : 0;
	/* What a command would do elsewhere nobody asked for; a shell's prompt shows where it is.
	 */
	if (ret < 0 && has_command)
		end(STATUS_FAILED,
		    "the guest cannot begin in %s: %s; change to a directory that its root has, "
		    "which /dev, /proc and /sys are not",
		    dir, error_text(-ret));
}
