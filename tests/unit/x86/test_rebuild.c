/* SPDX-License-Identifier: MIT */
/* machine.c: a guest that cannot be loaded twice is made anew by a reset, over what is open. */
#include "capture.h"
#include "unit.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/coco.h"
#include "lkvm/config.h"
#include "lkvm/console.h"
#include "lkvm/disk.h"
#include "lkvm/machine.h"
#include "lkvm/util.h"

static struct vm_config cfg;
static int destroyed;

/* 64-bit: mov $0x602, %dx; mov $1, %al; out %al, (%dx); 1: hlt; jmp 1b */
static const u8 reset_code[] = { 0x66, 0xba, 0x02, 0x06, 0xb0, 0x01, 0xee, 0xf4, 0xeb, 0xfd };

/* The next reset, of the VM made anew, ends it. */
static void on_destroy(struct vm *vm)
{
	/* What it remembers hangs there. */
	assert_non_null(vm->arch);
	assert_int_equal(vm->nr_vcpus, 0);
	destroyed++;
	cfg.no_reboot = true;
}

static const struct coco_ops once = { .destroy = on_destroy };

static void no_write(struct console *con, const u8 *buf, size_t len) {}
static void no_client(struct console *con, const struct console_client *client) {}
static void no_input(struct console *con) {}
static void stay(struct console *con) {}
static const struct console_ops mute_ops = {
	.write = no_write,
	.set_client = no_client,
	.input_ready = no_input,
	.destroy = stay,
};
static struct console mute = { &mute_ops };
static const struct machine_inject inject = { .serial = &mute };

static int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static char *make_file(const char *name, const void *bytes, size_t len)
{
	char *path = xasprintf("/tmp/lkvm-rebuild-%d-%s", getpid(), name);

	assert_int_equal(write_file(path, bytes, len), 0);
	return path;
}

static void test_rebuild(void **state)
{
	static const u8 sectors[4096];
	struct disk *disk;
	struct machine m;
	sigset_t mask;
	int fds, sig;

	if (access("/dev/kvm", R_OK | W_OK))
		skip();
	config_init(&cfg);
	cfg.kernel = make_file("kernel", reset_code, sizeof(reset_code));
	cfg.x86.kernel_format = X86_KERNEL_FLAT;
	cfg.cpus = 2;
	cfg.memory = 32 * MiB;
	cfg.nodefaults = true;
	config_add_disk(&cfg)->path = make_file("disk", sectors, sizeof(sectors));
	assert_int_equal(config_complete(&cfg), 0);
	assert_int_equal(machine_create_with(&m, &cfg, &inject), 0);
	/* What is gone cannot be opened again. */
	unlink(cfg.kernel);
	unlink(cfg.disks[0].path);
	fds = count_fds();
	disk = m.open.disks[0];
	m.vm.coco = &once;
	sigemptyset(&mask);
	sigaddset(&mask, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &mask, NULL);
	capture_begin();
	assert_int_equal(machine_run(&m, &sig), 0);
	capture_end();
	/* As it was. */
	pthread_sigmask(SIG_SETMASK, NULL, &mask);
	assert_true(sigismember(&mask, SIGHUP) && !sigismember(&mask, SIGTERM));
	assert_int_equal(destroyed, 1);
	assert_int_equal(m.vm.stop, VM_STOP_RESET);
	assert_int_equal(sig, 0);
	assert_ptr_equal(m.open.disks[0], disk);
	assert_int_equal(count_fds(), fds);
	machine_destroy(&m);
	config_destroy(&cfg);
}

/* What is started instead of the configuration's kernel leaves nothing of that open. */
static void test_inject(void **state)
{
	u8 code[sizeof(reset_code)];
	struct machine_inject instead = { .image = code,
					  .image_len = sizeof(code),
					  .serial = &mute };
	int fds = count_fds();
	struct machine m;

	if (access("/dev/kvm", R_OK | W_OK))
		skip();
	memcpy(code, reset_code, sizeof(code));
	config_init(&cfg);
	cfg.kernel = make_file("kernel", reset_code, sizeof(reset_code));
	cfg.x86.kernel_format = X86_KERNEL_FLAT;
	cfg.memory = 32 * MiB;
	cfg.nodefaults = true;
	assert_int_equal(config_complete(&cfg), 0);
	assert_int_equal(machine_create_with(&m, &cfg, &instead), 0);
	machine_destroy(&m);
	unlink(cfg.kernel);
	config_destroy(&cfg);
	assert_int_equal(count_fds(), fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_rebuild),
					    cmocka_unit_test(test_inject) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
