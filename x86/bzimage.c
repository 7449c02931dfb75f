/* SPDX-License-Identifier: MIT */
/*
 * bzImage by the boot protocols that need no 16-bit code (Linux Documentation/arch/x86/boot.rst,
 * "64-bit Boot Protocol" and "32-bit Boot Protocol"): the real-mode code is left alone, the rest is
 * loaded and entered at its 64-bit entry, or where there is none at its 32-bit one.
 */
#include <asm/bootparam.h>

#include "boot.h"

#define SECTOR	       512ULL
#define SETUP_MAGIC    0x53726448U /* "HdrS" */
#define PROTOCOL_MIN   0x0202	   /* Linux 2.4: cmd_line_ptr; boot_params may lie anywhere */
#define ENTRY64_OFFSET 0x200U	   /* of the 64-bit entry from the load address */

#define HDR_OFFSET offsetof(struct boot_params, hdr)
#define HDR_MAX	   (offsetof(struct boot_params, edd_mbr_sig_buffer) - HDR_OFFSET)
/* The header's end is this plus the byte before it, a jump's offset. */
#define HDR_JUMP_END 0x202U

/* All kernels with this magic are larger than the header. */
static bool read_magic(const struct boot_image *img, struct setup_header *hdr)
{
	return !boot_image_read(img, HDR_OFFSET, hdr, sizeof(*hdr)) &&
	       le16_to_cpu(hdr->boot_flag) == 0xaa55 && le32_to_cpu(hdr->header) == SETUP_MAGIC;
}

bool bzimage_probe(const struct boot_image *img)
{
	struct setup_header hdr;

	return read_magic(img, &hdr);
}

/* boot.rst, "Details of Header Fields": what kernels count on that are older than the field. */
static void add_defaults(struct setup_header *hdr)
{
	u16 version = le16_to_cpu(hdr->version);

	if (version < 0x0203)
		hdr->initrd_addr_max = cpu_to_le32(0x37ffffff);
	if (version < 0x0204)
		hdr->syssize &= cpu_to_le32(0xffff);
	if (version < 0x0205)
		hdr->relocatable_kernel = 0;
	if (version < 0x0206)
		hdr->cmdline_size = cpu_to_le32(255);
	if (version < 0x020a) {
		hdr->pref_address = cpu_to_le64(X86_HIGH_BASE);
		hdr->init_size = 0;
	}
	if (version < 0x020c)
		hdr->xloadflags = 0;
}

static int read_header(const struct x86_boot *b, struct boot_params *bp)
{
	struct setup_header *hdr = &bp->hdr;
	u16 version;
	u8 jump_offset;
	u64 len;

	memset(bp, 0, sizeof(*bp));
	if (boot_image_read(b->image, HDR_JUMP_END - 1, &jump_offset, 1))
		return place_error(b, -ENODATA);
	len = MIN(HDR_JUMP_END + jump_offset - HDR_OFFSET, HDR_MAX);
	if (boot_image_read(b->image, HDR_OFFSET, hdr, len))
		return place_error(b, -ENODATA);
	version = le16_to_cpu(hdr->version);
	if (version < PROTOCOL_MIN || !(hdr->loadflags & LOADED_HIGH))
		return boot_error(b, -ENOEXEC,
				  "a kernel that only 16-bit boot code can start (boot protocol "
				  "%u.%02u%s); use Linux 2.4 or later, as a bzImage",
				  version >> 8, version & 0xff,
				  version < PROTOCOL_MIN ? "" : ", loaded below 1 MiB");
	add_defaults(hdr);
	return 0;
}

static bool has_entry64(const struct setup_header *hdr)
{
	return le16_to_cpu(hdr->xloadflags) & XLF_KERNEL_64;
}

bool bzimage_is_32bit(const struct boot_image *img)
{
	struct setup_header hdr;

	if (!read_magic(img, &hdr))
		return false;
	add_defaults(&hdr);
	return !has_entry64(&hdr);
}

/* Where the protected-mode kernel lies in the file. */
static int find_payload(const struct x86_boot *b, const struct setup_header *hdr, u64 *offset,
			u64 *size)
{
	/* boot.rst: 0 setup sectors mean 4, for kernels of old. */
	u64 sectors = hdr->setup_sects ? hdr->setup_sects : 4;

	*offset = (sectors + 1) * SECTOR;
	*size = (u64)le32_to_cpu(hdr->syssize) * 16;
	/* The last paragraph counts as whole, and builders do not always fill it. */
	if (*offset < b->image->size && *offset + *size - b->image->size < 16)
		*size = b->image->size - *offset;
	if (!range_within(*offset, *size, 0, b->image->size))
		return boot_error(b, -ENODATA,
				  "truncated: its header says %llu bytes, the file has %llu",
				  *offset + *size, b->image->size);
	if (!*size || (has_entry64(hdr) && *size <= ENTRY64_OFFSET))
		return boot_error(b, -ENOEXEC, "its header says that it has no code");
	return 0;
}

/*
 * boot.rst, init_size: the kernel runs at pref_address or above, aligned, and needs init_size bytes
 * of memory there. We load it at the very place.
 */
static int find_place(const struct x86_boot *b, const struct setup_header *hdr, u64 payload,
		      u64 *base, u64 *size)
{
	u64 align = le32_to_cpu(hdr->kernel_alignment);
	u64 pref = le64_to_cpu(hdr->pref_address);

	*base = MAX(pref, (u64)X86_HIGH_BASE);
	*size = MAX((u64)le32_to_cpu(hdr->init_size), payload);
	if (hdr->relocatable_kernel) {
		if (!align || align & (align - 1))
			return boot_error(b, -ENOEXEC,
					  "its header asks for an alignment of %#llx, which is not "
					  "a power of two",
					  align);
		if (*base <= X86_HOLE_BASE)
			*base = ALIGN_UP(*base, align);
	} else if (*base != pref) {
		return boot_error(b, -ENOEXEC, "it must be loaded at %#llx, below 1 MiB", pref);
	}
	return place_check(b, *base, *size);
}

int bzimage_load(struct x86_boot *b)
{
	struct boot_params bp;
	u64 offset, payload, base, size, initrd, initrd_size, initrd_max;
	bool above_4g;
	int ret = read_header(b, &bp);

	if (!ret)
		ret = find_payload(b, &bp.hdr, &offset, &payload);
	if (!ret)
		ret = find_place(b, &bp.hdr, payload, &base, &size);
	if (!ret)
		ret = place_cmdline(b, "", le32_to_cpu(bp.hdr.cmdline_size));
	if (ret)
		return ret;

	above_4g = le16_to_cpu(bp.hdr.xloadflags) & XLF_CAN_BE_LOADED_ABOVE_4G;
	initrd_max = above_4g ? X86_HOLE_BASE : (u64)le32_to_cpu(bp.hdr.initrd_addr_max) + 1;
	ret = place_initrd(b, base + size, initrd_max, above_4g, &initrd, &initrd_size);
	if (ret)
		return ret;
	ret = boot_plan_add_image(b->plan, BOOT_KERNEL, b->what, base, b->image, offset, payload);
	if (ret)
		return place_error(b, ret);

	linux_fill_params(b, &bp, initrd, initrd_size);
	bp.hdr.code32_start = cpu_to_le32((u32)base);
	boot_plan_add(b->plan, BOOT_TABLES, "boot parameters", X86_BOOT_PARAMS, &bp, sizeof(bp));
	b->entry =
		(struct x86_entry){ .mode = X86_ENTRY_PROT32, .rip = base, .rsi = X86_BOOT_PARAMS };
	if (has_entry64(&bp.hdr)) {
		b->entry.mode = X86_ENTRY_LONG64;
		b->entry.rip = base + ENTRY64_OFFSET;
	}
	return 0;
}
