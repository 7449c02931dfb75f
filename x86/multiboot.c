/* SPDX-License-Identifier: MIT */
/*
 * Multiboot (GNU Multiboot Specification 0.6.96): ELF images, or raw ones whose header says their
 * addresses ("a.out kludge"), entered in 32-bit protected mode with EBX pointing to the boot
 * information. Each initrd is one module, whose string is its name and its words.
 */
#include "boot.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

#define MB_SEARCH	8192U /* 3.1.1: the header lies in the first 8192 bytes, 4-byte aligned */
#define MB_HEADER_MAGIC 0x1badb002U
#define MB_LOADER_MAGIC 0x2badb002U /* 3.2: in EAX at entry */
#define MB_WANT_VIDEO	BIT(2)
#define MB_REQUIRED	0xffffU /* 3.1.2: what a loader does not understand here it must refuse */
#define MB_UNDERSTOOD	(BIT(0) | BIT(1)) /* page-aligned modules, memory information: always so */

#define MBI_MEMORY  BIT(0)
#define MBI_CMDLINE BIT(2)
#define MBI_MODULES BIT(3)
#define MBI_MMAP    BIT(6)
#define MBI_LOADER  BIT(9)

struct mb_info {
	__le32 flags, mem_lower, mem_upper, boot_device, cmdline, mods_count, mods_addr;
	__le32 syms[4];
	__le32 mmap_length, mmap_addr, drives_length, drives_addr, config_table, boot_loader_name;
	__le32 apm_table, vbe_control_info, vbe_mode_info;
	__le16 vbe_mode, vbe_interface_seg, vbe_interface_off, vbe_interface_len;
};

struct mb_mmap_entry {
	__le32 size; /* of what follows */
	__le64 base, len;
	__le32 type; /* 1 is RAM */
} __attribute__((packed));

struct mb_module {
	__le32 start, end, string, reserved;
};

/* All of it but the modules, as it lies at X86_START_INFO. */
struct mb_page {
	struct mb_info info;
	struct mb_mmap_entry mmap[X86_MAX_MEM_RANGES];
	char loader[8];
};

#define MB_NAME_MAX 128U /* with the NUL; longer names are cut */

_Static_assert(sizeof(struct mb_info) == 88, "mb_info");
_Static_assert(sizeof(struct mb_page) <= X86_PAGE_TABLES - X86_START_INFO, "multiboot page");
_Static_assert(sizeof(struct mb_module) <= X86_MODULE_ENTRY, "multiboot module");

int multiboot_find(const struct boot_image *img, struct multiboot_header *h)
{
	u8 buf[MB_SEARCH];
	const __le32 wanted = cpu_to_le32(MB_HEADER_MAGIC);
	u32 len = (u32)MIN(img->size, (u64)MB_SEARCH);

	if (boot_image_read(img, 0, buf, len))
		return -ENOENT;
	for (u32 i = 0; i + 12 <= len; i += 4) {
		u32 flags;

		/* Of some thousand places one has it, if any: a comparison each. */
		if (memcmp(buf + i, &wanted, sizeof(wanted)) != 0)
			continue;
		flags = (u32)get_le(buf + i + 4, 4);
		if (MB_HEADER_MAGIC + flags + (u32)get_le(buf + i + 8, 4))
			continue;
		*h = (struct multiboot_header){ .offset = i, .flags = flags };
		if (!(flags & MULTIBOOT_AOUT_KLUDGE))
			return 0;
		if (i + 32 > len)
			return -ENOENT;
		h->header_addr = (u32)get_le(buf + i + 12, 4);
		h->load_addr = (u32)get_le(buf + i + 16, 4);
		h->load_end_addr = (u32)get_le(buf + i + 20, 4);
		h->bss_end_addr = (u32)get_le(buf + i + 24, 4);
		h->entry_addr = (u32)get_le(buf + i + 28, 4);
		return 0;
	}
	return -ENOENT;
}

/* 3.1.3: addresses from the header; *high is the end of the image with its bss. */
static int load_kludge(const struct x86_boot *b, const struct multiboot_header *h, u64 *high)
{
	u64 before = (u64)h->header_addr - h->load_addr; /* from the image's start to its header */
	u64 offset, size, filesz, memsz;
	int ret;

	if (boot_image_measure(b->image, &size))
		return place_error(b, -ENODATA);
	if (h->header_addr < h->load_addr || before > h->offset)
		return boot_error(b, -ENOEXEC,
				  "its multiboot header has a load address %#x that does not fit "
				  "its own address %#x",
				  h->load_addr, h->header_addr);
	offset = h->offset - before;
	filesz = h->load_end_addr ? (u64)h->load_end_addr - h->load_addr : size - offset;
	if ((h->load_end_addr && h->load_end_addr <= h->load_addr) ||
	    !range_within(offset, filesz, 0, size))
		return boot_error(b, -ENODATA,
				  "its multiboot header says that it ends at %#x, and the file "
				  "does not reach there (truncated?)",
				  h->load_end_addr);
	memsz = filesz;
	if (h->bss_end_addr) {
		if (h->bss_end_addr < h->load_addr + filesz)
			return boot_error(b, -ENOEXEC,
					  "its multiboot header has a bss that ends at %#x, "
					  "before its data",
					  h->bss_end_addr);
		memsz = (u64)h->bss_end_addr - h->load_addr;
	}
	ret = place_check(b, h->load_addr, memsz);
	if (ret)
		return ret;
	*high = h->load_addr + memsz;
	if (h->entry_addr < h->load_addr || h->entry_addr >= *high)
		return boot_error(b, -ENOEXEC, "its entry point %#x is outside of it",
				  h->entry_addr);
	ret = boot_plan_add_image(b->plan, BOOT_KERNEL, b->what, h->load_addr, b->image, offset,
				  filesz);
	if (ret)
		return place_error(b, ret);
	boot_plan_add_zero(b->plan, b->what, h->load_addr + filesz, memsz - filesz);
	return 0;
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* 3.3: the modules, and the list of them. */
static int add_modules(const struct x86_boot *b, u64 bottom)
{
	struct x86_module modules[X86_MAX_MODULES];
	int ret = modules_plan(b, bottom, true, modules);

	for (u32 i = 0; !ret && i < b->boot->nr_initrds; i++) {
		struct mb_module mod = {
			.start = cpu_to_le32((u32)modules[i].gpa),
			.end = cpu_to_le32((u32)(modules[i].gpa + modules[i].size)),
			.string = cpu_to_le32((u32)modules[i].string),
		};

		boot_plan_add(b->plan, BOOT_TABLES, "module list", X86_MODULES + i * sizeof(mod),
			      &mod, sizeof(mod));
	}
	return ret;
}

static void add_info(const struct x86_boot *b)
{
	struct x86_mem_range map[X86_MAX_MEM_RANGES];
	u32 count = x86_memory_map(b->mem, map);
	u64 upper = memory_ram_end(b->mem, 0) - X86_HIGH_BASE;
	struct mb_page page = {
		.info = {
			.flags = cpu_to_le32(MBI_MEMORY | MBI_CMDLINE | MBI_MODULES | MBI_MMAP |
					     MBI_LOADER),
			.mem_lower = cpu_to_le32(X86_EBDA / KiB),
			.mem_upper = cpu_to_le32((u32)(upper / KiB)),
			.cmdline = cpu_to_le32(X86_CMDLINE),
			.mods_count = cpu_to_le32(b->boot->nr_initrds),
			.mods_addr = cpu_to_le32(X86_MODULES),
			.mmap_length = cpu_to_le32(count * (u32)sizeof(struct mb_mmap_entry)),
			.mmap_addr =
				cpu_to_le32(X86_START_INFO + offsetof(struct mb_page, mmap)),
			.boot_loader_name =
				cpu_to_le32(X86_START_INFO + offsetof(struct mb_page, loader)),
		},
		.loader = "lkvm",
	};

	for (u32 i = 0; i < count; i++)
		page.mmap[i] = (struct mb_mmap_entry){
			cpu_to_le32(sizeof(struct mb_mmap_entry) - 4),
			cpu_to_le64(map[i].base),
			cpu_to_le64(map[i].size),
			cpu_to_le32(map[i].type),
		};
	boot_plan_add(b->plan, BOOT_TABLES, "boot information", X86_START_INFO, &page,
		      sizeof(page));
}

/* Loaders pass the image's name before the words meant for it, and images count on that. */
static int add_cmdline(const struct x86_boot *b)
{
	char name[MB_NAME_MAX] = "";

	strncpy(name, base_name(b->image->path), sizeof(name) - 2);
	if (b->cmdline && *b->cmdline)
		strcat(name, " ");
	return place_cmdline(b, name, X86_CMDLINE_MAX - 1);
}

int multiboot_load(struct x86_boot *b, const struct multiboot_header *h,
		   const struct elf_image *elf)
{
	u32 unmet = h->flags & MB_REQUIRED & ~(MB_UNDERSTOOD | MB_WANT_VIDEO);
	u64 high = 0, entry;
	int ret;

	if (unmet)
		return boot_error(b, -ENOTSUP,
				  "its multiboot header requires features that lkvm does not know "
				  "(flags %#x)",
				  h->flags);
	/* 3.1.2, bit 2: it must be told of the video mode; that there is none is an answer. */
	if (h->flags & MB_WANT_VIDEO)
		warn("--%s %s: its multiboot header asks for a screen, which this machine lacks",
		     b->what, b->image->path);
	if (h->flags & MULTIBOOT_AOUT_KLUDGE) {
		entry = h->entry_addr;
		ret = load_kludge(b, h, &high);
	} else if (elf) {
		entry = elf->entry_paddr;
		high = elf->high;
		if (!elf_holds(elf, entry))
			return boot_error(b, -ENOEXEC,
					  "its entry point %#llx is in none of its segments",
					  elf->entry);
		ret = place_elf(b, elf);
	} else {
		return boot_error(b, -ENOEXEC,
				  "a multiboot header, but neither an ELF file nor load "
				  "addresses in that header");
	}
	if (!ret)
		ret = add_cmdline(b);
	if (!ret)
		ret = add_modules(b, high);
	if (ret)
		return ret;
	add_info(b);
	b->entry = (struct x86_entry){
		.mode = X86_ENTRY_PROT32,
		.rip = entry,
		.rax = MB_LOADER_MAGIC,
		.rbx = X86_START_INFO,
	};
	return 0;
}
