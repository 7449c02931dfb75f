/* SPDX-License-Identifier: MIT */
#ifndef LKVM_TESTS_MODEL_X86_KINDS_H
#define LKVM_TESTS_MODEL_X86_KINDS_H

#include "../model.h"

extern const struct model_kind model_snp;
extern const struct model_kind model_tdx;

#endif
