/* SPDX-License-Identifier: MIT */
/* The set's files: opening a node, with the reason where that fails, and asking it. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "iommu.h"
#include "lkvm/access.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vfio-bind.h"

int vfio_set_ioctl(struct vfio_set *set, int fd, unsigned long request, void *arg)
{
	return set->host->calls->ioctl(set->host->opaque, fd, request, arg);
}

int vfio_set_group_fd(const struct vfio_set *set, u32 number)
{
	for (u32 i = 0; set && i < set->nr_files; i++)
		if (set->files[i].number == number)
			return set->files[i].fd;
	return -1;
}

/* Why a device cannot be had */

void vfio_say_why_not(const struct vfio_set *set, const struct vfio_device *dev, const char *plain)
{
	char *why = vfio_why_not(set->host->root, &dev->name);

	err("--vfio %s: %s", dev->cfg->device, why ? why : plain);
	free(why);
}

char *vfio_set_user(const struct vfio_set *set, const struct vfio_device *dev, const char *plain)
{
	char *user = vfio_user(set->host->root, &dev->name);

	return user ? user : xstrdup(plain);
}

void vfio_set_say_not_open(struct vfio_set *set, const struct vfio_device *dev, const char *path,
			   int error)
{
	char why[ACCESS_WHY_LEN], *text = NULL, *user = NULL;

	if (error == -EBUSY)
		user = vfio_set_user(set, dev, "another process uses it");
	if (error == -EACCES || error == -EPERM)
		text = xasprintf("cannot open %s: %s; %s", path, strerror(-error),
				 access_why(set->host->root, NULL, path, R_OK | W_OK, -error, why,
					    sizeof(why)));
	else if (user)
		text = xasprintf("cannot open %s: %s; %s", path, strerror(EBUSY), user);
	else if (error == -ENOENT)
		text = xasprintf("there is no %s, though VFIO has the device: in a container, give "
				 "the node to it; else /dev is not the kernel's (devtmpfs)",
				 path);
	else
		text = xasprintf("cannot open %s: %s", path, strerror(-error));
	vfio_say_why_not(set, dev, text);
	free(text);
	free(user);
}

int vfio_set_open_node(struct vfio_set *set, const struct vfio_device *dev, const char *path)
{
	int fd = set->host->calls->open(set->host->opaque, path, O_RDWR);

	if (fd < 0)
		vfio_set_say_not_open(set, dev, path, fd);
	return fd;
}
