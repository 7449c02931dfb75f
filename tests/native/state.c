/* SPDX-License-Identifier: MIT */
/*
 * A machine that ran is paused, saved and loaded into a fresh one: what is saved there is the same,
 * and the guest goes on in it and ends well. (The memory is copied.)
 */
#include "machine.h"

#include <fcntl.h>

#include "lkvm/device.h"
#include "lkvm/kvm.h"
#include "lkvm/state.h"

struct variant {
	const char *name, *words;
	int irqchip;
	enum virtio_transport_kind transport;
};

static char image[] = "/tmp/lkvm-state.XXXXXX";
static char *guest;
static struct state_buf first, second;
static unsigned int rounds; /* in both machines: none is lost, none comes twice */
static bool saw_done;

static bool same(struct vm *vm, const char *what)
{
	const char *object, *field;

	field = vm_state_differs(vm, (struct state_reader){ first.data, first.len },
				 (struct state_reader){ second.data, second.len }, &object);
	if (field)
		printf("# %s: %s of %s\n", what, field, object);
	return !field && first.len == second.len;
}

#ifdef __x86_64__
#define PIT_VECTOR 0x22 /* of busy.flat */

static bool waits(const struct vcpu *vcpu, u32 vector)
{
	struct kvm_lapic_state lapic = { 0 };
	u32 isr, irr;

	if (xioctl(vcpu->fd, KVM_GET_LAPIC, &lapic) < 0)
		return false;
	memcpy(&isr, lapic.regs + 0x100 + vector / 32 * 0x10, sizeof(isr));
	memcpy(&irr, lapic.regs + 0x200 + vector / 32 * 0x10, sizeof(irr));
	return (isr | irr) & BIT(vector % 32);
}

/* KVM's interval timer goes on while the VM is paused: after its next tick it has no more to say,
 * for nobody takes the interrupt. */
static void let_timers_tick(struct vm *vm, const char *words)
{
	bool ticked = !strstr(words, "pit");

	while (!ticked) {
		usleep(1000);
		for (u32 i = 0; i < vm->nr_vcpus; i++)
			ticked |= waits(vm->vcpus[i], PIT_VECTOR);
	}
}
#else
static void let_timers_tick(struct vm *vm, const char *words)
{
	(void)vm;
	(void)words;
}
#endif

/* On the main loop. */
static void save_in_loop(void *opaque)
{
	struct test_machine *t = opaque;
	struct vm *vm = &t->m.vm;
	bool all = true;
	int ret;

	vm_pause(vm);
	let_timers_tick(vm, t->cfg.params);
	for (struct device *dev = vm->devices; dev; dev = dev->next) {
		if (!dev->ops->state)
			printf("# %s says nothing of its state\n", dev->name);
		all &= dev->ops->state != NULL;
	}
	point(all, "every device says what it remembers");
	ret = vm_save(vm, &first);
	point(!ret, "a machine that ran is saved");
	second.len = 0;
	ret = vm_save(vm, &second);
	point(!ret && same(vm, "saved twice"), "saving changes nothing");
	second.len = 0;
	vm_request_stop(vm, VM_STOP_QUIT, 0, -1);
}

static void before(struct test_machine *t, const char *line)
{
	rounds += !strncmp(line, "round ", 6);
	if (!strcmp(line, "round 3"))
		post_and_wait(t);
}

static void after(struct test_machine *t, const char *line)
{
	rounds += !strncmp(line, "round ", 6);
	saw_done |= !strcmp(line, "done");
}

/* A disk that all machines of this test have, one after the other. */
static void make(struct test_machine *t, const struct variant *v)
{
	t->image = image;
	make_machine(t, guest, v->words, 2, v->irqchip, v->transport);
}

/* In a machine that is thrown away. */
static void try_damaged(const struct variant *v)
{
	int saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	struct test_machine t = { .on_line = after };
	unsigned int accepted = 0, tried = 0;

	make(&t, v);
	vm_pause(&t.m.vm);
	dup2(null, STDERR_FILENO);
	for (size_t len = 0; len < first.len; len += 1 + len / 8, tried++) {
		struct state_reader in = { first.data, len };

		accepted += !vm_load(&t.m.vm, &in);
	}
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(null);
	printf("# %u lengths tried\n", tried);
	point(!accepted, "a state that ends early is refused");
	end_machine(&t);
}

static void move(const struct variant *v)
{
	struct test_machine a = { .on_line = before }, b = { .on_line = after };
	int signal, status;
	void *memory;

	printf("# %s\n", v->name);
	rounds = 0;
	saw_done = false;
	first.len = 0;
	make(&a, v);
	a.post = (struct event_post){ .fn = save_in_loop, .opaque = &a };
	machine_run(&a.m, &signal);
	memory = malloc(a.cfg.memory);
	memcpy(memory, guest_ram(&a.m.vm), a.cfg.memory);
	/* It may be in the middle of a line. */
	memcpy(b.line, a.line, sizeof(b.line));
	b.len = a.len;
	end_machine(&a);

	make(&b, v);
	vm_pause(&b.m.vm);
	memcpy(guest_ram(&b.m.vm), memory, b.cfg.memory);
	free(memory);
	second.len = 0;
	status = vm_load(&b.m.vm, &(struct state_reader){ first.data, first.len });
	point(!status, "it is loaded into a fresh machine");
	status = vm_save(&b.m.vm, &second);
	point(!status && same(&b.m.vm, "saved there"), "what is saved there is the same");
	status = machine_run(&b.m, &signal);
	point(status == 0 && saw_done && rounds == 10, "the guest goes on there, and ends well");
	end_machine(&b);
	try_damaged(v);
}

static const struct variant variants[] = {
#ifdef __x86_64__
	{ "full irqchip, PCI", "rounds=10 pit disk", X86_IRQCHIP_FULL, TRANSPORT_PCI },
	{ "split irqchip, MMIO", "rounds=10 disk deadline", X86_IRQCHIP_SPLIT, TRANSPORT_MMIO },
#else
	{ "PCI", "rounds=10 disk", 0, TRANSPORT_PCI },
	{ "MMIO", "rounds=10 disk", 0, TRANSPORT_MMIO },
#endif
#ifdef __riscv
	/* Where the default is KVM's. */
	{ "PLIC, PCI", "rounds=10 disk", RISCV_IRQCHIP_PLIC, TRANSPORT_PCI },
	{ "PLIC, MMIO", "rounds=10 disk", RISCV_IRQCHIP_PLIC, TRANSPORT_MMIO },
#endif
};

int main(int argc, char **argv)
{
	int fd = mkstemp(image);

	if (argc != 2) {
		fprintf(stderr, "usage: state DIRECTORY-OF-GUESTS\n");
		return 2;
	}
	if (fd < 0 || ftruncate(fd, MiB) < 0) {
		printf("Bail out! no disk image\n");
		return 1;
	}
	close(fd);
	alarm(LIMIT_SECONDS);
	guest = xasprintf("%s/busy.flat", argv[1]);
	for (size_t i = 0; i < ARRAY_SIZE(variants); i++)
		move(&variants[i]);
	free(guest);
	unlink(image);
	state_buf_free(&first);
	state_buf_free(&second);
	return tap_end();
}
