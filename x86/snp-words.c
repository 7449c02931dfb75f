/* SPDX-License-Identifier: MIT */
/* Numbers of the firmware and of guests in words. */
#include "lkvm/types.h"
#include "snp.h"

/* Linux include/uapi/linux/psp-sev.h, sev_ret_code. */
static const char *const firmware_codes[] = {
	[0x01] = "INVALID_PLATFORM_STATE",
	[0x02] = "INVALID_GUEST_STATE",
	[0x03] = "INVALID_CONFIG",
	[0x04] = "INVALID_LEN",
	[0x05] = "ALREADY_OWNED",
	[0x06] = "INVALID_CERTIFICATE",
	[0x07] = "POLICY_FAILURE",
	[0x08] = "INACTIVE",
	[0x09] = "INVALID_ADDRESS",
	[0x0a] = "BAD_SIGNATURE",
	[0x0b] = "BAD_MEASUREMENT",
	[0x0c] = "ASID_OWNED",
	[0x0d] = "INVALID_ASID",
	[0x0e] = "WBINVD_REQUIRED",
	[0x0f] = "DFFLUSH_REQUIRED",
	[0x10] = "INVALID_GUEST",
	[0x11] = "INVALID_COMMAND",
	[0x12] = "ACTIVE",
	[0x13] = "HWSEV_RET_PLATFORM",
	[0x14] = "HWSEV_RET_UNSAFE",
	[0x15] = "UNSUPPORTED",
	[0x16] = "INVALID_PARAM",
	[0x17] = "RESOURCE_LIMIT",
	[0x18] = "SECURE_DATA_INVALID",
	[0x19] = "INVALID_PAGE_SIZE",
	[0x1a] = "INVALID_PAGE_STATE",
	[0x1b] = "INVALID_MDATA_ENTRY",
	[0x1c] = "INVALID_PAGE_OWNER",
	[0x1d] = "AEAD_OFLOW",
	[0x1f] = "EXIT_RING_BUFFER",
	[0x20] = "RMP_INIT_REQUIRED",
	[0x21] = "BAD_SVN",
	[0x22] = "BAD_VERSION",
	[0x23] = "SHUTDOWN_REQUIRED",
	[0x24] = "UPDATE_FAILED",
	[0x25] = "RESTORE_REQUIRED",
	[0x26] = "RMP_INITIALIZATION_FAILED",
	[0x27] = "INVALID_KEY",
};

const char *x86_snp_firmware_text(u32 code)
{
	return code < ARRAY_SIZE(firmware_codes) ? firmware_codes[code] : NULL;
}

/* GHCB specification 56421, table 8; set 1 is Linux's (arch/x86/include/asm/sev-common.h). */
static const char *const general_reasons[] = {
	"without saying why",
	"the host does not speak its version of the GHCB protocol",
	"a feature of SNP that it needs is missing, or one that it does not know is on",
};
static const char *const linux_reasons[] = {
	"the host did not let it register its GHCB",
	"a change of a page's state failed",
	"PVALIDATE failed: a page of its memory is not as the host said, or was given twice",
	"it does not run at VMPL0",
	"its CPUID table is wrong",
	"CPUID was asked of the host, which may not be",
	"its secrets page is wrong",
	"there is no calling area of an SVSM",
	"an SVSM gave its calling area a wrong address",
	"an SVSM refused the calling area",
	"Secure TSC could not be set up",
	"an SVSM's calling area could not be moved",
	"Secure AVIC could not be set up",
};

const char *x86_snp_term_text(u32 set, u32 code)
{
	if (set == 0 && code < ARRAY_SIZE(general_reasons))
		return general_reasons[code];
	if (set == 1 && code < ARRAY_SIZE(linux_reasons))
		return linux_reasons[code];
	return NULL;
}
