/* SPDX-License-Identifier: MIT */
/*
 * The test device and fw_cfg's ports: read and written at every width and place, beside a model of
 * the scratch, the pins and the item; pages flushed, reset, saved and loaded.
 */
#include "../../x86/platform.h"
#include "../../x86/x86.h"
#include "fuzz_vm.h"
#include "lkvm/state.h"

#define MAX_OPS	  1024
#define FLUSH_RAM 0x100000ULL
#define SCRATCH	  4u

static struct fz_vm v;
static u8 scratch[SCRATCH];
static bool pins[X86_IOAPIC_PINS];

static const struct {
	u16 base, size;
} places[] = {
	{ X86_PORT_TEST - 2, 16 },
	{ X86_PORT_TEST_IRQ - 2, X86_IOAPIC_PINS + 4 },
	{ X86_PORT_FW_CFG - 2, 6 },
};

/* The scratch that an access is wholly in; SCRATCH: none. */
static u32 scratch_at(u16 port, u32 len)
{
	u32 at = (u32)port - X86_PORT_TEST;

	if (at >= 8)
		at -= 8;
	return at < SCRATCH && at + len <= SCRATCH ? at : SCRATCH;
}

static void write_port(struct fz *f, u16 port, u32 len)
{
	u32 at = scratch_at(port, len), pin = (u32)port - X86_PORT_TEST_IRQ;
	u64 value = fz_le(f, len);

	fz_write(&v.vm.pio, port, len, value);
	if (at < SCRATCH)
		put_le(scratch + at, len, value);
	if (pin < X86_IOAPIC_PINS && len == 1)
		pins[pin] = value;
}

static void read_port(u16 port, u32 len)
{
	u32 at = scratch_at(port, len);
	u8 data[8];

	bus_read(&v.vm.pio, port, data, len);
	fz_check(at == SCRATCH || !memcmp(data, scratch + at, len));
}

static void check_item(u16 key)
{
	u64 value = 0;
	u8 byte;

	fz_write(&v.vm.pio, X86_PORT_FW_CFG, 2, key);
	for (u32 i = 0; i < 8; i++) {
		bus_read(&v.vm.pio, X86_PORT_FW_CFG + 1, &byte, 1);
		value |= (u64)byte << 8 * i;
	}
	if (key == 3)
		fz_check(value == v.cfg.memory);
	else if (key == 5 || key == 15)
		fz_check(value == v.cfg.cpus);
	else
		fz_check(value == (key == 1));
}

static void save_and_load(void)
{
	struct state_buf buf = { 0 };
	struct state_reader in;

	vm_pause(&v.vm);
	fz_check(!vm_save(&v.vm, &buf));
	in = (struct state_reader){ buf.data, buf.len };
	fz_check(!vm_load(&v.vm, &in));
	state_buf_free(&buf);
	vm_resume(&v.vm);
}

static void step(struct fz *f)
{
	u8 op = fz_u8(f);
	u32 which = (op >> 3 & 7) % ARRAY_SIZE(places);
	u16 port = (u16)(places[which].base + fz_u8(f) % places[which].size);
	u32 len = 1u << (op >> 6) % 3, width;
	u64 gpa;

	switch (op & 7) {
	case 0:
	case 1:
		write_port(f, port, len);
		break;
	case 2:
		read_port(port, len);
		break;
	case 3:
	case 4:
		gpa = X86_TEST_MEM - 8 + fz_u32(f) % 0x10010;
		width = fz_width(f);
		if (op & 1)
			fz_write(&v.vm.mmio, gpa, width, fz_u64(f));
		else
			fz_read(&v.vm.mmio, gpa, width);
		break;
	case 5:
		fz_write(&v.vm.pio, X86_PORT_TEST + 4, 4, fz_u32(f));
		break;
	case 6:
		check_item(fz_u16(f));
		break;
	case 7:
		if (op & 0x80) {
			save_and_load();
			break;
		}
		vm_reset_devices(&v.vm);
		memset(scratch, 0, sizeof(scratch));
		memset(pins, 0, sizeof(pins));
		break;
	}
	for (u32 i = 0; i < X86_IOAPIC_PINS; i++)
		fz_check(v.level[i] == pins[i]);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);
	struct arch_vm arch = { .split_irqchip = true };
	const struct memory_desc ram = { .gpa = FLUSH_RAM, .size = 0x10000, .name = "flushed" };

	memset(scratch, 0, sizeof(scratch));
	memset(pins, 0, sizeof(pins));
	fz_vm_init(&v);
	fz_vm_add_ram(&v);
	v.vm.arch = &arch;
	v.cfg.memory = fz_u64(&f);
	v.cfg.cpus = fz_u16(&f);
	fz_check(!memory_add(&v.vm.mem, &ram));
	fz_check(!x86_testdev_create(&v.vm));
	fz_check(!x86_machine_cfg_create(&v.vm, true));
	for (int i = 0; i < MAX_OPS && fz_more(&f); i++)
		step(&f);
	fz_vm_destroy(&v);
	return 0;
}
