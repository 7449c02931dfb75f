/* SPDX-License-Identifier: MIT */
/* `lkvm run`: parse, validate, build the machine, run it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/cli.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/machine.h"

/* End the way the signal would have ended us, now that everything is put back: the shell sees 128 +
 * its number. */
int end_by_signal(int sig)
{
	sigset_t set;

	signal(sig, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, sig);
	raise(sig);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	return 128 + sig;
}

static int run_machine(const struct vm_config *cfg, int *sig)
{
	struct machine m;
	bool again;
	int status;

	/* A reader that goes away is an error of a write, not the end of the VM. */
	signal(SIGPIPE, SIG_IGN);
	do {
		if (machine_create(&m, cfg))
			return EXIT_FAILURE;
		if (cfg->fdt.dump_dtb)
			status = machine_dump_dtb(&m, cfg->fdt.dump_dtb) ? EXIT_FAILURE
									 : EXIT_SUCCESS;
		else
			status = machine_run(&m, sig);
		again = machine_again(&m);
		machine_destroy(&m);
	} while (again);
	return status;
}

int cmd_run_main(const struct command *cmd, int argc, char **argv)
{
	struct vm_config cfg;
	int status = 2;
	int sig = 0;
	int ret;

	config_init(&cfg);
	ret = run_options_parse(cmd, argc, argv, &cfg);
	if (ret) {
		status = ret > 0 ? 0 : 2;
		goto out;
	}
	ret = config_complete(&cfg);
	if (ret) {
		status = ret == -EINVAL ? 2 : 1;
		goto out;
	}
	if (cfg.dry_run) {
		config_print(&cfg, stdout);
		status = fflush(stdout) ? 1 : 0;
		goto out;
	}
	status = run_machine(&cfg, &sig);
out:
	config_destroy(&cfg);
	return sig ? end_by_signal(sig) : status;
}
