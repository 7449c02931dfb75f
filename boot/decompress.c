/* SPDX-License-Identifier: MIT */
/* Kernels that are compressed as a whole file: their contents take the file's place. */
#include <stdlib.h>

#include "lkvm/boot.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "stream.h"

static int read_packed(const void *opaque, u64 offset, void *buf, u64 len)
{
	return boot_image_read(opaque, offset, buf, len);
}

int boot_image_decompress(struct boot_image *img, const char *what, u64 max)
{
	const struct codec_file probe = { img, read_packed, img->size };
	const struct codec *c = codec_find(&probe);
	struct boot_image *file;

	if (!c)
		return 0;
	if (!c->open) {
		err("--%s %s: compressed by %s, and this lkvm was built without %s; unpack it with "
		    "%s first",
		    what, img->path, c->name, c->library, c->tool);
		return -ENOTSUP;
	}
	file = xcalloc(1, sizeof(*file));
	*file = *img;
	*img = (struct boot_image){
		.path = file->path,
		.words = file->words,
		.fd = -1,
		.packed = c->name,
		.file = file,
		.stream = stream_new(c, &(struct codec_file){ file, read_packed, file->size }, max),
	};
	if (stream_start(img->stream))
		return boot_image_error(img, what, -EIO, "cannot decompress");
	img->size = stream_size(img->stream);
	return 0;
}
