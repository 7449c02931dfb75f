/* SPDX-License-Identifier: MIT */
/*
 * Guests that are hypervisors: the words of --vmx and --svm, the values of VMX capability MSRs
 * (hand-computed), what comes of both on a host, and the MSRs of a vcpu over a KVM that is played.
 */
#include <linux/kvm.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../../../x86/nested.h"
#include "../../../x86/platform.h"
#include "../../../x86/x86.h"
#include "capture.h"
#include "fake_ioctl.h"
#include "folder.h"
#include "lkvm/config.h"
#include "lkvm/kvm.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

static const struct x86_nested_feature *vmx(const char *name)
{
	const struct x86_nested_feature *f = x86_nested_find(&x86_vmx_table, name);

	assert_non_null(f);
	return f;
}

static u8 want(const struct x86_nested_table *table, const struct x86_nested_words *words,
	       const char *name)
{
	const struct x86_nested_feature *f = x86_nested_find(table, name);

	assert_non_null(f);
	return words->want[f - table->features];
}

static void check_table(const struct x86_nested_table *table)
{
	struct x86_nested_words words;

	for (size_t i = 0; i < table->count; i++) {
		const struct x86_nested_feature *f = &table->features[i];
		char *text = xstrdup(f->needs), *rest = text, *need;

		assert_ptr_equal(x86_nested_find(table, f->name), f);
		if (*f->alias)
			assert_ptr_equal(x86_nested_find(table, f->alias), f);
		if (f->msr)
			assert_non_null(x86_vmx_msr_name(f->msr));
		while ((need = strsep(&rest, " ")))
			assert_true(!*need || x86_nested_find(table, need));
		free(text);
		for (size_t j = 0; j < i; j++)
			assert_true(table->features[j].msr != f->msr ||
				    table->features[j].bit != f->bit);
		/* Nothing needs itself, by whatever way. */
		text = xasprintf("+%s", f->name);
		assert_int_equal(x86_nested_parse(table, "--x", text, &words), 0);
		free(text);
	}
}

static void test_tables(void **state)
{
	check_table(&x86_vmx_table);
	check_table(&x86_svm_table);
	assert_ptr_equal(vmx("vmx-mbec"), vmx("ept_mode_based_exec"));
	assert_ptr_equal(vmx("vmx_unrestricted_guest"), vmx("unrestricted-guest"));
	assert_null(x86_nested_find(&x86_svm_table, "vmx-npt"));
	assert_null(x86_nested_find(&x86_vmx_table, "vmx-"));
	assert_null(x86_nested_find(&x86_vmx_table, "ep"));
	assert_null(x86_nested_find(&x86_vmx_table, "eptx"));
}

static void test_words(void **state)
{
	struct x86_nested_words w;

	assert_int_equal(x86_nested_parse(&x86_vmx_table, "--vmx", NULL, &w), 0);
	assert_int_equal(want(&x86_vmx_table, &w, "ept"), X86_NESTED_AS_HOST);
	assert_int_equal(x86_nested_parse(&x86_vmx_table, "--vmx", "+mbec,-vmx-pml,-pml,+ple", &w),
			 0);
	assert_int_equal(want(&x86_vmx_table, &w, "mbec"), X86_NESTED_ON);
	assert_int_equal(want(&x86_vmx_table, &w, "pml"), X86_NESTED_OFF);
	assert_int_equal(want(&x86_vmx_table, &w, "ept"), X86_NESTED_AS_HOST);

	/* What needs it falls, over several steps, and nothing else. */
	assert_int_equal(x86_nested_parse(&x86_vmx_table, "--vmx", "-intr-exit", &w), 0);
	assert_int_equal(want(&x86_vmx_table, &w, "intr-exit"), X86_NESTED_OFF);
	assert_int_equal(want(&x86_vmx_table, &w, "apicv-vid"), X86_NESTED_FALLS);
	assert_int_equal(want(&x86_vmx_table, &w, "posted-intr"), X86_NESTED_FALLS);
	assert_int_equal(want(&x86_vmx_table, &w, "apicv-register"), X86_NESTED_AS_HOST);
	/* An MSR as a whole. */
	assert_int_equal(x86_nested_parse(&x86_vmx_table, "--vmx", "-secondary-ctls", &w), 0);
	assert_int_equal(want(&x86_vmx_table, &w, "rdtscp-exit"), X86_NESTED_FALLS);
	assert_int_equal(want(&x86_vmx_table, &w, "eptp-switching"), X86_NESTED_FALLS);
	assert_int_equal(want(&x86_vmx_table, &w, "invvpid-single-addr"), X86_NESTED_FALLS);
	assert_int_equal(want(&x86_vmx_table, &w, "ipi-virt"), X86_NESTED_AS_HOST);
	assert_int_equal(x86_nested_parse(&x86_vmx_table, "--vmx", "-tertiary-ctls", &w), 0);
	assert_int_equal(want(&x86_vmx_table, &w, "ipi-virt"), X86_NESTED_FALLS);
	assert_int_equal(x86_nested_parse(&x86_vmx_table, "--vmx", "-exit-secondary-ctls", &w), 0);
	assert_int_equal(want(&x86_vmx_table, &w, "exit-load-fred"), X86_NESTED_FALLS);
	/* Without the TRUE_ MSRs all of default1 is 1. */
	assert_int_equal(x86_nested_parse(&x86_vmx_table, "--vmx", "-true-ctls", &w), 0);
	assert_int_equal(want(&x86_vmx_table, &w, "cr3-load-noexit"), X86_NESTED_FALLS);
	assert_int_equal(want(&x86_vmx_table, &w, "entry-noload-debugctl"), X86_NESTED_FALLS);

	assert_int_equal(
		x86_nested_parse(&x86_svm_table, "--svm", "asids=2,-avic,revision=255", &w), 0);
	assert_int_equal(w.asids, 2);
	assert_int_equal(w.revision, 255);
	assert_int_equal(want(&x86_svm_table, &w, "x2avic"), X86_NESTED_FALLS);
	assert_int_equal(x86_nested_parse(&x86_svm_table, "--svm", "asids=4294967295", &w), 0);
	assert_true(w.asids == UINT32_MAX && !w.has_revision);
}

static void test_bad_words(void **state)
{
	static const struct {
		const struct x86_nested_table *table;
		const char *text, *says;
	} bad[] = {
		{ &x86_vmx_table, "+epd", "unknown feature '+epd'; did you mean '+ept'?" },
		{ &x86_vmx_table, "-nonsense-word", "'-nonsense-word'; the word help alone" },
		{ &x86_vmx_table, "+npt", "did you mean '+ept'?" },
		{ &x86_vmx_table, "ept", "'ept' needs a sign: +ept or -ept" },
		{ &x86_vmx_table, "", "'' is not +FEATURE or -FEATURE" },
		{ &x86_vmx_table, "+ept,", "'' is not +FEATURE" },
		{ &x86_vmx_table, "asids=4", "'asids=4' is not +FEATURE or -FEATURE" },
		{ &x86_vmx_table, "+ept,-vmx-ept", "+ept and -ept: contradict each other" },
		{ &x86_vmx_table, "-ept,+mbec", "+mbec needs ept, which -ept switches off" },
		{ &x86_vmx_table, "+posted-intr,-flexpriority",
		  "+posted-intr needs apicv-vid, which -flexpriority switches off" },
		{ &x86_vmx_table, "+eptp-switching,-vmfunc", "needs vmfunc, which -vmfunc" },
		{ &x86_svm_table, "asids=1", "asids=1: is not a number from 2 to 4294967295" },
		{ &x86_svm_table, "asids=4294967296", "from 2 to 4294967295" },
		{ &x86_svm_table, "revision=0", "from 1 to 255" },
		{ &x86_svm_table, "revision=256", "from 1 to 255" },
		{ &x86_svm_table, "revision=x", "is not a number" },
		{ &x86_svm_table, "asids=4,asids=5", "asids=4 and asids=5: contradict" },
		{ &x86_svm_table, "asid=4", "unknown setting 'asid'; did you mean 'asids='?" },
		{ &x86_svm_table, "+vnmi,-vgif", "+vnmi needs vgif, which -vgif switches off" },
	};
	struct x86_nested_words w;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		capture_begin();
		assert_int_equal(x86_nested_parse(bad[i].table, "--x", bad[i].text, &w), -EINVAL);
		capture_end();
		assert_contains(captured, bad[i].says);
		assert_contains(captured, "error: --x: ");
		assert_one_line(captured);
	}
}

static u64 without(const char *name, u64 value)
{
	u64 clear, set;

	x86_vmx_without(vmx(name), &clear, &set);
	return (value & ~clear) | set;
}

static void test_halves(void **state)
{
	/* EPT, VPID and mode-based execute control (bits 1, 5, 22) may be 1. */
	const u64 secondary = 0x0040002200000000;
	/* What KVM has: default1 but for the exits of CR3, and the rest but for bits 0 and 17, 18.
	 */
	const u64 primary = 0xfff9fffe04006172;

	assert_true(x86_vmx_has(vmx("mbec"), secondary));
	assert_true(x86_vmx_has(vmx("ept"), secondary));
	assert_false(x86_vmx_has(vmx("vmfunc"), secondary));
	assert_true(without("mbec", secondary) == 0x0000002200000000);
	assert_true(without("vpid", secondary) == 0x0040000200000000);
	assert_true(x86_vmx_may_lack(vmx("ept"), secondary));

	assert_true(x86_vmx_has(vmx("cr3-load-noexit"), primary));
	assert_true(without("cr3-load-noexit", primary) == 0xfff9fffe0400e172);
	assert_true(without("cr3-store-noexit", primary) == 0xfff9fffe04016172);
	assert_false(x86_vmx_has(vmx("cr3-load-noexit"), 0xfff9fffe0401e172));
	assert_true(x86_vmx_may_lack(vmx("cr3-load-noexit"), primary));
	assert_true(x86_vmx_has(vmx("secondary-ctls"), primary));
	assert_true(without("secondary-ctls", primary) == 0x7ff9fffe04006172);
	assert_false(x86_vmx_has(vmx("tertiary-ctls"), primary));
	/* A host that demands I/O bitmaps (bit 25). */
	assert_false(x86_vmx_may_lack(vmx("io-bitmap"), primary | BIT(25)));
	assert_true(x86_vmx_may_lack(vmx("io-bitmap"), primary));

	/* Pin: default1 is 0x16. Exit: 0x36dff but for bit 2. Entry: 0x11ff but for bit 2. */
	assert_true(without("posted-intr", 0x000000ff00000016) == 0x0000007f00000016);
	assert_true(without("exit-nosave-debugctl", 0x01ffffff00036dfb) == 0x01ffffff00036dff);
	assert_true(without("exit-load-efer", 0x01ffffff00036dfb) == 0x01dfffff00036dfb);
	assert_true(without("entry-noload-debugctl", 0x0003ffff000011fb) == 0x0003ffff000011ff);
	assert_true(without("entry-load-efer", 0x0003ffff000011fb) == 0x00037fff000011fb);
	assert_false(x86_vmx_has(vmx("entry-load-fred"), 0x0003ffff000011fb));
}

static void test_bits(void **state)
{
	/* Execute-only, four levels, write-back, 2M and 1G, INVEPT with both, A/D, INVVPID with
	 * all. */
	const u64 caps = 0x00000f0106334041;

	assert_true(x86_vmx_has(vmx("ept-execonly"), caps));
	assert_false(x86_vmx_has(vmx("page-walk-5"), caps));
	assert_true(without("eptad", caps) == 0x00000f0106134041);
	assert_true(without("invvpid", caps) == 0x00000f0006334041);
	assert_true(without("invvpid-single-noglobals", caps) == 0x0000070106334041);
	assert_true(without("true-ctls", 0x00da040012345678) == 0x005a040012345678);
	assert_true(without("activity-hlt", 0x20000065) == 0x20000025);
	assert_true(without("ipi-virt", 0x10) == 0);
	assert_true(without("eptp-switching", 1) == 0);
	assert_true(without("exit-load-fred", 3) == 1);
	/* What must be 1 in CR0 (PG, NE, PE) and in CR4 (VMXE). */
	assert_false(x86_vmx_has(vmx("cr0-pg-clear"), 0x80000021));
	assert_true(x86_vmx_has(vmx("cr0-pe-clear"), 0x80000020));
	assert_true(without("cr0-pe-clear", 0x80000020) == 0x80000021);
	assert_true(without("cr4-vmxe-clear", 0) == 0x2000);
	assert_string_equal(x86_vmx_msr_name(0x48f), "IA32_VMX_TRUE_EXIT_CTLS");
	assert_null(x86_vmx_msr_name(0x484));
}

/* A host: its CPUID, the MSRs of its KVM, and what a vcpu has of them. */
static struct kvm_cpuid2 *cpuid;
static struct msr {
	u32 index;
	u64 value, of_vcpu;
	bool refuses;
} msrs[] = {
	{ .index = 0x480, .value = 0x00da040012345678 },
	{ .index = 0x48b, .value = 0x0052212200000000 }, /* mbec, xsaves, pml, vmfunc, ... */
	{ .index = 0x48c, .value = 0x00000f0106334041 },
	{ .index = 0x48e, .value = 0xfff9fffe04006172 },
	{ .index = 0x48f, .value = 0x01ffffff00036dfb },
	{ .index = 0x491, .value = 1 },
};

static struct msr *find_msr(u32 index)
{
	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++)
		if (msrs[i].index == index)
			return &msrs[i];
	return NULL;
}

static int read_msr(void *opaque, u32 index, u64 *value)
{
	const struct msr *msr = find_msr(index);

	assert_ptr_equal(opaque, msrs);
	if (!msr)
		return -ENOENT;
	*value = msr->value;
	return 0;
}

static void entry(u32 function, u32 eax, u32 ebx, u32 ecx, u32 edx)
{
	cpuid->entries[cpuid->nent++] = (struct kvm_cpuid_entry2){
		.function = function,
		.eax = eax,
		.ebx = ebx,
		.ecx = ecx,
		.edx = edx,
	};
}

static void set_host(bool has_vmx, bool has_svm)
{
	static const char leave_room[sizeof(struct kvm_cpuid_entry2) * 4];

	free(cpuid);
	cpuid = xcalloc(1, sizeof(*cpuid) + sizeof(leave_room));
	entry(1, 0, 0, has_vmx ? BIT(5) | 1 : 1, 0);
	entry(0x80000001, 0, 0, has_svm ? BIT(2) | 1 : 1, 0);
	/* npt, lbrv, nrip-save, pause-filter, pfthreshold, vgif */
	entry(0x8000000a, 0x101, 8, 0, has_svm ? 0x1140b : 0);
}

static char root[64];

static void put(const char *path, const char *text)
{
	char *full = xasprintf("%s%s", root, path);

	for (char *s = strchr(full + strlen(root) + 1, '/'); s; s = strchr(s + 1, '/')) {
		*s = '\0';
		assert_true(!mkdir(full, 0755) || errno == EEXIST);
		*s = '/';
	}
	assert_int_equal(write_file(full, text, strlen(text)), 0);
	free(full);
}

static int plan(enum x86_nested_switch nested, char *vmx_words, char *svm_words,
		struct x86_nested *out)
{
	const struct vm_config cfg = {
		.x86 = { .nested = nested, .vmx = vmx_words, .svm = svm_words },
	};
	const struct x86_nested_host host = {
		.root = root,
		.cpuid = cpuid,
		.read_msr = read_msr,
		.opaque = msrs,
	};
	int ret;

	capture_begin();
	ret = x86_nested_plan(&cfg, &host, out);
	capture_end();
	return ret;
}

static const struct x86_vmx_change *change(const struct x86_nested *n, u32 msr)
{
	for (u32 i = 0; i < n->nr_changes; i++)
		if (n->changes[i].msr == msr)
			return &n->changes[i];
	fail_msg("nothing is changed in MSR 0x%x", msr);
	return NULL;
}

static void test_plan_vmx(void **state)
{
	struct x86_nested n;

	set_host(true, false);
	assert_int_equal(plan(X86_NESTED_SWITCH_AUTO, NULL, NULL, &n), 0);
	assert_int_equal(n.nr_changes, 0);
	assert_int_equal(plan(X86_NESTED_SWITCH_ON, (char[]){ "-ept,+vpid" }, NULL, &n), 0);
	/* ept, pml, mbec; all that is EPT's of 0x48c; EPTP switching. */
	assert_true(change(&n, 0x48b)->clear == (BIT_ULL(33) | BIT_ULL(49) | BIT_ULL(54)));
	assert_true(change(&n, 0x48c)->clear == 0x06334041);
	assert_true(change(&n, 0x491)->clear == 1);
	assert_int_equal(n.nr_changes, 3);
	/* What the host has of it is told. */
	assert_contains(captured, "info: --vmx: the guest is without pml, mbec, ");
	assert_contains(captured, "eptp-switching too");
	assert_lacks(captured, "unrestricted-guest");
	assert_one_line(captured);

	assert_int_equal(
		plan(X86_NESTED_SWITCH_AUTO, (char[]){ "-cr3-load-noexit,-mtf" }, NULL, &n), 0);
	assert_true(change(&n, 0x48e)->set == BIT_ULL(15));
	assert_true(change(&n, 0x48e)->clear == BIT_ULL(59));
	assert_string_equal(captured, "");
	/* What the host lacks is not there: nothing to do. */
	assert_int_equal(plan(X86_NESTED_SWITCH_AUTO, (char[]){ "-ipi-virt,-ple" }, NULL, &n), 0);
	assert_int_equal(n.nr_changes, 0);
}

static void test_plan_refuses(void **state)
{
	struct x86_nested n;

	set_host(true, false);
	assert_int_equal(plan(X86_NESTED_SWITCH_AUTO, (char[]){ "+mbec" }, NULL, &n), 0);
	assert_true(!change(&n, 0x48b)->clear && !change(&n, 0x48b)->set);
	assert_int_equal(plan(0, (char[]){ "+ple" }, NULL, &n), -EOPNOTSUPP);
	assert_contains(captured, "--vmx +ple: KVM does not offer it to nested hypervisors; omit");
	put("/proc/cpuinfo", "flags\t: vmx ple\nvmx flags\t: vnmi ple ept\n");
	assert_int_equal(plan(0, (char[]){ "+ple" }, NULL, &n), -EOPNOTSUPP);
	assert_contains(captured, "nested hypervisors, though the CPU has it; omit it");
	assert_int_equal(plan(0, (char[]){ "+ipi_virt" }, NULL, &n), -EOPNOTSUPP);
	assert_contains(
		captured,
		"--vmx +ipi-virt: KVM does not offer it to nested hypervisors: the CPU lacks it");
	assert_one_line(captured);
	find_msr(0x48e)->value |= BIT(25);
	assert_int_equal(plan(0, (char[]){ "-io-bitmap" }, NULL, &n), -EOPNOTSUPP);
	assert_contains(captured,
			"IA32_VMX_TRUE_PROCBASED_CTLS (0x48e) demands that this control is 1");
	find_msr(0x48e)->value &= ~BIT_ULL(25);
	assert_int_equal(plan(0, NULL, (char[]){ "-npt" }, &n), -EOPNOTSUPP);
	assert_contains(captured, "--svm: this host's KVM gives guests vmx, not svm; use --vmx");

	set_host(false, false);
	assert_int_equal(plan(X86_NESTED_SWITCH_AUTO, NULL, NULL, &n), 0);
	assert_int_equal(plan(X86_NESTED_SWITCH_OFF, NULL, NULL, &n), 0);
	assert_int_equal(plan(X86_NESTED_SWITCH_ON, NULL, NULL, &n), -EOPNOTSUPP);
	assert_contains(
		captured,
		"--nested on: this host's KVM gives guests neither vmx nor svm: the KVM in");
	put("/sys/module/kvm_intel/parameters/nested", "N\n");
	assert_int_equal(plan(0, (char[]){ "-ept" }, NULL, &n), -EOPNOTSUPP);
	assert_contains(captured,
			"no vmx: module parameter kvm_intel.nested is off (/sys/module/kvm_intel");
	assert_contains(captured, "modprobe kvm_intel nested=1");
	put("/sys/module/kvm_intel/parameters/nested", "Y\n");
	assert_int_equal(plan(X86_NESTED_SWITCH_ON, NULL, NULL, &n), -EOPNOTSUPP);
	assert_contains(captured, "kvm_intel.nested is on, yet KVM does not offer it");
}

static void test_svm(void **state)
{
	struct vm_config cfg = { .x86 = { .svm = (char[]){ "x" } } };
	struct x86_nested n;

	set_host(false, true);
	assert_int_equal(plan(0, NULL, (char[]){ "-pause-filter,asids=16,-vnmi,-npt" }, &n), 0);
	assert_int_equal(n.svm_clear, 0x1401);
	assert_contains(captured, "--svm: the guest is without pfthreshold too");
	assert_int_equal(x86_nested_cpuid(&cfg, cpuid, &n), 0);
	assert_int_equal(cpuid->entries[2].edx, 0x1000a);
	assert_int_equal(cpuid->entries[2].ebx, 16);
	assert_int_equal(cpuid->entries[2].eax, 0x101);
	assert_int_equal(cpuid->entries[1].ecx, BIT(2) | 1);

	set_host(false, true);
	assert_int_equal(plan(0, NULL, (char[]){ "+vgif,revision=3" }, &n), 0);
	assert_int_equal(x86_nested_cpuid(&cfg, cpuid, &n), 0);
	assert_int_equal(cpuid->entries[2].eax, 0x103);
	assert_int_equal(cpuid->entries[2].ebx, 8);
	assert_int_equal(cpuid->entries[2].edx, 0x1140b);
	assert_int_equal(plan(0, NULL, (char[]){ "+vnmi" }, &n), -EOPNOTSUPP);
	assert_contains(captured, "--svm +vnmi: KVM does not offer it");
	assert_int_equal(plan(0, (char[]){ "+ept" }, NULL, &n), -EOPNOTSUPP);
	assert_contains(captured, "gives guests svm, not vmx; use --svm");
}

static void test_off(void **state)
{
	struct vm_config cfg = { 0 };
	struct x86_nested n;

	set_host(true, true);
	assert_int_equal(plan(X86_NESTED_SWITCH_AUTO, NULL, NULL, &n), 0);
	assert_int_equal(x86_nested_cpuid(&cfg, cpuid, &n), 0);
	assert_int_equal(cpuid->entries[0].ecx, BIT(5) | 1);
	assert_int_equal(plan(X86_NESTED_SWITCH_OFF, NULL, NULL, &n), 0);
	assert_int_equal(x86_nested_cpuid(&cfg, cpuid, &n), 0);
	assert_int_equal(cpuid->entries[0].ecx, 1);
	assert_int_equal(cpuid->entries[1].ecx, 1);
	for (u32 *reg = &cpuid->entries[2].eax; reg <= &cpuid->entries[2].edx; reg++)
		assert_int_equal(*reg, 0);

	/* Taken away by something else, when it was asked for. */
	n.off = false;
	assert_int_equal(x86_nested_cpuid(&cfg, cpuid, &n), 0);
	cfg.x86.nested = X86_NESTED_SWITCH_ON;
	capture_begin();
	assert_int_equal(x86_nested_cpuid(&cfg, cpuid, &n), -EINVAL);
	capture_end();
	assert_contains(captured, "--nested on: the guest's CPU is to have neither");
}

static void test_check(void **state)
{
	struct vm_config cfg = { .x86 = { .vmx = (char[]){ "+ept" } } };

	assert_int_equal(x86_nested_check(&cfg), 0);
	cfg.x86.svm = cfg.x86.vmx;
	capture_begin();
	assert_int_equal(x86_nested_check(&cfg), -EINVAL);
	capture_end();
	assert_contains(captured, "--vmx and --svm: a CPU has one or the other");
	cfg.x86.vmx = NULL;
	cfg.x86.nested = X86_NESTED_SWITCH_OFF;
	capture_begin();
	assert_int_equal(x86_nested_check(&cfg), -EINVAL);
	capture_end();
	assert_contains(captured, "--nested off and --svm: contradict each other");
}

static u32 sets;
static char order[16];		     /* of a vcpu's setup: c its CPUID, v an MSR of VMX */
static struct kvm_cpuid_entry2 leaf; /* 0x8000000a, as the vcpu got it */

static int transfer(unsigned long request, struct kvm_msrs *m)
{
	struct msr *msr = find_msr(m->entries[0].index);

	if (!msr || (request == KVM_SET_MSRS && msr->refuses))
		return 0;
	assert_int_equal(m->nmsrs, 1);
	if (request == KVM_GET_MSRS) {
		m->entries[0].data = msr->of_vcpu;
		return 1;
	}
	msr->of_vcpu = m->entries[0].data;
	sets++;
	strcat(order, "v");
	return 1;
}

/* The KVM of a vcpu. */
static int kernel_ioctl(int fd, unsigned long request, void *arg)
{
	switch (request) {
	case KVM_GET_MSRS:
	case KVM_SET_MSRS:
		return transfer(request, arg);
	case KVM_SET_CPUID2:
		strcat(order, "c");
		leaf = *x86_cpuid_find(arg, 0x8000000a, 0);
		return 0;
	case KVM_CHECK_EXTENSION:
	case KVM_GET_TSC_KHZ:
		return 0;
	}
	fail_msg("a vcpu was asked 0x%lx", request);
	return -1;
}

static int on_vcpu(char *words)
{
	struct x86_nested n;
	struct arch_vm arch = { .nested = &n };
	struct vm vm = { .arch = &arch };
	struct vcpu vcpu = { .vm = &vm, .id = 7 };
	int ret;

	set_host(true, false);
	assert_int_equal(plan(0, words, NULL, &n), 0);
	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++)
		msrs[i].of_vcpu = msrs[i].value;
	/* Its CPUID has no XSAVES: neither has its MSR. */
	find_msr(0x48b)->of_vcpu &= ~BIT_ULL(52);
	sets = 0;
	*order = '\0';
	capture_begin();
	ret = x86_nested_vcpu(&vcpu);
	capture_end();
	return ret;
}

static void test_vcpu(void **state)
{
	assert_int_equal(on_vcpu(NULL), 0);
	assert_int_equal(sets, 0);
	assert_int_equal(on_vcpu((char[]){ "+mbec" }), 0);
	assert_int_equal(sets, 0);
	assert_int_equal(on_vcpu((char[]){ "-mbec,-exit-nosave-debugctl,+ept" }), 0);
	assert_int_equal(sets, 2);
	assert_true(find_msr(0x48b)->of_vcpu == 0x0002212200000000);
	assert_true(find_msr(0x48f)->of_vcpu == 0x01ffffff00036dff);

	assert_int_equal(on_vcpu((char[]){ "+xsaves" }), -EOPNOTSUPP);
	assert_contains(captured,
			"vcpu 7: --vmx +xsaves: KVM gives it only to guests whose CPU has");
	find_msr(0x48f)->refuses = true;
	assert_int_equal(on_vcpu((char[]){ "-exit-load-efer,-exit-nosave-debugctl" }), -EOPNOTSUPP);
	assert_contains(
		captured,
		"--vmx -exit-nosave-debugctl,-exit-load-efer: KVM refuses 0x1dfffff00036dff "
		"in its MSR IA32_VMX_TRUE_EXIT_CTLS (0x48f)");
	assert_one_line(captured);
	find_msr(0x48f)->refuses = false;
}

/* A vcpu as it is made: first its CPUID, since KVM has no MSRs of VMX without it. */
static void test_setup(void **state)
{
	struct vm_config cfg = { .cpus = 1 };
	struct x86_nested n;
	struct arch_vm arch = { .nested = &n, .topology = { 1, 1, 1, 1 } };
	struct vm vm = { .arch = &arch, .cfg = &cfg };
	struct vcpu vcpu = { .vm = &vm };

	set_host(true, true);
	arch.cpuid = cpuid;
	assert_int_equal(plan(0, (char[]){ "-mbec" }, NULL, &n), 0);
	find_msr(0x48b)->of_vcpu = find_msr(0x48b)->value;
	n.svm_clear = 1;
	n.has_asids = true;
	n.asids = 33;
	*order = '\0';
	assert_int_equal(x86_vcpu_setup(&vcpu), 0);
	assert_string_equal(order, "cv");
	assert_true(find_msr(0x48b)->of_vcpu == 0x0012212200000000);
	assert_int_equal(leaf.edx, 0x1140a);
	assert_int_equal(leaf.ebx, 33);
	find_msr(0x48b)->refuses = true;
	find_msr(0x48b)->of_vcpu = find_msr(0x48b)->value;
	capture_begin();
	assert_int_equal(x86_vcpu_setup(&vcpu), -EOPNOTSUPP);
	capture_end();
	assert_contains(captured, "vcpu 0: --vmx -mbec: KVM refuses 0x12212200000000 in its MSR "
				  "IA32_VMX_PROCBASED_CTLS2 (0x48b); omit some of them");
	find_msr(0x48b)->refuses = false;
}

static int make_root(void **state)
{
	strcpy(root, "/tmp/lkvm-test-nested-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
	free(cpuid);
	return remove_folder(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),	     cmocka_unit_test(test_words),
		cmocka_unit_test(test_bad_words),    cmocka_unit_test(test_halves),
		cmocka_unit_test(test_bits),	     cmocka_unit_test(test_plan_vmx),
		cmocka_unit_test(test_plan_refuses), cmocka_unit_test(test_svm),
		cmocka_unit_test(test_off),	     cmocka_unit_test(test_check),
		cmocka_unit_test(test_vcpu),	     cmocka_unit_test(test_setup),
	};

	return cmocka_run_group_tests(tests, make_root, remove_root);
}
