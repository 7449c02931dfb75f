/* SPDX-License-Identifier: MIT */
/* Accesses to devices. */
#ifndef GUEST_MMIO_H
#define GUEST_MMIO_H

static inline u8 read8(u64 addr)
{
	return *(volatile u8 *)(uintptr_t)addr;
}
static inline u16 read16(u64 addr)
{
	return *(volatile u16 *)(uintptr_t)addr;
}
static inline u32 read32(u64 addr)
{
	return *(volatile u32 *)(uintptr_t)addr;
}
static inline u64 read64(u64 addr)
{
	return *(volatile u64 *)(uintptr_t)addr;
}
static inline void write8(u64 addr, u8 v)
{
	*(volatile u8 *)(uintptr_t)addr = v;
}
static inline void write16(u64 addr, u16 v)
{
	*(volatile u16 *)(uintptr_t)addr = v;
}
static inline void write32(u64 addr, u32 v)
{
	*(volatile u32 *)(uintptr_t)addr = v;
}
static inline void write64(u64 addr, u64 v)
{
	*(volatile u64 *)(uintptr_t)addr = v;
}

#endif
