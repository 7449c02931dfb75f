/* SPDX-License-Identifier: MIT */
/* What memory is around a vcpu's program counter and stack pointer, as the vcpu sees it. */
#include <stdio.h>

#include "lkvm/debug.h"
#include "lkvm/memory.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

#define CODE_BEFORE 16U /* bytes shown before the program counter */
#define CODE_BYTES  48U
#define STACK_WORDS 12U

/* Byte by byte: a page may end anywhere. */
static bool read_piece(struct vcpu *vcpu, u64 at, u32 bytes, u64 *value)
{
	u8 data[8];
	u64 gpa;

	for (u32 i = 0; i < bytes; i++)
		if (arch_vcpu_translate(vcpu, at + i, &gpa) ||
		    memory_read(&vcpu->vm->mem, gpa, &data[i], 1))
			return false;
	*value = get_le(data, bytes);
	return true;
}

void vcpu_dump_code(struct vcpu *vcpu, FILE *out, u32 unit, u64 pc)
{
	u64 gpa, value, start = pc - MIN(pc, (u64)CODE_BEFORE);

	if (arch_vcpu_translate(vcpu, pc, &gpa)) {
		fprintf(out, "  code %llx: cannot be read\n", pc);
		return;
	}
	fprintf(out, "  code %llx (physical %llx):", pc, gpa);
	for (u32 i = 0; i < CODE_BYTES; i += unit) {
		u64 at = start + i;

		fputs(at == pc ? " <" : " ", out);
		if (read_piece(vcpu, at, unit, &value))
			fprintf(out, "%0*llx", (int)(2 * unit), value);
		else
			fprintf(out, "%.*s", (int)(2 * unit), "--------");
		fputs(at == pc ? ">" : "", out);
	}
	fputc('\n', out);
}

void vcpu_dump_stack(struct vcpu *vcpu, FILE *out, u64 sp, u32 width)
{
	u64 value;

	fprintf(out, "  stack %llx:", sp);
	for (u32 i = 0; i < STACK_WORDS; i++) {
		if (!(i % 4) && i)
			fprintf(out, "\n   ");
		if (!read_piece(vcpu, sp + (u64)i * width, width, &value)) {
			fprintf(out, " --");
			break;
		}
		fprintf(out, " %0*llx", (int)(2 * width), value);
	}
	fputc('\n', out);
}
