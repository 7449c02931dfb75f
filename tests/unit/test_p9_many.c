/* SPDX-License-Identifier: MIT */
/* fs/: more fids than descriptors, and many requests about the same fids at once. */
#include "p9_client.h"

#include <dirent.h>

#include "lkvm/util.h"

#define DIRS  12u /* in each other */
#define FILES 40u /* in each */
#define FDS   32u

static int begin(void **state)
{
	p9_begin(false, 0);
	p9_mount();
	p9c.share->max_fds = FDS;
	return 0;
}

static int end(void **state)
{
	p9_end();
	return 0;
}

static u32 open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	u32 n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static int walk_from(u32 from, u32 fid, const char *name)
{
	return p9_call(P9_TWALK, "ddws", from, fid, 1, name);
}

static u32 dir_fid(u32 depth)
{
	return depth ? 100 + depth : 1;
}

static u32 file_fid(u32 depth, u32 i)
{
	return 1000 + depth * FILES + i;
}

/* Directories in each other, files in all: a fid for each. */
static void plant(void)
{
	char path[256] = "", name[16];
	size_t len = 0;

	for (u32 depth = 0; depth <= DIRS; depth++) {
		for (u32 i = 0; i < FILES; i++) {
			snprintf(path + len, sizeof(path) - len, "f%u", i);
			p9_make_file(path, path);
			snprintf(name, sizeof(name), "f%u", i);
			assert_int_equal(walk_from(dir_fid(depth), file_fid(depth, i), name), 0);
		}
		if (depth == DIRS)
			break;
		len += (size_t)snprintf(path + len, sizeof(path) - len, "d%u", depth);
		assert_int_equal(mkdir(p9_path(path), 0755), 0);
		snprintf(name, sizeof(name), "d%u", depth);
		assert_int_equal(walk_from(dir_fid(depth), dir_fid(depth + 1), name), 0);
		path[len++] = '/';
		path[len] = '\0';
	}
}

/* Use others until nobody has a descriptor who is not one of them. */
static void press(void)
{
	for (u32 i = 0; i < FDS + DIRS; i++)
		assert_int_equal(p9_clone(file_fid(0, i % FILES), 90) ?: p9_clunk(90), 0);
	for (u32 i = 0; i < FILES; i++)
		assert_int_equal(p9_clone(file_fid(1, i), 90) ?: p9_clunk(90), 0);
}

/* What the file of @fid holds. */
static void assert_content(u32 fid, const char *text)
{
	assert_int_equal(p9_clone(fid, 91), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 91, O_RDONLY), 0);
	assert_int_equal(p9_call(P9_TREAD, "dqd", 91, 0ULL, 1000), 0);
	assert_int_equal(p9_next(4), strlen(text));
	assert_memory_equal(p9c.reader.p, text, strlen(text));
	assert_int_equal(p9_clunk(91), 0);
}

static int attributes(u32 fid)
{
	struct p9_qid qid;
	struct stat st;

	return p9_attributes(fid, &st, &qid);
}

/* All can be used, from wherever, with a few descriptors. */
static void test_more_than_descriptors(void **state)
{
	u32 before = open_fds(), nr = (DIRS + 1) * FILES;

	plant();
	assert_in_range(open_fds(), before, before + FDS);
	for (u32 i = 0, at = 0; i < nr; i++, at = (at + 211) % nr) {
		char text[256];
		size_t len = 0;

		for (u32 d = 0; d < at / FILES; d++)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "d%u/", d);
		snprintf(text + len, sizeof(text) - len, "f%u", at % FILES);
		assert_content(file_fid(at / FILES, at % FILES), text);
	}
	assert_in_range(open_fds(), before, before + FDS);
	/* Those that are open keep theirs. */
	for (u32 i = 0; i < FDS / 2 - 4; i++) {
		assert_int_equal(p9_clone(file_fid(0, i), 200 + i), 0);
		assert_int_equal(p9_call(P9_TLOPEN, "dd", 200 + i, O_RDONLY), 0);
	}
	for (u32 i = 0; i < FILES; i++)
		assert_int_equal(attributes(file_fid(DIRS, i)), 0);
	log_set_level(LOG_WARNING);
	capture_begin();
	for (u32 i = 0; i < 8 && !p9_clone(file_fid(1, i), 300 + i); i++)
		if (p9_call(P9_TLOPEN, "dd", 300 + i, O_RDONLY))
			break;
	assert_contains(capture_end(),
			"the guest's open files take 32 descriptors, all that they may");
	log_set_level(LOG_ERROR);
	assert_one_line(captured);
	assert_int_equal(get_le(p9c.in + P9_HEADER, 4), ENFILE);
	for (u32 i = 0; i < FDS / 2 - 4; i++)
		assert_int_equal(p9_clunk(200 + i), 0);
	assert_int_equal(attributes(file_fid(DIRS, 7)), 0);
	/* A new session holds nothing. */
	assert_int_equal(p9_call(P9_TVERSION, "ds", 8192 + 24, "9P2000.L"), 0);
	assert_int_equal(open_fds(), before - 1);
}

/* A node follows what the client renames, also what is above it, also by the older request. */
static void test_renamed(void **state)
{
	plant();
	press();
	assert_int_equal(p9_call(P9_TRENAMEAT, "dsds", 1, "d0", dir_fid(0), "sub/new"), EINVAL);
	assert_int_equal(p9_walk(80, "sub"), 0);
	assert_int_equal(p9_call(P9_TRENAMEAT, "dsds", 1, "d0", 80, "new"), 0);
	press();
	assert_content(file_fid(DIRS, 3), "d0/d1/d2/d3/d4/d5/d6/d7/d8/d9/d10/d11/f3");
	assert_content(file_fid(1, 0), "d0/f0");
	/* By its fid, over another. */
	press();
	assert_int_equal(p9_call(P9_TRENAME, "dds", file_fid(3, 1), dir_fid(2), "f2"), 0);
	press();
	assert_content(file_fid(3, 1), "d0/d1/d2/f1");
	/* That one had its descriptor given back, and its name is another's now. */
	assert_int_equal(attributes(file_fid(2, 2)), ESTALE);
	assert_int_equal(p9_clunk(file_fid(2, 2)), 0);
	/* One that had its descriptor when another took its name keeps it. */
	assert_int_equal(attributes(file_fid(2, 5)), 0);
	assert_int_equal(p9_call(P9_TRENAMEAT, "dsds", dir_fid(3), "f5", dir_fid(2), "f5"), 0);
	press();
	assert_content(file_fid(2, 5), "d0/d1/f5");
	assert_content(file_fid(3, 5), "d0/d1/d2/f5");
	/* To itself. */
	assert_int_equal(p9_call(P9_TRENAMEAT, "dsds", 1, "f9", 1, "f9"), 0);
	press();
	assert_content(file_fid(0, 9), "f9");
	/* The older way to remove. */
	press();
	assert_int_equal(p9_call(P9_TREMOVE, "d", file_fid(3, 1)), 0);
	assert_int_equal(access(p9_path("sub/new/d1/f2"), F_OK), -1);
}

/* Who has lost his name keeps his descriptor, or finds one that is open. */
static void test_unlinked(void **state)
{
	plant();
	press();
	assert_int_equal(attributes(file_fid(5, 1)), 0);
	assert_int_equal(p9_call(P9_TUNLINKAT, "dsd", dir_fid(5), "f1", 0), 0);
	press();
	assert_content(file_fid(5, 1), "d0/d1/d2/d3/d4/f1");
	assert_int_equal(p9_walk(80, "sub"), 0);
	/* Another fid of it is open. */
	assert_int_equal(walk_from(dir_fid(5), 81, "f2"), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 81, O_RDWR), 0);
	press();
	assert_int_equal(p9_call(P9_TUNLINKAT, "dsd", dir_fid(5), "f2", 0), 0);
	press();
	assert_content(file_fid(5, 2), "d0/d1/d2/d3/d4/f2");
	assert_int_equal(p9_call(P9_TWRITE, "dqz", 81, 0ULL, "changed", (size_t)7), 0);
	assert_content(file_fid(5, 2), "changed2/d3/d4/f2");
	/* Removed on the host. */
	press();
	assert_int_equal(unlink(p9_path("d0/d1/d2/d3/d4/f4")), 0);
	assert_int_equal(attributes(file_fid(5, 4)), ESTALE);
	assert_int_equal(p9_clone(file_fid(5, 4), 82), ESTALE);
	assert_int_equal(p9_clunk(file_fid(5, 4)), 0);
	assert_int_equal(attributes(file_fid(5, 4)), EBADF);
}

/* Nobody finds an open one without a descriptor of those that there are. */
static void test_open_ones_are_counted(void **state)
{
	u32 before = open_fds(), lost = 0;

	for (u32 i = 0; i < 2 * FDS; i++)
		assert_int_equal(p9_walk(100 + i, "file"), 0);
	assert_int_equal(p9_walk(80, "file"), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 80, O_RDONLY), 0);
	assert_int_equal(p9_call(P9_TUNLINKAT, "dsd", 1, "file", 0), 0);
	for (u32 i = 0; i < 2 * FDS; i++) {
		int ret = attributes(100 + i);

		assert_true(!ret || ret == ENFILE);
		lost += ret == ENFILE;
	}
	assert_in_range(lost, FDS, 2 * FDS);
	assert_in_range(open_fds(), before, before + FDS);
}

/* Something else at the place is not taken for the file, whatever it is. */
static void test_replaced(void **state)
{
	plant();
	press();
	assert_int_equal(rename(p9_path("d0/d1/f1"), p9_path("kept")), 0);
	p9_make_file("d0/d1/f1", "another");
	assert_int_equal(attributes(file_fid(2, 1)), ESTALE);
	assert_int_equal(rename(p9_path("d0/d1/f2"), p9_path("d0/d1/g2")), 0);
	assert_int_equal(symlink("../../../secret", p9_path("d0/d1/f2")), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", file_fid(2, 2), O_RDONLY), ESTALE);
	press();
	/* A directory on the way is elsewhere now, and a link in its place leads outside. */
	assert_int_equal(rename(p9_path("d0/d1"), p9_path("../away")), 0);
	assert_int_equal(symlink("../../away", p9_path("d0/d1")), 0);
	assert_int_equal(attributes(file_fid(2, 3)), ESTALE);
	assert_int_equal(attributes(file_fid(DIRS, 3)), ESTALE);
	/* And back. */
	assert_int_equal(unlink(p9_path("d0/d1")), 0);
	assert_int_equal(rename(p9_path("../away"), p9_path("d0/d1")), 0);
	assert_content(file_fid(2, 3), "d0/d1/f3");
	assert_content(file_fid(DIRS, 3), "d0/d1/d2/d3/d4/d5/d6/d7/d8/d9/d10/d11/f3");
}

/* The host moves a directory out from under another, the client that other under it: what is known
 * of their places must not go round. */
static void test_no_circle(void **state)
{
	u32 before;

	plant();
	before = open_fds();
	assert_int_equal(attributes(dir_fid(2)), 0);
	assert_int_equal(rename(p9_path("d0/d1"), p9_path("out-of-it")), 0);
	assert_int_equal(p9_call(P9_TRENAMEAT, "dsds", 1, "d0", dir_fid(2), "below"), 0);
	press();
	assert_int_equal(attributes(dir_fid(1)), 0);
	assert_int_equal(attributes(dir_fid(2)), ESTALE);
	assert_int_equal(p9_call(P9_TVERSION, "ds", 8192 + 24, "9P2000.L"), 0);
	assert_in_range(open_fds(), 0, before - 1);
}

/* Fids cost memory, nodes too. */
static void test_bounds(void **state)
{
	u32 n = 2;

	p9c.share->max_fids = 500;
	while (!p9_clone(1, n))
		n++;
	assert_int_equal(get_le(p9c.in + P9_HEADER, 4), ENFILE);
	assert_int_equal(n, 501);
	assert_int_equal(p9_clunk(77), 0);
	assert_int_equal(p9_clone(1, 1000000), 0);
	assert_int_equal(p9_call(P9_TVERSION, "ds", 8192 + 24, "9P2000.L"), 0);
	assert_int_equal(p9_call(P9_TATTACH, "ddssd", 1, P9_NO_FID, "u", "", 0), 0);
	for (n = 2; !p9_walk(n, "file"); n++)
		;
	assert_int_equal(get_le(p9c.in + P9_HEADER, 4), ENFILE);
	assert_int_equal(n, 501);
	/* Each of these holds the ones above it. */
	assert_int_equal(p9_call(P9_TVERSION, "ds", 8192 + 24, "9P2000.L"), 0);
	assert_int_equal(p9_call(P9_TATTACH, "ddssd", 1, P9_NO_FID, "u", "", 0), 0);
	for (n = 2; !p9_call(P9_TWALK, "ddwss", 1, n, 2, "sub", "deep"); n++)
		if (p9_next(2) != 2)
			break;
	assert_int_equal(n, 2 + 499 / 2);
}

/* Values of attributes are memory as well. */
static void test_values(void **state)
{
	u32 n = 0;

	for (; n < 1000; n++)
		if (p9_clone(1, 100 + n) ||
		    p9_call(P9_TXATTRCREATE, "dsqd", 100 + n, "user.big", 65536ULL, 0))
			break;
	assert_int_equal(get_le(p9c.in + P9_HEADER, 4), ENOMEM);
	assert_int_equal(n, 256);
	assert_int_equal(p9_clunk(100), EINVAL);
	assert_int_equal(p9_call(P9_TXATTRCREATE, "dsqd", 356, "user.big", 65536ULL, 0), 0);
	assert_int_equal(p9_call(P9_TVERSION, "ds", 8192 + 24, "9P2000.L"), 0);
	assert_int_equal(p9_call(P9_TATTACH, "ddssd", 1, P9_NO_FID, "u", "", 0), 0);
	assert_int_equal(p9_call(P9_TXATTRCREATE, "dsqd", 1, "user.big", 65536ULL, 0), 0);
}

/* Many at once */

#define STORM 96u
#define FIDS  6u

static struct blow {
	struct p9_request req;
	struct iovec out, in;
	u8 message[256], answer[4096];
} blows[STORM];
static u32 landed;

static void on_landed(struct p9_request *req, int ret)
{
	struct blow *b = container_of(req, struct blow, req);

	assert_true(ret >= 0);
	if (ret) {
		assert_int_equal(get_le(b->answer, 4), ret);
		assert_true(b->answer[4] == b->message[4] + 1 || b->answer[4] == P9_TLERROR + 1);
	}
	landed++;
}

static u64 seed = 1;

static u32 pick(u32 n)
{
	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (u32)(seed >> 33) % n;
}

static size_t any_request(u8 *out, u16 tag)
{
	static const char *const names[] = { "file", "sub", "a", "b", "..", "out" };
	const char *name = names[pick(ARRAY_SIZE(names))], *other = names[2 + pick(2)];
	u32 fid = 2 + pick(FIDS), to = 2 + pick(FIDS);

	switch (pick(16)) {
	case 0:
	case 1:
		return p9_message(out, P9_TWALK, tag, "ddws", 1, fid, 1, name);
	case 2:
		return p9_message(out, P9_TWALK, tag, "ddws", fid, to, 1, name);
	case 3:
		return p9_message(out, P9_TWALK, tag, "ddw", fid, to, 0);
	case 4:
	case 5:
		return p9_message(out, P9_TLOPEN, tag, "dd", fid, pick(3));
	case 6:
		return p9_message(out, P9_TLCREATE, tag, "dsddd", fid, other, O_RDWR, 0644, 0);
	case 7:
	case 8:
		return p9_message(out, P9_TCLUNK, tag, "d", fid);
	case 9:
		return p9_message(out, P9_TREMOVE, tag, "d", fid);
	case 10:
		return p9_message(out, P9_TRENAME, tag, "dds", fid, pick(2) ? 1 : to, other);
	case 11:
		return p9_message(out, P9_TRENAMEAT, tag, "dsds", 1, other, fid, name);
	case 12:
		return p9_message(out, P9_TUNLINKAT, tag, "dsd", 1, other, 0);
	case 13:
		return p9_message(out, P9_TREAD, tag, "dqd", fid, 0ULL, 100);
	case 14:
		return p9_message(out, P9_TFLUSH, tag, "w", pick(STORM));
	default:
		return p9_message(out, P9_TGETATTR, tag, "dq", fid, 0x7ffULL);
	}
}

/* A request of @len bytes, in its message. */
static void strike(u16 i, size_t len)
{
	struct blow *b = &blows[i];

	b->out = (struct iovec){ b->message, len };
	b->in = (struct iovec){ b->answer, sizeof(b->answer) };
	b->req = (struct p9_request){
		.out = &b->out,
		.in = &b->in,
		.nr_out = 1,
		.nr_in = 1,
		.out_len = b->out.iov_len,
		.in_len = b->in.iov_len,
		.done = on_landed,
	};
	p9_submit(p9c.p9, &b->req);
}

static void wait_landed(u32 nr)
{
	p9_kick(p9c.p9);
	while (landed < nr)
		event_loop_drain(&p9c.loop);
}

/* A file is found again while its name is being moved. */
static void test_moving(void **state)
{
	const u32 nr = 24, others = 2 * FDS, rounds = 300;

	p9_begin(false, P9_WORKERS);
	p9_mount();
	p9c.share->max_fds = FDS;
	for (u32 i = 0; i < nr; i++)
		assert_int_equal(p9_walk(100 + i, "file"), 0);
	for (u32 i = 0; i < others; i++)
		assert_int_equal(p9_walk(200 + i, "sub"), 0);
	for (u32 round = 0; round < rounds; round++) {
		const char *from = round & 1 ? "moved" : "file", *to = round & 1 ? "file" : "moved";

		for (u32 i = 0; i < others; i++)
			assert_int_equal(attributes(200 + i), 0);
		landed = 0;
		for (u16 i = 0; i <= nr; i++)
			strike(i, i == nr / 4 ? p9_message(blows[i].message, P9_TRENAMEAT, i,
							   "dsds", 1, from, 1, to)
					      : p9_message(blows[i].message, P9_TGETATTR, i, "dq",
							   100 + i % nr, 0x7ffULL));
		wait_landed(nr + 1);
		for (u32 i = 0; i <= nr; i++)
			assert_int_equal(blows[i].answer[4], blows[i].message[4] + 1);
	}
	p9_end();
}

/* Opened, cloned, renamed, removed and clunked on all threads at once: a fid that is replaced while
 * another request uses it, or drops it, is freed once, and so is what it stands for. */
static void test_storm(void **state)
{
	u32 before, rounds = getenv("P9_ROUNDS") ? (u32)atoi(getenv("P9_ROUNDS")) : 200;

	p9_begin(false, P9_WORKERS);
	before = open_fds();
	p9_mount();
	p9c.share->max_fds = 2 * FIDS + 2 + 2 * P9_WORKERS;
	for (u32 round = 0; round < rounds; round++) {
		landed = 0;
		for (u16 i = 0; i < STORM; i++)
			strike(i, any_request(blows[i].message, i));
		wait_landed(STORM);
	}
	/* Both are as they were when the last fid has gone. */
	for (u32 fid = 1; fid < 2 + FIDS; fid++)
		p9_clunk(fid);
	assert_false(p9_in_use(p9c.p9));
	assert_int_equal(open_fds(), before);
	p9_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_more_than_descriptors, begin, end),
		cmocka_unit_test_setup_teardown(test_renamed, begin, end),
		cmocka_unit_test_setup_teardown(test_unlinked, begin, end),
		cmocka_unit_test_setup_teardown(test_open_ones_are_counted, begin, end),
		cmocka_unit_test_setup_teardown(test_replaced, begin, end),
		cmocka_unit_test_setup_teardown(test_no_circle, begin, end),
		cmocka_unit_test_setup_teardown(test_bounds, begin, end),
		cmocka_unit_test_setup_teardown(test_values, begin, end),
		cmocka_unit_test(test_moving),
		cmocka_unit_test(test_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
