/* SPDX-License-Identifier: MIT */
/* Interrupts: VFIO_DEVICE_SET_IRQS by the rules of Linux drivers/vfio/pci/vfio_pci_intrs.c. */
#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vfio.h"

#define INTX VFIO_PCI_INTX_IRQ_INDEX
#define MSIX VFIO_PCI_MSIX_IRQ_INDEX
#define KEPT 600 /* duplicates are out of lkvm's way */

/* The kernel keeps what the descriptor stood for: lkvm may close it. */
static int keep(int fd)
{
	return fd < 0 ? -1 : (int)syscall(SYS_fcntl, fd, F_DUPFD_CLOEXEC, KEPT);
}

static void forget(int *fd)
{
	if (*fd >= 0)
		model_libc_close(*fd);
	*fd = -1;
}

static void signal_fd(int fd)
{
	u64 one = 1;

	if (fd >= 0)
		syscall(SYS_write, fd, &one, sizeof(one));
}

static void off(struct vdev *d, u32 index)
{
	for (u32 i = 0; i < VDEV_VECTORS; i++)
		forget(&d->fds[index][i]);
	d->nr_bound[index] = 0;
	if (index == MSIX)
		memset(d->pending, 0, sizeof(d->pending));
	if (index == INTX) {
		forget(&d->unmask_fd);
		d->masked = false;
	}
}

void vdev_irqs_off(struct vdev *d)
{
	for (u32 i = 0; i < VDEV_IRQS; i++)
		off(d, i);
}

bool vdev_message(struct vdev *d, u32 vector)
{
	for (u32 i = VFIO_PCI_MSI_IRQ_INDEX; i <= MSIX; i++)
		if (d->nr_bound[i]) {
			/* A vector that VFIO has no use of is masked in the device, which keeps it.
			 */
			if (vector < VDEV_VECTORS && d->fds[i][vector] >= 0)
				signal_fd(d->fds[i][vector]);
			else if (vector < VDEV_VECTORS && i == MSIX)
				d->pending[vector] = true;
			return true;
		}
	return false;
}

void vdev_line(struct vdev *d, bool level)
{
	struct pollfd waits = { .fd = d->unmask_fd, .events = POLLIN };
	u64 count;

	d->line = level;
	if (!d->nr_bound[INTX])
		return;
	/* Nobody waits for it: what was written is seen when the device is used next. */
	if (d->masked && poll(&waits, 1, 0) == 1 &&
	    syscall(SYS_read, d->unmask_fd, &count, sizeof(count)) == sizeof(count))
		d->masked = false;
	if (!level || d->masked || d->config[5] & 4)
		return;
	d->masked = true; /* VFIO_IRQ_INFO_AUTOMASKED */
	signal_fd(d->fds[INTX][0]);
}

struct request {
	struct {
		u32 argsz, flags, index, start, count;
	} set;
	s32 fds[VDEV_VECTORS];
};

static long check(const struct model_call *c, struct vdev *d, struct request *r)
{
	const __typeof__(r->set) *s = &r->set;
	u32 data = s->flags & VFIO_IRQ_SET_DATA_TYPE_MASK, width = data == 4 ? 4 : data == 2;
	u32 action = s->flags & VFIO_IRQ_SET_ACTION_TYPE_MASK;

	if (s->index >= VDEV_IRQS || s->flags & ~0x3fU || !data || data & (data - 1) || !action ||
	    action & (action - 1))
		return model_broken(-EINVAL, "VFIO_DEVICE_SET_IRQS: index %u, flags 0x%x", s->index,
				    s->flags);
	if (s->start >= d->irq_count[s->index] || s->count > d->irq_count[s->index] - s->start)
		return model_broken(-EINVAL, "VFIO_DEVICE_SET_IRQS: %u from %u, where %u are",
				    s->count, s->start, d->irq_count[s->index]);
	if (width && (!s->count || s->argsz - sizeof(*s) < (size_t)s->count * width))
		return model_broken(-EINVAL, "VFIO_DEVICE_SET_IRQS: %u, in %u bytes", s->count,
				    s->argsz);
	if (width == 4 && model_read(r->fds, c->arg + sizeof(*s), s->count * sizeof(r->fds[0])))
		return -EFAULT;
	for (u32 i = 0; i < s->count && width == 4; i++)
		if (r->fds[i] < -1 ||
		    (r->fds[i] >= 0 && syscall(SYS_fcntl, r->fds[i], F_GETFD) < 0))
			return model_broken(-EBADF, "VFIO_DEVICE_SET_IRQS: descriptor %d",
					    r->fds[i]);
	return 0;
}

static bool others_on(const struct vdev *d, u32 index)
{
	for (u32 i = INTX; i <= MSIX; i++)
		if (i != index && d->nr_bound[i])
			return true;
	return false;
}

static long trigger(struct vdev *d, const struct request *r)
{
	const __typeof__(r->set) *s = &r->set;
	u32 index = s->index, end = s->start + s->count;

	if (s->flags & VFIO_IRQ_SET_DATA_NONE && !s->count) {
		if (!d->nr_bound[index] && index <= MSIX)
			return -EINVAL;
		off(d, index);
		return 0;
	}
	if (index <= MSIX && others_on(d, index))
		return model_broken(-EINVAL, "VFIO_DEVICE_SET_IRQS: kind %u, while another is on",
				    index);
	if (!(s->flags & VFIO_IRQ_SET_DATA_EVENTFD)) {
		for (u32 i = s->start; i < end; i++)
			signal_fd(d->fds[index][i]);
		return 0;
	}
	if (d->nr_bound[index] && end > d->nr_bound[index] &&
	    d->irq_flags[index] & VFIO_IRQ_INFO_NORESIZE)
		return model_broken(-EINVAL, "VFIO_DEVICE_SET_IRQS: %u vectors are on, not %u",
				    d->nr_bound[index], end);
	for (u32 i = s->start; i < end; i++) {
		forget(&d->fds[index][i]);
		d->fds[index][i] = keep(r->fds[i - s->start]);
		if (index == MSIX && d->fds[index][i] >= 0 && d->pending[i]) {
			d->pending[i] = false;
			signal_fd(d->fds[index][i]);
		}
	}
	if (d->nr_bound[index] < end)
		d->nr_bound[index] = end;
	if (index == INTX)
		vdev_line(d, d->line);
	if ((index == VFIO_PCI_ERR_IRQ_INDEX && vfio_in_list(vfio_settings.tells, "err")) ||
	    (index == VFIO_PCI_REQ_IRQ_INDEX && vfio_in_list(vfio_settings.tells, "req")))
		signal_fd(d->fds[index][0]);
	return 0;
}

static long mask(struct vdev *d, const struct request *r)
{
	const __typeof__(r->set) *s = &r->set;
	bool unmasks = s->flags & VFIO_IRQ_SET_ACTION_UNMASK;

	if (s->index != INTX)
		return model_broken(-ENOTTY, "VFIO_DEVICE_SET_IRQS: kind %u has no masks",
				    s->index);
	if (!d->nr_bound[INTX])
		return model_broken(-EINVAL, "VFIO_DEVICE_SET_IRQS: a mask of INTx, which is off");
	if (s->flags & VFIO_IRQ_SET_DATA_EVENTFD) {
		if (!unmasks)
			return model_broken(-ENOTTY,
					    "VFIO_DEVICE_SET_IRQS: masked by a descriptor");
		forget(&d->unmask_fd);
		d->unmask_fd = keep(r->fds[0]);
		return 0;
	}
	d->masked = !unmasks;
	vdev_line(d, d->line);
	return 0;
}

long vdev_set_irqs(struct model_call *c, struct vdev *d)
{
	struct request r = { 0 };
	long ret = vfio_get(c, &r.set, sizeof(r.set), sizeof(r.set));

	if (ret)
		return ret;
	model_note(c, "index", "%u", r.set.index);
	model_note(c, "flags", "%u", r.set.flags);
	model_note(c, "start", "%u", r.set.start);
	model_note(c, "count", "%u", r.set.count);
	ret = check(c, d, &r);
	if (ret)
		return ret;
	return r.set.flags & VFIO_IRQ_SET_ACTION_TRIGGER ? trigger(d, &r) : mask(d, &r);
}
