/* SPDX-License-Identifier: MIT */
/* LAUNCH_START, LAUNCH_UPDATE and LAUNCH_FINISH (Linux 7.3, sev.c): the checks in their order. */
#include <stdio.h>
#include <stdlib.h>

#include "snp.h"

#define POLICY_ONE (1ULL << 17)

bool snp_is_sev(u32 fd)
{
	return model_file((int)fd)->type == MODEL_SEV;
}

/* A scripted refusal by the firmware, or its own opinion: -EIO with the code. */
static long refuse(struct snp_cmd *cmd, long err, u32 fw, const char *what)
{
	cmd->error = fw;
	return model_refused(err, "%s: the firmware says 0x%x", what, fw);
}

static long check_start(const struct snp_vm *v, const struct snp_start *s)
{
	u64 mask = snp_policy_mask();

	if (v->ctx)
		return model_broken(-EINVAL, "LAUNCH_START: the launch has begun already");
	if (s->flags)
		return model_broken(-EINVAL, "LAUNCH_START: flags 0x%x", s->flags);
	if (s->policy & ~mask)
		return model_refused(-EINVAL, "LAUNCH_START: policy 0x%llx, this host has 0x%llx",
				     s->policy, mask);
	if (!(s->policy & POLICY_ONE))
		return model_refused(-EINVAL, "LAUNCH_START: policy 0x%llx: bit 17 must be set",
				     s->policy);
	return 0;
}

long snp_start(struct model_call *c, struct snp_cmd *cmd)
{
	struct snp_vm *v = snp_vm(c->vm);
	struct snp_start s;
	long ret;
	u32 fw;

	if (!v->inited)
		return model_broken(-ENOTTY, "LAUNCH_START before INIT2");
	if (model_read(&s, cmd->data, sizeof(s)))
		return model_broken(-EFAULT, "LAUNCH_START: data is not readable");
	model_note(c, "policy", "\"0x%llx\"", s.policy);
	ret = check_start(v, &s);
	if (ret)
		return ret;
	if (!snp_is_sev(cmd->sev_fd))
		return model_broken(-ENOTTY, "LAUNCH_START: descriptor %u is not /dev/sev",
				    cmd->sev_fd);
	if (c->fault.err) {
		ret = model_fail(c);
		return refuse(cmd, ret, c->fault.fw, "LAUNCH_START");
	}
	fw = snp_fw_start(&s);
	if (!fw)
		fw = snp_fw_activate(&s);
	if (fw)
		return refuse(cmd, -EIO, fw, "LAUNCH_START");
	v->ctx = true;
	v->policy = s.policy;
	v->sev_fd = cmd->sev_fd;
	memset(v->ld, 0, sizeof(v->ld));
	return 0;
}

/* One page: what is inside the kernel's answer EIO, with the firmware's code in cmd->error. */
static long add_page(struct model_call *c, struct snp_cmd *cmd, const struct snp_update *u, u64 i)
{
	struct snp_vm *v = snp_vm(c->vm);
	u64 gpa = (u->gfn + i) * MODEL_PAGE, from = u->uaddr + i * MODEL_PAGE;
	u8 *page = model_gmem_at(c->vm, gpa), source[4096], corrected[4096];
	bool has_source = u->type != SNP_ZERO;

	if (has_source && (model_read(source, from, sizeof(source)) ||
			   (u->type == SNP_CPUID && !model_is_writable(from, MODEL_PAGE))))
		return model_broken(-EFAULT, "LAUNCH_UPDATE: the source of 0x%llx cannot be %s",
				    gpa, u->type == SNP_CPUID ? "written" : "read");
	if (!model_set_has(&c->vm->private, gpa))
		return model_broken(-EINVAL, "LAUNCH_UPDATE: 0x%llx is not private", gpa);
	if (model_set_has(&v->assigned, gpa))
		return model_broken(-EEXIST, "LAUNCH_UPDATE: 0x%llx is the guest's already", gpa);
	if (!snp_is_sev(cmd->sev_fd))
		return model_broken(-EBADF, "LAUNCH_UPDATE: descriptor %u is not /dev/sev",
				    cmd->sev_fd);
	if (has_source)
		memcpy(page, source, sizeof(source));
	if (v->finished) {
		cmd->error = SNP_FW_INVALID_GUEST_STATE;
		return model_broken(-EIO, "LAUNCH_UPDATE after LAUNCH_FINISH");
	}
	if (u->type == SNP_CPUID) {
		cmd->error = snp_fw_cpuid(v, source, corrected);
		if (cmd->error) {
			model_write(from, corrected, sizeof(corrected));
			return model_refused(-EIO, "LAUNCH_UPDATE: the firmware corrected the "
						   "CPUID page");
		}
	}
	model_set_add(&v->assigned, gpa, gpa + MODEL_PAGE);
	snp_extend(v->ld, u->type, gpa, u->type == SNP_NORMAL ? page : NULL);
	return 0;
}

static bool is_type(u8 type)
{
	return type == SNP_NORMAL || (type >= SNP_ZERO && type <= SNP_CPUID);
}

static long check_update(const struct model_call *c, const struct snp_update *u)
{
	const struct model_slot *slot;

	if (!u->len || !MODEL_ALIGNED(u->len) || u->flags || !is_type(u->type))
		return model_broken(-EINVAL, "LAUNCH_UPDATE: length 0x%llx, flags 0x%x, type %u",
				    u->len, u->flags, u->type);
	if (u->type != SNP_ZERO && (!u->uaddr || !MODEL_ALIGNED(u->uaddr)))
		return model_broken(-EINVAL, "LAUNCH_UPDATE: source 0x%llx", u->uaddr);
	slot = model_find_slot(c->vm, u->gfn * MODEL_PAGE);
	if (!slot || !slot->gmem || u->gfn >> 52)
		return model_broken(-EINVAL, "LAUNCH_UPDATE: 0x%llx is in no slot with guest_memfd",
				    u->gfn * MODEL_PAGE);
	return 0;
}

static long disturb(struct model_call *c, struct snp_cmd *cmd, u64 i)
{
	long ret = model_disturb(c, i);

	if (ret && c->fault.used)
		cmd->error = (u32)c->fault.fw;
	return ret;
}

static u64 add_pages(struct model_call *c, struct snp_cmd *cmd, const struct snp_update *u,
		     long *error)
{
	const struct model_slot *slot = model_find_slot(c->vm, u->gfn * MODEL_PAGE);
	u64 n = u->len / MODEL_PAGE, i;
	u64 most = (slot->gpa + slot->size) / MODEL_PAGE - u->gfn;

	for (i = 0; i < n && i < most; i++) {
		*error = disturb(c, cmd, i);
		if (!*error)
			*error = add_page(c, cmd, u, i);
		if (*error)
			break;
	}
	return i;
}

long snp_update(struct model_call *c, struct snp_cmd *cmd)
{
	struct snp_vm *v = snp_vm(c->vm);
	struct snp_update u;
	long ret, error = 0;
	u64 done;

	if (!v->inited || !v->ctx)
		return model_broken(-EINVAL, "LAUNCH_UPDATE before LAUNCH_START");
	if (model_read(&u, cmd->data, sizeof(u)))
		return model_broken(-EFAULT, "LAUNCH_UPDATE: data is not readable");
	model_note(c, "gpa", "\"0x%llx\"", u.gfn * MODEL_PAGE);
	model_note(c, "len", "%llu", u.len);
	model_note(c, "type", "%u", u.type);
	ret = check_update(c, &u);
	if (ret)
		return ret;
	done = add_pages(c, cmd, &u, &error);
	model_note(c, "pages", "%llu", done);
	if (!done)
		return -EIO;
	u.gfn += done;
	u.len -= done * MODEL_PAGE;
	if (u.type != SNP_ZERO)
		u.uaddr += done * MODEL_PAGE;
	return model_write(cmd->data, &u, sizeof(u));
}

static bool is_debugged(const struct x86_state *s)
{
	return s->guest_debug.control & KVM_GUESTDBG_ENABLE || s->debug.dr7 & ~0x400ULL;
}

static void tell_vmsa(u32 index, const struct x86_state *s, const u8 *page)
{
	u8 sha[48];
	char hex[97];

	model_sha(384, page, MODEL_PAGE, sha);
	for (u32 i = 0; i < sizeof(sha); i++)
		snprintf(hex + 2 * (size_t)i, 3, "%02x", sha[i]);
	model_log("\"vmsa\": %u, \"sha384\": \"%s\", \"rip\": \"0x%llx\", \"efer\": \"0x%llx\"",
		  index, hex, s->regs.rip, s->efer);
}

/* snp_launch_update_vmsa: no way back from here. */
static long add_vmsas(struct model_call *c, const struct snp_cmd *cmd)
{
	struct snp_vm *v = snp_vm(c->vm);
	u8 page[4096];

	for (u32 i = 0; i < c->vm->nr_vcpus; i++) {
		struct model_vcpu *vcpu = c->vm->vcpus[i];
		const struct x86_state *s = x86_state(vcpu);

		if (snp_vcpu(vcpu)->protected)
			return model_broken(-EINVAL, "LAUNCH_FINISH again after it failed");
		if (is_debugged(s))
			return model_broken(-EINVAL, "LAUNCH_FINISH: vcpu %u is being debugged", i);
		if (!snp_is_sev(cmd->sev_fd))
			return model_broken(-EBADF, "LAUNCH_FINISH: descriptor %u is not /dev/sev",
					    cmd->sev_fd);
		snp_vmsa(s, v->features, x86_vm(c->vm)->quirks_disabled, page);
		snp_extend(v->ld, SNP_VMSA, 0xfffffffff000ULL, page);
		snp_vcpu(vcpu)->protected = true;
		tell_vmsa(i, s, page);
	}
	return 0;
}

static long read_id(const struct snp_finish *f, struct snp_id_block *block, u8 *auth)
{
	if (!f->id_block)
		return model_broken(-EINVAL, "LAUNCH_FINISH: no id block");
	if (model_read(block, f->id_block, sizeof(*block)))
		return model_broken(-EFAULT, "LAUNCH_FINISH: the id block is not readable");
	if (!f->id_auth)
		return model_broken(-EINVAL, "LAUNCH_FINISH: no id auth");
	if (model_read(auth, f->id_auth, MODEL_PAGE))
		return model_broken(-EFAULT, "LAUNCH_FINISH: the id auth is not readable");
	return 0;
}

static void tell(const struct model_call *c, const struct snp_finish *f)
{
	const struct snp_vm *v = snp_vm(c->vm);
	char host[65] = "", more[320];

	for (u32 i = 0; i < 32; i++)
		snprintf(host + 2 * (size_t)i, 3, "%02x", f->host_data[i]);
	snprintf(more, sizeof(more),
		 ", \"policy\": \"0x%llx\", \"features\": \"0x%llx\", \"vcpus\": %u, "
		 "\"host_data\": \"%s\", \"id_block\": %s",
		 v->policy, v->features, c->vm->nr_vcpus, host, f->id_block_en ? "true" : "false");
	model_measured(c->vm, "snp", v->ld, sizeof(v->ld), more);
}

long snp_finish(struct model_call *c, struct snp_cmd *cmd)
{
	struct snp_vm *v = snp_vm(c->vm);
	struct snp_id_block block;
	struct snp_finish f;
	u8 auth[4096];
	long ret;

	if (!v->inited)
		return model_broken(-ENOTTY, "LAUNCH_FINISH before INIT2");
	if (!v->ctx)
		return model_broken(-EINVAL, "LAUNCH_FINISH before LAUNCH_START");
	if (model_read(&f, cmd->data, sizeof(f)))
		return model_broken(-EFAULT, "LAUNCH_FINISH: data is not readable");
	if (f.flags)
		return model_broken(-EINVAL, "LAUNCH_FINISH: flags 0x%x", f.flags);
	ret = add_vmsas(c, cmd);
	if (!ret && f.id_block_en)
		ret = read_id(&f, &block, auth);
	if (ret)
		return ret;
	if (!snp_is_sev(v->sev_fd))
		return model_broken(-EBADF, "LAUNCH_FINISH: LAUNCH_START's descriptor is closed");
	if (c->fault.err) {
		ret = model_fail(c);
		return refuse(cmd, ret, c->fault.fw, "LAUNCH_FINISH");
	}
	if (v->finished) {
		cmd->error = SNP_FW_INVALID_GUEST_STATE;
		return model_broken(-EIO, "LAUNCH_FINISH: the launch is over already");
	}
	cmd->error = f.id_block_en ? snp_fw_finish(v, &block, auth, f.auth_key_en) : 0;
	if (cmd->error)
		return refuse(cmd, -EIO, cmd->error, "LAUNCH_FINISH");
	v->finished = true;
	tell(c, &f);
	return 0;
}
