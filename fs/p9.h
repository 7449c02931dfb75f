/* SPDX-License-Identifier: MIT */
/*
 * The server of 9P2000.L in pieces: share.c is the host's side (a directory, and how anything below
 * it is reached), fid.c what the client holds and node.c the files that it stands for, wire.c the
 * bytes of messages; node-ops.c, file-ops.c, lock-ops.c and xattr-ops.c serve the requests, serve.c
 * takes a message apart and answers it, session.c has the threads.
 */
#ifndef LKVM_FS_P9_H
#define LKVM_FS_P9_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "lkvm/fs.h"
#include "lkvm/types.h"

/* Types of messages (9P2000.L, as Linux's include/net/9p/9p.h); an answer is one more. */
enum p9_type {
	P9_TLERROR = 6,
	P9_TSTATFS = 8,
	P9_TLOPEN = 12,
	P9_TLCREATE = 14,
	P9_TSYMLINK = 16,
	P9_TMKNOD = 18,
	P9_TRENAME = 20,
	P9_TREADLINK = 22,
	P9_TGETATTR = 24,
	P9_TSETATTR = 26,
	P9_TXATTRWALK = 30,
	P9_TXATTRCREATE = 32,
	P9_TREADDIR = 40,
	P9_TFSYNC = 50,
	P9_TLOCK = 52,
	P9_TGETLOCK = 54,
	P9_TLINK = 70,
	P9_TMKDIR = 72,
	P9_TRENAMEAT = 74,
	P9_TUNLINKAT = 76,
	P9_TVERSION = 100,
	P9_TAUTH = 102,
	P9_TATTACH = 104,
	P9_TFLUSH = 108,
	P9_TWALK = 110,
	P9_TREAD = 116,
	P9_TWRITE = 118,
	P9_TCLUNK = 120,
	P9_TREMOVE = 122,
};

#define P9_HEADER      7u	   /* size[4] type[1] tag[2] */
#define P9_READ_HEADER 11u	   /* and count[4] of Rread, Rreaddir */
#define P9_NO_FID      0xffffffffu /* and "no user" */
#define P9_MAX_WALK    16
#define P9_MSIZE_MIN   4096u
/* Linux asks for 125 pages at most: 500 KiB, or with pages of 64 KiB more. */
#define P9_MSIZE_MAX MiB
/* What a message may have beside data that is written: names of 255 bytes and a link's target. */
#define P9_TEXT_MAX 8192u
#define P9_DIR_READ 16384u /* of a directory at a time */

/* The bits of a qid's type. */
#define P9_QT_DIR     0x80
#define P9_QT_SYMLINK 0x02

struct p9_qid {
	u8 type;
	u32 version;
	u64 path;
};

/* A message that is being read; @bad: something reached beyond its end. */
struct p9_in {
	u8 *p, *end;
	bool bad;
};

u64 p9_get(struct p9_in *in, unsigned int bytes);
/* A string without a NUL in it, terminated in its place; "" when it is bad. */
const char *p9_get_string(struct p9_in *in);

/* An answer that is being written; there is room for everything that is. */
struct p9_out {
	u8 *p;
	const u8 *end;
};

void p9_put(struct p9_out *out, unsigned int bytes, u64 value);
void p9_put_bytes(struct p9_out *out, const void *bytes, size_t len);
void p9_put_string(struct p9_out *out, const char *s, size_t len);
void p9_put_qid(struct p9_out *out, const struct p9_qid *qid);

/* share.c */

struct device_prefix {
	u64 dev, high;
	bool used;
};
#define SHARE_PREFIXES 512u /* a power of two */

struct share {
	char *path, *tag; /* the user's words */
	int root;	  /* O_PATH */
	u64 root_dev, root_ino;
	bool readonly;
	bool chowns;	      /* new files get the owner that the client names */
	bool no_openat2;      /* the kernel, or a filter of system calls, does not have it */
	u32 max_fds;	      /* descriptors */
	u32 max_fids;	      /* and nodes: they cost memory alone */
	pthread_mutex_t lock; /* of what follows */
	u32 nr_prefixes;
	struct device_prefix prefixes[SHARE_PREFIXES];
	u16 numbers[SHARE_PREFIXES];
};

/*
 * A file that is held: any kind, possibly without a name by now. Counted; shared by fids. @fd may
 * be used by who has made sure of it (node_use, fid_get), until node_unuse or fid_put.
 */
struct p9_node {
	mode_t mode; /* S_IFMT */
	u64 dev, ino;
	int fd; /* O_PATH, or open as the file that was just created; -1: given back */
	/* Under the table's lock. */
	unsigned int refs, users;
	struct p9_node *parent; /* where it was found as @name; NULL: that is not known */
	char *name;
	struct p9_node *next_name;     /* of those whose names have the same hash */
	bool listed;		       /* among those that can give their descriptor back */
	struct p9_node *older, *newer; /* there */
};

/* One element of a path that may be made or removed: not "", ".", ".." and without '/'. */
bool p9_valid_name(const char *name);
/* The path that means the very file of @fd, whatever became of its name. */
struct fd_path {
	char text[32];
};
struct fd_path fd_path(int fd);
/* @name (one element, no ".") in @dir, not followed; ".." stays below the root. An O_PATH
 * descriptor or -errno. */
int share_lookup(const struct share *share, const struct p9_node *dir, const char *name);
/* Open a regular file or a directory again for use; others are refused, unopened. */
int share_reopen(const struct p9_node *node, int flags);
/* -ENFILE: more devices than there are numbers for. */
int share_qid(struct share *share, const struct stat *st, struct p9_qid *qid);
/* The qid's path of an inode of that device; 0: as above. */
u64 share_inode(struct share *share, u64 dev, u64 ino);

/* fid.c */

enum p9_kind { FID_PATH, FID_OPEN, FID_XATTR_READ, FID_XATTR_WRITE };

struct p9_xattr {
	u32 size, done, flags;
	u32 room; /* that was taken for it */
	u8 *value;
	char name[256];
};

/*
 * What the client holds. Nothing but the position and the attribute's bytes changes once it is in
 * the table: a fid that is opened is replaced by another of its number, while requests may still
 * use the old one.
 */
struct p9_fid {
	u32 id;
	u32 uid; /* who new files belong to */
	unsigned int refs;
	enum p9_kind kind;
	bool append, writable;
	int fd; /* of FID_OPEN, whose node is in use all the time; -1: node->fd */
	struct p9_fid *next;
	struct p9_node *node;
	pthread_mutex_t lock; /* of what follows */
	u64 position;	      /* of a directory */
	struct p9_xattr *xattr;
};

static inline int fid_fd(const struct p9_fid *fid)
{
	return fid->fd >= 0 ? fid->fd : fid->node->fd;
}

struct fid_table {
	pthread_mutex_t lock;
	/* Outside the other: for writing while a name is moved on the host and in the nodes. */
	pthread_rwlock_t moving;
	struct p9_fid **buckets;
	u32 nr_buckets; /* a power of two */
	u32 count;
	u32 generation;		 /* of the session; a request of an older one adds nothing */
	atomic_uint nr_fds;	 /* that nodes and fids hold */
	atomic_uint value_bytes; /* of extended attributes */
	/* Of nodes, by the names that they were found by. */
	u32 nr_nodes;
	struct p9_node **names;		 /* P9_NAMES */
	struct p9_node *oldest, *newest; /* of those that can give their descriptor back */
};
#define P9_NAMES 16384u

/* What one thread needs for one request at a time. */
struct p9_op {
	struct share *share;
	struct fid_table *fids;
	struct p9_request *req;
	atomic_uint *msize;
	u32 generation;
	u8 type;
	u16 tag;
	struct p9_in in;
	struct p9_out out;
	int lost;     /* -errno: a fid is there, but its file is not */
	u32 data_len; /* bytes of the answer that are in the request's buffers already */
	struct iovec iov[P9_MAX_SEGS];
	u8 text[P9_TEXT_MAX];
	u8 answer[P9_DIR_READ + 4096];
	_Alignas(8) u8 dents[P9_DIR_READ];
};

int fids_init(struct fid_table *t) __must_check;
void fids_clear(struct fid_table *t);
void fids_destroy(struct fid_table *t);

/* NULL: there is none of that number, or (op->lost) its file is not to be had. Ends with fid_put.
 */
struct p9_fid *fid_get(struct p9_op *op, u32 id);
void fid_put(struct fid_table *t, struct p9_fid *fid);
/* Of one that fid_get did not give: its file, until node_unuse. 0 or -errno. */
int fid_use(struct p9_op *op, struct p9_fid *fid);
/* A fid that is not in the table yet: takes a reference of @node. NULL: no memory. */
struct p9_fid *fid_new(struct fid_table *t, u32 id, u32 uid, struct p9_node *node);
/* What is written or read of an attribute, and its part of the bytes that there are for all. */
void xattr_free(struct fid_table *t, struct p9_xattr *x);
/* A reference that fid_get did not give. */
void fid_drop(struct fid_table *t, struct p9_fid *fid);
/* Takes @fid over, also on failure: -EBADF, the number is in use; -ENFILE, there are too many. */
int fid_add(struct p9_op *op, struct p9_fid *fid);
/* @fid takes the place of @old; -EBADF: that has gone meanwhile. */
int fid_replace(struct p9_op *op, struct p9_fid *old, struct p9_fid *fid);
/* Open fids of the file of @node, but for @but, up to @max; their number. Each ends with fid_drop.
 */
u32 fid_others(struct p9_op *op, const struct p9_node *node, const struct p9_fid *but,
	       struct p9_fid **out, u32 max);
/* Out of the table; the caller has the reference (fid_drop). */
struct p9_fid *fid_remove(struct p9_op *op, u32 id);

/* node.c; those whose names end in _locked: under the table's lock. */

/* A file that was found as @name in @parent (NULL: not known). Held. Takes @fd over, also on
 * failure. */
int node_new(struct p9_op *op, int fd, struct p9_node *parent, const char *name, struct stat *st,
	     struct p9_node **out);
struct p9_node *node_get(struct fid_table *t, struct p9_node *node);
struct p9_node *node_get_locked(struct p9_node *node);
void node_put(struct fid_table *t, struct p9_node *node);
/* It has its descriptor until node_unuse. 0; -ESTALE: it is not where it was found; -errno. */
int node_use(struct p9_op *op, struct p9_node *node);
/* False: node_reopen has to follow. */
bool node_use_locked(struct fid_table *t, struct p9_node *node);
int node_reopen(struct p9_op *op, struct p9_node *node);
/* @fd is one of the file, and the node's unless it has one. */
void node_give_fd(struct fid_table *t, struct p9_node *node, int fd);
void node_unuse(struct fid_table *t, struct p9_node *node);
void node_unuse_locked(struct fid_table *t, struct p9_node *node);
/* Get and use one that is in use; and the end of both (NULL: nothing). */
void node_hold(struct fid_table *t, struct p9_node *node);
void node_release(struct fid_table *t, struct p9_node *node);
/* Where it was found: *parent is held, *name the caller's. -EBUSY: that is not known. */
int node_place(struct p9_op *op, struct p9_node *node, struct p9_node **parent, char **name);
/* The client has removed the name. */
void nodes_unlinked(struct fid_table *t, const struct p9_node *dir, const char *name);
/* Move it, and the nodes with it. Both directories are in use. 0 or -errno. */
int node_rename(struct p9_op *op, const struct p9_node *from, const char *name, struct p9_node *to,
		const char *new_name);
/* May one more be opened? Others give theirs back for it. Says once in a while that all are in use.
 */
bool fds_left(struct p9_op *op);

/* The requests: read op->in, write op->out; 0 or -errno. */
int op_attach(struct p9_op *op);
int op_walk(struct p9_op *op);
int op_getattr(struct p9_op *op);
int op_setattr(struct p9_op *op);
int op_statfs(struct p9_op *op);
int op_readlink(struct p9_op *op);
int op_symlink(struct p9_op *op);
int op_mknod(struct p9_op *op);
int op_mkdir(struct p9_op *op);
int op_link(struct p9_op *op);
int op_rename(struct p9_op *op);
int op_renameat(struct p9_op *op);
int op_unlinkat(struct p9_op *op);
int op_remove(struct p9_op *op);
int op_lopen(struct p9_op *op);
int op_lcreate(struct p9_op *op);
int op_read(struct p9_op *op);
int op_write(struct p9_op *op);
int op_readdir(struct p9_op *op);
int op_fsync(struct p9_op *op);
int op_lock(struct p9_op *op);
int op_getlock(struct p9_op *op);
int op_xattrwalk(struct p9_op *op);
int op_xattrcreate(struct p9_op *op);
/* The attribute that was written becomes the file's. */
int xattr_store(struct p9_op *op, struct p9_fid *fid);

/* What was just made belongs to the client's user and has the mode that was asked for. */
int p9_adopt(struct p9_op *op, int fd, u32 uid, u32 gid, mode_t mode, struct stat *st);

/* serve.c: serve op->req; what its done() gets. */
int p9_serve(struct p9_op *op);

#endif
