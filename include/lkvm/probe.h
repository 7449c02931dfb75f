/* SPDX-License-Identifier: MIT */
/*
 * What the host offers: one row for each capability, with its value or the reason why it is not
 * there. Filled by probes that leave nothing behind, printed by `lkvm host`. The probes reach the
 * host through struct probe_sys alone, so tests can put another one in its place.
 */
#ifndef LKVM_PROBE_H
#define LKVM_PROBE_H

#include <stdio.h>

#include "lkvm/types.h"

struct access_who;
struct json_out;

/* Each is a heading of the table and a key of the JSON form; in this order. */
enum probe_section {
	PROBE_SEC_HOST,
	PROBE_SEC_KVM,
	PROBE_SEC_LIMITS,
	PROBE_SEC_INTERRUPTS,
	PROBE_SEC_CPU,
	PROBE_SEC_TIME,
	PROBE_SEC_NESTED,
	PROBE_SEC_CONFIDENTIAL,
	PROBE_SEC_MEMORY,
	PROBE_SEC_EXECUTION,
	PROBE_SEC_DEVICES,
	PROBE_SEC_SERVICES,
	NR_PROBE_SECTIONS,
};

enum probe_answer {
	PROBE_UNKNOWN, /* cannot be told; why says so */
	PROBE_NO,
	PROBE_YES,
};

enum probe_value {
	PROBE_NO_VALUE,
	PROBE_NUMBER,
	PROBE_TEXT,
	PROBE_LIST, /* words with one blank between */
};

struct probe_row {
	enum probe_section section;
	char *name; /* lower case, words joined by '-': a key that stays */
	enum probe_answer answer;
	enum probe_value type;
	u64 number;
	bool hex;	    /* how the table shows it */
	char *text;	    /* PROBE_TEXT, PROBE_LIST */
	char *why;	    /* unless PROBE_YES: the reason, and the remedy */
	char *note;	    /* PROBE_YES: a limit of it, or NULL */
	const char *brings; /* what it is good for, or NULL */
	const char *since;  /* "6.8": the Linux that brought it, or NULL */
	int cap;	    /* its KVM_CAP number; -1: none */
	bool feature;  /* one of many: the table shows only the names of those that are there */
	bool withheld; /* a feature that the CPU has and KVM does not pass on */
	bool unasked;  /* KVM would know, but cannot be asked */
};

/* How the probes reach the host. Each function returns a value or -errno. */
struct probe_sys {
	const char *root; /* stands before every path: "" for the host itself */
	void *opaque;
	const struct access_who *who; /* who asks, see access.h; NULL: this process */
	int (*open)(void *opaque, const char *path, int flags);
	int (*close)(void *opaque, int fd);
	int (*ioctl)(void *opaque, int fd, unsigned long request, unsigned long arg);
	int (*access)(void *opaque, const char *path, int mode);
	long (*syscall)(void *opaque, long number, long a, long b, long c);
};

extern const struct probe_sys probe_sys_real;

struct probe {
	const struct probe_sys *sys;
	const char *kvm_path;
	int kvm_fd;	   /* -1: cannot be opened */
	int vm_fd;	   /* -1: cannot be created */
	bool usable;	   /* a VM can be made */
	char release[128]; /* of the kernel, as uname -r has it */
	u32 kernel;	   /* probe_version() of it; 0: not known */
	struct probe_row **rows;
	size_t nr_rows;
	void *cpu; /* what probe_arch_rows keeps for probe_arch_put_cpu; freed by probe_destroy */
};

/*
 * probe/probe.c: find out everything about the host behind @sys, with the KVM device @kvm_path. The
 * descriptors are closed again; nothing is loaded. Prints nothing; probe_destroy releases the rows.
 */
void probe_run(struct probe *h, const struct probe_sys *sys, const char *kvm_path);
void probe_destroy(struct probe *h);

/* probe/row.c: the rows. The pointer that is returned stays valid until probe_destroy. */
struct probe_row *probe_row(struct probe *h, enum probe_section section, const char *name,
			    const char *brings);
void probe_yes(struct probe_row *row);
void probe_number(struct probe_row *row, u64 number);
void probe_text(struct probe_row *row, const char *fmt, ...) __printf(2, 3);
/* The names of the bits of @mask, from bit 0 up; one without a name is called "bitN". */
void probe_bits(struct probe_row *row, u64 mask, const char *const *names, size_t nr_names);
void probe_note(struct probe_row *row, const char *fmt, ...) __printf(2, 3);
void probe_no(struct probe_row *row, const char *fmt, ...) __printf(2, 3);
void probe_unknown(struct probe_row *row, const char *fmt, ...) __printf(2, 3);
/* Needs an answer of KVM, and there is none to ask. */
void probe_unasked(struct probe_row *row);
/*
 * Does the vcpu of the scratch VM answer @row? @error: 0, or why it could not be made. Where not,
 * the row says so.
 */
bool probe_vcpu_answers(const struct probe *h, struct probe_row *row, int error);
/* A row that such a vcpu answers, to be filled; NULL when it is already: of a vcpu that does not
 * answer, or has it not (not @there), for the reason @missing. */
struct probe_row *probe_vcpu_row(struct probe *h, enum probe_section section, const char *name,
				 const char *brings, bool there, int error, const char *missing);
/* The row called @name, or NULL. */
const struct probe_row *probe_find(const struct probe *h, enum probe_section section,
				   const char *name);
/* For probe_arch_put_cpu: what @row (NULL: there is none) says of a feature, which this host has or
 * has not: "offered", and what there is to add. */
void probe_put_feature(const struct probe_row *row, struct json_out *out);

/* probe/print.c. @verbose adds what each row brings, and the features that are not there. */
void probe_print_table(const struct probe *h, bool verbose, FILE *out);
void probe_print_json(const struct probe *h, FILE *out);
/* probe/print-cpu.c: what --cpu can name. 0 or -errno; prints nothing else. */
int probe_print_cpu(const struct probe *h, FILE *out) __must_check;

/* probe/sys.c: files below the root, modules, versions. */
/* "6.8", "6.18.4-rc1": major << 16 | minor; 0 when it is none. */
u32 probe_version(const char *s);
bool probe_exists(const struct probe *h, const char *path);
/* The first line of a file without its newline; false when it cannot be read. */
bool probe_read_line(const struct probe *h, const char *path, char *buf, size_t len);
bool probe_read_number(const struct probe *h, const char *path, u64 *number);
/* How many entries a directory has, without "." and ".."; 0 when it cannot be read. */
u32 probe_count_entries(const struct probe *h, const char *path);
/*
 * Is @word one of those in the first line of @path that begins with @key (NULL: any line)? Words
 * end at blanks, tabs and line ends; lines of any length.
 */
bool probe_file_has_word(const struct probe *h, const char *path, const char *key,
			 const char *word);
/* The value after @key in the first line of /proc/cpuinfo that has it; false: there is none. */
bool probe_cpuinfo(const struct probe *h, const char *key, char *buf, size_t len);

/* Why a driver is not there, and how to get it: "load it: modprobe NAME", ... */
const char *probe_module_why(const struct probe *h, const char *name, const char *config, char *buf,
			     size_t len);
/*
 * A boolean parameter of a module that is loaded: 1 on, 0 off, -ENOENT when there is no such
 * parameter (or module). @path gets where it stands.
 */
int probe_module_param(const struct probe *h, const char *module, const char *param, char *path,
		       size_t len);
/* Why the device @path may not be used, after @error (EACCES, EPERM), and the remedy. */
const char *probe_permission_why(const struct probe *h, const char *path, int error, char *buf,
				 size_t len);
/* "Linux 6.8 brought it, this is 6.1.0"; false when @since is NULL or old enough. */
bool probe_too_old(const struct probe *h, const char *since, char *buf, size_t len);
/* No, for what Linux has since @since (NULL: not known) when probe_too_old() has no answer. */
void probe_not_offered(const struct probe *h, struct probe_row *row, const char *since);

/* A device node that belongs to a driver. */
struct probe_node {
	const char *name;
	const char *path;
	const char *class; /* below /sys/class when the driver is there: "misc/tun" */
	const char *module;
	const char *config; /* the kernel option that builds it */
	const char *brings;
};
/* May it be opened? It is not: opening would load the driver. Why not goes to @why. */
bool probe_node_usable(const struct probe *h, const struct probe_node *node, char *why, size_t len);
/* A row out of that. */
void probe_node_row(struct probe *h, enum probe_section section, const struct probe_node *node);

/* probe/caps.c: KVM_CHECK_EXTENSION as a table. */
enum probe_cap_read {
	PROBE_CAP_FLAG, /* there or not */
	PROBE_CAP_COUNT,
	PROBE_CAP_MASK, /* bits with names */
};
struct probe_cap {
	const char *name;
	enum probe_section section;
	u32 cap;
	enum probe_cap_read read;
	const char *since;
	const char *brings;
	const char *const *bits; /* PROBE_CAP_MASK: names from bit 0 up; NULL ones have none */
	size_t nr_bits;
	const char *param;   /* "kvm.enable_pmu": the module parameter that switches it off */
	const char *missing; /* the usual reason, when the kernel is new enough */
};
#define PROBE_BITS(names) .read = PROBE_CAP_MASK, .bits = (names), .nr_bits = ARRAY_SIZE(names)
void probe_caps(struct probe *h, const struct probe_cap *table, size_t n);
/* What KVM says about @cap on the VM and on the device; 0 when it does not know it or is not there.
 */
int probe_check_vm(const struct probe *h, u32 cap);
int probe_check_sys(const struct probe *h, u32 cap);

/* probe/memory.c, probe/devices.c, probe/services.c: probes of what is not a capability of KVM. */
void probe_memory_rows(struct probe *h);
void probe_device_rows(struct probe *h);
void probe_service_rows(struct probe *h);

/*
 * probe/ARCH/: the rows that only this architecture has, and why there is no KVM or no IOMMU here.
 * The text goes to @buf, which is returned.
 */
void probe_arch_rows(struct probe *h);
/* The things of CPUs that --cpu can name: how many, and the members of number @i, into an object
 * that is open. */
u32 probe_arch_nr_cpu(void);
void probe_arch_put_cpu(const struct probe *h, u32 i, struct json_out *out);
/* The type of VM that serves the probes: the plainest that can be made. */
u64 probe_arch_vm_type(const struct probe *h);
const char *probe_arch_why_no_kvm(const struct probe *h, char *buf, size_t len);
const char *probe_arch_why_no_iommu(const struct probe *h, char *buf, size_t len);

#endif
