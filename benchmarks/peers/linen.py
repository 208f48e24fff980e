"""Flax linen: `nn.RNN` over `nn.OptimizedLSTMCell`, the faster of its two cells."""

import flax.linen as nn
import jax.numpy as jnp

from benchmarks.peers._flax_weights import gate_weights


def layer(problem):
    """`(params, apply)` with `apply(params, xs) -> hs`, time-major."""
    dtype = jnp.asarray(problem.xs).dtype
    cell = nn.OptimizedLSTMCell(problem.weight_hh.shape[0], dtype=dtype, param_dtype=dtype)
    model = nn.RNN(cell, time_major=True)
    backward = nn.RNN(cell, time_major=True, reverse=True, keep_order=True)
    params = {"params": {"cell": gate_weights(problem)}}
    if problem.other is None:
        return params, lambda params, xs: model.apply(params, xs, seq_lengths=problem.lengths)
    both = (params, {"params": {"cell": gate_weights(problem.other)}})
    if problem.kind == "two layers":
        return both, lambda both, xs: model.apply(both[1], model.apply(both[0], xs))
    return both, lambda both, xs: jnp.concatenate(
        [model.apply(both[0], xs), backward.apply(both[1], xs)], -1
    )
