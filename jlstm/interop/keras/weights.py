"""Keras 3: weights of LSTM, GRU, SimpleRNN and Bidirectional. Does not import keras."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from jlstm.cells.gru import ChoGRUParams, GRUParams
from jlstm.cells.rnn import RNNParams
from jlstm.interop.arrays import (
    as_array,
    as_layer,
    check_widths,
    directions,
    refuse_bias,
    reorder,
    zero_bias,
)
from jlstm.interop.keras.modules import Cell, cells_of, is_module
from jlstm.types import LSTMParams

if TYPE_CHECKING:
    from jlstm.types import Array, PyTree

SUPPORTED = (LSTMParams, GRUParams, ChoGRUParams, RNNParams)
SWAP = (1, 0, 2)  # gates z r h of Keras to r z n, and back


def from_keras(weights: Any) -> tuple[PyTree, ...]:
    """Convert layers of Keras: exact, except for a GRU with `reset_after`.

    Such a GRU has two biases for its gates, which are added here: this rounds once.

    Args:
      weights: a layer, a cell, a model, `layer.get_weights()`, or a list of these, from the first
        layer to the last. The settings of a layer, of its cell and of both directions are checked
        as well; arrays do not include them. A `Sequential` may hold several recurrent layers if the
        layers between them compute nothing in inference; another model holds one. As arrays, a
        layer is kernel, recurrent kernel and bias, or without bias two arrays; a `Bidirectional`
        is twice as many.

    Returns:
      A tuple of `LSTMParams`, `GRUParams` (`reset_after=True`, the default of Keras),
      `ChoGRUParams` (`reset_after=False`) or `RNNParams`, or of `BiLSTMParams` with two of them.

    Raises:
      ValueError: a setting that changes the computation: another activation, `go_backwards`,
        another `merge_mode`; a layer of another class, or one that is not built; several recurrent
        layers in a model that is not a `Sequential`; arrays that do not fit.

    Example:
      >>> import jax, jlstm
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8, 4))
      >>> weights = jlstm.interop.to_keras(layers)  # or [layer.get_weights() for layer in ...]
      >>> [a.shape for a in weights[1]]
      [(8, 16), (4, 16), (16,)]
      >>> len(jlstm.interop.from_keras(weights))
      2
    """
    if isinstance(weights, str | os.PathLike):
        raise TypeError(f"weights is a path: keras.models.load_model({str(weights)!r}) reads it")
    if not is_module(weights) and not isinstance(weights, Sequence):
        raise TypeError(
            f"weights must be a layer, a model or a list of arrays, got {type(weights).__name__}"
        )
    if is_module(weights) or (len(weights) and hasattr(weights[0], "shape")):
        weights = [weights]
    layers: list[PyTree] = []
    for k, layer in enumerate(weights):
        name = f"weights[{k}]"
        cells = cells_of(name, layer) if is_module(layer) else [_of_arrays(name, layer)]
        layers += map(_layer, cells)
    check_widths(layers)
    return tuple(layers)


def to_keras(layers: Sequence[PyTree], bias: bool = True) -> list[list[np.ndarray]]:
    """Convert layers to the arrays that `layer.set_weights` takes, one list per layer: exact.

    `GRUParams` are for a GRU with `reset_after=True`, `ChoGRUParams` for one with `False`.

    Args:
      layers: a stack of `LSTMParams`, `GRUParams`, `ChoGRUParams` or `RNNParams`, in one direction
        or both.
      bias: False for layers without bias.

    Raises:
      TypeError: a layer that Keras cannot represent. ValueError: a nonzero bias with `bias=False`.
    """
    weights = []
    for k, parts in directions(layers, "Keras", SUPPORTED):
        for params in parts:
            if not bias:
                refuse_bias(k, params)
        weights.append([np.asarray(a) for p in parts for a in _arrays(p)[: 3 if bias else 2]])
    return weights


def _of_arrays(name: str, arrays: Any) -> list[Cell]:
    """The directions of one layer, from its arrays."""
    if not isinstance(arrays, Sequence):
        raise TypeError(f"{name} must be a layer or a list of arrays, got {type(arrays).__name__}")
    if len(arrays) not in (2, 3, 4, 6):
        raise ValueError(
            f"{name} holds {len(arrays)} arrays; a layer has 3, or 2 without bias, a "
            "Bidirectional twice as many"
        )
    each = 3 if len(arrays) % 3 == 0 else 2
    parts = [arrays[n : n + each] for n in range(0, len(arrays), each)]
    return [
        Cell([f"{name}[{n * each + m}]" for m in range(each)], list(part), None)
        for n, part in enumerate(parts)
    ]


def _layer(cells: Sequence[Cell]) -> PyTree:
    parts = [_params(cell) for cell in cells]
    if len({type(params) for params in parts}) > 1:
        both = " and ".join(type(params).__name__ for params in parts)
        raise ValueError(
            f"{cells[1].names[0]}: its directions are {both}; they must be of one type"
        )
    return as_layer(parts)


def _params(cell: Cell) -> PyTree:
    """The weights of one direction; the shape of the recurrent kernel gives the number of gates."""
    kernel, recurrent, *rest = map(as_array, cell.names, cell.arrays)
    bias = rest[0] if rest else None
    gates = recurrent.shape[-1] / recurrent.shape[0] if recurrent.ndim == 2 else 0
    if gates == 4:
        return LSTMParams(kernel, recurrent, zero_bias(recurrent) if bias is None else bias)
    if gates == 1:
        return RNNParams(kernel, recurrent, zero_bias(recurrent) if bias is None else bias)
    if gates != 3:
        raise ValueError(
            f"{cell.names[1]} has shape {recurrent.shape}; a recurrent kernel is (units, 4*units) "
            "for an LSTM, (units, 3*units) for a GRU, (units, units) for a simple RNN"
        )
    after = cell.reset_after
    if after is None:
        if bias is None:
            raise ValueError(
                f"{cell.names[0]} is of a GRU without bias, whose arrays do not include "
                "reset_after: pass the layer itself"
            )
        after = bias.ndim == 2
    weights = reorder(kernel, SWAP), reorder(recurrent, SWAP)
    if not after:
        bias = zero_bias(recurrent) if bias is None else reorder(bias, SWAP)
        return ChoGRUParams(*weights, bias)
    if bias is None:
        bias = jnp.zeros((2, recurrent.shape[1]), recurrent.dtype)
    if bias.shape != (2, recurrent.shape[1]):
        raise ValueError(f"{cell.names[2]} must be (2, {recurrent.shape[1]}), got {bias.shape}")
    input_bias, recurrent_bias = reorder(bias, SWAP)
    gated = 2 * recurrent.shape[0]
    bias = input_bias.at[:gated].add(recurrent_bias[:gated])
    return GRUParams(*weights, bias, recurrent_bias[gated:])


def _arrays(params: PyTree) -> tuple[Array, ...]:
    """Kernel, recurrent kernel and bias of one direction."""
    if isinstance(params, (LSTMParams, RNNParams)):
        return tuple(params)
    kernel, recurrent, bias = (reorder(a, SWAP) for a in params[:3])
    if isinstance(params, GRUParams):
        gated = jnp.zeros(2 * params.bias_hn.shape[0], bias.dtype)
        bias = jnp.stack([bias, jnp.concatenate([gated, params.bias_hn])])
    return kernel, recurrent, bias
