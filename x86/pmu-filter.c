/* SPDX-License-Identifier: MIT */
/*
 * --pmu-filter: which events a guest may count (Linux Documentation/virt/kvm/api.rst, 4.120
 * KVM_SET_PMU_EVENT_FILTER). Pure: text into what KVM takes.
 */
#include <stdlib.h>

#include <kvm-compat.h>

#include "lkvm/log.h"
#include "lkvm/util.h"
#include "tuning.h"

#define SELECT_MAX     0xfffU /* AMD APM volume 2, 13.2.1 */
#define SELECT_INTEL   0xffU  /* Intel SDM volume 3, 21.2.1.1 */
#define UMASK_MAX      0xffU
#define FIXED_COUNTERS 32U

#define NONE		     0xffffffffU
#define EVENT(select, umask) ((umask) << 16 | (select))

/*
 * What both count under one name: Intel's architectural events (SDM volume 3, table 21-1), and
 * AMD's (PPR of family 17h and later, 2.1.15: PMCx076, x0C0, x0C2, x0C3).
 */
static const struct {
	const char *name;
	u32 intel, amd;
} names[] = {
	{ "cycles", EVENT(0x3c, 0x00), EVENT(0x76, 0x00) },
	{ "instructions", EVENT(0xc0, 0x00), EVENT(0xc0, 0x00) },
	{ "ref-cycles", EVENT(0x3c, 0x01), NONE },
	{ "llc-references", EVENT(0x2e, 0x4f), NONE },
	{ "llc-misses", EVENT(0x2e, 0x41), NONE },
	{ "branches", EVENT(0xc4, 0x00), EVENT(0xc2, 0x00) },
	{ "branch-misses", EVENT(0xc5, 0x00), EVENT(0xc3, 0x00) },
	{ "slots", EVENT(0xa4, 0x01), NONE },
};

struct item {
	bool fixed; /* then @select is its number */
	bool exclude, masked;
	u32 select, umask, mask;
};

/* One or more hexadecimal digits, at most @max, with 0x in front or not; *s is behind them. */
static bool hex(const char **s, u32 max, u32 *out)
{
	static const char digits[] = "0123456789abcdef";
	const char *p = *s;
	u32 value = 0;

	if (p[0] == '0' && (p[1] == 'x' || p[1] == 'X'))
		p += 2;
	*s = p;
	for (; *p; p++) {
		const char *digit = strchr(digits, *p | 0x20);

		if (!digit || !*digit)
			break;
		value = value << 4 | (u32)(digit - digits);
		if (value > max)
			return false;
	}
	*out = value;
	if (p == *s)
		return false;
	*s = p;
	return true;
}

/* 1: it is a name, or a fixed counter; 0: neither; -EINVAL, printed. */
static int named(const char *text, enum x86_pmu_vendor vendor, struct item *item)
{
	u64 n;

	if (!strncmp(text, "fixed", 5) && !parse_u64(text + 5, &n)) {
		item->fixed = true;
		item->select = (u32)n;
		if (n < FIXED_COUNTERS && !item->exclude)
			return 1;
		err("--pmu-filter: %s: %s", text,
		    item->exclude ? "a fixed counter has no exceptions"
				  : "there are no more fixed counters than fixed0 to fixed31");
		return -EINVAL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		u32 event = vendor == X86_PMU_AMD ? names[i].amd : names[i].intel;

		if (strcmp(text, names[i].name) != 0)
			continue;
		if (event == NONE) {
			err("--pmu-filter: %s: is an event of Intel's CPUs, and the guest's is "
			    "AMD's; write SELECT:UMASK",
			    text);
			return -EINVAL;
		}
		item->select = event & 0xffff;
		item->umask = event >> 16;
		return 1;
	}
	return 0;
}

static bool raw(const char *s, struct item *item)
{
	if (!hex(&s, SELECT_MAX, &item->select) || *s++ != ':' || !hex(&s, UMASK_MAX, &item->umask))
		return false;
	item->masked = *s == '/';
	if (item->masked && (s++, !hex(&s, UMASK_MAX, &item->mask)))
		return false;
	return !*s;
}

static int say_unknown(const char *text)
{
	const char *words[ARRAY_SIZE(names) + 1] = { NULL }, *near;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		words[i] = names[i].name;
	near = nearest_word(text, words);
	if (near)
		err("--pmu-filter: unknown '%s'; did you mean '%s'?", text, near);
	else
		err("--pmu-filter: '%s': is no event: a name (cycles, instructions, branches...), "
		    "SELECT:UMASK or SELECT:UMASK/MASK in hexadecimal (at most fff:ff/ff), or "
		    "fixedN",
		    text);
	return -EINVAL;
}

static int parse_item(const char *text, enum x86_pmu_vendor vendor, struct item *item)
{
	const char *event = text + (*text == '-');
	int ret;

	*item = (struct item){ .exclude = *text == '-', .mask = UMASK_MAX };
	ret = named(event, vendor, item);
	if (ret < 0)
		return ret;
	if (!ret && !raw(event, item))
		return say_unknown(event);
	if (vendor == X86_PMU_INTEL && !item->fixed && item->select > SELECT_INTEL) {
		err("--pmu-filter: %s: an event select has 8 bits on this CPU", text);
		return -EINVAL;
	}
	if (!item->fixed && item->umask & ~item->mask) {
		err("--pmu-filter: %s: matches nothing: 0x%02x has bits outside of the mask 0x%02x",
		    text, item->umask, item->mask);
		return -EINVAL;
	}
	return 0;
}

/* KVM_PMU_ENCODE_MASKED_ENTRY of Linux 6.3; without a mask: the event select MSR's layout. */
static u64 encode(const struct item *item, bool masked)
{
	u64 event = (item->select & 0xff) | (u64)(item->select >> 8) << 32 | item->umask << 8;

	return masked ? event | (u64)item->mask << 56 | (u64)item->exclude << 55 : event;
}

/* The action, and where the list of events begins; NULL: printed. */
static const char *begin(const char *text, u32 *action)
{
	static const char *const actions[] = { "allow:", "deny:" };

	for (u32 i = 0; i < ARRAY_SIZE(actions); i++) {
		size_t len = strlen(actions[i]);

		if (strncmp(text, actions[i], len) != 0 || !text[len])
			continue;
		*action = i ? KVM_PMU_EVENT_DENY : KVM_PMU_EVENT_ALLOW;
		return text + len;
	}
	err("--pmu-filter %s: must be allow:EVENT[,EVENT...] or deny:EVENT[,EVENT...]", text);
	return NULL;
}

/* Items one after the other; their number, or -EINVAL, printed. */
static int parse_items(char *list, enum x86_pmu_vendor vendor, struct item *items)
{
	u32 n = 0, events = 0;
	char *text;

	while ((text = strsep(&list, ","))) {
		if (parse_item(text, vendor, &items[n]))
			return -EINVAL;
		events += !items[n++].fixed;
	}
	if (events <= X86_PMU_MAX_EVENTS)
		return (int)n;
	err("--pmu-filter: has %u events; KVM takes at most %u", events, X86_PMU_MAX_EVENTS);
	return -EINVAL;
}

static struct kvm_pmu_event_filter *fill(u32 action, const struct item *items, u32 n)
{
	struct kvm_pmu_event_filter *f = xcalloc(1, sizeof(*f) + n * sizeof(u64));
	u64 *events = (u64 *)(f + 1);
	bool masked = false;

	/* One with a mask makes all entries of that kind. */
	for (u32 i = 0; i < n; i++)
		masked = masked || items[i].masked || items[i].exclude;
	f->action = action;
	f->flags = masked ? KVM_PMU_EVENT_FLAG_MASKED_EVENTS : 0;
	for (u32 i = 0; i < n; i++) {
		if (items[i].fixed)
			f->fixed_counter_bitmap |= BIT(items[i].select);
		else
			events[f->nevents++] = encode(&items[i], masked);
	}
	return f;
}

struct kvm_pmu_event_filter *x86_pmu_filter(const char *text, enum x86_pmu_vendor vendor)
{
	u32 action, most = 1;
	const char *from = begin(text, &action);
	struct kvm_pmu_event_filter *f = NULL;
	struct item *items;
	char *list;
	int n;

	if (!from)
		return NULL;
	for (const char *p = from; *p; p++)
		most += *p == ',';
	items = xcalloc(most, sizeof(*items));
	list = xstrdup(from);
	n = parse_items(list, vendor, items);
	if (n > 0)
		f = fill(action, items, (u32)n);
	free(items);
	free(list);
	return f;
}
