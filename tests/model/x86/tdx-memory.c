/* SPDX-License-Identifier: MIT */
/* INIT_MEM_REGION and FINALIZE_VM, and the MRTD that they make (Intel TDX module ABI 1.5). */
#include <stdio.h>

#include "tdx.h"

#define MEASURE 1U

/* A buffer of 128 bytes: a name, and an address at 16. */
static void add_name(struct model_sha *sha, const char *name, u64 gpa)
{
	u8 buf[128] = { 0 };

	memcpy(buf, name, strlen(name));
	memcpy(buf + 16, &gpa, sizeof(gpa));
	model_sha_add(sha, buf, sizeof(buf));
}

static void measure(struct tdx_vm *td, u64 gpa, const u8 *page, bool contents)
{
	add_name(&td->mrtd, "MEM.PAGE.ADD", gpa);
	for (u32 i = 0; contents && i < MODEL_PAGE; i += 256) {
		add_name(&td->mrtd, "MR.EXTEND", gpa + i);
		model_sha_add(&td->mrtd, page + i, 256);
	}
}

static long add_page(struct model_call *c, const struct tdx_region *r, bool measured)
{
	struct tdx_vm *td = tdx_vm(c->vm);
	u8 *page = model_gmem_at(c->vm, r->gpa), source[4096];

	if (!page)
		return model_broken(
			-EINVAL, "INIT_MEM_REGION: 0x%llx is in no slot with guest_memfd", r->gpa);
	if (!model_set_has(&c->vm->private, r->gpa))
		return model_broken(-EINVAL, "INIT_MEM_REGION: 0x%llx is not private", r->gpa);
	if (model_read(source, r->source, sizeof(source)))
		return model_broken(-EFAULT, "INIT_MEM_REGION: the source of 0x%llx cannot be read",
				    r->gpa);
	if (model_set_has(&td->added, r->gpa))
		return model_broken(-EIO, "INIT_MEM_REGION: 0x%llx was added already", r->gpa);
	memcpy(page, source, sizeof(source));
	measure(td, r->gpa, page, measured);
	model_set_add(&td->added, r->gpa, r->gpa + MODEL_PAGE);
	return 0;
}

static long check_region(const struct tdx_vm *td, const struct tdx_region *r)
{
	u64 half = 1ULL << (td->gpaw - 1), end = r->gpa + r->pages * MODEL_PAGE;

	if (!r->source || !MODEL_ALIGNED(r->source | r->gpa) || !r->pages ||
	    r->pages > ~0ULL / MODEL_PAGE || end <= r->gpa || r->gpa >= half || end > half)
		return model_broken(-EINVAL,
				    "INIT_MEM_REGION: source 0x%llx, gpa 0x%llx, %llu pages",
				    r->source, r->gpa, r->pages);
	return 0;
}

long tdx_init_mem_region(struct model_call *c, const struct tdx_cmd *cmd)
{
	struct tdx_vm *td = tdx_vm(c->vm);
	struct tdx_region r;
	long ret;

	if (td->state != TD_INITIALIZED)
		return model_broken(-EINVAL, "INIT_MEM_REGION before INIT_VM or after FINALIZE_VM");
	if (!tdx_vcpu(c->vcpu)->ready)
		return model_broken(-EINVAL, "INIT_MEM_REGION of a vcpu before its INIT_VCPU");
	if (cmd->flags & ~MEASURE)
		return model_broken(-EINVAL, "INIT_MEM_REGION: flags 0x%x", cmd->flags);
	if (model_read(&r, cmd->data, sizeof(r)))
		return model_broken(-EFAULT, "INIT_MEM_REGION: data is not readable");
	model_note(c, "gpa", "\"0x%llx\"", r.gpa);
	model_note(c, "pages", "%llu", r.pages);
	model_note(c, "measured", "%s", cmd->flags & MEASURE ? "true" : "false");
	ret = check_region(td, &r);
	if (ret)
		return ret;
	for (u64 i = 0; r.pages; i++) {
		ret = model_disturb(c, i);
		if (!ret)
			ret = add_page(c, &r, cmd->flags & MEASURE);
		if (ret)
			break;
		r.source += MODEL_PAGE;
		r.gpa += MODEL_PAGE;
		r.pages--;
	}
	return model_write(cmd->data, &r, sizeof(r)) ? -EFAULT : ret;
}

static void put_hex(char *to, const u64 *words)
{
	const u8 *p = (const u8 *)words;

	for (u32 i = 0; i < 48; i++)
		snprintf(to + 2 * (size_t)i, 3, "%02x", p[i]);
}

long tdx_finalize(struct model_call *c)
{
	struct tdx_vm *td = tdx_vm(c->vm);
	char config[97], owner[97], owner_config[97], more[512];
	u8 mrtd[48];
	long ret;

	if (td->state != TD_INITIALIZED)
		return model_broken(-EINVAL, "FINALIZE_VM before INIT_VM, or again");
	ret = model_fail(c);
	if (ret)
		return ret;
	for (u32 i = 0; model.host_kvm && i < c->vm->nr_vcpus && !ret; i++)
		ret = x86_real_start_flat(c->vm->vcpus[i], tdx_vcpu(c->vm->vcpus[i])->rcx,
					  td->gpaw);
	if (ret)
		return ret;
	td->state = TD_RUNNABLE;
	model_sha_end(&td->mrtd, mrtd);
	put_hex(config, td->params.mrconfigid);
	put_hex(owner, td->params.mrowner);
	put_hex(owner_config, td->params.mrownerconfig);
	snprintf(more, sizeof(more),
		 ", \"attributes\": \"0x%llx\", \"xfam\": \"0x%llx\", \"mrconfigid\": \"%s\", "
		 "\"mrowner\": \"%s\", \"mrownerconfig\": \"%s\", \"vcpus\": %u",
		 td->params.attributes, td->params.xfam, config, owner, owner_config,
		 c->vm->nr_vcpus);
	model_measured(c->vm, "tdx", mrtd, sizeof(mrtd), more);
	return 0;
}
