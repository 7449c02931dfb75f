/* SPDX-License-Identifier: MIT */
/* What guests there are on arm64. */
#include "cca.h"

const struct model_kind *const model_kinds[] = { &model_arm64, &model_cca, &model_pkvm, NULL };
