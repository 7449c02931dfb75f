/* SPDX-License-Identifier: MIT */
/* Scatter-gather lists: length, copies, sub-lists. Lengths come checked, so sums never wrap. */
#include "lkvm/util.h"

size_t iov_len(const struct iovec *iov, unsigned int count)
{
	size_t len = 0;

	for (unsigned int i = 0; i < count; i++)
		len += iov[i].iov_len;
	return len;
}

/* Walk [offset, offset+len): copy into @to, or out of @from. */
static size_t iov_copy(const struct iovec *iov, unsigned int count, size_t offset, u8 *to,
		       const u8 *from, size_t len)
{
	size_t done = 0;

	for (unsigned int i = 0; i < count && done < len; i++) {
		size_t part;

		if (offset >= iov[i].iov_len) {
			offset -= iov[i].iov_len;
			continue;
		}
		part = MIN(iov[i].iov_len - offset, len - done);
		if (to)
			memcpy(to + done, (u8 *)iov[i].iov_base + offset, part);
		else
			memcpy((u8 *)iov[i].iov_base + offset, from + done, part);
		done += part;
		offset = 0;
	}
	return done;
}

size_t iov_to_buf(const struct iovec *iov, unsigned int count, size_t offset, void *buf, size_t len)
{
	return len ? iov_copy(iov, count, offset, buf, NULL, len) : 0;
}

size_t iov_from_buf(const struct iovec *iov, unsigned int count, size_t offset, const void *buf,
		    size_t len)
{
	return iov_copy(iov, count, offset, NULL, buf, len);
}

int iov_slice(const struct iovec *iov, unsigned int count, size_t offset, size_t len,
	      struct iovec *out, unsigned int max)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < count && len; i++) {
		size_t part;

		if (offset >= iov[i].iov_len) {
			offset -= iov[i].iov_len;
			continue;
		}
		if (n == max)
			return -E2BIG;
		part = MIN(iov[i].iov_len - offset, len);
		out[n].iov_base = (u8 *)iov[i].iov_base + offset;
		out[n].iov_len = part;
		n++;
		len -= part;
		offset = 0;
	}
	return len ? -EINVAL : (int)n;
}
