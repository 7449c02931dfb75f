/* SPDX-License-Identifier: MIT */
/* A KVM that has registers of up to 512 bits, and no more, for tests of what reads and writes
 * them: ioctl(2) in place of the C library's. */
#ifndef TEST_ONE_REGS_H
#define TEST_ONE_REGS_H

#include "fake_ioctl.h"

#include <errno.h>
#include <linux/kvm.h>

#include "../../../riscv/riscv.h"

static struct {
	struct {
		u64 id;
		u8 value[64] __attribute__((aligned(8)));
	} list[160];
	u32 nr, sets;
	u64 refused; /* the id of one that there is not */
	u32 mp_state;
	struct kvm_guest_debug debug;
} regs;

/* Those that nobody has written are zero. */
static u64 *reg(u64 id)
{
	for (u32 i = 0; i < regs.nr; i++)
		if (regs.list[i].id == id)
			return (u64 *)(void *)regs.list[i].value;
	assert_true(regs.nr < ARRAY_SIZE(regs.list));
	regs.list[regs.nr].id = id;
	memset(regs.list[regs.nr].value, 0, sizeof(regs.list[0].value));
	return (u64 *)(void *)regs.list[regs.nr++].value;
}

static inline u64 *core_reg(u32 n)
{
	return reg(RISCV_CORE_REG(n));
}

static inline u64 *csr_reg(u32 n)
{
	return reg(RISCV_CSR_REG(n));
}

static int one_reg(bool set, const struct kvm_one_reg *one)
{
	size_t bytes = (size_t)1 << ((one->id & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT);
	void *value = (void *)(uintptr_t)one->addr;

	if (one->id == regs.refused) {
		errno = ENOENT;
		return -1;
	}
	assert_true(bytes <= sizeof(regs.list[0].value));
	if (set)
		memcpy(reg(one->id), value, bytes);
	else
		memcpy(value, reg(one->id), bytes);
	regs.sets += set;
	return 0;
}

static int kernel_ioctl(int fd, unsigned long request, void *arg)
{
	switch (request) {
	case KVM_GET_ONE_REG:
	case KVM_SET_ONE_REG:
		return one_reg(request == KVM_SET_ONE_REG, arg);
	case KVM_CHECK_EXTENSION:
		return 1;
	case KVM_GET_MP_STATE:
		((struct kvm_mp_state *)arg)->mp_state = regs.mp_state;
		return 0;
	case KVM_SET_GUEST_DEBUG:
		regs.debug = *(struct kvm_guest_debug *)arg;
		return 0;
	}
	errno = ENOTTY;
	return -1;
}

#endif
