/* SPDX-License-Identifier: MIT */
/*
 * Flattened device trees (Devicetree Specification 0.4, chapter 5), read where they are. A node is
 * named by the offset of its token. fdt_open looks at the whole tree once: nothing that is read
 * afterwards can be outside of it.
 */
#include "guest.h"

#define MAGIC	   0xd00dfeed
#define BEGIN_NODE 1
#define END_NODE   2
#define PROP	   3
#define NOP	   4
#define END	   9
#define MAX_DEPTH  32

struct item {
	u32 token, next; /* the offset after it */
	const char *name;
	const void *data;
	u32 len;
};

static const u8 *tree, *strings;
static u32 tree_size, strings_size;

u32 fdt_cell(const void *cells, u32 n)
{
	const u8 *p = (const u8 *)cells + 4 * n;

	return (u32)p[0] << 24 | (u32)p[1] << 16 | (u32)p[2] << 8 | p[3];
}

u64 fdt_cells(const void *cells, u32 n)
{
	return (u64)fdt_cell(cells, n) << 32 | fdt_cell(cells, n + 1);
}

/* Does a string begin there, and end before @size? */
static bool is_string(const u8 *p, u32 at, u32 size)
{
	while (at < size)
		if (!p[at++])
			return true;
	return false;
}

static bool read_prop(u32 at, struct item *it)
{
	u32 name;

	if (tree_size - at < 12)
		return false;
	it->len = fdt_cell(tree + at, 1);
	name = fdt_cell(tree + at, 2);
	if (it->len > tree_size - at - 12 || !is_string(strings, name, strings_size))
		return false;
	it->name = (const char *)strings + name;
	it->data = tree + at + 12;
	it->next = at + 12 + ((it->len + 3) & ~3u);
	return true;
}

static bool read_item(u32 at, struct item *it)
{
	if (at >= tree_size || tree_size - at < 4)
		return false;
	it->token = fdt_cell(tree + at, 0);
	it->next = at + 4;
	switch (it->token) {
	case BEGIN_NODE:
		if (!is_string(tree, at + 4, tree_size))
			return false;
		it->name = (const char *)tree + at + 4;
		it->next = at + 4 + (((u32)strlen(it->name) + 4) & ~3u);
		return true;
	case PROP:
		return read_prop(at, it);
	case END_NODE:
	case NOP:
	case END:
		return true;
	}
	return false;
}

static bool tree_is_whole(void)
{
	struct item it;
	u32 depth = 0;

	for (u32 at = 0; read_item(at, &it); at = it.next) {
		if (it.token == END)
			return !depth;
		if (it.token == BEGIN_NODE && ++depth > MAX_DEPTH)
			return false;
		if (it.token == END_NODE && !depth--)
			return false;
		if (it.token == PROP && !depth)
			return false;
	}
	return false;
}

u32 fdt_size(const void *blob)
{
	return fdt_cell(blob, 0) == MAGIC ? fdt_cell(blob, 1) : 0;
}

bool fdt_open(const void *blob)
{
	u32 size = fdt_size(blob), at = fdt_cell(blob, 2), names = fdt_cell(blob, 3);

	tree_size = fdt_cell(blob, 9);
	strings_size = fdt_cell(blob, 8);
	tree = (const u8 *)blob + at;
	strings = (const u8 *)blob + names;
	if (size >= 40 && at < size && names < size && tree_size <= size - at &&
	    strings_size <= size - names && tree_is_whole())
		return true;
	tree_size = 0;
	return false;
}

const void *fdt_prop(u32 node, const char *name, u32 *len)
{
	u32 n = (u32)strlen(name) + 1;
	struct item it;

	if (!read_item(node, &it) || it.token != BEGIN_NODE)
		return NULL;
	while (read_item(it.next, &it) && (it.token == PROP || it.token == NOP)) {
		if (it.token == NOP || strlen(it.name) + 1 != n || memcmp(it.name, name, n))
			continue;
		if (len)
			*len = it.len;
		return it.data;
	}
	return NULL;
}

u32 fdt_u32(u32 node, const char *name, u32 def)
{
	u32 len;
	const void *p = fdt_prop(node, name, &len);

	return p && len == 4 ? fdt_cell(p, 0) : def;
}

bool fdt_number(u32 node, const char *name, u64 *value)
{
	u32 len;
	const void *p = fdt_prop(node, name, &len);

	if (!p || len < 4)
		return false;
	*value = len < 8 ? fdt_cell(p, 0) : fdt_cells(p, 0);
	return true;
}

bool fdt_has_string(u32 node, const char *name, const char *value)
{
	u32 len, n = (u32)strlen(value) + 1;
	const char *p = fdt_prop(node, name, &len);

	for (u32 at = 0; p && at + n <= len; at++)
		if ((!at || !p[at - 1]) && !memcmp(p + at, value, n))
			return true;
	return false;
}

u32 fdt_find(const char *name, const char *value, u32 nth)
{
	struct item it;

	for (u32 at = 0; read_item(at, &it) && it.token != END; at = it.next)
		if (it.token == BEGIN_NODE && fdt_has_string(at, name, value) && !nth--)
			return at;
	return FDT_NONE;
}

u32 fdt_compatible(const char *compatible, u32 nth)
{
	return fdt_find("compatible", compatible, nth);
}

u32 fdt_child_of_root(const char *name)
{
	u32 depth = 0, n = (u32)strlen(name) + 1;
	struct item it;

	for (u32 at = 0; read_item(at, &it) && it.token != END; at = it.next) {
		if (it.token == BEGIN_NODE && ++depth == 2 && strlen(it.name) + 1 == n &&
		    !memcmp(it.name, name, n))
			return at;
		depth -= it.token == END_NODE;
	}
	return FDT_NONE;
}

u32 fdt_phandle(u32 phandle)
{
	struct item it;

	for (u32 at = 0; read_item(at, &it) && it.token != END; at = it.next)
		if (it.token == BEGIN_NODE && phandle && fdt_u32(at, "phandle", 0) == phandle)
			return at;
	return FDT_NONE;
}

u32 fdt_next(u32 node)
{
	struct item it;

	while (read_item(node, &it) && it.token != END) {
		node = it.next;
		if (read_item(node, &it) && it.token == BEGIN_NODE)
			return node;
	}
	return FDT_NONE;
}

bool fdt_reg(u32 node, u32 nth, u64 *base, u64 *size)
{
	u32 len;
	const void *p = fdt_prop(node, "reg", &len);

	if (!p || len / 16 <= nth)
		return false;
	*base = fdt_cells(p, nth * 4);
	*size = fdt_cells(p, nth * 4 + 2);
	return true;
}
