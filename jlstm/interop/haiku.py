"""Haiku: the params of `hk.LSTM`, alone or in a `hk.DeepRNN`. Imports no haiku."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from jlstm.interop.arrays import as_array, as_layer, one_direction, reorder
from jlstm.types import LSTMParams

if TYPE_CHECKING:
    from jaxtyping import Array, PyTree

SWAP = (0, 2, 1, 3)  # i g f o and i f g o: the same both ways


def from_haiku(params: Mapping[str, Any], prefix: str = "") -> tuple[PyTree, ...]:
    """The layers of Haiku's LSTMs.

    Haiku adds 1 to the forget gate in every step; here it stands in the bias, which rounds that
    once. Everything else is exact.

    Args:
      params: what `init` gave: names of modules with dicts of arrays. The modules
        `.../lstm/linear`, `.../lstm_1/linear` and so on are the layers, in order of their numbers.
      prefix: of the modules of one network among several.

    Returns:
      A tuple of `LSTMParams`.

    Raises:
      ValueError: no such modules (those that are there are listed), arrays that do not fit.

    Example:
      >>> import jax, jlstm
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8, 4))
      >>> params = jlstm.interop.to_haiku(layers)
      >>> list(params), params["lstm_1/linear"]["w"].shape
      (['lstm/linear', 'lstm_1/linear'], (12, 16))
      >>> len(jlstm.interop.from_haiku(params))
      2
    """
    if not isinstance(params, Mapping):
        raise TypeError(f"params must map modules to arrays, got {type(params).__name__}")
    found: dict[int, tuple[str, Any]] = {}
    for name, module in params.items():
        match = re.fullmatch(r"(?:.*/)?[^/]*?lstm(?:_(\d+))?/linear", name)
        if name.startswith(prefix) and match:
            k = int(match[1] or 0)
            if k in found:
                raise ValueError(f"params has {found[k][0]!r} and {name!r}: say which by a prefix")
            found[k] = (name, module)
    if not found:
        raise ValueError(f"params has no {prefix}lstm/linear; it holds {', '.join(params)}")
    return tuple(_layer(*found[k]) for k in sorted(found))


def to_haiku(layers: Sequence[PyTree], name: str = "lstm") -> dict[str, dict[str, Array]]:
    """The params of as many `hk.LSTM`, as Haiku names them in the order they are made.

    1 is taken off the forget gate's bias, because Haiku adds it in every step; that rounds once.

    Args:
      layers: a stack of `LSTMParams`, in one direction.
      name: of the first module, with the modules around it: `"deep_rnn/lstm"` for instance.

    Raises:
      TypeError: a layer that Haiku has no place for.
    """
    params = {}
    for k, layer in one_direction(layers, "Haiku"):
        weight = jnp.concatenate([layer.weight_ih, layer.weight_hh])
        bias = reorder(_shifted(layer.bias, -1), SWAP)
        number = f"_{k}" if k else ""
        params[f"{name}{number}/linear"] = {"w": reorder(weight, SWAP), "b": bias}
    return params


def _layer(name: str, module: Any) -> PyTree:
    for part in ("w", "b"):
        if not isinstance(module, Mapping) or part not in module:
            raise ValueError(f"params[{name!r}] has no {part!r}")
    weight, bias = (as_array(f"params[{name!r}][{part!r}]", module[part]) for part in "wb")
    hidden = bias.shape[0] // 4 if bias.ndim == 1 else 0
    if not hidden or weight.ndim != 2 or weight.shape[0] <= hidden:
        raise ValueError(
            f"params[{name!r}] must hold w (input + hidden, 4*hidden) and b (4*hidden,), "
            f"got {weight.shape} and {bias.shape}"
        )
    weight = reorder(weight, SWAP)
    inputs = weight.shape[0] - hidden
    bias = _shifted(reorder(bias, SWAP), 1)
    return as_layer([LSTMParams(weight[:inputs], weight[inputs:], bias)])


def _shifted(bias: Array, by: float) -> Array:
    """The bias, with the forget gate's moved; gates i f g o."""
    hidden = bias.shape[0] // 4
    return bias.at[hidden : 2 * hidden].add(jnp.asarray(by, bias.dtype))
