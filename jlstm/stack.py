"""Stacks: layers of any size and type, in one direction or both, with dropout between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jlstm.cells.layer_types import LAYER_TYPES, check_layer, init_state, output_size
from jlstm.cells.lstm import init_params
from jlstm.checks.calls import check_reset
from jlstm.checks.options import check_key, check_save
from jlstm.layer import add_residual, as_layers, named_errors, per_layer, scan_layer
from jlstm.masks import reset_before
from jlstm.recurrence import check_implementation
from jlstm.regularize import check_rate, dropout
from jlstm.types import BiLSTMParams, BiLSTMState

if TYPE_CHECKING:
    from jlstm.types import Array, Bool, Float, Int, PRNGKeyArray, PyTree, Step


def init_stack(
    key: PRNGKeyArray,
    input_size: int,
    hidden_sizes: Sequence[int],
    *,
    bidirectional: bool = False,
    init: Callable[..., PyTree] = init_params,
    **options: Any,
) -> tuple[PyTree, ...]:
    """Draw the weights of several layers, each of which takes the outputs of the one before.

    Args:
      key: a JAX random key.
      input_size: features of one `x`.
      hidden_sizes: the units of each layer, from the first to the last.
      bidirectional: whether each layer runs in both directions, with `hidden_sizes` units each, and
        outputs both side by side.
      init: draws one layer, called as `init(key, input_size, hidden_size, **options)`:
        `jlstm.init_params` or an `init_*` of `jlstm.variants`. Layers of different types are drawn
        one by one and put into a tuple.
      **options: what else `init` takes, `forget_bias` or `dtype` for instance.

    Returns:
      A tuple of layers: `LSTMParams` or the type that `init` gives, or `BiLSTMParams` of two.

    Raises:
      ValueError: no layer, a size below 1. TypeError: `hidden_sizes` that are no sequence.

    Example:
      >>> import jax, jlstm
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8, 4), bidirectional=True)
      >>> layers[1].backward.weight_ih.shape
      (16, 16)
    """
    if np.ndim(hidden_sizes) != 1:
        raise TypeError(
            f"hidden_sizes must be a sequence of sizes, one per layer, as (64, 64); got "
            f"{hidden_sizes!r:.80}"
        )
    if not len(hidden_sizes):
        raise ValueError("hidden_sizes must name 1 layer or more, got none")
    check_key(key)
    layers = []
    for layer_key, hidden_size in zip(
        jax.random.split(key, len(hidden_sizes)), hidden_sizes, strict=True
    ):
        if bidirectional:
            keys = jax.random.split(layer_key)
            layer = BiLSTMParams(*(init(k, input_size, hidden_size, **options) for k in keys))
        else:
            layer = init(layer_key, input_size, hidden_size, **options)
        for params in layer if bidirectional else (layer,):
            check_layer(params)
        layers.append(layer)
        input_size = _width(layer)
    return tuple(layers)


def init_stack_state(
    layers: Sequence[PyTree], batch_shape: tuple[int, ...] = ()
) -> tuple[PyTree, ...]:
    """The zero state of each layer.

    Args:
      layers: the weights.
      batch_shape: the batch axes, `()` for one sequence alone.

    Returns:
      One entry per layer: `LSTMState`, `BiLSTMState(forward, backward)`, or the state of a variant.

    Raises:
      TypeError: a layer of unknown type.

    Example:
      >>> import jax, jlstm
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8, 4))
      >>> [state.h.shape for state in jlstm.init_stack_state(layers, (2,))]
      [(2, 8), (2, 4)]
    """

    def zeros(layer: PyTree) -> PyTree:
        if isinstance(layer, BiLSTMParams):
            return BiLSTMState(*(p and init_state(p, batch_shape) for p in layer))
        return init_state(layer, batch_shape)

    states = []
    for k, layer in enumerate(as_layers(layers)):
        with named_errors(f"layers[{k}]"):
            states.append(zeros(layer))
    return tuple(states)


def stack_scan(
    layers: Sequence[PyTree],
    states: Sequence[PyTree] | None,
    xs: Float[Array, "time *batch input"],
    *,
    lengths: Int[Array, "*batch"] | None = None,
    resets: Bool[Array, "time *batch"] | None = None,
    reset_states: Sequence[PyTree] | None = None,
    dropout_rate: float = 0.0,
    key: PRNGKeyArray | None = None,
    residual: bool = False,
    save: str | int = "gates",
    implementation: str | None = None,
    steps: Sequence[Step | None] | None = None,
    extras: Sequence[PyTree] | None = None,
) -> tuple[tuple[PyTree, ...], Float[Array, "time *batch output"]]:
    """Several layers over a sequence, each of which takes the outputs of the one before.

    Args:
      layers: the weights, one entry per layer: of the LSTM or of any of `jlstm.variants`, or a
        `BiLSTMParams` of two, whose output is `[forward, backward]` on the last axis.
      states: the states before the first step, one entry per layer, as `init_stack_state` gives
        them; None is zeros. A backward direction's enters at the last valid step.
      xs: the inputs, `(time, *batch, input)`.
      lengths: valid steps of each sequence, as in `lstm_scan`; both directions keep to them.
      resets: where a new segment starts, as in `lstm_scan`, in every layer.
      reset_states: the states at a reset, in the structure of `states`; None is zeros.
      dropout_rate: the dropout rate between layers, on the outputs of all layers but the last; a
        new mask is drawn at every time step. Kept elements are divided by 1 - rate. A Python
        number, known while tracing.
      key: a JAX random key, needed when `dropout_rate` is above 0. Each layer draws its own mask.
        Under `vmap`, split it for each example.
      residual: whether the input of a layer, before its dropout, is added to its output, for every
        layer after the first whose input and output have the same size.
      save: the residuals that are kept for the backward pass, as in `lstm_scan`, in every layer.
      implementation: that of the LSTM layers, as in `lstm_scan`; variants support "scan" only.
      steps: for custom cells, one entry per layer: a step `(params, state, x) -> (state, y)`, or
        None for the step of the layer's type. Weights of unknown type need an entry in `states`.
      extras: further inputs of custom steps, one entry per layer: None, or a pytree of arrays (or
        random keys) `(time, ...)`, and the step is given `(x, extra)`; for a bidirectional layer, a
        pair of them.

    Returns:
      `(states, hs)`: the states after the last step, one entry per layer, and the outputs of the
      last layer at every step. The states continue the sequence, unless a layer is bidirectional.

    Raises:
      ValueError: sizes or batch axes that differ, a rate outside [0, 1) or above 0 without a key,
        an implementation that a layer does not have. TypeError: a wrong type or dtype.

    Example:
      >>> import jax, jlstm
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8, 8), bidirectional=True)
      >>> xs = jax.numpy.ones((20, 4, 3))
      >>> states, hs = jlstm.stack_scan(
      ...     layers, None, xs, dropout_rate=0.5, key=jax.random.key(1), residual=True)
      >>> hs.shape, states[0].backward.h.shape
      ((20, 4, 16), (4, 8))
    """
    layers = as_layers(layers)
    dropout_rate = check_rate("dropout_rate", dropout_rate)
    if dropout_rate and key is None:
        raise ValueError(f"dropout_rate={dropout_rate} needs a key, as key=jax.random.key(0)")
    if key is not None:
        check_key(key)
    keys = None if key is None or not dropout_rate else jax.random.split(key, len(layers))
    steps, extras = per_layer("steps", steps, layers), per_layer("extras", extras, layers)
    states = per_layer("states", states, layers)
    reset_states = per_layer("reset_states", reset_states, layers)
    check_implementation(implementation)
    save = check_save(save)
    ends = []
    for k, layer in enumerate(layers):
        with named_errors(f"layers[{k}]"):
            dropped = xs if k == 0 or keys is None else dropout(keys[k], xs, dropout_rate)
            state, hs = scan_layer(
                layer, states[k], dropped, reset_state=reset_states[k], extra=extras[k],
                step=steps[k], implementation=implementation, lengths=lengths, resets=resets,
                save=save,
            )  # fmt: skip
        ends.append(state)
        xs = add_residual(hs, xs, k) if residual else hs
    return tuple(ends), xs


def stack_step(
    layers: Sequence[PyTree],
    states: Sequence[PyTree],
    x: Float[Array, "*batch input"],
    *,
    reset: Bool[Array, "*batch"] | None = None,
    reset_states: Sequence[PyTree] | None = None,
    residual: bool = False,
    steps: Sequence[Step | None] | None = None,
    extras: Sequence[PyTree] | None = None,
) -> tuple[tuple[PyTree, ...], Float[Array, "*batch output"]]:
    """One time step of several layers; `functools.partial(stack_step, layers)` can be scanned.

    Args:
      layers: the weights, one entry per layer; bidirectional layers have no single step.
      states: the states before the step, one entry per layer.
      x: the input, `(*batch, input)`.
      reset: booleans `(*batch,)`, true where an episode starts, as in `lstm_step`, in every layer.
      reset_states: the states at a reset, in the structure of `states`; None is zeros.
      residual: as in `stack_scan`.
      steps: as in `stack_scan`.
      extras: as in `stack_scan`, of this step alone.

    Returns:
      `(states, h)`: the states after the step, and the output of the last layer.

    Raises:
      ValueError: a bidirectional layer, sizes or batch axes that differ. TypeError: a wrong type.

    Example:
      >>> import jax, jlstm
      >>> layers = jlstm.init_stack(jax.random.key(0), 3, (8, 4))
      >>> states = jlstm.init_stack_state(layers)
      >>> states, h = jlstm.stack_step(layers, states, jax.numpy.ones(3))
      >>> h.shape
      (4,)
    """
    layers = as_layers(layers)
    if any(isinstance(layer, BiLSTMParams) for layer in layers):
        raise ValueError(
            "layers hold a bidirectional one, which has no single step: use stack_scan"
        )
    steps, extras = per_layer("steps", steps, layers), per_layer("extras", extras, layers)
    states = per_layer("states", states, layers)
    reset_states = per_layer("reset_states", reset_states, layers)
    check_reset(reset, np.shape(x)[:-1])
    ends = []
    for k, (params, state, reset_state) in enumerate(
        zip(layers, states, reset_states, strict=True)
    ):
        with named_errors(f"layers[{k}]"):
            step, taken = steps[k], x if extras[k] is None else (x, extras[k])
            if step is not None:
                state, h = step(params, reset_before(state, reset, reset_state), taken)
            else:
                check_layer(params)
                step = LAYER_TYPES[type(params)].step
                state, h = step(params, state, taken, reset=reset, reset_state=reset_state)
        ends.append(state)
        x = add_residual(h, x, k) if residual else h
    return tuple(ends), x


def _width(layer: PyTree) -> int:
    """The output size of a layer, of both its directions together."""
    if isinstance(layer, BiLSTMParams):
        return sum(output_size(params) for params in layer if params is not None)
    return output_size(layer)
