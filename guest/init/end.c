/* SPDX-License-Identifier: MIT */
/* The end, which lkvm hears of before the machine is off. */
#include <asm/signal.h>
#include <linux/poll.h>
#include <linux/reboot.h>

#include "init.h"
#include "lkvm/guest-init.h"
#include "lkvm/guest-link.h"

static _Noreturn void power_off(void)
{
	sys(sync, 0);
	sys(reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_POWER_OFF, NULL);
	/* It cannot be done, and process 1 must not end. */
	for (;;)
		sys(exit_group, STATUS_FAILED);
}

/* lkvm ends the machine when it has everything; without it we do. */
static void wait_for_lkvm(void)
{
	struct link_head head;
	const u8 *data;

	while (link_is_open()) {
		struct pollfd poll = { .fd = link_fd(), .events = POLLIN };

		sys(ppoll, &poll, 1, NULL, NULL);
		if (!link_read())
			break;
		while (link_next(&head, &data))
			;
	}
}

void end(u32 status, const char *fmt, ...)
{
	char message[sizeof(struct link_exit) + 1024], *text = message + sizeof(struct link_exit);
	struct link_exit reply = { status };
	va_list ap;
	size_t n = 0;

	va_start(ap, fmt);
	if (fmt)
		n = vformat(text, sizeof(message) - sizeof(reply), fmt, ap);
	va_end(ap);
	sys(sync, 0);
	if (n && !link_is_open())
		say("%s", text);
	if (status && conf_get(INIT_CONF_CONSOLE, 0))
		say(INIT_FAILED "%d", (int)status);
	if (link_is_open()) {
		memcpy(message, &reply, sizeof(reply));
		link_send(LINK_EXIT, 0, message, sizeof(reply) + n);
		wait_for_lkvm();
	}
	power_off();
}
