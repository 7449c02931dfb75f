/* SPDX-License-Identifier: MIT */
/*
 * Of vfio/migration-file.c: a file with the state of a device, a head and what its driver gave.
 *
 * Little-endian: what it is and of what, how much there is of it and a CRC-32 (RFC 1952, 8). The
 * head is written last, and then the file gets its name: whatever cuts the work off, there is
 * either all of it or, under that name, nothing new.
 */
#ifndef VFIO_STATE_FILE_H
#define VFIO_STATE_FILE_H

#include <sys/types.h>

#include "lkvm/types.h"

#define STATE_FILE_VERSION 1U
/* Of a device's identity, as text. */
#define STATE_FILE_ID_LEN 96U

struct state_file {
	const char *path;
	char *temporary; /* while it is written */
	int fd;		 /* -1: closed */
	u64 length;	 /* of the driver's bytes: written so far, or in the file */
	u32 crc;	 /* of those */
};

/*
 * A new file that shall be called @path. 0 or -errno; as all of these it prints nothing but gives
 * what it was about in *@what ("cannot write"). -ENOTSUP: there is something else than a file.
 */
int state_file_create(struct state_file *f, const char *path, const char **what) __must_check;
int state_file_append(struct state_file *f, const void *bytes, size_t len,
		      const char **what) __must_check;
/* Head and name. @id: the device's identity. The file is closed then, in any case. */
int state_file_commit(struct state_file *f, const char *id, const char **what) __must_check;
/*
 * Open one and check all of it. -EBADMSG: it is none, or damaged, as *@what says. @id is whose it
 * is, STATE_FILE_ID_LEN bytes.
 */
int state_file_open(struct state_file *f, const char *path, char *id,
		    const char **what) __must_check;
/* The next bytes of it: how many, 0 at the end, or -errno. */
ssize_t state_file_read(struct state_file *f, void *bytes, size_t len);
/* One that was not committed leaves nothing. Safe on a closed one. */
void state_file_close(struct state_file *f);

#endif
