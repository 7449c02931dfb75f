/* SPDX-License-Identifier: MIT */
/*
 * ECDSA over P-384 (FIPS 186-5; SP 800-186, 3.2.1.4), to look at signatures alone: plain and slow,
 * and nothing in it is secret.
 */
#include "model.h"

#define WORDS 6

struct num {
	u64 w[WORDS]; /* the lowest first */
};

/* A point is (x / z^2, y / z^3); z = 0 is the point at infinity. */
struct point {
	struct num x, y, z;
};

static const struct num prime = { { 0x00000000ffffffff, 0xffffffff00000000, 0xfffffffffffffffe,
				    0xffffffffffffffff, 0xffffffffffffffff, 0xffffffffffffffff } };
static const struct num order = { { 0xecec196accc52973, 0x581a0db248b0a77a, 0xc7634d81f4372ddf,
				    0xffffffffffffffff, 0xffffffffffffffff, 0xffffffffffffffff } };
static const struct num curve_b = { { 0x2a85c8edd3ec2aef, 0xc656398d8a2ed19d, 0x0314088f5013875a,
				      0x181d9c6efe814112, 0x988e056be3f82d19,
				      0xb3312fa7e23ee7e4 } };
static const struct point base = {
	{ { 0x3a545e3872760ab7, 0x5502f25dbf55296c, 0x59f741e082542a38, 0x6e1d3b628ba79b98,
	    0x8eb1c71ef320ad74, 0xaa87ca22be8b0537 } },
	{ { 0x7a431d7c90ea0e5f, 0x0a60b1ce1d7e819d, 0xe9da3113b5f0b8c0, 0xf8f41dbd289a147c,
	    0x5d9e98bf9292dc29, 0x3617de4a96262c6f } },
	{ { 1 } },
};

static int compare(const struct num *a, const struct num *b)
{
	for (int i = WORDS - 1; i >= 0; i--)
		if (a->w[i] != b->w[i])
			return a->w[i] < b->w[i] ? -1 : 1;
	return 0;
}

static bool is_zero(const struct num *a)
{
	static const struct num zero;

	return !compare(a, &zero);
}

/* *a -= b: what was borrowed beyond. */
static u64 take(struct num *a, const struct num *b)
{
	u64 borrow = 0;

	for (int i = 0; i < WORDS; i++) {
		unsigned __int128 d = (unsigned __int128)a->w[i] - b->w[i] - borrow;

		a->w[i] = (u64)d;
		borrow = (u64)(d >> 64) & 1;
	}
	return borrow;
}

static u64 put(struct num *a, const struct num *b)
{
	u64 carry = 0;

	for (int i = 0; i < WORDS; i++) {
		unsigned __int128 s = (unsigned __int128)a->w[i] + b->w[i] + carry;

		a->w[i] = (u64)s;
		carry = (u64)(s >> 64);
	}
	return carry;
}

static struct num add(struct num a, const struct num *b, const struct num *m)
{
	if (put(&a, b) || compare(&a, m) >= 0)
		take(&a, m);
	return a;
}

static struct num subtract(struct num a, const struct num *b, const struct num *m)
{
	if (take(&a, b))
		put(&a, m);
	return a;
}

static bool bit(const struct num *a, int i)
{
	return a->w[i / 64] >> (i % 64) & 1;
}

static struct num multiply(const struct num *a, const struct num *b, const struct num *m)
{
	struct num r = { { 0 } };

	for (int i = 64 * WORDS - 1; i >= 0; i--) {
		r = add(r, &r, m);
		if (bit(b, i))
			r = add(r, a, m);
	}
	return r;
}

/* By Fermat: a^(m-2), m being prime. */
static struct num invert(const struct num *a, const struct num *m)
{
	static const struct num two = { { 2 } };
	struct num e = *m, r = { { 1 } };

	take(&e, &two);
	for (int i = 64 * WORDS - 1; i >= 0; i--) {
		r = multiply(&r, &r, m);
		if (bit(&e, i))
			r = multiply(&r, a, m);
	}
	return r;
}

static struct num mul(struct num a, struct num b)
{
	return multiply(&a, &b, &prime);
}

static struct num plus(struct num a, struct num b)
{
	return add(a, &b, &prime);
}

static struct num minus(struct num a, struct num b)
{
	return subtract(a, &b, &prime);
}

/* For a = -3; infinity stays where it is. */
static struct point twice(const struct point *p)
{
	struct num delta = mul(p->z, p->z), gamma = mul(p->y, p->y), beta = mul(p->x, gamma);
	struct num alpha = mul(minus(p->x, delta), plus(p->x, delta));
	struct num beta4 = plus(plus(beta, beta), plus(beta, beta)), square = mul(gamma, gamma);
	struct num yz = plus(p->y, p->z);
	struct point r;

	alpha = plus(alpha, plus(alpha, alpha));
	square = plus(square, square);
	square = plus(square, square);
	square = plus(square, square);
	r.x = minus(mul(alpha, alpha), plus(beta4, beta4));
	r.z = minus(minus(mul(yz, yz), gamma), delta);
	r.y = minus(mul(alpha, minus(beta4, r.x)), square);
	return r;
}

static struct point sum(const struct point *p, const struct point *q)
{
	struct num pz = mul(p->z, p->z), qz = mul(q->z, q->z);
	struct num u = mul(p->x, qz), s = mul(p->y, mul(q->z, qz));
	struct num h = minus(mul(q->x, pz), u), d = minus(mul(q->y, mul(p->z, pz)), s);
	struct num hh = mul(h, h), hhh = mul(h, hh), v = mul(u, hh);
	struct point r = { .x = { { 1 } }, .y = { { 1 } } };

	if (is_zero(&p->z))
		return *q;
	if (is_zero(&q->z))
		return *p;
	if (is_zero(&h))
		return is_zero(&d) ? twice(p) : r;
	r.x = minus(minus(mul(d, d), hhh), plus(v, v));
	r.y = minus(mul(d, minus(v, r.x)), mul(s, hhh));
	r.z = mul(mul(p->z, q->z), h);
	return r;
}

static struct point times(const struct num *n, const struct point *p)
{
	struct point r = { .x = { { 1 } }, .y = { { 1 } } };

	for (int i = 64 * WORDS - 1; i >= 0; i--) {
		r = twice(&r);
		if (bit(n, i))
			r = sum(&r, p);
	}
	return r;
}

static bool is_on_curve(const struct point *p)
{
	struct num x3 = mul(p->x, mul(p->x, p->x)), three_x = plus(p->x, plus(p->x, p->x));
	struct num right = plus(minus(x3, three_x), curve_b), left = mul(p->y, p->y);

	return compare(&p->x, &prime) < 0 && compare(&p->y, &prime) < 0 && !compare(&left, &right);
}

/* 48 bytes, the lowest first; what a field of 72 holds beyond must be zeros. */
static bool load(struct num *n, const u8 *field)
{
	for (u32 i = 48; i < 72; i++)
		if (field[i])
			return false;
	memcpy(n->w, field, sizeof(n->w));
	return true;
}

bool model_p384_verify(const void *data, size_t len, const u8 *qx, const u8 *qy, const u8 *r,
		       const u8 *s)
{
	struct point q = { .z = { { 1 } } }, one, two;
	struct num nr, ns, z, w;
	u8 hash[48], little[72] = { 0 };

	if (!load(&q.x, qx) || !load(&q.y, qy) || !load(&nr, r) || !load(&ns, s) || is_zero(&nr) ||
	    is_zero(&ns) || compare(&nr, &order) >= 0 || compare(&ns, &order) >= 0 ||
	    !is_on_curve(&q))
		return false;
	model_sha(384, data, len, hash);
	for (u32 i = 0; i < 48; i++)
		little[i] = hash[47 - i];
	load(&z, little);
	if (compare(&z, &order) >= 0)
		take(&z, &order);
	w = invert(&ns, &order);
	z = multiply(&z, &w, &order);
	w = multiply(&nr, &w, &order);
	one = times(&z, &base);
	two = times(&w, &q);
	one = sum(&one, &two);
	if (is_zero(&one.z))
		return false;
	w = invert(&one.z, &prime);
	w = mul(one.x, mul(w, w));
	if (compare(&w, &order) >= 0)
		take(&w, &order);
	return !compare(&w, &nr);
}
