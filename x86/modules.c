/* SPDX-License-Identifier: MIT */
/*
 * Modules, as multiboot and PVH hand them to what is started: each initrd at its own page, and a
 * string for each. The list itself has the format's own form.
 */
#include "boot.h"

#include <stdio.h>
#include <stdlib.h>

#include "lkvm/log.h"
#include "lkvm/util.h"

#define STRINGS	 (X86_MODULES + X86_MAX_MODULES * X86_MODULE_ENTRY)
#define NAME_MAX 127U /* longer names are cut; words never are */

_Static_assert(STRINGS + X86_MAX_MODULES * (NAME_MAX + 1) <= X86_MODULES + X86_MODULES_SIZE,
	       "names of modules");

/* The string of @image at *@gpa, which moves on. */
static int add_string(const struct x86_boot *b, const struct boot_image *image, bool named,
		      u64 *gpa)
{
	const char *slash = strrchr(image->path, '/');
	const char *name = slash ? slash + 1 : image->path;
	const char *words = image->words ? image->words : "";
	u64 room = X86_MODULES + X86_MODULES_SIZE - *gpa;
	char *text;
	size_t len;
	int ret = 0;

	text = named ? xasprintf("%.*s%s%s", (int)NAME_MAX, name, *words ? " " : "", words)
		     : xasprintf("%s", words);
	len = strlen(text) + 1;
	if (len > room) {
		err("--initrd %s: its words have %zu characters, and all modules' together have "
		    "room for %u; shorten them",
		    image->path, strlen(words),
		    X86_MODULES_SIZE - X86_MAX_MODULES * X86_MODULE_ENTRY);
		ret = -E2BIG;
	} else {
		boot_plan_add(b->plan, BOOT_TABLES, "module name", *gpa, text, len);
		*gpa += len;
	}
	free(text);
	return ret;
}

int modules_plan(const struct x86_boot *b, u64 bottom, bool named, struct x86_module *out)
{
	const struct boot *boot = b->boot;
	u64 low_end = memory_ram_end(b->mem, 0);
	u64 gpa = ALIGN_UP(MAX(bottom, (u64)X86_HIGH_BASE), 4 * KiB);
	u64 string = STRINGS;
	char need[32], have[32];

	if (boot->nr_initrds > X86_MAX_MODULES)
		return boot_error(b, -E2BIG, "%u modules (-i) are too many; the maximum is %u",
				  boot->nr_initrds, X86_MAX_MODULES);
	for (u32 i = 0; i < boot->nr_initrds; i++) {
		struct boot one = { .initrds = &boot->initrds[i], .nr_initrds = 1 };
		u64 size = boot->initrds[i].size;
		u64 room = low_end > gpa ? low_end - gpa : 0;
		int ret;

		if (size > room || ALIGN_UP(size, 4ULL) > room) {
			err("--initrd %s: does not fit: needs %s, has %s; increase --mem",
			    boot->initrds[i].path, format_size(size, need, sizeof(need)),
			    format_size(room, have, sizeof(have)));
			return -ENOMEM;
		}
		boot_initrd_plan(&one, b->plan, gpa);
		out[i] = (struct x86_module){ .gpa = gpa, .size = size, .string = string };
		ret = add_string(b, &boot->initrds[i], named, &string);
		if (ret)
			return ret;
		gpa = ALIGN_UP(gpa + size, 4 * KiB);
	}
	return 0;
}
