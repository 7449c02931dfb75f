/* SPDX-License-Identifier: MIT */
/* VFIO's settings, names and descriptors, and KVM's device that is told of them. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "model-files.h"
#include "vfio.h"

/* On x86 messages go there (Intel SDM volume 3, 11.11.1). */
struct vfio_settings vfio_settings = {
	.dma_avail = 65535,
	.aperture = 39,
	.msi = 0xfee00000,
	.mig = 7,
};

static struct vdev devs[VDEV_MAX];
static u32 nr_devs;

struct vdev *vdev_nth(u32 i)
{
	return i < nr_devs ? &devs[i] : NULL;
}

static void add(const struct vdev_kind *kind, const char *id, u32 number, u32 group)
{
	struct vdev *d = &devs[nr_devs];

	if (nr_devs == VDEV_MAX)
		model_usage("more than %u devices", VDEV_MAX);
	nr_devs++;
	*d = (struct vdev){ .kind = kind, .number = number, .group = group };
	snprintf(d->id, sizeof(d->id), "%s", id);
	d->unmask_fd = d->data_fd = -1;
	for (u32 i = 0; i < VDEV_REGIONS; i++)
		d->regions[i].memfd = -1;
	for (u32 i = 0; i < VDEV_IRQS; i++) {
		d->irq_flags[i] = VFIO_IRQ_INFO_EVENTFD;
		for (u32 v = 0; v < VDEV_VECTORS; v++)
			d->fds[i][v] = -1;
	}
	d->irq_flags[VFIO_PCI_INTX_IRQ_INDEX] |= VFIO_IRQ_INFO_MASKABLE | VFIO_IRQ_INFO_AUTOMASKED;
	d->irq_flags[VFIO_PCI_MSI_IRQ_INDEX] |= VFIO_IRQ_INFO_NORESIZE;
	if (vfio_settings.no_resize)
		d->irq_flags[VFIO_PCI_MSIX_IRQ_INDEX] |= VFIO_IRQ_INFO_NORESIZE;
	d->irq_count[VFIO_PCI_REQ_IRQ_INDEX] = 1;
	kind->make(d);
	memcpy(d->initial, d->config, sizeof(d->config));
}

static void found_mdev(const char *uuid, u32 number)
{
	const struct vdev_kind *k = vdev_kinds;

	while (!k->mdev)
		k++;
	for (u32 i = 0; i < nr_devs; i++)
		if (!strcmp(devs[i].id, uuid))
			return;
	add(k, uuid, number, number + 20);
}

struct vdev *vdev_find(const char *id)
{
	vtree_scan_mdevs(found_mdev);
	for (u32 i = 0; i < nr_devs; i++)
		if (!strcmp(devs[i].id, id))
			return &devs[i];
	return NULL;
}

bool vfio_in_list(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = list; *p; p += strcspn(p, "+"), p += *p == '+')
		if (!strncmp(p, name, len) && (!p[len] || p[len] == '+'))
			return true;
	return false;
}

/* Before main: what the list names, and its files. */
void vfio_start(void)
{
	char copy[sizeof(vfio_settings.devices)], *rest, id[40];
	u32 number = 0;

	if (!vfio_settings.on)
		return;
	snprintf(copy, sizeof(copy), "%s", vfio_settings.devices);
	for (char *word = strtok_r(copy, "+", &rest); word; word = strtok_r(NULL, "+", &rest)) {
		const struct vdev_kind *k = vdev_kinds;

		while (k->name && strcmp(k->name, word))
			k++;
		if (!k->name)
			model_usage("LKVM_MODEL: vfio= has no device '%s'", word);
		if (k->mdev)
			continue;
		snprintf(id, sizeof(id), "0000:%02x:00.0", number + 1);
		add(k, id, number, vfio_settings.together ? 16 : 16 + number);
		number++;
	}
	vtree_make();
}

static bool text_option(const char *name, const char *value)
{
	const struct {
		const char *name;
		char *to;
		size_t len;
	} texts[] = {
		{ "vfio", vfio_settings.devices, sizeof(vfio_settings.devices) },
		{ "host", vfio_settings.host, sizeof(vfio_settings.host) },
		{ "loose", vfio_settings.loose, sizeof(vfio_settings.loose) },
		{ "busy", vfio_settings.busy, sizeof(vfio_settings.busy) },
		{ "tells", vfio_settings.tells, sizeof(vfio_settings.tells) },
	};

	for (u32 i = 0; value && i < MODEL_ARRAY(texts); i++)
		if (!strcmp(name, texts[i].name)) {
			snprintf(texts[i].to, texts[i].len, "%s", value);
			vfio_settings.on = true;
			return true;
		}
	return false;
}

static bool switch_option(const char *name, const char *value)
{
	const struct {
		const char *name, *value;
		bool *to;
	} switches[] = {
		{ "iommufd", "off", &vfio_settings.no_iommufd },
		{ "cdev", "off", &vfio_settings.no_cdev },
		{ "iommu", "off", &vfio_settings.no_iommu },
		{ "dmabuf", "off", &vfio_settings.no_dmabuf },
		{ "together", NULL, &vfio_settings.together },
		{ "noresize", NULL, &vfio_settings.no_resize },
		{ "noreset", NULL, &vfio_settings.no_reset },
		{ "mig", "fail-stop", &vfio_settings.mig_fails },
		{ "mig", "old-magic", &vfio_settings.mig_old },
	};

	for (u32 i = 0; i < MODEL_ARRAY(switches); i++)
		if (!strcmp(name, switches[i].name) && !value == !switches[i].value &&
		    (!value || !strcmp(value, switches[i].value))) {
			*switches[i].to = true;
			return true;
		}
	return value && !strcmp(value, "on") &&
	       (!strcmp(name, "iommufd") || !strcmp(name, "cdev") || !strcmp(name, "iommu"));
}

bool vfio_option(const char *name, const char *value)
{
	if (text_option(name, value) || switch_option(name, value))
		return true;
	if (!strcmp(name, "max-map"))
		vfio_settings.max_map = model_number(name, value);
	else if (!strcmp(name, "memlock"))
		vfio_settings.memlock = model_number(name, value);
	else if (!strcmp(name, "dma-avail"))
		vfio_settings.dma_avail = (u32)model_number(name, value);
	else if (!strcmp(name, "aperture"))
		vfio_settings.aperture = (u32)model_number(name, value);
	else if (!strcmp(name, "msi"))
		vfio_settings.msi = model_number(name, value);
	else if (!strcmp(name, "pasid"))
		vfio_settings.pasid = (u32)model_number(name, value);
	else if (!strcmp(name, "mig"))
		vfio_settings.mig = model_number(name, value);
	else
		return false;
	return true;
}

void vfio_must_be_told(bool told, const char *what)
{
	if (!told && model_any_vm())
		model_broken(0, "%s: before KVM is told (KVM_DEV_VFIO_FILE_ADD)", what);
}

long vfio_get(const struct model_call *c, void *to, u32 min, u32 len)
{
	u32 size;

	if (model_read(&size, c->arg, sizeof(size)))
		return -EFAULT;
	if (size < min)
		return model_broken(-EINVAL, "%s: a size of %u bytes, at least %u", c->name, size,
				    min);
	return model_read(to, c->arg, size < len ? size : len);
}

long vfio_put(const struct model_call *c, const void *from, u32 len)
{
	return model_write(c->arg, from, len);
}

static long new_file(const char *name, enum model_type type, void *object)
{
	int fd = model_new_fd(name, 0, type);

	if (fd >= 0)
		model_file(fd)->vfio = object;
	else
		free(object);
	return fd;
}

static long open_group(u32 number)
{
	struct vgroup *g = vgroup_find(number);
	int fd;

	if (g->open || g->devices)
		return model_refused(-EBUSY, "group %u is open already", number);
	fd = model_new_fd("vfio-group", 0, MODEL_VFIO_GROUP);
	if (fd >= 0) {
		model_file(fd)->vfio = g;
		g->open = true;
	}
	return fd;
}

static long open_cdev(u32 number)
{
	struct vdev *d;
	int fd;

	vtree_scan_mdevs(found_mdev);
	for (u32 i = 0; (d = vdev_nth(i)); i++)
		if (d->number == number)
			break;
	if (!d)
		return -ENODEV;
	if (d->open)
		return model_refused(-EBUSY, "%s is open already", d->id);
	fd = model_new_fd("vfio-cdev", 0, MODEL_VFIO_DEVICE);
	if (fd >= 0) {
		model_file(fd)->vfio = d;
		d->open = true;
	}
	return fd;
}

static void *zeroed(size_t size)
{
	void *p = calloc(1, size);

	if (!p)
		abort();
	return p;
}

static long open_node(const char *path)
{
	u32 number;
	char rest;

	if ((strcmp(path, "/dev/iommu") && strncmp(path, "/dev/vfio/", 10)) ||
	    !strcmp(path, "/dev/vfio/devices"))
		return MODEL_PASS;
	if (!vtree_has(path))
		return -ENOENT;
	if (!strcmp(path, "/dev/iommu"))
		return new_file("iommu", MODEL_VFIO_IOMMUFD, zeroed(sizeof(struct viommufd)));
	if (!strcmp(path, "/dev/vfio/vfio")) {
		struct vcontainer *container = zeroed(sizeof(*container));

		container->open = true;
		return new_file("vfio", MODEL_VFIO_CONTAINER, container);
	}
	if (sscanf(path, "/dev/vfio/devices/vfio%u%c", &number, &rest) == 1)
		return open_cdev(number);
	if (sscanf(path, "/dev/vfio/%u%c", &number, &rest) == 1)
		return open_group(number);
	return -ENXIO;
}

long vfio_open(const char *path)
{
	long fd;

	pthread_mutex_lock(&model_lock);
	fd = open_node(path);
	pthread_mutex_unlock(&model_lock);
	return fd;
}

static const struct model_name names[] = {
	{ VFIO_GET_API_VERSION, "VFIO_GET_API_VERSION" },
	{ VFIO_CHECK_EXTENSION, "VFIO_CHECK_EXTENSION" },
	{ VFIO_SET_IOMMU, "VFIO_SET_IOMMU" },
	{ VFIO_GROUP_GET_STATUS, "VFIO_GROUP_GET_STATUS" },
	{ VFIO_GROUP_SET_CONTAINER, "VFIO_GROUP_SET_CONTAINER" },
	{ VFIO_GROUP_UNSET_CONTAINER, "VFIO_GROUP_UNSET_CONTAINER" },
	{ VFIO_GROUP_GET_DEVICE_FD, "VFIO_GROUP_GET_DEVICE_FD" },
	{ VFIO_DEVICE_GET_INFO, "VFIO_DEVICE_GET_INFO" },
	{ VFIO_DEVICE_GET_REGION_INFO, "VFIO_DEVICE_GET_REGION_INFO" },
	{ VFIO_DEVICE_GET_IRQ_INFO, "VFIO_DEVICE_GET_IRQ_INFO" },
	{ VFIO_DEVICE_SET_IRQS, "VFIO_DEVICE_SET_IRQS" },
	{ VFIO_DEVICE_RESET, "VFIO_DEVICE_RESET" },
	{ VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, "VFIO_DEVICE_GET_PCI_HOT_RESET_INFO" },
	{ VFIO_DEVICE_PCI_HOT_RESET, "VFIO_DEVICE_PCI_HOT_RESET" },
	{ VFIO_DEVICE_FEATURE, "VFIO_DEVICE_FEATURE" },
	{ M_BIND_IOMMUFD, "VFIO_DEVICE_BIND_IOMMUFD" },
	{ M_ATTACH_PT, "VFIO_DEVICE_ATTACH_IOMMUFD_PT" },
	{ M_DETACH_PT, "VFIO_DEVICE_DETACH_IOMMUFD_PT" },
	{ M_PRECOPY_INFO, "VFIO_MIG_GET_PRECOPY_INFO" },
	{ M_DESTROY, "IOMMU_DESTROY" },
	{ M_IOAS_ALLOC, "IOMMU_IOAS_ALLOC" },
	{ M_IOAS_IOVA_RANGES, "IOMMU_IOAS_IOVA_RANGES" },
	{ M_IOAS_MAP, "IOMMU_IOAS_MAP" },
	{ M_IOAS_MAP_FILE, "IOMMU_IOAS_MAP_FILE" },
	{ M_IOAS_UNMAP, "IOMMU_IOAS_UNMAP" },
	{ M_HWPT_ALLOC, "IOMMU_HWPT_ALLOC" },
	{ M_GET_HW_INFO, "IOMMU_GET_HW_INFO" },
};

/* A container has numbers that devices have too. */
const char *vfio_name_call(const struct model_call *c)
{
	if (c->file->type == MODEL_VFIO_CONTAINER && c->request == VFIO_IOMMU_GET_INFO)
		return "VFIO_IOMMU_GET_INFO";
	if (c->file->type == MODEL_VFIO_CONTAINER && c->request == VFIO_IOMMU_MAP_DMA)
		return "VFIO_IOMMU_MAP_DMA";
	if (c->file->type == MODEL_VFIO_CONTAINER && c->request == VFIO_IOMMU_UNMAP_DMA)
		return "VFIO_IOMMU_UNMAP_DMA";
	for (u32 i = 0; i < MODEL_ARRAY(names); i++)
		if (names[i].request == c->request)
			return names[i].name;
	return NULL;
}

long vfio_ioctl(struct model_call *c)
{
	switch (c->file->type) {
	case MODEL_VFIO_IOMMUFD:
		return viommufd_ioctl(c);
	case MODEL_VFIO_CONTAINER:
		return vcontainer_ioctl(c);
	case MODEL_VFIO_GROUP:
		return vgroup_ioctl(c);
	case MODEL_VFIO_DEVICE:
		return vdev_ioctl(c);
	case MODEL_VFIO_DATA:
		return vmig_ioctl(c);
	default:
		return -ENOTTY;
	}
}

void vfio_closed(struct model_file *f)
{
	if (f->type == MODEL_VFIO_IOMMUFD)
		viommufd_closed(f->vfio);
	else if (f->type == MODEL_VFIO_CONTAINER)
		vcontainer_closed(f->vfio);
	else if (f->type == MODEL_VFIO_GROUP)
		vgroup_closed(f->vfio);
	else if (f->type == MODEL_VFIO_DEVICE)
		vdev_closed(f->vfio);
	else if (f->type == MODEL_VFIO_DMABUF)
		free(f->vfio);
}

/* Nobody tells KVM any more. */
void vfio_forget_told(void)
{
	for (u32 i = 0; i < nr_devs; i++) {
		devs[i].told = false;
		if (devs[i].in)
			devs[i].in->told = false;
	}
	for (u32 i = 0; i < nr_devs; i++)
		vgroup_find(devs[i].group)->told = false;
}

static long tell(const struct kvm_device_attr *a)
{
	struct model_file *f;
	bool *told;
	s32 fd;

	if (model_read(&fd, a->addr, sizeof(fd)))
		return -EFAULT;
	f = model_file(fd);
	if (f->type == MODEL_VFIO_GROUP)
		told = &((struct vgroup *)f->vfio)->told;
	else if (f->type == MODEL_VFIO_DEVICE && !((struct vdev *)f->vfio)->in)
		told = &((struct vdev *)f->vfio)->told;
	else
		return model_broken(-EINVAL,
				    "KVM_DEV_VFIO_FILE: descriptor %d is no group and no cdev", fd);
	if (*told == (a->attr == KVM_DEV_VFIO_GROUP_ADD))
		return model_broken(*told ? -EEXIST : -ENOENT,
				    "KVM_DEV_VFIO_FILE: descriptor %d %s", fd,
				    *told ? "twice" : "is unknown");
	*told = !*told;
	return 0;
}

static long told_call(struct model_call *c)
{
	struct kvm_device_attr a;

	if (model_read(&a, c->arg, sizeof(a)))
		return -EFAULT;
	if (a.group != KVM_DEV_VFIO_GROUP ||
	    (a.attr != KVM_DEV_VFIO_GROUP_ADD && a.attr != KVM_DEV_VFIO_GROUP_DEL))
		return -ENXIO;
	if (c->request == KVM_HAS_DEVICE_ATTR)
		return 0;
	return c->request == KVM_SET_DEVICE_ATTR ? tell(&a) : -ENXIO;
}

long vfio_kvm(struct model_call *c)
{
	struct kvm_create_device dev;
	int fd;

	if (!vfio_settings.on)
		return MODEL_PASS;
	if (c->file->type == MODEL_DEVICE && c->file->device_type == KVM_DEV_TYPE_VFIO)
		return told_call(c);
	if (c->file->type != MODEL_VM || c->request != KVM_CREATE_DEVICE)
		return MODEL_PASS;
	if (model_read(&dev, c->arg, sizeof(dev)))
		return -EFAULT;
	if (dev.type != KVM_DEV_TYPE_VFIO)
		return MODEL_PASS;
	if (dev.flags & KVM_CREATE_DEVICE_TEST)
		return 0;
	fd = model_new_fd("kvm-vfio", 0, MODEL_DEVICE);
	if (fd < 0)
		return fd;
	model_file(fd)->device_type = KVM_DEV_TYPE_VFIO;
	model_file(fd)->vm = c->vm;
	dev.fd = (u32)fd;
	return model_write(c->arg, &dev, sizeof(dev));
}
