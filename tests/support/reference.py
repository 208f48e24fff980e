"""The textbook LSTM: float64, NumPy, one sequence at a time, one loop over its steps.

It shares no code with the library and takes no short cuts. The forward pass is Gers et al. (2000),
section 3, without peepholes; the backward pass is backpropagation through time, written out from
the chain rule. `lstm` gives values, `lstm_vjp` gradients.
"""

from typing import NamedTuple

import numpy as np


class Step(NamedTuple):
    """One step of one sequence: where it is, what went in, what came out."""

    t: int
    entered: bool  # the state was replaced by the reset state before this step
    x: np.ndarray
    h_old: np.ndarray
    c_old: np.ndarray
    i: np.ndarray
    f: np.ndarray
    g: np.ndarray
    o: np.ndarray
    c: np.ndarray
    h: np.ndarray


def sigmoid(z):
    return 1.0 / (1.0 + np.exp(-z))


def run(weight_ih, weight_hh, bias, h, c, xs, length, resets, reset_h, reset_c, reverse):
    """All steps of one sequence, in the order in which they happen."""
    hidden = weight_hh.shape[0]
    order = range(length)
    steps = []
    for t in reversed(order) if reverse else order:
        if reverse:  # the step done before this one was t + 1: replaced after it, if it resets
            entered = bool(resets[t + 1]) if t + 1 < length else False
        else:
            entered = bool(resets[t])
        if entered:
            h, c = reset_h, reset_c
        z = xs[t] @ weight_ih + h @ weight_hh + bias
        i = sigmoid(z[0 * hidden : 1 * hidden])
        f = sigmoid(z[1 * hidden : 2 * hidden])
        g = np.tanh(z[2 * hidden : 3 * hidden])
        o = sigmoid(z[3 * hidden : 4 * hidden])
        c_new = f * c + i * g
        h_new = o * np.tanh(c_new)
        steps.append(Step(t, entered, xs[t], h, c, i, f, g, o, c_new, h_new))
        h, c = h_new, c_new
    return steps, h, c


def lstm(params, state, xs, lengths=None, resets=None, reset_state=None, reverse=False):
    """`((h, c), hs, trace)`; the trace is a dict of the gates and the cell at every step."""
    params, state, xs, lengths, resets, reset_state = _canonical(
        params, state, xs, lengths, resets, reset_state
    )
    hidden = params[1].shape[0]
    batch = xs.shape[1:-1]
    h_last, c_last = np.zeros((*batch, hidden)), np.zeros((*batch, hidden))
    hs = np.zeros((xs.shape[0], *batch, hidden))
    trace = {name: np.zeros_like(hs) for name in "ifgoc"}
    for b in np.ndindex(*batch):
        at = (slice(None), *b)
        steps, h_last[b], c_last[b] = run(
            *params, state[0][b], state[1][b], xs[at], lengths[b], resets[at],
            reset_state[0][b], reset_state[1][b], reverse,
        )  # fmt: skip
        for step in steps:
            hs[(step.t, *b)] = step.h
            for name, values in trace.items():
                values[(step.t, *b)] = getattr(step, name)
    return (h_last, c_last), hs, trace


def lstm_vjp(params, state, xs, cotangents, lengths=None, resets=None, reset_state=None,
             reverse=False):  # fmt: skip
    """Gradients of `<cotangents, ((h, c), hs)>` as a dict: params, state, xs, reset_state."""
    params, state, xs, lengths, resets, reset_state = _canonical(
        params, state, xs, lengths, resets, reset_state
    )
    (d_h_last, d_c_last), d_hs = cotangents
    weight_ih, weight_hh, _ = params
    d_params = [np.zeros_like(p) for p in params]
    d_state = [np.zeros_like(s) for s in state]
    d_reset = [np.zeros_like(s) for s in reset_state]
    d_xs = np.zeros_like(xs)
    for b in np.ndindex(*xs.shape[1:-1]):
        at = (slice(None), *b)
        steps, _, _ = run(
            *params, state[0][b], state[1][b], xs[at], lengths[b], resets[at],
            reset_state[0][b], reset_state[1][b], reverse,
        )  # fmt: skip
        d_h, d_c = np.float64(d_h_last[b]), np.float64(d_c_last[b])
        for s in reversed(steps):
            d_h = d_h + d_hs[(s.t, *b)]
            tanh_c = np.tanh(s.c)
            d_o = d_h * tanh_c
            d_c = d_c + d_h * s.o * (1 - tanh_c**2)
            d_i, d_f, d_g = d_c * s.g, d_c * s.c_old, d_c * s.i
            d_z = np.concatenate([
                d_i * s.i * (1 - s.i), d_f * s.f * (1 - s.f), d_g * (1 - s.g**2),
                d_o * s.o * (1 - s.o),
            ])  # fmt: skip
            d_params[0] += np.outer(s.x, d_z)
            d_params[1] += np.outer(s.h_old, d_z)
            d_params[2] += d_z
            d_xs[(s.t, *b)] = weight_ih @ d_z
            d_h, d_c = weight_hh @ d_z, d_c * s.f
            if s.entered:
                d_reset[0][b] += d_h
                d_reset[1][b] += d_c
                d_h, d_c = np.zeros_like(d_h), np.zeros_like(d_c)
        d_state[0][b], d_state[1][b] = d_h, d_c
    return {"params": d_params, "state": d_state, "xs": d_xs, "reset_state": d_reset}


def _canonical(params, state, xs, lengths, resets, reset_state):
    params = [np.asarray(p, np.float64) for p in params]
    xs = np.asarray(xs, np.float64)
    time, *batch = xs.shape[:-1]
    zeros = np.zeros((*batch, params[1].shape[0]))
    state = [zeros, zeros] if state is None else [np.asarray(s, np.float64) for s in state]
    if reset_state is None:
        reset_state = [zeros, zeros]
    reset_state = [np.asarray(s, np.float64) for s in reset_state]
    lengths = np.full(batch, time) if lengths is None else np.asarray(lengths)
    resets = np.zeros((time, *batch), bool) if resets is None else np.asarray(resets)
    return params, state, xs, lengths, resets, reset_state
