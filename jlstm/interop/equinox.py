"""Equinox: `eqx.nn.LSTMCell`, one a layer. Imports no equinox."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import jax

from jlstm.interop.arrays import as_array, as_layer, one_direction, refuse_bias, zero_bias
from jlstm.types import LSTMParams

if TYPE_CHECKING:
    from jaxtyping import PyTree


def from_equinox(cells: Any) -> tuple[PyTree, ...]:
    """The layers of one `eqx.nn.LSTMCell` or of several: exact.

    Args:
      cells: a cell, or a list of cells from the first layer to the last; with or without bias.

    Returns:
      A tuple of `LSTMParams`.

    Raises:
      TypeError: something that is no cell. ValueError: arrays that do not fit.
    """
    cells = cells if isinstance(cells, Sequence) else [cells]
    layers = []
    for k, cell in enumerate(cells):
        if not all(hasattr(cell, name) for name in ("weight_ih", "weight_hh", "bias")):
            raise TypeError(f"cells[{k}] must be an eqx.nn.LSTMCell, got {type(cell).__name__}")
        weight_ih, weight_hh = (
            as_array(f"cells[{k}].{name}", getattr(cell, name)).T
            for name in ("weight_ih", "weight_hh")
        )
        bias = zero_bias(weight_hh)
        if cell.bias is not None:
            bias = as_array(f"cells[{k}].bias", cell.bias)
        layers.append(as_layer([LSTMParams(weight_ih, weight_hh, bias)]))
    return tuple(layers)


def to_equinox(layers: Sequence[PyTree], cells: Any) -> list:
    """The cells with the weights of the layers: exact.

    Args:
      layers: a stack of `LSTMParams`, in one direction.
      cells: an `eqx.nn.LSTMCell` of the same sizes, or a list of one a layer.

    Returns:
      New cells, one a layer.

    Raises:
      TypeError: a layer that Equinox has no place for. ValueError: cells of other sizes or number,
        a bias that is not zero for a cell without one.
    """
    cells = cells if isinstance(cells, Sequence) else [cells]
    if len(cells) != len(layers):
        raise ValueError(f"cells has {len(cells)} entries, layers has {len(layers)}")
    filled = []
    for k, params in one_direction(layers, "Equinox"):
        cell = cells[k]
        weights = {"weight_ih": params.weight_ih.T, "weight_hh": params.weight_hh.T}
        if cell.bias is None:
            refuse_bias(k, params)
        else:
            weights["bias"] = params.bias
        for name, weight in weights.items():
            shape = getattr(cell, name).shape
            if shape != weight.shape:
                raise ValueError(
                    f"cells[{k}].{name} is {shape}, that of layers[{k}] {weight.shape}"
                )
        # A cell is a pytree of its arrays, in this order.
        filled.append(jax.tree.structure(cell).unflatten(weights.values()))
    return filled
