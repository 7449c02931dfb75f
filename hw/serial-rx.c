/* SPDX-License-Identifier: MIT */
/* The receiver of a 16550A (see serial-rx.h; PC16550D data sheet, sections 8.3, 8.4 and 8.6). */
#include "serial-rx.h"

#include "lkvm/util.h"

unsigned int serial_rx_room(const struct serial_rx *rx)
{
	unsigned int used = rx->count + rx->waiting;

	if (rx->loop || !(rx->interrupts || rx->looked))
		return 0;
	return used < rx->size ? rx->size - used : 0;
}

bool serial_rx_put(struct serial_rx *rx, u8 byte)
{
	if (rx->count >= rx->size)
		return false;
	rx->fifo[(rx->head + rx->count++) % SERIAL_FIFO_SIZE] = byte;
	return true;
}

/* What waits on the line, as far as there is room. */
static void arrive(struct serial_rx *rx)
{
	unsigned int n = 0;

	if (rx->loop)
		return;
	while (n < rx->waiting && serial_rx_put(rx, rx->line[n])) {
		rx->host++;
		n++;
	}
	rx->waiting -= n;
	memmove(rx->line, rx->line + n, rx->waiting);
}

void serial_rx_arrive(struct serial_rx *rx)
{
	if (rx->interrupts)
		arrive(rx);
}

bool serial_rx_input(struct serial_rx *rx, const u8 *buf, size_t len)
{
	size_t n = MIN(len, (size_t)(SERIAL_FIFO_SIZE - rx->host - rx->waiting));

	memcpy(rx->line + rx->waiting, buf, n);
	rx->waiting += (unsigned int)n;
	serial_rx_arrive(rx);
	return n == len;
}

u8 serial_rx_get(struct serial_rx *rx)
{
	u8 byte;

	if (!rx->count)
		return 0;
	byte = rx->fifo[rx->head];
	rx->head = (rx->head + 1) % SERIAL_FIFO_SIZE;
	rx->count--;
	rx->host = MIN(rx->host, rx->count);
	return byte;
}

void serial_rx_look(struct serial_rx *rx)
{
	if (rx->looked)
		arrive(rx);
	if (!rx->loop)
		rx->looked = true;
}

void serial_rx_take_back(struct serial_rx *rx)
{
	unsigned int first = rx->count - rx->host;

	memmove(rx->line + rx->host, rx->line, rx->waiting);
	for (unsigned int i = 0; i < rx->host; i++)
		rx->line[i] = rx->fifo[(rx->head + first + i) % SERIAL_FIFO_SIZE];
	rx->waiting += rx->host;
	rx->count = first;
	rx->host = 0;
}

void serial_rx_set_up(struct serial_rx *rx)
{
	rx->looked = false;
	if (!rx->interrupts)
		serial_rx_take_back(rx);
}

void serial_rx_clear(struct serial_rx *rx)
{
	rx->head = 0;
	rx->count = 0;
	rx->host = 0;
}

static const struct state_field fields[] = {
	STATE_ARRAY(struct serial_rx, fifo),
	STATE_UP_TO(struct serial_rx, head, SERIAL_FIFO_SIZE - 1),
	STATE_UP_TO(struct serial_rx, count, SERIAL_FIFO_SIZE),
	STATE_UP_TO(struct serial_rx, host, SERIAL_FIFO_SIZE),
	STATE_UP_TO(struct serial_rx, waiting, SERIAL_FIFO_SIZE),
	STATE_ARRAY(struct serial_rx, line),
	STATE_BOOL(struct serial_rx, looked),
};

static int check(const void *obj)
{
	const struct serial_rx *rx = obj;

	return rx->host > rx->count || rx->host + rx->waiting > SERIAL_FIFO_SIZE ? -EINVAL : 0;
}

const struct device_state serial_rx_state = {
	.version = 1,
	STATE_TABLE(fields),
	.check = check,
};
