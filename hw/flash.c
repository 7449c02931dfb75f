/* SPDX-License-Identifier: MIT */
/*
 * NOR flash with the Intel command set (JEDEC JESD68.01, common flash interface; commands and
 * status: Intel StrataFlash Embedded Memory P30 data sheet, chapter 9): two 16-bit chips side by
 * side, which are given the same commands, as EDK2's drivers and kvmtool have them.
 */
#include "flash.h"

#include <stdlib.h>

#include "lkvm/bus.h"
#include "lkvm/device.h"
#include "lkvm/fdt.h"
#include "lkvm/hw.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

#define MAX_COUNT (BUFFER_SIZE / BANK_WIDTH - 1)

enum {
	CMD_LOCK = 0x01,
	CMD_READ_CONFIG = 0x03,
	CMD_PROGRAM_ALT = 0x10,
	CMD_ERASE = 0x20,
	CMD_LOCK_DOWN = 0x2f,
	CMD_PROGRAM = 0x40,
	CMD_CLEAR_STATUS = 0x50,
	CMD_LOCK_SETUP = 0x60,
	CMD_READ_STATUS = 0x70,
	CMD_READ_ID = 0x90,
	CMD_READ_QUERY = 0x98,
	CMD_SUSPEND = 0xb0,
	CMD_PROGRAM_OTP = 0xc0,
	CMD_CONFIRM = 0xd0,
	CMD_BUFFERED_PROGRAM = 0xe8,
	CMD_READ_ARRAY = 0xff,
};

enum {
	SR_LOCKED = BIT(1),
	SR_PROGRAM_ERROR = BIT(4),
	SR_ERASE_ERROR = BIT(5),
	SR_SEQUENCE_ERROR = SR_PROGRAM_ERROR | SR_ERASE_ERROR,
	SR_READY = BIT(7),
};

/* The manufacturer is Intel; the device is the one that QEMU shows. */
enum { ID_MANUFACTURER = 0x89, ID_DEVICE = 0x18 };

enum mode { MODE_ARRAY, MODE_STATUS, MODE_ID, MODE_QUERY };
enum state {
	STATE_COMMAND,
	STATE_PROGRAM,
	STATE_BUFFER_COUNT,
	STATE_BUFFER_DATA,
	STATE_BUFFER_CONFIRM,
	STATE_ERASE,
	STATE_LOCK,
	STATE_OTP,
};

struct flash {
	struct device dev;
	u64 base, size;
	struct flash_file file; /* its owner closes it */
	u8 *array;		/* what the file holds */
	u8 *erased;
	u8 *locks; /* one for each block */

	pthread_mutex_t writing; /* one bus cycle that writes at a time; before @lock */
	/* All below and the contents of array and locks; not held while the host writes. */
	pthread_mutex_t lock;
	enum mode mode;
	enum state state;
	u8 status;
	u8 buffer[BUFFER_SIZE];
	u32 buffer_len; /* bytes that the guest announced */
	u32 buffer_left;
	u64 buffer_offset;
};

/* Reading */

static u8 id_byte(const struct flash *f, u64 offset)
{
	switch (offset % BLOCK_SIZE / BANK_WIDTH) {
	case 0:
		return ID_MANUFACTURER;
	case 1:
		return ID_DEVICE;
	case 2:
		return f->locks[offset / BLOCK_SIZE];
	}
	return 0;
}

/* The low byte of what each chip puts on its 16 lines, when that is not the array. */
static u8 chip_byte(const struct flash *f, u64 offset)
{
	switch (f->mode) {
	case MODE_STATUS:
		return f->status;
	case MODE_ID:
		return id_byte(f, offset);
	default:
		return flash_query_byte(f->size, offset / BANK_WIDTH);
	}
}

static void flash_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct flash *f = opaque;
	u8 *bytes = data;

	pthread_mutex_lock(&f->lock);
	if (f->mode == MODE_ARRAY)
		memcpy(bytes, f->array + offset, len);
	else
		for (u32 i = 0; i < len; i++)
			bytes[i] = (offset + i) & 1 ? 0 : chip_byte(f, offset + i);
	pthread_mutex_unlock(&f->lock);
}

/* Changing */

/* Both ends of a change lie in blocks that may be changed; else the status says so. */
static bool may_change(struct flash *f, u64 offset, u64 len, u8 error)
{
	if (!((f->locks[offset / BLOCK_SIZE] | f->locks[(offset + len - 1) / BLOCK_SIZE]) &
	      BLOCK_LOCKED))
		return true;
	f->status |= error | SR_LOCKED;
	return false;
}

/* The file first: the guest reads what is kept. Meanwhile others read, and see that it is busy. */
static void store(struct flash *f, u64 offset, const u8 *data, u64 len, u8 error)
{
	int ret;

	f->status &= (u8)~SR_READY;
	pthread_mutex_unlock(&f->lock);
	ret = pwrite_full(f->file.fd, data, len, (off_t)offset);
	pthread_mutex_lock(&f->lock);
	f->status |= SR_READY;
	if (ret) {
		guest_log(LOG_ERROR, "--flash %s: cannot write at 0x%llx: %s", f->file.path, offset,
			  strerror(-ret));
		f->status |= error;
		return;
	}
	memcpy(f->array + offset, data, len);
}

/* Programming only clears bits. @len is at most BUFFER_SIZE. */
static void program(struct flash *f, u64 offset, const u8 *data, u32 len)
{
	u8 merged[BUFFER_SIZE];

	if (!may_change(f, offset, len, SR_PROGRAM_ERROR))
		return;
	for (u32 i = 0; i < len; i++)
		merged[i] = f->array[offset + i] & data[i];
	store(f, offset, merged, len, SR_PROGRAM_ERROR);
}

static void erase(struct flash *f, u64 offset)
{
	offset = ALIGN_DOWN(offset, BLOCK_SIZE);
	if (may_change(f, offset, BLOCK_SIZE, SR_ERASE_ERROR))
		store(f, offset, f->erased, BLOCK_SIZE, SR_ERASE_ERROR);
}

static void set_lock(struct flash *f, u64 offset, u8 command)
{
	u8 *state = &f->locks[offset / BLOCK_SIZE];

	switch (command) {
	case CMD_LOCK:
		*state |= BLOCK_LOCKED;
		break;
	case CMD_LOCK_DOWN:
		*state = BLOCK_LOCKED | BLOCK_LOCKED_DOWN;
		break;
	case CMD_CONFIRM:
		/* Only a reset undoes a lock-down. */
		if (!(*state & BLOCK_LOCKED_DOWN))
			*state &= (u8)~BLOCK_LOCKED;
		break;
	case CMD_READ_CONFIG:
		/* How bursts are read: there are none. */
		break;
	default:
		f->status |= SR_SEQUENCE_ERROR;
	}
}

static void drop_buffer(struct flash *f)
{
	f->buffer_len = f->buffer_left = 0;
	f->buffer_offset = 0;
}

static void begin_buffer(struct flash *f, u8 count)
{
	drop_buffer(f);
	if (count > MAX_COUNT) {
		f->status |= SR_SEQUENCE_ERROR;
		f->state = STATE_COMMAND;
		return;
	}
	memset(f->buffer, 0xff, sizeof(f->buffer));
	f->buffer_len = f->buffer_left = (count + 1U) * BANK_WIDTH;
	f->state = STATE_BUFFER_DATA;
}

/* The first word says where the buffer goes, all others follow it. */
static void fill_buffer(struct flash *f, u64 offset, const u8 *data, u32 len)
{
	u64 start = f->buffer_left == f->buffer_len ? offset : f->buffer_offset;

	if (!range_within(offset, len, start, f->buffer_len) ||
	    !range_within(start, f->buffer_len, 0, f->size)) {
		f->status |= SR_SEQUENCE_ERROR;
		f->state = STATE_COMMAND;
		drop_buffer(f);
		return;
	}
	f->buffer_offset = start;
	memcpy(f->buffer + (offset - f->buffer_offset), data, len);
	f->buffer_left -= MIN(len, f->buffer_left);
	if (!f->buffer_left)
		f->state = STATE_BUFFER_CONFIRM;
}

static void end_buffer(struct flash *f, u8 command)
{
	u64 last = f->buffer_offset + f->buffer_len - 1;

	if (command != CMD_CONFIRM || last / BLOCK_SIZE != f->buffer_offset / BLOCK_SIZE)
		f->status |= SR_SEQUENCE_ERROR;
	else
		program(f, f->buffer_offset, f->buffer, f->buffer_len);
	drop_buffer(f);
}

static void begin_command(struct flash *f, u8 command)
{
	f->mode = MODE_STATUS;
	switch (command) {
	case CMD_PROGRAM:
	case CMD_PROGRAM_ALT:
		f->state = STATE_PROGRAM;
		break;
	case CMD_BUFFERED_PROGRAM:
		f->state = STATE_BUFFER_COUNT;
		break;
	case CMD_ERASE:
		f->state = STATE_ERASE;
		break;
	case CMD_LOCK_SETUP:
		f->state = STATE_LOCK;
		break;
	case CMD_PROGRAM_OTP:
		f->state = STATE_OTP;
		break;
	case CMD_CLEAR_STATUS:
		f->status = SR_READY;
		break;
	case CMD_READ_STATUS:
	case CMD_SUSPEND:
	case CMD_CONFIRM:
		/* Nothing is ever under way that could be suspended. */
		break;
	case CMD_READ_ID:
		f->mode = MODE_ID;
		break;
	case CMD_READ_QUERY:
		f->mode = MODE_QUERY;
		break;
	default:
		/* CMD_READ_ARRAY, and what chips of other kinds are asked when they are probed. */
		f->mode = MODE_ARRAY;
	}
}

/* One cycle on the bus. A command is in the low byte of each chip's lines. */
static void bus_cycle(struct flash *f, u64 offset, const u8 *data, u32 len)
{
	enum state state = f->state;
	u8 command = data[0];

	f->state = STATE_COMMAND;
	switch (state) {
	case STATE_COMMAND:
		begin_command(f, command);
		break;
	case STATE_PROGRAM:
		program(f, offset, data, len);
		break;
	case STATE_BUFFER_COUNT:
		begin_buffer(f, command);
		break;
	case STATE_BUFFER_DATA:
		f->state = STATE_BUFFER_DATA;
		fill_buffer(f, offset, data, len);
		break;
	case STATE_BUFFER_CONFIRM:
		end_buffer(f, command);
		break;
	case STATE_ERASE:
		if (command == CMD_CONFIRM)
			erase(f, offset);
		else
			f->status |= SR_SEQUENCE_ERROR;
		break;
	case STATE_LOCK:
		set_lock(f, offset, command);
		break;
	case STATE_OTP:
		f->status |= SR_PROGRAM_ERROR | SR_LOCKED;
		break;
	}
}

static void flash_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct flash *f = opaque;

	pthread_mutex_lock(&f->writing);
	pthread_mutex_lock(&f->lock);
	for (u32 done = 0; done < len; done += BANK_WIDTH)
		bus_cycle(f, offset + done, (const u8 *)data + done,
			  MIN(len - done, (u32)BANK_WIDTH));
	pthread_mutex_unlock(&f->lock);
	pthread_mutex_unlock(&f->writing);
}

static const struct bus_ops flash_bus_ops = {
	.read = flash_read,
	.write = flash_write,
};

/* The device */

/* Not locked at power-on, as kvmtool has it; the blocks of a file that cannot be written stay
 * locked. */
static void flash_reset(struct device *dev)
{
	struct flash *f = container_of(dev, struct flash, dev);

	pthread_mutex_lock(&f->lock);
	f->mode = MODE_ARRAY;
	f->state = STATE_COMMAND;
	f->status = SR_READY;
	drop_buffer(f);
	memset(f->locks, f->file.readonly ? BLOCK_LOCKED | BLOCK_LOCKED_DOWN : 0,
	       f->size / BLOCK_SIZE);
	pthread_mutex_unlock(&f->lock);
}

static int flash_realize(struct device *dev, struct vm *vm)
{
	struct flash *f = container_of(dev, struct flash, dev);
	int ret = device_claim_mmio(dev, f->base, f->size, &flash_bus_ops, f);

	if (!ret)
		flash_reset(dev);
	return ret;
}

/* EDK2 keeps its variables in the flash with this label. */
static void flash_describe_fdt(struct device *dev, struct fdtw *fdt)
{
	const struct flash *f = container_of(dev, struct flash, dev);

	fdtw_node(fdt, "flash@%llx", f->base);
	fdtw_string(fdt, "compatible", "cfi-flash");
	fdtw_reg(fdt, f->base, f->size);
	fdtw_u32(fdt, "bank-width", BANK_WIDTH);
	fdtw_string(fdt, "label", "System-firmware");
	fdtw_close(fdt);
}

static void flash_free(struct flash *f)
{
	pthread_mutex_destroy(&f->lock);
	pthread_mutex_destroy(&f->writing);
	free(f->array);
	free(f->erased);
	free(f->locks);
	free(f);
}

static void flash_destroy(struct device *dev)
{
	struct flash *f = container_of(dev, struct flash, dev);

	bus_remove(&dev->vm->mmio, f->base);
	flash_free(f);
}

/* What the guest said of a buffer is checked when it said it, and here again. */
static int flash_check(const void *obj)
{
	const struct flash *f = obj;

	if (f->buffer_left > f->buffer_len || f->buffer_len % BANK_WIDTH ||
	    !range_within(f->buffer_offset, f->buffer_len, 0, f->size))
		return -EINVAL;
	return 0;
}

static u32 nr_blocks(const void *obj)
{
	return (u32)(((const struct flash *)obj)->size / BLOCK_SIZE);
}

/* The array is the file's, as a disk's contents are. */
static const struct state_field flash_fields[] = {
	STATE_UP_TO(struct flash, mode, MODE_QUERY),
	STATE_UP_TO(struct flash, state, STATE_OTP),
	STATE_VALUE(struct flash, status),
	STATE_ARRAY(struct flash, buffer),
	STATE_UP_TO(struct flash, buffer_len, BUFFER_SIZE),
	STATE_UP_TO(struct flash, buffer_left, BUFFER_SIZE),
	STATE_VALUE(struct flash, buffer_offset),
	STATE_AT(struct flash, locks, nr_blocks),
};

static const struct device_state flash_state = {
	.version = 1,
	STATE_TABLE(flash_fields),
	.device_at = offsetof(struct flash, dev),
	.check = flash_check,
};

static const struct device_ops flash_ops = {
	.realize = flash_realize,
	.reset = flash_reset,
	.state = &flash_state,
	.describe_fdt = flash_describe_fdt,
	.destroy = flash_destroy,
};

/* A flash that is only described has no file, and nobody reads it. */
static int load_file(struct flash *f)
{
	int ret = -ENOMEM;

	if (f->file.fd < 0)
		return 0;
	f->array = malloc(f->size);
	f->erased = malloc(BLOCK_SIZE);
	if (f->array && f->erased)
		ret = pread_full(f->file.fd, f->array, f->size, 0);
	if (ret)
		err("--flash %s: cannot read: %s", f->file.path, strerror(-ret));
	else
		memset(f->erased, 0xff, BLOCK_SIZE);
	return ret;
}

int cfi_flash_create(struct vm *vm, u64 base, const struct flash_file *file)
{
	struct flash *f = xcalloc(1, sizeof(*f));
	int ret;

	f->dev.name = "flash";
	f->dev.ops = &flash_ops;
	f->base = base;
	f->size = file->size;
	f->file = *file;
	f->locks = xcalloc(f->size / BLOCK_SIZE, 1);
	pthread_mutex_init(&f->writing, NULL);
	pthread_mutex_init(&f->lock, NULL);
	ret = load_file(f);
	if (!ret)
		ret = device_add(vm, &f->dev);
	if (ret)
		flash_free(f);
	return ret;
}
