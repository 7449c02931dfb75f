/* SPDX-License-Identifier: MIT */
/* What --dump-boot writes without KVM is what a machine over this host's KVM starts from. */
#include "../arch-config.h"
#include "capture.h"
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/arch.h"
#include "lkvm/config.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/machine.h"
#include "lkvm/plan.h"
#include "lkvm/util.h"

static char dir[] = "/tmp/lkvm-describe-XXXXXX";

static char *in_dir(const char *name)
{
	return xasprintf("%s/%s", dir, name);
}

static void make_file(const char *name, size_t size)
{
	char *path = in_dir(name);
	u8 *bytes = calloc(1, size);

	for (size_t i = 0; i < size; i++)
		bytes[i] = (u8)(i * 31 + (i >> 8) + 1);
	assert_int_equal(write_file(path, bytes, size), 0);
	free(bytes);
	free(path);
}

static void configure(struct vm_config *cfg, enum virtio_transport_kind transport, u32 cpus)
{
	config_init(cfg);
	cfg->kernel = in_dir("kernel");
	set_flat_image(cfg);
	cfg->cpus = cpus;
	cfg->memory = 64 * MiB;
	cfg->transport = transport;
	cfg->params = xstrdup("some words");
	cfg->dump_boot = in_dir("dump");
	config_add_initrd(cfg, cfg->kernel);
	config_add_disk(cfg)->path = in_dir("disk");
	assert_int_equal(config_complete(cfg), 0);
}

/* The file of @run holds what @plan says, and goes. */
static void check_run(const struct boot_plan *plan, const struct boot_run *run)
{
	char *path = xasprintf("%s/dump/%012llx-%s.bin", dir, run->gpa, boot_kind_name(run->kind));
	u8 *want = malloc(run->len), *have = malloc(run->len + 1);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(read(fd, have, run->len + 1), run->len);
	assert_int_equal(boot_plan_read(plan, run->gpa, want, run->len), 0);
	assert_memory_equal(have, want, run->len);
	close(fd);
	unlink(path);
	free(path);
	free(want);
	free(have);
}

static void check(enum virtio_transport_kind transport, u32 cpus)
{
	struct boot_run run = { 0 };
	struct boot_plan plan;
	struct vm_config cfg;
	struct machine m;
	u8 word[64], file[64];
	char *path;
	int n = 0;

	configure(&cfg, transport, cpus);
	assert_int_equal(machine_describe(&cfg), 0);
	assert_int_equal(machine_create(&m, &cfg), 0);
	boot_plan_init(&plan);
	assert_int_equal(arch_boot_plan(&m.vm, &m.open.boot, &plan), 0);
	assert_int_equal(boot_plan_check(&plan, &m.vm.mem), 0);
	while (boot_plan_next(&plan, &run)) {
		/* It is also what the guest's memory holds. */
		if (run.kind != BOOT_ZERO) {
			assert_int_equal(memory_read(&m.vm.mem, run.gpa, word, 64), 0);
			assert_int_equal(boot_plan_read(&plan, run.gpa, file, 64), 0);
			assert_memory_equal(word, file, 64);
			check_run(&plan, &run);
			n++;
		}
	}
	assert_true(n > 3);
	boot_plan_free(&plan);
	machine_destroy(&m);
	path = in_dir("dump/plan.json");
	assert_int_equal(unlink(path), 0);
	free(path);
	/* Nothing else was in it. */
	assert_int_equal(rmdir(cfg.dump_boot), 0);
	config_destroy(&cfg);
}

/* Not so where this program runs for another machine than its host's. */
static bool has_kvm(void)
{
	struct kvm kvm;
	int ret;

	capture_begin();
	ret = kvm_open(&kvm, "/dev/kvm");
	capture_end();
	if (!ret)
		kvm_close(&kvm);
	return !ret;
}

static void test_same(void **state)
{
	if (!has_kvm())
		skip();
	log_set_level(LOG_WARNING);
	assert_non_null(mkdtemp(dir));
	make_file("kernel", 100001);
	make_file("disk", 4096);
	check(TRANSPORT_PCI, 2);
	check(TRANSPORT_MMIO, 1);
	check(TRANSPORT_PCI, 16);
}

static int clean(void **state)
{
	static const char *const files[] = { "kernel", "disk" };

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		char *path = in_dir(files[i]);

		unlink(path);
		free(path);
	}
	rmdir(dir);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_same) };

	return cmocka_run_group_tests(tests, NULL, clean);
}
