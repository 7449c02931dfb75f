/* SPDX-License-Identifier: MIT */
/*
 * Locks of ranges (9P2000.L). What its own processes want of each other the client settles before
 * it asks; a lock here is against others on the host, and belongs to the open file (F_OFD_SETLK).
 */
#include <fcntl.h>
#include <time.h>

#include "lkvm/util.h"
#include "p9.h"

/* How long a lock waits for another of the same client's to go. */
#define HANDOVER_TRIES 100
#define HANDOVER_NS    1000000L
/* More open fids of one file than this are not asked. */
#define MAX_OTHERS 32

enum { STATUS_GRANTED, STATUS_BLOCKED, STATUS_FAILED };
enum { TYPE_READ, TYPE_WRITE, TYPE_NONE };

static bool get_lock(struct p9_in *in, u8 type, struct flock *l)
{
	static const short types[] = { F_RDLCK, F_WRLCK, F_UNLCK };
	u64 start = p9_get(in, 8), len = p9_get(in, 8);

	if (in->bad || type > TYPE_NONE || start > INT64_MAX || len > INT64_MAX)
		return false;
	*l = (struct flock){ .l_type = types[type], .l_whence = SEEK_SET };
	l->l_start = (off_t)start;
	l->l_len = (off_t)len;
	return true;
}

/*
 * Is what stands in the way a lock of this client alone? The kernel does not say whose a lock is,
 * but the file that has it sees nothing in its way.
 */
static bool is_ours(struct p9_op *op, const struct p9_fid *fid, const struct flock *wanted,
		    bool *any)
{
	struct p9_fid *others[MAX_OTHERS];
	u32 nr = fid_others(op, fid->node, fid, others, MAX_OTHERS);
	bool ours = false;

	*any = nr > 0;
	for (u32 i = 0; i < nr; i++) {
		struct flock l = *wanted;

		if (!fcntl(fid_fd(others[i]), F_OFD_GETLK, &l) && l.l_type == F_UNLCK)
			ours = true;
		fid_drop(op->fids, others[i]);
	}
	return ours;
}

static int set_lock(const struct p9_fid *fid, struct flock *l)
{
	int ret = fcntl(fid_fd(fid), F_OFD_SETLK, l);

	/* flock(2) may want to write-lock what is open for reading: the host can lock it so much.
	 */
	if (ret && errno == EBADF && !fid->writable) {
		l->l_type = F_RDLCK;
		ret = fcntl(fid_fd(fid), F_OFD_SETLK, l);
	}
	return ret;
}

/*
 * Linux lets go of a lock for its own processes first and tells us then: who gets it next may ask
 * before that, and would not ask again for half a minute. Its own lock is no reason to refuse (two
 * files of one process never conflict, either), but mostly it goes in a moment, and then the lock
 * is exact.
 */
static u8 try_lock(struct p9_op *op, const struct p9_fid *fid, struct flock *l)
{
	struct timespec moment = { .tv_nsec = HANDOVER_NS };
	bool ours, any;

	for (int tries = HANDOVER_TRIES;; tries--) {
		if (!set_lock(fid, l))
			return STATUS_GRANTED;
		if (errno != EAGAIN && errno != EACCES)
			return STATUS_FAILED;
		ours = is_ours(op, fid, l, &any);
		if (!any || !tries || atomic_load(&op->req->canceled))
			return ours ? STATUS_GRANTED : STATUS_BLOCKED;
		nanosleep(&moment, NULL);
	}
}

/* lock: fid type flags start length proc_id client_id; status. It does not wait: who is told that
 * it is blocked asks again. */
int op_lock(struct p9_op *op)
{
	struct p9_fid *fid = fid_get(op, (u32)p9_get(&op->in, 4));
	u8 type = (u8)p9_get(&op->in, 1);
	struct flock l;
	int ret = 0;

	if (!fid)
		return -EBADF;
	p9_get(&op->in, 4);
	if (!get_lock(&op->in, type, &l))
		ret = -EINVAL;
	else if (fid->kind != FID_OPEN)
		ret = -EBADF;
	else
		p9_put(&op->out, 1, try_lock(op, fid, &l));
	fid_put(op->fids, fid);
	return ret;
}

/* getlock: fid type start length proc_id client_id; the same of a lock that is in the way */
int op_getlock(struct p9_op *op)
{
	struct p9_fid *fid = fid_get(op, (u32)p9_get(&op->in, 4));
	u8 type = (u8)p9_get(&op->in, 1);
	struct flock l;
	const char *client;
	u32 process;
	int ret = -EINVAL;

	if (!fid)
		return -EBADF;
	if (!get_lock(&op->in, type, &l))
		goto out;
	process = (u32)p9_get(&op->in, 4);
	client = p9_get_string(&op->in);
	if (op->in.bad || strlen(client) > 255)
		goto out;
	ret = fid->kind != FID_OPEN		    ? -EBADF
	      : type == TYPE_NONE		    ? -EINVAL
	      : fcntl(fid_fd(fid), F_OFD_GETLK, &l) ? -errno
						    : 0;
	if (ret)
		goto out;
	p9_put(&op->out, 1,
	       l.l_type == F_UNLCK   ? TYPE_NONE
	       : l.l_type == F_RDLCK ? TYPE_READ
				     : TYPE_WRITE);
	p9_put(&op->out, 8, (u64)l.l_start);
	p9_put(&op->out, 8, (u64)l.l_len);
	/* Whose it is on the host is nothing of the client's. */
	p9_put(&op->out, 4, l.l_type == F_UNLCK ? process : 0);
	p9_put_string(&op->out, client, strlen(client));
out:
	fid_put(op->fids, fid);
	return ret;
}
