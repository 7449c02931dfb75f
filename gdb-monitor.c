/* SPDX-License-Identifier: MIT */
/* "monitor ..." of a debugger: what the remote protocol has no packets for. */
#include <stdio.h>
#include <stdlib.h>

#include "gdb-vm.h"
#include "lkvm/arch.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

struct request {
	struct vm *vm;
	u32 vcpu;
	const char *arg; /* what follows the command */
	bool *physical;
	FILE *out;
};

static void registers(const struct request *r)
{
	arch_vcpu_dump(r->vm->vcpus[r->vcpu], r->out);
}

static void translate(const struct request *r)
{
	u64 va, gpa;
	int ret;

	if (parse_u64(r->arg, &va)) {
		fprintf(r->out, "translate: needs an address, as 0xffffffff81000000\n");
		return;
	}
	ret = arch_vcpu_translate(r->vm->vcpus[r->vcpu], va, &gpa);
	if (ret)
		fprintf(r->out, "0x%llx: %s\n", va,
			ret == -EFAULT ? "is not mapped" : "its tables are not followed");
	else
		fprintf(r->out, "0x%llx: physical 0x%llx\n", va, gpa);
}

static void physical(const struct request *r)
{
	if (!strcmp(r->arg, "on") || !strcmp(r->arg, "off"))
		*r->physical = !strcmp(r->arg, "on");
	else if (*r->arg)
		fprintf(r->out, "physical: is 'on' or 'off'\n");
	fprintf(r->out, "addresses are %s\n", *r->physical ? "physical" : "those of the vcpu");
}

/* One that was woken while the VM stands still is to go on first, too: see arch_vcpu_reset. */
static bool slept(const struct vm *vm)
{
	for (u32 i = 0; i < vm->nr_vcpus; i++)
		if (vm->vcpus[i]->asleep)
			return true;
	return false;
}

static void reset(const struct request *r)
{
	if (slept(r->vm)) {
		fprintf(r->out, "the guest sleeps, and cannot be reset before it has gone on: "
				"'monitor power-button' wakes it\n");
		return;
	}
	vm_request_stop(r->vm, VM_STOP_RESET, 0, -1);
	fprintf(r->out, "the guest is reset; 'maintenance flush register-cache' shows its "
			"registers\n");
}

static void power_button(const struct request *r)
{
	if (!vm_wake(r->vm) && arch_power_button(r->vm))
		fprintf(r->out, "this VM has no power button\n");
}

static void quit(const struct request *r)
{
	vm_request_stop(r->vm, VM_STOP_QUIT, 0, -1);
}

/* Linux's scripts for GDB ask for this, to know whose stub it is: vcpus are threads in both. */
static void version(const struct request *r)
{
	fprintf(r->out, "lkvm %s\n", LKVM_VERSION);
}

static void help(const struct request *r);

static const struct monitor_command {
	const char *name, *arg, *help;
	void (*fn)(const struct request *r);
} commands[] = {
	{ "help", "", "this list", help },
	{ "info registers", "", "all that lkvm can tell of the selected vcpu", registers },
	{ "info version", "", "the version of lkvm", version },
	{ "physical", " on|off", "addresses of memory are physical ones, or the vcpu's", physical },
	{ "power-button", "", "press the guest's power button", power_button },
	{ "quit", "", "end the guest", quit },
	{ "reset", "", "reset the guest", reset },
	{ "translate", " ADDRESS", "the physical address by the vcpu's page tables", translate },
};

static void help(const struct request *r)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		int n = fprintf(r->out, "%s%s", commands[i].name, commands[i].arg);

		fprintf(r->out, "%*s%s\n", n < 22 ? 22 - n : 1, "", commands[i].help);
	}
}

static void run(struct request *r, const char *command)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		size_t n = strlen(commands[i].name);

		if (strncmp(command, commands[i].name, n) || (command[n] && command[n] != ' '))
			continue;
		r->arg = command + n;
		while (*r->arg == ' ')
			r->arg++;
		commands[i].fn(r);
		return;
	}
	fprintf(r->out, "no such command; 'monitor help' lists them\n");
}

char *gdb_monitor(struct vm *vm, u32 vcpu, const char *command, bool *is_physical)
{
	struct request r = { .vm = vm, .vcpu = vcpu, .physical = is_physical };
	char *text = NULL;
	size_t len;

	r.out = open_memstream(&text, &len);
	if (!r.out)
		return NULL;
	run(&r, command);
	fclose(r.out);
	return text;
}
