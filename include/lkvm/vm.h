/* SPDX-License-Identifier: MIT */
/*
 * The VM: KVM's file descriptors, memory, buses, interrupts, the main event loop, vcpus and
 * devices; and its life: run, pause, reset, end. No globals: a process can hold several.
 */
#ifndef LKVM_VM_H
#define LKVM_VM_H

#include <pthread.h>
#include <stdatomic.h>

#include "lkvm/bus.h"
#include "lkvm/event.h"
#include "lkvm/irq.h"
#include "lkvm/kvm.h"
#include "lkvm/memory.h"
#include "lkvm/types.h"

struct coco_ops;
struct vm_config;
struct device;
struct vcpu;
struct arch_vm;
struct pci_host;

/* Why the VM left its running state. */
enum vm_stop {
	VM_STOP_NONE,
	VM_STOP_POWEROFF,     /* the guest switched itself off */
	VM_STOP_RESET,	      /* the guest asked for a reset */
	VM_STOP_DEBUG_EXIT,   /* the guest chose an exit status */
	VM_STOP_PANIC,	      /* pvpanic */
	VM_STOP_TRIPLE_FAULT, /* or the architecture's like */
	VM_STOP_KVM_ERROR,    /* KVM_EXIT_INTERNAL_ERROR, or KVM_RUN failed */
	VM_STOP_ENTRY_FAILED, /* KVM_EXIT_FAIL_ENTRY */
	VM_STOP_UNKNOWN_EXIT, /* an exit reason that lkvm does not know */
	VM_STOP_HOST_ERROR,   /* lkvm itself cannot go on */
	VM_STOP_QUIT,	      /* the user left (Ctrl-A x) */
	VM_STOP_SIGNAL,	      /* a signal ends lkvm: status is its number */
};

/* Exit statuses of `lkvm run` beside 0, 1 (failure) and 2 (usage); documented in lkvm(1). */
enum vm_exit_status {
	EXIT_GUEST_PANIC = 100,
	EXIT_TRIPLE_FAULT = 101,
	EXIT_KVM_ERROR = 102,
	EXIT_ENTRY_FAILED = 103,
	EXIT_UNKNOWN_EXIT = 104,
};

/* Ports have 16 bits wherever there are any. */
#define VM_PIO_LIMIT 0x10000ULL

struct vm {
	const struct vm_config *cfg;
	u64 start_ns;		     /* now_ns() when the machine began to be made */
	const struct coco_ops *coco; /* NULL: an ordinary guest */
	bool access_platform;	     /* devices reach only what the guest shares with them */
	struct kvm kvm;
	struct guest_memory mem;
	struct bus pio;
	struct bus mmio;
	struct irqs irqs;
	struct event_loop loop; /* the main thread's */
	struct vcpu **vcpus;
	u32 nr_vcpus;
	struct device *devices; /* in the order of creation */
	struct device **devices_tail;
	struct arch_vm *arch; /* owned by the architecture's code */
	struct pci_host *pci; /* owned by its device; NULL in a machine without PCI */

	/* Run gate and pending request to stop, all under lock. */
	pthread_mutex_t lock;
	pthread_cond_t gate;   /* vcpus wait here while not running */
	pthread_cond_t parked; /* the main thread waits here for vcpus to park */
	atomic_bool running;
	bool ending;
	u32 nr_parked;
	enum vm_stop stop;
	int stop_status;
	s32 stop_vcpu; /* the vcpu that asked for it, or -1 */
};

/* Set up the parts that need no KVM. @cfg outlives the VM. */
int vm_init(struct vm *vm, const struct vm_config *cfg) __must_check;
/* Destroy devices in reverse order, vcpus, memory, KVM. Safe on a half-made VM; all threads must
 * have ended. */
void vm_destroy(struct vm *vm);
/*
 * Back to what vm_init and kvm_open made: loop, buses and /dev/kvm stay, so that a VM can be made
 * anew. All threads must have ended.
 */
void vm_clear(struct vm *vm);

/*
 * Map @size bytes of guest RAM at @gpa, in huge pages where the configuration names a hugetlbfs.
 * For arch_add_memory. Prints; 0 or -errno.
 */
int vm_add_ram(struct vm *vm, u64 gpa, u64 size, const char *name) __must_check;
/* The same without memory behind it: for arch_sketch. */
int vm_sketch_ram(struct vm *vm, u64 gpa, u64 size, const char *name) __must_check;
/* Only a part (vcpu threads must have ended); vm_destroy does what is left of them. */
void vm_destroy_devices(struct vm *vm);
void vm_destroy_vcpus(struct vm *vm);

/* Threads: start all, let them run, stop them at the gate (returns when all are parked), end them
 * (joins). */
int vm_start_vcpus(struct vm *vm) __must_check;
void vm_resume(struct vm *vm);
void vm_pause(struct vm *vm);
void vm_stop_vcpus(struct vm *vm);
/* For vcpu threads: wait here while the VM does not run. False: the thread shall end. */
bool vm_vcpu_gate(struct vm *vm);

/*
 * Ask for the VM to leave its running state: the first request wins until vm_clear_stop, the main
 * loop is stopped. Any thread; a vcpu thread passes its id in @vcpu, others -1, and goes back to
 * its loop, where it parks.
 */
void vm_request_stop(struct vm *vm, enum vm_stop stop, int status, s32 vcpu);
void vm_clear_stop(struct vm *vm);

/* Reset all devices in order (vcpus must be parked). */
void vm_reset_devices(struct vm *vm);

/*
 * Let a guest write of @len bytes (0: any length) at @addr signal @fd without leaving the kernel;
 * any value when @datamatch is NULL. -ENOTSUP without KVM: the device's own handler sees the write
 * and has to signal.
 */
int vm_ioeventfd(struct vm *vm, bool pio, u64 addr, u32 len, const u64 *datamatch, int fd,
		 bool assign);

#endif
