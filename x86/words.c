/* SPDX-License-Identifier: MIT */
/*
 * Words of Linux's command line that take interrupts or devices away from it (Documentation/
 * admin-guide/kernel-parameters.txt). Other people's scripts are full of them: some are the
 * defaults of other VMMs' tools.
 */
#include <ctype.h>

#include "lkvm/boot.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "platform.h"
#include "x86.h"

#define NO_IOAPIC BIT(0) /* the 8259s are what is left */
#define NO_LAPIC  BIT(1) /* no messages either */
#define NO_ACPI	  BIT(2)
#define NO_PCI	  BIT(3)

/* Interrupts of virtio-mmio that reach an 8259. */
#define MMIO_BY_PIC (16U - X86_GSI_VIRTIO_MMIO)

static const struct word {
	const char *text;
	u32 takes;
} words[] = {
	{ "noapic", NO_IOAPIC },
	{ "nosmp", NO_IOAPIC },
	{ "maxcpus=0", NO_IOAPIC },
	{ "acpi=noirq", NO_IOAPIC },
	{ "pci=noacpi", NO_IOAPIC },
	{ "nolapic", NO_IOAPIC | NO_LAPIC },
	{ "disableapic", NO_IOAPIC | NO_LAPIC },
	{ "acpi=off", NO_IOAPIC | NO_ACPI },
	{ "pci=off", NO_PCI },
};

/* The next parameter from *at on, as lib/cmdline.c's next_arg parts them; NULL: none is left. */
static const char *next_word(const char **at, size_t *len)
{
	const char *start = *at + strspn(*at, " \t\n"), *p;
	bool quoted = false;

	for (p = start; *p && (quoted || !isspace((unsigned char)*p)); p++)
		quoted ^= *p == '"';
	*at = p;
	if (*start == '"')
		start++;
	*len = (size_t)(p - start);
	if (*len && start[*len - 1] == '"')
		--*len;
	/* What follows "--" is init's. */
	return *len && !(*len == 2 && !memcmp(start, "--", 2)) ? start : NULL;
}

/* Is @text the word [@word, @len)? pci= has a list after it. */
static bool says(const char *word, size_t len, const char *text)
{
	const size_t key = strlen("pci=");
	size_t wanted = strlen(text);

	if (len == wanted && !memcmp(word, text, len))
		return true;
	if (strncmp(text, "pci=", key) || len < key || memcmp(word, text, key))
		return false;
	for (const char *p = word + key, *end = word + len; p < end;) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		size_t n = (size_t)((comma ? comma : end) - p);

		if (n == wanted - key && !memcmp(p, text + key, n))
			return true;
		p += n + 1;
	}
	return false;
}

/* The first of the words on the command line that takes all of @takes, or NULL. */
static const char *find_word(const struct vm_config *cfg, const struct boot *boot, u32 takes)
{
	const char *at = cfg->cmdline, *word;
	size_t len;

	/* A packed kernel of which little is known yet is Linux as a rule. */
	if (!at || (boot->is_known && !boot->is_linux))
		return NULL;
	while ((word = next_word(&at, &len)))
		for (size_t i = 0; i < ARRAY_SIZE(words); i++)
			if ((words[i].takes & takes) == takes && says(word, len, words[i].text))
				return words[i].text;
	return NULL;
}

bool x86_loses_ioapic(const struct vm_config *cfg, const struct boot *boot)
{
	return find_word(cfg, boot, NO_IOAPIC);
}

void x86_warn_words(const struct vm_config *cfg, const struct boot *boot, bool pic)
{
	u64 devices = config_virtio_devices(cfg);
	bool pci = transport_is_pci(cfg->transport);
	const char *word = find_word(cfg, boot, NO_IOAPIC);

	if (word && !pic)
		warn("--params: '%s' leaves the guest without interrupts, since no 8259 delivers "
		     "any with --irqchip split; omit it, or use --irqchip full",
		     word);
	else if (word && !pci && devices > MMIO_BY_PIC)
		warn("--params: '%s' leaves virtio devices after number %u without interrupts; "
		     "omit it",
		     word, MMIO_BY_PIC);
	word = find_word(cfg, boot, NO_LAPIC);
	if (word && pci && devices)
		warn("--params: '%s' leaves the virtio devices on PCI without interrupts; omit it, "
		     "or use --virtio-transport mmio",
		     word);
	word = find_word(cfg, boot, NO_PCI);
	if (word && pci && devices)
		warn("--params: '%s' hides the virtio devices on PCI from the guest; omit it, or "
		     "use --virtio-transport mmio",
		     word);
	word = find_word(cfg, boot, NO_ACPI);
	if (word)
		warn("--params: '%s' leaves the guest no way to power off%s, and other CPUs only "
		     "to kernels that read the MP table; omit it",
		     word, pci || !devices ? "" : ", hides its virtio devices");
}
