/* SPDX-License-Identifier: MIT */
/*
 * Between the files of taps: whatever speaks the ioctls of Linux's tun driver (Linux
 * Documentation/networking/tuntap.rst, drivers/net/tap.c): an interface by name, a macvtap, or
 * descriptors that somebody else opened.
 */
#ifndef LKVM_NET_TUN_H
#define LKVM_NET_TUN_H

#include <net/if.h>
#include <stdatomic.h>

#include "lkvm/net.h"

struct rss_bpf;

/* Of the kernel: see tun-hash.c. */
enum tun_hashing { TUN_HASHES_NOT, TUN_HASHES_V3, TUN_HASHES_V12 };

struct tun {
	struct net_backend nb;
	char name[IFNAMSIZ]; /* of the interface */
	char *shown;	     /* "tapif=tap0", for messages */
	u16 in_use;	     /* pairs that are attached */
	bool macvtap;
	bool foreign;		  /* it is in another network namespace than we are */
	int index;		  /* of the interface, for news */
	atomic_int up;		  /* as net_backend_ops.link has it */
	enum tun_hashing hashing; /* else the next */
	struct rss_bpf *steering; /* NULL: it cannot */
	char *downscript;	  /* to run at the end, or NULL */
};

/* tun.c */

/* One for @pairs pairs, none of them open. */
struct tun *tun_new(u16 pairs);
/* The descriptor @fd, which it takes over, is that of pair @i. 0, or what fcntl says (printed). */
int tun_take(struct tun *tun, u16 i, int fd) __must_check;
/* All pairs are open: agree with the kernel on headers, learn what it can do, begin with one pair.
 * @cfg: what it was asked for. Prints. */
int tun_begin(struct tun *tun, const struct net_config *cfg) __must_check;
void tun_close(struct net_backend *nb);

/* tap.c, macvtap.c, inherited.c: print what is wrong. */
int tap_open(const struct net_config *cfg, struct net_backend **out) __must_check;
int macvtap_open(const struct net_config *cfg, struct net_backend **out) __must_check;
bool macvtap_is(const char *name);
int inherited_open(const struct net_config *cfg, struct net_backend **out) __must_check;

/* interface.c: an interface of this network namespace. -1 and 0: not known. */
long interface_number(const char *name, const char *what);
u16 interface_mtu(const char *name);
bool interface_is_down(const char *name);
bool interface_mac(const char *name, u8 mac[6]);
/* Do what @cfg asks for: MTU (of one that was made), address, up. Prints. */
int interface_set_up(const char *name, const struct net_config *cfg, bool made) __must_check;

/* news.c: a socket that is readable when there is news of the link of @name, at first of how it is;
 * -errno: the host does not let us (told to --debug). */
int news_open(const char *name, int *index);
/* The last of what is new: 1 up, 0 down; -EAGAIN: nothing; other -errno: there will be no more. */
int news_read(int fd, int index);

/* script.c: run @path with @name as its argument and wait for its end. Prints. @option: "script".
 */
int script_run(const char *option, const char *path, const char *name) __must_check;

/* tun-hash.c: does the kernel hash the packets of this tap, by which *types? */
enum tun_hashing tun_hash_probe(int fd, u32 *types);
/* Steer packets by @rss (NULL: no more), and write their hashes into the headers. 0 or -errno. */
int tun_hash_set(int fd, enum tun_hashing hashing, const struct net_rss *rss, bool report);

/* rss-bpf.c: a program for TUNSETSTEERINGEBPF. NULL: the host does not let us (told to --debug). */
struct rss_bpf *rss_bpf_open(void);
void rss_bpf_close(struct rss_bpf *b);
/* The types of hashes that it knows. */
u32 rss_bpf_types(void);
int rss_bpf_program(const struct rss_bpf *b);
/* Any thread, one at a time; packets that pass meanwhile are steered by the old or the new. */
void rss_bpf_set(struct rss_bpf *b, const struct net_rss *rss);

#endif
