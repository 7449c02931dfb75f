/* SPDX-License-Identifier: MIT */
/*
 * One machine of `lkvm selftest`: its configuration, the lines that it says, what stands behind its
 * devices.
 */
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lkvm/arch.h"
#include "lkvm/log.h"
#include "lkvm/selftest.h"
#include "lkvm/util.h"

/* guest/embed.S */
extern u8 selftest_image[];
extern const u32 selftest_image_len;

/* The disk: what guest/selftest/checks-virtio.c expects of it, and what it writes. */
#define DISK_SECTORS 2048u
#define WRITE_AT     64u
#define WRITE_WORDS  (8u * 128)

static u32 pattern(u32 word, u32 seed)
{
	return word * 2654435761u + seed;
}

static int make_disk(void)
{
	__le32 block[128];
	int fd = memfd_create("selftest-disk", MFD_CLOEXEC), ret = 0;

	if (fd < 0) {
		ret = -errno;
		err("cannot make a disk in memory: %s", strerror(-ret));
		return ret;
	}
	if (ftruncate(fd, DISK_SECTORS * 512) < 0)
		ret = -errno;
	for (u32 sector = 0; sector < WRITE_AT && !ret; sector++) {
		for (u32 i = 0; i < ARRAY_SIZE(block); i++)
			block[i] = cpu_to_le32(pattern(sector * 128 + i, 1));
		ret = pwrite_full(fd, block, sizeof(block), sector * 512);
	}
	if (!ret)
		return fd;
	err("cannot fill the disk in memory: %s", strerror(-ret));
	close(fd);
	return ret;
}

bool selftest_disk_written(const struct selftest_vm *vm)
{
	__le32 words[WRITE_WORDS];

	if (pread_full(vm->disk_fd, words, sizeof(words), WRITE_AT * 512))
		return false;
	for (u32 i = 0; i < WRITE_WORDS; i++)
		if (le32_to_cpu(words[i]) != pattern(WRITE_AT * 128 + i, 2))
			return false;
	return true;
}

/* The serial port: lines */

static struct selftest_vm *from_serial(struct console *con)
{
	return container_of(con, struct selftest_vm, serial);
}

static void end_line(struct selftest_vm *vm)
{
	vm->text[vm->len] = '\0';
	vm->len = 0;
	vm->line(vm, vm->text);
}

static void serial_write(struct console *con, const u8 *buf, size_t len)
{
	struct selftest_vm *vm = from_serial(con);

	pthread_mutex_lock(&vm->lock);
	for (size_t i = 0; i < len; i++) {
		u8 c = buf[i];

		if (c == '\n') {
			end_line(vm);
			continue;
		}
		if (c == '\r')
			continue;
		/* A line that never ends is cut. */
		if (vm->len == sizeof(vm->text) - 1)
			end_line(vm);
		vm->text[vm->len++] = (char)((c < 0x20 && c != '\t') || c == 0x7f ? '?' : c);
	}
	pthread_mutex_unlock(&vm->lock);
}

static void no_client(struct console *con, const struct console_client *client) {}
static void no_input(struct console *con) {}
static void stay(struct console *con) {}

static const struct console_ops serial_ops = {
	.write = serial_write,
	.set_client = no_client,
	.input_ready = no_input,
	.destroy = stay,
};

/* The virtio console: what comes out goes in again */

static struct selftest_vm *from_echo(struct console *con)
{
	return container_of(con, struct selftest_vm, echo);
}

static void echo_pump(void *opaque)
{
	struct selftest_vm *vm = opaque;
	u8 buf[sizeof(vm->waiting)];
	size_t room, n;

	if (!vm->client)
		return;
	room = vm->client->room(vm->client->opaque);
	pthread_mutex_lock(&vm->lock);
	n = MIN(room, vm->nr_waiting);
	memcpy(buf, vm->waiting, n);
	vm->nr_waiting -= n;
	memmove(vm->waiting, vm->waiting + n, vm->nr_waiting);
	pthread_mutex_unlock(&vm->lock);
	if (n)
		vm->client->input(vm->client->opaque, buf, n);
}

/* More than fits is lost, and the guest says so. */
static void echo_write(struct console *con, const u8 *buf, size_t len)
{
	struct selftest_vm *vm = from_echo(con);
	size_t n;

	pthread_mutex_lock(&vm->lock);
	n = MIN(len, sizeof(vm->waiting) - vm->nr_waiting);
	memcpy(vm->waiting + vm->nr_waiting, buf, n);
	vm->nr_waiting += n;
	pthread_mutex_unlock(&vm->lock);
	event_loop_post(&vm->machine.vm.loop, &vm->post);
}

static void echo_set_client(struct console *con, const struct console_client *client)
{
	from_echo(con)->client = client;
}

static void echo_input_ready(struct console *con)
{
	struct selftest_vm *vm = from_echo(con);

	event_loop_post(&vm->machine.vm.loop, &vm->post);
}

static const struct console_ops echo_ops = {
	.write = echo_write,
	.set_client = echo_set_client,
	.input_ready = echo_input_ready,
	.destroy = stay,
};

/* The machine */

/* What is not touched costs nothing: there is no point in warning of more memory than the host
 * has, unless the user chose it. */
static int complete(struct vm_config *cfg, bool warns)
{
	enum log_level level = log_get_level();
	int ret;

	if (!warns && level > LOG_ERROR)
		log_set_level(LOG_ERROR);
	ret = config_complete(cfg);
	log_set_level(level);
	return ret;
}

/* What the built-in guest is to know of the configuration, once that is known to be right. */
static void add_words(struct vm_config *cfg)
{
	char *words = arch_selftest_words(cfg), *both;

	if (!words)
		return;
	both = xasprintf("%s%s%s", cfg->params ? cfg->params : "", cfg->params ? " " : "", words);
	free(words);
	free(cfg->params);
	free(cfg->cmdline);
	cfg->params = both;
	cfg->cmdline = xstrdup(both);
}

/* What is asked of the machine, without its devices. */
static void ask(struct vm_config *cfg, const struct selftest_options *o,
		enum virtio_transport_kind transport, const char *cmdline)
{
	config_copy(cfg, &o->cfg);
	/* 1 GiB of it above 4 GiB where the architecture has a hole below; measuring needs less. */
	if (!cfg->memory)
		cfg->memory = o->exits ? 256 * MiB : 4 * GiB;
	cfg->transport = transport;
	cfg->nodefaults = true;
	cfg->no_reboot = true; /* it comes back to us, see selftest_vm_restart */
	cfg->rng = true;
	free(cfg->params);
	cfg->params = cmdline ? xstrdup(cmdline) : NULL;
	cfg->kernel = xstrdup(o->image ? o->image : "the built-in guest");
}

int selftest_check(const struct selftest_options *o)
{
	struct vm_config cfg;
	int ret;

	config_init(&cfg);
	ask(&cfg, o, o->transports == SELFTEST_MMIO ? TRANSPORT_MMIO : TRANSPORT_PCI,
	    o->cfg.params);
	/* The machines that are made of it warn. */
	ret = complete(&cfg, false);
	config_destroy(&cfg);
	return ret;
}

static int configure(struct selftest_vm *vm, enum virtio_transport_kind transport,
		     const char *cmdline)
{
	const struct selftest_options *o = vm->options;
	struct vm_config *cfg = &vm->cfg;
	int ret;

	ask(cfg, o, transport, cmdline);
	config_add_net(cfg)->mode = NET_LOOPBACK;
	vm->disk_fd = make_disk();
	if (vm->disk_fd < 0)
		return vm->disk_fd;
	config_add_disk(cfg)->path = xasprintf("/proc/self/fd/%d", vm->disk_fd);
	ret = complete(cfg, o->cfg.memory);
	if (!ret && !o->image)
		add_words(cfg);
	if (!o->image) {
		/* It is not a file. */
		free(cfg->kernel);
		cfg->kernel = NULL;
	}
	return ret;
}

static void on_limit(void *opaque)
{
	struct selftest_vm *vm = opaque;

	vm->timed_out = true;
	vm_request_stop(&vm->machine.vm, VM_STOP_QUIT, 0, -1);
}

int selftest_vm_create(struct selftest_vm *vm, const struct selftest_options *o,
		       enum virtio_transport_kind transport, const char *cmdline)
{
	int ret;

	vm->options = o;
	vm->disk_fd = -1;
	pthread_mutex_init(&vm->lock, NULL);
	vm->serial.ops = &serial_ops;
	vm->echo.ops = &echo_ops;
	vm->post = (struct event_post){ .fn = echo_pump, .opaque = vm };
	vm->inject = (struct machine_inject){ .serial = &vm->serial, .hvc = &vm->echo };
	if (!o->image) {
		vm->inject.image = selftest_image;
		vm->inject.image_len = selftest_image_len;
	}
	config_init(&vm->cfg);
	ret = configure(vm, transport, cmdline);
	if (ret)
		return ret;
	ret = machine_create_with(&vm->machine, &vm->cfg, &vm->inject);
	if (ret)
		return ret;
	vm->made = true;
	event_timer_init(&vm->limit, &vm->machine.vm.loop, on_limit, vm);
	return 0;
}

void selftest_vm_set_limit(struct selftest_vm *vm, u64 ms)
{
	event_timer_set(&vm->limit, ms * 1000000);
}

int selftest_vm_run(struct selftest_vm *vm, u64 ms, int *sig)
{
	int status;

	selftest_vm_set_limit(vm, ms);
	status = machine_run(&vm->machine, sig);
	selftest_vm_set_limit(vm, 0);
	/* A last line without its end. */
	pthread_mutex_lock(&vm->lock);
	if (vm->len)
		end_line(vm);
	pthread_mutex_unlock(&vm->lock);
	return status;
}

int selftest_vm_restart(struct selftest_vm *vm, const char *cmdline)
{
	free(vm->cfg.params);
	free(vm->cfg.cmdline);
	vm->cfg.params = xstrdup(cmdline);
	vm->cfg.cmdline = xstrdup(cmdline);
	return machine_restart(&vm->machine);
}

void selftest_vm_destroy(struct selftest_vm *vm)
{
	event_timer_destroy(&vm->limit);
	if (vm->made)
		machine_destroy(&vm->machine);
	config_destroy(&vm->cfg);
	if (vm->disk_fd >= 0)
		close(vm->disk_fd);
	pthread_mutex_destroy(&vm->lock);
}
