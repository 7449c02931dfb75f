/* SPDX-License-Identifier: MIT */
/*
 * Memory slots over a KVM that obeys the rules of api.rst, 4.35, 4.140 and 4.141, with eight slots;
 * and guest_memfds of the real one, where the host has it.
 */
#include "unit.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lkvm/kvm.h"
#include "lkvm/memory.h"
#include "lkvm/memslot.h"

#define PAGE  4096ULL
#define SLOTS 8U

struct fake_slot {
	u64 gpa, size, hva;
	u32 flags;
	int guest_memfd;
	u64 guest_memfd_offset;
};

static struct fake {
	struct fake_slot slots[SLOTS];
	bool private[64]; /* pages from 0 on */
	bool has_guest_memfd, has_attributes;
	u32 calls, asked;
	int fail;	    /* what a call says instead... */
	unsigned long only; /* ...the next of this request; 0: of any */
} kvm;

static struct guest_memory mem;
static struct memslots *slots;

/* KVM never takes a slot that it does not offer, nor two of one place. */
static int set_region(const struct kvm_userspace_memory_region2 *r)
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
	kvm.slots[r->slot] = (struct fake_slot){ r->guest_phys_addr,  r->memory_size,
						 r->userspace_addr,   r->flags,
						 (int)r->guest_memfd, r->guest_memfd_offset };
	return 0;
}

static int set_region2(const struct kvm_userspace_memory_region2 *r)
{
	assert_true(kvm.has_guest_memfd);
	if (r->flags & KVM_MEM_GUEST_MEMFD && r->flags != KVM_MEM_GUEST_MEMFD)
		return -EINVAL;
	return set_region(r);
}

static int set_region1(const struct kvm_userspace_memory_region *r)
{
	struct kvm_userspace_memory_region2 r2 = { .guest_memfd = (u32)-1 };

	if (r->flags & KVM_MEM_GUEST_MEMFD)
		return -EINVAL;
	memcpy(&r2, r, sizeof(*r));
	return set_region(&r2);
}

static int set_attributes(const struct kvm_memory_attributes *a)
{
	u64 first = a->address / PAGE, n = a->size / PAGE;

	assert_true(kvm.has_attributes);
	if (!n || a->flags || a->attributes & ~KVM_MEMORY_ATTRIBUTE_PRIVATE)
		return -EINVAL;
	assert_true(range_within(first, n, 0, ARRAY_SIZE(kvm.private)));
	memset(kvm.private + first, a->attributes != 0, n);
	return 0;
}

static int fake_ioctl(void *opaque, unsigned long request, void *arg)
{
	assert_ptr_equal(opaque, &kvm);
	kvm.calls++;
	if (kvm.fail && (!kvm.only || kvm.only == request)) {
		int fail = kvm.fail;

		kvm.fail = 0;
		return fail;
	}
	switch (request) {
	case KVM_SET_USER_MEMORY_REGION:
		return set_region1(arg);
	case KVM_SET_USER_MEMORY_REGION2:
		return set_region2(arg);
	case KVM_SET_MEMORY_ATTRIBUTES:
		return set_attributes(arg);
	}
	fail();
	return -ENOTTY;
}

static int fake_check_cap(void *opaque, u32 cap)
{
	kvm.asked++;
	switch (cap) {
	case KVM_CAP_USER_MEMORY2:
	case KVM_CAP_GUEST_MEMFD:
		return kvm.has_guest_memfd;
	case KVM_CAP_MEMORY_ATTRIBUTES:
		return kvm.has_attributes ? (int)KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;
	}
	fail();
	return 0;
}

static const struct memslot_vm vm = {
	.ioctl = fake_ioctl,
	.check_cap = fake_check_cap,
	.opaque = &kvm,
	.max_slots = SLOTS,
};

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
	/* Nothing that these need is asked of KVM. */
	assert_int_equal(kvm.asked, 0);
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

static int guest_memfd;

static int add_private(u64 page, u64 pages, enum memory_kind kind)
{
	return memory_add(&mem, &(struct memory_desc){ .gpa = page * PAGE,
						       .size = pages * PAGE,
						       .kind = kind,
						       .private = true,
						       .private_fd = guest_memfd,
						       .name = "private" });
}

static void set_up_private(bool has_attributes)
{
	kvm.has_guest_memfd = true;
	kvm.has_attributes = has_attributes;
	guest_memfd = memfd_create("private", MFD_CLOEXEC);
	assert_int_equal(ftruncate(guest_memfd, 64 * PAGE), 0);
	assert_int_equal(memslots_attach(&vm, &mem, &slots), 0);
}

/* Pages from @first on, as many as there are letters. */
static void assert_private(u64 first, const char *letters)
{
	for (u64 i = 0; letters[i]; i++)
		assert_int_equal(kvm.private[first + i], letters[i] == 'p');
}

static void test_private(void **state)
{
	set_up_private(true);
	assert_int_equal(add_private(2, 5, MEM_RAM), 0);
	assert_private(0, "sspppppss");
	assert_int_equal(kvm.slots[0].flags, KVM_MEM_GUEST_MEMFD);
	assert_int_equal(kvm.slots[0].guest_memfd, memory_find(&mem, 2 * PAGE)->private_fd);
	assert_int_equal(kvm.slots[0].guest_memfd_offset, 0);
	assert_same();
	assert_int_equal(memory_set_shared(&mem, 3 * PAGE, 2 * PAGE, true), 0);
	assert_private(0, "sspssppss");
	assert_int_equal(memory_set_shared(&mem, 4 * PAGE, 2 * PAGE, false), 0);
	assert_private(0, "sspspppss");
	kvm.fail = -ENOMEM;
	assert_int_equal(memory_set_shared(&mem, 5 * PAGE, PAGE, true), -ENOMEM);
	assert_null(memory_ptr(&mem, 5 * PAGE, 1));
	assert_private(0, "sspspppss");
	/* Private ROM is not READONLY: KVM takes no such slot. */
	assert_int_equal(add_private(20, 2, MEM_ROM), 0);
	assert_int_equal(kvm.slots[1].flags, KVM_MEM_GUEST_MEMFD);
	assert_private(19, "spps");
	/* Nothing stays behind. */
	assert_int_equal(memory_remove(&mem, 2 * PAGE), 0);
	assert_int_equal(memory_remove(&mem, 20 * PAGE), 0);
	assert_private(0, "sssssssssssssssssssssss");
	close(guest_memfd);
}

/* What is shared already when KVM comes: as after a refused removal. */
static void test_private_is_put_back(void **state)
{
	set_up_private(true);
	assert_int_equal(add_private(2, 5, MEM_RAM), 0);
	assert_int_equal(memory_set_shared(&mem, 3 * PAGE, PAGE, true), 0);
	memslots_detach(slots, &mem);
	slots = NULL;
	assert_private(0, "sssssssss");
	assert_int_equal(memslots_attach(&vm, &mem, &slots), 0);
	assert_private(0, "sspspppss");
	/* A slot that cannot be made leaves no attributes. */
	kvm.fail = -ENOMEM;
	kvm.only = KVM_SET_USER_MEMORY_REGION2;
	assert_int_equal(add_private(10, 2, MEM_RAM), -ENOMEM);
	assert_private(9, "ssss");
	assert_same();
	close(guest_memfd);
}

static void test_private_without_attributes(void **state)
{
	set_up_private(false);
	assert_int_equal(add_private(2, 5, MEM_RAM), 0);
	assert_int_equal(kvm.slots[0].flags, KVM_MEM_GUEST_MEMFD);
	assert_int_equal(memory_set_shared(&mem, 3 * PAGE, PAGE, true), 0);
	assert_non_null(memory_ptr(&mem, 3 * PAGE, 1));
	assert_int_equal(memory_remove(&mem, 2 * PAGE), 0);
	close(guest_memfd);
}

static void test_no_guest_memfd(void **state)
{
	set_up_private(false);
	kvm.has_guest_memfd = false;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(add_private(2, 5, MEM_RAM), -ENOTSUP);
		assert_null(memory_find(&mem, 2 * PAGE));
	}
	assert_same();
	close(guest_memfd);
}

static int add_guest_memfd(u64 page, int fd, u64 offset)
{
	return memory_add(&mem, &(struct memory_desc){ .gpa = page * PAGE,
						       .size = 2 * PAGE,
						       .backing = MEM_GUEST_MEMFD,
						       .fd = fd,
						       .offset = offset,
						       .name = "guest-memfd" });
}

/* Ordinary RAM whose pages are those of a guest_memfd. */
static void test_guest_memfd(void **state)
{
	set_up_private(true);
	assert_int_equal(add_guest_memfd(4, guest_memfd, 8 * PAGE), 0);
	assert_int_equal(kvm.slots[0].flags, KVM_MEM_GUEST_MEMFD);
	assert_int_equal(kvm.slots[0].guest_memfd, memory_find(&mem, 4 * PAGE)->fd);
	assert_int_equal(kvm.slots[0].guest_memfd_offset, 8 * PAGE);
	assert_private(4, "ss");
	assert_int_equal(memory_write(&mem, 4 * PAGE, "x", 1), 0);
	assert_int_equal(memory_set_shared(&mem, 4 * PAGE, PAGE, false), -EFAULT);
	assert_same();
	close(guest_memfd);
}

/* A KVM that this program can speak to: not that of another architecture below qemu-user. */
static bool has_kvm(void)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	bool speaks = fd >= 0 && ioctl(fd, KVM_GET_API_VERSION, 0) == KVM_API_VERSION;

	if (fd >= 0)
		close(fd);
	return speaks;
}

/* The host's own: slots with both sorts of guest_memfd, pages that go back and forth. */
static void test_host(void **state)
{
	struct kvm host;
	u64 flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
	u64 supported;
	int fd;

	if (!has_kvm())
		skip();
	assert_int_equal(kvm_open(&host, "/dev/kvm"), 0);
	assert_int_equal(kvm_create_vm(&host, 0), 0);
	if (kvm_check_cap(&host, KVM_CAP_GUEST_MEMFD) <= 0) {
		kvm_close(&host);
		skip();
	}
	assert_int_equal(kvm_attach_memory(&host, &mem), 0);
	assert_int_equal(kvm_create_guest_memfd(&host, 1, 0), -EINVAL);
	guest_memfd = kvm_create_guest_memfd(&host, 64 * PAGE, 0);
	assert_true(guest_memfd >= 0);
	for (int i = 0; i < 100; i++) {
		assert_int_equal(add_private(2, 64, MEM_RAM), 0);
		assert_int_equal(memory_set_shared(&mem, 5 * PAGE, 3 * PAGE, true), 0);
		assert_int_equal(memory_write(&mem, 8 * PAGE - 1, "x", 1), 0);
		assert_int_equal(memory_write(&mem, 8 * PAGE, "x", 1), -EFAULT);
		assert_int_equal(memory_set_shared(&mem, 2 * PAGE, 64 * PAGE, false), 0);
		memory_discard_all(&mem);
		assert_int_equal(memory_remove(&mem, 2 * PAGE), 0);
		memory_reclaim(&mem);
	}
	close(guest_memfd);
	supported = (u64)kvm_check_cap(&host, KVM_CAP_GUEST_MEMFD_FLAGS);
	fd = (supported & flags) == flags ? kvm_create_guest_memfd(&host, 4 * PAGE, flags) : -1;
	if (fd >= 0) {
		assert_int_equal(add_guest_memfd(4, fd, 2 * PAGE), 0);
		assert_int_equal(memory_write(&mem, 6 * PAGE - 1, "x", 1), 0);
		assert_int_equal(*(u8 *)memory_ptr(&mem, 6 * PAGE - 1, 1), 'x');
		memory_discard_all(&mem);
		assert_int_equal(*(u8 *)memory_ptr(&mem, 6 * PAGE - 1, 1), 0);
		close(fd);
		assert_int_equal(memory_remove(&mem, 4 * PAGE), 0);
	}
	print_message("# mapped guest_memfd: %s\n", fd >= 0 ? "yes" : "no");
	kvm_detach_memory(&host, &mem);
	kvm_close(&host);
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
		T(test_private),
		T(test_private_is_put_back),
		T(test_private_without_attributes),
		T(test_no_guest_memfd),
		T(test_guest_memfd),
		T(test_host),
	};

	return cmocka_run_group_tests_name("memslot", tests, NULL, NULL);
}
