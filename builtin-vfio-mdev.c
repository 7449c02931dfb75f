/* SPDX-License-Identifier: MIT */
/* `lkvm vfio mdev`: devices that a driver of the host's makes out of its own. */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "builtin-vfio.h"
#include "lkvm/cli.h"
#include "lkvm/json.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vfio-bind.h"

#define MAX_JSON (1 * MiB)

static const struct vfio_writer host = { .root = "", .write = vfio_host_write };

/* list */

struct type {
	const char *type;
	char name[128], api[32], available[16];
	struct vfio_words devices;
};

static void show_text(const struct type *t)
{
	printf("  %s", t->type);
	if (*t->name)
		printf("  %s", t->name);
	if (*t->api)
		printf(", %s", t->api);
	if (*t->available)
		printf(", %s more", t->available);
	putchar('\n');
	for (u32 i = 0; i < t->devices.nr; i++)
		printf("    %s\n", t->devices.words[i]);
}

static void show_json(struct json_out *out, const struct type *t)
{
	u64 available;

	json_open(out, NULL, '{');
	json_put_text(out, "type", t->type);
	if (*t->name)
		json_put_text(out, "name", t->name);
	if (*t->api)
		json_put_text(out, "device-api", t->api);
	if (!parse_u64(t->available, &available))
		json_put_u64(out, "available", available);
	json_open(out, "devices", '[');
	for (u32 i = 0; i < t->devices.nr; i++)
		json_put_text(out, NULL, t->devices.words[i]);
	json_close(out, ']');
	json_close(out, '}');
}

/* @out NULL: as text. */
static void show_parent(const char *parent, struct json_out *out)
{
	struct vfio_words types;

	if (out) {
		json_open(out, NULL, '{');
		json_put_text(out, "parent", parent);
		json_open(out, "types", '[');
	} else {
		printf("%s\n", parent);
	}
	vfio_mdev_types("", parent, &types);
	for (u32 i = 0; i < types.nr; i++) {
		struct type t = { .type = types.words[i] };

		vfio_mdev_text("", parent, t.type, "name", t.name, sizeof(t.name));
		vfio_mdev_text("", parent, t.type, "device_api", t.api, sizeof(t.api));
		vfio_mdev_text("", parent, t.type, "available_instances", t.available,
			       sizeof(t.available));
		vfio_mdev_devices("", parent, t.type, &t.devices);
		if (out)
			show_json(out, &t);
		else
			show_text(&t);
		vfio_words_free(&t.devices);
	}
	vfio_words_free(&types);
	if (out) {
		json_close(out, ']');
		json_close(out, '}');
	}
}

static int list(const struct vfio_args *args)
{
	struct json_out out = { .max = MAX_JSON };
	struct vfio_words parents;
	int ret = 0;

	vfio_mdev_parents("", &parents);
	json_open(&out, NULL, '[');
	for (u32 i = 0; i < parents.nr; i++)
		show_parent(parents.words[i], args->json ? &out : NULL);
	json_close(&out, ']');
	if (args->json && !out.failed)
		printf("%.*s\n", (int)out.len, out.buf);
	else if (args->json)
		ret = -ENOMEM;
	else if (!parents.nr)
		info("vfio mdev list: nothing on this host makes mdevs");
	json_out_free(&out);
	vfio_words_free(&parents);
	if (ret)
		err("vfio mdev list: %s", strerror(-ret));
	return ret;
}

/* create, remove */

/* Exit statuses; what the kernel refuses is never wrong usage. */
static int create(const struct vfio_args *args, char **words)
{
	struct vfio_name name;

	if (args->uuid && (vfio_name_parse(args->uuid, &name) || name.bus != VFIO_BUS_MDEV)) {
		err("vfio mdev create: --uuid '%s': is not a UUID; without it, the mdev gets a "
		    "random one",
		    args->uuid);
		return EXIT_USAGE;
	}
	if (vfio_mdev_create(&host, "vfio mdev create", words[0], words[1], args->uuid, &name))
		return EXIT_FAILURE;
	printf("%s\n", name.id);
	return EXIT_SUCCESS;
}

static int remove_all(int nr, char **words)
{
	struct vfio_name name;

	/* All of them before the first goes. */
	for (int i = 0; i < nr; i++) {
		if (!vfio_name_parse(words[i], &name) && name.bus == VFIO_BUS_MDEV)
			continue;
		err("vfio mdev remove '%s': is not an mdev's UUID; 'lkvm vfio mdev list' shows "
		    "all mdevs",
		    words[i]);
		return EXIT_USAGE;
	}
	for (int i = 0; i < nr; i++)
		if (vfio_name_parse(words[i], &name) ||
		    vfio_mdev_remove(&host, "vfio mdev remove", &name))
			return EXIT_FAILURE;
	return EXIT_SUCCESS;
}

int vfio_command_mdev(const struct vfio_args *args, int nr, char **words)
{
	static const char *const names[] = { "list", "create", "remove", NULL };
	const char *what = nr ? words[0] : "list", *near = nearest_word(what, names);
	int status = EXIT_USAGE;

	if (args->uuid && !strcmp(what, "list"))
		err("vfio mdev list: takes no --uuid; that is an option of create");
	else if (args->uuid && !strcmp(what, "remove"))
		err("vfio mdev remove: takes no --uuid; the UUIDs follow as words");
	else if (args->json && strcmp(what, "list") != 0)
		err("vfio mdev %s: takes no --json; that is an option of list", what);
	else if (!strcmp(what, "list") && nr <= 1)
		status = list(args) ? EXIT_FAILURE : EXIT_SUCCESS;
	else if (!strcmp(what, "create") && nr == 3)
		status = create(args, words + 1);
	else if (!strcmp(what, "remove") && nr >= 2)
		status = remove_all(nr - 1, words + 1);
	else if (near && strcmp(near, what) != 0)
		err("vfio mdev: '%s' is not one of its commands; did you mean '%s'?", what, near);
	else
		err("vfio mdev: must be 'list', 'create PARENT TYPE' or 'remove UUID...'");
	return fflush(stdout) && !status ? EXIT_FAILURE : status;
}
