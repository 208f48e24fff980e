"""`jlstm.nnx.Stack`, trained like the NNX module that it replaces."""

import jax.numpy as jnp

import jlstm.nnx
from benchmarks.peers import _nnx_training


def calls(problem):
    """Training and forward of `jlstm.nnx.Stack`."""
    params = jlstm.LSTMParams(*map(jnp.asarray, problem[:3]))
    return _nnx_training.calls(jlstm.nnx.Stack((params,)), problem)
