/* SPDX-License-Identifier: MIT */
/* What users call a device: a PCI address, a UUID, or a path in sysfs that leads to either. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lkvm/config-vfio.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

/* Does @text have the form of @form, where 'x' is a hexadecimal digit? */
static bool has_form(const char *text, const char *form)
{
	for (; *form && *text; form++, text++)
		if (*form == 'x' ? parse_hex_digit(*text) < 0 : *form != *text)
			return false;
	return !*form && !*text;
}

/* [DOMAIN:]BB:DD.F. Domains have four digits or more (VMD's are 10000 and up). */
static bool read_address(const char *text, char *id, size_t size)
{
	const char *rest = text, *first = strchr(text, ':');
	size_t domain = 0;

	if (first && strchr(first + 1, ':')) {
		domain = (size_t)(first - text);
		rest = first + 1;
	}
	for (size_t i = 0; i < domain; i++)
		if (!isxdigit((unsigned char)text[i]))
			return false;
	if ((rest != text && !domain) || domain > 8 || !has_form(rest, "xx:xx.x") ||
	    rest[6] > '7' || parse_hex_digit(rest[3]) > 1)
		return false;
	snprintf(id, size, "%04lx:%s", domain ? strtoul(text, NULL, 16) : 0UL, rest);
	return true;
}

static bool read_id(const char *text, struct vfio_name *out)
{
	if (read_address(text, out->id, sizeof(out->id))) {
		out->bus = VFIO_BUS_PCI;
	} else if (has_form(text, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx")) {
		out->bus = VFIO_BUS_MDEV;
		snprintf(out->id, sizeof(out->id), "%s", text);
	} else {
		return false;
	}
	for (char *p = out->id; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	return true;
}

int vfio_name_parse(const char *text, struct vfio_name *out)
{
	char real[PATH_MAX];
	const char *id = text;

	*out = (struct vfio_name){ 0 };
	if (strchr(text, '/')) {
		if (!realpath(text, real))
			return -errno;
		id = strrchr(real, '/') + 1;
	}
	if (!read_id(id, out))
		return -EINVAL;
	snprintf(out->sysfs, sizeof(out->sysfs), "/sys/bus/%s/devices/%s",
		 out->bus == VFIO_BUS_PCI ? "pci" : "mdev", out->id);
	return 0;
}

int vfio_name_read(const char *shown, const char *text, struct vfio_name *out)
{
	int ret = vfio_name_parse(text, out);

	if (ret == -EINVAL)
		err("%s '%s': is not a PCI address ([DOMAIN:]BB:DD.F), an mdev's UUID or the path "
		    "of a device in sysfs; 'lkvm vfio list' shows all devices",
		    shown, text);
	else if (ret)
		err("%s '%s': %s; 'lkvm vfio list' shows all devices", shown, text, strerror(-ret));
	return ret;
}
