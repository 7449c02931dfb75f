/* SPDX-License-Identifier: MIT */
/* SNP guests as a kind of confidential guest: the table of coco.h. */
#include "snp.h"

#include <kvm-snp.h>
#include <stdlib.h>

#include "lkvm/coco.h"
#include "lkvm/config.h"
#include "lkvm/vm.h"
#include "x86.h"

static int open_files(const struct vm_config *cfg, bool described, void **opened)
{
	struct x86_snp_files *files;
	int ret = x86_snp_open(cfg, described, &files);

	*opened = files;
	return ret;
}

static void close_files(void *opened)
{
	x86_snp_close(opened);
}

static int vm_type(const struct kvm *kvm, const struct vm_config *cfg, u64 *type)
{
	*type = LKVM_X86_SNP_VM;
	return x86_snp_check_host(kvm, cfg);
}

static int memory(struct vm *vm)
{
	int ret = x86_snp_check_sev(vm->coco_opened);

	/* Firmware finds the bit itself. */
	if (!ret && !vm->cfg->firmware)
		ret = x86_snp_check_c_bit(vm->arch->cpuid);
	return ret ? ret : x86_snp_init(vm);
}

static void destroy(struct vm *vm)
{
	if (!vm->arch || !vm->arch->snp)
		return;
	pthread_mutex_destroy(&vm->arch->snp->certs_lock);
	free(vm->arch->snp);
	vm->arch->snp = NULL;
}

static const struct coco_ops snp_ops = {
	.open = open_files,
	.close = close_files,
	.vm_type = vm_type,
	.memory = memory,
	.place = x86_snp_place,
	.vcpu = x86_snp_vcpu,
	.finish = x86_snp_finish,
	.exit = x86_snp_exit,
	.run_failed = coco_fault_failed,
	.destroy = destroy,
	.private_memory = true,
	.measure = &x86_snp_measure,
};

const struct coco_ops *x86_snp_ops(const struct vm_config *cfg)
{
	return cfg->x86.snp.on ? &snp_ops : NULL;
}
