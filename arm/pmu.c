/* SPDX-License-Identifier: MIT */
/*
 * The PMU of the vcpus (Linux Documentation/virt/kvm/devices/vcpu.rst, 1): which of the host's it
 * is, its counters, the events that a guest may count, its interrupt.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "arm.h"
#include "cpu.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "realm.h"

#define GROUP KVM_ARM_VCPU_PMU_V3_CTRL

/* The first line of <root>/sys/bus/event_source/devices/<pmu>/<name>, without its newline. */
static bool read_file(const char *root, const char *pmu, const char *name, char *buf, size_t len)
{
	char *path = xasprintf("%s/sys/bus/event_source/devices/%s/%s", root, pmu, name);
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(buf, (int)len, f);

	free(path);
	if (f)
		fclose(f);
	if (ok)
		buf[strcspn(buf, "\n")] = '\0';
	return ok;
}

/* Only the PMUs of CPUs have a file "cpus"; is @wanted all in it? */
static bool serves(const char *root, const char *pmu, const cpu_set_t *wanted)
{
	cpu_set_t cpus, both;
	char line[512];

	if (!read_file(root, pmu, "cpus", line, sizeof(line)) || parse_cpu_list(line, &cpus))
		return false;
	CPU_AND(&both, &cpus, wanted);
	return CPU_EQUAL(&both, wanted);
}

int arm_pmu_of(const char *root, const char *cpus)
{
	char *path = xasprintf("%s/sys/bus/event_source/devices", root);
	const struct dirent *e;
	int type = -ENOENT;
	cpu_set_t wanted;
	char line[64];
	DIR *dir;
	u64 n;

	if (cpus ? parse_cpu_list(cpus, &wanted) : sched_getaffinity(0, sizeof(wanted), &wanted)) {
		free(path);
		return -EINVAL;
	}
	dir = opendir(path);
	free(path);
	while (dir && type < 0 && (e = readdir(dir))) {
		if (e->d_name[0] == '.' || !serves(root, e->d_name, &wanted))
			continue;
		if (read_file(root, e->d_name, "type", line, sizeof(line)) &&
		    !parse_u64(line, &n) && n <= INT32_MAX)
			type = (int)n;
	}
	if (dir)
		closedir(dir);
	return type;
}

/*
 * KVM takes the PMU of the CPU on which the first vcpu was made; on a host with several kinds of
 * CPU that need not be where they run.
 */
static int choose(struct vm *vm, const struct arm_cpu_model *model)
{
	const char *cpus = vm->cfg->vcpu_affinity;
	int type = arm_pmu_of("", cpus), ret = 0;

	/* A realm is told how many it has without that. */
	if (type < 0 && (cpus || (model->has_counters && !vm->arch->realm))) {
		err("--pmu: no PMU of the host serves all CPUs that may run the vcpus%s%s",
		    cpus ? ": --vcpu-affinity " : "; bind them with --vcpu-affinity",
		    cpus ? cpus : "");
		return -EOPNOTSUPP;
	}
	if (type < 0 || !kvm_has_attr(vm->vcpus[0]->fd, GROUP, KVM_ARM_VCPU_PMU_V3_SET_PMU))
		return 0;
	for (u32 i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = kvm_set_attr(vm->vcpus[i]->fd, GROUP, KVM_ARM_VCPU_PMU_V3_SET_PMU, &type);
	if (ret)
		err("--pmu: cannot select the host's PMU %d: %s", type, strerror(-ret));
	return ret;
}

static int limit_realm(struct vm *vm, u32 counters)
{
	int ret = 0;

	for (u32 i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = arm_realm_limit_pmu(vm->vcpus[i], counters);
	return ret;
}

/* It holds for all vcpus, whichever is told. */
static int limit_counters(struct vm *vm, u32 counters)
{
	int fd = vm->vcpus[0]->fd, ret;

	if (vm->arch->realm)
		return limit_realm(vm, counters);
	if (!kvm_has_attr(fd, GROUP, KVM_ARM_VCPU_PMU_V3_SET_NR_COUNTERS)) {
		err("--cpu: counters: this host's KVM cannot reduce their number; it needs Linux "
		    "6.16");
		return -EOPNOTSUPP;
	}
	ret = kvm_set_attr(fd, GROUP, KVM_ARM_VCPU_PMU_V3_SET_NR_COUNTERS, &counters);
	if (ret)
		err("--cpu: counters=%u: %s", counters,
		    ret == -EINVAL ? "the host's PMU has fewer" : strerror(-ret));
	return ret;
}

/* So do filters. */
static int limit(struct vm *vm, const struct arm_cpu_model *model)
{
	int fd = vm->vcpus[0]->fd, ret;

	ret = model->has_counters ? limit_counters(vm, model->counters) : 0;
	if (ret)
		return ret;
	for (u32 i = 0; i < model->nr_filters; i++) {
		const struct kvm_pmu_event_filter *f = &model->filters[i];

		ret = kvm_set_attr(fd, GROUP, KVM_ARM_VCPU_PMU_V3_FILTER, f);
		if (ret) {
			err("--cpu: %s=0x%x-0x%x: %s",
			    f->action == KVM_PMU_EVENT_DENY ? "pmu-deny" : "pmu-allow",
			    f->base_event, f->base_event + f->nevents - 1,
			    ret == -EINVAL ? "the PMU has no such events" : strerror(-ret));
			return ret;
		}
	}
	return 0;
}

int arm_pmu_setup(struct vm *vm, const struct arm_cpu_model *model)
{
	const int irq = ARM_PPI_PMU;
	int ret = choose(vm, model);

	if (!ret)
		ret = limit(vm, model);
	if (ret)
		return ret;
	for (u32 i = 0; i < vm->nr_vcpus; i++) {
		int fd = vm->vcpus[i]->fd;

		ret = kvm_set_attr(fd, GROUP, KVM_ARM_VCPU_PMU_V3_IRQ, &irq);
		if (!ret)
			ret = kvm_set_attr(fd, GROUP, KVM_ARM_VCPU_PMU_V3_INIT, NULL);
		if (ret) {
			err("vcpu %u: cannot set up its PMU: %s", i, strerror(-ret));
			return ret;
		}
	}
	return 0;
}
