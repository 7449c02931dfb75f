/* SPDX-License-Identifier: MIT */
/*
 * One message of a 9P client: its header is copied once with all that is no data, then its request
 * is served and the answer goes into the client's buffers.
 */
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "p9.h"

/* size type tag fid offset count: what stands before the data of a write. */
#define WRITE_HEADER 23u
#define ERROR_LENGTH 11u

/* version: msize version; the same as they will be. Everything that was before is over. */
static int op_version(struct p9_op *op)
{
	u64 msize = p9_get(&op->in, 4);
	const char *version = p9_get_string(&op->in);

	if (op->in.bad)
		return -EINVAL;
	if (strcmp(version, "9P2000.L")) {
		guest_info("--9p %s: the client speaks %.16s; mount with version=9p2000.L",
			   op->share->path, version);
		version = "unknown";
	} else if (msize < P9_MSIZE_MIN) {
		return -EMSGSIZE;
	}
	msize = MIN(msize, (u64)P9_MSIZE_MAX);
	fids_clear(op->fids);
	if (*version == '9')
		atomic_store(op->msize, (unsigned int)msize);
	p9_put(&op->out, 4, msize);
	p9_put_string(&op->out, version, strlen(version));
	return 0;
}

static int op_clunk(struct p9_op *op)
{
	struct p9_fid *fid = fid_remove(op, (u32)p9_get(&op->in, 4));
	int ret;

	if (!fid)
		return -EBADF;
	ret = fid->kind == FID_XATTR_WRITE ? xattr_store(op, fid) : 0;
	fid_drop(op->fids, fid);
	return ret;
}

static const struct {
	int (*fn)(struct p9_op *op);
	bool changes; /* refused where the share is read-only */
} ops[] = {
#define OP(type) [(type) / 2]
	OP(P9_TSTATFS) = { op_statfs, false },
	OP(P9_TLOPEN) = { op_lopen, false },
	OP(P9_TLCREATE) = { op_lcreate, true },
	OP(P9_TSYMLINK) = { op_symlink, true },
	OP(P9_TMKNOD) = { op_mknod, true },
	OP(P9_TRENAME) = { op_rename, true },
	OP(P9_TREADLINK) = { op_readlink, false },
	OP(P9_TGETATTR) = { op_getattr, false },
	OP(P9_TSETATTR) = { op_setattr, true },
	OP(P9_TXATTRWALK) = { op_xattrwalk, false },
	OP(P9_TXATTRCREATE) = { op_xattrcreate, true },
	OP(P9_TREADDIR) = { op_readdir, false },
	OP(P9_TFSYNC) = { op_fsync, false },
	OP(P9_TLOCK) = { op_lock, false },
	OP(P9_TGETLOCK) = { op_getlock, false },
	OP(P9_TLINK) = { op_link, true },
	OP(P9_TMKDIR) = { op_mkdir, true },
	OP(P9_TRENAMEAT) = { op_renameat, true },
	OP(P9_TUNLINKAT) = { op_unlinkat, true },
	OP(P9_TVERSION) = { op_version, false },
	OP(P9_TATTACH) = { op_attach, false },
	OP(P9_TWALK) = { op_walk, false },
	OP(P9_TREAD) = { op_read, false },
	OP(P9_TWRITE) = { op_write, true },
	OP(P9_TCLUNK) = { op_clunk, false },
	/* The fid is clunked in any case. */
	OP(P9_TREMOVE) = { op_remove, false },
};

/* An odd type is an answer's. auth is none of them: who asks is told that there is no such thing.
 */
static int serve(struct p9_op *op)
{
	u32 i = op->type / 2;

	if (op->type & 1 || i >= ARRAY_SIZE(ops) || !ops[i].fn)
		return -EOPNOTSUPP;
	if (ops[i].changes && op->share->readonly)
		return -EROFS;
	return ops[i].fn(op);
}

/* The message into our own bytes, but for data. */
static int take(struct p9_op *op)
{
	const struct p9_request *req = op->req;
	size_t size, len = iov_to_buf(req->out, req->nr_out, 0, op->text, P9_HEADER);

	if (len < P9_HEADER || req->in_len < ERROR_LENGTH)
		return -EPROTO;
	op->in = (struct p9_in){ .p = op->text, .end = op->text + P9_HEADER };
	size = p9_get(&op->in, 4);
	op->type = (u8)p9_get(&op->in, 1);
	op->tag = (u16)p9_get(&op->in, 2);
	if (size < P9_HEADER || size > req->out_len)
		return -EINVAL;
	len = op->type == P9_TWRITE ? MIN(size, (size_t)WRITE_HEADER) : size;
	if (len > sizeof(op->text))
		return -EMSGSIZE;
	/* The second look sees what the first did not take. */
	iov_to_buf(req->out, req->nr_out, P9_HEADER, op->text + P9_HEADER, len - P9_HEADER);
	op->in.end = op->text + len;
	/* What is written lies inside the message. */
	if (op->type == P9_TWRITE &&
	    (size < WRITE_HEADER || get_le(op->text + 19, 4) > size - WRITE_HEADER))
		return -EINVAL;
	return 0;
}

static int answer(struct p9_op *op, u8 type)
{
	size_t len = (size_t)(op->out.p - op->answer);
	size_t total = len + op->data_len;

	put_le(op->answer, 4, total);
	op->answer[4] = type;
	put_le(op->answer + 5, 2, op->tag);
	iov_from_buf(op->req->in, op->req->nr_in, 0, op->answer, len);
	return (int)total;
}

static void begin_answer(struct p9_op *op)
{
	op->out.p = op->answer + P9_HEADER;
	op->out.end = op->answer + sizeof(op->answer);
	op->data_len = 0;
	op->lost = 0;
}

static bool fits(const struct p9_op *op)
{
	return (size_t)(op->out.p - op->answer) + op->data_len <= op->req->in_len;
}

int p9_serve(struct p9_op *op)
{
	int ret = take(op);

	if (ret == -EPROTO)
		return ret;
	begin_answer(op);
	if (!ret)
		ret = serve(op);
	if (ret == -EBADF && op->lost)
		ret = op->lost;
	/* The client flushed it; nothing was done. */
	if (ret == -EINTR && atomic_load(&op->req->canceled))
		return 0;
	if (!ret && !fits(op))
		ret = -EMSGSIZE;
	if (!ret)
		return answer(op, op->type + 1);
	begin_answer(op);
	p9_put(&op->out, 4, (u64)-ret);
	return answer(op, P9_TLERROR + 1);
}
