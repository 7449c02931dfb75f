/* SPDX-License-Identifier: MIT */
/*
 * What drivers from before VIRTIO 1.0 do and both of their transports serve (VIRTIO 1.3, the
 * paragraphs "Legacy Interface"): 32 feature bits and no FEATURES_OK, a ring in one piece that is
 * given by the number of its page, notifications before DRIVER_OK.
 */
#ifndef LKVM_VIRTIO_LEGACY_H
#define LKVM_VIRTIO_LEGACY_H

#include "lkvm/virtio.h"

/* The bits of the status that these drivers know. */
#define LEGACY_STATUS                                                                       \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK | \
	 VIRTIO_CONFIG_S_FAILED)
/* 2.7.2: where the parts of a ring begin, but for virtio-mmio, which has a register for it. */
#define LEGACY_ALIGN 4096u

/* The PCI device id of the legacy interface (4.1.2.1); 0: the device has none, being younger. */
u16 legacy_pci_id(u32 id);
/* From now on, before its driver comes, @vdev is served by this interface alone. */
void legacy_begin(struct virtio_device *vdev);

/* As the functions of virtio.h that are called alike. */
void legacy_accept_features(struct virtio_device *vdev, u32 word, u32 value);
void legacy_set_status(struct virtio_device *vdev, u8 status);
void legacy_kick(struct virtio_device *vdev, u32 q);
/* The driver gave queue @q a ring at @gpa, whose used part is aligned to @align (a power of two);
 * @gpa 0: takes it away. Waits until the queue has stopped. */
void legacy_set_queue(struct virtio_device *vdev, u32 q, u64 gpa, u32 align);

#endif
