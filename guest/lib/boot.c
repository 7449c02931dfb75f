/* SPDX-License-Identifier: MIT */
/* What the loader told us, where a device tree says it (tree.c). */
#include "guest.h"

struct guest_boot boot;
