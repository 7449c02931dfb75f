/* SPDX-License-Identifier: MIT */
/*
 * The states of VFIO's migration protocol (Linux include/uapi/linux/vfio.h, "enum
 * vfio_device_mig_state"). The kernel walks the states between two by itself. What it could not do
 * leaves the device in some state on the way, which has to be asked for, or in ERROR, which only a
 * reset ends.
 */
#include "lkvm/vfio-migration.h"

#include <errno.h>
#include <string.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vfio.h"
#include "vfio-abi.h"

const char *vfio_migration_state_name(u32 state)
{
	static const char *const names[] = {
		[VFIO_ABI_STATE_ERROR] = "ERROR",
		[VFIO_ABI_STATE_STOP] = "STOP",
		[VFIO_ABI_STATE_RUNNING] = "RUNNING",
		[VFIO_ABI_STATE_STOP_COPY] = "STOP_COPY",
		[VFIO_ABI_STATE_RESUMING] = "RESUMING",
		[VFIO_ABI_STATE_RUNNING_P2P] = "RUNNING_P2P",
		[VFIO_ABI_STATE_PRE_COPY] = "PRE_COPY",
		[VFIO_ABI_STATE_PRE_COPY_P2P] = "PRE_COPY_P2P",
	};

	return state < ARRAY_SIZE(names) ? names[state] : "unknown";
}

/* A device that does not even say where it is has failed. */
static void ask_state(struct vfio_migration *m)
{
	struct vfio_abi_mig_state s = { .data_fd = -1 };
	int ret = vfio_device_feature(m->dev, VFIO_DEVICE_FEATURE_GET | VFIO_ABI_FEATURE_MIG_STATE,
				      &s, sizeof(s));

	m->state = ret < 0 ? VFIO_ABI_STATE_ERROR : s.device_state;
}

int vfio_migration_set(struct vfio_migration *m, u32 state)
{
	struct vfio_abi_mig_state s = { .device_state = state, .data_fd = -1 };
	int ret = vfio_device_feature(m->dev, VFIO_DEVICE_FEATURE_SET | VFIO_ABI_FEATURE_MIG_STATE,
				      &s, sizeof(s));

	if (ret < 0) {
		ask_state(m);
		debug("--vfio %s: to %s: %s; it is in %s", m->dev->name.id,
		      vfio_migration_state_name(state), strerror(-ret),
		      vfio_migration_state_name(m->state));
		return ret;
	}
	m->state = state;
	/* One that goes on from PRE_COPY to STOP_COPY is told of once. */
	if (s.data_fd >= 0) {
		vfio_migration_close(m);
		m->data = s.data_fd;
	}
	return 0;
}

void vfio_migration_close(struct vfio_migration *m)
{
	if (m->data >= 0)
		m->dev->calls->close(m->dev->opaque, m->data);
	m->data = -1;
}

/* What the driver has; every driver with migration has STOP_COPY. */
static u64 ask_flags(struct vfio_device *dev)
{
	u64 flags = 0;
	int ret = vfio_device_feature(dev, VFIO_DEVICE_FEATURE_GET | VFIO_ABI_FEATURE_MIGRATION,
				      &flags, sizeof(flags));

	return ret >= 0 && flags & VFIO_ABI_MIG_STOP_COPY ? flags : 0;
}

int vfio_migration_init(struct vfio_migration *m, struct vfio_device *dev,
			struct vfio_migration *peer)
{
	*m = (struct vfio_migration){ .dev = dev, .data = -1, .state = VFIO_ABI_STATE_RUNNING };
	m->flags = ask_flags(dev);
	m->next = peer ? peer->next : m;
	m->prev = peer ? peer : m;
	m->next->prev = m;
	m->prev->next = m;
	if (m->flags) {
		ask_state(m);
		return 0;
	}
	debug("--vfio %s: its driver has no migration", dev->name.id);
	if (!dev->cfg->state_in && !dev->cfg->state_out)
		return 0;
	err("--vfio %s: %s: the device's driver does not save or load states ('lkvm vfio state "
	    "%s' shows it); omit that",
	    dev->name.id, dev->cfg->state_in ? "state-in=" : "state-out=", dev->name.id);
	vfio_migration_destroy(m);
	return -EOPNOTSUPP;
}

void vfio_migration_destroy(struct vfio_migration *m)
{
	if (!m->dev)
		return;
	vfio_migration_close(m);
	m->next->prev = m->prev;
	m->prev->next = m->next;
	*m = (struct vfio_migration){ .data = -1 };
}

/* Stopped and started with its peers */

static bool is_one_of(const struct vfio_migration *m, u32 a, u32 b)
{
	return m->flags && (m->state == a || m->state == b);
}

/* Bring all that are in @from, or in RUNNING_P2P, to @to; what fails is printed. */
static int move_all(struct vfio_migration *m, u32 from, u32 to, const char *failed)
{
	struct vfio_migration *each = m;
	int ret, first = 0;

	do {
		if (to == VFIO_ABI_STATE_RUNNING_P2P && !(each->flags & VFIO_ABI_MIG_P2P))
			continue;
		if (each->state == to || !is_one_of(each, from, VFIO_ABI_STATE_RUNNING_P2P))
			continue;
		ret = vfio_migration_set(each, to);
		if (!ret)
			continue;
		first = first ? first : ret;
		err("--vfio %s: the device %s: %s; it is in the state %s%s", each->dev->name.id,
		    failed, strerror(-ret), vfio_migration_state_name(each->state),
		    each->state == VFIO_ABI_STATE_ERROR ? " until it is reset" : "");
	} while ((each = each->next) != m);
	return first;
}

int vfio_migration_stop(struct vfio_migration *m)
{
	int ret = move_all(m, VFIO_ABI_STATE_RUNNING, VFIO_ABI_STATE_RUNNING_P2P,
			   "does not cease to address others");
	int stopped = move_all(m, VFIO_ABI_STATE_RUNNING, VFIO_ABI_STATE_STOP, "does not stop");

	return ret ? ret : stopped;
}

void vfio_migration_quiesce(struct vfio_migration *m)
{
	int ret = vfio_migration_stop(m);

	if (ret)
		debug("--vfio %s: the machine stops all the same", m->dev->name.id);
}

void vfio_migration_resume(struct vfio_migration *m)
{
	(void)move_all(m, VFIO_ABI_STATE_STOP, VFIO_ABI_STATE_RUNNING_P2P, "does not go on");
	(void)move_all(m, VFIO_ABI_STATE_STOP, VFIO_ABI_STATE_RUNNING, "does not go on");
}

/* A hot reset is of all on the bus: which of them are peers only the kernel knows. */
void vfio_migration_was_reset(struct vfio_migration *m)
{
	struct vfio_migration *each = m;

	if (!m->dev)
		return;
	do {
		if (each->flags)
			ask_state(each);
	} while ((each = each->next) != m);
	vfio_migration_close(m);
}
