/* SPDX-License-Identifier: MIT */
/*
 * Realms of Arm CCA in KVM, by the two ABIs that were proposed for it: the explicit one ("RME", up
 * to v10: KVM_ENABLE_CAP builds a realm step by step) and the implicit one ("RMI", from v11 on:
 * POPULATE and the first KVM_RUN do). No Linux release has either; each version of the series has
 * its own numbers.
 */
#ifndef MODEL_CCA_H
#define MODEL_CCA_H

#include "arm.h"
#include "cca-rmm.h"

/* A version of the series, and the RMM that it wants. */
struct cca_generation {
	const char *name;    /* LKVM_MODEL's first word */
	const char *release; /* of Linux, about the one that it stands on */
	bool implicit;
	u32 cap;	 /* the number of KVM_CAP_ARM_RME or KVM_CAP_ARM_RMI */
	u64 type;	 /* of KVM_CREATE_VM */
	u32 rec;	 /* number of the vcpu's feature REC; 0: none */
	u32 psci;	 /* ioctl that completes a PSCI call; 0: none */
	bool old_errors; /* v7's */
	bool allow_list; /* a realm shows few capabilities */
	bool advances;	 /* POPULATE says by its structure how far it came, and wants its source
			  * aligned */
	bool rmm2;	 /* RMM 2.0 */
	bool no_vm_attributes; /* private or shared is a guest_memfd's matter */
	u64 gmem_flags;
};

/* How the kernel of the planes' series encodes permissions, and what the RMM can. */
enum cca_planes { CCA_DIRECT, CCA_INDIRECT, CCA_PER_PLANE };

/* This host; set by options. */
struct cca_host {
	const struct cca_generation *gen;
	struct rmm_host rmm;
	bool no_rmm;
	bool has_planes; /* the kernel has the series for them */
	enum cca_planes planes;
	u32 cap;       /* another number than the generation's; 0: none */
	u32 vmids;     /* realms at a time */
	u32 realms;    /* that there are */
	bool in_place; /* v15: KVM was loaded with in-place conversion */
	bool nvidia;   /* the number is readable below /sys */
	bool da;       /* realms are made for assigned devices */
	bool lowered;  /* a realm was made: the limit of address bits is the RMM's */
};
extern struct cca_host cca_host;

#define CCA_MAX_GMEMS 32

enum cca_state { CCA_NONE, CCA_NEW, CCA_ACTIVE, CCA_DEAD };

/* model_vm.kind_state */
struct cca_realm {
	enum cca_state state;
	struct rmm_params config;
	struct rmm_realm rmm;
	bool has_pmu;		  /* when it was created */
	bool rec_measured;	  /* vcpu 0 has its REC */
	bool off;		  /* it said so: whoever enters it again comes back at once */
	u64 last_measured;	  /* the highest page so far */
	struct model_set punched; /* guest addresses whose guest_memfd pages were given back */
	/* v15: what of a guest_memfd is private, by its offsets. */
	struct {
		const struct model_gmem *gmem;
		struct model_set private;
	} gmems[CCA_MAX_GMEMS];
	u32 nr_gmems;
};

/* model_vcpu.feature_bits */
enum {
	CCA_REC_ASKED = 1 << 0,
	CCA_REC_DONE = 1 << 1,
	CCA_PSCI_PENDING = 1 << 2, /* the guest waits for the answer of its call */
};

static inline struct cca_realm *cca_realm(const struct model_vm *vm)
{
	return vm->kind_state;
}

/* cca-host.c */
extern const struct cca_generation cca_generations[]; /* ended by a NULL name */
/* LKVM_MODEL's first word; takes it as this host's generation. */
bool cca_select(const char *word);
bool cca_option(const char *name, const char *value);
/* KVM_CREATE_VM: 0: a realm; MODEL_PASS: another VM. */
long cca_create_vm(struct model_vm *vm, u64 type);
/* KVM_CHECK_EXTENSION of a realm. */
long cca_realm_cap(u32 cap);
/* The number that this host's kernel gives the capability. */
u32 cca_cap_number(void);
const char *cca_file(const char *path);

/* cca-create.c: REALM_CREATE with the parameters that KVM gathers: 0 or -errno. */
long cca_create(struct model_call *c);
/* A REC for @vcpu; whether KVM may make it was checked. 0 or -ENXIO. */
long cca_make_rec(struct model_vcpu *vcpu);
/* One page of a populate, and what the model sees of the order: what the RMM says. */
enum rmi cca_data(struct cca_realm *realm, u64 ipa, const void *page, bool measured);
/* The realm is active: says its measurement. */
void cca_measured(const struct model_vm *vm);
/* Does the script want the populate to fail at page @n? 0 or -errno. */
long cca_fail_at(struct model_call *c, u64 n);

/* cca-rme.c: the explicit ABI. A call of KVM_ENABLE_CAP or KVM_ARM_VCPU_FINALIZE, or MODEL_PASS. */
long cca_rme_enable_cap(struct model_call *c);
long cca_rme_finalize(struct model_call *c);
const char *cca_rme_name(const struct model_call *c);
long cca_rme_enter(const struct model_vcpu *vcpu);

/* cca-rmi.c: the implicit one. */
#define CCA_RMI_POPULATE_OLD 0x4020aed7UL /* v11, v12 */
#define CCA_RMI_POPULATE     0xc020aed7UL
long cca_rmi_populate(struct model_call *c);
/* Before any KVM_RUN; the first one makes the realm. */
long cca_rmi_enter(struct model_call *c);

/* cca-gmem.c */
#define CCA_GMEM_SET_ATTRIBUTES 0xc080aed2UL
long cca_gmem_ioctl(struct model_call *c);
void cca_gmem_punch(struct model_gmem *gmem, u64 offset, u64 len);
/* Is the page at @gpa, is all of [gpa, gpa+size) private, or shared? */
bool cca_is_private(const struct model_vm *vm, u64 gpa);
bool cca_are_all(const struct model_vm *vm, u64 gpa, u64 size, bool private);
/* Can the VMM say what is private? */
bool cca_has_attributes(const struct model_vm *vm, u64 gpa);
void cca_gmem_free(struct cca_realm *realm);

/* cca-exits.c */
extern const struct model_exit_kind cca_exits[];

extern const struct model_kind model_cca;

#endif
