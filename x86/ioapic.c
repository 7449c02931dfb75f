/* SPDX-License-Identifier: MIT */
/*
 * The I/O APIC of the split irqchip (Intel 82093AA datasheet, May 1996, section 3; the EOI register
 * of version 0x20 as in later chipsets, Intel ICH9 datasheet 13.5): 24 pins that become messages to
 * KVM's local APICs.
 *
 * KVM must know the vectors of level-triggered pins, to leave KVM_RUN with KVM_EXIT_IOAPIC_EOI when
 * one ends: that alone is what the routes of GSIs 0 to 23 are for, delivery is KVM_SIGNAL_MSI.
 *
 * A pin is the OR of its line, which is driven, and of its sources (irq-source.h), for which an
 * irqfd would pass by the mask and the remote IRR.
 */
#include <pthread.h>
#include <stdlib.h>

#include "layout.h"
#include "lkvm/config.h"
#include "lkvm/device.h"
#include "lkvm/irq-source.h"
#include "lkvm/irq.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "platform.h"
#include "x86.h"

/* Memory-mapped registers (3.1) */
#define IOREGSEL   0x00
#define IOWIN	   0x10
#define IOEOI	   0x40
#define WINDOW_LEN 0x100

/* Indirect registers (3.2) */
#define REG_ID	  0x00
#define REG_VER	  0x01
#define REG_ARB	  0x02
#define REG_TABLE 0x10
#define VERSION	  (X86_IOAPIC_VERSION | (X86_IOAPIC_PINS - 1) << 16)
#define ID_MASK	  0x0f000000U

/* A redirection entry (3.2.4). Polarity (bit 13) has no effect: a line is asserted or not. */
#define RTE_VECTOR	0xffULL
#define RTE_DELIVERY	(7ULL << 8)
#define RTE_LOGICAL	(1ULL << 11)
#define RTE_STATUS	(1ULL << 12)
#define RTE_REMOTE_IRR	(1ULL << 14)
#define RTE_LEVEL	(1ULL << 15)
#define RTE_MASKED	(1ULL << 16)
#define RTE_READ_ONLY	(RTE_STATUS | RTE_REMOTE_IRR)
#define RTE_EXT_DEST(r) ((r) >> 49 & 0x7f) /* KVM_FEATURE_MSI_EXT_DEST_ID: bits 8 to 14 */
#define RTE_DEST(r)	((r) >> 56)

struct x86_ioapic {
	struct device dev;
	struct irqs *irqs;
	pthread_mutex_t lock; /* taken before irqs->lock */
	u8 select;
	u32 id;
	u32 lines; /* pins whose lines are asserted */
	struct irq_sources sources;
	/* Nobody tells when an interrupt has ended (a trust domain's APIC is not KVM's to watch):
	 * a level is sent whenever a device says it. */
	bool no_eoi;
	u64 rte[X86_IOAPIC_PINS];
	struct kvm_irq_routing_entry routes[X86_IOAPIC_PINS]; /* what KVM was told */
};

/* Fixed and lowest priority: the modes with a vector, which alone can be level-triggered. */
static bool has_vector(u64 rte)
{
	return (rte & RTE_DELIVERY) <= 1ULL << 8;
}

static bool is_level(u64 rte)
{
	return (rte & RTE_LEVEL) && has_vector(rte);
}

/* The message of an entry (Intel SDM volume 3, 11.11). */
static u32 msi_address(u64 rte)
{
	return 0xfee00000U | (u32)RTE_DEST(rte) << 12 | (u32)RTE_EXT_DEST(rte) << 5 |
	       (rte & RTE_LOGICAL ? 1U << 2 : 0);
}

static u32 msi_data(u64 rte)
{
	u32 data = (u32)(rte & (RTE_VECTOR | RTE_DELIVERY));

	return is_level(rte) ? data | 1U << 15 | 1U << 14 : data;
}

static void deliver(struct x86_ioapic *ioapic, unsigned int pin)
{
	u64 rte = ioapic->rte[pin];

	/* Vectors below 16 are illegal (SDM volume 3, 11.5.2): the message would be refused. */
	if (has_vector(rte) && (rte & RTE_VECTOR) < 16)
		return;
	if (ioapic->no_eoi)
		rte &= ~RTE_LEVEL;
	if (is_level(rte))
		ioapic->rte[pin] |= RTE_REMOTE_IRR;
	ioapic->irqs->ops->send_msi(ioapic->irqs->opaque, msi_address(rte), msi_data(rte), 0);
}

static bool is_asserted(const struct x86_ioapic *ioapic, unsigned int pin)
{
	return (ioapic->lines & BIT(pin)) || irq_sources_asserted(&ioapic->sources, pin);
}

/* A level-triggered pin sends while it is asserted, not masked, and the last one has ended. */
static void service_level(struct x86_ioapic *ioapic, unsigned int pin)
{
	u64 rte = ioapic->rte[pin];

	if (is_level(rte) && !(rte & (RTE_MASKED | RTE_REMOTE_IRR)) && is_asserted(ioapic, pin))
		deliver(ioapic, pin);
}

/* The pin's level may have changed: @was is what it was. */
static void follow_level(struct x86_ioapic *ioapic, unsigned int pin, bool was)
{
	u64 rte = ioapic->rte[pin];

	/* An edge at a masked pin is lost (3.2.4, interrupt mask). */
	if (!was && !is_level(rte) && !(rte & RTE_MASKED) && is_asserted(ioapic, pin))
		deliver(ioapic, pin);
	else
		service_level(ioapic, pin);
}

void x86_ioapic_set_level(struct x86_ioapic *ioapic, u32 pin, bool level)
{
	bool was;

	if (pin >= X86_IOAPIC_PINS)
		return;
	pthread_mutex_lock(&ioapic->lock);
	was = is_asserted(ioapic, pin);
	if (level)
		ioapic->lines |= BIT(pin);
	else
		ioapic->lines &= ~BIT(pin);
	follow_level(ioapic, pin, was);
	pthread_mutex_unlock(&ioapic->lock);
}

/* Sources */

static void on_source_written(void *chip, struct irq_source *source)
{
	struct x86_ioapic *ioapic = chip;
	bool was = is_asserted(ioapic, source->pin);

	source->asserted = true;
	follow_level(ioapic, source->pin, was);
}

int x86_ioapic_bind_resample(struct x86_ioapic *ioapic, int fd, int resample_fd, u32 pin,
			     bool assign)
{
	if (assign && ioapic->no_eoi)
		return -ENOTSUP;
	if (pin >= X86_IOAPIC_PINS)
		return -EINVAL;
	return irq_sources_bind(&ioapic->sources, ioapic->irqs->loop, fd, resample_fd, pin, assign);
}

static void end_of_interrupt(struct x86_ioapic *ioapic, u8 vector)
{
	for (unsigned int pin = 0; pin < X86_IOAPIC_PINS; pin++) {
		u64 *rte = &ioapic->rte[pin];

		if (!(*rte & RTE_REMOTE_IRR) || (*rte & RTE_VECTOR) != vector)
			continue;
		*rte &= ~RTE_REMOTE_IRR;
		irq_sources_end(&ioapic->sources, pin);
		service_level(ioapic, pin);
	}
}

void x86_ioapic_eoi(struct x86_ioapic *ioapic, u8 vector)
{
	pthread_mutex_lock(&ioapic->lock);
	end_of_interrupt(ioapic, vector);
	pthread_mutex_unlock(&ioapic->lock);
}

/*
 * Tell KVM of a level-triggered pin. Masking and other modes need no update: one exit too many does
 * no harm, and a new table costs KVM milliseconds.
 */
static void update_route(struct x86_ioapic *ioapic, unsigned int pin)
{
	struct kvm_irq_routing_entry *route = &ioapic->routes[pin];
	u64 rte = ioapic->rte[pin];
	int ret;

	if (ioapic->no_eoi || !is_level(rte) || (rte & RTE_MASKED))
		return;
	if (route->u.msi.address_lo == msi_address(rte) && route->u.msi.data == msi_data(rte))
		return;
	route->gsi = pin;
	route->type = KVM_IRQ_ROUTING_MSI;
	route->u.msi.address_lo = msi_address(rte);
	route->u.msi.data = msi_data(rte);
	ret = irq_update_fixed_routes(ioapic->irqs, route, 1);
	if (ret) {
		route->u.msi.data = 0; /* try again next time */
		guest_warn("ioapic: pin %u: KVM refuses its route: %s", pin, strerror(-ret));
	}
}

static void write_rte(struct x86_ioapic *ioapic, unsigned int pin, bool high, u32 value)
{
	u64 *rte = &ioapic->rte[pin];

	if (high)
		*rte = (*rte & 0xffffffff) | (u64)value << 32;
	else
		*rte = (*rte & (~0xffffffffULL | RTE_READ_ONLY)) | (value & ~RTE_READ_ONLY);
	/* Drivers end an interrupt on chips without an EOI register by a moment of edge mode. */
	if (!is_level(*rte) && *rte & RTE_REMOTE_IRR) {
		*rte &= ~RTE_REMOTE_IRR;
		irq_sources_end(&ioapic->sources, pin);
	}
	update_route(ioapic, pin);
	service_level(ioapic, pin);
}

static u32 read_register(const struct x86_ioapic *ioapic)
{
	unsigned int pin = (ioapic->select - REG_TABLE) / 2U;

	switch (ioapic->select) {
	case REG_ID:
	case REG_ARB:
		return ioapic->id;
	case REG_VER:
		return VERSION;
	}
	if (ioapic->select < REG_TABLE || pin >= X86_IOAPIC_PINS)
		return 0;
	return (u32)(ioapic->rte[pin] >> (ioapic->select & 1 ? 32 : 0));
}

static void write_register(struct x86_ioapic *ioapic, u32 value)
{
	unsigned int pin = (ioapic->select - REG_TABLE) / 2U;

	if (ioapic->select == REG_ID)
		ioapic->id = value & ID_MASK;
	else if (ioapic->select >= REG_TABLE && pin < X86_IOAPIC_PINS)
		write_rte(ioapic, pin, ioapic->select & 1, value);
}

static void ioapic_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct x86_ioapic *ioapic = opaque;
	u32 value = 0;

	pthread_mutex_lock(&ioapic->lock);
	if (offset == IOREGSEL)
		value = ioapic->select;
	else if (offset == IOWIN)
		value = read_register(ioapic);
	pthread_mutex_unlock(&ioapic->lock);
	put_le(data, len, value);
}

static void ioapic_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct x86_ioapic *ioapic = opaque;
	u32 value = (u32)get_le(data, len);

	pthread_mutex_lock(&ioapic->lock);
	if (offset == IOREGSEL)
		ioapic->select = (u8)value;
	else if (offset == IOWIN)
		write_register(ioapic, value);
	else if (offset == IOEOI)
		end_of_interrupt(ioapic, (u8)value);
	pthread_mutex_unlock(&ioapic->lock);
}

static const struct bus_ops ioapic_bus_ops = {
	.read = ioapic_read,
	.write = ioapic_write,
};

/* The lines are the devices': they fall when those are reset. Nobody will end what was sent. */
static void ioapic_reset(struct device *dev)
{
	struct x86_ioapic *ioapic = container_of(dev, struct x86_ioapic, dev);

	pthread_mutex_lock(&ioapic->lock);
	ioapic->select = 0;
	ioapic->id = 0;
	for (unsigned int pin = 0; pin < X86_IOAPIC_PINS; pin++)
		ioapic->rte[pin] = RTE_MASKED;
	irq_sources_end(&ioapic->sources, IRQ_SOURCES_ALL);
	pthread_mutex_unlock(&ioapic->lock);
}

static int ioapic_realize(struct device *dev, struct vm *vm)
{
	struct x86_ioapic *ioapic = container_of(dev, struct x86_ioapic, dev);

	return device_claim_mmio(dev, X86_IOAPIC, WINDOW_LEN, &ioapic_bus_ops, ioapic);
}

static void ioapic_destroy(struct device *dev)
{
	struct x86_ioapic *ioapic = container_of(dev, struct x86_ioapic, dev);

	bus_remove(&dev->vm->mmio, X86_IOAPIC);
	dev->vm->arch->ioapic = NULL;
	pthread_mutex_destroy(&ioapic->lock);
	free(ioapic);
}

/*
 * KVM learns the routes again. What is asserted and was sent stays so: remote IRR says it. Sources
 * are the host's, and look again.
 */
static int ioapic_load(void *obj)
{
	struct x86_ioapic *ioapic = obj;

	pthread_mutex_lock(&ioapic->lock);
	for (unsigned int pin = 0; pin < X86_IOAPIC_PINS; pin++)
		update_route(ioapic, pin);
	irq_sources_end(&ioapic->sources, IRQ_SOURCES_ALL);
	pthread_mutex_unlock(&ioapic->lock);
	return 0;
}

static const struct state_field ioapic_fields[] = {
	STATE_VALUE(struct x86_ioapic, select),
	STATE_VALUE(struct x86_ioapic, id),
	STATE_UP_TO(struct x86_ioapic, lines, BIT(X86_IOAPIC_PINS) - 1),
	STATE_ARRAY(struct x86_ioapic, rte),
};

static const struct device_state ioapic_state = {
	.version = 1,
	STATE_TABLE(ioapic_fields),
	.device_at = offsetof(struct x86_ioapic, dev),
	.load = ioapic_load,
};

static const struct device_ops ioapic_device_ops = {
	.realize = ioapic_realize,
	.reset = ioapic_reset,
	.state = &ioapic_state,
	.destroy = ioapic_destroy,
};

int x86_ioapic_create(struct vm *vm, struct x86_ioapic **out)
{
	struct x86_ioapic *ioapic = xcalloc(1, sizeof(*ioapic));
	int ret;

	ioapic->dev.name = "ioapic";
	ioapic->dev.ops = &ioapic_device_ops;
	ioapic->irqs = &vm->irqs;
	ioapic->no_eoi = vm->cfg && vm->cfg->x86.tdx.on;
	pthread_mutex_init(&ioapic->lock, NULL);
	ioapic->sources = (struct irq_sources){
		.lock = &ioapic->lock,
		.written = on_source_written,
		.chip = ioapic,
	};
	ioapic_reset(&ioapic->dev);
	ret = device_add(vm, &ioapic->dev);
	if (ret) {
		pthread_mutex_destroy(&ioapic->lock);
		free(ioapic);
		return ret;
	}
	*out = ioapic;
	return 0;
}
