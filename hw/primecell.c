/* SPDX-License-Identifier: MIT */
/*
 * What Arm's PrimeCells have in common: the identification registers (Arm DDI 0190B 3.3.11 to 14,
 * DDI 0224B 3.3.9 and 10), and their device tree binding (Linux
 * Documentation/devicetree/bindings/arm/primecell.yaml), which wants a clock for the bus.
 */
#include "primecell.h"

#include "lkvm/arch.h"
#include "lkvm/fdt.h"

#define PRIMECELL_IDS	   0xfe0 /* eight bytes, one in each word */
#define PRIMECELL_DESIGNER 0x41	 /* 'A': Arm */
#define PRIMECELL_CLASS	   0xb105f00dU

static u32 read_register(const struct primecell_ops *ops, void *opaque, u32 reg)
{
	u64 ids = (u64)PRIMECELL_CLASS << 32 | PRIMECELL_DESIGNER << 12 | ops->part;

	if (reg >= PRIMECELL_SIZE)
		return 0;
	if (reg >= PRIMECELL_IDS)
		return ids >> (reg - PRIMECELL_IDS) / 4 * 8 & 0xff;
	return ops->read(opaque, reg);
}

void primecell_read(const struct primecell_ops *ops, void *opaque, u64 offset, void *data, u32 len)
{
	u32 shift = offset & 3;
	u32 reg = (u32)(offset - shift);
	u64 value = read_register(ops, opaque, reg);

	if (shift + len > 4)
		value |= (u64)read_register(ops, opaque, reg + 4) << 32;
	if (shift + len > 8) {
		/* Eight bytes from within a register take a third one. */
		u64 last = read_register(ops, opaque, reg + 8);

		put_le(data, len, value >> 8 * shift | last << (64 - 8 * shift));
		return;
	}
	put_le(data, len, value >> 8 * shift);
}

void primecell_write(const struct primecell_ops *ops, void *opaque, u64 offset, const void *data,
		     u32 len)
{
	if (offset & 3)
		return;
	for (u32 done = 0; done < len; done += 4)
		ops->write(opaque, (u32)offset + done,
			   (u32)get_le((const u8 *)data + done, MIN(len - done, 4U)));
}

void primecell_describe(struct fdtw *fdt, const char *name, const struct arch_place *place)
{
	const char *const compatible[] = { name, "arm,primecell", NULL };

	fdtw_strings(fdt, "compatible", compatible);
	fdtw_reg(fdt, place->base, place->size);
	fdtw_irq(fdt, place->gsi, place->edge);
	fdtw_u32(fdt, "clocks", fdt->clock_phandle);
	fdtw_string(fdt, "clock-names", "apb_pclk");
}
