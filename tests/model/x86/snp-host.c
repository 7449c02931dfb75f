/* SPDX-License-Identifier: MIT */
/* Over the host's KVM: the CPU that is there has memory encryption as well, or says so. */
#include <stdlib.h>

#include "snp.h"

#define MAX_LEAVES 256U
#define SEV_LEAF   0x8000001fU
#define EXT_LEAF   0x80000000U

/* struct kvm_cpuid2, with room. */
struct leaves {
	u32 nent, padding;
	struct kvm_cpuid_entry2 entries[MAX_LEAVES];
};

static struct kvm_cpuid_entry2 *find(struct leaves *l, u32 leaf)
{
	u32 i = 0;

	while (i < l->nent && l->entries[i].function != leaf)
		i++;
	return i < l->nent ? &l->entries[i] : NULL;
}

/* SNP and SEV-ES, the C-bit at 51, five address bits less (APM volume 3, Fn8000_001F). */
static void add_leaf(struct leaves *l)
{
	struct kvm_cpuid_entry2 *range = find(l, EXT_LEAF), *sev = find(l, SEV_LEAF);

	if (!sev)
		sev = &l->entries[l->nent++];
	*sev = (struct kvm_cpuid_entry2){ .function = SEV_LEAF, .eax = 0x1a, .ebx = 0x173 };
	if (range && range->eax < SEV_LEAF)
		range->eax = SEV_LEAF;
}

long snp_host_cpuid(struct model_call *c)
{
	struct leaves *l = calloc(1, sizeof(*l));
	struct kvm_cpuid2 asked;
	long ret = -EFAULT;

	if (!l)
		abort();
	l->nent = MAX_LEAVES - 1;
	if (!model_read(&asked, c->arg, sizeof(asked)))
		ret = model_libc_ioctl(c->fd, c->request, (unsigned long)l);
	if (ret >= 0) {
		add_leaf(l);
		ret = asked.nent < l->nent ? -E2BIG : 0;
	}
	if (!ret &&
	    model_write(c->arg, l, sizeof(struct kvm_cpuid2) + l->nent * sizeof(l->entries[0])))
		ret = -EFAULT;
	free(l);
	return ret;
}
