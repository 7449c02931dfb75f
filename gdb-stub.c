/* SPDX-License-Identifier: MIT */
/*
 * GDB's remote serial protocol: frames and acknowledgments (GDB manual, E.1). See
 * include/lkvm/gdb-stub.h; what packets ask for is gdb-packets.c's.
 */
#include "lkvm/gdb-stub.h"

#include <stdio.h>
#include <stdlib.h>

#include "gdb-text.h"
#include "lkvm/util.h"

static void end_packet(struct gdb_stub *s)
{
	s->state = GDB_IDLE;
	if (!s->no_ack) {
		if (s->got_sum != s->sum) {
			gdb_put(s, "-");
			return;
		}
		gdb_put(s, "+");
	}
	s->in[s->in_len] = '\0';
	gdb_obey(s);
}

static int idle_byte(struct gdb_stub *s, u8 byte)
{
	switch (byte) {
	case '$':
		s->state = GDB_DATA;
		s->in_len = 0;
		s->sum = 0;
		s->too_long = false;
		return 0;
	case '+':
		return 0;
	case '-':
		/* Once more. */
		if (!s->no_ack)
			s->sent = s->last;
		return 0;
	case 3:
		if (s->running)
			s->ops->interrupt(s->target);
		return 0;
	}
	return -EPROTO;
}

static void data_byte(struct gdb_stub *s, u8 byte)
{
	if (byte == '#') {
		s->state = GDB_SUM;
		return;
	}
	s->sum = (u8)(s->sum + byte);
	if (s->in_len < GDB_PACKET)
		s->in[s->in_len++] = byte;
	else
		s->too_long = true;
}

static int take_byte(struct gdb_stub *s, u8 byte)
{
	switch (s->state) {
	case GDB_IDLE:
		return idle_byte(s, byte);
	case GDB_DATA:
		data_byte(s, byte);
		return 0;
	case GDB_SUM:
	case GDB_SUM2:
		if (gdb_digit((char)byte) < 0)
			return -EPROTO;
		s->got_sum = (u8)(s->got_sum << 4 | gdb_digit((char)byte));
		if (s->state == GDB_SUM)
			s->state = GDB_SUM2;
		else
			end_packet(s);
		return 0;
	}
	return -EPROTO;
}

void gdb_stub_init(struct gdb_stub *s, const struct gdb_target_ops *ops, void *target, u32 vcpu)
{
	memset(s, 0, sizeof(*s));
	s->ops = ops;
	s->target = target;
	s->vcpu = s->step_vcpu = vcpu;
	s->stop = (struct gdb_stop){ .vcpu = vcpu, .signal = GDB_SIGTRAP };
	s->actions = xcalloc(ops->nr_vcpus(target) + 1, 1);
}

void gdb_stub_free(struct gdb_stub *s)
{
	free(s->actions);
	free(s->xml);
	s->actions = NULL;
	s->xml = NULL;
}

bool gdb_stub_wants(const struct gdb_stub *s)
{
	return s->sent == s->len && !s->over;
}

ssize_t gdb_stub_input(struct gdb_stub *s, const u8 *data, size_t len)
{
	size_t n = 0;

	while (n < len && gdb_stub_wants(s)) {
		int ret = take_byte(s, data[n++]);

		if (ret)
			return ret;
	}
	return (ssize_t)n;
}

bool gdb_stub_runs(const struct gdb_stub *s)
{
	return s->running;
}

void gdb_stub_stopped(struct gdb_stub *s, const struct gdb_stop *stop)
{
	if (!s->running)
		return;
	s->running = false;
	s->stop = *stop;
	s->vcpu = s->step_vcpu = stop->vcpu;
	gdb_send_stop(s);
}

void gdb_stub_message(struct gdb_stub *s, const char *text)
{
	if (!s->running || !gdb_room(s, 2 * strlen(text)))
		return;
	gdb_frame_begin(s);
	gdb_put(s, "O");
	gdb_put_hex(s, text, strlen(text));
	gdb_frame_end(s);
}

void gdb_stub_ended(struct gdb_stub *s, int status, int signal)
{
	char text[8];

	if (s->detached || s->over)
		return;
	snprintf(text, sizeof(text), signal ? "X%02x" : "W%02x",
		 (unsigned int)(signal ? signal : status) & 0xff);
	s->running = false;
	s->over = true;
	gdb_frame_begin(s);
	gdb_put(s, text);
	gdb_frame_end(s);
}
