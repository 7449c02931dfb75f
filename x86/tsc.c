/* SPDX-License-Identifier: MIT */
/*
 * --tsc-khz: the frequency of the guest's time stamp counter (Linux Documentation/virt/kvm/api.rst,
 * 4.55 KVM_SET_TSC_KHZ).
 *
 * KVM is told twice. The VM's default, before any vcpu, makes the counters of all start together;
 * but KVM takes a silly one there and does not say that vcpus could not be given it. So each vcpu
 * is told as well, and asked. Where Linux, before 5.19, has no default the counters of all vcpus
 * are set to 0 when all are there, which KVM takes for a start together.
 */
#include "lkvm/arch.h"
#include "lkvm/config-snp.h"
#include "lkvm/config.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "tuning.h"
#include "vcpu-state.h"
#include "x86.h"

/*
 * So near to the host's KVM does not scale, and takes the frequency (kvm.tsc_tolerance_ppm). A
 * higher one it would take as well on a host that cannot scale, and make the TSC catch up in jumps.
 */
#define TOLERANCE_PPM 250U
#define MILLION	      1000000U

static bool is_near(u32 khz, u32 host)
{
	u64 off = khz > host ? khz - host : host - khz;

	return off * MILLION <= (u64)host * TOLERANCE_PPM;
}

static bool scales(const struct kvm *kvm)
{
	return kvm_check_cap(kvm, KVM_CAP_TSC_CONTROL) > 0;
}

static int check_host(const struct kvm *kvm, u32 khz, int host)
{
	if (scales(kvm) || (host > 0 && is_near(khz, (u32)host)))
		return 0;
	if (host > 0)
		err("--tsc-khz %u: this host's KVM cannot scale a guest's TSC, whose frequency is "
		    "the host's, %d kHz ('lkvm host' says more: tsc-scaling); omit it",
		    khz, host);
	else
		err("--tsc-khz %u: this host's KVM can neither scale a guest's TSC nor say the "
		    "host's frequency; omit it",
		    khz);
	return -EOPNOTSUPP;
}

static int set_khz(const struct kvm *kvm, int fd, u32 khz)
{
	int ret = xioctl_val(fd, KVM_SET_TSC_KHZ, khz);

	if (ret >= 0)
		return 0;
	err("--tsc-khz %u: KVM_SET_TSC_KHZ: %s", khz,
	    ret == -EINVAL && scales(kvm) ? "is more than this host's CPU can scale to"
					  : strerror(-ret));
	return ret;
}

static bool has_default(const struct kvm *kvm)
{
	return kvm_check_cap(kvm, KVM_CAP_VM_TSC_CONTROL) > 0;
}

int x86_tsc_begin(const struct kvm *kvm, const struct vm_config *cfg)
{
	u32 khz = cfg->x86.tuning.tsc_khz;
	int host, ret;

	if (!khz)
		return 0;
	host = xioctl_val(kvm->vm_fd, KVM_GET_TSC_KHZ, 0);
	/* Before Linux 5.19 a vcpu is to say it. */
	ret = host > 0 ? check_host(kvm, khz, host) : 0;
	return ret || !has_default(kvm) ? ret : set_khz(kvm, kvm->vm_fd, khz);
}

int x86_tsc_vcpu(const struct vcpu *vcpu)
{
	const struct kvm *kvm = &vcpu->vm->kvm;
	u32 khz = vcpu->vm->cfg->x86.tuning.tsc_khz;
	int ret, is;

	/* Of a Secure TSC the VM's word is the last. */
	if (!khz || vcpu->vm->cfg->x86.snp.features & SNP_FEATURE_SECURE_TSC)
		return 0;
	ret = has_default(kvm) ? 0 : check_host(kvm, khz, xioctl_val(vcpu->fd, KVM_GET_TSC_KHZ, 0));
	if (!ret)
		ret = set_khz(kvm, vcpu->fd, khz);
	if (ret)
		return ret;
	is = xioctl_val(vcpu->fd, KVM_GET_TSC_KHZ, 0);
	if (is == (int)khz)
		return 0;
	err("--tsc-khz %u: vcpu %u: KVM says that its frequency is %d kHz", khz, vcpu->id, is);
	return is < 0 ? is : -EIO;
}

int x86_tsc_end(const struct vm *vm)
{
	u32 khz = vm->cfg->x86.tuning.tsc_khz;

	if (!khz)
		return 0;
	for (u32 i = 0; scales(&vm->kvm) && !has_default(&vm->kvm) && i < vm->nr_vcpus; i++) {
		u64 start = 0;

		if (x86_transfer_msr(vm->vcpus[i], KVM_SET_MSRS, MSR_TSC, &start))
			continue;
		err("--tsc-khz %u: vcpu %u: KVM does not let its TSC begin anew", khz, i);
		return -EIO;
	}
	info("the guest's TSC runs at %u kHz (--tsc-khz)", khz);
	return 0;
}

u32 x86_tsc_khz(const struct vcpu *vcpu)
{
	int khz = -1;

	/* A vcpu knows what was asked for; else the VM, since Linux 5.19, what is in force. */
	if (!vcpu->vm->cfg->x86.tuning.tsc_khz)
		khz = xioctl_val(vcpu->vm->kvm.vm_fd, KVM_GET_TSC_KHZ, 0);
	if (khz < 0)
		khz = xioctl_val(vcpu->fd, KVM_GET_TSC_KHZ, 0);
	return khz > 0 ? (u32)khz : 0;
}
