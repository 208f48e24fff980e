"""Equinox: `eqx.nn.LSTMCell` and `eqx.nn.GRUCell`, one per layer. Does not import equinox."""

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
    from jlstm.types import PyTree

CELLS = {"LSTMCell": LSTMParams, "GRUCell": GRUParams}


def from_equinox(cells: Any) -> tuple[PyTree, ...]:
    """Convert cells of Equinox to layers: exact.

    Args:
      cells: an `eqx.nn.LSTMCell` or `eqx.nn.GRUCell`, or a list of cells from the first layer to
        the last, with or without bias; a custom module with one cell in it.

    Returns:
      A tuple of `LSTMParams` or `GRUParams`.

    Raises:
      TypeError: an object that is not a cell, or of a derived class, which may compute anything.
      ValueError: a module with several cells (which are listed), arrays that do not fit.
    """
    cells = cells if isinstance(cells, Sequence) else [cells]
    return tuple(_layer(*_only_cell(f"cells[{k}]", cell)) for k, cell in enumerate(cells))


def to_equinox(layers: Sequence[PyTree], cells: Any) -> list:
    """Return the cells with the weights of the layers: exact.

    Args:
      layers: a stack of `LSTMParams` or `GRUParams`, in one direction.
      cells: an `eqx.nn.LSTMCell` or `eqx.nn.GRUCell` of the same sizes, or a list of one per layer.

    Returns:
      New cells, one per layer.

    Raises:
      TypeError: a layer that Equinox cannot represent, or that is not of the cell's type.
      ValueError: cells of another number or other sizes, a nonzero bias for a cell without bias.
    """
    cells = cells if isinstance(cells, Sequence) else [cells]
    if len(cells) != len(layers):
        raise ValueError(f"cells has {len(cells)} entries, layers has {len(layers)}")
    filled = []
    for k, params in one_direction(layers, "Equinox", tuple(CELLS.values())):
        cell = cells[k]
        kind = type(cell).__name__
        if CELLS.get(kind) is not type(params):
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
    """Return True for a cell of one of Equinox's own classes."""
    kind = type(module)
    return kind.__name__ in CELLS and kind.__module__.split(".")[0] == "equinox"


def _only_cell(name: str, module: Any) -> tuple[str, Any]:
    """The only cell in a module, and its path."""
    for base in type(module).__mro__[1:]:
        if base.__name__ in CELLS and base.__module__.split(".")[0] == "equinox":
            raise TypeError(
                f"{name} is a {type(module).__name__}, a class derived from {base.__name__}, which "
                "may compute something else"
            )
    leaves, _ = jax.tree_util.tree_flatten_with_path(module, is_leaf=_is_cell)
    cells = [(name + jax.tree_util.keystr(path), leaf) for path, leaf in leaves if _is_cell(leaf)]
    if not cells:
        raise TypeError(
            f"{name} must be an eqx.nn.LSTMCell or eqx.nn.GRUCell, got {type(module).__name__}"
        )
    if len(cells) > 1:
        places = ", ".join(place for place, _ in cells[:6])
        raise ValueError(
            f"{name} holds {len(cells)} cells: pass those of the stack as a list, of {places}"
        )
    return cells[0]


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
