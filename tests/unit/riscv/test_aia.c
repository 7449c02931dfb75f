/* SPDX-License-Identifier: MIT */
/*
 * The AIA against a model of KVM's attributes (Linux arch/riscv/kvm/aia_device.c, aia_aplic.c): set
 * up, described, reset, saved, loaded. (The model stands in for one-reg.c, which is then not taken
 * from the library.)
 */
#include "no_regs.h"
#include "unit.h"

#include <fcntl.h>
#include <libfdt.h>
#include <stdlib.h>

#include "../../../riscv/layout.h"
#include "../../../riscv/riscv.h"
#include "../capture.h"
#include "lkvm/arch.h"
#include "lkvm/device.h"
#include "lkvm/fdt.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

#define MAX_VCPUS 5
#define FD	  7

/* Offsets in the APLIC, numbers of an IMSIC's registers. */
enum { SETIP = 0x1c00, CLRIP = 0x1d00, SETIE = 0x1e00, CLRIE = 0x1f00, TARGET = 0x3000 };
enum { EIDELIVERY = 0x70, EITHRESHOLD = 0x72, EIP = 0x80, EIE = 0xc0 };

struct model {
	u32 config[7], nr_vcpus;
	u64 aplic_addr, imsic_addr[MAX_VCPUS];
	bool initialized;
	u32 refused_group; /* -EINVAL for all of it; ~0: none */
	u32 aplic[0x1000]; /* but for bits: those are the two below */
	u32 pending[3], enabled[3];
	u64 imsic[MAX_VCPUS][0x100];
	u32 sent; /* messages of the APLIC */
};

static struct model *model;

static bool is_active(u32 source)
{
	return model->aplic[source] & 7;
}

/* A source that is off has no pending bit. */
static u32 active(u32 word)
{
	u32 bits = 0;

	for (u32 i = 0; i < 32; i++)
		if (word * 32 + i && is_active(word * 32 + i))
			bits |= BIT(i);
	return bits;
}

static int write_aplic(u32 offset, u32 value)
{
	u32 word = offset % 0x100 / 4;

	assert_true(model->initialized && offset % 4 == 0 && offset < 0x4000);
	if (offset >= SETIP && offset < SETIP + 0x400)
		assert_true(word <= model->config[KVM_DEV_RISCV_AIA_CONFIG_SRCS] / 32);
	switch (offset & ~0xffU) {
	case SETIP:
		model->pending[word] |= value & active(word);
		break;
	case CLRIP:
		model->pending[word] &= ~(value & active(word));
		break;
	case SETIE:
		model->enabled[word] |= value;
		break;
	case CLRIE:
		model->enabled[word] &= ~value;
		break;
	default:
		model->aplic[offset / 4] = offset ? value : value & 0x100;
	}
	for (u32 i = 0; i < 3 && model->aplic[0]; i++) {
		model->sent += (u32)__builtin_popcount(model->pending[i] & model->enabled[i]);
		model->pending[i] &= ~model->enabled[i];
	}
	return 0;
}

static u32 read_aplic(u32 offset)
{
	u32 word = offset % 0x100 / 4;

	switch (offset & ~0xffU) {
	case SETIP:
		return model->pending[word];
	case SETIE:
		return model->enabled[word];
	}
	/* What is read-only of domaincfg. */
	return offset ? model->aplic[offset / 4] : model->aplic[0] | 0x80000004;
}

static u64 *imsic_reg(u64 attr)
{
	u64 vcpu = attr >> 12, reg = attr & 0xfff;
	u32 words = (model->config[KVM_DEV_RISCV_AIA_CONFIG_IDS] + 1) / 64;

	assert_true(model->initialized && vcpu < model->nr_vcpus);
	assert_true(reg == EIDELIVERY || reg == EITHRESHOLD ||
		    (reg >= EIP && reg < 0x100 && reg % 2 == 0 && reg % 0x40 / 2 < words));
	return &model->imsic[vcpu][reg];
}

static int init_aia(void)
{
	assert_false(model->initialized);
	model->initialized = true;
	return 0;
}

int kvm_set_attr(int fd, u32 group, u64 attr, const void *value)
{
	u32 word = 0;

	assert_int_equal(fd, FD);
	if (group == model->refused_group)
		return -EINVAL;
	if (value)
		memcpy(&word, value, 4);
	switch (group) {
	case KVM_DEV_RISCV_AIA_GRP_CONFIG:
		assert_true(!model->initialized && attr < ARRAY_SIZE(model->config));
		model->config[attr] = word;
		return 0;
	case KVM_DEV_RISCV_AIA_GRP_ADDR:
		assert_true(!model->initialized && attr <= model->nr_vcpus);
		memcpy(attr ? &model->imsic_addr[attr - 1] : &model->aplic_addr, value, 8);
		return 0;
	case KVM_DEV_RISCV_AIA_GRP_CTRL:
		assert_int_equal(attr, KVM_DEV_RISCV_AIA_CTRL_INIT);
		return init_aia();
	case KVM_DEV_RISCV_AIA_GRP_APLIC:
		return write_aplic((u32)attr, word);
	default:
		assert_int_equal(group, KVM_DEV_RISCV_AIA_GRP_IMSIC);
		memcpy(imsic_reg(attr), value, 8);
		return 0;
	}
}

int kvm_get_attr(int fd, u32 group, u64 attr, void *value)
{
	u32 word;

	if (group == model->refused_group)
		return -EINVAL;
	if (group == KVM_DEV_RISCV_AIA_GRP_IMSIC) {
		memcpy(value, imsic_reg(attr), 8);
		return 0;
	}
	word = group == KVM_DEV_RISCV_AIA_GRP_CONFIG ? model->config[attr] : read_aplic((u32)attr);
	memcpy(value, &word, 4);
	return 0;
}

bool kvm_has_attr(int fd, u32 group, u64 attr)
{
	return true;
}

static const struct irq_chip_ops chip = { 0 };

struct rig {
	struct model model;
	struct vm vm;
	struct vm_config cfg;
	struct arch_vm arch;
	struct vcpu vcpus[MAX_VCPUS];
	struct vcpu *list[MAX_VCPUS];
};

/* As far as before riscv_irqchip_finish. */
static struct rig *begin(u32 cpus, u32 ids)
{
	struct rig *r = calloc(1, sizeof(*r));

	assert_int_equal(vm_init(&r->vm, &r->cfg), 0);
	assert_int_equal(irq_init(&r->vm.irqs, &chip, r), 0);
	/* A VM in KVM, as far as anybody looks. */
	r->vm.kvm.vm_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	r->vm.arch = &r->arch;
	r->arch.irqchip = (struct riscv_irqchip){ .kind = RISCV_IRQCHIP_AIA, .fd = FD };
	r->cfg.cpus = cpus;
	for (u32 i = 0; i < cpus; i++) {
		r->vcpus[i] = (struct vcpu){ .id = i, .vm = &r->vm };
		r->list[i] = &r->vcpus[i];
	}
	r->vm.vcpus = r->list;
	r->vm.nr_vcpus = cpus;
	model = &r->model;
	model->nr_vcpus = cpus;
	model->refused_group = ~0U;
	model->config[KVM_DEV_RISCV_AIA_CONFIG_IDS] = ids;
	return r;
}

static struct rig *make(u32 cpus, u32 ids)
{
	struct rig *r = begin(cpus, ids);

	assert_int_equal(riscv_irqchip_finish(&r->vm), 0);
	assert_int_equal(riscv_irqchip_add_devices(&r->vm), 0);
	return r;
}

static void destroy(struct rig *r)
{
	vm_destroy_devices(&r->vm);
	r->vm.vcpus = NULL;
	r->vm.nr_vcpus = 0;
	r->vm.arch = NULL;
	vm_destroy(&r->vm);
	free(r);
}

static void test_setup(void **state)
{
	static const struct {
		u32 cpus, ids, sources, bits;
	} cases[] = {
		{ 1, 255, 95, 0 },
		{ 2, 255, 95, 1 },
		{ 3, 2047, 95, 2 },
		{ 4, 127, 95, 2 },
		{ 5, 255, 95, 3 },
		/* Not more sources than identities. */
		{ 2, 63, 63, 1 },
	};

	for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
		struct rig *r = make(cases[c].cpus, cases[c].ids);

		assert_true(r->model.initialized);
		assert_int_equal(r->model.config[KVM_DEV_RISCV_AIA_CONFIG_SRCS], cases[c].sources);
		assert_int_equal(r->model.config[KVM_DEV_RISCV_AIA_CONFIG_HART_BITS],
				 cases[c].bits);
		assert_int_equal(r->model.aplic_addr, 0x9000000);
		for (u32 i = 0; i < cases[c].cpus; i++)
			assert_int_equal(r->model.imsic_addr[i], 0x8000000 + i * 0x1000);
		/* Lines first, messages behind all that there could be. */
		assert_int_equal(r->vm.irqs.nr_fixed, cases[c].sources + 1);
		assert_int_equal(r->vm.irqs.fixed[cases[c].sources].u.irqchip.pin,
				 cases[c].sources);
		assert_int_equal(r->vm.irqs.first_msi_gsi, RISCV_NR_LINES);
		destroy(r);
	}
}

/* Fewer sources than the machine has lines: devices of virtio-mmio have the last ones. */
static void test_few_identities(void **state)
{
	struct rig *r = begin(1, 63);

	r->cfg.transport = TRANSPORT_MMIO;
	r->cfg.nr_disks = 57;
	capture_begin();
	assert_int_equal(riscv_irqchip_finish(&r->vm), -ENOSPC);
	assert_non_null(strstr(capture_end(),
			       "--virtio-transport mmio: has a maximum of 56 devices "
			       "on this host, whose AIA tells 63 interrupts apart, "
			       "but 57 are configured; use pci"));
	r->cfg.transport = TRANSPORT_PCI;
	assert_int_equal(riscv_irqchip_finish(&r->vm), 0);
	r->cfg.nr_disks = 0;
	destroy(r);
	/* The last source, which the chip has. */
	r = begin(1, 63);
	r->cfg.transport = TRANSPORT_MMIO;
	r->cfg.nr_disks = 56;
	assert_int_equal(riscv_irqchip_finish(&r->vm), 0);
	assert_int_equal(r->arch.irqchip.num_sources, RISCV_GSI_VIRTIO_MMIO + 56 - 1);
	r->cfg.nr_disks = 0;
	destroy(r);
}

static void test_refused_setup(void **state)
{
	static const char *const said[] = {
		[KVM_DEV_RISCV_AIA_GRP_CONFIG] = "KVM does not tell its identities",
		[KVM_DEV_RISCV_AIA_GRP_ADDR] = "cannot set the APLIC's address",
		[KVM_DEV_RISCV_AIA_GRP_CTRL] = "cannot set the end of its setup",
	};

	for (u32 group = 0; group < ARRAY_SIZE(said); group++) {
		struct rig *r = begin(1, 255);

		model->refused_group = group;
		capture_begin();
		assert_int_equal(riscv_irqchip_finish(&r->vm), -EINVAL);
		assert_non_null(strstr(capture_end(), said[group]));
		destroy(r);
	}
}

/* On a host without an AIA: what was asked for is not quietly something else. */
static void test_choice(void **state)
{
	static const struct {
		enum riscv_irqchip_kind irqchip;
		enum riscv_aia_mode aia;
		const char *said; /* NULL: a PLIC */
	} cases[] = {
		{ RISCV_IRQCHIP_DEFAULT, RISCV_AIA_DEFAULT, NULL },
		{ RISCV_IRQCHIP_PLIC, RISCV_AIA_DEFAULT, NULL },
		{ RISCV_IRQCHIP_AIA, RISCV_AIA_EMUL,
		  "--irqchip aia: the CPUs of this host have no" },
		{ RISCV_IRQCHIP_DEFAULT, RISCV_AIA_AUTO,
		  "--aia auto: the CPUs of this host have no" },
	};

	for (size_t c = 0; c < ARRAY_SIZE(cases); c++) {
		struct rig *r = begin(1, 255);

		r->cfg.riscv.irqchip = cases[c].irqchip;
		r->cfg.riscv.aia = cases[c].aia;
		assert_int_equal(riscv_irqchip_check(&r->cfg), 0);
		capture_begin();
		assert_int_equal(riscv_irqchip_init(&r->vm), cases[c].said ? -ENODEV : 0);
		capture_end();
		if (cases[c].said)
			assert_non_null(strstr(captured, cases[c].said));
		else
			assert_int_equal(r->arch.irqchip.kind, RISCV_IRQCHIP_PLIC);
		/* A PLIC has no messages, and no descriptors. */
		assert_true(cases[c].said || !r->vm.irqs.ops->send_msi);
		assert_true(cases[c].said || !r->vm.irqs.ops->bind_irqfd);
		destroy(r);
	}
}

static void test_contradiction(void **state)
{
	struct vm_config cfg = { 0 };

	cfg.riscv.irqchip = RISCV_IRQCHIP_PLIC;
	cfg.riscv.aia = RISCV_AIA_HWACCEL;
	capture_begin();
	assert_int_equal(riscv_irqchip_check(&cfg), -EINVAL);
	assert_non_null(
		strstr(capture_end(), "--aia hwaccel: with --irqchip plic there is no AIA"));
	cfg.riscv.irqchip = RISCV_IRQCHIP_AIA;
	assert_int_equal(riscv_irqchip_check(&cfg), 0);
}

/* KVM found no guest interrupt file: not an error of the guest's, whose registers nobody wants. */
static void test_no_guest_file(void **state)
{
	struct rig *r = begin(2, 255);
	struct kvm_run run = { .exit_reason = KVM_EXIT_FAIL_ENTRY };
	int status;
	s32 vcpu;

	r->vcpus[1].run = &run;
	run.fail_entry.hardware_entry_failure_reason = 2;
	assert_int_equal(arch_vcpu_exit(&r->vcpus[1]), -ENOTSUP);
	run.fail_entry.hardware_entry_failure_reason = 1;
	run.fail_entry.cpu = 6;
	capture_begin();
	assert_int_equal(arch_vcpu_exit(&r->vcpus[1]), 0);
	assert_non_null(strstr(capture_end(), "--aia hwaccel: vcpu 1 finds no free guest interrupt "
					      "file on the host's CPU 6; use --aia auto"));
	assert_int_equal(vm_stop_reason(&r->vm, &status, &vcpu), VM_STOP_ENTRY_FAILED);
	assert_int_equal(vcpu, 1);
	/* Another one has nothing to add. */
	r->vcpus[0].run = &run;
	capture_begin();
	assert_int_equal(arch_vcpu_exit(&r->vcpus[0]), 0);
	assert_string_equal(capture_end(), "");
	destroy(r);
}

/* All that the guest can have changed, at a moment when nothing is about to be sent. */
static void dirty(struct rig *r, u64 x)
{
	model = &r->model;
	for (u32 source = 1; source < RISCV_NR_LINES; source++) {
		model->aplic[source] = 4 + source % 4;
		model->aplic[TARGET / 4 + source] = (u32)(x * source);
	}
	model->aplic[0] = 0x100;
	for (u32 i = 0; i < 3; i++) {
		model->enabled[i] = (u32)x << i;
		model->pending[i] = ~model->enabled[i] & (i ? ~0U : ~1U);
	}
	for (u32 vcpu = 0; vcpu < model->nr_vcpus; vcpu++) {
		model->imsic[vcpu][EIDELIVERY] = 1;
		model->imsic[vcpu][EITHRESHOLD] = vcpu + 3;
		for (u32 i = 0; i < 4; i++) {
			model->imsic[vcpu][EIP + 2 * i] = x * (vcpu + 5 + i);
			model->imsic[vcpu][EIE + 2 * i] = x * (vcpu + 11 + i);
		}
	}
}

static void test_reset(void **state)
{
	struct rig *r = make(3, 255);
	struct model zero = { 0 };

	dirty(r, 0x123456789abcdefULL);
	/* Nothing goes out as it is switched off. */
	r->vm.devices->ops->reset(r->vm.devices);
	assert_int_equal(r->model.sent, 0);
	assert_memory_equal(r->model.aplic, zero.aplic, sizeof(zero.aplic));
	assert_memory_equal(r->model.pending, zero.pending, sizeof(zero.pending));
	assert_memory_equal(r->model.enabled, zero.enabled, sizeof(zero.enabled));
	assert_memory_equal(r->model.imsic, zero.imsic, sizeof(zero.imsic));
	destroy(r);
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

static void assert_same_registers(const struct model *a, const struct model *b)
{
	assert_memory_equal(a->aplic, b->aplic, sizeof(a->aplic));
	assert_memory_equal(a->pending, b->pending, sizeof(a->pending));
	assert_memory_equal(a->enabled, b->enabled, sizeof(a->enabled));
	assert_memory_equal(a->imsic, b->imsic, sizeof(a->imsic));
}

static void test_state(void **state)
{
	struct rig *used = make(2, 255), *fresh = make(2, 255), *other = make(2, 255);
	struct state_buf first = { 0 }, second = { 0 };

	dirty(used, 0x123456789abcdefULL);
	save(used, &first);
	assert_int_equal(load(fresh, &first), 0);
	assert_same_registers(&fresh->model, &used->model);
	save(fresh, &second);
	assert_int_equal(first.len, second.len);
	assert_memory_equal(first.data, second.data, first.len);
	/* Into one that was something else, whose sources would now send. */
	dirty(other, ~0x123456789abcdefULL);
	assert_int_equal(load(other, &first), 0);
	assert_same_registers(&other->model, &used->model);
	/* What waits for a domain that is off, into one that is on. */
	dirty(used, 0x5555);
	used->model.aplic[0] = 0;
	used->model.pending[1] = used->model.enabled[1];
	save(used, &first);
	assert_int_equal(load(other, &first), 0);
	assert_same_registers(&other->model, &used->model);
	assert_int_equal(fresh->model.sent + other->model.sent, 0);
	state_buf_free(&first);
	state_buf_free(&second);
	destroy(used);
	destroy(fresh);
	destroy(other);
}

static void test_refused_state(void **state)
{
	struct rig *narrow = make(2, 127), *wide = make(2, 255);
	struct state_buf buf = { 0 };

	save(wide, &buf);
	capture_begin();
	assert_int_equal(load(narrow, &buf), -EINVAL);
	assert_non_null(strstr(capture_end(), "state of aia: its fields contradict each other"));
	wide->model.refused_group = KVM_DEV_RISCV_AIA_GRP_IMSIC;
	capture_begin();
	assert_int_equal(load(wide, &buf), -EINVAL);
	assert_non_null(strstr(capture_end(), "cannot write its registers"));
	capture_begin();
	assert_int_equal(device_save(wide->vm.devices, &buf), -EINVAL);
	assert_non_null(strstr(capture_end(), "cannot read its registers"));
	state_buf_free(&buf);
	destroy(narrow);
	destroy(wide);
}

static u32 cell(const void *blob, int node, const char *name, int index)
{
	int len;
	const fdt32_t *p = fdt_getprop(blob, node, name, &len);

	assert_non_null(p);
	assert_true(len >= (index + 1) * 4);
	return fdt32_to_cpu(p[index]);
}

static void test_nodes(void **state)
{
	struct rig *r = make(3, 127);
	u32 cells[FDTW_MAX_IRQ_CELLS];
	struct fdtw fdt;
	size_t size;
	int imsics, aplic;

	fdtw_begin(&fdt, 64 * KiB);
	fdtw_u32(&fdt, "#address-cells", 2);
	fdtw_u32(&fdt, "#size-cells", 2);
	riscv_irqchip_describe(&r->vm, &fdt);
	assert_int_equal(fdtw_finish(&fdt, &size), 0);
	imsics = fdt_node_offset_by_compatible(fdt.buf, -1, "riscv,imsics");
	assert_int_equal(cell(fdt.buf, imsics, "reg", 1), 0x8000000);
	assert_int_equal(cell(fdt.buf, imsics, "reg", 3), 0x3000);
	assert_int_equal(cell(fdt.buf, imsics, "riscv,num-ids", 0), 127);
	assert_int_equal(cell(fdt.buf, imsics, "riscv,hart-index-bits", 0), 2);
	assert_int_equal(cell(fdt.buf, imsics, "interrupts-extended", 4), RISCV_PHANDLE_HART + 2);
	assert_int_equal(cell(fdt.buf, imsics, "interrupts-extended", 5), 9);
	assert_int_equal(fdt_get_phandle(fdt.buf, imsics), fdt.msi_phandle);
	aplic = fdt_node_offset_by_compatible(fdt.buf, -1, "riscv,aplic");
	assert_int_equal(cell(fdt.buf, aplic, "reg", 1), 0x9000000);
	assert_int_equal(cell(fdt.buf, aplic, "reg", 3), 0x4000);
	assert_int_equal(cell(fdt.buf, aplic, "riscv,num-sources", 0), 95);
	assert_int_equal(cell(fdt.buf, aplic, "msi-parent", 0), fdt.msi_phandle);
	assert_int_equal(fdt_get_phandle(fdt.buf, aplic), RISCV_PHANDLE_IRQCHIP);
	assert_false(fdt.msi_devid);
	assert_int_equal(fdt.irq_cells(6, false, cells), 2);
	assert_int_equal(cells[0], 6);
	assert_int_equal(cells[1], 4);
	fdt.irq_cells(6, true, cells);
	assert_int_equal(cells[1], 1);
	fdtw_destroy(&fdt);
	destroy(r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_setup),	      cmocka_unit_test(test_few_identities),
		cmocka_unit_test(test_refused_setup), cmocka_unit_test(test_reset),
		cmocka_unit_test(test_state),	      cmocka_unit_test(test_refused_state),
		cmocka_unit_test(test_choice),	      cmocka_unit_test(test_contradiction),
		cmocka_unit_test(test_no_guest_file), cmocka_unit_test(test_nodes),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
