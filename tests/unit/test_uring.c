/* SPDX-License-Identifier: MIT */
/*
 * disk/uring.c over real files: batches, results in part, cancel, finish and close with requests
 * under way, a pipe as a disk that answers when the test says so, and hosts without io_uring.
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../disk/uring.h"
#include "capture.h"
#include "lkvm/event.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "waits.h"

#define NR   64
#define SIZE 4096u

struct job {
	struct disk_request req;
	struct iovec iov;
	u8 data[SIZE];
	int ret, done;
};

static struct event_loop loop;
static struct disk disk;
static struct disk_queue *dq;
static struct job jobs[NR];
static int fd = -1, peer = -1;
static unsigned int nr_done, nr_ended, nr_begun, nr_end, nr_served, stop_at;
static bool refuse, buffered;

static bool ring_begin(struct disk *d, const struct disk_request *req)
{
	if (refuse)
		return false;
	nr_begun++;
	return true;
}

static void ring_end(struct disk *d, const struct disk_request *req)
{
	nr_end++;
}

static int room_create(struct disk *d, void **room)
{
	*room = NULL;
	return 0;
}

static void room_destroy(void *room) {}

/* The worker: what it serves ends as -EIO. */
static int serve(struct disk *d, void *room, const struct disk_request *req)
{
	__atomic_add_fetch(&nr_served, 1, __ATOMIC_SEQ_CST);
	return -EIO;
}

static const struct disk_blocking_ops blocking = {
	.room_create = room_create,
	.room_destroy = room_destroy,
	.serve = serve,
};

static const struct disk_uring_ops ops = {
	.ring_begin = ring_begin,
	.ring_end = ring_end,
	.rest = &blocking,
};

static void on_done(struct disk_request *req, int ret)
{
	struct job *j = container_of(req, struct job, req);

	j->ret = ret;
	assert_int_equal(j->done++, 0);
	if (++nr_done == stop_at)
		event_loop_stop(&loop);
}

static void on_ended(void *opaque)
{
	nr_ended++;
}

static void begin(void)
{
	int ret;

	memset(jobs, 0, sizeof(jobs));
	nr_done = nr_ended = nr_begun = nr_end = nr_served = stop_at = 0;
	refuse = false;
	disk = (struct disk){ .path = "image" };
	assert_int_equal(event_loop_init(&loop, "disk"), 0);
	ret = disk_uring_open(&disk, &ops, fd, buffered, &loop, NR, &dq);
	if (ret == -EOPNOTSUPP) {
		event_loop_destroy(&loop);
		skip();
	}
	assert_int_equal(ret, 0);
	dq->ended = on_ended;
}

/* A file whose block i is full of i. */
static void begin_file(unsigned int blocks)
{
	u8 block[SIZE];

	fd = memfd_create("image", MFD_CLOEXEC);
	assert_true(fd >= 0);
	for (unsigned int i = 0; i < blocks; i++) {
		memset(block, (int)i, sizeof(block));
		assert_int_equal(pwrite(fd, block, SIZE, (off_t)i * SIZE), SIZE);
	}
	begin();
}

/* A disk whose reads end when the test sends something. */
static void begin_slow(void)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	fd = pair[0];
	peer = pair[1];
	begin();
}

static void answer(unsigned int n)
{
	static const u8 block[SIZE];

	while (n--)
		assert_int_equal(send(peer, block, SIZE, 0), SIZE);
}

static void end(void)
{
	if (dq)
		disk_queue_close(dq);
	dq = NULL;
	event_loop_destroy(&loop);
	close(fd);
	if (peer >= 0)
		close(peer);
	fd = peer = -1;
}

static void submit(unsigned int i, enum disk_op op)
{
	struct job *j = &jobs[i];

	j->iov = (struct iovec){ j->data, SIZE };
	j->done = 0;
	j->req = (struct disk_request){ .op = op,
					/* A socket has no place to read from. */
					.offset = peer < 0 ? (u64)i * SIZE : 0,
					.len = op == DISK_FLUSH ? 0 : SIZE,
					.iov = &j->iov,
					.iovcnt = 1,
					.done = on_done };
	disk_submit(dq, &j->req);
}

static void run_until(unsigned int n)
{
	stop_at = n;
	if (nr_done < n) {
		event_loop_rearm(&loop);
		event_loop_run(&loop);
	}
	assert_int_equal(nr_done, n);
}

static void test_batch(void **state)
{
	begin_file(NR);
	for (unsigned int i = 0; i < NR; i++)
		submit(i, DISK_READ);
	assert_int_equal(disk_queue_busy(dq), NR);
	disk_queue_kick(dq);
	run_until(NR);
	for (unsigned int i = 0; i < NR; i++) {
		assert_int_equal(jobs[i].ret, 0);
		assert_int_equal(jobs[i].data[0], i);
		assert_int_equal(jobs[i].data[SIZE - 1], i);
	}
	assert_int_equal(disk_queue_busy(dq), 0);
	assert_int_equal(nr_begun, NR);
	assert_int_equal(nr_end, NR);
	assert_int_equal(nr_served, 0);
	end();
}

static void test_write_and_flush(void **state)
{
	u8 byte;

	begin_file(1);
	memset(jobs[3].data, 0x5a, SIZE);
	submit(3, DISK_WRITE);
	jobs[3].req.flags = DISK_FUA;
	disk_queue_kick(dq);
	run_until(1);
	assert_int_equal(jobs[3].ret, 0);
	submit(4, DISK_FLUSH);
	disk_queue_kick(dq);
	run_until(2);
	assert_int_equal(jobs[4].ret, 0);
	assert_int_equal(pread(fd, &byte, 1, 3 * SIZE + 7), 1);
	assert_int_equal(byte, 0x5a);
	end();
}

/* What the file gives in part, what the ring does not do and what the back end keeps from it. */
static void test_rest(void **state)
{
	begin_file(1);
	assert_int_equal(ftruncate(fd, SIZE / 2), 0);
	submit(0, DISK_READ);
	submit(1, DISK_DISCARD);
	disk_queue_kick(dq);
	run_until(2);
	refuse = true;
	submit(2, DISK_READ);
	disk_queue_kick(dq);
	run_until(3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(jobs[i].ret, -EIO);
	assert_int_equal(nr_served, 3);
	assert_int_equal(nr_end, nr_begun);
	assert_int_equal(disk_queue_busy(dq), 0);
	assert_true(nr_ended >= 1);
	end();
}

/* Only some are with the host; the others can be taken back. */
static void test_cancel(void **state)
{
	unsigned int with_host;

	begin_slow();
	for (unsigned int i = 0; i < NR; i++)
		submit(i, DISK_READ);
	disk_queue_kick(dq);
	with_host = nr_begun;
	assert_in_range(with_host, 1, NR / 2);
	disk_queue_cancel(dq);
	assert_int_equal(nr_done, NR - with_host);
	for (unsigned int i = with_host; i < NR; i++)
		assert_int_equal(jobs[i].ret, -ECANCELED);
	assert_int_equal(disk_queue_busy(dq), with_host);
	answer(with_host);
	run_until(NR);
	for (unsigned int i = 0; i < with_host; i++)
		assert_int_equal(jobs[i].ret, 0);
	end();
}

/* What ends soon makes room for more at once. */
static void test_window(void **state)
{
	unsigned int first;

	begin_slow();
	for (unsigned int i = 0; i < NR; i++)
		submit(i, DISK_READ);
	disk_queue_kick(dq);
	first = nr_begun;
	answer(1);
	run_until(1);
	assert_true(nr_begun >= first + 1);
	for (unsigned int n = 2; n <= NR; n++) {
		answer(1);
		run_until(n);
	}
	end();
}

/* In a process of its own, whose io_uring_enter fails from now on. */
static int without_memory(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_enter, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EAGAIN),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = ARRAY_SIZE(code), .filter = code };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		return 77;
	submit(0, DISK_READ);
	disk_queue_kick(dq);
	return nr_begun == 1 && !nr_done && loop.timers ? 0 : 1;
}

/* Where the kernel has no memory, and so no result will come, it is asked again in a while. */
static void test_no_memory(void **state)
{
	int status;
	pid_t pid;

	begin_file(1);
	pid = fork();
	if (!pid)
		_exit(without_memory());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	end();
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

/* So many long requests are with the host by one kick, after as many short ones. */
static unsigned int begin_long(unsigned int nr)
{
	static u8 data[128 * KiB];
	const struct iovec iov = { data, sizeof(data) };
	unsigned int begun;

	begin_slow();
	for (unsigned int n = 1; n <= nr; n++) {
		submit(n, DISK_READ);
		disk_queue_kick(dq);
		answer(1);
		run_until(n);
	}
	for (unsigned int i = 0; i < nr; i++) {
		submit(i, DISK_READ);
		jobs[i].req.iov = &iov;
		jobs[i].req.len = sizeof(data);
	}
	disk_queue_kick(dq);
	begun = nr_begun - nr;
	disk_queue_cancel(dq);
	/* In part: a worker does it again. */
	answer(begun);
	run_until(2 * nr);
	assert_int_equal(nr_served, begun);
	end();
	return begun;
}

/* However long requests are, the host has as many as it answers soon; a machine that is very busy
 * does not do that at once. */
static void test_long(void **state)
{
	for (unsigned int pass = 0; pass < 2; pass++) {
		unsigned int tries = 100;

		buffered = pass;
		while (begin_long(16) < 16)
			assert_true(--tries);
	}
	buffered = false;
}

static void *answer_thread(void *arg)
{
	answer(4);
	return NULL;
}

/* Sends one answer once the thread that @arg names sleeps. */
static void *answer_sleeper(void *arg)
{
	const pid_t *tid = arg;
	char path[64], text[128] = "";

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", *tid);
	while (!strstr(text, ") S ")) {
		int stat = open(path, O_RDONLY | O_CLOEXEC);
		ssize_t n = read(stat, text, sizeof(text) - 1);

		text[MAX(n, (ssize_t)0)] = '\0';
		close(stat);
		sched_yield();
	}
	answer(1);
	return NULL;
}

/* A result that comes while the loop sleeps costs no second sleep, unless the kernel is slow to
 * post it: for most of them. */
static void test_one_sleep(void **state)
{
	unsigned int sleeps = 0;
	pid_t tid = gettid();
	pthread_t thread;

	begin_slow();
	for (unsigned int n = 1; n <= 16; n++) {
		/* The last stop wakes it once more. */
		event_loop_drain(&loop);
		submit(0, DISK_READ);
		disk_queue_kick(dq);
		assert_int_equal(pthread_create(&thread, NULL, answer_sleeper, &tid), 0);
		atomic_store(&nr_epoll_waits, 0);
		run_until(n);
		sleeps += atomic_load(&nr_epoll_waits);
		pthread_join(thread, NULL);
	}
	assert_int_equal(nr_ended, 16);
	assert_in_range(sleeps, 16, 16 + 16 / 2);
	end();
}

static void test_close_waits(void **state)
{
	pthread_t thread;

	begin_slow();
	for (unsigned int i = 0; i < 4; i++)
		submit(i, DISK_READ);
	disk_queue_kick(dq);
	assert_int_equal(nr_begun, 4);
	assert_int_equal(pthread_create(&thread, NULL, answer_thread, NULL), 0);
	disk_queue_close(dq);
	dq = NULL;
	assert_int_equal(nr_done, 4);
	pthread_join(thread, NULL);
	end();
}

/* The end of the process: nothing is with the host after it, and nothing ends. */
static void test_finish(void **state)
{
	pthread_t thread;

	begin_slow();
	for (unsigned int i = 0; i < 8; i++)
		submit(i, DISK_READ);
	disk_queue_kick(dq);
	assert_int_equal(nr_begun, 4);
	assert_int_equal(pthread_create(&thread, NULL, answer_thread, NULL), 0);
	disk_queue_finish(dq);
	assert_int_equal(nr_end, 4);
	assert_int_equal(nr_done, 0);
	disk_queue_kick(dq);
	assert_int_equal(nr_begun, 4);
	pthread_join(thread, NULL);
	end();
}

/* No memory for another file descriptor is told; a host without io_uring is not, so that threads
 * are tried. */
static void test_no_ring(void **state)
{
	struct rlimit old, low;
	int ret;

	fd = memfd_create("image", MFD_CLOEXEC);
	assert_int_equal(event_loop_init(&loop, "disk"), 0);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	low = old;
	low.rlim_cur = 3;
	capture_begin();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	ret = disk_uring_open(&disk, &ops, fd, false, &loop, NR, &dq);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	capture_end();
	if (ret == -EOPNOTSUPP) {
		assert_string_equal(captured, "");
	} else {
		assert_int_equal(ret, -EMFILE);
		assert_contains(captured, "--disk image: cannot set up io_uring: Too many open");
		assert_one_line(captured);
	}
	dq = NULL;
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_batch),	  cmocka_unit_test(test_write_and_flush),
		cmocka_unit_test(test_rest),	  cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_window),	  cmocka_unit_test(test_close_waits),
		cmocka_unit_test(test_finish),	  cmocka_unit_test(test_no_ring),
		cmocka_unit_test(test_one_sleep), cmocka_unit_test(test_long),
		cmocka_unit_test(test_no_memory),
	};

	alarm(hang_seconds());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
