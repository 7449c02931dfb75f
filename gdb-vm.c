/* SPDX-License-Identifier: MIT */
/*
 * A VM as the target of a debugger: registers and memory of vcpus that are parked, running some of
 * them, and what happens when one stops. A vcpu that meets a breakpoint closes the gate behind
 * itself (vm_request_hold) and leaves word for the main loop, which pauses the VM as always.
 */
#include "gdb-vm.h"

#include <stdio.h>
#include <stdlib.h>

#include "lkvm/arch.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

#define PAGE 4096U /* the smallest of any architecture */
/* How far before the bytes that are watched an access may begin that reaches them: the longest one
 * of arm64, whose address is told (DC ZVA apart). */
#define WATCH_SLACK 64U

static struct vcpu *vcpu_of(const struct gdb_vm *g, u32 i)
{
	return g->vm->vcpus[i];
}

/* Stopping */

/* An event that nobody has heard of, of the vcpu after the one that was told of last. */
static bool take_event(struct gdb_vm *g, u32 *vcpu, struct debug_event *event)
{
	u32 n = g->vm->nr_vcpus;

	for (u32 i = 1; i <= n; i++) {
		*vcpu = (g->last + i) % n;
		if (!g->set[*vcpu])
			continue;
		g->set[*vcpu] = false;
		*event = g->events[*vcpu];
		return true;
	}
	return false;
}

/* What GDB knows of is what it asked for: the point, not the access. */
static void name_point(const struct gdb_vm *g, u64 addr, struct gdb_stop *stop)
{
	for (u32 i = 0; i < g->points.nr_hw; i++) {
		const struct debug_point *p = &g->points.hw[i];

		if (p->kind == DEBUG_EXEC || addr >= p->addr + p->len ||
		    addr + WATCH_SLACK < p->addr)
			continue;
		stop->why = DEBUG_STOP_WATCH;
		stop->kind = p->kind;
		stop->addr = MAX(addr, p->addr);
		/* Another may hold the address itself. */
		if (addr >= p->addr)
			return;
	}
}

static void tell(struct gdb_vm *g, u32 vcpu, const struct debug_event *event, u8 signal)
{
	struct gdb_stop stop = { .vcpu = vcpu, .signal = signal };

	if (event && event->stop == DEBUG_STOP_WATCH)
		name_point(g, event->addr, &stop);
	else if (event)
		stop.why = event->stop;
	g->last = vcpu;
	g->stopped(g->opaque, &stop);
}

/* On the main loop. It may come late, when the word was heard otherwise. */
static void on_stopped(void *opaque)
{
	struct gdb_vm *g = opaque;
	struct debug_event event;
	u32 vcpu;

	if (!g->attached || !(vm_holders(g->vm) & VM_HOLD_GDB))
		return;
	vm_pause(g->vm);
	if (take_event(g, &vcpu, &event))
		tell(g, vcpu, &event, GDB_SIGTRAP);
}

/* On the vcpu's thread. */
static int on_exit_debug(struct vcpu *vcpu)
{
	struct gdb_vm *g = vcpu->vm->debugger;
	struct debug_event event;
	bool ours;

	if (!g->attached)
		return -ENOTSUP;
	arch_debug_event(vcpu, &event);
	ours = event.stop == DEBUG_STOP_BREAK ? gdb_is_break(&g->points, vcpu, event.pc)
					      : event.stop != DEBUG_STOP_NONE;
	if (!ours && !arch_debug_reinject(vcpu, &event))
		return 0;
	/* GDB steps back to no breakpoint that it does not have. */
	if (!ours)
		event.stop = DEBUG_STOP_NONE;
	g->events[vcpu->id] = event;
	g->set[vcpu->id] = true;
	vm_request_hold(vcpu->vm, VM_HOLD_GDB);
	event_loop_post(&vcpu->vm->loop, &g->post);
	return 0;
}

static void interrupt(void *target)
{
	struct gdb_vm *g = target;
	struct debug_event event;
	u32 vcpu;

	vm_hold(g->vm, VM_HOLD_GDB);
	if (take_event(g, &vcpu, &event))
		tell(g, vcpu, &event, GDB_SIGTRAP);
	else
		tell(g, g->last, NULL, GDB_SIGINT);
}

/* Running */

/* What was watched for has happened, and is forgotten unless it is told. Breakpoints are met again.
 */
static bool told_before(struct gdb_vm *g)
{
	struct debug_event event;
	u32 vcpu;

	while (take_event(g, &vcpu, &event)) {
		if (event.stop != DEBUG_STOP_WATCH)
			continue;
		tell(g, vcpu, &event, GDB_SIGTRAP);
		return true;
	}
	return false;
}

static int apply(struct gdb_vm *g, const u8 *actions)
{
	struct debug_setup setup = {
		.points = g->points.hw,
		.nr_points = g->points.nr_hw,
		.breakpoints = g->points.nr_breaks,
	};
	bool any = setup.nr_points || setup.breakpoints;
	int ret = 0;

	for (u32 i = 0; actions && i < g->vm->nr_vcpus; i++)
		setup.any_step |= actions[i] == GDB_STEP;
	any |= setup.any_step;
	for (u32 i = 0; (any || g->applied) && i < g->vm->nr_vcpus && !ret; i++) {
		setup.step = actions && actions[i] == GDB_STEP;
		ret = arch_debug_apply(vcpu_of(g, i), &setup);
	}
	g->applied = any;
	return ret;
}

static int resume(void *target, const u8 *actions, const char **why)
{
	struct gdb_vm *g = target;
	int ret;

	if (told_before(g))
		return 0;
	ret = apply(g, actions);
	if (ret) {
		*why = ret == -ENOTTY || ret == -EINVAL ? gdb_cannot_debug : strerror(-ret);
		return ret;
	}
	for (u32 i = 0; i < g->vm->nr_vcpus; i++)
		vm_keep_back(vcpu_of(g, i), actions[i] == GDB_STAY);
	vm_release(g->vm, VM_HOLD_GDB);
	return 0;
}

/* Coming and going */

void gdb_vm_init(struct gdb_vm *g)
{
	g->post = (struct event_post){ .fn = on_stopped, .opaque = g };
	g->vm->debugger = g;
	g->vm->debug_exit = on_exit_debug;
}

void gdb_vm_attach(struct gdb_vm *g)
{
	u32 n = g->vm->nr_vcpus;

	if (!g->set)
		g->set = xcalloc(n, sizeof(g->set[0]));
	if (!g->events)
		g->events = xcalloc(n, sizeof(g->events[0]));
	vm_hold(g->vm, VM_HOLD_GDB);
	memset(g->set, 0, n * sizeof(g->set[0]));
	g->last = 0;
	g->attached = true;
}

/* Also of a VM that runs. */
void gdb_vm_detach(struct gdb_vm *g)
{
	if (!g->attached)
		return;
	vm_hold(g->vm, VM_HOLD_GDB);
	gdb_drop_points(&g->points, g->vm, true);
	if (apply(g, NULL))
		warn("--gdb: KVM keeps stopping the guest for a debugger that left");
	for (u32 i = 0; i < g->vm->nr_vcpus; i++)
		vm_keep_back(vcpu_of(g, i), false);
	g->attached = false;
	vm_release(g->vm, VM_HOLD_GDB);
}

/* Nothing in memory is what it was. Points of the processor stay. */
void gdb_vm_rebooted(struct gdb_vm *g)
{
	if (!g->attached)
		return;
	gdb_drop_points(&g->points, g->vm, false);
	memset(g->set, 0, g->vm->nr_vcpus * sizeof(g->set[0]));
	vm_hold(g->vm, VM_HOLD_GDB);
	tell(g, 0, NULL, GDB_SIGTRAP);
}

void gdb_vm_destroy(struct gdb_vm *g)
{
	event_loop_unpost(&g->vm->loop, &g->post);
	g->vm->debug_exit = NULL;
	g->vm->debugger = NULL;
	free(g->points.breaks);
	free(g->set);
	free(g->events);
}

/* Looking */

static u32 nr_vcpus(void *target)
{
	return ((struct gdb_vm *)target)->vm->nr_vcpus;
}

static const struct debug_feature *features(void *target, u32 *nr)
{
	return arch_debug_features(((struct gdb_vm *)target)->vm, nr);
}

static int get_reg(void *target, u32 vcpu, const struct debug_reg *reg, u32 index, u8 *value)
{
	return arch_debug_get(vcpu_of(target, vcpu), reg, index, value);
}

static int set_reg(void *target, u32 vcpu, const struct debug_reg *reg, u32 index, const u8 *value)
{
	return arch_debug_set(vcpu_of(target, vcpu), reg, index, value);
}

/* The physical address of @addr, and how many of @len bytes are in its page. */
static int find_page(struct gdb_vm *g, u32 vcpu, bool physical, u64 addr, size_t *len, u64 *gpa)
{
	*len = MIN(*len, (size_t)(PAGE - addr % PAGE));
	*gpa = addr;
	return physical ? 0 : arch_vcpu_translate(vcpu_of(g, vcpu), addr, gpa);
}

static size_t read_memory(void *target, u32 vcpu, bool physical, u64 addr, u8 *buf, size_t len)
{
	struct gdb_vm *g = target;
	size_t done = 0;

	while (done < len) {
		size_t n = len - done;
		u64 gpa;

		if (find_page(g, vcpu, physical, addr + done, &n, &gpa) ||
		    gdb_read_page(&g->points, &g->vm->mem, gpa, buf + done, n))
			break;
		done += n;
	}
	return done;
}

static int write_memory(void *target, u32 vcpu, bool physical, u64 addr, const u8 *buf, size_t len)
{
	struct gdb_vm *g = target;
	size_t done = 0;

	while (done < len) {
		size_t n = len - done;
		u64 gpa;

		if (find_page(g, vcpu, physical, addr + done, &n, &gpa) ||
		    gdb_write_page(&g->points, &g->vm->mem, gpa, buf + done, n))
			return -EFAULT;
		done += n;
	}
	return 0;
}

static int point(void *target, u32 vcpu, u32 kind, u64 addr, u64 len, bool put, const char **why)
{
	struct gdb_vm *g = target;

	return put ? gdb_put_point(&g->points, vcpu_of(g, vcpu), kind, addr, len, why)
		   : gdb_take_point(&g->points, g->vm, kind, addr, len);
}

static void detach(void *target)
{
	gdb_vm_detach(target);
}

static void kill_vm(void *target)
{
	info("--gdb: the debugger ends the guest");
	vm_request_stop(((struct gdb_vm *)target)->vm, VM_STOP_QUIT, 0, -1);
}

static void describe(void *target, u32 vcpu, char *buf, size_t len)
{
	snprintf(buf, len, "vcpu %u%s", vcpu,
		 arch_vcpu_halted(vcpu_of(target, vcpu)) ? ", halted or switched off" : "");
}

static char *monitor(void *target, u32 vcpu, const char *command, bool *physical)
{
	return gdb_monitor(((struct gdb_vm *)target)->vm, vcpu, command, physical);
}

const struct gdb_target_ops gdb_vm_ops = {
	.nr_vcpus = nr_vcpus,
	.features = features,
	.get_reg = get_reg,
	.set_reg = set_reg,
	.read = read_memory,
	.write = write_memory,
	.point = point,
	.resume = resume,
	.interrupt = interrupt,
	.detach = detach,
	.kill = kill_vm,
	.describe = describe,
	.monitor = monitor,
};
