/* SPDX-License-Identifier: MIT */
/* Huge pages of the host (Linux Documentation/admin-guide/mm/hugetlbpage.rst, transhuge.rst). */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/probe.h"
#include "lkvm/scan.h"
#include "lkvm/util.h"

#define HUGEPAGES "/sys/kernel/mm/hugepages"

static void pool_row(struct probe *h, u64 kib)
{
	char dir[128], path[192], size[32];
	struct probe_row *row;
	u64 total = 0, unused = 0;
	char *name;

	format_size(kib * KiB, size, sizeof(size));
	name = xasprintf("hugetlb-%s", size);
	row = probe_row(h, PROBE_SEC_MEMORY, name, "reserved huge pages: --hugetlbfs");
	free(name);
	snprintf(dir, sizeof(dir), HUGEPAGES "/hugepages-%llukB", kib);
	snprintf(path, sizeof(path), "%s/nr_hugepages", dir);
	probe_read_number(h, path, &total);
	if (!total) {
		probe_no(row, "no pages are reserved: echo N > %s", path);
		return;
	}
	snprintf(path, sizeof(path), "%s/free_hugepages", dir);
	probe_read_number(h, path, &unused);
	if (unused)
		probe_text(row, "%llu of %llu pages are free", unused, total);
	else
		probe_no(row, "all %llu pages are in use: reserve more in %s/nr_hugepages", total,
			 dir);
}

static int compare_sizes(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return (x > y) - (x < y);
}

static void pool_rows(struct probe *h)
{
	char *path = xasprintf("%s" HUGEPAGES, h->sys->root);
	DIR *dir = opendir(path);
	const struct dirent *e;
	u64 sizes[16];
	size_t n = 0;

	free(path);
	if (!dir) {
		probe_no(probe_row(h, PROBE_SEC_MEMORY, "hugetlb", NULL),
			 "this kernel has none (CONFIG_HUGETLBFS)");
		return;
	}
	while (n < ARRAY_SIZE(sizes) && (e = readdir(dir))) {
		const char *s = e->d_name;

		n += scan_text(&s, "hugepages-") && scan_u64(&s, 10, &sizes[n]);
	}
	closedir(dir);
	/* The directory has no order of its own. */
	qsort(sizes, n, sizeof(sizes[0]), compare_sizes);
	for (size_t i = 0; i < n; i++)
		pool_row(h, sizes[i]);
}

/* The mount points of type hugetlbfs, as /proc/mounts writes them (a blank is \040). */
static void mount_row(struct probe *h)
{
	struct probe_row *row =
		probe_row(h, PROBE_SEC_MEMORY, "hugetlbfs", "paths for --hugetlbfs");
	char *path = xasprintf("%s/proc/mounts", h->sys->root);
	char *line = NULL, *list = xstrdup("");
	FILE *f = fopen(path, "re");
	size_t size = 0;

	free(path);
	while (f && getline(&line, &size, f) >= 0) {
		char *save = NULL, *where, *type, *longer;

		strtok_r(line, " ", &save);
		where = strtok_r(NULL, " ", &save);
		type = strtok_r(NULL, " ", &save);
		if (!where || !type || strcmp(type, "hugetlbfs") != 0)
			continue;
		longer = xasprintf("%s%s%s", list, *list ? " " : "", where);
		free(list);
		list = longer;
	}
	if (f)
		fclose(f);
	free(line);
	if (*list) {
		probe_text(row, "%s", list);
		row->type = PROBE_LIST;
	} else {
		probe_no(row, "not mounted: mount -t hugetlbfs none /dev/hugepages");
	}
	free(list);
}

/* The file lists the choices, the one in force in brackets: "always [madvise] never". */
static void thp_row(struct probe *h)
{
	static const char path[] = "/sys/kernel/mm/transparent_hugepage/enabled";
	struct probe_row *row = probe_row(h, PROBE_SEC_MEMORY, "transparent-huge-pages",
					  "huge pages for guest memory without a reservation");
	char line[128], *start, *end;

	if (!probe_read_line(h, path, line, sizeof(line))) {
		probe_no(row, "this kernel has none (CONFIG_TRANSPARENT_HUGEPAGE)");
		return;
	}
	start = strchr(line, '[');
	end = start ? strchr(start, ']') : NULL;
	if (!end) {
		probe_unknown(row, "%s is not understood", path);
		return;
	}
	*end = '\0';
	if (!strcmp(start + 1, "never"))
		probe_no(row, "switched off: echo madvise > %s", path);
	else
		probe_text(row, "%s", start + 1);
}

void probe_memory_rows(struct probe *h)
{
	thp_row(h);
	mount_row(h);
	pool_rows(h);
}
