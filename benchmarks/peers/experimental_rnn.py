"""`jax.experimental.rnn`: cuDNN as offered by JAX, float32 on CUDA."""

import jax.numpy as jnp
from jax.experimental import rnn

BATCH_MAJOR = True


def layer(problem):
    """`(params, apply)` with `apply(params, xs) -> hs`, batch-major."""
    time, batch, inputs = problem.xs.shape
    hidden = problem.weight_hh.shape[0]
    layers = 2 if problem.kind == "two layers" else 1
    both = problem.kind == "both directions"
    cells = [problem] if problem.other is None else [problem, problem.other]
    matrices = [w.T.ravel() for cell in cells for w in (cell.weight_ih, cell.weight_hh)]
    biases = [b for cell in cells for b in (cell.bias, 0 * cell.bias)]
    weights = jnp.concatenate([jnp.asarray(w) for w in matrices + biases])
    lengths = jnp.full(batch, time, jnp.int32) if problem.lengths is None else problem.lengths

    def apply(weights, xs):
        zeros = jnp.zeros((len(cells), batch, hidden), xs.dtype)
        return rnn.lstm(
            xs, zeros, zeros, weights, jnp.asarray(lengths), inputs, hidden, layers, 0.0, both
        )[0]

    return weights, apply
