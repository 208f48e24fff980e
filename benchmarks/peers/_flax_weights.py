"""The weights of a Flax LSTM cell: one Dense per gate and operand, biases with `h`."""

import jax.numpy as jnp
import numpy as np


def gate_weights(problem):
    """`{"ii": {"kernel"}, ..., "hi": {"kernel", "bias"}, ...}`."""
    dense = {}
    for gate, w_i, w_h, b in zip(
        "ifgo",
        np.split(problem.weight_ih, 4, -1),
        np.split(problem.weight_hh, 4, -1),
        np.split(problem.bias, 4),
        strict=True,
    ):
        dense[f"i{gate}"] = {"kernel": jnp.asarray(w_i)}
        dense[f"h{gate}"] = {"kernel": jnp.asarray(w_h), "bias": jnp.asarray(b)}
    return dense
