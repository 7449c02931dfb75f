/* SPDX-License-Identifier: MIT */
/*
 * rootfs/modules.c against lists of modules that somebody wrote, and boot/version.c against kernels
 * that say anything of themselves. What is loaded is below the directory, each once; a release is
 * the name of a directory.
 */
#include <ctype.h>

#include "../../rootfs/modules.h"
#include "fuzz.h"
#include "lkvm/boot.h"
#include "lkvm/util.h"

static struct modules m;

/* A text of up to @want bytes, ended. */
static char *take_text(struct fz *f, size_t want)
{
	size_t len;
	const u8 *bytes = fz_bytes(f, want, &len);
	char *text = xcalloc(1, len + 1);

	memcpy(text, bytes, len);
	return text;
}

static void check_path(const struct module_path *p)
{
	const char *text = xasprintf("/%.*s/", (int)p->len, p->path);

	fz_check(strlen(text) == p->len + 2);
	fz_check(!strstr(text, "/../") && !strstr(text, "/./") && !strstr(text, "//"));
	free((char *)text);
}

static void check_order(bool whole)
{
	bool loaded[MODULES_MAX] = { false };

	fz_check(m.nr_seen <= MODULES_MAX && m.nr_order <= m.nr_seen);
	fz_check(!whole || m.nr_order == m.nr_seen);
	for (u32 i = 0; i < m.nr_seen; i++)
		check_path(&m.seen[i]);
	for (u32 i = 0; i < m.nr_order; i++) {
		fz_check(m.order[i] < m.nr_seen && !loaded[m.order[i]]);
		loaded[m.order[i]] = true;
	}
}

static void try_lists(struct fz *f)
{
	static const char *const names[] = { "9p", "virtio_pci", "virtio-rng", "a", "" };
	char *own;
	int ret = 0;

	memset(&m, 0, sizeof(m));
	m.dir = xstrdup("modules");
	m.builtin = take_text(f, fz_u8(f));
	own = take_text(f, fz_u8(f) & 15);
	m.dep = take_text(f, SIZE_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(names) && !ret; i++) {
		modules_have(&m, names[i]);
		ret = modules_want(&m, names[i]);
	}
	if (!ret) {
		ret = modules_want(&m, own);
		fz_check(modules_have(&m, own) || !m.nr_order || m.nr_order == m.nr_seen);
	}
	check_order(!ret);
	free(own);
	modules_close(&m);
}

static void try_kernel(struct fz *f)
{
	char release[BOOT_RELEASE_LEN];
	struct boot_image img;
	size_t len;
	const u8 *bytes = fz_bytes(f, SIZE_MAX, &len);
	u8 *copy = malloc(len + 1);

	fz_check(copy);
	memcpy(copy, bytes, len);
	boot_image_from_buffer(&img, "kernel", copy, len);
	if (!boot_linux_release(&img, release)) {
		fz_check(memchr(release, '\0', sizeof(release)) && isdigit(*release));
		fz_check(!strchr(release, '/') && !strchr(release, ' '));
	}
	boot_image_close(&img);
	free(copy);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);

	if (fz_u8(&f) & 1)
		try_kernel(&f);
	else
		try_lists(&f);
	return 0;
}
