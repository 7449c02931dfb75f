/* SPDX-License-Identifier: MIT */
/* The command line of `lkvm run`: run-options.c, the config files, with their own rows. */
#include "run_line.h"

static void test_kvmtool_words(void **state)
{
	assert_int_equal(run("--kernel x.flat --cpus 3 --nodefaults --network mode=none "
			     "--loglevel=warning --params a=b"),
			 0);
	assert_string_equal(cfg.kernel, "x.flat");
	assert_int_equal(cfg.cpus, 3);
	assert_true(cfg.nodefaults);
	assert_int_equal(cfg.nr_nets, 0);
	assert_int_equal(log_get_level(), LOG_WARNING);
	assert_string_equal(cfg.params, "a=b");
	log_set_level(LOG_INFO);
	assert_int_equal(
		run("-k vmlinuz -i a -i b -m 512 -c2 -d x,ro -d y,,z,direct,format=raw --rng "
		    "--console virtio --irqchip split --virtio-transport mmio "
		    "--hugetlbfs /h --dev /d --no-reboot --dry-run --kernel-format pvh "
		    "--name web"),
		0);
	assert_int_equal(cfg.nr_initrds, 2);
	assert_string_equal(cfg.initrds[1], "b");
	assert_true(cfg.memory == 512 * MiB);
	assert_int_equal(cfg.nr_disks, 2);
	assert_true(cfg.disks[0].readonly && !cfg.disks[0].direct);
	assert_string_equal(cfg.disks[1].path, "y,z");
	assert_true(!cfg.disks[1].readonly && cfg.disks[1].direct);
	assert_true(!cfg.disks[0].format && cfg.disks[1].format == DISK_FORMAT_RAW);
	assert_int_equal(cfg.console, CONSOLE_VIRTIO);
	assert_int_equal(cfg.x86.irqchip, X86_IRQCHIP_SPLIT);
	assert_int_equal(cfg.transport, TRANSPORT_MMIO);
	assert_int_equal(cfg.x86.kernel_format, X86_KERNEL_PVH);
	assert_true(cfg.rng && cfg.no_reboot && ro.dry_run);
	assert_string_equal(cfg.hugetlbfs, "/h");
	assert_string_equal(cfg.kvm_path, "/d");
	assert_string_equal(cfg.name, "web");
}

static void test_bare_kernel(void **state)
{
	assert_int_equal(run("vmlinuz -c 2"), 0);
	assert_string_equal(cfg.kernel, "vmlinuz");
	assert_int_equal(run("-k a b"), -EINVAL);
	assert_contains(captured, "'b': the kernel is 'a' already");
	assert_int_equal(run("a b"), -EINVAL);
	assert_contains(captured, "unexpected word 'b'");
	/* What follows "--" is a command, whatever it looks like. */
	assert_int_equal(run("a -c 2 -- sh -c 3"), 0);
	assert_string_equal(cfg.kernel, "a");
	assert_int_equal(cfg.cpus, 2);
	assert_string_equal(cfg.root.command[0], "sh");
	assert_string_equal(cfg.root.command[2], "3");
	assert_null(cfg.root.command[3]);
	assert_int_equal(run("a --"), 0);
	assert_null(cfg.root.command);
}

static void test_disk_errors(void **state)
{
	assert_int_equal(run("-d x,or"), -EINVAL);
	assert_contains(captured, "-d: unknown 'or'; did you mean 'ro'?");
	assert_int_equal(run("-d x,format=qcow2"), 0);
	assert_int_equal(cfg.disks[0].format, DISK_FORMAT_QCOW2);
	assert_int_equal(run("-d x,format=qed"), -EINVAL);
	assert_contains(captured, "-d: format=qed: is not one of raw, qcow2; convert the image");
	assert_int_equal(run("-d x,"), -EINVAL);
	assert_int_equal(run("-d x,if=virtio"), -EINVAL);
	assert_contains(captured, "-d: unknown 'if=virtio'; it is not one of ro, rw, direct");
	assert_int_equal(run("-d file=x,format=raw"), -EINVAL);
	assert_contains(captured, "-d file=x: the name comes first: -d x (a file");
	assert_int_equal(run("-d path=x"), -EINVAL);
	assert_int_equal(run("-d ./path=x"), 0);
	assert_int_equal(run("-d scsi:naa.600"), -EINVAL);
	assert_contains(captured, "-d scsi:naa.600: this build has no vhost-scsi");
	assert_int_equal(run("-c 0"), -EINVAL);
	assert_int_equal(run("-m 0"), -EINVAL);
	assert_int_equal(run("--loglevel loud"), -EINVAL);
	assert_int_equal(run("--no-such"), -EINVAL);
	assert_contains(captured, "unknown option '--no-such'");
}

static void test_network(void **state)
{
	static const char *const good[] = { "vhost=0",
					    "mode=tap,vhost=1,queues=2",
					    "mode=user,vhost=0",
					    "fd=3,vhost=1",
					    "mode=macvtap,tapif=m,vhost=1",
					    "vhost=0,rx-rate=10M",
					    "mq=1",
					    "mq=0",
					    "mq=16",
					    "script=none",
					    "downscript=none",
					    "fd=3:4,queues=2",
					    "host_ip=10.0.0.1",
					    "script=/bin/x",
					    "mtu=68",
					    "host_ip=10.0.0.1/8",
					    "mode=macvtap,tapif=m",
					    "rx-rate=10M,tx-ops=5:9" };
	static const char *const bad[] = { "vhost=2",
					   "mode=user,vhost=1",
					   "vhost=1,rx-rate=10M",
					   "rx-ops=5,vhost=1",
					   "vhost=1,tx-rate=10M",
					   "vhost=1,tx-ops=5",
					   "vhost=",
					   "mq=17",
					   "queues=",
					   "fd=2",
					   "fd=3:",
					   "fd=3:3",
					   "fd=3,tapif=a",
					   "fd=3,queues=2",
					   "fd=3:4:5:6:7:8:9:10:11:12:13:14:15:16:17:18:19",
					   "mtu=67",
					   "rx-rate=1",
					   "rate=1M",
					   "tx-ops=x",
					   "mtu=65536",
					   "mode=macvtap",
					   "mode=macvtap,tapif=m,host_ip=1.2.3.4",
					   "trans=mmio",
					   "host_ip=10.0.0",
					   "host_ip=10.0.0.256",
					   "host_ip=10.0.0.1/33",
					   "host_ip=10.0.0.1x",
					   "host_ip=0.0.0.0",
					   "script=",
					   "tapif=",
					   "tapif=a/b",
					   "tapif=0123456789abcdef",
					   "tapif",
					   "wat=1",
					   "guest_mac=02:15:15:15:15",
					   "guest_mac=01:15:15:15:15:15",
					   "mode=bridge",
					   "guest_mac=02:15:15:15:15:15:15",
					   "guest_mac=",
					   "guest_mac=00:00:00:00:00:00",
					   "" };
	char line[128], *text;

	assert_int_equal(run("-n mode=tap,tapif=vm0,guest_mac=02:15:15:15:aB:16"), 0);
	assert_int_equal(cfg.nr_nets, 1);
	assert_int_equal(cfg.nets[0].mode, NET_TAP);
	assert_string_equal(cfg.nets[0].tapif, "vm0");
	assert_true(cfg.nets[0].has_guest_mac);
	assert_int_equal(cfg.nets[0].guest_mac[4], 0xab);
	assert_int_equal(run("-n tap,vhost=1"), 0);
	assert_true(cfg.nets[0].vhost);
	text = network_hooks.text(&cfg, 0);
	assert_string_equal(text, "mode=tap,vhost=1");
	free(text);
	assert_int_equal(run("-n tap -n tapif=vm1"), 0);
	assert_int_equal(cfg.nr_nets, 2);
	assert_null(cfg.nets[0].tapif);
	assert_int_equal(run("-n none"), 0);
	assert_int_equal(cfg.nr_nets, 0);
	assert_int_equal(run("--network virtio"), -EINVAL);
	assert_contains(captured, "--network virtio: every card is a virtio card; mode=tap");
	assert_int_equal(run("-n bridge"), -EINVAL);
	assert_contains(
		captured,
		"-n: unknown 'bridge'; it is not one of tap, macvtap, user, vhost-user, none");
	assert_int_equal(run("-n mode=tap,host_mac=02:00:00:00:00:01"), 0);
	assert_contains(captured, "-n host_mac=...: has no effect without mode=user");
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		snprintf(line, sizeof(line), "-n mode=tap,%s", good[i]);
		assert_int_equal(run(line), 0);
		assert_string_equal(captured, "");
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(line, sizeof(line), "-n mode=tap,%s", bad[i]);
		if (run(line) != -EINVAL)
			fail_msg("'%s' was taken", line);
	}
}

/* What is saved is read again as the same. */
static void test_network_text(void **state)
{
	static const char words[] =
		"mode=tap,tapif=vm0,queues=4,mtu=9000,guest_mac=02:15:15:15:15:16,"
		"host_ip=10.1.2.3/16,rx-rate=10M:1M,rx-ops=5,tx-rate=1M,tx-ops=7:8,"
		"script=/a,,b,downscript=/c";
	char line[300], *text;

	snprintf(line, sizeof(line), "-n %s", words);
	assert_int_equal(run(line), 0);
	text = network_hooks.text(&cfg, 0);
	assert_string_equal(text, words);
	free(text);
	assert_int_equal(run("-n fd=7:9"), 0);
	text = network_hooks.text(&cfg, 0);
	assert_string_equal(text, "mode=tap,fd=7:9");
	free(text);
	assert_true(network_hooks.names_fd(&cfg, 9));
	assert_false(network_hooks.names_fd(&cfg, 8));
}

static void test_user_network(void **state)
{
	static const char *const bad[] = {
		"tapif=x",
		"queues=2",
		"script=/x",
		"fd=3",
		"guest_ip=10.0.0.2,host_ip=10.0.1.1",
		"guest_ip=10.0.0.2,host_ip=10.0.0.1/31",
		"forward=80:80",
		"forward=tcp:80",
		"forward=tcp:0:80",
		"forward=tcp:80:65536",
		"forward=sctp:1:1",
		"forward=tcp:host:1:1",
		"forward=tcp:::1:1:1",
		"forward=tcp:[1.2.3.4]:1:1",
		"forward=tcp:1.2.3.4.5:1:1",
		"forward=",
		"guest_ip=10.0.0.2",		      /* the host's is of another network */
		"guest_ip=10.0.0.1,host_ip=10.0.0.1", /* the same */
		"guest_ip=10.0.0.0,host_ip=10.0.0.1",
		"guest_ip=10.0.0.255,host_ip=10.0.0.1",
		"guest_ip=224.0.0.1,host_ip=224.0.0.2",
		"guest_ip=::1",
		"host_ip=127.0.0.1",
		"host_mac=01:00:00:00:00:00",
	};
	char line[128];

	assert_int_equal(run("-n user"), 0);
	assert_string_equal(captured, "");
	assert_int_equal(cfg.nets[0].mode, NET_USER);
	assert_int_equal(cfg.nets[0].user.guest_ip, 0);
	/* kvmtool's way, with one of its defaults. */
	assert_int_equal(run("-n mode=user,guest_ip=192.168.33.20,host_mac=02:00:00:00:00:07,"
			     "guest_mac=02:00:00:00:00:08"),
			 0);
	assert_int_equal(cfg.nets[0].user.guest_ip, 0xc0a82114);
	assert_int_equal(cfg.nets[0].host_ip, 0xc0a82101);
	assert_int_equal(cfg.nets[0].user.host_mac[5], 7);
	assert_int_equal(cfg.nets[0].guest_mac[5], 8);
	assert_int_equal(run("-n mode=user,forward=tcp:8080:80,forward=udp:127.0.0.1:53:5353,"
			     "forward=tcp:[::1]:22:2222"),
			 0);
	assert_int_equal(cfg.nets[0].user.nr_forwards, 3);
	assert_false(cfg.nets[0].user.forwards[0].udp);
	assert_string_equal(cfg.nets[0].user.forwards[0].addr, "");
	assert_int_equal(cfg.nets[0].user.forwards[0].host_port, 8080);
	assert_int_equal(cfg.nets[0].user.forwards[0].guest_port, 80);
	assert_true(cfg.nets[0].user.forwards[1].udp);
	assert_string_equal(cfg.nets[0].user.forwards[1].addr, "127.0.0.1");
	assert_string_equal(cfg.nets[0].user.forwards[2].addr, "::1");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(line, sizeof(line), "-n mode=user,%s", bad[i]);
		if (run(line) != -EINVAL)
			fail_msg("'%s' was taken", line);
	}
	/* The words of it are of it alone. */
	assert_int_equal(run("-n mode=tap,forward=tcp:1:1"), -EINVAL);
	assert_contains(captured, "-n forward=...: is for mode=user");
	assert_int_equal(run("-n mode=tap,guest_ip=10.0.0.2"), 0);
	assert_contains(captured, "-n guest_ip=...: has no effect without mode=user");
}

static void test_rng(void **state)
{
	static const char *const bad[] = { "",	    "1K",	 "rate=",  "rate=1",
					   "ops=0", "rate=1K:0", "size=1K" };
	char line[64];

	assert_int_equal(run("--rng"), 0);
	assert_true(cfg.rng && !cfg.rng_limit.bytes && !cfg.rng_limit.ops);
	assert_int_equal(run("--rng-limit rate=4K:8K,ops=10"), 0);
	assert_true(cfg.rng);
	assert_int_equal(cfg.rng_limit.bytes, 4096);
	assert_int_equal(cfg.rng_limit.bytes_burst, 8192);
	assert_int_equal(cfg.rng_limit.ops, 10);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(line, sizeof(line), "--rng-limit=%s", bad[i]);
		if (run(line) != -EINVAL)
			fail_msg("'%s' was taken", line);
	}
}

static void test_vsock(void **state)
{
	static const char *const bad[] = {
		"0",
		"1",
		"2",
		"4294967295",
		"4294967296",
		"18446744073709551615",
		"-3",
		"x",
		"",
		"socket=v",
		"3,socket=",
		"3,path=v",
		("3,socket=0123456789012345678901234567890123456789"
		 "01234567890123456789012345678901234567890123456789012345678"),
	};
	char line[160];

	assert_int_equal(run("--vsock 3"), 0);
	assert_int_equal(cfg.vsock.cid, 3);
	assert_null(cfg.vsock.path);
	assert_int_equal(run("--vsock cid=0xfffffffe,socket=a,,b"), 0);
	assert_int_equal(cfg.vsock.cid, 0xfffffffe);
	assert_string_equal(cfg.vsock.path, "a,b");
	/* A second use replaces. */
	assert_int_equal(run("--vsock 3,socket=x --vsock 4"), 0);
	assert_int_equal(cfg.vsock.cid, 4);
	assert_null(cfg.vsock.path);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(line, sizeof(line), "--vsock=%s", bad[i]);
		if (run(line) != -EINVAL)
			fail_msg("'%s' was taken", line);
	}
}

static void test_table(void **state)
{
	size_t len;
	char *text;
	FILE *out = open_memstream(&text, &len);

	options_print_help(&run_command, out);
	fclose(out);

	assert_contains(text, "--kernel FILE");
	assert_contains(text, "--irqchip default|full|split");
	for (const char *p = text; *p; p = strchr(p, '\n') + 1)
		assert_true(strcspn(p, "\n") <= 80);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kvmtool_words), cmocka_unit_test(test_bare_kernel),
		cmocka_unit_test(test_disk_errors),   cmocka_unit_test(test_network),
		cmocka_unit_test(test_network_text),  cmocka_unit_test(test_user_network),
		cmocka_unit_test(test_vsock),	      cmocka_unit_test(test_rng),
		cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
