"""The LSTM's recurrence as one loop over time with a derivative of its own.

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

from jlstm.backward import Masks
from jlstm.derivative import Inputs, Known, cotangents, tangents
from jlstm.equations import lstm_equations, output, product, project
from jlstm.primitive import AFTER_TIME, FIRST, WEIGHT, Forms, everywhere, over_time
from jlstm.scan import select, zeros_of
from jlstm.types import LSTMGates, LSTMState, compute_dtype

if TYPE_CHECKING:
    from collections.abc import Callable

    from jaxtyping import Array, Float, PyTree

# How a batch axis joins these trees, in the order of their fields.
INPUT_AXES = Inputs._make((WEIGHT, FIRST, FIRST, AFTER_TIME))
KNOWN_AXES = Known._make((WEIGHT, AFTER_TIME, AFTER_TIME, AFTER_TIME, AFTER_TIME))
RESULT_AXES = (FIRST, FIRST, AFTER_TIME)  # h, c, hs

# Rows of the products for gradients on GPU and TPU. They are many, so that few launches fall on
# these products, and not all, so that what they multiply stays a block of a long sequence.
ROWS_ELSEWHERE = 2**14


class Loop(NamedTuple):
    """What is run for one of the two loops on each platform, as in `Forms`."""

    cpu: Callable[..., Any]
    elsewhere: Callable[..., Any]
    cuda: Callable[..., Any] | None = None


class Loops(NamedTuple):
    """What is run for `forward` and for `derivative.cotangents`, with their arguments."""

    forward: Loop
    cotangents: Loop


def fused_scan(
    inputs: Inputs, masks: Masks, reverse: bool, keep_gates: bool, loops: Loops
) -> tuple[LSTMState, Float[Array, "time *batch hidden"]]:
    """The recurrence. The caller has given the states the dtypes and the sharding of the carry.

    Its types and its further derivatives are those of `forward` and `cotangents`, whatever loops
    are run in their stead.
    """

    @jax.custom_jvp
    def run(inputs: Inputs, masks: Masks) -> tuple[LSTMState, Array]:
        h, c, hs = _bind_forward(loops.forward, inputs, masks, reverse, save=())
        return LSTMState(h, c), hs

    def rule(primals: tuple, moves: tuple) -> tuple:
        inputs, masks = primals
        save = ("before", "gates") if keep_gates else ("before",)
        h, c, hs, *saved = _bind_forward(loops.forward, inputs, masks, reverse, save)
        gates = LSTMGates(*saved[2:]) if keep_gates else None
        known = Known(inputs.params, inputs.xs, masks, LSTMState(*saved[:2]), gates)
        d_h, d_c, d_hs = _bind_derivative(
            loops.cotangents, known, _moving(moves[0], inputs), reverse
        )
        return (LSTMState(h, c), hs), (LSTMState(d_h, d_c), d_hs)

    run.defjvp(rule, symbolic_zeros=True)
    return run(inputs, masks)


def forward(
    inputs: Inputs, masks: Masks, reverse: bool, save: tuple[str, ...]
) -> tuple[LSTMState, tuple]:
    """The loop itself: the last state, then `hs` and what is to be saved of each step.

    In the form for CPU: the inputs of a few steps are projected by one product inside the loop.
    """
    params, state, _, xs = inputs
    one_step = _one_step(inputs, save)

    def step(state: LSTMState, inputs: tuple) -> tuple[LSTMState, tuple]:
        x, masks = inputs
        return one_step(state, project(params, x), masks)

    def some_steps(state: LSTMState, inputs: tuple) -> tuple[LSTMState, tuple]:
        xs, masks = inputs
        zs = project(params, xs)  # one product for all of them
        steps = range(zs.shape[0])
        outs = {}
        for k in reversed(steps) if reverse else steps:
            state, outs[k] = one_step(state, zs[k], jax.tree.map(lambda mask, k=k: mask[k], masks))
        return state, jax.tree.map(lambda *a: jnp.stack(a), *(outs[k] for k in steps))

    time = xs.shape[0]
    size = _steps_at_once(time, hidden=params.weight_hh.shape[1] // 4)
    if size == 1:
        return lax.scan(step, state, (xs, masks), reverse=reverse)
    blocks = jax.tree.map(lambda a: a.reshape(time // size, size, *a.shape[1:]), (xs, masks))
    state, outs = lax.scan(some_steps, state, blocks, reverse=reverse)
    return state, jax.tree.map(lambda a: a.reshape(time, *a.shape[2:]), outs)


def forward_hoisted(
    inputs: Inputs, masks: Masks, reverse: bool, save: tuple[str, ...]
) -> tuple[LSTMState, tuple]:
    """`forward` in the form for GPU and TPU: one product projects all inputs before the loop.

    There a step of the loop waits for its launches and not for arithmetic, and a product over all
    rows fills the chip as one over few rows cannot.
    """
    one_step = _one_step(inputs, save)

    def step(state: LSTMState, inputs: tuple) -> tuple[LSTMState, tuple]:
        return one_step(state, *inputs)

    zs = project(inputs.params, inputs.xs)
    return lax.scan(step, inputs.state, (zs, masks), reverse=reverse)


def _one_step(inputs: Inputs, save: tuple[str, ...]) -> Callable:
    """One step of the loop, `(state, z, masks) -> (state, (h, *saved))`, from the projected `x`."""
    params, _, reset_state, xs = inputs
    dtype = compute_dtype(xs, *params)

    def one_step(state: LSTMState, z: Array, masks: Masks) -> tuple[LSTMState, tuple]:
        before = state if masks.entered is None else select(masks.entered, reset_state, state)
        z = z + product(before.h, params.weight_hh, dtype)
        gates, c, m = lstm_equations(z, before.c)
        state = LSTMState(output(params, m, dtype), c)
        out = state.h
        if masks.valid is not None:
            state = select(masks.valid, state, before)
            out = select(masks.valid, out, jnp.zeros_like(out))
        saved = {"before": before, "gates": gates}
        return state, (out, *(saved[name] for name in save))

    return one_step


def _steps_at_once(time: int, hidden: int) -> int:
    """Steps whose inputs are projected by one product, which is written out for all of them.

    One product for the whole input is slower on CPU: a slice of it would be cut inside the loops
    over the gates, which are then not vectorised. In small layers the loops are all there is.
    """
    if not isinstance(time, int) or not isinstance(hidden, int) or hidden < 128:
        return 1
    return next(size for size in (4, 5, 3, 2, 1) if time % size == 0)


PLAIN = Loops(
    Loop(forward, forward_hoisted),
    Loop(cotangents, partial(cotangents, rows=ROWS_ELSEWHERE)),
)


def _bind_forward(
    loop: Loop, inputs: Inputs, masks: Masks, reverse: bool, save: tuple[str, ...]
) -> list[Array]:
    args, axes = (inputs, masks), (INPUT_AXES, AFTER_TIME)
    saved = {"before": 2, "gates": 4}
    return over_time(
        _forms(forward, loop, args, reverse=reverse, save=save),
        jax.tree.leaves(args),
        _flat_axes(axes, args),
        RESULT_AXES + (AFTER_TIME,) * sum(saved[name] for name in save),
    )


def _bind_derivative(loop: Loop, known: Known, moving: Inputs, reverse: bool) -> list[Array]:
    results = (0, 0, 0)  # the tree of h, c, hs
    wanted = jax.tree.map(lambda _: True, moving)
    return over_time(
        everywhere(_on_leaves(tangents, (known, moving), reverse=reverse)),
        jax.tree.leaves(known),
        _flat_axes(KNOWN_AXES, known),
        RESULT_AXES,
        operands=jax.tree.leaves(moving),
        operand_axes=_flat_axes(INPUT_AXES, moving),
        transpose=_forms(cotangents, loop, (known, results), reverse=reverse, wanted=wanted),
    )


def _forms(plain: Callable, loop: Loop, tree: PyTree, **options: Any) -> Forms:
    """A function of trees as one of their leaves, in each of its forms."""

    def of_leaves(function: Callable) -> Callable:
        return _on_leaves(function, tree, **options)

    on_cuda = None if loop.cuda is None else of_leaves(loop.cuda)
    return Forms(of_leaves(plain), of_leaves(loop.cpu), of_leaves(loop.elsewhere), on_cuda)


def _moving(moves: Inputs, inputs: Inputs) -> Inputs:
    """The tangents: None for weights and inputs that stand still, zeros for such states."""

    def is_zero(tangent: Any) -> bool:
        return isinstance(tangent, SymbolicZero)

    def drop(tree: PyTree) -> PyTree:
        return jax.tree.map(lambda t: None if is_zero(t) else t, tree, is_leaf=is_zero)

    def fill(tangents: PyTree, primals: PyTree) -> PyTree:
        def one(tangent: Any, primal: Array) -> Array:
            return zeros_of(primal) if is_zero(tangent) else tangent

        return jax.tree.map(one, tangents, primals, is_leaf=is_zero)

    return Inputs(
        drop(moves.params),
        fill(moves.state, inputs.state),
        fill(moves.reset_state, inputs.reset_state),
        drop(moves.xs),
    )


def _flat_axes(prefix: PyTree, tree: PyTree) -> list[int]:
    return jax.tree.leaves(jax.tree.broadcast(prefix, tree))


def _on_leaves(function: Callable, tree: PyTree, **options: Any) -> Callable:
    """A function of trees as one of their leaves."""
    structure = jax.tree.structure(tree)

    def call(*leaves: Array) -> tuple[Array, ...]:
        return tuple(jax.tree.leaves(function(*structure.unflatten(leaves), **options)))

    return call
