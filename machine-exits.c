/* SPDX-License-Identifier: MIT */
/* What a machine tells of its exits, and of what KVM counts, through its control socket. */
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/exits.h"
#include "lkvm/kvm-stats.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "machine-control.h"

static void put_device(const char *name, u64 reads, u64 writes, void *arg)
{
	struct json_out *out = arg;

	json_open(out, NULL, '{');
	json_put_text(out, "name", name);
	json_put_u64(out, "reads", reads);
	json_put_u64(out, "writes", writes);
	json_close(out, '}');
}

static void put_vcpu(struct json_out *out, const struct vcpu *vcpu)
{
	const char *other = exit_name(EXIT_OTHER);
	u64 nr_other = 0;

	json_open(out, NULL, '{');
	for (u32 i = 0; i < EXIT_REASONS; i++) {
		u64 n = exit_counted(&vcpu->exits, i);

		if (!strcmp(exit_name(i), other))
			nr_other += n; /* all that have no name */
		else if (n)
			json_put_u64(out, exit_name(i), n);
	}
	if (nr_other)
		json_put_u64(out, other, nr_other);
	json_close(out, '}');
}

int machine_run_exits(struct control_call *call, void *opaque)
{
	struct machine *m = opaque;
	struct json_out *out = call->result;

	json_put_text(out, "state", machine_state(m));
	json_put_u64(out, "uptime_ms", (now_ns() - m->vm.start_ns) / 1000000);
	json_open(out, "vcpus", '[');
	for (u32 i = 0; i < m->vm.nr_vcpus; i++)
		put_vcpu(out, m->vm.vcpus[i]);
	json_close(out, ']');
	json_open(out, "devices", '[');
	bus_for_each_count(&m->vm.pio, put_device, out);
	bus_for_each_count(&m->vm.mmio, put_device, out);
	json_close(out, ']');
	return 0;
}

/* KVM's statistics */

static void put_stat(void *opaque, const char *name, const u64 *values, u32 nr)
{
	struct json_out *out = opaque;

	if (nr == 1) {
		json_put_u64(out, name, *values);
		return;
	}
	json_open(out, name, '[');
	for (u32 i = 0; i < nr; i++)
		json_put_u64(out, NULL, values[i]);
	json_close(out, ']');
}

static int put_stats(struct control_call *call, const char *whose, int fd)
{
	int ret;

	json_open(call->result, whose, '{');
	ret = kvm_stats_read(fd, put_stat, call->result);
	json_close(call->result, '}');
	return ret;
}

/* KVM makes the descriptor of a vcpu's only while it is out of KVM_RUN: once, and it is kept. */
static int open_vcpu(struct machine *m, struct vcpu *vcpu)
{
	if (vcpu->stats_fd >= 0)
		return 0;
	vm_pause(&m->vm);
	vcpu->stats_fd = kvm_stats_open(vcpu->fd);
	vm_resume(&m->vm);
	return MIN(vcpu->stats_fd, 0);
}

const struct control_arg machine_kvm_stats_args[] = {
	{ "cpu", JSON_NUMBER, false, "of this vcpu; without it of the VM" },
	{ 0 },
};

int machine_run_kvm_stats(struct control_call *call, void *opaque)
{
	const struct json *cpu = control_arg(call, "cpu");
	struct machine *m = opaque;
	u64 nr = json_number(cpu, 0);
	int fd, ret = 0;

	if (nr >= m->vm.nr_vcpus)
		return control_fail(call, "bad-argument", "kvm-stats: there is no vcpu %llu", nr);
	if (cpu) {
		ret = open_vcpu(m, m->vm.vcpus[nr]);
		if (!ret)
			ret = put_stats(call, "vcpu", m->vm.vcpus[nr]->stats_fd);
	} else {
		fd = kvm_stats_open(m->vm.kvm.vm_fd);
		ret = fd < 0 ? fd : put_stats(call, "vm", fd);
		if (fd >= 0)
			close(fd);
	}
	if (ret == -ENOTSUP)
		return control_fail(call, "unsupported", "this host's KVM has no statistics");
	if (ret)
		return control_fail(call, "failed", "kvm-stats: %s", strerror(-ret));
	return 0;
}
