/* SPDX-License-Identifier: MIT */
/* `lkvm vfio list`: which devices of the host's are shown. */
#include "builtin-vfio-list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "builtin-vfio.h"
#include "lkvm/cli.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vfio-bind.h"
#include "lkvm/vfio.h"

static int select_word(struct vfio_list *list, const char *word)
{
	struct vfio_name name;
	int ret = vfio_name_read("vfio list", word, &name);
	u32 at;

	if (ret)
		return ret == -EINVAL ? EXIT_USAGE : EXIT_FAILURE;
	at = host_pci_find(&list->tree, name.id);
	if (at != HOST_PCI_NONE) {
		list->shown[at] = true;
		return EXIT_SUCCESS;
	}
	for (u32 i = 0; i < list->mdevs.nr; i++) {
		if (strcmp(list->mdevs.mdevs[i].uuid, name.id) != 0)
			continue;
		list->mdev_shown[i] = true;
		return EXIT_SUCCESS;
	}
	err("vfio list %s: there is no such device; 'lkvm vfio list' shows all", word);
	return EXIT_FAILURE;
}

static int select_devices(struct vfio_list *list, int nr, char **words)
{
	int status = EXIT_SUCCESS;

	list->shown = xcalloc(list->tree.nr + 1, sizeof(*list->shown));
	list->mdev_shown = xcalloc(list->mdevs.nr + 1, sizeof(*list->mdev_shown));
	list->types_shown = !nr;
	if (!nr) {
		memset(list->shown, true, list->tree.nr);
		memset(list->mdev_shown, true, list->mdevs.nr);
	}
	for (int i = 0; i < nr && !status; i++)
		status = select_word(list, words[i]);
	return status;
}

static int compare(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return x < y ? -1 : x > y;
}

static void find_groups(struct vfio_list *list)
{
	u32 n = 0;

	list->groups = xcalloc(list->tree.nr + 1, sizeof(*list->groups));
	for (u32 i = 0; i < list->tree.nr; i++) {
		u32 group = list->tree.devices[i].group;

		if (!list->shown[i])
			continue;
		if (group != HOST_PCI_NONE)
			list->groups[n++] = group;
		else if (!list->no_group)
			list->no_group = vfio_no_iommu(VFIO_LIST_ROOT);
	}
	qsort(list->groups, n, sizeof(*list->groups), compare);
	for (u32 i = 0; i < n; i++)
		if (!i || list->groups[i] != list->groups[i - 1])
			list->groups[list->nr_groups++] = list->groups[i];
}

int vfio_command_list(const struct vfio_args *args, int nr, char **words)
{
	struct vfio_list list = { .verbose = args->verbose };
	int status;

	if (access(VFIO_LIST_ROOT "/sys/bus", R_OK | X_OK)) {
		err("vfio list: cannot read /sys/bus: %s; mount sysfs at /sys", strerror(errno));
		return EXIT_FAILURE;
	}
	host_pci_read(VFIO_LIST_ROOT, &list.tree);
	host_pci_name(VFIO_LIST_ROOT, &list.tree);
	host_mdevs_read(VFIO_LIST_ROOT, &list.mdevs);
	status = select_devices(&list, nr, words);
	if (!status) {
		find_groups(&list);
		if (args->json)
			vfio_list_print_json(&list);
		else
			vfio_list_print_text(&list);
	}
	host_pci_free(&list.tree);
	host_mdevs_free(&list.mdevs);
	free(list.shown);
	free(list.mdev_shown);
	free(list.groups);
	free(list.no_group);
	return status;
}
