/* SPDX-License-Identifier: MIT */
/*
 * Options that are lists: initial RAM disks, disks, network cards. Each is parsed into an element
 * and written back from it; a comma inside a name is doubled.
 */
#include <ctype.h>
#include <net/if.h>
#include <stdlib.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

/* One more zeroed element after the @count that *array holds. The command line bounds the count.
 */
static void *grow(void *array, u32 *count, size_t size)
{
	u8 *p = xrealloc(array, (*count + (size_t)1) * size);

	memset(p + *count * size, 0, size);
	++*count;
	return p;
}

void config_add_initrd(struct vm_config *cfg, const char *path)
{
	cfg->initrds = grow(cfg->initrds, &cfg->nr_initrds, sizeof(*cfg->initrds));
	cfg->initrds[cfg->nr_initrds - 1] = xstrdup(path);
}

struct disk_config *config_add_disk(struct vm_config *cfg)
{
	cfg->disks = grow(cfg->disks, &cfg->nr_disks, sizeof(*cfg->disks));
	return &cfg->disks[cfg->nr_disks - 1];
}

struct net_config *config_add_net(struct vm_config *cfg)
{
	cfg->nets = grow(cfg->nets, &cfg->nr_nets, sizeof(*cfg->nets));
	return &cfg->nets[cfg->nr_nets - 1];
}

/*
 * Cut the next item off @list, which ends at a comma; a doubled comma stands for one. NULL at the
 * end of the list.
 */
static char *next_item(char **list)
{
	char *item = *list, *from = item, *to = item;

	if (!item)
		return NULL;
	while (*from && (*from != ',' || from[1] == ',')) {
		if (*from == ',')
			from++;
		*to++ = *from++;
	}
	*list = *from ? from + 1 : NULL;
	*to = '\0';
	return item;
}

/* @text with its commas doubled, as next_item reads it. */
static char *one_item(const char *text)
{
	char *out = xcalloc(2, strlen(text) + 1), *to = out;

	for (; *text; text++) {
		if (*text == ',')
			*to++ = ',';
		*to++ = *text;
	}
	return out;
}

static int unknown_item(const char *shown, const char *item, const char *const *known)
{
	const char *near = nearest_word(item, known);
	char list[128] = "";

	for (const char *const *k = known; *k; k++) {
		size_t len = strlen(list);

		snprintf(list + len, sizeof(list) - len, "%s%s", k > known ? ", " : "", *k);
	}
	if (near)
		err("%s: unknown '%s'; did you mean '%s'?", shown, item, near);
	else
		err("%s: unknown '%s'; it is not one of %s", shown, item, list);
	return -EINVAL;
}

static int initrd_parse(const char *shown, const char *arg, void *target)
{
	config_add_initrd(target, arg);
	return 0;
}

static const char *initrd_path(const void *target, u32 i)
{
	const struct vm_config *cfg = target;

	return i < cfg->nr_initrds ? cfg->initrds[i] : NULL;
}

static char *initrd_text(const void *target, u32 i)
{
	const char *path = initrd_path(target, i);

	return path ? xstrdup(path) : NULL;
}

static void initrd_destroy(void *target)
{
	struct vm_config *cfg = target;

	for (u32 i = 0; i < cfg->nr_initrds; i++)
		free(cfg->initrds[i]);
	free(cfg->initrds);
	cfg->initrds = NULL;
	cfg->nr_initrds = 0;
}

const struct option_hooks initrd_hooks = {
	.parse = initrd_parse,
	.text = initrd_text,
	.path = initrd_path,
	.destroy = initrd_destroy,
};

static int unknown_format(const char *shown, const char *format)
{
	err("%s: format=%s: raw is the only format in this build; convert the image with: "
	    "qemu-img convert -O raw FILE NEW",
	    shown, format);
	return -EINVAL;
}

static int disk_item(const char *shown, struct disk_config *disk, const char *item)
{
	static const char *const known[] = { "ro", "rw", "direct", "format=raw", NULL };

	if (!strcmp(item, "ro"))
		disk->readonly = true;
	else if (!strcmp(item, "rw"))
		disk->readonly = false;
	else if (!strcmp(item, "direct"))
		disk->direct = true;
	else if (!strcmp(item, "format=raw"))
		disk->raw = true;
	else if (!strncmp(item, "format=", 7))
		return unknown_format(shown, item + 7);
	else
		return unknown_item(shown, item, known);
	return 0;
}

static int disk_parse(const char *shown, const char *arg, void *target)
{
	char *copy = xstrdup(arg), *list = copy;
	const char *path = next_item(&list), *item;
	struct disk_config *disk;
	int ret = 0;

	/* Other programs' way, --disk path=FILE and -drive file=FILE. */
	if (!strncmp(path, "path=", 5) || !strncmp(path, "file=", 5)) {
		err("%s %s: the name comes first: %s %s (a file of that name: ./%s)", shown, path,
		    shown, path + 5, path);
		ret = -EINVAL;
		goto out;
	}
	if (!strncmp(path, "scsi:", 5)) {
		err("%s %s: this build has no vhost-scsi; name a file or a block device (a file "
		    "of that name: ./%s)",
		    shown, path, path);
		ret = -EINVAL;
		goto out;
	}
	disk = config_add_disk(target);
	disk->path = xstrdup(path);
	while (!ret && (item = next_item(&list)))
		ret = disk_item(shown, disk, item);
out:
	free(copy);
	return ret;
}

static char *disk_text(const void *target, u32 i)
{
	const struct vm_config *cfg = target;
	const struct disk_config *d;
	char *path, *text;

	if (i >= cfg->nr_disks)
		return NULL;
	d = &cfg->disks[i];
	path = one_item(d->path);
	text = xasprintf("%s%s%s%s", path, d->readonly ? ",ro" : "", d->direct ? ",direct" : "",
			 d->raw ? ",format=raw" : "");
	free(path);
	return text;
}

static const char *disk_path(const void *target, u32 i)
{
	const struct vm_config *cfg = target;

	return i < cfg->nr_disks ? cfg->disks[i].path : NULL;
}

static void disk_destroy(void *target)
{
	struct vm_config *cfg = target;

	for (u32 i = 0; i < cfg->nr_disks; i++)
		free(cfg->disks[i].path);
	free(cfg->disks);
	cfg->disks = NULL;
	cfg->nr_disks = 0;
}

const struct option_hooks disk_hooks = {
	.parse = disk_parse,
	.text = disk_text,
	.path = disk_path,
	.destroy = disk_destroy,
};

/* Six pairs of hexadecimal digits with colons between; of one station, not a group. */
static int parse_mac(const char *s, u8 mac[6])
{
	u8 any = 0;

	for (int i = 0; i < 6; i++, s += 3) {
		char digits[3] = { s[0], s[0] ? s[1] : '\0', '\0' };

		if (!isxdigit((unsigned char)digits[0]) || !isxdigit((unsigned char)digits[1]) ||
		    s[2] != (i < 5 ? ':' : '\0'))
			return -EINVAL;
		mac[i] = (u8)strtoul(digits, NULL, 16);
		any |= mac[i];
	}
	return !any || (mac[0] & 1) ? -EINVAL : 0;
}

/* IFNAMSIZ and the kernel's dev_valid_name(): no slash, colon or blank, not "." or "..". */
static bool valid_ifname(const char *s)
{
	size_t len = strlen(s);

	if (!len || len >= IFNAMSIZ || !strcmp(s, ".") || !strcmp(s, ".."))
		return false;
	for (; *s; s++) {
		if (*s == '/' || *s == ':' || isspace((unsigned char)*s))
			return false;
	}
	return true;
}

static int net_mode(const char *shown, const char *value, bool *none)
{
	static const char *const known[] = { "tap", "none", NULL };

	if (!strcmp(value, "user")) {
		err("%s mode=user: this build has no user-mode network yet; use "
		    "mode=tap,tapif=NAME or mode=none",
		    shown);
		return -EINVAL;
	}
	/* kvmtool's first word for a card. */
	if (!strcmp(value, "virtio")) {
		err("%s virtio: every card is a virtio card; mode=tap,tapif=NAME says what it is "
		    "connected to",
		    shown);
		return -EINVAL;
	}
	*none = !strcmp(value, "none");
	return *none || !strcmp(value, "tap") ? 0 : unknown_item(shown, value, known);
}

/* kvmtool's other words: what lkvm does not do is refused unless it asks for nothing. */
static int net_other(const char *shown, const char *key, const char *value)
{
	static const struct {
		const char *key;
		const char *harmless; /* values that ask for nothing, each followed by a blank */
		const char *instead;
	} others[] = {
		{ "vhost", "0 ", "omit it: lkvm itself moves the packets" },
		{ "mq", "0 1 ", "omit it: a card has one pair of queues" },
		{ "script", "none ", "set up the tap beforehand with ip(8)" },
		{ "downscript", "none ", "take the tap down afterwards with ip(8)" },
		{ "host_ip", "", "give the tap its address with ip(8)" },
		{ "fd", "", "name an existing tap with tapif=" },
		{ "trans", "", "use --virtio-transport" },
	};
	static const char *const known[] = { "mode", "tapif", "guest_mac", NULL };
	char word[16];

	/* For kvmtool's user-mode network alone. */
	if (!strcmp(key, "host_mac") || !strcmp(key, "guest_ip")) {
		warn("%s %s=%s: has no effect with mode=tap", shown, key, value);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		if (strcmp(key, others[i].key))
			continue;
		if (strlen(value) < sizeof(word) - 1 && *value) {
			snprintf(word, sizeof(word), "%s ", value);
			if (strstr(others[i].harmless, word))
				return 0;
		}
		err("%s %s=%s: is not supported; %s", shown, key, value, others[i].instead);
		return -EINVAL;
	}
	return unknown_item(shown, key, known);
}

static int net_item(const char *shown, struct net_config *net, char *item, bool first, bool *none)
{
	char *value = strchr(item, '=');

	if (!value) {
		if (first)
			return net_mode(shown, item, none);
		err("%s %s: needs a value: %s=...", shown, item, item);
		return -EINVAL;
	}
	*value++ = '\0';
	if (!strcmp(item, "mode"))
		return net_mode(shown, value, none);
	if (!strcmp(item, "tapif")) {
		if (!valid_ifname(value)) {
			err("%s tapif=%s: is not the name of an interface (1 to %d characters, no "
			    "'/', ':' or blank)",
			    shown, value, IFNAMSIZ - 1);
			return -EINVAL;
		}
		free(net->tapif);
		net->tapif = xstrdup(value);
		return 0;
	}
	if (!strcmp(item, "guest_mac")) {
		net->has_guest_mac = true;
		if (!parse_mac(value, net->guest_mac))
			return 0;
		err("%s guest_mac=%s: is not a unicast address like 02:15:15:15:15:15", shown,
		    value);
		return -EINVAL;
	}
	return net_other(shown, item, value);
}

static int network_parse(const char *shown, const char *arg, void *target)
{
	struct net_config net = { .mode = NET_TAP };
	char *copy = xstrdup(arg), *list = copy, *item;
	bool first = true, none = false;
	int ret = 0;

	while (!ret && (item = next_item(&list))) {
		ret = net_item(shown, &net, item, first, &none);
		first = false;
	}
	/* mode=none asks for no card: there is nothing to note. */
	if (!ret && !none)
		*config_add_net(target) = net;
	else
		free(net.tapif);
	free(copy);
	return ret;
}

static char *network_text(const void *target, u32 i)
{
	const struct vm_config *cfg = target;
	char mac[40] = "", *tapif = NULL, *text;
	const struct net_config *n;
	const u8 *m;

	if (i >= cfg->nr_nets)
		return NULL;
	n = &cfg->nets[i];
	m = n->guest_mac;
	if (n->has_guest_mac)
		snprintf(mac, sizeof(mac), ",guest_mac=%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1],
			 m[2], m[3], m[4], m[5]);
	if (n->tapif)
		tapif = one_item(n->tapif);
	text = xasprintf("mode=%s%s%s%s", n->mode == NET_TAP ? "tap" : "none",
			 tapif ? ",tapif=" : "", tapif ? tapif : "", mac);
	free(tapif);
	return text;
}

static void network_destroy(void *target)
{
	struct vm_config *cfg = target;

	for (u32 i = 0; i < cfg->nr_nets; i++)
		free(cfg->nets[i].tapif);
	free(cfg->nets);
	cfg->nets = NULL;
	cfg->nr_nets = 0;
}

const struct option_hooks network_hooks = {
	.parse = network_parse,
	.text = network_text,
	.destroy = network_destroy,
};
