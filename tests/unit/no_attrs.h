/* SPDX-License-Identifier: MIT */
/* For unit tests that stand in for one-reg.c: devices of KVM's without attributes. */
#ifndef TEST_NO_ATTRS_H
#define TEST_NO_ATTRS_H

#include <errno.h>

#include "lkvm/one-reg.h"

int kvm_set_attr(int fd, u32 group, u64 attr, const void *value)
{
	return -ENXIO;
}

int kvm_get_attr(int fd, u32 group, u64 attr, void *value)
{
	return -ENXIO;
}

bool kvm_has_attr(int fd, u32 group, u64 attr)
{
	return false;
}

#endif
