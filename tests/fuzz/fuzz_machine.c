/* SPDX-License-Identifier: MIT */
/*
 * A whole machine over the fake KVM (tests/lib/fake_kvm.h): machine.c, the architecture's VM and
 * vcpus, their threads, every device. The input is what two vcpus do, one after the other or at
 * once: registers, BARs, messages, queues, exits that make no sense; and what happens to the
 * machine: pauses, saves and loads, resets. At the end it has given everything back.
 *
 * The first byte: bit 0 the split irqchip, bit 1 virtio-mmio.
 */
#include <linux/pci_regs.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_pci.h>

#include "../arch-config.h"
#include "../lib/fake_kvm.h"
#include "../unit/vring_driver.h"
#include "fuzz.h"
#include "lkvm/arch.h"
#include "lkvm/config.h"
#include "lkvm/console.h"
#include "lkvm/machine.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"

#define VCPUS	  2u
#define MAX_OPS	  96
#define QUEUES	  3u
#define RAM	  0x100000u /* what rings and buffers lie in */
#define RINGS	  0x20000u  /* of device 0, queue 0 */
#define RING_STEP 0x1000u
/* BAR 0 of virtio/pci.c */
#define BAR_NOTIFY 0x3000u
#define BAR_MSIX   0x4000u
#define BAR_SIZE   0x8000u
#define MSIXCAP	   0x40u
#define SLOTS	   6u /* 0 is the host bridge */

static struct {
	struct machine m;
	struct vm_config cfg;
	struct machine_inject inject;
	struct console serial, hvc;
	struct console_client clients[2]; /* theirs; the main loop's */
	pthread_t main;
	bool ended, posted; /* under fk.lock */
	struct event_post post;
	enum { TYPE, PAUSE, LOAD } what; /* on_post */
	const u8 *typed;
	size_t nr_typed;
	bool mmio;
	u8 *ram;
	struct vring_driver q[SLOTS][QUEUES];
	int disk;
} s;

static u8 image[] = { 0xf4 };

static void con_write(struct console *con, const u8 *buf, size_t len) {}
static void con_client(struct console *con, const struct console_client *client)
{
	s.clients[con == &s.hvc] = client ? *client : (struct console_client){ 0 };
}
static void con_ready(struct console *con) {}
static const struct console_ops con_ops = { .write = con_write,
					    .set_client = con_client,
					    .input_ready = con_ready };

/* Life */

static void *live(void *arg)
{
	int sig;

	machine_run(&s.m, &sig);
	pthread_mutex_lock(&fk.lock);
	s.ended = true;
	pthread_cond_broadcast(&fk.idle);
	pthread_mutex_unlock(&fk.lock);
	return NULL;
}

static bool all_wait(void)
{
	bool wait = fk.nr_vcpus == VCPUS;

	for (u32 i = 0; i < fk.nr_vcpus; i++)
		wait &= fk.vcpus[i].waits && !fk.vcpus[i].has_exit;
	return wait;
}

/* Until all vcpus are in KVM_RUN again, after a reset too. False: the machine ended. */
static bool settle(void)
{
	bool ended;

	pthread_mutex_lock(&fk.lock);
	while (!s.ended && !all_wait())
		pthread_cond_wait(&fk.idle, &fk.lock);
	ended = s.ended;
	pthread_mutex_unlock(&fk.lock);
	return !ended;
}

static void configure(u8 how)
{
	struct vm_config *cfg = &s.cfg;

	config_init(cfg);
	s.mmio = how & 2;
	free(cfg->kvm_path);
	cfg->kvm_path = xstrdup("/dev/null");
	cfg->kernel = xstrdup("the fuzzer's guest");
	set_flat_image(cfg);
	cfg->memory = 16 * MiB;
	cfg->cpus = VCPUS;
	cfg->name = xstrdup("fuzz");
	set_irqchip(cfg, how & 1 ? X86_IRQCHIP_SPLIT : X86_IRQCHIP_FULL);
	cfg->transport = s.mmio ? TRANSPORT_MMIO : TRANSPORT_PCI;
	cfg->rng = true;
	config_add_net(cfg)->mode = NET_LOOPBACK;
	config_add_disk(cfg)->path = xasprintf("/proc/self/fd/%d", s.disk);
	fz_check(!config_complete(cfg));
	/* It is not a file. */
	free(cfg->kernel);
	cfg->kernel = NULL;
}

static void begin(u8 how)
{
	configure(how);
	s.ended = false;
	s.serial.ops = s.hvc.ops = &con_ops;
	s.inject = (struct machine_inject){
		.image = image, .image_len = sizeof(image), .serial = &s.serial, .hvc = &s.hvc
	};
	memset(s.q, 0, sizeof(s.q));
	fz_check(!machine_create_with(&s.m, &s.cfg, &s.inject));
	s.ram = memory_ptr(&s.m.vm.mem, 0, RAM);
	fz_check(s.ram);
	fz_check(!pthread_create(&s.main, NULL, live, NULL));
	settle();
}

static void end(void)
{
	vm_request_stop(&s.m.vm, VM_STOP_QUIT, 0, -1);
	pthread_join(s.main, NULL);
	machine_destroy(&s.m);
	config_destroy(&s.cfg);
	fk_end();
}

static int lowest_fd(void)
{
	int fd = dup(s.disk);

	close(fd);
	return fd;
}

/* Exits */

static void give_access(u32 vcpu, bool pio, bool write, u64 addr, u32 len, u64 value)
{
	struct kvm_run run = { .exit_reason = pio ? KVM_EXIT_IO : KVM_EXIT_MMIO };
	u8 bytes[8];

	/* What KVM itself takes is no exit. */
	if (write && fk_notify(pio, addr, len, value) >= 0)
		return;
	put_le(bytes, 8, value);
	if (pio) {
		run.io.direction = write ? KVM_EXIT_IO_OUT : KVM_EXIT_IO_IN;
		run.io.size = (u8)MIN(len, 4U);
		run.io.port = (u16)addr;
		run.io.count = 1;
		run.io.data_offset = FK_PIO_DATA;
	} else {
		run.mmio.phys_addr = addr;
		run.mmio.len = len;
		run.mmio.is_write = write;
		memcpy(run.mmio.data, bytes, 8);
	}
	fk_give(vcpu, &run, bytes, sizeof(bytes));
}

static bool mmio_write(u64 addr, u32 len, u64 value)
{
	give_access(0, false, true, addr, len, value);
	return settle();
}

static u64 config_address(u32 slot, u32 reg)
{
	return arch_platform.pci.ecam_base + ((u64)slot << 15) + reg;
}

static u64 bar_of(u32 slot)
{
	return arch_platform.pci.mem32_base + (u64)slot * BAR_SIZE;
}

static u64 base_of(u32 slot)
{
	if (s.mmio)
		return arch_platform.virtio_mmio_base + slot * arch_platform.virtio_mmio_stride;
	return bar_of(slot);
}

/* Where guests find something, or anything. */
static u64 some_address(struct fz *f)
{
	u8 how = fz_u8(f);
	u32 slot = how % 8;

	switch (how >> 4) {
	case 0 ... 4:
		return base_of(slot) + fz_u8(f) + (how & 8 ? BAR_NOTIFY : 0);
	case 5 ... 6:
		return base_of(slot) + BAR_MSIX + fz_u8(f);
	case 7 ... 11:
		return config_address(slot, fz_u8(f));
	case 12 ... 13:
		return 0xfec00000 + (fz_u8(f) & 0x1f);
	default:
		return fz_u64(f);
	}
}

static u16 some_port(struct fz *f)
{
	static const u16 ports[] = { 0x3f8, 0x70, 0x60, 0xcf8, 0x500, 0xf4, 0x600, 0x61 };
	u8 how = fz_u8(f);

	return how & 0x80 ? fz_u16(f) : (u16)(ports[how & 7] + (how >> 3 & 7));
}

static void touch(u32 vcpu, struct fz *f)
{
	u8 how = fz_u8(f);
	u32 len = 1U << (how & 3);
	bool pio = how & 4;
	u64 addr = pio ? some_port(f) : some_address(f);

	give_access(vcpu, pio, !(how & 8), addr, len, how & 16 ? fz_u8(f) : fz_le(f, len));
}

/* Both vcpus at once, in the order that the host likes. */
static void together(struct fz *f)
{
	for (u32 i = 0; i < VCPUS; i++)
		touch(i, f);
}

/* What KVM may hand over, and what it never does. */
static void strange_exit(struct fz *f)
{
	static const u32 reasons[] = {
		KVM_EXIT_IO,
		KVM_EXIT_MMIO,
		KVM_EXIT_IOAPIC_EOI,
		KVM_EXIT_X86_RDMSR,
		KVM_EXIT_X86_WRMSR,
		KVM_EXIT_INTR,
		KVM_EXIT_IO,
		KVM_EXIT_IOAPIC_EOI,
		KVM_EXIT_SHUTDOWN,
		KVM_EXIT_FAIL_ENTRY,
		KVM_EXIT_INTERNAL_ERROR,
		KVM_EXIT_SYSTEM_EVENT,
		KVM_EXIT_HYPERCALL,
		KVM_EXIT_HLT,
		KVM_EXIT_DEBUG,
		KVM_EXIT_MEMORY_FAULT,
	};
	u8 which = fz_u8(f);
	struct kvm_run run = { .exit_reason = reasons[which % ARRAY_SIZE(reasons)] };
	size_t len;
	const u8 *bytes;

	switch (run.exit_reason) {
	case KVM_EXIT_IO: /* a string instruction */
		run.io.direction = which >> 7;
		run.io.size = (u8)(1U << fz_u8(f) % 3);
		run.io.port = some_port(f);
		run.io.count = 1 + fz_u16(f) % (4096u / run.io.size);
		run.io.data_offset = FK_PIO_DATA;
		break;
	case KVM_EXIT_MMIO: /* of any length */
		run.mmio.phys_addr = some_address(f);
		run.mmio.len = 1 + fz_u8(f) % 8;
		run.mmio.is_write = which >> 7;
		break;
	default:
		bytes = fz_bytes(f, 64, &len);
		memcpy(&run.hw, bytes, len);
	}
	bytes = fz_bytes(f, 16, &len);
	fk_give(which >> 6 & 1, &run, bytes, len);
}

/* A driver */

static bool set_up_pci(u32 slot, u8 how)
{
	bool ok = mmio_write(config_address(slot, PCI_BASE_ADDRESS_0), 4, bar_of(slot)) &&
		  mmio_write(config_address(slot, PCI_COMMAND), 2,
			     PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER) &&
		  mmio_write(config_address(slot, MSIXCAP + PCI_MSIX_FLAGS), 2,
			     how & 4 ? 0 : PCI_MSIX_FLAGS_ENABLE);

	for (u32 v = 0; v < 3 && ok && !(how & 4); v++)
		ok = mmio_write(bar_of(slot) + BAR_MSIX + 16 * v, 8, 0xfee00000) &&
		     mmio_write(bar_of(slot) + BAR_MSIX + 16 * v + 8, 8, 0x40 + v);
	return ok && mmio_write(bar_of(slot) + VIRTIO_PCI_COMMON_STATUS, 1, 0) &&
	       mmio_write(bar_of(slot) + VIRTIO_PCI_COMMON_STATUS, 1, 3) &&
	       mmio_write(bar_of(slot) + VIRTIO_PCI_COMMON_GFSELECT, 4, 1) &&
	       mmio_write(bar_of(slot) + VIRTIO_PCI_COMMON_GF, 4, 1) &&
	       mmio_write(bar_of(slot) + VIRTIO_PCI_COMMON_STATUS, 1, 11);
}

static bool set_up_queue(u32 slot, u16 i)
{
	struct vring_driver *q = &s.q[slot][i];
	u64 b = base_of(slot);

	vdrv_setup(q, s.ram, RINGS + (slot * QUEUES + i) * RING_STEP, 16);
	if (s.mmio)
		return mmio_write(b + VIRTIO_MMIO_QUEUE_SEL, 4, i) &&
		       mmio_write(b + VIRTIO_MMIO_QUEUE_NUM, 4, 16) &&
		       mmio_write(b + VIRTIO_MMIO_QUEUE_DESC_LOW, 4, q->desc) &&
		       mmio_write(b + VIRTIO_MMIO_QUEUE_AVAIL_LOW, 4, q->avail) &&
		       mmio_write(b + VIRTIO_MMIO_QUEUE_USED_LOW, 4, q->used) &&
		       mmio_write(b + VIRTIO_MMIO_QUEUE_READY, 4, 1);
	return mmio_write(b + VIRTIO_PCI_COMMON_Q_SELECT, 2, i) &&
	       mmio_write(b + VIRTIO_PCI_COMMON_Q_SIZE, 2, 16) &&
	       mmio_write(b + VIRTIO_PCI_COMMON_Q_MSIX, 2, i + 1u) &&
	       mmio_write(b + VIRTIO_PCI_COMMON_Q_DESCLO, 4, q->desc) &&
	       mmio_write(b + VIRTIO_PCI_COMMON_Q_AVAILLO, 4, q->avail) &&
	       mmio_write(b + VIRTIO_PCI_COMMON_Q_USEDLO, 4, q->used) &&
	       mmio_write(b + VIRTIO_PCI_COMMON_Q_ENABLE, 2, 1);
}

static void set_up(struct fz *f)
{
	u8 how = fz_u8(f);
	u32 slot = (how >> 4) % SLOTS;
	u64 b = base_of(slot);
	bool ok;

	if (s.mmio)
		ok = mmio_write(b + VIRTIO_MMIO_STATUS, 4, 0) &&
		     mmio_write(b + VIRTIO_MMIO_STATUS, 4, 3) &&
		     mmio_write(b + VIRTIO_MMIO_DRIVER_FEATURES_SEL, 4, 1) &&
		     mmio_write(b + VIRTIO_MMIO_DRIVER_FEATURES, 4, 1) &&
		     mmio_write(b + VIRTIO_MMIO_STATUS, 4, 11);
	else
		ok = set_up_pci(slot, how);
	for (u16 i = 0; i < 2 && ok; i++)
		ok = set_up_queue(slot, i);
	if (ok)
		mmio_write(b + (s.mmio ? VIRTIO_MMIO_STATUS : VIRTIO_PCI_COMMON_STATUS),
			   s.mmio ? 4 : 1, 15);
}

/* Some buffers, a request header before them, and a kick. */
static void request(struct fz *f)
{
	u8 how = fz_u8(f), n = fz_u8(f) % 4;
	u32 slot = (how >> 4) % SLOTS, i = how % 2;
	struct vring_driver *q = &s.q[slot][i];
	u32 at = fz_u8(f);

	if (!q->size)
		return;
	put_le(s.ram + RAM - 4096, 4, fz_u8(f) % 16);
	put_le(s.ram + RAM - 4096 + 8, 8, fz_u8(f));
	for (u32 k = 0; k <= n; k++)
		vdrv_desc(q, (at + k) % q->size, RAM - 4096 + 512 * k, k ? 512 : 16,
			  (u16)((k == n || how & 8 ? VRING_DESC_F_WRITE : 0) |
				(k < n ? VRING_DESC_F_NEXT : 0)),
			  (u16)((at + k + 1) % q->size));
	vdrv_offer(q, (u16)(at % q->size));
	give_access(how >> 2 & 1, false, true,
		    base_of(slot) + (s.mmio ? VIRTIO_MMIO_QUEUE_NOTIFY : BAR_NOTIFY + 4 * i),
		    s.mmio ? 4 : 2, i);
}

/* What happens to the machine */

static void save_and_load(struct vm *vm)
{
	struct state_buf a = { 0 }, b = { 0 };
	const char *object = "", *field;

	fz_check(!vm_save(vm, &a));
	fz_check(!vm_load(vm, &(struct state_reader){ a.data, a.len }));
	fz_check(!vm_save(vm, &b));
	field = vm_state_differs(vm, (struct state_reader){ a.data, a.len },
				 (struct state_reader){ b.data, b.len }, &object);
	if (field)
		fprintf(stderr, "%s of %s was loaded and is another\n", field, object);
	fz_check(!field);
	state_buf_free(&a);
	state_buf_free(&b);
}

/* Keys, as many as the device takes. */
static void type(void)
{
	for (u32 i = 0; i < ARRAY_SIZE(s.clients); i++) {
		const struct console_client *c = &s.clients[i];
		size_t room = c->room ? c->room(c->opaque) : 0;

		if (room && s.nr_typed)
			c->input(c->opaque, s.typed, MIN(room, s.nr_typed));
		if (c->resized)
			c->resized(c->opaque, (u16)s.nr_typed, 25);
	}
}

static void on_post(void *opaque)
{
	struct vm *vm = &s.m.vm;

	if (s.what == TYPE) {
		type();
	} else {
		vm_pause(vm);
		fk_check();
		if (s.what == LOAD && vm_stop_reason(vm, NULL, NULL) == VM_STOP_NONE)
			save_and_load(vm);
		vm_resume(vm);
	}
	pthread_mutex_lock(&fk.lock);
	s.posted = false;
	pthread_cond_broadcast(&fk.idle);
	pthread_mutex_unlock(&fk.lock);
}

/* In the main loop. */
static void post(int what)
{
	s.what = what;
	s.post = (struct event_post){ .fn = on_post };
	pthread_mutex_lock(&fk.lock);
	s.posted = true;
	pthread_mutex_unlock(&fk.lock);
	event_loop_post(&s.m.vm.loop, &s.post);
	pthread_mutex_lock(&fk.lock);
	while (s.posted && !s.ended)
		pthread_cond_wait(&fk.idle, &fk.lock);
	pthread_mutex_unlock(&fk.lock);
}

static void step(struct fz *f)
{
	u8 op = fz_u8(f);
	u32 slot = (op >> 4) % SLOTS;

	switch (op % 16) {
	case 0 ... 1:
		set_up(f);
		break;
	case 2 ... 4:
		request(f);
		break;
	case 5 ... 6:
		touch(op >> 4 & 1, f);
		break;
	case 7 ... 8:
		together(f);
		break;
	case 9:
		strange_exit(f);
		break;
	case 10: /* a BAR moves, onto another or not */
		give_access(0, false, true, config_address(slot, PCI_BASE_ADDRESS_0), 4,
			    bar_of(fz_u8(f) % 8));
		break;
	case 11: /* bus mastering, decoding */
		give_access(1, false, true, config_address(slot, PCI_COMMAND), 2, fz_u8(f));
		break;
	case 12: /* MSI-X: on, off, all masked */
		give_access(0, false, true, config_address(slot, MSIXCAP + PCI_MSIX_FLAGS), 2,
			    (u64)fz_u8(f) << 8);
		break;
	case 13: /* a device's own reset */
		give_access(1, false, true,
			    base_of(slot) +
				    (s.mmio ? VIRTIO_MMIO_STATUS : VIRTIO_PCI_COMMON_STATUS),
			    s.mmio ? 4 : 1, 0);
		break;
	case 14:
		post(op & 0x80 ? LOAD : PAUSE);
		break;
	default:
		if (op & 0x80) {
			vm_request_stop(&s.m.vm, VM_STOP_RESET, 0, -1);
			break;
		}
		s.typed = fz_bytes(f, slot * 4, &s.nr_typed);
		post(TYPE);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);
	int fd;

	if (!s.disk) {
		s.disk = memfd_create("disk", MFD_CLOEXEC);
		fz_check(s.disk >= 0 && !ftruncate(s.disk, 65536));
	}
	fd = lowest_fd();
	begin(fz_u8(&f));
	for (int i = 0; i < MAX_OPS && fz_more(&f); i++) {
		step(&f);
		if (!settle())
			break;
	}
	end();
	fz_check(lowest_fd() == fd);
	return 0;
}
