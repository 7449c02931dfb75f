/* SPDX-License-Identifier: MIT */
/*
 * Registers of vcpus by id, and attributes of devices and vcpus (Linux
 * Documentation/virt/kvm/api.rst, 4.68 KVM_SET_ONE_REG, 4.80 KVM_SET_DEVICE_ATTR): how every
 * architecture but x86 talks to KVM. All return 0 or -errno, and print nothing.
 */
#ifndef LKVM_ONE_REG_H
#define LKVM_ONE_REG_H

#include "lkvm/types.h"

struct kvm;
struct kvm_reg_list;
struct vcpu;

/* @value has the size that is part of @id. */
int vcpu_get_reg(const struct vcpu *vcpu, u64 id, void *value) __must_check;
int vcpu_set_reg(const struct vcpu *vcpu, u64 id, const void *value) __must_check;
/*
 * The ids of all registers that the vcpu has, to be freed by the caller; NULL on error (4.84
 * KVM_GET_REG_LIST).
 */
int vcpu_list_regs(const struct vcpu *vcpu, struct kvm_reg_list **list) __must_check;

/* @fd is a device's, a vcpu's or the VM's. */
int kvm_set_attr(int fd, u32 group, u64 attr, const void *value) __must_check;
int kvm_get_attr(int fd, u32 group, u64 attr, void *value) __must_check;
bool kvm_has_attr(int fd, u32 group, u64 attr);

#endif
