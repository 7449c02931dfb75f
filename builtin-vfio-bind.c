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
	int ret = 0;

	if (!nr) {
		err("vfio %s: names no device; 'lkvm vfio list' shows them", what);
		return EXIT_USAGE;
	}
	if (args->driver && (strchr(args->driver, '/') || !vfio_is_vfio_driver(args->driver))) {
		err("vfio %s: --driver %s: is not one of VFIO's", what, args->driver);
		return EXIT_USAGE;
	}
	names = xcalloc((size_t)nr, sizeof(*names));
	for (int i = 0; i < nr && !ret; i++) {
		ret = vfio_name_parse(words[i], &names[i]);
		if (ret == -EINVAL)
			err("vfio %s: %s: is not a PCI address ([DOMAIN:]BB:DD.F), and not a path "
			    "to one in sysfs",
			    what, words[i]);
		else if (ret)
			err("vfio %s: %s: %s", what, words[i], strerror(-ret));
	}
	if (ret) {
		free(names);
		return ret == -EINVAL ? EXIT_USAGE : EXIT_FAILURE;
	}
	ret = fn(&binder, names, (u32)nr);
	free(names);
	return ret || fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

int vfio_command_bind(const struct vfio_args *args, int nr, char **words)
{
	return change(args, "bind", nr, words, vfio_bind);
}

int vfio_command_unbind(const struct vfio_args *args, int nr, char **words)
{
	return change(args, "unbind", nr, words, vfio_unbind);
}
