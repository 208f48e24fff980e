"""Haiku: the params of `hk.LSTM` and `hk.GRU`, alone or in a `hk.DeepRNN`. Imports no haiku."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from jlstm.cells.gru import ChoGRUParams
from jlstm.interop.arrays import as_array, as_layer, check_widths, one_direction, reorder
from jlstm.types import LSTMParams

if TYPE_CHECKING:
    from jaxtyping import Array, PyTree

SWAP = (0, 2, 1, 3)  # i g f o of the LSTM, and i f g o: the same both ways
SWAP_GRU = (1, 0, 2)  # z r a, and r z n: the same both ways
NAMED = re.compile(r"(?:.*/)?[^/]*?(?P<kind>lstm(?=.*/linear$)|gru)(?:_(?P<k>\d+))?(?:/linear)?")
KINDS = (LSTMParams, ChoGRUParams)
VANILLA = "an hk.VanillaRNN has relu; jlstm.variants.RNNParams has tanh alone"


def from_haiku(params: Mapping[str, Any], prefix: str | Sequence[str] = "") -> tuple[PyTree, ...]:
    """The layers of Haiku's LSTMs or GRUs.

    Haiku adds 1 to the forget gate in every step; here it stands in the bias, which rounds that
    once. Everything else is exact: what Haiku's GRU calls `z` is one minus the `z` of
    `jlstm.variants.ChoGRUParams`, whose weights are the same with another sign.

    A module with a name of its own is read by that name: an `hk.LSTM(8, name="encoder")` cannot be
    told from an `hk.Linear` inside a module `encoder`, since their params are alike. (One `hk.GRU`
    is found by any name.)
    `hk.VanillaRNN` has relu, which no layer here has.

    Args:
      params: what `init` gave: names of modules with dicts of arrays. The modules
        `.../lstm/linear`, `.../lstm_1/linear` and so on are the layers, in order of their numbers,
        or `.../gru`, `.../gru_1`.
      prefix: of the modules of one network among several, or the name of one module; a sequence of
        names, from the first layer to the last.

    Returns:
      A tuple of `LSTMParams` or `ChoGRUParams`.

    Raises:
      ValueError: no such modules (those that are there are listed), LSTMs and GRUs together without
        their order, arrays that do not fit, layers that are joined by skip connections.

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
    several = not isinstance(prefix, str)
    places = [p for name in prefix for p in _places(params, name)] if several else None
    layers = [_layer(name, params[name]) for name in places or _places(params, str(prefix))]
    check_widths(layers)
    return tuple(layers)


def to_haiku(layers: Sequence[PyTree], name: str | None = None) -> dict[str, dict[str, Array]]:
    """The params of as many `hk.LSTM` and `hk.GRU`, as Haiku names them in the order they are made.

    1 is taken off the forget gate's bias, because Haiku adds it in every step; that rounds once.

    Args:
      layers: a stack of `LSTMParams` or `ChoGRUParams`, in one direction.
      name: of the first module, with the modules around it: `"deep_rnn/lstm"` for instance;
        otherwise "lstm" and "gru".

    Raises:
      TypeError: a layer that Haiku does not support.
    """
    params: dict[str, dict[str, Array]] = {}
    made: Counter[str] = Counter()
    for _, layer in one_direction(layers, "Haiku", KINDS):
        base = name or ("gru" if isinstance(layer, ChoGRUParams) else "lstm")
        place = f"{base}_{made[base]}" if made[base] else base
        made[base] += 1
        if isinstance(layer, ChoGRUParams):
            arrays = (reorder(_with_z_negated(a), SWAP_GRU) for a in layer)
            params[place] = dict(zip(("w_i", "w_h", "b"), arrays, strict=True))
        else:
            weight = jnp.concatenate([layer.weight_ih, layer.weight_hh])
            bias = reorder(_shifted(layer.bias, -1), SWAP)
            params[f"{place}/linear"] = {"w": reorder(weight, SWAP), "b": bias}
    return params


def _places(params: Mapping[str, Any], prefix: str) -> list[str]:
    """The names of the layers' modules under a prefix, or the module of that name, in order."""
    for exact in (f"{prefix}/linear", prefix):
        if prefix and _may_be_layer(params.get(exact)):
            if f"{exact}_1" in params:  # a layer has one hk.Linear, hk.VanillaRNN has two
                raise ValueError(f"params has {exact!r} and {exact + '_1'!r}, {VANILLA}")
            return [exact]
    found: dict[tuple[str, int], str] = {}
    for name in params:
        match = NAMED.fullmatch(name)
        if not match or not name.startswith(prefix):
            continue
        key = (match["kind"], int(match["k"] or 0))
        if key in found:
            raise ValueError(f"params has {found[key]!r} and {name!r}: say which by a prefix")
        found[key] = name
    kinds = {kind for kind, _ in found}
    if len(kinds) > 1:
        names = ", ".join(map(repr, found.values()))
        raise ValueError(f"params has LSTMs and GRUs, {names}: give their names in order as prefix")
    if not found:
        own = [name for name in _candidates(params) if name.startswith(prefix)]
        if len(own) == 1 and "w_h" in params.get(own[0], ()):  # a GRU's, by any name
            return own
        raise ValueError(_none_found(params, prefix))
    return [found[key] for key in sorted(found)]


def _none_found(params: Mapping[str, Any], prefix: str) -> str:
    held = ", ".join(map(str, params)) or "nothing"
    message = f"params has no {prefix}lstm/linear and no {prefix}gru; it holds {held}"
    if any("vanilla_rnn" in name for name in params):
        return f"{message}: {VANILLA}"
    own = list(_candidates(params))
    if own:
        message += f"; if {own[0]!r} is an LSTM or a GRU, name it: prefix={own[0]!r}"
    return message


def _candidates(params: Mapping[str, Any]) -> Iterator[str]:
    """Names of modules whose arrays could be those of a layer."""
    for name, module in params.items():
        if _may_be_layer(module) and (name.endswith("/linear") or "w_h" in module):
            yield name.removesuffix("/linear")


def _may_be_layer(module: Any) -> bool:
    if not isinstance(module, Mapping):
        return False
    return {"w_i", "w_h", "b"} <= set(module) or set(module) == {"w", "b"}


def _layer(name: str, module: Any) -> PyTree:
    gru = isinstance(module, Mapping) and "w_h" in module
    for part in ("w_i", "w_h", "b") if gru else ("w", "b"):
        if not isinstance(module, Mapping) or part not in module:
            raise ValueError(f"params[{name!r}] has no {part!r}")
    if gru:
        arrays = (
            as_array(f"params[{name!r}][{part!r}]", module[part]) for part in ("w_i", "w_h", "b")
        )
        return as_layer([_gru(name, *arrays)])
    weight, bias = (as_array(f"params[{name!r}][{part!r}]", module[part]) for part in "wb")
    hidden = bias.shape[0] // 4 if bias.ndim == 1 else 0
    fits = hidden and weight.ndim == 2 and weight.shape[0] > hidden
    if not fits or bias.shape != (4 * hidden,) or weight.shape[1] != 4 * hidden:
        raise ValueError(
            f"params[{name!r}] must hold w (input + hidden, 4*hidden) and b (4*hidden,), "
            f"got {weight.shape} and {bias.shape}"
        )
    weight = reorder(weight, SWAP)
    inputs = weight.shape[0] - hidden
    bias = _shifted(reorder(bias, SWAP), 1)
    return as_layer([LSTMParams(weight[:inputs], weight[inputs:], bias)])


def _gru(name: str, w_i: Array, w_h: Array, b: Array) -> ChoGRUParams:
    gates = w_h.shape[-1] if w_h.ndim == 2 else 0
    if gates != 3 * w_h.shape[0] or w_i.shape[1:] != (gates,) or b.shape != (gates,):
        raise ValueError(
            f"params[{name!r}] must hold w_i (input, 3*hidden), w_h (hidden, 3*hidden) and "
            f"b (3*hidden,), got {w_i.shape}, {w_h.shape} and {b.shape}"
        )
    return ChoGRUParams(*(_with_z_negated(reorder(a, SWAP_GRU)) for a in (w_i, w_h, b)))


def _with_z_negated(a: Array) -> Array:
    """Gates r z n for one minus z, since 1 - sigmoid(a) = sigmoid(-a)."""
    r, z, n = jnp.split(a, 3, axis=-1)
    return jnp.concatenate([r, -z, n], axis=-1)


def _shifted(bias: Array, by: float) -> Array:
    """The bias, with the forget gate's moved; gates i f g o."""
    hidden = bias.shape[0] // 4
    return bias.at[hidden : 2 * hidden].add(jnp.asarray(by, bias.dtype))
