/* SPDX-License-Identifier: MIT */
/*
 * The directory that is the guest's root. kvmtool's users name it where others name a disk, or call
 * it by the name that they gave to `lkvm setup`.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "config-items.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

void config_add_init_line(struct vm_config *cfg, const char *fmt, ...)
{
	struct root_config *root = &cfg->root;
	va_list ap;

	root->lines = config_grow(root->lines, &root->nr_lines, sizeof(*root->lines));
	va_start(ap, fmt);
	root->lines[root->nr_lines - 1] = xvasprintf(fmt, ap);
	va_end(ap);
}

void config_root_destroy(struct vm_config *cfg)
{
	struct root_config *root = &cfg->root;

	for (u32 i = 0; i < root->nr_lines; i++)
		free(root->lines[i]);
	free(root->lines);
	free(root->dir);
	free(root->image);
	*root = (struct root_config){ 0 };
}

char *config_root_path(const char *name)
{
	const char *home = getenv("HOME");

	return home && *home == '/' ? xasprintf("%s/.lkvm/%s", home, name) : NULL;
}

static bool is_directory(const char *path)
{
	struct stat st;

	return !stat(path, &st) && S_ISDIR(st.st_mode);
}

/* The directory that --disk @name means, or NULL: it is a disk. */
static char *find_directory(const char *name, bool *made)
{
	struct stat st;
	char *path;

	*made = false;
	if (is_directory(name))
		return xstrdup(name);
	if (!stat(name, &st) || strchr(name, '/'))
		return NULL;
	path = config_root_path(name);
	if (path && is_directory(path)) {
		*made = true;
		return path;
	}
	free(path);
	return NULL;
}

/* Was more said of it than "ro"? */
static bool is_more_said(const struct disk_config *d)
{
	return d->direct || d->format || d->aio || d->cache || d->queues || d->block_size ||
	       d->serial || d->rate.bytes || d->rate.ops;
}

static int take_directory(struct vm_config *cfg, struct disk_config *d, char *dir, bool made)
{
	const char *why = NULL;

	if (cfg->root.dir)
		why = "another directory is the root already; share it with --9p DIR,TAG";
	else if (is_more_said(d))
		why = "is a directory, of which only 'ro' can be said; omit the rest";
	if (why) {
		err("--disk %s: %s", d->path, why);
		free(dir);
		return -EINVAL;
	}
	d->directory = true;
	cfg->root.dir = dir;
	cfg->root.dir_readonly = d->readonly;
	cfg->root.made = made;
	return 0;
}

bool config_root_asked(const struct vm_config *cfg)
{
	return cfg->root.dir || cfg->root.command || cfg->root.sandbox;
}

bool config_root_missing(const struct vm_config *cfg)
{
	return !cfg->nodefaults && !cfg->nr_disks && !cfg->nr_initrds && !cfg->firmware &&
	       !config_find_param(cfg, "root=");
}

/* How a message begins that is about what asked for the root. */
static void name_asker(const struct vm_config *cfg, char *buf, size_t len)
{
	if (cfg->root.command)
		snprintf(buf, len, "the command '%s'", cfg->root.command[0]);
	else if (cfg->root.dir)
		snprintf(buf, len, "--disk %s", cfg->root.dir);
	else
		snprintf(buf, len, "sandbox");
}

/* kvmtool's way: the parameters say what the kernel is to do with the share. */
static bool is_plain(const struct vm_config *cfg)
{
	return cfg->root.dir && !cfg->root.command && config_find_param(cfg, "root=");
}

/* What cannot be beside a directory as root; NULL: there is nothing. */
static const char *in_the_way(const struct vm_config *cfg)
{
	bool plain = is_plain(cfg);

	if (cfg->firmware)
		return "--firmware";
	if (cfg->nr_initrds && !plain)
		return "--initrd";
	if (config_find_param(cfg, "root=") && !plain)
		return "the kernel parameter root=";
	if (cfg->measured)
		return "measure";
	if (cfg->dump_boot)
		return "--dump-boot";
	return cfg->fdt.dump_dtb ? "--dump-dtb" : NULL;
}

static int check(const struct vm_config *cfg)
{
	const char *other = in_the_way(cfg);
	char asker[256];

	if (!other)
		return 0;
	name_asker(cfg, asker, sizeof(asker));
	err("%s: cannot be combined with %s: the guest's root is a directory of the host's, and "
	    "lkvm starts its own init there; omit one of them",
	    asker, other);
	return -EINVAL;
}

static int refuse(const char *option, const char *value, const char *remedy)
{
	err("--%s%s%s: a sandbox has no network and writes nothing on the host; %s", option,
	    value ? " " : "", value ? value : "", remedy);
	return -EINVAL;
}

/* Nothing of the host's is to be written, and nobody to be reached. */
static int check_sandbox(const struct vm_config *cfg)
{
	const char *add_ro = "add ',ro'";

	if (cfg->root.rw)
		return refuse("rw", NULL, "omit it");
	for (u32 i = 0; i < cfg->nr_disks; i++)
		if (!cfg->disks[i].directory && !cfg->disks[i].readonly)
			return refuse("disk", cfg->disks[i].path, add_ro);
	for (u32 i = 0; i < cfg->nr_pmems; i++)
		if (!cfg->pmems[i].readonly)
			return refuse("pmem", cfg->pmems[i].path, add_ro);
	for (u32 i = 0; i < cfg->nr_shares; i++)
		if (!cfg->shares[i].readonly)
			return refuse("9p", cfg->shares[i].path, add_ro);
	for (u32 i = 0; i < cfg->nr_virtiofs; i++)
		if (!cfg->virtiofs[i].readonly)
			return refuse("virtiofs", cfg->virtiofs[i].tag, add_ro);
	for (u32 i = 0; i < cfg->nr_nets; i++)
		if (cfg->nets[i].mode != NET_NONE)
			return refuse("network", NULL, "omit it");
	if (cfg->nr_ports)
		return refuse("port", cfg->ports[0].name, "omit it");
	return cfg->vsock.cid ? refuse("vsock", NULL, "omit it") : 0;
}

/* Where no directory is to be the root: what says so. NULL: one may be. */
static const char *without_directory(const struct vm_config *cfg)
{
	const char *other;

	if (config_root_asked(cfg))
		return NULL;
	if (cfg->nodefaults)
		return "--nodefaults";
	other = in_the_way(cfg);
	return !other && cfg->nr_disks ? "--disk, which is no directory," : other;
}

/* --rw and --modules are about that root alone. */
static int check_words(const struct vm_config *cfg)
{
	const struct root_config *root = &cfg->root;
	const char *word = root->rw ? "--rw" : "--modules", *other;

	if (!root->rw && !root->modules)
		return 0;
	other = without_directory(cfg);
	if (other)
		err("%s: is for a root that is a directory of this host, and with %s there is "
		    "none; omit one of them",
		    word, other);
	else if (root->rw && root->dir && root->dir_readonly)
		err("--rw: --disk %s,ro is not to be written; omit one of them", root->dir);
	else if (root->modules && is_plain(cfg))
		err("--modules: with the kernel parameter root= lkvm loads none; omit one of them");
	else
		return 0;
	return -EINVAL;
}

int config_root_complete(struct vm_config *cfg)
{
	int ret = 0;

	for (u32 i = 0; i < cfg->nr_disks && !ret; i++) {
		struct disk_config *d = &cfg->disks[i];
		bool made;
		char *dir = d->vhost_user || d->directory ? NULL : find_directory(d->path, &made);

		if (dir)
			ret = take_directory(cfg, d, dir, made);
	}
	if (!ret && cfg->root.sandbox)
		ret = check_sandbox(cfg);
	if (!ret && config_root_asked(cfg))
		ret = check(cfg);
	return ret ? ret : check_words(cfg);
}

void config_root_drop_disk(struct vm_config *cfg)
{
	u32 kept = 0;

	for (u32 i = 0; i < cfg->nr_disks; i++) {
		if (!cfg->disks[i].directory) {
			cfg->disks[kept++] = cfg->disks[i];
			continue;
		}
		free(cfg->disks[i].path);
		free(cfg->disks[i].serial);
	}
	cfg->nr_disks = kept;
}
