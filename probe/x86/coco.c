/* SPDX-License-Identifier: MIT */
/*
 * Confidential guests on x86: which launches KVM offers, and what stands in the way of the others
 * (Linux Documentation/virt/kvm/x86/amd-memory-encryption.rst, intel-tdx.rst).
 */
#include <stdio.h>
#include <stdlib.h>

#include "../../x86/platform.h"
#include "arch.h"
#include "lkvm/kvm.h"
#include "lkvm/probe.h"
#include "lkvm/scan.h"
#include "lkvm/util.h"

static const struct probe_node sev_node = {
	.path = "/dev/sev",
	.class = "misc/sev",
	.module = "ccp",
	.config = "CONFIG_CRYPTO_DEV_SP_PSP",
};

struct launch {
	const char *name;
	u32 type; /* of KVM_CREATE_VM; its bit in KVM_CAP_VM_TYPES */
	const char *since;
	const char *module;
	const char *param;
	const char *flag;     /* in /proc/cpuinfo */
	const char *resource; /* in the misc cgroup: how many guests at once */
	const struct probe_node *node;
	const char *brings;
};

static const struct launch launches[] = {
	{ "sev", 2, "6.10", "kvm_amd", "sev", "sev", "sev", &sev_node, "AMD: encrypted memory" },
	{ "sev-es", 3, "6.10", "kvm_amd", "sev_es", "sev_es", "sev_es", &sev_node,
	  "AMD: encrypted memory and registers" },
	{ "sev-snp", 4, "6.11", "kvm_amd", "sev_snp", "sev_snp", "sev_es", &sev_node,
	  "AMD: encrypted memory and registers, with integrity" },
	{ "tdx", 5, "6.16", "kvm_intel", "tdx", "tdx_host_platform", "tdx", NULL,
	  "Intel: trust domains (--tdx)" },
};

/* "sev_es 99" in the root of the misc controller (Documentation/admin-guide/cgroup-v2.rst). */
static bool misc_capacity(const struct probe *h, const char *resource, u64 *capacity)
{
	char *path = xasprintf("%s/sys/fs/cgroup/misc.capacity", h->sys->root);
	FILE *f = fopen(path, "re");
	char line[128], name[64];
	bool found = false;

	free(path);
	while (f && !found && fgets(line, sizeof(line), f)) {
		const char *s = line;

		found = scan_word(&s, name, sizeof(name)) && scan_u64(&s, 10, capacity) &&
			!strcmp(name, resource);
	}
	if (f)
		fclose(f);
	return found;
}

/* KVM does not offer @l: which of its conditions fails? */
static void launch_missing(const struct probe *h, const struct launch *l, struct probe_row *row)
{
	bool amd = !strcmp(l->module, "kvm_amd");
	char why[256], module_dir[64], path[128];
	int on;

	snprintf(module_dir, sizeof(module_dir), "/sys/module/%s", l->module);
	on = probe_module_param(h, l->module, l->param, path, sizeof(path));
	if (amd != x86_probe_is_amd(h))
		probe_no(row, "needs a CPU by %s", amd ? "AMD" : "Intel");
	else if (probe_too_old(h, l->since, why, sizeof(why)))
		probe_no(row, "%s", why);
	else if (!probe_exists(h, module_dir))
		probe_no(row, "the KVM in use is not %s", l->module);
	else if (on == -ENOENT)
		probe_no(row, "%s was built without it: it has no parameter '%s'", l->module,
			 l->param);
	else if (on == 1)
		probe_no(row, "%s.%s is on, yet KVM does not offer it: see the kernel's log",
			 l->module, l->param);
	else if (!x86_probe_cpu_flag(h, l->flag))
		probe_no(row, "the CPU has no %s (/proc/cpuinfo), or the firmware disabled it",
			 l->flag);
	else
		probe_no(row,
			 "module parameter %s.%s is off (%s): load it with %s=1; if it stays off, "
			 "the kernel's log says why",
			 l->module, l->param, path, l->param);
}

static void launch_row(struct probe *h, const struct launch *l)
{
	struct probe_row *row = probe_row(h, PROBE_SEC_CONFIDENTIAL, l->name, l->brings);
	u64 capacity;
	char why[512];

	row->since = l->since;
	if (h->kvm_fd < 0)
		probe_unasked(row);
	else if (!(probe_check_sys(h, KVM_CAP_VM_TYPES) & (int)BIT(l->type)))
		launch_missing(h, l, row);
	else if (l->node && !probe_node_usable(h, l->node, why, sizeof(why)))
		probe_no(row, "KVM offers it, but a launch needs %s: %s", l->node->path, why);
	else if (misc_capacity(h, l->resource, &capacity))
		probe_text(row, "%llu guests at once", capacity);
	else
		probe_yes(row);
}

static void sw_protected_row(struct probe *h)
{
	struct probe_row *row = probe_row(h, PROBE_SEC_CONFIDENTIAL, "sw-protected",
					  "private memory without encryption, for testing");
	char why[256];

	row->since = "6.8";
	if (h->kvm_fd < 0)
		probe_unasked(row);
	else if (probe_check_sys(h, KVM_CAP_VM_TYPES) & (int)BIT(1))
		probe_yes(row);
	else if (probe_too_old(h, row->since, why, sizeof(why)))
		probe_no(row, "%s", why);
	else
		probe_no(row, "not in this KVM (CONFIG_KVM_SW_PROTECTED_VM; it needs the module "
			      "parameter kvm.tdp_mmu)");
}

static const char *const vmsa_features[] = {
	[3] = "restricted-injection", [4] = "alternate-injection", [5] = "debug-swap",
	[9] = "secure-tsc",	      [16] = "secure-avic",
};
/* SNP firmware ABI specification (56860), "Guest policy"; bits 0 to 15 are a version. */
static const char *const policy_bits[] = {
	[16] = "smt",
	[17] = NULL,
	[18] = "migrate-ma",
	[19] = "debug",
	[20] = "single-socket",
	[21] = "cxl-allow",
	[22] = "mem-aes-256-xts",
	[23] = "rapl-dis",
	[24] = "ciphertext-hiding-dram",
	[25] = "page-swap-disable",
};
#define POLICY_NAMED \
	(~0xffffULL & ~BIT_ULL(17)) /* without the version and the bit that must be 1 */

/* An attribute of the KVM device: its number with a mask of what is legal. */
static bool sev_attr(const struct probe *h, u64 attr, u64 *value)
{
	struct kvm_device_attr request = {
		.group = KVM_X86_GRP_SEV,
		.attr = attr,
		.addr = (u64)(uintptr_t)value,
	};

	*value = 0;
	return probe_check_sys(h, KVM_CAP_SYS_ATTRIBUTES) > 0 &&
	       h->sys->ioctl(h->sys->opaque, h->kvm_fd, KVM_GET_DEVICE_ATTR,
			     (unsigned long)&request) >= 0;
}

static void sev_attr_rows(struct probe *h)
{
	struct probe_row *features = probe_row(h, PROBE_SEC_CONFIDENTIAL, "sev-vmsa-features",
					       "features that a SEV-ES or SNP launch may enable");
	struct probe_row *policy = probe_row(h, PROBE_SEC_CONFIDENTIAL, "snp-policy",
					     "bits of a guest's policy that KVM accepts");
	struct probe_row *certs = probe_row(h, PROBE_SEC_CONFIDENTIAL, "snp-certificates",
					    "lkvm passes the certificates to a guest that attests");
	bool any = probe_check_sys(h, KVM_CAP_VM_TYPES) & (int)(BIT(2) | BIT(3) | BIT(4));
	static const char lacking[] = "no SEV here";
	static const char unknown[] = "this KVM does not say";
	u64 value;

	if (h->kvm_fd < 0) {
		probe_unasked(features);
		probe_unasked(policy);
		probe_unasked(certs);
		return;
	}
	if (sev_attr(h, KVM_X86_SEV_VMSA_FEATURES, &value))
		probe_bits(features, value, vmsa_features, ARRAY_SIZE(vmsa_features));
	else
		probe_no(features, "%s", any ? unknown : lacking);
	if (sev_attr(h, KVM_X86_SNP_POLICY_BITS, &value))
		probe_bits(policy, value & POLICY_NAMED, policy_bits, ARRAY_SIZE(policy_bits));
	else
		probe_no(policy, "%s", any ? unknown : lacking);
	if (sev_attr(h, KVM_X86_SEV_SNP_REQ_CERTS, &value) && value)
		probe_yes(certs);
	else
		probe_no(certs, "%s", any ? unknown : lacking);
}

static void sev_param_rows(struct probe *h)
{
	static const char asids[] = "/sys/module/kvm_amd/parameters/ciphertext_hiding_asids";
	static const char rate[] = "/sys/module/kvm_amd/parameters/sev_snp_request_ratelimit_khz";
	struct probe_row *row =
		probe_row(h, PROBE_SEC_CONFIDENTIAL, "snp-ciphertext-hiding",
			  "the host cannot read ciphertext (guests that it is for)");
	u64 n;

	if (!probe_read_number(h, asids, &n))
		probe_no(row, "kvm_amd is not loaded, or has no parameter ciphertext_hiding_asids");
	else if (n)
		probe_number(row, n);
	else
		probe_no(row, "module parameter kvm_amd.ciphertext_hiding_asids is 0 (%s)", asids);
	/* Only by its file: the number of the command that a series proposed has another use. */
	row = probe_row(h, PROBE_SEC_CONFIDENTIAL, "snp-request-throttle",
			"the kernel limits how often a guest may call the firmware");
	if (probe_read_number(h, rate, &n))
		probe_text(row, "%s is %llu", rate, n);
	else
		probe_no(row, "not in this kernel: no release up to Linux 7.3 has it");
}

static size_t add_range(char *buf, size_t len, size_t used, const char *who, u64 first, u64 last)
{
	if (first > last || used >= len)
		return used;
	return used + (size_t)snprintf(buf + used, len - used, "%s%s %llu-%llu", used ? ", " : "",
				       who, first, last);
}

/* APM volume 3, E.4.17; Linux arch/x86/kvm/svm/sev.c, sev_hardware_setup. */
void x86_probe_asids(u32 ecx, u32 edx, u64 hiding, char *buf, size_t len)
{
	u64 es = edx ? edx - 1 : 0;
	size_t used = 0;

	*buf = '\0';
	hiding = MIN(hiding, es);
	if (hiding) {
		used = add_range(buf, len, used, "SNP", 1, hiding);
		used = add_range(buf, len, used, "SEV-ES", hiding + 1, es);
	} else {
		used = add_range(buf, len, used, "SNP and SEV-ES", 1, es);
	}
	add_range(buf, len, used, "SEV", MAX(edx, 1U), ecx);
}

static void asids_row(struct probe *h, const struct kvm_cpuid_entry2 *leaf)
{
	static const char hiding[] = "/sys/module/kvm_amd/parameters/ciphertext_hiding_asids";
	struct probe_row *row = probe_row(h, PROBE_SEC_CONFIDENTIAL, "sev-asids",
					  "numbers of encrypted guests that may run at once");
	char text[128];
	u64 n = 0;

	if (!leaf || !leaf->ecx) {
		probe_no(row, "this CPU has no SEV");
		return;
	}
	if (!probe_read_number(h, hiding, &n))
		n = 0;
	x86_probe_asids(leaf->ecx, leaf->edx, n, text, sizeof(text));
	probe_text(row, "%s", text);
}

/* Linux takes the flag away where it could not set the table up (arch/x86/virt/svm/sev.c). */
static void rmp_row(struct probe *h, const struct kvm_cpuid_entry2 *leaf)
{
	struct probe_row *row = probe_row(h, PROBE_SEC_CONFIDENTIAL, "snp-rmp",
					  "the table of who owns which page of memory");

	if (!leaf || !(leaf->eax & BIT(4)))
		probe_no(row, "this CPU has no SEV-SNP");
	else if (!x86_probe_cpu_flag(h, "sev_snp"))
		probe_no(row,
			 "the CPU has SEV-SNP, and Linux could not set the table up: enable "
			 "SEV-SNP and 'SNP memory (RMP table) coverage' in the firmware setup, "
			 "and the IOMMU; the kernel's log says more");
	else
		probe_text(row, "%s", leaf->eax & BIT(23) ? "the CPU knows segmented ones" : "one");
}

void x86_probe_coco_rows(struct probe *h, struct kvm_cpuid2 *hardware)
{
	const struct kvm_cpuid_entry2 *leaf =
		hardware ? x86_cpuid_find(hardware, 0x8000001f, 0) : NULL;

	for (size_t i = 0; i < ARRAY_SIZE(launches); i++)
		launch_row(h, &launches[i]);
	sev_attr_rows(h);
	sev_param_rows(h);
	asids_row(h, leaf);
	rmp_row(h, leaf);
	sw_protected_row(h);
	probe_no(probe_row(h, PROBE_SEC_CONFIDENTIAL, "cca", "Arm: realms"), "arm64 only");
	probe_no(probe_row(h, PROBE_SEC_CONFIDENTIAL, "pkvm", "Arm: protected VMs"), "arm64 only");
}
