/* SPDX-License-Identifier: MIT */
/*
 * What a machine can be asked through its control socket (docs/control.md): the rows, and the
 * functions behind them. All of it runs on the main loop.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/arch.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "machine-control.h"

/* What `lkvm stop` waits for a guest that was asked to power off, and what is said of it. */
#define STOP_SECONDS	 30
#define MAX_STOP_SECONDS 86400
#define SECOND_NS	 1000000000ULL

static int run_info(struct control_call *call, void *opaque)
{
	struct machine *m = opaque;
	const struct vm_config *cfg = m->vm.cfg;
	struct json_out *out = call->result;

	json_put_u64(out, "pid", (u64)getpid());
	json_put_text(out, "state", machine_state(m));
	json_put_bool(out, "stopping", m->control.stopping);
	json_put_text(out, "version", LKVM_VERSION);
	json_put_text(out, "architecture", arch_platform.name);
	json_put_u64(out, "cpus", cfg->cpus);
	json_put_u64(out, "memory", cfg->memory);
	json_put_u64(out, "uptime_ms", (now_ns() - m->vm.start_ns) / 1000000);
	return 0;
}

static int run_pause(struct control_call *call, void *opaque)
{
	struct machine *m = opaque;

	vm_hold(&m->vm, VM_HOLD_USER);
	json_put_text(call->result, "state", machine_state(m));
	return 0;
}

static int run_resume(struct control_call *call, void *opaque)
{
	struct machine *m = opaque;

	vm_release(&m->vm, VM_HOLD_USER);
	json_put_text(call->result, "state", machine_state(m));
	return 0;
}

static int run_power_button(struct control_call *call, void *opaque)
{
	struct machine *m = opaque;

	if (machine_press_button(m) < 0)
		return control_fail(call, "unsupported", "this machine has no power button");
	return 0;
}

static void end_now(void *opaque)
{
	struct machine *m = opaque;

	vm_request_stop(&m->vm, VM_STOP_CONTROL, 0, -1);
}

static void on_insist(void *opaque)
{
	info("the guest was asked to power off, and did not in time");
	end_now(opaque);
}

/* The guest is asked by its power button; one that is paused goes on, so that it can answer. */
static int run_stop(struct control_call *call, void *opaque)
{
	struct machine *m = opaque;
	u64 seconds = json_number(control_arg(call, "timeout"), STOP_SECONDS);
	bool asked;

	if (seconds > MAX_STOP_SECONDS)
		return control_fail(call, "bad-argument", "stop: 'timeout' is %d seconds at most",
				    MAX_STOP_SECONDS);
	asked = seconds && machine_power_button(m) == 0;
	json_put_bool(call->result, "asked", asked);
	if (!asked) {
		end_now(m);
		return 0;
	}
	m->control.stopping = true;
	control_event(&m->control.server, "stopping", "");
	event_timer_set(&m->control.insist, seconds * SECOND_NS);
	vm_release(&m->vm, VM_HOLD_USER);
	return 0;
}

/* Events */

static int run_subscribe(struct control_call *call, void *opaque)
{
	struct machine *m = opaque;

	control_subscribe(call);
	json_put_text(call->result, "state", machine_state(m));
	return 0;
}

static void tell_state(struct machine *m)
{
	const char *state = machine_state(m);
	char *members;

	if (!strcmp(state, m->control.state))
		return;
	m->control.state = state;
	members = xasprintf(",\"state\":\"%s\"", state);
	control_event(&m->control.server, "state", members);
	free(members);
}

/* A pause for a moment is none that anybody asked for: the state is what it was. */
static void on_held(struct vm *vm)
{
	tell_state(container_of(vm, struct machine, vm));
}

static void on_slept(void *opaque)
{
	tell_state(opaque);
}

static void post_slept(struct vm *vm)
{
	struct machine *m = container_of(vm, struct machine, vm);

	event_loop_post(&vm->loop, &m->control.slept);
}

void machine_tell_reset(struct machine *m)
{
	control_event(&m->control.server, "reset", "");
}

void machine_tell_end(struct machine *m, const char *how, int status)
{
	char *members = xasprintf(",\"how\":\"%s\",\"status\":%d", how, status);

	control_event(&m->control.server, "ended", members);
	free(members);
}

static const struct control_arg stop_args[] = {
	{ "timeout", JSON_NUMBER, false,
	  "seconds that the guest has to power off before it is ended; 0: it is not asked (30)" },
	{ 0 },
};

static const struct control_command commands[] = {
	{ "info", "what the machine is and how it is", NULL, run_info },
	{ "pause", "stop its vcpus and devices until 'resume'", NULL, run_pause },
	{ "resume", "let it go on", NULL, run_resume },
	{ "subscribe", "be told of what happens to it, as events", NULL, run_subscribe },
	{ "power-button", "press the guest's power button", NULL, run_power_button },
	{ "stop", "ask the guest to power off, and end it when it does not", stop_args, run_stop },
	{ "balloon", "how much memory the guest is asked for, and has handed over",
	  machine_balloon_args, machine_run_balloon },
	{ "stat", "the guest's memory, by its balloon's statistics", NULL, machine_run_stat },
	{ "exits", "why vcpus left KVM_RUN how often, and which devices they came to", NULL,
	  machine_run_exits },
	{ "kvm-stats", "KVM's own statistics", machine_kvm_stats_args, machine_run_kvm_stats },
	{ "registers", "registers, code and stack of vcpus", machine_registers_args,
	  machine_run_registers },
	{ "dump", "the guest as an ELF core file, whose bytes precede the reply", NULL,
	  machine_run_dump },
	{ "nmi", "give a vcpu a non-maskable interrupt", machine_nmi_args, machine_run_nmi },
	{ "sysrq", "send a SysRq key to the guest's console", machine_sysrq_args,
	  machine_run_sysrq },
	{ 0 },
};

int machine_open_control(struct machine *m, const struct vm_config *cfg)
{
	const struct control_table table = { .commands = commands, .opaque = m };
	char other[32];

	m->control.state = machine_state(m);
	m->control.slept = (struct event_post){ .fn = on_slept, .opaque = m };
	m->vm.held = on_held;
	m->vm.slept = post_slept;
	event_timer_init(&m->control.insist, &m->vm.loop, on_insist, m);
	snprintf(other, sizeof(other), "guest-%d", (int)getpid());
	return control_open(&m->control.server, &m->vm.loop, cfg->name ? cfg->name : other,
			    cfg->name, &table, &m->ending);
}

void machine_close_control(struct machine *m)
{
	event_timer_destroy(&m->control.insist);
	event_loop_unpost(&m->vm.loop, &m->control.slept);
	control_close(&m->control.server);
}
