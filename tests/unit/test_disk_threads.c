/* SPDX-License-Identifier: MIT */
/*
 * disk/threads.c over a host that answers when the test says so, by a clock that the test sets: who
 * serves what, how many at once, cancel, close, and limits. No clock decides a verdict.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../../disk/threads.h"
#include "capture.h"
#include "lkvm/event.h"
#include "lkvm/util.h"

#define US 1000ULL
#define MS (1000 * US)

/* A request and what the host is to do with it. */
struct job {
	struct disk_request req;
	struct bench *bench;
	bool blocks;	    /* until @go is posted: the loop is told -EAGAIN */
	bool cannot_tell;   /* the loop is told -EOPNOTSUPP */
	unsigned int tried; /* by the loop */
	sem_t go;
	u64 takes; /* nanoseconds of the test's clock */
	pthread_t server;
	bool is_done;
	int ret;
	unsigned int order, resubmit;
	struct job *lets_go; /* once this one is done */
};

struct bench {
	struct event_loop loop;
	struct disk disk;
	struct disk_queue *dq;
	unsigned int nr_done, nr_ended, stop_at;
};

static sem_t begun;
static atomic_uint answered;
static unsigned int rooms;
static int room_error;

/* What a thread measures is what its request takes. */
static _Thread_local u64 clock_ns;

static u64 test_now(void)
{
	return clock_ns;
}

static int room_create(struct disk *disk, void **room)
{
	if (room_error)
		return room_error;
	*room = malloc(1);
	rooms++;
	return 0;
}

static void room_destroy(void *room)
{
	rooms -= room != NULL;
	free(room);
}

static int serve(struct disk *disk, void *room, const struct disk_request *req)
{
	struct job *j = container_of((struct disk_request *)req, struct job, req);

	j->server = pthread_self();
	sem_post(&begun);
	if (j->blocks)
		while (sem_wait(&j->go))
			;
	clock_ns += j->takes;
	answered++;
	return 0;
}

static int serve_now(struct disk *disk, const struct disk_request *req)
{
	struct job *j = container_of((struct disk_request *)req, struct job, req);

	assert_true(req->op == DISK_READ || req->op == DISK_WRITE);
	assert_false(req->flags & DISK_FUA);
	j->tried++;
	if (j->cannot_tell)
		return -EOPNOTSUPP;
	return j->blocks ? -EAGAIN : serve(disk, NULL, req);
}

static struct disk_blocking_ops test_ops = {
	.room_create = room_create,
	.room_destroy = room_destroy,
	.serve = serve,
	.serve_now = serve_now,
	.now = test_now,
};

/* pthread_create that fails when the test wants it. */
static int threads_left = -1;

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
	static int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	if (!threads_left)
		return EAGAIN;
	threads_left -= threads_left > 0;
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
	return real(thread, attr, fn, arg);
}

static unsigned int reads;

ssize_t read(int fd, void *buf, size_t len)
{
	static ssize_t (*real)(int, void *, size_t);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "read");
	reads++;
	return real(fd, buf, len);
}

static void on_done(struct disk_request *req, int ret)
{
	struct job *j = container_of(req, struct job, req);
	struct bench *b = j->bench;

	if (j->resubmit) {
		j->resubmit--;
		disk_submit(b->dq, req);
		disk_queue_kick(b->dq);
		return;
	}
	assert_false(j->is_done);
	j->is_done = true;
	j->ret = ret;
	if (j->lets_go)
		sem_post(&j->lets_go->go);
	j->order = b->nr_done++;
	if (b->nr_done == b->stop_at)
		event_loop_stop(&b->loop);
}

static void on_ended(void *opaque)
{
	((struct bench *)opaque)->nr_ended++;
}

static void bench_begin(struct bench *b)
{
	memset(b, 0, sizeof(*b));
	sem_init(&begun, 0, 0);
	b->disk.path = "image";
	assert_int_equal(event_loop_init(&b->loop, "disk"), 0);
	assert_int_equal(disk_threads_open(&b->disk, &test_ops, &b->loop, 128, &b->dq), 0);
	b->dq->may_wait = true;
	b->dq->ended = on_ended;
	b->dq->opaque = b;
}

static void bench_end(struct bench *b)
{
	disk_queue_close(b->dq);
	event_loop_destroy(&b->loop);
	assert_int_equal(rooms, 0);
}

/* Serve the loop until @n requests are done in all. */
static void run_until(struct bench *b, unsigned int n)
{
	b->stop_at = n;
	if (b->nr_done < n) {
		event_loop_rearm(&b->loop);
		event_loop_run(&b->loop);
	}
	assert_int_equal(b->nr_done, n);
}

static void wait_begun(unsigned int n)
{
	while (n--)
		while (sem_wait(&begun))
			;
}

static void prepare(struct bench *b, struct job *j, enum disk_op op, u64 takes, bool blocks)
{
	memset(j, 0, sizeof(*j));
	sem_init(&j->go, 0, 0);
	j->bench = b;
	j->takes = takes;
	j->blocks = blocks;
	j->req.op = op;
	j->req.done = on_done;
}

static void submit(struct bench *b, struct job *j, enum disk_op op, u64 takes, bool blocks)
{
	prepare(b, j, op, takes, blocks);
	disk_submit(b->dq, &j->req);
}

/* @n requests, one after the other, of a host that takes @takes for each. */
static void teach(struct bench *b, unsigned int n, enum disk_op op, u64 takes)
{
	while (n--) {
		struct job j;

		submit(b, &j, op, takes, false);
		disk_queue_kick(b->dq);
		run_until(b, b->nr_done + !j.is_done);
		wait_begun(1);
	}
}

static bool served_here(const struct job *j)
{
	return j->is_done && pthread_equal(j->server, pthread_self());
}

/* The first of its kind may take minutes: not on the loop. What is quick is done by submit. */
static void test_quick(void **state)
{
	struct bench b;
	struct job j[3];

	bench_begin(&b);
	submit(&b, &j[0], DISK_READ, 5 * US, false);
	disk_queue_kick(b.dq);
	run_until(&b, 1);
	assert_false(served_here(&j[0]));
	for (unsigned int i = 0; i < 3; i++) {
		submit(&b, &j[i], DISK_READ, 5 * US, false);
		assert_true(served_here(&j[i]));
	}
	/* Flushes are judged by themselves, and so are writes that reach the medium. */
	submit(&b, &j[0], DISK_FLUSH, 5 * MS, false);
	disk_queue_kick(b.dq);
	run_until(&b, 5);
	assert_false(served_here(&j[0]));
	submit(&b, &j[1], DISK_READ, 5 * US, false);
	assert_true(served_here(&j[1]));
	assert_int_equal(disk_queue_busy(b.dq), 0);
	bench_end(&b);
}

/* Each end of a worker's request is heard of, and no call is made to read that. */
static void test_unread(void **state)
{
	struct bench b;

	bench_begin(&b);
	reads = 0;
	teach(&b, 20, DISK_FLUSH, 5 * MS);
	assert_int_equal(reads, 0);
	bench_end(&b);
}

/* Fast, then stuck: that request waits, and nothing else does. */
static void test_stuck(void **state)
{
	struct job stuck, write, next;
	struct bench b;

	bench_begin(&b);
	teach(&b, 8, DISK_READ, 5 * US);
	submit(&b, &write, DISK_WRITE, 5 * US, true);
	disk_queue_kick(b.dq);
	wait_begun(1);
	submit(&b, &stuck, DISK_READ, 5 * US, true);
	disk_queue_kick(b.dq);
	wait_begun(1);
	assert_int_equal(stuck.tried, 1);
	sem_post(&write.go);
	run_until(&b, 9);
	assert_true(write.is_done);
	submit(&b, &next, DISK_READ, 5 * US, false);
	assert_true(served_here(&next));
	assert_false(stuck.is_done);
	sem_post(&stuck.go);
	run_until(&b, 11);
	assert_int_equal(stuck.ret, 0);
	bench_end(&b);
}

/* A host that cannot tell is asked once: then quick ones are the loop's when they are alone. */
static void test_untold(void **state)
{
	struct job first, j[2];
	struct bench b;

	bench_begin(&b);
	teach(&b, 8, DISK_WRITE, 5 * US);
	prepare(&b, &first, DISK_WRITE, 5 * US, false);
	first.cannot_tell = true;
	disk_submit(b.dq, &first.req);
	disk_queue_kick(b.dq);
	run_until(&b, 9);
	assert_false(served_here(&first));
	submit(&b, &j[0], DISK_WRITE, 5 * US, false);
	assert_false(j[0].is_done);
	disk_queue_kick(b.dq);
	assert_true(served_here(&j[0]));
	assert_int_equal(j[0].tried, 0);
	wait_begun(2);
	/* Beside another one it is a worker's. */
	submit(&b, &j[0], DISK_FLUSH, 5 * US, true);
	disk_queue_kick(b.dq);
	wait_begun(1);
	submit(&b, &j[1], DISK_WRITE, 5 * US, false);
	disk_queue_kick(b.dq);
	run_until(&b, 11);
	assert_false(served_here(&j[1]));
	sem_post(&j[0].go);
	run_until(&b, 12);
	bench_end(&b);
}

/* A flush is never the loop's, nor what contains one. */
/* Where workers would wait for each other, quick ones are the loop's as they come; not beside a
 * worker's, and not when they have become slow. */
static void test_one_by_one(void **state)
{
	struct job first, flush, j[4];
	struct bench b;

	test_ops.one_by_one = true;
	bench_begin(&b);
	teach(&b, 8, DISK_WRITE, 5 * US);
	prepare(&b, &first, DISK_WRITE, 5 * US, false);
	first.cannot_tell = true;
	disk_submit(b.dq, &first.req);
	disk_queue_kick(b.dq);
	run_until(&b, 9);
	for (unsigned int i = 0; i < 3; i++) {
		submit(&b, &j[i], DISK_WRITE, i == 2 ? MS : 5 * US, false);
		assert_true(served_here(&j[i]));
	}
	submit(&b, &j[0], DISK_WRITE, 5 * US, false);
	assert_false(j[0].is_done);
	disk_queue_kick(b.dq);
	run_until(&b, 13);
	assert_false(served_here(&j[0]));
	teach(&b, 40, DISK_WRITE, 5 * US);
	submit(&b, &flush, DISK_FLUSH, 5 * US, true);
	disk_queue_kick(b.dq);
	/* This one, and those five that were not waited for. */
	wait_begun(6);
	submit(&b, &j[3], DISK_WRITE, 5 * US, false);
	assert_false(j[3].is_done);
	disk_queue_kick(b.dq);
	run_until(&b, 54);
	assert_false(served_here(&j[3]));
	sem_post(&flush.go);
	run_until(&b, 55);
	bench_end(&b);
	test_ops.one_by_one = false;
}

static void test_flush(void **state)
{
	struct bench b;
	struct job j;

	bench_begin(&b);
	teach(&b, 8, DISK_READ, 5 * US);
	teach(&b, 8, DISK_WRITE, 5 * US);
	teach(&b, 8, DISK_FLUSH, 5 * US);
	submit(&b, &j, DISK_READ, 5 * US, false);
	assert_true(served_here(&j));
	submit(&b, &j, DISK_FLUSH, 5 * US, false);
	disk_queue_kick(b.dq);
	run_until(&b, 26);
	assert_false(served_here(&j));
	prepare(&b, &j, DISK_WRITE, 5 * US, false);
	j.req.flags = DISK_FUA;
	disk_submit(b.dq, &j.req);
	disk_queue_kick(b.dq);
	run_until(&b, 27);
	assert_false(served_here(&j));
	bench_end(&b);
}

/* Where the caller must not wait, workers serve what is quick, too. */
static void test_must_not_wait(void **state)
{
	struct bench b;
	struct job j;

	bench_begin(&b);
	teach(&b, 8, DISK_READ, 5 * US);
	assert_int_equal(b.nr_ended, 1);
	b.dq->may_wait = false;
	submit(&b, &j, DISK_READ, 5 * US, false);
	disk_queue_kick(b.dq);
	run_until(&b, 9);
	assert_false(served_here(&j));
	assert_int_equal(b.nr_ended, 2);
	bench_end(&b);
}

/* Not so quick: alone on the loop, several by workers; slow: never on the loop. */
static void test_alone(void **state)
{
	struct bench b;
	struct job j[2];

	bench_begin(&b);
	teach(&b, 1, DISK_READ, 200 * US);
	submit(&b, &j[0], DISK_READ, 200 * US, false);
	assert_false(j[0].is_done);
	disk_queue_kick(b.dq);
	assert_true(served_here(&j[0]));
	for (unsigned int i = 0; i < 2; i++)
		submit(&b, &j[i], DISK_READ, 200 * US, false);
	disk_queue_kick(b.dq);
	run_until(&b, 4);
	assert_false(served_here(&j[0]) || served_here(&j[1]));
	teach(&b, 1, DISK_READ, 10 * MS);
	submit(&b, &j[0], DISK_READ, 10 * MS, false);
	disk_queue_kick(b.dq);
	run_until(&b, 6);
	assert_false(served_here(&j[0]));
	bench_end(&b);
}

/* A host that has become quick is noticed. */
static void test_quick_again(void **state)
{
	struct bench b;
	struct job j;

	bench_begin(&b);
	teach(&b, 8, DISK_READ, 10 * MS);
	teach(&b, 60, DISK_READ, 2 * US);
	submit(&b, &j, DISK_READ, 2 * US, false);
	assert_true(served_here(&j));
	bench_end(&b);
}

/* Several with the host; each ends when the host has it, in any order, and others begin. */
static void test_several(void **state)
{
	struct bench b;
	struct job j[6];

	bench_begin(&b);
	teach(&b, 8, DISK_READ, 2 * MS);
	for (unsigned int i = 0; i < ARRAY_SIZE(j); i++)
		submit(&b, &j[i], DISK_READ, 2 * MS, true);
	disk_queue_kick(b.dq);
	wait_begun(DISK_WORKERS);
	assert_int_equal(disk_queue_busy(b.dq), 6);
	sem_post(&j[2].go);
	run_until(&b, 9);
	assert_true(j[2].is_done);
	for (unsigned int i = 0; i < ARRAY_SIZE(j); i++)
		assert_int_equal(j[i].is_done, i == 2);
	wait_begun(1);
	sem_post(&j[4].go);
	run_until(&b, 10);
	assert_true(j[4].is_done);
	wait_begun(1);
	for (unsigned int i = 0; i < ARRAY_SIZE(j); i++)
		sem_post(&j[i].go);
	run_until(&b, 14);
	assert_int_equal(disk_queue_busy(b.dq), 0);
	bench_end(&b);
}

static void test_cancel(void **state)
{
	struct bench b;
	struct job j[6];

	bench_begin(&b);
	teach(&b, 8, DISK_WRITE, 2 * MS);
	for (unsigned int i = 0; i < ARRAY_SIZE(j); i++)
		submit(&b, &j[i], DISK_WRITE, 2 * MS, true);
	disk_queue_kick(b.dq);
	wait_begun(DISK_WORKERS);
	disk_queue_cancel(b.dq);
	for (unsigned int i = 0; i < ARRAY_SIZE(j); i++) {
		assert_int_equal(j[i].is_done, i >= DISK_WORKERS);
		assert_int_equal(j[i].ret, i >= DISK_WORKERS ? -ECANCELED : 0);
	}
	assert_int_equal(disk_queue_busy(b.dq), DISK_WORKERS);
	for (unsigned int i = 0; i < DISK_WORKERS; i++)
		sem_post(&j[i].go);
	run_until(&b, 14);
	for (unsigned int i = 0; i < DISK_WORKERS; i++)
		assert_int_equal(j[i].ret, 0);
	bench_end(&b);
}

/* A disk of a quarter of a second gets one request at a time, and several again when it is better.
 */
static void test_very_slow(void **state)
{
	struct bench b;
	struct job j[4];

	bench_begin(&b);
	teach(&b, 8, DISK_READ, 2 * MS);
	teach(&b, 1, DISK_READ, 250 * MS);
	for (unsigned int i = 0; i < ARRAY_SIZE(j); i++)
		submit(&b, &j[i], DISK_READ, 250 * MS, true);
	disk_queue_kick(b.dq);
	wait_begun(1);
	sem_post(&j[0].go);
	wait_begun(1);
	disk_queue_cancel(b.dq);
	assert_int_equal(j[2].ret, -ECANCELED);
	assert_int_equal(j[3].ret, -ECANCELED);
	sem_post(&j[1].go);
	run_until(&b, 13);
	teach(&b, DISK_WORKERS, DISK_READ, 2 * MS);
	for (unsigned int i = 0; i < ARRAY_SIZE(j); i++)
		submit(&b, &j[i], DISK_READ, 2 * MS, true);
	disk_queue_kick(b.dq);
	wait_begun(DISK_WORKERS);
	for (unsigned int i = 0; i < ARRAY_SIZE(j); i++)
		sem_post(&j[i].go);
	run_until(&b, 21);
	bench_end(&b);
}

/* done() may submit again, whether it runs inside submit, inside kick or from a worker's end. */
static void test_submit_from_done(void **state)
{
	static const u64 takes[] = { 5 * US, 200 * US, 5 * MS };
	struct bench b;

	bench_begin(&b);
	for (unsigned int i = 0; i < ARRAY_SIZE(takes); i++) {
		struct job j;

		teach(&b, 60, DISK_READ, takes[i]);
		submit(&b, &j, DISK_READ, takes[i], false);
		if (j.is_done)
			wait_begun(1);
		j.resubmit = j.is_done ? 0 : 5;
		disk_queue_kick(b.dq);
		run_until(&b, 61 * (i + 1));
		wait_begun(j.is_done && i ? 6 : 0);
	}
	bench_end(&b);
}

/* Close waits for what is under way, drops the rest, and every done() has run. */
static void test_close(void **state)
{
	struct bench b;
	struct job j[3];

	bench_begin(&b);
	for (unsigned int i = 0; i < 3; i++)
		submit(&b, &j[i], DISK_READ, 2 * MS, true);
	disk_queue_kick(b.dq);
	wait_begun(1);
	/* The host answers after the rest was canceled, not before. */
	j[1].lets_go = &j[0];
	disk_queue_close(b.dq);
	assert_int_equal(b.nr_done, 3);
	assert_int_equal(j[0].ret, 0);
	assert_int_equal(j[1].ret, -ECANCELED);
	assert_int_equal(j[2].ret, -ECANCELED);
	event_loop_destroy(&b.loop);
	assert_int_equal(rooms, 0);
}

/* A while after the queue was asked to finish, as likely as not. */
static void *let_go_later(void *arg)
{
	struct job *j = arg;

	for (int i = 0; i < 10000; i++)
		sched_yield();
	sem_post(&j->go);
	return NULL;
}

/* The process ends: what is under way ends first, and nothing begins any more. */
static void test_finish(void **state)
{
	pthread_t other;
	struct bench b;
	struct job j[3];

	bench_begin(&b);
	teach(&b, 60, DISK_WRITE, 5 * US);
	submit(&b, &j[0], DISK_READ, 2 * MS, true);
	disk_queue_kick(b.dq);
	wait_begun(1);
	submit(&b, &j[1], DISK_READ, 2 * MS, false);
	answered = 0;
	assert_int_equal(pthread_create(&other, NULL, let_go_later, &j[0]), 0);
	disk_queue_finish(b.dq);
	assert_int_equal(answered, 1);
	pthread_join(other, NULL);
	/* One that the loop would serve at once. */
	submit(&b, &j[2], DISK_WRITE, 5 * US, false);
	disk_queue_kick(b.dq);
	assert_false(j[2].is_done);
	/* The loop's and the first worker's: nobody is called for what does not begin. */
	assert_int_equal(rooms, 2);
	/* Nothing to wait for. */
	disk_queue_finish(b.dq);
	disk_queue_close(b.dq);
	assert_int_equal(answered, 1);
	assert_int_equal(j[0].ret, 0);
	assert_int_equal(j[1].ret, -ECANCELED);
	assert_int_equal(j[2].ret, -ECANCELED);
	event_loop_destroy(&b.loop);
	assert_int_equal(rooms, 0);
}

static unsigned int count_entries(const char *path)
{
	DIR *dir = opendir(path);
	unsigned int n = 0;

	assert_non_null(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static void open_fails(struct bench *b, int expect, const char *says)
{
	const char *text;
	int ret;

	capture_begin();
	ret = disk_threads_open(&b->disk, &test_ops, &b->loop, 128, &b->dq);
	text = capture_end();
	assert_int_equal(ret, expect);
	assert_one_line(text);
	assert_contains(text, "--disk image: ");
	assert_contains(text, says);
	assert_int_equal(rooms, 0);
}

/* At a limit there is one line that names it, and nothing is left behind. */
static void test_limits(void **state)
{
	struct bench b = { .disk = { .path = "image" } };
	struct rlimit old, none;
	unsigned int fds;

	assert_int_equal(event_loop_init(&b.loop, "disk"), 0);
	fds = count_entries("/proc/self/fd");
	threads_left = 0;
	open_fails(&b, -EAGAIN, "pids.max");
	threads_left = -1;
	room_error = -ENOMEM;
	open_fails(&b, -ENOMEM, "Cannot allocate memory");
	room_error = 0;
	assert_int_equal(count_entries("/proc/self/fd"), fds);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = old.rlim_max };
	/* capture_begin wants descriptors: they are there before the limit is. */
	capture_begin();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(disk_threads_open(&b.disk, &test_ops, &b.loop, 128, &b.dq), -EMFILE);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_contains(capture_end(), "ulimit -n");
	assert_int_equal(count_entries("/proc/self/fd"), fds);
	event_loop_destroy(&b.loop);
}

/* A disk has a thread from the beginning, others when several requests want one; where there are no
 * more, those that there are serve all. */
static void test_few_threads(void **state)
{
	struct bench b;
	struct job j[4];

	threads_left = 3;
	bench_begin(&b);
	assert_int_equal(threads_left, 2);
	teach(&b, 8, DISK_READ, 2 * MS);
	assert_int_equal(threads_left, 2);
	for (unsigned int i = 0; i < ARRAY_SIZE(j); i++)
		submit(&b, &j[i], DISK_READ, 2 * MS, true);
	capture_begin();
	disk_queue_kick(b.dq);
	assert_one_line(capture_end());
	assert_int_equal(threads_left, 0);
	wait_begun(3);
	sem_post(&j[1].go);
	run_until(&b, 9);
	wait_begun(1);
	for (unsigned int i = 0; i < ARRAY_SIZE(j); i++)
		sem_post(&j[i].go);
	run_until(&b, 12);
	threads_left = -1;
	bench_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unread),		 cmocka_unit_test(test_stuck),
		cmocka_unit_test(test_untold),		 cmocka_unit_test(test_flush),
		cmocka_unit_test(test_one_by_one),	 cmocka_unit_test(test_quick),
		cmocka_unit_test(test_must_not_wait),	 cmocka_unit_test(test_alone),
		cmocka_unit_test(test_quick_again),	 cmocka_unit_test(test_several),
		cmocka_unit_test(test_cancel),		 cmocka_unit_test(test_very_slow),
		cmocka_unit_test(test_submit_from_done), cmocka_unit_test(test_close),
		cmocka_unit_test(test_finish),		 cmocka_unit_test(test_few_threads),
		cmocka_unit_test(test_limits),
	};

	/* What hangs ends, minutes later. */
	alarm(600);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
