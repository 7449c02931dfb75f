/* SPDX-License-Identifier: MIT */
/*
 * The receiver of a serial port: the chip's FIFO, and the line that leads to it.
 *
 * The host's bytes are not lost to a guest that is not ready for them: what was typed or piped in
 * before it sets the port up, or meanwhile, is there when it listens. With the receiver's interrupt
 * on, a byte arrives as soon as there is room. Without, one arrives when the guest looks for it: at
 * a read of LSR, from the second on since the port was set up (FCR, IER or LCR was written).
 * Drivers that set a port up read each register once, RBR included, and mean no byte by that; for
 * the same reason setting up sends back to the line what arrived and was not read.
 *
 * No locks: the port's.
 */
#ifndef LKVM_SERIAL_RX_H
#define LKVM_SERIAL_RX_H

#include "lkvm/state.h"
#include "lkvm/types.h"

#define SERIAL_FIFO_SIZE 16

struct serial_rx {
	/* What the registers say; follows from them when a state is loaded. */
	unsigned int size; /* SERIAL_FIFO_SIZE, or 1: the FIFO is off */
	bool interrupts;   /* the receiver's interrupt is on */
	bool loop;	   /* in loopback nothing comes from the line */

	u8 fifo[SERIAL_FIFO_SIZE];
	unsigned int head, count;
	/* The last @host bytes of the FIFO are the line's, which has @waiting more; no more than
	 * SERIAL_FIFO_SIZE together. */
	unsigned int host, waiting;
	u8 line[SERIAL_FIFO_SIZE];
	bool looked; /* LSR was read since the port was set up */
};

/* How much of the host's input may come. */
unsigned int serial_rx_room(const struct serial_rx *rx);
/* From the host. False: some of it was too much and is lost, which the console never does. */
bool serial_rx_input(struct serial_rx *rx, const u8 *buf, size_t len);
/* From the chip itself, in loopback. False: overrun. */
bool serial_rx_put(struct serial_rx *rx, u8 byte);
/* A read of RBR; 0 where there is nothing. */
u8 serial_rx_get(struct serial_rx *rx);
/* A read of LSR, before its value is made. */
void serial_rx_look(struct serial_rx *rx);
/* After any access: what comes by itself. */
void serial_rx_arrive(struct serial_rx *rx);
/* The guest sets the port up. */
void serial_rx_set_up(struct serial_rx *rx);
/* What was not read goes back to the line. */
void serial_rx_take_back(struct serial_rx *rx);
/* The FIFO is cleared. */
void serial_rx_clear(struct serial_rx *rx);

extern const struct device_state serial_rx_state;

#endif
