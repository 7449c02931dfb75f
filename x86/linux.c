/* SPDX-License-Identifier: MIT */
/*
 * Kernels that are entered in 64-bit mode with RSI pointing to boot_params (Linux
 * Documentation/arch/x86/boot.rst and zero-page.rst): uncompressed vmlinux, and raw images of our
 * own kind, which find command line, initrd, memory map and ACPI the same way.
 */
#include <asm/bootparam.h>

#include "loader.h"

#define LOADER_UNDEFINED 0xff /* type_of_loader: one without an assigned number */
#define FLAT_BASE	 X86_HIGH_BASE

void linux_fill_params(const struct x86_loader *l, struct boot_params *bp, u64 initrd,
		       u64 initrd_size)
{
	struct x86_mem_range map[X86_MAX_MEM_RANGES];
	u32 count = x86_memory_map(l->mem, map);

	bp->hdr.type_of_loader = LOADER_UNDEFINED;
	bp->hdr.loadflags |= LOADED_HIGH;
	bp->hdr.vid_mode = cpu_to_le16(0xffff); /* "normal" */
	bp->hdr.setup_data = 0;
	bp->hdr.cmd_line_ptr = cpu_to_le32(X86_CMDLINE);
	bp->hdr.ramdisk_image = cpu_to_le32((u32)initrd);
	bp->hdr.ramdisk_size = cpu_to_le32((u32)initrd_size);
	bp->ext_ramdisk_image = cpu_to_le32((u32)(initrd >> 32));
	bp->ext_ramdisk_size = cpu_to_le32((u32)(initrd_size >> 32));
	bp->acpi_rsdp_addr = cpu_to_le64(l->rsdp);
	for (u32 i = 0; i < count; i++) {
		bp->e820_table[i].addr = cpu_to_le64(map[i].base);
		bp->e820_table[i].size = cpu_to_le64(map[i].size);
		bp->e820_table[i].type = cpu_to_le32(map[i].type);
	}
	bp->e820_entries = (u8)count;
}

/* Command line, initrd above @bottom, boot_params, entry at @entry. */
static int finish(struct x86_loader *l, u64 bottom, u64 entry)
{
	struct boot_params bp = { 0 };
	u64 initrd, initrd_size;
	int ret = loader_write_cmdline(l, "", X86_CMDLINE_MAX - 1);

	if (!ret)
		ret = loader_place_initrd(l, bottom, X86_HOLE_BASE, true, &initrd, &initrd_size);
	if (ret)
		return ret;
	/* No header comes with such an image: what a boot loader would have read from a bzImage. */
	bp.hdr.boot_flag = cpu_to_le16(0xaa55);
	bp.hdr.header = cpu_to_le32(0x53726448); /* "HdrS" */
	bp.hdr.version = cpu_to_le16(0x020f);
	bp.hdr.kernel_alignment = cpu_to_le32(0x1000000);
	bp.hdr.cmdline_size = cpu_to_le32(X86_CMDLINE_MAX - 1);
	bp.hdr.xloadflags = cpu_to_le16(XLF_KERNEL_64 | XLF_CAN_BE_LOADED_ABOVE_4G);
	linux_fill_params(l, &bp, initrd, initrd_size);
	ret = memory_write(l->mem, X86_BOOT_PARAMS, &bp, sizeof(bp));
	if (ret)
		return loader_io_error(l, ret);
	l->entry = (struct x86_entry){
		.mode = X86_ENTRY_LONG64,
		.rip = entry,
		.rsi = X86_BOOT_PARAMS,
	};
	return 0;
}

int linux_elf_load(struct x86_loader *l, const struct elf_image *elf)
{
	int ret;

	if (!loader_elf_holds(elf, elf->entry_paddr))
		return loader_error(l, -ENOEXEC, "its entry point %#llx is in none of its segments",
				    elf->entry);
	ret = loader_load_elf(l, elf);
	return ret ? ret : finish(l, elf->high, elf->entry_paddr);
}

int linux_flat_load(struct x86_loader *l)
{
	int ret = loader_check_range(l, FLAT_BASE, l->image->size);

	if (ret)
		return ret;
	ret = boot_image_load(l->image, 0, l->mem, FLAT_BASE, l->image->size);
	if (ret)
		return loader_io_error(l, ret);
	return finish(l, FLAT_BASE + l->image->size, FLAT_BASE);
}
