/* SPDX-License-Identifier: MIT */
/* GDB's remote protocol, packet by packet, over a target that notes what it is told. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "lkvm/gdb-stub.h"

#define VCPUS 3

static struct {
	struct gdb_stub stub;
	u8 memory[64];
	u8 actions[VCPUS];
	unsigned int resumed, interrupted, detached, killed;
	const char *why;
	int error;
	char sent[GDB_PACKET + 4096];
} t;

static const struct debug_reg regs[] = {
	{ .name = "x", .bytes = 8, .count = 2 },
	{ .name = "pc", .type = "code_ptr", .bytes = 4 },
};
static const struct debug_feature feature = { "test", "<types/>", regs, ARRAY_SIZE(regs) };
static u8 values[3][8];

static u32 nr_vcpus(void *target)
{
	return VCPUS;
}

static const struct debug_feature *features(void *target, u32 *nr)
{
	*nr = 1;
	return &feature;
}

static u8 *value_of(const struct debug_reg *reg, u32 index)
{
	return values[reg == &regs[1] ? 2 : index];
}

static int get_reg(void *target, u32 vcpu, const struct debug_reg *reg, u32 index, u8 *value)
{
	memcpy(value, value_of(reg, index), reg->bytes);
	/* One that is not there. */
	return vcpu == 2 && index ? -ENOENT : 0;
}

static int set_reg(void *target, u32 vcpu, const struct debug_reg *reg, u32 index, const u8 *value)
{
	memcpy(value_of(reg, index), value, reg->bytes);
	return 0;
}

static size_t read_memory(void *target, u32 vcpu, bool physical, u64 addr, u8 *buf, size_t len)
{
	if (addr >= sizeof(t.memory))
		return 0;
	len = MIN(len, sizeof(t.memory) - addr);
	memcpy(buf, t.memory + addr, len);
	return len;
}

static int write_memory(void *target, u32 vcpu, bool physical, u64 addr, const u8 *buf, size_t len)
{
	if (!range_within(addr, len, 0, sizeof(t.memory)))
		return -EFAULT;
	memcpy(t.memory + addr, buf, len);
	return 0;
}

static int point(void *target, u32 vcpu, u32 kind, u64 addr, u64 len, bool put, const char **why)
{
	*why = t.why;
	return t.error;
}

static int resume(void *target, const u8 *actions, const char **why)
{
	t.resumed++;
	memcpy(t.actions, actions, sizeof(t.actions));
	*why = t.why;
	return t.error;
}

static void stop_at(u32 vcpu, u8 signal, enum debug_stop why, enum debug_kind kind)
{
	gdb_stub_stopped(&t.stub, &(struct gdb_stop){ vcpu, signal, why, kind, 0x1234 });
}

static void interrupt(void *target)
{
	t.interrupted++;
	stop_at(1, GDB_SIGINT, DEBUG_STOP_NONE, 0);
}

static void detach(void *target)
{
	t.detached++;
}

static void kill_target(void *target)
{
	t.killed++;
}

static void describe(void *target, u32 vcpu, char *buf, size_t len)
{
	snprintf(buf, len, "%u", vcpu);
}

static char *monitor(void *target, u32 vcpu, const char *command, bool *physical)
{
	return strdup(command);
}

static const struct gdb_target_ops ops = {
	nr_vcpus, features,  get_reg, set_reg,	   read_memory, write_memory, point,
	resume,	  interrupt, detach,  kill_target, describe,	monitor,
};

static int begin(void **state)
{
	memset(&t, 0, sizeof(t));
	gdb_stub_init(&t.stub, &ops, NULL, 0);
	return 0;
}

static int end(void **state)
{
	gdb_stub_free(&t.stub);
	return 0;
}

/* What waits to be sent, which is sent then. */
static const char *sent(void)
{
	u32 n = t.stub.len - t.stub.sent;

	memcpy(t.sent, t.stub.out + t.stub.sent, n);
	t.sent[n] = '\0';
	t.stub.sent = t.stub.len;
	return t.sent;
}

static void give(const char *text)
{
	assert_int_equal(gdb_stub_input(&t.stub, (const u8 *)text, strlen(text)), strlen(text));
}

static const char *frame(const char *packet)
{
	static char text[512];
	u8 sum = 0;

	for (const char *p = packet; *p; p++)
		sum = (u8)(sum + *p);
	snprintf(text, sizeof(text), "$%s#%02x", packet, sum);
	return text;
}

static void asks(const char *packet, const char *answer)
{
	char want[512];

	give(frame(packet));
	snprintf(want, sizeof(want), "+%s", frame(answer));
	assert_string_equal(sent(), want);
}

static void frames(void **state)
{
	asks("?", "T05thread:1;");
	/* Once more. */
	give("-");
	assert_string_equal(sent(), frame("T05thread:1;"));
	give("$?#00");
	assert_string_equal(sent(), "-");
	give("+++");
	assert_string_equal(sent(), "");
	/* Nothing is taken before the answer has gone. */
	assert_int_equal(gdb_stub_input(&t.stub, (const u8 *)"$?#3f$?#3f", 10), 5);
	assert_false(gdb_stub_wants(&t.stub));
	assert_int_equal(gdb_stub_input(&t.stub, (const u8 *)"$?#3f", 5), 0);
	sent();
	asks("QStartNoAckMode", "OK");
	give("$?#00");
	assert_string_equal(sent(), frame("T05thread:1;"));
	assert_int_equal(gdb_stub_input(&t.stub, (const u8 *)"GET", 3), -EPROTO);
}

static void too_long(void **state)
{
	give("$");
	for (u32 i = 0; i < GDB_PACKET; i++)
		give("?");
	give("?#3f");
	assert_string_equal(sent(), "+$E16#ac");
	asks("QStartNoAckMode", "OK");
	give("$");
	for (u32 i = 0; i <= GDB_PACKET; i++)
		give("?");
	give("#00");
	assert_string_equal(sent(), frame("E16"));
}

static void registers(void **state)
{
	asks("p2", "00000000");
	asks("P1=0102030405060708", "OK");
	asks("g", "0000000000000000010203040506070800000000");
	asks("G1111111111111111xxxxxxxxxxxxxxxx22222222", "OK");
	asks("g", "1111111111111111010203040506070822222222");
	asks("Hg3", "OK");
	asks("g", "1111111111111111xxxxxxxxxxxxxxxx22222222");
	asks("p3", "E16");
	asks("P1=01", "E16");
	asks("qXfer:features:read:target.xml:0,10", "m<?xml version=\"1");
	asks("qXfer:features:read:target.xml:ffff,10", "E16");
	assert_non_null(strstr(t.stub.xml, "<feature name=\"test\"><types/><reg name=\"x0\" "
					   "bitsize=\"64\"/><reg name=\"x1\" bitsize=\"64\"/><reg "
					   "name=\"pc\" bitsize=\"32\" type=\"code_ptr\"/>"));
}

static void memory(void **state)
{
	asks("M2,3:01020a", "OK");
	asks("m1,5", "0001020a00");
	asks("m3e,8", "0000");
	asks("m40,1", "E0e");
	asks("M3f,2:0000", "E0e");
	/* Escaped: '#', '$', '}', '*'. */
	asks("X0,4:}\3}\4}]}\n", "OK");
	asks("m0,4", "23247d2a");
	asks("X0,4:}\3", "E16");
}

static void running(void **state)
{
	asks("qSupported:swbreak+", "PacketSize=4000;QStartNoAckMode+;qXfer:features:read+;"
				    "vContSupported+;swbreak+;hwbreak+");
	give(frame("vCont;s:2;t:1;c"));
	assert_string_equal(sent(), "+");
	assert_memory_equal(t.actions, ((u8[]){ GDB_STAY, GDB_STEP, GDB_CONTINUE }), VCPUS);
	asks("g", "E16");
	stop_at(2, GDB_SIGTRAP, DEBUG_STOP_BREAK, 0);
	assert_string_equal(sent(), frame("T05thread:3;swbreak:;"));
	/* That vcpu is the one that is looked at. */
	asks("qC", "QC3");
	/* Nobody waits for this. */
	stop_at(1, GDB_SIGTRAP, DEBUG_STOP_BREAK, 0);
	assert_string_equal(sent(), "");
	give(frame("vCont;c:1"));
	sent();
	assert_memory_equal(t.actions, ((u8[]){ GDB_CONTINUE, GDB_STAY, GDB_STAY }), VCPUS);
	stop_at(0, GDB_SIGTRAP, DEBUG_STOP_EXEC, 0); /* the client knows no hwbreak */
	assert_string_equal(sent(), frame("T05thread:1;"));
	give(frame("c"));
	sent();
	stop_at(0, GDB_SIGTRAP, DEBUG_STOP_WATCH, DEBUG_ACCESS);
	assert_string_equal(sent(), frame("T05thread:1;awatch:1234;"));
	give(frame("s"));
	sent();
	assert_memory_equal(t.actions, ((u8[]){ GDB_STEP, GDB_CONTINUE, GDB_CONTINUE }), VCPUS);
	give("\3");
	assert_string_equal(sent(), frame("T02thread:2;"));
	give("\3");
	assert_int_equal(t.interrupted, 1);
	t.error = -EIO;
	t.why = "no";
	asks("vCont;c", "E.no");
	assert_false(gdb_stub_runs(&t.stub));
	asks("vCont;t", "E16");
	asks("vCont;c:4", "E16");
}

static void points(void **state)
{
	asks("Z0,10,1", "OK");
	t.error = -ENOTSUP;
	asks("Z3,10,1", "");
	t.why = "not here";
	asks("Z1,10,1", "E.not here");
	t.error = -EFAULT;
	t.why = NULL;
	asks("Z0,10,1", "E0e");
	asks("Z5,10,1", "");
	asks("Z0,10", "E16");
}

static void leaving(void **state)
{
	give(frame("c"));
	sent();
	gdb_stub_message(&t.stub, "a\n");
	assert_string_equal(sent(), frame("O610a"));
	give(frame("D"));
	assert_int_equal(t.detached, 1);
	sent();
	assert_false(t.stub.over);
	give(frame("g"));
	assert_true(t.stub.over);
	end(NULL);
	begin(NULL);
	gdb_stub_ended(&t.stub, 3, 0);
	assert_string_equal(sent(), frame("W03"));
	assert_true(t.stub.over);
	end(NULL);
	begin(NULL);
	gdb_stub_ended(&t.stub, 0, 15);
	assert_string_equal(sent(), frame("X0f"));
	end(NULL);
	begin(NULL);
	give(frame("k"));
	assert_int_equal(t.killed, 1);
	assert_true(t.stub.over);
}

/* A client that does not read: a stop and a line find room behind what waits. */
static void slow_reader(void **state)
{
	asks("QStartNoAckMode", "OK");
	give(frame("c"));
	for (u32 i = 0; i < 10000; i++)
		gdb_stub_message(&t.stub, "a line\n");
	assert_true(t.stub.len <= sizeof(t.stub.out));
	stop_at(0, GDB_SIGTRAP, DEBUG_STOP_NONE, 0);
	assert_non_null(strstr(sent(), frame("T05thread:1;")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(frames, begin, end),
		cmocka_unit_test_setup_teardown(too_long, begin, end),
		cmocka_unit_test_setup_teardown(registers, begin, end),
		cmocka_unit_test_setup_teardown(memory, begin, end),
		cmocka_unit_test_setup_teardown(running, begin, end),
		cmocka_unit_test_setup_teardown(points, begin, end),
		cmocka_unit_test_setup_teardown(leaving, begin, end),
		cmocka_unit_test_setup_teardown(slow_reader, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
