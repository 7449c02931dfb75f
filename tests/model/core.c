/* SPDX-License-Identifier: MIT */
/* Descriptors, and the way of a call through the model (see model.h). */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "model-files.h"
#include "vfio.h"

#define MAX_FDS 8192

pthread_mutex_t model_lock;
static struct model_file files[MAX_FDS];
static struct model_vm *vms;
static u32 nr_vms;
static int probe_pipe[2] = { -1, -1 }; /* through which the caller's memory is read and written */

static const struct model_file no_file;

struct model_file *model_file(int fd)
{
	static struct model_file none;

	none = no_file;
	return fd >= 0 && fd < MAX_FDS ? &files[fd] : &none;
}

struct model_file *model_register(int fd, enum model_type type)
{
	if (fd >= MAX_FDS)
		model_usage("descriptor %d: at most %d are known", fd, MAX_FDS);
	files[fd] = (struct model_file){ .type = type };
	return &files[fd];
}

bool model_any_vm(void)
{
	for (const struct model_vm *vm = vms; vm; vm = vm->next)
		if (!vm->gone)
			return true;
	return false;
}

void model_drop_fd(int fd)
{
	if (fd >= 0 && fd < MAX_FDS)
		files[fd] = no_file;
	model_libc_close(fd);
}

int model_new_fd(const char *name, u64 size, enum model_type type)
{
	int fd = (int)syscall(SYS_memfd_create, name, 1U /* MFD_CLOEXEC */);

	if (fd < 0)
		return -errno;
	if (size && ftruncate(fd, (off_t)size)) {
		int ret = -errno;

		model_libc_close(fd);
		return ret;
	}
	model_register(fd, type);
	return fd;
}

/* A page of the caller's at a time through a pipe: its end says EFAULT where memcpy crashes. */
static int through_pipe(void *to, const void *from, size_t len)
{
	while (len) {
		size_t n = len < MODEL_PAGE ? len : MODEL_PAGE;

		if (syscall(SYS_write, probe_pipe[1], from, n) != (long)n)
			return -EFAULT;
		if (syscall(SYS_read, probe_pipe[0], to, n) != (long)n) {
			u8 drop[MODEL_PAGE];

			syscall(SYS_read, probe_pipe[0], drop, n);
			return -EFAULT;
		}
		to = (u8 *)to + n;
		from = (const u8 *)from + n;
		len -= n;
	}
	return 0;
}

int model_read(void *to, u64 from, size_t len)
{
	return through_pipe(to, model_pointer(from), len);
}

int model_write(u64 to, const void *from, size_t len)
{
	return through_pipe(model_pointer(to), from, len);
}

bool model_is_writable(u64 at, size_t len)
{
	for (u64 p = at; p < at + len; p = (p | (MODEL_PAGE - 1)) + 1) {
		u8 byte;

		if (model_read(&byte, p, 1) || model_write(p, &byte, 1))
			return false;
	}
	return true;
}

static void open_all(void)
{
	model_report_open();
	if (probe_pipe[0] < 0 && syscall(SYS_pipe2, probe_pipe, O_CLOEXEC | O_NONBLOCK) < 0)
		model_usage("no pipe: %s", strerror(errno));
}

long model_exists(const char *path)
{
	const char *text = model.kind && model.kind->file ? model.kind->file(path) : NULL;

	if (model.kind && !model.host_kvm && !strcmp(path, "/dev/kvm"))
		return 0;
	return text ? (*text ? 0 : -ENOENT) : MODEL_PASS;
}

static long open_kvm(int flags)
{
	int fd = model.host_kvm ? model_libc_open("/dev/kvm", flags)
				: model_new_fd("kvm", 0, MODEL_KVM);

	if (fd < 0)
		return model.host_kvm ? -errno : fd;
	model_register(fd, MODEL_KVM);
	return fd;
}

static long open_text(const char *path, const char *text)
{
	int fd = model_new_fd(path, 0, MODEL_NONE);
	size_t len = strlen(text);

	if (fd >= 0 && (syscall(SYS_write, fd, text, len) != (long)len || lseek(fd, 0, SEEK_SET)))
		model_usage("%s: cannot make it: %s", path, strerror(errno));
	return fd;
}

long model_open(const char *path, int flags)
{
	const char *text;
	long fd;

	if (!model.kind || !path)
		return MODEL_PASS;
	if (!strcmp(path, "/dev/kvm")) {
		pthread_mutex_lock(&model_lock);
		open_all();
		fd = open_kvm(flags);
		pthread_mutex_unlock(&model_lock);
		return fd;
	}
	text = model.kind->file ? model.kind->file(path) : NULL;
	if (!text && vfio_settings.on) {
		open_all();
		return vfio_open(path);
	}
	if (!text)
		return MODEL_PASS;
	if (!*text)
		return -ENOENT;
	open_all();
	if (!strcmp(path, "/dev/sev"))
		return model_new_fd("sev", 0, MODEL_SEV);
	return open_text(path, text);
}

void model_note(struct model_call *c, const char *key, const char *format, ...)
{
	size_t len = strlen(c->note);
	va_list ap;
	int n = snprintf(c->note + len, sizeof(c->note) - len, ", \"%s\": ", key);

	if (n < 0 || len + (size_t)n + 1 >= sizeof(c->note)) {
		c->note[len] = 0;
		return;
	}
	va_start(ap, format);
	if (vsnprintf(c->note + len + n, sizeof(c->note) - len - (size_t)n, format, ap) >=
	    (int)(sizeof(c->note) - len - (size_t)n))
		c->note[len] = 0; /* whole or not at all */
	va_end(ap);
}

long model_fail(struct model_call *c)
{
	if (!c->fault.err || c->fault.used)
		return 0;
	c->fault.used = true;
	return -c->fault.err;
}

/* Only a signal that this thread lets through interrupts it; a handler runs before that. */
static long interrupt(struct model_call *c)
{
	sigset_t blocked;
	bool passes;

	c->fault.used = true;
	pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	passes = !sigismember(&blocked, c->fault.sig);
	model_log("\"signal\": %d, \"blocked\": %s", c->fault.sig, passes ? "false" : "true");
	kill(getpid(), c->fault.sig);
	return passes ? -EINTR : 0;
}

long model_disturb(struct model_call *c, u64 i)
{
	if (c->fault.err && !c->fault.used && c->fault.page == i)
		return c->fault.sig ? interrupt(c) : model_fail(c);
	if (model.eintr && i == model.eintr)
		return -EINTR;
	return model.chunk && i == model.chunk ? -EAGAIN : 0;
}

static const struct model_name common_names[] = {
#define NAME(x)       \
	{             \
		x, #x \
	}
	NAME(KVM_GET_API_VERSION),
	NAME(KVM_CREATE_VM),
	NAME(KVM_CHECK_EXTENSION),
	NAME(KVM_GET_VCPU_MMAP_SIZE),
	NAME(KVM_CREATE_VCPU),
	NAME(KVM_SET_USER_MEMORY_REGION),
	NAME(KVM_SET_USER_MEMORY_REGION2),
	NAME(KVM_CREATE_GUEST_MEMFD),
	NAME(KVM_SET_MEMORY_ATTRIBUTES),
	NAME(KVM_ENABLE_CAP),
	NAME(KVM_IRQFD),
	NAME(KVM_IOEVENTFD),
	NAME(KVM_SET_GSI_ROUTING),
	NAME(KVM_SIGNAL_MSI),
	NAME(KVM_IRQ_LINE),
	NAME(KVM_CREATE_DEVICE),
	NAME(KVM_SET_DEVICE_ATTR),
	NAME(KVM_GET_DEVICE_ATTR),
	NAME(KVM_HAS_DEVICE_ATTR),
	NAME(KVM_RUN),
	NAME(KVM_GET_MP_STATE),
	NAME(KVM_SET_MP_STATE),
	NAME(KVM_SET_GUEST_DEBUG),
	NAME(KVM_GET_REGS),
	NAME(KVM_SET_REGS),
	NAME(KVM_GET_ONE_REG),
	NAME(KVM_SET_ONE_REG),
	{ 0, NULL },
};

static const char *find_name(const struct model_name *names, unsigned long request)
{
	while (names && names->name && names->request != request)
		names++;
	return names ? names->name : NULL;
}

static void name_call(struct model_call *c)
{
	const char *name = NULL;

	if (model.kind->name_call)
		name = model.kind->name_call(c);
	if (!name && c->file->type > MODEL_VFIO_SYSFS)
		name = vfio_name_call(c);
	if (!name)
		name = find_name(common_names, c->request);
	if (!name)
		name = find_name(model_machine.names, c->request);
	if (name)
		snprintf(c->name, sizeof(c->name), "%s", name);
	else
		snprintf(c->name, sizeof(c->name), "ioctl-0x%lx", c->request);
}

static struct model_vm *new_vm(u64 type)
{
	struct model_vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		abort();
	vm->number = nr_vms++;
	vm->type = type;
	vm->gmem_flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
	return vm;
}

static long create_vm(struct model_call *c)
{
	struct model_vm *vm = new_vm(c->arg);
	long ret = model.kind->create ? model.kind->create(vm, c->arg) : MODEL_PASS;

	vm->kind = ret == MODEL_PASS ? NULL : model.kind;
	if (ret == MODEL_PASS || ret >= 0)
		ret = model.host_kvm ? model_real_vm(vm) : model_new_fd("kvm-vm", 0, MODEL_VM);
	if (ret >= 0) {
		int made = model_machine.vm(vm);

		if (made) {
			model_drop_fd((int)ret);
			ret = made;
		}
	}
	if (ret < 0) {
		free(vm->kind_state);
		free(vm);
		return ret;
	}
	vm->fd = (int)ret;
	vm->next = vms;
	vms = vm;
	model_register(vm->fd, MODEL_VM)->vm = vm;
	return ret;
}

static long new_vcpu_fd(struct model_vcpu *vcpu)
{
	long fd = model_new_fd("kvm-vcpu", MODEL_RUN_SIZE, MODEL_VCPU);
	void *run;

	if (fd < 0)
		return fd;
	run = model_libc_mmap(NULL, MODEL_RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, (int)fd, 0);
	if (run == MAP_FAILED) {
		model_drop_fd((int)fd);
		return -ENOMEM;
	}
	vcpu->fd = (int)fd;
	vcpu->run = run;
	return fd;
}

static long create_vcpu(struct model_call *c)
{
	struct model_vm *vm = c->vm;
	struct model_vcpu *vcpu;
	long ret;

	for (u32 i = 0; i < vm->nr_vcpus; i++)
		if (vm->vcpus[i]->id == c->arg)
			return -EEXIST;
	if (vm->nr_vcpus == MODEL_MAX_VCPUS)
		return -EINVAL;
	vcpu = calloc(1, sizeof(*vcpu));
	if (!vcpu)
		abort();
	*vcpu = (struct model_vcpu){ .vm = vm, .id = (u32)c->arg, .index = vm->nr_vcpus, .fd = -1 };
	ret = model.host_kvm ? model_real_vcpu(vcpu) : new_vcpu_fd(vcpu);
	if (ret >= 0 && model_machine.vcpu(vcpu))
		abort();
	if (ret < 0) {
		free(vcpu);
		return ret;
	}
	vcpu->fd = (int)ret;
	vm->vcpus[vm->nr_vcpus++] = vcpu;
	model_register(vcpu->fd, MODEL_VCPU)->vm = vm;
	files[vcpu->fd].vcpu = vcpu;
	return ret;
}

static bool any_pending(const struct model_vm *vm)
{
	for (u32 i = 0; i < vm->nr_vcpus; i++)
		if (model_script_pending(vm->vcpus[i]))
			return true;
	return false;
}

/* Without the lock, until lkvm wants this vcpu back, or it is the first and the last one's script
 * is done. Whoever wants it back sets immediate_exit and sends a signal, which may come before the
 * sleep begins: that is short. */
static long sleep_on(struct model_vcpu *vcpu)
{
	do {
		int ret = 0;

		if (!__atomic_load_n(&vcpu->run->immediate_exit, __ATOMIC_SEQ_CST)) {
			pthread_mutex_unlock(&model_lock);
			ret = poll(NULL, 0, 10);
			pthread_mutex_lock(&model_lock);
		}
		if (ret < 0 || __atomic_load_n(&vcpu->run->immediate_exit, __ATOMIC_SEQ_CST))
			return -EINTR;
	} while (vcpu->index || any_pending(vcpu->vm));
	return 0;
}

/* Without any KVM: the guest does what the script says, and then powers off by its first vcpu. */
static long play(struct model_vcpu *vcpu)
{
	struct model_vm *vm = vcpu->vm;
	long ret;

	if (model_script_pending(vcpu)) {
		vcpu->run->exit_reason = KVM_EXIT_INTR;
		return 0;
	}
	ret = vcpu->index || any_pending(vm) ? sleep_on(vcpu) : 0;
	if (ret)
		return ret;
	vcpu->run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
	vcpu->run->system_event.type = KVM_SYSTEM_EVENT_SHUTDOWN;
	vcpu->run->system_event.ndata = 0;
	model_log("\"exit\": \"power-off\", \"vm\": %u, \"vcpu\": %u", vm->number, vcpu->index);
	return 0;
}

static long run_vcpu(struct model_call *c)
{
	struct model_vcpu *vcpu = c->vcpu;
	const struct model_exit_kind *last = vcpu->exits;
	int error = 0;
	long ret;

	vcpu->exits = NULL;
	ret = last && last->complete ? last->complete(vcpu) : 0;
	if (!ret && c->vm->kind && c->vm->kind->enter)
		ret = c->vm->kind->enter(vcpu);
	else if (!ret && !c->vm->kind && !model.host_kvm && model_machine.enter)
		ret = model_machine.enter(vcpu);
	if (ret)
		return ret < 0 ? ret : 0;
	if (__atomic_load_n(&vcpu->run->immediate_exit, __ATOMIC_SEQ_CST))
		return model.host_kvm ? model_real_run(c) : -EINTR;
	c->vm->has_run = true;
	vcpu->runs++;
	if (model_script_exit(vcpu, &error)) {
		vcpu->real_exit = false;
		return error;
	}
	vcpu->real_exit = true;
	return model.host_kvm ? model_real_run(c) : play(vcpu);
}

static long ask_kind(struct model_call *c)
{
	const struct model_kind *kind = c->vm ? c->vm->kind : model.kind;
	long (*ask)(struct model_call *) = NULL;

	if (!kind)
		return model.kind->ordinary ? model.kind->ordinary(c) : MODEL_PASS;
	if (c->file->type == MODEL_KVM)
		ask = kind->system;
	else if (c->file->type == MODEL_VM)
		ask = kind->vm;
	else if (c->file->type == MODEL_VCPU)
		ask = kind->vcpu;
	else if (c->file->type == MODEL_DEVICE)
		ask = kind->device;
	else if (c->file->type == MODEL_GMEM)
		ask = kind->gmem;
	return ask ? ask(c) : MODEL_PASS;
}

static bool is_declared(const struct model_call *c)
{
	const struct model_failure *f = model.kind->failures;

	while (f && f->name && strcmp(f->name, c->name))
		f++;
	return f && f->name;
}

static long dispatch(struct model_call *c)
{
	enum model_type type = c->file->type;
	long ret;

	/* Where a fault of its own rules takes effect, the kind knows. */
	if (!is_declared(c) &&
	    (ret = c->fault.sig && !c->fault.used ? interrupt(c) : model_fail(c)))
		return ret;
	if (type > MODEL_VFIO_SYSFS)
		return vfio_ioctl(c);
	ret = vfio_kvm(c);
	if (ret != MODEL_PASS)
		return ret;
	ret = ask_kind(c);
	if (ret != MODEL_PASS)
		return ret;
	if (type == MODEL_KVM && c->request == KVM_CREATE_VM)
		return create_vm(c);
	if (type == MODEL_VM && c->request == KVM_CREATE_VCPU)
		return create_vcpu(c);
	if (type == MODEL_VCPU && c->request == KVM_RUN)
		return run_vcpu(c);
	ret = model_memory(c);
	if (ret != MODEL_PASS)
		return ret;
	return model.host_kvm ? model_real(c) : model_machine.ioctl(c);
}

/* Of KVM_RUN only what failed: exits have lines of their own. */
static void log_call(const struct model_call *c, long ret)
{
	static const char *const types[] = { "none",  "kvm",	   "vm",     "vcpu", "gmem",
					     "sev",   "device",	   "sysfs",  "data", "vfio",
					     "group", "container", "iommufd" };
	const char *error = ret < 0 ? strerrorname_np((int)-ret) : NULL;

	if (c->request == KVM_RUN && (ret >= 0 || ret == -EINTR))
		return;
	if (ret < 0)
		model_log("\"call\": \"%s\", \"on\": \"%s\", \"errno\": \"%s\"%s", c->name,
			  types[c->file->type], error ? error : "?", c->note);
	else
		model_log("\"call\": \"%s\", \"on\": \"%s\", \"ret\": %ld%s", c->name,
			  types[c->file->type], ret, c->note);
}

long model_ioctl(int fd, unsigned long request, unsigned long arg)
{
	struct model_call c = { .fd = fd, .request = request, .arg = arg };
	long ret;

	if (!model.kind || fd < 0 || fd >= MAX_FDS || files[fd].type == MODEL_NONE ||
	    files[fd].type == MODEL_SEV || files[fd].type == MODEL_VFIO_SYSFS)
		return model_libc_ioctl(fd, request, arg);
	pthread_mutex_lock(&model_lock);
	c.file = &files[fd];
	c.vm = c.file->vm;
	c.vcpu = c.file->vcpu;
	name_call(&c);
	if (request == KVM_CHECK_EXTENSION || request == KVM_CREATE_VM)
		model_note(&c, "number", "%lu", arg);
	model_script_call(&c);
	ret = dispatch(&c);
	if (c.fault.err && !c.fault.used)
		model_log("\"fault\": \"%s\", \"reached\": false", c.name);
	log_call(&c, ret);
	pthread_mutex_unlock(&model_lock);
	return ret;
}

static void end_vm(struct model_vm *vm)
{
	vm->gone = true;
	if (vm->kind && vm->kind->destroy)
		vm->kind->destroy(vm);
}

void model_close(int fd)
{
	struct model_file *f;

	if (!model.kind || fd < 0 || fd >= MAX_FDS || files[fd].type == MODEL_NONE)
		return;
	/* A child that is about to start another program may share this memory, or hold the lock.
	 */
	if (!model_is_owner())
		return;
	pthread_mutex_lock(&model_lock);
	f = &files[fd];
	if (f->type == MODEL_VM)
		end_vm(f->vm);
	if (f->type == MODEL_GMEM) {
		model_gmem_closed(f->gmem);
		model_gmem_put(f->gmem);
	}
	if (f->type == MODEL_DEVICE && f->device_type == KVM_DEV_TYPE_VFIO)
		vfio_forget_told();
	vfio_closed(f);
	free(f->device_state);
	*f = no_file;
	pthread_mutex_unlock(&model_lock);
}

void model_dup(int fd, int to)
{
	if (!model.kind || fd < 0 || fd >= MAX_FDS || to < 0 || to >= MAX_FDS)
		return;
	pthread_mutex_lock(&model_lock);
	if (files[fd].type == MODEL_GMEM) {
		files[to] = files[fd];
		files[to].gmem->users++;
		files[to].gmem->fds++;
	}
	pthread_mutex_unlock(&model_lock);
}
