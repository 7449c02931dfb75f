/* SPDX-License-Identifier: MIT */
/*
 * The rows of struct vm_config, those of every architecture, and what is driven by them: printing,
 * saving, loading, copying, checking.
 */
#include "capture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "lkvm/arch.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

static const char *const no_kernels[] = { NULL };
const struct arch_platform arch_platform = {
	.name = "test",
	.option_mask = OPT_ARCH_X86,
	.kernel_search = no_kernels,
};
int arch_config_complete(struct vm_config *cfg)
{
	return 0;
}

bool arch_firmware_takes_kernel(const struct vm_config *c)
{
	return false;
}

bool arch_boots_linux(const struct vm_config *cfg, const struct boot *boot)
{
	return true;
}

/* The set of config-options.c for an architecture that is chosen here. */
static u32 here;
static const struct option_source sources[] = { CONFIG_OPTIONS(0, 0, NULL), { 0 } };
static const struct option_set set = { .sources = sources, .here = &here };
static const u32 archs[] = { OPT_ARCH_X86, OPT_ARCH_ARM64 };

/* A file in memory with @len bytes of @text; its name, good until the next one. */
static const char *file_of(const char *text, size_t len)
{
	static char path[64];
	static int fd = -1;

	if (fd >= 0)
		close(fd);
	fd = memfd_create("options", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write_full(fd, text, len), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

static int load(const char *text, struct vm_config *cfg)
{
	const char *path = file_of(text, strlen(text));
	int ret;

	capture_begin();
	ret = options_load(&set, "--config", path, cfg);
	capture_end();
	if (ret)
		assert_one_line(captured);
	return ret;
}

static char *written(void (*write)(const struct option_set *, const void *, FILE *),
		     const struct vm_config *cfg)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	write(&set, cfg, out);
	fclose(out);
	return text;
}

/* The same options are given in both. */
static void assert_same(const struct vm_config *a, const struct vm_config *b)
{
	char *x = written(options_save, a), *y = written(options_save, b);

	assert_string_equal(x, y);
	free(x);
	free(y);
	x = written(options_print, a);
	y = written(options_print, b);
	assert_string_equal(x, y);
	free(x);
	free(y);
}

static void check_row(const struct option_cursor *c)
{
	const struct option_spec *o = c->opt;
	size_t len = strlen(o->help);

	assert_non_null(c->group);
	/* A phrase: the manual makes a sentence of it. */
	assert_true(len > 5 && o->help[len - 1] != '.');
	assert_true(strcmp(o->name, "help") != 0 && o->short_name != 'h');
	if (option_takes_argument(o))
		assert_true(o->arg || o->choices);
	if (o->type == OPT_CHOICE)
		assert_true(o->choices && o->choices[0] && o->choices[1]);
	if (o->type == OPT_CALL)
		assert_non_null(o->parse);
	if (o->type == OPT_TYPED) {
		assert_true(o->hooks->parse && o->hooks->text);
		assert_true(!(o->flags & OPT_PATH) || o->hooks->path);
		assert_true(!(o->flags & OPT_REPEATABLE) || o->hooks->destroy);
	} else if (o->type != OPT_CALL) {
		assert_true(o->offset < sizeof(struct vm_config));
	}
}

static void test_every_row(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(archs); i++) {
		u32 rows = 0;

		here = archs[i];
		for_each_option(c, &set)
		{
			if (!option_is_here(&c))
				continue;
			rows++;
			check_row(&c);
			for_each_option(d, &set)
			{
				if (!option_is_here(&d) || c.opt == d.opt)
					continue;
				assert_string_not_equal(c.opt->name, d.opt->name);
				assert_true(!c.opt->short_name ||
					    c.opt->short_name != d.opt->short_name);
				/* Only what has no member of its own may share one. */
				assert_true(c.opt->type >= OPT_CALL || d.opt->type >= OPT_CALL ||
					    c.opt->offset != d.opt->offset);
			}
		}
		assert_true(rows > 15);
	}
}

#define TDX_ID8(c)  c c c c c c c c
#define TDX_ID32(c) TDX_ID8(c) TDX_ID8(c) TDX_ID8(c) TDX_ID8(c)
#define TDX_ID(c)   TDX_ID32(c) TDX_ID32(c) TDX_ID32(c)

/* A value that the row takes and that is not its default; a typed row needs one here. */
static const char *sample(const struct option_spec *o, u32 n, char *buf, size_t len)
{
	static const struct {
		const char *name;
		const char *values[3];
	} typed[] = {
		{ "initrd", { "i", " a,b ", "\"" } },
		{ "disk", { "d,ro", "a,,b,,,direct,format=qcow2", ",,,rw,format=raw" } },
		{ "network",
		  { "tap,vhost=1", "tapif=a,,b",
		    "user,forward=tcp:[::1]:1:2,host_ip=192.168.33.2,forward=udp:127.0.0.1:3:4" } },
		{ "rng-limit", { "rate=1K", "ops=3:9", "ops=1,rate=2M:4M" } },
		{ "trace", { "irq=f", "exits,virtio=a,b=c", "irq,virtio,exits= f" } },
		{ "vsock", { "3", "4294967294,socket=a,,b", "socket=v,cid=52" } },
		{ "gdb", { "1", "0.0.0.0:65535", "[::1]:7" } },
		{ "virtiofs", { "dir,a", "a,,b,c,,d,ro,cache=never", "socket=s,tag=t" } },
		{ "vfio",
		  { "0000:01:00.0,iommufd=off", "mdev=a,,b/c,rom=r,,s,state-in=i,state-out=o",
		    "/sys/x,pasid=on,pasid-offset=0x104" } },
		{ "pmem", { "p", "a,,b,ro", "c,size=4M,rw" } },
		{ "port", { "a,pty", "a.b,file=a,,b,console", "c,socket=s" } },
		{ "9p", { "d,t", "a,,b,,,t,,ag,ro", "\"d\",t,rw" } },
		{ "realm",
		  { "", "hash=sha512,rpv=00ff,abi=v10,cap=244",
		    "planes=2,rtt-tree=shared,rpv=./a,,b,breakpoints=4,watchpoints=2" } },
		{ "pmu-counters", { "0", "6", "31" } },
		{ "kaslr-seed", { "random", "0x10", "18446744073709551615" } },
		{ "counter-offset", { "0", "1", "18446744073709551615" } },
		{ "vmx", { "+ept", "-vmx-mbec,-vmx-pml", "-ept_ad" } },
		{ "svm", { "+npt", "-vgif,-lbrv", "asids=16" } },
		{ "snp", { "policy=0xb0000", "-smt,+secure-tsc,cpuid-fix", "signature=1" } },
		{ "snp-guest-requests",
		  { "interval=1", "interval=2000,burst=2", "burst=3,interval=4" } },
		{ "tdx-attributes", { "0x10000001", "+debug", "0,+pks,-debug" } },
		{ "tdx-xfam", { "3", "0xe7", "18446744073709551615" } },
		{ "tdx-mrconfigid", { TDX_ID("0"), TDX_ID("7"), TDX_ID("f") } },
		{ "tdx-mrowner", { TDX_ID("0"), TDX_ID("7"), TDX_ID("f") } },
		{ "tdx-mrownerconfig", { TDX_ID("0"), TDX_ID("7"), TDX_ID("f") } },
		{ "tdx-quote", { "unix:q", "unix:a,b", "unix: \"" } },
		{ "halt-poll", { "0", "0x10", "1000000000" } },
		{ "disable-exits", { "hlt", "pause,mwait", "aperfmperf,cstate,mwait,hlt,pause" } },
		{ "notify-window", { "0", "1", "4294967295" } },
	};
	u32 words = 0;

	switch (o->type) {
	case OPT_STRING:
		return n % 2 ? "a word" : "# \\ \"x\" \t\n ";
	case OPT_U32:
	case OPT_U64:
		snprintf(buf, len, "%llu", o->min + n + 1);
		return buf;
	case OPT_SIZE:
		snprintf(buf, len, "%lluB", o->min + n);
		return buf;
	case OPT_CHOICE:
		while (o->choices[words])
			words++;
		return o->choices[1 + n % (words - 1)];
	case OPT_TYPED:
		for (size_t i = 0; i < ARRAY_SIZE(typed); i++) {
			if (!strcmp(typed[i].name, o->name))
				return typed[i].values[n % 3];
		}
		fail_msg("--%s: this test has no values for it", o->name);
		break;
	default:
		break;
	}
	return NULL;
}

static void give(const struct option_cursor *c, u32 n, struct vm_config *cfg)
{
	char buf[64];

	assert_int_equal(option_set(c, "--x", sample(c->opt, n, buf, sizeof(buf)), false, cfg), 0);
}

/* Each row alone: it is given, printed, saved, loaded and gone. */
static void test_each_value(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(archs) * 3; i++) {
		here = archs[i / 3];
		for_each_option(c, &set)
		{
			struct vm_config a = { 0 }, b = { 0 };
			char *text, line[64];

			if (!option_is_here(&c) || c.opt->type == OPT_CALL)
				continue;
			assert_false(options_given(&set, &a, c.opt->name));
			give(&c, i % 3, &a);
			assert_true(options_given(&set, &a, c.opt->name));
			text = written(options_print, &a);
			snprintf(line, sizeof(line), "%s: ", c.opt->name);
			if (c.opt->flags & OPT_ONCE)
				assert_lacks(text, line);
			else
				assert_contains(text, line);
			free(text);
			text = written(options_save, &a);
			if (c.opt->flags & OPT_ONCE) {
				assert_string_equal(text, "");
			} else {
				assert_int_equal(load(text, &b), 0);
				assert_true(options_given(&set, &b, c.opt->name));
				assert_same(&a, &b);
			}
			free(text);
			options_destroy(&set, &a);
			options_destroy(&set, &b);
			if (c.opt->type == OPT_STRING || (c.opt->flags & OPT_REPEATABLE))
				assert_false(options_given(&set, &a, c.opt->name));
		}
	}
}

/* What an option takes before words between commas. */
static const char *before_items(const char *name)
{
	if (!strcmp(name, "9p") || !strcmp(name, "virtiofs"))
		return "d,t,";
	if (!strcmp(name, "vsock"))
		return "3,";
	if (!strcmp(name, "vmx") || !strcmp(name, "svm") || !strcmp(name, "disable-exits") ||
	    !strcmp(name, "realm") || !strcmp(name, "tdx-attributes"))
		return "";
	static const char *const none[] = { "network", "rng-limit", "snp", "snp-guest-requests" };

	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		if (!strcmp(name, none[i]))
			return "";
	return "x,";
}

/* The option given an item with the value that it has at @value (@len bytes): says what? */
static const char *give_item(const struct option_cursor *c, const char *key, const char *value,
			     size_t len)
{
	struct vm_config cfg = { 0 };
	char *text = xasprintf("%s%s%.*s", before_items(c->opt->name), key, (int)len, value);

	capture_begin();
	if (!option_set(c, "--x", text, false, &cfg))
		fputs("taken\n", stderr);
	capture_end();
	options_destroy(&set, &cfg);
	free(text);
	return captured;
}

static void check_item(const struct option_cursor *c, const char *item)
{
	size_t len = strcspn(item, "=");
	char key[32], slip[32], near[64];

	snprintf(key, sizeof(key), "%.*s%s", (int)len, item, item[len] ? "=" : "");
	/* Each of the values, or what stands for one: refused perhaps, but known. */
	for (const char *v = item + len + !!item[len];; v++) {
		size_t n = strcspn(v, "|");

		assert_lacks(give_item(c, key, v, n), "unknown '");
		if (strchr(item, '|'))
			assert_lacks(captured, "is not one of");
		v += n;
		if (!*v)
			break;
	}
	if (len < 3)
		return;
	snprintf(slip, sizeof(slip), "%.*s%c%s", (int)len, item, item[len - 1],
		 item[len] ? "=long value" : "");
	snprintf(near, sizeof(near), "did you mean '%s'?", key);
	assert_contains(give_item(c, slip, "", 0), near);
}

/* The words of lists that messages and completion name are those that are understood. */
static void test_items(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(archs); i++) {
		u32 lists = 0;

		here = archs[i];
		for_each_option(c, &set)
		{
			if (!option_is_here(&c) || c.opt->type != OPT_TYPED || !c.opt->hooks->items)
				continue;
			lists++;
			for (const char *const *item = c.opt->hooks->items; *item; item++)
				check_item(&c, *item);
		}
		assert_true(lists >= 8);
	}
}

static u32 rnd(u32 below)
{
	static u64 seed = 0x5eed;

	seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (u32)(seed >> 33) % below;
}

/* Any bytes but NUL. */
static void random_string(const struct option_cursor *c, struct vm_config *cfg)
{
	u32 len = rnd(12);
	char s[16];

	for (u32 i = 0; i < len; i++)
		s[i] = (char)(rnd(2) ? " \t\"\\#=,\n"[rnd(8)] : 1 + (int)rnd(255));
	s[len] = '\0';
	assert_int_equal(option_set(c, "--x", s, false, cfg), 0);
}

static void randomize(struct vm_config *cfg)
{
	for_each_option(c, &set)
	{
		u32 uses = c.opt->flags & OPT_REPEATABLE ? rnd(4) : rnd(2);

		if (!option_is_here(&c) || c.opt->type == OPT_CALL || (c.opt->flags & OPT_ONCE))
			continue;
		for (; uses; uses--) {
			if (c.opt->type == OPT_STRING)
				random_string(&c, cfg);
			else
				give(&c, rnd(1000), cfg);
		}
	}
}

/* What is saved and loaded again is the same configuration; so is a copy. */
static void test_round_trip(void **state)
{
	for (u32 i = 0; i < 500; i++) {
		struct vm_config a = { 0 }, b = { 0 }, copy = { 0 };
		char *text;

		here = archs[i % ARRAY_SIZE(archs)];
		randomize(&a);
		text = written(options_save, &a);
		if (load(text, &b))
			fail_msg("%s in:\n%s", captured, text);
		assert_same(&a, &b);
		options_copy(&set, &a, &copy);
		assert_same(&a, &copy);
		free(text);
		options_destroy(&set, &a);
		options_destroy(&set, &b);
		options_destroy(&set, &copy);
	}
}

static void test_file_forms(void **state)
{
	struct vm_config cfg = { 0 };

	here = OPT_ARCH_ARM64;
	assert_int_equal(load("# a comment\n\n  # another\n"
			      "cpus 3\n--mem=512\r\nname =  a vm # not a comment \n"
			      "\tparams\t\"a=\\\"b c\\\" \\\\ \\x41\\n\"\n"
			      "kernel = = x\nrng\npmu\nno-pmu\nreboot\nno-reboot\n"
			      "disk a,ro\n--disk=b\nfirmware=\ncpus = 4",
			      &cfg),
			 0);
	assert_string_equal(captured, "");
	assert_int_equal(cfg.cpus, 4);
	assert_true(cfg.memory == 512 * MiB);
	assert_string_equal(cfg.name, "a vm # not a comment");
	assert_string_equal(cfg.params, "a=\"b c\" \\ A\n");
	assert_string_equal(cfg.kernel, "= x");
	assert_string_equal(cfg.firmware, "");
	assert_true(cfg.rng && cfg.no_reboot && !cfg.arm.pmu);
	assert_int_equal(cfg.nr_disks, 2);
	assert_true(cfg.disks[0].readonly && !cfg.disks[1].readonly);
	/* A file adds to what was given before, and what comes later replaces. */
	assert_int_equal(load("cpus = 5\ndisk = c\n", &cfg), 0);
	assert_int_equal(cfg.cpus, 5);
	assert_int_equal(cfg.nr_disks, 3);
	options_destroy(&set, &cfg);
}

static void test_file_errors(void **state)
{
	static const struct {
		const char *text;
		const char *message;
	} cases[] = {
		{ "\n#\ncpus many\n", ":3: --cpus many: is not a number" },
		{ "mem 1K", ":1: --mem 1K: is too small; the minimum is 1M" },
		{ "cpus 1\nconsole vga\n", ":2: --console vga: is not one of serial, virtio" },
		{ "disk = a,or", ":1: --disk: unknown 'or'; did you mean 'ro'?" },
		{ "network mode=use", ":1: --network: unknown 'use'; did you mean 'user'?" },
		{ "cpu5 3", ":1: unknown option 'cpu5'; did you mean 'cpus'?" },
		{ "zzzzzz", ":1: unknown option 'zzzzzz'; a line is an option's name" },
		{ "= x", ":1: unknown option ''" },
		{ "c 3", ":1: unknown option 'c'" },
		{ "kernel", ":1: --kernel: needs an argument: FILE" },
		{ "console", ":1: --console: needs an argument: one of its choices" },
		{ "rng yes", ":1: --rng: takes no argument; to switch it off write no-rng" },
		{ "kernel \"x", ":1: the closing quote is missing" },
		{ "kernel \"x\\", ":1: a backslash in quotes" },
		{ "kernel \"x\\\"", ":1: the closing quote is missing" },
		{ "kernel \"\\q\"", ":1: a backslash in quotes" },
		{ "kernel \"\\x4\"", ":1: a backslash in quotes" },
		{ "kernel \"\\x00\"", ":1: a backslash in quotes" },
		{ "kernel \"x\" y", ":1: text after the closing quote" },
		{ "dump-boot x", ":1: --dump-boot: belongs on the command line" },
		{ "psci user", ":1: --psci is an option of arm64; this lkvm is for x86-64" },
	};
	struct vm_config cfg = { 0 };

	here = OPT_ARCH_X86;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(load(cases[i].text, &cfg), -EINVAL);
		assert_contains(captured, cases[i].message);
		assert_contains(captured, "/proc/self/fd/");
	}
	options_destroy(&set, &cfg);
}

static int load_path(const char *path)
{
	struct vm_config cfg = { 0 };
	int ret;

	capture_begin();
	ret = options_load(&set, "--config", path, &cfg);
	capture_end();
	assert_one_line(captured);
	options_destroy(&set, &cfg);
	return ret;
}

static void test_bad_files(void **state)
{
	assert_int_equal(load_path("/nosuch/file"), -ENOENT);
	assert_contains(captured, "--config /nosuch/file: cannot read: No such file or directory");
	assert_int_equal(load_path("/"), -EISDIR);
	assert_int_equal(load_path("/dev/zero"), -EFBIG);
	assert_contains(captured, "--config /dev/zero: is not an options file");
	assert_int_equal(load_path(file_of("rng\ncpus\0 3\n", 12)), -EINVAL);
	assert_contains(captured, ":2: is not text");
}

/* A secret is neither printed nor saved, but copied. */
static void test_secret(void **state)
{
	static const struct option_spec rows[] = {
		{ .type = OPT_STRING,
		  .name = "key",
		  .arg = "KEY",
		  .help = "k",
		  .flags = OPT_SECRET },
		OPT_END,
	};
	static const struct option_source one[] = { { .rows = rows }, { 0 } };
	static const struct option_set secret_set = { .sources = one };
	char *key = xstrdup("hunter2"), *copy = NULL, text[128] = "";
	FILE *out = fmemopen(text, sizeof(text), "w");

	options_print(&secret_set, &key, out);
	options_save(&secret_set, &key, out);
	fclose(out);
	assert_string_equal(text, "key: given\n# key: a secret, not saved\n");
	options_copy(&secret_set, &key, &copy);
	assert_string_equal(copy, "hunter2");
	options_destroy(&secret_set, &key);
	options_destroy(&secret_set, &copy);
	assert_null(key);
}

/* Every name of a file that is empty is found, in lists too. */
static void test_empty_paths(void **state)
{
	here = OPT_ARCH_ARM64;
	for_each_option(c, &set)
	{
		/* What goes with a name. */
		const char *before = strcmp(c.opt->name, "trace") ? "" : "irq=";
		const char *more = strcmp(c.opt->name, "9p") ? before : ",tag";
		struct vm_config cfg = { 0 };
		char message[64], full[16];

		if (!(c.opt->flags & OPT_PATH))
			continue;
		snprintf(full, sizeof(full), "full%s", more);
		if (!option_is_here(&c))
			continue;
		assert_int_equal(options_check(&set, &cfg), 0);
		if (c.opt->flags & OPT_REPEATABLE)
			assert_int_equal(option_set(&c, "--x", full, false, &cfg), 0);
		assert_int_equal(option_set(&c, "--x", more, false, &cfg), 0);
		capture_begin();
		assert_int_equal(options_check(&set, &cfg), -EINVAL);
		capture_end();
		assert_one_line(captured);
		snprintf(message, sizeof(message), "--%s: the name is empty", c.opt->name);
		assert_contains(captured, message);
		options_destroy(&set, &cfg);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_row),   cmocka_unit_test(test_each_value),
		cmocka_unit_test(test_items),	    cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_file_forms),  cmocka_unit_test(test_file_errors),
		cmocka_unit_test(test_bad_files),   cmocka_unit_test(test_secret),
		cmocka_unit_test(test_empty_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
