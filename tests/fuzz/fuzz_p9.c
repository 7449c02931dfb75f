/* SPDX-License-Identifier: MIT */
/*
 * fs/ behind virtio/9p.c, over a directory that is made anew for each input; beside it lies a file
 * that must stay as it is. The first byte of the input: the transport
 * (fuzz_transport.h); bit 1, read-only. A request of the target's own is well-formed but for what
 * the input says.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../fs/p9.h"
#include "fuzz_virtio.h"

#define ANSWER (FV_DATA + 0x2000)

static char base[64];
static int base_fd = -1;

static void make_file(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	fz_check(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

/* Everything in the directory, which is closed. */
static void empty(int fd)
{
	DIR *dir = fdopendir(fd);
	struct dirent *e;

	fz_check(dir);
	while ((e = readdir(dir))) {
		int sub;

		if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, ".."))
			continue;
		if (!unlinkat(dirfd(dir), e->d_name, 0))
			continue;
		/* Its mode may have become anything. */
		fz_check(!fchmodat(dirfd(dir), e->d_name, 0700, 0));
		sub = openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
		fz_check(sub >= 0);
		empty(sub);
		fz_check(!unlinkat(dirfd(dir), e->d_name, AT_REMOVEDIR));
	}
	closedir(dir);
}

static void remove_base(void)
{
	empty(base_fd);
	rmdir(base);
}

static void prepare(void)
{
	int shared;

	if (base_fd < 0) {
		snprintf(base, sizeof(base), "/tmp/fuzz-p9-XXXXXX");
		fz_check(mkdtemp(base));
		base_fd = open(base, O_RDONLY | O_DIRECTORY);
		fz_check(base_fd >= 0);
		make_file(base_fd, "canary", "canary");
		atexit(remove_base);
	} else {
		fz_check(!fchmodat(base_fd, "shared", 0700, 0));
		shared = openat(base_fd, "shared", O_RDONLY | O_DIRECTORY);
		fz_check(shared >= 0);
		empty(shared);
		fz_check(!unlinkat(base_fd, "shared", AT_REMOVEDIR));
	}
	fz_check(!mkdirat(base_fd, "shared", 0755));
	shared = openat(base_fd, "shared", O_RDONLY | O_DIRECTORY);
	fz_check(shared >= 0);
	make_file(shared, "a", "0123456789");
	fz_check(!mkdirat(shared, "d", 0755));
	make_file(shared, "d/b", "below");
	fz_check(!symlinkat("../canary", shared, "l") && !symlinkat("..", shared, "u"));
	close(shared);
}

/* Nothing beside the share came, went or changed. */
static void look_around(void)
{
	int fd = openat(base_fd, "canary", O_RDONLY), n = 0;
	DIR *dir = fdopendir(openat(base_fd, ".", O_RDONLY | O_DIRECTORY));
	char text[16] = "";
	struct stat st;

	fz_check(fd >= 0 && dir);
	fz_check(read(fd, text, sizeof(text)) == 6 && !memcmp(text, "canary", 6));
	fz_check(!fstat(fd, &st) && st.st_nlink == 1 && (st.st_mode & 07777) == 0644);
	close(fd);
	while (readdir(dir))
		n++;
	closedir(dir);
	fz_check(n == 4);
}

/* What the requests are made of: b w d q as in unit tests, f a fid, n a name, s text, z data. */
static const struct {
	u8 type;
	const char *format;
} requests[] = {
	{ P9_TVERSION, "Mv" },	  { P9_TATTACH, "fNnnd" },
	{ P9_TWALK, "ffW" },	  { P9_TWALK, "ffW" },
	{ P9_TCLUNK, "f" },	  { P9_TREMOVE, "f" },
	{ P9_TLOPEN, "fo" },	  { P9_TLOPEN, "fo" },
	{ P9_TLCREATE, "fnomd" }, { P9_TREAD, "fpc" },
	{ P9_TWRITE, "fpz" },	  { P9_TREADDIR, "fpc" },
	{ P9_TGETATTR, "fq" },	  { P9_TSETATTR, "fbmddppTpT" },
	{ P9_TSTATFS, "f" },	  { P9_TSYMLINK, "fnnd" },
	{ P9_TMKNOD, "fnkddd" },  { P9_TMKDIR, "fnmd" },
	{ P9_TRENAME, "ffn" },	  { P9_TRENAMEAT, "fnfn" },
	{ P9_TUNLINKAT, "fnr" },  { P9_TLINK, "ffn" },
	{ P9_TREADLINK, "f" },	  { P9_TFSYNC, "fd" },
	{ P9_TLOCK, "ftdppdn" },  { P9_TGETLOCK, "ftppdn" },
	{ P9_TXATTRWALK, "ffx" }, { P9_TXATTRCREATE, "fxSr" },
	{ P9_TFLUSH, "w" },	  { P9_TAUTH, "fnnd" },
};

static u8 *put_text(struct fz *f, u8 *p, bool attribute)
{
	static const char *const names[] = { "a",   "d", "b", "l",	   "u",	  "..",
					     "new", ".", "",  "../canary", "d/b", "/etc/passwd" };
	static const char *const attributes[] = { "user.a", "user.b", "", "trusted.x",
						  "security.y" };
	u8 how = fz_u8(f);
	size_t len;

	if (how & 0x80) {
		const u8 *bytes = fz_bytes(f, how & 31, &len);

		memcpy(p + 2, bytes, len);
	} else {
		const char *text = attribute ? attributes[how % ARRAY_SIZE(attributes)]
					     : names[how % ARRAY_SIZE(names)];

		len = strlen(text);
		memcpy(p + 2, text, len);
	}
	put_le(p, 2, len);
	return p + 2 + len;
}

static u8 *put_number(u8 *p, unsigned int width, u64 value)
{
	put_le(p, width, value);
	return p + width;
}

static u8 *put_walk(struct fz *f, u8 *p)
{
	u8 n = fz_u8(f) % 20;

	p = put_number(p, 2, n);
	for (u8 i = 0; i < n && i < 17; i++)
		p = put_text(f, p, false);
	return p;
}

static u8 *put_data(struct fz *f, u8 *p)
{
	size_t len;
	const u8 *bytes = fz_bytes(f, fz_u8(f), &len);

	put_le(p, 4, len);
	memcpy(p + 4, bytes, len);
	return p + 4 + len;
}

static u8 *put_field(struct fz *f, u8 *p, char what)
{
	static const u32 kinds[] = { S_IFREG | 0644, S_IFIFO | 0644, S_IFSOCK | 0644, 0644 };
	u8 how;

	switch (what) {
	case 'f':
		how = fz_u8(f);
		return put_number(p, 4, how == 255 ? P9_NO_FID : how % 8);
	case 'N':
		return put_number(p, 4, P9_NO_FID);
	case 'M':
		return put_number(p, 4, 4096 + 16u * fz_u8(f));
	case 'v':
		how = fz_u8(f);
		memcpy(p + 2, "9P2000.L", 8);
		put_le(p, 2, how & 0x80 ? 6 : 8);
		return p + (how & 0x80 ? 8 : 10);
	case 'n':
		return put_text(f, p, false);
	case 'x':
		return put_text(f, p, true);
	case 'W':
		return put_walk(f, p);
	case 'z':
		return put_data(f, p);
	case 'o': /* flags of open */
		return put_number(p, 4, fz_u32(f) & 0x3fffff);
	case 'm': /* a mode; in setattr after a byte, which it then fills up to the valid bits */
		return put_number(p, 4, 0400u | fz_u16(f));
	case 'k':
		return put_number(p, 4, kinds[fz_u8(f) % ARRAY_SIZE(kinds)]);
	case 'p': /* a position: small, or anything */
		how = fz_u8(f);
		return put_number(p, 8, how & 0x80 ? fz_u64(f) : how);
	case 'T':
		return put_number(p, 8, fz_u32(f));
	case 'c':
		return put_number(p, 4, fz_u16(f));
	case 'r':
		return put_number(p, 4, fz_u8(f) & 1 ? 0x200 : fz_u8(f) & 3);
	case 'S':
		return put_number(p, 8, fz_u8(f));
	case 't':
		return put_number(p, 1, fz_u8(f) % 4);
	case 'b':
		return put_number(p, 4, fz_u16(f) & 0x1ff);
	case 'w':
		return put_number(p, 2, fz_u8(f) % 4);
	case 'q':
		return put_number(p, 8, fz_u64(f));
	default:
		return put_number(p, 4, geteuid());
	}
}

static void own(struct fv *d, struct fz *f)
{
	u8 which = fz_u8(f) % ARRAY_SIZE(requests), how = fz_u8(f);
	u8 *message = d->v.ram + FV_DATA, *p = message + P9_HEADER;
	struct fv_buf bufs[3] = { { .gpa = FV_DATA },
				  { .gpa = ANSWER, .len = 0x1800, .in = true } };
	u32 n = 2;

	for (const char *what = requests[which].format; *what; what++)
		p = put_field(f, p, *what);
	put_le(message, 4, (u64)(p - message));
	message[4] = requests[which].type;
	put_le(message + 5, 2, how & 3);
	bufs[0].len = (u32)(p - message);
	if (how & 4)
		bufs[1].len = 1u + fz_u8(f);
	if (how & 8) /* cut in two, anywhere */
		bufs[n++] = (struct fv_buf){ .gpa = ANSWER + 0x1800,
					     .len = fz_u16(f) % 0x4000 + 1u,
					     .in = true };
	if (how & 16)
		put_le(message, 4, fz_u16(f));
	if (how & 32)
		message[fz_u8(f)] ^= fz_u8(f);
	fv_offer(d, 0, bufs, n);
	if (!(how & 0x80)) {
		fv_kick(d, 0);
		fz_pump(&d->v);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);
	u8 how = fz_u8(&f);
	struct share_config cfg = { .tag = (char *)"fuzz", .readonly = how & 2 };
	struct virtio_device *vdev;
	struct share *share;
	static struct fv d;
	char path[80];

	prepare();
	snprintf(path, sizeof(path), "%s/shared", base);
	cfg.path = path;
	fv_begin(&d, how);
	fz_check(!share_open(&cfg, 1, &share));
	/* Served at once: threads would make runs differ. */
	fz_check(!virtio_9p_new(&d.v.vm, share, 0, 0, &vdev));
	fv_run(&d, vdev, &f, own);
	share_close(share);
	look_around();
	return 0;
}
