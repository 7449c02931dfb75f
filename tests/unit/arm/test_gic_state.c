/* SPDX-License-Identifier: MIT */
/*
 * The registers of the interrupt controller against a model of KVM's attributes: reset, saved,
 * loaded. (The model stands in for one-reg.c, which is then not taken from the library.)
 */
#include "no_regs.h"
#include "unit.h"

#include <fcntl.h>
#include <stdlib.h>

#include "../../../arm/arm.h"
#include "capture.h"
#include "lkvm/device.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

#define NR_VCPUS 3
#define MAX_REGS 4096

/* Attributes that were written or read, in the order in which they came up. */
struct model {
	bool v3;
	struct {
		u32 group;
		u64 attr, value;
	} regs[MAX_REGS];
	u32 nr;
	u32 lpis_on_while_moved; /* GICR_CTLR not 0 as a table's address was written */
	u32 its_saved, its_restored, pending_saved, its_resets;
	u32 its_ctlr_before_tables;
};

static struct model *model;

static u64 *model_reg(u32 group, u64 attr)
{
	for (u32 i = 0; i < model->nr; i++)
		if (model->regs[i].group == group && model->regs[i].attr == attr)
			return &model->regs[i].value;
	assert_true(model->nr < MAX_REGS);
	model->regs[model->nr].group = group;
	model->regs[model->nr].attr = attr;
	return &model->regs[model->nr++].value;
}

static bool is_irq_group(u32 group, u64 attr)
{
	u32 offset = (u32)attr & 0xffff;

	if (group == KVM_DEV_ARM_VGIC_GRP_REDIST_REGS)
		return (u32)attr >= 0x10100 && offset < 0x400;
	return group == KVM_DEV_ARM_VGIC_GRP_DIST_REGS && offset >= 0x100 && offset < 0x400;
}

/* Pairs of registers that set and clear: 0x100 and 0x180, 0x200 and 0x280, 0x300 and 0x380. */
static void write_bits(u32 group, u64 attr, u32 value)
{
	bool pending = ((u32)attr & 0x300) == 0x200, clear = attr & 0x80;
	u64 *reg = model_reg(group, attr & ~0x80ULL);

	if (pending && model->v3)
		*reg = clear ? *reg : value;
	else
		*reg = clear ? *reg & ~value : *reg | value;
}

static int model_control(u64 attr, int fd)
{
	if (fd == 8 && attr == KVM_DEV_ARM_ITS_SAVE_TABLES)
		model->its_saved++;
	else if (fd == 8 && attr == KVM_DEV_ARM_ITS_RESTORE_TABLES)
		model->its_restored++;
	else if (fd == 8 && attr == KVM_DEV_ARM_ITS_CTRL_RESET)
		model->its_resets++;
	else if (fd == 7 && attr == KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES)
		model->pending_saved++;
	else
		return -ENXIO;
	return 0;
}

int kvm_set_attr(int fd, u32 group, u64 attr, const void *value)
{
	u64 word = 0;

	if (group == KVM_DEV_ARM_VGIC_GRP_CTRL)
		return model_control(attr, fd);
	memcpy(&word, value,
	       group == KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS || group == KVM_DEV_ARM_VGIC_GRP_ITS_REGS
		       ? 8
		       : 4);
	if (is_irq_group(group, attr)) {
		write_bits(group, attr, (u32)word);
		return 0;
	}
	if (group == KVM_DEV_ARM_VGIC_GRP_REDIST_REGS && ((u32)attr & ~0xfU) == 0x70)
		model->lpis_on_while_moved += *model_reg(group, attr & ~0xffffULL) != 0;
	if (group == KVM_DEV_ARM_VGIC_GRP_ITS_REGS && !attr && word)
		model->its_ctlr_before_tables += !model->its_restored;
	*model_reg(group, attr) = word;
	return 0;
}

int kvm_get_attr(int fd, u32 group, u64 attr, void *value)
{
	bool wide =
		group == KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS || group == KVM_DEV_ARM_VGIC_GRP_ITS_REGS;

	memcpy(value, model_reg(group, attr), wide ? 8 : 4);
	return 0;
}

bool kvm_has_attr(int fd, u32 group, u64 attr)
{
	return true;
}

struct rig {
	struct model model;
	struct vm vm;
	struct vm_config cfg;
	struct vcpu vcpus[NR_VCPUS];
	struct arch_vcpu arch[NR_VCPUS];
	struct vcpu *list[NR_VCPUS];
	struct arch_vm arch_vm;
};

static struct rig *make(enum arm_irqchip kind)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_int_equal(vm_init(&r->vm, &r->cfg), 0);
	/* A VM in KVM, as far as anybody looks. */
	r->vm.kvm.vm_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	r->vm.arch = &r->arch_vm;
	r->arch_vm.gic.kind = kind;
	r->arch_vm.gic.fd = 7;
	r->arch_vm.gic.its_fd = kind == ARM_IRQCHIP_GICV3_ITS ? 8 : -1;
	for (u32 i = 0; i < NR_VCPUS; i++) {
		r->vcpus[i].id = i;
		r->vcpus[i].vm = &r->vm;
		r->arch[i].mpidr = 0x80000000 | i;
		r->vcpus[i].arch = &r->arch[i];
		r->list[i] = &r->vcpus[i];
	}
	r->vm.vcpus = r->list;
	r->vm.nr_vcpus = NR_VCPUS;
	model = &r->model;
	model->v3 = kind != ARM_IRQCHIP_GICV2;
	/* What KVM has at first. */
	*model_reg(KVM_DEV_ARM_VGIC_GRP_DIST_REGS, 0xc08) = 0xaaaaaaaa;
	assert_int_equal(arm_gic_add_devices(&r->vm), 0);
	/* From a reset on the model knows all registers that are reset. */
	r->vm.devices->ops->reset(r->vm.devices);
	return r;
}

static void destroy(struct rig *r)
{
	vm_destroy_devices(&r->vm);
	r->vm.vcpus = NULL;
	r->vm.nr_vcpus = 0;
	vm_destroy(&r->vm);
	free(r);
}

/* Anything in every register. */
static void dirty(struct rig *r)
{
	u64 x = 0x123456789abcdefULL;

	model = &r->model;
	for (u32 i = 0; i < model->nr; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		model->regs[i].value = (u32)x;
	}
}

static void save(struct rig *r, struct state_buf *out)
{
	model = &r->model;
	out->len = 0;
	assert_int_equal(device_save(r->vm.devices, out), 0);
}

static int load(struct rig *r, const struct state_buf *buf)
{
	struct state_reader in = { buf->data, buf->len };

	model = &r->model;
	return device_load(r->vm.devices, &in);
}

static const enum arm_irqchip kinds[] = { ARM_IRQCHIP_GICV2, ARM_IRQCHIP_GICV3,
					  ARM_IRQCHIP_GICV3_ITS };

static void test_reset(void **state)
{
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		struct rig *r = make(kinds[k]);
		struct model *before = malloc(sizeof(*before));

		*before = r->model;
		dirty(r);
		r->model.lpis_on_while_moved = 0;
		r->vm.devices->ops->reset(r->vm.devices);
		assert_int_equal(r->model.nr, before->nr);
		assert_int_equal(r->model.lpis_on_while_moved, 0);
		assert_int_equal(r->model.its_resets, kinds[k] == ARM_IRQCHIP_GICV3_ITS ? 2 : 0);
		for (u32 i = 0; i < before->nr; i++) {
			bool host_bits =
				before->regs[i].group == KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS &&
				(before->regs[i].attr & 0xffff) == 0xc664;

			if (host_bits)
				assert_int_equal(r->model.regs[i].value & 3, 0);
			else
				assert_int_equal(r->model.regs[i].value, before->regs[i].value);
		}
		free(before);
		destroy(r);
	}
}

static void test_state(void **state)
{
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
		struct rig *used = make(kinds[k]), *fresh = make(kinds[k]);
		bool its = kinds[k] == ARM_IRQCHIP_GICV3_ITS;
		struct state_buf initial = { 0 }, first = { 0 }, second = { 0 };

		save(used, &initial);
		dirty(used);
		save(used, &first);
		assert_int_equal(used->model.its_saved, its ? 2 : 0);
		assert_int_equal(used->model.pending_saved, its ? 2 : 0);
		assert_memory_not_equal(first.data, initial.data, first.len);
		fresh->model.lpis_on_while_moved = 0;
		assert_int_equal(load(fresh, &first), 0);
		assert_int_equal(fresh->model.lpis_on_while_moved, 0);
		assert_int_equal(fresh->model.its_restored, its);
		assert_int_equal(fresh->model.its_ctlr_before_tables, 0);
		save(fresh, &second);
		assert_int_equal(first.len, second.len);
		assert_memory_equal(first.data, second.data, first.len);
		/* And every register is the same, whether the table knows it or not. */
		for (u32 i = 0; i < used->model.nr; i++) {
			model = &fresh->model;
			assert_int_equal(
				*model_reg(used->model.regs[i].group, used->model.regs[i].attr),
				used->model.regs[i].value);
		}
		/* Back: bits that are set are cleared. */
		assert_int_equal(load(fresh, &initial), 0);
		save(fresh, &second);
		assert_memory_equal(initial.data, second.data, initial.len);
		state_buf_free(&initial);
		state_buf_free(&first);
		state_buf_free(&second);
		destroy(used);
		destroy(fresh);
	}
}

static void test_another_kind(void **state)
{
	struct rig *v2 = make(ARM_IRQCHIP_GICV2), *v3 = make(ARM_IRQCHIP_GICV3);
	struct state_buf buf = { 0 };

	save(v3, &buf);
	capture_begin();
	assert_int_equal(load(v2, &buf), -EINVAL);
	assert_non_null(strstr(capture_end(), "state of gic: its fields contradict each other"));
	state_buf_free(&buf);
	destroy(v2);
	destroy(v3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_state),
		cmocka_unit_test(test_another_kind),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
