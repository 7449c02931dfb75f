/* SPDX-License-Identifier: MIT */
/*
 * The launch of an SNP guest: KVM_MEMORY_ENCRYPT_OP, in the order that the kernel and the firmware
 * want (Linux arch/x86/kvm/svm/sev.c; Documentation/virt/kvm/x86/amd-memory-encryption.rst).
 */
#include <kvm-snp.h>
#include <linux/kvm_para.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "lkvm/coco.h"
#include "lkvm/config-snp.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/plan.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "platform.h"
#include "snp.h"
#include "x86.h"

/* The firmware takes a page at a time, and signals wait for so long. */
#define CHUNK (64 * BOOT_PAGE)
/* KVM says EIO whatever kept it from the first page, an interruption too; nothing is lost then. */
#define MAX_STALLS 4

/* KVM's when the firmware was not called (SEV_RET_NO_FW_CALL). */
#define NO_FIRMWARE_CALL   0xffffffffU
#define FW_POLICY_FAILURE  0x07U
#define FW_BAD_SIGNATURE   0x0aU
#define FW_BAD_MEASUREMENT 0x0bU
#define FW_INVALID_PARAM   0x16U
#define FW_RESOURCE_LIMIT  0x17U

int x86_snp_command(const struct vm *vm, u32 id, void *data, u32 *fw)
{
	const struct x86_snp_files *files = vm->coco_opened;
	struct lkvm_sev_cmd cmd = {
		.id = id,
		.data = (uintptr_t)data,
		.sev_fd = (u32)files->sev_fd,
	};
	int ret = xioctl(vm->kvm.vm_fd, KVM_MEMORY_ENCRYPT_OP, &cmd);

	*fw = cmd.error == NO_FIRMWARE_CALL ? 0 : cmd.error;
	return MIN(ret, 0);
}

/* Why, at the end of a message. To be freed. */
static char *reason(int error, u32 fw)
{
	const char *name = fw ? x86_snp_firmware_text(fw) : NULL;

	if (!fw)
		return xstrdup(strerror(-error));
	return xasprintf("the firmware refuses: %s (0x%x)", name ? name : "unknown error", fw);
}

/* What in the policy a host like this one may not keep. To be freed. */
static char *likely_bits(const struct vm *vm)
{
	const struct x86_snp_files *files = vm->coco_opened;
	u64 policy = vm->cfg->x86.snp.policy, rest;
	char *text = xstrdup(""), *names;

	if (!(policy & SNP_POLICY_SMT) && files->smt)
		xappendf(&text, "; SMT is on in this host, and -smt forbids it");
	if (policy & SNP_POLICY_SINGLE && files->sockets)
		xappendf(&text, "; this host has several sockets, and +single-socket wants one");
	if (!(policy & SNP_POLICY_CXL) && files->cxl)
		xappendf(&text, "; this host has CXL, and without +cxl-allow the guest may not");
	if (policy & (SNP_POLICY_ABI_MAJOR | SNP_POLICY_ABI_MINOR))
		xappendf(&text, "; its firmware may be older than ABI %llu.%llu",
			 policy >> 8 & 0xff, policy & 0xff);
	rest = policy & ~(SNP_POLICY_ABI_MAJOR | SNP_POLICY_ABI_MINOR | SNP_POLICY_SMT |
			  SNP_POLICY_MUST_BE_ONE | SNP_POLICY_SINGLE);
	names = x86_snp_bit_names(rest, false);
	if (rest)
		xappendf(&text, "; it may not have what these ask for: %s", names);
	free(names);
	return text;
}

static int failed(const struct vm *vm, const char *what, int error, u32 fw)
{
	char *why = reason(error, fw);
	char *bits = fw == FW_POLICY_FAILURE ? likely_bits(vm) : xstrdup("");

	err("--snp: %s: %s%s", what, why, bits);
	free(bits);
	free(why);
	return error;
}

/* Before any vcpu */

static int init_failed(const struct vm *vm, int error, u32 fw)
{
	char *names = x86_snp_bit_names(vm->cfg->x86.snp.features, true);

	if (error == -EBUSY)
		err("--snp: no ASID is left for another guest; end one, or have more SEV-ES ASIDs "
		    "(firmware setup: SEV-ES ASID space limit); 'lkvm host' shows them");
	else if (error == -EINVAL && vm->cfg->x86.snp.features)
		err("--snp: KVM does not take these features: %s; omit some", names);
	else if (error == -ENOTTY)
		err("--snp: SEV-SNP is off in this host's KVM; load kvm_amd with sev_snp=1");
	else
		failed(vm, "KVM_SEV_INIT2", error, fw);
	free(names);
	return error;
}

static int init2(struct vm *vm)
{
	struct lkvm_sev_init init = { .vmsa_features = vm->cfg->x86.snp.features };
	u32 fw;
	int ret = x86_snp_command(vm, LKVM_SEV_INIT2, &init, &fw);

	return ret ? init_failed(vm, ret, fw) : 0;
}

static int enable_certs(struct vm *vm)
{
	u32 fw;
	int ret = x86_snp_command(vm, LKVM_SEV_SNP_ENABLE_REQ_CERTS, NULL, &fw);

	return ret ? failed(vm, "KVM_SEV_SNP_ENABLE_REQ_CERTS", ret, fw) : 0;
}

static void say_host_limit(const struct x86_snp_files *files)
{
	warn("--snp-guest-requests: has no effect: on this host all guests together have %llu "
	     "thousand requests a second (kvm_amd.sev_snp_request_ratelimit_khz)",
	     files->host_khz);
}

/*
 * A limit that the kernel keeps, where it can: only a KVM that does not know of the certificates
 * has the number of their command for that.
 */
static int limit_requests(struct vm *vm, bool certs)
{
	const struct x86_snp_config *cfg = &vm->cfg->x86.snp;
	const struct x86_snp_files *files = vm->coco_opened;
	struct lkvm_sev_snp_throttle rate = { cfg->request_interval_ms, cfg->request_burst };
	u32 fw;

	if (!certs && !x86_snp_command(vm, LKVM_SEV_SNP_SET_REQUEST_THROTTLE_RATE, &rate, &fw)) {
		info("the kernel limits the guest's requests (--snp-guest-requests)");
		return 0;
	}
	if (files->host_khz) {
		say_host_limit(files);
		return 0;
	}
	if (!certs) {
		err("--snp-guest-requests: this host's KVM can neither limit a guest's requests "
		    "nor "
		    "pass them to lkvm; that needs Linux 7.3, or the patch that adds the limit; "
		    "omit it");
		return -EOPNOTSUPP;
	}
	info("--snp-guest-requests: lkvm limits extended requests (reports with certificates); "
	     "this host's KVM has no limit for plain ones");
	x86_snp_throttle_init(&vm->arch->snp->throttle, cfg->request_interval_ms,
			      cfg->request_burst);
	return 1;
}

/* Exits for extended requests: for certificates, or to limit them. */
static int init_requests(struct vm *vm)
{
	const struct x86_snp_config *cfg = &vm->cfg->x86.snp;
	bool certs, wanted = cfg->certs;
	u64 value;
	int ret = 0;

	if (!wanted && !cfg->request_interval_ms)
		return 0;
	/* Whatever its value: who has the attribute gives the number that meaning. */
	certs = x86_snp_attr(&vm->kvm, KVM_X86_SEV_SNP_REQ_CERTS, &value);
	if (wanted && !(certs && value)) {
		err("--snp-certs: this host's KVM does not ask for certificates; that is new in "
		    "Linux 7.3; omit it");
		return -EOPNOTSUPP;
	}
	if (cfg->request_interval_ms)
		ret = limit_requests(vm, certs);
	if (ret < 0)
		return ret;
	return wanted || ret ? enable_certs(vm) : 0;
}

int x86_snp_init(struct vm *vm)
{
	/* Without it no change of a page's state is heard of. */
	int ret = kvm_enable_cap(&vm->kvm, KVM_CAP_EXIT_HYPERCALL, BIT(KVM_HC_MAP_GPA_RANGE));

	if (ret) {
		err("--snp: KVM_CAP_EXIT_HYPERCALL: %s", strerror(-ret));
		return ret;
	}
	vm->arch->snp = xcalloc(1, sizeof(*vm->arch->snp));
	vm->arch->snp->files = vm->coco_opened;
	pthread_mutex_init(&vm->arch->snp->certs_lock, NULL);
	ret = init2(vm);
	return ret ? ret : init_requests(vm);
}

/* Pages */

static int start(struct vm *vm)
{
	struct lkvm_sev_snp_launch_start s = { .policy = vm->cfg->x86.snp.policy };
	char *names;
	u32 fw;
	int ret;

	if (vm->arch->snp->started)
		return 0;
	ret = x86_snp_command(vm, LKVM_SEV_SNP_LAUNCH_START, &s, &fw);
	vm->arch->snp->started = !ret;
	if (ret != -EINVAL || fw)
		return ret ? failed(vm, "LAUNCH_START", ret, fw) : 0;
	names = x86_snp_bit_names(
		s.policy & ~(SNP_POLICY_ABI_MAJOR | SNP_POLICY_ABI_MINOR | SNP_POLICY_MUST_BE_ONE),
		false);
	err("--snp: KVM does not take the policy 0x%llx, whose bits are: %s", s.policy, names);
	free(names);
	return ret;
}

enum snp_page_type x86_snp_page_type(const struct boot_run *run)
{
	switch (run->kind) {
	case BOOT_CPUID:
		return SNP_PAGE_CPUID;
	case BOOT_SECRETS:
		return SNP_PAGE_SECRETS;
	case BOOT_ZERO:
		return SNP_PAGE_ZERO;
	default:
		return run->measured ? SNP_PAGE_NORMAL : SNP_PAGE_UNMEASURED;
	}
}

/* A signal that is pending would end it at the first page. */
static int update_once(struct vm *vm, struct lkvm_sev_snp_launch_update *u, u32 *fw)
{
	sigset_t all, before;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &before);
	ret = x86_snp_command(vm, LKVM_SEV_SNP_LAUNCH_UPDATE, u, fw);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return ret;
}

/* @buf NULL: zeroes that the firmware makes. KVM may do a part and says how far it came. */
static int update(struct vm *vm, u64 gpa, void *buf, u64 len, enum snp_page_type type, u32 *fw)
{
	struct lkvm_sev_snp_launch_update u = {
		.gfn_start = gpa / BOOT_PAGE,
		.uaddr = (uintptr_t)buf,
		.len = len,
		.type = (u8)type,
	};
	u32 stalls = 0;

	while (u.len) {
		u64 before = u.len;
		int ret = update_once(vm, &u, fw);

		if (ret && ((ret != -EIO && ret != -EAGAIN) || *fw))
			return ret;
		stalls = u.len < before ? 0 : stalls + 1;
		if (stalls > MAX_STALLS)
			return ret ? ret : -EIO;
	}
	return 0;
}

static int update_failed(const struct vm *vm, const struct boot_run *run, u64 gpa, int error,
			 u32 fw)
{
	char *what =
		xasprintf("LAUNCH_UPDATE of %s pages (%s) at 0x%llx",
			  snp_page_name(x86_snp_page_type(run)), boot_kind_name(run->kind), gpa);

	failed(vm, what, error, fw);
	free(what);
	return error;
}

static int place_bytes(struct vm *vm, const struct boot_plan *plan, const struct boot_run *run,
		       u8 *buf)
{
	u32 fw = 0;
	int ret = 0;

	for (u64 at = 0; at < run->len && !ret; at += CHUNK) {
		u64 len = MIN(run->len - at, (u64)CHUNK);

		ret = boot_plan_read(plan, run->gpa + at, buf, len);
		if (ret)
			return ret;
		ret = update(vm, run->gpa + at, buf, len, x86_snp_page_type(run), &fw);
		if (ret)
			update_failed(vm, run, run->gpa + at, ret, fw);
	}
	return ret;
}

/* KVM puts what the firmware would take into @page. */
static int place_corrected(struct vm *vm, const struct boot_run *run,
			   const struct snp_cpuid_page *asked, struct snp_cpuid_page *page,
			   int error)
{
	u32 fw = 0;
	int ret;

	x86_snp_cpuid_differs(asked, page);
	if (!vm->cfg->x86.snp.cpuid_fix) {
		err("--snp: the firmware does not believe the guest's CPUID; change it by --cpu, "
		    "or "
		    "take the corrections: --snp cpuid-fix");
		return error;
	}
	ret = update(vm, run->gpa, page, run->len, SNP_PAGE_CPUID, &fw);
	return ret ? update_failed(vm, run, run->gpa, ret, fw) : 0;
}

static int place_cpuid(struct vm *vm, const struct boot_run *run, struct snp_cpuid_page *page)
{
	struct snp_cpuid_page asked;
	struct kvm_cpuid2 *cpuid;
	u32 fw = 0;
	int ret = x86_vcpu_cpuid(vm->vcpus[0], &cpuid);

	if (ret)
		return ret;
	ret = x86_snp_cpuid_page(cpuid, page);
	free(cpuid);
	if (ret)
		return ret;
	asked = *page;
	ret = update(vm, run->gpa, page, run->len, SNP_PAGE_CPUID, &fw);
	if (ret && fw == FW_INVALID_PARAM && memcmp(&asked, page, sizeof(asked)) != 0)
		return place_corrected(vm, run, &asked, page, ret);
	return ret ? update_failed(vm, run, run->gpa, ret, fw) : 0;
}

int x86_snp_place(struct vm *vm, const struct boot_plan *plan, const struct boot_run *run)
{
	u32 fw = 0;
	u8 *buf;
	int ret = start(vm);

	if (ret)
		return ret;
	if (run->kind == BOOT_ZERO) {
		ret = update(vm, run->gpa, NULL, run->len, SNP_PAGE_ZERO, &fw);
		return ret ? update_failed(vm, run, run->gpa, ret, fw) : 0;
	}
	buf = aligned_alloc(BOOT_PAGE, CHUNK);
	if (!buf)
		return -ENOMEM;
	if (run->kind == BOOT_CPUID)
		ret = place_cpuid(vm, run, (struct snp_cpuid_page *)buf);
	else
		ret = place_bytes(vm, plan, run, buf);
	free(buf);
	return ret;
}

/* The end */

static int finish_failed(const struct vm *vm, int error, u32 fw)
{
	switch (fw) {
	case FW_BAD_MEASUREMENT:
		err("--snp: LAUNCH_FINISH: what was launched is not what --snp-id-block names; "
		    "'lkvm measure' with the same words says what it is");
		break;
	case FW_BAD_SIGNATURE:
		err("--snp: LAUNCH_FINISH: a signature in --snp-id-auth is not by its key, or not "
		    "of "
		    "this --snp-id-block");
		break;
	default:
		failed(vm, "LAUNCH_FINISH", error, fw);
	}
	return error;
}

/* The VMSAs are measured first, so this cannot be tried again. */
int x86_snp_finish(struct vm *vm)
{
	const struct x86_snp_files *files = vm->coco_opened;
	const char *host_data = vm->cfg->x86.snp.host_data;
	struct lkvm_sev_snp_launch_finish f = { 0 };
	u32 fw;
	int ret;

	if (host_data && x86_snp_host_data(host_data, f.host_data))
		return -EINVAL;
	if (files->has_id) {
		f.id_block_en = 1;
		f.auth_key_en = files->auth.has_author_key;
		f.id_block_uaddr = (uintptr_t)files->id_block;
		f.id_auth_uaddr = (uintptr_t)files->id_auth;
	}
	ret = x86_snp_command(vm, LKVM_SEV_SNP_LAUNCH_FINISH, &f, &fw);
	return ret ? finish_failed(vm, ret, fw) : 0;
}
