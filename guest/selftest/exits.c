/* SPDX-License-Identifier: MIT */
/*
 * What each kind of exit costs: samples in cycles, left in memory for lkvm, which is told where
 * ("@exit NAME COUNT ADDRESS") and makes the statistics. Words: rounds=N, nohypercall,
 * small=OFFSET and huge=OFFSET into RAM (fresh memory in small and in huge pages), small_size,
 * huge_size, nohuge.
 */
#include "selftest.h"

#define MAX_SAMPLES 16384
/* Without rounds=N: as many as fit into some time, within bounds. */
#define BUDGET_MS      100
#define DEFAULT_ROUNDS 2000
#define FAILED	       (~0ULL)

struct kind {
	const char *name;
	const char *(*start)(void); /* the reason why it cannot be measured, or NULL; may be NULL */
	u64 (*sample)(void);	    /* cycles, or FAILED */
	void (*stop)(void);	    /* may be NULL */
};

static u32 samples[MAX_SAMPLES];

static void measure(const struct kind *k)
{
	const char *missing = k->start ? k->start() : NULL;
	u64 limit = arch_cycles_khz() * (u64)BUDGET_MS, start;
	u32 rounds = (u32)word_value("rounds", 0), n = 0, failed = 0;
	u32 wanted = rounds ? rounds : DEFAULT_ROUNDS;

	if (missing) {
		print("@skip %s %s\n", k->name, missing);
		return;
	}
	k->sample(); /* the first is cold */
	start = arch_cycles();
	while (n < wanted && n < MAX_SAMPLES && failed < 10) {
		u64 cycles = k->sample();

		if (cycles != FAILED)
			samples[n++] = cycles > ~0u ? ~0u : (u32)cycles;
		else
			failed++;
		if (!rounds && n >= 10 && arch_cycles() - start > limit)
			break;
	}
	if (k->stop)
		k->stop();
	if (n)
		print("@exit %s %u 0x%lx\n", k->name, n, (u64)samples);
	else
		print("@skip %s no sample succeeded\n", k->name);
}

/* The two readings of the clock that are in every sample. */
static u64 sample_nothing(void)
{
	u64 start = arch_cycles();

	return arch_cycles() - start;
}

/* One instruction */

static const struct arch_exit *instruction;

static const char *start_instruction(void)
{
	return instruction->missing ? instruction->missing() : NULL;
}

static u64 sample_instruction(void)
{
	u64 start = arch_cycles();

	instruction->run();
	return arch_cycles() - start;
}

static const char *start_hypercall(void)
{
	const char *missing = arch_hypercall_missing();

	if (missing)
		return missing;
	return has_word("nohypercall") ? "a hypercall does not return on this KVM" : NULL;
}

static u64 sample_hypercall(void)
{
	u64 start = arch_cycles();

	arch_hypercall();
	return arch_cycles() - start;
}

/* A device's registers: its status is lkvm's to answer, its notification an ioeventfd. */

static struct virtio v;

static const char *start_device(void)
{
	if (!virtio_open(&v, VIRTIO_RNG, 0) || !virtio_negotiate(&v, 0) ||
	    !virtio_queue(&v, 0, false))
		return "no virtio-rng that works";
	virtio_driver_ok(&v);
	return NULL;
}

static void stop_device(void)
{
	virtio_reset(&v);
}

static u64 sample_mmio(void)
{
	u64 start = arch_cycles();

	virtio_status(&v);
	return arch_cycles() - start;
}

static u64 sample_ioeventfd(void)
{
	u64 start = arch_cycles();

	vq_notify(&v, 0);
	return arch_cycles() - start;
}

/* Interrupts */

static volatile u32 fired;
static volatile u64 fired_at;

static void on_interrupt(void)
{
	fired_at = arch_cycles();
	fired++;
}

static const char *start_timer(void)
{
	arch_set_handler(TIMER_VECTOR, on_interrupt);
	return arch_timers[0].missing();
}

static u64 sample_timer(void)
{
	u32 before = fired;
	u64 start = arch_cycles();

	arch_timers[0].arm(0);
	return wait_until(&fired, before + 1, true) ? fired_at - start : FAILED;
}

static void stop_timer(void)
{
	arch_timers[0].disarm();
}

/* The second CPU: runs with interrupts on, or halts until one comes. */
static u32 others;
static volatile bool halting;

static void other_cpu(u32 index)
{
	arch_interrupts(true);
	while (!halting && index == 1)
		arch_pause();
	for (;;)
		arch_wait();
}

static const char *start_ipi(bool halt)
{
	if (arch_nr_cpus() < 2)
		return "needs two CPUs (--cpus 2)";
	halting = halt;
	if (!others)
		others = arch_start_cpus(other_cpu);
	if (!others)
		return "the second CPU does not start";
	arch_set_handler(IPI_VECTOR, on_interrupt);
	return NULL;
}

static const char *start_ipi_busy(void)
{
	return start_ipi(false);
}

static const char *start_ipi_halted(void)
{
	return start_ipi(true);
}

static u64 send(void)
{
	u32 before = fired;
	u64 start = arch_cycles();

	arch_send_ipi(1, IPI_VECTOR);
	if (!wait_until(&fired, before + 1, true))
		return FAILED;
	/* Clocks that differ from CPU to CPU would make nonsense of it. */
	return fired_at >= start ? fired_at - start : FAILED;
}

/* Long enough for KVM to give up polling and put the vcpu's thread to sleep (halt_poll_ns). */
static u64 sample_halt(void)
{
	u64 start = arch_cycles(), pause = arch_cycles_khz() * 3ULL / 10;

	while (arch_cycles() - start < pause)
		arch_pause();
	return send();
}

/* Memory that nobody has touched */

static u64 next_page, end_page, page_step;

static const char *start_pages(u64 base, u64 size, u64 step)
{
	next_page = boot.ram_base + base;
	end_page = next_page + size;
	page_step = step;
	return base ? NULL : "no memory was reserved for it";
}

static const char *start_small(void)
{
	return start_pages(word_value("small", 0), word_value("small_size", 0), 4096);
}

static const char *start_huge(void)
{
	if (has_word("nohuge"))
		return "this host gives no transparent huge pages";
	return start_pages(word_value("huge", 0), word_value("huge_size", 0), 2 << 20);
}

static u64 sample_page(void)
{
	u64 start = arch_cycles();

	if (next_page >= end_page)
		return FAILED;
	*(volatile u32 *)next_page = 1;
	next_page += page_step;
	return arch_cycles() - start;
}

static const struct kind kinds[] = {
	{ "hypercall", start_hypercall, sample_hypercall, NULL },
	{ "mmio", start_device, sample_mmio, stop_device },
	{ "ioeventfd", start_device, sample_ioeventfd, stop_device },
	{ "ipi", start_ipi_busy, send, NULL },
	{ "halt", start_ipi_halted, sample_halt, NULL },
	{ "timer", start_timer, sample_timer, stop_timer },
	{ "page-4k", start_small, sample_page, NULL },
	{ "page-2m", start_huge, sample_page, NULL },
};

void measure_exits(void)
{
	print("@khz %u\n", arch_cycles_khz());
	measure(&(struct kind){ "nothing", NULL, sample_nothing, NULL });
	for (u32 i = 0; i < arch_nr_exits; i++) {
		struct kind k = { arch_exits[i].name, start_instruction, sample_instruction, NULL };

		instruction = &arch_exits[i];
		measure(&k);
	}
	for (u32 i = 0; i < ARRAY_SIZE(kinds); i++)
		measure(&kinds[i]);
	print("@end\n");
	arch_power_off();
}

void probe_hypercall(void)
{
	if (!arch_hypercall_missing()) {
		print("@try\n");
		arch_hypercall();
	}
	print("@back\n");
	arch_power_off();
}
