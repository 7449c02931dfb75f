/* SPDX-License-Identifier: MIT */
/*
 * SHA-2 (FIPS 180-4) of the library that lkvm was built with: nettle, else libcrypto's low-level
 * functions, which load no providers; or none, and then nothing is measured.
 */
#include "lkvm/log.h"
#include "lkvm/measure.h"

#if defined(HAVE_NETTLE)
#include <nettle/sha2.h>
#include <nettle/version.h>
#elif defined(HAVE_LIBCRYPTO)
/* OpenSSL 3 would rather have its EVP functions, which bring in megabytes. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/opensslv.h>
#include <openssl/sha.h>
#endif

static const struct {
	const char *name;
	u32 len;
} algs[] = {
	[HASH_SHA256] = { "sha256", 32 },
	[HASH_SHA384] = { "sha384", 48 },
	[HASH_SHA512] = { "sha512", 64 },
};

u32 hash_len(enum hash_alg alg)
{
	return algs[alg].len;
}

const char *hash_name(enum hash_alg alg)
{
	return algs[alg].name;
}

int hash_check(void)
{
	if (hash_library())
		return 0;
	err("this lkvm was built without SHA-2, which measurements are made of; build it where "
	    "nettle or libcrypto is installed (Debian: nettle-dev)");
	return -ENOTSUP;
}

#define TEXT(x)	 #x
#define TEXT2(x) TEXT(x)

#if defined(HAVE_NETTLE)

const char *hash_library(void)
{
	return "nettle " TEXT2(NETTLE_VERSION_MAJOR) "." TEXT2(NETTLE_VERSION_MINOR);
}

union context {
	struct sha256_ctx sha256;
	struct sha512_ctx sha512; /* SHA-384 too */
};
_Static_assert(sizeof(union context) <= sizeof(((struct hash *)0)->state), "room for nettle's");

static union context *context(struct hash *h)
{
	return (union context *)h->state;
}

void hash_begin(struct hash *h, enum hash_alg alg)
{
	h->alg = alg;
	if (alg == HASH_SHA256)
		sha256_init(&context(h)->sha256);
	else if (alg == HASH_SHA384)
		sha384_init(&context(h)->sha512);
	else
		sha512_init(&context(h)->sha512);
}

void hash_add(struct hash *h, const void *bytes, size_t len)
{
	if (h->alg == HASH_SHA256)
		sha256_update(&context(h)->sha256, len, bytes);
	else
		sha512_update(&context(h)->sha512, len, bytes);
}

void hash_end(struct hash *h, u8 *out)
{
	if (h->alg == HASH_SHA256)
		sha256_digest(&context(h)->sha256, SHA256_DIGEST_SIZE, out);
	else if (h->alg == HASH_SHA384)
		sha384_digest(&context(h)->sha512, SHA384_DIGEST_SIZE, out);
	else
		sha512_digest(&context(h)->sha512, SHA512_DIGEST_SIZE, out);
}

#elif defined(HAVE_LIBCRYPTO)

const char *hash_library(void)
{
	return "libcrypto " OPENSSL_VERSION_STR;
}

union context {
	SHA256_CTX sha256;
	SHA512_CTX sha512; /* SHA-384 too */
};
_Static_assert(sizeof(union context) <= sizeof(((struct hash *)0)->state), "room for OpenSSL's");

static union context *context(struct hash *h)
{
	return (union context *)h->state;
}

void hash_begin(struct hash *h, enum hash_alg alg)
{
	h->alg = alg;
	if (alg == HASH_SHA256)
		SHA256_Init(&context(h)->sha256);
	else if (alg == HASH_SHA384)
		SHA384_Init(&context(h)->sha512);
	else
		SHA512_Init(&context(h)->sha512);
}

void hash_add(struct hash *h, const void *bytes, size_t len)
{
	if (h->alg == HASH_SHA256)
		SHA256_Update(&context(h)->sha256, bytes, len);
	else
		SHA512_Update(&context(h)->sha512, bytes, len);
}

void hash_end(struct hash *h, u8 *out)
{
	if (h->alg == HASH_SHA256)
		SHA256_Final(out, &context(h)->sha256);
	else if (h->alg == HASH_SHA384)
		SHA384_Final(out, &context(h)->sha512);
	else
		SHA512_Final(out, &context(h)->sha512);
}

#else

const char *hash_library(void)
{
	return NULL;
}

/* Zeroes, where somebody asks all the same. */
void hash_begin(struct hash *h, enum hash_alg alg)
{
	h->alg = alg;
}

void hash_add(struct hash *h, const void *bytes, size_t len) {}

void hash_end(struct hash *h, u8 *out)
{
	memset(out, 0, hash_len(h->alg));
}

#endif

void hash_bytes(enum hash_alg alg, const void *bytes, size_t len, u8 *out)
{
	struct hash h;

	hash_begin(&h, alg);
	hash_add(&h, bytes, len);
	hash_end(&h, out);
}
