/* SPDX-License-Identifier: MIT */
/* For unit tests of the loaders: guest RAM, boot images made in memory, and their random damage. */
#ifndef TEST_IMAGE_BUILDER_H
#define TEST_IMAGE_BUILDER_H

#include "unit.h"

#include <elf.h>
#include <stdlib.h>

#include "lkvm/boot.h"
#include "lkvm/memory.h"

#define MAX_INITRDS 80

/* A guest with @size bytes of RAM, split as on x86, and what it boots from. */
struct guest {
	struct guest_memory mem;
	struct boot boot;
	struct boot_image initrds[MAX_INITRDS];
};

static inline void guest_init(struct guest *g, u64 size)
{
	memset(g, 0, sizeof(*g));
	memory_init(&g->mem);
	g->boot.kernel.fd = g->boot.firmware.fd = -1;
	g->boot.initrds = g->initrds;
	assert_int_equal(memory_add(&g->mem, &(struct memory_desc){ .gpa = 0,
								    .size = MIN(size, 3 * GiB),
								    .name = "low" }),
			 0);
	if (size > 3 * GiB)
		assert_int_equal(memory_add(&g->mem, &(struct memory_desc){ .gpa = 4 * GiB,
									    .size = size - 3 * GiB,
									    .name = "high" }),
				 0);
}

static inline void guest_destroy(struct guest *g)
{
	memory_destroy(&g->mem);
}

static inline void guest_add_initrd(struct guest *g, const char *path, void *buf, u64 len)
{
	assert_true(g->boot.nr_initrds < MAX_INITRDS);
	boot_image_from_buffer(&g->initrds[g->boot.nr_initrds++], path, buf, len);
}

static inline void assert_guest_bytes(const struct guest *g, u64 gpa, const void *bytes, u64 len)
{
	const void *p = memory_ptr(&g->mem, gpa, len);

	assert_non_null(p);
	assert_memory_equal(p, bytes, len);
}

/*
 * An ELF file of two segments, the second with a tail of zeroes, and a PVH note:
 * data 0x1000-0x10ff at ELF_TEST_BASE, 0x1100-0x11ff at ELF_TEST_BASE + 0x1000.
 */
#define ELF_TEST_BASE	 0x200000U
#define ELF_TEST_SEG2	 (ELF_TEST_BASE + 0x1000U)
#define ELF_TEST_BSS	 0x3000U /* memsz of the second segment */
#define ELF_TEST_HIGH	 (ELF_TEST_SEG2 + ELF_TEST_BSS)
#define ELF_TEST_ENTRY	 (ELF_TEST_BASE + 0x10U)
#define ELF_TEST_PVH	 (ELF_TEST_BASE + 0x20U)
#define ELF_TEST_VIRTUAL 0xffffffff80000000ULL
#define ELF_TEST_SIZE	 0x1200U

static inline u32 elf_test_note(u8 *p)
{
	static const struct {
		Elf64_Nhdr n;
		char name[4];
		u32 desc;
	} other = { { 4, 4, 6 }, "Xen", 0xdead }, pvh = { { 4, 4, 18 }, "Xen", ELF_TEST_PVH };

	memcpy(p, &other, sizeof(other));
	memcpy(p + sizeof(other), &pvh, sizeof(pvh));
	return sizeof(other) + sizeof(pvh);
}

static inline void elf_test_data(u8 *buf)
{
	memset(buf, 0, ELF_TEST_SIZE);
	for (u32 i = 0x1000; i < ELF_TEST_SIZE; i++)
		buf[i] = (u8)(i * 7 + (i >> 8));
}

static inline void build_elf64(u8 *buf, bool note)
{
	Elf64_Ehdr e = { .e_ident = ELFMAG,
			 .e_type = ET_EXEC,
			 .e_machine = EM_X86_64,
			 .e_version = 1,
			 .e_entry = ELF_TEST_ENTRY,
			 .e_phoff = sizeof(e),
			 .e_ehsize = sizeof(e),
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_phnum = note ? 3 : 2 };
	Elf64_Phdr p[3] = {
		{ .p_type = PT_LOAD,
		  .p_offset = 0x1000,
		  .p_vaddr = ELF_TEST_VIRTUAL,
		  .p_paddr = ELF_TEST_BASE,
		  .p_filesz = 0x100,
		  .p_memsz = 0x100 },
		{ .p_type = PT_LOAD,
		  .p_offset = 0x1100,
		  .p_vaddr = ELF_TEST_VIRTUAL + 0x1000,
		  .p_paddr = ELF_TEST_SEG2,
		  .p_filesz = 0x100,
		  .p_memsz = ELF_TEST_BSS },
		{ .p_type = PT_NOTE, .p_offset = 0x800 },
	};

	e.e_ident[EI_CLASS] = ELFCLASS64;
	e.e_ident[EI_DATA] = ELFDATA2LSB;
	elf_test_data(buf);
	p[2].p_filesz = elf_test_note(buf + 0x800);
	memcpy(buf, &e, sizeof(e));
	memcpy(buf + sizeof(e), p, sizeof(p));
}

static inline void build_elf32(u8 *buf, bool note)
{
	Elf32_Ehdr e = { .e_ident = ELFMAG,
			 .e_type = ET_EXEC,
			 .e_machine = EM_386,
			 .e_version = 1,
			 .e_entry = ELF_TEST_ENTRY,
			 .e_phoff = sizeof(e),
			 .e_ehsize = sizeof(e),
			 .e_phentsize = sizeof(Elf32_Phdr),
			 .e_phnum = note ? 3 : 2 };
	Elf32_Phdr p[3] = {
		{ .p_type = PT_LOAD,
		  .p_offset = 0x1000,
		  .p_vaddr = ELF_TEST_BASE,
		  .p_paddr = ELF_TEST_BASE,
		  .p_filesz = 0x100,
		  .p_memsz = 0x100 },
		{ .p_type = PT_LOAD,
		  .p_offset = 0x1100,
		  .p_vaddr = ELF_TEST_SEG2,
		  .p_paddr = ELF_TEST_SEG2,
		  .p_filesz = 0x100,
		  .p_memsz = ELF_TEST_BSS },
		{ .p_type = PT_NOTE, .p_offset = 0x800 },
	};

	e.e_ident[EI_CLASS] = ELFCLASS32;
	e.e_ident[EI_DATA] = ELFDATA2LSB;
	elf_test_data(buf);
	p[2].p_filesz = elf_test_note(buf + 0x800);
	memcpy(buf, &e, sizeof(e));
	memcpy(buf + sizeof(e), p, sizeof(p));
}

/* The same sequence in every run. */
static inline u32 next_random(u64 *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (u32)(*state >> 33);
}

/* Overwrite a few bytes of the first @len with values that like to break arithmetic. */
static inline void damage(u8 *buf, u32 len, u64 *state)
{
	static const u8 nasty[] = { 0, 1, 0x7f, 0x80, 0xff };

	for (u32 n = next_random(state) % 8 + 1; n; n--) {
		u32 at = next_random(state) % len;
		u32 run = next_random(state) % 8 + 1;
		u32 r = next_random(state);
		u8 value = r & 1 ? nasty[r / 2 % sizeof(nasty)] : (u8)(r >> 8);

		for (; run && at < len; run--)
			buf[at++] = value;
	}
}

#endif
