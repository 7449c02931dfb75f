/* SPDX-License-Identifier: MIT */
/*
 * A shell or a command in the guest is to feel at home: with the host's root it has the user's
 * directory, home and paths; in another one only what belongs to the terminal.
 */
#include "conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lkvm/config.h"
#include "lkvm/guest-init.h"
#include "lkvm/util.h"

#define HOSTNAME "lkvm"

/* Of the terminal, and of the user. */
static const char *const terminal_vars[] = { "TERM", "COLORTERM", NULL };
static const char *const user_vars[] = { "PATH",   "HOME",     "SHELL",	 "LANG", "LANGUAGE",
					 "LC_ALL", "LC_CTYPE", "EDITOR", "TZ",	 NULL };

void conf_add_entry(struct conf *c, const char *entry)
{
	size_t len = strlen(entry) + 1;

	c->text = xrealloc(c->text, c->len + len);
	memcpy(c->text + c->len, entry, len);
	c->len += len;
}

void conf_add(struct conf *c, const char *name, const char *value)
{
	char *entry = xasprintf("%s=%s", name, value);

	conf_add_entry(c, entry);
	free(entry);
}

static void add_vars(struct conf *c, const char *const *names)
{
	for (; *names; names++) {
		const char *value = getenv(*names);
		char *var = value ? xasprintf("%s=%s", *names, value) : NULL;

		if (var)
			conf_add(c, INIT_CONF_ENV, var);
		free(var);
	}
}

static void add_winsize(struct conf *c)
{
	struct winsize size;
	char *text;

	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_col || !size.ws_row)
		return;
	text = xasprintf("%u %u", size.ws_col, size.ws_row);
	conf_add(c, INIT_CONF_WINSIZE, text);
	free(text);
}

static void add_user(struct conf *c)
{
	const char *shell = getenv("SHELL");
	char *cwd = getcwd(NULL, 0);

	/* "(unreachable)...": it is not below this process's root. */
	if (cwd && *cwd == '/')
		conf_add(c, INIT_CONF_DIR, cwd);
	free(cwd);
	if (shell && *shell == '/')
		conf_add(c, INIT_CONF_SHELL, shell);
	add_vars(c, user_vars);
}

/* Another root has a home, or has none. */
static void add_home(struct conf *c, const char *root)
{
	char *home = xasprintf("%s/root", root);

	if (!access(home, X_OK))
		conf_add(c, INIT_CONF_DIR, "/root");
	free(home);
}

/* The root's own init: the parameter's word, as the kernel reads it. */
static void add_init(struct conf *c, const struct vm_config *cfg)
{
	const char *word = config_find_param(cfg, "init=");
	char *path = word ? xasprintf("%.*s", (int)strcspn(word, " \t\n\""), word) : NULL;

	if (path)
		conf_add(c, INIT_CONF_INIT, path);
	free(path);
}

void conf_add_session(struct conf *c, const struct vm_config *cfg)
{
	conf_add(c, INIT_CONF_HOSTNAME, cfg->name ? cfg->name : HOSTNAME);
	add_vars(c, terminal_vars);
	if (!cfg->root.dir)
		add_user(c);
	else
		add_home(c, cfg->root.dir);
	add_winsize(c);
	add_init(c, cfg);
	for (u32 i = 0; i < cfg->root.nr_lines; i++)
		conf_add_entry(c, cfg->root.lines[i]);
}
