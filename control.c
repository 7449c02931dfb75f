/* SPDX-License-Identifier: MIT */
/*
 * The control socket's server (see include/lkvm/control.h). A client has room for one line and for
 * one reply: while it does not read its reply, or waits for one, nothing is read from it, so that
 * it holds up nobody but itself.
 */
#include "lkvm/control.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/signals.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"

/* Until somebody is asked to come again where the host lacked what a connection needs. */
#define RETRY_NS 100000000ULL
/* Values of a request; docs/control.md. */
#define MAX_VALUES 64
#define MAX_ID	   64

enum phase {
	READING, /* requests */
	WAITING, /* for a command that answers later */
	DATA,	 /* what precedes a reply */
	CLOSING, /* as soon as the reply is gone */
};

struct control_client {
	struct control *control;
	struct control_client *next;
	struct event ev;
	enum phase phase;
	bool at_end; /* it says no more */
	u64 turn;
	size_t in_len;
	struct json_out out;
	size_t sent; /* of @out */
	struct control_call call;
	size_t reply_at, result_at; /* in @out: what an error replaces */
	bool subscribed;
	struct json_out events; /* lines that wait for their turn */
	u32 lost;		/* that found no room there */
	char id[2 * MAX_ID];	/* as JSON; "": none */
	char in[CONTROL_MAX_LINE];
};

static int run_help(struct control_client *cl);

/* Replies */

static void begin_reply(struct control_client *cl)
{
	struct json_out *out = &cl->out;

	cl->reply_at = out->len;
	out->comma = false;
	json_open(out, NULL, '{');
	json_put_u64(out, "lkvm", CONTROL_VERSION);
	if (*cl->id)
		json_put_raw(out, "id", cl->id, strlen(cl->id));
	cl->result_at = out->len;
	json_open(out, "result", '{');
}

/* Instead of the result. */
static void put_error(struct control_client *cl, const char *code, const char *text)
{
	struct json_out *out = &cl->out;

	out->len = cl->result_at;
	out->failed = false;
	out->comma = true;
	json_open(out, "error", '{');
	json_put_text(out, "code", code);
	json_put_text(out, "text", text);
}

static void end_reply(struct control_client *cl)
{
	if (cl->out.failed)
		put_error(cl, "too-large", "the reply is too large, or memory is short");
	json_close(&cl->out, '}');
	json_close(&cl->out, '}');
	json_put_bytes(&cl->out, "\n", 1);
}

static struct control_client *to_client(struct control_call *call)
{
	return container_of(call, struct control_client, call);
}

void control_data(struct control_call *call, u64 offset, const void *bytes, size_t len)
{
	struct control_client *cl = to_client(call);
	struct json_out *out = &cl->out;

	out->comma = false;
	json_open(out, NULL, '{');
	json_put_u64(out, "lkvm", CONTROL_VERSION);
	if (*cl->id)
		json_put_raw(out, "id", cl->id, strlen(cl->id));
	json_open(out, "data", '{');
	json_put_u64(out, "offset", offset);
	json_put_u64(out, "length", len);
	json_close(out, '}');
	json_close(out, '}');
	json_put_bytes(out, "\n", 1);
	json_put_bytes(out, bytes, len);
}

void control_end_data(struct control_call *call)
{
	begin_reply(to_client(call));
}

int control_fail(struct control_call *call, const char *code, const char *fmt, ...)
{
	va_list args;
	char *text;

	va_start(args, fmt);
	text = xvasprintf(fmt, args);
	va_end(args);
	put_error(to_client(call), code, text);
	free(text);
	return -EINVAL;
}

/* What is no request gets one line, and no second chance: where the next one begins nobody knows.
 */
static void refuse(struct control_client *cl, const char *code, const char *text)
{
	*cl->id = '\0';
	begin_reply(cl);
	put_error(cl, code, text);
	end_reply(cl);
	cl->phase = CLOSING;
}

/* Events */

void control_subscribe(struct control_call *call)
{
	struct control_client *cl = to_client(call);

	cl->subscribed = true;
	cl->events.max = CONTROL_MAX_EVENTS;
}

static void put_event(struct control_client *cl, const char *event, const char *members)
{
	struct json_out *out = &cl->events;
	size_t before = out->len;

	out->comma = false;
	json_open(out, NULL, '{');
	json_put_u64(out, "lkvm", CONTROL_VERSION);
	json_put_text(out, "event", event);
	if (cl->lost)
		json_put_u64(out, "lost", cl->lost);
	json_put_bytes(out, members, strlen(members));
	json_close(out, '}');
	json_put_bytes(out, "\n", 1);
	cl->lost = out->failed ? cl->lost + 1 : 0;
	if (out->failed)
		out->len = before;
	out->failed = false;
}

/* Requests */

static bool has_type(const struct json *value, enum json_type type)
{
	return value->type == type && !value->negative;
}

static const char *type_name(enum json_type type)
{
	static const char *const names[] = {
		[JSON_NULL] = "null",
		[JSON_BOOL] = "true or false",
		[JSON_NUMBER] = "a number from 0 on",
		[JSON_STRING] = "a string",
		[JSON_ARRAY] = "an array",
		[JSON_OBJECT] = "an object",
	};

	return names[type];
}

static const struct control_arg *find_arg(const struct control_command *cmd, const char *name)
{
	const struct control_arg *arg = cmd->args;

	while (arg && arg->name && strcmp(arg->name, name) != 0)
		arg++;
	return arg && arg->name ? arg : NULL;
}

/* What the row says; an argument that it does not know was meant to change something. */
static int check_args(struct control_call *call, const struct control_command *cmd)
{
	const struct json *name = call->args ? call->args + 1 : NULL;

	for (u32 i = 0; call->args && i < call->args->nr; i++, name = json_next(name + 1)) {
		const struct control_arg *arg = find_arg(cmd, name->text);

		if (!arg)
			return control_fail(call, "bad-argument", "%s: has no argument '%s'",
					    cmd->name, name->text);
		if (!has_type(name + 1, arg->type))
			return control_fail(call, "bad-argument", "%s: '%s' must be %s", cmd->name,
					    arg->name, type_name(arg->type));
	}
	for (const struct control_arg *arg = cmd->args; arg && arg->name; arg++)
		if (arg->required && !control_arg(call, arg->name))
			return control_fail(call, "bad-argument", "%s: needs the argument '%s'",
					    cmd->name, arg->name);
	return 0;
}

static int run_command(struct control_client *cl, const char *name)
{
	const struct control_command *cmd = cl->control->table.commands;
	int ret;

	if (!strcmp(name, "help"))
		return run_help(cl);
	while (cmd->name && strcmp(cmd->name, name) != 0)
		cmd++;
	if (!cmd->name)
		return control_fail(&cl->call, "unknown-command",
				    "'%s' is not a command of this machine; 'help' lists them",
				    name);
	ret = check_args(&cl->call, cmd);
	return ret ? ret : cmd->run(&cl->call, cl->control->table.opaque);
}

/* Echoed as it came. */
static bool take_id(struct control_client *cl, const struct json *id)
{
	struct json_out out = { .max = sizeof(cl->id) - 1 };
	bool ok = id->type == JSON_NUMBER || id->type == JSON_STRING;

	if (ok)
		json_put(&out, NULL, id);
	ok = ok && !out.failed;
	if (ok) {
		memcpy(cl->id, out.buf, out.len);
		cl->id[out.len] = '\0';
	}
	json_out_free(&out);
	return ok;
}

static int serve_request(struct control_client *cl, const struct json *request)
{
	const struct json *version = json_member(request, "lkvm");
	const struct json *name = json_member(request, "command");
	const struct json *args = json_member(request, "arguments");

	if (json_number(version, 0) != CONTROL_VERSION)
		return control_fail(&cl->call, "version",
				    "this machine speaks \"lkvm\":%d, which every request says",
				    CONTROL_VERSION);
	if (!name || name->type != JSON_STRING)
		return control_fail(&cl->call, "bad-request", "\"command\" must be a string");
	if (args && args->type != JSON_OBJECT)
		return control_fail(&cl->call, "bad-request", "\"arguments\" must be an object");
	cl->call.args = args;
	return run_command(cl, name->text);
}

static void serve_line(struct control_client *cl, char *line, size_t len)
{
	struct json nodes[MAX_VALUES];
	const struct json *id;
	int ret = json_parse(line, len, nodes, MAX_VALUES);

	if (ret || nodes[0].type != JSON_OBJECT) {
		refuse(cl, "syntax",
		       ret == -ERANGE  ? "a number is not an integer of 64 bits"
		       : ret == -E2BIG ? "too many values, or too deep"
				       : "not a line with one JSON object");
		return;
	}
	*cl->id = '\0';
	id = json_member(nodes, "id");
	if (id && !take_id(cl, id)) {
		refuse(cl, "syntax", "\"id\" must be an integer or a short string");
		return;
	}
	begin_reply(cl);
	cl->call = (struct control_call){ .result = &cl->out };
	ret = serve_request(cl, nodes);
	cl->call.args = NULL;
	if (ret != CONTROL_LATER) {
		end_reply(cl);
	} else if (cl->call.more) {
		cl->out.len = cl->reply_at;
		cl->phase = DATA;
	} else {
		cl->phase = WAITING;
	}
}

static int run_help(struct control_client *cl)
{
	struct json_out *out = cl->call.result;

	json_open(out, "commands", '{');
	for (const struct control_command *cmd = cl->control->table.commands; cmd->name; cmd++) {
		json_open(out, cmd->name, '{');
		json_put_text(out, "text", cmd->help);
		json_open(out, "arguments", '{');
		for (const struct control_arg *arg = cmd->args; arg && arg->name; arg++)
			json_put_text(out, arg->name, arg->help);
		json_close(out, '}');
		json_close(out, '}');
	}
	json_close(out, '}');
	return 0;
}

/* Clients */

static void drop(struct control_client *cl)
{
	struct control *c = cl->control;
	struct control_client **p = &c->clients;

	while (*p != cl)
		p = &(*p)->next;
	*p = cl->next;
	c->nr_clients--;
	if ((cl->phase == WAITING || cl->phase == DATA) && cl->call.gone)
		cl->call.gone(&cl->call);
	event_del(&cl->ev);
	close(cl->ev.fd);
	json_out_free(&cl->out);
	json_out_free(&cl->events);
	free(cl);
}

/* 0: all of it is gone; 1: the client does not read; -errno. */
static int send_out(struct control_client *cl)
{
	while (cl->sent < cl->out.len) {
		ssize_t n = send(cl->ev.fd, cl->out.buf + cl->sent, cl->out.len - cl->sent,
				 MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 1 : -errno;
		cl->sent += (size_t)n;
		cl->turn = ++cl->control->turn;
	}
	json_out_free(&cl->out);
	cl->sent = 0;
	return 0;
}

/* One whole line out of what was read. False: there is none. */
static bool serve_one(struct control_client *cl)
{
	char *end = memchr(cl->in, '\n', cl->in_len);
	size_t len;

	if (!end) {
		if (cl->in_len < sizeof(cl->in))
			return false;
		refuse(cl, "syntax", "the line is too long");
		return true;
	}
	len = (size_t)(end - cl->in);
	serve_line(cl, cl->in, len);
	cl->in_len -= len + 1;
	memmove(cl->in, end + 1, cl->in_len);
	return true;
}

/* All that came before has been taken. */
static int put_data(struct control_client *cl)
{
	int ret = cl->call.more(&cl->call);

	/* Half of it is worse than nothing. */
	if (cl->out.failed)
		return -ENOMEM;
	if (ret != CONTROL_LATER) {
		end_reply(cl);
		cl->phase = READING;
	}
	return 0;
}

/* Nothing else is to be said, nor begun: what waits is. */
static bool take_events(struct control_client *cl)
{
	if (!cl->events.len)
		return false;
	json_put_bytes(&cl->out, cl->events.buf, cl->events.len);
	json_out_free(&cl->events);
	return true;
}

/* Go on as far as it can be: what was asked, what is to be said. The client may be gone. */
static void work(struct control_client *cl)
{
	bool had_data = false;
	int ret = 0;

	for (;;) {
		if (cl->phase != WAITING)
			ret = send_out(cl);
		/* One piece: others have their turn before the next. */
		if (!ret && cl->phase == DATA && !had_data) {
			had_data = true;
			ret = put_data(cl);
			if (!ret)
				continue;
		}
		if (ret || cl->phase != READING || (!serve_one(cl) && !take_events(cl)))
			break;
	}
	if (ret < 0 || (!ret && cl->phase == CLOSING) ||
	    (!ret && cl->phase == READING && cl->at_end && !cl->subscribed)) {
		drop(cl);
		return;
	}
	event_mod(&cl->ev, ret > 0 || cl->phase == DATA		 ? EPOLLOUT
			   : cl->phase == READING && !cl->at_end ? EPOLLIN
								 : 0);
}

void control_event(struct control *c, const char *event, const char *members)
{
	struct control_client *next;

	for (struct control_client *cl = c->clients; cl; cl = next) {
		next = cl->next;
		if (!cl->subscribed)
			continue;
		put_event(cl, event, members);
		/* One that is in the middle of a request is served when that is over. */
		if (cl->phase == READING)
			work(cl);
	}
}

void control_finish(struct control_call *call, int ret)
{
	struct control_client *cl = to_client(call);

	end_reply(cl);
	cl->phase = READING;
	work(cl);
}

static void on_client(void *opaque, u32 events)
{
	struct control_client *cl = opaque;

	if (events & (EPOLLERR | EPOLLHUP) && !(events & EPOLLIN)) {
		drop(cl);
		return;
	}
	if (events & EPOLLIN && cl->phase == READING && cl->in_len < sizeof(cl->in)) {
		ssize_t n = recv(cl->ev.fd, cl->in + cl->in_len, sizeof(cl->in) - cl->in_len,
				 MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			drop(cl);
			return;
		}
		cl->at_end |= !n;
		cl->in_len += n > 0 ? (size_t)n : 0;
		cl->turn = ++cl->control->turn;
	}
	work(cl);
}

/* The folder is the user's alone; whoever comes nevertheless is looked at. */
static bool may_come(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return !getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) &&
	       (peer.uid == geteuid() || !peer.uid);
}

static void drop_most_silent(struct control *c)
{
	struct control_client *silent = c->clients;

	for (struct control_client *cl = c->clients; cl; cl = cl->next)
		/* Who waits for events says nothing for long. */
		if (cl->subscribed != silent->subscribed ? silent->subscribed
							 : cl->turn < silent->turn)
			silent = cl;
	drop(silent);
}

static int add_client(struct control *c, int fd)
{
	struct control_client *cl;
	int ret;

	if (!may_come(fd))
		return -EPERM;
	if (c->nr_clients == CONTROL_MAX_CLIENTS)
		drop_most_silent(c);
	cl = calloc(1, sizeof(*cl));
	if (!cl)
		return -ENOMEM;
	cl->control = c;
	cl->out.max = CONTROL_MAX_REPLY;
	cl->turn = ++c->turn;
	cl->ev = (struct event){ .fd = fd, .events = EPOLLIN, .fn = on_client, .opaque = cl };
	ret = event_add(c->loop, &cl->ev);
	if (ret) {
		free(cl);
		return ret;
	}
	cl->next = c->clients;
	c->clients = cl;
	c->nr_clients++;
	return 0;
}

static void listen_again(void *opaque)
{
	struct control *c = opaque;

	event_mod(&c->accept_ev, EPOLLIN);
}

static void on_accept(void *opaque, u32 events)
{
	struct control *c = opaque;
	int fd = unix_accept(c->listener.fd), ret;

	if (fd == -EAGAIN)
		return;
	ret = fd < 0 ? fd : add_client(c, fd);
	if (!ret)
		return;
	/* Not a guest's doing, but as seldom as if it were. */
	guest_warn("%s: cannot take a connection: %s%s", c->path, strerror(-ret), limit_hint(ret));
	if (fd >= 0) {
		close(fd);
		return;
	}
	/* Who came waits, and the loop would turn round and round. */
	event_mod(&c->accept_ev, 0);
	event_timer_set(&c->accept_retry, RETRY_NS);
}

/* A process has one such machine; where a signal ends it the name goes, too. */
static struct control *_Atomic named;

static void forget_named(void)
{
	const struct control *c = atomic_load(&named);

	if (c)
		unix_listener_forget(&c->listener);
}

static int open_named(struct control *c, const char *name, const char **why)
{
	char *folder = control_folder();
	int fd = -ENOENT, ret;

	if (!folder)
		*why = "XDG_RUNTIME_DIR is not set; set it to a folder of yours";
	else
		fd = control_folder_open(folder, true, why);
	c->path = folder ? control_path(folder, name) : xstrdup("the socket");
	free(folder);
	if (fd < 0)
		return fd;
	ret = control_listen(fd, &c->listener, c->path);
	close(fd);
	*why = ret == -EADDRINUSE ? "a machine of that name runs; take another name"
				  : unix_reason(ret);
	return ret;
}

int control_open(struct control *c, struct event_loop *loop, const char *name, bool given,
		 const struct control_table *table, const sigset_t *ending)
{
	const char *why = "";
	int ret;

	memset(c, 0, sizeof(*c));
	c->listener.fd = -1;
	c->loop = loop;
	c->table = *table;
	ret = open_named(c, name, &why);
	if (!ret) {
		atomic_store(&named, c);
		signals_forget(ending, forget_named);
		c->accept_ev = (struct event){
			.fd = c->listener.fd, .events = EPOLLIN, .fn = on_accept, .opaque = c
		};
		event_timer_init(&c->accept_retry, loop, listen_again, c);
		ret = event_add(loop, &c->accept_ev);
		why = strerror(-ret);
	}
	if (!ret)
		return 0;
	log_print(given ? LOG_ERROR : LOG_DEBUG, "--name %s: cannot listen on %s: %s%s", name,
		  c->path, why, limit_hint(ret));
	control_close(c);
	return given ? ret : 0;
}

void control_end(struct control *c)
{
	if (c->path)
		unix_listener_forget(&c->listener);
}

void control_close(struct control *c)
{
	struct control *self = c;

	if (!c->path)
		return;
	while (c->clients)
		drop(c->clients);
	event_timer_destroy(&c->accept_retry);
	event_del(&c->accept_ev);
	unix_listener_close(&c->listener);
	if (atomic_compare_exchange_strong(&named, &self, NULL))
		signals_forget(NULL, NULL);
	free(c->path);
	c->path = NULL;
}
