"""Arrays of any library as JAX arrays, layers as lists of directions: what all converters share."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jlstm.cells.layer_types import check_layer, output_size
from jlstm.types import BiLSTMParams, LSTMParams

if TYPE_CHECKING:
    from jaxtyping import Array, PyTree


def as_array(name: str, value: Any) -> Array:
    """The same numbers as a JAX array of the same dtype; PyTorch's tensors are read without it."""
    if hasattr(value, "detach"):
        value = _of_tensor(name, value)
    elif hasattr(value, "unbox"):  # a param of Flax with its partitioning
        value = value.unbox()
    elif hasattr(value, "get_value"):  # a variable of Flax
        value = value.get_value()
    if isinstance(value, jax.ShapeDtypeStruct):
        raise ValueError(f"{name} is a shape without numbers, as eval_shape gives: init or load it")
    array = value if isinstance(value, jax.Array) else np.asarray(value)
    if not jnp.issubdtype(array.dtype, jnp.floating) or jnp.finfo(array.dtype).bits < 16:
        raise TypeError(f"{name} must be floating point of 16 bits or more, got {array.dtype}")
    if array.dtype == np.float64 and not jax.config.read("jax_enable_x64"):
        raise TypeError(
            f"{name} is float64, which JAX would round: enable jax_enable_x64, or cast it first"
        )
    return jnp.asarray(array)


def _of_tensor(name: str, value: Any) -> Any:
    """A tensor of PyTorch off its graph and on the host."""
    if getattr(value, "is_meta", False):
        raise ValueError(f"{name} is on the meta device, where it has no numbers: load them first")
    if "strided" not in str(value.layout) or getattr(value, "is_quantized", False):
        kind = "a quantised" if getattr(value, "is_quantized", False) else f"a {value.layout}"
        raise ValueError(f"{name} is {kind} tensor: make it a dense one of floating point first")
    tensor = value.detach().cpu().contiguous()
    if "float8" in str(tensor.dtype):
        raise TypeError(f"{name} must be floating point of 16 bits or more, got {tensor.dtype}")
    # NumPy has no bfloat16, DLPack has.
    return jnp.from_dlpack(tensor) if "bfloat16" in str(tensor.dtype) else tensor.numpy()


def directions(
    layers: Any, to: str, kinds: tuple[type, ...] = (LSTMParams,)
) -> Iterator[tuple[int, tuple[PyTree, ...]]]:
    """The directions of each layer, one or two; a kind that `to` has no place for is refused."""
    if hasattr(layers, "_fields") or not isinstance(layers, Sequence) or not layers:
        cure = "; (params,) is a stack of one layer" if hasattr(layers, "_fields") else ""
        raise TypeError(f"layers must be a tuple of layers, got {type(layers).__name__}{cure}")
    checked = []
    for k, layer in enumerate(layers):
        found = tuple(layer) if isinstance(layer, BiLSTMParams) else (layer,)
        for params in found:
            if params is None:
                raise TypeError(
                    f"layers[{k}]: {to} has no place for a layer in one direction of two"
                )
            if not isinstance(params, kinds):
                raise TypeError(f"layers[{k}]: {to} has no place for {type(params).__name__}")
            check_layer(params)
        checked.append((k, found))
    check_widths(layers)
    yield from checked


def check_widths(layers: Sequence[PyTree]) -> None:
    """Each layer takes as many numbers as the one before it shows."""
    width = None
    for k, layer in enumerate(layers):
        ways = [
            p for p in (layer if isinstance(layer, BiLSTMParams) else (layer,)) if p is not None
        ]
        taken = {jnp.shape(params.weight_ih)[0] for params in ways}
        if len(taken) > 1 or (width is not None and taken != {width}):
            before = f"layers[{k - 1}] shows {width}" if len(taken) == 1 else "of two directions"
            raise ValueError(f"layers[{k}] takes {', '.join(map(str, taken))} numbers, {before}")
        width = sum(map(output_size, ways))


def one_direction(
    layers: Any, to: str, kinds: tuple[type, ...] = (LSTMParams,)
) -> Iterator[tuple[int, PyTree]]:
    """As `directions`, for those who have no bidirectional layer."""
    for k, found in directions(layers, to, kinds):
        if len(found) == 2:
            raise TypeError(
                f"layers[{k}]: {to} has no place for BiLSTMParams; convert its two parts"
            )
        yield k, found[0]


def as_layer(found: Sequence[PyTree]) -> PyTree:
    """One layer of its directions."""
    for params in found:
        check_layer(params)
    return BiLSTMParams(*found) if len(found) == 2 else found[0]


def reorder(a: Array, order: Sequence[int], axis: int = -1) -> Array:
    """The gates side by side on that axis in another order."""
    parts = jnp.split(a, len(order), axis)
    return jnp.concatenate([parts[k] for k in order], axis)


def zero_bias(weight_hh: Array) -> Array:
    """The bias of a layer that was trained without one."""
    return jnp.zeros(weight_hh.shape[-1], weight_hh.dtype)


def refuse_bias(k: int, params: PyTree) -> None:
    """The other side has no bias: only a bias of zeros can go there."""
    for name in ("bias", "bias_hn"):
        if bool((getattr(params, name, jnp.zeros(())) != 0).any()):
            raise ValueError(
                f"layers[{k}] has a {name} that is not zero, which would be lost without one"
            )
