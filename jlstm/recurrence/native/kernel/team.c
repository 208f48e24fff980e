// No task waits for another, and a thread waits only for tasks that running threads have taken. So
// the caller is never blocked by a pool whose threads are busy or blocked themselves: it then does
// all the work. A helper that comes late joins the phase that is under way; one that comes after
// the last phase finds nothing to do, and touches nothing but the team, which lives until then.

#include "team.h"

#include <fenv.h>
#include <stdatomic.h>
#include <stdlib.h>

#if defined(_WIN32)
#include <windows.h>
#define yield() SwitchToThread()
#else
#include <sched.h>
#define yield() sched_yield()
#endif

#if defined(__x86_64__)
#define pause_briefly() __builtin_ia32_pause()
#elif defined(__aarch64__)
#define pause_briefly() __asm__ volatile("yield")
#else
#define pause_briefly()
#endif

enum { PAUSES_BEFORE_YIELD = 2000 };

typedef struct {
  int kind;
  int64_t index, tasks;
  _Alignas(64) atomic_int_fast64_t next;  // the first task that nobody has taken
  _Alignas(64) atomic_int_fast64_t done;
} phase;

struct team {
  atomic_int_fast64_t users;
  team_task *run;
  void *call;
  fenv_t environment;  // of the caller: whether denormal floats are zero, above all
  int64_t count;
  phase *phases;
};

team *team_new(int64_t phases) {
  team *t = calloc(1, sizeof(team));
  if (!t) return NULL;
  const size_t size = (size_t)(phases ? phases : 1) * sizeof(phase);
#if defined(_WIN32)
  t->phases = _aligned_malloc(size, 64);
#else
  t->phases = aligned_alloc(64, size);
#endif
  if (!t->phases) {
    free(t);
    return NULL;
  }
  return t;
}

void team_add(team *t, int kind, int64_t index, int64_t tasks) {
  phase *p = &t->phases[t->count++];
  p->kind = kind;
  p->index = index;
  p->tasks = tasks;
  atomic_init(&p->next, 0);
  atomic_init(&p->done, 0);
}

static void release(team *t) {
  if (atomic_fetch_sub_explicit(&t->users, 1, memory_order_acq_rel) > 1) return;
#if defined(_WIN32)
  _aligned_free(t->phases);
#else
  free(t->phases);
#endif
  free(t);
}

static void work(team *t) {
  for (int64_t k = 0; k < t->count; k++) {
    phase *p = &t->phases[k];
    while (atomic_load_explicit(&p->next, memory_order_relaxed) < p->tasks) {
      const int64_t task = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
      if (task >= p->tasks) break;
      t->run(t->call, p->kind, p->index, task);
      atomic_fetch_add_explicit(&p->done, 1, memory_order_acq_rel);
    }
    for (int pauses = 0; atomic_load_explicit(&p->done, memory_order_acquire) < p->tasks;) {
      if (++pauses < PAUSES_BEFORE_YIELD) {
        pause_briefly();
      } else {
        yield();
        pauses = 0;
      }
    }
  }
}

static void help(void *given) {
  team *t = given;
  fenv_t own;
  fegetenv(&own);
  fesetenv(&t->environment);
  work(t);
  fesetenv(&own);
  release(t);
}

void team_run(team *t, team_task *run, void *call, int64_t helpers, team_schedule *schedule,
              void *pool) {
  int64_t useful = 1;  // a thread more than a phase has tasks would only wait
  for (int64_t k = 0; k < t->count; k++) {
    if (t->phases[k].tasks > useful) useful = t->phases[k].tasks;
  }
  if (helpers > useful - 1) helpers = useful - 1;
  t->run = run;
  t->call = call;
  fegetenv(&t->environment);
  atomic_init(&t->users, 1 + helpers);
  for (int64_t k = 0; k < helpers; k++) {
    if (!schedule(pool, help, t)) atomic_fetch_sub_explicit(&t->users, 1, memory_order_acq_rel);
  }
  work(t);
  release(t);
}
