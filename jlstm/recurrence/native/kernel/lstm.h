// The recurrence of the LSTM, forward and backward, over float32 arrays in row-major order.
//
// Gates are i, f, g, o. The loop goes over `time` steps, from the last one if `reverse`.

#ifndef JLSTM_LSTM_H
#define JLSTM_LSTM_H

#include <stdint.h>

#include "team.h"

typedef struct {
  int64_t time, batch, input, hidden;
  int reverse;
  const float *weight_ih, *weight_hh, *bias;  // (input, 4 hidden), (hidden, 4 hidden), (4 hidden)
  const float *xs;                            // (time, batch, input)
  const uint8_t *valid, *entered;             // (time, batch), or NULL
} recurrence;

typedef struct {
  recurrence of;
  const float *h, *c, *reset_h, *reset_c;  // (batch, hidden); the last two NULL if none is entered
  float *last_h, *last_c;                  // (batch, hidden)
  float *hs;                               // (time, batch, hidden)
  float *before_h, *before_c, *gates[4];   // (time, batch, hidden), or NULL if they are not kept
} forward_call;

typedef struct {
  recurrence of;
  const float *before_h, *before_c;
  const float *gates[4];                                 // NULL: they are computed again
  const float *d_last_h, *d_last_c, *d_hs;               // cotangents of the results
  float *d_h, *d_c, *d_reset_h, *d_reset_c;              // the last two NULL if none is wanted
  float *d_weight_ih, *d_weight_hh, *d_bias;             // all NULL if none is wanted
  float *d_xs;                                           // NULL if it is not wanted
} backward_call;

// Where the threads come from: at most `threads` of them, the caller's own among them.
typedef struct {
  int64_t threads;
  team_schedule *schedule;
  void *pool;
} workers;

// An instruction set's functions. They return 0, or -1 if there is no memory.
typedef struct {
  const char *name;
  int (*forward)(const forward_call *, const workers *);
  int (*backward)(const backward_call *, const workers *);
} instruction_set;

#endif
