/* SPDX-License-Identifier: MIT */
/*
 * A device with migration, over fake_vfio.h: the states and arcs of Linux include/uapi/linux/vfio.h
 * ("enum vfio_device_mig_state"), a stream in and out, and a trace of every step that was taken. It
 * remembers some bytes, of which the first are said before it stops.
 */
#ifndef FAKE_MIGRATION_H
#define FAKE_MIGRATION_H

#include "fake_vfio.h"
#include "lkvm/vfio-migration.h"

#define FAKE_DATA_FD	   (FAKE_VFIO_FD + 1)
#define FAKE_MEMORY	   3000U
#define FAKE_INITIAL	   100U
#define FAKE_NOTHING	   (~0U)
#define FAKE_ALL_MIGRATION (VFIO_ABI_MIG_STOP_COPY | VFIO_ABI_MIG_P2P | VFIO_ABI_MIG_PRE_COPY)

struct fake_migration {
	struct fake_vfio f;
	const char *name;
	char *trace; /* "NAME:STATE " for each step; room for FAKE_TRACE */
	u64 flags;
	u32 state;
	u8 memory[FAKE_MEMORY];
	u8 in[2 * FAKE_MEMORY];
	u32 at, in_len; /* of the stream */
	u32 open;	/* how many streams are */
	u32 chunk;	/* no read or write is of more */
	u32 fails_to;	/* the step to this state fails */
	bool stays;	/* and leaves it where it was, else in ERROR */
	bool mute;	/* it does not say where it is */
	bool endless;	/* it has always more to say before it stops */
	int read_error, write_error;
	bool refuses;	    /* it does not like what was loaded */
	bool reinit;	    /* precopy info v2 was asked for */
	bool sleeps, wakes; /* low power, and with wake-up */
	/* Dirty tracking. */
	u64 dirty_page;
	struct vfio_abi_dma_logging logging;
	struct vfio_abi_dma_logging_range ranges[8];
	struct vfio_abi_dma_logging_report report;
	u32 stops;
};

#define FAKE_TRACE 2048U

static inline bool fake_copies(u32 state)
{
	return state == VFIO_ABI_STATE_STOP_COPY || state == VFIO_ABI_STATE_PRE_COPY ||
	       state == VFIO_ABI_STATE_PRE_COPY_P2P;
}

/* The header's arcs: what comes next on the way. Rows: from; columns: to. */
static inline u32 fake_next(u32 from, u32 to)
{
	enum {
		ERR = VFIO_ABI_STATE_ERROR,
		STOP,
		RUN,
		COPY,
		RES,
		P2P,
		PRE,
		PRP,
	};
	static const u8 table[8][8] = {
		[STOP] = { ERR, STOP, P2P, COPY, RES, P2P, P2P, P2P },
		[RUN] = { ERR, P2P, RUN, P2P, P2P, P2P, PRE, PRE },
		[COPY] = { ERR, STOP, STOP, COPY, STOP, STOP, ERR, ERR },
		[RES] = { ERR, STOP, STOP, STOP, RES, STOP, STOP, STOP },
		[P2P] = { ERR, STOP, RUN, STOP, STOP, P2P, RUN, PRP },
		[PRE] = { ERR, RUN, RUN, PRP, RUN, RUN, PRE, PRP },
		[PRP] = { ERR, P2P, P2P, COPY, P2P, P2P, PRE, PRP },
	};

	return table[from][to];
}

static inline bool fake_has_state(const struct fake_migration *m, u32 state)
{
	if (state == VFIO_ABI_STATE_PRE_COPY || state == VFIO_ABI_STATE_PRE_COPY_P2P)
		return m->flags & VFIO_ABI_MIG_PRE_COPY &&
		       (state == VFIO_ABI_STATE_PRE_COPY || m->flags & VFIO_ABI_MIG_P2P);
	return state != VFIO_ABI_STATE_RUNNING_P2P || m->flags & VFIO_ABI_MIG_P2P;
}

/* What the driver does of what it got: all or nothing is what it takes. */
static inline int fake_take(struct fake_migration *m)
{
	if (!m->in_len)
		return 0;
	if (m->refuses || m->in_len != FAKE_MEMORY)
		return -EINVAL;
	memcpy(m->memory, m->in, FAKE_MEMORY);
	return 0;
}

static inline int fake_step(struct fake_migration *m, u32 to, s32 *data)
{
	int ret = to == m->fails_to ? -EIO : 0;
	size_t len = strlen(m->trace);

	if (!ret && m->state == VFIO_ABI_STATE_RESUMING && to == VFIO_ABI_STATE_STOP)
		ret = fake_take(m);
	if (ret) {
		m->state = m->stays ? m->state : VFIO_ABI_STATE_ERROR;
		return ret;
	}
	if (to == VFIO_ABI_STATE_RESUMING || (fake_copies(to) && !fake_copies(m->state))) {
		*data = FAKE_DATA_FD;
		m->open++;
		m->at = m->in_len = 0;
	}
	m->state = to;
	snprintf(m->trace + len, FAKE_TRACE - len, "%s:%s ", m->name,
		 vfio_migration_state_name(to));
	return 0;
}

static inline int fake_set_state(struct fake_migration *m, struct vfio_abi_mig_state *s)
{
	u32 to = s->device_state;
	int ret = 0;

	s->data_fd = -1;
	if (to > VFIO_ABI_STATE_PRE_COPY_P2P || !fake_has_state(m, to) ||
	    m->state == VFIO_ABI_STATE_ERROR)
		return -EINVAL;
	while (m->state != to && !ret) {
		u32 next = fake_next(m->state, to);

		while (next != VFIO_ABI_STATE_ERROR && next != to && !fake_has_state(m, next))
			next = fake_next(next, to);
		ret = next == VFIO_ABI_STATE_ERROR ? -EINVAL : fake_step(m, next, &s->data_fd);
	}
	return ret;
}

static inline int fake_dirty(struct fake_migration *m, u32 index, void *data)
{
	if (!m->dirty_page)
		return -ENOTTY;
	if (index == VFIO_ABI_FEATURE_DMA_LOGGING_START) {
		struct vfio_abi_dma_logging *arg = data;

		m->logging = *arg;
		memcpy(m->ranges, (void *)(uintptr_t)arg->ranges,
		       MIN(arg->num_ranges, 8U) * sizeof(m->ranges[0]));
		arg->page_size = m->dirty_page;
	} else if (index == VFIO_ABI_FEATURE_DMA_LOGGING_REPORT) {
		memcpy(&m->report, data, sizeof(m->report));
		*(u64 *)(uintptr_t)m->report.bitmap |= 5;
	} else {
		m->stops++;
	}
	return 0;
}

static inline int fake_feature(struct fake_migration *m, struct vfio_device_feature *arg)
{
	u32 index = arg->flags & VFIO_DEVICE_FEATURE_MASK;
	bool probe = arg->flags & VFIO_DEVICE_FEATURE_PROBE;

	if (index >= VFIO_ABI_FEATURE_DMA_LOGGING_START &&
	    index <= VFIO_ABI_FEATURE_DMA_LOGGING_REPORT)
		return probe ? m->dirty_page ? 0 : -ENOTTY : fake_dirty(m, index, arg->data);
	if (index == VFIO_ABI_FEATURE_LOW_POWER)
		return m->sleeps && probe ? 0 : -ENOTTY;
	if (index == VFIO_ABI_FEATURE_LOW_POWER_WAKEUP)
		return m->wakes && probe ? 0 : -ENOTTY;
	if (!m->flags)
		return -ENOTTY;
	switch (index) {
	case VFIO_ABI_FEATURE_MIGRATION:
		memcpy(arg->data, &m->flags, sizeof(m->flags));
		return 0;
	case VFIO_ABI_FEATURE_MIG_STATE:
		if (arg->flags & VFIO_DEVICE_FEATURE_SET)
			return fake_set_state(m, (void *)arg->data);
		if (m->mute)
			return -EIO;
		memcpy(arg->data, &(struct vfio_abi_mig_state){ m->state, -1 },
		       sizeof(struct vfio_abi_mig_state));
		return 0;
	case VFIO_ABI_FEATURE_MIG_DATA_SIZE:
		memcpy(arg->data, &(u64){ FAKE_MEMORY }, sizeof(u64));
		return 0;
	case VFIO_ABI_FEATURE_MIG_PRECOPY_INFOv2:
		m->reinit |= !probe;
		return 0;
	default:
		return -ENOTTY;
	}
}

static inline int fake_migration_before(struct fake_vfio *f, unsigned long request, void *arg)
{
	struct fake_migration *m = f->opaque;

	if (request == VFIO_DEVICE_FEATURE)
		return fake_feature(m, arg);
	if (request == VFIO_DEVICE_RESET)
		m->state = VFIO_ABI_STATE_RUNNING;
	return 1;
}

static inline int fake_migration_ioctl(void *opaque, int fd, unsigned long request, void *arg)
{
	struct fake_migration *m = ((struct fake_vfio *)opaque)->opaque;
	struct vfio_abi_precopy_info *info = arg;

	if (fd != FAKE_DATA_FD)
		return fake_vfio_ioctl(opaque, fd, request, arg);
	if (request != VFIO_ABI_MIG_GET_PRECOPY_INFO || info->argsz != sizeof(*info) || !m->open ||
	    (m->state != VFIO_ABI_STATE_PRE_COPY && m->state != VFIO_ABI_STATE_PRE_COPY_P2P))
		return -EINVAL;
	info->initial_bytes = m->at < FAKE_INITIAL ? FAKE_INITIAL - m->at : m->endless ? 1 : 0;
	return 0;
}

static inline ssize_t fake_migration_read(void *opaque, int fd, void *buf, size_t len)
{
	struct fake_migration *m = ((struct fake_vfio *)opaque)->opaque;
	bool rest = m->state == VFIO_ABI_STATE_STOP_COPY;
	u32 n, end = rest ? FAKE_MEMORY : m->endless ? FAKE_MEMORY - 1 : FAKE_INITIAL;

	if (fd != FAKE_DATA_FD || !m->open || !fake_copies(m->state))
		return -EBADF;
	if (m->read_error && rest)
		return m->read_error;
	if (m->at == end && !rest)
		return -ENOMSG;
	n = MIN((u32)len, m->chunk);
	n = MIN(n, end - m->at);
	memcpy(buf, m->memory + m->at, n);
	m->at += n;
	return n;
}

static inline ssize_t fake_migration_write(void *opaque, int fd, const void *buf, size_t len)
{
	struct fake_migration *m = ((struct fake_vfio *)opaque)->opaque;
	u32 n = MIN((u32)len, m->chunk);

	if (fd != FAKE_DATA_FD || !m->open || m->state != VFIO_ABI_STATE_RESUMING ||
	    m->in_len + n > sizeof(m->in))
		return -EBADF;
	if (m->write_error)
		return m->write_error;
	memcpy(m->in + m->in_len, buf, n);
	m->in_len += n;
	return n;
}

static inline void fake_migration_close(void *opaque, int fd)
{
	struct fake_migration *m = ((struct fake_vfio *)opaque)->opaque;

	if (fd == FAKE_DATA_FD)
		m->open--;
}

static const struct vfio_calls fake_migration_calls = {
	.open = fake_vfio_open_file,
	.close = fake_migration_close,
	.ioctl = fake_migration_ioctl,
	.pread = fake_vfio_pread,
	.pwrite = fake_vfio_pwrite,
	.read = fake_migration_read,
	.write = fake_migration_write,
	.mmap = fake_vfio_mmap,
	.munmap = fake_vfio_munmap,
};

/* An open device, its memory full of @name's first letter; fake_vfio_destroy(&m->f) ends it. */
static inline void fake_migration_init(struct fake_migration *m, const char *name, u64 flags,
				       char *trace)
{
	memset(m, 0, sizeof(*m));
	fake_vfio_init(&m->f, 256);
	m->f.before = fake_migration_before;
	m->f.opaque = m;
	m->f.dev.calls = &fake_migration_calls;
	m->name = name;
	m->trace = trace;
	m->flags = flags;
	m->state = VFIO_ABI_STATE_RUNNING;
	m->chunk = 1000;
	m->fails_to = FAKE_NOTHING;
	memset(m->memory, name[0], sizeof(m->memory));
	put_le(m->f.regions[VFIO_PCI_CONFIG_REGION_INDEX].bytes, 4, 0x32534348);
	if (fake_vfio_open(&m->f))
		abort();
}

#endif
