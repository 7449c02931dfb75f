/* SPDX-License-Identifier: MIT */
/*
 * Initial RAM disks in memory of every shape, for a bzImage whose limits the input sets and for a
 * flat image: each must be found, whole and unharmed, where boot_params say. Input: guest size,
 * kind of kernel, the header's limits, lengths of the initrds.
 */
#include <asm/bootparam.h>

#include "fuzz_load.h"

#define SETUP_SIZE 1024u /* boot sector and one more */
#define PAYLOAD	   1024u
#define MAX_INITRD (256 * KiB)

static u8 kernel[SETUP_SIZE + PAYLOAD];
static u8 bytes[FL_INITRDS][MAX_INITRD];

static void make_kernel(struct fz *f)
{
	struct setup_header *h = (void *)(kernel + 0x1f1);

	memset(kernel, 0x90, sizeof(kernel));
	*h = (struct setup_header){
		.setup_sects = 1,
		.syssize = PAYLOAD / 16,
		.boot_flag = 0xaa55,
		.jump = 0x6aeb,
		.header = 0x53726448,
		.version = 0x020f,
		.loadflags = LOADED_HIGH,
		.initrd_addr_max = fz_u32(f),
		.kernel_alignment = 0x1000,
		.relocatable_kernel = 1,
		.xloadflags = XLF_KERNEL_64 | (fz_u8(f) & 1 ? XLF_CAN_BE_LOADED_ABOVE_4G : 0),
		.cmdline_size = 255,
		.pref_address = fz_u32(f),
		.init_size = fz_u32(f),
	};
}

static void check_placed(const struct fl *g, bool flat)
{
	struct boot_params bp;
	u64 gpa, size, want = 0, kernel_end;

	fz_check(!memory_read(&g->mem, X86_BOOT_PARAMS, &bp, sizeof(bp)));
	gpa = bp.hdr.ramdisk_image | (u64)bp.ext_ramdisk_image << 32;
	size = bp.hdr.ramdisk_size | (u64)bp.ext_ramdisk_size << 32;
	kernel_end = flat ? X86_HIGH_BASE + sizeof(kernel)
			  : (u64)bp.hdr.code32_start + MAX(bp.hdr.init_size, PAYLOAD);
	for (u32 i = 0; i < g->boot.nr_initrds; i++) {
		const struct boot_image *img = &g->initrds[i];
		const void *at = memory_ptr(&g->mem, gpa + want, img->size);

		fz_check(at && !memcmp(at, img->blob, img->size));
		want += ALIGN_UP(img->size, 4ULL);
	}
	fz_check(size == want);
	fz_check(!size || gpa >= kernel_end);
	fz_check(flat || !size || gpa >= 4 * GiB ||
		 (bp.hdr.xloadflags & XLF_CAN_BE_LOADED_ABOVE_4G) ||
		 gpa + size - 1 <= bp.hdr.initrd_addr_max);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);
	u8 how = fz_u8(&f);
	bool flat = how & 8;
	struct fl g;

	make_kernel(&f);
	fl_begin(&g, how);
	boot_image_from_buffer(&g.boot.kernel, "dir/image", kernel, sizeof(kernel));
	for (u32 i = 0; i < FL_INITRDS && fz_more(&f); i++) {
		/* Images of no byte do not get here: boot_image_open refuses them. */
		u32 len = fz_u32(&f) % MAX_INITRD + 1;

		memset(bytes[i], (int)(0x11 * (i + 1)), len);
		fl_add_initrd(&g, bytes[i], len);
	}
	if (!fl_load(&g, flat ? X86_KERNEL_FLAT : X86_KERNEL_BZIMAGE, "console=ttyS0"))
		check_placed(&g, flat);
	fl_end(&g);
	return 0;
}
