/* SPDX-License-Identifier: MIT */
/* riscv64 guests: calls of the SBI (RISC-V Supervisor Binary Interface 3.0, chapter 3). */
#include "riscv.h"

struct sbi_ret sbi_call(u32 extension, u32 function, u64 a, u64 b, u64 c)
{
	register u64 a0 __asm__("a0") = a;
	register u64 a1 __asm__("a1") = b;
	register u64 a2 __asm__("a2") = c;
	register u64 a3 __asm__("a3") = 0;
	register u64 a6 __asm__("a6") = function;
	register u64 a7 __asm__("a7") = extension;

	__asm__ volatile("ecall"
			 : "+r"(a0), "+r"(a1)
			 : "r"(a2), "r"(a3), "r"(a6), "r"(a7)
			 : "memory");
	return (struct sbi_ret){ (long)a0, (long)a1 };
}

bool sbi_has(u32 extension)
{
	struct sbi_ret r = sbi_call(SBI_BASE, BASE_PROBE, extension, 0, 0);

	return !r.error && r.value;
}
