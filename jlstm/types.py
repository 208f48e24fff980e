"""The types of the library, and the legend of its axes.

One name an axis, the same in every signature and docstring:

    time      steps of the sequence, always the first axis
    *batch    any number of batch axes, also none
    input     features of one x
    hidden    units of h and c
    gates     4*hidden: the gates i, f, g, o side by side
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import jax.numpy as jnp

if TYPE_CHECKING:
    from jax.typing import DTypeLike
    from jaxtyping import Array, Float


class LSTMParams(NamedTuple):
    """Weights of one layer. The last axis holds the gates side by side in the order i, f, g, o."""

    weight_ih: Float[Array, "input gates"]
    weight_hh: Float[Array, "hidden gates"]
    bias: Float[Array, "gates"]


class LSTMState(NamedTuple):
    """What a layer remembers: `h`, the hidden state it shows, and `c`, the cell state it keeps."""

    h: Float[Array, "*batch hidden"]
    c: Float[Array, "*batch hidden"]


class LSTMGates(NamedTuple):
    """The three gates, each in (0, 1), and the candidate `g`, in (-1, 1)."""

    i: Float[Array, "*batch hidden"]
    f: Float[Array, "*batch hidden"]
    g: Float[Array, "*batch hidden"]
    o: Float[Array, "*batch hidden"]


class LSTMTrace(NamedTuple):
    """The gates and the cell at every step."""

    i: Float[Array, "time *batch hidden"]
    f: Float[Array, "time *batch hidden"]
    g: Float[Array, "time *batch hidden"]
    o: Float[Array, "time *batch hidden"]
    c: Float[Array, "time *batch hidden"]


def cell_dtype(dtype: DTypeLike) -> DTypeLike:
    """Float32, or float64 when the compute dtype is: what `c` is kept in and sums are made in."""
    return jnp.promote_types(dtype, jnp.float32)
