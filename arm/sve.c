/* SPDX-License-Identifier: MIT */
/*
 * Lengths of SVE vectors (Linux Documentation/virt/kvm/api.rst, 4.68 on
 * KVM_REG_ARM64_SVE_VLS): a vcpu has all that the host has, up to a longest one.
 */
#include <stdio.h>

#include "arm.h"
#include "cpu.h"
#include "lkvm/log.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

#define MAX_VQ (KVM_ARM64_SVE_VLS_WORDS * 64U)

static bool has_vq(const u64 *vls, u32 vq)
{
	return vls[(vq - 1) / 64] >> (vq - 1) % 64 & 1;
}

int arm_sve_limit(u64 vls[KVM_ARM64_SVE_VLS_WORDS], u32 max_bits)
{
	u32 max = max_bits / 128;

	if (!max || max_bits % 128 || max > MAX_VQ || !has_vq(vls, max))
		return -EINVAL;
	for (u32 vq = max + 1; vq <= MAX_VQ; vq++)
		vls[(vq - 1) / 64] &= ~BIT_ULL((vq - 1) % 64);
	return 0;
}

const char *arm_sve_list(const u64 vls[KVM_ARM64_SVE_VLS_WORDS], char *buf, size_t len)
{
	size_t at = 0;

	buf[0] = '\0';
	for (u32 vq = 1; vq <= MAX_VQ && at + 8 < len; vq++)
		if (has_vq(vls, vq))
			at += (size_t)snprintf(buf + at, len - at, "%s%u", at ? " " : "", vq * 128);
	return buf;
}

static int set_lengths(struct vcpu *vcpu, u32 max_bits)
{
	u64 vls[KVM_ARM64_SVE_VLS_WORDS];
	char list[512];
	int ret = vcpu_get_reg(vcpu, KVM_REG_ARM64_SVE_VLS, vls);

	if (ret) {
		err("vcpu %u: cannot read its SVE vector lengths: %s", vcpu->id, strerror(-ret));
		return ret;
	}
	ret = arm_sve_limit(vls, max_bits);
	if (ret) {
		err("--sve-max-vl %u: this host has no vectors of that length; it has %s bits",
		    max_bits, arm_sve_list(vls, list, sizeof(list)));
		return ret;
	}
	ret = vcpu_set_reg(vcpu, KVM_REG_ARM64_SVE_VLS, vls);
	if (ret)
		err("vcpu %u: SVE vectors of up to %u bits: %s", vcpu->id, max_bits,
		    strerror(-ret));
	return ret;
}

int arm_sve_setup(struct vcpu *vcpu)
{
	int feature = KVM_ARM_VCPU_SVE;
	int ret = 0;

	if (vcpu->vm->cfg->arm.sve_max_vl)
		ret = set_lengths(vcpu, vcpu->vm->cfg->arm.sve_max_vl);
	if (ret)
		return ret;
	ret = xioctl(vcpu->fd, KVM_ARM_VCPU_FINALIZE, &feature);
	if (ret < 0)
		err("vcpu %u: KVM_ARM_VCPU_FINALIZE of SVE: %s", vcpu->id, strerror(-ret));
	return MIN(ret, 0);
}
