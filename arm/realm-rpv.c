/* SPDX-License-Identifier: MIT */
/* A realm's personalization value, of the command line or a file: it is no part of the initial
 * measurement, and attestation tokens have it beside (DEN0137, realm personalization value). */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "realm.h"

struct opened {
	u8 rpv[REALM_RPV_LEN];
};

int arm_realm_open(const struct vm_config *cfg, bool described, void **out)
{
	const char *path = cfg->arm.realm.rpv_file;
	u8 bytes[REALM_RPV_LEN + 1];
	struct opened *opened;
	ssize_t len;
	int fd;

	if (!path)
		return 0;
	/* A FIFO without a writer must not stop us. */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	len = fd < 0 ? -1 : read(fd, bytes, sizeof(bytes));
	if (len < 0) {
		int error = errno;

		if (fd >= 0)
			close(fd);
		err("--realm: rpv=%s: is not hexadecimal, and as a file cannot be read: %s", path,
		    strerror(error));
		return -error;
	}
	close(fd);
	if (!len || len > REALM_RPV_LEN) {
		err("--realm: rpv=%s: the personalization value has 1 to %u bytes; the file has %s",
		    path, REALM_RPV_LEN, len ? "more" : "none");
		return -EINVAL;
	}
	opened = xcalloc(1, sizeof(*opened));
	memcpy(opened->rpv, bytes, (size_t)len);
	*out = opened;
	return 0;
}

const u8 *arm_realm_rpv(const struct vm *vm)
{
	const struct opened *opened = vm->coco_opened;

	return opened ? opened->rpv : vm->cfg->arm.realm.rpv;
}
