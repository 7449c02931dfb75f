/* SPDX-License-Identifier: MIT */
/* What several commands of a machine's control socket need: its state in a word; and calls whose
 * answer takes a while, which a timer looks for. */
#include <stdlib.h>

#include "lkvm/util.h"
#include "machine-control.h"

/* How often a call that was put off looks again. */
#define WAIT_NS 5000000ULL

const char *machine_state(struct machine *m)
{
	u32 holders = vm_holders(&m->vm);

	return holders & VM_HOLD_USER	? "paused"
	       : holders & VM_HOLD_GDB	? "stopped by gdb"
	       : holders & VM_HOLD_DUMP ? "dumping"
	       : vm_is_asleep(&m->vm)	? "suspended"
					: "running";
}

static void end_wait(struct machine_wait *w)
{
	event_timer_destroy(&w->timer);
	free(w);
}

static void on_wait_gone(struct control_call *call)
{
	end_wait(call->priv);
}

static void on_wait(void *opaque)
{
	struct machine_wait *w = opaque;
	struct control_call *call = w->call;
	int ret = w->again(w, now_ns() >= w->deadline_ns);

	if (ret == -EAGAIN) {
		event_timer_set(&w->timer, WAIT_NS);
		return;
	}
	end_wait(w);
	control_finish(call, ret);
}

int machine_wait(struct machine *m, struct control_call *call,
		 int (*again)(struct machine_wait *w, bool last), u64 data, u64 patience_ms)
{
	struct machine_wait *w = xcalloc(1, sizeof(*w)), now;
	int ret;

	now = (struct machine_wait){ .m = m, .call = call, .data = data };
	ret = again(&now, false);
	if (ret != -EAGAIN) {
		free(w);
		return ret;
	}
	*w = now;
	w->again = again;
	w->deadline_ns = now_ns() + patience_ms * 1000000;
	event_timer_init(&w->timer, &m->vm.loop, on_wait, w);
	event_timer_set(&w->timer, WAIT_NS);
	call->priv = w;
	call->gone = on_wait_gone;
	return CONTROL_LATER;
}
