/* SPDX-License-Identifier: MIT */
/*
 * mdevs that are made for a machine and go with it (--vfio mdev=PARENT/TYPE). A signal that ends
 * lkvm waits from the first on: until the machine runs and hears of it, or until all are removed.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "iommu.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vfio-bind.h"

static int write_by_calls(void *opaque, const char *path, const char *text)
{
	const struct vfio_host *host = opaque;
	int fd = host->calls->open(host->opaque, path, O_WRONLY);
	ssize_t n;

	if (fd < 0)
		return fd;
	n = host->calls->write(host->opaque, fd, text, strlen(text));
	host->calls->close(host->opaque, fd);
	return n < 0 ? (int)n : 0;
}

static struct vfio_writer writer(struct vfio_set *set)
{
	return (struct vfio_writer){ .root = set->host->root,
				     .write = write_by_calls,
				     .opaque = (void *)set->host };
}

/* One that is ignored (nohup) stays so: held, it would be pending. */
static void ending_signals(sigset_t *out)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
	struct sigaction now;

	sigemptyset(out);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (!sigaction(signals[i], NULL, &now) && now.sa_handler != SIG_IGN)
			sigaddset(out, signals[i]);
}

static void hold_signals(struct vfio_set *set)
{
	sigset_t ending;

	if (set->holds_signals)
		return;
	ending_signals(&ending);
	pthread_sigmask(SIG_BLOCK, &ending, &set->signals_before);
	set->holds_signals = true;
}

bool vfio_set_is_to_end(const struct vfio_set *set)
{
	sigset_t ending, pending;

	if (!set->holds_signals || sigpending(&pending))
		return false;
	ending_signals(&ending);
	for (int sig = 1; sig < NSIG; sig++)
		if (sigismember(&ending, sig) && sigismember(&pending, sig) &&
		    !sigismember(&set->signals_before, sig))
			return true;
	return false;
}

int vfio_set_make(struct vfio_set *set, struct vfio_device *dev, const char *what)
{
	const struct vfio_writer w = writer(set);
	char *shown = xasprintf("--vfio %s", dev->cfg->device), *parent = xstrdup(what);
	char *type = strrchr(parent, '/');
	int ret;

	*type++ = '\0';
	hold_signals(set);
	ret = vfio_mdev_create(&w, shown, parent, type, NULL, &dev->name);
	dev->made = !ret;
	if (!ret)
		debug("%s: made %s", shown, dev->name.id);
	free(parent);
	free(shown);
	return ret;
}

void vfio_set_unmake(struct vfio_set *set)
{
	const struct vfio_writer w = writer(set);

	for (u32 i = set->nr_devices; i-- > 0;) {
		struct vfio_device *dev = &set->devices[i];
		char *shown;

		if (!dev->made)
			continue;
		shown = xasprintf("--vfio %s", dev->cfg->device);
		(void)!vfio_mdev_remove(&w, shown, &dev->name);
		free(shown);
		dev->made = false;
	}
	if (set->holds_signals)
		pthread_sigmask(SIG_SETMASK, &set->signals_before, NULL);
	set->holds_signals = false;
}

bool vfio_must_close(const struct vfio_set *set)
{
	for (u32 i = 0; set && i < set->nr_devices; i++)
		if (set->devices[i].made)
			return true;
	return false;
}
