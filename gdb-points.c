/* SPDX-License-Identifier: MIT */
/*
 * What a debugger wants the guest to stop at: instructions that are replaced in guest memory, and
 * points for the processor's registers. Who reads memory through the debugger sees what the guest
 * has there, not what was put in its place.
 */
#include <stdlib.h>

#include "gdb-vm.h"
#include "lkvm/kvm.h"
#include "lkvm/memory.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

const char gdb_cannot_debug[] = "this host's KVM cannot debug guests";

/* For processors that do not see at once what is written to code: an instruction is one piece. */
static void code_changed(const struct guest_memory *mem, u64 gpa, u32 len)
{
	char *code = memory_ptr(mem, gpa, len);

	if (code)
		__builtin___clear_cache(code, code + len);
}

static int write_code(struct guest_memory *mem, u64 gpa, const u8 *code, u32 len)
{
	int ret = memory_write(mem, gpa, code, len);

	if (!ret)
		code_changed(mem, gpa, len);
	return ret;
}

static const struct debug_break *break_of_length(u64 len)
{
	for (u32 i = 0; i < ARRAY_SIZE(arch_debug.breaks); i++)
		if (len && arch_debug.breaks[i].len == len)
			return &arch_debug.breaks[i];
	return &arch_debug.breaks[0];
}

static struct gdb_break *find_break(const struct gdb_points *p, u64 va)
{
	for (u32 i = 0; i < p->nr_breaks; i++)
		if (p->breaks[i].va == va)
			return &p->breaks[i];
	return NULL;
}

static struct gdb_break *break_at(const struct gdb_points *p, u64 gpa)
{
	for (u32 i = 0; i < p->nr_breaks; i++)
		if (p->breaks[i].gpa == gpa)
			return &p->breaks[i];
	return NULL;
}

static int put_break(struct gdb_points *p, struct vcpu *vcpu, u64 va, u64 asked, const char **why)
{
	struct guest_memory *mem = &vcpu->vm->mem;
	struct gdb_break b = { .va = va, .insn = break_of_length(asked) };
	const struct gdb_break *alias;
	u32 len = b.insn->len;
	int ret = 0;

	if (find_break(p, va))
		return 0;
	if (p->nr_breaks == GDB_MAX_BREAKS) {
		*why = "too many breakpoints";
		return -ENOSPC;
	}
	if (va % len || arch_vcpu_translate(vcpu, va, &b.gpa))
		return -EFAULT;
	/* A page may have two addresses: it is taken away when both are. */
	alias = break_at(p, b.gpa);
	if (alias) {
		b.insn = alias->insn;
		len = b.insn->len;
	}
	/* A file of the host's that is memory (--pmem) keeps what it has. */
	if (!memory_is_ram(mem, b.gpa, len)) {
		*why = "there is no RAM; use a hardware breakpoint (hbreak)";
		return -EACCES;
	}
	ret = gdb_read_page(p, mem, b.gpa, b.old, len);
	if (!ret)
		ret = write_code(mem, b.gpa, b.insn->code, len);
	if (ret)
		return ret;
	p->breaks = xrealloc(p->breaks, (p->nr_breaks + 1) * sizeof(b));
	p->breaks[p->nr_breaks++] = b;
	return 0;
}

static int take_break(struct gdb_points *p, struct vm *vm, struct gdb_break *b)
{
	struct gdb_break gone = *b;

	*b = p->breaks[--p->nr_breaks];
	return break_at(p, gone.gpa) ? 0 : write_code(&vm->mem, gone.gpa, gone.old, gone.insn->len);
}

static bool same_point(const struct debug_point *a, const struct debug_point *b)
{
	return a->kind == b->kind && a->addr == b->addr && a->len == b->len;
}

static int put_hw(struct gdb_points *p, struct vm *vm, const struct debug_point *point,
		  const char **why)
{
	int ret = -ENOSPC;

	for (u32 i = 0; i < p->nr_hw; i++)
		if (same_point(&p->hw[i], point))
			return 0;
	if (p->nr_hw < GDB_MAX_POINTS) {
		p->hw[p->nr_hw] = *point;
		ret = arch_debug_check(vm, p->hw, p->nr_hw + 1);
	}
	if (!ret)
		p->nr_hw++;
	else if (ret == -ENOSPC)
		*why = "the processor's debug registers are all in use";
	else if (ret == -EINVAL)
		*why = "the processor cannot watch so many bytes";
	return ret;
}

static struct debug_point to_point(u32 kind, u64 addr, u64 len)
{
	return (struct debug_point){
		.kind = (enum debug_kind)kind,
		.addr = addr,
		.len = kind == DEBUG_EXEC ? 0 : len,
	};
}

int gdb_put_point(struct gdb_points *p, struct vcpu *vcpu, u32 kind, u64 addr, u64 len,
		  const char **why)
{
	struct debug_point point = to_point(kind, addr, len);

	if (kvm_check_cap(&vcpu->vm->kvm, KVM_CAP_SET_GUEST_DEBUG) <= 0) {
		*why = gdb_cannot_debug;
		return -ENOTSUP;
	}
	return kind ? put_hw(p, vcpu->vm, &point, why) : put_break(p, vcpu, addr, len, why);
}

/* What is not there is taken away already. */
int gdb_take_point(struct gdb_points *p, struct vm *vm, u32 kind, u64 addr, u64 len)
{
	struct debug_point point = to_point(kind, addr, len);
	struct gdb_break *b = kind ? NULL : find_break(p, addr);

	if (b)
		return take_break(p, vm, b);
	for (u32 i = 0; kind && i < p->nr_hw; i++) {
		if (!same_point(&p->hw[i], &point))
			continue;
		p->hw[i] = p->hw[--p->nr_hw];
		break;
	}
	return 0;
}

void gdb_drop_points(struct gdb_points *p, struct vm *vm, bool restore)
{
	/* Where that fails the memory is gone. */
	while (restore && p->nr_breaks)
		(void)!take_break(p, vm, &p->breaks[p->nr_breaks - 1]);
	p->nr_breaks = 0;
	free(p->breaks);
	p->breaks = NULL;
	if (restore)
		p->nr_hw = 0;
}

bool gdb_is_break(const struct gdb_points *p, struct vcpu *vcpu, u64 pc)
{
	u64 gpa;

	if (find_break(p, pc))
		return true;
	/* By another of its addresses. */
	return p->nr_breaks && !arch_vcpu_translate(vcpu, pc, &gpa) && break_at(p, gpa);
}

/* Memory of the guest's of any kind, as far as it is the host's too. */
static int read_any(const struct guest_memory *mem, u64 gpa, u8 *buf, size_t len)
{
	const struct memory_region *r = memory_find(mem, gpa);

	if (!r || r->kind != MEM_ROM || r->shared || !range_within(gpa, len, r->gpa, r->size))
		return memory_read(mem, gpa, buf, len);
	memcpy(buf, (const u8 *)r->hva + (gpa - r->gpa), len);
	return 0;
}

/* The bytes that @b and [gpa, gpa+len) have in common: where in each, and how many. */
static size_t common(const struct gdb_break *b, u64 gpa, size_t len, size_t *in_break,
		     size_t *in_buf)
{
	u64 begin = MAX(b->gpa, gpa), end = MIN(b->gpa + b->insn->len, gpa + len);

	if (begin >= end)
		return 0;
	*in_break = begin - b->gpa;
	*in_buf = begin - gpa;
	return end - begin;
}

int gdb_read_page(const struct gdb_points *p, const struct guest_memory *mem, u64 gpa, u8 *buf,
		  size_t len)
{
	int ret = read_any(mem, gpa, buf, len);
	size_t n, from, to;

	for (u32 i = 0; i < p->nr_breaks && !ret; i++) {
		n = common(&p->breaks[i], gpa, len, &from, &to);
		if (n)
			memcpy(buf + to, p->breaks[i].old + from, n);
	}
	return ret;
}

/* A replaced instruction stays so, and what is written becomes what it replaced. */
int gdb_write_page(struct gdb_points *p, struct guest_memory *mem, u64 gpa, const u8 *buf,
		   size_t len)
{
	int ret = memory_write(mem, gpa, buf, len);
	size_t n, to, from;

	for (u32 i = 0; i < p->nr_breaks && !ret; i++) {
		struct gdb_break *b = &p->breaks[i];

		n = common(b, gpa, len, &to, &from);
		if (!n)
			continue;
		memcpy(b->old + to, buf + from, n);
		ret = write_code(mem, b->gpa, b->insn->code, b->insn->len);
	}
	/* It may be code. */
	if (!ret && memory_ptr(mem, gpa, len))
		__builtin___clear_cache((char *)memory_ptr(mem, gpa, len),
					(char *)memory_ptr(mem, gpa, len) + len);
	return ret;
}
