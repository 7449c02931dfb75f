/* SPDX-License-Identifier: MIT */
/*
 * Interrupts to the CPU with the highest APIC id: from another CPU, through a pin of the IOAPIC,
 * and by a message of a device (an entropy device on PCI). Beyond 255 the first is the x2APIC's,
 * the others need the bits that KVM_FEATURE_MSI_EXT_DEST_ID gives them.
 */
#include "virtio.h"
#include "x86.h"

#define IPI_VECTOR 0x23
#define PIN_VECTOR 0x24
#define COM1_PIN   4

static u32 last_index, last_id, ready;

static struct {
	const char *what;
	u32 hits, id; /* the last one's */
} seen[] = { { "ipi", 0, ~0U }, { "pin", 0, ~0U }, { "message", 0, ~0U } };

static void hit(u32 n)
{
	seen[n].id = lapic_id();
	atomic_add(&seen[n].hits, 1);
}

static void on_ipi(void)
{
	hit(0);
}

static void on_pin(void)
{
	inb(COM1 + 2);
	hit(1);
}

static void on_message(void)
{
	hit(2);
}

/* Ids of CPUs are not in the order in which they came up. */
static void ap(u32 index)
{
	static struct spinlock lock;

	spin_lock(&lock);
	if (lapic_id() > last_id) {
		last_id = lapic_id();
		last_index = index;
	}
	spin_unlock(&lock);
	atomic_add(&ready, 1);
	for (;;)
		arch_wait();
}

/* The interrupt comes, or the test waits for ever. */
static void await(u32 n)
{
	while (!atomic_read(&seen[n].hits))
		if (last_index)
			arch_pause();
		else
			arch_wait();
}

static void test_pin(void)
{
	outb(COM1 + 4, 0x0b);
	ioapic_route(COM1_PIN, PIN_VECTOR, 0);
	outb(COM1 + 1, 0x02); /* THRE, which is true: one edge */
	await(1);
	outb(COM1 + 1, 0);
	arch_mask_irq(COM1_PIN);
}

static bool test_message(void)
{
	static struct virtio v;
	static u8 bytes[64];
	const struct vq_buf buf = { bytes, sizeof(bytes), true };

	if (!virtio_open(&v, VIRTIO_RNG, 0) || !virtio_negotiate(&v, 0) ||
	    !virtio_queue(&v, 0, true) || v.line)
		return false;
	virtio_driver_ok(&v);
	vq_add(&v, 0, &buf, 1);
	vq_kick(&v, 0);
	await(2);
	virtio_reset(&v);
	return true;
}

int guest_main(void)
{
	u32 r[4], others;

	arch_set_handler(IPI_VECTOR, on_ipi);
	arch_set_handler(PIN_VECTOR, on_pin);
	arch_set_handler(VQ_VECTOR, on_message);
	others = arch_start_cpus(ap);
	while (atomic_read(&ready) < others)
		arch_pause();
	cpuid(0x40000001, r);
	print("%u cpus, the last has id %u; wide messages: %s\n", others + 1, last_id,
	      r[0] >> 15 & 1 ? "yes" : "no");
	x86_lead_irqs_to(last_id);
	arch_send_ipi(last_index, IPI_VECTOR);
	await(0);
	test_pin();
	if (!test_message())
		return 1;
	for (u32 i = 0; i < 3; i++)
		print("%s: %u, cpu %u\n", seen[i].what, seen[i].hits, seen[i].id);
	return 0;
}
