/* SPDX-License-Identifier: MIT */
/* Words that people bring along from other VMMs: all of kvmtool's, and config-foreign.c's lists. */
#include "run_line.h"

/* The option rows of every architecture count: a word that is ours leaves the list. */
static bool is_ours(const char *word, size_t len)
{
	bool negated;

	return options_find(&run_set, word, len, &negated).opt != NULL;
}

/* What is advised exists: each "--name" is an option. */
static void assert_ours(const char *advice)
{
	for (const char *p = advice; p && (p = strstr(p, "--"));) {
		p += 2;
		if (!is_ours(p, strcspn(p, " ,;)'")))
			fail_msg("'%s' names an option that does not exist", advice);
	}
}

static void check_word(const struct foreign_word *f)
{
	char line[64], word[40];
	size_t len = strlen(f->word);

	/* A pattern stands for any word. */
	snprintf(word, sizeof(word), "%s", f->word);
	if (word[len - 1] == '*')
		snprintf(word + len - 1, sizeof(word) - len + 1, "xyz");
	assert_false(is_ours(word, strlen(word)));
	for (int dashes = len == 1 ? 1 : 2; dashes; dashes--) {
		for (int with_value = 0; with_value <= (len > 1); with_value++) {
			snprintf(line, sizeof(line), "k %.*s%s%s", dashes, "--", word,
				 with_value ? "=a,b" : "");
			if (run(line) != -EINVAL)
				fail_msg("'%s' was taken", line);
			snprintf(line, sizeof(line), "unknown option '%.*s%s': %s ha", dashes, "--",
				 word, f->whose);
			assert_contains(captured, line);
			assert_lacks(captured, "did you mean");
			if (f->text)
				assert_contains(captured, f->text);
		}
	}
}

static void test_foreign_words(void **state)
{
	for (const struct foreign_word *f = foreign_options; f->word; f++) {
		check_word(f);
		if (f->text)
			assert_ours(f->text);
		assert_true(f->kind == FOREIGN_MISSING || f->text);
		for (const struct foreign_word *g = foreign_options; g < f; g++)
			assert_string_not_equal(f->word, g->word);
	}
	assert_int_equal(run("k --guest-memfd"), -EINVAL);
	assert_contains(captured, "'--guest-memfd': kvmtool has it, this lkvm does not yet");
	assert_int_equal(run("k --virtfs local"), -EINVAL);
	assert_contains(captured, "'--virtfs': QEMU has it; here use --9p DIR,TAG");
	assert_int_equal(run("k -append quiet"), -EINVAL);
	assert_contains(captured, "'-append': QEMU and virtme-ng have it; here use --params WORDS");
	assert_int_equal(run("k -nographic"), -EINVAL);
	assert_contains(captured, "'-nographic': QEMU has it; omit it: the console is on the");
}

/* Each option of kvmtool's is one of ours or is explained. */
static void test_kvmtools_words(void **state)
{
	char words[] =
		"name cpus mem disk balloon rng 9p console vsock dev tty sandbox hugetlbfs "
		"virtio-legacy virtio-transport vnc gtk sdl nodefaults loglevel kernel initrd "
		"params firmware flash network no-dhcp vfio-pci debug debug-single-step "
		"debug-ioport debug-mmio debug-iodelay vidmode dump-dtb "
		"override-bad-firmware-cntfrq force-pci irqchip firmware-address aarch32 pmu "
		"disable-mte vcpu-affinity kaslr-seed no-pvtime sve-max-vl custom-mvendorid "
		"custom-marchid custom-mimpid disable-zicboz disable-sbi-sta cpu-type nested "
		"e2h0 counter-offset guest-memfd realm measurement-algo realm-pv disable-sve "
		"sve-vl pmu-counters";
	char text[160], *save = NULL;

	for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		if (!is_ours(w, strlen(w)) &&
		    !foreign_word_text(foreign_options, w, strlen(w), text, sizeof(text)))
			fail_msg("--%s: kvmtool has it, and nothing is said of it", w);
	}
}

/*
 * All options of kvmtool's run, as its users write them: each is taken, without a word or with one
 * line that says why it does nothing, or refused with what does it here.
 */
static const struct {
	const char *line;
	u32 archs;	  /* where it is taken; 0: nowhere */
	const char *says; /* NULL: nothing */
} kvmtools[] = {
	{ "--name vm", ~0U, NULL },
	{ "-c 2", ~0U, NULL },
	{ "--cpus=2", ~0U, NULL },
	{ "-m 512", ~0U, NULL },
	{ "--mem 1G@2G", ~0U, NULL },
	{ "-d disk.img,ro", ~0U, NULL },
	{ "--disk disk.img,direct", ~0U, NULL },
	{ "-d scsi:500140571c9308aa:1", 0, "name a file or a block device" },
	{ "--balloon", ~0U, NULL },
	{ "--rng", ~0U, NULL },
	{ "--9p /tmp,tag", ~0U, NULL },
	{ "--console serial", ~0U, NULL },
	{ "--console virtio", ~0U, NULL },
	{ "--console hv", 0, "is not one of serial, virtio" },
	{ "--vsock 3", ~0U, NULL },
	{ "--dev /dev/kvm", ~0U, NULL },
	{ "--tty 1", 0, "here use --port NAME,pty,console" },
	{ "--sandbox script", 0, "kvmtool and QEMU have it" },
	{ "--hugetlbfs /huge", ~0U, NULL },
	{ "--virtio-legacy", ~0U, NULL },
	{ "--virtio-transport pci", ~0U, NULL },
	{ "--virtio-transport pci-legacy", ~0U, NULL },
	{ "--virtio-transport mmio", ~0U, NULL },
	{ "--virtio-transport mmio-legacy", ~0U, NULL },
	{ "--vnc", ~0U, "has no effect: the guest has no screen" },
	{ "--gtk", ~0U, "has no effect: the guest has no screen" },
	{ "--sdl", ~0U, "has no effect: the guest has no screen" },
	{ "--vidmode 0x312", ~0U, "has no effect: the guest has no screen" },
	{ "--nodefaults", ~0U, NULL },
	{ "--loglevel error", ~0U, NULL },
	{ "--loglevel warning", ~0U, NULL },
	{ "--loglevel info", ~0U, NULL },
	{ "-k bzImage", ~0U, NULL },
	{ "--kernel bzImage", ~0U, NULL },
	{ "bzImage", ~0U, NULL },
	{ "-i initrd", ~0U, NULL },
	{ "--initrd initrd", ~0U, NULL },
	{ "-p quiet", ~0U, NULL },
	{ "--params root=/dev/vda", ~0U, NULL },
	{ "-f bios.bin", ~0U, NULL },
	{ "--firmware bios.bin", ~0U, NULL },
	{ "-F flash.img", OPT_ARCH_ARM64, "-F is an option of arm64" },
	{ "--flash flash.img", OPT_ARCH_ARM64, "--flash is an option of arm64" },
	{ "-n mode=user", ~0U, NULL },
	{ "--network mode=none", ~0U, NULL },
	{ "-n mode=tap,tapif=vm0", ~0U, NULL },
	{ "-n mode=tap,guest_mac=02:15:15:15:15:15,host_ip=192.168.33.1", ~0U, NULL },
	{ "-n mode=tap,script=up,downscript=down", ~0U, NULL },
	{ "-n mode=tap,fd=5,vhost=1", ~0U, NULL },
	{ "-n mode=tap,mq=2", ~0U, NULL },
	{ "-n mode=tap,trans=pci", 0, "use --virtio-transport" },
	{ "-n mode=tap,guest_ip=192.168.33.15", ~0U, "has no effect without mode=user" },
	{ "-n mode=tap,host_mac=02:01:01:01:01:01", ~0U, "has no effect without mode=user" },
	{ "--no-dhcp", ~0U, NULL },
	{ "--vfio-pci 00:02.0", ~0U, NULL },
	{ "--debug", ~0U, NULL },
	{ "--debug-single-step", 0, "kvmtool has it; here use --gdb PORT" },
	{ "--debug-ioport", ~0U, NULL },
	{ "--debug-mmio", ~0U, NULL },
	{ "--debug-iodelay 5", ~0U, "has no effect" },
	{ "--dump-dtb dtb", OPT_ARCH_ARM64, "is an option of arm64" },
	{ "--override-bad-firmware-cntfrq 24000000", OPT_ARCH_ARM64, "is an option of arm64" },
	{ "--force-pci", OPT_ARCH_ARM64, "is an option of arm64" },
	{ "--irqchip gicv2", OPT_ARCH_ARM64, "is not one of default, full, split" },
	{ "--irqchip gicv2m", OPT_ARCH_ARM64, "is not one of default, full, split" },
	{ "--irqchip gicv3", OPT_ARCH_ARM64, "is not one of default, full, split" },
	{ "--irqchip gicv3-its", OPT_ARCH_ARM64, "is not one of default, full, split" },
	{ "--firmware-address 0x80000000", OPT_ARCH_ARM64, "is an option of arm64" },
	{ "--aarch32", OPT_ARCH_ARM64, "is an option of arm64" },
	{ "--pmu", OPT_ARCH_ARM64, "needs an argument: one of its choices" },
	{ "--disable-mte", OPT_ARCH_ARM64, "is an option of arm64" },
	{ "--vcpu-affinity 0-3", ~0U, NULL },
	{ "--kaslr-seed 42", OPT_ARCH_ARM64, "is an option of arm64" },
	{ "--no-pvtime", OPT_ARCH_ARM64, "is an option of arm64" },
	{ "--sve-max-vl 256", OPT_ARCH_ARM64, "is an option of arm64" },
	{ "--nested", OPT_ARCH_ARM64, "needs an argument: one of its choices" },
	{ "--e2h0", OPT_ARCH_ARM64, "is an option of arm64" },
	{ "--realm", OPT_ARCH_ARM64, "is an option of arm64" },
	{ "--realm --measurement-algo sha512", OPT_ARCH_ARM64, "is an option of arm64" },
	{ "--measurement-algo sha1", 0, "" },
	{ "--realm-pv value", OPT_ARCH_ARM64, "is an option of arm64" },
	{ "--restricted_mem", OPT_ARCH_ARM64, "is an option of arm64" },
	{ "--disable-sve", OPT_ARCH_ARM64, "is an option of arm64" },
	{ "--sve-vl 256", OPT_ARCH_ARM64, "is an option of arm64" },
	{ "--pmu-counters 4", OPT_ARCH_ARM64, "is an option of arm64" },
	{ "--counter-offset 0", OPT_ARCH_ARM64, "is an option of arm64" },
	{ "--guest-memfd", 0, "this lkvm does not yet" },
	{ "--custom-mvendorid 1", OPT_ARCH_RISCV, "is an option of riscv64" },
	{ "--custom-marchid 0x1", OPT_ARCH_RISCV, "is an option of riscv64" },
	{ "--custom-mimpid 1", OPT_ARCH_RISCV, "is an option of riscv64" },
	{ "--disable-zicboz", 0, "kvmtool has it; here use --cpu host,-EXTENSION" },
	{ "--disable-svpbmt", 0, "kvmtool has it; here use --cpu host,-EXTENSION" },
	{ "--disable-sbi-sta", 0, "kvmtool has it; here use --sbi host,-EXTENSION" },
	{ "--cpu-type max", OPT_ARCH_RISCV, "is an option of riscv64" },
};

static void test_all_of_kvmtools(void **state)
{
	static const u32 archs[] = { OPT_ARCH_X86, OPT_ARCH_ARM64 };
	struct option_set one = run_set;
	struct command command = run_command;

	command.options = &one;
	for (size_t i = 0; i < ARRAY_SIZE(kvmtools) * ARRAY_SIZE(archs); i++) {
		u32 here = archs[i % ARRAY_SIZE(archs)];
		u32 taken = kvmtools[i / ARRAY_SIZE(archs)].archs;
		const char *line = kvmtools[i / ARRAY_SIZE(archs)].line;
		const char *says = kvmtools[i / ARRAY_SIZE(archs)].says;

		one.here = &here;
		if (run_as(&command, line) != (taken & here ? 0 : -EINVAL))
			fail_msg("%s: %s", line, captured);
		/* A line for where it is not taken alone. */
		if (!says || ((taken & here) && taken != ~0U))
			assert_string_equal(captured, "");
		else
			assert_contains(captured, says);
		if (*captured)
			assert_one_line(captured);
		log_set_level(LOG_INFO);
	}
}

/* -initrd FILE is not -i nitrd; but what is attached to a short option still may be anything else.
 */
static void test_one_dash(void **state)
{
	static const char *const wrong[] = { "-initrd",	 "-disk",      "-params",     "-mem",
					     "-kernel",	 "-cpus",      "-network",    "-rng",
					     "-console", "-name",      "-dev",	      "-firmware",
					     "-no-rng",	 "-no-reboot", "-nodefaults", "-dry-run",
					     "-loglevel" };
	char line[64], advice[64];

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		for (int with_value = 0; with_value <= 1; with_value++) {
			snprintf(line, sizeof(line), "k %s%s", wrong[i], with_value ? "=x" : " x");
			snprintf(advice, sizeof(advice), "unknown option '%s'; did you mean '-%s'?",
				 wrong[i], wrong[i]);
			if (run(line) != -EINVAL)
				fail_msg("'%s' was taken", line);
			assert_contains(captured, advice);
		}
	}
	assert_int_equal(run("k -psci user"), -EINVAL);
	assert_contains(captured, "-psci is an option of arm64");
	assert_int_equal(run("-k -initrd x"), -EINVAL);
	assert_contains(captured, "-k: needs an argument (FILE) before '-initrd'");
	assert_int_equal(run("-kernel.img -m512 -c2 -nmode=tap,tapif=vm0 -iinitrd -ddisk -pparams"),
			 0);
	assert_string_equal(cfg.kernel, "ernel.img");
	assert_true(cfg.memory == 512 * MiB && cfg.cpus == 2);
	assert_string_equal(cfg.nets[0].tapif, "vm0");
	assert_string_equal(cfg.initrds[0], "initrd");
	assert_string_equal(cfg.disks[0].path, "disk");
	assert_string_equal(cfg.params, "params");
}

static void test_debug_words(void **state)
{
	static const char *const words[] = { "--debug", "--debug-ioport", "--debug-mmio" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		log_set_level(LOG_INFO);
		assert_int_equal(run(words[i]), 0);
		assert_int_equal(log_get_level(), LOG_DEBUG);
	}
	log_set_level(LOG_INFO);
	assert_int_equal(run("--no-dhcp"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_foreign_words),	cmocka_unit_test(test_kvmtools_words),
		cmocka_unit_test(test_one_dash),	cmocka_unit_test(test_debug_words),
		cmocka_unit_test(test_all_of_kvmtools),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
