/* SPDX-License-Identifier: MIT */
/* The output half of a console, which speaks and takes no part in the input; and one who watches.
 */
#include "unit.h"

#include "lkvm/console.h"
#include "lkvm/util.h"

static struct {
	struct console con;
	char out[64];
	u32 others;
} terminal;

static void fake_write(struct console *con, const u8 *buf, size_t len)
{
	strncat(terminal.out, (const char *)buf, len);
}

static void fake_set_client(struct console *con, const struct console_client *client)
{
	terminal.others++;
}

static void fake_other(struct console *con)
{
	terminal.others++;
}

static const struct console_ops fake_ops = {
	.write = fake_write,
	.set_client = fake_set_client,
	.input_ready = fake_other,
	.destroy = fake_other,
};

static void output_alone(void **state)
{
	const struct console_client client = { 0 };
	struct console_output o;

	terminal.con.ops = &fake_ops;
	console_output_init(&o, &terminal.con);
	o.con.ops->set_client(&o.con, &client);
	o.con.ops->write(&o.con, (const u8 *)"early", 5);
	o.con.ops->input_ready(&o.con);
	o.con.ops->write(&o.con, (const u8 *)"con\n", 4);
	o.con.ops->set_client(&o.con, NULL);
	o.con.ops->destroy(&o.con);
	assert_string_equal(terminal.out, "earlycon\n");
	/* The terminal's client is another device, which still has it. */
	assert_int_equal(terminal.others, 0);
}

static struct {
	char text[64];
	u32 nr;
} seen;

static void on_seen(void *opaque, u32 nr, const u8 *buf, size_t len)
{
	assert_ptr_equal(opaque, &seen);
	seen.nr = nr;
	strncat(seen.text, (const char *)buf, len);
}

static size_t take_three(struct console *con, const u8 *buf, size_t len)
{
	fake_write(con, buf, MIN(len, (size_t)3));
	return MIN(len, (size_t)3);
}

/* What is taken is seen, once; all else goes to the console behind it. */
static void watched(void **state)
{
	static struct console_ops slow_ops;
	const struct console_client client = { 0 };
	struct console_watch w;

	memset(&terminal, 0, sizeof(terminal));
	terminal.con.ops = &fake_ops;
	console_watch_init(&w, &terminal.con, 4, on_seen, &seen);
	w.con.ops->write(&w.con, (const u8 *)"one ", 4);
	assert_int_equal(console_offer(&w.con, (const u8 *)"two ", 4), 4);
	slow_ops = fake_ops;
	slow_ops.offer = take_three;
	terminal.con.ops = &slow_ops;
	assert_int_equal(console_offer(&w.con, (const u8 *)"three", 5), 3);
	assert_int_equal(console_offer(&w.con, (const u8 *)"ee", 2), 2);
	assert_string_equal(seen.text, "one two three");
	assert_string_equal(terminal.out, seen.text);
	assert_int_equal(seen.nr, 4);
	assert_int_equal(terminal.others, 0);
	w.con.ops->set_client(&w.con, &client);
	w.con.ops->input_ready(&w.con);
	assert_int_equal(terminal.others, 2);
	w.con.ops->finish(&w.con);
	w.con.ops->destroy(&w.con);
	assert_int_equal(terminal.others, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_alone),
		cmocka_unit_test(watched),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
