/* SPDX-License-Identifier: MIT */
/* Which interrupt controllers a guest gets by default: the rule of x86/irqchip.c, image by image.
 */
#include "loader_test.h"

#include <asm/bootparam.h>

#include "../../../x86/platform.h"
#include "lkvm/arch.h"

static u8 file[64 * KiB];
static struct guest g;
static struct vm_config cfg;

enum { SPLIT, FULL };

/* As machine-open.c does. */
static void assert_gets(int chip)
{
	g.boot.is_linux = arch_boots_linux(&cfg, &g.boot);
	g.boot.is_known = true;
	assert_int_equal(x86_wants_split_irqchip(&cfg, &g.boot), chip == SPLIT);
}

static void begin(enum x86_kernel_format format, u64 size)
{
	guest_destroy(&g);
	guest_init(&g, 64 * MiB);
	cfg = (struct vm_config){ .cpus = 1, .x86.kernel_format = format };
	boot_image_from_buffer(&g.boot.kernel, "image", file, size);
}

static void build_bzimage(u16 version, u16 xloadflags)
{
	struct setup_header *hdr = (struct setup_header *)(file + 0x1f1);

	memset(file, 0, sizeof(file));
	hdr->boot_flag = 0xaa55;
	hdr->header = 0x53726448;
	hdr->version = version;
	hdr->xloadflags = xloadflags;
}

static void test_linux(void **state)
{
	build_bzimage(0x020f, XLF_KERNEL_64);
	begin(X86_KERNEL_AUTO, sizeof(file));
	assert_gets(SPLIT);
	/* It may have no APICs; a field that its protocol does not have says nothing. */
	build_bzimage(0x020f, 0);
	assert_gets(FULL);
	build_bzimage(0x0206, XLF_KERNEL_64);
	assert_gets(FULL);

	build_elf64(file, false);
	begin(X86_KERNEL_ELF, ELF_TEST_SIZE);
	assert_gets(SPLIT);
	build_elf64(file, true);
	begin(X86_KERNEL_AUTO, ELF_TEST_SIZE);
	memcpy(file + 0x800, "\6\0\0\0\0\0\0\0\0\1\0\0Linux\0\0\0", 20);
	assert_gets(SPLIT);
	assert_true(g.boot.is_linux);
}

/* Its words may leave it nothing but the 8259s; the same words mean nothing to others. */
static void test_words(void **state)
{
	static const char *const words[] = { "noapic", "quiet acpi=off", "nolapic", "maxcpus=0" };

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		build_bzimage(0x020f, XLF_KERNEL_64);
		begin(X86_KERNEL_AUTO, sizeof(file));
		cfg.cmdline = (char *)words[i];
		assert_gets(FULL);
		build_elf64(file, true);
		begin(X86_KERNEL_AUTO, ELF_TEST_SIZE);
		cfg.cmdline = (char *)words[i];
		assert_gets(SPLIT);
		assert_false(g.boot.is_linux);
	}
}

static void put_multiboot(void)
{
	put_le(file + 0x900, 4, 0x1badb002);
	put_le(file + 0x908, 4, -0x1badb002);
}

/* Of a packed kernel not all is known yet: its words count, and what its head shows. */
static void test_packed(void **state)
{
	build_elf64(file, true);
	begin(X86_KERNEL_AUTO, ELF_TEST_SIZE);
	assert_true(x86_wants_split_irqchip(&cfg, &g.boot));
	cfg.cmdline = (char *)"noapic";
	assert_false(x86_wants_split_irqchip(&cfg, &g.boot));
	build_bzimage(0x020f, 0);
	begin(X86_KERNEL_AUTO, sizeof(file));
	assert_false(x86_wants_split_irqchip(&cfg, &g.boot));
	build_bzimage(0x020f, XLF_KERNEL_64);
	assert_true(x86_wants_split_irqchip(&cfg, &g.boot));
	build_elf64(file, false);
	put_multiboot();
	begin(X86_KERNEL_AUTO, ELF_TEST_SIZE);
	assert_false(x86_wants_split_irqchip(&cfg, &g.boot));
	assert_false(g.boot.is_known);
}

static void test_others(void **state)
{
	/* PVH and the raw format tell of ACPI. */
	build_elf64(file, true);
	begin(X86_KERNEL_AUTO, ELF_TEST_SIZE);
	assert_gets(SPLIT);
	begin(X86_KERNEL_FLAT, ELF_TEST_SIZE);
	assert_gets(SPLIT);
	/* Multiboot does not, be it named or found. */
	build_elf64(file, false);
	put_multiboot();
	begin(X86_KERNEL_MULTIBOOT, ELF_TEST_SIZE);
	assert_gets(FULL);
	begin(X86_KERNEL_AUTO, ELF_TEST_SIZE);
	assert_gets(FULL);
}

static void test_firmware(void **state)
{
	memset(file, 0x90, sizeof(file));
	begin(X86_KERNEL_AUTO, sizeof(file));
	g.boot.kernel.path = NULL;
	boot_image_from_buffer(&g.boot.firmware, "rom", file, sizeof(file));
	assert_gets(FULL);
	/* The kind that starts by PVH as well: who knows what that starts. */
	build_elf64(file, true);
	assert_gets(FULL);
}

static void test_options(void **state)
{
	build_elf64(file, true);
	begin(X86_KERNEL_AUTO, ELF_TEST_SIZE);
	cfg.x86.irqchip = X86_IRQCHIP_FULL;
	assert_gets(FULL);
	put_multiboot();
	begin(X86_KERNEL_MULTIBOOT, ELF_TEST_SIZE);
	cfg.x86.irqchip = X86_IRQCHIP_SPLIT;
	assert_gets(SPLIT);
	/* More vcpus than the full one serves. */
	cfg.x86.irqchip = X86_IRQCHIP_DEFAULT;
	cfg.cpus = 255;
	assert_gets(FULL);
	cfg.cpus = 256;
	assert_gets(SPLIT);
}

static int teardown(void **state)
{
	guest_destroy(&g);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_linux),	 cmocka_unit_test(test_words),
		cmocka_unit_test(test_packed),	 cmocka_unit_test(test_others),
		cmocka_unit_test(test_firmware), cmocka_unit_test(test_options),
	};

	return cmocka_run_group_tests(tests, NULL, teardown);
}
