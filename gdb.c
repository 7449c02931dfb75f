/* SPDX-License-Identifier: MIT */
/*
 * The server of GDB's remote protocol (see include/lkvm/gdb.h): a socket that listens and one that
 * is the client's, on the main loop. Neither waits: what the client does not read stays in the
 * stub, which takes no more input until it is gone.
 */
#include "lkvm/gdb.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gdb-vm.h"
#include "lkvm/config.h"
#include "lkvm/gdb-stub.h"
#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/unix.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

/* Until somebody is asked to come again where the host lacked what a connection needs. */
#define RETRY_NS 100000000ULL
/* A client whose machine is gone without a word: after this it is thought gone, in seconds. */
#define KEEP_IDLE     60
#define KEEP_INTERVAL 15
#define KEEP_COUNT    4

struct gdb {
	struct gdb_vm target;
	struct gdb_stub stub;
	struct unix_listener named;    /* fd -1: it is TCP */
	struct event listener, client; /* of the latter loop NULL: there is none */
	struct event_timer retry;
	u8 in[4096]; /* [in_at, in_len): what the stub has not taken */
	size_t in_at, in_len;
	char where[64]; /* of a TCP socket, for messages */
};

static const char *place(const struct gdb *g)
{
	return g->named.path ? g->named.path : g->where;
}

/* The client */

static void hang_up(struct gdb *g)
{
	if (!g->client.loop)
		return;
	event_del(&g->client);
	close(g->client.fd);
	gdb_stub_free(&g->stub);
	gdb_vm_detach(&g->target);
	debug("--gdb: the client is gone");
}

/* False: there is nobody any more. */
static bool flush(struct gdb *g)
{
	struct gdb_stub *s = &g->stub;

	while (s->sent < s->len) {
		ssize_t n = send(g->client.fd, s->out + s->sent, s->len - s->sent,
				 MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN;
		s->sent += (u32)n;
	}
	return !s->over;
}

/* Give the stub what it takes, and the client what it says to that. */
static bool feed(struct gdb *g)
{
	while (flush(g)) {
		ssize_t n;

		if (g->in_at == g->in_len || !gdb_stub_wants(&g->stub))
			return true;
		n = gdb_stub_input(&g->stub, g->in + g->in_at, g->in_len - g->in_at);
		if (n < 0) {
			guest_warn("--gdb: the client does not speak GDB's remote protocol; hung "
				   "up");
			return false;
		}
		g->in_at += (size_t)n;
	}
	return false;
}

static bool receive(struct gdb *g)
{
	ssize_t n;

	if (g->in_at < g->in_len)
		return true;
	n = recv(g->client.fd, g->in, sizeof(g->in), MSG_DONTWAIT);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR;
	g->in_at = 0;
	g->in_len = (size_t)n;
	return n > 0;
}

static void serve(struct gdb *g)
{
	if (!feed(g)) {
		hang_up(g);
		return;
	}
	event_mod(&g->client, g->stub.sent < g->stub.len ? EPOLLOUT : EPOLLIN);
}

static void on_client(void *opaque, u32 events)
{
	struct gdb *g = opaque;

	/* One who has hung up reads no more, whatever waits for him. */
	if ((events & (EPOLLHUP | EPOLLERR)) || ((events & EPOLLIN) && !receive(g)))
		hang_up(g);
	else
		serve(g);
}

/* The target stopped: in a call of the stub, whose caller sends; or on its own. */
static void on_stopped(void *opaque, const struct gdb_stop *stop)
{
	struct gdb *g = opaque;

	if (!g->client.loop)
		return;
	gdb_stub_stopped(&g->stub, stop);
	event_mod(&g->client, EPOLLIN | EPOLLOUT);
}

static void set_option(int fd, int level, int name, int value)
{
	/* A unix socket has none of these. */
	(void)!setsockopt(fd, level, name, &value, sizeof(value));
}

static int welcome(struct gdb *g, int fd)
{
	int ret;

	set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
	set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, KEEP_IDLE);
	set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, KEEP_INTERVAL);
	set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, KEEP_COUNT);
	g->client = (struct event){ .fd = fd, .events = EPOLLIN, .fn = on_client, .opaque = g };
	ret = event_add(&g->target.vm->loop, &g->client);
	if (ret)
		return ret;
	g->in_at = g->in_len = 0;
	gdb_vm_attach(&g->target);
	gdb_stub_init(&g->stub, &gdb_vm_ops, &g->target, 0);
	debug("--gdb: a client came");
	return 0;
}

static void on_retry(void *opaque)
{
	struct gdb *g = opaque;

	event_mod(&g->listener, EPOLLIN);
}

static void on_listener(void *opaque, u32 events)
{
	struct gdb *g = opaque;
	int fd = unix_accept(g->listener.fd), ret = fd < 0 ? fd : 0;

	if (ret == -EAGAIN)
		return;
	if (!ret && g->client.loop) {
		guest_warn("--gdb: there is a client already; another one was refused");
		close(fd);
		return;
	}
	if (!ret) {
		ret = welcome(g, fd);
		if (ret)
			close(fd);
	}
	if (!ret)
		return;
	guest_warn("--gdb: cannot take a connection: %s%s", strerror(-ret), limit_hint(ret));
	event_mod(&g->listener, 0);
	event_timer_set(&g->retry, RETRY_NS);
}

/* Listening */

static int bind_inet(struct gdb *g, const struct gdb_config *cfg)
{
	union {
		struct sockaddr any;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	} addr = { .any.sa_family = cfg->ipv6 ? AF_INET6 : AF_INET };
	socklen_t len = cfg->ipv6 ? sizeof(addr.in6) : sizeof(addr.in);
	int fd = socket(addr.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -errno;
	g->listener.fd = fd;
	set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
	if (cfg->ipv6)
		inet_pton(AF_INET6, cfg->addr, &addr.in6.sin6_addr);
	else
		inet_pton(AF_INET, cfg->addr, &addr.in.sin_addr);
	/* The port lies in the same place. */
	addr.in.sin_port = htons(cfg->port);
	if (bind(fd, &addr.any, len) < 0 || listen(fd, 1) < 0 ||
	    getsockname(fd, &addr.any, &len) < 0)
		return -errno;
	snprintf(g->where, sizeof(g->where), cfg->ipv6 ? "[%s]:%u" : "%s:%u", cfg->addr,
		 ntohs(addr.in.sin_port));
	return 0;
}

static bool is_loopback(const struct gdb_config *cfg)
{
	return cfg->ipv6 ? !strcmp(cfg->addr, "::1") : !strncmp(cfg->addr, "127.", 4);
}

static int listen_inet(struct gdb *g, const struct gdb_config *cfg)
{
	int ret = bind_inet(g, cfg);

	if (!ret) {
		if (!is_loopback(cfg))
			warn("--gdb %s: whoever reaches this address can do anything to the guest",
			     g->where);
		return 0;
	}
	err(cfg->ipv6 ? "--gdb [%s]:%u: cannot listen: %s%s" : "--gdb %s:%u: cannot listen: %s%s",
	    cfg->addr, cfg->port, strerror(-ret),
	    ret == -EADDRINUSE ? "; name another port, or 0"
	    : ret == -EACCES   ? "; name a port from 1024 on"
			       : limit_hint(ret));
	return ret;
}

static int start_listening(struct gdb *g, const struct gdb_config *cfg)
{
	int ret;

	if (cfg->path) {
		ret = unix_listen(&g->named, cfg->path, "--gdb");
		g->listener.fd = g->named.fd;
	} else {
		ret = listen_inet(g, cfg);
	}
	if (ret)
		return ret;
	g->listener.events = EPOLLIN;
	g->listener.fn = on_listener;
	g->listener.opaque = g;
	ret = event_add(&g->target.vm->loop, &g->listener);
	if (ret)
		err("--gdb %s: cannot watch it: %s", place(g), strerror(-ret));
	return ret;
}

int gdb_open(struct vm *vm, struct gdb **out)
{
	const struct vm_config *cfg = vm->cfg;
	struct gdb *g = xcalloc(1, sizeof(*g));
	int ret;

	g->target = (struct gdb_vm){ .vm = vm, .stopped = on_stopped, .opaque = g };
	g->named.fd = -1;
	g->listener.fd = -1;
	event_timer_init(&g->retry, &vm->loop, on_retry, g);
	gdb_vm_init(&g->target);
	ret = start_listening(g, &cfg->gdb);
	if (ret) {
		gdb_close(g);
		return ret;
	}
	if (cfg->gdb_wait)
		vm_request_hold(vm, VM_HOLD_GDB);
	info("--gdb: %s %s; in gdb: target remote %s",
	     cfg->gdb_wait ? "the guest waits for a debugger at" : "listens at", place(g),
	     place(g));
	*out = g;
	return 0;
}

void gdb_rebooted(struct gdb *g)
{
	if (!g || !g->client.loop)
		return;
	gdb_stub_message(&g->stub, "lkvm: the guest was reset; breakpoints in its memory are gone "
				   "until it continues\n");
	gdb_vm_rebooted(&g->target);
}

void gdb_ended(struct gdb *g, int status, int signal)
{
	if (!g || !g->client.loop)
		return;
	gdb_stub_ended(&g->stub, status, signal);
	flush(g);
}

void gdb_finish(struct gdb *g)
{
	if (g)
		unix_listener_forget(&g->named);
}

void gdb_close(struct gdb *g)
{
	if (!g)
		return;
	if (g->client.loop) {
		event_del(&g->client);
		close(g->client.fd);
		gdb_stub_free(&g->stub);
	}
	event_del(&g->listener);
	event_timer_destroy(&g->retry);
	if (g->named.fd >= 0)
		unix_listener_close(&g->named);
	else if (g->listener.fd >= 0)
		close(g->listener.fd);
	gdb_vm_destroy(&g->target);
	free(g);
}
