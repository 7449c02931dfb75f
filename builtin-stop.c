/* SPDX-License-Identifier: MIT */
/* `lkvm stop`: the guest is asked to power off; what does not is ended. */
#include <stdlib.h>

#include "lkvm/cli.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

#define MAX_SECONDS 86400

struct stop_args {
	struct vm_names which;
	u32 timeout;
};

/* clang-format off */
static const struct option_spec stop_options[] = {
	{ .type = OPT_U32, .name = "timeout", .arg = "SECONDS", .max = MAX_SECONDS,
	  .offset = offsetof(struct stop_args, timeout), .def = "30",
	  .help = "how long the guest has to power off after its power button was pressed; 0: it is ended without being asked" },
	OPT_END
};
/* clang-format on */

static const struct option_source sources[] = {
	{ .rows = vm_names_options, .offset = offsetof(struct stop_args, which) },
	{ .rows = stop_options },
	{ 0 },
};
static const struct option_set stop_set = { .sources = sources };

/* All are asked before one is waited for. */
static int stop_all(const struct machine_names *names, u32 timeout)
{
	struct control_link *links = xcalloc(names->nr + 1, sizeof(*links));
	char *args = xasprintf("{\"timeout\":%u}", timeout);
	int status = EXIT_SUCCESS;

	for (u32 i = 0; i < names->nr; i++) {
		const struct json *result;
		int ret = control_connect(&links[i], names->names[i]);

		if (ret) {
			status = EXIT_FAILURE;
			continue;
		}
		control_watch_end(&links[i]);
		ret = control_ask(&links[i], "stop", args, &result);
		/* It may have ended while it was asked. */
		if (ret && ret != -ECONNRESET) {
			status = EXIT_FAILURE;
			control_hang_up(&links[i]);
		} else if (!ret && timeout && !json_truth(json_member(result, "asked"))) {
			warn("%s: has no power button to ask the guest with; it was ended",
			     names->names[i]);
		}
	}
	for (u32 i = 0; i < names->nr; i++) {
		if (links[i].fd >= 0)
			control_await_end(&links[i]);
		control_hang_up(&links[i]);
	}
	free(args);
	free(links);
	return status;
}

static int cmd_stop_main(const struct command *cmd, int argc, char **argv)
{
	struct stop_args args = { .timeout = 30 };
	struct machine_names names = { 0 };
	int words, status;
	int ret = vm_names_parse(cmd, argc, argv, &args, &words);

	if (ret)
		status = ret > 0 ? EXIT_SUCCESS : EXIT_USAGE;
	else
		status = vm_names_take(cmd, &args.which, argv, words, &names);
	if (!ret && !status)
		status = stop_all(&names, args.timeout);
	machine_names_free(&names);
	options_destroy(&stop_set, &args);
	return status;
}

const struct command cmd_stop = {
	.name = "stop",
	.summary = "Power machines off",
	.usage = "lkvm stop [--timeout SECONDS] NAME...",
	.description =
		"Presses the power button of each machine, so that its guest shuts down, and "
		"ends the machine when that takes too long. A machine that is paused is "
		"resumed for it. Returns when the machines are gone.",
	.options = &stop_set,
	.word = "vm",
	.run = cmd_stop_main,
};
