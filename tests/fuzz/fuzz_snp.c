/* SPDX-License-Identifier: MIT */
/*
 * x86/firmware-table.c and x86/snp-firmware.c: the end of an SNP guest's firmware. The input is
 * that end, without the last 16 bytes, where the CPU starts.
 */
#include "../../x86/boot.h"
#include "../../x86/snp.h"
#include "fuzz.h"

#define SIZE   (8 * KiB)
#define RESET  16
#define MEMORY (64 * MiB)

static void check_runs(const struct boot_plan *plan, const struct guest_memory *mem)
{
	struct boot_run run = { 0 };
	u64 pages = 0;
	u8 rank = 0;

	while (boot_plan_next(plan, &run)) {
		enum snp_page_type type = x86_snp_page_type(&run);
		bool rom = run.gpa == X86_HOLE_END - SIZE && run.len == SIZE;

		fz_check(run.len && IS_ALIGNED(run.gpa | run.len, BOOT_PAGE));
		fz_check(rom || memory_holds_ram(mem, run.gpa, run.len));
		fz_check(run.rank >= rank && snp_page_name(type) && type != SNP_PAGE_VMSA);
		fz_check((type != SNP_PAGE_CPUID && type != SNP_PAGE_SECRETS) ||
			 run.len == BOOT_PAGE);
		rank = run.rank;
		pages += run.len / BOOT_PAGE;
	}
	fz_check(pages <= (MEMORY + SIZE) / BOOT_PAGE);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static u8 image[SIZE], low[MEMORY] __attribute__((aligned(4096)));
	struct guest_memory mem;
	struct boot boot = { .kernel.fd = -1, .firmware.fd = -1 };
	struct boot_plan plan;
	struct x86_boot b = { .boot = &boot, .mem = &mem, .plan = &plan, .snp = true };
	size_t len = MIN(size, sizeof(image) - RESET);

	memset(image, 0x90, sizeof(image));
	memcpy(image + sizeof(image) - RESET - len, data, len);
	put_le(image + sizeof(image) - 2, 2, 0xfeeb);
	memory_init(&mem);
	fz_check(!memory_add_borrowed(&mem, 0, sizeof(low), low, MEM_RAM, "low"));
	boot_image_from_buffer(&boot.firmware, "firmware", image, sizeof(image));
	boot_plan_init(&plan);
	if (!x86_boot_list(&b) && !boot_plan_check(&plan, &mem))
		check_runs(&plan, &mem);
	boot_plan_free(&plan);
	memory_destroy(&mem);
	return 0;
}
