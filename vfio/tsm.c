/* SPDX-License-Identifier: MIT */
/* Devices in confidential guests (see tsm.h), for builds that ask for it. */
#include "tsm.h"

#ifdef CONFIG_VFIO_TSM

#include <string.h>

#include "iommu.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "vfio-abi.h"

/*
 * The proposals' structures: VFIO_DEVICE_TSM_BIND and UNBIND (Xu Yilun, 2025-05-29), IOMMU_VDEVICE
 * TSM_OP (Aneesh Kumar K.V, 2026-05-25), TSM_REQ (the same, mid 2026).
 */
struct tsm_bind {
	u32 argsz, flags, vdevice_id, pad;
};

struct tsm_unbind {
	u32 argsz, flags;
};

#define OP_BIND	  1U
#define OP_UNBIND 2U

struct tsm_op {
	u32 size, type, flags, vdevice_id;
};

struct tsm_req {
	u32 size, vdevice_id, op, tvm_arch, req_len, resp_len;
	u64 req_uptr, resp_uptr, tsm_code;
};

static const struct vfio_tsm_config *config(const struct vfio_tsm *tsm)
{
	return &tsm->dev->cfg->tsm;
}

/* On /dev/iommu. What the call returns, or -errno. */
static int ask(const struct vfio_tsm *tsm, unsigned long request, void *arg)
{
	return vfio_set_ioctl(tsm->dev->set, tsm->dev->set->fd, request, arg);
}

static const char *hint(int ret)
{
	return ret == -ENOTTY ? "; the host's kernel has no such call, or another number for it"
			      : "";
}

static int say(const struct vfio_tsm *tsm, const char *what, int ret)
{
	err("--vfio %s: tsm=: cannot %s: %s%s", tsm->dev->name.id, what, strerror(-ret), hint(ret));
	return ret;
}

/* What binding needs */

static void destroy(struct vfio_tsm *tsm, u32 *id)
{
	struct iommu_abi_destroy arg = { .size = sizeof(arg), .id = *id };

	if (*id)
		(void)ask(tsm, IOMMU_ABI_DESTROY, &arg);
	*id = 0;
}

/* Page tables that the guest's could stand on; nothing is attached to them. */
static int make_table(struct vfio_tsm *tsm)
{
	struct iommu_abi_hwpt_alloc alloc = {
		.size = sizeof(alloc),
		.flags = IOMMU_ABI_HWPT_NEST_PARENT,
		.dev_id = tsm->dev->devid,
		.pt_id = tsm->dev->set->ioas,
	};
	int ret = ask(tsm, IOMMU_ABI_HWPT_ALLOC, &alloc);

	if (ret < 0)
		return say(tsm, "make page tables", ret);
	tsm->table = alloc.out_hwpt_id;
	return 0;
}

static int make_viommu(struct vfio_tsm *tsm)
{
	struct iommu_abi_viommu_alloc alloc = {
		.size = sizeof(alloc),
		.type = config(tsm)->viommu,
		.dev_id = tsm->dev->devid,
		.hwpt_id = tsm->table,
	};
	int ret = ask(tsm, IOMMU_ABI_VIOMMU_ALLOC, &alloc);

	if (ret < 0)
		return say(tsm, "make an IOMMU of the guest's (viommu: is its type)", ret);
	tsm->viommu = alloc.out_viommu_id;
	return 0;
}

static int make_vdevice(struct vfio_tsm *tsm, u16 bdf)
{
	struct iommu_abi_vdevice_alloc alloc = {
		.size = sizeof(alloc),
		.viommu_id = tsm->viommu,
		.dev_id = tsm->dev->devid,
		.virt_id = bdf,
	};
	int ret = ask(tsm, IOMMU_ABI_VDEVICE_ALLOC, &alloc);

	if (ret < 0)
		return say(tsm, "make it a device of the guest's IOMMU", ret);
	tsm->vdevice = alloc.out_vdevice_id;
	return 0;
}

int vfio_tsm_open(struct vfio_tsm *tsm, struct vfio_device *dev, u16 bdf)
{
	int ret;

	*tsm = (struct vfio_tsm){ 0 };
	if (!dev->cfg || !dev->cfg->has_tsm)
		return 0;
	if (!dev->set || !dev->devid) {
		err("--vfio %s: tsm=: needs iommufd, and the device is reached by its group",
		    dev->name.id);
		return -ENOTTY;
	}
	tsm->dev = dev;
	ret = make_table(tsm);
	if (!ret)
		ret = make_viommu(tsm);
	if (!ret)
		ret = make_vdevice(tsm, bdf);
	if (ret)
		vfio_tsm_close(tsm);
	return ret;
}

void vfio_tsm_close(struct vfio_tsm *tsm)
{
	if (!tsm->dev)
		return;
	vfio_tsm_unbind(tsm);
	destroy(tsm, &tsm->vdevice);
	destroy(tsm, &tsm->viommu);
	destroy(tsm, &tsm->table);
	tsm->dev = NULL;
}

/* Binding. Without a call for it the kernel does it with the device's place in the guest's IOMMU.
 */

static int bind_or_unbind(struct vfio_tsm *tsm, bool bind)
{
	const struct vfio_tsm_config *c = config(tsm);
	struct vfio_device *dev = tsm->dev;
	struct tsm_op op = {
		.size = sizeof(op),
		.type = bind ? OP_BIND : OP_UNBIND,
		.vdevice_id = tsm->vdevice,
	};
	struct tsm_bind b = { .argsz = sizeof(b), .vdevice_id = tsm->vdevice };
	struct tsm_unbind u = { .argsz = sizeof(u) };

	if (c->op)
		return MIN(ask(tsm, c->op, &op), 0);
	if (!c->bind)
		return 0;
	if (bind)
		return MIN(dev->calls->ioctl(dev->opaque, dev->fd, c->bind, &b), 0);
	return MIN(dev->calls->ioctl(dev->opaque, dev->fd, c->unbind, &u), 0);
}

int vfio_tsm_bind(struct vfio_tsm *tsm)
{
	int ret;

	if (!tsm->dev || tsm->bound)
		return 0;
	ret = bind_or_unbind(tsm, true);
	/* A guest may have asked for it, any number of times. */
	if (ret)
		guest_warn("--vfio %s: tsm=: cannot bind it: %s%s", tsm->dev->name.id,
			   strerror(-ret), hint(ret));
	tsm->bound = !ret;
	return ret;
}

void vfio_tsm_unbind(struct vfio_tsm *tsm)
{
	int ret;

	if (!tsm->dev || !tsm->bound)
		return;
	ret = bind_or_unbind(tsm, false);
	if (ret)
		guest_warn("--vfio %s: tsm=: cannot unbind it: %s", tsm->dev->name.id,
			   strerror(-ret));
	tsm->bound = false;
}

int vfio_tsm_ask(struct vfio_tsm *tsm, struct vfio_tsm_request *request)
{
	struct tsm_req req = { .size = sizeof(req), .vdevice_id = tsm->vdevice };
	int ret;

	if (!tsm->dev || !tsm->bound)
		return -ENODEV;
	if (!config(tsm)->request)
		return -ENOTTY;
	req.op = request->op;
	req.tvm_arch = config(tsm)->arch;
	req.req_len = request->request_len;
	req.resp_len = request->response_len;
	req.req_uptr = (uintptr_t)request->request;
	req.resp_uptr = (uintptr_t)request->response;
	ret = ask(tsm, config(tsm)->request, &req);
	if (ret < 0)
		return ret;
	/* No more than there is: the caller subtracts it. */
	if ((u32)ret > MAX(request->request_len, request->response_len))
		return -EIO;
	request->residue = (u32)ret;
	request->code = req.tsm_code;
	return 0;
}

#endif
