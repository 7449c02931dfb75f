/* SPDX-License-Identifier: MIT */
/*
 * ELF executables (System V gABI, chapters 4 and 5): what a loader needs of them, the PVH entry
 * note (Xen public/elfnote.h, XEN_ELFNOTE_PHYS32_ENTRY), and signs of what the file is. A sign is
 * kept for whoever knows what else the file shows (boot/identify.c), never a verdict here.
 */
#include <elf.h>
#include <stdlib.h>

#include "lkvm/boot.h"
#include "lkvm/plan.h"
#include "lkvm/util.h"

#define ELF_MAX_PHDRS	      256	 /* kernels have fewer than ten */
#define ELF_MAX_NOTES	      (64 * KiB) /* what comes after is not looked at */
#define XEN_NOTE_GUEST_OS     6
#define XEN_NOTE_PHYS32_ENTRY 18

/* The fields of either class, widened. */
struct elf_header {
	u64 entry, phoff;
	u32 phentsize, phnum;
};

struct elf_phdr {
	u32 type;
	u64 offset, vaddr, paddr, filesz, memsz, align;
};

static int broken(const char **why, const char *text)
{
	*why = text;
	return -EINVAL;
}

static int read_header(const struct boot_image *img, struct elf_image *elf, struct elf_header *h,
		       const char **why)
{
	union {
		unsigned char ident[EI_NIDENT];
		Elf32_Ehdr h32;
		Elf64_Ehdr h64;
	} e = { 0 };
	u16 type;

	if (boot_image_read(img, 0, e.ident, EI_NIDENT) || memcmp(e.ident, ELFMAG, SELFMAG))
		return -ENOEXEC;
	if (e.ident[EI_DATA] != ELFDATA2LSB)
		return broken(why, "it is not little-endian, and the guest is");
	if (e.ident[EI_CLASS] != ELFCLASS32 && e.ident[EI_CLASS] != ELFCLASS64)
		return broken(why, "its ELF class is neither 32 nor 64 bit");
	elf->is64 = e.ident[EI_CLASS] == ELFCLASS64;
	if (boot_image_read(img, 0, &e, elf->is64 ? sizeof(e.h64) : sizeof(e.h32)))
		return broken(why, "its ELF header is truncated");

	/* The first members are at the same place in both classes. */
	type = le16_to_cpu(e.h32.e_type);
	elf->machine = le16_to_cpu(e.h32.e_machine);
	if (type == ET_REL)
		return broken(why,
			      "it is an object file or a kernel module; use the kernel itself");
	if (type != ET_EXEC && type != ET_DYN)
		return broken(why, "it is a core dump, not an executable");
	if (elf->is64)
		*h = (struct elf_header){ le64_to_cpu(e.h64.e_entry), le64_to_cpu(e.h64.e_phoff),
					  le16_to_cpu(e.h64.e_phentsize),
					  le16_to_cpu(e.h64.e_phnum) };
	else
		*h = (struct elf_header){ le32_to_cpu(e.h32.e_entry), le32_to_cpu(e.h32.e_phoff),
					  le16_to_cpu(e.h32.e_phentsize),
					  le16_to_cpu(e.h32.e_phnum) };
	if (h->phentsize != (elf->is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr)))
		return broken(why, "its program headers have the wrong size");
	if (!h->phnum || h->phnum > ELF_MAX_PHDRS)
		return broken(why, "it has no program headers, or too many");
	return 0;
}

static int read_phdr(const struct boot_image *img, const struct elf_image *elf,
		     const struct elf_header *h, u32 i, struct elf_phdr *p)
{
	union {
		Elf32_Phdr p32;
		Elf64_Phdr p64;
	} u;
	u64 offset;

	if (__builtin_add_overflow(h->phoff, (u64)i * h->phentsize, &offset) ||
	    boot_image_read(img, offset, &u, h->phentsize))
		return -ENODATA;
	if (elf->is64)
		*p = (struct elf_phdr){ le32_to_cpu(u.p64.p_type),   le64_to_cpu(u.p64.p_offset),
					le64_to_cpu(u.p64.p_vaddr),  le64_to_cpu(u.p64.p_paddr),
					le64_to_cpu(u.p64.p_filesz), le64_to_cpu(u.p64.p_memsz),
					le64_to_cpu(u.p64.p_align) };
	else
		*p = (struct elf_phdr){ le32_to_cpu(u.p32.p_type),   le32_to_cpu(u.p32.p_offset),
					le32_to_cpu(u.p32.p_vaddr),  le32_to_cpu(u.p32.p_paddr),
					le32_to_cpu(u.p32.p_filesz), le32_to_cpu(u.p32.p_memsz),
					le32_to_cpu(u.p32.p_align) };
	return 0;
}

static int add_segment(struct elf_image *elf, const struct elf_phdr *p, const char **why)
{
	struct elf_segment *s;
	u64 end;

	if (!p->memsz)
		return 0;
	if (p->filesz > p->memsz)
		return broken(why, "a segment is larger in the file than in memory");
	if (__builtin_add_overflow(p->paddr, p->memsz, &end))
		return broken(why, "a segment wraps around the address space");
	if (elf->nr_segments == ELF_MAX_SEGMENTS)
		return broken(why, "it has too many segments");
	for (u32 i = 0; i < elf->nr_segments; i++)
		if (ranges_overlap(p->paddr, p->memsz, elf->segments[i].paddr,
				   elf->segments[i].memsz))
			return broken(why, "its segments overlap");
	s = &elf->segments[elf->nr_segments++];
	*s = (struct elf_segment){ p->offset, p->paddr, p->filesz, p->memsz };
	elf->low = MIN(elf->low, p->paddr);
	elf->high = MAX(elf->high, end);
	/* 5-3: the entry is virtual; Linux's x86 vmlinux says the physical address instead. */
	if (elf->entry >= p->vaddr && elf->entry - p->vaddr < p->memsz)
		elf->entry_paddr = p->paddr + (elf->entry - p->vaddr);
	return 0;
}

/* The notes of a segment, or as much of them as is looked at. */
struct elf_notes {
	u8 *bytes;
	u32 len;
};

struct elf_note {
	u32 type, descsz;
	char name[8]; /* the beginning of it, with zeroes after it */
	const u8 *desc;
};

/*
 * Whose notes are in programs and libraries, and in no kernel that is started like Linux's: type 1
 * says which system they are for (GNU ABI tag and its like), Go's own is type 4.
 */
static const struct {
	u32 type;
	const char *name;
} program_notes[] = {
	{ 1, "GNU" },	  { 1, "FreeBSD" }, { 1, "NetBSD" },
	{ 1, "OpenBSD" }, { 1, "Android" }, { 4, "Go" },
};

static void take_note(struct elf_image *elf, const struct elf_note *n)
{
	bool xen = !strcmp(n->name, "Xen");

	for (size_t i = 0; i < ARRAY_SIZE(program_notes); i++)
		if (n->type == program_notes[i].type && !strcmp(n->name, program_notes[i].name))
			elf->program = true;
	if (!strcmp(n->name, "Linux"))
		elf->linux_note = true;
	elf->xen_note |= xen;
	if (!xen)
		return;
	if (n->type == XEN_NOTE_PHYS32_ENTRY && (n->descsz == 4 || n->descsz == 8))
		elf->pvh_entry = get_le(n->desc, n->descsz);
	if (n->type == XEN_NOTE_GUEST_OS && n->descsz >= 5 && !memcmp(n->desc, "linux", 5))
		elf->linux_note = true;
}

/* Notes padded to @align in the file, where they begin at @offset; up to the first malformed one.
 */
static void walk_notes(const struct elf_notes *notes, struct elf_image *elf, u64 offset, u64 align)
{
	const u64 head = sizeof(Elf64_Nhdr); /* the same in both classes */
	u64 pos = 0, skew = offset & (align - 1);

	while (pos < notes->len && notes->len - pos >= head) {
		const u8 *p = notes->bytes + pos;
		u64 namesz = get_le(p, 4),
		    desc = ALIGN_UP(skew + pos + head + namesz, align) - skew;
		struct elf_note note = { .descsz = (u32)get_le(p + 4, 4),
					 .type = (u32)get_le(p + 8, 4) };

		if (desc > notes->len || note.descsz > notes->len - desc)
			return;
		note.desc = notes->bytes + desc;
		if (namesz <= sizeof(note.name))
			memcpy(note.name, p + head, namesz);
		if (namesz <= sizeof(note.name) && !note.name[sizeof(note.name) - 1])
			take_note(elf, &note);
		pos = ALIGN_UP(skew + desc + note.descsz, align) - skew;
	}
}

static u32 notes_len(const struct elf_phdr *p)
{
	return (u32)MIN(p->filesz, (u64)ELF_MAX_NOTES);
}

/*
 * gABI, chapter 5: notes are padded to 4 bytes in 32-bit files, to 8 in 64-bit ones. Toolchains pad
 * to 4 in both, but for GNU properties, and p_align is that of the strictest of them all: both ways
 * are tried, and what is found counts.
 */
static void read_segment_notes(const struct boot_image *img, struct elf_image *elf,
			       const struct elf_phdr *p)
{
	struct elf_notes notes = { .len = notes_len(p) };

	notes.bytes = xcalloc(1, notes.len + 1);
	if (!boot_image_read(img, p->offset, notes.bytes, notes.len)) {
		walk_notes(&notes, elf, p->offset, 8);
		walk_notes(&notes, elf, p->offset, 4);
	}
	free(notes.bytes);
}

/*
 * Segments of programs: for the dynamic linker, or with the ELF header itself at the address where
 * linkers put programs if nobody says otherwise (GNU's and LLVM's for x86-64).
 */
static bool is_program_segment(const struct elf_phdr *p)
{
	switch (p->type) {
	case PT_INTERP:
	case PT_DYNAMIC:
	case PT_GNU_RELRO:
		return true;
	case PT_LOAD:
		return !p->offset && p->filesz && (p->vaddr == 0x400000 || p->vaddr == 0x200000);
	default:
		return false;
	}
}

static int read_segment(const struct boot_image *img, struct elf_image *elf,
			const struct elf_phdr *p, const char **why)
{
	elf->program |= is_program_segment(p);
	if (p->type != PT_LOAD && p->type != PT_NOTE)
		return 0;
	if (p->filesz && !range_within(p->offset, p->filesz, 0, img->size))
		return broken(why, "a segment lies beyond the end of the file (truncated?)");
	if (p->type == PT_LOAD)
		return add_segment(elf, p, why);
	read_segment_notes(img, elf, p);
	return 0;
}

static bool has_contents(const struct elf_image *elf)
{
	for (u32 i = 0; i < elf->nr_segments; i++)
		if (elf->segments[i].filesz)
			return true;
	return false;
}

int elf_parse(const struct boot_image *img, struct elf_image *elf, const char **why)
{
	struct elf_header h;
	int ret;

	*elf = (struct elf_image){ .low = UINT64_MAX };
	*why = "";
	ret = read_header(img, elf, &h, why);
	if (ret)
		return ret;
	elf->entry = elf->entry_paddr = h.entry;
	for (u32 i = 0; i < h.phnum; i++) {
		struct elf_phdr p;

		if (read_phdr(img, elf, &h, i, &p))
			return broken(why, "its program headers lie beyond the end of the file");
		ret = read_segment(img, elf, &p, why);
		if (ret)
			return ret;
	}
	if (!elf->nr_segments)
		return broken(why, "it has nothing to load");
	if (!has_contents(elf))
		return broken(why, "it is debug information alone; use the kernel itself");
	return 0;
}

/* All of the table, before something else moves the decoder; NULL: it is not in the file. */
static struct elf_phdr *read_phdrs(const struct boot_image *img, const struct elf_image *elf,
				   const struct elf_header *h)
{
	struct elf_phdr *p = xcalloc(h->phnum, sizeof(*p));

	for (u32 i = 0; i < h->phnum; i++) {
		if (read_phdr(img, elf, h, i, &p[i])) {
			free(p);
			return NULL;
		}
	}
	return p;
}

bool elf_aim(const struct boot_image *img, struct guest_memory *mem)
{
	struct elf_image elf = { 0 };
	struct elf_phdr *phdrs;
	struct elf_header h;
	const char *why;

	if (read_header(img, &elf, &h, &why))
		return false;
	phdrs = read_phdrs(img, &elf, &h);
	if (!phdrs)
		return false;
	for (u32 i = 0; i < h.phnum; i++)
		if (mem && phdrs[i].type == PT_LOAD && phdrs[i].filesz <= phdrs[i].memsz)
			boot_image_aim(img, phdrs[i].offset, phdrs[i].filesz, mem, phdrs[i].paddr);
	/* Notes are in a segment, as a rule, and kept with that. */
	for (u32 i = 0; i < h.phnum; i++)
		if (phdrs[i].type == PT_NOTE)
			boot_image_aim(img, phdrs[i].offset, notes_len(&phdrs[i]), NULL, 0);
	boot_image_aim(img, h.phoff, (u64)h.phnum * h.phentsize, NULL, 0);
	free(phdrs);
	return true;
}

int elf_plan(const struct boot_image *img, const struct elf_image *elf, const char *what,
	     struct boot_plan *plan)
{
	for (u32 i = 0; i < elf->nr_segments; i++) {
		const struct elf_segment *s = &elf->segments[i];
		int ret = s->filesz ? boot_plan_add_image(plan, BOOT_KERNEL, what, s->paddr, img,
							  s->offset, s->filesz)
				    : 0;

		if (ret)
			return ret;
		boot_plan_add_zero(plan, what, s->paddr + s->filesz, s->memsz - s->filesz);
	}
	return 0;
}

bool elf_holds(const struct elf_image *elf, u64 paddr)
{
	for (u32 i = 0; i < elf->nr_segments; i++)
		if (range_within(paddr, 1, elf->segments[i].paddr, elf->segments[i].filesz))
			return true;
	return false;
}
