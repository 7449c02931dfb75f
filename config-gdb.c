/* SPDX-License-Identifier: MIT */
/* --gdb: where a debugger is waited for. */
#include <arpa/inet.h>
#include <stdlib.h>

#include "config-items.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

static int parse_port(const char *shown, const char *arg, const char *text, u16 *port)
{
	u64 value;

	if (*text >= '0' && *text <= '9' && !parse_u64(text, &value) && value <= 0xffff) {
		*port = (u16)value;
		return 0;
	}
	err("%s %s: must be a port from 0 (the host chooses) to 65535, HOST:PORT or unix:PATH",
	    shown, arg);
	return -EINVAL;
}

/* The numbers of a host, of either family; the name service is not asked. */
static int parse_host(const char *shown, const char *arg, char *host, struct gdb_config *gdb)
{
	u8 raw[sizeof(struct in6_addr)];
	size_t len = strlen(host);

	if (len > 2 && *host == '[' && host[len - 1] == ']') {
		host[len - 1] = '\0';
		host++;
		gdb->ipv6 = true;
	} else if (!*host || !strcmp(host, "localhost")) {
		return 0;
	}
	if (strlen(host) < sizeof(gdb->addr) &&
	    inet_pton(gdb->ipv6 ? AF_INET6 : AF_INET, host, raw) == 1) {
		snprintf(gdb->addr, sizeof(gdb->addr), "%s", host);
		return 0;
	}
	err("%s %s: the host must be an address of this machine in numbers, as 127.0.0.1 or [::1]",
	    shown, arg);
	return -EINVAL;
}

/* "tcp:" as QEMU's users write it. */
static int parse_inet(const char *shown, const char *arg, struct gdb_config *gdb)
{
	char *copy = xstrdup(strncmp(arg, "tcp:", 4) ? arg : arg + 4);
	char *colon = strrchr(copy, ':');
	int ret = 0;

	if (colon) {
		*colon = '\0';
		ret = parse_host(shown, arg, copy, gdb);
	}
	if (!ret)
		ret = parse_port(shown, arg, colon ? colon + 1 : copy, &gdb->port);
	free(copy);
	return ret;
}

static int gdb_parse(const char *shown, const char *arg, void *target)
{
	struct vm_config *cfg = target;
	struct gdb_config gdb = { .addr = "127.0.0.1", .on = true };
	const char *path = NULL;
	int ret = 0;

	/* The other word is cloud-hypervisor's. */
	if (!strncmp(arg, "unix:", 5) || !strncmp(arg, "path=", 5))
		path = arg + 5;
	if (path && !*path) {
		err("%s %s: needs a file's name: %s unix:PATH", shown, arg, shown);
		return -EINVAL;
	}
	if (!path)
		ret = parse_inet(shown, arg, &gdb);
	if (ret)
		return ret;
	gdb.path = path ? xstrdup(path) : NULL;
	free(cfg->gdb.path);
	cfg->gdb = gdb;
	return 0;
}

static char *gdb_text(const void *target, u32 i)
{
	const struct gdb_config *gdb = &((const struct vm_config *)target)->gdb;

	if (!gdb->on || i)
		return NULL;
	if (gdb->path)
		return xasprintf("unix:%s", gdb->path);
	return xasprintf(gdb->ipv6 ? "[%s]:%u" : "%s:%u", gdb->addr, gdb->port);
}

static void gdb_destroy(void *target)
{
	struct gdb_config *gdb = &((struct vm_config *)target)->gdb;

	free(gdb->path);
	memset(gdb, 0, sizeof(*gdb));
}

const struct option_hooks gdb_hooks = {
	.parse = gdb_parse,
	.text = gdb_text,
	.destroy = gdb_destroy,
};
