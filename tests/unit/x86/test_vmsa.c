/* SPDX-License-Identifier: MIT */
/* x86/vmsa.c by tests/vectors: pages of registers, and launches of firmware that end with them. */
#include "vectors.h"

#include "../../../x86/vmsa.h"

/* Segments */

static struct kvm_segment segment_of(const struct json *s)
{
	return (struct kvm_segment){
		.base = vector_u64(s, "base"),
		.limit = (u32)vector_u64(s, "limit"),
		.selector = (u16)vector_u64(s, "selector"),
		.type = (u8)vector_u64(s, "type"),
		.present = (u8)vector_u64(s, "present"),
		.dpl = (u8)vector_u64(s, "dpl"),
		.db = (u8)vector_u64(s, "db"),
		.s = (u8)vector_u64(s, "s"),
		.l = (u8)vector_u64(s, "l"),
		.g = (u8)vector_u64(s, "g"),
		.avl = (u8)vector_u64(s, "avl"),
		.unusable = (u8)vector_u64(s, "unusable"),
	};
}

static void read_segments(struct kvm_sregs *sregs, const struct json *segments)
{
	const struct {
		const char *name;
		struct kvm_segment *segment;
	} all[] = {
		{ "cs", &sregs->cs }, { "ss", &sregs->ss },    { "ds", &sregs->ds },
		{ "es", &sregs->es }, { "fs", &sregs->fs },    { "gs", &sregs->gs },
		{ "tr", &sregs->tr }, { "ldtr", &sregs->ldt },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		*all[i].segment = segment_of(json_member(segments, all[i].name));
}

static void read_regs(struct kvm_regs *regs, const struct json *from)
{
	const struct {
		const char *name;
		__u64 *reg;
	} all[] = {
		{ "rip", &regs->rip }, { "rflags", &regs->rflags }, { "rax", &regs->rax },
		{ "rbx", &regs->rbx }, { "rcx", &regs->rcx },	    { "rdx", &regs->rdx },
		{ "rsi", &regs->rsi }, { "rdi", &regs->rdi },	    { "rsp", &regs->rsp },
		{ "rbp", &regs->rbp }, { "r8", &regs->r8 },	    { "r9", &regs->r9 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		*all[i].reg = json_number(json_member(from, all[i].name), 0);
}

/* What KVM was given. Of what nobody has set it is KVM's own. */
static void read_state(struct x86_vmsa_state *s, const struct json *from, u64 features)
{
	const struct json *gdt = json_member(from, "gdt"), *idt = json_member(from, "idt");

	x86_vmsa_reset(s, features);
	read_segments(&s->sregs, json_member(from, "segments"));
	s->sregs.gdt.base = vector_u64(gdt, "base");
	s->sregs.gdt.limit = (u16)vector_u64(gdt, "limit");
	s->sregs.idt.base = vector_u64(idt, "base");
	s->sregs.idt.limit = (u16)vector_u64(idt, "limit");
	s->sregs.efer = vector_u64(from, "efer");
	s->sregs.cr0 = vector_u64(from, "cr0");
	s->sregs.cr3 = vector_u64(from, "cr3");
	s->sregs.cr4 = vector_u64(from, "cr4");
	s->pat = vector_u64(from, "pat");
	s->xcr0 = vector_u64(from, "xcr0");
	s->mxcsr = (u32)vector_u64(from, "mxcsr");
	s->fcw = (u16)vector_u64(from, "fcw");
	read_regs(&s->regs, json_member(from, "regs"));
}

/* What other VMMs set, where the vector has the page alone. */

enum vmm { VMM_QEMU, VMM_EC2, VMM_GCE };

static void accessed(struct kvm_sregs *s, bool ss)
{
	s->ds.type = s->es.type = s->fs.type = s->gs.type = 3;
	if (ss)
		s->ss.type = 3;
}

/* EC2 gives back what KVM_GET_SREGS said; the others set all that the architecture's reset has. */
static void vmm_state(struct x86_vmsa_state *s, enum vmm vmm, u64 features, u32 signature)
{
	x86_vmsa_reset(s, features);
	accessed(&s->sregs, vmm != VMM_EC2);
	if (vmm != VMM_EC2) {
		s->sregs.cs.type = 11;
		s->sregs.tr.type = 11;
	}
	s->regs.rdx = vmm == VMM_QEMU ? signature : 0x600;
	if (vmm == VMM_GCE)
		s->pat = 0x70106;
	if (vmm != VMM_QEMU) {
		s->mxcsr = 0;
		s->fcw = 0;
	}
}

static enum vmm vmm_called(const char *name)
{
	return !strncmp(name, "ec2", 3) ? VMM_EC2 : !strncmp(name, "gce", 3) ? VMM_GCE : VMM_QEMU;
}

static void assert_page(const u8 page[4096], const struct json *vector)
{
	const struct json *run, *runs = json_member(vector, "nonzero");
	u8 want[4096] = { 0 };

	for_each_vector(run, runs)
	{
		u64 offset = vector_number(vector_item(run, 0));

		vector_hex(vector_item(run, 1)->text, want + offset, sizeof(want) - offset);
	}
	for (u32 i = 0; i < sizeof(want); i++)
		if (page[i] != want[i])
			fail_msg("%s: byte %#x is %#x, not %#x",
				 json_text(json_member(vector, "name"), ""), i, page[i], want[i]);
}

static void check_vector(const struct json *vector)
{
	const struct json *from = json_member(vector, "kvm_state");
	const char *name = json_text(json_member(vector, "name"), "");
	u64 features = vector_u64(vector, "sev_features");
	struct snp_digest d = { .log = NULL };
	struct x86_vmsa_state s;
	u8 page[4096], digest[48];

	if (from->type == JSON_OBJECT)
		read_state(&s, from, features);
	else
		vmm_state(&s, vmm_called(name), features, 0x800f12);
	x86_vmsa_page(&s, page);
	assert_page(page, vector);
	if (!hash_library())
		return;
	hash_bytes(HASH_SHA384, page, sizeof(page), digest);
	assert_hex(digest, 48, json_text(json_member(vector, "sha384"), ""));
	snp_digest_page(&d, SNP_PAGE_VMSA, SNP_VMSA_GPA, page);
	assert_hex(d.ld, 48, json_text(json_member(vector, "ld_1_vcpu"), ""));
	snp_digest_page(&d, SNP_PAGE_VMSA, SNP_VMSA_GPA, page);
	assert_hex(d.ld, 48, json_text(json_member(vector, "ld_2_vcpus"), ""));
}

static void test_vectors(void **state)
{
	const struct json *vector, *all;
	struct vectors v;
	u32 nr = 0;

	vectors_open(&v, "snp-vmsa.json");
	all = json_member(v.nodes, "vectors");
	for_each_vector(vector, all)
	{
		check_vector(vector);
		nr++;
	}
	assert_true(nr >= 9);
	vectors_close(&v);
}

/* Of a vcpu on which nothing is set the state is KVM's own; SNP_ACTIVE need not be said. */
static void test_untouched(void **state)
{
	const struct json *vector;
	struct x86_vmsa_state s;
	struct vectors v;
	u8 page[4096];

	vectors_open(&v, "snp-vmsa.json");
	vector = vector_item(json_member(v.nodes, "vectors"), 1);
	assert_string_equal(json_text(json_member(vector, "name"), ""), "kvm-untouched-0x21");
	x86_vmsa_reset(&s, 0x20);
	x86_vmsa_page(&s, page);
	assert_page(page, vector);
	vectors_close(&v);
}

/* The rest, each at its place, by what the table says. */
static void test_places(void **state)
{
	struct x86_vmsa_state s;
	static const struct {
		size_t member;
		u32 size;
		u32 offset;
	} all[] = {
#define AT(member, size, offset) { offsetof(struct x86_vmsa_state, member), size, offset }
		AT(regs.rax, 8, 0x1f8),
		AT(regs.rcx, 8, 0x308),
		AT(regs.rdx, 8, 0x310),
		AT(regs.rbx, 8, 0x318),
		AT(regs.rbp, 8, 0x328),
		AT(regs.rsi, 8, 0x330),
		AT(regs.rdi, 8, 0x338),
		AT(regs.r8, 8, 0x340),
		AT(regs.r9, 8, 0x348),
		AT(regs.r10, 8, 0x350),
		AT(regs.r11, 8, 0x358),
		AT(regs.r12, 8, 0x360),
		AT(regs.r13, 8, 0x368),
		AT(regs.r14, 8, 0x370),
		AT(regs.r15, 8, 0x378),
		AT(regs.rsp, 8, 0x1d8),
		AT(xss, 8, 0x140),
		AT(dr6, 8, 0x168),
		AT(star, 8, 0x200),
		AT(lstar, 8, 0x208),
		AT(cstar, 8, 0x210),
		AT(sfmask, 8, 0x218),
		AT(kernel_gs_base, 8, 0x220),
		AT(sysenter_cs, 8, 0x228),
		AT(sysenter_esp, 8, 0x230),
		AT(sysenter_eip, 8, 0x238),
		AT(debugctl, 8, 0x270),
		AT(spec_ctrl, 8, 0x2e0),
		AT(pkru, 4, 0x2e8),
		AT(sregs.cr3, 8, 0x150),
#undef AT
	};
	u8 before[4096], page[4096];

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		u64 value = 0x1122334455667788ULL;

		x86_vmsa_reset(&s, 0);
		x86_vmsa_page(&s, before);
		memcpy((u8 *)&s + all[i].member, &value, all[i].size);
		x86_vmsa_page(&s, page);
		put_le(before + all[i].offset, all[i].size, value);
		assert_memory_equal(page, before, sizeof(page));
	}
}

static void test_attributes(void **state)
{
	struct x86_vmsa_state s;
	u8 page[4096];

	x86_vmsa_reset(&s, 0);
	s.sregs.ss =
		(struct kvm_segment){ .dpl = 3, .present = 1, .unusable = 1, .avl = 1, .db = 1 };
	x86_vmsa_page(&s, page);
	assert_int_equal(get_le(page + 0x22, 2), 0x560);
	assert_int_equal(page[0xcb], 3);
}

/* Launches of firmware, by their steps. */

#define HASHES_OFFSET 0xc00 /* of tests/vectors/tiny-fw.bin: its table's base is 0x6c00 */

static void put_hashes(u8 page[4096], const char *kernel, const char *initrd, const char *cmdline,
		       u32 offset)
{
	struct snp_kernel_hashes hashes;

	hash_bytes(HASH_SHA256, kernel, strlen(kernel), hashes.kernel);
	hash_bytes(HASH_SHA256, initrd, strlen(initrd), hashes.initrd);
	hash_bytes(HASH_SHA256, cmdline, strlen(cmdline) + 1, hashes.cmdline);
	snp_hashes_page(&hashes, offset, page);
}

/* The registers of vcpu @i: others than the first start where the firmware says. */
static void vmsa_of(u8 page[4096], enum vmm vmm, u64 features, u32 signature, u32 i, u32 ap)
{
	struct x86_vmsa_state s;

	vmm_state(&s, vmm, features, signature);
	if (i) {
		s.sregs.cs.type = 11; /* EC2's too */
		s.sregs.cs.base = ap & 0xffff0000;
		s.regs.rip = ap & 0xffff;
	}
	x86_vmsa_page(&s, page);
}

static void check_firmware(const struct json *vector, const u8 *file, size_t len)
{
	const struct json *args = json_member(vector, "args"), *step;
	const struct json *steps = json_member(vector, "steps");
	const char *kernel = json_text(json_member(args, "kernel"), NULL);
	enum vmm vmm = vmm_called(json_text(json_member(args, "vmm"), "qemu"));
	struct snp_digest d = { .log = NULL };
	u32 nr_vmsas = 0;

	for_each_vector(step, steps)
	{
		u32 type = (u32)vector_number(vector_item(step, 0));
		u64 gpa = vector_number(vector_item(step, 1)), base = 4 * GiB - len;
		u8 page[4096] = { 0 };

		if (type == SNP_PAGE_VMSA)
			vmsa_of(page, vmm, vector_u64(args, "features"),
				(u32)vector_u64(vector, "signature"), nr_vmsas++, 0xfffff004);
		else if (gpa >= base)
			memcpy(page, file + (gpa - base), sizeof(page));
		else if (type == SNP_PAGE_NORMAL)
			put_hashes(page, kernel, "", json_text(json_member(args, "cmdline"), ""),
				   HASHES_OFFSET);
		snp_digest_page(&d, type, gpa, page);
		assert_hex(d.ld, 48, vector_item(step, 2)->text);
	}
	assert_int_equal(nr_vmsas, vector_u64(args, "vcpus"));
	assert_hex(d.ld, 48, json_text(json_member(vector, "ld"), ""));
}

static void test_firmware(void **state)
{
	const struct json *vector, *all;
	struct vectors v;
	size_t len;
	u32 nr = 0;
	u8 *file;

	NEEDS_HASH();
	vectors_open(&v, "snp-firmware.json");
	file = vector_file("tiny-fw.bin", &len);
	all = json_member(v.nodes, "vectors");
	for_each_vector(vector, all)
	{
		check_firmware(vector, file, len);
		nr++;
	}
	assert_true(nr >= 5);
	vectors_close(&v);
	free(file);
}

/* Published figures: the firmware's own pages are in the digest to begin with. */

enum section {
	SECTION_MEMORY = 1,
	SECTION_SECRETS,
	SECTION_CPUID,
	SECTION_SVSM,
	SECTION_HASHES = 0x10
};

static enum snp_page_type type_of(u64 section, enum vmm vmm, bool hashes)
{
	switch (section) {
	case SECTION_SECRETS:
		return SNP_PAGE_SECRETS;
	case SECTION_CPUID:
		return SNP_PAGE_CPUID;
	case SECTION_HASHES:
		return hashes ? SNP_PAGE_NORMAL : SNP_PAGE_ZERO;
	case SECTION_MEMORY:
		return vmm == VMM_GCE ? SNP_PAGE_UNMEASURED : SNP_PAGE_ZERO;
	default:
		return SNP_PAGE_ZERO;
	}
}

static void add_section(struct snp_digest *d, const struct json *s, enum vmm vmm, const u8 *hashes)
{
	u64 gpa = vector_number(vector_item(s, 0)), size = vector_number(vector_item(s, 1));
	enum snp_page_type type = type_of(vector_number(vector_item(s, 2)), vmm, hashes);

	for (u64 at = 0; at < size; at += 4096)
		snp_digest_page(d, type, gpa + at, hashes);
}

/* EC2 gives the firmware its CPUID page last. */
static void add_sections(struct snp_digest *d, const struct json *sections, enum vmm vmm,
			 const u8 *hashes)
{
	for (u32 pass = 0; pass < 2; pass++) {
		const struct json *s;

		for_each_vector(s, sections)
		{
			bool last =
				vmm == VMM_EC2 && vector_number(vector_item(s, 2)) == SECTION_CPUID;

			if (last == (pass == 1))
				add_section(d, s, vmm, hashes);
		}
	}
}

static void check_official(const struct json *vector, const struct json *firmware)
{
	enum vmm vmm = vmm_called(json_text(json_member(vector, "vmm"), ""));
	const char *cmdline = json_text(json_member(vector, "cmdline"), NULL);
	struct snp_digest d = { .log = NULL };
	u8 page[4096], hashes[4096];

	vector_hex(json_text(json_member(firmware, "seed"), ""), d.ld, sizeof(d.ld));
	if (cmdline)
		put_hashes(hashes, "", "", cmdline, vector_u64(firmware, "hash_table_gpa") & 0xfff);
	add_sections(&d, json_member(firmware, "sections"), vmm, cmdline ? hashes : NULL);
	for (u32 i = 0; i < vector_u64(vector, "vcpus"); i++) {
		vmsa_of(page, vmm, vector_u64(vector, "sev_features"),
			(u32)vector_u64(vector, "signature"), i,
			(u32)vector_u64(firmware, "es_reset_eip"));
		snp_digest_page(&d, SNP_PAGE_VMSA, SNP_VMSA_GPA, page);
	}
	assert_hex(d.ld, 48, json_text(json_member(vector, "ld"), ""));
}

static void test_official(void **state)
{
	const struct json *vector, *all, *firmwares;
	struct vectors v;
	u32 nr = 0;

	NEEDS_HASH();
	vectors_open(&v, "snp-official.json");
	firmwares = json_member(v.nodes, "firmwares");
	all = json_member(v.nodes, "vectors");
	for_each_vector(vector, all)
	{
		check_official(vector, json_member(firmwares,
						   json_text(json_member(vector, "firmware"), "")));
		nr++;
	}
	assert_true(nr >= 7);
	vectors_close(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),	 cmocka_unit_test(test_untouched),
		cmocka_unit_test(test_places),	 cmocka_unit_test(test_attributes),
		cmocka_unit_test(test_firmware), cmocka_unit_test(test_official),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
