/* SPDX-License-Identifier: MIT */
/*
 * What the kernel headers of older distributions lack of VFIO, and iommufd's ABI, of which they
 * have no header at all (Linux include/uapi/linux/vfio.h and iommufd.h, 7.3). Structures of ioctls
 * have names of their own, so that this goes with any headers.
 */
#ifndef LKVM_UAPI_VFIO_ABI_H
#define LKVM_UAPI_VFIO_ABI_H

#include <linux/ioctl.h>
#include <linux/types.h>
#include <linux/vfio.h>

/* KVM's device of type KVM_DEV_TYPE_VFIO: KVM_DEV_VFIO_FILE, once called GROUP. */
#ifndef KVM_DEV_VFIO_FILE
#define KVM_DEV_VFIO_FILE     1
#define KVM_DEV_VFIO_FILE_ADD 1
#define KVM_DEV_VFIO_FILE_DEL 2
#endif

/* VFIO_DEVICE_GET_PCI_HOT_RESET_INFO of a device that iommufd has: what depends on it is told by
 * ids, and whether all of it is the caller's (then VFIO_DEVICE_PCI_HOT_RESET takes no groups). */
#ifndef VFIO_PCI_HOT_RESET_FLAG_DEV_ID
#define VFIO_PCI_HOT_RESET_FLAG_DEV_ID	     (1U << 0)
#define VFIO_PCI_HOT_RESET_FLAG_DEV_ID_OWNED (1U << 1)
#define VFIO_PCI_DEVID_NOT_OWNED	     (-1)
#endif

/* VFIO, on a device's character device */

#define VFIO_ABI_BIND_IOMMUFD	      _IO(VFIO_TYPE, VFIO_BASE + 18)
#define VFIO_ABI_ATTACH_IOMMUFD_PT    _IO(VFIO_TYPE, VFIO_BASE + 19)
#define VFIO_ABI_DETACH_IOMMUFD_PT    _IO(VFIO_TYPE, VFIO_BASE + 20)
#define VFIO_ABI_MIG_GET_PRECOPY_INFO _IO(VFIO_TYPE, VFIO_BASE + 21)

struct vfio_abi_bind_iommufd {
	__u32 argsz, flags;
	__s32 iommufd;
	__u32 out_devid;
};

#define VFIO_ABI_PT_PASID (1U << 0)

/* Without @pasid (12 bytes) where there is none: kernels before 6.15 know no more. */
struct vfio_abi_attach_pt {
	__u32 argsz, flags, pt_id, pasid;
};

struct vfio_abi_detach_pt {
	__u32 argsz, flags, pasid;
};

/* VFIO_DEVICE_FEATURE: numbers, and what goes with them */

#define VFIO_ABI_FEATURE_MIGRATION	    1
#define VFIO_ABI_FEATURE_MIG_STATE	    2
#define VFIO_ABI_FEATURE_LOW_POWER	    3
#define VFIO_ABI_FEATURE_LOW_POWER_WAKEUP   4
#define VFIO_ABI_FEATURE_DMA_LOGGING_START  6
#define VFIO_ABI_FEATURE_DMA_LOGGING_STOP   7
#define VFIO_ABI_FEATURE_DMA_LOGGING_REPORT 8
#define VFIO_ABI_FEATURE_MIG_DATA_SIZE	    9
#define VFIO_ABI_FEATURE_DMA_BUF	    11
#define VFIO_ABI_FEATURE_MIG_PRECOPY_INFOv2 12

#define VFIO_ABI_MIG_STOP_COPY (1ULL << 0)
#define VFIO_ABI_MIG_P2P       (1ULL << 1)
#define VFIO_ABI_MIG_PRE_COPY  (1ULL << 2)

#define VFIO_ABI_STATE_ERROR	    0
#define VFIO_ABI_STATE_STOP	    1
#define VFIO_ABI_STATE_RUNNING	    2
#define VFIO_ABI_STATE_STOP_COPY    3
#define VFIO_ABI_STATE_RESUMING	    4
#define VFIO_ABI_STATE_RUNNING_P2P  5
#define VFIO_ABI_STATE_PRE_COPY	    6
#define VFIO_ABI_STATE_PRE_COPY_P2P 7

struct vfio_abi_mig_state {
	__u32 device_state;
	__s32 data_fd;
};

#define VFIO_ABI_PRECOPY_REINIT (1U << 0)

struct vfio_abi_precopy_info {
	__u32 argsz, flags;
	__aligned_u64 initial_bytes, dirty_bytes;
};

struct vfio_abi_dma_logging {
	__aligned_u64 page_size;
	__u32 num_ranges, reserved;
	__aligned_u64 ranges;
};

struct vfio_abi_dma_logging_range {
	__aligned_u64 iova, length;
};

struct vfio_abi_dma_logging_report {
	__aligned_u64 iova, length, page_size, bitmap;
};

struct vfio_abi_dma_buf_range {
	__aligned_u64 offset, length;
};

struct vfio_abi_dma_buf {
	__u32 region_index, open_flags, flags, nr_ranges;
	struct vfio_abi_dma_buf_range ranges[];
};

/* iommufd: every structure begins with its size */

#define IOMMU_ABI(nr)		     _IO(VFIO_TYPE, (nr))
#define IOMMU_ABI_DESTROY	     IOMMU_ABI(0x80)
#define IOMMU_ABI_IOAS_ALLOC	     IOMMU_ABI(0x81)
#define IOMMU_ABI_IOAS_IOVA_RANGES   IOMMU_ABI(0x84)
#define IOMMU_ABI_IOAS_MAP	     IOMMU_ABI(0x85)
#define IOMMU_ABI_IOAS_UNMAP	     IOMMU_ABI(0x86)
#define IOMMU_ABI_OPTION	     IOMMU_ABI(0x87)
#define IOMMU_ABI_HWPT_ALLOC	     IOMMU_ABI(0x89)
#define IOMMU_ABI_GET_HW_INFO	     IOMMU_ABI(0x8a)
#define IOMMU_ABI_SET_DIRTY_TRACKING IOMMU_ABI(0x8b)
#define IOMMU_ABI_GET_DIRTY_BITMAP   IOMMU_ABI(0x8c)
#define IOMMU_ABI_IOAS_MAP_FILE	     IOMMU_ABI(0x8f)
#define IOMMU_ABI_VIOMMU_ALLOC	     IOMMU_ABI(0x90)
#define IOMMU_ABI_VDEVICE_ALLOC	     IOMMU_ABI(0x91)

struct iommu_abi_destroy {
	__u32 size, id;
};

struct iommu_abi_ioas_alloc {
	__u32 size, flags, out_ioas_id;
};

struct iommu_abi_iova_range {
	__aligned_u64 start, last;
};

struct iommu_abi_ioas_iova_ranges {
	__u32 size, ioas_id, num_iovas, reserved;
	__aligned_u64 allowed_iovas;
	__aligned_u64 out_iova_alignment;
};

#define IOMMU_ABI_MAP_FIXED_IOVA (1U << 0)
#define IOMMU_ABI_MAP_WRITEABLE	 (1U << 1)
#define IOMMU_ABI_MAP_READABLE	 (1U << 2)

struct iommu_abi_ioas_map {
	__u32 size, flags, ioas_id, reserved;
	__aligned_u64 user_va, length, iova;
};

struct iommu_abi_ioas_map_file {
	__u32 size, flags, ioas_id;
	__s32 fd;
	__aligned_u64 start, length, iova;
};

struct iommu_abi_ioas_unmap {
	__u32 size, ioas_id;
	__aligned_u64 iova, length;
};

#define IOMMU_ABI_HWPT_NEST_PARENT    (1U << 0)
#define IOMMU_ABI_HWPT_DIRTY_TRACKING (1U << 1)
#define IOMMU_ABI_HWPT_PASID	      (1U << 3)

struct iommu_abi_hwpt_alloc {
	__u32 size, flags, dev_id, pt_id, out_hwpt_id, reserved, data_type, data_len;
	__aligned_u64 data_uptr;
	__u32 fault_id, reserved2;
};

/* A guest's IOMMU, and a device as the guest's IOMMU knows it (by @virt_id). */
struct iommu_abi_viommu_alloc {
	__u32 size, flags, type, dev_id, hwpt_id, out_viommu_id, data_len, reserved;
	__aligned_u64 data_uptr;
};

struct iommu_abi_vdevice_alloc {
	__u32 size, viommu_id, dev_id, out_vdevice_id;
	__aligned_u64 virt_id;
};

#define IOMMU_ABI_HW_DIRTY_TRACKING (1ULL << 0)
#define IOMMU_ABI_HW_PASID_EXEC	    (1ULL << 1)
#define IOMMU_ABI_HW_PASID_PRIV	    (1ULL << 2)
#define IOMMU_ABI_HW_NO_ATS	    (1ULL << 3)

struct iommu_abi_hw_info {
	__u32 size, flags, dev_id, data_len;
	__aligned_u64 data_uptr;
	__u32 out_data_type;
	__u8 out_max_pasid_log2, reserved[3];
	__aligned_u64 out_capabilities;
};

#endif
