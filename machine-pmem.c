/* SPDX-License-Identifier: MIT */
/*
 * Persistent memory of a machine: files that are opened, given a place above RAM and mapped there.
 * One that ends or fails under the guest ends the machine.
 */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lkvm/arch.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/machine.h"
#include "lkvm/pmem.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"

static void on_lost(void *opaque, u32 events)
{
	struct machine *m = opaque;

	/* One may be on its way since before a device lost it too. */
	event_del(&m->open.pmem_lost);
	memory_say_lost(&m->vm.mem);
	vm_request_stop(&m->vm, VM_STOP_KVM_ERROR, 0, -1);
}

static int watch(struct machine *m)
{
	struct event *ev = &m->open.pmem_lost;
	int ret;

	ev->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ret = ev->fd < 0 ? -errno : 0;
	ev->events = EPOLLIN;
	ev->fn = on_lost;
	ev->opaque = m;
	if (!ret)
		ret = event_add(&m->vm.loop, ev);
	if (ret)
		err("--pmem: cannot watch for files that end: %s%s", strerror(-ret),
		    limit_hint(ret));
	return ret;
}

/* Their sizes are known: how many addresses they take. */
static void lay_out(struct machine *m)
{
	m->vm.pmem_size = 0;
	for (u32 i = 0; i < m->open.nr_pmems; i++)
		m->vm.pmem_size += ALIGN_UP(m->open.pmems[i].size, PMEM_ALIGN);
}

static int open_all(struct machine *m, const struct vm_config *cfg,
		    int (*open)(const struct pmem_config *cfg, struct pmem *pmem))
{
	m->open.pmems = xcalloc(cfg->nr_pmems + 1, sizeof(m->open.pmems[0]));
	for (u32 i = 0; i < cfg->nr_pmems; i++) {
		int ret = open(&cfg->pmems[i], &m->open.pmems[i]);

		if (ret)
			return ret;
		m->open.nr_pmems++;
	}
	lay_out(m);
	return 0;
}

int machine_open_pmems(struct machine *m, const struct vm_config *cfg)
{
	int ret = open_all(m, cfg, pmem_open);

	return ret || !cfg->nr_pmems ? ret : watch(m);
}

int machine_stub_pmems(struct machine *m, const struct vm_config *cfg)
{
	return open_all(m, cfg, pmem_measure);
}

static int map(struct machine *m, struct pmem *p)
{
	return memory_add(&m->vm.mem, &(struct memory_desc){
					      .gpa = p->gpa,
					      .size = p->size,
					      .kind = p->readonly ? MEM_PMEM_RO : MEM_PMEM,
					      .backing = MEM_FILE,
					      .fd = p->fd,
					      .align = PMEM_UNIT,
					      .page = p->page,
					      .file_len = p->file_len,
					      .lost_fd = m->open.pmem_lost.fd,
					      .name = p->what,
				      });
}

int machine_map_pmems(struct machine *m, bool sketch)
{
	u64 gpa = m->open.nr_pmems ? arch_pmem_base(&m->vm) : 0;

	for (u32 i = 0; i < m->open.nr_pmems; i++) {
		struct pmem *p = &m->open.pmems[i];
		int ret;

		p->gpa = gpa;
		gpa += ALIGN_UP(p->size, PMEM_ALIGN);
		ret = sketch ? 0 : map(m, p);
		if (!ret)
			continue;
		err("%s: cannot map it: %s", p->what, strerror(-ret));
		return ret;
	}
	return 0;
}

void machine_close_pmems(struct machine *m)
{
	struct machine_open *open = &m->open;

	for (u32 i = 0; i < open->nr_pmems; i++)
		pmem_close(&open->pmems[i]);
	free(open->pmems);
	if (open->pmem_lost.fd <= 0)
		return;
	event_del(&open->pmem_lost);
	close(open->pmem_lost.fd);
}
