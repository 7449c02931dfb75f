/* SPDX-License-Identifier: MIT */
/* A vcpu is saved and loaded: what, in which order, and the timer goes on. Over a KVM that has
 * registers. */
#include "fake_ioctl.h"

#include <errno.h>
#include <stdlib.h>

#include "../../../riscv/riscv.h"
#include "lkvm/arch.h"
#include "lkvm/reg-set.h"
#include "lkvm/state.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

#define ISA	RISCV_CONFIG_REG(0)
#define PC	RISCV_CORE_REG(RISCV_CORE_PC)
#define A0	RISCV_CORE_REG(RISCV_CORE_A0)
#define A1	RISCV_CORE_REG(RISCV_CORE_A1)
#define SIP	RISCV_CSR_REG(RISCV_CSR_SIP)
#define TIME	RISCV_TIMER_REG(1)
#define COMPARE RISCV_TIMER_REG(2)
#define STATE	RISCV_TIMER_REG(3)
#define F0	(KVM_REG_RISCV | KVM_REG_SIZE_U32 | KVM_REG_RISCV_FP_F)
#define D0	RISCV_REG(KVM_REG_RISCV_FP_D, 0)
#define V0	(KVM_REG_RISCV | KVM_REG_SIZE_U128 | 9ULL << 24 | 5)
#define STIP	BIT_ULL(5)

static struct {
	struct vm vm;
	struct arch_vm arch_vm;
	struct arch_vcpu arch;
	struct vcpu vcpu;
	u64 ids[16];
	u8 data[16][16];
	u32 nr;
	u64 order[32];
	u32 puts;
	u32 mp_state;
} t;

static u32 find(u64 id)
{
	u32 i;

	for (i = 0; i < t.nr && t.ids[i] != id; i++)
		;
	return i;
}

static u64 get(u64 id)
{
	u64 value;

	memcpy(&value, t.data[find(id)], sizeof(value));
	return value;
}

static void set(u64 id, u64 value)
{
	memcpy(t.data[find(id)], &value, sizeof(value));
}

static int fails(int error)
{
	errno = error;
	return -1;
}

static int one_reg(bool put, const struct kvm_one_reg *one)
{
	u32 i = find(one->id);
	u64 value;

	if (i == t.nr)
		return fails(ENOENT);
	if (!put) {
		memcpy((void *)(uintptr_t)one->addr, t.data[i], reg_bytes(one->id));
		return 0;
	}
	memcpy(&value, (const void *)(uintptr_t)one->addr, MIN(reg_bytes(one->id), 8U));
	/* As KVM has it: off, the timer cannot be switched off. */
	if (one->id == STATE && !value && !get(STATE))
		return fails(EINVAL);
	memcpy(t.data[i], (const void *)(uintptr_t)one->addr, reg_bytes(one->id));
	assert_true(t.puts < ARRAY_SIZE(t.order));
	t.order[t.puts++] = one->id;
	return 0;
}

static int kernel_ioctl(int fd, unsigned long request, void *arg)
{
	struct kvm_reg_list *list;

	switch (request) {
	case KVM_GET_ONE_REG:
	case KVM_SET_ONE_REG:
		return one_reg(request == KVM_SET_ONE_REG, arg);
	case KVM_GET_MP_STATE:
		((struct kvm_mp_state *)arg)->mp_state = t.mp_state;
		return 0;
	case KVM_SET_MP_STATE:
		if (((struct kvm_mp_state *)arg)->mp_state == KVM_MP_STATE_INIT_RECEIVED)
			memset(t.data, 0, sizeof(t.data));
		else
			t.mp_state = ((struct kvm_mp_state *)arg)->mp_state;
		return 0;
	case KVM_GET_REG_LIST:
		list = arg;
		if (list->n < t.nr) {
			list->n = t.nr;
			return fails(E2BIG);
		}
		list->n = t.nr;
		memcpy(list->reg, t.ids, t.nr * sizeof(u64));
		return 0;
	}
	return fails(ENOTTY);
}

/* In KVM's order. */
static void begin(bool doubles)
{
	static const u64 ids[] = { ISA, PC, A0, A1, SIP, TIME, COMPARE, STATE, F0, V0, D0 };

	memset(&t, 0, sizeof(t));
	t.nr = ARRAY_SIZE(ids) - !doubles;
	memcpy(t.ids, ids, t.nr * sizeof(u64));
	t.arch_vm.mp_state_reset = true;
	t.vm.arch = &t.arch_vm;
	pthread_mutex_init(&t.vm.lock, NULL);
	t.vcpu = (struct vcpu){ .vm = &t.vm, .fd = -1, .arch = &t.arch };
	for (u32 i = 0; i < t.nr; i++)
		memset(t.data[i], (int)(0x10 + i), sizeof(t.data[i]));
	set(SIP, 2);
	set(STATE, 1);
	t.mp_state = KVM_MP_STATE_STOPPED;
}

static void save(struct state_buf *buf)
{
	void *s;

	assert_int_equal(arch_vcpu_state_new(&t.vcpu, &s), 0);
	assert_int_equal(state_save(&arch_vcpu_state, "vcpu0", s, buf), 0);
	arch_vcpu_state_free(s);
}

static int load(const struct state_buf *buf)
{
	struct state_reader in = { .data = buf->data, .len = buf->len };
	void *s;
	int ret;

	t.puts = 0;
	assert_int_equal(arch_vcpu_state_new(&t.vcpu, &s), 0);
	ret = state_load(&arch_vcpu_state, "vcpu0", s, &in);
	arch_vcpu_state_free(s);
	return ret;
}

static void forget_all(void)
{
	memset(t.data, 0, sizeof(t.data));
	t.mp_state = KVM_MP_STATE_RUNNABLE;
}

static void test_all(void **state)
{
	/* The clock first, then what waits for it. */
	static const u64 order[] = { TIME, ISA, PC, A0, A1, V0, D0, SIP, COMPARE, STATE };
	struct state_buf buf = { 0 };
	u8 before[16][16];

	begin(true);
	save(&buf);
	memcpy(before, t.data, sizeof(before));
	forget_all();
	assert_int_equal(load(&buf), 0);
	assert_int_equal(t.puts, ARRAY_SIZE(order));
	assert_memory_equal(t.order, order, sizeof(order));
	for (u32 i = 0; i < t.nr; i++)
		if (t.ids[i] != F0)
			assert_memory_equal(t.data[i], before[i], reg_bytes(t.ids[i]));
	assert_int_equal(t.mp_state, KVM_MP_STATE_STOPPED);
	state_buf_free(&buf);
}

/* Only single precision: then its registers are all there is. */
static void test_singles(void **state)
{
	struct state_buf buf = { 0 };

	begin(false);
	save(&buf);
	forget_all();
	assert_int_equal(load(&buf), 0);
	assert_int_equal((u32)get(F0), 0x18181818);
	state_buf_free(&buf);
}

/* One that has gone off has to go off again. */
static void test_timer(void **state)
{
	struct state_buf buf = { 0 };

	begin(true);
	set(SIP, STIP);
	set(STATE, 0);
	save(&buf);
	set(SIP, 0);
	assert_int_equal(load(&buf), 0);
	assert_int_equal(get(SIP), STIP);
	assert_int_equal(get(STATE), 1);
	state_buf_free(&buf);
	/* One that is off stays so. */
	begin(true);
	set(STATE, 0);
	save(&buf);
	assert_int_equal(load(&buf), 0);
	assert_int_equal(get(STATE), 0);
	state_buf_free(&buf);
}

/* That of a vcpu with other registers. */
static void test_other(void **state)
{
	struct state_buf buf = { 0 };

	begin(true);
	save(&buf);
	t.ids[find(V0)]++;
	assert_int_equal(load(&buf), -EINVAL);
	assert_int_equal(t.puts, 0);
	t.nr--;
	assert_int_equal(load(&buf), -EINVAL);
	assert_int_equal(t.puts, 0);
	state_buf_free(&buf);
}

/* What it goes on with, and not what it has meanwhile; loaded, it sleeps until it is woken. */
static void test_asleep(void **state)
{
	struct state_buf buf = { 0 }, again = { 0 };

	begin(true);
	t.vcpu.asleep = true;
	t.arch.resume_pending = true;
	t.arch.resume_pc = 0x80203040;
	t.arch.resume_opaque = 4711;
	set(A0, 99);
	save(&buf);
	/* KVM would do to what is loaded what it will do to this one. */
	assert_int_equal(load(&buf), -EBUSY);
	/* Also where it was woken, but did not go on yet. */
	t.vcpu.woken = true;
	set(A0, 99);
	save(&again);
	assert_int_equal(load(&again), -EBUSY);
	begin(true);
	assert_int_equal(load(&again), 0);
	assert_false(t.vcpu.asleep);
	assert_int_equal(get(PC), 0x80203040);
	assert_int_equal(get(A0), 0);
	state_buf_free(&again);
	begin(true);
	assert_int_equal(load(&buf), 0);
	assert_true(t.vcpu.asleep);
	assert_int_equal(get(PC), 0x80203040);
	assert_int_equal(get(A0), 0);
	assert_int_equal(get(A1), 4711);
	assert_int_equal(get(D0), 0);
	/* The same over itself, and from there: nothing is pending. */
	save(&again);
	assert_int_equal(again.len, buf.len);
	assert_memory_equal(again.data, buf.data, buf.len);
	assert_int_equal(load(&again), 0);
	assert_true(t.vcpu.asleep);
	state_buf_free(&again);
	/* One that is awake wakes it. */
	t.vcpu.asleep = false;
	save(&again);
	t.vcpu.asleep = true;
	assert_int_equal(load(&again), 0);
	assert_false(t.vcpu.asleep);
	state_buf_free(&again);
	state_buf_free(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),   cmocka_unit_test(test_singles),
		cmocka_unit_test(test_timer), cmocka_unit_test(test_asleep),
		cmocka_unit_test(test_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
