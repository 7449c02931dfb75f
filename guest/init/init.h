/* SPDX-License-Identifier: MIT */
/*
 * lkvm's init: process 1 of a Linux guest that lkvm gave a root file system. It loads modules,
 * mounts the root and what belongs to one, runs a command or a shell, tells lkvm how that ended,
 * and powers off. A static program without a C library; include/lkvm/guest-init.h says where it is
 * told what to do, include/lkvm/guest-link.h how it speaks with lkvm meanwhile.
 */
#ifndef INIT_INIT_H
#define INIT_INIT_H

#include <linux/errno.h>
#include <linux/types.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "sys.h"

typedef __u8 u8;
typedef __u32 u32;
typedef __u64 u64;

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define BIT(n)	      (1U << (n))

/* Of exit statuses, as env(1) and shells have them. */
#define STATUS_FAILED	   1
#define STATUS_NOT_EXEC	   126
#define STATUS_NOT_FOUND   127
#define STATUS_SIGNAL(sig) (128 + (u32)(sig))

/* text.c */
void *memset(void *p, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
int memcmp(const void *a, const void *b, size_t n);
size_t strlen(const char *s);
bool equal(const char *a, const char *b);
bool begins(const char *s, const char *with);
bool ends(const char *s, const char *with);
/* The first @c in @s, or NULL. */
char *find_char(const char *s, char c);
u32 to_number(const char *s);
/* %s and %d (an int) alone; what does not fit is cut off, @len > 0. Returns the text's length. */
size_t vformat(char *buf, size_t len, const char *fmt, va_list ap);
size_t format(char *buf, size_t len, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* What an errno (positive) says, in words. */
const char *error_text(long error);

/* say.c: a line for the console. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* conf.c */
/* A file's contents, mapped; *len is 0 for one that is empty or not there (NULL then). */
char *map_file(const char *path, size_t *len);
/* Read the configuration, before the root changes. */
void conf_load(void);
/* The value of entry number @nth of that name, or NULL. */
const char *conf_get(const char *name, u32 nth);
/* The command's argv, NULL-terminated; NULL: a shell is wanted. False: there is no memory for it.
 */
bool conf_command(char ***argv);

/* modules.c: load what lkvm lists. Those that could not be loaded are told on the console. */
void modules_load(void);
/* The first that could not be loaded and why, to end a message with: "; module ...", or "". */
const char *modules_hint(void);

/* mounts.c */
/* /proc, /sys and /dev, which everything else needs. */
void mounts_begin(void);
/*
 * The root file system, with all that belongs to one; we are in the directory to begin in when this
 * returns, which must be there for a command.
 */
void mounts_root(bool has_command);

/* link.c: with lkvm. Messages go out whole; who sends one waits for room in the port. */
/* Find the port, open it and say hello. False: there is none, and there will be none. */
bool link_open(void);
bool link_is_open(void);
int link_fd(void);
void link_send(u8 type, u8 stream, const void *data, size_t len);
/* Read what is there, without waiting. False: the other side is gone. */
bool link_read(void);
/* Take the next whole message that was read. False: there is none. *data lives until the next
 * call. */
struct link_head;
bool link_next(struct link_head *head, const u8 **data);
/* Read until there is one; false: the other side is gone. */
bool link_wait(struct link_head *head, const u8 **data);

/* spawn.c */
struct child {
	int pid;
	/* Ours, by enum link_stream; -1: there is none. */
	int fds[4];
	int slave; /* of a pseudo-terminal, held open for its output; -1: there is none */
};
/* The program takes this one's place, as process 1. */
_Noreturn void become_init(const char *path);
/*
 * Start the command, or a shell where it is NULL, with a terminal in the place of the streams that
 * @start names. It ends init if that cannot be done.
 */
struct link_start;
void spawn(struct child *c, char **command, const struct link_start *start);
/* On the console, without a link: a shell, or the command, which has no input. Its process id. */
int spawn_on_console(char **command);
void set_size(int fd, u32 cols, u32 rows);

/* session.c: run it to its end; the status that it ends with. */
u32 session_run(char **command);
u32 session_on_console(char **command);

/* end.c */
/* Tell lkvm that it is over: @fmt names what failed, NULL: nothing did. Never returns. */
_Noreturn void end(u32 status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
