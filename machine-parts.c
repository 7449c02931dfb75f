/* SPDX-License-Identifier: MIT */
/*
 * The parts of a machine. The table below is the order in which devices come into being, are reset
 * and describe themselves, and backwards in which they go: nothing depends on the link order.
 */
#include <stdlib.h>

#include "lkvm/arch.h"
#include "lkvm/balloon.h"
#include "lkvm/config.h"
#include "lkvm/console.h"
#include "lkvm/guest-link.h"
#include "lkvm/hw.h"
#include "lkvm/log.h"
#include "lkvm/machine.h"
#include "lkvm/pci.h"
#include "lkvm/pmem.h"
#include "lkvm/util.h"
#include "lkvm/vfio.h"
#include "lkvm/virtio.h"

/* How many of a part the configuration asks for; most are there or not. */

static u32 one(const struct machine *m)
{
	return 1;
}

static u32 count_flash(const struct machine *m)
{
	return m->open.flash.path ? 1 : 0;
}

static u32 count_pvpanic(const struct machine *m)
{
	return arch_platform.pvpanic.size ? 1 : 0;
}

static u32 count_debug_exit(const struct machine *m)
{
	return arch_platform.debug_exit.size && m->vm.cfg->debug_exit == DEBUG_EXIT_ON ? 1 : 0;
}

static u32 count_boot_mark(const struct machine *m)
{
	return arch_platform.boot_mark.size ? 1 : 0;
}

static u32 count_boot_timers(const struct machine *m)
{
	u32 n = 0;

	while (n < ARRAY_SIZE(arch_platform.boot_timers) && arch_platform.boot_timers[n].size)
		n++;
	return m->vm.cfg->boot_timer ? n : 0;
}

static u32 count_pci_host(const struct machine *m)
{
	return transport_is_pci(m->vm.cfg->transport) ? 1 : 0;
}

static u32 count_disks(const struct machine *m)
{
	return m->open.nr_disks;
}

static u32 count_pmems(const struct machine *m)
{
	return m->open.nr_pmems;
}

static u32 count_nets(const struct machine *m)
{
	return m->open.nr_nets;
}

static u32 count_shares(const struct machine *m)
{
	return m->open.nr_shares;
}

static u32 count_virtiofs(const struct machine *m)
{
	return m->open.nr_virtiofs;
}

static u32 count_rng(const struct machine *m)
{
	return m->vm.cfg->rng ? 1 : 0;
}

static u32 count_balloon(const struct machine *m)
{
	return m->vm.cfg->balloon ? 1 : 0;
}

static u32 count_vsock(const struct machine *m)
{
	return m->open.vsock || m->open.vsock_vhost ? 1 : 0;
}

static u32 count_virtio_console(const struct machine *m)
{
	if (machine_has_own_consoles(m))
		return m->inject->hvc ? 1 : 0;
	return m->vm.cfg->console == CONSOLE_VIRTIO || m->open.nr_ports || m->open.link ? 1 : 0;
}

static u32 count_vfio_set(const struct machine *m)
{
	return m->open.vfio ? 1 : 0;
}

static u32 count_vfios(const struct machine *m)
{
	return m->open.vfio ? m->vm.cfg->nr_vfios : 0;
}

static u32 count_pvpanic_pci(const struct machine *m)
{
	return arch_platform.pvpanic_pci && transport_is_pci(m->vm.cfg->transport) ? 1 : 0;
}

/* Adding one */

static int add_platform(struct machine *m, u32 index)
{
	return arch_add_devices(&m->vm);
}

static int add_flash(struct machine *m, u32 index)
{
	return cfi_flash_create(&m->vm, arch_platform.flash.base, &m->open.flash);
}

/* Consoles by the numbers of struct machine_watch. */
enum { SERIAL_CONSOLE, VIRTIO_CONSOLE, FIRST_PORT };

/* The console that a device is given: whoever watches stands between. */
static struct console *watched(struct machine *m, u32 nr, struct console *con)
{
	const struct machine_watch *watch = m->inject ? m->inject->watch : NULL;
	struct console_watch *w;

	if (!watch || !m->open.watches || !con)
		return con;
	w = &m->open.watches[nr];
	console_watch_init(w, con, nr, watch->output, watch->opaque);
	return &w->con;
}

static bool is_asleep(void *opaque)
{
	return vm_is_asleep(opaque);
}

static void wake(void *opaque)
{
	vm_wake(opaque);
}

/* The guest's console as its device is given it: firmware calls have a share. */
static struct console *shared(struct machine *m, struct console *con)
{
	const struct console_sleeper sleeper = { is_asleep, wake, &m->vm };

	if (!arch_platform.firmware_console || !con)
		return con;
	console_firmware_init(&m->open.firmware, con, &sleeper);
	m->vm.firmware_console = &m->open.firmware;
	return &m->open.firmware.con;
}

static int add_serial(struct machine *m, u32 index)
{
	struct console *con = m->open.console;

	/* Its output is shown in any case; keys go to the console that was chosen. */
	if (machine_has_own_consoles(m)) {
		con = m->inject->serial;
	} else if (m->open.kept) {
		con = m->open.kept;
	} else if (m->vm.cfg->console != CONSOLE_SERIAL) {
		console_output_init(&m->open.serial, m->open.console);
		con = &m->open.serial.con;
	}
	con = watched(m, SERIAL_CONSOLE, con);
	if (machine_has_own_consoles(m) || m->vm.cfg->console == CONSOLE_SERIAL)
		con = shared(m, con);
	return serial_create(&m->vm, &arch_platform.serial, arch_platform.serial_reg_shift, con);
}

static int add_pvpanic(struct machine *m, u32 index)
{
	return pvpanic_create(&m->vm, &arch_platform.pvpanic);
}

static int add_debug_exit(struct machine *m, u32 index)
{
	return debug_exit_create(&m->vm, &arch_platform.debug_exit);
}

static int add_halt_watch(struct machine *m, u32 index)
{
	return halt_watch_create(&m->vm);
}

static int add_boot_mark(struct machine *m, u32 index)
{
	return boot_mark_create(&m->vm, &arch_platform.boot_mark);
}

static int add_boot_timer(struct machine *m, u32 index)
{
	return boot_timer_create(&m->vm, &arch_platform.boot_timers[index]);
}

/* What a boot timer lies in begins behind it: the window by the smallest step of a bridge, the
 * configuration space with half of its buses (PCIe wants its size to divide its base). */
static void make_room(struct arch_pci_layout *l, const struct arch_place *timer)
{
	u64 end = l->mem32_base + l->mem32_size;

	if (timer->base >= l->mem32_base && timer->base < end) {
		l->mem32_base = timer->base + MiB;
		l->mem32_size = end - l->mem32_base;
	}
	if (timer->base >= l->ecam_base && timer->base < l->ecam_base + l->ecam_size) {
		l->ecam_size /= 2;
		l->ecam_base += l->ecam_size;
	}
}

static int add_pci_host(struct machine *m, u32 index)
{
	struct arch_pci_layout *layout = &m->open.pci;

	*layout = arch_platform.pci;
	arch_pci_make_room(&m->vm, layout);
	for (u32 i = 0; i < count_boot_timers(m); i++)
		make_room(layout, &arch_platform.boot_timers[i]);
	return pci_host_add(&m->vm, layout, arch_pci_mem64_base(&m->vm));
}

static int add_disk(struct machine *m, u32 index)
{
	const struct disk_config *dc = &m->vm.cfg->disks[index];
	struct vhost *vhost = m->open.disk_vhosts[index];

	if (vhost)
		return virtio_vhost_blk_create(&m->vm, vhost, dc->readonly, dc->queues, index);
	return virtio_blk_create(&m->vm, m->open.disks[index], index);
}

static int add_pmem(struct machine *m, u32 index)
{
	return virtio_pmem_create(&m->vm, &m->open.pmems[index], index);
}

static int add_net(struct machine *m, u32 index)
{
	const struct machine_net *net = &m->open.nets[index];

	if (net->vhost)
		return virtio_vhost_net_create(&m->vm, net->vhost, net->mac,
					       m->vm.cfg->nets[index].mtu, index);
	return net->nb ? virtio_net_create(&m->vm, net->nb, net->mac, index) : 0;
}

static int add_share(struct machine *m, u32 index)
{
	return virtio_9p_create(&m->vm, m->open.shares[index], index);
}

static int add_rng(struct machine *m, u32 index)
{
	return virtio_rng_create(&m->vm);
}

static int add_balloon(struct machine *m, u32 index)
{
	return virtio_balloon_create(&m->vm, m->vm.cfg->balloon_size);
}

static int add_vsock(struct machine *m, u32 index)
{
	const u64 cid = m->vm.cfg->vsock.cid;

	if (m->open.vsock_vhost)
		return virtio_vhost_vsock_create(&m->vm, m->open.vsock_vhost, cid);
	return virtio_vsock_create(&m->vm, m->open.vsock, cid);
}

static int add_virtio_console(struct machine *m, u32 index)
{
	const struct vm_config *cfg = m->vm.cfg;
	struct virtio_console_port *ports = xcalloc(m->open.nr_ports + 2, sizeof(ports[0]));
	u32 nr = 0;
	int ret;

	if (machine_has_own_consoles(m) || cfg->console == CONSOLE_VIRTIO)
		ports[nr++] = (struct virtio_console_port){
			.con = machine_has_own_consoles(m)
				       ? m->inject->hvc
				       : shared(m, watched(m, VIRTIO_CONSOLE,
							   m->open.kept ? m->open.kept
									: m->open.console)),
			.is_console = true,
		};
	for (u32 i = 0; i < m->open.nr_ports; i++)
		ports[nr++] = (struct virtio_console_port){
			.con = cfg->ports[i].console ? watched(m, FIRST_PORT + i, m->open.ports[i])
						     : m->open.ports[i],
			.name = cfg->ports[i].name,
			.is_console = cfg->ports[i].console,
		};
	if (m->open.link)
		ports[nr++] = (struct virtio_console_port){
			.con = m->open.link,
			.name = LINK_PORT,
		};
	ret = virtio_console_create(&m->vm, ports, nr);
	free(ports);
	return ret;
}

static int add_virtiofs(struct machine *m, u32 index)
{
	return virtio_vhost_fs_create(&m->vm, m->open.virtiofs[index].vhost,
				      m->vm.cfg->virtiofs[index].tag, index);
}

static int add_vfio_set(struct machine *m, u32 index)
{
	return vfio_set_add(&m->vm, m->open.vfio);
}

static int add_vfio(struct machine *m, u32 index)
{
	return vfio_pci_add(&m->vm, vfio_set_device(m->open.vfio, index), index);
}

static int add_pvpanic_pci(struct machine *m, u32 index)
{
	return pvpanic_pci_create(&m->vm);
}

struct part {
	const char *name;
	u32 (*count)(const struct machine *m);
	int (*add)(struct machine *m, u32 index);
};

static const struct part parts[] = {
	{ "platform", one, add_platform },
	{ "flash", count_flash, add_flash },
	{ "serial port", one, add_serial },
	{ "pvpanic", count_pvpanic, add_pvpanic },
	{ "debug exit", count_debug_exit, add_debug_exit },
	{ "halt watch", one, add_halt_watch },
	{ "boot mark", count_boot_mark, add_boot_mark },
	{ "boot timer", count_boot_timers, add_boot_timer },
	{ "PCI host", count_pci_host, add_pci_host },
	{ "disks", count_disks, add_disk },
	{ "networks", count_nets, add_net },
	{ "random numbers", count_rng, add_rng },
	{ "vsock", count_vsock, add_vsock },
	{ "virtio console", count_virtio_console, add_virtio_console },
	{ "shared directories", count_shares, add_share },
	{ "directories by virtio-fs", count_virtiofs, add_virtiofs },
	{ "balloon", count_balloon, add_balloon },
	{ "persistent memory", count_pmems, add_pmem },
	{ "VFIO", count_vfio_set, add_vfio_set },
	{ "passed-through devices", count_vfios, add_vfio },
	/* After the virtio devices, which then have the same slots whether it is there or not. */
	{ "pvpanic on PCI", count_pvpanic_pci, add_pvpanic_pci },
};

int machine_add_parts(struct machine *m)
{
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		u32 count = parts[i].count(m);

		if (count)
			debug("devices: %s", parts[i].name);
		for (u32 index = 0; index < count; index++) {
			int ret = parts[i].add(m, index);

			if (ret)
				return ret;
		}
	}
	return 0;
}
