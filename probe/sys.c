/* SPDX-License-Identifier: MIT */
/*
 * The host's files, modules and device nodes, as `lkvm host` reads them: all below the root of
 * struct probe_sys, nothing written, no driver loaded.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lkvm/access.h"
#include "lkvm/kvm.h"
#include "lkvm/probe.h"
#include "lkvm/scan.h"
#include "lkvm/util.h"

#define PATH_LEN 512

static int real_open(void *opaque, const char *path, int flags)
{
	int fd = open(path, flags);

	return fd < 0 ? -errno : fd;
}

static int real_close(void *opaque, int fd)
{
	return close(fd) ? -errno : 0;
}

static int real_ioctl(void *opaque, int fd, unsigned long request, unsigned long arg)
{
	return xioctl_val(fd, request, arg);
}

static int real_access(void *opaque, const char *path, int mode)
{
	return access(path, mode) ? -errno : 0;
}

static long real_syscall(void *opaque, long number, long a, long b, long c)
{
	long ret = syscall(number, a, b, c);

	return ret < 0 ? -errno : ret;
}

const struct probe_sys probe_sys_real = {
	.root = "",
	.open = real_open,
	.close = real_close,
	.ioctl = real_ioctl,
	.access = real_access,
	.syscall = real_syscall,
};

static const char *full_path(const struct probe *h, const char *path, char *buf)
{
	snprintf(buf, PATH_LEN, "%s%s", h->sys->root, path);
	return buf;
}

u32 probe_version(const char *s)
{
	u32 major, minor;

	if (!scan_u32(&s, 10, &major) || !scan_text(&s, ".") || !scan_u32(&s, 10, &minor))
		return 0;
	return major << 16 | (minor & 0xffff);
}

bool probe_exists(const struct probe *h, const char *path)
{
	char buf[PATH_LEN];
	struct stat st;

	return stat(full_path(h, path, buf), &st) == 0;
}

static FILE *open_file(const struct probe *h, const char *path)
{
	char buf[PATH_LEN];

	return fopen(full_path(h, path, buf), "re");
}

bool probe_read_line(const struct probe *h, const char *path, char *buf, size_t len)
{
	FILE *f = open_file(h, path);
	bool ok;

	if (!f)
		return false;
	ok = fgets(buf, (int)len, f);
	fclose(f);
	if (ok)
		buf[strcspn(buf, "\n")] = '\0';
	return ok;
}

bool probe_read_number(const struct probe *h, const char *path, u64 *number)
{
	char line[64];

	return probe_read_line(h, path, line, sizeof(line)) && parse_u64(line, number) == 0;
}

u32 probe_count_entries(const struct probe *h, const char *path)
{
	char buf[PATH_LEN];
	DIR *dir = opendir(full_path(h, path, buf));
	const struct dirent *e;
	u32 n = 0;

	if (!dir)
		return 0;
	while ((e = readdir(dir)))
		n += strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0;
	closedir(dir);
	return n;
}

static bool line_has_word(const char *line, const char *word)
{
	size_t len = strlen(word);

	while (*line) {
		size_t n = strcspn(line, " \t\n");

		if (n == len && !memcmp(line, word, len))
			return true;
		line += n;
		line += strspn(line, " \t\n");
	}
	return false;
}

bool probe_file_has_word(const struct probe *h, const char *path, const char *key, const char *word)
{
	FILE *f = open_file(h, path);
	bool found = false, last = false;
	char *line = NULL;
	size_t size = 0;

	if (!f)
		return false;
	while (!found && !last && getline(&line, &size, f) >= 0) {
		if (key && strncmp(line, key, strlen(key)) != 0)
			continue;
		found = line_has_word(line, word);
		last = key;
	}
	free(line);
	fclose(f);
	return found;
}

bool probe_cpuinfo(const struct probe *h, const char *key, char *buf, size_t len)
{
	FILE *f = open_file(h, "/proc/cpuinfo");
	bool found = false;
	char line[256];

	while (f && !found && fgets(line, sizeof(line), f)) {
		const char *colon = strchr(line, ':');

		if (strncmp(line, key, strlen(key)) != 0 || !colon)
			continue;
		colon += 1 + strspn(colon + 1, " \t");
		snprintf(buf, len, "%.*s", (int)strcspn(colon, "\n"), colon);
		found = true;
	}
	if (f)
		fclose(f);
	return found;
}

/* kmod takes '-' and '_' for the same. */
static bool same_module(const char *a, const char *b)
{
	for (; *a && *b; a++, b++) {
		if ((*a == '-' ? '_' : *a) != (*b == '-' ? '_' : *b))
			return false;
	}
	return *a == *b;
}

/*
 * Does modules.dep or modules.builtin name @module? A line begins with
 * kernel/drivers/vhost/vhost_net.ko, perhaps with .xz or .zst appended. -ENOENT: no such file.
 */
static int list_has_module(const struct probe *h, const char *list, const char *module)
{
	char path[PATH_LEN];
	char *line = NULL;
	size_t size = 0;
	int found = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/lib/modules/%s/%s", h->release, list);
	f = open_file(h, path);
	if (!f)
		return -ENOENT;
	while (!found && getline(&line, &size, f) >= 0) {
		char *name, *end;

		line[strcspn(line, ":\n")] = '\0';
		name = strrchr(line, '/');
		name = name ? name + 1 : line;
		end = strstr(name, ".ko");
		if (end)
			*end = '\0';
		found = same_module(name, module);
	}
	free(line);
	fclose(f);
	return found;
}

enum module_state {
	MODULE_LOADED, /* or built in */
	MODULE_AVAILABLE,
	MODULE_ABSENT,
	MODULE_UNKNOWN, /* this system does not say which modules its kernel has */
};

static enum module_state module_state(const struct probe *h, const char *name)
{
	char path[PATH_LEN];
	int builtin, dep;

	snprintf(path, sizeof(path), "/sys/module/%s", name);
	if (probe_exists(h, path))
		return MODULE_LOADED;
	builtin = list_has_module(h, "modules.builtin", name);
	dep = list_has_module(h, "modules.dep", name);
	if (builtin == 1)
		return MODULE_LOADED;
	if (dep == 1)
		return MODULE_AVAILABLE;
	return dep == 0 ? MODULE_ABSENT : MODULE_UNKNOWN;
}

const char *probe_module_why(const struct probe *h, const char *name, const char *config, char *buf,
			     size_t len)
{
	switch (module_state(h, name)) {
	case MODULE_LOADED:
		snprintf(buf, len, "%s is in the kernel, but has no device: see the kernel's log",
			 name);
		break;
	case MODULE_AVAILABLE:
		snprintf(buf, len, "its module is not loaded: modprobe %s", name);
		break;
	case MODULE_ABSENT:
		snprintf(buf, len, "this kernel has no module %s (%s)", name, config);
		break;
	case MODULE_UNKNOWN:
		snprintf(buf, len, "not loaded: modprobe %s, if this kernel has it (%s)", name,
			 config);
		break;
	}
	return buf;
}

int probe_module_param(const struct probe *h, const char *module, const char *param, char *path,
		       size_t len)
{
	char value[32];

	snprintf(path, len, "/sys/module/%s/parameters/%s", module, param);
	if (!probe_read_line(h, path, value, sizeof(value)))
		return -ENOENT;
	return !(!strcmp(value, "N") || !strcmp(value, "0") || !strcmp(value, "n"));
}

const char *probe_permission_why(const struct probe *h, const char *path, int error, char *buf,
				 size_t len)
{
	char why[ACCESS_WHY_LEN];

	snprintf(buf, len, "%s: permission denied: %s", path,
		 access_why(h->sys->root, h->sys->who, path, R_OK | W_OK, error, why, sizeof(why)));
	return buf;
}

bool probe_too_old(const struct probe *h, const char *since, char *buf, size_t len)
{
	if (!since || !h->kernel || h->kernel >= probe_version(since))
		return false;
	snprintf(buf, len, "Linux %s brought it, this is %s", since, h->release);
	return true;
}

void probe_not_offered(const struct probe *h, struct probe_row *row, const char *since)
{
	if (since && !h->kernel)
		probe_no(row, "this KVM does not offer it; Linux %s brought it", since);
	else if (since)
		probe_no(row, "Linux is new enough, but this KVM does not offer it: not on this "
			      "architecture, or not with this CPU or configuration");
	else
		probe_no(row, "this KVM does not offer it");
}

/* Is the driver of @node registered? Also true when nothing tells. */
static bool registered(const struct probe *h, const struct probe_node *node)
{
	char path[PATH_LEN];

	snprintf(path, sizeof(path), "/sys/class/%s", node->class);
	return probe_exists(h, path) || !probe_exists(h, "/sys/class/misc");
}

bool probe_node_usable(const struct probe *h, const struct probe_node *node, char *why, size_t len)
{
	char path[PATH_LEN];
	int ret;

	if (!probe_exists(h, node->path)) {
		if (registered(h, node) && probe_exists(h, "/sys/class/misc"))
			snprintf(why, len,
				 "the driver is there, %s is not: in a container, pass it in: "
				 "--device %s",
				 node->path, node->path);
		else
			probe_module_why(h, node->module, node->config, why, len);
		return false;
	}
	ret = h->sys->access(h->sys->opaque, full_path(h, node->path, path), R_OK | W_OK);
	if (ret == -EACCES || ret == -EPERM) {
		probe_permission_why(h, node->path, -ret, why, len);
		return false;
	}
	if (ret < 0) {
		snprintf(why, len, "%s: %s", node->path, strerror(-ret));
		return false;
	}
	if (!registered(h, node) && module_state(h, node->module) == MODULE_ABSENT) {
		probe_module_why(h, node->module, node->config, why, len);
		return false;
	}
	return true;
}

void probe_node_row(struct probe *h, enum probe_section section, const struct probe_node *node)
{
	struct probe_row *row = probe_row(h, section, node->name, node->brings);
	char why[512];

	if (!probe_node_usable(h, node, why, sizeof(why))) {
		probe_no(row, "%s", why);
		return;
	}
	probe_text(row, "%s", node->path);
	/* kmod makes the nodes of such modules at boot; the first to open one loads it. */
	if (!registered(h, node))
		probe_note(row, "module %s is loaded when it is opened", node->module);
}
