"""Checks of weights and sizes."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from jlstm.checks.values import check_float, described, dtype_of, whole
from jlstm.types import (
    BiLSTMParams,
    LSTMParams,
    ProjectedParams,
    Shapes,
)

if TYPE_CHECKING:
    from jax.typing import DTypeLike


SHAPES: Mapping[type, Shapes] = MappingProxyType(
    {
        LSTMParams: {
            "weight_hh": ("hidden", "4*hidden"),
            "weight_ih": ("input", "4*hidden"),
            "bias": ("4*hidden",),
        },
        ProjectedParams: {
            "weight_hr": ("hidden", "output"),
            "weight_hh": ("output", "4*hidden"),
            "weight_ih": ("input", "4*hidden"),
            "bias": ("4*hidden",),
        },
    }
)


def check_sizes(dtype: DTypeLike, **sizes: int) -> None:
    """Check that sizes are integers of 1 or more, and the dtype a real float."""
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int | np.integer):
            raise TypeError(f"{name} must be an integer, got {size!r:.80}{whole(size)}")
        if size < 1:
            raise ValueError(f"{name} must be 1 or more, got {size}")
    check_float("dtype", jnp.dtype(dtype))


def check_params(params: Any, kind: type, shapes: Shapes) -> dict[str, Any]:
    """Check the type of `params` and that its arrays fit; return the sizes of the axes by name."""
    if not isinstance(params, kind):
        fields = ", ".join(kind._fields)
        raise TypeError(
            f"params must be {kind.__name__}({fields}), got {described(params)}{stack_hint(params)}"
        )
    sizes: dict[str, Any] = {}
    for name, axes in shapes.items():
        weight = getattr(params, name)
        check_float(f"params.{name}", dtype_of(f"params.{name}", weight))
        found = dict(sizes)
        if not _fits(np.shape(weight), axes, found):
            wanted = "".join(f"{axis}, " for axis in axes)
            wanted = wanted.strip() if len(axes) == 1 else wanted.rstrip(", ")
            known = [f"{axis}={size}" for axis, size in sizes.items() if axis in " ".join(axes)]
            known = f" with {' and '.join(known)}" if known else ""
            raise ValueError(
                f"params.{name} must be ({wanted}){known}, got shape {np.shape(weight)}"
            )
        sizes = found
    return sizes


def check_lstm(params: Any) -> dict[str, Any]:
    """Check the weights of an LSTM layer, with or without a projection; return their sizes."""
    kind = ProjectedParams if isinstance(params, ProjectedParams) else LSTMParams
    if hasattr(params, "weight_hh") and not isinstance(params, kind):
        raise TypeError(
            f"params must be LSTMParams or ProjectedParams, got {described(params)}; "
            "scan_cell and stack_scan take other cells"
        )
    return check_params(params, kind, SHAPES[kind])


def stack_hint(params: Any) -> str:
    """A hint at the functions that take a stack, where one layer is wanted."""
    takers = "stack_scan, stack_step, stack_trace and init_stack_state take"
    if isinstance(params, BiLSTMParams):
        return f"; {takers} a bidirectional layer, as (params,)"
    layers = isinstance(params, tuple | list) and not hasattr(params, "_fields")
    if layers and any(hasattr(p, "weight_hh") or isinstance(p, BiLSTMParams) for p in params):
        return f"; {takers} a stack of layers, and params[0] is one of them"
    return ""


def _fits(shape: tuple, axes: tuple[str, ...], sizes: dict[str, Any]) -> bool:
    """Return whether a shape fits `("hidden", "4*hidden")`; the first size of an axis is kept."""
    if len(shape) != len(axes):
        return False
    for size, axis in zip(shape, axes, strict=True):
        times, _, name = axis.rpartition("*")
        if size != int(times or 1) * sizes.setdefault(name, size):
            return False
    return True
