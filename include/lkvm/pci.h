/* SPDX-License-Identifier: MIT */
/*
 * PCI: one host bridge with one bus of conventional functions (PCI Local Bus 3.0), reached through
 * ECAM (PCI Express 5.0, 7.2.2) and, where the platform has them, the configuration ports. When bus
 * 0 is full, functions go behind PCI-PCI bridges (PCI-to-PCI Bridge Architecture 1.2), which are
 * made for them: functions 1 to 7 of the host bridge's slot, numbered and with windows from the
 * start.
 *
 * At power-on every memory and I/O BAR has an address in the platform's windows and is decoded, so
 * a guest without firmware finds it; bus mastering is off, as on hardware: a driver that does not
 * switch it on gets neither DMA nor messages. A BAR that the guest moves outside the windows, or
 * onto something else, is not decoded.
 *
 * Locks, outer to inner: host->update (one change of configuration at a time, with all that follows
 * from it: BARs move, a driver's registers are reached through a window), host->lock (the bytes of
 * configuration spaces), a device's own, msix->lock (then those of irq.h),
 * host->intx_lock. Bytes are changed under both
 * and read under either. Reading takes host->lock alone, and no change holds that one for longer
 * than it takes to store bytes: a vcpu that reads never waits for what another one's write sets
 * off. BAR handlers run with none of them held. Sending a message takes its route's own alone, so
 * no change of tables delays it.
 */
#ifndef LKVM_PCI_H
#define LKVM_PCI_H

#include <linux/pci.h>
#include <pthread.h>
#include <stdatomic.h>

#include "lkvm/arch.h"
#include "lkvm/bus.h"
#include "lkvm/device.h"
#include "lkvm/irq.h"
#include "lkvm/types.h"

struct aml;
struct fdtw;
struct msix;
struct pci_bus;
struct pci_device;
struct pci_host;
struct vm;

#define PCI_NR_BARS	6
#define PCI_ROM_BAR	PCI_NR_BARS /* in pci_device.bars, behind the others */
#define PCI_NR_SLOTS	32
#define PCI_NR_DEVFNS	256
#define PCI_ROOT_PLACES (8 * (PCI_NR_SLOTS - 1)) /* slot 0 is the host bridge's, and bridges' */
#define PCI_MAX_BRIDGES 7
/* Granularity of a bridge's windows (PCI-to-PCI Bridge Architecture 1.2, 3.2.5.6 to 3.2.5.9). */
#define PCI_IO_GRAIN	(4 * KiB)
#define PCI_MEM_GRAIN	MiB
#define PCI_MAX_PLUGGED (PCI_ROOT_PLACES + PCI_MAX_BRIDGES * PCI_NR_DEVFNS)

/* Callbacks of a function; all may be NULL. */
struct pci_ops {
	/* Bytes [offset, offset+len) are about to be read: refresh them. Under host->lock: at once.
	 */
	void (*config_read)(struct pci_device *pci, u32 offset, u32 len);
	/* The guest is about to write @value: for registers that are kept elsewhere. Nothing is
	 * stored yet. Under host->update, as the next two. */
	void (*config_write)(struct pci_device *pci, u32 offset, u32 value, u32 len);
	/* Bytes [offset, offset+len) were written, as far as they are writable. */
	void (*config_written)(struct pci_device *pci, u32 offset, u32 len);
	/* bars[bar].mapped or .addr changed. */
	void (*bar_moved)(struct pci_device *pci, unsigned int bar);
};

struct pci_bar {
	u64 size;  /* a power of two; 0: no such BAR */
	u32 flags; /* PCI_BASE_ADDRESS_*: the read-only low bits */
	const struct bus_ops *ops;
	void *opaque;
	bool mapped;
	u64 addr; /* where it is mapped, in PCI addresses */
};

/* What a function is: the fixed part of its configuration header. */
struct pci_ident {
	u16 vendor, device;
	u16 subsystem_vendor, subsystem;
	u16 class; /* class << 8 | subclass */
	u8 prog_if;
	u8 revision;
};

/*
 * One function. Its owner embeds it, fills dev.name and dev.ops, builds it with the functions below
 * and calls pci_device_add from dev.ops->realize.
 */
struct pci_device {
	struct device dev;
	const struct pci_ops *ops;
	struct pci_host *host; /* NULL while not plugged */
	struct pci_bus *bus;
	u8 devfn;
	u32 config_size;
	u8 *config;   /* what is read */
	u8 *wmask;    /* bits that the guest may write */
	u8 *initial;  /* the state at power-on */
	u32 next_cap; /* where the next capability goes */
	u32 last_cap; /* the link to fill in */
	struct pci_bar bars[PCI_NR_BARS + 1];
	struct msix *msix; /* NULL: it has none */
	/* Takes what it needs of the host once it has a slot; prints. NULL: nothing. */
	int (*plugged)(struct pci_device *pci);
	atomic_bool bus_master;
	bool no_intx; /* it gets no pin: it has messages alone */
	u8 intx_pin;  /* 1: INTA; 0: none. Does not change once the guest runs */
	/* Under host->intx_lock. */
	bool intx_raised, intx_disabled, intx_counted;
};

/* Bus 0, or the one behind a bridge. Changed under host->update and host->lock. */
struct pci_bus {
	struct pci_bus *next;
	struct pci_device *bridge; /* NULL: bus 0 */
	struct pci_device *functions[PCI_NR_DEVFNS];
};

struct pci_host {
	struct device dev;
	const struct arch_pci_layout *layout;
	u64 mem64_base;
	pthread_mutex_t update;
	pthread_mutex_t lock;
	struct pci_bus root;		     /* and from here the others, as they were made */
	u32 nr_bridges, nr_plugged;	     /* @nr_plugged: without host bridge and bridges */
	u64 next_io, next_mem32, next_mem64; /* BARs are placed upwards from here */
	u32 config_address;		     /* port 0xcf8 */
	atomic_uint reset_control;	     /* port 0xcf9, see hw.h */
	struct pci_device bridge;
	pthread_mutex_t intx_lock;
	struct irq_line intx[4];
	u32 intx_count[4]; /* functions that hold the line */
};

/* A host bridge without registers or quirks: the id that QEMU's documentation gives to its own. */
#define PCI_BRIDGE_GENERIC 0x00081b36U

/* The PCI host bridge of @layout, its window for 64-bit BARs at @mem64_base; at most one in a VM.
 * Prints. */
int pci_host_add(struct vm *vm, const struct arch_pci_layout *layout, u64 mem64_base) __must_check;

/* pci/device.c: building a function, before pci_device_add. */

/* @config_size: PCI_CFG_SPACE_SIZE, or PCI_CFG_SPACE_EXP_SIZE for a PCI Express function. */
void pci_device_init(struct pci_device *pci, const struct pci_ident *id, u32 config_size);
/*
 * @size: a power of two, at least 16 bytes (memory) or 4 (I/O). @flags:
 * PCI_BASE_ADDRESS_SPACE_IO, or PCI_BASE_ADDRESS_MEM_TYPE_64 (takes two registers) and
 * PCI_BASE_ADDRESS_MEM_PREFETCH.
 */
void pci_set_bar(struct pci_device *pci, unsigned int bar, u64 size, u32 flags,
		 const struct bus_ops *ops, void *opaque);
/* The expansion ROM: a memory BAR with a bit of its own that switches decoding on (6.2.5.2), off at
 * power-on. @size: a power of two, at least 2 KiB. */
void pci_set_rom(struct pci_device *pci, u64 size, const struct bus_ops *ops, void *opaque);
/* Append a capability of @len bytes; returns its offset, bytes after the header zero and
 * read-only. The caller fills pci->config and pci->wmask. */
u8 pci_add_capability(struct pci_device *pci, u8 id, u8 len);
/* pci/plug.c: give it a slot, on a bus that is made for it if need be, BAR addresses and its
 * interrupt pin. Prints; 0, -ENOSPC. */
int pci_device_add(struct pci_host *host, struct pci_device *pci) __must_check;
/* It gets no pin after all: nobody raises INTx for it. Before the guest starts. */
void pci_take_intx_pin(struct pci_device *pci);
/* pci/device.c: back to power-on; for dev.ops->reset. */
void pci_device_reset(struct pci_device *pci);
/* The guest reset this function alone (PCI Express 5.0, 6.6.2): no BAR has an address or is
 * decoded, bus mastering is off. Under host->update. */
void pci_function_reset(struct pci_device *pci);
/* Its configuration space was loaded: follow it (BARs, bus mastering, INTx). One that is behind a
 * bridge is loaded, and reset, after the bridge. */
void pci_device_restored(struct pci_device *pci);
/* Unplug and free what pci_device_init made. Safe when it was never added. */
void pci_device_fini(struct pci_device *pci);

/* Hold or release the function's INTx line. Any thread. */
void pci_set_intx(struct pci_device *pci, bool level);

/*
 * Configuration space accesses of 1, 2 or 4 bytes; one that leaves its aligned word of 4 bytes, and
 * one of a function that is not there, reads all ones and writes nothing. @bdf: bus << 8 | devfn,
 * with the numbers that the guest gave to buses.
 */
u32 pci_config_read(struct pci_host *host, u16 bdf, u32 offset, u32 len);
void pci_config_write(struct pci_host *host, u16 bdf, u32 offset, u32 value, u32 len);
/* As if the guest wrote it to @pci. */
void pci_device_write(struct pci_device *pci, u32 offset, u32 value, u32 len);
/* The id that its messages carry: a bridge takes the place of who is behind it (PCI Express to
 * PCI/PCI-X Bridge 1.0, 2.3), which is what guests' tables for it are made for. */
static inline u32 pci_requester(const struct pci_device *pci)
{
	return pci->bus->bridge ? pci->bus->bridge->devfn : pci->devfn;
}
/* For a function that acts on bytes which config_read may refresh meanwhile. */
void pci_config_copy(struct pci_device *pci, u32 offset, void *buf, u32 len);

/* pci/device.c, for plug.c and bridge.c. */

/* Which of the host's four lines its pin leads to. */
unsigned int pci_intx_line(const struct pci_device *pci);
/* It is @devfn of @bus. Under both locks. */
void pci_place(struct pci_host *host, struct pci_device *pci, struct pci_bus *bus, u8 devfn);
/* The bridge's command register changed: if that switches bus mastering of @pci, it is as if its
 * own had been written. Under host->update. */
void pci_follow_bridge(struct pci_device *pci);

/* pci/bridge.c: for plug.c. One more bridge, with an empty bus behind it. Prints; -errno. */
int pci_bridge_add(struct pci_host *host) __must_check;
/* Its windows reach to what was placed last. Under both locks. */
void pci_bridge_grow(struct pci_device *bridge);

/* pci/bar.c: for the others here, under host->update. Follow what the registers of @pci say, or
 * those of the bridge of @bus. */
void pci_update_bars(struct pci_device *pci);
void pci_update_bus_bars(struct pci_bus *bus);
/* First addresses; -ENOSPC when a window is full. Prints. */
int pci_assign_bars(struct pci_device *pci) __must_check;
void pci_unmap_bars(struct pci_device *pci);
/* Where a mapped BAR is on the bus that carries it: true, of ports; false, of MMIO. For a
 * function's own bar_moved. */
bool pci_bar_place(const struct pci_device *pci, unsigned int bar, u64 *addr);

/*
 * pci/state.c: what a function remembers, as a device's whole state or a part of it; what MSI-X
 * does, a part. An owner of parts calls msix_save in its save hook; pci_device_restored,
 * then msix_load in its load hook.
 */
extern const struct device_state pci_device_state;
extern const struct device_state pci_host_state;
extern const struct device_state msix_state;

/* pci/acpi.c: the host bridge in the scope \_SB. */
void pci_host_describe_acpi(struct device *dev, struct aml *aml);
/* pci/fdt.c: its node in the root. */
void pci_host_describe_fdt(struct device *dev, struct fdtw *fdt);

/* pci/msix.c: the MSI-X capability (PCI 3.0, 6.8.2). The owner's BAR handlers forward accesses of
 * the table and the pending bits. */
#define MSIX_MAX_VECTORS 2048

struct msix {
	struct pci_device *pci;
	u8 cap; /* offset of the capability */
	u16 nr;
	bool added;	     /* the routes are there */
	atomic_bool enabled; /* Message Control */
	pthread_mutex_t lock;
	bool masked;  /* Message Control */
	bool master;  /* the command register's bit */
	u8 *table;    /* 16 bytes for each vector */
	u64 *pending; /* the bits when they were last looked at: the routes have them */
	struct msi_route **routes; /* one for each vector */
	/* Vectors [first, first+n) changed: their own masks, or whether any is enabled. Under lock.
	 * NULL: nobody cares. */
	void (*changed)(struct msix *msix, u32 first, u32 n);
};

/* Both parts are in BAR @bar, 8-byte aligned. Before pci_device_add. */
void msix_init(struct msix *msix, struct pci_device *pci, u16 nr, u8 bar, u32 table_offset,
	       u32 pba_offset);
/*
 * The same over a capability that is in pci->config at @cap already: its size, table and pending
 * bits stay as they are there. Who does this calls msix_take_routes once the function is plugged.
 */
void msix_init_at(struct msix *msix, struct pci_device *pci, u8 cap);
/* A GSI and an eventfd for each vector, before the guest starts. Prints; -errno. */
int msix_take_routes(struct msix *msix) __must_check;
void msix_fini(struct msix *msix);
/* Back to power-on: disabled, every vector masked. The vectors keep their fds. */
void msix_reset(struct msix *msix);
/* From pci_ops.config_written, for any offset. */
void msix_config_written(struct msix *msix, u32 offset, u32 len);
bool msix_enabled(struct msix *msix);
/* Enabled, and not masked by its own bit: the driver uses it. For @changed, under msix->lock. */
bool msix_vector_wanted(const struct msix *msix, u32 v);
/* Send vector @v, or remember it while it is masked. Any @v; any thread. */
void msix_notify(struct msix *msix, u32 v);
/*
 * A write of an 8-byte 1 to this eventfd does what msix_notify(@v) does: for vhost, vhost-user,
 * VFIO. It is msix's, and the same until msix_fini, whatever the guest does. -errno: there is none.
 * After pci_device_add, before the guest starts.
 */
int msix_fd(struct msix *msix, u32 v);
/*
 * State, besides configuration space, is @table and @pending. Save: makes @pending true. Load: when
 * both and configuration space are back, the vectors follow. vcpus are parked.
 */
void msix_save(struct msix *msix);
void msix_load(struct msix *msix);
static inline u32 msix_table_size(const struct msix *msix)
{
	return msix->nr * 16u;
}
static inline u32 msix_pba_size(const struct msix *msix)
{
	return (msix->nr + 63u) / 64 * 8;
}
/* @offset is relative to the table or the pending bits; beyond them reads are zero, writes dropped.
 */
void msix_table_read(struct msix *msix, u64 offset, void *data, u32 len);
void msix_table_write(struct msix *msix, u64 offset, const void *data, u32 len);
void msix_pba_read(struct msix *msix, u64 offset, void *data, u32 len);

/*
 * pci/msi.c: the MSI capability (PCI Local Bus 3.0, 6.8.1), over one that is in pci->config: its
 * control word says how many messages it has, how wide the address is, and whether each has a mask.
 */
#define MSI_MAX_VECTORS 32U

struct msi_cap {
	struct pci_device *pci; /* NULL: not initialized */
	u8 cap;
	u32 nr;		     /* messages that it has */
	bool wide, maskable; /* 64-bit addresses; masks and pending bits */
	pthread_mutex_t lock;
	bool enabled;				   /* Message Control */
	struct msi_route *routes[MSI_MAX_VECTORS]; /* NULL: not taken */
};

/* How many bytes a capability with this Message Control has. */
u32 msi_cap_size(u32 control);
/* Back to power-on, and writable where it has to be. Before pci_device_add. */
void msi_cap_init(struct msi_cap *msi, struct pci_device *pci, u8 cap);
/* A GSI and an eventfd for each message, once it is plugged, before the guest starts. Prints;
 * -errno. */
int msi_cap_take_routes(struct msi_cap *msi) __must_check;
/* Safe on zeroes, twice too. */
void msi_cap_fini(struct msi_cap *msi);
/* Disabled; the fds stay. The registers are back to power-on already, or will be. */
void msi_cap_reset(struct msi_cap *msi);
/* From pci_ops, for any offset: config_read makes the pending bits. */
void msi_cap_config_read(struct msi_cap *msi, u32 offset, u32 len);
void msi_cap_config_written(struct msi_cap *msi, u32 offset, u32 len);
/* How many messages the guest uses: 0 while disabled, else a power of two up to @nr. Under
 * host->update. */
u32 msi_cap_used(const struct msi_cap *msi);
/* As msix_fd. */
int msi_cap_fd(struct msi_cap *msi, u32 v);

#endif
