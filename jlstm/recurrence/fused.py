"""`implementation="fused"`: the LSTM as one loop over time with a derivative of its own.

Forward, the state before each step and the gates in it are kept. Backward, a loop computes the
cotangents of the pre-activations and nothing else; the gradients of weights, bias and inputs are
then matrix products over many steps. JAX's own rule for a loop multiplies at every step.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax
from jax.custom_derivatives import SymbolicZero

from jlstm.equations import lstm_equations, output, product, project
from jlstm.masks import Masks, select
from jlstm.recurrence.call import Inputs
from jlstm.recurrence.carry import zeros_of
from jlstm.recurrence.gradient import Residuals, cotangents, tangents
from jlstm.recurrence.lowerings import BatchAxis, Lowerings, same_everywhere
from jlstm.recurrence.primitive import over_time
from jlstm.types import LSTMGates, LSTMState, compute_dtype

if TYPE_CHECKING:
    from collections.abc import Callable

    from jlstm.types import Array, Float, PyTree

FIRST, AFTER_TIME, NONE = BatchAxis.FIRST, BatchAxis.AFTER_TIME, BatchAxis.NONE
INPUT_AXES = Inputs(params=NONE, state=FIRST, reset_state=FIRST, xs=AFTER_TIME)
RESIDUAL_AXES = Residuals._make((NONE, AFTER_TIME, AFTER_TIME, AFTER_TIME, AFTER_TIME))
RESULT_AXES = (LSTMState._make((FIRST, FIRST)), AFTER_TIME)  # the last state, hs
KEPT_AXES = LSTMState._make([AFTER_TIME] * 2), LSTMGates._make([AFTER_TIME] * 4)

# Rows of the products for gradients on GPU and TPU: many, so that these products are few launches,
# and not all, so that they take a long sequence block by block.
ROWS_ON_ACCELERATORS = 2**14


class Loops(NamedTuple):
    """The two loops: `forward`, and `jlstm.recurrence.gradient.cotangents`."""

    forward: Lowerings
    cotangents: Lowerings


def fused_scan(
    inputs: Inputs, masks: Masks, reverse: bool, keep: str, loops: Loops | None = None
) -> tuple[LSTMState, Float[Array, "time *batch hidden"]]:
    """The recurrence of the LSTM.

    Args:
      inputs: weights, states and inputs.
      masks: valid steps, and those that enter a segment.
      reverse: whether the loop runs from the last step to the first.
      keep: what the backward pass is given of each step: "gates", the state before it and its
        gates; "states", the state alone, and the gates are computed again.
      loops: what is run on each platform in the place of `forward` and `cotangents`, which define
        types and further derivatives all the same; None is `JAX_LOOPS`.
    """
    time = inputs.xs.shape[0]
    if isinstance(time, int) and time == 0:
        h = inputs.state.h
        return inputs.state, jnp.zeros((0, *h.shape), h.dtype)
    loops = JAX_LOOPS if loops is None else loops

    def run_forward(inputs: Inputs, masks: Masks, keep: str | None) -> PyTree:
        """`(state, hs, states before each step, gates)`; None for what is not kept."""
        before, gates = KEPT_AXES
        return over_time(
            loops.forward.bind(reverse=reverse, keep=keep),
            (inputs, masks),
            (INPUT_AXES, AFTER_TIME),
            (*RESULT_AXES, before if keep else None, gates if keep == "gates" else None),
        )

    @jax.custom_jvp
    def run(inputs: Inputs, masks: Masks) -> tuple[LSTMState, Array]:
        return run_forward(inputs, masks, keep=None)[:2]

    def jvp(primals: tuple, moves: tuple) -> tuple:
        inputs, masks = primals
        state, hs, before, gates = run_forward(inputs, masks, keep)
        residuals = Residuals(inputs.params, inputs.xs, masks, before, gates)
        moving = _tangents_or_none(moves[0], inputs)
        wanted = jax.tree.map(lambda _: True, moving)
        moved = over_time(
            same_everywhere(tangents).bind(reverse=reverse),
            (residuals,),
            (RESIDUAL_AXES,),
            RESULT_AXES,
            operands=moving,
            operand_axes=INPUT_AXES,
            transpose=loops.cotangents.bind(reverse=reverse, wanted=wanted),
        )
        return (state, hs), moved

    run.defjvp(jvp, symbolic_zeros=True)
    return run(inputs, masks)


def forward(inputs: Inputs, masks: Masks, reverse: bool, keep: str | None) -> PyTree:
    """The loop, in the form for CPU: one product projects the inputs of a few steps, inside it.

    Returns:
      `(state, hs, before, gates)`: the last state; the outputs; the state before each step, None
      unless it is to be kept; the gates, None unless `keep` is "gates".
    """
    params, state, _, xs = inputs
    one_step = _make_step(inputs, keep)

    def step(state: LSTMState, step_inputs: tuple) -> tuple[LSTMState, tuple]:
        x, masks = step_inputs
        return one_step(state, (project(params, x), masks))

    def few_steps(state: LSTMState, step_inputs: tuple) -> tuple[LSTMState, tuple]:
        xs, masks = step_inputs
        zs = project(params, xs)  # one product for all of them
        steps = range(zs.shape[0])
        outs = {}
        for k in reversed(steps) if reverse else steps:
            now = jax.tree.map(lambda mask, k=k: mask[k], masks)
            state, outs[k] = one_step(state, (zs[k], now))
        return state, jax.tree.map(lambda *a: jnp.stack(a), *(outs[k] for k in steps))

    time = xs.shape[0]
    size = _steps_per_projection(time, hidden=params.weight_hh.shape[1] // 4)
    if size == 1:
        state, outs = lax.scan(step, state, (xs, masks), reverse=reverse)
        return state, *outs
    blocks = jax.tree.map(lambda a: a.reshape(time // size, size, *a.shape[1:]), (xs, masks))
    state, outs = lax.scan(few_steps, state, blocks, reverse=reverse)
    return state, *jax.tree.map(lambda a: a.reshape(time, *a.shape[2:]), outs)


def forward_hoisted(inputs: Inputs, masks: Masks, reverse: bool, keep: str | None) -> PyTree:
    """`forward` in the form for GPU and TPU: one product projects all inputs before the loop.

    There a step of the loop waits for its launches and not for arithmetic, and a product over all
    rows fills the chip as one over few rows cannot.
    """
    zs = project(inputs.params, inputs.xs)
    step = _make_step(inputs, keep)
    state, outs = lax.scan(step, inputs.state, (zs, masks), reverse=reverse)
    return state, *outs


def _make_step(inputs: Inputs, keep: str | None) -> Callable:
    """One step of the loop, `(state, (z, masks)) -> (state, outs)`, from the projected `x`."""
    params, _, reset_state, xs = inputs
    dtype = compute_dtype(xs, *params)

    def one_step(state: LSTMState, step_inputs: tuple) -> tuple[LSTMState, tuple]:
        z, (valid, entered) = step_inputs
        before = state if entered is None else select(entered, reset_state, state)
        z = z + product(before.h, params.weight_hh, dtype)
        gates, c, m = lstm_equations(z, before.c)
        state = LSTMState(output(params, m, dtype), c)
        h = state.h
        if valid is not None:
            state = select(valid, state, before)
            h = select(valid, h, jnp.zeros_like(h))
        return state, (h, before if keep else None, gates if keep == "gates" else None)

    return one_step


def _steps_per_projection(time: int, hidden: int) -> int:
    """Steps whose inputs are projected by one product, which is written out for all of them.

    One product for the whole input is slower on CPU: a slice of it would be cut inside the loops
    over the gates, which are then not vectorised. In small layers the loops are all there is.
    """
    if not isinstance(time, int) or not isinstance(hidden, int) or hidden < 128:
        return 1
    return next(size for size in (4, 5, 3, 2, 1) if time % size == 0)


JAX_LOOPS = Loops(
    Lowerings(forward, forward, forward_hoisted),
    Lowerings(cotangents, cotangents, partial(cotangents, rows=ROWS_ON_ACCELERATORS)),
)


def _tangents_or_none(moves: Inputs, inputs: Inputs) -> Inputs:
    """The tangents: None for weights and inputs that stand still, zeros for such states."""

    def is_zero(tangent: Any) -> bool:
        return isinstance(tangent, SymbolicZero)

    def drop(tree: PyTree) -> PyTree:
        return jax.tree.map(lambda t: None if is_zero(t) else t, tree, is_leaf=is_zero)

    def fill(tangents: PyTree, primals: PyTree) -> PyTree:
        def fill_leaf(tangent: Any, primal: Array) -> Array:
            return zeros_of(primal) if is_zero(tangent) else tangent

        return jax.tree.map(fill_leaf, tangents, primals, is_leaf=is_zero)

    return Inputs(
        drop(moves.params),
        fill(moves.state, inputs.state),
        fill(moves.reset_state, inputs.reset_state),
        drop(moves.xs),
    )
