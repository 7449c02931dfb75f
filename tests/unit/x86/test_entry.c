/* SPDX-License-Identifier: MIT */
/*
 * x86/entry.c over plain memory; and, where there is a KVM, that guests really start in each of the
 * entry states and that x86/reset.c undoes whatever a guest did to its registers.
 */
#include "loader_test.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lkvm/arch.h"
#include "lkvm/kvm.h"
#include "lkvm/memslot.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

static u64 quad(const struct guest_memory *mem, u64 gpa)
{
	const void *p = memory_ptr(mem, gpa, 8);

	assert_non_null(p);
	return get_le(p, 8);
}

/* The tables of @mode, alone, in zeroed memory. */
static void load_tables(struct guest *g, enum x86_entry_mode mode)
{
	struct boot_plan plan;

	memory_discard_all(&g->mem);
	boot_plan_init(&plan);
	x86_entry_tables(&plan, mode, 0);
	assert_int_equal(boot_plan_check(&plan, &g->mem), 0);
	assert_int_equal(boot_plan_load(&plan, &g->mem), 0);
	boot_plan_free(&plan);
}

static void test_tables(void **state)
{
	struct guest g;

	guest_init(&g, MiB);
	load_tables(&g, X86_ENTRY_RESET);
	assert_int_equal(quad(&g.mem, X86_GDT + 0x10), 0);
	load_tables(&g, X86_ENTRY_PROT32);
	assert_int_equal(quad(&g.mem, X86_GDT + 0x10), 0x00cf9b000000ffff);
	assert_int_equal(quad(&g.mem, X86_GDT + 0x18), 0x00cf93000000ffff);
	assert_int_equal(quad(&g.mem, X86_GDT + 0x20), 0x00008b0000000067);
	assert_int_equal(quad(&g.mem, X86_PAGE_TABLES), 0);
	load_tables(&g, X86_ENTRY_LONG64);
	assert_int_equal(quad(&g.mem, X86_GDT), 0);
	assert_int_equal(quad(&g.mem, X86_GDT + 0x10), 0x00af9b000000ffff);
	assert_int_equal(quad(&g.mem, X86_GDT + 0x18), 0x00cf93000000ffff);
	/* Walk the tables for every 2 MiB of 4 GiB. */
	for (u64 va = 0; va < 4 * GiB; va += 2 * MiB) {
		u64 e = quad(&g.mem, X86_PAGE_TABLES + (va >> 39) * 8);

		assert_int_equal(e & 0x83, 3);
		e = quad(&g.mem, (e & ~0xfffULL) + (va >> 30 & 511) * 8);
		assert_int_equal(e & 0x83, 3);
		e = quad(&g.mem, (e & ~0xfffULL) + (va >> 21 & 511) * 8);
		assert_int_equal(e & 0x83, 0x83);
		assert_int_equal(e & ~0xfffULL, va);
	}
	assert_int_equal(quad(&g.mem, X86_PAGE_TABLES + 8), 0);
	assert_int_equal(quad(&g.mem, X86_PAGE_TABLES + 0x1000 + 4 * 8), 0);
	/* Nothing beyond them. */
	assert_int_equal(quad(&g.mem, X86_MODULES), 0);
	guest_destroy(&g);
}

static void test_registers(void **state)
{
	struct kvm_sregs s, zero = { 0 };
	struct kvm_regs r = { .rdx = 7, .rip = 0xfff0 };
	struct x86_entry e = { .mode = X86_ENTRY_RESET, .rip = 1, .rax = 2, .rbx = 3, .rsi = 4 };

	s = zero;
	x86_entry_registers(&e, &s, &r);
	assert_memory_equal(&s, &zero, sizeof(s));
	assert_int_equal(r.rip, 0xfff0);
	assert_int_equal(r.rdx, 7);

	e.mode = X86_ENTRY_PROT32;
	x86_entry_registers(&e, &s, &r);
	assert_int_equal(s.cr0, 0x11);
	assert_int_equal(s.cr4, 0);
	assert_int_equal(s.efer, 0);
	assert_true(s.cs.db && !s.cs.l && s.cs.g && s.cs.present);
	assert_int_equal(s.cs.selector, 0x10);
	assert_int_equal(s.ss.selector, 0x18);
	assert_int_equal(s.tr.limit, 0x67);
	assert_int_equal(s.tr.type, 0xb);
	assert_true(r.rip == 1 && r.rax == 2 && r.rbx == 3 && r.rsi == 4 && r.rdx == 0);
	assert_int_equal(r.rflags, 2);

	e.mode = X86_ENTRY_LONG64;
	x86_entry_registers(&e, &s, &r);
	assert_int_equal(s.cr0 & 0x80000001, 0x80000001);
	assert_int_equal(s.cr3, X86_PAGE_TABLES);
	assert_int_equal(s.cr4, 0x20);
	assert_int_equal(s.efer, 0x500);
	assert_true(!s.cs.db && s.cs.l);
	assert_int_equal(s.gdt.base, X86_GDT);
	assert_int_equal(s.gdt.limit, 47);
	assert_int_equal(r.rflags, 2);
}

static u64 named(const struct boot_plan *plan, const char *name)
{
	for (u32 i = 0; i < plan->nr_regs; i++)
		if (!strcmp(plan->regs[i].name, name))
			return plan->regs[i].value;
	fail_msg("no register '%s'", name);
	return 0;
}

/* The list names what KVM is given. */
static void test_named_registers(void **state)
{
	struct x86_entry e = { .mode = X86_ENTRY_RESET, .rip = 1, .rax = 2, .rbx = 3, .rsi = 4 };
	struct boot_plan plan;

	boot_plan_init(&plan);
	x86_entry_plan(&e, &plan);
	assert_int_equal(plan.nr_regs, 0);
	e.mode = X86_ENTRY_LONG64;
	x86_entry_plan(&e, &plan);
	assert_int_equal(named(&plan, "rip"), 1);
	assert_int_equal(named(&plan, "rax"), 2);
	assert_int_equal(named(&plan, "rbx"), 3);
	assert_int_equal(named(&plan, "rsi"), 4);
	assert_int_equal(named(&plan, "rflags"), 2);
	assert_int_equal(named(&plan, "cr3"), X86_PAGE_TABLES);
	assert_int_equal(named(&plan, "efer"), 0x500);
	assert_int_equal(named(&plan, "cs.selector"), 0x10);
	assert_int_equal(named(&plan, "cs.attributes"), 0xa9b);
	assert_int_equal(named(&plan, "ss.attributes"), 0xc93);
	assert_int_equal(named(&plan, "tr.limit"), 0x67);
	assert_int_equal(named(&plan, "gdt.base"), X86_GDT);
	boot_plan_free(&plan);
	boot_plan_init(&plan);
	e.mode = X86_ENTRY_PROT32;
	x86_entry_plan(&e, &plan);
	assert_int_equal(named(&plan, "cs.attributes"), 0xc9b);
	assert_int_equal(named(&plan, "cr0"), 0x11);
	boot_plan_free(&plan);
}

/* A whole VM of two vcpus over the host's KVM. */
struct machine {
	struct vm_config cfg;
	struct vm vm;
	struct boot boot;
};

static bool no_kvm(void)
{
	return access("/dev/kvm", R_OK | W_OK) != 0;
}

static void machine_init(struct machine *m)
{
	struct vm *vm = &m->vm;
	u64 type;

	memset(m, 0, sizeof(*m));
	config_init(&m->cfg);
	m->cfg.memory = 16 * MiB;
	m->cfg.cpus = 2;
	m->boot.kernel.fd = m->boot.firmware.fd = -1;
	assert_int_equal(vm_init(vm, &m->cfg), 0);
	assert_int_equal(kvm_open(&vm->kvm, "/dev/kvm"), 0);
	assert_int_equal(arch_vm_type(&vm->kvm, &m->cfg, 0, &type), 0);
	assert_int_equal(kvm_create_vm(&vm->kvm, type), 0);
	assert_int_equal(irq_init(&vm->irqs, &kvm_irq_chip_ops, &vm->kvm), 0);
	assert_int_equal(arch_add_memory(vm), 0);
	assert_int_equal(kvm_attach_memory(&vm->kvm, &vm->mem), 0);
	assert_int_equal(arch_vm_init(vm, &m->boot), 0);
	vm->vcpus = calloc(2, sizeof(vm->vcpus[0]));
	for (; vm->nr_vcpus < 2; vm->nr_vcpus++)
		assert_int_equal(vcpu_create(vm, vm->nr_vcpus, &vm->vcpus[vm->nr_vcpus]), 0);
}

static void machine_destroy(struct machine *m)
{
	vm_destroy_vcpus(&m->vm);
	arch_vm_destroy(&m->vm);
	vm_destroy(&m->vm);
	config_destroy(&m->cfg);
}

static void load_and_reset(struct machine *m, enum x86_kernel_format format)
{
	struct boot_plan plan;
	struct x86_boot l = {
		.boot = &m->boot, .mem = &m->vm.mem, .plan = &plan, .format = format
	};

	boot_plan_init(&plan);
	assert_int_equal(x86_boot_list(&l), 0);
	assert_int_equal(boot_plan_check(&plan, &m->vm.mem), 0);
	assert_int_equal(boot_plan_load(&plan, &m->vm.mem), 0);
	boot_plan_free(&plan);
	m->vm.arch->entry = l.entry;
	for (u32 i = 0; i < 2; i++)
		assert_int_equal(arch_vcpu_reset(m->vm.vcpus[i]), 0);
}

/* Run vcpu 0 until it writes 32 bits to port 0x1234. */
static u32 run(struct machine *m)
{
	struct kvm_run *run = m->vm.vcpus[0]->run;
	u8 *data = (u8 *)run;
	int ret;

	do
		ret = ioctl(m->vm.vcpus[0]->fd, KVM_RUN, 0);
	while (ret < 0 && errno == EINTR);
	assert_int_equal(ret, 0);
	assert_int_equal(run->exit_reason, KVM_EXIT_IO);
	assert_int_equal(run->io.port, 0x1234);
	assert_int_equal(run->io.size, 4);
	return (u32)get_le(data + run->io.data_offset, 4);
}

/* 64-bit, 32-bit: push rsi/rbx; pop rax; mov dx, 0x1234; out dx, eax; hlt */
static u8 flat_code[] = { 0x56, 0x58, 0x66, 0xba, 0x34, 0x12, 0xef, 0xf4 };
static u8 multiboot_code[] = { 0x53, 0x58, 0x66, 0xba, 0x34, 0x12, 0xef, 0xf4 };

static void test_run_flat(void **state)
{
	struct machine m;

	if (no_kvm())
		skip();
	machine_init(&m);
	boot_image_from_buffer(&m.boot.kernel, "flat", flat_code, sizeof(flat_code));
	for (int i = 0; i < 3; i++) {
		memory_discard_all(&m.vm.mem);
		load_and_reset(&m, X86_KERNEL_FLAT);
		assert_int_equal(run(&m), X86_BOOT_PARAMS);
	}
	machine_destroy(&m);
}

static void test_run_multiboot(void **state)
{
	u8 image[64] = { 0 };
	struct machine m;

	if (no_kvm())
		skip();
	put_le(image, 4, 0x1badb002);
	put_le(image + 4, 4, BIT(16));
	put_le(image + 8, 4, -(0x1badb002 + BIT(16)));
	put_le(image + 12, 4, MiB);
	put_le(image + 16, 4, MiB);
	put_le(image + 28, 4, MiB + 32);
	memcpy(image + 32, multiboot_code, sizeof(multiboot_code));
	machine_init(&m);
	boot_image_from_buffer(&m.boot.kernel, "mb", image, sizeof(image));
	for (int i = 0; i < 3; i++) {
		memory_discard_all(&m.vm.mem);
		load_and_reset(&m, X86_KERNEL_AUTO);
		assert_int_equal(run(&m), X86_START_INFO);
	}
	machine_destroy(&m);
}

/* A bzImage without a 64-bit entry: 32-bit code that sees boot_params in ESI, zero in EBX. */
static void test_run_bzimage32(void **state)
{
	/* add esi, ebx; push esi; pop eax; mov dx, 0x1234; out dx, eax; hlt */
	static const u8 code[] = { 0x01, 0xde, 0x56, 0x58, 0x66, 0xba, 0x34, 0x12, 0xef, 0xf4 };
	static u8 image[1024 + 16];
	struct machine m;

	if (no_kvm())
		skip();
	image[0x1f1] = 1; /* sector of setup code */
	put_le(image + 0x1f4, 4, 1);
	put_le(image + 0x1fe, 2, 0xaa55);
	put_le(image + 0x200, 2, 0x6aeb); /* the header's end */
	memcpy(image + 0x202, "HdrS", 4);
	put_le(image + 0x206, 2, 0x020c);
	image[0x211] = 1; /* loaded high */
	put_le(image + 0x238, 4, 255);
	put_le(image + 0x258, 8, MiB); /* where it wants to be */
	memcpy(image + 1024, code, sizeof(code));
	machine_init(&m);
	boot_image_from_buffer(&m.boot.kernel, "bz", image, sizeof(image));
	for (int i = 0; i < 3; i++) {
		memory_discard_all(&m.vm.mem);
		load_and_reset(&m, X86_KERNEL_AUTO);
		assert_int_equal(run(&m), X86_BOOT_PARAMS);
	}
	machine_destroy(&m);
}

static void test_run_firmware(void **state)
{
	/* Real mode: mov dx, 0x1234; mov eax, [0xfffc] of the shadowed segment; out dx, eax; hlt */
	static const u8 start[] = { 0xea, 0x00, 0xff, 0x00, 0xf0 }; /* jmp f000:ff00 */
	static const u8 code[] = {
		0xba, 0x34, 0x12, 0x2e, 0x66, 0xa1, 0xfc, 0xff, 0x66, 0xef, 0xf4
	};
	static u8 rom[64 * KiB];
	struct machine m;

	if (no_kvm())
		skip();
	memcpy(rom + 0xfff0, start, sizeof(start));
	memcpy(rom + 0xff00, code, sizeof(code));
	put_le(rom + 0xfffc, 4, 0x600dcafe);
	machine_init(&m);
	boot_image_from_buffer(&m.boot.firmware, "rom", rom, sizeof(rom));
	for (int i = 0; i < 3; i++) {
		memory_discard_all(&m.vm.mem);
		load_and_reset(&m, X86_KERNEL_AUTO);
		assert_int_equal(run(&m), 0x600dcafe);
	}
	machine_destroy(&m);
}

/* vcpu 0 in real mode at 0000:7000, with a stack below. */
static void enter_real_mode(struct machine *m)
{
	int fd = m->vm.vcpus[0]->fd;
	struct kvm_regs regs = { .rip = 0x7000, .rsp = 0x6000, .rbp = 0x5a5a, .rflags = 2 };
	struct kvm_sregs sregs;

	assert_int_equal(xioctl(fd, KVM_GET_SREGS, &sregs), 0);
	sregs.cs = (struct kvm_segment){ .limit = 0xffff, .type = 0xb, .present = 1, .s = 1 };
	sregs.ds = sregs.cs;
	sregs.ds.type = 3;
	sregs.es = sregs.fs = sregs.gs = sregs.ss = sregs.ds;
	sregs.idt = (struct kvm_dtable){ .base = 0, .limit = 0x3ff };
	sregs.cr0 = 0x10;
	sregs.cr3 = sregs.cr4 = sregs.efer = 0;
	assert_int_equal(xioctl(fd, KVM_SET_SREGS, &sregs), 0);
	assert_int_equal(xioctl(fd, KVM_SET_REGS, &regs), 0);
}

/* A BIOS call comes back with carry and no register changed but AH; a hardware vector unseen. */
static void test_run_bios_call(void **state)
{
	/* mov ax, 0x8812; clc; int N; pushf; pop cx; shl ecx, 16; mov cx, ax; mov eax, ecx;
	 * mov dx, 0x1234; out dx, eax; hlt */
	u8 code[] = { 0xb8, 0x12, 0x88, 0xf8, 0xcd, 0x15, 0x9c, 0x59, 0x66, 0xc1, 0xe1, 0x10,
		      0x89, 0xc1, 0x66, 0x89, 0xc8, 0xba, 0x34, 0x12, 0x66, 0xef, 0xf4 };
	static const struct {
		u8 vector;
		u16 ax;
		bool carry;
	} cases[] = { { 0x10, 0x8612, true },
		      { 0x15, 0x8612, true },
		      { 0x6f, 0x8612, true },
		      { 0x08, 0x8812, false },
		      { 0x76, 0x8812, false } };
	struct machine m;

	if (no_kvm())
		skip();
	machine_init(&m);
	boot_image_from_buffer(&m.boot.kernel, "flat", flat_code, sizeof(flat_code));
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u32 seen;

		memory_discard_all(&m.vm.mem);
		load_and_reset(&m, X86_KERNEL_FLAT);
		enter_real_mode(&m);
		code[5] = cases[i].vector;
		memcpy(memory_ptr(&m.vm.mem, 0x7000, sizeof(code)), code, sizeof(code));
		seen = run(&m);
		assert_int_equal(seen & 0xffff, cases[i].ax);
		assert_int_equal(seen >> 16 & 1, cases[i].carry);
	}
	machine_destroy(&m);
}

struct snapshot {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_debugregs debugregs;
	struct kvm_vcpu_events events;
	struct kvm_lapic_state lapic;
	struct kvm_fpu fpu;
	struct kvm_xcrs xcrs;
	struct kvm_mp_state mp;
	u64 msrs[8];
};

static const u32 msrs[8] = {
	0x174,	    /* SYSENTER_CS */
	0x277,	    /* PAT */
	0x200,	    /* MTRR_PHYSBASE0 */
	0x2ff,	    /* MTRR_DEF_TYPE */
	0xc0000082, /* LSTAR */
	0xc0000102, /* KERNEL_GS_BASE */
	0x4b564d01, /* KVM system time */
	0x3b,	    /* TSC_ADJUST */
};

static bool get_msr(const struct vcpu *vcpu, u32 index, u64 *value)
{
	u8 room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)] = { 0 };
	struct kvm_msrs *m = (struct kvm_msrs *)room;

	m->nmsrs = 1;
	m->entries[0].index = index;
	if (xioctl(vcpu->fd, KVM_GET_MSRS, m) != 1)
		return false;
	*value = m->entries[0].data;
	return true;
}

static bool set_msr(const struct vcpu *vcpu, u32 index, u64 value)
{
	u8 room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)] = { 0 };
	struct kvm_msrs *m = (struct kvm_msrs *)room;

	m->nmsrs = 1;
	m->entries[0].index = index;
	m->entries[0].data = value;
	return xioctl(vcpu->fd, KVM_SET_MSRS, m) == 1;
}

static void take(const struct vcpu *vcpu, struct snapshot *s)
{
	memset(s, 0, sizeof(*s));
	assert_int_equal(xioctl(vcpu->fd, KVM_GET_REGS, &s->regs), 0);
	assert_int_equal(xioctl(vcpu->fd, KVM_GET_SREGS, &s->sregs), 0);
	assert_int_equal(xioctl(vcpu->fd, KVM_GET_DEBUGREGS, &s->debugregs), 0);
	assert_int_equal(xioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &s->events), 0);
	assert_int_equal(xioctl(vcpu->fd, KVM_GET_LAPIC, &s->lapic), 0);
	assert_int_equal(xioctl(vcpu->fd, KVM_GET_FPU, &s->fpu), 0);
	assert_int_equal(xioctl(vcpu->fd, KVM_GET_XCRS, &s->xcrs), 0);
	assert_int_equal(xioctl(vcpu->fd, KVM_GET_MP_STATE, &s->mp), 0);
	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++)
		get_msr(vcpu, msrs[i], &s->msrs[i]);
}

static void compare(const struct snapshot *a, const struct snapshot *b)
{
	assert_memory_equal(&a->regs, &b->regs, sizeof(a->regs));
	assert_memory_equal(&a->sregs, &b->sregs, sizeof(a->sregs));
	assert_memory_equal(&a->debugregs, &b->debugregs, sizeof(a->debugregs));
	assert_memory_equal(&a->events, &b->events, sizeof(a->events));
	assert_memory_equal(&a->lapic, &b->lapic, sizeof(a->lapic));
	assert_memory_equal(&a->fpu, &b->fpu, sizeof(a->fpu));
	assert_memory_equal(&a->xcrs, &b->xcrs, sizeof(a->xcrs));
	assert_int_equal(a->mp.mp_state, b->mp.mp_state);
	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++)
		if (a->msrs[i] != b->msrs[i])
			fail_msg("MSR 0x%x: 0x%llx, then 0x%llx", msrs[i], a->msrs[i], b->msrs[i]);
}

/* What a guest may have done by the time of a reset; returns how many MSRs really changed. */
static u32 spoil(const struct vcpu *vcpu)
{
	static const u64 values[8] = { 0x10,
				       0x0606060606060606,
				       0x80000000,
				       0,
				       0xffffffff81000000,
				       0xffff888000000000,
				       0x5001,
				       0x123456 };
	struct kvm_debugregs dr = { .db = { 0x1000, 0x2000 }, .dr6 = 0xffff0ff1, .dr7 = 0x401 };
	struct kvm_mp_state mp = { KVM_MP_STATE_HALTED };
	struct kvm_vcpu_events events;
	struct kvm_lapic_state lapic;
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	struct kvm_fpu fpu;
	u32 changed = 0;
	u64 now;

	for (size_t i = 0; i < ARRAY_SIZE(msrs); i++)
		changed += set_msr(vcpu, msrs[i], values[i]) && get_msr(vcpu, msrs[i], &now) &&
			   now == values[i];
	assert_int_equal(xioctl(vcpu->fd, KVM_GET_SREGS, &sregs), 0);
	sregs.idt.base = 0x5000;
	sregs.cr2 = 0x1234;
	sregs.apic_base |= 0x400; /* x2APIC */
	assert_int_equal(xioctl(vcpu->fd, KVM_SET_SREGS, &sregs), 0);
	assert_int_equal(xioctl(vcpu->fd, KVM_GET_LAPIC, &lapic), 0);
	lapic.regs[0xf1] |= 1;	  /* software enable, SVR bit 8 */
	lapic.regs[0x320] = 0xef; /* LVT timer */
	lapic.regs[0x222] = 0x10; /* a pending interrupt: IRR */
	assert_int_equal(xioctl(vcpu->fd, KVM_SET_LAPIC, &lapic), 0);
	memset(&regs, 0x11, sizeof(regs));
	regs.rflags = 0x202;
	assert_int_equal(xioctl(vcpu->fd, KVM_SET_REGS, &regs), 0);
	assert_int_equal(xioctl(vcpu->fd, KVM_GET_FPU, &fpu), 0);
	fpu.fcw = 0x27f;
	fpu.mxcsr = 0x1fa0;
	memset(fpu.xmm, 0x77, sizeof(fpu.xmm));
	assert_int_equal(xioctl(vcpu->fd, KVM_SET_FPU, &fpu), 0);
	assert_int_equal(xioctl(vcpu->fd, KVM_SET_DEBUGREGS, &dr), 0);
	assert_int_equal(xioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events), 0);
	events.nmi.pending = 1;
	events.flags |= KVM_VCPUEVENT_VALID_NMI_PENDING;
	assert_int_equal(xioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events), 0);
	assert_int_equal(xioctl(vcpu->fd, KVM_SET_MP_STATE, &mp), 0);
	return changed;
}

static void test_reset(void **state)
{
	struct snapshot first[2], spoiled, again;
	struct machine m;

	if (no_kvm())
		skip();
	machine_init(&m);
	boot_image_from_buffer(&m.boot.kernel, "flat", flat_code, sizeof(flat_code));
	load_and_reset(&m, X86_KERNEL_FLAT);
	for (u32 i = 0; i < 2; i++)
		take(m.vm.vcpus[i], &first[i]);
	assert_int_equal(first[0].mp.mp_state, KVM_MP_STATE_RUNNABLE);
	assert_int_equal(first[1].mp.mp_state, KVM_MP_STATE_UNINITIALIZED);
	assert_int_equal(first[0].regs.rip, MiB);
	assert_int_equal(first[1].regs.rip, 0xfff0);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(run(&m), X86_BOOT_PARAMS);
		for (u32 i = 0; i < 2; i++) {
			assert_true(spoil(m.vm.vcpus[i]) >= 4);
			take(m.vm.vcpus[i], &spoiled);
			assert_memory_not_equal(&spoiled.lapic, &first[i].lapic,
						sizeof(spoiled.lapic));
		}
		load_and_reset(&m, X86_KERNEL_FLAT);
		for (u32 i = 0; i < 2; i++) {
			take(m.vm.vcpus[i], &again);
			compare(&first[i], &again);
		}
	}
	machine_destroy(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tables),		cmocka_unit_test(test_registers),
		cmocka_unit_test(test_named_registers), cmocka_unit_test(test_run_flat),
		cmocka_unit_test(test_run_multiboot),	cmocka_unit_test(test_run_firmware),
		cmocka_unit_test(test_run_bzimage32),	cmocka_unit_test(test_run_bios_call),
		cmocka_unit_test(test_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
