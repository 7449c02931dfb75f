/* SPDX-License-Identifier: MIT */
/* boot/launch.c: the order in which a confidential guest's table is called. */
#include "unit.h"

#include <stdio.h>

#include "lkvm/boot.h"
#include "lkvm/coco.h"
#include "lkvm/config.h"
#include "lkvm/plan.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

static struct vm_config cfg;
static struct vm vm;
static struct boot_plan plan;
static struct vcpu vcpus[2], *list[2] = { &vcpus[0], &vcpus[1] };
static char told[256];
static const char *fail_at = "";

static int tell(const char *what)
{
	size_t len = strlen(told);

	snprintf(told + len, sizeof(told) - len, "%s ", what);
	return strcmp(fail_at, what) ? 0 : -EIO;
}

static int place(struct vm *v, const struct boot_plan *p, const struct boot_run *run)
{
	char text[64];

	snprintf(text, sizeof(text), "%s@%llx+%llx", boot_kind_name(run->kind), run->gpa, run->len);
	return tell(text);
}

static int vcpu_op(struct vcpu *vcpu, const struct boot_plan *p)
{
	return tell(vcpu->id ? "vcpu1" : "vcpu0");
}

static int finish(struct vm *v)
{
	return tell("finish");
}

static const struct coco_ops all = { .place = place, .vcpu = vcpu_op, .finish = finish };
static const struct coco_ops copied = { .finish = finish };

static void begin(void)
{
	told[0] = '\0';
	vcpus[1].id = 1;
	assert_int_equal(vm_init(&vm, &cfg), 0);
	assert_int_equal(
		memory_add(&vm.mem, &(struct memory_desc){ .gpa = 0, .size = MiB, .name = "ram" }),
		0);
	vm.vcpus = list;
	vm.nr_vcpus = 2;
	boot_plan_init(&plan);
	boot_plan_add(&plan, BOOT_KERNEL, "kernel", 0x5000, "k", 1);
	boot_plan_add(&plan, BOOT_TABLES, "table", 0x1234, "t", 1);
	assert_int_equal(boot_plan_check(&plan, &vm.mem), 0);
}

static void end(void)
{
	vm.vcpus = NULL;
	vm.nr_vcpus = 0;
	boot_plan_free(&plan);
	vm_destroy(&vm);
}

static void test_order(void **state)
{
	begin();
	vm.coco = &all;
	assert_int_equal(boot_launch(&vm, &plan), 0);
	assert_string_equal(told, "tables@1000+1000 kernel@5000+1000 vcpu0 vcpu1 finish ");
	/* Nothing is in the memory that the host sees. */
	assert_int_equal(*(u8 *)memory_ptr(&vm.mem, 0x5000, 1), 0);
	end();
}

static void test_failures(void **state)
{
	static const char *const points[] = { "kernel@5000+1000", "vcpu0", "finish" };

	for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
		begin();
		vm.coco = &all;
		fail_at = points[i];
		assert_int_equal(boot_launch(&vm, &plan), -EIO);
		/* It is the last that was called. */
		assert_memory_equal(told + strlen(told) - strlen(points[i]) - 1, points[i],
				    strlen(points[i]));
		end();
	}
	fail_at = "";
}

/* pKVM's way, and that of an ordinary guest. */
static void test_copied(void **state)
{
	begin();
	vm.coco = &copied;
	assert_int_equal(boot_launch(&vm, &plan), 0);
	assert_string_equal(told, "finish ");
	assert_int_equal(*(u8 *)memory_ptr(&vm.mem, 0x5000, 1), 'k');
	end();
	begin();
	assert_int_equal(boot_launch(&vm, &plan), 0);
	assert_string_equal(told, "");
	assert_int_equal(*(u8 *)memory_ptr(&vm.mem, 0x1234, 1), 't');
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_copied),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
