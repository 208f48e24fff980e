// Packed weights, and how rows and hidden units are divided among tasks.

#ifndef JLSTM_LAYOUT_H
#define JLSTM_LAYOUT_H

#include <stdlib.h>

#include "lstm.h"
#include "products.h"

enum {
  ROWS_AT_ONCE = 96,      // of a step, whose pointers are held on the stack
  FEW_ROWS = 6,           // below this, inputs are projected before the steps
  ROWS_PER_THREAD = 3,    // below this, the units of a step are divided and not the rows
  WEIGHTS_PER_CORE = 400000,  // floats that a core's second cache holds
  ROWS_PER_TASK = 48,     // of a product over many rows
};

INLINE int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
INLINE int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
INLINE int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Units come in blocks of LANES; a block has WIDTH columns, those of its units for each gate.
INLINE int64_t unit_blocks(const recurrence *of) { return ceil_div(of->hidden, LANES); }

// The step of the array that the loop's step `s` reads.
INLINE int64_t time_of(const recurrence *of, int64_t s) {
  return of->reverse ? of->time - 1 - s : s;
}

INLINE int is_valid(const recurrence *of, int64_t at) { return !of->valid || of->valid[at]; }
INLINE int is_entered(const recurrence *of, int64_t at) { return of->entered && of->entered[at]; }

// Scratch memory in one piece, whose parts begin on cache lines.
typedef struct {
  char *start;
  size_t used;
} scratch;

// The next part; called once with `start` NULL to count, once more to divide.
static void *part(scratch *s, size_t count, size_t size) {
  void *at = s->start ? s->start + s->used : NULL;
  s->used += (count * size + 63) / 64 * 64;
  return at;
}

static int scratch_allocate(scratch *s) {  // between the passes
#if defined(_WIN32)
  s->start = _aligned_malloc(s->used + 64, 64);
#else
  s->start = aligned_alloc(64, s->used + 64);
#endif
  s->used = 0;
  return s->start != NULL;
}

static void scratch_free(scratch *s) {
#if defined(_WIN32)
  _aligned_free(s->start);
#else
  free(s->start);
#endif
}

// The weights of block `u`, (input + hidden, 4, LANES), after its bias, (4, LANES).
INLINE size_t packed_gates_size(const recurrence *of) {
  return (size_t)(unit_blocks(of) * (1 + of->input + of->hidden) * WIDTH);
}
INLINE float *packed_gates(float *packed, const recurrence *of, int64_t u) {
  return packed + u * (1 + of->input + of->hidden) * WIDTH;
}

static void pack_gates(const recurrence *of, int64_t u, float *packed) {
  const int64_t hidden = of->hidden, columns = 4 * hidden;
  float *to = packed_gates(packed, of, u);
  for (int64_t k = -1; k < of->input + hidden; k++) {
    const float *row = k < 0           ? of->bias
                       : k < of->input ? of->weight_ih + k * columns
                                       : of->weight_hh + (k - of->input) * columns;
    for (int g = 0; g < 4; g++, to += LANES) {
      store(to, load_some(row + g * hidden + u * LANES, hidden - u * LANES));
    }
  }
}

// A weight (rows, 4 hidden), transposed: for each WIDTH of its rows, (block, gate, lane) by rows,
// as `product_rows` takes it.
INLINE size_t packed_transposed_size(const recurrence *of, int64_t rows) {
  return (size_t)(unit_blocks(of) * WIDTH * ceil_div(rows, LANES) * LANES);
}

static void pack_transposed(const recurrence *of, const float *weight, int64_t rows, int64_t column,
                            float *packed) {
  const int64_t hidden = of->hidden, blocks = unit_blocks(of), offset = column * WIDTH;
  const int64_t count = least(WIDTH, rows - offset);
  const int64_t wide = ceil_div(count, LANES) * LANES;
  float *to = packed + offset * blocks * WIDTH;
  for (int64_t u = 0; u < blocks; u++) {
    const int64_t units = least(LANES, hidden - u * LANES);
    for (int g = 0; g < 4; g++, to += LANES * wide) {
      for (int64_t j = 0; j < wide; j++) {
        const float *from = weight + (offset + j) * 4 * hidden + g * hidden + u * LANES;
        for (int64_t l = 0; l < LANES; l++) {
          to[l * wide + j] = j < count && l < units ? from[l] : 0.0f;
        }
      }
    }
  }
}

// Rows [first, first + count) of the batch, in groups of about equal work. If some are padded they
// are dealt like cards, in `order`, the longest first.
typedef struct {
  int64_t first, count, groups;
  const int32_t *order;  // NULL: neighbours go together
} grouping;

INLINE int64_t group_size(const grouping *g, int64_t k) {
  if (g->order) return (g->count - k + g->groups - 1) / g->groups;
  return g->count * (k + 1) / g->groups - g->count * k / g->groups;
}
INLINE int64_t row_of(const grouping *g, int64_t k, int64_t j) {
  return g->first + (g->order ? g->order[k + j * g->groups] : g->count * k / g->groups + j);
}

// The order of `count` rows from `first`, by counting sort; `starts` has room for time + 2 numbers.
static void order_by_length(const recurrence *of, int64_t first, int64_t count, int32_t *order,
                            int32_t *lengths, int64_t *starts) {
  memset(starts, 0, (size_t)(of->time + 2) * sizeof(int64_t));
  for (int64_t k = 0; k < count; k++) {
    int32_t steps = 0;
    for (int64_t t = 0; t < of->time; t++) steps += of->valid[t * of->batch + first + k] != 0;
    lengths[k] = steps;
    starts[of->time - steps + 1]++;
  }
  for (int64_t t = 0; t <= of->time; t++) starts[t + 1] += starts[t];
  for (int64_t k = 0; k < count; k++) order[starts[of->time - lengths[k]]++] = (int32_t)k;
}

// Whether the threads divide the units of each step, and not the rows for all steps: if there are
// few rows, or if a core's cache does not hold the weights and would hold its share of them.
INLINE int divides_units(const recurrence *of, int64_t rows, int64_t columns, int64_t threads) {
  const int64_t weights = 4 * of->hidden * (of->input + of->hidden);
  const int64_t shares = least(threads, columns);
  if (shares < 2) return 0;
  return rows < ROWS_PER_THREAD * shares ||
         (weights > WEIGHTS_PER_CORE && weights <= shares * WEIGHTS_PER_CORE);
}

#endif
