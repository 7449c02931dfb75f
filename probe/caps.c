/* SPDX-License-Identifier: MIT */
/* Tables of KVM capabilities turned into rows (Linux Documentation/virt/kvm/api.rst, section 8). */
#include <stdio.h>

#include "lkvm/kvm.h"
#include "lkvm/probe.h"

static int check(const struct probe *h, int fd, u32 cap)
{
	int ret = fd < 0 ? 0 : h->sys->ioctl(h->sys->opaque, fd, KVM_CHECK_EXTENSION, cap);

	return MAX(ret, 0);
}

int probe_check_vm(const struct probe *h, u32 cap)
{
	return check(h, h->vm_fd, cap);
}

int probe_check_sys(const struct probe *h, u32 cap)
{
	return check(h, h->kvm_fd, cap);
}

/* "kvm.enable_pmu": does that parameter stand in the way? */
static bool switched_off(const struct probe *h, const char *name, char *why, size_t len)
{
	char module[64], path[160];
	const char *dot = name ? strchr(name, '.') : NULL;

	if (!dot)
		return false;
	snprintf(module, sizeof(module), "%.*s", (int)(dot - name), name);
	if (probe_module_param(h, module, dot + 1, path, sizeof(path)) != 0)
		return false;
	snprintf(why, len, "module parameter %s is off (%s)", name, path);
	return true;
}

static void missing(const struct probe *h, const struct probe_cap *c, struct probe_row *row)
{
	char why[256];

	if (probe_too_old(h, c->since, why, sizeof(why)) ||
	    switched_off(h, c->param, why, sizeof(why)))
		probe_no(row, "%s", why);
	else if (c->missing)
		probe_no(row, "%s", c->missing);
	else
		probe_not_offered(h, row, c->since);
}

static void add_cap(struct probe *h, const struct probe_cap *c)
{
	struct probe_row *row = probe_row(h, c->section, c->name, c->brings);
	int on_vm = probe_check_vm(h, c->cap), on_sys = probe_check_sys(h, c->cap);
	u32 value = (u32)(on_vm ? on_vm : on_sys);

	row->cap = (int)c->cap;
	row->since = c->since;
	if (h->kvm_fd < 0) {
		probe_unasked(row);
		return;
	}
	if (!value) {
		missing(h, c, row);
		return;
	}
	switch (c->read) {
	case PROBE_CAP_FLAG:
		probe_yes(row);
		break;
	case PROBE_CAP_COUNT:
		probe_number(row, value);
		break;
	case PROBE_CAP_MASK:
		probe_bits(row, value, c->bits, c->nr_bits);
		break;
	}
	/* The device answers for all types of VM, the VM for its own. */
	if (h->vm_fd >= 0 && !on_vm)
		probe_note(row, "not for ordinary VMs");
}

void probe_caps(struct probe *h, const struct probe_cap *table, size_t n)
{
	for (size_t i = 0; i < n; i++)
		add_cap(h, &table[i]);
}
