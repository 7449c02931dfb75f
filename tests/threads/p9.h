/* SPDX-License-Identifier: MIT */
/*
 * A client of a 9P share that keeps all rules: each slot has a fid and a file of its own, or the
 * directory, and takes the one from walking to clunking, a request at a time; all slots do so at
 * once. A stopped queue is the end of the session, but not of what the files hold. And requests for
 * victims, which mean the same few files in any order.
 */
#ifndef TEST_THREADS_P9_H
#define TEST_THREADS_P9_H

#include <unistd.h>

#include "../lib/p9_message.h"
#include "board.h"
#include "ring.h"

#define P9_ROOT	      1u
#define P9_FID(s)     (10 + (s))
#define P9_WRITE_HEAD 23u
#define P9_DATA	      512u /* of each file */
#define P9_READ_LEN   (P9_READ_HEADER + P9_DATA)
/* Flags of open, as the protocol has them. */
#define P9_RDWR_CREATE 0x42
#define P9_DIRECTORY   0x10000

static inline bool p9_of_directory(u32 s)
{
	return s % 4 == 3;
}

/* Before the session there is one request at a time. And of what is being flushed the tag is in use
 * until the flush is answered. */
static inline bool p9_may_offer(const struct driver *d, u32 s)
{
	return d->client.phase == P9_READY ? !d->client.flushes[s] : !s;
}

/* A request that another one may flush; SLOTS: none. */
static inline u32 p9_find_target(struct driver *d, const struct dqueue *q)
{
	u32 t = below(&d->seed, SLOTS);

	for (u32 i = 0; i < SLOTS; i++, t = (t + 1) % SLOTS)
		if (q->slots[t].busy && q->slots[t].op != P9_TFLUSH)
			return t;
	return SLOTS;
}

static inline size_t p9_begin_message(struct driver *d, u32 s, u8 *out)
{
	char name[32];

	if (d->client.phase == P9_BEGIN)
		return p9_message(out, P9_TVERSION, (u16)s, "ds", 8192, "9P2000.L");
	if (d->client.phase == P9_VERSION_KNOWN)
		return p9_message(out, P9_TATTACH, (u16)s, "ddssd", P9_ROOT, P9_NO_FID, "user", "",
				  geteuid());
	if (d->client.stage[s] == P9_NO_FILE)
		return p9_message(out, P9_TWALK, (u16)s, "ddw", P9_ROOT, P9_FID(s), 0);
	if (p9_of_directory(s))
		return p9_message(out, P9_TLOPEN, (u16)s, "dd", P9_FID(s), P9_DIRECTORY);
	snprintf(name, sizeof(name), "file-%u-%u", d->id, s);
	return p9_message(out, P9_TLCREATE, (u16)s, "dsddd", P9_FID(s), name, P9_RDWR_CREATE, 0644,
			  getegid());
}

/* Of an open file. */
static inline size_t p9_use_message(struct driver *d, u32 s, u8 *out)
{
	u32 what = below(&d->seed, 16), fid = P9_FID(s);
	size_t len;

	if (!what)
		return p9_message(out, P9_TCLUNK, (u16)s, "d", fid);
	if (what == 1)
		return p9_message(out, P9_TGETATTR, (u16)s, "dq", fid, 0x7ffULL);
	if (p9_of_directory(s))
		return p9_message(out, P9_TREADDIR, (u16)s, "dqd", fid, 0ULL, P9_DATA);
	if (what == 2)
		return p9_message(out, P9_TREMOVE, (u16)s, "d", fid);
	if (what == 3)
		return p9_message(out, P9_TFSYNC, (u16)s, "dd", fid, 1);
	if (what & 1)
		return p9_message(out, P9_TREAD, (u16)s, "dqd", fid, 0ULL, P9_DATA);
	len = p9_message(out, P9_TWRITE, (u16)s, "dqd", fid, 0ULL, P9_DATA);
	put_le(out, 4, len + P9_DATA);
	return len;
}

static inline void p9_offer(struct driver *d, struct dqueue *q, u32 s)
{
	struct slot *slot = &q->slots[s];
	u8 *out = slot_mem(q, s, 0);
	u32 target = below(&d->seed, 6) ? SLOTS : p9_find_target(d, q);
	size_t len;

	slot->value = (u32)rnd(&d->seed) | 1;
	if (d->client.phase == P9_READY && target < SLOTS) {
		len = p9_message(out, P9_TFLUSH, (u16)s, "w", target);
		slot->value = target;
		d->client.flushes[target]++;
	} else if (d->client.phase == P9_READY && d->client.stage[s] == P9_OPEN) {
		len = p9_use_message(d, s, out);
	} else {
		len = p9_begin_message(d, s, out);
	}
	slot->op = out[4];
	memset(slot_mem(q, s, SLOT_DATA), 0xee, P9_HEADER);
	if (slot->op == P9_TWRITE) {
		fill(slot_mem(q, s, SLOT_WRITE), P9_DATA, slot->value);
		offer(d, q, s,
		      (struct piece[]){ { 0, (u32)len, false },
					{ SLOT_WRITE, P9_DATA, false },
					{ SLOT_DATA, P9_READ_LEN, true } },
		      3);
	} else {
		offer(d, q, s,
		      (struct piece[]){ { 0, (u32)len, false }, { SLOT_DATA, P9_READ_LEN, true } },
		      2);
	}
}

/* Nobody knows what became of it. */
static inline void p9_forget(struct driver *d, const struct dqueue *q, u32 s)
{
	if (q->slots[s].op == P9_TWRITE || q->slots[s].op == P9_TREMOVE)
		d->written[s] = 0;
}

/* What the answer says is so. */
static inline void p9_note(struct driver *d, struct dqueue *q, u32 s, const u8 *answer)
{
	u32 count = (u32)get_le(answer + P9_HEADER, 4), value = q->slots[s].value;
	struct client *c = &d->client;

	switch (q->slots[s].op) {
	case P9_TVERSION:
	case P9_TATTACH:
		c->phase++;
		break;
	case P9_TWALK:
	case P9_TLOPEN:
	case P9_TLCREATE:
		c->stage[s]++;
		break;
	case P9_TREMOVE:
		d->written[s] = 0;
		c->stage[s] = P9_NO_FILE;
		break;
	case P9_TCLUNK:
		c->stage[s] = P9_NO_FILE;
		break;
	case P9_TWRITE:
		must(count == P9_DATA, "device %u: %u bytes are written", d->id, count);
		d->written[s] = value;
		break;
	case P9_TREAD:
		must(!d->written[s] || (count == P9_DATA &&
					filled(answer + P9_READ_HEADER, P9_DATA, d->written[s])),
		     "device %u: file %u reads wrong", d->id, s);
		break;
	case P9_TFLUSH:
		/* What it flushed has come back before it, with an answer or without. */
		must(!q->slots[value].busy, "device %u: %u is flushed, and under way", d->id,
		     value);
		c->flushes[value]--;
		break;
	}
}

static inline void p9_back(struct driver *d, struct dqueue *q, u32 s, u32 used)
{
	const u8 *answer = slot_mem(q, s, SLOT_DATA);

	if (!used) {
		must(d->client.flushes[s], "device %u: request %u has no answer", d->id, s);
		p9_forget(d, q, s);
		d->client.dropped++;
		return;
	}
	must(used <= P9_READ_LEN && get_le(answer, 4) == used && get_le(answer + 5, 2) == s,
	     "device %u: the answer to %u is damaged", d->id, s);
	must(answer[4] == q->slots[s].op + 1, "device %u: request %u fails: %llu", d->id,
	     q->slots[s].op, get_le(answer + P9_HEADER, 4));
	p9_note(d, q, s, answer);
}

/* A victim's message in slot @s; its length. */
static inline u32 p9_lay_out(u8 *out, u32 s)
{
	u16 tag = (u16)s;

	switch (s) {
	case 0:
		return (u32)p9_message(out, P9_TVERSION, tag, "ds", 8192, "9P2000.L");
	case 1:
		return (u32)p9_message(out, P9_TATTACH, tag, "ddssd", P9_ROOT, P9_NO_FID, "user",
				       "", geteuid());
	case 2:
	case 6:
		return (u32)p9_message(out, P9_TWALK, tag, "ddw", P9_ROOT, s, 0);
	case 3:
		return (u32)p9_message(out, P9_TLCREATE, tag, "dsddd", 2, "here", P9_RDWR_CREATE,
				       0644, getegid());
	case 4:
		return (u32)p9_message(out, P9_TWRITE, tag, "dqz", 2, 0ULL, "0123456789",
				       (size_t)10);
	case 8:
		return (u32)p9_message(out, P9_TLOPEN, tag, "dd", 6, P9_DIRECTORY);
	case 9:
		return (u32)p9_message(out, P9_TREADDIR, tag, "dqd", 6, 0ULL, P9_DATA);
	case 10:
		return (u32)p9_message(out, P9_TWALK, tag, "ddws", P9_ROOT, 10, 1, "here");
	case 11:
		return (u32)p9_message(out, P9_TRENAMEAT, tag, "dsds", P9_ROOT, "here", P9_ROOT,
				       "there");
	case 12:
		return (u32)p9_message(out, P9_TREMOVE, tag, "d", 10);
	case 13:
		return (u32)p9_message(out, P9_TFLUSH, tag, "w", 7);
	case 14:
		return (u32)p9_message(out, P9_TCLUNK, tag, "d", 6);
	default:
		return (u32)p9_message(out, P9_TREAD, tag, "dqd", 2, 0ULL, P9_DATA);
	}
}

#endif
