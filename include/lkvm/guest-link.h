/* SPDX-License-Identifier: MIT */
/*
 * The link between lkvm and its init (guest/init): one stream of bytes each way, over a port of
 * virtio-console. It carries a command's standard input, output and error apart, and its exit
 * status. Both sides include this header; docs/guest-command.md tells it as a story.
 *
 * A message is a head and @len bytes. Numbers are little-endian. Data of a stream is sent only as
 * far as the receiver has said that it has room (LINK_WINDOW): so no stream waits for another, and
 * neither side ever needs to keep more than it has agreed to. The guest begins with LINK_HELLO.
 */
#ifndef LKVM_GUEST_LINK_H
#define LKVM_GUEST_LINK_H

#include <linux/types.h>

#define LINK_VERSION 1
/* The port's name, in /sys/class/virtio-ports/PORT/name. */
#define LINK_PORT "org.lkvm.init"
/* No more follows a head. */
#define LINK_MAX 32768
/* What the guest keeps of standard input. */
#define LINK_STDIN_ROOM 65536

enum link_type {
	/* From the guest. */
	LINK_HELLO = 1,	  /* first: struct link_hello */
	LINK_RUNNING = 2, /* the command was started: signals reach it */
	LINK_EXIT = 3,	  /* last, after all output: struct link_exit, then text that names what
			     failed (none: the command ended by itself). The machine may end. */
	/* From the host. */
	LINK_START = 16,  /* the answer to LINK_HELLO: struct link_start */
	LINK_SIGNAL = 17, /* struct link_signal, for the command and what it started */
	LINK_SIZE = 18,	  /* the terminal's size is another: struct link_size */
	/* Either way; @stream says of what. */
	LINK_DATA = 32,
	LINK_EOF = 33,	  /* no data follows: standard input has ended */
	LINK_WINDOW = 34, /* so many bytes more may be sent: struct link_window */
	LINK_CLOSED = 35, /* nobody reads it any more: a writer gets SIGPIPE */
};

enum link_stream {
	LINK_STDIN,
	LINK_STDOUT,
	LINK_STDERR,
	LINK_TERMINAL, /* what the guest's terminal shows, where there is one */
	LINK_NR_STREAMS,
};

struct link_head {
	__le32 len; /* bytes after the head */
	__u8 type;
	__u8 stream;
	__le16 zero;
};

struct link_hello {
	__le32 version;
};

struct link_size {
	__le16 cols, rows; /* 0: not known */
};

struct link_start {
	__le32 version;
	/*
	 * BIT(stream): it is a terminal on the host. With that of standard input the command gets a
	 * terminal of its own in the place of each; without it, pipes.
	 */
	__le32 terminals;
	struct link_size size;
};

struct link_signal {
	__le32 number; /* as in Linux on every architecture that lkvm knows: 1 to 31 */
};

struct link_window {
	__le32 bytes;
};

/* As a shell has it: 128 and the number of a signal, 126 and 127 for what cannot be executed or is
 * not found. */
struct link_exit {
	__le32 status;
};

#endif
