/* SPDX-License-Identifier: MIT */
/* A checked list into a VM: copied into ordinary memory, or given to a confidential guest's
 * firmware in the order that coco.h says. */
#include "lkvm/boot.h"
#include "lkvm/coco.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/measure.h"
#include "lkvm/plan.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

/* The host writes nothing there: the kind's place does. */
static int add_roms(struct vm *vm, const struct boot_plan *plan)
{
	int ret = 0;

	for (u32 i = 0; i < plan->nr_entries && !ret; i++) {
		const struct boot_entry *e = &plan->entries[i];

		if (!e->rom)
			continue;
		ret = vm_add_private(vm, e->gpa, ALIGN_UP(e->len, BOOT_PAGE), MEM_ROM, "firmware");
		if (ret)
			err("%s: cannot have its memory at 0x%llx: %s%s", e->what, e->gpa,
			    strerror(-ret), limit_hint(ret));
	}
	return ret;
}

static int place_all(struct vm *vm, const struct boot_plan *plan)
{
	struct boot_run run = { 0 };
	int ret = 0;

	if (!vm->coco || !vm->coco->place)
		return boot_plan_load(plan, &vm->mem);
	if (vm->coco->private_memory)
		ret = add_roms(vm, plan);
	while (!ret && boot_plan_next(plan, &run))
		ret = vm->coco->place(vm, plan, &run);
	return ret;
}

int boot_launch(struct vm *vm, const struct boot_plan *plan)
{
	const struct coco_ops *coco = vm->coco;
	int ret = place_all(vm, plan);

	if (!coco)
		return ret;
	for (u32 i = 0; i < vm->nr_vcpus && !ret && coco->vcpu; i++)
		ret = coco->vcpu(vm->vcpus[i], plan);
	if (!ret && coco->finish)
		ret = coco->finish(vm);
	return ret;
}

static int measure_all(struct measure *m, const struct boot_plan *plan)
{
	const struct coco_measure *ops = m->vm->coco->measure;
	struct boot_run run = { 0 };
	int ret = ops->begin ? ops->begin(m, plan) : 0;

	while (!ret && ops->place && boot_plan_next(plan, &run))
		ret = ops->place(m, plan, &run);
	for (u32 i = 0; i < m->vm->cfg->cpus && !ret && ops->vcpu; i++)
		ret = ops->vcpu(m, i, plan);
	return ret ? ret : ops->finish(m);
}

int boot_measure(struct measure *m, const struct boot_plan *plan)
{
	const struct coco_measure *ops = m->vm->coco->measure;
	int ret = measure_all(m, plan);

	if (ops->destroy)
		ops->destroy(m);
	m->state = NULL;
	return ret;
}
