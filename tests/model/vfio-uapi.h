/* SPDX-License-Identifier: MIT */
/* Numbers and structures of VFIO and iommufd that the model does not share with lkvm: of Linux
 * 7.3's include/uapi/linux/vfio.h and iommufd.h. */
#ifndef LKVM_TESTS_MODEL_VFIO_UAPI_H
#define LKVM_TESTS_MODEL_VFIO_UAPI_H

#include <linux/vfio.h>

#include "lkvm/types.h"

#define M_BIND_IOMMUFD	   0x3b76
#define M_ATTACH_PT	   0x3b77
#define M_DETACH_PT	   0x3b78
#define M_PRECOPY_INFO	   0x3b79
#define M_DESTROY	   0x3b80
#define M_IOAS_ALLOC	   0x3b81
#define M_IOAS_IOVA_RANGES 0x3b84
#define M_IOAS_MAP	   0x3b85
#define M_IOAS_UNMAP	   0x3b86
#define M_HWPT_ALLOC	   0x3b89
#define M_GET_HW_INFO	   0x3b8a
#define M_IOAS_MAP_FILE	   0x3b8f
#define M_FEATURE_DMA_BUF  11

struct m_bind {
	u32 argsz, flags;
	s32 iommufd;
	u32 out_devid;
	u64 token;
};
struct m_attach {
	u32 argsz, flags, pt_id, pasid;
};
struct m_destroy {
	u32 size, id;
};
struct m_ioas_alloc {
	u32 size, flags, out_ioas_id;
};
struct m_iova_ranges {
	u32 size, ioas_id, num_iovas, reserved;
	u64 allowed_iovas, out_alignment;
};
struct m_map {
	u32 size, flags, ioas_id, reserved;
	u64 user_va, length, iova;
};
struct m_map_file {
	u32 size, flags, ioas_id;
	s32 fd;
	u64 start, length, iova;
};
/* With one range. */
struct m_dma_buf {
	u32 region_index, open_flags, flags, nr_ranges;
	u64 offset, length;
};
struct m_unmap {
	u32 size, ioas_id;
	u64 iova, length;
};
struct m_hwpt_alloc {
	u32 size, flags, dev_id, pt_id, out_hwpt_id, reserved, data_type, data_len;
	u64 data_uptr;
	u32 fault_id, reserved2;
};
struct m_hw_info {
	u32 size, flags, dev_id, data_len;
	u64 data_uptr;
	u32 out_data_type;
	u8 out_max_pasid_log2, reserved[3];
	u64 out_capabilities;
};

#endif
