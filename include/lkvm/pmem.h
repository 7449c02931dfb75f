/* SPDX-License-Identifier: MIT */
/*
 * What stands behind a virtio-pmem device: a file that is mapped, not read and written. A back end
 * knows neither the device nor where in the guest's memory the file lies.
 */
#ifndef LKVM_PMEM_H
#define LKVM_PMEM_H

#include "lkvm/types.h"

struct disk;
struct pmem_config;

struct pmem {
	char *what;	   /* "--pmem FILE", for messages and as the region's name */
	int fd;		   /* to be mapped; -1: only described */
	struct disk *disk; /* takes DISK_FLUSH for the file; NULL: there is nothing to flush */
	bool readonly;
	u64 size;     /* bytes that the guest sees, of PMEM_UNIT */
	u64 file_len; /* so many of them are in the file; less only where @readonly */
	u64 page;     /* of the file's mapping; 0: the host's */
	u64 gpa;      /* where the guest has it; the machine's to say */
};

/*
 * Open and lock what @cfg names, a regular file or a block device, as a disk is. Prints: all that
 * disk_open does, and a size that the guest cannot have. 0 or -errno; pmem_close.
 */
int pmem_open(const struct pmem_config *cfg, struct pmem *pmem) __must_check;
/* The same for a machine that is only described: looks at the size alone, and not even at that
 * where @cfg says it. */
int pmem_measure(const struct pmem_config *cfg, struct pmem *pmem) __must_check;
void pmem_close(struct pmem *pmem);

#endif
