/* SPDX-License-Identifier: MIT */
/* Process 1 of the guest: the story, from its beginning (see init.h). */
#include <asm/ioctls.h>
#include <linux/fcntl.h>

#include "init.h"
#include "lkvm/guest-init.h"

/* As the kernel has them (include/uapi/linux/{in,if,sockios}.h, whose headers want a C library). */
#define AF_INET	     2
#define SOCK_DGRAM   2
#define SIOCSIFFLAGS 0x8914
#define IFF_UP	     1

static void loopback_up(void)
{
	struct {
		char name[16];
		short flags;
		char rest[22];
	} request = { .name = "lo", .flags = IFF_UP };
	long fd = sys(socket, AF_INET, SOCK_DGRAM, 0);

	if (fd < 0)
		return;
	sys(ioctl, fd, SIOCSIFFLAGS, &request);
	sys(close, fd);
}

_Noreturn void init_start(void);

void init_start(void)
{
	const char *hostname, *next, *streams;
	char **command;
	bool linked, on_console;
	u32 status;

	/* It would turn another machine off. */
	if (sys(getpid, 0) != 1)
		sys(exit_group, STATUS_FAILED);
	mounts_begin();
	conf_load();
	if (!conf_command(&command))
		end(STATUS_FAILED, "the guest has no memory for the command's words");
	modules_load();
	on_console = conf_get(INIT_CONF_CONSOLE, 0);
	next = conf_get(INIT_CONF_INIT, 0);
	streams = conf_get(INIT_CONF_STREAMS, 0);
	linked = !on_console && (command || !(next || (streams && equal(streams, "console"))));
	if (linked && !link_open())
		end(STATUS_FAILED,
		    "the guest's kernel has no virtio console, which carries input and output%s",
		    modules_hint());
	mounts_root(command);
	hostname = conf_get(INIT_CONF_HOSTNAME, 0);
	if (hostname)
		sys(sethostname, hostname, strlen(hostname));
	loopback_up();
	if (next && !command)
		become_init(next);
	if (on_console)
		say("the guest is up");
	if (on_console && !command)
		end(0, NULL);
	status = linked ? session_run(command) : session_on_console(command);
	end(status, NULL);
}
