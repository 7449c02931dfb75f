/* SPDX-License-Identifier: MIT */
/* The registers of a vcpu as KVM lists them, over a KVM that has some. */
#include "fake_ioctl.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>

#include "lkvm/reg-set.h"
#include "lkvm/vcpu.h"

#define ID(size, n)  (0x7000000000000000ULL | (size) | (n))
#define BUILT_WITH   ID(KVM_REG_SIZE_U64, 1) /* cannot be written */
#define WORD	     ID(KVM_REG_SIZE_U32, 2)
#define VECTOR	     ID(KVM_REG_SIZE_U256, 3)
#define CLOCK	     ID(KVM_REG_SIZE_U64, 4)
#define OTHER_VIEW   ID(KVM_REG_SIZE_U64, 5)
#define FAR_TOO_LONG ID(12ULL << KVM_REG_SIZE_SHIFT, 6)

static struct {
	u64 ids[6];
	u32 nr;
	u8 data[8][32];
	u32 order[8], puts; /* in which registers were written */
	int list_error;
} t;

static struct vcpu vcpu = { .fd = -1 };

static int list_regs(struct kvm_reg_list *list)
{
	u64 room = list->n;

	list->n = t.nr;
	if (t.list_error || room < t.nr) {
		errno = t.list_error ? t.list_error : E2BIG;
		return -1;
	}
	memcpy(list->reg, t.ids, t.nr * sizeof(u64));
	return 0;
}

static int kernel_ioctl(int fd, unsigned long request, void *arg)
{
	const struct kvm_one_reg *one;
	u8 *data;

	if (request == KVM_GET_REG_LIST)
		return list_regs(arg);
	one = arg;
	data = t.data[one->id & 7];
	if (request == KVM_GET_ONE_REG) {
		memcpy((void *)(uintptr_t)one->addr, data, reg_bytes(one->id));
		return 0;
	}
	assert_true(request == KVM_SET_ONE_REG);
	if (one->id == BUILT_WITH) {
		errno = EINVAL;
		return -1;
	}
	t.order[t.puts++] = one->id & 7;
	memcpy(data, (const void *)(uintptr_t)one->addr, reg_bytes(one->id));
	return 0;
}

struct sets {
	struct reg_set fixed, clocks;
};

static struct reg_set *set_of(void *opaque, u64 id)
{
	struct sets *s = opaque;

	if (id == OTHER_VIEW)
		return NULL;
	return id == CLOCK ? &s->clocks : &s->fixed;
}

static void begin(struct sets *s)
{
	static const u64 ids[] = { BUILT_WITH, OTHER_VIEW, WORD, CLOCK, VECTOR };

	memset(&t, 0, sizeof(t));
	memset(s, 0, sizeof(*s));
	memcpy(t.ids, ids, sizeof(ids));
	t.nr = ARRAY_SIZE(ids);
	for (u32 i = 0; i < 8; i++)
		memset(t.data[i], (int)(0x10 + i), sizeof(t.data[i]));
}

static void end(struct sets *s)
{
	reg_set_free(&s->fixed);
	reg_set_free(&s->clocks);
}

static void sorts_and_reads(void **state)
{
	struct sets s;

	begin(&s);
	assert_int_equal(reg_sets_list(&vcpu, set_of, &s), 0);
	assert_int_equal(s.fixed.nr, 3);
	assert_int_equal(s.fixed.bytes, 8 + 4 + 32);
	assert_int_equal(s.fixed.ids[1], WORD);
	assert_int_equal(s.clocks.nr, 1);
	assert_int_equal(reg_set_get(&vcpu, &s.fixed), 0);
	assert_int_equal(reg_set_get(&vcpu, &s.clocks), 0);
	assert_int_equal(s.fixed.data[7], 0x11);
	assert_int_equal(s.fixed.data[8], 0x12);
	assert_int_equal(s.fixed.data[12], 0x13);
	assert_int_equal(s.fixed.data[43], 0x13);
	assert_int_equal(s.clocks.data[0], 0x14);
	end(&s);
}

static void writes_in_order(void **state)
{
	struct sets s;

	begin(&s);
	assert_int_equal(reg_sets_list(&vcpu, set_of, &s), 0);
	assert_int_equal(reg_set_get(&vcpu, &s.fixed), 0);
	memset(t.data[2], 0, 4);
	memset(t.data[3], 0, 32);
	assert_int_equal(reg_set_put(&vcpu, &s.fixed), 0);
	assert_int_equal(t.puts, 2);
	assert_int_equal(t.order[0], 2);
	assert_int_equal(t.order[1], 3);
	assert_int_equal(t.data[2][3], 0x12);
	assert_int_equal(t.data[3][31], 0x13);
	/* That of another kind of vcpu. */
	s.fixed.data[7] ^= 1;
	assert_int_equal(reg_set_put(&vcpu, &s.fixed), -EINVAL);
	end(&s);
}

static void knows_its_own(void **state)
{
	struct sets s;

	begin(&s);
	assert_int_equal(reg_sets_list(&vcpu, set_of, &s), 0);
	assert_true(reg_set_is_own(&s.fixed));
	s.fixed.ids[2]++;
	assert_false(reg_set_is_own(&s.fixed));
	end(&s);
	memset(&s, 0, sizeof(s));
	assert_true(reg_set_is_own(&s.fixed));
}

static int sets_check(const void *obj)
{
	return reg_set_is_own(&((const struct sets *)obj)->fixed) ? 0 : -EINVAL;
}

static const struct state_field rows[] = {
	REG_SET_STATE(struct sets, fixed),
	REG_SET_CLOCK(struct sets, clocks),
};

static const struct device_state table = {
	.version = 1,
	STATE_TABLE(rows),
	.check = sets_check,
};

static struct state_buf saved(struct sets *s)
{
	struct state_buf buf = { 0 };

	assert_int_equal(reg_set_get(&vcpu, &s->fixed), 0);
	assert_int_equal(reg_set_get(&vcpu, &s->clocks), 0);
	assert_int_equal(state_save(&table, "sets", s, &buf), 0);
	return buf;
}

static const char *differs(const struct state_buf *a, const struct state_buf *b)
{
	struct state_reader in_a = { a->data, a->len }, in_b = { b->data, b->len };

	return state_differs(&table, &in_a, &in_b);
}

static void goes_into_a_state(void **state)
{
	struct sets s;
	struct state_buf first, second;
	struct state_reader in;

	begin(&s);
	assert_int_equal(reg_sets_list(&vcpu, set_of, &s), 0);
	first = saved(&s);
	/* A clock has gone on. */
	t.data[4][0]++;
	second = saved(&s);
	assert_null(differs(&first, &second));
	state_buf_free(&second);
	t.data[3][31]++;
	second = saved(&s);
	assert_string_equal(differs(&first, &second), "fixed.data");
	in = (struct state_reader){ first.data, first.len };
	assert_int_equal(state_load(&table, "sets", &s, &in), 0);
	assert_int_equal(s.fixed.data[43], 0x13);
	assert_int_equal(s.clocks.data[0], 0x14);
	/* Those of a vcpu that has others. */
	s.fixed.own_ids[1]++;
	in = (struct state_reader){ first.data, first.len };
	assert_int_equal(state_load(&table, "sets", &s, &in), -EINVAL);
	state_buf_free(&first);
	state_buf_free(&second);
	end(&s);
}

static void refuses(void **state)
{
	struct sets s;

	begin(&s);
	t.ids[0] = FAR_TOO_LONG;
	assert_int_equal(reg_sets_list(&vcpu, set_of, &s), -EINVAL);
	end(&s);
	begin(&s);
	t.list_error = ENOSYS;
	assert_int_equal(reg_sets_list(&vcpu, set_of, &s), -ENOSYS);
	assert_null(s.fixed.ids);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sorts_and_reads), cmocka_unit_test(writes_in_order),
		cmocka_unit_test(knows_its_own),   cmocka_unit_test(goes_into_a_state),
		cmocka_unit_test(refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
