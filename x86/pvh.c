/* SPDX-License-Identifier: MIT */
/*
 * PVH direct boot (Xen docs/misc/pvh.pandoc; public/arch-x86/hvm/start_info.h): an ELF image
 * entered in 32-bit protected mode with EBX pointing to hvm_start_info.
 *
 * Linux looks at the first module alone, so all initrds are one; where one of them has words, each
 * is a module of its own, as Xen wants them.
 */
#include "boot.h"

#define START_INFO_MAGIC 0x336ec578U

struct hvm_start_info {
	__le32 magic, version, flags, nr_modules;
	__le64 modlist_paddr, cmdline_paddr, rsdp_paddr;
	/* Version 1. */
	__le64 memmap_paddr;
	__le32 memmap_entries, reserved;
};

struct hvm_modlist_entry {
	__le64 paddr, size, cmdline_paddr, reserved;
};

struct hvm_memmap_entry {
	__le64 addr, size;
	__le32 type, reserved;
};

/* All of it, as it lies at X86_START_INFO. */
struct start_page {
	struct hvm_start_info info;
	struct hvm_memmap_entry map[X86_MAX_MEM_RANGES];
};

_Static_assert(sizeof(struct hvm_start_info) == 56, "hvm_start_info");
_Static_assert(sizeof(struct hvm_modlist_entry) <= X86_MODULE_ENTRY, "hvm_modlist_entry");
_Static_assert(sizeof(struct start_page) <= X86_PAGE_TABLES - X86_START_INFO, "start page");

static void add_start_page(const struct x86_boot *b, u32 nr_modules)
{
	struct x86_mem_range map[X86_MAX_MEM_RANGES];
	u32 count = x86_memory_map(b->mem, map);
	struct start_page page = {
		.info = {
			.magic = cpu_to_le32(START_INFO_MAGIC),
			.version = cpu_to_le32(1),
			.nr_modules = cpu_to_le32(nr_modules),
			.modlist_paddr = cpu_to_le64(nr_modules ? X86_MODULES : 0),
			.cmdline_paddr = cpu_to_le64(X86_CMDLINE),
			.rsdp_paddr = cpu_to_le64(b->rsdp),
			.memmap_paddr =
				cpu_to_le64(X86_START_INFO + offsetof(struct start_page, map)),
			.memmap_entries = cpu_to_le32(count),
		},
	};

	for (u32 i = 0; i < count; i++) /* the types have e820's numbers */
		page.map[i] = (struct hvm_memmap_entry){ cpu_to_le64(map[i].base),
							 cpu_to_le64(map[i].size),
							 cpu_to_le32(map[i].type), 0 };
	boot_plan_add(b->plan, BOOT_TABLES, "start info", X86_START_INFO, &page, sizeof(page));
}

static bool have_words(const struct boot *boot)
{
	for (u32 i = 0; i < boot->nr_initrds; i++)
		if (boot->initrds[i].words)
			return true;
	return false;
}

/* The initrds above @bottom, and the list of modules; *count is their number. */
static int add_modules(const struct x86_boot *b, u64 bottom, u32 *count)
{
	struct x86_module modules[X86_MAX_MODULES];
	int ret;

	if (have_words(b->boot)) {
		*count = b->boot->nr_initrds;
		ret = modules_plan(b, bottom, false, modules);
	} else {
		/* Linux keeps 32 bits of the module's address: never above 4 GiB. */
		ret = place_initrd(b, bottom, X86_HOLE_BASE, false, &modules[0].gpa,
				   &modules[0].size);
		modules[0].string = 0;
		*count = !ret && modules[0].size;
	}
	for (u32 i = 0; !ret && i < *count; i++) {
		struct hvm_modlist_entry entry = {
			.paddr = cpu_to_le64(modules[i].gpa),
			.size = cpu_to_le64(modules[i].size),
			.cmdline_paddr = cpu_to_le64(modules[i].string),
		};

		boot_plan_add(b->plan, BOOT_TABLES, "module list", X86_MODULES + i * sizeof(entry),
			      &entry, sizeof(entry));
	}
	return ret;
}

int pvh_load(struct x86_boot *b, const struct elf_image *elf)
{
	u32 nr_modules;
	int ret;

	if (!elf_holds(elf, elf->pvh_entry))
		return boot_error(b, -ENOEXEC, "its PVH entry %#llx is in none of its segments",
				  elf->pvh_entry);
	ret = place_elf(b, elf);
	if (!ret)
		ret = place_cmdline(b, "", X86_CMDLINE_MAX - 1);
	if (!ret)
		ret = add_modules(b, elf->high, &nr_modules);
	if (ret)
		return ret;
	add_start_page(b, nr_modules);
	b->entry = (struct x86_entry){
		.mode = X86_ENTRY_PROT32,
		.rip = elf->pvh_entry,
		.rbx = X86_START_INFO,
	};
	return 0;
}
