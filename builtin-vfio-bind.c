/* SPDX-License-Identifier: MIT */
/* `lkvm vfio bind` and `unbind`: devices to VFIO and back to the host. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "builtin-vfio.h"
#include "lkvm/cli.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vfio-bind.h"

static int change(const struct vfio_args *args, const char *what, int nr, char **words,
		  int (*fn)(const struct vfio_binder *b, const struct vfio_name *names, u32 nr))
{
	const struct vfio_binder binder = {
		.root = "",
		.driver = args->driver,
		.force = args->force,
		.group = args->group,
		.out = stdout,
		.write = vfio_host_write,
		.load = vfio_host_load,
	};
	struct vfio_name *names;
	bool of_pci = true;
	int ret = 0;

	if (!nr) {
		err("%s: a DEVICE is missing; 'lkvm vfio list' shows all devices", what);
		return EXIT_USAGE;
	}
	if (args->driver && (strchr(args->driver, '/') || !vfio_is_vfio_driver(args->driver))) {
		err("%s --driver '%s': must be a driver of VFIO's, such as vfio-pci", what,
		    args->driver);
		return EXIT_USAGE;
	}
	names = xcalloc((size_t)nr, sizeof(*names));
	for (int i = 0; i < nr && !ret; i++) {
		ret = vfio_name_read(what, words[i], &names[i]);
		of_pci &= names[i].bus == VFIO_BUS_PCI;
	}
	if (ret) {
		free(names);
		return ret == -EINVAL ? EXIT_USAGE : EXIT_FAILURE;
	}
	ret = fn(&binder, names, (u32)nr);
	free(names);
	/* An mdev is refused before anything is changed. */
	if (ret && !of_pci)
		return EXIT_USAGE;
	return ret || fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

int vfio_command_bind(const struct vfio_args *args, int nr, char **words)
{
	return change(args, "vfio bind", nr, words, vfio_bind);
}

int vfio_command_unbind(const struct vfio_args *args, int nr, char **words)
{
	return change(args, "vfio unbind", nr, words, vfio_unbind);
}
