/* SPDX-License-Identifier: MIT */
/* LKVM_MODEL: a kind of guests and its options. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "model.h"

struct model_settings model;

u64 model_number(const char *what, const char *text)
{
	char *end;
	u64 n;

	errno = 0;
	n = text && *text ? strtoull(text, &end, 0) : 0;
	if (!text || !*text || *end || errno)
		model_usage("%s: '%s' is not a number", what, text ? text : "");
	return n;
}

/* Options of every kind. */
static bool common_option(const char *name, const char *value)
{
	if (!strcmp(name, "kvm") && value && !strcmp(value, "host"))
		model.host_kvm = true;
	else if (!strcmp(name, "kvm") && value && !strcmp(value, "none"))
		model.host_kvm = false;
	else if (!strcmp(name, "lenient") && !value)
		model.lenient = true;
	else if (!strcmp(name, "strict") && !value)
		model.strict = true;
	else if (!strcmp(name, "chunk"))
		model.chunk = (u32)model_number("chunk", value);
	else if (!strcmp(name, "eintr"))
		model.eintr = (u32)model_number("eintr", value);
	else
		return vfio_option(name, value);
	return true;
}

static void tell_kinds(void)
{
	for (const struct model_kind *const *k = model_kinds; *k; k++)
		printf("%s: %s\n", (*k)->name, (*k)->help);
	fflush(stdout);
	_exit(0);
}

static const struct model_kind *find_kind(const char *word)
{
	char names[256] = "";
	size_t len = 0;

	if (!strcmp(word, "help"))
		tell_kinds();
	for (const struct model_kind *const *k = model_kinds; *k; k++) {
		if ((*k)->select ? (*k)->select(word) : !strcmp((*k)->name, word))
			return *k;
		len += (size_t)snprintf(names + len, sizeof(names) - len, " %s", (*k)->name);
	}
	model_usage("LKVM_MODEL: unknown kind '%s'; there are:%s", word, names);
}

/* Before main; the name is of a process that may never open KVM. */
__attribute__((constructor)) static void start(void)
{
	const char *all = getenv("LKVM_MODEL");
	const struct model_kind *kind;
	pthread_mutexattr_t recursive;
	char *words, *word, *rest;

	if (!all || !*all)
		return;
	pthread_mutexattr_init(&recursive);
	pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&model_lock, &recursive);
	words = strdup(all);
	if (!words)
		abort();
	word = strtok_r(words, ",", &rest);
	kind = find_kind(word ? word : "");
	while ((word = strtok_r(NULL, ",", &rest))) {
		char *value = strchr(word, '=');

		if (value)
			*value++ = 0;
		if (!common_option(word, value) && !(kind->option && kind->option(word, value)))
			model_usage("LKVM_MODEL: kind %s has no option '%s%s%s'", kind->name, word,
				    value ? "=" : "", value ? value : "");
	}
	free(words);
	model.kind = kind;
	model_script_load();
	vfio_start();
}
