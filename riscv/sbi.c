/* SPDX-License-Identifier: MIT */
/*
 * Calls of the supervisor binary interface that KVM leaves to its user (RISC-V SBI 3.0): the
 * console's, and the last step of a suspend to RAM. What KVM answers itself never comes here.
 */
#include "lkvm/console.h"
#include "lkvm/hw.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "riscv.h"

/* SBI 3.0, 3.1: standard errors. */
enum {
	SBI_SUCCESS = 0,
	SBI_ERR_NOT_SUPPORTED = -2,
	SBI_ERR_INVALID_PARAM = -3,
};

/* Extensions. Those of SBI 0.1 are functions, and what they return is all in a0 (5). */
#define SBI_PUTCHAR 0x01UL
#define SBI_GETCHAR 0x02UL
#define SBI_LEGACY  0x0fUL /* the last */
#define SBI_DBCN    0x4442434eUL
#define SBI_SUSP    0x53555350UL

/* 12: functions of the debug console. 13: of the suspension. 10.1: reasons for a reset. */
enum { DBCN_WRITE, DBCN_READ, DBCN_WRITE_BYTE };
enum { SUSP_SYSTEM_SUSPEND };
enum { SRST_SYSTEM_FAILURE = 1 };

/* At most so many bytes are moved by a call; who has more calls again (12.1, 12.2). */
#define CHUNK 1024U

struct sbi_ret {
	s64 error;
	u64 value;
};

static void put(struct vm *vm, const u8 *buf, size_t len)
{
	if (vm->firmware_console)
		console_firmware_write(vm->firmware_console, buf, len);
}

static size_t get(struct vm *vm, u8 *buf, size_t len)
{
	return vm->firmware_console ? console_firmware_read(vm->firmware_console, buf, len) : 0;
}

/*
 * A buffer as the console's calls are given it: its length, and its physical address in two
 * registers (3.2), of which the first is all that this machine's addresses have.
 */
static bool is_buffer(const struct vm *vm, const unsigned long args[6])
{
	return !args[2] && (!args[0] || memory_is_ram(&vm->mem, args[1], args[0]));
}

static struct sbi_ret dbcn_write(struct vm *vm, const unsigned long args[6])
{
	size_t n = MIN(args[0], CHUNK);
	u8 buf[CHUNK];

	if (!is_buffer(vm, args) || memory_read(&vm->mem, args[1], buf, n))
		return (struct sbi_ret){ .error = SBI_ERR_INVALID_PARAM };
	if (n)
		put(vm, buf, n);
	return (struct sbi_ret){ .value = n };
}

/* It does not wait: nothing is an answer. */
static struct sbi_ret dbcn_read(struct vm *vm, const unsigned long args[6])
{
	u8 buf[CHUNK];
	size_t n;

	if (!is_buffer(vm, args))
		return (struct sbi_ret){ .error = SBI_ERR_INVALID_PARAM };
	n = args[0] ? get(vm, buf, MIN(args[0], CHUNK)) : 0;
	if (n && memory_write(&vm->mem, args[1], buf, n))
		return (struct sbi_ret){ .error = SBI_ERR_INVALID_PARAM };
	return (struct sbi_ret){ .value = n };
}

static struct sbi_ret debug_console(struct vcpu *vcpu, unsigned long function,
				    const unsigned long args[6])
{
	u8 byte = (u8)args[0];

	switch (function) {
	case DBCN_WRITE:
		return dbcn_write(vcpu->vm, args);
	case DBCN_READ:
		return dbcn_read(vcpu->vm, args);
	case DBCN_WRITE_BYTE:
		put(vcpu->vm, &byte, 1);
		return (struct sbi_ret){ .error = SBI_SUCCESS };
	}
	return (struct sbi_ret){ .error = SBI_ERR_NOT_SUPPORTED };
}

/*
 * KVM has looked at the arguments, seen that all other harts are stopped, and noted where this one
 * goes on: it does when it next runs, as after a reset. Until then it waits at the gate. A key
 * wakes it, and the alarm of the clock, which may have rung already.
 */
static struct sbi_ret system_suspend(struct vcpu *vcpu, unsigned long function,
				     const unsigned long args[6])
{
	struct vm *vm = vcpu->vm;

	if (function != SUSP_SYSTEM_SUSPEND)
		return (struct sbi_ret){ .error = SBI_ERR_NOT_SUPPORTED };
	vcpu->arch->resume_pc = args[1];
	vcpu->arch->resume_opaque = args[2];
	vcpu->arch->resume_pending = true;
	guest_debug("vcpu %u: the guest sleeps", vcpu->id);
	vm_sleep(vcpu);
	if (vm->firmware_console)
		console_firmware_await_key(vm->firmware_console);
	if (vm->arch->rtc && goldfish_rtc_rings(vm->arch->rtc))
		vm_wake(vm);
	return (struct sbi_ret){ .error = SBI_SUCCESS };
}

static struct sbi_ret legacy_putchar(struct vcpu *vcpu, unsigned long function,
				     const unsigned long args[6])
{
	u8 byte = (u8)args[0];

	put(vcpu->vm, &byte, 1);
	return (struct sbi_ret){ .error = SBI_SUCCESS };
}

/* 5.3: the byte, or -1 where there is none. */
static struct sbi_ret legacy_getchar(struct vcpu *vcpu, unsigned long function,
				     const unsigned long args[6])
{
	u8 byte;

	return (struct sbi_ret){ .error = get(vcpu->vm, &byte, 1) ? byte : -1 };
}

static const struct {
	unsigned long id;
	struct sbi_ret (*call)(struct vcpu *vcpu, unsigned long function,
			       const unsigned long args[6]);
} extensions[] = {
	{ SBI_PUTCHAR, legacy_putchar },
	{ SBI_GETCHAR, legacy_getchar },
	{ SBI_DBCN, debug_console },
	{ SBI_SUSP, system_suspend },
};

void riscv_sbi_call(struct vcpu *vcpu)
{
	unsigned long id = vcpu->run->riscv_sbi.extension_id;
	unsigned long function = vcpu->run->riscv_sbi.function_id, args[6];
	struct sbi_ret ret = { .error = SBI_ERR_NOT_SUPPORTED };
	size_t i = 0;

	memcpy(args, vcpu->run->riscv_sbi.args, sizeof(args));
	while (i < ARRAY_SIZE(extensions) && extensions[i].id != id)
		i++;
	if (i < ARRAY_SIZE(extensions))
		ret = extensions[i].call(vcpu, function, args);
	else
		guest_debug("vcpu %u: unknown SBI call 0x%lx, function 0x%lx", vcpu->id, id,
			    function);
	vcpu->run->riscv_sbi.ret[0] = (unsigned long)ret.error;
	/* KVM puts it into a1, which calls of SBI 0.1 leave alone. */
	vcpu->run->riscv_sbi.ret[1] = id <= SBI_LEGACY ? args[1] : ret.value;
}

int riscv_sbi_event(struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;

	if (run->system_event.type != KVM_SYSTEM_EVENT_SHUTDOWN || !run->system_event.ndata ||
	    run->system_event.data[0] != SRST_SYSTEM_FAILURE)
		return -ENOTSUP;
	vm_request_stop(vcpu->vm, VM_STOP_PANIC, 0, (s32)vcpu->id);
	return 0;
}
