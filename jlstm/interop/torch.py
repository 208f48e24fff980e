"""PyTorch: the `state_dict` of `torch.nn.LSTM` and `torch.nn.GRU`. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from jlstm.interop.arrays import (
    as_array,
    as_layer,
    check_widths,
    directions,
    refuse_bias,
    zero_bias,
)
from jlstm.types import LSTMParams, ProjectedParams
from jlstm.variants.gru import GRUParams

if TYPE_CHECKING:
    from jaxtyping import Array, PyTree

# Those of a cell end without `_l0`.
NAME = re.compile(r"(weight_ih|weight_hh|bias_ih|bias_hh|weight_hr)(?:_l(\d+)(_reverse)?)?")


def from_torch(state_dict: Mapping[str, Any], prefix: str = "") -> tuple[PyTree, ...]:
    """The layers of a `torch.nn.LSTM` or `torch.nn.GRU`, or of a cell of these.

    PyTorch adds two biases where this library has one: they are added here, which rounds once. (Of
    the GRU's candidate they stay apart, in `bias` and `bias_hn`.) Everything else is exact.

    Args:
      state_dict: `module.state_dict()`, or what safetensors reads of it: names with tensors, NumPy
        or JAX arrays. Any number of layers, in one direction or both, with projection or without,
        with bias or without.
      prefix: what stands before the module's names in a larger model, `"encoder.lstm."` for
        instance; names without it are left alone.

    Returns:
      A tuple of layers: `LSTMParams`, `ProjectedParams` or `GRUParams`, or `BiLSTMParams` of two.

    Raises:
      ValueError: no such names (those that are there are listed), names that are missing or not
        known, shapes that do not fit. TypeError: arrays that are not floating point, or float64
        while JAX would round them.

    Example:
      >>> import jax, jlstm
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8, 8), bidirectional=True)
      >>> state_dict = jlstm.interop.to_torch(layers)  # or torch.nn.LSTM(3, 8, 2, ...).state_dict()
      >>> type(jlstm.interop.from_torch(state_dict)[1]).__name__
      'BiLSTMParams'
    """
    if not isinstance(state_dict, Mapping):
        raise TypeError(f"state_dict must map names to arrays, got {type(state_dict).__name__}")
    found: dict[tuple[int, bool], dict[str, Array]] = {}
    for full_name, value in state_dict.items():
        if not full_name.startswith(prefix):
            continue
        match = NAME.fullmatch(full_name.removeprefix(prefix))
        if match:
            name, k, reverse = match.groups()
            found.setdefault((int(k or 0), bool(reverse)), {})[name] = as_array(full_name, value)
        elif "." not in full_name.removeprefix(prefix):
            raise ValueError(f"state_dict has {full_name!r}, which is no weight of an LSTM")
    if not found:
        names = ", ".join(sorted(state_dict)[:6]) or "nothing"
        raise ValueError(f"state_dict has no {prefix}weight_ih_l0; it holds {names}, ...")
    both = any(reverse for _, reverse in found)
    biased = any("bias_ih" in weights or "bias_hh" in weights for weights in found.values())
    layers = []
    for k in range(1 + max(k for k, _ in found)):
        parts = [
            _layer(found.get((k, reverse), {}), f"{prefix}{{}}_l{k}{'_reverse' * reverse}", biased)
            for reverse in ((False, True) if both else (False,))
        ]
        layers.append(as_layer(parts))
    check_widths(layers)
    return tuple(layers)


def to_torch(layers: Sequence[PyTree], bias: bool = True) -> dict[str, np.ndarray]:
    """The `state_dict` of the same layers in PyTorch, as NumPy arrays.

    The bias becomes `bias_ih`, and `bias_hh` is zero (of a GRU's candidate it is `bias_hn`), so
    that `from_torch` gives back the very same numbers. For `load_state_dict`, make tensors of them:
    `{name: torch.tensor(a) for name, a in to_torch(layers).items()}`; of bfloat16, which NumPy
    lacks, by `torch.from_dlpack(jax.numpy.asarray(a))`.

    Args:
      layers: a stack of `LSTMParams`, `ProjectedParams` or `GRUParams`, in one direction or both.
      bias: whether the module has biases.

    Raises:
      TypeError: a layer that PyTorch has no place for. ValueError: a bias that is not zero with
        `bias=False`; layers of different sizes or kinds, which one module cannot hold.

    Example:
      >>> import jax, jlstm
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8,))
      >>> {name: a.shape for name, a in jlstm.interop.to_torch(layers).items()}
      {'weight_ih_l0': (32, 3), 'weight_hh_l0': (32, 8), 'bias_ih_l0': (32,), 'bias_hh_l0': (32,)}
    """
    kinds = (LSTMParams, ProjectedParams, GRUParams)
    state_dict: dict[str, np.ndarray] = {}
    first = None
    for k, found in directions(layers, "PyTorch", kinds):
        like = [(type(params), params.weight_hh.shape) for params in found]
        first = like if first is None else first
        if like != first:
            raise ValueError(
                f"layers[{k}] is of another kind or size than layers[0]; a module of PyTorch holds "
                "equal ones: convert them one by one"
            )
        for params, suffix in zip(found, ("", "_reverse"), strict=False):
            weights = {"weight_ih": params.weight_ih.T, "weight_hh": params.weight_hh.T}
            if bias:
                weights |= {"bias_ih": params.bias, "bias_hh": _hidden_bias(params)}
            else:
                refuse_bias(k, params)
            if isinstance(params, ProjectedParams):
                weights["weight_hr"] = params.weight_hr.T
            for name, weight in weights.items():
                state_dict[f"{name}_l{k}{suffix}"] = np.asarray(weight)
    return state_dict


def _layer(weights: dict[str, Array], name: str, biased: bool) -> PyTree:
    """One direction of one layer; `name` says how its arrays are called."""
    needed = {"weight_ih", "weight_hh"} | ({"bias_ih", "bias_hh"} if biased else set())
    missing = sorted(needed - set(weights))
    if missing:
        raise ValueError(f"state_dict has no {name.format(missing[0])}")
    weight_ih, weight_hh = weights["weight_ih"].T, weights["weight_hh"].T
    projection = weights.get("weight_hr")
    bias_ih = weights.get("bias_ih", zero_bias(weight_hh))
    bias_hh = weights.get("bias_hh", zero_bias(weight_hh))
    if weight_hh.ndim != 2 or bias_ih.shape != bias_hh.shape:
        raise ValueError(f"{name.format('weight_hh')} and its biases do not fit each other")
    if projection is not None:
        return ProjectedParams(weight_ih, weight_hh, bias_ih + bias_hh, projection.T)
    hidden, gates = weight_hh.shape
    if gates == 3 * hidden:
        kept = jnp.arange(gates) < 2 * hidden
        folded = jnp.where(kept, bias_ih + bias_hh, bias_ih)
        return GRUParams(weight_ih, weight_hh, folded, bias_hh[2 * hidden :])
    if gates == hidden:
        raise ValueError(
            f"{name.format('weight_hh')} is that of torch.nn.RNN, which may use tanh or relu; make "
            "jlstm.variants.RNNParams of it yourself if it is tanh"
        )
    return LSTMParams(weight_ih, weight_hh, bias_ih + bias_hh)


def _hidden_bias(params: PyTree) -> Array:
    zeros = jnp.zeros_like(params.bias)
    if isinstance(params, GRUParams):
        return zeros.at[-len(params.bias_hn) :].set(params.bias_hn)
    return zeros
