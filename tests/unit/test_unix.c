/* SPDX-License-Identifier: MIT */
/* util/unix.c: names that are free, in use, left behind, or something else's. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "capture.h"
#include "lkvm/unix.h"
#include "lkvm/util.h"
#include "unit.h"

static char dir[] = "/tmp/lkvm-test-unix-XXXXXX";
static char path[64];

static int set_up(void **state)
{
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/socket", dir);
	return 0;
}

static int tear_down(void **state)
{
	return rmdir(dir); /* empty: no name is left behind */
}

static void test_listens(void **state)
{
	struct unix_listener l;
	char byte = 'x';
	int fd, peer;

	assert_int_equal(unix_listen(&l, path, "--port a"), 0);
	fd = unix_connect(path);
	assert_true(fd >= 0);
	peer = unix_accept(l.fd);
	assert_true(peer >= 0);
	assert_int_equal(write(fd, &byte, 1), 1);
	assert_int_equal(read(peer, &byte, 1), 1);
	/* Nobody else is waiting, and that is told at once. */
	assert_int_equal(unix_accept(l.fd), -EAGAIN);
	close(fd);
	close(peer);
	unix_listener_close(&l);
	assert_int_equal(l.fd, -1);
	assert_int_equal(access(path, F_OK), -1);
	unix_listener_close(&l);
}

static void test_in_use(void **state)
{
	struct unix_listener l, second;

	assert_int_equal(unix_listen(&l, path, "--port a"), 0);
	capture_begin();
	assert_int_equal(unix_listen(&second, path, "--port b"), -EADDRINUSE);
	assert_contains(capture_end(), "--port b: cannot listen on");
	assert_int_equal(second.fd, -1);
	/* The first still has its name. */
	assert_int_equal(access(path, F_OK), 0);
	unix_listener_close(&l);
}

static void test_left_behind(void **state)
{
	struct unix_listener l, again;

	assert_int_equal(unix_listen(&l, path, "--port a"), 0);
	close(l.fd); /* as after kill -9: the name stays */
	assert_int_equal(unix_connect(path), -ECONNREFUSED);
	assert_int_equal(unix_listen(&again, path, "--port a"), 0);
	unix_listener_close(&again);
	assert_int_equal(access(path, F_OK), -1);
}

static void test_replaced(void **state)
{
	struct unix_listener l;
	FILE *f;

	assert_int_equal(unix_listen(&l, path, "--port a"), 0);
	/* The name is another's now. */
	assert_int_equal(unlink(path), 0);
	f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
	unix_listener_close(&l);
	assert_int_equal(unlink(path), 0);
}

static void test_not_a_socket(void **state)
{
	struct unix_listener l;
	char *target = xasprintf("%s/file", dir);
	FILE *f = fopen(target, "w");

	assert_non_null(f);
	fclose(f);
	capture_begin();
	assert_int_equal(unix_listen(&l, target, "--port a"), -EEXIST);
	assert_contains(capture_end(), "is not a socket");
	assert_int_equal(access(target, F_OK), 0);
	/* A link to it is not followed, nor removed. */
	assert_int_equal(symlink(target, path), 0);
	capture_begin();
	assert_int_equal(unix_listen(&l, path, "--port a"), -EEXIST);
	capture_end();
	assert_int_equal(unlink(path), 0);
	assert_int_equal(unlink(target), 0);
	free(target);
}

static void test_names(void **state)
{
	struct unix_listener l;
	char name[200];

	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	capture_begin();
	assert_int_equal(unix_listen(&l, name, "--port a"), -ENAMETOOLONG);
	assert_contains(capture_end(), "107 bytes");
	assert_int_equal(unix_connect(name), -ENAMETOOLONG);
	assert_int_equal(unix_connect(""), -ENOENT);
	capture_begin();
	assert_int_equal(unix_listen(&l, "/nonexistent/socket", "--port a"), -ENOENT);
	capture_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_listens),	    cmocka_unit_test(test_in_use),
		cmocka_unit_test(test_left_behind), cmocka_unit_test(test_not_a_socket),
		cmocka_unit_test(test_replaced),    cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
