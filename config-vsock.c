/* SPDX-License-Identifier: MIT */
/* --vsock: the guest's address and what is at the other end. */
#include <stdlib.h>
#include <sys/un.h>

#include "config-items.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

/* VIRTIO 1.3, 5.10.4: 0, 1, 2 and 0xffffffff are reserved, the upper 32 bits are zero. */
#define CID_MIN 3
#define CID_MAX 0xfffffffeULL

/* "_4294967295" follows in the name of a service's socket. */
#define PATH_LEN_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - sizeof("_4294967295"))

static const char *const vsock_items[] = { "cid=CID", "socket=PATH", NULL };

static int parse_cid(const char *shown, const char *word, u64 *cid)
{
	if (strchr(word, '='))
		return config_unknown_item(shown, word, vsock_items);
	if (!parse_u64(word, cid) && *cid >= CID_MIN && *cid <= CID_MAX)
		return 0;
	err("%s %s: is not an address of a guest; it must be a number from %d to %llu", shown, word,
	    CID_MIN, CID_MAX);
	return -EINVAL;
}

static int parse_path(const char *shown, const char *path, struct vsock_config *vsock)
{
	size_t len = strlen(path);

	if (!len || len > PATH_LEN_MAX) {
		err("%s socket=%s: must have 1 to %zu characters; a name that does not begin with "
		    "'/' is looked for in the current directory",
		    shown, path, PATH_LEN_MAX);
		return -EINVAL;
	}
	free(vsock->path);
	vsock->path = xstrdup(path);
	return 0;
}

/* Firecracker's words for the socket are understood as well as cloud-hypervisor's. */
static int vsock_item(const char *shown, char *item, struct vsock_config *vsock)
{
	if (!strncmp(item, "socket=", 7))
		return parse_path(shown, item + 7, vsock);
	return parse_cid(shown, strncmp(item, "cid=", 4) ? item : item + 4, &vsock->cid);
}

static int vsock_parse(const char *shown, const char *arg, void *target)
{
	struct vm_config *cfg = target;
	struct vsock_config vsock = { 0 };
	char *copy = xstrdup(arg), *list = copy, *item;
	int ret = 0;

	while (!ret && (item = config_next_item(&list)))
		ret = vsock_item(shown, item, &vsock);
	if (!ret && !vsock.cid) {
		err("%s %s: needs the guest's address: %s CID or %s CID,socket=PATH", shown, arg,
		    shown, shown);
		ret = -EINVAL;
	}
	free(copy);
	if (ret) {
		free(vsock.path);
		return ret;
	}
	free(cfg->vsock.path);
	cfg->vsock = vsock;
	return 0;
}

static char *vsock_text(const void *target, u32 i)
{
	const struct vsock_config *vsock = &((const struct vm_config *)target)->vsock;
	char *path, *text;

	if (!vsock->cid || i)
		return NULL;
	path = vsock->path ? config_one_item(vsock->path) : NULL;
	text = xasprintf("%llu%s%s", vsock->cid, path ? ",socket=" : "", path ? path : "");
	free(path);
	return text;
}

static void vsock_destroy(void *target)
{
	struct vsock_config *vsock = &((struct vm_config *)target)->vsock;

	free(vsock->path);
	memset(vsock, 0, sizeof(*vsock));
}

const struct option_hooks vsock_hooks = {
	.parse = vsock_parse,
	.text = vsock_text,
	.destroy = vsock_destroy,
	.items = vsock_items,
};
