/* SPDX-License-Identifier: MIT */
/* SNP guests: what cannot be combined with one, and what a host's KVM must have. */
#include <kvm-snp.h>
#include <stdlib.h>

#include "lkvm/coco.h"
#include "lkvm/config-snp.h"
#include "lkvm/config.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "snp.h"
#include "x86.h"

/* The configuration */

static int refuse(const char *what, const char *why)
{
	return coco_refuse("--snp", what, why);
}

static int needs_snp(const struct x86_snp_config *snp)
{
	const char *option = snp->id_block		? "--snp-id-block"
			     : snp->id_auth		? "--snp-id-auth"
			     : snp->host_data		? "--snp-host-data"
			     : snp->certs		? "--snp-certs"
			     : snp->request_interval_ms ? "--snp-guest-requests"
							: NULL;

	if (!option)
		return 0;
	err("%s: is for a guest with --snp; add that or omit this", option);
	return -EINVAL;
}

static int check_words(const struct x86_snp_config *snp)
{
	u8 data[SNP_HOST_DATA_SIZE];

	if (!snp->id_block != !snp->id_auth) {
		err("%s: needs %s, too", snp->id_block ? "--snp-id-block" : "--snp-id-auth",
		    snp->id_block ? "--snp-id-auth" : "--snp-id-block");
		return -EINVAL;
	}
	if (snp->host_data && x86_snp_host_data(snp->host_data, data)) {
		err("--snp-host-data %s: must be 64 hexadecimal digits", snp->host_data);
		return -EINVAL;
	}
	return 0;
}

static int check_cpu(const struct vm_config *cfg)
{
	const struct x86_cpu_word *word;
	struct x86_cpu_model model;
	int ret = x86_cpu_model_parse(cfg->x86.cpu, &model);

	if (ret)
		return ret;
	word = x86_cpu_model_named(&model, "phys-bits");
	if (word && word->value > SNP_C_BIT)
		ret = refuse("--cpu phys-bits=52", "bit 51 of an address makes a page private");
	word = x86_cpu_model_named(&model, "lm");
	if (!ret && word && !word->value)
		ret = refuse("--cpu -lm", "encrypted memory needs 64-bit page tables");
	word = x86_cpu_model_named(&model, "svm");
	if (!ret && word && word->value)
		ret = refuse("--cpu +svm", "a confidential guest cannot be a hypervisor");
	x86_cpu_model_destroy(&model);
	return ret;
}

int x86_snp_check(const struct vm_config *cfg)
{
	const struct x86_config *x86 = &cfg->x86;

	if (!x86->snp.on)
		return needs_snp(&x86->snp);
	if (coco_check(cfg, "--snp"))
		return -EINVAL;
	if (x86->nested == X86_NESTED_SWITCH_ON || x86->svm || x86->vmx)
		return refuse(x86->svm	 ? "--svm"
			      : x86->vmx ? "--vmx"
					 : "--nested on",
			      "a confidential guest cannot be a hypervisor");
	if (x86->testdev)
		return refuse("--testdev", "it reads and writes the guest's memory");
	if (!cfg->firmware &&
	    (x86->kernel_format == X86_KERNEL_PVH || x86->kernel_format == X86_KERNEL_MULTIBOOT))
		return refuse(x86->kernel_format == X86_KERNEL_PVH ? "--kernel-format pvh"
								   : "--kernel-format multiboot",
			      "the kernel is entered in 64-bit mode");
	if (check_words(&x86->snp))
		return -EINVAL;
	return check_cpu(cfg);
}

/* The host */

bool x86_snp_attr(const struct kvm *kvm, u64 attr, u64 *value)
{
	struct kvm_device_attr request = {
		.group = KVM_X86_GRP_SEV,
		.attr = attr,
		.addr = (uintptr_t)value,
	};

	*value = 0;
	return kvm_check_cap(kvm, KVM_CAP_SYS_ATTRIBUTES) > 0 &&
	       xioctl(kvm->sys_fd, KVM_GET_DEVICE_ATTR, &request) >= 0;
}

/* Bits that this KVM names, if it names any. */
static int check_mask(const struct kvm *kvm, u64 attr, u64 bits, bool feature)
{
	char *names;
	u64 mask;

	if (!x86_snp_attr(kvm, attr, &mask) || !(bits & ~mask))
		return 0;
	names = x86_snp_bit_names(bits & ~mask, feature);
	err("--snp: this host's KVM, or its firmware, has no %s: %s; omit %s ('lkvm host' shows "
	    "what there is)",
	    feature ? "such feature" : "such bit of the policy", names,
	    strchr(names, ',') ? "them" : "it");
	free(names);
	return -EOPNOTSUPP;
}

int x86_snp_check_host(const struct kvm *kvm, const struct vm_config *cfg)
{
	static const struct kvm_need needed[] = {
		{ KVM_CAP_USER_MEMORY2, "USER_MEMORY2", "private memory" },
		{ KVM_CAP_GUEST_MEMFD, "GUEST_MEMFD", "private memory" },
		{ KVM_CAP_MEMORY_ATTRIBUTES, "MEMORY_ATTRIBUTES", "private memory" },
		{ KVM_CAP_EXIT_HYPERCALL, "EXIT_HYPERCALL", "memory that the guest shares" },
	};
	int ret;

	if (!(kvm_check_cap(kvm, KVM_CAP_VM_TYPES) & (int)BIT(LKVM_X86_SNP_VM))) {
		err("--snp: this host's KVM has no SEV-SNP guests; they need an EPYC of the third "
		    "generation or later, Linux 6.11 and kvm_amd.sev_snp=1; 'lkvm host' says what "
		    "is "
		    "missing");
		return -EOPNOTSUPP;
	}
	/* A VM type that is there means these, too; but a VM is asked for some of them only when
	 * it exists. */
	ret = kvm_require(kvm, needed, 1);
	if (!ret)
		ret = check_mask(kvm, KVM_X86_SNP_POLICY_BITS,
				 cfg->x86.snp.policy &
					 ~(SNP_POLICY_ABI_MAJOR | SNP_POLICY_ABI_MINOR),
				 false);
	return ret ? ret : check_mask(kvm, KVM_X86_SEV_VMSA_FEATURES, cfg->x86.snp.features, true);
}
