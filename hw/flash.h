/* SPDX-License-Identifier: MIT */
/* Between the files of the NOR flash: what its chips are like (flash.c), and say of it
 * (flash-query.c). */
#ifndef LKVM_HW_FLASH_H
#define LKVM_HW_FLASH_H

#include "lkvm/hw.h"

#define BANK_WIDTH  4 /* bytes of both chips together */
#define BLOCK_SIZE  FLASH_BLOCK_SIZE
#define BUFFER_LOG2 6 /* bytes that one chip programs at once */
#define BUFFER_SIZE (2U << BUFFER_LOG2)

/* As the identification shows it for each block. */
enum { BLOCK_LOCKED = BIT(0), BLOCK_LOCKED_DOWN = BIT(1) };

/* Byte @index of what each chip answers to a query, in a flash of @size bytes. */
u8 flash_query_byte(u64 size, u64 index);

#endif
