/* SPDX-License-Identifier: MIT */
/*
 * The state of a device in a file, and from one (Linux include/uapi/linux/vfio.h: the arcs of "enum
 * vfio_device_mig_state", and VFIO_MIG_GET_PRECOPY_INFO). What is in the stream is the driver's
 * alone; the file says of what device it is.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attr.h"
#include "iommu.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vfio-migration.h"
#include "state-file.h"
#include "vfio-abi.h"

#define BUFFER_SIZE MiB

/* A running device that always has more to say is stopped after so many questions. */
#define MAX_PRECOPY_ROUNDS 64U

/* A transfer under way, and what to say of it. */
struct transfer {
	struct vfio_migration *m;
	struct state_file file;
	const char *path, *option; /* "state-out" */
	u8 *buf;
	bool said;
};

static int __attribute__((format(printf, 3, 4)))
say(struct transfer *t, int ret, const char *format, ...)
{
	va_list ap;
	char *text;

	va_start(ap, format);
	text = xvasprintf(format, ap);
	va_end(ap);
	if (!t->said)
		err("--vfio %s: %s=%s: %s", t->m->dev->name.id, t->option, t->path, text);
	t->said = true;
	free(text);
	return ret;
}

static int say_file(struct transfer *t, int ret, const char *what)
{
	if (ret == -EBADMSG || ret == -ENOTSUP)
		return say(t, ret, "%s", what);
	return say(t, ret, "%s: %s", what, strerror(-ret));
}

static int set(struct transfer *t, u32 state)
{
	int ret = vfio_migration_set(t->m, state);

	if (ret)
		say(t, ret, "the device does not get to the state %s but to %s: %s",
		    vfio_migration_state_name(state), vfio_migration_state_name(t->m->state),
		    strerror(-ret));
	return ret;
}

/* The device runs as after power-on. One that has no reset, as mdevs may, is as it was when it was
 * opened only when it has been closed; nobody uses it until then. */
static void start_over(struct vfio_migration *m)
{
	int ret;

	vfio_migration_close(m);
	ret = vfio_device_reset(m->dev);
	vfio_migration_was_reset(m);
	if (ret && ret != -ENOTTY)
		warn("--vfio %s: the device cannot be reset: %s", m->dev->name.id, strerror(-ret));
	else
		debug("--vfio %s: given up, it is in %s", m->dev->name.id,
		      vfio_migration_state_name(m->state));
}

/* Whose state it is */

static u32 config_u16(struct vfio_device *dev, u64 offset)
{
	u8 bytes[2] = { 0 };

	if (vfio_device_read(dev, VFIO_PCI_CONFIG_REGION_INDEX, offset, bytes, sizeof(bytes)))
		return 0xffff;
	return (u32)get_le(bytes, sizeof(bytes));
}

/* Vendor and device, those of the subsystem (PCI 3.0, 6.2), and of an mdev its type. */
static void identify(struct vfio_device *dev, char *id)
{
	char type[48];
	int n = snprintf(id, STATE_FILE_ID_LEN, "%04x:%04x subsystem %04x:%04x", config_u16(dev, 0),
			 config_u16(dev, 2), config_u16(dev, 0x2c), config_u16(dev, 0x2e));

	if (dev->set && dev->name.bus == VFIO_BUS_MDEV &&
	    !vfio_attr_link(dev->set->host->root, dev->name.sysfs, "mdev_type", type, sizeof(type)))
		snprintf(id + n, STATE_FILE_ID_LEN - (size_t)n, " type %s", type);
}

static void driver_of(const struct vfio_device *dev, char *name, size_t size)
{
	if (!dev->set ||
	    vfio_attr_link(dev->set->host->root, dev->name.sysfs, "driver", name, size))
		snprintf(name, size, "of the host");
}

/* Saving */

/* From the stream into the file, up to its end or @most bytes. */
static int copy_out(struct transfer *t, u64 most)
{
	struct vfio_device *dev = t->m->dev;
	const char *what;
	int ret;

	while (most) {
		ssize_t n = dev->calls->read(dev->opaque, t->m->data, t->buf,
					     MIN(most, (u64)BUFFER_SIZE));

		/* Nothing now, as only a device that runs says. */
		if (!n || (n == -ENOMSG && t->m->state != VFIO_ABI_STATE_STOP_COPY))
			return 0;
		if (n < 0)
			return say(t, (int)n, "cannot read the device's state: %s",
				   strerror((int)-n));
		ret = state_file_append(&t->file, t->buf, (size_t)n, &what);
		if (ret)
			return say_file(t, ret, what);
		most -= (u64)n;
	}
	return 0;
}

/*
 * What a device has to say before it stops: the less remains. A kernel that knows
 * VFIO_DEVICE_FEATURE_MIG_PRECOPY_INFOv2 then may begin anew in between, which is another round.
 */
static int copy_running(struct transfer *t)
{
	struct vfio_device *dev = t->m->dev;
	u32 v2 = VFIO_DEVICE_FEATURE_SET | VFIO_ABI_FEATURE_MIG_PRECOPY_INFOv2;
	int ret;

	if (!vfio_device_feature(dev, v2 | VFIO_DEVICE_FEATURE_PROBE, NULL, 0) &&
	    vfio_device_feature(dev, v2, NULL, 0) < 0)
		debug("--vfio %s: has no second form of precopy info", dev->name.id);
	ret = set(t, VFIO_ABI_STATE_PRE_COPY);
	for (u32 i = 0; i < MAX_PRECOPY_ROUNDS && !ret; i++) {
		struct vfio_abi_precopy_info info = { .argsz = sizeof(info) };

		/* Without an answer all comes after the stop. */
		if (dev->calls->ioctl(dev->opaque, t->m->data, VFIO_ABI_MIG_GET_PRECOPY_INFO,
				      &info) < 0 ||
		    !info.initial_bytes)
			break;
		ret = copy_out(t, info.initial_bytes);
	}
	return ret;
}

static int copy_stopped(struct transfer *t)
{
	int ret = 0;

	/* Peers stop in between: none may address one that has stopped. */
	if (t->m->state == VFIO_ABI_STATE_PRE_COPY && t->m->flags & VFIO_ABI_MIG_P2P)
		ret = set(t, VFIO_ABI_STATE_PRE_COPY_P2P);
	if (!ret)
		ret = vfio_migration_stop(t->m);
	if (ret)
		return say(t, ret, "is not written, since a device does not stop");
	ret = set(t, VFIO_ABI_STATE_STOP_COPY);
	return ret ? ret : copy_out(t, ~0ULL);
}

static int save(struct transfer *t)
{
	char id[STATE_FILE_ID_LEN];
	const char *what;
	int ret = 0;

	identify(t->m->dev, id);
	if (t->m->state == VFIO_ABI_STATE_RUNNING && t->m->flags & VFIO_ABI_MIG_PRE_COPY)
		ret = copy_running(t);
	if (!ret)
		ret = copy_stopped(t);
	if (!ret)
		ret = set(t, VFIO_ABI_STATE_STOP);
	vfio_migration_close(t->m);
	if (ret)
		return ret;
	ret = state_file_commit(&t->file, id, &what);
	return ret ? say_file(t, ret, what) : 0;
}

/* A copy that failed leaves the device stopped, if it still does what it is told. */
static void give_up(struct vfio_migration *m)
{
	int ret = 0;

	vfio_migration_close(m);
	if (m->state != VFIO_ABI_STATE_ERROR)
		ret = vfio_migration_set(m, VFIO_ABI_STATE_STOP);
	if (ret || m->state == VFIO_ABI_STATE_ERROR)
		start_over(m);
}

int vfio_migration_save(struct vfio_migration *m, const char *path)
{
	struct transfer t = { .m = m, .path = path, .option = "state-out" };
	const char *what;
	int ret;

	if (!m->flags)
		return say(&t, -EOPNOTSUPP, "the device's driver does not save states");
	ret = state_file_create(&t.file, path, &what);
	if (ret)
		return say_file(&t, ret, what);
	t.buf = malloc(BUFFER_SIZE);
	ret = t.buf ? save(&t) : say(&t, -ENOMEM, "%s", strerror(ENOMEM));
	free(t.buf);
	if (ret)
		give_up(m);
	else
		debug("--vfio %s: %llu bytes of state", m->dev->name.id, t.file.length);
	state_file_close(&t.file);
	return ret;
}

/* Loading */

static int refused(struct transfer *t, int ret)
{
	char driver[64];

	driver_of(t->m->dev, driver, sizeof(driver));
	return say(t, ret,
		   "the driver %s refuses it: %s; another version of the driver may have saved it",
		   driver, strerror(-ret));
}

static int copy_in(struct transfer *t)
{
	struct vfio_device *dev = t->m->dev;
	ssize_t n, done, at;

	while ((n = state_file_read(&t->file, t->buf, BUFFER_SIZE)) > 0) {
		for (at = 0; at < n; at += done) {
			done = dev->calls->write(dev->opaque, t->m->data, t->buf + at,
						 (size_t)(n - at));
			if (done <= 0)
				return refused(t, done ? (int)done : -EIO);
		}
	}
	return n < 0 ? say_file(t, (int)n, "cannot read") : 0;
}

static int load(struct transfer *t)
{
	int ret = set(t, VFIO_ABI_STATE_RESUMING);

	if (ret)
		return ret;
	ret = t->m->data < 0 ? refused(t, -EIO) : copy_in(t);
	if (ret)
		return ret;
	/* It is here that a driver looks at what it got. */
	ret = vfio_migration_set(t->m, VFIO_ABI_STATE_STOP);
	vfio_migration_close(t->m);
	if (ret)
		return refused(t, ret);
	return set(t, VFIO_ABI_STATE_RUNNING);
}

static int open_for(struct transfer *t)
{
	char id[STATE_FILE_ID_LEN], own[STATE_FILE_ID_LEN];
	const char *what;
	int ret = state_file_open(&t->file, t->path, id, &what);

	if (ret)
		return say_file(t, ret, what);
	identify(t->m->dev, own);
	if (!strcmp(id, own))
		return 0;
	for (char *p = id; *p; p++)
		*p = *p < ' ' || *p > '~' ? '?' : *p;
	state_file_close(&t->file);
	return say(t, -EINVAL, "is of another device (%s), this one is %s", id, own);
}

int vfio_migration_load(struct vfio_migration *m, const char *path)
{
	struct transfer t = { .m = m, .path = path, .option = "state-in" };
	int ret;

	if (!m->flags)
		return say(&t, -EOPNOTSUPP, "the device's driver does not load states");
	ret = open_for(&t);
	if (ret)
		return ret;
	t.buf = malloc(BUFFER_SIZE);
	ret = t.buf ? load(&t) : say(&t, -ENOMEM, "%s", strerror(ENOMEM));
	free(t.buf);
	if (ret)
		start_over(m);
	state_file_close(&t.file);
	return ret;
}

/* As the command line says */

/* Whether a state can be written at the end is found out before the guest starts. */
static int try_out(struct vfio_migration *m, const char *path)
{
	struct transfer t = { .m = m, .path = path, .option = "state-out" };
	const char *what;
	int ret = state_file_create(&t.file, path, &what);

	if (ret)
		return say_file(&t, ret, what);
	state_file_close(&t.file);
	return 0;
}

int vfio_migration_begin(struct vfio_migration *m)
{
	const struct vfio_config *cfg = m->dev->cfg;
	int ret = 0;

	if (cfg->state_out)
		ret = try_out(m, cfg->state_out);
	if (!ret && cfg->state_in)
		ret = vfio_migration_load(m, cfg->state_in);
	return ret;
}

int vfio_migration_finish(struct vfio_migration *m)
{
	if (!m->dev || !m->dev->cfg->state_out || m->saved)
		return 0;
	m->saved = true;
	return vfio_migration_save(m, m->dev->cfg->state_out);
}
