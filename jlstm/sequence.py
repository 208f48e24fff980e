"""Sequences: a step lifted over time, with lengths, resets and direction."""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jlstm.cells.layer_types import LAYER_TYPES, init_state
from jlstm.checks.calls import check_cell, check_sequence
from jlstm.checks.options import check_reverse, check_save
from jlstm.checks.values import described
from jlstm.recurrence import check_implementation, choose
from jlstm.recurrence.call import prepare
from jlstm.recurrence.carry import strengthen

if TYPE_CHECKING:
    from jlstm.types import (
        Array,
        Bool,
        Float,
        Int,
        LSTMParams,
        LSTMState,
        ProjectedParams,
        PyTree,
        Step,
    )


def lstm_scan(
    params: LSTMParams | ProjectedParams,
    state: LSTMState | None,
    xs: Float[Array, "time *batch input"],
    *,
    lengths: Int[Array, "*batch"] | None = None,
    resets: Bool[Array, "time *batch"] | None = None,
    reset_state: LSTMState | None = None,
    reverse: bool = False,
    save: str | int = "gates",
    implementation: str | None = None,
) -> tuple[LSTMState, Float[Array, "time *batch hidden"]]:
    """One LSTM layer over a sequence.

    The same, up to speed and memory, as this loop:

        hs = []
        for x in xs:
            state, h = lstm_step(params, state, x)
            hs.append(h)

    The returned state continues the sequence exactly: two halves, with the state passed along,
    give what the whole gives.

    Args:
      params: the layer's weights; those of `jlstm.variants.init_projected` make `h` and `hs`
        `(..., projection)`.
      state: the state before the first step, each of its arrays `(*batch, hidden)`; None is zeros.
      xs: the inputs, time first, `(time, *batch, input)`; one sequence alone is `(time, input)`.
      lengths: valid steps of each sequence, integers `(*batch,)`. Later steps leave the state as
        it was and output zeros; what `xs` holds there reaches nothing, be it NaN. Length 0 returns
        the initial state. Concrete lengths outside `[0, time]` raise, traced ones are clamped.
      resets: booleans `(time, *batch)`, true where a new segment starts: the state is replaced
        by `reset_state` before that step. Reversed, it is replaced between that step and the one
        before it in time. The gradient does not cross a reset.
      reset_state: the state at a reset, in the shape of `state`; None is zeros.
      reverse: run from the last valid step to the first. `hs[t]` stays beside `xs[t]`, and
        `state` enters at the last valid step.
      save: what is kept for the backward pass. In units of `time * batch * hidden` floats of 4
        bytes: "gates", the state before each step and its gates, 6; "states", the states alone,
        2, and the gates are computed again; a number of steps K, the state before every K-th
        step, `2 / K`, and `6 * K / time` while a chunk is run again; about `sqrt(time)` keeps
        the least. `hs` and its cotangent are 2 more, whatever is kept.
      implementation: None for the best that has all of the above under every transformation, on
        each platform in its own form; "fused", the loop with a derivative of its own; "native",
        its kernels for CPU, which None takes where they apply; "scan", the plain `lax.scan` of
        `lstm_step` under JAX's derivative; "cudnn", cuDNN on CUDA, and "pallas", kernels for
        Hopper GPUs, for what they can do, see `docs/gpu.md`. `jlstm.implementations()` says
        which there are here.

    Returns:
      `(state, hs)`: the state after the last step, and `h` at every step, `(time, *batch, hidden)`
      in the compute dtype `result_type(xs, params)`.

    Raises:
      ValueError: sizes or batch axes that differ, lengths out of range, an unknown implementation
        or one that cannot do what is asked for, this also when a derivative is taken or the program
        is lowered.
      TypeError: a wrong type or dtype.

    Example:
      >>> import jax, jax.numpy as jnp, jlstm
      >>> params = jlstm.init_params(jax.random.key(0), 3, 5)
      >>> xs = jnp.ones((10, 2, 3))
      >>> state, hs = jlstm.lstm_scan(params, None, xs, lengths=jnp.array([10, 4]))
      >>> hs.shape, bool((hs[4:, 1] == 0).all()), bool((state.h[1] == hs[3, 1]).all())
      ((10, 2, 5), True, True)
    """
    check_sequence(params, state, xs, lengths, resets, reset_state)
    check_reverse(reverse)
    check_implementation(implementation)
    if state is None:
        state = init_state(params, np.shape(xs)[1:-1])
    static = Static(LAYER_TYPES[type(params)].step, bool(reverse), check_save(save), implementation)
    return _run_compiled(static, params, state, xs, lengths, resets, reset_state)


def scan_cell(
    step: Step,
    params: PyTree,
    state: PyTree,
    xs: PyTree,
    *,
    lengths: Int[Array, "*batch"] | None = None,
    resets: Bool[Array, "time *batch"] | None = None,
    reset_state: PyTree | None = None,
    reverse: bool = False,
) -> tuple[PyTree, PyTree]:
    """Any cell over a sequence, with the lengths, resets and direction of `lstm_scan`.

    Called outside `jax.jit`, the loop of a step of this library, or of a jitted `step`, is compiled
    once; any other is compiled at each such call, as by `jax.lax.scan`, since it may depend on more
    than its arguments.

    Args:
      step: `(params, state, x) -> (state, y)`, as `lstm_step`.
      params: what the step takes first.
      state: the state before the first step: any pytree whose arrays lead with the batch axes.
        It is cast to the dtypes that the step returns.
      xs: the inputs: any pytree of arrays `(time, *batch, ...)`. Random keys, those of
        `jax.random.key`, may lead with time alone.
      lengths: as in `lstm_scan`. The step sees zeros in place of padding, and must have a finite
        derivative there.
      resets: as in `lstm_scan`.
      reset_state: the state at a reset, in the structure and shapes of `state`; None is zeros.
      reverse: as in `lstm_scan`.

    Returns:
      `(state, ys)`: the state after the last step, and the outputs of all steps, time first.

    Raises:
      ValueError, TypeError: as `lstm_scan`.

    Example:
      >>> import jax.numpy as jnp, jlstm
      >>> def leaky_sum(decay, state, x):
      ...     state = decay * state + x
      ...     return state, state
      >>> jlstm.scan_cell(leaky_sum, jnp.array(0.5), jnp.array(0.0), jnp.ones(3))[1].tolist()
      [1.0, 1.5, 1.75]
    """
    check_reverse(reverse)
    return scan_any_cell(
        step, params, state, xs, lengths=lengths, resets=resets, reset_state=reset_state,
        reverse=bool(reverse), save="gates",
    )  # fmt: skip


def scan_any_cell(
    step: Step,
    params: PyTree,
    state: PyTree,
    xs: PyTree,
    *,
    lengths: Int[Array, "*batch"] | None,
    resets: Bool[Array, "time *batch"] | None,
    reset_state: PyTree | None,
    reverse: bool,
    save: str | int,
) -> tuple[PyTree, PyTree]:
    """`scan_cell` with the memory dial of `lstm_scan`."""
    if not callable(step):
        raise TypeError(
            f"step must be a function (params, state, x) -> (state, y), got {described(step)}"
        )
    check_cell(state, xs, lengths, resets, reset_state)
    state, xs, reset_state = jax.tree.map(jnp.asarray, (state, xs, reset_state))
    run = _run_compiled if _compiles_once(step, params) else _run
    static = Static(step, reverse, save, implementation="scan")
    return run(static, params, state, xs, lengths, resets, reset_state)


class Static(NamedTuple):
    """The arguments that decide which program is compiled."""

    step: Step
    reverse: bool
    save: str | int
    implementation: str | None


def _run(
    static: Static,
    params: PyTree,
    state: PyTree,
    xs: PyTree,
    lengths: Array | None,
    resets: Array | None,
    reset_state: PyTree | None,
) -> tuple[PyTree, PyTree]:
    """Any sequence call whose arguments have been checked, by its implementation."""
    step, reverse, save, implementation = static
    if implementation != "scan":
        params, xs = strengthen(params, xs)
    inputs, masks = prepare(step, params, state, xs, lengths, resets, reset_state, reverse)
    return choose(implementation, step, save)(inputs, masks, reverse)


# An eager `lax.scan` compiles anew at each call, because its body is a new function each time.
# Under `jit` it finds its compiled loop again. Not `inline=True`: that loses the compiled gradient.
_run_compiled = jax.jit(_run, static_argnums=0)


def _compiles_once(step: Step, params: PyTree) -> bool:
    """Return whether the step depends on its arguments alone, so that its loop can be kept.

    Of this library's steps that is known, and of a jitted one its author has said so. Another may
    read a global that changes, or a tracer that does not outlive its trace.
    """
    ours = (
        isinstance(step, FunctionType)
        and step.__module__.partition(".")[0] == "jlstm"
        and step.__closure__ is None
    )
    arrays = all(isinstance(leaf, jax.Array | np.ndarray) for leaf in jax.tree.leaves(params))
    return arrays and (ours or isinstance(step, jax.stages.Wrapped))
