/* SPDX-License-Identifier: MIT */
/*
 * The interrupt controller of machines whose host has no AIA (RISC-V Platform-Level Interrupt
 * Controller Specification 1.0.0; the numbers of priorities are SiFive's, as in the FU540-C000
 * manual, chapter 10): sources 1 to 95, which are the lines of devices, and a context for each
 * hart's supervisor level, which raises its external interrupt.
 *
 * A gateway of a source lets one request through and shuts until a hart has completed it (1.5 and
 * 1.6): a level that is then still high, or a pulse that came meanwhile, is the next one. Registers
 * are words; other accesses read as zero and do nothing.
 */
#include <pthread.h>
#include <stdlib.h>

#include "layout.h"
#include "lkvm/bus.h"
#include "lkvm/device.h"
#include "lkvm/fdt.h"
#include "lkvm/irq-source.h"
#include "lkvm/irq.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "riscv.h"

/* Memory map (chapter 3) */
#define PRIORITY	0x000000U /* a word for each source */
#define PENDING		0x001000U /* a bit for each */
#define ENABLE		0x002000U /* the same, for each context */
#define ENABLE_STRIDE	0x80U
#define CONTEXT		0x200000U
#define CONTEXT_STRIDE	0x1000U
#define THRESHOLD	0x0U /* in a context */
#define CLAIM		0x4U
#define WINDOW_SIZE	0x4000000U
#define MAX_PRIORITY	7U
#define WORDS		(RISCV_NR_LINES / 32)
#define FIRST_WORD_MASK (~1U) /* there is no source 0 */

struct context {
	u32 enabled[WORDS];
	u32 threshold;
	bool raised; /* the hart's external interrupt is */
};

struct riscv_plic {
	struct device dev;
	riscv_plic_output output;
	void *opaque;
	pthread_mutex_t lock;
	u32 nr_contexts;
	struct context *contexts;
	struct irq_sources sources;
	u32 priority[RISCV_NR_LINES];
	/* A bit for each source. */
	u32 level[WORDS];   /* its line is high */
	u32 pending[WORDS]; /* its request waits to be claimed */
	u32 claimed[WORDS]; /* and was, and is not completed */
	u32 pulsed[WORDS];  /* a pulse came meanwhile */
};

_Static_assert(RISCV_NR_LINES % 32 == 0, "words of the PLIC are whole");
_Static_assert(CONTEXT + RISCV_MAX_VCPUS * CONTEXT_STRIDE <= WINDOW_SIZE &&
		       ENABLE + RISCV_MAX_VCPUS * ENABLE_STRIDE <= CONTEXT &&
		       WINDOW_SIZE <= RISCV_IRQCHIP_SIZE,
	       "every hart has its context");

static u32 high(const struct riscv_plic *plic, u32 word)
{
	u32 bits = plic->level[word];

	for (const struct irq_source *s = plic->sources.first; s; s = s->next)
		if (s->asserted && s->pin / 32 == word)
			bits |= BIT(s->pin % 32);
	return bits;
}

/* A line may have been high since before a reset: its request was not taken yet. */
static u32 waiting(const struct riscv_plic *plic, u32 word)
{
	return plic->pending[word] | (high(plic, word) & ~plic->claimed[word]);
}

/*
 * The source that @c would claim: of those with the highest priority above @threshold the one with
 * the lowest number; 0: none. Priority 0 never interrupts (1.4).
 */
static u32 best_source(const struct riscv_plic *plic, const struct context *c, u32 threshold)
{
	u32 best = 0, priority = threshold;

	for (u32 word = 0; word < WORDS; word++) {
		u32 bits = waiting(plic, word) & c->enabled[word];

		for (; bits; bits &= bits - 1) {
			u32 source = word * 32 + (u32)__builtin_ctz(bits);

			if (plic->priority[source] <= priority)
				continue;
			priority = plic->priority[source];
			best = source;
		}
	}
	return best;
}

/* Drive a hart's interrupt; if it did not change, only where @anyway. Under the lock, so that two
 * do not overtake each other. */
static void drive(struct riscv_plic *plic, u32 hart, bool anyway)
{
	struct context *c = &plic->contexts[hart];
	bool raise = best_source(plic, c, c->threshold) != 0;

	if (raise == c->raised && !anyway)
		return;
	c->raised = raise;
	plic->output(plic->opaque, hart, raise);
}

/* After a change of @source, which only those see that have it enabled: of many harts few do. */
static void drive_source(struct riscv_plic *plic, u32 source)
{
	for (u32 i = 0; i < plic->nr_contexts; i++)
		if (plic->contexts[i].enabled[source / 32] & BIT(source % 32))
			drive(plic, i, false);
}

static void drive_all(struct riscv_plic *plic)
{
	for (u32 i = 0; i < plic->nr_contexts; i++)
		drive(plic, i, true);
}

/* Lines */

static bool is_source(u32 gsi)
{
	return gsi && gsi < RISCV_NR_LINES;
}

void riscv_plic_set_level(struct riscv_plic *plic, u32 gsi, bool level)
{
	u32 word = gsi / 32, bit = BIT(gsi % 32);

	if (!is_source(gsi))
		return;
	pthread_mutex_lock(&plic->lock);
	if (!level) {
		/* What was let through stays (1.6). */
		plic->level[word] &= ~bit;
	} else {
		plic->level[word] |= bit;
		if (!(plic->claimed[word] & bit))
			plic->pending[word] |= bit;
	}
	drive_source(plic, gsi);
	pthread_mutex_unlock(&plic->lock);
}

void riscv_plic_pulse(struct riscv_plic *plic, u32 gsi)
{
	u32 word = gsi / 32, bit = BIT(gsi % 32);

	if (!is_source(gsi))
		return;
	pthread_mutex_lock(&plic->lock);
	if (plic->claimed[word] & bit)
		plic->pulsed[word] |= bit;
	else
		plic->pending[word] |= bit;
	drive_source(plic, gsi);
	pthread_mutex_unlock(&plic->lock);
}

/* Under the lock, in the main loop. */
static void on_source_written(void *chip, struct irq_source *source)
{
	struct riscv_plic *plic = chip;
	u32 word = source->pin / 32, bit = BIT(source->pin % 32);

	source->asserted = true;
	if (!(plic->claimed[word] & bit))
		plic->pending[word] |= bit;
	drive_source(plic, source->pin);
}

int riscv_plic_bind_resample(struct riscv_plic *plic, int fd, int resample_fd, u32 gsi, bool assign)
{
	if (!is_source(gsi))
		return -EINVAL;
	return irq_sources_bind(&plic->sources, plic->dev.vm->irqs.loop, fd, resample_fd, gsi,
				assign);
}

/* Claims are not bound by the threshold (1.8). */
static u32 claim(struct riscv_plic *plic, const struct context *c)
{
	u32 source = best_source(plic, c, 0), bit = BIT(source % 32);

	if (!source)
		return 0;
	plic->pending[source / 32] &= ~bit;
	plic->claimed[source / 32] |= bit;
	drive_source(plic, source);
	return source;
}

/* Any context may complete what it has enabled (1.9). */
static void complete(struct riscv_plic *plic, const struct context *c, u32 source)
{
	u32 word = source / 32, bit = BIT(source % 32);

	if (!is_source(source) || !(c->enabled[word] & plic->claimed[word] & bit))
		return;
	plic->claimed[word] &= ~bit;
	irq_sources_end(&plic->sources, source);
	plic->pending[word] |= (high(plic, word) | plic->pulsed[word]) & bit;
	plic->pulsed[word] &= ~bit;
	drive_source(plic, source);
}

/* Registers */

static u32 *enable_word(const struct riscv_plic *plic, u32 offset)
{
	u32 context = (offset - ENABLE) / ENABLE_STRIDE;
	u32 word = (offset - ENABLE) % ENABLE_STRIDE / 4;

	if (context >= plic->nr_contexts || word >= WORDS)
		return NULL;
	return &plic->contexts[context].enabled[word];
}

static struct context *context_at(const struct riscv_plic *plic, u32 offset)
{
	u32 context = (offset - CONTEXT) / CONTEXT_STRIDE;

	return context < plic->nr_contexts ? &plic->contexts[context] : NULL;
}

static u32 read_word(struct riscv_plic *plic, u32 offset)
{
	struct context *c;
	const u32 *word;

	if (offset < PENDING)
		return offset / 4 < RISCV_NR_LINES ? plic->priority[offset / 4] : 0;
	if (offset < ENABLE)
		return (offset - PENDING) / 4 < WORDS ? waiting(plic, (offset - PENDING) / 4) : 0;
	if (offset < CONTEXT) {
		word = enable_word(plic, offset);
		return word ? *word : 0;
	}
	c = context_at(plic, offset);
	if (c && offset % CONTEXT_STRIDE == THRESHOLD)
		return c->threshold;
	return c && offset % CONTEXT_STRIDE == CLAIM ? claim(plic, c) : 0;
}

/*
 * Who sets up a context has it driven anyway: KVM forgets the interrupt of a hart that is started
 * anew, and tells nobody.
 */
static void write_enabled(struct riscv_plic *plic, u32 offset, u32 value)
{
	u32 *word = enable_word(plic, offset);

	if (!word)
		return;
	*word = (offset - ENABLE) % ENABLE_STRIDE ? value : value & FIRST_WORD_MASK;
	drive(plic, (offset - ENABLE) / ENABLE_STRIDE, true);
}

/* Pending bits are read-only. */
static void write_word(struct riscv_plic *plic, u32 offset, u32 value)
{
	struct context *c;

	if (offset < PENDING) {
		if (!is_source(offset / 4))
			return;
		plic->priority[offset / 4] = value & MAX_PRIORITY;
		drive_source(plic, offset / 4);
	} else if (offset >= CONTEXT) {
		c = context_at(plic, offset);
		if (c && offset % CONTEXT_STRIDE == CLAIM) {
			complete(plic, c, value);
		} else if (c && offset % CONTEXT_STRIDE == THRESHOLD) {
			c->threshold = value & MAX_PRIORITY;
			drive(plic, (offset - CONTEXT) / CONTEXT_STRIDE, true);
		}
	} else if (offset >= ENABLE) {
		write_enabled(plic, offset, value);
	}
}

static bool is_word(u64 offset, u32 len)
{
	return len == 4 && offset % 4 == 0;
}

static void plic_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct riscv_plic *plic = opaque;
	u32 value = 0;

	if (is_word(offset, len)) {
		pthread_mutex_lock(&plic->lock);
		value = read_word(plic, (u32)offset);
		pthread_mutex_unlock(&plic->lock);
	}
	put_le(data, len, value);
}

static void plic_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct riscv_plic *plic = opaque;

	if (!is_word(offset, len))
		return;
	pthread_mutex_lock(&plic->lock);
	write_word(plic, (u32)offset, (u32)get_le(data, len));
	pthread_mutex_unlock(&plic->lock);
}

static const struct bus_ops plic_bus_ops = { .read = plic_read, .write = plic_write };

/* The device */

/* The lines are the devices': they fall when those are reset. Nobody will complete what sources
 * asked for: they look again. */
static void plic_reset(struct device *dev)
{
	struct riscv_plic *plic = container_of(dev, struct riscv_plic, dev);

	pthread_mutex_lock(&plic->lock);
	memset(plic->contexts, 0, plic->nr_contexts * sizeof(plic->contexts[0]));
	memset(plic->priority, 0, sizeof(plic->priority));
	memset(plic->pending, 0, sizeof(plic->pending));
	memset(plic->claimed, 0, sizeof(plic->claimed));
	memset(plic->pulsed, 0, sizeof(plic->pulsed));
	irq_sources_end(&plic->sources, IRQ_SOURCES_ALL);
	drive_all(plic);
	pthread_mutex_unlock(&plic->lock);
}

static int plic_realize(struct device *dev, struct vm *vm)
{
	return device_claim_mmio(dev, RISCV_IRQCHIP, WINDOW_SIZE, &plic_bus_ops,
				 container_of(dev, struct riscv_plic, dev));
}

static void plic_free(struct riscv_plic *plic)
{
	pthread_mutex_destroy(&plic->lock);
	free(plic->contexts);
	free(plic);
}

static void plic_destroy(struct device *dev)
{
	struct riscv_plic *plic = container_of(dev, struct riscv_plic, dev);

	bus_remove(&dev->vm->mmio, RISCV_IRQCHIP);
	dev->vm->arch->irqchip.plic = NULL;
	plic_free(plic);
}

/* Vcpus have what they were saved with; they are told again. Sources are the host's. */
static int plic_load(void *obj)
{
	struct riscv_plic *plic = obj;

	pthread_mutex_lock(&plic->lock);
	irq_sources_end(&plic->sources, IRQ_SOURCES_ALL);
	drive_all(plic);
	pthread_mutex_unlock(&plic->lock);
	return 0;
}

static int plic_check(const void *obj)
{
	const struct riscv_plic *plic = obj;
	u32 none = plic->level[0] | plic->pending[0] | plic->claimed[0] | plic->pulsed[0];

	for (u32 i = 0; i < plic->nr_contexts; i++)
		none |= plic->contexts[i].enabled[0];
	return (none & ~FIRST_WORD_MASK) || plic->priority[0] ? -EINVAL : 0;
}

static const struct state_field context_fields[] = {
	STATE_ARRAY(struct context, enabled),
	STATE_UP_TO(struct context, threshold, MAX_PRIORITY),
};
static const struct device_state context_state = { .version = 1, STATE_TABLE(context_fields) };

static const struct state_field plic_fields[] = {
	STATE_PARTS_COUNTED(struct riscv_plic, contexts, nr_contexts, &context_state),
	{ STATE_ELEMENTS(struct riscv_plic, priority), .max = MAX_PRIORITY },
	STATE_ARRAY(struct riscv_plic, level),
	STATE_ARRAY(struct riscv_plic, pending),
	STATE_ARRAY(struct riscv_plic, claimed),
	STATE_ARRAY(struct riscv_plic, pulsed),
};

static const struct device_state plic_state = {
	.version = 1,
	STATE_TABLE(plic_fields),
	.device_at = offsetof(struct riscv_plic, dev),
	.check = plic_check,
	.load = plic_load,
};

/* devicetree/bindings/interrupt-controller/sifive,plic-1.0.0.yaml */

static u32 plic_irq_cells(u32 gsi, bool edge, u32 cells[FDTW_MAX_IRQ_CELLS])
{
	cells[0] = gsi;
	return 1;
}

void riscv_plic_describe(struct vm *vm, struct fdtw *fdt)
{
	static const char *const compatible[] = { "sifive,plic-1.0.0", "riscv,plic0", NULL };

	fdtw_node(fdt, "interrupt-controller@%llx", RISCV_IRQCHIP);
	fdtw_strings(fdt, "compatible", compatible);
	fdtw_reg(fdt, RISCV_IRQCHIP, WINDOW_SIZE);
	fdtw_empty(fdt, "interrupt-controller");
	fdtw_u32(fdt, "#interrupt-cells", 1);
	fdtw_u32(fdt, "#address-cells", 0);
	riscv_irqchip_parents(vm, fdt);
	fdtw_u32(fdt, "riscv,ndev", RISCV_NR_LINES - 1);
	fdtw_u32(fdt, "phandle", RISCV_PHANDLE_IRQCHIP);
	fdtw_close(fdt);
	fdt->irq_cells = plic_irq_cells;
}

static const struct device_ops plic_device_ops = {
	.realize = plic_realize,
	.reset = plic_reset,
	.state = &plic_state,
	.destroy = plic_destroy,
};

int riscv_plic_create(struct vm *vm, riscv_plic_output output, void *opaque,
		      struct riscv_plic **out)
{
	struct riscv_plic *plic = xcalloc(1, sizeof(*plic));
	int ret;

	plic->dev.name = "plic";
	plic->dev.ops = &plic_device_ops;
	plic->output = output;
	plic->opaque = opaque;
	plic->nr_contexts = vm->cfg->cpus;
	plic->contexts = xcalloc(plic->nr_contexts, sizeof(plic->contexts[0]));
	pthread_mutex_init(&plic->lock, NULL);
	plic->sources = (struct irq_sources){
		.lock = &plic->lock,
		.written = on_source_written,
		.chip = plic,
	};
	ret = device_add(vm, &plic->dev);
	if (ret) {
		plic_free(plic);
		return ret;
	}
	*out = plic;
	return 0;
}
