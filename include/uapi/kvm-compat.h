/* SPDX-License-Identifier: MIT */
/*
 * What <linux/kvm.h> of older distributions lacks (Debian 12 has Linux 6.1's). Each item stands
 * behind #ifndef and names the release that brought it; numbers and layouts are those of
 * Linux 7.3's include/uapi/linux/kvm.h.
 */
#ifndef LKVM_UAPI_KVM_COMPAT_H
#define LKVM_UAPI_KVM_COMPAT_H

#include <linux/kvm.h>

/* Linux 6.8: guest memory faults are reported to the VMM. */
#ifndef KVM_EXIT_MEMORY_FAULT
#define KVM_EXIT_MEMORY_FAULT 39
#endif

#ifndef KVM_MEMORY_EXIT_FLAG_PRIVATE /* 6.8 */
#define KVM_MEMORY_EXIT_FLAG_PRIVATE (1ULL << 3)
#endif

/* The union of struct kvm_run as KVM_EXIT_MEMORY_FAULT fills it; older headers lack the member. */
struct lkvm_exit_memory_fault {
	__u64 flags;
	__u64 gpa;
	__u64 size;
};

/* Linux 6.2 to 6.18: capabilities, in the order of their numbers. */
#ifndef KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP /* 6.2 */
#define KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP 225
#endif
#ifndef KVM_CAP_PMU_EVENT_MASKED_EVENTS /* 6.3 */
#define KVM_CAP_PMU_EVENT_MASKED_EVENTS 226
#endif
#ifndef KVM_PMU_EVENT_FLAG_MASKED_EVENTS
#define KVM_PMU_EVENT_FLAG_MASKED_EVENTS (1 << 0)
#endif
#ifndef KVM_CAP_USER_MEMORY2 /* 6.8, this and the next four */
#define KVM_CAP_USER_MEMORY2 231
#endif
#ifndef KVM_CAP_MEMORY_FAULT_INFO
#define KVM_CAP_MEMORY_FAULT_INFO 232
#endif
#ifndef KVM_CAP_MEMORY_ATTRIBUTES
#define KVM_CAP_MEMORY_ATTRIBUTES 233
#endif
#ifndef KVM_CAP_GUEST_MEMFD
#define KVM_CAP_GUEST_MEMFD 234
#endif
#ifndef KVM_CAP_VM_TYPES
#define KVM_CAP_VM_TYPES 235
#endif
#ifndef KVM_CAP_PRE_FAULT_MEMORY /* 6.11, this and the next two */
#define KVM_CAP_PRE_FAULT_MEMORY 236
#endif
#ifndef KVM_CAP_X86_APIC_BUS_CYCLES_NS
#define KVM_CAP_X86_APIC_BUS_CYCLES_NS 237
#endif
#ifndef KVM_CAP_X86_GUEST_MODE
#define KVM_CAP_X86_GUEST_MODE 238
#endif
#ifndef KVM_CAP_GUEST_MEMFD_FLAGS /* 6.18 */
#define KVM_CAP_GUEST_MEMFD_FLAGS 244
#endif

/* Linux 6.8: guest memory that the VMM need not map. */
#ifndef KVM_CREATE_GUEST_MEMFD
#define KVM_CREATE_GUEST_MEMFD _IOWR(KVMIO, 0xd4, struct kvm_create_guest_memfd)
struct kvm_create_guest_memfd {
	__u64 size;
	__u64 flags;
	__u64 reserved[6];
};
#endif
#ifndef KVM_MEM_GUEST_MEMFD
#define KVM_MEM_GUEST_MEMFD (1UL << 2)
#endif
#ifndef KVM_SET_USER_MEMORY_REGION2
#define KVM_SET_USER_MEMORY_REGION2 _IOW(KVMIO, 0x49, struct kvm_userspace_memory_region2)
struct kvm_userspace_memory_region2 {
	__u32 slot;
	__u32 flags;
	__u64 guest_phys_addr;
	__u64 memory_size;
	__u64 userspace_addr;
	__u64 guest_memfd_offset;
	__u32 guest_memfd;
	__u32 pad1;
	__u64 pad2[14];
};
#endif
#ifndef KVM_SET_MEMORY_ATTRIBUTES
#define KVM_SET_MEMORY_ATTRIBUTES _IOW(KVMIO, 0xd2, struct kvm_memory_attributes)
struct kvm_memory_attributes {
	__u64 address;
	__u64 size;
	__u64 attributes;
	__u64 flags;
};
#endif
#ifndef KVM_MEMORY_ATTRIBUTE_PRIVATE
#define KVM_MEMORY_ATTRIBUTE_PRIVATE (1ULL << 3)
#endif

/* Linux 6.18: a guest_memfd that the host may map, and whose pages it shares at first. */
#ifndef GUEST_MEMFD_FLAG_MMAP
#define GUEST_MEMFD_FLAG_MMAP (1ULL << 0)
#endif
#ifndef GUEST_MEMFD_FLAG_INIT_SHARED
#define GUEST_MEMFD_FLAG_INIT_SHARED (1ULL << 1)
#endif

/* Linux 6.10, attributes of the KVM device: what SEV launches may ask for. */
#ifndef KVM_X86_GRP_SEV
#define KVM_X86_GRP_SEV		  1
#define KVM_X86_SEV_VMSA_FEATURES 0
#endif
#ifndef KVM_X86_SNP_POLICY_BITS /* Linux 7.3's asm/kvm.h has these two */
#define KVM_X86_SNP_POLICY_BITS 1
#endif
#ifndef KVM_X86_SEV_SNP_REQ_CERTS
#define KVM_X86_SEV_SNP_REQ_CERTS 2
#endif

#ifdef __riscv
/* Capabilities that only riscv answers. */
#ifndef KVM_CAP_RISCV_MP_STATE_RESET /* 6.16 */
#define KVM_CAP_RISCV_MP_STATE_RESET 242
#endif

/* Linux 6.5: the AIA, asm/kvm.h of riscv. */
#ifndef KVM_EXIT_FAIL_ENTRY_NO_VSFILE
#define KVM_EXIT_FAIL_ENTRY_NO_VSFILE (1 << 0)
#endif
#ifndef KVM_DEV_RISCV_AIA_GRP_CONFIG
#define KVM_DEV_TYPE_RISCV_AIA		   11
#define KVM_DEV_RISCV_AIA_GRP_CONFIG	   0
#define KVM_DEV_RISCV_AIA_CONFIG_MODE	   0
#define KVM_DEV_RISCV_AIA_CONFIG_IDS	   1
#define KVM_DEV_RISCV_AIA_CONFIG_SRCS	   2
#define KVM_DEV_RISCV_AIA_CONFIG_HART_BITS 5
#define KVM_DEV_RISCV_AIA_MODE_EMUL	   0
#define KVM_DEV_RISCV_AIA_MODE_HWACCEL	   1
#define KVM_DEV_RISCV_AIA_MODE_AUTO	   2
#define KVM_DEV_RISCV_AIA_GRP_ADDR	   1
#define KVM_DEV_RISCV_AIA_ADDR_APLIC	   0
#define KVM_DEV_RISCV_AIA_ADDR_IMSIC(vcpu) (1 + (vcpu))
#define KVM_DEV_RISCV_AIA_GRP_CTRL	   2
#define KVM_DEV_RISCV_AIA_CTRL_INIT	   0
#define KVM_DEV_RISCV_AIA_GRP_APLIC	   3
#define KVM_DEV_RISCV_AIA_GRP_IMSIC	   4
#define KVM_DEV_RISCV_AIA_IMSIC_ISEL_BITS  12
#define KVM_DEV_RISCV_AIA_IMSIC_MKATTR(vcpu, isel) \
	(((vcpu) << KVM_DEV_RISCV_AIA_IMSIC_ISEL_BITS) | (isel))
#endif
/* Types of registers, asm/kvm.h. */
#ifndef KVM_REG_RISCV_SBI_EXT /* 6.4 */
#define KVM_REG_RISCV_SBI_EXT (0x08 << KVM_REG_RISCV_TYPE_SHIFT)
#endif
#ifndef KVM_REG_RISCV_VECTOR /* 6.5 */
#define KVM_REG_RISCV_VECTOR (0x09 << KVM_REG_RISCV_TYPE_SHIFT)
#endif
#ifndef KVM_REG_RISCV_SBI_STATE /* 6.8 */
#define KVM_REG_RISCV_SBI_STATE (0x0a << KVM_REG_RISCV_TYPE_SHIFT)
#endif
#endif /* __riscv */

#ifdef __aarch64__
/* Capabilities that only arm64 answers, in the order of their numbers. */
#ifndef KVM_CAP_COUNTER_OFFSET /* 6.4 */
#define KVM_CAP_COUNTER_OFFSET 227
#endif
#ifndef KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE /* 6.5, this and the next */
#define KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE 228
#define KVM_CAP_ARM_SUPPORTED_BLOCK_SIZES  229
#endif
#ifndef KVM_CAP_ARM_SUPPORTED_REG_MASK_RANGES /* 6.7 */
#define KVM_CAP_ARM_SUPPORTED_REG_MASK_RANGES 230
#endif
#ifndef KVM_CAP_ARM_WRITABLE_IMP_ID_REGS /* 6.15 */
#define KVM_CAP_ARM_WRITABLE_IMP_ID_REGS 239
#endif
#ifndef KVM_CAP_ARM_EL2 /* 6.16, this and the next */
#define KVM_CAP_ARM_EL2 240
#endif
#ifndef KVM_CAP_ARM_EL2_E2H0
#define KVM_CAP_ARM_EL2_E2H0 241
#endif

/* Linux 7.1: a bit of KVM_CREATE_VM's argument. */
#ifndef KVM_VM_TYPE_ARM_PROTECTED
#define KVM_VM_TYPE_ARM_PROTECTED (1UL << 31)
#endif

/* asm/kvm.h: features of a vcpu. */
#ifndef KVM_ARM_VCPU_HAS_EL2 /* 6.16, this and the next */
#define KVM_ARM_VCPU_HAS_EL2 7
#endif
#ifndef KVM_ARM_VCPU_HAS_EL2_E2H0
#define KVM_ARM_VCPU_HAS_EL2_E2H0 8
#endif

/* Linux 6.16: how many event counters a vcpu's PMU has. */
#ifndef KVM_ARM_VCPU_PMU_V3_SET_NR_COUNTERS
#define KVM_ARM_VCPU_PMU_V3_SET_NR_COUNTERS 4
#endif

/* Linux 6.4: hypercalls (SMCCC) that user space takes, and the offset of the counters. */
#ifndef KVM_ARM_VM_SMCCC_CTRL
#define KVM_ARM_VM_SMCCC_CTRL	0
#define KVM_ARM_VM_SMCCC_FILTER 0

enum kvm_smccc_filter_action {
	KVM_SMCCC_FILTER_HANDLE = 0,
	KVM_SMCCC_FILTER_DENY,
	KVM_SMCCC_FILTER_FWD_TO_USER,
};

struct kvm_smccc_filter {
	__u32 base;
	__u32 nr_functions;
	__u8 action;
	__u8 pad[15];
};
#endif
#ifndef KVM_ARM_SET_COUNTER_OFFSET
#define KVM_ARM_SET_COUNTER_OFFSET _IOW(KVMIO, 0xb5, struct kvm_arm_counter_offset)
struct kvm_arm_counter_offset {
	__u64 counter_offset;
	__u64 reserved;
};
#endif

/* Linux 6.7: which bits of the ID registers may be written. */
#ifndef KVM_ARM_GET_REG_WRITABLE_MASKS
#define KVM_ARM_GET_REG_WRITABLE_MASKS _IOR(KVMIO, 0xb6, struct reg_mask_range)
#define KVM_ARM_FEATURE_ID_RANGE       0
#define KVM_ARM_FEATURE_ID_RANGE_SIZE  (3 * 8 * 8)
struct reg_mask_range {
	__u64 addr;
	__u32 range;
	__u32 reserved[13];
};
#endif

/* Interrupt controllers. */
#ifndef KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ /* 6.16 */
#define KVM_DEV_ARM_VGIC_GRP_MAINT_IRQ 9
#endif
#ifndef KVM_DEV_TYPE_ARM_VGIC_V5 /* 7.1 */
#define KVM_DEV_TYPE_ARM_VGIC_V5 16
#endif
/* Not merged: the series of 2025-05-14 on the kvmarm list. 7.3 has another attribute of this
 * number, of a GICv5: ask a GICv3 only. */
#ifndef KVM_DEV_ARM_VGIC_CONFIG_GICV4
#define KVM_DEV_ARM_VGIC_CONFIG_GICV4 5
#endif
#endif /* __aarch64__ */

/* Linux 7.0: flags of KVM_CAP_X2APIC_API; the first is for the split irqchip. */
#ifndef KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST
#define KVM_X2APIC_ENABLE_SUPPRESS_EOI_BROADCAST  (1ULL << 2)
#define KVM_X2APIC_DISABLE_SUPPRESS_EOI_BROADCAST (1ULL << 3)
#endif

#endif
