/* SPDX-License-Identifier: MIT */
/*
 * --vfio DEVICE,tsm=CALL:NUMBER+...: calls of the kernel's by which a device joins a confidential
 * guest (TDISP). None has a number that stays, so they are words of a build that asks for them, and
 * not among those that are listed.
 */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "config-items.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

static const struct word {
	const char *name;
	size_t member;
	bool is_call;
} words[] = {
	{ "bind", offsetof(struct vfio_tsm_config, bind), true },
	{ "unbind", offsetof(struct vfio_tsm_config, unbind), true },
	{ "op", offsetof(struct vfio_tsm_config, op), true },
	{ "request", offsetof(struct vfio_tsm_config, request), true },
	{ "viommu", offsetof(struct vfio_tsm_config, viommu), false },
	{ "arch", offsetof(struct vfio_tsm_config, arch), false },
};

void config_add_vfio_tsm(char **text, const struct vfio_config *vc)
{
	const char *before = ",tsm=";

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		u32 value = *(const u32 *)((const u8 *)&vc->tsm + words[i].member);

		if (!value)
			continue;
		xappendf(text, "%s%s:0x%x", before, words[i].name, value);
		before = "+";
	}
}

#ifdef CONFIG_VFIO_TSM

/* VFIO's and iommufd's calls are all of this type (Linux
 * Documentation/userspace-api/ioctl/ioctl-number.rst), and those here have no size in them. */
#define FIRST_CALL 0x3b00U
#define LAST_CALL  0x3bffU

static int one_word(const char *shown, struct vfio_tsm_config *tsm, char *text)
{
	char *colon = strchr(text, ':');
	u64 value;

	if (colon)
		*colon = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		const struct word *w = &words[i];

		if (strcmp(w->name, text))
			continue;
		if (!colon || parse_u64(colon + 1, &value) || value > ~0U ||
		    (w->is_call && (value < FIRST_CALL || value > LAST_CALL))) {
			err("%s tsm=%s: %s", shown, text,
			    w->is_call ? "must be the number of a call, 0x3b00 to 0x3bff"
				       : "must be a number");
			return -EINVAL;
		}
		*(u32 *)((u8 *)tsm + w->member) = (u32)value;
		return 0;
	}
	err("%s tsm=%s: must be one of bind, unbind, op, request, viommu, arch", shown, text);
	return -EINVAL;
}

static int check(const char *shown, const struct vfio_tsm_config *tsm)
{
	const char *why = NULL;

	if (!tsm->bind != !tsm->unbind)
		why = "bind and unbind need each other";
	else if (tsm->bind && tsm->op)
		why = "op stands for bind and unbind; omit either";
	else if (!tsm->bind && !tsm->op && !tsm->request)
		why = "names no call";
	if (why)
		err("%s tsm=: %s", shown, why);
	return why ? -EINVAL : 0;
}

int config_vfio_tsm(const char *shown, struct vfio_config *vc, const char *value)
{
	char *copy = xstrdup(value), *rest = copy, *text;
	int ret = 0;

	vc->has_tsm = true;
	vc->tsm = (struct vfio_tsm_config){ 0 };
	while (!ret && (text = strsep(&rest, "+")))
		ret = one_word(shown, &vc->tsm, text);
	free(copy);
	return ret ? ret : check(shown, &vc->tsm);
}

#else

int config_vfio_tsm(const char *shown, struct vfio_config *vc, const char *value)
{
	err("%s tsm=%s: this lkvm is built without it, since no kernel has settled the numbers of "
	    "these calls; make TSM=1 builds it in",
	    shown, value);
	return -EINVAL;
}

#endif
