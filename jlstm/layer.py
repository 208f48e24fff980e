"""One layer of a stack: its directions, its arguments among those of the stack, its errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jlstm.cells.layer_types import LAYER_TYPES, check_layer, init_state
from jlstm.checks.values import described
from jlstm.sequence import lstm_scan, scan_any_cell
from jlstm.types import BiLSTMParams, BiLSTMState, LSTMParams, ProjectedParams

if TYPE_CHECKING:
    from jlstm.types import Array, PyTree, Step


class Direction(NamedTuple):
    """One direction of a layer, and what it takes beside the input."""

    params: PyTree
    state: PyTree
    reset_state: PyTree
    extra: PyTree = None
    reverse: bool = False


def scan_layer(
    layer: PyTree,
    state: PyTree,
    xs: Array,
    *,
    reset_state: PyTree,
    extra: PyTree,
    step: Step | None,
    implementation: str | None,
    **options: Any,
) -> tuple[PyTree, Array]:
    """`(state, hs)` of a layer; its `step` is None for that of its type.

    The `options` are those of `lstm_scan` that every cell has: `lengths`, `resets`, `save`.
    """
    results = [
        _scan_direction(direction, xs, step, implementation, **options)
        for direction in split_directions(layer, state, reset_state, extra)
    ]
    state, hs = join_directions(layer, results)
    return state, hs


def split_directions(
    layer: PyTree, state: PyTree, reset_state: PyTree, extra: PyTree = None
) -> list[Direction]:
    """The directions that a layer has, forward first.

    Raises:
      TypeError: states or extras of a bidirectional layer that are no pair.
      ValueError: a bidirectional layer without a direction.
    """
    if not isinstance(layer, BiLSTMParams):
        return [Direction(layer, state, reset_state, extra)]
    states = _pair("state", state, BiLSTMState)
    reset_states = _pair("reset_state", reset_state, BiLSTMState)
    both = zip(layer, states, reset_states, _pair("extras", extra, tuple), strict=True)
    directions = [Direction(*each, reverse=bool(k)) for k, each in enumerate(both)]
    present = [direction for direction in directions if direction.params is not None]
    if not present:
        raise ValueError("a bidirectional layer has neither direction")
    return present


def join_directions(layer: PyTree, results: Sequence[tuple]) -> tuple:
    """`(state, hs, ...)` of a layer, from those of its directions.

    Outputs are concatenated on the last axis. All else is paired, with None for a direction that
    the layer does not have; states as `BiLSTMState`.
    """
    if not isinstance(layer, BiLSTMParams):
        return tuple(results[0])
    hs = jnp.concatenate([result[1] for result in results], axis=-1)
    rest = iter(results)
    both = [None if params is None else next(rest) for params in layer]
    count = len(results[0])
    state, *more = (tuple(result and result[k] for result in both) for k in range(count) if k != 1)
    return BiLSTMState(*state), hs, *more


def _scan_direction(
    direction: Direction,
    xs: Array,
    step: Step | None,
    implementation: str | None,
    **options: Any,
) -> tuple[PyTree, Array]:
    """One direction of a layer, by `lstm_scan` if it is of the LSTM."""
    params, state, reset_state, extra, reverse = direction
    options |= {"reset_state": reset_state, "reverse": reverse}
    if step is None:
        if extra is not None:
            raise ValueError("an entry of extras needs a custom step, and steps has None here")
        if isinstance(params, LSTMParams | ProjectedParams):
            return lstm_scan(params, state, xs, implementation=implementation, **options)
    if implementation not in (None, "scan"):
        cell = type(params).__name__ if step is None else "a custom step"
        raise ValueError(f"implementation={implementation!r} supports LSTM layers only, got {cell}")
    if step is None:
        check_layer(params)
        step = LAYER_TYPES[type(params)].step
    if state is None:
        if type(params) not in LAYER_TYPES:
            raise ValueError("a custom cell needs an entry in states, got None")
        state = init_state(params, np.shape(xs)[1:-1])
    for leaf in jax.tree.leaves(extra):
        if np.shape(leaf)[:1] != np.shape(xs)[:1]:
            raise ValueError(
                f"extras hold an array of shape {np.shape(leaf)}, which must lead with the "
                f"{np.shape(xs)[0]} steps of xs"
            )
    return scan_any_cell(step, params, state, xs if extra is None else (xs, extra), **options)


def _pair(name: str, pair: Any, wanted: type) -> tuple:
    """The entries of both directions; None is None for both."""
    if pair is None:
        return (None, None)
    if not isinstance(pair, wanted) or len(pair) != 2:
        form = "BiLSTMState(forward, backward)"
        form = form if wanted is BiLSTMState else "a pair, one per direction"
        raise TypeError(f"{name} of a bidirectional layer must be {form}, got {described(pair)}")
    return pair


def add_residual(hs: Array, xs: Array, layer: int) -> Array:
    """The outputs of a layer plus its inputs, after the first and where they have equal shapes."""
    return hs + xs if layer > 0 and hs.shape == xs.shape else hs


def as_layers(layers: Any) -> tuple[PyTree, ...]:
    """The layers as a tuple; anything else is an error."""
    if hasattr(layers, "_fields") or not isinstance(layers, Sequence):
        raise TypeError(
            f"layers must be a tuple of layers, got {described(layers)}{_layer_hint(layers)}"
        )
    if not layers:
        raise ValueError("layers must hold 1 layer or more, got none")
    return tuple(layers)


def _layer_hint(layers: Any) -> str:
    """The functions that take one layer, where a stack is wanted."""
    if isinstance(layers, BiLSTMParams):
        return "; (layers,) is a stack of one"
    if hasattr(layers, "weight_hh"):
        return "; (layers,) is a stack of one, and lstm_scan, lstm_step and init_state take a layer"
    return ""


def per_layer(name: str, values: Any, layers: tuple) -> tuple:
    """One entry per layer; None for all where nothing was given."""
    if values is None:
        return (None,) * len(layers)
    if hasattr(values, "_fields") or not isinstance(values, Sequence):
        raise TypeError(f"{name} must be a tuple of one entry per layer, got {described(values)}")
    if len(values) != len(layers):
        raise ValueError(
            f"{name} must hold {len(layers)} entries, one per layer; got {len(values)}"
        )
    return tuple(values)


@contextmanager
def named_errors(name: str) -> Iterator[None]:
    """Errors of a layer say which it is."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if type(error) not in (TypeError, ValueError):  # JAX's own, which say more
            raise
        raise type(error)(f"{name}: {error}") from error
