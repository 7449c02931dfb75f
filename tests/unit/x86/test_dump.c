/* SPDX-License-Identifier: MIT */
/* The registers of a vcpu in words, over a KVM that answers as told. */
#include "fake_ioctl.h"

#include <stdio.h>
#include <stdlib.h>

#include "lkvm/arch.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

static struct kvm_regs regs;
static struct kvm_sregs sregs;
static struct kvm_run run;
static struct vm vm;
static char *text;

static int kernel_ioctl(int fd, unsigned long request, void *arg)
{
	if (request == KVM_GET_REGS) {
		*(struct kvm_regs *)arg = regs;
	} else if (request == KVM_GET_SREGS) {
		*(struct kvm_sregs *)arg = sregs;
	} else {
		errno = ENOTTY;
		return -1;
	}
	return 0;
}

static void dump(void)
{
	struct vcpu vcpu = { .vm = &vm, .id = 3, .fd = -1, .run = &run };
	size_t len;
	FILE *out;

	free(text);
	out = open_memstream(&text, &len);
	arch_vcpu_dump(&vcpu, out);
	fclose(out);
}

/* As KVM leaves a vcpu after INIT. */
static int after_init(void **state)
{
	regs = (struct kvm_regs){ .rdx = 0x800f12, .rip = 0xfff0, .rflags = 2 };
	sregs = (struct kvm_sregs){
		.cr0 = 0x60000010,
		.cs = { .selector = 0xf000, .base = 0xffff0000 },
		.idt = { .limit = 0xffff },
	};
	run.exit_reason = KVM_EXIT_SHUTDOWN;
	return 0;
}

/* KVM has reset the vcpu before it said so: its registers are not those of the fault. */
static void lost_registers(void **state)
{
	dump();
	assert_non_null(strstr(text, "vcpu 3: its registers are lost: "));
	assert_null(strstr(text, "rip 0"));
	sregs.cr0 = 0x10;
	dump();
	assert_null(strstr(text, "rip 0"));
}

/* Anything else is what the guest had. */
static void kept_registers(void **state)
{
	u64 *const changed[] = { &regs.rax,    &regs.r15,  &regs.rsp,	   &regs.rip,
				 &regs.rflags, &sregs.cr0, &sregs.cs.base, &sregs.efer };

	for (size_t i = 0; i < ARRAY_SIZE(changed); i++) {
		after_init(NULL);
		*changed[i] ^= 1;
		dump();
		assert_non_null(strstr(text, "rip 0"));
	}
	/* A vcpu that waits at the reset vector, and is shown since a signal came. */
	after_init(NULL);
	run.exit_reason = KVM_EXIT_INTR;
	dump();
	assert_non_null(strstr(text, "rip 000000000000fff0"));
	free(text);
	text = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(lost_registers, after_init),
		cmocka_unit_test_setup(kept_registers, after_init),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
