/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into a VMM by bench/bench.py: at its first KVM_RUN, which is the moment of the first
 * guest instruction, notes how long the process has run and how much memory it uses besides the
 * guest's.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* A mapping of this size is the guest's memory: the bench gives its guests 128 MiB. */
#define GUEST_MAPPING_KB (100L * 1024)

static long long now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

/* Resident KiB of all mappings but the guest's memory. */
static long own_rss_kb(void)
{
	FILE *f = fopen("/proc/self/smaps", "r");
	long size = 0, rss, sum = 0;
	char line[512];

	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Size: %ld kB", &size) == 1)
			continue;
		if (sscanf(line, "Rss: %ld kB", &rss) == 1 && size < GUEST_MAPPING_KB)
			sum += rss;
	}
	fclose(f);
	return sum;
}

static void report(void)
{
	const char *path = getenv("FIRSTRUN_OUT"), *start = getenv("FIRSTRUN_START_NS");
	long long wall = start ? now_ns() - atoll(start) : 0;
	struct rusage ru;
	FILE *f;

	getrusage(RUSAGE_SELF, &ru);
	f = path ? fopen(path, "w") : NULL;
	if (!f)
		return;
	fprintf(f, "{\"wall_ns\": %lld, \"cpu_us\": %lld, \"rss_kb\": %ld}\n", wall,
		(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000LL + ru.ru_utime.tv_usec +
			ru.ru_stime.tv_usec,
		own_rss_kb());
	fclose(f);
}

int ioctl(int fd, unsigned long request, ...)
{
	static int (*real)(int fd, unsigned long request, ...);
	static atomic_flag done = ATOMIC_FLAG_INIT;
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "ioctl");
	if (request == KVM_RUN && !atomic_flag_test_and_set(&done))
		report();
	return real(fd, request, arg);
}
