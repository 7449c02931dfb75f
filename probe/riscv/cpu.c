/* SPDX-License-Identifier: MIT */
/*
 * The CPU that KVM gives to guests, read from a vcpu of the scratch VM: the extensions that --cpu
 * and --sbi can name (Linux Documentation/virt/kvm/api.rst, 4.68). The vcpu never runs, so what KVM
 * lets one switch is tried.
 */
#include "../../riscv/cpu.h"

#include <stdlib.h>

#include "arch.h"
#include "lkvm/json.h"
#include "lkvm/kvm.h"
#include "lkvm/probe.h"

struct scratch {
	struct riscv_ext_set there; /* the host has it, and KVM knows it */
	struct riscv_ext_set on;    /* vcpus have it unless it is switched off */
	struct riscv_ext_set can;   /* it can be switched */
	u64 sbi;		    /* bits by KVM's number */
	u64 satp_mode, timebase;    /* 0: not known */
};

static int one_reg(const struct probe *h, int fd, unsigned long request, u64 id, const u64 *value)
{
	const struct kvm_one_reg reg = { .id = id, .addr = (u64)(uintptr_t)value };

	return riscv_probe_ioctl(h, fd, request, &reg);
}

static u64 get_reg(const struct probe *h, int fd, u64 id)
{
	u64 value = 0;

	return one_reg(h, fd, KVM_GET_ONE_REG, id, &value) < 0 ? 0 : value;
}

static void try_ext(const struct probe *h, int fd, u32 id, struct scratch *s)
{
	u64 was = 0, other;

	if (one_reg(h, fd, KVM_GET_ONE_REG, RISCV_ISA_EXT_REG(id), &was) < 0)
		return;
	riscv_ext_put(&s->there, id, true);
	riscv_ext_put(&s->on, id, was == 1);
	other = was != 1;
	if (one_reg(h, fd, KVM_SET_ONE_REG, RISCV_ISA_EXT_REG(id), &other) < 0)
		return;
	riscv_ext_put(&s->can, id, true);
	/* Others may hang on it. */
	one_reg(h, fd, KVM_SET_ONE_REG, RISCV_ISA_EXT_REG(id), &was);
}

/* 0, or why nothing is known. */
static int read_vcpu(const struct probe *h, struct scratch *s)
{
	int fd = h->sys->ioctl(h->sys->opaque, h->vm_fd, KVM_CREATE_VCPU, 0);
	u64 value;

	if (fd < 0)
		return fd;
	for (u32 i = 0; i < riscv_nr_exts; i++)
		try_ext(h, fd, riscv_exts[i].id, s);
	for (u32 i = 0; i < RISCV_NR_SBI_EXTS; i++)
		if (one_reg(h, fd, KVM_GET_ONE_REG, RISCV_SBI_EXT_REG(i), &value) >= 0)
			s->sbi |= BIT_ULL(i);
	s->satp_mode = get_reg(h, fd, RISCV_CONFIG_REG(RISCV_CONFIG_SATP_MODE));
	s->timebase = get_reg(h, fd, RISCV_TIMER_REG(KVM_REG_RISCV_TIMER_REG(frequency)));
	h->sys->close(h->sys->opaque, fd);
	return 0;
}

static void ext_row(struct probe *h, const struct riscv_ext *ext, const struct scratch *s,
		    int error)
{
	struct probe_row *row = probe_row(h, PROBE_SEC_CPU, ext->name, ext->help);
	bool can = riscv_ext_in(&s->can, ext->id);

	row->feature = true;
	if (!probe_vcpu_answers(h, row, error))
		return;
	if (!riscv_ext_in(&s->there, ext->id)) {
		probe_no(row, "not in these CPUs, or this KVM does not know it");
	} else if (riscv_ext_in(&s->on, ext->id)) {
		probe_yes(row);
		if (!can)
			probe_note(row, "fixed: --cpu cannot remove it");
	} else if (can) {
		probe_yes(row);
		probe_note(row, "only when asked for: --cpu max, or host,+%s", ext->name);
	} else {
		row->withheld = true;
		probe_no(row, "%s", riscv_ext_why_not(ext->id));
	}
}

static void nested_row(struct probe *h, const struct scratch *s, int error)
{
	bool there = riscv_ext_in(&s->there, RISCV_EXT_H);
	bool given = riscv_ext_in(&s->on, RISCV_EXT_H) || riscv_ext_in(&s->can, RISCV_EXT_H);
	struct probe_row *row = probe_vcpu_row(
		h, PROBE_SEC_NESTED, "nested", "guests that run hypervisors themselves: --nested",
		given, error,
		there ? riscv_ext_why_not(RISCV_EXT_H)
		      : "this KVM does not know the H extension of guests: Linux before 6.0");

	if (row)
		probe_yes(row);
}

static void other_rows(struct probe *h, const struct scratch *s, int error)
{
	static const char *const old = "this KVM does not say: it is older than Linux 6.6";
	struct probe_row *row;

	row = probe_vcpu_row(h, PROBE_SEC_CPU, "guest-page-tables", "how much a guest can address",
			     s->satp_mode, error, old);
	if (row)
		probe_text(row, "%s", riscv_mmu_type(s->satp_mode) + strlen("riscv,"));
	row = probe_vcpu_row(h, PROBE_SEC_CPU, "pmu",
			     "performance counters; --sbi host,-pmu hides them",
			     s->sbi >> RISCV_SBI_PMU & 1, error,
			     "needs Linux 6.4, CPUs with Sscofpmf, and the SBI's PMU in the host's "
			     "firmware and kernel (CONFIG_RISCV_PMU_SBI)");
	if (row)
		probe_yes(row);
	row = probe_vcpu_row(h, PROBE_SEC_TIME, "timebase", "ticks of a guest's timer in a second",
			     s->timebase, error, "KVM does not say");
	if (row)
		probe_number(row, s->timebase);
	row = probe_vcpu_row(
		h, PROBE_SEC_TIME, "steal-time", "guests learn how long the host kept them waiting",
		s->sbi >> RISCV_SBI_STA & 1, error,
		"the host counts no run delay (CONFIG_SCHED_INFO), or KVM is older than "
		"Linux 6.8");
	if (row)
		probe_yes(row);
	row = probe_vcpu_row(h, PROBE_SEC_EXECUTION, "sbi", "calls that guests can make: --sbi",
			     s->sbi, error,
			     "this KVM cannot switch them: it is older than Linux 6.4");
	if (row)
		probe_bits(row, s->sbi, riscv_sbi_names, RISCV_NR_SBI_EXTS);
	row = probe_vcpu_row(h, PROBE_SEC_EXECUTION, "system-suspend", "guests that suspend to RAM",
			     s->sbi >> RISCV_SBI_SUSP & 1, error,
			     "this KVM has no SBI SUSP: new in Linux 6.13");
	if (row)
		probe_yes(row);
}

void riscv_probe_cpu_rows(struct probe *h)
{
	struct scratch s = { 0 };
	int error = h->vm_fd < 0 ? 0 : read_vcpu(h, &s);

	other_rows(h, &s, error);
	nested_row(h, &s, error);
	for (u32 i = 0; i < riscv_nr_exts; i++)
		ext_row(h, &riscv_exts[i], &s, error);
}

void probe_arch_put_cpu(const struct probe *h, u32 i, struct json_out *out)
{
	const struct riscv_ext *ext = &riscv_exts[i];

	json_put_text(out, "name", ext->name);
	json_put_text(out, "type", "feature");
	probe_put_feature(probe_find(h, PROBE_SEC_CPU, ext->name), out);
}

u32 probe_arch_nr_cpu(void)
{
	return riscv_nr_exts;
}
