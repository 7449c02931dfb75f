/* SPDX-License-Identifier: MIT */
/*
 * Quotes for trust domains; see tdx-quote.h. The guest's buffer is memory that it shares: a header
 * (struct quote_header), then its report, in whose place the quote comes. The service is one as
 * Intel's QGS: a connection for each request, messages with their length (big-endian) in front
 * (confidential-computing.tee.dcap's qgs_msg_lib.h). A guest that writes such a message itself, as
 * Intel's library does where Linux has no other way, gets the answer as it came.
 */
#include "tdx-quote.h"

#include <kvm-tdx.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lkvm/arch.h"
#include "lkvm/config.h"
#include "lkvm/device.h"
#include "lkvm/event.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/unix.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "options-tdx.h"
#include "tdx.h"
#include "x86.h"

/* GHCI 1.5, table 3-10 */
struct quote_header {
	__le64 version;
	__le64 status;
	__le32 in_len;
	__le32 out_len;
};
#define HEADER_VERSION	   1ULL
#define STATUS_SUCCESS	   0ULL
#define STATUS_IN_FLIGHT   0xffffffffffffffffULL
#define STATUS_ERROR	   0x8000000000000000ULL
#define STATUS_UNAVAILABLE 0x8000000000000001ULL

#define PAGE	   (4 * KiB)
#define MAX_BUFFER (128 * KiB)
#define MAX_JOBS   16U
/* A service that does not answer must not keep a request for ever. */
#define TIMEOUT_NS 60000000000ULL

/* TDX module ABI: TDREPORT_STRUCT */
#define REPORT_LEN 1024U

struct qgs_header {
	__le16 major, minor;
	__le32 type;
	__le32 size; /* of the whole message */
	__le32 error;
};
struct qgs_request {
	struct qgs_header header;
	__le32 report_len;
	__le32 ids_len;
};
struct qgs_response {
	struct qgs_header header;
	__le32 id_len;
	__le32 quote_len;
};
#define QGS_MAJOR    1
#define QGS_MINOR    1
#define QGS_REQUEST  0U
#define QGS_RESPONSE 1U
#define QGS_PREFIX   4U

struct job {
	struct x86_tdx_quotes *quotes;
	struct job *next;
	u64 gpa;
	u32 room;     /* behind the header */
	bool wrapped; /* the guest gave a bare report */
	bool started, done;
	u64 status; /* when done */
	struct event ev;
	struct event_timer timer;
	u8 *out; /* to the service */
	u32 out_len, out_at;
	u8 *in; /* from it; prefix first */
	u32 in_len, in_at;
};

struct x86_tdx_quotes {
	struct device dev;
	const char *path;
	struct event_post post;
	bool quiesced;	      /* the main thread's */
	pthread_mutex_t lock; /* guards the list and the notification */
	struct job *jobs;
	u32 nr_jobs;
	bool has_vector;
	u8 vector;
	u32 apic_id;
};

static struct x86_tdx_quotes *to_quotes(struct device *dev)
{
	return container_of(dev, struct x86_tdx_quotes, dev);
}

/* The end of a job, on the main thread */

static void notify(struct x86_tdx_quotes *q)
{
	const struct irqs *irqs = &q->dev.vm->irqs;
	bool has_vector;
	u32 id;
	u8 vector;

	pthread_mutex_lock(&q->lock);
	has_vector = q->has_vector;
	id = q->apic_id;
	vector = q->vector;
	pthread_mutex_unlock(&q->lock);
	/* As the IOAPIC sends its own (Intel SDM volume 3, 11.11; KVM_FEATURE_MSI_EXT_DEST_ID). */
	if (has_vector)
		irqs->ops->send_msi(irqs->opaque,
				    0xfee00000U | (id & 0xff) << 12 | (id >> 8 & 0x7f) << 5, vector,
				    0);
}

static void remove_job(struct job *job)
{
	struct x86_tdx_quotes *q = job->quotes;

	pthread_mutex_lock(&q->lock);
	for (struct job **at = &q->jobs; *at; at = &(*at)->next) {
		if (*at != job)
			continue;
		*at = job->next;
		q->nr_jobs--;
		break;
	}
	pthread_mutex_unlock(&q->lock);
	if (job->ev.loop)
		event_del(&job->ev);
	if (job->ev.fd >= 0)
		close(job->ev.fd);
	event_timer_destroy(&job->timer);
	free(job->out);
	free(job->in);
	free(job);
}

/* What of the answer is the guest's; its status last: the guest may be looking. */
static void deliver(struct job *job)
{
	struct guest_memory *mem = &job->quotes->dev.vm->mem;
	const struct qgs_response *r = (const void *)(job->in + QGS_PREFIX);
	u64 status = job->status;
	__le32 len = 0;
	__le64 word;
	const u8 *bytes = job->in;

	if (!status && job->wrapped) {
		bytes += QGS_PREFIX + sizeof(*r) + le32_to_cpu(r->id_len);
		len = r->quote_len;
	} else if (!status) {
		len = cpu_to_le32(job->in_len);
	}
	/* The guest may have taken its pages back: that is its loss. */
	if (len &&
	    memory_write(mem, job->gpa + sizeof(struct quote_header), bytes, le32_to_cpu(len)))
		return;
	word = cpu_to_le64(status);
	if (memory_write(mem, job->gpa + offsetof(struct quote_header, out_len), &len, sizeof(len)))
		return;
	atomic_thread_fence(memory_order_release);
	if (memory_write(mem, job->gpa + offsetof(struct quote_header, status), &word,
			 sizeof(word)))
		return;
	notify(job->quotes);
}

static void finish_job(struct job *job, u64 status)
{
	job->done = true;
	job->status = status;
	if (job->ev.loop)
		event_del(&job->ev);
	event_timer_set(&job->timer, 0);
	if (job->quotes->quiesced)
		return;
	deliver(job);
	remove_job(job);
}

static void fail_job(struct job *job, const char *what, int error)
{
	guest_warn("--tdx-quote %s: %s%s%s: the guest gets no quote", job->quotes->path, what,
		   error ? ": " : "", error ? strerror(-error) : "");
	finish_job(job, STATUS_ERROR);
}

static void on_timeout(void *opaque)
{
	fail_job(opaque, "does not answer", 0);
}

/* The answer */

/* A whole message; NULL: it is a quote that fits. */
static const char *wrong_with(const struct job *job)
{
	const struct qgs_response *r = (const void *)(job->in + QGS_PREFIX);
	u64 len = job->in_len - QGS_PREFIX, all;

	if (!job->wrapped)
		return NULL;
	if (len < sizeof(*r) || le16_to_cpu(r->header.major) != QGS_MAJOR ||
	    le32_to_cpu(r->header.type) != QGS_RESPONSE || le32_to_cpu(r->header.size) != len)
		return "its answer is not one to a quote request";
	if (r->header.error)
		return "it refuses the report";
	all = sizeof(*r) + (u64)le32_to_cpu(r->id_len) + le32_to_cpu(r->quote_len);
	if (all != len || !r->quote_len)
		return "its answer is damaged";
	if (le32_to_cpu(r->quote_len) > job->room)
		return "the guest's buffer is too small for its quote";
	return NULL;
}

/* The prefix is there: how long the rest is. */
static const char *take_prefix(struct job *job)
{
	u32 len = (u32)job->in[0] << 24 | (u32)job->in[1] << 16 | (u32)job->in[2] << 8 | job->in[3];

	if (!len || len > MAX_BUFFER - QGS_PREFIX)
		return "its answer is too long";
	if (!job->wrapped && len + QGS_PREFIX > job->room)
		return "the guest's buffer is too small for its answer";
	job->in_len = QGS_PREFIX + len;
	return NULL;
}

static void receive(struct job *job)
{
	for (;;) {
		u32 want = job->in_len ? job->in_len : QGS_PREFIX;
		const char *wrong = NULL;
		ssize_t n = recv(job->ev.fd, job->in + job->in_at, want - job->in_at, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			fail_job(job, "ends the connection", n ? -errno : 0);
			return;
		}
		job->in_at += (u32)n;
		if (job->in_at < want)
			continue;
		if (!job->in_len)
			wrong = take_prefix(job);
		else if (!(wrong = wrong_with(job))) {
			finish_job(job, STATUS_SUCCESS);
			return;
		}
		if (wrong) {
			fail_job(job, wrong, 0);
			return;
		}
	}
}

/* The request */

static void send_request(struct job *job)
{
	while (job->out_at < job->out_len) {
		ssize_t n = send(job->ev.fd, job->out + job->out_at, job->out_len - job->out_at,
				 MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			fail_job(job, "cannot be asked", -errno);
			return;
		}
		job->out_at += (u32)n;
	}
	event_mod(&job->ev, EPOLLIN);
}

static void on_ready(void *opaque, u32 events)
{
	struct job *job = opaque;

	if (job->out_at < job->out_len)
		send_request(job);
	else
		receive(job);
}

static void start_job(struct job *job)
{
	struct event_loop *loop = &job->quotes->dev.vm->loop;
	int fd = unix_connect(job->quotes->path), ret;

	job->started = true;
	event_timer_init(&job->timer, loop, on_timeout, job);
	if (fd < 0) {
		guest_warn("--tdx-quote %s: cannot connect: %s: the guest gets no quote",
			   job->quotes->path, strerror(-fd));
		finish_job(job, STATUS_UNAVAILABLE);
		return;
	}
	job->ev = (struct event){ .fd = fd, .events = EPOLLOUT, .fn = on_ready, .opaque = job };
	ret = event_add(loop, &job->ev);
	if (ret) {
		fail_job(job, "cannot be watched", ret);
		return;
	}
	event_timer_set(&job->timer, TIMEOUT_NS);
}

/* The newest first; those before were started. */
static void on_post(void *opaque)
{
	struct x86_tdx_quotes *q = opaque;

	for (;;) {
		struct job *job;

		pthread_mutex_lock(&q->lock);
		job = q->jobs;
		while (job && job->started)
			job = job->next;
		pthread_mutex_unlock(&q->lock);
		if (!job)
			return;
		start_job(job);
	}
}

/* The guest's call, on a vcpu's thread */

static void put_be32(u8 *p, u32 v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (u8)(v >> (24 - 8 * i));
}

static struct job *new_job(struct x86_tdx_quotes *q, u64 gpa, u64 size, u32 in_len)
{
	const struct qgs_request request = {
		.header = { .major = cpu_to_le16(QGS_MAJOR),
			    .minor = cpu_to_le16(QGS_MINOR),
			    .type = cpu_to_le32(QGS_REQUEST),
			    .size = cpu_to_le32(sizeof(request) + REPORT_LEN) },
		.report_len = cpu_to_le32(REPORT_LEN),
	};
	u64 data = gpa + sizeof(struct quote_header);
	struct job *job = xcalloc(1, sizeof(*job));
	u32 head = 0;

	job->quotes = q;
	job->gpa = gpa;
	job->room = (u32)(size - sizeof(struct quote_header));
	job->ev.fd = -1;
	job->wrapped = in_len == REPORT_LEN;
	if (job->wrapped)
		head = QGS_PREFIX + sizeof(request);
	job->out_len = head + in_len;
	job->out = xcalloc(1, job->out_len);
	job->in = xcalloc(1, MAX_BUFFER);
	if (job->wrapped) {
		put_be32(job->out, sizeof(request) + REPORT_LEN);
		memcpy(job->out + QGS_PREFIX, &request, sizeof(request));
	}
	if (!memory_read(&q->dev.vm->mem, data, job->out + head, in_len))
		return job;
	remove_job(job);
	return NULL;
}

/* The guest sees it under way before anybody can end it. */
static bool mark(struct x86_tdx_quotes *q, u64 gpa)
{
	const struct {
		__le64 status;
	} head = { cpu_to_le64(STATUS_IN_FLIGHT) };
	const __le32 none = 0;
	struct guest_memory *mem = &q->dev.vm->mem;

	return !memory_write(mem, gpa + offsetof(struct quote_header, out_len), &none,
			     sizeof(none)) &&
	       !memory_write(mem, gpa + offsetof(struct quote_header, status), &head, sizeof(head));
}

static u64 take_job(struct x86_tdx_quotes *q, u64 gpa, u64 size, u32 in_len)
{
	struct job *job = new_job(q, gpa, size, in_len);
	bool full;

	if (!job)
		return LKVM_TDVMCALL_INVALID_OPERAND;
	if (!mark(q, gpa)) {
		remove_job(job);
		return LKVM_TDVMCALL_INVALID_OPERAND;
	}
	pthread_mutex_lock(&q->lock);
	full = q->nr_jobs == MAX_JOBS;
	if (!full) {
		job->next = q->jobs;
		q->jobs = job;
		q->nr_jobs++;
	}
	pthread_mutex_unlock(&q->lock);
	if (full) {
		remove_job(job);
		return LKVM_TDVMCALL_RETRY;
	}
	event_loop_post(&q->dev.vm->loop, &q->post);
	return LKVM_TDVMCALL_SUCCESS;
}

u64 x86_tdx_quote(struct x86_tdx_quotes *q, u64 gpa, u64 size)
{
	struct quote_header h;
	u32 in_len;

	if (!IS_ALIGNED(gpa | size, PAGE))
		return LKVM_TDVMCALL_ALIGN_ERROR;
	if (!size || size > MAX_BUFFER || !memory_is_ram(&q->dev.vm->mem, gpa, size) ||
	    memory_read(&q->dev.vm->mem, gpa, &h, sizeof(h)))
		return LKVM_TDVMCALL_INVALID_OPERAND;
	in_len = le32_to_cpu(h.in_len);
	if (le64_to_cpu(h.version) != HEADER_VERSION || !in_len || in_len > size - sizeof(h))
		return LKVM_TDVMCALL_INVALID_OPERAND;
	return take_job(q, gpa, size, in_len);
}

u64 x86_tdx_quote_notify(struct x86_tdx_quotes *q, const struct vcpu *vcpu, u64 vector)
{
	/* GHCI 1.5, 3.5 */
	if (vector < 32 || vector > 255)
		return LKVM_TDVMCALL_INVALID_OPERAND;
	pthread_mutex_lock(&q->lock);
	q->has_vector = true;
	q->vector = (u8)vector;
	q->apic_id = arch_vcpu_kvm_id(vcpu->vm, vcpu->id);
	pthread_mutex_unlock(&q->lock);
	return LKVM_TDVMCALL_SUCCESS;
}

/* The device */

static int quote_realize(struct device *dev, struct vm *vm)
{
	return 0;
}

/* Nobody waits for the answers any more. vcpus are parked. */
static void forget_all(struct x86_tdx_quotes *q)
{
	event_loop_unpost(&q->dev.vm->loop, &q->post);
	while (q->jobs)
		remove_job(q->jobs);
}

static void quote_reset(struct device *dev)
{
	struct x86_tdx_quotes *q = to_quotes(dev);

	forget_all(q);
	q->has_vector = false;
}

static void quote_quiesce(struct device *dev)
{
	to_quotes(dev)->quiesced = true;
}

static void quote_resume(struct device *dev)
{
	struct x86_tdx_quotes *q = to_quotes(dev);
	struct job *next;

	q->quiesced = false;
	for (struct job *job = q->jobs; job; job = next) {
		next = job->next;
		if (!job->done)
			continue;
		deliver(job);
		remove_job(job);
	}
}

static void quote_destroy(struct device *dev)
{
	struct x86_tdx_quotes *q = to_quotes(dev);

	forget_all(q);
	if (dev->vm->arch && dev->vm->arch->tdx)
		dev->vm->arch->tdx->quotes = NULL;
	pthread_mutex_destroy(&q->lock);
	free(q);
}

static const struct device_ops quote_device_ops = {
	.realize = quote_realize,
	.reset = quote_reset,
	.quiesce = quote_quiesce,
	.resume = quote_resume,
	.state = &no_state, /* a trust domain is not saved */
	.destroy = quote_destroy,
};

int x86_tdx_quote_create(struct vm *vm, struct x86_tdx_quotes **out)
{
	const char *quote = vm->cfg->x86.tdx.quote;
	struct x86_tdx_quotes *q;
	int ret;

	*out = NULL;
	if (!quote)
		return 0;
	q = xcalloc(1, sizeof(*q));
	q->dev.name = "tdx-quotes";
	q->dev.ops = &quote_device_ops;
	q->path = quote + strlen(X86_TDX_UNIX);
	q->post.fn = on_post;
	q->post.opaque = q;
	pthread_mutex_init(&q->lock, NULL);
	ret = device_add(vm, &q->dev);
	if (ret) {
		pthread_mutex_destroy(&q->lock);
		free(q);
		return ret;
	}
	/* It may come later. */
	if (vm->kvm.vm_fd >= 0 && access(q->path, W_OK))
		warn("--tdx-quote %s: %s; until a service is there the guest gets no quotes",
		     q->path, strerror(errno));
	*out = q;
	return 0;
}
