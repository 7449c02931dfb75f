/* SPDX-License-Identifier: MIT */
/* The words of --vfio. */
#include "unit.h"

#include "capture.h"
#include "lkvm/config.h"
#include "lkvm/options.h"

static struct vm_config cfg;

static int add(const char *arg)
{
	return config_add_vfio("--vfio", arg, &cfg);
}

/* What is refused, as a word or when all are checked, in one line. */
static void refused(const char *arg, const char *text)
{
	int ret;

	memset(&cfg, 0, sizeof(cfg));
	capture_begin();
	ret = add(arg);
	if (!ret)
		ret = config_check_vfio(&cfg);
	assert_contains(capture_end(), text);
	assert_int_equal(ret, -EINVAL);
	assert_one_line(captured);
	vfio_hooks.destroy(&cfg);
}

/* They come back as they are read. */
static void same(const char *arg)
{
	char *text;

	memset(&cfg, 0, sizeof(cfg));
	assert_int_equal(add(arg), 0);
	assert_int_equal(config_check_vfio(&cfg), 0);
	text = vfio_hooks.text(&cfg, 0);
	assert_string_equal(text, arg);
	assert_null(vfio_hooks.text(&cfg, 1));
	free(text);
	vfio_hooks.destroy(&cfg);
}

static void test_words(void **state)
{
	(void)state;
	same("03:00.0");
	/* Where a path leads is seen when it is opened. */
	same("/sys/bus/pci/devices/0000:03:00.0");
	same("mdev=mtty/mtty-2");
	same("0000:03:00.0,iommufd=on,rom=off,pasid=on,pasid-offset=0x100,state-in=a,,b,"
	     "state-out=c");
	same("0000:03:00.0,iommufd=off,rom=FILE,pasid=on,pasid-offset=0xff8");
	memset(&cfg, 0, sizeof(cfg));
	assert_int_equal(add("iommufd=auto,pasid=off,rom=a,rom=b,03:00.0"), 0);
	assert_string_equal(cfg.vfios[0].device, "03:00.0");
	assert_string_equal(cfg.vfios[0].rom, "b");
	assert_int_equal(cfg.vfios[0].iommufd, VFIO_IOMMUFD_AUTO);
	assert_false(cfg.vfios[0].pasid);
	vfio_hooks.destroy(&cfg);
}

static void test_refused(void **state)
{
	(void)state;
	refused("", "names no device");
	refused("rom=off", "names no device");
	refused("03:00.0,rom=", "rom= names no file");
	refused("03:00.0,state-in=", "must name a file");
	refused("", "--vfio: names no device");
	refused("eth0", "--vfio 'eth0': is not a PCI address");
	refused("host=03:00.0", "is not a PCI address");
	refused("03:00.0,iommufd=yes", "--vfio iommufd=: unknown 'yes'");
	refused("03:00.0,pasid=auto", "--vfio pasid=: unknown 'auto'");
	refused("mdev=a", "must be mdev=PARENT/TYPE");
	refused("mdev=/a", "must be mdev=PARENT/TYPE");
	refused("mdev=a/", "must be mdev=PARENT/TYPE");
	refused("03:00.0,mdev=a/b", "names a second device");
	refused("03:00.0,04:00.0", "unknown '04:00.0'");
	refused("03:00.0,pasid-offset=0x200", "needs pasid=on");
	refused("03:00.0,pasid=on,pasid-offset=0xfc", "a multiple of 4 from 0x100 to 0xff8");
	refused("03:00.0,pasid=on,pasid-offset=0xffc", "a multiple of 4");
	refused("03:00.0,pasid=on,pasid-offset=0x102", "a multiple of 4");
	refused("03:00.0,pasid=on,pasid-offset=x", "a multiple of 4");
	/* A build that has it: test_vfio_tsm.c. */
#ifndef CONFIG_VFIO_TSM
	refused("03:00.0,tsm=request:0x3b96", "this lkvm is built without it");
#endif
}

static void test_several(void **state)
{
	(void)state;
	memset(&cfg, 0, sizeof(cfg));
	assert_int_equal(add("03:00.0"), 0);
	assert_int_equal(add("04:00.0"), 0);
	assert_int_equal(config_check_vfio(&cfg), 0);
	assert_int_equal(add("03:00.0"), 0);
	capture_begin();
	assert_int_equal(config_check_vfio(&cfg), -EINVAL);
	assert_contains(capture_end(), "--vfio 03:00.0: is given twice");
	vfio_hooks.destroy(&cfg);
	/* Each of these is another mdev. */
	assert_int_equal(add("mdev=mtty/mtty-2"), 0);
	assert_int_equal(add("mdev=mtty/mtty-2"), 0);
	assert_int_equal(config_check_vfio(&cfg), 0);
	vfio_hooks.destroy(&cfg);
	assert_int_equal(add("03:00.0"), 0);
	assert_int_equal(add("04:00.0,iommufd=off"), 0);
	capture_begin();
	assert_int_equal(config_check_vfio(&cfg), -EINVAL);
	assert_contains(capture_end(), "--vfio 04:00.0: iommufd= must be the same");
	vfio_hooks.destroy(&cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_several),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
