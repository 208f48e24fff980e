"""Keras 3: weights of LSTM, GRU and SimpleRNN, alone or in a Bidirectional. Imports no keras."""

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
    from jaxtyping import Array, PyTree

KINDS = (LSTMParams, GRUParams, ChoGRUParams, RNNParams)
SWAP = (1, 0, 2)  # gates z r h of Keras and r z n: the same both ways


def from_keras(weights: Any) -> tuple[PyTree, ...]:
    """The layers of Keras: exact, but for a GRU with `reset_after`.

    Such a GRU adds two biases to its gates, which are added here: that rounds once.

    Args:
      weights: a layer, a cell, a model, `layer.get_weights()`, or a list of these, from the first
        layer to the last. The settings of a layer, of its cell and of both directions are checked
        as well, which arrays alone do not tell. Of a `Sequential` the recurrent layers are taken
        where nothing lies between them that computes in inference; of another model, the only one.
        As arrays, a layer is kernel, recurrent kernel and bias, a `Bidirectional` twice as many;
        without bias two arrays, or four.

    Returns:
      A tuple of layers, `LSTMParams`, `GRUParams` (`reset_after=True`, the default of Keras),
      `ChoGRUParams` (`reset_after=False`) or `RNNParams`, or `BiLSTMParams` of two.

    Raises:
      ValueError: a setting under which Keras computes otherwise, by its name: another activation,
        `go_backwards`, another `merge_mode`; a layer of another class, or one that is not built;
        several recurrent layers in a model that is no `Sequential`; arrays that do not fit.

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
        found = cells_of(name, layer) if is_module(layer) else [_of_arrays(name, layer)]
        layers += [_layer(cells) for cells in found]
    check_widths(layers)
    return tuple(layers)


def to_keras(layers: Sequence[PyTree], bias: bool = True) -> list[list[np.ndarray]]:
    """The arrays that `layer.set_weights` takes, one list a layer: exact.

    `GRUParams` are for a GRU with `reset_after=True`, `ChoGRUParams` for one with `False`.

    Args:
      layers: a stack of `LSTMParams`, `GRUParams`, `ChoGRUParams` or `RNNParams`, in one direction
        or both.
      bias: whether the layers have biases.

    Raises:
      TypeError: a layer that Keras does not support. ValueError: a bias that is not zero with
        `bias=False`.
    """
    weights = []
    for k, found in directions(layers, "Keras", KINDS):
        for params in found:
            if not bias:
                refuse_bias(k, params)
        weights.append([np.asarray(a) for p in found for a in _arrays(p)[: 3 if bias else 2]])
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
    found = [_params(cell) for cell in cells]
    if len({type(params) for params in found}) > 1:
        both = " and ".join(type(params).__name__ for params in found)
        raise ValueError(
            f"{cells[1].names[0]}: its directions are {both}; they must be of one type"
        )
    return as_layer(found)


def _params(cell: Cell) -> PyTree:
    """One direction; the shape of its recurrent kernel says how many gates it has."""
    kernel, recurrent, *rest = map(as_array, cell.names, cell.arrays)
    bias = rest[0] if rest else None
    gates = recurrent.shape[-1] / recurrent.shape[0] if recurrent.ndim == 2 else 0
    if gates == 4:
        return LSTMParams(kernel, recurrent, zero_bias(recurrent) if bias is None else bias)
    if gates == 1:
        return RNNParams(kernel, recurrent, zero_bias(recurrent) if bias is None else bias)
    if gates != 3:
        raise ValueError(
            f"{cell.names[1]} has shape {recurrent.shape}; the recurrent kernel of a layer is "
            "(units, 4*units) of an LSTM, (units, 3*units) of a GRU or (units, units)"
        )
    after = cell.reset_after
    if after is None:
        if bias is None:
            raise ValueError(
                f"{cell.names[0]} is of a GRU without bias, whose arrays do not tell reset_after: "
                "give the layer itself"
            )
        after = bias.ndim == 2
    weights = reorder(kernel, SWAP), reorder(recurrent, SWAP)
    if not after:
        whole = zero_bias(recurrent) if bias is None else reorder(bias, SWAP)
        return ChoGRUParams(*weights, whole)
    if bias is None:
        bias = jnp.zeros((2, recurrent.shape[1]), recurrent.dtype)
    if bias.shape != (2, recurrent.shape[1]):
        raise ValueError(f"{cell.names[2]} must be (2, {recurrent.shape[1]}), got {bias.shape}")
    to_x, to_h = reorder(bias, SWAP)
    gated = 2 * recurrent.shape[0]
    return GRUParams(*weights, to_x.at[:gated].add(to_h[:gated]), to_h[gated:])


def _arrays(params: PyTree) -> tuple[Array, ...]:
    """Kernel, recurrent kernel and bias of one direction."""
    if isinstance(params, (LSTMParams, RNNParams)):
        return tuple(params)
    kernel, recurrent, bias = (reorder(a, SWAP) for a in params[:3])
    if isinstance(params, GRUParams):
        gated = jnp.zeros(2 * params.bias_hn.shape[0], bias.dtype)
        bias = jnp.stack([bias, jnp.concatenate([gated, params.bias_hn])])
    return kernel, recurrent, bias
