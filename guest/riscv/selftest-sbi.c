/* SPDX-License-Identifier: MIT */
/*
 * The built-in guest's riscv64 checks of the firmware: the calls of the RISC-V Supervisor Binary
 * Interface 3.0, those that KVM answers and those that lkvm does, with their errors.
 */
#include "selftest-parts.h"

#define SBI_RFENCE	 0x52464e43
#define SBI_EXPERIMENTAL 0x08000000
#define SBI_VENDOR	 0x09000000
#define SBI_OLD_PUTCHAR	 1
#define SBI_OLD_GETCHAR	 2
/* No hart of this machine */
#define NO_HART 0x7fffffff

static long error_of(u32 extension, u32 function, u64 a, u64 b, u64 c)
{
	return sbi_call(extension, function, a, b, c).error;
}

/* Chapter 4, and what is in no chapter */
const char *check_sbi_base(void)
{
	enum { IMPLEMENTATION = 1, MIMPID = 6 };
	static const u32 needed[] = { SBI_TIME, SBI_IPI, SBI_RFENCE, SBI_HSM, SBI_SRST };
	struct sbi_ret r = sbi_call(SBI_BASE, BASE_SPEC_VERSION, 0, 0, 0);

	expect("version", r.error, 0);
	expect("version 0.2 or later", (u64)r.value >= 2, true);
	for (u32 f = IMPLEMENTATION; f <= MIMPID; f++)
		expect("functions of the base", (u64)error_of(SBI_BASE, f, 0, 0, 0), 0);
	for (u32 i = 0; i < ARRAY_SIZE(needed); i++)
		expect("an extension that every machine has", sbi_has(needed[i]), true);
	expect("an extension that is none", sbi_has(0x12345678), false);
	expect("its call", (u64)error_of(0x12345678, 0, 0, 0, 0), (u64)SBI_NOT_SUPPORTED);
	expect("a call of an experimental one", (u64)error_of(SBI_EXPERIMENTAL, 0, 0, 0, 0),
	       (u64)SBI_NOT_SUPPORTED);
	expect("a call of a vendor's", (u64)error_of(SBI_VENDOR, 0, 0, 0, 0),
	       (u64)SBI_NOT_SUPPORTED);
	expect("a function that is none", (u64)error_of(SBI_BASE, 99, 0, 0, 0),
	       (u64)SBI_NOT_SUPPORTED);
	expect("FENCE.I of this hart", (u64)error_of(SBI_RFENCE, 0, 1, riscv_hartid, 0), 0);
	return NULL;
}

/* Chapter 12: DBCN */

enum { DBCN_WRITE = 0, DBCN_READ = 1, DBCN_WRITE_BYTE = 2 };

/* What is accepted though it must not be is seen. */
static void check_console_buffers(u32 function)
{
	static char wrong[] = "# it is written\n";
	u64 end = boot.map[boot.nr_ranges - 1].base + boot.map[boot.nr_ranges - 1].size;

	expect("a buffer where nothing is", (u64)error_of(SBI_DBCN, function, 16, RISCV_NOWHERE, 0),
	       (u64)SBI_INVALID_PARAM);
	expect("a buffer that is a device", (u64)error_of(SBI_DBCN, function, 1, arch_uart, 0),
	       (u64)SBI_INVALID_PARAM);
	expect("a buffer that is longer than memory",
	       (u64)error_of(SBI_DBCN, function, 16, end - 8, 0), (u64)SBI_INVALID_PARAM);
	expect("a buffer in the upper half", (u64)error_of(SBI_DBCN, function, 16, (u64)wrong, 1),
	       (u64)SBI_INVALID_PARAM);
	expect("a buffer that is longer than addresses",
	       (u64)error_of(SBI_DBCN, function, ~0ULL, (u64)wrong, 0), (u64)SBI_INVALID_PARAM);
}

const char *check_sbi_console(void)
{
	static const char text[] = "# by the SBI's console\n";
	static char in[16];
	struct sbi_ret r;
	u32 done = 0;

	if (!sbi_has(SBI_DBCN))
		return "this machine has none";
	/* It may write less than it was given. */
	for (u32 i = 0; i < 100 && done < sizeof(text) - 1; i++) {
		r = sbi_call(SBI_DBCN, DBCN_WRITE, sizeof(text) - 1 - done, (u64)text + done, 0);
		if (!expect("a write", r.error, 0))
			return NULL;
		expect("no more than it was given", (u64)r.value <= sizeof(text) - 1 - done, true);
		done += (u32)r.value;
	}
	expect("bytes written", done, sizeof(text) - 1);
	r = sbi_call(SBI_DBCN, DBCN_WRITE, 0, (u64)text, 0);
	expect("a write of nothing", r.error, 0);
	expect("its bytes", r.value, 0);
	r = sbi_call(SBI_DBCN, DBCN_WRITE_BYTE, '\r', 0, 0);
	expect("a byte", r.error, 0);
	expect("its value", r.value, 0);
	r = sbi_call(SBI_DBCN, DBCN_READ, sizeof(in), (u64)in, 0);
	expect("a read", r.error, 0);
	expect("nothing came in", r.value, 0);
	check_console_buffers(DBCN_WRITE);
	check_console_buffers(DBCN_READ);
	expect("a function that is none", (u64)error_of(SBI_DBCN, 3, 0, 0, 0),
	       (u64)SBI_NOT_SUPPORTED);
	return NULL;
}

/* Chapter 5: version 0.1, whose only result is a0 */
const char *check_sbi_old_console(void)
{
	static const char text[] = "# by the SBI's console of version 0.1\n";

	if (!sbi_has(SBI_OLD_PUTCHAR))
		return "this machine has none";
	for (const char *p = text; *p; p++)
		expect("a byte", (u64)error_of(SBI_OLD_PUTCHAR, 0, (u8)*p, 0, 0), 0);
	expect("no key", (u64)error_of(SBI_OLD_GETCHAR, 0, 0, 0, 0), ~0ULL);
	return NULL;
}

/* Chapter 9: HSM. Each other hart is started, stops, and is there to be started again. */

enum { STARTED = 0, STOPPED = 1 };

static void stop_again(u32 index)
{
	(void)index;
	sbi_call(SBI_HSM, HSM_STOP, 0, 0, 0);
	print("# a hart did not stop\n");
}

static struct sbi_ret status_of(u32 index)
{
	return sbi_call(SBI_HSM, HSM_STATUS, cpus_id(index), 0, 0);
}

static bool stops(u32 index)
{
	u64 start = arch_cycles();

	while (status_of(index).value != STOPPED && !arch_hangs(start))
		arch_pause();
	return status_of(index).value == STOPPED;
}

const char *check_sbi_harts(void)
{
	u32 others = arch_nr_cpus() - 1;

	expect("this hart is started", status_of(0).value, STARTED);
	expect("a start of this hart",
	       (u64)error_of(SBI_HSM, HSM_START, riscv_hartid, boot.keep, 0),
	       (u64)SBI_ALREADY_AVAILABLE);
	expect("a start of none", (u64)error_of(SBI_HSM, HSM_START, NO_HART, boot.keep, 0),
	       (u64)SBI_INVALID_PARAM);
	expect("the status of none", (u64)error_of(SBI_HSM, HSM_STATUS, NO_HART, 0, 0),
	       (u64)SBI_INVALID_PARAM);
	for (u32 i = 1; i <= others; i++)
		expect("others are stopped", status_of(i).value, STOPPED);
	if (!others)
		return NULL;
	expect("others that were started", arch_start_cpus(stop_again), others);
	for (u32 i = 1; i <= others; i++)
		expect("they stop", stops(i), true);
	return NULL;
}

/* Chapter 7 */

static volatile u32 ipis;

static void on_ipi(void)
{
	ipis++;
}

const char *check_sbi_ipi(void)
{
	ipis = 0;
	arch_set_handler(IPI_VECTOR, on_ipi);
	expect("one to this hart", (u64)irq_send_by_sbi(0, IPI_VECTOR), 0);
	expect("it is pending", csr_read("sip") >> IRQ_SOFTWARE & 1, 1);
	expect("it comes", wait_for(&ipis, 1), true);
	expect("interrupts", ipis, 1);
	return NULL;
}

/* Chapter 11: PMU */
const char *check_sbi_counters(void)
{
	enum { NUM_COUNTERS = 0, GET_INFO = 1 };
	struct sbi_ret r;

	if (!sbi_has(SBI_PMU))
		return "this machine has none";
	r = sbi_call(SBI_PMU, NUM_COUNTERS, 0, 0, 0);
	expect("their number", (u64)r.error, 0);
	expect("there are some", r.value > 0 && r.value < 1024, true);
	expect("the first one's description", (u64)error_of(SBI_PMU, GET_INFO, 0, 0, 0), 0);
	expect("one that is not there", (u64)error_of(SBI_PMU, GET_INFO, 1 << 20, 0, 0),
	       (u64)SBI_INVALID_PARAM);
	return NULL;
}

/* Chapter 18: FWFT */
const char *check_sbi_features(void)
{
	enum { SET = 0, GET = 1 };
	enum { MISALIGNED_DELEGATION = 0, NO_FEATURE = 0x1000 };
	struct sbi_ret r;

	if (!sbi_has(SBI_FWFT))
		return "this machine has none";
	expect("a feature that is none", (u64)error_of(SBI_FWFT, GET, NO_FEATURE, 0, 0),
	       (u64)SBI_DENIED);
	r = sbi_call(SBI_FWFT, GET, MISALIGNED_DELEGATION, 0, 0);
	if (r.error == SBI_NOT_SUPPORTED)
		return NULL;
	expect("delegation of misaligned accesses", r.error, 0);
	for (u32 i = 0; i < 2; i++) {
		u64 value = !r.value == !i;

		expect("it is set", (u64)error_of(SBI_FWFT, SET, MISALIGNED_DELEGATION, value, 0),
		       0);
		expect("and read", (u64)sbi_call(SBI_FWFT, GET, MISALIGNED_DELEGATION, 0, 0).value,
		       value);
	}
	expect("a value that is none", (u64)error_of(SBI_FWFT, SET, MISALIGNED_DELEGATION, 2, 0),
	       (u64)SBI_INVALID_PARAM);
	return NULL;
}

/* Chapter 13: SUSP */
const char *check_sbi_sleep_errors(void)
{
	if (!sbi_has(SBI_SUSP))
		return "this machine has none";
	expect("a sleep that is none", (u64)error_of(SBI_SUSP, 0, 1, boot.keep, 0),
	       (u64)SBI_INVALID_PARAM);
	expect("a function that is none", (u64)error_of(SBI_SUSP, 1, 0, boot.keep, 0),
	       (u64)SBI_NOT_SUPPORTED);
	return NULL;
}

/* Chapter 10: SRST. What works is the end of the checks. */
const char *check_sbi_reset(void)
{
	expect("a type that is none fails", error_of(SBI_SRST, 0, 0x1234, 0, 0) < 0, true);
	expect("a function that is none", (u64)error_of(SBI_SRST, 1, 0, 0, 0),
	       (u64)SBI_NOT_SUPPORTED);
	return NULL;
}
