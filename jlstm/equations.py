"""The six equations of the cell, their tangents and their cotangents: each exists here, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp

from jlstm.types import LSTMGates, ProjectedParams, cell_dtype, compute_dtype

if TYPE_CHECKING:
    from jax.typing import DTypeLike

    from jlstm.types import Array, Float, RecurrentParams


def pre_activations(
    params: RecurrentParams, h: Float[Array, "*batch hidden"], x: Float[Array, "*batch input"]
) -> Float[Array, "*batch gates"]:
    """`x W_x + h W_h + b` for the four gates at once, accumulated in the dtype of the cell."""
    dtype = compute_dtype(x, *params)
    return project(params, x) + product(h, params.weight_hh, dtype)


def project(
    params: RecurrentParams, x: Float[Array, "*batch input"]
) -> Float[Array, "*batch gates"]:
    """The part of the pre-activations that needs no state: `x W_x + b`."""
    dtype = compute_dtype(x, *params)
    x = jnp.asarray(x)
    return product(x, params.weight_ih, dtype) + expand_to_batch(params.bias, x, cell_dtype(dtype))


def expand_to_batch(
    vector: Float[Array, "features"], batched: Float[Array, "*batch any"], dtype: DTypeLike
) -> Float[Array, "*ones features"]:
    """A vector of weights with an axis of size 1 for each batch axis, cast to `dtype`."""
    return jnp.expand_dims(vector.astype(dtype), range(batched.ndim - 1))


def product(
    a: Float[Array, "*batch rows"], weight: Float[Array, "rows columns"], dtype: DTypeLike
) -> Float[Array, "*batch columns"]:
    """`a W` of operands in the compute dtype, summed in the dtype of the cell."""
    wide = cell_dtype(dtype)
    return jnp.matmul(a.astype(dtype), weight.astype(dtype), preferred_element_type=wide)


def lstm_equations(
    z: Float[Array, "*batch gates"], c: Float[Array, "*batch hidden"]
) -> tuple[LSTMGates, Float[Array, "*batch hidden"], Float[Array, "*batch hidden"]]:
    """The six equations, from the pre-activations `z` and the old cell: `(gates, c', h')`."""
    return gate_equations(LSTMGates(*jnp.split(z, 4, axis=-1)), c.astype(z.dtype))


def gate_equations(zs: LSTMGates, c: Array) -> tuple[LSTMGates, Array, Array]:
    """The same from the pre-activations of each gate, in the dtype of the old cell."""
    i = jax.nn.sigmoid(zs.i)
    f = jax.nn.sigmoid(zs.f)
    g = jnp.tanh(zs.g)
    o = jax.nn.sigmoid(zs.o)
    c = f * c + i * g
    h = o * jnp.tanh(c)
    return LSTMGates(i, f, g, o), c, h


def output(
    params: RecurrentParams, m: Float[Array, "*batch hidden"], dtype: DTypeLike
) -> Float[Array, "*batch output"]:
    """The layer's output: `m = o * tanh(c)`, or its projection (Sak et al. 2014)."""
    if isinstance(params, ProjectedParams):
        m = product(m, params.weight_hr, dtype)
    return m.astype(dtype)


def lstm_tangents(
    gates: LSTMGates, c: Array, d_z: Float[Array, "*batch gates"], d_c: Array
) -> tuple[Float[Array, "*batch hidden"], Float[Array, "*batch hidden"]]:
    """The tangents of `(c', h')`, from those of the pre-activations and of the old cell `c`."""
    i, f, g, o = gates
    d_i, d_f, d_g, d_o = jnp.split(d_z, 4, axis=-1)
    m = jnp.tanh(f * c + i * g)
    d_c = f * d_c + g * i * (1 - i) * d_i + c * f * (1 - f) * d_f + i * (1 - g * g) * d_g
    d_h = m * o * (1 - o) * d_o + o * (1 - m * m) * d_c
    return d_c, d_h


def lstm_cotangents(
    gates: LSTMGates, c: Array, d_h: Array, d_c: Array
) -> tuple[Float[Array, "*batch gates"], Float[Array, "*batch hidden"]]:
    """The transpose of `lstm_tangents`: from cotangents of `h'` and `c'` to those of `z` and `c`.

    Hochreiter and Schmidhuber (1997), with the forget gate of Gers et al. (2000): what comes back
    through the cell is multiplied by `f` and nothing else, which is why it need not vanish.
    """
    d_zs, d_c = gate_cotangents(gates, c, d_h, d_c)
    return jnp.concatenate(d_zs, axis=-1), d_c


def gate_cotangents(
    gates: LSTMGates, c: Array, d_h: Array, d_c: Array
) -> tuple[LSTMGates, Float[Array, "*batch hidden"]]:
    """The same with the cotangents of the pre-activations of each gate."""
    i, f, g, o = gates
    m = jnp.tanh(f * c + i * g)
    d_c = d_c + d_h * o * (1 - m * m)
    d_zs = LSTMGates(
        i=d_c * g * i * (1 - i),
        f=d_c * c * f * (1 - f),
        g=d_c * i * (1 - g * g),
        o=d_h * m * o * (1 - o),
    )
    return d_zs, d_c * f
