/* SPDX-License-Identifier: MIT */
/*
 * A model of KVM in the program (Linux Documentation/virt/kvm/api.rst): the program that includes
 * this has an ioctl of its own, which answers KVM's requests. A whole machine runs over it, with
 * vcpu threads, when any file serves as /dev/kvm; KVM_RUN waits for the exit that a test gives.
 *
 * It keeps what a VM holds of KVM (ioeventfds, irqfds, routes, memory slots) and obeys KVM's rules;
 * what no program may do that keeps account of these, whatever its guest does, is a fault and ends
 * the test: an eventfd bound twice, one taken away that is not there, slots on top of each other.
 */
#ifndef TEST_FAKE_KVM_H
#define TEST_FAKE_KVM_H

#include <errno.h>
#include <fcntl.h>
#include <kvm-compat.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lkvm/thread.h"
#include "lkvm/types.h"

#define FK_VCPUS    4
#define FK_FDS	    1024
#define FK_ROUTES   4096
#define FK_SLOTS    64
#define FK_RUN_SIZE 12288 /* with the page of port data behind the first, as on x86 */
#define FK_PIO_DATA 4096
#define FK_BLOBS    16

#define fk_must(condition, ...)                                                            \
	do {                                                                               \
		if (!(condition)) {                                                        \
			fprintf(stderr, "fake KVM: " __VA_ARGS__);                         \
			fprintf(stderr, " (%s:%d: %s)\n", __func__, __LINE__, #condition); \
			abort();                                                           \
		}                                                                          \
	} while (0)

struct fk_vcpu {
	int fd; /* a memfd: mapping it maps the run structure; -1: there is none */
	struct kvm_run *run;
	/* Under lock: an exit waits to be taken; the vcpu waits for one in KVM_RUN. */
	bool has_exit, waits;
	struct kvm_run exit;
	u8 pio[4096];
	int wake; /* eventfd */
	/* What was set, by request: fields of the state are only kept. */
	struct {
		unsigned int nr;
		void *data;
	} blobs[FK_BLOBS];
};

struct fake_kvm {
	pthread_mutex_t lock;
	pthread_cond_t idle; /* a vcpu came to KVM_RUN, or left it without an exit */
	int vm_fd;
	/* A second VM, from which it is read what KVM makes, and its vcpu of the moment. */
	int second_fd, second_vcpu_fd;
	struct fk_vcpu vcpus[FK_VCPUS];
	u32 nr_vcpus;
	struct kvm_ioeventfd ioeventfds[FK_FDS];
	u32 nr_ioeventfds;
	struct kvm_irqfd irqfds[FK_FDS];
	u32 nr_irqfds;
	struct kvm_irq_routing_entry routes[FK_ROUTES];
	u32 nr_routes;
	struct kvm_userspace_memory_region slots[FK_SLOTS];
	u32 nr_slots;
	atomic_ulong lines, messages; /* KVM_IRQ_LINE, KVM_SIGNAL_MSI */
};

static struct fake_kvm fk = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.idle = PTHREAD_COND_INITIALIZER,
	.vm_fd = -1,
	.second_fd = -1,
	.second_vcpu_fd = -1,
};

/* Notifications and interrupts */

/* ioeventfd_check_collision of virt/kvm/eventfd.c. */
static bool fk_collide(const struct kvm_ioeventfd *a, const struct kvm_ioeventfd *b)
{
	u32 pio = KVM_IOEVENTFD_FLAG_PIO, match = KVM_IOEVENTFD_FLAG_DATAMATCH;

	return (a->flags & pio) == (b->flags & pio) && a->addr == b->addr &&
	       (!a->len || !b->len ||
		(a->len == b->len &&
		 (!(a->flags & match) || !(b->flags & match) || a->datamatch == b->datamatch)));
}

static int fk_ioeventfd(const struct kvm_ioeventfd *io)
{
	bool assign = !(io->flags & KVM_IOEVENTFD_FLAG_DEASSIGN);
	struct kvm_ioeventfd *at;
	u32 i = 0;

	for (; i < fk.nr_ioeventfds; i++) {
		at = &fk.ioeventfds[i];
		/* Two BARs may be in one place: the second gets none. */
		if (assign && fk_collide(at, io))
			return -EEXIST;
		if (!assign && at->fd == io->fd && at->addr == io->addr && at->len == io->len &&
		    !((at->flags ^ io->flags) & ~KVM_IOEVENTFD_FLAG_DEASSIGN) &&
		    at->datamatch == io->datamatch)
			break;
	}
	if (assign) {
		fk_must(fk.nr_ioeventfds < FK_FDS, "ioeventfds leak");
		fk.ioeventfds[fk.nr_ioeventfds++] = *io;
		return 0;
	}
	fk_must(i < fk.nr_ioeventfds, "no ioeventfd %d at 0x%llx to take away", io->fd,
		(unsigned long long)io->addr);
	fk.ioeventfds[i] = fk.ioeventfds[--fk.nr_ioeventfds];
	return 0;
}

static int fk_irqfd(const struct kvm_irqfd *irqfd)
{
	bool assign = !(irqfd->flags & KVM_IRQFD_FLAG_DEASSIGN);
	u32 i = 0;
	u64 n;

	fk_must(irqfd->gsi < FK_ROUTES, "no GSI %u", irqfd->gsi);
	while (i < fk.nr_irqfds && fk.irqfds[i].fd != irqfd->fd)
		i++;
	/* Bound, and at the end unbound, what it holds is delivered. */
	if (read((int)irqfd->fd, &n, sizeof(n)) == sizeof(n))
		atomic_fetch_add(&fk.messages, 1);
	if (assign) {
		fk_must(i == fk.nr_irqfds, "fd %u is bound twice", irqfd->fd);
		fk_must(i < FK_FDS, "irqfds leak");
		fk.irqfds[fk.nr_irqfds++] = *irqfd;
		return 0;
	}
	fk_must(i < fk.nr_irqfds && fk.irqfds[i].gsi == irqfd->gsi, "fd %u is not bound to %u",
		irqfd->fd, irqfd->gsi);
	fk.irqfds[i] = fk.irqfds[--fk.nr_irqfds];
	return 0;
}

static int fk_set_routes(const struct kvm_irq_routing *table)
{
	fk_must(table->nr <= FK_ROUTES && !table->flags, "a table of %u routes", table->nr);
	for (u32 i = 0; i < table->nr; i++) {
		const struct kvm_irq_routing_entry *e = &table->entries[i];

		fk_must(e->gsi < FK_ROUTES && !e->pad, "GSI %u", e->gsi);
		/* KVM mixes no message with another route of its GSI. */
		for (u32 k = 0; k < i && e->type == KVM_IRQ_ROUTING_MSI; k++)
			fk_must(table->entries[k].gsi != e->gsi, "GSI %u has two routes", e->gsi);
		/* kvm_msi_route_invalid of arch/x86: the guest may choose such an address. */
		if (e->type == KVM_IRQ_ROUTING_MSI && (e->u.msi.address_hi & 0xff))
			return -EINVAL;
	}
	memcpy(fk.routes, table->entries, table->nr * sizeof(fk.routes[0]));
	fk.nr_routes = table->nr;
	return 0;
}

static int fk_set_slot(const struct kvm_userspace_memory_region *r)
{
	u32 at = fk.nr_slots;

	fk_must(r->slot < FK_SLOTS, "slot %u", r->slot);
	for (u32 i = 0; i < fk.nr_slots; i++)
		if (fk.slots[i].slot == r->slot)
			at = i;
	if (!r->memory_size) {
		fk_must(at < fk.nr_slots, "slot %u is not there", r->slot);
		fk.slots[at] = fk.slots[--fk.nr_slots];
		return 0;
	}
	fk_must(at == fk.nr_slots, "slot %u is in use", r->slot);
	fk_must(!((r->guest_phys_addr | r->memory_size | r->userspace_addr) & 4095),
		"slot %u is of no whole pages", r->slot);
	for (u32 i = 0; i < fk.nr_slots; i++)
		fk_must(!ranges_overlap(r->guest_phys_addr, r->memory_size,
					fk.slots[i].guest_phys_addr, fk.slots[i].memory_size),
			"slots %u and %u overlap", r->slot, fk.slots[i].slot);
	fk.slots[fk.nr_slots++] = *r;
	return 0;
}

/* vcpus */

static struct fk_vcpu *fk_vcpu_of(int fd)
{
	for (u32 i = 0; i < fk.nr_vcpus; i++)
		if (fk.vcpus[i].fd == fd)
			return &fk.vcpus[i];
	return NULL;
}

static int fk_create_vcpu(u32 id)
{
	struct fk_vcpu *c = &fk.vcpus[id];

	fk_must(id < FK_VCPUS && id == fk.nr_vcpus, "vcpu %u", id);
	c->fd = memfd_create("vcpu", MFD_CLOEXEC);
	c->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	fk_must(c->fd >= 0 && c->wake >= 0 && !ftruncate(c->fd, FK_RUN_SIZE), "no vcpu");
	c->run = mmap(NULL, FK_RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, c->fd, 0);
	fk_must(c->run != MAP_FAILED, "no memory");
	fk.nr_vcpus++;
	return c->fd;
}

/* Take the exit, if there is one. Under lock. */
static bool fk_take_exit(struct fk_vcpu *c)
{
	if (!c->has_exit)
		return false;
	c->has_exit = c->waits = false;
	c->exit.immediate_exit = 0;
	/* What userspace wrote there meanwhile stays. */
	memcpy(&c->run->exit_reason, &c->exit.exit_reason,
	       sizeof(c->exit) - offsetof(struct kvm_run, exit_reason));
	memcpy((u8 *)c->run + FK_PIO_DATA, c->pio, sizeof(c->pio));
	return true;
}

/*
 * As KVM does it: immediate_exit is looked at with the kick signal blocked, and waiting unblocks
 * it, so that no kick is lost.
 */
static int fk_run(struct fk_vcpu *c)
{
	struct pollfd p = { .fd = c->wake, .events = POLLIN };
	sigset_t kick, before, open;
	int error = -1;
	u64 n;

	sigemptyset(&kick);
	sigaddset(&kick, THREAD_KICK_SIGNAL);
	pthread_sigmask(SIG_BLOCK, &kick, &before);
	open = before;
	sigdelset(&open, THREAD_KICK_SIGNAL);
	while (error < 0) {
		pthread_mutex_lock(&fk.lock);
		if (__atomic_load_n(&c->run->immediate_exit, __ATOMIC_SEQ_CST))
			error = EINTR;
		else if (fk_take_exit(c))
			error = 0;
		c->waits = error < 0;
		pthread_cond_broadcast(&fk.idle);
		pthread_mutex_unlock(&fk.lock);
		if (error < 0 && ppoll(&p, 1, NULL, &open) > 0)
			(void)!read(c->wake, &n, sizeof(n));
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	errno = error;
	return error ? -1 : 0;
}

/* GET and SET of a piece of state: what was set is got again, zeroes at first. */
static int fk_blob(struct fk_vcpu *c, unsigned int nr, size_t size, void *arg, bool set)
{
	u32 i = 0;

	while (i < FK_BLOBS && c->blobs[i].data && c->blobs[i].nr != nr)
		i++;
	fk_must(i < FK_BLOBS, "too much state");
	if (!c->blobs[i].data)
		c->blobs[i].data = calloc(1, size);
	c->blobs[i].nr = nr;
	if (set)
		memcpy(c->blobs[i].data, arg, size);
	else
		memcpy(arg, c->blobs[i].data, size);
	return 0;
}

#include "fake_kvm_arch.h"

static int fk_vcpu_ioctl(struct fk_vcpu *c, unsigned long request, void *arg)
{
	return request == KVM_RUN ? fk_run(c) : fk_arch_vcpu_ioctl(c, request, arg);
}

/* All of it is as it was made, and whoever has read it closes it. */
static int fk_second_ioctl(int fd, unsigned long request, void *arg)
{
	static struct fk_vcpu fresh; /* what is written there is of no use to anybody */
	int ret;

	if (request == KVM_CREATE_VCPU) {
		fk.second_vcpu_fd = eventfd(0, EFD_CLOEXEC);
		return fk.second_vcpu_fd;
	}
	if (fd == fk.second_fd)
		return request == KVM_ENABLE_CAP || request == KVM_CREATE_IRQCHIP
			       ? 0
			       : fk_arch_vm_ioctl(request, arg);
	ret = fk_vcpu_ioctl(&fresh, request, arg);
	for (u32 i = 0; i < FK_BLOBS; i++)
		free(fresh.blobs[i].data);
	memset(&fresh, 0, sizeof(fresh));
	return ret;
}

static int fk_create_vm(void)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	*(fk.vm_fd < 0 ? &fk.vm_fd : &fk.second_fd) = fd;
	return fd;
}

static int fk_vm_ioctl(unsigned long request, void *arg)
{
	switch (request) {
	case KVM_CREATE_VM:
		return fk_create_vm();
	case KVM_CREATE_VCPU:
		return fk_create_vcpu((u32)(uintptr_t)arg);
	case KVM_GET_API_VERSION:
		return KVM_API_VERSION;
	case KVM_GET_VCPU_MMAP_SIZE:
		return FK_RUN_SIZE;
	case KVM_CHECK_EXTENSION:
		return fk_arch_check_cap((u32)(uintptr_t)arg);
	case KVM_ENABLE_CAP:
		return 0;
	case KVM_IOEVENTFD:
		return fk_ioeventfd(arg);
	case KVM_IRQFD:
		return fk_irqfd(arg);
	case KVM_SET_GSI_ROUTING:
		return fk_set_routes(arg);
	case KVM_SET_USER_MEMORY_REGION:
		return fk_set_slot(arg);
	case KVM_IRQ_LINE:
		atomic_fetch_add(&fk.lines, 1);
		return 0;
	case KVM_SIGNAL_MSI:
		atomic_fetch_add(&fk.messages, 1);
		return 1;
	default:
		return fk_arch_vm_ioctl(request, arg);
	}
}

/* In place of the C library's. */
int ioctl(int fd, unsigned long request, ...)
{
	struct fk_vcpu *c;
	va_list ap;
	void *arg;
	int ret;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (_IOC_TYPE(request) != KVMIO)
		return (int)syscall(SYS_ioctl, fd, request, arg);
	/* KVM_RUN waits; its lock is its own. */
	c = request == KVM_RUN ? fk_vcpu_of(fd) : NULL;
	if (c)
		return fk_run(c);
	pthread_mutex_lock(&fk.lock);
	c = fk_vcpu_of(fd);
	if (c)
		ret = fk_vcpu_ioctl(c, request, arg);
	else if (fd >= 0 && (fd == fk.second_fd || fd == fk.second_vcpu_fd))
		ret = fk_second_ioctl(fd, request, arg);
	else
		ret = fk_vm_ioctl(request, arg);
	pthread_mutex_unlock(&fk.lock);
	if (ret >= 0)
		return ret;
	errno = -ret;
	return -1;
}

/* For the test */

/* Hand @vcpu an exit, which it takes as soon as it is in KVM_RUN; @pio: the data of port I/O. */
static inline void fk_give(u32 vcpu, const struct kvm_run *run, const void *pio, size_t len)
{
	struct fk_vcpu *c = &fk.vcpus[vcpu];
	u64 one = 1;

	pthread_mutex_lock(&fk.lock);
	fk_must(!c->has_exit, "vcpu %u has an exit that it did not take", vcpu);
	c->exit = *run;
	memset(c->pio, 0, sizeof(c->pio));
	if (len)
		memcpy(c->pio, pio, len);
	c->has_exit = true;
	c->waits = false;
	pthread_mutex_unlock(&fk.lock);
	(void)!write(c->wake, &one, sizeof(one));
}

/* The eventfd that a guest's write signals, or -1: it is an exit then. */
static inline int fk_notify(bool pio, u64 addr, u32 len, u64 value)
{
	int fd = -1;
	u64 one = 1;

	pthread_mutex_lock(&fk.lock);
	for (u32 i = 0; i < fk.nr_ioeventfds && fd < 0; i++) {
		const struct kvm_ioeventfd *io = &fk.ioeventfds[i];

		if (!(io->flags & KVM_IOEVENTFD_FLAG_PIO) == !pio && io->addr == addr &&
		    (!io->len || io->len == len) &&
		    (!(io->flags & KVM_IOEVENTFD_FLAG_DATAMATCH) || io->datamatch == value))
			fd = io->fd;
	}
	if (fd >= 0 && write(fd, &one, sizeof(one)) < 0)
		fk_must(errno == EAGAIN, "an ioeventfd's descriptor was closed");
	pthread_mutex_unlock(&fk.lock);
	return fd;
}

/* Between two exits of all vcpus: every irqfd is a descriptor that is open, and leads somewhere. */
static inline void fk_check(void)
{
	pthread_mutex_lock(&fk.lock);
	for (u32 i = 0; i < fk.nr_irqfds; i++) {
		u32 k = 0;

		fk_must(fcntl((int)fk.irqfds[i].fd, F_GETFD) >= 0, "a bound irqfd was closed");
		while (k < fk.nr_routes && fk.routes[k].gsi != fk.irqfds[i].gsi)
			k++;
		fk_must(k < fk.nr_routes, "irqfd of GSI %u has no route", fk.irqfds[i].gsi);
	}
	for (u32 i = 0; i < fk.nr_ioeventfds; i++)
		fk_must(fcntl(fk.ioeventfds[i].fd, F_GETFD) >= 0, "a bound ioeventfd was closed");
	pthread_mutex_unlock(&fk.lock);
}

/* The machine is gone: it took everything back. Ready for another. */
static inline void fk_end(void)
{
	fk_must(!fk.nr_ioeventfds, "%u ioeventfds are left", fk.nr_ioeventfds);
	fk_must(!fk.nr_irqfds, "%u irqfds are left", fk.nr_irqfds);
	/* They go with the VM. */
	fk_must(!fk.nr_slots || fcntl(fk.vm_fd, F_GETFD) < 0, "%u slots are left", fk.nr_slots);
	fk.nr_slots = 0;
	for (u32 i = 0; i < fk.nr_vcpus; i++) {
		struct fk_vcpu *c = &fk.vcpus[i];

		munmap(c->run, FK_RUN_SIZE);
		close(c->wake);
		for (u32 k = 0; k < FK_BLOBS; k++)
			free(c->blobs[k].data);
		memset(c, 0, sizeof(*c));
	}
	fk.nr_vcpus = fk.nr_routes = 0;
	fk.vm_fd = fk.second_fd = fk.second_vcpu_fd = -1;
}

#endif
