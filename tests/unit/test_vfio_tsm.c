/* SPDX-License-Identifier: MIT */
/* VFIO: devices in confidential guests, in a build that has them: calls and their order. */
#include "unit.h"

#include "../../vfio/iommu.h"
#include "../../vfio/pci.h"
#include "../lib/fake_vfio.h"
#include "capture.h"
#include "devvm.h"
#include "lkvm/options.h"
#include "lkvm/pci.h"
#include "vfio_layout.h"

#define CONFIG	 (f.regions[VFIO_PCI_CONFIG_REGION_INDEX].bytes)
#define IOMMU_FD (FAKE_VFIO_FD + 1)
#define DEVID	 7
#define IOAS	 5
#define BIND	 0x3b7a
#define UNBIND	 0x3b7b
#define OP	 0x3bf5
#define REQUEST	 0x3bf6

static struct devvm d;
static struct fake_vfio f;
static struct vfio_calls calls;
static struct vfio_host host;
static struct vfio_set set;

/* What the host was asked, in words; the call whose word is @fails fails so. */
static char story[1024];
static const char *fails;
static int error, residue;
static u64 code;

static int tell(const char *word)
{
	size_t n = strlen(story);

	snprintf(story + n, sizeof(story) - n, "%s ", word);
	return fails && !strcmp(fails, word) ? error : 0;
}

static const u8 question[] = { 1, 2, 3 };
static u8 reply[8];

static int on_request(const u32 *words)
{
	const u64 *longs = (const void *)(words + 6);

	assert_int_equal(words[0], 48);
	assert_int_equal(words[1], 13);
	assert_int_equal(words[2], 5);
	assert_int_equal(words[3], 1);
	assert_int_equal(words[4], sizeof(question));
	assert_int_equal(words[5], sizeof(reply));
	assert_ptr_equal((void *)(uintptr_t)longs[0], question);
	assert_ptr_equal((void *)(uintptr_t)longs[1], reply);
	*(u64 *)(uintptr_t)&longs[2] = code;
	return tell("request") ? error : residue;
}

static int on_iommufd(unsigned long request, void *arg)
{
	struct iommu_abi_hwpt_alloc *table = arg;
	struct iommu_abi_viommu_alloc *viommu = arg;
	struct iommu_abi_vdevice_alloc *vdevice = arg;
	const u32 *words = arg;

	switch (request) {
	case IOMMU_ABI_HWPT_ALLOC:
		assert_int_equal(table->flags, IOMMU_ABI_HWPT_NEST_PARENT);
		assert_int_equal(table->pt_id, IOAS);
		assert_int_equal(table->dev_id, DEVID);
		table->out_hwpt_id = 11;
		return tell("table");
	case IOMMU_ABI_VIOMMU_ALLOC:
		assert_int_equal(viommu->size, 40);
		assert_int_equal(viommu->type, 1);
		assert_int_equal(viommu->hwpt_id, 11);
		assert_int_equal(viommu->dev_id, DEVID);
		viommu->out_viommu_id = 12;
		return tell("viommu");
	case IOMMU_ABI_VDEVICE_ALLOC:
		assert_int_equal(vdevice->size, 24);
		assert_int_equal(vdevice->viommu_id, 12);
		assert_int_equal(vdevice->dev_id, DEVID);
		assert_int_equal(vdevice->virt_id, BDF);
		vdevice->out_vdevice_id = 13;
		return tell("vdevice");
	case IOMMU_ABI_DESTROY:
		return tell(words[1] == 11 ? "-table" : words[1] == 12 ? "-viommu" : "-vdevice");
	case OP:
		assert_int_equal(words[0], 16);
		assert_int_equal(words[2], 0);
		assert_int_equal(words[3], 13);
		return tell(words[1] == 1 ? "op-bind" : "op-unbind");
	case REQUEST:
		return on_request(words);
	default:
		return -ENOTTY;
	}
}

static int host_ioctl(void *opaque, int fd, unsigned long request, void *arg)
{
	const u32 *words = arg;

	if (fd == IOMMU_FD)
		return on_iommufd(request, arg);
	switch (request) {
	case BIND:
		assert_int_equal(words[0], 16);
		assert_int_equal(words[1], 0);
		assert_int_equal(words[2], 13);
		return tell("bind");
	case UNBIND:
		assert_int_equal(words[0], 8);
		assert_int_equal(words[1], 0);
		return tell("unbind");
	case VFIO_DEVICE_RESET:
		tell("reset");
		break;
	}
	return fake_vfio_ioctl(opaque, fd, request, arg);
}

static void put(u32 offset, u32 value, u32 len)
{
	put_le(CONFIG + offset, len, value);
}

static void device(const struct vfio_tsm_config *tsm)
{
	fake_vfio_init(&f, 4096);
	fake_vfio_region(&f, 0, 0x4000,
			 VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE |
				 VFIO_REGION_INFO_FLAG_MMAP);
	put(PCI_VENDOR_ID, 0x00101b36, 4);
	put(PCI_STATUS, PCI_STATUS_CAP_LIST, 2);
	put(PCI_CAPABILITY_LIST, 0x40, 1);
	put(0x40, PCI_CAP_ID_EXP, 2);
	put(0x40 + PCI_EXP_FLAGS, 2, 2);
	put(0x40 + PCI_EXP_DEVCAP, PCI_EXP_DEVCAP_FLR, 4);
	calls = fake_vfio_calls;
	calls.ioctl = host_ioctl;
	host = (struct vfio_host){ .calls = &calls, .opaque = &f, .root = "" };
	set = (struct vfio_set){ .host = &host, .fd = IOMMU_FD, .ioas = IOAS };
	f.dev.calls = &calls;
	f.dev.set = &set;
	f.dev.devid = DEVID;
	f.cfg.has_tsm = tsm;
	if (tsm)
		f.cfg.tsm = *tsm;
	fails = NULL;
	error = -EINVAL;
	residue = 0;
	code = 0;
	assert_int_equal(fake_vfio_open(&f), 0);
	devvm_init(&d);
	assert_int_equal(pci_host_add(&d.vm, &layout, 0x800000000ULL), 0);
	story[0] = '\0';
}

static int start(void)
{
	int ret;

	capture_begin();
	ret = vfio_pci_add(&d.vm, &f.dev, 0);
	(void)capture_end();
	return ret;
}

static struct vfio_pci *function(void)
{
	return to_vfio_pci(d.vm.pci->root.functions[BDF]);
}

static void stop(void)
{
	vm_destroy(&d.vm);
	fake_vfio_destroy(&f);
}

static const struct vfio_tsm_config by_device = {
	.bind = BIND,
	.unbind = UNBIND,
	.request = REQUEST,
	.viommu = 1,
	.arch = 1,
};
static const struct vfio_tsm_config by_iommufd = { .op = OP, .viommu = 1 };
static const struct vfio_tsm_config by_place = { .request = REQUEST, .viommu = 1, .arch = 1 };

static void test_order(void **state)
{
	u32 word = 0;

	(void)state;
	device(&by_device);
	assert_int_equal(start(), 0);
	assert_string_equal(captured, "");
	assert_string_equal(story, "reset table viommu vdevice bind ");
	/* The host has no map of what is locked; the guest's accesses are the kernel's to judge. */
	assert_int_equal(function()->bars[0].nr_maps, 0);
	assert_true(bus_read(&d.vm.mmio, layout.mem32_base, &word, 4));
	/* Before any reset it is unbound: of a reboot, and of the guest's own. */
	story[0] = '\0';
	vm_reset_devices(&d.vm);
	assert_string_equal(story, "unbind reset bind ");
	story[0] = '\0';
	pci_config_write(d.vm.pci, BDF, 0x40 + PCI_EXP_DEVCTL, PCI_EXP_DEVCTL_BCR_FLR, 2);
	assert_string_equal(story, "unbind bind ");
	story[0] = '\0';
	stop();
	assert_string_equal(story, "unbind -vdevice -viommu -table reset ");

	device(&by_iommufd);
	assert_int_equal(start(), 0);
	stop();
	assert_string_equal(story, "reset table viommu vdevice op-bind op-unbind -vdevice -viommu "
				   "-table reset ");
	device(&by_place);
	assert_int_equal(start(), 0);
	stop();
	assert_string_equal(story, "reset table viommu vdevice -vdevice -viommu -table reset ");
	/* Nothing of it unless it is asked for. */
	device(NULL);
	assert_int_equal(start(), 0);
	assert_int_equal(function()->bars[0].nr_maps, 1);
	stop();
	assert_string_equal(story, "reset reset ");
}

/* Of what was made before, nothing stays. */
static void failing(const char *word, int err, const char *told, const char *text)
{
	device(&by_device);
	fails = word;
	error = err;
	assert_int_equal(start(), err);
	assert_contains(captured, text);
	assert_one_line(captured);
	assert_string_equal(story, told);
	stop();
}

static void test_failures(void **state)
{
	(void)state;
	failing("table", -ENOMEM, "reset table ", "cannot make page tables: Cannot allocate");
	failing("viommu", -EOPNOTSUPP, "reset table viommu -table ", "viommu: is its type");
	failing("vdevice", -EEXIST, "reset table viommu vdevice -viommu -table ",
		"a device of the guest's IOMMU: File exists");
	failing("bind", -ENOTTY, "reset table viommu vdevice bind -vdevice -viommu -table ",
		"no such call, or another number");
	device(&by_device);
	f.dev.devid = 0;
	assert_int_equal(start(), -ENOTTY);
	assert_contains(captured, "needs iommufd");
	stop();
	/* One that cannot be bound again after a reset is not asked, nor unbound. */
	device(&by_device);
	assert_int_equal(start(), 0);
	fails = "bind";
	capture_begin();
	vm_reset_devices(&d.vm);
	assert_contains(capture_end(), "cannot bind it");
	story[0] = '\0';
	stop();
	assert_string_equal(story, "-vdevice -viommu -table reset ");
}

static void test_requests(void **state)
{
	struct vfio_tsm_request r = {
		.op = 5,
		.request = question,
		.request_len = sizeof(question),
		.response = reply,
		.response_len = sizeof(reply),
	};
	struct vfio_tsm *tsm;

	(void)state;
	device(&by_device);
	assert_int_equal(start(), 0);
	tsm = &function()->tsm;
	residue = 6;
	code = 0x1234;
	assert_int_equal(vfio_tsm_ask(tsm, &r), 0);
	assert_int_equal(r.residue, 6);
	assert_int_equal(r.code, 0x1234);
	/* More is left than there was. */
	residue = 9;
	assert_int_equal(vfio_tsm_ask(tsm, &r), -EIO);
	fails = "request";
	assert_int_equal(vfio_tsm_ask(tsm, &r), -EINVAL);
	vfio_tsm_unbind(tsm);
	story[0] = '\0';
	assert_int_equal(vfio_tsm_ask(tsm, &r), -ENODEV);
	assert_string_equal(story, "");
	stop();
	device(&by_iommufd);
	assert_int_equal(start(), 0);
	assert_int_equal(vfio_tsm_ask(&function()->tsm, &r), -ENOTTY);
	stop();
}

/* The words. */

static void refused(const char *arg, const char *text)
{
	struct vm_config cfg;

	memset(&cfg, 0, sizeof(cfg));
	capture_begin();
	assert_int_equal(config_add_vfio("--vfio", arg, &cfg), -EINVAL);
	assert_contains(capture_end(), text);
	assert_one_line(captured);
	vfio_hooks.destroy(&cfg);
}

static void test_words(void **state)
{
	struct vm_config cfg;
	char *text;

	(void)state;
	memset(&cfg, 0, sizeof(cfg));
	assert_int_equal(config_add_vfio("--vfio",
					 "03:00.0,tsm=bind:0x3b7a+unbind:15227+viommu:1+arch:2",
					 &cfg),
			 0);
	assert_true(cfg.vfios[0].has_tsm);
	assert_int_equal(cfg.vfios[0].tsm.bind, BIND);
	assert_int_equal(cfg.vfios[0].tsm.unbind, UNBIND);
	assert_int_equal(cfg.vfios[0].tsm.viommu, 1);
	assert_int_equal(cfg.vfios[0].tsm.arch, 2);
	text = vfio_hooks.text(&cfg, 0);
	assert_string_equal(text, "03:00.0,tsm=bind:0x3b7a+unbind:0x3b7b+viommu:0x1+arch:0x2");
	free(text);
	vfio_hooks.destroy(&cfg);
	refused("03:00.0,tsm=", "tsm=: must be one of bind");
	refused("03:00.0,tsm=lock:0x3b7a", "tsm=lock: must be one of bind");
	refused("03:00.0,tsm=bind", "tsm=bind: must be the number of a call");
	refused("03:00.0,tsm=request:0x3a96", "0x3b00 to 0x3bff");
	refused("03:00.0,tsm=request:0x3c00", "0x3b00 to 0x3bff");
	refused("03:00.0,tsm=request:0x3b96+viommu:x", "tsm=viommu: must be a number");
	refused("03:00.0,tsm=bind:0x3b7a", "bind and unbind need each other");
	refused("03:00.0,tsm=bind:0x3b7a+unbind:0x3b7b+op:0x3b95", "omit either");
	refused("03:00.0,tsm=viommu:1", "names no call");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_requests),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
