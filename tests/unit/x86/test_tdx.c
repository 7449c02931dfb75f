/* SPDX-License-Identifier: MIT */
/* x86/tdx.c and x86/options-tdx.c: what --tdx excludes and brings, its words, and why a host has no
 * trust domains. */
#include "capture.h"

#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../../../x86/tdx.h"
#include "folder.h"
#include "lkvm/arch.h"
#include "lkvm/coco.h"
#include "lkvm/config.h"

static struct vm_config plain(void)
{
	return (struct vm_config){ .x86.tdx.on = true, .cpus = 2, .memory = 256 * MiB };
}

static void assert_refused(const struct vm_config *cfg, const char *why)
{
	struct vm_config copy = *cfg;

	capture_begin();
	assert_int_equal(arch_config_complete(&copy), -EINVAL);
	capture_end();
	assert_contains(captured, "--t"); /* --tdx, or the option that only a TD restricts */
	assert_contains(captured, why);
	assert_one_line(captured);
	/* Without it, all is as before. */
	copy = *cfg;
	copy.x86.tdx.on = false;
	assert_int_equal(x86_tdx_complete(&copy), 0);
}

static void test_machine(void **state)
{
	static char words[] = "+ept", huge[] = "h";
	struct vm_config cfg = plain();

	cfg.x86.irqchip = X86_IRQCHIP_FULL;
	assert_refused(&cfg, "--irqchip full");
	cfg = plain();
	cfg.x86.nested = X86_NESTED_SWITCH_ON;
	assert_refused(&cfg, "--nested on");
	cfg = plain();
	cfg.x86.vmx = words;
	assert_refused(&cfg, "--vmx");
	cfg = plain();
	cfg.x86.testdev = true;
	assert_refused(&cfg, "--testdev");
	cfg = plain();
	cfg.x86.kernel_format = X86_KERNEL_PVH;
	assert_refused(&cfg, "64-bit mode");
	cfg.x86.kernel_format = X86_KERNEL_MULTIBOOT;
	assert_refused(&cfg, "64-bit mode");
	cfg = plain();
	cfg.halt = HALT_END;
	assert_refused(&cfg, "--halt end");
	cfg = plain();
	cfg.transport = TRANSPORT_MMIO;
	assert_refused(&cfg, "level-triggered");
	/* What no confidential guest can have. */
	cfg = plain();
	cfg.gdb.on = true;
	assert_refused(&cfg, "--gdb");
	cfg = plain();
	cfg.hugetlbfs = huge;
	assert_refused(&cfg, "--hugetlbfs");
	cfg = plain();
	cfg.balloon = true;
	assert_refused(&cfg, "--balloon");
	cfg = plain();
	cfg.transport = TRANSPORT_PCI_LEGACY;
	assert_refused(&cfg, "legacy");
}

static void test_tuning(void **state)
{
	static char filter[] = "deny:cycles";
	struct vm_config cfg = plain();

	cfg.x86.tuning.disable_exits = X86_EXIT_HLT;
	assert_refused(&cfg, "--disable-exits");
	cfg = plain();
	cfg.x86.tuning.pmu = X86_PMU_ON;
	assert_refused(&cfg, "--pmu on");
	cfg = plain();
	cfg.x86.tuning.pmu_filter = filter;
	assert_refused(&cfg, "--pmu-filter");
	cfg = plain();
	cfg.x86.tuning.bus_lock_limit = 1;
	assert_refused(&cfg, "--bus-lock-limit");
	cfg = plain();
	cfg.x86.tuning.has_notify_window = true;
	assert_refused(&cfg, "--notify-window");
	cfg = plain();
	cfg.x86.tuning.apic_bus_hz = 1000000000;
	assert_refused(&cfg, "--apic-bus-hz");
	cfg = plain();
	cfg.x86.tuning.tsc_khz = 2400001;
	assert_refused(&cfg, "the next below is 2400000");
	cfg.x86.tuning.tsc_khz = 2400000;
	assert_int_equal(arch_config_complete(&cfg), 0);
}

static void test_cpu(void **state)
{
	static char rtm[] = "host,+rtm", waitpkg[] = "host,+waitpkg",
		    gaps[] = "host,cores=3,threads=1";
	struct vm_config cfg = plain();

	cfg.x86.cpu = rtm;
	assert_refused(&cfg, "--cpu +rtm");
	cfg.x86.cpu = waitpkg;
	assert_refused(&cfg, "--cpu +waitpkg");
	cfg.x86.cpu = gaps;
	cfg.cpus = 6;
	assert_refused(&cfg, "gaps");
}

static void test_completes(void **state)
{
	struct vm_config cfg = plain();

	assert_int_equal(arch_config_complete(&cfg), 0);
	assert_int_equal(cfg.x86.irqchip, X86_IRQCHIP_SPLIT);
	assert_int_equal(cfg.x86.nested, X86_NESTED_SWITCH_OFF);
	/* Again is the same: a configuration may be completed twice. */
	assert_int_equal(arch_config_complete(&cfg), 0);
	assert_ptr_equal(arch_coco(&cfg), x86_tdx_ops(&cfg));
	assert_true(arch_coco(&cfg)->private_memory);
	assert_false(arch_coco(&cfg)->may_reset);
	cfg.x86.tdx.on = false;
	assert_null(arch_coco(&cfg));
}

/* Words */

static struct vm_config cfg;

static const struct option_hooks *hooks(const char *name)
{
	for (const struct option_spec *o = x86_tdx_options + 1; o->name; o++)
		if (!strcmp(o->name, name))
			return o->hooks;
	fail_msg("no option %s", name);
	return NULL;
}

static int give(const char *name, const char *arg)
{
	int ret;

	capture_begin();
	ret = hooks(name)->parse("--it", arg, &cfg);
	capture_end();
	if (ret)
		assert_one_line(captured);
	return ret;
}

/* What is saved is read as the same. */
static void assert_text(const char *name, const char *want)
{
	char *text = hooks(name)->text(&cfg, 0);

	if (!want) {
		assert_null(text);
		return;
	}
	assert_string_equal(text, want);
	assert_int_equal(give(name, text), 0);
	assert_null(hooks(name)->text(&cfg, 1));
	free(text);
	text = hooks(name)->text(&cfg, 0);
	assert_string_equal(text, want);
	free(text);
}

static void test_attributes(void **state)
{
	memset(&cfg, 0, sizeof(cfg));
	assert_text("tdx-attributes", NULL);
	assert_int_equal(give("tdx-attributes", "+debug"), 0);
	assert_text("tdx-attributes", "0x10000001"); /* beside the default */
	assert_int_equal(give("tdx-attributes", "-sept-ve-disable,+perfmon"), 0);
	assert_text("tdx-attributes", "0x8000000000000001");
	assert_int_equal(give("tdx-attributes", "0x40000000,+debug"), 0);
	assert_text("tdx-attributes", "0x40000001");
	assert_int_equal(give("tdx-attributes", "debug"), -EINVAL);
	assert_contains(captured, "'debug'");
	assert_int_equal(give("tdx-attributes", "+debg"), -EINVAL);
	assert_contains(captured, "did you mean '+debug'");
	assert_int_equal(give("tdx-attributes", "+debug,5"), -EINVAL);
	assert_int_equal(give("tdx-attributes", ""), -EINVAL);
	assert_text("tdx-attributes", "0x40000001"); /* as before */
}

static void test_numbers(void **state)
{
	char digits[98] = "", longer[130] = "unix:";

	memset(&cfg, 0, sizeof(cfg));
	assert_int_equal(give("tdx-xfam", "0xe7"), 0);
	assert_text("tdx-xfam", "0xe7");
	assert_int_equal(give("tdx-xfam", "5"), -EINVAL);
	assert_int_equal(give("tdx-xfam", "x"), -EINVAL);

	for (int i = 0; i < 96; i++)
		digits[i] = "0123456789aBcDeF"[i % 16];
	assert_int_equal(give("tdx-mrowner", digits), 0);
	assert_memory_equal(cfg.x86.tdx.owner, "\x01\x23\x45\x67\x89\xab\xcd\xef\x01", 9);
	assert_int_equal(give("tdx-mrconfigid", digits), 0);
	assert_int_equal(give("tdx-mrownerconfig", digits), 0);
	assert_memory_equal(cfg.x86.tdx.config_id, cfg.x86.tdx.owner, 48);
	assert_memory_equal(cfg.x86.tdx.owner_config, cfg.x86.tdx.owner, 48);
	for (int i = 0; i < 96; i++)
		digits[i] = "0123456789abcdef"[i % 16];
	assert_text("tdx-mrowner", digits);
	digits[95] = 'g';
	assert_int_equal(give("tdx-mrowner", digits), -EINVAL);
	digits[95] = '\0';
	assert_int_equal(give("tdx-mrowner", digits), -EINVAL);
	digits[95] = digits[96] = '0';
	assert_int_equal(give("tdx-mrowner", digits), -EINVAL);
	assert_contains(captured, "96 hexadecimal digits");

	assert_int_equal(give("tdx-quote", "/run/qgs"), -EINVAL);
	assert_int_equal(give("tdx-quote", "unix:"), -EINVAL);
	memset(longer + 5, 'x', 108);
	assert_int_equal(give("tdx-quote", longer), -EINVAL);
	longer[5 + 107] = '\0';
	assert_int_equal(give("tdx-quote", longer), 0);
	assert_int_equal(give("tdx-quote", "unix:/run/qgs"), 0);
	assert_text("tdx-quote", "unix:/run/qgs");
	hooks("tdx-quote")->destroy(&cfg);
	assert_text("tdx-quote", NULL);
}

/* Each is of no use without --tdx. */
static void test_alone(void **state)
{
	static const struct {
		const char *name, *arg;
	} options[] = {
		{ "tdx-attributes", "0" },
		{ "tdx-xfam", "3" },
		{ "tdx-quote", "unix:/run/qgs" },
		{ "tdx-mrowner", "000000000000000000000000000000000000000000000000"
				 "000000000000000000000000000000000000000000000000" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		memset(&cfg, 0, sizeof(cfg));
		cfg.cpus = 1;
		assert_int_equal(arch_config_complete(&cfg), 0);
		assert_int_equal(give(options[i].name, options[i].arg), 0);
		capture_begin();
		assert_int_equal(arch_config_complete(&cfg), -EINVAL);
		capture_end();
		assert_one_line(captured);
		assert_contains(captured, options[i].name);
		assert_contains(captured, "add --tdx");
		hooks("tdx-quote")->destroy(&cfg);
	}
}

/* The host */

static char root[64];

static void make(const char *name, const char *text)
{
	char path[200];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", root, name);
	if (!text) {
		assert_int_equal(mkdir(path, 0777), 0);
		return;
	}
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void assert_lacks_td(int types, const char *why)
{
	u32 eax, ebx = 0, ecx, edx;
	u64 type = 0;

	__get_cpuid(0, &eax, &ebx, &ecx, &edx);
	capture_begin();
	assert_int_equal(x86_tdx_vm_type(types, root, &type), -ENOTSUP);
	capture_end();
	assert_one_line(captured);
	assert_contains(captured, "--tdx: this host's KVM has no trust domains");
	assert_contains(captured, ebx == 0x756e6547 ? why : "not one of Intel's");
	assert_int_equal(type, 0);
}

static void test_host(void **state)
{
	u64 type = 0;

	snprintf(root, sizeof(root), "/tmp/lkvm-tdx-XXXXXX");
	assert_non_null(mkdtemp(root));
	assert_lacks_td(0, "the module kvm_intel is not loaded");
	assert_lacks_td(-ENOTTY, "the module kvm_intel is not loaded");
	make("sys", NULL);
	make("sys/module", NULL);
	make("sys/module/kvm_intel", NULL);
	assert_lacks_td(0x1f, "kvm_intel knows none");
	make("sys/module/kvm_intel/parameters", NULL);
	make("sys/module/kvm_intel/parameters/tdx", "N\n");
	assert_lacks_td(0x1f, "load the module with tdx=1");
	make("sys/module/kvm_intel/parameters/tdx", "Y\n");
	assert_lacks_td(0x1f, "the kernel's log says why");
	assert_int_equal(x86_tdx_vm_type(0x20, root, &type), 0);
	assert_int_equal(type, 5);
	assert_int_equal(remove_folder(root), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_machine),	   cmocka_unit_test(test_tuning),
		cmocka_unit_test(test_cpu),	   cmocka_unit_test(test_completes),
		cmocka_unit_test(test_attributes), cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_alone),	   cmocka_unit_test(test_host),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
