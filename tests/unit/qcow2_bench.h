/* SPDX-License-Identifier: MIT */
/*
 * For tests of qcow2 images: a folder of files that qemu-img makes and checks, and a disk whose
 * requests are served here, several at once, against a model in memory.
 */
#ifndef TEST_QCOW2_BENCH_H
#define TEST_QCOW2_BENCH_H

#include "folder.h"
#include "unit.h"

#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lkvm/config.h"
#include "lkvm/disk.h"
#include "lkvm/event.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

static char folder[64];

/* A command in the folder; its status. */
static int __printf(1, 2) sh(const char *fmt, ...)
{
	char command[1024], text[896];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	snprintf(command, sizeof(command), "cd %s && { %s; } >out 2>&1", folder, text);
	return system(command);
}

static void __printf(1, 2) must(const char *fmt, ...)
{
	char text[896], command[128];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	if (!sh("%s", text))
		return;
	snprintf(command, sizeof(command), "cat %s/out", folder);
	if (system(command) < 0)
		print_message("no shell\n");
	fail_msg("failed: %s", text);
}

static int make_folder(void **state)
{
	snprintf(folder, sizeof(folder), "/var/tmp/lkvm-qcow2.XXXXXX");
	return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state)
{
	return remove_folder(folder);
}

static const char *in_folder(const char *name)
{
	static char paths[4][128];
	static unsigned int turn;
	char *path = paths[turn++ % 4];

	snprintf(path, sizeof(paths[0]), "%s/%s", folder, name);
	return path;
}

/* The disk that a test has open. */
static struct event_loop bench_loop;
static struct disk *bench_disk;
static struct disk_queue *bench_queue;
static struct disk_config bench_cfg;
static unsigned int bench_pending;
static int bench_result;

static int __maybe_unused bench_open(const char *name, enum disk_format format, bool readonly,
				     bool direct)
{
	int ret;

	bench_cfg = (struct disk_config){
		.path = (char *)in_folder(name),
		.readonly = readonly,
		.direct = direct,
		.format = format,
	};
	bench_cfg.path = strdup(bench_cfg.path);
	ret = disk_open(&bench_cfg, &bench_disk);
	if (ret) {
		free(bench_cfg.path);
		return ret;
	}
	assert_int_equal(event_loop_init(&bench_loop, "disk"), 0);
	assert_int_equal(disk_queue_open(bench_disk, &bench_loop, 32, &bench_queue), 0);
	return 0;
}

static void __maybe_unused bench_close(void)
{
	disk_queue_close(bench_queue);
	disk_close(bench_disk);
	event_loop_destroy(&bench_loop);
	free(bench_cfg.path);
}

static void bench_done(struct disk_request *req, int ret)
{
	req->ret = ret;
	if (ret)
		bench_result = ret;
	if (!--bench_pending)
		event_loop_stop(&bench_loop);
}

/* All of them at once; 0 or the last error. */
static int bench_serve(struct disk_request *reqs, unsigned int nr)
{
	bench_pending = nr;
	bench_result = 0;
	event_loop_rearm(&bench_loop);
	bench_queue->may_wait = true;
	for (unsigned int i = 0; i < nr; i++) {
		reqs[i].done = bench_done;
		disk_submit(bench_queue, &reqs[i]);
	}
	disk_queue_kick(bench_queue);
	bench_queue->may_wait = false;
	event_loop_run(&bench_loop);
	assert_int_equal(disk_queue_busy(bench_queue), 0);
	return bench_result;
}

static int __maybe_unused bench_op(enum disk_op op, u32 flags, void *buf, u64 offset, u64 len)
{
	struct iovec iov = { buf, (size_t)len };
	struct disk_request req = {
		.op = op, .flags = flags, .offset = offset, .len = len, .iov = &iov, .iovcnt = 1
	};

	return bench_serve(&req, 1);
}

#endif
