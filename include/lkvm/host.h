/* SPDX-License-Identifier: MIT */
/*
 * What the host offers: one row for each capability, with its value or the reason why it is not
 * there. Filled by probes that leave nothing behind, printed by `lkvm host`. The probes reach the
 * host through struct host_sys alone, so tests can put another one in its place.
 */
#ifndef LKVM_HOST_H
#define LKVM_HOST_H

#include <stdio.h>

#include "lkvm/types.h"

/* Each is a heading of the table and a key of the JSON form; in this order. */
enum host_section {
	HOST_SEC_HOST,
	HOST_SEC_KVM,
	HOST_SEC_LIMITS,
	HOST_SEC_INTERRUPTS,
	HOST_SEC_CPU,
	HOST_SEC_TIME,
	HOST_SEC_NESTED,
	HOST_SEC_CONFIDENTIAL,
	HOST_SEC_MEMORY,
	HOST_SEC_EXECUTION,
	HOST_SEC_DEVICES,
	HOST_SEC_SERVICES,
	NR_HOST_SECTIONS,
};

enum host_answer {
	HOST_UNKNOWN, /* cannot be told; why says so */
	HOST_NO,
	HOST_YES,
};

enum host_value {
	HOST_NO_VALUE,
	HOST_NUMBER,
	HOST_TEXT,
	HOST_LIST, /* words with one blank between */
};

struct host_row {
	enum host_section section;
	char *name; /* lower case, words joined by '-': a key that stays */
	enum host_answer answer;
	enum host_value type;
	u64 number;
	bool hex;	    /* how the table shows it */
	char *text;	    /* HOST_TEXT, HOST_LIST */
	char *why;	    /* unless HOST_YES: the reason, and what mends it */
	char *note;	    /* HOST_YES: a limit of it, or NULL */
	const char *brings; /* what it is good for, or NULL */
	const char *since;  /* "6.8": the Linux that brought it, or NULL */
	int cap;	    /* its KVM_CAP number; -1: none */
	bool feature;  /* one of many: the table shows only the names of those that are there */
	bool withheld; /* a feature that the CPU has and KVM does not pass on */
	bool unasked;  /* KVM would know, but cannot be asked */
};

/* How the probes reach the host. Each function returns a value or -errno. */
struct host_sys {
	const char *root; /* stands before every path: "" for the host itself */
	void *opaque;
	int (*open)(void *opaque, const char *path, int flags);
	int (*close)(void *opaque, int fd);
	int (*ioctl)(void *opaque, int fd, unsigned long request, unsigned long arg);
	int (*access)(void *opaque, const char *path, int mode);
	long (*syscall)(void *opaque, long number, long a, long b, long c);
};

extern const struct host_sys host_sys_real;

struct host {
	const struct host_sys *sys;
	const char *kvm_path;
	int kvm_fd;	   /* -1: cannot be opened */
	int vm_fd;	   /* -1: cannot be created */
	bool usable;	   /* a VM can be made */
	char release[128]; /* of the kernel, as uname -r has it */
	u32 kernel;	   /* host_version() of it; 0: not known */
	struct host_row **rows;
	size_t nr_rows;
};

/*
 * host/probe.c: find out everything about the host behind @sys, with the KVM device @kvm_path. The
 * descriptors are closed again; nothing is loaded. Prints nothing; host_destroy releases the rows.
 */
void host_probe(struct host *h, const struct host_sys *sys, const char *kvm_path);
void host_destroy(struct host *h);

/* host/row.c: the rows. The pointer that is returned stays valid until host_destroy. */
struct host_row *host_row(struct host *h, enum host_section section, const char *name,
			  const char *brings);
void host_yes(struct host_row *row);
void host_number(struct host_row *row, u64 number);
void host_text(struct host_row *row, const char *fmt, ...) __printf(2, 3);
/* The names of the bits of @mask, from bit 0 up; one without a name is called "bitN". */
void host_bits(struct host_row *row, u64 mask, const char *const *names, size_t nr_names);
void host_note(struct host_row *row, const char *fmt, ...) __printf(2, 3);
void host_no(struct host_row *row, const char *fmt, ...) __printf(2, 3);
void host_unknown(struct host_row *row, const char *fmt, ...) __printf(2, 3);
/* Needs an answer of KVM, and there is none to ask. */
void host_unasked(struct host_row *row);
/* The row called @name, or NULL. */
const struct host_row *host_find(const struct host *h, enum host_section section, const char *name);

/* host/print.c. @verbose adds what each row brings, and the features that are not there. */
void host_print_table(const struct host *h, bool verbose, FILE *out);
void host_print_json(const struct host *h, FILE *out);

/* host/sys.c: files below the root, modules, versions. */
/* "6.8", "6.18.4-rc1": major << 16 | minor; 0 when it is none. */
u32 host_version(const char *s);
bool host_exists(const struct host *h, const char *path);
/* The first line of a file without its newline; false when it cannot be read. */
bool host_read_line(const struct host *h, const char *path, char *buf, size_t len);
bool host_read_number(const struct host *h, const char *path, u64 *number);
/* How many entries a directory has, without "." and ".."; 0 when it cannot be read. */
u32 host_count_entries(const struct host *h, const char *path);
/*
 * Is @word one of those in the first line of @path that begins with @key (NULL: any line)? Words
 * end at blanks, tabs and line ends; lines of any length.
 */
bool host_file_has_word(const struct host *h, const char *path, const char *key, const char *word);

enum host_module {
	HOST_MODULE_LOADED, /* or built in */
	HOST_MODULE_AVAILABLE,
	HOST_MODULE_ABSENT,
	HOST_MODULE_UNKNOWN, /* this system does not tell which modules its kernel has */
};
enum host_module host_module(const struct host *h, const char *name);
/* Why a driver is not there, and how to get it: "load it: modprobe NAME", ... */
const char *host_module_why(const struct host *h, const char *name, const char *config, char *buf,
			    size_t len);
/*
 * A boolean parameter of a module that is loaded: 1 on, 0 off, -ENOENT when there is no such
 * parameter (or module). @path gets where it stands.
 */
int host_module_param(const struct host *h, const char *module, const char *param, char *path,
		      size_t len);
/* Who may use the device @path, and how one gets among them. */
const char *host_permission_why(const struct host *h, const char *path, char *buf, size_t len);
/* "Linux 6.8 brought it, this is 6.1.0"; false when @since is NULL or old enough. */
bool host_too_old(const struct host *h, const char *since, char *buf, size_t len);

/* A device node that belongs to a driver. */
struct host_node {
	const char *name;
	const char *path;
	const char *class; /* below /sys/class when the driver is there: "misc/tun" */
	const char *module;
	const char *config; /* the kernel option that builds it */
	const char *brings;
};
/* May it be opened? It is not: opening would load the driver. Why not goes to @why. */
bool host_node_usable(const struct host *h, const struct host_node *node, char *why, size_t len);
/* A row out of that. */
void host_node_row(struct host *h, enum host_section section, const struct host_node *node);

/* host/caps.c: KVM_CHECK_EXTENSION as a table. */
enum host_cap_read {
	HOST_CAP_FLAG, /* there or not */
	HOST_CAP_COUNT,
	HOST_CAP_MASK, /* bits with names */
};
struct host_cap {
	const char *name;
	enum host_section section;
	u32 cap;
	enum host_cap_read read;
	const char *since;
	const char *brings;
	const char *const *bits; /* HOST_CAP_MASK: names from bit 0 up; NULL ones have none */
	size_t nr_bits;
	const char *param;   /* "kvm.enable_pmu": the module parameter that switches it off */
	const char *missing; /* the usual reason, when the kernel is new enough */
};
#define HOST_BITS(names) .read = HOST_CAP_MASK, .bits = (names), .nr_bits = ARRAY_SIZE(names)
void host_caps(struct host *h, const struct host_cap *table, size_t n);
/* What KVM says about @cap on the VM and on the device; 0 when it does not know it or is not there.
 */
int host_check_vm(const struct host *h, u32 cap);
int host_check_sys(const struct host *h, u32 cap);

/* host/memory.c, host/devices.c, host/services.c: the probes that are no capability of KVM. */
void host_memory_rows(struct host *h);
void host_device_rows(struct host *h);
void host_service_rows(struct host *h);

#endif
