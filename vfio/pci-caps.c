/* SPDX-License-Identifier: MIT */
/*
 * The chains of capabilities of a function that is passed through (PCI Local Bus 3.0, 6.7; PCI
 * Express 5.0, 7.6). Capabilities stay where the device has them, because drivers know registers
 * by their offsets; what the guest is not to see is taken out of the chain. A device may lie: a
 * chain that loops or leads out is cut off where it does.
 */
#include <string.h>

#include "lkvm/log.h"
#include "lkvm/util.h"
#include "pci.h"

/* As many as there is room for: each takes 4 bytes at least (8 of an extended one). */
#define MAX_CAPS     ((PCI_CFG_SPACE_SIZE - PCI_STD_HEADER_SIZEOF) / 4)
#define MAX_EXT_CAPS ((PCI_CFG_SPACE_EXP_SIZE - PCI_CFG_SPACE_SIZE) / 8)

/* Capabilities that the guest does not see, each with its reason. */
static const u8 hidden_caps[] = {
	PCI_CAP_ID_AGP,	   /* of a bus that is not there */
	PCI_CAP_ID_SLOTID, /* the chassis is the host's */
	PCI_CAP_ID_CHSWP,  /* nobody pulls it out of the guest */
	PCI_CAP_ID_HT,	   /* the host's fabric */
	PCI_CAP_ID_SHPC,   /* of bridges */
	PCI_CAP_ID_SECDEV, /* an IOMMU's registers */
	PCI_CAP_ID_EA,	   /* fixed addresses are the host's; the kernel has them in BARs */
};

/* Extended capabilities that the guest sees: what is not here concerns the host's fabric, or
 * resources that are given out by the host. */
static const u16 shown_ext_caps[] = {
	PCI_EXT_CAP_ID_ERR,   /* errors of the device; the kernel lets the guest's bits through */
	PCI_EXT_CAP_ID_DSN,   /* a name */
	PCI_EXT_CAP_ID_PWR,   /* read-only figures */
	PCI_EXT_CAP_ID_VNDR,  /* drivers look for it */
	PCI_EXT_CAP_ID_ATS,   /* read-only: the kernel runs it */
	PCI_EXT_CAP_ID_DPA,   /* power within D0 */
	PCI_EXT_CAP_ID_TPH,   /* hints in its own requests */
	PCI_EXT_CAP_ID_DVSEC, /* as VNDR */
	PCI_EXT_CAP_ID_DOE,   /* a mailbox of the device's firmware */
			      /*
			       * Hidden, among others: SR-IOV, MR-IOV (functions that only the host can make), ARI (other
			       * functions of the host's would be looked for), resizable BAR (sizes are as vfio found
			       * them), PASID and PRI (synthesized where they are of use), ACS, multicast, VC, MFVC (the
			       * fabric), LTR, L1SS, PTM, secondary PCIe, DPC, data link and physical layers (there is no
			       * link to bus 0).
			       */
};

static bool is_hidden(u8 id)
{
	return !id || memchr(hidden_caps, id, sizeof(hidden_caps));
}

static bool is_shown_ext(u16 id)
{
	for (size_t i = 0; i < ARRAY_SIZE(shown_ext_caps); i++)
		if (shown_ext_caps[i] == id)
			return true;
	return false;
}

/* How many bytes the capability at @at has at least. */
static u32 cap_len(const u8 *config, u8 id, u32 at)
{
	switch (id) {
	case PCI_CAP_ID_PM:
	case PCI_CAP_ID_VPD:
		return 8;
	case PCI_CAP_ID_MSI:
		return config[at + PCI_MSI_FLAGS] & PCI_MSI_FLAGS_64BIT ? 14 : 10;
	case PCI_CAP_ID_MSIX:
		return 12;
	case PCI_CAP_ID_EXP:
		/* Version 1 of an endpoint ends behind the link's registers. */
		return (config[at + PCI_EXP_FLAGS] & PCI_EXP_FLAGS_VERS) < 2 ? 20 : 60;
	case PCI_CAP_ID_AF:
		return 6;
	default:
		return 2;
	}
}

/* The one capability of its kind that has a place of its own; NULL: there may be many. */
static u8 *cap_place(struct vfio_pci *vp, u8 id)
{
	switch (id) {
	case PCI_CAP_ID_PM:
		return &vp->pm_cap;
	case PCI_CAP_ID_EXP:
		return &vp->exp_cap;
	case PCI_CAP_ID_AF:
		return &vp->af_cap;
	case PCI_CAP_ID_MSI:
		return &vp->msi_cap;
	case PCI_CAP_ID_MSIX:
		return &vp->msix_cap;
	default:
		return NULL;
	}
}

/*
 * On bus 0 there is no link: an endpoint is one that is integrated into the root complex, whose
 * link registers do not exist and read as zeroes (PCI Express 5.0, 7.5.3.2, 7.5.3.6).
 */
static void integrate(struct vfio_pci *vp)
{
	u32 at = vp->exp_cap;
	u8 *config = vp->pci.config;
	u32 flags = (u32)get_le(config + at + PCI_EXP_FLAGS, 2);
	u32 type = (flags & PCI_EXP_FLAGS_TYPE) >> 4;

	vfio_pci_emulate(vp, at + PCI_EXP_FLAGS, 2, 0);
	vfio_pci_emulate(vp, at + PCI_EXP_LNKCAP, 8, 0);
	memset(config + at + PCI_EXP_LNKCAP, 0, 8);
	if (cap_len(config, PCI_CAP_ID_EXP, at) > 20) {
		vfio_pci_emulate(vp, at + PCI_EXP_LNKCAP2, 8, 0);
		memset(config + at + PCI_EXP_LNKCAP2, 0, 8);
	}
	if (type == PCI_EXP_TYPE_ENDPOINT || type == PCI_EXP_TYPE_LEG_END)
		put_le(config + at + PCI_EXP_FLAGS, 2,
		       (flags & ~(u32)(PCI_EXP_FLAGS_TYPE | PCI_EXP_FLAGS_SLOT)) |
			       PCI_EXP_TYPE_RC_END << 4);
}

/* Is the capability one for the guest? If so, remember where it is. */
static bool take_cap(struct vfio_pci *vp, u8 id, u32 at)
{
	u8 *place = cap_place(vp, id);

	if (is_hidden(id) || (place && *place))
		return false;
	if (at + cap_len(vp->pci.config, id, at) > PCI_CFG_SPACE_SIZE) {
		warn("--vfio %s: hides capability 0x%x at 0x%x, which does not end",
		     vp->dev->name.id, id, at);
		return false;
	}
	if (place)
		*place = (u8)at;
	return true;
}

/* @last: where the link to the next one is. */
static void walk_caps(struct vfio_pci *vp)
{
	u8 *config = vp->pci.config;
	bool seen[PCI_CFG_SPACE_SIZE / 4] = { false };
	u32 at = config[PCI_CAPABILITY_LIST] & ~3u, last = PCI_CAPABILITY_LIST;

	config[last] = 0;
	for (u32 n = 0; at && n < MAX_CAPS; n++) {
		u8 id = config[at + PCI_CAP_LIST_ID];
		u32 next = config[at + PCI_CAP_LIST_NEXT] & ~3u;

		if (at < PCI_STD_HEADER_SIZEOF || seen[at / 4] || id == 0xff) {
			warn("--vfio %s: its capabilities end at 0x%x: the chain is broken",
			     vp->dev->name.id, at);
			break;
		}
		seen[at / 4] = true;
		vfio_pci_emulate(vp, at, 2, 0);
		if (take_cap(vp, id, at)) {
			config[last] = (u8)at;
			last = at + PCI_CAP_LIST_NEXT;
			config[last] = 0;
		}
		at = next;
	}
	if (last == PCI_CAPABILITY_LIST)
		config[PCI_STATUS] &= (u8)~PCI_STATUS_CAP_LIST;
}

/* Extended capabilities */

#define EXT_NEXT(header)	  ((header) >> 20 & 0xffc)
#define EXT_HEADER(id, ver, next) ((u32)(id) | (u32)(ver) << 16 | (u32)(next) << 20)

static void set_ext_next(u8 *header, u32 next)
{
	put_le(header, 4, (get_le(header, 4) & 0xfffff) | next << 20);
}

/*
 * The chain begins at its first place, whatever is there: when that is hidden, the place is one of
 * no capability (id 0, version 0), whose link counts (PCI Express 5.0, 7.6.2).
 */
static void walk_ext_caps(struct vfio_pci *vp)
{
	u8 *config = vp->pci.config;
	bool seen[PCI_CFG_SPACE_EXP_SIZE / 4] = { false };
	u32 at = PCI_CFG_SPACE_SIZE, last = at;

	for (u32 n = 0; at && n < MAX_EXT_CAPS; n++) {
		u32 header = (u32)get_le(config + at, 4), next = EXT_NEXT(header);
		u16 id = (u16)PCI_EXT_CAP_ID(header);

		if (at < PCI_CFG_SPACE_SIZE || seen[at / 4]) {
			warn("--vfio %s: its extended capabilities end at 0x%x: the chain is "
			     "broken",
			     vp->dev->name.id, at);
			break;
		}
		seen[at / 4] = true;
		if (header == 0xffffffff)
			next = 0;
		vfio_pci_emulate(vp, at, 4, 0);
		if (is_shown_ext(id)) {
			set_ext_next(config + at, 0);
			if (at != last)
				set_ext_next(config + last, at);
			last = at;
		} else {
			put_le(config + at, 4, 0);
		}
		at = next;
	}
}

void vfio_pci_caps_init(struct vfio_pci *vp)
{
	if (vp->pci.config[PCI_STATUS] & PCI_STATUS_CAP_LIST)
		walk_caps(vp);
	else
		vp->pci.config[PCI_CAPABILITY_LIST] = 0;
	if (vp->exp_cap)
		integrate(vp);
	if (vp->pci.config_size == PCI_CFG_SPACE_EXP_SIZE)
		walk_ext_caps(vp);
}

/* A room for more */

/* How many bytes an extended capability has. */
static u32 ext_cap_len(const u8 *config, u32 at)
{
	u32 word = (u32)get_le(config + at + 4, 4), len;

	switch (PCI_EXT_CAP_ID((u32)get_le(config + at, 4))) {
	case PCI_EXT_CAP_ID_ERR:
		len = 0x48;
		break;
	case PCI_EXT_CAP_ID_DSN:
		len = 12;
		break;
	case PCI_EXT_CAP_ID_PWR:
		len = 16;
		break;
	case PCI_EXT_CAP_ID_VNDR:
	case PCI_EXT_CAP_ID_DVSEC:
		len = word >> 20; /* they say it at the same place */
		break;
	case PCI_EXT_CAP_ID_DPA:
		len = 16 + 32;
		break;
	case PCI_EXT_CAP_ID_TPH:
		len = 12;
		if ((word & PCI_TPH_CAP_LOC_MASK) == PCI_TPH_LOC_CAP)
			len += 2 * (((word & PCI_TPH_CAP_ST_MASK) >> PCI_TPH_CAP_ST_SHIFT) + 1);
		break;
	case PCI_EXT_CAP_ID_DOE:
		len = 24;
		break;
	default:
		len = 8;
		break;
	}
	/* One that lies has its header all the same. */
	len = MAX(len, 8U);
	return MIN(len, PCI_CFG_SPACE_EXP_SIZE - at);
}

bool vfio_pci_ext_cap_covers(const struct vfio_pci *vp, u32 offset, u32 len)
{
	const u8 *config = vp->pci.config;

	for (u32 at = PCI_CFG_SPACE_SIZE; at; at = EXT_NEXT((u32)get_le(config + at, 4)))
		if (PCI_EXT_CAP_ID((u32)get_le(config + at, 4)) &&
		    ranges_overlap(offset, len, at, ext_cap_len(config, at)))
			return true;
	return false;
}

/* From the end down: what has registers of its own that nobody knows has them low. */
u32 vfio_pci_ext_cap_room(const struct vfio_pci *vp, u32 len)
{
	const u8 *config = vp->pci.config;

	if (vp->pci.config_size < PCI_CFG_SPACE_EXP_SIZE)
		return 0;
	for (u32 at = PCI_CFG_SPACE_EXP_SIZE - len; at > PCI_CFG_SPACE_SIZE; at -= 4) {
		bool empty = !vfio_pci_ext_cap_covers(vp, at, len);

		/* Nothing but zeroes. */
		for (u32 i = 0; i < len; i++)
			empty &= !config[at + i] && vp->emulated[at + i] != 0xff;
		if (empty)
			return at;
	}
	return 0;
}

/* At the first place there may be no capability, but a link to others. */
void vfio_pci_ext_cap_link(struct vfio_pci *vp, u32 offset, u32 len, u16 id, u8 version)
{
	u8 *config = vp->pci.config;
	u32 last = PCI_CFG_SPACE_SIZE, next = 0;

	if (offset == last)
		next = EXT_NEXT((u32)get_le(config + offset, 4));
	else
		for (u32 at = last; at; at = EXT_NEXT((u32)get_le(config + at, 4)))
			last = at;
	memset(config + offset, 0, len);
	put_le(config + offset, 4, EXT_HEADER(id, version, next));
	vfio_pci_emulate(vp, offset, len, 0);
	if (offset != last)
		set_ext_next(config + last, offset);
}
