/* SPDX-License-Identifier: MIT */
/* `lkvm run`: parse, validate, build the machine, run it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/boot-time.h"
#include "lkvm/cli.h"
#include "lkvm/log.h"
#include "lkvm/machine.h"
#include "lkvm/rootfs.h"
#include "lkvm/signals.h"
#include "lkvm/util.h"

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

static int write_config(const char *path, const char *text, size_t len)
{
	if (strcmp(path, "-") != 0)
		return write_file(path, text, len);
	return fwrite(text, 1, len, stdout) == len && !fflush(stdout) ? 0 : -errno;
}

/* All of it or nothing: the file appears when it is whole. */
static int save_config(const struct vm_config *cfg, const char *path)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int ret = -ENOMEM;

	if (out) {
		config_save(cfg, out);
		ret = fclose(out) ? -errno : write_config(path, text, len);
	}
	free(text);
	if (!ret)
		return EXIT_SUCCESS;
	err("--save-config %s: cannot write: %s", path, strerror(-ret));
	return EXIT_FAILURE;
}

/* Ending is exiting. Who looks for leaks wants to see everything released. Is anything lost? */
static bool end_machine(struct machine *m)
{
	bool lost;

	if (!getenv("LKVM_RELEASE_ALL"))
		return machine_end(m) != 0;
	vm_finish_devices(&m->vm);
	lost = m->vm.lost;
	machine_destroy(m);
	return lost;
}

static int run_machine(const struct run_options *o, int *sig)
{
	struct boot_time *times = o->boot_time ? boot_time_begin(&o->cfg, o->start_ns) : NULL;
	struct machine m;
	int status = EXIT_FAILURE;

	if (machine_create_with(&m, &o->cfg, times ? &times->inject : NULL))
		goto out;
	status = machine_run(&m, sig);
	marks_add(m.vm.marks, MARK_END, 0);
	if (end_machine(&m) && !status)
		status = EXIT_FAILURE;
	if (times)
		boot_time_end(times);
	if (getenv("LKVM_RELEASE_ALL"))
		goto out;
	exit(*sig ? end_by_signal(*sig) : status);
out:
	if (times)
		boot_time_free(times);
	return status;
}

/* What the command line asks for; the configuration is complete. */
static int run(struct run_options *o, int *sig)
{
	int status = EXIT_SUCCESS;

	signals_init();
	if (o->save_config)
		status = save_config(&o->cfg, o->save_config);
	if (o->dry_run) {
		config_print(&o->cfg, stdout);
		if (fflush(stdout))
			status = EXIT_FAILURE;
	}
	if (o->save_config || o->dry_run)
		return status;
	if (o->cfg.fdt.dump_dtb || o->cfg.dump_boot)
		return machine_describe(&o->cfg) ? EXIT_FAILURE : EXIT_SUCCESS;
	if (rootfs_prepare(&o->cfg))
		return EXIT_FAILURE;
	return run_machine(o, sig);
}

int run_command_line(const struct command *cmd, int argc, char **argv, bool sandbox)
{
	struct run_options o;
	int status, sig = 0, ret;

	run_options_init(&o);
	ret = run_options_parse(cmd, argc, argv, &o);
	if (ret) {
		status = ret > 0 ? EXIT_SUCCESS : EXIT_USAGE;
		goto out;
	}
	options_close_others(&run_set, &o, NULL);
	o.cfg.root.sandbox = sandbox;
	ret = config_complete(&o.cfg);
	if (ret) {
		status = ret == -EINVAL ? EXIT_USAGE : EXIT_FAILURE;
		goto out;
	}
	status = run(&o, &sig);
out:
	run_options_destroy(&o);
	return sig ? end_by_signal(sig) : status;
}

static int cmd_run_main(const struct command *cmd, int argc, char **argv)
{
	return run_command_line(cmd, argc, argv, false);
}

const struct command cmd_run = {
	.name = "run",
	.summary = "Start a virtual machine",
	.usage = "lkvm run [options] [kernel] [-- command [word ...]]",
	.description =
		"Boots a kernel in a new virtual machine, with its console on the terminal. "
		"Ctrl-A x ends it, Ctrl-A h lists the other keys. A Linux kernel with neither "
		"disk nor initrd gets this host's files as its root, and a shell, or the command "
		"after '--', whose standard streams, signals and exit status are lkvm's.",
	.options = &run_set,
	.word = "file",
	.run = cmd_run_main,
};
