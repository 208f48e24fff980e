// Calls the kernels of every instruction set of this machine, for the tests under sanitizers: sizes
// that fill no vector, masks, results that are not wanted, one thread and several.

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lstm.h"

extern const instruction_set baseline, avx2, avx512;

static uint64_t seed = 1;
static double uniform(void) {
  seed = seed * 6364136223846793005u + 1442695040888963407u;
  return (double)(seed >> 11) / 9007199254740992.0;
}

static float *random_floats(int64_t count) {
  float *found = malloc((size_t)(count ? count : 1) * sizeof(float));
  for (int64_t k = 0; k < count; k++) found[k] = (float)(2 * uniform() - 1);
  return found;
}

static float *floats(int64_t count) { return malloc((size_t)(count ? count : 1) * sizeof(float)); }

// A pool that starts a thread for each helper.
typedef struct {
  pthread_t threads[8];
  int count;
} pool;

typedef struct {
  void (*help)(void *);
  void *team;
} errand;

static void *run_errand(void *given) {
  errand e = *(errand *)given;
  free(given);
  e.help(e.team);
  return NULL;
}

static int start(void *given, void (*help)(void *), void *team) {
  pool *p = given;
  errand *e = malloc(sizeof *e);
  *e = (errand){help, team};
  return !pthread_create(&p->threads[p->count++], NULL, run_errand, e);
}

static void join(pool *p) {
  for (int k = 0; k < p->count; k++) pthread_join(p->threads[k], NULL);
  p->count = 0;
}

enum { RESULTS = 16 };

// All results of a forward and a backward call, in `results`, whose sizes are in `sizes`.
static void run(const instruction_set *set, const forward_call *inputs, const float *const *d,
                int threads, int keeps_gates, int wants_all, float **results, int64_t *sizes) {
  forward_call f = *inputs;
  const recurrence *of = &f.of;
  const int64_t state = of->batch * of->hidden, steps = of->time * state;
  const int64_t sizes_of[RESULTS] = {
      state, state, steps, steps, steps, steps, steps, steps, steps,  // of the forward call
      state, state, state, state, of->input * 4 * of->hidden, of->hidden * 4 * of->hidden,
      4 * of->hidden};
  for (int k = 0; k < RESULTS; k++) results[k] = calloc((size_t)sizes_of[k], sizeof(float));
  memcpy(sizes, sizes_of, sizeof sizes_of);
  f.last_h = results[0];
  f.last_c = results[1];
  f.hs = results[2];
  f.before_h = results[3];
  f.before_c = results[4];
  for (int g = 0; g < 4; g++) f.gates[g] = keeps_gates ? results[5 + g] : NULL;
  pool p = {.count = 0};
  const workers from = {threads, start, &p};
  if (set->forward(&f, &from)) exit(2);
  join(&p);
  backward_call b = {.of = *of, .before_h = f.before_h, .before_c = f.before_c};
  for (int g = 0; g < 4; g++) b.gates[g] = f.gates[g];
  b.d_last_h = d[0];
  b.d_last_c = d[1];
  b.d_hs = d[2];
  b.d_h = results[9];
  b.d_c = results[10];
  if (of->entered) {
    b.d_reset_h = results[11];
    b.d_reset_c = results[12];
  }
  float *d_xs = floats(of->time * of->batch * of->input);
  if (wants_all) {
    b.d_weight_ih = results[13];
    b.d_weight_hh = results[14];
    b.d_bias = results[15];
    b.d_xs = d_xs;
  }
  if (set->backward(&b, &from)) exit(2);
  join(&p);
  free(d_xs);
}

static double largest_difference(float *const *a, float *const *b, const int64_t *sizes) {
  double found = 0;
  for (int k = 0; k < RESULTS; k++) {
    for (int64_t j = 0; j < sizes[k]; j++) {
      const double difference = a[k][j] - (double)b[k][j];
      const double size = difference < 0 ? -difference : difference;
      if (!(size <= found)) found = size;  // NaN too
    }
  }
  return found;
}

static void check(const instruction_set *const *sets, int64_t time, int64_t batch, int64_t input,
                  int64_t hidden, int masks, int reverse, int keeps_gates, int wants_all) {
  forward_call f = {.of = {.time = time, .batch = batch, .input = input, .hidden = hidden}};
  recurrence *of = &f.of;
  uint8_t *valid = calloc((size_t)(time * batch), 1), *entered = calloc((size_t)(time * batch), 1);
  for (int64_t b = 0; b < batch; b++) {
    const int64_t length = b == 0 ? 0 : (int64_t)(uniform() * (double)(time + 1));
    for (int64_t t = 0; t < time; t++) {
      valid[t * batch + b] = t < length;
      entered[t * batch + b] = (!(masks & 1) || t < length) && uniform() < 0.2;
    }
  }
  of->reverse = reverse;
  of->weight_ih = random_floats(input * 4 * hidden);
  of->weight_hh = random_floats(hidden * 4 * hidden);
  of->bias = random_floats(4 * hidden);
  of->xs = random_floats(time * batch * input);
  of->valid = masks & 1 ? valid : NULL;
  of->entered = masks & 2 ? entered : NULL;
  f.h = random_floats(batch * hidden);
  f.c = random_floats(batch * hidden);
  f.reset_h = random_floats(batch * hidden);
  f.reset_c = random_floats(batch * hidden);
  const float *d[3] = {random_floats(batch * hidden), random_floats(batch * hidden),
                       random_floats(time * batch * hidden)};
  float *first[RESULTS];
  for (int k = 0; sets[k]; k++) {
    float *alone[RESULTS], *together[RESULTS];
    int64_t sizes[RESULTS];
    run(sets[k], &f, d, 1, keeps_gates, wants_all, alone, sizes);
    run(sets[k], &f, d, 4, keeps_gates, wants_all, together, sizes);
    if (largest_difference(alone, together, sizes) != 0) {
      printf("%s: other bits with more threads\n", sets[k]->name);
      exit(1);
    }
    if (k == 0) memcpy(first, alone, sizeof first);
    else if (!(largest_difference(alone, first, sizes) < 1e-3)) {
      printf("%s differs from %s\n", sets[k]->name, sets[0]->name);
      exit(1);
    }
    for (int j = 0; j < RESULTS; j++) {
      if (k > 0) free(alone[j]);
      free(together[j]);
    }
  }
  for (int j = 0; j < RESULTS; j++) free(first[j]);
  for (int k = 0; k < 3; k++) free((void *)d[k]);
  const float *used[] = {of->weight_ih, of->weight_hh, of->bias,   of->xs,
                         f.h,           f.c,           f.reset_h, f.reset_c};
  for (int k = 0; k < 8; k++) free((void *)used[k]);
  free(valid);
  free(entered);
}

int main(void) {
  const instruction_set *sets[4] = {&baseline};
  int count = 1;
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) sets[count++] = &avx2;
  if (__builtin_cpu_supports("avx512f")) sets[count++] = &avx512;
  const int64_t sizes[][4] = {{1, 1, 1, 1},   {3, 2, 5, 70},  {5, 1, 3, 33},
                              {4, 13, 3, 17}, {2, 450, 1, 3}, {100, 9, 2, 5}};
  for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
    for (int masks = 0; masks < 4; masks++) {
      for (int rest = 0; rest < 8; rest++) {
        check(sets, sizes[k][0], sizes[k][1], sizes[k][2], sizes[k][3], masks, rest & 1,
              rest >> 1 & 1, rest >> 2 & 1);
      }
    }
  }
  printf("%d instruction sets, all agree\n", count);
  return 0;
}
