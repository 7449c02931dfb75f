/* SPDX-License-Identifier: MIT */
/*
 * virtio over MMIO (VIRTIO 1.3, 4.2): registers behind one memory window and one level-triggered
 * interrupt line. ACPI finds it as LNRO0005, a device tree as virtio,mmio.
 */
#include <linux/virtio_mmio.h>
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/aml.h"
#include "lkvm/arch.h"
#include "lkvm/fdt.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "mmio.h"

#define MMIO_SIZE   0x200
#define MMIO_MAGIC  0x74726976 /* "virt" */
#define MMIO_VENDOR 0x4d564b4c /* "LKVM" */

static struct virtio_mmio *to_mmio(struct device *dev)
{
	return container_of(dev, struct virtio_mmio, dev);
}

/* Interrupts (4.2.2, InterruptStatus and InterruptACK) */

static void mmio_interrupt(struct virtio_device *vdev, int q)
{
	struct virtio_mmio *m = vdev->transport_data;

	pthread_mutex_lock(&m->irq_lock);
	m->interrupt_status |= q < 0 ? VIRTIO_MMIO_INT_CONFIG : VIRTIO_MMIO_INT_VRING;
	irq_line_set(&m->line, true);
	pthread_mutex_unlock(&m->irq_lock);
}

static void ack_interrupt(struct virtio_mmio *m, u32 bits)
{
	pthread_mutex_lock(&m->irq_lock);
	m->interrupt_status &= ~bits;
	irq_line_set(&m->line, m->interrupt_status != 0);
	pthread_mutex_unlock(&m->irq_lock);
}

static u32 interrupt_status(struct virtio_mmio *m)
{
	u32 status;

	pthread_mutex_lock(&m->irq_lock);
	status = m->interrupt_status;
	pthread_mutex_unlock(&m->irq_lock);
	return status;
}

/* Does the driver write more than the queue's number (4.2.3.3)? */
static bool notifies_with_data(struct virtio_device *vdev)
{
	bool yes;

	virtio_lock(vdev);
	yes = virtio_has(vdev, VIRTIO_F_NOTIFICATION_DATA);
	virtio_unlock(vdev);
	return yes;
}

/* Let KVM signal the queues' eventfds itself; where it cannot, the register's handler does. KVM
 * compares all of the value: what has data in it stands for the only queue, or for none. */
static void mmio_queues_changed(struct virtio_device *vdev)
{
	struct virtio_mmio *m = vdev->transport_data;
	bool data = notifies_with_data(vdev);

	pthread_mutex_lock(&m->bind_lock);
	for (u16 i = 0; i < vdev->nr_queues; i++) {
		bool want = virtio_queue_started(vdev, i) && (!data || vdev->nr_queues == 1);
		u64 match = i;

		if (m->bound[i] == want)
			continue;
		if (want)
			m->bound_any = data;
		if (!vm_ioeventfd(vdev->vm, false, m->base + VIRTIO_MMIO_QUEUE_NOTIFY, 4,
				  m->bound_any ? NULL : &match, vdev->queues[i].notify.fd, want) ||
		    !want)
			m->bound[i] = want;
	}
	pthread_mutex_unlock(&m->bind_lock);
}

static void mmio_reset_registers(struct virtio_device *vdev)
{
	struct virtio_mmio *m = vdev->transport_data;

	m->host_features_sel = 0;
	m->driver_features_sel = 0;
	m->queue_sel = 0;
	ack_interrupt(m, ~0u);
}

static const struct virtio_transport_ops mmio_transport = {
	.legacy_name = "mmio-legacy",
	.interrupt = mmio_interrupt,
	.reset = mmio_reset_registers,
	.queues_changed = mmio_queues_changed,
};

/* Registers */

/* Under vdev->lock. */
static u32 read_reg(struct virtio_mmio *m, u32 reg)
{
	struct virtio_device *vdev = m->vdev;
	struct virtqueue *vq = vmmio_selected(m);

	switch (reg) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		return MMIO_MAGIC;
	case VIRTIO_MMIO_VERSION:
		return m->regs->version;
	case VIRTIO_MMIO_DEVICE_ID:
		return vdev->ops->id;
	case VIRTIO_MMIO_VENDOR_ID:
		return MMIO_VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES:
		if (m->host_features_sel > 1)
			return 0;
		return (u32)(virtio_offered(vdev) >> (32 * m->host_features_sel));
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		return vq ? vq->max_size : 0;
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		return interrupt_status(m);
	case VIRTIO_MMIO_STATUS:
		return vdev->status & m->regs->status_bits;
	default:
		return m->regs->read(m, reg);
	}
}

/* Linux does not look at the status after it wrote 0: so the vcpu waits, for the one request that
 * the host may be at. */
static void write_status(struct virtio_mmio *m, u8 status)
{
	m->regs->set_status(m->vdev, status);
	if (!status)
		virtio_wait_stopped(m->vdev, true);
}

/* What describes a queue changes only while it is not enabled. Under vdev->lock. */
static void write_queue_num(struct virtio_mmio *m, u32 value)
{
	struct virtqueue *vq = vmmio_selected(m);

	if (vq && !vq->enabled)
		vq->size = value > VIRTQ_MAX_SIZE ? 0 : (u16)value; /* 0 cannot be enabled */
}

/* What starts or stops something, and so runs without the lock. False: another register. */
static bool write_action(struct virtio_mmio *m, u32 reg, u32 value)
{
	u32 word;

	switch (reg) {
	case VIRTIO_MMIO_DRIVER_FEATURES:
		virtio_lock(m->vdev);
		word = m->driver_features_sel;
		virtio_unlock(m->vdev);
		m->regs->accept_features(m->vdev, word, value);
		return true;
	case VIRTIO_MMIO_QUEUE_NOTIFY:
		m->regs->kick(m->vdev, notifies_with_data(m->vdev) ? (u16)value : value);
		return true;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		ack_interrupt(m, value);
		return true;
	case VIRTIO_MMIO_STATUS:
		write_status(m, (u8)value);
		return true;
	default:
		return false;
	}
}

/* True: it is one of these. */
static bool write_select(struct virtio_mmio *m, u32 reg, u32 value)
{
	bool known = true;

	virtio_lock(m->vdev);
	switch (reg) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		m->host_features_sel = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		m->driver_features_sel = value;
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		m->queue_sel = value;
		break;
	case VIRTIO_MMIO_QUEUE_NUM:
		write_queue_num(m, value);
		break;
	default:
		known = false;
	}
	virtio_unlock(m->vdev);
	return known;
}

/* 4.2.2.2: registers are accessed by aligned words, the device's own space in any way. */
static void mmio_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct virtio_mmio *m = opaque;

	if (offset >= VIRTIO_MMIO_CONFIG) {
		virtio_config_read(m->vdev, (u32)offset - VIRTIO_MMIO_CONFIG, data, len);
		return;
	}
	memset(data, 0, len);
	if (len != 4 || offset & 3)
		return;
	virtio_lock(m->vdev);
	put_le(data, 4, read_reg(m, (u32)offset));
	virtio_unlock(m->vdev);
}

static void mmio_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct virtio_mmio *m = opaque;
	u32 value;

	if (offset >= VIRTIO_MMIO_CONFIG) {
		virtio_config_write(m->vdev, (u32)offset - VIRTIO_MMIO_CONFIG, data, len);
		return;
	}
	if (len != 4 || offset & 3)
		return;
	value = (u32)get_le(data, 4);
	if (!write_action(m, (u32)offset, value) && !write_select(m, (u32)offset, value))
		m->regs->write(m, (u32)offset, value);
}

static const struct bus_ops mmio_bus_ops = { mmio_read, mmio_write };

/* The device */

static int mmio_realize(struct device *dev, struct vm *vm)
{
	struct virtio_mmio *m = to_mmio(dev);
	int ret;

	ret = device_claim_irq(dev, &m->line, m->gsi, false);
	if (ret)
		return ret;
	ret = device_claim_mmio(dev, m->base, MMIO_SIZE, &mmio_bus_ops, m);
	if (ret)
		irq_line_destroy(&m->line);
	return ret;
}

static void mmio_reset(struct device *dev)
{
	struct virtio_mmio *m = to_mmio(dev);

	virtio_device_reset(m->vdev);
	m->page_size = 0;
	memset(m->queue_align, 0, sizeof(m->queue_align));
}

static void mmio_quiesce(struct device *dev)
{
	virtio_quiesce(to_mmio(dev)->vdev);
}

static void mmio_resume(struct device *dev)
{
	virtio_resume(to_mmio(dev)->vdev);
}

static int mmio_save(void *obj)
{
	return virtio_save(((struct virtio_mmio *)obj)->vdev);
}

static void mmio_forget(void *obj)
{
	virtio_device_reset(((struct virtio_mmio *)obj)->vdev);
}

static int mmio_load(void *obj)
{
	struct virtio_mmio *m = obj;

	irq_line_set(&m->line, m->interrupt_status != 0);
	return virtio_load(m->vdev);
}

static const struct state_field mmio_fields[] = {
	STATE_VALUE(struct virtio_mmio, host_features_sel),
	STATE_VALUE(struct virtio_mmio, driver_features_sel),
	STATE_VALUE(struct virtio_mmio, queue_sel),
	STATE_VALUE(struct virtio_mmio, page_size),
	STATE_ARRAY(struct virtio_mmio, queue_align),
	STATE_VALUE(struct virtio_mmio, interrupt_status),
	STATE_PART_AT(struct virtio_mmio, vdev, &virtio_state),
};

static const struct device_state mmio_state = {
	.version = 2,
	STATE_TABLE(mmio_fields),
	.device_at = offsetof(struct virtio_mmio, dev),
	.save = mmio_save,
	.forget = mmio_forget,
	.load = mmio_load,
};

static void mmio_describe_acpi(struct device *dev, struct aml *aml)
{
	struct virtio_mmio *m = to_mmio(dev);
	char name[5];
	size_t mark, resources;

	snprintf(name, sizeof(name), "VR%02X", m->index & 0xff);
	mark = aml_device(aml, name);
	aml_name_string(aml, "_HID", "LNRO0005");
	aml_name_int(aml, "_UID", m->index);
	aml_name_int(aml, "_CCA", 1);
	resources = aml_name_resources(aml, "_CRS");
	aml_res_memory32(aml, (u32)m->base, MMIO_SIZE, true);
	aml_res_irq(aml, m->gsi, false, false, false);
	aml_close_resources(aml, resources);
	aml_close(aml, mark);
}

/* virtio/mmio.yaml */
static void mmio_describe_fdt(struct device *dev, struct fdtw *fdt)
{
	struct virtio_mmio *m = to_mmio(dev);

	fdtw_node(fdt, "virtio_mmio@%llx", m->base);
	fdtw_string(fdt, "compatible", "virtio,mmio");
	fdtw_reg(fdt, m->base, MMIO_SIZE);
	fdtw_irq(fdt, m->gsi, false);
	fdtw_empty(fdt, "dma-coherent");
	fdtw_dma_pool(fdt);
	fdtw_close(fdt);
}

/* No loop signals through it after this. */
static void drop_transport(struct virtio_device *vdev)
{
	virtio_lock(vdev);
	vdev->transport = NULL;
	vdev->transport_data = NULL;
	virtio_unlock(vdev);
}

static void free_transport(struct virtio_mmio *m)
{
	pthread_mutex_destroy(&m->irq_lock);
	pthread_mutex_destroy(&m->bind_lock);
	free(m);
}

static void mmio_destroy(struct device *dev)
{
	struct virtio_mmio *m = to_mmio(dev);
	struct virtio_device *vdev = m->vdev;
	const struct virtio_ops *ops = vdev->ops;

	bus_remove(&dev->vm->mmio, m->base);
	virtio_device_reset(vdev);
	drop_transport(vdev);
	irq_line_destroy(&m->line);
	free_transport(m);
	virtio_fini(vdev);
	ops->destroy(vdev);
}

static void mmio_finish(struct device *dev)
{
	virtio_finish(to_mmio(dev)->vdev);
}

static const struct device_ops mmio_device_ops = {
	.realize = mmio_realize,
	.reset = mmio_reset,
	.quiesce = mmio_quiesce,
	.resume = mmio_resume,
	.state = &mmio_state,
	.describe_fdt = mmio_describe_fdt,
	.describe_acpi = mmio_describe_acpi,
	.finish = mmio_finish,
	.destroy = mmio_destroy,
};

/* Windows are handed out in the order of attachment. */
static u32 next_index(const struct vm *vm)
{
	u32 n = 0;

	for (const struct device *dev = vm->devices; dev; dev = dev->next)
		n += dev->ops == &mmio_device_ops;
	return n;
}

int vmmio_attach(struct virtio_device *vdev, const struct vmmio_regs *regs)
{
	const struct arch_platform *p = &arch_platform;
	u32 index = next_index(vdev->vm);
	struct virtio_mmio *m;
	int ret;

	if (index >= p->virtio_mmio_max) {
		err("%s: the maximum is %u virtio-mmio devices; use --virtio-transport pci",
		    vdev->name, p->virtio_mmio_max);
		return -ENOSPC;
	}
	m = xcalloc(1, sizeof(*m));
	m->dev.name = vdev->name;
	m->dev.ops = &mmio_device_ops;
	m->vdev = vdev;
	m->regs = regs;
	m->index = index;
	m->base = p->virtio_mmio_base + index * p->virtio_mmio_stride;
	m->gsi = p->virtio_mmio_gsi + index;
	pthread_mutex_init(&m->irq_lock, NULL);
	pthread_mutex_init(&m->bind_lock, NULL);
	vdev->transport = &mmio_transport;
	vdev->transport_data = m;
	ret = device_add(vdev->vm, &m->dev);
	if (!ret)
		return 0;
	drop_transport(vdev);
	free_transport(m);
	return ret;
}
