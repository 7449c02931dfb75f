/* SPDX-License-Identifier: MIT */
/* What a trace says of an exit: its reason, what the guest accessed, whose that is, how long lkvm
 * took. After it was handled, so that a read shows what the guest gets. */
#include <kvm-compat.h>
#include <stdio.h>

#include "lkvm/exits.h"
#include "lkvm/trace.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

static const char *whose(struct bus *bus, u64 addr, u32 len)
{
	const char *name = bus_name(bus, addr, len);

	return name ? name : "nobody's";
}

static void access(struct vcpu *vcpu, struct bus *bus, bool is_write, u64 addr, const void *data,
		   u32 len, u32 count, u64 ns)
{
	char times[16] = "";

	/* A string instruction: the first of its values. */
	if (count > 1)
		snprintf(times, sizeof(times), "*%u", count);
	trace_line(vcpu->vm->trace, "vcpu%u exit %s %s 0x%llx %u%s 0x%llx %s %llu ns", vcpu->id,
		   exit_name(vcpu->run->exit_reason), is_write ? "write" : "read", addr, len, times,
		   get_le(data, len), whose(bus, addr, len), ns);
}

void exit_trace(struct vcpu *vcpu, u64 ns)
{
	struct kvm_run *run = vcpu->run;
	const u8 *data;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		data = (const u8 *)run + run->io.data_offset;
		access(vcpu, &vcpu->vm->pio, run->io.direction == KVM_EXIT_IO_OUT, run->io.port,
		       data, run->io.size, run->io.count, ns);
		break;
	case KVM_EXIT_MMIO:
		access(vcpu, &vcpu->vm->mmio, run->mmio.is_write, run->mmio.phys_addr,
		       run->mmio.data, run->mmio.len, 1, ns);
		break;
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
		trace_line(vcpu->vm->trace, "vcpu%u exit %s 0x%x 0x%llx %llu ns", vcpu->id,
			   exit_name(run->exit_reason), run->msr.index, run->msr.data, ns);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		trace_line(vcpu->vm->trace, "vcpu%u exit %s %u %llu ns", vcpu->id,
			   exit_name(run->exit_reason), run->system_event.type, ns);
		break;
	default:
		trace_line(vcpu->vm->trace, "vcpu%u exit %s %llu ns", vcpu->id,
			   exit_name(run->exit_reason), ns);
	}
}
