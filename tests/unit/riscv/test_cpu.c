/* SPDX-License-Identifier: MIT */
/* The CPU model: the words of --cpu and --sbi, and what of it KVM is told. */
#include "capture.h"
#include "ext_set.h"
#include "fdt_read.h"
#include "no_attrs.h"

#include <stdlib.h>

#include "../../../riscv/cpu.h"
#include "lkvm/fdt.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

#define CBOM_SIZE 0x8030000001000001
#define CBOZ_SIZE 0x8030000001000005
#define CBOP_SIZE 0x8030000001000007

/* In place of one-reg.c: a KVM with vcpus that answers as Linux's does. */
static struct fake_kvm {
	bool no_list, no_sbi, no_ids;
	struct riscv_ext_set there, stubborn; /* stubborn: never on, though it is there */
	struct riscv_ext_set fixed;
	u64 sbi_there;
	u64 satp_mode;
	struct fake_vcpu {
		struct riscv_ext_set on;
		u64 sbi;
		u64 ids[RISCV_NR_CPU_IDS];
	} vcpus[2];
	u32 sets, tried;
} kvm;

/* The register @reg of an extension or an id: its number, and which kind. */
enum kind { ISA, SBI, ID, SATP, TIMEBASE, BLOCK, OTHER };
static enum kind kind_of(u64 reg, u32 *n)
{
	static const struct {
		enum kind kind;
		u64 base;
		u32 nr;
	} kinds[] = {
		{ ISA, 0x8030000007000000, 128 }, { SBI, 0x8030000008000000, 64 },
		{ ID, 0x8030000001000002, 3 },	  { SATP, 0x8030000001000006, 1 },
		{ BLOCK, CBOM_SIZE, 1 },	  { BLOCK, CBOZ_SIZE, 1 },
		{ BLOCK, CBOP_SIZE, 1 },	  { TIMEBASE, 0x8030000004000000, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		*n = (u32)(reg - kinds[i].base);
		if (reg - kinds[i].base < kinds[i].nr)
			return kinds[i].kind;
	}
	return OTHER;
}

int vcpu_get_reg(const struct vcpu *vcpu, u64 id, void *value)
{
	const struct fake_vcpu *v = &kvm.vcpus[vcpu->id];
	u64 *out = value;
	u32 n;

	kvm.tried++;
	switch (kind_of(id, &n)) {
	case ISA:
		if (!riscv_ext_in(&kvm.there, n))
			return -ENOENT;
		*out = riscv_ext_in(&v->on, n);
		return 0;
	case SBI:
		if (kvm.no_sbi || !(kvm.sbi_there >> n & 1))
			return -ENOENT;
		*out = v->sbi >> n & 1;
		return 0;
	case ID:
		*out = v->ids[n];
		return 0;
	case SATP:
		*out = kvm.satp_mode;
		return kvm.satp_mode ? 0 : -ENOENT;
	case TIMEBASE:
		*out = 24000000;
		return 0;
	case BLOCK:
		/* Management, zeroing and prefetch have sizes of their own. */
		*out = id == CBOM_SIZE ? 64 : id == CBOZ_SIZE ? 128 : 32;
		return 0;
	default:
		fail_msg("register 0x%llx", (unsigned long long)id);
		return -EINVAL;
	}
}

static int set_isa(struct fake_vcpu *v, u32 n, u64 value)
{
	if (!riscv_ext_in(&kvm.there, n))
		return -ENOENT;
	if (value == riscv_ext_in(&v->on, n))
		return 0;
	if (value == 1 ? riscv_ext_in(&kvm.stubborn, n) : riscv_ext_in(&kvm.fixed, n))
		return -EINVAL;
	riscv_ext_put(&v->on, n, value);
	return 0;
}

int vcpu_set_reg(const struct vcpu *vcpu, u64 id, const void *value)
{
	struct fake_vcpu *v = &kvm.vcpus[vcpu->id];
	const u64 *in = value;
	u32 n;

	kvm.sets++;
	switch (kind_of(id, &n)) {
	case ISA:
		return set_isa(v, n, *in);
	case SBI:
		if (kvm.no_sbi || !(kvm.sbi_there >> n & 1))
			return -ENOENT;
		assert_true(*in <= 1);
		v->sbi = (v->sbi & ~BIT_ULL(n)) | *in << n;
		return 0;
	case ID:
		if (kvm.no_ids)
			return -ENOENT;
		v->ids[n] = *in;
		return 0;
	default:
		fail_msg("register 0x%llx is written", (unsigned long long)id);
		return -EINVAL;
	}
}

int vcpu_list_regs(const struct vcpu *vcpu, struct kvm_reg_list **list)
{
	*list = NULL;
	if (kvm.no_list)
		return -EINVAL;
	*list = xcalloc(1, sizeof(**list) + 300 * sizeof((*list)->reg[0]));
	/* A register of none of ours, of the configuration, and bits of many extensions at once. */
	(*list)->reg[(*list)->n++] = 0x8030000002000000;
	(*list)->reg[(*list)->n++] = 0x8030000001000000;
	(*list)->reg[(*list)->n++] = 0x8030000007010000;
	for (u32 i = 0; i < RISCV_MAX_EXTS; i++)
		if (riscv_ext_in(&kvm.there, i))
			(*list)->reg[(*list)->n++] = 0x8030000007000000 + i;
	for (u32 i = 0; i < 64 && !kvm.no_sbi; i++)
		if (kvm.sbi_there >> i & 1)
			(*list)->reg[(*list)->n++] = 0x8030000008000000 + i;
	return 0;
}

/* Two vcpus of a host with the extensions @there, of which @off are not on by default. */
static void host(const char *there, const char *off)
{
	struct riscv_ext_set without = set_of(off);

	memset(&kvm, 0, sizeof(kvm));
	kvm.there = set_of(there);
	for (u32 i = 0; i < riscv_nr_exts; i++)
		riscv_ext_put(&kvm.fixed, riscv_exts[i].id, riscv_exts[i].flags & RISCV_EXT_FIXED);
	riscv_ext_put(&kvm.stubborn, RISCV_EXT_H, true);
	kvm.sbi_there = BIT_ULL(RISCV_NR_SBI_EXTS) - 1;
	kvm.satp_mode = 10;
	for (u32 i = 0; i < ARRAY_SIZE(kvm.vcpus); i++) {
		kvm.vcpus[i].sbi =
			kvm.sbi_there & ~(BIT_ULL(RISCV_SBI_DBCN) | BIT_ULL(RISCV_SBI_SUSP));
		for (size_t w = 0; w < ARRAY_SIZE(kvm.there.bits); w++)
			kvm.vcpus[i].on.bits[w] = kvm.there.bits[w] & ~without.bits[w];
	}
}

static struct rig {
	struct vm_config cfg;
	struct arch_vm arch;
	struct vm vm;
	struct vcpu vcpus[2];
} rig;

static int apply(const char *cpu, const char *sbi, enum riscv_irqchip_kind irqchip)
{
	int ret;

	riscv_cpu_destroy(&rig.vm);
	rig.cfg = (struct vm_config){
		.cpus = 2,
		.riscv = { .cpu = (char *)cpu, .sbi = (char *)sbi, .nested = rig.cfg.riscv.nested }
	};
	rig.arch.irqchip.kind = irqchip;
	kvm.sets = kvm.tried = 0;
	capture_begin();
	ret = riscv_cpu_init(&rig.vm);
	for (u32 i = 0; i < ARRAY_SIZE(rig.vcpus) && !ret; i++) {
		rig.vcpus[i] = (struct vcpu){ .vm = &rig.vm, .id = i };
		ret = riscv_cpu_vcpu(&rig.vcpus[i]);
	}
	capture_end();
	assert_told(ret);
	return ret;
}

static void refused(const char *cpu, const char *sbi, enum riscv_irqchip_kind irqchip,
		    const char *why)
{
	assert_int_equal(apply(cpu, sbi, irqchip), -EOPNOTSUPP);
	assert_contains(captured, why);
}

/* All vcpus are alike. */
static void expect_isa(const char *words)
{
	struct riscv_ext_set want = set_of(words);

	for (u32 i = 0; i < ARRAY_SIZE(kvm.vcpus); i++)
		assert_memory_equal(&kvm.vcpus[i].on, &want, sizeof(want));
}

static void *described(void)
{
	struct fdtw fdt;
	size_t len;

	fdtw_begin(&fdt, 8192);
	riscv_cpu_describe(&rig.vm, &fdt);
	assert_int_equal(fdtw_finish(&fdt, &len), 0);
	return fdt.buf;
}

static void expect_described(const char *isa)
{
	void *fdt = described();

	assert_dt_string(fdt, "/", "riscv,isa", isa);
	free(fdt);
}

static int setup(void **state)
{
	memset(&rig, 0, sizeof(rig));
	rig.vm.cfg = &rig.cfg;
	rig.vm.arch = &rig.arch;
	return 0;
}

static int teardown(void **state)
{
	riscv_cpu_destroy(&rig.vm);
	return 0;
}

static int parse(const char *cpu, const char *sbi, struct riscv_cpu_model *model)
{
	struct vm_config cfg = { .riscv = { .cpu = (char *)cpu, .sbi = (char *)sbi } };
	int ret;

	capture_begin();
	ret = riscv_cpu_model_parse(&cfg, model);
	capture_end();
	assert_told(ret);
	return ret;
}

static void misused(const char *cpu, const char *sbi, const char *why)
{
	struct riscv_cpu_model model;

	assert_int_equal(parse(cpu, sbi, &model), -EINVAL);
	assert_contains(captured, why);
}

static void test_words(void **state)
{
	struct riscv_cpu_model m;

	assert_int_equal(parse(NULL, NULL, &m), 0);
	assert_int_equal(m.base, RISCV_CPU_HOST);
	assert_int_equal(parse("min,+v,-zicbom,mimpid=0x12,marchid=7", "-pmu,+dbcn", &m), 0);
	assert_int_equal(m.base, RISCV_CPU_MIN);
	assert_int_equal(m.isa[RISCV_EXT_V], RISCV_ON);
	assert_int_equal(m.isa[RISCV_EXT_ZICBOM], RISCV_OFF);
	assert_int_equal(m.isa[RISCV_EXT_A], RISCV_AS_BASE);
	assert_int_equal(m.sbi[RISCV_SBI_PMU], RISCV_OFF);
	assert_int_equal(m.sbi[RISCV_SBI_DBCN], RISCV_ON);
	assert_int_equal(m.sbi[RISCV_SBI_SUSP], RISCV_AS_BASE);
	assert_true(!m.has_id[0] && m.has_id[1] && m.has_id[2]);
	assert_true(m.id[1] == 7 && m.id[2] == 0x12);
	/* The last word counts. */
	assert_int_equal(parse("max,-v,+v", "+pmu,-pmu", &m), 0);
	assert_int_equal(m.base, RISCV_CPU_MAX);
	assert_int_equal(m.isa[RISCV_EXT_V], RISCV_ON);
	assert_int_equal(m.sbi[RISCV_SBI_PMU], RISCV_OFF);

	assert_int_equal(parse(NULL, "host", &m), 0);
	assert_int_equal(m.sbi[RISCV_SBI_PMU], RISCV_AS_BASE);
	assert_int_equal(parse(NULL, "host,-pmu", &m), 0);
	assert_int_equal(m.sbi[RISCV_SBI_PMU], RISCV_OFF);

	misused("", NULL, "must begin with 'host', 'max' or 'min'");
	misused("+v", NULL, "not '+v'");
	misused("rocket", NULL, "not 'rocket'");
	misused("host,", NULL, "'' is not a setting");
	misused("host,v", NULL, "write +EXTENSION");
	misused("host,+zicbmo", NULL, "did you mean 'zicbom'");
	misused("host,+", NULL, "unknown extension ''; `lkvm run --cpu help`");
	misused("host,-xtheadba", NULL, "unknown extension 'xtheadba'");
	misused("host,marchid", NULL, "must be marchid=N");
	misused("host,marchid=", NULL, "must be marchid=N");
	misused("host,mvendorid=x", NULL, "must be mvendorid=N");
	misused("host,archid=1", NULL, "is not a setting");
	misused("host,-f,+d", NULL, "'d' needs 'f'");
	misused("host,-f,+zvbb", NULL, "'zvbb' needs 'f'");
	misused(NULL, "", "'' must be +EXTENSION");
	misused(NULL, "pmu", "must be +EXTENSION or -EXTENSION");
	misused(NULL, "+pmu,", "'' must be");
	misused(NULL, "host,", "'' must be");
	misused(NULL, "hosts,+pmu", "'hosts' must be");
	misused(NULL, "+pmu,host", "'host' must be");
	misused(NULL, "+dbnc", "--sbi: unknown extension 'dbnc'; did you mean 'dbcn'");
}

static void test_contradictions(void **state)
{
	struct vm_config cfg = { .riscv = { .cpu = (char *)"host,-h", .nested = true } };

	capture_begin();
	assert_int_equal(riscv_cpu_check(&cfg), -EINVAL);
	capture_end();
	assert_contains(captured, "--nested and --cpu: contradict");
	cfg.riscv =
		(struct riscv_config){ .cpu = (char *)"host,-ssaia", .irqchip = RISCV_IRQCHIP_AIA };
	capture_begin();
	assert_int_equal(riscv_cpu_check(&cfg), -EINVAL);
	capture_end();
	assert_contains(captured, "use --irqchip plic");
	cfg.riscv.irqchip = RISCV_IRQCHIP_PLIC;
	assert_int_equal(riscv_cpu_check(&cfg), 0);
}

/* Nothing is asked: nothing but the SBI's console and suspension is written. */
static void test_host(void **state)
{
	host("i m a f d c zicsr sstc ssaia svadu h", "svadu h");
	assert_int_equal(apply(NULL, NULL, RISCV_IRQCHIP_AIA), 0);
	assert_int_equal(kvm.sets, 4);
	/* Each register is read once: 11 extensions, those of the SBI, 5 others. */
	assert_int_equal(kvm.tried, 11 + RISCV_NR_SBI_EXTS + 5);
	expect_isa("i m a f d c zicsr sstc ssaia");
	expect_described("rv64imafdc_zicsr_ssaia_sstc");
	for (u32 i = 0; i < 2; i++)
		assert_true(kvm.vcpus[i].sbi == kvm.sbi_there);
	assert_int_equal(riscv_cpu_timebase(&rig.vm), 24000000);
}

/* Before Linux 6.6 there is no list, without which vcpus can neither be reset nor saved. */
static void test_no_list(void **state)
{
	host("i m a f d c zicsr", "");
	kvm.no_list = true;
	assert_int_equal(apply(NULL, NULL, RISCV_IRQCHIP_PLIC), -EINVAL);
	assert_contains(captured, "it needs Linux 6.6");
}

/* An SBI extension that this KVM does not know, and one that is asked for. */
static void test_no_sbi(void **state)
{
	host("i m a f d c zicsr", "");
	kvm.no_sbi = true;
	assert_int_equal(apply(NULL, "-pmu", RISCV_IRQCHIP_PLIC), 0);
	expect_described("rv64imafdc_zicsr");
	refused(NULL, "+pmu", RISCV_IRQCHIP_PLIC, "--sbi: 'pmu' is not available on this host");
}

static void test_switches(void **state)
{
	host("i m a f d c v zicbom zicboz zba svadu ssaia zvbb zfa", "svadu");
	assert_int_equal(apply("host,-zicbom,+svadu,-v", "-dbcn", RISCV_IRQCHIP_AIA), 0);
	expect_isa("i m a f d c zicboz zba svadu ssaia zvbb zfa");
	/* What needs vectors is not described without them. */
	expect_described("rv64imafdc_zicboz_zfa_zba_ssaia_svadu");
	assert_false(kvm.vcpus[1].sbi & BIT_ULL(RISCV_SBI_DBCN));
	assert_true(kvm.vcpus[1].sbi & BIT_ULL(RISCV_SBI_SUSP));
	/* Those that can go, go with what they need. */
	host("i m a f d c v zicsr zfa zvbb", "");
	assert_int_equal(apply("host,-f", "-pmu", RISCV_IRQCHIP_PLIC), 0);
	expect_isa("i m a c zicsr zfa zvbb");
	expect_described("rv64imac_zicsr");
	assert_false(kvm.vcpus[1].sbi & BIT_ULL(RISCV_SBI_PMU));
	/* As asked already. */
	host("i m a f d c zba", "");
	assert_int_equal(apply("host,+zba,-v,-zicbom", "+dbcn,-mpxy", RISCV_IRQCHIP_PLIC), 0);
	expect_isa("i m a f d c zba");

	refused("host,+zbb", NULL, RISCV_IRQCHIP_PLIC, "'zbb' is not available on this host");
	assert_contains(captured, "omit +zbb");
	refused("host,-zba", NULL, RISCV_IRQCHIP_PLIC, "'zba' cannot be switched off on this host");
	assert_contains(captured, "omit -zba");
}

static void test_withheld(void **state)
{
	host("i m a f d c v h sscofpmf", "v h sscofpmf");
	riscv_ext_put(&kvm.stubborn, RISCV_EXT_V, true);
	riscv_ext_put(&kvm.stubborn, RISCV_EXT_SSCOFPMF, true);
	refused("host,+v", NULL, RISCV_IRQCHIP_PLIC, "abi.riscv_v_default_allow");
	refused("host,+sscofpmf", NULL, RISCV_IRQCHIP_PLIC, "need Ssaia");
	refused("host,+h", NULL, RISCV_IRQCHIP_PLIC, "no KVM up to Linux 7.3");
	rig.cfg.riscv.nested = true;
	refused(NULL, NULL, RISCV_IRQCHIP_PLIC, "--nested: is not available on this host: no KVM");
	host("i m a f d c", "");
	refused(NULL, NULL, RISCV_IRQCHIP_PLIC,
		"--nested: is not available on this host: the host's CPUs");
	/* A KVM that has it some day. */
	host("i m a f d c h", "h");
	riscv_ext_put(&kvm.stubborn, RISCV_EXT_H, false);
	assert_int_equal(apply(NULL, NULL, RISCV_IRQCHIP_PLIC), 0);
	expect_described("rv64imafdch");
}

static void test_bases(void **state)
{
	host("i m a f d c v h zicbom zicsr svpbmt ssaia svadu zba", "v h svadu");
	riscv_ext_put(&kvm.stubborn, RISCV_EXT_V, true);
	assert_int_equal(apply("max", NULL, RISCV_IRQCHIP_AIA), 0);
	expect_isa("i m a f d c zicbom zicsr svpbmt ssaia svadu zba");
	assert_int_equal(apply("min", NULL, RISCV_IRQCHIP_AIA), 0);
	expect_isa("i m a f d c zicsr ssaia zba");
	host("i m a f d c v zicbom zicsr svpbmt ssaia zba", "");
	assert_int_equal(apply("min,+svpbmt,-d", NULL, RISCV_IRQCHIP_AIA), 0);
	expect_isa("i m a f c zicsr svpbmt ssaia zba");
}

/* With a PLIC there is no AIA for the guest to find. */
static void test_ssaia(void **state)
{
	host("i m a f d c ssaia smstateen", "");
	assert_int_equal(apply(NULL, NULL, RISCV_IRQCHIP_PLIC), 0);
	expect_isa("i m a f d c smstateen");
	/* CPUs without Smstateen show it. */
	host("i m a f d c ssaia", "");
	riscv_ext_put(&kvm.fixed, RISCV_EXT_SSAIA, true);
	assert_int_equal(apply(NULL, NULL, RISCV_IRQCHIP_PLIC), 0);
	expect_isa("i m a f d c ssaia");
	expect_described("rv64imafdc");
	refused("host,-ssaia", NULL, RISCV_IRQCHIP_PLIC, "need Smstateen to hide it");
	assert_int_equal(apply("host,+ssaia", NULL, RISCV_IRQCHIP_PLIC), 0);
	expect_described("rv64imafdc_ssaia");
	refused("host,-ssaia", NULL, RISCV_IRQCHIP_AIA, "use --irqchip plic");
}

static void test_ids(void **state)
{
	host("i m a f d c", "");
	assert_int_equal(apply("host,mvendorid=0x5b7,mimpid=3", NULL, RISCV_IRQCHIP_PLIC), 0);
	for (u32 i = 0; i < 2; i++) {
		assert_true(kvm.vcpus[i].ids[0] == 0x5b7);
		assert_true(kvm.vcpus[i].ids[1] == 0);
		assert_true(kvm.vcpus[i].ids[2] == 3);
	}
	kvm.no_ids = true;
	assert_int_equal(apply("host,marchid=1", NULL, RISCV_IRQCHIP_PLIC), -ENOENT);
	assert_contains(captured, "does not let marchid be 0x1");
}

static void test_described(void **state)
{
	static const char names[] = "i\0m\0a\0f\0d\0c\0zicbom\0zicsr";
	void *fdt;

	host("i m a f d c zicsr zicbom zicboz", "");
	assert_int_equal(apply("host,-zicboz", NULL, RISCV_IRQCHIP_PLIC), 0);
	fdt = described();
	assert_dt_string(fdt, "/", "riscv,isa-base", "rv64i");
	assert_dt_bytes(fdt, "/", "riscv,isa-extensions", names, sizeof(names));
	assert_dt_string(fdt, "/", "mmu-type", "riscv,sv57");
	assert_int_equal(fdtw_cell(fdt, "/", "riscv,cbom-block-size", 0), 64);
	/* The host says a size, the guest has no such instruction. */
	assert_false(fdtw_has(fdt, "/", "riscv,cboz-block-size"));
	assert_false(fdtw_has(fdt, "/", "riscv,cbop-block-size"));
	free(fdt);
	host("i m a f d c zicbom zicboz zicbop", "");
	assert_int_equal(apply(NULL, NULL, RISCV_IRQCHIP_PLIC), 0);
	fdt = described();
	assert_int_equal(fdtw_cell(fdt, "/", "riscv,cbom-block-size", 0), 64);
	assert_int_equal(fdtw_cell(fdt, "/", "riscv,cboz-block-size", 0), 128);
	assert_int_equal(fdtw_cell(fdt, "/", "riscv,cbop-block-size", 0), 32);
	free(fdt);
	kvm.satp_mode = 0;
	assert_int_equal(apply(NULL, NULL, RISCV_IRQCHIP_PLIC), 0);
	fdt = described();
	assert_dt_string(fdt, "/", "mmu-type", "riscv,sv39");
	free(fdt);
}

static void test_sketch(void **state)
{
	rig.cfg.riscv.cpu = (char *)"host,+v,-c";
	assert_int_equal(riscv_cpu_sketch(&rig.vm), 0);
	rig.arch.irqchip.kind = RISCV_IRQCHIP_AIA;
	expect_described("rv64imafdv_zicntr_zicsr_zifencei_ssaia_sstc");
	rig.arch.irqchip.kind = RISCV_IRQCHIP_PLIC;
	expect_described("rv64imafdv_zicntr_zicsr_zifencei_sstc");
	assert_int_equal(riscv_cpu_timebase(&rig.vm), 10000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_contradictions),
		cmocka_unit_test_setup_teardown(test_host, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_sbi, setup, teardown),
		cmocka_unit_test_setup_teardown(test_switches, setup, teardown),
		cmocka_unit_test_setup_teardown(test_withheld, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bases, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ssaia, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ids, setup, teardown),
		cmocka_unit_test_setup_teardown(test_described, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sketch, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
