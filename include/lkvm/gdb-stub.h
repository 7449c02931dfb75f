/* SPDX-License-Identifier: MIT */
/*
 * GDB's remote serial protocol (GDB manual, appendix E), between bytes of a client and a target
 * that a table of operations stands for. It knows no descriptor and no VM. One connection is one
 * stub: a thread's, which never waits, and whose memory is bounded whatever comes.
 */
#ifndef LKVM_GDB_STUB_H
#define LKVM_GDB_STUB_H

#include <sys/types.h>

#include "lkvm/debug.h"
#include "lkvm/types.h"

/* The longest packet, without its frame: PacketSize. */
#define GDB_PACKET 0x4000U

/* The numbers of signals, which are GDB's own. */
#define GDB_SIGINT  2
#define GDB_SIGTRAP 5

/* Why everything stands still. */
struct gdb_stop {
	u32 vcpu;
	u8 signal;
	enum debug_stop why;  /* DEBUG_STOP_NONE: no more to tell */
	enum debug_kind kind; /* of DEBUG_STOP_WATCH */
	u64 addr;	      /* the same */
};

enum gdb_action { GDB_STAY, GDB_CONTINUE, GDB_STEP };

/*
 * vcpus are counted from 0. All are called while the target stands still but interrupt, detach and
 * kill; 0 or -errno. The stub stands still at first, and runs after resume or detach.
 */
struct gdb_target_ops {
	u32 (*nr_vcpus)(void *target);
	const struct debug_feature *(*features)(void *target, u32 *nr);
	int (*get_reg)(void *target, u32 vcpu, const struct debug_reg *reg, u32 index, u8 *value);
	int (*set_reg)(void *target, u32 vcpu, const struct debug_reg *reg, u32 index,
		       const u8 *value);
	/* As many bytes as can be read from @addr on, which is a physical address or one that @vcpu
	 * would use. */
	size_t (*read)(void *target, u32 vcpu, bool physical, u64 addr, u8 *buf, size_t len);
	int (*write)(void *target, u32 vcpu, bool physical, u64 addr, const u8 *buf, size_t len);
	/* A breakpoint in memory (@kind 0) or a hardware one (enum debug_kind), put or taken away.
	 * *why is a text about a failure, or NULL. */
	int (*point)(void *target, u32 vcpu, u32 kind, u64 addr, u64 len, bool put,
		     const char **why);
	/* Let vcpus run, an action for each. *why as above. It stops by gdb_stub_stopped. */
	int (*resume)(void *target, const u8 *actions, const char **why);
	/* Stop: gdb_stub_stopped follows, in the call or later. */
	void (*interrupt)(void *target);
	/* The debugger leaves: everything as if it had never been there. */
	void (*detach)(void *target);
	void (*kill)(void *target);
	/* A few words about @vcpu. */
	void (*describe)(void *target, u32 vcpu, char *buf, size_t len);
	/* A command of the user ("monitor ..."): what it says, which the caller frees. */
	char *(*monitor)(void *target, u32 vcpu, const char *command, bool *physical);
};

struct gdb_stub {
	const struct gdb_target_ops *ops;
	void *target;
	/* What waits to be sent: out[sent, len); look at it after each call, and move @sent. */
	u8 out[GDB_PACKET + 2048];
	u32 len, sent;
	bool over; /* nothing more is to be said: hang up when all was sent */

	u32 last; /* where in @out the last packet begins, which may be asked for again */
	u8 in[GDB_PACKET + 1]; /* and a NUL */
	u32 in_len;
	enum { GDB_IDLE, GDB_DATA, GDB_SUM, GDB_SUM2 } state;
	bool too_long;
	u8 sum, got_sum;
	bool no_ack, swbreak, hwbreak; /* what the client can do */
	bool running, detached, physical;
	u32 vcpu;      /* of registers and memory */
	u32 step_vcpu; /* of the older packets 'c' and 's' */
	u32 listed;    /* of the list of threads */
	struct gdb_stop stop;
	u8 *actions; /* one for each vcpu */
	char *xml;   /* the description, once it was asked for */
	size_t xml_len;
};

/* A new connection to a target that stands still at @vcpu. */
void gdb_stub_init(struct gdb_stub *s, const struct gdb_target_ops *ops, void *target, u32 vcpu);
void gdb_stub_free(struct gdb_stub *s);
/* May it be given input? Not while something waits to be sent. */
bool gdb_stub_wants(const struct gdb_stub *s);
/*
 * Bytes of the client; how many were taken: it stops where an answer has to be sent first. -EPROTO:
 * that is another protocol; hang up.
 */
ssize_t gdb_stub_input(struct gdb_stub *s, const u8 *data, size_t len);
/* Does it wait for the target to stop? */
bool gdb_stub_runs(const struct gdb_stub *s);
/* It stopped: tell the client, if it waits for that. */
void gdb_stub_stopped(struct gdb_stub *s, const struct gdb_stop *stop);
/* A line for the user, if the target runs and there is room. */
void gdb_stub_message(struct gdb_stub *s, const char *text);
/* The target is gone, by @signal or with exit @status. */
void gdb_stub_ended(struct gdb_stub *s, int status, int signal);

#endif
