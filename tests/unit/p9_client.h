/* SPDX-License-Identifier: MIT */
/*
 * A 9P client for unit tests: it writes messages by a format (p9_message.h) and keeps the answer
 * for its readers.
 */
#ifndef LKVM_TESTS_P9_CLIENT_H
#define LKVM_TESTS_P9_CLIENT_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../fs/p9.h"
#include "../lib/p9_message.h"
#include "capture.h"
#include "folder.h"
#include "lkvm/config.h"
#include "lkvm/event.h"
#include "lkvm/log.h"
#include "unit.h"

#define P9_TEST_SIZE 65536

struct p9_client {
	char dir[64]; /* holds the share and what is beside it */
	char shared[80];
	struct share *share;
	struct event_loop loop;
	struct p9 *p9;
	u32 room; /* for answers */
	u8 out[P9_TEST_SIZE], in[P9_TEST_SIZE];
	struct p9_in reader; /* of the answer */
	int ret;	     /* what done() got */
	unsigned int done;
};

static struct p9_client p9c;

/* In the share, or beside it with "../NAME". */
static inline const char *p9_path(const char *name)
{
	static char path[4][512];
	static unsigned int n;

	n = (n + 1) % 4;
	snprintf(path[n], sizeof(path[n]), "%s/%s", p9c.shared, name);
	return path[n];
}

static inline void p9_make_file(const char *name, const char *text)
{
	int fd = open(p9_path(name), O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static inline void p9_assert_file(const char *name, const char *text)
{
	char buf[256] = "";
	int fd = open(p9_path(name), O_RDONLY);

	assert_true(fd >= 0);
	assert_true(read(fd, buf, sizeof(buf) - 1) >= 0);
	close(fd);
	assert_string_equal(buf, text);
}

static inline void p9_begin(bool readonly, unsigned int workers)
{
	struct share_config cfg = { .tag = (char *)"tag", .readonly = readonly };

	log_set_level(LOG_ERROR);
	memset(&p9c, 0, sizeof(p9c));
	snprintf(p9c.dir, sizeof(p9c.dir), "/tmp/lkvm-p9-XXXXXX");
	assert_non_null(mkdtemp(p9c.dir));
	snprintf(p9c.shared, sizeof(p9c.shared), "%s/shared", p9c.dir);
	assert_int_equal(mkdir(p9c.shared, 0755), 0);
	p9_make_file("../secret", "secret");
	p9_make_file("file", "0123456789");
	assert_int_equal(mkdir(p9_path("sub"), 0755), 0);
	p9_make_file("sub/deep", "deep");
	assert_int_equal(symlink("../secret", p9_path("out")), 0);
	cfg.path = p9c.shared;
	p9c.room = P9_TEST_SIZE;
	assert_int_equal(share_open(&cfg, 1, &p9c.share), 0);
	assert_int_equal(event_loop_init(&p9c.loop, "p9"), 0);
	assert_int_equal(p9_open(p9c.share, &p9c.loop, workers, NULL, NULL, &p9c.p9), 0);
}

static inline void p9_end(void)
{
	p9_close(p9c.p9);
	event_loop_destroy(&p9c.loop);
	share_close(p9c.share);
	p9_assert_file("../secret", "secret");
	assert_int_equal(remove_folder(p9c.dir), 0);
}

/*
 * @fn in a process of its own, which may unshare what it likes: 0, the line of what failed, or less
 * where it cannot be tried.
 */
static inline int p9_in_child(int (*fn)(void))
{
	int ends[2], line = 0;
	pid_t pid;

	assert_int_equal(pipe(ends), 0);
	pid = fork();
	if (!pid) {
		line = fn();
		_exit(write(ends[1], &line, sizeof(line)) != sizeof(line));
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &line, sizeof(line)), sizeof(line));
	close(ends[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return line;
}

/* Writing */

static inline void p9_on_done(struct p9_request *req, int ret)
{
	p9c.ret = ret;
	p9c.done++;
}

/* The bytes of p9c.out as they are; cut into pieces of @piece bytes. */
static inline void p9_send(size_t len, size_t piece)
{
	static struct iovec out[P9_MAX_SEGS], in[P9_MAX_SEGS];
	static struct p9_request req;
	unsigned int done = p9c.done;

	req = (struct p9_request){ .out = out, .in = in, .done = p9_on_done };
	req.out_len = len;
	req.in_len = p9c.room;
	memset(p9c.in, 0xee, sizeof(p9c.in));
	for (size_t at = 0; at < len; at += piece)
		out[req.nr_out++] = (struct iovec){ p9c.out + at, MIN(piece, len - at) };
	for (size_t at = 0; at < p9c.room;) {
		size_t n = req.nr_in + 1 < P9_MAX_SEGS ? MIN(piece, p9c.room - at) : p9c.room - at;

		in[req.nr_in++] = (struct iovec){ p9c.in + at, n };
		at += n;
	}
	p9_submit(p9c.p9, &req);
	p9_kick(p9c.p9);
	while (p9c.done == done)
		event_loop_drain(&p9c.loop);
}

/* 0, or the error that the answer is. */
static inline int p9_result(u8 type)
{
	if (p9c.ret <= 0)
		return p9c.ret;
	assert_int_equal(get_le(p9c.in, 4), p9c.ret);
	assert_in_range(p9c.ret, P9_HEADER, p9c.room);
	/* Nothing is written behind the answer, but that files were read into its room. */
	assert_int_equal(get_le(p9c.in + 5, 2), get_le(p9c.out + 5, 2));
	p9c.reader = (struct p9_in){ p9c.in + P9_HEADER, p9c.in + p9c.ret, false };
	if (p9c.in[4] == P9_TLERROR + 1)
		return (int)p9_get(&p9c.reader, 4);
	assert_int_equal(p9c.in[4], type + 1);
	return 0;
}

static inline int p9_call(u8 type, const char *format, ...)
{
	va_list args;
	size_t len;

	va_start(args, format);
	len = p9_format(p9c.out, type, 7, format, args);
	va_end(args);
	p9_send(len, 1000);
	return p9_result(type);
}

/* Reading */

static inline u64 p9_next(unsigned int bytes)
{
	u64 value = p9_get(&p9c.reader, bytes);

	assert_false(p9c.reader.bad);
	return value;
}

static inline struct p9_qid p9_next_qid(void)
{
	struct p9_qid qid = { .type = (u8)p9_next(1) };

	qid.version = (u32)p9_next(4);
	qid.path = p9_next(8);
	return qid;
}

static inline void p9_mount(void)
{
	assert_int_equal(p9_call(P9_TVERSION, "ds", 8192 + 24, "9P2000.L"), 0);
	assert_int_equal(p9_next(4), 8192 + 24);
	assert_int_equal(p9_call(P9_TATTACH, "ddssd", 1, P9_NO_FID, "user", "", geteuid()), 0);
	assert_int_equal(p9_next_qid().type, P9_QT_DIR);
}

/* From fid 1, the root. */
static inline int p9_walk(u32 fid, const char *name)
{
	return p9_call(P9_TWALK, "ddws", 1, fid, 1, name);
}

static inline int p9_clone(u32 from, u32 to)
{
	return p9_call(P9_TWALK, "ddw", from, to, 0);
}

static inline int p9_clunk(u32 fid)
{
	return p9_call(P9_TCLUNK, "d", fid);
}

static inline int p9_attributes(u32 fid, struct stat *st, struct p9_qid *qid)
{
	int ret = p9_call(P9_TGETATTR, "dq", fid, (u64)0x7ff);

	memset(st, 0, sizeof(*st));
	memset(qid, 0, sizeof(*qid));
	if (ret)
		return ret;
	assert_int_equal(p9_next(8), 0x7ff);
	*qid = p9_next_qid();
	st->st_mode = (mode_t)p9_next(4);
	st->st_uid = (uid_t)p9_next(4);
	st->st_gid = (gid_t)p9_next(4);
	st->st_nlink = p9_next(8);
	st->st_rdev = p9_next(8);
	st->st_size = (off_t)p9_next(8);
	return 0;
}

#endif
