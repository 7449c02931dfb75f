/* SPDX-License-Identifier: MIT */
/*
 * Why a host's KVM gives guests no vmx or svm, or less of it: what the module's parameter and
 * /proc/cpuinfo tell. For messages and `lkvm host`.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lkvm/util.h"
#include "nested.h"

static const char *const modules[] = { "kvm_intel", "kvm_amd" };

/* 1 on, 0 off, -1: there is none. */
static int nested_parameter(const char *root, const char *module)
{
	char *path = xasprintf("%s/sys/module/%s/parameters/nested", root, module);
	FILE *file = fopen(path, "re");
	int c = file ? fgetc(file) : EOF;

	free(path);
	if (file)
		fclose(file);
	if (c == EOF)
		return -1;
	return !(c == 'N' || c == 'n' || c == '0');
}

const char *x86_nested_why(const char *root, char *buf, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(modules); i++) {
		const char *name = modules[i];
		int on = nested_parameter(root, name);

		if (on == 0) {
			snprintf(buf, len,
				 "module parameter %s.nested is off (/sys/module/%s/parameters/"
				 "nested): modprobe -r %s, then modprobe %s nested=1",
				 name, name, name, name);
			return buf;
		}
		if (on == 1) {
			snprintf(buf, len,
				 "%s.nested is on, yet KVM does not offer it: an old CPU?", name);
			return buf;
		}
	}
	snprintf(buf, len, "the KVM in use is neither kvm_intel nor kvm_amd, and has none");
	return buf;
}

static bool has_word(const char *line, const char *word)
{
	size_t len = strlen(word);

	for (; *line; line += strspn(line, " \t\n")) {
		size_t n = strcspn(line, " \t\n");

		if (n == len && !memcmp(line, word, len))
			return true;
		line += n;
	}
	return false;
}

/* Does the line that begins with @key have @flag? 1, 0, or -1: there is no such line. */
static int cpu_flag(const char *root, const char *key, const char *flag)
{
	char *path = xasprintf("%s/proc/cpuinfo", root), *line = NULL;
	FILE *file = fopen(path, "re");
	size_t room = 0, len = strlen(key);
	int found = -1;

	while (file && found < 0 && getline(&line, &room, file) >= 0)
		if (!strncmp(line, key, len) && strspn(line + len, " \t:"))
			found = has_word(line + len, flag);
	if (file)
		fclose(file);
	free(line);
	free(path);
	return found;
}

const char *x86_nested_feature_why(const char *root, const struct x86_nested_table *table,
				   const struct x86_nested_feature *f, char *buf, size_t len)
{
	/* Since Linux 5.6; SVM's are among the CPU's own. */
	const char *key = table == &x86_vmx_table ? "vmx flags" : "flags";
	int has = *f->alias ? cpu_flag(root, key, f->alias) : -1;

	snprintf(buf, len, "KVM does not offer it to nested hypervisors%s",
		 has > 0    ? ", though the CPU has it"
		 : has == 0 ? ": the CPU lacks it, or Linux does not use it"
			    : "");
	return buf;
}
