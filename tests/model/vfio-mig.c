/* SPDX-License-Identifier: MIT */
/*
 * Migration as mtty has it: the states of VFIO_DEVICE_FEATURE_MIG_DEVICE_STATE (linux/vfio.h), and
 * a stream of a magic, a version and the registers.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vfio.h"

enum state {
	ERROR,
	STOP,
	RUNNING,
	STOP_COPY,
	RESUMING,
	RUNNING_P2P,
	PRE_COPY,
	PRE_COPY_P2P,
	STATES
};

#define F_MIGRATION 1U
#define F_STATE	    2U
#define F_DATA_SIZE 9U
#define P2P	    2U
#define HAS_PRECOPY 4U
#define MAGIC	    0x7974746d /* "mtty" */
#define OLD_MAGIC   0x3059544dU
#define VERSION	    1U

struct stream {
	u32 magic, version, regs[16];
};
#define HEAD_SIZE 8U /* what comes before the device is stopped */

bool vmig_has(const struct vdev *d, u32 feature)
{
	return d->kind->mdev && vfio_settings.mig &&
	       (feature == F_MIGRATION || feature == F_STATE || feature == F_DATA_SIZE);
}

static bool exists(u32 state)
{
	if (state == RUNNING_P2P)
		return vfio_settings.mig & P2P;
	if (state == PRE_COPY)
		return vfio_settings.mig & HAS_PRECOPY;
	if (state == PRE_COPY_P2P)
		return (vfio_settings.mig & (P2P | HAS_PRECOPY)) == (P2P | HAS_PRECOPY);
	return state < STATES;
}

static bool is_copy(u32 state)
{
	return state == STOP_COPY || state == PRE_COPY || state == PRE_COPY_P2P;
}

/*
 * The first step of the way from one state to another, as the header's tables have it: through
 * STOP, with RUNNING_P2P before and after RUNNING. ERROR: there is no way.
 */
static u32 step(u32 from, u32 to)
{
	if (from == ERROR || to == ERROR)
		return ERROR;
	switch (from) {
	case RUNNING:
		return to == PRE_COPY || to == PRE_COPY_P2P ? PRE_COPY : RUNNING_P2P;
	case RUNNING_P2P:
		return to == RUNNING || to == PRE_COPY ? RUNNING
		       : to == PRE_COPY_P2P	       ? PRE_COPY_P2P
						       : STOP;
	case PRE_COPY:
		return to == PRE_COPY_P2P || to == STOP_COPY ? PRE_COPY_P2P : RUNNING;
	case PRE_COPY_P2P:
		return to == PRE_COPY || to == STOP_COPY ? to : RUNNING_P2P;
	case STOP:
		return to == STOP_COPY || to == RESUMING ? to : RUNNING_P2P;
	default:
		return to == PRE_COPY || to == PRE_COPY_P2P ? ERROR : STOP;
	}
}

static long new_data(struct vdev *d, bool saves)
{
	int fd = model_new_fd("vfio-migration", 0, MODEL_VFIO_DATA);

	if (fd < 0)
		return fd;
	model_file(fd)->vfio = d;
	d->data_fd = fd;
	d->data_saves = saves;
	return 0;
}

static void save(const struct vdev *d, bool rest)
{
	struct stream s = { vfio_settings.mig_old ? OLD_MAGIC : MAGIC, VERSION, { 0 } };
	u32 at = rest ? HEAD_SIZE : 0, len = rest ? (u32)sizeof(s) - HEAD_SIZE : HEAD_SIZE;

	memcpy(s.regs, d->regs, sizeof(s.regs));
	if (syscall(SYS_pwrite64, d->data_fd, (u8 *)&s + at, (size_t)len, (long)at) != (long)len)
		model_usage("no room for a state");
}

static long load(struct vdev *d)
{
	struct stream s = { 0 };
	long n = syscall(SYS_pread64, d->data_fd, &s, sizeof(s), 0L);

	/* Not even begun: the device is as it was. */
	if (!n)
		return 0;
	if (n != sizeof(s) || s.magic != MAGIC || s.version != VERSION)
		return model_refused(-EINVAL, "%s: a state of another version, or cut", d->id);
	memcpy(d->regs, s.regs, sizeof(s.regs));
	return 0;
}

static long take_step(struct vdev *d, u32 to)
{
	u32 from = d->state;
	long ret = 0;

	if (vfio_settings.mig_fails && to == STOP && from != STOP_COPY)
		return -EIO;
	if (from == RESUMING && to == STOP) {
		ret = load(d);
		d->data_fd = -1;
	} else if (is_copy(from) && !is_copy(to)) {
		d->data_fd = -1;
	} else if (to == RESUMING) {
		ret = new_data(d, false);
	} else if (to == PRE_COPY || to == STOP_COPY || to == PRE_COPY_P2P) {
		if (!is_copy(from)) {
			ret = new_data(d, true);
			if (!ret)
				save(d, false);
		}
		if (!ret && to == STOP_COPY)
			save(d, true);
	}
	return ret;
}

static long go(struct vdev *d, u32 to)
{
	long ret = 0;

	if (to >= STATES || to == ERROR || !exists(to))
		return model_broken(-EINVAL, "VFIO_DEVICE_FEATURE: state %u", to);
	if (d->state == ERROR)
		return model_refused(-EINVAL, "%s: only a reset leads out of the error", d->id);
	while (d->state != to && !ret) {
		u32 next = step(d->state, to);

		while (next != to && next != ERROR && !exists(next))
			next = step(next, to);
		if (next == ERROR)
			return model_broken(-EINVAL,
					    "VFIO_DEVICE_FEATURE: no way from state %u to %u",
					    d->state, to);
		ret = take_step(d, next);
		model_log("\"state\": %u, \"device\": \"%s\", \"from\": %u", ret ? 0 : next, d->id,
			  d->state);
		d->state = ret ? (u32)ERROR : next;
	}
	return ret;
}

long vmig_feature(struct vdev *d, u32 feature, bool set, void *data, u32 len)
{
	struct {
		u32 state;
		s32 fd;
	} s;
	u64 value = feature == F_MIGRATION ? vfio_settings.mig : sizeof(struct stream);
	u32 before = d->state;
	long ret;

	if (len < sizeof(value) || (set && feature != F_STATE))
		return model_broken(-EINVAL, "VFIO_DEVICE_FEATURE: feature %u in %u bytes", feature,
				    len);
	if (feature != F_STATE) {
		memcpy(data, &value, sizeof(value));
		return 0;
	}
	memcpy(&s, data, sizeof(s));
	if (!set) {
		s.state = d->state;
		s.fd = -1;
		memcpy(data, &s, sizeof(s));
		return 0;
	}
	ret = go(d, s.state);
	/* A stream that goes on is told of once. */
	s.fd = !ret && ((d->state == RESUMING && before != RESUMING) ||
			(is_copy(d->state) && !is_copy(before)))
		       ? d->data_fd
		       : -1;
	memcpy(data, &s, sizeof(s));
	return ret;
}

long vmig_ioctl(struct model_call *c)
{
	struct vdev *d = c->file->vfio;
	struct {
		u32 argsz, flags;
		u64 initial, dirty;
	} info = { 0 };
	long at, ret;

	if (c->request != M_PRECOPY_INFO)
		return model_broken(-ENOTTY, "request 0x%lx is none of a state's", c->request);
	ret = vfio_get(c, &info, sizeof(info), sizeof(info));
	if (ret)
		return ret;
	if (d->data_fd != c->fd || (d->state != PRE_COPY && d->state != PRE_COPY_P2P))
		return model_broken(-EINVAL, "VFIO_MIG_GET_PRECOPY_INFO: in state %u", d->state);
	at = syscall(SYS_lseek, c->fd, 0L, SEEK_CUR);
	info.initial = at < (long)HEAD_SIZE ? HEAD_SIZE - (u64)at : 0;
	info.dirty = 0;
	return vfio_put(c, &info, sizeof(info));
}

/* While the device runs the stream has no end: nothing now is ENOMSG. */
long vmig_may_read(struct model_file *f, int fd)
{
	struct vdev *d = f->vfio;

	if (d->data_fd != fd || !d->data_saves)
		return model_broken(-EINVAL, "%s: its state is read in state %u", d->id, d->state);
	if ((d->state == PRE_COPY || d->state == PRE_COPY_P2P) &&
	    syscall(SYS_lseek, fd, 0L, SEEK_CUR) >= (long)HEAD_SIZE)
		return -ENOMSG;
	return 0;
}

void vmig_reset(struct vdev *d)
{
	if (!d->kind->mdev)
		return;
	d->state = RUNNING;
	d->data_fd = -1;
}
