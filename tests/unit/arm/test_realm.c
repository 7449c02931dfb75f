/* SPDX-License-Identifier: MIT */
/* arm/realm*.c against a played KVM of each version: what --realm excludes, how a host's version is
 * found, the calls of a launch in their order. */
#include "fake_realm.h"
#include "lkvm/boot-fdt.h"

static struct vm_config plain(void)
{
	return (struct vm_config){ .arm.realm.on = true, .cpus = 2, .memory = 256 * MiB };
}

static void assert_refused(const struct vm_config *asked, const char *why)
{
	struct vm_config copy = *asked;

	capture_begin();
	assert_int_equal(arch_config_complete(&copy), -EINVAL);
	capture_end();
	assert_contains(captured, "--realm");
	assert_contains(captured, why);
	assert_one_line(captured);
}

static void test_excluded(void **state)
{
	static char word[] = "w";
	struct vm_config c = plain();

	assert_int_equal(arch_config_complete(&c), 0);
#define REFUSED(member, value, why)      \
	do {                             \
		c = plain();             \
		c.member = (value);      \
		assert_refused(&c, why); \
	} while (0)
	REFUSED(arm.protected, true, "--protected");
	REFUSED(arm.nested, true, "--nested");
	REFUSED(arm.aarch32, true, "--aarch32");
	REFUSED(arm.has_counter_offset, true, "--counter-offset");
	REFUSED(arm.psci, PSCI_USER, "--psci user");
	REFUSED(arm.irqchip, ARM_IRQCHIP_GICV2, "use --irqchip gicv3");
	REFUSED(arm.irqchip, ARM_IRQCHIP_GICV2M, "use --irqchip gicv3");
	REFUSED(fdt.flash, word, "--flash");
	REFUSED(gdb.on, true, "--gdb");
	REFUSED(hugetlbfs, word, "--hugetlbfs");
	REFUSED(nr_pmems, 1, "--pmem");
	REFUSED(arm.realm.tree, REALM_TREE_SHARED, "add planes=N");
	c = plain();
	c.arm.irqchip = ARM_IRQCHIP_GICV3_ITS;
	c.arm.no_pvtime = c.arm.disable_mte = true;
	c.arm.sve_max_vl = 256;
	c.arm.pmu = c.arm.has_pmu_counters = true;
	assert_int_equal(arch_config_complete(&c), 0);
}

static void test_features(void **state)
{
	static const struct {
		const char *words, *named;
	} refused[] = {
		{ "host,+mte", "'+mte'" },
		{ "host,-lse", "'-lse'" },
		{ "host,+pmu,pmuver=v3", "pmuver" },
		{ "host,+pmu,pmu-deny=0x11", "pmu-deny" },
	};
	static const char *const fine[] = { "host", "host,-sve", "host,+sve,+pmu,counters=4,-mte" };
	struct vm_config c;

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		REFUSED(arm.cpu, (char *)refused[i].words, refused[i].named);
	for (size_t i = 0; i < ARRAY_SIZE(fine); i++) {
		c = plain();
		c.arm.cpu = (char *)fine[i];
		assert_int_equal(arch_config_complete(&c), 0);
	}
}

/* What a version lacks is wrong usage where it was named. */
static void test_misfits(void **state)
{
	struct vm_config c;

#define MISFIT(version, member, value, why)  \
	do {                                 \
		c = plain();                 \
		c.arm.realm.abi = (version); \
		c.member = (value);          \
		assert_refused(&c, why);     \
	} while (0)
	MISFIT(REALM_ABI_V10, arm.realm.hash, REALM_HASH_384, "hash=sha384");
	MISFIT(REALM_ABI_V9, arm.realm.planes, 1, "a patch upon v10");
	for (int v = REALM_ABI_V11; v <= REALM_ABI_V15; v++) {
		enum realm_abi_kind kind = (enum realm_abi_kind)v;

		MISFIT(kind, arm.realm.hash, REALM_HASH_512, "KVM always asks for sha256");
		MISFIT(kind, arm.realm.has_rpv, true, "no personalization value");
		MISFIT(kind, arm.realm.planes, 1, "planes: KVM gives the realm none");
		c = plain();
		c.arm.realm.abi = kind;
		c.arm.realm.hash = REALM_HASH_256;
		assert_int_equal(arch_config_complete(&c), 0);
	}
	c = plain();
	c.arm.realm.abi = REALM_ABI_V10;
	c.arm.realm.planes = 3;
	c.arm.realm.hash = REALM_HASH_512;
	assert_int_equal(arch_config_complete(&c), 0);
}

/* kvmtool's words say something about a realm. */
static void test_foreign(void **state)
{
	struct vm_config c = { .cpus = 1, .memory = 64 * MiB };

	assert_int_equal(arm_parse_measurement_algo("--measurement-algo", "sha512", &c), 0);
	assert_refused(&c, "--measurement-algo: needs --realm");
	c.arm.realm.foreign = NULL;
	assert_int_equal(arm_parse_realm_pv("--realm-pv", "value", &c), 0);
	assert_refused(&c, "--realm-pv: needs --realm");
	c.arm.realm.on = true;
	assert_int_equal(arch_config_complete(&c), 0);
	assert_int_equal(c.arm.realm.hash, REALM_HASH_512);
	assert_memory_equal(c.arm.realm.rpv, "value\0", 7);
	capture_begin();
	assert_int_equal(arm_parse_realm_pv("--realm-pv", "", &c), -EINVAL);
	assert_int_equal(arm_parse_measurement_algo("--measurement-algo", "sha1", &c), -EINVAL);
	capture_end();
	assert_contains(captured, "unknown hash 'sha1'");
}

static int parse(const char *words)
{
	int ret;

	memset(&cfg, 0, sizeof(cfg));
	capture_begin();
	ret = arm_realm_hooks.parse("--realm", words, &cfg);
	capture_end();
	if (ret)
		assert_one_line(captured);
	return ret;
}

static void test_words(void **state)
{
	static const struct {
		const char *words, *says;
	} bad[] = {
		{ "hash=sha1", "unknown hash 'sha1'" },
		{ "hash=", "unknown hash" },
		{ "hash=default", "unknown hash" },
		{ "hash", "unknown 'hash'" },
		{ "hsh=sha256", "did you mean 'hash='" },
		{ "rpv=", "needs hexadecimal digits or a file" },
		{ "rpv=abc", "come in pairs" },
		{ "planes=-1", "is not a number" },
		{ "planes=4294967296", "is not a number" },
		{ "rtt-tree=both", "unknown rtt-tree" },
		{ "breakpoints=1", "from 2 to 16" },
		{ "watchpoints=17", "from 2 to 16" },
		{ "abi=v6", "unknown abi" },
		{ "cap=0", "from 1" },
		{ ",", "unknown ''" },
	};
	char rpv[140];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse(bad[i].words), -EINVAL);
		assert_contains(captured, bad[i].says);
		arm_realm_hooks.destroy(&cfg);
	}
	snprintf(rpv, sizeof(rpv), "rpv=%0130d", 0);
	assert_int_equal(parse(rpv), -EINVAL);
	assert_contains(captured, "at most 128 digits");
	snprintf(rpv, sizeof(rpv), "rpv=%0128d", 0);
	assert_int_equal(parse(rpv), 0);
	assert_int_equal(parse("rpv=0aFf"), 0);
	assert_true(cfg.arm.realm.has_rpv && !cfg.arm.realm.rpv_file);
	assert_memory_equal(cfg.arm.realm.rpv, "\x0a\xff\0", 3);
	assert_int_equal(parse("rpv=./0a,planes=2"), 0);
	assert_string_equal(cfg.arm.realm.rpv_file, "./0a");
	assert_int_equal(cfg.arm.realm.planes, 2);
	arm_realm_hooks.destroy(&cfg);
	assert_int_equal(parse(""), 0);
	assert_true(cfg.arm.realm.on);
}

static void test_rpv_file(void **state)
{
	char dir[] = "/tmp/lkvm-test-XXXXXX", path[64];
	const u8 long_one[65] = { 1 };
	void *opened = NULL;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/rpv", dir);
	memset(&cfg, 0, sizeof(cfg));
	assert_int_equal(arm_realm_open(&cfg, false, &opened), 0);
	assert_null(opened);
	cfg.arm.realm.rpv_file = path;
	capture_begin();
	assert_int_equal(arm_realm_open(&cfg, false, &opened), -ENOENT);
	capture_end();
	assert_contains(captured, "as a file cannot be read: No such file");
	assert_int_equal(write_file(path, long_one, 65), 0);
	capture_begin();
	assert_int_equal(arm_realm_open(&cfg, false, &opened), -EINVAL);
	capture_end();
	assert_contains(captured, "the file has more");
	assert_int_equal(write_file(path, "", 0), 0);
	capture_begin();
	assert_int_equal(arm_realm_open(&cfg, false, &opened), -EINVAL);
	capture_end();
	assert_contains(captured, "the file has none");
	assert_null(opened);
	assert_int_equal(write_file(path, "abc", 3), 0);
	assert_int_equal(arm_realm_open(&cfg, false, &opened), 0);
	vm.coco_opened = opened;
	assert_memory_equal(arm_realm_rpv(&vm), "abc\0", 5);
	vm.coco_opened = NULL;
	free(opened);
	unlink(path);
	rmdir(dir);
}

static const char *const versions[] = {
	"v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15"
};

static int vm_type(u64 *type)
{
	const struct kvm k = { .sys_fd = FAKE_SYS, .vm_fd = -1 };
	int ret;

	*type = 33;
	capture_begin();
	ret = arm_realm_vm_type(&fake_host, &k, &cfg, type);
	capture_end();
	assert_int_equal(kvm.nr_vms, 0);
	if (ret) {
		assert_contains(captured, "--realm: ");
		assert_one_line(captured);
		assert_int_equal(*type, 33);
	}
	return ret;
}

static void test_vm_type(void **state)
{
	u64 type;

	cfg = plain();
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		fake_version(versions[i]);
		assert_int_equal(vm_type(&type), 0);
		assert_int_equal(type, kvm.type | 33);
	}
	/* v15 without what it needs of guest_memfd. */
	kvm.attributes = false;
	assert_int_equal(vm_type(&type), -ENODATA);
	assert_contains(captured, "in place");
	fake_version("none");
	assert_int_equal(vm_type(&type), -ENOSYS);
	assert_contains(captured, "FEAT_RME");
	fake_version("v10");
	kvm.rmm = -EPERM;
	assert_int_equal(vm_type(&type), -EPERM);
	assert_contains(captured, "no RMM answers");
	kvm.rmm = -ENOMEM;
	assert_int_equal(vm_type(&type), -ENOMEM);
	assert_contains(captured, "KVM_CREATE_VM: Cannot allocate memory");
	kvm.rmm = 0;
	kvm.cap = 200;
	assert_int_equal(vm_type(&type), -EPROTO);
	/* A kernel that numbers it otherwise. */
	cfg.arm.realm.cap = 200;
	assert_int_equal(vm_type(&type), 0);
	cfg.arm.realm.cap = 0;
	cfg.arm.realm.abi = REALM_ABI_V10;
	assert_int_equal(vm_type(&type), 0);
	cfg.arm.realm.abi = REALM_ABI_V14;
	assert_int_equal(vm_type(&type), -ENOSYS);
	cfg = plain();
	fake_version("v14");
	cfg.arm.realm.planes = 1;
	assert_int_equal(vm_type(&type), -EOPNOTSUPP);
	assert_contains(captured, "planes: KVM gives the realm none (realms of v14)");
}

/* A large guest: the RMM's addresses are not KVM's. */
static void test_address_bits(void **state)
{
	const struct kvm k = { .sys_fd = FAKE_SYS, .vm_fd = -1 };
	struct boot_map map;
	u64 type = 41;

	cfg = plain();
	fake_version("v13");
	kvm.max_ipa = 40;
	capture_begin();
	assert_int_equal(arm_realm_vm_type(&fake_host, &k, &cfg, &type), -ERANGE);
	capture_end();
	assert_contains(captured, "decrease --mem");
	assert_int_equal(kvm.nr_vms, 0);
	cfg.transport = TRANSPORT_MMIO;
	cfg.memory = 2 * GiB;
	arm_map_memory(&cfg, 0, &map);
	assert_int_equal(map.bits, 33);
	cfg.memory += MiB;
	arm_map_memory(&cfg, 0, &map);
	assert_int_equal(map.bits, 34);
	cfg.arm.realm.on = false;
	arm_map_memory(&cfg, 0, &map);
	assert_int_equal(map.bits, 33);
}

static int launch(void)
{
	int ret;

	capture_begin();
	ret = fake_begin();
	if (!ret) {
		fake_plan();
		ret = boot_launch(&vm, &plan);
	}
	capture_end();
	if (ret)
		assert_one_line(captured);
	return ret;
}

/* All of the list is in the realm, and nothing of it with the host. */
static void assert_contents(void)
{
	const struct memory_region *r = memory_find(&vm.mem, ARM_RAM);
	const u8 *host = r->hva;
	u8 *want = malloc(FAKE_RAM_SIZE);

	assert_int_equal(boot_plan_read(&plan, ARM_RAM, want, FAKE_RAM_SIZE), 0);
	assert_memory_equal(kvm.memory, want, FAKE_RAM_SIZE);
	for (u64 i = 0; i < FAKE_RAM_SIZE; i++)
		assert_int_equal(host[i], 0);
	free(want);
}

#define PAGES                                                                              \
	"page@801ff000+1000 page@80200000+200000 page@80400000+200000 page@80600000+1000 " \
	"page@80700000+2000 "

static void test_explicit(void **state)
{
	for (size_t i = 0; i < 4; i++) {
		cfg = plain();
		fake_version(versions[i]);
		assert_int_equal(launch(), 0);
		assert_string_equal(kvm.told,
				    "create ripas@80000000+800000 " PAGES "rec0 rec1 activate ");
		assert_contents();
		fake_end();
	}
}

static void test_configured(void **state)
{
	u8 rpv[64] = { 1, 2, 3 };

	cfg = plain();
	cfg.arm.realm.hash = REALM_HASH_512;
	cfg.arm.realm.has_rpv = true;
	memcpy(cfg.arm.realm.rpv, rpv, sizeof(rpv));
	cfg.arm.realm.planes = 3;
	fake_version("v10");
	assert_int_equal(launch(), 0);
	assert_true(!strncmp(kvm.told, "hash=1 rpv planes=3 pp=1 create ", 32));
	assert_memory_equal(kvm.rpv, rpv, sizeof(rpv));
	fake_end();
	cfg = plain();
	cfg.arm.realm.hash = REALM_HASH_256;
	cfg.arm.realm.planes = 1;
	cfg.arm.realm.tree = REALM_TREE_SHARED;
	fake_version("v10");
	assert_int_equal(launch(), 0);
	assert_true(!strncmp(kvm.told, "hash=0 planes=1 pp=0 create ", 28));
	fake_end();
}

/* Which step failed, and what mends it. */
static void test_explicit_fails(void **state)
{
	static const struct {
		const char *fail;
		int error;
		const char *told, *says;
	} steps[] = {
		{ "rpv", -EFAULT, "rpv ", "rpv: Bad address" },
		{ "pp", -EINVAL, "rpv planes=1 pp=0 ", "use rtt-tree=per-plane" },
		{ "question", -1, "rpv planes=1 ", "something else than planes" },
		{ "create", -ENXIO, "create ", "use rtt-tree=per-plane" },
		{ "create", -EBUSY, "create ", "no VMID is free" },
		{ "create", -EINVAL, "create ", "SVE vectors" },
		{ "create", -ENOMEM, "create ", "CREATE): Cannot allocate memory" },
		{ "ripas", -ENXIO, "800000 ", "INIT_RIPAS" },
		{ "populate", -ENXIO, "800000 ", "the RMM refuses a page" },
		{ "populate", -EFAULT, "800000 ", "POPULATE): Bad address" },
		{ "rec", -ENXIO, "rec0 ", "REC of vcpu 0" },
		{ "activate", -ENXIO, "activate ", "ACTIVATE" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		size_t len = strlen(steps[i].told);

		cfg = plain();
		cfg.arm.realm.has_rpv = true;
		cfg.arm.realm.rpv[0] = 1;
		cfg.arm.realm.planes = 1;
		cfg.arm.realm.tree = REALM_TREE_SHARED;
		fake_version("v10");
		kvm.fail = steps[i].fail;
		kvm.error = steps[i].error;
		assert_true(launch() < 0);
		assert_contains(captured, steps[i].says);
		/* Nothing was asked afterwards. */
		assert_string_equal(kvm.told + strlen(kvm.told) - len, steps[i].told);
		fake_end();
	}
}

static void test_what_the_rmm_lacks(void **state)
{
	cfg = plain();
	cfg.arm.realm.hash = REALM_HASH_512;
	fake_version("v9");
	kvm.sha512 = false;
	assert_int_equal(launch(), -EINVAL);
	assert_contains(captured, "the RMM does not have this hash");
	fake_end();
	cfg = plain();
	cfg.arm.realm.planes = 4;
	fake_version("v10");
	assert_int_equal(launch(), -EINVAL);
	assert_contains(captured, "decrease planes=");
	fake_end();
	cfg.arm.realm.planes = 2;
	fake_version("v10");
	kvm.fail = "create";
	kvm.error = -ENXIO;
	assert_int_equal(launch(), -ENXIO);
	assert_contains(captured, "it has fewer planes, or has them with rtt-tree=shared");
	fake_end();
}

static void test_implicit(void **state)
{
	for (size_t i = 4; i < ARRAY_SIZE(versions); i++) {
		cfg = plain();
		fake_version(versions[i]);
		assert_int_equal(launch(), 0);
		assert_string_equal(kvm.told, PAGES);
		assert_contents();
		fake_end();
		/* As far as a call comes, with signals in between. */
		fake_version(versions[i]);
		kvm.pages_per_call = 3;
		kvm.interrupts = 5;
		assert_int_equal(launch(), 0);
		assert_contents();
		fake_end();
	}
}

static void test_implicit_fails(void **state)
{
	for (size_t i = 4; i < ARRAY_SIZE(versions); i++) {
		cfg = plain();
		fake_version(versions[i]);
		kvm.stuck = true;
		assert_int_equal(launch(), -EPROTO);
		assert_contains(captured, "no progress");
		fake_end();
		fake_version(versions[i]);
		kvm.overdone = true;
		assert_int_equal(launch(), -EPROTO);
		fake_end();
		fake_version(versions[i]);
		kvm.halves = true;
		assert_int_equal(launch(), -EPROTO);
		fake_end();
		fake_version(versions[i]);
		kvm.interrupts = UINT32_MAX;
		assert_int_equal(launch(), -EINTR);
		fake_end();
		fake_version(versions[i]);
		kvm.fail = "populate";
		kvm.error = -ENXIO;
		assert_int_equal(launch(), -ENXIO);
		assert_contains(captured, "populating 0x801ff000");
		fake_end();
		if (kvm.counts)
			continue;
		fake_version(versions[i]);
		kvm.rmi_status = 9;
		assert_int_equal(launch(), -EREMOTEIO);
		assert_contains(captured, "RMI status 0x9");
		fake_end();
	}
}

/* Pages that do not count. */
static void test_unmeasured(void **state)
{
	static const char *const both[] = { "v10", "v15" };

	for (size_t i = 0; i < 2; i++) {
		cfg = plain();
		fake_version(both[i]);
		assert_int_equal(fake_begin(), 0);
		boot_plan_init(&plan);
		boot_plan_add(&plan, BOOT_KERNEL, "k", ARM_RAM, "k", 1);
		plan.entries[0].measured = false;
		assert_int_equal(boot_plan_check(&plan, &vm.mem), 0);
		assert_int_equal(boot_launch(&vm, &plan), 0);
		assert_non_null(strstr(kvm.told, "page@80000000+1000- "));
		fake_end();
	}
}

static void test_limits(void **state)
{
	cfg = plain();
	fake_version("v10");
	assert_int_equal(fake_begin(), 0);
	assert_int_equal(arm_realm_limit_debug(&vcpus[0]), 0);
	cfg.arm.realm.breakpoints = 3;
	cfg.arm.realm.watchpoints = 2;
	assert_int_equal(arm_realm_limit_debug(&vcpus[1]), 0);
	assert_string_equal(kvm.told, "");
	/* Breakpoints that know contexts are among them. */
	assert_int_equal(arm_realm_limit_debug(&vcpus[0]), 0);
	assert_int_equal(kvm.dfr0, 0x20102000);
	assert_int_equal(arm_realm_limit_debug(&vcpus[0]), 0);
	assert_string_equal(kvm.told, "reg0=20102000 ");
	cfg.arm.realm.breakpoints = 16;
	kvm.fail = "reg";
	kvm.error = -EINVAL;
	capture_begin();
	assert_int_equal(arm_realm_limit_debug(&vcpus[0]), -EINVAL);
	capture_end();
	assert_contains(captured, "has not so many");
	kvm.fail = NULL;
	for (u32 i = 0; i < 2; i++)
		assert_int_equal(arm_realm_limit_pmu(&vcpus[i], 4), 0);
	assert_int_equal(kvm.pmcr, 4 << 11);
	capture_begin();
	assert_int_equal(arm_realm_limit_pmu(&vcpus[0], 5), -EINVAL);
	capture_end();
	assert_contains(captured, "the host's PMU has 4");
	fake_end();
	/* Where it cannot be chosen, it may be known. */
	fake_version("v13");
	assert_int_equal(fake_begin(), 0);
	assert_int_equal(arm_realm_limit_pmu(&vcpus[0], 6), 0);
	capture_begin();
	assert_int_equal(arm_realm_limit_pmu(&vcpus[0], 5), -EOPNOTSUPP);
	capture_end();
	assert_contains(captured, "(v13) gives a realm all of the host's, 6");
	assert_string_equal(kvm.told, "");
	fake_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_excluded),       cmocka_unit_test(test_features),
		cmocka_unit_test(test_misfits),	       cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_words),	       cmocka_unit_test(test_rpv_file),
		cmocka_unit_test(test_vm_type),	       cmocka_unit_test(test_address_bits),
		cmocka_unit_test(test_explicit),       cmocka_unit_test(test_configured),
		cmocka_unit_test(test_explicit_fails), cmocka_unit_test(test_what_the_rmm_lacks),
		cmocka_unit_test(test_implicit),       cmocka_unit_test(test_implicit_fails),
		cmocka_unit_test(test_unmeasured),     cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
