/* SPDX-License-Identifier: MIT */
/* Memory slots over a KVM that obeys the rules of api.rst, 4.35, and no more than eight slots. */
#include "unit.h"

#include <kvm-compat.h>

#include "lkvm/memory.h"
#include "lkvm/memslot.h"

#define PAGE  4096ULL
#define SLOTS 8U

struct fake_slot {
	u64 gpa, size, hva;
	u32 flags;
};

static struct fake {
	struct fake_slot slots[SLOTS];
	u32 calls;
	int fail; /* what the next call says instead */
} kvm;

static struct guest_memory mem;
static struct memslots *slots;

/* KVM never takes a slot that it does not offer, nor two of one place. */
static int set_region(const struct kvm_userspace_memory_region *r)
{
	assert_true(r->slot < SLOTS);
	if (!r->memory_size) {
		if (!kvm.slots[r->slot].size)
			return -EINVAL;
		kvm.slots[r->slot].size = 0;
		return 0;
	}
	for (u32 i = 0; i < SLOTS; i++)
		if (ranges_overlap(r->guest_phys_addr, r->memory_size, kvm.slots[i].gpa,
				   kvm.slots[i].size))
			return -EEXIST;
	assert_int_equal(kvm.slots[r->slot].size, 0);
	kvm.slots[r->slot] = (struct fake_slot){ r->guest_phys_addr, r->memory_size,
						 r->userspace_addr, r->flags };
	return 0;
}

static int fake_ioctl(void *opaque, unsigned long request, void *arg)
{
	int fail = kvm.fail;

	assert_ptr_equal(opaque, &kvm);
	kvm.calls++;
	kvm.fail = 0;
	if (fail)
		return fail;
	assert_int_equal(request, KVM_SET_USER_MEMORY_REGION);
	return set_region(arg);
}

static const struct memslot_vm vm = { .ioctl = fake_ioctl, .opaque = &kvm, .max_slots = SLOTS };

static int setup(void **state)
{
	memset(&kvm, 0, sizeof(kvm));
	slots = NULL;
	memory_init(&mem);
	return 0;
}

static u32 used_slots(void)
{
	u32 n = 0;

	for (u32 i = 0; i < SLOTS; i++)
		n += kvm.slots[i].size != 0;
	return n;
}

static int teardown(void **state)
{
	memslots_detach(slots, &mem);
	assert_int_equal(used_slots(), 0);
	memory_destroy(&mem);
	return 0;
}

static int add(u64 page, enum memory_kind kind)
{
	return memory_add(&mem,
			  &(struct memory_desc){
				  .gpa = page * PAGE, .size = PAGE, .kind = kind, .name = "test" });
}

/* KVM has exactly the regions of the set. */
static void assert_same(void)
{
	const struct memory_region *r;
	u32 regions = 0;

	memory_for_each(&mem, r) {
		const struct fake_slot *found = NULL;

		for (u32 i = 0; i < SLOTS; i++)
			if (kvm.slots[i].size && kvm.slots[i].gpa == r->gpa)
				found = &kvm.slots[i];
		assert_non_null(found);
		assert_int_equal(found->size, r->size);
		assert_int_equal(found->hva, (uintptr_t)r->hva);
		assert_int_equal(found->flags & KVM_MEM_READONLY,
				 r->kind == MEM_ROM ? KVM_MEM_READONLY : 0);
		regions++;
	}
	assert_int_equal(used_slots(), regions);
}

static void test_kinds(void **state)
{
	assert_int_equal(add(0, MEM_RAM), 0);
	assert_int_equal(memslots_attach(&vm, &mem, &slots), 0);
	assert_int_equal(add(1, MEM_ROM), 0);
	assert_int_equal(add(2, MEM_DEVICE), 0);
	assert_same();
	assert_int_equal(kvm.slots[1].flags, KVM_MEM_READONLY);
	assert_int_equal(kvm.slots[2].flags, 0);
}

static void test_lowest_free_slot_is_used_again(void **state)
{
	assert_int_equal(memslots_attach(&vm, &mem, &slots), 0);
	for (u64 i = 0; i < 4; i++)
		assert_int_equal(add(i, MEM_RAM), 0);
	assert_int_equal(memory_remove(&mem, 2 * PAGE), 0);
	assert_int_equal(memory_remove(&mem, 1 * PAGE), 0);
	assert_int_equal(add(9, MEM_RAM), 0);
	assert_int_equal(kvm.slots[1].gpa, 9 * PAGE);
	assert_int_equal(add(8, MEM_RAM), 0);
	assert_int_equal(kvm.slots[2].gpa, 8 * PAGE);
	assert_same();
}

static void test_more_regions_than_slots(void **state)
{
	assert_int_equal(memslots_attach(&vm, &mem, &slots), 0);
	for (u64 i = 0; i < SLOTS; i++)
		assert_int_equal(add(i, MEM_RAM), 0);
	assert_int_equal(add(SLOTS, MEM_RAM), -ENOSPC);
	assert_null(memory_ptr(&mem, SLOTS * PAGE, 1));
	assert_same();
	assert_int_equal(memory_remove(&mem, 3 * PAGE), 0);
	assert_int_equal(add(SLOTS, MEM_RAM), 0);
	assert_same();
	/* The same when they were there first. */
	memslots_detach(slots, &mem);
	slots = NULL;
	assert_int_equal(add(20, MEM_RAM), 0);
	assert_int_equal(memslots_attach(&vm, &mem, &slots), -ENOSPC);
	assert_null(slots);
	assert_int_equal(used_slots(), 0);
}

static void test_refusals(void **state)
{
	assert_int_equal(memslots_attach(&vm, &mem, &slots), 0);
	assert_int_equal(add(0, MEM_RAM), 0);
	kvm.fail = -ENOMEM;
	assert_int_equal(add(1, MEM_RAM), -ENOMEM);
	assert_same();
	/* What KVM keeps (a protected guest's memory), the set keeps. */
	kvm.fail = -EPERM;
	assert_int_equal(memory_remove(&mem, 0), -EPERM);
	assert_same();
	assert_non_null(memory_ptr(&mem, 0, 1));
	assert_int_equal(add(1, MEM_RAM), 0);
	assert_int_equal(memory_remove(&mem, 0), 0);
	assert_same();
}

static void test_thousands_of_changes(void **state)
{
	u64 x = 88172645463325252ULL;
	u32 refused = 0;

	assert_int_equal(memslots_attach(&vm, &mem, &slots), 0);
	for (int i = 0; i < 20000; i++) {
		u64 page;

		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		page = x % 12;
		if (memory_find(&mem, page * PAGE)) {
			assert_int_equal(memory_remove(&mem, page * PAGE), 0);
		} else if (used_slots() < SLOTS) {
			assert_int_equal(add(page, (x >> 32) % 3), 0);
		} else {
			assert_int_equal(add(page, MEM_RAM), -ENOSPC);
			refused++;
		}
		if (i % 64 == 0)
			memory_reclaim(&mem);
		assert_same();
	}
	assert_true(refused > 100);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_kinds),
		T(test_lowest_free_slot_is_used_again),
		T(test_more_regions_than_slots),
		T(test_refusals),
		T(test_thousands_of_changes),
	};

	return cmocka_run_group_tests_name("memslot", tests, NULL, NULL);
}
