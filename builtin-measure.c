/* SPDX-License-Identifier: MIT */
/* `lkvm measure`: what a confidential guest's launch measurement will be, by the words of `run`. */
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/arch.h"
#include "lkvm/cli.h"
#include "lkvm/coco.h"
#include "lkvm/log.h"
#include "lkvm/machine.h"
#include "lkvm/measure.h"
#include "lkvm/rootfs.h"
#include "lkvm/util.h"

struct measure_options {
	struct run_options run; /* first: its rows fill it */
	bool json;
	char *event_log; /* or NULL */
};

#define MEMBER(m) .offset = offsetof(struct measure_options, m)

/* clang-format off */
static const struct option_spec measure_options[] = {
	{ .type = OPT_GROUP, .help = "Output" },
	{ .type = OPT_FLAG, .name = "json", MEMBER(json),
	  .help = "print JSON, for programs; the event log has an object on each line" },
	{ .type = OPT_STRING, .name = "event-log", .arg = "FILE", MEMBER(event_log), .flags = OPT_PATH,
	  .help = "write each step of the measurement to FILE, or - for standard output: what is measured, where, "
		  "its digest, and the measurement after it" },
	OPT_END
};
/* clang-format on */

#define RUN_OFFSET (offsetof(struct measure_options, run) + offsetof(struct run_options, cfg))

static const struct option_source own_sources[] = {
	{ .rows = measure_options },
	{ 0 },
};

static const struct option_source sources[] = {
	{ .rows = measure_options },
	CONFIG_OPTIONS_OF(RUN_OFFSET, 0, NULL, "run"),
	{ .rows = run_config_options, .whose = "run" },
	{ .rows = run_own_options, .whose = "run" },
	{ .rows = loglevel_options, .whose = "run" },
	{ 0 },
};

static const struct option_set measure_set = {
	.sources = sources,
	.foreign = foreign_options,
	.here = &arch_platform.option_mask,
};
/* Without those of run_options. */
static const struct option_set own_set = { .sources = own_sources };

/* Which kind */

/* A kind of another architecture: its own lkvm measures it, on any host. */
static int check_words(int argc, char **argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
		const char *word = argv[i] + strspn(argv[i], "-");
		struct option_cursor c;
		char archs[64];

		if (word == argv[i])
			continue;
		c = options_find(&measure_set, word, strcspn(word, "="), NULL);
		if (!c.opt || !(c.opt->flags & OPT_MEASURED) || option_is_here(&c))
			continue;
		option_arch_names(c.source->archs, archs, sizeof(archs));
		err("measure: --%s is measured by the lkvm of %s, and this is %s's; it runs here "
		    "too, by qemu-user",
		    c.opt->name, archs, arch_platform.name);
		return -EINVAL;
	}
	return 0;
}

/* "--snp (x86-64), --realm (arm64)": the options that make a guest one that is measured. */
static char *kinds(void)
{
	char *text = xstrdup("");

	for_each_option(c, &measure_set)
	{
		char archs[64];

		if (c.opt->flags & OPT_MEASURED)
			xappendf(&text, "%s--%s (%s)", *text ? ", " : "", c.opt->name,
				 option_arch_names(c.source->archs, archs, sizeof(archs)));
	}
	return text;
}

/* What measures @cfg; NULL, after saying why nothing does. */
static const struct coco_measure *find_kind(const struct vm_config *cfg)
{
	const struct coco_ops *coco = arch_coco(cfg);
	char *all;

	if (coco && coco->measure)
		return coco->measure;
	if (coco) {
		err("measure: --%s: the firmware of such a guest measures nothing",
		    config_confidential(cfg, NULL));
		return NULL;
	}
	all = kinds();
	err("measure: this guest is an ordinary one, which nothing measures; add what makes it a "
	    "confidential one, as 'lkvm run' is given it: %s",
	    all);
	free(all);
	return NULL;
}

/* A root of the host's files comes with an initramfs of them. */
static int check_root(const struct vm_config *cfg)
{
	int ret = rootfs_wanted(cfg);

	if (ret <= 0)
		return ret;
	err("measure: the guest's root would be this host's files, and its initramfs made of them; "
	    "name an initrd (-i FILE) or a disk (-d FILE), or add --nodefaults, as 'lkvm run' is "
	    "given it");
	return -EINVAL;
}

/* The event log */

static int log_open(const char *path, struct measure_log *log)
{
	if (!path)
		return 0;
	log->out = strcmp(path, "-") ? fopen(path, "we") : stdout;
	if (log->out)
		return 0;
	err("--event-log %s: cannot open: %s", path, strerror(errno));
	return -errno;
}

static int log_close(const char *path, struct measure_log *log)
{
	bool failed;

	if (!log->out)
		return 0;
	errno = 0;
	failed = fflush(log->out) || ferror(log->out);
	if (log->out != stdout)
		failed |= fclose(log->out) != 0;
	/* Of standard output main says it. */
	if (failed && log->out != stdout)
		err("--event-log %s: cannot write: %s", path, strerror(errno ? errno : EIO));
	return failed ? -EIO : 0;
}

/* The command */

static bool is_all_refused(const struct measure *m)
{
	for (u32 i = 0; i < m->nr_results; i++)
		if (!m->results[i].refused)
			return false;
	return true;
}

static int print(const struct measure *m, const char *kind, bool json)
{
	int ret = measure_print(m, kind, json, stdout);

	/* Whatever else is wrong with standard output main says. */
	if (ret == -ENOMEM)
		err("measure: cannot make the result: %s", strerror(-ret));
	return ret;
}

static int measure(const struct measure_options *o, const struct coco_measure *kind)
{
	struct measure_log log = { .json = o->json };
	struct measure m = { 0 };
	int status = EXIT_FAILURE, ret = log_open(o->event_log, &log);

	if (ret)
		return EXIT_FAILURE;
	if (log.out)
		m.log = &log;
	ret = machine_measure(&o->run.cfg, &m);
	if (log_close(o->event_log, &log) && !ret)
		ret = -EIO;
	if (!ret && !print(&m, kind->kind, o->json) && !is_all_refused(&m))
		status = EXIT_SUCCESS;
	measure_free(&m);
	return status;
}

/* The configuration is read. */
static int run(struct measure_options *o)
{
	struct vm_config *cfg = &o->run.cfg;
	const struct coco_measure *kind = find_kind(cfg);
	int ret;

	if (!kind)
		return EXIT_USAGE;
	ret = config_complete(cfg);
	if (ret)
		return ret == -EINVAL ? EXIT_USAGE : EXIT_FAILURE;
	if (hash_check())
		return EXIT_FAILURE;
	ret = check_root(cfg);
	if (ret)
		return ret == -EINVAL ? EXIT_USAGE : EXIT_FAILURE;
	return measure(o, kind);
}

static int cmd_measure_main(const struct command *cmd, int argc, char **argv)
{
	struct measure_options o = { .json = false };
	int status = EXIT_USAGE, ret = check_words(argc, argv);

	if (ret)
		return EXIT_USAGE;
	run_options_init(&o.run);
	ret = run_options_parse(cmd, argc, argv, &o.run);
	if (ret > 0)
		status = EXIT_SUCCESS;
	if (!ret)
		ret = options_check(&own_set, &o);
	if (ret)
		goto out;
	options_close_others(&measure_set, &o, NULL);
	o.run.cfg.measured = true;
	status = run(&o);
out:
	run_options_destroy(&o.run);
	options_destroy(&own_set, &o);
	return status;
}

const struct command cmd_measure = {
	.name = "measure",
	.summary = "Tell a confidential guest's launch measurement",
	.usage = "lkvm measure [--json] [--event-log FILE] [options of run] [kernel]",
	.description =
		"Tells what the firmware of a host will have measured when 'lkvm run' with the "
		"same words has started a confidential guest, and what else an attestation report "
		"says of it. It needs neither KVM nor such a host, and the answer is the same "
		"everywhere; so the words name all that counts: the kernel, the number of vcpus "
		"and the size of memory.",
	.options = &measure_set,
	.word = "file",
	.run = cmd_measure_main,
};
