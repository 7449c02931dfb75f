/* SPDX-License-Identifier: MIT */
/* The debug port: lines, what is no text, and its limit. */
#include "devvm.h"

#include "capture.h"
#include "lkvm/hw.h"
#include "lkvm/log.h"

#define PORT 0x402

static struct devvm d;

static int setup(void **state)
{
	log_set_level(LOG_DEBUG);
	devvm_init(&d);
	return debug_port_create(&d.vm, PORT);
}

static int teardown(void **state)
{
	vm_destroy(&d.vm);
	return 0;
}

static const char *say(const char *text)
{
	capture_begin();
	for (; *text; text++)
		assert_true(bus_write(&d.vm.pio, PORT, text, 1));
	return capture_end();
}

static void lines(void **state)
{
	u8 value = 0;

	assert_true(bus_read(&d.vm.pio, PORT, &value, 1));
	assert_int_equal(value, 0xe9);
	assert_string_equal(say("half a "), "");
	assert_string_equal(say("line\r\n"), "lkvm: debug: firmware: half a line\n");
	assert_string_equal(say("\n\n"), "");
	assert_string_equal(say("a\nb\n"), "lkvm: debug: firmware: a\nlkvm: debug: firmware: b\n");
	/* Nothing of it reaches a terminal as it is. */
	assert_string_equal(say("\033[2J\x9b\t.\n"),
			    "lkvm: debug: firmware: \\x1b[2J\\x9b\\x09.\n");
	/* A reset ends a line. */
	say("rest");
	capture_begin();
	vm_reset_devices(&d.vm);
	assert_string_equal(capture_end(), "lkvm: debug: firmware: rest\n");
	/* So does the end, which destroys nothing. */
	say("last words");
	capture_begin();
	vm_finish_devices(&d.vm);
	assert_string_equal(capture_end(), "lkvm: debug: firmware: last words\n");
}

static void limits(void **state)
{
	char text[1001];
	u32 shown = 0;

	/* No line end ever: it is cut. */
	memset(text, 'x', 1000);
	text[1000] = '\0';
	for (const char *p = say(text); (p = strstr(p, "firmware: ")); p++)
		shown++;
	assert_int_equal(shown, 5);
	/* For ever: the rest is dropped, which is said once. */
	for (u32 i = 1; i < 1048; i++)
		say(text);
	say("end");
	for (u32 i = 0; i < 600; i++)
		say("y");
	assert_string_equal(say("more\nand more\n"), "");
	vm_reset_devices(&d.vm);
	assert_string_equal(say("again\n"), "lkvm: debug: firmware: again\n");
	for (u32 i = 0; i < 1048; i++)
		say(text);
	assert_contains(say(text), "the rest is dropped");
	assert_string_equal(say(text), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(lines, setup, teardown),
		cmocka_unit_test_setup_teardown(limits, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
