/* SPDX-License-Identifier: MIT */
/* What a machine can be asked about its memory: the balloon and the guest's statistics. */
#include "lkvm/balloon.h"
#include "lkvm/config.h"
#include "machine-control.h"

/* How long a guest has for fresh statistics; Linux answers within milliseconds. */
#define STATS_MS 2000

/* VIRTIO 1.3, 5.5.6.3, by tag. */
static const char *const stat_names[BALLOON_NR_STATS] = {
	"swap_in",	    "swap_out",	    "major_faults",
	"minor_faults",	    "free",	    "total",
	"available",	    "disk_caches",  "hugetlb_allocations",
	"hugetlb_failures", "oom_kills",    "alloc_stalls",
	"async_scans",	    "direct_scans", "async_reclaims",
	"direct_reclaims",
};

static int no_balloon(struct control_call *call)
{
	return control_fail(call, "unsupported",
			    "this machine has no balloon; 'lkvm run' makes "
			    "one with --balloon");
}

static void put_balloon(struct control_call *call, struct virtio_device *balloon)
{
	json_put_u64(call->result, "target", balloon_target(balloon));
	json_put_u64(call->result, "actual", balloon_actual(balloon));
}

const struct control_arg machine_balloon_args[] = {
	{ "size", JSON_NUMBER, false, "bytes that the guest is asked to hand over in all" },
	{ "inflate", JSON_NUMBER, false, "bytes more than so far" },
	{ "deflate", JSON_NUMBER, false, "bytes less than so far" },
	{ 0 },
};

int machine_run_balloon(struct control_call *call, void *opaque)
{
	struct machine *m = opaque;
	struct virtio_device *balloon = m->vm.balloon;
	const struct json *size = control_arg(call, "size");
	const struct json *more = control_arg(call, "inflate");
	const struct json *less = control_arg(call, "deflate");
	u64 now, target;

	if (!balloon)
		return no_balloon(call);
	if (!!size + !!more + !!less > 1)
		return control_fail(call, "bad-argument",
				    "balloon: takes one of 'size', 'inflate' and 'deflate'");
	now = target = balloon_target(balloon);
	if (size)
		target = size->number;
	else if (more)
		target = more->number < UINT64_MAX - now ? now + more->number : UINT64_MAX;
	else if (less && less->number > now)
		return control_fail(
			call, "bad-argument",
			"balloon: the guest is asked for %lluM; that is the most it can have back",
			now / MiB);
	else if (less)
		target = now - less->number;
	/* As for --balloon-size. */
	if (target >= m->vm.cfg->memory)
		return control_fail(call, "bad-argument",
				    "balloon: its size must be less than the guest's memory, %lluM",
				    m->vm.cfg->memory / MiB);
	if (target > now && atomic_load(&m->vm.mem.pinned))
		return control_fail(call, "unsupported",
				    "balloon: nothing would go back to the host, since devices of "
				    "--vfio may use all of this machine's memory");
	if (target != now)
		balloon_set_target(balloon, target);
	put_balloon(call, balloon);
	return 0;
}

/* @fresh: the guest has just told them. */
static void put_stats(struct control_call *call, struct machine *m, bool fresh)
{
	struct json_out *out = call->result;
	struct balloon_stats stats;

	json_put_text(out, "state", machine_state(m));
	json_put_u64(out, "memory", m->vm.cfg->memory);
	json_open(out, "balloon", '{');
	put_balloon(call, m->vm.balloon);
	json_close(out, '}');
	balloon_get_stats(m->vm.balloon, &stats);
	json_put_bool(out, "fresh", fresh);
	json_open(out, "guest", '{');
	for (u32 i = 0; i < BALLOON_NR_STATS; i++)
		if (stats.known & BIT(i))
			json_put_u64(out, stat_names[i], stats.values[i]);
	json_close(out, '}');
}

static int stats_again(struct machine_wait *w, bool last)
{
	struct virtio_device *balloon = w->m->vm.balloon;
	struct balloon_stats stats = { 0 };

	/* A guest that was made anew meanwhile. */
	if (!balloon)
		return no_balloon(w->call);
	balloon_get_stats(balloon, &stats);
	if (stats.sequence == (u32)w->data && !last)
		return -EAGAIN;
	put_stats(w->call, w->m, stats.sequence != (u32)w->data);
	return 0;
}

int machine_run_stat(struct control_call *call, void *opaque)
{
	struct machine *m = opaque;
	struct balloon_stats stats;

	if (!m->vm.balloon)
		return no_balloon(call);
	balloon_get_stats(m->vm.balloon, &stats);
	if (!vm_holders(&m->vm) && balloon_ask_stats(m->vm.balloon))
		return machine_wait(m, call, stats_again, stats.sequence, STATS_MS);
	put_stats(call, m, false);
	return 0;
}
