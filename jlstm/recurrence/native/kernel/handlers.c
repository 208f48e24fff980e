// Entry points: calls of XLA's foreign function interface, and the choice of an instruction set.

#define _DEFAULT_SOURCE  // madvise

#include <stdlib.h>
#include <string.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "ffi.h"
#include "lstm.h"

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

// The attribute "flags" of a call says which arguments and results it has.
enum {
  REVERSE = 1,
  VALID = 2,
  ENTERED = 4,
  KEEP_STATES = 8,
  KEEP_GATES = 16,
  WANT_WEIGHTS = 32,
  WANT_INPUTS = 64,
  WANT_RESET_STATE = 128,
};

enum { INVALID_ARGUMENT = 3, RESOURCE_EXHAUSTED = 8 };
enum { STAGE_EXECUTE = 3, TYPE_BOOL = 1, TYPE_FLOAT32 = 11 };

// Multiplications of a call below which helpers cost more than they save.
static const double WORTH_HELP = 2e5;

extern const instruction_set baseline;
#if defined(__x86_64__) || defined(_M_X64)
extern const instruction_set avx2, avx512;
#endif

static const instruction_set *chosen;

static const instruction_set *find(const char *name) {
#if defined(__x86_64__) || defined(_M_X64)
  __builtin_cpu_init();
  if (!strcmp(name, avx512.name)) return __builtin_cpu_supports("avx512f") ? &avx512 : NULL;
  if (!strcmp(name, avx2.name)) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &avx2 : NULL;
  }
#endif
  return strcmp(name, baseline.name) ? NULL : &baseline;
}

// Use this instruction set from now on, or the best of this machine for NULL. Returns the name of
// the one in use, NULL if the machine does not have it.
EXPORT const char *jlstm_choose(const char *name) {
  const instruction_set *found = NULL;
  if (name) {
    found = find(name);
  } else {
#if defined(__x86_64__) || defined(_M_X64)
    found = find(avx512.name);
    if (!found) found = find(avx2.name);
#endif
    if (!found) found = &baseline;
  }
  if (found) chosen = found;
  return found ? found->name : NULL;
}

// The digest of the source that this library was compiled from.
EXPORT const char *jlstm_digest(void) { return JLSTM_DIGEST; }

static ffi_error *fail(const ffi_call *call, int code, const char *message) {
  ffi_error_create create = {sizeof create, NULL, message, code};
  return call->api->create_error(&create);
}

static void discard(const ffi_call *call, ffi_error *error) {
  ffi_error_destroy destroy = {sizeof destroy, NULL, error};
  call->api->destroy_error(&destroy);
}

static int schedule(void *pool, void (*help)(void *), void *data) {
  const ffi_call *call = pool;
  ffi_schedule task = {sizeof task, NULL, call->context, help, data};
  ffi_error *error = call->api->schedule(&task);
  if (error) discard(call, error);
  return !error;
}

static workers workers_of(const ffi_call *call, const recurrence *of) {
  int64_t threads = 1;
  const double work = 4.0 * of->time * of->batch * of->hidden * (of->input + of->hidden);
  if (work >= WORTH_HELP) {
    ffi_thread_count count = {sizeof count, NULL, call->context, &threads};
    ffi_error *error = call->api->count_threads(&count);
    if (error) {
      discard(call, error);
      threads = 1;
    }
  }
  return (workers){threads, schedule, (void *)call};
}

static int64_t elements_of(const ffi_buffer *b) {
  int64_t elements = 1;
  for (int64_t k = 0; k < b->rank; k++) elements *= b->dimensions[k];
  return elements;
}

static int64_t bytes_of(const ffi_buffer *b) { return elements_of(b) * (int64_t)sizeof(float); }

// Arguments or results, taken one after the other.
typedef struct {
  const ffi_buffers *of;
  int64_t next;
  int ok;  // whether all that were taken are there, and of the types and sizes that they should be
} taker;

static void *take(taker *t, int wanted, int type, int64_t size) {
  if (!wanted) return NULL;
  if (t->next >= t->of->count) {
    t->ok = 0;
    return NULL;
  }
  const ffi_buffer *b = t->of->buffers[t->next++];
  if (b->type != type || elements_of(b) != size) t->ok = 0;
  return b->data;
}

// Ask for large pages where results are large. What XLA allocates beyond 32 MB comes anew from the
// system at each call, and the first touch of 8,000 small pages takes a tenth of a training step.
static void ask_for_large_pages(const ffi_buffers *results) {
#if defined(__linux__) && defined(MADV_HUGEPAGE)
  const uintptr_t page = (uintptr_t)1 << 21;
  int64_t bytes = 0;
  for (int64_t k = 0; k < results->count; k++) bytes += bytes_of(results->buffers[k]);
  if (bytes < 24 << 20) return;
  for (int64_t k = 0; k < results->count; k++) {
    const uintptr_t data = (uintptr_t)results->buffers[k]->data;
    const uintptr_t start = (data + page - 1) / page * page;
    const uintptr_t end = (data + (uintptr_t)bytes_of(results->buffers[k])) / page * page;
    if (start < end) madvise((void *)start, end - start, MADV_HUGEPAGE);
  }
#else
  (void)results;
#endif
}

static int64_t flags_of(const ffi_call *call) {
  return call->attributes.count == 1 ? *(const int64_t *)call->attributes.scalars[0]->value : -1;
}

// A call that asks about the handler, and not for results.
static int answer(const ffi_call *call) {
  ffi_extension *extension = call->extensions;
  if (!extension || extension->type != 1) return 0;
  ffi_metadata *metadata = ((ffi_metadata_extension *)extension)->metadata;
  metadata->version.major = FFI_MAJOR;
  metadata->version.minor = FFI_MINOR;
  metadata->traits = 0;
  metadata->state_type = 0;
  return 1;
}

// Sizes, from the shapes of xs (time, batch, input) and weight_hh (hidden, 4 hidden): the first two
// arguments of every call.
static int sizes_of(const ffi_call *call, recurrence *of) {
  if (call->arguments.count < 2) return 0;
  const ffi_buffer *xs = call->arguments.buffers[0], *weight = call->arguments.buffers[1];
  if (xs->rank != 3 || weight->rank != 2) return 0;
  of->time = xs->dimensions[0];
  of->batch = xs->dimensions[1];
  of->input = xs->dimensions[2];
  of->hidden = weight->dimensions[0];
  return of->time > 0 && of->batch > 0 && of->hidden > 0;
}

static void take_recurrence(taker *in, int64_t flags, recurrence *of) {
  const int64_t rows = of->time * of->batch, columns = 4 * of->hidden;
  of->reverse = (flags & REVERSE) != 0;
  of->xs = take(in, 1, TYPE_FLOAT32, rows * of->input);
  of->weight_hh = take(in, 1, TYPE_FLOAT32, of->hidden * columns);
  of->weight_ih = take(in, 1, TYPE_FLOAT32, of->input * columns);
  of->bias = take(in, 1, TYPE_FLOAT32, columns);
  of->valid = take(in, flags & VALID, TYPE_BOOL, rows);
  of->entered = take(in, flags & ENTERED, TYPE_BOOL, rows);
}

static ffi_error *finish(const ffi_call *call, const taker *in, const taker *out, int64_t flags) {
  if (flags < 0 || !in->ok || !out->ok || in->next != in->of->count || out->next != out->of->count) {
    return fail(call, INVALID_ARGUMENT, "jlstm: arguments do not agree with flags or sizes");
  }
  return NULL;
}

static ffi_error *done(const ffi_call *call, int failed) {
  if (!failed) return NULL;
  return fail(call, RESOURCE_EXHAUSTED, "jlstm: no memory for the packed weights of an LSTM");
}

EXPORT ffi_error *jlstm_forward(ffi_call *call) {
  if (answer(call) || call->stage != STAGE_EXECUTE) return NULL;
  forward_call f = {0};
  recurrence *of = &f.of;
  if (!sizes_of(call, of)) return fail(call, INVALID_ARGUMENT, "jlstm: empty or misshapen arrays");
  const int64_t flags = flags_of(call), state = of->batch * of->hidden, steps = of->time * state;
  taker in = {&call->arguments, 0, 1}, out = {&call->results, 0, 1};
  take_recurrence(&in, flags, of);
  f.h = take(&in, 1, TYPE_FLOAT32, state);
  f.c = take(&in, 1, TYPE_FLOAT32, state);
  f.reset_h = take(&in, flags & ENTERED, TYPE_FLOAT32, state);
  f.reset_c = take(&in, flags & ENTERED, TYPE_FLOAT32, state);
  f.last_h = take(&out, 1, TYPE_FLOAT32, state);
  f.last_c = take(&out, 1, TYPE_FLOAT32, state);
  f.hs = take(&out, 1, TYPE_FLOAT32, steps);
  f.before_h = take(&out, flags & KEEP_STATES, TYPE_FLOAT32, steps);
  f.before_c = take(&out, flags & KEEP_STATES, TYPE_FLOAT32, steps);
  for (int g = 0; g < 4; g++) f.gates[g] = take(&out, flags & KEEP_GATES, TYPE_FLOAT32, steps);
  ffi_error *error = finish(call, &in, &out, flags);
  if (error) return error;
  ask_for_large_pages(&call->results);
  const workers from = workers_of(call, of);
  return done(call, chosen->forward(&f, &from));
}

EXPORT ffi_error *jlstm_backward(ffi_call *call) {
  if (answer(call) || call->stage != STAGE_EXECUTE) return NULL;
  backward_call b = {0};
  recurrence *of = &b.of;
  if (!sizes_of(call, of)) return fail(call, INVALID_ARGUMENT, "jlstm: empty or misshapen arrays");
  const int64_t flags = flags_of(call), state = of->batch * of->hidden, steps = of->time * state;
  taker in = {&call->arguments, 0, 1}, out = {&call->results, 0, 1};
  take_recurrence(&in, flags, of);
  b.before_h = take(&in, 1, TYPE_FLOAT32, steps);
  b.before_c = take(&in, 1, TYPE_FLOAT32, steps);
  for (int g = 0; g < 4; g++) b.gates[g] = take(&in, flags & KEEP_GATES, TYPE_FLOAT32, steps);
  b.d_last_h = take(&in, 1, TYPE_FLOAT32, state);
  b.d_last_c = take(&in, 1, TYPE_FLOAT32, state);
  b.d_hs = take(&in, 1, TYPE_FLOAT32, steps);
  b.d_h = take(&out, 1, TYPE_FLOAT32, state);
  b.d_c = take(&out, 1, TYPE_FLOAT32, state);
  b.d_reset_h = take(&out, flags & WANT_RESET_STATE, TYPE_FLOAT32, state);
  b.d_reset_c = take(&out, flags & WANT_RESET_STATE, TYPE_FLOAT32, state);
  b.d_weight_ih = take(&out, flags & WANT_WEIGHTS, TYPE_FLOAT32, of->input * 4 * of->hidden);
  b.d_weight_hh = take(&out, flags & WANT_WEIGHTS, TYPE_FLOAT32, of->hidden * 4 * of->hidden);
  b.d_bias = take(&out, flags & WANT_WEIGHTS, TYPE_FLOAT32, 4 * of->hidden);
  b.d_xs = take(&out, flags & WANT_INPUTS, TYPE_FLOAT32, of->time * of->batch * of->input);
  ffi_error *error = finish(call, &in, &out, flags);
  if (error) return error;
  ask_for_large_pages(&call->results);
  const workers from = workers_of(call, of);
  return done(call, chosen->backward(&b, &from));
}
