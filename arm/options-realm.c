/* SPDX-License-Identifier: MIT */
/*
 * --realm [WORD,...], and what kvmtool's branch for realms calls the same. Knows no host. In every
 * binary, as options.c is.
 */
#include <stdlib.h>

#include "../config-items.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

const char *const realm_hash_names[] = { "default", "sha256", "sha384", "sha512", NULL };
const char *const realm_tree_names[] = { "default", "shared", "per-plane", NULL };
const char *const realm_abi_names[NR_REALM_ABIS + 1] = {
	"auto", "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", NULL,
};

static const char *const realm_items[] = {
	"hash=sha256|sha384|sha512",
	"rpv=HEX|FILE",
	"planes=N",
	"rtt-tree=shared|per-plane",
	"breakpoints=N",
	"watchpoints=N",
	"abi=auto|v7|v8|v9|v10|v11|v12|v13|v14|v15",
	"cap=N",
	NULL,
};

/* ID_AA64DFR0_EL1 has the number less one, in 4 bits; the RMM takes no 0 there (TF-RMM). */
#define MIN_POINTS 2U
#define MAX_POINTS 16U

/* The position of @value in @names, from @first on, or -EINVAL. */
static int take_name(const char *shown, const char *key, const char *value,
		     const char *const *names, int first)
{
	const char *near;

	for (int i = first; names[i]; i++)
		if (!strcmp(names[i], value))
			return i;
	near = nearest_word(value, names + first);
	err("%s: unknown %s '%s'%s%s%s", shown, key, value, near ? "; did you mean '" : "",
	    near ? near : "", near ? "'?" : "");
	return -EINVAL;
}

static int take_number(const char *shown, const char *key, const char *value, u32 min, u32 max,
		       u32 *out)
{
	u64 n;

	if (parse_u64(value, &n) || n < min || n > max) {
		err("%s: %s=%s: is not a number from %u to %u", shown, key, value, min, max);
		return -EINVAL;
	}
	*out = (u32)n;
	return 0;
}

/* Hexadecimal digits in pairs, zeroes behind them; all else is a file's name. */
static int take_rpv(const char *shown, struct realm_config *realm, const char *value)
{
	size_t len = strlen(value);

	free(realm->rpv_file);
	realm->rpv_file = NULL;
	memset(realm->rpv, 0, sizeof(realm->rpv));
	realm->has_rpv = true;
	if (!len) {
		err("%s: rpv=: needs hexadecimal digits or a file", shown);
		return -EINVAL;
	}
	if (value[strspn(value, "0123456789abcdefABCDEF")]) {
		realm->rpv_file = xstrdup(value);
		return 0;
	}
	if (len % 2 || len > 2 * sizeof(realm->rpv)) {
		err("%s: rpv=%s: %s (a file of that name: ./%s)", shown, value,
		    len % 2 ? "hexadecimal digits come in pairs" : "has at most 128 digits", value);
		return -EINVAL;
	}
	return parse_hex(value, realm->rpv, len / 2);
}

static int take_hash(const char *shown, struct realm_config *realm, const char *value)
{
	int ret = take_name(shown, "hash", value, realm_hash_names, 1);

	realm->hash = (enum realm_hash)MAX(ret, 0);
	return MIN(ret, 0);
}

static int take_word(const char *shown, struct realm_config *realm, char *item)
{
	char *value = strchr(item, '=');
	int ret;

	if (!value)
		return config_unknown_item(shown, item, realm_items);
	*value++ = '\0';
	if (!strcmp(item, "hash"))
		return take_hash(shown, realm, value);
	if (!strcmp(item, "rpv"))
		return take_rpv(shown, realm, value);
	if (!strcmp(item, "planes"))
		return take_number(shown, item, value, 0, UINT32_MAX, &realm->planes);
	if (!strcmp(item, "rtt-tree")) {
		ret = take_name(shown, item, value, realm_tree_names, 1);
		realm->tree = (enum realm_tree)MAX(ret, 0);
		return MIN(ret, 0);
	}
	if (!strcmp(item, "breakpoints"))
		return take_number(shown, item, value, MIN_POINTS, MAX_POINTS, &realm->breakpoints);
	if (!strcmp(item, "watchpoints"))
		return take_number(shown, item, value, MIN_POINTS, MAX_POINTS, &realm->watchpoints);
	if (!strcmp(item, "abi")) {
		ret = take_name(shown, item, value, realm_abi_names, 0);
		realm->abi = (enum realm_abi_kind)MAX(ret, 0);
		return MIN(ret, 0);
	}
	if (!strcmp(item, "cap"))
		return take_number(shown, item, value, 1, INT32_MAX, &realm->cap);
	value[-1] = '=';
	return config_unknown_item(shown, item, realm_items);
}

static int realm_parse(const char *shown, const char *arg, void *target)
{
	struct realm_config *realm = &((struct vm_config *)target)->arm.realm;
	char *copy = xstrdup(arg), *list = copy, *item;
	int ret = 0;

	realm->on = true;
	while (*arg && !ret && (item = config_next_item(&list)))
		ret = take_word(shown, realm, item);
	free(copy);
	return ret;
}

static void add_number(char **text, const char *key, u32 n)
{
	if (n)
		xappendf(text, ",%s=%u", key, n);
}

static void add_rpv(char **text, const struct realm_config *realm)
{
	if (realm->rpv_file) {
		config_add_word(text, "rpv", realm->rpv_file);
	} else if (realm->has_rpv) {
		xappendf(text, ",rpv=");
		for (size_t i = 0; i < sizeof(realm->rpv); i++)
			xappendf(text, "%02x", realm->rpv[i]);
	}
}

static char *realm_text(const void *target, u32 i)
{
	const struct realm_config *realm = &((const struct vm_config *)target)->arm.realm;
	char *text, *out;

	if (i || !realm->on)
		return NULL;
	text = xstrdup("");
	if (realm->hash)
		xappendf(&text, ",hash=%s", realm_hash_names[realm->hash]);
	add_rpv(&text, realm);
	add_number(&text, "planes", realm->planes);
	if (realm->tree)
		xappendf(&text, ",rtt-tree=%s", realm_tree_names[realm->tree]);
	add_number(&text, "breakpoints", realm->breakpoints);
	add_number(&text, "watchpoints", realm->watchpoints);
	if (realm->abi)
		xappendf(&text, ",abi=%s", realm_abi_names[realm->abi]);
	add_number(&text, "cap", realm->cap);
	out = xstrdup(*text ? text + 1 : "abi=auto");
	free(text);
	return out;
}

static void realm_destroy(void *target)
{
	struct realm_config *realm = &((struct vm_config *)target)->arm.realm;

	free(realm->rpv_file);
	realm->rpv_file = NULL;
}

const struct option_hooks arm_realm_hooks = {
	.parse = realm_parse,
	.text = realm_text,
	.destroy = realm_destroy,
	.items = realm_items,
};

int arm_parse_measurement_algo(const char *shown, const char *arg, void *target)
{
	struct realm_config *realm = &((struct vm_config *)target)->arm.realm;

	realm->foreign = "--measurement-algo";
	return take_hash(shown, realm, arg);
}

/* kvmtool takes its characters as they are. */
int arm_parse_realm_pv(const char *shown, const char *arg, void *target)
{
	struct realm_config *realm = &((struct vm_config *)target)->arm.realm;
	size_t len = strlen(arg);

	if (!len || len > sizeof(realm->rpv)) {
		err("%s: the personalization value has 1 to %zu bytes, not %zu", shown,
		    sizeof(realm->rpv), len);
		return -EINVAL;
	}
	realm->foreign = "--realm-pv";
	free(realm->rpv_file);
	realm->rpv_file = NULL;
	memset(realm->rpv, 0, sizeof(realm->rpv));
	memcpy(realm->rpv, arg, len);
	realm->has_rpv = true;
	return 0;
}
