"""PyTorch: weights of `torch.nn.LSTM`, `GRU`, `RNN` and of their cells. Does not import torch."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from jlstm.cells.gru import GRUParams
from jlstm.cells.rnn import RNNParams
from jlstm.interop.arrays import (
    as_layer,
    check_widths,
    directions,
    refuse_bias,
    zero_bias,
)
from jlstm.interop.torch.modules import is_module, read_module
from jlstm.interop.torch.names import (
    WEIGHT,
    choose_module,
    find_modules,
    split_key,
    weights_of,
)
from jlstm.types import LSTMParams, ProjectedParams

if TYPE_CHECKING:
    from jlstm.types import Array, PyTree

UNKNOWN = re.compile(r"(?:weight|bias)_[a-z]+_l\d+(?:_reverse)?")


def from_torch(
    state_dict: Mapping[str, Any] | Any,
    prefix: str | None = None,
    *,
    nonlinearity: str | None = None,
) -> tuple[PyTree, ...]:
    """Convert a `torch.nn.LSTM`, `GRU` or `RNN`, or one of their cells, to layers.

    PyTorch has two biases where this library has one: they are added, which rounds once. (Those of
    the GRU's candidate stay separate, in `bias` and `bias_hn`.) Weights under weight norm, in
    either of PyTorch's forms, and pruned weights are computed. Everything else is exact.

    The settings `batch_first` and `dropout` are not part of the layers: time is the first axis
    here, and dropout between layers is an argument of `jlstm.stack_scan`.

    Args:
      state_dict: `module.state_dict()`, or what safetensors loads from its file: names with
        tensors, NumPy or JAX arrays; or the module itself. Any number of layers, in one direction
        or both, with or without projection and bias. Arrays of other modules are ignored.
      prefix: the prefix of the module's names in a larger model, such as `"encoder.lstm"`; None
        chooses the only recurrent module.
      nonlinearity: `"tanh"`, required for the weights of a `torch.nn.RNN` or `RNNCell`, which do
        not include it; a module does.

    Returns:
      A tuple of `LSTMParams`, `ProjectedParams`, `GRUParams` or `RNNParams`, or of `BiLSTMParams`
      with two of them.

    Raises:
      ValueError: no such names or several modules (the modules are listed), missing or unknown
        names, shapes that do not fit, weights in a form that cannot be computed, a simple RNN with
        relu, a quantised model, a checkpoint around the `state_dict`.
      TypeError: arrays that are not floating point, or float64 while jax_enable_x64 is off.

    Example:
      >>> import jax, jlstm
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8, 8), bidirectional=True)
      >>> state_dict = jlstm.interop.to_torch(layers)  # or torch.nn.LSTM(3, 8, 2, ...)
      >>> type(jlstm.interop.from_torch(state_dict)[1]).__name__
      'BiLSTMParams'
    """
    if nonlinearity not in (None, "tanh", "relu"):
        raise ValueError(f"nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
    if is_module(state_dict):
        state_dict, prefix, nonlinearity = read_module(state_dict, prefix, nonlinearity)
    if not isinstance(state_dict, Mapping):
        file = isinstance(state_dict, str | os.PathLike)
        cure = ": torch.load(path, weights_only=True) reads a file" if file else ""
        raise TypeError(
            "state_dict must map names to arrays, or be a module; got "
            f"{type(state_dict).__name__}{cure}"
        )
    modules = find_modules(state_dict)
    if not modules:
        _refuse_checkpoint(state_dict)
    prefix = choose_module(modules, prefix, state_dict)
    _refuse_unknown(state_dict, prefix, cell="weight_ih" in modules[prefix])
    grouped: dict[tuple[int, bool], dict[str, Array]] = {}
    for name, weight in weights_of(modules[prefix], prefix).items():
        match = re.fullmatch(WEIGHT, name)
        short, k, reverse = match.groups() if match else (name, None, None)
        grouped.setdefault((int(k or 0), bool(reverse)), {})[short] = weight
    both = any(reverse for _, reverse in grouped)
    biased = any("bias_ih" in weights or "bias_hh" in weights for weights in grouped.values())
    layers = []
    for k in range(1 + max(k for k, _ in grouped)):
        parts = [
            _layer(
                grouped.get((k, reverse), {}), f"{prefix}{{}}_l{k}{'_reverse' * reverse}", biased,
                nonlinearity,
            )
            for reverse in ((False, True) if both else (False,))
        ]  # fmt: skip
        layers.append(as_layer(parts))
    check_widths(layers)
    return tuple(layers)


def to_torch(layers: Sequence[PyTree], bias: bool = True) -> dict[str, np.ndarray]:
    """Convert layers to the `state_dict` of a PyTorch module, as NumPy arrays.

    The bias becomes `bias_ih`, and `bias_hh` is zero (`bias_hn` for the candidate of a GRU), so
    that `from_torch` returns the same numbers exactly. For `load_state_dict`, make tensors:
    `{name: torch.tensor(a) for name, a in to_torch(layers).items()}`; for bfloat16, which NumPy
    lacks, `torch.from_dlpack(jax.numpy.asarray(a))`.

    Args:
      layers: a stack of `LSTMParams`, `ProjectedParams`, `GRUParams` or `RNNParams` (for a module
        with `nonlinearity="tanh"`), in one direction or both.
      bias: False for a module without biases.

    Raises:
      TypeError: a layer that PyTorch cannot represent. ValueError: a nonzero bias with
        `bias=False`; layers of different sizes or types, which one module cannot hold.

    Example:
      >>> import jax, jlstm
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8,))
      >>> {name: a.shape for name, a in jlstm.interop.to_torch(layers).items()}
      {'weight_ih_l0': (32, 3), 'weight_hh_l0': (32, 8), 'bias_ih_l0': (32,), 'bias_hh_l0': (32,)}
    """
    types = (LSTMParams, ProjectedParams, GRUParams, RNNParams)
    state_dict: dict[str, np.ndarray] = {}
    first = None
    for k, parts in directions(layers, "PyTorch", types):
        like = [(type(params), params.weight_hh.shape) for params in parts]
        first = like if first is None else first
        if like != first:
            raise ValueError(
                f"layers[{k}] differs from layers[0] in type or size; the layers of a PyTorch "
                "module are equal: convert them one by one"
            )
        for params, suffix in zip(parts, ("", "_reverse"), strict=False):
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


def _refuse_checkpoint(state_dict: Mapping[str, Any]) -> None:
    """Check for a training checkpoint, which holds the `state_dict` under a name."""
    inner = [k for k, v in state_dict.items() if isinstance(v, Mapping) and find_modules(v)]
    inner += [k for k, v in state_dict.items() if is_module(v)]
    if inner:
        places = " or ".join(f"state_dict[{key!r}]" for key in inner)
        raise ValueError(
            f"state_dict is a checkpoint, of {', '.join(map(str, state_dict))}: pass {places}"
        )


def _refuse_unknown(state_dict: Mapping[str, Any], prefix: str, cell: bool) -> None:
    """Check for arrays that no PyTorch module has and that may change the computation."""
    for key, value in state_dict.items():
        if not isinstance(key, str) or not key.startswith(prefix) or split_key(key):
            continue
        name = key.removeprefix(prefix)
        dtype = str(getattr(value, "dtype", ""))
        number = "float" in dtype and "float8" not in dtype
        if UNKNOWN.fullmatch(name) or (cell and number):
            raise ValueError(
                f"state_dict has {key!r}, which is not a weight of an LSTM, GRU or RNN of PyTorch: "
                "leave it out if the layer does not use it"
            )


def _layer(weights: dict[str, Array], name: str, biased: bool, nonlinearity: str | None) -> PyTree:
    """One direction of one layer; `name` is the pattern of the names of its arrays."""
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
    hidden, gates = weight_hh.shape
    if projection is None and gates == hidden:
        return _simple(weight_ih, weight_hh, bias_ih + bias_hh, name, nonlinearity)
    if nonlinearity is not None:
        raise ValueError(
            f"nonlinearity={nonlinearity!r} is for torch.nn.RNN, but {name.format('weight_hh')} "
            f"has shape {weights['weight_hh'].shape}"
        )
    if projection is not None:
        return ProjectedParams(weight_ih, weight_hh, bias_ih + bias_hh, projection.T)
    if gates == 3 * hidden:
        kept = jnp.arange(gates) < 2 * hidden
        folded = jnp.where(kept, bias_ih + bias_hh, bias_ih)
        return GRUParams(weight_ih, weight_hh, folded, bias_hh[2 * hidden :])
    return LSTMParams(weight_ih, weight_hh, bias_ih + bias_hh)


def _simple(
    weight_ih: Array, weight_hh: Array, bias: Array, name: str, nonlinearity: str | None
) -> RNNParams:
    if nonlinearity is None:
        raise ValueError(
            f"{name.format('weight_hh')} is of a torch.nn.RNN, which may use tanh or relu: pass "
            "nonlinearity='tanh', or the module itself"
        )
    if nonlinearity != "tanh":
        raise ValueError(
            f"{name.format('weight_hh')} is of a torch.nn.RNN with nonlinearity={nonlinearity!r}; "
            "jlstm.variants.RNNParams has tanh only"
        )
    return RNNParams(weight_ih, weight_hh, bias)


def _hidden_bias(params: PyTree) -> Array:
    zeros = jnp.zeros_like(params.bias)
    if isinstance(params, GRUParams):
        return zeros.at[-len(params.bias_hn) :].set(params.bias_hn)
    return zeros
