/* SPDX-License-Identifier: MIT */
/*
 * A debugger where there is no gdb: a breakpoint in a riscv64 guest, many steps, the breakpoint
 * once more, a variable written. gdb-steps SOCKET ADDRESS STEPS VARIABLE (hexadecimal addresses).
 * It speaks GDB's remote protocol (GDB manual, appendix E), and prints a line for each stop.
 */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* Registers as GDB counts them: x0 to x31, pc, f0 to f31, three of floating point, CSRs. */
#define REG_PC	  32
#define REG_SIE	  69
#define REG_STVEC 70

static int fd;
static char answer[4096];

static void fail(const char *what)
{
	printf("failed: %s: %s\n", what, answer);
	exit(1);
}

static char next_byte(void)
{
	char c;

	if (read(fd, &c, 1) != 1)
		fail("the connection ended");
	return c;
}

/* The next packet, acknowledged. */
static void receive(void)
{
	size_t n = 0;
	char c;

	while (next_byte() != '$')
		;
	while ((c = next_byte()) != '#')
		if (n < sizeof(answer) - 1)
			answer[n++] = c;
	answer[n] = '\0';
	next_byte();
	next_byte();
	if (write(fd, "+", 1) != 1)
		fail("write");
}

static void ask(const char *format, ...)
{
	char text[256], packet[300];
	unsigned char sum = 0;
	va_list ap;
	int n;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	for (const char *p = text; *p; p++)
		sum += (unsigned char)*p;
	n = snprintf(packet, sizeof(packet), "$%s#%02x", text, sum);
	if (write(fd, packet, n) != n)
		fail("write");
	receive();
}

static void want(const char *wanted, const char *what)
{
	if (strcmp(answer, wanted))
		fail(what);
}

/* Bytes of a register or of memory, the lowest first. */
static uint64_t number(void)
{
	uint64_t value = 0;

	for (size_t i = strlen(answer) / 2; i--;) {
		unsigned int byte;

		if (sscanf(answer + 2 * i, "%2x", &byte) != 1)
			fail("a number");
		value = value << 8 | byte;
	}
	return value;
}

static uint64_t reg(int n)
{
	ask("p%x", n);
	return number();
}

/* The thread that a stop is about; others ran meanwhile. */
static unsigned int stopped_thread(void)
{
	const char *thread = strstr(answer, "thread:");

	if (answer[0] != 'T' || strncmp(answer + 1, "05", 2) || !thread)
		fail("a stop");
	return (unsigned int)strtoul(thread + strlen("thread:"), NULL, 16);
}

static unsigned int run_to(uint64_t address)
{
	unsigned int thread;

	ask("Z0,%llx,2", (unsigned long long)address);
	want("OK", "a breakpoint");
	ask("vCont;c");
	thread = stopped_thread();
	printf("stopped at %#llx\n", (unsigned long long)reg(REG_PC));
	ask("m%llx,2", (unsigned long long)address);
	printf("code there %#llx\n", (unsigned long long)number());
	ask("z0,%llx,2", (unsigned long long)address);
	want("OK", "a breakpoint's end");
	return thread;
}

static void step(unsigned int thread, int i)
{
	uint64_t pc;

	ask("vCont;s:%x;c", thread);
	if (stopped_thread() != thread)
		fail("a step of another thread");
	pc = reg(REG_PC);
	printf("step %d at %#llx%s%s\n", i, (unsigned long long)pc,
	       pc == (reg(REG_STVEC) & ~3ULL) ? ", a handler" : "",
	       reg(REG_SIE) ? "" : ", interrupts off");
}

int main(int argc, char **argv)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	uint64_t address, variable;
	unsigned int thread;

	if (argc != 5)
		return 2;
	setvbuf(stdout, NULL, _IOLBF, 0);
	address = strtoull(argv[2], NULL, 16);
	variable = strtoull(argv[4], NULL, 16);
	strncpy(to.sun_path, argv[1], sizeof(to.sun_path) - 1);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)))
		fail("connect");
	ask("?");
	thread = run_to(address);
	for (int i = 0; i < atoi(argv[3]); i++)
		step(thread, i);
	run_to(address);
	ask("Z1,%llx,2", (unsigned long long)address);
	printf("a hardware breakpoint: %s\n", *answer ? answer : "not supported");
	ask("M%llx,4:92100000", (unsigned long long)variable);
	want("OK", "memory");
	ask("D");
	want("OK", "the end");
	printf("detached\n");
	return 0;
}
