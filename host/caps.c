/* SPDX-License-Identifier: MIT */
/* Tables of KVM capabilities turned into rows (Linux Documentation/virt/kvm/api.rst, section 8). */
#include <stdio.h>

#include "lkvm/host.h"
#include "lkvm/kvm.h"

static int check(const struct host *h, int fd, u32 cap)
{
	int ret = fd < 0 ? 0 : h->sys->ioctl(h->sys->opaque, fd, KVM_CHECK_EXTENSION, cap);

	return MAX(ret, 0);
}

int host_check_vm(const struct host *h, u32 cap)
{
	return check(h, h->vm_fd, cap);
}

int host_check_sys(const struct host *h, u32 cap)
{
	return check(h, h->kvm_fd, cap);
}

/* "kvm.enable_pmu": does that parameter stand in the way? */
static bool switched_off(const struct host *h, const char *name, char *why, size_t len)
{
	char module[64], path[160];
	const char *dot = name ? strchr(name, '.') : NULL;

	if (!dot)
		return false;
	snprintf(module, sizeof(module), "%.*s", (int)(dot - name), name);
	if (host_module_param(h, module, dot + 1, path, sizeof(path)) != 0)
		return false;
	snprintf(why, len, "module parameter %s is off (%s)", name, path);
	return true;
}

static void missing(const struct host *h, const struct host_cap *c, struct host_row *row)
{
	char why[256];

	if (host_too_old(h, c->since, why, sizeof(why)) ||
	    switched_off(h, c->param, why, sizeof(why)))
		host_no(row, "%s", why);
	else if (c->missing)
		host_no(row, "%s", c->missing);
	else
		host_no(row, "this KVM does not offer it%s%s", c->since ? "; new in Linux " : "",
			c->since ? c->since : "");
}

static void add_cap(struct host *h, const struct host_cap *c)
{
	struct host_row *row = host_row(h, c->section, c->name, c->brings);
	int on_vm = host_check_vm(h, c->cap), on_sys = host_check_sys(h, c->cap);
	u32 value = (u32)(on_vm ? on_vm : on_sys);

	row->cap = (int)c->cap;
	row->since = c->since;
	if (h->kvm_fd < 0) {
		host_unasked(row);
		return;
	}
	if (!value) {
		missing(h, c, row);
		return;
	}
	switch (c->read) {
	case HOST_CAP_FLAG:
		host_yes(row);
		break;
	case HOST_CAP_COUNT:
		host_number(row, value);
		break;
	case HOST_CAP_MASK:
		host_bits(row, value, c->bits, c->nr_bits);
		break;
	}
	/* The device answers for all types of VM, the VM for its own. */
	if (h->vm_fd >= 0 && !on_vm)
		host_note(row, "not for ordinary VMs");
}

void host_caps(struct host *h, const struct host_cap *table, size_t n)
{
	for (size_t i = 0; i < n; i++)
		add_cap(h, &table[i]);
}
