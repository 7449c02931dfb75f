/* SPDX-License-Identifier: MIT */
/* Sockets, dies, cores and threads: what follows from what is said, ids, and CPUID's leaves. */
#include "capture.h"

#include <linux/kvm.h>
#include <stdlib.h>

#include "../../../x86/cpu.h"
#include "../../../x86/platform.h"
#include "lkvm/config.h"
#include "lkvm/log.h"

static int init(const char *words, u32 cpus, struct x86_topology *t)
{
	struct x86_cpu_model m;
	int ret;

	assert_int_equal(x86_cpu_model_parse(words, &m), 0);
	ret = x86_topology_init(t, &m, cpus);
	x86_cpu_model_destroy(&m);
	return ret;
}

static void test_words(void **state)
{
	static const struct {
		const char *words;
		u32 cpus;
		struct x86_topology want;
	} cases[] = {
		{ NULL, 6, { 1, 1, 6, 1 } },
		{ "host,threads=2", 6, { 1, 1, 3, 2 } },
		{ "host,sockets=2", 6, { 2, 1, 3, 1 } },
		{ "host,dies=2", 8, { 1, 2, 4, 1 } },
		{ "host,sockets=2,threads=2", 8, { 2, 1, 2, 2 } },
		{ "host,cores=2,threads=2", 8, { 2, 1, 2, 2 } },
		{ "host,cores=4", 4, { 1, 1, 4, 1 } },
		{ "host,sockets=2,dies=2,cores=3,threads=2", 24, { 2, 2, 3, 2 } },
	};
	struct x86_topology t;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(init(cases[i].words, cases[i].cpus, &t), 0);
		assert_memory_equal(&t, &cases[i].want, sizeof(t));
		assert_int_equal(x86_topology_cpus(&t), cases[i].cpus);
	}
}

static void test_product(void **state)
{
	static const struct {
		const char *words, *why;
		u32 cpus;
	} cases[] = {
		{ "host,threads=2", "cores=2 and threads=2 make 4 vcpus, not --cpus 5", 5 },
		{ "host,cores=4", "make 4 vcpus, not --cpus 1", 1 },
		{ "host,cores=4", "sockets=1, dies=1, cores=4 and threads=1 make 4 vcpus", 6 },
		{ "host,sockets=2,cores=2", "make 4 vcpus, not --cpus 8", 8 },
		/* Too many for 32 bits. */
		{ "host,sockets=65535,dies=65535,cores=65535,threads=65535",
		  "make 18445618199572250625 vcpus, not --cpus 1", 1 },
	};
	struct x86_topology t;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int ret;

		capture_begin();
		ret = init(cases[i].words, cases[i].cpus, &t);
		capture_end();
		assert_int_equal(ret, -EINVAL);
		assert_one_line(captured);
		assert_contains(captured, cases[i].why);
	}
}

static void test_ids(void **state)
{
	static const u32 six[] = { 0, 1, 2, 4, 5, 6 };
	struct x86_topology t = { 2, 1, 3, 1 };
	struct x86_topology_shifts s;

	for (u32 i = 0; i < 6; i++)
		assert_int_equal(x86_topology_apic_id(&t, i), six[i]);
	assert_int_equal(x86_topology_nr_ids(&t), 7);
	/* Threads 1 bit, cores 2, dies 1. */
	t = (struct x86_topology){ 2, 2, 3, 2 };
	s = x86_topology_shifts(&t);
	assert_int_equal(s.core, 1);
	assert_int_equal(s.die, 3);
	assert_int_equal(s.socket, 4);
	assert_int_equal(x86_topology_apic_id(&t, 1), 1);
	assert_int_equal(x86_topology_apic_id(&t, 2), 2);
	assert_int_equal(x86_topology_apic_id(&t, 6), 8);
	assert_int_equal(x86_topology_apic_id(&t, 12), 16);
	assert_int_equal(x86_topology_apic_id(&t, 23), 16 + 8 + 4 + 1);
	/* Without a word ids are numbers. */
	t = (struct x86_topology){ 1, 1, 2048, 1 };
	for (u32 i = 0; i < 2048; i++)
		assert_int_equal(x86_topology_apic_id(&t, i), i);
}

static void test_config(void **state)
{
	struct vm_config cfg;

	config_init(&cfg);
	cfg.cpus = 6;
	assert_int_equal(x86_nr_apic_ids(&cfg), 6);
	cfg.x86.cpu = strdup("host,sockets=2");
	assert_int_equal(x86_nr_apic_ids(&cfg), 7);
	config_destroy(&cfg);
}

static struct kvm_cpuid2 *build(u32 ebx, u32 level, struct x86_topology t, u32 id)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + 16 * sizeof(c->entries[0])), *out = NULL;
	const struct x86_cpuid_params p = { .apic_id = id, .topology = t };
	static const u32 leaves[] = { 0, 1, 4, 4, 0x80000001, 0x80000008, 0x8000001d, 0x8000001e };

	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++)
		c->entries[i] = (struct kvm_cpuid_entry2){ .function = leaves[i] };
	c->nent = ARRAY_SIZE(leaves);
	c->entries[0].eax = level;
	c->entries[0].ebx = ebx;
	c->entries[2].eax = 0x121; /* L1 */
	c->entries[3].eax = 0x163; /* L3 */
	c->entries[2].flags = c->entries[3].flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	c->entries[3].index = 1;
	c->entries[6].eax = 0x163;
	assert_int_equal(x86_cpuid_build(c, &p, &out), 0);
	free(c);
	return out;
}

static void expect_domain(struct kvm_cpuid2 *c, u32 leaf, u32 i, u32 shift, u32 count, u32 type)
{
	const struct kvm_cpuid_entry2 *e = x86_cpuid_find(c, leaf, i);

	assert_non_null(e);
	assert_int_equal(e->eax, shift);
	assert_int_equal(e->ebx, count);
	assert_int_equal(e->ecx, type << 8 | i);
	assert_int_equal(e->edx, 29);
}

/* 2 sockets of 2 dies of 3 cores of 2 threads: the last vcpu. */
static void test_intel(void **state)
{
	struct kvm_cpuid2 *c = build(0x756e6547, 0x16, (struct x86_topology){ 2, 2, 3, 2 }, 29);

	assert_int_equal(x86_cpuid_find(c, 1, 0)->ebx, 29U << 24 | 16 << 16);
	assert_int_equal(x86_cpuid_find(c, 1, 0)->edx, 1U << 28);
	expect_domain(c, 0xb, 0, 1, 2, 1);
	expect_domain(c, 0xb, 1, 4, 12, 2);
	expect_domain(c, 0xb, 2, 0, 0, 0);
	/* Dies are only in the longer one, which the host's CPU has not. */
	assert_int_equal(x86_cpuid_find(c, 0, 0)->eax, 0x1f);
	expect_domain(c, 0x1f, 0, 1, 2, 1);
	expect_domain(c, 0x1f, 1, 3, 6, 2);
	expect_domain(c, 0x1f, 2, 4, 12, 5);
	expect_domain(c, 0x1f, 3, 0, 0, 0);
	/* L1: 2 threads; L3: 8 ids of a die; 8 ids of cores in the socket. */
	assert_int_equal(x86_cpuid_find(c, 4, 0)->eax, 0x121 | 1 << 14 | 7 << 26);
	assert_int_equal(x86_cpuid_find(c, 4, 1)->eax, 0x163 | 7 << 14 | 7 << 26);
	free(c);
	/* Several sockets of one: no sign of more than one in a package. */
	c = build(0x756e6547, 0x16, (struct x86_topology){ 4, 1, 1, 1 }, 29);
	assert_int_equal(x86_cpuid_find(c, 1, 0)->edx, 0);
	assert_int_equal(x86_cpuid_find(c, 0, 0)->eax, 0x16);
	expect_domain(c, 0xb, 0, 0, 1, 1);
	expect_domain(c, 0xb, 1, 0, 1, 2);
	free(c);
}

static void test_amd(void **state)
{
	struct kvm_cpuid2 *c = build(0x68747541, 0x10, (struct x86_topology){ 2, 2, 3, 2 }, 29);
	const struct kvm_cpuid_entry2 *e = x86_cpuid_find(c, 0x8000001e, 0);

	assert_int_equal(x86_cpuid_find(c, 0, 0)->eax, 0x10);
	assert_null(x86_cpuid_find(c, 0x1f, 0));
	assert_int_equal(x86_cpuid_find(c, 0x80000001, 0)->ecx, 2);
	assert_int_equal(x86_cpuid_find(c, 0x80000008, 0)->ecx, 4 << 12 | 11);
	assert_int_equal(x86_cpuid_find(c, 0x8000001d, 0)->eax, 0x163 | 7 << 14);
	assert_int_equal(e->eax, 29);
	assert_int_equal(e->ebx, 6 | 1 << 8); /* core 6 of the socket's ids, two threads */
	assert_int_equal(e->ecx, 3 | 1 << 8); /* node 3; two in a socket */
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words), cmocka_unit_test(test_product),
		cmocka_unit_test(test_ids),   cmocka_unit_test(test_config),
		cmocka_unit_test(test_intel), cmocka_unit_test(test_amd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
