/* SPDX-License-Identifier: MIT */
/* ACS's enhanced bits, which the headers of Linux do not have yet (PCI Express 6.0, 7.7.11). */
#ifndef LKVM_VFIO_PCI_ACS_H
#define LKVM_VFIO_PCI_ACS_H

#define ACS_ENHANCED	 0x0080U /* of the capability register: the control register has these */
#define ACS_IO_BLOCK	 0x0080U
#define ACS_DSP_BLOCK	 0x0100U /* requests to memory of a downstream port's own */
#define ACS_DSP_REDIRECT 0x0200U
#define ACS_USP_BLOCK	 0x0400U /* the upstream port's */
#define ACS_USP_REDIRECT 0x0800U
#define ACS_UNCLAIMED	 0x1000U /* requests that no port claims are redirected */

#endif
