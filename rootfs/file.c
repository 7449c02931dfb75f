/* SPDX-License-Identifier: MIT */
/* Whole files in memory: lists of depmod's, modules, programs. */
#include "file.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int file_read_fd(int fd, size_t max, u8 **data, size_t *len)
{
	size_t room = 0, n = 0;
	u8 *buf = NULL;
	ssize_t got = 0;
	int ret = 0;

	do {
		if (room - n < 2) {
			size_t more = MIN(room * 2 + 64 * 1024, max + 2);
			u8 *larger = more > room ? realloc(buf, more) : NULL;

			if (!larger) {
				ret = more > room ? -ENOMEM : -EFBIG;
				break;
			}
			buf = larger;
			room = more;
		}
		got = read(fd, buf + n, room - n - 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			ret = -errno;
		else
			n += (size_t)got;
	} while (!ret && got);
	if (!ret && n > max)
		ret = -EFBIG;
	if (ret) {
		free(buf);
		return ret;
	}
	buf[n] = 0;
	*data = buf;
	*len = n;
	return 0;
}

int file_read(const char *path, size_t max, u8 **data, size_t *len)
{
	/* O_NONBLOCK: a FIFO is refused instead of waited for. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int ret;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st))
		ret = -errno;
	else if (!S_ISREG(st.st_mode))
		ret = -EINVAL;
	else
		ret = file_read_fd(fd, max, data, len);
	close(fd);
	return ret;
}

int file_read_output(char *const *argv, const char *input, size_t max, u8 **data, size_t *len)
{
	posix_spawn_file_actions_t act;
	int pipe_fds[2], status, ret;
	pid_t pid;

	if (pipe2(pipe_fds, O_CLOEXEC))
		return -errno;
	posix_spawn_file_actions_init(&act);
	posix_spawn_file_actions_addopen(&act, STDIN_FILENO, input, O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&act, pipe_fds[1], STDOUT_FILENO);
	ret = -posix_spawn(&pid, argv[0], &act, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&act);
	close(pipe_fds[1]);
	if (!ret) {
		ret = file_read_fd(pipe_fds[0], max, data, len);
		close(pipe_fds[0]);
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		if (!ret && status) {
			free(*data);
			ret = -EBADMSG;
		}
		return ret;
	}
	close(pipe_fds[0]);
	return ret;
}
