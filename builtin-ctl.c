/* SPDX-License-Identifier: MIT */
/* `lkvm ctl`: the control protocol as it is, a command to a machine and its reply. */
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/cli.h"
#include "lkvm/control-client.h"
#include "lkvm/control.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

#define MAX_VALUES 64

/* Is it JSON by itself: a number, true, {...}? Then it is given as it is. */
static bool is_json(const char *text)
{
	struct json values[MAX_VALUES];
	char *copy = xstrdup(text);
	bool is = !json_parse(copy, strlen(copy), values, MAX_VALUES);

	free(copy);
	return is;
}

static int add_word(struct json_out *out, const char *word)
{
	const char *value = strchr(word, '=');
	char *name;

	if (!value || value == word) {
		err("ctl: '%s': arguments are written NAME=VALUE", word);
		return -EINVAL;
	}
	name = xasprintf("%.*s", (int)(value - word), word);
	value++;
	if (is_json(value))
		json_put_raw(out, name, value, strlen(value));
	else
		json_put_text(out, name, value);
	free(name);
	return 0;
}

/* The text of the arguments' object, to be freed; NULL after printing what is wrong. */
static char *make_args(char **words, int nr)
{
	struct json_out out = { .max = CONTROL_MAX_LINE };
	int ret = 0;

	if (nr == 1 && *words[0] == '{' && is_json(words[0]))
		return xstrdup(words[0]);
	json_open(&out, NULL, '{');
	for (int i = 0; i < nr && !ret; i++)
		ret = add_word(&out, words[i]);
	json_close(&out, '}');
	json_put_bytes(&out, "", 1);
	if (!ret && !out.failed)
		return out.buf;
	if (out.failed)
		err("ctl: the arguments are too long");
	json_out_free(&out);
	return NULL;
}

/* As they come, until the machine ends. */
static int show_events(struct control_link *link)
{
	size_t len;
	char *line;
	int ret;

	fflush(stdout);
	while ((ret = control_receive_event(link, &line, &len)) > 0) {
		printf("%.*s\n", (int)len, line);
		if (fflush(stdout))
			break;
	}
	return MIN(ret, 0);
}

/* The reply as it came. An error is one for the shell, too. */
static int talk(struct control_link *link, const char *command, const char *args)
{
	const struct json *values = link->values;
	size_t len;
	char *line;
	int ret = control_send(link, command, args);

	if (!ret)
		ret = control_receive_line(link, 0, &line, &len);
	if (ret)
		return ret;
	printf("%.*s\n", (int)len, line);
	ret = json_parse(line, len, link->values, CONTROL_MAX_VALUES);
	if (ret || !json_member(values, "result"))
		return -EREMOTEIO;
	link->used = len + 1;
	return strcmp(command, "subscribe") != 0 ? 0 : show_events(link);
}

static int cmd_ctl_main(const struct command *cmd, int argc, char **argv)
{
	struct control_link link;
	int words, rest, ret;
	char *args;

	ret = options_parse(cmd, argc, argv, NULL, &words, &rest);
	if (ret)
		return ret > 0 ? EXIT_SUCCESS : EXIT_USAGE;
	if (words < 2 || rest < argc) {
		err("ctl: needs a machine's name and a command; 'lkvm ctl NAME help' lists those");
		return EXIT_USAGE;
	}
	args = make_args(argv + 2, words - 2);
	if (!args)
		return EXIT_USAGE;
	ret = control_connect(&link, argv[0]);
	if (!ret) {
		ret = talk(&link, argv[1], args);
		control_hang_up(&link);
	}
	free(args);
	return ret ? EXIT_FAILURE : EXIT_SUCCESS;
}

const struct command cmd_ctl = {
	.name = "ctl",
	.summary = "Send a command of the control protocol to a machine",
	.usage = "lkvm ctl NAME COMMAND [ARGUMENT=VALUE...]",
	.description = "Sends COMMAND to the machine NAME and prints the reply, a line of JSON; "
		       "'lkvm ctl NAME help' lists the commands. A VALUE that is JSON is sent as "
		       "it is, any other as a string; the arguments may also be one JSON object. "
		       "The exit status is 0 when the command succeeded, else 1.",
	.word = "vm",
	.run = cmd_ctl_main,
};
