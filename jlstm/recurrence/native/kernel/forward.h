// The forward loop.

#ifndef JLSTM_FORWARD_H
#define JLSTM_FORWARD_H

#include "activations.h"
#include "layout.h"

// What one row of the batch reads and writes at one step.
typedef struct {
  const float *x, *h, *c;      // h and c before the step
  float *new_h, *new_c, *out;  // out is h in `hs`
  int64_t at;                  // the row of arrays of all steps
  int64_t projected;           // the row of `forward_run.projected`
} row;

typedef struct {
  const forward_call *call;
  grouping rows;
  int units_divided;
  float *packed;
  float *h[2];       // the state after even and odd steps, if `hs` does not hold it
  float *projected;  // (block, steps of a block * batch, WIDTH), or NULL: x W + b of these steps
  int64_t steps_projected;
} forward_run;

enum { FORWARD_PACK, FORWARD_PROJECT, FORWARD_STEP, FORWARD_ROWS };

// The six equations, for block `u` of some rows.
static void step_tile(const int rows, const forward_run *run, const row *const *list, int64_t u) {
  const forward_call *call = run->call;
  const recurrence *of = &call->of;
  const float *packed = packed_gates(run->packed, of, u);
  const int64_t first = u * LANES, count = of->hidden - first;
  const float *xs[TILE_ROWS], *hs[TILE_ROWS];
  for (int r = 0; r < rows; r++) {
    xs[r] = list[r]->x;
    hs[r] = list[r]->h;
  }
  float z[TILE_ROWS * WIDTH];
  if (run->projected) {
    float *block = run->projected + u * run->steps_projected * of->batch * WIDTH;
    for (int r = 0; r < rows; r++) {
      memcpy(z + r * WIDTH, block + list[r]->projected * WIDTH, WIDTH * sizeof(float));
    }
    sums_of_rows[rows](z, z, WIDTH, xs, 0, hs, of->hidden, packed + (1 + of->input) * WIDTH);
  } else {
    sums_of_rows[rows](z, packed, 0, xs, of->input, hs, of->hidden, packed + WIDTH);
  }
  for (int r = 0; r < rows; r++) {
    const row *at = list[r];
    const vec i = sigmoid(load(z + r * WIDTH));
    const vec f = sigmoid(load(z + r * WIDTH + LANES));
    const vec g = hyperbolic_tangent(load(z + r * WIDTH + 2 * LANES));
    const vec o = sigmoid(load(z + r * WIDTH + 3 * LANES));
    const vec c = multiply_add(f, load_some(at->c + first, count), mul(i, g));
    const vec h = mul(o, hyperbolic_tangent(c));
    store_some(at->new_c + first, c, count);
    store_some(at->new_h + first, h, count);
    if (at->out != at->new_h) store_some(at->out + first, h, count);
    if (call->gates[0]) {
      const int64_t to = at->at * of->hidden + first;
      store_some(call->gates[0] + to, i, count);
      store_some(call->gates[1] + to, f, count);
      store_some(call->gates[2] + to, g, count);
      store_some(call->gates[3] + to, o, count);
    }
  }
}

// What row `b` reads and writes at step `s`.
INLINE row row_at_step(const forward_run *run, int64_t s, int64_t b) {
  const forward_call *call = run->call;
  const recurrence *of = &call->of;
  const int64_t hidden = of->hidden, at = time_of(of, s) * of->batch + b;
  const int64_t previous = (s > 0 ? time_of(of, s - 1) : 0) * of->batch + b;
  row r;
  r.at = at;
  r.x = call->of.xs + at * of->input;
  r.out = call->hs + at * hidden;
  r.new_c = call->last_c + b * hidden;
  r.new_h = run->h[0] ? run->h[s & 1] + b * hidden : r.out;
  r.projected = s % run->steps_projected * of->batch + b;
  if (is_entered(of, at)) {
    r.h = call->reset_h + b * hidden;
    r.c = call->reset_c + b * hidden;
  } else if (s == 0) {
    r.h = call->h + b * hidden;
    r.c = call->c + b * hidden;
  } else {
    r.h = run->h[0] ? run->h[(s - 1) & 1] + b * hidden : call->hs + previous * hidden;
    r.c = r.new_c;
  }
  return r;
}

// Step `s` of group `k`, of unit blocks [u0, u1).
static void run_step(const forward_run *run, int64_t s, int64_t k, int64_t u0, int64_t u1) {
  const forward_call *call = run->call;
  const recurrence *of = &call->of;
  const int64_t hidden = of->hidden, n = group_size(&run->rows, k);
  const int64_t first = u0 * LANES, count = least(u1 * LANES, hidden) - first;
  const size_t bytes = (size_t)count * sizeof(float);
  row rows[ROWS_AT_ONCE];
  const row *list[ROWS_AT_ONCE];
  for (int64_t start = 0; start < n; start += ROWS_AT_ONCE) {
    const int64_t some = least(n - start, ROWS_AT_ONCE);
    int64_t active = 0;
    for (int64_t j = 0; j < some; j++) {
      const int64_t b = row_of(&run->rows, k, start + j);
      rows[j] = row_at_step(run, s, b);
      const row *r = &rows[j];
      const int64_t to = r->at * hidden + first;
      if (call->before_h) memcpy(call->before_h + to, r->h + first, bytes);
      if (call->before_c) memcpy(call->before_c + to, r->c + first, bytes);
      if (is_valid(of, r->at)) {
        list[active++] = r;
        continue;
      }
      // Padding: the state stays, the output is zero, and so are gates that nobody reads.
      memcpy(r->new_h + first, r->h + first, bytes);
      memmove(r->new_c + first, r->c + first, bytes);
      memset(r->out + first, 0, bytes);
      for (int g = 0; g < 4 && call->gates[0]; g++) memset(call->gates[g] + to, 0, bytes);
    }
    for (int64_t u = u0; u < u1; u++) {
      for (int64_t j = 0; j < active;) {
        const int tile_rows = next_rows(active - j);
        step_tile(tile_rows, run, list + j, u);
        j += tile_rows;
      }
    }
    if (s + 1 < of->time) continue;
    for (int64_t j = 0; j < some; j++) {
      const int64_t b = row_of(&run->rows, k, start + j);
      memcpy(call->last_h + b * hidden + first, rows[j].new_h + first, bytes);
    }
  }
}

// x W + b of some steps, from step `s`: task `k` of as many as there are ROWS_PER_TASK rows.
static void run_projection(const forward_run *run, int64_t s, int64_t k) {
  const recurrence *of = &run->call->of;
  const int64_t end = least(of->time - s, run->steps_projected) * of->batch;
  const int64_t last = least(end, (k + 1) * ROWS_PER_TASK);
  for (int64_t u = 0; u < unit_blocks(of); u++) {
    const float *packed = packed_gates(run->packed, of, u);
    float *block = run->projected + u * run->steps_projected * of->batch * WIDTH;
    for (int64_t j = k * ROWS_PER_TASK; j < last;) {
      const int rows = next_rows(last - j);
      const float *xs[TILE_ROWS];
      for (int r = 0; r < rows; r++) {
        const int64_t at = time_of(of, s + (j + r) / of->batch) * of->batch + (j + r) % of->batch;
        xs[r] = of->xs + at * of->input;
      }
      sums_of_rows[rows](block + j * WIDTH, packed, 0, xs, of->input, xs, 0, packed + WIDTH);
      j += rows;
    }
  }
}

static void forward_task(void *given, int kind, int64_t index, int64_t task) {
  forward_run *run = given;
  const recurrence *of = &run->call->of;
  const int64_t blocks = unit_blocks(of);
  switch (kind) {
    case FORWARD_PACK: pack_gates(of, task, run->packed); break;
    case FORWARD_PROJECT: run_projection(run, index, task); break;
    case FORWARD_STEP:
      run_step(run, index, 0, blocks * task / run->units_divided,
               blocks * (task + 1) / run->units_divided);
      break;
    case FORWARD_ROWS:
      for (int64_t s = index; s < least(of->time, index + run->steps_projected); s++) {
        run_step(run, s, task, 0, blocks);
      }
      break;
  }
}

static int forward(const forward_call *call, const workers *from) {
  const recurrence *of = &call->of;
  const int64_t blocks = unit_blocks(of), batch = of->batch, time = of->time;
  const int64_t threads = most(1, from->threads);
  const int by_units = divides_units(of, batch, blocks, threads);
  const int few = batch < FEW_ROWS && time > 1;
  forward_run run = {.call = call, .units_divided = (int)least(threads, blocks)};
  run.steps_projected = few ? least(time, most(1, 384 / batch)) : time;
  const int64_t groups = by_units ? 1 : least(threads, ceil_div(batch, ROWS_PER_THREAD));
  run.rows = (grouping){0, batch, groups, NULL};
  scratch memory = {0};
  int32_t *order = NULL, *lengths = NULL;
  int64_t *starts = NULL;
  const int ordered = of->valid && run.rows.groups > 1;
  for (int pass = 0; pass < 2; pass++) {
    run.packed = part(&memory, packed_gates_size(of), sizeof(float));
    if (few) {
      run.projected =
          part(&memory, (size_t)(blocks * run.steps_projected * batch * WIDTH), sizeof(float));
    }
    if (of->valid) {
      for (int k = 0; k < 2; k++) {
        run.h[k] = part(&memory, (size_t)(batch * of->hidden), sizeof(float));
      }
    }
    if (ordered) {
      order = part(&memory, (size_t)batch, sizeof(int32_t));
      lengths = part(&memory, (size_t)batch, sizeof(int32_t));
      starts = part(&memory, (size_t)time + 2, sizeof(int64_t));
    }
    if (pass == 0 && !scratch_allocate(&memory)) return -1;
  }
  if (ordered) {
    order_by_length(of, 0, batch, order, lengths, starts);
    run.rows.order = order;
  }
  team *t = team_new(1 + (by_units ? time : 0) + 2 * ceil_div(time, run.steps_projected));
  if (!t) {
    scratch_free(&memory);
    return -1;
  }
  team_add(t, FORWARD_PACK, 0, blocks);
  for (int64_t s = 0; s < time; s += run.steps_projected) {
    const int64_t end = least(time, s + run.steps_projected);
    if (few) team_add(t, FORWARD_PROJECT, s, ceil_div((end - s) * batch, ROWS_PER_TASK));
    if (by_units) {
      for (int64_t k = s; k < end; k++) team_add(t, FORWARD_STEP, k, run.units_divided);
    } else {
      team_add(t, FORWARD_ROWS, s, run.rows.groups);
    }
  }
  team_run(t, forward_task, &run, threads - 1, from->schedule, from->pool);
  scratch_free(&memory);
  return 0;
}

#endif
