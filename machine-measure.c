/* SPDX-License-Identifier: MIT */
/* The launch of a configuration, followed without KVM: the list of what the guest starts from is
 * made as for a launch, and its kind computes what its firmware would measure. */
#include "lkvm/machine.h"
#include "lkvm/measure.h"
#include "lkvm/plan.h"

int machine_measure(const struct vm_config *cfg, struct measure *measure)
{
	struct boot_plan plan;
	struct machine m;
	int ret = machine_sketch(&m, cfg, &plan);

	if (ret)
		return ret;
	measure->vm = &m.vm;
	ret = boot_measure(measure, &plan);
	measure->vm = NULL;
	return machine_sketch_end(&m, &plan, ret);
}
