/* SPDX-License-Identifier: MIT */
/* VFIO: devices stop and go on together, and are saved and loaded. */
#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "../lib/fake_migration.h"
#include "capture.h"
#include "lkvm/vfio-state.h"

#define NR    3
#define HEAD  128 /* of a file */
#define ID_AT 32

static char trace[FAKE_TRACE];
static struct fake_migration fakes[NR];
static struct vfio_migration migrations[NR];
static char dir[] = "/tmp/vfio-migration-XXXXXX", file[64];
static const u64 all = FAKE_ALL_MIGRATION, none = VFIO_ABI_MIG_STOP_COPY;

/* Devices A, B and C. */
static void make(u64 a, u64 b, u64 c)
{
	const u64 flags[NR] = { a, b, c };
	static const char *const names[NR] = { "A", "B", "C" };

	trace[0] = '\0';
	for (int i = 0; i < NR; i++) {
		fake_migration_init(&fakes[i], names[i], flags[i], trace);
		assert_int_equal(vfio_migration_init(&migrations[i], &fakes[i].f.dev,
						     i ? &migrations[i - 1] : NULL),
				 0);
	}
}

static void unmake(void)
{
	for (int i = 0; i < NR; i++) {
		vfio_migration_destroy(&migrations[i]);
		vfio_migration_destroy(&migrations[i]);
		assert_int_equal(fakes[i].open, 0);
		fakes[i].f.before = NULL;
		fake_vfio_destroy(&fakes[i].f);
	}
}

/* What happened since this was asked last. */
static void expect(const char *text)
{
	assert_string_equal(trace, text);
	trace[0] = '\0';
}

/* Stopping and going on */

static void test_together(void **state)
{
	(void)state;
	make(all, all, none);
	vfio_migration_quiesce(&migrations[1]);
	expect("B:RUNNING_P2P A:RUNNING_P2P B:STOP C:STOP A:STOP ");
	vfio_migration_quiesce(&migrations[0]);
	vfio_migration_quiesce(&migrations[2]);
	expect("");
	vfio_migration_resume(&migrations[0]);
	expect("A:RUNNING_P2P B:RUNNING_P2P A:RUNNING B:RUNNING C:RUNNING ");
	vfio_migration_resume(&migrations[1]);
	expect("");
	/* One leaves. */
	vfio_migration_destroy(&migrations[1]);
	vfio_migration_quiesce(&migrations[2]);
	expect("A:RUNNING_P2P C:STOP A:STOP ");
	unmake();
}

static void test_does_not_stop(void **state)
{
	const char *said;

	(void)state;
	make(all, all, all);
	fakes[0].fails_to = VFIO_ABI_STATE_STOP;
	capture_begin();
	vfio_migration_quiesce(&migrations[0]);
	said = capture_end();
	assert_one_line(said);
	assert_contains(said, "--vfio 0000:03:00.0: the device does not stop: Input/output error; "
			      "it is in the state ERROR until it is reset");
	assert_int_equal(fakes[0].state, VFIO_ABI_STATE_ERROR);
	assert_int_equal(fakes[1].state, VFIO_ABI_STATE_STOP);
	assert_int_equal(fakes[2].state, VFIO_ABI_STATE_STOP);
	/* It is left alone until then. */
	vfio_migration_resume(&migrations[0]);
	assert_int_equal(fakes[0].state, VFIO_ABI_STATE_ERROR);
	assert_int_equal(fakes[1].state, VFIO_ABI_STATE_RUNNING);
	fakes[0].fails_to = FAKE_NOTHING;
	assert_int_equal(vfio_device_reset(&fakes[0].f.dev), 0);
	vfio_migration_was_reset(&migrations[0]);
	assert_int_equal(migrations[0].state, VFIO_ABI_STATE_RUNNING);
	unmake();
}

static void test_stays_on_the_way(void **state)
{
	(void)state;
	make(all, all, all);
	fakes[2].fails_to = VFIO_ABI_STATE_STOP;
	fakes[2].stays = true;
	capture_begin();
	assert_int_equal(vfio_migration_stop(&migrations[0]), -EIO);
	assert_contains(capture_end(), "it is in the state RUNNING_P2P\n");
	vfio_migration_resume(&migrations[0]);
	for (int i = 0; i < NR; i++)
		assert_int_equal(fakes[i].state, VFIO_ABI_STATE_RUNNING);
	/* And one that does not even say where it is. */
	fakes[2].mute = true;
	capture_begin();
	vfio_migration_quiesce(&migrations[0]);
	assert_contains(capture_end(), "the state ERROR");
	unmake();
}

static void test_without(void **state)
{
	struct fake_migration *f = &fakes[1];
	struct vfio_migration m;

	(void)state;
	make(0, all, VFIO_ABI_MIG_P2P);
	vfio_migration_quiesce(&migrations[0]);
	expect("B:RUNNING_P2P B:STOP ");
	vfio_migration_was_reset(&migrations[0]);
	vfio_migration_resume(&migrations[0]);
	assert_int_equal(migrations[1].state, VFIO_ABI_STATE_RUNNING);
	f->flags = 0;
	for (int i = 0; i < 2; i++) {
		const char *said;

		*(i ? &f->f.cfg.state_in : &f->f.cfg.state_out) = file;
		capture_begin();
		assert_int_equal(vfio_migration_init(&m, &f->f.dev, &migrations[0]), -EOPNOTSUPP);
		said = capture_end();
		assert_one_line(said);
		assert_contains(said, i ? "state-in=: the device's driver does not"
					: "state-out=: the device's driver does not");
	}
	assert_ptr_equal(migrations[0].next, &migrations[1]);
	vfio_migration_destroy(&m);
	m = (struct vfio_migration){ 0 };
	vfio_migration_was_reset(&m);
	assert_int_equal(vfio_migration_finish(&m), 0);
	vfio_migration_destroy(&m);
	unmake();
}

/* Into a file, and from it */

static unsigned int files_there(void)
{
	DIR *d = opendir(dir);
	unsigned int n = 0;

	while (readdir(d))
		n++;
	closedir(d);
	return n - 2;
}

static void saved_ok(void)
{
	assert_int_equal(vfio_migration_save(&migrations[0], file), 0);
	assert_int_equal(files_there(), 1);
}

static void test_save_and_load(void **state)
{
	(void)state;
	make(all, all, none);
	saved_ok();
	expect("A:PRE_COPY A:PRE_COPY_P2P B:RUNNING_P2P B:STOP C:STOP A:STOP_COPY A:STOP ");
	assert_true(fakes[0].reinit);
	/* Peers follow, from where they are. */
	assert_int_equal(vfio_migration_save(&migrations[2], file), 0);
	expect("C:STOP_COPY C:STOP ");
	vfio_migration_resume(&migrations[0]);
	trace[0] = '\0';
	assert_int_equal(vfio_migration_load(&migrations[1], file), 0);
	expect("B:RUNNING_P2P B:STOP B:RESUMING B:STOP B:RUNNING_P2P B:RUNNING ");
	assert_int_equal(fakes[1].in_len, FAKE_MEMORY);
	assert_memory_equal(fakes[1].memory, fakes[2].memory, FAKE_MEMORY);
	assert_int_equal(files_there(), 1);
	unlink(file);
	unmake();
}

static void test_precopy_is_bounded(void **state)
{
	(void)state;
	make(all, 0, 0);
	fakes[0].endless = true;
	saved_ok();
	assert_int_equal(vfio_migration_load(&migrations[0], file), 0);
	assert_int_equal(fakes[0].in_len, FAKE_MEMORY);
	unlink(file);
	/* Without P2P, the device stops from PRE_COPY at once. */
	fakes[0].flags = migrations[0].flags = VFIO_ABI_MIG_STOP_COPY | VFIO_ABI_MIG_PRE_COPY;
	fakes[0].endless = false;
	trace[0] = '\0';
	saved_ok();
	expect("A:PRE_COPY A:STOP_COPY A:STOP ");
	unlink(file);
	unmake();
}

/* A link stays one, and what was there before stays until there is something better. */
static void test_replaces(void **state)
{
	char link_name[80];
	struct stat st;

	(void)state;
	make(all, 0, 0);
	snprintf(link_name, sizeof(link_name), "%s/link", dir);
	assert_int_equal(close(creat(file, 0600)), 0);
	assert_int_equal(symlink(file, link_name), 0);
	fakes[0].read_error = -EIO;
	capture_begin();
	assert_int_equal(vfio_migration_save(&migrations[0], link_name), -EIO);
	capture_end();
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_size, 0);
	fakes[0].read_error = 0;
	assert_int_equal(vfio_migration_save(&migrations[0], link_name), 0);
	assert_int_equal(lstat(link_name, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_size, HEAD + FAKE_MEMORY);
	assert_int_equal(files_there(), 2);
	unlink(link_name);
	unlink(file);
	unmake();
}

static void cannot_save(int error, const char *path, const char *text)
{
	const char *said;
	int ret;

	capture_begin();
	ret = vfio_migration_save(&migrations[0], path);
	said = capture_end();
	assert_int_equal(ret, error);
	assert_contains(said, text);
	assert_int_equal(files_there(), 0);
	assert_int_equal(fakes[0].open, 0);
}

static void test_save_fails(void **state)
{
	struct rlimit old, small = { 1000, 1000 };

	(void)state;
	make(all, all, 0);
	cannot_save(-ENOENT, "/nowhere/file", "state-out=/nowhere/file: cannot create the file");
	cannot_save(-ENOTSUP, "/dev/null", "must be a file");
	expect("");
	fakes[0].read_error = -EIO;
	cannot_save(-EIO, file, "cannot read the device's state: Input/output error");
	assert_int_equal(fakes[0].state, VFIO_ABI_STATE_STOP);
	assert_int_equal(fakes[0].f.resets, 0);
	fakes[0].read_error = 0;
	vfio_migration_resume(&migrations[0]);
	/* Only a reset helps. */
	fakes[0].fails_to = VFIO_ABI_STATE_STOP_COPY;
	cannot_save(-EIO, file, "does not get to the state STOP_COPY but to ERROR");
	assert_int_equal(fakes[0].f.resets, 1);
	assert_int_equal(migrations[0].state, VFIO_ABI_STATE_RUNNING);
	/* A peer that does not stop may still write into this one. */
	vfio_migration_resume(&migrations[0]);
	fakes[0].fails_to = FAKE_NOTHING;
	fakes[1].fails_to = VFIO_ABI_STATE_STOP;
	cannot_save(-EIO, file, "is not written, since a device does not stop");
	/* No room. */
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &old);
	small.rlim_max = old.rlim_max;
	vfio_migration_destroy(&migrations[1]);
	setrlimit(RLIMIT_FSIZE, &small);
	cannot_save(-EFBIG, file, "cannot write: File too large");
	setrlimit(RLIMIT_FSIZE, &old);
	migrations[0].flags = 0;
	cannot_save(-EOPNOTSUPP, file, "does not save states");
	unmake();
}

/* A file that is none of the device's */

static void change(u64 at, u8 byte)
{
	int fd = open(file, O_WRONLY);

	assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
	close(fd);
}

static void cannot_load(int error, const char *path, const char *text)
{
	const char *said;
	int ret;

	trace[0] = '\0';
	capture_begin();
	ret = vfio_migration_load(&migrations[0], path);
	said = capture_end();
	assert_int_equal(ret, error);
	assert_one_line(said);
	assert_contains(said, "--vfio 0000:03:00.0: state-in=");
	assert_contains(said, text);
	assert_int_equal(fakes[0].open, 0);
}

static void test_bad_files(void **state)
{
	static const struct {
		u64 at;
		u8 byte;
		const char *text;
	} changes[] = {
		{ 0, 'x', "is not a device's state as lkvm saves it" },
		{ 8, 2, "another version of lkvm" },
		{ 12, 200, "another version of lkvm" },
		{ 23, 1, "is cut" },
		{ 24, 1, "is damaged" },
		{ HEAD + FAKE_MEMORY - 1, 'x', "is damaged" },
	};
	char pipe_name[80];

	(void)state;
	make(all, 0, 0);
	cannot_load(-ENOENT, file, "cannot open: No such file");
	cannot_load(-EBADMSG, "/dev/null", "must be a file");
	snprintf(pipe_name, sizeof(pipe_name), "%s/pipe", dir);
	assert_int_equal(mkfifo(pipe_name, 0600), 0);
	cannot_load(-EBADMSG, pipe_name, "must be a file");
	unlink(pipe_name);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		saved_ok();
		change(changes[i].at, changes[i].byte);
		cannot_load(-EBADMSG, file, changes[i].text);
		expect("");
	}
	saved_ok();
	assert_int_equal(truncate(file, HEAD - 1 + FAKE_MEMORY), 0);
	cannot_load(-EBADMSG, file, "is cut");
	assert_int_equal(truncate(file, HEAD + 1 + FAKE_MEMORY), 0);
	cannot_load(-EBADMSG, file, "is cut, or there is more");
	assert_int_equal(truncate(file, HEAD - 1), 0);
	cannot_load(-EBADMSG, file, "is not a device's state");
	saved_ok();
	/* Another device's. */
	fakes[0].f.regions[VFIO_PCI_CONFIG_REGION_INDEX].bytes[0x2e] = 7;
	cannot_load(-EINVAL, file,
		    "is of another device (4348:3253 subsystem 0000:0000), this one is 4348:3253 "
		    "subsystem 0000:0007");
	/* The name in it is nobody's. */
	change(ID_AT, '\033');
	cannot_load(-EINVAL, file, "(?348:3253");
	for (u64 i = 0; i < 96; i++)
		change(ID_AT + i, 'a');
	cannot_load(-EBADMSG, file, "is damaged");
	expect("");
	assert_int_equal(fakes[0].f.resets, 0);
	unlink(file);
	unmake();
}

static void test_driver_refuses(void **state)
{
	(void)state;
	make(all, 0, 0);
	saved_ok();
	vfio_migration_resume(&migrations[0]);
	fakes[0].refuses = true;
	cannot_load(-EINVAL, file, "the driver of the host refuses it: Invalid argument; another");
	assert_int_equal(fakes[0].f.resets, 1);
	assert_int_equal(migrations[0].state, VFIO_ABI_STATE_RUNNING);
	fakes[0].refuses = false;
	fakes[0].write_error = -ENODATA;
	cannot_load(-ENODATA, file, "refuses it: No data available");
	assert_int_equal(fakes[0].f.resets, 2);
	fakes[0].write_error = 0;
	fakes[0].fails_to = VFIO_ABI_STATE_RESUMING;
	cannot_load(-EIO, file, "does not get to the state RESUMING but to ERROR");
	assert_int_equal(fakes[0].state, VFIO_ABI_STATE_RUNNING);
	/* The kernel's mtty says so while it is written, and has no reset: still one line. */
	fakes[0].fails_to = FAKE_NOTHING;
	fakes[0].write_error = -EFAULT;
	fakes[0].f.dev.flags &= ~(u32)VFIO_DEVICE_FLAGS_RESET;
	cannot_load(-EFAULT, file, "refuses it: Bad address");
	assert_int_equal(migrations[0].state, VFIO_ABI_STATE_RESUMING);
	migrations[0].flags = 0;
	cannot_load(-EOPNOTSUPP, file, "does not load states");
	unlink(file);
	unmake();
}

static void test_command_line(void **state)
{
	const char *said;

	(void)state;
	make(all, all, 0);
	assert_int_equal(vfio_migration_begin(&migrations[0]), 0);
	assert_int_equal(vfio_migration_finish(&migrations[0]), 0);
	expect("");
	fakes[0].f.cfg.state_out = (char *)"/nowhere/file";
	capture_begin();
	assert_int_equal(vfio_migration_begin(&migrations[0]), -ENOENT);
	said = capture_end();
	assert_one_line(said);
	assert_contains(said, "state-out=/nowhere/file: cannot create the file");
	fakes[0].f.cfg.state_out = file;
	assert_int_equal(vfio_migration_begin(&migrations[0]), 0);
	assert_int_equal(files_there(), 0);
	assert_int_equal(vfio_migration_finish(&migrations[0]), 0);
	assert_int_equal(files_there(), 1);
	trace[0] = '\0';
	assert_int_equal(vfio_migration_finish(&migrations[0]), 0);
	expect("");
	fakes[1].f.cfg.state_in = file;
	assert_int_equal(vfio_migration_begin(&migrations[1]), 0);
	assert_int_equal(fakes[1].memory[0], 'A');
	unlink(file);
	/* Once: what failed then is not tried again. */
	migrations[0].saved = false;
	fakes[0].f.cfg.state_out = (char *)"/nowhere/file";
	capture_begin();
	assert_int_equal(vfio_migration_finish(&migrations[0]), -ENOENT);
	assert_one_line(capture_end());
	assert_int_equal(vfio_migration_finish(&migrations[0]), 0);
	unmake();
}

static void test_dirty(void **state)
{
	struct vfio_device *dev = &fakes[0].f.dev;
	const struct vfio_range ranges[2] = { { 0, 0x8000 }, { 0x100000, 0x4000 } };
	u64 page = 0x1000, bitmap = 2;

	(void)state;
	make(all, 0, 0);
	assert_int_equal(vfio_dirty_start(dev, ranges, 2, &page), -ENOTTY);
	assert_int_equal(vfio_dirty_report(dev, 0, 0x8000, 0x1000, &bitmap), -ENOTTY);
	assert_int_equal(vfio_dirty_stop(dev), -ENOTTY);
	fakes[0].dirty_page = 0x4000;
	assert_int_equal(vfio_dirty_start(dev, ranges, 2, &page), 0);
	assert_int_equal(page, 0x4000);
	assert_int_equal(fakes[0].logging.page_size, 0x1000);
	assert_int_equal(fakes[0].logging.num_ranges, 2);
	assert_int_equal(fakes[0].ranges[1].iova, 0x100000);
	assert_int_equal(fakes[0].ranges[1].length, 0x4000);
	assert_int_equal(vfio_dirty_report(dev, 0x100000, 0x4000, page, &bitmap), 0);
	assert_int_equal(fakes[0].report.iova, 0x100000);
	assert_int_equal(fakes[0].report.length, 0x4000);
	assert_int_equal(fakes[0].report.page_size, 0x4000);
	assert_int_equal(bitmap, 7);
	assert_int_equal(vfio_dirty_stop(dev), 0);
	assert_int_equal(fakes[0].stops, 1);
	/* A unit that is none: stopped again. */
	fakes[0].dirty_page = 0x3000;
	assert_int_equal(vfio_dirty_start(dev, ranges, 2, &page), -EPROTO);
	assert_int_equal(fakes[0].stops, 2);
	/* These are not asked at all. */
	page = 0x3000;
	assert_int_equal(vfio_dirty_start(dev, ranges, 2, &page), -EINVAL);
	page = 0x1000;
	assert_int_equal(vfio_dirty_start(dev, ranges, 0, &page), -EINVAL);
	assert_int_equal(vfio_dirty_start(dev, ranges, ~0U, &page), -EINVAL);
	assert_int_equal(vfio_dirty_report(dev, 0x800, 0x1000, 0x1000, &bitmap), -EINVAL);
	assert_int_equal(vfio_dirty_report(dev, 0, 0, 0x1000, &bitmap), -EINVAL);
	assert_int_equal(vfio_dirty_report(dev, 0, 0x1000, 0, &bitmap), -EINVAL);
	assert_string_equal(vfio_migration_state_name(99), "unknown");
	unmake();
}

/* What `lkvm vfio state` shows. */
static void test_report(void **state)
{
	struct vfio_state_report r;

	(void)state;
	make(all, 0, none);
	fakes[0].dirty_page = 0x1000;
	fakes[0].sleeps = true;
	fakes[0].state = VFIO_ABI_STATE_STOP;
	vfio_state_look(&fakes[0].f.dev, &r);
	assert_string_equal(r.id, "0000:03:00.0");
	assert_string_equal(r.driver, "");
	assert_null(r.way);
	assert_int_equal(r.migration, all);
	assert_string_equal(r.state, "STOP");
	assert_true(r.has_length && r.precopy_v2 && r.dirty_by_device && r.low_power);
	assert_int_equal(r.length, FAKE_MEMORY);
	assert_true(!r.dirty_by_iommu && !r.wakes && !r.pasid_bits);
	/* Only looked at. */
	assert_true(!fakes[0].reinit && !fakes[0].stops);
	expect("");
	fakes[1].wakes = true;
	vfio_state_look(&fakes[1].f.dev, &r);
	assert_int_equal(r.migration, 0);
	assert_true(!r.has_length && !r.dirty_by_device && !r.low_power && r.wakes);
	unmake();
}

static int make_dir(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	snprintf(file, sizeof(file), "%s/file", dir);
	return 0;
}

static int remove_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_together),	 cmocka_unit_test(test_does_not_stop),
		cmocka_unit_test(test_stays_on_the_way), cmocka_unit_test(test_without),
		cmocka_unit_test(test_save_and_load),	 cmocka_unit_test(test_precopy_is_bounded),
		cmocka_unit_test(test_replaces),	 cmocka_unit_test(test_save_fails),
		cmocka_unit_test(test_bad_files),	 cmocka_unit_test(test_driver_refuses),
		cmocka_unit_test(test_command_line),	 cmocka_unit_test(test_dirty),
		cmocka_unit_test(test_report),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
