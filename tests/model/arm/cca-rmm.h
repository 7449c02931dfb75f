/* SPDX-License-Identifier: MIT */
/*
 * The Realm Management Monitor, as far as it sees a realm being built (Arm DEN0137): what it
 * refuses and what it measures. It knows nothing of KVM.
 */
#ifndef MODEL_CCA_RMM_H
#define MODEL_CCA_RMM_H

#include "../model.h"
#include "cca-rim.h"

/* Status of an RMI call. */
enum rmi { RMI_SUCCESS, RMI_ERROR_INPUT, RMI_ERROR_REALM, RMI_ERROR_REC, RMI_ERROR_RTT };

#define RMM_MAX_LEVELS 5

/* One RMM; RMM_DEFAULTS has all. */
struct rmm_host {
	u32 hashes;	     /* bit n: enum rim_hash n */
	u8 s2sz;	     /* most address bits of a realm */
	u8 sve_vl;	     /* most, length / 128 - 1 */
	u8 num_bps, num_wps; /* most, less 1 */
	u8 pmu_num_ctrs;     /* most */
	u8 max_planes;	     /* auxiliary ones */
	bool lpa2, sve, pmu;
	bool ripas_measured; /* RMM 1.x: RTT_INIT_RIPAS extends the measurement */
};

struct rmm_params {
	struct rim_params measured;
	u8 rpv[64];
	u32 num_aux_planes;
	bool tree_pp;  /* a translation table for each plane */
	bool indirect; /* how permissions are encoded: else direct */
};

struct rmm_realm {
	const struct rmm_host *host;
	bool exists, active;
	struct rim rim;
	struct rmm_params params;
	u32 levels;				 /* of translation tables: sizes of entries */
	struct model_set tables[RMM_MAX_LEVELS]; /* blocks of that size that have a table */
	struct model_set populated, ram;
	u32 nr_recs;
};

enum rmi rmm_create(struct rmm_realm *realm, const struct rmm_host *host,
		    const struct rmm_params *params);
void rmm_destroy(struct rmm_realm *realm);
/* All of [base, top), with the tables that this takes; it stops at the first page that is
 * populated. */
enum rmi rmm_init_ripas(struct rmm_realm *realm, u64 base, u64 top);
/* RTT_MAP and DATA_CREATE: a page becomes RAM with these contents. */
enum rmi rmm_data(struct rmm_realm *realm, u64 ipa, const void *page, bool measured);
/* @index: of the MPIDR. */
enum rmi rmm_rec(struct rmm_realm *realm, u32 index, bool runnable, u64 pc, const u64 gprs[8]);
enum rmi rmm_activate(struct rmm_realm *realm);

#endif
