"""Flax linen: `nn.RNN` over `nn.OptimizedLSTMCell`, the faster of its two cells."""

import flax.linen as nn

from benchmarks.peers._flax_weights import gate_weights


def layer(problem):
    """`(params, apply)` with `apply(params, xs) -> hs`, time-major."""
    model = nn.RNN(nn.OptimizedLSTMCell(problem.weight_hh.shape[0]), time_major=True)
    params = {"params": {"cell": gate_weights(problem)}}
    return params, model.apply
