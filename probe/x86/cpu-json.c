/* SPDX-License-Identifier: MIT */
/* `lkvm host --cpu`: the table of x86/cpu-props.c, and what this host has for each row of it. */
#include <string.h>

#include "../../x86/cpu.h"
#include "arch.h"
#include "lkvm/json.h"
#include "lkvm/probe.h"
#include "lkvm/util.h"

#define LEAF_MODEL_NAME 0x80000002U
#define LEAF_HYPERVISOR 0x40000000U

static const char *const type_names[] = {
	[X86_PROP_FLAG] = "feature",   [X86_PROP_NUMBER] = "number",
	[X86_PROP_WIDE] = "number",    [X86_PROP_TEXT] = "text",
	[X86_PROP_DERIVED] = "number", [X86_PROP_TOPOLOGY] = "topology",
};

/* Its registers, from the lowest bits or the first characters on. */
static const char *registers(const struct x86_cpu_prop *prop)
{
	static const char *const single[] = { "eax", "ebx", "ecx", "edx" };

	if (prop->type == X86_PROP_WIDE)
		return prop->reg == X86_EAX ? "eax edx" : "ecx edx";
	if (prop->type != X86_PROP_TEXT)
		return single[prop->reg];
	if (prop->leaf == LEAF_MODEL_NAME)
		return "eax ebx ecx edx";
	return prop->leaf == LEAF_HYPERVISOR ? "ebx ecx edx" : "ebx edx ecx";
}

static void put_registers(struct json_out *out, const char *names)
{
	char name[4] = "";

	json_open(out, "registers", '[');
	for (; *names; names += names[3] ? 4 : 3) {
		memcpy(name, names, 3);
		json_put_text(out, NULL, name);
	}
	json_close(out, ']');
}

static void put_place(struct json_out *out, const struct x86_cpu_prop *prop)
{
	json_put_u64(out, "leaf", prop->leaf);
	json_put_u64(out, "subleaf", prop->index);
	put_registers(out, registers(prop));
	/* Family and model have a second field, wide ones and texts are all bits of theirs. */
	if (prop->type == X86_PROP_FLAG || prop->type == X86_PROP_NUMBER) {
		json_put_u64(out, "low", prop->shift);
		json_put_u64(out, "high", (u64)prop->shift + prop->width - 1);
	}
}

static void put_offered(struct json_out *out, const struct x86_cpu_prop *prop,
			const struct probe_row *row)
{
	if (!row || row->unasked || row->answer == PROBE_UNKNOWN)
		json_put_null(out, "offered");
	else if (prop->type == X86_PROP_FLAG)
		json_put_bool(out, "offered", row->answer == PROBE_YES);
	else if (prop->type == X86_PROP_TEXT)
		json_put_text(out, "offered", row->answer == PROBE_YES ? row->text : "");
	else
		json_put_u64(out, "offered", row->answer == PROBE_YES ? row->number : 0);
	if (row && prop->type == X86_PROP_FLAG && row->answer == PROBE_NO)
		json_put_text(out, "why", row->why);
}

/* What a guest has that is asked nothing of; cores are all of --cpus. */
static void put_default(struct json_out *out, const struct x86_cpu_prop *prop,
			const struct kvm_cpuid2 *guest)
{
	char text[X86_CPU_TEXT_MAX + 1];

	if (prop->type == X86_PROP_TOPOLOGY && strcmp(prop->name, "cores") != 0)
		json_put_u64(out, "default", 1);
	else if (prop->type == X86_PROP_TOPOLOGY || !guest)
		json_put_null(out, "default");
	else if (prop->type == X86_PROP_FLAG)
		json_put_bool(out, "default", x86_cpu_prop_get(guest, prop));
	else if (prop->type == X86_PROP_TEXT)
		json_put_text(out, "default", x86_cpu_prop_text(guest, prop, text));
	else
		json_put_u64(out, "default", x86_cpu_prop_get(guest, prop));
}

static void put_aliases(struct json_out *out, const struct x86_cpu_prop *prop)
{
	bool open = false;

	for (size_t i = 0; i < x86_nr_cpu_aliases; i++) {
		if (strcmp(x86_cpu_aliases[i].name, prop->name) != 0)
			continue;
		if (!open)
			json_open(out, "aliases", '[');
		open = true;
		json_put_text(out, NULL, x86_cpu_aliases[i].alias);
	}
	if (open)
		json_close(out, ']');
}

void probe_arch_put_cpu(const struct probe *h, u32 i, struct json_out *out)
{
	const struct x86_cpu_prop *prop = &x86_cpu_props[i];
	const struct probe_row *row = probe_find(h, PROBE_SEC_CPU, prop->name);

	json_put_text(out, "name", prop->name);
	json_put_text(out, "type", type_names[prop->type]);
	if (prop->type != X86_PROP_TOPOLOGY)
		put_place(out, prop);
	put_offered(out, prop, row);
	put_default(out, prop, h->cpu);
	put_aliases(out, prop);
	json_put_text(out, "help", prop->help);
}

u32 probe_arch_nr_cpu(void)
{
	return (u32)x86_nr_cpu_props;
}
