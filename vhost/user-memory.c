/* SPDX-License-Identifier: MIT */
/* vhost-user: the guest's memory, for the back end to map. */
#include "user.h"

int vhost_user_set_memory(struct vhost *v, const struct guest_memory *mem)
{
	struct message m = { .request = SET_MEM_TABLE };
	const struct memory_region *r;
	int fds[MAX_REGIONS];
	u32 n = 0;

	memory_for_each(mem, r) {
		if (!memory_is_writable(r->kind))
			continue;
		if (r->fd < 0 || n == MAX_REGIONS)
			return vhost_user_lose(v, -ENOTSUP, "cannot be given this guest's memory");
		m.p.memory.regions[n] = (struct region){
			.gpa = r->gpa,
			.size = r->size,
			.user = (uintptr_t)r->hva,
			.offset = r->offset,
		};
		fds[n++] = r->fd;
	}
	m.p.memory.count = n;
	m.size = (u32)(offsetof(union payload, memory.regions) + n * sizeof(struct region));
	return vhost_user_tell(v, &m, fds, n);
}
