/* SPDX-License-Identifier: MIT */
/* --halt-poll: how long KVM waits on the CPU for an interrupt before an idle vcpu sleeps. */
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

/* Who waits longer wants --disable-exits hlt. */
#define HALT_POLL_MAX_NS 1000000000U

/* Not to wait at all is a choice too. */
static int halt_poll_parse(const char *shown, const char *arg, void *target)
{
	struct vm_config *cfg = target;
	u64 ns;

	if (parse_u64(arg, &ns) || ns > HALT_POLL_MAX_NS) {
		err("%s %s: is not a number of nanoseconds from 0 to %u", shown, arg,
		    HALT_POLL_MAX_NS);
		return -EINVAL;
	}
	cfg->halt_poll_ns = (u32)ns;
	cfg->has_halt_poll = true;
	return 0;
}

static char *halt_poll_text(const void *target, u32 i)
{
	const struct vm_config *cfg = target;

	return i || !cfg->has_halt_poll ? NULL : xasprintf("%u", cfg->halt_poll_ns);
}

const struct option_hooks halt_poll_hooks = {
	.parse = halt_poll_parse,
	.text = halt_poll_text,
};
