/* SPDX-License-Identifier: MIT */
/*
 * The host's KVM below the model: an ordinary VM that does what the model does not know. The guest
 * must see its private pages: a slot with a guest_memfd becomes several of the host's, of the
 * model's mapping of it where pages are private, of userspace_addr where they are shared.
 */
#include <stdlib.h>
#include <sys/mman.h>

#include "model.h"

#define O_RDWR_CLOEXEC 02000002

struct piece {
	u64 gpa, size, hva;
	u32 flags;
};

/* The host's slots of a VM, by slot number; size 0: free. */
struct layout {
	struct model_vm *vm;
	struct piece *pieces;
	u32 n;
	struct layout *next;
};
static struct layout *layouts;

static struct layout *layout_of(struct model_vm *vm)
{
	struct layout *l = layouts;

	while (l && l->vm != vm)
		l = l->next;
	if (l)
		return l;
	l = calloc(1, sizeof(*l));
	if (!l)
		abort();
	l->vm = vm;
	l->next = layouts;
	layouts = l;
	return l;
}

int model_real_vm(struct model_vm *vm)
{
	int sys = model_libc_open("/dev/kvm", O_RDWR_CLOEXEC);
	long fd;

	if (sys < 0)
		return -errno;
	fd = model_libc_ioctl(sys, KVM_CREATE_VM, vm->kind ? 0 : vm->type);
	model_libc_close(sys);
	return (int)fd;
}

int model_real_vcpu(struct model_vcpu *vcpu)
{
	long fd = model_libc_ioctl(vcpu->vm->fd, KVM_CREATE_VCPU, vcpu->id);
	void *run;

	if (fd < 0)
		return (int)fd;
	run = model_libc_mmap(NULL, MODEL_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, 0);
	if (run == MAP_FAILED) {
		model_drop_fd((int)fd);
		return -ENOMEM;
	}
	vcpu->run = run;
	return (int)fd;
}

static void add_piece(struct piece **pieces, u32 *n, struct piece p)
{
	*pieces = realloc(*pieces, (*n + 1) * sizeof(p));
	if (!*pieces)
		abort();
	(*pieces)[(*n)++] = p;
}

/* Where the pages of [at, end) change hands next. */
static u64 next_change(const struct model_set *set, u64 at, u64 end)
{
	for (size_t i = 0; i < set->n; i++) {
		if (set->ranges[i].start > at && set->ranges[i].start < end)
			return set->ranges[i].start;
		if (set->ranges[i].start <= at && set->ranges[i].end > at)
			return set->ranges[i].end < end ? set->ranges[i].end : end;
	}
	return end;
}

static void split_slot(const struct model_vm *vm, const struct model_slot *s, struct piece **pieces,
		       u32 *n)
{
	u64 end = s->gpa + s->size;
	u32 flags = s->flags & ~(u32)KVM_MEM_GUEST_MEMFD;
	bool gmem_only = s->gmem && s->gmem->flags & GUEST_MEMFD_FLAG_MMAP;

	for (u64 at = s->gpa, stop; at < end; at = stop) {
		bool private = s->gmem && (gmem_only || model_set_has(&vm->private, at));
		u64 offset = at - s->gpa;

		stop = gmem_only ? end : next_change(&vm->private, at, end);
		add_piece(pieces, n,
			  (struct piece){ at, stop - at,
					  private ? (u64)(uintptr_t)s->gmem->map + s->gmem_offset +
							    offset
						  : s->hva + offset,
					  flags });
	}
}

static long set_real(const struct layout *l, u32 slot, const struct piece *p)
{
	struct kvm_userspace_memory_region r = { .slot = slot };

	if (p)
		r = (struct kvm_userspace_memory_region){ slot, p->flags, p->gpa, p->size, p->hva };
	return model_libc_ioctl(l->vm->fd, KVM_SET_USER_MEMORY_REGION, (unsigned long)&r);
}

static bool is_wanted(struct piece *wanted, u32 n, const struct piece *p)
{
	for (u32 i = 0; i < n; i++)
		if (!memcmp(&wanted[i], p, sizeof(*p))) {
			wanted[i].size = 0;
			return true;
		}
	return false;
}

/* What is not wanted any more goes, then what is new comes; the rest stays as it is. */
int model_real_memory(struct model_vm *vm)
{
	struct layout *l = layout_of(vm);
	struct piece *wanted = NULL;
	u32 n = 0, slot = 0;
	long ret = 0;

	for (size_t i = 0; i < vm->nr_slots; i++)
		split_slot(vm, &vm->slots[i], &wanted, &n);
	for (u32 i = 0; i < l->n; i++) {
		if (!l->pieces[i].size || is_wanted(wanted, n, &l->pieces[i]))
			continue;
		set_real(l, i, NULL);
		l->pieces[i].size = 0;
	}
	for (u32 i = 0; i < n && !ret; i++) {
		if (!wanted[i].size)
			continue;
		while (slot < l->n && l->pieces[slot].size)
			slot++;
		if (slot == l->n)
			add_piece(&l->pieces, &l->n, wanted[i]);
		else
			l->pieces[slot] = wanted[i];
		ret = set_real(l, slot, &wanted[i]);
	}
	free(wanted);
	return (int)ret;
}

long model_real_run(struct model_call *c)
{
	long ret;

	pthread_mutex_unlock(&model_lock);
	ret = model_libc_ioctl(c->fd, c->request, c->arg);
	pthread_mutex_lock(&model_lock);
	return ret;
}

/* What the guest did last (a port that it reads) is completed, before kvm_run says something else.
 */
void model_real_complete(struct model_vcpu *vcpu)
{
	u8 old = vcpu->run->immediate_exit;

	vcpu->run->immediate_exit = 1;
	model_libc_ioctl(vcpu->fd, KVM_RUN, 0);
	vcpu->run->immediate_exit = old;
}

/* The state that a kind's own rules are about is the model's; what is set goes below as well. */
long model_real(struct model_call *c)
{
	long ret = MODEL_PASS;

	if (c->vm && c->vm->kind && model_machine.state)
		ret = model_machine.state(c);
	if (ret < 0 && ret != MODEL_PASS)
		return ret;
	if (ret != MODEL_PASS && _IOC_DIR(c->request) != _IOC_WRITE)
		return ret;
	if (ret != MODEL_PASS && model_machine.forward)
		return model_machine.forward(c);
	return model_libc_ioctl(c->fd, c->request, c->arg);
}
