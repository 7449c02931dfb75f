/* SPDX-License-Identifier: MIT */
/* What guests there are on x86. */
#include "../model.h"

const struct model_kind *const model_kinds[] = { &model_plain, NULL };
