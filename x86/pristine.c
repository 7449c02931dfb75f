/* SPDX-License-Identifier: MIT */
/*
 * What KVM makes: the state of vcpus and chips right after their creation, which a reset puts back.
 * Most machines are never reset, and a guest that asks for it has long changed all: so it is read
 * from a second VM, like the first in all that this depends on, which lives only for that.
 */
#include "pristine.h"

#include <stdlib.h>
#include <unistd.h>

#include "lkvm/arch.h"
#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "platform.h"
#include "x86.h"

/*
 * The initial state of x87 and SSE; everything else is initial where the header's mask has no bit
 * (Intel SDM volume 1, 13.4 and table 10-2).
 */
static void make_xsave(struct x86_vcpu_state *s)
{
	memset(s->xsave, 0, s->xsave_len);
	put_le(s->xsave + 0, 2, 0x37f);	  /* FCW */
	put_le(s->xsave + 24, 4, 0x1f80); /* MXCSR */
	put_le(s->xsave + 512, 8, 3);	  /* XSTATE_BV: x87 and SSE */
}

/* A vcpu of the second VM; for the rest it is one of the first. */
static int read_vcpu(struct vm *vm, const struct kvm *second, u32 id, struct x86_vcpu_state **out)
{
	struct vcpu vcpu = { .vm = vm, .id = id };
	struct x86_vcpu_state *s;
	int ret;

	vcpu.fd = xioctl_val(second->vm_fd, KVM_CREATE_VCPU, arch_vcpu_kvm_id(vm, id));
	if (vcpu.fd < 0) {
		err("reset: vcpu %u: KVM_CREATE_VCPU: %s%s", id, strerror(-vcpu.fd),
		    limit_hint(vcpu.fd));
		return vcpu.fd;
	}
	s = *out = x86_state_new(&vcpu);
	ret = x86_vcpu_setup(&vcpu);
	if (!ret)
		ret = x86_state_get(&vcpu, s);
	close(vcpu.fd);
	s->vcpu = NULL;
	make_xsave(s);
	s->xcr0 = s->xcr0 ? 1 : 0;
	s->mp_state = id ? KVM_MP_STATE_UNINITIALIZED : KVM_MP_STATE_RUNNABLE;
	return ret;
}

static int read_all(struct vm *vm, struct x86_pristine *p)
{
	struct kvm second = { .sys_fd = vm->kvm.sys_fd, .vm_fd = -1 };
	bool split = vm->arch->split_irqchip, wide_ids;
	u64 type;
	int ret = arch_vm_type(&vm->kvm, vm->cfg, vm->pmem_size, &type);

	if (!ret)
		ret = kvm_create_vm(&second, type);
	if (!ret)
		ret = x86_chips_make(&second, x86_nr_apic_ids(vm->cfg), &split, true, &wide_ids);
	if (!ret && !split)
		ret = x86_chips_get(&second, &p->chips);
	for (u32 id = 0; id < MIN(vm->nr_vcpus, (u32)ARRAY_SIZE(p->vcpus)) && !ret; id++)
		ret = read_vcpu(vm, &second, id, &p->vcpus[id]);
	kvm_close_vm(&second);
	return ret;
}

int x86_pristine(struct vm *vm, const struct x86_pristine **out)
{
	struct x86_pristine *p = vm->arch->pristine;

	/* Once: whoever asks after a failure has nothing to add. */
	if (!p) {
		p = vm->arch->pristine = xcalloc(1, sizeof(*p));
		p->error = read_all(vm, p);
	}
	*out = p;
	return p->error;
}

void x86_pristine_destroy(struct vm *vm)
{
	struct x86_pristine *p = vm->arch->pristine;

	if (!p)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(p->vcpus); i++)
		x86_state_free(p->vcpus[i]);
	free(p);
	vm->arch->pristine = NULL;
}
