/* SPDX-License-Identifier: MIT */
/* fs/ and virtio/9p.c: clients that want what is not theirs, messages that are none, hosts that are
 * slow. */
#include <dirent.h>
#include <linux/virtio_9p.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "p9_client.h"
#include "virtio_rig.h"

static int begin(void **state)
{
	p9_begin(false, 0);
	p9_mount();
	return 0;
}

static int end(void **state)
{
	p9_end();
	return 0;
}

/* Where nothing outside may be seen */

static u64 inode_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

static void test_outside(void **state)
{
	static const char *const names[] = { "",	 ".",	 "/",	   "../secret",
					     "sub/deep", "/etc", "sub/..", "..//" };
	struct p9_qid qid;
	struct stat st;

	for (u32 i = 0; i < ARRAY_SIZE(names); i++) {
		const char *name = names[i];

		assert_int_equal(p9_walk(2, name), ENOENT);
		assert_int_equal(p9_call(P9_TMKDIR, "dsdd", 1, name, 0755, 0), EINVAL);
		assert_int_equal(p9_call(P9_TSYMLINK, "dssd", 1, name, "x", 0), EINVAL);
		assert_int_equal(p9_call(P9_TMKNOD, "dsdddd", 1, name, S_IFIFO, 0, 0, 0), EINVAL);
		assert_int_equal(p9_call(P9_TUNLINKAT, "dsd", 1, name, 0), EINVAL);
		assert_int_equal(p9_call(P9_TRENAMEAT, "dsds", 1, name, 1, "x"), EINVAL);
		assert_int_equal(p9_call(P9_TRENAMEAT, "dsds", 1, "file", 1, name), EINVAL);
		assert_int_equal(p9_call(P9_TLINK, "dds", 1, 1, name), EINVAL);
		assert_int_equal(p9_call(P9_TLCREATE, "dsddd", 1, name, 2, 0644, 0), EINVAL);
	}
	assert_int_equal(p9_call(P9_TMKDIR, "dsdd", 1, "..", 0755, 0), EINVAL);
	assert_int_equal(p9_call(P9_TUNLINKAT, "dsd", 1, "..", 0x200), EINVAL);
	assert_int_equal(p9_call(P9_TRENAMEAT, "dsds", 1, "..", 1, "x"), EINVAL);
	/* A name with a NUL in it. */
	assert_int_equal(p9_call(P9_TWALK, "ddwwbbb", 1, 2, 1, 3, 'a', 0, 'b'), EINVAL);
	/* Above the root is the root. */
	assert_int_equal(p9_call(P9_TWALK, "ddwssss", 1, 2, 4, "..", "..", "sub", ".."), 0);
	assert_int_equal(p9_attributes(2, &st, &qid), 0);
	assert_int_equal(qid.path, inode_of(p9c.shared));
	/* A link is a file that says something; it leads nowhere here. */
	assert_int_equal(p9_walk(3, "out"), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 3, 0), ELOOP);
	assert_int_equal(symlink("..", p9_path("up")), 0);
	assert_int_equal(p9_call(P9_TWALK, "ddwss", 1, 4, 2, "up", "secret"), 0);
	assert_int_equal(p9_next(2), 1);
	assert_int_equal(p9_walk(4, "up"), 0);
	assert_int_equal(p9_call(P9_TMKDIR, "dsdd", 4, "dir", 0755, 0), ENOTDIR);
	assert_int_equal(p9_call(P9_TWALK, "ddws", 4, 5, 1, ".."), ENOTDIR);
}

/* The entry above the root in a listing. */
static void test_dotdot_entry(void **state)
{
	u64 root = inode_of(p9c.shared), seen = 0;

	assert_int_equal(p9_clone(1, 2), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 2, 0), 0);
	assert_int_equal(p9_call(P9_TREADDIR, "dqd", 2, 0ULL, 8000), 0);
	p9_next(4);
	while (p9c.reader.p < p9c.reader.end) {
		struct p9_qid qid = p9_next_qid();

		p9_next(8);
		p9_next(1);
		if (!strcmp(p9_get_string(&p9c.reader), ".."))
			seen = qid.path;
	}
	assert_int_equal(seen, root);
}

/* The host moves a directory that the client holds. */
static void test_moved_away(void **state)
{
	assert_int_equal(mkdir(p9_path("sub/below"), 0755), 0);
	assert_int_equal(p9_walk(2, "sub"), 0);
	assert_int_equal(p9_call(P9_TWALK, "ddws", 2, 3, 1, "below"), 0);
	assert_int_equal(rename(p9_path("sub"), p9_path("../moved")), 0);
	assert_int_equal(p9_call(P9_TWALK, "ddws", 2, 4, 1, ".."), ENOENT);
	assert_int_equal(p9_call(P9_TWALK, "ddwsss", 3, 4, 3, "..", "..", "secret"), ENOENT);
	assert_int_equal(rename(p9_path("../moved"), p9_path("back")), 0);
	assert_int_equal(p9_call(P9_TWALK, "ddwsss", 3, 4, 3, "..", "..", "file"), 0);
	assert_int_equal(p9_next(2), 3);
}

/* Somebody on the host puts a link where a directory was, and back, all the time. */
static atomic_bool swapping;

static void *swap(void *arg)
{
	while (atomic_load(&swapping)) {
		/* The two change places (renameat2(2)), so that one of them is always there. */
		if (renameat2(AT_FDCWD, p9_path("sub"), AT_FDCWD, p9_path("trap"), 2))
			break;
	}
	return NULL;
}

static void test_swapped(void **state)
{
	u64 secret = inode_of(p9_path("../secret"));
	unsigned int found = 0, missed = 0;
	struct p9_qid qid;
	pthread_t thread;
	struct stat st;

	assert_int_equal(symlink("..", p9_path("trap")), 0);
	p9_make_file("sub/secret", "ours");
	atomic_store(&swapping, true);
	assert_int_equal(pthread_create(&thread, NULL, swap, NULL), 0);
	while (found < 2000 || !missed) {
		assert_int_equal(p9_call(P9_TWALK, "ddwss", 1, 2, 2, "sub", "secret"), 0);
		if (p9_next(2) != 2) {
			missed++;
			continue;
		}
		found++;
		assert_int_equal(p9_attributes(2, &st, &qid), 0);
		assert_int_not_equal(qid.path & 0xffffffffffffULL, secret);
		assert_int_equal(st.st_size, 4);
		assert_int_equal(p9_clunk(2), 0);
	}
	atomic_store(&swapping, false);
	pthread_join(thread, NULL);
}

/* Opening a pipe waits for somebody, opening a device does things: neither is done. */
static void test_special(void **state)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM, 0);

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", p9_path("socket"));
	assert_int_equal(bind(s, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(mkfifo(p9_path("fifo"), 0644), 0);
	assert_int_equal(p9_walk(2, "fifo"), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 2, 0), ENXIO);
	assert_int_equal(p9_walk(3, "socket"), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 3, 2), ENXIO);
	assert_int_equal(p9_call(P9_TLCREATE, "dsddd", 1, "fifo", 1, 0644, 0), ENXIO);
	if (!mknod(p9_path("zero"), S_IFCHR | 0666, makedev(1, 5))) {
		assert_int_equal(p9_walk(4, "zero"), 0);
		assert_int_equal(p9_call(P9_TLOPEN, "dd", 4, 0), ENXIO);
		assert_int_equal(p9_call(P9_TSETATTR, "dddddqqqqq", 4, 8, 0, 0, 0, 0ULL, 0ULL, 0ULL,
					 0ULL, 0ULL),
				 EINVAL);
	}
	close(s);
}

/* Other file systems below: their numbers are not the root's. In a child: who fails there returns
 * the line. */
#define CHILD(condition)                 \
	do {                             \
		if (!(condition))        \
			return __LINE__; \
	} while (0)

static u64 number_of(const char *dir)
{
	struct p9_qid qid;
	struct stat st;

	if (p9_call(P9_TWALK, "ddwss", 1, 2, 2, dir, "file") || p9_attributes(2, &st, &qid) ||
	    p9_clunk(2))
		return 0;
	return qid.path;
}

static int try_mounts(void)
{
	u64 a, b, dev = p9c.share->root_dev;

	p9_make_file("a/file", "in a");
	p9_make_file("b/file", "in b");
	CHILD(inode_of(p9_path("a/file")) == inode_of(p9_path("b/file")));
	a = number_of("a");
	b = number_of("b");
	CHILD(a && b && a != b && number_of("a") == a);
	/* Up, out of a mount. */
	CHILD(!p9_walk(4, "a"));
	CHILD(!p9_call(P9_TWALK, "ddwss", 4, 5, 2, "..", "file") && p9_next(2) == 2);
	CHILD(p9_call(P9_TRENAMEAT, "dsds", 4, "file", 1, "y") == EXDEV);
	/* Numbers that need all of their bits; more file systems than there is room for. */
	CHILD(share_inode(p9c.share, dev, 1ULL << 48 | 5) != share_inode(p9c.share, dev, 5));
	for (u64 i = 1; i < 10000; i++)
		if (!share_inode(p9c.share, dev + (i << 20), 5))
			return 0;
	return __LINE__;
}

static int with_mounts(void)
{
	int line;

	if (unshare(geteuid() ? CLONE_NEWUSER | CLONE_NEWNS : CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -1;
	/* The share is opened in here: what is mounted is seen by who is in the same name space. */
	p9_begin(false, 0);
	p9_mount();
	CHILD(!mkdir(p9_path("a"), 0755) && !mkdir(p9_path("b"), 0755));
	if (mount("tmpfs", p9_path("a"), "tmpfs", 0, NULL) ||
	    mount("tmpfs", p9_path("b"), "tmpfs", 0, NULL))
		return -1;
	line = try_mounts();
	p9_reset(p9c.p9);
	CHILD(!umount2(p9_path("a"), MNT_DETACH) && !umount2(p9_path("b"), MNT_DETACH));
	p9_end();
	return line;
}

static void test_mounts(void **state)
{
	int line = p9_in_child(with_mounts);

	if (line < 0)
		skip();
	assert_int_equal(line, 0);
}

/* Messages */

/* Every request, cut at every length, with its size as it is and as it was. */
static void test_cut(void **state)
{
	static u8 whole[512];

	for (u32 type = 6; type < 128; type += 2) {
		size_t len;

		p9_call((u8)type, "ddsdsqq", 1, 50, "a", 60, "b", 5ULL, 6ULL);
		len = get_le(p9c.out, 4);
		memcpy(whole, p9c.out, len);
		for (size_t cut = 0; cut < len; cut++) {
			memcpy(p9c.out, whole, len);
			p9_send(cut, 1000);
			assert_true(cut < P9_HEADER ? p9c.ret == -EPROTO : p9c.ret > 0);
			if (type == P9_TVERSION || type == P9_TFLUSH)
				continue;
			memcpy(p9c.out, whole, len);
			put_le(p9c.out, 4, cut);
			p9_send(len, 3);
			assert_true(p9c.ret > 0);
		}
		p9_call(P9_TVERSION, "ds", 8192 + 24, "9P2000.L");
		assert_int_equal(p9_call(P9_TATTACH, "ddssd", 1, P9_NO_FID, "user", "", 0), 0);
	}
}

static void test_lies(void **state)
{
	size_t len;

	assert_int_equal(p9_walk(2, "file"), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 2, 2), 0);
	/* More bytes to write than the message has. */
	assert_int_equal(p9_call(P9_TWRITE, "dqd", 2, 0ULL, 100), EINVAL);
	assert_int_equal(p9_call(P9_TWRITE, "dqd", 2, 0ULL, 0xffffffff), EINVAL);
	p9_assert_file("file", "0123456789");
	/* What lies behind the message is no data, though it was sent. */
	assert_int_equal(p9_call(P9_TWRITE, "dqddd", 2, 0ULL, 8, 1, 2), 0);
	len = get_le(p9c.out, 4);
	put_le(p9c.out, 4, len - 4);
	p9_send(len, 1000);
	assert_int_equal(p9_result(P9_TWRITE), EINVAL);
	/* A size beyond what was sent. */
	assert_int_equal(p9_call(P9_TCLUNK, "d", 9), EBADF);
	len = get_le(p9c.out, 4);
	put_le(p9c.out, 4, 0xffffffff);
	p9_send(len, 1000);
	assert_int_equal(p9_result(P9_TCLUNK), EINVAL);
	/* Text that no request has; a string that is longer than its message. */
	assert_int_equal(p9_call(P9_TWALK, "ddwz", 1, 3, 1, p9c.in, (size_t)9000), EMSGSIZE);
	assert_int_equal(p9_call(P9_TWALK, "ddwwb", 1, 3, 1, 500, 'x'), EINVAL);
	/* No room for the answer, or for any. */
	p9c.room = 20;
	assert_int_equal(p9_call(P9_TGETATTR, "dq", 1, 0ULL), EMSGSIZE);
	assert_int_equal(p9_call(P9_TREAD, "dqd", 2, 0ULL, 0xffffffff), 0);
	assert_int_equal(p9_next(4), 9);
	p9c.room = 10;
	assert_int_equal(p9_call(P9_TCLUNK, "d", 2), -EPROTO);
	p9c.room = P9_TEST_SIZE;
	assert_int_equal(p9_clunk(2), 0);
}

/* A slow host: reading a file of "~" waits until it is interrupted or let go, one of "^" until that
 * alone. */
static sem_t entered, let_go;
static atomic_uint interrupted;

ssize_t preadv(int fd, const struct iovec *iov, int count, off_t offset)
{
	char byte;

	if (pread(fd, &byte, 1, 0) != 1 || (byte != '~' && byte != '^'))
		return pread(fd, iov[0].iov_base, iov[0].iov_len, offset);
	sem_post(&entered);
	while (sem_wait(&let_go) && errno == EINTR) {
		if (byte == '^')
			continue;
		atomic_fetch_add(&interrupted, 1);
		return -1;
	}
	return 0;
}

struct call {
	struct p9_request req;
	struct iovec out, in;
	u8 message[64], answer[256];
	int ret;
	bool done;
};

static void call_done(struct p9_request *req, int ret)
{
	struct call *c = container_of(req, struct call, req);

	assert_false(c->done);
	c->ret = ret;
	c->done = true;
}

static struct call *start(struct call *c, u8 type, u16 tag, const char *format, ...)
{
	va_list args;
	size_t len;

	memset(c, 0, sizeof(*c));
	va_start(args, format);
	len = p9_format(c->message, type, tag, format, args);
	va_end(args);
	c->out = (struct iovec){ c->message, len };
	c->in = (struct iovec){ c->answer, sizeof(c->answer) };
	c->req = (struct p9_request){
		.out = &c->out,
		.in = &c->in,
		.nr_out = 1,
		.nr_in = 1,
		.out_len = len,
		.in_len = sizeof(c->answer),
		.done = call_done,
	};
	p9_submit(p9c.p9, &c->req);
	p9_kick(p9c.p9);
	return c;
}

static void finish(struct call *c)
{
	while (!c->done)
		event_loop_drain(&p9c.loop);
}

static int begin_slow(void **state)
{
	p9_begin(false, P9_WORKERS);
	p9_mount();
	sem_init(&entered, 0, 0);
	sem_init(&let_go, 0, 0);
	atomic_store(&interrupted, 0);
	p9_make_file("slow", "~");
	assert_int_equal(p9_walk(2, "slow"), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 2, 0), 0);
	return 0;
}

static void wait_entered(unsigned int n)
{
	while (n) {
		if (!sem_wait(&entered))
			n--;
	}
}

static void test_slow(void **state)
{
	struct call slow[3], other, flush;

	for (u16 i = 0; i < 3; i++)
		start(&slow[i], P9_TREAD, 10 + i, "dqd", 2, 0ULL, 10);
	wait_entered(3);
	/* Others go on meanwhile. */
	finish(start(&other, P9_TGETATTR, 20, "dq", 1, 0ULL));
	assert_int_equal(other.answer[4], P9_TGETATTR + 1);
	/* The fid goes; who uses it keeps it. */
	finish(start(&other, P9_TCLUNK, 21, "d", 2));
	assert_int_equal(other.answer[4], P9_TCLUNK + 1);
	/* One is flushed: it gets no answer, and then the flush gets its. */
	finish(start(&flush, P9_TFLUSH, 22, "w", 11));
	assert_true(slow[1].done && !slow[0].done && !slow[2].done);
	assert_int_equal(slow[1].ret, 0);
	assert_int_equal(flush.ret, P9_HEADER);
	assert_int_equal(flush.answer[4], P9_TFLUSH + 1);
	assert_int_equal(get_le(flush.answer + 5, 2), 22);
	assert_int_equal(atomic_load(&interrupted), 1);
	/* Of what nobody knows. */
	finish(start(&flush, P9_TFLUSH, 23, "w", 999));
	assert_int_equal(flush.ret, P9_HEADER);
	sem_post(&let_go);
	sem_post(&let_go);
	finish(&slow[0]);
	finish(&slow[2]);
	assert_int_equal(slow[0].ret, P9_READ_HEADER);
	assert_int_equal(p9_busy(p9c.p9), 0);
}

/* All threads are busy: what waits is dropped by a flush at once, taken back, or canceled. */
static void test_waiting(void **state)
{
	struct call slow[P9_WORKERS], waits[3], flush;

	for (u16 i = 0; i < P9_WORKERS; i++)
		start(&slow[i], P9_TREAD, 10 + i, "dqd", 2, 0ULL, 10);
	wait_entered(P9_WORKERS);
	for (u16 i = 0; i < 3; i++)
		start(&waits[i], P9_TCLUNK, 50 + i, "d", 2);
	start(&flush, P9_TFLUSH, 60, "w", 51);
	assert_true(flush.done && waits[1].done && !waits[0].done);
	assert_int_equal(waits[1].ret, 0);
	assert_ptr_equal(p9_take_back(p9c.p9), &waits[2].req);
	assert_false(waits[2].done);
	p9_cancel(p9c.p9);
	assert_int_equal(waits[0].ret, -ECANCELED);
	for (u16 i = 0; i < P9_WORKERS; i++) {
		finish(&slow[i]);
		assert_int_equal(slow[i].ret, 0);
	}
	assert_int_equal(atomic_load(&interrupted), P9_WORKERS);
	assert_int_equal(p9_busy(p9c.p9), 0);
	assert_null(p9_take_back(p9c.p9));
	/* The client did not clunk it. */
	assert_int_equal(p9_clunk(2), 0);
}

/* The end of the process interrupts what the host holds. */
static void test_finish(void **state)
{
	struct call slow;

	start(&slow, P9_TREAD, 10, "dqd", 2, 0ULL, 10);
	wait_entered(1);
	p9_finish(p9c.p9);
	assert_int_equal(atomic_load(&interrupted), 1);
	finish(&slow);
}

/* A call of the host that no signal ends does not keep lkvm from its end. */
static void test_finish_deaf(void **state)
{
	struct call deaf;

	p9_make_file("slow", "^");
	start(&deaf, P9_TREAD, 10, "dqd", 2, 0ULL, 10);
	wait_entered(1);
	p9_finish(p9c.p9);
	assert_false(deaf.done);
	sem_post(&let_go);
	finish(&deaf);
}

/* The device */

static struct rig rig;

static int begin_device(void **state)
{
	struct virtio_device *vdev;

	p9_begin(false, 0);
	rig_init(&rig);
	assert_int_equal(virtio_9p_new(&rig.vm, p9c.share, 0, P9_WORKERS, &vdev), 0);
	rig_start(&rig, vdev, BIT_ULL(VIRTIO_9P_MOUNT_TAG));
	sem_init(&entered, 0, 0);
	sem_init(&let_go, 0, 0);
	return 0;
}

static int end_device(void **state)
{
	rig_stop(&rig);
	p9_end();
	return 0;
}

static u64 offer_at(u64 at, u8 type, u16 tag, const char *format, ...)
{
	struct rig_buf bufs[2] = { { at, 0, false }, { at + 0x1000, 0x1000, true } };
	va_list args;

	va_start(args, format);
	bufs[0].len = (u32)p9_format(rig_ptr(&rig, at), type, tag, format, args);
	va_end(args);
	rig_add(&rig, 0, bufs, 2);
	rig_notify(&rig, 0);
	return at + 0x1000;
}

static u32 answered(void)
{
	u32 len = 0;

	while (rig_used(&rig, 0, &len) < 0)
		sched_yield();
	return len;
}

static void mount_device(void)
{
	u8 *answer = rig_ptr(&rig, RIG_DATA + 0x1000);

	offer_at(RIG_DATA, P9_TVERSION, 1, "ds", 8192, "9P2000.L");
	assert_int_equal(answered(), 21);
	offer_at(RIG_DATA, P9_TATTACH, 1, "ddssd", 1, P9_NO_FID, "u", "", 0);
	assert_int_equal(answered(), 20);
	assert_int_equal(answer[4], P9_TATTACH + 1);
}

static void test_device(void **state)
{
	u8 *answer = rig_ptr(&rig, RIG_DATA + 0x1000);

	assert_int_equal(get_le(rig.vdev->config, 2), 3);
	assert_memory_equal(rig.vdev->config + 2, "tag", 3);
	mount_device();
	/* What is in use cannot be saved; after a reset nothing is. */
	capture_begin();
	assert_int_equal(virtio_save(rig.vdev), -EBUSY);
	assert_one_line(capture_end());
	assert_contains(captured, "the guest has it mounted");
	virtio_device_reset(rig.vdev);
	assert_int_equal(virtio_save(rig.vdev), 0);
	rig_start(&rig, rig.vdev, BIT_ULL(VIRTIO_9P_MOUNT_TAG));
	offer_at(RIG_DATA, P9_TGETATTR, 1, "dq", 1, 0ULL);
	assert_int_equal(answered(), 11);
	assert_int_equal(get_le(answer + 7, 4), EBADF);
	mount_device();
	/* No header: nothing can be said but that. */
	rig_add(&rig, 0, &(struct rig_buf){ RIG_DATA, 5, false }, 1);
	rig_notify(&rig, 0);
	while (rig_live(&rig))
		sched_yield();
}

/* A hold waits for what is under way; a reset interrupts it. */
static void test_device_slow(void **state)
{
	p9_make_file("slow", "~");
	mount_device();
	offer_at(RIG_DATA, P9_TWALK, 1, "ddws", 1, 2, 1, "slow");
	answered();
	offer_at(RIG_DATA, P9_TLOPEN, 1, "dd", 2, 0);
	answered();
	offer_at(RIG_DATA, P9_TREAD, 1, "dqd", 2, 0ULL, 10);
	wait_entered(1);
	sem_post(&let_go);
	virtio_quiesce(rig.vdev);
	assert_int_equal(answered(), P9_READ_HEADER);
	virtio_resume(rig.vdev);
	offer_at(RIG_DATA, P9_TREAD, 1, "dqd", 2, 0ULL, 10);
	wait_entered(1);
	virtio_device_reset(rig.vdev);
	assert_int_equal(rig_used(&rig, 0, NULL), -1);
	assert_int_equal(virtio_save(rig.vdev), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_outside, begin, end),
		cmocka_unit_test_setup_teardown(test_dotdot_entry, begin, end),
		cmocka_unit_test_setup_teardown(test_moved_away, begin, end),
		cmocka_unit_test_setup_teardown(test_swapped, begin, end),
		cmocka_unit_test_setup_teardown(test_special, begin, end),
		cmocka_unit_test(test_mounts),
		cmocka_unit_test_setup_teardown(test_cut, begin, end),
		cmocka_unit_test_setup_teardown(test_lies, begin, end),
		cmocka_unit_test_setup_teardown(test_slow, begin_slow, end),
		cmocka_unit_test_setup_teardown(test_waiting, begin_slow, end),
		cmocka_unit_test_setup_teardown(test_finish, begin_slow, end),
		cmocka_unit_test_setup_teardown(test_finish_deaf, begin_slow, end),
		cmocka_unit_test_setup_teardown(test_device, begin_device, end_device),
		cmocka_unit_test_setup_teardown(test_device_slow, begin_device, end_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
