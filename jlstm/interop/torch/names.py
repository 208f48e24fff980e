"""Recurrent modules and their weights in the names of a PyTorch `state_dict`.

A weight may be stored in another form than as one array: weight norm, pruning, weight drop.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from jlstm.interop.arrays import as_array
from jlstm.types import cell_dtype

if TYPE_CHECKING:
    from jlstm.types import Array

# The names of a cell end without `_l0`.
WEIGHT = r"(weight_ih|weight_hh|weight_hr|bias_ih|bias_hh)(?:_l(\d+)(_reverse)?)?"
KEY = re.compile(rf"(.*?)({WEIGHT})((?:[._].*)?)")
PARAMETRIZED = "parametrizations."
QUANTISED = ("_all_weight_values.", "_packed_weight_")

Forms = dict[str, Any]  # the arrays of a weight, by the suffix of its name
Modules = dict[str, dict[str, Forms]]  # by prefix and by the name of a weight


def find_modules(state_dict: Mapping[str, Any]) -> Modules:
    """The weights of each LSTM, GRU and simple RNN, by the prefix of its names."""
    modules: Modules = {}
    for key, value in state_dict.items():
        parts = split_key(key)
        if parts:
            prefix, name, form = parts
            modules.setdefault(prefix, {}).setdefault(name, {})[form] = value
    for prefix in list(modules):  # a weight-drop wrapper holds the weights from before the drop
        around = all(set(forms) == {"_raw"} for forms in modules[prefix].values())
        if around and f"{prefix}module." in modules:
            for name, forms in modules.pop(prefix).items():
                modules[f"{prefix}module."].setdefault(name, {}).update(forms)
    return {prefix: weights for prefix, weights in modules.items() if _is_module(weights)}


def split_key(key: Any) -> tuple[str, str, str] | None:
    """The prefix of a weight, its name, and the suffix of its form, `""` if plain."""
    match = KEY.fullmatch(key) if isinstance(key, str) else None
    if not match:
        return None
    prefix, name, form = match[1], match[2], match[6]
    if prefix.endswith(PARAMETRIZED):
        return prefix.removesuffix(PARAMETRIZED), name, form.replace(".", "..", 1)
    return prefix, name, form


def choose_module(prefixes: Iterable[str], prefix: str | None, names: Iterable[str]) -> str:
    """The prefix of the only module, or of the only one under `prefix`.

    Raises:
      ValueError: no such module, or several.
    """
    prefixes, start = sorted(prefixes), prefix or ""
    for exact in (start, f"{start}."):
        if prefix is not None and exact in prefixes:
            return exact
    under = start if not start or start.endswith(".") else f"{start}."
    chosen = [p for p in prefixes if p.startswith(under)]
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        raise ValueError(
            f"state_dict holds {len(chosen)} recurrent modules, choose one by its prefix: "
            f"{_some(map(repr, chosen))}"
        )
    names = list(names)
    packed = [name for name in names if any(part in name for part in QUANTISED)]
    if packed:
        raise ValueError(
            f"state_dict is of a quantised model, which holds {packed[0]}: pass the weights from "
            "before the quantisation"
        )
    held = f"modules under {_some(map(repr, prefixes))}" if any(prefixes) else _some(names)
    raise ValueError(f"state_dict has no {under}weight_ih_l0; it holds {held}")


def weights_of(weights: Mapping[str, Forms], prefix: str) -> dict[str, Array]:
    """Each weight of a module as an array, computed from other forms where necessary.

    Raises:
      ValueError: a form that cannot be computed, or several forms of one weight.
      TypeError: an unsupported dtype.
    """
    return {name: _weight(prefix, name, forms) for name, forms in weights.items()}


def _is_module(weights: Mapping[str, Forms]) -> bool:
    known = {"", "_raw", "_orig", "_g", "_v", "..original", "..original0", "..original1"}
    return any(name.startswith("weight") and known & set(forms) for name, forms in weights.items())


def _weight(prefix: str, name: str, forms: Forms) -> Array:
    full = prefix + name
    parametrized = any(form.startswith("..") for form in forms)
    place = f"{prefix}{PARAMETRIZED}{name}" if parametrized else full
    held = {form: f"{place}{form.removeprefix('.') if parametrized else form}" for form in forms}

    def array(form: str) -> Array:
        return as_array(held[form], forms[form])

    compute = COMPUTED.get(tuple(sorted(forms)))
    if compute is not None:
        return compute(full, *map(array, sorted(forms)))
    listed = ", ".join(held[form] for form in sorted(forms))
    if parametrized:
        raise ValueError(
            f"{full} is parametrized, held as {listed}: first call "
            f"torch.nn.utils.parametrize.remove_parametrizations(module, {name!r})"
        )
    if {"_orig", "_u"} <= set(forms):
        raise ValueError(
            f"{full} is under spectral norm, held as {listed}: first call "
            f"torch.nn.utils.remove_spectral_norm(module, {name!r})"
        )
    raise ValueError(f"{full} is held as {listed}, an unknown form: pass {full} only")


def _plain(name: str, weight: Array) -> Array:
    return weight


def _of_weight_norm(name: str, g: Array, v: Array) -> Array:
    """`g * v / |v|` (Salimans and Kingma 2016); `g` has size 1 on the axes of the norm."""
    if g.shape not in {(), *((v.shape[0], 1), (1, v.shape[-1])), v.shape}:
        raise ValueError(
            f"{name} is parametrized by arrays of shapes {g.shape} and {v.shape}, which is not "
            f"weight norm: first call torch.nn.utils.parametrize.remove_parametrizations"
        )
    axes = tuple(k for k in range(v.ndim) if g.ndim == 0 or g.shape[k] == 1)
    wide = v.astype(cell_dtype(v.dtype))
    norm = jnp.sqrt(jnp.sum(wide**2, axis=axes, keepdims=g.ndim > 0))
    return (wide * (g / norm)).astype(v.dtype)


def _pruned(name: str, mask: Array, weight: Array) -> Array:
    return weight * mask


def _same(name: str, weight: Array, raw: Array) -> Array:
    if weight.shape != raw.shape or bool((weight != raw).any()):
        raise ValueError(
            f"state_dict has {name} and {name}_raw, which differ, as after weight drop: remove the "
            "first to use the weights of evaluation, or the second"
        )
    return raw


# By the suffixes of the forms, in alphabetical order.
COMPUTED: dict[tuple[str, ...], Callable[..., Array]] = {
    ("",): _plain,
    ("_raw",): _plain,
    ("", "_raw"): _same,
    ("_g", "_v"): _of_weight_norm,
    ("..original0", "..original1"): _of_weight_norm,
    ("_mask", "_orig"): _pruned,
}


def _some(names: Iterable[str]) -> str:
    names = sorted(map(str, names))
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return (", ".join(names[:6]) or "nothing") + more
