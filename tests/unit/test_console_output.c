/* SPDX-License-Identifier: MIT */
/* The output half of a console: it speaks, and takes no part in the input. */
#include "unit.h"

#include "lkvm/console.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(output_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
