/* SPDX-License-Identifier: MIT */
/*
 * For native tests that are programs over liblkvm.a: a machine with a flat guest, whose serial port
 * calls back for every line, and TAP.
 */
#ifndef TEST_NATIVE_MACHINE_H
#define TEST_NATIVE_MACHINE_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../arch-config.h"
#include "lkvm/config.h"
#include "lkvm/console.h"
#include "lkvm/log.h"
#include "lkvm/machine.h"
#include "lkvm/memory.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"

/* A hang is all that it is for. */
#define LIMIT_SECONDS 600

static unsigned int tap_points;
static bool tap_failed;

static inline void point(bool ok, const char *name)
{
	printf("%sok %u - %s\n", ok ? "" : "not ", ++tap_points, name);
	fflush(stdout);
	tap_failed |= !ok;
}

static inline int tap_end(void)
{
	printf("1..%u\n", tap_points);
	return tap_failed;
}

struct test_machine {
	struct machine m;
	struct vm_config cfg;
	struct machine_inject inject;
	struct console con;
	struct console_client client;
	char line[128];
	size_t len;
	/* A line of the guest came; on a vcpu's thread. */
	void (*on_line)(struct test_machine *t, const char *line);
	struct event_post post; /* for on_line */
	unsigned int input_ready;
	const char *image; /* of its disk; NULL: none */
	void *opaque;
};

/*
 * From on_line: @t->post runs on the main loop, which pauses the guest or stops it; the guest goes
 * no further than this line, however late that is.
 */
static inline void post_and_wait(struct test_machine *t)
{
	event_loop_post(&t->m.vm.loop, &t->post);
	while (atomic_load(&t->m.vm.running))
		usleep(100);
}

static inline void test_write(struct console *con, const u8 *buf, size_t len)
{
	struct test_machine *t = container_of(con, struct test_machine, con);

	for (size_t i = 0; i < len; i++) {
		if (buf[i] == '\n') {
			t->line[t->len] = '\0';
			t->len = 0;
			printf("# %s\n", t->line);
			t->on_line(t, t->line);
		} else if (buf[i] != '\r' && t->len < sizeof(t->line) - 1) {
			t->line[t->len++] = (char)buf[i];
		}
	}
}

static inline void test_set_client(struct console *con, const struct console_client *client)
{
	struct test_machine *t = container_of(con, struct test_machine, con);

	t->client = client ? *client : (struct console_client){ 0 };
}

static inline void test_input_ready(struct console *con)
{
	container_of(con, struct test_machine, con)->input_ready++;
}

static const struct console_ops test_console_ops = {
	.write = test_write,
	.set_client = test_set_client,
	.input_ready = test_input_ready,
};

static inline void make_machine(struct test_machine *t, const char *guest, const char *words,
				u32 cpus, int irqchip, enum virtio_transport_kind transport)
{
	config_init(&t->cfg);
	t->cfg.kernel = xstrdup(guest);
	set_flat_image(&t->cfg);
	t->cfg.memory = 32 * MiB;
	t->cfg.cpus = cpus;
	set_irqchip(&t->cfg, irqchip);
	t->cfg.transport = transport;
	t->cfg.nodefaults = true;
	t->cfg.params = xstrdup(words);
	if (t->image)
		config_add_disk(&t->cfg)->path = xstrdup(t->image);
	t->con.ops = &test_console_ops;
	t->inject.serial = &t->con;
	if (config_complete(&t->cfg) || machine_create_with(&t->m, &t->cfg, &t->inject)) {
		printf("Bail out! cannot make the machine\n");
		exit(1);
	}
}

/* All of it: it begins at 0 on x86, at 2 GiB on arm64. */
static inline void *guest_ram(struct vm *vm)
{
	static const u64 bases[] = { 0, 2 * GiB };
	void *p = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(bases) && !p; i++)
		p = memory_ptr(&vm->mem, bases[i], vm->cfg->memory);
	return p;
}

static inline void end_machine(struct test_machine *t)
{
	machine_destroy(&t->m);
	config_destroy(&t->cfg);
}

#endif
