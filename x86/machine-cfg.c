/* SPDX-License-Identifier: MIT */
/*
 * The two ports by which QEMU's PCs tell what they are (QEMU docs/specs/fw_cfg.rst, "x86 register
 * locations"): a 16-bit key is written to the first, the bytes of its item are read from the
 * second, then zeroes. Here are the keys that KVM's unit tests read. The signature is none of
 * them: whoever looks for it would look for more than there is.
 *
 * Where nobody asked for that, the ports tell a multiboot image nothing, and its user the remedy:
 * those images wait for as many CPUs as all ones make.
 */
#include <pthread.h>
#include <stdlib.h>

#include "layout.h"
#include "lkvm/config.h"
#include "lkvm/device.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "platform.h"

#define PORTS	 2U
#define SELECTOR 0U
#define DATA	 1U

/* "Firmware configuration items" */
#define KEY_ID	     0x01U
#define KEY_RAM_SIZE 0x03U
#define KEY_NB_CPUS  0x05U
#define KEY_MAX_CPUS 0x0fU
#define ID_PORTS     BIT(0) /* these two, and no DMA */

struct machine_cfg {
	struct device dev;
	bool answers;
	pthread_mutex_t lock; /* of what follows */
	u16 key;
	u8 read; /* bytes of its item */
	bool said;
};

/* Its value and how many bytes that has; 0: there is none. */
static u32 find_item(const struct machine_cfg *c, u64 *value)
{
	const struct vm_config *cfg = c->dev.vm->cfg;

	switch (c->key) {
	case KEY_ID:
		*value = ID_PORTS;
		return 4;
	case KEY_RAM_SIZE:
		*value = cfg->memory;
		return 8;
	case KEY_NB_CPUS:
	case KEY_MAX_CPUS:
		*value = cfg->cpus;
		return 2;
	}
	return 0;
}

static u8 next_byte(struct machine_cfg *c)
{
	u64 value;

	if (c->read >= find_item(c, &value))
		return 0;
	return (u8)(value >> 8 * c->read++);
}

/* A read of a key that only such images are known to want without asking for the signature. */
static void tell_user(struct machine_cfg *c)
{
	if (c->said || (c->key != KEY_RAM_SIZE && c->key != KEY_NB_CPUS))
		return;
	c->said = true;
	guest_warn("the guest asks QEMU's fw_cfg (port 0x510) for its %s, and nothing answers; if "
		   "it is a test of kvm-unit-tests, use --testdev",
		   c->key == KEY_RAM_SIZE ? "RAM" : "number of CPUs");
}

static void cfg_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct machine_cfg *c = opaque;

	if (offset != DATA)
		return;
	pthread_mutex_lock(&c->lock);
	if (c->answers)
		*(u8 *)data = next_byte(c);
	else
		tell_user(c);
	pthread_mutex_unlock(&c->lock);
}

static void cfg_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct machine_cfg *c = opaque;

	if (offset != SELECTOR || len != 2)
		return;
	pthread_mutex_lock(&c->lock);
	c->key = (u16)get_le(data, 2);
	c->read = 0;
	pthread_mutex_unlock(&c->lock);
}

static const struct bus_ops cfg_ops = { .read = cfg_read, .write = cfg_write };

static int cfg_realize(struct device *dev, struct vm *vm)
{
	return device_claim_pio(dev, X86_PORT_FW_CFG, PORTS, &cfg_ops,
				container_of(dev, struct machine_cfg, dev));
}

static void cfg_reset(struct device *dev)
{
	struct machine_cfg *c = container_of(dev, struct machine_cfg, dev);

	pthread_mutex_lock(&c->lock);
	c->key = 0;
	c->read = 0;
	pthread_mutex_unlock(&c->lock);
}

static void cfg_destroy(struct device *dev)
{
	struct machine_cfg *c = container_of(dev, struct machine_cfg, dev);

	bus_remove(&dev->vm->pio, X86_PORT_FW_CFG);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static const struct state_field cfg_fields[] = {
	STATE_VALUE(struct machine_cfg, key),
	STATE_UP_TO(struct machine_cfg, read, 8),
};

static const struct device_state cfg_state = {
	.version = 1,
	STATE_TABLE(cfg_fields),
	.device_at = offsetof(struct machine_cfg, dev),
};

static const struct device_ops machine_cfg_ops = {
	.realize = cfg_realize,
	.reset = cfg_reset,
	.state = &cfg_state,
	.destroy = cfg_destroy,
};

int x86_machine_cfg_create(struct vm *vm, bool answers)
{
	struct machine_cfg *c = xcalloc(1, sizeof(*c));
	int ret;

	c->dev.name = "fw-cfg";
	c->dev.ops = &machine_cfg_ops;
	c->answers = answers;
	pthread_mutex_init(&c->lock, NULL);
	ret = device_add(vm, &c->dev);
	if (ret) {
		pthread_mutex_destroy(&c->lock);
		free(c);
	}
	return ret;
}
