/* SPDX-License-Identifier: MIT */
/* util/parse.c: numbers, sizes, truth values and the nearest word, from any text. */

#include "fuzz.h"
#include "lkvm/util.h"

static void check_number(const char *s)
{
	u64 value = 42, unit;
	int ret = parse_u64(s, &value);

	fz_check(ret == 0 || ((ret == -EINVAL || ret == -ERANGE) && value == 42));
	for (unit = 1; unit && unit <= GiB; unit <<= 10) {
		u64 bytes = 42, again = 0;
		char text[32];

		ret = parse_size(s, unit, &bytes);
		fz_check(ret == 0 || ((ret == -EINVAL || ret == -ERANGE) && bytes == 42));
		if (ret)
			continue;
		/* What is printed is what was meant. */
		format_size(bytes, text, sizeof(text));
		fz_check(!parse_size(text, 1, &again) && again == bytes);
	}
}

static void check_word(const char *s)
{
	static const char *const words[] = { "kernel", "mem", "no-reboot", "virtio-transport",
					     NULL };
	const char *near = nearest_word(s, words);

	fz_check(!near || near == words[0] || near == words[1] || near == words[2] ||
		 near == words[3]);
	for (size_t i = 0; words[i]; i++)
		if (!strcmp(s, words[i]))
			fz_check(near == words[i]);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	char *text = malloc(size + 1);

	fz_begin(data, size);
	fz_check(text);
	memcpy(text, data, size);
	text[size] = '\0';
	check_number(text);
	check_word(text);
	free(text);
	return 0;
}
