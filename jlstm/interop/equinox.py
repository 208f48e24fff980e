"""Equinox: `eqx.nn.LSTMCell` and `eqx.nn.GRUCell`, one a layer. Imports no equinox."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp

from jlstm.cells.gru import GRUParams
from jlstm.interop.arrays import (
    as_array,
    as_layer,
    one_direction,
    refuse_bias,
    zero_bias,
)
from jlstm.types import LSTMParams

if TYPE_CHECKING:
    from jaxtyping import PyTree

KINDS = {"LSTMCell": LSTMParams, "GRUCell": GRUParams}


def from_equinox(cells: Any) -> tuple[PyTree, ...]:
    """The layers of one cell of Equinox or of several: exact.

    Args:
      cells: an `eqx.nn.LSTMCell` or `eqx.nn.GRUCell`, or a list of cells from the first layer to
        the last, with or without bias; a module of your own with one cell in it.

    Returns:
      A tuple of `LSTMParams` or `GRUParams`.

    Raises:
      TypeError: something that is no cell, or a class derived from one, which may compute anything.
      ValueError: a module with several cells (which are listed), arrays that do not fit.
    """
    cells = cells if isinstance(cells, Sequence) else [cells]
    return tuple(_layer(*_only_cell(f"cells[{k}]", cell)) for k, cell in enumerate(cells))


def to_equinox(layers: Sequence[PyTree], cells: Any) -> list:
    """The cells with the weights of the layers: exact.

    Args:
      layers: a stack of `LSTMParams` or `GRUParams`, in one direction.
      cells: an `eqx.nn.LSTMCell` or `eqx.nn.GRUCell` of the same sizes, or a list of one a layer.

    Returns:
      New cells, one a layer.

    Raises:
      TypeError: a layer that Equinox does not support, or that is not of the cell's type.
      ValueError: cells of other sizes or number, a bias that is not zero for a cell without one.
    """
    cells = cells if isinstance(cells, Sequence) else [cells]
    if len(cells) != len(layers):
        raise ValueError(f"cells has {len(cells)} entries, layers has {len(layers)}")
    filled = []
    for k, params in one_direction(layers, "Equinox", tuple(KINDS.values())):
        cell = cells[k]
        kind = type(cell).__name__
        if KINDS.get(kind) is not type(params):
            raise TypeError(f"cells[{k}] is a {kind}, layers[{k}] {type(params).__name__}")
        weights = {"weight_ih": params.weight_ih.T, "weight_hh": params.weight_hh.T}
        if cell.bias is None:
            refuse_bias(k, params)
        else:
            weights["bias"] = params.bias
            if isinstance(params, GRUParams):
                weights["bias_n"] = params.bias_hn
        for name, weight in weights.items():
            shape = getattr(cell, name).shape
            if shape != weight.shape:
                raise ValueError(
                    f"cells[{k}].{name} is {shape}, that of layers[{k}] {weight.shape}"
                )
        # A cell is a pytree of its arrays, in this order.
        filled.append(jax.tree.structure(cell).unflatten(weights.values()))
    return filled


def _is_cell(module: Any) -> bool:
    """Test for a cell of Equinox itself."""
    kind = type(module)
    return kind.__name__ in KINDS and kind.__module__.split(".")[0] == "equinox"


def _only_cell(name: str, module: Any) -> tuple[str, Any]:
    """The one cell in a module, and where it is."""
    for base in type(module).__mro__[1:]:
        if base.__name__ in KINDS and base.__module__.split(".")[0] == "equinox":
            raise TypeError(
                f"{name} is a {type(module).__name__}, a class derived from {base.__name__}, which "
                "may compute something else"
            )
    leaves, _ = jax.tree_util.tree_flatten_with_path(module, is_leaf=_is_cell)
    found = [(name + jax.tree_util.keystr(path), leaf) for path, leaf in leaves if _is_cell(leaf)]
    if not found:
        raise TypeError(
            f"{name} must be an eqx.nn.LSTMCell or eqx.nn.GRUCell, got {type(module).__name__}"
        )
    if len(found) > 1:
        places = ", ".join(place for place, _ in found[:6])
        raise ValueError(
            f"{name} holds {len(found)} cells: give a list of those that are a stack, of {places}"
        )
    return found[0]


def _layer(name: str, cell: Any) -> PyTree:
    weight_ih, weight_hh = (
        as_array(f"{name}.{part}", getattr(cell, part)).T for part in ("weight_ih", "weight_hh")
    )
    bias = zero_bias(weight_hh)
    if cell.bias is not None:
        bias = as_array(f"{name}.bias", cell.bias)
    if type(cell).__name__ == "LSTMCell":
        return as_layer([LSTMParams(weight_ih, weight_hh, bias)])
    bias_hn = jnp.zeros(weight_hh.shape[0], weight_hh.dtype)
    if cell.bias_n is not None:
        bias_hn = as_array(f"{name}.bias_n", cell.bias_n)
    return as_layer([GRUParams(weight_ih, weight_hh, bias, bias_hn)])
