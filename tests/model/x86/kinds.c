/* SPDX-License-Identifier: MIT */
/* What guests there are on x86. */
#include "kinds.h"

const struct model_kind *const model_kinds[] = { &model_plain, &model_snp, &model_tdx, NULL };
