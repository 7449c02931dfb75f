/* SPDX-License-Identifier: MIT */
/*
 * The least that a VMM can do for a PVH image on x86-64 (Xen public/arch-x86/hvm/start_info.h): one
 * vcpu, run by the only thread, 64 MiB, a UART that is always ready, port 0xf4 to end. What it
 * costs is the floor that lkvm is measured against.
 */
#include <elf.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define RAM_SIZE   (64UL << 20)
#define START_INFO 0x91000U
#define CMDLINE	   0x80000U
#define PHYS32	   18U /* XEN_ELFNOTE_PHYS32_ENTRY */

struct start_page {
	uint32_t magic, version, flags, nr_modules;
	uint64_t modules, cmdline, rsdp, map;
	uint32_t nr_map, reserved;
	struct {
		uint64_t addr, size;
		uint32_t type, reserved;
	} ranges[2];
};

static struct kvm_cpuid2 *cpuid;
static uint8_t *ram;

static int must(long ret, const char *what)
{
	if (ret < 0) {
		perror(what);
		exit(1);
	}
	return (int)ret;
}

#define CALL(fd, request, arg) must(ioctl(fd, request, arg), #request)

/* Reads the segments to where they belong. Returns the entry that the note names. */
static uint32_t load(const char *path, const char *words)
{
	struct start_page page = { .magic = 0x336ec578,
				   .version = 1,
				   .cmdline = CMDLINE,
				   .map = START_INFO + 56,
				   .nr_map = 2,
				   .ranges = { { 0, 0x9fc00, 1, 0 },
					       { 0x100000, RAM_SIZE - 0x100000, 1, 0 } } };
	int fd = must(open(path, O_RDONLY | O_CLOEXEC), path);
	Elf64_Phdr ph[16];
	Elf64_Ehdr eh;
	uint32_t entry = 0;

	must(pread(fd, &eh, sizeof(eh), 0), path);
	must(pread(fd, ph, sizeof(ph), (off_t)eh.e_phoff), path);
	for (int i = 0; i < eh.e_phnum && i < 16; i++) {
		const uint32_t *note = (void *)(ram + ph[i].p_paddr);

		if ((ph[i].p_type == PT_LOAD || ph[i].p_type == PT_NOTE) &&
		    ph[i].p_paddr + ph[i].p_filesz < RAM_SIZE)
			must(pread(fd, ram + ph[i].p_paddr, ph[i].p_filesz, (off_t)ph[i].p_offset),
			     path);
		if (ph[i].p_type == PT_NOTE && note[2] == PHYS32)
			entry = note[4]; /* after "Xen" and its NUL */
	}
	close(fd);
	strcpy((char *)ram + CMDLINE, words);
	memcpy(ram + START_INFO, &page, sizeof(page));
	return entry;
}

static int create_vm(int kvm, const char *irqchip)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { 24 } };
	struct kvm_pit_config pit = { .flags = 0 };
	struct kvm_userspace_memory_region slot = { .memory_size = RAM_SIZE };
	uint64_t identity_map = 0xfeffc000;
	int vm = CALL(kvm, KVM_CREATE_VM, 0);

	ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	slot.userspace_addr = (uintptr_t)ram;
	must(ram == MAP_FAILED ? -1 : 0, "mmap");
	CALL(vm, KVM_SET_USER_MEMORY_REGION, &slot);
	CALL(vm, KVM_SET_IDENTITY_MAP_ADDR, &identity_map);
	CALL(vm, KVM_SET_TSS_ADDR, identity_map + 0x1000);
	if (!strcmp(irqchip, "split")) {
		CALL(vm, KVM_ENABLE_CAP, &cap);
	} else {
		CALL(vm, KVM_CREATE_IRQCHIP, 0);
		if (strcmp(irqchip, "nopit"))
			CALL(vm, KVM_CREATE_PIT2, &pit);
	}
	return vm;
}

static int create_vcpu(int vm, uint32_t entry)
{
	struct kvm_regs regs = { .rip = entry, .rbx = START_INFO, .rflags = 2 };
	struct kvm_sregs s;
	int vcpu = CALL(vm, KVM_CREATE_VCPU, 0);

	CALL(vcpu, KVM_SET_CPUID2, cpuid);
	CALL(vcpu, KVM_GET_SREGS, &s);
	s.cs = (struct kvm_segment){
		.limit = ~0U, .selector = 0x10, .type = 11, .present = 1, .db = 1, .s = 1, .g = 1
	};
	s.ds = s.es = s.ss = (struct kvm_segment){
		.limit = ~0U, .selector = 0x18, .type = 3, .present = 1, .db = 1, .s = 1, .g = 1
	};
	s.tr = (struct kvm_segment){ .limit = 0x67, .selector = 0x20, .type = 11, .present = 1 };
	s.cr0 = 1; /* PE */
	CALL(vcpu, KVM_SET_SREGS, &s);
	CALL(vcpu, KVM_SET_REGS, &regs);
	return vcpu;
}

int main(int argc, char **argv)
{
	uint32_t entry;
	int kvm, vm, vcpu;
	struct kvm_run *run;

	if (argc < 2) {
		fprintf(stderr, "usage: floor IMAGE [full|nopit|split]\n");
		return 2;
	}
	kvm = must(open("/dev/kvm", O_RDWR | O_CLOEXEC), "/dev/kvm");
	vm = create_vm(kvm, argc > 2 ? argv[2] : "full");
	cpuid = calloc(1, sizeof(*cpuid) + 128 * sizeof(cpuid->entries[0]));
	cpuid->nent = 128;
	CALL(kvm, KVM_GET_SUPPORTED_CPUID, cpuid);
	entry = load(argv[1], "bench");
	vcpu = create_vcpu(vm, entry);
	run = mmap(NULL, (size_t)CALL(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE,
		   MAP_SHARED, vcpu, 0);
	must(run == MAP_FAILED ? -1 : 0, "mmap");
	for (;;) {
		uint8_t *data;

		CALL(vcpu, KVM_RUN, 0);
		data = (uint8_t *)run + run->io.data_offset;
		if (run->exit_reason != KVM_EXIT_IO) {
			fprintf(stderr, "floor: exit reason %u\n", run->exit_reason);
			return 1;
		}
		if (run->io.direction == KVM_EXIT_IO_IN)
			memset(data, run->io.port == 0x3fd ? 0x60 : 0xff, run->io.size);
		else if (run->io.port == 0x3f8)
			must(write(1, data, 1), "write");
		else if (run->io.port == 0xf4)
			return *data;
	}
}
