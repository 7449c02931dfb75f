/* SPDX-License-Identifier: MIT */
/* --vfio: a list of the host's devices that the guest has as its own. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config-items.h"
#include "lkvm/config-vfio.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

/* Where an extended capability of 8 bytes may lie (PCI Express 6.0, 7.6.3). */
#define FIRST_EXTENDED 0x100
#define LAST_EXTENDED  0xff8

#define MDEV "mdev="

/* "mdev=PARENT/TYPE" is kept whole, as the device's name. */
static const char *const vfio_items[] = {
	"mdev=PARENT/TYPE",    "iommufd=auto|on|off", "rom=FILE|off",	"pasid=on|off",
	"pasid-offset=OFFSET", "state-in=FILE",	      "state-out=FILE", NULL,
};

static const char *const auto_words[] = { "auto", "on", "off", NULL };
static const char *const switch_words[] = { "off", "on", NULL };

const char *vfio_config_makes(const char *device)
{
	return strncmp(device, MDEV, strlen(MDEV)) != 0 ? NULL : device + strlen(MDEV);
}

static int choose(const char *shown, const char *key, const char *const *words, const char *value,
		  int *out)
{
	char name[64];

	for (int i = 0; words[i]; i++) {
		if (strcmp(words[i], value))
			continue;
		*out = i;
		return 0;
	}
	snprintf(name, sizeof(name), "%s %s", shown, key);
	return config_unknown_item(name, value, words);
}

static void set(char **member, const char *text)
{
	free(*member);
	*member = xstrdup(text);
}

static int set_offset(const char *shown, struct vfio_config *vc, const char *value)
{
	u64 offset;

	if (parse_u64(value, &offset) || offset < FIRST_EXTENDED || offset > LAST_EXTENDED ||
	    offset % 4) {
		err("%s pasid-offset=%s: must be a multiple of 4 from 0x100 to 0xff8", shown,
		    value);
		return -EINVAL;
	}
	vc->pasid_offset = (u32)offset;
	return 0;
}

static int set_device(const char *shown, struct vfio_config *vc, const char *item)
{
	const char *slash = strrchr(item, '/');

	if (vc->device) {
		err("%s %s: names a second device; each has its own %s", shown, item, shown);
		return -EINVAL;
	}
	if (vfio_config_makes(item) && (!slash || !slash[1] || slash == vfio_config_makes(item))) {
		err("%s %s: must be mdev=PARENT/TYPE; 'lkvm vfio mdev list' shows both", shown,
		    item);
		return -EINVAL;
	}
	set(&vc->device, item);
	return 0;
}

static int vfio_item(const char *shown, struct vfio_config *vc, const char *item)
{
	int word = 0, ret = 0;

	if (!strncmp(item, "iommufd=", 8)) {
		ret = choose(shown, "iommufd=", auto_words, item + 8, &word);
		vc->iommufd = (enum vfio_iommufd)word;
	} else if (!strncmp(item, "pasid=", 6)) {
		ret = choose(shown, "pasid=", switch_words, item + 6, &word);
		vc->pasid = word;
	} else if (!strncmp(item, "pasid-offset=", 13)) {
		ret = set_offset(shown, vc, item + 13);
	} else if (!strncmp(item, "tsm=", 4)) {
		ret = config_vfio_tsm(shown, vc, item + 4);
	} else if (!strncmp(item, "rom=", 4)) {
		set(&vc->rom, item + 4);
	} else if (!strncmp(item, "state-in=", 9)) {
		set(&vc->state_in, item + 9);
	} else if (!strncmp(item, "state-out=", 10)) {
		set(&vc->state_out, item + 10);
	} else if (!vc->device || vfio_config_makes(item)) {
		ret = set_device(shown, vc, item);
	} else {
		ret = config_unknown_item(shown, item, vfio_items);
	}
	return ret;
}

static int check(const struct vm_config *cfg, u32 index)
{
	const struct vfio_config *vc = &cfg->vfios[index];
	const char *why = NULL;
	struct vfio_name name;

	if (!vc->device || !*vc->device)
		why = "names no device; give its PCI address (lkvm vfio list), a path in sysfs or "
		      "an mdev's UUID";
	else if (!transport_is_pci(cfg->transport))
		why = "the machine has no PCI; omit --virtio-transport";
	else if (vc->rom && !*vc->rom)
		why = "rom= names no file; rom=FILE, or rom=off for none";
	else if ((vc->state_in && !*vc->state_in) || (vc->state_out && !*vc->state_out))
		why = "state-in= and state-out= must name a file";
	else if (vc->pasid_offset && !vc->pasid)
		why = "pasid-offset= needs pasid=on";
	else if (cfg->vfios[0].iommufd != vc->iommufd)
		why = "iommufd= must be the same for all devices of a machine";
	for (u32 i = 0; i < index && !why; i++)
		if (!strcmp(cfg->vfios[i].device, vc->device) && !vfio_config_makes(vc->device))
			why = "is given twice";
	if (why)
		err("--vfio%s%s: %s", vc->device && *vc->device ? " " : "",
		    vc->device ? vc->device : "", why);
	if (why)
		return -EINVAL;
	/* Where a path leads is asked when it is opened. */
	if (vfio_config_makes(vc->device) || strchr(vc->device, '/'))
		return 0;
	return vfio_name_read("--vfio", vc->device, &name);
}

int config_check_vfio(const struct vm_config *cfg)
{
	int ret = 0;

	for (u32 i = 0; i < cfg->nr_vfios && !ret; i++)
		ret = check(cfg, i);
	return ret;
}

int config_add_vfio(const char *shown, const char *arg, void *target)
{
	struct vm_config *cfg = target;
	char *copy = xstrdup(arg), *list = copy;
	struct vfio_config *vc;
	const char *item;
	int ret = 0;

	cfg->vfios = config_grow(cfg->vfios, &cfg->nr_vfios, sizeof(*cfg->vfios));
	vc = &cfg->vfios[cfg->nr_vfios - 1];
	while (!ret && (item = config_next_item(&list)))
		ret = vfio_item(shown, vc, item);
	free(copy);
	return ret;
}

static char *vfio_text(const void *target, u32 i)
{
	const struct vm_config *cfg = target;
	const struct vfio_config *vc;
	char *text;

	if (i >= cfg->nr_vfios)
		return NULL;
	vc = &cfg->vfios[i];
	text = config_one_item(vc->device ? vc->device : "");
	if (vc->iommufd != VFIO_IOMMUFD_AUTO)
		config_add_word(&text, "iommufd", auto_words[vc->iommufd]);
	config_add_word(&text, "rom", vc->rom);
	if (vc->pasid)
		config_add_word(&text, "pasid", "on");
	if (vc->pasid_offset)
		xappendf(&text, ",pasid-offset=0x%x", vc->pasid_offset);
	config_add_word(&text, "state-in", vc->state_in);
	config_add_word(&text, "state-out", vc->state_out);
	if (vc->has_tsm)
		config_add_vfio_tsm(&text, vc);
	return text;
}

static void vfio_destroy(void *target)
{
	struct vm_config *cfg = target;

	for (u32 i = 0; i < cfg->nr_vfios; i++) {
		free(cfg->vfios[i].device);
		free(cfg->vfios[i].rom);
		free(cfg->vfios[i].state_in);
		free(cfg->vfios[i].state_out);
	}
	free(cfg->vfios);
	cfg->vfios = NULL;
	cfg->nr_vfios = 0;
}

const struct option_hooks vfio_hooks = {
	.parse = config_add_vfio,
	.text = vfio_text,
	.destroy = vfio_destroy,
	.items = vfio_items,
};
