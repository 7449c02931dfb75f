/* SPDX-License-Identifier: MIT */
/* Names: renames, links, directories, and listings while they change. */
#include <dirent.h>

#include "exerciser.h"

/* Names */

void check_rename(void)
{
	struct stat before, after;

	make_closed("a", "a");
	make_closed("b", "b");
	before = stat_of("a");
	MUST(!rename("a", "b") && !exists("a") && file_is("b", "a"));
	after = stat_of("b");
	MUST(before.st_ino == after.st_ino);
	MUST(!rename("b", "b") && file_is("b", "a"));
	FAILS(rename("none", "c"), ENOENT);
	MUST(!mkdir("dir", 0755) && !mkdir("dir/sub", 0755) && !mkdir("empty", 0755));
	FAILS(rename("dir", "dir/sub/inside"), EINVAL);
	FAILS(rename("b", "dir"), EISDIR);
	FAILS(rename("dir", "b"), ENOTDIR);
	errno = 0;
	MUST(rename("empty", "dir") == -1 && (errno == ENOTEMPTY || errno == EEXIST));
	MUST(!rename("dir", "empty") && exists("empty/sub") && !exists("dir"));
	MUST(!rename("b", "empty/sub/b") && file_is("empty/sub/b", "a"));
	MUST(!symlink("empty", "link") && !rename("link", "moved"));
	MUST(S_ISLNK(stat_of("moved").st_mode));
}

void check_rename_open(void)
{
	int old = make("target", "old"), fd = make("source", "new"), below;

	NEED(old >= 0 && fd >= 0);
	MUST(!rename("source", "target"));
	MUST(fd_is(old, "old") && fd_is(fd, "new") && file_is("target", "new"));
	MUST(pwrite(fd, "NEW", 3, 0) == 3 && pwrite(old, "OLD", 3, 0) == 3);
	MUST(file_is("target", "NEW") && fd_is(old, "OLD"));
	MUST(!close(old) && !close(fd));
	/* A file that is open below a directory that moves. */
	MUST(!mkdir("dir", 0755) && !mkdir("dir/sub", 0755));
	below = make("dir/sub/file", "below");
	NEED(below >= 0);
	MUST(!rename("dir", "moved") && fd_is(below, "below"));
	MUST(pwrite(below, "BELOW", 5, 0) == 5 && file_is("moved/sub/file", "BELOW"));
	MUST(!close(below));
}

void check_link(void)
{
	make_closed("a", "text");
	MUST(!link("a", "b") && stat_of("a").st_nlink == 2);
	MUST(stat_of("a").st_ino == stat_of("b").st_ino && file_is("b", "text"));
	FAILS(link("a", "b"), EEXIST);
	FAILS(link("none", "c"), ENOENT);
	MUST(!mkdir("dir", 0755));
	FAILS(link("dir", "other"), EPERM);
	MUST(!link("a", "dir/c") && !unlink("a") && !unlink("b"));
	MUST(file_is("dir/c", "text") && stat_of("dir/c").st_nlink == 1);
}

void check_symlink(void)
{
	char target[4096], back[4096];

	make_closed("file", "text");
	MUST(!symlink("file", "link") && file_is("link", "text"));
	MUST(readlink("link", back, sizeof(back)) == 4 && !memcmp(back, "file", 4));
	MUST(S_ISLNK(stat_of("link").st_mode) && stat_of("link").st_size == 4);
	FAILS(symlink("file", "link"), EEXIST);
	FAILS(readlink("file", back, sizeof(back)), EINVAL);
	MUST(!symlink("loop", "loop"));
	FAILS(open("loop", O_RDONLY), ELOOP);
	MUST(!symlink("none", "dangling"));
	FAILS(open("dangling", O_RDONLY), ENOENT);
	memset(target, 'l', sizeof(target));
	target[1000] = '\0';
	MUST(!symlink(target, "long") && readlink("long", back, sizeof(back)) == 1000);
	MUST(!memcmp(target, back, 1000) && !unlink("link") && exists("file"));
	MUST(!mkdir("dir", 0755) && !symlink("..", "dir/up") && file_is("dir/up/file", "text"));
}

void check_directory(void)
{
	umask(022);
	MUST(!mkdir("dir", 0777) && (stat_of("dir").st_mode & 07777) == 0755);
	FAILS(mkdir("dir", 0755), EEXIST);
	FAILS(mkdir("none/dir", 0755), ENOENT);
	make_closed("dir/file", "");
	errno = 0;
	MUST(rmdir("dir") == -1 && (errno == ENOTEMPTY || errno == EEXIST));
	FAILS(rmdir("dir/file"), ENOTDIR);
	FAILS(rmdir("none"), ENOENT);
	errno = 0;
	MUST(unlink("dir") == -1 && (errno == EISDIR || errno == EPERM));
	MUST(!unlink("dir/file") && !rmdir("dir") && !exists("dir"));
	FAILS(unlink("none"), ENOENT);
}

void check_deep(void)
{
	char path[64 * 6 + 16] = "";
	int fd, up;

	for (unsigned int i = 0; i < 64; i++) {
		snprintf(path + strlen(path), 6, "d%03u/", i);
		NEED(!mkdir(path, 0755));
	}
	fd = open(path, O_RDONLY | O_DIRECTORY);
	NEED(fd >= 0);
	for (unsigned int i = 64; i > 0; i--) {
		up = openat(fd, "..", O_RDONLY | O_DIRECTORY);
		NEED(up >= 0);
		close(fd);
		fd = up;
	}
	MUST(!faccessat(fd, "d000", F_OK, 0));
	/* And what is renamed meanwhile is still found from below. */
	close(fd);
	fd = open("d000/d001/d002", O_RDONLY | O_DIRECTORY);
	NEED(fd >= 0);
	MUST(!rename("d000/d001", "moved") && !faccessat(fd, "../../moved", F_OK, 0));
	close(fd);
}

/* Directories with many entries */

static void make_entries(unsigned int from, unsigned int to)
{
	char name[64];

	for (unsigned int i = from; i < to; i++) {
		snprintf(name, sizeof(name), "entry-with-a-name-%05u", i);
		make_closed(name, "");
	}
}

/* How often each of the entries was seen. */
static void count_entries(DIR *dir, unsigned char *seen)
{
	struct dirent *e;
	unsigned int i;

	while ((e = readdir(dir)))
		if (sscanf(e->d_name, "entry-with-a-name-%u", &i) == 1 && i < 2 * entries)
			seen[i]++;
}

void check_readdir(void)
{
	unsigned char *seen = calloc(2 * entries, 1);
	unsigned int bad = 0, dots = 0;
	struct dirent *e;
	char name[64];
	DIR *dir;

	make_entries(0, entries);
	dir = opendir(".");
	NEED(dir && seen);
	count_entries(dir, seen);
	for (unsigned int i = 0; i < entries; i++)
		bad += seen[i] != 1;
	MUST(!bad);
	/* Others come and go while it is read: what is there all the time is seen once. */
	memset(seen, 0, 2 * entries);
	rewinddir(dir);
	for (unsigned int n = 0; n < entries / 4 && (e = readdir(dir)); n++) {
		unsigned int i;

		dots += e->d_name[0] == '.';
		if (sscanf(e->d_name, "entry-with-a-name-%u", &i) == 1 && i < 2 * entries)
			seen[i]++;
	}
	for (unsigned int i = 1; i < entries; i += 2) {
		snprintf(name, sizeof(name), "entry-with-a-name-%05u", i);
		MUST(!unlink(name));
	}
	make_entries(entries, entries + entries / 4);
	count_entries(dir, seen);
	for (unsigned int i = 0; i < entries; i += 2)
		bad += seen[i] != 1;
	for (unsigned int i = 0; i < 2 * entries; i++)
		bad += seen[i] > 1;
	MUST(!bad);
	MUST(dots <= 2);
	closedir(dir);
	free(seen);
}

void check_readdir_seek(void)
{
	unsigned int n = 0;
	struct dirent *e;
	char name[300];
	long where;
	DIR *dir;

	make_entries(0, 300);
	dir = opendir(".");
	NEED(dir);
	while (n++ < 100)
		NEED(readdir(dir));
	where = telldir(dir);
	NEED((e = readdir(dir)));
	snprintf(name, sizeof(name), "%s", e->d_name);
	while (readdir(dir))
		n++;
	seekdir(dir, where);
	NEED((e = readdir(dir)));
	MUST(!strcmp(name, e->d_name));
	closedir(dir);
}

void check_inodes(void)
{
	struct dirent *e;
	ino_t inodes[8];
	unsigned int n = 0;
	DIR *dir;

	make_closed("file", "");
	MUST(!mkdir("dir", 0755) && !symlink("file", "link") && !mkfifo("fifo", 0644));
	dir = opendir(".");
	NEED(dir);
	while ((e = readdir(dir)) && n < 8) {
		struct stat st;

		if (!strcmp(e->d_name, "..") || !strcmp(e->d_name, "."))
			continue;
		st = stat_of(e->d_name);
		MUST(e->d_type == DT_UNKNOWN || (mode_t)DTTOIF(e->d_type) == (st.st_mode & S_IFMT));
		for (unsigned int i = 0; i < n; i++)
			MUST(inodes[i] != st.st_ino);
		inodes[n++] = st.st_ino;
	}
	MUST(n == 4);
	closedir(dir);
}
