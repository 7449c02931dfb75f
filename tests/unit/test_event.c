/* SPDX-License-Identifier: MIT */
/* The event loop: descriptors, removal inside a batch, posts, timers, threads. */
#include "unit.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lkvm/event.h"
#include "lkvm/thread.h"

struct source {
	struct event ev;
	struct event_loop *loop;
	struct source *victim;
	int calls;
};

static void on_source(void *opaque, u32 events)
{
	struct source *s = opaque;
	u64 n;

	s->calls++;
	assert_int_equal(read(s->ev.fd, &n, 8), 8);
	if (s->victim)
		event_del(&s->victim->ev);
	event_loop_stop(s->loop);
}

static void source_init(struct source *s, struct event_loop *loop)
{
	*s = (struct source){ .loop = loop };
	s->ev = (struct event){
		.fd = eventfd(0, EFD_NONBLOCK), .events = EPOLLIN, .fn = on_source, .opaque = s
	};
	assert_int_equal(event_add(loop, &s->ev), 0);
}

static void signal_source(struct source *s)
{
	u64 one = 1;

	assert_int_equal(write(s->ev.fd, &one, 8), 8);
}

static void removed_in_a_batch_is_not_called(void **state)
{
	struct event_loop loop;
	struct source a, b;

	assert_int_equal(event_loop_init(&loop, "test"), 0);
	source_init(&a, &loop);
	source_init(&b, &loop);
	/* Both are ready at once; whichever comes first removes the other. */
	a.victim = &b;
	b.victim = &a;
	signal_source(&a);
	signal_source(&b);
	event_loop_run(&loop);
	assert_int_equal(a.calls + b.calls, 1);
	close(a.ev.fd);
	close(b.ev.fd);
	event_loop_destroy(&loop);
}

static void stopped_loop_runs_again_when_rearmed(void **state)
{
	struct event_loop loop;
	struct source a;

	assert_int_equal(event_loop_init(&loop, "test"), 0);
	source_init(&a, &loop);
	event_loop_stop(&loop);
	signal_source(&a);
	event_loop_run(&loop);
	assert_int_equal(a.calls, 0);
	event_loop_rearm(&loop);
	event_loop_run(&loop);
	assert_int_equal(a.calls, 1);
	event_del(&a.ev);
	close(a.ev.fd);
	event_loop_destroy(&loop);
}

static atomic_int counter;

static void count(void *opaque)
{
	atomic_fetch_add(&counter, 1);
	if (opaque)
		event_loop_stop(opaque);
}

static void on_edge(void *opaque, u32 events)
{
	atomic_fetch_add(&counter, 1);
}

static void posts_run_once_in_order(void **state)
{
	struct event_loop loop;
	struct event_post first = { .fn = count }, last = { .fn = count, .opaque = &loop };

	atomic_store(&counter, 0);
	assert_int_equal(event_loop_init(&loop, "test"), 0);
	event_loop_post(&loop, &first);
	event_loop_post(&loop, &first);
	event_loop_post(&loop, &last);
	event_loop_run(&loop);
	assert_int_equal(atomic_load(&counter), 2);
	assert_false(first.queued);
	event_loop_destroy(&loop);
}

static struct event_post again;

static void post_again(void *opaque)
{
	event_loop_post(opaque, &again);
}

static void posts_let_events_have_a_turn(void **state)
{
	struct event_loop loop;
	struct source a;

	assert_int_equal(event_loop_init(&loop, "test"), 0);
	source_init(&a, &loop);
	again = (struct event_post){ .fn = post_again, .opaque = &loop };
	event_loop_post(&loop, &again);
	signal_source(&a);
	alarm(300); /* else for ever */
	event_loop_run(&loop);
	alarm(0);
	assert_int_equal(a.calls, 1);
	close(a.ev.fd);
	event_loop_destroy(&loop);
}

static void timer_fires_once_and_can_be_disarmed(void **state)
{
	struct event_loop loop;
	struct event_timer t, never;

	atomic_store(&counter, 0);
	assert_int_equal(event_loop_init(&loop, "test"), 0);
	event_timer_init(&t, &loop, count, &loop);
	event_timer_init(&never, &loop, count, NULL);
	event_timer_set(&never, 1);
	event_timer_set(&never, 0);
	event_timer_set(&t, 20000000);
	event_loop_run(&loop);
	assert_int_equal(atomic_load(&counter), 1);
	event_timer_destroy(&t);
	event_timer_destroy(&never);
	event_loop_destroy(&loop);
}

/* The lowest descriptor that is free. */
static int free_fd(void)
{
	int fd = dup(STDERR_FILENO);

	close(fd);
	return fd;
}

/* Sorted by their times, whatever the order in which they were set; and none is a descriptor. */
static void timers_stand_in_order_and_hold_nothing(void **state)
{
	static const u64 hours[] = { 3, 1, 4, 2, 2 };
	struct event_timer timers[ARRAY_SIZE(hours)];
	struct event_loop loop;
	unsigned int n = 0;
	int fd;

	assert_int_equal(event_loop_init(&loop, "test"), 0);
	fd = free_fd();
	for (size_t i = 0; i < ARRAY_SIZE(hours); i++) {
		event_timer_init(&timers[i], &loop, count, NULL);
		event_timer_set(&timers[i], 1); /* and once more, for later */
		event_timer_set(&timers[i], hours[i] * 3600 * 1000000000ULL);
	}
	for (const struct event_timer *t = loop.timers; t; t = t->next, n++)
		assert_true(!t->next || t->due_ns <= t->next->due_ns);
	assert_int_equal(n, ARRAY_SIZE(hours));
	assert_int_equal(free_fd(), fd);
	assert_false(event_loop_drain(&loop));
	for (size_t i = 0; i < ARRAY_SIZE(hours); i++)
		event_timer_destroy(&timers[i]);
	assert_null(loop.timers);
	event_loop_destroy(&loop);
}

/* Who wakes whom: nobody reads the eventfd, so it counts. */

static u64 wakes(struct event_loop *loop)
{
	u64 n = 0;

	return read(loop->wake_fd, &n, sizeof(n)) == sizeof(n) ? n : 0;
}

static bool sleeps(struct event_loop *loop)
{
	bool yes;

	pthread_mutex_lock(&loop->lock);
	yes = loop->asleep_until;
	pthread_mutex_unlock(&loop->lock);
	return yes;
}

static sem_t entered, gate;

static void wait_at_gate(void *opaque)
{
	sem_post(&entered);
	sem_wait(&gate);
}

static void only_who_sleeps_is_woken(void **state)
{
	struct event_post first = { .fn = wait_at_gate }, posts[100];
	struct event_timer timers[100];
	struct event_loop loop;

	atomic_store(&counter, 0);
	sem_init(&entered, 0, 0);
	sem_init(&gate, 0, 0);
	assert_int_equal(event_loop_init(&loop, "test"), 0);
	/* Nobody runs it yet: who will looks first. */
	posts[0] = (struct event_post){ .fn = count };
	event_loop_post(&loop, &posts[0]);
	assert_int_equal(wakes(&loop), 0);
	assert_int_equal(event_loop_start_thread(&loop), 0);
	while (!sleeps(&loop))
		usleep(1000);
	assert_int_equal(atomic_load(&counter), 1);
	assert_int_equal(wakes(&loop), 0);
	event_loop_post(&loop, &first);
	sem_wait(&entered);
	assert_int_equal(wakes(&loop), 1);
	for (int i = 0; i < 100; i++) {
		posts[i] = (struct event_post){ .fn = count };
		event_loop_post(&loop, &posts[i]);
		event_timer_init(&timers[i], &loop, count, NULL);
		event_timer_set(&timers[i], 1);
	}
	sem_post(&gate);
	while (atomic_load(&counter) < 201 || !sleeps(&loop))
		usleep(1000);
	assert_int_equal(wakes(&loop), 0);
	/* A timer that is due after the sleep's end needs no waking. */
	event_timer_set(&timers[0], 3600 * 1000000000ULL);
	while (!sleeps(&loop))
		usleep(1000);
	assert_int_equal(wakes(&loop), 1);
	event_timer_set(&timers[1], 7200 * 1000000000ULL);
	assert_int_equal(wakes(&loop), 0);
	for (int i = 0; i < 100; i++)
		event_timer_destroy(&timers[i]);
	event_loop_stop_thread(&loop);
	assert_int_equal(wakes(&loop), 1);
	event_loop_destroy(&loop);
}

static void from_its_own_thread(void *opaque)
{
	static struct event_post post;
	static struct event_timer timer;

	post = (struct event_post){ .fn = count };
	event_loop_post(opaque, &post);
	event_timer_init(&timer, opaque, count, opaque);
	event_timer_set(&timer, 1000000);
}

static void a_loop_does_not_wake_itself(void **state)
{
	struct event_loop loop;
	struct event_post post = { .fn = from_its_own_thread, .opaque = &loop };

	atomic_store(&counter, 0);
	assert_int_equal(event_loop_init(&loop, "test"), 0);
	event_loop_post(&loop, &post);
	event_loop_run(&loop);
	assert_int_equal(atomic_load(&counter), 2);
	assert_int_equal(wakes(&loop), 1); /* the end of it */
	event_loop_destroy(&loop);
}

/* Each write is an event although nobody reads: one call less. */
static void an_edge_needs_no_read(void **state)
{
	struct event_loop loop;
	struct source s = { .loop = &loop };

	atomic_store(&counter, 0);
	assert_int_equal(event_loop_init(&loop, "test"), 0);
	source_init(&s, &loop);
	event_del(&s.ev);
	s.ev.events = EPOLLIN | EPOLLET;
	s.ev.fn = on_edge;
	assert_int_equal(event_add(&loop, &s.ev), 0);
	for (int i = 1; i < 4; i++) {
		signal_source(&s);
		assert_true(event_loop_drain(&loop));
		assert_false(event_loop_drain(&loop));
		assert_int_equal(atomic_load(&counter), i);
	}
	event_del(&s.ev);
	close(s.ev.fd);
	event_loop_destroy(&loop);
}

static pthread_t ran_on;

static void note_thread(void *opaque)
{
	ran_on = pthread_self();
	atomic_fetch_add(&counter, 1);
}

static void sync_calls_run_on_the_loops_thread(void **state)
{
	struct event_loop loop;
	pthread_t loop_thread;

	atomic_store(&counter, 0);
	assert_int_equal(event_loop_init(&loop, "worker"), 0);
	event_call_sync(&loop, note_thread, NULL);
	assert_true(pthread_equal(ran_on, pthread_self()));
	assert_int_equal(event_loop_start_thread(&loop), 0);
	loop_thread = loop.thread;
	for (int i = 0; i < 1000; i++)
		event_call_sync(&loop, note_thread, NULL);
	assert_int_equal(atomic_load(&counter), 1001);
	assert_true(pthread_equal(ran_on, loop_thread));
	event_loop_stop_thread(&loop);
	event_loop_destroy(&loop);
}

/* A loop that stops, starts and stops again under a thread that makes synchronous calls. */

struct caller {
	struct event_loop *loop;
	atomic_int calls;
	atomic_bool inside, ended;
};

static void alone(void *opaque)
{
	struct caller *c = opaque;

	assert_false(atomic_exchange(&c->inside, true));
	atomic_fetch_add(&c->calls, 1);
	atomic_store(&c->inside, false);
}

static void *call_often(void *opaque)
{
	struct caller *c = opaque;

	for (int i = 0; i < 20000; i++)
		event_call_sync(c->loop, alone, c);
	atomic_store(&c->ended, true);
	event_loop_stop(c->loop);
	return NULL;
}

static void sync_calls_outlive_the_loop(void **state)
{
	struct event_loop loop;
	struct caller c = { .loop = &loop };
	struct event_post stop = { .fn = count, .opaque = &loop };
	pthread_t threads[2];

	assert_int_equal(event_loop_init(&loop, "test"), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(thread_start(&threads[i], THREAD_WORKER, call_often, &c), 0);
	while (!atomic_load(&c.ended)) {
		event_loop_post(&loop, &stop);
		event_loop_run(&loop);
		/* Now nobody runs it: who waits goes on by itself. */
		event_call_sync(&loop, alone, &c);
		event_loop_rearm(&loop);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_true(atomic_load(&c.calls) >= 40000);
	event_loop_destroy(&loop);
}

/* What is ready is seen, although the loop was stopped before it looked. */
static void a_stopped_loop_is_drained(void **state)
{
	struct event_loop loop;
	struct source s;

	assert_int_equal(event_loop_init(&loop, "test"), 0);
	source_init(&s, &loop);
	event_loop_drain(&loop); /* nothing, and no waiting */
	assert_int_equal(s.calls, 0);
	event_loop_stop(&loop);
	signal_source(&s);
	event_loop_run(&loop);
	assert_int_equal(s.calls, 0);
	event_loop_drain(&loop);
	assert_int_equal(s.calls, 1);
	close(s.ev.fd);
	event_loop_destroy(&loop);
}

static void a_regular_file_is_refused(void **state)
{
	struct event_loop loop;
	FILE *f = tmpfile();
	struct event ev = { .fd = fileno(f), .events = EPOLLIN };

	assert_int_equal(event_loop_init(&loop, "test"), 0);
	assert_int_equal(event_add(&loop, &ev), -EPERM);
	assert_null(ev.loop);
	fclose(f);
	event_loop_destroy(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(removed_in_a_batch_is_not_called),
		cmocka_unit_test(stopped_loop_runs_again_when_rearmed),
		cmocka_unit_test(posts_run_once_in_order),
		cmocka_unit_test(posts_let_events_have_a_turn),
		cmocka_unit_test(timer_fires_once_and_can_be_disarmed),
		cmocka_unit_test(timers_stand_in_order_and_hold_nothing),
		cmocka_unit_test(only_who_sleeps_is_woken),
		cmocka_unit_test(a_loop_does_not_wake_itself),
		cmocka_unit_test(an_edge_needs_no_read),
		cmocka_unit_test(sync_calls_run_on_the_loops_thread),
		cmocka_unit_test(sync_calls_outlive_the_loop),
		cmocka_unit_test(a_stopped_loop_is_drained),
		cmocka_unit_test(a_regular_file_is_refused),
	};

	return cmocka_run_group_tests_name("event", tests, NULL, NULL);
}
