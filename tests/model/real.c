/* SPDX-License-Identifier: MIT */
/* The host's KVM below the model: an ordinary VM that does what the model does not know. */
#include <stdlib.h>
#include <sys/mman.h>

#include "model.h"

int model_real_vm(struct model_vm *vm)
{
	int sys = model_libc_open("/dev/kvm", 02000002 /* O_RDWR | O_CLOEXEC */);
	long fd;

	if (sys < 0)
		return -errno;
	fd = model_libc_ioctl(sys, KVM_CREATE_VM, vm->kind ? 0 : vm->type);
	model_libc_close(sys);
	return (int)fd;
}

int model_real_vcpu(struct model_vcpu *vcpu)
{
	long fd = model_libc_ioctl(vcpu->vm->fd, KVM_CREATE_VCPU, vcpu->id);
	void *run;

	if (fd < 0)
		return (int)fd;
	run = model_libc_mmap(NULL, MODEL_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, 0);
	if (run == MAP_FAILED) {
		model_libc_close((int)fd);
		return -ENOMEM;
	}
	vcpu->run = run;
	return (int)fd;
}

long model_real_run(struct model_call *c)
{
	long ret;

	pthread_mutex_unlock(&model_lock);
	ret = model_libc_ioctl(c->fd, c->request, c->arg);
	pthread_mutex_lock(&model_lock);
	return ret;
}

int model_real_memory(struct model_vm *vm)
{
	return 0;
}

long model_real(struct model_call *c)
{
	return model_libc_ioctl(c->fd, c->request, c->arg);
}
