/* SPDX-License-Identifier: MIT */
/* Marks of a boot: a list of bounded length, since the guest adds to it. */
#include "lkvm/marks.h"

#include "lkvm/util.h"

static const char *const names[] = {
	[MARK_EXEC] = "exec", [MARK_GUEST] = "guest",	 [MARK_CONSOLE] = "console",
	[MARK_INIT] = "init", [MARK_GUEST_SET] = "mark", [MARK_TIMER] = "boot-timer",
	[MARK_POST] = "post", [MARK_END] = "end",
};

static void put(struct marks *m, enum mark_kind kind, u8 value, u64 ns)
{
	/* The last place is the end's. */
	if (m->nr >= MARKS_MAX - (kind != MARK_END)) {
		m->lost++;
		return;
	}
	m->list[m->nr++] = (struct mark){ .kind = kind, .value = value, .ns = ns };
}

void marks_init(struct marks *m, u64 start_ns)
{
	*m = (struct marks){ .start_ns = start_ns };
	pthread_mutex_init(&m->lock, NULL);
	put(m, MARK_EXEC, 0, 0);
}

void marks_add(struct marks *m, enum mark_kind kind, u8 value)
{
	u64 ns;

	if (!m)
		return;
	pthread_mutex_lock(&m->lock);
	ns = now_ns() - m->start_ns;
	if (kind == MARK_GUEST)
		m->had = 0;
	if (kind == MARK_GUEST_SET || kind == MARK_POST || !(m->had & BIT(kind)))
		put(m, kind, value, ns);
	m->had |= (u32)BIT(kind);
	pthread_mutex_unlock(&m->lock);
}

const char *mark_name(const struct mark *mark, char *buf, size_t len)
{
	if (mark->kind == MARK_GUEST_SET)
		snprintf(buf, len, "%s.%u", names[mark->kind], mark->value);
	else if (mark->kind == MARK_POST)
		snprintf(buf, len, "%s.0x%02x", names[mark->kind], mark->value);
	else
		snprintf(buf, len, "%s", names[mark->kind]);
	return buf;
}

void marks_print(const struct marks *m, FILE *out)
{
	char name[16];

	for (u32 i = 0; i < m->nr; i++)
		fprintf(out, "%s%s=%llu", i ? " " : "", mark_name(&m->list[i], name, sizeof(name)),
			m->list[i].ns);
	if (m->lost)
		fprintf(out, " lost=%u", m->lost);
}
