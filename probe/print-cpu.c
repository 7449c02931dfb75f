/* SPDX-License-Identifier: MIT */
/* What --cpu can name, as JSON for programs: a line for each feature or property. */
#include "lkvm/arch.h"
#include "lkvm/json.h"
#include "lkvm/probe.h"

#define MAX_TEXT (1U << 20)

static void newline(struct json_out *out, const char *indent)
{
	if (out->comma)
		json_put_bytes(out, ",", 1);
	out->comma = false;
	json_put_bytes(out, indent, strlen(indent));
}

int probe_print_cpu(const struct probe *h, FILE *file)
{
	struct json_out out = { .max = MAX_TEXT };
	int ret = 0;

	json_open(&out, NULL, '{');
	newline(&out, "\n\t");
	json_put_u64(&out, "format", 1);
	newline(&out, "\n\t");
	json_put_text(&out, "lkvm", LKVM_VERSION);
	newline(&out, "\n\t");
	json_put_text(&out, "architecture", arch_platform.name);
	newline(&out, "\n\t");
	json_put_bool(&out, "usable", h->usable);
	newline(&out, "\n\t");
	json_open(&out, "cpu", '[');
	for (u32 i = 0; i < probe_arch_nr_cpu(); i++) {
		newline(&out, "\n\t\t");
		json_open(&out, NULL, '{');
		probe_arch_put_cpu(h, i, &out);
		json_close(&out, '}');
	}
	json_put_bytes(&out, "\n\t", 2);
	json_close(&out, ']');
	json_put_bytes(&out, "\n", 1);
	json_close(&out, '}');
	json_put_bytes(&out, "\n", 1);
	if (out.failed || fwrite(out.buf, 1, out.len, file) != out.len)
		ret = -ENOMEM;
	json_out_free(&out);
	return ret;
}
