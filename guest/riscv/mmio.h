/* SPDX-License-Identifier: MIT */
/*
 * Accesses to devices: one instruction each, ordered with memory (RISC-V Unprivileged Architecture,
 * FENCE): what was written to memory is there when a device is told, and what a device was read
 * for is read after it.
 */
#ifndef GUEST_MMIO_H
#define GUEST_MMIO_H

#define MMIO_ACCESS(bits, load, store)                                                             \
	static inline u##bits read##bits(u64 addr)                                                 \
	{                                                                                          \
		u64 v;                                                                             \
                                                                                                   \
		__asm__ volatile(load " %0, 0(%1); fence i, ir" : "=r"(v) : "r"(addr) : "memory"); \
		return (u##bits)v;                                                                 \
	}                                                                                          \
	static inline void write##bits(u64 addr, u##bits v)                                        \
	{                                                                                          \
		__asm__ volatile("fence iow, o; " store " %0, 0(%1)"                               \
				 :                                                                 \
				 : "r"((u64)v), "r"(addr)                                          \
				 : "memory");                                                      \
	}

MMIO_ACCESS(8, "lbu", "sb")
MMIO_ACCESS(16, "lhu", "sh")
MMIO_ACCESS(32, "lwu", "sw")
MMIO_ACCESS(64, "ld", "sd")

#endif
