// SPDX-License-Identifier: MIT
/*
 * The whole device side under ThreadSanitizer: vcpus drive devices by the rules (driver.h) and
 * against them (hammer.h) while queues' loops, disk workers and the main loop serve, memory comes
 * and goes, and the main thread pauses, saves, loads, resets and ends the machine.
 *
 *	storm [SEED [LIVES]]
 *
 * A run does the same amount of work however fast the machine is; the seed decides what is done,
 * not when.
 */
#include "board.h"
#include "driver.h"
#include "hammer.h"
#include "lkvm/device.h"
#include "lkvm/disk.h"
#include "lkvm/fs.h"
#include "lkvm/hw.h"
#include "lkvm/net.h"
#include "lkvm/state.h"
#include "port.h"

#define NR_VCPUS   4
#define NR_DRIVERS (2 * NR_KINDS) /* over PCI, then over MMIO */
#define NR_VICTIMS (2 * NR_KINDS)
#define NR_DISKS   4
/* Steps of all vcpus between two things that the main thread does; what it does in a life; every so
 * many of them all requests have to be back. */
#define STEPS	400
#define ACTIONS 60
#define SETTLE	10

#define ECAM	0x1000000000ULL
#define BARS	0x10000000ULL
#define HW	0x20000000ULL /* devices in MMIO, 1 MiB each */
#define INTX	32u
#define HW_LINE 40u

static const struct arch_pci_layout layout = {
	.ecam_base = ECAM,
	.ecam_size = 1 * MiB,
	.mem32_base = BARS,
	.mem32_size = 16 * MiB,
	.config_ports = true,
	.intx_gsi = { INTX, INTX + 1, INTX + 2, INTX + 3 },
};

/* What vcpus write to at random. @shy: a write may end the VM, so they are rare. */
static const struct range {
	bool pio, shy;
	u64 first, last;
} ranges[] = {
	{ .pio = true, .first = 0x3f8, .last = 0x3ff }, /* serial */
	{ .pio = true, .first = 0x70, .last = 0x71 },	/* cmos */
	{ .pio = true, .first = 0x60, .last = 0x64, .shy = true },
	{ .pio = true, .first = 0xcf8, .last = 0xcfb },		     /* the address, not the data */
	{ .pio = true, .first = 0x500, .last = 0x500, .shy = true }, /* pvpanic */
	{ .pio = true, .first = 0x510, .last = 0x513, .shy = true }, /* debug exit */
	{ .first = HW + 0 * MiB, .last = HW + 0 * MiB + 0x20 },	     /* serial */
	{ .first = HW + 1 * MiB, .last = HW + 1 * MiB + 1 },	     /* mc146818 */
	{ .first = HW + 2 * MiB, .last = HW + 2 * MiB + 0x20 },	     /* pl031 */
	{ .first = HW + 3 * MiB, .last = HW + 3 * MiB + 0x420 },     /* pl061 */
	{ .first = HW + 4 * MiB, .last = HW + 4 * MiB + 0x1ffff },   /* flash */
	{ .first = ECAM, .last = ECAM + 0xff },			     /* the host bridge */
};

struct storm {
	struct board b;
	char dir[32];
	struct echo echo[5];
	struct disk *disks[NR_DISKS];
	struct net_backend *nets[4];
	struct share *shares[4];
	struct watched *pmems[4];
	struct device *power_key;
	struct flash_file flash;
	char *flash_path;
	struct driver drivers[NR_DRIVERS];
	struct victim victims[NR_VICTIMS];
	u32 nr_drivers, nr_victims, nr_disks, nr_nets, nr_echos, nr_shares, nr_pmems;
	u64 seeds[NR_VCPUS];
	u64 seed; /* the main thread's */
	struct event_post pause_post;
	atomic_uint steps;
	atomic_bool calm, extra;
	atomic_uint settled; /* vcpus, a bit each */
	u32 quiet[NR_VCPUS]; /* steps in which their drivers go on before they drain */
	u32 pauses, saves, refusals, loads, resets;
};

/* Making */

static char *make_file(struct storm *s, const char *name, u64 size)
{
	char *path = xasprintf("%s/%s", s->dir, name);
	FILE *f = fopen(path, "w");

	must(f && !ftruncate(fileno(f), (off_t)size), "no file %s", path);
	fclose(f);
	return path;
}

static struct console *new_echo(struct storm *s)
{
	struct echo *e = &s->echo[s->nr_echos++];

	echo_init(e, &s->b.vm.loop);
	return &e->con;
}

static struct disk *new_disk(struct storm *s)
{
	char name[16];
	struct disk_config cfg = { 0 };

	snprintf(name, sizeof(name), "disk%u", s->nr_disks);
	cfg.path = make_file(s, name, 128 * KiB);
	must(!disk_open(&cfg, &s->disks[s->nr_disks]), "no disk");
	s->disks[s->nr_disks]->path = "disk";
	free(cfg.path);
	return s->disks[s->nr_disks++];
}

/* Each has a directory of its own: victims remove what they find. */
static struct share *new_share(struct storm *s)
{
	char *path = xasprintf("%s/share%u", s->dir, s->nr_shares);
	struct share_config cfg = { .path = path, .tag = (char *)"share" };

	must(!mkdir(path, 0755) &&
		     !share_open(&cfg, ARRAY_SIZE(s->shares), &s->shares[s->nr_shares]),
	     "no share");
	free(path);
	return s->shares[s->nr_shares++];
}

static struct pmem *new_pmem(struct storm *s)
{
	struct watched *w = xcalloc(1, sizeof(*w));
	char name[16], *path;

	snprintf(name, sizeof(name), "pmem%u", s->nr_pmems);
	path = make_file(s, name, PMEM_SIZE);
	watched_init(w, &s->b, path, s->nr_pmems);
	free(path);
	s->pmems[s->nr_pmems++] = w;
	return &w->pmem;
}

static void make_virtio(struct storm *s, enum kind kind)
{
	static const u8 mac[6] = { 2 };
	struct vm *vm = &s->b.vm;
	int ret = -EINVAL;

	switch (kind) {
	case BLK:
		ret = virtio_blk_create(vm, new_disk(s), s->nr_disks);
		break;
	case NET:
		must(!net_loopback_open(&s->nets[s->nr_nets]), "no network");
		ret = virtio_net_create(vm, s->nets[s->nr_nets], mac, s->nr_nets);
		s->nr_nets++;
		break;
	case CON:
		ret = virtio_console_create(vm, &(struct virtio_console_port){ .con = new_echo(s) },
					    1);
		break;
	case P9:
		ret = virtio_9p_create(vm, new_share(s), s->nr_shares);
		break;
	case PMEM:
		ret = virtio_pmem_create(vm, new_pmem(s), s->nr_pmems);
		break;
	default:
		ret = virtio_rng_create(vm);
	}
	must(!ret, "no virtio device");
}

/* The registers of the device that was made last, the @n-th of its transport. */
static struct port find_port(struct storm *s, bool pci, u32 n)
{
	const struct arch_platform *a = &arch_platform;
	struct port p = { .vm = &s->b.vm, .pci = pci };
	u32 slot = 0;

	if (!pci) {
		p.base = a->virtio_mmio_base + n * a->virtio_mmio_stride;
		p.gsi = a->virtio_mmio_gsi + n;
		return p;
	}
	for (u32 i = 1; i < PCI_NR_SLOTS; i++)
		if (s->b.vm.pci->root.functions[8 * i])
			slot = i;
	p.ecam = ECAM + slot * 8 * 0x1000;
	p.gsi = INTX + slot % 4;
	p.msix_cap = port_find_cap(&p, PCI_CAP_ID_MSIX);
	p.bars[0] = BARS + 0x800000 + slot * 2 * BAR_SIZE;
	p.bars[1] = p.bars[0] + BAR_SIZE;
	return p;
}

static void make_all_virtio(struct storm *s, bool pci)
{
	s->b.cfg.transport = pci ? TRANSPORT_PCI : TRANSPORT_MMIO;
	for (u32 i = 0; i < 2 * NR_KINDS; i++) {
		enum kind kind = (enum kind)(i / 2);
		u32 id = s->nr_drivers + NR_DRIVERS;

		make_virtio(s, kind);
		if (i & 1)
			victim_init(&s->victims[s->nr_victims], &s->b, kind,
				    NR_DRIVERS + s->nr_victims, find_port(s, pci, i));
		else
			driver_init(&s->drivers[s->nr_drivers], &s->b, kind, s->nr_drivers,
				    rnd(&s->seed) + id, find_port(s, pci, i));
		if (kind == PMEM && !(i & 1))
			s->drivers[s->nr_drivers].pmem = s->pmems[s->nr_pmems - 1];
		if (i & 1)
			s->nr_victims++;
		else
			s->nr_drivers++;
	}
}

static struct arch_place place(bool pio, u64 base, u64 size, u32 n)
{
	return (struct arch_place){ .pio = pio, .base = base, .size = size, .gsi = HW_LINE + n };
}

static void make_hw(struct storm *s)
{
	struct vm *vm = &s->b.vm;
	struct arch_place com1 = place(true, 0x3f8, 8, 0), com2 = place(false, HW, 0x100, 1);
	struct arch_place panic = place(true, 0x500, 1, 0), end = place(true, 0x510, 4, 0);
	struct arch_place clock = place(false, HW + 1 * MiB, 0x1000, 2);
	struct arch_place pl031 = place(false, HW + 2 * MiB, 0x1000, 3);
	struct arch_place pl061 = place(false, HW + 3 * MiB, 0x1000, 4);

	com1.edge = true;
	must(!pci_host_add(vm, &layout, 0x2000000000ULL), "no PCI");
	must(!serial_create(vm, &com1, 0, new_echo(s)) && !serial_create(vm, &com2, 2, NULL),
	     "no serial port");
	must(!pvpanic_create(vm, &panic) && !pvpanic_pci_create(vm), "no pvpanic");
	must(!debug_exit_create(vm, &end) && !i8042_create(vm), "no debug exit");
	must(!cmos_rtc_create(vm) && !mc146818_create(vm, &clock) && !pl031_create(vm, &pl031),
	     "no clock");
	must(!pl061_create(vm, &pl061, &s->power_key), "no power key");
	s->flash_path = make_file(s, "flash", 128 * KiB);
	must(!flash_file_open(&s->flash, s->flash_path, MiB) &&
		     !cfi_flash_create(vm, HW + 4 * MiB, &s->flash),
	     "no flash");
}

static void on_pause(void *opaque);

static struct storm *make(u64 seed)
{
	struct storm *s = xcalloc(1, sizeof(*s));

	s->seed = seed;
	strcpy(s->dir, "/tmp/lkvm-storm.XXXXXX");
	must(mkdtemp(s->dir), "no directory");
	board_init(&s->b);
	make_hw(s);
	make_all_virtio(s, true);
	make_all_virtio(s, false);
	for (u32 i = 0; i < NR_VCPUS; i++)
		s->seeds[i] = rnd(&s->seed) + i + 1;
	s->pause_post = (struct event_post){ .fn = on_pause, .opaque = s };
	return s;
}

/* vcpus */

static void hammer_hw(struct storm *s, u64 *seed)
{
	const struct range *r = &ranges[below(seed, ARRAY_SIZE(ranges))];
	struct bus *bus = r->pio ? &s->b.vm.pio : &s->b.vm.mmio;
	u64 addr = r->first + below(seed, (u32)(r->last - r->first + 1));
	u32 len = 1u << below(seed, 4);
	u64 value = rnd(seed);

	if (rnd(seed) & 1 || (r->shy && below(seed, 20)))
		bus_read(bus, addr, &value, len);
	else
		bus_write(bus, addr, &value, len);
}

static void change_memory(struct storm *s)
{
	struct vm *vm = &s->b.vm;

	if (atomic_load(&s->extra))
		must(!vm_remove_memory(vm, EXTRA), "memory stays");
	else
		must(!memory_add(&vm->mem,
				 &(struct memory_desc){
					 .gpa = EXTRA,
					 .size = EXTRA_SIZE,
					 .name = "extra",
				 }),
		     "memory does not come");
	atomic_store(&s->extra, !atomic_load(&s->extra));
}

static void touch_memory(struct storm *s, u32 vcpu, u64 *seed)
{
	u64 gpa = EXTRA + EXTRA_OWN + vcpu * 0x1000, value = rnd(seed);
	volatile u64 *p = memory_ptr(&s->b.vm.mem, gpa, sizeof(*p));

	/* What was found stays until the step ends; another look may find that it goes. */
	if (!p)
		return;
	*p = value;
	sched_yield();
	must(*p == value, "memory went while it was used");
}

/* What is rare. */
static void do_something(struct storm *s, u32 vcpu, u64 *seed)
{
	switch (below(seed, 4)) {
	case 0:
		pl061_press(s->power_key);
		break;
	case 1:
		event_loop_post(&s->b.vm.loop, &s->pause_post);
		break;
	default:
		if (!vcpu)
			change_memory(s);
	}
}

static void drive(struct storm *s, u32 vcpu, bool calm)
{
	enum mode mode = !calm ? WILD : s->quiet[vcpu] ? QUIET : DRAIN;
	bool settled = mode == DRAIN;

	if (mode == QUIET)
		s->quiet[vcpu]--;

	for (u32 i = vcpu; i < s->nr_drivers; i += NR_VCPUS) {
		driver_step(&s->drivers[i], mode);
		settled &= driver_settled(&s->drivers[i]);
	}
	if (settled &&
	    (atomic_fetch_or(&s->settled, 1u << vcpu) | 1u << vcpu) == (1u << NR_VCPUS) - 1)
		vm_request_stop(&s->b.vm, VM_STOP_QUIT, 0, (s32)vcpu);
}

static void step(struct vcpu *vcpu, void *opaque)
{
	struct storm *s = opaque;
	u64 *seed = &s->seeds[vcpu->id];
	bool calm = atomic_load(&s->calm);

	chip_deliver(&s->b.chip);
	if (!calm || !(atomic_load(&s->settled) & 1u << vcpu->id))
		drive(s, vcpu->id, calm);
	touch_memory(s, vcpu->id, seed);
	victim_step(&s->victims[below(seed, s->nr_victims)], seed);
	/* A pause, a mask, a needless notification: each would make good for one that was lost. */
	if (calm) {
		sched_yield();
		return;
	}
	hammer_hw(s, seed);
	bother(&s->drivers[below(seed, s->nr_drivers)], seed);
	if (!below(seed, 100))
		do_something(s, vcpu->id, seed);
	if (atomic_fetch_add(&s->steps, 1) % STEPS == STEPS - 1)
		vm_request_stop(&s->b.vm, VM_STOP_QUIT, 0, (s32)vcpu->id);
}

/* The main thread */

/* As the machine's thread does it inside its loop. */
static void on_pause(void *opaque)
{
	struct storm *s = opaque;

	board_pause(&s->b);
	board_check_paused(&s->b);
	vm_resume(&s->b.vm);
	s->pauses++;
}

/* A machine as it was, but for what refuses: shares in use, and victims whose replies wait since
 * somebody switched their bus mastering off. */
struct saved {
	struct state_buf buf;
	u64 refused; /* a bit for each device, in their order */
};

/* How many shares have the drivers in use, as far as they know? */
static u32 nr_mounted(const struct storm *s)
{
	u32 n = 0;

	for (u32 i = 0; i < s->nr_drivers; i++)
		n += s->drivers[i].client.phase == P9_READY;
	return n;
}

static struct saved save(struct storm *s)
{
	static const char *const reasons[] = { "has it mounted", "wait for PCI bus mastering" };
	u32 n = 0, refused = 0, counts[ARRAY_SIZE(reasons)] = { 0 };
	struct quiet quiet = quiet_begin();
	struct saved saved = { 0 };

	for (struct device *dev = s->b.vm.devices; dev; dev = dev->next, n++) {
		size_t len = saved.buf.len;

		if (!device_save(dev, &saved.buf))
			continue;
		saved.buf.len = len;
		saved.refused |= BIT_ULL(n);
		refused++;
	}
	quiet_end(&quiet, reasons, counts, ARRAY_SIZE(reasons));
	must(counts[0] + counts[1] == refused, "a device that was not saved says why");
	must(n <= 64 && counts[0] >= nr_mounted(s), "files in use are saved");
	s->saves++;
	s->refusals += refused;
	return saved;
}

static void load(struct storm *s, const struct saved *saved)
{
	struct state_reader in = { saved->buf.data, saved->buf.len };
	u32 n = 0;

	for (struct device *dev = s->b.vm.devices; dev; dev = dev->next, n++)
		must(saved->refused & BIT_ULL(n) || !device_load(dev, &in), "%s is not loaded",
		     dev->name);
	/* A loaded card begins anew on the host: what was under way there went with the old one. */
	for (u32 i = 0; i < s->nr_drivers; i++)
		s->drivers[i].certain = s->drivers[i].next_seq;
	s->loads++;
}

static void reset(struct storm *s)
{
	vm_reset_devices(&s->b.vm);
	for (u32 i = 0; i < s->nr_drivers; i++)
		driver_forget(&s->drivers[i]);
	s->resets++;
}

/* Of a paused machine. */
static void act(struct storm *s)
{
	struct saved saved;

	switch (below(&s->seed, 5)) {
	case 0:
		board_check_paused(&s->b);
		reset(s);
		break;
	case 1:
	case 2:
		saved = save(s);
		load(s, &saved);
		board_check_paused(&s->b);
		state_buf_free(&saved.buf);
		break;
	case 3:
		change_memory(s);
		break;
	default:
		board_check_paused(&s->b);
	}
}

/* The loop, as machine_run has it. */
static void run(struct storm *s)
{
	struct vm *vm = &s->b.vm;

	vm_resume(vm);
	event_loop_run(&vm->loop);
	board_pause(&s->b);
	vm_clear_stop(vm, vm_stop_reason(vm, NULL, NULL));
}

/* Let everything come back that is under way. */
static void settle(struct storm *s)
{
	atomic_store(&s->settled, 0);
	for (u32 i = 0; i < NR_VCPUS; i++)
		s->quiet[i] = STEPS;
	atomic_store(&s->calm, true);
	while (atomic_load(&s->settled) != (1u << NR_VCPUS) - 1)
		run(s);
	atomic_store(&s->calm, false);
}

static void unmake(struct storm *s)
{
	char *command = xasprintf("rm -r %s", s->dir);

	vm_destroy_devices(&s->b.vm);
	for (u32 i = 0; i < s->nr_disks; i++)
		disk_close(s->disks[i]);
	for (u32 i = 0; i < s->nr_nets; i++)
		s->nets[i]->ops->close(s->nets[i]);
	for (u32 i = 0; i < s->nr_shares; i++)
		share_close(s->shares[i]);
	for (u32 i = 0; i < s->nr_pmems; i++) {
		pmem_close(&s->pmems[i]->pmem);
		free(s->pmems[i]);
	}
	flash_file_close(&s->flash);
	free(s->flash_path);
	board_fini(&s->b);
	must(!system(command), "files stay");
	free(command);
	free(s);
}

static void report(const struct storm *s)
{
	static const char *const names[] = { "blk", "net", "console", "rng", "9p", "pmem" };

	for (u32 i = 0; i < s->nr_drivers; i++) {
		const struct driver *d = &s->drivers[i];

		printf("# %s over %s: %llu and %llu requests, %llu stops\n", names[d->kind],
		       d->port.pci ? "PCI" : "MMIO", d->done[0], d->done[1], d->stops);
		if (d->kind == P9)
			printf("# of them %llu flushed, without an answer\n", d->client.dropped);
		must(d->done[0] && (d->nr_queues == 1 || d->done[1]), "device %u did nothing", i);
	}
	for (u32 i = 0; i < s->nr_victims; i++)
		must(victim_served(&s->victims[i]), "victim %u did nothing", i);
	printf("# %u pauses, %u saves (%u devices refused), %u loads, %u resets\n", s->pauses,
	       s->saves, s->refusals, s->loads, s->resets);
}

/* @abrupt: it ends in the middle of everything, as by a signal. */
static void live(u64 seed, bool abrupt)
{
	struct storm *s = make(seed);
	u32 actions = abrupt ? ACTIONS / 10 : ACTIONS;

	board_start(&s->b, NR_VCPUS, step, s);
	for (u32 i = 0; i < actions; i++) {
		run(s);
		act(s);
		if (!abrupt && i % SETTLE == SETTLE - 1)
			settle(s);
	}
	if (abrupt) {
		vm_resume(&s->b.vm);
		event_loop_run(&s->b.vm.loop);
		vm_park(&s->b.vm);
	} else {
		report(s);
	}
	vm_stop_vcpus(&s->b.vm);
	unmake(s);
}

int main(int argc, char **argv)
{
	u64 seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 0x6c6b766d;
	u32 lives = argc > 2 ? (u32)strtoul(argv[2], NULL, 0) : 3;

	alarm(LIMIT_SECONDS);
	printf("1..%u\n# seed 0x%llx\n", lives, seed);
	for (u32 i = 0; i < lives; i++) {
		live(seed + i, i % 2);
		printf("ok %u - a machine under several vcpus, ended %s\n", i + 1,
		       i % 2 ? "at work" : "at rest");
		fflush(stdout);
	}
	return 0;
}
