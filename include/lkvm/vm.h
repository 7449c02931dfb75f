/* SPDX-License-Identifier: MIT */
/*
 * The VM: KVM's file descriptors, memory, buses, interrupts, the main event loop, vcpus and
 * devices; and its life: run, pause, reset, end. No globals: a process can hold several.
 *
 * A VM is paused or runs. Created, it is paused: its vcpu threads wait at a gate. vm_resume lets
 * devices go on and opens the gate; the main thread then runs the main loop until somebody asks for
 * an end or a reset with vm_request_stop: a vcpu (the guest switched itself off, KVM failed), the
 * terminal, a signal. vm_pause parks the vcpus and quiesces the devices; in between no byte of
 * guest memory changes. Only a paused VM is reset, saved, loaded or destroyed. How the gate works
 * and which request wins stands in pause.c; machine.h tells what is done around it.
 *
 * Who may do what: the main thread creates, pauses, resumes and destroys. vcpu threads handle exits
 * of their own vcpu; a queue's loop serves the queue. Any thread may ask for a stop and look up
 * memory by the rules of memory.h. vm->lock guards the gate and the pending request, nothing else;
 * nothing is called under it.
 *
 * Parts come and go in one order: KVM, memory, interrupt controllers, vcpus, devices; backwards at
 * the end. vm_clear keeps what was opened by name, so that a VM can be made anew for a reset.
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
struct console_firmware;
struct vm_config;
struct device;
struct marks;
struct vcpu;
struct arch_vm;
struct pci_host;
struct state_buf;
struct trace;
struct state_reader;

/* Why the VM left its running state. */
enum vm_stop {
	VM_STOP_NONE,
	VM_STOP_POWEROFF,     /* the guest switched itself off */
	VM_STOP_RESET,	      /* the guest asked for a reset */
	VM_STOP_DEBUG_EXIT,   /* the guest chose an exit status */
	VM_STOP_PANIC,	      /* pvpanic */
	VM_STOP_TERMINATED,   /* a confidential guest does not trust its host, or itself */
	VM_STOP_TRIPLE_FAULT, /* or the architecture's like */
	VM_STOP_KVM_ERROR,    /* KVM_EXIT_INTERNAL_ERROR, or KVM_RUN failed */
	VM_STOP_ENTRY_FAILED, /* KVM_EXIT_FAIL_ENTRY */
	VM_STOP_UNKNOWN_EXIT, /* an exit reason that lkvm does not know */
	VM_STOP_HALTED,	      /* every vcpu waits, and nothing can wake one */
	VM_STOP_QUIT,	      /* the user left (Ctrl-A x) */
	VM_STOP_CONTROL,      /* somebody asked for the end through the control socket */
	VM_STOP_SIGNAL,	      /* a signal ends lkvm: status is its number */
};

/* Exit statuses of `lkvm run` besides 0, 1 (failure) and 2 (usage); documented in lkvm(1). */
enum vm_exit_status {
	EXIT_GUEST_PANIC = 100,
	EXIT_TRIPLE_FAULT = 101,
	EXIT_KVM_ERROR = 102,
	EXIT_ENTRY_FAILED = 103,
	EXIT_UNKNOWN_EXIT = 104,
	EXIT_GUEST_HALTED = 105,
};

/* Who keeps a VM paused, as bits: it runs when nobody does. */
enum vm_holder {
	VM_HOLD_GDB = BIT(0),  /* a debugger stopped it */
	VM_HOLD_USER = BIT(1), /* somebody asked for a pause */
	VM_HOLD_DUMP = BIT(2), /* until its memory is written down */
};

/* Ports have 16 bits wherever there are any. */
#define VM_PIO_LIMIT 0x10000ULL

/*
 * How the guest's console is told a SysRq key (Linux, Documentation/admin-guide/sysrq.rst): by
 * whatever its driver takes for one. Main loop. 0; -EAGAIN: the guest takes no input now.
 */
struct vm_sysrq {
	int (*send)(void *opaque, u8 key); /* NULL: no device does */
	void *opaque;
};

struct vm {
	const struct vm_config *cfg;
	u64 start_ns;		     /* now_ns() when the machine began to be made */
	struct marks *marks;	     /* of who asks for them; NULL: nobody */
	const struct coco_ops *coco; /* NULL: an ordinary guest */
	void *coco_opened;	     /* what coco->open made; the machine's */
	bool access_platform;	     /* devices reach only what the guest shares with them */
	u64 pmem_size;		     /* addresses that persistent memory takes, of PMEM_ALIGN */
	struct kvm kvm;
	struct guest_memory mem;
	struct trace *trace; /* borrowed; NULL: none */
	struct bus pio;
	struct bus mmio;
	struct irqs irqs;
	struct event_loop loop; /* the main thread's */
	struct vcpu **vcpus;
	u32 nr_vcpus;
	struct device *devices; /* in the order of creation */
	struct device **devices_tail;
	struct arch_vm *arch;  /* owned by the architecture's code */
	struct vm_sysrq sysrq; /* of the device that is the guest's console */
	/* What firmware calls have of the guest's console; the machine's. NULL: nothing. */
	struct console_firmware *firmware_console;
	struct virtio_device *balloon; /* owned by its device; NULL: there is none */
	struct pci_host *pci;	       /* owned by its device; NULL in a machine without PCI */

	pthread_mutex_t removal_lock; /* vm_remove_memory from beginning to end */

	/* Run gate and pending request to stop, all under lock. */
	pthread_mutex_t lock;
	pthread_cond_t gate;   /* vcpus wait here while not running */
	pthread_cond_t parked; /* the main thread waits here for vcpus to park */
	atomic_bool running;
	bool ending;
	bool quiesced; /* devices are; of the thread that pauses and resumes */
	u32 holders;   /* VM_HOLD_* */
	u32 nr_parked;
	u32 awaited; /* so many parked vcpus wake who waits for @parked */
	/* KVM_EXIT_DEBUG, on the vcpu's thread; NULL: nobody debugs the guest. -ENOTSUP: it is not
	 * the debugger's. Of who has the vcpus' fds. */
	int (*debug_exit)(struct vcpu *vcpu);
	void *debugger; /* its own */
	/* After an exit with kvm_run.flags set, whatever it was for, on the vcpu's thread, which
	 * may wait here as long as vm_wants_vcpus does not say otherwise; NULL: nobody looks at
	 * them. Of the architecture. */
	void (*on_run_flags)(struct vcpu *vcpu);
	/* Called when the main thread begins and ends to wait in its loop, for vcpus or for the
	 * host; NULL: not. */
	void (*waits)(struct vm *vm, bool begin);
	/* Called on the main thread when who holds it may have changed; NULL: not. */
	void (*held)(struct vm *vm);
	/* The guest fell asleep or was woken. Any thread; NULL: nobody wants to know. */
	void (*slept)(struct vm *vm);
	enum vm_stop stop;
	int stop_status;
	s32 stop_vcpu; /* the vcpu that asked for it, or -1 */
	bool lost;     /* device_ops.finish: something that was to be kept is lost, and said */
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
/* A region of a guest's own (coco.h, private_memory), whose guest_memfd is made here. Prints
 * nothing; 0 or -errno. */
int vm_add_private(struct vm *vm, u64 gpa, u64 size, enum memory_kind kind,
		   const char *name) __must_check;
/* The same without memory behind it: for arch_sketch. */
int vm_sketch_ram(struct vm *vm, u64 gpa, u64 size, const char *name) __must_check;
/*
 * Take the region of guest memory that begins at @gpa away while everything runs (memory.h tells
 * how): devices are quiesced, the region is removed, vcpus leave the handlers in which they are, it
 * is unmapped, devices resume. Any thread of the VM, a vcpu that handles an exit too; the caller
 * holds no pointer into guest memory, and no lock that a device's thread or a vcpu may wait for. 0,
 * or the errno of memory_remove: then the region is still there. Prints nothing.
 */
int vm_remove_memory(struct vm *vm, u64 gpa) __must_check;

/*
 * The second half of it, for who took regions of MEM_DEVICE out by memory_remove under a lock that
 * vcpus may wait for: nobody has pointers into such, but what the set keeps of each has to go.
 * Main loop.
 */
void vm_reclaim_memory(struct vm *vm);

/* Only a part (vcpu threads must have ended); vm_destroy does what is left of them. The devices:
 * device.c. */
void vm_destroy_devices(struct vm *vm);
void vm_destroy_vcpus(struct vm *vm);

/*
 * Threads of vcpus: start all (they wait at the gate), end them (joins). Between them the VM runs
 * or is paused: see pause.c. vm_pause and vm_resume belong to the main thread, which may call them
 * in its loop too; vm_pause returns when all vcpus are parked and all devices quiesced, a second
 * time it does nothing, as vm_resume does on a VM that runs, is to stop, or is held.
 */
int vm_start_vcpus(struct vm *vm) __must_check;
void vm_resume(struct vm *vm);
void vm_pause(struct vm *vm);
/* Only park the vcpus: for an end, which need not wait for quiet devices. */
void vm_park(struct vm *vm);
void vm_stop_vcpus(struct vm *vm);
/* The process was stopped and goes on: have all vcpus tell the guest. Any thread. */
void vm_stood_still(struct vm *vm);
/* For vcpu threads in a handler that waits: the VM pauses or stops, and waits for them to park. */
bool vm_wants_vcpus(struct vm *vm);
/* For vcpu threads: wait here while the VM does not run, or @vcpu (NULL: none in particular) is
 * kept back. False: the thread must end. */
bool vm_vcpu_gate(struct vm *vm, struct vcpu *vcpu);

/*
 * Pause the VM and keep it paused, whatever resumes it, until @holder releases it. The main
 * thread's; for vm_hold in its loop what stands at vm_pause counts. Releasing what is not held does
 * nothing but resume a VM that nobody holds.
 */
void vm_hold(struct vm *vm, enum vm_holder holder);
void vm_release(struct vm *vm, enum vm_holder holder);
/* The same from any thread, a vcpu's that handles an exit too: the gate is closed and stays closed;
 * vm_pause by the main thread is to follow. */
void vm_request_hold(struct vm *vm, enum vm_holder holder);
/* VM_HOLD_*: who holds it. Any thread. */
u32 vm_holders(struct vm *vm);
/* While the VM is paused: @vcpu stays at the gate when it opens, or not any more. */
void vm_keep_back(struct vcpu *vcpu, bool back);

/*
 * The guest goes to sleep: @vcpu, whose own thread handles the exit that says so, waits at the gate
 * until vm_wake, as parked as in a pause, and whatever pauses and resumes the VM meanwhile. It gets
 * there with its exit completed. Its other vcpus are stopped already.
 */
void vm_sleep(struct vcpu *vcpu);
/* The same in a paused VM, whose state is loaded; and back. */
void vm_set_asleep(struct vcpu *vcpu, bool asleep);
/* Something that a sleeping guest wakes up for: it goes on. True: it slept. Any thread. */
bool vm_wake(struct vm *vm);
/* Does it sleep? Any thread. */
bool vm_is_asleep(struct vm *vm);

/*
 * Ask for the VM to leave its running state; the main loop is stopped. A request replaces a pending
 * one of a lower rank (see pause.c), until vm_clear_stop. Any thread; a vcpu thread passes its id
 * in @vcpu, others -1, and goes back to its loop, where it parks.
 */
void vm_request_stop(struct vm *vm, enum vm_stop stop, int status, s32 vcpu);
/* The request that stands, with its status and vcpu (each may be NULL). Any thread. */
enum vm_stop vm_stop_reason(struct vm *vm, int *status, s32 *vcpu);
/* It was answered: forget it, unless another took its place meanwhile. */
void vm_clear_stop(struct vm *vm, enum vm_stop stop);

/* device.c: reset all devices in order (vcpus must be parked). */
void vm_reset_devices(struct vm *vm);
/*
 * Nothing of any device touches guest memory or raises interrupts from here to there (see
 * device_ops.quiesce). vcpus must be parked, or, where guest memory changes its shape, kept out of
 * the devices' registers. Pairs do not nest.
 */
void vm_quiesce_devices(struct vm *vm);
void vm_resume_devices(struct vm *vm);
/* Instead of vm_destroy, where the process ends (see device_ops.finish). vcpus must be parked. */
void vm_finish_devices(struct vm *vm);

/*
 * The state of all vcpus, then of all devices, of a paused VM, appended to @out. (Guest memory is
 * another matter: it is complete once vm_save returned.) 0 or -errno (printed).
 */
int vm_save(struct vm *vm, struct state_buf *out) __must_check;
/*
 * Into a paused VM of the same configuration, whose memory holds what was saved with it; all of @in
 * is its state. On failure (-EINVAL: the record is not of such a VM; printed) the VM is of no more
 * use.
 */
int vm_load(struct vm *vm, struct state_reader *in) __must_check;

/*
 * Compare two states of VMs like @vm, but for what goes on by itself (clocks). Returns the name of
 * the first field that differs, with *object's; NULL: none.
 */
const char *vm_state_differs(struct vm *vm, struct state_reader a, struct state_reader b,
			     const char **object);

/*
 * Let a guest write of @len bytes (0: any length) at @addr signal @fd without leaving the kernel;
 * any value when @datamatch is NULL. -ENOTSUP without KVM: the device's own handler sees the write
 * and has to signal.
 */
int vm_ioeventfd(struct vm *vm, bool pio, u64 addr, u32 len, const u64 *datamatch, int fd,
		 bool assign);

#endif
