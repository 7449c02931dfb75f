/* SPDX-License-Identifier: MIT */
/*
 * A guest as an ELF core file (see include/lkvm/core-dump.h; System V ABI, chapters 4 and 5; Linux,
 * fs/binfmt_elf.c). In front: headers and notes. Then regions of memory, each whole, in the order
 * of their addresses; what is mapped is the same bytes under other addresses.
 */
#include "lkvm/core-dump.h"

#include <elf.h>
#include <stdlib.h>

#include "lkvm/debug.h"
#include "lkvm/page-walk.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

#define PAGE 4096U
/* Read at once, and how much of zeroes is passed over in one go. */
#define READ_SIZE  (64 * KiB)
#define SCAN_LIMIT (16 * MiB)

/* struct elf_prstatus of 64-bit Linux, whatever the architecture: where the thread's number and the
 * registers are, and what is behind those. */
#define PRSTATUS_PID  32
#define PRSTATUS_REGS 112
#define PRSTATUS_TAIL 8
#define NAME_SIZE     8 /* "CORE" and "QEMU" with their NUL, in words of 4 */

struct part {
	u64 gpa, size;
	u64 offset; /* in the file */
};

struct core_dump {
	struct vm *vm;
	struct part *parts;
	u32 nr_parts;
	struct page_maps maps;
	u8 *head;
	size_t head_size;
	u64 size;
	/* Where it is: in the head, then in a part. */
	bool began;
	u32 part;
	u64 at;
	u8 buf[CORE_DUMP_PIECE];
};

/* What is dumped */

static int find_parts(struct core_dump *d)
{
	const struct memory_region *r;
	u32 n = 0;

	memory_for_each(&d->vm->mem, r)
		n++;
	d->parts = xcalloc(n + 1, sizeof(*d->parts));
	memory_for_each(&d->vm->mem, r) {
		if (r->private_fd >= 0)
			return -ENOTSUP;
		if (r->kind == MEM_RAM || r->kind == MEM_ROM)
			d->parts[d->nr_parts++] = (struct part){ .gpa = r->gpa, .size = r->size };
	}
	return 0;
}

/* The tables of a vcpu that is in the kernel, if one is. */
static void find_maps(struct core_dump *d)
{
	struct page_tables best = { 0 }, t;

	for (u32 i = 0; i < d->vm->nr_vcpus; i++) {
		t = (struct page_tables){ 0 };
		if (arch_vcpu_tables(d->vm->vcpus[i], &t))
			continue;
		if (!best.bits || !t.user)
			best = t;
		if (!t.user)
			break;
	}
	if (best.bits)
		page_walk(&best, &d->vm->mem, &d->maps);
}

/* In the file; mappings end where a part does. */
static const struct part *part_of(const struct core_dump *d, u64 gpa)
{
	for (u32 i = 0; i < d->nr_parts; i++)
		if (gpa - d->parts[i].gpa < d->parts[i].size)
			return &d->parts[i];
	return NULL;
}

/* The head */

static u8 *put_note(u8 *p, const char *name, u32 type, u32 size)
{
	put_le(p, 4, strlen(name) + 1);
	put_le(p + 4, 4, size);
	put_le(p + 8, 4, type);
	memcpy(p + 12, name, strlen(name));
	return p + 12 + NAME_SIZE;
}

static u32 prstatus_size(void)
{
	return PRSTATUS_REGS + arch_core.regs_size + PRSTATUS_TAIL;
}

static u32 notes_size(u32 nr_vcpus)
{
	u32 each = 2 * (12 + NAME_SIZE) + prstatus_size() + arch_core.fpregs_size;

	if (arch_core.system_size)
		each += 12 + NAME_SIZE + arch_core.system_size;
	return nr_vcpus * each;
}

/* gdb takes what follows a thread's NT_PRSTATUS for the thread's, crash wants all of its own behind
 * those. */
static int put_notes(const struct core_dump *d, u8 *p)
{
	u8 *system = p + (size_t)d->vm->nr_vcpus *
				 (2 * (12 + NAME_SIZE) + prstatus_size() + arch_core.fpregs_size);
	int ret = 0;

	for (u32 i = 0; i < d->vm->nr_vcpus && !ret; i++) {
		u8 *status = put_note(p, "CORE", NT_PRSTATUS, prstatus_size());
		u8 *fpregs = put_note(status + prstatus_size(), "CORE", NT_FPREGSET,
				      arch_core.fpregs_size);

		p = fpregs + arch_core.fpregs_size;
		put_le(status + PRSTATUS_PID, 4, i + 1);
		if (arch_core.system_size)
			system = put_note(system, arch_core.system_name, 0, arch_core.system_size);
		ret = arch_vcpu_core(d->vm->vcpus[i], status + PRSTATUS_REGS, fpregs, system);
		system += arch_core.system_size;
	}
	return ret;
}

static void put_phdr(u8 *p, u32 type, u64 offset, u64 va, u64 pa, u64 size)
{
	put_le(p + offsetof(Elf64_Phdr, p_type), 4, type);
	put_le(p + offsetof(Elf64_Phdr, p_flags), 4, type == PT_LOAD ? PF_R | PF_W | PF_X : 0);
	put_le(p + offsetof(Elf64_Phdr, p_offset), 8, offset);
	put_le(p + offsetof(Elf64_Phdr, p_vaddr), 8, va);
	put_le(p + offsetof(Elf64_Phdr, p_paddr), 8, pa);
	put_le(p + offsetof(Elf64_Phdr, p_filesz), 8, size);
	/* p_align stays 0: so crash knows it for a dump of its kind. */
	put_le(p + offsetof(Elf64_Phdr, p_memsz), 8, type == PT_LOAD ? size : 0);
}

static void put_ehdr(u8 *p, u32 nr_phdrs)
{
	memcpy(p, ELFMAG, SELFMAG);
	p[EI_CLASS] = ELFCLASS64;
	p[EI_DATA] = ELFDATA2LSB;
	p[EI_VERSION] = EV_CURRENT;
	put_le(p + offsetof(Elf64_Ehdr, e_type), 2, ET_CORE);
	put_le(p + offsetof(Elf64_Ehdr, e_machine), 2, arch_core.machine);
	put_le(p + offsetof(Elf64_Ehdr, e_version), 4, EV_CURRENT);
	put_le(p + offsetof(Elf64_Ehdr, e_phoff), 8, sizeof(Elf64_Ehdr));
	put_le(p + offsetof(Elf64_Ehdr, e_flags), 4, arch_core.flags);
	put_le(p + offsetof(Elf64_Ehdr, e_ehsize), 2, sizeof(Elf64_Ehdr));
	put_le(p + offsetof(Elf64_Ehdr, e_phentsize), 2, sizeof(Elf64_Phdr));
	put_le(p + offsetof(Elf64_Ehdr, e_phnum), 2, nr_phdrs);
}

static int make_head(struct core_dump *d)
{
	u32 nr_phdrs = 1 + d->nr_parts + d->maps.nr;
	size_t notes = sizeof(Elf64_Ehdr) + nr_phdrs * sizeof(Elf64_Phdr);
	u32 notes_len = notes_size(d->vm->nr_vcpus);
	u8 *p;

	d->head_size = ALIGN_UP(notes + notes_len, (size_t)PAGE);
	d->head = xcalloc(1, d->head_size);
	d->size = d->head_size;
	put_ehdr(d->head, nr_phdrs);
	p = d->head + sizeof(Elf64_Ehdr);
	put_phdr(p, PT_NOTE, notes, 0, 0, notes_len);
	for (u32 i = 0; i < d->nr_parts; i++) {
		struct part *part = &d->parts[i];

		part->offset = d->size;
		d->size += part->size;
		p += sizeof(Elf64_Phdr);
		/* Of no use to a kernel's symbols, but to who knows a physical address. */
		put_phdr(p, PT_LOAD, part->offset, part->gpa, part->gpa, part->size);
	}
	for (u32 i = 0; i < d->maps.nr; i++) {
		const struct page_map *map = &d->maps.list[i];
		const struct part *part = part_of(d, map->gpa);

		p += sizeof(Elf64_Phdr);
		put_phdr(p, PT_LOAD, part->offset + (map->gpa - part->gpa), map->va, map->gpa,
			 map->len);
	}
	return put_notes(d, d->head + notes);
}

/* Persistent memory is a file of its own, and is not in this one. */
static void drop_foreign_maps(struct core_dump *d)
{
	u32 kept = 0;

	for (u32 i = 0; i < d->maps.nr; i++)
		if (part_of(d, d->maps.list[i].gpa))
			d->maps.list[kept++] = d->maps.list[i];
	d->maps.nr = kept;
}

int core_dump_begin(struct vm *vm, struct core_dump **out)
{
	struct core_dump *d = xcalloc(1, sizeof(*d));
	int ret;

	d->vm = vm;
	ret = find_parts(d);
	if (!ret) {
		find_maps(d);
		drop_foreign_maps(d);
		ret = make_head(d);
	}
	if (ret) {
		core_dump_free(d);
		return ret;
	}
	*out = d;
	return 0;
}

/* Pieces */

static bool is_zero(const u8 *p, size_t len)
{
	return !p[0] && !memcmp(p, p + 1, len - 1);
}

/* Behind those pages at *at that have nothing; false: all is well known to be zero up to @end. */
static bool find_page(struct core_dump *d, const struct part *part, u64 end, u64 *at)
{
	for (; *at < end; *at += READ_SIZE) {
		size_t n = (size_t)MIN((u64)READ_SIZE, end - *at);

		if (memory_peek(&d->vm->mem, part->gpa + *at, d->buf, n) || is_zero(d->buf, n))
			continue;
		for (size_t i = 0; i < n; i += PAGE) {
			if (is_zero(d->buf + i, PAGE))
				continue;
			*at += i;
			return true;
		}
	}
	*at = end;
	return false;
}

static void take_piece(struct core_dump *d, const struct part *part, struct core_dump_piece *piece)
{
	size_t n = (size_t)MIN((u64)sizeof(d->buf), part->size - d->at), used;

	/* It was there a moment ago. */
	if (memory_peek(&d->vm->mem, part->gpa + d->at, d->buf, n))
		memset(d->buf, 0, n);
	for (used = PAGE; used < n && !is_zero(d->buf + used, PAGE); used += PAGE)
		;
	*piece = (struct core_dump_piece){
		.offset = part->offset + d->at,
		.data = d->buf,
		.len = used,
	};
	d->at += used;
}

bool core_dump_next(struct core_dump *d, struct core_dump_piece *piece)
{
	const struct part *part = &d->parts[d->part];

	*piece = (struct core_dump_piece){ 0 };
	if (!d->began) {
		size_t n = MIN(d->head_size - (size_t)d->at, (size_t)CORE_DUMP_PIECE);

		*piece = (struct core_dump_piece){ d->at, d->head + d->at, n };
		d->at += n;
		d->began = d->at == d->head_size;
		d->at = d->began ? 0 : d->at;
		return true;
	}
	if (d->part == d->nr_parts)
		return false;
	if (find_page(d, part, MIN(part->size, d->at + SCAN_LIMIT), &d->at))
		take_piece(d, part, piece);
	if (d->at == part->size) {
		d->part++;
		d->at = 0;
	}
	return true;
}

u64 core_dump_size(const struct core_dump *d)
{
	return d->size;
}

u32 core_dump_left_out(const struct core_dump *d)
{
	return d->maps.left_out + d->maps.cut;
}

void core_dump_free(struct core_dump *d)
{
	if (!d)
		return;
	free(d->parts);
	free(d->maps.list);
	free(d->head);
	free(d);
}
