/* SPDX-License-Identifier: MIT */
/* Counters that wake who sleeps on them (eventfd(2)). */
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/util.h"

void eventfd_raise(int fd)
{
	u64 one = 1;
	bool again = true;

	/*
	 * A full counter means that whoever reads it has something to read anyway. Of other errors
	 * eventfd(2) knows none but a signal's; one that comes all the same is not to be lost in
	 * silence, since whoever sleeps on the fd waits for ever.
	 */
	while (write(fd, &one, sizeof(one)) < 0 && errno != EAGAIN) {
		if (errno != EINTR && !again) {
			guest_warn("cannot write to an eventfd: %s; what waits for it hangs",
				   strerror(errno));
			return;
		}
		again = again && errno == EINTR;
	}
}

bool eventfd_drain(int fd)
{
	u64 count;

	return read(fd, &count, sizeof(count)) == sizeof(count);
}
