/* SPDX-License-Identifier: MIT */
/* The address space of a machine with a device tree: what follows from the size of its RAM. */
#include "lkvm/arch.h"
#include "lkvm/boot-fdt.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

void boot_map_memory(const struct boot_map_rules *rules, const struct vm_config *cfg, u64 pmem,
		     struct boot_map *map)
{
	u64 end;

	map->ram_end = rules->ram + cfg->memory;
	map->pmem_base = pmem ? ALIGN_UP(map->ram_end, PMEM_ALIGN) : map->ram_end;
	map->pmem_end = map->pmem_base + pmem;
	map->pci_mem64_base = ALIGN_UP(map->pmem_end, rules->pci_mem64_size);
	end = transport_is_pci(cfg->transport) ? map->pci_mem64_base + rules->pci_mem64_size
					       : map->pmem_end;
	map->bits = rules->bits_min;
	while (end > 1ULL << map->bits)
		map->bits++;
	map->bits += rules->bits_taken;
}

/* The maximum of memory that fits below @end with the devices. */
static u64 most_memory(const struct boot_map_rules *rules, const struct vm_config *cfg, u64 end)
{
	if (transport_is_pci(cfg->transport))
		end -= MIN(end, rules->pci_mem64_size);
	return end > rules->ram ? end - rules->ram : 0;
}

int boot_map_check(const struct boot_map_rules *rules, const struct vm_config *cfg, u64 pmem,
		   const struct boot_map *map, u32 max)
{
	u64 end = 1ULL << (max - rules->bits_taken);
	char size[32], most[32];

	if (map->bits <= max)
		return 0;
	if (pmem)
		err("--pmem: %lluG of files, and --mem, need %u address bits with the devices, but "
		    "a guest has %u on this host; omit some",
		    pmem / GiB, map->bits, max);
	else
		err("--mem %s: needs %u address bits with the devices, but a guest has %u on this "
		    "host; the maximum is %s%s",
		    format_size(cfg->memory, size, sizeof(size)), map->bits, max,
		    format_size(most_memory(rules, cfg, end), most, sizeof(most)),
		    map->ram_end <= end ? ", or use --virtio-transport mmio" : "");
	return -EINVAL;
}
