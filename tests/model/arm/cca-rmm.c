// SPDX-License-Identifier: MIT
/* See cca-rmm.h. What is not written in the specification is what TF-RMM 0.8 and 2.0 do. */
#include "cca-rmm.h"

#define S2SZ_MIN 32

static u64 entry_size(u32 level)
{
	return MODEL_PAGE << 9 * level;
}

/* Number of sizes that entries may have: the first table is up to 16 tables side by side. */
static u32 nr_levels(u32 s2sz)
{
	return MIN((s2sz - 16 + 8) / 9, (u32)RMM_MAX_LEVELS);
}

static bool has(u32 have, u32 asked)
{
	return asked <= have;
}

/* A shared tree has one set of permissions for each plane behind an index, separate trees have
 * them in their entries. */
static bool planes_fit(const struct rmm_host *host, const struct rmm_params *p)
{
	return has(host->max_planes, p->num_aux_planes) &&
	       (!p->num_aux_planes || p->tree_pp == !p->indirect);
}

static bool params_fit(const struct rmm_host *host, const struct rmm_params *p)
{
	const struct rim_params *m = &p->measured;
	bool lpa2 = m->flags & RIM_FLAG_LPA2;
	bool sve = m->flags & RIM_FLAG_SVE, pmu = m->flags & RIM_FLAG_PMU;

	if (!(host->hashes & BIT(m->hash)) || (lpa2 && !host->lpa2) || (sve && !host->sve) ||
	    (pmu && !host->pmu))
		return false;
	if (m->s2sz < S2SZ_MIN || m->s2sz > host->s2sz || (m->s2sz > 48 && !lpa2))
		return false;
	if (!m->num_bps || !m->num_wps)
		return false;
	return has(host->num_bps, m->num_bps) && has(host->num_wps, m->num_wps) &&
	       (!sve || has(host->sve_vl, m->sve_vl)) &&
	       (!pmu || has(host->pmu_num_ctrs, m->pmu_num_ctrs)) && planes_fit(host, p);
}

enum rmi rmm_create(struct rmm_realm *realm, const struct rmm_host *host,
		    const struct rmm_params *params)
{
	if (!params_fit(host, params))
		return RMI_ERROR_INPUT;
	*realm = (struct rmm_realm){
		.host = host,
		.exists = true,
		.params = *params,
		.levels = nr_levels(params->measured.s2sz),
	};
	rim_start(&realm->rim, &params->measured);
	return RMI_SUCCESS;
}

void rmm_destroy(struct rmm_realm *realm)
{
	for (u32 i = 0; i < RMM_MAX_LEVELS; i++)
		model_set_free(&realm->tables[i]);
	model_set_free(&realm->populated);
	model_set_free(&realm->ram);
	*realm = (struct rmm_realm){ 0 };
}

/* The half of the address space whose top bit is clear. */
static bool is_protected(const struct rmm_realm *realm, u64 base, u64 top)
{
	return base <= top && top <= 1ULL << (realm->params.measured.s2sz - 1);
}

/* Tables down to @level for the entry at @ipa. */
static void make_tables(struct rmm_realm *realm, u64 ipa, u32 level)
{
	for (u32 i = level + 1; i < realm->levels; i++) {
		u64 block = ALIGN_DOWN(ipa, entry_size(i));

		model_set_add(&realm->tables[i], block, block + entry_size(i));
	}
}

/* The largest entry that begins at @ipa and ends by @top, where no smaller ones stand. */
static u32 find_level(const struct rmm_realm *realm, u64 ipa, u64 top)
{
	u32 level = realm->levels - 1;

	while (level && (!IS_ALIGNED(ipa, entry_size(level)) || top - ipa < entry_size(level) ||
			 model_set_has(&realm->tables[level], ipa)))
		level--;
	return level;
}

enum rmi rmm_init_ripas(struct rmm_realm *realm, u64 base, u64 top)
{
	if (!realm->exists || realm->active)
		return RMI_ERROR_REALM;
	if (!MODEL_ALIGNED(base | top) || !is_protected(realm, base, top))
		return RMI_ERROR_INPUT;
	while (base < top) {
		u32 level = find_level(realm, base, top);
		u64 next = base + entry_size(level);

		if (model_set_has_any(&realm->populated, base, next))
			return RMI_ERROR_RTT;
		make_tables(realm, base, level);
		model_set_add(&realm->ram, base, next);
		if (realm->host->ripas_measured)
			rim_ripas(&realm->rim, base, next);
		base = next;
	}
	return RMI_SUCCESS;
}

enum rmi rmm_data(struct rmm_realm *realm, u64 ipa, const void *page, bool measured)
{
	if (!realm->exists || realm->active)
		return RMI_ERROR_REALM;
	if (!MODEL_ALIGNED(ipa) || ipa > ~0ULL - MODEL_PAGE ||
	    !is_protected(realm, ipa, ipa + MODEL_PAGE))
		return RMI_ERROR_INPUT;
	if (model_set_has(&realm->populated, ipa))
		return RMI_ERROR_RTT;
	make_tables(realm, ipa, 0);
	model_set_add(&realm->populated, ipa, ipa + MODEL_PAGE);
	model_set_add(&realm->ram, ipa, ipa + MODEL_PAGE);
	rim_data(&realm->rim, ipa, page, measured);
	return RMI_SUCCESS;
}

enum rmi rmm_rec(struct rmm_realm *realm, u32 index, bool runnable, u64 pc, const u64 gprs[8])
{
	if (!realm->exists || realm->active)
		return RMI_ERROR_REALM;
	if (index != realm->nr_recs)
		return RMI_ERROR_INPUT;
	realm->nr_recs++;
	if (runnable)
		rim_rec(&realm->rim, pc, gprs);
	return RMI_SUCCESS;
}

enum rmi rmm_activate(struct rmm_realm *realm)
{
	if (!realm->exists || realm->active)
		return RMI_ERROR_REALM;
	realm->active = true;
	return RMI_SUCCESS;
}
