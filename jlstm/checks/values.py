"""Descriptions of values in errors, and hints at what to write instead."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable


def described(value: Any) -> str:
    """A description of a value for an error: its shape if it is an array, else its type."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return f"an array of shape {tuple(value.shape)}"
    return "None" if value is None else type(value).__name__


def is_key(value: Any) -> bool:
    """Return whether `value` holds random keys, which lead with no batch axes and no padding."""
    return jnp.issubdtype(jnp.result_type(value), jax.dtypes.prng_key)


def dtype_of(name: str, value: Any) -> Any:
    """The dtype of an array or of a number; lists are no arrays, as everywhere in JAX."""
    if type(value).__module__ == "torch":
        raise TypeError(f"{name} must be an array, got a tensor of PyTorch{_of_torch(name, value)}")
    if hasattr(value, "to_numpy"):  # of pandas, Polars, Arrow
        kind = f"{type(value).__name__} of {type(value).__module__.partition('.')[0]}"
        raise TypeError(f"{name} must be an array, got {kind}; {name}.to_numpy() is one")
    if not hasattr(value, "dtype") and not isinstance(value, int | float | complex):
        cure = f"; jax.numpy.asarray({name}) is one" if isinstance(value, list | tuple) else ""
        raise TypeError(f"{name} must be an array, got {type(value).__name__}{cure}")
    try:
        return jnp.result_type(value)
    except TypeError:
        dtype = getattr(value, "dtype", type(value).__name__)
        raise TypeError(f"{name} must be an array of numbers, got dtype {dtype}") from None


def _of_torch(name: str, tensor: Any) -> str:
    """The call that makes a NumPy array of a tensor."""
    device = getattr(getattr(tensor, "device", None), "type", "cpu")
    if device == "meta":
        return " on the meta device, which holds no numbers"
    if not hasattr(tensor, "numpy"):
        return ""
    cure = ".detach()" if getattr(tensor, "requires_grad", False) else ""
    cure += "" if device == "cpu" else ".cpu()"
    cure += ".float()" if "bfloat16" in str(tensor.dtype) else ""
    return f"; {name}{cure}.numpy() is one"


def check_float(name: str, dtype: Any) -> None:
    """Check that the dtype is a real float of 16 bits or more."""
    if not jnp.issubdtype(dtype, jnp.floating) or jnp.finfo(dtype).bits < 16:
        raise TypeError(f"{name} must be floating point of 16 bits or more, got {dtype}")


def meant(word: Any, known: Iterable[str]) -> str:
    """A hint at the known word that a misspelt one is close to."""
    near = get_close_matches(word.lower(), known, n=1) if isinstance(word, str) else []
    return f"; was {near[0]!r} meant?" if near else ""


def whole(size: Any) -> str:
    """A hint at the integer that a float is equal to."""
    if isinstance(size, float | np.floating) and float(size).is_integer():
        return f"; {int(size)} is one"
    return ""
