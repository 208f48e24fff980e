"""jlstm's plain scan of `lstm_step` under JAX's own derivative, to see what the fused one gains."""

import jax.numpy as jnp

import jlstm


def layer(problem):
    """`(params, apply)` with `apply(params, xs) -> hs`, time-major."""
    params = jlstm.LSTMParams(*map(jnp.asarray, problem[:3]))
    return params, lambda params, xs: jlstm.lstm_scan(params, None, xs, implementation="scan")[1]
