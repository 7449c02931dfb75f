/* SPDX-License-Identifier: MIT */
/* Every range of RAM holds what is written to it, above 4 GiB too, and no two are the same. */
#include "guest.h"

#define GIB (1ULL << 30)

static u64 points[64];
static u32 nr_points;

static void add_point(u64 gpa)
{
	if (gpa >= boot.keep && gpa < boot.keep_end)
		return;
	if (nr_points < ARRAY_SIZE(points))
		points[nr_points++] = gpa & ~7ULL;
}

static void add_range(u64 base, u64 end)
{
	add_point(base ? base : 0x1000);
	for (u64 p = (base + GIB) & ~(GIB - 1); p < end; p += GIB) {
		add_point(p - 8);
		add_point(p);
	}
	add_point(end - 8);
}

int guest_main(void)
{
	u32 bad = 0;
	u64 top = 0;

	for (u32 i = 0; i < boot.nr_ranges; i++) {
		const struct guest_range *r = &boot.map[i];

		if (r->type != GUEST_RAM)
			continue;
		for (u64 g = r->base & ~(GIB - 1); g < r->base + r->size; g += GIB)
			if (g >= 4 * GIB)
				arch_map_gib(g);
		add_range(r->base, r->base + r->size);
		top = r->base + r->size;
	}
	for (u32 i = 0; i < nr_points; i++)
		*(volatile u64 *)points[i] = points[i] * 0x9e3779b97f4a7c15ULL;
	for (u32 i = 0; i < nr_points; i++)
		bad += *(volatile u64 *)points[i] != points[i] * 0x9e3779b97f4a7c15ULL;
	print("top 0x%lx, %u of %u places are wrong\n", top, bad, nr_points);
	return bad ? 1 : 0;
}
