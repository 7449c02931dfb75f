/* SPDX-License-Identifier: MIT */
/* boot/elf.c. */
#include "capture.h"
#include "image_builder.h"
#include "lkvm/plan.h"

static u8 file[ELF_TEST_SIZE];

static int parse(struct elf_image *elf, u64 size)
{
	struct boot_image img;
	const char *why = NULL;
	int ret;

	boot_image_from_buffer(&img, "elf", file, size);
	ret = elf_parse(&img, elf, &why);
	if (ret == -EINVAL)
		assert_true(why && *why);
	return ret;
}

static Elf64_Ehdr *ehdr(void)
{
	return (Elf64_Ehdr *)file;
}

static Elf64_Phdr *phdr(u32 i)
{
	return (Elf64_Phdr *)(file + sizeof(Elf64_Ehdr)) + i;
}

static void check_common(const struct elf_image *elf)
{
	assert_int_equal(elf->entry, ELF_TEST_ENTRY);
	assert_int_equal(elf->entry_paddr, ELF_TEST_ENTRY);
	assert_int_equal(elf->low, ELF_TEST_BASE);
	assert_int_equal(elf->high, ELF_TEST_HIGH);
	assert_int_equal(elf->pvh_entry, ELF_TEST_PVH);
	assert_int_equal(elf->nr_segments, 2);
	assert_int_equal(elf->segments[1].memsz, ELF_TEST_BSS);
}

static void test_good(void **state)
{
	struct elf_image elf;

	build_elf64(file, true);
	assert_int_equal(parse(&elf, sizeof(file)), 0);
	assert_true(elf.is64);
	assert_int_equal(elf.machine, EM_X86_64);
	check_common(&elf);

	build_elf32(file, true);
	assert_int_equal(parse(&elf, sizeof(file)), 0);
	assert_false(elf.is64);
	assert_int_equal(elf.machine, EM_386);
	check_common(&elf);

	build_elf64(file, false);
	ehdr()->e_entry = ELF_TEST_VIRTUAL + 0x1080;
	assert_int_equal(parse(&elf, sizeof(file)), 0);
	assert_int_equal(elf.pvh_entry, 0);
	assert_int_equal(elf.entry_paddr, ELF_TEST_SEG2 + 0x80);
}

static int load(struct boot_image *img, struct elf_image *elf, struct guest *g)
{
	struct boot_plan plan;
	int ret;

	boot_plan_init(&plan);
	ret = elf_plan(img, elf, "kernel", &plan);
	if (!ret)
		ret = boot_plan_check(&plan, &g->mem);
	if (!ret)
		ret = boot_plan_load(&plan, &g->mem);
	boot_plan_free(&plan);
	return ret;
}

static void test_load(void **state)
{
	int ret;
	struct elf_image elf;
	struct boot_image img;
	struct guest g;

	build_elf64(file, true);
	assert_int_equal(parse(&elf, sizeof(file)), 0);
	boot_image_from_buffer(&img, "elf", file, sizeof(file));
	guest_init(&g, 4 * MiB);
	assert_int_equal(load(&img, &elf, &g), 0);
	assert_guest_bytes(&g, ELF_TEST_BASE, file + 0x1000, 0x100);
	assert_guest_bytes(&g, ELF_TEST_SEG2, file + 0x1100, 0x100);
	guest_destroy(&g);
	/* The data fits, the tail does not. */
	guest_init(&g, ELF_TEST_SEG2 + 0x1000);
	capture_begin();
	ret = load(&img, &elf, &g);
	assert_contains(capture_end(), "kernel");
	assert_int_equal(ret, -EFAULT);
	guest_destroy(&g);
}

static void test_not_elf(void **state)
{
	struct elf_image elf;

	build_elf64(file, true);
	assert_int_equal(parse(&elf, 3), -ENOEXEC);
	file[1] = 'e';
	assert_int_equal(parse(&elf, sizeof(file)), -ENOEXEC);
}

static void test_truncated(void **state)
{
	struct elf_image elf;

	build_elf64(file, true);
	for (u32 size = EI_NIDENT; size < sizeof(file); size++)
		assert_int_equal(parse(&elf, size), -EINVAL);
}

/* One field of an otherwise good file lies. */
#define LIE(field, value)                                             \
	do {                                                          \
		build_elf64(file, true);                              \
		(field) = (__typeof__(field))(value);                 \
		assert_int_equal(parse(&elf, sizeof(file)), -EINVAL); \
	} while (0)

static void test_lies(void **state)
{
	struct elf_image elf;

	LIE(file[EI_DATA], ELFDATA2MSB);
	LIE(file[EI_CLASS], 3);
	LIE(ehdr()->e_type, ET_REL);
	LIE(ehdr()->e_type, ET_CORE);
	LIE(ehdr()->e_phentsize, 1);
	LIE(ehdr()->e_phnum, 0);
	LIE(ehdr()->e_phnum, 0xffff);
	LIE(ehdr()->e_phnum, 200);
	LIE(ehdr()->e_phoff, UINT64_MAX);
	LIE(ehdr()->e_phoff, UINT64_MAX - 70);
	LIE(ehdr()->e_phoff, ELF_TEST_SIZE - 8);
	LIE(phdr(0)->p_offset, UINT64_MAX);
	LIE(phdr(0)->p_offset, ELF_TEST_SIZE - 1);
	LIE(phdr(0)->p_filesz, UINT64_MAX);
	LIE(phdr(0)->p_filesz, 0x101);
	LIE(phdr(0)->p_memsz, 0xff);
	LIE(phdr(0)->p_memsz, UINT64_MAX);
	LIE(phdr(0)->p_paddr, UINT64_MAX);
	LIE(phdr(0)->p_paddr, UINT64_MAX - 0xff);
	LIE(phdr(0)->p_paddr, ELF_TEST_SEG2 + ELF_TEST_BSS - 1);
	LIE(phdr(2)->p_filesz, UINT64_MAX);
	LIE(phdr(2)->p_offset, ELF_TEST_SIZE);
	/* Nothing to load at all. */
	build_elf64(file, true);
	phdr(0)->p_type = phdr(1)->p_type = PT_NULL;
	assert_int_equal(parse(&elf, sizeof(file)), -EINVAL);
	/* An entry outside of all segments stays what it is, for the loader to refuse. */
	build_elf64(file, true);
	ehdr()->e_entry = 5;
	assert_int_equal(parse(&elf, sizeof(file)), 0);
	assert_int_equal(elf.entry_paddr, 5);
}

static void test_notes(void **state)
{
	struct elf_image elf;
	u32 *note = (u32 *)(file + 0x800);

	/* The first note claims more than there is: the second is not reached. */
	build_elf64(file, true);
	note[0] = UINT32_MAX;
	assert_int_equal(parse(&elf, sizeof(file)), 0);
	assert_int_equal(elf.pvh_entry, 0);
	build_elf64(file, true);
	note[1] = UINT32_MAX - 3;
	assert_int_equal(parse(&elf, sizeof(file)), 0);
	assert_int_equal(elf.pvh_entry, 0);
	/* Another vendor's note of the same type; a descriptor of 2 bytes. */
	build_elf64(file, true);
	note[8] ^= 1;
	assert_int_equal(parse(&elf, sizeof(file)), 0);
	assert_int_equal(elf.pvh_entry, 0);
	build_elf64(file, true);
	note[6] = 2;
	assert_int_equal(parse(&elf, sizeof(file)), 0);
	assert_int_equal(elf.pvh_entry, 0);
	/* Notes that end within a descriptor, within a header. */
	build_elf64(file, true);
	phdr(2)->p_filesz--;
	assert_int_equal(parse(&elf, sizeof(file)), 0);
	assert_int_equal(elf.pvh_entry, 0);
	build_elf64(file, true);
	phdr(2)->p_filesz = 31;
	assert_int_equal(parse(&elf, sizeof(file)), 0);
	assert_int_equal(elf.pvh_entry, 0);
}

static u32 put_note(u32 at, u32 align, u32 type, const char *name, const void *desc, u32 descsz)
{
	Elf64_Nhdr n = { .n_namesz = (u32)strlen(name) + 1, .n_descsz = descsz, .n_type = type };
	u32 desc_at = ALIGN_UP(at + (u32)sizeof(n) + n.n_namesz, align);

	memcpy(file + at, &n, sizeof(n));
	memcpy(file + at + sizeof(n), name, n.n_namesz);
	memcpy(file + desc_at, desc, descsz);
	return ALIGN_UP(desc_at + descsz, align);
}

/* What p_align says need not be what the notes are padded to. */
static void test_note_padding(void **state)
{
	static const u32 aligns[] = { 0, 1, 4, 8, 16, 4096 };
	static const u8 property[16] = { 2, 0, 0, 0xc0, 4 };
	const u32 entry = ELF_TEST_PVH;
	struct elf_image elf;

	for (size_t i = 0; i < ARRAY_SIZE(aligns) * 2; i++) {
		u32 pad = i & 1 ? 8 : 4, at;

		build_elf64(file, true);
		memset(file + 0x800, 0, 0x100);
		at = put_note(0x800, pad, 5, "GNU", property, sizeof(property));
		at = put_note(at, pad, 0x100, "Linux", "\0\0\0", 4);
		at = put_note(at, pad, 18, "Xen", &entry, 4);
		phdr(2)->p_align = aligns[i / 2];
		phdr(2)->p_filesz = at - 0x800;
		assert_int_equal(parse(&elf, sizeof(file)), 0);
		assert_int_equal(elf.pvh_entry, entry);
		assert_true(elf.linux_note && elf.xen_note);
		assert_false(elf.program);
	}
}

/* Signs are kept, and decide nothing. */
static void test_signs(void **state)
{
	static const struct {
		u32 type;
		const char *name, *desc;
		bool is_linux, xen, program;
	} notes[] = {
		{ 1, "GNU", "\0\0\0", false, false, true },  /* the ABI tag */
		{ 3, "GNU", "\1\2\3", false, false, false }, /* a build ID */
		{ 1, "OpenBSD", "\0\0\0", false, false, true },
		{ 1, "NetBSD", "\0\0\0", false, false, true },
		{ 4, "Go", "abc", false, false, true },
		{ 0x101, "Linux", "\0\0\0", true, false, false },
		{ 6, "Xen", "linux", true, true, false },
		{ 6, "Xen", "mini-os", false, true, false },
		{ 1, "Other", "\0\0\0", false, false, false },
	};
	static const u32 segments[] = { PT_INTERP, PT_DYNAMIC, PT_GNU_RELRO };
	struct elf_image elf;

	for (size_t i = 0; i < ARRAY_SIZE(notes); i++) {
		build_elf64(file, true);
		memset(file + 0x800, 0, 0x100);
		phdr(2)->p_filesz = put_note(0x800, 4, notes[i].type, notes[i].name, notes[i].desc,
					     notes[i].xen ? 6 : 4) -
				    0x800;
		assert_int_equal(parse(&elf, sizeof(file)), 0);
		assert_int_equal(elf.linux_note, notes[i].is_linux);
		assert_int_equal(elf.xen_note, notes[i].xen);
		assert_int_equal(elf.program, notes[i].program);
		assert_int_equal(elf.pvh_entry, 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(segments); i++) {
		build_elf64(file, true);
		phdr(0)->p_type = segments[i];
		assert_int_equal(parse(&elf, sizeof(file)), 0);
		assert_true(elf.program);
		assert_int_equal(elf.pvh_entry, ELF_TEST_PVH);
	}
}

/* The header itself is loaded at the address that linkers choose for programs. */
static void test_default_address(void **state)
{
	struct elf_image elf;

	for (u32 i = 0; i < 4; i++) {
		build_elf64(file, false);
		phdr(0)->p_paddr = i & 1 ? 0x400000 : 0x401000;
		phdr(0)->p_vaddr = phdr(0)->p_paddr;
		phdr(0)->p_offset = i & 2 ? 0 : 0x1000;
		assert_int_equal(parse(&elf, sizeof(file)), 0);
		assert_int_equal(elf.program, i == 3);
	}
}

static void test_contents(void **state)
{
	struct elf_image elf;
	struct boot_image img;
	struct guest g;

	build_elf64(file, true);
	assert_int_equal(parse(&elf, sizeof(file)), 0);
	assert_true(elf_holds(&elf, ELF_TEST_SEG2 + 0xff));
	/* Zeroes are no place to begin. */
	assert_false(elf_holds(&elf, ELF_TEST_SEG2 + 0x100));
	/* A segment of zeroes has no place in the file, whatever it says. */
	phdr(1)->p_filesz = 0;
	phdr(1)->p_offset = UINT64_MAX;
	assert_int_equal(parse(&elf, sizeof(file)), 0);
	boot_image_from_buffer(&img, "elf", file, sizeof(file));
	guest_init(&g, 4 * MiB);
	assert_int_equal(load(&img, &elf, &g), 0);
	guest_destroy(&g);
	/* Debug information that was split off: every segment is there, none has contents. */
	phdr(0)->p_filesz = 0;
	assert_int_equal(parse(&elf, sizeof(file)), -EINVAL);
}

static void test_random(void **state)
{
	struct elf_image elf;
	struct boot_image img;
	struct guest g;
	u64 seed = 42;

	guest_init(&g, 4 * MiB);
	for (u32 i = 0; i < 20000; i++) {
		if (i & 1)
			build_elf64(file, true);
		else
			build_elf32(file, true);
		damage(file, 0x100, &seed);
		damage(file + 0x800, 0x40, &seed);
		if (parse(&elf, sizeof(file)))
			continue;
		assert_true(elf.nr_segments > 0 && elf.low < elf.high);
		boot_image_from_buffer(&img, "elf", file, sizeof(file));
		capture_begin();
		(void)load(&img, &elf, &g);
		capture_end();
	}
	guest_destroy(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_not_elf),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_notes),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_note_padding),
		cmocka_unit_test(test_signs),
		cmocka_unit_test(test_contents),
		cmocka_unit_test(test_default_address),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
