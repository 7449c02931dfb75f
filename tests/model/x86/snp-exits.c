/* SPDX-License-Identifier: MIT */
/* Exits of an SNP guest that the script may ask for, and what a VMM may answer. */
#include "coco.h"
#include "snp.h"

#define EXIT_REQ_CERTS	 43
#define MAX_CERT_ENTRIES 64

/* "certs" [gpa=A] [npages=N]: the guest wants a report with certificates. */
static int fill_certs(struct model_vcpu *vcpu, const struct model_words *words, int *error)
{
	u64 gpa = model_word_number(words, "gpa", 0), n = model_word_number(words, "npages", 4);

	if (!snp_vm(vcpu->vm)->certs)
		return model_script_error(words, "KVM asks for certificates only when they were "
						 "enabled");
	if (!MODEL_ALIGNED(gpa))
		return model_script_error(words, "gpa is of a page");
	vcpu->run->exit_reason = EXIT_REQ_CERTS;
	model_run_set(vcpu, 32, gpa);
	model_run_set(vcpu, 40, n);
	vcpu->preset[0] = gpa;
	vcpu->preset[1] = n;
	return 0;
}

/* GHCB specification 56421, 4.1.8.1: GUID, offset, length; a zero entry ends it. */
struct cert_entry {
	u8 guid[16];
	u32 offset, length;
};

static u32 count_certs(const struct model_vm *vm, u64 gpa, u64 size, u64 *bytes)
{
	const struct model_slot *slot = model_find_slot(vm, gpa);
	static const struct cert_entry none;
	struct cert_entry e;
	u32 n;

	*bytes = 0;
	for (n = 0; slot && n < MAX_CERT_ENTRIES; n++) {
		u64 at = n * sizeof(e);

		if (at + sizeof(e) > size || gpa + at - slot->gpa + sizeof(e) > slot->size ||
		    model_read(&e, slot->hva + (gpa - slot->gpa) + at, sizeof(e)))
			break;
		if (!memcmp(&e, &none, sizeof(e)))
			return n;
		if ((u64)e.offset + e.length > size || e.offset < sizeof(e)) {
			model_broken(0, "certificate %u lies at 0x%x, 0x%x bytes of 0x%llx", n,
				     e.offset, e.length, size);
			return n;
		}
		*bytes += e.length;
	}
	model_broken(0, "the table of certificates has no end");
	return 0;
}

static int complete_certs(struct model_vcpu *vcpu)
{
	u64 n = model_run_get(vcpu, 40), ret = model_run_get(vcpu, 48), bytes = 0;
	u64 size = vcpu->preset[1] * MODEL_PAGE, gpa = vcpu->preset[0];
	u32 certs = 0;

	if (!ret && model_set_has_any(&vcpu->vm->private, gpa, gpa + size))
		model_broken(0, "certificates were written to private memory");
	else if (!ret)
		certs = count_certs(vcpu->vm, gpa, size, &bytes);
	model_log("\"answer\": \"certs\", \"ret\": %llu, \"npages\": %llu, \"certs\": %u, "
		  "\"bytes\": %llu, \"immediate\": %s",
		  ret, n, certs, bytes, vcpu->run->immediate_exit ? "true" : "false");
	if (ret == ENOSPC && n <= vcpu->preset[1])
		model_broken(0, "certificates: ENOSPC, but %llu pages are no more than there are",
			     n);
	if (ret && ret != ENOSPC && ret != EAGAIN && ret != EIO)
		return (int)model_broken(-EINVAL, "a request for certificates is answered %llu",
					 ret);
	return 0;
}

/* "term" set=S code=C, or gpa=A: the guest ends by the MSR protocol, or by its GHCB. */
static int fill_term(struct model_vcpu *vcpu, const struct model_words *words, int *error)
{
	u64 set = model_word_number(words, "set", 0), code = model_word_number(words, "code", 0);
	u64 gpa = model_word_number(words, "gpa", 0);

	if (set > 15 || code > 255 || !MODEL_ALIGNED(gpa) || (gpa && (set | code)))
		return model_script_error(words, "set is 0 to 15, code 0 to 255, or gpa a page");
	vcpu->run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
	vcpu->run->system_event.type = 6;
	vcpu->run->system_event.ndata = 1;
	model_run_set(vcpu, 40, gpa ? gpa : 0x100 | set << 12 | code << 16);
	snp_vcpu(vcpu)->ended = true;
	return 0;
}

const struct model_exit_kind snp_exits[] = {
	{ "psc", x86_fill_map_range, x86_complete_map_range },
	{ "fault", model_fill_fault, model_complete_fault },
	{ "certs", fill_certs, complete_certs },
	{ "term", fill_term, NULL },
	{ "shutdown", model_fill_shutdown, NULL },
	{ "fail", model_fill_fail, NULL },
	{ "internal", model_fill_internal, NULL },
	{ NULL, NULL, NULL },
};
