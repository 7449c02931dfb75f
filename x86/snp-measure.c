/* SPDX-License-Identifier: MIT */
/*
 * The launch of an SNP guest without firmware or KVM, for its measurement: the same list, page
 * types and registers as snp-launch.c and snp-state.c have.
 */
#include <stdlib.h>

#include "lkvm/coco.h"
#include "lkvm/config-snp.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/plan.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "snp.h"
#include "vmsa.h"
#include "x86.h"

static int begin(struct measure *m, const struct boot_plan *plan)
{
	struct snp_digest *d = xcalloc(1, sizeof(*d));

	d->log = m->log;
	m->state = d;
	return 0;
}

static int place(struct measure *m, const struct boot_plan *plan, const struct boot_run *run)
{
	enum snp_page_type type = x86_snp_page_type(run);
	u8 page[BOOT_PAGE];

	for (u64 at = 0; at < run->len; at += BOOT_PAGE) {
		int ret = type == SNP_PAGE_NORMAL
				  ? boot_plan_read(plan, run->gpa + at, page, BOOT_PAGE)
				  : 0;

		if (ret)
			return ret;
		snp_digest_page(m->state, type, run->gpa + at, page);
	}
	return 0;
}

static int vcpu(struct measure *m, u32 index, const struct boot_plan *plan)
{
	struct x86_vmsa_state state;
	u8 page[BOOT_PAGE];

	x86_vmsa_reset(&state, m->vm->cfg->x86.snp.features);
	x86_snp_state(&m->vm->arch->entry, index, &state.sregs, &state.regs);
	x86_vmsa_page(&state, page);
	snp_digest_page(m->state, SNP_PAGE_VMSA, SNP_VMSA_GPA, page);
	return 0;
}

/* What the ID block says of the guest, and whether it is of this one. */
static void add_id(const struct measure *m, const struct snp_digest *d, struct measure_result *r)
{
	const struct x86_snp_files *files = m->vm->coco_opened;

	if (!files || !files->has_id)
		return;
	measure_add_bytes(r, "family-id", files->block.family_id, sizeof(files->block.family_id));
	measure_add_bytes(r, "image-id", files->block.image_id, sizeof(files->block.image_id));
	measure_add_number(r, "guest-svn", files->block.guest_svn);
	measure_add_bytes(r, "id-key-digest", files->auth.id_key_digest, SNP_DIGEST_LEN);
	if (files->auth.has_author_key)
		measure_add_bytes(r, "author-key-digest", files->auth.author_key_digest,
				  SNP_DIGEST_LEN);
	if (memcmp(files->block.ld, d->ld, SNP_DIGEST_LEN) != 0)
		warn("--snp-id-block %s: is for another measurement; the firmware would refuse the "
		     "launch",
		     m->vm->cfg->x86.snp.id_block);
}

static int finish(struct measure *m)
{
	const struct vm_config *cfg = m->vm->cfg;
	const struct snp_digest *d = m->state;
	struct measure_result *r = measure_add_result(m, NULL);
	u8 host_data[SNP_HOST_DATA_SIZE] = { 0 };

	if (cfg->x86.snp.host_data && x86_snp_host_data(cfg->x86.snp.host_data, host_data))
		return -EINVAL;
	measure_add_bytes(r, "launch-digest", d->ld, SNP_DIGEST_LEN);
	measure_add_bits(r, "policy", cfg->x86.snp.policy);
	measure_add_bits(r, "vmsa-features", cfg->x86.snp.features | 1);
	measure_add_bytes(r, "host-data", host_data, sizeof(host_data));
	add_id(m, d, r);
	return 0;
}

static void destroy(struct measure *m)
{
	free(m->state);
	m->state = NULL;
}

const struct coco_measure x86_snp_measure = {
	.kind = "snp",
	.option = "--snp",
	.begin = begin,
	.place = place,
	.vcpu = vcpu,
	.finish = finish,
	.destroy = destroy,
};
