/* SPDX-License-Identifier: MIT */
/*
 * The small devices of a board with a device tree: clocks, power key, flash, boot mark, pvpanic;
 * read and written at every width. The host's clock and the timers are the input's.
 */
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "fuzz_vm.h"

/* The devices' sources with a clock and timers of ours: real time would make runs differ. */
static struct timespec host_time;
static int fake_clock(clockid_t clock, struct timespec *now)
{
	*now = host_time;
	return 0;
}

struct event_timer;
static void fake_timer_set(struct event_timer *t, u64 ns)
{
	fz_check(ns <= 60000000000ULL);
}

#define clock_gettime	fake_clock
#define event_timer_set fake_timer_set
#include "../../hw/pl031.c"
#define read_register  pl061_read_register
#define write_register pl061_write_register
#define update_irq     pl061_update_irq
#include "../../hw/pl061.c"
#undef read_register
#undef write_register
#undef update_irq
#undef NSEC
#undef ALARM_RECHECK_NS
#define read_register  goldfish_read_register
#define write_register goldfish_write_register
#define update_irq     goldfish_update_irq
#define check_alarm    goldfish_check_alarm
#define set_quiesced   goldfish_set_quiesced
#define guest_time     goldfish_guest_time
#include "../../hw/goldfish-rtc.c"
#undef clock_gettime
#undef event_timer_set

#define MAX_OPS	   1024
#define RTC	   0x10000
#define GPIO	   0x20000
#define MC146818   0x30000
#define MARK	   0x40000
#define PANIC	   0x50000
#define GOLDFISH   0x60000
#define SYSCON	   0x70000
#define FLASH	   0x100000
#define FLASH_SIZE 0x20000
#define BLOCK	   0x200
#define RTC_GSI	   1
#define GPIO_GSI   2
#define GF_GSI	   3

static struct fz_vm v;
static struct device *rtc, *gpio, *goldfish;
static int flash_fd = -1;

static const struct {
	u32 base, size;
} places[] = {
	{ RTC, 0x20 },	    { RTC + 0xfe0, 0x20 },
	{ GPIO, 0x1000 },   { GPIO + 0x400, 0x24 },
	{ MC146818, 2 },    { MARK, 4 },
	{ PANIC, 2 },	    { FLASH, FLASH_SIZE },
	{ FLASH, 0x200 },   { FLASH + 0xff00, 0x200 },
	{ GOLDFISH, 0x20 }, { SYSCON, 4 },
};

/* Of the flash: blocks that the guest was at. */
static bool touched[FLASH_SIZE / BLOCK];

static void touch(u64 addr)
{
	if (addr >= FLASH && addr - FLASH < FLASH_SIZE)
		touched[(addr - FLASH) / BLOCK] = true;
}

static void access_device(struct fz *f, u8 op)
{
	u32 which = (op >> 1 & 0xf) % ARRAY_SIZE(places);
	u64 addr = places[which].base + fz_le(f, 3) % (places[which].size + 4);
	u32 len = op & 0x80 ? fz_width(f) : 4;

	touch(addr);
	if (op & 1)
		fz_read(&v.vm.mmio, addr, len);
	else
		fz_write(&v.vm.mmio, addr, len, fz_le(f, len));
}

/* A command as drivers give it: to both chips. */
static void flash_command(struct fz *f)
{
	u32 cmd = fz_u8(f);
	u64 addr = FLASH + fz_u16(f) % (FLASH_SIZE / 4) * 4;

	touch(addr);
	fz_write(&v.vm.mmio, addr, 4, cmd << 16 | cmd);
}

static void alarms(void)
{
	on_alarm(container_of(rtc, struct pl031, dev));
	on_timer(container_of(goldfish, struct goldfish_rtc, dev));
}

static void step(struct fz *f)
{
	u8 op = fz_u8(f);

	switch (op & 0x60) {
	case 0x00:
	case 0x20:
		access_device(f, op);
		break;
	case 0x40:
		flash_command(f);
		break;
	default:
		if (op & 1)
			pl061_press(gpio);
		else if (op & 2)
			on_release(container_of(gpio, struct pl061, dev));
		else if (op & 4)
			alarms();
		else if (op & 8)
			vm_reset_devices(&v.vm);
		else
			host_time.tv_sec = (u32)(host_time.tv_sec + fz_u32(f));
	}
}

/* The lines say what the registers say. */
static void check_lines(void)
{
	fz_check(v.level[RTC_GSI] == (fz_read(&v.vm.mmio, RTC + RTCMIS, 4) != 0));
	fz_check(v.level[GF_GSI] == goldfish_rtc_rings(goldfish));
	fz_check(v.level[GPIO_GSI] == (fz_read(&v.vm.mmio, GPIO + GPIOMIS, 4) != 0));
}

/* What the guest reads is what the file keeps, where it was or where the file changed. */
static void check_flash(void)
{
	static const u8 zeroes[BLOCK];
	static u8 file[FLASH_SIZE];

	vm_reset_devices(&v.vm);
	fz_check(lseek(flash_fd, 0, SEEK_END) == FLASH_SIZE);
	fz_check(pread(flash_fd, file, sizeof(file), 0) == FLASH_SIZE);
	for (u32 i = 0; i < FLASH_SIZE; i += 8)
		if (touched[i / BLOCK] || memcmp(file + ALIGN_DOWN(i, BLOCK), zeroes, BLOCK))
			fz_check(fz_read(&v.vm.mmio, FLASH + i, 8) == get_le(file + i, 8));
	memset(touched, 0, sizeof(touched));
}

static void make_flash(void)
{
	struct flash_file file = { .path = "flash", .size = FLASH_SIZE };

	if (flash_fd < 0)
		flash_fd = memfd_create("flash", MFD_CLOEXEC);
	fz_check(flash_fd >= 0 && !ftruncate(flash_fd, 0) && !ftruncate(flash_fd, FLASH_SIZE));
	file.fd = flash_fd;
	fz_check(!cfi_flash_create(&v.vm, FLASH, &file));
}

static void make_devices(void)
{
	const struct arch_place rtc_place = { .base = RTC, .size = 0x1000, .gsi = RTC_GSI };
	const struct arch_place gpio_place = { .base = GPIO, .size = 0x1000, .gsi = GPIO_GSI };
	const struct arch_place mc = { .base = MC146818 }, mark = { .base = MARK, .size = 4 };
	const struct arch_place gf_place = { .base = GOLDFISH, .size = 0x1000, .gsi = GF_GSI };
	const struct arch_place syscon = { .base = SYSCON, .size = 4 };
	const struct arch_place panic = { .base = PANIC, .size = 2 };

	fz_check(!pl031_create(&v.vm, &rtc_place));
	rtc = v.vm.devices;
	fz_check(!pl061_create(&v.vm, &gpio_place, &gpio));
	fz_check(!goldfish_rtc_create(&v.vm, &gf_place, &goldfish));
	fz_check(!syscon_create(&v.vm, &syscon));
	fz_check(!mc146818_create(&v.vm, &mc));
	fz_check(!boot_mark_create(&v.vm, &mark));
	fz_check(!pvpanic_create(&v.vm, &panic));
	make_flash();
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);

	host_time = (struct timespec){ .tv_sec = (time_t)fz_u32(&f), .tv_nsec = 500000000 };
	fz_vm_init(&v);
	make_devices();
	for (int i = 0; i < MAX_OPS && fz_more(&f); i++) {
		step(&f);
		check_lines();
	}
	check_flash();
	fz_vm_destroy(&v);
	return 0;
}
