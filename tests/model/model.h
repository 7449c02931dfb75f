/* SPDX-License-Identifier: MIT */
/*
 * A model of KVM for guests that no machine here can run: a library that is preloaded into lkvm and
 * stands between it and /dev/kvm, /dev/sev and some files of the host. It knows the rules of the
 * kernel and of the firmware (in which order a call is checked, what it answers, what it changes)
 * and refuses what they refuse.
 *
 * A call on a descriptor of the model passes these, up to the first that does not say MODEL_PASS:
 *
 *   script   the user's wish that the n-th call of a name fails (script.c)
 *   kind     what is particular to the VM's kind: snp, tdx, cca, pkvm (struct model_kind)
 *   memory   slots, guest_memfd and attributes, as every KVM has them (memory.c)
 *   machine  the rest of KVM: emulated (x86/machine.c, arm/machine.c), or the host's (real.c)
 *
 * All of it runs under one lock, but for the time that a vcpu is in the host's KVM_RUN or sleeps.
 * Everything is chosen by the environment:
 *
 *   LKVM_MODEL=KIND[,OPTION[=VALUE]...]  without it the library does nothing
 *   LKVM_MODEL_SCRIPT=FILE or TEXT       see script.c
 *   LKVM_MODEL_LOG=FILE                  a line of JSON for each event, appended
 */
#ifndef LKVM_TESTS_MODEL_H
#define LKVM_TESTS_MODEL_H

#include <errno.h>
#include <kvm-compat.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/types.h>

#include "lkvm/types.h"

/* What wrap.c defines for lkvm is all that others see of the library. */
#pragma GCC visibility push(hidden)

#define MODEL_PASS	 (-10000L) /* not mine: the next one answers */
#define MODEL_PAGE	 4096ULL
#define MODEL_STATUS	 99 /* of a process that broke a rule */
#define MODEL_MAX_VCPUS	 64
#define MODEL_RUN_SIZE	 12288 /* KVM_GET_VCPU_MMAP_SIZE of the emulated machine */
#define MODEL_ARRAY(a)	 (sizeof(a) / sizeof((a)[0]))
#define MODEL_ALIGNED(x) (!((x) & (MODEL_PAGE - 1)))

/*
 * Addresses that have a property (are private, belong to the guest, are populated): ranges that
 * are sorted and apart. @end is exclusive.
 */
struct model_set {
	struct model_range {
		u64 start, end;
	} * ranges;
	size_t n;
};
void model_set_add(struct model_set *set, u64 start, u64 end);
void model_set_remove(struct model_set *set, u64 start, u64 end);
bool model_set_has(const struct model_set *set, u64 at);
bool model_set_has_all(const struct model_set *set, u64 start, u64 end);
bool model_set_has_any(const struct model_set *set, u64 start, u64 end);
void model_set_free(struct model_set *set);

/* A guest_memfd: a memfd that the model has mapped whole. */
struct model_gmem {
	struct model_vm *vm;
	u64 size, flags;
	u8 *map;
	int users; /* its descriptors, and slots */
	int fds;   /* its descriptors */
};

/* A memory slot; size 0: there is none. A VM keeps them by ascending address. */
struct model_slot {
	u32 id, flags;
	u64 gpa, size, hva;
	struct model_gmem *gmem; /* NULL: without */
	u64 gmem_offset;
};

struct model_vcpu {
	struct model_vm *vm;
	u32 id;	   /* KVM_CREATE_VCPU's argument */
	u32 index; /* the how manieth that was made */
	int fd;
	struct kvm_run *run;
	u32 runs;			     /* calls of KVM_RUN */
	const struct model_exit_kind *exits; /* answered by the model last, the VMM's turn */
	u64 preset[8];			     /* the kind's memory of that exit */
	bool real_exit;			     /* the last exit was the host's KVM's */
	u64 fault[3];			     /* the last memory fault: flags, gpa, size */
	u32 faults;			     /* how many equal ones in a row */
	u32 feature_bits;		     /* the kind's own use */
	void *kind_state;		     /* the kind's; freed with free() */
	void *machine_state;		     /* the emulated machine's; freed with free() */
};

struct model_vm {
	struct model_vm *next; /* all of this process, for as long as it lives */
	u32 number;	       /* which of this process */
	u64 type;	       /* KVM_CREATE_VM's argument */
	int fd;
	const struct model_kind *kind; /* NULL: an ordinary VM */
	struct model_vcpu *vcpus[MODEL_MAX_VCPUS];
	u32 nr_vcpus;
	struct model_slot *slots;
	size_t nr_slots;
	struct model_set private; /* by KVM_SET_MEMORY_ATTRIBUTES */
	u64 hypercall_exits;	  /* KVM_CAP_EXIT_HYPERCALL */
	bool split_irqchip;
	bool has_run;
	bool gone;	/* its descriptor was closed */
	u64 gmem_flags; /* legal in KVM_CREATE_GUEST_MEMFD; set by the kind, or MMAP|INIT_SHARED */
	bool no_attributes;  /* KVM_SET_MEMORY_ATTRIBUTES does not exist: ENOTTY */
	void *kind_state;    /* the kind's; freed with free() */
	void *machine_state; /* the emulated machine's; freed with free() */
};

/* What a descriptor is. */
enum model_type {
	MODEL_NONE,
	MODEL_KVM,
	MODEL_VM,
	MODEL_VCPU,
	MODEL_GMEM,
	MODEL_SEV,
	MODEL_DEVICE,	  /* KVM_CREATE_DEVICE */
	MODEL_VFIO_SYSFS, /* what is written there has an effect; the first of vfio.h's */
	MODEL_VFIO_DATA,
	MODEL_VFIO_DEVICE,
	MODEL_VFIO_GROUP,
	MODEL_VFIO_CONTAINER,
	MODEL_VFIO_IOMMUFD,
	MODEL_VFIO_DMABUF,
};
struct model_file {
	enum model_type type;
	struct model_vm *vm;
	struct model_vcpu *vcpu;
	struct model_gmem *gmem;
	u32 device_type;    /* KVM_DEV_TYPE_... */
	void *device_state; /* the machine's; freed with free() when the descriptor is closed */
	void *vfio;	    /* what it is of, by its type (vfio.h) */
};
/* The model's entry for @fd; its type is MODEL_NONE when the descriptor is none of the model's. */
struct model_file *model_file(int fd);
/* A new descriptor (a memfd of @size bytes, so that it can be mapped) with an entry of @type;
 * -errno. */
int model_new_fd(const char *name, u64 size, enum model_type type);
/* A descriptor that is there becomes one of the model's. */
struct model_file *model_register(int fd, enum model_type type);
/* Is there a machine? */
bool model_any_vm(void);
/* Close a descriptor that lkvm never got, and forget it: its number comes again. */
void model_drop_fd(int fd);

/* A fault that the script wants for a call. */
struct model_fault {
	int err;   /* as it is named: a positive errno; 0: none */
	u64 fw;	   /* code of the firmware (SNP) or of the module (TDX); 0: it is not reached */
	u64 page;  /* which page of a populate, from 0 */
	bool used; /* set by whoever makes the call fail: model_fail, or a populate at its page */
	int sig;   /* a signal that the process gets then; 0: only as if there was one */
};

/* One call. */
struct model_call {
	int fd;
	struct model_file *file;
	struct model_vm *vm;	 /* NULL on /dev/kvm */
	struct model_vcpu *vcpu; /* of a vcpu's descriptor */
	unsigned long request;
	unsigned long arg;
	char name[48];	/* SNP_LAUNCH_UPDATE, KVM_CREATE_VCPU */
	char note[512]; /* JSON members for the log, by model_note */
	struct model_fault fault;
};
/* Adds `, "KEY": VALUE` to the log's line of this call. */
void model_note(struct model_call *c, const char *key, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
/* At the place where a scripted fault of this call takes effect: 0, or the -errno to fail with. */
long model_fail(struct model_call *c);
/* What stands in the way of page @i of a populate, from 0: the script, chunk= or eintr=. 0, or the
 * -errno inside the kernel. */
long model_disturb(struct model_call *c, u64 i);
/* From and to the caller's memory: 0 or -EFAULT, never a signal. */
int model_read(void *to, u64 from, size_t len);
int model_write(u64 to, const void *from, size_t len);
bool model_is_writable(u64 at, size_t len);
#define model_pointer(x) ((void *)(uintptr_t)(x))

/*
 * An exit that the script may ask for. @fill: make kvm_run say it (all of it is zero before), by
 * the words of the script's line; *error is what KVM_RUN fails with, 0 at first; -EINVAL when the
 * rules do not allow such an exit (after model_script_error). @complete: the VMM calls KVM_RUN
 * again: what it answered; 0 or the -errno with which this KVM_RUN fails; NULL: nothing to see.
 */
struct model_words;
struct model_exit_kind {
	const char *name;
	int (*fill)(struct model_vcpu *vcpu, const struct model_words *words, int *error);
	int (*complete)(struct model_vcpu *vcpu);
};

/* A call that may be scripted to fail, with the errnos that its rules allow, ended by 0. */
struct model_failure {
	const char *name;
	int errs[12];
	bool firmware; /* with fw= too */
};

/* A kind of guests. All may be NULL; all return 0 or more, -errno, or MODEL_PASS. */
struct model_kind {
	const char
		*name; /* LKVM_MODEL's first word; a kind that is a family has all as prefix-... */
	const char *help; /* one line */
	/* Is that first word this kind's, instead of @name (a generation)? It is chosen then. */
	bool (*select)(const char *word);
	/* An option of LKVM_MODEL; @value is NULL without one; false: unknown. */
	bool (*option)(const char *name, const char *value);
	/* KVM_CREATE_VM: 0: a VM of this kind, and @vm is set up; MODEL_PASS: an ordinary one. */
	long (*create)(struct model_vm *vm, u64 type);
	/* The name of a call, for log and script, where that is not the ioctl's; NULL: no other. */
	const char *(*name_call)(const struct model_call *c);
	/* A call on /dev/kvm, also before there is a VM; and on what belongs to a VM of this kind.
	 */
	long (*system)(struct model_call *c);
	long (*vm)(struct model_call *c);
	long (*vcpu)(struct model_call *c);
	long (*device)(struct model_call *c);
	long (*gmem)(struct model_call *c); /* on a guest_memfd */
	/* Pages of a guest_memfd are given back: a hole, after the common checks. */
	void (*punch)(struct model_gmem *gmem, u64 offset, u64 len);
	/* Pages are about to change hands (KVM_SET_MEMORY_ATTRIBUTES passed its checks). */
	void (*convert)(struct model_vm *vm, u64 gpa, u64 size, bool private);
	/* A slot is set (@slot->size > 0), after the common checks: 0 or -errno. */
	int (*slot)(struct model_vm *vm, const struct model_slot *slot);
	/* Before the model or the machine runs the vcpu: 0 go on, -errno, or 1: kvm_run has an exit
	 * already. */
	long (*enter)(struct model_vcpu *vcpu);
	/* A call on a VM that is not of this kind, or on its vcpus. */
	long (*ordinary)(struct model_call *c);
	/* The VM is at its end, by its descriptor's or the process's: what was left undone. */
	void (*destroy)(struct model_vm *vm);
	const struct model_exit_kind *exits; /* ended by a NULL name */
	const struct model_failure *failures;
	/* The text of a file that this host would have, or NULL: it is left alone; "": it is not
	 * there. */
	const char *(*file)(const char *path);
};
/* exits.c: exits that several kinds know, for their tables. "fault" [private|shared] gpa=A [size=S]
 * is KVM_EXIT_MEMORY_FAULT, and KVM_RUN fails with EFAULT. With model_complete_fault it comes again
 * until the pages are of the kind that is accessed (where attributes say that); the third equal one
 * in a row is a broken rule. "event" type=T [data=D] is KVM_EXIT_SYSTEM_EVENT;
 * "shutdown" is KVM_EXIT_SHUTDOWN; "fail" [reason=R] KVM_EXIT_FAIL_ENTRY; "internal" [suberror=S]
 * KVM_EXIT_INTERNAL_ERROR; "error" err=NUMBER makes KVM_RUN fail alone. */
int model_fill_fault(struct model_vcpu *vcpu, const struct model_words *words, int *error);
int model_complete_fault(struct model_vcpu *vcpu);
int model_fill_event(struct model_vcpu *vcpu, const struct model_words *words, int *error);
int model_fill_shutdown(struct model_vcpu *vcpu, const struct model_words *words, int *error);
int model_fill_fail(struct model_vcpu *vcpu, const struct model_words *words, int *error);
int model_fill_internal(struct model_vcpu *vcpu, const struct model_words *words, int *error);
int model_fill_error(struct model_vcpu *vcpu, const struct model_words *words, int *error);
/* A number in kvm_run, at a byte offset. */
u64 model_run_get(const struct model_vcpu *vcpu, u32 offset);
void model_run_set(struct model_vcpu *vcpu, u32 offset, u64 value);
/* A host without confidential guests. */
extern const struct model_kind model_plain;

/* Those of this architecture, ended by NULL (x86/kinds.c, arm/kinds.c). */
extern const struct model_kind *const model_kinds[];

/* The rest of KVM without any KVM. A vcpu that has no more scripted exits is not its matter. */
struct model_machine {
	long (*ioctl)(struct model_call *c); /* never MODEL_PASS */
	/* Over the host's KVM, of a VM of a kind: the vcpu's state that the model keeps itself;
	 * what is set goes to the host's KVM as well. MODEL_PASS: only the host's. May be NULL. */
	long (*state)(struct model_call *c);
	/* Over the host's KVM: what goes below instead of the VMM's call, which the model took. May
	 * be NULL: the call itself. */
	long (*forward)(struct model_call *c);
	/* A new VM, a new vcpu; 0 or -errno. */
	int (*vm)(struct model_vm *vm);
	int (*vcpu)(struct model_vcpu *vcpu);
	/* What the architecture wants of a slot that is set, of any VM: 0 or -errno. May be NULL.
	 */
	int (*slot)(struct model_vm *vm, const struct model_slot *slot);
	/* Before an ordinary VM's vcpu runs: 0 go on, or -errno. May be NULL. */
	long (*enter)(struct model_vcpu *vcpu);
	/* Names of its ioctls, ended by a NULL; the common ones the core knows. */
	const struct model_name {
		unsigned long request;
		const char *name;
	} * names;
};
extern const struct model_machine model_machine;

/* What LKVM_MODEL says. */
struct model_settings {
	const struct model_kind *kind; /* NULL: the library does nothing */
	bool host_kvm;		       /* kvm=host: the host's KVM is below */
	bool lenient;		       /* lenient: a broken rule does not change the status */
	bool strict;		       /* strict: what is refused counts as broken */
	u32 chunk;		       /* chunk=N: at most so many pages in one populate; 0: any */
	u32 eintr; /* eintr=N: a signal is pending at every N-th page; 0: never */
};
extern struct model_settings model;

/* A number of LKVM_MODEL or a script, decimal or 0x; whatever else ends the process with a line. */
u64 model_number(const char *what, const char *text);

/*
 * A rule that the VMM broke: said in the log and at the end, and the process's status is
 * MODEL_STATUS. model_refused is for what a VMM may run into through its user or its host (a
 * policy that the firmware does not take): the log has it, with `strict` it is broken.
 * Both return @err, so that a check is one line: return model_broken(-EINVAL, "...").
 */
long model_broken(long err, const char *format, ...) __attribute__((format(printf, 2, 3)));
long model_refused(long err, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line of the log: @format is the inside of a JSON object, strings by model_json_text. */
void model_log(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The final measurement. @more: further JSON members (", \"policy\": ..."), or "". */
void model_measured(const struct model_vm *vm, const char *name, const u8 *digest, size_t len,
		    const char *more);
/* Ends the process: the model's own user is wrong. */
void model_usage(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

/* vfio.c: options of LKVM_MODEL, the start, and "KVM forgets all files". */
bool vfio_option(const char *name, const char *value);
void vfio_start(void);
void vfio_forget_told(void);
long vfio_open(const char *path);

/* script.c */
void model_script_load(void);
/* Words "name=value" and bare ones of a script's line. */
bool model_word(const struct model_words *words, const char *name);
u64 model_word_number(const struct model_words *words, const char *name, u64 otherwise);
int model_script_error(const struct model_words *words, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* What is scripted for this call, the how manieth of its name: into c->fault. */
void model_script_call(struct model_call *c);
/* The exit scripted for this KVM_RUN of @vcpu: false: none; else kvm_run says it and *error is
 * what KVM_RUN fails with. */
bool model_script_exit(struct model_vcpu *vcpu, int *error);
/* Is more to come for @vcpu? Without a KVM the guest powers off when nothing is. */
bool model_script_pending(const struct model_vcpu *vcpu);
/* What was never reached is a mistake of the script: told at the end. */
void model_script_check(void);

/* memory.c */
long model_memory(struct model_call *c);
const struct model_slot *model_find_slot(const struct model_vm *vm, u64 gpa);
/* The bytes of the guest_memfd behind @gpa; NULL: none. */
u8 *model_gmem_at(const struct model_vm *vm, u64 gpa);
/* Pages of [start, end) that the host still has on one side: in guest_memfd, or in the shared
 * mapping. What was converted should be given back. */
u64 model_resident(const struct model_vm *vm, u64 start, u64 end, bool private);
void model_gmem_put(struct model_gmem *gmem);
/* One of its descriptors is closed. */
void model_gmem_closed(struct model_gmem *gmem);

/* real.c: the host's KVM below. */
long model_real(struct model_call *c);
int model_real_vm(struct model_vm *vm);
int model_real_vcpu(struct model_vcpu *vcpu);
long model_real_run(struct model_call *c);
void model_real_complete(struct model_vcpu *vcpu);
/* Slots or attributes of [gpa, gpa+size) changed. 0 or -errno. */
int model_real_memory(struct model_vm *vm);

/* core.c: 0 or -errno; releases the lock around calls that may block. */
extern pthread_mutex_t model_lock;
long model_ioctl(int fd, unsigned long request, unsigned long arg);
void model_close(int fd);
/* @to became a duplicate of @fd. */
void model_dup(int fd, int to);

/* wrap.c: the C library's own. */
int model_libc_open(const char *path, int flags);
long model_libc_ioctl(int fd, unsigned long request, unsigned long arg);
int model_libc_close(int fd);
void *model_libc_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);

/* report.c */
void model_report_open(void);
void model_report_end(void);
bool model_is_broken(void);
/* Is this the process that opened KVM? */
bool model_is_owner(void);

/* sha2.c: of FIPS 180-4; written for the model, so that no digest is computed twice by the same
 * code. @bits: 256, 384 or 512; @out has bits / 8 bytes. */
struct model_sha {
	u64 h[8];
	u8 block[128];
	u64 len;
	u32 bits;
};
void model_sha_start(struct model_sha *sha, u32 bits);
void model_sha_add(struct model_sha *sha, const void *data, size_t len);
void model_sha_end(struct model_sha *sha, u8 *out);
void model_sha(u32 bits, const void *data, size_t len, u8 *out);

/* p384.c: is (r, s) a signature by ECDSA with P-384 and SHA-384 of @data? Each of the four numbers
 * is 72 bytes, the lowest first. */
bool model_p384_verify(const void *data, size_t len, const u8 *qx, const u8 *qy, const u8 *r,
		       const u8 *s);

#pragma GCC visibility pop

#endif
