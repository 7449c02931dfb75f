/* SPDX-License-Identifier: MIT */
/*
 * What an object (a device, a vcpu, an interrupt controller) has to remember, as a table of its
 * members: saving, loading, comparing and printing walk the table.
 *
 * Saved, an object is a record of little-endian bytes that any host of the same architecture reads:
 * name, version, length, then each field with its name, the size of an element and their number.
 * Loading believes nothing: a record whose fields are not exactly the table's, or whose values the
 * table or the object's check refuses, leaves the object as it was. Only when all is stored does
 * the load hook bring to life what follows from the fields: interrupt lines, mappings, registers in
 * KVM.
 *
 * Objects are saved and loaded while vcpus are parked and devices are quiesced: no locks are taken.
 */
#ifndef LKVM_STATE_H
#define LKVM_STATE_H

#include <stdio.h>

#include "lkvm/types.h"

struct device_state;

/* The member is a pointer to the elements; field.nr or nr_at says how many there are. */
#define STATE_POINTER BIT(0)
/* Goes on by itself (a clock, a counter): two saves differ in it. */
#define STATE_RUNS BIT(1)

struct state_field {
	const char *name;
	u32 offset;
	u32 size;  /* of an element: 1, 2, 4 or 8; with @sub any */
	u32 count; /* elements there is room for; 1: no array */
	u32 flags;
	u64 max; /* the largest valid value; 0: any */
	/* How many elements the object has, which a load must match: what @nr says; NULL: the u32
	 * at offset @nr_at; 0: @count. */
	u32 (*nr)(const void *obj);
	u32 nr_at;
	/* Not 0: offset of a u32 that says how many of @count are used; a load sets it. */
	u32 used_at;
	const struct device_state *sub; /* of each element, which is a structure */
};

struct device_state {
	u32 version; /* counted up when the fields change */
	const struct state_field *fields;
	u32 nr_fields;
	u32 device_at; /* for devices: where in the object its struct device is */
	/* All may be NULL; 0 or -errno (printed). Of a @sub only check is called. */
	int (*save)(void *obj);	       /* fill members that are computed for a save */
	int (*check)(const void *obj); /* do the fields fit together? Looks at nothing else */
	/* A load is about to store: what the object was doing is over. Nothing of a bad record
	 * comes this far. */
	void (*forget)(void *obj);
	int (*load)(void *obj); /* do what follows from them */
};

#define STATE_SIZEOF(type, member)  sizeof(((type *)0)->member)
#define STATE_ELEMENT(type, member) sizeof(((type *)0)->member[0])
/* Where a count is; that of another width than a u32 does not compile. */
#define STATE_U32_AT(type, member) \
	(offsetof(type, member) + 0 * sizeof(char[STATE_SIZEOF(type, member) == 4 ? 1 : -1]))
#define STATE_FIELD(type, member)                                                              \
	.name = #member, .offset = offsetof(type, member), .size = STATE_SIZEOF(type, member), \
	.count = 1
#define STATE_ELEMENTS(type, member)                                                            \
	.name = #member, .offset = offsetof(type, member), .size = STATE_ELEMENT(type, member), \
	.count = STATE_SIZEOF(type, member) / STATE_ELEMENT(type, member)
#define STATE_VALUE(type, member)         \
	{                                 \
		STATE_FIELD(type, member) \
	}
#define STATE_UP_TO(type, member, limit)                  \
	{                                                 \
		STATE_FIELD(type, member), .max = (limit) \
	}
#define STATE_BOOL(type, member)                    \
	{                                           \
		STATE_FIELD(type, member), .max = 1 \
	}
#define STATE_CLOCK(type, member)                              \
	{                                                      \
		STATE_FIELD(type, member), .flags = STATE_RUNS \
	}
#define STATE_ARRAY(type, member)            \
	{                                    \
		STATE_ELEMENTS(type, member) \
	}
#define STATE_USED(type, member, used)                                            \
	{                                                                         \
		STATE_ELEMENTS(type, member), .used_at = STATE_U32_AT(type, used) \
	}
#define STATE_PART(type, member, table)                   \
	{                                                 \
		STATE_FIELD(type, member), .sub = (table) \
	}
#define STATE_PARTS(type, member, table)                     \
	{                                                    \
		STATE_ELEMENTS(type, member), .sub = (table) \
	}
/* What @member points to, @fn elements. */
#define STATE_AT(type, member, fn)                                                      \
	{                                                                               \
		.name = #member, .offset = offsetof(type, member),                      \
		.size = STATE_ELEMENT(type, member), .flags = STATE_POINTER, .nr = (fn) \
	}
/* What @member points to, as many elements as the member @nr says. */
#define STATE_COUNTED(type, member, nr)                                      \
	{                                                                    \
		.name = #member, .offset = offsetof(type, member),           \
		.size = STATE_ELEMENT(type, member), .flags = STATE_POINTER, \
		.nr_at = STATE_U32_AT(type, nr)                              \
	}
#define STATE_PARTS_COUNTED(type, member, nr, table)                         \
	{                                                                    \
		.name = #member, .offset = offsetof(type, member),           \
		.size = STATE_ELEMENT(type, member), .flags = STATE_POINTER, \
		.nr_at = STATE_U32_AT(type, nr), .sub = (table)              \
	}
#define STATE_PARTS_AT(type, member, fn, table)                                          \
	{                                                                                \
		.name = #member, .offset = offsetof(type, member),                       \
		.size = STATE_ELEMENT(type, member), .flags = STATE_POINTER, .nr = (fn), \
		.sub = (table)                                                           \
	}
/* What @member points to, one structure. */
#define STATE_PART_AT(type, member, table) STATE_PARTS_AT(type, member, state_one, table)
#define STATE_TABLE(table)		   .fields = (table), .nr_fields = ARRAY_SIZE(table)

static inline u32 state_one(const void *obj)
{
	return 1;
}

/* For a device that has nothing to remember. */
extern const struct device_state no_state;

/* A growing buffer; zeroed at first, state_buf_free at last. */
struct state_buf {
	u8 *data;
	size_t len, room;
};
void state_buf_free(struct state_buf *buf);

/* What is left to read of a borrowed buffer. */
struct state_reader {
	const u8 *data;
	size_t len;
};

/* Append the record of @obj. 0 or what the save hook says. */
int state_save(const struct device_state *table, const char *name, void *obj,
	       struct state_buf *out) __must_check;
/*
 * Read the next record, which must be that of @name, into @obj. -EINVAL: it is not, and @obj is as
 * it was; or what the load hook says: @obj is of no use then. Prints.
 */
int state_load(const struct device_state *table, const char *name, void *obj,
	       struct state_reader *in) __must_check;
/*
 * Compare a record of @table in each of @a and @b, but for what goes on by itself. Returns the name
 * of the first field that differs ("" when a record cannot be read), NULL: none. Both move on.
 */
const char *state_differs(const struct device_state *table, struct state_reader *a,
			  struct state_reader *b);
/* The fields of @obj, a line each, as they are now (no hook is called). */
void state_print(const struct device_state *table, const void *obj, FILE *out);

#endif
