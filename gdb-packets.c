/* SPDX-License-Identifier: MIT */
/* What each packet of GDB's remote serial protocol asks for (GDB manual, E.2 to E.4, E.11). */
#include <stdio.h>
#include <stdlib.h>

#include "gdb-text.h"
#include "lkvm/gdb-stub.h"
#include "lkvm/util.h"

/* Numbers of errors have no meaning to GDB but these two of the C library's. */
#define E_FAULT "E0e"
#define E_WRONG "E16"

#define ALL_THREADS (~0U) /* "-1" */

static u32 nr_vcpus(struct gdb_stub *s)
{
	return s->ops->nr_vcpus(s->target);
}

/* Answers */

static void send_text(struct gdb_stub *s, const char *text)
{
	gdb_frame_begin(s);
	gdb_put(s, text);
	gdb_frame_end(s);
}

static void send_result(struct gdb_stub *s, int ret)
{
	send_text(s, !ret ? "OK" : ret == -EFAULT ? E_FAULT : E_WRONG);
}

/* What went wrong in words, which GDB shows, or as a number. */
static void send_why(struct gdb_stub *s, int ret, const char *why)
{
	if (!ret || !why) {
		send_result(s, ret);
		return;
	}
	gdb_frame_begin(s);
	gdb_put(s, "E.");
	gdb_put(s, why);
	gdb_frame_end(s);
}

void gdb_send_stop(struct gdb_stub *s)
{
	static const char *const watches[] = {
		[DEBUG_EXEC] = "",
		[DEBUG_WRITE] = "watch",
		[DEBUG_READ] = "rwatch",
		[DEBUG_ACCESS] = "awatch",
	};
	const struct gdb_stop *stop = &s->stop;
	char text[64];

	gdb_frame_begin(s);
	snprintf(text, sizeof(text), "T%02xthread:%x;", stop->signal, stop->vcpu + 1);
	gdb_put(s, text);
	if (stop->why == DEBUG_STOP_BREAK && s->swbreak)
		gdb_put(s, "swbreak:;");
	if (stop->why == DEBUG_STOP_EXEC && s->hwbreak)
		gdb_put(s, "hwbreak:;");
	if (stop->why == DEBUG_STOP_WATCH) {
		snprintf(text, sizeof(text), "%s:%llx;", watches[stop->kind], stop->addr);
		gdb_put(s, text);
	}
	gdb_frame_end(s);
}

/* Registers */

/* Walks over all registers; *at is the number of the next. */
static const struct debug_reg *find_reg(struct gdb_stub *s, u32 number, u32 *index)
{
	const struct debug_feature *f;
	u32 nr, at = 0;

	f = s->ops->features(s->target, &nr);
	for (u32 i = 0; i < nr; i++) {
		for (u32 k = 0; k < f[i].nr_regs; k++) {
			u32 count = MAX(f[i].regs[k].count, (u8)1);

			if (number - at < count) {
				*index = number - at;
				return &f[i].regs[k];
			}
			at += count;
		}
	}
	return NULL;
}

/* One that cannot be read is known to be unknown. */
static void put_reg(struct gdb_stub *s, const struct debug_reg *reg, u32 index)
{
	u8 value[DEBUG_REG_MAX];

	if (s->ops->get_reg(s->target, s->vcpu, reg, index, value))
		for (u32 i = 0; i < reg->bytes; i++)
			gdb_put(s, "xx");
	else
		gdb_put_hex(s, value, reg->bytes);
}

static void read_regs(struct gdb_stub *s, char *arg)
{
	const struct debug_reg *reg;
	u32 index;

	gdb_frame_begin(s);
	for (u32 i = 0; (reg = find_reg(s, i, &index)); i++)
		put_reg(s, reg, index);
	gdb_frame_end(s);
}

/* Those that differ are set: a register of the system may not take even what it has. */
static void write_regs(struct gdb_stub *s, char *arg)
{
	const struct debug_reg *reg;
	int ret = 0;
	u32 index;

	for (u32 i = 0; !ret && *arg && (reg = find_reg(s, i, &index)); i++) {
		u8 value[DEBUG_REG_MAX], now[DEBUG_REG_MAX];
		bool unknown = *arg == 'x';

		if (!unknown && gdb_hex_bytes(arg, value, reg->bytes))
			ret = -EINVAL;
		else if (!unknown && (s->ops->get_reg(s->target, s->vcpu, reg, index, now) ||
				      memcmp(now, value, reg->bytes)))
			ret = s->ops->set_reg(s->target, s->vcpu, reg, index, value);
		arg += MIN(strlen(arg), (size_t)reg->bytes * 2);
	}
	send_result(s, ret);
}

static void read_reg(struct gdb_stub *s, char *arg)
{
	const struct debug_reg *reg;
	u32 index;
	u64 n;

	if (!gdb_number(&arg, &n) || *arg || n > 0xffff || !(reg = find_reg(s, (u32)n, &index))) {
		send_text(s, E_WRONG);
		return;
	}
	gdb_frame_begin(s);
	put_reg(s, reg, index);
	gdb_frame_end(s);
}

static void write_reg(struct gdb_stub *s, char *arg)
{
	const struct debug_reg *reg;
	u8 value[DEBUG_REG_MAX];
	u32 index;
	u64 n;

	if (!gdb_number(&arg, &n) || *arg++ != '=' || n > 0xffff ||
	    !(reg = find_reg(s, (u32)n, &index)) || strlen(arg) != reg->bytes * 2U ||
	    gdb_hex_bytes(arg, value, reg->bytes)) {
		send_text(s, E_WRONG);
		return;
	}
	send_result(s, s->ops->set_reg(s->target, s->vcpu, reg, index, value));
}

/* Memory */

/* "ADDR,LEN", and what follows. */
static bool parse_range(char **arg, u64 *addr, u64 *len)
{
	return gdb_number(arg, addr) && *(*arg)++ == ',' && gdb_number(arg, len);
}

static void read_memory(struct gdb_stub *s, char *arg)
{
	u8 buf[GDB_PACKET / 2];
	u64 addr, len;
	size_t n;

	if (!parse_range(&arg, &addr, &len) || *arg) {
		send_text(s, E_WRONG);
		return;
	}
	n = s->ops->read(s->target, s->vcpu, s->physical, addr, buf, MIN(len, (u64)sizeof(buf)));
	if (len && !n) {
		send_text(s, E_FAULT);
		return;
	}
	gdb_frame_begin(s);
	gdb_put_hex(s, buf, n);
	gdb_frame_end(s);
}

static void write_hex(struct gdb_stub *s, char *arg)
{
	u8 buf[GDB_PACKET / 2];
	u64 addr, len;

	if (!parse_range(&arg, &addr, &len) || *arg++ != ':' || len > sizeof(buf) ||
	    strlen(arg) != len * 2 || gdb_hex_bytes(arg, buf, len)) {
		send_text(s, E_WRONG);
		return;
	}
	send_result(s, s->ops->write(s->target, s->vcpu, s->physical, addr, buf, len));
}

/* The data may have NUL bytes. */
static void write_binary(struct gdb_stub *s, char *arg)
{
	u8 *end = s->in + s->in_len, *data;
	u64 addr, len;

	if (!parse_range(&arg, &addr, &len) || *arg++ != ':') {
		send_text(s, E_WRONG);
		return;
	}
	data = (u8 *)arg;
	if (gdb_unescape(data, (size_t)(end - data)) != len) {
		send_text(s, E_WRONG);
		return;
	}
	send_result(s, s->ops->write(s->target, s->vcpu, s->physical, addr, data, len));
}

/* Threads */

/* "-1", "0" (any) or a number from 1 on; false: there is no such vcpu. */
static bool parse_thread(struct gdb_stub *s, char **arg, u32 any, u32 *vcpu)
{
	u64 id;

	if (!strncmp(*arg, "-1", 2)) {
		*arg += 2;
		*vcpu = ALL_THREADS;
		return true;
	}
	if (!gdb_number(arg, &id) || id > nr_vcpus(s))
		return false;
	*vcpu = id ? (u32)id - 1 : any;
	return true;
}

static void set_thread(struct gdb_stub *s, char *arg)
{
	char op = *arg;
	u32 *of = op == 'c' ? &s->step_vcpu : &s->vcpu, vcpu;

	if ((op != 'g' && op != 'c') || (arg++, !parse_thread(s, &arg, *of, &vcpu)) || *arg) {
		send_text(s, E_WRONG);
		return;
	}
	if (vcpu != ALL_THREADS)
		*of = vcpu;
	send_text(s, "OK");
}

static void is_alive(struct gdb_stub *s, char *arg)
{
	u32 vcpu;

	send_text(s, parse_thread(s, &arg, 0, &vcpu) && !*arg ? "OK" : E_WRONG);
}

/* As many as fit, from @listed on. */
static void list_threads(struct gdb_stub *s)
{
	char text[16];

	if (s->listed >= nr_vcpus(s)) {
		send_text(s, "l");
		return;
	}
	gdb_frame_begin(s);
	for (u32 i = 0; i < 1000 && s->listed < nr_vcpus(s); i++) {
		snprintf(text, sizeof(text), "%s%x", i ? "," : "m", ++s->listed);
		gdb_put(s, text);
	}
	gdb_frame_end(s);
}

static void describe_thread(struct gdb_stub *s, char *arg)
{
	char text[128] = "";
	u32 vcpu;

	if (!parse_thread(s, &arg, 0, &vcpu) || vcpu == ALL_THREADS) {
		send_text(s, E_WRONG);
		return;
	}
	s->ops->describe(s->target, vcpu, text, sizeof(text));
	gdb_frame_begin(s);
	gdb_put_hex(s, text, strlen(text));
	gdb_frame_end(s);
}

/* Running */

static void resume(struct gdb_stub *s)
{
	const char *why = NULL;
	int ret;

	/* The target may stop before this returns. */
	s->running = true;
	ret = s->ops->resume(s->target, s->actions, &why);
	if (!ret)
		return;
	s->running = false;
	send_why(s, ret, why);
}

/* "c", "s", "C05", "S05": signals are of no use to a processor. */
static bool parse_action(char **arg, u8 *action)
{
	char op = *(*arg)++;
	u64 signal;

	if (op == 't')
		*action = GDB_STAY;
	else
		*action = op == 's' || op == 'S' ? GDB_STEP : GDB_CONTINUE;
	if (op == 'C' || op == 'S')
		return gdb_number(arg, &signal);
	return op == 'c' || op == 's' || op == 't';
}

/* The first action that names a vcpu, or all, counts; who has none stays. */
static void v_cont(struct gdb_stub *s, char *arg)
{
	static const u8 none = 0xff;
	u32 n = nr_vcpus(s), vcpu;
	bool any = false;
	u8 action;

	memset(s->actions, none, n);
	while (*arg == ';') {
		arg++;
		if (!parse_action(&arg, &action))
			break;
		vcpu = ALL_THREADS;
		if (*arg == ':' && (arg++, !parse_thread(s, &arg, s->vcpu, &vcpu)))
			break;
		for (u32 i = 0; i < n; i++)
			if (s->actions[i] == none && (vcpu == ALL_THREADS || vcpu == i))
				s->actions[i] = action;
	}
	for (u32 i = 0; i < n; i++) {
		if (s->actions[i] == none)
			s->actions[i] = GDB_STAY;
		any |= s->actions[i] != GDB_STAY;
	}
	if (*arg || !any)
		send_text(s, E_WRONG);
	else
		resume(s);
}

/* 'c', 's', 'C', 'S' of clients that know no vCont; nobody gives them an address. */
static void run_on(struct gdb_stub *s, char *arg)
{
	u8 action;

	if (!parse_action(&arg, &action) || *arg) {
		send_text(s, E_WRONG);
		return;
	}
	memset(s->actions, GDB_CONTINUE, nr_vcpus(s));
	s->actions[s->step_vcpu] = action;
	resume(s);
}

/* "TYPE,ADDR,KIND" */
static void change_point(struct gdb_stub *s, char *arg, bool put)
{
	const char *why = NULL;
	u64 kind, addr, len;
	int ret;

	if (!gdb_number(&arg, &kind) || *arg++ != ',' || !parse_range(&arg, &addr, &len) ||
	    (*arg && *arg != ';')) {
		send_text(s, E_WRONG);
		return;
	}
	if (kind > DEBUG_ACCESS) {
		send_text(s, "");
		return;
	}
	ret = s->ops->point(s->target, s->vcpu, (u32)kind, addr, len, put, &why);
	/* An empty answer: there is no such thing here, try another. */
	if (ret == -ENOTSUP && !why)
		send_text(s, "");
	else
		send_why(s, ret, why);
}

static void put_point(struct gdb_stub *s, char *arg)
{
	change_point(s, arg, true);
}

static void take_point(struct gdb_stub *s, char *arg)
{
	change_point(s, arg, false);
}

static void detach(struct gdb_stub *s, char *arg)
{
	s->ops->detach(s->target);
	s->detached = true;
	s->running = false;
	send_text(s, "OK");
}

static void kill_target(struct gdb_stub *s, char *arg)
{
	s->over = true;
	s->ops->kill(s->target);
}

static void tell_stop(struct gdb_stub *s, char *arg)
{
	gdb_send_stop(s);
}

/* Queries */

static bool takes(char **text, const char *word)
{
	size_t n = strlen(word);

	if (strncmp(*text, word, n))
		return false;
	*text += n;
	return true;
}

static void supported(struct gdb_stub *s, char *arg)
{
	char text[160];

	s->swbreak = strstr(arg, "swbreak+");
	s->hwbreak = strstr(arg, "hwbreak+");
	snprintf(text, sizeof(text),
		 "PacketSize=%x;QStartNoAckMode+;qXfer:features:read+;vContSupported+;swbreak+;"
		 "hwbreak+",
		 GDB_PACKET);
	send_text(s, text);
}

/* "OFFSET,LENGTH" */
static void describe_target(struct gdb_stub *s, char *arg)
{
	u64 offset, len;

	if (!parse_range(&arg, &offset, &len) || *arg) {
		send_text(s, E_WRONG);
		return;
	}
	if (!s->xml)
		s->xml = gdb_describe(s, &s->xml_len);
	if (!s->xml || offset > s->xml_len) {
		send_text(s, E_WRONG);
		return;
	}
	len = MIN(len, (u64)GDB_PACKET - 8);
	gdb_frame_begin(s);
	gdb_put(s, s->xml_len - offset > len ? "m" : "l");
	gdb_put_bytes(s, s->xml + offset, MIN(len, s->xml_len - offset));
	gdb_frame_end(s);
}

/* What does not fit is cut off. */
static void monitor(struct gdb_stub *s, char *arg)
{
	char command[256], *text;
	size_t n = strlen(arg) / 2;

	if (n >= sizeof(command) || strlen(arg) % 2 || gdb_hex_bytes(arg, (u8 *)command, n)) {
		send_text(s, E_WRONG);
		return;
	}
	command[n] = '\0';
	text = s->ops->monitor(s->target, s->vcpu, command, &s->physical);
	if (!text || !*text) {
		send_text(s, "OK");
	} else {
		gdb_frame_begin(s);
		gdb_put_hex(s, text, MIN(strlen(text), (size_t)GDB_PACKET / 2 - 8));
		gdb_frame_end(s);
	}
	free(text);
}

static void query(struct gdb_stub *s, char *arg)
{
	char text[16];

	if (takes(&arg, "Supported")) {
		supported(s, arg);
	} else if (takes(&arg, "Xfer:features:read:target.xml:")) {
		describe_target(s, arg);
	} else if (takes(&arg, "Xfer:features:read:")) {
		send_text(s, "E00"); /* there is no such annex */
	} else if (takes(&arg, "fThreadInfo")) {
		s->listed = 0;
		list_threads(s);
	} else if (takes(&arg, "sThreadInfo")) {
		list_threads(s);
	} else if (takes(&arg, "ThreadExtraInfo,")) {
		describe_thread(s, arg);
	} else if (takes(&arg, "Rcmd,")) {
		monitor(s, arg);
	} else if (takes(&arg, "Attached")) {
		send_text(s, "1");
	} else if (takes(&arg, "qemu.PhyMemMode")) {
		send_text(s, s->physical ? "1" : "0");
	} else if (!strcmp(arg, "C")) {
		snprintf(text, sizeof(text), "QC%x", s->stop.vcpu + 1);
		send_text(s, text);
	} else {
		send_text(s, "");
	}
}

static void set(struct gdb_stub *s, char *arg)
{
	if (!strcmp(arg, "StartNoAckMode")) {
		send_text(s, "OK");
		s->no_ack = true;
	} else if (takes(&arg, "qemu.PhyMemMode:") && (*arg == '0' || *arg == '1') && !arg[1]) {
		s->physical = *arg == '1';
		send_text(s, "OK");
	} else {
		send_text(s, "");
	}
}

static void verbose(struct gdb_stub *s, char *arg)
{
	if (!strcmp(arg, "Cont?")) {
		send_text(s, "vCont;c;C;s;S;t");
	} else if (takes(&arg, "Cont")) {
		v_cont(s, arg);
	} else if (takes(&arg, "Kill;")) {
		send_text(s, "OK");
		kill_target(s, arg);
	} else {
		send_text(s, "");
	}
}

static const struct command {
	char op;
	bool whole; /* the function gets the packet from its first byte on */
	void (*fn)(struct gdb_stub *s, char *arg);
} commands[] = {
	{ '?', false, tell_stop },  { 'g', false, read_regs },	  { 'G', false, write_regs },
	{ 'p', false, read_reg },   { 'P', false, write_reg },	  { 'm', false, read_memory },
	{ 'M', false, write_hex },  { 'X', false, write_binary }, { 'H', false, set_thread },
	{ 'T', false, is_alive },   { 'c', true, run_on },	  { 'C', true, run_on },
	{ 's', true, run_on },	    { 'S', true, run_on },	  { 'Z', false, put_point },
	{ 'z', false, take_point }, { 'D', false, detach },	  { 'k', false, kill_target },
	{ 'q', false, query },	    { 'Q', false, set },	  { 'v', false, verbose },
};

static const struct command *find_command(char op)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (commands[i].op == op)
			return &commands[i];
	return NULL;
}

/* While the target runs there is nothing to ask, but to leave. */
void gdb_obey(struct gdb_stub *s)
{
	char *packet = (char *)s->in;
	const struct command *c = find_command(*packet);
	bool leaves = c && (c->fn == detach || c->fn == kill_target);

	if (s->detached)
		s->over = true;
	else if (s->too_long || (s->running && !leaves))
		send_text(s, E_WRONG);
	else if (!c)
		send_text(s, "");
	else
		c->fn(s, packet + !c->whole);
}
