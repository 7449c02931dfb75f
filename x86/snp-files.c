/* SPDX-License-Identifier: MIT */
/* What an SNP guest needs by name: the firmware's device, ID block, certificates, and what the host
 * says of itself. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lkvm/access.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/scan.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"
#include "snp.h"

#define SEV_NODE "/dev/sev"

int x86_snp_check_sev(const struct x86_snp_files *files)
{
	char why[ACCESS_WHY_LEN];
	int error = files->sev_error;

	if (!error)
		return 0;
	if (error == EACCES || error == EPERM)
		err("--snp: %s: permission denied: %s", SEV_NODE,
		    access_why("", NULL, SEV_NODE, R_OK | W_OK, error, why, sizeof(why)));
	else if (error == ENOENT)
		err("--snp: %s: no such device; load the module ccp (of CONFIG_CRYPTO_DEV_SP_PSP); "
		    "a container must be given the device",
		    SEV_NODE);
	else
		err("--snp: %s: cannot open: %s%s", SEV_NODE, strerror(error), limit_hint(error));
	return -error;
}

static int open_file(const char *option, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int ret = fd < 0 ? -errno : 0;
	struct stat st;

	if (!ret && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))) {
		err("%s %s: is not a regular file", option, path);
		close(fd);
		return -EINVAL;
	}
	if (ret)
		err("%s %s: cannot open: %s%s", option, path, strerror(-ret), limit_hint(ret));
	return ret ? ret : fd;
}

/* All of it, which must have @size bytes. */
static int read_file(const char *option, const char *path, void *buf, u64 size)
{
	int fd = open_file(option, path), ret;
	struct stat st = { 0 };

	if (fd < 0)
		return fd;
	ret = fstat(fd, &st) < 0 ? -errno : 0;
	if (!ret && (u64)st.st_size != size) {
		err("%s %s: has %llu bytes; it must have %llu", option, path, (u64)st.st_size,
		    size);
		close(fd);
		return -EINVAL;
	}
	if (!ret)
		ret = pread_full(fd, buf, size, 0);
	if (ret)
		err("%s %s: cannot read: %s", option, path, strerror(-ret));
	close(fd);
	return ret;
}

static int policy_differs(const struct vm_config *cfg, u64 policy)
{
	u64 own = cfg->x86.snp.policy;

	if (policy == own)
		return 0;
	err("--snp-id-block %s: is for a guest with the policy 0x%llx, and this one has 0x%llx; "
	    "the firmware would refuse it: use --snp policy=0x%llx",
	    cfg->x86.snp.id_block, policy, own, policy);
	return -EINVAL;
}

static int read_id(const struct vm_config *cfg, struct x86_snp_files *files)
{
	const struct x86_snp_config *snp = &cfg->x86.snp;
	const char *why;
	int ret;

	if (!snp->id_block)
		return 0;
	ret = read_file("--snp-id-block", snp->id_block, files->id_block, SNP_ID_BLOCK_SIZE);
	if (!ret)
		ret = read_file("--snp-id-auth", snp->id_auth, files->id_auth, SNP_ID_AUTH_SIZE);
	if (ret)
		return ret;
	if (snp_id_block_parse(files->id_block, &files->block, &why)) {
		err("--snp-id-block %s: %s", snp->id_block, why);
		return -EINVAL;
	}
	if (snp_id_auth_parse(files->id_auth, &files->auth, &why)) {
		err("--snp-id-auth %s: %s", snp->id_auth, why);
		return -EINVAL;
	}
	files->has_id = true;
	return policy_differs(cfg, files->block.policy);
}

/* What is wrong with the file now is said now; it is read again at each request. */
static int open_certs(const char *path, struct x86_snp_files *files)
{
	struct stat st = { 0 };
	const char *wrong = NULL;
	u8 *table;
	int ret = 0;

	files->certs_fd = open_file("--snp-certs", path);
	if (files->certs_fd < 0)
		return files->certs_fd;
	if (fstat(files->certs_fd, &st) < 0)
		ret = -errno;
	table = xcalloc(1, SNP_CERTS_MAX);
	if (!ret && st.st_size <= (off_t)SNP_CERTS_MAX)
		ret = pread_full(files->certs_fd, table, (size_t)st.st_size, 0);
	if (ret)
		err("--snp-certs %s: cannot read: %s", path, strerror(-ret));
	else if ((wrong = x86_snp_certs_wrong(table, (u64)st.st_size)))
		err("--snp-certs %s: is not a table of certificates as the GHCB specification has "
		    "it: %s",
		    path, wrong);
	free(table);
	return ret ? ret : wrong ? -EINVAL : 0;
}

/* For the message of a firmware that refuses; what cannot be read is not told. */
static void look_at_host(struct x86_snp_files *files)
{
	long last = sysconf(_SC_NPROCESSORS_CONF) - 1;
	s64 n;
	char *path = xasprintf("/sys/devices/system/cpu/cpu%ld/topology/physical_package_id", last);

	files->smt = !read_number("/sys/devices/system/cpu/smt/active", &n) && n == 1;
	files->sockets = !read_number(path, &n) && n > 0;
	files->cxl = !access("/sys/bus/cxl/devices/root0", F_OK);
	free(path);
	if (!read_number("/sys/module/kvm_amd/parameters/sev_snp_request_ratelimit_khz", &n) &&
	    n > 0)
		files->host_khz = (u64)n;
}

int x86_snp_open(const struct vm_config *cfg, bool described, struct x86_snp_files **out)
{
	struct x86_snp_files *files = xcalloc(1, sizeof(*files));
	int ret;

	files->sev_fd = -1;
	files->certs_fd = -1;
	ret = read_id(cfg, files);
	if (!ret && cfg->x86.snp.certs)
		ret = open_certs(cfg->x86.snp.certs, files);
	if (!ret && !described) {
		files->sev_fd = open(SEV_NODE, O_RDWR | O_CLOEXEC);
		files->sev_error = files->sev_fd < 0 ? errno : 0;
		look_at_host(files);
	}
	if (ret) {
		x86_snp_close(files);
		files = NULL;
	}
	*out = files;
	return ret;
}

void x86_snp_close(struct x86_snp_files *files)
{
	if (!files)
		return;
	if (files->sev_fd >= 0)
		close(files->sev_fd);
	if (files->certs_fd >= 0)
		close(files->certs_fd);
	free(files);
}
