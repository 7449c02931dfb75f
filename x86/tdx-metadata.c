/* SPDX-License-Identifier: MIT */
/* Metadata of firmware for trust domains, from files that nobody vouches for; see tdx-firmware.h.
 */
#include <errno.h>
#include <string.h>

#include "firmware-table.h"
#include "layout.h"
#include "lkvm/boot.h"
#include "lkvm/util.h"
#include "tdx-firmware.h"

/* e47a6535-984a-4798-865e-4685a7bf8ec2: where the descriptor begins, in bytes before the end. */
static const u8 offset_guid[16] =
	FIRMWARE_GUID(0xe47a6535, 0x984a, 0x4798, 0x86, 0x5e, 0x46, 0x85, 0xa7, 0xbf, 0x8e, 0xc2);

/* Before there was the table: where it begins in the file. */
#define OLD_POINTER 0x20U

struct descriptor {
	char signature[4];
	__le32 len; /* with all sections */
	__le32 version;
	__le32 count;
};
struct raw_section {
	__le32 offset, raw;
	__le64 gpa, size;
	__le32 type, attributes;
};
_Static_assert(sizeof(struct raw_section) == 32, "as the file has it");

static int find_descriptor(const struct boot_image *img, u64 *offset)
{
	u8 value[4];
	u32 len = sizeof(value);
	int ret = x86_firmware_entry(img, offset_guid, value, &len);

	if (!ret && len == sizeof(value)) {
		u64 back = get_le(value, 4);

		if (back > img->size)
			return -EBADMSG;
		*offset = img->size - back;
		return 0;
	}
	if (ret && ret != -ENOENT)
		return ret == -ENOSPC ? -EBADMSG : ret;
	if (!ret)
		return -EBADMSG;
	if (img->size < OLD_POINTER)
		return -ENOENT;
	ret = boot_image_read(img, img->size - OLD_POINTER, value, sizeof(value));
	*offset = get_le(value, 4);
	return ret;
}

static int read_descriptor(const struct boot_image *img, u64 *offset, u32 *count)
{
	struct descriptor d;
	int ret = find_descriptor(img, offset);
	u64 len;

	if (ret)
		return ret;
	/* The old pointer may be anything. */
	if (!range_within(*offset, sizeof(d), 0, img->size))
		return -ENOENT;
	ret = boot_image_read(img, *offset, &d, sizeof(d));
	if (ret)
		return ret;
	if (memcmp(d.signature, "TDVF", 4) != 0)
		return -ENOENT;
	*count = le32_to_cpu(d.count);
	len = sizeof(d) + (u64)*count * sizeof(struct raw_section);
	if (le32_to_cpu(d.version) != 1 || !*count || *count > TDVF_MAX_SECTIONS ||
	    le32_to_cpu(d.len) < len || !range_within(*offset, len, 0, img->size))
		return -EBADMSG;
	*offset += sizeof(d);
	return 0;
}

static bool needs_file(u32 type)
{
	return type == TDVF_BFV || type == TDVF_CFV;
}

static bool needs_memory(u32 type)
{
	return type != TDVF_TD_INFO && type != TDVF_TD_PARAMS;
}

static const char *wrong_with(const struct boot_image *img, const struct tdvf_section *s)
{
	if (s->type >= TDVF_NR_TYPES)
		return "a section of an unknown type";
	if (!range_within(s->offset, s->raw, 0, img->size))
		return "a section that reaches beyond the file";
	if (!needs_memory(s->type))
		return NULL;
	if (!s->size || !IS_ALIGNED(s->gpa | s->size, 4 * KiB) ||
	    !range_within(s->gpa, s->size, 0, X86_HOLE_END))
		return "a section that is not in whole pages below 4 GiB";
	if (s->raw > s->size)
		return "a section with more bytes than memory";
	if (needs_file(s->type) && !s->raw)
		return "code or variables without bytes";
	if ((s->type == TDVF_TD_HOB || s->type == TDVF_TEMP_MEM) && s->raw)
		return "bytes where memory must be zero";
	if (s->attributes & TDVF_AUG && (needs_file(s->type) || s->type == TDVF_TD_HOB || s->raw ||
					 s->attributes & TDVF_EXTEND))
		return "a section with bytes that is not there";
	return NULL;
}

static int check_kinds(const struct tdvf *t, const char **why)
{
	u32 count[TDVF_NR_TYPES] = { 0 };

	for (u32 i = 0; i < t->count; i++)
		count[t->sections[i].type]++;
	*why = count[TDVF_TD_HOB] != 1	       ? "not one section for the TD HOB"
	       : !count[TDVF_BFV]	       ? "no section with code"
	       : count[TDVF_PAYLOAD] > 1       ? "more than one payload"
	       : count[TDVF_PAYLOAD_PARAM] > 1 ? "more than one command line"
					       : NULL;
	return *why ? -EBADMSG : 0;
}

int tdvf_parse(const struct boot_image *img, struct tdvf *out, const char **why)
{
	u64 offset = 0;
	int ret = read_descriptor(img, &offset, &out->count);

	*why = ret == -EBADMSG ? "a damaged table" : "it cannot be read";
	for (u32 i = 0; !ret && i < out->count; i++, offset += sizeof(struct raw_section)) {
		struct tdvf_section *s = &out->sections[i];
		struct raw_section raw;

		ret = boot_image_read(img, offset, &raw, sizeof(raw));
		if (ret)
			break;
		*s = (struct tdvf_section){
			.offset = le32_to_cpu(raw.offset),
			.raw = le32_to_cpu(raw.raw),
			.gpa = le64_to_cpu(raw.gpa),
			.size = le64_to_cpu(raw.size),
			.type = le32_to_cpu(raw.type),
			.attributes = le32_to_cpu(raw.attributes),
		};
		*why = wrong_with(img, s);
		ret = *why ? -EBADMSG : 0;
	}
	return ret ? ret : check_kinds(out, why);
}
