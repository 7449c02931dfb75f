/* SPDX-License-Identifier: MIT */
/*
 * What the model says: a line of JSON for each event in LKVM_MODEL_LOG, broken rules on standard
 * error as well, and the process's status.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "model.h"

/* Out of the way of descriptors that lkvm numbers or compares. */
#define LOG_FD 500

static int log_fd = -1;
static pid_t owner;
static atomic_uint nr_broken, nr_refused;

/* When lkvm opens /dev/kvm: before that it closes what it did not open, later it may be locked in.
 */
void model_report_open(void)
{
	const char *path = getenv("LKVM_MODEL_LOG");
	int fd;

	if (owner)
		return;
	owner = getpid();
	if (!path || !*path)
		return;
	fd = model_libc_open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC);
	if (fd < 0)
		model_usage("LKVM_MODEL_LOG=%s: cannot open: %s", path, strerror(errno));
	log_fd = fcntl(fd, F_DUPFD_CLOEXEC, LOG_FD);
	if (log_fd < 0)
		log_fd = fd;
	else
		model_libc_close(fd);
}

static void write_line(int fd, const char *line, size_t len)
{
	if (fd >= 0 && syscall(SYS_write, fd, line, len) < 0)
		syscall(SYS_write, STDERR_FILENO, "model: cannot write\n", 20);
}

void model_log(const char *format, ...)
{
	char line[2048];
	va_list ap;
	int n;

	if (log_fd < 0)
		return;
	line[0] = '{';
	va_start(ap, format);
	n = vsnprintf(line + 1, sizeof(line) - 4, format, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 5)
		n = (int)sizeof(line) - 5;
	line[n + 1] = '}';
	line[n + 2] = '\n';
	write_line(log_fd, line, (size_t)n + 3);
}

/* What a rule's text holds is ours, but for quotes of file names. */
__attribute__((format(printf, 2, 0))) static void say(const char *key, const char *format,
						      va_list ap)
{
	char text[512], line[600];
	int n;

	vsnprintf(text, sizeof(text), format, ap);
	for (char *p = text; *p; p++)
		if (*p == '"' || *p == '\\' || (u8)*p < ' ')
			*p = '\'';
	model_log("\"%s\": \"%s\"", key, text);
	if (strcmp(key, "broken"))
		return;
	n = snprintf(line, sizeof(line), "model: broken rule: %s\n", text);
	write_line(STDERR_FILENO, line, (size_t)n);
}

long model_broken(long err, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	say("broken", format, ap);
	va_end(ap);
	nr_broken++;
	return err;
}

long model_refused(long err, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	say(model.strict ? "broken" : "refused", format, ap);
	va_end(ap);
	if (model.strict)
		nr_broken++;
	else
		nr_refused++;
	return err;
}

void model_measured(const struct model_vm *vm, const char *name, const u8 *digest, size_t len,
		    const char *more)
{
	char hex[129] = "";

	for (size_t i = 0; i < len && i < 64; i++)
		snprintf(hex + 2 * i, 3, "%02x", digest[i]);
	model_log("\"measurement\": \"%s\", \"name\": \"%s\", \"vm\": %u%s", hex, name, vm->number,
		  more);
}

bool model_is_broken(void)
{
	return nr_broken && !model.lenient;
}

bool model_is_owner(void)
{
	return owner == getpid();
}

void model_report_end(void)
{
	if (!model_is_owner())
		return;
	model_script_check();
	model_log("\"end\": true, \"broken\": %u, \"refused\": %u", nr_broken, nr_refused);
	owner = -1;
}

void model_usage(const char *format, ...)
{
	char line[512];
	va_list ap;
	int n = snprintf(line, sizeof(line), "model: ");

	va_start(ap, format);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n - 1, format, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 2)
		n = (int)sizeof(line) - 2;
	line[n] = '\n';
	write_line(STDERR_FILENO, line, (size_t)n + 1);
	syscall(SYS_exit_group, MODEL_STATUS);
	__builtin_unreachable();
}
