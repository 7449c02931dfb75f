/* SPDX-License-Identifier: MIT */
/*
 * Stands in for libzstd's decoders of the formats before RFC 8878 (0.5 to 0.7, of 2016): 95 KiB of
 * a binary that has the library inside, for frames that it is never given, since each frame's magic
 * number is looked at first. The linker takes what the program defines before it looks into an
 * archive; where something pulls the library's own in after all, these give way, being weak.
 */
#ifdef HAVE_ZSTD
#include <stddef.h>
#include <zstd_errors.h>

#define REFUSED ((size_t)-ZSTD_error_version_unsupported)

/* As lib/legacy/ of zstd 1.3.8 and later declares them; what is passed to those that only fail is
 * left out. */
#define NO_CONTEXT(name)                       \
	void *name(void);                      \
	__attribute__((weak)) void *name(void) \
	{                                      \
		return NULL;                   \
	}
#define NO_RESULT(name)                         \
	size_t name(void);                      \
	__attribute__((weak)) size_t name(void) \
	{                                       \
		return REFUSED;                 \
	}
#define NO_SIZE(name)                                                                    \
	void name(const void *src, size_t len, size_t *size, unsigned long long *bound); \
	__attribute__((weak)) void name(const void *src, size_t len, size_t *size,       \
					unsigned long long *bound)                       \
	{                                                                                \
		*size = REFUSED;                                                         \
		*bound = ~0ULL;                                                          \
	}
#define NO_FORMAT(v)                                    \
	NO_CONTEXT(ZBUFFv##v##_createDCtx)              \
	NO_RESULT(ZBUFFv##v##_decompressInitDictionary) \
	NO_RESULT(ZBUFFv##v##_decompressContinue)       \
	NO_RESULT(ZBUFFv##v##_freeDCtx)                 \
	NO_CONTEXT(ZSTDv##v##_createDCtx)               \
	NO_RESULT(ZSTDv##v##_decompress_usingDict)      \
	NO_RESULT(ZSTDv##v##_freeDCtx)                  \
	NO_RESULT(ZSTDv##v##_getFrameParams)            \
	NO_SIZE(ZSTDv##v##_findFrameSizeInfoLegacy)

NO_FORMAT(05)
NO_FORMAT(06)
NO_FORMAT(07)
#endif
