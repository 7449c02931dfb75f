/* SPDX-License-Identifier: MIT */
/*
 * The PC's real-time clock and its 128 bytes of battery-backed memory (Motorola MC146818A data
 * sheet; the PC's use of the memory: Ralf Brown's interrupt list, "CMOS memory map"). The clock is
 * the host's UTC plus what the guest set it forward or back. There is no interrupt line, so the
 * flags of register C serve guests that poll; the alarm is not implemented. In MMIO it is the clock
 * of EDK2's firmware for kvmtool.
 */
#include <stdlib.h>
#include <time.h>

#include "lkvm/aml.h"
#include "lkvm/bus.h"
#include "lkvm/calendar.h"
#include "lkvm/config.h"
#include "lkvm/device.h"
#include "lkvm/fdt.h"
#include "lkvm/hw.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

#define CMOS_PORT 0x70 /* index; data is the next port */
#define CMOS_SIZE 128
#define NSEC	  1000000000LL
#define YEAR	  (366 * 86400LL)
/* How far a guest can set the clock (1900 to 9999) from the host's, which is from 1970 to 2262: the
 * range of host_ns. */
#define MIN_OFFSET (-363 * YEAR)
#define MAX_OFFSET (8030 * YEAR)

enum {
	REG_SECONDS = 0x00,
	REG_MINUTES = 0x02,
	REG_HOURS = 0x04,
	REG_WEEKDAY = 0x06, /* 1 is Sunday */
	REG_DAY = 0x07,
	REG_MONTH = 0x08,
	REG_YEAR = 0x09,
	REG_A = 0x0a,
	REG_B = 0x0b,
	REG_C = 0x0c,
	REG_D = 0x0d,
	REG_BASE_MEM = 0x15, /* u16 KiB below 1 MiB */
	REG_EXT_MEM = 0x17,  /* u16 KiB above 1 MiB, twice */
	REG_EXT_MEM2 = 0x30,
	REG_CENTURY = 0x32, /* where the FADT says it is */
	REG_MEM_16M = 0x34, /* u16: 64 KiB units between 16 MiB and 4 GiB */
	REG_MEM_4G = 0x5b,  /* u24: 64 KiB units above 4 GiB */
	REG_CPUS = 0x5f,    /* vcpus besides the first */
};

enum {
	A_UIP = BIT(7), /* update in progress */
	A_RATE = 0x0f,
	A_DEFAULT = 0x26, /* 32768 Hz time base, 1024 Hz periodic rate */
	B_SET = BIT(7),	  /* the guest sets the clock: no updates */
	B_BINARY = BIT(2),
	B_24H = BIT(1),
	B_DEFAULT = B_24H,
	C_IRQ = BIT(7),
	C_PERIODIC = BIT(6),
	C_UPDATE = BIT(4),
	C_ENABLES = 0x70, /* the same bits in B enable the interrupts */
	D_VALID = BIT(7),
	HOUR_PM = BIT(7),
};

/*
 * Data sheet, "Update cycle": UIP rises 244 us before the update and falls 1984 us later. By the
 * clock, not by counting reads: it comes and goes for a guest that waits for either.
 */
#define UIP_BEFORE_NS 244000
#define UIP_AFTER_NS  1984000

struct cmos {
	struct device dev;
	struct arch_place place;
	pthread_mutex_t lock;
	u8 index;
	u8 ram[CMOS_SIZE];
	s64 offset; /* seconds that the guest's clock is ahead of the host's */
	s64 read_c; /* host time of the last read of register C, ns */
};

static s64 host_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * NSEC + now.tv_nsec;
}

static bool is_clock(u8 reg)
{
	return reg == REG_SECONDS || reg == REG_MINUTES || reg == REG_HOURS ||
	       (reg >= REG_WEEKDAY && reg <= REG_YEAR) || reg == REG_CENTURY;
}

static u8 encode(const struct cmos *c, int value)
{
	if (c->ram[REG_B] & B_BINARY)
		return (u8)value;
	return (u8)(value / 10 % 10 << 4 | value % 10);
}

static u8 encode_hour(const struct cmos *c, int hour)
{
	if (c->ram[REG_B] & B_24H)
		return encode(c, hour);
	return encode(c, hour % 12 ? hour % 12 : 12) | (hour >= 12 ? HOUR_PM : 0);
}

/* Write the time into the registers. */
static void latch_clock(struct cmos *c)
{
	struct date now;

	if (!date_of_seconds(host_ns() / NSEC + c->offset, &now))
		return;
	c->ram[REG_SECONDS] = encode(c, now.second);
	c->ram[REG_MINUTES] = encode(c, now.minute);
	c->ram[REG_HOURS] = encode_hour(c, now.hour);
	c->ram[REG_WEEKDAY] = encode(c, now.weekday + 1);
	c->ram[REG_DAY] = encode(c, now.day);
	c->ram[REG_MONTH] = encode(c, now.month);
	c->ram[REG_YEAR] = encode(c, now.year % 100);
	c->ram[REG_CENTURY] = encode(c, now.year / 100);
}

/* A register's value when it is between @min and @max, else -1. */
static int decode(const struct cmos *c, u8 raw, int min, int max)
{
	int value = raw;

	if (!(c->ram[REG_B] & B_BINARY)) {
		if ((raw & 0xf) > 9 || raw >> 4 > 9)
			return -1;
		value = (raw >> 4) * 10 + (raw & 0xf);
	}
	return value >= min && value <= max ? value : -1;
}

static int decode_hour(const struct cmos *c)
{
	u8 raw = c->ram[REG_HOURS];
	int hour;

	if (c->ram[REG_B] & B_24H)
		return decode(c, raw, 0, 23);
	hour = decode(c, raw & (u8)~HOUR_PM, 1, 12);
	if (hour < 0)
		return -1;
	return hour % 12 + (raw & HOUR_PM ? 12 : 0);
}

/* The registers hold what the guest set: run on from there. A time that is none changes nothing. */
static void adopt_clock(struct cmos *c)
{
	int year = decode(c, c->ram[REG_YEAR], 0, 99);
	int century = decode(c, c->ram[REG_CENTURY], 19, 99);
	struct date date = {
		.year = century * 100 + year,
		.month = decode(c, c->ram[REG_MONTH], 1, 12),
		.day = decode(c, c->ram[REG_DAY], 1, 31),
		.hour = decode_hour(c),
		.minute = decode(c, c->ram[REG_MINUTES], 0, 59),
		.second = decode(c, c->ram[REG_SECONDS], 0, 59),
	};

	if (date.second < 0 || date.minute < 0 || date.hour < 0 || date.day < 0 || date.month < 0 ||
	    year < 0 || century < 0)
		return;
	c->offset = seconds_of_date(&date) - host_ns() / NSEC;
}

static u8 read_a(const struct cmos *c)
{
	s64 phase = host_ns() % NSEC;
	bool updating = phase < UIP_AFTER_NS || phase >= NSEC - UIP_BEFORE_NS;

	if (c->ram[REG_B] & B_SET)
		updating = false;
	return c->ram[REG_A] | (updating ? A_UIP : 0);
}

/* Flags of what happened since the last read, which clears them. */
static u8 read_c(struct cmos *c)
{
	u8 rate = c->ram[REG_A] & A_RATE;
	s64 now = host_ns();
	u8 flags = 0;

	if (rate) {
		/* Data sheet, table 5: rates 1 and 2 are those of 8 and 9. */
		s64 period = NSEC / (32768 >> (rate < 3 ? rate + 6 : rate - 1));

		if (now / period != c->read_c / period)
			flags |= C_PERIODIC;
	}
	if (now / NSEC != c->read_c / NSEC && !(c->ram[REG_B] & B_SET))
		flags |= C_UPDATE;
	c->read_c = now;
	if (flags & c->ram[REG_B] & C_ENABLES)
		flags |= C_IRQ;
	return flags;
}

static u8 read_register(struct cmos *c, u8 reg)
{
	switch (reg) {
	case REG_A:
		return read_a(c);
	case REG_C:
		return read_c(c);
	case REG_D:
		return D_VALID;
	}
	if (is_clock(reg) && !(c->ram[REG_B] & B_SET))
		latch_clock(c);
	return c->ram[reg];
}

static void write_b(struct cmos *c, u8 value)
{
	bool was_set = c->ram[REG_B] & B_SET;
	bool set = value & B_SET;

	c->ram[REG_B] = value;
	if (set && !was_set)
		latch_clock(c);
	else if (was_set && !set)
		adopt_clock(c);
}

static void write_register(struct cmos *c, u8 reg, u8 value)
{
	switch (reg) {
	case REG_A:
		c->ram[REG_A] = value & (u8)~A_UIP;
		return;
	case REG_B:
		write_b(c, value);
		return;
	case REG_C:
	case REG_D:
		return;
	}
	if (!is_clock(reg) || c->ram[REG_B] & B_SET) {
		c->ram[reg] = value;
		return;
	}
	latch_clock(c);
	c->ram[reg] = value;
	adopt_clock(c);
}

static void cmos_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct cmos *c = opaque;
	u8 *bytes = data;

	/* The index port is write-only. */
	if (offset + len < 2)
		return;
	pthread_mutex_lock(&c->lock);
	bytes[1 - offset] = read_register(c, c->index);
	pthread_mutex_unlock(&c->lock);
}

/* A 16-bit write is index and data at once, as on the ISA bus. */
static void cmos_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct cmos *c = opaque;
	const u8 *bytes = data;

	pthread_mutex_lock(&c->lock);
	for (u32 i = 0; i < len; i++) {
		if (offset + i == 0)
			c->index = bytes[i] & (CMOS_SIZE - 1); /* bit 7 masks the NMI */
		else if (offset + i == 1)
			write_register(c, c->index, bytes[i]);
	}
	pthread_mutex_unlock(&c->lock);
}

static const struct bus_ops cmos_bus_ops = {
	.read = cmos_read,
	.write = cmos_write,
};

/* Firmware has no other way to learn how much RAM there is. */
static void store_memory_size(struct cmos *c)
{
	const struct guest_memory *mem = &c->dev.vm->mem;
	const struct memory_region *r;
	u64 low = 0, high = 0, ext;

	memory_for_each(mem, r) {
		if (r->kind != MEM_RAM)
			continue;
		if (r->gpa < 4 * GiB) {
			u64 end = MIN(r->gpa + r->size, 4 * GiB);

			low = MAX(low, end);
		} else {
			high += r->size;
		}
	}
	put_le(&c->ram[REG_BASE_MEM], 2, 640);
	ext = low > 1 * MiB ? MIN((low - 1 * MiB) / KiB, 0xffffULL) : 0;
	put_le(&c->ram[REG_EXT_MEM], 2, ext);
	put_le(&c->ram[REG_EXT_MEM2], 2, ext);
	put_le(&c->ram[REG_MEM_16M], 2,
	       low > 16 * MiB ? MIN((low - 16 * MiB) / (64 * KiB), 0xffffULL) : 0);
	put_le(&c->ram[REG_MEM_4G], 3, MIN(high / (64 * KiB), 0xffffffULL));
	if (c->dev.vm->cfg && c->dev.vm->cfg->cpus)
		c->ram[REG_CPUS] = (u8)MIN(c->dev.vm->cfg->cpus - 1, 255U);
}

/* The battery keeps time and memory; the format and what firmware would write are set anew. */
static void cmos_reset(struct device *dev)
{
	struct cmos *c = container_of(dev, struct cmos, dev);

	pthread_mutex_lock(&c->lock);
	c->index = 0;
	c->ram[REG_A] = A_DEFAULT;
	c->ram[REG_B] = B_DEFAULT;
	c->read_c = host_ns();
	store_memory_size(c);
	pthread_mutex_unlock(&c->lock);
}

static int cmos_realize(struct device *dev, struct vm *vm)
{
	struct cmos *c = container_of(dev, struct cmos, dev);
	int ret = device_claim(dev, &c->place, &cmos_bus_ops, c);

	if (!ret)
		cmos_reset(dev);
	return ret;
}

static void cmos_describe_acpi(struct device *dev, struct aml *aml)
{
	size_t device, resources;

	/* PNP0B00 is a clock at ports. */
	if (!container_of(dev, struct cmos, dev)->place.pio)
		return;
	device = aml_device(aml, "RTC");
	aml_name_eisaid(aml, "_HID", "PNP0B00");
	resources = aml_name_resources(aml, "_CRS");
	aml_res_io(aml, CMOS_PORT, 2);
	aml_close_resources(aml, resources);
	aml_close(aml, device);
}

static void cmos_describe_fdt(struct device *dev, struct fdtw *fdt)
{
	const struct cmos *c = container_of(dev, struct cmos, dev);

	if (c->place.pio)
		return;
	fdtw_node(fdt, "rtc@%llx", c->place.base);
	fdtw_string(fdt, "compatible", "motorola,mc146818");
	fdtw_reg(fdt, c->place.base, 2);
	fdtw_close(fdt);
}

static void cmos_free(struct cmos *c)
{
	pthread_mutex_destroy(&c->lock);
	free(c);
}

static void cmos_destroy(struct device *dev)
{
	struct cmos *c = container_of(dev, struct cmos, dev);

	device_release(dev, &c->place);
	cmos_free(c);
}

static int cmos_check(const void *obj)
{
	const struct cmos *c = obj;

	return c->offset < MIN_OFFSET || c->offset > MAX_OFFSET ? -EINVAL : 0;
}

/*
 * Nothing of it runs by itself: the clock is the host's, also where the state is loaded; flags that
 * rise while the VM is paused are worked out when the guest looks.
 */
static const struct state_field cmos_fields[] = {
	STATE_UP_TO(struct cmos, index, CMOS_SIZE - 1),
	STATE_ARRAY(struct cmos, ram),
	STATE_VALUE(struct cmos, offset),
	STATE_VALUE(struct cmos, read_c),
};

static const struct device_state cmos_state = {
	.version = 1,
	STATE_TABLE(cmos_fields),
	.device_at = offsetof(struct cmos, dev),
	.check = cmos_check,
};

static const struct device_ops cmos_ops = {
	.realize = cmos_realize,
	.reset = cmos_reset,
	.state = &cmos_state,
	.describe_fdt = cmos_describe_fdt,
	.describe_acpi = cmos_describe_acpi,
	.destroy = cmos_destroy,
};

int cmos_rtc_create(struct vm *vm)
{
	const struct arch_place place = { .pio = true, .base = CMOS_PORT };

	return mc146818_create(vm, &place);
}

int mc146818_create(struct vm *vm, const struct arch_place *place)
{
	struct cmos *c = xcalloc(1, sizeof(*c));
	int ret;

	c->dev.name = "cmos-rtc";
	c->dev.ops = &cmos_ops;
	c->place = *place;
	c->place.size = 2;
	pthread_mutex_init(&c->lock, NULL);
	ret = device_add(vm, &c->dev);
	if (ret)
		cmos_free(c);
	return ret;
}
