/* SPDX-License-Identifier: MIT */
/*
 * What a reset puts back: a guest with several vcpus, timers and devices runs, is reset, and then
 * every field of the machine's state is what it was before the first instruction; and the guest
 * does all of it again. Until then nothing of vcpus and chips is read.
 */
#include "machine.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "lkvm/device.h"
#include "lkvm/kvm.h"
#include "lkvm/state.h"

#define CPUS 3 /* of those that wait, one whose state is read and one that gets its copy */

static atomic_uint runs, reads, vms;

/* In place of the C library's: counts, and asks the kernel. */
int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	switch (request) {
	case KVM_RUN:
		atomic_fetch_add(&runs, 1);
		break;
	case KVM_CREATE_VM:
		atomic_fetch_add(&vms, 1);
		break;
#ifdef __x86_64__
	case KVM_GET_REGS:
	case KVM_GET_SREGS:
	case KVM_GET_LAPIC:
	case KVM_GET_MP_STATE:
	case KVM_GET_VCPU_EVENTS:
	case KVM_GET_XSAVE:
	case KVM_GET_XSAVE2:
	case KVM_GET_XCRS:
	case KVM_GET_DEBUGREGS:
	case KVM_GET_NESTED_STATE:
	case KVM_GET_MSR_INDEX_LIST:
	case KVM_GET_IRQCHIP:
	case KVM_GET_PIT2:
		atomic_fetch_add(&reads, 1);
		break;
	case KVM_GET_MSRS:
		/* One, of the first vcpu: KVM decides most of IA32_MISC_ENABLE. */
		if (((struct kvm_msrs *)arg)->nmsrs != 1)
			atomic_fetch_add(&reads, 1);
		break;
#endif
	}
	return (int)syscall(SYS_ioctl, fd, request, arg);
}

#define OBJECTS 64

/* The state of each vcpu, then of each device. */
struct snapshot {
	struct state_buf part[OBJECTS];
};

static struct snapshot first, second;
static unsigned int rounds, resets;
static bool saw_done;

static int save_vcpu(struct vcpu *vcpu, struct state_buf *out)
{
	void *state;
	int ret = arch_vcpu_state_new(vcpu, &state);

	if (ret)
		return ret;
	ret = state_save(&arch_vcpu_state, "vcpu", state, out);
	arch_vcpu_state_free(state);
	return ret;
}

static bool take(struct vm *vm, struct snapshot *s)
{
	unsigned int n = 0;
	int ret = 0;

	for (u32 i = 0; i < vm->nr_vcpus && !ret; i++) {
		s->part[n].len = 0;
		ret = save_vcpu(vm->vcpus[i], &s->part[n++]);
	}
	for (struct device *dev = vm->devices; dev && !ret && n < OBJECTS; dev = dev->next) {
		s->part[n].len = 0;
		ret = device_save(dev, &s->part[n++]);
	}
	return !ret && n < OBJECTS;
}

static bool differs(const struct device_state *state, unsigned int n, const char *name)
{
	struct state_reader a = { first.part[n].data, first.part[n].len };
	struct state_reader b = { second.part[n].data, second.part[n].len };
	const char *field = state_differs(state, &a, &b);

	if (field)
		printf("# %s of %s is another\n", field, name);
	return field;
}

static bool same(struct vm *vm)
{
	unsigned int n = 0;
	bool same = true;

	for (u32 i = 0; i < vm->nr_vcpus; i++)
		same &= !differs(&arch_vcpu_state, n++, "a vcpu");
	for (struct device *dev = vm->devices; dev; dev = dev->next, n++)
		/* This one notes when the reset was. */
		if (dev->ops->state && strcmp(dev->name, "cmos-rtc") != 0)
			same &= !differs(dev->ops->state, n, dev->name);
	return same;
}

/* A fresh vcpu may have x87 and SSE marked as initial, a reset one has their initial values: the
 * same to a guest, not in the area (Intel SDM volume 1, 13.4). */
static bool write_xsave(struct vm *vm)
{
	bool ok = true;
#ifdef __x86_64__
	for (u32 i = 0; i < vm->nr_vcpus; i++) {
		u8 *area = xcalloc(1, 64 * KiB);

		put_le(area + 0, 2, 0x37f);
		put_le(area + 24, 4, 0x1f80);
		put_le(area + 512, 8, 3);
		ok &= !xioctl(vm->vcpus[i]->fd, KVM_SET_XSAVE, area);
		free(area);
	}
#endif
	return ok;
}

/* On the main loop. */
static void reset_in_loop(void *opaque)
{
	struct test_machine *t = opaque;
	struct vm *vm = &t->m.vm;
	bool ok = true;

	/* Twice: what was read for the first serves the second. */
	for (int i = 0; i < 2 && ok; i++) {
		ok = !machine_restart(&t->m) && take(vm, &second) && same(vm);
		point(ok, i ? "so after another reset" : "after a reset every field is as it was");
	}
	rounds = 0;
	resets++;
	vm_resume(vm);
}

static void on_line(struct test_machine *t, const char *line)
{
	rounds += !strncmp(line, "round ", 6);
	saw_done |= !strcmp(line, "done");
	if (!strcmp(line, "round 3") && !resets)
		post_and_wait(t);
}

static void try(const char *guest, const char *name, const char *words, int irqchip)
{
	struct test_machine t = { .on_line = on_line };
	unsigned int before;
	int signal, status;

	printf("# %s\n", name);
	rounds = resets = 0;
	saw_done = false;
	before = atomic_load(&reads);
	atomic_store(&vms, 0);
	make_machine(&t, guest, words, CPUS, irqchip, TRANSPORT_PCI);
	t.post = (struct event_post){ .fn = reset_in_loop, .opaque = &t };
	point(atomic_load(&reads) == before && atomic_load(&vms) == 1,
	      "nothing is read for a reset that may never come");
	vm_pause(&t.m.vm);
	point(write_xsave(&t.m.vm) && take(&t.m.vm, &first), "the state at the start");
	status = machine_run(&t.m, &signal);
	point(status == 0 && saw_done && resets == 1 && rounds == 10,
	      "the guest begins anew, and ends well");
	point(atomic_load(&vms) <= 2, "KVM is asked once what it makes");
	end_machine(&t);
}

int main(int argc, char **argv)
{
	char *guest;

	if (argc != 2) {
		fprintf(stderr, "usage: reset DIRECTORY-OF-GUESTS\n");
		return 2;
	}
	alarm(LIMIT_SECONDS);
	guest = xasprintf("%s/busy.flat", argv[1]);
#ifdef __x86_64__
	try(guest, "full irqchip", "rounds=10 pit", X86_IRQCHIP_FULL);
	try(guest, "split irqchip", "rounds=10 deadline", X86_IRQCHIP_SPLIT);
#else
	try(guest, "GIC", "rounds=10", 0);
#endif
	free(guest);
	for (size_t i = 0; i < OBJECTS; i++) {
		state_buf_free(&first.part[i]);
		state_buf_free(&second.part[i]);
	}
	return tap_end();
}
