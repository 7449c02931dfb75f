/* SPDX-License-Identifier: MIT */
/* `lkvm host --cpu`: the features of arm/idregs.c, and what this host has of them. */
#include "../../arm/cpu.h"
#include "lkvm/json.h"
#include "lkvm/probe.h"

void probe_arch_put_cpu(const struct probe *h, u32 i, struct json_out *out)
{
	const struct arm_cpu_prop *prop = &arm_cpu_props[i];

	json_put_text(out, "name", prop->name);
	json_put_text(out, "type", "feature");
	if (prop->kind == ARM_PROP_FIELD) {
		json_put_text(out, "register", arm_id_reg_name(prop->reg));
		json_put_u64(out, "low", prop->shift);
		json_put_u64(out, "high", prop->shift + 3U);
		json_put_u64(out, "from", prop->level);
	}
	/* What a switch of KVM's gives has a row of its own, or none. */
	probe_put_feature(probe_find(h, PROBE_SEC_CPU, prop->name), out);
}

u32 probe_arch_nr_cpu(void)
{
	return (u32)arm_nr_cpu_props;
}
