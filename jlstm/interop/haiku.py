"""Haiku: the params of `hk.LSTM` and `hk.GRU`, alone or in `hk.DeepRNN`. Does not import haiku."""

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
    from jlstm.types import Array, PyTree

SWAP = (0, 2, 1, 3)  # i g f o to i f g o, and back
SWAP_GRU = (1, 0, 2)  # z r a to r z n, and back
NAMED = re.compile(r"(?:.*/)?[^/]*?(?P<kind>lstm(?=.*/linear$)|gru)(?:_(?P<k>\d+))?(?:/linear)?")
SUPPORTED = (LSTMParams, ChoGRUParams)
VANILLA = "an hk.VanillaRNN has relu; jlstm.variants.RNNParams has tanh only"


def from_haiku(params: Mapping[str, Any], prefix: str | Sequence[str] = "") -> tuple[PyTree, ...]:
    """Convert the params of Haiku's LSTMs or GRUs to layers.

    Haiku adds 1 to the forget gate in every step; here it is part of the bias, which rounds once.
    Everything else is exact: the `z` of Haiku's GRU is one minus the `z` of
    `jlstm.variants.ChoGRUParams`, whose weights have the opposite sign.

    Pass the name of a module with a custom name as `prefix`: the params of
    `hk.LSTM(8, name="encoder")` look like those of an `hk.Linear` inside a module `encoder`. (A
    single `hk.GRU` is recognised by any name.) `hk.VanillaRNN` has relu, which no layer type of
    this library has.

    Args:
      params: the params that `init` returned: names of modules with dicts of arrays. The modules
        `.../lstm/linear`, `.../lstm_1/linear` and so on, or `.../gru`, `.../gru_1`, are the layers,
        in the order of their numbers.
      prefix: the prefix of one network among several, or the name of one module; or a sequence of
        names, from the first layer to the last.

    Returns:
      A tuple of `LSTMParams` or `ChoGRUParams`.

    Raises:
      ValueError: no such modules (the modules are listed), LSTMs and GRUs without their order,
        arrays that do not fit, layers that are joined by skip connections.

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
    """Convert layers to the params of `hk.LSTM` and `hk.GRU`, named as Haiku names new modules.

    1 is subtracted from the forget gate's bias, because Haiku adds it in every step; this rounds
    once.

    Args:
      layers: a stack of `LSTMParams` or `ChoGRUParams`, in one direction.
      name: the name of the first module with the modules around it, such as `"deep_rnn/lstm"`;
        None is "lstm" or "gru".

    Raises:
      TypeError: a layer that Haiku cannot represent.
    """
    params: dict[str, dict[str, Array]] = {}
    made: Counter[str] = Counter()
    for _, layer in one_direction(layers, "Haiku", SUPPORTED):
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
    """The names of the modules under a prefix, in order, or the module of that exact name."""
    for exact in (f"{prefix}/linear", prefix):
        if prefix and _may_be_layer(params.get(exact)):
            if f"{exact}_1" in params:  # a layer has one hk.Linear, hk.VanillaRNN has two
                raise ValueError(f"params has {exact!r} and {exact + '_1'!r}, {VANILLA}")
            return [exact]
    names: dict[tuple[str, int], str] = {}
    for name in params:
        match = NAMED.fullmatch(name)
        if not match or not name.startswith(prefix):
            continue
        key = (match["kind"], int(match["k"] or 0))
        if key in names:
            raise ValueError(f"params has {names[key]!r} and {name!r}: choose one by a prefix")
        names[key] = name
    if len({kind for kind, _ in names}) > 1:
        listed = ", ".join(map(repr, names.values()))
        raise ValueError(
            f"params has LSTMs and GRUs, {listed}: pass their names in order as prefix"
        )
    if not names:
        candidates = [name for name in _candidates(params) if name.startswith(prefix)]
        if len(candidates) == 1 and "w_h" in params.get(candidates[0], ()):  # a GRU of any name
            return candidates
        raise ValueError(_no_layers(params, prefix))
    return [names[key] for key in sorted(names)]


def _no_layers(params: Mapping[str, Any], prefix: str) -> str:
    held = ", ".join(map(str, params)) or "nothing"
    message = f"params has no {prefix}lstm/linear and no {prefix}gru; it holds {held}"
    if any("vanilla_rnn" in name for name in params):
        return f"{message}: {VANILLA}"
    candidates = list(_candidates(params))
    if candidates:
        first = candidates[0]
        message += f"; if {first!r} is an LSTM or a GRU, name it: prefix={first!r}"
    return message


def _candidates(params: Mapping[str, Any]) -> Iterator[str]:
    """The names of modules whose arrays may be those of a layer."""
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
    """Negate gate z of gates r z n: 1 - sigmoid(a) = sigmoid(-a)."""
    r, z, n = jnp.split(a, 3, axis=-1)
    return jnp.concatenate([r, -z, n], axis=-1)


def _shifted(bias: Array, by: float) -> Array:
    """Add `by` to the bias of the forget gate; gates i f g o."""
    hidden = bias.shape[0] // 4
    return bias.at[hidden : 2 * hidden].add(jnp.asarray(by, bias.dtype))
