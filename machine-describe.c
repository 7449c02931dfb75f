/* SPDX-License-Identifier: MIT */
/*
 * The machine of a configuration without KVM: it is made up to the list of what the guest starts
 * from, over back ends that do nothing and an interrupt controller that forgets, and the list goes
 * to files. So what is measured is made by the code that runs, and any host can make it.
 */

#include "lkvm/arch.h"
#include "lkvm/coco.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/machine.h"
#include "lkvm/plan.h"
#include "lkvm/util.h"

/* The machine */

static void forget_level(void *opaque, u32 gsi, bool level) {}

static const struct irq_chip_ops forgetful_chip_ops = { .set_level = forget_level };

/* machine_create's story, as far as it needs no KVM. */
static int sketch(struct machine *m, const struct vm_config *cfg, struct boot_plan *plan)
{
	struct vm *vm = &m->vm;
	int ret = machine_open_stubs(m, cfg);

	vm->coco = arch_coco(cfg);
	vm->access_platform = vm->coco;
	if (!ret)
		ret = irq_init(&vm->irqs, &forgetful_chip_ops, NULL);
	if (!ret)
		ret = arch_sketch(vm);
	if (!ret)
		ret = machine_add_parts(m);
	if (!ret)
		ret = arch_boot_plan(vm, &m->open.boot, plan);
	return ret ? ret : boot_plan_check(plan, &vm->mem);
}

static int dump_dtb(const struct boot_plan *plan, const char *path)
{
	const struct boot_entry *fdt = boot_plan_find(plan, BOOT_FDT);
	int ret;

	if (!fdt) {
		err("--dump-dtb %s: this machine has no device tree", path);
		return -ENOTSUP;
	}
	ret = write_file(path, fdt->bytes, fdt->len);
	if (ret)
		err("--dump-dtb %s: cannot write the device tree: %s", path, strerror(-ret));
	return ret;
}

int machine_describe(const struct vm_config *cfg)
{
	struct boot_plan plan;
	struct machine m;
	int ret;

	memset(&m, 0, sizeof(m));
	m.open.signals.fd = -1;
	ret = vm_init(&m.vm, cfg);
	if (ret)
		return ret;
	boot_plan_init(&plan);
	ret = sketch(&m, cfg, &plan);
	if (!ret && cfg->dump_dtb)
		ret = dump_dtb(&plan, cfg->dump_dtb);
	boot_plan_free(&plan);
	machine_destroy(&m);
	return ret;
}
