/* SPDX-License-Identifier: MIT */
/*
 * Certificates for a guest that asks for an attestation report (GHCB specification 56421, 4.1.8.1):
 * the table of --snp-certs as it is when the guest asks. Whoever replaces its contents holds a
 * write lock (F_OFD_SETLK) meanwhile; here a read lock is held until the firmware has had the
 * request, so that report and certificates belong together (Linux Documentation/virt/kvm/api.rst,
 * KVM_EXIT_SNP_REQ_CERTS).
 */
#include <fcntl.h>
#include <kvm-snp.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/memory.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "snp.h"
#include "x86.h"

#define ENTRY	   24U /* GUID, offset, length */
#define GUEST_PAGE (4 * KiB)

const char *x86_snp_certs_wrong(const u8 *table, u64 len)
{
	static const u8 end[ENTRY];
	u64 first = len;

	if (len > SNP_CERTS_MAX)
		return "it has more than 256K";
	for (u64 at = 0; len - at >= ENTRY; at += ENTRY) {
		u64 offset = get_le(table + at + 16, 4), size = get_le(table + at + 20, 4);

		if (!memcmp(table + at, end, ENTRY))
			return first < at + ENTRY ? "a certificate lies in the table" : NULL;
		if (!range_within(offset, size, 0, len))
			return "a certificate reaches beyond the end";
		first = MIN(first, offset);
	}
	return "there is no entry of zeroes at its end";
}

void x86_snp_throttle_init(struct x86_snp_throttle *t, u32 interval_ms, u32 burst)
{
	u64 interval_ns = interval_ms * 1000000ULL;

	t->cost_ns = MAX(interval_ns / burst, 1ULL);
	t->credit_ns = t->cost_ns * (burst - 1);
	t->paid_ns = 0;
}

bool x86_snp_throttle_take(struct x86_snp_throttle *t, u64 now_ns)
{
	if (!t->cost_ns)
		return true;
	if (t->paid_ns > now_ns && t->paid_ns - now_ns > t->credit_ns)
		return false;
	t->paid_ns = MAX(t->paid_ns, now_ns) + t->cost_ns;
	return true;
}

static int set_lock(int fd, short type)
{
	struct flock lock = { .l_type = type, .l_whence = SEEK_SET };

	return fcntl(fd, F_OFD_SETLK, &lock) < 0 ? -errno : 0;
}

/* The file as it is now, in *table, which the caller frees; 0 or -errno (said). */
static int read_table(int fd, u8 **table, u64 *len)
{
	const char *wrong;
	struct stat st;
	int ret = fstat(fd, &st) < 0 ? -errno : 0;

	*table = NULL;
	*len = 0;
	if (!ret && st.st_size > (off_t)SNP_CERTS_MAX)
		ret = -EFBIG;
	if (!ret) {
		*len = (u64)st.st_size;
		*table = xcalloc(1, *len + 1);
		ret = pread_full(fd, *table, *len, 0);
	}
	if (ret) {
		guest_warn("--snp-certs: cannot read: %s", strerror(-ret));
		return ret;
	}
	wrong = x86_snp_certs_wrong(*table, *len);
	if (wrong)
		guest_warn("--snp-certs: is no table of certificates any more: %s", wrong);
	return wrong ? -EINVAL : 0;
}

/* What the guest is answered: 0, ENOSPC or EIO. */
static u64 give(struct vcpu *vcpu, struct lkvm_exit_snp_req_certs *exit, const u8 *table, u64 len)
{
	u64 pages = ALIGN_UP(len, GUEST_PAGE) / GUEST_PAGE;

	if (exit->npages < pages) {
		exit->npages = pages;
		return ENOSPC;
	}
	if (memory_write(&vcpu->vm->mem, exit->gpa, table, len)) {
		guest_warn("vcpu %u: the guest wants certificates at 0x%llx, which is not memory "
			   "that it shares",
			   vcpu->id, exit->gpa);
		return EIO;
	}
	return 0;
}

/*
 * KVM goes on with the request when it is entered again, and comes back at once. (Whoever pauses
 * the VM sets immediate_exit too, after vm->running: see run_vcpu.)
 */
static void complete(struct vcpu *vcpu)
{
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	if (ioctl(vcpu->fd, KVM_RUN, 0) < 0 && errno != EINTR)
		debug("vcpu %u: a guest request: KVM_RUN: %s", vcpu->id, strerror(errno));
	__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	if (!atomic_load(&vcpu->vm->running))
		__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
}

/* Without --snp-certs the exit is there for the limit alone, and the table is empty. */
static u64 answer(struct vcpu *vcpu, struct lkvm_exit_snp_req_certs *exit, bool *locked)
{
	struct x86_snp *snp = vcpu->vm->arch->snp;
	u8 empty[ENTRY] = { 0 }, *table;
	u64 len, ret = EIO;

	if (!x86_snp_throttle_take(&snp->throttle, now_ns()))
		return EAGAIN;
	if (snp->files->certs_fd < 0)
		return give(vcpu, exit, empty, sizeof(empty));
	*locked = !set_lock(snp->files->certs_fd, F_RDLCK);
	if (!*locked)
		return EAGAIN;
	if (!read_table(snp->files->certs_fd, &table, &len))
		ret = give(vcpu, exit, table, len);
	free(table);
	return ret;
}

void x86_snp_request_certs(struct vcpu *vcpu)
{
	struct lkvm_exit_snp_req_certs *exit = (void *)&vcpu->run->hw;
	struct x86_snp *snp = vcpu->vm->arch->snp;
	bool locked = false;

	pthread_mutex_lock(&snp->certs_lock);
	exit->ret = answer(vcpu, exit, &locked);
	if (locked) {
		complete(vcpu);
		set_lock(snp->files->certs_fd, F_UNLCK);
	}
	pthread_mutex_unlock(&snp->certs_lock);
}
