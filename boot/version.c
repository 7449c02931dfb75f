/* SPDX-License-Identifier: MIT */
/* Which Linux a kernel is: its release, as uname -r says it and its directory of modules is called.
 */
#include <ctype.h>
#include <stdlib.h>

#include "lkvm/boot.h"
#include "lkvm/util.h"

/* Linux Documentation/arch/x86/boot.rst: header, and the offset of a string, less 0x200. */
#define BZIMAGE_MAGIC	0x202
#define BZIMAGE_VERSION 0x20e
/* Linux init/version-timestamp.c: how linux_banner begins. */
#define BANNER	   "Linux version "
#define BANNER_LEN (sizeof(BANNER) - 1)
#define CHUNK	   (256 * KiB)

/* A release is the name of a directory: nothing else leaves here. */
static int take_release(const u8 *text, size_t len, char *release)
{
	size_t n = 0;

	while (n < len && (isalnum(text[n]) || (n && strchr(".+_~-", text[n]) && text[n])))
		n++;
	/* What ends it is in there too. */
	if (!n || n >= len || n >= BOOT_RELEASE_LEN || !isdigit(text[0]) ||
	    (text[n] && text[n] != ' '))
		return -ENOENT;
	memcpy(release, text, n);
	release[n] = '\0';
	return 0;
}

static int bzimage_release(const struct boot_image *img, char *release)
{
	u8 magic[4], at[2], text[BOOT_RELEASE_LEN];

	if (boot_image_read(img, BZIMAGE_MAGIC, magic, sizeof(magic)) || memcmp(magic, "HdrS", 4) ||
	    boot_image_read(img, BZIMAGE_VERSION, at, sizeof(at)) || !get_le(at, 2) ||
	    boot_image_read(img, 0x200 + get_le(at, 2), text, sizeof(text)))
		return -ENOENT;
	return take_release(text, sizeof(text), release);
}

static int find_banner(const u8 *buf, size_t len, char *release)
{
	const u8 *p = buf, *end = buf + len;

	while ((p = memmem(p, (size_t)(end - p), BANNER, BANNER_LEN))) {
		p += BANNER_LEN;
		if (!take_release(p, (size_t)(end - p), release))
			return 0;
	}
	return -ENOENT;
}

/* All of it: the banner is among the constants, behind the code. */
static int scan_banner(const struct boot_image *img, char *release)
{
	const size_t overlap = BANNER_LEN + BOOT_RELEASE_LEN;
	u8 *buf = malloc(overlap + CHUNK);
	u64 at = 0, size = img->size;
	int ret = buf ? -ENOENT : -ENOMEM;
	size_t kept = 0;

	if (buf && boot_image_measure(img, &size))
		size = 0;
	while (ret == -ENOENT && at < size) {
		size_t n = MIN(CHUNK, size - at);

		if (boot_image_read(img, at, buf + kept, n))
			break;
		ret = find_banner(buf, kept + n, release);
		at += n;
		n += kept;
		kept = MIN(n, overlap);
		memmove(buf, buf + n - kept, kept);
	}
	free(buf);
	return ret;
}

int boot_linux_release(const struct boot_image *img, char release[BOOT_RELEASE_LEN])
{
	if (!bzimage_release(img, release))
		return 0;
	return scan_banner(img, release);
}
