/* SPDX-License-Identifier: MIT */
/*
 * A device of the machine. The table in machine-parts.c decides which exist and in which order;
 * reset, description and saving walk the VM's list in that order, teardown and quiescing backwards,
 * so what a guest sees is deterministic. Devices on a bus (PCI) hang on it as their parent, which
 * comes before them in the list.
 *
 * Its life: a constructor allocates the structure that embeds struct device and calls device_add,
 * whose realize claims addresses, interrupts and threads. Nothing more is taken later: what the
 * host lacks is found before the guest starts. Then the guest uses it, it is reset any number of
 * times, and destroy ends it; or the process ends, after finish.
 *
 * Registers are accessed by vcpu threads, several at once, through the bus and without a lock: each
 * device has a mutex of its own, held for microseconds. What takes long (a disk, a network) runs on
 * an event loop (event.h). quiesce is the point at which guest memory may change its shape, or be
 * saved: it returns when no thread of the device touches memory any more, and resume lets it go on.
 *
 * What a device remembers is a table of its fields (state.h), so that saving, loading and comparing
 * need no code of its own.
 */
#ifndef LKVM_DEVICE_H
#define LKVM_DEVICE_H

#include "lkvm/types.h"

struct aml;
struct arch_place;
struct bus_ops;
struct device;
struct device_state;
struct fdtw;
struct irq_line;
struct state_buf;
struct state_reader;
struct vm;

struct device_ops {
	/* Claim bus regions, interrupts, threads. Prints on failure; destroy is then not called for
	 * this device. */
	int (*realize)(struct device *dev, struct vm *vm);
	/* Back to the power-on state. vcpus are parked. */
	void (*reset)(struct device *dev);
	/*
	 * The VM pauses, or its memory changes its shape (vm_quiesce_devices). When it returns, no
	 * thread of the device touches guest memory or raises an interrupt, and none begins to
	 * before resume: what comes from outside waits. Registers still answer. NULL for a device
	 * that only ever acts on a vcpu's thread.
	 */
	void (*quiesce)(struct device *dev);
	/* Take up everything that waited, and that the guest asked for. */
	void (*resume)(struct device *dev);
	/* What it has to remember (lkvm/state.h); no_state: nothing. Never NULL. */
	const struct device_state *state;
	/* Append its nodes to the root of the device tree (lkvm/fdt.h keeps the first error). */
	void (*describe_fdt)(struct device *dev, struct fdtw *fdt);
	/* Append Device() objects to the scope \_SB of the DSDT. */
	void (*describe_acpi)(struct device *dev, struct aml *aml);
	/*
	 * The process is about to end, and the kernel will release everything. When it returns,
	 * what the guest wrote is with the host as after destroy, and nothing more begins that the
	 * end could cut in two; threads may run on until then. vcpus are parked. NULL for a device
	 * that hands everything on at once. destroy may follow.
	 */
	void (*finish)(struct device *dev);
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
 * owns it). All ops but realize, state and destroy may be NULL.
 */
int device_add(struct vm *vm, struct device *dev) __must_check;

/*
 * For realize: a range of the ports or of MMIO, a device's place on the one or the other, an
 * interrupt. They say what failed; 0 or -errno. device_release takes a place back; an interrupt
 * goes by irq_line_destroy.
 */
int device_claim_pio(struct device *dev, u64 base, u64 size, const struct bus_ops *ops,
		     void *opaque) __must_check;
int device_claim_mmio(struct device *dev, u64 base, u64 size, const struct bus_ops *ops,
		      void *opaque) __must_check;
int device_claim(struct device *dev, const struct arch_place *place, const struct bus_ops *ops,
		 void *opaque) __must_check;
void device_release(struct device *dev, const struct arch_place *place);
/* Such a place as a resource descriptor of ACPI. */
void device_describe_place(struct aml *aml, const struct arch_place *place);
int device_claim_irq(struct device *dev, struct irq_line *line, u32 gsi, bool edge) __must_check;

/* Its state, while the VM is paused (see state_save and state_load). */
int device_save(struct device *dev, struct state_buf *out) __must_check;
int device_load(struct device *dev, struct state_reader *in) __must_check;

#endif
