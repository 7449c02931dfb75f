/* SPDX-License-Identifier: MIT */
/* A machine that runs a command, or a shell, of lkvm's own init: its streams, and how it is asked
 * to end. */
#include "lkvm/arch.h"
#include "lkvm/config.h"
#include "lkvm/guest-command.h"
#include "lkvm/log.h"
#include "lkvm/machine.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"

static void on_command_ended(void *opaque, int status)
{
	struct machine *m = opaque;

	vm_request_stop(&m->vm, VM_STOP_DEBUG_EXIT, status, -1);
}

int machine_open_command(struct machine *m, const struct vm_config *cfg)
{
	struct machine_open *open = &m->open;
	int ret;

	if (!cfg->root.linked)
		return 0;
	open->kept = kept_console_new(log_get_level() >= LOG_DEBUG);
	ret = guest_command_create(&m->vm.loop, open->console, on_command_ended, m, &open->command);
	if (ret)
		err("cannot set up the command's streams: %s%s", strerror(-ret), limit_hint(ret));
	else
		open->link = guest_command_port(open->command);
	return ret;
}

void machine_close_command(struct machine_open *open)
{
	guest_command_destroy(open->command);
	if (open->kept)
		open->kept->ops->destroy(open->kept);
}

int machine_press_button(struct machine *m)
{
	return vm_wake(&m->vm) ? 0 : machine_power_button(m);
}

int machine_power_button(struct machine *m)
{
	/* Nobody there listens to the button, and before the command runs nobody listens at all. */
	if (m->open.command)
		return guest_command_ask(m->open.command) ? 0 : -ENODEV;
	return arch_power_button(&m->vm);
}
