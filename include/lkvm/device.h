/* SPDX-License-Identifier: MIT */
/*
 * A device of the machine. The table in machine.c decides which exist and in which order; reset,
 * description and teardown walk the VM's list in that order (teardown backwards), so what a guest
 * sees is deterministic.
 */
#ifndef LKVM_DEVICE_H
#define LKVM_DEVICE_H

#include "lkvm/types.h"

struct aml;
struct device;
struct fdtw;
struct vm;

struct device_ops {
	/* Claim bus regions, interrupts, threads. Prints on failure; destroy is then not called for
	 * this device. */
	int (*realize)(struct device *dev, struct vm *vm);
	/* Back to the power-on state. vcpus are parked. */
	void (*reset)(struct device *dev);
	/* Return when no thread of the device touches guest memory, and none begins to until
	 * resume; registers still answer. */
	void (*quiesce)(struct device *dev);
	void (*resume)(struct device *dev);
	/* Append its nodes to the root of the device tree (lkvm/fdt.h keeps the first error). */
	void (*describe_fdt)(struct device *dev, struct fdtw *fdt);
	/* Append Device() objects to the scope \_SB of the DSDT. */
	void (*describe_acpi)(struct device *dev, struct aml *aml);
	/* Stop what runs, release everything, free @dev. */
	void (*destroy)(struct device *dev);
};

struct device {
	const char *name; /* static or owned by the device; unique: "serial0", "virtio-blk0" */
	const struct device_ops *ops;
	struct vm *vm;
	struct device *parent; /* the bus it hangs on, or NULL */
	struct device *next;
};

/*
 * Realize @dev and append it to the VM. On failure the device is destroyed by the caller (it still
 * owns it). All ops but realize and destroy may be NULL.
 */
int device_add(struct vm *vm, struct device *dev) __must_check;

#endif
