/* SPDX-License-Identifier: MIT */
/* What somebody else serves: disks and network cards over vhost-user, shared directories by a
 * virtiofsd that is started here, and sockets by the host's kernel. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/machine.h"
#include "lkvm/unix.h"
#include "lkvm/util.h"
#include "lkvm/vhost.h"

/* How long virtiofsd may take to end before it is killed: it has nothing to bring to an end. */
#define PATIENCE_MS 2000

int machine_open_disk_vhost(const struct disk_config *dc, struct vhost **out)
{
	char *what = xasprintf("--disk vhost-user=%s", dc->path);
	int ret = vhost_user_open(dc->path, -1, what, out);

	free(what);
	return ret;
}

int machine_open_net_vhost(const struct net_config *nc, struct vhost **out)
{
	char *what = xasprintf("--network mode=vhost-user,socket=%s", nc->socket);
	int ret = vhost_user_open(nc->socket, -1, what, out);

	free(what);
	return ret;
}

int machine_open_vsock(struct machine_open *open, const struct vm_config *cfg)
{
	char *what = xasprintf("--vsock %llu", cfg->vsock.cid);
	int ret = vhost_vsock_open(what, cfg->vsock.cid, &open->vsock_vhost);

	free(what);
	return ret;
}

/*
 * A socket that listens, and a connection to it, both without a name in the end. It has one in
 * between, in a folder that is ours alone: nobody else can connect.
 */
static int make_pair(const char *what, int *listener, int *connection)
{
	const char *tmp = getenv("TMPDIR");
	char *dir = xasprintf("%s/lkvm-XXXXXX", tmp && *tmp ? tmp : "/tmp"), *path = NULL;
	struct unix_listener l = { .fd = -1 };
	int ret = 0;

	if (!mkdtemp(dir)) {
		ret = -errno;
		err("%s: cannot make a folder for its socket: %s: %s; set TMPDIR", what, dir,
		    strerror(-ret));
		free(dir);
		return ret;
	}
	path = xasprintf("%s/socket", dir);
	ret = unix_listen(&l, path, what);
	if (!ret) {
		*connection = unix_connect(path);
		ret = *connection < 0 ? *connection : 0;
		unix_listener_forget(&l);
		*listener = l.fd;
		if (ret) {
			err("%s: cannot connect to its socket: %s", what, strerror(-ret));
			close(l.fd);
		}
	}
	rmdir(dir);
	free(path);
	free(dir);
	return ret;
}

static int open_own(struct machine *m, const struct virtiofs_config *fc, const char *what,
		    struct machine_virtiofs *share)
{
	struct stat st;
	int listener = -1, fd = -1, ret = 0;

	if (stat(fc->dir, &st) < 0)
		ret = -errno;
	else if (!S_ISDIR(st.st_mode))
		ret = -ENOTDIR;
	if (ret) {
		err("%s: cannot share it: %s", what, strerror(-ret));
		return ret;
	}
	ret = make_pair(what, &listener, &fd);
	if (ret)
		return ret;
	ret = virtiofsd_start(fc, what, listener, &m->vm.loop, &share->child);
	/* When the program ends its end is seen. */
	close(listener);
	if (ret)
		close(fd);
	else
		ret = vhost_user_open(NULL, fd, what, &share->vhost);
	return ret;
}

int machine_open_virtiofs(struct machine *m, const struct vm_config *cfg)
{
	struct machine_open *open = &m->open;
	int ret = 0;

	open->virtiofs = xcalloc(cfg->nr_virtiofs + 1, sizeof(*open->virtiofs));
	while (open->nr_virtiofs < cfg->nr_virtiofs && !ret) {
		const struct virtiofs_config *fc = &cfg->virtiofs[open->nr_virtiofs];
		struct machine_virtiofs *share = &open->virtiofs[open->nr_virtiofs++];
		char *what = xasprintf("--virtiofs %s%s", fc->socket ? "socket=" : "",
				       fc->socket ? fc->socket : fc->dir);

		ret = fc->socket ? vhost_user_open(fc->socket, -1, what, &share->vhost)
				 : open_own(m, fc, what, share);
		free(what);
	}
	return ret;
}

void machine_close_vhosts(struct machine_open *open)
{
	for (u32 i = 0; i < open->nr_disks; i++)
		if (open->disk_vhosts[i])
			open->disk_vhosts[i]->ops->close(open->disk_vhosts[i]);
	free(open->disk_vhosts);
	for (u32 i = 0; i < open->nr_nets; i++)
		if (open->nets[i].vhost)
			open->nets[i].vhost->ops->close(open->nets[i].vhost);
	if (open->vsock_vhost)
		open->vsock_vhost->ops->close(open->vsock_vhost);
	for (u32 i = 0; i < open->nr_virtiofs; i++) {
		struct machine_virtiofs *share = &open->virtiofs[i];

		/* The end of the connection ends virtiofsd, too. */
		if (share->vhost)
			share->vhost->ops->close(share->vhost);
		child_stop(&share->child, PATIENCE_MS);
	}
	free(open->virtiofs);
}

/* Of a machine that is only described. */
static void stub_close(struct vhost *v) {}
static const struct vhost_ops stub_ops = { .close = stub_close };
static struct vhost stub = {
	.ops = &stub_ops, .what = "none", .features = ~0ULL, .max_queues = 1, .fd = -1
};

int machine_stub_vhosts(struct machine_open *open, const struct vm_config *cfg)
{
	if (cfg->vsock.cid && !cfg->vsock.path)
		open->vsock_vhost = &stub;
	for (u32 i = 0; i < cfg->nr_nets; i++)
		if (cfg->nets[i].mode == NET_VHOST_USER)
			open->nets[i].vhost = &stub;
	open->virtiofs = xcalloc(cfg->nr_virtiofs + 1, sizeof(*open->virtiofs));
	for (; open->nr_virtiofs < cfg->nr_virtiofs; open->nr_virtiofs++)
		open->virtiofs[open->nr_virtiofs].vhost = &stub;
	return 0;
}
