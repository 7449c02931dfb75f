/* SPDX-License-Identifier: MIT */
/*
 * TDX's build-time measurement, MRTD (Intel TDX module ABI, TDH.MEM.PAGE.ADD and TDH.MR.EXTEND):
 * one SHA-384 over what each call adds, in the order of the calls.
 */
#include "lkvm/measure.h"

#define PAGE_SIZE  4096
#define CHUNK_SIZE 256 /* TDH.MR.EXTEND's */
#define ENTRY_SIZE 128 /* a name, zeroes, an address at ENTRY_GPA, zeroes */
#define ENTRY_GPA  16

void mrtd_begin(struct mrtd *m, struct measure_log *log)
{
	hash_begin(&m->hash, HASH_SHA384);
	m->log = log;
}

static void add_entry(struct mrtd *m, const char *name, u64 gpa)
{
	u8 entry[ENTRY_SIZE] = { 0 };

	memcpy(entry, name, strlen(name));
	put_le(entry + ENTRY_GPA, 8, gpa);
	hash_add(&m->hash, entry, sizeof(entry));
}

void mrtd_value(const struct mrtd *m, u8 out[MRTD_LEN])
{
	struct hash h = m->hash;

	hash_end(&h, out);
}

static void log_page(const struct mrtd *m, u64 gpa, const void *page)
{
	u8 content[MRTD_LEN], after[MRTD_LEN];
	const struct measure_step step = {
		.measurement = "mrtd",
		.what = page ? "add-extend" : "add",
		.has_range = true,
		.gpa = gpa,
		.len = PAGE_SIZE,
		.content = page ? content : NULL,
		.content_len = sizeof(content),
		.after = after,
		.after_len = sizeof(after),
	};

	if (!m->log)
		return;
	if (page)
		hash_bytes(HASH_SHA384, page, PAGE_SIZE, content);
	mrtd_value(m, after);
	measure_log_step(m->log, &step);
}

void mrtd_page(struct mrtd *m, u64 gpa, const void *page, bool measured)
{
	add_entry(m, "MEM.PAGE.ADD", gpa);
	for (u32 at = 0; measured && at < PAGE_SIZE; at += CHUNK_SIZE) {
		add_entry(m, "MR.EXTEND", gpa + at);
		hash_add(&m->hash, (const u8 *)page + at, CHUNK_SIZE);
	}
	log_page(m, gpa, measured ? page : NULL);
}
