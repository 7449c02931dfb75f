/* SPDX-License-Identifier: MIT */
/*
 * Kernels that are entered in 64-bit mode with RSI pointing to boot_params (Linux
 * Documentation/arch/x86/boot.rst and zero-page.rst): uncompressed vmlinux, and raw images of our
 * own kind, which find command line, initrd, memory map and ACPI the same way.
 */
#include <asm/bootparam.h>

#include "boot.h"

#define LOADER_UNDEFINED 0xff /* type_of_loader: one without an assigned number */
#define FLAT_BASE	 X86_HIGH_BASE

void linux_fill_params(const struct x86_boot *b, struct boot_params *bp, u64 initrd,
		       u64 initrd_size)
{
	struct x86_mem_range map[X86_MAX_MEM_RANGES];
	u32 count = b->confidential ? x86_private_memory_map(b->mem, b->mailbox, map)
				    : x86_memory_map(b->mem, map);

	bp->hdr.type_of_loader = LOADER_UNDEFINED;
	bp->hdr.loadflags |= LOADED_HIGH;
	bp->hdr.vid_mode = cpu_to_le16(0xffff); /* "normal" */
	bp->hdr.setup_data = cpu_to_le64(b->snp ? X86_SNP_BLOB : 0);
	bp->hdr.cmd_line_ptr = cpu_to_le32(X86_CMDLINE);
	bp->hdr.ramdisk_image = cpu_to_le32((u32)initrd);
	bp->hdr.ramdisk_size = cpu_to_le32((u32)initrd_size);
	bp->ext_ramdisk_image = cpu_to_le32((u32)(initrd >> 32));
	bp->ext_ramdisk_size = cpu_to_le32((u32)(initrd_size >> 32));
	bp->acpi_rsdp_addr = cpu_to_le64(b->rsdp);
	for (u32 i = 0; i < count; i++) {
		bp->e820_table[i].addr = cpu_to_le64(map[i].base);
		bp->e820_table[i].size = cpu_to_le64(map[i].size);
		bp->e820_table[i].type = cpu_to_le32(map[i].type);
	}
	bp->e820_entries = (u8)count;
}

/* Command line, initrd above @bottom, boot_params, entry at @entry. */
static int finish(struct x86_boot *b, u64 bottom, u64 entry)
{
	struct boot_params bp = { 0 };
	u64 initrd, initrd_size;
	int ret = place_cmdline(b, "", X86_CMDLINE_MAX - 1);

	if (!ret)
		ret = place_initrd(b, bottom, X86_HOLE_BASE, true, &initrd, &initrd_size);
	if (ret)
		return ret;
	/* No header comes with such an image: what a boot loader would have read from a bzImage. */
	bp.hdr.boot_flag = cpu_to_le16(0xaa55);
	bp.hdr.header = cpu_to_le32(0x53726448); /* "HdrS" */
	bp.hdr.version = cpu_to_le16(0x020f);
	bp.hdr.kernel_alignment = cpu_to_le32(0x1000000);
	/* Its length with the NUL: images that are entered this way take so many bytes. */
	bp.hdr.cmdline_size = cpu_to_le32((u32)(b->cmdline ? strlen(b->cmdline) : 0) + 1);
	bp.hdr.xloadflags = cpu_to_le16(XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G);
	linux_fill_params(b, &bp, initrd, initrd_size);
	boot_plan_add(b->plan, BOOT_TABLES, "boot parameters", X86_BOOT_PARAMS, &bp, sizeof(bp));
	b->entry = (struct x86_entry){
		.mode = X86_ENTRY_LONG64,
		.rip = entry,
		.rsi = X86_BOOT_PARAMS,
	};
	return 0;
}

int linux_elf_load(struct x86_boot *b, const struct elf_image *elf)
{
	int ret;

	if (!elf_holds(elf, elf->entry_paddr))
		return boot_error(b, -ENOEXEC, "its entry point %#llx is in none of its segments",
				  elf->entry);
	ret = place_elf(b, elf);
	return ret ? ret : finish(b, elf->high, elf->entry_paddr);
}

int linux_flat_load(struct x86_boot *b)
{
	int ret = place_check(b, FLAT_BASE, b->image->size);

	if (ret)
		return ret;
	ret = boot_plan_add_image(b->plan, BOOT_KERNEL, b->what, FLAT_BASE, b->image, 0,
				  b->image->size);
	if (ret)
		return place_error(b, ret);
	return finish(b, FLAT_BASE + b->image->size, FLAT_BASE);
}
