/* SPDX-License-Identifier: MIT */
/*
 * System calls without a C library, in one macro: sys(NAME, ARGUMENTS...) returns what the kernel
 * does, a negative errno included. Only calls that the generic table has (asm-generic/unistd.h), so
 * every newer architecture has them too.
 */
#ifndef INIT_SYS_H
#define INIT_SYS_H

#include <asm/unistd.h>

#if defined(__x86_64__)
#define SYS_ENTRY \
	"_start:\n\txor %ebp, %ebp\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall init_start\n"
static inline long sys6(long n, long a, long b, long c, long d, long e, long f)
{
	register long r10 asm("r10") = d;
	register long r8 asm("r8") = e;
	register long r9 asm("r9") = f;
	long ret;

	asm volatile("syscall"
		     : "=a"(ret)
		     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
		     : "rcx", "r11", "memory");
	return ret;
}
#elif defined(__aarch64__)
#define SYS_ENTRY "_start:\n\tmov x29, #0\n\tmov x30, #0\n\tmov x0, sp\n\tbl init_start\n"
static inline long sys6(long n, long a, long b, long c, long d, long e, long f)
{
	register long x8 asm("x8") = n;
	register long x0 asm("x0") = a;
	register long x1 asm("x1") = b;
	register long x2 asm("x2") = c;
	register long x3 asm("x3") = d;
	register long x4 asm("x4") = e;
	register long x5 asm("x5") = f;

	asm volatile("svc #0"
		     : "+r"(x0)
		     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
		     : "memory");
	return x0;
}
#elif defined(__riscv)
/* The global pointer is set before anything uses it: the linker may address data by it. */
#define SYS_ENTRY                                                                                 \
	"_start:\n\t.option push\n\t.option norelax\n\tla gp, __global_pointer$\n\t.option pop\n" \
	"\tmv a0, sp\n\tcall init_start\n"
static inline long sys6(long n, long a, long b, long c, long d, long e, long f)
{
	register long a7 asm("a7") = n;
	register long a0 asm("a0") = a;
	register long a1 asm("a1") = b;
	register long a2 asm("a2") = c;
	register long a3 asm("a3") = d;
	register long a4 asm("a4") = e;
	register long a5 asm("a5") = f;

	asm volatile("ecall"
		     : "+r"(a0)
		     : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4), "r"(a5)
		     : "memory");
	return a0;
}
#else
#error "guest/init/sys.h: how does this architecture call its kernel?"
#endif

#define SYS_PAD(n, a, b, c, d, e, f, ...) \
	sys6(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define sys(name, ...) SYS_PAD(__NR_##name, __VA_ARGS__, 0, 0, 0, 0, 0, 0)

#endif
