/* SPDX-License-Identifier: MIT */
/* All CPUs come up, say so, and count together: under a lock and by atomic additions. */
#include "guest.h"

#define ROUNDS 200

static struct spinlock lock;
static u32 locked, atomic, done;

static void work(u32 index)
{
	print("cpu %u up\n", index);
	for (u32 i = 0; i < ROUNDS; i++) {
		atomic_add(&atomic, 1);
		spin_lock(&lock);
		locked++;
		spin_unlock(&lock);
	}
	atomic_add(&done, 1);
}

int guest_main(void)
{
	u32 cpus = arch_nr_cpus(), others = arch_start_cpus(work);

	work(0);
	for (u64 start = arch_cycles(); atomic_read(&done) < others + 1 && !arch_hangs(start);)
		arch_pause();
	print("%u of %u cpus, counted %u and %u\n", others + 1, cpus, locked, atomic_read(&atomic));
	return others + 1 == cpus && locked == cpus * ROUNDS && atomic == locked ? 0 : 1;
}
