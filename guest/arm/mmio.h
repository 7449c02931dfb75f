/* SPDX-License-Identifier: MIT */
/*
 * Accesses to devices: one instruction each, that a hypervisor can decode from the syndrome alone
 * (Arm ARM, ESR_ELx.ISV): no pairs, no write-back.
 */
#ifndef GUEST_MMIO_H
#define GUEST_MMIO_H

static inline u8 read8(u64 addr)
{
	u32 v;

	__asm__ volatile("ldrb %w0, [%1]" : "=r"(v) : "r"(addr) : "memory");
	return (u8)v;
}
static inline u16 read16(u64 addr)
{
	u32 v;

	__asm__ volatile("ldrh %w0, [%1]" : "=r"(v) : "r"(addr) : "memory");
	return (u16)v;
}
static inline u32 read32(u64 addr)
{
	u32 v;

	__asm__ volatile("ldr %w0, [%1]" : "=r"(v) : "r"(addr) : "memory");
	return v;
}
static inline u64 read64(u64 addr)
{
	u64 v;

	__asm__ volatile("ldr %x0, [%1]" : "=r"(v) : "r"(addr) : "memory");
	return v;
}
static inline void write8(u64 addr, u8 v)
{
	__asm__ volatile("strb %w0, [%1]" : : "rZ"((u32)v), "r"(addr) : "memory");
}
static inline void write16(u64 addr, u16 v)
{
	__asm__ volatile("strh %w0, [%1]" : : "rZ"((u32)v), "r"(addr) : "memory");
}
static inline void write32(u64 addr, u32 v)
{
	__asm__ volatile("str %w0, [%1]" : : "rZ"(v), "r"(addr) : "memory");
}
static inline void write64(u64 addr, u64 v)
{
	__asm__ volatile("str %x0, [%1]" : : "rZ"(v), "r"(addr) : "memory");
}

#endif
