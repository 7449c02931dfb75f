/* SPDX-License-Identifier: MIT */
/* x86/tdx-metadata.c and x86/tdx-firmware.c: firmware for trust domains. The first byte of the
 * input: MiB of memory, up to 64; then the image. */
#include <stdlib.h>
#include <string.h>

#include "../../x86/boot.h"
#include "../../x86/tdx-firmware.h"
#include "../../x86/tdx.h"
#include "fuzz.h"
#include "lkvm/plan.h"
#include "lkvm/util.h"

static void check_sections(const struct boot_image *img)
{
	struct tdvf t;
	const char *why = NULL;
	int ret = tdvf_parse(img, &t, &why);

	fz_check(ret <= 0 && (ret != -EBADMSG || why));
	if (ret)
		return;
	fz_check(t.count && t.count <= TDVF_MAX_SECTIONS);
	for (u32 i = 0; i < t.count; i++) {
		const struct tdvf_section *s = &t.sections[i];

		fz_check((u64)s->offset + s->raw <= img->size);
		if (s->type == TDVF_TD_INFO || s->type == TDVF_TD_PARAMS)
			continue;
		fz_check(s->type < TDVF_NR_TYPES && s->raw <= s->size && s->size <= 4 * GiB);
		fz_check(s->gpa + s->size <= 4 * GiB && !((s->gpa | s->size) & 0xfff));
	}
}

/* Whatever is placed lies in RAM or right below 4 GiB, once, and can be read. */
static void check_plan(struct boot_plan *plan, const struct guest_memory *mem)
{
	struct boot_run run = { 0 };
	u8 page[4096];

	if (boot_plan_check(plan, mem))
		return;
	while (boot_plan_next(plan, &run)) {
		fz_check(run.len && !((run.gpa | run.len) & 0xfff));
		fz_check(memory_holds_ram(mem, run.gpa, run.len) ||
			 (run.gpa >= 4 * GiB - X86_ROM_MAX && run.gpa + run.len <= 4 * GiB));
		fz_check(!boot_plan_read(plan, run.gpa, page, sizeof(page)));
		fz_check(!boot_plan_read(plan, run.gpa + run.len - 4096, page, sizeof(page)));
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);
	u64 memory = (1 + fz_u8(&f) % 64) * MiB;
	struct boot boot = { .kernel.fd = -1, .firmware.fd = -1 };
	struct guest_memory mem;
	struct boot_plan plan;
	struct x86_boot b = { .boot = &boot, .mem = &mem, .plan = &plan };
	size_t len;
	const u8 *bytes = fz_bytes(&f, MiB, &len);
	u64 hob;

	boot_image_from_buffer(&boot.firmware, "rom", (u8 *)bytes, len);
	check_sections(&boot.firmware);
	memory_init(&mem);
	boot_plan_init(&plan);
	/* Nothing is touched there. */
	if (!memory_add_borrowed(&mem, 0, memory, (void *)(1ULL << 63), MEM_RAM, "ram") &&
	    !x86_tdx_plan_firmware(&b, NULL, &hob))
		check_plan(&plan, &mem);
	boot_plan_free(&plan);
	memory_destroy(&mem);
	return 0;
}
