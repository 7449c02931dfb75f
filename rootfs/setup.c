/* SPDX-License-Identifier: MIT */
/*
 * A root that borrows its programs: made under a name of its own beside the place where it is to
 * be, and renamed when it is whole.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/rootfs.h"
#include "lkvm/util.h"

static const struct {
	const char *path;
	mode_t mode;
} dirs[] = {
	{ "dev", 0755 },     { "etc", 0755 },	   { "home", 0755 }, { "host", 0755 },
	{ "mnt", 0755 },     { "proc", 0755 },	   { "root", 0700 }, { "run", 0755 },
	{ "sys", 0755 },     { "tmp", 01777 },	   { "var", 0755 },  { "var/lib", 0755 },
	{ "var/log", 0755 }, { "var/tmp", 01777 },
};

/* What is the host's, where the host has it. NixOS has /nix, and /etc/static. */
static const char *const links[] = {
	"bin",
	"lib",
	"lib32",
	"lib64",
	"libx32",
	"nix",
	"opt",
	"sbin",
	"usr",
	"etc/alternatives",
	"etc/bash.bashrc",
	"etc/ca-certificates",
	"etc/ld.so.cache",
	"etc/ld.so.conf",
	"etc/ld.so.conf.d",
	"etc/localtime",
	"etc/nsswitch.conf",
	"etc/pki",
	"etc/profile",
	"etc/protocols",
	"etc/resolv.conf",
	"etc/services",
	"etc/ssl",
	"etc/static",
};

static const struct {
	const char *path, *text;
} files[] = {
	{ "etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"
			"nobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n" },
	{ "etc/group", "root:x:0:\nnogroup:x:65534:\n" },
	{ "etc/hosts", "127.0.0.1 localhost\n::1 localhost\n" },
};

static int make_dir(int root, const char *path, mode_t mode)
{
	/* Not by the umask. */
	return mkdirat(root, path, mode) || fchmodat(root, path, mode, 0) ? -errno : 0;
}

static int make_link(int root, const char *path)
{
	char *host = xasprintf("/%s", path);
	/* Relative: it means the same whether the root is / or a directory. */
	char *target = xasprintf("%shost/%s", strchr(path, '/') ? "../" : "", path);
	struct stat st;
	int ret = 0;

	if (!lstat(host, &st) && symlinkat(target, root, path))
		ret = -errno;
	free(host);
	free(target);
	return ret;
}

static int make_file(int root, const char *path, const char *text)
{
	int fd = openat(root, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	int ret = fd < 0 ? -errno : write_full(fd, text, strlen(text));

	if (fd >= 0 && close(fd) && !ret)
		ret = -errno;
	return ret;
}

static int fill(int root, const char *hostname)
{
	char *line = xasprintf("%s\n", hostname);
	int ret = 0;

	for (size_t i = 0; i < ARRAY_SIZE(dirs) && !ret; i++)
		ret = make_dir(root, dirs[i].path, dirs[i].mode);
	for (size_t i = 0; i < ARRAY_SIZE(links) && !ret; i++)
		ret = make_link(root, links[i]);
	for (size_t i = 0; i < ARRAY_SIZE(files) && !ret; i++)
		ret = make_file(root, files[i].path, files[i].text);
	if (!ret)
		ret = make_file(root, "etc/hostname", line);
	free(line);
	return ret;
}

/* All that fill may have made. */
static void unmake(int root, const char *path)
{
	unlinkat(root, "etc/hostname", 0);
	for (size_t i = ARRAY_SIZE(files); i--;)
		unlinkat(root, files[i].path, 0);
	for (size_t i = ARRAY_SIZE(links); i--;)
		unlinkat(root, links[i], 0);
	for (size_t i = ARRAY_SIZE(dirs); i--;)
		unlinkat(root, dirs[i].path, AT_REMOVEDIR);
	rmdir(path);
}

/* The directory that is to hold it, which everybody's first one makes. */
static int make_above(const char *dir)
{
	char *above = xasprintf("%.*s", (int)(strrchr(dir, '/') - dir), dir);
	int ret = mkdir(above, 0777) && errno != EEXIST ? -errno : 0;

	free(above);
	return ret;
}

static int make(char *under, const char *dir, const char *hostname)
{
	int root, ret;

	if (!mkdtemp(under))
		return -errno;
	root = open(under, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ret = root < 0 || fchmod(root, 0755) ? -errno : fill(root, hostname);
	if (!ret && rename(under, dir))
		ret = -errno;
	if (ret)
		unmake(root, under);
	if (root >= 0)
		close(root);
	return ret;
}

int rootfs_setup(const char *dir, const char *hostname)
{
	char *under = xasprintf("%s.XXXXXX", dir);
	struct stat st;
	int ret = lstat(dir, &st) ? make_above(dir) : -EEXIST;

	if (!ret)
		ret = make(under, dir, hostname);
	if (ret == -EEXIST)
		err("setup %s: %s exists already; 'lkvm run -d %s' starts it, or remove it first",
		    hostname, dir, hostname);
	else if (ret)
		err("setup %s: cannot make %s: %s", hostname, dir, strerror(-ret));
	free(under);
	return ret;
}
