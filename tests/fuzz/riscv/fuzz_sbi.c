/* SPDX-License-Identifier: MIT */
/*
 * SBI calls of any kind, over a console whose input a device shares: what is no RAM is refused and
 * not touched, no more is moved than was asked for, and every key goes to one reader. An input of
 * operations.
 */
#include "../../../riscv/riscv.h"
#include "../fuzz_vm.h"
#include "lkvm/arch.h"
#include "lkvm/console.h"
#include "lkvm/vcpu.h"

#define MAX_OPS	      256
#define DBCN	      0x4442434eUL
#define SUSP	      0x53555350UL
#define INVALID_PARAM (-3)

static struct fz_vm v;
static struct arch_vm arch;
static struct arch_vcpu arch_vcpu;
static struct vcpu vcpu, *list[1] = { &vcpu };
static struct kvm_run run;
static struct console terminal;
static struct console_client client;
static struct console_firmware console;
static size_t out, room, to_device, woken, typed, read_by_calls;

static void term_write(struct console *con, const u8 *buf, size_t len)
{
	out += len;
}

static void term_set_client(struct console *con, const struct console_client *c)
{
	client = *c;
}

static void term_input_ready(struct console *con) {}

static const struct console_ops term_ops = {
	.write = term_write,
	.set_client = term_set_client,
	.input_ready = term_input_ready,
};

static size_t device_room(void *opaque)
{
	return room;
}

static void device_input(void *opaque, const u8 *buf, size_t len)
{
	fz_check(len <= room);
	room -= len;
	to_device += len;
}

static bool is_asleep(void *opaque)
{
	return vm_is_asleep(opaque);
}

static void wake(void *opaque)
{
	fz_check(vm_wake(opaque));
	woken++;
}

static void type(struct fz *f)
{
	size_t len = fz_u8(f);
	u8 buf[256] = { 0 };

	while (len) {
		size_t n = MIN(client.room(client.opaque), len);

		if (!n)
			break;
		client.input(client.opaque, buf, n);
		len -= n;
		typed += n;
	}
	fz_check(typed == to_device + woken + read_by_calls + console.nr_kept);
}

static bool is_ram(u64 gpa, u64 len)
{
	u64 end = gpa + len;

	return !len || (end > gpa && (end <= FZ_RAM_SIZE ||
				      (gpa >= FZ_HIGH_GPA && end <= FZ_HIGH_GPA + FZ_HIGH_SIZE)));
}

/* Nothing but [gpa, gpa + len) has changed since. */
static void check_unchanged(const u8 *before, u64 gpa, u64 len)
{
	for (u64 i = 0; i < FZ_RAM_SIZE; i++)
		fz_check(v.ram[i] == before[i] || i - gpa < len);
	for (u64 i = 0; i < FZ_HIGH_SIZE; i++)
		fz_check(v.high[i] == before[FZ_RAM_SIZE + i] || i + FZ_HIGH_GPA - gpa < len);
}

static void call(unsigned long id, unsigned long function, const u64 args[3])
{
	run.exit_reason = KVM_EXIT_RISCV_SBI;
	run.riscv_sbi.extension_id = id;
	run.riscv_sbi.function_id = function;
	for (u32 i = 0; i < 3; i++)
		run.riscv_sbi.args[i] = args[i];
	fz_check(!arch_vcpu_exit(&vcpu));
}

static void move(struct fz *f, bool read)
{
	static u8 before[FZ_RAM_SIZE + FZ_HIGH_SIZE];
	u8 how = fz_u8(f);
	u64 args[3] = { how & 1 ? fz_u64(f) : fz_u16(f), how & 2 ? fz_u64(f) : fz_le(f, 3) };
	size_t out_before = out;
	long error;
	u64 n;

	args[2] = how & 4 ? fz_u64(f) : 0;
	memcpy(before, v.ram, FZ_RAM_SIZE);
	memcpy(before + FZ_RAM_SIZE, v.high, FZ_HIGH_SIZE);
	call(DBCN, read, args);
	error = (long)run.riscv_sbi.ret[0];
	n = run.riscv_sbi.ret[1];
	fz_check(error == (args[2] || !is_ram(args[1], args[0]) ? INVALID_PARAM : 0));
	fz_check(n <= args[0] && (!error || !n));
	fz_check(read ? out == out_before : out - out_before == n);
	fz_check(read || error || !args[0] || n);
	read_by_calls += read ? n : 0;
	check_unchanged(before, args[1], read ? n : 0);
}

static void any_call(struct fz *f)
{
	static const unsigned long ids[] = { 0, 1, 3, 8, DBCN, SUSP, 0x08000000, 0x09000000 };
	u8 how = fz_u8(f);
	u64 args[3] = { fz_u64(f), fz_u64(f), fz_u64(f) };
	unsigned long id = how & 0x80 ? fz_u64(f) : ids[how & 7];

	/* The console's have operations of their own, which count. */
	if (id == 2 || (id == DBCN && (how >> 3 & 7) < 2))
		return;
	call(id, how >> 3 & 7, args);
}

static void getchar_call(void)
{
	const u64 args[3] = { 1, 2, 3 };

	call(2, 0, args);
	fz_check(run.riscv_sbi.ret[1] == 2);
	read_by_calls += (long)run.riscv_sbi.ret[0] != -1;
}

static void step(struct fz *f)
{
	u8 op = fz_u8(f);

	switch (op % 8) {
	case 0:
	case 1:
		move(f, op & 1);
		break;
	case 2:
		any_call(f);
		break;
	case 3:
		getchar_call();
		break;
	case 4:
	case 5:
		type(f);
		break;
	case 6:
		room = fz_u8(f) % 16;
		break;
	default:
		vm_wake(&v.vm);
	}
}

static void begin(void)
{
	const struct console_client device = { .room = device_room, .input = device_input };
	const struct console_sleeper sleeper = { is_asleep, wake, &v.vm };

	fz_vm_init(&v);
	fz_vm_add_ram(&v);
	memset(&arch, 0, sizeof(arch));
	memset(&arch_vcpu, 0, sizeof(arch_vcpu));
	memset(&run, 0, sizeof(run));
	vcpu = (struct vcpu){ .vm = &v.vm, .run = &run, .arch = &arch_vcpu };
	v.vm.arch = &arch;
	v.vm.vcpus = list;
	v.vm.nr_vcpus = 1;
	out = room = to_device = woken = typed = read_by_calls = 0;
	terminal.ops = &term_ops;
	console_firmware_init(&console, &terminal, &sleeper);
	console.con.ops->set_client(&console.con, &device);
	v.vm.firmware_console = &console;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);

	begin();
	for (int i = 0; i < MAX_OPS && fz_more(&f); i++)
		step(&f);
	v.vm.nr_vcpus = 0;
	v.vm.vcpus = NULL;
	v.vm.arch = NULL;
	fz_vm_destroy(&v);
	return 0;
}
