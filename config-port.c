/* SPDX-License-Identifier: MIT */
/* --port: a list of ports of virtio-console. */
#include <stdlib.h>

#include "config-items.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

/* By enum port_kind. */
static const char *const kinds[] = { "file", "pipe", "tty", "pty", "socket" };

/* The driver's and sysfs's: printable, no blank. */
static bool valid_name(const char *s)
{
	size_t len = strlen(s);

	if (!len || len > 63 || s[0] == '.')
		return false;
	for (; *s; s++)
		if (*s <= ' ' || *s > '~' || *s == '/' || *s == '=')
			return false;
	return true;
}

static const char *const port_items[] = {
	"pty", "tty=DEVICE", "file=FILE", "pipe=PREFIX", "socket=PATH", "console", NULL,
};

static int port_item(const char *shown, struct port_config *port, char *item, bool *has_kind)
{
	char *value = strchr(item, '=');

	if (!strcmp(item, "console")) {
		port->console = true;
		return 0;
	}
	if (value)
		*value++ = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(item, kinds[i]))
			continue;
		if (*has_kind) {
			err("%s %s: is connected to one thing, not to two", shown, port->name);
			return -EINVAL;
		}
		if (value ? !*value : i != PORT_PTY) {
			err("%s %s: needs a value: %s=...", shown, item, item);
			return -EINVAL;
		}
		*has_kind = true;
		port->kind = (enum port_kind)i;
		port->path = value ? xstrdup(value) : NULL;
		return 0;
	}
	return config_unknown_item(shown, item, port_items);
}

static int check_name(const char *shown, const char *name)
{
	if (!valid_name(name)) {
		err("%s %s: the name comes first: %s NAME,pty (1 to 63 letters, digits and signs, "
		    "no '/' or '=')",
		    shown, name, shown);
		return -EINVAL;
	}
	return 0;
}

static int port_parse(const char *shown, const char *arg, void *target)
{
	struct vm_config *cfg = target;
	char *copy = xstrdup(arg), *list = copy, *item;
	const char *name = config_next_item(&list);
	int ret = check_name(shown, name);
	struct port_config *port;
	bool has_kind = false;

	if (ret)
		goto out;
	cfg->ports = config_grow(cfg->ports, &cfg->nr_ports, sizeof(*cfg->ports));
	port = &cfg->ports[cfg->nr_ports - 1];
	port->name = xstrdup(name);
	while (!ret && (item = config_next_item(&list)))
		ret = port_item(shown, port, item, &has_kind);
	if (!ret && !has_kind) {
		err("%s %s: needs what it is connected to: pty, tty=DEVICE, file=FILE, "
		    "pipe=PREFIX or socket=PATH",
		    shown, name);
		ret = -EINVAL;
	}
out:
	free(copy);
	return ret;
}

static char *port_text(const void *target, u32 i)
{
	const struct vm_config *cfg = target;
	const struct port_config *port;
	char *name, *path, *text;

	if (i >= cfg->nr_ports)
		return NULL;
	port = &cfg->ports[i];
	name = config_one_item(port->name);
	path = config_one_item(port->path ? port->path : "");
	text = xasprintf("%s,%s%s%s%s", name, kinds[port->kind], port->path ? "=" : "", path,
			 port->console ? ",console" : "");
	free(path);
	free(name);
	return text;
}

static void port_destroy(void *target)
{
	struct vm_config *cfg = target;

	for (u32 i = 0; i < cfg->nr_ports; i++) {
		free(cfg->ports[i].name);
		free(cfg->ports[i].path);
	}
	free(cfg->ports);
	cfg->ports = NULL;
	cfg->nr_ports = 0;
}

const struct option_hooks port_hooks = {
	.parse = port_parse,
	.text = port_text,
	.destroy = port_destroy,
	.items = port_items,
};
