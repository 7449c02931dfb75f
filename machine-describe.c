/* SPDX-License-Identifier: MIT */
/*
 * The machine of a configuration without KVM: it is made up to the list of what the guest starts
 * from, over back ends that do nothing and an interrupt controller that forgets, and the list goes
 * to files. So what is measured is made by the code that runs, and any host can make it.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lkvm/arch.h"
#include "lkvm/coco.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/machine.h"
#include "lkvm/plan.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"

#define CHUNK	  (64 * KiB)
#define PLAN_JSON "plan.json"

/* The machine */

static void forget_level(void *opaque, u32 gsi, bool level) {}

static const struct irq_chip_ops forgetful_chip_ops = { .set_level = forget_level };

/* machine_create's story, as far as it needs no KVM. */
static int sketch(struct machine *m, const struct vm_config *cfg, struct boot_plan *plan)
{
	struct vm *vm = &m->vm;
	int ret = machine_open_stubs(m, cfg);

	vm->coco = arch_coco(cfg);
	vm->access_platform = vm->coco;
	if (!ret)
		ret = irq_init(&vm->irqs, &forgetful_chip_ops, NULL);
	if (!ret)
		ret = arch_sketch(vm, &m->open.boot);
	if (!ret)
		ret = machine_map_pmems(m, true);
	if (!ret)
		ret = machine_add_parts(m);
	if (!ret)
		ret = machine_begin_boot(m, NULL);
	if (!ret)
		ret = arch_boot_plan(vm, &m->open.boot, plan);
	if (!ret)
		ret = boot_check_read(&m->open.boot);
	return ret ? ret : boot_plan_check(plan, &vm->mem);
}

int machine_sketch_end(struct machine *m, struct boot_plan *plan, int ret)
{
	ret = boot_end(&m->open.boot, ret);
	boot_plan_free(plan);
	machine_destroy(m);
	return ret;
}

int machine_sketch(struct machine *m, const struct vm_config *cfg, struct boot_plan *plan)
{
	int ret;

	memset(m, 0, sizeof(*m));
	m->open.signals.fd = -1;
	ret = vm_init(&m->vm, cfg);
	if (ret)
		return ret;
	boot_plan_init(plan);
	ret = sketch(m, cfg, plan);
	return ret ? machine_sketch_end(m, plan, ret) : 0;
}

static int dump_dtb(const struct boot_plan *plan, const char *path)
{
	const struct boot_entry *fdt = boot_plan_find(plan, BOOT_FDT);
	int ret;

	if (!fdt) {
		err("--dump-dtb %s: this VM has no device tree", path);
		return -ENOTSUP;
	}
	ret = write_file(path, fdt->bytes, fdt->len);
	if (ret)
		err("--dump-dtb %s: cannot write the device tree: %s", path, strerror(-ret));
	return ret;
}

/* --dump-boot */

struct dump {
	const struct boot_plan *plan;
	const char *path;
	int fd;	   /* the directory */
	bool made; /* by us */
};

static int dump_failed(const struct dump *d, const char *name, int error)
{
	err("--dump-boot %s: cannot write '%s': %s%s", d->path, name, strerror(-error),
	    limit_hint(error));
	return error;
}

static int folder_failed(const struct dump *d, const char *what, int error)
{
	err("--dump-boot %s: cannot %s the directory: %s%s", d->path, what, strerror(-error),
	    limit_hint(error));
	return error;
}

/* 1 or 0, or -errno. */
static int is_empty(const struct dump *d)
{
	int fd = openat(d->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	bool empty = true;
	int ret = -errno;

	if (!dir && fd >= 0)
		close(fd);
	if (!dir)
		return ret;
	while (empty && (de = readdir(dir)))
		empty = !strcmp(de->d_name, ".") || !strcmp(de->d_name, "..");
	closedir(dir);
	return empty;
}

static int check_folder(struct dump *d)
{
	int ret;

	d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->fd < 0)
		return folder_failed(d, "open", -errno);
	ret = is_empty(d);
	if (ret < 0) {
		folder_failed(d, "read", ret);
	} else if (!ret) {
		err("--dump-boot %s: is not empty; name a new directory", d->path);
		ret = -ENOTEMPTY;
	} else {
		return 0;
	}
	close(d->fd);
	return ret;
}

static int open_folder(struct dump *d)
{
	int ret;

	d->made = !mkdir(d->path, 0777);
	if (!d->made && errno != EEXIST)
		return folder_failed(d, "create", -errno);
	ret = check_folder(d);
	if (ret && d->made)
		rmdir(d->path);
	return ret;
}

static void run_name(const struct boot_run *run, char *buf, size_t len)
{
	snprintf(buf, len, "%012llx-%s.bin", run->gpa, boot_kind_name(run->kind));
}

static int write_pages(const struct dump *d, const struct boot_run *run, int fd, u8 *chunk)
{
	for (u64 at = 0; at < run->len; at += CHUNK) {
		u64 n = MIN(run->len - at, (u64)CHUNK);
		int ret = boot_plan_read(d->plan, run->gpa + at, chunk, n);

		if (ret)
			return ret;
		ret = write_full(fd, chunk, n);
		if (ret) {
			char name[64];

			run_name(run, name, sizeof(name));
			return dump_failed(d, name, ret);
		}
	}
	return 0;
}

/* Zeroes need no file: their place says all. */
static int write_run(const struct dump *d, const struct boot_run *run)
{
	char name[64];
	u8 *chunk;
	int fd, ret;

	if (run->kind == BOOT_ZERO)
		return 0;
	run_name(run, name, sizeof(name));
	fd = openat(d->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0)
		return dump_failed(d, name, -errno);
	chunk = xcalloc(1, CHUNK);
	ret = write_pages(d, run, fd, chunk);
	free(chunk);
	if (close(fd) && !ret)
		ret = dump_failed(d, name, -errno);
	return ret;
}

static void print_plan(const struct dump *d, FILE *out)
{
	const struct boot_plan *plan = d->plan;
	struct boot_run run = { 0 };
	const char *comma = "";
	char name[64];

	fputs("{\n  \"pages\": [", out);
	for (; boot_plan_next(plan, &run); comma = ",") {
		run_name(&run, name, sizeof(name));
		fprintf(out,
			"%s\n    { \"gpa\": %llu, \"size\": %llu, \"kind\": \"%s\", "
			"\"measured\": %s, \"file\": %s%s%s }",
			comma, run.gpa, run.len, boot_kind_name(run.kind),
			run.measured ? "true" : "false", run.kind == BOOT_ZERO ? "" : "\"",
			run.kind == BOOT_ZERO ? "null" : name, run.kind == BOOT_ZERO ? "" : "\"");
	}
	fputs("\n  ],\n  \"registers\": {", out);
	for (u32 i = 0; i < plan->nr_regs; i++)
		fprintf(out, "%s\n    \"%s\": %llu", i ? "," : "", plan->regs[i].name,
			plan->regs[i].value);
	fputs("\n  }\n}\n", out);
}

static int plan_text(const struct dump *d, char **text, size_t *len)
{
	FILE *out = open_memstream(text, len);

	if (!out)
		return -errno;
	print_plan(d, out);
	return fclose(out) ? -errno : 0;
}

/* The last file: where it is, the others are whole. */
static int write_plan(const struct dump *d)
{
	char *text = NULL;
	size_t len = 0;
	int ret = plan_text(d, &text, &len), fd = -1;

	if (!ret) {
		fd = openat(d->fd, PLAN_JSON, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
		ret = fd < 0 ? -errno : write_full(fd, text, len);
	}
	if (fd >= 0 && close(fd) && !ret)
		ret = -errno;
	free(text);
	return ret ? dump_failed(d, PLAN_JSON, ret) : 0;
}

/* Nothing half-made stays. The directory was empty: all that has our names is ours. */
static void clean_up(const struct dump *d)
{
	struct boot_run run = { 0 };
	char name[64];

	while (boot_plan_next(d->plan, &run)) {
		run_name(&run, name, sizeof(name));
		unlinkat(d->fd, name, 0);
	}
	unlinkat(d->fd, PLAN_JSON, 0);
	if (d->made)
		rmdir(d->path);
}

static int dump_boot(const struct boot_plan *plan, const char *path)
{
	struct dump d = { .plan = plan, .path = path };
	struct boot_run run = { 0 };
	int ret = open_folder(&d);

	if (ret)
		return ret;
	while (!ret && boot_plan_next(plan, &run))
		ret = write_run(&d, &run);
	if (!ret)
		ret = write_plan(&d);
	if (ret)
		clean_up(&d);
	close(d.fd);
	return ret;
}

int machine_describe(const struct vm_config *cfg)
{
	struct boot_plan plan;
	struct machine m;
	int ret = machine_sketch(&m, cfg, &plan);

	if (ret)
		return ret;
	if (cfg->fdt.dump_dtb)
		ret = dump_dtb(&plan, cfg->fdt.dump_dtb);
	if (!ret && cfg->dump_boot)
		ret = dump_boot(&plan, cfg->dump_boot);
	return machine_sketch_end(&m, &plan, ret);
}
