/* SPDX-License-Identifier: MIT */
/* Between gdb.c, gdb-vm.c, gdb-points.c and gdb-monitor.c: a VM as the target of a debugger. */
#ifndef LKVM_GDB_VM_H
#define LKVM_GDB_VM_H

#include <stdatomic.h>

#include "lkvm/event.h"
#include "lkvm/gdb-stub.h"

struct guest_memory;
struct vcpu;
struct vm;

#define GDB_MAX_BREAKS 1024U
#define GDB_MAX_POINTS 32U

/* An instruction in guest memory that was replaced. */
struct gdb_break {
	u64 va, gpa;
	const struct debug_break *insn;
	u8 old[sizeof(arch_debug.breaks[0].code)];
};

/* Changed while the VM is paused alone: vcpus look at it. */
struct gdb_points {
	struct gdb_break *breaks;
	u32 nr_breaks;
	struct debug_point hw[GDB_MAX_POINTS];
	u32 nr_hw;
};

/* gdb-points.c: why there are no points at all. */
extern const char gdb_cannot_debug[];
/* Put or take away, as gdb_target_ops.point. */
int gdb_put_point(struct gdb_points *p, struct vcpu *vcpu, u32 kind, u64 addr, u64 len,
		  const char **why);
int gdb_take_point(struct gdb_points *p, struct vm *vm, u32 kind, u64 addr, u64 len);
/* All of them; @restore: guest memory gets back what it had, else that is gone already. */
void gdb_drop_points(struct gdb_points *p, struct vm *vm, bool restore);
/* Is the breakpoint instruction at @pc of the vcpu one of ours? */
bool gdb_is_break(const struct gdb_points *p, struct vcpu *vcpu, u64 pc);
/* Guest memory as if no instruction was replaced; within a page. */
int gdb_read_page(const struct gdb_points *p, const struct guest_memory *mem, u64 gpa, u8 *buf,
		  size_t len);
int gdb_write_page(struct gdb_points *p, struct guest_memory *mem, u64 gpa, const u8 *buf,
		   size_t len);

struct gdb_vm {
	struct vm *vm;
	struct gdb_points points;
	bool attached;
	bool applied; /* vcpus stop for points or steps */
	bool *set;    /* by vcpu: it stopped, and nobody has heard of it */
	struct debug_event *events;
	u32 last;		/* the vcpu that was told of last */
	struct event_post post; /* a vcpu stopped */
	void (*stopped)(void *opaque, const struct gdb_stop *stop); /* on the main loop */
	void *opaque;
};

/* gdb-vm.c: the target of these operations is a struct gdb_vm. */
extern const struct gdb_target_ops gdb_vm_ops;
/* Zeroed but for vm, stopped and opaque. Only the first needs no vcpus. */
void gdb_vm_init(struct gdb_vm *g);
/* A debugger comes: everything stands still; and it is gone. */
void gdb_vm_attach(struct gdb_vm *g);
void gdb_vm_detach(struct gdb_vm *g);
/* The guest was loaded again. */
void gdb_vm_rebooted(struct gdb_vm *g);
void gdb_vm_destroy(struct gdb_vm *g);

/* gdb-monitor.c: gdb_target_ops.monitor. */
char *gdb_monitor(struct vm *vm, u32 vcpu, const char *command, bool *physical);

#endif
