/* SPDX-License-Identifier: MIT */
/*
 * LKVM_MODEL_SCRIPT: a file, or the text itself; lines, or parts between semicolons:
 *
 *   fail CALL N ERRNO [fw=CODE] [page=P]  the N-th call (from 1) of CALL fails; with the firmware's
 *                                         code; a populate at its page P (from 0)
 *   signal CALL N [page=P] [sig=S]        a signal is pending at page P of the N-th call; signal S
 *                                         is sent to the process then
 *   run N EXIT [WORD[=VALUE]...]          the N-th KVM_RUN of a vcpu (vcpu=I, else 0) answers EXIT
 *
 * A hash begins a comment. Only what the rules of the chosen kind allow can be had.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "model.h"

#define MAX_WORDS 16

struct model_words {
	char *words[MAX_WORDS];
	u32 n;
	u32 line;
	struct entry *owner;
};

static struct entry {
	struct model_words w;
	enum { FAIL, EXIT } what;
	u64 nth;
	u64 vcpu;
	bool done;
	const struct model_exit_kind *exit;
	struct model_fault fault;
} * entries;
static size_t nr_entries;

static struct count {
	char name[48];
	u64 n;
} counts[256];

bool model_word(const struct model_words *words, const char *name)
{
	size_t len = strlen(name);

	for (u32 i = 0; i < words->n; i++)
		if (!strncmp(words->words[i], name, len) &&
		    (!words->words[i][len] || words->words[i][len] == '='))
			return true;
	return false;
}

u64 model_word_number(const struct model_words *words, const char *name, u64 otherwise)
{
	size_t len = strlen(name);

	for (u32 i = 0; i < words->n; i++)
		if (!strncmp(words->words[i], name, len) && words->words[i][len] == '=')
			return model_number(name, words->words[i] + len + 1);
	return otherwise;
}

int model_script_error(const struct model_words *words, const char *format, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, format);
	vsnprintf(text, sizeof(text), format, ap);
	va_end(ap);
	model_usage("script, line %u: %s", words->line, text);
}

static int find_errno(const char *name)
{
	for (int e = 1; e < 134; e++)
		if (strerrorname_np(e) && !strcmp(strerrorname_np(e), name))
			return e;
	return 0;
}

/* What any call of KVM may say for want of something; the rest is the kind's table. */
static bool is_general(const char *name, int err)
{
	if (err == ENOMEM || err == EINTR)
		return true;
	if (err == EMFILE || err == ENFILE)
		return strstr(name, "CREATE");
	/* An older kernel does not know PASIDs. */
	if (err == EINVAL)
		return !strcmp(name, "VFIO_DEVICE_ATTACH_IOMMUFD_PT");
	return err == EAGAIN && !strcmp(name, "KVM_RUN");
}

static void check_failure(const struct entry *e)
{
	const struct model_failure *f = model.kind->failures;
	const char *name = e->w.words[1];

	while (f && f->name && strcmp(f->name, name))
		f++;
	if (!f || !f->name) {
		if (!is_general(name, e->fault.err) || e->fault.fw)
			model_script_error(&e->w, "no rule lets %s fail like that", name);
		return;
	}
	if (e->fault.fw && !f->firmware)
		model_script_error(&e->w, "%s does not reach the firmware", name);
	for (u32 i = 0; i < MODEL_ARRAY(f->errs) && f->errs[i]; i++)
		if (f->errs[i] == e->fault.err)
			return;
	model_script_error(&e->w, "no rule lets %s fail with %s", name,
			   strerrorname_np(e->fault.err));
}

static void parse_failure(struct entry *e, bool signal)
{
	if (e->w.n < (signal ? 3U : 4U))
		model_script_error(&e->w, "it is: fail CALL N ERRNO, or: signal CALL N");
	e->what = FAIL;
	e->nth = model_number("N", e->w.words[2]);
	e->fault.err = signal ? EINTR : find_errno(e->w.words[3]);
	if (!e->fault.err)
		model_script_error(&e->w, "'%s' is not the name of an errno", e->w.words[3]);
	e->fault.fw = model_word_number(&e->w, "fw", 0);
	e->fault.page = model_word_number(&e->w, "page", 0);
	e->fault.sig = signal ? (int)model_word_number(&e->w, "sig", 0) : 0;
	if (e->fault.sig < 0 || e->fault.sig > 64)
		model_script_error(&e->w, "signals are 1 to 64");
	check_failure(e);
}

static void parse_exit(struct entry *e)
{
	const struct model_exit_kind *x = model.kind->exits;

	if (e->w.n < 3)
		model_script_error(&e->w, "it is: run N EXIT");
	e->what = EXIT;
	e->nth = model_number("N", e->w.words[1]);
	e->vcpu = model_word_number(&e->w, "vcpu", 0);
	while (x && x->name && strcmp(x->name, e->w.words[2]))
		x++;
	if (!x || !x->name)
		model_script_error(&e->w, "kind %s has no exit '%s'", model.kind->name,
				   e->w.words[2]);
	e->exit = x;
}

static void parse_line(char *line, u32 number)
{
	struct entry e = { .w.line = number };
	char *word, *rest;

	line[strcspn(line, "#")] = 0;
	for (word = strtok_r(line, " \t", &rest); word; word = strtok_r(NULL, " \t", &rest)) {
		if (e.w.n == MAX_WORDS)
			model_script_error(&e.w, "too many words");
		e.w.words[e.w.n++] = word;
	}
	if (!e.w.n)
		return;
	if (!strcmp(e.w.words[0], "fail") || !strcmp(e.w.words[0], "signal"))
		parse_failure(&e, e.w.words[0][0] == 's');
	else if (!strcmp(e.w.words[0], "run"))
		parse_exit(&e);
	else
		model_script_error(&e.w, "it begins with fail, signal or run, not '%s'",
				   e.w.words[0]);
	entries = realloc(entries, (nr_entries + 1) * sizeof(*entries));
	if (!entries)
		abort();
	entries[nr_entries++] = e;
}

/* The words stay in it. */
static char *load(const char *what)
{
	FILE *f = strpbrk(what, " ;\n") ? NULL : fopen(what, "re");
	size_t size = 1U << 16;
	char *text = f ? calloc(1, size) : strdup(what);

	if (!text)
		abort();
	if (f) {
		if (fread(text, 1, size - 1, f) == size - 1)
			model_usage("LKVM_MODEL_SCRIPT=%s: is too long", what);
		fclose(f);
	}
	return text;
}

void model_script_load(void)
{
	const char *what = getenv("LKVM_MODEL_SCRIPT");
	u32 number = 0;
	char *line, *rest;

	if (!what || !*what)
		return;
	rest = load(what);
	while ((line = strsep(&rest, "\n;")))
		parse_line(line, ++number);
}

static u64 count_call(const char *name)
{
	for (u32 i = 0; i < MODEL_ARRAY(counts); i++) {
		if (!counts[i].n)
			snprintf(counts[i].name, sizeof(counts[i].name), "%s", name);
		if (!strcmp(counts[i].name, name))
			return ++counts[i].n;
	}
	return 0;
}

void model_script_call(struct model_call *c)
{
	u64 n = count_call(c->name);

	for (size_t i = 0; i < nr_entries; i++) {
		struct entry *e = &entries[i];

		if (e->what != FAIL || e->nth != n || strcmp(e->w.words[1], c->name))
			continue;
		c->fault = e->fault;
		e->done = true;
	}
}

/* The union of kvm_run, and what stands before it. */
static void clear_run(struct kvm_run *run)
{
	memset((u8 *)run + 32, 0, 256);
	run->flags = 0;
	run->if_flag = 0;
	run->ready_for_interrupt_injection = 0;
}

bool model_script_exit(struct model_vcpu *vcpu, int *error)
{
	for (size_t i = 0; i < nr_entries; i++) {
		struct entry *e = &entries[i];
		int ret;

		if (e->what != EXIT || e->done || e->nth != vcpu->runs || e->vcpu != vcpu->index)
			continue;
		e->done = true;
		if (model.host_kvm && vcpu->real_exit)
			model_real_complete(vcpu);
		clear_run(vcpu->run);
		*error = 0;
		ret = e->exit->fill(vcpu, &e->w, error);
		if (ret)
			model_script_error(&e->w, "no rule lets %s come like that", e->exit->name);
		vcpu->exits = e->exit;
		model_log("\"exit\": \"%s\", \"vm\": %u, \"vcpu\": %u, \"run\": %u, \"line\": %u",
			  e->exit->name, vcpu->vm->number, vcpu->index, vcpu->runs, e->w.line);
		return true;
	}
	return false;
}

bool model_script_pending(const struct model_vcpu *vcpu)
{
	for (size_t i = 0; i < nr_entries; i++)
		if (entries[i].what == EXIT && !entries[i].done && entries[i].vcpu == vcpu->index)
			return true;
	return false;
}

void model_script_check(void)
{
	for (size_t i = 0; i < nr_entries; i++)
		if (!entries[i].done)
			model_log("\"unreached\": \"line %u of the script\"", entries[i].w.line);
}
