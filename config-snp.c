/* SPDX-License-Identifier: MIT */
/*
 * --snp WORDS and --snp-guest-requests. Knows no host: which bits a host's KVM and firmware take is
 * asked when the guest is made.
 */
#include "lkvm/config-snp.h"

#include <stdlib.h>

#include "config-items.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

#define BITS(ROW)                                                                           \
	ROW("smt", 16, false, "it may run where SMT is on")                                 \
	ROW("migrate-ma", 18, false,                                                        \
	    "a migration agent may be associated; KVM takes no such guest")                 \
	ROW("debug", 19, false, "the host may decrypt its memory (for debugging alone)")    \
	ROW("single-socket", 20, false, "it may run on one socket only")                    \
	ROW("cxl-allow", 21, false, "CXL devices and memory may be populated")              \
	ROW("mem-aes-256-xts", 22, false, "memory must be encrypted by AES-256 XTS")        \
	ROW("rapl-dis", 23, false, "power measurements (RAPL) must be off")                 \
	ROW("ciphertext-hiding-dram", 24, false, "the host must not read its ciphertext")   \
	ROW("page-swap-disable", 25, false, "the host may not swap its pages")              \
	ROW("debug-swap", 5, true, "debug registers are its own")                           \
	ROW("secure-tsc", 9, true, "its TSC is the firmware's, of the frequency --tsc-khz") \
	ROW("secure-avic", 16, true, "its local APIC is its own")

#define AS_ROW(name, bit, feature, text)   { name, bit, feature, text },
#define AS_PLUS(name, bit, feature, text)  "+" name,
#define AS_MINUS(name, bit, feature, text) "-" name,
#define AS_ITEM(name, bit, feature, text)  "+" name, "-" name,

const struct x86_snp_bit x86_snp_bits[] = { BITS(AS_ROW) };
const size_t x86_nr_snp_bits = ARRAY_SIZE(x86_snp_bits);

static const char *const items[] = { "policy=N",    "abi-major=N", "abi-minor=N",
				     "signature=N", "cpuid-fix",   BITS(AS_ITEM) NULL };

/* Both signs of one name are too near to each other. */
static const char *const plus_items[] = { BITS(AS_PLUS) NULL };
static const char *const minus_items[] = { BITS(AS_MINUS) NULL };

static const struct x86_snp_bit *find_bit(const char *name)
{
	for (size_t i = 0; i < x86_nr_snp_bits; i++)
		if (!strcmp(x86_snp_bits[i].name, name))
			return &x86_snp_bits[i];
	return NULL;
}

char *x86_snp_bit_names(u64 bits, bool feature)
{
	char *text = xstrdup("");

	for (u32 n = 0; n < 64; n++) {
		const char *name = NULL;

		if (!(bits & BIT_ULL(n)))
			continue;
		for (size_t i = 0; i < x86_nr_snp_bits && !name; i++)
			if (x86_snp_bits[i].bit == n && x86_snp_bits[i].feature == feature)
				name = x86_snp_bits[i].name;
		xappendf(&text, *text ? ", " : "");
		if (name)
			xappendf(&text, "%s", name);
		else
			xappendf(&text, "bit %u", n);
	}
	return text;
}

static int take_bit(const char *shown, const char *item, struct x86_snp_config *snp)
{
	const struct x86_snp_bit *bit = find_bit(item + 1);
	u64 *word;

	if (!bit)
		return config_unknown_item(shown, item, *item == '+' ? plus_items : minus_items);
	word = bit->feature ? &snp->features : &snp->policy;
	if (*item == '+')
		*word |= BIT_ULL(bit->bit);
	else
		*word &= ~BIT_ULL(bit->bit);
	return 0;
}

static int take_number(const char *shown, const char *item, const char *text, u64 max, u64 *out)
{
	if (!parse_u64(text, out) && *out <= max)
		return 0;
	err("%s: '%s': is not a number from 0 to 0x%llx", shown, item, max);
	return -EINVAL;
}

static int take_value(const char *shown, char *item, struct x86_snp_config *snp)
{
	size_t key = strcspn(item, "=") + 1;
	const char *text = item + key;
	u64 n = 0;
	int ret;

	if (!strncmp(item, "policy=", key)) {
		return take_number(shown, item, text, UINT64_MAX, &snp->policy);
	} else if (!strncmp(item, "abi-major=", key)) {
		ret = take_number(shown, item, text, 0xff, &n);
		snp->policy = (snp->policy & ~SNP_POLICY_ABI_MAJOR) | n << 8;
	} else if (!strncmp(item, "abi-minor=", key)) {
		ret = take_number(shown, item, text, 0xff, &n);
		snp->policy = (snp->policy & ~SNP_POLICY_ABI_MINOR) | n;
	} else if (!strncmp(item, "signature=", key)) {
		ret = take_number(shown, item, text, UINT32_MAX, &n);
		snp->signature = (u32)n;
	} else {
		return config_unknown_item(shown, item, items);
	}
	return ret;
}

static int take_item(const char *shown, char *item, struct x86_snp_config *snp)
{
	if (*item == '+' || *item == '-')
		return take_bit(shown, item, snp);
	if (!strcmp(item, "cpuid-fix")) {
		snp->cpuid_fix = true;
		return 0;
	}
	if (strchr(item, '='))
		return take_value(shown, item, snp);
	if (!find_bit(item))
		return config_unknown_item(shown, item, items);
	err("%s: '%s' needs a sign: +%s or -%s", shown, item, item, item);
	return -EINVAL;
}

/* Another use replaces the first. */
static int snp_parse(const char *shown, const char *arg, void *target)
{
	struct x86_snp_config *snp = &((struct vm_config *)target)->x86.snp;
	char *copy = xstrdup(arg), *list = copy, *item;
	int ret = 0;

	snp->on = true;
	snp->policy = SNP_POLICY_DEFAULT;
	snp->features = 0;
	snp->signature = SNP_SIGNATURE_DEFAULT;
	snp->cpuid_fix = false;
	while (!ret && *arg && (item = config_next_item(&list)))
		ret = take_item(shown, item, snp);
	free(copy);
	if (!ret && !(snp->policy & SNP_POLICY_MUST_BE_ONE)) {
		err("%s: policy=0x%llx: bit 17 (0x20000) of a policy must be 1", shown,
		    snp->policy);
		ret = -EINVAL;
	}
	return ret;
}

static char *snp_text(const void *target, u32 i)
{
	const struct x86_snp_config *snp = &((const struct vm_config *)target)->x86.snp;
	char *text;

	if (i || !snp->on)
		return NULL;
	text = xasprintf("policy=0x%llx", snp->policy);
	for (size_t n = 0; n < x86_nr_snp_bits; n++)
		if (x86_snp_bits[n].feature && snp->features & BIT_ULL(x86_snp_bits[n].bit))
			xappendf(&text, ",+%s", x86_snp_bits[n].name);
	if (snp->signature != SNP_SIGNATURE_DEFAULT)
		xappendf(&text, ",signature=0x%x", snp->signature);
	if (snp->cpuid_fix)
		xappendf(&text, ",cpuid-fix");
	return text;
}

const struct option_hooks x86_snp_hooks = {
	.parse = snp_parse,
	.text = snp_text,
	.items = items,
};

void x86_snp_list(FILE *out)
{
	fprintf(out,
		"policy=N                the whole policy as a number (default 0x%llx); words "
		"after it change it\n"
		"abi-major=N             the oldest firmware ABI that the guest takes\n"
		"abi-minor=N\n"
		"signature=N             what vcpus find in RDX at the reset vector of firmware, "
		"which is measured (default 0x%x)\n"
		"cpuid-fix               take the firmware's corrections of the CPUID page, once\n",
		SNP_POLICY_DEFAULT, SNP_SIGNATURE_DEFAULT);
	for (size_t i = 0; i < x86_nr_snp_bits; i++)
		fprintf(out, "+%-22s %s %u: %s\n", x86_snp_bits[i].name,
			x86_snp_bits[i].feature ? "feature" : "policy", x86_snp_bits[i].bit,
			x86_snp_bits[i].text);
}

int x86_snp_host_data(const char *hex, u8 out[SNP_HOST_DATA_SIZE])
{
	return parse_hex(hex, out, SNP_HOST_DATA_SIZE);
}

/* --snp-guest-requests */

static const char *const request_items[] = { "interval=MS", "burst=N", NULL };

/* KVM's own bounds where it has the command: jiffies are no less than a tenth of these. */
#define REQUEST_MAX 1000000000ULL

static int take_request_item(const char *shown, const char *item, struct x86_snp_config *snp)
{
	bool interval = !strncmp(item, "interval=", 9), burst = !strncmp(item, "burst=", 6);
	u64 n;

	if (!interval && !burst)
		return config_unknown_item(shown, item, request_items);
	if (parse_u64(strchr(item, '=') + 1, &n) || !n || n > REQUEST_MAX) {
		err("%s: '%s': is not a number from 1 to %llu", shown, item, REQUEST_MAX);
		return -EINVAL;
	}
	*(interval ? &snp->request_interval_ms : &snp->request_burst) = (u32)n;
	return 0;
}

static int requests_parse(const char *shown, const char *arg, void *target)
{
	struct x86_snp_config *snp = &((struct vm_config *)target)->x86.snp;
	char *copy = xstrdup(arg), *list = copy, *item;
	int ret = 0;

	snp->request_interval_ms = 0;
	snp->request_burst = 1;
	while (!ret && (item = config_next_item(&list)))
		ret = take_request_item(shown, item, snp);
	free(copy);
	if (!ret && !snp->request_interval_ms) {
		err("%s %s: lacks interval=MS, as interval=2000,burst=2", shown, arg);
		ret = -EINVAL;
	}
	return ret;
}

static char *requests_text(const void *target, u32 i)
{
	const struct x86_snp_config *snp = &((const struct vm_config *)target)->x86.snp;

	if (i || !snp->request_interval_ms)
		return NULL;
	return xasprintf("interval=%u,burst=%u", snp->request_interval_ms, snp->request_burst);
}

const struct option_hooks x86_snp_requests_hooks = {
	.parse = requests_parse,
	.text = requests_text,
	.items = request_items,
};
