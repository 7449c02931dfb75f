/* SPDX-License-Identifier: MIT */
/* The names of exits; see include/lkvm/exits.h. */
#include "lkvm/exits.h"

#include <kvm-compat.h>

#include "lkvm/util.h"

const char *exit_name(u32 reason)
{
	/* Without those of architectures that lkvm does not run on. */
	static const char *const names[] = {
		[KVM_EXIT_UNKNOWN] = "unknown",
		[KVM_EXIT_EXCEPTION] = "exception",
		[KVM_EXIT_IO] = "io",
		[KVM_EXIT_HYPERCALL] = "hypercall",
		[KVM_EXIT_DEBUG] = "debug",
		[KVM_EXIT_HLT] = "hlt",
		[KVM_EXIT_MMIO] = "mmio",
		[KVM_EXIT_IRQ_WINDOW_OPEN] = "irq-window-open",
		[KVM_EXIT_SHUTDOWN] = "shutdown",
		[KVM_EXIT_FAIL_ENTRY] = "fail-entry",
		[KVM_EXIT_INTR] = "intr",
		[KVM_EXIT_SET_TPR] = "set-tpr",
		[KVM_EXIT_TPR_ACCESS] = "tpr-access",
		[KVM_EXIT_NMI] = "nmi",
		[KVM_EXIT_INTERNAL_ERROR] = "internal-error",
		[KVM_EXIT_WATCHDOG] = "watchdog",
		[KVM_EXIT_SYSTEM_EVENT] = "system-event",
		[KVM_EXIT_IOAPIC_EOI] = "ioapic-eoi",
		[KVM_EXIT_HYPERV] = "hyperv",
		[KVM_EXIT_ARM_NISV] = "arm-nisv",
		[KVM_EXIT_X86_RDMSR] = "x86-rdmsr",
		[KVM_EXIT_X86_WRMSR] = "x86-wrmsr",
		[KVM_EXIT_DIRTY_RING_FULL] = "dirty-ring-full",
		[KVM_EXIT_AP_RESET_HOLD] = "ap-reset-hold",
		[KVM_EXIT_X86_BUS_LOCK] = "x86-bus-lock",
		[KVM_EXIT_XEN] = "xen",
		[KVM_EXIT_RISCV_SBI] = "riscv-sbi",
		[KVM_EXIT_RISCV_CSR] = "riscv-csr",
		[KVM_EXIT_NOTIFY] = "notify",
		/* Linux 6.3 and later: headers may lack them. */
		[38] = "loongarch-iocsr",
		[KVM_EXIT_MEMORY_FAULT] = "memory-fault",
		[40] = "tdx",
		[41] = "arm-sea",
		[42] = "arm-ldst64b",
		[43] = "snp-req-certs",
	};

	return reason < ARRAY_SIZE(names) && names[reason] ? names[reason] : "other";
}
