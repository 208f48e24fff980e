"""Shared by all converters: arrays of any library as JAX arrays, layers as lists of directions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jlstm.cells.layer_types import check_layer, output_size
from jlstm.types import BiLSTMParams, LSTMParams

if TYPE_CHECKING:
    from jlstm.types import Array, PyTree


def as_array(name: str, value: Any) -> Array:
    """Return `value` as a JAX array of the same dtype, without importing the library it is from."""
    if hasattr(value, "detach"):
        value = _of_tensor(name, value)
    elif hasattr(value, "unbox"):  # a partitioned param of Flax
        value = value.unbox()
    elif hasattr(value, "get_value"):  # a variable of Flax
        value = value.get_value()
    if isinstance(value, jax.ShapeDtypeStruct):
        raise ValueError(
            f"{name} is a shape without numbers, as eval_shape returns: init or load it"
        )
    array = value if isinstance(value, jax.Array) else np.asarray(value)
    if not jnp.issubdtype(array.dtype, jnp.floating) or jnp.finfo(array.dtype).bits < 16:
        raise TypeError(f"{name} must be floating point of 16 bits or more, got {array.dtype}")
    if array.dtype == np.float64 and not jax.config.read("jax_enable_x64"):
        raise TypeError(
            f"{name} is float64, but jax_enable_x64 is off: enable it, or cast {name} first"
        )
    return jnp.asarray(array)


def _of_tensor(name: str, value: Any) -> Any:
    """Detach a tensor of PyTorch and copy it to the host."""
    if getattr(value, "is_meta", False):
        raise ValueError(f"{name} is on the meta device, which holds no numbers: load them first")
    if "strided" not in str(value.layout) or getattr(value, "is_quantized", False):
        kind = "a quantised" if getattr(value, "is_quantized", False) else f"a {value.layout}"
        raise ValueError(f"{name} is {kind} tensor: make it a dense one of floating point first")
    tensor = value.detach().cpu().contiguous()
    if "float8" in str(tensor.dtype):
        raise TypeError(f"{name} must be floating point of 16 bits or more, got {tensor.dtype}")
    # NumPy does not support bfloat16, DLPack does.
    return jnp.from_dlpack(tensor) if "bfloat16" in str(tensor.dtype) else tensor.numpy()


def directions(
    layers: Any, to: str, types: tuple[type, ...] = (LSTMParams,)
) -> Iterator[tuple[int, tuple[PyTree, ...]]]:
    """The number of each layer and its one or two directions, checked to be of these types."""
    if hasattr(layers, "_fields") or not isinstance(layers, Sequence) or not layers:
        cure = "; (params,) is a stack of one layer" if hasattr(layers, "_fields") else ""
        raise TypeError(f"layers must be a tuple of layers, got {type(layers).__name__}{cure}")
    checked = []
    for k, layer in enumerate(layers):
        pair = tuple(layer) if isinstance(layer, BiLSTMParams) else (layer,)
        for params in pair:
            if params is None:
                raise TypeError(
                    f"layers[{k}]: {to} cannot represent BiLSTMParams with one direction"
                )
            if not isinstance(params, types):
                raise TypeError(f"layers[{k}]: {to} cannot represent {type(params).__name__}")
            check_layer(params)
        checked.append((k, pair))
    check_widths(layers)
    yield from checked


def check_widths(layers: Sequence[PyTree]) -> None:
    """Check that each layer takes as many features as the layer before it outputs."""
    width = None
    for k, layer in enumerate(layers):
        pair = layer if isinstance(layer, BiLSTMParams) else (layer,)
        taken = {jnp.shape(params.weight_ih)[0] for params in pair if params is not None}
        if len(taken) > 1:
            sizes = " and ".join(map(str, sorted(taken)))
            raise ValueError(f"layers[{k}] takes {sizes} features in its two directions")
        if width is not None and taken != {width}:
            raise ValueError(
                f"layers[{k}] takes {taken.pop()} features, layers[{k - 1}] outputs {width}"
            )
        width = output_size(layer)


def one_direction(
    layers: Any, to: str, types: tuple[type, ...] = (LSTMParams,)
) -> Iterator[tuple[int, PyTree]]:
    """As `directions`, for a library without bidirectional layers."""
    for k, pair in directions(layers, to, types):
        if len(pair) == 2:
            raise TypeError(
                f"layers[{k}]: {to} cannot represent BiLSTMParams; convert its two parts"
            )
        yield k, pair[0]


def as_layer(parts: Sequence[PyTree]) -> PyTree:
    """The layer of one direction or of two, checked."""
    for params in parts:
        check_layer(params)
    return BiLSTMParams(*parts) if len(parts) == 2 else parts[0]


def reorder(a: Array, order: Sequence[int], axis: int = -1) -> Array:
    """Reorder the gates, which lie side by side on `axis`."""
    parts = jnp.split(a, len(order), axis)
    return jnp.concatenate([parts[k] for k in order], axis)


def zero_bias(weight_hh: Array) -> Array:
    """The bias of a layer that was trained without one."""
    return jnp.zeros(weight_hh.shape[-1], weight_hh.dtype)


def refuse_bias(k: int, params: PyTree) -> None:
    """Check that the biases are zero, for a library or a layer without bias."""
    for name in ("bias", "bias_hn"):
        if bool((getattr(params, name, jnp.zeros(())) != 0).any()):
            raise ValueError(
                f"layers[{k}] has a {name} that is not zero, which would be lost without one"
            )
