/* SPDX-License-Identifier: MIT */
/* What `lkvm vfio list` prints: a table, or the same for programs (docs/vfio.md names the
 * members). */
#include "builtin-vfio-list.h"

#include <stdio.h>
#include <stdlib.h>

#include "lkvm/json.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vfio.h"

/* At least two of the group are members. */
static bool explains(const struct vfio_list *list, const struct host_cause *cause, u32 group)
{
	return host_cause_in_group(&list->tree, cause, group) > 1;
}

/* To be freed; NULL: it makes no group too small, or none of a device that is shown. */
static char *warning_of(const struct vfio_list *list, const struct host_cause *cause)
{
	const struct host_pci_tree *tree = &list->tree;
	char *why, *text = NULL;
	bool shown = false;

	if (!host_cause_is_split(tree, cause))
		return NULL;
	for (u32 i = 0; i < cause->nr_members; i++)
		shown |= list->shown[cause->members[i]];
	if (!shown)
		return NULL;
	why = host_cause_text(tree, cause);
	text = xasprintf("%s; Linux has them in several groups all the same: these are too small, "
			 "unless it knows this device better:",
			 why);
	for (u32 i = 0; i < cause->nr_members; i++)
		xappendf(&text, " %s", tree->devices[cause->members[i]].id);
	free(why);
	return text;
}

/* Nothing explains a group. */
static const char *unexplained(const struct vfio_list *list)
{
	if (list->tree.blind)
		return "run as root to see why: others may read no capabilities";
	return "Linux puts them together, and config space does not show why: it knows something "
	       "of a device, or requests of one come as another's";
}

static void read_facts(const struct vfio_list *list, const struct host_pci *dev,
		       struct host_facts *out)
{
	host_facts_read(VFIO_LIST_ROOT, &list->tree, dev, out);
	host_facts_probe(VFIO_LIST_ROOT, &vfio_host_calls, NULL, dev->sysfs, out);
}

static void read_mdev_facts(const struct host_mdev *mdev, struct host_facts *out)
{
	*out = (struct host_facts){ 0 };
	host_facts_probe(VFIO_LIST_ROOT, &vfio_host_calls, NULL, mdev->sysfs, out);
}

/* As text */

static const char *group_text(u32 group, char *buf, size_t size)
{
	snprintf(buf, size, "%u", group);
	return group == HOST_PCI_NONE ? "-" : buf;
}

static void print_facts(struct host_facts *facts)
{
	for (u32 i = 0; i < facts->nr; i++)
		printf("              %s: %s\n", facts->facts[i].name, facts->facts[i].text);
	host_facts_free(facts);
}

static void print_device(const struct vfio_list *list, const struct host_pci *dev)
{
	struct host_facts facts;
	char group[16];

	printf("%-13s %04x:%04x  %-16s %5s  %s%s%s\n", dev->id, dev->vendor, dev->device,
	       *dev->driver ? dev->driver : "-", group_text(dev->group, group, sizeof(group)),
	       host_class_text(dev->class), *dev->name ? ": " : "", dev->name);
	if (!list->verbose)
		return;
	read_facts(list, dev, &facts);
	print_facts(&facts);
}

/* One alone needs no word. */
static void print_group(const struct vfio_list *list, u32 group)
{
	const struct host_pci_tree *tree = &list->tree;
	bool explained = false;
	u32 nr = 0;

	for (u32 i = 0; i < tree->nr; i++)
		nr += tree->devices[i].group == group;
	if (nr < 2)
		return;
	printf("\ngroup %u:", group);
	for (u32 i = 0; i < tree->nr; i++)
		if (tree->devices[i].group == group)
			printf(" %s", tree->devices[i].id);
	putchar('\n');
	for (u32 i = 0; i < tree->nr_causes; i++) {
		char *text;

		if (!explains(list, &tree->causes[i], group))
			continue;
		explained = true;
		/* The same port may be a cause by each set of rules: the wider one is first. */
		if (i && tree->causes[i - 1].at == tree->causes[i].at)
			continue;
		text = host_cause_text(tree, &tree->causes[i]);
		printf("  %s\n", text);
		free(text);
	}
	if (!explained)
		printf("  %s\n", unexplained(list));
}

static void print_mdevs(const struct vfio_list *list)
{
	const struct host_mdevs *mdevs = &list->mdevs;
	struct host_facts facts;
	bool title = false;
	char group[16];

	for (u32 i = 0; i < mdevs->nr; i++) {
		const struct host_mdev *m = &mdevs->mdevs[i];

		if (!list->mdev_shown[i])
			continue;
		if (!title)
			printf("\n%-36s  %-16s %5s  %s\n", "MDEV", "DRIVER", "GROUP",
			       "TYPE OF PARENT");
		title = true;
		printf("%-36s  %-16s %5s  %s of %s\n", m->uuid, *m->driver ? m->driver : "-",
		       group_text(m->group, group, sizeof(group)), *m->type ? m->type : "?",
		       *m->parent ? m->parent : "?");
		if (!list->verbose)
			continue;
		read_mdev_facts(m, &facts);
		print_facts(&facts);
	}
	for (u32 i = 0; i < mdevs->nr_types && list->types_shown; i++) {
		const struct host_mdev_type *t = &mdevs->types[i];

		if (!i)
			printf("\n%-36s  %-16s %5s  %s\n", "MDEV TYPE", "PARENT", "FREE", "IS");
		printf("%-36s  %-16s %5u  %s%s%s\n", t->type, t->parent, t->available, t->name,
		       *t->name && *t->api ? ", " : "", t->api);
	}
}

void vfio_list_print_text(const struct vfio_list *list)
{
	const struct host_pci_tree *tree = &list->tree;
	bool title = false;

	if (!tree->nr && !list->mdevs.nr && !list->mdevs.nr_types)
		printf("this host has neither PCI devices nor mediated ones\n");
	for (u32 i = 0; i < tree->nr; i++) {
		if (!list->shown[i])
			continue;
		if (!title)
			printf("%-13s %-9s  %-16s %5s  %s\n", "ADDRESS", "ID", "DRIVER", "GROUP",
			       "IS");
		title = true;
		print_device(list, &tree->devices[i]);
	}
	for (u32 i = 0; i < list->nr_groups; i++)
		print_group(list, list->groups[i]);
	print_mdevs(list);
	if (list->no_group)
		printf("\ngroup -: %s\n", list->no_group);
	fflush(stdout);
	for (u32 i = 0; i < tree->nr_causes; i++) {
		char *text = warning_of(list, &tree->causes[i]);

		if (text)
			warn("vfio list: %s", text);
		free(text);
	}
}

/* As JSON */

/* Ids as everybody writes them. */
static void put_hex(struct json_out *out, const char *name, u32 value, int digits)
{
	char text[16];

	snprintf(text, sizeof(text), "%0*x", digits, value);
	json_put_text(out, name, text);
}

static void put_or_null(struct json_out *out, const char *name, const char *text)
{
	if (*text)
		json_put_text(out, name, text);
	else
		json_put_null(out, name);
}

static void put_group(struct json_out *out, u32 group)
{
	if (group == HOST_PCI_NONE)
		json_put_null(out, "group");
	else
		json_put_u64(out, "group", group);
}

static void put_facts(struct json_out *out, struct host_facts *facts)
{
	json_open(out, "details", '{');
	for (u32 i = 0; i < facts->nr; i++)
		json_put_text(out, facts->facts[i].name, facts->facts[i].text);
	json_close(out, '}');
	host_facts_free(facts);
}

static void put_device(struct json_out *out, const struct vfio_list *list,
		       const struct host_pci *dev)
{
	struct host_facts facts;

	json_open(out, NULL, '{');
	json_put_text(out, "address", dev->id);
	put_hex(out, "vendor", dev->vendor, 4);
	put_hex(out, "device", dev->device, 4);
	put_hex(out, "class", dev->class, 6);
	json_put_text(out, "class-name", host_class_text(dev->class));
	put_or_null(out, "name", dev->name);
	put_or_null(out, "driver", dev->driver);
	put_group(out, dev->group);
	put_or_null(out, "bridge",
		    dev->parent == HOST_PCI_NONE ? "" : list->tree.devices[dev->parent].id);
	if (list->verbose) {
		read_facts(list, dev, &facts);
		put_facts(out, &facts);
	}
	json_close(out, '}');
}

static void put_cause(struct json_out *out, const struct vfio_list *list,
		      const struct host_cause *cause)
{
	char *text = host_cause_text(&list->tree, cause);

	json_open(out, NULL, '{');
	json_put_text(out, "kind", host_cause_word(cause->kind));
	json_put_text(out, "device", list->tree.devices[cause->at].id);
	json_put_bool(out, "older-rules", cause->rules & HOST_RULES_OLD);
	json_put_bool(out, "newer-rules", cause->rules & HOST_RULES_NEW);
	json_put_text(out, "text", text);
	json_close(out, '}');
	free(text);
}

static void put_groups(struct json_out *out, const struct vfio_list *list)
{
	const struct host_pci_tree *tree = &list->tree;

	json_open(out, "groups", '[');
	for (u32 g = 0; g < list->nr_groups; g++) {
		json_open(out, NULL, '{');
		put_group(out, list->groups[g]);
		json_open(out, "devices", '[');
		for (u32 i = 0; i < tree->nr; i++)
			if (tree->devices[i].group == list->groups[g])
				json_put_text(out, NULL, tree->devices[i].id);
		json_close(out, ']');
		json_open(out, "reasons", '[');
		for (u32 i = 0; i < tree->nr_causes; i++)
			if (explains(list, &tree->causes[i], list->groups[g]))
				put_cause(out, list, &tree->causes[i]);
		json_close(out, ']');
		json_close(out, '}');
	}
	json_close(out, ']');
}

static void put_mdevs(struct json_out *out, const struct vfio_list *list)
{
	const struct host_mdevs *mdevs = &list->mdevs;
	struct host_facts facts;

	json_open(out, "mdevs", '[');
	for (u32 i = 0; i < mdevs->nr; i++) {
		const struct host_mdev *m = &mdevs->mdevs[i];

		if (!list->mdev_shown[i])
			continue;
		json_open(out, NULL, '{');
		json_put_text(out, "uuid", m->uuid);
		put_or_null(out, "parent", m->parent);
		put_or_null(out, "type", m->type);
		put_or_null(out, "driver", m->driver);
		put_group(out, m->group);
		if (list->verbose) {
			read_mdev_facts(m, &facts);
			put_facts(out, &facts);
		}
		json_close(out, '}');
	}
	json_close(out, ']');
	json_open(out, "mdev-types", '[');
	for (u32 i = 0; i < mdevs->nr_types && list->types_shown; i++) {
		const struct host_mdev_type *t = &mdevs->types[i];

		json_open(out, NULL, '{');
		json_put_text(out, "parent", t->parent);
		json_put_text(out, "type", t->type);
		put_or_null(out, "name", t->name);
		put_or_null(out, "device-api", t->api);
		json_put_u64(out, "available", t->available);
		json_close(out, '}');
	}
	json_close(out, ']');
}

static void put_warnings(struct json_out *out, const struct vfio_list *list)
{
	json_open(out, "warnings", '[');
	for (u32 i = 0; i < list->tree.nr_causes; i++) {
		char *text = warning_of(list, &list->tree.causes[i]);

		if (text)
			json_put_text(out, NULL, text);
		free(text);
	}
	json_close(out, ']');
}

void vfio_list_print_json(const struct vfio_list *list)
{
	struct json_out out = { .max = SIZE_MAX };

	json_open(&out, NULL, '{');
	json_open(&out, "devices", '[');
	for (u32 i = 0; i < list->tree.nr; i++)
		if (list->shown[i])
			put_device(&out, list, &list->tree.devices[i]);
	json_close(&out, ']');
	put_groups(&out, list);
	put_or_null(&out, "no-group", list->no_group ? list->no_group : "");
	/* Without capabilities of every device, reasons may be missing. */
	json_put_bool(&out, "all-readable", !list->tree.blind);
	put_warnings(&out, list);
	put_mdevs(&out, list);
	json_close(&out, '}');
	json_put_bytes(&out, "\n", 1);
	fwrite(out.buf, 1, out.len, stdout);
	json_out_free(&out);
}
