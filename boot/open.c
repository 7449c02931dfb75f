/* SPDX-License-Identifier: MIT */
/* Opens every file that a VM boots from, before anything else is done: a VM that cannot start fails
 * early. */
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/boot.h"
#include "lkvm/config.h"
#include "lkvm/util.h"

static bool exists(const char *name, size_t len)
{
	char *path = xasprintf("%.*s", (int)len, name);
	bool found = !access(path, F_OK);

	free(path);
	return found;
}

/* Where the words after a file begin in @arg: its end where all of it is the file's name. */
static size_t path_len(const char *arg)
{
	size_t len = strlen(arg), all = len;

	while (!exists(arg, len)) {
		do {
			if (!len)
				return all;
			len--;
		} while (arg[len] != ' ');
	}
	return len;
}

static int open_initrd(struct boot_image *img, const char *arg)
{
	size_t len = path_len(arg);
	const char *words = arg + len + strspn(arg + len, " ");
	char *path;
	int ret;

	if (!*words && !arg[len])
		return boot_image_open(img, arg, "initrd");
	path = xasprintf("%.*s", (int)len, arg);
	ret = boot_image_open(img, path, "initrd");
	if (ret) {
		free(path);
		return ret;
	}
	img->path_owned = path;
	img->words = *words ? words : NULL;
	return 0;
}

int boot_open(struct boot *boot, const struct vm_config *cfg)
{
	int ret;

	*boot = (struct boot){ .kernel.fd = -1, .firmware.fd = -1 };
	if (cfg->kernel) {
		ret = boot_image_open(&boot->kernel, cfg->kernel, "kernel");
		if (!ret)
			ret = boot_image_decompress(&boot->kernel, "kernel", cfg->memory);
		if (!ret)
			ret = boot_image_unzboot(&boot->kernel, "kernel", cfg->memory);
		if (ret)
			goto fail;
	}
	if (cfg->firmware) {
		ret = boot_image_open(&boot->firmware, cfg->firmware, "firmware");
		if (ret)
			goto fail;
	}
	if (cfg->nr_initrds || cfg->root.image)
		boot->initrds = xcalloc(cfg->nr_initrds + 1, sizeof(*boot->initrds));
	for (u32 i = 0; i < cfg->nr_initrds; i++) {
		ret = open_initrd(&boot->initrds[i], cfg->initrds[i]);
		if (ret)
			goto fail;
		boot->nr_initrds++;
	}
	if (cfg->root.image)
		boot_image_from_buffer(&boot->initrds[boot->nr_initrds++], "lkvm's own initramfs",
				       cfg->root.image, cfg->root.image_len);
	return 0;
fail:
	boot_close(boot);
	return ret;
}

static int unread(const struct boot_image *img, const char *what)
{
	return boot_image_broken(img) ? boot_image_error(img, what, -EIO, "cannot read") : 0;
}

int boot_check_read(const struct boot *boot)
{
	int ret = unread(&boot->kernel, "kernel");

	if (!ret)
		ret = unread(&boot->firmware, "firmware");
	for (u32 i = 0; i < boot->nr_initrds && !ret; i++)
		ret = unread(&boot->initrds[i], "initrd");
	return ret;
}

const char *boot_cmdline(const struct boot *boot, const struct vm_config *cfg)
{
	if (boot->is_linux)
		return cfg->cmdline;
	return cfg->params ? cfg->params : "";
}

void boot_close(struct boot *boot)
{
	boot_image_close(&boot->kernel);
	boot_image_close(&boot->firmware);
	for (u32 i = 0; i < boot->nr_initrds; i++)
		boot_image_close(&boot->initrds[i]);
	free(boot->initrds);
	*boot = (struct boot){ .kernel.fd = -1, .firmware.fd = -1 };
}
