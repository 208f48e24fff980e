"""jlstm itself: `jlstm.lstm_scan`, and `jlstm.lstm_step` for a stream."""

import jax
import jax.numpy as jnp

import jlstm


def layer(problem, save="gates", implementation=None, one_loop=False):
    """`(params, apply)` with `apply(params, xs) -> hs`, time-major.

    `one_loop` is of a layer in both directions.
    """
    params = jlstm.LSTMParams(*map(jnp.asarray, problem[:3]))
    options = {"save": save, "implementation": implementation, "lengths": problem.lengths}

    def apply(params, xs):
        return jlstm.lstm_scan(params, None, xs, **options)[1]

    def apply_stack(layers, xs):
        return jlstm.stack_scan(layers, None, xs, **options)[1]

    def apply_together(layers, xs):
        return jlstm.gpu.bidirectional_scan(*layers, None, xs, **options)[1]

    if problem.other is None:
        return params, apply
    other = jlstm.LSTMParams(*map(jnp.asarray, problem.other))
    layers = (
        (params, other) if problem.kind == "two layers" else (jlstm.BiLSTMParams(params, other),)
    )
    return layers, apply_together if one_loop else apply_stack


def step(problem):
    """One step of a stream, with the state kept."""
    params = jlstm.LSTMParams(*map(jnp.asarray, problem[:3]))
    x = jnp.asarray(problem.xs[0])
    state = jlstm.init_state(params, x.shape[:1])
    run = jax.jit(jlstm.lstm_step).lower(params, state, x).compile()

    def call():
        nonlocal state
        state, h = run(params, state, x)
        return h.block_until_ready()

    return call
