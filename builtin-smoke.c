/* SPDX-License-Identifier: MIT */
/* `lkvm smoke`: boot a machine, watch what it says, and tell by the status whether that was right.
 */
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/arch.h"
#include "lkvm/boot-time.h"
#include "lkvm/cli.h"
#include "lkvm/guest-init.h"
#include "lkvm/log.h"
#include "lkvm/machine.h"
#include "lkvm/marks.h"
#include "lkvm/rootfs.h"
#include "lkvm/signals.h"
#include "lkvm/smoke.h"
#include "lkvm/util.h"

/* As timeout(1) has it. */
#define EXIT_TIMEOUT 124

struct report_file {
	enum smoke_format format;
	char *path; /* NULL: standard output */
};

struct smoke_options {
	struct run_options run; /* first: its rows fill it */
	struct smoke smoke;
	u32 timeout; /* seconds; 0: none */
	bool no_crashes;
	bool warnings;
	bool may_reboot;
	bool quiet;
	char *log;
	struct report_file *reports;
	u32 nr_reports;
};

/* The test that runs. What a machine uses lives as long as the process. */
struct smoke_run {
	const struct smoke_options *options;
	struct marks marks;
	struct machine_watch watch;
	struct machine_inject inject;
	struct machine machine;
	struct event_timer limit, last;
	bool reset_ends; /* the user said --no-reboot: a reset is as good as powering off */
	bool no_root;	 /* the guest's could not be made */
};

/* Options */

static int add_rule(const char *shown, const char *arg, struct smoke *s, enum smoke_kind kind)
{
	const char *why;
	int ret = smoke_add(s, kind, arg, &why);

	if (ret)
		err("%s '%s': %s", shown, arg, why);
	return ret;
}

static int parse_expect(const char *shown, const char *arg, void *target)
{
	return add_rule(shown, arg, target, SMOKE_EXPECT);
}

static int parse_fail(const char *shown, const char *arg, void *target)
{
	return add_rule(shown, arg, target, SMOKE_FAIL);
}

static int parse_allow(const char *shown, const char *arg, void *target)
{
	return add_rule(shown, arg, target, SMOKE_ALLOW);
}

static bool to_stdout(const struct smoke_options *o)
{
	for (u32 i = 0; i < o->nr_reports; i++)
		if (!o->reports[i].path)
			return true;
	return false;
}

static int parse_report(const char *shown, const char *arg, void *target)
{
	struct smoke_options *o = target;
	size_t len = strcspn(arg, "=");
	const char *path = arg[len] ? arg + len + 1 : NULL;
	int format = 0;

	while (smoke_format_names[format] && (strlen(smoke_format_names[format]) != len ||
					      memcmp(smoke_format_names[format], arg, len)))
		format++;
	if (!smoke_format_names[format]) {
		err("%s %s: is not one of junit, json, tap, with =FILE or without", shown, arg);
		return -EINVAL;
	}
	if (path && !strcmp(path, "-"))
		path = NULL;
	if (!path && to_stdout(o)) {
		err("%s %s: another report goes to standard output already; write it to a file: "
		    "%s %s=FILE",
		    shown, arg, shown, smoke_format_names[format]);
		return -EINVAL;
	}
	o->reports = xrealloc(o->reports, (o->nr_reports + 1) * sizeof(o->reports[0]));
	o->reports[o->nr_reports++] = (struct report_file){ .format = (enum smoke_format)format,
							    .path = path ? xstrdup(path) : NULL };
	return 0;
}

static char *report_text(const void *target, u32 i)
{
	const struct smoke_options *o = target;

	if (i >= o->nr_reports)
		return NULL;
	return xasprintf("%s=%s", smoke_format_names[o->reports[i].format],
			 o->reports[i].path ? o->reports[i].path : "-");
}

static const char *report_path(const void *target, u32 i)
{
	const struct smoke_options *o = target;

	if (i >= o->nr_reports)
		return NULL;
	return o->reports[i].path ? o->reports[i].path : "-";
}

static void report_destroy(void *target)
{
	struct smoke_options *o = target;

	for (u32 i = 0; i < o->nr_reports; i++)
		free(o->reports[i].path);
	free(o->reports);
	o->reports = NULL;
	o->nr_reports = 0;
}

static const struct option_hooks report_hooks = {
	.parse = parse_report,
	.text = report_text,
	.path = report_path,
	.destroy = report_destroy,
};

#define MEMBER(m) .offset = offsetof(struct smoke_options, m)

/* clang-format off */
static const struct option_spec rule_options[] = {
	{ .type = OPT_GROUP, .help = "What is right" },
	{ .type = OPT_CALL, .name = "expect", .arg = "REGEX", .parse = parse_expect,
	  .help = "a line of a console is to have this extended regular expression; once all were "
		  "seen, in any order, the test has passed", .def = "the guest is to power off",
	  .flags = OPT_REPEATABLE },
	{ .type = OPT_CALL, .name = "fail", .arg = "REGEX", .parse = parse_fail,
	  .help = "the test has failed when a line has this", .flags = OPT_REPEATABLE },
	{ .type = OPT_CALL, .name = "allow", .arg = "REGEX", .parse = parse_allow,
	  .help = "a line that has this is no crash of the kernel, whatever it looks like",
	  .flags = OPT_REPEATABLE },
	OPT_END
};

static const struct option_spec smoke_options[] = {
	{ .type = OPT_GROUP, .help = "What is right" },
	{ .type = OPT_FLAG, .name = "in-order", MEMBER(smoke.in_order),
	  .help = "each --expect counts only when those before it were seen" },
	{ .type = OPT_FLAG, .name = "until-end", MEMBER(smoke.until_end),
	  .help = "wait for the guest to power off, also when all --expect were seen" },
	{ .type = OPT_FLAG, .name = "no-oops", MEMBER(no_crashes),
	  .help = "do not look for panics, oopses and other crashes of Linux" },
	{ .type = OPT_FLAG, .name = "fail-on-warning", MEMBER(warnings),
	  .help = "a WARNING of Linux counts as a crash too" },
	{ .type = OPT_FLAG, .name = "may-reboot", MEMBER(may_reboot),
	  .help = "a guest that asks for a reset starts again, as in lkvm run; without it that is a "
		  "failure, and with --no-reboot an end like powering off" },
	{ .type = OPT_U32, .name = "timeout", .arg = "SECONDS", MEMBER(timeout), .max = 10000000,
	  .help = "maximum time that the VM may run, then the status is 124; 0: no limit",
	  .def = "60" },

	{ .type = OPT_GROUP, .help = "Output" },
	{ .type = OPT_FLAG, .short_name = 'q', .name = "quiet", MEMBER(quiet),
	  .help = "do not show the consoles" },
	{ .type = OPT_STRING, .name = "log", .arg = "FILE", MEMBER(log), .flags = OPT_PATH,
	  .help = "write what the consoles say to FILE too" },
	{ .type = OPT_TYPED, .name = "report", .arg = "junit|json|tap[=FILE]", .hooks = &report_hooks,
	  .flags = OPT_PATH | OPT_REPEATABLE,
	  .help = "write a report to FILE, or to standard output; then the consoles are shown on "
		  "standard error" },
	OPT_END
};
/* clang-format on */

/* Where the options of `lkvm run` have another default here. */
static const struct option_default defaults[] = {
	{ "halt", "end" },
	{ 0 },
};

#define RUN_OFFSET (offsetof(struct smoke_options, run) + offsetof(struct run_options, cfg))

static const struct option_source own_sources[] = {
	{ .rows = rule_options, .offset = offsetof(struct smoke_options, smoke) },
	{ .rows = smoke_options },
	{ 0 },
};

static const struct option_source sources[] = {
	{ .rows = rule_options, .offset = offsetof(struct smoke_options, smoke) },
	{ .rows = smoke_options },
	CONFIG_OPTIONS_OF(RUN_OFFSET, 0, defaults, "run"),
	{ .rows = run_config_options, .whose = "run" },
	{ .rows = loglevel_options, .whose = "run" },
	{ 0 },
};

static const struct option_set smoke_set = {
	.sources = sources,
	.foreign = foreign_options,
	.here = &arch_platform.option_mask,
};
/* Without those of run_options. */
static const struct option_set own_set = { .sources = own_sources };

/* Files */

/* A test of an hour whose report cannot be written is a waste. */
static int check_report(const struct report_file *report)
{
	char *copy;
	int ret = 0;

	if (!report->path || !access(report->path, W_OK))
		return 0;
	copy = xstrdup(report->path);
	if (errno != ENOENT || access(dirname(copy), W_OK))
		ret = -errno;
	if (ret)
		err("--report %s=%s: cannot write: %s", smoke_format_names[report->format],
		    report->path, strerror(-ret));
	free(copy);
	return ret;
}

static int open_files(struct smoke_options *o)
{
	for (u32 i = 0; i < o->nr_reports; i++) {
		int ret = check_report(&o->reports[i]);

		if (ret)
			return ret;
	}
	if (!o->log)
		return 0;
	o->smoke.log_fd = open(o->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0666);
	if (o->smoke.log_fd >= 0)
		return 0;
	err("--log %s: cannot open: %s", o->log, strerror(errno));
	return -EINVAL;
}

static int write_report(const struct report_file *file, const struct smoke_report *report)
{
	const char *name = smoke_format_names[file->format];
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	int ret = -ENOMEM;

	if (out) {
		ret = smoke_report_print(report, file->format, out);
		if (fclose(out) && !ret)
			ret = -errno;
	}
	if (!ret)
		ret = file->path ? write_file(file->path, text, len)
				 : write_full(STDOUT_FILENO, text, len);
	free(text);
	if (ret)
		err("--report %s%s%s: cannot write: %s", name, file->path ? "=" : "",
		    file->path ? file->path : "", strerror(-ret));
	return ret;
}

/* The test */

/* Any thread. */
static void on_stop(void *opaque, u64 ns)
{
	struct smoke_run *run = opaque;

	if (ns)
		event_timer_set(&run->last, ns);
	else
		vm_request_stop(&run->machine.vm, VM_STOP_QUIT, 0, -1);
}

static void on_last(void *opaque)
{
	on_stop(opaque, 0);
}

static const char *first_missing(const struct smoke *s)
{
	for (u32 i = 0; i < s->nr; i++)
		if (s->rules[i].kind == SMOKE_EXPECT && !s->rules[i].seen)
			return s->rules[i].text;
	return NULL;
}

static void on_limit(void *opaque)
{
	struct smoke_run *run = opaque;
	struct smoke *s = run->watch.opaque;
	const char *missing = first_missing(s);

	if (missing)
		smoke_decide(s, SMOKE_TIMEOUT, "'%s' was not seen within %u s", missing,
			     run->options->timeout);
	else
		smoke_decide(s, SMOKE_TIMEOUT, "the guest did not end within %u s",
			     run->options->timeout);
	on_stop(run, 0);
}

/* A switch: the compiler tells of an end that has no words. */
static const char *ending(enum vm_stop stop)
{
	switch (stop) {
	case VM_STOP_NONE:
		return "it did not run";
	case VM_STOP_POWEROFF:
		return "the guest powered off";
	case VM_STOP_RESET:
		return "the guest asked for a reset";
	case VM_STOP_DEBUG_EXIT:
		return "the guest chose an exit status";
	case VM_STOP_PANIC:
		return "the guest's kernel panicked";
	case VM_STOP_TERMINATED:
		return "the guest ended itself";
	case VM_STOP_TRIPLE_FAULT:
		return "triple fault";
	case VM_STOP_KVM_ERROR:
		return "KVM could not continue";
	case VM_STOP_ENTRY_FAILED:
		return "the processor refused to enter the guest";
	case VM_STOP_UNKNOWN_EXIT:
		return "KVM returned an unknown exit";
	case VM_STOP_HALTED:
		return "the guest halted for good";
	case VM_STOP_QUIT:
		return "lkvm ended it";
	case VM_STOP_CONTROL:
		return "it was ended through its control socket";
	case VM_STOP_SIGNAL:
		return "a signal ended it";
	}
	return "unknown";
}

static bool is_good_end(const struct smoke_run *run, enum vm_stop stop, int status)
{
	return stop == VM_STOP_POWEROFF || (stop == VM_STOP_DEBUG_EXIT && !status) ||
	       (stop == VM_STOP_RESET && run->reset_ends);
}

/* What the end says of a test that was not decided before it. */
static void judge(struct smoke_run *run, enum vm_stop stop, int status)
{
	struct smoke *s = run->watch.opaque;
	const char *missing = first_missing(s);

	if (stop == VM_STOP_SIGNAL)
		smoke_decide(s, SMOKE_INTERRUPTED, "signal %d ended it", status);
	else if (stop == VM_STOP_DEBUG_EXIT && status)
		smoke_decide(s, SMOKE_FAILED, "the guest chose status %d", status);
	else if (stop == VM_STOP_RESET && !run->reset_ends)
		smoke_decide(s, SMOKE_FAILED, "%s (see --may-reboot)", ending(stop));
	else if (!is_good_end(run, stop, status))
		smoke_decide(s, SMOKE_FAILED, "%s", ending(stop));
	else if (missing)
		smoke_decide(s, SMOKE_FAILED, "%s before '%s' was seen", ending(stop), missing);
	else
		smoke_decide(s, SMOKE_PASSED, "%s", ending(stop));
}

static void end_machine(struct smoke_run *run)
{
	if (getenv("LKVM_RELEASE_ALL")) {
		event_timer_destroy(&run->limit);
		event_timer_destroy(&run->last);
		machine_destroy(&run->machine);
	} else {
		(void)machine_end(&run->machine);
	}
}

/* Boot it and see. *end is how it ended; returns the signal that ended it, or 0. */
static int run_test(struct smoke_run *run, const struct vm_config *cfg, const char **end)
{
	struct smoke *s = run->watch.opaque;
	struct vm *vm = &run->machine.vm;
	enum vm_stop stop;
	int status, sig = 0;

	*end = ending(VM_STOP_NONE);
	if (run->no_root || machine_create_with(&run->machine, cfg, &run->inject)) {
		smoke_decide(s, SMOKE_ERROR, "the machine could not be started");
		return 0;
	}
	event_timer_init(&run->limit, &vm->loop, on_limit, run);
	event_timer_init(&run->last, &vm->loop, on_last, run);
	event_timer_set(&run->limit, run->options->timeout * 1000000000ULL);
	machine_run(&run->machine, &sig);
	marks_add(&run->marks, MARK_END, 0);
	stop = vm_stop_reason(vm, &status, NULL);
	*end = ending(stop);
	/* The last words may still be on their way. */
	end_machine(run);
	smoke_finish(s);
	judge(run, stop, status);
	return sig;
}

static int exit_status(const struct smoke *s)
{
	if (s->verdict == SMOKE_PASSED)
		return EXIT_SUCCESS;
	return s->verdict == SMOKE_TIMEOUT ? EXIT_TIMEOUT : EXIT_FAILURE;
}

static void say_verdict(const struct smoke *s)
{
	const char *line = s->cause && s->cause->line ? s->cause->line : "";
	enum log_level level = s->verdict == SMOKE_PASSED ? LOG_INFO : LOG_ERROR;
	char text[32];

	log_print(level, "smoke: %s after %s s: %s%s%s", smoke_verdict_names[s->verdict],
		  smoke_seconds(s->ns, text, sizeof(text)), s->reason, *line ? ": " : "", line);
}

/* All that was found, where it is wanted; the status that comes of it. */
static int conclude(const struct smoke_run *run, const char *end, int sig)
{
	const struct smoke_options *o = run->options;
	const struct smoke *s = &o->smoke;
	int status = exit_status(s), error = s->log_error;
	struct smoke_report report = {
		.smoke = s,
		.kernel = o->run.cfg.kernel ? o->run.cfg.kernel : o->run.cfg.firmware,
		.end = end,
		.status = sig ? 128 + sig : status,
		.timeout = o->timeout,
		.crashes = !o->no_crashes,
	};

	boot_time_say(&run->marks);
	say_verdict(s);
	for (u32 i = 0; i < o->nr_reports; i++) {
		int ret = write_report(&o->reports[i], &report);

		error = error ? error : ret;
	}
	return error && !status ? EXIT_FAILURE : status;
}

/* Where nothing else is the root, this host's is, and a command there tells by its status. */
static int add_root(struct smoke_options *o)
{
	struct vm_config *cfg = &o->run.cfg;
	const char *why;
	int ret;

	cfg->root.on_console = true;
	ret = rootfs_prepare(cfg);
	if (!ret && cfg->root.image)
		ret = smoke_add(&o->smoke, SMOKE_FAIL, INIT_SAYS INIT_FAILED, &why);
	return ret;
}

static int smoke(struct smoke_options *o, struct smoke_run *run, int *sig)
{
	struct vm_config *cfg = &o->run.cfg;
	const char *end;

	signals_init();
	run->no_root = add_root(o);
	run->options = o;
	run->reset_ends = cfg->no_reboot;
	cfg->no_reboot |= !o->may_reboot;
	if (!o->no_crashes)
		smoke_add_crashes(&o->smoke, o->warnings);
	o->smoke.marks = &run->marks;
	o->smoke.stop = on_stop;
	o->smoke.opaque = run;
	smoke_ready(&o->smoke, MACHINE_CONSOLES(cfg), o->nr_reports);
	run->watch = (struct machine_watch){
		.output = smoke_output,
		.opaque = &o->smoke,
		.marks = &run->marks,
		.show = o->quiet       ? TERM_NOWHERE
			: to_stdout(o) ? TERM_STDERR
				       : TERM_STDOUT,
		.no_input = true,
		.judges = true,
	};
	run->inject.watch = &run->watch;
	*sig = run_test(run, cfg, &end);
	return conclude(run, end, *sig);
}

static int parse(const struct command *cmd, int argc, char **argv, struct smoke_options *o)
{
	int ret = run_options_parse(cmd, argc, argv, &o->run);

	if (!ret)
		ret = options_check(&own_set, o);
	if (!ret && o->may_reboot && o->run.cfg.no_reboot) {
		err("--may-reboot: --no-reboot ends the guest where it would reboot; omit one of "
		    "them");
		ret = -EINVAL;
	}
	if (!ret && o->warnings && o->no_crashes) {
		err("--fail-on-warning: --no-oops says that nothing is looked for; omit one of "
		    "them");
		ret = -EINVAL;
	}
	return ret;
}

static int cmd_smoke_main(const struct command *cmd, int argc, char **argv)
{
	struct smoke_options *o = xcalloc(1, sizeof(*o));
	struct smoke_run *run = xcalloc(1, sizeof(*run));
	int status = EXIT_USAGE, sig = 0, ret;

	run_options_init(&o->run);
	marks_init(&run->marks, o->run.start_ns);
	o->run.cfg.halt = HALT_END;
	o->timeout = 60;
	o->smoke.log_fd = -1;
	smoke_init(&o->smoke);
	ret = parse(cmd, argc, argv, o);
	if (ret) {
		status = ret > 0 ? EXIT_SUCCESS : EXIT_USAGE;
		goto out;
	}
	options_close_others(&smoke_set, o, NULL);
	ret = config_complete(&o->run.cfg);
	if (ret) {
		status = ret == -EINVAL ? EXIT_USAGE : EXIT_FAILURE;
		goto out;
	}
	status = open_files(o) ? EXIT_FAILURE : smoke(o, run, &sig);
	/* Its threads run on. */
	if (!getenv("LKVM_RELEASE_ALL"))
		exit(sig ? end_by_signal(sig) : status);
out:
	if (o->smoke.log_fd >= 0)
		close(o->smoke.log_fd);
	smoke_destroy(&o->smoke);
	options_destroy(&own_set, o);
	run_options_destroy(&o->run);
	free(run);
	free(o);
	return sig ? end_by_signal(sig) : status;
}

const struct command cmd_smoke = {
	.name = "smoke",
	.summary = "Boot a machine and test what it says",
	.usage = "lkvm smoke [options] [kernel] [-- command [word ...]]",
	.description =
		"Boots a machine as 'lkvm run' does, without input, and watches its consoles. The "
		"status is 0 when all was seen that is expected or, if nothing is, when the guest "
		"powered off; 1 when something was seen that must not be, the kernel crashed, or "
		"the guest ended too early; 124 when the time was over. A Linux kernel with "
		"neither disk nor initrd gets this host's files as its root, and powers off when "
		"it is there, or when the command after '--', which has the console, has ended; a "
		"status other than 0 is a failure.",
	.options = &smoke_set,
	.word = "file",
	.run = cmd_smoke_main,
};
