/* SPDX-License-Identifier: MIT */
/* What lkvm wrote into the initramfs (include/lkvm/guest-init.h): entries that end with a NUL. */
#include <linux/fcntl.h>
#include <linux/mman.h>

#include "init.h"
#include "lkvm/guest-init.h"

static char *conf, *command;
static size_t conf_len, command_len;

char *map_file(const char *path, size_t *len)
{
	long fd = sys(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC), size, map;

	*len = 0;
	if (fd < 0)
		return NULL;
	size = sys(lseek, fd, 0, 2 /* SEEK_END */);
	map = size > 0 ? sys(mmap, NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) : -1;
	sys(close, fd);
	/* The last page of addresses are errors. */
	if (map < 0 && map > -4096)
		return NULL;
	*len = (size_t)size;
	return (char *)map;
}

/* The entry after @entry, or the first; NULL: there are no more. One that has no end is none. */
static char *next_entry(char *list, size_t len, char *entry)
{
	char *p = entry ? entry + strlen(entry) + 1 : list;
	size_t left = list ? len - (size_t)(p - list) : 0;

	for (size_t i = 0; i < left; i++)
		if (!p[i])
			return p;
	return NULL;
}

void conf_load(void)
{
	conf = map_file(GUEST_INIT_CONF, &conf_len);
	command = map_file(GUEST_INIT_COMMAND, &command_len);
}

const char *conf_get(const char *name, u32 nth)
{
	size_t len = strlen(name);

	for (char *e = next_entry(conf, conf_len, NULL); e; e = next_entry(conf, conf_len, e))
		if (begins(e, name) && e[len] == '=' && !nth--)
			return e + len + 1;
	return NULL;
}

bool conf_command(char ***out)
{
	size_t n = 0;
	char **argv;
	long map;

	for (char *e = next_entry(command, command_len, NULL); e;
	     e = next_entry(command, command_len, e))
		n++;
	*out = NULL;
	if (!n)
		return true;
	map = sys(mmap, NULL, (n + 1) * sizeof(*argv), PROT_READ | PROT_WRITE,
		  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (map < 0 && map > -4096)
		return false;
	argv = (char **)map;
	n = 0;
	for (char *e = next_entry(command, command_len, NULL); e;
	     e = next_entry(command, command_len, e))
		argv[n++] = e;
	*out = argv;
	return true;
}
