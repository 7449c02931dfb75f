/* SPDX-License-Identifier: MIT */
/* console/channel*.c: what --port names, with a device that takes and gives bytes. */
#include "capture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>

#include "fds.h"
#include "lkvm/channel.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/unix.h"
#include "lkvm/util.h"

static char dir[] = "/tmp/lkvm-test-channel-XXXXXX";
static struct event_loop loop;

/* The device's side. */
static struct {
	size_t room;
	char in[65536];
	size_t len;
	int connected; /* -1: not told */
	unsigned int writable;
	u16 cols, rows;
} dev;

static size_t dev_room(void *opaque)
{
	return MIN(dev.room, sizeof(dev.in) - dev.len);
}

static void dev_input(void *opaque, const u8 *buf, size_t len)
{
	assert_true(len && len <= dev_room(NULL));
	memcpy(dev.in + dev.len, buf, len);
	dev.len += len;
	dev.room -= len;
}

static void dev_resized(void *opaque, u16 cols, u16 rows)
{
	dev.cols = cols;
	dev.rows = rows;
}

static void dev_connected(void *opaque, bool on)
{
	dev.connected = on;
}

static void dev_writable(void *opaque)
{
	dev.writable++;
}

static const struct console_client client = {
	.room = dev_room,
	.input = dev_input,
	.resized = dev_resized,
	.connected = dev_connected,
	.writable = dev_writable,
};

static char *name_of(const char *name)
{
	static char path[4][96];
	static int turn;

	turn = (turn + 1) % 4;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", dir, name);
	return path[turn];
}

/* Run the loop until nothing is left to do. */
static void settle(void)
{
	while (event_loop_drain(&loop))
		;
}

/* Run it until @done says so. What is waited for comes from the kernel alone, at once. */
static void settle_until(bool (*done)(void))
{
	for (int i = 0; i < 600000 && !done(); i++) { /* minutes: for hangs */
		settle();
		usleep(100);
	}
	assert_true(done());
}

static struct port_config cfg;

static struct console *start(enum port_kind kind, const char *path)
{
	struct console *con;

	memset(&dev, 0, sizeof(dev));
	dev.connected = -1;
	dev.room = sizeof(dev.in);
	cfg = (struct port_config){ .name = (char *)"a", .kind = kind, .path = (char *)path };
	assert_int_equal(channel_open(&loop, &cfg, &con), 0);
	con->ops->set_client(con, &client);
	settle();
	return con;
}

static void end(struct console *con)
{
	con->ops->set_client(con, NULL);
	con->ops->destroy(con);
	settle();
}

static size_t offer(struct console *con, const char *text)
{
	return console_offer(con, (const u8 *)text, strlen(text));
}

static void assert_read(int fd, const char *text)
{
	char buf[256];
	size_t want = strlen(text), len = 0;

	while (len < want) {
		ssize_t n = read(fd, buf + len, want - len);

		assert_true(n > 0 || (n < 0 && errno == EAGAIN));
		if (n > 0)
			len += (size_t)n;
	}
	assert_memory_equal(buf, text, want);
}

static int set_up(void **state)
{
	assert_non_null(mkdtemp(dir));
	return event_loop_init(&loop, "test");
}

/* Empty: no name is left behind. */
static int tear_down(void **state)
{
	event_loop_destroy(&loop);
	return rmdir(dir);
}

static void test_file(void **state)
{
	char *path = name_of("file");
	struct console *con;
	int fd;

	/* What was in it is replaced, as by the shell. */
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "old contents", 12), 12);
	close(fd);
	con = start(PORT_FILE, path);
	assert_int_equal(dev.connected, 1);
	assert_int_equal(offer(con, "first "), 6);
	assert_int_equal(offer(con, "second"), 6);
	end(con);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_read(fd, "first second");
	assert_int_equal(lseek(fd, 0, SEEK_END), 12);
	close(fd);
	unlink(path);
}

/* A full disk takes nothing, says so once, and the guest goes on. */
static void test_full(void **state)
{
	struct console *con = start(PORT_FILE, "/dev/full");

	log_set_level(LOG_WARNING);
	capture_begin();
	assert_int_equal(offer(con, "lost"), 4);
	assert_int_equal(offer(con, "lost"), 4);
	assert_one_line(capture_end());
	log_set_level(LOG_ERROR);
	assert_contains(captured, "--port a: cannot write: No space left");
	end(con);
}

static void test_pipes(void **state)
{
	char *in = name_of("p.in"), *out = name_of("p.out"), big[8192];
	struct console *con;
	size_t total = 0, n;
	int to, from;

	assert_int_equal(mkfifo(in, 0600), 0);
	assert_int_equal(mkfifo(out, 0600), 0);
	con = start(PORT_PIPE, name_of("p"));
	to = open(in, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	from = open(out, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	assert_true(to >= 0 && from >= 0);
	assert_int_equal(write(to, "keys", 4), 4);
	settle();
	assert_int_equal(dev.len, 4);
	assert_memory_equal(dev.in, "keys", 4);
	/* Writers come and go. */
	close(to);
	settle();
	to = open(in, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
	assert_int_equal(write(to, "more", 4), 4);
	settle();
	assert_int_equal(dev.len, 8);
	/* Nobody reads: what does not fit is refused, and asked for when there is room. */
	memset(big, 'b', sizeof(big));
	do {
		n = console_offer(con, (const u8 *)big, sizeof(big));
		total += n;
	} while (n);
	settle();
	assert_int_equal(dev.writable, 0);
	while (total) {
		ssize_t got = read(from, big, sizeof(big));

		assert_true(got > 0);
		total -= (size_t)got;
	}
	settle();
	assert_int_equal(dev.writable, 1);
	assert_int_equal(offer(con, "end"), 3);
	assert_read(from, "end");
	/* Nothing is read beyond what the device takes. */
	dev.room = 2;
	assert_int_equal(write(to, "12345", 5), 5);
	settle();
	assert_int_equal(dev.len, 10);
	dev.room = 100;
	con->ops->input_ready(con);
	settle();
	assert_int_equal(dev.len, 13);
	end(con);
	close(to);
	close(from);
	unlink(in);
	unlink(out);
}

static bool is_connected(void)
{
	return dev.connected == 1;
}

static size_t wanted_len;

/* A terminal's bytes come by a thread of the kernel. */
static bool has_input(void)
{
	return dev.len >= wanted_len;
}

static bool is_alone(void)
{
	return dev.connected == 0;
}

static void test_socket(void **state)
{
	char *path = name_of("socket");
	struct console *con = start(PORT_SOCKET, path);
	int one, two;

	assert_int_equal(dev.connected, 0);
	/* To nobody: lost, and nothing waits. */
	assert_int_equal(offer(con, "lost"), 4);
	one = unix_connect(path);
	assert_true(one >= 0);
	settle();
	assert_int_equal(dev.connected, 1);
	assert_int_equal(write(one, "hello", 5), 5);
	settle();
	assert_int_equal(dev.len, 5);
	assert_int_equal(offer(con, "answer"), 6);
	assert_read(one, "answer");
	/* The second waits until the first has gone. */
	two = unix_connect(path);
	assert_true(two >= 0);
	assert_int_equal(write(two, "second", 6), 6);
	settle();
	assert_int_equal(dev.len, 5);
	/* Who has said all can still listen. */
	assert_int_equal(shutdown(one, SHUT_WR), 0);
	settle();
	assert_int_equal(dev.connected, 1);
	assert_int_equal(offer(con, "late"), 4);
	assert_read(one, "late");
	close(one);
	settle();
	assert_int_equal(dev.connected, 1);
	assert_int_equal(dev.len, 11);
	assert_memory_equal(dev.in + 5, "second", 6);
	close(two);
	settle();
	assert_int_equal(dev.connected, 0);
	end(con);
	assert_int_equal(access(path, F_OK), -1);
}

/* Who comes while lkvm may open nothing more waits, and is heard once it may; nothing spins. */
static void test_socket_no_descriptors(void **state)
{
	char *path = name_of("socket");
	struct console *con = start(PORT_SOCKET, path);
	struct rlimit limit;
	int one, two;

	one = unix_connect(path);
	two = unix_connect(path);
	assert_true(one >= 0 && two >= 0);
	assert_int_equal(write(one, "hello", 5), 5);
	log_set_level(LOG_WARNING);
	capture_begin();
	limit = fds_gone();
	settle();
	assert_false(event_loop_drain(&loop));
	fds_back(&limit);
	log_set_level(LOG_ERROR);
	assert_contains(capture_end(), "--port a: cannot take a connection, which waits: Too many "
				       "open files; raise 'ulimit -n'");
	assert_int_equal(dev.connected, 0);
	settle_until(is_connected);
	settle();
	assert_int_equal(dev.len, 5);
	close(one);
	close(two);
	settle();
	end(con);
}

/* A reader who goes while output waits for him. */
static void test_socket_full(void **state)
{
	char *path = name_of("socket"), big[65536];
	struct console *con = start(PORT_SOCKET, path);
	int fd = unix_connect(path);

	memset(big, 'b', sizeof(big));
	settle();
	while (console_offer(con, (const u8 *)big, sizeof(big)))
		;
	settle();
	assert_int_equal(dev.writable, 0);
	close(fd);
	settle_until(is_alone);
	assert_int_equal(dev.writable, 1);
	assert_int_equal(console_offer(con, (const u8 *)big, sizeof(big)), sizeof(big));
	end(con);
}

/* The name that lkvm printed. */
static char *pty_name(const char *said)
{
	static char name[64];
	const char *at = strstr(said, "/dev/pts/");

	assert_non_null(at);
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(at, "\n"), at);
	return name;
}

static void test_pty(void **state)
{
	char *link = name_of("link"), *name, target[64] = "";
	struct winsize size = { .ws_col = 132, .ws_row = 43 };
	struct console *con;
	int fd;

	log_set_level(LOG_INFO);
	capture_begin();
	con = start(PORT_PTY, link);
	name = pty_name(capture_end());
	log_set_level(LOG_ERROR);
	assert_true(readlink(link, target, sizeof(target) - 1) > 0);
	assert_string_equal(target, name);
	assert_int_equal(dev.connected, 0);
	assert_int_equal(offer(con, "lost"), 4);
	for (int i = 0; i < 2; i++) {
		fd = open(link, O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
		assert_true(fd >= 0);
		settle_until(is_connected);
		dev.len = 0;
		/* Raw: no echo, no line, no translation. */
		assert_int_equal(write(fd, "a\r\003", 3), 3);
		wanted_len = 3;
		settle_until(has_input);
		assert_int_equal(dev.len, 3);
		assert_memory_equal(dev.in, "a\r\003", 3);
		assert_int_equal(offer(con, "x\ny"), 3);
		assert_read(fd, "x\ny");
		assert_int_equal(ioctl(fd, TIOCSWINSZ, &size), 0);
		close(fd);
		settle_until(is_alone);
	}
	/* Known at the next opening. */
	fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	settle_until(is_connected);
	assert_int_equal(dev.cols, 132);
	assert_int_equal(dev.rows, 43);
	end(con);
	close(fd);
	assert_int_equal(access(link, F_OK), -1);
	/* A link that was left behind is replaced, a file is not. */
	assert_int_equal(symlink("/dev/pts/nothing", link), 0);
	con = start(PORT_PTY, link);
	end(con);
	fd = open(link, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	close(fd);
	capture_begin();
	assert_int_equal(channel_open(&loop, &cfg, &con), -EEXIST);
	assert_contains(capture_end(), "--port a: cannot make the link");
	assert_int_equal(unlink(link), 0);
}

static void test_tty(void **state)
{
	struct termios before, now;
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), fd;
	struct console *con;
	char name[64];

	assert_int_equal(grantpt(master) | unlockpt(master), 0);
	assert_int_equal(ptsname_r(master, name, sizeof(name)), 0);
	fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	assert_int_equal(tcgetattr(fd, &before), 0);
	con = start(PORT_TTY, name);
	assert_int_equal(write(master, "k\r", 2), 2);
	wanted_len = 2;
	settle_until(has_input);
	assert_memory_equal(dev.in, "k\r", 2);
	assert_int_equal(offer(con, "out\n"), 4);
	assert_read(master, "out\n");
	end(con);
	assert_int_equal(tcgetattr(fd, &now), 0);
	assert_int_equal(now.c_lflag, before.c_lflag);
	assert_int_equal(now.c_iflag, before.c_iflag);
	close(fd);
	close(master);
}

static void refused(enum port_kind kind, const char *path, int error, const char *words)
{
	struct console *con;

	cfg = (struct port_config){ .name = (char *)"a", .kind = kind, .path = (char *)path };
	capture_begin();
	assert_int_equal(channel_open(&loop, &cfg, &con), error);
	assert_contains(capture_end(), words);
	assert_contains(captured, "--port a: ");
}

static void test_refused(void **state)
{
	int fd = open(name_of("q.in"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	close(fd);
	refused(PORT_FILE, "/nonexistent/file", -ENOENT, "cannot open /nonexistent/file");
	refused(PORT_FILE, dir, -EISDIR, "Is a directory");
	refused(PORT_PIPE, name_of("nothing"), -ENOENT, "nothing.in");
	refused(PORT_PIPE, name_of("q"), -EINVAL, "is not a pipe");
	refused(PORT_TTY, "/dev/null", -ENOTTY, "/dev/null is not a terminal");
	refused(PORT_TTY, "/nonexistent/tty", -ENOENT, "cannot open /nonexistent/tty");
	refused(PORT_SOCKET, dir, -EEXIST, "is not a socket");
	unlink(name_of("q.in"));
	settle();
}

/* What cannot be written at the end is waited for, but not for ever. */
static void test_last_words(void **state)
{
	char *path = name_of("socket");
	struct console *con = start(PORT_SOCKET, path);
	int fd = unix_connect(path);

	settle();
	con->ops->write(con, (const u8 *)"last", 4);
	assert_read(fd, "last");
	con->ops->finish(con);
	assert_int_equal(access(path, F_OK), -1);
	end(con);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file),	    cmocka_unit_test(test_full),
		cmocka_unit_test(test_pipes),	    cmocka_unit_test(test_socket),
		cmocka_unit_test(test_socket_full), cmocka_unit_test(test_pty),
		cmocka_unit_test(test_tty),	    cmocka_unit_test(test_refused),
		cmocka_unit_test(test_last_words),  cmocka_unit_test(test_socket_no_descriptors),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
