/* SPDX-License-Identifier: MIT */
/* Hand-off blocks; see tdx-hob.h. */
#include "tdx-hob.h"

#include <errno.h>
#include <string.h>

#include "firmware-table.h"
#include "lkvm/util.h"

/* PI, volume 3, 5.2 to 5.7 */
enum {
	HOB_HANDOFF = 1,
	HOB_RESOURCE = 3,
	HOB_GUID_EXTENSION = 4,
	HOB_END = 0xffff,
};
struct hob_header {
	__le16 type, len;
	__le32 reserved;
};
struct hob_handoff {
	struct hob_header header;
	__le32 version;
	__le32 boot_mode; /* 0: with a full configuration */
	__le64 memory_top, memory_bottom;
	__le64 free_top, free_bottom;
	__le64 end; /* of the list */
};
struct hob_resource {
	struct hob_header header;
	u8 owner[16];
	__le32 type;
	__le32 attributes;
	__le64 start, len;
};
struct hob_guid {
	struct hob_header header;
	u8 guid[16];
};
_Static_assert(sizeof(struct hob_handoff) == 56, "PI, 5.3");
_Static_assert(sizeof(struct hob_resource) == 48, "PI, 5.5");

#define HANDOFF_VERSION	 9
#define PRESENT_TESTED	 0x7U /* present, initialized, tested */
#define HOB_ALIGN	 8U
#define GUID_PAYLOAD_MAX (0xfff8U - sizeof(struct hob_guid))

/* td-shim, "Payload info" and "ACPI table". */
static const u8 payload_guid[16] =
	FIRMWARE_GUID(0xb96fa412, 0x461f, 0x4be3, 0x8c, 0x0d, 0xad, 0x80, 0x5a, 0x49, 0x7a, 0xc0);
static const u8 acpi_guid[16] =
	FIRMWARE_GUID(0x6a0c5870, 0xd4ed, 0x44f4, 0xa1, 0x35, 0xdd, 0x23, 0x8b, 0x6f, 0x0c, 0x8d);

#define PAYLOAD_BZIMAGE 1U
struct payload_info {
	__le32 type;
	__le32 reserved;
	__le64 entry;
};

static struct hob_header header_of(u16 type, u64 len)
{
	return (struct hob_header){ .type = cpu_to_le16(type), .len = cpu_to_le16((u16)len) };
}

/* Room for a block of @len bytes, and still for the end; NULL: there is none. */
static u8 *take(struct x86_hobs *h, u64 len)
{
	u8 *at = h->bytes + h->used;

	if (h->full || len > h->size - h->used - sizeof(struct hob_header)) {
		h->full = true;
		return NULL;
	}
	h->used += len;
	return at;
}

void x86_hobs_begin(struct x86_hobs *h)
{
	h->used = 0;
	h->full = h->size < sizeof(struct hob_handoff) + sizeof(struct hob_header);
	take(h, sizeof(struct hob_handoff));
}

void x86_hobs_add_memory(struct x86_hobs *h, u32 type, u64 start, u64 len)
{
	const struct hob_resource hob = {
		.header = header_of(HOB_RESOURCE, sizeof(hob)),
		.type = cpu_to_le32(type),
		.attributes = cpu_to_le32(PRESENT_TESTED),
		.start = cpu_to_le64(start),
		.len = cpu_to_le64(len),
	};
	u8 *at = take(h, sizeof(hob));

	if (at)
		memcpy(at, &hob, sizeof(hob));
}

static void add_guid(struct x86_hobs *h, const u8 guid[16], const void *data, u64 len)
{
	u64 all = ALIGN_UP(sizeof(struct hob_guid) + len, HOB_ALIGN);
	struct hob_guid hob = { .header = header_of(HOB_GUID_EXTENSION, all) };
	u8 *at;

	h->full |= len > GUID_PAYLOAD_MAX;
	at = take(h, all);
	if (!at)
		return;
	memcpy(hob.guid, guid, sizeof(hob.guid));
	memcpy(at, &hob, sizeof(hob));
	memcpy(at + sizeof(hob), data, len);
}

void x86_hobs_add_bzimage(struct x86_hobs *h, u64 gpa)
{
	const struct payload_info info = {
		.type = cpu_to_le32(PAYLOAD_BZIMAGE),
		.entry = cpu_to_le64(gpa),
	};

	add_guid(h, payload_guid, &info, sizeof(info));
}

void x86_hobs_add_acpi(struct x86_hobs *h, const void *table, u64 len)
{
	add_guid(h, acpi_guid, table, len);
}

int x86_hobs_end(struct x86_hobs *h)
{
	const struct hob_header end = header_of(HOB_END, sizeof(end));
	struct hob_handoff first = {
		.header = header_of(HOB_HANDOFF, sizeof(first)),
		.version = cpu_to_le32(HANDOFF_VERSION),
		.memory_top = cpu_to_le64(h->gpa + h->size),
		.memory_bottom = cpu_to_le64(h->gpa),
		.free_top = cpu_to_le64(h->gpa + h->size),
	};

	if (h->full)
		return -ENOSPC;
	memcpy(h->bytes + h->used, &end, sizeof(end));
	first.end = cpu_to_le64(h->gpa + h->used);
	h->used += sizeof(end);
	first.free_bottom = cpu_to_le64(h->gpa + h->used);
	memcpy(h->bytes, &first, sizeof(first));
	return 0;
}
