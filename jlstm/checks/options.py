"""Checks of options: direction, memory dial, keys, indices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jlstm.checks.values import described, is_key, meant, whole
from jlstm.types import (
    BiLSTMTrace,
    LSTMTrace,
)

if TYPE_CHECKING:
    pass


def check_reverse(reverse: Any) -> None:
    """Check that `reverse` is True or False: it decides which program is compiled."""
    if not isinstance(reverse, bool | np.bool):
        raise TypeError(f"reverse must be True or False, got {reverse!r}")


def check_save(save: Any) -> str | int:
    """Check that `save` is "gates", "states" or a number of steps; return it, numbers as int."""
    wanted = 'save must be "gates", "states" or a number of steps'
    if isinstance(save, str):
        if save not in ("gates", "states"):
            raise ValueError(f"{wanted}, got {save!r}{meant(save, ('gates', 'states'))}")
        return save
    if isinstance(save, bool) or not isinstance(save, int | np.integer):
        raise TypeError(f"{wanted}, got {save!r:.80}{whole(save)}")
    if save < 1:
        raise ValueError(f"save must be 1 step between checkpoints or more, got {save}")
    return int(save)


def check_index(name: str, index: Any, count: int, of: str) -> None:
    """Check that `index` lies in [0, count); a tracer cannot be checked."""
    if isinstance(index, jax.core.Tracer):
        return
    if isinstance(index, bool) or not isinstance(index, int | np.integer):
        raise TypeError(f"{name} must be an integer, got {index!r:.80}")
    if not 0 <= index < count:
        raise ValueError(f"{name} must lie in [0, {count}), {of}; got {index}")


def check_trace(trace: Any) -> None:
    """Check that `trace` is of one LSTM layer in one direction."""
    if isinstance(trace, BiLSTMTrace):
        raise TypeError(
            "trace must be LSTMTrace(i, f, g, o, c), got BiLSTMTrace: choose trace.forward or "
            "trace.backward"
        )
    if not isinstance(trace, LSTMTrace):
        wanted = "trace must be LSTMTrace(i, f, g, o, c)"
        if isinstance(trace, tuple) and any(isinstance(t, LSTMTrace | BiLSTMTrace) for t in trace):
            raise TypeError(f"{wanted}, got a tuple: choose the one of a layer, as traces[0]")
        raise TypeError(f"{wanted}, as lstm_trace gives it; got {described(trace)}")


def check_key(key: Any) -> None:
    """Check that `key` is one random key of JAX, of either form."""
    if not hasattr(key, "dtype") or not (
        is_key(key) or (key.dtype == jnp.uint32 and np.ndim(key) == 1)
    ):
        raise TypeError(f"key must be a random key, as jax.random.key(0); got {described(key)}")
    if is_key(key) and np.ndim(key):
        raise ValueError(f"key must be one random key, got {np.shape(key)}; jax.vmap takes many")
