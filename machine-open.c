/* SPDX-License-Identifier: MIT */
/* The first stage of a machine: everything that has a name is opened, once, before there is a VM.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "lkvm/arch.h"
#include "lkvm/channel.h"
#include "lkvm/coco.h"
#include "lkvm/config.h"
#include "lkvm/console.h"
#include "lkvm/disk.h"
#include "lkvm/fs.h"
#include "lkvm/gdb.h"
#include "lkvm/guest-command.h"
#include "lkvm/log.h"
#include "lkvm/machine.h"
#include "lkvm/net.h"
#include "lkvm/thread.h"
#include "lkvm/trace.h"
#include "lkvm/util.h"
#include "lkvm/vfio.h"
#include "lkvm/vsock.h"

/* Many devices need many descriptors: take all that we may have. */
static void raise_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		debug("cannot raise the limit of open files: %s", strerror(errno));
}

/* Signals */

/* Those that end a machine; one that is ignored (nohup, a shell's background job) stays so. */
static void ending_signals(sigset_t *set)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP };
	struct sigaction now;

	sigemptyset(set);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (!sigaction(signals[i], NULL, &now) && now.sa_handler != SIG_IGN)
			sigaddset(set, signals[i]);
}

void machine_block_signals(struct machine *m, bool block)
{
	if (block)
		pthread_sigmask(SIG_BLOCK, &m->ending, &m->mask_before);
	else
		pthread_sigmask(SIG_SETMASK, &m->mask_before, NULL);
}

static void on_signal(void *opaque, u32 events)
{
	struct machine *m = opaque;
	struct signalfd_siginfo info;

	if (read(m->open.signals.fd, &info, sizeof(info)) != sizeof(info))
		return;
	/* The second is for lkvm. */
	if (!m->open.command || !guest_command_signal(m->open.command, (int)info.ssi_signo))
		vm_request_stop(&m->vm, VM_STOP_SIGNAL, (int)info.ssi_signo, -1);
}

/* It has something to read only while the signals are blocked. */
static int open_signals(struct machine *m)
{
	struct event *ev = &m->open.signals;
	int ret;

	ending_signals(&m->ending);
	ev->fd = signalfd(-1, &m->ending, SFD_CLOEXEC | SFD_NONBLOCK);
	ret = ev->fd < 0 ? -errno : 0;
	ev->events = EPOLLIN;
	ev->fn = on_signal;
	ev->opaque = m;
	if (!ret)
		ret = event_add(&m->vm.loop, ev);
	if (ret)
		err("cannot watch for signals: %s%s", strerror(-ret), limit_hint(ret));
	return ret;
}

/* The console and its menu */

static void on_quit(void *opaque)
{
	struct machine *m = opaque;

	vm_request_stop(&m->vm, VM_STOP_QUIT, 0, -1);
}

static void on_power_button(void *opaque)
{
	struct machine *m = opaque;

	if (machine_press_button(m) < 0)
		warn("this VM has no power button");
}

static void on_continued(void *opaque)
{
	struct machine *m = opaque;

	vm_stood_still(&m->vm);
}

static bool on_wanted(void *opaque)
{
	struct machine *m = opaque;

	return vm_wants_vcpus(&m->vm);
}

static int open_console(struct machine *m)
{
	const struct machine_watch *watch = m->inject ? m->inject->watch : NULL;
	const struct term_hooks hooks = {
		.quit = on_quit,
		.power_button = on_power_button,
		.continued = on_continued,
		.wanted = on_wanted,
		.opaque = m,
		.output = watch ? watch->show : TERM_STDOUT,
		.no_input = watch && watch->no_input,
	};
	int ret;

	if (machine_has_own_consoles(m))
		return 0;
	if (watch && watch->output)
		m->open.watches = xcalloc(MACHINE_CONSOLES(m->vm.cfg), sizeof(m->open.watches[0]));
	ret = term_create(&m->vm.loop, &hooks, &m->open.console);
	if (ret)
		err("cannot set up the console: %s%s", strerror(-ret), limit_hint(ret));
	return ret;
}

static int open_ports(struct machine *m, const struct vm_config *cfg)
{
	struct machine_open *open = &m->open;

	open->ports = xcalloc(cfg->nr_ports + 1, sizeof(open->ports[0]));
	for (u32 i = 0; i < cfg->nr_ports; i++) {
		int ret = channel_open(&m->vm.loop, &cfg->ports[i], &open->ports[i]);

		if (ret)
			return ret;
		open->nr_ports++;
	}
	return 0;
}

/* Disks and networks */

static int open_disks(struct machine_open *open, const struct vm_config *cfg)
{
	open->disks = xcalloc(cfg->nr_disks + 1, sizeof(open->disks[0]));
	open->disk_vhosts = xcalloc(cfg->nr_disks + 1, sizeof(open->disk_vhosts[0]));
	for (u32 i = 0; i < cfg->nr_disks; i++) {
		const struct disk_config *dc = &cfg->disks[i];
		int ret = dc->vhost_user ? machine_open_disk_vhost(dc, &open->disk_vhosts[i])
					 : disk_open(dc, &open->disks[i]);

		if (ret)
			return ret;
		open->nr_disks++;
	}
	return 0;
}

static int open_net(struct machine *m, const struct vm_config *cfg, u32 index)
{
	struct machine_net *net = &m->open.nets[index];
	const struct net_config *nc = &cfg->nets[index];
	int ret;

	if (nc->mode == NET_NONE)
		return 0;
	if (nc->mode == NET_VHOST_USER)
		ret = machine_open_net_vhost(nc, &net->vhost);
	else if (nc->mode == NET_USER)
		ret = net_user_open(nc, &m->vm.loop, &net->nb);
	else
		ret = net_backend_open(nc, &net->nb);
	if (ret)
		return ret;
	if (nc->has_guest_mac)
		memcpy(net->mac, nc->guest_mac, sizeof(net->mac));
	else if (net->nb && net->nb->has_mac)
		memcpy(net->mac, net->nb->mac, sizeof(net->mac));
	else
		net_make_mac(cfg->name, index, net->mac);
	return 0;
}

static int open_nets(struct machine *m, const struct vm_config *cfg)
{
	struct machine_open *open = &m->open;

	open->nets = xcalloc(cfg->nr_nets + 1, sizeof(open->nets[0]));
	for (u32 i = 0; i < cfg->nr_nets; i++) {
		int ret = open_net(m, cfg, i);

		if (ret)
			return ret;
		open->nr_nets++;
	}
	return 0;
}

static int open_vsock(struct machine_open *open, const struct vm_config *cfg)
{
	if (!cfg->vsock.cid)
		return 0;
	if (!cfg->vsock.path)
		return machine_open_vsock(open, cfg);
	return vsock_unix_open(&cfg->vsock, &open->vsock);
}

static int open_shares(struct machine_open *open, const struct vm_config *cfg)
{
	open->shares = xcalloc(cfg->nr_shares + 1, sizeof(struct share *));
	for (u32 i = 0; i < cfg->nr_shares; i++) {
		int ret = share_open(&cfg->shares[i], cfg->nr_shares, &open->shares[i]);

		if (ret)
			return ret;
		open->nr_shares++;
	}
	return 0;
}

/* Linux's words are for Linux alone. */
static void know_kernel(struct machine *m)
{
	struct boot *boot = &m->open.boot;
	const struct vm_config *cfg = m->vm.cfg;

	boot->is_known = true;
	boot->is_linux = arch_boots_linux(cfg, boot);
	/* What could not be read is not told of. */
	if (!boot->is_linux || boot_image_broken(&boot->kernel))
		return;
	boot_check_initrds(boot);
	config_tell_added(cfg);
}

int machine_begin_boot(struct machine *m, struct guest_memory *mem)
{
	int ret = boot_begin(&m->open.boot, m->vm.cfg, mem);

	if (!ret && !m->open.boot.is_known)
		know_kernel(m);
	return ret;
}

static int open_images(struct machine *m, const struct vm_config *cfg)
{
	int ret = boot_open(&m->open.boot, cfg);

	if (!ret && m->inject && m->inject->image) {
		/* The configuration may have found one of the host's. */
		boot_image_close(&m->open.boot.kernel);
		boot_image_from_buffer(&m->open.boot.kernel, "the built-in guest", m->inject->image,
				       m->inject->image_len);
	}
	if (ret)
		return ret;
	/* Of a packed one most is unpacked when it is loaded. */
	if (!m->open.boot.kernel.stream)
		know_kernel(m);
	return 0;
}

static int open_flash(struct machine_open *open, const struct vm_config *cfg)
{
	const char *path = cfg->fdt.flash;

	return path ? flash_file_open(&open->flash, path, arch_platform.flash.size) : 0;
}

static int open_coco(struct machine *m, const struct vm_config *cfg, bool described)
{
	const struct coco_ops *coco = arch_coco(cfg);

	return coco && coco->open ? coco->open(cfg, described, &m->vm.coco_opened) : 0;
}

static void close_coco(struct machine *m)
{
	const struct coco_ops *coco = arch_coco(m->vm.cfg);

	if (coco && coco->close && m->vm.coco_opened)
		coco->close(m->vm.coco_opened);
	m->vm.coco_opened = NULL;
}

int machine_open_all(struct machine *m, const struct vm_config *cfg)
{
	int ret;

	raise_limit();
	/* The signals first: one that ends lkvm from here on takes the names away. */
	ret = open_signals(m);
	if (!ret && !machine_has_own_consoles(m))
		ret = machine_open_control(m, cfg);
	if (!ret && cfg->trace.file)
		ret = trace_open(&cfg->trace, m->vm.start_ns, &m->vm.trace);
	if (!ret)
		ret = open_images(m, cfg);
	if (!ret)
		ret = kvm_open(&m->vm.kvm, cfg->kvm_path);
	if (!ret)
		ret = open_coco(m, cfg, false);
	if (!ret)
		ret = open_flash(&m->open, cfg);
	if (!ret)
		ret = open_disks(&m->open, cfg);
	if (!ret)
		ret = machine_open_pmems(m, cfg);
	if (!ret)
		ret = open_nets(m, cfg);
	if (!ret)
		ret = open_vsock(&m->open, cfg);
	if (!ret)
		ret = machine_open_virtiofs(m, cfg);
	if (!ret && cfg->nr_vfios)
		ret = vfio_open(cfg, &m->open.vfio);
	if (!ret)
		ret = open_ports(m, cfg);
	if (!ret)
		ret = open_shares(&m->open, cfg);
	if (!ret && cfg->gdb.on)
		ret = gdb_open(&m->vm, &m->open.gdb);
	if (!ret)
		ret = open_console(m);
	if (!ret)
		ret = machine_open_command(m, cfg);
	return ret;
}

void machine_close(struct machine *m)
{
	struct machine_open *open = &m->open;

	if (open->signals.fd >= 0) {
		event_del(&open->signals);
		close(open->signals.fd);
	}
	gdb_close(open->gdb);
	if (open->vsock)
		open->vsock->ops->close(open->vsock);
	for (u32 i = 0; i < open->nr_nets; i++)
		if (open->nets[i].nb)
			open->nets[i].nb->ops->close(open->nets[i].nb);
	for (u32 i = 0; i < open->nr_disks; i++)
		if (open->disks[i])
			open->disks[i]->ops->close(open->disks[i]);
	machine_close_pmems(m);
	vfio_close(open->vfio);
	machine_close_vhosts(open);
	for (u32 i = 0; i < open->nr_ports; i++)
		open->ports[i]->ops->destroy(open->ports[i]);
	free(open->ports);
	free(open->watches);
	for (u32 i = 0; i < open->nr_shares; i++)
		share_close(open->shares[i]);
	free(open->shares);
	free(open->nets);
	free(open->disks);
	flash_file_close(&open->flash);
	close_coco(m);
	boot_close(&open->boot);
	machine_close_command(open);
	/* Last: as long as anything is slow, Ctrl-A x may be typed again. */
	if (open->console)
		open->console->ops->destroy(open->console);
	trace_close(m->vm.trace);
	m->vm.trace = NULL;
	machine_close_control(m);
	memset(open, 0, sizeof(*open));
	open->signals.fd = -1;
}

/* Back ends of a machine that is only described: they are there, and nothing ever calls them but to
 * set a client or to close. */

static void stub_queue_submit(struct disk_queue *dq, struct disk_request *req)
{
	disk_request_done(dq, req, -EIO);
}
static void stub_queue_end(struct disk_queue *dq) {}
static const struct disk_queue_ops stub_queue_ops = {
	.submit = stub_queue_submit,
	.kick = stub_queue_end,
	.cancel = stub_queue_end,
	.finish = stub_queue_end,
	.close = stub_queue_end,
};
static struct disk_queue stub_queue = { .ops = &stub_queue_ops };

static int stub_disk_queue(struct disk *disk, struct event_loop *loop, unsigned int depth,
			   struct disk_queue **out)
{
	*out = &stub_queue;
	return 0;
}
static void stub_disk_close(struct disk *disk) {}
static const struct disk_ops stub_disk_ops = {
	.queue_open = stub_disk_queue,
	.close = stub_disk_close,
};
static struct disk stub_disk = {
	.ops = &stub_disk_ops, .path = "none", .size = 512, .block_size = 512, .phys_block = 512
};

static void stub_net_close(struct net_backend *nb) {}
static const struct net_backend_ops stub_net_ops = { .close = stub_net_close };
static struct net_backend stub_net = { .ops = &stub_net_ops,
				       .nr_pairs = 1,
				       .pair[0] = { .poll_fd = -1, .room_fd = -1 },
				       .name = "none" };

static void stub_vsock_end(struct vsock_backend *vb) {}
static const struct vsock_backend_ops stub_vsock_ops = {
	.finish = stub_vsock_end,
	.close = stub_vsock_end,
};
static struct vsock_backend stub_vsock = { .ops = &stub_vsock_ops, .listen_fd = -1 };

static void stub_console_client(struct console *con, const struct console_client *client) {}
static void stub_console_destroy(struct console *con) {}
static const struct console_ops stub_console_ops = {
	.set_client = stub_console_client,
	.destroy = stub_console_destroy,
};
static struct console stub_console = { .ops = &stub_console_ops };

int machine_open_stubs(struct machine *m, const struct vm_config *cfg)
{
	struct machine_open *open = &m->open;
	int ret = open_images(m, cfg);

	if (!ret)
		ret = open_coco(m, cfg, true);
	if (!ret && cfg->fdt.flash)
		ret = flash_file_measure(&open->flash, cfg->fdt.flash, arch_platform.flash.size);
	if (ret)
		return ret;
	open->disks = xcalloc(cfg->nr_disks + 1, sizeof(open->disks[0]));
	open->disk_vhosts = xcalloc(cfg->nr_disks + 1, sizeof(open->disk_vhosts[0]));
	for (; open->nr_disks < cfg->nr_disks; open->nr_disks++)
		open->disks[open->nr_disks] = &stub_disk;
	open->nets = xcalloc(cfg->nr_nets + 1, sizeof(open->nets[0]));
	for (; open->nr_nets < cfg->nr_nets; open->nr_nets++)
		if (cfg->nets[open->nr_nets].mode != NET_NONE)
			open->nets[open->nr_nets].nb = &stub_net;
	if (cfg->vsock.path)
		open->vsock = &stub_vsock;
	open->ports = xcalloc(cfg->nr_ports + 1, sizeof(open->ports[0]));
	for (; open->nr_ports < cfg->nr_ports; open->nr_ports++)
		open->ports[open->nr_ports] = &stub_console;
	open->shares = xcalloc(cfg->nr_shares + 1, sizeof(struct share *));
	for (; open->nr_shares < cfg->nr_shares; open->nr_shares++)
		open->shares[open->nr_shares] = share_stub(&cfg->shares[open->nr_shares]);
	open->console = &stub_console;
	if (cfg->root.linked)
		open->link = open->kept = &stub_console;
	ret = machine_stub_pmems(m, cfg);
	return ret ? ret : machine_stub_vhosts(open, cfg);
}
