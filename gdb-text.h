/* SPDX-License-Identifier: MIT */
/* Between gdb-stub.c, gdb-packets.c and gdb-text.c. */
#ifndef LKVM_GDB_TEXT_H
#define LKVM_GDB_TEXT_H

#include "lkvm/gdb-stub.h"

/* One packet is appended to what waits to be sent: begin, put, end. What has no room is cut off,
 * and so is what would make the packet longer than GDB_PACKET. */
void gdb_frame_begin(struct gdb_stub *s);
void gdb_put(struct gdb_stub *s, const char *text);
void gdb_put_bytes(struct gdb_stub *s, const void *data, size_t len);
void gdb_put_hex(struct gdb_stub *s, const void *data, size_t len);
void gdb_frame_end(struct gdb_stub *s);
/* Is there room for a packet of @len characters beside an answer to come? */
bool gdb_room(const struct gdb_stub *s, size_t len);

/* The value of a hexadecimal digit, or -1. */
int gdb_digit(char c);
/* A hexadecimal number at *@text, which moves behind it. False: there is none, or it is too large.
 */
bool gdb_number(char **text, u64 *value);
/* @len bytes out of twice as many digits; 0 or -EINVAL. */
int gdb_hex_bytes(const char *text, u8 *out, size_t len);
/* In place; the length of what is left. */
size_t gdb_unescape(u8 *data, size_t len);

/* gdb-packets.c: do what the packet in @in asks for, and answer; tell where the target stands. */
void gdb_obey(struct gdb_stub *s);
void gdb_send_stop(struct gdb_stub *s);

/* The target's description in XML (GDB manual, appendix G); NULL: no memory. */
char *gdb_describe(struct gdb_stub *s, size_t *len);

#endif
