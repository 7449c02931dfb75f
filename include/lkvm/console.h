/* SPDX-License-Identifier: MIT */
/*
 * The character stream behind a serial port or a virtio console. A backend knows no device, a
 * device no terminal.
 */
#ifndef LKVM_CONSOLE_H
#define LKVM_CONSOLE_H

#include <pthread.h>

#include "lkvm/event.h"
#include "lkvm/types.h"

struct console;

struct console_client {
	/* How many input bytes the device can take now; 0 holds input back until
	 * console_input_ready. Main loop's thread. */
	size_t (*room)(void *opaque);
	/* Input; @len is at most what room said. Main loop's thread. */
	void (*input)(void *opaque, const u8 *buf, size_t len);
	/* No more input follows. NULL: a pipe with a name may get other writers, and is read on
	 * then. Main loop's thread. */
	void (*ended)(void *opaque);
	/*
	 * Ctrl-C was typed on a terminal. True: it was taken for what it says, and is no input. May
	 * be NULL. Main loop's thread.
	 */
	bool (*interrupted)(void *opaque);
	/* The terminal's size changed (or is first known). May be NULL. */
	void (*resized)(void *opaque, u16 cols, u16 rows);
	/* Somebody is there on the other side, or nobody; until it is called: somebody. What is
	 * written to nobody is lost. May be NULL. Main loop's thread, also inside set_client. */
	void (*connected)(void *opaque, bool on);
	/* What console_offer did not take it would take now. Main loop's thread. NULL for a device
	 * that does not offer. */
	void (*writable)(void *opaque);
	void *opaque;
};

struct console_ops {
	/* Guest output. Any thread, also several at a time. May block while the reader is slow;
	 * returns early when the VM stops or pauses. */
	void (*write)(struct console *con, const u8 *buf, size_t len);
	void (*set_client)(struct console *con, const struct console_client *client);
	/* The device has room again. Any thread. */
	void (*input_ready)(struct console *con);
	/* The process is about to end: all output goes out, the terminal is as it was found. As
	 * destroy does it, but nothing is released. Main loop's thread, while it does not run. */
	void (*finish)(struct console *con);
	void (*destroy)(struct console *con);
	/* See console_offer; NULL: write never waits. */
	size_t (*offer)(struct console *con, const u8 *buf, size_t len);
};

struct console {
	const struct console_ops *ops;
};

/*
 * Guest output without waiting for the reader: how many bytes were taken, from the first on. After
 * less than @len the client's writable follows. Any thread.
 */
static inline size_t console_offer(struct console *con, const u8 *buf, size_t len)
{
	if (con->ops->offer)
		return con->ops->offer(con, buf, len);
	con->ops->write(con, buf, len);
	return len;
}

/*
 * console/output.c: a console of output alone, written to @to, which outlives it. There is nothing
 * to destroy.
 */
struct console_output {
	struct console con;
	struct console *to;
};
void console_output_init(struct console_output *o, struct console *to);

/*
 * console/watch.c: all goes to @to and comes from there, which outlives it; and @seen is called
 * with what the guest wrote, as far as it was taken, by the thread that wrote it: several at a
 * time, if devices have several such consoles. There is nothing to destroy.
 */
struct console_watch {
	struct console con;
	struct console *to;
	u32 nr; /* the owner's, to know it by */
	void (*seen)(void *opaque, u32 nr, const u8 *buf, size_t len);
	void *opaque;
};
void console_watch_init(struct console_watch *w, struct console *to, u32 nr,
			void (*seen)(void *opaque, u32 nr, const u8 *buf, size_t len),
			void *opaque);

/*
 * console/firmware.c: all goes to @to and comes from there, which outlives it; and the guest's
 * firmware calls (SBI) have a share in it. While the guest sleeps the next byte of input wakes it
 * and goes nowhere else. There is nothing to destroy.
 */
struct console_sleeper {
	bool (*asleep)(void *opaque); /* both by the main loop's thread */
	void (*wake)(void *opaque);
	void *opaque;
};
struct console_firmware {
	struct console con; /* for the device */
	struct console *to;
	struct console_client client; /* the device */
	/* What comes next, as room said last: a key that wakes the guest, or input of the device.
	 */
	bool wakes, for_device;
	struct console_sleeper sleeper;
	pthread_mutex_t lock; /* what follows; nothing is called under it */
	size_t wanted;	      /* a caller found nothing, and asked for so much */
	u8 kept[64];	      /* for the next call */
	size_t nr_kept;
};
void console_firmware_init(struct console_firmware *f, struct console *to,
			   const struct console_sleeper *sleeper);
/* As the device writes. Any thread. */
void console_firmware_write(struct console_firmware *f, const u8 *buf, size_t len);
/* What is there, without waiting: how many bytes; 0: none yet. Any thread. */
size_t console_firmware_read(struct console_firmware *f, u8 *buf, size_t len);
/* To be told once the guest sleeps, for a key to wake it. Any thread. */
void console_firmware_await_key(struct console_firmware *f);

/* Where a terminal shows what the guest writes. */
enum term_output { TERM_STDOUT, TERM_STDERR, TERM_NOWHERE };

/* Keys of the escape menu after Ctrl-A. All but wanted run on the main loop's thread. */
struct term_hooks {
	void (*quit)(void *opaque);	    /* x */
	void (*power_button)(void *opaque); /* p */
	void (*continued)(void *opaque);    /* no key: the process was stopped, and goes on */
	/* No key, any thread: whoever writes is not to wait for the reader any more. NULL: only
	 * once the loop was stopped. */
	bool (*wanted)(void *opaque);
	void *opaque;
	enum term_output output;
	bool no_input; /* standard input is left alone: no keys, no menu */
};

/*
 * console/term.c: standard input and output, a terminal left as it is until term_start. Raw mode
 * only when standard input is a terminal and the process is in its foreground; restored by finish,
 * destroy, and term_restore (async-signal-safe: fatal signals, exit), and never changed otherwise.
 * Works with stdin closed, a pipe, a file, /dev/null. *out is owned by the caller.
 */
int term_create(struct event_loop *loop, const struct term_hooks *hooks,
		struct console **out) __must_check;
/*
 * From here on the loop reads the terminal, in raw mode: called right before the loop runs. After
 * the loop, term_stop: the terminal itself obeys its interrupt key then, or @key where that is not
 * 0, and sends SIGINT. Nothing happens where there is no terminal.
 */
void term_start(struct console *con);
void term_stop(struct console *con, char key);
void term_restore(void);

#endif
