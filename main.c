/* SPDX-License-Identifier: MIT */
/* The program: the first word of the command line chooses the command. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/cli.h"
#include "lkvm/log.h"

/*
 * A descriptor 0, 1 or 2 that is closed would be given to the next file that is opened, and console
 * output would go into a disk image.
 */
static void open_standard_fds(void)
{
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
		if (fcntl(fd, F_GETFD) >= 0 || errno != EBADF)
			continue;
		/* The lowest free number is @fd: all below are open. */
		if (open("/dev/null", fd == STDIN_FILENO ? O_RDONLY : O_WRONLY) != fd)
			_exit(EXIT_FAILURE);
	}
}

/* `lkvm --help` and `lkvm --version` are commands in the shape of options. */
static const char *command_name(const char *word)
{
	if (!strcmp(word, "--help") || !strcmp(word, "-h"))
		return "help";
	if (!strcmp(word, "--version") || !strcmp(word, "-v"))
		return "version";
	return word;
}

/* What stands in the command's place is an option of `lkvm run`, or was meant as one. */
static void option_without_command(const char *word)
{
	const char *name = word + strspn(word, "-");
	size_t len = strcspn(name, "=");
	char text[160];
	bool negated;

	if (len > 1 && options_find(&run_set, name, len, &negated).opt)
		err("option '%s' without a command; try 'lkvm run --%s ...', or 'lkvm help'", word,
		    name);
	else if (foreign_word_text(foreign_options, name, len, text, sizeof(text)))
		err("option '%s' without a command: %s", word, text);
	else
		err("option '%s' without a command; try 'lkvm run %s ...', or 'lkvm help'", word,
		    word);
}

int main(int argc, char **argv)
{
	const struct command *cmd;
	const char *name;
	int status;

	open_standard_fds();
	if (argc < 2) {
		commands_print_help(stderr);
		return EXIT_USAGE;
	}
	name = command_name(argv[1]);
	if (*name == '-') {
		option_without_command(name);
		return EXIT_USAGE;
	}
	cmd = command_find(name);
	if (!cmd)
		return EXIT_USAGE;
	status = cmd->run(cmd, argc - 2, argv + 2);
	if (fflush(stdout) || ferror(stdout)) {
		err("standard output: cannot write: %s", strerror(errno));
		return status ? status : EXIT_FAILURE;
	}
	return status;
}
