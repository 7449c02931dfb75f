/* SPDX-License-Identifier: MIT */
/* `lkvm vfio state`: what devices can do of migration, and their state. */
#include <stdio.h>
#include <stdlib.h>

#include "builtin-vfio.h"
#include "lkvm/cli.h"
#include "lkvm/json.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vfio-state.h"
#include "lkvm/vfio.h"
#include "vfio-abi.h"

static const struct {
	u64 flag;
	const char *name;
} abilities[] = {
	{ VFIO_ABI_MIG_STOP_COPY, "STOP_COPY" },
	{ VFIO_ABI_MIG_P2P, "P2P" },
	{ VFIO_ABI_MIG_PRE_COPY, "PRE_COPY" },
};

static void print_migration(const struct vfio_state_report *r)
{
	printf("  migration       ");
	if (!r->migration) {
		printf("none: its driver does not save or load states\n");
		return;
	}
	for (size_t i = 0; i < ARRAY_SIZE(abilities); i++)
		if (r->migration & abilities[i].flag)
			printf("%s%s", i ? ", " : "", abilities[i].name);
	printf("\n  state           %s\n", r->state);
	if (r->has_length)
		printf("  to be saved     %llu bytes\n", r->length);
	if (r->migration & VFIO_ABI_MIG_PRE_COPY)
		printf("  precopy info    %s\n", r->precopy_v2 ? "v2" : "v1");
}

static void print_text(const struct vfio_state_report *r)
{
	printf("%s: driver %s, by %s\n", r->id, *r->driver ? r->driver : "unknown",
	       r->way ? r->way : "unknown");
	print_migration(r);
	printf("  dirty tracking  %s\n", r->dirty_by_device  ? "by the device"
					 : r->dirty_by_iommu ? "by the IOMMU"
							     : "none: all guest memory counts as "
							       "written");
	printf("  low power       %s\n", !r->low_power ? "no"
					 : r->wakes    ? "yes, and it wakes up by itself"
						       : "yes");
	if (r->pasid_bits)
		printf("  PASID           %u bits\n", r->pasid_bits);
	else
		printf("  PASID           no\n");
}

static void put_json(struct json_out *out, const struct vfio_state_report *r)
{
	json_open(out, NULL, '{');
	json_put_text(out, "device", r->id);
	json_put_text(out, "driver", r->driver);
	json_put_text(out, "by", r->way ? r->way : "");
	json_open(out, "migration", '[');
	for (size_t i = 0; i < ARRAY_SIZE(abilities); i++)
		if (r->migration & abilities[i].flag)
			json_put_text(out, NULL, abilities[i].name);
	json_close(out, ']');
	if (r->migration)
		json_put_text(out, "state", r->state);
	if (r->has_length)
		json_put_u64(out, "stop_copy_bytes", r->length);
	json_put_bool(out, "precopy_info_v2", r->precopy_v2);
	json_put_bool(out, "dirty_by_device", r->dirty_by_device);
	json_put_bool(out, "dirty_by_iommu", r->dirty_by_iommu);
	json_put_bool(out, "low_power", r->low_power);
	json_put_bool(out, "low_power_wakeup", r->wakes);
	json_put_u64(out, "pasid_bits", r->pasid_bits);
	json_close(out, '}');
}

int vfio_command_state(const struct vfio_args *args, int nr, char **words)
{
	struct json_out out = { .max = SIZE_MAX };
	int status = EXIT_SUCCESS;

	if (!nr) {
		err("vfio state: a DEVICE is missing; 'lkvm vfio list' shows all devices");
		return EXIT_USAGE;
	}
	/* All of them before the first is opened. */
	for (int i = 0; i < nr; i++) {
		struct vfio_name name;
		int ret = vfio_name_read("vfio state", words[i], &name);

		if (ret)
			return ret == -EINVAL ? EXIT_USAGE : EXIT_FAILURE;
	}
	json_open(&out, NULL, '[');
	for (int i = 0; i < nr; i++) {
		struct vfio_state_report report;

		if (vfio_state_ask(words[i], &report))
			status = EXIT_FAILURE;
		else if (args->json)
			put_json(&out, &report);
		else
			print_text(&report);
	}
	json_close(&out, ']');
	json_put_bytes(&out, "\n", 1);
	if (args->json && !out.failed)
		fwrite(out.buf, 1, out.len, stdout);
	json_out_free(&out);
	return status;
}
