/* SPDX-License-Identifier: MIT */
/*
 * gdb-stub.c, gdb-packets.c and gdb-text.c: a client of GDB's remote protocol that says anything,
 * to a target of four vcpus and some KiB of memory. Each step of the input is a byte: its lower
 * half says what is done (bytes of a client as they are; a packet with the right frame; the target
 * stops; the client reads), its upper half how much.
 */
#include "fuzz.h"
#include "lkvm/gdb-stub.h"

#define VCPUS  4
#define MEMORY 8192

static struct {
	struct gdb_stub stub;
	u8 memory[MEMORY];
	bool runs, gone;
} t;

static const struct debug_reg regs[] = {
	{ .name = "r", .bytes = 8, .count = 20 },
	{ .name = "v", .bytes = 16, .count = 33 },
	{ .name = "lost", .bytes = 4 },
};
static const struct debug_feature feature = { "fuzz", NULL, regs, ARRAY_SIZE(regs) };

static u32 nr_vcpus(void *target)
{
	return VCPUS;
}

static const struct debug_feature *features(void *target, u32 *nr)
{
	*nr = 1;
	return &feature;
}

static void check_reg(u32 vcpu, const struct debug_reg *reg, u32 index)
{
	fz_check(!t.runs && !t.gone && vcpu < VCPUS);
	fz_check(reg >= regs && reg < regs + ARRAY_SIZE(regs));
	fz_check(index < MAX(reg->count, (u8)1));
}

static int get_reg(void *target, u32 vcpu, const struct debug_reg *reg, u32 index, u8 *value)
{
	check_reg(vcpu, reg, index);
	memset(value, (int)index, reg->bytes);
	return reg == &regs[2] ? -EINVAL : 0;
}

static int set_reg(void *target, u32 vcpu, const struct debug_reg *reg, u32 index, const u8 *value)
{
	check_reg(vcpu, reg, index);
	return index % 5 == 4 ? -EINVAL : 0;
}

static size_t read_memory(void *target, u32 vcpu, bool physical, u64 addr, u8 *buf, size_t len)
{
	fz_check(!t.runs && !t.gone && vcpu < VCPUS && len <= GDB_PACKET / 2);
	if (addr >= MEMORY)
		return 0;
	len = MIN(len, (size_t)(MEMORY - addr));
	memcpy(buf, t.memory + addr, len);
	return len;
}

static int write_memory(void *target, u32 vcpu, bool physical, u64 addr, const u8 *buf, size_t len)
{
	fz_check(!t.runs && !t.gone && vcpu < VCPUS && len <= GDB_PACKET);
	if (!range_within(addr, len, 0, MEMORY))
		return -EFAULT;
	memcpy(t.memory + addr, buf, len);
	return 0;
}

static int point(void *target, u32 vcpu, u32 kind, u64 addr, u64 len, bool put, const char **why)
{
	fz_check(!t.runs && !t.gone && vcpu < VCPUS && kind <= DEBUG_ACCESS);
	if (kind == DEBUG_READ)
		return -ENOTSUP;
	*why = addr & 1 ? "it is odd" : NULL;
	return addr & 3 ? -EINVAL : 0;
}

static int resume(void *target, const u8 *actions, const char **why)
{
	bool any = false;

	fz_check(!t.runs && !t.gone);
	for (u32 i = 0; i < VCPUS; i++) {
		fz_check(actions[i] <= GDB_STEP);
		any |= actions[i] != GDB_STAY;
	}
	fz_check(any);
	/* One that stops before it ran. */
	if (actions[3] == GDB_STEP) {
		gdb_stub_stopped(&t.stub, &(struct gdb_stop){ .vcpu = 3, .signal = GDB_SIGTRAP });
		return 0;
	}
	t.runs = true;
	return 0;
}

static void interrupt(void *target)
{
	fz_check(t.runs);
	t.runs = false;
	gdb_stub_stopped(&t.stub, &(struct gdb_stop){ .vcpu = 1, .signal = GDB_SIGINT });
}

static void leave(void *target)
{
	t.runs = false;
	t.gone = true;
}

static void describe(void *target, u32 vcpu, char *buf, size_t len)
{
	fz_check(vcpu < VCPUS);
	snprintf(buf, len, "vcpu %u", vcpu);
}

static char *monitor(void *target, u32 vcpu, const char *command, bool *physical)
{
	char *text;

	fz_check(!t.runs && vcpu < VCPUS);
	*physical = *command == 'p';
	if (*command == 'n')
		return NULL;
	/* Up to more than fits. */
	text = malloc(*command * 1000U / 8 + 1);
	fz_check(text);
	memset(text, 'x', *command * 1000U / 8);
	text[*command * 1000U / 8] = '\0';
	return text;
}

static const struct gdb_target_ops ops = {
	.nr_vcpus = nr_vcpus,
	.features = features,
	.get_reg = get_reg,
	.set_reg = set_reg,
	.read = read_memory,
	.write = write_memory,
	.point = point,
	.resume = resume,
	.interrupt = interrupt,
	.detach = leave,
	.kill = leave,
	.describe = describe,
	.monitor = monitor,
};

/* The client reads at most @len bytes. */
static void drain(u32 len)
{
	fz_check(t.stub.sent <= t.stub.len && t.stub.len <= sizeof(t.stub.out));
	t.stub.sent += MIN(len, t.stub.len - t.stub.sent);
}

static bool give(const u8 *data, size_t len)
{
	while (len) {
		ssize_t n = gdb_stub_input(&t.stub, data, len);

		if (n < 0)
			return false;
		fz_check((size_t)n <= len);
		data += n;
		len -= (size_t)n;
		/* It takes no more before this is read. */
		if (len)
			fz_check(!gdb_stub_wants(&t.stub));
		if (t.stub.over)
			return false;
		if (len)
			drain(~0U);
	}
	return true;
}

static bool packet(struct fz *f, u32 how)
{
	u8 frame[3] = { '#' }, sum = 0;
	size_t len;
	const u8 *data = fz_bytes(f, how == 15 ? fz_u16(f) : (how + 1) * 4, &len);

	/* One that ends early is as good. */
	for (size_t i = 0; i < len && data[i] != '#'; i++)
		sum = (u8)(sum + data[i]);
	frame[1] = (u8)("0123456789abcdef"[sum >> 4]);
	frame[2] = (u8)("0123456789abcdef"[sum & 15]);
	return give((const u8 *)"$", 1) && give(data, len) && give(frame, sizeof(frame));
}

static void stop(struct fz *f)
{
	const struct gdb_stop s = {
		.vcpu = fz_u8(f) % VCPUS,
		.signal = GDB_SIGTRAP,
		.why = fz_u8(f) % (DEBUG_STOP_STEP + 1),
		.kind = DEBUG_WRITE + fz_u8(f) % 3,
		.addr = fz_u64(f),
	};

	t.runs = false;
	gdb_stub_stopped(&t.stub, &s);
}

static bool step(struct fz *f)
{
	u8 op = fz_u8(f);
	size_t len;
	const u8 *data;

	switch (op & 15) {
	case 0:
		data = fz_bytes(f, (op >> 4) + 1, &len);
		return give(data, len);
	case 1:
		if (t.runs && !t.gone)
			stop(f);
		return true;
	case 2:
		drain(op >> 4);
		return true;
	case 3:
		gdb_stub_message(&t.stub, "a line\n");
		return true;
	default:
		drain(~0U);
		return packet(f, op >> 4);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);
	bool go_on = true;

	memset(&t, 0, sizeof(t));
	gdb_stub_init(&t.stub, &ops, NULL, 0);
	while (go_on && fz_more(&f)) {
		go_on = step(&f) && !t.stub.over;
		fz_check(t.stub.len <= sizeof(t.stub.out));
		fz_check(t.gone || gdb_stub_runs(&t.stub) == t.runs);
	}
	gdb_stub_ended(&t.stub, 3, 0);
	gdb_stub_free(&t.stub);
	return 0;
}
