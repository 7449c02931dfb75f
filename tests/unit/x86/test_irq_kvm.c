/* SPDX-License-Identifier: MIT */
/*
 * What irq.c expects of KVM's irqfds, seen in a real local APIC: what an fd holds when it is bound
 * is delivered, nothing is lost or doubled while the mask changes, and the end of a level interrupt
 * writes the resample fd. No guest runs but for the last. Skipped without /dev/kvm.
 */
#include "unit.h"

#include <linux/kvm.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lkvm/irq.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

#define VECTOR 0x41
#define GSI    10
#define ROUNDS 300
#define HANG   600 /* seconds */

/* Local APIC registers (Intel SDM volume 3, table 11-1) */
#define APIC	 0xfee00000U
#define APIC_EOI 0xb0
#define APIC_SVR 0xf0
#define APIC_IRR 0x200

struct fixture {
	struct kvm kvm;
	struct irqs irqs;
	struct msi_route *route;
	int vcpu;
	struct kvm_run *run;
	atomic_int arrived;
	atomic_bool done;
};

static u32 reg(const struct kvm_lapic_state *apic, u32 offset)
{
	return (u32)get_le(apic->regs + offset, 4);
}

static void enable_apic(struct fixture *f)
{
	struct kvm_lapic_state apic;

	assert_int_equal(xioctl(f->vcpu, KVM_GET_LAPIC, &apic), 0);
	put_le(apic.regs + APIC_SVR, 4, reg(&apic, APIC_SVR) | 1 << 8);
	assert_int_equal(xioctl(f->vcpu, KVM_SET_LAPIC, &apic), 0);
}

/* Is the vector requested? Then take it back, and count. */
static bool take_interrupt(struct fixture *f)
{
	u32 at = APIC_IRR + VECTOR / 32 * 0x10, bit = 1U << VECTOR % 32;
	struct kvm_lapic_state apic;

	assert_int_equal(xioctl(f->vcpu, KVM_GET_LAPIC, &apic), 0);
	if (!(reg(&apic, at) & bit))
		return false;
	put_le(apic.regs + at, 4, reg(&apic, at) & ~bit);
	assert_int_equal(xioctl(f->vcpu, KVM_SET_LAPIC, &apic), 0);
	f->arrived++;
	return true;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	*state = NULL;
	log_set_level(LOG_ERROR);
	if (access("/dev/kvm", R_OK | W_OK)) {
		free(f);
		return 0;
	}
	assert_int_equal(kvm_open(&f->kvm, "/dev/kvm"), 0);
	assert_int_equal(kvm_create_vm(&f->kvm, 0), 0);
	assert_int_equal(xioctl_val(f->kvm.vm_fd, KVM_CREATE_IRQCHIP, 0), 0);
	f->vcpu = xioctl_val(f->kvm.vm_fd, KVM_CREATE_VCPU, 0);
	assert_true(f->vcpu >= 0);
	f->run = mmap(NULL, f->kvm.run_size, PROT_READ | PROT_WRITE, MAP_SHARED, f->vcpu, 0);
	assert_ptr_not_equal(f->run, MAP_FAILED);
	enable_apic(f);
	assert_int_equal(irq_init(&f->irqs, &kvm_irq_chip_ops, &f->kvm), 0);
	f->irqs.first_msi_gsi = 24;
	assert_int_equal(msi_route_alloc(&f->irqs, 0, &f->route), 0);
	assert_int_equal(msi_route_update(f->route, APIC, VECTOR), 0);
	assert_true(f->route->bound);
	alarm(HANG);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	alarm(0);
	if (!f)
		return 0;
	msi_route_free(f->route);
	irq_destroy(&f->irqs);
	munmap(f->run, f->kvm.run_size);
	close(f->vcpu);
	kvm_close(&f->kvm);
	free(f);
	return 0;
}

static struct fixture *need(void **state)
{
	if (!*state)
		skip();
	return *state;
}

/* Unbinding waits for KVM's workers: what was to come has come. */
static void mask(struct fixture *f)
{
	msi_route_set_mode(f->route, MSI_MASKED);
}

static void masked_is_pending_and_comes_once(void **state)
{
	struct fixture *f = need(state);
	int fd = msi_route_fd(f->route);

	eventfd_raise(fd);
	while (!take_interrupt(f))
		sched_yield();
	for (int who = 1; who <= 3; who++) {
		mask(f);
		assert_false(msi_route_pending(f->route));
		if (who & 1)
			msi_route_trigger(f->route);
		if (who & 2)
			eventfd_raise(fd);
		if (who != 2)
			assert_true(msi_route_pending(f->route));
		assert_false(take_interrupt(f));
		msi_route_set_mode(f->route, MSI_OPEN);
		while (!take_interrupt(f))
			sched_yield();
		mask(f);
		assert_false(take_interrupt(f));
		assert_false(msi_route_pending(f->route));
		msi_route_set_mode(f->route, MSI_OPEN);
		mask(f);
		assert_false(take_interrupt(f));
		msi_route_set_mode(f->route, MSI_OPEN);
	}
}

/* One after the other: the next when the last has come. */
static void *send_and_wait(void *arg)
{
	struct fixture *f = arg;
	int fd = msi_route_fd(f->route);

	for (int i = 1; i <= ROUNDS; i++) {
		eventfd_raise(fd);
		while (f->arrived < i)
			sched_yield();
	}
	f->done = true;
	return NULL;
}

static void written_while_the_mask_flips(void **state)
{
	struct fixture *f = need(state);
	pthread_t thread;

	assert_int_equal(pthread_create(&thread, NULL, send_and_wait, f), 0);
	for (u32 n = 0; !f->done; n++) {
		mask(f);
		if (n % 3 == 0)
			msi_route_pending(f->route);
		if (n % 5 == 0)
			sched_yield();
		msi_route_set_mode(f->route, MSI_OPEN);
		take_interrupt(f);
	}
	pthread_join(thread, NULL);
	mask(f);
	assert_false(msi_route_pending(f->route));
	take_interrupt(f);
	assert_int_equal(f->arrived, ROUNDS);
}

/* With KVM_CAP_X2APIC_API bits 32 to 39 of an address must be zero (api.rst, 7.7). */
static void a_batch_with_one_that_kvm_refuses(void **state)
{
	struct fixture *f = need(state);
	struct msi_route *routes[8];

	if (kvm_enable_cap(&f->kvm, KVM_CAP_X2APIC_API, KVM_X2APIC_API_USE_32BIT_IDS))
		skip();
	for (u32 i = 0; i < 8; i++) {
		assert_int_equal(msi_route_alloc(&f->irqs, 0, &routes[i]), 0);
		msi_route_stage(routes[i], APIC | (i == 3 ? 1ULL << 32 : 0), VECTOR);
	}
	assert_int_equal(msi_routes_commit(&f->irqs, routes, 8), -EINVAL);
	for (u32 i = 0; i < 8; i++) {
		assert_int_equal(msi_route_live(routes[i]), i != 3);
		msi_route_set_mode(routes[i], MSI_OPEN);
		msi_route_trigger(routes[i]);
		while (i != 3 && !take_interrupt(f))
			sched_yield();
		assert_false(take_interrupt(f));
	}
	for (u32 i = 0; i < 8; i++)
		msi_route_free(routes[i]);
}

/* Real mode, DS at the APIC: the handler ends the interrupt; HLT leaves only for it. */
static const u8 code[] = {
	0xfb,			 /* 0: sti */
	0xf4,			 /* 1: hlt */
	0xeb, 0xfd,		 /* 2: jmp 1 */
	0x66, 0x31, 0xc0,	 /* 4: xor eax, eax */
	0x66, 0xa3, APIC_EOI, 0, /* 7: mov [APIC_EOI], eax */
	0xe6, 0x10,		 /* 11: out 0x10, al */
	0xcf,			 /* 13: iret */
};
#define HANDLER 4

static void route_pin(struct fixture *f)
{
	struct kvm_irq_routing_entry pin = {
		.gsi = GSI,
		.type = KVM_IRQ_ROUTING_IRQCHIP,
		.u.irqchip = { KVM_IRQCHIP_IOAPIC, GSI },
	};
	struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_IOAPIC };

	assert_int_equal(irq_set_fixed_routes(&f->irqs, &pin, 1, 24), 0);
	assert_int_equal(xioctl(f->kvm.vm_fd, KVM_GET_IRQCHIP, &chip), 0);
	chip.chip.ioapic.redirtbl[GSI].bits = VECTOR | 1U << 15; /* level, to APIC 0 */
	assert_int_equal(xioctl(f->kvm.vm_fd, KVM_SET_IRQCHIP, &chip), 0);
}

static void load_code(struct fixture *f, u8 *ram)
{
	struct kvm_userspace_memory_region slot = {
		.memory_size = 0x2000,
		.userspace_addr = (u64)(uintptr_t)ram,
	};
	struct kvm_regs regs = { .rip = 0x1000, .rsp = 0x1ff0, .rflags = 2 };
	struct kvm_sregs sregs;

	memcpy(ram + 0x1000, code, sizeof(code));
	put_le(ram + 4 * VECTOR, 4, 0x1000 + HANDLER);
	assert_int_equal(xioctl(f->kvm.vm_fd, KVM_SET_USER_MEMORY_REGION, &slot), 0);
	assert_int_equal(xioctl(f->vcpu, KVM_GET_SREGS, &sregs), 0);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	sregs.ds.base = APIC;
	assert_int_equal(xioctl(f->vcpu, KVM_SET_SREGS, &sregs), 0);
	assert_int_equal(xioctl(f->vcpu, KVM_SET_REGS, &regs), 0);
}

static void the_end_writes_the_resample_fd(void **state)
{
	struct fixture *f = need(state);
	u8 *ram = mmap(NULL, 0x2000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int resample = eventfd(0, EFD_NONBLOCK);
	struct irq_line line;
	u64 n = 0;

	route_pin(f);
	load_code(f, ram);
	assert_int_equal(irq_line_init(&line, &f->irqs, GSI, false), 0);
	assert_int_equal(irq_line_set_resample(&line, resample), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(read(resample, &n, 8), -1);
		eventfd_raise(irq_line_fd(&line));
		assert_int_equal(xioctl_val(f->vcpu, KVM_RUN, 0), 0);
		assert_int_equal(f->run->exit_reason, KVM_EXIT_IO);
		assert_int_equal(f->run->io.port, 0x10);
		assert_int_equal(read(resample, &n, 8), 8);
		assert_int_equal(n, 1);
	}
	irq_line_destroy(&line);
	close(resample);
	munmap(ram, 0x2000);
}

static void no_resample_with_the_split_irqchip(void **state)
{
	struct kvm kvm;
	struct irqs irqs;
	struct irq_line line;

	need(state);
	assert_int_equal(kvm_open(&kvm, "/dev/kvm"), 0);
	assert_int_equal(kvm_create_vm(&kvm, 0), 0);
	assert_int_equal(kvm_enable_cap(&kvm, KVM_CAP_SPLIT_IRQCHIP, 24), 0);
	assert_int_equal(irq_init(&irqs, &kvm_irq_chip_ops, &kvm), 0);
	assert_int_equal(irq_line_init(&line, &irqs, GSI, false), 0);
	assert_true(irq_line_set_resample(&line, 0) < 0);
	irq_line_destroy(&line);
	irq_destroy(&irqs);
	kvm_close(&kvm);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(masked_is_pending_and_comes_once),	  TEST(written_while_the_mask_flips),
		TEST(a_batch_with_one_that_kvm_refuses),  TEST(the_end_writes_the_resample_fd),
		TEST(no_resample_with_the_split_irqchip),
	};

	return cmocka_run_group_tests_name("irq_kvm", tests, NULL, NULL);
}
