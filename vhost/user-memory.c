/* SPDX-License-Identifier: MIT */
/*
 * vhost-user: the guest's memory, for the back end to map. With CONFIGURE_MEM_SLOTS it is told of
 * each region that comes or goes, and has room for as many as it says; without, of all at once.
 */
#include <stdlib.h>
#include <sys/stat.h>

#include "user.h"

static int cannot(struct vhost *v)
{
	return vhost_user_lose(v, -ENOTSUP, "cannot be given this guest's memory");
}

/* All that devices may use of @mem, behind files, into @list, which has room for @max. The number,
 * or -ENOTSUP. */
static int collect(const struct guest_memory *mem, struct user_region *list, u32 max)
{
	const struct memory_region *r;
	struct stat st;
	u32 n = 0;

	memory_for_each(mem, r) {
		if (!memory_is_writable(r->kind))
			continue;
		if (r->fd < 0 || n == max || fstat(r->fd, &st) < 0)
			return -ENOTSUP;
		list[n++] = (struct user_region){
			.r = {
				.gpa = r->gpa,
				.size = r->size,
				.user = (uintptr_t)r->hva,
				.offset = r->offset,
			},
			.dev = st.st_dev,
			.ino = st.st_ino,
			.fd = r->fd,
		};
	}
	return (int)n;
}

/* Without slots */
static int tell_all(struct vhost *v, const struct guest_memory *mem)
{
	struct message m = { .request = SET_MEM_TABLE };
	struct user_region list[MAX_REGIONS];
	int fds[MAX_REGIONS];
	int n = collect(mem, list, MAX_REGIONS);

	if (n < 0)
		return cannot(v);
	for (int i = 0; i < n; i++) {
		m.p.memory.regions[i] = list[i].r;
		fds[i] = list[i].fd;
	}
	m.p.memory.count = (u32)n;
	m.size = (u32)(offsetof(union payload, memory.regions) + (u32)n * sizeof(struct region));
	return vhost_user_tell(v, &m, fds, (u32)n);
}

static bool has(const struct user_region *list, u32 n, const struct user_region *r)
{
	for (u32 i = 0; i < n; i++)
		if (!memcmp(&list[i].r, &r->r, sizeof(r->r)) && list[i].dev == r->dev &&
		    list[i].ino == r->ino)
			return true;
	return false;
}

/* "A single memory region description". A file goes along with what is added. */
static int tell_one(struct vhost *v, u32 what, const struct user_region *r)
{
	struct message m = { .request = what, .size = sizeof(m.p.slot), .p.slot.region = r->r };

	return vhost_user_tell(v, &m, &r->fd, what == ADD_MEM_REG);
}

/* What it has mapped keeps its file alive: no other one has its inode number meanwhile. */
static int tell_changes(struct vhost *v, const struct user_region *list, u32 n)
{
	struct vhost_user *u = to_user(v);
	int ret = 0;

	for (u32 i = 0; i < u->nr_regions && !ret; i++)
		if (!has(list, n, &u->regions[i]))
			ret = tell_one(v, REM_MEM_REG, &u->regions[i]);
	for (u32 i = 0; i < n && !ret; i++)
		if (!has(u->regions, u->nr_regions, &list[i]))
			ret = tell_one(v, ADD_MEM_REG, &list[i]);
	return ret;
}

int vhost_user_set_memory(struct vhost *v, const struct guest_memory *mem)
{
	struct vhost_user *u = to_user(v);
	const struct memory_region *r;
	struct user_region *list;
	u32 max = 0;
	int n, ret;

	if (v->gone)
		return -EPIPE;
	if (!u->slots)
		return tell_all(v, mem);
	memory_for_each(mem, r)
		max++;
	list = xcalloc(max + 1, sizeof(*list));
	n = collect(mem, list, MIN(max, u->slots));
	ret = n < 0 ? cannot(v) : tell_changes(v, list, (u32)n);
	if (ret) {
		free(list);
		return ret;
	}
	free(u->regions);
	u->regions = list;
	u->nr_regions = (u32)n;
	return 0;
}

int vhost_user_count_slots(struct vhost *v)
{
	struct vhost_user *u = to_user(v);
	u64 slots = 0;
	int ret = 0;

	if (u->protocol & BIT_ULL(P_MEM_SLOTS))
		ret = vhost_user_ask_number(v, GET_MAX_MEM_SLOTS, &slots);
	u->slots = (u32)MIN(slots, (u64)UINT32_MAX);
	return ret;
}
