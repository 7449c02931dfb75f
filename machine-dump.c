/* SPDX-License-Identifier: MIT */
/*
 * A guest as a core file, through the control socket: whoever asks gets its bytes and writes them
 * down, so that this process opens no file and waits for no disk. The machine is held meanwhile.
 */
#include <stdlib.h>

#include "lkvm/core-dump.h"
#include "machine-control.h"

struct machine_dump {
	struct machine *m;
	struct core_dump *core; /* NULL: its memory went */
};

/* It may be gone already, and another may have come since. */
static void let_go(struct machine_dump *d)
{
	core_dump_free(d->core);
	d->core = NULL;
	if (d->m->control.dump != d)
		return;
	d->m->control.dump = NULL;
	vm_release(&d->m->vm, VM_HOLD_DUMP);
}

static void end_dump(struct machine_dump *d)
{
	let_go(d);
	free(d);
}

void machine_stop_dump(struct machine *m)
{
	if (m->control.dump)
		let_go(m->control.dump);
}

static void on_gone(struct control_call *call)
{
	end_dump(call->priv);
}

static int dump_more(struct control_call *call)
{
	struct machine_dump *d = call->priv;
	struct core_dump_piece piece;

	if (d->core && core_dump_next(d->core, &piece)) {
		if (piece.len)
			control_data(call, piece.offset, piece.data, piece.len);
		return CONTROL_LATER;
	}
	control_end_data(call);
	if (!d->core) {
		end_dump(d);
		return control_fail(call, "failed", "dump: the machine was reset meanwhile");
	}
	json_put_u64(call->result, "size", core_dump_size(d->core));
	json_put_u64(call->result, "left_out", core_dump_left_out(d->core));
	end_dump(d);
	return 0;
}

int machine_run_dump(struct control_call *call, void *opaque)
{
	struct machine *m = opaque;
	struct machine_dump *d;
	int ret;

	if (m->control.dump)
		return control_fail(call, "failed", "dump: another one is under way");
	d = calloc(1, sizeof(*d));
	if (!d)
		return control_fail(call, "failed", "dump: memory is short");
	d->m = m;
	m->control.dump = d;
	vm_hold(&m->vm, VM_HOLD_DUMP);
	ret = core_dump_begin(&m->vm, &d->core);
	/* After a reset that was asked for before there is another guest. */
	if (!ret && vm_stop_reason(&m->vm, NULL, NULL) != VM_STOP_NONE)
		ret = -EBUSY;
	if (ret) {
		end_dump(d);
		return ret == -EBUSY
			       ? control_fail(call, "failed", "dump: the machine ends or is reset")
		       : ret == -ENOTSUP
			       ? control_fail(call, "unsupported",
					      "dump: this guest's memory is private to it")
			       : control_fail(call, "failed", "dump: KVM tells no registers: %s",
					      strerror(-ret));
	}
	call->priv = d;
	call->more = dump_more;
	call->gone = on_gone;
	return CONTROL_LATER;
}
