/* SPDX-License-Identifier: MIT */
/*
 * ACPI Machine Language, as much as a microVM's DSDT needs (ACPI 6.5, chapter 20). A growing
 * buffer; packages are opened and closed, lengths are fixed up on close. Out of memory ends the
 * program (tables are a few KiB).
 */
#ifndef LKVM_AML_H
#define LKVM_AML_H

#include "lkvm/types.h"

struct aml {
	u8 *data;
	size_t len;
	size_t cap;
};

void aml_init(struct aml *aml);
void aml_free(struct aml *aml);

/* Open a package; the returned mark goes to aml_close, innermost first. @name is a NameString:
 * "\\_SB", "COM1", "_CRS". */
size_t aml_scope(struct aml *aml, const char *name);
size_t aml_device(struct aml *aml, const char *name);
size_t aml_method(struct aml *aml, const char *name, u8 nr_args, bool serialized);
size_t aml_if(struct aml *aml); /* the predicate comes next */
size_t aml_package(struct aml *aml, u8 nr_elements);
/* Name (NAME, ResourceTemplate () {: resources follow; aml_close_resources ends it. */
size_t aml_name_resources(struct aml *aml, const char *name);
void aml_close_resources(struct aml *aml, size_t mark);
void aml_close(struct aml *aml, size_t mark);

void aml_name(struct aml *aml, const char *name); /* NameOp; the object comes next */
void aml_int(struct aml *aml, u64 value);
void aml_string(struct aml *aml, const char *s);
void aml_eisaid(struct aml *aml, const char *id); /* "PNP0501" */
void aml_raw(struct aml *aml, const void *data, size_t len);
void aml_return(struct aml *aml);		      /* the value comes next */
void aml_name_ref(struct aml *aml, const char *name); /* a NameString by itself */
/* Bare opcodes for methods (20.2.5): operands follow, as the grammar of the operator says. */
enum aml_opcode {
	AML_LOCAL0 = 0x60,
	AML_ARG0 = 0x68,
	AML_STORE = 0x70,  /* value, target */
	AML_AND = 0x7b,	   /* value, value, target */
	AML_NOTIFY = 0x86, /* object, value */
	AML_EQUAL = 0x93,  /* value, value */
};
void aml_op(struct aml *aml, enum aml_opcode op);
void aml_null_name(struct aml *aml); /* a target that throws the result away */
/* Shorthands. */
void aml_name_int(struct aml *aml, const char *name, u64 value);
void aml_name_string(struct aml *aml, const char *name, const char *s);
void aml_name_eisaid(struct aml *aml, const char *name, const char *id);

/* Resource descriptors (6.4), between aml_name_resources and aml_close_resources. */
void aml_res_io(struct aml *aml, u16 base, u16 len);
void aml_res_memory32(struct aml *aml, u32 base, u32 len, bool writable);
void aml_res_memory64(struct aml *aml, u64 base, u64 len, bool cacheable, bool writable);
void aml_res_irq(struct aml *aml, u32 gsi, bool edge, bool active_low,
		 bool shared); /* extended interrupt */
void aml_res_bus(struct aml *aml, u16 first, u16 last);
void aml_res_io_window(struct aml *aml, u16 base, u32 len);
void aml_res_memory_window32(struct aml *aml, u32 base, u32 len);
void aml_res_memory_window64(struct aml *aml, u64 base, u64 len, bool prefetchable);
/* An operation region, and one field of @bits (less than 64) at its
 * start, accessed by bytes. */
void aml_op_region(struct aml *aml, const char *name, bool io, u64 base, u64 len);
void aml_field(struct aml *aml, const char *region, const char *name, u8 bits);

#endif
