/* SPDX-License-Identifier: MIT */
/* --trace: what of a machine's life is written to a file. */
#include <stdlib.h>

#include "config-items.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

static const struct {
	const char *name;
	u32 bit;
} kinds[] = {
	{ "exits", TRACE_EXITS },
	{ "virtio", TRACE_VIRTIO },
	{ "irq", TRACE_IRQ },
};

static const char *const names[] = { "exits", "virtio", "irq", NULL };

static int kind_parse(const char *shown, const char *item, u32 *what)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (strcmp(item, kinds[i].name) != 0)
			continue;
		*what |= kinds[i].bit;
		return 0;
	}
	return config_unknown_item(shown, item, names);
}

static int trace_parse(const char *shown, const char *arg, void *target)
{
	struct trace_config *trace = &((struct vm_config *)target)->trace;
	const char *file = strchr(arg, '=');
	char *copy, *list, *item;
	u32 what = 0;
	int ret = 0;

	if (!file || file == arg) {
		err("%s %s: must be KIND[,KIND...]=FILE, of the kinds exits, virtio and irq", shown,
		    arg);
		return -EINVAL;
	}
	copy = list = xstrdup(arg);
	copy[file - arg] = '\0';
	while (!ret && (item = config_next_item(&list)))
		ret = kind_parse(shown, item, &what);
	free(copy);
	if (ret)
		return ret;
	trace->what = what;
	free(trace->file);
	trace->file = xstrdup(file + 1);
	return 0;
}

static char *trace_text(const void *target, u32 i)
{
	const struct trace_config *trace = &((const struct vm_config *)target)->trace;
	char *text;

	if (i || !trace->file)
		return NULL;
	text = xstrdup("");
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		if (trace->what & kinds[k].bit)
			config_add_text(&text, "%s%s", *text ? "," : "", kinds[k].name);
	config_add_text(&text, "=%s", trace->file);
	return text;
}

static const char *trace_path(const void *target, u32 i)
{
	return i ? NULL : ((const struct vm_config *)target)->trace.file;
}

static void trace_destroy(void *target)
{
	struct trace_config *trace = &((struct vm_config *)target)->trace;

	free(trace->file);
	*trace = (struct trace_config){ 0 };
}

const struct option_hooks trace_hooks = {
	.parse = trace_parse,
	.text = trace_text,
	.path = trace_path,
	.destroy = trace_destroy,
};
