/* SPDX-License-Identifier: MIT */
/* What the parts of the built-in guest's riscv64 checks have of each other. */
#ifndef GUEST_RISCV_SELFTEST_PARTS_H
#define GUEST_RISCV_SELFTEST_PARTS_H

#include "../selftest/selftest.h"
#include "riscv.h"

/* selftest-registers.S: all registers at once. They are on already (sstatus). */
void fp_load(const u64 values[32]);
void fp_store(u64 values[32]);
u64 vector_bytes(void); /* of one register */
void vector_load(const void *values);
void vector_store(void *values);

/* selftest-cpu.c, selftest-sbi.c */
const char *check_isa(void);
const char *check_csrs(void);
const char *check_seed(void);
const char *check_fp(void);
const char *check_vector(void);
const char *check_misaligned(void);
const char *check_paging(void);

const char *check_sbi_base(void);
const char *check_sbi_console(void);
const char *check_sbi_old_console(void);
const char *check_sbi_harts(void);
const char *check_sbi_ipi(void);
const char *check_sbi_counters(void);
const char *check_sbi_features(void);
const char *check_sbi_sleep_errors(void);
const char *check_sbi_reset(void);

#endif
