// Backpropagation through time.
//
// The steps are taken in blocks, the last first, of some hundred rows. For each block the cotangents
// of the pre-activations are computed step by step and stay in the cache; then the products for the
// gradients of weights, bias and inputs are summed over its rows, in an order that the sizes alone
// determine.

#ifndef JLSTM_BACKWARD_H
#define JLSTM_BACKWARD_H

#include "forward.h"

enum {
  ROWS_OF_BLOCK = 384,
  BACKWARD_PREPARE = 0,
  BACKWARD_GATHER,
  BACKWARD_STEP,
  BACKWARD_ROWS,
  BACKWARD_PRODUCTS,
};

// Some steps of some rows of the batch: [first_step, last_step) of the loop.
typedef struct {
  int64_t first_step, last_step;
  grouping rows;
  int64_t entries;   // valid pairs of step and row
  int64_t of_entry;  // where they begin in `backward_run.entry`
} block;

typedef struct {
  const backward_call *call;
  block *blocks;
  int64_t count;
  int32_t *slot;       // (time of the loop, batch): the entry's place in its block, or -1
  int64_t *entry;      // of each entry, its row in arrays of all steps
  int64_t most_entries;
  int units_divided, rows_divided;  // tasks of a step, and of a gradient's rows
  int zeroing;                      // tasks that clear `d_xs`, where some of it is padding
  float *packed;                    // for gates that are computed again, or NULL
  float *transposed_hh, *transposed_ih;
  float *z;   // (unit block, entry, WIDTH): first the gates, if computed again; then cotangents
  float *a;   // (tile of rows, entry, TILE_ROWS): x and h before the step, side by side
} backward_run;

INLINE int64_t row_tiles(const recurrence *of) {
  return ceil_div(of->input + of->hidden, TILE_ROWS);
}
INLINE float *cotangents_of(const backward_run *run, int64_t u, int64_t slot) {
  return run->z + (u * run->most_entries + slot) * WIDTH;
}

// Copy x and h of an entry to its place in `run->a`.
static void gather_row(const backward_run *run, int64_t slot, const float *x, const float *h) {
  const recurrence *of = &run->call->of;
  float *to = run->a + slot * TILE_ROWS;
  const int64_t stride = run->most_entries * TILE_ROWS;
  int64_t m = 0;
  for (int side = 0; side < 2; side++) {
    const float *from = side ? h : x;
    int64_t left = side ? of->hidden : of->input;
    while (left > 0) {
      if (m == 0 && left >= TILE_ROWS) {
        UNROLL for (int j = 0; j < TILE_ROWS; j++) to[j] = from[j];
        from += TILE_ROWS;
        left -= TILE_ROWS;
        to += stride;
        continue;
      }
      to[m] = *from++;
      left--;
      if (++m == TILE_ROWS) {
        m = 0;
        to += stride;
      }
    }
  }
}

// The gates of some entries, from the state before the step, to the places of their cotangents.
static void gates_tile(const int rows, const backward_run *run, const float *const *xs,
                       const float *const *hs, int64_t u, float *out) {
  const recurrence *of = &run->call->of;
  const float *packed = packed_gates(run->packed, of, u);
  const int64_t count = of->hidden - u * LANES;
  sums_of_rows[rows](out, packed, 0, xs, of->input, hs, of->hidden, packed + WIDTH);
  for (int r = 0; r < rows; r++) {
    for (int v = 0; v < 4; v++) {
      float *to = out + r * WIDTH + v * LANES;
      const vec gate = v == 2 ? hyperbolic_tangent(load(to)) : sigmoid(load(to));
      if (count < LANES) store(to, fill(0.0f));  // units that do not exist
      store_some(to, gate, count);
    }
  }
}

// Gather x and h of a block's entries, task `k` of ROWS_PER_TASK rows each; compute their gates.
static void gather(const backward_run *run, const block *of_block, int64_t k) {
  const backward_call *call = run->call;
  const recurrence *of = &call->of;
  const int64_t *entry = run->entry + of_block->of_entry;
  const int64_t start = k * ROWS_PER_TASK;
  const int64_t last = least(of_block->entries, start + ROWS_PER_TASK);
  const float *xs[ROWS_PER_TASK], *hs[ROWS_PER_TASK];
  for (int64_t j = start; j < last; j++) {
    xs[j - start] = of->xs + entry[j] * of->input;
    hs[j - start] = call->before_h + entry[j] * of->hidden;
    if (run->a) gather_row(run, j, xs[j - start], hs[j - start]);
  }
  if (!run->packed) return;
  for (int64_t u = 0; u < unit_blocks(of); u++) {
    for (int64_t j = 0; j < last - start;) {
      const int rows = next_rows(last - start - j);
      gates_tile(rows, run, xs + j, hs + j, u, cotangents_of(run, u, start + j));
      j += rows;
    }
  }
}

// Cotangents of the pre-activations of a row, and of its cell before the step; unit blocks [u0, u1).
static void cotangents_of_row(const backward_run *run, int64_t at, int64_t b, int64_t slot,
                              int64_t u0, int64_t u1) {
  const backward_call *call = run->call;
  const int64_t hidden = call->of.hidden;
  const vec one = fill(1.0f);
  for (int64_t u = u0; u < u1; u++) {
    const int64_t first = u * LANES, count = hidden - first;
    const int64_t from = at * hidden + first, state = b * hidden + first;
    float *z = cotangents_of(run, u, slot);
    vec i, f, g, o;
    if (call->gates[0]) {
      i = load_some(call->gates[0] + from, count);
      f = load_some(call->gates[1] + from, count);
      g = load_some(call->gates[2] + from, count);
      o = load_some(call->gates[3] + from, count);
    } else {
      i = load(z);
      f = load(z + LANES);
      g = load(z + 2 * LANES);
      o = load(z + 3 * LANES);
    }
    const vec c = load_some(call->before_c + from, count);
    const vec m = hyperbolic_tangent(multiply_add(f, c, mul(i, g)));
    const vec d_h = add(load_some(call->d_h + state, count), load_some(call->d_hs + from, count));
    const vec through_h = mul(mul(d_h, o), sub(one, mul(m, m)));
    const vec d_c = add(load_some(call->d_c + state, count), through_h);
    store(z, mul(mul(d_c, g), mul(i, sub(one, i))));
    store(z + LANES, mul(mul(d_c, c), mul(f, sub(one, f))));
    store(z + 2 * LANES, mul(mul(d_c, i), sub(one, mul(g, g))));
    store(z + 3 * LANES, mul(mul(d_h, m), mul(o, sub(one, o))));
    store_some(call->d_c + state, mul(d_c, f), count);
  }
}

// The first half of step `s`: cotangents of the pre-activations, of unit blocks [u0, u1).
static void cotangents_of_step(const backward_run *run, const block *of_block, int64_t s, int64_t k,
                               int64_t u0, int64_t u1) {
  const recurrence *of = &run->call->of;
  const int64_t n = group_size(&of_block->rows, k);
  for (int64_t j = 0; j < n; j++) {
    const int64_t b = row_of(&of_block->rows, k, j);
    const int64_t slot = run->slot[s * of->batch + b];
    if (slot >= 0) {
      cotangents_of_row(run, time_of(of, s) * of->batch + b, b, slot, u0, u1);
    }
  }
}

// A state that was put in before the step takes the cotangents that have come to it.
static void leave_segment(const backward_call *call, int64_t b, int64_t first, int64_t count) {
  const int64_t at = b * call->of.hidden + first;
  for (int64_t j = at; j < at + count; j++) {
    if (call->d_reset_h) {
      call->d_reset_h[j] += call->d_h[j];
      call->d_reset_c[j] += call->d_c[j];
    }
    call->d_h[j] = 0.0f;
    call->d_c[j] = 0.0f;
  }
}

// The second half: cotangents of h before the step, of column blocks [c0, c1).
static void cotangents_through_h(const backward_run *run, const block *of_block, int64_t s,
                                 int64_t k, int64_t c0, int64_t c1) {
  const backward_call *call = run->call;
  const recurrence *of = &call->of;
  const int64_t n = group_size(&of_block->rows, k);
  const int64_t first = c0 * WIDTH, count = least(c1 * WIDTH, of->hidden) - first;
  const float *z[ROWS_AT_ONCE];
  float *out[ROWS_AT_ONCE];
  for (int64_t start = 0; start < n; start += ROWS_AT_ONCE) {
    const int64_t some = least(n - start, ROWS_AT_ONCE);
    int64_t active = 0;
    for (int64_t j = 0; j < some; j++) {
      const int64_t b = row_of(&of_block->rows, k, start + j);
      const int64_t slot = run->slot[s * of->batch + b];
      if (slot < 0) continue;
      z[active] = cotangents_of(run, 0, slot);
      out[active++] = call->d_h + b * of->hidden;
    }
    for (int64_t column = c0; column < c1; column++) {
      product_rows(z, active, run->most_entries * WIDTH, unit_blocks(of), run->transposed_hh,
                   column, of->hidden, out);
    }
    for (int64_t j = 0; j < some && of->entered; j++) {
      const int64_t b = row_of(&of_block->rows, k, start + j);
      if (is_entered(of, time_of(of, s) * of->batch + b)) leave_segment(call, b, first, count);
    }
  }
}

// The gradient of the weights into unit block `u`: the part'th part of their rows.
static void gradient_of_weights(const backward_run *run, int64_t index, int64_t u, int64_t part) {
  const backward_call *call = run->call;
  const recurrence *of = &call->of;
  const int64_t hidden = of->hidden, entries = run->blocks[index].entries;
  const int64_t first = u * LANES, count = hidden - first, all = of->input + hidden;
  const float *z = cotangents_of(run, u, 0);
  const int fresh = index == 0;
  const int64_t tiles = row_tiles(of);
  for (int64_t t = tiles * part / run->rows_divided; t < tiles * (part + 1) / run->rows_divided;
       t++) {
    float *to[TILE_ROWS];
    const int rows = (int)least(TILE_ROWS, all - t * TILE_ROWS);
    for (int r = 0; r < rows; r++) {
      const int64_t k = t * TILE_ROWS + r;
      float *weight = k < of->input ? call->d_weight_ih + k * 4 * hidden
                                    : call->d_weight_hh + (k - of->input) * 4 * hidden;
      to[r] = weight + first;
    }
    const float *a = run->a + t * run->most_entries * TILE_ROWS;
    gradients_of_rows[rows](a, z, entries, fresh, to, hidden, count);
  }
  if (part > 0) return;
  vec sums[4];
  for (int v = 0; v < 4; v++) {
    sums[v] = fresh ? fill(0.0f) : load_some(call->d_bias + v * hidden + first, count);
  }
  for (int64_t j = 0; j < entries; j++) {
    for (int v = 0; v < 4; v++) sums[v] = add(sums[v], load(z + j * WIDTH + v * LANES));
  }
  for (int v = 0; v < 4; v++) store_some(call->d_bias + v * hidden + first, sums[v], count);
}

// The cotangents of x of a block's entries, task `k` of ROWS_PER_TASK rows each.
static void cotangents_of_inputs(const backward_run *run, const block *of_block, int64_t k) {
  const recurrence *of = &run->call->of;
  const int64_t *entry = run->entry + of_block->of_entry;
  const int64_t start = k * ROWS_PER_TASK;
  const int64_t n = least(of_block->entries - start, ROWS_PER_TASK);
  const float *z[ROWS_PER_TASK];
  float *out[ROWS_PER_TASK];
  for (int64_t j = 0; j < n; j++) {
    z[j] = cotangents_of(run, 0, start + j);
    out[j] = run->call->d_xs + entry[start + j] * of->input;
  }
  for (int64_t column = 0; column < ceil_div(of->input, WIDTH); column++) {
    product_rows(z, n, run->most_entries * WIDTH, unit_blocks(of), run->transposed_ih, column,
                 of->input, out);
  }
}

// Before the first block: pack weights, and put the cotangents of the last state in their places.
static void prepare(const backward_run *run, int64_t task) {
  const backward_call *call = run->call;
  const recurrence *of = &call->of;
  const size_t bytes = (size_t)(of->batch * of->hidden) * sizeof(float);
  const int64_t through_h = ceil_div(of->hidden, WIDTH);
  const int64_t through_x = call->d_xs ? ceil_div(of->input, WIDTH) : 0;
  if (task == 0) {
    memcpy(call->d_h, call->d_last_h, bytes);
    memcpy(call->d_c, call->d_last_c, bytes);
    if (call->d_reset_h) memset(call->d_reset_h, 0, bytes);
    if (call->d_reset_c) memset(call->d_reset_c, 0, bytes);
  } else if (--task < through_h) {
    pack_transposed(of, of->weight_hh, of->hidden, task, run->transposed_hh);
  } else if ((task -= through_h) < through_x) {
    pack_transposed(of, of->weight_ih, of->input, task, run->transposed_ih);
  } else if ((task -= through_x) < run->zeroing) {
    const size_t size = (size_t)(of->time * of->batch * of->input);
    const size_t from = size * task / run->zeroing, to = size * (task + 1) / run->zeroing;
    memset(call->d_xs + from, 0, (to - from) * sizeof(float));
  } else {
    pack_gates(of, task - run->zeroing, run->packed);
  }
}

static void backward_task(void *given, int kind, int64_t index, int64_t task) {
  const backward_run *run = given;
  const recurrence *of = &run->call->of;
  const block *b = &run->blocks[index / (of->time + 1)];
  const int64_t s = index % (of->time + 1) - 1;
  const int64_t blocks = unit_blocks(of), columns = ceil_div(of->hidden, WIDTH);
  switch (kind) {
    case BACKWARD_PREPARE: prepare(run, task); break;
    case BACKWARD_GATHER: gather(run, b, task); break;
    case BACKWARD_STEP: {
      // The second half of the step after, then the first half of this one.
      const int64_t c0 = columns * task / run->units_divided;
      const int64_t c1 = columns * (task + 1) / run->units_divided;
      if (s + 1 < b->last_step) cotangents_through_h(run, b, s + 1, 0, c0, c1);
      if (s >= b->first_step) {
        cotangents_of_step(run, b, s, 0, 4 * c0, least(4 * c1, blocks));
      }
      break;
    }
    case BACKWARD_ROWS:
      for (int64_t k = b->last_step - 1; k >= b->first_step; k--) {
        cotangents_of_step(run, b, k, task, 0, blocks);
        cotangents_through_h(run, b, k, task, 0, columns);
      }
      break;
    case BACKWARD_PRODUCTS: {
      const int64_t inputs = run->call->d_xs ? ceil_div(b->entries, ROWS_PER_TASK) : 0;
      if (task < inputs) cotangents_of_inputs(run, b, task);
      else {
        task -= inputs;
        gradient_of_weights(run, index / (of->time + 1), task / run->rows_divided,
                            task % run->rows_divided);
      }
      break;
    }
  }
}

// Divide time and batch into blocks, and number the entries of each.
static void number_entries(backward_run *run, int64_t slices, int64_t steps, int64_t groups, int32_t *order,
                   int32_t *lengths, int64_t *starts) {
  const recurrence *of = &run->call->of;
  int64_t entries = 0;
  block *b = run->blocks;
  for (int64_t k = 0; k < slices; k++) {
    const int64_t first = of->batch * k / slices, last = of->batch * (k + 1) / slices;
    grouping rows = {first, last - first, least(groups, last - first), NULL};
    if (of->valid && groups > 1) {
      order_by_length(of, first, last - first, order + first, lengths, starts);
      rows.order = order + first;
    }
    for (int64_t end = of->time; end > 0; end -= steps, b++) {
      *b = (block){most(0, end - steps), end, rows, 0, entries};
      for (int64_t s = b->first_step; s < end; s++) {
        for (int64_t row = first; row < last; row++) {
          const int64_t at = time_of(of, s) * of->batch + row;
          const int valid = is_valid(of, at);
          run->slot[s * of->batch + row] = valid ? (int32_t)b->entries++ : -1;
          if (valid) run->entry[entries++] = at;
        }
      }
    }
  }
  run->count = b - run->blocks;
}

static int backward(const backward_call *call, const workers *from) {
  const recurrence *of = &call->of;
  const int64_t units = unit_blocks(of), columns = ceil_div(of->hidden, WIDTH);
  const int64_t batch = of->batch, time = of->time, threads = most(1, from->threads);
  const int64_t slices = most(1, (batch + ROWS_OF_BLOCK / 2) / ROWS_OF_BLOCK);
  const int64_t slice = ceil_div(batch, slices);
  const int64_t steps = least(time, most(1, ROWS_OF_BLOCK / slice));
  const int by_units = divides_units(of, slice, columns, threads);
  const int64_t groups = by_units ? 1 : least(threads, ceil_div(slice, ROWS_PER_THREAD));
  const int wants_weights = call->d_weight_ih != NULL, recomputes = !call->gates[0];
  backward_run run = {.call = call, .most_entries = slice * steps};
  run.units_divided = (int)least(threads, columns);
  run.rows_divided = (int)least(row_tiles(of), most(1, ceil_div(2 * threads, units)));
  run.zeroing = call->d_xs && of->valid ? 8 : 0;
  int32_t *order = NULL, *lengths = NULL;
  int64_t *starts = NULL;
  scratch memory = {0};
  for (int pass = 0; pass < 2; pass++) {
    run.blocks = part(&memory, (size_t)(slices * ceil_div(time, steps)), sizeof(block));
    run.slot = part(&memory, (size_t)(time * batch), sizeof(int32_t));
    run.entry = part(&memory, (size_t)(time * batch), sizeof(int64_t));
    run.transposed_hh = part(&memory, packed_transposed_size(of, of->hidden), sizeof(float));
    run.z = part(&memory, (size_t)(units * run.most_entries * WIDTH), sizeof(float));
    if (call->d_xs) {
      run.transposed_ih = part(&memory, packed_transposed_size(of, of->input), sizeof(float));
    }
    if (recomputes) run.packed = part(&memory, packed_gates_size(of), sizeof(float));
    if (wants_weights) {
      const size_t size = (size_t)(row_tiles(of) * run.most_entries * TILE_ROWS);
      run.a = part(&memory, size, sizeof(float));
    }
    if (of->valid && groups > 1) {
      order = part(&memory, (size_t)batch, sizeof(int32_t));
      lengths = part(&memory, (size_t)slice, sizeof(int32_t));
      starts = part(&memory, (size_t)time + 2, sizeof(int64_t));
    }
    if (pass == 0 && !scratch_allocate(&memory)) return -1;
  }
  number_entries(&run, slices, steps, groups, order, lengths, starts);
  team *t = team_new(1 + run.count * (by_units ? 3 + steps : 3));
  if (!t) {
    scratch_free(&memory);
    return -1;
  }
  const int64_t inputs = call->d_xs ? ceil_div(of->input, WIDTH) : 0;
  team_add(t, BACKWARD_PREPARE, 0, 1 + columns + inputs + run.zeroing + (recomputes ? units : 0));
  for (int64_t k = 0; k < run.count; k++) {
    const block *b = &run.blocks[k];
    const int64_t index = k * (time + 1), pieces = ceil_div(b->entries, ROWS_PER_TASK);
    if (wants_weights || recomputes) team_add(t, BACKWARD_GATHER, index, pieces);
    if (by_units) {
      for (int64_t s = b->last_step - 1; s >= b->first_step - 1; s--) {
        team_add(t, BACKWARD_STEP, index + s + 1, run.units_divided);
      }
    } else {
      team_add(t, BACKWARD_ROWS, index, b->rows.groups);
    }
    const int64_t gradients = wants_weights ? units * run.rows_divided : 0;
    team_add(t, BACKWARD_PRODUCTS, index, (call->d_xs ? pieces : 0) + gradients);
  }
  team_run(t, backward_task, &run, threads - 1, from->schedule, from->pool);
  scratch_free(&memory);
  return 0;
}

#endif
