/* SPDX-License-Identifier: MIT */
/*
 * --tdx and what is said of a trust domain beside it: attributes, XFAM, the identities that its
 * quotes name, and who makes them (TDX module ABI, TD_PARAMS). Knows no host. In every binary, as
 * options.c is.
 */
#include "options-tdx.h"

#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

const struct x86_tdx_attribute x86_tdx_attributes[] = {
	{ "debug", 0 },	      { "lass", 27 },	 { "sept-ve-disable", 28 },
	{ "migratable", 29 }, { "pks", 30 },	 { "key-locker", 31 },
	{ "tpa", 62 },	      { "perfmon", 63 }, { NULL, 0 },
};

static const char *const attribute_items[] = {
	"+debug",	    "-debug",	   "+lass",	  "-lass", "+sept-ve-disable",
	"-sept-ve-disable", "+migratable", "-migratable", "+pks",  "-pks",
	"+key-locker",	    "-key-locker", "+tpa",	  "-tpa",  "+perfmon",
	"-perfmon",	    NULL,
};

static struct x86_tdx_config *config_of(void *target)
{
	return &((struct vm_config *)target)->x86.tdx;
}

static const struct x86_tdx_config *const_config_of(const void *target)
{
	return &((const struct vm_config *)target)->x86.tdx;
}

static int unknown_word(const char *shown, const char *word)
{
	const char *near = nearest_word(word, attribute_items);

	if (near)
		err("%s: unknown '%s'; did you mean '%s'?", shown, word, near);
	else
		err("%s: unknown '%s'; it is neither a number nor +ATTRIBUTE or -ATTRIBUTE, of "
		    "debug, "
		    "lass, sept-ve-disable, migratable, pks, key-locker, tpa, perfmon",
		    shown, word);
	return -EINVAL;
}

static int take_switch(const char *shown, const char *word, u64 *attributes)
{
	const struct x86_tdx_attribute *a = x86_tdx_attributes;

	while (a->name && strcmp(a->name, word + 1) != 0)
		a++;
	if (!a->name)
		return unknown_word(shown, word);
	if (*word == '+')
		*attributes |= BIT_ULL(a->bit);
	else
		*attributes &= ~BIT_ULL(a->bit);
	return 0;
}

/* A number stands for all of them, and comes first. */
static int attributes_parse(const char *shown, const char *arg, void *target)
{
	struct x86_tdx_config *tdx = config_of(target);
	u64 attributes = tdx->has_attributes ? tdx->attributes : X86_TDX_SEPT_VE_DISABLE;
	char *copy = xstrdup(arg), *list = copy, *item;
	bool first = true;
	int ret = 0;

	for (; !ret && (item = strsep(&list, ",")); first = false) {
		if (*item == '+' || *item == '-')
			ret = take_switch(shown, item, &attributes);
		else if (!first || parse_u64(item, &attributes))
			ret = unknown_word(shown, item);
	}
	free(copy);
	if (ret)
		return ret;
	tdx->attributes = attributes;
	tdx->has_attributes = true;
	return 0;
}

static char *attributes_text(const void *target, u32 i)
{
	const struct x86_tdx_config *tdx = const_config_of(target);

	return i || !tdx->has_attributes ? NULL : xasprintf("0x%llx", tdx->attributes);
}

static int xfam_parse(const char *shown, const char *arg, void *target)
{
	struct x86_tdx_config *tdx = config_of(target);
	u64 xfam;

	/* Without x87 and SSE there is no TD (TDX module ABI, XFAM). */
	if (parse_u64(arg, &xfam) || (xfam & 3) != 3) {
		err("%s %s: must be a number whose bits 0 and 1 are set, as 0x3", shown, arg);
		return -EINVAL;
	}
	tdx->xfam = xfam;
	tdx->has_xfam = true;
	return 0;
}

static char *xfam_text(const void *target, u32 i)
{
	const struct x86_tdx_config *tdx = const_config_of(target);

	return i || !tdx->has_xfam ? NULL : xasprintf("0x%llx", tdx->xfam);
}

/* Exactly as many as there are, so that nobody has to know on which side zeroes would go. */
static int take_id(const char *shown, const char *arg, u8 id[X86_TDX_ID_LEN], bool *has)
{
	if (parse_hex(arg, id, X86_TDX_ID_LEN)) {
		err("%s %s: must be %d hexadecimal digits (the length of a SHA-384)", shown, arg,
		    2 * X86_TDX_ID_LEN);
		return -EINVAL;
	}
	*has = true;
	return 0;
}

static char *id_text(const u8 id[X86_TDX_ID_LEN], bool has)
{
	char *text = has ? xstrdup("") : NULL;

	for (size_t i = 0; i < X86_TDX_ID_LEN && has; i++)
		xappendf(&text, "%02x", id[i]);
	return text;
}

static int config_id_parse(const char *shown, const char *arg, void *target)
{
	struct x86_tdx_config *tdx = config_of(target);

	return take_id(shown, arg, tdx->config_id, &tdx->has_config_id);
}

static char *config_id_text(const void *target, u32 i)
{
	const struct x86_tdx_config *tdx = const_config_of(target);

	return i ? NULL : id_text(tdx->config_id, tdx->has_config_id);
}

static int owner_parse(const char *shown, const char *arg, void *target)
{
	struct x86_tdx_config *tdx = config_of(target);

	return take_id(shown, arg, tdx->owner, &tdx->has_owner);
}

static char *owner_text(const void *target, u32 i)
{
	const struct x86_tdx_config *tdx = const_config_of(target);

	return i ? NULL : id_text(tdx->owner, tdx->has_owner);
}

static int owner_config_parse(const char *shown, const char *arg, void *target)
{
	struct x86_tdx_config *tdx = config_of(target);

	return take_id(shown, arg, tdx->owner_config, &tdx->has_owner_config);
}

static char *owner_config_text(const void *target, u32 i)
{
	const struct x86_tdx_config *tdx = const_config_of(target);

	return i ? NULL : id_text(tdx->owner_config, tdx->has_owner_config);
}

static int quote_parse(const char *shown, const char *arg, void *target)
{
	char **quote = &config_of(target)->quote;
	size_t len = strlen(arg);

	if (strncmp(arg, X86_TDX_UNIX, strlen(X86_TDX_UNIX)) != 0 || !arg[strlen(X86_TDX_UNIX)]) {
		err("%s %s: must be unix:PATH, the socket of a quote generation service", shown,
		    arg);
		return -EINVAL;
	}
	if (len - strlen(X86_TDX_UNIX) >= sizeof(((struct sockaddr_un *)NULL)->sun_path)) {
		err("%s %s: the path is too long for a socket", shown, arg);
		return -EINVAL;
	}
	free(*quote);
	*quote = xstrdup(arg);
	return 0;
}

static char *quote_text(const void *target, u32 i)
{
	const char *quote = const_config_of(target)->quote;

	return i || !quote ? NULL : xstrdup(quote);
}

static void quote_destroy(void *target)
{
	free(config_of(target)->quote);
	config_of(target)->quote = NULL;
}

static const struct option_hooks attributes_hooks = {
	.parse = attributes_parse,
	.text = attributes_text,
	.items = attribute_items,
};
static const struct option_hooks xfam_hooks = { .parse = xfam_parse, .text = xfam_text };
static const struct option_hooks config_id_hooks = {
	.parse = config_id_parse,
	.text = config_id_text,
};
static const struct option_hooks owner_hooks = { .parse = owner_parse, .text = owner_text };
static const struct option_hooks owner_config_hooks = {
	.parse = owner_config_parse,
	.text = owner_config_text,
};
static const struct option_hooks quote_hooks = {
	.parse = quote_parse,
	.text = quote_text,
	.destroy = quote_destroy,
};

/* clang-format off */
const struct option_spec x86_tdx_options[] = {
	{ .type = OPT_GROUP, .help = "Intel TDX (x86-64)" },
	{ .type = OPT_FLAG, .name = "tdx", .offset = offsetof(struct vm_config, x86.tdx.on),
	  .flags = OPT_CONFIDENTIAL | OPT_MEASURED,
	  .help = "the guest is a trust domain: neither the host nor lkvm can read its memory and registers; a "
		  "Linux kernel (-k), or firmware with TDX metadata (-f)" },
	{ .type = OPT_TYPED, .name = "tdx-attributes", .arg = "N|+ATTRIBUTE|-ATTRIBUTE[,...]",
	  .hooks = &attributes_hooks, .def = "+sept-ve-disable, which Linux needs",
	  .help = "its attributes, a number or by name: debug, sept-ve-disable, migratable, pks, perfmon and others" },
	{ .type = OPT_TYPED, .name = "tdx-xfam", .arg = "N", .hooks = &xfam_hooks,
	  .def = "what --cpu and the host's TDX have",
	  .help = "the extended features that it has, as in XCR0 and IA32_XSS" },
	{ .type = OPT_TYPED, .name = "tdx-mrconfigid", .arg = "HEX", .hooks = &config_id_hooks, .def = "zeroes",
	  .help = "what its quotes name as MRCONFIGID: 96 digits; of your choice, as the hash of a configuration" },
	{ .type = OPT_TYPED, .name = "tdx-mrowner", .arg = "HEX", .hooks = &owner_hooks, .def = "zeroes",
	  .help = "the same of MROWNER" },
	{ .type = OPT_TYPED, .name = "tdx-mrownerconfig", .arg = "HEX", .hooks = &owner_config_hooks,
	  .def = "zeroes", .help = "the same of MROWNERCONFIG" },
	{ .type = OPT_TYPED, .name = "tdx-quote", .arg = "unix:PATH", .hooks = &quote_hooks,
	  .def = "none: the guest gets no quotes",
	  .help = "the socket of the quote generation service that makes quotes of its reports" },
	OPT_END
};
/* clang-format on */
