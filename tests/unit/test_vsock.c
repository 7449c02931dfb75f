/* SPDX-License-Identifier: MIT */
/*
 * virtio/vsock*.c and vsock/unix.c: a driver by the packet, programs on real sockets, all on one
 * thread.
 */
#include "capture.h"

#include <linux/virtio_vsock.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "../../virtio/vsock.h"
#include "fds.h"
#include "lkvm/unix.h"
#include "lkvm/util.h"
#include "virtio_rig.h"

#define CID    1234567ULL
#define TX_AT  RIG_DATA
#define RX_AT  (RIG_DATA + MiB)
#define RX_LEN 4096u
#define HDR    sizeof(struct virtio_vsock_hdr)
#define PORT   77 /* the guest's */
#define SHUT   3

static char dir[] = "/tmp/lkvm-test-vsock-XXXXXX";
static char path[64], service_path[80];

struct bench {
	struct rig r;
	struct vsock_backend *vb;
	struct virtio_vsock *vs;
	u32 offered;		     /* receive buffers, ever */
	struct virtio_vsock_hdr hdr; /* of the last packet that came */
	u8 data[RX_LEN];
	/* What the guest says of itself. */
	u32 buf_alloc, fwd_cnt;
};

/* Time stands still, in place of the C library's: a tick comes when a test calls it. */
int clock_gettime(clockid_t id, struct timespec *ts)
{
	*ts = (struct timespec){ .tv_sec = 1 };
	return 0;
}

static int set_up(void **state)
{
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/v", dir);
	snprintf(service_path, sizeof(service_path), "%s_5000", path);
	return 0;
}

static int tear_down(void **state)
{
	return rmdir(dir); /* empty: no name is left behind */
}

static void pump(struct bench *b)
{
	while (event_loop_drain(&b->r.vm.loop))
		;
}

static void give_buffers(struct bench *b, u32 n)
{
	for (; n; n--, b->offered++) {
		struct rig_buf buf = { RX_AT + (b->offered % 256) * RX_LEN, RX_LEN, true };

		rig_add(&b->r, VSOCK_RX, &buf, 1);
	}
	rig_notify(&b->r, VSOCK_RX);
	pump(b);
}

static void start_with(struct bench *b, struct vsock_backend *vb)
{
	struct virtio_device *vdev;

	memset(b, 0, sizeof(*b));
	rig_init(&b->r);
	b->vb = vb;
	b->buf_alloc = MiB;
	assert_int_equal(virtio_vsock_new(&b->r.vm, vb, CID, &vdev), 0);
	b->vs = vsock_of(vdev);
	assert_int_equal(virtio_use_loop(vdev, &b->r.vm.loop), 0);
	rig_start(&b->r, vdev, 0);
	pump(b);
}

static void start(struct bench *b)
{
	const struct vsock_config cfg = { CID, path };
	struct vsock_backend *vb;

	assert_int_equal(vsock_unix_open(&cfg, &vb), 0);
	start_with(b, vb);
	give_buffers(b, 32);
}

static void stop(struct bench *b)
{
	b->r.vdev->ops->finish(b->r.vdev);
	b->vb->ops->close(b->vb);
	rig_stop(&b->r);
}

/* The guest sends @hdr as it is, with @len bytes behind it. */
static void send_raw(struct bench *b, const struct virtio_vsock_hdr *hdr, const void *data, u32 len)
{
	struct rig_buf bufs[2] = { { TX_AT, HDR, false }, { TX_AT + HDR, len, false } };

	memcpy(rig_ptr(&b->r, TX_AT), hdr, HDR);
	if (len)
		memcpy(rig_ptr(&b->r, TX_AT + HDR), data, len);
	rig_add(&b->r, VSOCK_TX, bufs, len ? 2 : 1);
	rig_notify(&b->r, VSOCK_TX);
	pump(b);
}

static struct virtio_vsock_hdr header(struct bench *b, u16 op, u32 host_port, u32 flags, u32 len)
{
	return (struct virtio_vsock_hdr){
		.src_cid = cpu_to_le64(CID),
		.dst_cid = cpu_to_le64(2),
		.src_port = cpu_to_le32(PORT),
		.dst_port = cpu_to_le32(host_port),
		.len = cpu_to_le32(len),
		.type = cpu_to_le16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = cpu_to_le16(op),
		.flags = cpu_to_le32(flags),
		.buf_alloc = cpu_to_le32(b->buf_alloc),
		.fwd_cnt = cpu_to_le32(b->fwd_cnt),
	};
}

static void guest(struct bench *b, u16 op, u32 host_port, u32 flags, const void *data, u32 len)
{
	struct virtio_vsock_hdr hdr = header(b, op, host_port, flags, len);

	send_raw(b, &hdr, data, len);
}

/* The next packet that the guest got: its operation, 0: none. The buffer goes back. */
static u16 got(struct bench *b)
{
	u32 len;
	int head = rig_used(&b->r, VSOCK_RX, &len);
	const u8 *p;

	if (head < 0)
		return 0;
	p = rig_ptr(&b->r, le64_to_cpu(b->r.q[VSOCK_RX].desc[head].addr));
	memcpy(&b->hdr, p, HDR);
	assert_int_equal(len, HDR + le32_to_cpu(b->hdr.len));
	memcpy(b->data, p + HDR, len - HDR);
	assert_int_equal(le64_to_cpu(b->hdr.dst_cid), CID);
	give_buffers(b, 1);
	return le16_to_cpu(b->hdr.op);
}

static void expect_op(struct bench *b, u16 op, u32 host_port)
{
	assert_int_equal(got(b), op);
	assert_int_equal(le32_to_cpu(b->hdr.src_port), host_port);
	assert_int_equal(le32_to_cpu(b->hdr.dst_port), PORT);
	assert_int_equal(le64_to_cpu(b->hdr.src_cid), 2);
	assert_int_equal(le16_to_cpu(b->hdr.type), VIRTIO_VSOCK_TYPE_STREAM);
}

static void expect_data(struct bench *b, const char *text)
{
	assert_int_equal(got(b), VIRTIO_VSOCK_OP_RW);
	assert_int_equal(le32_to_cpu(b->hdr.len), strlen(text));
	assert_memory_equal(b->data, text, strlen(text));
}

static void expect_read(int fd, const char *text)
{
	char buf[256];

	assert_int_equal(recv(fd, buf, sizeof(buf), MSG_DONTWAIT), strlen(text));
	assert_memory_equal(buf, text, strlen(text));
}

static bool at_end(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, MSG_DONTWAIT);

	return !n || (n < 0 && errno == ECONNRESET);
}

/* A connection of the guest to the service at port 5000; its end on the host. */
static int connect_out(struct bench *b, struct unix_listener *l)
{
	int fd;

	assert_int_equal(unix_listen(l, service_path, "test"), 0);
	guest(b, VIRTIO_VSOCK_OP_REQUEST, 5000, 0, NULL, 0);
	expect_op(b, VIRTIO_VSOCK_OP_RESPONSE, 5000);
	assert_int_equal(le32_to_cpu(b->hdr.buf_alloc), VSOCK_BUF);
	fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	assert_true(fd >= 0);
	return fd;
}

/* A program asks for @line; the port that the guest is asked by. */
static u32 ask(struct bench *b, const char *line, int *fd)
{
	*fd = unix_connect(path);
	assert_true(*fd >= 0);
	assert_int_equal(write(*fd, line, strlen(line)), strlen(line));
	pump(b);
	pump(b);
	return got(b) == VIRTIO_VSOCK_OP_REQUEST ? le32_to_cpu(b->hdr.src_port) : 0;
}

static void test_config(void **state)
{
	struct bench b;
	u64 cid = 0;

	start(&b);
	virtio_config_read(b.r.vdev, 0, &cid, 8);
	assert_int_equal(le64_to_cpu(cid), CID);
	assert_true(virtio_offered(b.r.vdev) & 1);
	assert_false(virtio_offered(b.r.vdev) & BIT(VIRTIO_VSOCK_F_SEQPACKET));
	stop(&b);
	assert_int_equal(access(path, F_OK), -1);
}

static void test_guest_connects(void **state)
{
	struct unix_listener l;
	struct bench b;
	int fd;

	start(&b);
	fd = connect_out(&b, &l);
	guest(&b, VIRTIO_VSOCK_OP_RW, 5000, 0, "hello", 5);
	expect_read(fd, "hello");
	assert_int_equal(write(fd, "world", 5), 5);
	pump(&b);
	expect_data(&b, "world");
	assert_int_equal(le32_to_cpu(b.hdr.fwd_cnt), 5);
	/* One half after the other. */
	guest(&b, VIRTIO_VSOCK_OP_SHUTDOWN, 5000, VIRTIO_VSOCK_SHUTDOWN_SEND, NULL, 0);
	assert_true(at_end(fd));
	assert_int_equal(write(fd, "still", 5), 5);
	pump(&b);
	expect_data(&b, "still");
	shutdown(fd, SHUT_WR);
	pump(&b);
	/* Nothing moves any more, in neither direction. */
	expect_op(&b, VIRTIO_VSOCK_OP_SHUTDOWN, 5000);
	assert_int_equal(le32_to_cpu(b.hdr.flags), SHUT);
	guest(&b, VIRTIO_VSOCK_OP_SHUTDOWN, 5000, SHUT, NULL, 0);
	expect_op(&b, VIRTIO_VSOCK_OP_RST, 5000);
	assert_int_equal(b.vs->conns[0].state, VSOCK_FREE);
	close(fd);
	unix_listener_close(&l);
	stop(&b);
}

static void test_refused(void **state)
{
	struct bench b;

	start(&b);
	guest(&b, VIRTIO_VSOCK_OP_REQUEST, 5000, 0, NULL, 0);
	expect_op(&b, VIRTIO_VSOCK_OP_RST, 5000);
	assert_int_equal(got(&b), 0);
	assert_int_equal(b.vs->conns[0].state, VSOCK_FREE);
	stop(&b);
}

static void test_host_connects(void **state)
{
	struct bench b;
	char ok[32];
	u32 port;
	int fd;

	start(&b);
	port = ask(&b, "CONNECT 77\nearly", &fd);
	assert_true(port >= VSOCK_PORTS);
	assert_int_equal(recv(fd, ok, sizeof(ok), MSG_DONTWAIT), -1);
	guest(&b, VIRTIO_VSOCK_OP_RESPONSE, port, 0, NULL, 0);
	snprintf(ok, sizeof(ok), "OK %u\n", port);
	expect_read(fd, ok);
	/* What followed the line is the guest's. */
	expect_data(&b, "early");
	guest(&b, VIRTIO_VSOCK_OP_RW, port, 0, "late", 4);
	expect_read(fd, "late");
	guest(&b, VIRTIO_VSOCK_OP_RST, port, 0, NULL, 0);
	assert_true(at_end(fd));
	assert_int_equal(got(&b), 0);
	close(fd);
	/* Nobody listens in the guest. */
	port = ask(&b, "connect 77\r\n", &fd);
	assert_true(port > VSOCK_PORTS);
	guest(&b, VIRTIO_VSOCK_OP_RST, port, 0, NULL, 0);
	assert_true(at_end(fd));
	close(fd);
	stop(&b);
}

static void test_bad_lines(void **state)
{
	static const char *const lines[] = {
		"CONNECT\n",
		"CONNECT 1 2\n",
		"CONNECT 4294967296\n",
		"CONNECT x\n",
		"GET / HTTP/1.1\n",
		"\n",
		"CONNECT 1                                        ",
	};
	struct bench b;
	int fd;

	start(&b);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		assert_int_equal(ask(&b, lines[i], &fd), 0);
		assert_true(at_end(fd));
		close(fd);
	}
	/* One that has not said all, and then leaves. */
	assert_int_equal(ask(&b, "CONN", &fd), 0);
	assert_false(at_end(fd));
	close(fd);
	pump(&b);
	/* And nothing of them is waited for. */
	for (u32 i = 0; i <= VSOCK_WAIT_LINE; i++)
		vsock_host_on_tick(b.vs);
	for (u32 i = 0; i < b.vs->nr_conns; i++)
		assert_int_equal(b.vs->conns[i].state, VSOCK_FREE);
	assert_int_equal(got(&b), 0);
	stop(&b);
}

/* The guest grants ten bytes, and then more. */
static void test_guests_credit(void **state)
{
	struct unix_listener l;
	struct bench b;
	int fd;

	start(&b);
	b.buf_alloc = 10;
	fd = connect_out(&b, &l);
	assert_int_equal(write(fd, "0123456789abcdef", 16), 16);
	pump(&b);
	expect_data(&b, "0123456789");
	expect_op(&b, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 5000);
	assert_int_equal(got(&b), 0);
	/* It takes back what it had granted, and counts what never was: no credit. */
	b.buf_alloc = 4;
	guest(&b, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 5000, 0, NULL, 0);
	assert_int_equal(got(&b), 0);
	b.buf_alloc = 10;
	b.fwd_cnt = 100;
	guest(&b, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 5000, 0, NULL, 0);
	assert_int_equal(got(&b), 0);
	b.fwd_cnt = 4;
	guest(&b, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 5000, 0, NULL, 0);
	expect_data(&b, "abcd");
	b.fwd_cnt = 14;
	guest(&b, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 5000, 0, NULL, 0);
	expect_op(&b, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 5000);
	expect_op(&b, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 5000);
	expect_data(&b, "ef");
	close(fd);
	unix_listener_close(&l);
	stop(&b);
}

#define CHUNK 32768u

static u8 chunk[CHUNK];

/* The pattern that the guest sends, from byte @at on. */
static void fill_chunk(u32 at)
{
	for (u32 i = 0; i < CHUNK; i++)
		chunk[i] = (u8)((at + i) * 2654435761u >> 24);
}

/* Read all that is there; the bytes, each compared. */
static u32 drain(struct bench *b, int fd, u32 at)
{
	static u8 buf[CHUNK];
	u32 total = 0;
	ssize_t n;

	while ((n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		for (u32 i = 0; i < (u32)n; i++, total++)
			assert_int_equal(buf[i], (u8)((at + total) * 2654435761u >> 24));
		pump(b);
	}
	return total;
}

/* A program that does not read: the guest may send what it was granted and no more, and reads it
 * all in the end. */
static void test_our_credit(void **state)
{
	struct unix_listener l;
	u32 sent = 0, fwd = 0, at;
	struct bench b;
	int fd;

	start(&b);
	fd = connect_out(&b, &l);
	while (sent - fwd + CHUNK <= VSOCK_BUF) {
		fill_chunk(sent);
		guest(&b, VIRTIO_VSOCK_OP_RW, 5000, 0, chunk, CHUNK);
		sent += CHUNK;
		while (got(&b) == VIRTIO_VSOCK_OP_CREDIT_UPDATE)
			fwd = le32_to_cpu(b.hdr.fwd_cnt);
	}
	assert_true(sent > VSOCK_BUF); /* the socket took some */
	assert_int_equal(b.vs->conns[0].buf_len, sent - b.vs->conns[0].forwarded);
	/* Reading makes room, and the guest is told. */
	at = drain(&b, fd, 0);
	assert_int_equal(at, sent);
	assert_int_equal(got(&b), VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	while (got(&b))
		;
	assert_null(b.vs->conns[0].buf);
	guest(&b, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 5000, 0, NULL, 0);
	expect_op(&b, VIRTIO_VSOCK_OP_CREDIT_UPDATE, 5000);
	assert_int_equal(le32_to_cpu(b.hdr.fwd_cnt), sent);
	/* More than was granted: the connection ends. */
	for (u32 i = 0; b.vs->conns[0].state == VSOCK_OPEN && i < 64; i++)
		guest(&b, VIRTIO_VSOCK_OP_RW, 5000, 0, chunk, CHUNK);
	do {
		assert_int_not_equal(got(&b), 0);
	} while (le16_to_cpu(b.hdr.op) != VIRTIO_VSOCK_OP_RST);
	close(fd);
	unix_listener_close(&l);
	stop(&b);
}

/* What the guest sent before it ended is read whenever the program comes to it. */
static void test_lingers(void **state)
{
	struct unix_listener l;
	u32 sent = 0;
	struct bench b;
	int fd;

	start(&b);
	fd = connect_out(&b, &l);
	while (sent < VSOCK_BUF) {
		fill_chunk(sent);
		guest(&b, VIRTIO_VSOCK_OP_RW, 5000, 0, chunk, CHUNK);
		sent += CHUNK;
	}
	assert_true(b.vs->conns[0].buf_len);
	while (got(&b))
		;
	guest(&b, VIRTIO_VSOCK_OP_SHUTDOWN, 5000, SHUT, NULL, 0);
	expect_op(&b, VIRTIO_VSOCK_OP_RST, 5000);
	assert_int_equal(b.vs->conns[0].state, VSOCK_LINGER);
	/* Its ports are free meanwhile. */
	guest(&b, VIRTIO_VSOCK_OP_REQUEST, 5000, 0, NULL, 0);
	expect_op(&b, VIRTIO_VSOCK_OP_RESPONSE, 5000);
	assert_int_equal(drain(&b, fd, 0), sent);
	pump(&b);
	assert_true(at_end(fd));
	assert_int_equal(b.vs->conns[0].state, VSOCK_FREE);
	assert_int_equal(b.vs->conns[1].state, VSOCK_OPEN);
	assert_int_equal(got(&b), 0);
	close(fd);
	unix_listener_close(&l);
	stop(&b);
}

static void test_host_ends(void **state)
{
	struct unix_listener l;
	struct bench b;
	int fd;

	start(&b);
	fd = connect_out(&b, &l);
	assert_int_equal(write(fd, "last", 4), 4);
	close(fd);
	pump(&b);
	expect_data(&b, "last");
	expect_op(&b, VIRTIO_VSOCK_OP_SHUTDOWN, 5000);
	assert_int_equal(le32_to_cpu(b.hdr.flags), SHUT);
	/* It was on its way. */
	guest(&b, VIRTIO_VSOCK_OP_RW, 5000, 0, "x", 1);
	assert_int_equal(got(&b), 0);
	guest(&b, VIRTIO_VSOCK_OP_RST, 5000, 0, NULL, 0);
	assert_int_equal(got(&b), 0);
	assert_int_equal(b.vs->conns[0].state, VSOCK_FREE);
	unix_listener_close(&l);

	/* A guest that does not agree is told that it is over. */
	fd = connect_out(&b, &l);
	close(fd);
	pump(&b);
	expect_op(&b, VIRTIO_VSOCK_OP_SHUTDOWN, 5000);
	for (u32 i = 0; i < VSOCK_WAIT_CLOSE; i++) {
		assert_int_equal(got(&b), 0);
		vsock_host_on_tick(b.vs);
	}
	expect_op(&b, VIRTIO_VSOCK_OP_RST, 5000);
	assert_int_equal(b.vs->conns[0].state, VSOCK_FREE);
	unix_listener_close(&l);
	stop(&b);
}

/* The program reads no more, and writes on. */
static void test_host_stops_reading(void **state)
{
	struct unix_listener l;
	struct bench b;
	int fd;

	start(&b);
	fd = connect_out(&b, &l);
	shutdown(fd, SHUT_RD);
	pump(&b);
	guest(&b, VIRTIO_VSOCK_OP_RW, 5000, 0, "lost", 4);
	expect_op(&b, VIRTIO_VSOCK_OP_SHUTDOWN, 5000);
	assert_int_equal(le32_to_cpu(b.hdr.flags), VIRTIO_VSOCK_SHUTDOWN_RCV);
	assert_int_equal(le32_to_cpu(b.hdr.fwd_cnt), 4);
	assert_int_equal(write(fd, "on", 2), 2);
	pump(&b);
	expect_data(&b, "on");
	/* And the guest: who writes is told. */
	guest(&b, VIRTIO_VSOCK_OP_SHUTDOWN, 5000, VIRTIO_VSOCK_SHUTDOWN_RCV, NULL, 0);
	assert_int_equal(send(fd, "x", 1, MSG_NOSIGNAL), -1);
	assert_int_equal(errno, EPIPE);
	close(fd);
	pump(&b);
	while (got(&b))
		;
	assert_int_equal(b.vs->conns[0].state, VSOCK_CLOSING);
	unix_listener_close(&l);
	stop(&b);
}

static void test_strangers(void **state)
{
	struct virtio_vsock_hdr hdr;
	struct unix_listener l;
	struct bench b;
	int fd;

	start(&b);
	for (u16 op = 0; op < 10; op++) {
		if (op == VIRTIO_VSOCK_OP_REQUEST)
			continue;
		guest(&b, op, 9, 0, NULL, 0);
		if (op != VIRTIO_VSOCK_OP_RST)
			expect_op(&b, VIRTIO_VSOCK_OP_RST, 9);
		assert_int_equal(got(&b), 0);
	}
	/* Not the guest's address; another guest's; a kind that there is not. */
	hdr = header(&b, VIRTIO_VSOCK_OP_REQUEST, 5000, 0, 0);
	hdr.src_cid = cpu_to_le64(5);
	send_raw(&b, &hdr, NULL, 0);
	assert_int_equal(got(&b), 0);
	hdr.src_cid = cpu_to_le64(CID);
	hdr.dst_cid = cpu_to_le64(0x100000002ULL);
	send_raw(&b, &hdr, NULL, 0);
	assert_int_equal(got(&b), VIRTIO_VSOCK_OP_RST);
	assert_int_equal(le64_to_cpu(b.hdr.src_cid), 0x100000002ULL);
	hdr.dst_cid = cpu_to_le64(2);
	hdr.type = cpu_to_le16(VIRTIO_VSOCK_TYPE_SEQPACKET);
	send_raw(&b, &hdr, NULL, 0);
	assert_int_equal(got(&b), VIRTIO_VSOCK_OP_RST);
	assert_int_equal(le16_to_cpu(b.hdr.type), VIRTIO_VSOCK_TYPE_SEQPACKET);
	/* Data that is not there; no header. */
	fd = connect_out(&b, &l);
	hdr = header(&b, VIRTIO_VSOCK_OP_RW, 5000, 0, 6);
	send_raw(&b, &hdr, "12345", 5);
	assert_int_equal(got(&b), VIRTIO_VSOCK_OP_RST);
	hdr.len = cpu_to_le32(UINT32_MAX);
	send_raw(&b, &hdr, "12345", 5);
	assert_int_equal(got(&b), VIRTIO_VSOCK_OP_RST);
	rig_add(&b.r, VSOCK_TX, &(struct rig_buf){ TX_AT, HDR - 1, false }, 1);
	rig_add(&b.r, VSOCK_TX, &(struct rig_buf){ TX_AT, HDR, true }, 1);
	rig_notify(&b.r, VSOCK_TX);
	assert_int_equal(got(&b), 0);
	assert_true(rig_live(&b.r));
	close(fd);
	unix_listener_close(&l);
	stop(&b);
}

/* What does not fit an open connection ends it. */
static void test_wrong_ops(void **state)
{
	static const u16 wrong[] = { VIRTIO_VSOCK_OP_INVALID, VIRTIO_VSOCK_OP_REQUEST,
				     VIRTIO_VSOCK_OP_RESPONSE, 8, 0xffff };
	struct unix_listener l;
	struct bench b;
	u32 port;
	int fd;

	start(&b);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		fd = connect_out(&b, &l);
		guest(&b, wrong[i], 5000, 0, NULL, 0);
		expect_op(&b, VIRTIO_VSOCK_OP_RST, 5000);
		assert_true(at_end(fd));
		close(fd);
		unix_listener_close(&l);
	}
	fd = connect_out(&b, &l);
	guest(&b, VIRTIO_VSOCK_OP_SHUTDOWN, 5000, VIRTIO_VSOCK_SHUTDOWN_SEND, NULL, 0);
	guest(&b, VIRTIO_VSOCK_OP_RW, 5000, 0, "x", 1);
	expect_op(&b, VIRTIO_VSOCK_OP_RST, 5000);
	close(fd);
	unix_listener_close(&l);
	/* Data before the connection was taken. */
	port = ask(&b, "CONNECT 77\n", &fd);
	guest(&b, VIRTIO_VSOCK_OP_RW, port, 0, "x", 1);
	expect_op(&b, VIRTIO_VSOCK_OP_RST, port);
	assert_true(at_end(fd));
	close(fd);
	stop(&b);
}

/* Packets to answer, and no buffers for the answers: what is not taken waits in the ring. */
static void test_flood(void **state)
{
	const struct vsock_config cfg = { CID, path };
	struct vsock_backend *vb;
	struct bench b;
	unsigned int taken = 0, answers = 0;

	assert_int_equal(vsock_unix_open(&cfg, &vb), 0);
	start_with(&b, vb);
	for (int i = 0; i < 200; i++)
		guest(&b, VIRTIO_VSOCK_OP_RW, 9, 0, "x", 1);
	pump(&b);
	while (rig_used(&b.r, VSOCK_TX, NULL) >= 0)
		taken++;
	assert_int_equal(taken, VSOCK_STRAYS);
	give_buffers(&b, 100);
	while (got(&b)) {
		expect_op(&b, VIRTIO_VSOCK_OP_RST, 9);
		answers += 2;
	}
	assert_int_equal(answers, 200);
	assert_true(rig_live(&b.r));
	stop(&b);
}

/* A service that is always busy. */
static int busy_connect(struct vsock_backend *vb, u32 port)
{
	return -EAGAIN;
}
static void busy_end(struct vsock_backend *vb) {}
static const struct vsock_backend_ops busy_ops = {
	.connect = busy_connect,
	.finish = busy_end,
	.close = busy_end,
};

static void test_many(void **state)
{
	struct vsock_backend busy = { .ops = &busy_ops, .listen_fd = -1, .name = "busy" };
	struct bench b;

	start_with(&b, &busy);
	give_buffers(&b, 32);
	for (u32 i = 0; i < VSOCK_CONNS; i++)
		guest(&b, VIRTIO_VSOCK_OP_REQUEST, 5000 + i, 0, NULL, 0);
	assert_int_equal(got(&b), 0);
	guest(&b, VIRTIO_VSOCK_OP_REQUEST, 4999, 0, NULL, 0);
	expect_op(&b, VIRTIO_VSOCK_OP_RST, 4999);
	for (u32 i = 0; i < VSOCK_WAIT_SERVICE; i++) {
		assert_int_equal(got(&b), 0);
		vsock_host_on_tick(b.vs);
	}
	for (u32 i = 0; i < VSOCK_CONNS; i++)
		expect_op(&b, VIRTIO_VSOCK_OP_RST, 5000 + i);
	guest(&b, VIRTIO_VSOCK_OP_REQUEST, 4999, 0, NULL, 0);
	assert_int_equal(got(&b), 0);
	stop(&b);
}

/* A program that comes while lkvm may open nothing more is heard once it may. */
static void test_no_descriptors(void **state)
{
	struct rlimit limit;
	struct bench b;
	int fd;

	start(&b);
	fd = unix_connect(path);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "CONNECT 77\n", 11), 11);
	log_set_level(LOG_WARNING);
	capture_begin();
	limit = fds_gone();
	pump(&b);
	vsock_host_on_tick(b.vs);
	pump(&b);
	assert_false(event_loop_drain(&b.r.vm.loop));
	fds_back(&limit);
	log_set_level(LOG_ERROR);
	assert_contains(capture_end(), "cannot take a connection: Too many open files; raise "
				       "'ulimit -n'");
	assert_int_equal(got(&b), 0);
	vsock_host_on_tick(b.vs);
	pump(&b);
	pump(&b);
	assert_int_equal(got(&b), VIRTIO_VSOCK_OP_REQUEST);
	close(fd);
	stop(&b);
}

static void test_guest_does_not_answer(void **state)
{
	struct bench b;
	u32 port;
	int fd;

	start(&b);
	port = ask(&b, "CONNECT 77\n", &fd);
	for (u32 i = 0; i < VSOCK_WAIT_RESPONSE; i++) {
		assert_false(at_end(fd));
		vsock_host_on_tick(b.vs);
	}
	assert_true(at_end(fd));
	expect_op(&b, VIRTIO_VSOCK_OP_RST, port);
	close(fd);
	stop(&b);
}

/* A reset ends all; the driver that follows is told nothing. */
static void test_reset(void **state)
{
	const struct rig_buf event = { TX_AT, 4, true };
	struct unix_listener l;
	struct bench b;
	int fd;

	start(&b);
	fd = connect_out(&b, &l);
	rig_start(&b.r, b.r.vdev, 0);
	assert_true(at_end(fd));
	close(fd);
	memset(rig_ptr(&b.r, TX_AT), 0xff, 4);
	rig_add(&b.r, VSOCK_EVENT, &event, 1);
	rig_notify(&b.r, VSOCK_EVENT);
	assert_int_equal(rig_used(&b.r, VSOCK_EVENT, NULL), -1);
	unix_listener_close(&l);
	stop(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config),	   cmocka_unit_test(test_guest_connects),
		cmocka_unit_test(test_refused),	   cmocka_unit_test(test_host_connects),
		cmocka_unit_test(test_bad_lines),  cmocka_unit_test(test_guests_credit),
		cmocka_unit_test(test_our_credit), cmocka_unit_test(test_lingers),
		cmocka_unit_test(test_host_ends),  cmocka_unit_test(test_host_stops_reading),
		cmocka_unit_test(test_strangers),  cmocka_unit_test(test_wrong_ops),
		cmocka_unit_test(test_flood),	   cmocka_unit_test(test_no_descriptors),
		cmocka_unit_test(test_many),	   cmocka_unit_test(test_guest_does_not_answer),
		cmocka_unit_test(test_reset),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
