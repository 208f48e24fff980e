"""Settings of Flax's cells and of the modules around them, which params do not include.

Does not import flax: modules are recognised by the names of their types.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

RECURRENT = ("flax.linen.recurrent", "flax.nnx.nn.recurrent", "jlstm.linen")
CELLS = ("RNNCellBase",)
GRID = np.linspace(-6.0, 6.0, 25, dtype=np.float32)


def is_linen(value: Any) -> bool:
    """Return True for a module of linen."""
    return any(base.__module__ == "flax.linen.module" for base in type(value).__mro__)


def is_nnx(value: Any) -> bool:
    """Return True for a module of NNX, and False for its states and variables."""
    return any(base.__module__ == "flax.nnx.module" for base in type(value).__mro__)


def linen_params(module: Any) -> Any:
    """The params of a bound module of linen."""
    if module.scope is None:
        raise TypeError(
            f"params must be a dict of params, got {type(module).__name__}, which is not bound: "
            "pass its params, and the module as module=..."
        )
    return module.variables["params"]


def check_linen(name: str, module: Any) -> None:
    """Check that the module computes the same as a layer of this library.

    Raises:
      ValueError: a setting that changes the computation. TypeError: a module that is not a cell of
        Flax, an `RNN` or a `Bidirectional`.
    """
    if not is_linen(module) or type(module).__module__ not in RECURRENT:
        raise TypeError(
            f"{name} must be a cell, an RNN or a Bidirectional of Flax, got "
            f"{type(module).__name__}: pass the one inside, or its params only"
        )
    _check(name, module)


def nnx_params(name: str, module: Any, within: bool = False) -> Any:
    """The variables of a module of NNX by name, with the settings of its cells checked.

    Raises:
      ValueError: a setting of a cell or of the modules around it that changes the computation.
    """
    if hasattr(module, "get_value"):
        return module
    if isinstance(module, list | tuple) or type(module).__name__ == "List":
        return {k: nnx_params(f"{name}[{k}]", part) for k, part in enumerate(module)}
    if isinstance(module, Mapping):
        return {k: nnx_params(f"{name}[{k!r}]", part) for k, part in module.items()}
    if not is_nnx(module):
        return None
    if type(module).__module__ in RECURRENT:
        _check(name, module, within)
    elif any(base.__name__ in CELLS for base in type(module).__mro__):
        raise ValueError(
            f"{name} is a {type(module).__name__}, not a cell of Flax; if it computes the same, "
            "pass its nnx.state"
        )
    parts = {k: v for k, v in vars(module).items() if not k.startswith("_") and k != "rngs"}
    params = {
        k: nnx_params(f"{name}.{k}", part, within=type(module).__name__ == "Bidirectional")
        for k, part in parts.items()
    }
    return {k: part for k, part in params.items() if part is not None}


def _check(name: str, module: Any, within: bool = False) -> None:
    """Check the settings of a module; `within` a Bidirectional, `reverse` is not one of them."""
    kind = type(module).__name__
    for setting, expected in (("gate_fn", jax.nn.sigmoid), ("activation_fn", jnp.tanh)):
        given = getattr(module, setting, expected)
        if np.shape(given(GRID)) != GRID.shape or np.abs(given(GRID) - expected(GRID)).max() > 1e-5:
            _refuse(name, kind, setting, given, f"jlstm has {expected.__name__}")
    if getattr(module, "residual", False):
        _refuse(name, kind, "residual", True, "jlstm adds nothing to the pre-activations")
    carry_init = getattr(module, "carry_init", None)
    if carry_init is not None and np.any(carry_init(jax.random.key(0), (64,), jnp.float32) != 0):
        _refuse(name, kind, "carry_init", carry_init, "pass params only, and the state to the scan")
    if getattr(module, "reverse", False) and not within:
        _refuse(
            name, kind, "reverse", True, "pass its params only and use the layer as "
            "jlstm.BiLSTMParams(None, layer), whose outputs keep their order",
        )  # fmt: skip
    merge_fn = getattr(module, "merge_fn", None)
    halves = GRID[None, :2], GRID[None, 2:4]
    if merge_fn is not None and not np.array_equal(merge_fn(*halves), np.hstack(halves)):
        _refuse(name, kind, "merge_fn", merge_fn, "jlstm concatenates the two directions")
    for part in ("cell", "forward_rnn", "backward_rnn"):
        inner = getattr(module, part, None)
        if is_linen(inner):
            if type(inner).__module__ not in RECURRENT:
                raise ValueError(
                    f"{name}.{part} is a {type(inner).__name__}, not a cell of Flax; if it "
                    "computes the same, pass its params only"
                )
            _check(f"{name}.{part}", inner, within=part != "cell")


def _refuse(name: str, kind: str, setting: str, value: Any, cure: str) -> None:
    text = getattr(value, "__name__", None) or f"{value!r:.60}"
    raise ValueError(f"{name}, a {kind}, has {setting}={text}; {cure}")
