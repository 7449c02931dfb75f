/* SPDX-License-Identifier: MIT */
/*
 * What `lkvm selftest` runs: the checks (a machine that is rebooted and powers off), a test
 * image, the measurement of exits. What the built-in guest says besides TAP begins with '@':
 * "@points N" so many there were, "@try" and "@back" around what may not return, "@khz N",
 * "@exit NAME COUNT ADDRESS", "@skip NAME REASON".
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "lkvm/arch.h"
#include "lkvm/log.h"
#include "lkvm/scan.h"
#include "lkvm/selftest.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"

struct tap_reader {
	struct selftest_report *report;
	bool built_in;
	u32 points;   /* seen */
	u32 promised; /* by "@points" or a plan */
	bool has_plan;
};

/* The guest's TAP: its numbers and run are ours. */

static void read_point(struct tap_reader *tap, bool ok, char *text)
{
	char *hash, *reason = NULL;

	while (isspace((unsigned char)*text) || isdigit((unsigned char)*text))
		text++;
	if (*text == '-')
		text++;
	while (isspace((unsigned char)*text))
		text++;
	hash = strstr(text, " # ");
	if (hash && !strncasecmp(hash + 3, "skip", 4)) {
		reason = hash + 3 + strcspn(hash + 3, " ");
		reason += strspn(reason, " ");
		*hash = '\0';
	}
	tap->points++;
	report_point(tap->report, ok, *text ? text : "(no name)", ok ? reason : NULL);
}

static bool read_tap(struct tap_reader *tap, char *line)
{
	const char *s = line;
	u32 plan;

	if (!strncmp(line, "ok", 2) && (!line[2] || isspace((unsigned char)line[2])))
		read_point(tap, true, line + 2);
	else if (!strncmp(line, "not ok", 6) && (!line[6] || isspace((unsigned char)line[6])))
		read_point(tap, false, line + 6);
	else if (!strncmp(line, "Bail out!", 9))
		report_point(tap->report, false, line, NULL);
	else if (scan_text(&s, tap->built_in ? "@points" : "1..") && scan_u32(&s, 10, &plan)) {
		tap->promised += plan;
		tap->has_plan = true;
	} else if (line[0] == '#')
		report_note(tap->report, "%s", line + 1 + (line[1] == ' '));
	else
		return false;
	return true;
}

static void tap_line(struct selftest_vm *vm, char *line)
{
	struct tap_reader *tap = vm->opaque;

	if (!read_tap(tap, line) && *line)
		report_note(tap->report, "%s", line);
}

/* How it ended */

static void note_registers(struct selftest_vm *vm, struct selftest_report *report)
{
	char *text = NULL, *line, *rest;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return;
	for (u32 i = 0; i < vm->machine.vm.nr_vcpus; i++)
		arch_vcpu_dump(vm->machine.vm.vcpus[i], out);
	fclose(out);
	for (rest = text; (line = strsep(&rest, "\n"));)
		if (*line)
			report_note(report, "%s", line);
	free(text);
}

static const char *stop_text(enum vm_stop stop)
{
	static const char *const texts[] = {
		[VM_STOP_POWEROFF] = "it powered off",
		[VM_STOP_RESET] = "it asked for a reset",
		[VM_STOP_DEBUG_EXIT] = "it ended by the debug-exit device",
		[VM_STOP_PANIC] = "it panicked",
		[VM_STOP_TRIPLE_FAULT] = "triple fault",
		[VM_STOP_KVM_ERROR] = "KVM cannot continue running it",
		[VM_STOP_ENTRY_FAILED] = "the processor refused to enter it",
		[VM_STOP_UNKNOWN_EXIT] = "unknown exit",
		[VM_STOP_QUIT] = "it was ended",
		[VM_STOP_SIGNAL] = "a signal ended it",
	};

	return stop < ARRAY_SIZE(texts) && texts[stop] ? texts[stop] : "unknown";
}

/* A point for the end of one run: @wanted is what should have ended it. */
static bool report_ending(struct selftest_vm *vm, struct selftest_report *report, const char *name,
			  enum vm_stop wanted)
{
	struct vm *m = &vm->machine.vm;
	bool ok = !vm->timed_out && m->stop == wanted;

	report_point(report, ok, name, NULL);
	if (ok)
		return true;
	if (vm->timed_out) {
		report_note(report, "the guest did not end within %u s; the registers:",
			    vm->options->timeout);
		note_registers(vm, report);
	} else {
		report_note(report, "expected: %s, seen: %s", stop_text(wanted),
			    stop_text(m->stop));
		if (m->stop == VM_STOP_DEBUG_EXIT)
			report_note(report, "exit status %d", m->stop_status & 0xff);
	}
	return false;
}

static void report_plan(struct tap_reader *tap)
{
	if (!tap->has_plan && !tap->built_in)
		return;
	report_point(tap->report, tap->points == tap->promised, "the guest ran every check", NULL);
	if (tap->points != tap->promised)
		report_note(tap->report, "expected: %u, seen: %u", tap->promised, tap->points);
}

/* Checks */

static void run_checks(struct selftest_vm *vm, struct tap_reader *tap, int *sig)
{
	u64 limit = vm->options->timeout * 1000ULL;

	selftest_vm_run(vm, limit, sig);
	if (*sig || !report_ending(vm, tap->report, "the guest's reboot is seen", VM_STOP_RESET))
		return;
	if (selftest_vm_restart(vm, "boot=2")) {
		report_point(tap->report, false, "the VM starts again", NULL);
		return;
	}
	selftest_vm_run(vm, limit, sig);
	if (*sig ||
	    !report_ending(vm, tap->report, "the guest comes up again, and its power-off is seen",
			   VM_STOP_POWEROFF))
		return;
	report_plan(tap);
	report_point(tap->report, selftest_disk_written(vm),
		     "the host finds on the disk what the guest wrote", NULL);
}

static int check_transport(const struct selftest_options *o, struct selftest_report *report,
			   enum virtio_transport_kind transport)
{
	struct tap_reader tap = { .report = report, .built_in = true };
	struct selftest_vm *vm = xcalloc(1, sizeof(*vm));
	int sig = 0;

	report->run = virtio_transport_names[transport];
	vm->line = tap_line;
	vm->opaque = &tap;
	if (selftest_vm_create(vm, o, transport, NULL))
		report_point(report, false, "the VM is created", NULL);
	else
		run_checks(vm, &tap, &sig);
	selftest_vm_destroy(vm);
	free(vm);
	return sig;
}

int selftest_checks(const struct selftest_options *o, struct selftest_report *report)
{
	int sig = 0;

	if (o->transports != SELFTEST_MMIO)
		sig = check_transport(o, report, TRANSPORT_PCI);
	if (!sig && o->transports != SELFTEST_PCI)
		sig = check_transport(o, report, TRANSPORT_MMIO);
	return sig;
}

/* A test image */

static enum virtio_transport_kind one_transport(const struct selftest_options *o)
{
	return o->transports == SELFTEST_MMIO ? TRANSPORT_MMIO : TRANSPORT_PCI;
}

/* Zero by the debug-exit device, or a power-off. */
static void report_image_end(struct selftest_vm *vm, struct tap_reader *tap)
{
	static const char name[] = "the image ends with status 0";
	struct vm *m = &vm->machine.vm;

	if (m->stop == VM_STOP_DEBUG_EXIT && !(m->stop_status & 0xff))
		report_point(tap->report, true, name, NULL);
	else
		report_ending(vm, tap->report, name, VM_STOP_POWEROFF);
	report_plan(tap);
}

int selftest_image_run(const struct selftest_options *o, struct selftest_report *report)
{
	struct tap_reader tap = { .report = report };
	struct selftest_vm *vm = xcalloc(1, sizeof(*vm));
	int sig = 0;

	vm->line = tap_line;
	vm->opaque = &tap;
	if (selftest_vm_create(vm, o, one_transport(o), o->cfg.params)) {
		report_point(report, false, "the VM is created", NULL);
	} else {
		selftest_vm_run(vm, o->timeout * 1000ULL, &sig);
		if (!sig)
			report_image_end(vm, &tap);
	}
	selftest_vm_destroy(vm);
	free(vm);
	return sig;
}

/* Exits */

#define MAX_SAMPLES 16384u
/* Memory set aside in which to touch fresh pages, from the beginning of RAM. */
#define SMALL_BASE (64 * MiB)
#define SMALL_SIZE (64 * MiB)
#define HUGE_BASE  (128 * MiB)
#define HUGE_SIZE  (128 * MiB)
#define HUGE_PAGE  (2 * MiB)
/* A hypercall that has not returned by then never will. */
#define TRY_MS 500

struct exits_reader {
	struct exits_table table;
	bool ended;	   /* "@end" */
	bool returned;	   /* "@back" */
	u64 huge_at_start; /* bytes of huge pages that lkvm has */
};

/* Bytes of huge pages that this process has, or -1: the host does not say. */
static s64 huge_memory(void)
{
	char line[256];
	FILE *f = fopen("/proc/self/smaps_rollup", "re");
	s64 bytes = -1;
	u32 kib;

	while (f && bytes < 0 && fgets(line, sizeof(line), f)) {
		const char *s = line;

		if (scan_text(&s, "AnonHugePages:") && scan_u32(&s, 10, &kib))
			bytes = kib * (s64)KiB;
	}
	if (f)
		fclose(f);
	return bytes;
}

static bool host_has_huge_pages(void)
{
	char line[128] = "";
	FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");
	bool has = f && fgets(line, sizeof(line), f) && !strstr(line, "[never]");

	if (f)
		fclose(f);
	return has;
}

static void read_samples(struct selftest_vm *vm, const char *name, u32 n, u64 gpa)
{
	struct exits_reader *r = vm->opaque;
	u32 *samples = xcalloc(MAX_SAMPLES, sizeof(*samples));
	s64 huge;

	if (!n || n > MAX_SAMPLES || memory_read(&vm->machine.vm.mem, gpa, samples, n * 4ULL)) {
		exits_skipped(&r->table, name, "its samples cannot be read");
	} else if (!strcmp(name, "page-2m") && (huge = huge_memory()) >= 0 &&
		   (u64)huge < r->huge_at_start + n * HUGE_PAGE / 2) {
		exits_skipped(&r->table, name, "the host gave small pages instead");
	} else {
		for (u32 i = 0; i < n; i++)
			samples[i] = le32_to_cpu((__le32)samples[i]);
		exits_row(&r->table, name, samples, n);
	}
	free(samples);
}

static void exits_line(struct selftest_vm *vm, char *line)
{
	struct exits_reader *r = vm->opaque;
	const char *s = line;
	char name[32];
	u64 gpa;
	u32 n;

	if (!strcmp(line, "@try"))
		selftest_vm_set_limit(vm, TRY_MS);
	else if (!strcmp(line, "@back"))
		r->returned = true;
	else if (!strcmp(line, "@end"))
		r->ended = true;
	else if (scan_text(&s, "@khz ") && scan_u32(&s, 10, &n))
		r->table.khz = n;
	else if (scan_text(&s, "@exit ") && scan_word(&s, name, sizeof(name)) &&
		 scan_u32(&s, 10, &n) && scan_u64(&s, 16, &gpa))
		read_samples(vm, name, n, gpa);
	else if (scan_text(&s, "@skip ") && scan_word(&s, name, sizeof(name)))
		exits_skipped(&r->table, name, s + strspn(s, " "));
	else if (*line)
		err("the built-in guest says: %s", line);
}

/* In a machine of its own, since a KVM that does not know how would leave it hanging. 0 or -errno
 * (printed). */
static int try_hypercall(const struct selftest_options *o, bool *returned, int *sig)
{
	struct exits_reader r = { .table = { .json = o->json } };
	struct selftest_vm *vm = xcalloc(1, sizeof(*vm));
	int ret;

	vm->line = exits_line;
	vm->opaque = &r;
	ret = selftest_vm_create(vm, o, one_transport(o), "probe");
	if (!ret)
		selftest_vm_run(vm, o->timeout * 1000ULL, sig);
	*returned = r.returned;
	selftest_vm_destroy(vm);
	free(vm);
	return ret;
}

/* Where RAM begins: smaller regions are flash and the like. */
static u64 ram_base(const struct guest_memory *mem)
{
	const struct memory_region *r;

	memory_for_each(mem, r)
		if (r->kind == MEM_RAM && r->size >= HUGE_BASE + HUGE_SIZE)
			return r->gpa;
	return 0;
}

/* Fresh pages of the size that is to be measured. */
static void prepare_pages(struct selftest_vm *vm)
{
	struct guest_memory *mem = &vm->machine.vm.mem;
	u64 base = ram_base(mem);
	void *small = memory_ptr(mem, base + SMALL_BASE, SMALL_SIZE);
	void *huge = memory_ptr(mem, base + HUGE_BASE, HUGE_SIZE);

	if (small && madvise(small, SMALL_SIZE, MADV_NOHUGEPAGE))
		debug("madvise: %s", strerror(errno));
	if (huge && madvise(huge, HUGE_SIZE, MADV_HUGEPAGE))
		debug("madvise: %s", strerror(errno));
}

static int run_exits(struct selftest_vm *vm, const struct selftest_options *o, int *sig)
{
	struct exits_reader *r = vm->opaque;
	s64 huge;

	prepare_pages(vm);
	huge = huge_memory();
	r->huge_at_start = huge > 0 ? (u64)huge : 0;
	exits_begin(&r->table, o);
	selftest_vm_run(vm, o->timeout * 1000ULL, sig);
	exits_end(&r->table);
	if (*sig || r->ended)
		return 0;
	if (vm->timed_out)
		err("the built-in guest did not end within %u s; --timeout gives it more",
		    o->timeout);
	else
		err("the built-in guest ended early: %s", stop_text(vm->machine.vm.stop));
	for (u32 i = 0; i < vm->machine.vm.nr_vcpus; i++)
		vcpu_dump(vm->machine.vm.vcpus[i], LOG_ERROR);
	return 1;
}

static int measure(const struct selftest_options *o, bool hypercall, int *sig)
{
	struct exits_reader r = { .ended = false };
	struct selftest_vm *vm = xcalloc(1, sizeof(*vm));
	int status = 1;
	char *words;

	words = xasprintf("exits small=0x%llx small_size=0x%llx huge=0x%llx huge_size=0x%llx "
			  "rounds=%u%s%s",
			  SMALL_BASE, SMALL_SIZE, HUGE_BASE, HUGE_SIZE, o->rounds,
			  hypercall ? "" : " nohypercall", host_has_huge_pages() ? "" : " nohuge");
	vm->line = exits_line;
	vm->opaque = &r;
	if (!selftest_vm_create(vm, o, one_transport(o), words))
		status = run_exits(vm, o, sig);
	selftest_vm_destroy(vm);
	free(vm);
	free(words);
	return status;
}

int selftest_exits(const struct selftest_options *o, int *status)
{
	bool hypercall;
	int sig = 0;

	*status = 1;
	if (!try_hypercall(o, &hypercall, &sig) && !sig)
		*status = measure(o, hypercall, &sig);
	return sig;
}
