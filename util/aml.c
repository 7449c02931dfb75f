/* SPDX-License-Identifier: MIT */
/*
 * ACPI Machine Language (ACPI 6.5, 20.2 "AML Grammar Definition") and resource descriptors (6.4
 * "Resource Data Types for ACPI"), as little of both as a microVM's DSDT needs.
 */
#include "lkvm/aml.h"

#include <stdlib.h>

#include "lkvm/util.h"

/* 20.3, table 20.3 "AML byte stream byte values" */
enum {
	OP_ZERO = 0x00,
	OP_ONE = 0x01,
	OP_NAME = 0x08,
	OP_BYTE = 0x0a,
	OP_WORD = 0x0b,
	OP_DWORD = 0x0c,
	OP_STRING = 0x0d,
	OP_QWORD = 0x0e,
	OP_SCOPE = 0x10,
	OP_BUFFER = 0x11,
	OP_PACKAGE = 0x12,
	OP_METHOD = 0x14,
	OP_DUAL_NAME = 0x2e,
	OP_MULTI_NAME = 0x2f,
	OP_EXT = 0x5b,
	OP_IF = 0xa0,
	OP_RETURN = 0xa4,
	/* after OP_EXT */
	EXT_OP_REGION = 0x80,
	EXT_FIELD = 0x81,
	EXT_DEVICE = 0x82,
};

/* 6.4.2 and 6.4.3: the first byte of a descriptor, small ones with their length */
enum {
	RES_IO = 0x47,
	RES_END_TAG = 0x79,
	RES_MEMORY32_FIXED = 0x86,
	RES_DWORD_SPACE = 0x87,
	RES_WORD_SPACE = 0x88,
	RES_IRQ = 0x89,
	RES_QWORD_SPACE = 0x8a,
};

/* 6.4.3.5: address space descriptors */
enum {
	SPACE_MEMORY = 0,
	SPACE_IO = 1,
	SPACE_BUS = 2,
	/* general flags */
	SPACE_CONSUMER = 1 << 0,
	SPACE_MIN_FIXED = 1 << 2,
	SPACE_MAX_FIXED = 1 << 3,
	/* type-specific flags of memory */
	SPACE_WRITABLE = 1 << 0,
	SPACE_CACHEABLE = 1 << 1,
	SPACE_PREFETCHABLE = 3 << 1,
	/* of I/O: ISA and other ports alike */
	SPACE_ENTIRE_RANGE = 3,
};

/* Make room for @n bytes at @at and return it. */
static u8 *make_room(struct aml *aml, size_t at, size_t n)
{
	if (aml->cap - aml->len < n) {
		aml->cap = MAX(aml->cap * 2, aml->len + n + 1024);
		aml->data = xrealloc(aml->data, aml->cap);
	}
	if (at < aml->len)
		memmove(aml->data + at + n, aml->data + at, aml->len - at);
	aml->len += n;
	return aml->data + at;
}

static void put(struct aml *aml, u64 value, unsigned int size)
{
	put_le(make_room(aml, aml->len, size), size, value);
}

static void put8(struct aml *aml, u8 value)
{
	put(aml, value, 1);
}

void aml_init(struct aml *aml)
{
	memset(aml, 0, sizeof(*aml));
}

void aml_free(struct aml *aml)
{
	free(aml->data);
	aml_init(aml);
}

void aml_raw(struct aml *aml, const void *data, size_t len)
{
	if (len)
		memcpy(make_room(aml, aml->len, len), data, len);
}

/* 20.2.2 NameString: segments have four characters, filled up with '_'. */
void aml_name_ref(struct aml *aml, const char *name)
{
	unsigned int segs = 0;

	while (*name == '\\' || *name == '^')
		put8(aml, (u8)*name++);
	for (const char *p = name; *p; p++)
		segs += p == name || *p == '.';
	if (segs == 0) {
		put8(aml, 0); /* NullName */
	} else if (segs == 2) {
		put8(aml, OP_DUAL_NAME);
	} else if (segs > 2) {
		put8(aml, OP_MULTI_NAME);
		put8(aml, (u8)segs);
	}
	for (; segs; segs--) {
		for (int i = 0; i < 4; i++)
			put8(aml, *name && *name != '.' ? (u8)*name++ : '_');
		name += *name == '.';
	}
}

void aml_null_name(struct aml *aml)
{
	put8(aml, 0);
}

void aml_int(struct aml *aml, u64 value)
{
	if (value <= 1) {
		put8(aml, value ? OP_ONE : OP_ZERO);
	} else if (value <= 0xff) {
		put8(aml, OP_BYTE);
		put(aml, value, 1);
	} else if (value <= 0xffff) {
		put8(aml, OP_WORD);
		put(aml, value, 2);
	} else if (value <= 0xffffffff) {
		put8(aml, OP_DWORD);
		put(aml, value, 4);
	} else {
		put8(aml, OP_QWORD);
		put(aml, value, 8);
	}
}

void aml_string(struct aml *aml, const char *s)
{
	put8(aml, OP_STRING);
	aml_raw(aml, s, strlen(s) + 1);
}

/* 6.1.5 _HID: three letters of five bits, four hexadecimal digits, the most significant byte first.
 */
void aml_eisaid(struct aml *aml, const char *id)
{
	u32 v = 0;

	for (int i = 0; i < 3; i++)
		v = v << 5 | ((u32)(id[i] - '@') & 0x1f);
	v = v << 16 | (u32)strtoul(id + 3, NULL, 16);
	put8(aml, OP_DWORD);
	put(aml, __builtin_bswap32(v), 4);
}

/* 20.2.4 PkgLength counts itself; the top two bits of its first byte say how many bytes follow. */
static void insert_pkg_length(struct aml *aml, size_t at)
{
	size_t body = aml->len - at;
	unsigned int extra = body + 1 < 0x40	   ? 0
			     : body + 2 < 0x1000   ? 1
			     : body + 3 < 0x100000 ? 2
						   : 3;
	size_t total = body + 1 + extra;
	u8 *p = make_room(aml, at, 1 + extra);

	if (!extra) {
		p[0] = (u8)total;
		return;
	}
	p[0] = (u8)(extra << 6 | (total & 0xf));
	put_le(p + 1, extra, total >> 4);
}

void aml_close(struct aml *aml, size_t mark)
{
	insert_pkg_length(aml, mark);
}

size_t aml_scope(struct aml *aml, const char *name)
{
	size_t mark;

	put8(aml, OP_SCOPE);
	mark = aml->len;
	aml_name_ref(aml, name);
	return mark;
}

size_t aml_device(struct aml *aml, const char *name)
{
	size_t mark;

	put8(aml, OP_EXT);
	put8(aml, EXT_DEVICE);
	mark = aml->len;
	aml_name_ref(aml, name);
	return mark;
}

size_t aml_method(struct aml *aml, const char *name, u8 nr_args, bool serialized)
{
	size_t mark;

	put8(aml, OP_METHOD);
	mark = aml->len;
	aml_name_ref(aml, name);
	put8(aml, (u8)(nr_args | serialized << 3));
	return mark;
}

size_t aml_if(struct aml *aml)
{
	put8(aml, OP_IF);
	return aml->len;
}

size_t aml_package(struct aml *aml, u8 nr_elements)
{
	size_t mark;

	put8(aml, OP_PACKAGE);
	mark = aml->len;
	put8(aml, nr_elements);
	return mark;
}

void aml_name(struct aml *aml, const char *name)
{
	put8(aml, OP_NAME);
	aml_name_ref(aml, name);
}

void aml_return(struct aml *aml)
{
	put8(aml, OP_RETURN);
}

void aml_op(struct aml *aml, enum aml_opcode op)
{
	put8(aml, (u8)op);
}

void aml_name_int(struct aml *aml, const char *name, u64 value)
{
	aml_name(aml, name);
	aml_int(aml, value);
}

void aml_name_string(struct aml *aml, const char *name, const char *s)
{
	aml_name(aml, name);
	aml_string(aml, s);
}

void aml_name_eisaid(struct aml *aml, const char *name, const char *id)
{
	aml_name(aml, name);
	aml_eisaid(aml, id);
}

void aml_op_region(struct aml *aml, const char *name, bool io, u64 base, u64 len)
{
	put8(aml, OP_EXT);
	put8(aml, EXT_OP_REGION);
	aml_name_ref(aml, name);
	put8(aml, io ? 1 : 0); /* SystemIO, SystemMemory */
	aml_int(aml, base);
	aml_int(aml, len);
}

void aml_field(struct aml *aml, const char *region, const char *name, u8 bits)
{
	size_t mark;

	put8(aml, OP_EXT);
	put8(aml, EXT_FIELD);
	mark = aml->len;
	aml_name_ref(aml, region);
	put8(aml, 1); /* ByteAcc, NoLock, Preserve */
	aml_name_ref(aml, name);
	put8(aml, bits & 0x3f); /* coded like the short form of PkgLength */
	aml_close(aml, mark);
}

size_t aml_name_resources(struct aml *aml, const char *name)
{
	aml_name(aml, name);
	put8(aml, OP_BUFFER);
	return aml->len;
}

void aml_close_resources(struct aml *aml, size_t mark)
{
	size_t size, at;
	u8 head[9];

	put8(aml, RES_END_TAG);
	put8(aml, 0); /* no checksum (6.4.2.9) */
	/* The buffer's size stands before its bytes: write it at the end, then move it there. */
	size = aml->len - mark;
	at = aml->len;
	aml_int(aml, size);
	size = aml->len - at;
	memcpy(head, aml->data + at, size);
	aml->len = at;
	memcpy(make_room(aml, mark, size), head, size);
	aml_close(aml, mark);
}

/* 6.4.3.5.1 to 6.4.3.5.3: the same fields, 2, 4 or 8 bytes wide. */
static void address_space(struct aml *aml, unsigned int width, u8 type, u8 flags, u8 specific,
			  u64 base, u64 len)
{
	u8 tag = width == 2 ? RES_WORD_SPACE : width == 4 ? RES_DWORD_SPACE : RES_QWORD_SPACE;

	put8(aml, tag);
	put(aml, 3 + 5 * width, 2);
	put8(aml, type);
	put8(aml, flags | SPACE_MIN_FIXED | SPACE_MAX_FIXED);
	put8(aml, specific);
	put(aml, 0, width); /* granularity */
	put(aml, base, width);
	put(aml, base + len - 1, width);
	put(aml, 0, width); /* translation */
	put(aml, len, width);
}

void aml_res_io(struct aml *aml, u16 base, u16 len)
{
	/* The small descriptor has one byte for the length. */
	if (len > 0xff) {
		address_space(aml, 2, SPACE_IO, SPACE_CONSUMER, SPACE_ENTIRE_RANGE, base, len);
		return;
	}
	put8(aml, RES_IO);
	put8(aml, 1); /* decodes 16 bits */
	put(aml, base, 2);
	put(aml, base, 2);
	put8(aml, 1); /* alignment */
	put(aml, len, 1);
}

void aml_res_memory32(struct aml *aml, u32 base, u32 len, bool writable)
{
	put8(aml, RES_MEMORY32_FIXED);
	put(aml, 9, 2);
	put8(aml, writable);
	put(aml, base, 4);
	put(aml, len, 4);
}

void aml_res_memory64(struct aml *aml, u64 base, u64 len, bool cacheable, bool writable)
{
	address_space(aml, 8, SPACE_MEMORY, SPACE_CONSUMER,
		      (u8)((cacheable ? SPACE_CACHEABLE : 0) | (writable ? SPACE_WRITABLE : 0)),
		      base, len);
}

void aml_res_irq(struct aml *aml, u32 gsi, bool edge, bool active_low, bool shared)
{
	put8(aml, RES_IRQ);
	put(aml, 6, 2);
	put8(aml, (u8)(1 | edge << 1 | active_low << 2 | shared << 3)); /* bit 0: consumer */
	put8(aml, 1);							/* one interrupt */
	put(aml, gsi, 4);
}

void aml_res_bus(struct aml *aml, u16 first, u16 last)
{
	address_space(aml, 2, SPACE_BUS, 0, 0, first, (u64)last - first + 1);
}

void aml_res_io_window(struct aml *aml, u16 base, u32 len)
{
	/* All 64 Ki ports are one more than a word can count. */
	address_space(aml, len > 0xffff ? 4 : 2, SPACE_IO, 0, SPACE_ENTIRE_RANGE, base, len);
}

void aml_res_memory_window32(struct aml *aml, u32 base, u32 len)
{
	address_space(aml, 4, SPACE_MEMORY, 0, SPACE_WRITABLE, base, len);
}

void aml_res_memory_window64(struct aml *aml, u64 base, u64 len, bool prefetchable)
{
	address_space(aml, 8, SPACE_MEMORY, 0,
		      (u8)(SPACE_WRITABLE | (prefetchable ? SPACE_PREFETCHABLE : 0)), base, len);
}
