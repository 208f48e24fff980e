"""Several layers: of any size and kind, in one direction or both, with dropout between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from jlstm.cell import init_params
from jlstm.checks import check_key, check_reset, check_save
from jlstm.layers import LAYER_TYPES as KINDS
from jlstm.layers import check_layer, init_state, output_size
from jlstm.recurrence import choose
from jlstm.regularize import check_rate, dropout
from jlstm.scan import reset_before
from jlstm.sequence import lstm_scan, scan_any
from jlstm.types import BiLSTMParams, BiLSTMState, LSTMParams, ProjectedParams
from jlstm.values import described

if TYPE_CHECKING:
    from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

    from jlstm.scan import Step


def init_stack(
    key: PRNGKeyArray,
    input_size: int,
    hidden_sizes: Sequence[int],
    *,
    bidirectional: bool = False,
    init: Callable[..., PyTree] = init_params,
    **options: Any,
) -> tuple[PyTree, ...]:
    """Draw the weights of several layers, each of which reads what the one before it shows.

    Args:
      key: a JAX random key.
      input_size: features of one `x`.
      hidden_sizes: the units of each layer, from the first to the last.
      bidirectional: whether each layer reads in both directions, with `hidden_sizes` units each,
        and shows both side by side.
      init: draws one layer, called as `init(key, input_size, hidden_size, **options)`:
        `jlstm.init_params` or an `init_*` of `jlstm.variants`. Layers of different kinds are drawn
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
            f"hidden_sizes must be a sequence of sizes, one a layer, as (64, 64); got "
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
      One entry a layer: `LSTMState`, `BiLSTMState(forward, backward)`, or the variant's own state.

    Raises:
      TypeError: a layer of no kind that is known.

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
    for k, layer in enumerate(_as_layers(layers)):
        with _named(f"layers[{k}]"):
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
    """Several layers over a sequence: each reads what the one before it shows, at every step.

    Args:
      layers: the weights, one entry a layer: those of the LSTM or of any of `jlstm.variants`, or a
        `BiLSTMParams` of two, whose output is `[forward, backward]` on the last axis.
      states: the states before the first step, one entry a layer, as `init_stack_state` gives
        them; None is zeros. A backward direction's enters at the last valid step.
      xs: the inputs, `(time, *batch, input)`.
      lengths: valid steps of each sequence, as in `lstm_scan`; both directions keep to them.
      resets: where a new segment starts, as in `lstm_scan`, in every layer.
      reset_states: the states at a reset, in the structure of `states`; None is zeros.
      dropout_rate: the share of numbers that are dropped, at every step anew, after all layers but
        the last; what is left is divided by the share that is kept. A number that is known while
        tracing.
      key: a JAX random key, needed when `dropout_rate` is above 0. Each layer draws its own mask.
        Under `vmap`, split it for each example.
      residual: whether what a layer reads is added to what it shows, for every layer after the
        first that reads and shows equally many numbers (before dropout of what it reads).
      save: what is kept for the backward pass, as in `lstm_scan`, in every layer.
      implementation: of the LSTM layers, as in `lstm_scan`; variants know "scan" alone.
      steps: for cells of your own, one entry a layer: a step `(params, state, x) -> (state, y)`,
        or None for that of the layer's kind. Weights of no kind that is known need an entry in
        `states`.
      extras: what such a step takes beside what the layer reads, one entry a layer: None, or a
        pytree of arrays (or random keys) `(time, ...)`, and the step is given `(x, extra)`; of a
        bidirectional layer, a pair of them.

    Returns:
      `(states, hs)`: the states after the last step, one entry a layer, and what the last layer
      shows at every step. The states continue the sequence, unless a layer is bidirectional.

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
    layers = _as_layers(layers)
    dropout_rate = check_rate("dropout_rate", dropout_rate)
    if dropout_rate and key is None:
        raise ValueError(f"dropout_rate={dropout_rate} needs a key, as key=jax.random.key(0)")
    if key is not None:
        check_key(key)
    keys = None if key is None or not dropout_rate else jax.random.split(key, len(layers))
    steps, extras = _per_layer("steps", steps, layers), _per_layer("extras", extras, layers)
    options = {"lengths": lengths, "resets": resets, "save": check_save(save)}
    choose(implementation)

    def run(
        k: int, params: PyTree, state: PyTree, xs: Array, reset_state: PyTree, reverse: bool
    ) -> tuple[PyTree, Array]:
        if k > 0 and keys is not None:
            xs = dropout(keys[k], xs, dropout_rate)
        extra = extras[k]
        if isinstance(layers[k], BiLSTMParams) and extra is not None:
            extra = _pair("extras", extra, tuple)[int(reverse)]
        return _scan_layer(
            params, state, xs, steps[k], extra, implementation, reset_state=reset_state,
            reverse=reverse, **options,
        )  # fmt: skip

    return through_layers(run, layers, states, xs, reset_states, residual)


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
    """One step of time of several layers; `functools.partial(stack_step, layers)` can be scanned.

    Args:
      layers: the weights, one entry a layer; bidirectional layers have no single step.
      states: the states before the step, one entry a layer.
      x: the input, `(*batch, input)`.
      reset: booleans `(*batch,)`, true where an episode starts, as in `lstm_step`, in every layer.
      reset_states: the states at a reset, in the structure of `states`; None is zeros.
      residual: as in `stack_scan`.
      steps: as in `stack_scan`.
      extras: as in `stack_scan`, of this step alone.

    Returns:
      `(states, h)`: the states after the step, and what the last layer shows.

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
    layers = _as_layers(layers)
    if any(isinstance(layer, BiLSTMParams) for layer in layers):
        raise ValueError(
            "layers hold a bidirectional one, which has no single step: use stack_scan"
        )
    steps, extras = _per_layer("steps", steps, layers), _per_layer("extras", extras, layers)

    check_reset(reset, np.shape(x)[:-1])

    def run(
        k: int, params: PyTree, state: PyTree, x: Array, reset_state: PyTree, _: bool
    ) -> tuple[PyTree, Array]:
        read = x if extras[k] is None else (x, extras[k])
        step = steps[k]
        if step is not None:
            return step(params, reset_before(state, reset, reset_state), read)
        check_layer(params)
        step = KINDS[type(params)].step
        return step(params, state, read, reset=reset, reset_state=reset_state)

    return through_layers(run, layers, states, x, reset_states, residual)


def through_layers(
    run: Callable,
    layers: Sequence[PyTree],
    states: Sequence[PyTree] | None,
    xs: Array,
    reset_states: Sequence[PyTree] | None,
    residual: bool,
) -> tuple:
    """`(states, hs, ...)` of a stack, from those of each layer in turn.

    These are what `run(k, params, state, xs, reset_state, reverse)` gives. A bidirectional layer is
    run in one direction and then in the other, if it has both; what they show is joined, the rest
    is paired.
    """
    layers = _as_layers(layers)
    states = _per_layer("states", states, layers)
    reset_states = _per_layer("reset_states", reset_states, layers)
    found = []
    for k, (layer, state, reset_state) in enumerate(zip(layers, states, reset_states, strict=True)):
        with _named(f"layers[{k}]"):
            if isinstance(layer, BiLSTMParams):
                states_in = _pair("state", state, BiLSTMState)
                reset_in = _pair("reset_state", reset_state, BiLSTMState)
                ways = [
                    params and run(k, params, states_in[d], xs, reset_in[d], bool(d))
                    for d, params in enumerate(layer)
                ]
                there = [way for way in ways if way]
                if not there:
                    raise ValueError("a bidirectional layer has neither direction")
                hs = jnp.concatenate([way[1] for way in there], axis=-1)
                state = BiLSTMState(*(way and way[0] for way in ways))
                more = [tuple(way and way[n] for way in ways) for n in range(2, len(there[0]))]
            else:
                state, hs, *more = run(k, layer, state, xs, reset_state, False)
        found.append((state, *more))
        xs = hs + xs if residual and k > 0 and hs.shape == xs.shape else hs
    states, *more = zip(*found, strict=True)
    return states, xs, *more


def _scan_layer(
    params: PyTree,
    state: PyTree,
    xs: Array,
    step: Step | None,
    extra: PyTree,
    implementation: str | None,
    **options: Any,
) -> tuple[PyTree, Array]:
    """One layer in one direction, by its fast scan where it has one."""
    if step is None:
        if extra is not None:
            raise ValueError("extras are for a step of your own, and steps has none here")
        if isinstance(params, LSTMParams | ProjectedParams):
            return lstm_scan(params, state, xs, implementation=implementation, **options)
    if implementation not in (None, "scan"):
        kind = type(params).__name__ if step is None else "a step of your own"
        raise ValueError(f"implementation={implementation!r} is of LSTM layers, not of {kind}")
    step = _step_of(params, step)
    if state is None:
        if type(params) not in KINDS:
            raise ValueError("a cell of your own needs an entry in states, got None")
        state = init_state(params, np.shape(xs)[1:-1])
    for leaf in jax.tree.leaves(extra):
        if np.shape(leaf)[:1] != np.shape(xs)[:1]:
            raise ValueError(
                f"extras hold an array of shape {np.shape(leaf)}, which must lead with the "
                f"{np.shape(xs)[0]} steps of xs"
            )
    return scan_any(step, params, state, xs if extra is None else (xs, extra), **options)


def _step_of(params: PyTree, step: Step | None) -> Step:
    """The layer's step, and of one that is not the caller's own, a check of its weights."""
    if step is not None:
        return step
    check_layer(params)
    return KINDS[type(params)].step


def _pair(name: str, pair: Any, kind: type) -> tuple:
    """What a bidirectional layer has two of; None is None for both."""
    if pair is None:
        return (None, None)
    if not isinstance(pair, kind) or len(pair) != 2:
        wanted = (
            "BiLSTMState(forward, backward)" if kind is BiLSTMState else "a pair, one a direction"
        )
        raise TypeError(f"{name} of a bidirectional layer must be {wanted}, got {described(pair)}")
    return pair


def _width(layer: PyTree) -> int:
    """Numbers that a layer shows."""
    if isinstance(layer, BiLSTMParams):
        return sum(output_size(params) for params in layer if params is not None)
    return output_size(layer)


def _as_layers(layers: Any) -> tuple[PyTree, ...]:
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


def _per_layer(name: str, values: Any, layers: tuple) -> tuple:
    """One entry a layer; None for all where nothing was given."""
    if values is None:
        return (None,) * len(layers)
    if hasattr(values, "_fields") or not isinstance(values, Sequence):
        raise TypeError(f"{name} must be a tuple of one entry a layer, got {described(values)}")
    if len(values) != len(layers):
        raise ValueError(f"{name} must hold {len(layers)} entries, one a layer; got {len(values)}")
    return tuple(values)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Errors of a layer say which it is."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if type(error) not in (TypeError, ValueError):  # JAX's own, which say more
            raise
        raise type(error)(f"{name}: {error}") from error
