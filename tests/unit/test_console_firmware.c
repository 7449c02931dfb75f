/* SPDX-License-Identifier: MIT */
/* A console that firmware calls share with a device: who gets the input, and what a key wakes. */
#include "unit.h"

#include "lkvm/console.h"

static struct {
	struct console con; /* the terminal */
	struct console_client copy;
	const struct console_client *client;
	char out[64];
	unsigned int ready;
} terminal;
static struct {
	size_t room;
	char in[64];
	int ended, sizes;
} device;
static struct console_firmware f;
static bool asleep, falls_asleep;
static int woken;

static void fake_write(struct console *con, const u8 *buf, size_t len)
{
	strncat(terminal.out, (const char *)buf, len);
}

static void fake_set_client(struct console *con, const struct console_client *client)
{
	terminal.client = client ? &terminal.copy : NULL;
	if (client)
		terminal.copy = *client;
}

static void fake_input_ready(struct console *con)
{
	terminal.ready++;
}

static const struct console_ops fake_ops = {
	.write = fake_write,
	.set_client = fake_set_client,
	.input_ready = fake_input_ready,
};

static size_t device_room(void *opaque)
{
	return device.room;
}

static void device_input(void *opaque, const u8 *buf, size_t len)
{
	strncat(device.in, (const char *)buf, len);
}

static void device_ended(void *opaque)
{
	device.ended++;
}

static void device_resized(void *opaque, u16 cols, u16 rows)
{
	device.sizes += cols * rows;
}

/* A vcpu may fall asleep just when the terminal asks. */
static bool is_asleep(void *opaque)
{
	bool was = asleep;

	if (falls_asleep) {
		falls_asleep = false;
		asleep = true;
		console_firmware_await_key(&f);
	}
	return was;
}

static void wake(void *opaque)
{
	woken++;
	asleep = false;
}

static int setup(void **state)
{
	const struct console_sleeper sleeper = { .asleep = is_asleep, .wake = wake };
	const struct console_client client = {
		.room = device_room,
		.input = device_input,
		.ended = device_ended,
		.resized = device_resized,
	};

	memset(&terminal, 0, sizeof(terminal));
	memset(&device, 0, sizeof(device));
	asleep = falls_asleep = false;
	woken = 0;
	terminal.con.ops = &fake_ops;
	console_firmware_init(&f, &terminal.con, &sleeper);
	f.con.ops->set_client(&f.con, &client);
	return 0;
}

/* What the terminal does with what is typed; returns what it keeps. */
static const char *type(const char *text)
{
	while (*text) {
		size_t room = terminal.client->room(terminal.client->opaque);

		if (!room)
			break;
		room = room < strlen(text) ? room : strlen(text);
		terminal.client->input(terminal.client->opaque, (const u8 *)text, room);
		text += room;
	}
	return text;
}

static size_t call(size_t len, char *buf)
{
	size_t n = console_firmware_read(&f, (u8 *)buf, len);

	buf[n] = 0;
	return n;
}

static void test_output(void **state)
{
	f.con.ops->write(&f.con, (const u8 *)"device ", 7);
	console_firmware_write(&f, (const u8 *)"call ", 5);
	assert_int_equal(console_offer(&f.con, (const u8 *)"offer", 5), 5);
	assert_string_equal(terminal.out, "device call offer");
	f.con.ops->input_ready(&f.con);
	assert_int_equal(terminal.ready, 1);
}

static void test_other_news(void **state)
{
	terminal.client->ended(terminal.client->opaque);
	terminal.client->resized(terminal.client->opaque, 3, 5);
	assert_int_equal(device.ended, 1);
	assert_int_equal(device.sizes, 15);
	/* What the device does not want is not asked for. */
	assert_null(terminal.client->interrupted);
	assert_null(terminal.client->connected);
	assert_null(terminal.client->writable);
	f.con.ops->set_client(&f.con, NULL);
	assert_null(terminal.client);
}

static void test_input(void **state)
{
	char buf[128];

	/* Nobody asked: it waits in the terminal. */
	assert_string_equal(type("abc"), "abc");
	assert_int_equal(call(2, buf), 0);
	assert_int_equal(terminal.ready, 1);
	/* Asking again wakes nobody. */
	assert_int_equal(call(2, buf), 0);
	assert_int_equal(terminal.ready, 1);
	assert_string_equal(type("abc"), "c");
	assert_int_equal(call(1, buf), 1);
	assert_string_equal(buf, "a");
	assert_int_equal(call(5, buf), 1);
	assert_string_equal(buf, "b");
	assert_string_equal(type("c"), "c");
	assert_int_equal(call(100, buf), 0);
	assert_int_equal(call(0, buf), 0);
	/* As much as there is room for here. */
	memset(buf, 'x', 100);
	buf[100] = 0;
	assert_int_equal(strlen(type(buf)), 100 - sizeof(f.kept));
	assert_int_equal(call(100, buf), sizeof(f.kept));
	assert_string_equal(device.in, "");
}

/* Once the device takes input, what a call asked for before is the device's. */
static void test_device_takes_over(void **state)
{
	char buf[8];

	assert_int_equal(call(4, buf), 0);
	device.room = 2;
	assert_string_equal(type("abc"), "");
	assert_string_equal(device.in, "abc");
	device.room = 0;
	assert_string_equal(type("d"), "d");
	assert_int_equal(call(4, buf), 0);
	assert_int_equal(terminal.ready, 2);
	assert_string_equal(type("d"), "");
	assert_int_equal(call(4, buf), 1);
}

static void test_key_wakes(void **state)
{
	asleep = true;
	device.room = 4;
	console_firmware_await_key(&f);
	assert_int_equal(terminal.ready, 1);
	assert_int_equal(terminal.client->room(terminal.client->opaque), 1);
	assert_string_equal(type("abc"), "");
	assert_int_equal(woken, 1);
	assert_string_equal(device.in, "bc");
	/* Also where the device takes nothing, as one that sleeps. */
	asleep = true;
	device.room = 0;
	console_firmware_await_key(&f);
	assert_string_equal(type("ab"), "b");
	assert_int_equal(woken, 2);
	/* What something else has woken loses no key. */
	asleep = true;
	console_firmware_await_key(&f);
	asleep = false;
	device.room = 4;
	assert_string_equal(type("d"), "");
	assert_int_equal(woken, 2);
	assert_string_equal(device.in, "bcd");
}

static void test_key_wakes_who_just_fell_asleep(void **state)
{
	falls_asleep = true;
	assert_int_equal(terminal.client->room(terminal.client->opaque), 0);
	assert_int_equal(terminal.ready, 1);
	assert_string_equal(type("a"), "");
	assert_int_equal(woken, 1);
	assert_string_equal(device.in, "");
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_output),	   T(test_other_news),
		T(test_input),	   T(test_device_takes_over),
		T(test_key_wakes), T(test_key_wakes_who_just_fell_asleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
